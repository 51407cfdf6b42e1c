"""A pre-fork server: a parent that respawns two threaded workers which share its listener. The first request of a
connection is answered at once; each later one takes a second, and is noted in the log (the first argument) when it
is begun and when it is answered. Prints the port. The workers end with the parent."""
import os, socket, sys, threading, time

log = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(512)


def note(event):
    os.write(log, f"{event} {os.getpid()}\n".encode())


def talk(sock):
    buffer, first = b"", True
    try:
        while True:
            while b"\r\n\r\n" not in buffer:
                data = sock.recv(65536)
                if not data:
                    return
                buffer += data
            _, buffer = buffer.split(b"\r\n\r\n", 1)
            if not first:
                note("begun")
                time.sleep(1)
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK")
            if not first:
                note("answered")
            first = False
    except OSError:
        pass
    finally:
        sock.close()


def worker(parent):
    def watch():
        while os.getppid() == parent:
            time.sleep(0.2)
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()
    while True:
        sock, _ = listener.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=talk, args=(sock,), daemon=True).start()


def spawn():
    parent = os.getpid()
    if os.fork() == 0:
        worker(parent)


spawn()
spawn()
print(listener.getsockname()[1], flush=True)
while True:
    os.wait()
    spawn()
