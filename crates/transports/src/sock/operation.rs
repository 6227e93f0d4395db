//! [`SockOperation`]: one operation on a socket that is not ours, as something to await.
//!
//! It tries, and waits only if the system says so (N-43). The system is only called while somebody
//! polls, and what it gives is given on in the same poll: so nothing that was received is lost when a
//! wait is cancelled.

use super::SockError;
use super::claim::Claim;
use eventloop::{AbstractEventLoop, AbstractEventLoopExt, Direction};
use futures::{Exception, Future, SchedulerExt, TimerHandle};
use std::cell::Cell;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// An operation on a socket of the caller's, from a [`SocketLoop`](crate::SocketLoop). Awaiting it gives
/// its result; before that nothing happens.
///
/// The socket is kept until this is dropped. Cancelling the task that awaits it, or dropping it, ends
/// the wait at once, and takes out of the loop what it had put in, and nothing else (N-44). An operation
/// that was cancelled, or has failed, may be awaited again: it goes on where it was. Buffers can be had
/// back at any time, by [`into_buffer`](SockOperation::into_buffer).
#[must_use = "it does nothing unless it is awaited"]
pub struct SockOperation<W: Work> {
    base: Base,
    work: W,
    claim: Option<Claim>,
    waiting: Option<Waiting>,
    /// It was done, and has nothing more to give.
    ended: bool,
}

/// What an operation has to do its work with.
pub struct Base {
    pub(super) event_loop: Rc<dyn AbstractEventLoop>,
    socket: Rc<dyn AsFd>,
}

/// What an operation does. Implemented here only.
pub trait Work: sealed::Work {}
impl<W: sealed::Work> Work for W {}

/// What an operation does that works on a buffer of the caller's. Implemented here only.
pub trait BufferWork: Work {
    /// The buffer.
    type Buffer;

    #[doc(hidden)]
    fn take_buffer(&mut self) -> Option<Self::Buffer>;
}

pub(super) mod sealed {
    use super::{Attempt, Base, Direction};

    pub trait Work {
        /// What it gives.
        type Output;
        const NAME: &'static str;
        const DIRECTION: Direction;

        /// Does as much as can be done now.
        fn attempt(&mut self, base: &Base) -> Attempt<Self::Output>;

        /// What it works at, for people.
        fn target(&self) -> Option<String> {
            None
        }
    }
}

/// What became of an attempt.
pub enum Attempt<T> {
    /// It is done.
    Done(T),
    /// To be tried again when the descriptor is ready.
    Blocked,
    /// To be tried again when this is done.
    After(Future<()>),
    /// To be tried again later.
    Later(Duration),
    /// It has failed.
    Failed(Exception),
}

enum Waiting {
    ForReadiness(Future<()>),
    For(Future<()>),
    Until(Future<()>, TimerHandle),
}

/// How many operations of a loop have ended in a row without any wait. A task whose operations are
/// always ready would never let the others run.
#[derive(Default)]
struct Unwaited(Cell<u32>);

const MOST_UNWAITED: u32 = 64;

impl<W: Work> SockOperation<W> {
    pub(super) fn new<S: AsFd + Clone + 'static>(
        event_loop: Rc<dyn AbstractEventLoop>,
        socket: &S,
        work: W,
    ) -> Self {
        let base = Base { event_loop, socket: Rc::new(socket.clone()) };
        Self { base, work, claim: None, waiting: None, ended: false }
    }

    pub(super) fn work(&self) -> &W {
        &self.work
    }

    /// The buffer, if this has it: before and between awaits, and after one that gave an error. `None`
    /// after one that gave the result, which has the buffer.
    pub fn into_buffer(mut self) -> Option<W::Buffer>
    where
        W: BufferWork,
    {
        self.work.take_buffer()
    }

    fn poll_work(&mut self, context: &mut Context<'_>) -> Poll<Result<W::Output, Exception>> {
        let mut waited = self.waiting.is_some();
        loop {
            ready!(self.poll_waiting(context))?;
            if self.claim.is_none() {
                let begun = self.begin();
                if !waited && self.base.others_are_due() {
                    waited = true;
                    self.wait(Waiting::For(self.base.next_turn()));
                    continue; // and what could not begin may be able to by then
                }
                begun?;
            }
            match self.work.attempt(&self.base) {
                Attempt::Done(value) => return Poll::Ready(Ok(value)),
                Attempt::Failed(exception) => return Poll::Ready(Err(exception)),
                Attempt::Blocked => match &self.claim {
                    Some(claim) => self.waiting = Some(Waiting::ForReadiness(claim.wait()?)),
                    None => continue,
                },
                Attempt::After(future) => self.wait(Waiting::For(future)),
                Attempt::Later(delay) => {
                    let future: Future<()> = self.base.event_loop.create_future();
                    let target = future.clone();
                    let timer = self.base.event_loop.call_later(delay, move || {
                        // If it was cancelled, nobody waits.
                        let _ = target.set_result(());
                    });
                    self.wait(Waiting::Until(future, timer));
                }
            }
            waited = true;
        }
    }

    fn poll_waiting(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Exception>> {
        let Some(waiting) = &mut self.waiting else { return Poll::Ready(Ok(())) };
        let outcome = ready!(Pin::new(waiting.done()).poll(context));
        self.stop_waiting();
        Poll::Ready(outcome)
    }

    /// Before the first attempt: whether the socket is ours to use, and fit.
    fn begin(&mut self) -> Result<(), Exception> {
        let Base { event_loop, socket } = &self.base;
        if event_loop.get_debug() {
            self.base.check_non_blocking()?; // D-2
        }
        self.claim = Some(Claim::new(event_loop, socket, W::DIRECTION, W::NAME)?);
        Ok(())
    }

    /// Waits for something else than the descriptor.
    fn wait(&mut self, mut waiting: Waiting) {
        if let Some(claim) = &self.claim {
            claim.waits_for(waiting.done());
        }
        self.waiting = Some(waiting);
    }

    fn stop_waiting(&mut self) {
        let Some(waiting) = self.waiting.take() else { return };
        if let Some(claim) = &self.claim {
            claim.stop_waiting();
        }
        if let Waiting::Until(_, timer) = waiting {
            timer.cancel();
        }
    }
}

impl Waiting {
    fn done(&mut self) -> &mut Future<()> {
        let (Self::ForReadiness(done) | Self::For(done) | Self::Until(done, _)) = self;
        done
    }
}

impl<W: Work> Unpin for SockOperation<W> {}

impl<W: Work> std::future::Future for SockOperation<W> {
    type Output = Result<W::Output, Exception>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.ended {
            let error = futures::InvalidStateError::new("it was awaited to its end before");
            return Poll::Ready(Err(error.into()));
        }
        let waited = self.waiting.is_some();
        let outcome = ready!(self.poll_work(context));
        self.base.count_unwaited(!waited);
        self.claim = None; // at once, whatever becomes of this
        self.ended = outcome.is_ok();
        Poll::Ready(outcome.map_err(|error| SockError::wrap(W::NAME, self.work.target(), error)))
    }
}

impl<W: Work> Drop for SockOperation<W> {
    fn drop(&mut self) {
        self.stop_waiting();
    }
}

impl<W: Work> fmt::Debug for SockOperation<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(W::NAME).field("waits", &self.waiting.is_some()).finish_non_exhaustive()
    }
}

impl Base {
    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        (*self.socket).as_fd()
    }

    /// A future that is done in the next turn.
    pub(super) fn next_turn(&self) -> Future<()> {
        let turn: Future<()> = self.event_loop.create_future();
        let target = turn.clone();
        self.event_loop.call_soon(move || {
            // If it was cancelled, nobody waits.
            let _ = target.set_result(());
        });
        turn
    }

    fn others_are_due(&self) -> bool {
        let unwaited = self.event_loop.local(Unwaited::default);
        unwaited.0.get() >= MOST_UNWAITED
    }

    fn count_unwaited(&self, unwaited: bool) {
        let count = self.event_loop.local(Unwaited::default);
        count.0.set(if unwaited { count.0.get() + 1 } else { 0 });
    }

    /// # Errors
    /// `InvalidInput` if calls on the socket would block the loop (N-42).
    pub(super) fn check_non_blocking(&self) -> io::Result<()> {
        let flags = rustix::fs::fcntl_getfl(self.socket())?;
        match flags.contains(rustix::fs::OFlags::NONBLOCK) {
            true => Ok(()),
            false => {
                let message = "the socket is not non-blocking: calls would block the loop";
                Err(io::Error::new(io::ErrorKind::InvalidInput, message))
            }
        }
    }
}

impl<T> From<io::Result<T>> for Attempt<T> {
    fn from(outcome: io::Result<T>) -> Self {
        match outcome {
            Ok(value) => Attempt::Done(value),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Attempt::Blocked,
            Err(error) => Attempt::Failed(error.into()),
        }
    }
}
