"""Routes under /conformance/ that report the WSGI environment to a prober and exercise features of PEP 3333.

They are asked before anything is timed; no timed request comes here.
"""

import json
import os
import sys
import tempfile
import time
from wsgiref.validate import validator

from body import query_number, read_pieces
from messages import json_body, text

# Long enough for a prober, which requires half of it, to distinguish it from a delay on a busy machine.
PAUSE_SECONDS = 0.3


def see(environ, start_response):
    """Responds with the received request. WSGI strings hold bytes as characters; they are returned unchanged."""
    body = b"".join(read_pieces(environ)).decode("latin-1")
    return json_body(
        start_response,
        {
            "method": environ["REQUEST_METHOD"],
            "path": environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""),
            "query": environ.get("QUERY_STRING", ""),
            "body": body,
            "headers": {name: value for name, value in environ.items() if name.startswith("HTTP_")},
        },
    )


def unread(environ, start_response):
    return text(start_response, "200 OK", "unread")


def empty(environ, start_response):
    start_response("204 No Content", [])
    return []


def inner(environ, start_response):
    """The application under the validator: reads the request and responds in pieces."""
    for _ in read_pieces(environ):
        pass
    start_response("200 OK", [("Content-Type", "text/plain")])
    return iter([b"val", b"id"])


def validated(environ, start_response):
    """Runs an application under the standard library's validator; responds with its complaints."""
    status, headers = "200 OK", [("Content-Type", "text/plain")]
    # PEP 3333 lets a server omit these if they are empty, but the validator requires them.
    for name in ("SCRIPT_NAME", "PATH_INFO"):
        environ.setdefault(name, "")
    try:
        # The server gets a single start_response call, regardless of the validator's result.
        pieces = validator(inner)(environ, lambda *_: lambda data: None)
        try:
            body = b"".join(pieces)
        finally:
            pieces.close()
    except AssertionError as complaint:
        status, body = "500 Internal Server Error", ("PEP 3333: %s" % complaint).encode("utf-8")
    start_response(status, headers)
    return [body]


def streamed(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])

    def pieces():
        yield b"first"
        time.sleep(PAUSE_SECONDS)
        yield b"last"

    return pieces()


def written(environ, start_response):
    write = start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "17")])
    write(b"written, ")
    return [b"returned"]


def replaced(environ, start_response):
    """Starts a successful response, then fails before the first byte: the error pattern of PEP 3333."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    try:
        raise RuntimeError("on purpose")
    except RuntimeError:
        return_value = [b"failed"]
        start_response(
            "503 Service Unavailable", [("Content-Type", "text/plain"), ("Content-Length", "6")], sys.exc_info()
        )
    return return_value


def long(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"OK and more"]


def short(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "10")])
    return [b"short"]


def cookies(environ, start_response):
    start_response("200 OK", [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("Content-Length", "2")])
    return [b"OK"]


def marker(environ):
    # A file, since the next request may reach another process.
    name = "wsgibench-closed-%d" % query_number(environ, "token", 0, 1 << 40)
    return os.path.join(tempfile.gettempdir(), name)


class Closing:
    """An iterable that writes a file when it is closed."""

    def __init__(self, path):
        self.path = path
        self.pieces = iter([b"OK"])

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.pieces)

    def close(self):
        with open(self.path, "w"):
            pass


def closing(environ, start_response):
    path = marker(environ)
    if os.path.exists(path):
        os.remove(path)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return Closing(path)


def closed(environ, start_response):
    # The response may reach the client shortly before it is closed.
    deadline = time.monotonic() + 1
    path = marker(environ)
    while not os.path.exists(path) and time.monotonic() < deadline:
        time.sleep(0.01)
    return text(start_response, "200 OK", "closed" if os.path.exists(path) else "open")


ROUTES = {
    "see": see,
    "unread": unread,
    "empty": empty,
    "validated": validated,
    "streamed": streamed,
    "written": written,
    "replaced": replaced,
    "long": long,
    "short": short,
    "cookies": cookies,
    "closing": closing,
    "closed": closed,
}
PREFIX = "/conformance/"


def route(path):
    """Returns the handler of a path below /conformance/, `None` for any other."""
    return ROUTES.get(path[len(PREFIX) :].partition("/")[0]) if path.startswith(PREFIX) else None
