//! What the protocol of a child is told, and what it may ask.

use crate::support::*;
use futures::Exception;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::rc::Rc;
use tulipa_transports::subprocess::*;
use tulipa_transports::{Bytes, Protocol, ProtocolUnavailable, Transport, TransportExt};
use tulipa_transports::{WriteBufferLimits, WriteState};

#[test]
fn c1_p4_p19_a_child_is_fed_and_read_and_ends() {
    let event_loop = new_loop();
    let (child, log) = start(&event_loop, "cat");
    let input = child.get_pipe_transport(0).unwrap();
    input.write(b"tulip");
    run_until(&event_loop, || log.data(1) == b"tulip");
    assert_eq!((child.get_returncode(), child.status()), (None, None));
    input.close();
    run_to_end(&event_loop, &child);
    assert_eq!(log.data(1), b"tulip");
    assert_eq!(log.data(2), b"");
    let events = log.events();
    assert_eq!((events.first(), events.last()), (Some(&Seen::Made), Some(&Seen::Closed(None))));
    for wanted in [Seen::Lost(0, None), Seen::Lost(1, None), Seen::Lost(2, None), Seen::Exited(0)] {
        assert!(log.has(&wanted), "{events:?}");
    }
    assert_eq!(child.status(), Some(ExitStatus::Exited(0)));
    assert!(child.is_closing() && is_gone(child.get_pid()));
    assert_eq!(event_loop.open_children(), 0);
}

#[test]
fn c1_a_command_is_run_by_the_shell() {
    let event_loop = new_loop();
    let (recorder, log) = Recorder::new();
    let starting = event_loop.subprocess_shell(|| recorder, "echo tulip | tr a-z A-Z; echo no >&2");
    let child = event_loop.run_until_complete(&starting).unwrap();
    run_to_end(&event_loop, &child);
    assert_eq!((log.data(1), log.data(2)), (b"TULIP\n".to_vec(), b"no\n".to_vec()));
}

#[test]
fn c1_options_for_a_program_are_no_command_for_the_shell() {
    let event_loop = new_loop();
    let (recorder, log) = Recorder::new();
    let refused = event_loop.subprocess_shell(|| recorder, SubprocessOptions::new("ls"));
    let error = event_loop.run_until_complete(&refused).err().unwrap();
    assert!(error.to_string().contains("ls"), "{error}");
    assert!(log.all().is_empty());
}

#[test]
fn c3_a_program_that_cannot_be_started_is_an_error_with_its_name() {
    let event_loop = new_loop();
    let nowhere = SubprocessOptions::new("true").current_dir("/no/such/directory");
    let nul = SubprocessOptions::new("true").arg("a\0b");
    let joined = SubprocessOptions::new("true").stdout(Stdio::Stdout);
    let two_names = SubprocessOptions::new("true").env("A=B", "c");
    let no_name = SubprocessOptions::new("true").env("", "c");
    let cases = [
        (
            SubprocessOptions::new("/no/such/program"),
            "/no/such/program",
            std::io::ErrorKind::NotFound,
        ),
        (
            SubprocessOptions::new("no-such-program"),
            "no-such-program",
            std::io::ErrorKind::NotFound,
        ),
        (
            SubprocessOptions::new("/etc/passwd"),
            "/etc/passwd",
            std::io::ErrorKind::PermissionDenied,
        ),
        (nowhere, "/no/such/directory", std::io::ErrorKind::NotFound),
        (nul, "true", std::io::ErrorKind::InvalidInput),
        (joined, "true", std::io::ErrorKind::InvalidInput),
        (two_names, "true", std::io::ErrorKind::InvalidInput),
        (no_name, "true", std::io::ErrorKind::InvalidInput),
        (SubprocessOptions::new(""), "\"\"", std::io::ErrorKind::NotFound),
        (SubprocessOptions::new("a\0b"), "a\\0b", std::io::ErrorKind::InvalidInput),
        (SubprocessOptions::new("true").env("A", "b\0"), "true", std::io::ErrorKind::InvalidInput),
        (SubprocessOptions::new("true").current_dir(""), "\"\"", std::io::ErrorKind::NotFound),
        (SubprocessOptions::new("true").current_dir("a\0b"), "a", std::io::ErrorKind::InvalidInput),
    ];
    for (options, name, kind) in cases {
        let (recorder, log) = Recorder::new();
        let failed = event_loop.subprocess_exec(|| recorder, options);
        assert!(failed.done(), "it is known at once");
        let error = failed.exception().unwrap().unwrap();
        let error: &std::io::Error = error.downcast_ref().unwrap();
        assert_eq!(error.kind(), kind, "{error}");
        let inner: &SpawnError = error.get_ref().unwrap().downcast_ref().unwrap();
        assert!(inner.to_string().contains(name), "{inner}");
        assert!(std::error::Error::source(inner).is_some());
        event_loop.run_until_idle();
        assert!(log.all().is_empty());
    }
    assert_eq!(event_loop.open_children(), 0);
}

#[test]
fn c3_p23_a_factory_that_fails_starts_nothing() {
    let event_loop = new_loop();
    let failed = event_loop.subprocess_exec(|| Err::<Recorder, _>(Exception::msg("no")), "cat");
    assert_eq!(failed.exception().unwrap().unwrap().to_string(), "no");
    let panicked = event_loop.subprocess_exec(|| -> Recorder { panic!("oh") }, "cat");
    assert!(panicked.exception().unwrap().unwrap().to_string().contains("oh"));
    assert_eq!(event_loop.open_children(), 0);
}

#[test]
fn c3_l26_on_a_closed_loop_nothing_is_started() {
    let event_loop = new_loop();
    event_loop.close().unwrap();
    let (recorder, _log) = Recorder::new();
    let refused = event_loop.subprocess_exec(|| recorder, "cat");
    assert!(refused.exception().unwrap().is_some());
}

#[test]
fn c4_a_child_that_ends_at_once_is_told_in_order() {
    let event_loop = new_loop();
    let (recorder, log) = Recorder::new();
    let starting =
        event_loop.subprocess_exec(|| recorder, SubprocessOptions::shell("echo tulip; exit 3"));
    until(|| {
        let children = std::fs::read_to_string("/proc/thread-self/children").unwrap();
        children.split_whitespace().all(|pid| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z'))
        })
    });
    assert!(log.all().is_empty());
    let child = event_loop.run_until_complete(&starting).unwrap();
    run_to_end(&event_loop, &child);
    assert_eq!(log.all()[0], Seen::Made);
    assert_eq!((log.data(1), child.get_returncode()), (b"tulip\n".to_vec(), Some(3)));
}

#[test]
fn c7_the_status_is_an_exit_code_or_a_signal() {
    let event_loop = new_loop();
    for (command, status, code) in [
        ("exit 0", ExitStatus::Exited(0), 0),
        ("exit 3", ExitStatus::Exited(3), 3),
        ("exit 255", ExitStatus::Exited(255), 255),
        ("kill -9 $$", ExitStatus::Signaled(9), -9),
        ("kill -15 $$", ExitStatus::Signaled(15), -15),
        ("kill -34 $$", ExitStatus::Signaled(34), -34),
    ] {
        let (child, log) = start(&event_loop, quiet(command));
        assert_eq!(event_loop.run_until_complete(&child.wait()).unwrap(), status, "{command}");
        assert_eq!((child.status(), child.get_returncode()), (Some(status), Some(code)));
        assert_eq!(event_loop.run_until_complete(&child.wait()).unwrap(), status, "asked later");
        run_to_end(&event_loop, &child);
        assert_eq!(log.all(), [Seen::Made, Seen::Exited(code), Seen::Closed(None)]);
    }
}

#[test]
fn c12_errors_may_go_where_the_output_goes() {
    let event_loop = new_loop();
    let both = "echo one; echo two >&2; echo three";
    let joined = SubprocessOptions::shell(both).stderr(Stdio::Stdout);
    let (child, log) = start(&event_loop, joined);
    assert!(child.get_pipe_transport(2).is_none());
    run_to_end(&event_loop, &child);
    assert_eq!(log.data(1), b"one\ntwo\nthree\n");

    let mut file = tempfile::tempfile().unwrap();
    let to_file: File = file.try_clone().unwrap();
    let joined = SubprocessOptions::shell(both).stdout(to_file).stderr(Stdio::Stdout);
    let (child, log) = start(&event_loop, joined);
    assert!(child.get_pipe_transport(1).is_none());
    run_to_end(&event_loop, &child);
    let mut written = String::new();
    file.seek(SeekFrom::Start(0)).unwrap();
    file.read_to_string(&mut written).unwrap();
    assert_eq!((written.as_str(), log.data(1)), ("one\ntwo\nthree\n", Vec::new()));

    let nowhere = SubprocessOptions::shell(both).stdout(Stdio::Null).stderr(Stdio::Stdout);
    let (child, log) = start(&event_loop, nowhere);
    run_to_end(&event_loop, &child);
    assert!(log.data(1).is_empty() && log.data(2).is_empty());
}

#[test]
fn c13_p6_what_waits_for_the_input_pauses_the_writer() {
    let event_loop = new_loop();
    let (child, log) = start(&event_loop, SubprocessOptions::shell("read go <&2; exec wc -c"));
    // It reads nothing yet: its errors are a pipe that it cannot read, and it waits there or ends.
    let input = child.get_pipe_transport(0).unwrap();
    input.set_write_buffer_limits(WriteBufferLimits::from_high(Bytes(1000))).unwrap();
    let large = vec![b'x'; 1_000_000];
    assert_eq!(input.write(&large), WriteState::OverHighMark);
    run_until(&event_loop, || log.has(&Seen::Resumed));
    input.close();
    run_to_end(&event_loop, &child);
    let flow: Vec<_> = log
        .events()
        .into_iter()
        .filter(|seen| matches!(seen, Seen::Paused | Seen::Resumed))
        .collect();
    assert_eq!(flow, [Seen::Paused, Seen::Resumed]);
    assert_eq!(log.data(1).trim_ascii(), b"1000000");
}

#[test]
fn c13_a_child_that_writes_without_end_is_held_up() {
    let event_loop = new_loop();
    let (child, log) = start(&event_loop, SubprocessOptions::new("yes").stdin(Stdio::Null));
    run_until(&event_loop, || !log.data(1).is_empty());
    let output = child.get_pipe_transport(1).unwrap();
    output.pause_reading();
    let so_far = log.data(1).len();
    // It sleeps in write(2).
    until(|| {
        std::fs::read_to_string(format!("/proc/{}/stat", child.get_pid())).unwrap().contains(") S ")
    });
    event_loop.run_ready_now();
    assert_eq!(log.data(1).len(), so_far);
    output.resume_reading();
    run_until(&event_loop, || log.data(1).len() > so_far);
    child.close();
    run_to_end(&event_loop, &child);
    assert_eq!(child.get_returncode(), Some(-9));
}

#[test]
fn x55_x57_a_transport_tells_of_its_child_and_signals_it() {
    let event_loop = new_loop();
    let (child, _log) = start(&event_loop, SubprocessOptions::new("cat").stderr(Stdio::Inherit));
    assert!(!is_gone(child.get_pid()));
    let piped: Vec<_> = (-1..4).filter(|fd| child.get_pipe_transport(*fd).is_some()).collect();
    assert_eq!(piped, [0, 1]);
    for wrong in [0, -1, 65, 1000] {
        assert_eq!(child.send_signal(wrong).unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
    }
    child.terminate().unwrap();
    until_zombie(child.get_pid());
    child.kill().unwrap(); // it has died, and nobody has seen it: no harm
    assert_eq!(event_loop.run_until_complete(&child.wait()).unwrap(), ExitStatus::Signaled(15));
    run_to_end(&event_loop, &child);
    let error = child.send_signal(15).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::SRCH.raw_os_error()));
    assert!(child.kill().is_err() && child.terminate().is_err());
    child.close(); // idempotent, also after the end
}

#[test]
fn c16_a_signal_goes_to_this_child_only() {
    let event_loop = new_loop();
    let (first, _) = start(&event_loop, "cat");
    let (second, log) = start(&event_loop, "cat");
    first.kill().unwrap();
    run_to_end(&event_loop, &first);
    assert_eq!((first.get_returncode(), second.get_returncode()), (Some(-9), None));
    second.get_pipe_transport(0).unwrap().close();
    run_to_end(&event_loop, &second);
    assert!(log.has(&Seen::Exited(0)));
}

#[test]
fn c17_children_work_on_loops_of_any_thread() {
    let threads: Vec<_> = (0..4)
        .map(|number| {
            std::thread::spawn(move || {
                let event_loop = new_loop();
                for round in 0..5 {
                    let code = number * 10 + round;
                    let (child, _) = start(&event_loop, quiet(&format!("exit {code}")));
                    run_to_end(&event_loop, &child);
                    assert_eq!(child.get_returncode(), Some(code));
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn p21_another_protocol_may_take_over() {
    let event_loop = new_loop();
    let (child, first) = start(&event_loop, "cat");
    let input = child.get_pipe_transport(0).unwrap();
    input.write(b"one");
    run_until(&event_loop, || first.data(1) == b"one");
    let second: Rc<std::cell::RefCell<Vec<u8>>> = Rc::default();
    struct Second(Rc<std::cell::RefCell<Vec<u8>>>);
    impl SubprocessProtocol for Second {
        fn connection_made(&mut self, _: &dyn SubprocessTransport) {
            panic!("it takes over later");
        }
        fn pipe_data_received(&mut self, _: &dyn SubprocessTransport, _: i32, data: &[u8]) {
            self.0.borrow_mut().extend_from_slice(data);
        }
    }
    child.set_protocol(Second(second.clone()));
    input.write(b"two");
    run_until(&event_loop, || *second.borrow() == b"two");
    assert_eq!(first.data(1), b"one");
    let seen = child.with_protocol(|second: &mut Second, _| second.0.borrow().len());
    assert_eq!(seen, Ok(3));
    let other = child.with_protocol(|_: &mut Recorder, _| ());
    assert!(matches!(other, Err(ProtocolUnavailable::OtherType { .. })));
    child.close();
    run_to_end(&event_loop, &child);
    assert_eq!(child.with_protocol(|_: &mut Second, _| ()), Err(ProtocolUnavailable::Gone));
}

#[test]
fn x55_a_pipe_with_a_protocol_of_its_own_has_ended_for_the_childs() {
    struct Own(Rc<std::cell::RefCell<Vec<u8>>>);
    impl Protocol for Own {
        fn data_received(&mut self, _: &dyn Transport, data: &[u8]) {
            self.0.borrow_mut().extend_from_slice(data);
        }
    }
    let event_loop = new_loop();
    let (child, log) = start(&event_loop, "cat");
    let own: Rc<std::cell::RefCell<Vec<u8>>> = Rc::default();
    child.get_pipe_transport(1).unwrap().set_protocol(Own(own.clone()));
    event_loop.run_ready_now();
    assert!(log.has(&Seen::Lost(1, None)));
    child.get_pipe_transport(0).unwrap().write(b"tulip");
    run_until(&event_loop, || *own.borrow() == b"tulip");
    child.get_pipe_transport(0).unwrap().close();
    run_to_end(&event_loop, &child);
    assert!(log.data(1).is_empty());
    event_loop.run_ready_now();
}

#[test]
fn p19_a_child_that_closes_its_input_is_a_lost_pipe_not_an_end() {
    let event_loop = new_loop();
    let (child, log) =
        start(&event_loop, SubprocessOptions::shell("exec <&-; echo closed; read x <&1"));
    run_until(&event_loop, || log.data(1) == b"closed\n");
    run_until(&event_loop, || log.events().iter().any(|seen| matches!(seen, Seen::Lost(0, _))));
    let input = child.get_pipe_transport(0).unwrap();
    assert!(!input.write(b"nobody").is_taken());
    child.close();
    run_to_end(&event_loop, &child);
}
