//! A log that a test can read: each thread has its own.

use log::{Level, LevelFilter, Log, Metadata, Record};
use std::cell::RefCell;
use std::sync::Once;

thread_local! {
    static LINES: RefCell<Vec<(Level, String)>> = const { RefCell::new(Vec::new()) };
}

struct PerThread;

impl Log for PerThread {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        if record.target().starts_with("tulipa") {
            LINES.with_borrow_mut(|lines| lines.push((record.level(), record.args().to_string())));
        }
    }

    fn flush(&self) {}
}

/// Begins to record what this thread logs.
pub(crate) fn record() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        log::set_logger(&PerThread).unwrap();
        log::set_max_level(LevelFilter::Trace);
    });
    LINES.take();
}

/// What this thread logged at one level since the last call.
pub(crate) fn take_at(level: Level) -> Vec<String> {
    let lines = LINES.take().into_iter();
    lines.filter(|(at, _)| *at == level).map(|(_, text)| text).collect()
}
