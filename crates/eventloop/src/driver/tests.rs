//! What every driver promises, on each that there is: bare epoll, epoll without `epoll_pwait2`, and
//! `polling` alone.

use super::{Driver, EpollDriver, PortableDriver, ReadyEvent};
use crate::{DriverKind, EventLoop, Interest, SourceKey, Trigger, prelude::*};
use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::{Duration, Instant};

const NOW: Option<Duration> = Some(Duration::ZERO);

fn drivers() -> [Box<dyn Driver>; 3] {
    [
        Box::new(EpollDriver::new().unwrap().expect("this `polling` shows its keys")),
        Box::new(EpollDriver::new().unwrap().unwrap().with_timerfd().unwrap()),
        Box::new(PortableDriver::new().unwrap()),
    ]
}

fn for_each_driver(test: impl Fn(&dyn Driver)) {
    for driver in drivers() {
        println!("on {}", driver.name());
        test(&*driver);
    }
}

fn wait(driver: &dyn Driver, timeout: Option<Duration>) -> Vec<ReadyEvent> {
    let mut events = Vec::new();
    driver.wait(timeout, &mut events).unwrap();
    events
}

#[test]
fn l43_a_key_that_is_registered_is_read_back_through_the_descriptor() {
    for_each_driver(|driver| {
        let keys = [SourceKey::new(0, 0), SourceKey::new(7, 1), SourceKey::new(1 << 20, u32::MAX)];
        let pairs: Vec<_> = keys.iter().map(|_| UnixStream::pair().unwrap()).collect();
        for (key, (ours, theirs)) in keys.iter().zip(&pairs) {
            driver.add(ours.as_fd(), key.to_usize(), Interest::READ, Trigger::Level).unwrap();
            (&*theirs).write_all(b"x").unwrap();
        }
        let mut events = wait(driver, NOW);
        events.sort_by_key(|event| event.key);
        let mut expected: Vec<_> = keys
            .iter()
            .map(|key| ReadyEvent {
                key: key.to_usize(),
                readable: true,
                writable: false,
                special: false,
            })
            .collect();
        expected.sort_by_key(|event| event.key);
        assert_eq!(events, expected);
        // Another key and another interest for the same descriptor.
        let other = SourceKey::new(9, 9).to_usize();
        driver.modify(pairs[0].0.as_fd(), other, Interest::WRITE, Trigger::Level).unwrap();
        let changed = ReadyEvent { key: other, readable: false, writable: true, special: false };
        assert!(wait(driver, NOW).contains(&changed));
        for (ours, _) in &pairs {
            driver.delete(ours.as_fd()).unwrap();
        }
        assert!(wait(driver, NOW).is_empty());
    });
}

#[test]
fn l37_by_edges_news_are_told_once_and_again_when_asked() {
    let [first, second, _] = drivers();
    for driver in [first, second] {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        driver.add(ours.as_fd(), 5, Interest::READ, Trigger::Edge).unwrap();
        let ready = ReadyEvent { key: 5, readable: true, writable: false, special: false };
        theirs.write_all(b"x").unwrap();
        assert_eq!(wait(&*driver, NOW), [ready]);
        assert_eq!(wait(&*driver, NOW), []);
        driver.modify(ours.as_fd(), 5, Interest::READ, Trigger::Edge).unwrap();
        assert_eq!(wait(&*driver, NOW), [ready]);
        theirs.write_all(b"x").unwrap();
        assert_eq!(wait(&*driver, NOW), [ready]);
        (&ours).read_exact(&mut [0; 2]).unwrap();
        driver.modify(ours.as_fd(), 5, Interest::READ, Trigger::Edge).unwrap();
        assert_eq!(wait(&*driver, NOW), []);
        drop(theirs);
        let ended = ReadyEvent { key: 5, readable: true, writable: true, special: true };
        assert_eq!(wait(&*driver, NOW), [ended]);
        driver.modify(ours.as_fd(), 5, Interest::READ, Trigger::Level).unwrap();
        assert_eq!([wait(&*driver, NOW), wait(&*driver, NOW)].concat(), [ended; 2]);
        driver.delete(ours.as_fd()).unwrap();
    }
}

#[test]
fn l42_what_cannot_be_watched_is_an_error_and_leaves_the_others_alone() {
    for_each_driver(|driver| {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let file = std::fs::File::open("Cargo.toml").unwrap();
        let error = driver.add(file.as_fd(), 1, Interest::READ, Trigger::Level).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert!(driver.delete(ours.as_fd()).is_err());
        assert!(driver.modify(ours.as_fd(), 1, Interest::READ, Trigger::Level).is_err());
        driver.add(ours.as_fd(), 2, Interest::READ, Trigger::Level).unwrap();
        let error = driver.add(ours.as_fd(), 3, Interest::READ, Trigger::Level).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        theirs.write_all(b"x").unwrap();
        assert_eq!(wait(driver, NOW)[0].key, 2);
        driver.delete(ours.as_fd()).unwrap();
    });
}

#[test]
fn l44_a_hang_up_is_readiness_in_every_direction() {
    for_each_driver(|driver| {
        let (ours, theirs) = UnixStream::pair().unwrap();
        driver.add(ours.as_fd(), 5, Interest::READ, Trigger::Level).unwrap();
        drop(theirs);
        let events = wait(driver, None);
        assert_eq!(events, [ReadyEvent { key: 5, readable: true, writable: true, special: true }]);
        driver.delete(ours.as_fd()).unwrap();
        assert!(wait(driver, NOW).is_empty(), "nobody watches it: it is not reported");
    });
}

#[test]
fn l32_l33_a_wake_before_the_wait_ends_it_and_many_are_as_good_as_one() {
    for_each_driver(|driver| {
        let wake = driver.wake();
        for round in 0..50 {
            (0..=round).for_each(|_| wake.wake());
            assert!(wait(driver, None).is_empty());
        }
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let wake = driver.wake();
                std::thread::spawn(move || (0..1000).for_each(|_| wake.wake()))
            })
            .collect();
        assert!(wait(driver, None).is_empty());
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        // One more for what came after that wait began; then it sleeps again.
        wake.wake();
        assert!(wait(driver, None).is_empty());
        let start = Instant::now();
        wait(driver, Some(Duration::from_millis(2)));
        assert!(start.elapsed() >= Duration::from_millis(2), "a wake was left over");
    });
}

#[test]
fn l32_l34_a_wake_after_the_driver_is_gone_does_nothing() {
    for driver in drivers() {
        let wake = driver.wake();
        drop(driver);
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        std::thread::spawn(move || wake.wake()).join().unwrap();
        assert_eq!(ours.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
        drop(theirs);
    }
}

#[test]
fn l6_h9_a_wait_is_never_shorter_than_asked_and_is_rounded_to_what_can_be_measured() {
    for_each_driver(|driver| {
        for micros in [1, 300, 999, 1_000, 1_001, 2_500] {
            let timeout = Duration::from_micros(micros);
            let start = Instant::now();
            assert!(wait(driver, Some(timeout)).is_empty());
            // A poller may be early by what its clock cannot tell, and no more.
            assert!(start.elapsed() + Duration::from_micros(60) >= timeout, "{micros} µs");
        }
        // A time-out that was not needed does not disturb later waits.
        let wake = driver.wake();
        wake.wake();
        wait(driver, Some(Duration::from_micros(1_500)));
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        driver.add(ours.as_fd(), 4, Interest::READ, Trigger::Level).unwrap();
        theirs.write_all(b"x").unwrap();
        assert_eq!(wait(driver, Some(Duration::from_micros(1_500))).len(), 1);
        assert_eq!(wait(driver, Some(Duration::from_secs(24 * 3600))).len(), 1, "the longest");
        driver.delete(ours.as_fd()).unwrap();
    });
}

#[test]
fn i6_the_poll_descriptor_is_readable_exactly_when_a_wait_would_find_something() {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    fn readable(descriptor: BorrowedFd<'_>) -> bool {
        let mut watched = [PollFd::new(&descriptor, PollFlags::IN)];
        poll(&mut watched, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() == 1
    }
    for_each_driver(|driver| {
        let descriptor = driver.poll_descriptor().unwrap();
        assert!(!readable(descriptor), "right after it was made, and probed");
        driver.wake().wake();
        assert!(readable(descriptor));
        wait(driver, NOW);
        assert!(!readable(descriptor));
        let (ours, _theirs) = UnixStream::pair().unwrap();
        driver.add(ours.as_fd(), 1, Interest::WRITE, Trigger::Level).unwrap();
        assert!(readable(descriptor));
        driver.delete(ours.as_fd()).unwrap();
        assert!(!readable(descriptor));
    });
}

#[test]
fn l6_h9_h10_a_loop_without_epoll_pwait2_keeps_time_all_the_same() {
    let driver = EpollDriver::new().unwrap().unwrap().with_timerfd().unwrap();
    let driver = DriverKind::Custom(Box::new(driver));
    let event_loop = EventLoop::builder().driver(driver).build().unwrap();
    assert_eq!(event_loop.stats().driver, "epoll with a timerfd");
    let left = Rc::new(Cell::new(30u32));
    for index in 0..left.get() {
        let (handle, left) = (event_loop.handle(), left.clone());
        let due = event_loop.time() + Duration::from_micros(u64::from(index) * 130);
        event_loop.call_at(due, move || {
            assert!(handle.time() >= due);
            left.set(left.get() - 1);
            if left.get() == 0 {
                handle.stop();
            }
        });
    }
    event_loop.run_forever().unwrap();
    let stats = event_loop.stats();
    assert_eq!(stats.panics, 0);
    assert!(stats.polls <= 2 * 30 + 2, "{stats:?}");
}
