"""The network itself fails, between two hosts of our own (network namespaces): a peer that is gone without a
word is ended by the time limit, and by nothing before it."""
import contextlib
import ctypes
import os
import re
import time

import peers
from harness import SHUTDOWN, Service, row, started, under_test, until
from injection import ip, two_hosts

CLONE_NEWNET = 0x40000000


def enter(name):
    """Moves this thread (or a child before it runs its program) to another host."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/run/netns/{name}") as namespace:
        if libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")


def connect_from(name, host):
    """A way to connect from that host."""

    def connect(port, **options):
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            enter(name)
            return peers.connect(port, host=host, **options)
        finally:
            ctypes.CDLL(None).setns(home, CLONE_NEWNET)
            os.close(home)

    return connect


@contextlib.contextmanager
def on_two_hosts(*arguments):
    """An echo server on one host, its clients on the other: yields it and a way to work on the cable."""
    with two_hosts() as ((near, address), (far, _)):
        service = Service("echo_server", "echo_server", "echo", ["--host", address, "--port", "0"],
                          [rf"listening on {re.escape(address)}:(\d+)"], 0)
        connect = connect_from(far, address)
        cable = lambda state: ip("-n", far, "link", "set", "v0", state)
        with under_test(service, *arguments, preexec=lambda: enter(near), connect=connect) as program:
            yield program, cable


@row
def a_peer_behind_a_dead_link_is_ended_by_the_idle_limit():
    with on_two_hosts("--idle-timeout", "3") as (program, cable):
        with program.client() as client:
            client.exchange()
            cable("down")
            begin = time.monotonic()
            until(lambda: program.connections() == 0, 6, "the connection is closed")
            assert 2.8 <= time.monotonic() - begin <= 3.5
        cable("up")


@row
def a_link_that_comes_back_in_time_loses_no_byte():
    sent = os.urandom(200_000)
    with on_two_hosts() as (program, cable):
        with program.connect() as peer:
            peer.sendall(sent[:100_000])
            cable("down")
            peer.sendall(sent[100_000:])
            time.sleep(1)
            cable("up")
            assert peers.receive(peer, len(sent)) == sent


@row
def a_shutdown_behind_a_dead_link_keeps_its_deadline():
    with two_hosts() as ((near, address), (far, _)):
        service = Service("echo_server", "echo_server", "echo", ["--host", address, "--port", "0"],
                          [rf"listening on {re.escape(address)}:(\d+)"], 0)
        connect = connect_from(far, address)
        with started(service, preexec=lambda: enter(near), connect=connect) as program:
            with program.connect(receive_buffer=4096) as peer:
                peers.fill(peer, b"x" * 65536)  # output waits, for somebody who is gone
                ip("-n", far, "link", "set", "v0", "down")
                took = program.end(within=SHUTDOWN + 0.5)
                program.note(f"ended after {took:.2f} s")
