//! The program `micro` with other libraries: the same things, under the same names, done as their users would.

mod calloop;
mod coroutines;
mod growth;
mod smol;
mod tokio;

use clap::ValueEnum;
use tulipa::Exception;
use tulipa_bench::process::pin_to_first;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// With which library.
    library: Library,
    /// What to measure.
    #[arg(default_value = "all")]
    part: Part,
}

#[derive(Clone, Copy, ValueEnum)]
enum Library {
    Tokio,
    Smol,
    Calloop,
}

#[derive(Clone, Copy, ValueEnum)]
enum Part {
    /// The next two, one after the other.
    All,
    /// One thread: callbacks, timers, futures and tasks. CPU time.
    Sched,
    /// Calls from a second thread. Wall time.
    Threads,
    /// The same things with one to a million of them pending. CPU time.
    Growth,
}

/// How often each thing is done, and how often another thread posts, and posts and waits.
const N: u64 = 1_000_000;
const POSTS: u64 = 300_000;
const TRIPS: u64 = 30_000;

pub(crate) fn measure(arguments: &Arguments) -> Result<(), Exception> {
    pin_to_first();
    match arguments.library {
        Library::Tokio => tokio::run(|library| coroutines::measure(library, arguments.part)),
        Library::Smol => smol::run(|library| coroutines::measure(library, arguments.part)),
        Library::Calloop => calloop::measure(arguments.part),
    }
}
