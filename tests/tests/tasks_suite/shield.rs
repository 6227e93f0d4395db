//! `shield`: the waiting is cancelled, what is waited for is not.

use super::support::words;
use futures::{Exception, SchedulerExt, Task, shield, sleep};
use std::rc::Rc;
use std::time::Duration;
use tulipa_tests::Host;

const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn t53_cancelling_the_waiter_leaves_the_inner_one_alone(host: &dyn Host) {
    let scheduler = host.scheduler();
    let inner = scheduler.create_task(async {
        sleep(SECOND * 2).await?;
        Ok("saved")
    });
    let awaited = inner.clone();
    let waiter = scheduler.spawn(async move { words(&shield(awaited).await) });
    let asked = waiter.clone();
    scheduler.call_later(SECOND, move || assert!(asked.cancel_with("enough")));
    host.run_until_idle();
    assert_eq!(waiter.result().unwrap(), "error: cancelled: enough");
    assert_eq!((inner.result().unwrap(), inner.cancelling()), ("saved", 0));
}

pub(crate) fn t53_what_is_done_comes_back_itself(host: &dyn Host) {
    let future = host.scheduler().create_future::<u32>();
    assert!(!shield(future.clone()).ptr_eq(&future));
    future.set_result(7).unwrap();
    assert!(shield(future.clone()).ptr_eq(&future));
}

pub(crate) fn t53_cancelled_in_the_turn_in_which_the_inner_one_is_done(host: &dyn Host) {
    let scheduler = host.scheduler();
    let inner = scheduler.create_future::<u32>();
    let outer = shield(inner.clone());
    inner.set_result(7).unwrap();
    assert!(outer.cancel(), "the value is still on its way");
    host.run_until_idle();
    assert!(outer.cancelled());
    assert_eq!(inner.result().unwrap(), 7);
}

pub(crate) fn t54_value_failure_and_cancellation_come_through(host: &dyn Host) {
    let scheduler = host.scheduler();
    let inner: Vec<_> = (0..3).map(|_| scheduler.create_future::<u32>()).collect();
    let outer: Vec<_> = inner.iter().cloned().map(shield).collect();
    inner[0].set_result(7).unwrap();
    inner[1].set_exception(Exception::msg("failed")).unwrap();
    inner[2].cancel_with("alone");
    host.run_until_idle();
    let outcomes: Vec<_> = outer.iter().map(|outer| words(&outer.result())).collect();
    assert_eq!(outcomes, ["7", "error: failed", "error: cancelled: alone"]);
    assert!(outer[2].cancelled() && !outer[1].cancelled());
}

pub(crate) fn t54_a_coroutine_is_started_as_a_task(host: &dyn Host) {
    let scheduler = host.scheduler();
    let task = scheduler.create_task(async { shield(async { Ok(7) }).await });
    host.run_until_idle();
    assert_eq!(task.result().unwrap(), 7);
}

pub(crate) fn t54_one_that_is_dropped_undone_ends_the_waiting(host: &dyn Host) {
    let outer = shield(host.scheduler().create_future::<u32>());
    assert!(outer.cancelled());
}

pub(crate) fn t55_a_later_failure_is_reported_once(host: &dyn Host) {
    let scheduler = host.scheduler();
    let inner = scheduler.create_future::<u32>();
    let outer = [(); 3].map(|()| shield(inner.clone()));
    assert!(outer.iter().all(|outer| outer.cancel()));
    host.run_until_idle();
    let late = shield(inner.clone());
    inner.set_exception(Exception::msg("failed")).unwrap();
    assert!(late.cancel(), "in the same turn");
    host.run_until_idle();
    let reports = host.take_reports();
    assert_eq!(reports.len(), 1);
    assert!(reports[0].message.contains("shielded"), "{}", reports[0]);
    assert_eq!(reports[0].exception.as_ref().unwrap().to_string(), "failed");
    drop((inner, outer));
    assert!(host.take_reports().is_empty());
}

pub(crate) fn t55_a_failure_that_somebody_asked_for_is_not_reported(host: &dyn Host) {
    let scheduler = host.scheduler();
    let inner: Task<u32> = scheduler.create_task(async {
        sleep(SECOND).await?;
        Err(Exception::msg("failed"))
    });
    let other = scheduler.create_task(shield(inner.clone()));
    let cancelled = shield(inner.clone());
    cancelled.cancel();
    host.run_until_idle();
    assert_eq!(words(&other.result()), "error: failed");
    assert!(host.take_reports().is_empty());
}

pub(crate) fn t55_a_value_or_cancellation_is_ignored(host: &dyn Host) {
    let scheduler = host.scheduler();
    for cancels in [false, true] {
        let inner = scheduler.create_future::<u32>();
        let outer = shield(inner.clone());
        outer.cancel();
        host.run_until_idle();
        assert!(if cancels { inner.cancel() } else { inner.set_result(7).is_ok() });
        host.run_until_idle();
        assert!(outer.cancelled());
    }
}

pub(crate) fn t53_t55_shields_that_were_given_up_leave_nothing_behind(host: &dyn Host) {
    let scheduler = host.scheduler();
    let inner = scheduler.create_future::<u32>();
    let clean = Rc::strong_count(&scheduler);
    for _ in 0..100 {
        shield(inner.clone()).cancel();
        host.run_until_idle();
    }
    assert_eq!(Rc::strong_count(&scheduler), clean);
}
