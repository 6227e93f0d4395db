//! What a program says that measures itself: a JSON line for each figure.

use serde::{Deserialize, Serialize};
use std::io::{self, Write};
use std::time::Duration;

/// One figure: nanoseconds per operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Who was measured.
    pub peer: String,
    /// What was done, by the name that it has in every peer's program. Where the question is how the cost
    /// grows, a size stands behind it: `timer armed/1000`.
    pub bench: String,
    /// How often it was done.
    pub n: u64,
    /// Nanoseconds each.
    pub ns_per_op: f64,
}

/// Prints the figures of one peer, as soon as each is known.
#[derive(Clone, Copy, Debug)]
pub struct Figures(pub &'static str);

impl Figures {
    /// `n` operations took `took`.
    pub fn report(self, bench: &str, n: u64, took: Duration) {
        // A tenth of a nanosecond is more than can be known.
        let ns_per_op = (took.as_nanos() as f64 / n as f64 * 10.0).round() / 10.0;
        let figure = Figure { peer: self.0.into(), bench: bench.into(), n, ns_per_op };
        let line = serde_json::to_string(&figure).expect("names and numbers are JSON");
        // Nobody reads any more: then there is nothing to tell.
        let _ = writeln!(io::stdout(), "{line}");
    }

    /// The same, for a point of a curve.
    pub fn report_at(self, size: u64, curve: &str, n: u64, took: Duration) {
        self.report(&format!("{curve}/{size}"), n, took);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let line = r#"{"peer":"libuv","bench":"task yield","n":2,"ns_per_op":1.5}"#;
        let figure: Figure = serde_json::from_str(line).unwrap();
        assert_eq!(serde_json::to_string(&figure).unwrap(), line);
    }
}
