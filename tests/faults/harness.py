"""What every row shares: a program of examples/ that runs, and what must hold once the fault is over.

A row is a function marked `@row`. It starts a program with `under_test`, does something bad to it, and
leaves; the after-checks follow by themselves and are the same for every row. A row that cannot be run here
raises `Skip` with the reason.
"""
import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path

import peers

ROOT = Path(__file__).resolve().parent.parent.parent
BUILT = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "examples"

SHUTDOWN = 10.0  # how long the programs give their connections, see examples/src/serving.rs
MIB = 1024 * 1024
IDLE = 2.0  # for how long an idle program is watched


class Skip(Exception):
    """Something that this row needs is not there."""


class Service:
    """One port of one example program, and how its clients speak.

    One that needs a `target` is run beside it, with its address as the last argument. `sockets` are those
    that it holds for each client."""

    def __init__(self, name, program, talk, arguments, ready, port, target=None, sockets=1):
        self.name, self.program, self.talk = name, program, talk
        self.arguments, self.ready, self.port = arguments, ready, port
        self.target, self.sockets = target, sockets

    def __repr__(self):
        return self.name

    def command(self, *arguments, target_port=9):
        """What to run. By default its target is a port where nobody listens."""
        target = [f"127.0.0.1:{target_port}"] if self.target else []
        return [BUILT / self.program, *self.arguments, *arguments, *target]


LISTENING = r"listening on 127\.0\.0\.1:(\d+)"
ONE_PORT = ["--port", "0"], [LISTENING], 0
TWO_PORTS = ["--smtp-port", "0", "--http-port", "0"], ["smtp: " + LISTENING, "http: " + LISTENING]
ECHO = Service("echo_server", "echo_server", "echo", *ONE_PORT)
HTTP = Service("http_hello", "http_hello", "http", *ONE_PORT)
SMTP = Service("mailcatcher", "mailcatcher", "smtp", *TWO_PORTS, 0)
CHAT = Service("chat", "chat", "chat", ["--port", "0", "--goodbye", str(int(SHUTDOWN))], [LISTENING], 0)
PROXY = Service("proxy", "proxy", "echo", ["--port", "0", "--drain", str(int(SHUTDOWN))], [LISTENING], 0,
                target=ECHO, sockets=2)
ALL = (ECHO, HTTP, SMTP, CHAT, PROXY)
TLS = Service("tls_echo", "tls_echo", "tls", *ONE_PORT)
# One server on several cores: each accepts by itself, or one thread accepts for all.
SHARED = Service("multicore_shared", "multicore_http", "http", ["--port", "0", "--cores", "3"], [LISTENING], 0)
HANDED = Service("multicore_handed", "multicore_http", "http",
                 ["--port", "0", "--cores", "3", "--hand-over"], [LISTENING], 0)
MANY_CORES = (SHARED, HANDED)

ROWS = []


def row(*services):
    """Marks a row: `@row` for one that chooses its program, `@row(ECHO, HTTP)` for one run with each."""
    if len(services) == 1 and not isinstance(services[0], Service):
        ROWS.append((services[0].__name__, services[0]))
        return services[0]

    def mark(function):
        for service in services:
            ROWS.append((f"{function.__name__}[{service}]", lambda service=service: function(service)))
        return function

    return mark


def need(*tools):
    for tool in tools:
        if shutil.which(tool) is None:
            raise Skip(f"no {tool}")


def need_root():
    if os.geteuid() != 0:
        raise Skip("not root")


def until(question, seconds, what):
    """Asks again and again until the answer is yes; fails after so many seconds."""
    end = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < end, f"not within {seconds} s: {what() if callable(what) else what}"
        time.sleep(0.02)


def scratch_file():
    """An empty file, to be removed by whoever asked for it."""
    descriptor, path = tempfile.mkstemp(prefix="tulipa-fault-")
    os.close(descriptor)
    return Path(path)


class Program:
    """A running example program, with its target if it needs one."""

    def __init__(self, service, *arguments, log=None, env=(), preexec=None, connect=peers.connect, target=None):
        self.service, self._connect = service, connect
        self.notes = []
        self.target = target or (service.target and Program(service.target))
        command = service.command(*arguments, target_port=self.target and self.target.port)
        self.log_path = scratch_file()
        with self.log_path.open("wb") as own_log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=log or own_log, env={**os.environ, **dict(env)},
                preexec_fn=preexec,
            )
        self.pid = self.process.pid
        self.since = time.monotonic()
        try:
            self.ports = [self._port(pattern) for pattern in service.ready]
        except BaseException:
            self.kill()
            raise
        self.port = self.ports[service.port]

    def _port(self, pattern):
        line = self.process.stdout.readline().decode().rstrip("\n")
        match = re.fullmatch(pattern, line)
        assert match, f"{self.service} said {line!r} instead of {pattern!r}: {self.log()}"
        return int(match[1])

    def connect(self, **options):
        return self._connect(self.port, **options)

    def client(self, **options):
        """A connected client that speaks the service's language."""
        return peers.Client(self.service.talk, self.connect(**options))

    def log(self):
        return self.log_path.read_text(errors="replace")

    def reports(self):
        """The records in its log; one may have several lines."""
        return re.findall(r"^\[\d{4}-.*", self.log(), re.M)

    def note(self, text):
        self.notes.append(text)

    def is_running(self):
        return self.process.poll() is None

    # What the system knows about it.

    def descriptors(self):
        names = []
        for entry in os.listdir(f"/proc/{self.pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                names.append(re.sub(r"\d+", "N", os.readlink(f"/proc/{self.pid}/fd/{entry}")))
        return Counter(names)

    def threads(self):
        return os.listdir(f"/proc/{self.pid}/task")

    def look_ups(self):
        """How many threads there are for looking up names. They end when they have been idle for 2 s."""
        count = 0
        for thread in self.threads():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                count += Path(f"/proc/{self.pid}/task/{thread}/comm").read_text() == "tulipa-resolver\n"
        return count

    def children(self):
        found = []
        for thread in self.threads():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
                found += Path(f"/proc/{self.pid}/task/{thread}/children").read_text().split()
        return found

    def connections(self):
        """For how many clients it holds sockets."""
        sockets = self.descriptors()["socket:[N]"] - len(self.ports)
        return -(-sockets // self.service.sockets)

    def snapshot(self):
        """What must be the same afterwards. Zombies are children too."""
        return {
            "descriptors": self.descriptors(),
            "threads": len(self.threads()),
            "children": len(self.children()),
        }

    def status(self, field):
        return int(re.search(rf"^{field}:\s*(\d+)", Path(f"/proc/{self.pid}/status").read_text(), re.M)[1])

    def rss(self):
        """Resident memory in bytes, exact."""
        rollup = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        return int(re.search(r"^Rss:\s*(\d+)", rollup, re.M)[1]) * 1024

    def cpu(self):
        """Seconds that it ran, in all its threads."""
        times = [Path(f"/proc/{self.pid}/task/{t}/schedstat").read_text().split()[0] for t in self.threads()]
        return sum(map(int, times)) / 1e9

    # Its end.

    def end(self, within):
        """SIGTERM, after which it must end with exit code 0."""
        begin = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(timeout=within + 5)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running {within + 5} s after SIGTERM: {self.log()}") from None
        took = time.monotonic() - begin
        assert code == 0, f"exit code {code}: {self.log()}"
        assert took <= within, f"took {took:.2f} s to end, {within} s were allowed"
        return took

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.log_path.unlink(missing_ok=True)
        if self.target:
            self.target.kill()


@contextlib.contextmanager
def started(service, *arguments, **options):
    """Runs a program, without after-checks: for rows that end it themselves."""
    program = Program(service, *arguments, **options)
    try:
        yield program
        assert "panicked" not in program.log(), program.log()
    finally:
        program.kill()
        LAST_NOTES[:] = program.notes


@contextlib.contextmanager
def under_test(service, *arguments, **options):
    """Runs a program; the after-checks follow unless the row failed."""
    need("strace")
    with started(service, *arguments, **options) as program:
        fresh_client(program)  # what is made at first use is made now
        until(lambda: program.connections() == 0, 2, "the first client is gone")
        until(lambda: program.look_ups() == 0, 5, "the threads of its look-ups have ended")
        before = program.snapshot()
        yield program
        after_checks(program, before)


LAST_NOTES = []


def fresh_client(program):
    """Connects, says one thing, hears the answer. Returns how long that took."""
    begin = time.monotonic()
    with program.client(timeout=5) as client:
        client.exchange()
    return time.monotonic() - begin


def after_checks(program, before):
    """What must hold after every fault, whatever it was."""
    assert program.is_running(), f"it ended with {program.process.returncode}: {program.log()}"
    until(lambda: program.snapshot() == before, 5, lambda: f"back to {before}, now {program.snapshot()}")

    took = min(fresh_client(program) for _ in range(3))
    assert took <= 0.1, f"a fresh client waited {took * 1000:.0f} ms"
    until(lambda: program.look_ups() == 0, 5, "the threads of their look-ups have ended")
    until(lambda: program.snapshot() == before, 2, "the fresh clients' descriptors are closed")

    calls, cpu = watch_idle(program)
    assert not calls, f"{len(calls)} system calls in {IDLE} s of idleness: {calls[:10]}"
    assert cpu < 0.01, f"{cpu:.1%} CPU while idle"

    reports = program.reports()
    allowed = 10 + int(time.monotonic() - program.since)
    assert len(reports) <= allowed, f"{len(reports)} records in the log, {allowed} allowed: {reports[:12]}"
    program.end(within=2)


@contextlib.contextmanager
def bounded(program, growth=4 * MIB):
    """The program's memory may not grow by more."""
    before = program.rss()
    yield
    grown = program.rss() - before
    program.note(f"RSS {grown / MIB:+.1f} MiB")
    assert grown <= growth, f"{grown / MIB:.1f} MiB more"


def watch_idle(program, seconds=IDLE):
    """The system calls that it makes when it should make none, and its share of a CPU meanwhile."""
    trace = scratch_file()
    command = ["strace", "-f", "-qq", "-e", "signal=none", "-o", trace, "-p", str(program.pid)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as tracer:
        try:
            until(lambda: program.status("TracerPid") == tracer.pid, 5, "strace is attached")
            # The wait that it was in is begun anew when a tracer comes; that one does not count.
            until(lambda: "epoll" in trace.read_text(), 2, "it waits")
            time.sleep(0.05)
            before, begin = program.cpu(), len(trace.read_text().splitlines())
            time.sleep(seconds)
            cpu = (program.cpu() - before) / seconds
            calls = trace.read_text().splitlines()[begin:]
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.wait()
            trace.unlink()
    return calls, cpu
