"""Twisted's WSGI resource: a reactor that hands requests to a pool of threads, one process a core.

    python -m wsgibench_serve --workers 2 --threads 4 --backlog 4096 --keep-alive 75 application:application
    python -m wsgibench_serve --access-log application:application        (default settings)
"""

import argparse
import importlib
import os
import socket

parser = argparse.ArgumentParser()
parser.add_argument("application", help="module:callable")
parser.add_argument("--workers", type=int, default=1)
parser.add_argument("--threads", type=int, default=10, help="Twisted's pool grows to ten threads by default")
parser.add_argument("--backlog", type=int, default=50)
parser.add_argument("--keep-alive", type=int, default=60, help="seconds; Twisted's own default is 60")
parser.add_argument("--access-log", action="store_true", help="Twisted logs each request by default")
parser.add_argument("--port", type=int, default=8000)
options = parser.parse_args()

# Before the reactor exists, so that each process has its own. The first process serves like the others: with one
# worker there is no second process in the accounts.
for _ in range(options.workers - 1):
    if os.fork() == 0:
        break

from twisted.internet import reactor  # noqa: E402
from twisted.web.server import Site  # noqa: E402
from twisted.web.wsgi import WSGIResource  # noqa: E402


class Quiet(Site):
    def log(self, request):
        """Without a log file, too, Site formats a line for each request."""


module, _, name = options.application.partition(":")
application = getattr(importlib.import_module(module), name)

listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
if options.workers > 1:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
listener.bind(("0.0.0.0", options.port))
listener.listen(options.backlog)
listener.setblocking(False)

reactor.suggestThreadPoolSize(options.threads)
resource = WSGIResource(reactor, reactor.getThreadPool(), application)
site = (Site if options.access_log else Quiet)(resource, timeout=options.keep_alive)
reactor.adoptStreamPort(listener.fileno(), socket.AF_INET, site)
reactor.run()
