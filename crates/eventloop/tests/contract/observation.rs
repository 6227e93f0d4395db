//! What can be seen of a loop, and that an idle one is idle.

use crate::common::{SECOND, Trace, for_each_builder, for_each_loop, record_reports, socket_pair};
use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;
use tulipa_eventloop::prelude::*;
use tulipa_eventloop::{
    Direction, EventLoop, Interest, IterationHook, Leftover, LoopHandle, Source, SourceKey,
    SourceKind, Taken, TestLoop,
};

#[test]
fn l5_l44_with_nothing_due_a_loop_does_not_poll_whatever_its_descriptors_do() {
    for_each_loop(|event_loop| {
        // A hung-up socket that is not watched, a silent one that is, a far timer, a dead one.
        let (gone, peer) = socket_pair();
        event_loop.add_reader(gone.clone(), || {}).unwrap();
        event_loop.remove_reader(&gone).unwrap();
        drop(peer);
        let (silent, _peer) = socket_pair();
        event_loop.add_reader(silent, || panic!("nothing was sent")).unwrap();
        event_loop.call_later(3600 * SECOND, || {});
        event_loop.call_later(Duration::from_millis(1), || {}).cancel();
        let handle = event_loop.handle();
        event_loop.call_later(Duration::from_millis(20), move || handle.stop());
        event_loop.run_forever().unwrap();
        let stats = event_loop.stats();
        assert!(stats.polls <= 2 && stats.sleeps <= 2, "{stats:?}");
    });
}

#[derive(Clone, Default)]
struct Hook(Trace);

impl IterationHook for Hook {
    fn before_poll(&self, timeout: Option<Duration>) {
        let longest = timeout.map_or("for ever".to_owned(), |time| format!("{}s", time.as_secs()));
        self.0.note(format!("before a poll of {longest}"));
    }
    fn after_poll(&self, events: usize) {
        self.0.note(format!("{events} ready"));
    }
    fn after_batches(&self, turns: u64) {
        self.0.note(format!("{turns} turns"));
    }
}

#[test]
fn l2_a_hook_sees_each_iteration() {
    for_each_builder(|builder| {
        let hook = Hook::default();
        let event_loop = builder.hook(hook.clone()).build().unwrap();
        let (ours, mut theirs) = socket_pair();
        let fd = ours.clone();
        event_loop.add_reader(ours, move || drop((&*fd).read(&mut [0; 8]))).unwrap();
        theirs.write_all(b"x").unwrap();
        event_loop.call_soon(|| {});
        event_loop.run_ready().unwrap();
        assert_eq!(hook.0.take(), ["before a poll of 0s", "1 ready", "2 turns"]);
        event_loop.stop();
        event_loop.run_once(Some(7 * SECOND)).unwrap();
        assert_eq!(hook.0.take(), ["before a poll of 0s", "0 ready", "0 turns"]);
    });
}

#[test]
fn h12_stats_and_dump_show_what_a_loop_did_and_holds() {
    for_each_loop(|event_loop| {
        let (ours, mut theirs) = socket_pair();
        theirs.write_all(b"x").unwrap();
        event_loop.add_reader(ours.clone(), || {}).unwrap();
        event_loop.call_soon(|| {});
        event_loop.call_later(Duration::ZERO, || {});
        event_loop.call_later(3600 * SECOND, || {});
        event_loop.call_soon(|| {}).cancel();
        event_loop.threadsafe_handle().call_soon_threadsafe(|| {}).unwrap();
        event_loop.run_ready().unwrap();
        let line = line!() + 1;
        event_loop.call_soon(|| {});
        let stats = event_loop.stats();
        assert_eq!((stats.iterations, stats.polls, stats.sleeps), (1, 1, 0));
        assert_eq!((stats.callbacks, stats.timers_fired, stats.io_events), (4, 1, 1));
        assert_eq!((stats.posted, stats.cancelled, stats.stale_events), (1, 1, 0));
        assert_eq!((stats.ready, stats.timers, stats.sources), (1, 1, 1));
        let dump = event_loop.dump();
        for part in ["callbacks: 1", "timers: 1", "descriptors: 1", "watched for reading"] {
            assert!(dump.contains(part), "{part} is not in {dump}");
        }
        assert!(dump.contains(&format!("observation.rs:{line}:")));
        for _ in 0..150 {
            event_loop.call_soon(|| {});
        }
        assert!(event_loop.dump().contains("and 51 more"));
    });
}

#[test]
fn l4_a_seed_shuffles_what_is_left_open_and_nothing_else() {
    let order = |seed: Option<u64>| {
        let event_loop = seed.map_or_else(TestLoop::new, TestLoop::seeded);
        let (reads, calls) = (Rc::new(RefCell::new(Vec::new())), Trace::new());
        let mut sockets = Vec::new();
        for index in 0..12 {
            let (ours, mut theirs) = socket_pair();
            theirs.write_all(b"x").unwrap();
            let reads = reads.clone();
            event_loop.add_reader(ours.clone(), move || reads.borrow_mut().push(index)).unwrap();
            event_loop.call_soon(calls.mark(&index.to_string()));
            event_loop.call_later(Duration::ZERO, calls.mark(&format!("timer {index}")));
            sockets.push((ours, theirs));
        }
        event_loop.run_ready().unwrap();
        for (ours, _) in &sockets {
            event_loop.remove_reader(ours).unwrap();
        }
        (reads.take(), calls.take())
    };
    let plain: Vec<String> = (0..12)
        .map(|index| index.to_string())
        .chain((0..12).map(|index| format!("timer {index}")))
        .collect();
    let (first, calls) = order(Some(7));
    assert_eq!((&first, &calls), (&order(Some(7)).0, &plain));
    let others: Vec<_> = (0..5).map(|seed| order(Some(seed))).collect();
    assert!(others.iter().any(|(reads, _)| *reads != first), "seeds make a difference");
    assert!(others.iter().all(|(_, calls)| *calls == plain));
    let mut all = first.clone();
    all.sort_unstable();
    assert!(all.into_iter().eq(0..12));
    assert_eq!(order(None).1, plain);
}

#[test]
fn l25_a_test_loop_names_what_is_left_at_its_end() {
    let mut event_loop = TestLoop::new();
    assert!(event_loop.leftovers().is_empty());
    let (ours, _theirs) = socket_pair();
    let line = line!() + 1;
    event_loop.call_soon(|| {});
    event_loop.call_later(SECOND, || {});
    event_loop.add_reader(ours, || {}).unwrap();
    let left = event_loop.leftovers();
    assert_eq!(left.len(), 3, "{left:?}");
    let here = format!("observation.rs:{line}:");
    assert!(matches!(&left[0], Leftover::Callback(text) if text.contains(&here)));
    assert!(matches!(&left[1], Leftover::Timer(text) if text.contains("1.000000s")));
    assert!(matches!(&left[2], Leftover::Source(text) if text.contains("descriptor")));
    event_loop.allow_leftovers();
    event_loop.finish();

    let event_loop = TestLoop::new();
    event_loop.call_later(SECOND, || {});
    let ended = std::panic::AssertUnwindSafe(|| event_loop.finish());
    let panic = std::panic::catch_unwind(ended).unwrap_err();
    assert!(panic.downcast_ref::<String>().unwrap().contains("left at the end of the test"));
}

#[test]
fn l25_a_value_is_kept_for_a_loop_until_it_closes() {
    let (event_loop, other) = (EventLoop::new().unwrap(), EventLoop::new().unwrap());
    let (handle, made) = (event_loop.handle(), Trace::new());
    let make = || {
        made.note("made");
        handle.local(|| 5u8); // from inside of another's making
        String::from("shared")
    };
    let first = event_loop.local(make);
    let second = event_loop.local(|| panic!("it is there"));
    assert!(Rc::ptr_eq(&first, &second));
    assert_eq!((*event_loop.local(|| 7u8), *other.local(|| 7u8)), (5, 7));
    assert_eq!(made.take(), ["made"]);
    drop(second);
    event_loop.close().unwrap();
    assert_eq!(Rc::strong_count(&first), 1);
}

/// What a hook asks for before the poll, and what became of it.
#[derive(Clone, Default)]
struct Asking {
    trace: Trace,
    ask: Rc<RefCell<Option<(LoopHandle, SourceKey)>>>,
}

impl IterationHook for Asking {
    fn before_poll(&self, _: Option<Duration>) {
        if let Some((handle, key)) = &*self.ask.borrow() {
            handle.flush_later(*key);
        }
    }
    fn after_poll(&self, _: usize) {
        self.trace.note("polled");
    }
}

/// A source that says when it is flushed.
struct Flushed(UnixStream, Trace);

impl Source for Flushed {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
    fn ready(self: Rc<Self>, _: Direction) -> Taken {
        Taken::Unknown
    }
    fn flush(self: Rc<Self>) {
        self.1.note("flushed");
    }
    fn kind(&self) -> SourceKind {
        SourceKind::Transport
    }
    fn describe(&self) -> String {
        "a test's transport".to_owned()
    }
}

#[test]
fn l2_what_a_hook_wants_flushed_is_flushed_before_the_poll() {
    for_each_builder(|builder| {
        let hook = Asking::default();
        let event_loop = builder.hook(hook.clone()).build().unwrap();
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let source = Rc::new(Flushed(ours, hook.trace.clone()));
        let key = event_loop.watch(source, Interest::NONE).unwrap();
        hook.ask.replace(Some((event_loop.handle(), key)));
        event_loop.run_ready().unwrap();
        assert_eq!(hook.trace.take(), ["flushed", "polled"]);
    });
}

#[test]
fn l28_a_hook_that_holds_its_loop_goes_with_the_owner() {
    for_each_builder(|builder| {
        let hook = Asking::default();
        let event_loop = builder.hook(hook.clone()).build().unwrap();
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let source = Rc::new(Flushed(ours, Trace::new()));
        let key = event_loop.watch(source, Interest::NONE).unwrap();
        hook.ask.replace(Some((event_loop.handle(), key)));
        let held = Rc::downgrade(&hook.ask);
        drop((hook, event_loop));
        assert_eq!(held.strong_count(), 0);
    });
}

/// A source whose flush panics.
struct Panicking(UnixStream);

impl Source for Panicking {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
    fn ready(self: Rc<Self>, _: Direction) -> Taken {
        Taken::Unknown
    }
    fn flush(self: Rc<Self>) {
        panic!("expected");
    }
    fn kind(&self) -> SourceKind {
        SourceKind::Transport
    }
    fn describe(&self) -> String {
        "a panicking transport".to_owned()
    }
}

#[test]
fn l9_r8_a_flush_that_panics_is_reported_and_the_run_goes_on() {
    for_each_builder(|builder| {
        let event_loop = builder.build().unwrap();
        let reports = record_reports(&**event_loop);
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let key = event_loop.watch(Rc::new(Panicking(ours)), Interest::NONE).unwrap();
        event_loop.flush_later(key);
        let handle = event_loop.handle();
        event_loop.call_soon(move || handle.stop());
        event_loop.run_forever().unwrap();
        let reports = reports.take();
        assert_eq!(reports.len(), 1);
        assert_eq!(reports[0].handle.as_deref(), Some("writer of a panicking transport"));
    });
}

/// A source that takes itself out as it is flushed, and panics as it goes.
struct LeavesAtFlush(UnixStream, LoopHandle, Cell<Option<SourceKey>>);

impl Source for LeavesAtFlush {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
    fn ready(self: Rc<Self>, _: Direction) -> Taken {
        Taken::Unknown
    }
    fn flush(self: Rc<Self>) {
        drop(self.1.unwatch(self.2.get().unwrap()));
    }
    fn kind(&self) -> SourceKind {
        SourceKind::Transport
    }
    fn describe(&self) -> String {
        "a transport that leaves".to_owned()
    }
}

impl Drop for LeavesAtFlush {
    fn drop(&mut self) {
        panic!("expected");
    }
}

#[test]
fn l9_l10_a_source_that_goes_with_its_flush_may_panic_as_it_goes() {
    for_each_builder(|builder| {
        let event_loop = builder.build().unwrap();
        let reports = record_reports(&**event_loop);
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let source = Rc::new(LeavesAtFlush(ours, event_loop.handle(), Cell::new(None)));
        let key = event_loop.watch(source.clone(), Interest::NONE).unwrap();
        source.2.set(Some(key));
        drop(source);
        event_loop.flush_later(key);
        let handle = event_loop.handle();
        event_loop.call_soon(move || handle.stop());
        event_loop.run_forever().unwrap();
        assert_eq!((reports.take().len(), event_loop.stats().sources), (1, 0));
    });
}
