"""CherryPy's server (cheroot): a pool of threads behind one accepting loop, one process a core.

    python -m wsgibench_serve --workers 2 --threads 10 --backlog 4096 --keep-alive-connections 12000 application:application
    python -m wsgibench_serve application:application        (cheroot's own defaults)
"""

import argparse
import importlib
import os
import signal
import sys

from cheroot.wsgi import Server

parser = argparse.ArgumentParser()
parser.add_argument("application", help="module:callable")
parser.add_argument("--workers", type=int, default=1)
parser.add_argument("--threads", type=int, default=10)
parser.add_argument("--backlog", type=int, default=Server.request_queue_size)
parser.add_argument("--keep-alive-connections", type=int, default=Server.keep_alive_conn_limit)
parser.add_argument("--port", type=int, default=8000)
options = parser.parse_args()

module, _, name = options.application.partition(":")
application = getattr(importlib.import_module(module), name)

# The first process serves like the others: with one worker there is no second process in the accounts.
for _ in range(options.workers - 1):
    if os.fork() == 0:
        break

server = Server(
    ("0.0.0.0", options.port),
    application,
    numthreads=options.threads,
    request_queue_size=options.backlog,
    reuse_port=options.workers > 1,
)
server.keep_alive_conn_limit = options.keep_alive_connections
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
server.safe_start()
