"""Selects or updates a row of a PostgreSQL database by its key.

The driver is imported on the first query, so that it has no effect on servers that run other scenarios.
"""

import contextlib
import os
import queue

from body import query_number
from messages import json_body, text

ADDRESS = "WSGIBENCH_DATABASE"
# Per process: more than any server's threads, and few enough for the database's connection limit with all processes.
CONNECTIONS = 16
ROWS = 10_000

SELECT = "SELECT id, name, price FROM item WHERE id = %s"
UPDATE = "UPDATE item SET stock = stock + 1 WHERE id = %s RETURNING id, name, price"


class Unreachable(Exception):
    """The database is unreachable; the text gives the reason."""


def connect():
    address = os.environ.get(ADDRESS)
    if not address:
        raise Unreachable(f"{ADDRESS} is not set")
    try:
        import psycopg
    except ImportError as error:
        raise Unreachable(f"the driver is not installed: {error}")
    try:
        return psycopg.connect(address, autocommit=True, connect_timeout=3)
    except psycopg.OperationalError as error:
        raise Unreachable(error)


# Connections, and `None` for each that may still be opened, open ones on top. An empty queue blocks the request.
idle = queue.LifoQueue()
for _ in range(CONNECTIONS):
    idle.put(None)


@contextlib.contextmanager
def connection():
    """Yields a pooled or new connection. It returns to the pool unless an error occurred."""
    taken = idle.get()
    kept = None
    try:
        if taken is None:
            taken = connect()
        yield taken
        kept = taken
    finally:
        if kept is None and taken is not None:
            taken.close()
        idle.put(kept)


def ask(query, number):
    with connection() as asked:
        try:
            return asked.execute(query, (number,)).fetchone()
        except Exception as error:
            # The driver's error classes cannot be named here, since it may not be installed.
            if asked.closed:
                raise Unreachable(error)
            raise


def row(environ, start_response):
    """Returns the row `?id=` (default: the first); a POST updates it too."""
    number = query_number(environ, "id", 1, ROWS)
    try:
        found = ask(UPDATE if environ["REQUEST_METHOD"] == "POST" else SELECT, number)
    except Unreachable as error:
        why = " ".join(str(error).split())
        return text(start_response, "503 Service Unavailable", f"the database cannot be reached: {why}\n")
    if found is None:
        return text(start_response, "404 Not Found", f"there is no row {number}\n")
    return json_body(start_response, dict(zip(("id", "name", "price"), found)))
