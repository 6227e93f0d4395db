//! Another protocol takes over, or nobody stops what goes on for ever (P-21, W-11, W-16).

use crate::support::*;
use eventloop::TestLoop;
use futures::Exception;
use tulipa_transports::protocols::{
    FramingError, LineHandler, LineMode, LineReceiver, LongLine, NetstringReceiver, StringHandler,
    Terminator, TerminatorHandler, TerminatorReceiver,
};
use tulipa_transports::testing::{Chunking, MemoryLoop, MemoryOptions, Notes, RecordingTransport};
use tulipa_transports::wrappers::{ProtocolWrapper, Wrapped};
use tulipa_transports::{Bytes, NetworkLoop, Protocol, Transport, TransportExt};

/// Notes all that it is given.
struct Rest(Notes);

impl Protocol for Rest {
    fn data_received(&mut self, _: &dyn Transport, data: &[u8]) {
        self.0.bytes(data);
    }
}

/// Leaves the connection to another protocol when the peer does not keep to this one.
struct Leaves(Notes);

impl LineHandler for Leaves {
    fn line_received(&mut self, _: &dyn Transport, line: &[u8]) -> LineMode {
        self.0.note(line.escape_ascii());
        LineMode::Lines
    }

    fn max_length(&self) -> Bytes {
        Bytes(5)
    }

    fn line_too_long(&mut self, transport: &dyn Transport) -> LongLine {
        self.0.note("leaves");
        transport.set_protocol(Rest(self.0.clone()));
        LongLine::Skip
    }
}

impl StringHandler for Leaves {
    fn string_received(&mut self, _: &dyn Transport, string: &[u8]) {
        self.0.note(string.escape_ascii());
    }

    fn broken_peer(&mut self, transport: &dyn Transport, error: FramingError) {
        self.0.note(error);
        transport.set_protocol(Rest(self.0.clone()));
    }
}

impl TerminatorHandler for Leaves {
    fn collect_incoming_data(&mut self, transport: &dyn Transport, data: &[u8]) {
        self.0.bytes(data);
        transport.set_protocol(Rest(self.0.clone()));
    }

    fn found_terminator(&mut self, _: &dyn Transport) -> Terminator {
        self.0.note("found");
        Terminator::from("aab")
    }
}

#[test]
fn p21_w16_the_next_protocol_gets_a_line_that_is_too_long_whole_however_it_is_cut() {
    Chunking::new(|notes| LineReceiver::new(Leaves(notes)))
        .input(b"tulip\r\nlily of the valley\r\nrose\r\n")
        .invariant(|run| assert!(run.notes().len() <= 3))
        .check();
}

#[test]
fn p21_w16_the_next_protocol_gets_a_broken_string_whole_however_it_is_cut() {
    for input in [&b"5:tulip,4:roses,1:x,"[..], b"5:tulip,04:rose", b"5:tulip,123456:rose"] {
        Chunking::new(|notes| NetstringReceiver::new(Leaves(notes))).input(input).check();
    }
    let event_loop = TestLoop::new();
    let notes = Notes::default();
    let receiver = NetstringReceiver::new(Leaves(notes.clone()));
    let pair = event_loop.memory_pair(receiver, Hooks::new(), MemoryOptions::default());
    event_loop.run_ready_now();
    pair.right.write(b"5:tulip,GET / HTTP/1.1\r\n");
    pair.right.close();
    run_until(&event_loop, || event_loop.open_connections() == 0);
    assert_eq!(notes.list()[2..], [r#"b"GET / HTTP/1.1\r\n""#]);
}

#[test]
fn p21_w16_the_next_protocol_gets_what_may_have_been_a_terminator() {
    Chunking::new(|notes| TerminatorReceiver::new(Leaves(notes), "aab")).input(b"aaab").check();
}

#[test]
fn w16_r4_a_handler_that_awaits_nothing_for_ever_loses_its_connection() {
    struct Nothing(usize);
    impl TerminatorHandler for Nothing {
        fn collect_incoming_data(&mut self, _: &dyn Transport, _: &[u8]) {}
        fn found_terminator(&mut self, _: &dyn Transport) -> Terminator {
            self.0 += 1;
            assert!(self.0 < 1_000_000, "it hangs");
            Terminator::Count(0)
        }
    }
    let event_loop = TestLoop::new();
    let errors = collect_errors(&event_loop);
    let receiver = TerminatorReceiver::new(Nothing(0), ";");
    let pair = event_loop.memory_pair(receiver, Hooks::new(), MemoryOptions::default());
    event_loop.run_ready_now();
    pair.right.write(b";");
    run_until(&event_loop, || event_loop.open_connections() == 0);
    let message = panic_message(&errors.take()[0]);
    assert!(message.contains("Count(0)"), "{message}");
}

#[test]
fn w11_r4_a_close_that_somebody_puts_off_ends_no_line_and_hangs_nobody() {
    struct LaterPlease;
    impl ProtocolWrapper for LaterPlease {
        fn close(&self, _: &dyn Transport) {}
        fn abort(&self, _: &dyn Transport, _: Option<Exception>) {}
    }
    struct Closes(LongLine, Slot<usize>);
    impl LineHandler for Closes {
        fn line_received(&mut self, _: &dyn Transport, _: &[u8]) -> LineMode {
            LineMode::Lines
        }
        fn max_length(&self) -> Bytes {
            Bytes(5)
        }
        fn line_too_long(&mut self, _: &dyn Transport) -> LongLine {
            self.1.update(|times| *times += 1);
            assert!(self.1.get() < 100, "it hangs");
            self.0
        }
    }
    for answer in [LongLine::Close, LongLine::Fail] {
        let times = Slot::new();
        let receiver = LineReceiver::new(Closes(answer, times.clone()));
        let mut wrapped = Wrapped::new(LaterPlease, receiver);
        wrapped.data_received(&RecordingTransport::new(), b"lily of the valley\r\nrose\r\n");
        assert_eq!(times.get(), 1);
    }
}

#[test]
fn r4_p20_after_a_pause_the_lines_that_came_before_need_no_turn_each() {
    struct PausesOnce(Slot<usize>);
    impl LineHandler for PausesOnce {
        fn line_received(&mut self, transport: &dyn Transport, _: &[u8]) -> LineMode {
            self.0.update(|lines| *lines += 1);
            if self.0.get() == 1 {
                transport.pause_reading();
            }
            LineMode::Lines
        }
    }
    /// Counts how often it is given something.
    struct Counts(Slot<usize>);
    impl ProtocolWrapper for Counts {
        fn wants_data(&self) -> bool {
            true
        }
        fn data_received(&self, _: &dyn Transport, _: &[u8]) {
            self.0.update(|times| *times += 1);
        }
    }
    let event_loop = TestLoop::new();
    let (lines, times) = (Slot::new(), Slot::new());
    let receiver = LineReceiver::new(PausesOnce(lines.clone()));
    let receiver = Wrapped::new(Counts(times.clone()), receiver);
    let pair = event_loop.memory_pair(
        receiver,
        Hooks::new(),
        MemoryOptions::default().capacity(Bytes::kib(1024)),
    );
    event_loop.run_ready_now();
    pair.right.write(&b"\r\n".repeat(100_000));
    run_until(&event_loop, || lines.get() == 1);
    pair.left.resume_reading();
    run_until(&event_loop, || lines.get() == 100_000);
    assert!(times.get() < 1000, "{} pieces", times.get());
    pair.left.abort();
    pair.right.abort();
    run_until(&event_loop, || event_loop.open_connections() == 0);
}
