//! Writing a file so that it is never half there: another name, the disk, the name.

use super::OpenOptions;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

/// Replaces the file at `path`; see
/// [`FileLoop::write_file_atomically`](super::FileLoop::write_file_atomically).
pub(super) fn write(path: &Path, data: &[u8]) -> io::Result<()> {
    let folder = folder_of(path);
    let (mut file, mut temporary) = create_beside(path, folder)?;
    write_out(&mut file, path, data)?;
    fs::rename(&temporary.path, path)?;
    temporary.is_renamed = true;
    File::open(folder)?.sync_all()
}

fn write_out(file: &mut File, path: &Path, data: &[u8]) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(before) if before.is_dir() => return Err(ErrorKind::IsADirectory.into()),
        Ok(before) if before.is_file() => file.set_permissions(before.permissions())?,
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    file.write_all(data)?;
    file.sync_all()
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// A file that is removed unless it got its name.
struct Temporary {
    path: PathBuf,
    is_renamed: bool,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.is_renamed {
            // There is an error already that matters more.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// So much of the name goes into the other one: a name has 255 bytes at most.
const LONGEST_PART: usize = 150;

/// A new file in the same folder, hidden, under a name that nobody else uses.
fn create_beside(path: &Path, folder: &Path) -> io::Result<(File, Temporary)> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().ok_or_else(|| {
        io::Error::new(ErrorKind::InvalidInput, "the path does not end with the name of a file")
    })?;
    loop {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let mut hidden = OsString::from(".");
        hidden.push(OsStr::from_bytes(&name.as_bytes()[..name.len().min(LONGEST_PART)]));
        hidden.push(format!(".{}-{number}.tmp", process::id()));
        let path = folder.join(hidden);
        match OpenOptions::write_new().must_be_new().for_std().open(&path) {
            Ok(file) => return Ok((file, Temporary { path, is_renamed: false })),
            // Left over by a process of the same number that was killed.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}
