//! Echo servers.

mod epoll;

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
    EpollSpinning,
}

pub(crate) fn serve(arguments: &Arguments) -> Result<(), Exception> {
    let listener = listener(arguments.port)?;
    match arguments.on {
        On::Epoll => epoll::serve(&listener, None),
        On::EpollSpinning => epoll::serve(&listener, Some(epoll::AT_ONCE)),
    }
}
