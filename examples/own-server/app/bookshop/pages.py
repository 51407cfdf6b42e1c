"""The HTML pages."""

from flask import Blueprint, abort, render_template, request

from .database import SUBJECTS, connect

blueprint = Blueprint("pages", __name__)

PAGE = 20


@blueprint.get("/health")
def health():
    """Reports ready once the database responds."""
    connect().execute("SELECT 1 FROM book LIMIT 1").fetchone()
    return "OK", {"Content-Type": "text/plain"}


@blueprint.get("/")
def home():
    best = connect().execute(
        """SELECT book.id, title, author, AVG(stars) AS stars, COUNT(*) AS reviews
           FROM book JOIN review ON review.book_id = book.id
           WHERE book.id <= 100 GROUP BY book.id ORDER BY stars DESC, reviews DESC, book.id LIMIT 10"""
    ).fetchall()
    return render_template("home.html", best=best, subjects=SUBJECTS)


@blueprint.get("/books")
def books():
    subject = request.args.get("subject", "")
    page = request.args.get("page", 1, type=int)
    if page < 1 or (subject and subject not in SUBJECTS):
        abort(404)
    rows = connect().execute(
        """SELECT id, title, author, subject, year, price_cents FROM book
           WHERE ?1 = '' OR subject = ?1 ORDER BY title LIMIT ?2 OFFSET ?3""",
        (subject, PAGE, PAGE * (page - 1)),
    ).fetchall()
    return render_template("books.html", books=rows, subject=subject, page=page, more=len(rows) == PAGE)


@blueprint.get("/books/<int:number>")
def book(number):
    connection = connect()
    row = connection.execute("SELECT * FROM book WHERE id = ?", (number,)).fetchone()
    if row is None:
        abort(404)
    reviews = connection.execute(
        """SELECT stars, body, account.name AS reader FROM review JOIN account ON account.id = account_id
           WHERE book_id = ? ORDER BY review.id DESC LIMIT 20""",
        (number,),
    ).fetchall()
    return render_template("book.html", book=row, reviews=reviews)
