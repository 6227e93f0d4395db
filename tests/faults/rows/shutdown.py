"""SIGTERM with connections in every state: exit code 0 within the deadline, what was written is sent."""
import os
import socket
import time

from harness import ALL, CHAT, ECHO, HTTP, PROXY, SHUTDOWN, SMTP, row, started
from peers import FLOODS, GET, PARTS, Client, connect, fill, receive_all

SLACK = 0.5


def ends(program, within):
    took = program.end(within=within)
    program.note(f"ended after {took:.2f} s")
    return took


@row(*ALL)
def a_signal_right_after_the_ready_line_ends_it_in_order(service):
    for _ in range(50):
        with started(service) as program:
            program.end(within=1)


GOODBYES = {"echo": b"", "http": b"", "smtp": b"421 ", "chat": b"* the room closes, goodbye\n"}


@row(ECHO, HTTP, SMTP, CHAT)
def idle_connections_end_at_once(service):
    with started(service) as program:
        clients = [program.client() for _ in range(200)]
        for client in clients:
            client.exchange()
        ends(program, within=1)
        for client in clients:
            said, end = receive_all(client.peer)
            assert end == "eof" and GOODBYES[service.talk] in said, (said, end)
            assert said == b"" or GOODBYES[service.talk], said
            client.peer.close()


@row(*ALL)
def with_idle_busy_stuck_and_half_closed_ones_it_ends_by_the_deadline(service):
    arguments = ["--size", "1000000"] if service is HTTP else []
    with started(service, *arguments) as program:
        held = [program.connect() for _ in range(50)]  # idle
        for _ in range(50):  # in the middle of a message
            held.append(program.connect())
            held[-1].sendall(PARTS[service.talk])
        for _ in range(5):  # nobody takes the answers
            held.append(program.connect(receive_buffer=4096))
            fill(held[-1], FLOODS[service.talk], stall=0.05)
        for _ in range(5):  # the same, and the peer has ended its side
            held.append(program.connect(receive_buffer=4096))
            fill(held[-1], FLOODS[service.talk], stall=0.05)
            held[-1].shutdown(socket.SHUT_WR)
        took = ends(program, within=SHUTDOWN + SLACK)
        assert took > 1, "somebody was cut before the deadline"
        for peer in held:
            peer.close()


@row
def what_was_written_before_is_sent_before_the_end():
    piece = os.urandom(65536)
    with started(ECHO) as program, connect(program.port, receive_buffer=65536) as peer:
        sent = fill(peer, piece, stall=0.3, limit=60_000)
        time.sleep(0.2)
        program.process.terminate()
        said, end = receive_all(peer)
        assert end in ("eof", "reset") and said == (piece * 2)[:sent], (len(said), sent, end)
        assert program.process.wait(timeout=2) == 0


@row
def a_reply_under_way_is_finished_before_the_end():
    size = 20_000_000
    with started(HTTP, "--size", str(size)) as program, connect(program.port, receive_buffer=4096) as peer:
        peer.sendall(GET)
        time.sleep(0.3)
        program.process.terminate()
        said, end = receive_all(peer)
        assert end == "eof" and len(said.partition(b"\r\n\r\n")[2]) == size, (len(said), end)
        assert program.process.wait(timeout=2) == 0


@row(*ALL)
def a_second_signal_ends_it_at_once(service):
    with started(service) as program:
        peer = program.connect(receive_buffer=4096)
        fill(peer, FLOODS[service.talk], stall=0.2)
        program.process.terminate()
        time.sleep(0.3)
        assert program.is_running(), "it did not wait for its connections"
        program.process.terminate()
        program.process.wait(timeout=1)
        peer.close()


@row(*ALL)
def new_connections_are_refused_while_it_ends(service):
    with started(service) as program:
        peer = program.connect(receive_buffer=4096)
        fill(peer, FLOODS[service.talk], stall=0.2)
        program.process.terminate()
        time.sleep(0.3)
        try:
            late = Client("echo", connect(program.port))
            late.peer.close()
            raise AssertionError("somebody still listens")
        except ConnectionRefusedError:
            pass
        peer.close()
        assert program.process.wait(timeout=2) == 0
