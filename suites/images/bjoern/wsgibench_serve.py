"""bjoern: single-threaded by design, so one process a core, each with a socket of its own on the same port.

    python -m wsgibench_serve --workers 2 application:application
"""

import argparse
import importlib
import os

import bjoern

parser = argparse.ArgumentParser()
parser.add_argument("application", help="module:callable")
parser.add_argument("--workers", type=int, default=1)
parser.add_argument("--backlog", type=int, default=bjoern.DEFAULT_LISTEN_BACKLOG)
parser.add_argument("--port", type=int, default=8000)
options = parser.parse_args()

module, _, name = options.application.partition(":")
application = getattr(importlib.import_module(module), name)

# The first process serves like the others: with one worker there is no second process in the accounts.
for _ in range(options.workers - 1):
    if os.fork() == 0:
        break
try:
    bjoern.run(
        application, "0.0.0.0", options.port, reuse_port=options.workers > 1, listen_backlog=options.backlog
    )
except KeyboardInterrupt:
    pass
