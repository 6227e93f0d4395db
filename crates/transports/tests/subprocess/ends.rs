//! How children end, and that nothing is left of them.

use crate::support::*;
use eventloop::{EventLoop, prelude::*};
use futures::Scope;
use std::time::Duration;
use tulipa_transports::subprocess::*;

#[test]
fn c6_a_status_that_somebody_else_took_is_unknown_and_everything_ends() {
    let event_loop = new_loop();
    let (child, log) = start(&event_loop, "cat");
    child.kill().unwrap();
    let pid = rustix::process::Pid::from_raw(child.get_pid() as i32);
    rustix::process::waitpid(pid, rustix::process::WaitOptions::empty()).unwrap();
    child.terminate().unwrap(); // to nobody
    run_to_end(&event_loop, &child);
    assert_eq!((child.status(), child.get_returncode()), (Some(ExitStatus::Unknown), Some(255)));
    assert!(log.has(&Seen::Exited(255)));
}

#[test]
fn c5_children_of_others_are_left_alone() {
    let event_loop = new_loop();
    let mut theirs = std::process::Command::new("sh").args(["-c", "exit 7"]).spawn().unwrap();
    until_zombie(theirs.id());
    for code in 0..5 {
        let (child, _) = start(&event_loop, quiet(&format!("exit {code}")));
        run_to_end(&event_loop, &child);
        assert_eq!(child.get_returncode(), Some(code));
    }
    assert_eq!(theirs.wait().unwrap().code(), Some(7));
}

#[test]
fn c8_a_grandchild_that_holds_a_pipe_delays_the_end_of_the_pipes_only() {
    let event_loop = new_loop();
    let command = SubprocessOptions::shell("sleep 1000 & echo $!; exit 3");
    let (child, log) = start(&event_loop, command);
    let status = event_loop.run_until_complete(&child.wait()).unwrap();
    assert_eq!(status, ExitStatus::Exited(3));
    run_until(&event_loop, || log.data(1).ends_with(b"\n"));
    event_loop.run_ready_now();
    assert!(log.has(&Seen::Exited(3)) && !log.is_closed());
    assert_eq!(event_loop.open_children(), 1);
    let grandchild: i32 = String::from_utf8(log.data(1)).unwrap().trim().parse().unwrap();
    let grandchild = rustix::process::Pid::from_raw(grandchild).unwrap();
    rustix::process::kill_process(grandchild, rustix::process::Signal::KILL).unwrap();
    run_to_end(&event_loop, &child);
    let events = log.events();
    let at = |wanted: &Seen| events.iter().position(|seen| seen == wanted).unwrap();
    assert!(at(&Seen::Exited(3)) < at(&Seen::Lost(1, None)), "{events:?}");
}

#[test]
fn x56_closing_after_the_exit_ends_pipes_that_a_grandchild_holds() {
    let event_loop = new_loop();
    let (child, log) = start(&event_loop, SubprocessOptions::shell("sleep 1000 & echo $!"));
    event_loop.run_until_complete(&child.wait()).unwrap();
    run_until(&event_loop, || log.data(1).ends_with(b"\n"));
    child.close();
    run_to_end(&event_loop, &child);
    let grandchild: i32 = String::from_utf8(log.data(1)).unwrap().trim().parse().unwrap();
    let grandchild = rustix::process::Pid::from_raw(grandchild).unwrap();
    rustix::process::kill_process(grandchild, rustix::process::Signal::KILL).unwrap();
    assert_eq!(child.get_returncode(), Some(0));
}

#[test]
fn c9_x56_i15_closing_kills_also_a_child_that_ignores_sigterm() {
    let event_loop = new_loop();
    let stubborn = SubprocessOptions::shell("trap '' TERM; echo ready; while :; do read x; done");
    let (child, log) = start(&event_loop, stubborn);
    run_until(&event_loop, || log.data(1) == b"ready\n");
    child.terminate().unwrap();
    child.close();
    assert!(child.is_closing());
    child.close();
    let told = log.all().len();
    assert_eq!(told, log.all().len(), "nothing is told inside close");
    run_to_end(&event_loop, &child);
    assert_eq!(child.get_returncode(), Some(-9));
    assert!(is_gone(child.get_pid()));
    assert!(log.is_closed());
}

#[test]
fn c9_closing_before_connection_made_and_after_the_end() {
    let event_loop = new_loop();
    let (recorder, log) = Recorder::with(|seen, child| {
        if *seen == Seen::Made {
            child.close();
        }
    });
    let starting = event_loop.subprocess_exec(|| recorder, "cat");
    let child = event_loop.run_until_complete(&starting).unwrap();
    run_to_end(&event_loop, &child);
    assert_eq!(child.get_returncode(), Some(-9));
    assert!(log.is_closed());
    child.close();
    event_loop.run_until_idle();
}

#[test]
fn c9_a_start_that_is_cancelled_kills_the_child_and_tells_nobody() {
    let event_loop = new_loop();
    let (recorder, log) = Recorder::new();
    let starting = event_loop.subprocess_exec(|| recorder, "cat");
    assert_eq!(event_loop.open_children(), 1);
    let pid: u32 = {
        let children = std::fs::read_to_string("/proc/thread-self/children").unwrap();
        children.split_whitespace().next_back().unwrap().parse().unwrap()
    };
    assert!(starting.cancel());
    run_until(&event_loop, || event_loop.open_children() == 0);
    assert!(log.all().is_empty());
    assert!(is_gone(pid));
}

#[test]
fn c9_a_start_that_is_cancelled_inside_connection_made_is_ended_in_good_order() {
    let event_loop = new_loop();
    let starting: std::rc::Rc<std::cell::RefCell<Option<futures::Future<_>>>> = Default::default();
    let cell = starting.clone();
    let (recorder, log) = Recorder::with(move |seen, _| {
        if *seen == Seen::Made {
            cell.take().unwrap().cancel();
        }
    });
    *starting.borrow_mut() = Some(event_loop.subprocess_exec(|| recorder, "cat"));
    run_until(&event_loop, || log.is_closed());
    assert!(log.has(&Seen::Exited(-9)));
}

#[test]
fn c9_l30_a_loop_that_closes_kills_and_reaps_and_tells_nobody() {
    let mut event_loop = new_loop();
    event_loop.allow_leftovers();
    let started: Vec<_> = (0..20).map(|_| start(&event_loop, "cat")).collect();
    let (pending, _) = Recorder::new();
    let pending = event_loop.subprocess_exec(|| pending, "cat");
    let told: Vec<_> = started.iter().map(|(_, log)| log.all().len()).collect();
    event_loop.close().unwrap();
    for ((child, log), told) in started.iter().zip(told) {
        assert!(is_gone(child.get_pid()), "{}", child.get_pid());
        assert_eq!(log.all().len(), told);
        assert!(child.is_closing());
        child.close();
        assert!(child.kill().is_err());
        assert!(child.get_returncode().is_some(), "killed, or by the end of its input");
        assert_eq!(log.holders(), 1, "the protocol is dropped");
    }
    assert!(!pending.done() || pending.cancelled() || pending.exception().is_ok());
}

#[test]
fn c9_a_scope_asks_its_children_to_end_and_then_kills_them() {
    let event_loop = EventLoop::new().unwrap(); // time has to pass while children run
    event_loop.set_child_watcher(crate::WATCHER).unwrap();
    let (patient, impatient): (Scope, Scope) =
        (event_loop.create_scope(), event_loop.create_scope());
    let reports = event_loop.run_coroutine(async move {
        let polite = create_subprocess_exec("cat").await?;
        let stubborn = "trap '' TERM; echo ready; while :; do read x || :; done";
        let mut stubborn = create_subprocess_shell(stubborn).await?;
        assert_eq!(stubborn.stdout.as_mut().unwrap().readline().await?, b"ready\n");
        patient.own(polite.transport().clone())?;
        impatient.own(stubborn.transport().clone())?;
        let polite_end = patient.close_within(Duration::from_secs(60)).await?;
        let stubborn_end = impatient.close_within(Duration::from_millis(10)).await?;
        assert_eq!(polite.wait().await?, ExitStatus::Signaled(15));
        assert_eq!(stubborn.wait().await?, ExitStatus::Signaled(9));
        Ok([polite_end, stubborn_end])
    });
    let [polite, stubborn] = reports.unwrap();
    assert_eq!((polite.ended, polite.aborted), (1, 0));
    assert_eq!((stubborn.ended, stubborn.aborted), (0, 1));
}

#[test]
fn c15_a_second_child_does_not_hold_the_pipes_of_the_first() {
    let event_loop = new_loop();
    let (first, log) = start(&event_loop, "cat");
    let (second, _) = start(&event_loop, "cat");
    first.get_pipe_transport(0).unwrap().close();
    run_to_end(&event_loop, &first);
    assert!(log.has(&Seen::Exited(0)) && second.get_returncode().is_none());
    second.close();
    run_to_end(&event_loop, &second);
}

#[test]
fn c10_waits_are_many_and_cancelling_one_harms_nobody() {
    let event_loop = new_loop();
    let (child, _) = start(&event_loop, "cat");
    let waits: Vec<_> = (0..5).map(|_| child.wait()).collect();
    assert!(waits[2].cancel());
    event_loop.run_ready_now();
    assert_eq!(child.get_returncode(), None);
    child.get_pipe_transport(0).unwrap().close();
    for (number, wait) in waits.iter().enumerate() {
        if number != 2 {
            assert_eq!(event_loop.run_until_complete(wait).unwrap(), ExitStatus::Exited(0));
        }
    }
    run_to_end(&event_loop, &child);
}
