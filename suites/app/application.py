"""The application of every server in the suite: plain WSGI (PEP 3333), one route for each scenario.

`application:application` and `application:app` name the same callable. A request costs one dictionary
look-up before its handler runs, so that `/`, the two-byte ping of both studies, measures the server and not us.
"""

import accounts
import conformance
import database
import faults
import messages
import transfer
import work


def ping(environ, start_response):
    # A fresh list each time: PEP 3333 lets a server change the one it is given.
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"OK"]


def not_found(environ, start_response):
    return messages.text(start_response, "404 Not Found", "no such route\n")


def other(environ, start_response):
    """Handles paths without a direct route: those below /conformance/, which are never timed, and unknown ones."""
    return (conformance.route(environ.get("PATH_INFO", "")) or not_found)(environ, start_response)


ROUTES = {
    "/": work.planted(ping),
    "/json": messages.json_answer,
    "/headers": messages.headers,
    "/echo": messages.echo,
    "/download": transfer.download,
    "/stream": transfer.stream,
    "/upload": transfer.upload,
    "/login": accounts.login,
    "/account": accounts.account,
    "/cpu": work.cpu,
    "/database": database.row,
    "/sleep": work.sleep,
    "/pid": faults.pid,
    "/leak": faults.leak,
    "/raise": faults.raise_error,
    "/exit": faults.exit_worker,
    "/wrong-type": faults.wrong_type,
}


def application(environ, start_response):
    return ROUTES.get(environ.get("PATH_INFO"), other)(environ, start_response)


app = application
