//! What Tulipa is compared with, as far as it is written in Rust: the same small programs on other libraries.
//!
//! Each is written as its library's own guide would have it, and keeps to the same rules: one thread, the same
//! options on the sockets, at most 64 KiB read at once and nothing read in vain, and a client that does not take its
//! answers is not read from meanwhile. A server prints `listening on ADDRESS`, and stays in
//! the foreground until it is killed.

mod echo;
mod http;
mod launch;
mod listener;
mod micro;
mod on_tokio;
mod readiness;
mod tls;
mod udp;

use clap::{Parser, Subcommand};
use tulipa::Exception;

#[derive(Parser)]
#[command(about = "What Tulipa is compared with.")]
struct Arguments {
    #[command(subcommand)]
    peer: Peer,
}

#[derive(Subcommand)]
enum Peer {
    /// Sends back what it receives, over TCP.
    Echo(echo::Arguments),
    /// Answers every HTTP request with the same text.
    Http(http::Arguments),
    /// Sends every datagram back to where it came from.
    Udp(udp::Arguments),
    /// Sends back what it receives, over TLS.
    Tls(tls::Arguments),
    /// Measures its own scheduler: callbacks, timers, tasks and posts from threads.
    Micro(micro::Arguments),
    /// Becomes another program, prepared to be measured.
    #[command(hide = true)]
    Launch(launch::Arguments),
}

fn main() -> Result<(), Exception> {
    match Arguments::parse().peer {
        Peer::Echo(arguments) => echo::serve(&arguments),
        Peer::Http(arguments) => http::serve(&arguments),
        Peer::Udp(arguments) => udp::serve(&arguments),
        Peer::Tls(arguments) => tls::serve(&arguments),
        Peer::Micro(arguments) => micro::measure(&arguments),
        Peer::Launch(arguments) => launch::launch(&arguments),
    }
}
