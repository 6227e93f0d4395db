//! What only tests do and no dependency offers safely: system calls, and a waker that calls back.
#![allow(unsafe_code)]

use rustix::thread::Pid;
use std::cell::RefCell;
use std::ptr::null;
use std::rc::Rc;
use std::task::{RawWaker, RawWakerVTable, Waker};

/// What becomes of a waker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WakerFate {
    Cloned,
    Woken,
    Dropped,
}

type Told = Rc<dyn Fn(WakerFate)>;

thread_local! {
    static TOLD: RefCell<Option<Told>> = const { RefCell::new(None) };
}

/// Calls `body` with a waker that tells `told` of all that becomes of it meanwhile on this thread.
pub(crate) fn with_told_waker<R>(
    told: impl Fn(WakerFate) + 'static,
    body: impl FnOnce(&Waker) -> R,
) -> R {
    TOLD.set(Some(Rc::new(told)));
    // SAFETY: the functions of the vtable take any pointer, for they do not look at it, and may be
    // called on any thread: each looks only at what is its own.
    let waker = unsafe { Waker::from_raw(RawWaker::new(null(), &TELLING)) };
    let outcome = body(&waker);
    drop(waker);
    TOLD.set(None);
    outcome
}

static TELLING: RawWakerVTable = RawWakerVTable::new(
    |_| {
        tell(WakerFate::Cloned);
        RawWaker::new(null(), &TELLING)
    },
    |_| tell(WakerFate::Woken),
    |_| tell(WakerFate::Woken),
    |_| tell(WakerFate::Dropped),
);

fn tell(fate: WakerFate) {
    let told = TOLD.with_borrow(Option::clone);
    if let Some(told) = told {
        told(fate);
    }
}

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
