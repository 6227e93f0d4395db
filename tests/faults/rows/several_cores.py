"""One server on several cores: its end with connections in every state on all of them, and what is left."""
import contextlib
import os
import signal
import socket
import time

from harness import HANDED, MANY_CORES, MIB, SHUTDOWN, bounded, row, started, under_test
from peers import GET, fill, receive_all

SLACK = 0.5


@row(*MANY_CORES)
def a_signal_right_after_the_ready_line_ends_all_cores(service):
    for _ in range(20):
        with started(service) as program:
            program.end(within=1)


@row(*MANY_CORES)
def idle_connections_on_all_cores_end_at_once(service):
    with started(service) as program:
        clients = [program.client() for _ in range(200)]
        for client in clients:
            client.exchange()
        program.end(within=1)
        for client in clients:
            assert receive_all(client.peer) == (b"", "eof")
            client.peer.close()


@row(*MANY_CORES)
def with_idle_busy_and_stuck_ones_all_cores_end_by_the_deadline(service):
    with started(service, "--size", "1000000") as program:
        held = [program.connect() for _ in range(50)]  # idle
        for _ in range(50):  # in the middle of a request
            held.append(program.connect())
            held[-1].sendall(GET[:20])
        for _ in range(9):  # nobody takes the answers
            held.append(program.connect(receive_buffer=4096))
            fill(held[-1], GET * 1000, stall=0.05)
        for _ in range(9):  # the same, and the peer has ended its side
            held.append(program.connect(receive_buffer=4096))
            fill(held[-1], GET * 1000, stall=0.05)
            held[-1].shutdown(socket.SHUT_WR)
        took = program.end(within=SHUTDOWN + SLACK)
        program.note(f"ended after {took:.2f} s")
        assert took > 1, "somebody was cut before the deadline"
        for peer in held:
            peer.close()


@row
def connections_that_come_and_go_on_several_cores_leave_nothing():
    with under_test(HANDED) as program, bounded(program, 8 * MIB):
        for _ in range(20):
            clients = [program.client() for _ in range(100)]
            for client in clients:
                client.exchange()
            for index, client in enumerate(clients):
                if index % 2:
                    client.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                client.peer.close()


@row
def a_connection_beyond_its_budget_is_cut_and_the_others_are_not():
    with under_test(HANDED, "--size", "20000", "--most-held", "256") as program:
        with program.client() as quiet:
            quiet.exchange()
            with program.connect(receive_buffer=4096) as greedy:
                with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                    fill(greedy, GET * 20_000, stall=0.2)
                    raise AssertionError("it was not cut")
            quiet.exchange()
        assert any("exceeded its budget" in line for line in program.reports()), program.log()


@row
def a_stopped_process_goes_on_on_all_cores():
    with under_test(HANDED) as program:
        clients = [program.client() for _ in range(30)]
        os.kill(program.pid, signal.SIGSTOP)
        time.sleep(2)
        os.kill(program.pid, signal.SIGCONT)
        for client in clients:
            client.exchange()
            client.peer.close()
