"""Answers OK, after as much work and as many system calls as the environment says."""

import os

WORK = range(int(os.environ.get("PLANTED_WORK", "0")))
CALLS = range(int(os.environ.get("PLANTED_CALLS", "0")))


def application(environ, start_response):
    for _ in WORK:
        pass
    for _ in CALLS:
        os.getppid()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"OK"]
