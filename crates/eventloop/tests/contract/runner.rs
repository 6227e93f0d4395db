//! `run` and `Runner`: from a coroutine to its result, and the orderly end of all the rest (T-82 to
//! T-87, but for SIGINT, which needs a process of its own).

use crate::common::{OnDrop, SECOND, Trace, record_reports};
use futures::{
    Exception, InvalidStateError, TaskLocal, all_tasks, create_task, current_task, sleep, spawn,
};
use std::cell::{Cell, RefCell};
use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::mpsc::channel;
use std::time::Duration;
use tulipa_eventloop::prelude::*;
use tulipa_eventloop::{
    EventLoop, LoopHandle, RunError, Runner, RunnerBuilder, TestClock, UnretrievedFailure, run,
    run_value, to_thread, try_current,
};

/// A runner whose loop's clock steps.
fn on_a_test_clock() -> RunnerBuilder {
    Runner::builder().loop_factory(|| EventLoop::builder().clock(TestClock::new()).build())
}

/// Waits for ever, and says how that ended.
async fn wait_and_tell(trace: Trace, name: &'static str) -> Result<(), Exception> {
    let waited = futures::sleep_until(futures::Instant::NEVER).await;
    trace.note(format!("{name}: {}", waited.as_ref().unwrap_err()));
    waited
}

#[test]
fn t82_running_makes_a_loop_and_gives_the_result() {
    assert!(run(async { Ok(try_current().is_some()) }).unwrap());
    assert_eq!(run_value(async { 7 }).unwrap(), 7);
    let error = run::<()>(async { Err(Exception::msg("no such town")) }).unwrap_err();
    assert_eq!(error.to_string(), "no such town");
    assert!(try_current().is_none());
}

#[test]
fn t82_the_value_is_moved_and_the_coroutine_is_a_task_made_here() {
    struct NotClone(u32);
    let line = line!() + 1;
    let (value, location) = run(async {
        let task = current_task().expect("it runs as a task");
        Ok((NotClone(3), task.created_at()))
    })
    .unwrap();
    assert_eq!((value.0, location.file(), location.line()), (3, file!(), line));
}

#[test]
fn t82_l12_inside_of_a_running_loop_it_refuses_and_drops_the_coroutine() {
    run_value(async {
        let trace = Trace::new();
        let held = trace.on_drop("dropped");
        let polled = trace.clone();
        let inner = run_value(async move {
            held.keep();
            polled.note("polled");
        });
        assert!(matches!(
            inner.unwrap_err().downcast_ref::<RunError>(),
            Some(RunError::AnotherIsRunning)
        ));
        assert_eq!(trace.take(), ["dropped"]);
        let made = Rc::new(Cell::new(false));
        let flag = made.clone();
        let mut runner = Runner::builder()
            .loop_factory(move || {
                flag.set(true);
                EventLoop::new()
            })
            .build();
        assert!(runner.run_value(async {}).is_err());
        assert!(!made.get(), "no loop is made in vain");
    })
    .unwrap();
}

#[test]
fn t82_the_panic_of_the_main_coroutine_goes_on_after_the_shutdown() {
    let trace = Trace::new();
    let left = trace.clone();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        run_value(async move {
            spawn(wait_and_tell(left, "left over"));
            futures::yield_now().await.unwrap();
            panic!("expected: main fails");
        })
    }));
    let payload = outcome.unwrap_err();
    assert_eq!(payload.downcast_ref(), Some(&"expected: main fails"));
    assert_eq!(trace.take(), ["left over: cancelled"]);
    assert!(try_current().is_none());
}

#[test]
fn t82_a_loop_that_cannot_be_made_is_an_error() {
    let mut runner =
        Runner::builder().loop_factory(|| Err(std::io::Error::other("out of everything"))).build();
    let trace = Trace::new();
    let held = trace.on_drop("dropped");
    let error = runner.run_value(async move { held.keep() }).unwrap_err();
    assert_eq!(
        (error.to_string().as_str(), trace.take()),
        ("out of everything", vec!["dropped".into()])
    );
    assert!(runner.get_loop().is_err());
}

#[test]
fn t83_a_runner_makes_its_loop_when_it_is_needed_and_runs_several_times() {
    let made = Rc::new(Cell::new(0));
    let count = made.clone();
    let mut runner = Runner::builder()
        .debug(true)
        .loop_factory(move || {
            count.set(count.get() + 1);
            EventLoop::new()
        })
        .build();
    assert_eq!(made.get(), 0);
    let event_loop = runner.get_loop().unwrap();
    assert!(event_loop.get_debug());
    let id = event_loop.id();
    for _ in 0..3 {
        let ran_on = runner.run(async { Ok(futures::current().id()) });
        assert_eq!(ran_on.unwrap(), id);
    }
    assert_eq!(made.get(), 1);
    // What one leaves behind goes on in the next.
    let task = runner.run(async { Ok(spawn(async { futures::yield_now().await.map(|()| 5) })) });
    let task = task.unwrap();
    assert!(!task.done());
    assert_eq!(runner.run(task).unwrap().unwrap(), 5);
    // An error does not end it either.
    assert!(runner.run::<()>(async { Err(Exception::msg("once")) }).is_err());
    assert!(runner.run(async { Ok(()) }).is_ok());
}

#[test]
fn t83_the_runs_of_a_runner_share_one_context() {
    static TOWN: TaskLocal<&str> = TaskLocal::new();
    TOWN.sync_scope("outside", || {
        let mut runner = Runner::new();
        let seen = runner.run_value(async { TOWN.get() }).unwrap();
        assert_eq!(seen, Some("outside"));
        let failed = runner.run::<()>(async {
            futures::yield_now().await?;
            TOWN.set("set by the first");
            // A child has a copy of it.
            spawn(async { TOWN.set("set by a child") }).await?;
            Err(Exception::msg("expected"))
        });
        assert!(failed.is_err());
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            runner.run_value(async {
                assert_eq!(TOWN.get(), Some("set by the first"));
                TOWN.set("set by the second");
                panic!("expected");
            })
        }));
        assert!(panicked.is_err());
        assert_eq!(runner.run_value(async { TOWN.get() }).unwrap(), Some("set by the second"));
        assert_eq!(TOWN.get(), Some("outside"));
    });
}

#[test]
fn t83_after_closing_it_refuses_and_closing_twice_is_harmless() {
    let mut runner = Runner::new();
    runner.run_value(async {}).unwrap();
    let event_loop = runner.get_loop().unwrap();
    runner.close().unwrap();
    assert!(event_loop.is_closed());
    let trace = Trace::new();
    let held = trace.on_drop("dropped");
    let refused = runner.run_value(async move { held.keep() }).unwrap_err();
    assert!(refused.is::<InvalidStateError>());
    assert_eq!(refused.to_string(), "the runner is closed");
    assert_eq!(trace.take(), ["dropped"]);
    assert!(runner.get_loop().is_err());
    runner.close().unwrap();
    let mut unused = Runner::new();
    unused.close().unwrap();
    assert!(unused.get_loop().is_err());
    drop(Runner::new());
}

#[test]
fn t83_the_users_own_close_or_stop_is_no_surprise() {
    let mut runner = Runner::new();
    let stopped = runner.run(async {
        tulipa_eventloop::current().stop();
        sleep(SECOND).await
    });
    assert!(matches!(stopped.unwrap_err().downcast_ref(), Some(RunError::Stopped)));
    let event_loop = runner.get_loop().unwrap();
    event_loop.close().unwrap();
    let refused = runner.run_value(async {}).unwrap_err();
    assert!(matches!(refused.downcast_ref(), Some(RunError::Closed)));
    runner.close().unwrap();
}

#[test]
fn t86_shutting_down_cancels_tasks_ends_the_executor_and_closes_the_loop_in_this_order() {
    let trace = Trace::new();
    let seen = trace.clone();
    let handle: Rc<RefCell<Option<Rc<dyn AbstractEventLoop>>>> = Rc::default();
    let kept = handle.clone();
    run_value(async move {
        let event_loop = tulipa_eventloop::current();
        kept.replace(Some(event_loop.clone()));
        let (release, released) = channel::<()>();
        let note = seen.clone();
        // The job ends when the first task is cancelled: so the executor is still at work then.
        let job = event_loop.run_in_executor(None, move || released.recv().is_err());
        job.add_done_callback(move |job| note.note(format!("job: {}", job.result().unwrap())));
        let note = seen.clone();
        create_task(async move {
            let _release = release;
            let cancelled = wait_and_tell(note.clone(), "first").await;
            assert!(event_loop.default_executor().is_ok());
            sleep(Duration::from_micros(10)).await?;
            note.note("first: cleaned up");
            cancelled
        });
        create_task(wait_and_tell(seen.clone(), "second"));
        let note = seen.on_drop("dropped with the loop");
        futures::current().call_at(futures::Instant::NEVER, move || note.keep());
        futures::yield_now().await.unwrap();
        seen.note("main");
    })
    .unwrap();
    assert_eq!(
        trace.take(),
        [
            "main",
            "first: cancelled",
            "second: cancelled",
            "first: cleaned up",
            "job: true",
            "dropped with the loop"
        ]
    );
    assert!(handle.take().unwrap().is_closed());
}

#[test]
fn t86_what_fails_during_the_shutdown_is_reported_once() {
    let mut runner = Runner::new();
    let reports = record_reports(&*runner.get_loop().unwrap());
    let trace = Trace::new();
    let seen = trace.clone();
    let error = runner
        .run::<()>(async move {
            let task = create_task(async move {
                let _cancelled = wait_and_tell(seen, "it").await;
                Err::<(), _>(Exception::msg("cannot clean up"))
            });
            task.set_name("cleaner");
            // Somebody holds a handle, so that nothing else would tell.
            tulipa_eventloop::current().local(|| task);
            futures::yield_now().await?;
            Err(Exception::msg("main failed"))
        })
        .unwrap_err();
    assert_eq!(error.to_string(), "main failed");
    assert_eq!(reports.count(), 0);
    runner.close().unwrap();
    assert_eq!(trace.take(), ["it: cancelled"]);
    let reports = reports.take();
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert_eq!(reports[0].message, "unhandled exception during shutdown");
    assert_eq!(reports[0].exception.as_ref().unwrap().to_string(), "cannot clean up");
    assert!(reports[0].task.as_ref().unwrap().contains("cleaner"));
    assert_eq!(reports[0].created_at.unwrap().file(), file!());
}

#[test]
fn t86_a_task_that_does_not_end_is_aborted_at_the_deadline_and_reported() {
    let mut runner = on_a_test_clock().shutdown_timeout(5 * SECOND).build();
    let event_loop = runner.get_loop().unwrap();
    let reports = record_reports(&*event_loop);
    let trace = Trace::new();
    let seen = trace.clone();
    runner
        .run_value(async move {
            let held = seen.on_drop("dropped");
            spawn(async move {
                held.keep();
                loop {
                    // It takes no notice.
                    let _ = sleep(SECOND).await;
                    seen.note("goes on");
                }
            });
            futures::yield_now().await.unwrap();
        })
        .unwrap();
    runner.close().unwrap();
    let mut lines = trace.take();
    assert_eq!(lines.pop().unwrap(), "dropped");
    assert!((4..=6).contains(&lines.len()), "{lines:?}");
    let reports = reports.take();
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert_eq!(reports[0].message, "task did not end during the shutdown and was aborted");
}

#[test]
fn t86_the_executor_is_given_its_time_and_no_more() {
    let mut runner = on_a_test_clock().executor_shutdown_timeout(Duration::from_millis(1)).build();
    let (release, released) = channel::<()>();
    runner
        .run_value(async move {
            let event_loop = tulipa_eventloop::current();
            drop(event_loop.run_in_executor(None, move || released.recv().is_err()));
        })
        .unwrap();
    // On a stepping clock time passes only when nothing outside is to be waited for, so this ends
    // because the job does.
    drop(release);
    runner.close().unwrap();
}

#[test]
fn t86_dropping_a_runner_is_closing_it() {
    let trace = Trace::new();
    let mut runner = Runner::new();
    let seen = trace.clone();
    runner
        .run_value(async move {
            spawn(wait_and_tell(seen, "task"));
            futures::yield_now().await.unwrap();
        })
        .unwrap();
    drop(runner);
    assert_eq!(trace.take(), ["task: cancelled"]);
}

#[test]
fn t86_a_runner_that_is_dropped_while_a_panic_unwinds_shuts_down_too() {
    let trace = Trace::new();
    let seen = trace.clone();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let mut runner = Runner::new();
        runner
            .run_value(async move {
                spawn(async move {
                    let _ = wait_and_tell(seen, "task").await;
                    panic!("expected: in the shutdown");
                });
                futures::yield_now().await.unwrap();
                panic!("expected: main");
            })
            .unwrap();
    }));
    assert_eq!(outcome.unwrap_err().downcast_ref(), Some(&"expected: main"));
    assert_eq!(trace.take(), ["task: cancelled"]);
}

#[test]
fn t86_a_runner_that_is_closed_inside_another_loop_closes_its_loop_all_the_same() {
    let mut runner = Runner::new();
    let trace = Trace::new();
    let seen = trace.on_drop("dropped");
    runner
        .run_value(async move {
            spawn(async move {
                seen.keep();
                sleep(SECOND).await
            });
            futures::yield_now().await.unwrap();
        })
        .unwrap();
    let event_loop = runner.get_loop().unwrap();
    run_value(async move {
        let error = runner.close().unwrap_err();
        assert!(matches!(error.downcast_ref(), Some(RunError::AnotherIsRunning)));
    })
    .unwrap();
    assert!(event_loop.is_closed());
    assert_eq!(trace.take(), ["dropped"]);
}

#[test]
fn t87_tasks_that_are_made_during_the_shutdown_are_cancelled_in_further_rounds() {
    let trace = Trace::new();
    let seen = trace.clone();
    let spawn_on_cancel = |depth: u32, trace: Trace| {
        fn link(depth: u32, trace: Trace) {
            spawn(async move {
                let _ = sleep(SECOND).await;
                trace.note(format!("cancelled {depth}"));
                if depth > 0 {
                    link(depth - 1, trace);
                    let _ = futures::yield_now().await;
                }
            });
        }
        link(depth, trace);
    };
    let mut runner = on_a_test_clock().build();
    let reports = record_reports(&*runner.get_loop().unwrap());
    runner
        .run_value(async move {
            spawn_on_cancel(4, seen);
            futures::yield_now().await.unwrap();
        })
        .unwrap();
    let event_loop = runner.get_loop().unwrap();
    let start = event_loop.time();
    runner.close().unwrap();
    // The last ones are cancelled before they have begun, or while they sleep.
    let lines = trace.take();
    assert!(lines.len() >= 4, "{lines:?}");
    assert!(event_loop.time() - start < SECOND, "nobody slept to the end");
    assert_eq!(reports.count(), 0);
    assert!(all_tasks(&*event_loop).is_empty());
}

#[test]
fn t87_rounds_are_bounded_and_what_is_left_is_told() {
    fn link(made: Rc<Cell<u32>>) {
        made.set(made.get() + 1);
        spawn(async move {
            let again = made.clone();
            // Whatever ends it, another one takes its place.
            let _heir = OnDrop::new(move || {
                if made.get() < 1000 && futures::try_current().is_some() {
                    link(made.clone());
                }
            });
            again.get();
            let _ = sleep(SECOND).await;
        });
    }
    let rounds = NonZeroU32::new(3).unwrap();
    let mut runner = on_a_test_clock().shutdown_rounds(rounds).build();
    let reports = record_reports(&*runner.get_loop().unwrap());
    let made = Rc::new(Cell::new(0));
    let first = made.clone();
    runner
        .run_value(async move {
            link(first);
            futures::yield_now().await.unwrap();
        })
        .unwrap();
    runner.close().unwrap();
    assert!(made.get() < 20, "{}", made.get());
    let reports = reports.take();
    assert!(!reports.is_empty());
    for report in reports {
        let known = [
            "task did not end during the shutdown and was aborted",
            "task was destroyed but it is pending",
        ];
        assert!(known.contains(&&*report.message), "{report}");
    }
}

#[test]
fn f18_a_shutdown_goes_on_in_spite_of_failures_that_are_to_end_a_run() {
    let trace = Trace::new();
    for policy in [UnretrievedFailure::Stop, UnretrievedFailure::Panic] {
        let mut runner = Runner::builder()
            .loop_factory(move || EventLoop::builder().unretrieved_failure(policy).build())
            .build();
        let reports = record_reports(&*runner.get_loop().unwrap());
        let seen = trace.clone();
        runner
            .run_value(async move {
                let future = futures::current().create_future::<()>();
                create_task(async move {
                    let cancelled = wait_and_tell(seen.clone(), "task").await;
                    // Dropped with its failure.
                    future.set_exception(Exception::msg("left behind"))?;
                    drop(future);
                    futures::yield_now().await?;
                    seen.note("went on");
                    cancelled
                });
                futures::yield_now().await.unwrap();
            })
            .unwrap();
        let closed = catch_unwind(AssertUnwindSafe(|| runner.close()));
        assert_eq!(trace.take(), ["task: cancelled", "went on"]);
        assert_eq!(reports.take().len(), 1);
        match policy {
            UnretrievedFailure::Stop => {
                assert_eq!(closed.unwrap().unwrap_err().to_string(), "left behind");
            }
            _ => drop(closed.unwrap_err()),
        }
        assert!(runner.get_loop().is_err());
    }
}

#[test]
fn t32_e12_to_thread_runs_in_the_default_executor_and_moves_the_value() {
    struct NotClone(std::thread::ThreadId);
    let here = std::thread::current().id();
    let there = run(async { to_thread(|| NotClone(std::thread::current().id())).await }).unwrap();
    assert_ne!(there.0, here);
    static TOWN: TaskLocal<&str> = TaskLocal::new();
    let seen = TOWN.sync_scope("here", || run(async { to_thread(|| TOWN.get()).await }));
    assert_eq!(seen.unwrap(), None, "task-local values stay on their thread");
    // Passed on, it would be main's own panic.
    let outcome = run_value(async { to_thread(|| panic!("expected: in a thread")).await }).unwrap();
    let outcome: Result<(), Exception> = outcome;
    assert_eq!(outcome.unwrap_err().to_string(), "panicked: expected: in a thread");
}

#[test]
fn t32_e12_a_job_that_nobody_waits_for_any_more_does_not_start() {
    let (release, released) = channel::<()>();
    let pool = tulipa_eventloop::ThreadPoolExecutor::new(tulipa_eventloop::ThreadPoolOptions {
        max_threads: 1,
        ..Default::default()
    });
    run(async move {
        tulipa_eventloop::current().set_default_executor(std::sync::Arc::new(pool.clone()));
        let blocker = create_task(to_thread(move || released.recv().is_err()));
        let cancelled = create_task(to_thread(|| unreachable!("it was cancelled")));
        let aborted = create_task(to_thread(|| unreachable!("it was dropped")));
        while pool.queue_len() < 2 {
            futures::yield_now().await?;
        }
        assert!(cancelled.cancel() && aborted.abort());
        let (cancelled, aborted): (Result<(), _>, Result<(), _>) = (cancelled.await, aborted.await);
        assert!(cancelled.unwrap_err().is_cancelled() && aborted.unwrap_err().is_cancelled());
        drop(release);
        assert!(blocker.await?);
        Ok(())
    })
    .unwrap();
}

#[test]
fn i1_a_runner_runs_on_any_loop_behind_the_interface() {
    let owner = EventLoop::new().unwrap();
    let handle: LoopHandle = owner.handle();
    let mut runner = Runner::builder().any_loop_factory(move || Ok(handle.into())).build();
    assert_eq!(runner.run_value(async { 2 }).unwrap(), 2);
    runner.close().unwrap();
    assert!(owner.is_closed());
}
