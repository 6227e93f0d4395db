//! Children that others have a hand in: a debugger, another user, whoever signals the whole group.

use crate::tracer::Tracer;
use crate::{AGAIN, BOTH, alone, children, no_streams};
use eventloop::{EventLoop, prelude::*};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, waitid};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tulipa_transports::subprocess::*;

fn until(mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(10), "it never came");
        std::thread::yield_now();
    }
}

fn is_zombie(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z'))
}

#[test]
fn c5_r4_a_child_whose_end_a_debugger_sees_first_does_not_spin_the_loop() {
    let _alone = alone();
    for watcher in BOTH {
        let event_loop = EventLoop::new().unwrap();
        event_loop.set_child_watcher(watcher).unwrap();
        let sleep = || no_streams(SubprocessOptions::new("sleep").arg("1000"));
        let child = event_loop.create_subprocess_exec(sleep());
        let child = event_loop.run_coroutine(child).unwrap();
        let Some(tracer) = Tracer::of(child.pid()) else {
            eprintln!("skipped: this system does not allow to trace");
            return;
        };
        child.kill().unwrap();
        until(|| is_zombie(child.pid()));
        let before = event_loop.stats().iterations;
        let pause = async { futures::sleep(Duration::from_millis(50)).await };
        event_loop.run_coroutine(pause).unwrap();
        let turns = event_loop.stats().iterations - before;
        assert!(turns < 20, "{turns} iterations in a twentieth of a second, {watcher:?}");
        assert_eq!(child.status(), None, "the status is the debugger's first");
        drop(tracer);
        let status = event_loop.run_until_complete(&child.transport().wait()).unwrap();
        assert_eq!(status, ExitStatus::Signaled(9));
    }
}

#[test]
fn c9_a_child_that_we_may_not_kill_is_no_zombie_after_the_loop_either() {
    let _alone = alone();
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: it takes root to lose the right to kill");
        return;
    }
    for watcher in BOTH {
        // The right to signal is a thread's own, as the system sees it.
        let pid = std::thread::spawn(move || {
            let event_loop = EventLoop::new().unwrap();
            event_loop.set_child_watcher(watcher).unwrap();
            let (theirs, ours) = std::io::pipe().unwrap();
            let cat =
                no_streams(SubprocessOptions::new("cat")).stdin(std::os::fd::OwnedFd::from(theirs));
            let child = event_loop.run_coroutine(event_loop.create_subprocess_exec(cat)).unwrap();
            let nobody = rustix::process::Uid::from_raw(65534);
            rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
            assert!(child.kill().is_err());
            drop(event_loop);
            drop(ours); // now it ends
            child.pid()
        });
        let pid = pid.join().unwrap();
        until(|| !std::path::Path::new(&format!("/proc/{pid}")).exists());
    }
    assert_eq!(children(), []);
}

#[test]
fn c15_a_signal_for_the_group_is_not_taken_by_our_handlers_in_a_child_that_is_being_started() {
    let _alone = alone();
    if std::env::var_os(AGAIN).is_none() {
        // In a group of its own, which is signalled without end.
        let again = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture"])
            .arg("others::c15_a_signal_for_the_group_is_not_taken_by_our_handlers_in_a_child_that_is_being_started")
            .env(AGAIN, "1")
            .process_group(0)
            .output()
            .unwrap();
        assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
        return;
    }
    let event_loop = EventLoop::new().unwrap();
    event_loop.add_signal_handler(Signal::USR1.as_raw(), || ()).unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let is_over = over.clone();
    let storm = std::thread::spawn(move || {
        while !is_over.load(Ordering::Relaxed) {
            rustix::process::kill_current_process_group(Signal::USR1).unwrap();
        }
    });
    // One that has left the group is out of reach; it dies if the signal came before that.
    let leaves = || no_streams(SubprocessOptions::new("true")).new_session();
    let died = (0..1000).any(|_| {
        let child = event_loop.run_coroutine(event_loop.create_subprocess_exec(leaves())).unwrap();
        let status = event_loop.run_until_complete(&child.transport().wait()).unwrap();
        assert!(status.success() || status.signal() == Some(Signal::USR1.as_raw()), "{status}");
        !status.success()
    });
    over.store(true, Ordering::Relaxed);
    storm.join().unwrap(); // before our handler goes, and we would be what dies
    assert!(died, "a signal for the group reached none of a thousand children");
}

#[test]
fn c6_a_status_that_was_taken_is_noticed_though_another_child_ended_at_the_same_time() {
    let _alone = alone();
    for watcher in BOTH {
        let event_loop = EventLoop::new().unwrap();
        event_loop.set_child_watcher(watcher).unwrap();
        let start = || {
            let sleep = no_streams(SubprocessOptions::new("sleep").arg("1000"));
            event_loop.run_coroutine(event_loop.create_subprocess_exec(sleep)).unwrap()
        };
        let (taken, other, _third, _fourth) = (start(), start(), start(), start());
        taken.kill().unwrap();
        other.kill().unwrap();
        let pid = Pid::from_raw(taken.pid() as i32).unwrap();
        waitid(WaitId::Pid(pid), WaitIdOptions::EXITED).unwrap();
        until(|| is_zombie(other.pid()));
        let waiting = taken.transport().wait();
        let waiting = async move { futures::timeout(Duration::from_secs(5), waiting).await };
        assert_eq!(event_loop.run_coroutine(waiting).unwrap(), ExitStatus::Unknown, "{watcher:?}");
    }
}
