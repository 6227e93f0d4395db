//! [`defer_later`].

use futures::{Exception, SchedulerExt, defer_later};
use std::time::Duration;
use tulipa_tests::{Host, Trace, on_drop};

const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn w26_a_call_is_put_off_and_its_future_has_what_it_gave(host: &dyn Host) {
    let (scheduler, trace) = (host.scheduler(), Trace::new());
    let (start, notes, clock) = (scheduler.time(), trace.clone(), scheduler.clone());
    let value = defer_later(&*scheduler, SECOND * 2, move || {
        notes.note((clock.time() - start).as_secs());
        Ok(7)
    });
    let failed = defer_later(&*scheduler, SECOND, || Err::<(), _>(Exception::msg("no")));
    let panicked = defer_later(&*scheduler, SECOND, || -> Result<(), Exception> {
        std::panic::panic_any("of no importance")
    });
    // Nobody keeps it, and it runs.
    defer_later(&*scheduler, SECOND, trace.mark_ok("unkept"));
    host.run_until_idle();
    assert_eq!(trace.take(), ["unkept", "2"]);
    assert_eq!(value.result().unwrap(), 7);
    assert_eq!(failed.result().unwrap_err().to_string(), "no");
    assert!(panicked.exception().unwrap().unwrap().panicked().is_some());
}

trait MarkOk {
    fn mark_ok(&self, entry: &str) -> impl FnOnce() -> Result<(), Exception> + 'static;
}

impl MarkOk for Trace {
    fn mark_ok(&self, entry: &str) -> impl FnOnce() -> Result<(), Exception> + 'static {
        let mark = self.mark(entry);
        move || {
            mark();
            Ok(())
        }
    }
}

pub(crate) fn w26_cancelling_calls_it_off(host: &dyn Host) {
    let (scheduler, trace) = (host.scheduler(), Trace::new());
    let dropped = on_drop(trace.mark("dropped"));
    let never = defer_later(&*scheduler, SECOND, move || {
        drop(dropped);
        Ok(())
    });
    let (cancelled, notes, clock) = (never.clone(), trace.clone(), scheduler.clone());
    let start = scheduler.time();
    never.add_done_callback(move |_| notes.note((clock.time() - start).as_secs()));
    scheduler.call_soon(move || assert!(cancelled.cancel()));
    host.run_until_idle();
    assert_eq!(trace.take(), ["dropped", "0"], "the timer was not waited for");
    assert!(never.cancelled());
    // In the very batch in which it is due, before it.
    let slot = std::rc::Rc::new(std::cell::RefCell::new(None::<futures::Future<()>>));
    let later = slot.clone();
    scheduler.call_later(SECOND, move || assert!(later.take().unwrap().cancel()));
    slot.replace(Some(defer_later(&*scheduler, SECOND, trace.mark_ok("never"))));
    host.run_until_idle();
    assert!(trace.take().is_empty());
    // From inside of the call: too late for its result.
    let own = slot.clone();
    let future = defer_later(&*scheduler, SECOND, move || {
        own.take().unwrap().cancel();
        Ok(())
    });
    slot.replace(Some(future.clone()));
    host.run_until_idle();
    assert!(future.cancelled());
}

pub(crate) fn w26_l26_on_a_closed_loop_it_is_cancelled(host: &dyn Host) {
    let (scheduler, trace) = (host.scheduler(), Trace::new());
    let pending = on_drop(trace.mark("freed"));
    let waiting = defer_later(&*scheduler, SECOND, move || {
        drop(pending);
        Ok(())
    });
    host.close();
    assert_eq!(trace.take(), ["freed"]);
    assert!(!waiting.done());
    let refused = defer_later(&*scheduler, SECOND, || Ok(()));
    assert!(refused.cancelled());
}
