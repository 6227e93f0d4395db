//! Changes of files, told by the system.

use crate::support::run_until;
use eventloop::{TestLoop, prelude::*};
use std::fs;
use std::io::Write;
use std::path::Path;
use tempfile::tempdir;
use tulipa_transports::files::{Change, Changes, FileError, FileEvent, Watcher};

/// What was told so far, by name.
fn told(event_loop: &TestLoop, watcher: &Watcher) -> Vec<(Change, Option<String>)> {
    let mut all = Vec::new();
    loop {
        event_loop.run_ready_now();
        let before = all.len();
        while let Some(event) = watcher.try_next().unwrap() {
            all.push(short(event));
        }
        if all.len() == before {
            return all;
        }
    }
}

fn short(event: FileEvent) -> (Change, Option<String>) {
    (event.change, event.name.map(|name| name.into_string().unwrap()))
}

fn watcher(event_loop: &TestLoop) -> Watcher {
    Watcher::new(&*event_loop.handle()).unwrap()
}

fn named(change: Change, name: &str) -> (Change, Option<String>) {
    (change, Some(name.to_owned()))
}

#[test]
fn r2_changes_in_a_folder_are_told_in_order() {
    let event_loop = TestLoop::new();
    let folder = tempdir().unwrap();
    let watcher = watcher(&event_loop);
    watcher.add(folder.path(), Changes::ALL).unwrap();
    let path = folder.path().join("a");
    fs::write(&path, "tulip").unwrap();
    fs::rename(&path, folder.path().join("b")).unwrap();
    fs::remove_file(folder.path().join("b")).unwrap();
    fs::create_dir(folder.path().join("c")).unwrap();
    let expected = [
        named(Change::Created, "a"),
        named(Change::Modified, "a"),
        named(Change::Written, "a"),
        named(Change::MovedFrom, "a"),
        named(Change::MovedTo, "b"),
        named(Change::Deleted, "b"),
        named(Change::Created, "c"),
    ];
    assert_eq!(told(&event_loop, &watcher), expected);
}

#[test]
fn r2_the_halves_of_a_move_belong_together_and_folders_are_marked() {
    let event_loop = TestLoop::new();
    let folder = tempdir().unwrap();
    fs::create_dir(folder.path().join("a")).unwrap();
    let watcher = watcher(&event_loop);
    let watch = watcher.add(folder.path(), Changes::MOVED_FROM | Changes::MOVED_TO).unwrap();
    fs::rename(folder.path().join("a"), folder.path().join("b")).unwrap();
    event_loop.run_ready_now();
    let from = watcher.try_next().unwrap().unwrap();
    let to = watcher.try_next().unwrap().unwrap();
    assert!(from.cookie.is_some() && from.cookie == to.cookie);
    assert!(from.is_folder && to.is_folder && from.watch == Some(watch));
}

#[test]
fn r2_a_file_that_goes_away_ends_its_watch() {
    let event_loop = TestLoop::new();
    let folder = tempdir().unwrap();
    let path = folder.path().join("a");
    fs::write(&path, "").unwrap();
    let watcher = watcher(&event_loop);
    let watch = watcher.add(&path, Changes::MODIFIED | Changes::SELF_DELETED).unwrap();
    assert_eq!(watcher.add(&path, Changes::SELF_DELETED).unwrap(), watch, "the same thing");
    fs::remove_file(&path).unwrap();
    let expected = [(Change::SelfDeleted, None), (Change::Ended, None)];
    assert_eq!(told(&event_loop, &watcher), expected);
    assert!(!watcher.remove(watch), "it is gone");
    let watch = watcher.add(folder.path(), Changes::CREATED).unwrap();
    assert!(watcher.remove(watch));
    fs::write(&path, "").unwrap();
    assert_eq!(told(&event_loop, &watcher), [(Change::Ended, None)]);
}

#[test]
fn r7_a_path_that_does_not_exist_is_named_in_the_error() {
    let event_loop = TestLoop::new();
    let watcher = watcher(&event_loop);
    let error = watcher.add("/nowhere/at/all", Changes::ALL).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    assert_eq!(error.to_string(), "cannot watch /nowhere/at/all");
    let error = futures::Exception::from(error);
    assert_eq!(FileError::of(&error).unwrap().path(), Path::new("/nowhere/at/all"));
}

#[test]
fn r2_a_wait_may_be_given_up_and_loses_nothing() {
    let event_loop = TestLoop::new();
    let folder = tempdir().unwrap();
    let watcher = std::rc::Rc::new(watcher(&event_loop));
    watcher.add(folder.path(), Changes::CREATED).unwrap();
    let ready = watcher.ready();
    ready.cancel();
    let waiting = watcher.clone();
    let task = event_loop.create_task(async move { waiting.next().await.map(short) });
    event_loop.run_ready_now();
    task.cancel();
    run_until(&event_loop, || task.done());
    let waiting = watcher.clone();
    let task = event_loop.create_task(async move { waiting.next().await.map(short) });
    event_loop.run_ready_now();
    fs::write(folder.path().join("a"), "").unwrap();
    run_until(&event_loop, || task.done());
    assert_eq!(task.as_future().take().unwrap(), named(Change::Created, "a"));
    assert!(watcher.try_next().unwrap().is_none());
}

#[test]
fn r3_r4_events_that_nobody_takes_are_bounded_and_overflow_is_told() {
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let limit: usize = limit.trim().parse().unwrap();
    let event_loop = TestLoop::new();
    let folder = tempdir().unwrap();
    let watcher = watcher(&event_loop);
    watcher.add(folder.path(), Changes::MODIFIED | Changes::ATTRIBUTES).unwrap();
    let file = &mut fs::File::create(folder.path().join("a")).unwrap();
    // Two kinds in turn: equal events in a row are one.
    let mut change = |count| {
        for _ in 0..count {
            file.write_all(b"x").unwrap();
            file.set_permissions(fs::Permissions::from(file.metadata().unwrap().permissions()))
                .unwrap();
        }
    };
    change(2000);
    event_loop.run_ready_now();
    let turns = event_loop.stats().callbacks;
    for _ in 0..20 {
        event_loop.run_ready_now();
    }
    assert_eq!(event_loop.stats().callbacks, turns, "nothing is watched while the queue is full");
    assert_eq!(told(&event_loop, &watcher).len(), 4000, "the rest comes when there is room");
    change(limit);
    let all = told(&event_loop, &watcher);
    assert_eq!(all.last(), Some(&(Change::Overflow, None)));
    assert!(all.len() <= limit + 1500);
}

#[test]
fn r6_dropping_it_ends_everything() {
    let event_loop = TestLoop::new();
    let folder = tempdir().unwrap();
    let watcher = watcher(&event_loop);
    watcher.add(folder.path(), Changes::ALL).unwrap();
    let ready = watcher.ready();
    assert_eq!(event_loop.stats().sources, 1);
    drop(watcher);
    assert_eq!(event_loop.stats().sources, 0);
    assert!(ready.cancelled());
    fs::write(folder.path().join("a"), "").unwrap();
    event_loop.run_until_idle();
}
