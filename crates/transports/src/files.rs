//! Files: what a loop cannot wait for, done by threads of the executor, as futures.
//!
//! The system calls a regular file ready at any time, and then blocks while the disk turns. So each
//! operation here is one job of the loop's default executor (E-1), and its future one that can be
//! awaited, or cancelled: a job that has not begun never runs then; one that runs is let finish, and
//! its outcome is dropped (E-4). No operation leaves a file open behind.
//!
//! What is no regular file is refused: a FIFO or a device could hold a thread of the executor for
//! ever, and [`connect_read_pipe`](crate::NetworkLoop::connect_read_pipe) can wait for it.

mod atomic;
mod error;
mod handle;
mod options;
#[cfg(all(feature = "inotify", target_os = "linux"))]
mod watcher;

pub use error::FileError;
pub use handle::FileHandle;
pub use options::{OpenOptions, ReadOptions};
#[cfg(all(feature = "inotify", target_os = "linux"))]
pub use watcher::{Change, Changes, FileEvent, WatchId, Watcher};

use error::{Attempt, describe};
use eventloop::{AbstractEventLoop, AbstractEventLoopExt};
use futures::Future;
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};

/// Files, on every [`AbstractEventLoop`]. Coroutines use the loop that runs them:
/// `current().read_file(path).await`.
///
/// Each future fails with an `io::Error` around a [`FileError`], which names what was tried and the
/// path; or with the executor's refusal (E-7).
///
/// # Examples
/// ```
/// use eventloop::{EventLoop, current, prelude::*};
/// use tulipa_transports::files::FileLoop;
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("greeting");
/// let event_loop = EventLoop::new()?;
/// let text = event_loop.run_coroutine(async move {
///     current().write_file_atomically(&path, "tulip").await?;
///     current().append_file(&path, " and bulb").await?;
///     current().read_file(path).await
/// })?;
/// assert_eq!(text, b"tulip and bulb");
/// # Ok::<(), futures::Exception>(())
/// ```
pub trait FileLoop: AbstractEventLoop {
    /// All of a file. More than 64 MiB is an error, unless [`ReadOptions`] say otherwise.
    #[track_caller]
    fn read_file(&self, file: impl Into<ReadOptions>) -> Future<Vec<u8>> {
        let ReadOptions { path, limit } = file.into();
        self.file_job("read", path, move |path| handle::read_whole(path, limit))
    }

    /// Writes a file: makes it, or replaces what was in it. Others may see it half-written, and it
    /// may be lost or cut with the power; see
    /// [`write_file_atomically`](FileLoop::write_file_atomically).
    #[track_caller]
    fn write_file(
        &self,
        path: impl AsRef<Path>,
        data: impl AsRef<[u8]> + Send + 'static,
    ) -> Future<()> {
        self.file_job("write", path, move |path| {
            handle::write_whole(path, OpenOptions::write_new(), data.as_ref())
        })
    }

    /// Writes at the end of a file, which is made if there is none, in one call to the system where
    /// that takes all: then the lines of several writers do not mix.
    #[track_caller]
    fn append_file(
        &self,
        path: impl AsRef<Path>,
        data: impl AsRef<[u8]> + Send + 'static,
    ) -> Future<()> {
        self.file_job("append to", path, move |path| {
            handle::write_whole(path, OpenOptions::append(), data.as_ref())
        })
    }

    /// Writes a file so that it has the new content or the old one, and never anything between:
    /// for whoever looks at it meanwhile, when the disk is full, and after the power was lost.
    ///
    /// It is written under another name in the same folder, forced to the disk, renamed, and the
    /// folder forced to the disk. The permissions of a file that is replaced are kept. A symbolic
    /// link is replaced, not followed. When the future is done, it is on the disk.
    #[track_caller]
    fn write_file_atomically(
        &self,
        path: impl AsRef<Path>,
        data: impl AsRef<[u8]> + Send + 'static,
    ) -> Future<()> {
        self.file_job("write", path, move |path| atomic::write(path, data.as_ref()))
    }

    /// Opens a file, to be read or written in parts.
    #[track_caller]
    fn open_file(&self, path: impl AsRef<Path>, options: OpenOptions) -> Future<FileHandle> {
        let scheduler = self.to_event_loop();
        let path = path.as_ref().to_owned();
        let shown = path.clone();
        let opened = self.file_job("open", path, move |path| handle::open(path, options));
        opened.map(move |file| FileHandle::new(scheduler, file, shown))
    }

    /// What the system knows of a file: size, times, permissions. Symbolic links are followed.
    #[track_caller]
    fn file_metadata(&self, path: impl AsRef<Path>) -> Future<Metadata> {
        self.file_job("look at", path, |path| std::fs::metadata(path))
    }

    /// Gives a file another name, replacing what had it.
    #[track_caller]
    fn rename_file(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> Future<()> {
        let to = to.as_ref().to_owned();
        self.file_job("rename", from, move |from| std::fs::rename(from, to))
    }

    /// Removes a file.
    #[track_caller]
    fn remove_file(&self, path: impl AsRef<Path>) -> Future<()> {
        self.file_job("remove", path, |path| std::fs::remove_file(path))
    }

    /// Makes a folder, with those above it that are missing.
    #[track_caller]
    fn create_folder(&self, path: impl AsRef<Path>) -> Future<()> {
        self.file_job("create", path, |path| std::fs::create_dir_all(path))
    }

    /// The paths of what is in a folder, sorted.
    #[track_caller]
    fn list_folder(&self, path: impl AsRef<Path>) -> Future<Vec<PathBuf>> {
        self.file_job("list", path, |path| {
            let entries = std::fs::read_dir(path)?;
            let mut paths =
                entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<PathBuf>>>()?;
            paths.sort();
            Ok(paths)
        })
    }

    /// Runs `job` with `path` in the executor; its error is told with `operation`, a verb, and the
    /// path. For operations that are not here.
    ///
    /// # Examples
    /// ```
    /// use eventloop::{EventLoop, prelude::*};
    /// use tulipa_transports::files::FileLoop;
    /// let event_loop = EventLoop::new()?;
    /// let missing = event_loop.file_job("follow", "/nowhere", |path| std::fs::read_link(path));
    /// let error = event_loop.run_until_complete(&missing).unwrap_err();
    /// assert_eq!(error.to_string(), "cannot follow /nowhere");
    /// # Ok::<(), futures::Exception>(())
    /// ```
    #[track_caller]
    fn file_job<T: Send + 'static>(
        &self,
        operation: &'static str,
        path: impl AsRef<Path>,
        job: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> Future<T> {
        let path = path.as_ref().to_owned();
        let attempt = Attempt { operation, path };
        let done = self.run_in_executor(None, move || {
            let outcome = job(&attempt.path);
            outcome.map_err(|error| describe(attempt, error))
        });
        flatten(done)
    }
}

impl<L: AbstractEventLoop + ?Sized> FileLoop for L {}

/// The value inside, or the error as the future's own.
fn flatten<T: 'static>(done: Future<io::Result<T>>) -> Future<T> {
    done.then(|outcome| {
        let flat = futures::SchedulerExt::create_future(&*futures::current());
        // It is new, hence pending.
        let _ = flat.set_outcome(outcome.map_err(Into::into));
        flat
    })
}
