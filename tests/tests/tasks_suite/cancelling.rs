//! Cancellation, which a coroutine can answer.

use super::support::{Dropped, Log, words};
use futures::{Exception, Future, SchedulerExt, Task, current_task, gather, sleep, yield_now};
use std::cell::RefCell;
use std::future::{pending, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use tulipa_tests::Host;

pub(crate) fn t11_t12_cancelling_cancels_what_the_task_waits_for(host: &dyn Host) {
    let scheduler = host.scheduler();
    let future = scheduler.create_future::<()>();
    let task = scheduler.create_task(future.clone());
    host.run_until_idle();
    assert!(task.cancel_with("enough"));
    assert!(future.cancelled() && !task.done(), "it is a request");
    host.run_until_idle();
    assert!(task.cancelled() && !task.cancel());
    assert_eq!(words(&task.result()), "error: cancelled: enough");
}

pub(crate) fn t12_a_cancelled_coroutine_may_clean_up_and_go_on(host: &dyn Host) {
    let (scheduler, log) = (host.scheduler(), Log::default());
    let seen = log.clone();
    let polite = scheduler.create_task(async move {
        let outcome = sleep(Duration::from_secs(3600)).await;
        seen.add(words(&outcome));
        sleep(Duration::from_millis(5)).await?;
        seen.add("cleaned up");
        outcome
    });
    let stubborn = scheduler.spawn(async {
        let _ = sleep(Duration::from_secs(3600)).await;
        yield_now().await.unwrap();
        "went on"
    });
    let converting = scheduler.create_task(async {
        sleep(Duration::from_secs(3600)).await.map_err(|_| Exception::msg("converted"))
    });
    scheduler.call_later(Duration::from_millis(1), {
        let (polite, stubborn, converting) = (polite.clone(), stubborn.clone(), converting.clone());
        move || assert!(polite.cancel() && stubborn.cancel() && converting.cancel())
    });
    host.run_until_idle();
    assert_eq!(log.take(), ["error: cancelled", "cleaned up"]);
    assert!(polite.cancelled());
    assert_eq!(stubborn.result().unwrap(), "went on");
    assert_eq!(words(&converting.result()), "error: converted");
}

pub(crate) fn t13_before_its_first_step_a_task_never_begins(host: &dyn Host) {
    let (scheduler, log) = (host.scheduler(), Log::default());
    let (guard, seen) = (Dropped(log.clone(), "dropped"), log.clone());
    let task = scheduler.spawn(async move {
        seen.add("began");
        drop(guard);
    });
    assert!(task.cancel() && !task.done());
    assert!(log.take().is_empty(), "nothing is dropped inside of cancel");
    host.run_until_idle();
    assert!(task.cancelled());
    assert_eq!(log.take(), ["dropped"]);
}

pub(crate) fn t14_cancelled_in_its_last_step_it_ends_cancelled(host: &dyn Host) {
    let task = host.scheduler().spawn(async {
        current_task().unwrap().cancel_with("by itself");
        7
    });
    let failing = host.scheduler().create_task(async {
        current_task().unwrap().cancel();
        Err::<(), _>(Exception::msg("failed all the same"))
    });
    host.run_until_idle();
    assert_eq!(words(&task.result()), "error: cancelled: by itself");
    assert_eq!(words(&failing.result()), "error: failed all the same");
}

pub(crate) fn t15_a_task_that_cancels_itself_is_told_at_its_next_wait(host: &dyn Host) {
    let scheduler = host.scheduler();
    let (pending, done) = (scheduler.create_future::<u32>(), scheduler.create_future::<u32>());
    done.set_result(1).unwrap();
    let awaited = pending.clone();
    let task = scheduler.spawn(async move {
        current_task().unwrap().cancel();
        // What is done needs no waiting (F-22).
        assert_eq!(done.await.unwrap(), 1);
        let told = words(&awaited.await);
        yield_now().await.unwrap();
        told
    });
    host.run_until_idle();
    assert!(pending.cancelled());
    assert_eq!(task.result().unwrap(), "error: cancelled");
    assert_eq!(task.cancelling(), 1);
}

pub(crate) fn t16_cancelling_goes_through_to_the_inner_task(host: &dyn Host) {
    let (scheduler, log) = (host.scheduler(), Log::default());
    let seen = log.clone();
    let inner = scheduler.create_task(async move {
        for _ in 0..2 {
            let told = sleep(Duration::from_secs(3600)).await;
            seen.add(words(&told));
        }
        Ok("swallowed")
    });
    let middle = scheduler.create_task(inner.clone());
    let outer = scheduler.create_task(middle.clone());
    scheduler.call_later(Duration::from_secs(1), {
        let (outer, inner) = (outer.clone(), inner.clone());
        move || assert!(outer.cancel() && !inner.done())
    });
    scheduler.call_later(Duration::from_secs(2), {
        let outer = outer.clone();
        move || assert!(outer.cancel())
    });
    host.run_until_idle();
    assert_eq!(log.take(), ["error: cancelled", "error: cancelled"]);
    assert_eq!(outer.result().unwrap(), "swallowed");
    assert_eq!((outer.cancelling(), middle.cancelling(), inner.cancelling()), (2, 2, 2));
}

pub(crate) fn t17_cancelled_after_its_future_was_done_the_value_stays_there(host: &dyn Host) {
    let scheduler = host.scheduler();
    let future = scheduler.create_future::<u32>();
    let task = scheduler.create_task(future.clone());
    host.run_until_idle();
    future.set_result(7).unwrap();
    assert!(task.cancel());
    host.run_until_idle();
    assert!(task.cancelled());
    assert_eq!(future.result().unwrap(), 7);
}

pub(crate) fn t18_t19_requests_are_counted_and_delivered_once(host: &dyn Host) {
    let scheduler = host.scheduler();
    let task = scheduler.spawn(async {
        let mut told = 0;
        for _ in 0..3 {
            told += u32::from(yield_now().await.is_err());
        }
        told
    });
    let twice = task.clone();
    scheduler.call_soon(move || assert!(twice.cancel() && twice.cancel()));
    host.run_until_idle();
    assert_eq!((task.result().unwrap(), task.cancelling()), (1, 2));
    assert_eq!((task.uncancel(), task.uncancel(), task.uncancel()), (1, 0, 0));
}

pub(crate) fn t19_taking_the_last_request_back_calls_it_off(host: &dyn Host) {
    let scheduler = host.scheduler();
    let task = scheduler.create_task(async { Ok("undisturbed") });
    task.cancel();
    assert_eq!((task.cancelling(), task.uncancel()), (1, 0));
    host.run_until_idle();
    assert_eq!(task.result().unwrap(), "undisturbed");
}

pub(crate) fn t25_i12_a_foreign_future_is_dropped(host: &dyn Host) {
    let (scheduler, log) = (host.scheduler(), Log::default());
    let guard = Dropped(log.clone(), "dropped");
    let task = scheduler.spawn(async move {
        let _guard = guard;
        pending::<()>().await;
    });
    host.run_until_idle();
    assert!(task.cancel());
    assert!(log.take().is_empty(), "it is dropped by a callback of its own");
    host.run_until_idle();
    assert!(task.cancelled());
    assert_eq!(log.take(), ["dropped"]);
}

/// A wait that a coroutine has begun and given away does not hide that it waits for nothing of ours.
pub(crate) fn t25_waits_that_were_given_away_do_not_hold_a_cancellation_up(host: &dyn Host) {
    let scheduler = host.scheduler();
    let done = scheduler.create_future::<u32>();
    let (turn, wait) = (Rc::new(RefCell::new(yield_now())), Rc::new(RefCell::new(done.clone())));
    let (given_turn, given_wait) = (turn.clone(), wait.clone());
    let task = scheduler.spawn(async move {
        poll_fn(|context| {
            assert!(Pin::new(&mut *given_turn.borrow_mut()).poll(context).is_pending());
            assert!(Pin::new(&mut *given_wait.borrow_mut()).poll(context).is_pending());
            Poll::Ready(())
        })
        .await;
        pending::<()>().await;
    });
    host.run_until_idle();
    done.set_result(7).unwrap();
    host.run_until_idle();
    assert!(task.cancel() && !task.done());
    host.run_until_idle();
    assert!(task.cancelled());
    drop((turn, wait));
}

pub(crate) fn t25_all_waits_of_a_select_are_told(host: &dyn Host) {
    let scheduler = host.scheduler();
    let futures: Vec<Future<u32>> = (0..3).map(|_| scheduler.create_future()).collect();
    let mut waits: Vec<_> = futures.clone();
    let task = scheduler.spawn(async move {
        let mut told = Vec::new();
        poll_fn(|context| {
            waits.retain_mut(|wait| match Pin::new(wait).poll(context) {
                Poll::Ready(outcome) => {
                    told.push(words(&outcome));
                    false
                }
                Poll::Pending => true,
            });
            match waits.is_empty() {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
        told
    });
    host.run_until_idle();
    futures[1].set_result(7).unwrap();
    task.cancel();
    host.run_until_idle();
    assert_eq!(task.result().unwrap(), ["error: cancelled", "7", "error: cancelled"]);
}

pub(crate) fn t31_a_cancelled_sleep_cancels_its_timer(host: &dyn Host) {
    let scheduler = host.scheduler();
    let task = scheduler.create_task(sleep(Duration::from_secs(3600)));
    let dropped = scheduler.create_task(async {
        let mut rest = pin!(sleep(Duration::from_secs(3600)));
        poll_fn(|context| match rest.as_mut().poll(context) {
            Poll::Pending => Poll::Ready(()),
            Poll::Ready(_) => panic!("it takes an hour"),
        })
        .await;
        Ok(())
    });
    let start = scheduler.time();
    scheduler.call_later(Duration::from_secs(1), {
        let task = task.clone();
        move || assert!(task.cancel())
    });
    host.run_until_idle();
    assert!(task.cancelled() && dropped.result().is_ok());
    assert_eq!(scheduler.time() - start, Duration::from_secs(1), "no timer was left");
}

pub(crate) fn t3_a_yield_is_cancelled(host: &dyn Host) {
    let scheduler = host.scheduler();
    let task: Task<()> = scheduler.create_task(async {
        loop {
            yield_now().await?;
        }
    });
    let busy = task.clone();
    scheduler.call_later(Duration::ZERO, move || assert!(busy.cancel()));
    host.run_until_idle();
    assert!(task.cancelled());
}

pub(crate) fn abort_drops_a_coroutine_that_does_not_answer(host: &dyn Host) {
    let (scheduler, log) = (host.scheduler(), Log::default());
    let guard = Dropped(log.clone(), "dropped");
    let task = scheduler.spawn(async move {
        let _guard = guard;
        loop {
            let _ = sleep(Duration::from_secs(3600)).await;
        }
    });
    let waiting: Task<()> = scheduler.create_task(task.clone());
    scheduler.call_later(Duration::from_secs(1), {
        let (task, log) = (task.clone(), log.clone());
        move || {
            assert!(task.cancel() && task.abort());
            assert!(log.take().is_empty(), "nothing is dropped inside of abort");
        }
    });
    host.run_until_idle();
    assert!(task.cancelled() && !task.abort() && waiting.cancelled());
    assert_eq!(log.take(), ["dropped"]);
}

pub(crate) fn abort_from_inside_takes_effect_after_the_step(host: &dyn Host) {
    let log = Log::default();
    let seen = log.clone();
    let task = host.scheduler().create_task(async move {
        current_task().unwrap().abort();
        seen.add("goes on");
        yield_now().await?;
        seen.add("never");
        Ok(())
    });
    host.run_until_idle();
    assert!(task.cancelled());
    assert_eq!(log.take(), ["goes on"]);
}

pub(crate) fn t22_all_who_wait_see_the_message_and_it_stays(host: &dyn Host) {
    let scheduler = host.scheduler();
    let inner = scheduler.create_task(sleep(Duration::from_secs(3600)));
    let waiters = [(); 2].map(|()| scheduler.create_task(inner.as_future().clone()));
    let cancelled = inner.clone();
    scheduler.call_later(Duration::from_millis(1), move || {
        assert!(cancelled.cancel_with("enough"));
    });
    host.run_until_idle();
    for _ in 0..2 {
        for task in [&inner, &waiters[0], &waiters[1]] {
            assert_eq!(words(&task.result()), "error: cancelled: enough");
        }
    }
}

pub(crate) fn t16_cancelling_tasks_that_wait_for_each_other_ends_them(host: &dyn Host) {
    let scheduler = host.scheduler();
    for length in [2, 3, 10_000] {
        let first = Rc::new(RefCell::new(None::<Task<()>>));
        let later = first.clone();
        let mut chain = scheduler.create_task(async move {
            let first = later.take().expect("it is there by now");
            first.await
        });
        let last = chain.clone();
        for _ in 1..length {
            chain = scheduler.create_task(chain);
        }
        first.replace(Some(chain.clone()));
        host.run_until_idle();
        assert!(!chain.done() && !last.done());
        assert!(chain.cancel_with("enough"));
        assert_eq!((chain.cancelling(), last.cancelling()), (1, 1));
        host.run_until_idle();
        assert!(chain.cancelled() && last.cancelled(), "{length}");
    }
}

pub(crate) fn t16_cancelling_a_task_that_waits_for_itself_through_others_ends_it(host: &dyn Host) {
    let scheduler = host.scheduler();
    let itself = Rc::new(RefCell::new(None::<Task<()>>));
    let later = itself.clone();
    let task = scheduler.create_task(async move {
        let itself = later.take().expect("it is there by now");
        gather([itself]).await.map(drop)
    });
    itself.replace(Some(task.clone()));
    host.run_until_idle();
    assert!(!task.done() && task.cancel());
    host.run_until_idle();
    assert!(task.cancelled());
}

pub(crate) fn t16_cancelling_a_long_chain_uses_no_stack(host: &dyn Host) {
    let scheduler = host.scheduler();
    let last = scheduler.create_future::<()>();
    let mut chain = scheduler.create_task(last.clone());
    for _ in 0..100_000 {
        chain = scheduler.create_task(chain);
    }
    host.run_until_idle();
    assert!(chain.cancel_with("enough"));
    assert!(last.cancelled() && !chain.done(), "it goes through to the end at once");
    host.run_until_idle();
    assert_eq!(words(&chain.result()), "error: cancelled: enough");
}
