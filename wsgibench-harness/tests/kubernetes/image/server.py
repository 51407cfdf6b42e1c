"""Answers every GET with "OK" on keep-alive connections, or exits at once with a message."""

import socketserver
import sys
import time

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nOK"


class Handler(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True

    def handle(self):
        while True:
            line = self.rfile.readline()
            if not line:
                return
            while self.rfile.readline() not in (b"\r\n", b""):
                pass
            self.wfile.write(ANSWER)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 512


if sys.argv[1] == "broken":
    sys.exit("the configuration is broken")
while sys.argv[1] == "silent":
    time.sleep(1)
Server(("0.0.0.0", int(sys.argv[1])), Handler).serve_forever()
