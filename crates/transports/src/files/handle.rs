//! [`FileHandle`]: an open file, read and written in parts, each at a place that is named.

use super::error::{Attempt, describe};
use super::{OpenOptions, flatten};
use crate::Bytes;
use eventloop::{AbstractEventLoop, AbstractEventLoopExt};
use futures::Future;
use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

/// An open file. Clones are the same one; the last one closes it.
///
/// There is no current place: each call names its own, so that several may be under way at once.
#[derive(Clone)]
pub struct FileHandle {
    event_loop: Rc<dyn AbstractEventLoop>,
    file: Arc<File>,
    path: PathBuf,
}

impl FileHandle {
    pub(super) fn new(event_loop: Rc<dyn AbstractEventLoop>, file: File, path: PathBuf) -> Self {
        Self { event_loop, file: Arc::new(file), path }
    }

    /// The path by which it was opened. It may have another by now, or none.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// So many bytes from `offset` on; fewer only at the end of the file.
    #[track_caller]
    pub fn read_at(&self, offset: u64, size: Bytes) -> Future<Vec<u8>> {
        self.job("read", move |file| {
            let mut data = Vec::new();
            // Not all at once: the file may be much smaller than what is asked for.
            while data.len() < size.0 {
                let (done, step) = (data.len(), (size.0 - data.len()).min(STEP));
                data.resize(done + step, 0);
                let read = retry(|| file.read_at(&mut data[done..], offset + done as u64))?;
                data.truncate(done + read);
                if read == 0 {
                    break;
                }
            }
            Ok(data)
        })
    }

    /// Writes all of `data` from `offset` on; of a file that was opened for appending, at its end.
    #[track_caller]
    pub fn write_at(&self, offset: u64, data: impl AsRef<[u8]> + Send + 'static) -> Future<()> {
        self.job("write", move |file| file.write_all_at(data.as_ref(), offset))
    }

    /// Cuts the file to so many bytes, or fills it up with zeros.
    #[track_caller]
    pub fn set_len(&self, size: u64) -> Future<()> {
        self.job("cut", move |file| file.set_len(size))
    }

    /// Forces what was written to the disk.
    #[track_caller]
    pub fn sync(&self) -> Future<()> {
        self.job("sync", File::sync_all)
    }

    /// What the system knows of it.
    #[track_caller]
    pub fn metadata(&self) -> Future<Metadata> {
        self.job("look at", File::metadata)
    }

    #[track_caller]
    fn job<T: Send + 'static>(
        &self,
        operation: &'static str,
        job: impl FnOnce(&File) -> io::Result<T> + Send + 'static,
    ) -> Future<T> {
        let attempt = Attempt { operation, path: self.path.clone() };
        let file = self.file.clone();
        flatten(
            self.event_loop.run_in_executor(None, move || {
                job(&file).map_err(|error| describe(attempt, error))
            }),
        )
    }
}

impl fmt::Debug for FileHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileHandle({})", self.path.display())
    }
}

/// One read of a large file takes so much.
const STEP: usize = 1024 * 1024;

/// Opens a regular file; anything else is refused, and does not block.
pub(super) fn open(path: &Path, options: OpenOptions) -> io::Result<File> {
    let file = options.for_std().open(path)?;
    if !file.metadata()?.is_file() {
        return Err(not_a_regular_file());
    }
    Ok(file)
}

pub(super) fn not_a_regular_file() -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, "not a regular file")
}

pub(super) fn read_whole(path: &Path, limit: Bytes) -> io::Result<Vec<u8>> {
    let file = open(path, OpenOptions::read())?;
    let size = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    let mut data = Vec::with_capacity(size.min(limit.0));
    // The size is what it was; and files in /proc say that they are empty.
    let most = u64::try_from(limit.0).unwrap_or(u64::MAX).saturating_add(1);
    (&file).take(most).read_to_end(&mut data)?;
    if data.len() > limit.0 {
        let message = format!("the file is larger than {limit}");
        return Err(io::Error::new(ErrorKind::FileTooLarge, message));
    }
    Ok(data)
}

pub(super) fn write_whole(path: &Path, options: OpenOptions, data: &[u8]) -> io::Result<()> {
    open(path, options)?.write_all(data)
}

fn retry(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
