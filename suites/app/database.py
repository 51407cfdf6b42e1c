"""A row of a real database, PostgreSQL, found by its key or changed.

The driver is imported at the first question, so that a server that is never asked one is what it is without it.
"""

import contextlib
import os
import queue

from body import query_number
from messages import json_body, text

ADDRESS = "WSGIBENCH_DATABASE"
# Of each process: more than any server's threads, and few enough for all processes to find room in the database.
CONNECTIONS = 16
ROWS = 10_000

SELECT = "SELECT id, name, price FROM item WHERE id = %s"
UPDATE = "UPDATE item SET stock = stock + 1 WHERE id = %s RETURNING id, name, price"


class Unreachable(Exception):
    """There is no database to ask; the text says why."""


def connect():
    address = os.environ.get(ADDRESS)
    if not address:
        raise Unreachable(f"{ADDRESS} is not set")
    try:
        import psycopg
    except ImportError as error:
        raise Unreachable(f"its driver is not installed: {error}")
    try:
        return psycopg.connect(address, autocommit=True, connect_timeout=3)
    except psycopg.OperationalError as error:
        raise Unreachable(error)


# Connections, and `None` for each that may still be opened; those that are open lie on top. Whoever finds nothing waits.
idle = queue.LifoQueue()
for _ in range(CONNECTIONS):
    idle.put(None)


@contextlib.contextmanager
def connection():
    """A kept connection, or a new one. One in which something went wrong is not kept."""
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
            # Of which class, the driver knows, and it may not be there. What is broken tells so itself.
            if asked.closed:
                raise Unreachable(error)
            raise


def row(environ, start_response):
    """The row `?id=` (the first where not said), by GET; a POST changes it too."""
    number = query_number(environ, "id", 1, ROWS)
    try:
        found = ask(UPDATE if environ["REQUEST_METHOD"] == "POST" else SELECT, number)
    except Unreachable as error:
        why = " ".join(str(error).split())
        return text(start_response, "503 Service Unavailable", f"the database cannot be reached: {why}\n")
    if found is None:
        return text(start_response, "404 Not Found", f"there is no row {number}\n")
    return json_body(start_response, dict(zip(("id", "name", "price"), found)))
