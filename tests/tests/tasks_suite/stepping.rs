//! How tasks run.

use super::support::{Dropped, Log, words};
use futures::{
    Exception, Future, InvalidStateError, SchedulerExt, Task, TaskBuilder, TaskState, all_tasks,
    current_task, sleep, yield_now,
};
use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use tulipa_tests::Host;

pub(crate) fn t1_nothing_of_a_task_runs_before_the_next_iteration(host: &dyn Host) {
    let (scheduler, log) = (host.scheduler(), Log::default());
    let seen = log.clone();
    scheduler.call_soon(move || seen.add("before"));
    let seen = log.clone();
    let task = scheduler.spawn(async move { seen.add("task") });
    let seen = log.clone();
    scheduler.call_soon(move || seen.add("after"));
    assert!(log.take().is_empty() && !task.done());
    host.run_until_idle();
    assert_eq!(log.take(), ["before", "task", "after"]);
    assert!(task.done() && !task.cancelled());
}

pub(crate) fn t2_going_on_costs_one_hop(host: &dyn Host) {
    let (scheduler, log) = (host.scheduler(), Log::default());
    let future = scheduler.create_future::<u32>();
    let (awaited, seen) = (future.clone(), log.clone());
    scheduler.create_task(async move {
        seen.add("waits");
        let value = awaited.await?;
        seen.add(format!("got {value}"));
        Ok(())
    });
    host.run_until_idle();
    let seen = log.clone();
    scheduler.call_soon(move || seen.add("before"));
    future.set_result(7).unwrap();
    let seen = log.clone();
    scheduler.call_soon(move || seen.add("after"));
    host.run_until_idle();
    assert_eq!(log.take(), ["waits", "before", "got 7", "after"]);
}

pub(crate) fn t3_yielding_gives_everybody_one_turn(host: &dyn Host) {
    let (scheduler, log) = (host.scheduler(), Log::default());
    for name in ["a", "b", "c"] {
        let log = log.clone();
        scheduler.create_task(async move {
            for turn in 0..3 {
                log.add(format!("{name}{turn}"));
                yield_now().await?;
            }
            Ok(())
        });
    }
    host.run_until_idle();
    assert_eq!(log.take(), ["a0", "b0", "c0", "a1", "b1", "c1", "a2", "b2", "c2"]);
}

pub(crate) fn t4_what_a_coroutine_returns_is_the_outcome(host: &dyn Host) {
    let scheduler = host.scheduler();
    let value = scheduler.create_task(async { Ok("value") });
    let plain = scheduler.spawn(async { 7 });
    let failed = scheduler.create_task(async { Err::<(), _>(Exception::msg("failed")) });
    let cancelled = scheduler.create_task(async {
        Err::<(), _>(futures::CancelledError::with_message("enough").into())
    });
    host.run_until_idle();
    assert_eq!(value.result().unwrap(), "value");
    assert_eq!(plain.take().unwrap(), 7);
    assert_eq!(words(&plain.result()), "error: the result was taken");
    assert_eq!(failed.exception().unwrap().unwrap().to_string(), "failed");
    assert!(cancelled.cancelled());
    assert_eq!(words(&cancelled.result()), "error: cancelled: enough");
}

pub(crate) fn t4_a_panic_is_the_exception(host: &dyn Host) {
    let (scheduler, log) = (host.scheduler(), Log::default());
    let guard = Dropped(log.clone(), "dropped");
    let task = scheduler.create_task(async move {
        let _guard = guard;
        yield_now().await?;
        if true {
            panic!("expected");
        }
        Ok(())
    });
    host.run_until_idle();
    assert_eq!(words(&task.result()), "error: panicked: expected");
    assert_eq!(log.take(), ["dropped"]);
}

pub(crate) fn t5_a_task_is_not_completed_from_outside(host: &dyn Host) {
    let task = host.scheduler().spawn(async { 1 });
    let future: &Future<u32> = task.as_future();
    assert!(future.set_result(2).is_err() && future.set_exception(Exception::msg("no")).is_err());
    assert_eq!(future.try_set_result(3), Err(3));
    host.run_until_idle();
    assert_eq!(future.result().unwrap(), 1);
}

pub(crate) fn t6_a_task_cannot_wait_for_itself(host: &dyn Host) {
    let itself = Rc::new(RefCell::new(None::<Task<String>>));
    let own = itself.clone();
    let task = host.scheduler().spawn(async move {
        let own = own.take().expect("it was told");
        words(&own.await)
    });
    itself.replace(Some(task.clone()));
    host.run_until_idle();
    assert_eq!(task.result().unwrap(), "error: a task cannot wait for itself");
}

pub(crate) fn t7_a_task_has_a_number_and_a_name(host: &dyn Host) {
    let scheduler = host.scheduler();
    let (first, second) = (scheduler.spawn(async {}), scheduler.spawn(async {}));
    assert!(first.number() < second.number());
    assert_eq!(*first.name(), format!("Task-{}", first.number()));
    let named = TaskBuilder::new().name("reader").spawn(&*scheduler, async {});
    assert_eq!(&*named.name(), "reader");
    host.run_until_idle();
    named.set_name("done reader");
    assert_eq!(&*named.name(), "done reader");
    assert!(format!("{named:?}").contains("done reader, finished"), "{named:?}");
}

pub(crate) fn t8_the_current_task_is_the_one_whose_step_runs(host: &dyn Host) {
    let scheduler = host.scheduler();
    assert!(current_task().is_none());
    let task = scheduler.spawn(async {
        let mine = current_task().unwrap();
        assert_eq!(mine.state(), TaskState::Running);
        yield_now().await.unwrap();
        assert_eq!(current_task().unwrap(), mine);
        mine.number()
    });
    scheduler.call_soon(|| assert!(current_task().is_none()));
    host.run_until_idle();
    assert_eq!(task.result().unwrap(), task.number());
}

pub(crate) fn t8_all_tasks_are_those_that_have_not_ended(host: &dyn Host) {
    let scheduler = host.scheduler();
    let future = scheduler.create_future::<()>();
    let tasks: Vec<_> = (0..3).map(|_| scheduler.create_task(future.clone())).collect();
    let names = || all_tasks(&*scheduler).iter().map(|task| task.number()).collect::<Vec<_>>();
    assert_eq!(names(), tasks.iter().map(Task::number).collect::<Vec<_>>());
    assert_eq!(tasks[1].to_ref().unwrap().state(), TaskState::Queued);
    host.run_until_idle();
    assert_eq!(tasks[1].to_ref().unwrap().state(), TaskState::Waiting);
    future.set_result(()).unwrap();
    host.run_until_idle();
    assert!(names().is_empty() && tasks[1].to_ref().is_none());
}

pub(crate) fn t9_t10_a_task_goes_on_without_handles(host: &dyn Host) {
    let (scheduler, log) = (host.scheduler(), Log::default());
    let future = scheduler.create_future::<()>();
    let (awaited, seen) = (future.clone(), log.clone());
    drop(scheduler.create_task(async move {
        awaited.await?;
        seen.add("went on");
        Ok(())
    }));
    host.run_until_idle();
    future.set_result(()).unwrap();
    drop(future);
    host.run_until_idle();
    assert_eq!(log.take(), ["went on"]);
}

pub(crate) fn t23_a_task_that_is_destroyed_while_pending_is_reported(host: &dyn Host) {
    let (scheduler, log) = (host.scheduler(), Log::default());
    let guard = Dropped(log.clone(), "dropped");
    let future = scheduler.create_future::<()>();
    let task = TaskBuilder::new().name("left over").create_task(&*scheduler, async move {
        let _guard = guard;
        future.await
    });
    let unborn = Dropped(log.clone(), "unborn dropped");
    host.run_until_idle();
    drop(scheduler.create_task(async move {
        drop(unborn);
        Ok(())
    }));
    drop(scheduler);
    host.close();
    assert_eq!(log.take(), ["dropped", "unborn dropped"]);
    assert!(task.cancelled());
    let reports = host.take_reports();
    assert_eq!(reports.len(), 2);
    assert_eq!(reports[0].message, "task was destroyed but it is pending");
    assert!(reports[0].task.as_ref().unwrap().contains("left over"));
}

pub(crate) fn t24_a_task_is_not_resumed_twice_for_one_wait(host: &dyn Host) {
    let scheduler = host.scheduler();
    let polls = Rc::new(RefCell::new(0));
    let (counted, waker) = (polls.clone(), Rc::new(RefCell::new(None)));
    let kept = waker.clone();
    let task = scheduler.spawn(poll_fn(move |context| {
        *counted.borrow_mut() += 1;
        kept.replace(Some(context.waker().clone()));
        match *counted.borrow() {
            1 => Poll::Pending,
            _ => Poll::Ready(()),
        }
    }));
    host.run_until_idle();
    let waker = waker.take().unwrap();
    waker.wake_by_ref();
    waker.wake_by_ref();
    host.run_until_idle();
    assert!(task.done());
    waker.wake_by_ref();
    waker.wake();
    host.run_until_idle();
    assert_eq!(*polls.borrow(), 2);
}

pub(crate) fn t26_t27_t29_an_eager_task_may_be_done_at_once(host: &dyn Host) {
    let (scheduler, log) = (host.scheduler(), Log::default());
    let outside = TaskBuilder::new().eager().spawn(&*scheduler, async {});
    assert!(!outside.done(), "the loop does not run");
    let seen = log.clone();
    scheduler.clone().spawn(async move {
        let eager = TaskBuilder::new().eager().spawn(&*scheduler, async { 7 });
        assert!(eager.done() && !eager.cancel());
        let blocking = TaskBuilder::new().eager().create_task(&*scheduler, async move {
            seen.add("began");
            yield_now().await?;
            seen.add("went on");
            Ok(())
        });
        assert!(!blocking.done());
        assert_eq!(all_tasks(&*scheduler).len(), 2);
        let failed = TaskBuilder::new()
            .eager()
            .create_task(&*scheduler, async { Err::<(), _>(Exception::msg("at once")) });
        assert!(failed.exception().unwrap().is_some());
        assert_eq!(eager.await.unwrap(), 7);
        assert!(blocking.await.is_ok());
    });
    host.run_until_idle();
    assert_eq!(log.take(), ["began", "went on"]);
    assert!(outside.done());
}

pub(crate) fn t28_an_eager_task_is_current_during_its_first_step(host: &dyn Host) {
    let scheduler = host.scheduler();
    let outer = scheduler.clone().spawn(async move {
        let before = current_task().unwrap();
        let eager = TaskBuilder::new().eager().spawn(&*scheduler, async {
            assert!(current_task().is_some());
            current_task().unwrap().number()
        });
        assert_eq!(current_task().unwrap(), before);
        assert_eq!(eager.result().unwrap(), eager.number());
        let panicking = TaskBuilder::new().eager().spawn(&*scheduler, async {
            if true {
                panic!("expected");
            }
        });
        assert_eq!(current_task().unwrap(), before);
        assert!(panicking.exception().unwrap().is_some());
    });
    host.run_until_idle();
    outer.result().unwrap();
}

pub(crate) fn t31_sleeping_takes_its_time_and_zero_yields(host: &dyn Host) {
    let (scheduler, log) = (host.scheduler(), Log::default());
    let seen = log.clone();
    let clock = scheduler.clone();
    scheduler.create_task(async move {
        let start = clock.time();
        sleep(Duration::from_millis(20)).await?;
        assert!(clock.time() - start >= Duration::from_millis(20));
        futures::sleep_until(start).await?;
        sleep(Duration::ZERO).await?;
        seen.add("slept");
        Ok(())
    });
    host.run_until_idle();
    assert_eq!(log.take(), ["slept"]);
}

pub(crate) fn f18_a_failure_is_reported_at_the_end_if_no_handle_is_left(host: &dyn Host) {
    let scheduler = host.scheduler();
    drop(scheduler.create_task(async { Err::<(), _>(Exception::msg("nobody asks")) }));
    let kept = scheduler.create_task(async { Err::<(), _>(Exception::msg("somebody may ask")) });
    let line = line!() - 1;
    host.run_until_idle();
    let reports = host.take_reports();
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].message, "task exception was never retrieved");
    assert_eq!(reports[0].exception.as_ref().unwrap().to_string(), "nobody asks");
    drop(kept);
    let reports = host.take_reports();
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].created_at.unwrap().line(), line);
}

pub(crate) fn f22_f23_tasks_wait_for_futures_in_turn(host: &dyn Host) {
    let (scheduler, log) = (host.scheduler(), Log::default());
    let future = scheduler.create_future::<u32>();
    for name in ["first", "second", "third"] {
        let (future, log) = (future.clone(), log.clone());
        scheduler.create_task(async move {
            log.add(format!("{name} got {}", future.clone().await?));
            log.add(format!("{name} again {}", future.await?));
            Ok(())
        });
    }
    host.run_until_idle();
    future.set_result(1).unwrap();
    host.run_until_idle();
    let expected = ["first", "second", "third"]
        .map(|name| [" got 1", " again 1"].map(|what| format!("{name}{what}")));
    assert_eq!(log.take(), expected.concat());
}

pub(crate) fn l26_a_task_of_a_closed_loop_is_cancelled_and_reported(host: &dyn Host) {
    let (scheduler, log) = (host.scheduler(), Log::default());
    host.close();
    let guard = Dropped(log.clone(), "dropped");
    let task = scheduler.spawn(async move { drop(guard) });
    assert!(task.cancelled());
    assert_eq!(log.take(), ["dropped"]);
    assert_eq!(host.take_reports().len(), 1);
}

pub(crate) fn f24_a_task_that_waits_for_a_future_of_another_loop_gets_an_error(host: &dyn Host) {
    let elsewhere = tulipa_tests::MiniHost::new();
    let future = elsewhere.scheduler().create_future::<u32>();
    let task = host.scheduler().create_task(future.clone());
    host.run_until_idle();
    assert!(task.exception().unwrap().unwrap().is::<InvalidStateError>());
    assert!(!future.done(), "nobody has touched it");
    future.set_result(7).unwrap();
    let late = host.scheduler().create_task(future);
    host.run_until_idle();
    assert_eq!(late.result().unwrap(), 7, "what is done tells anybody");
}
