//! Chaining: `map`, `then`, `or_else`.

use futures::{CancelledError, Exception, Future, InvalidStateError, SchedulerExt};
use std::cell::RefCell;
use std::rc::Rc;
use std::thread;
use tulipa_tests::{Host, Trace, on_drop};

fn create<T: 'static>(host: &dyn Host) -> Future<T> {
    host.scheduler().create_future()
}

pub(crate) fn f31_w29_map_applies_a_function(host: &dyn Host) {
    let source = create::<u32>(host);
    let mapped = source.clone().map(|value| value + 1).map(|value| value.to_string());
    source.set_result(1).unwrap();
    assert!(!mapped.done());
    host.run_until_idle();
    assert_eq!(mapped.result().unwrap(), "2");
    assert!(source.result().unwrap_err().is::<InvalidStateError>(), "the value was moved");
}

pub(crate) fn f31_then_waits_for_the_future_that_was_made(host: &dyn Host) {
    let (source, inner, trace) = (create::<u32>(host), create::<String>(host), Trace::new());
    let (made, seen) = (inner.clone(), trace.clone());
    let derived = source.clone().then(move |value| {
        seen.note(value);
        made
    });
    source.set_result(1).unwrap();
    host.run_until_idle();
    assert_eq!(trace.take(), ["1"]);
    assert!(!derived.done());
    inner.set_result("inner".into()).unwrap();
    host.run_until_idle();
    assert_eq!(derived.result().unwrap(), "inner");
}

pub(crate) fn f31_or_else_replaces_a_failure(host: &dyn Host) {
    let [failing, fine] = [(); 2].map(|()| create::<u32>(host));
    let scheduler = host.scheduler();
    let replaced = failing.clone().or_else(move |exception| {
        assert_eq!(exception.to_string(), "failed");
        let future = scheduler.create_future();
        future.set_result(7).unwrap();
        future
    });
    let kept = fine.clone().or_else(|exception| panic!("{exception}"));
    failing.set_exception(Exception::msg("failed")).unwrap();
    fine.set_result(1).unwrap();
    host.run_until_idle();
    assert_eq!((replaced.result().unwrap(), kept.result().unwrap()), (7, 1));
}

pub(crate) fn f3_a_chain_moves_values_that_are_not_clone(host: &dyn Host) {
    struct Unique(u32);
    let source = create::<Unique>(host);
    let scheduler = host.scheduler();
    let derived = source
        .clone()
        .map(|value| Unique(value.0 + 1))
        .then(move |value| {
            let future = scheduler.create_future();
            assert!(future.set_result(Unique(value.0 + 1)).is_ok());
            future
        })
        .or_else(|exception| panic!("{exception}"));
    assert!(source.set_result(Unique(1)).is_ok());
    host.run_until_idle();
    assert_eq!(derived.take().ok().unwrap().0, 3);
}

pub(crate) fn f18_a_failure_travels_along_and_is_reported_once(host: &dyn Host) {
    let source = create::<u32>(host);
    let exception = Exception::msg("failed");
    let derived = source
        .clone()
        .map(|_| panic!("there is no value"))
        .then(|()| -> Future<u32> { panic!("there is no value") });
    source.set_exception(exception.clone()).unwrap();
    drop(source);
    host.run_until_idle();
    assert!(host.take_reports().is_empty());
    assert!(derived.done());
    drop(derived);
    let reports = host.take_reports();
    assert_eq!(reports.len(), 1);
    assert!(reports[0].exception.as_ref().unwrap().ptr_eq(&exception));
}

pub(crate) fn d11_a_panic_in_a_function_becomes_the_exception(host: &dyn Host) {
    let [first, second, third] = [(); 3].map(|()| create::<u32>(host));
    let derived = [
        first.clone().map(|_| -> u32 { panic!("expected") }),
        second.clone().then(|_| panic!("expected")),
        third.clone().or_else(|_| panic!("expected")),
    ];
    first.set_result(1).unwrap();
    second.set_result(1).unwrap();
    third.set_exception(Exception::msg("failed")).unwrap();
    host.run_until_idle();
    for future in derived {
        let exception = future.exception().unwrap().unwrap();
        assert_eq!(exception.downcast_ref::<futures::PanicError>().unwrap().message(), "expected");
    }
}

pub(crate) fn f5_cancelling_a_derived_future_cancels_its_source(host: &dyn Host) {
    let [first, second, third] = [(); 3].map(|()| create::<u32>(host));
    let derived = [
        first.clone().map(|_| -> u32 { panic!("cancelled") }),
        second.clone().then(|_| panic!("cancelled")),
        third.clone().or_else(|_| panic!("nobody wants it")),
    ];
    for future in &derived {
        assert!(future.cancel_with("enough"));
    }
    host.run_until_idle();
    for source in [first, second, third] {
        assert!(source.cancelled());
    }
    for future in derived {
        assert_eq!(future.result().unwrap_err().cancelled().unwrap().message(), Some("enough"));
    }
}

pub(crate) fn f5_cancelling_goes_to_the_inner_future_once_there_is_one(host: &dyn Host) {
    let [source, inner, failing, fallback] = [(); 4].map(|()| create::<u32>(host));
    let (made, replacement) = (inner.clone(), fallback.clone());
    let derived = source.clone().then(move |_| made);
    let replaced = failing.clone().or_else(move |_| replacement);
    source.set_result(1).unwrap();
    failing.set_exception(Exception::msg("failed")).unwrap();
    host.run_until_idle();
    assert!(derived.cancel() && replaced.cancel());
    host.run_until_idle();
    assert!(inner.cancelled() && fallback.cancelled());
    assert!(!source.cancelled() && !failing.cancelled());
}

pub(crate) fn f5_cancelling_a_source_cancels_what_is_derived(host: &dyn Host) {
    let (source, inner) = (create::<u32>(host), create::<u32>(host));
    let made = inner.clone();
    let derived =
        source.clone().map(|_| -> u32 { panic!("cancelled") }).then(|_| panic!("cancelled"));
    let derived: [Future<u32>; 2] = [derived, {
        let ready = create::<u32>(host);
        ready.set_result(1).unwrap();
        ready.then(move |_| made)
    }];
    host.run_until_idle();
    source.cancel_with("source");
    inner.cancel_with("inner");
    host.run_until_idle();
    for (future, message) in derived.into_iter().zip(["source", "inner"]) {
        assert!(future.cancelled());
        assert_eq!(future.result().unwrap_err().cancelled().unwrap().message(), Some(message));
    }
}

pub(crate) fn f5_no_function_runs_for_a_derived_future_that_was_cancelled(host: &dyn Host) {
    let [first, second, third] = [(); 3].map(|()| create::<u32>(host));
    let derived = [
        first.clone().map(|_| -> u32 { panic!("nobody wants it") }),
        second.clone().then(|_| panic!("nobody wants it")),
        third.clone().or_else(|_| panic!("nobody wants it")),
    ];
    // The outcome is there, and its callback queued, when the cancel comes.
    first.set_result(1).unwrap();
    second.set_result(2).unwrap();
    third.set_exception(Exception::msg("failed")).unwrap();
    derived.iter().for_each(|future| assert!(future.cancel()));
    host.run_until_idle();
    assert_eq!((first.result().unwrap(), second.result().unwrap()), (1, 2));
    assert_eq!(third.result().unwrap_err().to_string(), "failed");
}

pub(crate) fn f5_or_else_sees_a_cancelled_source(host: &dyn Host) {
    let source = create::<u32>(host);
    let scheduler = host.scheduler();
    let derived = source.clone().or_else(move |exception| {
        assert!(exception.is_cancelled());
        let future = scheduler.create_future();
        future.set_outcome(Err(exception)).unwrap();
        future
    });
    source.cancel_with("passed on");
    host.run_until_idle();
    assert!(derived.cancelled());
    assert_eq!(derived.result().unwrap_err().cancelled().unwrap().message(), Some("passed on"));
}

pub(crate) fn f2_a_derived_future_that_was_set_by_hand_stays_so(host: &dyn Host) {
    let (source, inner) = (create::<u32>(host), create::<u32>(host));
    let made = inner.clone();
    let derived = source.clone().then(move |_| made);
    source.set_result(1).unwrap();
    host.run_until_idle();
    derived.set_result(9).unwrap();
    inner.set_result(2).unwrap();
    host.run_until_idle();
    assert_eq!((derived.result().unwrap(), inner.result().unwrap()), (9, 2));
    // One that its own function ends wants nothing of what that function made.
    let (source, inner) = (create::<u32>(host), create::<u32>(host));
    let slot = Rc::new(RefCell::new(None::<Future<u32>>));
    let (own, made) = (slot.clone(), inner.clone());
    let derived = source.clone().then(move |_| {
        own.borrow().as_ref().unwrap().cancel();
        made
    });
    slot.replace(Some(derived.clone()));
    source.set_result(1).unwrap();
    host.run_until_idle();
    assert!(derived.cancelled() && inner.cancelled());
    slot.take();
}

pub(crate) fn f1_a_future_cannot_wait_for_itself(host: &dyn Host) {
    let source = create::<u32>(host);
    let slot = Rc::new(RefCell::new(None::<Future<u32>>));
    let own = slot.clone();
    let derived = source.clone().then(move |_| own.take().unwrap());
    slot.replace(Some(derived.clone()));
    source.set_result(1).unwrap();
    host.run_until_idle();
    assert!(derived.exception().unwrap().unwrap().is::<InvalidStateError>());
}

pub(crate) fn f21_an_inner_future_that_nobody_completes_is_not_leaked(host: &dyn Host) {
    let trace = Trace::new();
    let source = create::<u32>(host);
    let inner = create::<u32>(host);
    let captured = on_drop(trace.mark("dropped"));
    inner.add_done_callback(move |_| drop(captured));
    let derived = source.clone().then(move |_| inner);
    source.set_result(1).unwrap();
    host.run_until_idle();
    assert_eq!(trace.take(), ["dropped"], "nobody can complete it");
    drop((source, derived));
    // As long as somebody can, it waits.
    let (source, inner) = (create::<u32>(host), create::<u32>(host));
    let made = inner.clone();
    let derived = source.clone().then(move |_| made);
    source.set_result(1).unwrap();
    host.run_until_idle();
    let captured = on_drop(trace.mark("dropped"));
    derived.add_done_callback(move |_| drop(captured));
    drop((source, derived));
    assert!(trace.take().is_empty());
    drop(inner);
    assert_eq!(trace.take(), ["dropped"]);
}

const LINKS: u32 = 10_000;

/// A chain of `LINKS` links of all kinds.
fn long_chain(source: &Future<u32>) -> Future<u32> {
    let mut last = source.clone();
    for number in 0..LINKS {
        let scheduler = last.get_loop();
        last = match number % 3 {
            0 => last.map(|value| value + 1),
            1 => last.then(move |value| {
                let future = scheduler.create_future();
                future.set_result(value + 1).unwrap();
                future
            }),
            _ => last.map(|value| value + 1).or_else(|exception| panic!("{exception}")),
        };
    }
    last
}

/// Runs `body` on a new host of this kind, on a thread with a stack too small for recursion.
fn on_a_small_stack(body: fn(&dyn Host)) {
    let run = move || tulipa_tests::check(tulipa_tests::MiniHost::new, body);
    let thread = thread::Builder::new().stack_size(128 * 1024).spawn(run);
    thread.unwrap().join().unwrap();
}

pub(crate) fn f31_w30_a_chain_of_ten_thousand_links_needs_no_stack(host: &dyn Host) {
    let body = |host: &dyn Host| {
        let source = create::<u32>(host);
        let last = long_chain(&source);
        source.set_result(0).unwrap();
        host.run_until_idle();
        assert_eq!(last.result().unwrap(), LINKS);
    };
    body(host);
    on_a_small_stack(body);
}

pub(crate) fn f31_a_pending_chain_is_dropped_without_stack(host: &dyn Host) {
    let body = |host: &dyn Host| {
        let trace = Trace::new();
        let source = create::<u32>(host);
        let last = long_chain(&source);
        let captured = on_drop(trace.mark("dropped"));
        last.add_done_callback(move |_| drop(captured));
        drop(last);
        assert!(trace.take().is_empty());
        drop(source);
        assert_eq!(trace.take(), ["dropped"]);
    };
    body(host);
    on_a_small_stack(body);
}

pub(crate) fn f31_w32_a_chain_is_cancelled_from_its_end(host: &dyn Host) {
    let body = |host: &dyn Host| {
        let source = create::<u32>(host);
        let last = long_chain(&source);
        last.cancel();
        host.run_until_idle();
        assert!(source.cancelled());
        // And from its beginning.
        let source = create::<u32>(host);
        let mapped = (0..LINKS).fold(source.clone(), |last, _| last.map(|value| value + 1));
        source.set_outcome(Err(CancelledError::with_message("begin").into())).unwrap();
        host.run_until_idle();
        assert_eq!(mapped.result().unwrap_err().cancelled().unwrap().message(), Some("begin"));
    };
    body(host);
    on_a_small_stack(body);
}
