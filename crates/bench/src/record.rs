//! What was measured, as JSON lines: first the machine, then a line for each measured window.
//!
//! Nothing is worked out here: ratios, medians and tables are made from these lines by `report`, as often as one
//! likes and on another machine too.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use tulipa::Exception;

/// One measured window: one peer, in one case of a suite, in one round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The suite, such as `echo`.
    pub suite: String,
    /// What was asked of the peer, such as `100x1024`: connections and bytes.
    pub case: String,
    /// Who was measured.
    pub peer: String,
    /// Windows of one round were measured close to each other, so they can be compared.
    pub round: u32,
    /// Figures by name; the name ends with the unit: `cpu_ns`, `per_second`, `p50_ns`.
    pub metrics: BTreeMap<String, f64>,
}

/// What ran the benchmark: kind of processor, system, versions of compilers and peers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Names and values, shown as they are.
    pub machine: BTreeMap<String, String>,
}

/// A whole file of lines.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recording {
    /// What is known about the machine.
    pub machine: Machine,
    /// The windows, in the order in which they were measured.
    pub records: Vec<Record>,
}

impl Recording {
    /// Reads a file of lines. Files put one after the other are one recording.
    ///
    /// # Errors
    /// If the file cannot be read, or a line is neither a machine nor a window; it says which.
    pub fn read(path: &Path) -> Result<Self, Exception> {
        Self::parse(&std::fs::read_to_string(path)?)
    }

    /// Reads lines that are in memory. What [`Recording::read`] says holds here too.
    ///
    /// # Errors
    /// As [`Recording::read`].
    pub fn parse(lines: &str) -> Result<Self, Exception> {
        let mut recording = Self::default();
        for (number, line) in lines.lines().enumerate().filter(|(_, line)| !line.trim().is_empty())
        {
            match serde_json::from_str(line) {
                Ok(Line::Window(record)) => recording.records.push(record),
                Ok(Line::Machine(machine)) => recording.machine.machine.extend(machine.machine),
                Err(error) => {
                    let text =
                        format!("line {} is neither a machine nor a window: {error}", number + 1);
                    return Err(io::Error::new(io::ErrorKind::InvalidData, text).into());
                }
            }
        }
        Ok(recording)
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Window(Record),
    Machine(Machine),
}
