//! The states of a thread future, and what can be asked in each.

use crate::log_records;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tulipa_futures::concurrent::Future;
use tulipa_futures::{CancelledError, Exception, InvalidStateError, TimeoutError};

const LOOK: Option<Duration> = Some(Duration::ZERO);

fn running() -> Future<u32> {
    let future = Future::new();
    assert!(future.set_running_or_notify_cancel());
    future
}

/// A future in each of the done states: finished, failed, cancelled.
fn done_futures() -> [Future<u32>; 3] {
    let futures = [Future::new(), running(), Future::default()];
    futures[0].set_result(1).unwrap();
    futures[1].set_exception(Exception::msg("failed")).unwrap();
    assert!(futures[2].cancel());
    futures
}

#[test]
fn f29_a_future_crosses_threads_whenever_its_value_may() {
    fn crosses_threads<T: Send + Sync>() {}
    crosses_threads::<Future<Cell<u32>>>();
}

#[test]
fn f29_the_four_states_can_be_told_apart() {
    let [finished, failed, cancelled] = done_futures();
    let states = |future: &Future<u32>| (future.running(), future.done(), future.cancelled());
    assert_eq!(states(&Future::new()), (false, false, false));
    assert_eq!(states(&running()), (true, false, false));
    assert_eq!(states(&finished), (false, true, false));
    assert_eq!(states(&failed), (false, true, false));
    assert_eq!(states(&cancelled), (false, true, true));
    let shown = |future: &Future<u32>| format!("{future:?}");
    assert_eq!(shown(&Future::new()), "concurrent::Future<u32>(pending)");
    assert_eq!(shown(&running()), "concurrent::Future<u32>(running)");
    assert_eq!(shown(&finished), "concurrent::Future<u32>(finished)");
    assert_eq!(shown(&failed), "concurrent::Future<u32>(failed)");
    assert_eq!(shown(&cancelled), "concurrent::Future<u32>(cancelled)");
    finished.take(None).unwrap();
    assert_eq!(shown(&finished), "concurrent::Future<u32>(taken)");
}

#[test]
fn f29_cancel_is_refused_once_running_or_finished() {
    let pending = Future::<u32>::new();
    assert!(pending.cancel_with("first") && pending.cancel_with("second"));
    let error = pending.result(None).unwrap_err();
    assert_eq!(error.cancelled().unwrap().message(), Some("first"));
    let busy = running();
    assert!(!busy.cancel() && busy.running());
    let [finished, failed, cancelled] = done_futures();
    assert!(!finished.cancel() && !failed.cancel() && cancelled.cancel());
    assert!(!finished.cancelled() && !failed.cancelled());
    assert_eq!(cancelled.take(None).unwrap_err().cancelled().unwrap().message(), None);
}

#[test]
fn f29_only_a_pending_future_can_be_started() {
    let pending = Future::<u32>::new();
    assert!(pending.set_running_or_notify_cancel());
    assert!(!pending.set_running_or_notify_cancel());
    assert!(pending.running());
    for future in done_futures() {
        let before = format!("{future:?}");
        assert!(!future.set_running_or_notify_cancel());
        assert_eq!(format!("{future:?}"), before);
    }
}

#[test]
fn f2_f29_done_is_final() {
    for (future, state) in done_futures().into_iter().zip(["finished", "finished", "cancelled"]) {
        let errors = [
            ("set_result", future.set_result(9)),
            ("set_exception", future.set_exception(Exception::msg("again"))),
            ("set_outcome", future.set_outcome(Ok(9))),
        ];
        for (operation, error) in errors {
            let expected = format!("{operation}: the future is already {state}");
            assert_eq!(error.unwrap_err().to_string(), expected);
        }
        assert_eq!(future.try_set_result(9), Err(9));
        assert_ne!(future.result(None).ok(), Some(9));
    }
    let late = running();
    assert_eq!(late.try_set_result(9), Ok(()));
    assert_eq!(late.result(None).unwrap(), 9);
}

#[test]
fn f3_f4_f29_result_and_exception_may_be_asked_any_number_of_times() {
    let [finished, failed, cancelled] = done_futures();
    for _ in 0..2 {
        assert_eq!(finished.result(None).unwrap(), 1);
        assert!(finished.exception(None).unwrap().is_none());
        assert_eq!(failed.result(None).unwrap_err().to_string(), "failed");
        assert_eq!(failed.take(None).unwrap_err().to_string(), "failed");
        assert_eq!(failed.exception(None).unwrap().unwrap().to_string(), "failed");
        assert!(cancelled.result(None).unwrap_err().is_cancelled());
        assert!(cancelled.exception(None).unwrap_err().is_cancelled());
    }
    let twin = finished.clone();
    assert!(twin.ptr_eq(&finished) && !twin.ptr_eq(&failed));
    assert_eq!(twin.take(None).unwrap(), 1);
    for error in [finished.take(None), finished.result(None)] {
        assert_eq!(error.unwrap_err().to_string(), "the result was taken");
    }
    assert!(finished.done() && finished.exception(None).unwrap().is_none());
}

#[test]
fn f28_an_outcome_that_is_a_cancellation_cancels() {
    let [kept, failed, cancelled] = [running(), running(), running()];
    kept.set_outcome(Ok(1)).unwrap();
    failed.set_outcome(Err(Exception::msg("failed"))).unwrap();
    cancelled.set_outcome(Err(CancelledError::with_message("why").into())).unwrap();
    assert_eq!(kept.result(None).unwrap(), 1);
    assert_eq!(failed.result(None).unwrap_err().to_string(), "failed");
    assert!(cancelled.cancelled() && !failed.cancelled());
    let error = cancelled.result(None).unwrap_err();
    assert_eq!(error.cancelled().unwrap().message(), Some("why"));
}

#[test]
fn f29_looking_at_an_unfinished_future_times_out() {
    for future in [Future::new(), running()] {
        for timeout in [LOOK, Some(Duration::from_millis(1))] {
            let errors = [
                ("result", future.result(timeout).unwrap_err()),
                ("take", future.take(timeout).unwrap_err()),
                ("exception", future.exception(timeout).unwrap_err()),
            ];
            for (operation, error) in errors {
                assert!(error.is::<TimeoutError>(), "{error}");
                assert!(error.to_string().contains(operation), "{error}");
            }
        }
        assert!(!future.done(), "a timeout cancels nothing");
    }
    let [finished, ..] = done_futures();
    assert_eq!(finished.result(LOOK).unwrap(), 1);
}

#[test]
fn f29_callbacks_run_in_order_in_the_thread_that_completes() {
    let (future, (sender, seen)) = (Future::<u32>::new(), channel());
    for name in ["first", "second"] {
        let sender = sender.clone();
        future.add_done_callback(move |future| {
            sender.send((name, future.result(None).unwrap(), std::thread::current().id())).unwrap();
        });
    }
    assert!(seen.try_recv().is_err());
    let producer = future.clone();
    let completing = std::thread::spawn(move || {
        producer.set_result(7).unwrap();
        std::thread::current().id()
    });
    let there = completing.join().unwrap();
    future.add_done_callback(move |_| {
        sender.send(("late", 0, std::thread::current().id())).unwrap();
    });
    let here = std::thread::current().id();
    let expected = [("first", 7, there), ("second", 7, there), ("late", 0, here)];
    assert_eq!(seen.try_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn f29_cancelling_runs_the_callbacks_too() {
    let (future, (sender, seen)) = (Future::<u32>::new(), channel());
    future.add_done_callback(move |future| sender.send(future.cancelled()).unwrap());
    future.cancel();
    future.cancel();
    assert_eq!(seen.try_iter().collect::<Vec<_>>(), [true]);
}

#[test]
fn f29_a_callback_that_panics_is_logged_and_ignored() {
    log_records::start();
    let (future, (sender, seen)) = (Future::<u32>::new(), channel());
    let line = line!() + 1;
    future.add_done_callback(|_| panic!("a callback fails"));
    future.add_done_callback(move |_| sender.send("the other one").unwrap());
    future.set_result(1).unwrap();
    assert_eq!(seen.try_iter().collect::<Vec<_>>(), ["the other one"]);
    let records = log_records::containing("a callback fails");
    assert_eq!(records.len(), 1);
    assert!(records[0].starts_with("ERROR tulipa: "), "{}", records[0]);
    assert!(records[0].contains(&format!("state.rs:{line}:")), "{}", records[0]);
    assert_eq!(future.result(None).unwrap(), 1);
}

#[test]
fn f17_f29_a_callback_may_do_anything() {
    let (future, (sender, seen)) = (Future::<u32>::new(), channel());
    let held = Arc::new(Mutex::new(Some(future.clone())));
    let handle = held.clone();
    future.add_done_callback(move |future| {
        let inner = sender.clone();
        future.add_done_callback(move |_| inner.send("added").unwrap());
        assert!(!future.cancel() && future.set_result(2).is_err());
        assert!(!future.set_running_or_notify_cancel());
        assert_eq!(future.result(None).unwrap(), 1);
        drop(handle.lock().unwrap().take());
        assert_eq!(future.take(None).unwrap(), 1);
        sender.send("end").unwrap();
    });
    future.set_result(1).unwrap();
    assert_eq!(seen.try_iter().collect::<Vec<_>>(), ["added", "end"]);
}

/// A value whose clone and drop run code.
struct Value(Rc<Hooks>);

#[derive(Default)]
struct Hooks {
    on_clone: Cell<Option<Box<dyn FnOnce()>>>,
    on_drop: Cell<Option<Box<dyn FnOnce()>>>,
}

impl Clone for Value {
    fn clone(&self) -> Self {
        if let Some(hook) = self.0.on_clone.take() {
            hook();
        }
        Value(Rc::default())
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        if let Some(hook) = self.0.on_drop.take() {
            hook();
        }
    }
}

#[test]
fn f15_f29_a_value_is_cloned_and_dropped_without_the_lock() {
    let (hooks, future) = (Rc::new(Hooks::default()), Future::new());
    let reached = Rc::new(Cell::new(0));
    let (inside, count) = (future.clone(), reached.clone());
    hooks.on_clone.set(Some(Box::new(move || {
        assert!(inside.done() && !inside.running() && !inside.cancel());
        assert_eq!(format!("{inside:?}").split_once('(').unwrap().1, "finished)");
        assert!(inside.exception(None).unwrap().is_none());
        let error = inside.result(None).err().unwrap();
        assert!(error.is::<InvalidStateError>());
        assert_eq!(error.to_string(), "the result is being cloned");
        assert!(inside.take(None).is_err());
        count.set(count.get() + 1);
    })));
    let (inside, count) = (future.clone(), reached.clone());
    hooks.on_drop.set(Some(Box::new(move || {
        assert!(inside.done() && inside.result(None).is_err());
        count.set(count.get() + 1);
    })));
    assert!(future.set_result(Value(hooks)).is_ok());
    assert!(future.result(None).is_ok());
    assert!(future.result(None).is_ok());
    drop(future.take(None).ok().unwrap());
    assert_eq!(reached.get(), 2);
}

#[test]
fn f15_f29_a_clone_that_panics_loses_nothing() {
    let (hooks, future) = (Rc::new(Hooks::default()), Future::new());
    hooks.on_clone.set(Some(Box::new(|| panic!("expected"))));
    assert!(future.set_result(Value(hooks)).is_ok());
    assert!(tulipa_futures::catch(|| drop(future.result(None))).is_err());
    assert!(future.result(None).is_ok());
    assert!(future.take(None).is_ok());
}

#[test]
fn f15_f29_a_value_that_came_too_late_is_dropped_without_the_lock() {
    let (hooks, future) = (Rc::new(Hooks::default()), Future::new());
    future.cancel();
    let (inside, reached) = (future.clone(), Rc::new(Cell::new(false)));
    let flag = reached.clone();
    hooks.on_drop.set(Some(Box::new(move || flag.set(inside.cancelled()))));
    assert!(future.set_result(Value(hooks)).is_err());
    assert!(reached.get());
}
