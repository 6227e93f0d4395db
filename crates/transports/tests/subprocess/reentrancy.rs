//! Doing everything inside every method of a protocol; and protocols that panic.

use crate::support::*;
use eventloop::TestLoop;
use futures::Exception;
use std::cell::Cell;
use std::rc::Rc;
use tulipa_transports::subprocess::*;

/// A child that writes to both outputs, reads a line, and ends.
fn lively() -> SubprocessOptions {
    SubprocessOptions::shell("echo one; echo two >&2; read line; echo $line; exit 3")
}

/// Which method a record stands for.
fn method(seen: &Seen) -> &'static str {
    match seen {
        Seen::Made => "connection_made",
        Seen::Data(..) => "pipe_data_received",
        Seen::Lost(..) => "pipe_connection_lost",
        Seen::Exited(_) => "process_exited",
        Seen::Paused => "pause_writing",
        Seen::Resumed => "resume_writing",
        Seen::Closed(_) => "connection_lost",
    }
}

const METHODS: [&str; 5] = [
    "connection_made",
    "pipe_data_received",
    "pipe_connection_lost",
    "process_exited",
    "connection_lost",
];

type Action = fn(&dyn SubprocessTransport);

const ACTIONS: [(&str, Action); 9] = [
    ("close", |child| child.close()),
    ("kill", |child| drop(child.kill())),
    ("terminate", |child| drop(child.terminate())),
    ("write", |child| {
        for _ in 0..3 {
            child.get_pipe_transport(0).unwrap().write(&[b'x'; 100_000]);
        }
    }),
    ("close the pipes", |child| {
        for pipe in (0..3).filter_map(|fd| child.get_pipe_transport(fd)) {
            pipe.close();
        }
    }),
    ("abort the pipes", |child| {
        for pipe in (0..3).filter_map(|fd| child.get_pipe_transport(fd)) {
            pipe.abort();
        }
    }),
    ("pause and resume", |child| {
        let output = child.get_pipe_transport(1).unwrap();
        output.pause_reading();
        output.resume_reading();
    }),
    ("ask", |child| {
        let _ = (child.wait(), child.wait_closed(), child.handle(), child.status());
        let inner = child.with_boxed_protocol(&mut |_, _| panic!("it runs already"));
        assert!(inner.is_err());
    }),
    ("start another", |_| {
        let event_loop = eventloop::current();
        let (recorder, _) = Recorder::new();
        let starting = event_loop.subprocess_exec(|| recorder, quiet("exit 0"));
        drop(starting);
    }),
];

fn play(event_loop: &TestLoop, child: &Rc<dyn SubprocessTransport>) {
    child.get_pipe_transport(0).unwrap().write(b"three\n");
    run_to_end(event_loop, child);
    run_until(event_loop, || event_loop.open_children() == 0);
}

#[test]
fn p20_everything_may_be_done_inside_every_method() {
    for wanted in METHODS {
        for (name, action) in ACTIONS {
            let event_loop = new_loop();
            let done = Rc::new(Cell::new(0));
            let count = done.clone();
            let (recorder, log) = Recorder::with(move |seen, child| {
                // `write` a few times only, so that it ends.
                if method(seen) == wanted && count.get() < 2 {
                    count.set(count.get() + 1);
                    action(child);
                }
            });
            let child = start_with(&event_loop, lively(), recorder);
            play(&event_loop, &child);
            assert!(log.is_closed(), "{name} in {wanted}: {:?}", log.events());
            assert!(done.get() > 0, "{name} in {wanted} never happened: {:?}", log.all());
            assert!(is_gone(child.get_pid()));
            event_loop.run_ready_now();
        }
    }
}

#[test]
fn p14_r8_a_panic_in_any_method_kills_this_child_and_is_reported() {
    for wanted in METHODS {
        let event_loop = new_loop();
        let errors = collect_errors(&event_loop);
        let (other, other_log) = start(&event_loop, "cat");
        let panicked = Rc::new(Cell::new(false));
        let once = panicked.clone();
        let (recorder, log) = Recorder::with(move |seen, _| {
            if method(seen) == wanted && !once.replace(true) {
                panic!("in {wanted}");
            }
        });
        let starting = event_loop.subprocess_exec(|| recorder, lively());
        run_until(&event_loop, || starting.done());
        let started = starting.result();
        assert_eq!(started.is_err(), wanted == "connection_made", "{wanted}");
        if let Ok(child) = &started {
            child.get_pipe_transport(0).unwrap().write(b"three\n");
        }
        run_until(&event_loop, || log.is_closed());
        let reports: Vec<_> = errors.take();
        assert_eq!(reports.len(), 1, "{wanted}: {reports:?}");
        assert_eq!(reports[0].message, format!("protocol.{wanted}() panicked"));
        assert!(reports[0].protocol.unwrap().contains("Recorder"));
        assert!(reports[0].transport.as_ref().unwrap().contains("/bin/sh"));
        if wanted != "connection_lost" {
            let Some(Seen::Closed(reason)) = log.all().last().cloned() else { unreachable!() };
            assert!(reason.unwrap().contains(wanted));
        }
        other.get_pipe_transport(0).unwrap().write(b"well");
        run_until(&event_loop, || other_log.data(1) == b"well");
        other.close();
        run_to_end(&event_loop, &other);
    }
}

/// Panics when it is dropped.
struct Bad;

impl Drop for Bad {
    fn drop(&mut self) {
        panic!("in drop");
    }
}

impl SubprocessProtocol for Bad {}

#[test]
fn r8_a_destructor_that_panics_is_reported_at_the_end_and_at_the_end_of_the_loop() {
    let event_loop = new_loop();
    let errors = collect_errors(&event_loop);
    let child = start_with(&event_loop, quiet("exit 0"), Bad);
    run_to_end(&event_loop, &child);
    assert_eq!(errors.take().len(), 1);

    let mut event_loop = new_loop();
    event_loop.allow_leftovers();
    let errors = collect_errors(&event_loop);
    let children: Vec<_> = (0..3).map(|_| start_with(&event_loop, "cat", Bad)).collect();
    event_loop.close().unwrap();
    assert_eq!(errors.take().len(), 3);
    assert!(children.iter().all(|child| is_gone(child.get_pid())));
}

#[test]
fn p20_a_protocol_that_replaces_itself_is_told_nothing_more() {
    let event_loop = new_loop();
    let (second, second_log) = Recorder::new();
    let second = Rc::new(Cell::new(Some(second)));
    struct After(Vec<u8>, Recorder);
    impl SubprocessProtocol for After {
        fn pipe_data_received(&mut self, _: &dyn SubprocessTransport, _: i32, data: &[u8]) {
            self.0.extend_from_slice(data);
        }
        fn connection_lost(&mut self, child: &dyn SubprocessTransport, reason: Option<Exception>) {
            assert!(reason.is_none() && child.get_returncode() == Some(0));
            assert_eq!(self.0, b"two\n");
            self.1.connection_made(child);
        }
    }
    let (first, first_log) = Recorder::with(move |seen, child| {
        if let Seen::Data(..) = seen
            && let Some(next) = second.take()
        {
            child.set_protocol(After(Vec::new(), next));
            child.get_pipe_transport(0).unwrap().write(b"go\n");
        }
    });
    let command = SubprocessOptions::shell("echo one; read go; echo two").stderr(Stdio::Null);
    let child = start_with(&event_loop, command, first);
    run_to_end(&event_loop, &child);
    assert_eq!(first_log.data(1), b"one\n");
    assert!(!first_log.is_closed());
    assert_eq!(second_log.all(), [Seen::Made], "the end was told to the second one");
}

#[test]
fn r6_a_protocol_that_keeps_its_own_handle_is_freed_at_the_end() {
    struct Keeps(Option<Rc<dyn SubprocessTransport>>, #[allow(dead_code)] Rc<()>);
    impl SubprocessProtocol for Keeps {
        fn connection_made(&mut self, child: &dyn SubprocessTransport) {
            self.0 = Some(child.handle());
        }
    }
    let alive = Rc::new(());
    let event_loop = new_loop();
    let child = start_with(&event_loop, quiet("exit 0"), Keeps(None, alive.clone()));
    run_to_end(&event_loop, &child);
    assert_eq!(Rc::strong_count(&alive), 1);

    let mut event_loop = new_loop();
    event_loop.allow_leftovers();
    let child = start_with(&event_loop, "cat", Keeps(None, alive.clone()));
    drop(child);
    drop(event_loop);
    assert_eq!(Rc::strong_count(&alive), 1);
}

#[test]
fn r6_those_who_wait_for_a_child_are_freed_with_the_loop() {
    let (mut event_loop, token) = (new_loop(), Rc::new(()));
    event_loop.allow_leftovers();
    let (child, _) = start(&event_loop, "cat");
    for _ in 0..2 {
        let (kept, held) = (child.clone(), token.clone());
        child.wait().add_done_callback(move |_| drop((kept, held)));
        let (kept, held) = (child.clone(), token.clone());
        child.wait_closed().add_done_callback(move |_| drop((kept, held)));
    }
    assert_eq!(Rc::strong_count(&token), 5);
    drop(event_loop);
    assert_eq!(Rc::strong_count(&token), 1);
    assert_eq!(child.get_returncode(), Some(-9));
}

#[test]
fn r8_a_destructor_that_panics_when_nothing_can_be_started_is_reported() {
    struct Fragile;
    impl SubprocessProtocol for Fragile {}
    impl Drop for Fragile {
        fn drop(&mut self) {
            panic!("in the destructor");
        }
    }
    let event_loop = new_loop();
    let errors = collect_errors(&event_loop);
    let failed = event_loop.subprocess_exec(|| Fragile, "/no/such/program");
    let error = failed.exception().unwrap().unwrap();
    assert!(error.to_string().contains("/no/such/program"), "{error}");
    assert_eq!(errors.borrow().len(), 1);
    assert!(errors.borrow()[0].message.contains("destructor"), "{:?}", errors.borrow());
}
