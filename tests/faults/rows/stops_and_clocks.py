"""The program is stopped for a while, or the time of day jumps: deadlines follow the steady clock."""
import glob
import os
import tempfile
import threading
import time

from harness import ALL, ECHO, PROXY, SMTP, Skip, row, under_test
from injection import stopped
from peers import quiet, receive, receive_all


@row(*ALL)
def stopped_for_five_seconds_it_goes_on_where_it_was(service):
    with under_test(service) as program, quiet(program, limit=6):
        with program.client() as client:
            client.exchange()
            with stopped(program.pid):
                client.ask()
                new = program.connect()
                time.sleep(5)
            while not client.answered():
                pass
            client.exchange()
            new.close()


@row(ECHO, PROXY)
def stopped_in_the_middle_of_a_transfer_no_byte_is_lost(service):
    sent = os.urandom(16 << 20)
    with under_test(service) as program, program.connect() as peer:
        sender = threading.Thread(target=peer.sendall, args=(sent,))
        sender.start()
        got = receive(peer, 1 << 20)
        with stopped(program.pid):
            time.sleep(5)
        assert got + receive(peer, len(sent) - len(got)) == sent
        sender.join()


@row(ECHO, PROXY)
def deadlines_that_passed_while_it_was_stopped_are_kept_at_once(service):
    with under_test(service, "--idle-timeout", "2") as program, program.client() as silent:
        silent.exchange()
        with stopped(program.pid):
            time.sleep(3)
        begin = time.monotonic()
        assert receive_all(silent.peer) == (b"", "reset" if service is PROXY else "eof")
        took = time.monotonic() - begin
        assert took < 0.2, f"{took:.3f} s"


@row
def a_step_of_the_wall_clock_moves_no_deadline():
    found = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")
    if not found:
        raise Skip("no libfaketime")
    with tempfile.NamedTemporaryFile("w+") as clock:
        def step(by):
            clock.seek(0)
            clock.truncate()
            clock.write(by)
            clock.flush()

        step("+0d")
        env = {"LD_PRELOAD": found[0], "FAKETIME_TIMESTAMP_FILE": clock.name, "FAKETIME_NO_CACHE": "1",
               "DONT_FAKE_MONOTONIC": "1"}
        with under_test(SMTP, "--idle-timeout", "3", env=env) as program, quiet(program):
            with program.client() as silent:
                begin = time.monotonic()
                for by in ("+1d", "-1d", "+3650d", "+0d"):
                    step(by)
                    with program.client() as other:
                        other.peer.sendall(b"EHLO me\r\nMAIL FROM:<a@example.org>\r\n"
                                           b"RCPT TO:<b@example.org>\r\nDATA\r\nSubject: a\r\n\r\n.\r\nQUIT\r\n")
                        said, _ = receive_all(other.peer)
                        assert b"\r\n221 " in said, said
                    time.sleep(0.3)
                said, _ = receive_all(silent.peer)
                took = time.monotonic() - begin
                assert said.startswith(b"421 ") and 2.9 <= took <= 3.3, (said, took)
