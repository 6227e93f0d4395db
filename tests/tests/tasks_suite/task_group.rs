//! Task groups.

use super::support::{Dropped, Log, words};
use futures::{
    CancelledError, Exception, ExceptionGroup, PanicError, SchedulerExt, Task, TaskBuilder,
    TaskGroup, current_task, sleep, timeout, yield_now,
};
use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tulipa_tests::Host;

const TITLE: &str = "unhandled errors in a TaskGroup";

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Sleeps, and says how that went.
async fn rest(log: Log, name: &'static str, duration: Duration) -> Result<(), Exception> {
    let outcome = sleep(duration).await;
    log.add(format!("{name}: {}", words(&outcome)));
    outcome
}

/// Fails after a while.
async fn fail(duration: Duration, text: &'static str) -> Result<(), Exception> {
    sleep(duration).await?;
    Err(Exception::msg(text))
}

/// Runs a coroutine to its end.
fn run<T: 'static>(
    host: &dyn Host,
    coroutine: impl Future<Output = Result<T, Exception>> + 'static,
) -> Result<T, Exception> {
    let task = host.scheduler().create_task(coroutine);
    host.run_until_idle();
    assert!(task.done(), "it hangs");
    task.take()
}

fn group_of(exception: &Exception) -> &ExceptionGroup {
    exception.downcast_ref().expect("a group")
}

pub(crate) fn t69_the_scope_ends_when_body_and_members_have(host: &dyn Host) {
    let log = Log::default();
    let (seen, times) = (log.clone(), host.scheduler());
    let outcome = run(host, async move {
        let value = TaskGroup::scope(async |group| {
            group.create_task(rest(seen.clone(), "slow", seconds(2)))?;
            group.create_task(rest(seen.clone(), "fast", seconds(1)))?;
            assert_eq!(group.member_count(), 2);
            seen.add("the body is over");
            Ok(7)
        });
        let value = value.await?;
        seen.add("the scope is over");
        Ok(value)
    });
    assert_eq!(outcome.unwrap(), 7);
    assert_eq!(log.take(), ["the body is over", "fast: ()", "slow: ()", "the scope is over"]);
    assert_eq!(times.time().as_nanos(), seconds(2).as_nanos() as u64);
}

pub(crate) fn t69_an_empty_group_ends_with_its_body(host: &dyn Host) {
    let words_of_it = run(host, async {
        let mut scope = pin!(TaskGroup::scope(async |_| Ok("at once")));
        let mut context = Context::from_waker(Waker::noop());
        match scope.as_mut().poll(&mut context) {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => panic!("nothing is waited for"),
        }
    });
    assert_eq!(words_of_it.unwrap(), "at once");
}

pub(crate) fn t69_a_group_works_inside_of_a_task_only(host: &dyn Host) {
    let (seen, log) = (Log::default(), Log::default());
    let inner = seen.clone();
    host.scheduler().call_soon(move || {
        let mut scope = pin!(TaskGroup::scope(async |_| {
            inner.add("the body runs");
            Ok(())
        }));
        let mut context = Context::from_waker(Waker::noop());
        match scope.as_mut().poll(&mut context) {
            Poll::Ready(outcome) => log.add(words(&outcome)),
            Poll::Pending => panic!("it waits"),
        }
        assert_eq!(log.take(), ["error: a task group works inside of a task only"]);
    });
    host.run_until_idle();
    assert!(seen.take().is_empty());
}

pub(crate) fn t69_a_group_that_has_ended_or_gives_up_refuses(host: &dyn Host) {
    let log = Log::default();
    let seen = log.clone();
    let outcome = run(host, async move {
        let (kept, said) = (Rc::new(RefCell::new(None)), seen.clone());
        let keep = kept.clone();
        let try_one = move |group: &TaskGroup, guard: &'static str| {
            let guard = Dropped(said.clone(), guard);
            let refused = group.create_task(async move {
                drop(guard);
                Ok(())
            });
            said.add(refused.expect_err("it is over").to_string());
            let refused = group.spawn(async {}).expect_err("it is over");
            said.add(refused.to_string());
        };
        let refuse = try_one.clone();
        let scope = TaskGroup::scope(async |group| {
            keep.replace(Some(group.clone()));
            group.create_task(fail(seconds(1), "too bad"))?;
            let told = sleep(seconds(5)).await;
            assert!(told.is_err());
            refuse(group, "dropped while it gives up");
            Ok(())
        });
        let outcome = scope.await;
        let group = kept.take().expect("the body ran");
        try_one(&group, "dropped after the end");
        assert_eq!(group.member_count(), 0);
        assert_eq!(format!("{group:?}"), "TaskGroup(over, 0 members)");
        group.cancel();
        outcome
    });
    assert_eq!(words(&outcome), format!("error: {TITLE} (1): too bad"));
    let giving_up = "the task group is giving up";
    let ended = "the task group has ended";
    let expected = ["dropped while it gives up", giving_up, giving_up];
    assert_eq!(log.take(), [&expected[..], &["dropped after the end", ended, ended]].concat());
}

pub(crate) fn t70_members_may_add_members_after_the_body_has_ended(host: &dyn Host) {
    let log = Log::default();
    let seen = log.clone();
    let outcome = run(host, async move {
        TaskGroup::scope(async |group| {
            let (again, seen) = (group.clone(), seen.clone());
            group.create_task(async move {
                sleep(seconds(1)).await?;
                let (last, seen) = (again.clone(), seen.clone());
                again.create_task(async move {
                    sleep(seconds(1)).await?;
                    last.create_task(rest(seen, "third", seconds(1)))?;
                    Ok(())
                })?;
                Ok(())
            })?;
            Ok("body")
        })
        .await
    });
    assert_eq!(outcome.unwrap(), "body");
    assert_eq!(log.take(), ["third: ()"]);
    assert_eq!(host.scheduler().time().as_nanos(), seconds(3).as_nanos() as u64);
}

pub(crate) fn t70_the_last_member_takes_the_group_with_it(host: &dyn Host) {
    let log = Log::default();
    let seen = log.clone();
    let outcome = run(host, async move {
        TaskGroup::scope(async |group| {
            let last = group.create_task(sleep(seconds(1)))?;
            let (late, seen) = (group.clone(), seen.clone());
            // After the group was told, and before the task that waits for it goes on.
            last.add_done_callback(move |_| {
                let refused = late.spawn(async {}).expect_err("no member runs");
                seen.add(format!("{refused}: {late:?}"));
            });
            Ok(())
        })
        .await
    });
    outcome.unwrap();
    assert_eq!(log.take(), ["the task group has ended: TaskGroup(waiting, 0 members)"]);
}

pub(crate) fn t71_the_first_failure_cancels_the_others_and_the_body(host: &dyn Host) {
    let log = Log::default();
    let seen = log.clone();
    let outcome = run(host, async move {
        let scope = TaskGroup::scope(async |group| {
            group.create_task(rest(seen.clone(), "sibling", seconds(9)))?;
            group.create_task(fail(seconds(1), "boom"))?;
            let cleaning = seen.clone();
            group.create_task(async move {
                let told = sleep(seconds(9)).await;
                sleep(seconds(2)).await?;
                cleaning.add("cleaned up");
                told
            })?;
            rest(seen.clone(), "body", seconds(9)).await
        });
        let outcome = scope.await;
        seen.add("over");
        outcome
    });
    let exception = outcome.unwrap_err();
    assert_eq!(exception.to_string(), format!("{TITLE} (1): boom"));
    assert!(!exception.is_cancelled());
    let cancelled = ["sibling: error: cancelled", "body: error: cancelled"];
    assert_eq!(log.take(), [&cancelled[..], &["cleaned up", "over"]].concat());
    assert_eq!(host.scheduler().time().as_nanos(), seconds(3).as_nanos() as u64);
}

pub(crate) fn t71_a_failure_while_only_members_are_waited_for_cancels_the_rest(host: &dyn Host) {
    let log = Log::default();
    let seen = log.clone();
    let outcome = run(host, async move {
        TaskGroup::scope(async |group| {
            group.create_task(rest(seen.clone(), "sibling", seconds(9)))?;
            group.create_task(fail(seconds(1), "boom"))?;
            Ok("lost")
        })
        .await
    });
    assert_eq!(words(&outcome), format!("error: {TITLE} (1): boom"));
    assert_eq!(log.take(), ["sibling: error: cancelled"]);
}

pub(crate) fn t71_all_failures_are_in_the_group_in_their_order(host: &dyn Host) {
    let outcome: Result<(), _> = run(host, async {
        TaskGroup::scope(async |group| {
            for (delay, text) in [(2, "second"), (1, "first"), (2, "third")] {
                group.create_task(async move {
                    // These do not let themselves be kept from failing.
                    let _ = sleep(seconds(delay)).await;
                    Err::<(), _>(Exception::msg(text))
                })?;
            }
            Ok(())
        })
        .await
    });
    let exception = outcome.unwrap_err();
    let texts: Vec<_> = group_of(&exception).iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["first", "second", "third"]);
    assert_eq!(group_of(&exception).message(), TITLE);
}

pub(crate) fn t71_the_body_may_swallow_the_cancellation_but_not_the_failure(host: &dyn Host) {
    let outcome = run(host, async {
        TaskGroup::scope(async |group| {
            group.create_task(fail(seconds(1), "boom"))?;
            assert!(sleep(seconds(9)).await.is_err());
            sleep(seconds(1)).await?; // it is cancelled once
            Ok("went on")
        })
        .await
    });
    assert_eq!(words(&outcome), format!("error: {TITLE} (1): boom"));
}

pub(crate) fn t71_a_body_that_waits_for_a_foreign_future_is_dropped(host: &dyn Host) {
    let log = Log::default();
    let seen = log.clone();
    let outcome: Result<(), _> = run(host, async move {
        TaskGroup::scope(async |group| {
            let _guard = Dropped(seen.clone(), "the body is dropped");
            group.create_task(fail(seconds(1), "boom"))?;
            pending().await
        })
        .await
    });
    assert_eq!(words(&outcome), format!("error: {TITLE} (1): boom"));
    assert_eq!(log.take(), ["the body is dropped"]);
}

pub(crate) fn t71_panics_are_failures_like_any(host: &dyn Host) {
    let outcome: Result<(), _> = run(host, async {
        TaskGroup::scope(async |group| {
            group.spawn(async { panic!("a member panics") })?;
            let told = sleep(seconds(9)).await;
            assert!(told.is_ok(), "the body panics");
            Ok(())
        })
        .await
    });
    let exception = outcome.unwrap_err();
    let panics: Vec<_> = group_of(&exception)
        .iter()
        .map(|exception| exception.downcast_ref::<PanicError>().unwrap().message().to_owned())
        .collect();
    assert_eq!(panics, ["a member panics", "the body panics"]);
}

pub(crate) fn t72_when_the_body_fails_the_members_are_cancelled_and_awaited(host: &dyn Host) {
    let log = Log::default();
    let seen = log.clone();
    let outcome: Result<(), _> = run(host, async move {
        TaskGroup::scope(async |group| {
            group.create_task(rest(seen.clone(), "member", seconds(9)))?;
            group.create_task(async {
                let told = sleep(seconds(9)).await;
                sleep(seconds(1)).await?;
                told.map_err(|_| Exception::msg("failed while cancelled"))
            })?;
            sleep(seconds(1)).await?;
            Err(Exception::msg("the body failed"))
        })
        .await
    });
    let texts = "failed while cancelled; the body failed";
    assert_eq!(words(&outcome), format!("error: {TITLE} (2): {texts}"));
    assert_eq!(log.take(), ["member: error: cancelled"]);
    assert_eq!(host.scheduler().time().as_nanos(), seconds(2).as_nanos() as u64);
}

pub(crate) fn t72_a_body_that_panics_waits_for_its_members(host: &dyn Host) {
    let log = Log::default();
    let seen = log.clone();
    let outcome: Result<(), _> = run(host, async move {
        let outcome = TaskGroup::scope(async |group| {
            group.create_task(rest(seen.clone(), "member", seconds(9)))?;
            yield_now().await?;
            panic!("the body panics")
        });
        let outcome = outcome.await;
        seen.add("over");
        outcome
    });
    assert_eq!(words(&outcome), format!("error: {TITLE} (1): panicked: the body panics"));
    assert_eq!(log.take(), ["member: error: cancelled", "over"]);
}

pub(crate) fn t73_a_member_that_is_only_cancelled_ends_nothing(host: &dyn Host) {
    let log = Log::default();
    let seen = log.clone();
    let outcome = run(host, async move {
        TaskGroup::scope(async |group| {
            let victim = group.create_task(rest(seen.clone(), "victim", seconds(9)))?;
            group.create_task(rest(seen.clone(), "sibling", seconds(2)))?;
            let raising = async { Err::<(), _>(CancelledError::new().into()) };
            group.create_task(raising)?;
            sleep(seconds(1)).await?;
            victim.cancel();
            sleep(seconds(3)).await?;
            Ok("the body went on")
        })
        .await
    });
    assert_eq!(outcome.unwrap(), "the body went on");
    assert_eq!(log.take(), ["victim: error: cancelled", "sibling: ()"]);
}

/// A task with a group whose member takes a second to clean up, and what the task saw.
fn group_to_be_cancelled(host: &dyn Host, log: &Log, body_waits: bool) -> Task<()> {
    let seen = log.clone();
    host.scheduler().create_task(async move {
        let scope = TaskGroup::scope(async |group| {
            let cleaning = seen.clone();
            group.create_task(async move {
                let told = sleep(seconds(9)).await;
                cleaning.add(format!("member: {}", words(&told)));
                let cleaned_up = sleep(seconds(1)).await;
                cleaning.add(format!("clean-up: {}", words(&cleaned_up)));
                told
            })?;
            match body_waits {
                true => rest(seen.clone(), "body", seconds(9)).await,
                false => Ok(()),
            }
        });
        let outcome = scope.await;
        let requests = current_task().expect("in a task").cancelling();
        seen.add(format!("{} with {requests} requests", words(&outcome)));
        outcome
    })
}

pub(crate) fn t74_a_cancellation_from_outside_reaches_body_and_members(host: &dyn Host) {
    let log = Log::default();
    let task = group_to_be_cancelled(host, &log, true);
    let cancelled = task.clone();
    host.scheduler().call_later(seconds(1), move || assert!(cancelled.cancel_with("enough")));
    host.run_until_idle();
    assert!(task.cancelled());
    let body = "body: error: cancelled: enough";
    let end = "error: cancelled: enough with 1 requests";
    assert_eq!(log.take(), [body, "member: error: cancelled", "clean-up: ()", end]);
}

pub(crate) fn t74_t76_further_cancellations_do_not_cut_the_waiting_short(host: &dyn Host) {
    let log = Log::default();
    let task = group_to_be_cancelled(host, &log, false);
    for milliseconds in [1000, 1300, 1600] {
        let task = task.clone();
        let when = Duration::from_millis(milliseconds);
        host.scheduler().call_later(when, move || assert!(task.cancel_with("enough")));
    }
    host.run_until_idle();
    assert!(task.cancelled());
    // T-81: the clean-up is not cancelled again.
    let end = "error: cancelled: enough with 3 requests";
    assert_eq!(log.take(), ["member: error: cancelled", "clean-up: ()", end]);
    assert_eq!(host.scheduler().time().as_nanos(), seconds(2).as_nanos() as u64);
}

pub(crate) fn t74_when_members_fail_too_the_request_is_kept_for_the_next_wait(host: &dyn Host) {
    for body_waits in [true, false] {
        let log = Log::default();
        let seen = log.clone();
        let task = host.scheduler().create_task(async move {
            let scope = TaskGroup::scope(async |group| {
                group.create_task(async {
                    let told = sleep(seconds(9)).await;
                    told.map_err(|_| Exception::msg("fails when it is cancelled"))
                })?;
                match body_waits {
                    true => sleep(seconds(9)).await,
                    false => Ok(()),
                }
            });
            let outcome = scope.await;
            seen.add(words(&outcome));
            let this = current_task().expect("in a task");
            assert_eq!(this.cancelling(), 1);
            seen.add(words(&sleep(seconds(5)).await));
            seen.add(words(&sleep(seconds(5)).await));
            assert_eq!((this.cancelling(), this.uncancel()), (1, 0));
            Ok(())
        });
        let cancelled = task.clone();
        host.scheduler().call_later(seconds(1), move || assert!(cancelled.cancel_with("enough")));
        host.run_until_idle();
        assert!(task.result().is_ok());
        let group = format!("error: {TITLE} (1): fails when it is cancelled");
        assert_eq!(log.take(), [&group, "error: cancelled: enough", "()"]);
    }
}

pub(crate) fn t74_a_request_that_was_taken_back_is_not_renewed(host: &dyn Host) {
    let log = Log::default();
    let seen = log.clone();
    let task = host.scheduler().create_task(async move {
        let scope = TaskGroup::scope(async |_| {
            assert!(sleep(seconds(9)).await.is_err());
            assert_eq!(current_task().expect("in a task").uncancel(), 0);
            Err::<(), _>(Exception::msg("something else"))
        });
        seen.add(words(&scope.await));
        sleep(seconds(1)).await
    });
    let cancelled = task.clone();
    host.scheduler().call_later(seconds(1), move || assert!(cancelled.cancel()));
    host.run_until_idle();
    assert!(task.result().is_ok(), "the next wait is left alone");
    assert_eq!(log.take(), [format!("error: {TITLE} (1): something else")]);
}

pub(crate) fn t74_a_request_that_the_body_did_not_notice_is_not_lost(host: &dyn Host) {
    // The body waits for ours and for a foreign future, which is done in the iteration of the request.
    for with_member in [true, false] {
        let log = Log::default();
        let (seen, ready) = (log.clone(), Rc::new(Cell::new(None::<Waker>)));
        let waker = ready.clone();
        let task = host.scheduler().create_task(async move {
            let scope = TaskGroup::scope(async |group| {
                if with_member {
                    group.create_task(rest(seen.clone(), "member", seconds(9)))?;
                }
                let mut turns = pin!(yield_now());
                let mut polls = 0;
                poll_fn(|context| {
                    polls += 1;
                    waker.set(Some(context.waker().clone()));
                    match polls {
                        1 => turns.as_mut().poll(context).map(|_| ()),
                        _ => Poll::Ready(()),
                    }
                })
                .await;
                Ok("value")
            });
            seen.add(words(&scope.await));
            seen.add(words(&yield_now().await));
            Ok(())
        });
        let cancelled = task.clone();
        host.scheduler().call_soon(move || {
            assert!(cancelled.cancel());
            ready.take().expect("it waits").wake();
        });
        host.run_until_idle();
        assert!(task.done());
        match with_member {
            true => assert_eq!(log.take(), ["member: error: cancelled", "error: cancelled", "()"]),
            false => assert_eq!(log.take(), ["\"value\"", "error: cancelled"]),
        }
    }
}

pub(crate) fn t75_a_failure_leaves_the_count_of_requests_alone(host: &dyn Host) {
    let outcome = run(host, async {
        let this = current_task().expect("in a task");
        for requests in 0..3 {
            assert_eq!(this.cancelling(), requests);
            let scope = TaskGroup::scope(async |group| {
                group.create_task(fail(seconds(1), "boom"))?;
                sleep(seconds(9)).await
            });
            assert!(scope.await.is_err());
            assert_eq!(this.cancelling(), requests);
            sleep(seconds(1)).await?; // no cancellation is left
            this.cancel();
            assert!(yield_now().await.is_err(), "a request that is never taken back");
        }
        Ok(())
    });
    outcome.unwrap();
}

pub(crate) fn t78_nested_groups_give_nested_failures(host: &dyn Host) {
    let outcome: Result<(), _> = run(host, async {
        let this = current_task().expect("in a task");
        let outcome = TaskGroup::scope(async |outer| {
            outer.create_task(fail(seconds(1), "outer member"))?;
            TaskGroup::scope(async |inner| {
                inner.create_task(async {
                    let told = sleep(seconds(9)).await;
                    told.map_err(|_| Exception::msg("inner member"))
                })?;
                sleep(seconds(9)).await
            })
            .await
        });
        let outcome = outcome.await;
        assert_eq!(this.cancelling(), 0);
        sleep(seconds(1)).await?;
        outcome
    });
    let inner = format!("[{TITLE} (1): inner member]");
    assert_eq!(words(&outcome), format!("error: {TITLE} (2): outer member; {inner}"));
}

pub(crate) fn t78_an_inner_failure_can_be_caught_between_two_groups(host: &dyn Host) {
    let outcome = run(host, async {
        TaskGroup::scope(async |outer| {
            let survivor = outer.create_task(async {
                sleep(seconds(5)).await?;
                Ok("survived")
            })?;
            let inner = TaskGroup::scope(async |inner| {
                inner.create_task(fail(seconds(1), "inner"))?;
                sleep(seconds(9)).await
            });
            assert!(inner.await.is_err());
            sleep(seconds(1)).await?;
            survivor.await
        })
        .await
    });
    assert_eq!(outcome.unwrap(), "survived");
}

pub(crate) fn t78_a_cancellation_from_outside_goes_through_both_groups(host: &dyn Host) {
    let log = Log::default();
    let seen = log.clone();
    let task = host.scheduler().create_task(async move {
        let outcome = TaskGroup::scope(async |outer| {
            outer.create_task(rest(seen.clone(), "outer member", seconds(9)))?;
            let inner = TaskGroup::scope(async |inner| {
                inner.create_task(async {
                    let told = sleep(seconds(9)).await;
                    told.map_err(|_| Exception::msg("fails when it is cancelled"))
                })?;
                sleep(seconds(9)).await
            });
            let outcome = inner.await;
            seen.add(words(&outcome));
            // The request is kept for this wait of the outer body.
            seen.add(words(&sleep(seconds(1)).await));
            outcome
        });
        let outcome = outcome.await;
        assert_eq!(current_task().expect("in a task").cancelling(), 1);
        seen.add(words(&yield_now().await));
        outcome
    });
    let cancelled = task.clone();
    host.scheduler().call_later(seconds(1), move || assert!(cancelled.cancel()));
    host.run_until_idle();
    let inner = format!("{TITLE} (1): fails when it is cancelled");
    let all = format!("error: {TITLE} (1): [{inner}]");
    assert_eq!(words(&task.result()), all);
    let expected =
        [&format!("error: {inner}"), "error: cancelled", "outer member: error: cancelled"];
    assert_eq!(log.take(), [&expected[..], &["error: cancelled"]].concat());
}

pub(crate) fn t79_members_that_have_ended_are_forgotten(host: &dyn Host) {
    let outcome = run(host, async {
        TaskGroup::scope(async |group| {
            for _ in 0..1000 {
                let kept = Rc::new(());
                let alive = Rc::downgrade(&kept);
                group.spawn(async move { drop(kept) })?;
                assert!(group.member_count() <= 3);
                yield_now().await?;
                yield_now().await?;
                assert!(alive.upgrade().is_none());
            }
            yield_now().await?;
            Ok(group.member_count())
        })
        .await
    });
    assert_eq!(outcome.unwrap(), 0);
}

pub(crate) fn t80_a_group_can_be_ended_early_by_a_member(host: &dyn Host) {
    let log = Log::default();
    let seen = log.clone();
    let outcome = run(host, async move {
        let scope = TaskGroup::cancellable_scope(async |group| {
            let found = group.clone();
            group.create_task(rest(seen.clone(), "sibling", seconds(9)))?;
            group.create_task(async move {
                sleep(seconds(1)).await?;
                found.cancel();
                found.cancel();
                Ok(())
            })?;
            rest(seen.clone(), "body", seconds(9)).await
        });
        let outcome = scope.await;
        assert_eq!(current_task().expect("in a task").cancelling(), 0);
        sleep(seconds(1)).await?;
        outcome
    });
    assert_eq!(outcome.unwrap(), None);
    assert_eq!(log.take(), ["sibling: error: cancelled", "body: error: cancelled"]);
}

pub(crate) fn t80_a_group_that_its_body_ends_has_the_bodys_value(host: &dyn Host) {
    let log = Log::default();
    let seen = log.clone();
    let outcome = run(host, async move {
        TaskGroup::scope(async |group| {
            group.create_task(rest(seen.clone(), "member", seconds(9)))?;
            sleep(seconds(1)).await?;
            group.cancel();
            Ok("value")
        })
        .await
    });
    assert_eq!(outcome.unwrap(), "value");
    assert_eq!(log.take(), ["member: error: cancelled"]);
    let cut_short = run(host, async {
        TaskGroup::scope(async |group| {
            group.cancel();
            sleep(seconds(1)).await
        })
        .await
    });
    assert_eq!(words(&cut_short), "error: cancelled: the task group was cancelled");
}

pub(crate) fn t80_a_group_that_is_ended_early_keeps_failures(host: &dyn Host) {
    let outcome: Result<Option<()>, _> = run(host, async {
        TaskGroup::cancellable_scope(async |group| {
            group.create_task(async {
                let told = sleep(seconds(9)).await;
                told.map_err(|_| Exception::msg("cannot clean up"))
            })?;
            yield_now().await?;
            group.cancel();
            sleep(seconds(1)).await
        })
        .await
    });
    assert_eq!(words(&outcome), format!("error: {TITLE} (1): cannot clean up"));
}

pub(crate) fn t80_a_cancellation_from_outside_beats_an_early_end(host: &dyn Host) {
    let task = host.scheduler().create_task(async {
        let scope = TaskGroup::cancellable_scope(async |group| {
            group.create_task(async {
                let told = sleep(seconds(9)).await;
                sleep(seconds(3)).await?;
                told
            })?;
            sleep(seconds(1)).await?;
            group.cancel();
            sleep(seconds(9)).await
        });
        scope.await
    });
    let cancelled = task.clone();
    host.scheduler().call_later(seconds(2), move || assert!(cancelled.cancel_with("outside")));
    host.run_until_idle();
    assert_eq!(words(&task.take()), "error: cancelled: outside");
}

pub(crate) fn t80_a_body_that_is_cancelled_by_both_is_cancelled_from_outside(host: &dyn Host) {
    let task = host.scheduler().create_task(async {
        let scope = TaskGroup::cancellable_scope(async |group| {
            group.cancel();
            let told = sleep(seconds(9)).await;
            assert_eq!(words(&told), "error: cancelled");
            sleep(seconds(9)).await
        });
        scope.await
    });
    let cancelled = task.clone();
    host.scheduler().call_later(seconds(2), move || assert!(cancelled.cancel_with("outside")));
    host.run_until_idle();
    assert_eq!(words(&task.take()), "error: cancelled: outside");
}

pub(crate) fn t81_a_clean_up_that_awaits_is_not_cancelled_again(host: &dyn Host) {
    let log = Log::default();
    let seen = log.clone();
    let outcome: Result<(), _> = run(host, async move {
        TaskGroup::scope(async |group| {
            let cleaning = seen.clone();
            group.create_task(async move {
                let told = sleep(seconds(9)).await;
                for _ in 0..3 {
                    sleep(seconds(1)).await?;
                }
                cleaning.add("cleaned up");
                told
            })?;
            group.create_task(fail(seconds(1), "first"))?;
            group.create_task(async {
                let _ = sleep(seconds(9)).await;
                fail(seconds(1), "second").await
            })?;
            Ok(())
        })
        .await
    });
    assert_eq!(words(&outcome), format!("error: {TITLE} (2): first; second"));
    assert_eq!(log.take(), ["cleaned up"]);
}

pub(crate) fn t30_an_eager_failure_does_not_end_the_body_at_once(host: &dyn Host) {
    let log = Log::default();
    let seen = log.clone();
    let outcome: Result<(), _> = run(host, async move {
        TaskGroup::scope(async |group| {
            let eager = TaskBuilder::new().name("eager").eager();
            let failed = group.create_task_with(eager, async {
                Err::<(), _>(Exception::msg("failed eagerly"))
            })?;
            assert!(failed.done() && &*failed.name() == "eager");
            group.create_task(rest(seen.clone(), "second", seconds(1)))?;
            seen.add("the body goes on");
            yield_now().await?;
            yield_now().await
        })
        .await
    });
    assert_eq!(words(&outcome), format!("error: {TITLE} (1): failed eagerly"));
    // The second was cancelled before its first step.
    assert_eq!(log.take(), ["the body goes on"]);
}

pub(crate) fn t80_an_eager_member_may_end_the_group_in_its_first_step(host: &dyn Host) {
    let log = Log::default();
    let seen = log.clone();
    let outcome = run(host, async move {
        TaskGroup::cancellable_scope(async |group| {
            let own = group.clone();
            let (eager, seen) = (TaskBuilder::new().eager(), seen.clone());
            group.create_task_with(eager, async move {
                own.cancel();
                rest(seen, "member", seconds(9)).await
            })?;
            sleep(seconds(9)).await
        })
        .await
    });
    assert_eq!(outcome.unwrap(), None);
    assert_eq!(log.take(), ["member: error: cancelled"]);
}

pub(crate) fn a_scope_that_is_dropped_cancels_its_members(host: &dyn Host) {
    let log = Log::default();
    let seen = log.clone();
    let task = host.scheduler().create_task(async move {
        let scope = TaskGroup::scope(async |group| {
            let cleaning = seen.clone();
            group.create_task(async move {
                let told = sleep(seconds(9)).await;
                sleep(seconds(1)).await?;
                cleaning.add("cleaned up");
                told
            })?;
            group.create_task(async {
                let told = sleep(seconds(9)).await;
                told.map_err(|_| Exception::msg("nobody hears of it"))
            })?;
            sleep(seconds(9)).await
        });
        scope.await
    });
    let aborted = task.clone();
    host.scheduler().call_later(seconds(1), move || assert!(aborted.abort()));
    host.run_until_idle();
    assert!(task.cancelled());
    assert_eq!(log.take(), ["cleaned up"]);
    let reports = host.take_reports();
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].exception.as_ref().unwrap().to_string(), "nobody hears of it");
}

pub(crate) fn t71_the_body_may_borrow_from_around_it(host: &dyn Host) {
    let outcome = run(host, async {
        let mut collected = Vec::new();
        TaskGroup::scope(async |group| {
            let tasks: Vec<_> =
                (0..3).map(|n| group.spawn(async move { n * n })).collect::<Result<_, _>>()?;
            for task in tasks {
                collected.push(task.await?);
            }
            Ok(())
        })
        .await?;
        Ok(collected)
    });
    assert_eq!(outcome.unwrap(), [0, 1, 4]);
}

pub(crate) fn l26_a_group_ends_with_its_loop(host: &dyn Host) {
    let log = Log::default();
    let seen = log.clone();
    let task = host.scheduler().create_task(async move {
        TaskGroup::scope(async |group| {
            let (guard, kept) = (Dropped(seen.clone(), "member"), group.clone());
            group.spawn(async move {
                let _guard = guard;
                pending::<()>().await;
                kept.cancel();
            })?;
            let _guard = Dropped(seen.clone(), "body");
            pending::<Result<(), Exception>>().await
        })
        .await
    });
    host.run_until_idle();
    host.close();
    assert!(task.cancelled());
    let mut dropped = log.take();
    dropped.sort();
    assert_eq!(dropped, ["body", "member"]);
    let reports = host.take_reports();
    let destroyed = "task was destroyed but it is pending";
    assert!(reports.iter().all(|report| report.message == destroyed), "{reports:?}");
}

/// The time is up while a cancelled group waits for a member that cleans up and fails: the block may
/// deal with the failure, but the task is still to be told.
pub(crate) fn t64_t74_a_cancellation_before_a_time_out_is_not_lost_with_a_group(host: &dyn Host) {
    let scheduler = host.scheduler();
    let start = scheduler.time();
    for body_waits in [true, false] {
        let task = scheduler.create_task(async move {
            let limited = timeout(seconds(5), async {
                let group = TaskGroup::scope(async |group| {
                    group.create_task(async {
                        let _ = sleep(seconds(3600)).await;
                        sleep(seconds(10)).await?;
                        Err::<(), _>(Exception::msg("failed"))
                    })?;
                    if body_waits {
                        sleep(seconds(3600)).await?;
                    }
                    Ok(())
                });
                assert_eq!(group_of(&group.await.unwrap_err()).exceptions().len(), 1);
                Ok(())
            });
            limited.await?;
            sleep(seconds(100)).await
        });
        let cancelled = task.clone();
        scheduler.call_later(seconds(3), move || assert!(cancelled.cancel()));
        host.run_until_idle();
        assert!(task.cancelled(), "{task:?}");
    }
    assert!(scheduler.time() - start < seconds(100));
}
