"""Accepting fails: out of descriptors or memory is one report and one second of patience; what concerns one
connection alone concerns nobody else."""
import resource
import time

from harness import ALL, ECHO, PROXY, TLS, fresh_client, row, under_test, until
from injection import descriptor_limit, traced
from peers import quiet, receive_all

BACK_OFF = 1.0


@row(*ALL, TLS)
def out_of_descriptors_is_one_report_and_a_pause(service):
    with under_test(service) as program, quiet(program):
        with program.client() as known:
            known.exchange()
            limit = sum(program.descriptors().values())
            with descriptor_limit(program, limit):
                waiting = [program.connect() for _ in range(20)]
                cpu = program.cpu()
                with traced(program, calls=["accept4"]) as trace:
                    time.sleep(3.5)
                    known.exchange()
                assert 2 <= trace.count("accept4") <= 5, trace.lines
                assert program.cpu() - cpu < 0.2, "it spins while it can accept nobody"
                assert len(program.reports()) <= 5, program.log()
                assert "Too many open files" in program.log(), program.log()
            time.sleep(BACK_OFF + 0.2)
            known.exchange()
            took = fresh_client(program)
            assert took < 0.5, f"service did not resume: {took}"
            for peer in waiting:
                peer.close()


def one_failure(program, error):
    with traced(program, f"accept4:error={error}:when=1", calls=["accept4"]) as trace:
        with program.client() as client:
            client.exchange()
    return trace


@row(*ALL, TLS)
def other_shortages_are_one_report_and_a_pause_each(service):
    with under_test(service) as program, program.client() as known:
        for error in ("ENFILE", "ENOBUFS", "ENOMEM"):
            begin, reports = time.monotonic(), len(program.reports())
            trace = one_failure(program, error)
            took = time.monotonic() - begin
            assert BACK_OFF * 0.9 <= took <= BACK_OFF + 0.6, f"{error}: {took:.2f} s"
            assert trace.count("accept4") <= 3, trace.lines
            assert len(program.reports()) - reports == 1, program.log()
            known.exchange()


@row(*ALL)
def an_error_of_one_connection_does_not_hold_up_the_next(service):
    errors = ("ECONNABORTED", "EPROTO", "ENETDOWN", "ENOPROTOOPT", "EHOSTDOWN", "ENONET", "EHOSTUNREACH",
              "EOPNOTSUPP", "ENETUNREACH", "EPERM", "ETIMEDOUT")
    with under_test(service) as program, program.client() as known:
        for error in errors:
            begin = time.monotonic()
            one_failure(program, error)
            took = time.monotonic() - begin
            assert took < BACK_OFF / 2, f"{error}: {took:.2f} s"
            known.exchange()
        assert program.log() == "", program.log()


@row(ECHO, PROXY)
def two_hundred_aborted_connections_in_a_row(service):
    with under_test(service) as program:
        with traced(program, "accept4:error=ECONNABORTED:when=1+2"):
            for _ in range(200):
                program.connect().close()
            with program.client() as client:
                client.exchange()


@row(*ALL, TLS)
def beyond_the_limit_of_connections_newcomers_are_sent_away(service):
    kept_back, most = 64, 20
    limit = kept_back + most * service.sockets
    preexec = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    with under_test(service, preexec=preexec) as program:
        known = [program.client() for _ in range(most)]
        for client in known:
            client.exchange()
        for _ in range(200):
            with program.connect() as newcomer:
                assert receive_all(newcomer) == (b"", "eof")
        for client in known:
            client.exchange()
        known.pop().peer.close()
        until(lambda: program.connections() == most - 1, 2, "there is room again")
        fresh_client(program)
        for client in known:
            client.peer.close()
