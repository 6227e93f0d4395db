//! What every server program does: say where it listens, run until it is told to end, end in order.

use std::fmt::Display;
use std::io::{self, Write};
use std::time::Duration;
use tulipa::prelude::*;
use tulipa::{Server, signal};

/// How long connections have to come to an end after the first signal.
const SHUTDOWN: Duration = Duration::from_secs(10);

/// Logs to stderr, as `RUST_LOG` says; by default warnings and errors. A log that nobody reads any
/// more does not stop the program.
pub fn start_logging() {
    let filter = env_logger::Env::default().default_filter_or("warn");
    env_logger::Builder::from_env(filter).init();
}

/// Prints a line at once. If nobody reads it any more, that is no reason to end.
pub fn announce(line: impl Display) {
    let mut stdout = io::stdout().lock();
    // `println!` would panic where stdout is closed.
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}

/// Says where the servers listen, each line after its server's label; runs the loop until SIGINT or
/// SIGTERM, then shuts the servers down: all at the same time, each connection as its protocol says,
/// and by force after ten seconds. A second signal ends the program at once.
///
/// # Errors
/// If a signal handler cannot be installed, or the loop cannot run.
pub fn serve_until_signal(
    event_loop: &EventLoop,
    servers: &[(&str, Server)],
) -> Result<(), Exception> {
    const ENDINGS: [i32; 2] = [signal::SIGINT, signal::SIGTERM];
    for ending in ENDINGS {
        let handle = event_loop.handle();
        event_loop.add_signal_handler(ending, move || handle.stop())?;
    }
    // Not before: whoever reads the line may send a signal.
    for (label, server) in servers {
        for address in server.addresses() {
            announce(format_args!("{label}listening on {address}"));
        }
    }
    event_loop.run_forever()?;
    for ending in ENDINGS {
        event_loop.remove_signal_handler(ending);
    }
    let ends: Vec<_> = servers.iter().map(|(_, server)| server.shutdown(SHUTDOWN)).collect();
    for end in ends {
        let report = event_loop.run_until_complete(&end)?;
        log::info!("{} connections ended, {} were cut", report.drained, report.aborted);
    }
    Ok(())
}
