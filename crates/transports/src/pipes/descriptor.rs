//! [`PipeDescriptor`]: a descriptor whose calls do not block, and which leaves others alone.
//!
//! Whether calls block is a flag of the *open file*, which is shared with every process that
//! inherited it: a shell, and all of its children, share one open terminal. Setting the flag there
//! would make their reads and writes fail, while we run and after we were killed. So, in this order:
//!
//! 1. A socket is asked in each call not to block; nothing is set.
//! 2. What does not block already, or belongs to nobody else, is used as it is.
//! 3. A pipe or terminal is opened once more, through `/proc/self/fd`: the same thing behind a flag
//!    of its own. That needs the right to open it, which somebody who changed the user lacks.
//! 4. Else it is asked before each call whether it is ready, and a write is no longer than what a
//!    pipe, or a terminal, that is ready takes. Only if somebody else is quicker in between can such a call block;
//!    where the system can be told not to (`RWF_NOWAIT`), not even then.
//! 5. Other devices, the master of a terminal among them, are opened for one purpose by one program,
//!    and opening them again may make a new one. There the flag is set. It is not taken back: the
//!    other direction may be a transport of its own over a copy, which would block from then on.

use super::backend::PipeEnd;
use super::error::{PipeError, Problem};
use super::view::PipeKind;
use crate::backend::system::SEND_FLAGS;
use crate::sigpipe::{is_noticed, without_sigpipe};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, OFlags, fcntl_getfl, fcntl_setfl, fstat};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags};
use rustix::pipe::PIPE_BUF;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// One end of a pipe or the like, owned.
pub(crate) struct PipeDescriptor {
    /// What was handed over. It is what is watched: of a FIFO that nobody writes to any more, one
    /// that is opened now would not tell.
    original: OwnedFd,
    kind: PipeKind,
    access: OFlags,
    way: Way,
    /// Whether a write could raise a signal that the process does not ignore.
    guarded: bool,
}

/// How calls are kept from blocking.
enum Way {
    PerCall,
    AsItIs,
    Reopened(OwnedFd),
    Asked,
}

impl PipeDescriptor {
    /// One that could not be opened again.
    #[cfg(test)]
    pub(super) fn asked(original: OwnedFd, end: PipeEnd) -> Self {
        let (kind, flags) = examine(&original, end).expect("a pipe");
        Self::new(original, kind, flags, Way::Asked)
    }

    /// One that others may share.
    pub(super) fn shared(original: OwnedFd, end: PipeEnd) -> Result<Self, PipeError> {
        let (kind, flags) = match examine(&original, end) {
            Ok(found) => found,
            Err(problem) => return Err(PipeError::new(problem, original)),
        };
        let way = match kind {
            PipeKind::Socket => Ok(Way::PerCall),
            _ if flags.contains(OFlags::NONBLOCK) => Ok(Way::AsItIs),
            PipeKind::Pipe | PipeKind::Terminal => {
                Ok(reopen(&original, flags).map_or(Way::Asked, Way::Reopened))
            }
            PipeKind::Device => {
                fcntl_setfl(&original, flags | OFlags::NONBLOCK).map(|()| Way::AsItIs)
            }
        };
        match way {
            Ok(way) => Ok(Self::new(original, kind, flags, way)),
            Err(error) => Err(PipeError::new(Problem::System(error.into()), original)),
        }
    }

    /// One that we made for ourselves.
    pub(super) fn exclusive(original: OwnedFd, end: PipeEnd) -> Result<Self, PipeError> {
        let found = examine(&original, end).and_then(|(kind, flags)| {
            let set = fcntl_setfl(&original, flags | OFlags::NONBLOCK);
            set.map_err(|error| Problem::System(error.into()))?;
            Ok((kind, flags))
        });
        match found {
            Ok((kind, flags)) => {
                let way = if kind == PipeKind::Socket { Way::PerCall } else { Way::AsItIs };
                Ok(Self::new(original, kind, flags, way))
            }
            Err(problem) => Err(PipeError::new(problem, original)),
        }
    }

    fn new(original: OwnedFd, kind: PipeKind, flags: OFlags, way: Way) -> Self {
        let access = flags & OFlags::RWMODE;
        let guarded = kind == PipeKind::Pipe && access != OFlags::RDONLY && is_noticed();
        Self { original, kind, access, way, guarded }
    }

    /// The one that tells when it is ready.
    pub(super) fn watched(&self) -> BorrowedFd<'_> {
        self.original.as_fd()
    }

    pub(super) fn kind(&self) -> PipeKind {
        self.kind
    }

    /// Whether a write end tells by readiness to read that the reader is gone. A terminal or
    /// device has input of its own; and who has both ends of a pipe is its reader.
    pub(super) fn tells_of_its_reader(&self) -> bool {
        match self.kind {
            PipeKind::Pipe => self.access == OFlags::WRONLY,
            PipeKind::Socket => true,
            PipeKind::Terminal | PipeKind::Device => false,
        }
    }

    /// Whether nobody is at the other end.
    pub(super) fn is_hung_up(&self) -> bool {
        let found = ask(self.original.as_fd(), PollFlags::empty());
        found.is_ok_and(|found| found.intersects(PollFlags::ERR | PollFlags::HUP))
    }

    /// Reads what is there. The end of a terminal whose other side is gone is an end.
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match &self.way {
            Way::PerCall => {
                let flags = RecvFlags::DONTWAIT;
                retry_on_intr(|| rustix::net::recv(&self.original, &mut *buffer, flags))
                    .map(|(count, _)| count)
            }
            Way::AsItIs => read(&self.original, buffer),
            Way::Reopened(own) => read(own, buffer),
            Way::Asked => match ask(self.original.as_fd(), PollFlags::IN) {
                Ok(found) if found.is_empty() => Err(Errno::AGAIN),
                Ok(_) => read_at_once(&self.original, buffer),
                Err(error) => Err(error),
            },
        };
        match read {
            Err(Errno::IO) if matches!(self.kind, PipeKind::Terminal | PipeKind::Device) => Ok(0),
            other => Ok(other?),
        }
    }

    /// Writes as much as is taken now.
    pub(super) fn write(&self, data: &[u8]) -> io::Result<usize> {
        self.guard(|| match &self.way {
            Way::PerCall => retry_on_intr(|| rustix::net::send(&self.original, data, send_flags())),
            Way::AsItIs => write(&self.original, data),
            Way::Reopened(own) => write(own, data),
            Way::Asked => self.write_if_ready(data),
        })
    }

    /// As [`write`](PipeDescriptor::write), from several parts in order.
    pub(super) fn write_vectored(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.guard(|| match &self.way {
            Way::PerCall => {
                let mut control = SendAncillaryBuffer::default();
                let socket = &self.original;
                retry_on_intr(|| rustix::net::sendmsg(socket, parts, &mut control, send_flags()))
            }
            Way::AsItIs => retry_on_intr(|| rustix::io::writev(&self.original, parts)),
            Way::Reopened(own) => retry_on_intr(|| rustix::io::writev(own, parts)),
            Way::Asked => match parts.iter().find(|part| !part.is_empty()) {
                Some(part) => self.write_if_ready(part),
                None => Ok(0),
            },
        })
    }

    /// Runs `write`; a reader that is gone must not end the process.
    fn guard(&self, write: impl FnOnce() -> Result<usize, Errno>) -> io::Result<usize> {
        if self.guarded { without_sigpipe(|| Ok(write()?)) } else { Ok(write()?) }
    }

    fn write_if_ready(&self, data: &[u8]) -> Result<usize, Errno> {
        let mut rest = &data[..data.len().min(PIPE_BUF)];
        let mut written = 0;
        while !rest.is_empty() {
            let piece = match self.kind {
                PipeKind::Terminal => &rest[..taken_by_terminal(rest)],
                PipeKind::Pipe | PipeKind::Socket | PipeKind::Device => rest,
            };
            let outcome = match ask(self.original.as_fd(), PollFlags::OUT) {
                Ok(found) if found.is_empty() => Err(Errno::AGAIN),
                Ok(_) => write_at_once(&self.original, piece),
                Err(error) => Err(error),
            };
            match outcome {
                Ok(count) => {
                    written += count;
                    rest = &rest[count..];
                    if count < piece.len() {
                        break;
                    }
                }
                Err(error) if written == 0 => return Err(error),
                Err(_) => break, // the next call finds it again
            }
        }
        Ok(written)
    }
}

/// How much of `data`, at least one byte, a terminal that is ready takes without waiting. It is ready as
/// soon as a step of 256 bytes is free, and takes that for whatever it handles as one: a run of plain
/// bytes, or one that it may change (a line end, a tab).
fn taken_by_terminal(data: &[u8]) -> usize {
    const MOST: usize = 128;
    let may_change = |byte: &u8| matches!(byte, 0x08 | b'\t' | b'\n' | b'\r');
    let plain = data.iter().take(MOST).position(may_change).unwrap_or(data.len().min(MOST));
    plain.max(1)
}

/// What it is, and its flags; or why it cannot be the wanted end.
fn examine(descriptor: &OwnedFd, end: PipeEnd) -> Result<(PipeKind, OFlags), Problem> {
    let system = |error: Errno| Problem::System(error.into());
    let status = fstat(descriptor).map_err(system)?;
    let kind = match FileType::from_raw_mode(status.st_mode as _) {
        FileType::Fifo => PipeKind::Pipe,
        FileType::Socket => PipeKind::Socket,
        FileType::CharacterDevice => {
            let own_kind = rustix::termios::isatty(descriptor) && !is_master(status.st_rdev as _);
            if own_kind { PipeKind::Terminal } else { PipeKind::Device }
        }
        FileType::RegularFile => return Err(Problem::RegularFile),
        _ => return Err(Problem::NotAPipe),
    };
    let flags = fcntl_getfl(descriptor).map_err(system)?;
    match (end, flags & OFlags::RWMODE) {
        (PipeEnd::Read, OFlags::WRONLY) => Err(Problem::NotForReading),
        (PipeEnd::Write, OFlags::RDONLY) => Err(Problem::NotForWriting),
        _ => Ok((kind, flags)),
    }
}

/// Whether a terminal is the master side, which opening again would not find.
#[cfg(target_os = "linux")]
fn is_master(device: u64) -> bool {
    (rustix::fs::major(device), rustix::fs::minor(device)) == (5, 2)
}

/// Whether a terminal is the master side, which opening again would not find. It is not tried there.
#[cfg(not(target_os = "linux"))]
fn is_master(_device: u64) -> bool {
    false
}

/// Opens the same thing once more, with a flag of its own.
#[cfg(target_os = "linux")]
fn reopen(original: &OwnedFd, flags: OFlags) -> Option<OwnedFd> {
    let path = format!("/proc/self/fd/{}", original.as_raw_fd());
    let kept = flags & (OFlags::RWMODE | OFlags::APPEND | OFlags::DIRECT);
    let flags = kept | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    rustix::fs::open(path, flags, rustix::fs::Mode::empty()).ok()
}

/// Opens the same thing once more, with a flag of its own: there is no way.
#[cfg(not(target_os = "linux"))]
fn reopen(_original: &OwnedFd, _flags: OFlags) -> Option<OwnedFd> {
    None
}

/// What of `wanted` is so now; an error or hang-up is always told.
fn ask(descriptor: BorrowedFd<'_>, wanted: PollFlags) -> Result<PollFlags, Errno> {
    let mut asked = [PollFd::from_borrowed_fd(descriptor, wanted)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    retry_on_intr(|| poll(&mut asked, Some(&now)))?;
    Ok(asked[0].revents())
}

fn send_flags() -> SendFlags {
    SEND_FLAGS | SendFlags::DONTWAIT
}

fn read(descriptor: &OwnedFd, buffer: &mut [u8]) -> Result<usize, Errno> {
    retry_on_intr(|| rustix::io::read(descriptor, &mut *buffer))
}

fn write(descriptor: &OwnedFd, data: &[u8]) -> Result<usize, Errno> {
    retry_on_intr(|| rustix::io::write(descriptor, data))
}

/// Reads from what was just ready, and blocks only if somebody else was quicker and the system cannot
/// be told not to.
#[cfg(target_os = "linux")]
fn read_at_once(descriptor: &OwnedFd, buffer: &mut [u8]) -> Result<usize, Errno> {
    use rustix::io::{ReadWriteFlags, preadv2};
    let tried = retry_on_intr(|| {
        let mut parts = [io::IoSliceMut::new(&mut *buffer)];
        preadv2(descriptor, &mut parts, u64::MAX, ReadWriteFlags::NOWAIT)
    });
    match tried {
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::SPIPE | Errno::INVAL) => {
            read(descriptor, buffer)
        }
        other => other,
    }
}

/// As the reading one.
#[cfg(target_os = "linux")]
fn write_at_once(descriptor: &OwnedFd, data: &[u8]) -> Result<usize, Errno> {
    use rustix::io::{ReadWriteFlags, pwritev2};
    let parts = [IoSlice::new(data)];
    match retry_on_intr(|| pwritev2(descriptor, &parts, u64::MAX, ReadWriteFlags::NOWAIT)) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::SPIPE | Errno::INVAL) => {
            write(descriptor, data)
        }
        other => other,
    }
}

/// Reads from what was just ready, and blocks only if somebody else was quicker.
#[cfg(not(target_os = "linux"))]
fn read_at_once(descriptor: &OwnedFd, buffer: &mut [u8]) -> Result<usize, Errno> {
    read(descriptor, buffer)
}

/// As the reading one.
#[cfg(not(target_os = "linux"))]
fn write_at_once(descriptor: &OwnedFd, data: &[u8]) -> Result<usize, Errno> {
    write(descriptor, data)
}

#[cfg(test)]
mod tests;
