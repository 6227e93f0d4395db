//! Children and the whole process: its descriptors, its zombies, its signals. One test at a time, each
//! with children that are watched in both ways.

mod others;
mod tracer;

use eventloop::{EventLoop, TestLoop, prelude::*};
use futures::Exception;
use rustix::io::FdFlags;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::Command;
use std::rc::Rc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tulipa_transports::subprocess::*;

const BOTH: [ChildWatcher; 2] = [ChildWatcher::Pidfd, ChildWatcher::Signal];

fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The open descriptors, but for the one that this look takes.
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count() - 1
}

/// Our own threads; the tests have some too.
fn threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.starts_with("tulipa")).count()
}

/// The children that this thread started, zombies included.
fn children() -> Vec<u32> {
    let children = std::fs::read_to_string("/proc/thread-self/children").unwrap();
    children.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

fn run<T: 'static>(
    watcher: ChildWatcher,
    coroutine: impl std::future::Future<Output = Result<T, Exception>> + 'static,
) -> Result<T, Exception> {
    let event_loop = EventLoop::new()?;
    event_loop.set_child_watcher(watcher)?;
    event_loop.run_coroutine(coroutine)
}

fn no_streams(options: SubprocessOptions) -> SubprocessOptions {
    options.stdin(Stdio::Null).stdout(Stdio::Null).stderr(Stdio::Null)
}

/// All that can become of a child, one after the other.
async fn every_end() -> Result<(), Exception> {
    create_subprocess_exec("true").await?.wait().await?;
    create_subprocess_exec("cat").await?.communicate(b"tulip").await?;
    assert!(create_subprocess_exec("/no/such/program").await.is_err());
    let nowhere = SubprocessOptions::new("cat").current_dir("/no/such/directory");
    assert!(create_subprocess_exec(nowhere).await.is_err());
    let killed = create_subprocess_exec("cat").await?;
    killed.kill()?;
    killed.wait().await?;
    drop(create_subprocess_exec("cat").await?);
    drop(create_subprocess_exec("cat"));
    let mut joined = create_subprocess_exec(
        SubprocessOptions::shell("echo one; echo two >&2").stderr(Stdio::Stdout),
    )
    .await?;
    joined.communicate(b"").await?;
    Ok(())
}

#[test]
fn r6_r11_no_descriptor_thread_or_zombie_is_left_of_any_child() {
    let _alone = alone();
    for watcher in BOTH {
        run(watcher, every_end()).unwrap(); // what is made at first use is made now
        let before = (descriptors(), threads(), children());
        for _ in 0..5 {
            run(watcher, every_end()).unwrap();
            assert_eq!((descriptors(), threads(), children()), before, "{watcher:?}");
        }
    }
    assert_eq!(children(), []);
}

#[test]
fn r6_r11_nothing_is_left_while_the_loop_goes_on() {
    let _alone = alone();
    for watcher in BOTH {
        let event_loop = EventLoop::new().unwrap();
        event_loop.set_child_watcher(watcher).unwrap();
        let settled = || {
            event_loop.run_coroutine(every_end()).unwrap();
            while event_loop.open_children() > 0 {
                event_loop.run_once(None).unwrap();
            }
        };
        settled();
        let before = descriptors();
        for _ in 0..5 {
            settled();
            assert_eq!(descriptors(), before);
            assert_eq!(children(), []);
        }
    }
}

#[test]
fn c18_r11_a_thousand_children_at_once_and_no_status_is_lost_or_mixed_up() {
    let _alone = alone();
    let limits = getrlimit(Resource::Nofile);
    let enough = Rlimit { current: limits.maximum.map(|most| most.min(8192)), ..limits };
    setrlimit(Resource::Nofile, enough).unwrap();
    for watcher in BOTH {
        let before = descriptors();
        let event_loop = EventLoop::new().unwrap();
        event_loop.set_child_watcher(watcher).unwrap();
        let (theirs, ours) = std::io::pipe().unwrap();
        let theirs = File::from(OwnedFd::from(theirs));
        let all: Vec<_> = (0..1000)
            .map(|number| {
                let command = format!("read go; exit {}", number % 251);
                let options = no_streams(SubprocessOptions::shell(command))
                    .stdin(theirs.try_clone().unwrap());
                event_loop.create_subprocess_exec(options)
            })
            .collect();
        drop(theirs);
        assert_eq!((event_loop.open_children(), children().len()), (1000, 1000));
        let done = event_loop.run_coroutine(async move {
            let mut processes = Vec::new();
            for starting in all {
                processes.push(starting.await?);
            }
            drop(ours); // now all of them end at once
            let mut pids = std::collections::HashSet::new();
            for (number, process) in processes.iter().enumerate() {
                assert!(pids.insert(process.pid()));
                assert_eq!(process.wait().await?, ExitStatus::Exited(number as i32 % 251));
            }
            Ok(())
        });
        done.unwrap();
        while event_loop.open_children() > 0 {
            event_loop.run_once(None).unwrap();
        }
        assert_eq!(children(), []);
        drop(event_loop);
        assert_eq!(descriptors(), before);
    }
    setrlimit(Resource::Nofile, limits).unwrap();
}

#[test]
fn c9_r11_a_loop_that_closes_with_many_children_leaves_none() {
    let _alone = alone();
    for watcher in BOTH {
        let before = (descriptors(), threads());
        let event_loop = EventLoop::new().unwrap();
        event_loop.set_child_watcher(watcher).unwrap();
        // They do not end by themselves when their input ends.
        let stubborn = || no_streams(SubprocessOptions::new("sleep").arg("1000"));
        let all: Vec<_> = (0..200).map(|_| event_loop.create_subprocess_exec(stubborn())).collect();
        assert_eq!(children().len(), 200);
        drop(event_loop);
        assert_eq!(children(), []);
        drop(all);
        assert_eq!((descriptors(), threads()), before, "{watcher:?}");
    }
}

#[test]
fn c15_r11_a_descriptor_that_the_program_left_open_is_not_inherited() {
    let _alone = alone();
    let leaky = File::open("/dev/null").unwrap();
    rustix::io::fcntl_setfd(&leaky, FdFlags::empty()).unwrap();
    let number = leaky.as_raw_fd();
    for watcher in BOTH {
        let listed = run(watcher, async move {
            let mut ls = create_subprocess_exec(("ls", ["/proc/self/fd"])).await?;
            Ok(ls.communicate(b"").await?.stdout.unwrap())
        });
        assert_eq!(listed.unwrap(), b"0\n1\n2\n3\n", "not {number}");
        let failed = run(watcher, async { create_subprocess_exec("/no/such/program").await });
        assert!(failed.is_err(), "and that it failed is still told");
    }
    let flags = rustix::io::fcntl_getfd(&leaky).unwrap();
    assert_eq!(flags, FdFlags::empty(), "ours is as it was");
}

/// The signals that a child of ours has blocked, ignores, and catches.
fn signals_of_a_child(watcher: ChildWatcher) -> [u64; 3] {
    let shown = run(watcher, async {
        let mut cat = create_subprocess_exec(("cat", ["/proc/self/status"])).await?;
        Ok(cat.communicate(b"").await?.stdout.unwrap())
    });
    let shown = String::from_utf8(shown.unwrap()).unwrap();
    let mask = |name| {
        let line = shown.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        // 32 and 33 are the C library's own.
        u64::from_str_radix(line.trim(), 16).unwrap() & !(0b11 << 31)
    };
    ["SigBlk:", "SigIgn:", "SigCgt:"].map(mask)
}

/// Set in a second run of a test, under other conditions.
const AGAIN: &str = "TULIPA_TEST_RUNS_AGAIN";

#[test]
fn r11_a_child_has_clean_signals_whatever_the_program_blocks_or_ignores() {
    let _alone = alone();
    for watcher in BOTH {
        assert_eq!(signals_of_a_child(watcher), [0, 0, 0], "{watcher:?}");
    }
    if std::env::var_os(AGAIN).is_some() {
        return;
    }
    // Once more, in a process that was started with signals blocked and ignored.
    let again = Command::new("env")
        .args(["--block-signal=USR1,INT", "--ignore-signal=HUP,TERM,CHLD"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "r11_a_child_has_clean_signals_whatever_the_program_blocks_or_ignores"])
        .env(AGAIN, "1")
        .output()
        .unwrap();
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stdout));
    assert!(String::from_utf8_lossy(&again.stdout).contains("1 passed"));
}

#[test]
fn c6_a_program_that_ignores_sigchld_sees_children_end_without_a_status() {
    let _alone = alone();
    if std::env::var_os(AGAIN).is_none() {
        let again = Command::new("env")
            .arg("--ignore-signal=CHLD")
            .arg(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "c6_a_program_that_ignores_sigchld_sees_children_end_without_a_status",
            ])
            .env(AGAIN, "1")
            .output()
            .unwrap();
        assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stdout));
        return;
    }
    let wait = async {
        let mut child = create_subprocess_shell("cat; exit 3").await?;
        Ok(child.communicate(b"").await?.status)
    };
    assert_eq!(run(ChildWatcher::Pidfd, wait).unwrap(), ExitStatus::Unknown);
    // A handler is installed there, so that the system keeps the statuses.
    let wait = async {
        let mut child = create_subprocess_shell("cat; exit 3").await?;
        Ok(child.communicate(b"").await?.status)
    };
    assert_eq!(run(ChildWatcher::Signal, wait).unwrap(), ExitStatus::Exited(3));
}

#[test]
fn r7_c3_out_of_descriptors_is_an_error_at_every_step_and_leaves_nothing() {
    let _alone = alone();
    let limits = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(256), ..limits }).unwrap();
    for watcher in BOTH {
        let event_loop = TestLoop::new();
        event_loop.set_child_watcher(watcher).unwrap();
        let warm = event_loop.create_subprocess_exec("true");
        event_loop.run_coroutine(async { warm.await?.wait().await }).unwrap();
        while event_loop.open_children() > 0 {
            event_loop.run_ready().unwrap();
        }
        let (before, mut refused, mut started) = (descriptors(), 0, 0);
        for left in 0..24 {
            let mut taken = Vec::new();
            while let Ok(file) = File::open("/dev/null") {
                taken.push(file);
            }
            taken.truncate(taken.len() - left.min(taken.len()));
            let starting = event_loop.create_subprocess_exec("cat");
            drop(taken);
            let outcome = event_loop.run_coroutine(async move {
                let mut process = starting.await?;
                process.communicate(b"").await
            });
            match outcome {
                Ok(output) => {
                    assert!(output.status.success());
                    started += 1;
                }
                Err(error) => {
                    let error: &std::io::Error = error.downcast_ref().unwrap();
                    assert_eq!(error.to_string(), "cannot start \"cat\"");
                    refused += 1;
                }
            }
            while event_loop.open_children() > 0 {
                event_loop.run_ready().unwrap();
            }
            assert_eq!((descriptors(), children()), (before, vec![]), "{watcher:?}, {left} left");
        }
        assert!(refused > 3 && started > 3, "{refused} refused, {started} started");
    }
    setrlimit(Resource::Nofile, limits).unwrap();
}

#[test]
fn r11_handlers_of_the_program_for_sigchld_still_run() {
    let _alone = alone();
    let event_loop = EventLoop::new().unwrap();
    event_loop.set_child_watcher(ChildWatcher::Signal).unwrap();
    let seen = Rc::new(Cell::new(0));
    let count = seen.clone();
    event_loop
        .add_signal_handler(eventloop::signal::SIGCHLD, move || count.set(count.get() + 1))
        .unwrap();
    let status = event_loop.run_coroutine(async {
        let child = create_subprocess_exec("true").await?;
        child.wait().await
    });
    assert!(status.unwrap().success());
    assert!(seen.get() > 0);
    assert!(event_loop.remove_signal_handler(eventloop::signal::SIGCHLD));
    let status = event_loop.run_coroutine(async {
        let child = create_subprocess_exec("true").await?;
        child.wait().await
    });
    assert!(status.unwrap().success());
}

#[test]
fn r5_a_child_that_floods_does_not_hold_up_the_others() {
    let _alone = alone();
    for watcher in BOTH {
        let turns = Rc::new(RefCell::new(Vec::new()));
        let noted = turns.clone();
        run(watcher, async move {
            let mut yes = create_subprocess_exec(
                SubprocessOptions::new("yes").stdin(Stdio::Null).stderr(Stdio::Null),
            )
            .await?;
            let mut flood = yes.stdout.take().unwrap();
            let mut cat = create_subprocess_exec("cat").await?;
            let (input, mut output) = (cat.stdin.take().unwrap(), cat.stdout.take().unwrap());
            futures::select! {
                end = async { loop { flood.read(1 << 20).await?; } } => end,
                talk = async {
                    for number in 0..50_u32 {
                        input.write(format!("{number}\n").as_bytes());
                        let answer = output.readline().await?;
                        noted.borrow_mut().push(answer);
                    }
                    Ok::<(), Exception>(())
                } => talk,
            }??;
            Ok(())
        })
        .unwrap();
        assert_eq!(turns.borrow().len(), 50);
    }
}

#[test]
fn r11_what_is_written_by_a_child_before_it_is_killed_is_delivered() {
    let _alone = alone();
    for watcher in BOTH {
        let output = run(watcher, async {
            let mut child = create_subprocess_shell("echo last words; kill -9 $$").await?;
            child.communicate(b"").await
        })
        .unwrap();
        assert_eq!(output.stdout.unwrap(), b"last words\n");
        assert_eq!(output.status, ExitStatus::Signaled(9));
    }
    std::io::stdout().flush().unwrap();
}
