"""STARTTLS: what was said in clear is never carried out as if it had been encrypted, wherever it is cut; and an
upgrade that breaks or stands still costs nothing afterwards."""
import contextlib
import time

import peers
from harness import LISTENING, Service, bounded, row, under_test
from peers import quiet, receive_all
from tls_peers import VERSIONS, Cut, Wire, byte_by_byte, client_context, cut_after, end, no_connection_is_left

DEADLINE = 1
SMTP_TLS = Service("mailcatcher", "mailcatcher", "smtp",
                   ["--tls", "--handshake-timeout", str(DEADLINE), "--smtp-port", "0", "--http-port", "0"],
                   ["smtp: " + LISTENING, "https: " + LISTENING], 0)
UPGRADE = b"STARTTLS\r\n"
READY = b"220 2.0.0 ready to start TLS\r\n"
MAIL = b"EHLO me\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nSubject: a mail\r\n\r\n.\r\n"


def said_hello(program):
    peer = program.connect(timeout=5)
    peer.sendall(b"EHLO me\r\n")
    said = b""
    while b"\n250 " not in said:
        said += peer.recv(65536)
    assert b"STARTTLS" in said, said
    return peer


def asked(program):
    """A connection that is to be encrypted now."""
    peer = said_hello(program)
    peer.sendall(UPGRADE)
    assert peers.receive(peer, len(READY)) == READY
    return peer


def mail_by(wire):
    """Sends a mail, and says which it was."""
    wire.write(MAIL)
    said = b""
    while b"caught as message " not in said:
        said += wire.read()
    return int(said.split(b"caught as message ")[1].split()[0])


@row
def commands_in_clear_around_the_upgrade_are_never_carried_out():
    injected = UPGRADE + MAIL.replace(b"a mail", b"injected")
    with under_test(SMTP_TLS) as program, quiet(program):
        before = program.connections()
        with bounded(program):
            for cut in range(1, len(injected), 4):
                peer = said_hello(program)
                peer.sendall(injected[:cut])
                time.sleep(0.002)
                with contextlib.suppress(OSError):
                    peer.sendall(injected[cut:])
                said, _ = receive_all(peer)
                answer = said.removeprefix(READY)
                assert answer == b"" or answer[0] == 21, (cut, said)  # an alert at most
                peer.close()
        no_connection_is_left(program, before)
        with Wire(client_context(), asked(program)) as wire:
            assert mail_by(wire.handshake()) == 1, "there was a mail before"


@row
def upgrades_that_break_or_stand_still():
    with under_test(SMTP_TLS) as program, quiet(program):
        before = program.connections()
        with bounded(program):
            silent = []
            for version in VERSIONS:
                context = client_context(version)
                for size in (1, 5, 6, 100, 150, 180, 200, 250):
                    for how in ("eof", "reset", "stall"):
                        peer = asked(program)
                        with contextlib.suppress(Cut):
                            mail_by(Wire(context, peer, send=cut_after(peer, size)).handshake())
                        silent.append(peer) if how == "stall" else end(peer, how)
            for peer in silent:
                said, _ = receive_all(peer)  # when the deadline is over
                assert b"250" not in said
                peer.close()
        no_connection_is_left(program, before)


@row
def an_upgrade_one_byte_at_a_time():
    with under_test(SMTP_TLS) as program, quiet(program):
        for number, version in enumerate(VERSIONS):
            peer = said_hello(program)
            for byte in UPGRADE:
                peer.sendall(bytes([byte]))
            assert peers.receive(peer, len(READY)) == READY
            with Wire(client_context(version), peer, send=byte_by_byte(peer)) as wire:
                assert mail_by(wire.handshake()) == number + 1
