//! Echo servers.

mod calloop;
mod edge;
mod epoll;
mod mio;
mod monoio;
mod smol;
mod tokio;

use crate::listener::listener;
use clap::ValueEnum;
use tulipa::Exception;

/// How much is read at once.
const BUFFER: usize = 64 * 1024;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What it is written on.
    on: On,
    /// The port; 0 picks a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
}

#[derive(Clone, Copy, ValueEnum)]
enum On {
    /// epoll, by its system calls.
    Epoll,
    /// The same, but it never sleeps.
    EpollSpin,
    Mio,
    /// A task a connection, each with a buffer of its own.
    Tokio,
    /// The same with one buffer for all.
    TokioReadable,
    Smol,
    Calloop,
    /// On io_uring.
    Monoio,
}

pub(crate) fn serve(arguments: &Arguments) -> Result<(), Exception> {
    let listener = listener(arguments.port)?;
    match arguments.on {
        On::Epoll => epoll::serve(&listener, None),
        On::EpollSpin => epoll::serve(&listener, Some(epoll::AT_ONCE)),
        On::Mio => mio::serve(listener),
        On::Tokio => tokio::serve(listener, tokio::own_buffer),
        On::TokioReadable => tokio::serve(listener, tokio::shared_buffer),
        On::Smol => smol::serve(listener),
        On::Calloop => calloop::serve(listener),
        On::Monoio => monoio::serve(listener),
    }
}
