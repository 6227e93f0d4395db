//! [`Lines`]: the lines of a reader, one after the other.

use super::{Search, StreamReader, poll_fn_guarded};
use futures::Exception;
use std::fmt;
use std::task::{Context, Poll, ready};

/// The lines of a [`StreamReader`], from [`StreamReader::lines`].
///
/// With the feature `futures-core` it is a `futures_core::Stream`, which gives a `Result` for each line.
pub struct Lines<'r> {
    reader: &'r mut StreamReader,
    /// For the line that comes next.
    search: Search<'static>,
}

impl<'r> Lines<'r> {
    pub(super) fn new(reader: &'r mut StreamReader) -> Self {
        Self { reader, search: Search::for_newline() }
    }

    /// The next line with its newline, which the last one may lack; `None` at the end (Y-14).
    ///
    /// # Errors
    /// As [`StreamReader::readline`]. After a line that was too long one may go on.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Exception> {
        let Self { reader, search } = self;
        let poll = |reader: &mut StreamReader, context: &mut Context<'_>| {
            poll_line(reader, search, context)
        };
        poll_fn_guarded(reader, poll).await
    }

    /// As [`next`](Lines::next), or has the task of `context` woken. See
    /// [`StreamReader::poll_read`] for what becomes of the wait.
    ///
    /// # Errors
    /// As there.
    pub fn poll_line(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Vec<u8>>, Exception>> {
        poll_line(self.reader, &mut self.search, context)
    }
}

fn poll_line(
    reader: &mut StreamReader,
    search: &mut Search<'static>,
    context: &mut Context<'_>,
) -> Poll<Result<Option<Vec<u8>>, Exception>> {
    let found = ready!(reader.poll_when(context, &mut |reader| reader.take_until(search)));
    let line = reader.line_of(found);
    // A failure may have left everything in its place: then this looks once more.
    *search = Search::for_newline();
    Poll::Ready(line.map(|line| (!line.is_empty()).then_some(line)))
}

impl fmt::Debug for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("reader", &self.reader).finish_non_exhaustive()
    }
}
