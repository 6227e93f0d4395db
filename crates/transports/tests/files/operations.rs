//! Reading, writing and the rest (E-1, E-4, E-11, R-7).

use eventloop::{EventLoop, TestLoop, prelude::*};
use futures::Exception;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::mpsc;
use tempfile::{TempDir, tempdir};
use tulipa_transports::Bytes;
use tulipa_transports::files::{FileError, FileLoop, OpenOptions, ReadOptions};

fn folder() -> (EventLoop, TempDir) {
    (EventLoop::new().unwrap(), tempdir().unwrap())
}

/// What is in a folder, hidden things included.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn kind(error: &Exception) -> ErrorKind {
    error.io_kind().expect("an error of the system")
}

#[test]
fn e1_files_are_written_read_and_removed_by_threads() {
    let (event_loop, folder) = folder();
    let path = folder.path().join("tulip");
    event_loop.run_until_complete(&event_loop.write_file(&path, "one")).unwrap();
    event_loop.run_until_complete(&event_loop.append_file(&path, vec![b' '])).unwrap();
    event_loop.run_until_complete(&event_loop.append_file(&path, *b"two")).unwrap();
    let text = event_loop.run_until_complete(&event_loop.read_file(&path)).unwrap();
    assert_eq!(text, b"one two");
    let metadata = event_loop.run_until_complete(&event_loop.file_metadata(&path)).unwrap();
    assert_eq!((metadata.len(), metadata.is_file()), (7, true));
    let other = folder.path().join("a/b/bulb");
    let parent = other.parent().unwrap().to_owned();
    event_loop.run_until_complete(&event_loop.create_folder(parent.clone())).unwrap();
    event_loop.run_until_complete(&event_loop.rename_file(&path, &other)).unwrap();
    let listed = event_loop.run_until_complete(&event_loop.list_folder(&parent)).unwrap();
    assert_eq!(listed, std::slice::from_ref(&other));
    event_loop.run_until_complete(&event_loop.write_file(&other, "x")).unwrap();
    assert_eq!(fs::read(&other).unwrap(), b"x", "replaced");
    event_loop.run_until_complete(&event_loop.remove_file(&other)).unwrap();
    assert!(names(&parent).is_empty());
}

#[test]
fn r7_errors_name_the_operation_and_the_path_and_keep_their_kind() {
    let (event_loop, folder) = folder();
    let missing = folder.path().join("missing");
    let error = event_loop.run_until_complete(&event_loop.read_file(&missing)).unwrap_err();
    assert_eq!(kind(&error), ErrorKind::NotFound);
    assert_eq!(error.to_string(), format!("cannot read {}", missing.display()));
    assert_eq!(FileError::of(&error).unwrap().path(), missing);
    let error = event_loop.run_until_complete(&event_loop.remove_file(&missing)).unwrap_err();
    assert!(error.to_string().starts_with("cannot remove "), "{error}");
    let folder = folder.path().to_owned();
    let error = event_loop.run_until_complete(&event_loop.write_file(&folder, "")).unwrap_err();
    assert_eq!(kind(&error), ErrorKind::IsADirectory);
}

#[test]
fn r4_a_file_larger_than_the_limit_is_an_error() {
    let (event_loop, folder) = folder();
    let path = folder.path().join("large");
    fs::write(&path, [7; 1025]).unwrap();
    let options = || ReadOptions::from(&path);
    let kib = Bytes::kib(1);
    let error = event_loop.run_until_complete(&event_loop.read_file(options().limit(kib)));
    assert_eq!(kind(&error.unwrap_err()), ErrorKind::FileTooLarge);
    let all = event_loop.read_file(options().limit(Bytes(1025)));
    assert_eq!(event_loop.run_until_complete(&all).unwrap().len(), 1025);
    let status = event_loop.run_until_complete(&event_loop.read_file("/proc/self/status"));
    assert!(!status.unwrap().is_empty(), "its size is said to be zero");
}

#[test]
fn r7_what_is_no_regular_file_is_refused_without_waiting() {
    let (event_loop, folder) = folder();
    let fifo = folder.path().join("fifo");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    for path in [fifo.as_path(), Path::new("/dev/zero")] {
        let error = event_loop.run_until_complete(&event_loop.read_file(path)).unwrap_err();
        assert_eq!(kind(&error), ErrorKind::InvalidInput);
    }
    // Nobody reads the FIFO: opening it for writing would wait.
    assert!(event_loop.run_until_complete(&event_loop.write_file(&fifo, "x")).is_err());
    let replaced = event_loop.write_file_atomically(&fifo, "x");
    assert_eq!(
        kind(&event_loop.run_until_complete(&replaced).unwrap_err()),
        ErrorKind::InvalidInput
    );
    assert_eq!(names(folder.path()), ["fifo"]);
    assert!(!fs::metadata(&fifo).unwrap().is_file(), "it is still the FIFO");
}

#[test]
fn e4_a_job_that_was_called_off_in_time_never_runs() {
    let (event_loop, folder) = folder();
    let one = eventloop::ThreadPoolOptions { max_threads: 1, ..Default::default() };
    let executor = eventloop::ThreadPoolExecutor::new(one);
    event_loop.set_default_executor(std::sync::Arc::new(executor));
    let (release, wait) = mpsc::channel::<()>();
    let busy = event_loop.run_in_executor(None, move || wait.recv().is_ok());
    let path = folder.path().join("never");
    let writing = event_loop.write_file(&path, "x");
    let opening = event_loop.open_file(folder.path().join("nor this"), OpenOptions::write_new());
    assert!(writing.cancel() && opening.cancel());
    // The cancellation goes up the chain before the thread is free.
    event_loop.run_until_complete(&event_loop.spawn(futures::yield_now())).unwrap().unwrap();
    release.send(()).unwrap();
    assert!(event_loop.run_until_complete(&busy).unwrap());
    let last = event_loop.run_in_executor(None, || ());
    event_loop.run_until_complete(&last).unwrap();
    assert!(names(folder.path()).is_empty());
}

#[test]
fn e7_a_loop_without_executor_says_so() {
    let (event_loop, folder) = folder();
    let down = event_loop.shutdown_default_executor(std::time::Duration::from_secs(1));
    event_loop.run_until_complete(&down).unwrap();
    let error = event_loop.run_until_complete(&event_loop.read_file(folder.path())).unwrap_err();
    assert!(error.to_string().contains("shut"), "{error}");
}

#[test]
fn r7_an_atomic_write_replaces_all_or_nothing() {
    let (event_loop, folder) = folder();
    let path = folder.path().join("settings");
    let write = |data: &'static str| {
        event_loop.run_until_complete(&event_loop.write_file_atomically(&path, data))
    };
    write("one").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let reader = fs::File::open(&path).unwrap();
    write("two").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"two");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(std::io::read_to_string(reader).unwrap(), "one", "who had it open keeps it");
    assert_eq!(names(folder.path()), ["settings"]);

    // A link is replaced, and what it named is not touched.
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let done = event_loop.write_file_atomically(&link, "three");
    event_loop.run_until_complete(&done).unwrap();
    assert_eq!(
        (fs::read(&link).unwrap(), fs::read(&path).unwrap()),
        (b"three".into(), b"two".into())
    );
}

#[test]
fn r7_an_atomic_write_that_fails_leaves_everything_as_it_was() {
    let (event_loop, folder) = folder();
    let inner = folder.path().join("inner");
    fs::create_dir(&inner).unwrap();
    let onto_folder = event_loop.write_file_atomically(&inner, "x");
    let error = event_loop.run_until_complete(&onto_folder).unwrap_err();
    assert_eq!(kind(&error), ErrorKind::IsADirectory);
    let missing = event_loop.write_file_atomically(folder.path().join("none/x"), "x");
    let error = event_loop.run_until_complete(&missing).unwrap_err();
    assert_eq!(kind(&error), ErrorKind::NotFound);
    let nameless = event_loop.write_file_atomically(folder.path().join(".."), "x");
    assert!(event_loop.run_until_complete(&nameless).is_err());
    let long = folder.path().join("n".repeat(255));
    event_loop.run_until_complete(&event_loop.write_file_atomically(&long, "x")).unwrap();
    fs::remove_file(long).unwrap();
    assert_eq!(names(folder.path()), ["inner"]);
}

#[test]
fn e1_an_open_file_is_read_and_written_in_parts() {
    let (event_loop, folder) = folder();
    let path = folder.path().join("parts");
    let opening = event_loop.open_file(&path, OpenOptions::update().mode(0o600));
    let file = event_loop.run_until_complete(&opening).unwrap();
    event_loop.run_until_complete(&file.write_at(3, "tulip")).unwrap();
    event_loop.run_until_complete(&file.write_at(0, "abc")).unwrap();
    event_loop.run_until_complete(&file.sync()).unwrap();
    let read = |offset, size| event_loop.run_until_complete(&file.read_at(offset, Bytes(size)));
    assert_eq!(read(2, 3).unwrap(), b"ctu");
    assert_eq!(read(6, 100).unwrap(), b"ip");
    assert_eq!(read(100, 100).unwrap(), b"");
    assert_eq!(read(0, 0).unwrap(), b"");
    event_loop.run_until_complete(&file.set_len(4)).unwrap();
    assert_eq!(event_loop.run_until_complete(&file.metadata()).unwrap().len(), 4);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let exclusive = event_loop.open_file(&path, OpenOptions::write_new().must_be_new());
    let error = event_loop.run_until_complete(&exclusive).unwrap_err();
    assert_eq!(kind(&error), ErrorKind::AlreadyExists);
    let large = vec![7; 3_000_000];
    event_loop.run_until_complete(&file.write_at(0, large.clone())).unwrap();
    assert!(read(0, 5_000_000).unwrap() == large);
}

#[test]
fn e11_r8_a_job_that_panics_is_the_futures_error() {
    let event_loop = TestLoop::new();
    let future = event_loop.file_job("spoil", "/", |_| -> std::io::Result<()> { panic!("no") });
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        event_loop.run_until_complete(&future)
    }));
    assert!(outcome.is_err(), "the panic is resumed where it is waited for");
}
