"""A small bookshop: pages from templates, a JSON interface, a session cookie, and a SQLite file.

It stands in for your own application. Put yours into `app/`, and change `command` in `benches/server.rs`.
"""

import os
import tempfile

from flask import Flask

from . import accounts, api, database, pages


def create_app(path=None):
    """The application, with its database made and filled if it is not there yet."""
    app = Flask(__name__)
    app.config.update(
        # Each launch has a temporary folder of its own, held in memory in a container: it starts with fresh data.
        DATABASE=path or os.environ.get("DATABASE") or os.path.join(tempfile.gettempdir(), "bookshop.sqlite3"),
        # For the benchmark only: a key that is known to everybody keeps no secret.
        SECRET_KEY=os.environ.get("SECRET_KEY", "benchmark"),
    )
    database.prepare(app.config["DATABASE"])
    app.teardown_appcontext(database.close)
    app.register_blueprint(pages.blueprint)
    app.register_blueprint(accounts.blueprint)
    app.register_blueprint(api.blueprint)
    return app
