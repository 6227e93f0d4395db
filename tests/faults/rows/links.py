"""The network itself fails, between two hosts of our own (network namespaces): a peer that is gone without a
word is ended by the time limit, and by nothing before it."""
import ctypes
import os
import time

from harness import ECHO, Service, row, started, until
from injection import ip, two_hosts
from peers import connect, receive

CLONE_NEWNET = 0x40000000


def enter(name):
    """Moves this thread (or a child before it runs its program) to another host."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/run/netns/{name}") as namespace:
        if libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")


def connect_from(name, host, port):
    """A connection from that host."""
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    try:
        enter(name)
        return connect(port, host=host)
    finally:
        ctypes.CDLL(None).setns(home, CLONE_NEWNET)
        os.close(home)


@row
def a_peer_behind_a_dead_link_is_ended_by_the_idle_limit():
    with two_hosts() as ((near, address), (far, _)):
        service = Service("echo_server", "echo_server", "echo", ["--host", address, "--port", "0"],
                          [r"listening on 10\.77\.0\.1:(\d+)"], 0)
        with started(service, "--idle-timeout", "3", preexec=lambda: enter(near)) as program:
            peer = connect_from(far, address, program.port)
            peer.sendall(b"here")
            assert receive(peer, 4) == b"here"
            before = program.snapshot()
            ip("-n", far, "link", "set", "v0", "down")
            begin = time.monotonic()
            until(lambda: program.connections() == 0, 6, "the connection is closed")
            assert 2.8 <= time.monotonic() - begin <= 3.5
            assert program.snapshot()["threads"] == before["threads"]
            program.end(within=1)
            peer.close()


@row
def a_link_that_comes_back_in_time_loses_no_byte():
    sent = os.urandom(200_000)
    with two_hosts() as ((near, address), (far, _)):
        service = Service("echo_server", "echo_server", "echo", ["--host", address, "--port", "0"],
                          [r"listening on 10\.77\.0\.1:(\d+)"], 0)
        with started(service, preexec=lambda: enter(near)) as program:
            with connect_from(far, address, program.port) as peer:
                peer.sendall(sent[:100_000])
                ip("-n", near, "link", "set", "v0", "down")
                peer.sendall(sent[100_000:])
                time.sleep(1)
                ip("-n", near, "link", "set", "v0", "up")
                assert receive(peer, len(sent)) == sent
            program.end(within=1)


@row
def a_shutdown_behind_a_dead_link_keeps_its_deadline():
    with two_hosts() as ((near, address), (far, _)):
        service = Service(ECHO.name, ECHO.program, ECHO.talk, ["--host", address, "--port", "0"],
                          [r"listening on 10\.77\.0\.1:(\d+)"], 0)
        with started(service, preexec=lambda: enter(near)) as program:
            with connect_from(far, address, program.port) as peer:
                peer.sendall(b"here")
                assert receive(peer, 4) == b"here"
                ip("-n", far, "link", "set", "v0", "down")
                time.sleep(0.2)
                program.end(within=10.5)
