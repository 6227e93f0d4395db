//! Failures that nobody asked for are reported, once, when nobody can ask any more.

use futures::{Exception, ExceptionContext, Future, SchedulerExt};
use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Waker};
use tulipa_tests::Host;

const MESSAGE: &str = "exception was never retrieved";

fn failed(host: &dyn Host) -> Future<u32> {
    let future = host.scheduler().create_future();
    future.set_exception(Exception::msg("lost")).unwrap();
    future
}

pub(crate) fn f18_an_exception_that_nobody_asked_for_is_reported_once(host: &dyn Host) {
    let line = line!() + 1;
    let future = host.scheduler().create_future::<u32>();
    let exception = Exception::msg("lost");
    future.set_exception(exception.clone()).unwrap();
    host.run_until_idle();
    assert!(host.take_reports().is_empty());
    drop(future);
    host.run_until_idle();
    let reports = host.take_reports();
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].message, MESSAGE);
    assert!(reports[0].exception.as_ref().unwrap().ptr_eq(&exception));
    assert_eq!(reports[0].created_at.unwrap().line(), line);
    let shown = reports[0].future.as_ref().unwrap();
    assert!(shown.starts_with("Future<u32>(failed, created at "), "{shown}");
}

pub(crate) fn f18_the_report_waits_for_the_last_handle(host: &dyn Host) {
    let future = failed(host);
    let twin = future.clone();
    drop(future);
    assert!(host.take_reports().is_empty());
    assert!(twin.exception().unwrap().is_some());
    drop(twin);
    assert!(host.take_reports().is_empty());
    // One that was dropped by its producer is held by its callbacks until they ran.
    let future = host.scheduler().create_future::<u32>();
    future.add_done_callback(|future| assert!(future.result().is_err()));
    future.set_exception(Exception::msg("asked for")).unwrap();
    drop(future);
    host.run_until_idle();
}

pub(crate) fn f18_a_callback_that_fails_to_ask_does_not_count(host: &dyn Host) {
    let future = failed(host);
    future.add_done_callback(|future| assert!(future.done()));
    host.run_until_idle();
    assert!(host.take_reports().is_empty());
    drop(future);
    assert_eq!(host.take_reports().len(), 1);
}

pub(crate) fn f19_result_exception_take_await_and_cancel_retrieve(host: &dyn Host) {
    assert!(failed(host).result().is_err());
    assert!(failed(host).exception().is_ok());
    assert!(failed(host).take().is_err());
    assert!(!failed(host).cancel());
    let awaited = pin!(failed(host));
    let poll = std::future::Future::poll(awaited, &mut Context::from_waker(Waker::noop()));
    assert!(poll.is_ready());
}

pub(crate) fn f19_asking_before_it_is_done_does_not_count(host: &dyn Host) {
    let future = host.scheduler().create_future::<u32>();
    assert!(future.result().is_err() && future.exception().is_err() && future.take().is_err());
    let mut waiting = Box::pin(future.clone());
    let waker = &mut Context::from_waker(Waker::noop());
    assert!(std::future::Future::poll(waiting.as_mut(), waker).is_pending());
    drop(waiting);
    future.set_exception(Exception::msg("lost")).unwrap();
    drop(future);
    assert_eq!(host.take_reports().len(), 1);
}

pub(crate) fn f20_results_cancelled_and_pending_futures_are_silent(host: &dyn Host) {
    let [finished, cancelled, pending] = [(); 3].map(|()| host.scheduler().create_future::<u32>());
    finished.set_result(1).unwrap();
    cancelled.cancel();
    pending.add_done_callback(|_| {});
    drop((finished, cancelled, pending));
}

pub(crate) fn f21_the_report_works_when_the_loop_is_closed(host: &dyn Host) {
    let future = failed(host);
    host.close();
    drop(future);
    assert_eq!(host.take_reports().len(), 1);
}

pub(crate) fn f21_the_report_does_not_keep_the_exception(host: &dyn Host) {
    #[derive(Debug)]
    struct Watched(#[expect(dead_code, reason = "counts references")] std::sync::Arc<()>);
    impl std::fmt::Display for Watched {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("watched")
        }
    }
    impl std::error::Error for Watched {}
    let alive = std::sync::Arc::new(());
    let future = host.scheduler().create_future::<u32>();
    future.set_exception(Watched(alive.clone())).unwrap();
    drop(future);
    assert_eq!(host.take_reports().len(), 1);
    assert_eq!(std::sync::Arc::strong_count(&alive), 1);
}

pub(crate) fn d12_a_report_may_cause_another_one(host: &dyn Host) {
    let nested = Rc::new(RefCell::new(vec![failed(host), failed(host)]));
    host.set_exception_handler(Rc::new(move |context: &ExceptionContext| {
        assert_eq!(context.message, MESSAGE);
        let next = nested.borrow_mut().pop();
        drop(next);
    }));
    drop(failed(host));
    assert_eq!(host.take_reports().len(), 3);
}

pub(crate) fn f19_w34_a_failure_that_a_chain_took_over_is_reported_by_its_last_future(
    host: &dyn Host,
) {
    let source = host.scheduler().create_future::<u32>();
    let last = source.clone().map(|value| value + 1).map(|value| value + 1);
    source.set_exception(Exception::msg("lost")).unwrap();
    host.run_until_idle();
    drop(source);
    assert!(host.take_reports().is_empty());
    drop(last);
    assert_eq!(host.take_reports().len(), 1);
}
