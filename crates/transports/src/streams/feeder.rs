//! [`StreamFeeder`]: the other end of a reader.

use super::StreamShared;
use futures::Exception;
use std::rc::Rc;

/// The other end of a [`StreamReader`](super::StreamReader): what is put in here can be read there.
///
/// A connection's protocol feeds its reader. With this a reader is fed by hand: in a test, or from
/// any other source of bytes.
///
/// # Examples
/// ```
/// use eventloop::{TestLoop, prelude::*};
/// use tulipa_transports::streams::StreamReader;
/// let event_loop = TestLoop::new();
/// let mut reader = StreamReader::default();
/// let feeder = reader.feeder();
/// event_loop.call_soon(move || {
///     feeder.feed_data(b"GET / HT");
///     feeder.feed_data(b"TP/1.1\r\n");
///     feeder.feed_eof();
/// });
/// let task = event_loop.create_task(async move { reader.readline().await });
/// assert_eq!(event_loop.run_until_complete(task.as_future())?, b"GET / HTTP/1.1\r\n");
/// # Ok::<(), futures::Exception>(())
/// ```
#[derive(Clone)]
pub struct StreamFeeder {
    shared: Rc<StreamShared>,
}

impl StreamFeeder {
    pub(super) fn new(shared: Rc<StreamShared>) -> Self {
        Self { shared }
    }

    /// Puts bytes behind those that are there. Without a reader they are thrown away.
    ///
    /// # Panics
    /// After [`feed_eof`](StreamFeeder::feed_eof).
    pub fn feed_data(&self, data: &[u8]) {
        self.shared.feed_data(data);
    }

    /// Nothing more will come.
    pub fn feed_eof(&self) {
        self.shared.feed_eof();
    }

    /// Makes every later read fail with `exception`, also while bytes are left (Y-3).
    pub fn set_exception(&self, exception: impl Into<Exception>) {
        self.shared.fail(exception.into());
    }
}
