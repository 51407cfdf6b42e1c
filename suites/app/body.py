"""Request parsing: the body in pieces, and numbers in the query."""

from urllib.parse import parse_qs

PIECE = 64 * 1024


def read_pieces(environ):
    """Yields the request's body in pieces of at most 64 KiB, with any framing.

    With a length, exactly so much is read. Without one, only a body that is known to end (a chunked request, or the
    server says `wsgi.input_terminated`) is read to its end: reading on would otherwise wait for the client forever.
    """
    source = environ["wsgi.input"]
    length = environ.get("CONTENT_LENGTH")
    if length:
        left = int(length)
        while left > 0:
            piece = source.read(min(PIECE, left))
            if not piece:
                return
            left -= len(piece)
            yield piece
    elif environ.get("wsgi.input_terminated") or environ.get("HTTP_TRANSFER_ENCODING", "").lower() == "chunked":
        while True:
            piece = source.read(PIECE)
            if not piece:
                return
            yield piece


def query_number(environ, name, default, most):
    """Returns the number `name` of the query, `default` if it is missing or not a number, at most `most`."""
    values = parse_qs(environ.get("QUERY_STRING", "")).get(name)
    try:
        return min(max(int(values[0]), 0), most) if values else default
    except ValueError:
        return default
