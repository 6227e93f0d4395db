//! What only a process of its own can show: descriptors, limits, the environment (D-1, L-25, L-42, R6, R7).

use crate::common::child::{self, in_own_process};
use crate::common::raw::refuse;
use crate::common::{SECOND, socket_pair};
use futures::concurrent::ExecutorExt;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::rc::Rc;
use tulipa_eventloop::prelude::*;
use tulipa_eventloop::{DriverKind, EventLoop, ThreadPoolExecutor};

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

fn drivers() -> [fn() -> DriverKind; 2] {
    [|| DriverKind::Default, || DriverKind::Portable]
}

#[test]
fn l25_ten_thousand_loops_leave_no_descriptor_and_no_thread() {
    in_own_process!("l25_ten_thousand_loops_leave_no_descriptor_and_no_thread", || {
        let before = (open_descriptors(), threads());
        for round in 0..10_000 {
            let builder = EventLoop::builder().driver(drivers()[round % 2]());
            let event_loop = builder.build().unwrap();
            let (ours, _theirs) = socket_pair();
            event_loop.add_reader(ours, || {}).unwrap();
            event_loop.call_soon(|| {});
            event_loop.call_later(SECOND, || {});
            event_loop.threadsafe_handle().call_soon_threadsafe(|| {}).unwrap();
            if round % 10 == 0 {
                event_loop.as_fd().unwrap();
                event_loop.add_signal_handler(signal_hook::consts::SIGUSR1, || {}).unwrap();
            }
            event_loop.run_ready().unwrap();
            if round % 2 == 0 {
                event_loop.close().unwrap();
            }
        }
        assert_eq!((open_descriptors(), threads()), before);
    });
}

#[test]
fn l25_closing_gives_the_descriptors_back_although_handles_are_left() {
    in_own_process!("l25_closing_gives_the_descriptors_back_although_handles_are_left", || {
        let before = open_descriptors();
        for driver in drivers() {
            let event_loop = EventLoop::builder().driver(driver()).build().unwrap();
            let (handle, poster) = (event_loop.handle(), event_loop.threadsafe_handle());
            assert!(open_descriptors() > before);
            event_loop.close().unwrap();
            assert_eq!(open_descriptors(), before);
            // A late wake-up does not touch a number that is somebody else's by now.
            let (read_end, _write_end) = rustix::pipe::pipe().unwrap();
            rustix::io::ioctl_fionbio(&read_end, true).unwrap();
            assert!(poster.call_soon_threadsafe(|| {}).is_err());
            poster.stop();
            handle.stop();
            assert!(rustix::io::read(&read_end, &mut [0; 8]).is_err(), "nothing was written");
        }
    });
}

#[test]
fn l42_without_descriptors_a_loop_is_not_made_and_nothing_is_kept() {
    in_own_process!("l42_without_descriptors_a_loop_is_not_made_and_nothing_is_kept", || {
        let before = open_descriptors();
        let limit = getrlimit(Resource::Nofile);
        let allow = |most: u64| {
            setrlimit(Resource::Nofile, Rlimit { current: Some(most), ..limit }).unwrap();
        };
        for driver in drivers() {
            let mut failures = 0;
            loop {
                allow(3 + failures);
                let made = EventLoop::builder().driver(driver()).build();
                let outcome = made.map(drop).map_err(|error| error.raw_os_error());
                allow(1024);
                assert_eq!(open_descriptors(), before, "with {} allowed", 3 + failures);
                let Err(error) = outcome else { break };
                assert_eq!(error, Some(rustix::io::Errno::MFILE.raw_os_error()));
                failures += 1;
                assert!(failures < 100);
            }
            // At the poller itself, and at what wakes it (`polling` does without its timer).
            assert!(failures >= 2, "{failures}");
        }
        // A guest's descriptor is one more.
        let event_loop = EventLoop::new().unwrap();
        allow(3);
        assert!(event_loop.as_fd().is_err());
        allow(1024);
        assert!(event_loop.as_fd().is_ok());
        drop(event_loop);
        assert_eq!(open_descriptors(), before);
    });
}

#[test]
fn e10_without_threads_a_job_is_refused_and_the_pool_works_again_later() {
    in_own_process!("e10_without_threads_a_job_is_refused_and_the_pool_works_again_later", || {
        let pool = ThreadPoolExecutor::new(Default::default());
        let (refusing, value) = (pool.clone(), std::sync::Arc::new(()));
        let captured = value.clone();
        // A filter is its thread's own: what this one may not do, the others may.
        let thread = std::thread::spawn(move || {
            refuse(libc::SYS_clone3, libc::EAGAIN);
            refuse(libc::SYS_clone, libc::EAGAIN);
            let refused = refusing.submit(move || drop(captured)).unwrap_err();
            assert!(refused.to_string().contains("no thread can be started"), "{refused}");
        });
        thread.join().unwrap();
        assert_eq!(std::sync::Arc::strong_count(&value), 1);
        assert_eq!((pool.threads(), pool.queue_len()), (0, 0));
        let event_loop = EventLoop::new().unwrap();
        let job = event_loop.run_in_executor(Some(&pool), || 2);
        assert_eq!(event_loop.run_until_complete(&job).unwrap(), 2);
    });
}

#[test]
fn d1_the_environment_switches_debug_mode_on() {
    const NAME: &str = "d1_the_environment_switches_debug_mode_on";
    if child::is_child(NAME) {
        let expected = std::env::var("EXPECTED").unwrap() == "true";
        assert_eq!(EventLoop::new().unwrap().get_debug(), expected);
        assert!(!EventLoop::builder().debug(false).build().unwrap().get_debug());
        return;
    }
    for (value, expected) in [("1", "true"), ("0", "false"), ("", "false")] {
        let environment = [("TULIPA_DEBUG", value), ("EXPECTED", expected)];
        child::check(&child::run(module_path!(), NAME, &environment), NAME);
    }
}

#[test]
fn l28_l50_a_loop_in_a_thread_local_ends_with_its_thread() {
    in_own_process!("l28_l50_a_loop_in_a_thread_local_ends_with_its_thread", || {
        thread_local! {
            static LOOP: std::cell::OnceCell<EventLoop> = const { std::cell::OnceCell::new() };
        }
        let before = open_descriptors();
        for _ in 0..3 {
            let thread = std::thread::spawn(|| {
                LOOP.with(|place| {
                    let event_loop = place.get_or_init(|| EventLoop::new().unwrap());
                    let alive = Rc::new(event_loop.handle());
                    event_loop.call_later(SECOND, move || alive.stop());
                    event_loop.run_ready().unwrap();
                });
            });
            thread.join().unwrap();
        }
        assert_eq!(open_descriptors(), before);
    });
}

fn without_pwait2(error: i32) {
    refuse(libc::SYS_epoll_pwait2, error);
    let event_loop = EventLoop::new().unwrap();
    assert_eq!(event_loop.stats().driver, "epoll with a timerfd");
    let (ours, theirs) = socket_pair();
    let handle = event_loop.handle();
    let (due, fd) = (event_loop.time() + std::time::Duration::from_micros(300), ours.clone());
    event_loop.call_at(due, move || {
        assert!(handle.time() >= due);
        let (stopping, fd) = (handle.clone(), fd.clone());
        let stop = move || {
            stopping.remove_reader(&fd).unwrap();
            stopping.stop();
        };
        handle.add_reader(ours, stop).unwrap();
        std::io::Write::write_all(&mut &theirs, b"x").unwrap();
    });
    event_loop.run_forever().unwrap();
    assert_eq!(event_loop.stats().panics, 0);
}

#[test]
fn l6_a_kernel_without_epoll_pwait2_gives_the_same_results() {
    in_own_process!("l6_a_kernel_without_epoll_pwait2_gives_the_same_results", || {
        without_pwait2(libc::ENOSYS);
    });
}

#[test]
fn l6_a_sandbox_that_refuses_epoll_pwait2_gives_the_same_results() {
    in_own_process!("l6_a_sandbox_that_refuses_epoll_pwait2_gives_the_same_results", || {
        without_pwait2(libc::EPERM);
    });
}
