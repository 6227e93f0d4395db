//! Sends its standard input to an echo server and prints what comes back, until all of it did. Try it
//! with `echo_server`: echo hello | cargo run --release --example echo_client

use clap::Parser;
use std::io::{self, Read, Write};
use tulipa::prelude::*;
use tulipa::{Eof, Future, Protocol, Transport};
use tulipa_examples::serving::start_logging;

/// Sends standard input to an echo server and prints the answer.
#[derive(Parser)]
struct Arguments {
    /// The server: a name or an address.
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// Its port.
    #[arg(long, default_value_t = 8888)]
    port: u16,
}

/// Writes everything, then prints until the server has sent it all back.
struct EchoClient {
    message: Vec<u8>,
    missing: usize,
    finished: Future<()>,
}

impl Protocol for EchoClient {
    fn connection_made(&mut self, transport: &dyn Transport) {
        transport.write_vec(std::mem::take(&mut self.message));
        transport.write_eof();
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
        self.missing = self.missing.saturating_sub(data.len());
        if let Err(error) = io::stdout().write_all(data) {
            transport.abort_with(error.into());
        }
    }

    fn eof_received(&mut self, _: &dyn Transport) -> Eof {
        Eof::Close
    }

    fn connection_lost(&mut self, _: &dyn Transport, reason: Option<Exception>) {
        let outcome = match (reason, self.missing) {
            (Some(reason), _) => Err(reason),
            (None, 0) => Ok(()),
            (None, missing) => {
                Err(Exception::msg(format!("the server kept the last {missing} bytes")))
            }
        };
        // It is pending: this is the only place that sets it, and it is called once.
        let _ = self.finished.set_outcome(outcome);
    }
}

fn main() -> Result<(), Exception> {
    let arguments = Arguments::parse();
    start_logging();
    let event_loop = EventLoop::new()?;
    let handle = event_loop.handle();
    // Reading all input may block: that is what the executor is for.
    let input = event_loop.run_in_executor(None, || {
        let mut message = Vec::new();
        io::stdin().read_to_end(&mut message).map(|_| message).map_err(Exception::from)
    });
    let finished = event_loop.create_future();
    let message = event_loop.run_until_complete(&input)??;
    let (missing, done) = (message.len(), finished.clone());
    let connecting = handle.create_connection(
        move || EchoClient { message, missing, finished: done },
        (arguments.host, arguments.port),
    );
    event_loop.run_until_complete(&connecting)?;
    event_loop.run_until_complete(&finished)
}
