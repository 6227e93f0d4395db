//! What every program that is one coroutine does: run it, end it on a signal, and say how it ended.

use std::process::ExitCode;
use tulipa::prelude::*;
use tulipa::{Event, Interrupted, SignalError, current, current_task, run, signal};

/// Runs `main` as the whole program. SIGINT and SIGTERM cancel it, so that it may clean up.
///
/// The exit code is what `main` says; 1 for an error, which goes to stderr; and as in shells 130 for
/// one that SIGINT ended, 143 for SIGTERM.
pub fn run_program(main: impl Future<Output = Result<ExitCode, Exception>> + 'static) -> ExitCode {
    match run(cancelled_by_sigterm(main)) {
        Ok(code) => code,
        Err(error) if error.is::<Interrupted>() => ExitCode::from(130),
        Err(error) if error.is_cancelled() => ExitCode::from(143),
        Err(error) => {
            eprintln!("error: {error:?}");
            ExitCode::FAILURE
        }
    }
}

async fn cancelled_by_sigterm<T>(
    main: impl Future<Output = Result<T, Exception>>,
) -> Result<T, Exception> {
    if let Some(task) = current_task() {
        current().add_signal_handler(signal::SIGTERM, move || {
            task.cancel();
        })?;
    }
    main.await
}

/// The wish to end a server: the first SIGINT or SIGTERM. A second one ends the program at once.
pub struct Ending {
    wished: Event,
}

const ENDINGS: [i32; 2] = [signal::SIGINT, signal::SIGTERM];

impl Ending {
    /// From now on the signals cancel nothing, but end the wait.
    ///
    /// # Errors
    /// If a signal handler cannot be installed.
    pub fn watch() -> Result<Self, SignalError> {
        let wished = Event::new();
        for ending in ENDINGS {
            let wished = wished.clone();
            current().add_signal_handler(ending, move || {
                wished.set();
                for ending in ENDINGS {
                    current().remove_signal_handler(ending);
                }
            })?;
        }
        Ok(Self { wished })
    }

    /// Waits for it.
    ///
    /// # Errors
    /// If the task is cancelled.
    pub async fn wait(&self) -> Result<(), Exception> {
        self.wished.wait().await
    }
}
