//! tokio, in one thread.

use super::LARGEST;
use crate::on_tokio::runtime;
use tokio::net::UdpSocket;
use tulipa::Exception;

pub(crate) fn serve(socket: std::net::UdpSocket) -> Result<(), Exception> {
    runtime()?.block_on(async {
        let socket = UdpSocket::from_std(socket)?;
        let mut buffer = [0; LARGEST];
        loop {
            let (count, sender) = socket.recv_from(&mut buffer).await?;
            // What the network does not take is lost, as datagrams are.
            let _ = socket.send_to(&buffer[..count], sender).await;
        }
    })
}
