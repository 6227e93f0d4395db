//! What every server program does: say where it listens, run until it is told to end, end in order.

use std::cell::Cell;
use std::fmt::Display;
use std::io::{self, Write};
use std::rc::Rc;
use std::time::Duration;
use tulipa::SystemEvent::Shutdown;
use tulipa::TriggerPhase::Before;
use tulipa::prelude::*;
use tulipa::{CoreEnd, Cores, Server, signal, wrap_future};

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
    stop_on_signals(event_loop)?;
    for (label, server) in servers {
        for address in server.addresses() {
            let line = format!("{label}listening on {address}");
            // Not before: whoever reads the line may send a signal.
            event_loop.call_when_running(move || announce(line));
        }
        let server = server.clone();
        event_loop.add_system_event_trigger(Before, Shutdown, move || async move {
            let report = server.shutdown(SHUTDOWN).await?;
            log::info!("{} connections ended, {} were cut", report.drained, report.aborted);
            Ok(())
        });
    }
    event_loop.run_forever()?;
    let_signals_end_it(event_loop);
    event_loop.run_until_complete(&event_loop.fire_system_event(Shutdown))
}

/// As [`serve_until_signal`], for a server on several cores, for which `event_loop` waits. It ends by
/// itself, with an error, if a core fails.
///
/// # Errors
/// As there; and what made a core fail.
pub fn serve_cores_until_signal(event_loop: &EventLoop, cores: &Cores) -> Result<(), Exception> {
    stop_on_signals(event_loop)?;
    let ended = wrap_future(&cores.ended(), &***event_loop);
    let serves = Rc::new(Cell::new(true));
    let (handle, still) = (event_loop.handle(), serves.clone());
    ended.add_done_callback(move |_| {
        if still.get() {
            handle.stop();
        }
    });
    for address in cores.addresses() {
        announce(format_args!("listening on {address}"));
    }
    event_loop.run_forever()?;
    serves.set(false);
    let_signals_end_it(event_loop);
    let end = wrap_future(&cores.shutdown(SHUTDOWN), &***event_loop);
    let report = event_loop.run_until_complete(&end)?;
    log::info!("{} connections ended, {} were cut", report.drained, report.aborted);
    for (index, core) in report.cores.into_iter().enumerate() {
        match core.end {
            CoreEnd::Failed(exception) => return Err(exception),
            CoreEnd::Stuck => log::error!("core {index} did not end"),
            _ => {}
        }
    }
    Ok(())
}

const ENDINGS: [i32; 2] = [signal::SIGINT, signal::SIGTERM];

fn stop_on_signals(event_loop: &EventLoop) -> Result<(), Exception> {
    for ending in ENDINGS {
        let handle = event_loop.handle();
        event_loop.add_signal_handler(ending, move || handle.stop())?;
    }
    Ok(())
}

/// From now on a signal does what it does to any program.
fn let_signals_end_it(event_loop: &EventLoop) {
    for ending in ENDINGS {
        event_loop.remove_signal_handler(ending);
    }
}
