//! Compares Tulipa with what else there is, on this machine: all suites, in rounds, and a report in Markdown.
//!
//! ```text
//! cargo run --release -p tulipa-bench
//! cargo run --release -p tulipa-bench -- --suite echo --case 100x1024 --peer tokio --rounds 3
//! cargo run --release -p tulipa-bench -- --report target/bench/1795423000.jsonl --charts charts
//! ```
//!
//! How a figure comes about:
//!
//! - A server is a program of its own, on a core of its own. What makes the requests runs on another, never sleeps,
//!   and compares all that comes back with what it sent.
//! - In each round every peer is measured in every case, one right after the other, in random order. A machine that
//!   is slow for a minute is slow for all of them: what counts is the ratio to the baseline in the same round, and
//!   the median of these over the rounds.
//! - The first figure is the CPU time of the server for each request, as the kernel counts it, with all its threads.
//!   It says what a server costs even where it is quicker than what asks it.
//! - Windows are short, and what runs in them goes before the other work of the machine, if that is allowed (root).
//!   After each the machine is left alone for as long.
//! - All that is measured is written down, window by window. Windows that fail are said and left out.
//!
//! Two cores are taken, the first two that are allowed; `taskset` chooses others.

mod programs;
mod rounds;
mod suite;
mod suites;

use clap::Parser;
use programs::Programs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use tulipa::Exception;
use tulipa_bench::machine::machine;
use tulipa_bench::process::{Cores, raise_descriptor_limit, run_in_real_time};
use tulipa_bench::record::{Recorder, Recording};
use tulipa_bench::{charts, report};

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
    /// Only these cases, as 100x1024, of the suites that have them.
    #[arg(long = "case", value_name = "NAME")]
    cases: Vec<String>,
    /// Where the lines of JSON go, one for each window; they are added to what is there.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Measures nothing, and makes the report of what was recorded there.
    #[arg(long, value_name = "FILE", conflicts_with = "record")]
    report: Option<PathBuf>,
    /// Where charts go, as SVG files.
    #[arg(long, value_name = "FOLDER")]
    charts: Option<PathBuf>,
    /// The Python that runs asyncio and, if it has it, uvloop.
    #[arg(long, value_name = "PROGRAM", default_value = "python3")]
    python: PathBuf,
}

fn main() -> Result<(), Exception> {
    let arguments = Arguments::parse();
    let recorded = match &arguments.report {
        Some(path) => path.clone(),
        None => measure(&arguments)?,
    };
    report(&recorded, arguments.charts.as_deref())
}

/// Runs the suites that were asked for; gives the file in which everything is recorded.
fn measure(arguments: &Arguments) -> Result<PathBuf, Exception> {
    raise_descriptor_limit();
    Cores::of_this_process()?;
    let programs = Programs::build(arguments.python.clone())?;
    let suites = suite::selected(suites::all(&programs)?, arguments)?;
    let path = match &arguments.record {
        Some(path) => path.clone(),
        None => programs.target().join(format!("bench/{}.jsonl", seconds_since_1970()?)),
    };
    let mut machine = machine();
    machine.extend(programs.versions());
    let first = std::thread::scope(|scope| scope.spawn(run_in_real_time).join().unwrap_or(false));
    if !first {
        eprintln!("not allowed to run in real time: other work will disturb the measurement more");
    }
    let schedule = if first { "before other work (SCHED_RR)" } else { "among other work" };
    machine.insert("windows run".to_owned(), schedule.to_owned());
    let mut recorder = Recorder::append(&path, &machine)?;
    let rounds = if arguments.quick { 2 } else { arguments.rounds };
    eprintln!("recording into {}", path.display());
    for suite in &suites {
        rounds::run(suite, rounds, &mut recorder)?;
    }
    Ok(path)
}

/// Prints what was recorded as Markdown, and draws it.
fn report(recorded: &Path, charts: Option<&Path>) -> Result<(), Exception> {
    let recording = Recording::read(recorded)?;
    // Nobody reads any more: then there is nobody to tell either.
    let _ = io::stdout().write_all(report::markdown(&recording).as_bytes());
    for file in charts.map_or_else(|| Ok(Vec::new()), |folder| charts::draw(&recording, folder))? {
        eprintln!("drew {}", file.display());
    }
    Ok(())
}

fn seconds_since_1970() -> Result<u64, Exception> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
}
