"""Large bodies: a fixed download, a stream without a length, and an upload that is never buffered whole."""

import hashlib

from body import read_pieces
from messages import json_body, text

# Fixed bytes that do not compress; SHAKE gives the same ones on every Python.
DOWNLOAD = hashlib.shake_256(b"wsgibench").digest(1024 * 1024)
DOWNLOAD_SHA256 = hashlib.sha256(DOWNLOAD).hexdigest()

STREAM_PIECE = 4096
STREAM_PIECES = 16
STREAM_SHA256 = hashlib.sha256(DOWNLOAD[: STREAM_PIECE * STREAM_PIECES]).hexdigest()


def download(environ, start_response):
    start_response(
        "200 OK",
        [
            ("Content-Type", "application/octet-stream"),
            ("Content-Length", str(len(DOWNLOAD))),
            ("X-Body-Sha256", DOWNLOAD_SHA256),
        ],
    )
    return [DOWNLOAD]


def stream(environ, start_response):
    """16 pieces of 4 KiB (the first 64 KiB of the download) and no length, so that the server has to frame them."""
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("X-Body-Sha256", STREAM_SHA256)])
    return (DOWNLOAD[n * STREAM_PIECE : (n + 1) * STREAM_PIECE] for n in range(STREAM_PIECES))


def upload(environ, start_response):
    if environ["REQUEST_METHOD"] not in ("POST", "PUT"):
        return text(start_response, "405 Method Not Allowed", "send a body by POST or PUT\n")
    digest, length = hashlib.sha256(), 0
    for piece in read_pieces(environ):
        digest.update(piece)
        length += len(piece)
    return json_body(start_response, {"length": length, "sha256": digest.hexdigest()})
