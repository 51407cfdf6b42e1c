"""FastWSGI: single-threaded by design, so one process a core, each with a socket of its own on the same port.

    python -m wsgibench_serve --workers 2 --backlog 4096 --no-delay --read-buffer 16384 application:application
    python -m wsgibench_serve application:application        (FastWSGI's own defaults)
"""

import argparse
import importlib
import os

import fastwsgi

parser = argparse.ArgumentParser()
parser.add_argument("application", help="module:callable")
parser.add_argument("--workers", type=int, default=1)
parser.add_argument("--backlog", type=int, default=fastwsgi.server.backlog)
parser.add_argument("--no-delay", action="store_true", help="TCP_NODELAY on every connection")
parser.add_argument("--read-buffer", type=int, help="bytes, held for every connection; 64 KiB by default")
parser.add_argument("--port", type=int, default=8000)
options = parser.parse_args()

module, _, name = options.application.partition(":")
application = getattr(importlib.import_module(module), name)

# The first process serves like the others: with one worker there is no second process in the accounts.
for _ in range(options.workers - 1):
    if os.fork() == 0:
        break
fastwsgi.server.backlog = options.backlog
fastwsgi.server.tcp_nodelay = int(options.no_delay)
fastwsgi.server.read_buffer_size = options.read_buffer
fastwsgi.run(application, host="0.0.0.0", port=options.port)
