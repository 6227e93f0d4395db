//! What a peer can have written into the log: nothing above level debug.

use crate::kit::*;
use crate::support::*;
use eventloop::TestLoop;
use log::{Level, LevelFilter, Log, Metadata, Record};
use std::sync::atomic::{AtomicUsize, Ordering};
use tulipa_transports::testing::{MemoryLoop, MemoryOptions};
use tulipa_transports::tls::{Early, StartTls};

/// Counts what the TLS library has to say.
struct OfRustls(AtomicUsize);

impl Log for OfRustls {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Info && metadata.target().starts_with("rustls")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn flush(&self) {}
}

#[test]
fn r13_r4_a_peer_that_breaks_the_rules_writes_nothing_into_the_log() {
    static LOG: OfRustls = OfRustls(AtomicUsize::new(0));
    log::set_logger(&LOG).unwrap();
    log::set_max_level(LevelFilter::Info);
    let warnings = [21, 3, 3, 0, 2, 1, 0].repeat(10);
    let data = [23, 3, 3, 0, 4, 0, 0, 0, 0];
    for broken in [&warnings[..], &data] {
        let event_loop = TestLoop::new();
        let ((left, log), (right, _)) = (Hooks::new().recorded(), Hooks::new().recorded());
        let pair = event_loop.memory_pair(left, right, MemoryOptions::default());
        event_loop.run_ready_now();
        let upgraded = pair.left.start_tls(as_server(), Early::Refuse, Vec::new());
        pair.right.write(broken);
        assert!(event_loop.run_until_complete(&upgraded).is_err());
        event_loop.run_until_idle();
        log.check_ended();
    }
    assert_eq!(LOG.0.load(Ordering::Relaxed), 0);
}
