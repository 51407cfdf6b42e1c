"""The server that the whole bench's test measures: the standard library alone, `serve.py PORT [SECONDS]`; it waits for SECONDS
before it responds to `/delayed`.

Set-up commands create the file `seeded` in the folder named by `SEEDS`.
"""

import os
import sys
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def answer(self, status, body=b"OK", **headers):
        self.send_response_only(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/me":
            signed_in = "session=ada" in self.headers.get("Cookie", "")
            return self.answer(200, b"ada") if signed_in else self.answer(401, b"who are you?")
        if self.path == "/store":
            with urllib.request.urlopen("http://store:9000/seeds") as answer:
                return self.answer(200, answer.read())
        if self.path == "/seeds":
            return self.answer(200, " ".join(sorted(SEEDS)).encode())
        if self.path == "/delayed":
            time.sleep(float(sys.argv[2]))
        if self.path == "/last":
            LAST.append(self.path)
            if len(LAST) > 60:
                os._exit(3)
            return self.answer(200)
        if self.path == "/address":
            return self.answer(200, self.headers.get("Host", "").encode())
        self.answer(200)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/login":
            right = body == b"name=ada"
            return self.answer(200, Set_Cookie="session=ada; Path=/") if right else self.answer(403, b"no")
        if self.path == "/seeds":
            SEEDS.add(body.decode())
            return self.answer(201)
        self.answer(201, str(len(body)).encode())

    def do_DELETE(self):
        SEEDS.clear()
        self.answer(204, b"")

    def log_message(self, *args):
        pass


SEEDS = set()
LAST = []

if __name__ == "__main__":
    server = ThreadingHTTPServer(("0.0.0.0", int(sys.argv[1])), Handler)
    server.daemon_threads = True
    server.request_queue_size = 128
    print("serving on port", sys.argv[1], os.getpid(), flush=True)
    server.serve_forever()
