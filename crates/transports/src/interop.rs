//! Other libraries on our streams and on our loop, each behind the feature of its name.
//!
//! | feature | what implements what |
//! | --- | --- |
//! | `futures-core` | [`Lines`](crate::streams::Lines) and [`AsCompleted`](futures::AsCompleted) are `futures_core::Stream`s |
//! | `futures-io` | [`Stream`], [`StreamReader`] and [`StreamWriter`] are `AsyncRead`, `AsyncBufRead`, `AsyncWrite` |
//! | `tokio` | the same with the traits of `tokio::io`; no runtime of tokio's is needed, or started |
//! | `hyper` | the same with hyper's `rt::Read` and `rt::Write`; `LoopExecutor` and `LoopTimer` for its `rt::Executor` and `rt::Timer` |
//!
//! What holds for all of them:
//! - A cancellation comes out of `AsyncRead` and `AsyncWrite` as an `io::Error`, never of the kind
//!   `Interrupted`, which callers would try again; [`Exception::is_cancelled`](futures::Exception::is_cancelled)
//!   knows it there, also inside of the error that a library made of it.
//! - A write is taken as a whole, or waits while the output is over its high mark. The loop sends what was
//!   taken before it waits, without being told to. A flush waits until the system has everything; only
//!   hyper's does not.
//! - Shutting down, or closing as `futures-io` means it, ends our direction; reading goes on. The drop of
//!   the last writer closes the connection.

#[cfg(feature = "futures-core")]
mod futures_core;
#[cfg(feature = "futures-io")]
mod futures_io;
#[cfg(feature = "hyper")]
mod hyper_io;
#[cfg(feature = "hyper")]
mod hyper_rt;
#[cfg(feature = "hyper")]
mod hyper_timer;
#[cfg(feature = "tokio")]
mod tokio_io;

#[cfg(feature = "hyper")]
pub use hyper_rt::LoopExecutor;
#[cfg(feature = "hyper")]
pub use hyper_timer::LoopTimer;

#[cfg(doc)]
use crate::streams::{Stream, StreamReader, StreamWriter};
