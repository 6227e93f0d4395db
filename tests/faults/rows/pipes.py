"""Pipes that are full, or that nobody reads any more, and disks that are full, with `tail` between them."""
import contextlib
import os
import subprocess
import tempfile
import time
from pathlib import Path

from harness import BUILT, MIB, Program, Skip, need, need_root, row, scratch_file, until, watch_idle

LINE = b"a line of some length, to be shown again and again\n"


class Tail(Program):
    """`tail` on a file, with what it writes to as standard output."""

    def __init__(self, file, *arguments, stdout=subprocess.PIPE):
        if not (BUILT / "tail").exists():
            raise Skip("tail is not built")
        self.service, self.notes, self.log_path, self.since = "tail", [], scratch_file(), time.monotonic()
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen([BUILT / "tail", *arguments, file], stdin=subprocess.DEVNULL,
                                            stdout=stdout, stderr=log)
        self.pid = self.process.pid

    def kill(self):
        self.process.kill()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()
        self.log_path.unlink(missing_ok=True)


@contextlib.contextmanager
def tail(content, *arguments, **options):
    with tempfile.TemporaryDirectory(prefix="tulipa-fault-") as folder:
        file = Path(folder) / "log"
        file.write_bytes(content)
        program = Tail(file, *arguments, **options)
        try:
            yield program, file
            assert "panicked" not in program.log(), program.log()
        finally:
            program.kill()


def append(file, data):
    with file.open("ab") as log:
        log.write(data)


def ended(program, within=2):
    try:
        return program.process.wait(timeout=within)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"it goes on {within} s later: {program.log()}") from None


@row
def a_pipe_that_is_full_holds_up_its_writer_in_little_memory():
    much = LINE * (64 * MIB // len(LINE))
    with tail(LINE, "--lines", "1") as (program, file):
        assert program.process.stdout.read1() == LINE
        before = program.rss()
        append(file, much)
        time.sleep(1)
        grown = program.rss() - before
        assert grown < 8 * MIB, f"{grown / MIB:.1f} MiB more"
        calls, cpu = watch_idle(program)
        assert not calls and cpu < 0.01, (calls[:10], cpu)
        received = 0
        while received < len(much):
            data = program.process.stdout.read1(MIB)
            assert data == (LINE * (len(data) // len(LINE) + 2))[received % len(LINE):][:len(data)]
            received += len(data)
        program.end(within=2)


@row
def a_pipe_that_nobody_reads_any_more_ends_its_writer_without_a_signal():
    for waiting in (False, True):
        with tail(LINE, "--lines", "1") as (program, file):
            assert program.process.stdout.read1() == LINE
            if waiting:
                append(file, LINE * 100_000)
                time.sleep(0.3)
            program.process.stdout.close()
            assert ended(program) == 0, (waiting, program.process.returncode, program.log())


@row
def a_write_pipe_at_rest_makes_no_system_calls():
    with tail(LINE, "--lines", "1") as (program, file):
        assert program.process.stdout.read1() == LINE
        before = program.descriptors()
        for _ in range(20):
            append(file, LINE)
            assert program.process.stdout.read1() == LINE
        calls, cpu = watch_idle(program)
        assert not calls and cpu < 0.01, (calls[:10], cpu)
        assert program.descriptors() == before
        program.end(within=2)


@row
def a_rotation_storm_leaves_no_descriptor():
    with tail(LINE, "--lines", "1") as (program, file):
        assert program.process.stdout.read1() == LINE
        before = program.descriptors()
        for number in range(200):
            os.rename(file, file.with_suffix(".1"))
            file.write_bytes(b"%d\n" % number)
        seen = b""
        while not seen.endswith(b"\n199\n"):
            seen += program.process.stdout.read1()
        until(lambda: program.descriptors() == before, 2, lambda: str(program.descriptors()))
        assert len(program.reports()) <= 410, len(program.reports())
        program.end(within=2)


@row
def a_full_device_behind_a_write_pipe_is_an_error():
    with open("/dev/full", "wb") as full, tail(LINE, "--lines", "1", stdout=full) as (program, _):
        assert ended(program) == 1
        assert "No space left" in program.log(), program.log()


@row
def a_full_disk_behind_a_file_call_is_an_error():
    need("mount", "umount")
    need_root()
    with tempfile.TemporaryDirectory(prefix="tulipa-fault-") as disk:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True)
        if mounted.returncode != 0:
            raise Skip("no tmpfs can be mounted")
        try:
            with open(Path(disk) / "shown", "wb") as shown, \
                    tail(LINE * 10_000, "--lines", "10000", stdout=shown) as (program, _):
                assert ended(program) == 1
                assert "cannot write to standard output" in program.log(), program.log()
                assert "No space left" in program.log(), program.log()
        finally:
            subprocess.run(["umount", disk], check=True)
