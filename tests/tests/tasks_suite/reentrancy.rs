//! What coroutines and their destructors do to the task, the scope and the loop that they are part of.

use super::support::{Log, secs, words};
use futures::{
    Exception, SchedulerExt, Task, TaskBuilder, TaskLocal, all_tasks, current_task, race, sleep,
    timeout, yield_now,
};
use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use tulipa_tests::{Host, MiniScheduler, on_drop};

pub(crate) fn t15_a_request_of_its_own_reaches_the_next_wait_in_a_branch(host: &dyn Host) {
    let cancelled = || async {
        current_task().unwrap().cancel();
        Ok::<_, Exception>((words(&yield_now().await), words(&yield_now().await)))
    };
    let told = Ok(("error: cancelled".to_owned(), "()".to_owned()));
    let task = host.scheduler().spawn(async move {
        let plain = cancelled().await;
        let limited = timeout(secs(1), cancelled()).await;
        let deeper = timeout(secs(2), timeout(secs(1), cancelled())).await;
        let raced = race([cancelled()]).await.and_then(|race| race.outcome);
        [plain, limited, deeper, raced].map(|outcome| outcome.map_err(|error| error.to_string()))
    });
    host.run_until_idle();
    assert_eq!(task.take().unwrap(), [(); 4].map(|()| told.clone()));
}

pub(crate) fn a_destructor_of_a_refused_coroutine_may_make_tasks_of_the_loop(host: &dyn Host) {
    let (scheduler, made) = (host.scheduler(), Rc::new(RefCell::new(None::<Task<()>>)));
    let scope = scheduler.create_scope();
    scope.abort();
    let (kept, spawner) = (made.clone(), scheduler.clone());
    let guard = on_drop(move || {
        let mut polls = 0;
        // Woken by a waker that is kept, as a foreign future would.
        let task = spawner.spawn(poll_fn(move |context| {
            polls += 1;
            let waker = context.waker().clone();
            futures::current().call_soon(move || waker.wake());
            if polls > 2 { Poll::Ready(()) } else { Poll::Pending }
        }));
        kept.replace(Some(task));
    });
    let refused = scope.spawn(async move { drop(guard) });
    assert!(refused.cancelled());
    assert_eq!(host.take_reports().len(), 1);
    assert_eq!(all_tasks(&*scheduler).len(), 1);
    host.run_until_idle();
    assert!(made.take().unwrap().done());
}

static KEPT: TaskLocal<Rc<RefCell<Vec<Task<()>>>>> = TaskLocal::new();

pub(crate) fn l53_the_context_of_a_task_ends_with_it(host: &dyn Host) {
    let (scheduler, alive) = (host.scheduler(), Rc::new(()));
    // A value that knows the tasks that know it.
    for ends in ["by itself", "before it begins", "with the loop"] {
        let tasks = Rc::new(RefCell::new(Vec::new()));
        let spawner = scheduler.clone();
        KEPT.sync_scope(tasks.clone(), || {
            let captured = alive.clone();
            let task = spawner.spawn(async move {
                let _captured = captured;
                let _ = sleep(secs(1)).await;
            });
            tasks.borrow_mut().push(task);
        });
        let values = Rc::downgrade(&tasks);
        match ends {
            "by itself" => {}
            "before it begins" => assert!(tasks.borrow()[0].cancel()),
            _ => host.close(),
        }
        drop(tasks);
        host.run_until_idle();
        host.take_reports();
        assert!(values.upgrade().is_none(), "{ends}");
    }
}

static NAME: TaskLocal<&str> = TaskLocal::new();

pub(crate) fn l53_a_coroutine_that_goes_with_its_loop_is_dropped_in_its_context(host: &dyn Host) {
    let (scheduler, log) = (host.scheduler(), Log::default());
    for begins in [true, false] {
        let seen = log.clone();
        let guard = on_drop(move || seen.add(format!("{:?}", NAME.get())));
        NAME.sync_scope("its own", || {
            scheduler.spawn(async move {
                let _guard = guard;
                let _ = sleep(secs(3600)).await;
                unreachable!()
            });
        });
        if begins {
            scheduler.call_later(secs(1), {
                let scheduler = scheduler.clone();
                move || scheduler.call_exception_handler(futures::ExceptionContext::new("a second"))
            });
        }
    }
    drop(scheduler);
    host.close();
    host.take_reports();
    assert_eq!(log.take(), ["Some(\"its own\")", "Some(\"its own\")"]);
}

/// Runs `body` as a task of a scheduler that may be closed at any time.
fn on_closable(eager: bool, body: fn(Rc<MiniScheduler>, Log)) -> Vec<String> {
    let (scheduler, log) = (MiniScheduler::new(), Log::default());
    let bystander = scheduler.create_task(sleep(secs(1)));
    let (seen, closing) = (log.clone(), scheduler.clone());
    scheduler.call_soon(move || {
        let builder = if eager { TaskBuilder::new().eager() } else { TaskBuilder::new() };
        let (guard, inner) = (seen.clone(), closing.clone());
        let task = builder.create_task(&*closing, async move {
            let _guard = on_drop(move || guard.add("dropped"));
            body(inner.clone(), seen.clone());
            let told = sleep(secs(1)).await;
            seen.add(words(&told));
            told
        });
        task.add_done_callback(|_| unreachable!("the loop is closed"));
    });
    scheduler.run_until_idle();
    assert!(bystander.cancelled());
    let weak = Rc::downgrade(&scheduler);
    drop((bystander, scheduler));
    assert!(weak.upgrade().is_none(), "something keeps it alive");
    log.take()
}

fn close(scheduler: Rc<MiniScheduler>, log: Log) {
    scheduler.close();
    log.add(format!("closed, {} tasks", all_tasks(&*scheduler).len()));
    assert!(scheduler.spawn(async {}).cancelled());
    scheduler.take_reports();
}

pub(crate) fn t23_a_coroutine_may_close_its_own_loop(_host: &dyn Host) {
    assert_eq!(on_closable(false, close), ["closed, 0 tasks", "dropped"]);
}

pub(crate) fn t23_an_eager_coroutine_may_close_its_own_loop(_host: &dyn Host) {
    assert_eq!(on_closable(true, close), ["closed, 0 tasks", "dropped"]);
}

pub(crate) fn t23_a_destructor_may_close_the_loop(_host: &dyn Host) {
    let scheduler = MiniScheduler::new();
    let alive = Rc::new(());
    for abort in [true, false] {
        let (closing, held) = (scheduler.clone(), alive.clone());
        let task = scheduler.create_task::<()>(async move {
            let _guard = on_drop(move || {
                let _held = held;
                closing.close();
                assert!(closing.spawn(async {}).cancelled());
            });
            if abort {
                current_task().unwrap().abort();
            }
            sleep(secs(1)).await
        });
        scheduler.run_until_idle();
        assert!(task.done());
    }
    scheduler.take_reports();
    let weak = Rc::downgrade(&scheduler);
    drop(scheduler);
    assert!(weak.upgrade().is_none() && Rc::strong_count(&alive) == 1);
}

pub(crate) fn t26_an_eager_task_may_cancel_or_abort_itself(host: &dyn Host) {
    let scheduler = host.scheduler();
    let task = scheduler.clone().spawn(async move {
        let eager = |body: fn()| {
            TaskBuilder::new().eager().create_task(&*scheduler, async move {
                body();
                yield_now().await?;
                Ok(())
            })
        };
        let cancelled = eager(|| assert!(current_task().unwrap().cancel()));
        let aborted = eager(|| assert!(current_task().unwrap().abort()));
        assert!(aborted.cancelled() && !aborted.cancel() && !aborted.abort());
        [words(&cancelled.await), words(&aborted.await)]
    });
    host.run_until_idle();
    assert_eq!(task.take().unwrap(), ["error: cancelled", "error: cancelled"]);
}
