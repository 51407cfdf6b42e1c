"""waitress: one accepting loop and a pool of threads in one process, one process a core.

    python -m wsgibench_serve --workers 2 --threads 4 application:application

The settings are those that 12,000 kept-alive connections need; its defaults are those of `waitress-serve`.
"""

import argparse
import importlib
import logging
import os
import socket

import waitress

parser = argparse.ArgumentParser()
parser.add_argument("application", help="module:callable")
parser.add_argument("--workers", type=int, default=1)
parser.add_argument("--threads", type=int, default=4)
parser.add_argument("--port", type=int, default=8000)
options = parser.parse_args()

module, _, name = options.application.partition(":")
application = getattr(importlib.import_module(module), name)

# waitress logs a line for each request that waits for a thread, which under load amounts to an access log.
logging.basicConfig(level=logging.INFO)
logging.getLogger("waitress.queue").setLevel(logging.ERROR)

# The first process serves like the others: with one worker there is no second process in the accounts.
for _ in range(options.workers - 1):
    if os.fork() == 0:
        break

listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
if options.workers > 1:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
listener.bind(("0.0.0.0", options.port))

waitress.serve(
    application,
    sockets=[listener],
    threads=options.threads,
    backlog=4096,
    connection_limit=12000,
    channel_timeout=75,
    asyncore_use_poll=True,  # select() ends at descriptor 1023
)
