//! Waiting on Linux, at the price of bare epoll: one system call a wait.
//!
//! `polling` owns the epoll instance and the registrations; the wait is made directly on its
//! descriptor, because `Poller::wait` costs four more system calls. Wake-ups come from an eventfd of
//! our own: the one behind `Poller::notify` works only once unless `Poller::wait` re-arms it.
//!
//! Relied on: an event carries its key as `u64`, and a registration is no more than the system's. The first is no
//! promise of `polling`'s, so it is probed when a driver is made, and [`PortableDriver`](super::PortableDriver) takes over if it differs.

use super::portable::add;
use super::{Driver, ReadyEvent, polling_event};
use crate::cross_thread::Wake;
use crate::{Interest, Trigger};
use polling::{PollMode, Poller};
use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};
use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};
use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

/// Epoll, waited on directly.
pub(crate) struct EpollDriver {
    poller: Poller,
    wake: Arc<EventFd>,
    precise: PreciseWait,
    /// Whether the timer of `precise` is set. It would end a later wait for nothing.
    timer_is_set: Cell<bool>,
    buffer: RefCell<Box<Events>>,
}

/// How to wait for a time that is not a whole number of milliseconds.
enum PreciseWait {
    /// `epoll_pwait2` (Linux 5.11).
    Pwait2,
    /// Where that is missing or forbidden: a timer descriptor among the watched ones.
    Timerfd(OwnedFd),
}

/// An eventfd, written to for waking. It is edge-triggered and never read, unless it is full.
struct EventFd(OwnedFd);

/// Keys that no source gets: slots are far fewer.
const WAKE_KEY: usize = usize::MAX - 1;
const TIMER_KEY: usize = usize::MAX - 2;

/// Events taken in one wait; more are reported by the next.
const EVENTS: usize = 1024;

/// What the buffer holds before the first.
const NO_EVENT: epoll::Event =
    epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) };

impl EpollDriver {
    /// `None` if the events of this `polling` cannot be read directly.
    pub(crate) fn new() -> io::Result<Option<Self>> {
        let poller = Poller::new()?;
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        add_edge(&poller, wake.as_fd(), WAKE_KEY)?;
        let driver = Self {
            poller,
            wake: Arc::new(EventFd(wake)),
            precise: PreciseWait::Pwait2,
            timer_is_set: Cell::new(false),
            buffer: RefCell::new(Box::new([NO_EVENT; EVENTS])),
        };
        if !driver.keys_are_readable()? {
            return Ok(None);
        }
        Ok(Some(driver.with_precise_wait()?))
    }

    /// Wakes itself and looks whether the wake's key comes back.
    fn keys_are_readable(&self) -> io::Result<bool> {
        self.wake.wake();
        let mut buffer = self.buffer.borrow_mut();
        let count = self.wait_whole_millis(Some(Duration::ZERO), &mut buffer)?;
        Ok(buffer[..count].iter().map(|event| event.data.u64()).eq([WAKE_KEY as u64]))
    }

    /// Chooses how to wait for fractions of a millisecond, by trying.
    fn with_precise_wait(self) -> io::Result<Self> {
        let tried = self.pwait2(Duration::ZERO, &mut self.buffer.borrow_mut());
        match tried {
            Err(Errno::NOSYS | Errno::PERM) => self.with_timerfd(),
            _ => Ok(self),
        }
    }

    /// Has a timer descriptor wait for fractions of a millisecond.
    pub(super) fn with_timerfd(mut self) -> io::Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        add_edge(&self.poller, timer.as_fd(), TIMER_KEY)?;
        self.precise = PreciseWait::Timerfd(timer);
        Ok(self)
    }

    /// Waits, and says how many events there are in `buffer` now.
    #[inline]
    fn wait_into(&self, timeout: Option<Duration>, buffer: &mut Events) -> Count {
        match timeout {
            None if !self.timer_is_set.get() => self.wait_whole_millis(None, buffer),
            _ => self.wait_precisely(timeout, buffer),
        }
    }

    #[inline(never)] // a wait that needs no precision does without its registers
    fn wait_precisely(&self, timeout: Option<Duration>, buffer: &mut Events) -> Count {
        match (timeout, &self.precise) {
            (Some(time), PreciseWait::Pwait2) if !time.is_zero() => self.pwait2(time, buffer),
            (Some(time), PreciseWait::Timerfd(timer)) if time.subsec_nanos() % 1_000_000 != 0 => {
                set_timer(timer, time)?;
                self.timer_is_set.set(true);
                // Edge-triggered: it needs no reading.
                self.wait_whole_millis(None, buffer)
            }
            (_, PreciseWait::Timerfd(timer))
                if timeout != Some(Duration::ZERO) && self.timer_is_set.replace(false) =>
            {
                set_timer(timer, Duration::ZERO)?;
                self.wait_whole_millis(timeout, buffer)
            }
            _ => self.wait_whole_millis(timeout, buffer),
        }
    }

    /// Takes out what only ended the wait: the wake, the timer, or a notification of `polling`'s own.
    #[cold]
    fn take_out_own(&self, events: &mut Vec<ReadyEvent>) {
        if events.iter().any(|event| event.key == TIMER_KEY) {
            self.timer_is_set.set(false);
        }
        events.retain(|event| event.key < TIMER_KEY);
    }

    /// `epoll_wait`, which counts in milliseconds.
    #[inline]
    fn wait_whole_millis(&self, timeout: Option<Duration>, buffer: &mut Events) -> Count {
        let timeout = timeout.map(timespec);
        epoll::wait(&self.poller, &mut buffer[..], timeout.as_ref())
    }

    /// `epoll_pwait2`, which counts in nanoseconds. Called directly: rustix calls it only where the
    /// whole program is built for Linux 5.11, and then no longer knows the older call.
    #[allow(unsafe_code)]
    fn pwait2(&self, timeout: Duration, buffer: &mut Events) -> Count {
        const { assert!(size_of::<Timespec>() == 16, "the kernel's has two fields of 64 bits") };
        let timeout = timespec(timeout);
        // SAFETY: the kernel writes at most `EVENTS` events, in the layout that rustix's `Event`
        // has for this very purpose; it reads one timespec of 64-bit fields, which is rustix's too;
        // no signal mask is given. All pointers outlive the call.
        let count = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.poller.as_fd().as_raw_fd(),
                buffer.as_mut_ptr(),
                EVENTS as libc::c_int,
                &raw const timeout,
                std::ptr::null::<libc::sigset_t>(),
                0usize,
            )
        };
        usize::try_from(count).map_err(|_| {
            let error = io::Error::last_os_error();
            Errno::from_io_error(&error).unwrap_or(Errno::IO)
        })
    }
}

type Events = [epoll::Event; EVENTS];
/// How many of them there are.
type Count = Result<usize, Errno>;

impl Driver for EpollDriver {
    fn add(
        &self,
        descriptor: BorrowedFd<'_>,
        key: usize,
        interest: Interest,
        trigger: Trigger,
    ) -> io::Result<()> {
        match trigger {
            Trigger::Level => {
                add(&self.poller, descriptor, polling_event(key, interest), PollMode::Level)
            }
            Trigger::Edge => {
                let (data, flags) = by_edges(key, interest);
                Ok(epoll::add(&self.poller, descriptor, data, flags)?)
            }
        }
    }

    fn modify(
        &self,
        descriptor: BorrowedFd<'_>,
        key: usize,
        interest: Interest,
        trigger: Trigger,
    ) -> io::Result<()> {
        match trigger {
            Trigger::Level => {
                let event = polling_event(key, interest);
                self.poller.modify_with_mode(descriptor, event, PollMode::Level)
            }
            Trigger::Edge => {
                let (data, flags) = by_edges(key, interest);
                Ok(epoll::modify(&self.poller, descriptor, data, flags)?)
            }
        }
    }

    fn delete(&self, descriptor: BorrowedFd<'_>) -> io::Result<()> {
        self.poller.delete(descriptor)
    }

    fn wait(&self, timeout: Option<Duration>, events: &mut Vec<ReadyEvent>) -> io::Result<()> {
        let mut buffer = self.buffer.borrow_mut();
        let count = match self.wait_into(timeout, &mut buffer) {
            Ok(count) => count,
            Err(Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let mut greatest_key = 0;
        events.extend(buffer[..count].iter().map(|event| {
            let (key, flags) = (event.data.u64() as usize, event.flags);
            greatest_key = greatest_key.max(key);
            ReadyEvent {
                key,
                readable: flags.intersects(READABLE),
                writable: flags.intersects(WRITABLE),
                special: flags.intersects(SPECIAL),
            }
        }));
        if greatest_key >= TIMER_KEY {
            self.take_out_own(events);
        }
        Ok(())
    }

    fn wake(&self) -> Arc<dyn Wake> {
        self.wake.clone()
    }

    fn poll_descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.poller.as_fd())
    }

    fn name(&self) -> &'static str {
        match self.precise {
            PreciseWait::Pwait2 => "epoll",
            PreciseWait::Timerfd(_) => "epoll with a timerfd",
        }
    }
}

/// What is watched level-triggered the system looks at once more in the wait after each event, to see whether it
/// is ready still. By edges that is spared; but then a peer's end that came behind data has to be told with
/// them, which `polling` does not ask for. So these are registered with epoll itself.
fn by_edges(key: usize, interest: Interest) -> (epoll::EventData, epoll::EventFlags) {
    let mut flags = epoll::EventFlags::ET;
    if interest.readable {
        flags |= epoll::EventFlags::IN | epoll::EventFlags::PRI | epoll::EventFlags::RDHUP;
    }
    if interest.writable {
        flags |= epoll::EventFlags::OUT;
    }
    (epoll::EventData::new_u64(key as u64), flags)
}

// An error or a hang-up makes a descriptor ready in every direction (L-44).
const READABLE: epoll::EventFlags = epoll::EventFlags::IN.union(SPECIAL);
const WRITABLE: epoll::EventFlags =
    epoll::EventFlags::OUT.union(epoll::EventFlags::HUP).union(epoll::EventFlags::ERR);

const SPECIAL: epoll::EventFlags = epoll::EventFlags::RDHUP
    .union(epoll::EventFlags::PRI)
    .union(epoll::EventFlags::HUP)
    .union(epoll::EventFlags::ERR);

impl Wake for EventFd {
    /// Async-signal-safe: system calls only, made without libc and so without `errno`.
    fn wake(&self) {
        let one = 1u64.to_ne_bytes();
        if rustix::io::write(&self.0, &one) == Err(Errno::AGAIN) {
            // Full after 2⁶⁴ wake-ups: empty it, and make a fresh edge.
            let _ = rustix::io::read(&self.0, &mut [0; 8]);
            let _ = rustix::io::write(&self.0, &one);
        }
    }
}

/// Registers a descriptor of the driver's own, edge-triggered.
fn add_edge(poller: &Poller, descriptor: BorrowedFd<'_>, key: usize) -> io::Result<()> {
    add(poller, descriptor, polling::Event::readable(key), PollMode::Edge)
}

/// Makes the timer expire once, in so long; zero calls it off.
fn set_timer(timer: &OwnedFd, time: Duration) -> Result<(), Errno> {
    let once = Itimerspec { it_interval: timespec(Duration::ZERO), it_value: timespec(time) };
    timerfd_settime(timer, TimerfdTimerFlags::empty(), &once)?;
    Ok(())
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos() as _, // which has 32 bits on some systems
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::time::timerfd_gettime;

    #[test]
    fn r3_the_timer_of_a_wait_that_ended_otherwise_is_called_off() {
        let driver = EpollDriver::new().unwrap().unwrap().with_timerfd().unwrap();
        let wait_and_look = |timeout| {
            driver.wake.wake(); // so that no wait lasts
            driver.wait(timeout, &mut Vec::new()).unwrap();
            let PreciseWait::Timerfd(timer) = &driver.precise else { unreachable!() };
            timerfd_gettime(timer).unwrap().it_value != timespec(Duration::ZERO)
        };
        let fraction = Some(Duration::from_micros(3_600_000_500));
        assert!(wait_and_look(fraction));
        assert!(wait_and_look(Some(Duration::ZERO)), "only looking is no reason for a call");
        assert!(!wait_and_look(None));
        assert!(wait_and_look(fraction));
        assert!(!wait_and_look(Some(Duration::from_secs(3600))));
    }
}
