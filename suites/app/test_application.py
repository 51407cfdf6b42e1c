"""`python3 -m unittest` in this folder: each route through the standard library's PEP 3333 validator."""

import hashlib
import importlib
import io
import json
import os
import time
import unittest
from unittest import mock
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import accounts
import application
import conformance
import database
import faults
import messages
import transfer
import work


class Pieces(io.BytesIO):
    """A body that remembers the largest piece it was asked for."""

    largest = 0

    def read(self, size=-1):
        self.largest = max(self.largest, size)
        return super().read(size)


def ask(path, method="GET", query="", body=None, checked=True, app=None, **environ):
    environ.update(SCRIPT_NAME="", PATH_INFO=path, REQUEST_METHOD=method, QUERY_STRING=query)
    if body is not None:
        environ["wsgi.input"] = body if hasattr(body, "read") else io.BytesIO(body)
    setup_testing_defaults(environ)
    answer = {}

    def start_response(status, headers, exc_info=None):
        answer.update(status=status, headers=dict(headers), count=len(headers))
        return lambda data: None

    app = app or application.application
    chunks = (validator(app) if checked else app)(environ, start_response)
    try:
        answer["pieces"] = list(chunks)
    finally:
        if hasattr(chunks, "close"):
            chunks.close()
    answer["body"] = b"".join(answer["pieces"]) if checked else answer["pieces"]
    return answer


class Ping(unittest.TestCase):
    def test_root_is_the_ping_of_the_studies(self):
        answer = ask("/")
        self.assertEqual(answer["status"], "200 OK")
        self.assertEqual(answer["headers"], {"Content-Type": "text/plain", "Content-Length": "2"})
        self.assertEqual(answer["body"], b"OK")

    def test_both_names_are_the_same_callable(self):
        self.assertIs(application.app, application.application)

    def test_header_list_is_new_for_each_request(self):
        seen = []
        for _ in range(2):
            application.ping({}, lambda status, headers: seen.append(headers))
        self.assertIsNot(seen[0], seen[1])

    def test_handler_is_unwrapped_without_planted_work(self):
        self.assertIs(application.ROUTES["/"], application.ping)

    def test_planted_work_adds_time_and_keeps_the_response(self):
        with mock.patch.dict(os.environ, {work.PLANTED_WORK: "200000"}):
            slowed = work.planted(application.ping)
        start = time.process_time()
        answer = ask("/", app=slowed)
        self.assertEqual(answer["body"], b"OK")
        self.assertGreater(time.process_time() - start, 0.001)

    def test_zero_and_empty_mean_no_planted_work(self):
        for value in ("0", ""):
            with mock.patch.dict(os.environ, {work.PLANTED_WORK: value}):
                self.assertIs(work.planted(application.ping), application.ping)

    def test_an_unknown_route_is_not_found(self):
        self.assertEqual(ask("/nowhere")["status"], "404 Not Found")


class Messages(unittest.TestCase):
    def test_json(self):
        answer = ask("/json")
        self.assertEqual(json.loads(answer["body"]), messages.JSON_VALUE)
        self.assertEqual(answer["headers"]["Content-Length"], str(len(answer["body"])))

    def test_thirty_headers_are_returned(self):
        answer = ask("/headers", **{f"HTTP_X_IN_{n:02}": f"v{n}" for n in range(1, 31)})
        self.assertEqual((answer["status"], answer["body"]), ("200 OK", b"30"))
        for n in range(1, 31):
            self.assertEqual(answer["headers"][f"X-Out-{n:02}"], f"v{n}")

    def test_a_missing_header_is_named(self):
        answer = ask("/headers", **{f"HTTP_X_IN_{n:02}": "v" for n in range(1, 30)})
        self.assertEqual(answer["status"], "400 Bad Request")
        self.assertIn(b"HTTP_X_IN_30", answer["body"])

    def test_echo(self):
        answer = ask("/echo", "POST", "a=b", b"hello", CONTENT_LENGTH="5", CONTENT_TYPE="text/x")
        self.assertEqual(answer["body"], b"hello")
        self.assertEqual(answer["headers"]["Content-Type"], "text/x")
        self.assertEqual((answer["headers"]["X-Method"], answer["headers"]["X-Query"]), ("POST", "a=b"))

    def test_echo_of_an_empty_body(self):
        self.assertEqual(ask("/echo")["headers"]["Content-Length"], "0")


class Transfer(unittest.TestCase):
    def test_download_is_a_mebibyte_with_its_digest(self):
        answer = ask("/download")
        self.assertEqual(len(answer["body"]), 1024 * 1024)
        self.assertEqual(answer["headers"]["X-Body-Sha256"], hashlib.sha256(answer["body"]).hexdigest())
        # The same bytes on every Python and in every run.
        self.assertTrue(transfer.DOWNLOAD_SHA256.startswith("446ac463ebaff50a"))

    def test_stream_has_pieces_and_no_length(self):
        answer = ask("/stream")
        self.assertEqual([len(piece) for piece in answer["pieces"]], [4096] * 16)
        self.assertNotIn("Content-Length", answer["headers"])
        self.assertEqual(answer["headers"]["X-Body-Sha256"], hashlib.sha256(answer["body"]).hexdigest())

    def test_upload_reads_in_small_pieces(self):
        data = os.urandom(1024 * 1024 + 1)
        body = Pieces(data)
        answer = ask("/upload", "POST", body=body, CONTENT_LENGTH=str(len(data)))
        self.assertEqual(
            json.loads(answer["body"]), {"length": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        )
        self.assertEqual(body.largest, 64 * 1024)

    def test_upload_never_reads_beyond_its_length(self):
        body = Pieces(b"0123456789")
        self.assertEqual(json.loads(ask("/upload", "POST", body=body, CONTENT_LENGTH="4")["body"])["length"], 4)
        self.assertEqual(body.read(100), b"456789")

    def test_upload_of_a_chunked_request(self):
        answer = ask("/upload", "POST", body=b"x" * 100_000, HTTP_TRANSFER_ENCODING="chunked")
        self.assertEqual(json.loads(answer["body"])["length"], 100_000)

    def test_upload_until_the_end_of_terminated_input(self):
        answer = ask("/upload", "POST", body=b"abc", **{"wsgi.input_terminated": True})
        self.assertEqual(json.loads(answer["body"])["length"], 3)

    def test_upload_without_length_reads_nothing(self):
        body = Pieces(b"rest of the connection")
        self.assertEqual(json.loads(ask("/upload", "POST", body=body)["body"])["length"], 0)
        self.assertEqual(body.largest, 0)

    def test_truncated_body_is_counted_by_its_received_bytes(self):
        self.assertEqual(json.loads(ask("/upload", "POST", body=b"abc", CONTENT_LENGTH="9")["body"])["length"], 3)

    def test_upload_requires_a_body_method(self):
        self.assertEqual(ask("/upload")["status"], "405 Method Not Allowed")


class Work(unittest.TestCase):
    def test_cpu_result_is_the_same_everywhere(self):
        self.assertEqual(ask("/cpu")["body"], b"1221129777")

    def test_sleep_waits_for_the_requested_time(self):
        start = time.monotonic()
        self.assertEqual(ask("/sleep", query="ms=30")["body"], b"30")
        self.assertGreaterEqual(time.monotonic() - start, 0.03)

    def test_sleep_waits_ten_milliseconds_by_default(self):
        for query in ("", "ms=", "ms=soon"):
            self.assertEqual(ask("/sleep", query=query)["body"], b"10")

    def test_sleep_is_limited(self):
        with mock.patch("time.sleep") as slept:
            ask("/sleep", query="ms=99999999")
        slept.assert_called_once_with(10.0)


class Connection:
    """What the application wants of a driver's connection."""

    opened = 0

    def __init__(self):
        Connection.opened += 1
        self.closed = False
        self.queries = []

    def execute(self, query, values):
        if self.queries and self.queries[-1] == "break":
            self.closed = True
            raise OSError("server closed\n the connection")
        self.queries.append(query)
        self.values = values
        return self

    def fetchone(self):
        number = self.values[0]
        return (number, f"item {number:05}", 7) if number else None

    def close(self):
        self.closed = True


class Database(unittest.TestCase):
    def setUp(self):
        Connection.opened = 0
        # The queue's own state is that of a process that has not asked yet.
        idle = database.queue.LifoQueue()
        for _ in range(2):
            idle.put(None)
        for change in (mock.patch.object(database, "idle", idle), mock.patch.object(database, "connect", Connection)):
            change.start()
            self.addCleanup(change.stop)

    def kept(self):
        return [one for one in database.idle.queue if one]

    def test_rows_are_selected_over_one_pooled_connection(self):
        self.assertEqual(ask("/database", query="id=42")["body"], b'{"id":42,"name":"item 00042","price":7}')
        self.assertEqual(ask("/database")["body"], b'{"id":1,"name":"item 00001","price":7}')
        self.assertEqual(ask("/database", query="id=0")["status"], "404 Not Found")
        self.assertEqual((Connection.opened, len(self.kept())), (1, 1))
        self.assertEqual(self.kept()[0].queries, [database.SELECT] * 3)

    def test_post_updates_the_row(self):
        self.assertEqual(ask("/database", "POST", "id=3", b"", CONTENT_LENGTH="0")["status"], "200 OK")
        self.assertEqual(self.kept()[0].queries, [database.UPDATE])

    def test_broken_connection_is_reported_and_replaced(self):
        ask("/database")
        self.kept()[0].queries.append("break")
        answer = ask("/database")
        self.assertEqual(answer["status"], "503 Service Unavailable")
        self.assertEqual(answer["body"], b"the database cannot be reached: server closed the connection\n")
        self.assertEqual((self.kept(), database.idle.qsize()), ([], 2))
        self.assertEqual(ask("/database")["status"], "200 OK")
        self.assertEqual(Connection.opened, 2)

    def test_missing_database_is_reported(self):
        mock.patch.stopall()
        with mock.patch.dict(os.environ, {database.ADDRESS: ""}):
            for _ in range(database.CONNECTIONS + 1):
                answer = ask("/database")
        self.assertEqual(answer["status"], "503 Service Unavailable")
        self.assertEqual(answer["body"], b"the database cannot be reached: WSGIBENCH_DATABASE is not set\n")

    def test_missing_driver_is_reported(self):
        mock.patch.stopall()
        with mock.patch.dict(os.environ, {database.ADDRESS: "x"}), mock.patch.dict("sys.modules", psycopg=None):
            self.assertIn(b"the driver is not installed", ask("/database")["body"])


class Faults(unittest.TestCase):
    def test_pid(self):
        self.assertEqual(ask("/pid")["body"], str(os.getpid()).encode())

    def test_leaked_bytes_accumulate(self):
        self.addCleanup(faults.LEAKED.clear)
        self.assertEqual(ask("/leak", query="bytes=1000")["body"], b"1000")
        self.assertEqual(ask("/leak", query="bytes=500")["body"], b"1500")

    def test_raise(self):
        with self.assertRaises(RuntimeError):
            ask("/raise")

    def test_exit(self):
        with self.assertRaises(SystemExit):
            ask("/exit")

    def test_hard_exit(self):
        with mock.patch("os._exit", side_effect=SystemExit) as ended, self.assertRaises(SystemExit):
            ask("/exit", query="hard=1")
        ended.assert_called_once_with(faults.EXIT_STATUS)

    def test_wrong_type_returns_text(self):
        self.assertEqual(ask("/wrong-type", checked=False)["body"], ["OK"])
        with self.assertRaises(AssertionError):
            ask("/wrong-type")


class Environment(unittest.TestCase):
    def test_planted_work_is_read_at_import(self):
        self.addCleanup(importlib.reload, application)
        with mock.patch.dict(os.environ, {work.PLANTED_WORK: "10"}):
            importlib.reload(application)
        self.assertIsNot(application.ROUTES["/"], application.ping)
        self.assertEqual(ask("/")["body"], b"OK")


class Conformance(unittest.TestCase):
    def test_received_request_is_reported(self):
        seen = json.loads(
            ask("/conformance/see/caf\xc3\xa9", "POST", "a=%20", b"x\xff", CONTENT_LENGTH="2", HTTP_X_A="1")["body"]
        )
        self.assertEqual((seen["path"], seen["query"]), ("/conformance/see/caf\xc3\xa9", "a=%20"))
        self.assertEqual((seen["body"], seen["headers"]["HTTP_X_A"]), ("x\xff", "1"))

    def test_conforming_server_is_valid(self):
        for more in ({}, {"method": "POST", "body": b"abc", "CONTENT_LENGTH": "3"}):
            self.assertEqual(ask("/conformance/validated", checked=False, **more)["body"], [b"valid"])

    def test_optional_variables_may_be_missing(self):
        environ = {"REQUEST_METHOD": "GET", "QUERY_STRING": ""}
        setup_testing_defaults(environ)
        for name in ("SCRIPT_NAME", "PATH_INFO"):
            environ.pop(name, None)
        said = []
        body = conformance.validated(environ, lambda status, headers: said.append(status))
        self.assertEqual((said, body), (["200 OK"], [b"valid"]))

    def test_fault_of_the_server_is_reported(self):
        answer = ask("/conformance/validated", checked=False, SERVER_PORT=80)
        self.assertEqual(answer["status"], "500 Internal Server Error")
        self.assertIn(b"PEP 3333: ", answer["body"][0])

    def test_conforming_routes_pass_the_validator(self):
        for name in ("see", "unread", "streamed", "cookies", "closed"):
            with mock.patch.object(conformance, "PAUSE_SECONDS", 0), mock.patch("time.sleep"):
                ask("/conformance/" + name, checked=name != "cookies")

    def test_close_is_recorded(self):
        token = "token=%d" % os.getpid()
        with mock.patch("time.monotonic", side_effect=[0, 2]):
            self.assertEqual(ask("/conformance/closed", query=token)["body"], b"open")
        ask("/conformance/closing", query=token)
        self.assertEqual(ask("/conformance/closed", query=token)["body"], b"closed")
        os.remove(conformance.marker({"QUERY_STRING": token}))

    def test_other_paths_are_not_handled(self):
        self.assertEqual(ask("/conformance/nothing")["status"], "404 Not Found")
        self.assertEqual(ask("/conformance")["status"], "404 Not Found")


class Accounts(unittest.TestCase):
    def sign_in(self, body):
        return ask("/login", "POST", body=body, CONTENT_LENGTH=str(len(body)))

    def test_signed_in_visitor_is_recognized(self):
        self.assertIn(b"<form", ask("/login")["body"])
        answer = self.sign_in(b"name=ada1&password=correct+horse")
        self.assertEqual((answer["status"], answer["headers"]["Location"]), ("303 See Other", "/account"))
        cookie = answer["headers"]["Set-Cookie"].split(";")[0]
        self.assertEqual(ask("/account", HTTP_COOKIE=cookie)["body"], b"signed in as ada1\n")

    def test_failed_sign_in_is_redirected(self):
        for body in (b"", b"name=ada&password=wrong", b"name=a.b&password=correct+horse", b"\xff"):
            self.assertEqual(self.sign_in(body)["status"], "403 Forbidden")
        self.assertEqual(self.sign_in(b"x" * 5000)["status"], "413 Content Too Large")
        forged = accounts.signed("ada").replace("ada", "eve")
        for cookie in ("", "session", "session=ada", "session=" + forged, "a=b; session=\xff.\xff"):
            answer = ask("/account", HTTP_COOKIE=cookie)
            self.assertEqual((answer["status"], answer["headers"]["Location"]), ("303 See Other", "/login"), cookie)


if __name__ == "__main__":
    unittest.main()
