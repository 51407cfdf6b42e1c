"""An example bookshop: HTML pages, a JSON interface, a session cookie and a SQLite database.

Replace it with your own application in `app/`, and change `command` in `benches/server.rs`.
"""

import os
import tempfile

from flask import Flask

from . import accounts, api, database, pages


def create_app(path=None):
    """Creates the application, and its database if it does not exist."""
    app = Flask(__name__)
    app.config.update(
        # Each launch has its own temporary folder (in memory in a container), and so starts with fresh data.
        DATABASE=path or os.environ.get("DATABASE") or os.path.join(tempfile.gettempdir(), "bookshop.sqlite3"),
        # For the benchmark only: a published key is not secret.
        SECRET_KEY=os.environ.get("SECRET_KEY", "benchmark"),
    )
    database.prepare(app.config["DATABASE"])
    app.teardown_appcontext(database.close)
    app.register_blueprint(pages.blueprint)
    app.register_blueprint(accounts.blueprint)
    app.register_blueprint(api.blueprint)
    return app
