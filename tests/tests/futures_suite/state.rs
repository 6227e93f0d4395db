//! The states of a future, and what can be asked in each.

use futures::{CancelledError, Exception, Future, InvalidStateError, SchedulerExt};
use tulipa_tests::Host;

fn is_invalid_state<T>(outcome: Result<T, Exception>) -> bool {
    outcome.err().is_some_and(|exception| exception.is::<InvalidStateError>())
}

/// A future in each of the done states: finished, failed, cancelled.
fn done_futures(host: &dyn Host) -> [Future<u32>; 3] {
    let futures = [(); 3].map(|()| host.scheduler().create_future());
    futures[0].set_result(1).unwrap();
    futures[1].set_exception(Exception::msg("failed")).unwrap();
    assert!(futures[2].cancel());
    futures
}

pub(crate) fn f1_done_is_final(host: &dyn Host) {
    let future = host.scheduler().create_future::<u32>();
    assert!(!future.done() && !future.cancelled());
    let [finished, failed, cancelled] = done_futures(host);
    for future in [&finished, &failed, &cancelled] {
        let before = format!("{future:?} {:?}", future.result());
        let _ = future.set_result(9);
        let _ = future.set_exception(Exception::msg("again"));
        let _ = future.set_outcome(Ok(9));
        let _ = future.set_outcome(Err(CancelledError::new().into()));
        assert!(!future.cancel_with("again"));
        assert!(future.done());
        assert_eq!(format!("{future:?} {:?}", future.result()), before);
    }
    assert_eq!([&finished, &failed, &cancelled].map(Future::cancelled), [false, false, true]);
}

pub(crate) fn f2_w31_setting_a_done_future_is_an_error_also_when_cancelled(host: &dyn Host) {
    for (future, state) in done_futures(host).into_iter().zip(["finished", "finished", "cancelled"])
    {
        let errors = [
            ("set_result", future.set_result(9)),
            ("set_exception", future.set_exception(Exception::msg("again"))),
            ("set_outcome", future.set_outcome(Ok(9))),
        ];
        for (operation, error) in errors {
            let expected = format!("{operation}: the future is already {state}");
            assert_eq!(error.unwrap_err().to_string(), expected);
        }
        let _ = future.exception();
    }
}

pub(crate) fn f2_a_value_that_came_too_late_comes_back(host: &dyn Host) {
    for future in done_futures(host) {
        assert_eq!(future.try_set_result(9), Err(9));
        let _ = future.exception();
    }
    let future = host.scheduler().create_future();
    assert_eq!(future.try_set_result(9), Ok(()));
    assert_eq!(future.result().unwrap(), 9);
}

pub(crate) fn f3_result_gives_the_value_any_number_of_times(host: &dyn Host) {
    let [finished, failed, cancelled] = done_futures(host);
    for _ in 0..3 {
        assert_eq!(finished.result().unwrap(), 1);
        assert_eq!(failed.result().unwrap_err().to_string(), "failed");
        assert!(cancelled.result().unwrap_err().is_cancelled());
    }
    assert!(failed.result().unwrap_err().ptr_eq(&failed.result().unwrap_err()));
}

pub(crate) fn f3_taking_moves_the_value(host: &dyn Host) {
    let [finished, failed, cancelled] = done_futures(host);
    let other = finished.clone();
    assert_eq!(finished.take().unwrap(), 1);
    assert_eq!(other.take().unwrap_err().to_string(), "the result was taken");
    assert!(is_invalid_state(other.result()));
    assert!(other.done() && !other.cancelled() && other.exception().unwrap().is_none());
    assert!(other.set_result(2).is_err());
    for _ in 0..2 {
        assert_eq!(failed.take().unwrap_err().to_string(), "failed");
        assert!(cancelled.take().unwrap_err().is_cancelled());
    }
}

pub(crate) fn f3_f4_a_pending_future_has_neither_result_nor_exception(host: &dyn Host) {
    let future = host.scheduler().create_future::<u32>();
    assert_eq!(future.result().unwrap_err().to_string(), "the result is not ready");
    assert!(is_invalid_state(future.result()));
    assert!(is_invalid_state(future.take()));
    assert!(is_invalid_state(future.exception()));
    future.set_result(1).unwrap();
    assert_eq!(future.result().unwrap(), 1);
}

pub(crate) fn f4_exception_gives_the_exception_as_a_value(host: &dyn Host) {
    let [finished, failed, cancelled] = done_futures(host);
    assert!(finished.exception().unwrap().is_none());
    assert_eq!(failed.exception().unwrap().unwrap().to_string(), "failed");
    assert!(cancelled.exception().unwrap_err().is_cancelled());
}

pub(crate) fn f5_cancel_says_whether_it_cancelled(host: &dyn Host) {
    let future = host.scheduler().create_future::<u32>();
    assert!(future.cancel());
    assert!(future.done() && future.cancelled());
    assert!(!future.cancel());
    for done in done_futures(host) {
        assert!(!done.cancel());
    }
}

pub(crate) fn f6_the_message_of_the_cancel_reaches_who_waits(host: &dyn Host) {
    let future = host.scheduler().create_future::<u32>();
    future.cancel_with("shutdown");
    future.cancel_with("too late");
    for error in
        [future.result().unwrap_err(), future.take().unwrap_err(), future.exception().unwrap_err()]
    {
        assert_eq!(error.cancelled().unwrap().message(), Some("shutdown"));
    }
    let silent = host.scheduler().create_future::<u32>();
    silent.cancel();
    assert_eq!(silent.result().unwrap_err().cancelled().unwrap().message(), None);
}

pub(crate) fn f28_one_exception_ends_in_several_futures(host: &dyn Host) {
    let exception = Exception::msg("shared");
    let futures = [(); 2].map(|()| host.scheduler().create_future::<u32>());
    for future in &futures {
        future.set_exception(exception.clone()).unwrap();
        assert!(future.exception().unwrap().unwrap().ptr_eq(&exception));
        assert!(future.result().unwrap_err().ptr_eq(&exception));
        assert!(future.take().unwrap_err().ptr_eq(&exception));
    }
}

pub(crate) fn f28_an_outcome_that_is_a_cancellation_cancels(host: &dyn Host) {
    let [kept, failed, cancelled] = [(); 3].map(|()| host.scheduler().create_future::<u32>());
    kept.set_outcome(Ok(1)).unwrap();
    assert_eq!(kept.result().unwrap(), 1);
    failed.set_outcome(Err(Exception::msg("failed"))).unwrap();
    assert_eq!(failed.result().unwrap_err().to_string(), "failed");
    cancelled.set_outcome(Err(CancelledError::with_message("why").into())).unwrap();
    assert!(cancelled.cancelled() && !failed.cancelled());
    assert_eq!(cancelled.result().unwrap_err().cancelled().unwrap().message(), Some("why"));
}

pub(crate) fn f8_l52_a_future_knows_its_loop(host: &dyn Host) {
    let scheduler = host.scheduler();
    let future = scheduler.create_future::<u32>();
    assert_eq!((future.get_loop().id(), future.scheduler_id()), (scheduler.id(), scheduler.id()));
    let twin = future.clone();
    assert!(twin.ptr_eq(&future) && !twin.ptr_eq(&scheduler.create_future()));
    twin.set_result(1).unwrap();
    assert_eq!(future.result().unwrap(), 1);
}

pub(crate) fn d2_a_future_tells_its_state_and_place(host: &dyn Host) {
    let line = line!() + 1;
    let future = host.scheduler().create_future::<u32>();
    assert_eq!(future.created_at().line(), line);
    assert!(future.created_at().file().ends_with("state.rs"));
    let shown = format!("{future:?}");
    assert!(shown.starts_with("Future<u32>(pending, created at "), "{shown}");
    assert!(shown.contains(&format!("state.rs:{line}")), "{shown}");
    let [finished, failed, cancelled] = done_futures(host);
    let taken = finished.clone();
    for (future, state) in [(finished, "finished"), (failed, "failed"), (cancelled, "cancelled")] {
        assert!(format!("{future:?}").contains(&format!("({state}, ")), "{future:?}");
        let _ = future.exception();
    }
    taken.take().unwrap();
    assert!(format!("{taken:?}").contains("(taken, "));
}
