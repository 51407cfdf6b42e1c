"""A WSGI application as the ASGI one that uvicorn wants: a2wsgi runs it in a pool of threads.

    WSGI_THREADS=4 uvicorn --workers 2 wsgibench_asgi:app

WSGI_APPLICATION is `module:callable`, `application:application` when not set; without WSGI_THREADS a2wsgi takes its own 10.
"""

import importlib
import os

from a2wsgi import WSGIMiddleware

module, _, name = os.environ.get("WSGI_APPLICATION", "application:application").partition(":")
app = WSGIMiddleware(
    getattr(importlib.import_module(module), name), workers=int(os.environ.get("WSGI_THREADS", "10"))
)
