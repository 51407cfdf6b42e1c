"""Tests of the behaviour that the benchmark relies on. Run: python -m unittest discover tests"""

import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "app"))

from bookshop import create_app
from bookshop.database import BOOKS, PASSWORD


class Bookshop(unittest.TestCase):
    def setUp(self):
        self.client = self.start()

    def start(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return create_app(os.path.join(folder.name, "test.sqlite3")).test_client()

    def sign_in(self, password=PASSWORD):
        return self.client.post("/login", data={"name": "reader1", "password": password})

    def test_pages_answer(self):
        for path in ["/", "/health", "/login", "/books", "/books?subject=music&page=2", f"/books/{BOOKS}"]:
            self.assertEqual(self.client.get(path).status_code, 200, path)
        for path in ["/books?subject=none", "/books?page=0", f"/books/{BOOKS + 1}", f"/api/books/{BOOKS + 1}"]:
            self.assertEqual(self.client.get(path).status_code, 404, path)

    def test_a_list_has_twenty_books(self):
        self.assertEqual(self.client.get("/books").text.count("<tr>"), 21)

    def test_the_same_data_at_each_start(self):
        self.assertEqual(self.client.get("/").data, self.start().get("/").data)

    def test_only_who_signed_in_may_review(self):
        review = {"book": 7, "stars": 5, "body": "read it twice"}
        self.assertEqual(self.client.post("/api/reviews", json=review).status_code, 401)
        self.assertEqual(self.sign_in("wrong").status_code, 401)
        self.assertEqual(self.sign_in().status_code, 303)
        before = self.client.get("/api/books/7").json["reviews"]
        self.assertEqual(self.client.post("/api/reviews", json=review).status_code, 201)
        self.assertEqual(self.client.get("/api/books/7").json["reviews"], before + 1)
        self.assertIn("read it twice", self.client.get("/books/7").text)
        self.client.post("/logout")
        self.assertEqual(self.client.post("/api/reviews", json=review).status_code, 401)

    def test_bad_reviews_are_refused(self):
        self.sign_in()
        for review in [{"book": 7}, {"book": 7, "stars": 6, "body": "x"}, {"book": 7, "stars": 1, "body": " "}, []]:
            self.assertEqual(self.client.post("/api/reviews", json=review).status_code, 400, review)
        unknown = {"book": BOOKS + 1, "stars": 1, "body": "x"}
        self.assertEqual(self.client.post("/api/reviews", json=unknown).status_code, 404)
        self.assertEqual(self.client.post("/api/reviews", data="{", content_type="application/json").status_code, 400)


if __name__ == "__main__":
    unittest.main()
