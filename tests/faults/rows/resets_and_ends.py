"""The peer resets the connection, or ends its side, in every state that a connection can be in."""
import os
import socket
import threading

from harness import ALL, CHAT, ECHO, HTTP, PROXY, SMTP, row, under_test, until
from injection import stopped
from peers import FLOODS, GET, PARTS, connect, fill, quiet, receive, receive_all, reset

ROUNDS = 20
LARGE = 2_000_000
CLOSING_GET = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def after_each(program, before, what):
    until(lambda: program.connections() == before, 3, f"after {what}: no connection is left")


@row(*ALL)
def a_reset_of_a_connection_that_is_new_or_was_not_accepted_yet(service):
    with under_test(service) as program, quiet(program):
        before = program.connections()
        for _ in range(ROUNDS):
            reset(program.connect())
        with stopped(program.pid):
            peers = [program.connect() for _ in range(ROUNDS)]
            for number, peer in enumerate(peers):
                if number % 2:
                    peer.sendall(b"something\r\n")
                reset(peer)
        after_each(program, before, "the resets")


@row(*ALL)
def a_reset_in_the_middle_of_a_message(service):
    with under_test(service) as program, quiet(program):
        before = program.connections()
        for _ in range(ROUNDS):
            client = program.client()
            client.exchange()
            client.peer.sendall(PARTS[service.talk])
            reset(client.peer)
        after_each(program, before, "the resets")


@row(*ALL)
def a_reset_while_it_is_paused_behind_a_full_send_buffer(service):
    with under_test(service) as program, quiet(program):
        before = program.connections()
        for _ in range(5):
            peer = program.connect()
            assert fill(peer, FLOODS[service.talk], stall=0.2) > 0
            reset(peer)
        after_each(program, before, "the resets")


@row(HTTP, SMTP, CHAT)
def a_reset_after_the_program_closed(service):
    arguments = ["--size", str(LARGE)] if service is HTTP else []
    with under_test(service, *arguments) as program:
        before = program.connections()
        for _ in range(ROUNDS):
            peer = program.connect(receive_buffer=4096)
            if service is HTTP:
                peer.sendall(CLOSING_GET)
                assert receive(peer, 1000).startswith(b"HTTP/1.1 200")  # the rest waits for room
            else:
                goodbye, greeting = {"smtp": (b"QUIT\r\n", b"220 "), "chat": (b"/quit\n", b"* we")}[service.talk]
                peer.sendall(goodbye)
                assert receive(peer, 4) == greeting
            reset(peer)
        after_each(program, before, "the resets")


@row(*ALL)
def an_end_of_a_connection_that_is_new_or_in_the_middle_of_a_message(service):
    with under_test(service) as program, quiet(program):
        before = program.connections()
        for part in (b"", PARTS[service.talk]):
            for _ in range(ROUNDS):
                with program.connect() as peer:
                    peer.sendall(part)
                    peer.shutdown(socket.SHUT_WR)
                    said, end = receive_all(peer)
                    assert end == "eof", (part, said, end)
                    if service.talk == "echo":
                        assert said == part
        after_each(program, before, "the ends")


@row(ECHO, PROXY)
def an_end_behind_a_full_send_buffer_loses_no_byte(service):
    with under_test(service) as program, quiet(program):
        before = program.connections()
        for _ in range(3):
            piece = os.urandom(65536)
            with program.connect() as peer:
                sent = fill(peer, piece, stall=0.2)
                peer.shutdown(socket.SHUT_WR)
                said, end = receive_all(peer)
            expected = (piece * (sent // len(piece) + 1))[:sent]
            assert end == "eof" and said == expected, f"{len(said)} of {sent} bytes, {end}"
        after_each(program, before, "the ends")


@row
def an_end_after_a_large_request_gets_the_whole_reply():
    with under_test(HTTP, "--size", str(LARGE)) as program:
        before = program.connections()
        for _ in range(5):
            with program.connect() as peer:
                peer.sendall(GET)
                peer.shutdown(socket.SHUT_WR)
                said, end = receive_all(peer)
            assert end == "eof" and len(said.partition(b"\r\n\r\n")[2]) == LARGE, (len(said), end)
        after_each(program, before, "the ends")


@row(HTTP, SMTP, CHAT)
def both_sides_end_at_the_same_time(service):
    goodbye, reply = {
        "http": (CLOSING_GET, b"200 OK"), "smtp": (b"QUIT\r\n", b"\r\n221 "),
        "chat": (b"/quit\n", b"* goodbye\n"),
    }[service.talk]
    with under_test(service) as program, quiet(program):
        before = program.connections()
        for _ in range(ROUNDS):
            with stopped(program.pid):
                peer = program.connect()
                peer.sendall(goodbye)
                peer.shutdown(socket.SHUT_WR)
            said, end = receive_all(peer)
            assert end == "eof", end
            assert reply in said, said
            peer.close()
        after_each(program, before, "the ends")


@row(ECHO, PROXY)
def resets_of_many_at_once_beside_one_that_transfers(service):
    with under_test(service) as program:
        before = program.connections()
        sent = os.urandom(4_000_000)
        with connect(program.port) as peer:
            sender = threading.Thread(target=peer.sendall, args=(sent,))
            sender.start()
            for _ in range(10):
                others = [program.connect() for _ in range(50)]
                for other in others:
                    reset(other)
            assert receive(peer, len(sent)) == sent
            sender.join()
        after_each(program, before, "the resets")
