//! System calls that only tests make and that no dependency offers safely.
#![allow(unsafe_code)]

use rustix::thread::Pid;

/// Sends `signal` to one thread of this process.
pub(crate) fn signal_thread(thread: Pid, signal: i32) {
    // SAFETY: tgkill takes three numbers and touches no memory of ours.
    let done = unsafe {
        libc::syscall(libc::SYS_tgkill, libc::getpid(), thread.as_raw_nonzero().get(), signal)
    };
    assert_eq!(done, 0);
}

/// Has the kernel refuse a system call to this process, with `error`, from now on.
pub(crate) fn refuse(call: libc::c_long, error: i32) {
    const ALLOW: u32 = 0x7fff_0000;
    const ERRNO: u32 = 0x0005_0000;
    let instruction = |code: u16, k: u32, jf: u8| libc::sock_filter { code, jt: 0, jf, k };
    let mut filter = [
        instruction(0x20, 0, 0),           // load the number of the call
        instruction(0x15, call as u32, 1), // the one? if not, skip the next
        instruction(0x06, ERRNO | error as u32, 0),
        instruction(0x06, ALLOW, 0),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: the program outlives the calls, its length is right, and it only looks at numbers of
    // calls. It can not be taken away again: this process does nothing else afterwards.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program), 0);
    }
}
