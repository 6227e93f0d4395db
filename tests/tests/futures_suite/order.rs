//! The order in which a scheduler runs things, and what it does with failures.

use futures::{EnteredScheduler, HandleState, Scheduler, SchedulerExt, current, try_current};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tulipa_tests::{Host, MiniScheduler, Trace, on_drop};

pub(crate) fn l1_l3_nothing_runs_from_inside_a_request(host: &dyn Host) {
    let (scheduler, trace) = (host.scheduler(), Trace::new());
    let (inner, seen) = (scheduler.clone(), trace.clone());
    scheduler.call_soon(move || {
        seen.note("begin");
        inner.call_soon(seen.mark("soon"));
        inner.call_later(Duration::ZERO, seen.mark("timer"));
        inner.create_future::<()>().set_result(()).unwrap();
        seen.note("end");
    });
    assert!(trace.take().is_empty());
    host.run_until_idle();
    assert_eq!(trace.take(), ["begin", "end", "soon", "timer"]);
}

pub(crate) fn l3_a_chain_of_callbacks_does_not_starve_timers(host: &dyn Host) {
    fn chain(scheduler: Rc<dyn futures::Scheduler>, stop: Rc<Cell<bool>>, links: Rc<Cell<u32>>) {
        links.set(links.get() + 1);
        assert!(links.get() < 100_000, "the timer starves");
        if !stop.get() {
            let next = scheduler.clone();
            scheduler.call_soon(move || chain(next, stop, links));
        }
    }
    let scheduler = host.scheduler();
    let (stop, links) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(0)));
    let stopper = stop.clone();
    scheduler.call_later(Duration::ZERO, move || stopper.set(true));
    chain(scheduler, stop, links.clone());
    host.run_until_idle();
    assert!(links.get() > 1);
}

pub(crate) fn l4_callbacks_run_first_in_first_out(host: &dyn Host) {
    let (scheduler, trace) = (host.scheduler(), Trace::new());
    for number in 0..100 {
        let (inner, seen) = (scheduler.clone(), trace.clone());
        scheduler.call_soon(move || {
            seen.note(number);
            inner.call_soon(seen.mark(number + 100));
        });
    }
    host.run_until_idle();
    let expected: Vec<_> = (0..200).map(|number| number.to_string()).collect();
    assert_eq!(trace.take(), expected);
}

pub(crate) fn l7_a_callback_runs_once_for_each_time_that_it_is_scheduled(host: &dyn Host) {
    let (scheduler, count) = (host.scheduler(), Rc::new(Cell::new(0)));
    let counted = count.clone();
    let increment = move || counted.set(counted.get() + 1);
    scheduler.call_soon(increment.clone());
    scheduler.call_soon(increment.clone());
    scheduler.call_later(Duration::from_secs(1), increment);
    host.run_until_idle();
    host.run_until_idle();
    assert_eq!(count.get(), 3);
}

pub(crate) fn l9_d6_d7_h16_a_failing_callback_is_reported_and_the_others_run(host: &dyn Host) {
    let (scheduler, trace) = (host.scheduler(), Trace::new());
    scheduler.call_soon(trace.mark("before"));
    let line = line!() + 1;
    scheduler.call_soon(|| panic!("expected"));
    scheduler.call_soon(trace.mark("after"));
    scheduler.call_later(Duration::from_secs(1), || panic!("expected too"));
    host.run_until_idle();
    assert_eq!(trace.take(), ["before", "after"]);
    let reports = host.take_reports();
    assert_eq!(reports.len(), 2);
    for (report, message) in reports.iter().zip(["expected", "expected too"]) {
        let exception = report.exception.as_ref().unwrap();
        assert_eq!(exception.downcast_ref::<futures::PanicError>().unwrap().message(), message);
        assert!(!report.message.is_empty() && report.handle.is_some());
    }
    assert_eq!(reports[0].created_at.unwrap().line(), line);
}

pub(crate) fn l26_l34_a_closed_loop_drops_the_callback_and_reports_it_once(host: &dyn Host) {
    let (scheduler, trace) = (host.scheduler(), Trace::new());
    host.close();
    assert!(scheduler.is_closed());
    let dropped = on_drop(trace.mark("dropped"));
    let line = line!() + 1;
    let handle = scheduler.call_soon(move || drop(dropped));
    assert_eq!(trace.take(), ["dropped"]);
    assert_eq!((handle.state(), handle.cancel()), (HandleState::Done, false));
    let timer = scheduler.call_later(Duration::from_secs(1), || {});
    assert_eq!((timer.state(), timer.cancel()), (HandleState::Done, false));
    assert!(!timer.reschedule(futures::Instant::ZERO));
    let reports = host.take_reports();
    assert_eq!(reports.len(), 2);
    assert!(reports[0].exception.as_ref().unwrap().is::<futures::ClosedError>());
    assert_eq!(reports[0].created_at.unwrap().line(), line);
    assert!(reports[0].message.contains("call_soon") && reports[1].message.contains("call_later"));
    assert!(scheduler.threadsafe().post(Box::new(|| {})).is_err());
}

pub(crate) fn l25_closing_drops_what_is_queued_without_running_it(host: &dyn Host) {
    let (scheduler, trace) = (host.scheduler(), Trace::new());
    let (soon, late) = (on_drop(trace.mark("soon")), on_drop(trace.mark("late")));
    let handle = scheduler.call_soon(move || panic!("{}", size_of_val(&soon)));
    scheduler.call_later(Duration::from_secs(1), move || panic!("{}", size_of_val(&late)));
    host.close();
    assert_eq!(trace.take(), ["soon", "late"]);
    assert_eq!(handle.state(), HandleState::Done);
}

pub(crate) fn l31_another_thread_posts_in_order(host: &dyn Host) {
    let (threadsafe, id) = (host.scheduler().threadsafe(), host.scheduler().id());
    let (sender, receiver) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        for number in 0..100 {
            let sender = sender.clone();
            let posted = threadsafe.clone().post(Box::new(move || sender.send(number).unwrap()));
            assert!(posted.is_ok());
        }
        threadsafe.id()
    });
    assert_eq!(thread.join().unwrap(), id);
    assert!(receiver.try_recv().is_err(), "it ran on the wrong thread");
    host.run_until_idle();
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
}

pub(crate) fn l31_the_way_in_from_other_threads_is_one_and_stays(host: &dyn Host) {
    let (scheduler, trace) = (host.scheduler(), Trace::new());
    let weak = Arc::downgrade(&scheduler.threadsafe());
    scheduler.call_later(Duration::from_secs(1), trace.mark("later"));
    host.run_until_idle();
    let (threadsafe, again) = (weak.upgrade().unwrap(), scheduler.threadsafe());
    assert!(Arc::ptr_eq(&threadsafe, &again));
    let (ran, seen) = std::sync::mpsc::channel();
    let waker = Arc::downgrade(&again);
    drop((threadsafe, again));
    let thread = std::thread::spawn(move || {
        let threadsafe = waker.upgrade().unwrap();
        assert!(threadsafe.post(Box::new(move || ran.send(7).unwrap())).is_ok());
    });
    thread.join().unwrap();
    host.run_until_idle();
    assert_eq!(seen.try_recv(), Ok(7));
}

pub(crate) fn l31_what_comes_while_a_callback_runs_is_not_left_behind(host: &dyn Host) {
    let (scheduler, count) = (host.scheduler(), Arc::new(AtomicU32::new(0)));
    let (threadsafe, counted) = (scheduler.threadsafe(), count.clone());
    scheduler.call_soon(move || {
        let thread = std::thread::spawn(move || {
            let posted = threadsafe.post(Box::new(move || {
                for _ in 0..3 {
                    let counted = counted.clone();
                    current().call_soon(move || {
                        counted.fetch_add(1, Ordering::Relaxed);
                    });
                }
            }));
            assert!(posted.is_ok());
        });
        thread.join().unwrap();
    });
    host.run_until_idle();
    assert_eq!(count.load(Ordering::Relaxed), 3);
}

pub(crate) fn l47_time_does_not_go_back(host: &dyn Host) {
    let (scheduler, last) = (host.scheduler(), Rc::new(Cell::new(host.scheduler().time())));
    for second in [3, 1, 2] {
        let (inner, last) = (scheduler.clone(), last.clone());
        scheduler.call_later(Duration::from_secs(second), move || {
            assert!(inner.time() >= last.replace(inner.time()));
        });
    }
    host.run_until_idle();
    assert!(scheduler.time() >= last.get());
}

pub(crate) fn l48_the_running_loop_is_the_current_one(host: &dyn Host) {
    let (scheduler, seen) = (host.scheduler(), Rc::new(Cell::new(None)));
    assert!(try_current().is_none());
    assert!(futures::catch(current).is_err());
    let inside = seen.clone();
    scheduler.call_soon(move || inside.set(Some(current().id())));
    host.run_until_idle();
    assert_eq!(seen.get(), Some(scheduler.id()));
    assert!(try_current().is_none());
}

pub(crate) fn l48_entering_a_scheduler_restores_the_one_before(host: &dyn Host) {
    let (scheduler, other) = (host.scheduler(), MiniScheduler::new());
    let outer = EnteredScheduler::new(scheduler.clone());
    assert_eq!(current().id(), scheduler.id());
    let inner = EnteredScheduler::new(other.clone());
    assert_eq!(current().id(), other.id());
    drop(inner);
    assert_eq!(current().id(), scheduler.id());
    drop(outer);
    assert!(try_current().is_none());
}
