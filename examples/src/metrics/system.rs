//! [`measure`]: what a host has to tell.

use super::Sample;
use std::fs;

/// Load and memory, as Linux tells them in `/proc`; elsewhere nothing. These files are no files: reading
/// them waits for no disk.
pub fn measure() -> Vec<Sample> {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    [loads(&load), memory_of(&memory)].concat()
}

fn loads(text: &str) -> Vec<Sample> {
    let names = ["load1", "load5", "load15"].map(str::to_owned);
    let values = text.split(' ').filter_map(|word| word.parse().ok());
    names.into_iter().zip(values).collect()
}

fn memory_of(text: &str) -> Vec<Sample> {
    let wanted = [("MemTotal:", "memory_total_kb"), ("MemAvailable:", "memory_free_kb")];
    let found = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let label = words.next()?;
        let (_, name) = wanted.iter().find(|(wanted, _)| *wanted == label)?;
        Some(((*name).to_owned(), words.next()?.parse().ok()?))
    };
    text.lines().filter_map(found).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_linux_tells_is_understood() {
        let load = loads("0.42 0.5 1.00 2/345 6789\n");
        assert_eq!(
            load,
            [("load1".to_owned(), 0.42), ("load5".to_owned(), 0.5), ("load15".to_owned(), 1.0,)]
        );
        let memory = memory_of("MemTotal:  100 kB\nBuffers: 7 kB\nMemAvailable:   50 kB\n");
        let expected = [("memory_total_kb".to_owned(), 100.0), ("memory_free_kb".to_owned(), 50.0)];
        assert_eq!(memory, expected);
        assert_eq!(loads("nothing"), []);
    }
}
