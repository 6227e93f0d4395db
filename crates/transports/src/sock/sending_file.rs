//! `sock_sendfile`.

use super::operation::{Attempt, Base, sealed::Work};
use super::sending::flags;
use crate::backend;
use crate::send_file::{BYTES_A_TURN, SendFile, SendFileError, Sink, Step, Transfer};
use eventloop::{AbstractEventLoopExt, Direction};
use futures::{Exception, Future, SchedulerExt};
use rustix::io::retry_on_intr;
use std::io;
use std::os::fd::BorrowedFd;

/// See [`SocketLoop::sock_sendfile`](crate::SocketLoop::sock_sendfile).
pub struct SendFileWork {
    stage: Stage,
}

enum Stage {
    New(SendFile),
    Sending(Transfer),
    /// The next block is being read.
    Reading(Transfer, Future<io::Result<Vec<u8>>>),
    Ended,
}

impl SendFileWork {
    pub(super) fn new(file: SendFile) -> Self {
        Self { stage: Stage::New(file) }
    }

    fn transfer(&mut self, base: &Base) -> Result<Transfer, Exception> {
        match std::mem::replace(&mut self.stage, Stage::Ended) {
            Stage::New(file) => {
                base.check_non_blocking()?;
                file.begin()
            }
            Stage::Sending(transfer) => Ok(transfer),
            Stage::Reading(mut transfer, reading) => {
                match reading.take().and_then(|outcome| Ok(outcome?)) {
                    Ok(bytes) => {
                        transfer.give(bytes);
                        Ok(transfer)
                    }
                    Err(exception) => Err(SendFileError::wrap(transfer.sent(), exception)),
                }
            }
            Stage::Ended => Err(futures::InvalidStateError::new("it has failed before").into()),
        }
    }
}

impl Work for SendFileWork {
    type Output = u64;
    const NAME: &'static str = "sock_sendfile";
    const DIRECTION: Direction = Direction::Write;

    fn attempt(&mut self, base: &Base) -> Attempt<u64> {
        if let Stage::Reading(_, reading) = &self.stage
            && !reading.done()
        {
            return Attempt::After(when_done(base, reading)); // it was cancelled, and is awaited again
        }
        let mut transfer = match self.transfer(base) {
            Ok(transfer) => transfer,
            Err(exception) => return Attempt::Failed(exception),
        };
        match transfer.step(base, BYTES_A_TURN) {
            Step::Ended => Attempt::Done(transfer.sent()),
            Step::Blocked => {
                self.stage = Stage::Sending(transfer);
                Attempt::Blocked
            }
            Step::TurnEnded => {
                self.stage = Stage::Sending(transfer);
                Attempt::After(base.next_turn())
            }
            Step::Wanted(block) => {
                let reading = base.event_loop.run_in_executor(None, move || block.read());
                let done = when_done(base, &reading);
                self.stage = Stage::Reading(transfer, reading);
                Attempt::After(done)
            }
            Step::SinkFailed(error) | Step::FileFailed(error) => {
                Attempt::Failed(SendFileError::wrap(transfer.sent(), error.into()))
            }
        }
    }
}

impl Drop for SendFileWork {
    fn drop(&mut self) {
        if let Stage::Reading(_, reading) = &self.stage {
            reading.cancel();
        }
    }
}

impl Sink for Base {
    fn send_file(&self, file: BorrowedFd<'_>, offset: u64, count: usize) -> io::Result<usize> {
        backend::send_file(self.socket(), file, offset, count)
    }

    fn send(&self, data: &[u8]) -> io::Result<usize> {
        Ok(retry_on_intr(|| rustix::net::send(self.socket(), data, flags()))?)
    }
}

/// Done when `future` is, however it ended.
pub(super) fn when_done<T: 'static>(base: &Base, future: &Future<T>) -> Future<()> {
    let done: Future<()> = base.event_loop.create_future();
    let target = done.clone();
    future.add_done_callback(move |_| {
        // If it was cancelled, nobody waits.
        let _ = target.set_result(());
    });
    done
}
