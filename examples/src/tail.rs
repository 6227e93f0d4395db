//! Following a file as it grows, by its name: through rotation, when another file gets the name, and
//! through truncation.
//!
//! [`Follower`] sleeps until the system tells of a change, then looks at what is there: the content
//! beyond what was shown, the size, and which file has the name now. What happened in between does not
//! matter, so that no event has to be understood, and a lost one does no harm.

mod lines;
mod output;
#[cfg(test)]
mod tests;

pub use output::Output;

use lines::last_lines;
use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use tulipa::files::{Changes, FileHandle, OpenOptions, WatchId, Watcher};
use tulipa::prelude::*;
use tulipa::{Bytes, current};

/// So much is read and written at a time.
const PIECE: Bytes = Bytes::kib(64);

/// A file that is followed.
pub struct Follower {
    path: PathBuf,
    file: Opened,
    watcher: Watcher,
}

/// The file that has the name, or had it when we last looked.
struct Opened {
    file: FileHandle,
    identity: Identity,
    /// How much of it was shown.
    shown: u64,
    watch: Option<WatchId>,
}

/// Which file it is, whatever its name.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    number: u64,
}

impl From<&Metadata> for Identity {
    fn from(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), number: metadata.ino() }
    }
}

impl Follower {
    /// Opens the file, to begin with its last `lines` lines.
    ///
    /// # Errors
    /// If it cannot be opened or watched.
    pub async fn open(path: PathBuf, lines: usize) -> Result<Self, Exception> {
        let watcher = Watcher::new(&*current())?;
        // Before the file: what happens in between is told then.
        watch_folders(&watcher, &path).await?;
        let mut file = Opened::open(&watcher, &path).await?;
        file.shown = last_lines(&file.file, lines).await?;
        Ok(Self { path, file, watcher })
    }

    /// Shows what there is, until there is no more.
    ///
    /// # Errors
    /// If the file cannot be read, or the output is gone.
    pub async fn catch_up(&mut self, output: &Output) -> Result<(), Exception> {
        loop {
            self.file.show_rest(output).await?;
            if self.file.is_cut().await? {
                log::warn!("{}: the file was cut", self.path.display());
                self.file.shown = 0;
            } else if let Some(successor) = self.successor().await? {
                self.file.show_rest(output).await?; // written after the last look
                log::warn!("{}: another file has the name now", self.path.display());
                if let Some(watch) = self.file.watch.take() {
                    self.watcher.remove(watch);
                }
                self.file = successor;
            } else {
                return Ok(());
            }
        }
    }

    /// Shows what is added, without end.
    ///
    /// # Errors
    /// As [`catch_up`](Follower::catch_up); or the cancellation.
    pub async fn follow(&mut self, output: &Output) -> Result<(), Exception> {
        loop {
            self.watcher.next().await?;
            while self.watcher.try_next()?.is_some() {} // one look does for all
            self.catch_up(output).await?;
        }
    }

    /// The file that has the name now, if that is another one.
    async fn successor(&self) -> Result<Option<Opened>, Exception> {
        let named = match current().file_metadata(&self.path).await {
            Ok(metadata) => Identity::from(&metadata),
            // Between the old one and the new one. Or it will never be there again: who knows.
            Err(error) if error.io_kind() == Some(ErrorKind::NotFound) => return Ok(None),
            Err(error) => return Err(error),
        };
        if named == self.file.identity {
            return Ok(None);
        }
        match Opened::open(&self.watcher, &self.path).await {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.io_kind() == Some(ErrorKind::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Opened {
    async fn open(watcher: &Watcher, path: &Path) -> Result<Self, Exception> {
        let file = current().open_file(path, OpenOptions::read()).await?;
        let identity = Identity::from(&file.metadata().await?);
        // If another file got the name just now, this watches that one: then it is told of the folder,
        // and taken next.
        let watch = match watcher.add(path, Changes::MODIFIED | Changes::ATTRIBUTES) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            watch => watch.ok(), // it lost its name just now, of which the folder tells
        };
        Ok(Self { file, identity, shown: 0, watch })
    }

    async fn show_rest(&mut self, output: &Output) -> Result<(), Exception> {
        loop {
            let data = self.file.read_at(self.shown, PIECE).await?;
            if data.is_empty() {
                return Ok(());
            }
            let size = data.len() as u64;
            output.write(data).await?;
            self.shown += size;
        }
    }

    /// Whether it is shorter than what was shown.
    async fn is_cut(&self) -> Result<bool, Exception> {
        Ok(self.file.metadata().await?.len() < self.shown)
    }
}

/// Watches the folder with the name, and, if that is a link, the one with the file.
async fn watch_folders(watcher: &Watcher, path: &Path) -> Result<(), Exception> {
    let real = current().file_job("find", path, |path| path.canonicalize()).await?;
    let here = Path::new(".");
    for path in [path, &real] {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        watcher.add(folder.unwrap_or(here), Changes::CREATED | Changes::MOVED_TO)?;
    }
    Ok(())
}
