"""Peers that do not read, or little at a time: what waits for them is bounded, and none of it is lost."""
import os
import subprocess
import sys
import time

import peers
from harness import ALL, ECHO, HTTP, MIB, PROXY, bounded, row, under_test
from injection import stopped
from peers import FLOODS, GET, fill, quiet, receive

A_DEAF_PEER = 768 * 1024  # what waits to be sent, and what came in the meantime


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


@row(*ALL)
def fifty_peers_that_never_read_cost_a_bounded_amount(service):
    arguments = ["--size", "100000"] if service is HTTP else []
    with under_test(service, *arguments) as program, quiet(program):
        deaf = [program.connect() for _ in range(50)]
        with bounded(program, len(deaf) * A_DEAF_PEER):
            for peer in deaf:
                fill(peer, FLOODS[service.talk], stall=0.1, limit=64 * MIB)
        cpu = program.cpu()
        time.sleep(1)
        cpu = program.cpu() - cpu
        assert cpu < 0.1, f"{cpu:.0%} CPU while nobody reads"
        for peer in deaf:
            peer.close()


@row(ECHO, PROXY)
def a_peer_that_reads_again_gets_every_byte(service):
    with under_test(service) as program, quiet(program):
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


@row(ECHO, PROXY)
def a_peer_that_is_stopped_and_goes_on_gets_every_byte(service):
    with under_test(service) as program, quiet(program):
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
