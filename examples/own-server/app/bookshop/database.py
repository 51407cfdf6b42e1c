"""The SQLite database: created at startup, with one connection per request."""

import os
import random
import sqlite3

from flask import current_app, g
from werkzeug.security import generate_password_hash

BOOKS = 500
ACCOUNTS = 50
PASSWORD = "correct horse"
# Cheaper than in production, so that password hashing does not dominate the benchmark.
HASH = "scrypt:1024:8:1"

SUBJECTS = ["art", "cooking", "gardens", "history", "music", "travel"]
WORDS = ["atlas", "garden", "harbour", "letters", "lantern", "orchard", "river", "silence", "stone", "winter"]
NAMES = ["Adler", "Brandt", "Castro", "Dubois", "Eriksen", "Farkas", "Greco", "Haas", "Ito", "Jensen"]


def prepare(path):
    """Creates and fills the database if it does not exist. Safe for concurrent workers."""
    if os.path.exists(path):
        return
    draft = f"{path}.{os.getpid()}"
    connection = sqlite3.connect(draft)
    with connection:
        with open(os.path.join(os.path.dirname(__file__), "schema.sql"), encoding="utf-8") as schema:
            connection.executescript(schema.read())
        fill(connection)
    connection.close()
    try:
        # The first worker wins, and no worker sees a partial file.
        os.link(draft, path)
    except FileExistsError:
        pass
    os.unlink(draft)


def fill(connection):
    """Returns the same data at each launch, so that launches are comparable."""
    draw = random.Random(20_000)
    password = generate_password_hash(PASSWORD, method=HASH)
    connection.executemany(
        "INSERT INTO account (id, name, password) VALUES (?, ?, ?)",
        [(number, f"reader{number}", password) for number in range(1, ACCOUNTS + 1)],
    )
    connection.executemany(
        "INSERT INTO book (id, title, author, subject, year, price_cents) VALUES (?, ?, ?, ?, ?, ?)",
        [
            (
                number,
                f"The {draw.choice(WORDS)} and the {draw.choice(WORDS)} {number}",
                f"{draw.choice('ABCDEFGHJKLM')}. {draw.choice(NAMES)}",
                SUBJECTS[number % len(SUBJECTS)],
                draw.randint(1900, 2025),
                draw.randint(500, 6000),
            )
            for number in range(1, BOOKS + 1)
        ],
    )
    connection.executemany(
        "INSERT INTO review (book_id, account_id, stars, body) VALUES (?, ?, ?, ?)",
        [
            (
                draw.randint(1, BOOKS),
                draw.randint(1, ACCOUNTS),
                draw.randint(1, 5),
                " ".join(draw.choice(WORDS) for _ in range(40)),
            )
            for _ in range(4 * BOOKS)
        ],
    )


def connect():
    """Returns this request's connection."""
    if "connection" not in g:
        # Wait for concurrent writers instead of failing immediately.
        g.connection = sqlite3.connect(current_app.config["DATABASE"], timeout=10)
        g.connection.row_factory = sqlite3.Row
        g.connection.execute("PRAGMA foreign_keys = ON")
        g.connection.execute("PRAGMA synchronous = NORMAL")
    return g.connection


def close(_error=None):
    """Closes this request's connection, if it opened one."""
    connection = g.pop("connection", None)
    if connection is not None:
        connection.close()
