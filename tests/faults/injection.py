"""Ways to make things go wrong for a running program, from outside. Each is undone when its block ends."""
import contextlib
import ctypes
import os
import platform
import re
import resource
import signal
import struct
import subprocess
import time
from pathlib import Path

from harness import Skip, need, need_root, scratch_file, until


class Trace:
    """What strace wrote; complete once the block has ended."""

    def __init__(self, path):
        self.path, self.lines = path, []

    def read(self):
        self.lines = self.path.read_text(errors="replace").splitlines()
        return self.lines

    def injected(self):
        return sum("(INJECTED" in line for line in self.read())

    def count(self, call):
        return sum(bool(re.match(rf"\d+ +{call}\(", line)) for line in self.read())


@contextlib.contextmanager
def traced(program, *faults, calls=()):
    """System calls of the program fail: `faults` as `CALL:error=NAME:when=FIRST+STEP`. `calls` are only
    recorded. At the end at least one fault must have been injected."""
    need("strace")
    names = [name for fault in faults for name in fault.split(":")[0].split(",")] + list(calls)
    trace = Trace(scratch_file())
    command = ["strace", "-f", "-qq", "-e", "signal=none", "-o", trace.path, "-p", str(program.pid),
               "-e", "trace=" + ",".join(names)]
    for fault in faults:
        command += ["-e", "inject=" + fault]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
        try:
            attached = lambda: tracer.poll() is not None or program.status("TracerPid") == tracer.pid
            until(attached, 5, "strace is attached")
            assert tracer.poll() is None, f"strace: {tracer.stderr.read()}"
            yield trace
        finally:
            # Let it come to rest: a call that is being refused when the tracer goes is answered ENOSYS.
            time.sleep(0.2)
            tracer.send_signal(signal.SIGINT)
            tracer.wait()
            trace.read()
            trace.path.unlink()
            trace.read = lambda: trace.lines
    if faults:
        assert trace.injected() > 0, f"nothing was injected: {trace.lines[:5]}"


@contextlib.contextmanager
def descriptor_limit(program, limit):
    """The soft limit of descriptors is `limit`."""
    before = resource.prlimit(program.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(program.pid, resource.RLIMIT_NOFILE, (limit, before[1]))
    try:
        yield
    finally:
        if program.is_running():
            resource.prlimit(program.pid, resource.RLIMIT_NOFILE, before)


@contextlib.contextmanager
def stopped(pid):
    """SIGSTOP, and SIGCONT afterwards."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


SYSTEM_CALLS = {  # numbers on x86-64
    "socket": 41, "bind": 49, "listen": 50, "socketpair": 53, "epoll_ctl": 233, "eventfd2": 290,
    "epoll_create1": 291, "pipe2": 293, "accept4": 288, "timerfd_create": 283, "epoll_pwait2": 441,
    "pidfd_open": 434,
}


def refuses(call, error):
    """For `preexec`: the system answers `error` to every such call of the program (a seccomp filter, which
    slows nothing)."""
    if platform.machine() != "x86_64":
        raise Skip("system call numbers are known for x86-64 only")
    number = SYSTEM_CALLS[call]
    load, jump_if, give = 0x20, 0x15, 0x06
    program = b"".join(struct.pack("HBBI", *one) for one in [
        (load, 0, 0, 0),  # the number of the call
        (jump_if, 0, 1, number),
        (give, 0, 0, 0x00050000 | error),  # SECCOMP_RET_ERRNO
        (give, 0, 0, 0x7FFF0000),  # SECCOMP_RET_ALLOW
    ])
    filter_ = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(filter_))
    libc = ctypes.CDLL(None, use_errno=True)

    def install():
        keep = filter_  # it must live until the call below
        no_new_privileges, seccomp, filter_mode = 38, 22, 2
        if libc.prctl(no_new_privileges, 1, 0, 0, 0) or libc.prctl(seccomp, filter_mode, header, 0, 0):
            raise OSError(ctypes.get_errno(), f"seccomp {keep}")

    return install


class Group:
    """A cgroup (v1) of one controller."""

    def __init__(self, path):
        self.path = path

    def add(self, pid):
        (self.path / "cgroup.procs").write_text(str(pid))

    def read(self, name):
        return int((self.path / name).read_text())


@contextlib.contextmanager
def cgroup(controller, **limits):
    """A group with such limits (`__` stands for a dot): `cgroup("memory", memory__limit_in_bytes=…)`."""
    need_root()
    path = Path("/sys/fs/cgroup") / controller / f"tulipa-fault-{os.getpid()}"
    try:
        path.mkdir()
    except OSError as error:
        raise Skip(f"no cgroup {controller}: {error}") from None
    try:
        for name, value in limits.items():
            try:
                (path / name.replace("__", ".")).write_text(str(value))
            except OSError as error:
                raise Skip(f"cgroup {controller}: {name}: {error}") from None
        yield Group(path)
    finally:
        end = time.monotonic() + 5
        while path.exists():
            try:
                path.rmdir()
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)


def ip(*arguments, check=True):
    return subprocess.run(["ip", *arguments], check=check, capture_output=True, text=True)


@contextlib.contextmanager
def two_hosts():
    """Two network namespaces, joined by one cable: yields their names and addresses."""
    need_root()
    need("ip")
    one, two = (f"tulipa-{end}-{os.getpid()}" for end in "ab")
    try:
        made = ip("netns", "add", one, check=False)
        if made.returncode != 0:
            raise Skip(f"no network namespaces: {made.stderr.strip()}")
        ip("netns", "add", two)
        made = ip("link", "add", "v0", "netns", one, "type", "veth", "peer", "name", "v0", "netns", two,
                  check=False)
        if made.returncode != 0:
            raise Skip(f"no veth: {made.stderr.strip()}")
        for name, address in ((one, "10.77.0.1"), (two, "10.77.0.2")):
            ip("-n", name, "addr", "add", address + "/24", "dev", "v0")
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", name, "link", "set", "v0", "up")
        yield (one, "10.77.0.1"), (two, "10.77.0.2")
    finally:
        ip("netns", "del", one, check=False)
        ip("netns", "del", two, check=False)
