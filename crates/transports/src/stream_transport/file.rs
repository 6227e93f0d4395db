//! Sending a file: after what was written, as the peer takes it, a budget a turn; nothing is read and
//! nothing written meanwhile (N-49…N-52).
//!
//! Invariant: the machine knows of a file exactly as long as there is a [`FileJob`].

use super::{AWAITED, StreamTransport};
use crate::backend::Backend;
use crate::send_file::{BYTES_A_TURN, ReadBlock, SendFile, SendFileError, Sink, Step, Transfer};
use eventloop::AbstractEventLoopExt;
use futures::{Exception, Future, SchedulerExt};
use std::io;
use std::os::fd::BorrowedFd;
use std::rc::Rc;

/// A file that is being sent.
pub(super) struct FileJob {
    transfer: Transfer,
    future: Future<u64>,
    /// The next block is being read.
    reading: Option<Future<io::Result<Vec<u8>>>>,
    /// How much of it is counted among the output of the loop.
    accounted: usize,
}

/// A file that was sent, or was not: to be told in a turn of our own.
pub(super) type FileOutcome = (Future<u64>, Result<u64, Exception>);

impl<B: Backend> StreamTransport<B> {
    /// See [`WriteTransport::send_file`](crate::WriteTransport::send_file).
    pub(super) fn send_file(self: &Rc<Self>, file: SendFile) -> Future<u64> {
        self.drop_called_off_file();
        let future: Future<u64> = self.event_loop().create_future();
        let begun = file.begin().and_then(|transfer| {
            match self.with_machine(|machine| machine.begin_file()) {
                Ok(()) => Ok(transfer),
                Err(refusal) => {
                    let busy = io::Error::new(io::ErrorKind::NotConnected, refusal);
                    Err(SendFileError::wrap(0, busy.into()))
                }
            }
        });
        let transfer = match begun {
            Ok(transfer) => transfer,
            Err(exception) => {
                // It is new, hence pending.
                let _ = future.set_exception(exception);
                return future;
            }
        };
        let job = FileJob { transfer, future: future.clone(), reading: None, accounted: 0 };
        self.rare(|rare| rare.file = Some(Box::new(job)));
        let connection = Rc::downgrade(self);
        future.add_done_callback(move |future| {
            if future.cancelled()
                && let Some(connection) = connection.upgrade()
            {
                connection.drop_called_off_file();
            }
        });
        self.requested();
        future
    }

    pub(super) fn file_bytes_sent(&self) -> Option<u64> {
        self.if_rare(|rare| rare.file.as_ref().map(|job| job.transfer.sent()))
    }

    /// Sends as much of the file as may be sent in one turn. No user code is called.
    pub(super) fn send_file_part(self: &Rc<Self>) {
        let Some(mut job) = self.if_rare(|rare| rare.file.take()) else { return };
        if job.future.done() {
            return self.end_file(*job, None);
        }
        let most = self.most_to_send(BYTES_A_TURN);
        if most == 0 {
            self.rare(|rare| rare.file = Some(job));
            return self.review_waiting(); // the bandwidth's timer goes on
        }
        let before = job.transfer.sent();
        let step = job.transfer.step(&self.backend, most);
        self.was_sent(usize::try_from(job.transfer.sent() - before).unwrap_or(usize::MAX));
        self.account_file(&mut job);
        match step {
            Step::Ended => {
                let sent = job.transfer.sent();
                self.end_file(*job, Some(Ok(sent)));
            }
            Step::Blocked | Step::TurnEnded => {
                self.with_machine(|machine| machine.block());
                self.rare(|rare| rare.file = Some(job));
                self.review_waiting();
            }
            Step::Wanted(block) => self.read_block(job, block),
            Step::FileFailed(error) => {
                let error = SendFileError::wrap(job.transfer.sent(), error.into());
                self.end_file(*job, Some(Err(error)));
            }
            Step::SinkFailed(error) => {
                let kind = error.kind();
                let reason = match error.raw_os_error() {
                    Some(code) => io::Error::from_raw_os_error(code),
                    None => kind.into(),
                };
                let told = SendFileError::wrap(job.transfer.sent(), error.into());
                self.sending_failed(reason); // first: the end of a file may be that of a close
                self.end_file(*job, Some(Err(told)));
            }
        }
    }

    /// Has a worker read the next block: reading a file may block.
    fn read_block(self: &Rc<Self>, mut job: Box<FileJob>, block: ReadBlock) {
        let reading = self.event_loop().run_in_executor(None, move || block.read());
        job.reading = Some(reading.clone());
        self.with_machine(|machine| machine.set_file_reading(true));
        self.rare(|rare| rare.file = Some(job));
        self.review_waiting();
        let connection = Rc::downgrade(self);
        reading.add_done_callback(move |reading| {
            if let Some(connection) = connection.upgrade() {
                connection.block_was_read(reading);
            }
        });
    }

    fn block_was_read(self: &Rc<Self>, reading: &Future<io::Result<Vec<u8>>>) {
        let awaited = |job: &mut Box<FileJob>| {
            job.reading.take_if(|awaited| awaited.ptr_eq(reading)).is_some()
        };
        let job = self.if_rare(|rare| rare.file.take_if(awaited));
        let Some(mut job) = job else { return }; // it ended before
        match reading.take().and_then(|outcome| Ok(outcome?)) {
            Ok(bytes) => {
                job.transfer.give(bytes);
                self.account_file(&mut job);
                self.with_machine(|machine| machine.set_file_reading(false));
                self.rare(|rare| rare.file = Some(job));
                self.review_waiting();
            }
            Err(exception) => {
                let error = SendFileError::wrap(job.transfer.sent(), exception);
                self.end_file(*job, Some(Err(error)));
            }
        }
        self.requested();
    }

    /// The job has ended: everything is as before (N-51). Who waits is told in a turn of our own; a
    /// job that was called off has nobody to tell.
    fn end_file(self: &Rc<Self>, job: FileJob, outcome: Option<Result<u64, Exception>>) {
        self.shared().account(job.accounted, 0);
        self.with_machine(|machine| machine.end_file());
        self.review_waiting();
        let FileJob { transfer, future, reading, .. } = job;
        drop(transfer); // which sets the file's position
        if let Some(reading) = reading {
            reading.cancel();
        }
        if let Some(outcome) = outcome {
            self.rare(|rare| rare.file_outcomes.push((future, outcome)));
            self.set(AWAITED, true);
            self.queue_turn();
        }
    }

    /// The connection has ended, and with it what it was sending.
    pub(super) fn fail_file(self: &Rc<Self>, reason: Option<&Exception>) {
        let Some(job) = self.if_rare(|rare| rare.file.take()) else { return };
        let reason = reason.cloned().unwrap_or_else(closed_meanwhile);
        let error = SendFileError::wrap(job.transfer.sent(), reason);
        self.end_file(*job, Some(Err(error)));
    }

    /// Whoever wanted the file sent does not want it any more.
    pub(super) fn drop_called_off_file(self: &Rc<Self>) {
        let called_off = |job: &mut Box<FileJob>| job.future.cancelled();
        let job = self.if_rare(|rare| rare.file.take_if(called_off));
        if let Some(job) = job {
            self.end_file(*job, None);
            self.requested();
        }
    }

    /// Tells those whose file has ended.
    pub(super) fn complete_files(&self) {
        let ended = self.if_rare(|rare| Some(std::mem::take(&mut rare.file_outcomes)));
        for (future, outcome) in ended.into_iter().flatten() {
            // One that was cancelled waits no more.
            let _ = future.set_outcome(outcome);
        }
    }

    /// Blocks that were read are output, and count as such.
    fn account_file(&self, job: &mut FileJob) {
        let held = job.transfer.held();
        self.shared().account(job.accounted, held);
        job.accounted = held;
    }

    /// How much of a file is counted among the output of the loop.
    pub(super) fn accounted_of_file(&self) -> usize {
        self.if_rare(|rare| rare.file.as_ref().map(|job| job.accounted)).unwrap_or(0)
    }
}

impl<B: Backend> Sink for B {
    fn send_file(&self, file: BorrowedFd<'_>, offset: u64, count: usize) -> io::Result<usize> {
        Backend::send_file(self, file, offset, count)
    }

    fn send(&self, data: &[u8]) -> io::Result<usize> {
        Backend::send(self, data)
    }
}

fn closed_meanwhile() -> Exception {
    let message = "the connection was closed while the file was sent";
    io::Error::new(io::ErrorKind::ConnectionAborted, message).into()
}
