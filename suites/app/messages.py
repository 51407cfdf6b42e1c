"""Small requests and responses: text, JSON, many headers, an echo."""

import json

from body import read_pieces

JSON_VALUE = {"message": "Hello, World!", "numbers": list(range(10)), "nested": {"true": True, "null": None}}

HEADER_COUNT = 30
# (name in environ, name in the response), prepared once.
HEADER_PAIRS = [(f"HTTP_X_IN_{n:02}", f"X-Out-{n:02}") for n in range(1, HEADER_COUNT + 1)]


def text(start_response, status, message):
    body = message.encode("utf-8")
    start_response(status, [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))])
    return [body]


def json_body(start_response, value):
    body = json.dumps(value, separators=(",", ":")).encode("ascii")
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def json_answer(environ, start_response):
    return json_body(start_response, JSON_VALUE)


def headers(environ, start_response):
    """Requires the request headers X-In-01 to X-In-30 and returns their values as X-Out-01 to X-Out-30."""
    try:
        answer = [(name, environ[key]) for key, name in HEADER_PAIRS]
    except KeyError as missing:
        return text(start_response, "400 Bad Request", f"missing {missing.args[0]}\n")
    answer += [("Content-Type", "text/plain"), ("Content-Length", "2")]
    start_response("200 OK", answer)
    return [b"30"]


def echo(environ, start_response):
    """Returns the request's body, method and query with the request's content type."""
    body = b"".join(read_pieces(environ))
    start_response(
        "200 OK",
        [
            ("Content-Type", environ.get("CONTENT_TYPE") or "application/octet-stream"),
            ("Content-Length", str(len(body))),
            ("X-Method", environ["REQUEST_METHOD"]),
            ("X-Query", environ.get("QUERY_STRING", "")),
        ],
    )
    return [body]
