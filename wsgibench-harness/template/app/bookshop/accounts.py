"""Sign-in and sign-out with a form and a signed session cookie."""

from flask import Blueprint, abort, g, redirect, render_template, request, session, url_for
from werkzeug.security import check_password_hash

from .database import connect

blueprint = Blueprint("accounts", __name__)


@blueprint.before_app_request
def recognise():
    """Loads the account of the session cookie."""
    number = session.get("account")
    g.account = None
    if number is not None:
        g.account = connect().execute("SELECT id, name FROM account WHERE id = ?", (number,)).fetchone()


@blueprint.get("/login")
def form():
    return render_template("login.html", problem=None)


@blueprint.post("/login")
def sign_in():
    name, password = request.form.get("name", ""), request.form.get("password", "")
    account = connect().execute("SELECT id, password FROM account WHERE name = ?", (name,)).fetchone()
    if account is None or not check_password_hash(account["password"], password):
        return render_template("login.html", problem="Name or password is wrong."), 401
    session.clear()
    session["account"] = account["id"]
    return redirect(url_for("pages.books"), code=303)


@blueprint.post("/logout")
def sign_out():
    session.clear()
    return redirect(url_for("pages.home"), code=303)


def required():
    """Returns the signed-in account, or rejects the request."""
    if g.account is None:
        abort(401, description="sign in first")
    return g.account
