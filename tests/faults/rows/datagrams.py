"""UDP: whatever happens to single datagrams, the endpoint lives, and nothing makes it spin."""
import contextlib
import socket
import time

from harness import LISTENING, Service, row, started, under_test, until
from injection import traced

UDP = Service("udp_echo", "udp_echo", "echo", ["--port", "0"], [LISTENING], 0)


def connect(port, timeout=5, **_):
    peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    peer.settimeout(timeout)
    peer.connect(("127.0.0.1", port))
    return peer


def udp():
    return under_test(UDP, connect=connect, env=[("RUST_LOG", "warn")])


def answers(peer, text):
    """Whether one datagram comes back."""
    peer.send(text)
    try:
        return peer.recv(65536) == text
    except TimeoutError:
        return False


@row
def interrupted_calls_and_false_readiness_cost_no_datagram():
    with udp() as program, connect(program.port) as peer:
        for fault in ("recvfrom:error=EINTR:when=1+2", "sendto:error=EINTR:when=1+2",
                      "recvfrom:error=EAGAIN:when=1+3", "sendto:error=EAGAIN:when=1+2"):
            with traced(program, fault):
                for index in range(20):
                    assert answers(peer, b"%d" % index), (fault, index)


@row
def an_error_in_sending_costs_that_datagram_alone():
    with udp() as program, connect(program.port, timeout=0.5) as peer:
        for error in ("EMSGSIZE", "ENOBUFS", "ENOMEM", "EHOSTUNREACH", "ENETDOWN", "EPERM", "EACCES"):
            assert answers(peer, b"before"), error
            with traced(program, f"sendto:error={error}:when=1"):
                assert not answers(peer, b"lost"), error
            assert answers(peer, b"after"), error


@row
def an_error_in_receiving_costs_nothing():
    with udp() as program, connect(program.port) as peer:
        for error in ("ECONNREFUSED", "EHOSTUNREACH", "ENETDOWN", "ENOMEM", "ENOBUFS"):
            with traced(program, f"recvfrom:error={error}:when=1"):
                assert answers(peer, b"all the same"), error


@row
def an_error_in_receiving_that_does_not_go_away_is_no_spin():
    with udp() as program, connect(program.port) as peer:
        for error in ("ENOMEM", "ENETDOWN", "EAGAIN"):
            with traced(program, f"recvfrom:error={error}:when=1+") as trace:
                peer.send(b"late")
                time.sleep(3)
            calls = trace.injected()
            program.note(f"{error}: {calls} calls in 3 s")
            assert calls < 500, (error, calls)
            assert peer.recv(16) == b"late", "it was served when the error was gone"


@row
def an_endpoint_whose_interest_cannot_be_changed_ends_with_an_error_and_not_by_spinning():
    # A send that has to wait makes the program watch for room, which is refused: the endpoint ends, and
    # the program with its only endpoint gone goes on until it is told to end.
    with started(UDP, connect=connect) as program, connect(program.port, timeout=0.5) as peer:
        assert answers(peer, b"hello")
        with traced(program, "sendto:error=EAGAIN:when=1", "epoll_ctl:error=ENOMEM:when=1"):
            with contextlib.suppress(ConnectionRefusedError):
                assert not answers(peer, b"lost")
        before = program.cpu()
        time.sleep(1)
        assert program.cpu() - before < 0.05
        program.end(within=2)


@row
def oversized_and_empty_datagrams_and_peers_that_are_gone():
    with udp() as program, connect(program.port) as peer:
        assert answers(peer, b"") and answers(peer, b"x" * 65507)
        for _ in range(1000):
            with connect(program.port) as gone:
                gone.send(b"I will not be here for the answer")
        assert answers(peer, b"still there")


@row
def a_flood_delays_no_quiet_client_for_long_and_memory_stays():
    with udp() as program:
        before = program.rss()
        with connect(program.port) as quiet, connect(program.port) as flood:
            flood.setblocking(False)
            delays, sent = [], 0
            end = time.monotonic() + 5
            while time.monotonic() < end:
                for _ in range(200):
                    with contextlib.suppress(BlockingIOError):
                        flood.send(b"x" * 1000)
                        sent += 1
                begin = time.monotonic()
                quiet.settimeout(0.2)
                quiet.send(b"me")
                try:
                    assert quiet.recv(16) == b"me"
                    delays.append(time.monotonic() - begin)
                except TimeoutError:
                    pass  # the system dropped it: the socket was full
                with contextlib.suppress(BlockingIOError):
                    while True:
                        flood.recv(2000)
            delays.sort()
            program.note(f"{sent} sent; quiet: {len(delays)} answers, p50 {delays[len(delays) // 2] * 1000:.2f},"
                         f" worst {delays[-1] * 1000:.1f} ms")
            assert len(delays) > 20 and delays[len(delays) // 2] < 0.02, delays[-5:]
        assert program.rss() - before < 4 << 20
        until(lambda: program.connections() == 0, 2, "nothing is left")
