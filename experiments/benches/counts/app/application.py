"""Answers OK, after as much work, system calls and database statements as the environment says."""

import os

WORK = range(int(os.environ.get("PLANTED_WORK", "0")))
CALLS = range(int(os.environ.get("PLANTED_CALLS", "0")))
ADDRESS = os.environ.get("WSGIBENCH_DATABASE")
STATEMENTS = range(1 + int(os.environ.get("PLANTED_STATEMENTS", "0")))

database = None


def ask():
    """Selects a row, once and as often again as planted, on one connection for all threads."""
    global database
    if database is None:
        import psycopg

        database = psycopg.connect(ADDRESS, autocommit=True, connect_timeout=3)
    for _ in STATEMENTS:
        database.execute("SELECT name FROM item WHERE id = %s", (17,)).fetchone()


def application(environ, start_response):
    for _ in WORK:
        pass
    for _ in CALLS:
        os.getppid()
    if ADDRESS:
        ask()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"OK"]
