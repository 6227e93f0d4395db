//! What was measured, as lines of JSON: one line for each window, written as soon as it is over, so that a run
//! that is broken off loses nothing. The first line of a file says on which machine and with which versions.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Error, ErrorKind, Write};
use std::path::Path;
use tulipa::Exception;

/// The figures of one window, by name: `cpu_ns`, `per_second`, `p50_ns` and so on.
pub type Metrics = BTreeMap<String, f64>;

/// The machine and the versions of what ran on it, by name.
pub type Machine = BTreeMap<String, String>;

/// One measured window. A ratio is that of two records that differ in nothing but their peer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// What kind of measurement, as `echo`.
    pub suite: String,
    /// Which one of that kind, as `100x1024`.
    pub case: String,
    /// Who was measured.
    pub peer: String,
    /// In which round: all peers take turns in each.
    pub round: u32,
    /// What was found.
    pub metrics: Metrics,
}

/// All that one run measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recording {
    /// Where; empty if the file does not say.
    pub machine: Machine,
    /// What, in the order of measuring.
    pub records: Vec<Record>,
}

impl Recording {
    /// Reads a file that a [`Recorder`] wrote, or several that were joined. Each run begins with the description of
    /// its machine: its rounds are numbered on from those before, so that nothing of one run is held against
    /// another; and where two descriptions differ, both are told.
    ///
    /// # Errors
    /// If the file cannot be read, or a line is neither a record nor a description of a machine.
    pub fn read(path: &Path) -> Result<Self, Exception> {
        Self::parse(BufReader::new(File::open(path)?))
    }

    pub(crate) fn parse(lines: impl BufRead) -> Result<Self, Exception> {
        let mut recording = Self::default();
        let (mut earlier, mut highest) = (0, 0);
        for (number, line) in lines.lines().enumerate() {
            let parsed = serde_json::from_str(&line?);
            match parsed.map_err(|error| malformed(number + 1, &error))? {
                Line::Machine { machine } => {
                    earlier = highest;
                    recording.describe(machine);
                }
                Line::Record(mut record) => {
                    record.round = record.round.saturating_add(earlier);
                    highest = highest.max(record.round);
                    recording.records.push(record);
                }
            }
        }
        Ok(recording)
    }

    fn describe(&mut self, machine: Machine) {
        for (name, fact) in machine {
            let known = self.machine.entry(name).or_default();
            if known.is_empty() {
                *known = fact;
            } else if known.split("; ").all(|one| one != fact) {
                known.push_str("; ");
                known.push_str(&fact);
            }
        }
    }
}

fn malformed(line: usize, error: &serde_json::Error) -> Error {
    Error::new(ErrorKind::InvalidData, format!("line {line} is no record: {error}"))
}

/// Writes what is measured, line by line.
#[derive(Debug)]
pub struct Recorder<W = File> {
    lines: W,
}

impl Recorder {
    /// Appends to the file, which is made together with its folder if it is not there.
    ///
    /// # Errors
    /// If the file cannot be made or written to.
    pub fn append(path: &Path, machine: &Machine) -> Result<Self, Exception> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Self::new(file, machine)
    }
}

impl<W: Write> Recorder<W> {
    fn new(lines: W, machine: &Machine) -> Result<Self, Exception> {
        let mut recorder = Self { lines };
        recorder.line(&Line::Machine { machine: machine.clone() })?;
        Ok(recorder)
    }

    /// Adds one window. What is no finite number is left out: JSON has none of these, and a file with one of them
    /// could not be read again.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn record(&mut self, record: &Record) -> Result<(), Exception> {
        let mut record = record.clone();
        record.metrics.retain(|_, figure| figure.is_finite());
        self.line(&Line::Record(record))
    }

    fn line(&mut self, line: &Line) -> Result<(), Exception> {
        let mut text = serde_json::to_string(line)?;
        text.push('\n');
        self.lines.write_all(text.as_bytes())?;
        Ok(self.lines.flush()?)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Machine { machine: Machine },
    Record(Record),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(peer: &str, cpu: f64) -> Record {
        Record {
            suite: "echo".into(),
            case: "100x1024".into(),
            peer: peer.into(),
            round: 3,
            metrics: Metrics::from([("cpu_ns".into(), cpu)]),
        }
    }

    #[test]
    fn what_was_recorded_is_read_again() {
        let machine = Machine::from([("cpu".into(), "some \"kind\"\n".into())]);
        let mut recorder = Recorder::new(Vec::new(), &machine).unwrap();
        let records = [record("epoll", 6123.25), record("tulipa", 0.1 + 0.2)];
        for record in &records {
            recorder.record(record).unwrap();
        }
        let read = Recording::parse(recorder.lines.as_slice()).unwrap();
        assert_eq!(read, Recording { machine, records: records.to_vec() });
    }

    #[test]
    fn a_record_is_one_line_with_the_names_that_are_documented() {
        let mut recorder = Recorder::new(Vec::new(), &Machine::new()).unwrap();
        recorder.record(&record("mio", 6123.0)).unwrap();
        let text = String::from_utf8(recorder.lines).unwrap();
        assert_eq!(
            text,
            "{\"machine\":{}}\n{\"suite\":\"echo\",\"case\":\"100x1024\",\"peer\":\"mio\",\
             \"round\":3,\"metrics\":{\"cpu_ns\":6123.0}}\n"
        );
    }

    #[test]
    fn what_is_no_number_is_left_out_so_that_the_file_can_be_read() {
        let mut recorder = Recorder::new(Vec::new(), &Machine::new()).unwrap();
        for figure in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            recorder.record(&record("mio", figure)).unwrap();
        }
        let read = Recording::parse(recorder.lines.as_slice()).unwrap();
        assert!(read.records.len() == 3 && read.records.iter().all(|one| one.metrics.is_empty()));
    }

    #[test]
    fn runs_that_were_joined_keep_their_rounds_and_machines_apart() {
        let mut joined = Vec::new();
        for kernel in ["6.1", "6.2", "6.1"] {
            let machine =
                Machine::from([("kernel".into(), kernel.into()), ("cores".into(), "2".into())]);
            let mut recorder = Recorder::new(Vec::new(), &machine).unwrap();
            recorder.record(&record("epoll", 1.0)).unwrap();
            recorder.record(&Record { round: 1, ..record("epoll", 1.0) }).unwrap();
            joined.extend(recorder.lines);
        }
        let read = Recording::parse(joined.as_slice()).unwrap();
        let rounds: Vec<u32> = read.records.iter().map(|record| record.round).collect();
        assert_eq!(rounds, [3, 1, 6, 4, 9, 7]);
        assert_eq!((&*read.machine["kernel"], &*read.machine["cores"]), ("6.1; 6.2", "2"));
    }

    #[test]
    fn what_is_not_a_record_is_an_error_and_not_skipped() {
        assert!(Recording::parse(&b"{\"suite\":\"echo\"}\n"[..]).is_err());
        assert!(Recording::parse(&b"{\"machine\":{}}\n\n"[..]).is_err());
    }
}
