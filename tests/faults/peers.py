"""The other side: clients, well-behaved and hostile. Run as a program it is the quiet client.

The quiet client says something small ten times a second on each of its connections and checks every answer
and how long it took. It runs in a process of its own, so that a row that is busy itself does not slow it.
"""
import contextlib
import json
import os
import queue
import re
import select
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time

MESSAGES_A_SECOND = 10


def connect(port, host="127.0.0.1", timeout=20, receive_buffer=None, source=None):
    """Connects; `receive_buffer` bytes at the kernel's pleasure (it has a minimum)."""
    peer = socket.socket()
    peer.settimeout(timeout)
    if receive_buffer is not None:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    if source is not None:
        peer.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
        peer.bind((source, 0))
    peer.connect((host, port))
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return peer


def reset(peer):
    """Ends a connection by RST."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


def receive(peer, size):
    """Exactly so many bytes."""
    data = bytearray()
    while len(data) < size:
        more = peer.recv(min(65536, size - len(data)))
        assert more, f"the connection ended after {len(data)} of {size} bytes"
        data += more
    return bytes(data)


def receive_all(peer):
    """What comes until the end, and how that came: `eof` or `reset`."""
    data = bytearray()
    while True:
        try:
            more = peer.recv(65536)
        except (ConnectionResetError, BrokenPipeError):
            return bytes(data), "reset"
        if not more:
            return bytes(data), "eof"
        data += more


def fill(peer, piece, stall=0.5, limit=1 << 30):
    """Sends `piece` over and over without reading until nothing has moved for `stall` seconds. Returns how
    many bytes left. It may end in the middle of a piece."""
    peer.setblocking(False)
    sent = 0
    view = memoryview(piece)
    while sent < limit:
        _, writable, _ = select.select([], [peer], [], stall)
        if not writable:
            break
        sent += peer.send(view[sent % len(piece):])
    peer.settimeout(20)
    return sent


def endless(program, start, piece, limit=64 << 20):
    """Sends for ever, and reads; returns what was answered, how it ended, and how much was sent."""
    with program.connect() as peer:
        peer.setblocking(False)
        answer, sent, left = b"", 0, start
        while sent < limit:
            readable, writable, _ = select.select([peer], [peer], [], 5)
            try:
                if readable:
                    more = peer.recv(65536)
                    if not more:
                        return answer, "eof", sent
                    answer += more
                if writable:
                    count = peer.send(left)
                    sent += count
                    left = left[count:] or piece
            except (ConnectionResetError, BrokenPipeError):
                peer.settimeout(5)
                return answer + receive_all(peer)[0], "reset", sent  # what came before it is still there
            assert readable or writable, "nothing moves"
        return answer, "endless", sent


class Target:
    """Where a proxy passes connections on to: it sends back what comes, or, `scripted`, leaves them to the
    row."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.scripted, self.accepted = False, queue.Queue()
        threading.Thread(target=self._accept, daemon=True).start()

    def accept(self):
        peer = self.accepted.get(timeout=5)
        peer.settimeout(20)
        return peer

    def kill(self):
        self.listener.shutdown(socket.SHUT_RDWR)  # this wakes the thread
        self.listener.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self.listener.accept()
                if self.scripted:
                    self.accepted.put(peer)
                else:
                    threading.Thread(target=self._send_back, args=[peer], daemon=True).start()

    def _send_back(self, peer):
        with peer, contextlib.suppress(OSError):
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while data := peer.recv(65536):
                peer.sendall(data)


GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"

# By how a service speaks: questions whose answers fill every buffer, and a question that is not complete.
FLOODS = {"echo": b"x" * 65536, "http": GET * 1000, "smtp": b"NOOP\r\n" * 10_000, "chat": b"/help\n" * 10_000}
PARTS = {"echo": b"x", "http": GET[:20], "smtp": b"MAIL FR", "chat": b"hel"}

# What a guest of a chat room hears without having asked.
NEWS = re.compile(rb"\* (guest\d+_* (is here|is gone)|you missed \d+ lines)|guest\d+_*: .*")


def encrypt(peer):
    """A TLS client that asks nobody who the server is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(peer, server_hostname="localhost")


class Client:
    """One connection that speaks `echo`, `http`, `smtp` or `chat`, one question after the other; or `tls`, which
    is `echo`, encrypted."""

    def __init__(self, talk, peer):
        if talk == "tls":
            talk, peer = "echo", encrypt(peer)
        self.talk, self.peer, self.count, self.buffer = talk, peer, 0, b""
        if talk == "smtp":
            assert self._line().startswith(b"220 ")
        elif talk == "chat":
            line = b""
            while not line.startswith(b"* welcome"):  # those who were there before are announced too
                line = self._line()
            self.name = re.search(rb"guest\d+_*", line)[0]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if isinstance(self.peer, ssl.SSLSocket):
            with contextlib.suppress(OSError):
                self.peer.unwrap()
        self.peer.close()

    def exchange(self):
        """One question and its answer, which is checked."""
        self.ask()
        while not self.answered():
            pass

    def ask(self):
        self.count += 1
        self.question = {
            "echo": b"%08d from %r\n" % (self.count, self.peer.getsockname()),
            "http": GET,
            "smtp": b"NOOP\r\n",
            "chat": b"/nick %s\n" % getattr(self, "name", b""),
        }[self.talk]
        self.peer.sendall(self.question)

    def answered(self):
        """Reads once; whether the answer is complete. A wrong one fails."""
        more = self.peer.recv(65536)
        assert more, f"{self.talk}: the connection ended after {self.buffer!r}"
        self.buffer += more
        if self.talk == "chat":
            return self._answered_among_news()
        if self.talk == "echo":
            assert self.question.startswith(self.buffer), (self.question, self.buffer)
            size = len(self.question)
        elif self.talk == "smtp":
            assert self.buffer[:4] == b"250 "[:len(self.buffer)], self.buffer
            size = self.buffer.find(b"\n") + 1 or None
        else:
            assert self.buffer.startswith(b"HTTP/1.1 200 "[:len(self.buffer)]), self.buffer
            size = http_size(self.buffer)
        if size is None or len(self.buffer) < size:
            return False
        assert len(self.buffer) == size, f"more than was asked for: {self.buffer!r}"
        self.buffer = b""
        return True

    def _answered_among_news(self):
        *lines, self.buffer = self.buffer.split(b"\n")
        answers = [line for line in lines if not NEWS.fullmatch(line)]
        assert answers in ([], [b"* you are " + self.name]), answers
        return bool(answers)

    def _line(self):
        line = b""
        while not line.endswith(b"\n"):
            line += receive(self.peer, 1)
        return line


def http_size(data):
    """How long the reply at the start of `data` is, once that can be told."""
    head, end, _ = data.partition(b"\r\n\r\n")
    if not end:
        return None
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            return len(head) + 4 + int(line.split(b":")[1])
    raise AssertionError(f"no length in {head!r}")


@contextlib.contextmanager
def quiet(program, connections=1, limit=0.1):
    """Quiet clients beside what the row does. In the end: every answer right, and 99 of 100 within `limit`
    seconds (plus what the machine itself was late, which the quiet process measures by its own wake-ups)."""
    command = [sys.executable, __file__, program.service.talk, str(program.port), str(connections)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "ready\n", "the quiet client could not connect"
            yield
            said, _ = process.communicate(input="", timeout=30)
        finally:
            process.kill()
    result = json.loads(said)
    assert "error" not in result, f"a quiet client: {result['error']}"
    program.note("quiet: {count} answers, p50 {p50:.2f}, p99 {p99:.2f}, worst {worst:.2f} ms".format(**result))
    late = 2 * result["own_lateness"]
    assert result["p99"] <= limit * 1000 + late, f"a quiet client waited: {result}"
    assert result["worst"] <= limit * 3000 + late, f"a quiet client waited: {result}"


def be_quiet(talk, port, count):
    with contextlib.suppress(PermissionError):
        os.nice(-10)  # what is measured is the server, not how this process is scheduled
    clients = [Client(talk, connect(port)) for _ in range(count)]
    for client in clients:
        client.exchange()
    print("ready", flush=True)
    delays, lateness = [], []
    due = time.monotonic()
    try:
        is_last = False
        while not is_last:  # one more round when the fault is over
            is_last = bool(select.select([sys.stdin], [], [], max(0, due - time.monotonic()))[0])
            lateness.append(max(0, time.monotonic() - due))
            waiting = {}
            for client in clients:
                waiting[client.peer] = (client, time.monotonic())
                client.ask()
            while waiting:
                readable, _, _ = select.select(list(waiting), [], [], 20)
                assert readable, f"no answer within 20 s to {len(waiting)} of {count}"
                for peer in readable:
                    client, begin = waiting[peer]
                    if client.answered():
                        delays.append(time.monotonic() - begin)
                        del waiting[peer]
            due = max(due + 1 / MESSAGES_A_SECOND, time.monotonic())
    except (AssertionError, OSError) as error:
        return {"error": f"after {len(delays)} answers: {error!r}"}
    delays.sort()
    part = lambda share: 1000 * delays[min(len(delays) - 1, int(share * len(delays)))] if delays else 0
    return {"count": len(delays), "p50": part(0.5), "p99": part(0.99), "worst": part(1),
            "own_lateness": 1000 * max(lateness, default=0)}


if __name__ == "__main__":
    print(json.dumps(be_quiet(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
