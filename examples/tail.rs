//! Shows the end of a file, and what is added to it. Run it on a log, and write to that, cut it, or
//! give it another name meanwhile: tail --lines 5 /var/log/syslog

use clap::Parser;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::ExitCode;
use tulipa::prelude::*;
use tulipa::select;
use tulipa_examples::program::{Ending, run_program};
use tulipa_examples::serving::start_logging;
use tulipa_examples::tail::{Follower, Output};

/// Shows the last lines of a file, and then whatever is added to it. A file that is replaced, as logs
/// are, is followed by its name; one that is cut is shown anew.
#[derive(Parser)]
struct Arguments {
    /// The file.
    file: PathBuf,
    /// How many lines to begin with.
    #[arg(long, short = 'n', default_value_t = 10)]
    lines: usize,
    /// Only show the last lines.
    #[arg(long)]
    once: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    start_logging();
    run_program(show(arguments))
}

async fn show(arguments: Arguments) -> Result<ExitCode, Exception> {
    let ending = Ending::watch()?;
    let output = Output::stdout().await?;
    let mut follower = Follower::open(arguments.file, arguments.lines).await?;
    let showing = async {
        follower.catch_up(&output).await?;
        match arguments.once {
            true => Ok(()),
            false => follower.follow(&output).await,
        }
    };
    let ended = select! {
        outcome = ending.wait() => outcome,
        outcome = showing => outcome,
        outcome = output.closed() => outcome,
    }
    .flatten();
    match ended {
        // Who reads no more, as after `tail … | head`, wants no more.
        Err(error) if error.io_kind() == Some(ErrorKind::BrokenPipe) => {}
        other => other?,
    }
    output.finish().await?;
    Ok(ExitCode::SUCCESS)
}
