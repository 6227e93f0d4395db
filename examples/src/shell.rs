//! Runs commands and says what they print, line by line: the heart of the example `shell`.

#[cfg(test)]
mod tests;

use std::time::Duration;
use tulipa::subprocess::{ExitStatus, Process, Stdio, SubprocessOptions, create_subprocess_exec};
use tulipa::{Bytes, Exception, StreamReader, TimeoutError, gather, signal, timeout, wait_for};

/// How commands are run.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long one may run.
    pub time: Option<Duration>,
    /// How long one that is asked to end may take, before it is killed.
    pub grace: Duration,
    /// How long a line may be.
    pub line: Bytes,
}

/// Where a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Of its standard output.
    Stdout,
    /// Of its standard error.
    Stderr,
}

/// How a command has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By itself, or by somebody's signal.
    Ended(ExitStatus),
    /// It had to be stopped.
    TookTooLong,
}

impl Ending {
    /// Whether the command succeeded.
    pub fn is_good(self) -> bool {
        matches!(self, Ending::Ended(status) if status.success())
    }
}

/// Runs `command` in a shell, without input; `say` is given each line as soon as it is there, without
/// its newline. Cancelled, the command is asked to end, and killed if it does not.
///
/// # Errors
/// That it cannot be started, or a cancellation.
pub async fn run_command(
    command: &str,
    limits: Limits,
    say: &dyn Fn(Output, &[u8]),
) -> Result<Ending, Exception> {
    // A group of its own: Ctrl-C reaches us alone, and we pass it on.
    let options = SubprocessOptions::shell(command)
        .stdin(Stdio::Null)
        .process_group(0)
        .stream_limit(limits.line);
    let mut process = create_subprocess_exec(options).await?;
    let (stdout, stderr) = (process.stdout.take(), process.stderr.take());
    let (mut stdout, mut stderr) = (stdout.expect("a pipe"), stderr.expect("a pipe"));
    let talk = async {
        let outputs = gather!(
            pass_on(&mut stdout, |line| say(Output::Stdout, line)),
            pass_on(&mut stderr, |line| say(Output::Stderr, line)),
            process.wait(),
        );
        let ((), (), status) = outputs.await?;
        Ok(status)
    };
    let outcome = match limits.time {
        Some(time) => timeout(time, talk).await,
        None => talk.await,
    };
    match outcome {
        Ok(status) => Ok(Ending::Ended(status)),
        Err(error) => {
            stop(&process, limits.grace).await?;
            if error.is::<TimeoutError>() { Ok(Ending::TookTooLong) } else { Err(error) }
        }
    }
}

/// Reads lines to the end. What is left of one that is too long comes as lines of its own.
async fn pass_on(reader: &mut StreamReader, say: impl Fn(&[u8])) -> Result<(), Exception> {
    loop {
        match reader.readuntil(b"\n").await {
            Ok(mut line) => {
                line.pop();
                say(&line);
            }
            Err(error) => match error.downcast_ref() {
                Some(tulipa::streams::IncompleteReadError { partial, .. }) => {
                    if !partial.is_empty() {
                        say(partial);
                    }
                    return Ok(());
                }
                None => match error.downcast_ref() {
                    Some(tulipa::streams::LimitOverrunError { consumed, .. }) => {
                        say(&reader.readexactly(*consumed).await?);
                    }
                    None => return Err(error),
                },
            },
        }
    }
}

/// The signal that nobody can refuse.
const SIGKILL: i32 = 9;

/// Asks a command to end, with all that it has started, and kills it if it does not.
async fn stop(process: &Process, grace: Duration) -> Result<(), Exception> {
    // One that has ended in the meantime needs no asking.
    let _ = process.send_signal_to_group(signal::SIGTERM);
    match wait_for(process.transport().wait(), grace).await {
        Err(error) if error.is::<TimeoutError>() => {
            let _ = process.send_signal_to_group(SIGKILL);
            process.wait().await.map(drop)
        }
        ended => ended.map(drop),
    }
}
