"""A server whose requests wait for something known: `planted.py PORT PLANT`. It closes each connection after its response.

`imbalanced`, `balanced`: two workers that get 7:3 or 5:5 of the connections. `queued`: accepts 50 connections a second.
`overflowing`: the same with room for two connections in its accept queue. `busy`: works on each request, one after the other.

A pool of threads that wait for work at the lock of their queue: `sleeping`, `remote` (waits for another program, or for `planted.py PORT remote HOST PORT`), `disk` (waits for
`fsync`), `locked` (most threads wait for a lock), `pooled` (works, so that most threads wait for the interpreter's lock).
"""

import contextlib
import os
import queue
import select
import socket
import sys
import tempfile
import threading
import time

RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK"


def respond(connection, work, request=None):
    # The load may end at any time, and resets its connections.
    with connection, contextlib.suppress(OSError):
        if not connection.recv(4096):
            return
        for _ in range(work):
            pass
        if request:
            request()
        connection.sendall(RESPONSE)
        connection.shutdown(socket.SHUT_WR)


def dispatch(listener, pattern):
    """Passes connections to two workers in the order of a pattern."""
    channels = []
    for _ in range(2):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if os.fork() == 0:
            ours.close()
            while True:
                message, descriptors, _, _ = socket.recv_fds(theirs, 1, 1)
                if not message:
                    os._exit(0)
                respond(socket.socket(fileno=descriptors[0]), 50_000)
        theirs.close()
        channels.append(ours)
    while True:
        for worker in pattern:
            connection, _ = listener.accept()
            socket.send_fds(channels[worker], [b"c"], [connection.fileno()])
            connection.close()


def serve(listener, pause, work):
    while True:
        time.sleep(pause)
        connection, _ = listener.accept()
        respond(connection, work)


def slow_program():
    """Starts another program, which waits 20 ms for each request; returns its port.

    It waits for sockets without load too, so that its own wait is none of a request.
    """
    listener, unused = socket.create_server(("127.0.0.1", 0), backlog=128), socket.socketpair()
    if os.fork() == 0:
        while True:
            select.select([listener], [], [])
            connection, _ = listener.accept()
            select.select([unused[0]], [], [], 0.02)
            with connection, contextlib.suppress(OSError):
                connection.recv(64)
                connection.sendall(b"done")
    return listener.getsockname()[1]


def sleeping():
    time.sleep(0.02)


def remote(address):
    with socket.create_connection(address) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        connection.recv(16)


def disk(file):
    file.write(b"x" * 4096)
    os.fsync(file.fileno())


LOCK = threading.Lock()


def locked():
    with LOCK:
        time.sleep(0.005)


def pooled():
    for _ in range(50_000):
        pass


def serve_by_pool(listener, request):
    jobs = queue.Queue()

    def work():
        while True:
            respond(jobs.get(), 0, request)

    for _ in range(6):
        threading.Thread(target=work, daemon=True).start()
    while True:
        jobs.put(listener.accept()[0])


def request_of(plant):
    if plant == "remote":
        address = (sys.argv[3], int(sys.argv[4])) if len(sys.argv) > 3 else ("127.0.0.1", slow_program())
        return lambda: remote(address)
    if plant == "disk":
        file = tempfile.TemporaryFile(buffering=0)
        return lambda: disk(file)
    return {"sleeping": sleeping, "locked": locked, "pooled": pooled}.get(plant)


port, plant = int(sys.argv[1]), sys.argv[2]
listening = socket.create_server(("0.0.0.0", port), backlog=1 if plant == "overflowing" else 128)
print("serving on port", port, flush=True)
request = request_of(plant)
if request:
    serve_by_pool(listening, request)
elif plant == "imbalanced":
    dispatch(listening, [0, 1, 0, 0, 1, 0, 0, 1, 0, 0])
elif plant == "balanced":
    dispatch(listening, [0, 1])
else:
    serve(listening, 0 if plant == "busy" else 0.02, 100_000 if plant == "busy" else 0)
