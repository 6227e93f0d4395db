//! `Event`.

use super::support::at_once;
use futures::{Event, SchedulerExt, Task};
use tulipa_tests::{Host, Trace};

fn waiter(host: &dyn Host, event: &Event, trace: &Trace, name: &'static str) -> Task<()> {
    let (event, trace) = (event.clone(), trace.clone());
    host.scheduler().create_task(async move {
        event.wait().await?;
        trace.note(name);
        Ok(())
    })
}

pub(crate) fn s10_setting_wakes_all_and_lets_later_ones_pass(host: &dyn Host) {
    let (event, trace) = (Event::new(), Trace::new());
    for name in ["a", "b", "c"] {
        waiter(host, &event, &trace, name);
    }
    host.run_until_idle();
    assert!(trace.take().is_empty() && !event.is_set());
    assert_eq!(format!("{event:?}"), "Event(unset, 3 waiting)");
    event.set();
    assert!(event.is_set());
    at_once(event.wait()).unwrap();
    host.run_until_idle();
    assert_eq!(trace.take(), ["a", "b", "c"]);
    event.clear();
    waiter(host, &event, &trace, "late");
    host.run_until_idle();
    assert!(trace.take().is_empty() && !event.is_set());
    event.set();
    host.run_until_idle();
    assert_eq!(trace.take(), ["late"]);
    assert_eq!(format!("{event:?}"), "Event(set, 0 waiting)");
}

pub(crate) fn s11_set_and_cleared_in_one_turn_it_still_wakes(host: &dyn Host) {
    let (event, trace) = (Event::new(), Trace::new());
    waiter(host, &event, &trace, "a");
    waiter(host, &event, &trace, "b");
    host.run_until_idle();
    event.set();
    event.clear();
    // Who begins to wait after that waits for the next time.
    waiter(host, &event, &trace, "late");
    host.run_until_idle();
    assert_eq!(trace.take(), ["a", "b"]);
    event.set();
    host.run_until_idle();
    assert_eq!(trace.take(), ["late"]);
}

pub(crate) fn s12_setting_twice_is_setting_once_and_who_is_cancelled_leaves(host: &dyn Host) {
    let (event, trace) = (Event::new(), Trace::new());
    let tasks = ["a", "b", "c"].map(|name| waiter(host, &event, &trace, name));
    host.run_until_idle();
    assert!(tasks[0].cancel() && tasks[1].abort());
    host.run_until_idle();
    assert_eq!(format!("{event:?}"), "Event(unset, 1 waiting)");
    event.set();
    event.set();
    host.run_until_idle();
    assert_eq!(trace.take(), ["c"]);
    // Told and cancelled in one turn: the others are told all the same.
    event.clear();
    let tasks = ["d", "e"].map(|name| waiter(host, &event, &trace, name));
    host.run_until_idle();
    event.set();
    assert!(tasks[0].cancel());
    host.run_until_idle();
    assert_eq!(trace.take(), ["e"]);
}

pub(crate) fn s10_a_waker_that_waits_again_waits_for_the_next_time(host: &dyn Host) {
    // Wakers of foreign executors run at once: one that clears the event and waits again is not told
    // for ever.
    let (event, trace) = (Event::new(), Trace::new());
    let (again, seen) = (event.clone(), trace.clone());
    host.scheduler().call_soon(move || {
        let (inner, noted) = (again.clone(), seen.clone());
        let waker = tulipa_tests::local_waker(move || {
            noted.note("woken");
            inner.clear();
            let mut wait = Box::pin(inner.wait());
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(wait.as_mut().poll(&mut context).is_pending());
            std::mem::drop(futures::spawn(wait));
        });
        let mut wait = Box::pin(again.wait());
        let mut context = std::task::Context::from_waker(&waker);
        assert!(wait.as_mut().poll(&mut context).is_pending());
        again.set();
        assert!(!again.is_set());
    });
    host.run_until_idle();
    assert_eq!(trace.take(), ["woken"]);
    assert_eq!(format!("{event:?}"), "Event(unset, 1 waiting)");
    event.set();
    host.run_until_idle();
    assert_eq!(format!("{event:?}"), "Event(set, 0 waiting)");
}
