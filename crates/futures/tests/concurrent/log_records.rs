//! A logger that remembers.

use std::sync::Mutex;

static RECORDS: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Recorder;

impl log::Log for Recorder {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = format!("{} {}: {}", record.level(), record.target(), record.args());
        RECORDS.lock().unwrap().push(line);
    }

    fn flush(&self) {}
}

/// Begins to remember.
pub(crate) fn start() {
    static RECORDER: Recorder = Recorder;
    // The second test to ask finds it installed.
    let _ = log::set_logger(&RECORDER);
    log::set_max_level(log::LevelFilter::Trace);
}

/// Those records that contain `text`.
pub(crate) fn containing(text: &str) -> Vec<String> {
    let records = RECORDS.lock().unwrap();
    records.iter().filter(|record| record.contains(text)).cloned().collect()
}
