//! [`Directory`]: mails kept in files, each whole or not at all.
//!
//! A mail is written to a file of another name, which is then renamed, and both are forced to the disk:
//! when [`Directory::keep`] has returned, the mail survives a crash, and when it fails, nothing is left. All
//! of this blocks, so it belongs into an executor.
//!
//! Invariants: names are made here, of the time, the process and a number, so that no client has a say in
//! them and none is used twice; a file that ends with `.eml` is whole; one process uses a directory at a
//! time; what somebody else put there stays.
//!
//! ```text
//! X-Caught: 1767225600.000000000 2      when, and how many recipients
//! X-Helo: client.example.org            what the client called itself
//! Return-Path: <ann@example.org>        the envelope, with a line for each recipient
//! X-RcptTo: <bob@example.org>
//! X-RcptTo: <eve@example.org>
//! Subject: …                            from here on the mail as it came
//! ```

use std::error::Error;
use std::fmt;
use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Address;
use super::smtp::{Mail, NotKept};
use super::store::{CaughtMail, Store};

/// A directory in which mails are kept, a file each.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    /// Open for [`File::sync_all`], and locked, as long as this lives.
    directory: File,
    number: AtomicU64,
    /// The last mail could not be kept, which was said.
    fails: AtomicBool,
}

const WHOLE: &str = "eml";
const IN_WORK: &str = "part";

impl Directory {
    /// Takes a directory into use, and makes it if it is not there. What a crash left half written is
    /// removed: nobody was told that it was kept.
    ///
    /// # Errors
    /// If it cannot be made or read, or if another process uses it.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, DirectoryError> {
        let path = path.into();
        let open = || {
            if !path.is_dir() {
                fs::create_dir(&path)?;
                // Its own name is to survive a crash as well.
                let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
                File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
            }
            let directory = File::open(&path)?;
            match directory.try_lock() {
                Ok(()) => Ok(directory),
                Err(TryLockError::WouldBlock) => {
                    Err(io::Error::new(io::ErrorKind::ResourceBusy, "another process uses it"))
                }
                Err(TryLockError::Error(error)) => Err(error),
            }
        };
        let directory = match open() {
            Ok(directory) => directory,
            Err(source) => return Err(DirectoryError { path, source }),
        };
        let (number, fails) = (AtomicU64::new(0), AtomicBool::new(false));
        let this = Self { path, directory, number, fails };
        match this.remove_leftovers() {
            Ok(()) => Ok(this),
            Err(source) => Err(DirectoryError { path: this.path, source }),
        }
    }

    /// A path for a mail that came at `received`.
    pub fn new_path(&self, received: SystemTime) -> PathBuf {
        let since = since_1970(received);
        let number = self.number.fetch_add(1, Relaxed);
        let (seconds, nanos, process) = (since.as_secs(), since.subsec_nanos(), std::process::id());
        self.path.join(format!("{seconds:010}.{nanos:09}-{process}-{number}.{WHOLE}"))
    }

    /// Keeps `mail` in the file that it names. It is on the disk when this returns.
    ///
    /// # Errors
    /// What kept it from that: then there is no such file.
    pub fn keep(&self, mail: &CaughtMail) -> Result<(), NotKept> {
        let kept = match &mail.file {
            Some(path) => self.write(path, mail),
            None => Err(io::ErrorKind::InvalidFilename.into()),
        };
        let failed = self.fails.swap(kept.is_err(), Relaxed);
        match &kept {
            Ok(()) if failed => log::warn!("mails can be kept again in {}", self.path.display()),
            Ok(()) => {}
            Err(error) if failed => log::debug!("a mail could not be kept: {error}"),
            Err(error) => {
                log::error!("mails cannot be kept in {}: {error}", self.path.display());
            }
        }
        kept.map_err(|error| match error.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => NotKept::NoRoom,
            _ => NotKept::Failed,
        })
    }

    fn write(&self, path: &Path, mail: &CaughtMail) -> io::Result<()> {
        self.check_place()?;
        let in_work = path.with_extension(IN_WORK);
        // Never over a file that is there, whoever made it.
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&in_work)?;
        let whole = write_mail(&mut file, mail).and_then(|()| file.sync_all()).and_then(|()| {
            match path.try_exists()? {
                true => Err(io::ErrorKind::AlreadyExists.into()),
                false => fs::rename(&in_work, path),
            }
        });
        if let Err(error) = whole {
            // If that fails too, the next start removes it.
            let _ = fs::remove_file(&in_work);
            return Err(error);
        }
        self.check_place().and_then(|()| self.directory.sync_all()).inspect_err(|_| {
            // The client is told that it was not kept.
            let _ = fs::remove_file(path);
        })
    }

    /// Another directory of this name is not locked, and would not be forced to the disk.
    fn check_place(&self) -> io::Result<()> {
        let identity = |found: Metadata| (found.dev(), found.ino());
        match identity(fs::metadata(&self.path)?) == identity(self.directory.metadata()?) {
            true => Ok(()),
            false => Err(io::Error::other("the directory was replaced by another")),
        }
    }

    /// Removes the files of mails that nobody wants any more.
    pub fn remove(&self, paths: &[PathBuf]) {
        for path in paths {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    log::error!("cannot remove {}: {error}", path.display());
                }
                _ => {}
            }
        }
        if let Err(error) = self.directory.sync_all() {
            log::error!("{}: {error}", self.path.display());
        }
    }

    /// Puts the newest mails of those that are kept into `store`, as many as it takes. Says how many.
    ///
    /// # Errors
    /// If the directory cannot be read. A file that cannot be is passed over, which is logged.
    pub fn load(&self, store: &mut Store) -> io::Result<usize> {
        let mut paths = self.files(WHOLE)?;
        paths.sort_unstable(); // the names begin with the time
        let mut newest = Vec::new();
        let limits = store.limits();
        let mut room = limits.bytes;
        for path in paths.into_iter().rev() {
            let size = match fs::metadata(&path) {
                Ok(found) => usize::try_from(found.len()).unwrap_or(usize::MAX),
                Err(_) => continue,
            };
            if size > limits.bytes {
                log::warn!("{} is passed over: it is too large", path.display());
                continue;
            }
            if size > room || newest.len() >= limits.mails {
                break;
            }
            match read_mail(&path) {
                Ok((received, mail)) => {
                    room -= size;
                    newest.push((received, mail, path));
                }
                Err(error) => log::warn!("{} is passed over: {error}", path.display()),
            }
        }
        let mut loaded = 0;
        for (received, mail, path) in newest.into_iter().rev() {
            let admitted = store.admit(mail, received, Some(path));
            loaded += usize::from(admitted.and_then(|mail| store.keep(mail)).is_ok());
        }
        Ok(loaded)
    }

    fn remove_leftovers(&self) -> io::Result<()> {
        for path in self.files(IN_WORK)?.iter().filter(|path| is_made_here(path)) {
            if let Err(error) = fs::remove_file(path) {
                log::warn!("cannot remove {}: {error}", path.display());
            }
        }
        Ok(())
    }

    /// The regular files with this extension.
    fn files(&self, extension: &str) -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let path = entry.path();
            if path.extension().is_some_and(|it| it == extension) && entry.file_type()?.is_file() {
                found.push(path);
            }
        }
        Ok(found)
    }
}

/// Whether the name is one that [`Directory::new_path`] makes: others are somebody else's.
fn is_made_here(path: &Path) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    let parts = path.file_stem().and_then(|stem| stem.to_str()?.split_once('.'));
    parts.is_some_and(|(seconds, rest)| {
        let rest: Vec<&str> = rest.split('-').collect();
        is_number(seconds) && rest.len() == 3 && rest.into_iter().all(is_number)
    })
}

fn since_1970(time: SystemTime) -> Duration {
    // A clock before 1970 is wrong anyway.
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn write_mail(file: &mut File, caught: &CaughtMail) -> io::Result<()> {
    let mail = &caught.mail;
    let since = since_1970(caught.received);
    let mut head = format!(
        "X-Caught: {}.{:09} {}\r\nX-Helo: {}\r\nReturn-Path: <{}>\r\n",
        since.as_secs(),
        since.subsec_nanos(),
        mail.recipients.len(),
        mail.client,
        mail.sender.as_ref().map_or("", Address::as_str),
    );
    for recipient in &mail.recipients {
        head.push_str(&format!("X-RcptTo: <{}>\r\n", recipient.as_str()));
    }
    file.write_all(head.as_bytes())?;
    file.write_all(&mail.content)
}

/// The mail in a file. One that somebody else put there has no envelope.
fn read_mail(path: &Path) -> io::Result<(SystemTime, Mail)> {
    let bytes = fs::read(path)?;
    match parse_head(&bytes) {
        Some((received, mail)) => Ok((received, mail)),
        None => {
            let received = fs::metadata(path)?.modified()?;
            let client = "".into();
            Ok((received, Mail { client, sender: None, recipients: Vec::new(), content: bytes }))
        }
    }
}

fn parse_head(bytes: &[u8]) -> Option<(SystemTime, Mail)> {
    let mut rest = bytes;
    let mut field = |name: &str| {
        let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
        let value = std::str::from_utf8(&rest[..end]).ok()?.strip_prefix(name)?;
        rest = &rest[end + 2..];
        Some(value)
    };
    let (time, count) = field("X-Caught: ")?.split_once(' ')?;
    let (seconds, nanos) = time.split_once('.')?;
    let since =
        Duration::new(seconds.parse().ok()?, nanos.parse().ok().filter(|n| *n < 1_000_000_000)?);
    let client = field("X-Helo: ")?.into();
    let address = |text: &str| match Address::parse_path(text.as_bytes()) {
        Ok((address, b"")) => Some(address),
        _ => None,
    };
    let sender = address(field("Return-Path: ")?)?;
    let mut recipients = Vec::new();
    for _ in 0..count.parse::<usize>().ok()? {
        recipients.push(address(field("X-RcptTo: ")?)??);
    }
    let content = rest.to_vec();
    let received = UNIX_EPOCH.checked_add(since)?;
    Some((received, Mail { client, sender, recipients, content }))
}

/// A directory that cannot be used. (`Error::source` is the system's answer.)
#[derive(Debug)]
pub struct DirectoryError {
    path: PathBuf,
    source: io::Error,
}

impl fmt::Display for DirectoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mails cannot be kept in {}", self.path.display())
    }
}

impl Error for DirectoryError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

#[cfg(test)]
mod tests;
