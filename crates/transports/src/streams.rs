//! Streams: a connection as a [`StreamReader`] and a [`StreamWriter`], for coroutines that read and
//! write with `.await`, after asyncio's.
//!
//! ```
//! use eventloop::{EventLoop, prelude::*};
//! use tulipa_transports::streams::{open_connection, start_server};
//!
//! let event_loop = EventLoop::new()?;
//! let task = event_loop.create_task(async {
//!     // Sends back each line in capitals.
//!     let server = start_server(
//!         |mut reader, writer| async move {
//!             let mut lines = reader.lines();
//!             while let Some(line) = lines.next().await? {
//!                 writer.write(&line.to_ascii_uppercase());
//!                 writer.drain().await?;
//!             }
//!             Ok::<(), futures::Exception>(())
//!         },
//!         ("127.0.0.1", 0),
//!     )
//!     .await?;
//!
//!     let port = server.addresses()[0].port().expect("a TCP server has a port");
//!     let (mut reader, writer) = open_connection(("127.0.0.1", port)).await?;
//!     writer.write(b"tulip\n");
//!     writer.write_eof();
//!     assert_eq!(reader.readline().await?, b"TULIP\n");
//!     assert_eq!(reader.read_to_end().await?, b"");
//!     Ok(())
//! });
//! event_loop.run_until_complete(task.as_future())?;
//! # Ok::<(), futures::Exception>(())
//! ```
//!
//! Underneath are a transport and a [`StreamReaderProtocol`]; what they say of closing, half-closing
//! and flow control holds here too.

mod errors;
mod feeder;
mod handler;
mod listener;
mod opening;
mod pipes;
mod protocol;
mod read_buffer;
mod reader;
mod search;
mod shared;
#[cfg(feature = "tls")]
mod start_tls;
mod stream;
mod stream_loop;
mod waiters;
mod writer;

pub use errors::{IncompleteReadError, InvalidLimit, InvalidSeparator, LimitOverrunError};
pub use feeder::StreamFeeder;
pub use handler::{CoroutineFunction, HandlerOutcome, HandlerResult, PlainFunction};
pub use listener::{StreamListener, listen, listen_unix};
pub use opening::Opening;
pub use pipes::{ReadPipe, open_read_pipe, open_write_pipe};
pub use protocol::StreamReaderProtocol;
pub(crate) use reader::DEFAULT_LIMIT;
pub use reader::{Lines, StreamReader};
use shared::StreamShared;
pub use stream::Stream;
pub(crate) use stream_loop::running_loop;
pub use stream_loop::{
    Coroutine, StreamLoop, open_connection, open_unix_connection, start_server, start_unix_server,
    stream_protocols,
};
pub use writer::StreamWriter;
