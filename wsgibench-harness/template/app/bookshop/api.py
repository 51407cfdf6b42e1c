"""The JSON interface."""

from flask import Blueprint, jsonify, request, url_for
from werkzeug.exceptions import HTTPException

from .accounts import required
from .database import connect

blueprint = Blueprint("api", __name__, url_prefix="/api")


@blueprint.errorhandler(HTTPException)
def refused(error):
    """Returns errors as JSON."""
    return jsonify(error=error.description), error.code


@blueprint.get("/books/<int:number>")
def book(number):
    connection = connect()
    row = connection.execute("SELECT * FROM book WHERE id = ?", (number,)).fetchone()
    if row is None:
        return jsonify(error="no such book"), 404
    stars = connection.execute("SELECT COUNT(*), AVG(stars) FROM review WHERE book_id = ?", (number,)).fetchone()
    return jsonify(dict(row) | {"reviews": stars[0], "stars": stars[1]})


@blueprint.post("/reviews")
def add_review():
    account = required()
    given = request.get_json()
    if not isinstance(given, dict):
        return jsonify(error="send an object"), 400
    number, stars, body = given.get("book"), given.get("stars"), given.get("body")
    if not isinstance(stars, int) or not 1 <= stars <= 5 or not isinstance(body, str) or not body.strip():
        return jsonify(error="a review has 1 to 5 stars and a body"), 400
    connection = connect()
    if connection.execute("SELECT 1 FROM book WHERE id = ?", (number,)).fetchone() is None:
        return jsonify(error="no such book"), 404
    with connection:
        added = connection.execute(
            "INSERT INTO review (book_id, account_id, stars, body) VALUES (?, ?, ?, ?)",
            (number, account["id"], stars, body),
        )
    answer = jsonify(id=added.lastrowid, book=number, stars=stars)
    return answer, 201, {"Location": url_for("pages.book", number=number)}
