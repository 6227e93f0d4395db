//! Waiting for something, but not for ever.

use super::support::{Dropped, Log, secs, words};
use futures::{
    Exception, Future, SchedulerExt, Task, TimeoutError, current_task, sleep, spawn, wait_for,
    yield_now,
};
use std::error::Error;
use std::future::pending;
use std::time::Duration;
use tulipa_tests::Host;

fn is_timeout<T>(outcome: &Result<T, Exception>) -> bool {
    outcome.as_ref().is_err_and(Exception::is::<TimeoutError>)
}

pub(crate) fn t39_what_takes_too_long_is_cancelled_and_waited_for(host: &dyn Host) {
    let (scheduler, log) = (host.scheduler(), Log::default());
    let seen = log.clone();
    let slow: Task<()> = scheduler.create_task(async move {
        let told = sleep(secs(3600)).await;
        sleep(secs(10)).await?;
        seen.add("cleaned up");
        told
    });
    let (seen, clock) = (log.clone(), scheduler.clone());
    let start = scheduler.time();
    let waiter = scheduler.create_task(async move {
        let error = wait_for(slow, secs(1)).await.unwrap_err();
        seen.add("timed out");
        let error = error.downcast_ref::<TimeoutError>().unwrap();
        assert!(error.source().is_some());
        assert_eq!(clock.time() - start, secs(11));
        assert_eq!(current_task().unwrap().cancelling(), 0);
        let future: Future<()> = clock.create_future();
        assert!(is_timeout(&wait_for(future.clone(), secs(1)).await));
        assert!(future.cancelled());
        assert!(is_timeout(&wait_for(sleep(secs(3600)), secs(1)).await));
        assert!(is_timeout(&wait_for(pending::<Result<(), Exception>>(), secs(1)).await));
        Ok(())
    });
    host.run_until_idle();
    waiter.result().unwrap();
    assert_eq!(log.take(), ["cleaned up", "timed out"]);
}

pub(crate) fn t39_without_a_limit_it_is_a_plain_await(host: &dyn Host) {
    let scheduler = host.scheduler();
    let task = scheduler.create_task(async {
        let inner = spawn(async { 7 });
        assert_eq!(wait_for(inner, None).await?, 7);
        let here = current_task().unwrap();
        let text = String::from("borrowed");
        let in_place = async {
            sleep(secs(1)).await?;
            assert_eq!(current_task().unwrap(), here);
            Ok(text.len())
        };
        assert_eq!(wait_for(in_place, None).await?, 8);
        assert_eq!(wait_for(async { Ok(text.len()) }, secs(1)).await?, 8);
        wait_for(async { Err::<(), _>(Exception::msg("failed")) }, secs(1)).await
    });
    host.run_until_idle();
    assert_eq!(words(&task.result()), "error: failed");
}

pub(crate) fn t40_at_zero_a_coroutine_is_not_started(host: &dyn Host) {
    let (scheduler, log) = (host.scheduler(), Log::default());
    let (guard, seen) = (Dropped(log.clone(), "dropped"), log.clone());
    let task = scheduler.clone().create_task(async move {
        let coroutine = async {
            seen.add("began");
            drop(guard);
            Ok(())
        };
        assert!(is_timeout(&wait_for(coroutine, Duration::ZERO).await));
        assert_eq!(seen.take(), ["dropped"]);

        // Something that is done gives its outcome.
        let done = scheduler.create_future();
        done.set_result(7).unwrap();
        assert_eq!(wait_for(done, Duration::ZERO).await?, 7);
        let mut ended = scheduler.spawn(async { "ended" });
        yield_now().await?;
        yield_now().await?;
        assert_eq!(wait_for(&mut ended, Duration::ZERO).await?, "ended");

        // Something else is cancelled, and waited for.
        let future: Future<()> = scheduler.create_future();
        assert!(is_timeout(&wait_for(future.clone(), Duration::ZERO).await));
        assert!(future.cancelled());
        let (began, clock) = (seen.clone(), scheduler.clone());
        let mut slow: Task<()> = scheduler.create_task(async move {
            let told = sleep(secs(3600)).await;
            sleep(secs(5)).await?;
            began.add("cleaned up");
            told
        });
        yield_now().await?;
        let before = clock.time();
        assert!(is_timeout(&wait_for(&mut slow, Duration::ZERO).await));
        assert!(slow.cancelled() && clock.time() - before == secs(5));
        let never: Task<()> = scheduler.create_task(sleep(secs(3600)));
        assert!(is_timeout(&wait_for(never.cancel_on_drop(), Duration::ZERO).await));
        Ok(())
    });
    host.run_until_idle();
    task.result().unwrap();
    assert_eq!(log.take(), ["cleaned up"]);
}

pub(crate) fn t41_the_cancelled_one_may_answer_otherwise(host: &dyn Host) {
    let task = host.scheduler().create_task(async {
        let mut told = Vec::new();
        for limit in [secs(1), Duration::ZERO] {
            for end in [Ok("swallowed"), Err("converted")] {
                let task: Task<&str> = futures::create_task(async move {
                    assert!(sleep(secs(3600)).await.is_err());
                    sleep(secs(1)).await?;
                    end.map_err(Exception::msg)
                });
                yield_now().await?;
                told.push(words(&wait_for(task, limit).await));
            }
        }
        Ok(told)
    });
    host.run_until_idle();
    let told = ["\"swallowed\"", "error: converted"];
    assert_eq!(task.result().unwrap(), [told, told].concat());
}

pub(crate) fn t42_a_cancellation_goes_through_and_on(host: &dyn Host) {
    let (scheduler, log) = (host.scheduler(), Log::default());
    let seen = log.clone();
    let inner: Task<()> = scheduler.create_task(async move {
        let told = sleep(secs(3600)).await;
        sleep(secs(5)).await?;
        seen.add("inner ended");
        told
    });
    let (waited, seen) = (inner.clone(), log.clone());
    let waiter: Task<()> = scheduler.create_task(async move {
        let outcome = wait_for(waited, secs(100)).await;
        seen.add(words(&outcome));
        outcome
    });
    let cancelled = waiter.clone();
    scheduler.call_later(secs(1), move || assert!(cancelled.cancel_with("outside")));
    host.run_until_idle();
    assert!(inner.cancelled() && waiter.cancelled());
    assert_eq!(log.take(), ["inner ended", "error: cancelled: outside"]);
}

pub(crate) fn t42_cancelled_as_it_ends_the_value_stays_where_it_was_made(host: &dyn Host) {
    let scheduler = host.scheduler();
    let future = scheduler.create_future::<u32>();
    let inner = scheduler.create_task(future.clone());
    let waits = [
        scheduler.create_task(wait_for(future.clone(), secs(100))),
        scheduler.create_task(wait_for(future.clone(), None)),
    ];
    let waiter = scheduler.create_task(wait_for(inner.clone(), secs(100)));
    host.take_reports();
    let done = future.clone();
    scheduler.call_later(secs(1), move || {
        done.set_result(7).unwrap();
        assert!(waits.iter().all(Task::cancel));
    });
    inner.add_done_callback(move |_| assert!(waiter.cancel()));
    host.run_until_idle();
    assert_eq!((future.result().unwrap(), inner.result().unwrap()), (7, 7));
}

pub(crate) fn t43_done_when_the_waiter_goes_on_is_in_time(host: &dyn Host) {
    let scheduler = host.scheduler();
    let when = scheduler.time() + secs(1);
    for outcome in ["value", "failure", "cancellation"] {
        let future = scheduler.create_future::<u32>();
        let (done, wait) = (future.clone(), future.clone());
        let coroutine = async {
            let outcome = wait.await;
            outcome.inspect(|value| assert_eq!(*value, 7))
        };
        // Armed first, so that it is done when the alarm rings.
        scheduler.call_at(when, move || match outcome {
            "value" => done.set_result(7).unwrap(),
            "failure" => done.set_exception(Exception::msg("failed")).unwrap(),
            _ => assert!(done.cancel()),
        });
        let limited = [
            scheduler.create_task(wait_for(future.clone(), secs(1))),
            scheduler.create_task(wait_for(coroutine, secs(1))),
        ];
        scheduler.call_at(when + secs(5), move || {
            for task in limited {
                let expected = match outcome {
                    "value" => "7",
                    "failure" => "error: failed",
                    _ => "error: cancelled",
                };
                assert_eq!(words(&task.result()), expected);
            }
        });
    }
    host.run_until_idle();
}

pub(crate) fn t43_the_deadline_hits_what_is_not_done_after_its_last_turn(host: &dyn Host) {
    let scheduler = host.scheduler();
    let future = scheduler.create_future::<u32>();
    let (wait, done) = (future.clone(), future.clone());
    scheduler.call_later(secs(1), move || done.set_result(7).unwrap());
    let log = Log::default();
    let (seen, clock) = (log.clone(), scheduler.clone());
    let start = scheduler.time();
    let task = scheduler.create_task(async move {
        let outcome = wait_for(
            async {
                seen.add(words(&wait.await));
                sleep(secs(3600)).await
            },
            secs(1),
        );
        assert!(is_timeout(&outcome.await));
        assert_eq!(clock.time() - start, secs(1));
        Ok(())
    });
    host.run_until_idle();
    task.result().unwrap();
    assert_eq!(log.take(), ["7"]);
}

pub(crate) fn t44_nothing_is_left_behind(host: &dyn Host) {
    let scheduler = host.scheduler();
    let start = scheduler.time();
    let (quick, slow) = (scheduler.create_future::<u32>(), scheduler.create_future::<u32>());
    let quick_wait = quick.clone();
    let task = scheduler.create_task(async move {
        assert_eq!(wait_for(quick_wait, secs(3600)).await?, 7);
        sleep(secs(100)).await
    });
    scheduler.call_later(secs(1), move || quick.set_result(7).unwrap());
    let dropped = scheduler.create_task(wait_for(slow.clone(), secs(3600)));
    scheduler.call_later(secs(2), move || {
        // Hits the sleep, and nothing stale.
        assert!(task.cancel() && dropped.abort());
    });
    host.run_until_idle();
    assert!(!slow.done(), "dropping a wait leaves a future alone");
    assert_eq!(scheduler.time() - start, secs(2), "no timer was left");
}

pub(crate) fn t45_cancelled_by_somebody_else_is_no_time_out(host: &dyn Host) {
    let scheduler = host.scheduler();
    let inner: Task<()> = scheduler.create_task(sleep(secs(3600)));
    let waiter = scheduler.create_task(wait_for(inner.clone(), secs(100)));
    scheduler.call_later(secs(1), move || assert!(inner.cancel_with("by somebody")));
    host.run_until_idle();
    assert_eq!(words(&waiter.result()), "error: cancelled: by somebody");
    assert_eq!(waiter.cancelling(), 0);
}
