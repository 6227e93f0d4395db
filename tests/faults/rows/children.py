"""The system refuses what children need, or interrupts it. The program is `shell`, which runs commands."""
import errno
import os
import re
import subprocess

from harness import BUILT, Skip, need, row, scratch_file
from injection import cgroup, refuses

COMMANDS = ["echo one; exit 3", "kill -15 $$", "echo two", "cat; exit 4", "echo three >&2; exit 255"]
LINES = ["1: exit code 3", "1| one", "2: signal 15", "3: exit code 0", "3| two", "4: exit code 4",
         "5! three", "5: exit code 255"]


def shell(*arguments, before=(), **options):
    program = BUILT / "shell"
    if not program.exists():
        raise Skip("shell is not built")
    return subprocess.run([*before, program, *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=60, **options)


def traced(*faults):
    need("strace")
    trace = scratch_file()
    before = ["strace", "-qq", "-e", "signal=none", "-o", trace]
    for fault in faults:
        before += ["-e", "inject=" + fault]
    try:
        finished = shell("--jobs", "1", *COMMANDS, before=before)
        injected = trace.read_text().count("(INJECTED")
    finally:
        trace.unlink()
    assert injected > 0, "nothing was injected"
    return finished


def all_went_as_usual(finished):
    assert sorted(finished.stdout.splitlines()) == LINES, finished
    assert finished.returncode == 1, finished


@row
def without_descriptors_of_processes_children_end_all_the_same():
    finished = shell("--jobs", "1", *COMMANDS, preexec_fn=refuses("pidfd_open", errno.ENOSYS))
    all_went_as_usual(finished)
    finished = shell("--jobs", "1", *COMMANDS, env={**os.environ, "TULIPA_CHILD_WATCHER": "signal"})
    all_went_as_usual(finished)


@row
def interrupted_waits_for_children_are_begun_anew():
    all_went_as_usual(traced("waitid:error=EINTR:when=2+3"))


@row
def a_child_that_cannot_be_watched_is_an_error_and_the_next_one_is_started():
    # The first call is our own look whether there are such descriptors.
    finished = traced("pidfd_open:error=EMFILE:when=2")
    assert sorted(finished.stdout.splitlines()) == [line for line in LINES if line[0] != "1"], finished
    assert "Too many open files" in finished.stderr, finished.stderr


@row
def a_pipe_that_cannot_be_made_is_an_error_and_the_next_child_is_started():
    finished = traced("pipe2:error=ENFILE:when=1")
    assert sorted(finished.stdout.splitlines()) == [line for line in LINES if line[0] != "1"], finished
    assert "Too many open files" in finished.stderr, finished.stderr


@row
def a_fork_that_is_refused_is_an_error_and_ends_no_other_child():
    with cgroup("pids", pids__max=8) as group:
        commands = ["read x" if number < 3 else "sleep 0.3" for number in range(30)]
        finished = shell("--jobs", "30", *commands, preexec_fn=lambda: group.add(os.getpid()))
    ends = re.findall(r"^\d+: exit code \d+$", finished.stdout, re.M)
    refused = finished.stderr.count("cannot start")
    assert refused > 0 and len(ends) + refused == 30, (len(ends), refused, finished.stderr)
    assert "Resource temporarily unavailable" in finished.stderr, finished.stderr
