//! [`ReadOptions`] and [`OpenOptions`]: which file, and how.

use crate::Bytes;
use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Which file [`FileLoop::read_file`](super::FileLoop::read_file) is to read. Made from a path.
///
/// # Examples
/// ```
/// use tulipa_transports::{Bytes, files::ReadOptions};
/// let small = ReadOptions::from("/etc/hostname").limit(Bytes::kib(4));
/// ```
#[derive(Clone, Debug)]
pub struct ReadOptions {
    pub(super) path: PathBuf,
    pub(super) limit: Bytes,
}

impl ReadOptions {
    /// How large the file may be: 64 MiB by default. A larger one is an error (R-4).
    #[must_use]
    pub fn limit(mut self, limit: Bytes) -> Self {
        self.limit = limit;
        self
    }
}

impl<P: AsRef<Path>> From<P> for ReadOptions {
    fn from(path: P) -> Self {
        Self { path: path.as_ref().to_owned(), limit: Bytes::mib(64) }
    }
}

/// What a file is opened for by [`FileLoop::open_file`](super::FileLoop::open_file).
#[derive(Clone, Copy, Debug)]
pub struct OpenOptions {
    read: bool,
    write: bool,
    append: bool,
    truncate: bool,
    create: bool,
    create_new: bool,
    mode: u32,
}

impl OpenOptions {
    const NOTHING: Self = Self {
        read: false,
        write: false,
        append: false,
        truncate: false,
        create: false,
        create_new: false,
        mode: 0o666,
    };

    /// For reading; the file must exist.
    pub fn read() -> Self {
        Self { read: true, ..Self::NOTHING }
    }

    /// For writing, from empty; made if there is none.
    pub fn write_new() -> Self {
        Self { write: true, truncate: true, create: true, ..Self::NOTHING }
    }

    /// For writing at the end; made if there is none.
    pub fn append() -> Self {
        Self { append: true, create: true, ..Self::NOTHING }
    }

    /// For reading and writing; made if there is none, and left as it is.
    pub fn update() -> Self {
        Self { read: true, write: true, create: true, ..Self::NOTHING }
    }

    /// Only if there is no such file yet.
    #[must_use]
    pub fn must_be_new(mut self) -> Self {
        self.create_new = true;
        self
    }

    /// The permissions of a file that is made, less those that the process withholds: 0o666 by
    /// default.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    pub(super) fn for_std(self) -> fs::OpenOptions {
        let mut options = fs::OpenOptions::new();
        options
            .read(self.read)
            .write(self.write)
            .append(self.append)
            .truncate(self.truncate)
            .create(self.create)
            .create_new(self.create_new)
            .mode(self.mode)
            // So that opening a FIFO does not wait for its other end; files do not know it.
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
        options
    }
}
