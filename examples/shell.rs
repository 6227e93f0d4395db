//! Runs commands, several at a time, and shows what they print line by line. Try it:
//! cargo run --release --example shell -- 'ping -c 3 localhost' 'for i in 1 2 3; do date; sleep 1; done'

use clap::Parser;
use std::cell::Cell;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;
use tulipa::prelude::*;
use tulipa::streams::{StreamReader, StreamReaderProtocol};
use tulipa::{Bytes, PipeOptions, Semaphore, TaskGroup, current};
use tulipa_examples::program::run_program;
use tulipa_examples::serving::{announce, start_logging};
use tulipa_examples::shell::{Ending, Limits, Output, run_command};

/// Runs commands in a shell, several at a time. Each line that they print is shown at once, behind the
/// number of its command. SIGINT and SIGTERM ask the commands to end, and kill those that do not.
///
/// The exit code is 0 if all commands succeeded, else 1.
#[derive(Parser)]
struct Arguments {
    /// The commands. Without any they are read from standard input, one a line.
    #[arg(value_name = "COMMAND")]
    commands: Vec<String>,
    /// How many run at the same time.
    #[arg(long, short, default_value = "4")]
    jobs: NonZeroUsize,
    /// After how many seconds a command is stopped; 0 for never.
    #[arg(long, default_value_t = 0.0, value_name = "SECONDS", value_parser = seconds)]
    timeout: f64,
    /// How many seconds a command has to end by itself when it is stopped.
    #[arg(long, default_value_t = 5.0, value_name = "SECONDS", value_parser = seconds)]
    grace: f64,
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number")?;
    if (0.0..=1e9).contains(&seconds) { Ok(seconds) } else { Err("not a time".to_owned()) }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    start_logging();
    run_program(shell(arguments))
}

async fn shell(arguments: Arguments) -> Result<ExitCode, Exception> {
    let time = Duration::from_secs_f64(arguments.timeout);
    let limits = Limits {
        time: Some(time).filter(|time| !time.is_zero()),
        grace: Duration::from_secs_f64(arguments.grace),
        line: Bytes::kib(64),
    };
    let mut commands = Commands::new(arguments.commands).await?;
    let places = Semaphore::new(arguments.jobs.get());
    let failures = Rc::new(Cell::new(0));
    TaskGroup::scope(async |group| {
        let mut number = 0;
        loop {
            let place = places.acquire().await?;
            let Some(command) = commands.next().await? else { return Ok(()) };
            number += 1;
            let failures = failures.clone();
            group.spawn(async move {
                if !run_numbered(number, &command, limits).await {
                    failures.set(failures.get() + 1);
                }
                drop(place);
            })?;
        }
    })
    .await?;
    Ok(if failures.get() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs one command, and says how it went. Answers whether that was well.
async fn run_numbered(number: usize, command: &str, limits: Limits) -> bool {
    let say = |output, line: &[u8]| {
        let line = String::from_utf8_lossy(line);
        match output {
            Output::Stdout => announce(format_args!("{number}| {line}")),
            Output::Stderr => announce(format_args!("{number}! {line}")),
        }
    };
    match run_command(command, limits, &say).await {
        Ok(ending) => {
            match ending {
                Ending::Ended(status) => announce(format_args!("{number}: {status}")),
                Ending::TookTooLong => announce(format_args!("{number}: took too long")),
            }
            ending.is_good()
        }
        Err(error) if error.is_cancelled() => {
            announce(format_args!("{number}: stopped"));
            false
        }
        Err(error) => {
            log::error!("{command:?}: {error:?}");
            false
        }
    }
}

/// Where the commands come from.
enum Commands {
    Given(std::vec::IntoIter<String>),
    Read { stdin: StreamReader },
}

impl Commands {
    async fn new(given: Vec<String>) -> Result<Self, Exception> {
        if !given.is_empty() {
            return Ok(Commands::Given(given.into_iter()));
        }
        let stdin = StreamReader::default();
        let protocol = StreamReaderProtocol::new(&stdin);
        current().connect_read_pipe(move || protocol, PipeOptions::stdin()?).await?;
        Ok(Commands::Read { stdin })
    }

    async fn next(&mut self) -> Result<Option<String>, Exception> {
        let stdin = match self {
            Commands::Given(commands) => return Ok(commands.next()),
            Commands::Read { stdin } => stdin,
        };
        loop {
            let line = stdin.readline().await?;
            if line.is_empty() {
                return Ok(None);
            }
            let line = String::from_utf8_lossy(&line);
            if !line.trim().is_empty() {
                return Ok(Some(line.trim().to_owned()));
            }
        }
    }
}
