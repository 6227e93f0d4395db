//! Pipes: transports of one direction (X-39…X-42, P-5, N-57).

#[path = "../streams/support.rs"]
#[allow(dead_code, reason = "shared with the tests of streams")]
mod support;

mod kinds;
mod reading;
mod streams;
mod writing;

use crate::support::*;
use eventloop::TestLoop;
use std::io::{PipeReader, PipeWriter};
use std::rc::Rc;
use tulipa_transports::{NetworkLoop, Protocol, Transport};

/// A transport over the read end of a pipe, and the other end.
fn reading(event_loop: &TestLoop, protocol: impl Protocol) -> (Rc<dyn Transport>, PipeWriter) {
    let (reader, writer) = std::io::pipe().unwrap();
    let opening = event_loop.connect_read_pipe(move || protocol, reader);
    (event_loop.run_until_complete(&opening).unwrap(), writer)
}

/// A transport over the write end of a pipe, and the other end.
fn writing(event_loop: &TestLoop, protocol: impl Protocol) -> (Rc<dyn Transport>, PipeReader) {
    let (reader, writer) = std::io::pipe().unwrap();
    let opening = event_loop.connect_write_pipe(move || protocol, writer);
    (event_loop.run_until_complete(&opening).unwrap(), reader)
}

/// How many descriptors this process has. Tests that count take turns.
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Held by tests that look at the descriptors of the whole process, shared by the others.
static DESCRIPTORS: std::sync::RwLock<()> = std::sync::RwLock::new(());

fn others() -> std::sync::RwLockReadGuard<'static, ()> {
    DESCRIPTORS.read().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn alone() -> std::sync::RwLockWriteGuard<'static, ()> {
    DESCRIPTORS.write().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Has everything that is ready done, twice: what the first caused may take a turn of its own.
fn settle(event_loop: &TestLoop) {
    event_loop.run_ready_now();
    event_loop.run_ready_now();
}

#[test]
fn n57_r6_pipes_are_owned_and_nothing_is_left() {
    let _alone = alone();
    let before = descriptors();
    let event_loop = TestLoop::new();
    {
        let (protocol, log) = Hooks::new().recorded();
        let (reader, sender) = reading(&event_loop, protocol);
        let (other, write_log) = Hooks::new().recorded();
        let (writer, receiver) = writing(&event_loop, other);
        reader.close();
        writer.close();
        settle(&event_loop);
        log.check_ended();
        write_log.check_ended();
        drop((sender, receiver));
    }
    // Failing creators leave nothing either, nor do those that are called off.
    for (refused, cancelled) in [(true, false), (false, true)] {
        let (reader, _writer) = std::io::pipe().unwrap();
        let opening = event_loop.connect_read_pipe(move || (!refused).then(Hooks::new), reader);
        if cancelled {
            opening.cancel();
        }
        event_loop.run_ready_now();
        assert!(opening.result().is_err());
    }
    drop(event_loop);
    assert_eq!(descriptors(), before);
}
