//! The writer one poll at a time: what its waits are made of, and for adapters to other libraries'
//! traits. Coroutines use the methods with `.await`.

use super::StreamWriter;
use crate::WriteState;
use crate::streams::waiters::Waiting;
use futures::Exception;
use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

/// The waits that polls began: each of its own, so that one who flushes does not hold up one who
/// writes.
#[derive(Default)]
pub(super) struct Waits {
    mark: Option<Waiting>,
    sent: Option<Waiting>,
    lost: Option<Waiting>,
}

impl StreamWriter {
    /// Ready when the output is not over its mark; else the task of `context` is woken when it has
    /// fallen to the low mark.
    ///
    /// For adapters; coroutines use [`drain`](StreamWriter::drain). A wait that began here
    /// lasts until this is polled again, or the handle dropped: like every wait for a loop's future
    /// it belongs to the task that polled, whose cancellation it gets (D10).
    ///
    /// # Errors
    /// As [`drain`](StreamWriter::drain).
    pub fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Exception>> {
        ready!(self.with_slot(
            |waits| &mut waits.mark,
            |writer, slot| writer.poll_below_mark(context, slot),
        ))?;
        Poll::Ready(self.check_refused())
    }

    /// Takes all of `data` once the output is not over its mark, and says how much that was: all,
    /// unless it is refused.
    ///
    /// # Errors
    /// As [`drain`](StreamWriter::drain), or a [`WriteRefusal`](crate::WriteRefusal).
    pub fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<Result<usize, Exception>> {
        ready!(self.poll_ready(context))?;
        // The caller is told here, so that there is nothing to be told later.
        let written = self.transport().write(data).into_result();
        Poll::Ready(written.map(|()| data.len()).map_err(Exception::from))
    }

    /// As [`poll_write`](StreamWriter::poll_write), of several buffers; it stops where the output has
    /// passed its mark.
    ///
    /// # Errors
    /// As there, if nothing was taken.
    pub fn poll_write_vectored(
        &mut self,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<Result<usize, Exception>> {
        ready!(self.poll_ready(context))?;
        let mut count = 0;
        for part in parts.iter().filter(|part| !part.is_empty()) {
            match self.transport().write(part) {
                WriteState::Taken => count += part.len(),
                WriteState::OverHighMark => {
                    count += part.len();
                    break;
                }
                WriteState::Refused(_) if count > 0 => break, // the next call says so
                WriteState::Refused(refusal) => return Poll::Ready(Err(refusal.into())),
            }
        }
        Poll::Ready(Ok(count))
    }

    /// Ready when all that was written is sent. The loop sends it in any case: there is no need to
    /// flush in order to be heard.
    ///
    /// # Errors
    /// As [`drain`](StreamWriter::drain); also if the output was thrown away, by an abort for
    /// example.
    pub fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Exception>> {
        ready!(self.with_slot(
            |waits| &mut waits.sent,
            |writer, slot| writer.poll_sent(context, slot),
        ))?;
        Poll::Ready(self.check_refused())
    }

    /// Ends our direction, and is ready when that is sent: what `AsyncWrite` of other libraries
    /// means by closing. Reading goes on.
    ///
    /// That the peer has gone for good, when all was sent and only the end was to be told, is no error
    /// here: the system says `NotConnected`.
    ///
    /// # Errors
    /// The failure of the connection, or a cancellation.
    pub fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Exception>> {
        self.write_eof();
        let ended = match self.shared.loss() {
            Some(reason) => reason.map_or(Ok(()), Err),
            None => ready!(self.poll_flush(context)),
        };
        Poll::Ready(match ended {
            Err(exception) if exception.io_kind() == Some(io::ErrorKind::NotConnected) => Ok(()),
            ended => ended,
        })
    }

    /// Closes the connection, and is ready when it has ended.
    ///
    /// # Errors
    /// As [`wait_closed`](StreamWriter::wait_closed).
    pub fn poll_close(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Exception>> {
        self.close();
        ready!(self.with_slot(
            |waits| &mut waits.lost,
            |writer, slot| writer.poll_lost(context, slot),
        ))?;
        Poll::Ready(self.check_refused())
    }

    fn with_slot<R>(
        &mut self,
        of: fn(&mut Waits) -> &mut Option<Waiting>,
        poll: impl FnOnce(&Self, &mut Option<Waiting>) -> Poll<R>,
    ) -> Poll<R> {
        let mut slot = self.waits.as_deref_mut().and_then(|waits| of(waits).take());
        let answer = poll(self, &mut slot);
        if slot.is_some() {
            *of(self.waits.get_or_insert_default()) = slot;
        }
        answer
    }

    /// Waits in `slot` while the output is over its mark.
    pub(super) fn poll_below_mark(
        &self,
        context: &mut Context<'_>,
        slot: &mut Option<Waiting>,
    ) -> Poll<Result<(), Exception>> {
        loop {
            let resumed = slot.as_ref().is_some_and(Waiting::was_resumed);
            ready!(poll_slot(context, slot))?;
            if resumed && !self.shared.is_writing_paused() {
                return Poll::Ready(Ok(())); // also if the connection has ended since
            }
            self.shared.check_output()?;
            *slot = if self.shared.is_writing_paused() {
                let scheduler = self.shared.scheduler()?;
                Some(Waiting::in_line(&self.shared, |shared| &shared.drainers, &*scheduler))
            } else if self.is_over_mark() {
                // The protocol will be told in the turn that comes before this one, unless the
                // output falls until then.
                Some(Waiting::for_a_turn(&*self.shared.scheduler()?))
            } else {
                return Poll::Ready(Ok(()));
            };
        }
    }

    fn is_over_mark(&self) -> bool {
        let size = self.transport().get_write_buffer_size();
        size.0 > 0 && size > self.transport().get_write_buffer_limits().high
    }

    fn is_all_sent(&self) -> bool {
        self.transport().get_write_buffer_size().0 == 0
    }

    fn poll_sent(
        &self,
        context: &mut Context<'_>,
        slot: &mut Option<Waiting>,
    ) -> Poll<Result<(), Exception>> {
        loop {
            let for_output = slot.as_ref().is_some_and(|waiting| !waiting.is_in_line());
            let lost = match ready!(poll_slot(context, slot)) {
                // Also if the connection has ended since, as it does when both directions have.
                Ok(()) if for_output && self.is_all_sent() => return Poll::Ready(Ok(())),
                Ok(()) => false,
                Err(exception) if exception.is_cancelled() => return Poll::Ready(Err(exception)),
                Err(_) => true,
            };
            self.shared.check_output()?;
            *slot = Some(if lost {
                // Why will be known in a moment.
                let scheduler = self.shared.scheduler()?;
                Waiting::in_line(&self.shared, |shared| &shared.closers, &*scheduler)
            } else if self.is_all_sent() && !self.transport().is_closing() {
                return Poll::Ready(Ok(()));
            } else {
                // A transport that is closing knows whether it was sent or thrown away.
                Waiting::of(self.transport().drained())
            });
        }
    }

    pub(super) fn poll_lost(
        &self,
        context: &mut Context<'_>,
        slot: &mut Option<Waiting>,
    ) -> Poll<Result<(), Exception>> {
        loop {
            ready!(poll_slot(context, slot))?;
            if let Some(reason) = self.shared.loss() {
                return Poll::Ready(reason.map_or(Ok(()), Err));
            }
            let scheduler = self.shared.scheduler()?;
            *slot = Some(Waiting::in_line(&self.shared, |shared| &shared.closers, &*scheduler));
        }
    }
}

/// Waits for what is in `slot`, and empties it.
fn poll_slot(context: &mut Context<'_>, slot: &mut Option<Waiting>) -> Poll<Result<(), Exception>> {
    let Some(waiting) = slot else { return Poll::Ready(Ok(())) };
    let woken = ready!(waiting.poll(context));
    *slot = None;
    Poll::Ready(woken)
}
