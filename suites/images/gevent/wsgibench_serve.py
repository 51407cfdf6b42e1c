"""gevent's pywsgi: a greenlet a connection on one thread, so one process a core.

    python -m wsgibench_serve --workers 2 --backlog 4096 --no-delay application:application
    python -m wsgibench_serve --access-log application:application        (default settings)
"""

import argparse
import os

parser = argparse.ArgumentParser()
parser.add_argument("application", help="module:callable")
parser.add_argument("--workers", type=int, default=1)
parser.add_argument("--backlog", type=int, default=128, help="gevent's own default is 128")
parser.add_argument("--access-log", action="store_true", help="gevent writes one by default")
# It sends the head and the body of an answer apart: with Nagle's algorithm on, the body waits for the client's delayed
# acknowledgement of the head, some 40 ms. Accepted connections inherit the option from the listening socket.
parser.add_argument("--no-delay", action="store_true", help="TCP_NODELAY on every connection")
parser.add_argument("--port", type=int, default=8000)
options = parser.parse_args()

# Before gevent is imported, so that each process has an event loop of its own. The first process serves like the
# others: with one worker there is no second process in the accounts.
for _ in range(options.workers - 1):
    if os.fork() == 0:
        break

from gevent import monkey  # noqa: E402

monkey.patch_all()

import importlib  # noqa: E402
import signal  # noqa: E402
import socket  # noqa: E402
import sys  # noqa: E402

import gevent  # noqa: E402
from gevent.pywsgi import WSGIServer  # noqa: E402

module, _, name = options.application.partition(":")
application = getattr(importlib.import_module(module), name)

listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
if options.workers > 1:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
if options.no_delay:
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
listener.bind(("0.0.0.0", options.port))
listener.listen(options.backlog)

server = WSGIServer(listener, application, **({} if options.access_log else {"log": None}))
gevent.signal_handler(signal.SIGTERM, sys.exit)
server.serve_forever()
