"""A server whose requests wait for something known: `planted.py PORT PLANT`. It closes each connection after its response.

`imbalanced`, `balanced`: two workers that get 7:3 or 5:5 of the connections. `queued`: accepts 50 connections a second.
`overflowing`: the same with room for two connections in its accept queue. `busy`: works on each request, one after the other.
"""

import contextlib
import os
import socket
import sys
import time

RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK"


def respond(connection, work):
    # The load may end at any time, and resets its connections.
    with connection, contextlib.suppress(OSError):
        if not connection.recv(4096):
            return
        for _ in range(work):
            pass
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


port, plant = int(sys.argv[1]), sys.argv[2]
listening = socket.create_server(("0.0.0.0", port), backlog=1 if plant == "overflowing" else 128)
print("serving on port", port, flush=True)
if plant == "imbalanced":
    dispatch(listening, [0, 1, 0, 0, 1, 0, 0, 1, 0, 0])
elif plant == "balanced":
    dispatch(listening, [0, 1])
else:
    serve(listening, 0 if plant == "busy" else 0.02, 100_000 if plant == "busy" else 0)
