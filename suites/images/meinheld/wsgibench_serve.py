"""meinheld: single-threaded by design, so one process a core, each with a socket of its own on the same port.

    python -m wsgibench_serve --workers 2 --keep-alive 75 --max-fd 16384 application:application
    python -m wsgibench_serve --access-log application:application        (default settings)
"""

import argparse
import importlib
import os
import socket

import meinheld

parser = argparse.ArgumentParser()
parser.add_argument("application", help="module:callable")
parser.add_argument("--workers", type=int, default=1)
parser.add_argument("--keep-alive", type=int, default=0, help="seconds; 0 is meinheld's own default: off")
parser.add_argument("--max-fd", type=int, default=4096, help="its event loop takes no descriptor above this")
parser.add_argument("--backlog", type=int, default=4096)
parser.add_argument("--access-log", action="store_true", help="meinheld writes one by default")
parser.add_argument("--port", type=int, default=8000)
options = parser.parse_args()

module, _, name = options.application.partition(":")
application = getattr(importlib.import_module(module), name)

# The first process serves like the others: with one worker there is no second process in the accounts.
for _ in range(options.workers - 1):
    if os.fork() == 0:
        break

listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
if options.workers > 1:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
listener.bind(("0.0.0.0", options.port))
listener.listen(options.backlog)
listener.setblocking(False)

meinheld.set_listen_socket(listener.fileno())
meinheld.set_picoev_max_fd(options.max_fd)
meinheld.set_keepalive(options.keep_alive)
if not options.access_log:
    meinheld.set_access_logger(None)
meinheld.run(application)
