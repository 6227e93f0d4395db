//! [`Cooperator`].

use futures::{Cooperator, Exception, SchedulerExt, TaskLocal, sleep};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use tulipa_tests::{Host, Trace, on_drop};

const SECOND: Duration = Duration::from_secs(1);

/// Steps that note their numbers.
fn steps(trace: &Trace, name: &'static str, count: u32) -> impl Iterator<Item = ()> + 'static {
    let trace = trace.clone();
    (1..=count).map(move |number| trace.note(format!("{name}{number}")))
}

pub(crate) fn w27_tasks_take_turns_and_others_have_theirs(host: &dyn Host) {
    let (scheduler, trace) = (host.scheduler(), Trace::new());
    let cooperator = Cooperator::new(&*scheduler).slice(Duration::ZERO);
    let one = cooperator.cooperate(steps(&trace, "a", 3));
    let other = cooperator.cooperate(steps(&trace, "b", 2));
    assert!(trace.take().is_empty(), "nothing before the next turn");
    let (again, notes) = (scheduler.clone(), trace.clone());
    scheduler.call_soon(move || {
        notes.note("x");
        again.call_soon(notes.mark("y"));
    });
    host.run_until_idle();
    assert_eq!(trace.take(), ["a1", "x", "b1", "y", "a2", "b2", "a3"]);
    assert!(one.when_done().result().is_ok() && other.when_done().result().is_ok());
    assert_eq!(format!("{one:?}"), "CooperativeTask(done)");
}

pub(crate) fn w27_a_slice_is_many_steps_but_not_without_end(host: &dyn Host) {
    let (scheduler, trace) = (host.scheduler(), Trace::new());
    let notes = trace.clone();
    let cooperator = Cooperator::new(&*scheduler);
    // On a clock that stands still.
    let endless = cooperator.cooperate(std::iter::repeat_with(|| ()));
    scheduler.call_soon(move || {
        notes.note("others");
        endless.stop().unwrap();
    });
    host.run_until_idle();
    assert_eq!(trace.take(), ["others"]);
    let quick = cooperator.cooperate(steps(&trace, "s", 100));
    scheduler.call_soon(trace.mark("others"));
    host.run_until_idle();
    let seen = trace.take();
    assert_eq!((seen.len(), seen[100].as_str()), (101, "others"));
    assert!(quick.when_done().done());
}

pub(crate) fn w27_a_task_is_paused_resumed_and_stopped(host: &dyn Host) {
    let (scheduler, trace) = (host.scheduler(), Trace::new());
    let cooperator = Cooperator::new(&*scheduler).slice(Duration::ZERO);
    let freed = on_drop(trace.mark("freed"));
    let endless = cooperator.cooperate(std::iter::repeat_with(move || {
        let _captured = &freed;
    }));
    assert_eq!(
        endless.resume().unwrap_err().to_string(),
        "CooperativeTask::resume: it is not paused"
    );
    endless.pause().unwrap();
    endless.pause().unwrap();
    host.run_until_idle(); // or it would never be idle
    assert_eq!(format!("{endless:?}"), "CooperativeTask(paused)");
    endless.resume().unwrap();
    host.run_until_idle();
    endless.resume().unwrap();
    let over = endless.when_done();
    let stopped = endless.clone();
    scheduler.call_later(SECOND, || ());
    scheduler.call_soon(move || stopped.stop().unwrap());
    host.run_until_idle();
    assert!(over.cancelled());
    assert_eq!(trace.take(), ["freed"]);
    for error in [endless.stop(), endless.pause(), endless.resume()] {
        assert!(error.unwrap_err().to_string().ends_with("it is done"));
    }
    // Cancelling the future is stopping.
    let endless = cooperator.cooperate(std::iter::repeat_with(|| ()));
    endless.when_done().cancel();
    host.run_until_idle();
    assert!(endless.stop().is_err());
}

pub(crate) fn w27_a_step_may_give_something_to_wait_for(host: &dyn Host) {
    let (scheduler, trace) = (host.scheduler(), Trace::new());
    let cooperator = Cooperator::new(&*scheduler);
    let (notes, clock, start) = (trace.clone(), scheduler.clone(), scheduler.time());
    let slow = cooperator.cooperate((0..3).map(move |_| {
        notes.note((clock.time() - start).as_secs());
        sleep(SECOND)
    }));
    let quick = cooperator.cooperate(steps(&trace, "q", 2));
    host.run_until_idle();
    assert_eq!(trace.take(), ["0", "q1", "q2", "1", "2"]);
    assert!(slow.when_done().done() && quick.when_done().done());
    // Stopped meanwhile, it cancels that.
    let pending = scheduler.create_future::<()>();
    let given = pending.clone();
    let waiting = cooperator.cooperate(std::iter::repeat_with(move || given.clone()));
    host.run_until_idle();
    assert!(!waiting.when_done().done() && !pending.done());
    waiting.stop().unwrap();
    assert!(pending.cancelled());
}

pub(crate) fn w27_a_failing_step_ends_its_task_only(host: &dyn Host) {
    let (scheduler, trace) = (host.scheduler(), Trace::new());
    let cooperator = Cooperator::new(&*scheduler);
    let fails = cooperator.cooperate([Ok(()), Err(Exception::msg("enough")), Ok(())]);
    let panics = cooperator.cooperate((0..2).map(|_| fail()));
    let waits = cooperator.cooperate((0..2).map(|_| async {
        sleep(SECOND).await?;
        Err::<(), _>(Exception::msg("later"))
    }));
    let others = cooperator.cooperate(steps(&trace, "o", 3));
    host.run_until_idle();
    assert_eq!(fails.when_done().result().unwrap_err().to_string(), "enough");
    assert!(panics.when_done().exception().unwrap().unwrap().panicked().is_some());
    assert_eq!(waits.when_done().result().unwrap_err().to_string(), "later");
    assert!(others.when_done().result().is_ok());
    assert_eq!(trace.take(), ["o1", "o2", "o3"]);
}

pub(crate) fn w27_a_destructor_that_panics_ends_nobody_elses_work(host: &dyn Host) {
    let (scheduler, trace) = (host.scheduler(), Trace::new());
    let cooperator = Cooperator::new(&*scheduler);
    let bomb = on_drop(fail);
    let fatal = cooperator.cooperate((0..1).map(move |_| {
        let _captured = &bomb;
    }));
    let other = cooperator.cooperate(steps(&trace, "o", 3));
    host.run_until_idle();
    assert_eq!(trace.take(), ["o1", "o2", "o3"]);
    assert!(fatal.when_done().result().is_ok() && other.when_done().result().is_ok());
    assert_eq!(host.take_reports().len(), 1);
}

pub(crate) fn w27_work_that_nobody_holds_takes_only_itself_along(host: &dyn Host) {
    type Slot = Rc<RefCell<Option<futures::CooperativeTask>>>;
    let endings: [fn(&Slot); 3] = [
        // Before its first step.
        |slot| slot.take().unwrap().pause().unwrap(),
        |slot| assert!(slot.take().unwrap().when_done().cancel()),
        // During it.
        |_| (),
    ];
    let (scheduler, trace) = (host.scheduler(), Trace::new());
    for end in endings {
        let cooperator = Cooperator::new(&*scheduler);
        let (bomb, slot) = (on_drop(fail), Slot::default());
        let own = slot.clone();
        let fatal = cooperator.cooperate(std::iter::repeat_with(move || {
            let _captured = &bomb;
            own.take().unwrap().pause().unwrap();
        }));
        slot.replace(Some(fatal));
        end(&slot);
        let other = cooperator.cooperate(steps(&trace, "o", 3));
        host.run_until_idle();
        assert_eq!(trace.take(), ["o1", "o2", "o3"]);
        assert!(other.when_done().result().is_ok());
        assert_eq!(host.take_reports().len(), 1);
    }
}

pub(crate) fn w27_a_step_that_fails_after_it_was_stopped_is_reported(host: &dyn Host) {
    let scheduler = host.scheduler();
    let cooperator = Cooperator::new(&*scheduler);
    let slot = Rc::new(RefCell::new(None::<futures::CooperativeTask>));
    let own = slot.clone();
    let at_once = cooperator.cooperate((0..2).map(move |_| {
        own.take().unwrap().stop().unwrap();
        Err::<(), _>(Exception::msg("at once"))
    }));
    slot.replace(Some(at_once));
    let later = cooperator.cooperate((0..2).map(|_| async {
        let _ = sleep(SECOND * 3600).await;
        Err::<(), _>(Exception::msg("later"))
    }));
    scheduler.call_later(SECOND, move || later.stop().unwrap());
    host.run_until_idle();
    let reports: Vec<String> = host.take_reports().iter().map(ToString::to_string).collect();
    assert_eq!(reports.len(), 2, "{reports:?}");
    assert!(reports[0].contains("at once") && reports[1].contains("later"), "{reports:?}");
}

fn fail() {
    std::panic::panic_any("of no importance");
}

pub(crate) fn w27_a_step_may_do_anything_to_its_task(host: &dyn Host) {
    type Action = fn(&futures::CooperativeTask);
    let actions: [Action; 5] = [
        |task| drop(task.pause()),
        |task| drop(task.resume()),
        |task| drop(task.stop()),
        |task| {
            task.when_done().cancel();
        },
        |_| fail(),
    ];
    let scheduler = host.scheduler();
    let cooperator = Cooperator::new(&*scheduler).slice(Duration::ZERO);
    for one in actions {
        for other in actions {
            let slot = Rc::new(RefCell::new(None));
            let own = slot.clone();
            let task = cooperator.cooperate((0..5).map(move |number| {
                let task: futures::CooperativeTask = own.borrow().clone().unwrap();
                if number == 1 {
                    one(&task);
                    other(&task);
                }
            }));
            slot.replace(Some(task.clone()));
            host.run_until_idle();
            while task.resume().is_ok() {
                host.run_until_idle();
            }
            let over = task.when_done();
            assert!(over.done());
            let _ = over.exception(); // it may have panicked
            slot.take();
        }
    }
    host.take_reports(); // or have been stopped first
}

static NAME: TaskLocal<&str> = TaskLocal::new();

pub(crate) fn w27_l53_steps_see_the_values_of_the_place_that_began_them(host: &dyn Host) {
    let (scheduler, trace) = (host.scheduler(), Trace::new());
    let cooperator = Cooperator::new(&*scheduler);
    for name in ["red", "blue"] {
        let notes = trace.clone();
        NAME.sync_scope(name, || {
            cooperator.cooperate((0..2).map(move |_| notes.note(NAME.get().unwrap())));
        });
    }
    host.run_until_idle();
    assert_eq!(trace.take(), ["red", "blue", "red", "blue"]);
}

pub(crate) fn w27_l25_closing_the_loop_frees_the_work(host: &dyn Host) {
    let (scheduler, trace) = (host.scheduler(), Trace::new());
    let cooperator = Cooperator::new(&*scheduler);
    let freed = on_drop(trace.mark("freed"));
    let task = cooperator.cooperate((0..2).map(move |_| {
        let _captured = &freed;
    }));
    host.close();
    assert_eq!(trace.take(), ["freed"]);
    assert!(task.when_done().cancelled());
    let refused = cooperator.cooperate(steps(&trace, "n", 1));
    assert!(refused.when_done().cancelled());
}

pub(crate) fn w27_l25_closing_the_loop_frees_work_that_waits_and_all_of_it(host: &dyn Host) {
    let (scheduler, trace) = (host.scheduler(), Trace::new());
    let cooperator = Cooperator::new(&*scheduler);
    let freed = on_drop(trace.mark("freed"));
    let never = scheduler.create_future::<()>();
    let mut given = Some(never.clone());
    cooperator.cooperate(std::iter::repeat_with(move || {
        let _captured = &freed;
        given.take().unwrap()
    }));
    host.run_until_idle();
    assert!(trace.take().is_empty());
    let bomb = on_drop(fail);
    cooperator.cooperate((0..2).map(move |_| {
        let _captured = &bomb;
    }));
    let other = cooperator.cooperate(steps(&trace, "n", 1));
    host.close();
    assert!(other.when_done().cancelled());
    drop(never);
    assert_eq!(trace.take(), ["freed"]);
    assert_eq!(host.take_reports().len(), 1);
}
