//! Futures of other threads become futures of a loop, and back.

use futures::concurrent::{self, Executor, ExecutorExt, Job, Refused, ReturnWhen};
use futures::{
    Exception, HandleState, InvalidStateError, SchedulerExt, TimeoutError, to_concurrent,
    wrap_future,
};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;
use tulipa_tests::{Host, Trace, on_drop};

/// Runs `closure` on another thread, and waits for its end.
fn elsewhere<R: Send + 'static>(closure: impl FnOnce() -> R + Send + 'static) -> R {
    thread::spawn(closure).join().unwrap()
}

pub(crate) fn f27_a_thread_future_becomes_a_loop_future(host: &dyn Host) {
    for fails in [false, true] {
        let source = concurrent::Future::<u32>::new();
        let wrapper = wrap_future(&source, &*host.scheduler());
        assert_eq!(wrapper.scheduler_id(), host.scheduler().id());
        host.run_until_idle();
        assert!(!wrapper.done());
        let exception = Exception::msg("failed");
        let (producer, failure) = (source.clone(), exception.clone());
        elsewhere(move || match fails {
            false => producer.set_result(7).unwrap(),
            true => producer.set_exception(failure).unwrap(),
        });
        assert!(!wrapper.done(), "it travels through the loop");
        host.run_until_idle();
        match fails {
            false => assert_eq!(wrapper.result().unwrap(), 7),
            true => assert!(wrapper.result().unwrap_err().ptr_eq(&exception)),
        }
        assert!(source.done() && !source.cancelled());
        assert_eq!(source.result(None).is_err_and(|e| e.is::<InvalidStateError>()), !fails);
    }
}

pub(crate) fn f27_f11_a_source_that_is_done_is_taken_over_at_once(host: &dyn Host) {
    let source = concurrent::Future::new();
    source.set_result(7).unwrap();
    let wrapper = wrap_future(&source, &*host.scheduler());
    assert_eq!(wrapper.result().unwrap(), 7);
    let cancelled = concurrent::Future::<u32>::new();
    cancelled.cancel_with("why");
    let wrapper = wrap_future(&cancelled, &*host.scheduler());
    assert_eq!(wrapper.result().unwrap_err().cancelled().unwrap().message(), Some("why"));
}

pub(crate) fn f27_e4_cancelling_the_wrapper_cancels_the_source(host: &dyn Host) {
    let source = concurrent::Future::<u32>::new();
    let wrapper = wrap_future(&source, &*host.scheduler());
    assert!(wrapper.cancel());
    host.run_until_idle();
    assert!(source.cancelled());
    host.run_until_idle();
    assert!(wrapper.cancelled());
}

pub(crate) fn f27_e4_a_running_source_is_not_interrupted(host: &dyn Host) {
    let source = concurrent::Future::<u32>::new();
    let wrapper = wrap_future(&source, &*host.scheduler());
    assert!(source.set_running_or_notify_cancel());
    assert!(wrapper.cancel());
    host.run_until_idle();
    assert!(source.running());
    let producer = source.clone();
    elsewhere(move || producer.set_result(7).unwrap());
    host.run_until_idle();
    assert!(wrapper.cancelled());
    assert_eq!(source.result(None).unwrap(), 7, "the outcome stays where it is");
}

pub(crate) fn f27_f6_cancelling_the_source_cancels_the_wrapper(host: &dyn Host) {
    let source = concurrent::Future::<u32>::new();
    let wrapper = wrap_future(&source, &*host.scheduler());
    elsewhere(move || assert!(source.cancel_with("shutdown")));
    host.run_until_idle();
    assert!(wrapper.cancelled());
    assert_eq!(wrapper.result().unwrap_err().cancelled().unwrap().message(), Some("shutdown"));
}

pub(crate) fn f27_the_loop_keeps_a_wrapper_for_its_callbacks(host: &dyn Host) {
    let (source, trace) = (concurrent::Future::<u32>::new(), Trace::new());
    let seen = trace.clone();
    wrap_future(&source, &*host.scheduler())
        .map(|value| value + 1)
        .add_done_callback(move |future| seen.note(future.result().unwrap()));
    host.run_until_idle();
    let producer = source.clone();
    elsewhere(move || producer.set_result(7).unwrap());
    host.run_until_idle();
    assert_eq!(trace.take(), ["8"]);
    // Closing the loop ends it.
    let captured = on_drop(trace.mark("dropped"));
    let source = concurrent::Future::<u32>::new();
    wrap_future(&source, &*host.scheduler()).add_done_callback(move |_| drop(captured));
    assert!(trace.take().is_empty());
    host.close();
    assert_eq!(trace.take(), ["dropped"]);
}

pub(crate) fn f27_a_source_that_completes_after_the_close_is_dropped_silently(host: &dyn Host) {
    let source = concurrent::Future::<u32>::new();
    let wrapper = wrap_future(&source, &*host.scheduler());
    host.close();
    let producer = source.clone();
    elsewhere(move || producer.set_exception(Exception::msg("nobody hears it")).unwrap());
    assert!(!wrapper.done());
    let late = concurrent::Future::<u32>::new();
    let cancelled = wrap_future(&late, &*host.scheduler());
    assert!(cancelled.cancel());
}

pub(crate) fn f27_a_wrapper_made_on_a_closed_loop_does_no_harm(host: &dyn Host) {
    host.close();
    let source = concurrent::Future::<u32>::new();
    let wrapper = wrap_future(&source, &*host.scheduler());
    elsewhere(move || source.set_result(7).unwrap());
    assert!(!wrapper.done());
}

pub(crate) fn f27_a_source_that_is_dropped_cancels_the_wrapper(host: &dyn Host) {
    let source = concurrent::Future::<u32>::new();
    let wrapper = wrap_future(&source, &*host.scheduler());
    elsewhere(move || drop(source));
    host.run_until_idle();
    assert!(wrapper.cancelled());
}

pub(crate) fn f27_a_wrapper_that_was_cancelled_is_left_alone(host: &dyn Host) {
    let source = concurrent::Future::<u32>::new();
    let wrapper = wrap_future(&source, &*host.scheduler());
    // The word of the completion is under way when the cancel comes.
    let producer = source.clone();
    elsewhere(move || producer.set_result(7).unwrap());
    assert!(wrapper.cancel());
    host.run_until_idle();
    assert!(wrapper.cancelled());
    assert_eq!(source.result(None).unwrap(), 7);
}

pub(crate) fn f27_each_wrapper_hears_for_itself(host: &dyn Host) {
    let source = concurrent::Future::<u32>::new();
    let wrappers = [(); 3].map(|()| wrap_future(&source, &*host.scheduler()));
    assert!(source.set_running_or_notify_cancel());
    assert!(wrappers[1].cancel());
    wrappers[2].set_result(1).unwrap();
    host.run_until_idle();
    assert!(!source.done());
    let producer = source.clone();
    elsewhere(move || producer.set_result(7).unwrap());
    host.run_until_idle();
    assert_eq!(wrappers[0].result().unwrap(), 7);
    assert!(wrappers[1].cancelled());
    assert_eq!(wrappers[2].result().unwrap(), 1);
}

pub(crate) fn f27_a_wrapper_that_was_set_by_hand_is_kept_no_longer(host: &dyn Host) {
    let (source, trace) = (concurrent::Future::<u32>::new(), Trace::new());
    let wrapper = wrap_future(&source, &*host.scheduler());
    let captured = on_drop(trace.mark("dropped"));
    wrapper.add_done_callback(move |_| drop(captured));
    wrapper.set_result(1).unwrap();
    host.run_until_idle();
    assert_eq!(trace.take(), ["dropped"]);
    assert_eq!(wrapper.result().unwrap(), 1);
    assert!(!source.done());
    source.set_result(7).unwrap();
    assert_eq!(source.result(None).unwrap(), 7);
}

pub(crate) fn f27_values_need_not_be_clone(host: &dyn Host) {
    struct Unique(u32);
    let source = concurrent::Future::new();
    let wrapper = wrap_future(&source, &*host.scheduler());
    elsewhere(move || assert!(source.set_result(Unique(7)).is_ok()));
    host.run_until_idle();
    let there = to_concurrent(&wrapper.map(|unique| Unique(unique.0 + 1)));
    host.run_until_idle();
    assert_eq!(elsewhere(move || there.take(None).ok().unwrap().0), 8);
}

/// Queues jobs until `run` is called.
#[derive(Default)]
struct Queue(Mutex<Vec<Job>>);

impl Executor for Queue {
    fn execute(&self, job: Job) -> Result<(), Refused> {
        self.0.lock().unwrap().push(job);
        Ok(())
    }
}

impl Queue {
    fn run(&self) {
        let jobs = std::mem::take(&mut *self.0.lock().unwrap());
        elsewhere(move || jobs.into_iter().for_each(Job::run));
    }
}

pub(crate) fn f27_e11_a_job_comes_home(host: &dyn Host) {
    let queue = Queue::default();
    let fine = wrap_future(&queue.submit(|| 6 * 7).unwrap(), &*host.scheduler());
    let failing = queue.submit(|| -> u32 { panic!("expected") }).unwrap();
    let failing = wrap_future(&failing, &*host.scheduler());
    let cancelled = wrap_future(&queue.submit(|| 1).unwrap(), &*host.scheduler());
    cancelled.cancel();
    host.run_until_idle();
    queue.run();
    let dropped = wrap_future(&queue.submit(|| 1).unwrap(), &*host.scheduler());
    queue.0.lock().unwrap().clear();
    host.run_until_idle();
    assert_eq!(fine.result().unwrap(), 42);
    assert_eq!(failing.result().unwrap_err().to_string(), "panicked: expected");
    assert!(cancelled.cancelled());
    let reason = dropped.result().unwrap_err();
    assert_eq!(reason.cancelled().unwrap().message(), Some("the executor dropped the job"));
}

pub(crate) fn f27_a_loop_future_becomes_a_thread_future(host: &dyn Host) {
    let (source, failing) =
        (host.scheduler().create_future::<u32>(), host.scheduler().create_future::<u32>());
    let (target, failed) = (to_concurrent(&source), to_concurrent(&failing));
    let waiting = thread::spawn(move || (target.take(None), failed.exception(None)));
    source.set_result(7).unwrap();
    failing.set_exception(Exception::msg("failed")).unwrap();
    host.run_until_idle();
    let (value, exception) = waiting.join().unwrap();
    assert_eq!(value.unwrap(), 7);
    assert_eq!(exception.unwrap().unwrap().to_string(), "failed");
    assert!(source.result().unwrap_err().is::<InvalidStateError>(), "the value was moved");
    // One that is done already.
    let done = host.scheduler().create_future::<u32>();
    done.set_result(1).unwrap();
    let target = to_concurrent(&done);
    host.run_until_idle();
    assert_eq!(target.result(None).unwrap(), 1);
}

pub(crate) fn f27_cancelling_the_thread_future_cancels_the_loop_future(host: &dyn Host) {
    let source = host.scheduler().create_future::<u32>();
    let target = to_concurrent(&source);
    elsewhere(move || assert!(target.cancel()));
    assert!(!source.done());
    host.run_until_idle();
    assert!(source.cancelled());
    // When the outcome came first, nobody gets it.
    let source = host.scheduler().create_future::<u32>();
    let target = to_concurrent(&source);
    source.set_result(1).unwrap();
    let canceller = target.clone();
    elsewhere(move || assert!(canceller.cancel()));
    host.run_until_idle();
    assert!(target.cancelled());
    assert_eq!(source.result().unwrap(), 1);
}

pub(crate) fn f27_f6_cancelling_the_loop_future_cancels_the_thread_future(host: &dyn Host) {
    let source = host.scheduler().create_future::<u32>();
    let target = to_concurrent(&source);
    source.cancel_with("shutdown");
    assert!(!target.done());
    host.run_until_idle();
    assert!(target.cancelled());
    let error = target.result(None).unwrap_err();
    assert_eq!(error.cancelled().unwrap().message(), Some("shutdown"));
}

pub(crate) fn f27_a_loop_future_that_is_dropped_cancels_the_thread_future(host: &dyn Host) {
    let target = to_concurrent(&host.scheduler().create_future::<u32>());
    assert!(target.cancelled());
    let message = target.result(None).unwrap_err();
    let expected = Some("the future of the loop was dropped");
    assert_eq!(message.cancelled().unwrap().message(), expected);
}

pub(crate) fn f27_closing_the_loop_cancels_the_thread_future(host: &dyn Host) {
    let [early, late] = [(); 2].map(|()| host.scheduler().create_future::<u32>());
    let targets = [to_concurrent(&early), to_concurrent(&late)];
    early.set_result(1).unwrap();
    host.close();
    assert!(targets[0].cancelled());
    late.set_result(2).unwrap();
    assert!(targets[1].cancelled());
}

pub(crate) fn f27_f27_a_time_out_cancels_nothing(host: &dyn Host) {
    let source = host.scheduler().create_future::<u32>();
    let target = to_concurrent(&source);
    for timeout in [Duration::ZERO, Duration::from_millis(1)] {
        assert!(target.result(Some(timeout)).unwrap_err().is::<TimeoutError>());
    }
    host.run_until_idle();
    assert!(!source.done() && !target.done());
    source.cancel();
}

pub(crate) fn f29_blocking_on_a_loop_is_refused(host: &dyn Host) {
    let (pending, done) = (concurrent::Future::<u32>::new(), concurrent::Future::new());
    done.set_result(7).unwrap();
    let timer = Rc::new(Cell::new(false));
    let reached = timer.clone();
    let handle = host.scheduler().call_later(Duration::from_secs(1), move || {
        for timeout in [None, Some(Duration::from_secs(3600))] {
            let all = || [pending.clone(), done.clone()];
            let completed = concurrent::as_completed(all(), timeout).skip(1).collect::<Vec<_>>();
            assert_eq!(completed.len(), 1);
            let errors = [
                pending.result(timeout).unwrap_err(),
                pending.take(timeout).unwrap_err(),
                pending.exception(timeout).unwrap_err(),
                concurrent::wait(all(), timeout, ReturnWhen::AllCompleted).unwrap_err().into(),
                completed.into_iter().next().unwrap().unwrap_err(),
            ];
            for error in errors {
                assert!(error.is::<InvalidStateError>(), "{error}");
                assert!(error.to_string().contains("would block the event loop"), "{error}");
            }
            assert_eq!(done.result(timeout).unwrap(), 7);
            let waited = concurrent::wait(all(), timeout, ReturnWhen::FirstCompleted).unwrap();
            assert!(waited.done.len() == 1 && waited.done[0].ptr_eq(&done));
            assert!(waited.not_done.len() == 1 && waited.not_done[0].ptr_eq(&pending));
        }
        let only_look = Some(Duration::ZERO);
        assert!(pending.result(only_look).unwrap_err().is::<TimeoutError>());
        let waited = concurrent::wait([pending.clone()], only_look, ReturnWhen::AllCompleted);
        assert_eq!(waited.unwrap().not_done.len(), 1);
        reached.set(true);
    });
    host.run_until_idle();
    assert_eq!(handle.state(), HandleState::Done);
    assert!(timer.get());
}
