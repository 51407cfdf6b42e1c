"""A request with one of twelve planted slowdowns, chosen by PLANTED; each takes about PLANTED_US microseconds of CPU."""

import gc
import importlib
import json
import logging
import os
import re
import string
import threading
import time
import zlib

PLANTED = os.environ.get("PLANTED", "")
PLANTED_US = float(os.environ.get("PLANTED_US", "5"))


def interpret(n):
    value = 1
    for _ in range(n):
        value = (value * 31 + 7) & 0xFFFF
    return value


PAGE = string.Template("<p>Dear $name, you owe $amount.</p>")


def render_page(n):
    for _ in range(n):
        PAGE.substitute(name="Ada", amount=12)


ITEMS = list(range(100_000))


def encode_items(n):
    return json.dumps(ITEMS[:n])


def framework_headers(n):
    value = ""
    for _ in range(n):
        value = value[-4:] + "k: v"
    return value


DATA = bytes(1 << 20)


def compress_checksum(n):
    return zlib.crc32(DATA[: 64 * n])


def ask_kernel(n):
    for _ in range(n):
        os.getppid()


class Discard(logging.Handler):
    def emit(self, record):
        self.format(record)


LOG = logging.getLogger("planted")
LOG.propagate = False
LOG.setLevel(logging.INFO)
LOG.addHandler(Discard())


def write_log(n):
    for number in range(n):
        LOG.info("request %d", number)


LOCK = threading.Lock()


def take_lock(n):
    for _ in range(n):
        with LOCK:
            pass


def collect_garbage(n):
    for _ in range(n):
        gc.collect(0)


def import_late(n):
    for _ in range(n):
        importlib.import_module("json.decoder")


class Column:
    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, row, owner=None):
        return row.__dict__[self.name]

    def __set__(self, row, value):
        row.__dict__[self.name] = value


class Row:
    key = Column()
    title = Column()


def load_rows(n):
    rows = []
    for number in range(n):
        row = Row()
        row.key = number
        row.title = row.key
        rows.append(row)
    return rows


WORDS = re.compile(r"(\w+)@(\w+)\.test")


def match_words(n):
    for _ in range(n):
        WORDS.sub(r"\2", "ada@example.test, grace@example.test")


PLACES = {
    "application": interpret,
    "template": render_page,
    "json": encode_items,
    "framework": framework_headers,
    "c_extension": compress_checksum,
    "system_calls": ask_kernel,
    "logging": write_log,
    "lock": take_lock,
    "garbage": collect_garbage,
    "import": import_late,
    "orm": load_rows,
    "regex": match_words,
}


def amount_of(function):
    """The number that makes the function take PLANTED_US: the fastest of several trials, each of some milliseconds."""
    n = 1
    while True:
        begun = time.thread_time_ns()
        function(n)
        if time.thread_time_ns() - begun > 2_000_000 or n > 50_000:
            break
        n *= 2
    fastest = None
    for _ in range(15):
        begun = time.thread_time_ns()
        function(n)
        taken = time.thread_time_ns() - begun
        fastest = taken if fastest is None else min(fastest, taken)
    return max(1, round(n * PLANTED_US * 1_000 / fastest))


def nothing(n):
    pass


PLANT = PLACES.get(PLANTED, nothing)
AMOUNT = amount_of(PLANT) if PLANTED in PLACES else 0

if PLANTED == "framework":
    # In the framework's own call, not in the application's.
    from gunicorn.http.wsgi import Response

    default_headers = Response.default_headers

    def slower_headers(self, *arguments, **named):
        framework_headers(AMOUNT)
        return default_headers(self, *arguments, **named)

    Response.default_headers = slower_headers


def view(environ):
    if PLANTED not in ("", "framework"):
        PLANT(AMOUNT)
    fields = {name: len(str(value)) for name, value in environ.items()}
    return json.dumps(sorted(fields)[:5]).encode()


def application(environ, start_response):
    body = view(environ)
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
