//! What a process used of its core and of the memory, as the kernel counts it. It is asked from outside, so that
//! every peer is measured alike, whatever it is written in.

use std::fs;
use std::io::{Error, ErrorKind, Result};
use std::time::Duration;

/// What the scheduler gave to a process: the sum over all its threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTime {
    /// For how long it ran, in user space and in the kernel.
    pub ran: Duration,
    /// For how long it could have run, but others had its core.
    pub waited: Duration,
}

impl CpuTime {
    /// What the process has used since it was started. Threads that ended meanwhile are not counted, nor are
    /// children. (For a thread that runs just now the kernel's figure may be one tick old.)
    ///
    /// # Errors
    /// If there is no such process.
    pub fn of(pid: u32) -> Result<Self> {
        let mut sum = Self::default();
        for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
            match fs::read_to_string(thread?.path().join("schedstat")) {
                Ok(line) => {
                    let thread = Self::parse(&line).ok_or_else(|| malformed("schedstat", &line))?;
                    sum.ran += thread.ran;
                    sum.waited += thread.waited;
                }
                // The thread has ended since the folder was listed.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(sum)
    }

    /// What the calling thread has used since it was started.
    ///
    /// # Errors
    /// If the kernel does not tell.
    pub fn of_this_thread() -> Result<Self> {
        let line = fs::read_to_string("/proc/thread-self/schedstat")?;
        Self::parse(&line).ok_or_else(|| malformed("schedstat", &line))
    }

    /// What was used between `earlier` and this.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            ran: self.ran.saturating_sub(earlier.ran),
            waited: self.waited.saturating_sub(earlier.waited),
        }
    }

    /// A line of schedstat: nanoseconds run, nanoseconds waited, times put on a core.
    fn parse(line: &str) -> Option<Self> {
        let mut numbers = line.split_ascii_whitespace().map(|number| number.parse().ok());
        let ran = Duration::from_nanos(numbers.next()??);
        let waited = Duration::from_nanos(numbers.next()??);
        Some(Self { ran, waited })
    }
}

/// The memory that a process has for itself alone, in bytes: what it allocated and touched. Its program and its
/// libraries, which are mapped from files, are not counted.
///
/// # Errors
/// If there is no such process, or the kernel does not tell.
pub fn anonymous_memory(pid: u32) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    parse_anonymous(&text).ok_or_else(|| malformed("smaps_rollup", &text))
}

fn parse_anonymous(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("Anonymous:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

fn malformed(file: &str, text: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("unexpected contents of {file}: {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_schedstat_is_time_run_and_time_waited() {
        let time = CpuTime::parse("1500000000 250 77\n").unwrap();
        assert_eq!(time.ran, Duration::from_millis(1500));
        assert_eq!(time.waited, Duration::from_nanos(250));
    }

    #[test]
    fn what_is_no_line_of_schedstat_is_not_taken_for_nought() {
        for line in ["", "12", "twelve 13 14", "-1 2 3"] {
            assert_eq!(CpuTime::parse(line), None, "{line:?}");
        }
    }

    #[test]
    fn the_time_of_all_threads_is_counted_while_they_live() {
        let before = CpuTime::of(std::process::id()).unwrap();
        let (told, tell) = std::sync::mpsc::channel();
        let (finish, finished) = std::sync::mpsc::channel::<()>();
        let busy = std::thread::spawn(move || {
            let mut own = Duration::ZERO;
            while own < Duration::from_millis(20) {
                own = CpuTime::of_this_thread().unwrap().ran;
            }
            told.send(own).unwrap();
            let _ = finished.recv();
        });
        let own = tell.recv().unwrap();
        let used = CpuTime::of(std::process::id()).unwrap().since(before);
        assert!(used.ran >= own, "{used:?} is less than the {own:?} of one thread");
        drop(finish);
        busy.join().unwrap();
    }

    #[test]
    fn a_process_that_is_not_there_is_an_error() {
        // Numbers of processes end below this.
        assert!(CpuTime::of(1 << 23).is_err());
        assert!(anonymous_memory(1 << 23).is_err());
    }

    #[test]
    fn anonymous_memory_is_read_from_its_own_line() {
        let text = "Rss:  4242 kB\nPrivate_Dirty:   77 kB\nAnonymous:           148 kB\nAnonHugePages: 2048 kB\n";
        assert_eq!(parse_anonymous(text), Some(148 * 1024));
        assert_eq!(parse_anonymous("Rss:  4242 kB\n"), None);
        assert!(anonymous_memory(std::process::id()).unwrap() > 0);
    }
}
