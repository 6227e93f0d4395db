"""Nobody reads what the program prints, or it cannot be written: it serves all the same."""
import os

from harness import ALL, fresh_client, row, under_test
from injection import descriptor_limit, traced
from peers import quiet, reset


def trouble(program):
    """Errors that are reported."""
    for _ in range(20):
        reset(program.connect())
    with traced(program, "accept4:error=ENFILE:when=1"):
        fresh_client(program)
    with traced(program, "epoll_ctl:error=ENOMEM:when=1"):
        program.connect().close()
        fresh_client(program)


@row(*ALL)
def errors_go_on_with_a_closed_stdout_and_a_broken_log(service):
    reading, writing = os.pipe()
    with under_test(service, log=writing, env={"RUST_LOG": "debug"}) as program:
        os.close(writing)
        os.close(reading)
        program.process.stdout.close()
        with quiet(program, limit=1.5):
            trouble(program)


@row(*ALL)
def errors_go_on_with_a_log_on_a_full_disk(service):
    with open("/dev/full", "w") as full:
        with under_test(service, log=full, env={"RUST_LOG": "debug"}) as program:
            trouble(program)
            with descriptor_limit(program, 1):
                waiting = program.connect()
            waiting.close()


@row(*ALL)
def it_starts_and_serves_without_stderr(service):
    with under_test(service, preexec=lambda: os.close(2)) as program:
        trouble(program)
