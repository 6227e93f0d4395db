//! Errors that have no caller, and debug mode (D-1 to D-14).

use crate::common::fake::fake_builder;
use crate::common::{
    Captured, OnDrop, SECOND, Trace, for_each_loop, logged, record_reports, socket_pair,
};
use futures::{Exception, ExceptionContext, InvalidStateError};
use log::Level;
use std::cell::RefCell;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;
use tulipa_eventloop::prelude::*;
use tulipa_eventloop::{Direction, EventLoop, Interest, IterationHook, Source, SourceKind, Taken};

#[test]
fn d1_debug_mode_is_set_by_the_builder_and_at_any_time() {
    for_each_loop(|event_loop| {
        assert!(!event_loop.get_debug());
        let handle = event_loop.handle();
        event_loop.call_soon(move || handle.set_debug(true));
        event_loop.run_ready().unwrap();
        assert!(event_loop.get_debug());
        event_loop.set_debug(false);
        assert!(!event_loop.get_debug());
    });
    assert!(EventLoop::builder().debug(true).build().unwrap().get_debug());
}

/// A loop in debug mode, and what makes its clock go on.
fn debug_loop() -> (EventLoop, Rc<dyn Fn(u64)>) {
    let (builder, script) = fake_builder();
    let event_loop = builder.debug(true).build().unwrap();
    let advance = Rc::new(move |millis| script.clock.advance(Duration::from_millis(millis)));
    (event_loop, advance)
}

#[test]
fn d2_d3_a_slow_callback_is_logged_with_its_time_and_place() {
    logged::record();
    let (event_loop, advance) = debug_loop();
    assert_eq!(event_loop.slow_callback_duration(), Duration::from_millis(100));
    let takes = |millis: u64| {
        let advance = advance.clone();
        move || advance(millis)
    };
    event_loop.call_soon(takes(99));
    let line = line!() + 1;
    event_loop.call_soon(takes(100));
    event_loop.call_later(Duration::ZERO, takes(2_500));
    let poster = event_loop.threadsafe_handle();
    poster.call_soon_threadsafe(|| {}).unwrap();
    event_loop.run_ready().unwrap();
    let warnings = logged::take_at(Level::Warn);
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains("callback") && warnings[0].contains("took 0.100 s"));
    assert!(warnings[0].contains(&format!("exceptions.rs:{line}:")), "{}", warnings[0]);
    assert!(warnings[1].contains("timer") && warnings[1].contains("took 2.500 s"));
    assert!(warnings[1].contains(&format!("exceptions.rs:{}:", line + 1)), "{}", warnings[1]);
    assert_eq!(event_loop.stats().slow_callbacks, 2);

    event_loop.set_slow_callback_duration(5 * SECOND);
    assert_eq!(event_loop.slow_callback_duration(), 5 * SECOND);
    event_loop.call_soon(takes(4_999));
    event_loop.run_ready().unwrap();
    event_loop.set_debug(false);
    event_loop.call_soon(takes(60_000));
    event_loop.run_ready().unwrap();
    assert!(logged::take_at(Level::Warn).is_empty());
}

#[test]
fn d3_slow_readers_and_signal_handlers_are_named_with_their_place() {
    logged::record();
    let clock = tulipa_eventloop::TestClock::new();
    let event_loop = EventLoop::builder().clock(clock.clone()).debug(true).build().unwrap();
    let slow = {
        use tulipa_eventloop::Clock;
        move || clock.set(clock.now() + SECOND)
    };
    let (ours, mut theirs) = socket_pair();
    theirs.write_all(b"x").unwrap();
    let line = line!() + 1;
    event_loop.add_reader(ours, slow.clone()).unwrap();
    event_loop.add_signal_handler(signal_hook::consts::SIGWINCH, slow).unwrap();
    signal_hook::low_level::raise(signal_hook::consts::SIGWINCH).unwrap();
    event_loop.run_ready().unwrap();
    let mut warnings = logged::take_at(Level::Warn);
    warnings.sort();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains(&format!("exceptions.rs:{}:", line + 1)), "{}", warnings[0]);
    assert!(warnings[1].contains("reader of descriptor"));
    assert!(warnings[1].contains(&format!("exceptions.rs:{line}:")), "{}", warnings[1]);
}

#[test]
fn d3_a_logger_that_panics_does_not_end_the_run() {
    logged::record();
    let (event_loop, advance) = debug_loop();
    let trace = Trace::new();
    let slow = advance.clone();
    event_loop.call_soon(move || {
        slow(500);
        logged::fail(true);
    });
    event_loop.call_soon(|| panic!("expected"));
    event_loop.call_soon(trace.mark("goes on"));
    event_loop.run_ready().unwrap();
    logged::fail(false);
    assert_eq!(trace.take(), ["goes on"]);
    assert_eq!(event_loop.stats().slow_callbacks, 1);
}

#[test]
fn d4_waiting_is_idleness_and_never_slow() {
    logged::record();
    let (event_loop, _advance) = debug_loop();
    event_loop.call_later(3600 * SECOND, || {});
    event_loop.run_once(None).unwrap();
    assert_eq!(event_loop.stats().timers_fired, 1);
    assert_eq!(event_loop.stats().slow_callbacks, 0);
    assert!(logged::take_at(Level::Warn).is_empty());
}

#[test]
fn d6_d8_what_has_no_caller_goes_to_the_handler_with_loop_and_context() {
    for_each_loop(|event_loop| {
        assert!(event_loop.get_exception_handler().is_none());
        let trace = Trace::new();
        let (seen, id) = (trace.clone(), event_loop.id());
        let handler: tulipa_eventloop::ExceptionHandler =
            Rc::new(move |event_loop, context: &ExceptionContext| {
                assert_eq!(event_loop.id(), id);
                seen.note(context.to_string());
            });
        event_loop.set_exception_handler(Some(handler.clone()));
        assert!(Rc::ptr_eq(&event_loop.get_exception_handler().unwrap(), &handler));
        let mut context = ExceptionContext::with_exception("message", Exception::msg("why"));
        context.transport = Some("a transport".to_owned());
        event_loop.call_exception_handler(context);
        assert_eq!(trace.take(), ["message\ntransport: a transport\nexception: why"]);

        // A future that failed and that nobody asked.
        let line = line!() + 1;
        let future = event_loop.create_future::<()>();
        future.set_exception(InvalidStateError::new("unseen")).unwrap();
        drop(future);
        let report = trace.take().remove(0);
        assert!(report.contains("unseen") && report.contains(&format!("exceptions.rs:{line}:")));

        event_loop.set_exception_handler(None);
        assert!(event_loop.get_exception_handler().is_none());
        assert_eq!(Rc::strong_count(&handler), 1);
        assert_eq!(event_loop.stats().errors, 2);
    });
}

#[test]
fn d7_readers_writers_signal_handlers_and_hooks_that_panic_are_reported_with_their_place() {
    struct Hook(RefCell<Option<&'static str>>);
    impl IterationHook for Hook {
        fn after_poll(&self, _: usize) {
            if let Some(words) = self.0.take() {
                panic!("{words}");
            }
        }
    }
    let hook = Hook(RefCell::new(Some("the hook's words")));
    let event_loop = EventLoop::builder().hook(hook).build().unwrap();
    let reports = record_reports(&**event_loop);
    let (ours, mut theirs) = socket_pair();
    theirs.write_all(b"x").unwrap();
    let line = line!() + 1;
    event_loop.add_reader(ours.clone(), || panic!("the reader's words")).unwrap();
    event_loop.add_writer(ours.clone(), || panic!("the writer's words")).unwrap();
    event_loop.add_signal_handler(signal_hook::consts::SIGIO, || panic!("signal")).unwrap();
    signal_hook::low_level::raise(signal_hook::consts::SIGIO).unwrap();
    event_loop.run_ready().unwrap();
    let reports = reports.take();
    let text: Vec<String> = reports.iter().map(ToString::to_string).collect();
    assert_eq!(text.len(), 4, "{text:#?}");
    assert!(text[0].contains("the hook's words") && text[0].contains("iteration hook"));
    assert!(text[1].contains("signal") && reports[1].created_at.unwrap().line() == line + 2);
    assert!(text[2].contains("reader of descriptor") && text[2].contains("the reader's words"));
    assert_eq!(reports[2].created_at.unwrap().line(), line);
    assert!(text[3].contains("writer of descriptor") && text[3].contains("the writer's words"));
    assert_eq!(reports[3].created_at.unwrap().line(), line + 1);
    // They are still registered.
    event_loop.run_ready().unwrap();
    assert!(event_loop.remove_reader(&ours).unwrap());
    assert_eq!(event_loop.stats().panics, 6);
}

#[test]
fn d9_d13_the_default_handler_logs_one_error_record_a_line_for_each_fact() {
    logged::record();
    for_each_loop(|event_loop| {
        logged::take();
        let line = line!() + 1;
        event_loop.call_soon(|| panic!("the words"));
        event_loop.run_ready().unwrap();
        let lines = logged::take();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_eq!((lines[0].level, &*lines[0].target), (Level::Error, "tulipa"));
        let text: Vec<&str> = lines[0].text.lines().collect();
        assert_eq!(text[0], "Exception in callback");
        assert!(text[1].starts_with("created at: ") && text[1].contains("exceptions.rs"));
        assert!(text[1].contains(&format!(":{line}:")));
        assert_eq!(text[2..], ["handle: callback", "exception: panicked: the words"]);
    });
}

#[test]
fn d9_a_flood_of_errors_is_ten_records_a_second_and_a_count() {
    logged::record();
    let (builder, script) = fake_builder();
    let event_loop = builder.build().unwrap();
    let fail = || {
        (0..25).for_each(|_| drop(event_loop.call_soon(|| panic!("again"))));
        event_loop.run_ready().unwrap();
        logged::take_at(Level::Error).len()
    };
    assert_eq!((fail(), fail()), (10, 0));
    script.clock.advance(SECOND);
    assert_eq!(fail(), 10);
    let stats = event_loop.stats();
    assert_eq!((stats.errors, stats.errors_not_logged), (75, 55));
}

#[test]
fn d10_a_handler_that_panics_is_reported_by_the_default_one_with_what_it_was_called_for() {
    logged::record();
    for_each_loop(|event_loop| {
        let trace = Trace::new();
        event_loop.set_exception_handler(Some(Rc::new(|_, _| panic!("the handler's words"))));
        event_loop.call_soon(|| panic!("the callback's words"));
        event_loop.call_soon(trace.mark("goes on"));
        event_loop.run_ready().unwrap();
        let errors = logged::take_at(Level::Error);
        assert_eq!(errors.len(), 1);
        for part in ["exception handler", "the handler's words", "the callback's words"] {
            assert!(errors[0].contains(part), "{}", errors[0]);
        }
        // And if the default fails as well.
        logged::fail(true);
        event_loop.call_soon(|| panic!("unheard"));
        event_loop.call_soon(trace.mark("goes on"));
        event_loop.run_ready().unwrap();
        logged::fail(false);
        assert_eq!(trace.take(), ["goes on", "goes on"]);
    });
}

#[test]
fn d10_a_panic_whose_payload_panics_when_it_is_dropped_does_not_get_out() {
    logged::record();
    for_each_loop(|event_loop| {
        struct Bad;
        impl Drop for Bad {
            fn drop(&mut self) {
                panic!("the payload's words");
            }
        }
        let trace = Trace::new();
        event_loop.call_soon(|| std::panic::panic_any(Bad));
        event_loop.call_soon(trace.mark("goes on"));
        event_loop.run_ready().unwrap();
        assert_eq!(trace.take(), ["goes on"]);
    });
}

#[test]
fn d11_the_handler_may_use_the_loop_and_replace_itself() {
    logged::record();
    for_each_loop(|event_loop| {
        logged::take();
        let (trace, captured) = (Trace::new(), Captured::new());
        let (seen, hold) = (trace.clone(), RefCell::new(captured.hold()));
        let (ours, _theirs) = socket_pair();
        let watched = ours.clone();
        event_loop.set_exception_handler(Some(Rc::new(move |event_loop, context| {
            hold.borrow_mut()();
            event_loop.default_exception_handler(context);
            let mark = seen.mark("scheduled by the handler");
            event_loop.schedule(futures::Callback::new(mark)).unwrap();
            event_loop.add_writer(watched.clone(), seen.mark("writable")).unwrap();
            assert!(event_loop.close().is_err());
            assert!(event_loop.run_once(None).is_err());
            event_loop.stop();
            event_loop.set_exception_handler(None);
        })));
        event_loop.call_soon(|| panic!("expected"));
        event_loop.run_forever().unwrap();
        assert_eq!(logged::take_at(Level::Error).len(), 1);
        assert_eq!(captured.copies(), 0);
        event_loop.run_ready().unwrap();
        assert_eq!(trace.take(), ["scheduled by the handler", "writable"]);
    });
}

#[test]
fn d12_reports_from_destructors_go_the_same_way_without_a_run_and_inside_a_report() {
    for_each_loop(|event_loop| {
        let reports = record_reports(&**event_loop);
        let failed = |event_loop: &dyn AbstractEventLoop| {
            let future = event_loop.create_future::<()>();
            future.set_exception(InvalidStateError::new("unseen")).unwrap();
            drop(future);
        };
        failed(&**event_loop);
        assert_eq!(reports.count(), 1);
        let handle = event_loop.handle();
        let nested = OnDrop::new(move || failed(&*handle));
        event_loop.call_soon(move || panic!("{} bytes", size_of_val(&nested))).cancel();
        assert_eq!(reports.count(), 2);

        let (inner, depth) = (reports.clone(), RefCell::new(0));
        event_loop.set_exception_handler(Some(Rc::new(move |event_loop, context| {
            *depth.borrow_mut() += 1;
            if *depth.borrow() == 1 {
                failed(event_loop); // a report inside of a report
            }
            inner.add(context.clone());
        })));
        failed(&**event_loop);
        assert_eq!(reports.count(), 4);
        event_loop.close().unwrap();
        event_loop.call_soon(|| {});
        assert_eq!(reports.count(), 5, "after the close as well");
    });
}

#[test]
fn d13_every_target_begins_with_the_projects_name() {
    logged::record();
    let event_loop = EventLoop::new().unwrap();
    event_loop.call_soon(|| panic!("expected"));
    event_loop.run_ready().unwrap();
    drop(event_loop);
    let lines = logged::take();
    assert!(lines.iter().all(|line| line.target.starts_with("tulipa")));
    let levels: Vec<Level> = lines.iter().map(|line| line.level).collect();
    assert_eq!(levels, [Level::Error, Level::Debug]);
}

#[test]
fn d14_payloads_are_not_logged() {
    logged::record();
    for_each_loop(|event_loop| {
        let secret = "hunter2";
        let (ours, mut theirs) = socket_pair();
        let fd = ours.clone();
        event_loop
            .add_reader(ours, move || {
                use std::io::Read;
                let mut buffer = [0; 16];
                let read = (&*fd).read(&mut buffer).unwrap();
                assert_eq!(&buffer[..read], secret.as_bytes());
                panic!("something else");
            })
            .unwrap();
        theirs.write_all(secret.as_bytes()).unwrap();
        let future = event_loop.create_future::<String>();
        future.set_result(secret.to_owned()).unwrap();
        event_loop.run_ready().unwrap();
        assert!(!event_loop.dump().contains(secret) && !format!("{future:?}").contains(secret));
        drop(event_loop);
        let lines = logged::take();
        assert!(!lines.is_empty() && lines.iter().all(|line| !line.text.contains(secret)));
    });
}

#[test]
fn d7_r8_a_source_that_cannot_even_describe_itself_is_reported_all_the_same() {
    struct Mute(UnixStream);
    impl Source for Mute {
        fn descriptor(&self) -> BorrowedFd<'_> {
            self.0.as_fd()
        }
        fn ready(self: Rc<Self>, _: Direction) -> Taken {
            panic!("expected");
        }
        fn kind(&self) -> SourceKind {
            SourceKind::Transport
        }
        fn describe(&self) -> String {
            panic!("expected too");
        }
    }
    for_each_loop(|event_loop| {
        let reports = record_reports(&**event_loop);
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(b"x").unwrap();
        let key = event_loop.watch(Rc::new(Mute(ours)), Interest::READ).unwrap();
        event_loop.run_ready().unwrap();
        assert_eq!(reports.count(), 1);
        event_loop.unwatch(key);
    });
}
