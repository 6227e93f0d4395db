//! What is run when the loop starts, and when it shuts down (W-37).

use crate::common::{Captured, OnDrop, SECOND, Trace, for_each_loop, record_reports};
use futures::{Exception, Future, create_task, sleep};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;
use tulipa_eventloop::SystemEvent::{Shutdown, Startup};
use tulipa_eventloop::TriggerPhase::{After, Before, During};
use tulipa_eventloop::prelude::*;
use tulipa_eventloop::{EventLoop, Runner, RunnerBuilder, SystemEventTrigger, TestClock, TestLoop};

fn on_a_test_clock() -> RunnerBuilder {
    Runner::builder().loop_factory(|| EventLoop::builder().clock(TestClock::new()).build())
}

fn run_a_while(event_loop: &dyn AbstractEventLoop) {
    for _ in 0..8 {
        event_loop.run_once(Some(Duration::ZERO)).unwrap();
    }
}

#[test]
fn w37_what_is_to_be_called_when_running_is_called_at_the_start_in_order_or_at_once() {
    for_each_loop(|event_loop| {
        let trace = Trace::new();
        event_loop.call_when_running(trace.mark("first"));
        event_loop.call_soon(trace.mark("soon"));
        event_loop.call_when_running(trace.mark("second"));
        assert!(trace.take().is_empty());
        let (inside, notes) = (event_loop.handle(), trace.clone());
        event_loop.call_soon(move || {
            inside.call_when_running(notes.mark("at once"));
            notes.note("after it");
        });
        run_a_while(&**event_loop);
        assert_eq!(trace.take(), ["first", "second", "soon", "at once", "after it"]);
        // Between two runs it is as before the first.
        event_loop.call_when_running(trace.mark("later"));
        run_a_while(&**event_loop);
        assert_eq!(trace.take(), ["later"]);
    });
}

#[test]
fn w37_phases_follow_each_other_and_wait_for_what_was_given() {
    for_each_loop(|event_loop| {
        let trace = Trace::new();
        let goodbye: Future<()> = event_loop.create_future();
        event_loop.add_system_event_trigger(After, Shutdown, trace.mark("after"));
        event_loop.add_system_event_trigger(During, Shutdown, trace.mark("during"));
        let (given, notes) = (goodbye.clone(), trace.clone());
        event_loop.add_system_event_trigger(Before, Shutdown, move || {
            notes.note("before 1");
            given
        });
        let notes = trace.clone();
        event_loop.add_system_event_trigger(Before, Shutdown, move || async move {
            notes.note("before 2");
            futures::yield_now().await
        });
        event_loop.add_system_event_trigger(Before, Startup, trace.mark("start"));
        run_a_while(&**event_loop);
        assert_eq!(trace.take(), ["start"]);
        let fired = event_loop.fire_system_event(Shutdown);
        run_a_while(&**event_loop);
        assert_eq!(trace.take(), ["before 1", "before 2"]);
        assert!(!fired.done());
        goodbye.set_result(()).unwrap();
        run_a_while(&**event_loop);
        assert_eq!(trace.take(), ["during", "after"]);
        assert!(fired.result().is_ok());
        // Each runs once.
        let fired = event_loop.fire_system_event(Shutdown);
        run_a_while(&**event_loop);
        assert!(fired.result().is_ok() && trace.take().is_empty());
    });
}

#[test]
fn w37_a_failing_trigger_does_not_stop_the_others() {
    for_each_loop(|event_loop| {
        let (trace, reports) = (Trace::new(), record_reports(&**event_loop));
        event_loop.add_system_event_trigger(Before, Shutdown, || Err(Exception::msg("one")));
        event_loop.add_system_event_trigger(Before, Shutdown, || fail("two"));
        event_loop.add_system_event_trigger(Before, Shutdown, || async {
            Err::<(), _>(Exception::msg("three"))
        });
        let bomb = OnDrop::new(|| fail("four"));
        event_loop.add_system_event_trigger(During, Shutdown, move || bomb.keep());
        event_loop.add_system_event_trigger(During, Shutdown, trace.mark("during"));
        event_loop.add_system_event_trigger(After, Shutdown, trace.mark("after"));
        let fired = event_loop.fire_system_event(Shutdown);
        run_a_while(&**event_loop);
        assert!(fired.result().is_ok());
        assert_eq!(trace.take(), ["during", "after"]);
        let reports = reports.take();
        assert_eq!(reports.len(), 4);
        assert!(reports.iter().all(|it| it.message.contains("Shutdown failed")), "{reports:?}");
        assert!(reports.iter().all(|it| it.created_at.unwrap().file() == file!()));
    });
}

fn fail(message: &'static str) {
    std::panic::panic_any(message);
}

#[test]
fn w37_a_trigger_can_be_removed_until_it_runs() {
    for_each_loop(|event_loop| {
        let (trace, captured) = (Trace::new(), Captured::new());
        let removed = event_loop.add_system_event_trigger(Before, Shutdown, captured.hold());
        assert_eq!(captured.copies(), 1);
        assert!(event_loop.remove_system_event_trigger(removed));
        assert!(!event_loop.remove_system_event_trigger(removed));
        assert_eq!(captured.copies(), 0);
        // By another trigger, which also adds some: for this phase, for a later one, for one that is over.
        let next: Rc<Cell<Option<SystemEventTrigger>>> = Rc::default();
        let (remover, victim, notes) = (event_loop.handle(), next.clone(), trace.clone());
        event_loop.add_system_event_trigger(During, Shutdown, move || {
            assert!(remover.remove_system_event_trigger(victim.take().unwrap()));
            remover.add_system_event_trigger(During, Shutdown, notes.mark("this phase"));
            remover.add_system_event_trigger(After, Shutdown, notes.mark("a later one"));
            remover.add_system_event_trigger(Before, Shutdown, notes.mark("next time"));
        });
        let victim = event_loop.add_system_event_trigger(During, Shutdown, trace.mark("never"));
        next.set(Some(victim));
        for expected in [&["this phase", "a later one"][..], &["next time"]] {
            event_loop.fire_system_event(Shutdown);
            run_a_while(&**event_loop);
            assert_eq!(trace.take(), expected);
        }
    });
}

#[test]
fn w37_what_a_startup_adds_for_a_phase_that_is_over_runs_in_the_next_turn() {
    for_each_loop(|event_loop| {
        let (adder, trace) = (event_loop.handle(), Trace::new());
        let notes = trace.clone();
        event_loop.add_system_event_trigger(After, Startup, move || {
            adder.add_system_event_trigger(Before, Startup, notes.mark("late"));
            notes.note("after");
        });
        run_a_while(&**event_loop);
        assert_eq!(trace.take(), ["after", "late"]);
    });
}

#[test]
fn w37_t86_a_runner_runs_the_triggers_of_its_shutdown_around_the_end_of_the_tasks() {
    let trace = Trace::new();
    let mut runner = on_a_test_clock().build();
    let event_loop = runner.get_loop().unwrap();
    let notes = trace.clone();
    event_loop.add_system_event_trigger(Before, Shutdown, move || async move {
        sleep(SECOND).await?;
        notes.note("before");
        Ok(())
    });
    event_loop.add_system_event_trigger(During, Shutdown, trace.mark("during"));
    event_loop.add_system_event_trigger(After, Shutdown, trace.mark("after"));
    let notes = trace.clone();
    let main = async move {
        create_task(async move {
            let slept = sleep(SECOND * 3600).await;
            notes.note("cancelled");
            slept
        });
        Ok(())
    };
    runner.run(main).unwrap();
    assert!(trace.take().is_empty());
    runner.close().unwrap();
    assert_eq!(trace.take(), ["before", "during", "cancelled", "after"]);
}

#[test]
fn w37_t86_a_trigger_that_does_not_end_is_waited_for_no_longer_than_tasks_are() {
    let trace = Trace::new();
    let mut runner = on_a_test_clock().shutdown_timeout(SECOND * 5).build();
    let event_loop = runner.get_loop().unwrap();
    let reports = record_reports(&*event_loop);
    let never = RefCell::new(Some(event_loop.create_future::<()>()));
    event_loop.add_system_event_trigger(Before, Shutdown, move || never.take().unwrap());
    event_loop.add_system_event_trigger(During, Shutdown, trace.mark("during"));
    let clock = event_loop.clone();
    // Something that lets the test's clock step.
    create_ticks(&*event_loop);
    runner.close().unwrap();
    assert_eq!(trace.take(), ["during"]);
    assert_eq!(clock.time() - futures::Instant::ZERO, SECOND * 5);
    let reports = reports.take();
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert!(reports[0].message.contains("took too long"));
}

fn create_ticks(event_loop: &dyn AbstractEventLoop) {
    for second in 1..10 {
        event_loop.call_later(SECOND * second, || ());
    }
}

#[test]
fn w37_l26_a_closed_loop_runs_nothing_and_says_so() {
    let (trace, captured) = (Trace::new(), Captured::new());
    let event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    let mut hold = captured.hold();
    event_loop.add_system_event_trigger(Before, Shutdown, move || {
        hold();
        let _keeps_its_own_loop = &handle;
    });
    event_loop.call_when_running(trace.mark("never"));
    event_loop.close().unwrap();
    assert_eq!(captured.copies(), 0);
    let reports = record_reports(&**event_loop);
    let dead = event_loop.add_system_event_trigger(Before, Startup, captured.hold());
    assert_eq!(captured.copies(), 0);
    assert!(!event_loop.remove_system_event_trigger(dead));
    assert_eq!(reports.take().len(), 1);
    assert!(trace.take().is_empty());
}

#[test]
fn w37_cancelling_ends_the_wait_for_what_triggers_gave() {
    let event_loop = TestLoop::new();
    let trace = Trace::new();
    for name in ["first", "second"] {
        let notes = trace.clone();
        event_loop.add_system_event_trigger(Before, Shutdown, move || async move {
            let slept = sleep(SECOND * 3600).await;
            notes.note(format!("{name} {}", slept.is_err()));
            slept
        });
    }
    event_loop.add_system_event_trigger(After, Shutdown, trace.mark("after"));
    let fired = event_loop.fire_system_event(Shutdown);
    event_loop.run_ready_now();
    fired.cancel();
    event_loop.run_until_idle();
    assert!(fired.cancelled());
    assert_eq!(trace.take(), ["first true", "second true"]);
}
