//! The first of several.

use super::support::{Dropped, Log, secs, words};
use futures::{
    Exception, Future, SchedulerExt, StaggeredRace, Task, Timeout, TimeoutError, create_task,
    current, current_task, join, race, select, sleep, sleep_until, spawn, staggered_race, timeout,
    yield_now,
};
use std::cell::Cell;
use std::future::pending;
use std::pin::Pin;
use std::time::Duration;
use tulipa_tests::Host;

type Alternative<'a, T> = Pin<Box<dyn std::future::Future<Output = Result<T, Exception>> + 'a>>;

async fn after(seconds: u64, what: &'static str) -> Result<&'static str, Exception> {
    sleep(secs(seconds)).await?;
    Ok(what)
}

/// What `future` gives, in a coroutine around it.
async fn coroutine<T>(
    future: impl std::future::Future<Output = Result<T, Exception>>,
) -> Result<T, Exception> {
    future.await
}

/// A foreign wait.
async fn never() -> Result<(), Exception> {
    pending().await
}

/// Cleans up when it is cancelled, then ends so.
async fn politely(log: &Log) -> Result<&'static str, Exception> {
    let told = sleep(secs(3600)).await;
    log.add(words(&told));
    sleep(secs(5)).await?;
    log.add("cleaned up");
    told.map(|()| "never")
}

pub(crate) fn the_first_wins_and_the_losers_are_waited_for(host: &dyn Host) {
    let (scheduler, log) = (host.scheduler(), Log::default());
    let (seen, clock) = (log.clone(), scheduler.clone());
    let start = scheduler.time();
    let task = scheduler.create_task(async move {
        let guard = Dropped(seen.clone(), "foreign dropped");
        let alternatives: [Alternative<_>; 4] = [
            Box::pin(politely(&seen)),
            Box::pin(after(1, "first")),
            Box::pin(after(2, "second")),
            Box::pin(async {
                let _guard = guard;
                pending().await
            }),
        ];
        let race = race(alternatives).await?;
        seen.add(format!("{} {}", race.winner, race.outcome?));
        assert!(race.late.is_empty());
        assert_eq!(clock.time() - start, secs(6));
        assert_eq!(current_task().unwrap().cancelling(), 0);
        yield_now().await
    });
    host.run_until_idle();
    task.result().unwrap();
    let expected = ["error: cancelled", "foreign dropped", "cleaned up", "1 first"];
    assert_eq!(log.take(), expected);
}

pub(crate) fn what_loses_with_a_value_hands_it_out(host: &dyn Host) {
    let task = host.scheduler().create_task(async {
        let swallowing = |end: Result<&'static str, &'static str>| async move {
            let _ = sleep(secs(3600)).await;
            sleep(secs(1)).await?;
            end.map_err(Exception::msg)
        };
        let alternatives: [Alternative<_>; 4] = [
            Box::pin(swallowing(Ok("late"))),
            Box::pin(async { Err(Exception::msg("failed first")) }),
            Box::pin(swallowing(Ok("never begins"))),
            Box::pin(swallowing(Err("never begins"))),
        ];
        let first = race(alternatives).await?;
        let late = first.late.iter().map(|(index, end)| format!("{index} {}", words(end)));
        let mut told: Vec<String> = late.collect();
        told.push(format!("{} {}", first.winner, words(&first.outcome)));
        let alternatives: [Alternative<_>; 3] = [
            Box::pin(swallowing(Ok("late"))),
            Box::pin(after(1, "won")),
            Box::pin(swallowing(Err("late failure"))),
        ];
        let second = race(alternatives).await?;
        told.extend(second.late.iter().map(|(index, end)| format!("{index} {}", words(end))));
        told.push(format!("{} {}", second.winner, words(&second.outcome)));
        Ok(told)
    });
    host.run_until_idle();
    let expected =
        ["0 \"late\"", "1 error: failed first", "0 \"late\"", "2 error: late failure", "1 \"won\""];
    assert_eq!(task.result().unwrap(), expected);
}

pub(crate) fn of_two_that_end_together_the_first_wins_and_nothing_is_lost(host: &dyn Host) {
    let scheduler = host.scheduler();
    let make = || -> Vec<Future<u32>> { (0..3).map(|_| scheduler.create_future()).collect() };
    let (handles, waits) = (make(), make());
    let done = [handles.clone(), waits.clone()];
    let futures = waits.clone();
    let tasks = [
        // Handles: whatever they stand for comes late.
        scheduler.create_task(async move {
            let race = race(handles).await?;
            let late: Vec<_> = race.late.into_iter().map(|(at, end)| (at, end.unwrap())).collect();
            Ok((race.winner, race.outcome?, late))
        }),
        // Coroutines: what they wait for keeps what it has.
        scheduler.create_task(async move {
            let race = race(waits.into_iter().map(coroutine)).await?;
            assert!(race.late.is_empty());
            Ok((race.winner, race.outcome?, Vec::new()))
        }),
    ];
    scheduler.call_later(secs(1), move || {
        for (futures, value) in done.iter().flat_map(|futures| [(futures, 2), (futures, 1)]) {
            futures[value as usize].set_result(value).unwrap();
        }
    });
    host.run_until_idle();
    assert_eq!(tasks[0].result().unwrap(), (1, 1, vec![(2, 2)]));
    assert_eq!(tasks[1].result().unwrap(), (1, 1, Vec::new()));
    assert!(futures[0].cancelled());
    assert_eq!((futures[1].result().unwrap(), futures[2].result().unwrap()), (1, 2));
}

pub(crate) fn cancelling_the_task_cancels_all_alternatives(host: &dyn Host) {
    let (scheduler, log) = (host.scheduler(), Log::default());
    let seen = log.clone();
    let task: Task<()> = scheduler.create_task(async move {
        let alternatives: [Alternative<_>; 3] =
            [Box::pin(politely(&seen)), Box::pin(after(100, "never")), Box::pin(politely(&seen))];
        let error = race(alternatives).await.unwrap_err();
        seen.add(format!("error: {error}"));
        Err(error)
    });
    let stubborn = scheduler.create_task(async {
        let alternatives: [Alternative<_>; 2] = [
            Box::pin(after(100, "never")),
            Box::pin(async {
                let _ = sleep(secs(3600)).await;
                Ok("in spite of it")
            }),
        ];
        race(alternatives).await?.outcome
    });
    let cancelled = [task.to_ref().unwrap(), stubborn.to_ref().unwrap()];
    scheduler.call_later(secs(1), move || {
        assert!(cancelled.iter().all(|task| task.cancel_with("enough")));
    });
    host.run_until_idle();
    assert!(task.cancelled());
    assert_eq!(stubborn.result().unwrap(), "in spite of it");
    let told = "error: cancelled: enough";
    assert_eq!(log.take(), [told, told, "cleaned up", "cleaned up", told]);
}

pub(crate) fn a_cancellation_that_only_losers_saw_is_not_lost(host: &dyn Host) {
    let (scheduler, log) = (host.scheduler(), Log::default());
    let seen = log.clone();
    let task = scheduler.create_task(async move {
        let alternatives: [Alternative<_>; 2] =
            [Box::pin(politely(&seen)), Box::pin(after(1, "won"))];
        let race = race(alternatives).await?;
        seen.add(words(&race.outcome));
        seen.add(words(&yield_now().await));
        seen.add(words(&yield_now().await));
        Ok(())
    });
    // The winner is known, and the loser is cleaning up.
    scheduler.call_later(secs(3), move || assert!(task.cancel_with("outside")));
    host.run_until_idle();
    let expected = ["error: cancelled", "\"won\"", "error: cancelled: outside", "()"];
    assert_eq!(log.take(), expected);
}

pub(crate) fn t62_a_time_out_beside_another_counts_for_itself(host: &dyn Host) {
    let task = host.scheduler().create_task(async {
        let limited = |cleaning_up: u64| async move {
            let outcome = timeout(secs(1), async {
                let told = sleep(secs(3600)).await;
                sleep(secs(cleaning_up)).await?;
                told
            });
            // Both are expiring at the same time.
            let error = outcome.await.unwrap_err();
            assert!(error.is::<TimeoutError>(), "{error:?}");
            yield_now().await?;
            sleep(secs(10)).await?;
            Ok(cleaning_up)
        };
        let race = race([limited(2), limited(1)]).await?;
        assert_eq!(current_task().unwrap().cancelling(), 0);
        race.outcome
    });
    host.run_until_idle();
    assert_eq!(task.result().unwrap(), 1);
}

pub(crate) fn t63_a_loser_whose_time_is_up_too_still_knows_that_it_lost(host: &dyn Host) {
    let task = host.scheduler().create_task(async {
        let loser = async {
            let limit = Timeout::new(secs(1));
            let outcome = limit.run(sleep(secs(3600))).await;
            assert!(limit.expired());
            let error = outcome.unwrap_err();
            assert!(error.is_cancelled(), "{error:?}");
            Err(error)
        };
        // Cleaning up when the time is up.
        let cleaning_up = async {
            let limit = Timeout::new(secs(2));
            let outcome = limit.run(async {
                let told = sleep(secs(3600)).await;
                let _ = sleep(secs(10)).await;
                told
            });
            let error = outcome.await.unwrap_err();
            assert!(error.is_cancelled() && limit.expired());
            Err(error)
        };
        let alternatives: [Alternative<_>; 3] =
            [Box::pin(after(1, "won")), Box::pin(loser), Box::pin(cleaning_up)];
        let race = race(alternatives).await?;
        assert!(race.late.is_empty());
        race.outcome
    });
    host.run_until_idle();
    assert_eq!(task.result().unwrap(), "won");
}

pub(crate) fn a_race_may_be_dropped_and_may_be_of_nobody(host: &dyn Host) {
    let (scheduler, log) = (host.scheduler(), Log::default());
    let start = scheduler.time();
    let guard = Dropped(log.clone(), "dropped");
    let task = scheduler.create_task(async move {
        let slow = async {
            let _guard = guard;
            after(3600, "never").await
        };
        race([slow]).await?.outcome
    });
    let nobody = scheduler.create_task(async {
        let nobody: [Alternative<()>; 0] = [];
        race(nobody).await?.outcome
    });
    scheduler.call_later(secs(1), move || assert!(task.abort()));
    host.run_until_idle();
    assert_eq!(log.take(), ["dropped"]);
    assert_eq!(words(&nobody.result()), "error: a race of nobody");
    assert_eq!(scheduler.time() - start, secs(1), "no timer was left");
}

pub(crate) fn select_runs_the_arm_of_the_winner(host: &dyn Host) {
    let scheduler = host.scheduler();
    let task = scheduler.create_task(async {
        let mut told = Vec::new();
        let mut buffer = String::new();
        let late = current().time() + secs(5);
        for round in 0..4 {
            // What the futures borrow is free again in the arms.
            let write = async {
                buffer.push('x');
                sleep(secs(2)).await?;
                Ok(buffer.len())
            };
            let ended = select! {
                length = write => buffer.push(match length? { 1 => 'y', _ => 'z' }),
                slept = sleep_until(late) => {
                    slept?;
                    told.push(round.to_string());
                    break;
                }
                _ = never() => unreachable!(),
            };
            ended?;
        }
        told.push(buffer);
        Ok(told)
    });
    host.run_until_idle();
    assert_eq!(task.result().unwrap(), ["2", "xyxzx"]);
}

pub(crate) fn select_hands_out_what_came_late(host: &dyn Host) {
    let scheduler = host.scheduler();
    let (first, second) = (scheduler.create_future::<u32>(), scheduler.create_future::<String>());
    let (one, other) = (first.clone(), second.clone());
    let task = scheduler.create_task(async move {
        let mut told = Vec::new();
        let won = select! {
            number = one => number?.to_string(),
            text = other => text?,
            _ = sleep(secs(3600)) => "never".into(),
            late(number, text, slept) => {
                assert!(number.is_none() && slept.is_none());
                told.push(text.expect("it is done")?);
            }
        };
        told.push(won?);
        Ok(told)
    });
    let (one, other) = (scheduler.create_future::<u32>(), scheduler.create_future::<u32>());
    let waits = (one.clone(), other.clone());
    let careless = scheduler.spawn(async move {
        let (one, other) = waits;
        select! { number = one => number.unwrap(), number = other => number.unwrap() }
    });
    scheduler.call_later(secs(1), move || {
        first.set_result(7).unwrap();
        second.set_result("late".into()).unwrap();
        one.set_result(1).unwrap();
        other.set_result(2).unwrap();
    });
    host.run_until_idle();
    assert_eq!(task.result().unwrap(), ["late", "7"]);
    assert_eq!(careless.take().unwrap().unwrap(), 1);
    let reports = host.take_reports();
    assert_eq!(reports.len(), 1);
    assert!(reports[0].message.contains("select!"), "{}", reports[0].message);
}

pub(crate) fn select_fails_when_the_task_is_cancelled(host: &dyn Host) {
    let scheduler = host.scheduler();
    let task = scheduler.spawn(async {
        let selected = select! {
            _ = sleep(secs(10)) => "one",
            _ = yield_for_ever() => "other",
        };
        words(&selected)
    });
    let cancelled = task.clone();
    scheduler.call_later(Duration::ZERO, move || assert!(cancelled.cancel()));
    host.run_until_idle();
    assert_eq!(task.result().unwrap(), "error: cancelled");
}

async fn yield_for_ever() -> Result<(), Exception> {
    loop {
        yield_now().await?;
    }
}

fn told<T: std::fmt::Debug>(race: &StaggeredRace<T>) -> Vec<String> {
    let words = |exception: &Option<Exception>| match exception {
        Some(exception) => exception.to_string(),
        None => "-".into(),
    };
    race.exceptions.iter().map(words).collect()
}

/// An attempt that takes its time, then succeeds or fails.
async fn attempt(seconds: u64, index: u32, succeeds: bool) -> Result<u32, Exception> {
    sleep(secs(seconds)).await?;
    if succeeds { Ok(index) } else { Err(Exception::msg(format!("{index} failed"))) }
}

pub(crate) fn t88_attempts_begin_by_delay_or_on_failure(host: &dyn Host) {
    let (scheduler, log) = (host.scheduler(), Log::default());
    let seen = log.clone();
    let clock = scheduler.clone();
    let task = scheduler.create_task(async move {
        let start = clock.time();
        let plan = [(100, true), (1, false), (2, true), (1, true)];
        let attempts = (0..).zip(plan).map(|(index, (seconds, succeeds))| {
            let (seen, clock) = (&seen, &clock);
            move || {
                seen.add(format!("{index} at {:?}", clock.time() - start));
                attempt(seconds, index, succeeds)
            }
        });
        let race = staggered_race(attempts, secs(5)).await?;
        assert_eq!(race.winner, Some((2, 2)));
        assert!(race.late.is_empty());
        assert_eq!(clock.time() - start, secs(8));
        Ok(told(&race))
    });
    host.run_until_idle();
    assert_eq!(log.take(), ["0 at 0ns", "1 at 5s", "2 at 6s"]);
    assert_eq!(task.result().unwrap(), ["cancelled", "1 failed", "-"]);
}

pub(crate) fn t88_without_a_delay_only_a_failure_begins_the_next(host: &dyn Host) {
    let scheduler = host.scheduler();
    let start = scheduler.time();
    let task = scheduler.create_task(async {
        let attempts = (0..3).map(|index| move || attempt(10, index, false));
        let race = staggered_race(attempts, None).await?;
        assert!(race.winner.is_none());
        let mut all = told(&race);
        let race = staggered_race([never; 0], None).await?;
        assert!(race.winner.is_none() && race.exceptions.is_empty());
        let attempts = (0..3).map(|index| move || async move { Ok::<_, Exception>(index) });
        let race = staggered_race(attempts, secs(1)).await?;
        assert_eq!(race.winner, Some((0, 0)));
        all.extend(told(&race));
        Ok(all)
    });
    host.run_until_idle();
    assert_eq!(task.result().unwrap(), ["0 failed", "1 failed", "2 failed", "-"]);
    assert_eq!(scheduler.time() - start, secs(30));
}

pub(crate) fn t88_of_two_that_succeed_together_the_first_wins(host: &dyn Host) {
    let scheduler = host.scheduler();
    let futures: Vec<Future<u32>> = (0..3).map(|_| scheduler.create_future()).collect();
    let waits = futures.clone();
    let task = scheduler.create_task(async move {
        let attempts = waits.into_iter().map(|wait| move || wait);
        let race = staggered_race(attempts, secs(1)).await?;
        let exceptions = told(&race);
        Ok((race.winner, race.late, exceptions))
    });
    scheduler.call_later(secs(5), move || {
        futures[2].set_result(2).unwrap();
        futures[1].set_result(1).unwrap();
    });
    host.run_until_idle();
    let (winner, late, exceptions) = task.result().unwrap();
    assert_eq!((winner, late), (Some((1, 1)), vec![(2, 2)]));
    assert_eq!(exceptions, ["cancelled", "-", "-"]);
}

pub(crate) fn t88_cancelling_the_race_cancels_all(host: &dyn Host) {
    let (scheduler, log) = (host.scheduler(), Log::default());
    let start = scheduler.time();
    let seen = log.clone();
    let begun = std::rc::Rc::new(Cell::new(0));
    let count = begun.clone();
    let task = scheduler.create_task(async move {
        let attempts = (0..5).map(|_| {
            || {
                count.set(count.get() + 1);
                politely(&seen)
            }
        });
        staggered_race(attempts, secs(10)).await
    });
    let cancelled = task.clone();
    scheduler.call_later(secs(15), move || assert!(cancelled.cancel_with("enough")));
    host.run_until_idle();
    assert!(task.cancelled() && begun.get() == 2);
    let error = "error: cancelled: enough";
    assert_eq!(log.take(), [error, error, "cleaned up", "cleaned up"]);
    assert_eq!(scheduler.time() - start, secs(20), "no timer was left");
}

pub(crate) fn t10_a_handle_that_cancels_when_it_is_dropped(host: &dyn Host) {
    let scheduler = host.scheduler();
    let task = scheduler.create_task(async {
        let slow = || create_task(sleep(secs(3600)));
        let (dropped, disarmed, aborted) = (slow(), slow(), slow());
        let guard = dropped.clone().cancel_on_drop();
        assert!(!guard.done() && guard.cancelling() == 0);
        drop(guard);
        assert_eq!(dropped.cancelling(), 1);
        assert!(disarmed.clone().cancel_on_drop().disarm().ptr_eq(&disarmed));
        assert_eq!(disarmed.cancelling(), 0);
        disarmed.cancel();
        // With the coroutine that holds it.
        let holder = spawn({
            let guard = aborted.clone().cancel_on_drop();
            coroutine(guard)
        });
        yield_now().await?;
        holder.abort();
        assert!(holder.await.is_err() && aborted.cancelling() == 1);
        let value = spawn(async { 7 }).cancel_on_drop();
        value.await
    });
    host.run_until_idle();
    assert_eq!(task.result().unwrap(), 7);
}

/// The time is up in the same turn in which the task is cancelled, while a loser cleans up: the race and
/// the block end with a value, but the task is still to be told.
pub(crate) fn t12_t64_a_cancellation_that_came_with_a_time_out_is_not_lost(host: &dyn Host) {
    async fn slow() -> Result<(), Exception> {
        let told = sleep(secs(3600)).await;
        let _ = sleep(secs(10)).await;
        told
    }
    async fn slow_failure() -> Result<(), Exception> {
        let _ = slow().await;
        Err(Exception::msg("failed"))
    }
    let scheduler = host.scheduler();
    let tasks = [
        scheduler.create_task(async {
            let raced = timeout(secs(5), async {
                race([0, 3600].map(async |time| if time == 0 { Ok(()) } else { slow().await }))
                    .await?;
                Ok(())
            });
            raced.await?;
            sleep(secs(100)).await
        }),
        scheduler.create_task(async {
            let chosen = timeout(secs(5), async {
                select! { outcome = yield_now() => outcome?, outcome = slow() => outcome? }
            });
            chosen.await?;
            sleep(secs(100)).await
        }),
        scheduler.create_task(async {
            let joined = timeout(secs(5), async {
                let failure = async { Err::<(), _>(Exception::msg("the first")) };
                let _ = join((slow_failure(), failure)).await;
                Ok(())
            });
            joined.await?;
            sleep(secs(100)).await
        }),
    ];
    for task in tasks.clone() {
        scheduler.call_later(secs(5), move || assert!(task.cancel()));
    }
    let start = scheduler.time();
    host.run_until_idle();
    assert!(scheduler.time() - start < secs(100));
    assert!(tasks.iter().all(Task::cancelled), "{tasks:?}");
}
