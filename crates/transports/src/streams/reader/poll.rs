//! The reader one poll at a time: for adapters to other libraries' traits. Coroutines use the methods
//! with `.await`.

use super::StreamReader;
use futures::Exception;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

impl StreamReader {
    /// Reads into `buffer` what is there, or has the task of `context` woken when there is something.
    /// Zero means the end, unless `buffer` is empty.
    ///
    /// For adapters; coroutines use [`read_into`](StreamReader::read_into). A wait that began here
    /// lasts until the reader is polled again, used otherwise, or dropped: like every wait for a
    /// loop's future it belongs to the task that polled, whose cancellation it gets (D10).
    ///
    /// # Errors
    /// The failure of the connection, or a cancellation.
    pub fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<Result<usize, Exception>> {
        self.poll_take(context, buffer.len(), |data| buffer[..data.len()].copy_from_slice(data))
    }

    /// As [`poll_read`](StreamReader::poll_read), for buffers of any kind: `put` is called once with at
    /// most `limit` bytes, which are taken out then.
    pub(crate) fn poll_take(
        &mut self,
        context: &mut Context<'_>,
        limit: usize,
        put: impl FnOnce(&[u8]),
    ) -> Poll<Result<usize, Exception>> {
        if limit == 0 {
            return Poll::Ready(self.check_failure().map(|()| 0));
        }
        let data = ready!(self.poll_fill_buf(context))?;
        let count = data.len().min(limit);
        put(&data[..count]);
        self.consume(count);
        Poll::Ready(Ok(count))
    }

    /// What is there, without taking it out, or has the task of `context` woken when there is
    /// something; empty at the end. [`consume`](StreamReader::consume) takes it out.
    ///
    /// For adapters; coroutines use [`fill_buf`](StreamReader::fill_buf). See
    /// [`poll_read`](StreamReader::poll_read) for what becomes of the wait.
    ///
    /// # Errors
    /// As there.
    pub fn poll_fill_buf(&mut self, context: &mut Context<'_>) -> Poll<Result<&[u8], Exception>> {
        ready!(
            self.poll_when(context, &mut |reader| { reader.has_data_or_end().then_some(Ok(())) })
        )?;
        Poll::Ready(Ok(self.buffer.as_slice()))
    }

    /// Asks `step` for an answer, unless a wait is under way that nothing has ended.
    pub(super) fn poll_when<R>(
        &mut self,
        context: &mut Context<'_>,
        step: &mut impl FnMut(&mut Self) -> Option<Result<R, Exception>>,
    ) -> Poll<Result<R, Exception>> {
        loop {
            if let Some(waiting) = &mut self.waiting {
                let woken = ready!(std::future::Future::poll(Pin::new(waiting), context));
                self.stop_waiting();
                woken?;
            }
            self.check_failure()?;
            let Self { shared, buffer, .. } = self;
            shared.hand_over(|incoming| buffer.absorb(incoming));
            shared.set_held(buffer.len());
            if let Some(answer) = step(self) {
                return Poll::Ready(answer);
            }
            self.waiting = Some(self.shared.begin_waiting()?);
        }
    }
}
