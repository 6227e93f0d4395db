//! A program for tests to send SIGINT to: it says on its standard output how far it has come, a word a
//! line, and ends as its first argument says.

use futures::{Exception, current_task, sleep, spawn};
use std::io::{Read, Write};
use std::process::ExitCode;
use std::time::Duration;
use tulipa::prelude::*;
use tulipa::{Interrupted, Runner, run, run_value, signal};

const LONG: Duration = Duration::from_secs(3600);

fn main() -> ExitCode {
    let scenario = std::env::args().nth(1).unwrap_or_default();
    let outcome = match scenario.as_str() {
        "cancelled" | "dies" => run(wait(false)),
        "swallows" => run(wait(true)),
        "slow-shutdown" => run(slow_shutdown()),
        "slow-job" => run(slow_job()),
        "stubborn" => run(stubborn()),
        "stuck" => run_value(async { stuck() }),
        "cancelled-by-two" => run(cancelled_by_two()),
        "own-handler" => run(own_handler()),
        "handled-before" => handled_before(),
        "switched-off" => Runner::builder().handle_sigint(false).build().run(wait(false)),
        "another-thread" => {
            let thread = std::thread::spawn(|| run(wait(false)).map_err(|error| error.to_string()));
            thread.join().unwrap().map_err(Exception::msg)
        }
        "twice" => twice(),
        "restored" => restored(),
        other => Err(Exception::msg(format!("no scenario {other:?}"))),
    };
    match outcome {
        Ok(()) => {
            say("ok");
            ExitCode::SUCCESS
        }
        Err(error) => match error.downcast_ref::<Interrupted>() {
            Some(interrupted) if scenario == "dies" => interrupted.kill_process(),
            Some(_) => {
                say("interrupted");
                ExitCode::from(130)
            }
            None => {
                say(&format!("error: {error}"));
                ExitCode::FAILURE
            }
        },
    }
}

fn say(word: &str) {
    let mut out = std::io::stdout();
    writeln!(out, "{word}").and_then(|()| out.flush()).unwrap();
}

/// Waits for a word from the test.
fn listen() {
    let _ = std::io::stdin().read(&mut [0]).unwrap();
}

/// Waits to be cancelled, and cleans up; then passes the cancellation on, or not.
async fn wait(swallows: bool) -> Result<(), Exception> {
    say("ready");
    let waited = sleep(LONG).await;
    let cancelled = waited.as_ref().is_err_and(Exception::is_cancelled);
    sleep(Duration::from_micros(10)).await?;
    say(if cancelled { "cleaned up" } else { "woke up" });
    if swallows { Ok(()) } else { waited }
}

/// Cleans up for ever, beside a task that does the same.
async fn stubborn() -> Result<(), Exception> {
    spawn(async {
        loop {
            let _ = sleep(LONG).await;
        }
    });
    say("ready");
    let _ = sleep(LONG).await;
    say("cleaning up");
    loop {
        let _ = sleep(LONG).await;
    }
}

/// Ends by itself, and leaves a task that cleans up for ever.
async fn slow_shutdown() -> Result<(), Exception> {
    spawn(async {
        let _ = sleep(LONG).await;
        say("ready");
        loop {
            let _ = sleep(LONG).await;
        }
    });
    tulipa::yield_now().await
}

/// Ends by itself, and leaves a job that does not end.
async fn slow_job() -> Result<(), Exception> {
    let (shutdown_begins, begun) = std::sync::mpsc::channel::<()>();
    spawn(async move {
        let _held = shutdown_begins;
        sleep(LONG).await
    });
    tulipa::current().run_in_executor(None, move || {
        let _ = begun.recv();
        say("ready");
        loop {
            std::thread::park();
        }
    });
    tulipa::yield_now().await
}

/// Blocks the loop for ever.
fn stuck() {
    say("ready");
    listen();
    say("going on");
    loop {
        std::thread::park();
    }
}

/// Asked to end by somebody else in the same moment.
async fn cancelled_by_two() -> Result<(), Exception> {
    let main = current_task().unwrap();
    say("ready");
    let waited = sleep(LONG).await;
    main.cancel();
    waited
}

/// Puts a handler of its own into the place of the runner's.
async fn own_handler() -> Result<(), Exception> {
    let handled = handle_four(&*tulipa::current())?;
    say("ready");
    handled.await
}

/// SIGINT was handled before the run: that goes on, and the run does not touch it.
fn handled_before() -> Result<(), Exception> {
    let mut runner = Runner::new();
    let handled = handle_four(&*runner.get_loop()?)?;
    runner.run(async move {
        say("ready");
        handled.await
    })
}

/// Handles SIGINT until it has come four times.
fn handle_four(event_loop: &dyn AbstractEventLoop) -> Result<tulipa::Future<()>, Exception> {
    let handled = event_loop.create_future();
    let (tell, mut left) = (handled.clone(), 4);
    event_loop.add_signal_handler(signal::SIGINT, move || {
        say("handled");
        left -= 1;
        if left == 0 {
            tell.set_result(()).unwrap();
        }
    })?;
    Ok(handled)
}

/// Two runs on one loop, each of which is interrupted.
fn twice() -> Result<(), Exception> {
    let mut runner = Runner::new();
    for _ in 0..2 {
        let error = runner.run(wait(false)).unwrap_err();
        assert!(error.is::<Interrupted>(), "{error:?}");
        say("interrupted once");
    }
    runner.close()
}

/// After the run SIGINT does again what it did.
fn restored() -> Result<(), Exception> {
    run(async { Ok(()) })?;
    say("ready");
    loop {
        std::thread::park();
    }
}
