"""Sign-in without server-side state: the cookie contains the name and its signature."""

import hashlib
import hmac
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from body import read_pieces
from messages import text

KEY = b"the same in every worker, and no secret"
PASSWORD = "correct horse"
COOKIE = "session"
FORM_MOST = 4096

PAGE = b"""<!doctype html><title>Sign in</title>
<form method="post"><input name="name"><input name="password" type="password"><button>Sign in</button></form>
"""


def signed(name):
    return name + "." + hmac.new(KEY, name.encode("utf-8"), hashlib.sha256).hexdigest()


def name_of(environ):
    """Returns the name in the session cookie, `None` if it is missing or its signature is invalid."""
    try:
        morsel = SimpleCookie(environ.get("HTTP_COOKIE", "")).get(COOKIE)
    except CookieError:
        return None
    if morsel is None:
        return None
    name = morsel.value.rpartition(".")[0]
    return name if hmac.compare_digest(signed(name).encode("utf-8"), morsel.value.encode("utf-8")) else None


def redirect(start_response, path, *headers):
    body = b"this way\n"
    answer = [("Location", path), ("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
    start_response("303 See Other", answer + list(headers))
    return [body]


def login(environ, start_response):
    if environ["REQUEST_METHOD"] != "POST":
        start_response("200 OK", [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(PAGE)))])
        return [PAGE]
    form = b"".join(read_pieces(environ))
    if len(form) > FORM_MOST:
        return text(start_response, "413 Content Too Large", "that is no name\n")
    fields = parse_qs(form.decode("utf-8", "replace"))
    name, password = (fields.get(key, [""])[0] for key in ("name", "password"))
    if not name.isalnum() or password != PASSWORD:
        return text(start_response, "403 Forbidden", "no such account\n")
    return redirect(start_response, "/account", ("Set-Cookie", COOKIE + "=" + signed(name) + "; Path=/; HttpOnly"))


def account(environ, start_response):
    name = name_of(environ)
    if name is None:
        return redirect(start_response, "/login")
    return text(start_response, "200 OK", "signed in as " + name + "\n")
