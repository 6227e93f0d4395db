//! Compares Tulipa with what else there is, on this machine: all suites, in rounds, and a report in Markdown.
//!
//! ```text
//! cargo run --release -p tulipa-bench
//! cargo run --release -p tulipa-bench -- --suite echo --case 100x1024 --peer tokio --rounds 3
//! ```

mod programs;
mod rounds;
mod suite;
mod suites;

use clap::Parser;
use programs::Programs;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};
use tulipa::Exception;
use tulipa_bench::process::raise_descriptor_limit;
use tulipa_bench::record::{Machine, Recorder};

/// Compares Tulipa with what else there is. Every peer takes its turn in every round, in random order; what counts
/// is the ratio to the baseline of the same round.
#[derive(Parser)]
struct Arguments {
    /// How many rounds.
    #[arg(long, default_value_t = 12)]
    rounds: u32,
    /// Two rounds, to see that everything works; too few to rely on.
    #[arg(long, conflicts_with = "rounds")]
    quick: bool,
    /// Only these suites.
    #[arg(long = "suite", value_name = "NAME")]
    suites: Vec<String>,
    /// Only these peers, besides tulipa and the baseline.
    #[arg(long = "peer", value_name = "NAME")]
    peers: Vec<String>,
    /// Only these cases, as 100x1024.
    #[arg(long = "case", value_name = "NAME")]
    cases: Vec<String>,
    /// Where the lines of JSON go, one for each window.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
}

fn main() -> Result<(), Exception> {
    let arguments = Arguments::parse();
    raise_descriptor_limit();
    let programs = Programs::build()?;
    let suites = suite::selected(suites::all(&programs)?, &arguments)?;
    let path = match arguments.record {
        Some(path) => path,
        None => programs.target().join(format!("bench/{}.jsonl", seconds_since_1970()?)),
    };
    let mut recorder = Recorder::append(&path, &Machine::new())?;
    let rounds = if arguments.quick { 2 } else { arguments.rounds };
    eprintln!("recording into {}", path.display());
    for suite in &suites {
        rounds::run(suite, rounds, &mut recorder)?;
    }
    Ok(())
}

fn seconds_since_1970() -> Result<u64, Exception> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
}
