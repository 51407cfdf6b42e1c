"""Faults of applications: exceptions, exits, a wrong response type, and memory leaks."""

import os
import sys

from body import query_number
from messages import text

LEAKED = []
# Not 3 or 4: gunicorn shuts down when a worker exits with one of these.
EXIT_STATUS = 7
LEAK_MOST = 256 * 1024 * 1024


def pid(environ, start_response):
    return text(start_response, "200 OK", str(os.getpid()))


def leak(environ, start_response):
    """Leaks `?bytes=` (default: 64 KiB); responds with the total leaked by the worker."""
    # b"x" writes to every page: zeroed memory would be allocated lazily.
    LEAKED.append(b"x" * query_number(environ, "bytes", 64 * 1024, LEAK_MOST))
    return text(start_response, "200 OK", str(sum(map(len, LEAKED))))


def raise_error(environ, start_response):
    raise RuntimeError("raised on purpose by /raise")


def exit_worker(environ, start_response):
    """Calls `sys.exit`, which a server may catch; with `?hard=1` the process exits at once, which it cannot catch."""
    if query_number(environ, "hard", 0, 1):
        os._exit(EXIT_STATUS)
    sys.exit(EXIT_STATUS)


def wrong_type(environ, start_response):
    """Returns text in place of bytes, like an application written for Python 2."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return ["OK"]
