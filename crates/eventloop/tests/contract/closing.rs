//! The end of a loop (L-24 to L-30).

use crate::common::{
    Captured, OnDrop, SECOND, Trace, for_each_loop, logged, record_reports, socket_pair,
};
use futures::{ClosedError, HandleState};
use log::Level;
use signal_hook::consts::SIGUSR1;
use std::any::Any;
use std::cell::RefCell;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use tulipa_eventloop::prelude::*;
use tulipa_eventloop::{
    CallState, CloseError, Direction, EventLoop, Interest, LoopHandle, RunError, SignalError,
    Source, SourceKind, Taken,
};

#[test]
fn l24_closing_a_running_loop_is_an_error_and_closing_twice_is_not() {
    for_each_loop(|event_loop| {
        let trace = Trace::new();
        let (handle, seen) = (event_loop.handle(), trace.clone());
        event_loop.call_soon(move || {
            assert_eq!(handle.close(), Err(CloseError));
            assert!(!handle.is_closed());
            handle.call_soon(seen.mark("still open"));
        });
        event_loop.run_ready().unwrap();
        event_loop.run_ready().unwrap();
        assert_eq!(trace.take(), ["still open"]);
        assert_eq!(event_loop.close(), Ok(()));
        assert_eq!(event_loop.close(), Ok(()));
        assert!(event_loop.is_closed());
    });
}

#[test]
fn l25_closing_drops_everything_once_and_runs_nothing() {
    for_each_loop(|event_loop| {
        let trace = Trace::new();
        let hold = |what: &str| {
            let value = trace.on_drop(what);
            move || panic!("{} bytes ran", size_of_val(&value))
        };
        let (watched, _peer) = socket_pair();
        event_loop.call_soon(hold("callback"));
        event_loop.call_later(SECOND, hold("timer"));
        event_loop.add_reader(watched.clone(), hold("reader")).unwrap();
        event_loop.add_writer(watched.clone(), hold("writer")).unwrap();
        event_loop.add_signal_handler(SIGUSR1, hold("signal handler")).unwrap();
        let local = trace.on_drop("local");
        event_loop.local(move || RefCell::new(local));
        let future = event_loop.create_future::<()>();
        let value = trace.on_drop("done-callback");
        future.add_done_callback(move |_| panic!("{} bytes ran", size_of_val(&value)));
        future.set_result(()).unwrap();
        drop(future);
        let at_home = SendDrop::new();
        let posted = event_loop.threadsafe_handle().call_soon_threadsafe(at_home.hold()).unwrap();
        assert_eq!(trace.len(), 0);
        event_loop.close().unwrap();
        let mut dropped = trace.take();
        dropped.sort();
        let expected =
            ["callback", "done-callback", "local", "reader", "signal handler", "timer", "writer"];
        assert_eq!(dropped, expected);
        assert_eq!((posted.state(), at_home.dropped_on()), (CallState::Dropped, vec![here()]));
        // Of what it does not own, only its share is gone.
        assert_eq!(Rc::strong_count(&watched), 1);
        assert!(event_loop.get_exception_handler().is_none());
        let stats = event_loop.stats();
        assert_eq!((stats.ready, stats.timers, stats.sources, stats.signals), (0, 0, 0, 0));
        assert_eq!(stats.driver, "closed");
    });
}

fn here() -> std::thread::ThreadId {
    std::thread::current().id()
}

/// Notes on which threads its copies are dropped.
struct SendDrop(Arc<std::sync::Mutex<Vec<std::thread::ThreadId>>>);

impl SendDrop {
    fn new() -> Self {
        Self(Arc::default())
    }

    fn hold(&self) -> impl FnOnce() + Send + use<> {
        let value = NotesThread(self.0.clone());
        move || panic!("{} bytes ran", size_of_val(&value))
    }

    fn dropped_on(&self) -> Vec<std::thread::ThreadId> {
        self.0.lock().unwrap().clone()
    }
}

struct NotesThread(Arc<std::sync::Mutex<Vec<std::thread::ThreadId>>>);

impl Drop for NotesThread {
    fn drop(&mut self) {
        self.0.lock().unwrap().push(here());
    }
}

#[test]
fn l25_destructors_that_panic_do_not_leave_a_close_half_done() {
    for_each_loop(|event_loop| {
        let reports = record_reports(&**event_loop);
        let captured = Captured::new();
        let bad = || {
            let copy = captured.clone();
            let value = OnDrop::new(move || panic!("expected, of {}", copy.copies()));
            move || value.keep()
        };
        let (watched, _peer) = socket_pair();
        event_loop.call_soon(bad());
        event_loop.call_later(SECOND, bad());
        event_loop.add_reader(watched.clone(), bad()).unwrap();
        event_loop.add_writer(watched, bad()).unwrap();
        event_loop.add_signal_handler(SIGUSR1, bad()).unwrap();
        event_loop.add_signal_handler(signal_hook::consts::SIGUSR2, bad()).unwrap();
        struct Local(#[expect(dead_code, reason = "held to be dropped")] OnDrop);
        let copy = captured.clone();
        let value = OnDrop::new(move || panic!("expected, of {}", copy.copies()));
        event_loop.local(move || Local(value));
        event_loop.close().unwrap();
        assert_eq!(reports.count(), 7);
        assert_eq!(captured.copies(), 0);
        assert!(event_loop.is_closed() && event_loop.stats().driver == "closed");
    });
}

#[test]
fn l25_e8_jobs_whose_captures_panic_when_dropped_do_not_leave_a_close_half_done() {
    let event_loop = EventLoop::new().unwrap();
    struct Bad(#[expect(dead_code, reason = "held to be dropped")] Arc<()>);
    impl Drop for Bad {
        fn drop(&mut self) {
            panic!("expected");
        }
    }
    let (begun, first) = std::sync::mpsc::channel();
    let threads = tulipa_eventloop::ThreadPoolOptions::default().max_threads;
    let (alive, mut ends) = (Arc::new(()), Vec::new());
    for _ in 0..threads {
        let (begun, (end, ended)) = (begun.clone(), std::sync::mpsc::channel::<()>());
        ends.push(end);
        event_loop.run_in_executor(None, move || {
            begun.send(()).unwrap();
            assert!(ended.recv().is_err());
        });
    }
    (0..threads).for_each(|_| first.recv().unwrap());
    for _ in 0..3 {
        let bad = Bad(alive.clone());
        event_loop.run_in_executor(None, move || drop(bad));
    }
    assert_eq!(event_loop.stats().executor_queue, 3);
    event_loop.close().unwrap();
    assert_eq!(event_loop.stats().driver, "closed");
    assert_eq!(Arc::strong_count(&alive), 1);
    drop(ends);
}

#[test]
fn l26_after_closing_every_method_says_so_or_does_nothing() {
    for_each_loop(|event_loop| {
        let reports = record_reports(&**event_loop);
        let (ours, _theirs) = socket_pair();
        event_loop.close().unwrap();
        let trace = Trace::new();

        let value = trace.on_drop("soon");
        let soon = event_loop.call_soon(move || drop(value));
        let value = trace.on_drop("timer");
        let timer = event_loop.call_later(SECOND, move || drop(value));
        let value = trace.on_drop("at");
        let at = event_loop.call_at(event_loop.time(), move || drop(value));
        assert_eq!(trace.take(), ["soon", "timer", "at"]);
        assert_eq!((soon.state(), timer.state()), (HandleState::Done, HandleState::Done));
        assert!(!soon.cancel() && !at.cancel() && !timer.reschedule(event_loop.time()));
        let reports = reports.take();
        assert_eq!(reports.len(), 3, "each is reported once");
        for report in &reports {
            assert!(report.exception.as_ref().unwrap().is::<ClosedError>(), "{report}");
            assert!(report.created_at.unwrap().file().ends_with("closing.rs"));
        }

        let (sender, back) = std::sync::mpsc::channel();
        let refused =
            event_loop.threadsafe_handle().call_soon_threadsafe(move || sender.send(7).unwrap());
        refused.unwrap_err().into_callback()();
        assert_eq!(back.recv(), Ok(7));
        assert!(matches!(event_loop.run_forever(), Err(RunError::Closed)));
        assert!(event_loop.add_reader(ours.clone(), || {}).is_err());
        assert!(event_loop.add_writer(ours.clone(), || {}).is_err());
        assert!(!event_loop.remove_reader(&ours).unwrap());
        assert!(!event_loop.remove_writer(&ours).unwrap());
        let refused = event_loop.add_signal_handler(SIGUSR1, || {});
        assert!(matches!(refused, Err(SignalError::Closed)));
        assert!(!event_loop.remove_signal_handler(SIGUSR1));
        assert!(event_loop.default_executor().is_err());
        let job = event_loop.run_in_executor(None, || panic!("it ran"));
        assert!(job.exception().unwrap().unwrap().is::<ClosedError>());
        let pool = tulipa_eventloop::ThreadPoolExecutor::new(Default::default());
        let job = event_loop.run_in_executor(Some(&pool), || panic!("it ran"));
        assert!(job.exception().unwrap().unwrap().is::<ClosedError>());
        assert_eq!(pool.threads(), 0);
        assert!(event_loop.shutdown_default_executor(SECOND).done());
        let key = event_loop.watch(Rc::new(Watched::new(&trace)), Interest::READ);
        assert!(key.is_err());
        assert!(event_loop.as_fd().is_err());
        assert_eq!(trace.take(), ["dropped"]);

        event_loop.stop();
        assert_eq!(event_loop.next_deadline(), None);
        event_loop.set_debug(true);
        assert!(!event_loop.dump().is_empty());
        event_loop.set_local(std::any::TypeId::of::<u8>(), Rc::new(1u8));
        assert!(event_loop.get_local(std::any::TypeId::of::<u8>()).is_none());
        assert_eq!(*event_loop.local(|| 5u8), 5);
    });
}

#[test]
fn l26_a_destructor_may_call_anything_while_the_loop_closes() {
    for_each_loop(|event_loop| {
        let reports = record_reports(&**event_loop);
        let trace = Trace::new();
        let meddler = |name: &str| {
            let (handle, seen, name) = (event_loop.handle(), trace.clone(), name.to_owned());
            OnDrop::new(move || {
                let (ours, _theirs) = socket_pair();
                assert!(handle.is_closed() && handle.close().is_ok());
                handle.call_soon(|| panic!("it ran"));
                handle.call_later(SECOND, || panic!("it ran"));
                assert!(handle.add_reader(ours.clone(), || {}).is_err());
                assert!(handle.add_signal_handler(SIGUSR1, || {}).is_err());
                assert!(handle.run_forever().is_err());
                assert!(handle.watch(Rc::new(Watched::new(&seen)), Interest::READ).is_err());
                handle.remove_reader(&ours).unwrap();
                handle.remove_signal_handler(SIGUSR1);
                handle.stop();
                handle.stats();
                handle.dump();
                handle.threadsafe_handle().stop();
                handle.run_in_executor(None, || panic!("it ran"));
                seen.note(&*name);
            })
        };
        let (watched, _peer) = socket_pair();
        for name in ["callback", "timer", "reader", "signal"] {
            let value = meddler(name);
            let run = move || panic!("{} bytes ran", size_of_val(&value));
            match name {
                "callback" => drop(event_loop.call_soon(run)),
                "timer" => drop(event_loop.call_later(SECOND, run)),
                "reader" => event_loop.add_reader(watched.clone(), run).unwrap(),
                _ => event_loop.add_signal_handler(SIGUSR1, run).unwrap(),
            }
        }
        let local = meddler("local");
        event_loop.local(move || RefCell::new(local));
        event_loop.close().unwrap();
        let noted = trace.take();
        let names: Vec<&String> = noted.iter().filter(|what| *what != "dropped").collect();
        assert_eq!(names, ["callback", "timer", "reader", "signal", "local"]);
        // Two callbacks each, and the failed future of the job.
        assert_eq!(reports.count(), 15);
        assert_eq!(event_loop.stats().sources, 0);
    });
}

#[test]
fn l28_dropping_the_owner_closes_the_loop_says_so_and_leaves_handles_inert() {
    logged::record();
    for_each_loop(|event_loop| {
        let captured = Captured::new();
        let (handle, poster) = (event_loop.handle(), event_loop.threadsafe_handle());
        // A timer that holds its own loop must not keep it alive, nor the exception handler.
        let (mut hold, cycle) = (captured.hold(), handle.clone());
        let timer = event_loop.call_later(SECOND, move || {
            hold();
            cycle.stop();
        });
        let (cycle, hold) = (handle.clone(), RefCell::new(captured.hold()));
        event_loop.set_exception_handler(Some(Rc::new(move |_, _| {
            hold.borrow_mut()();
            cycle.stop();
        })));
        logged::take();
        drop(event_loop);
        let logged = logged::take();
        assert!(logged.iter().any(|line| line.text.contains("was dropped: it closes")));
        assert_eq!(captured.copies(), 0);
        assert!(handle.is_closed() && poster.is_closed());
        assert!(!timer.cancel());
        assert!(poster.call_soon_threadsafe(|| {}).is_err());
        assert!(matches!(handle.run_forever(), Err(RunError::Closed)));
        // Not even now can a handler make a ring.
        let (cycle, hold) = (handle.clone(), RefCell::new(captured.hold()));
        handle.set_exception_handler(Some(Rc::new(move |_, _| {
            hold.borrow_mut()();
            cycle.stop();
        })));
        assert_eq!(captured.copies(), 0);
        drop((handle, timer));
    });
}

#[test]
fn l28_a_loop_dropped_by_its_own_callback_stops_and_closes_after_the_batch() {
    logged::record();
    for_each_loop(|event_loop| {
        let (trace, captured) = (Trace::new(), Captured::new());
        let handle: LoopHandle = event_loop.handle();
        let reports = record_reports(&**event_loop);
        let (seen, inside) = (trace.clone(), handle.clone());
        let owner = RefCell::new(Some(event_loop));
        handle.call_soon(move || {
            drop(owner.take());
            assert!(!inside.is_closed() && inside.is_running());
            seen.note("dropped");
        });
        handle.call_soon(trace.mark("same batch"));
        let (mut hold, cycle) = (captured.hold(), handle.clone());
        handle.call_later(SECOND, move || {
            hold();
            cycle.stop();
        });
        handle.run_forever().unwrap();
        assert_eq!(trace.take(), ["dropped", "same batch"]);
        assert!(handle.is_closed() && !handle.is_running());
        assert_eq!((captured.copies(), reports.count()), (0, 0));
        assert_eq!(logged::take_at(Level::Error).len(), 1);
        assert!(tulipa_eventloop::try_current().is_none());
    });
}

#[test]
fn l28_a_loop_may_be_dropped_by_a_callback_of_another() {
    for_each_loop(|event_loop| {
        let inner = EventLoop::new().unwrap();
        let captured = Captured::new();
        inner.call_soon(captured.hold());
        let inner = RefCell::new(Some(inner));
        event_loop.call_soon(move || drop(inner.take()));
        event_loop.run_ready().unwrap();
        assert_eq!(captured.copies(), 0);
    });
}

/// A source as a transport makes them.
struct Watched {
    socket: UnixStream,
    trace: Trace,
    _on_drop: OnDrop,
}

impl Watched {
    fn new(trace: &Trace) -> Self {
        let (socket, peer) = UnixStream::pair().unwrap();
        (&peer).write_all(b"x").unwrap();
        Self { socket, trace: trace.clone(), _on_drop: trace.on_drop("dropped") }
    }
}

impl Source for Watched {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
    fn ready(self: Rc<Self>, _: Direction) -> Taken {
        self.trace.note("ready");
        Taken::Unknown
    }
    fn loop_closed(self: Rc<Self>) {
        self.trace.note("loop closed");
    }
    fn kind(&self) -> SourceKind {
        SourceKind::Transport
    }
    fn describe(&self) -> String {
        "a test's transport".to_owned()
    }
}

#[test]
fn l30_an_open_transport_is_told_and_dropped_without_another_call() {
    for_each_loop(|event_loop| {
        let trace = Trace::new();
        let source = Rc::new(Watched::new(&trace));
        let weak = Rc::downgrade(&source);
        let key = event_loop.watch(source, Interest::READ).unwrap();
        let paused = event_loop.watch(Rc::new(Watched::new(&trace)), Interest::NONE).unwrap();
        assert_eq!(event_loop.stats().transports, 2);
        event_loop.close().unwrap();
        assert_eq!(trace.take(), ["loop closed", "dropped", "loop closed", "dropped"]);
        assert!(weak.upgrade().is_none());
        assert!(event_loop.unwatch(key).is_none() && event_loop.unwatch(paused).is_none());
        event_loop.set_interest(key, Interest::BOTH).unwrap();
        event_loop.flush_later(key);
        let local: Rc<dyn Any> = event_loop.local(|| 1u8);
        assert!(local.is::<u8>());
    });
}

#[test]
fn l26_each_refused_method_is_reported_by_its_name() {
    for_each_loop(|event_loop| {
        let handle = event_loop.handle();
        event_loop.close().unwrap();
        let reports = record_reports(&*handle);
        handle.call_soon(|| {});
        handle.call_later(SECOND, || {});
        handle.call_at(handle.time(), || {});
        let reports = reports.take();
        let methods: Vec<_> =
            reports.iter().filter_map(|report| report.message.split_whitespace().next()).collect();
        assert_eq!(methods, ["call_soon", "call_later", "call_at"]);
    });
}
