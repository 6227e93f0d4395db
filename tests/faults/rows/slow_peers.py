"""Peers that say nothing, or very slowly: time limits end them where there are any, nobody is woken for them,
and quiet clients do not notice."""
import os
import select
import time

from harness import CHAT, ECHO, HTTP, PROXY, SMTP, row, under_test, until, watch_idle
from peers import GET, connect, quiet, receive, receive_all


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


@row(ECHO, PROXY)
def a_peer_that_is_silent_beyond_the_idle_limit_is_sent_away(service):
    with under_test(service, "--idle-timeout", "1") as program:
        with connect(program.port) as busy, connect(program.port) as silent:
            begin = time.monotonic()
            while time.monotonic() < begin + 0.9:
                busy.sendall(b"x")
                assert receive(busy, 1) == b"x"
                time.sleep(0.1)
            assert receive_all(silent) == (b"", "reset" if service is PROXY else "eof")
            assert 0.99 <= time.monotonic() - begin <= 1.2
            busy.sendall(b"still here")
            assert receive(busy, 10) == b"still here"


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


@row(ECHO, PROXY)
def one_byte_at_a_time_through_an_echo_server(service):
    sent = os.urandom(20_000)
    with under_test(service) as program, quiet(program):
        assert one_byte_at_a_time(program, sent, len(sent)) == sent
