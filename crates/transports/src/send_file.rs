//! [`SendFile`]: a file, or a part of one, that is to be sent; [`Transfer`]: one that is being sent.
//!
//! The system copies, where it can (sendfile(2)); else blocks are read by a worker, since reading a file
//! may block, and sent like any other bytes. Invariant: when a transfer ends, however it does, the file's
//! position is behind what was sent (N-51).

use futures::Exception;
use rustix::io::Errno;
use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::sync::Arc;

/// A file, or a part of one, that is to be sent.
///
/// Made from a `File`, or from an `Arc<File>` by whoever goes on using it. Afterwards the file's position
/// is behind what was sent.
///
/// # Examples
/// ```
/// use std::fs::File;
/// use tulipa_transports::SendFile;
/// # let path = std::env::current_exe()?;
/// let whole = SendFile::from(File::open(&path)?);
/// let part = SendFile::from(File::open(&path)?).offset(100).count(50);
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct SendFile {
    file: Arc<File>,
    offset: u64,
    count: Option<u64>,
    fallback: bool,
}

impl SendFile {
    /// Where to begin. By default at the beginning of the file, wherever its position is.
    #[must_use]
    pub fn offset(mut self, offset: u64) -> Self {
        self.offset = offset;
        self
    }

    /// How many bytes to send, at least one. By default all that there are.
    #[must_use]
    pub fn count(mut self, count: u64) -> Self {
        self.count = Some(count);
        self
    }

    /// Whether to copy in blocks where the system cannot copy by itself. By default so; else that is an
    /// error of kind `Unsupported` (N-49).
    #[must_use]
    pub fn fallback(mut self, enabled: bool) -> Self {
        self.fallback = enabled;
        self
    }

    /// Begins, if it makes sense (N-50).
    pub(crate) fn begin(self) -> Result<Transfer, Exception> {
        let refuse = |message: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        let checked = match self.count {
            Some(0) => refuse("a count of zero bytes makes no sense"),
            count
                if self.offset.checked_add(count.unwrap_or(0)).is_none_or(|end| end > FARTHEST) =>
            {
                refuse("the offset and the count are beyond what a file can have")
            }
            _ => self.file.metadata().and_then(|found| {
                let kind = found.file_type();
                match kind.is_dir() || kind.is_fifo() || kind.is_socket() {
                    true => refuse("not a file that has offsets"),
                    false => Ok(()),
                }
            }),
        };
        checked.map_err(|error| SendFileError::wrap(0, error.into()))?;
        let Self { file, offset, count, fallback } = self;
        Ok(Transfer { file, offset, count, fallback, sent: 0, way: Way::Untried, block: None })
    }
}

/// The last place in a file.
const FARTHEST: u64 = i64::MAX as u64;

impl From<File> for SendFile {
    fn from(file: File) -> Self {
        Arc::new(file).into()
    }
}

impl From<Arc<File>> for SendFile {
    fn from(file: Arc<File>) -> Self {
        Self { file, offset: 0, count: None, fallback: true }
    }
}

impl From<&Arc<File>> for SendFile {
    fn from(file: &Arc<File>) -> Self {
        file.clone().into()
    }
}

impl From<OwnedFd> for SendFile {
    fn from(descriptor: OwnedFd) -> Self {
        File::from(descriptor).into()
    }
}

/// A file that is being sent.
pub(crate) struct Transfer {
    file: Arc<File>,
    offset: u64,
    count: Option<u64>,
    fallback: bool,
    sent: u64,
    way: Way,
    /// What was read and is not sent yet; empty at the end of the file.
    block: Option<Block>,
}

/// How the bytes get there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// The system may be able to copy.
    Untried,
    System,
    Blocks,
}

struct Block {
    bytes: Vec<u8>,
    start: usize,
}

/// Where the bytes of a transfer go.
pub(crate) trait Sink {
    /// Has the system copy at most `count` bytes of `file` from `offset` on.
    fn send_file(&self, file: BorrowedFd<'_>, offset: u64, count: usize) -> io::Result<usize>;

    /// Sends as much as is taken now.
    fn send(&self, data: &[u8]) -> io::Result<usize>;
}

/// How far a transfer got in one turn.
pub(crate) enum Step {
    /// All was sent that was to be, and is there (N-52).
    Ended,
    /// No more is taken for now.
    Blocked,
    /// The others get their turn.
    TurnEnded,
    /// The next block is to be read, by [`ReadBlock::read`], and given to [`Transfer::give`].
    Wanted(ReadBlock),
    /// The peer takes no more, or is gone.
    SinkFailed(io::Error),
    /// The file cannot be read, or not in this way.
    FileFailed(io::Error),
}

/// So much in one turn, then the others get theirs (R-5).
pub(crate) const BYTES_A_TURN: usize = 256 * 1024;
/// One read of a worker.
const BLOCK: usize = 64 * 1024;

impl Transfer {
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// How much memory it holds.
    pub(crate) fn held(&self) -> usize {
        self.block.as_ref().map_or(0, |block| block.bytes.len())
    }

    /// Sends as much as can be sent now, at most `budget` bytes.
    pub(crate) fn step(&mut self, sink: &impl Sink, mut budget: usize) -> Step {
        while budget > 0 {
            let most = self.left().min(budget as u64) as usize;
            if most == 0 {
                return Step::Ended;
            }
            let sent = match self.way {
                Way::Blocks => match self.send_block(sink, most) {
                    Ok(sent) => sent,
                    Err(step) => return step,
                },
                Way::Untried | Way::System => {
                    match sink.send_file(self.file.as_fd(), self.offset + self.sent, most) {
                        Ok(0) => return Step::Ended,
                        Ok(sent) => {
                            self.way = Way::System;
                            sent
                        }
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                            return Step::Blocked;
                        }
                        Err(error) if is_beyond_any_end(&error) => return Step::Ended,
                        Err(error) if is_of_the_sink(&error) => return Step::SinkFailed(error),
                        Err(error) if self.way == Way::Untried && cannot_copy(&error) => {
                            if !self.fallback {
                                return Step::FileFailed(not_available());
                            }
                            self.way = Way::Blocks;
                            continue;
                        }
                        Err(error) => return Step::FileFailed(error),
                    }
                }
            };
            self.sent += sent as u64;
            budget = budget.saturating_sub(sent);
        }
        Step::TurnEnded
    }

    fn send_block(&mut self, sink: &impl Sink, most: usize) -> Result<usize, Step> {
        let Some(block) = &mut self.block else {
            let offset = self.offset + self.sent;
            let size = self.left().min(BLOCK as u64) as usize;
            return Err(Step::Wanted(ReadBlock { file: self.file.clone(), offset, size }));
        };
        let rest = &block.bytes[block.start..];
        if rest.is_empty() {
            return Err(Step::Ended);
        }
        match sink.send(&rest[..rest.len().min(most)]) {
            Ok(sent) => {
                block.start += sent;
                if block.start == block.bytes.len() {
                    self.block = None;
                }
                Ok(sent)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(Step::Blocked),
            Err(error) => Err(Step::SinkFailed(error)),
        }
    }

    /// What a worker has read. Nothing is the end of the file.
    pub(crate) fn give(&mut self, bytes: Vec<u8>) {
        self.block = Some(Block { bytes, start: 0 });
    }

    /// How much is still to be sent, if the file has that much.
    fn left(&self) -> u64 {
        self.count.unwrap_or(FARTHEST - self.offset) - self.sent
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        // A file without a position needs none.
        let _ = (&*self.file).seek(SeekFrom::Start(self.offset + self.sent));
    }
}

/// A block that is to be read where reading may block.
pub(crate) struct ReadBlock {
    file: Arc<File>,
    offset: u64,
    size: usize,
}

impl ReadBlock {
    pub(crate) fn read(self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.size];
        loop {
            match self.file.read_at(&mut bytes, self.offset) {
                Ok(count) => {
                    bytes.truncate(count);
                    return Ok(bytes);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Whether an error says that the peer is gone. All others are the file's: what they leave is a
/// connection that shows what is wrong with it at its next write.
fn is_of_the_sink(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::NotConnected
            | io::ErrorKind::TimedOut
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
    )
}

/// Whether an error says that no file of this file system can have anything at that offset.
fn is_beyond_any_end(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::OVERFLOW.raw_os_error())
}

/// Whether an error says that the system cannot copy this.
fn cannot_copy(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput)
}

fn not_available() -> io::Error {
    let message = "the system cannot copy this by itself, and copying in blocks was forbidden";
    io::Error::new(io::ErrorKind::Unsupported, message)
}

/// A file that could not be sent, or not to its end. (`Error::source` says why.)
///
/// It comes inside an `io::Error` of the same kind.
#[derive(Debug)]
pub struct SendFileError {
    sent: u64,
    source: Exception,
}

impl SendFileError {
    pub(crate) fn wrap(sent: u64, source: Exception) -> Exception {
        let kind = source.io_kind().unwrap_or(io::ErrorKind::Other);
        io::Error::new(kind, Self { sent, source }).into()
    }

    /// The error inside `exception`, if it is one of this kind.
    pub fn of(exception: &Exception) -> Option<&Self> {
        let mut next: Option<&(dyn Error + 'static)> = Some(exception.as_error());
        while let Some(error) = next {
            let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            let error = inner.map_or(error, |inner| inner as &(dyn Error + 'static));
            if let Some(found) = error.downcast_ref() {
                return Some(found);
            }
            next = error.source();
        }
        None
    }

    /// How many bytes were sent before.
    pub fn sent(&self) -> u64 {
        self.sent
    }
}

impl fmt::Display for SendFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sent {
            0 => f.write_str("the file could not be sent"),
            sent => write!(f, "the file could not be sent beyond {sent} bytes"),
        }
    }
}

impl Error for SendFileError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.source.as_error())
    }
}
