"""Requests that use CPU time or wait, and planted work for the tests of the gates."""

import os
import time

from body import query_number
from messages import text

CPU_ROUNDS = 50_000
SLEEP_MS = 10
PLANTED_WORK = "WSGIBENCH_PLANTED_WORK"


def spin(rounds):
    """Runs `rounds` steps of a linear congruential generator: interpreted work that holds the GIL and allocates little."""
    state = 1
    for _ in range(rounds):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
    return state


def planted(handler):
    """`handler` itself, or, where WSGIBENCH_PLANTED_WORK is set, `handler` after that many rounds of `spin`.

    Decided once at import, so that an unset variable costs nothing. One round takes some 50 ns.
    """
    rounds = int(os.environ.get(PLANTED_WORK) or 0)
    if rounds <= 0:
        return handler

    def slowed(environ, start_response):
        spin(rounds)
        return handler(environ, start_response)

    return slowed


def cpu(environ, start_response):
    return text(start_response, "200 OK", str(spin(CPU_ROUNDS)))


def sleep(environ, start_response):
    """Waits 10 ms, or `?ms=` up to ten seconds."""
    milliseconds = query_number(environ, "ms", SLEEP_MS, 10_000)
    time.sleep(milliseconds / 1000)
    return text(start_response, "200 OK", str(milliseconds))
