//! [`StreamReader`]: bytes that come, read with `.await`.
//!
//! Every read looks at what there is, and takes it out only when it is complete; else it waits, and
//! looks again. So a read that is cancelled or dropped has taken nothing (Y-4).

mod lines;
mod poll;

pub use lines::Lines;

use super::read_buffer::ReadBuffer;
use super::search::Search;
use super::{IncompleteReadError, InvalidLimit, LimitOverrunError, StreamFeeder, StreamShared};
use crate::Bytes;
use futures::{Exception, Future};
use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;

/// Bytes that come, read with `.await`: those of a connection, or what a [`StreamFeeder`] is given.
///
/// One coroutine at a time can wait: reading takes `&mut self`, so that the compiler refuses a second
/// (Y-2).
///
/// A read that is cancelled, timed out, or dropped before it is done loses nothing: the bytes are
/// there for the next one (Y-4). When the connection fails, each read fails with the same exception,
/// also while bytes are left (Y-3).
///
/// Waiting takes a loop: that of the connection, or the one that runs where a reader is fed by hand.
///
/// # Flow control
/// The reader has a limit, 64 KiB by default. When more than twice as much waits to be read, the
/// transport is paused; it goes on when it has fallen to the limit, or when a read needs more than
/// there is (Y-6). The limit also bounds what [`readuntil`](StreamReader::readuntil) and
/// [`readline`](StreamReader::readline) look through.
///
/// Dropping the reader throws away what is there and what still comes; the writer goes on.
///
/// # Examples
/// ```
/// use eventloop::{TestLoop, prelude::*};
/// use tulipa_transports::streams::StreamReader;
/// let event_loop = TestLoop::new();
/// let task = event_loop.create_task(async {
///     let mut reader = StreamReader::default();
///     reader.feed_data(b"SIZE 5\r\ntulipDONE");
///     reader.feed_eof();
///     assert_eq!(reader.readuntil(b"\r\n").await?, b"SIZE 5\r\n");
///     assert_eq!(reader.readexactly(5).await?, b"tulip");
///     assert_eq!(reader.read_to_end().await?, b"DONE");
///     assert!(reader.at_eof());
///     Ok(())
/// });
/// event_loop.run_until_complete(task.as_future())?;
/// # Ok::<(), futures::Exception>(())
/// ```
pub struct StreamReader {
    shared: Rc<StreamShared>,
    /// Taken over from what came. All reads look here.
    buffer: ReadBuffer,
    /// The wait that is under way.
    waiting: Option<Future<()>>,
}

/// 64 KiB: how much a line may have, and half of what may wait to be read.
pub(crate) const DEFAULT_LIMIT: Bytes = Bytes::kib(64);

impl StreamReader {
    /// An empty reader with this limit.
    ///
    /// # Errors
    /// [`InvalidLimit`] if it is zero.
    pub fn new(limit: Bytes) -> Result<Self, InvalidLimit> {
        Ok(Self::over(StreamShared::new(limit)?))
    }

    fn over(shared: Rc<StreamShared>) -> Self {
        Self { shared, buffer: ReadBuffer::default(), waiting: None }
    }

    pub(super) fn shared(&self) -> &Rc<StreamShared> {
        &self.shared
    }

    /// Takes out all that came and was not read.
    #[cfg(feature = "tls")]
    pub(super) fn take_unread(&mut self) -> Vec<u8> {
        let mut unread = self.buffer.take(usize::MAX);
        self.shared.hand_over(|incoming| unread.append(incoming));
        self.shared.set_held(0);
        unread
    }

    /// The limit that it was made with.
    pub fn limit(&self) -> Bytes {
        Bytes(self.shared.limit())
    }

    /// The end that puts bytes in, for somebody else to hold.
    pub fn feeder(&self) -> StreamFeeder {
        StreamFeeder::new(self.shared.clone())
    }

    /// As [`StreamFeeder::feed_data`].
    ///
    /// # Panics
    /// After the end was fed.
    pub fn feed_data(&self, data: &[u8]) {
        self.shared.feed_data(data);
    }

    /// As [`StreamFeeder::feed_eof`].
    pub fn feed_eof(&self) {
        self.shared.feed_eof();
    }

    /// As [`StreamFeeder::set_exception`].
    pub fn set_exception(&self, exception: impl Into<Exception>) {
        self.shared.fail(exception.into());
    }

    /// Why reads fail, if they do (Y-3).
    pub fn exception(&self) -> Option<Exception> {
        self.shared.failure()
    }

    /// Whether the end has come and everything was read (Y-5). False while the end may still come:
    /// then only a read can tell.
    pub fn at_eof(&self) -> bool {
        self.shared.is_at_eof()
    }

    // Reading

    /// Waits until there is something, and gives at most `count` bytes of it; empty at the end, or if
    /// `count` is zero (Y-7).
    ///
    /// # Errors
    /// The failure of the connection, or a cancellation. So it is for all reads.
    pub async fn read(&mut self, count: usize) -> Result<Vec<u8>, Exception> {
        if count == 0 {
            self.check_failure()?;
            return Ok(Vec::new());
        }
        self.when(|reader| reader.has_data_or_end().then(|| Ok(reader.take(count)))).await
    }

    /// As [`read`](StreamReader::read), into `buffer`: how many bytes were put there. No memory is
    /// allocated. Zero means the end, unless `buffer` is empty.
    pub async fn read_into(&mut self, buffer: &mut [u8]) -> Result<usize, Exception> {
        poll_fn_guarded(self, |reader, context| reader.poll_read(context, buffer)).await
    }

    /// Everything until the end, `read(-1)` in Python (Y-7). Nothing bounds how much that is but the
    /// peer.
    #[doc(alias = "read")]
    pub async fn read_to_end(&mut self) -> Result<Vec<u8>, Exception> {
        self.when(|reader| reader.has_ended().then(|| Ok(reader.take(usize::MAX)))).await
    }

    /// Waits until the end has come, and takes nothing out.
    pub(crate) async fn wait_for_end(&mut self) -> Result<(), Exception> {
        self.when(|reader| reader.has_ended().then_some(Ok(()))).await
    }

    /// Exactly `count` bytes, also more than the limit (Y-8).
    ///
    /// # Errors
    /// [`IncompleteReadError`] with what came if the end comes first.
    pub async fn readexactly(&mut self, count: usize) -> Result<Vec<u8>, Exception> {
        self.when(|reader| {
            if reader.buffer.len() >= count {
                return Some(Ok(reader.take(count)));
            }
            reader.has_ended().then(|| Err(reader.incomplete(Some(count))))
        })
        .await
    }

    /// Everything up to and including `separator` (Y-9). Before it there may be as many bytes as the
    /// limit says.
    ///
    /// # Errors
    /// - [`LimitOverrunError`] if there are more; nothing was taken out then, and the caller may
    ///   [`read`](StreamReader::read) the `consumed` bytes to skip them (Y-10).
    /// - [`IncompleteReadError`] with what came if the end comes first.
    /// - [`InvalidSeparator`](super::InvalidSeparator) if `separator` is empty.
    pub async fn readuntil(&mut self, separator: &[u8]) -> Result<Vec<u8>, Exception> {
        self.readuntil_any(&[separator]).await
    }

    /// As [`readuntil`](StreamReader::readuntil), with several separators: the match that ends first
    /// counts, whatever their order; of those that end together the shortest (Y-12).
    ///
    /// # Errors
    /// As there.
    #[doc(alias = "readuntil")]
    pub async fn readuntil_any(&mut self, separators: &[&[u8]]) -> Result<Vec<u8>, Exception> {
        let mut search = Search::new(separators)?;
        self.when(|reader| reader.take_until(&mut search)).await
    }

    /// One line with its newline; at the end what is left, which may be nothing (Y-13).
    ///
    /// # Errors
    /// [`LimitOverrunError`] if the line is longer than the limit. What is there of it is thrown
    /// away: the line with its newline, or all bytes if that has not come yet. Then what still comes
    /// of it looks like a line of its own; a protocol in which that matters closes the connection,
    /// or takes [`readuntil`](StreamReader::readuntil).
    pub async fn readline(&mut self) -> Result<Vec<u8>, Exception> {
        let line = self.readuntil(b"\n").await;
        self.line_of(line)
    }

    /// The lines until the end, one after the other (Y-14).
    ///
    /// # Examples
    /// ```
    /// # use eventloop::{TestLoop, prelude::*};
    /// # use tulipa_transports::streams::StreamReader;
    /// # let event_loop = TestLoop::new();
    /// # let task = event_loop.create_task(async {
    /// let mut reader = StreamReader::default();
    /// reader.feed_data(b"one\ntwo\nthree");
    /// reader.feed_eof();
    /// let mut lines = reader.lines();
    /// let mut count = 0;
    /// while let Some(line) = lines.next().await? {
    ///     assert!(!line.is_empty());
    ///     count += 1;
    /// }
    /// assert_eq!(count, 3);
    /// # Ok(()) });
    /// # event_loop.run_until_complete(task.as_future())?;
    /// # Ok::<(), futures::Exception>(())
    /// ```
    pub fn lines(&mut self) -> Lines<'_> {
        Lines::new(self)
    }

    /// Waits until there is something, and shows all that there is without taking it out; empty at
    /// the end. [`consume`](StreamReader::consume) takes it out.
    ///
    /// # Examples
    /// ```
    /// # use eventloop::{TestLoop, prelude::*};
    /// # use tulipa_transports::streams::StreamReader;
    /// # let event_loop = TestLoop::new();
    /// # let task = event_loop.create_task(async {
    /// let mut reader = StreamReader::default();
    /// reader.feed_data(b"\x16\x03\x01hello");
    /// let is_tls = reader.fill_buf().await?.first() == Some(&0x16);
    /// assert!(is_tls);
    /// reader.consume(3);
    /// assert_eq!(reader.readexactly(5).await?, b"hello");
    /// # Ok(()) });
    /// # event_loop.run_until_complete(task.as_future())?;
    /// # Ok::<(), futures::Exception>(())
    /// ```
    pub async fn fill_buf(&mut self) -> Result<&[u8], Exception> {
        self.when(|reader| reader.has_data_or_end().then_some(Ok(()))).await?;
        Ok(self.buffer.as_slice())
    }

    /// Takes out the first `count` bytes of what [`fill_buf`](StreamReader::fill_buf) showed.
    ///
    /// # Panics
    /// If it showed fewer.
    pub fn consume(&mut self, count: usize) {
        self.buffer.consume(count);
        self.shared.set_held(self.buffer.len());
    }

    // What reads are made of

    /// Waits until `step` has an answer. It is asked at once, then whenever something has changed.
    async fn when<R>(
        &mut self,
        mut step: impl FnMut(&mut Self) -> Option<Result<R, Exception>>,
    ) -> Result<R, Exception> {
        poll_fn_guarded(self, |reader, context| reader.poll_when(context, &mut step)).await
    }

    /// What a search has found, or why it never will.
    fn take_until(&mut self, search: &mut Search<'_>) -> Option<Result<Vec<u8>, Exception>> {
        let limit = self.shared.limit();
        let found = search.find(self.buffer.as_slice());
        let (consumed, end) = match &found {
            Some(found) => (found.start, Some(found.end)),
            None => (search.searched(), None),
        };
        if consumed > limit {
            let error = LimitOverrunError { consumed, found: end.is_some() };
            return Some(Err(error.into()));
        }
        match end {
            Some(end) => Some(Ok(self.take(end))),
            None => self.has_ended().then(|| Err(self.incomplete(None))),
        }
    }

    /// What became of the search for a newline, as [`readline`](StreamReader::readline) tells it.
    fn line_of(&mut self, found: Result<Vec<u8>, Exception>) -> Result<Vec<u8>, Exception> {
        let exception = match found {
            Ok(line) => return Ok(line),
            Err(exception) => exception,
        };
        if let Some(incomplete) = exception.downcast_ref::<IncompleteReadError>() {
            return Ok(incomplete.partial.clone());
        }
        if let Some(overrun) = exception.downcast_ref::<LimitOverrunError>() {
            let thrown_away = match overrun.found {
                true => overrun.consumed + 1,
                false => self.buffer.len(),
            };
            self.consume(thrown_away);
        }
        Err(exception)
    }

    fn has_data_or_end(&self) -> bool {
        !self.buffer.is_empty() || self.has_ended()
    }

    fn has_ended(&self) -> bool {
        self.shared.has_ended()
    }

    fn check_failure(&self) -> Result<(), Exception> {
        self.shared.failure().map_or(Ok(()), Err)
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let taken = self.buffer.take(count);
        self.shared.set_held(self.buffer.len());
        taken
    }

    fn incomplete(&mut self, expected: Option<usize>) -> Exception {
        IncompleteReadError { partial: self.take(usize::MAX), expected }.into()
    }

    fn stop_waiting(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            self.shared.stop_waiting();
            drop(waiting);
        }
    }
}

/// Polls `poll` with `reader`; a wait that is under way ends when this is dropped.
async fn poll_fn_guarded<R>(
    reader: &mut StreamReader,
    mut poll: impl FnMut(&mut StreamReader, &mut std::task::Context<'_>) -> std::task::Poll<R>,
) -> R {
    struct Wait<'r>(&'r mut StreamReader);
    impl Drop for Wait<'_> {
        fn drop(&mut self) {
            self.0.stop_waiting();
        }
    }
    let wait = Wait(reader);
    poll_fn(|context| poll(&mut *wait.0, context)).await
}

impl Default for StreamReader {
    /// With a limit of 64 KiB.
    fn default() -> Self {
        Self::new(DEFAULT_LIMIT).expect("64 KiB are not zero")
    }
}

impl Drop for StreamReader {
    fn drop(&mut self) {
        self.shared.reader_dropped();
    }
}

impl fmt::Debug for StreamReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamReader")
            .field("limit", &self.limit())
            .field("at_eof", &self.at_eof())
            .field("exception", &self.exception())
            .finish_non_exhaustive()
    }
}
