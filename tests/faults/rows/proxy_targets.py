"""What a proxy passes connections on to fails: its client is told by a reset, and nobody else notices."""
import os
import re
import socket
import time

from harness import ECHO, LISTENING, MIB, PROXY, Program, Service, bounded, fresh_client, row, started
from harness import under_test, until
from injection import descriptor_limit, ip, stopped, traced, two_hosts
from links import connect_from, enter
from peers import Target, fill, quiet, receive, receive_all, reset

ROUNDS = 5


def is_turned_away(program):
    """A client comes, and hears a reset at once."""
    try:
        with program.connect() as client:
            is_told(client)
    except ConnectionResetError:
        pass  # that was so soon that connecting failed


def is_told(client, within=2):
    """It hears a reset, soon."""
    begin = time.monotonic()
    said, end = receive_all(client)
    assert end == "reset", (len(said), end)
    assert time.monotonic() - begin < within, time.monotonic() - begin


@row
def a_target_that_is_gone_is_a_reset_until_it_is_back():
    with under_test(PROXY) as program:
        port = program.target.port
        program.target.kill()
        for _ in range(50):
            is_turned_away(program)
        again = Service("echo_server", "echo_server", "echo", ["--port", str(port)], [LISTENING], 0)
        program.target = Program(again)
        fresh_client(program)


@row
def a_target_that_dies_in_the_middle_ends_its_clients():
    with under_test(PROXY) as program:
        clients = [program.client() for _ in range(10)]
        for client in clients:
            client.exchange()
        deaf = [program.connect() for _ in range(10)]
        for client in deaf:
            fill(client, b"x" * 65536, stall=0.1)
        port = program.target.port
        program.target.kill()
        for client in deaf:  # it had not read all, so that the system resets
            is_told(client)
            client.close()
        for client in clients:  # for these it was an end like any other
            receive_all(client.peer)
            client.peer.close()
        until(lambda: program.connections() == 0, 2, "all are closed")
        again = Service("echo_server", "echo_server", "echo", ["--port", str(port)], [LISTENING], 0)
        program.target = Program(again)


@row
def a_target_that_is_stopped_costs_a_bounded_amount_and_loses_no_byte():
    with under_test(PROXY) as program:
        piece = os.urandom(65536)
        clients = [program.client().peer for _ in range(20)]
        until(lambda: program.connections() == len(clients), 2, "all are there")
        with bounded(program, len(clients) * MIB), stopped(program.target.pid):
            sent = [fill(client, piece, stall=0.2, limit=64 * MIB) for client in clients]
            cpu = program.cpu()
            time.sleep(1)
            assert program.cpu() - cpu < 0.1, "it spins while the target does not read"
        for client, size in zip(clients, sent):
            assert receive(client, size) == (piece * (size // len(piece) + 1))[:size]
            client.close()


def scripted(program):
    """A connection through the proxy: both ends of it."""
    client = program.connect()
    client.sendall(b"hello")
    target = program.target.accept()
    assert receive(target, 5) == b"hello"
    target.sendall(b"welcome")
    assert receive(client, 7) == b"welcome"
    return client, target


def with_scripted(script):
    """Runs it several times, with either side as the first; a quiet client was there before."""
    with under_test(PROXY, target=Target()) as program:
        with quiet(program):
            program.target.scripted = True
            before = program.connections()
            for number in range(2 * ROUNDS):
                sides = scripted(program)
                script(*(sides if number % 2 else reversed(sides)))
                for side in sides:
                    side.close()
                until(lambda: program.connections() == before, 2, "nothing is left")
        program.target.scripted = False


@row
def each_direction_ends_by_itself_in_either_order():
    def script(first, second):
        first.sendall(b"the last")
        first.shutdown(socket.SHUT_WR)
        assert receive_all(second) == (b"the last", "eof")
        for _ in range(3):
            second.sendall(b"still here")
            assert receive(first, 10) == b"still here"
        second.shutdown(socket.SHUT_WR)
        assert receive_all(first) == (b"", "eof")

    with_scripted(script)


@row
def both_directions_end_at_the_same_time():
    def script(first, second):
        for side in (first, second):
            side.sendall(b"the last")
            side.shutdown(socket.SHUT_WR)
        assert receive_all(first) == receive_all(second) == (b"the last", "eof")

    with_scripted(script)


@row
def a_reset_of_either_side_is_a_reset_of_the_other():
    def script(first, second):
        first.sendall(b"half a mess")
        reset(first)
        is_told(second)

    with_scripted(script)


@row
def a_reset_of_a_side_that_does_not_read_is_a_reset_of_the_other():
    def script(first, second):
        assert fill(second, b"x" * 65536, stall=0.1) > MIB
        reset(first)
        is_told(second)

    with_scripted(script)


@row
def a_reset_behind_the_end_of_a_direction_is_a_reset_of_the_other():
    def script(first, second):
        second.shutdown(socket.SHUT_WR)
        assert receive_all(first) == (b"", "eof")
        reset(first)
        is_told(second)

    with_scripted(script)


@row
def a_reset_of_a_side_that_had_ended_is_noticed_when_the_other_writes():
    def script(first, second):
        first.shutdown(socket.SHUT_WR)
        assert receive_all(second) == (b"", "eof")
        reset(first)
        try:
            while True:
                second.sendall(b"anybody?")
                time.sleep(0.01)
        except (ConnectionResetError, BrokenPipeError):
            pass

    with_scripted(script)


@row
def an_end_behind_a_side_that_does_not_read_loses_no_byte():
    def script(first, second):
        piece = os.urandom(65536)
        sent = fill(second, piece, stall=0.1)
        second.shutdown(socket.SHUT_WR)
        said, end = receive_all(first)
        assert end == "eof" and said == (piece * (sent // len(piece) + 1))[:sent], (len(said), sent, end)

    with_scripted(script)


@row
def without_a_descriptor_for_the_target_the_client_is_told():
    with under_test(PROXY) as program, program.client() as known:
        known.exchange()
        with descriptor_limit(program, sum(program.descriptors().values()) + 1):
            # Meanwhile no other can be accepted, which is tried again after a second.
            for _ in range(3):
                is_turned_away(program)
            known.exchange()
        fresh_client(program)
        known.exchange()


@row
def a_refused_call_on_the_way_to_the_target_ends_that_client_alone():
    faults = [("socket", error) for error in ("EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "EACCES")]
    faults += [("connect", error) for error in ("ENETUNREACH", "EHOSTUNREACH", "EADDRNOTAVAIL", "EPERM", "ENOBUFS")]
    with under_test(PROXY) as program, program.client() as known:
        for call, error in faults:
            with traced(program, f"{call}:error={error}:when=1"):
                is_turned_away(program)
            known.exchange()
        with traced(program, "epoll_ctl:error=ENOMEM:when=2"):  # the first call is for the client
            is_turned_away(program)
        known.exchange()


def on_two_hosts(script, *arguments):
    """A proxy and its clients on one host, the target on the other."""
    with two_hosts() as ((near, _), (far, address)):
        ready = rf"listening on {re.escape(address)}:(\d+)"
        beyond = Service("echo_server", "echo_server", "echo", ["--host", address, "--port", "0"], [ready], 0)
        target = Program(beyond, preexec=lambda: enter(far))
        try:
            service = Service("proxy", "proxy", "echo", [*PROXY.arguments, *arguments, f"{address}:{target.port}"],
                              [LISTENING], 0, sockets=2)
            connect = connect_from(near, "127.0.0.1")
            with under_test(service, preexec=lambda: enter(near), connect=connect) as program:
                script(program, near, far, address)
        finally:
            target.kill()


@row
def a_target_that_no_route_leads_to_is_a_reset_until_one_does():
    def script(program, near, far, address):
        for kind in ("unreachable", "prohibit", "blackhole"):
            ip("-n", near, "route", "add", kind, address)
            for _ in range(10):
                is_turned_away(program)
            ip("-n", near, "route", "del", kind, address)
            fresh_client(program)

    on_two_hosts(script)


@row
def a_target_that_does_not_answer_is_a_reset_at_the_time_limit():
    def script(program, near, far, address):
        ip("-n", far, "link", "set", "v0", "down")
        begin = time.monotonic()
        clients = [program.connect() for _ in range(10)]
        for client in clients:
            is_told(client)
            assert 0.95 <= time.monotonic() - begin <= 1.5, time.monotonic() - begin
            client.close()
        until(lambda: program.connections() == 0, 2, "nothing is left")
        ip("-n", far, "link", "set", "v0", "up")
        until(lambda: can_reach(program), 10, "the target is back")

    on_two_hosts(script, "--connect-timeout", "1")


def can_reach(program):
    try:
        return fresh_client(program) < 5
    except OSError:
        return False


@row
def a_target_behind_a_dead_link_is_cut_by_the_idle_limit():
    def script(program, near, far, address):
        with program.client() as client:
            client.exchange()
            ip("-n", far, "link", "set", "v0", "down")
            client.peer.sendall(b"anybody?")
            begin = time.monotonic()
            is_told(client.peer, within=3)
            assert 1.8 <= time.monotonic() - begin, time.monotonic() - begin
        ip("-n", far, "link", "set", "v0", "up")
        until(lambda: can_reach(program), 10, "the target is back")

    on_two_hosts(script, "--idle-timeout", "2")


@row
def a_connection_goes_on_while_it_ends_and_is_cut_at_the_deadline():
    service = Service("proxy", "proxy", "echo", ["--port", "0", "--drain", "2"], [LISTENING], 0, target=ECHO)
    for leaves in (True, False):
        with started(service) as program:
            client = program.client()
            client.exchange()
            program.process.terminate()
            begin = time.monotonic()
            while time.monotonic() < begin + 1:
                client.exchange()
                time.sleep(0.05)
            assert program.is_running(), "it did not wait"
            if leaves:
                client.peer.close()
            else:
                is_told(client.peer, within=1.5)
            assert program.process.wait(timeout=0.5) == 0
            summary = program.process.stdout.read().decode()
            assert "0 open, 1 in all, 0 failed" in summary and f"{int(not leaves)} cut" in summary, summary
