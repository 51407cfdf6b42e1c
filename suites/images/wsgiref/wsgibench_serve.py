"""The standard library's server: HTTP/1.0, one process, one request at a time, on however many cores. A baseline.

    python -m wsgibench_serve --backlog 4096 application:application
    python -m wsgibench_serve --access-log application:application        (default settings)
"""

import argparse
import importlib
import signal
import sys
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

parser = argparse.ArgumentParser()
parser.add_argument("application", help="module:callable")
parser.add_argument("--backlog", type=int, default=WSGIServer.request_queue_size)
parser.add_argument("--access-log", action="store_true", help="wsgiref writes one by default")
parser.add_argument("--port", type=int, default=8000)
options = parser.parse_args()


class Server(WSGIServer):
    request_queue_size = options.backlog


class Handler(WSGIRequestHandler):
    def log_request(self, *args):
        if options.access_log:
            super().log_request(*args)


module, _, name = options.application.partition(":")
application = getattr(importlib.import_module(module), name)
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
make_server("0.0.0.0", options.port, application, Server, Handler).serve_forever()
