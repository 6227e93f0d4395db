//! Limits for a part of a task.

use super::support::{Dropped, Log, secs, words};
use futures::{
    CancelledError, Exception, Future, InvalidStateError, SchedulerExt, Timeout, TimeoutError,
    current, current_task, sleep, timeout, timeout_at, timeout_value, yield_now,
};
use std::error::Error;
use std::future::{pending, poll_fn, ready};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use tulipa_tests::{Host, WakeCounter};

fn is_timeout<T>(outcome: &Result<T, Exception>) -> bool {
    outcome.as_ref().is_err_and(Exception::is::<TimeoutError>)
}

pub(crate) fn t60_limits_end_what_takes_too_long_and_none_is_no_limit(host: &dyn Host) {
    let scheduler = host.scheduler();
    let task = scheduler.clone().create_task(async move {
        let start = scheduler.time();
        let mut words_of = Vec::new();
        assert!(is_timeout(&timeout(secs(1), sleep(secs(3600))).await));
        assert_eq!(scheduler.time() - start, secs(1));
        assert!(is_timeout(&timeout_at(start + secs(3), sleep(secs(3600))).await));
        assert_eq!(scheduler.time() - start, secs(3));
        words_of.push(words(&timeout(secs(2), async { Ok(7) }).await));
        words_of.push(words(&timeout(None, sleep(secs(1))).await));
        words_of.push(words(&timeout_at(None, sleep(secs(1))).await));
        words_of.push(words(&timeout_value(secs(1), ready("foreign")).await));
        assert!(is_timeout(&timeout_value(secs(1), pending::<()>()).await));
        assert_eq!(scheduler.time() - start, secs(6));
        Ok(words_of)
    });
    host.run_until_idle();
    assert_eq!(task.result().unwrap(), ["7", "()", "()", "\"foreign\""]);
}

pub(crate) fn t60_the_limited_part_may_borrow(host: &dyn Host) {
    let task = host.scheduler().create_task(async {
        let mut lines = vec!["first".to_string()];
        timeout(secs(1), async {
            yield_now().await?;
            lines.push("second".into());
            Ok(())
        })
        .await?;
        Ok(lines.join(" "))
    });
    host.run_until_idle();
    assert_eq!(task.result().unwrap(), "first second");
}

pub(crate) fn t61_a_limit_is_entered_once(host: &dyn Host) {
    let task = host.scheduler().create_task(async {
        let limit = Timeout::new(secs(1));
        limit.run(async { Ok(()) }).await?;
        let again = limit.run(async { Ok(()) }).await.unwrap_err();
        assert!(again.is::<InvalidStateError>());
        Ok(again.to_string())
    });
    let never = Timeout::new(secs(1));
    assert!(!never.expired() && never.when().is_none());
    host.run_until_idle();
    assert_eq!(task.result().unwrap(), "cannot enter a time-out that has ended");
}

pub(crate) fn t61_outside_of_a_task_a_limit_works_too(host: &dyn Host) {
    let scheduler = host.scheduler();
    let future: Future<()> = scheduler.create_future();
    let (wait, log) = (future.clone(), Log::default());
    let seen = log.clone();
    // What a foreign executor does, on a loop.
    scheduler.clone().call_soon(move || {
        let (wakes, waker) = WakeCounter::new();
        let mut limited = Box::pin(timeout(secs(1), wait));
        let mut poll = move || limited.as_mut().poll(&mut std::task::Context::from_waker(&waker));
        assert!(current_task().is_none() && poll().is_pending());
        scheduler.call_later(secs(2), move || {
            assert!(wakes.count() > 0);
            match poll() {
                Poll::Ready(outcome) => seen.add(words(&outcome)),
                Poll::Pending => panic!("its time is up"),
            }
        });
    });
    host.run_until_idle();
    assert!(future.cancelled());
    assert!(log.take()[0].contains("timed out"));
}

pub(crate) fn t62_the_cancellation_becomes_a_time_out(host: &dyn Host) {
    let scheduler = host.scheduler();
    let task = scheduler.create_task(async {
        let me = current_task().unwrap();
        let limit = Timeout::new(secs(1));
        let outcome = limit
            .run(async {
                assert_eq!(me.cancelling(), 0);
                let told = sleep(secs(3600)).await.unwrap_err();
                assert!(told.is_cancelled() && limit.expired());
                assert_eq!(me.cancelling(), 1);
                // It may take its time to clean up, and is not cancelled again.
                sleep(secs(10)).await?;
                Err::<(), _>(told)
            })
            .await;
        let error = outcome.unwrap_err();
        assert!(limit.expired() && !error.is_cancelled());
        let error = error.downcast_ref::<TimeoutError>().unwrap();
        let source = error.source().unwrap().downcast_ref::<CancelledError>();
        assert_eq!(source, Some(&CancelledError::new()));
        assert_eq!(me.cancelling(), 0);
        yield_now().await
    });
    host.run_until_idle();
    task.result().unwrap();
}

pub(crate) fn t62_t25_a_foreign_future_is_dropped_at_the_deadline(host: &dyn Host) {
    let log = Log::default();
    let guard = Dropped(log.clone(), "dropped");
    let seen = log.clone();
    let task = host.scheduler().create_task(async move {
        let foreign = async {
            let _guard = guard;
            pending::<()>().await;
            Ok(())
        };
        let outcome = timeout(secs(1), foreign).await;
        assert!(is_timeout(&outcome));
        assert_eq!(current_task().unwrap().cancelling(), 0);
        seen.add("went on");
        yield_now().await
    });
    host.run_until_idle();
    task.result().unwrap();
    assert_eq!(log.take(), ["dropped", "went on"]);
}

pub(crate) fn t62_a_foreign_future_that_is_ready_is_not_dropped(host: &dyn Host) {
    let scheduler = host.scheduler();
    let clock = scheduler.clone();
    let task = scheduler.create_task(async move {
        let when = clock.time() + secs(1);
        // It says nothing when it is ready.
        let foreign = poll_fn(move |_| match clock.time() >= when {
            true => Poll::Ready("just in time"),
            false => Poll::Pending,
        });
        timeout_value(secs(1), foreign).await
    });
    host.run_until_idle();
    assert_eq!(task.result().unwrap(), "just in time");
}

pub(crate) fn t63_a_cancellation_by_somebody_else_passes(host: &dyn Host) {
    let scheduler = host.scheduler();
    let log = Log::default();
    for (who, cancelled_at, limit) in [("before", 1, 2), ("together", 2, 2), ("after", 3, 2)] {
        let seen = log.clone();
        let task = scheduler.create_task(async move {
            let limit = Timeout::new(secs(limit));
            let outcome = limit
                .run(async {
                    let told = sleep(secs(3600)).await;
                    // Cleaning up, until that is disturbed.
                    let _ = sleep(secs(5)).await;
                    told
                })
                .await;
            let count = current_task().unwrap().cancelling();
            seen.add(format!("{who}: {}, {}, {count}", words(&outcome), limit.expired()));
            outcome
        });
        scheduler.call_later(secs(cancelled_at), {
            let task = task.clone();
            move || assert!(task.cancel())
        });
        host.run_until_idle();
        assert!(task.cancelled() && task.cancelling() == 1);
    }
    let told = |who| format!("{who}: error: cancelled, true, 1");
    assert_eq!(log.take(), ["before", "together", "after"].map(told));
}

pub(crate) fn t63_t20_a_request_that_was_taken_back_does_not_count(host: &dyn Host) {
    let scheduler = host.scheduler();
    let task = scheduler.create_task(async {
        let outcome = timeout(secs(2), async {
            assert!(sleep(secs(3600)).await.is_err());
            assert_eq!(current_task().unwrap().uncancel(), 0);
            sleep(secs(3600)).await
        });
        assert!(is_timeout(&outcome.await));
        Ok(())
    });
    let swallowing = scheduler.create_task(async {
        assert!(sleep(secs(3600)).await.is_err());
        // It stands, but it is older than the block.
        assert!(is_timeout(&timeout(secs(2), sleep(secs(3600))).await));
        assert_eq!(current_task().unwrap().cancelling(), 1);
        Ok(())
    });
    for task in [&task, &swallowing] {
        let task = task.clone();
        scheduler.call_later(secs(1), move || assert!(task.cancel()));
    }
    host.run_until_idle();
    task.result().unwrap();
    swallowing.result().unwrap();
}

pub(crate) fn t19_t20_a_request_can_be_called_off_inside_of_a_block_too(host: &dyn Host) {
    let scheduler = host.scheduler();
    let future = scheduler.create_future::<u32>();
    let wait = future.clone();
    let task = scheduler.create_task(timeout(secs(5), timeout(secs(5), wait)));
    host.take_reports();
    let undisturbed = task.clone();
    scheduler.call_later(secs(1), move || {
        future.set_result(7).unwrap();
        // On its way, but not delivered yet.
        assert!(undisturbed.cancel() && undisturbed.cancel());
        assert_eq!((undisturbed.uncancel(), undisturbed.uncancel()), (1, 0));
    });
    host.run_until_idle();
    assert_eq!(task.result().unwrap(), 7);
}

pub(crate) fn t15_t63_a_request_from_before_the_block_is_delivered_in_it(host: &dyn Host) {
    let task = host.scheduler().create_task(async {
        let me = current_task().unwrap();
        me.cancel();
        // Its own time is up as well, but the older request counts.
        let outcome = timeout(Duration::ZERO, sleep(secs(3600))).await;
        assert!(outcome.unwrap_err().is_cancelled());
        me.uncancel();
        me.cancel();
        let hit = timeout(secs(1), sleep(secs(3600))).await;
        assert!(hit.unwrap_err().is_cancelled());
        assert_eq!((me.cancelling(), me.uncancel()), (1, 0));
        yield_now().await
    });
    host.run_until_idle();
    task.result().unwrap();
}

pub(crate) fn t63_a_request_that_the_block_has_not_noticed_goes_on(host: &dyn Host) {
    let scheduler = host.scheduler();
    let future: Future<()> = scheduler.create_future();
    let (wait, log) = (future.clone(), Log::default());
    let seen = log.clone();
    let task = scheduler.create_task(async move {
        // A select of the foreign kind: it ends without looking at the cancelled wait.
        let (mut wait, mut foreign) = (pin!(wait), false);
        let outcome = timeout(
            None,
            poll_fn(|context| {
                if std::mem::replace(&mut foreign, true) {
                    return Poll::Ready(Ok("foreign"));
                }
                assert!(wait.as_mut().poll(context).is_pending());
                Poll::Pending
            }),
        );
        seen.add(words(&outcome.await));
        seen.add(words(&yield_now().await));
        seen.add(words(&yield_now().await));
        Ok(())
    });
    scheduler.call_later(secs(1), move || {
        future.set_result(()).unwrap();
        assert!(task.cancel());
    });
    host.run_until_idle();
    assert_eq!(log.take(), ["\"foreign\"", "error: cancelled", "()"]);
}

pub(crate) fn t64_other_ends_pass_unchanged(host: &dyn Host) {
    let task = host.scheduler().create_task(async {
        let mut told = Vec::new();
        for end in [Ok("swallowed"), Err("failed")] {
            let limit = Timeout::new(secs(1));
            let outcome = limit
                .run(async {
                    assert!(sleep(secs(3600)).await.is_err());
                    end.map_err(Exception::msg)
                })
                .await;
            told.push(format!("{}, {}", words(&outcome), limit.expired()));
        }
        assert_eq!(current_task().unwrap().cancelling(), 0);
        yield_now().await?;
        Ok(told)
    });
    host.run_until_idle();
    assert_eq!(task.result().unwrap(), ["\"swallowed\", true", "error: failed, true"]);
}

pub(crate) fn t64_a_failure_in_time_is_no_time_out(host: &dyn Host) {
    let scheduler = host.scheduler();
    let future: Future<()> = scheduler.create_future();
    let wait = future.clone();
    scheduler.call_later(secs(1), move || assert!(future.cancel_with("by somebody")));
    let task = scheduler.spawn(async move {
        let limit = Timeout::new(secs(2));
        let outcome = limit.run(wait).await;
        format!("{}, {}", words(&outcome), limit.expired())
    });
    host.run_until_idle();
    assert_eq!(task.result().unwrap(), "error: cancelled: by somebody, false");
}

pub(crate) fn t65_a_deadline_that_has_passed_hits_the_first_await(host: &dyn Host) {
    let scheduler = host.scheduler();
    let clock = scheduler.clone();
    let task = scheduler.create_task(async move {
        sleep(secs(5)).await?;
        let past = clock.time() - secs(1);
        for when in [past, clock.time()] {
            let limit = Timeout::at(when);
            limit.run(async { Ok("does not await") }).await?;
            assert!(!limit.expired());
            assert!(is_timeout(&timeout_at(when, yield_now()).await));
            assert!(is_timeout(&timeout(Duration::ZERO, sleep(secs(1))).await));
        }
        assert_eq!(clock.time(), past + secs(1));
        yield_now().await
    });
    host.run_until_idle();
    task.result().unwrap();
}

pub(crate) fn t66_the_deadline_can_be_asked_and_moved(host: &dyn Host) {
    let scheduler = host.scheduler();
    let clock = scheduler.clone();
    let task = scheduler.create_task(async move {
        let start = clock.time();
        let limit = Timeout::new(secs(2));
        assert!(limit.reschedule(start).is_err() && limit.when().is_none());
        let outcome = limit
            .run(async {
                assert_eq!(limit.when(), Some(start + secs(2)));
                sleep(secs(1)).await?;
                limit.reschedule(start + secs(4))?; // later
                sleep(secs(2)).await?;
                limit.reschedule(None)?; // never
                assert_eq!(limit.when(), None);
                sleep(secs(7)).await?;
                limit.reschedule(start + secs(3600))?; // again
                limit.reschedule(start + secs(12))?; // earlier
                sleep(secs(1)).await?;
                limit.reschedule(start)?; // now
                assert!(!limit.expired(), "not before the next iteration");
                let told = sleep(secs(3600)).await;
                assert!(limit.expired());
                let error = limit.reschedule(None).unwrap_err();
                assert!(error.to_string().contains("is expiring"), "{error}");
                told
            })
            .await;
        assert!(is_timeout(&outcome));
        assert_eq!(clock.time() - start, secs(11));
        assert!(limit.reschedule(None).unwrap_err().to_string().contains("has expired"));
        assert_eq!(limit.when(), Some(start));
        Ok(())
    });
    host.run_until_idle();
    task.result().unwrap();
}

pub(crate) fn t66_somebody_else_may_move_the_deadline(host: &dyn Host) {
    let scheduler = host.scheduler();
    let limit = Rc::new(Timeout::new(secs(1)));
    let (running, clock) = (limit.clone(), scheduler.clone());
    let start = scheduler.time();
    let task = scheduler.create_task(async move { running.run(sleep(secs(3600))).await });
    scheduler.call_later(Duration::from_millis(500), move || {
        limit.reschedule(start + secs(7)).unwrap();
    });
    let ended = scheduler.create_task(async move {
        assert!(is_timeout(&task.await));
        Ok(clock.time() - start)
    });
    host.run_until_idle();
    assert_eq!(ended.result().unwrap(), secs(7));
}

pub(crate) fn t67_when_two_expire_together_the_outer_one_reports(host: &dyn Host) {
    let task = host.scheduler().create_task(async {
        let me = current_task().unwrap();
        // Created in either order, around a wait of ours and around a foreign one.
        for (outer, inner) in [(secs(2), secs(1)), (secs(1), secs(1))] {
            let (first, second) = (Timeout::new(outer), Timeout::new(None));
            let outcome = first
                .run(async {
                    // Both deadlines pass while nothing of the task can run.
                    let now = current().time();
                    let hit = second.run(async {
                        second.reschedule(now + inner)?;
                        first.reschedule(now + secs(1))?;
                        let told = sleep(secs(3600)).await;
                        assert_eq!(me.cancelling(), 2);
                        told
                    });
                    let hit = hit.await;
                    assert!(hit.as_ref().is_err_and(Exception::is_cancelled), "{hit:?}");
                    hit
                })
                .await;
            assert!(is_timeout(&outcome) && first.expired() && second.expired());
            let foreign = timeout_value(secs(1), timeout_value(secs(1), pending::<()>())).await;
            assert!(foreign.unwrap().unwrap_err().is_cancelled());
            assert_eq!(me.cancelling(), 0);
        }
        yield_now().await
    });
    host.run_until_idle();
    task.result().unwrap();
}

pub(crate) fn t67_an_inner_one_alone_can_be_caught_between_them(host: &dyn Host) {
    let task = host.scheduler().create_task(async {
        let outer = Timeout::new(secs(10));
        let outcome = outer
            .run(async {
                assert!(is_timeout(&timeout(secs(1), sleep(secs(3600))).await));
                assert_eq!(current_task().unwrap().cancelling(), 0);
                sleep(secs(1)).await?;
                Ok("caught")
            })
            .await;
        assert!(!outer.expired());
        outcome
    });
    let cleaning_up = host.scheduler().create_task(async {
        let outer = Timeout::new(secs(1));
        let outcome = outer.run(async {
            let told = sleep(secs(3600)).await;
            // The clean-up has a limit of its own.
            assert!(is_timeout(&timeout(secs(1), sleep(secs(3600))).await));
            told
        });
        assert!(is_timeout(&outcome.await));
        Ok(())
    });
    host.run_until_idle();
    assert_eq!(task.result().unwrap(), "caught");
    cleaning_up.result().unwrap();
}

pub(crate) fn t68_nothing_fires_after_leaving(host: &dyn Host) {
    let scheduler = host.scheduler();
    let start = scheduler.time();
    let done = scheduler.create_task(timeout(secs(3600), sleep(secs(1))));
    let aborted = scheduler.create_task(timeout(secs(3600), sleep(secs(1800))));
    let expiring = scheduler.create_task(timeout(secs(1), async {
        let _ = sleep(secs(1800)).await;
        sleep(secs(1800)).await
    }));
    let cut_off = scheduler.create_task(async {
        let mut limited = Box::pin(timeout(secs(1), async {
            let _ = sleep(secs(1800)).await;
            sleep(secs(1800)).await
        }));
        poll_fn(|context| match limited.as_mut().poll(context) {
            Poll::Ready(_) => panic!("it takes half an hour"),
            Poll::Pending if current_task().unwrap().cancelling() == 1 => Poll::Ready(()),
            Poll::Pending => Poll::Pending,
        })
        .await;
        drop(limited);
        assert_eq!(current_task().unwrap().cancelling(), 0, "a dropped block takes it back");
        Ok(())
    });
    scheduler.call_later(secs(2), {
        let (aborted, expiring) = (aborted.clone(), expiring.clone());
        move || assert!(aborted.abort() && expiring.abort())
    });
    host.run_until_idle();
    assert!(done.result().is_ok() && aborted.cancelled() && expiring.cancelled());
    assert_eq!(cut_off.result().map_err(|e| e.to_string()), Ok(()));
    assert_eq!(scheduler.time() - start, secs(2), "no timer was left");
}

pub(crate) fn t62_t68_an_iteration_in_which_the_block_ends_is_not_too_late(host: &dyn Host) {
    let scheduler = host.scheduler();
    let future = scheduler.create_future::<u32>();
    let (wait, done) = (future.clone(), future.clone());
    // Armed first, so that it comes first: the value is there when the alarm rings.
    scheduler.call_at(scheduler.time() + secs(1), move || done.set_result(7).unwrap());
    let when = scheduler.time() + secs(1);
    let task = scheduler.spawn(async move {
        let limit = Timeout::at(when);
        let outcome = limit.run(wait).await;
        (is_timeout(&outcome), limit.expired())
    });
    host.run_until_idle();
    assert_eq!(task.result().unwrap(), (true, true), "as in asyncio");
    assert_eq!(future.result().unwrap(), 7, "the value stays where it is");
}

pub(crate) fn w33_a_limit_on_a_future_cancels_it_and_leaves_no_timer(host: &dyn Host) {
    let scheduler = host.scheduler();
    let start = scheduler.time();
    let (late, in_time) = (scheduler.create_future::<u32>(), scheduler.create_future::<u32>());
    let limited = scheduler.create_task(timeout(secs(1), late.clone()));
    let served = scheduler.create_task(timeout(secs(3600), in_time.clone()));
    scheduler.call_later(secs(2), move || in_time.set_result(7).unwrap());
    host.run_until_idle();
    assert!(late.cancelled() && is_timeout(&limited.result()));
    assert_eq!(served.result().unwrap(), 7);
    assert!(scheduler.time() - start < secs(3600));
}
