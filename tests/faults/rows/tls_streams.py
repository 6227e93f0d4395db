"""TLS streams that are cut, spoiled, or never end; peers that do not read, do not answer a goodbye or go on after
it; and more handshakes than are welcome, beside a client that must not notice."""
import contextlib
import os
import re
import signal
import socket
import time

import peers
from harness import MIB, SHUTDOWN, TLS, bounded, row, started, under_test, until
from injection import descriptor_limit
from peers import quiet, receive_all
from tls_peers import (V12, V13, VERSIONS, Authority, Meddler, Wire, client_context, cutting, end, folder,
                       no_connection_is_left, ssl)

LOUD = {"RUST_LOG": "warn,tls_echo=info"}
A_DEAF_PEER = 768 * 1024  # plain and cipher text, both ways


def ends_told(program):
    """What the program was told about ends that were none."""
    return re.findall(r"a connection broke: (.*)", program.log())


@row
def a_cut_is_told_apart_from_an_end():
    with under_test(TLS, env=LOUD) as program:
        told = 0
        for version, how in ((V12, "eof"), (V13, "eof"), (V13, "reset")):
            wire = Wire(client_context(version), program.connect()).handshake()
            wire.exchange()
            wire.peer.sendall(wire.encrypted(b"half of a record")[:-3])
            end(wire.peer, how)
            told += 1
            until(lambda: len(ends_told(program)) == told, 2, lambda: program.log())
            expected = "ended without a goodbye" if how == "eof" else "reset"
            assert expected in ends_told(program)[-1].lower(), ends_told(program)
        wire = Wire(client_context(), program.connect()).handshake()
        wire.exchange()
        wire.part()
        end(wire.peer, "eof")
        no_connection_is_left(program)
        assert len(ends_told(program)) == told, ends_told(program)


@row
def cuts_of_what_it_sends_after_any_number_of_bytes():
    with under_test(TLS) as program, quiet(program):
        before = program.connections()
        with bounded(program):
            for version in VERSIONS:
                for how in ("eof", "reset"):
                    for size in range(1, 2000, 97):
                        with Meddler(program.port, cutting("down", size, how)) as middle, \
                                peers.connect(middle.port) as peer, contextlib.suppress(OSError):
                            wire = Wire(client_context(version), peer).handshake()
                            wire.exchange(b"x" * 1000)
                            wire.part()
        no_connection_is_left(program, before)


@row
def a_spoiled_record_is_never_delivered():
    with under_test(TLS) as program, quiet(program):
        before = program.connections()
        with bounded(program):
            for version in VERSIONS:
                for place in range(0, 60, 3):
                    with program.connect() as peer:
                        wire = Wire(client_context(version), peer).handshake()
                        wire.exchange()
                        record = bytearray(wire.encrypted(b"hello"))
                        whole = len(record)
                        record[place % whole] ^= 0x10
                        peer.sendall(record)
                        with contextlib.suppress(OSError):
                            peer.shutdown(socket.SHUT_WR)
                        try:
                            assert wire.read() == b"", "it was echoed"
                        except ssl.SSLError as error:  # an alert: or an end without one
                            assert "alert" in str(error) or "EOF" in str(error), error
                        except ConnectionError:
                            pass
        no_connection_is_left(program, before)


@row
def deaf_peers_cost_a_bounded_amount_and_lose_no_byte():
    with under_test(TLS) as program, quiet(program):
        deaf = []
        piece = os.urandom(16_384)
        with bounded(program, 20 * A_DEAF_PEER):
            for number in range(20):
                wire = Wire(client_context(VERSIONS[number % 2]), program.connect()).handshake()
                wire.peer.settimeout(0.3)
                sent, left = 0, b""
                with contextlib.suppress(TimeoutError):
                    while sent < 64 * MIB:
                        left = wire.encrypted(piece)
                        sent += len(piece)
                        while left:
                            left = left[wire.peer.send(left):]
                deaf.append((wire, sent, left))
        cpu = program.cpu()
        time.sleep(1)
        assert program.cpu() - cpu < 0.15, f"{program.cpu() - cpu:.2f} s CPU while nobody reads"
        for wire, sent, left in deaf[:4]:
            wire.peer.settimeout(20)
            wire.peer.setblocking(False)
            got = bytearray()
            while len(got) < sent:
                with contextlib.suppress(BlockingIOError):
                    left = left[wire.peer.send(left):] if left else left
                with contextlib.suppress(BlockingIOError):
                    data = wire.peer.recv(65536)
                    assert data, f"it ended after {len(got)} of {sent}"
                    wire.incoming.write(data)
                with contextlib.suppress(ssl.SSLWantReadError):
                    while True:
                        got += wire.tls.read(65536)
            assert got == piece * (sent // len(piece))
        for wire, _, _ in deaf:
            wire.peer.close()


@row
def what_comes_after_a_goodbye_is_not_looked_at():
    with under_test(TLS) as program, quiet(program):
        before = program.connections()
        with bounded(program):
            for version in VERSIONS:
                for after in (b"\x17\x03\x03\x40\x00" + bytes(16_384), peers.GET * 100, os.urandom(16_384)):
                    peer = program.connect(timeout=5)
                    wire = Wire(client_context(version), peer).handshake()
                    wire.exchange()
                    peer.sendall(wire.goodbye())
                    with contextlib.suppress(OSError):
                        for _ in range(1000):
                            peer.sendall(after)
                    said, _ = receive_all(peer)
                    assert len(said) < 100, "a goodbye at most"
                    peer.close()
        no_connection_is_left(program, before)


@row
def a_goodbye_behind_a_full_send_buffer_loses_no_byte():
    with under_test(TLS) as program, quiet(program):
        for version in VERSIONS:
            piece = os.urandom(16_384)
            with program.connect(receive_buffer=4096) as peer:
                wire = Wire(client_context(version), peer).handshake()
                for _ in range(30):
                    peer.sendall(wire.encrypted(piece))
                peer.sendall(wire.goodbye())
                got = bytearray()
                while True:
                    try:
                        got += wire.tls.read(65536)
                    except ssl.SSLWantReadError:
                        data = peer.recv(65536)
                        if not data:
                            wire.incoming.write_eof()
                        wire.incoming.write(data)
                    except ssl.SSLZeroReturnError:
                        break
                assert got == piece * 30, f"{len(got)} of {30 * len(piece)}"


@row
def peers_that_do_not_answer_its_goodbye_hold_up_a_shutdown_to_its_deadline():
    with started(TLS) as program:
        wires = [Wire(client_context(version), program.connect()).handshake() for version in VERSIONS * 10]
        for wire in wires:
            wire.exchange()
        took = program.end(within=SHUTDOWN + 0.5)
        program.note(f"ended after {took:.2f} s")
        assert took > 1, "it did not wait for them"
        for wire in wires:
            wire.peer.close()


@row
def peers_that_go_on_after_its_goodbye_hold_up_a_shutdown_to_its_deadline():
    with started(TLS) as program:
        wires = [Wire(client_context(version), program.connect()).handshake() for version in VERSIONS * 3]
        for wire in wires:
            wire.exchange()
            wire.peer.setblocking(False)
        before = program.rss()
        os.kill(program.pid, signal.SIGTERM)
        begin, most, sent = time.monotonic(), 0, 0
        records = [b"" for _ in wires]
        while program.is_running() and time.monotonic() < begin + SHUTDOWN + 2:
            for index, wire in enumerate(wires):
                with contextlib.suppress(OSError):
                    records[index] = records[index] or wire.encrypted(bytes(16_384))
                    count = wire.peer.send(records[index])
                    records[index] = records[index][count:]
                    sent += count
            with contextlib.suppress(OSError, TypeError):  # it has just ended
                most = max(most, program.rss() - before)
        took = time.monotonic() - begin
        assert program.process.wait(timeout=5) == 0
        program.note(f"ended after {took:.2f} s; {sent >> 20} MiB came meanwhile; RSS {most / MIB:+.1f} MiB")
        assert took <= SHUTDOWN + 0.5 and most < 4 * MIB
        for wire in wires:
            wire.peer.close()


@row
def handshakes_that_stand_still_hold_up_no_shutdown():
    with started(TLS) as program:
        waiting = [program.connect() for _ in range(100)]
        hello = Wire(client_context(), waiting[0]).hello()
        for number, peer in enumerate(waiting):
            peer.sendall(hello[:5 * number])
        until(lambda: program.connections() == 100, 5, "all are accepted")
        program.end(within=1)
        for peer in waiting:
            peer.close()


@row
def a_thousand_handshakes_that_stand_still():
    deadline, count = 6, 1000
    # They come, and are sent away, all at once: that much may be noticed.
    with under_test(TLS, "--handshake-timeout", str(deadline)) as program, quiet(program, limit=0.25):
        before = program.connections()
        for growth in (16 * MIB, MIB):  # what it needs for so many stays with it for the next
            with bounded(program, growth):
                waiting = [program.connect(source=f"127.0.0.{2 + number % 8}") for number in range(count)]
                hello = Wire(client_context(), waiting[0]).hello()
                for number, peer in enumerate(waiting):
                    peer.sendall(hello if number % 2 else hello[:100])
                    if number % 20 == 0:
                        time.sleep(0.05)  # each whole hello is half a handshake's work for the server
                until(lambda: program.connections() == before + count, 10, "all are accepted")
                begin = time.monotonic()
                no_connection_is_left(program, before, seconds=deadline + 10)
                program.note(f"gone after {time.monotonic() - begin:.1f} s")
                for peer in waiting:
                    peer.close()


@row
def without_descriptors_handshakes_go_on():
    with under_test(TLS) as program, quiet(program):
        before = program.connections()
        context = client_context()
        begun = [Wire(context, program.connect()) for _ in range(10)]
        for wire in begun:
            wire.peer.sendall(wire.hello()[:50])
        until(lambda: program.connections() == before + 10, 5, "all are accepted")
        with descriptor_limit(program, sum(program.descriptors().values())):
            waiting = [program.connect() for _ in range(20)]
            for wire in begun:
                wire.peer.close()
            time.sleep(0.2)
            cpu = program.cpu()
            time.sleep(2)
            assert program.cpu() - cpu < 0.4, "it spins"
        time.sleep(1.2)
        for peer in waiting:
            with Wire(context, peer).handshake() as wire:
                wire.exchange()
                wire.part()
        no_connection_is_left(program, before)


@row
def a_handshake_goes_on_while_nobody_else_is_accepted():
    with under_test(TLS) as program:
        context = client_context()
        begun = [Wire(context, program.connect()) for _ in range(10)]
        until(lambda: program.connections() == 10, 5, "all are accepted")
        with descriptor_limit(program, sum(program.descriptors().values())):
            newcomers = [program.connect() for _ in range(20)]
            for wire in begun:
                wire.handshake().exchange()
                wire.part()
                wire.peer.close()
        for peer in newcomers:
            peer.close()
        time.sleep(1.2)


@row
def a_storm_of_sessions_that_are_resumed():
    with under_test(TLS) as program, quiet(program):
        before = program.connections()
        for version in VERSIONS:
            context = client_context(version)
            session, resumed = None, 0
            with bounded(program, 8 * MIB):
                for number in range(300):
                    with program.connect() as peer, Wire(context, peer, session=session) as wire:
                        wire.handshake().exchange()
                        resumed += wire.tls.session_reused
                        wire.part()
                        if number % 10 == 0:
                            session = wire.tls.session
            assert resumed == 299, resumed
        no_connection_is_left(program, before)


@row
def more_sessions_than_it_remembers():
    with under_test(TLS) as program, quiet(program):
        before = program.connections()
        context = client_context(V12, options=ssl.OP_NO_TICKET)
        for _ in range(2):  # the first round fills what it remembers
            with bounded(program, 4 * MIB):
                for _ in range(300):
                    with program.connect() as peer, Wire(context, peer) as wire:
                        wire.handshake()
        no_connection_is_left(program, before)


@row
def a_certificate_may_be_replaced_under_load():
    with folder() as place:
        authority = Authority(place)
        certificate, key = authority.issue("localhost")
        texts = [(certificate.read_text(), key.read_text())]
        authority.issue("localhost")
        texts.append((certificate.read_text(), key.read_text()))
        files = "--certificate", certificate, "--key", key
        # Its workers stay: not every after-check would hold.
        with started(TLS, *files, env={"RUST_LOG": "off"}) as program, quiet(program):
            before = program.descriptors()
            context = client_context(trust=authority.certificate)
            seen = set()
            with bounded(program):
                for number in range(60):
                    halfway = Wire(context, program.connect())
                    hello = halfway.hello()
                    halfway.peer.sendall(hello[:100])
                    good = number % 3
                    certificate.write_text(texts[good][0] if good < 2 else "nothing of use")
                    key.write_text(texts[good % 2][1])
                    program.process.send_signal(signal.SIGHUP)
                    halfway.peer.sendall(hello[100:])
                    with halfway:
                        halfway.handshake().exchange()
                        halfway.part()
                        seen.add(halfway.tls.getpeercert()["serialNumber"])
            assert len(seen) == 2, seen
            until(lambda: program.descriptors() == before, 5, lambda: f"back to {before}, {program.descriptors()}")
            assert len(program.threads()) <= 1 + 32
