"""The system refuses what a program needs to start, or part of what it can do without."""
import errno
import os
import resource
import subprocess
import time

from harness import ALL, ECHO, SMTP, Program, row, under_test
from injection import refuses
from peers import connect, quiet, receive_all


def refused(service, preexec):
    """Starts a program that cannot start: a clear error, no panic, not exit code 0."""
    done = subprocess.run(service.command(), capture_output=True, text=True, timeout=20,
                          preexec_fn=preexec, stdin=subprocess.DEVNULL)
    assert done.returncode not in (0, 101) and done.returncode > 0, (done.returncode, done.stderr)
    assert "panicked" not in done.stderr and done.stdout == "", (done.stdout, done.stderr)
    return done.stderr


@row(*ALL)
def a_refused_call_at_the_start_is_a_clear_error(service):
    for call, error in (("epoll_create1", errno.EMFILE), ("eventfd2", errno.EMFILE),
                        ("eventfd2", errno.ENFILE), ("socket", errno.EMFILE), ("socket", errno.ENOBUFS),
                        ("bind", errno.EACCES), ("listen", errno.EADDRINUSE), ("epoll_ctl", errno.ENOMEM),
                        ("epoll_ctl", errno.ENOSPC)):
        said = refused(service, refuses(call, error))
        assert os.strerror(error) in said, f"{call}: {error}: {said!r}"


@row(*ALL)
def too_few_descriptors_at_the_start_are_a_clear_error(service):
    # With three, the system cannot even load the program's libraries.
    enough = None
    for limit in range(4, 16):
        preexec = lambda limit=limit: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        try:
            program = Program(service, preexec=preexec)
        except AssertionError:  # no ready line
            said = refused(service, preexec)
            assert "Too many open files" in said, said
        else:
            program.end(within=2)
            program.kill()
            enough = limit
            break
    assert enough is not None, "16 descriptors are not enough to start"


def limited_wait(service, error):
    with under_test(service, preexec=refuses("epoll_pwait2", error)) as program, quiet(program):
        time.sleep(1)


@row(*ALL)
def without_epoll_pwait2_everything_works(service):
    limited_wait(service, errno.ENOSYS)


@row(*ALL)
def with_epoll_pwait2_forbidden_everything_works(service):
    limited_wait(service, errno.EPERM)


@row
def without_epoll_pwait2_deadlines_are_as_exact():
    for preexec in (None, refuses("epoll_pwait2", errno.ENOSYS), refuses("epoll_pwait2", errno.EPERM)):
        for service, greeting in ((ECHO, b""), (SMTP, b"220 ")):
            with under_test(service, "--idle-timeout", "1", preexec=preexec) as program:
                begin = time.monotonic()
                with connect(program.port) as silent:
                    said, end = receive_all(silent)
                took = time.monotonic() - begin
                assert end == "eof" and said.startswith(greeting), (said, end)
                assert 0.999 <= took <= 1.1, f"{service}: the time limit of 1 s took {took:.3f} s"
