"""A TLS client among servers that are not who they should be, or break in every state: it ends in time, says why,
and has sent nothing to whom it could not know."""
import contextlib
import os
import re
import socket
import subprocess
import time

import peers
from harness import SHUTDOWN, TLS, need, row
from tls_peers import (GOODBYE_IN_PLAIN, VERSIONS, Authority, Meddler, Scripted, Wire, byte_by_byte, cutting, folder,
                       one_certificate, server_context, spoiling, ssl)

MESSAGE = b"nobody else is to read this" * 100


def a_client_of(port, *arguments, trust=None):
    trust = trust or one_certificate()[0].certificate
    command = [TLS.command()[0], "--client", "--port", str(port), "--trust", trust, *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


class Ended:
    """What became of a run of the client, and what it took."""

    def __init__(self, port, *arguments, message=MESSAGE, trust=None):
        begin = time.monotonic()
        with a_client_of(port, *arguments, trust=trust) as client:
            try:
                self.said, error = client.communicate(message, timeout=20)
                self.code, self.error = client.returncode, error.decode()
            finally:
                client.kill()
        self.took = time.monotonic() - begin

    def __repr__(self):
        said = f"{len(self.said)} bytes: {self.said[:40]}"
        return f"exit code {self.code} after {self.took:.2f} s: {self.error!r}; {said}"

    def failed(self, *because, within=2):
        assert self.code == 1 and self.took < within and "panicked" not in self.error, self
        assert not because or re.search("|".join(because), self.error), f"{self}, not because of {because}"
        assert MESSAGE.startswith(self.said), self
        return self

    def succeeded(self, message=MESSAGE):
        assert self.code == 0 and self.said == message and self.error == "", self


def echo(wire):
    """Sends everything back until the client parts, and parts too."""
    wire.handshake()
    while True:
        try:
            data = wire.read()
        except ssl.SSLZeroReturnError:
            data = b""
        if not data:
            return wire.part()
        wire.write(data)


def tls_server(certificate=None, version=None, send=None, then=echo, heard=None, **settings):
    """A server of Python's that echoes, or does something else `then`. What it hears goes to `heard`."""
    context = server_context(certificate or one_certificate()[1], version, **settings)

    def script(peer):
        wire = Wire(context, peer, send=send and send(peer), server_side=True)
        if heard is None:
            return then(wire)
        with contextlib.suppress(ssl.SSLError, OSError, AssertionError):
            wire.handshake()
            heard.append(wire.read())

    return Scripted(script)


@contextlib.contextmanager
def a_good_server_afterwards():
    yield
    for version in VERSIONS:
        with tls_server(version=version) as server:
            Ended(server.port).succeeded()


@row
def servers_that_are_not_who_they_should_be_are_told_nothing():
    with a_good_server_afterwards(), folder() as place:
        authority, stranger = Authority(place), Authority(place, "stranger")
        above = authority
        for depth in range(12):
            above = Authority(place, f"step{depth}", above)
        good = authority.issue("localhost")
        huge, alone = place / "huge.pem", place / "alone.pem"
        huge.write_text(good[0].read_text() + authority.certificate.read_text() * 200)
        middle = Authority(place, "middle", authority)
        chained = middle.issue("localhost")
        alone.write_text(chained[0].read_text().split("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n")
        bad = {
            "another name": (authority.issue("example.org"), "not valid for name"),
            "expired": (authority.issue("late", "subjectAltName=DNS:localhost", end="20210101000000Z"), "expired"),
            "too early": (authority.issue("early", "subjectAltName=DNS:localhost", start="20480101000000Z"),
                          "not valid yet"),
            "a stranger": (stranger.issue("localhost"), "UnknownIssuer|unknown issuer"),
            "a client": (authority.issue("localhost2", "subjectAltName=DNS:localhost", "extendedKeyUsage=clientAuth"),
                         "certificate"),
            "too long a chain": (above.issue("localhost"), "certificate"),
            "half a chain": ((alone, chained[1]), "UnknownIssuer|unknown issuer"),
            "a huge chain": ((huge, good[1]), "handshake"),
        }
        for version in VERSIONS:
            for who, (certificate, because) in bad.items():
                heard = []
                with tls_server(certificate, version, heard=heard) as server:
                    Ended(server.port, trust=authority.certificate).failed(because)
                assert not any(heard), f"{who} heard {heard}"
            with tls_server(chained, version) as server:
                Ended(server.port, trust=authority.certificate).succeeded()


@row
def without_a_common_application_protocol_it_does_not_go_on():
    with a_good_server_afterwards():
        for version in VERSIONS:
            for offered in ([], ["other"]):
                heard = []
                with tls_server(version=version, alpn=offered, heard=heard) as server:
                    Ended(server.port, "--alpn", "echo").failed("protocol")
                assert not any(heard), heard
            with tls_server(version=version, alpn=["other", "echo"]) as server:
                Ended(server.port, "--alpn", "echo").succeeded()


@row
def servers_that_speak_something_else():
    other = {"http": b"HTTP/1.1 400 Bad Request\r\n\r\n", "smtp": b"220 mail.example ESMTP\r\n", "zeros": bytes(1000),
             "noise": b"\xfe" + os.urandom(3000), "data": b"\x17\x03\x03\x00\x20" + bytes(32),
             "a record too long": b"\x16\x03\x03\xff\xff" + bytes(70_000), "goodbyes": GOODBYE_IN_PLAIN * 10,
             "a failure": b"\x15\x03\x03\x00\x02\x02\x28", "a hello of a client": None}
    with a_good_server_afterwards():
        for said in other.values():
            def script(peer, said=said):
                hello = peer.recv(65536)
                assert MESSAGE[:20] not in hello
                peer.sendall(said or hello)
                with contextlib.suppress(ConnectionError):
                    while data := peer.recv(65536):
                        assert MESSAGE[:20] not in data
            with Scripted(script) as server:
                Ended(server.port).failed("handshake")
                assert not server.errors, server.errors


@row
def servers_that_fall_silent_are_left_at_the_deadline():
    with a_good_server_afterwards():
        for version in VERSIONS:
            for size in (0, 1, 5, 6, 60, 127, 200, 400):
                with tls_server(version=version) as server, \
                        Meddler(server.port, cutting("down", size, "stall")) as middle:
                    ended = Ended(middle.port, "--handshake-timeout", "0.5").failed("longer than")
                    assert ended.took >= 0.5, ended


@row
def cuts_after_any_number_of_bytes_are_told():
    with a_good_server_afterwards():
        for version in VERSIONS:
            for how in ("eof", "reset"):
                for size in [*range(1, 1500, 149), 2500, 3000]:
                    with tls_server(version=version) as server, \
                            Meddler(server.port, cutting("down", size, how)) as middle:
                        Ended(middle.port).failed()
                for size in (1, 100, 300, 500):
                    with tls_server(version=version) as server, \
                            Meddler(server.port, cutting("up", size, how)) as middle:
                        Ended(middle.port).failed()


@row
def a_cut_answer_is_told_apart_from_a_short_one():
    def half(wire):
        wire.handshake()
        wire.write(wire.read()[:1000])

    def end_of_half(wire):
        half(wire)
        with contextlib.suppress(ssl.SSLError, OSError):
            wire.part()

    def cut_of_half(wire):
        half(wire)
        wire.peer.shutdown(socket.SHUT_WR)
        peers.receive_all(wire.peer)

    with a_good_server_afterwards():
        for version in VERSIONS:
            with tls_server(version=version, then=end_of_half) as server:
                ended = Ended(server.port).failed(f"kept the last {len(MESSAGE) - 1000} bytes")
                assert len(ended.said) == 1000
            with tls_server(version=version, then=cut_of_half) as server:
                ended = Ended(server.port).failed("ended without a goodbye")
                assert len(ended.said) == 1000


@row
def spoiled_records_are_never_taken_for_an_answer():
    with a_good_server_afterwards():
        for version in VERSIONS:
            for place in range(3, 2000, 171):
                with tls_server(version=version) as server, Meddler(server.port, spoiling("down", place)) as middle:
                    ended = Ended(middle.port, "--handshake-timeout", "1")
                    assert ended.code in (0, 1) and MESSAGE.startswith(ended.said), ended
                    assert ended.code == 1 or ended.said == MESSAGE, ended  # it was in the goodbye


@row
def a_server_that_says_one_byte_at_a_time():
    for version in VERSIONS:
        with tls_server(version=version, send=byte_by_byte) as server:
            Ended(server.port).succeeded()


@row
def a_server_that_never_answers_its_goodbye():
    def silent(wire):
        wire.handshake()
        wire.write(wire.read())
        time.sleep(SHUTDOWN + 2)

    with a_good_server_afterwards(), tls_server(then=silent) as server:
        ended = Ended(server.port).failed("did not answer our goodbye", within=SHUTDOWN + 1)
        assert ended.took >= SHUTDOWN and ended.said == MESSAGE, ended


@row
def a_server_that_goes_on_after_its_goodbye():
    def endless(wire):
        wire.handshake()
        wire.write(wire.read())
        with contextlib.suppress(OSError, ssl.SSLError):
            while True:
                wire.peer.sendall(wire.encrypted(bytes(16_384)))

    with a_good_server_afterwards(), tls_server(then=endless) as server:
        ended = Ended(server.port, message=b"x")
        assert ended.code == 1 and ended.took < SHUTDOWN + 1, ended


@row
def old_servers_are_refused():
    with a_good_server_afterwards(), openssl_server("-tls1_1", "-cipher", "ALL:@SECLEVEL=0") as (_, port):
        Ended(port).failed("handshake")


@contextlib.contextmanager
def openssl_server(*arguments):
    need("openssl")
    certificate, key = one_certificate()[1]
    command = ["openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", certificate, "-key", key, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as server:
        try:
            said = b""
            while b"ACCEPT" not in said:
                said = server.stdout.readline()
                assert said, "the server did not start"
            yield server, int(re.search(rb":(\d+)", said)[1])
        finally:
            server.kill()


@row
def a_server_that_wants_to_negotiate_again():
    for asks in (b"r\n", b"R\n"):
        with a_good_server_afterwards(), openssl_server("-tls1_2") as (server, port):
            with a_client_of(port) as client:
                try:
                    client.stdin.write(b"tulip\n")
                    client.stdin.close()
                    said = b""
                    while b"tulip" not in said:
                        said = server.stdout.readline()
                        assert said, "it has ended"
                    server.stdin.write(asks)
                    server.stdin.flush()
                    time.sleep(0.2)
                    with contextlib.suppress(BrokenPipeError):
                        server.stdin.write(b"pilut\n")
                        server.stdin.flush()
                    code = client.wait(timeout=SHUTDOWN + 2)
                    # It has refused, and goes on or not, as the server likes.
                    assert code in (0, 1) and client.stdout.read() in (b"", b"pilut\n"), code
                    assert b"panicked" not in client.stderr.read()
                finally:
                    client.kill()
