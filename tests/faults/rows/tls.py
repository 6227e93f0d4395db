"""Clients that break TLS on their way into a server, or after: garbage, cuts and silence in every state of a
handshake, certificates and protocols that are refused. None of it costs anything afterwards."""
import contextlib
import os
import subprocess
import time

import peers
from harness import TLS, Service, bounded, need, row, under_test, until
from peers import quiet, receive_all
from tls_peers import (GOODBYE_IN_PLAIN, VERSIONS, V12, V13, Authority, Cut, Wire, alert_in_plain, byte_by_byte,
                       client_context, cut_after, end, folder, no_connection_is_left, ssl)

DEADLINE = 1.0
IN_TIME = ["--handshake-timeout", str(DEADLINE)]
# For whose clients somebody else encrypts.
INSIDE = Service("tls_echo", "tls_echo", "echo", TLS.arguments, TLS.ready, TLS.port)
IN_THE_PLACE_OF_A_HELLO = {
    "http": peers.GET, "smtp": b"EHLO me\r\nSTARTTLS\r\n", "zeros": bytes(1000), "ones": b"\xff" * 5000,
    "noise": b"\xfe" + os.urandom(3000), "data": b"\x17\x03\x03\x00\x20" + bytes(32),
    "an end of a handshake": b"\x14\x03\x03\x00\x01\x01\x16\x03\x03\x00\x28" + os.urandom(40),
    "a record too long": b"\x16\x03\x01\xff\xff" + bytes(70_000),
    "an empty record": b"\x16\x03\x01\x00\x00" * 100,
    "a message of 16 MB": b"\x16\x03\x01\x40\x00\x01\xff\xff\xff" + bytes(16_380),
    "another message": b"\x16\x03\x01\x00\x04\x0e\x00\x00\x00",
    "goodbyes": GOODBYE_IN_PLAIN * 10, "a failure": b"\x15\x03\x03\x00\x02\x02\x28",
    "SSL 2": b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + bytes(37),
}


def refused(program, data):
    """What a client that sends this is told, before the handshake's deadline."""
    with program.connect(timeout=5) as peer:
        with contextlib.suppress(OSError):  # refused before all of it has left
            peer.sendall(data)
        return receive_all(peer)


@row
def what_is_no_hello_is_refused_at_once():
    with under_test(TLS) as program, quiet(program):
        before = program.connections()
        with bounded(program):
            for name, data in IN_THE_PLACE_OF_A_HELLO.items():
                for _ in range(10):
                    said, _ = refused(program, data)
                    assert alert_in_plain(said), (name, said)
        no_connection_is_left(program, before)


@row
def a_hello_that_is_spoiled_anywhere_is_refused_or_answered():
    with under_test(TLS, *IN_TIME) as program, quiet(program):
        before = program.connections()
        with bounded(program):
            for version in VERSIONS:
                with program.connect() as peer:
                    hello = bytearray(Wire(client_context(version), peer).hello())
                for place in range(0, len(hello), 3):
                    spoiled = hello.copy()
                    spoiled[place] ^= 0xFF
                    with program.connect() as peer:
                        peer.sendall(spoiled)
                        end(peer, "eof")
        no_connection_is_left(program, before)


@row
def silence_at_any_step_of_the_handshake_is_ended_by_the_deadline():
    with under_test(TLS, *IN_TIME) as program, quiet(program):
        before = program.connections()
        silent, begin = [], time.monotonic()
        with bounded(program):
            for version in VERSIONS:
                context = client_context(version)
                size, whole = sizes(program, context)
                for cut in (0, 1, 4, 5, 6, 9, 50, size // 2, size - 1, size, size + 1, (size + whole) // 2, whole - 1):
                    peer = program.connect()
                    silent.append(peer)
                    with contextlib.suppress(Cut):
                        if cut:
                            Wire(context, peer, send=cut_after(peer, cut)).handshake()
            assert time.monotonic() - begin < DEADLINE, "the machine is too slow for this row"
            for peer in silent:
                said, how = receive_all(peer)
                took = time.monotonic() - begin
                assert DEADLINE <= took + 0.5 and took < 2 * DEADLINE, (said, how, took)
                peer.close()
        no_connection_is_left(program, before)


def sizes(program, context):
    """How long the client's hello is, and all that it sends in the handshake."""
    sent = []
    with program.connect() as peer:
        wire = Wire(context, peer, send=lambda data: (sent.append(len(data)), peer.sendall(data)))
        wire.handshake()
        wire.part()
    return sent[0], sent[0] + sent[1]


@row
def a_handshake_that_drips_is_ended_by_the_deadline():
    with under_test(TLS, *IN_TIME) as program, quiet(program):
        before = program.connections()
        dripping = [program.connect() for _ in range(50)]
        hello = Wire(client_context(), dripping[0]).hello()
        begin = time.monotonic()
        for byte in hello:
            if time.monotonic() - begin > DEADLINE + 0.2:
                break
            for peer in dripping:
                with contextlib.suppress(OSError):
                    peer.sendall(bytes([byte]))
            time.sleep(0.05)
        no_connection_is_left(program, before, seconds=1)
        for peer in dripping:
            peer.close()


@row
def one_byte_at_a_time_is_a_handshake_and_a_stream_like_any_other():
    with under_test(TLS) as program, quiet(program):
        for version in VERSIONS:
            peer = program.connect()
            with Wire(client_context(version), peer, send=byte_by_byte(peer)) as slow:
                slow.handshake()
                slow.exchange(b"one byte at a time" * 10)
                slow.part()


@row
def ends_and_resets_after_any_number_of_bytes():
    with under_test(TLS) as program, quiet(program):
        before = program.connections()
        cuts = 0
        with bounded(program):
            for version in VERSIONS:
                context = client_context(version)
                for how in ("eof", "reset"):
                    size, is_whole = 0, False
                    while not is_whole:
                        peer = program.connect()
                        send = peer.sendall if size == 0 else cut_after(peer, size)
                        try:
                            if size:
                                wire = Wire(context, peer, send=send).handshake()
                                wire.exchange()
                                wire.part()
                                is_whole = True
                        except Cut:
                            pass
                        end(peer, how)
                        cuts += 1
                        size += 29
        program.note(f"{cuts} cuts")
        no_connection_is_left(program, before)


@row
def goodbyes_at_any_step_of_a_handshake_are_no_end():
    # RUSTSEC-2024-0336: one in the middle made a server spin. Anybody may have said it, so one alone is not believed.
    with under_test(TLS) as program:
        before = program.connections()
        for version in VERSIONS:
            for steps in range(3):
                peer = program.connect(timeout=5)
                wire = Wire(client_context(version), peer)
                if steps > 0:
                    peer.sendall(wire.hello())
                if steps > 1:
                    wire.incoming.write(peer.recv(65536))
                    wire.attempt(wire.tls.do_handshake)
                    wire.outgoing.read()  # and keeps it
                peer.sendall(GOODBYE_IN_PLAIN)
                cpu = program.cpu()
                time.sleep(0.1)
                assert program.cpu() - cpu < 0.05, "it spins"
                with contextlib.suppress(OSError):
                    peer.sendall(GOODBYE_IN_PLAIN * 10)
                receive_all(peer)  # long before the deadline
                peer.close()
            with program.connect(timeout=5) as peer:
                Wire(client_context(version), peer).handshake()
                with contextlib.suppress(OSError):
                    peer.sendall(GOODBYE_IN_PLAIN * 10)  # a fault by now, as it is not encrypted
                receive_all(peer)
        no_connection_is_left(program, before)


@row
def many_records_that_mean_nothing_cost_little():
    with under_test(TLS, *IN_TIME) as program, quiet(program):
        before = program.connections()
        flood = {"changes of ciphers": b"\x14\x03\x03\x00\x01\x01" * 10_000,
                 "warnings": b"\x15\x03\x03\x00\x02\x01\x5a" * 10_000,
                 "empty records": b"\x16\x03\x03\x00\x00" * 10_000}
        with bounded(program):
            for name, data in flood.items():
                for has_said_hello in (False, True):
                    peer = program.connect(timeout=5)
                    if has_said_hello:
                        peer.sendall(Wire(client_context(V13), peer).hello())
                        peer.recv(65536)
                    cpu = program.cpu()
                    with contextlib.suppress(OSError):
                        peer.sendall(data)
                    receive_all(peer)
                    assert program.cpu() - cpu < 0.5, f"{name}: {program.cpu() - cpu:.2f} s CPU"
                    peer.close()
        no_connection_is_left(program, before)


@row
def old_protocols_are_refused():
    with under_test(TLS) as program, quiet(program):
        for version in ("-tls1", "-tls1_1"):
            said = s_client(program, version, "-cipher", "ALL:@SECLEVEL=0", stdin="")
            assert "Cipher is (NONE)" in said, said
        with program.connect() as peer:
            hello = bytearray(Wire(client_context(V12), peer).hello())
        for old in (b"\x03\x00", b"\x03\x01", b"\x03\x02", b"\x02\x00"):
            hello[9:11] = old
            said, _ = refused(program, hello)
            assert said[:1] == b"\x15" and said[-1] in (70, 47, 50), (old, said)  # protocol_version


def s_client(program, *arguments, stdin):
    need("openssl")
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{program.port}", *arguments], input=stdin,
                          capture_output=True, text=True, timeout=20)
    return done.stdout + done.stderr


def typing(program, lines, *arguments, expect):
    """What openssl says while somebody types; it ends when `expect` was said, or by itself."""
    need("openssl")
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{program.port}", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as client:
        os.set_blocking(client.stdout.fileno(), False)
        said = b""

        def heard(what):
            nonlocal said
            said += client.stdout.read() or b""
            return what in said or client.poll() is not None

        try:
            until(lambda: heard(b"---\nread R BLOCK\n") or heard(b"Verify return code"), 5, lambda: said)
            for line in lines:
                with contextlib.suppress(BrokenPipeError):
                    client.stdin.write(line)
                    client.stdin.flush()
                time.sleep(0.03)  # it looks at the first letter of what it reads
            until(lambda: heard(expect), 5, lambda: said)
            heard(expect)
        finally:
            client.kill()
    assert expect in said, said
    return said


@row
def to_negotiate_again_is_refused():
    with under_test(TLS) as program, quiet(program):
        before = program.connections()
        for _ in range(5):
            typing(program, [b"before\n", b"R\n"], "-tls1_2", expect=b"no renegotiation")
        no_connection_is_left(program, before)


@row
def keys_may_be_updated_again_and_again():
    with under_test(TLS) as program, quiet(program):
        before = program.connections()
        for key in (b"K\n", b"k\n"):  # both ends, or the client alone
            said = typing(program, [key] * 20 + [b"after them\n"], "-tls1_3", expect=b"\nafter them\n")
            assert said.count(b"KEYUPDATE") == 20, said
        no_connection_is_left(program, before)


@row
def clients_whose_certificate_does_not_do_are_refused():
    with folder() as place:
        authority, stranger = Authority(place), Authority(place, "stranger")
        ours = authority.issue("somebody", usage="clientAuth")
        above = authority
        for depth in range(12):
            above = Authority(place, f"step{depth}", above)
        bad = {
            "nobody": None,
            "a stranger": stranger.issue("somebody", usage="clientAuth"),
            "expired": authority.issue("late", usage="clientAuth", end="20210101000000Z"),
            "too early": authority.issue("early", usage="clientAuth", start="20480101000000Z"),
            "a server": authority.issue("server", usage="serverAuth"),
            "too long a chain": above.issue("deep", usage="clientAuth"),
        }
        huge = place / "huge.pem"
        huge.write_text(ours[0].read_text() + authority.certificate.read_text() * 200)
        bad["a huge chain"] = huge, ours[1]
        known = client_context(certificate=ours)
        connect = lambda port, **options: known.wrap_socket(peers.connect(port, **options), server_hostname="localhost")
        with under_test(INSIDE, "--trust", authority.certificate, connect=connect) as program:
            before = program.connections()
            with bounded(program):
                for version in VERSIONS:
                    for who, certificate in bad.items():
                        context = client_context(version, certificate=certificate)
                        for _ in range(5):
                            with peers.connect(program.port) as peer:
                                try:
                                    Wire(context, peer).handshake().exchange()
                                    raise AssertionError(f"it let in {who}")
                                except (ssl.SSLError, OSError):
                                    pass
                    with peers.connect(program.port) as peer:
                        Wire(client_context(version, certificate=ours), peer).handshake().exchange()
            no_connection_is_left(program, before)


@row
def without_a_common_application_protocol_there_is_no_connection():
    with under_test(TLS, "--alpn", "echo", "--alpn", "other") as program, quiet(program):
        before = program.connections()
        for version in VERSIONS:
            for _ in range(10):
                with program.connect() as peer:
                    try:
                        Wire(client_context(version, alpn=["wrong", "echo2"]), peer).handshake()
                        raise AssertionError("it agreed")
                    except ssl.SSLError as error:
                        assert "no application protocol" in str(error), error
            with program.connect() as peer:
                wire = Wire(client_context(version, alpn=["wrong", "other"]), peer).handshake()
                assert wire.tls.selected_alpn_protocol() == "other"
                wire.exchange()
        no_connection_is_left(program, before)
