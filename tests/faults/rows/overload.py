"""More than the program can do at once: the quiet clients are served all the same."""
import contextlib
import subprocess
import sys
import threading
import time

import peers
from harness import ALL, ECHO, PROXY, row, under_test
from injection import cgroup
from peers import quiet

STORM = """
import socket, struct, sys, time
port, seconds = int(sys.argv[1]), float(sys.argv[2])
end, count = time.monotonic() + seconds, 0
while time.monotonic() < end and count < 50_000:
    peer = socket.socket()
    try:
        peer.connect(("127.0.0.1", port))
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        count += 1
    finally:
        peer.close()
print(count)
"""

FLOOD = """
import select, socket, sys, time
end = time.monotonic() + float(sys.argv[2])
peer = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
peer.setblocking(False)
piece, sent, got = bytes(range(256)) * 256, 0, 0
while time.monotonic() < end or got < sent:
    readable, writable, _ = select.select([peer], [peer] if time.monotonic() < end else [], [], 10)
    assert readable or writable, "nothing moves"
    if readable:
        data = peer.recv(1 << 18)
        start = got % 256
        assert data and (bytes(range(256)) * (len(data) // 256 + 2))[start:start + len(data)] == data
        got += len(data)
    if writable:
        sent += peer.send(piece[sent % 256:])
print(got)
"""


@contextlib.contextmanager
def beside(script, program, seconds, count=1):
    """Runs `script` against the program; yields the list of what each copy printed, filled at the end."""
    # Whoever makes the load must not take the processor from the server that is to be measured.
    command = ["nice", "-n", "10", sys.executable, "-c", script, str(program.port), str(seconds)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    figures = []
    try:
        yield figures
        for one in running:
            figures.append(int(one.communicate(timeout=seconds + 20)[0]))
            assert one.returncode == 0
    finally:
        for one in running:
            one.kill()
            one.wait()
            one.stdout.close()


@row(*ALL)
def a_storm_of_connections_delays_no_quiet_client(service):
    with under_test(service) as program:
        with quiet(program, connections=10), beside(STORM, program, 5, count=2) as figures:
            pass
        program.note(f"{sum(figures) / 5:,.0f} connections a second")
        assert sum(figures) > 1_000, figures


@row(ECHO, PROXY)
def one_at_full_speed_delays_none_of_fifty_quiet_clients(service):
    with under_test(service) as program:
        with quiet(program, connections=50), beside(FLOOD, program, 5) as figures:
            pass
        program.note(f"{figures[0] / 5e6:,.0f} MB/s echoed")


@row(ECHO, PROXY)
def with_a_twentieth_of_a_processor_nothing_fails(service):
    with cgroup("cpu", cpu__cfs_period_us=100_000, cpu__cfs_quota_us=5_000) as group:
        with under_test(service) as program:
            group.add(program.pid)
            with quiet(program, connections=5, limit=0.3):
                sent = bytes(range(256)) * 100_000
                with program.connect() as peer:
                    sender = threading.Thread(target=peer.sendall, args=(sent,))
                    sender.start()
                    assert peers.receive(peer, len(sent)) == sent
                    sender.join()
            time.sleep(0.5)  # what it has overdrawn is paid back


@row(ECHO, PROXY)
def a_memory_limit_holds_while_a_hundred_peers_flood(service):
    limit = (64 << 20) * service.sockets
    with cgroup("memory", memory__limit_in_bytes=limit) as group:
        with under_test(service) as program:
            group.add(program.pid)
            with quiet(program):
                deaf = [program.connect() for _ in range(100)]
                for peer in deaf:
                    peers.fill(peer, b"x" * 65536, stall=0.02, limit=32 << 20)
                used = group.read("memory.max_usage_in_bytes")
                program.note(f"at most {used / 2**20:.1f} MiB of {limit >> 20} used, RSS {program.rss() >> 20} MiB")
                time.sleep(1)
                for peer in deaf:
                    peers.reset(peer)
