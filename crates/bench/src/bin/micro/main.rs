//! What the scheduler costs: nanoseconds per callback, timer, future and task, measured as shipped: through
//! the trait object, with default features and statistics on. Prints a JSON line for each figure.
//!
//! `micro sched` runs the single-threaded figures (CPU time), `micro threads` those with a second thread
//! (wall time), `micro growth` what one more of them costs when many are pending. Without an argument: the first
//! two.

mod callbacks;
mod growth;
mod tasks;
mod threads;
mod timers;

use clap::{Parser, ValueEnum};
use std::hint::black_box;
use std::rc::Rc;
use std::time::Duration;
use tulipa::AbstractEventLoop;
use tulipa::prelude::*;
use tulipa_bench::figure::Figures;
use tulipa_bench::process::pin_to_first;

/// How often each thing is done.
const N: u64 = 1_000_000;

const FIGURES: Figures = Figures("tulipa");

type Loop = Rc<dyn AbstractEventLoop>;

/// What the scheduler costs, in nanoseconds: a JSON line for each figure.
#[derive(Parser)]
struct Arguments {
    /// What to measure.
    #[arg(default_value = "all")]
    part: Part,
}

#[derive(Clone, Copy, ValueEnum)]
enum Part {
    /// The next two, one after the other.
    All,
    /// One thread: callbacks, timers, futures and tasks. CPU time.
    Sched,
    /// Calls from a second thread. Wall time.
    Threads,
    /// The same things with one to ten million of them pending. CPU time.
    Growth,
}

fn main() -> Result<(), Exception> {
    pin_to_first();
    match Arguments::parse().part {
        Part::All => scheduler().and_then(|()| threads::measure()),
        Part::Sched => scheduler(),
        Part::Threads => threads::measure(),
        Part::Growth => growth::measure(),
    }
}

fn scheduler() -> Result<(), Exception> {
    let owner = EventLoop::new()?;
    let event_loop = erased(&owner);
    callbacks::measure(&event_loop)?;
    timers::measure(&event_loop)?;
    tasks::futures(&event_loop)?;
    tasks::coroutines(&event_loop)
}

/// Prints one figure.
fn report(bench: &str, operations: u64, took: Duration) {
    FIGURES.report(bench, operations, took);
}

/// The loop behind its interface, where the compiler cannot see which one it is.
fn erased(event_loop: &EventLoop) -> Loop {
    black_box(event_loop.handle().into())
}

/// Runs iterations until `condition` holds.
fn run_until(event_loop: &Loop, condition: impl Fn() -> bool) -> Result<(), Exception> {
    loop {
        event_loop.run_once(Some(Duration::ZERO))?;
        if condition() {
            return Ok(());
        }
    }
}
