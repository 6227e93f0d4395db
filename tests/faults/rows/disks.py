"""mailcatcher --store on disks that are full, read-only, or out of files; and killed in the middle: what was
answered 250 is there, whole, and nothing else is."""
import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

from harness import BUILT, SMTP, fresh_client, need, need_root, row, started, until, watch_idle


@contextlib.contextmanager
def disk(options="size=512k"):
    """A small file system of its own."""
    need_root()
    need("mount", "umount")
    place = Path(tempfile.mkdtemp(prefix="tulipa-disk-"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)
        place.rmdir()


@contextlib.contextmanager
def storing(place):
    """The program with its directory. The threads that write stay, so they are not among what must be back."""
    need("strace")
    with started(SMTP, "--store", str(place)) as program:
        fresh_client(program)
        until(lambda: program.connections() == 0, 2, "the first client is gone")
        before = program.descriptors()
        yield program
        until(lambda: program.descriptors() == before, 5, lambda: f"back to {before}, now {program.descriptors()}")
        assert fresh_client(program) < 1
        until(lambda: program.connections() == 0, 2, "the fresh client is gone")
        calls, cpu = watch_idle(program)
        assert not calls and cpu < 0.01, (calls[:10], cpu)
        assert len(program.reports()) <= 10, program.reports()
        assert len(program.threads()) <= 1 + (os.cpu_count() or 1) + 4
        program.end(within=2)


class Sender:
    """A mail client that tells the codes of the answers."""

    def __init__(self, program):
        self.peer = program.connect()
        self.lines = self.peer.makefile("rb")
        assert self.answer() == 220
        self.say("EHLO me")

    def answer(self):
        line = self.lines.readline()
        while line[3:4] == b"-":
            line = self.lines.readline()
        return int(line[:3]) if line else None

    def say(self, line):
        self.peer.sendall(line.encode() + b"\r\n")
        return self.answer()

    def send(self, subject, size=20_000):
        assert self.say("MAIL FROM:<ann@example.org>") == 250
        assert self.say("RCPT TO:<bob@example.org>") == 250
        assert self.say("DATA") == 354
        line = "x" * 70 + "\r\n"
        return self.say(f"Subject: {subject}\r\n\r\n{line * (size // 72)}.")

    def close(self):
        self.lines.close()
        self.peer.close()


def listed(program):
    with urllib.request.urlopen(f"http://127.0.0.1:{program.ports[1]}/api/messages", timeout=10) as answer:
        found = json.load(answer)
    return {mail["subject"]: mail["id"] for mail in (found["messages"] if isinstance(found, dict) else found)}


def delete(program, mail=""):
    request = urllib.request.Request(f"http://127.0.0.1:{program.ports[1]}/api/messages{mail}", method="DELETE")
    urllib.request.urlopen(request, timeout=10).close()


def on_disk(place):
    """The subjects of the mails in the directory; each must be whole."""
    assert not list(place.glob("*.part")), list(place.iterdir())
    subjects = set()
    for path in place.glob("*.eml"):
        text = path.read_bytes()
        assert text.startswith(b"X-Caught: ") and text.endswith(b"x\r\n"), path
        subjects.add(text.split(b"Subject: ")[1].split(b"\r\n")[0].decode())
    return subjects


def fill_up(sender, codes):
    """Sends until it is refused; the subjects that were taken."""
    taken = []
    while True:
        subject = f"mail {len(taken)}"
        code = sender.send(subject)
        if code in codes:
            return taken
        assert code == 250, code
        taken.append(subject)
        assert len(taken) < 1000, "it is never refused"


def a_full_disk(options):
    with disk(options) as place:
        with storing(place) as program:
            sender = Sender(program)
            taken = fill_up(sender, codes=[452])
            assert len(taken) > 3, taken
            for _ in range(20):  # it stays so, the session goes on, and the log does not fill the next disk
                assert sender.send("another") == 452
            assert sender.say("NOOP") == 250
            assert set(listed(program)) == on_disk(place) == set(taken)
            # Room is made: a file goes with its mail.
            delete(program, f"/{listed(program)[taken[0]]}")
            until(lambda: on_disk(place) == set(taken[1:]), 5, "the file is removed")
            assert sender.send("the last") == 250
            assert on_disk(place) == {*taken[1:], "the last"}
            sender.close()
        with started(SMTP, "--store", str(place)) as program:
            assert set(listed(program)) == {*taken[1:], "the last"}
            delete(program)
            until(lambda: not on_disk(place), 5, "all files are removed")
            program.end(within=2)


@row
def a_full_disk_is_answered_452_and_loses_no_mail():
    a_full_disk("size=512k")


@row
def a_disk_without_room_for_files_is_answered_452_and_loses_no_mail():
    a_full_disk("size=64m,nr_inodes=12")


@row
def a_read_only_disk_is_answered_451_and_works_again():
    with disk() as place, storing(place) as program:
        sender = Sender(program)
        assert sender.send("before") == 250
        subprocess.run(["mount", "-o", "remount,ro", place], check=True)
        try:
            for _ in range(5):
                assert sender.send("meanwhile") == 451
            assert on_disk(place) == {"before"}
        finally:
            subprocess.run(["mount", "-o", "remount,rw", place], check=True)
        assert sender.send("after") == 250
        assert set(listed(program)) == on_disk(place) == {"before", "after"}
        sender.close()


@row
def killed_in_the_middle_it_has_all_mails_that_it_answered():
    place = Path(tempfile.mkdtemp(prefix="tulipa-mails-"))
    try:
        taken = set()

        def send_all(program, name):
            with contextlib.suppress(OSError, AssertionError):
                sender = Sender(program)
                for number in range(1000):
                    subject = f"{name} {number}"
                    if sender.send(subject, size=5_000) != 250:
                        return
                    taken.add(subject)

        for run in range(5):
            with started(SMTP, "--store", str(place), "--keep", "100000") as program:
                senders = [threading.Thread(target=send_all, args=(program, f"{run}.{n}")) for n in range(4)]
                for sender in senders:
                    sender.start()
                time.sleep(0.4)
                os.kill(program.pid, signal.SIGKILL)
                for sender in senders:
                    sender.join()
        with started(SMTP, "--store", str(place), "--keep", "100000") as program:
            found = set(listed(program))
            assert found == on_disk(place)
            assert taken <= found, taken - found
            # Who was not answered may find it there all the same: one a sender and run at most.
            assert len(found - taken) <= 4 * 5, found - taken
            program.note(f"{len(taken)} mails answered, {len(found)} kept")
            program.end(within=2)
        assert taken, "no mail was taken at all"
    finally:
        shutil.rmtree(place)


@row
def one_directory_is_used_by_one_process():
    with disk() as place, started(SMTP, "--store", str(place)):
        done = subprocess.run([BUILT / "mailcatcher", *SMTP.arguments, "--store", str(place)],
                              capture_output=True, text=True, timeout=20)
        assert done.returncode == 1 and "another process" in done.stderr, (done.returncode, done.stderr)
        assert "panicked" not in done.stderr


@row
def a_directory_that_it_makes_is_on_the_disk_before_a_mail_is():
    need("strace")
    with tempfile.TemporaryDirectory(prefix="tulipa-mails-") as place:
        # It cannot listen at an address for documentation, so it ends by itself.
        done = subprocess.run(["strace", "-f", "-y", "-e", "trace=mkdir,mkdirat,fsync", BUILT / "mailcatcher",
                               "--host", "192.0.2.1", "--store", f"{place}/mails"],
                              capture_output=True, text=True, timeout=20)
        made = done.stderr.split(f'{place}/mails"', 1)[1]
        assert f"<{place}>) = 0" in " ".join(made.split()), done.stderr
