//! `as_completed`: futures in the order in which they are done.

use super::support::{Log, words};
use futures::{
    AsCompleted, Exception, Future, SchedulerExt, Task, TimeoutError, as_completed, sleep,
    yield_now,
};
use std::rc::Rc;
use std::time::Duration;
use tulipa_tests::Host;

const SECOND: Duration = Duration::from_secs(1);

fn futures_of(host: &dyn Host, count: usize) -> Vec<Future<u32>> {
    (0..count).map(|_| host.scheduler().create_future()).collect()
}

/// All items in words.
async fn all(mut completed: AsCompleted<u32>) -> Vec<String> {
    let mut items = Vec::new();
    while let Some(item) = completed.next().await {
        items.push(words(&item.and_then(|future| future.result())));
    }
    items
}

pub(crate) fn t56_each_comes_once_in_the_order_of_completion(host: &dyn Host) {
    let futures = futures_of(host, 3);
    let twice = futures.iter().chain(&futures).cloned();
    futures[1].set_result(1).unwrap();
    let mut completed = as_completed(twice.collect::<Vec<_>>(), None);
    assert_eq!(completed.remaining(), 3);
    let given = futures.clone();
    let task = host.scheduler().spawn(async move {
        let first = completed.next().await.unwrap().unwrap();
        assert!(first.ptr_eq(&given[1]) && first.done());
        all(completed).await
    });
    host.run_until_idle();
    futures[2].set_exception(Exception::msg("failed")).unwrap();
    futures[0].cancel();
    host.run_until_idle();
    assert_eq!(task.result().unwrap(), ["error: failed", "error: cancelled"]);
}

pub(crate) fn t56_those_that_are_done_come_first_and_without_waiting(host: &dyn Host) {
    let (scheduler, log, futures) = (host.scheduler(), Log::default(), futures_of(host, 3));
    futures[2].set_result(2).unwrap();
    futures[1].set_result(1).unwrap();
    let (seen, given) = (log.clone(), futures.clone());
    scheduler.clone().spawn(async move {
        let marks = seen.clone();
        scheduler.call_soon(move || marks.add("next turn"));
        let mut completed = as_completed(given, None);
        for _ in 0..2 {
            seen.add(words(&completed.next().await.unwrap().unwrap().result()));
        }
    });
    host.run_until_idle();
    assert_eq!(log.take(), ["1", "2", "next turn"]);
}

pub(crate) fn t57_who_asked_first_is_served_first(host: &dyn Host) {
    let (scheduler, log, futures) = (host.scheduler(), Log::default(), futures_of(host, 3));
    let tickets: Vec<_> = as_completed(futures.clone(), None).into_iter().collect();
    assert_eq!(tickets.len(), 3);
    // The last ticket begins to wait first.
    for (number, ticket) in tickets.into_iter().enumerate().rev() {
        let seen = log.clone();
        scheduler.create_task(async move {
            let future = ticket.await?;
            seen.add(format!("ticket {number} got {}", future.result()?));
            Ok(())
        });
    }
    host.run_until_idle();
    for index in [1, 0, 2] {
        futures[index].set_result(index as u32).unwrap();
    }
    host.run_until_idle();
    assert_eq!(log.take(), ["ticket 2 got 1", "ticket 1 got 0", "ticket 0 got 2"]);
}

pub(crate) fn t57_a_ticket_that_is_given_up_loses_nothing(host: &dyn Host) {
    let (scheduler, futures) = (host.scheduler(), futures_of(host, 2));
    let mut completed = as_completed(futures.clone(), None);
    let tickets = [(); 2].map(|()| completed.ticket().unwrap());
    assert!(completed.ticket().is_none());
    let waits = tickets.map(|ticket| scheduler.create_task(ticket));
    host.run_until_idle();
    waits[0].cancel();
    host.run_until_idle();
    assert_eq!(completed.remaining(), 1);
    // The first in the queue is gone: the second is granted, and cancelled before it runs (T-17).
    futures[1].set_result(1).unwrap();
    scheduler.call_soon({
        let granted = waits[1].clone();
        move || assert!(granted.cancel())
    });
    host.run_until_idle();
    assert!(waits.iter().all(Task::cancelled));
    assert_eq!(completed.remaining(), 2);
    let rest = scheduler.spawn(all(completed));
    futures[0].set_result(0).unwrap();
    host.run_until_idle();
    assert_eq!(rest.result().unwrap(), ["1", "0"]);
}

pub(crate) fn t57_what_a_cancelled_ticket_was_granted_goes_to_the_next(host: &dyn Host) {
    for end in [Task::cancel, Task::abort] {
        let (scheduler, futures) = (host.scheduler(), futures_of(host, 3));
        let tickets = as_completed(futures.clone(), None).into_iter();
        let waits: Vec<_> = tickets.map(|ticket| scheduler.create_task(ticket)).collect();
        host.run_until_idle();
        futures[2].set_result(2).unwrap();
        let granted = waits[0].clone();
        scheduler.call_soon(move || assert!(end(&granted)));
        host.run_until_idle();
        futures[1].set_result(1).unwrap();
        host.run_until_idle();
        let outcome = |task: &Task<Future<u32>>| words(&task.result().and_then(|it| it.result()));
        assert_eq!((outcome(&waits[1]), outcome(&waits[2])), ("2".into(), "1".into()));
        assert!(waits[0].cancelled());
    }
}

pub(crate) fn t57_many_that_give_up_leave_no_places_behind(host: &dyn Host) {
    let (scheduler, futures) = (host.scheduler(), futures_of(host, 2));
    let mut completed = as_completed(futures.clone(), None);
    let patient = scheduler.create_task(completed.ticket().unwrap());
    host.run_until_idle();
    let clean = Rc::strong_count(&scheduler);
    for _ in 0..100 {
        let wait = scheduler.create_task(completed.ticket().unwrap());
        host.run_until_idle();
        wait.cancel();
        host.run_until_idle();
    }
    assert!(Rc::strong_count(&scheduler) <= clean + 4);
    futures[0].set_result(7).unwrap();
    host.run_until_idle();
    assert_eq!(patient.result().unwrap().result().unwrap(), 7);
}

pub(crate) fn t58_after_the_timeout_each_missing_item_says_so(host: &dyn Host) {
    let (scheduler, futures) = (host.scheduler(), futures_of(host, 4));
    futures[3].set_result(3).unwrap();
    let mut completed = as_completed(futures.clone(), Some(SECOND));
    let waiting = completed.ticket().unwrap();
    let early = completed.ticket().unwrap();
    let start = scheduler.time();
    let first = scheduler.create_task(waiting);
    let second = scheduler.create_task(early);
    let early = futures[0].clone();
    scheduler.call_later(SECOND / 2, move || early.set_result(0).unwrap());
    host.run_until_idle();
    assert_eq!(scheduler.time() - start, SECOND);
    assert_eq!(first.result().unwrap().result().unwrap(), 3);
    assert_eq!(second.result().unwrap().result().unwrap(), 0);
    // Nothing is cancelled, and what comes late is not waited for.
    assert!(!futures[1].done());
    futures[1].set_result(1).unwrap();
    let rest = scheduler.spawn(async move {
        let mut late = 0;
        while let Some(item) = completed.next().await {
            late += usize::from(item.unwrap_err().is::<TimeoutError>());
        }
        late
    });
    host.run_until_idle();
    assert_eq!(rest.result().unwrap(), 2);
}

pub(crate) fn t58_who_waits_is_told_of_the_timeout(host: &dyn Host) {
    let (scheduler, futures) = (host.scheduler(), futures_of(host, 2));
    let task = scheduler.spawn(all(as_completed(futures.clone(), Some(SECOND))));
    host.run_until_idle();
    let late = "error: timed out: as_completed: 2 of 2 futures are not done";
    assert_eq!(task.result().unwrap(), [late, late]);
}

pub(crate) fn t58_when_all_are_done_the_timer_is_gone(host: &dyn Host) {
    let (scheduler, futures) = (host.scheduler(), futures_of(host, 2));
    let start = scheduler.time();
    let completed = as_completed(futures.clone(), Some(SECOND * 3600));
    for future in &futures {
        future.set_result(7).unwrap();
    }
    host.run_until_idle();
    drop(as_completed(futures_of(host, 1), Some(SECOND * 3600)));
    let never = futures_of(host, 1);
    drop(as_completed(never.clone(), Some(SECOND * 3600)));
    host.run_until_idle();
    assert_eq!(scheduler.time(), start);
    let task = scheduler.spawn(all(completed));
    host.run_until_idle();
    assert_eq!(task.result().unwrap(), ["7", "7"]);
}

pub(crate) fn t58_nothing_to_wait_for_ends_at_once(host: &dyn Host) {
    let task = host.scheduler().spawn(async {
        let nothing: [Future<u32>; 0] = [];
        as_completed(nothing, Some(SECOND)).next().await.is_none()
    });
    host.run_until_idle();
    assert!(task.result().unwrap());
}

pub(crate) fn t58_cancelling_who_waits_keeps_the_item(host: &dyn Host) {
    let (scheduler, futures) = (host.scheduler(), futures_of(host, 1));
    let awaited = futures.clone();
    let task = scheduler.spawn(async move {
        let mut completed = as_completed(awaited, None);
        let first = words(&completed.next().await.unwrap());
        vec![first, words(&completed.next().await.unwrap().unwrap().result())]
    });
    host.run_until_idle();
    task.cancel();
    host.run_until_idle();
    assert!(!futures[0].done());
    futures[0].set_result(7).unwrap();
    host.run_until_idle();
    assert_eq!(task.result().unwrap(), ["error: cancelled", "7"]);
}

pub(crate) fn t59_coroutines_start_at_the_call(host: &dyn Host) {
    let (scheduler, log) = (host.scheduler(), Log::default());
    let seen = log.clone();
    let task = scheduler.spawn(async move {
        let coroutines = [3, 1, 2].map(|seconds| {
            let seen = seen.clone();
            async move {
                seen.add(format!("started {seconds}"));
                sleep(SECOND * seconds).await?;
                Ok(seconds)
            }
        });
        let completed = as_completed(coroutines, None);
        yield_now().await.unwrap();
        seen.add("asks");
        all(completed).await
    });
    host.run_until_idle();
    assert_eq!(task.result().unwrap(), ["1", "2", "3"]);
    assert_eq!(log.take(), ["started 3", "started 1", "started 2", "asks"]);
}

pub(crate) fn t59_futures_of_different_loops_are_refused(host: &dyn Host) {
    let elsewhere = tulipa_tests::MiniHost::new();
    let mixed = [futures_of(host, 1), futures_of(&elsewhere, 1)].concat();
    let task = host.scheduler().spawn(all(as_completed(mixed, None)));
    host.run_until_idle();
    let refused = "error: as_completed: the futures belong to different event loops";
    assert_eq!(task.result().unwrap(), [refused]);
}

pub(crate) fn t56_what_was_given_out_is_not_kept(host: &dyn Host) {
    let (scheduler, value) = (host.scheduler(), Rc::new(()));
    let futures = [scheduler.create_future::<Rc<()>>(), scheduler.create_future()];
    let mut completed = as_completed(futures.clone(), None);
    let [first, second] = futures;
    let ticket = completed.ticket().unwrap();
    first.set_result(value.clone()).unwrap();
    drop(first);
    let received = scheduler.create_task(async move { ticket.await?.take() });
    host.run_until_idle();
    drop(received);
    assert_eq!(Rc::strong_count(&value), 1);
    let forgotten = completed.ticket().unwrap();
    second.set_exception(Exception::msg("lost")).unwrap();
    drop(second);
    let received = scheduler.create_task(async move { forgotten.await.map(drop) });
    host.run_until_idle();
    assert!(received.result().is_ok());
    assert_eq!(host.take_reports().len(), 1);
    drop(completed);
    let futures = [scheduler.create_future::<Rc<()>>(), scheduler.create_future()];
    let mut completed = as_completed(futures.clone(), None);
    let [first, second] = futures;
    first.set_exception(Exception::msg("lost")).unwrap();
    drop(first);
    host.run_until_idle();
    let ticket = completed.ticket().unwrap();
    let received = scheduler.create_task(async move { ticket.await.map(drop) });
    host.run_until_idle();
    assert!(received.result().is_ok());
    assert_eq!(host.take_reports().len(), 1, "nobody can ask for it any more");
    assert!(!second.done());
}
