//! Sends every datagram back to where it came from. Run it, then: nc -u 127.0.0.1 9999

use clap::Parser;
use tulipa::prelude::*;
use tulipa::{Address, DatagramError, DatagramOptions, signal};
use tulipa_examples::serving::{announce, start_logging};

/// Sends every datagram back to where it came from.
#[derive(Parser)]
struct Arguments {
    /// Where to listen: a name or an address.
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// The port; 0 picks a free one.
    #[arg(long, default_value_t = 9999)]
    port: u16,
    /// Shares the port with other programs that say so too.
    #[arg(long)]
    reuse_port: bool,
}

struct Echo;

impl DatagramProtocol for Echo {
    fn datagram_received(
        &mut self,
        transport: &dyn DatagramTransport,
        data: &[u8],
        sender: &Address,
    ) {
        transport.sendto(data, Some(sender));
    }

    // Somebody is gone, or cannot be reached: that is their loss.
    fn error_received(&mut self, _: &dyn DatagramTransport, error: DatagramError) {
        log::debug!("{error}: {}", error.io_error());
    }

    // While the network takes no more, the system keeps what comes, and drops what is too much.
    fn pause_writing(&mut self, transport: &dyn DatagramTransport) {
        transport.pause_reading();
    }

    fn resume_writing(&mut self, transport: &dyn DatagramTransport) {
        transport.resume_reading();
    }
}

fn main() -> Result<(), Exception> {
    let arguments = Arguments::parse();
    start_logging();
    let event_loop = EventLoop::new()?;
    let options =
        DatagramOptions::from((arguments.host, arguments.port)).reuse_port(arguments.reuse_port);
    let opening = event_loop.create_datagram_endpoint(|| Echo, options);
    let endpoint = event_loop.run_until_complete(&opening)?;
    for ending in [signal::SIGINT, signal::SIGTERM] {
        let handle = event_loop.handle();
        event_loop.add_signal_handler(ending, move || {
            // A second one ends the program at once.
            handle.remove_signal_handler(ending);
            handle.stop();
        })?;
    }
    // Not before: whoever reads the line may send a signal.
    if let Some(address) = endpoint.extra_info().sockname {
        announce(format_args!("listening on {address}"));
    }
    event_loop.run_forever()?;
    let over = endpoint.wait_closed();
    endpoint.close();
    event_loop.run_until_complete(&over)?;
    let stats = endpoint.stats();
    log::info!("{} received, {} sent, {} dropped", stats.received, stats.sent, stats.dropped);
    Ok(())
}
