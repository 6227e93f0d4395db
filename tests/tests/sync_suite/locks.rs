//! `Lock`, and what holds for all that waits.

use super::support::{at_once, is_invalid_state, words};
use futures::{Event, Exception, Lock, Queue, Scheduler, SchedulerExt, Semaphore, Task, yield_now};
use std::cell::RefCell;
use std::rc::Rc;
use tulipa_tests::{Host, MiniScheduler, Trace};

/// A task that acquires, notes its name, lets others run, notes that it leaves, and releases.
fn visitor(host: &dyn Host, lock: &Lock, trace: &Trace, name: &'static str) -> Task<()> {
    let (lock, trace) = (lock.clone(), trace.clone());
    host.scheduler().create_task(async move {
        let _guard = lock.acquire().await?;
        trace.note(format!("{name} in"));
        yield_now().await?;
        trace.note(format!("{name} out"));
        Ok(())
    })
}

pub(crate) fn s1_nobody_waits_outside_of_a_loop(host: &dyn Host) {
    let lock = Lock::new();
    let guard = at_once(lock.acquire()).unwrap();
    assert!(is_invalid_state(&at_once(lock.acquire())), "it is held, and no loop runs here");
    assert!(is_invalid_state(&at_once(Event::new().wait())));
    assert!(is_invalid_state(&at_once(Queue::<u8>::new().get())));
    drop(guard);
    let trace = Trace::new();
    visitor(host, &lock, &trace, "a");
    host.run_until_idle();
    assert_eq!(trace.take(), ["a in", "a out"]);
}

pub(crate) fn s1_i9_waiting_on_another_loop_is_an_error(host: &dyn Host) {
    let (lock, other) = (Lock::new(), MiniScheduler::new());
    let elsewhere = |lock: &Lock| {
        let lock = lock.clone();
        let task = other.to_rc().spawn(async move { lock.acquire().await.map(drop) });
        other.run_until_idle();
        task.take().unwrap()
    };
    assert!(elsewhere(&lock).is_ok(), "nobody had to wait, so it belongs to no loop yet");
    let guard = at_once(lock.acquire()).unwrap();
    let waiting = host.scheduler().create_task(lock.acquire());
    host.run_until_idle();
    assert!(is_invalid_state(&elsewhere(&lock)));
    drop(guard);
    host.run_until_idle();
    assert!(waiting.take().unwrap().is_held());
    assert!(elsewhere(&lock).is_ok());
}

pub(crate) fn s4_the_guard_releases_however_the_block_ends(host: &dyn Host) {
    for how in ["fails", "panics", "is cancelled", "is aborted"] {
        let (lock, inside) = (Lock::new(), Event::new());
        let (holding, entered) = (lock.clone(), inside.clone());
        let task: Task<()> = host.scheduler().create_task(async move {
            let _guard = holding.acquire().await?;
            entered.set();
            match how {
                "fails" => Err(Exception::msg("failed")),
                "panics" => panic!("expected"),
                _ => Event::new().wait().await,
            }
        });
        host.run_until_idle();
        assert!(inside.is_set());
        assert_eq!(lock.locked(), how.starts_with("is "), "{how}");
        match how {
            "is cancelled" => assert!(task.cancel()),
            "is aborted" => assert!(task.abort()),
            _ => assert!(task.done()),
        }
        host.run_until_idle();
        assert!(!lock.locked() && lock.try_acquire().is_some(), "{how}");
        assert!(task.result().is_err());
    }
}

pub(crate) fn s5_a_free_lock_is_taken_without_a_pause(_: &dyn Host) {
    let lock = Lock::new();
    assert!(!lock.locked());
    let guard = at_once(lock.acquire()).unwrap();
    assert!(lock.locked() && guard.is_held() && lock.try_acquire().is_none());
    assert!(guard.lock().ptr_eq(&lock.clone()) && !Lock::default().ptr_eq(&lock));
    assert_eq!(format!("{lock:?} {guard:?}"), "Lock(locked, 0 waiting) LockGuard(held)");
    drop(guard);
    assert!(!lock.locked() && lock.try_acquire().is_some());
    assert_eq!(format!("{lock:?}"), "Lock(unlocked, 0 waiting)");
}

pub(crate) fn s2_s6_who_waits_first_is_served_first(host: &dyn Host) {
    let (lock, trace) = (Lock::new(), Trace::new());
    for name in ["a", "b", "c"] {
        visitor(host, &lock, &trace, name);
    }
    host.run_until_idle();
    assert_eq!(trace.take(), ["a in", "a out", "b in", "b out", "c in", "c out"]);
}

pub(crate) fn s6_s7_in_the_gap_nobody_holds_it_and_nobody_overtakes(host: &dyn Host) {
    let (lock, trace) = (Lock::new(), Trace::new());
    let guard = lock.try_acquire().unwrap();
    visitor(host, &lock, &trace, "first");
    visitor(host, &lock, &trace, "second");
    host.run_until_idle();
    let (late, seen) = (lock.clone(), trace.clone());
    host.scheduler().call_soon(move || {
        drop(guard);
        assert!(!late.locked() && late.try_acquire().is_none());
        // An eager task tries in this very turn.
        let lock = late.clone();
        let eager = futures::TaskBuilder::new().eager();
        eager.create_task(&*futures::current(), async move {
            let _guard = lock.acquire().await?;
            seen.note("newcomer");
            Ok(())
        });
        assert!(!late.locked());
    });
    host.run_until_idle();
    assert_eq!(trace.take(), ["first in", "first out", "second in", "second out", "newcomer"]);
}

pub(crate) fn s6_cancelled_waiters_do_not_count(host: &dyn Host) {
    let (lock, trace) = (Lock::new(), Trace::new());
    let guard = lock.try_acquire().unwrap();
    let waiting = [(); 2].map(|()| visitor(host, &lock, &trace, "cancelled"));
    host.run_until_idle();
    let newcomer = lock.clone();
    host.scheduler().call_soon(move || {
        assert!(waiting.iter().all(Task::cancel));
        drop(guard);
        let guard = newcomer.try_acquire().expect("nobody is before it");
        assert!(newcomer.locked() && guard.is_held());
    });
    host.run_until_idle();
    assert!(trace.take().is_empty() && !lock.locked());
}

/// How a waiter ends that does not get what it waits for.
#[derive(Clone, Copy, Debug)]
enum End {
    Cancel,
    Abort,
    CancelThenAbort,
}

const ENDS: [End; 3] = [End::Cancel, End::Abort, End::CancelThenAbort];

impl End {
    fn apply<T>(self, task: &Task<T>) {
        match self {
            End::Cancel => assert!(task.cancel()),
            End::Abort => assert!(task.abort()),
            End::CancelThenAbort => assert!(task.cancel() && task.abort()),
        }
    }
}

pub(crate) fn s3_s8_whose_turn_came_and_who_ends_passes_it_on(host: &dyn Host) {
    for end in ENDS {
        for before_the_release in [true, false] {
            let (lock, trace) = (Lock::new(), Trace::new());
            let guard = lock.try_acquire().unwrap();
            let first = visitor(host, &lock, &trace, "first");
            visitor(host, &lock, &trace, "second");
            host.run_until_idle();
            let ending = first.clone();
            host.scheduler().call_soon(move || match before_the_release {
                true => {
                    end.apply(&ending);
                    drop(guard);
                }
                false => {
                    drop(guard);
                    end.apply(&ending);
                }
            });
            host.run_until_idle();
            assert_eq!(trace.take(), ["second in", "second out"], "{end:?} {before_the_release}");
            assert!(first.cancelled() && !lock.locked() && lock.try_acquire().is_some());
        }
    }
}

pub(crate) fn s8_many_cancellations_at_once_grant_nothing_twice(host: &dyn Host) {
    for cancelled in 0..32u32 {
        let (lock, inside) = (Lock::new(), Rc::new(RefCell::new(Vec::new())));
        let guard = lock.try_acquire().unwrap();
        let tasks: Vec<_> = (0..5)
            .map(|name| {
                let (lock, inside) = (lock.clone(), inside.clone());
                host.scheduler().create_task(async move {
                    let guard = lock.acquire().await?;
                    assert!(lock.locked() && lock.try_acquire().is_none());
                    yield_now().await?;
                    inside.borrow_mut().push(name);
                    drop(guard);
                    Ok(())
                })
            })
            .collect();
        host.run_until_idle();
        host.scheduler().call_soon(move || {
            drop(guard);
            for (number, task) in tasks.iter().enumerate() {
                if cancelled & (1 << number) != 0 {
                    assert!(task.cancel());
                }
            }
        });
        host.run_until_idle();
        let expected: Vec<_> = (0..5).filter(|number| cancelled & (1 << number) == 0).collect();
        assert_eq!(inside.take(), expected, "{cancelled:b}");
        assert!(!lock.locked());
    }
}

pub(crate) fn s9_a_lock_has_no_owner_and_is_not_re_entrant(host: &dyn Host) {
    let (lock, trace) = (Lock::new(), Trace::new());
    let slot = Rc::new(RefCell::new(None));
    let (twice, kept, seen) = (lock.clone(), slot.clone(), trace.clone());
    let task = host.scheduler().create_task(async move {
        *kept.borrow_mut() = Some(twice.acquire().await?);
        seen.note("once");
        let _second = twice.acquire().await?;
        seen.note("twice");
        Ok(())
    });
    host.run_until_idle();
    assert!(trace.take() == ["once"] && !task.done());
    host.scheduler().call_soon(move || drop(slot.take()));
    host.run_until_idle();
    assert!(trace.take() == ["twice"] && task.result().is_ok());
}

pub(crate) fn s3_a_future_that_is_dropped_loses_nothing(host: &dyn Host) {
    // Polled by hand: a foreign executor drops futures where it likes.
    let scheduler = host.scheduler();
    let (lock, semaphore) = (Lock::new(), Semaphore::new(1));
    let trace = Trace::new();
    let (seen, one, other) = (trace.clone(), lock.clone(), semaphore.clone());
    scheduler.call_soon(move || {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let (guard, permit) = (one.try_acquire().unwrap(), other.try_acquire().unwrap());
        let mut locks: Vec<_> = (0..3).map(|_| Box::pin(one.acquire())).collect();
        let mut permits: Vec<_> = (0..3).map(|_| Box::pin(other.acquire())).collect();
        assert!(locks.iter_mut().all(|lock| lock.as_mut().poll(&mut context).is_pending()));
        assert!(permits.iter_mut().all(|permit| permit.as_mut().poll(&mut context).is_pending()));
        drop((guard, permit));
        drop((locks.remove(0), permits.remove(0))); // granted
        drop((locks.remove(1), permits.remove(1))); // still waiting
        assert!(locks[0].as_mut().poll(&mut context).is_ready());
        assert!(permits[0].as_mut().poll(&mut context).is_ready());
        assert!(!one.locked() && !other.locked() && other.value() == 1);
        seen.note("done");
    });
    host.run_until_idle();
    assert_eq!(trace.take(), ["done"]);
}

pub(crate) fn s3_many_come_and_go_at_the_same_cost(host: &dyn Host) {
    let (lock, held) = (Lock::new(), Lock::new());
    let (guard, _held) = (lock.try_acquire().unwrap(), held.try_acquire().unwrap());
    let tasks: Vec<_> = (0..20_000).map(|_| host.scheduler().create_task(lock.acquire())).collect();
    host.run_until_idle();
    // From the middle to both sides: the worst order for anything but a list.
    let (front, back) = tasks.split_at(10_000);
    for (one, other) in front.iter().rev().zip(back) {
        assert!(one.cancel() && other.cancel());
    }
    host.run_until_idle();
    assert_eq!(format!("{lock:?}"), "Lock(locked, 0 waiting)");
    drop(guard);
    assert!(lock.try_acquire().is_some());
    assert!(tasks.iter().all(Task::cancelled));
}

pub(crate) fn s2_a_waiter_runs_in_a_later_turn(host: &dyn Host) {
    let (lock, trace) = (Lock::new(), Trace::new());
    let guard = lock.try_acquire().unwrap();
    let waiting = visitor(host, &lock, &trace, "waiter");
    host.run_until_idle();
    let seen = trace.clone();
    host.scheduler().call_soon(move || {
        drop(guard);
        seen.note("released");
    });
    host.run_until_idle();
    assert_eq!(trace.take(), ["released", "waiter in", "waiter out"]);
    assert_eq!(words(&waiting.result()), "()");
}
