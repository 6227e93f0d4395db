"""The other side of TLS: certificates as a row needs them, and peers whose cipher text the row has in its
hands, to cut it, to spoil it, or to leave it out."""
import contextlib
import functools
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
from pathlib import Path

import peers
from harness import need, until

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
VERSIONS = V12, V13

ALERT = 21  # a type of records
GOODBYE_IN_PLAIN = b"\x15\x03\x03\x00\x02\x01\x00"


class Cut(Exception):
    """The connection was to be cut here."""


# Certificates.

@contextlib.contextmanager
def folder():
    with tempfile.TemporaryDirectory(prefix="tulipa-tls-") as path:
        yield Path(path)


def openssl(*arguments, **options):
    need("openssl")
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


CONFIG = """
[ca]
default_ca = it
[it]
database = {place}/index
new_certs_dir = {place}
unique_subject = no
default_md = sha256
rand_serial = yes
policy = any
[any]
commonName = supplied
"""


class Authority:
    """Vouches for whatever it is told to. With `above`, that one vouches for it."""

    def __init__(self, place, name="authority", above=None):
        self.place = place / name
        self.place.mkdir()
        (self.place / "index").touch()
        (self.place / "config").write_text(CONFIG.format(place=self.place))
        if above is None:
            self.certificate, self.key = self._files("own")
            openssl("req", "-x509", *NEW_KEY, "-days", "30", "-subj", f"/CN={name}", "-addext",
                    "basicConstraints=critical,CA:TRUE", "-keyout", self.key, "-out", self.certificate)
            self.chain = ""
        else:
            self.certificate, self.key = above.issue(name, "basicConstraints=critical,CA:TRUE")
            self.chain = self.certificate.read_text()

    def _files(self, name):
        return self.place / f"{name}.pem", self.place / f"{name}.key"

    def issue(self, name, *extensions, usage=None, start="20200101000000Z", end="20490101000000Z"):
        """A certificate, with the chain that leads to it, and its key."""
        certificate, key = self._files(name)
        request, extra = certificate.with_suffix(".csr"), certificate.with_suffix(".ext")
        lines = list(extensions) or [f"subjectAltName=DNS:{name}", f"extendedKeyUsage={usage or 'serverAuth'}"]
        extra.write_text("\n".join(lines) + "\n")
        openssl("req", "-new", *NEW_KEY, "-subj", f"/CN={name}"[:60], "-keyout", key, "-out", request)
        openssl("ca", "-batch", "-notext", "-config", self.place / "config", "-cert", self.certificate,
                "-keyfile", self.key, "-startdate", start, "-enddate", end, "-extfile", extra, "-in", request,
                "-out", certificate)
        certificate.write_text(certificate.read_text() + self.chain)
        return certificate, key


NEW_KEY = "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"


# Clients and servers.

def client_context(version=None, trust=None, certificate=None, alpn=(), **settings):
    """A client; it believes everybody unless it is told whom to `trust`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if trust is None:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    else:
        context.load_verify_locations(trust)
    return configure(context, version, certificate, alpn, settings)


def server_context(certificate, version=None, alpn=(), **settings):
    return configure(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), version, certificate, alpn, settings)


def configure(context, version, certificate, alpn, settings):
    if version is not None:
        context.minimum_version = context.maximum_version = version
    if certificate is not None:
        context.load_cert_chain(*certificate)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    for name, value in settings.items():
        setattr(context, name, value)
    return context


class Wire:
    """One end of a TLS connection over `peer`, a connected socket. What it has to send is handed to `send`."""

    def __init__(self, context, peer, send=None, server_side=False, session=None):
        self.peer, self.send = peer, send or peer.sendall
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=server_side, session=session,
                                    server_hostname=None if server_side else "localhost")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.peer.close()

    def flush(self):
        if data := self.outgoing.read():
            self.send(data)

    def hello(self):
        """The first bytes of a client, not sent."""
        assert self.attempt(self.tls.do_handshake) is None
        return self.outgoing.read()

    @staticmethod
    def attempt(step, *arguments):
        """The result; `None` if more has to come first."""
        try:
            return (step(*arguments), True)
        except ssl.SSLWantReadError:
            return None

    def until_done(self, step, *arguments):
        """Sends and receives until `step` has succeeded."""
        while True:
            done = self.attempt(step, *arguments)
            self.flush()
            if done:
                return done[0]
            if data := self.peer.recv(65536):
                self.incoming.write(data)
            else:
                self.incoming.write_eof()

    def handshake(self):
        self.until_done(self.tls.do_handshake)
        return self

    def exchange(self, data=b"hello"):
        """Sends something that will be sent back."""
        self.write(data)
        got = b""
        while len(got) < len(data):
            more = self.read()
            assert more, f"the stream ended after {len(got)} of {len(data)} bytes"
            got += more
        assert got == data, (got, data)

    def encrypted(self, data):
        """Cipher text of `data`, not sent."""
        self.tls.write(data)
        return self.outgoing.read()

    def write(self, data):
        self.until_done(self.tls.write, data)

    def read(self):
        """What comes next; nothing is the end that was said."""
        return self.until_done(self.tls.read, 65536)

    def goodbye(self):
        """Our goodbye, not sent."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        return self.outgoing.read()

    def part(self):
        """Says goodbye, and hears the other's."""
        self.until_done(self.tls.unwrap)


def cut_after(peer, size):
    """A way to send on `peer` that raises `Cut` when it has sent so many bytes, and none after them."""
    left = [size]

    def send(data):
        part = data[:left[0]]
        peer.sendall(part)
        left[0] -= len(part)
        if left[0] == 0:
            raise Cut

    return send


def byte_by_byte(peer):
    def send(data):
        for index in range(len(data)):
            peer.sendall(data[index:index + 1])
    return send


def end(peer, how):
    """Ends a connection by `reset`, or `eof`, after which what comes is awaited, and how."""
    if how == "reset":
        peers.reset(peer)
        return b"", "reset"
    with contextlib.suppress(OSError):  # the other was faster
        peer.shutdown(socket.SHUT_WR)
    said = peers.receive_all(peer)
    peer.close()
    return said


def no_connection_is_left(program, before=0, seconds=5):
    until(lambda: program.connections() == before, seconds, lambda: f"{program.connections()} connections are left")


def alert_in_plain(said):
    """Whether a whole answer is at most one alert that is not encrypted."""
    return said == b"" or (said[0] == ALERT and len(said) == 7)


class Listening:
    """Listens on a port of its own; each connection is given to `accepted(socket)`."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self.listener.accept()
                self.accepted(peer)


class Meddler(Listening):
    """A man in the middle: passes bytes on between its port and `target`, and calls
    `meddle(direction, so_far, data)`, which says what to pass on, or raises `Cut(how)`. The directions are
    `up`, to the target, and `down`."""

    def __init__(self, target, meddle):
        self.target, self.meddle = target, meddle
        self.passed = {"up": 0, "down": 0}
        super().__init__()

    def accepted(self, near):
        far = peers.connect(self.target)
        near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for direction, source, sink in (("up", near, far), ("down", far, near)):
            threading.Thread(target=self._pass, args=[direction, source, sink], daemon=True).start()

    def _pass(self, direction, source, sink):
        try:
            while data := source.recv(65536):
                before = self.passed[direction]
                self.passed[direction] += len(data)
                sink.sendall(self.meddle(direction, before, data))
            sink.shutdown(socket.SHUT_WR)
        except Cut as cut:
            part, how = cut.args
            with contextlib.suppress(OSError):
                sink.sendall(part)
                self._end(sink, how)
                self._end(source, how)
        except OSError:
            for one in (source, sink):
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def _end(one, how):
        if how == "reset":
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            one.shutdown(socket.SHUT_RD)  # the other thread lets go of it
            one.close()
        elif how == "eof":
            one.shutdown(socket.SHUT_RDWR)


def cutting(direction, size, how):
    """For a `Meddler`: after so many bytes in that direction both connections end, or `stall`."""
    def meddle(of, so_far, data):
        if of == direction and so_far + len(data) >= size:
            raise Cut(data[:size - so_far], how)
        return data
    return meddle


def spoiling(direction, place):
    """For a `Meddler`: the bit of that byte is turned over."""
    def meddle(of, so_far, data):
        if of == direction and so_far <= place < so_far + len(data):
            data = bytearray(data)
            data[place - so_far] ^= 0x10
        return bytes(data)
    return meddle


class Scripted(Listening):
    """A server on a port of its own; each connection is given to `script(socket)` in a thread. What that
    raises is kept in `errors`."""

    def __init__(self, script):
        self.script, self.errors = script, []
        super().__init__()

    def accepted(self, peer):
        peer.settimeout(20)
        threading.Thread(target=self._run, args=[peer], daemon=True).start()

    def _run(self, peer):
        with peer:
            try:
                self.script(peer)
            except Exception as error:  # the row looks at it
                self.errors.append(error)


@functools.cache
def one_certificate():
    """An authority, and a certificate of it for localhost, for all rows; removed when the process ends."""
    place = tempfile.TemporaryDirectory(prefix="tulipa-tls-")
    authority = Authority(Path(place.name))
    authority.keep = place
    return authority, authority.issue("localhost")
