//! Sends back what it receives: a whole protocol in ten lines. Run it, then: nc 127.0.0.1 8888

use clap::Parser;
use std::time::Duration;
use tulipa::prelude::*;
use tulipa::{Protocol, ServerOptions, TimeoutProtocol, Transport};
use tulipa_examples::serving::{serve_until_signal, start_logging};

/// Sends back what it receives.
#[derive(Parser)]
struct Arguments {
    /// Where to listen: a name or an address.
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// The port; 0 picks a free one.
    #[arg(long, default_value_t = 8888)]
    port: u16,
    /// How many microseconds to poll without sleeping before each sleep.
    #[arg(long, default_value_t = 0, value_name = "MICROSECONDS")]
    spin: u64,
    /// After how many seconds of silence a connection is closed; never by default.
    #[arg(long, value_name = "SECONDS")]
    idle_timeout: Option<u64>,
}

struct Echo;

impl Protocol for Echo {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
        transport.write(data);
    }

    // A peer that does not read what comes back is not read from either.
    fn pause_writing(&mut self, transport: &dyn Transport) {
        transport.pause_reading();
    }

    fn resume_writing(&mut self, transport: &dyn Transport) {
        transport.resume_reading();
    }
}

fn main() -> Result<(), Exception> {
    let arguments = Arguments::parse();
    start_logging();
    let event_loop = EventLoop::builder().spin(Duration::from_micros(arguments.spin)).build()?;
    let idle_limit = arguments.idle_timeout.map(Duration::from_secs);
    let options = ServerOptions::from((arguments.host, arguments.port)).backlog(4096);
    let factory = move || -> Box<dyn Protocol> {
        match idle_limit {
            None => Box::new(Echo),
            Some(limit) => Box::new(TimeoutProtocol::new(Echo, limit)),
        }
    };
    let serving = event_loop.create_server(factory, options);
    let server = event_loop.run_until_complete(&serving)?;
    serve_until_signal(&event_loop, &[("", server)])
}
