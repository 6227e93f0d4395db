"""Guests of a chat room that do not read, send without an end, or go without a word: all others hear every
line, and what waits for one who does not read is bounded."""
import os
import re
import select
import subprocess
import sys
import time

import peers
from harness import CHAT, MIB, bounded, row, under_test, until
from injection import stopped
from peers import endless, quiet, receive, receive_all, reset

LINE = b"%06d " + b"x" * 900 + b"\n"


def enter(program, **options):
    """Comes in, and reads the welcome."""
    return program.client(**options).peer


def say(guest, count, start=0):
    guest.sendall(b"".join(LINE % number for number in range(start, start + count)))


def numbers(heard):
    """The lines of `say` among what was heard."""
    return [int(number) for number in re.findall(rb"^guest\d+_*: (\d{6}) x{900}$", heard, re.M)]


def missed(heard):
    return sum(map(int, re.findall(rb"^\* you missed (\d+) lines$", heard, re.M)))


def listen_until(guest, word, seconds=20):
    """What is heard, until that is said."""
    heard, end = bytearray(), time.monotonic() + seconds
    while word not in heard[-200_000:]:
        readable, _, _ = select.select([guest], [], [], max(0, end - time.monotonic()))
        assert readable, f"{word} was not heard among {len(heard)} bytes"
        more = guest.recv(1 << 20)
        assert more, f"the connection ended before {word}"
        heard += more
    return bytes(heard)


@row
def deaf_guests_cost_a_bounded_amount_and_hold_up_nobody():
    with under_test(CHAT) as program:
        deaf = [enter(program, receive_buffer=4096) for _ in range(50)]
        talker, listener = enter(program), enter(program)
        heard = b""
        with bounded(program, len(deaf) * MIB // 4):
            for start in range(0, 5000, 50):  # no more at once than the listener may be behind
                say(talker, 50, start)
                heard += listen_until(listener, LINE % (start + 49))
            cpu = program.cpu()
            time.sleep(1)
            assert program.cpu() - cpu < 0.1, "it spins while they do not read"
        assert numbers(heard) == list(range(5000)), "one who reads misses nothing"
        talker.sendall(b"the end\n")
        for guest in deaf[:5]:  # they learn how much they missed, and get what is left in order
            heard = listen_until(guest, b"the end\n")
            got = numbers(heard)
            assert got == sorted(set(got)) and missed(heard) > 1000
            assert len(got) + missed(heard) >= 5000, (len(got), missed(heard))
        for guest in (*deaf, talker, listener):
            guest.close()


LISTEN = """
import sys
sys.path.insert(0, sys.argv[1])
import peers
with peers.connect(int(sys.argv[2]), timeout=60) as peer:
    heard = peers.receive(peer, 1)
    print("ready", flush=True)
    while b": the end\\n" not in heard[-100_000:]:
        heard += peer.recv(65536)
sys.stdout.buffer.write(heard)
"""


@row
def a_guest_that_is_stopped_and_goes_on_hears_or_missed_every_line():
    with under_test(CHAT) as program:
        talker = enter(program)
        command = [sys.executable, "-c", LISTEN, os.path.dirname(peers.__file__), str(program.port)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as listener:
            try:
                assert listener.stdout.readline() == b"ready\n"
                with stopped(listener.pid), bounded(program, 2 * MIB), enter(program) as other:
                    for start in range(0, 20_000, 50):
                        say(talker, 50, start)
                        listen_until(other, LINE % (start + 49))
                talker.sendall(b"the end\n")
                heard, _ = listener.communicate(timeout=20)
            finally:
                listener.kill()
        got = numbers(heard)
        program.note(f"{len(got)} lines heard, {missed(heard)} missed")
        assert got == sorted(set(got)), "in order, and none twice"
        others = len(re.findall(rb"^\* guest\d+ is (?:here|gone)$", heard, re.M))
        assert 20_000 <= len(got) + missed(heard) <= 20_004 - others, (len(got), missed(heard), others)
        talker.close()


@row
def guests_that_come_and_are_reset_while_others_talk():
    with under_test(CHAT) as program:
        talker, listener = enter(program), enter(program)
        before = program.connections()
        heard = b""
        for start in range(0, 1000, 10):
            guests = [enter(program) if number % 2 else program.connect() for number in range(4)]
            for number, guest in enumerate(guests):
                guest.sendall((b"", b"half a li", b"/who\n/nick a b\n", b"/quit\n")[number])
            say(talker, 10, start)
            for guest in guests:
                reset(guest)
            heard += listen_until(listener, LINE % (start + 9))
        assert numbers(heard) == list(range(1000)) and missed(heard) == 0
        until(lambda: program.connections() == before, 3, "the others are gone")
        for guest in (talker, listener):
            guest.close()


@row
def an_endless_line_is_refused_at_the_limit():
    with under_test(CHAT) as program, quiet(program):
        with bounded(program):
            for _ in range(10):
                _, end, sent = endless(program, b"hello ", b"x" * 65536)
                assert end in ("eof", "reset"), (end, sent)
        with program.connect() as guest:  # the longest that is none
            guest.sendall(b"x" * 1024 + b"\n/quit\n")
            said, end = receive_all(guest)
            assert end == "eof" and said.endswith(b"* goodbye\n"), (said, end)


@row
def a_refusal_is_heard_by_a_guest_that_sends_first_and_reads_then():
    with under_test(CHAT) as program:
        for size in (1026, 100_000):
            for _ in range(20):
                with program.connect() as guest:
                    try:
                        guest.sendall(b"x" * size)
                    except (ConnectionResetError, BrokenPipeError):
                        pass
                    said, _ = receive_all(guest)
                assert said.endswith(b"* a line may have 1024 bytes, goodbye\n"), (size, said)


@row
def beyond_the_number_of_places_newcomers_are_told():
    with under_test(CHAT, "--guests", "20") as program:
        inside = [enter(program) for _ in range(20)]
        for talk in (b"", b"hello\n" * 10):
            for _ in range(100):
                with program.connect() as newcomer:
                    newcomer.sendall(talk)
                    said, _ = receive_all(newcomer)
                    assert said == b"* the room is full\n", said
        inside.pop().close()
        until(lambda: program.connections() == 19, 2, "there is a place again")
        enter(program).close()
        for guest in inside:
            guest.close()


@row
def one_byte_at_a_time_is_heard_as_in_one_piece():
    with under_test(CHAT) as program, enter(program) as listener:
        with enter(program) as guest:
            for byte in b"/nick Slow\nhello\r\n\n/nick\n/quit\n":
                guest.sendall(bytes([byte]))
            answer, expected = b"", b"* you are Slow\n* a name has 1 to 20 letters, digits, - or _\n* goodbye\n"
            while len(answer) < len(expected):
                answer += receive(guest, 1)
            assert answer == expected and receive_all(guest) == (b"", "eof"), answer
        heard = listen_until(listener, b"is gone\n")
        assert re.fullmatch(rb"\* guest\d+ is here\n\* guest\d+ is now Slow\nSlow: hello\n\* Slow is gone\n", heard), heard


@row
def one_who_talks_at_full_speed_delays_no_quiet_guest():
    # They read a flood of lines before their answer: what is asked here is that it comes.
    with under_test(CHAT) as program, quiet(program, connections=5, limit=0.5):
        with enter(program) as talker:
            end, count = time.monotonic() + 5, 0
            while time.monotonic() < end:
                say(talker, 10)
                count += 10
        program.note(f"{count / 5:,.0f} lines a second")
