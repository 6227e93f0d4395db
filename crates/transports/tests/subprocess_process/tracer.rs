//! Another process that traces a child of ours, as a debugger does. It is this test binary, run again.

#![allow(unsafe_code)]

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};

/// Says whom the second run is to trace.
const TRACED: &str = "TULIPA_TEST_TRACES";

pub(crate) struct Tracer(Child);

impl Tracer {
    /// One that traces `pid`, from now until it is dropped. `None` if the system does not let it.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let mut tracer = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", "tracer::traces_if_asked_to"])
            .env(TRACED, pid.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut answer = [0];
        tracer.stderr.take().unwrap().read_exact(&mut answer).unwrap();
        let tracer = Self(tracer);
        (answer == *b"y").then_some(tracer)
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

#[test]
fn traces_if_asked_to() {
    let Some(pid) = std::env::var(TRACED).ok() else { return };
    let pid: libc::pid_t = pid.parse().unwrap();
    let none = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: this request takes a number; address and options are zero.
    let answer = unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid, none, none) };
    std::io::stderr().write_all(if answer == 0 { b"y" } else { b"n" }).unwrap();
    let _ = std::io::stdin().read(&mut [0]); // until it is closed
}
