//! `Condition`.

use super::support::{at_once, is_invalid_state, words};
use futures::{Condition, Lock, SchedulerExt, Task, yield_now};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use tulipa_tests::{Host, Trace};

/// Waits once and notes how that went, and that it holds the lock then.
fn waiter(host: &dyn Host, condition: &Condition, trace: &Trace, name: &'static str) -> Task<()> {
    let (condition, trace) = (condition.clone(), trace.clone());
    host.scheduler().create_task(async move {
        let mut guard = condition.acquire().await?;
        let outcome = condition.wait(&mut guard).await;
        assert!(guard.is_held() && condition.locked());
        trace.note(format!("{name}: {}", words(&outcome)));
        yield_now().await?;
        assert!(guard.is_held() && condition.lock().try_acquire().is_none());
        outcome
    })
}

/// Notifies `n` under the lock, which it takes at once.
fn notify(condition: &Condition, n: usize) {
    let _guard = condition.lock().try_acquire().expect("the lock is free");
    condition.notify(n).unwrap();
}

pub(crate) fn s13_waiting_and_notifying_demand_the_lock(host: &dyn Host) {
    let condition = Condition::new();
    assert!(condition.notify(1).is_err() && condition.notify_all().is_err());
    let mut foreign = Lock::new().try_acquire().unwrap();
    assert!(is_invalid_state(&at_once(condition.wait(&mut foreign))));
    assert!(is_invalid_state(&at_once(condition.wait_for(&mut foreign, || Some(())))));
    assert!(foreign.is_held(), "a refused wait gives nothing up");
    let guard = condition.lock().try_acquire().unwrap();
    assert!(condition.notify(1).is_ok() && condition.notify_all().is_ok());
    drop(guard);
    assert_eq!(format!("{condition:?}"), "Condition(Lock(unlocked, 0 waiting), 0 waiting)");
    host.run_until_idle();
}

pub(crate) fn s13_conditions_can_share_a_lock(host: &dyn Host) {
    let (lock, trace) = (Lock::new(), Trace::new());
    let conditions = [(); 2].map(|()| Condition::with_lock(lock.clone()));
    assert!(conditions[0].lock().ptr_eq(conditions[1].lock()));
    waiter(host, &conditions[0], &trace, "one");
    waiter(host, &conditions[1], &trace, "other");
    host.run_until_idle();
    notify(&conditions[1], 1);
    host.run_until_idle();
    assert_eq!(trace.take(), ["other: ()"]);
    notify(&conditions[0], 1);
    host.run_until_idle();
    assert_eq!(trace.take(), ["one: ()"]);
}

pub(crate) fn s14_waiting_gives_the_lock_up_and_holds_it_again(host: &dyn Host) {
    let (condition, trace) = (Condition::new(), Trace::new());
    let task = waiter(host, &condition, &trace, "waiter");
    host.run_until_idle();
    assert!(!condition.locked() && !task.done());
    notify(&condition, 1);
    host.run_until_idle();
    assert_eq!(trace.take(), ["waiter: ()"]);
    assert!(!condition.locked() && task.result().is_ok());
}

pub(crate) fn s14_a_cancelled_wait_holds_the_lock_before_it_says_so(host: &dyn Host) {
    let (condition, trace) = (Condition::new(), Trace::new());
    let task = waiter(host, &condition, &trace, "waiter");
    host.run_until_idle();
    let guard = condition.lock().try_acquire().unwrap();
    assert!(task.cancel_with("first"));
    host.run_until_idle();
    assert!(trace.take().is_empty(), "somebody else holds the lock");
    // While it acquires the lock again it is cancelled again, and once more: the last one counts.
    for message in ["second", "third"] {
        assert!(task.cancel_with(message));
        host.run_until_idle();
        assert!(trace.take().is_empty() && !task.done());
    }
    drop(guard);
    host.run_until_idle();
    assert_eq!(trace.take(), ["waiter: error: cancelled: third"]);
    assert!(task.cancelled() && !condition.locked());
}

pub(crate) fn s14_s16_cancelled_while_acquiring_again_it_passes_the_notification_on(
    host: &dyn Host,
) {
    let (condition, trace) = (Condition::new(), Trace::new());
    let first = waiter(host, &condition, &trace, "first");
    waiter(host, &condition, &trace, "second");
    host.run_until_idle();
    let guard = condition.lock().try_acquire().unwrap();
    condition.notify(1).unwrap();
    host.run_until_idle();
    assert!(first.cancel());
    host.run_until_idle();
    assert!(trace.take().is_empty(), "the notifier still holds the lock");
    drop(guard);
    host.run_until_idle();
    assert_eq!(trace.take(), ["first: error: cancelled", "second: ()"]);
}

pub(crate) fn s14_s16_aborted_while_acquiring_again_it_passes_both_on(host: &dyn Host) {
    for lock_is_free in [false, true] {
        let (condition, trace) = (Condition::new(), Trace::new());
        let first = waiter(host, &condition, &trace, "first");
        waiter(host, &condition, &trace, "second");
        host.run_until_idle();
        let guard = condition.lock().try_acquire().unwrap();
        condition.notify(1).unwrap();
        host.run_until_idle(); // the first now stands in the line for the lock
        let ending = first.clone();
        host.scheduler().call_soon(move || match lock_is_free {
            true => {
                drop(guard);
                assert!(ending.abort());
            }
            false => {
                assert!(ending.abort());
                drop(guard);
            }
        });
        host.run_until_idle();
        assert_eq!(trace.take(), ["second: ()"]);
        assert!(first.cancelled() && !condition.locked());
    }
}

pub(crate) fn s15_notifying_wakes_the_first_and_they_run_after_the_release(host: &dyn Host) {
    let (condition, trace) = (Condition::new(), Trace::new());
    for name in ["a", "b", "c", "d", "e"] {
        waiter(host, &condition, &trace, name);
    }
    host.run_until_idle();
    let (notifier, seen) = (condition.clone(), trace.clone());
    host.scheduler().create_task(async move {
        let guard = notifier.acquire().await?;
        notifier.notify(1)?;
        notifier.notify(2)?; // those that are not woken yet
        yield_now().await?;
        yield_now().await?;
        seen.note("released");
        drop(guard);
        Ok(())
    });
    host.run_until_idle();
    assert_eq!(trace.take(), ["released", "a: ()", "b: ()", "c: ()"]);
    notify(&condition, 0);
    host.run_until_idle();
    assert!(trace.take().is_empty());
    notify(&condition, 100);
    host.run_until_idle();
    assert_eq!(trace.take(), ["d: ()", "e: ()"]);
    for name in ["f", "g"] {
        waiter(host, &condition, &trace, name);
    }
    host.run_until_idle();
    let guard = condition.lock().try_acquire().unwrap();
    condition.notify_all().unwrap();
    drop(guard);
    host.run_until_idle();
    assert_eq!(trace.take(), ["f: ()", "g: ()"]);
}

pub(crate) fn s16_a_notified_waiter_that_ends_passes_the_notification_on(host: &dyn Host) {
    for abort in [false, true] {
        for after_the_notification in [false, true] {
            let (condition, trace) = (Condition::new(), Trace::new());
            let first = waiter(host, &condition, &trace, "first");
            waiter(host, &condition, &trace, "second");
            host.run_until_idle();
            let end = || assert!(if abort { first.abort() } else { first.cancel() });
            if after_the_notification {
                notify(&condition, 1);
                end();
            } else {
                end();
                notify(&condition, 1);
            }
            host.run_until_idle();
            let mut seen = trace.take();
            seen.retain(|entry| !entry.starts_with("first: error"));
            assert_eq!(seen, ["second: ()"], "{abort} {after_the_notification}");
            assert!(first.cancelled() && !condition.locked());
        }
    }
}

pub(crate) fn s16_a_dropped_wait_leaves_a_guard_that_holds_nothing(host: &dyn Host) {
    let (condition, trace) = (Condition::new(), Trace::new());
    waiter(host, &condition, &trace, "other");
    let (waiting, seen) = (condition.clone(), trace.clone());
    let task = host.scheduler().create_task(async move {
        let mut guard = waiting.acquire().await?;
        {
            let mut wait = Box::pin(waiting.wait(&mut guard));
            std::future::poll_fn(|context| {
                assert!(wait.as_mut().poll(context).is_pending());
                std::task::Poll::Ready(())
            })
            .await;
        }
        assert!(!guard.is_held() && !waiting.locked());
        assert_eq!(format!("{guard:?}"), "LockGuard(given up)");
        let outcome = waiting.wait(&mut guard).await;
        assert!(is_invalid_state(&outcome));
        drop(guard);
        seen.note("went on");
        Ok(())
    });
    host.run_until_idle();
    assert!(trace.take() == ["went on"] && task.result().is_ok());
    notify(&condition, 1);
    host.run_until_idle();
    assert_eq!(trace.take(), ["other: ()"]);
}

pub(crate) fn s17_wait_for_looks_first_and_gives_what_it_found(host: &dyn Host) {
    let (condition, trace) = (Condition::new(), Trace::new());
    let mut guard = condition.lock().try_acquire().unwrap();
    assert_eq!(at_once(condition.wait_for(&mut guard, || Some(7))).unwrap(), 7);
    drop(guard);
    let (items, looked) = (Rc::new(RefCell::new(Vec::new())), Rc::new(Cell::new(0)));
    let (inside, source, count) = (condition.clone(), items.clone(), looked.clone());
    let task = host.scheduler().create_task(async move {
        let mut guard = inside.acquire().await?;
        let look = || {
            assert!(inside.locked());
            count.set(count.get() + 1);
            source.borrow_mut().pop()
        };
        inside.wait_for(&mut guard, look).await
    });
    host.run_until_idle();
    for round in 1..=3 {
        assert_eq!((looked.get(), task.done()), (round, false));
        if round == 3 {
            items.borrow_mut().push("found");
        }
        notify(&condition, 1); // for nothing, twice
        host.run_until_idle();
    }
    assert_eq!(task.result().unwrap(), "found");
    assert!(trace.take().is_empty() && looked.get() == 4);
}
