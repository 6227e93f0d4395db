//! A log that a test can read: each thread has its own.

use log::{Level, LevelFilter, Log, Metadata, Record};
use std::cell::{Cell, RefCell};
use std::sync::Once;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) level: Level,
    pub(crate) target: String,
    pub(crate) text: String,
}

thread_local! {
    static LINES: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
    static PANICS: Cell<bool> = const { Cell::new(false) };
}

struct PerThread;

impl Log for PerThread {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        assert!(!PANICS.get(), "expected: a logger that fails");
        let line = Line {
            level: record.level(),
            target: record.target().to_owned(),
            text: record.args().to_string(),
        };
        LINES.with_borrow_mut(|lines| lines.push(line));
    }

    fn flush(&self) {}
}

/// Begins to record what this thread logs; forgets what it logged before.
pub(crate) fn record() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        log::set_logger(&PerThread).unwrap();
        log::set_max_level(LevelFilter::Trace);
    });
    take();
}

/// What this thread logged for the project, since the last call.
pub(crate) fn take() -> Vec<Line> {
    let lines = LINES.take();
    lines.into_iter().filter(|line| line.target.starts_with("tulipa")).collect()
}

/// What it logged at one level.
pub(crate) fn take_at(level: Level) -> Vec<String> {
    take().into_iter().filter(|line| line.level == level).map(|line| line.text).collect()
}

/// Makes this thread's logger panic, or not.
pub(crate) fn fail(fails: bool) {
    PANICS.set(fails);
}
