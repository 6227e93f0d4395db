//! Panics of protocols end their own connection, and nothing else (P-10, P-14, P-17, R-8).

use crate::kinds::{LARGE, each};
use crate::support::*;
use eventloop::TestLoop;
use tulipa_transports::{Eof, Protocol, Transport};

const METHODS: [&str; 6] = [
    "connection_made",
    "data_received",
    "eof_received",
    "pause_writing",
    "resume_writing",
    "connection_lost",
];

/// Panics in one method, and when it is dropped.
struct PanicIn(&'static str);

impl PanicIn {
    fn check(&self, method: &str) {
        assert!(self.0 != method, "panic in {method}");
    }
}

impl Protocol for PanicIn {
    fn connection_made(&mut self, _: &dyn Transport) {
        self.check("connection_made");
    }

    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) {
        self.check("data_received");
    }

    fn eof_received(&mut self, _: &dyn Transport) -> Eof {
        self.check("eof_received");
        Eof::Close
    }

    fn pause_writing(&mut self, _: &dyn Transport) {
        self.check("pause_writing");
    }

    fn resume_writing(&mut self, _: &dyn Transport) {
        self.check("resume_writing");
    }

    fn connection_lost(&mut self, _: &dyn Transport, _: Option<futures::Exception>) {
        self.check("connection_lost");
    }
}

impl Drop for PanicIn {
    fn drop(&mut self) {
        assert!(self.0 != "drop", "panic in drop");
    }
}

#[test]
fn r8_p14_p17_a_panic_ends_its_own_connection_and_is_reported() {
    each(|kind| {
        for method in METHODS.into_iter().chain(["drop"]) {
            let event_loop = TestLoop::new();
            let errors = collect_errors(&event_loop);
            let (other, left_log, right_log) =
                kind.recorded(&event_loop, Hooks::new(), Hooks::new());
            // The one that panics writes, or reads, as its method wants it.
            let writes = ["pause_writing", "resume_writing"].contains(&method);
            let (quiet, log) = Hooks::new().recorded();
            let pair = match (method, writes) {
                // Its creator fails, so that there is no pair to be had.
                ("connection_made", _) => None,
                (_, true) => Some(kind.connect(&event_loop, PanicIn(method), quiet)),
                (_, false) => Some(kind.connect(&event_loop, quiet, PanicIn(method))),
            };
            if let Some(pair) = &pair {
                pair.right.pause_reading();
                pair.left.write(&pattern(LARGE));
                event_loop.run_ready_now();
                pair.right.resume_reading();
                for _ in 0..10 {
                    event_loop.run_ready_now();
                }
                pair.left.close();
                run_until(&event_loop, || pair.left.is_closing() && log.is_lost());
                run_until(&event_loop, || event_loop.stats().transports <= 2);
                log.check_ended();
                let messages: Vec<String> = errors.take().iter().map(panic_message).collect();
                assert_eq!(messages, [format!("panic in {method}")]);
            }
            // The others did not notice.
            other.left.write(b"tulip");
            run_until(&event_loop, || right_log.bytes() == 5);
            other.end(&event_loop, [&left_log, &right_log]);
        }
    });
}
