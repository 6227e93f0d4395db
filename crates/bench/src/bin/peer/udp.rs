//! Servers that send every datagram back to where it came from.

mod epoll;
mod recvmmsg;
mod tokio;

use clap::ValueEnum;
use std::net::UdpSocket;
use tulipa::Exception;

/// More than any datagram that is sent here.
const LARGEST: usize = 2048;

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
    /// epoll by its system calls, many datagrams in each.
    Recvmmsg,
    /// epoll by its system calls, one datagram in each.
    Epoll,
    /// tokio, in one thread.
    Tokio,
}

pub(crate) fn serve(arguments: &Arguments) -> Result<(), Exception> {
    let socket = UdpSocket::bind(("127.0.0.1", arguments.port))?;
    socket.set_nonblocking(true)?;
    println!("listening on {}", socket.local_addr()?);
    match arguments.on {
        On::Recvmmsg => recvmmsg::serve(&socket),
        On::Epoll => epoll::serve(&socket),
        On::Tokio => tokio::serve(socket),
    }
}
