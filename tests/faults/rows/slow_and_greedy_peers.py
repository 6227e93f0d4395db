"""Peers that say too little, too slowly, or too much. Time limits end the first, limits the last; memory
stays where it was, and quiet clients do not notice."""
import contextlib
import os
import select
import subprocess
import sys
import time

import peers
from harness import ALL, ECHO, HTTP, SMTP, row, under_test, until, watch_idle
from injection import stopped
from peers import GET, connect, fill, quiet, receive, receive_all

MIB = 1024 * 1024
A_DEAF_PEER = 768 * 1024  # what waits to be sent, and what came in the meantime


@row
def five_hundred_silent_peers_of_an_echo_server_wake_nobody():
    with under_test(ECHO) as program:
        silent = [program.connect() for _ in range(500)]
        until(lambda: program.connections() == 500, 5, "all are accepted")
        calls, cpu = watch_idle(program)
        assert not calls and cpu < 0.01, (calls[:5], cpu)
        for peer in silent:
            peer.close()


@row
def five_hundred_silent_peers_of_an_http_server_are_sent_away():
    first_byte = 10
    with under_test(HTTP) as program, quiet(program):
        begin = time.monotonic()
        silent = [program.connect() for _ in range(500)]
        ends = []
        for peer in silent:
            said, end = receive_all(peer)
            ends.append(time.monotonic() - begin)
            assert said == b"" and end == "eof", (said, end)
            peer.close()
        assert first_byte - 0.1 <= ends[0] and ends[-1] <= first_byte + 2, (ends[0], ends[-1])


@row
def two_hundred_slow_heads_are_cut_off_in_time():
    # A byte every two seconds does not keep a request alive: 30 s for all of it.
    whole_request = 30
    head = GET[:-2] + b"X-Slow: " + b"x" * 100
    with under_test(HTTP) as program, quiet(program):
        begin = time.monotonic()
        slow = [program.connect() for _ in range(200)]
        for turn in range(whole_request // 2 - 1):
            for peer in slow:
                peer.sendall(head[turn:turn + 1])
            time.sleep(max(0, begin + 2 * (turn + 1) - time.monotonic()))
        for peer in slow:
            said, end = receive_all(peer)
            assert said.startswith(b"HTTP/1.1 408 ") and end == "eof", (said, end)
            peer.close()
        took = time.monotonic() - begin
        assert whole_request - 1 <= took <= whole_request + 2, took


def one_byte_at_a_time(program, data, answer_size):
    with program.connect() as peer:
        got = b""
        for index in range(len(data)):
            peer.sendall(data[index:index + 1])
            while select.select([peer], [], [], 0)[0]:
                got += peer.recv(1)
        return got + b"".join(receive(peer, 1) for _ in range(answer_size - len(got)))


@row
def one_byte_at_a_time_to_http_is_answered_as_in_one_piece():
    with under_test(HTTP) as program, quiet(program):
        with program.connect() as peer:
            peer.sendall(GET)
            answer = peer.recv(65536)
        cpu = program.cpu()
        assert one_byte_at_a_time(program, GET * 100, len(answer) * 100) == answer * 100
        cpu = program.cpu() - cpu
        program.note(f"{1e6 * cpu / len(GET * 100):.0f} us CPU a byte")
        assert cpu / len(GET * 100) < 100e-6, cpu


@row
def one_byte_at_a_time_to_smtp_is_answered_as_in_one_piece():
    mail = (b"EHLO me\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n"
            b"Subject: slow\r\n\r\n..\r\ntext\r\n.\r\nQUIT\r\n")
    with under_test(SMTP) as program, quiet(program):
        with program.connect() as peer:
            peer.sendall(mail)
            answer, end = receive_all(peer)
        assert end == "eof" and answer.count(b"\r\n250 ") == 4 and b"\r\n221 " in answer, answer
        slowly = one_byte_at_a_time(program, mail, len(answer))
        as_first = lambda said: said.replace(b" 2", b" 1")  # the mails' numbers differ
        assert as_first(slowly) == as_first(answer), slowly


@row
def one_byte_at_a_time_through_an_echo_server():
    sent = os.urandom(20_000)
    with under_test(ECHO) as program, quiet(program):
        assert one_byte_at_a_time(program, sent, len(sent)) == sent


@row
def small_receive_buffers_lose_no_byte():
    # The kernel makes 2,304 of 1: every send of the server is short.
    with under_test(HTTP, "--size", "1000000") as program:
        clients = [peers.connect(program.port, receive_buffer=1) for _ in range(10)]
        for peer in clients:
            peer.sendall(GET)
        for peer in clients:
            start = receive(peer, 500)
            size = peers.http_size(start)
            got = start + receive(peer, size - len(start))
            body = got.partition(b"\r\n\r\n")[2]
            assert body == (b"Hello, world!\n" * 71429)[:1_000_000]
            peer.close()


def endless(program, start, piece, limit=64 * MIB):
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
                return answer, "reset", sent
            assert readable or writable, "nothing moves"
        return answer, "endless", sent


@contextlib.contextmanager
def bounded(program, growth=4 * MIB):
    """The program's memory may not grow by more."""
    before = program.rss()
    yield
    grown = program.rss() - before
    program.note(f"RSS {grown / MIB:+.1f} MiB")
    assert grown <= growth, f"{grown / MIB:.1f} MiB more"


@row
def an_endless_request_line_or_head_is_refused_at_the_limit():
    cases = (
        (b"GET /", b"x" * 65536, b"HTTP/1.1 414 "),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: ", b"x" * 65536, b"HTTP/1.1 431 "),
        (b"GET / HTTP/1.1\r\nHost: a\r\n", b"X: y\r\n" * 1000, b"HTTP/1.1 431 "),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n", b"x" * 65536, b"HTTP/1.1 413 "),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
         b"1000\r\n" + b"x" * 4096 + b"\r\n", b"HTTP/1.1 413 "),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;x=", b"x" * 65536,
         b"HTTP/1.1 400 "),
    )
    with under_test(HTTP) as program, quiet(program), bounded(program):
        for start, piece, status in cases:
            for _ in range(5):
                answer, end, sent = endless(program, start, piece)
                assert end in ("eof", "reset"), (status, end, sent)
                assert answer.startswith(status), f"wanted {status}, got {answer[:80]} ({end} after {sent})"


@row
def a_refusal_is_heard_by_a_client_that_sends_first_and_reads_then():
    head = b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 20_000 + b"\r\n"
    with under_test(HTTP) as program:
        for _ in range(20):
            with program.connect() as peer:
                try:
                    peer.sendall(head)
                except (ConnectionResetError, BrokenPipeError):
                    pass
                answer, _ = receive_all(peer)
            assert answer.startswith(b"HTTP/1.1 431 "), "the reply was lost with a reset"


@row
def an_endless_line_to_smtp_is_refused_and_kept_nowhere():
    with under_test(SMTP) as program, quiet(program):
        with program.connect() as peer:
            peer.sendall(b"EHLO " + b"x" * 100_000 + b"\r\nNOOP\r\n")
            said = b""
            while said.count(b"\r\n") < 3:
                said += peer.recv(65536)
            assert b"\r\n500 " in said and b"\r\n250 " in said, said
        with bounded(program):
            _, end, sent = endless(program, b"EHLO ", b"x" * 65536, 32 * MIB)
        program.note(f"{end} after {sent / MIB:.0f} MiB")


@row
def an_endless_mail_is_refused_at_the_limit():
    start = b"EHLO me\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n"
    line = b"x" * 900 + b"\r\n"
    with under_test(SMTP, "--largest", "2") as program, quiet(program):
        with bounded(program, 8 * MIB):
            endless(program, start, line * 100, 32 * MIB)
        with program.connect() as peer:
            peer.sendall(start + line * 5000 + b".\r\nQUIT\r\n")
            said, end = receive_all(peer)
            assert b"\r\n552 " in said and end == "eof", (said, end)


@row(*ALL)
def fifty_peers_that_never_read_cost_a_bounded_amount(service):
    arguments = ["--size", "100000"] if service is HTTP else []
    flood = {"echo": b"x" * 65536, "http": GET * 1000, "smtp": b"NOOP\r\n" * 10_000}[service.talk]
    with under_test(service, *arguments) as program, quiet(program):
        deaf = [program.connect() for _ in range(50)]
        with bounded(program, len(deaf) * A_DEAF_PEER):
            for peer in deaf:
                fill(peer, flood, stall=0.1, limit=64 * MIB)
        cpu = program.cpu()
        time.sleep(1)
        cpu = program.cpu() - cpu
        assert cpu < 0.1, f"{cpu:.0%} CPU while nobody reads"
        for peer in deaf:
            peer.close()


@row
def a_peer_that_reads_again_gets_every_byte():
    with under_test(ECHO) as program, quiet(program):
        for _ in range(3):
            piece = os.urandom(65536)
            with program.connect() as peer:
                sent = fill(peer, piece, stall=0.2)
                time.sleep(0.5)
                assert receive(peer, sent) == (piece * (sent // len(piece) + 1))[:sent]


BULK = """
import hashlib, os, sys, threading
sys.path.insert(0, sys.argv[1])
import peers
data = os.urandom(1 << 20) * int(sys.argv[3])
with peers.connect(int(sys.argv[2]), timeout=60) as peer:
    print("ready", flush=True)
    sender = threading.Thread(target=peer.sendall, args=(data,))
    sender.start()
    assert peers.receive(peer, len(data)) == data
    sender.join()
print("equal", flush=True)
"""


@row
def a_peer_that_is_stopped_and_goes_on_gets_every_byte():
    with under_test(ECHO) as program, quiet(program):
        folder = os.path.dirname(peers.__file__)
        with subprocess.Popen([sys.executable, "-c", BULK, folder, str(program.port), "64"],
                              stdout=subprocess.PIPE, text=True) as client:
            try:
                assert client.stdout.readline() == "ready\n"
                before = program.rss()
                for _ in range(4):
                    with stopped(client.pid):
                        time.sleep(0.5)
                        assert program.rss() - before < 2 * MIB, program.rss() - before
                    time.sleep(0.02)
                assert client.stdout.readline() == "equal\n"
            finally:
                client.kill()


@row
def a_peer_that_is_silent_beyond_the_idle_limit_is_sent_away():
    with under_test(ECHO, "--idle-timeout", "1") as program:
        with connect(program.port) as busy, connect(program.port) as silent:
            begin = time.monotonic()
            while time.monotonic() < begin + 0.9:
                busy.sendall(b"x")
                assert receive(busy, 1) == b"x"
                time.sleep(0.1)
            assert receive_all(silent) == (b"", "eof")
            assert 0.99 <= time.monotonic() - begin <= 1.2
            busy.sendall(b"still here")
            assert receive(busy, 10) == b"still here"
