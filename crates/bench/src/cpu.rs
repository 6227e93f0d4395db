//! What a process used of its core and of the memory, as the kernel counts it. It is asked from outside, so that
//! every peer is measured alike, whatever it is written in.

use nix::errno::Errno;
use nix::time::ClockId;
use nix::unistd::Pid;
use std::fs;
use std::io::{Error, ErrorKind, Result};
use std::path::Path;
use std::time::Duration;

/// What the scheduler gave to a process or a thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTime {
    /// For how long it ran, in user space and in the kernel.
    pub ran: Duration,
    /// For how long it could have run, but others had its core: the sum over the threads that are there. Nought where
    /// the kernel does not count it.
    pub waited: Duration,
}

impl CpuTime {
    /// What the process has used since it was started: all its threads, also those that have ended, and not its
    /// children.
    ///
    /// The time it ran is that of its CPU clock. What is in `schedstat` of a thread that runs just now is as old as
    /// the last tick: up to 4 ms, which is too much beside a window of 200.
    ///
    /// # Errors
    /// If there is no such process.
    pub fn of(pid: u32) -> Result<Self> {
        let pid = i32::try_from(pid).map_err(|_| ErrorKind::InvalidInput)?;
        let ran = ClockId::pid_cpu_clock_id(Pid::from_raw(pid))?.now()?.into();
        let mut waited = Duration::ZERO;
        for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
            waited += waited_by(&thread?.path().join("schedstat"))?;
        }
        Ok(Self { ran, waited })
    }

    /// What the calling thread has used since it was started.
    ///
    /// # Errors
    /// If the kernel does not tell.
    pub fn of_this_thread() -> Result<Self> {
        let ran = ClockId::CLOCK_THREAD_CPUTIME_ID.now()?.into();
        Ok(Self { ran, waited: waited_by(Path::new("/proc/thread-self/schedstat"))? })
    }

    /// What was used between `earlier` and this.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            ran: self.ran.saturating_sub(earlier.ran),
            waited: self.waited.saturating_sub(earlier.waited),
        }
    }
}

/// For how long a thread has waited for a core. Nought if it has ended since the folder was listed, or if this kernel
/// has no such file.
fn waited_by(schedstat: &Path) -> Result<Duration> {
    match fs::read_to_string(schedstat) {
        Ok(line) => parse_waited(&line).ok_or_else(|| malformed("schedstat", &line)),
        // It was open already when the thread ended.
        Err(error) if error.raw_os_error() == Some(Errno::ESRCH as i32) => Ok(Duration::ZERO),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Duration::ZERO),
        Err(error) => Err(error),
    }
}

/// A line of schedstat: nanoseconds run, nanoseconds waited, times put on a core.
fn parse_waited(line: &str) -> Option<Duration> {
    let mut numbers = line.split_ascii_whitespace().map(|number| number.parse().ok());
    let _ran: u64 = numbers.next()??;
    Some(Duration::from_nanos(numbers.next()??))
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
        assert_eq!(parse_waited("1500000000 250 77\n"), Some(Duration::from_nanos(250)));
    }

    #[test]
    fn what_is_no_line_of_schedstat_is_not_taken_for_nought() {
        for line in ["", "12", "twelve 13 14", "-1 2 3"] {
            assert_eq!(parse_waited(line), None, "{line:?}");
        }
    }

    #[test]
    fn the_time_of_all_threads_is_counted_also_when_they_have_ended() {
        let before = CpuTime::of(std::process::id()).unwrap();
        let busy = std::thread::spawn(|| {
            loop {
                let own = CpuTime::of_this_thread().unwrap().ran;
                if own >= Duration::from_millis(20) {
                    return own;
                }
            }
        });
        let own = busy.join().unwrap();
        let used = CpuTime::of(std::process::id()).unwrap().since(before);
        assert!(used.ran >= own, "{used:?} is less than the {own:?} of one thread");
    }

    #[test]
    fn the_time_of_a_running_thread_is_not_as_old_as_the_last_tick() {
        let mut last = CpuTime::of_this_thread().unwrap().ran;
        let mut times = 0;
        while last < Duration::from_millis(10) || times < 10 {
            let now = CpuTime::of_this_thread().unwrap().ran;
            assert!(now > last, "reading it takes time, too");
            (last, times) = (now, times + 1);
        }
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
