"""Names that hang, fail or come too late, and addresses that lead nowhere: they delay only who asked, up to a
deadline, and other addresses are tried. The program is `proxy`, which looks its target up for each client."""
import contextlib
import os
import subprocess
import tempfile
import time
from pathlib import Path

import harness
import peers
from harness import BUILT, ECHO, Service, Skip, need, need_root, row, started, under_test, until
from injection import ip, two_hosts
from links import connect_from, enter

EAI_NONAME, EAI_AGAIN = -2, -3
HERE = Path(__file__).resolve().parent.parent


class Names:
    """What the C library answers for every name that ends in `.test`, for programs with this `env`."""

    def __init__(self, folder):
        self.library, self.answer = folder / "shim.so", folder / "names"
        command = ["gcc", "-shared", "-fPIC", "-O1", "-o", self.library, HERE / "names_shim.c", "-ldl"]
        subprocess.run(command, check=True)
        self.env = {"LD_PRELOAD": str(self.library), "TULIPA_NAMES": str(self.answer), "RUST_LOG": "info"}

    def say(self, text):
        new = self.answer.with_suffix(".new")
        new.write_text(text + "\n")
        new.rename(self.answer)


@contextlib.contextmanager
def names():
    need("gcc")
    if not (BUILT / "proxy").exists():
        raise Skip("proxy is not built")
    with tempfile.TemporaryDirectory(prefix="tulipa-names-") as folder:
        yield Names(Path(folder))


@contextlib.contextmanager
def proxy(*arguments, watched=True):
    """A proxy whose target is `backend.test`, where an echo server is: yields it and the names."""
    with names() as known, started(ECHO) as echo:
        known.say("127.0.0.1")
        target = f"backend.test:{echo.port}"
        service = Service("proxy", "proxy", "echo", [target, "--port", "0"], *ECHO_READY)
        run = under_test if watched else started
        with run(service, *arguments, env=known.env) as program:
            yield program, known


ECHO_READY = (harness.ONE_PORT[1], 0)


def ended(client, within):
    """Waits for the end of a connection; says how long it took, and how it came."""
    begin = time.monotonic()
    client.settimeout(within)
    said, end = peers.receive_all(client)
    assert said == b""
    return time.monotonic() - begin, end


def turned_away(program, within):
    """A new client is not served, but reset. Says how long it took."""
    begin = time.monotonic()
    with contextlib.suppress(ConnectionResetError):  # while it connects: that was fast
        with program.connect() as client:
            assert ended(client, within)[1] == "reset"
    took = time.monotonic() - begin
    assert took <= within, f"it took {took:.2f} s, {within} s were allowed"
    return took


def hang(program, known):
    """From now on look-ups hang, and there is no other thread of look-ups than those that do."""
    until(lambda: program.look_ups() == 0, 5, "the threads of the look-ups have ended")
    known.say("hang")


def long_enough(program, known):
    """The threads that hung come back and end."""
    known.say("127.0.0.1")
    until(lambda: program.look_ups() == 0, 5, "the threads of the look-ups have ended")


@row
def a_name_that_hangs_delays_only_who_asked():
    with proxy("--connect-timeout", "2") as (program, known):
        with program.client() as open_before:
            open_before.exchange()
            hang(program, known)
            clients = [program.connect() for _ in range(8)]
            until(lambda: program.look_ups() > 0, 2, "somebody asks")
            begin = time.monotonic()
            while time.monotonic() < begin + 1:
                took = time.monotonic()
                open_before.exchange()
                took = time.monotonic() - took
                assert took < 0.1, f"a connection that was open before waited {took:.3f} s"
            program.note(f"{program.look_ups()} threads for {len(clients)} clients")
            assert program.look_ups() <= 2
            for client in clients:
                took, end = ended(client, 4)
                assert end == "reset", end
            took = time.monotonic() - begin
            assert 1.8 <= took <= 2.5, f"they waited {took:.2f} s, 2 s were allowed"
        assert "within 2s: the look-up of its name had no answer" in program.log(), program.log()
        # It answers again: so do we, although the threads that hang are still there.
        known.say("127.0.0.1")
        assert harness.fresh_client(program) < 1
        long_enough(program, known)


@row
def a_name_that_hangs_again_and_again_takes_few_threads():
    with proxy("--connect-timeout", "1") as (program, known):
        hang(program, known)
        for _ in range(6):
            turned_away(program, within=1.5)
        assert program.look_ups() == 4, program.look_ups()
        long_enough(program, known)


@row
def a_name_that_is_not_known_is_an_error_at_once():
    with proxy() as (program, known):
        for code, said in ((EAI_NONAME, "Name or service not known"), (EAI_AGAIN, "Temporary failure")):
            known.say(f"fail {code}")
            turned_away(program, within=0.5)
            until(lambda: said in program.log(), 1, program.log)
            assert 'cannot resolve "backend.test"' in program.log(), program.log()
        known.say("127.0.0.1")


@row
def a_late_answer_is_waited_for_and_one_that_is_too_late_dropped():
    with proxy("--connect-timeout", "2") as (program, known):
        known.say("late 1000 127.0.0.1")
        took = harness.fresh_client(program)
        assert 0.9 <= took <= 1.6, f"an answer after 1 s took {took:.2f} s"
        known.say("late 2500 127.0.0.1")
        assert turned_away(program, within=2.4) >= 1.8
        known.say("127.0.0.1")
        time.sleep(0.7)  # now it comes, to nobody
        assert program.is_running() and program.connections() == 0


@row
def the_end_of_a_program_waits_for_no_look_up():
    with proxy("--drain", "1", watched=False) as (program, known):
        harness.fresh_client(program)
        hang(program, known)
        with program.connect():
            until(lambda: program.look_ups() > 0, 2, "somebody asks")
            took = program.end(within=1.5)
            assert took >= 0.9, f"it waited {took:.2f} s for its clients, 1 s was asked for"


@row
def a_client_that_leaves_during_the_look_up_leaves_nothing():
    with proxy() as (program, known):
        hang(program, known)
        for _ in range(5):
            client = program.connect()
            until(lambda: program.look_ups() > 0, 2, "somebody asks")
            peers.reset(client)
        long_enough(program, known)
        until(lambda: program.connections() == 0, 5, "everything is closed")


@row
def a_dead_name_server_is_waited_for_until_the_deadline():
    """The system's own resolver, on a host whose name server does not answer."""
    with two_hosts() as ((near, _), (_, far)):
        folder = Path("/etc/netns") / near
        folder.mkdir(parents=True)
        try:
            # Nobody is there, and nobody says so.
            (folder / "resolv.conf").write_text("nameserver 10.77.0.53\n")
            ip("-n", near, "neigh", "add", "10.77.0.53", "lladdr", "02:00:00:00:00:53", "dev", "v0")
            begin = time.monotonic()
            done = subprocess.run(
                ["ip", "netns", "exec", near, BUILT / "get_page", "--timeout", "2", "http://tulip.example/"],
                capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
            took = time.monotonic() - begin
            assert done.returncode == 1, done
            assert 1.9 <= took <= 3, f"it took {took:.2f} s: {done.stderr}"
        finally:
            (folder / "resolv.conf").unlink()
            folder.rmdir()
            with contextlib.suppress(OSError):
                folder.parent.rmdir()


GOOD = "10.77.0.2"
# How a way that leads nowhere is made on the near host, and what is said of it.
NOWHERE = {
    "refused": ("10.77.0.1", None, "Connection refused"),
    "unreachable": ("10.78.0.1", "unreachable", "No route to host"),
    "prohibited": ("10.78.0.2", "prohibit", "Permission denied"),
    "blackhole": ("10.78.0.3", "blackhole", "Invalid argument"),
    "nobody_answers_arp": ("10.77.0.99", None, "No route to host"),
    "silence": ("10.77.0.98", None, "no answer"),
}


@contextlib.contextmanager
def between_hosts(kind, *arguments):
    """A proxy on one host, its target and its clients on the other: yields it, the names, and the address
    that leads nowhere."""
    bad, route, said = NOWHERE[kind]
    with names() as known, two_hosts() as ((near, _), (far, _)):
        if route:
            ip("-n", near, "route", "add", route, bad)
        if kind == "silence":
            ip("-n", near, "neigh", "add", bad, "lladdr", "02:00:00:00:00:98", "dev", "v0")
        with socket_on(far) as port:
            service = Service("proxy", "proxy", "echo", [f"backend.test:{port}", "--host", "10.77.0.1", "--port", "0"],
                              [r"listening on 10\.77\.0\.1:(\d+)"], 0)
            known.say(GOOD)
            with under_test(service, *arguments, env=known.env, preexec=lambda: enter(near),
                            connect=connect_from(far, "10.77.0.1")) as program:
                yield program, known, bad, said
                known.say(GOOD)


@contextlib.contextmanager
def socket_on(far):
    """An echo server on the far host: its port."""
    service = Service("echo_server", "echo_server", "echo", ["--host", GOOD, "--port", "0"],
                      [r"listening on 10\.77\.0\.2:(\d+)"], 0)
    with started(service, preexec=lambda: enter(far), connect=connect_from(far, GOOD)) as echo:
        yield echo.port


def addresses_that_lead_nowhere(kind):
    with between_hosts(kind, "--connect-timeout", "5") as (program, known, bad, said):
        # Beside a good one it delays by the pause between two attempts at most.
        known.say(f"{bad} {GOOD}")
        took = harness.fresh_client(program)
        program.note(f"beside a good one: {took * 1000:.0f} ms")
        assert took <= 0.5, f"a client waited {took:.2f} s"
        known.say(f"{bad} {bad[:-1]}4 {GOOD}" if kind in ("silence", "nobody_answers_arp") else f"{GOOD} {bad}")
        assert harness.fresh_client(program) <= 1
        # Alone it is the error, which names the address.
        known.say(bad)
        turned_away(program, within=5.5)
        until(lambda: said in program.log(), 1, program.log)
        assert bad in program.log(), program.log()


for one in NOWHERE:
    def run(kind=one):
        addresses_that_lead_nowhere(kind)

    run.__name__ = f"an_address_that_leads_nowhere_is_not_the_end[{one}]"
    row(run)
