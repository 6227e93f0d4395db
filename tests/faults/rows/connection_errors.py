"""A connection fails in the middle: it ends, the others go on, and nothing of it is left."""
import subprocess

from harness import ALL, ECHO, PROXY, TLS, Skip, need, need_root, row, under_test, until
from injection import traced
from peers import connect, quiet, receive_all

ERRORS = ("ECONNRESET", "EPIPE", "ETIMEDOUT", "EHOSTUNREACH", "ENETDOWN", "ENOBUFS", "ENOMEM")


@row(*ALL)
def an_error_in_receiving_or_sending_ends_that_connection_alone(service):
    with under_test(service) as program, program.client() as other:
        for call in ("recvfrom", "sendto"):
            for error in ERRORS:
                other.exchange()
                with program.client() as victim:
                    victim.exchange()
                    before = program.connections()
                    with traced(program, f"{call}:error={error}:when=1"):
                        victim.ask()
                        _, end = receive_all(victim.peer)
                    assert end in ("eof", "reset"), (call, error, end)
                    until(lambda: program.connections() == before - 1, 2, f"{call} {error}: it is closed")
                other.exchange()


@row(*ALL, TLS)
def a_connection_that_cannot_be_watched_ends_alone(service):
    with under_test(service) as program, program.client() as other:
        for error in ("ENOMEM", "ENOSPC"):
            other.exchange()
            before = program.connections()
            with traced(program, f"epoll_ctl:error={error}:when=1"), program.connect() as victim:
                said, _ = receive_all(victim)
                assert said == b"" or said.startswith(b"220 "), said
            until(lambda: program.connections() == before, 2, "it is closed")
            other.exchange()


@row(ECHO, PROXY)
def a_hundred_that_cannot_be_watched_end_alone(service):
    with under_test(service) as program, quiet(program):
        before = program.connections()
        with traced(program, "epoll_ctl:error=ENOMEM:when=1+"):
            for _ in range(100):
                with program.connect() as victim:
                    assert receive_all(victim)[0] == b""
        until(lambda: program.connections() == before, 2, "they are closed")


@row(ECHO, PROXY)
def a_change_of_interest_that_fails_ends_that_connection_alone(service):
    # A full send buffer makes the server watch for room, which is refused.
    with under_test(service) as program, program.client() as other:
        other.exchange()
        before = program.connections()
        with traced(program, "epoll_ctl:error=ENOMEM:when=2"), connect(program.port, timeout=5) as victim:
            try:
                while True:
                    victim.sendall(b"x" * 65536)
            except (ConnectionResetError, BrokenPipeError):
                pass
        until(lambda: program.connections() == before, 2, "it is closed")
        other.exchange()


@row(*ALL)
def a_connection_cut_by_the_host_ends_alone(service):
    need("ss")
    need_root()
    with under_test(service) as program, quiet(program):
        clients = [program.client() for _ in range(10)]
        for client in clients:
            client.exchange()
        before = program.connections()
        for client in clients:
            port = client.peer.getsockname()[1]
            cut = subprocess.run(["ss", "-K", "-tnH", "dst", "127.0.0.1", "dport", "=", f":{port}"],
                                 capture_output=True, text=True)
            if str(port) not in cut.stdout:
                raise Skip(f"ss -K does nothing here: {cut.stderr.strip()}")
            assert receive_all(client.peer)[1] == "reset"
            client.peer.close()
        until(lambda: program.connections() == before - len(clients), 2, "they are closed")
