//! Passing TCP connections on to another address.
//!
//! A connection is two copies at once, one for each direction. Each reads no faster than its other side
//! takes the bytes, so that what waits in the proxy is bounded whatever the peers do; each passes on
//! the end of its direction alone. If anything goes wrong both connections are reset: half a stream
//! must not look like a whole one.

#[cfg(test)]
mod tests;
mod traffic;

pub use traffic::Traffic;

use clap::ValueEnum;
use std::cell::Cell;
use std::time::Duration;
use tulipa::prelude::*;
use tulipa::streams::{StreamReader, StreamWriter, open_connection};
use tulipa::wrappers::ProxyHeader;
use tulipa::{ConnectOptions, Timeout, TimeoutError, current, gather};

/// Where to pass connections on to, and how long anything may take.
pub struct Proxy {
    /// The host and the port of the target.
    pub target: (String, u16),
    /// How long connecting to it may take.
    pub connect_limit: Duration,
    /// After how long without a byte in either direction a connection is cut.
    pub idle_limit: Option<Duration>,
    /// Whether the target is told first from whom a connection comes, and how.
    pub send_proxy: Option<SendProxy>,
    /// What was passed on.
    pub traffic: Traffic,
}

/// The version of the PROXY protocol by which the target is told of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SendProxy {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

impl SendProxy {
    /// What to send before anything else on behalf of `client`.
    fn header(self, client: &StreamWriter) -> Result<Vec<u8>, Exception> {
        let header = ProxyHeader::of(&client.extra_info());
        Ok(match self {
            SendProxy::V1 => header.to_v1(),
            SendProxy::V2 => header.checksum(true).to_v2()?,
        })
    }
}

/// One side of what is passed on.
pub type Streams = (StreamReader, StreamWriter);

impl Proxy {
    /// Serves one client, to the end. What goes wrong is logged and counted. If the task is cancelled,
    /// the connection is cut.
    pub async fn serve(&self, client: Streams) {
        let _open = self.traffic.begin();
        let peer = client.1.extra_info().peername;
        if let Err(error) = self.pass_on(client).await {
            let count = match () {
                () if error.is_cancelled() => &self.traffic.cut,
                () if error.is::<TimeoutError>() => &self.traffic.idle,
                () => &self.traffic.failed,
            };
            count.set(count.get() + 1);
            log::info!("the connection of {peer:?} was reset: {error:?}");
        }
    }

    async fn pass_on(&self, client: Streams) -> Result<(), Exception> {
        let (host, port) = &self.target;
        let options = ConnectOptions::from((host.as_str(), *port)).deadline(self.connect_limit);
        match open_connection(options).await {
            Ok(target) => {
                if let Some(version) = self.send_proxy {
                    target.1.write(&version.header(&client.1)?);
                }
                relay(client, target, self.idle_limit, &self.traffic).await
            }
            Err(error) => {
                reset(&client.1);
                Err(error)
            }
        }
    }
}

/// Passes on what comes from either side until both have ended, and everything has left.
///
/// # Errors
/// Why it ended early: the failure of a side, a [`TimeoutError`] if there was silence for too long, or a
/// cancellation. Then both sides are reset.
pub async fn relay(
    (mut from_client, to_client): Streams,
    (mut from_target, to_target): Streams,
    idle_limit: Option<Duration>,
    traffic: &Traffic,
) -> Result<(), Exception> {
    let silence = Timeout::new(idle_limit);
    let not_silent = || {
        if let Some(limit) = idle_limit {
            // If it is too late, the wait that comes next is cancelled.
            let _ = silence.reschedule(current().time() + limit);
        }
    };
    let both_ways = async {
        let there = copy(&mut from_client, &to_target, &traffic.to_target, &not_silent);
        let back = copy(&mut from_target, &to_client, &traffic.to_client, &not_silent);
        gather!(there, back).await?;
        to_target.close();
        to_client.close();
        gather!(to_target.wait_closed(), to_client.wait_closed()).await
    };
    let outcome = silence.run(both_ways).await;
    if outcome.is_err() {
        reset(&to_client);
        reset(&to_target);
    }
    outcome.map(|_| ())
}

/// One direction, with its end.
async fn copy(
    reader: &mut StreamReader,
    writer: &StreamWriter,
    count: &Cell<u64>,
    moved: &impl Fn(),
) -> Result<(), Exception> {
    loop {
        let data = reader.fill_buf().await?;
        if data.is_empty() {
            writer.write_eof();
            return Ok(());
        }
        let length = data.len();
        writer.write(data);
        reader.consume(length);
        count.set(count.get() + length as u64);
        moved();
        writer.drain().await?;
        moved();
    }
}

/// Ends a connection so that its peer sees an error, not an end.
fn reset(writer: &StreamWriter) {
    if let Some(socket) = writer.extra_info().socket {
        // It may be gone already.
        let _ = socket.set_linger(Some(Duration::ZERO));
    }
    writer.transport().abort();
}
