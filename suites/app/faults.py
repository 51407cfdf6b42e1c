"""What goes wrong in applications: they raise, exit, answer a wrong type, or never let go of memory."""

import os
import sys

from body import query_number
from messages import text

LEAKED = []
# Not 3 or 4: gunicorn gives up as a whole when a worker ends with one of these.
EXIT_STATUS = 7
LEAK_MOST = 256 * 1024 * 1024


def pid(environ, start_response):
    return text(start_response, "200 OK", str(os.getpid()))


def leak(environ, start_response):
    """Keeps `?bytes=` (64 KiB where not said) for good; answers how many the worker holds by now."""
    # b"x" writes to every page: zeroed memory would be promised and not taken.
    LEAKED.append(b"x" * query_number(environ, "bytes", 64 * 1024, LEAK_MOST))
    return text(start_response, "200 OK", str(sum(map(len, LEAKED))))


def raise_error(environ, start_response):
    raise RuntimeError("raised on purpose by /raise")


def exit_worker(environ, start_response):
    """`sys.exit`, which a server may catch; with `?hard=1` the process ends at once, which it cannot."""
    if query_number(environ, "hard", 0, 1):
        os._exit(EXIT_STATUS)
    sys.exit(EXIT_STATUS)


def wrong_type(environ, start_response):
    """Text where bytes belong: what an application written for Python 2 answers on Python 3."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return ["OK"]
