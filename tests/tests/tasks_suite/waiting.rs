//! `wait`: until enough is done.

use super::support::{Log, words};
use futures::{
    AsFuture, Exception, Future, ReturnWhen, SchedulerExt, Task, current_task, sleep, wait,
};
use std::rc::Rc;
use std::time::Duration;
use tulipa_tests::Host;

const SECOND: Duration = Duration::from_secs(1);
const MODES: [ReturnWhen; 3] =
    [ReturnWhen::FirstCompleted, ReturnWhen::FirstException, ReturnWhen::AllCompleted];

/// How a wait may end.
type End = fn(&Task<(usize, usize)>, &Future<u32>);
type Sorted<H> = Result<(Vec<H>, Vec<H>), Exception>;

fn futures_of(host: &dyn Host, count: usize) -> Vec<Future<u32>> {
    (0..count).map(|_| host.scheduler().create_future()).collect()
}

fn counts<H: AsFuture>(sorted: &Sorted<H>) -> (usize, usize) {
    let (done, pending) = sorted.as_ref().unwrap_or_else(|error| panic!("{error}"));
    (done.len(), pending.len())
}

/// A task that waits for `futures`, and how many were done and pending.
fn waiting(
    host: &dyn Host,
    futures: &[Future<u32>],
    return_when: ReturnWhen,
    timeout: Option<Duration>,
) -> Task<(usize, usize)> {
    let waiting = wait(futures.to_vec(), return_when, timeout);
    host.scheduler().create_task(async move { Ok(counts(&Ok(waiting.await?))) })
}

pub(crate) fn t33_done_and_pending_together_are_what_was_given(host: &dyn Host) {
    let futures = futures_of(host, 4);
    let given = futures.clone();
    let task =
        host.scheduler().create_task(wait(futures.clone(), ReturnWhen::FirstCompleted, None));
    host.run_until_idle();
    futures[2].set_result(7).unwrap();
    host.run_until_idle();
    let (done, pending) = task.take().unwrap();
    assert!(done.len() == 1 && done[0].ptr_eq(&given[2]));
    let order = [0, 1, 3];
    assert!(order.iter().zip(&pending).all(|(index, future)| future.ptr_eq(&given[*index])));
    assert_eq!(pending.len(), 3);
}

pub(crate) fn t33_nothing_to_wait_for_is_an_error(host: &dyn Host) {
    let task = waiting(host, &[], ReturnWhen::AllCompleted, None);
    host.run_until_idle();
    assert_eq!(words(&task.result()), "error: wait: nothing to wait for");
    let elsewhere = tulipa_tests::MiniHost::new();
    let mixed = [futures_of(host, 1), futures_of(&elsewhere, 1)].concat();
    let task = waiting(host, &mixed, ReturnWhen::AllCompleted, None);
    host.run_until_idle();
    assert_eq!(words(&task.result()), "error: wait: the futures belong to different event loops");
}

pub(crate) fn t34_duplicates_count_once_and_tasks_and_references_come_back(host: &dyn Host) {
    let scheduler = host.scheduler();
    let task = scheduler.spawn(async { 7 });
    let waiter = scheduler.spawn(async move {
        let twice = [&task, &task];
        let (done, pending) = wait(twice, ReturnWhen::AllCompleted, None).await.unwrap();
        assert!(pending.is_empty() && done.len() == 1 && std::ptr::eq(done[0], &task));
        let (done, _) = wait([task.clone(), task], ReturnWhen::AllCompleted, None).await.unwrap();
        (done.len(), done[0].result().unwrap())
    });
    host.run_until_idle();
    assert_eq!(waiter.result().unwrap(), (1, 7));
}

pub(crate) fn t35_for_all_for_one_or_for_a_failure(host: &dyn Host) {
    let futures = futures_of(host, 4);
    let waits = MODES.map(|mode| waiting(host, &futures, mode, None));
    let ended = || waits.each_ref().map(Task::done);
    host.run_until_idle();
    futures[0].cancel();
    host.run_until_idle();
    assert_eq!(ended(), [true, false, false], "being cancelled is not failing");
    futures[1].set_result(7).unwrap();
    host.run_until_idle();
    assert_eq!(ended(), [true, false, false]);
    futures[2].set_exception(Exception::msg("failed")).unwrap();
    host.run_until_idle();
    assert_eq!(ended(), [true, true, false]);
    futures[3].set_result(7).unwrap();
    host.run_until_idle();
    assert_eq!(waits.each_ref().map(|wait| wait.result().unwrap()), [(1, 3), (3, 1), (4, 0)]);
    // Waiting is not asking (F-19).
    assert!(futures[2].exception().unwrap().is_some());
}

pub(crate) fn t35_without_a_failure_it_waits_for_all(host: &dyn Host) {
    let futures = futures_of(host, 2);
    let task = waiting(host, &futures, ReturnWhen::FirstException, None);
    host.run_until_idle();
    futures[1].set_result(7).unwrap();
    host.run_until_idle();
    assert!(!task.done());
    futures[0].cancel();
    host.run_until_idle();
    assert_eq!(task.result().unwrap(), (2, 0));
}

pub(crate) fn t36_the_timeout_cancels_nothing(host: &dyn Host) {
    let (scheduler, futures) = (host.scheduler(), futures_of(host, 2));
    for (mode, timeout) in MODES.into_iter().zip([Duration::ZERO, SECOND, SECOND * 2]) {
        let start = scheduler.time();
        let task = waiting(host, &futures, mode, Some(timeout));
        host.run_until_idle();
        assert_eq!(task.result().unwrap(), (0, 2));
        assert_eq!(scheduler.time() - start, timeout);
    }
    assert!(!futures[0].done() && !futures[1].done());
}

pub(crate) fn t36_what_is_done_when_it_goes_on_counts_as_done(host: &dyn Host) {
    let (scheduler, futures) = (host.scheduler(), futures_of(host, 3));
    let task = waiting(host, &futures, ReturnWhen::FirstCompleted, Some(SECOND));
    let timed = waiting(host, &futures[1..], ReturnWhen::AllCompleted, Some(SECOND));
    let late = futures.clone();
    scheduler.call_later(SECOND, move || {
        late[0].set_result(1).unwrap();
        late[2].set_result(3).unwrap();
    });
    host.run_until_idle();
    assert_eq!(task.result().unwrap(), (2, 1));
    assert_eq!(timed.result().unwrap(), (1, 1));
}

pub(crate) fn t37_if_enough_are_done_it_takes_one_hop(host: &dyn Host) {
    for mode in MODES {
        let (scheduler, log, futures) = (host.scheduler(), Log::default(), futures_of(host, 2));
        futures[0].set_exception(Exception::msg("failed")).unwrap();
        if mode == ReturnWhen::AllCompleted {
            futures[1].set_result(7).unwrap();
        }
        let (seen, given) = (log.clone(), futures.clone());
        scheduler.clone().spawn(async move {
            let marks = seen.clone();
            scheduler.clone().call_soon(move || {
                marks.add("first turn");
                scheduler.call_soon(move || marks.add("second turn"));
            });
            let sorted = wait(given, mode, Some(SECOND)).await;
            seen.add(format!("{:?}", counts(&sorted)));
        });
        host.run_until_idle();
        let done = if mode == ReturnWhen::AllCompleted { "(2, 0)" } else { "(1, 1)" };
        assert_eq!(log.take(), ["first turn", done, "second turn"]);
        assert!(futures[0].exception().is_ok());
    }
}

pub(crate) fn t38_cancelling_the_waiter_ends_only_the_waiting(host: &dyn Host) {
    let (scheduler, futures) = (host.scheduler(), futures_of(host, 2));
    let task = waiting(host, &futures, ReturnWhen::AllCompleted, Some(SECOND * 3600));
    let (start, asked) = (scheduler.time(), task.clone());
    scheduler.call_later(SECOND, move || assert!(asked.cancel_with("enough")));
    host.run_until_idle();
    assert_eq!(words(&task.result()), "error: cancelled: enough");
    assert!(!futures[0].done() && !futures[1].done());
    assert_eq!(scheduler.time() - start, SECOND, "no timer was left");
}

pub(crate) fn t38_nothing_of_it_stays_behind(host: &dyn Host) {
    let scheduler = host.scheduler();
    let never = scheduler.create_future::<u32>();
    let clean = Rc::strong_count(&scheduler);
    // By time, by completion, by cancellation and by being dropped.
    let ends: [End; 4] = [
        |_, _| {},
        |_, quick| quick.set_result(7).unwrap(),
        |task, _| assert!(task.cancel()),
        |task, _| assert!(task.abort()),
    ];
    for end in ends {
        let quick = scheduler.create_future::<u32>();
        let both = [never.clone(), quick.clone()];
        let task = waiting(host, &both, ReturnWhen::FirstCompleted, Some(SECOND));
        let (ended, waits) = (task.clone(), never.clone());
        scheduler.call_later(SECOND / 2, move || {
            assert_eq!(waits.awaited_by().len(), 1);
            end(&ended, &quick);
        });
        host.run_until_idle();
        assert!(task.done() && never.awaited_by().is_empty());
        drop((task, both));
        // A callback that was left would keep what it counts for, and so the scheduler.
        assert_eq!(Rc::strong_count(&scheduler), clean);
    }
}

pub(crate) fn t33_tasks_that_ended_eagerly_can_be_waited_for(host: &dyn Host) {
    let scheduler = host.scheduler();
    let task = scheduler.clone().spawn(async move {
        assert!(current_task().is_some());
        let eager = futures::TaskBuilder::new().eager().create_task(&*scheduler, async { Ok(1) });
        let lazy = scheduler.create_task(async {
            sleep(SECOND).await?;
            Ok(2)
        });
        counts(&wait([eager, lazy], ReturnWhen::AllCompleted, None).await)
    });
    host.run_until_idle();
    assert_eq!(task.result().unwrap(), (2, 0));
}
