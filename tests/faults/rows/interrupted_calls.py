"""System calls that are interrupted (EINTR), or find nothing where something was announced (EAGAIN):
nobody notices."""
import os
import signal
import time

from harness import ALL, TLS, row, under_test
from injection import traced
from peers import quiet


def talk(program, count=20):
    for _ in range(3):
        with program.client() as client:
            for _ in range(count):
                client.exchange()


@row(*ALL, TLS)
def interrupted_waits_reads_writes_and_accepts_go_unnoticed(service):
    with under_test(service) as program:
        with traced(program, "epoll_pwait,epoll_pwait2,recvfrom,sendto,sendmsg,accept4:error=EINTR:when=1+2"):
            talk(program)


@row(*ALL, TLS)
def nothing_where_readiness_was_reported_goes_unnoticed(service):
    with under_test(service) as program:
        with traced(program, "recvfrom,sendto,sendmsg,accept4:error=EAGAIN:when=1+3"):
            talk(program)


@row(*ALL, TLS)
def ten_thousand_signals_and_a_thousand_stops_go_unnoticed(service):
    # SIGCONT after SIGSTOP is what interrupts a wait without any handler.
    with under_test(service) as program, quiet(program):
        for number in range(10_000):
            os.kill(program.pid, (signal.SIGURG, signal.SIGWINCH)[number % 2])
        for _ in range(1_000):
            os.kill(program.pid, signal.SIGSTOP)
            os.kill(program.pid, signal.SIGCONT)
            time.sleep(0.001)
