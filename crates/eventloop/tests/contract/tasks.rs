//! Tasks as the loop sees them: running one to its end, closing with some left, counting and listing
//! them, and what becomes of failures that nobody asked for.

use crate::common::fake::fake_builder;
use crate::common::{OnDrop, Trace, for_each_builder, for_each_loop, logged, record_reports};
use futures::{Exception, PanicError, TaskBuilder, create_task, spawn, yield_now};
use log::Level;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use tulipa_eventloop::prelude::*;
use tulipa_eventloop::{EventLoop, RunError, TestLoop, UnretrievedFailure};

/// A value that cannot be copied.
#[derive(Debug, PartialEq)]
struct NotClone(u32);

#[test]
fn l11_a_task_or_a_coroutine_can_be_run_to_its_end() {
    for_each_loop(|event_loop| {
        let task = event_loop.spawn(async { NotClone(1) });
        assert_eq!(event_loop.run_until_complete(&task).unwrap(), NotClone(1));
        let task = event_loop.create_task(async { Ok(2) });
        assert_eq!(event_loop.run_until_complete(task.as_future()).unwrap(), 2);
        let value = event_loop.run_coroutine(async {
            yield_now().await?;
            Ok(NotClone(3))
        });
        assert_eq!(value.unwrap(), NotClone(3));
        let failed = event_loop.run_coroutine::<()>(async { Err(Exception::msg("no")) });
        assert_eq!(failed.unwrap_err().to_string(), "no");
        assert_eq!((event_loop.stats().errors, event_loop.stats().tasks), (0, 0));
    });
}

#[test]
fn l11_the_panic_of_what_is_run_to_its_end_goes_on() {
    for_each_loop(|event_loop| {
        let panicking = || event_loop.run_coroutine::<()>(async { panic!("expected: main") });
        let payload = catch_unwind(AssertUnwindSafe(panicking)).unwrap_err();
        assert_eq!(payload.downcast_ref(), Some(&"expected: main"));
        let task = event_loop.spawn(async { panic!("expected: a task") });
        let panicking = || event_loop.run_until_complete::<futures::Task<()>>(&task);
        let payload = catch_unwind(AssertUnwindSafe(panicking)).unwrap_err();
        assert_eq!(payload.downcast_ref(), Some(&"expected: a task"));
        // The loop goes on.
        assert_eq!(event_loop.run_coroutine(async { Ok(1) }).unwrap(), 1);
        assert_eq!(event_loop.stats().errors, 0);
    });
}

#[test]
fn l12_a_loop_that_cannot_run_drops_the_coroutine_and_says_why() {
    let trace = Trace::new();
    let refused = |event_loop: &dyn AbstractEventLoop| {
        let held = trace.on_drop("dropped");
        let polled = trace.clone();
        let outcome = event_loop.run_coroutine(async move {
            held.keep();
            polled.note("polled");
            Ok(())
        });
        assert_eq!(trace.take(), ["dropped"]);
        format!("{:?}", outcome.unwrap_err().downcast_ref::<RunError>().unwrap())
    };
    let (event_loop, other) = (EventLoop::new().unwrap(), EventLoop::new().unwrap());
    let answers = Rc::new(RefCell::new(Vec::new()));
    std::thread::scope(|_| {
        let own = event_loop.handle();
        let (refused, other, answers) = (&refused, &other, answers.clone());
        // Called from inside: by hand, since a callback must own what it calls.
        let guard = tulipa_eventloop::EnteredLoop::new((*own).to_event_loop()).unwrap();
        answers.borrow_mut().push(refused(&***other));
        drop(guard);
    });
    event_loop.close().unwrap();
    answers.borrow_mut().push(refused(&**event_loop));
    assert_eq!(answers.take(), ["AnotherIsRunning", "Closed"]);
    assert_eq!(event_loop.stats().errors, 0, "nobody forgot it");
}

#[test]
fn l12_l14_a_running_or_stopped_run_is_an_error_value() {
    for_each_loop(|event_loop| {
        let handle = event_loop.handle();
        let inner = event_loop.run_coroutine(async move {
            let inner = handle.run_coroutine(async { Ok(()) }).unwrap_err();
            Ok(matches!(inner.downcast_ref(), Some(RunError::AlreadyRunning)))
        });
        assert!(inner.unwrap());
        let handle = event_loop.handle();
        let stopped = event_loop.run_coroutine(async move {
            handle.stop();
            futures::sleep(Duration::from_secs(1)).await
        });
        assert!(matches!(stopped.unwrap_err().downcast_ref(), Some(RunError::Stopped)));
        let reports = record_reports(&**event_loop);
        event_loop.close().unwrap();
        // The caller knows that it did not end.
        assert_eq!(reports.count(), 0);
    });
}

#[test]
fn l16_a_failure_of_the_task_that_was_run_is_not_reported_when_the_run_ends_otherwise() {
    // Left through a panic, because of another task's failure.
    let event_loop =
        EventLoop::builder().unretrieved_failure(UnretrievedFailure::Panic).build().unwrap();
    let reports = record_reports(&**event_loop);
    let run = || {
        event_loop.run_coroutine::<()>(async {
            create_task(async { Err::<(), _>(Exception::msg("fatal")) });
            yield_now().await?;
            yield_now().await?;
            Err(Exception::msg("main's own"))
        })
    };
    assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
    let told: Vec<_> = reports.take().iter().map(|report| report.to_string()).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("exception: fatal"));
    // Left with an error, because the poller fails after the task has.
    let (builder, script) = fake_builder();
    let event_loop = builder.batches_between_polls(1.try_into().unwrap()).build().unwrap();
    let reports = record_reports(&**event_loop);
    let failing = script.clone();
    let outcome = event_loop.run_coroutine::<()>(async move {
        failing.errors.borrow_mut().push(std::io::Error::other("the poller broke"));
        Err(Exception::msg("main's own"))
    });
    assert!(matches!(outcome.unwrap_err().downcast_ref(), Some(RunError::Poll(_))));
    drop(event_loop);
    assert_eq!(reports.count(), 0);
}

#[test]
fn l27_a_task_that_cannot_be_made_drops_its_coroutine_on_the_spot() {
    for_each_loop(|event_loop| {
        let reports = record_reports(&**event_loop);
        event_loop.close().unwrap();
        let trace = Trace::new();
        let (held, polled) = (trace.on_drop("dropped"), trace.clone());
        let task = event_loop.spawn(async move {
            held.keep();
            polled.note("polled");
        });
        assert_eq!(trace.take(), ["dropped"]);
        assert!(task.cancelled());
        drop(task);
        let reports = reports.take();
        assert_eq!(reports.len(), 1, "that it was refused, and nothing else");
        assert!(reports[0].message.contains("create_task on a closed event loop"));
    });
}

#[test]
fn l29_closing_drops_the_tasks_that_are_pending_and_reports_each() {
    for_each_loop(|event_loop| {
        let reports = record_reports(&**event_loop);
        let trace = Trace::new();
        for name in ["waiting", "queued"] {
            let (held, noting) = (trace.on_drop(name), trace.clone());
            TaskBuilder::new().name(name).spawn(&**event_loop, async move {
                held.keep();
                let outcome = futures::sleep(Duration::from_secs(1)).await;
                noting.note(format!("went on: {outcome:?}"));
            });
            if name == "waiting" {
                event_loop.run_ready().unwrap();
            }
        }
        event_loop.close().unwrap();
        assert_eq!(trace.take(), ["waiting", "queued"]);
        let reports = reports.take();
        assert_eq!(reports.len(), 2);
        for (report, name) in reports.iter().zip(["waiting", "queued"]) {
            assert_eq!(report.message, "task was destroyed but it is pending");
            assert!(report.task.as_ref().unwrap().contains(name));
            assert_eq!(report.created_at.unwrap().file(), file!());
        }
    });
}

#[test]
fn f18_a_failure_that_nobody_asked_for_ends_the_run_if_that_is_the_policy() {
    for_each_builder(|builder| {
        let event_loop = builder.unretrieved_failure(UnretrievedFailure::Stop).build().unwrap();
        let reports = record_reports(&**event_loop);
        let trace = Trace::new();
        event_loop.create_task(async { Err::<(), _>(Exception::msg("first")) });
        event_loop.create_task(async { Err::<(), _>(Exception::msg("second")) });
        event_loop.call_soon(trace.mark("the batch ends"));
        let error = event_loop.run_forever().unwrap_err();
        let RunError::UnretrievedFailure(failure) = &error else { panic!("{error}") };
        assert_eq!(failure.to_string(), "first");
        assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "first");
        assert_eq!((reports.count(), trace.take().len()), (2, 1), "all of them are reported");
        // A plain future's too; and the run's caller gets the very failure.
        let future = event_loop.create_future::<()>();
        event_loop.call_soon(move || future.set_exception(Exception::msg("third")).unwrap());
        let pending = event_loop.create_future::<()>();
        let error = event_loop.run_until_complete(&pending).unwrap_err();
        assert_eq!(error.to_string(), "third");
        // The loop may be run again, and one that was asked for is no reason to end.
        let value = event_loop.run_coroutine(async {
            let failing = create_task(async { Err::<(), _>(Exception::msg("fourth")) });
            Ok(failing.await.unwrap_err().to_string())
        });
        assert_eq!(value.unwrap(), "fourth");
    });
}

#[test]
fn f18_a_failure_between_two_runs_ends_the_next_one_before_it_begins() {
    for_each_builder(|builder| {
        let event_loop = builder.unretrieved_failure(UnretrievedFailure::Stop).build().unwrap();
        let future = event_loop.create_future::<()>();
        future.set_exception(Exception::msg("early")).unwrap();
        drop(future);
        let trace = Trace::new();
        event_loop.call_soon(trace.mark("ran"));
        assert!(matches!(event_loop.run_ready(), Err(RunError::UnretrievedFailure(_))));
        assert_eq!(trace.len(), 0);
        event_loop.run_ready().unwrap();
        assert_eq!(trace.len(), 1);
    });
}

#[test]
fn f18_a_failure_that_nobody_asked_for_panics_if_that_is_the_policy() {
    for_each_builder(|builder| {
        let event_loop = builder.unretrieved_failure(UnretrievedFailure::Panic).build().unwrap();
        event_loop.spawn(async { panic!("expected: its own payload") });
        let payload = catch_unwind(AssertUnwindSafe(|| event_loop.run_forever())).unwrap_err();
        assert_eq!(payload.downcast_ref(), Some(&"expected: its own payload"));
        assert!(!event_loop.is_running());
        event_loop.create_task(async { Err::<(), _>(Exception::msg("disk full")) });
        let payload = catch_unwind(AssertUnwindSafe(|| event_loop.run_forever())).unwrap_err();
        let message = payload.downcast_ref::<String>().unwrap();
        assert_eq!(message, "a failure was never retrieved: disk full");
    });
}

/// What the panic says by which `test` fails.
fn fails(test: fn(TestLoop)) -> &'static str {
    let payload = catch_unwind(|| test(TestLoop::new())).expect_err("the test is to fail");
    payload.downcast_ref::<&str>().expect("a literal")
}

#[test]
fn f18_a_tasks_panic_fails_the_test_whose_loop_it_ran_on() {
    // Nobody holds the task any more,
    let message = fails(|event_loop| {
        event_loop.spawn(async { panic!("expected: forgotten") });
        event_loop.run_until_idle();
    });
    assert_eq!(message, "expected: forgotten");
    // or somebody still does,
    let message = fails(|event_loop| {
        let _held = event_loop.spawn(async { panic!("expected: held") });
        event_loop.run_until_idle();
        event_loop.finish();
    });
    assert_eq!(message, "expected: held");
    // or another task has been told, and failed by that.
    let message = fails(|event_loop| {
        let inner = event_loop.spawn(async { panic!("expected: passed on") });
        let _outer = event_loop.create_task(async move {
            let (): () = inner.await?;
            Ok(())
        });
        event_loop.run_until_idle();
        event_loop.finish();
    });
    assert_eq!(message, "expected: passed on");
    let message = fails(|event_loop| {
        let _outcome = event_loop.run_coroutine::<()>(async { panic!("expected: run") });
    });
    assert_eq!(message, "expected: run");
}

#[test]
fn f18_a_panic_fails_its_test_whatever_future_holds_it_at_the_end() {
    let message = fails(|event_loop| {
        let failing = event_loop.spawn(async { panic!("expected: gathered") });
        let _held = futures::gather::<(), _>([failing]);
        event_loop.run_until_idle();
        event_loop.finish();
    });
    assert_eq!(message, "expected: gathered");
    let message = fails(|event_loop| {
        let failing = event_loop.spawn(async { panic!("expected: chained") });
        let _held = futures::Future::from(failing).map(|(): ()| ());
        event_loop.run_until_idle();
        event_loop.finish();
    });
    assert_eq!(message, "expected: chained");
    let message = fails(|event_loop| {
        let failing = event_loop.spawn(async { panic!("expected: shielded") });
        let _held = futures::shield::<(), _>(failing);
        event_loop.run_until_idle();
        event_loop.finish();
    });
    assert_eq!(message, "expected: shielded");
    let message = fails(|event_loop| {
        let held: futures::Future<()> =
            event_loop.run_in_executor(None, || panic!("expected: in a thread"));
        while !held.done() {
            event_loop.run_once(None).unwrap();
        }
        event_loop.finish();
    });
    assert_eq!(message, "expected: in a thread");
}

#[test]
fn f18_a_panic_inside_of_another_error_fails_its_test() {
    let message = fails(|event_loop| {
        event_loop.create_task(async {
            futures::TaskGroup::scope(async |group| {
                group.spawn(async { panic!("expected: in a group") })?;
                Ok(())
            })
            .await
        });
        event_loop.run_until_idle();
    });
    assert_eq!(message, "expected: in a group");
    let message = fails(|event_loop| {
        let _held = event_loop.create_task(async {
            let inner: futures::Task<()> = spawn(async { panic!("expected: as an I/O error") });
            inner.await.map_err(std::io::Error::from)?;
            Ok(())
        });
        event_loop.run_until_idle();
        event_loop.finish();
    });
    assert_eq!(message, "expected: as an I/O error");
}

#[test]
fn f19_a_tasks_panic_that_a_test_asked_for_is_handled() {
    let event_loop = TestLoop::new();
    let task = event_loop.spawn(async { panic!("expected") });
    event_loop.run_until_idle();
    let outcome: Result<(), Exception> = task.result();
    assert!(outcome.unwrap_err().is::<PanicError>());
    let _held = event_loop.spawn(async { panic!("expected: taken") });
    event_loop.run_until_idle();
    let taken = event_loop.take_first_panic().unwrap();
    assert_eq!(taken.to_string(), "panicked: expected: taken");
    assert!(event_loop.take_first_panic().is_none());
    event_loop.finish();
}

#[test]
fn t8_stats_and_dump_show_the_tasks_that_have_not_ended() {
    for_each_loop(|event_loop| {
        let line = line!() + 1;
        let waiting = event_loop.create_task(futures::sleep(Duration::from_secs(1)));
        waiting.set_name("sleeper");
        event_loop.run_ready().unwrap();
        let queued = event_loop.spawn(async {});
        assert_eq!(event_loop.stats().tasks, 2);
        let dump = event_loop.dump();
        let expected = format!("  sleeper, waiting, spawned at {}:{line}", file!());
        assert!(dump.starts_with("tasks: 2\n") && dump.contains(&expected), "{dump}");
        assert!(dump.contains(&format!("  {}, queued, spawned at", queued.name())), "{dump}");
        let handle = event_loop.handle();
        let from_inside = event_loop.run_coroutine(async move { Ok(handle.dump()) }).unwrap();
        assert!(from_inside.contains(", running, spawned at"), "{from_inside}");
        waiting.cancel();
        assert!(event_loop.run_until_complete(&waiting).unwrap_err().is_cancelled());
        assert_eq!(event_loop.stats().tasks, 0);
    });
}

#[test]
fn g1_the_tasks_are_logged_on_a_signal_when_asked_for() {
    const SIGNAL: i32 = 50;
    logged::record();
    for_each_loop(|event_loop| {
        event_loop.dump_tasks_on(SIGNAL).unwrap();
        TaskBuilder::new()
            .name("lonely")
            .spawn(&**event_loop, async { futures::sleep(Duration::from_secs(1)).await });
        event_loop.run_ready().unwrap();
        assert!(logged::take_at(Level::Warn).is_empty());
        signal_hook::low_level::raise(SIGNAL).unwrap();
        event_loop.run_ready().unwrap();
        let lines = logged::take_at(Level::Warn);
        assert_eq!(lines.len(), 1);
        assert!(lines[0].starts_with("on signal 50: who awaits whom:\n"), "{}", lines[0]);
        assert!(lines[0].contains("\ntasks: 1\n  lonely, waiting"), "{}", lines[0]);
        assert!(event_loop.remove_signal_handler(SIGNAL));
        assert!(event_loop.dump_tasks_on(0).is_err());
    });
}

#[test]
fn d7_d11_a_destructor_that_panics_in_a_step_is_reported_with_where_the_task_was_spawned() {
    for_each_loop(|event_loop| {
        let reports = record_reports(&**event_loop);
        let line = line!() + 1;
        drop(event_loop.spawn(async { OnDrop::new(|| panic!("the value's words")) }));
        event_loop.run_ready().unwrap();
        let reports = reports.take();
        assert_eq!(reports.len(), 1, "{reports:?}");
        assert!(reports[0].to_string().contains("the value's words"));
        let place = reports[0].created_at.expect("a task knows where it was made");
        assert_eq!((place.file(), place.line()), (file!(), line));
    });
}

#[test]
fn d3_a_slow_step_is_named_by_its_task() {
    logged::record();
    let (builder, script) = fake_builder();
    let event_loop = builder.debug(true).build().unwrap();
    let clock = script.clock.clone();
    let line = line!() + 1;
    TaskBuilder::new().name("digger").spawn(&**event_loop, async move {
        clock.advance(Duration::from_millis(200));
    });
    let clock = script.clock.clone();
    event_loop.call_soon(move || {
        // An eager task's first step belongs to the callback that made it.
        let eager = clock.clone();
        TaskBuilder::new()
            .eager()
            .spawn(&*futures::current(), async move { eager.advance(Duration::from_millis(300)) });
    });
    event_loop.run_ready().unwrap();
    let lines = logged::take_at(Level::Warn);
    assert_eq!(lines.len(), 2, "{lines:?}");
    let place = format!("{}:{line}", file!());
    assert!(lines[0].starts_with("Executing the step of the task digger created at"), "{lines:?}");
    assert!(lines[0].contains(&place) && lines[0].ends_with("took 0.200 s"), "{lines:?}");
    assert!(lines[1].starts_with("Executing the callback created at"), "{lines:?}");
}

/// Counts how often it was woken.
#[derive(Default)]
struct Woken(std::sync::atomic::AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

#[test]
fn i13_a_foreign_runtime_on_the_same_thread_may_poll_futures_and_tasks() {
    for_each_loop(|event_loop| {
        let trace = Trace::new();
        let future = event_loop.create_future();
        let task = event_loop.spawn(async { yield_now().await.map(|()| "task") });
        let (seen, id) = (trace.clone(), event_loop.id());
        future.add_done_callback(move |_| {
            let current = futures::try_current().expect("it runs on its own loop");
            seen.note(format!("callback on its loop: {}", current.id() == id));
        });
        // The foreign runtime: it polls, and runs our loop between its own work.
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        let mut context = Context::from_waker(&waker);
        let seen = trace.clone();
        let producer = future.clone();
        let mut work = pin!(async move {
            seen.note("begins");
            let value = future.await.unwrap();
            let other = task.await.unwrap().unwrap();
            seen.note(format!("{value} and {other}"));
        });
        assert!(work.as_mut().poll(&mut context).is_pending());
        producer.set_result("future").unwrap();
        // Waking goes through no queue; the callback does.
        assert_eq!(woken.0.load(std::sync::atomic::Ordering::Relaxed), 1);
        assert_eq!(trace.take(), ["begins"]);
        let mut polls = 0;
        while work.as_mut().poll(&mut context) == Poll::Pending {
            event_loop.run_ready().unwrap();
            polls += 1;
            assert!(polls < 10);
        }
        assert_eq!(trace.take(), ["callback on its loop: true", "future and task"]);
    });
}

#[test]
fn f18_a_task_that_runs_a_whole_program_leaves_nothing_in_the_table() {
    for_each_loop(|event_loop| {
        for _ in 0..100 {
            let done = event_loop.run_coroutine(async {
                let children: Vec<_> = (0..10).map(|n| spawn(async move { n })).collect();
                let mut sum = 0;
                for child in children {
                    sum += child.await?;
                }
                Ok(sum)
            });
            assert_eq!(done.unwrap(), 45);
        }
        assert_eq!(event_loop.stats().tasks, 0);
    });
}
