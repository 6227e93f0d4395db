//! [`LoopTimer`]: hyper's deadlines on the loop's clock.
//!
//! hyper wants timers and sleeps that any thread may hold; a loop's timers are its own thread's. So a
//! sleep has an [`Alarm`] that any thread may touch, and only the *name* of the loop's timer. On the
//! loop's thread, which is where hyper's connections live, the timer is armed, moved and cancelled
//! directly; from anywhere else that is posted to the loop.
//!
//! Invariant: a timer is armed for an alarm at most once, and an alarm that is over has none. Wakers are
//! cloned, woken and dropped outside of the lock.

use futures::{Callback, CallbackId, Scheduler, SchedulerId, ThreadsafeScheduler};
use hyper::rt::{Sleep, Timer};
use std::cell::RefCell;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// hyper's timer on a loop: give it to the builder of a connection for its time-outs to work.
///
/// It counts by the loop's clock, so that on a `TestLoop` they pass in no time. It may be sent to other
/// threads, where [`Timer::now`] is the system's time; what sleeps there is woken by the loop. When the
/// loop is closed, nothing wakes any more.
///
/// # Examples
/// ```
/// use eventloop::{TestLoop, prelude::*};
/// use hyper::rt::Timer;
/// use std::time::Duration;
/// use tulipa_transports::interop::LoopTimer;
/// let event_loop = TestLoop::new();
/// let timer = LoopTimer::new(&*event_loop.to_rc());
/// let before = event_loop.time();
/// event_loop.run_coroutine(async move { Ok(timer.sleep(Duration::from_secs(30)).await) })?;
/// assert_eq!(event_loop.time().saturating_duration_since(before), Duration::from_secs(30));
/// # Ok::<(), futures::Exception>(())
/// ```
#[derive(Clone)]
pub struct LoopTimer {
    home: Arc<Home>,
}

/// The loop, as seen from any thread.
struct Home {
    id: SchedulerId,
    threadsafe: Weak<dyn ThreadsafeScheduler>,
    /// The same moment on the loop's clock and on hyper's.
    origin: (futures::Instant, Instant),
}

impl LoopTimer {
    /// A timer of `scheduler`.
    pub fn new(scheduler: &dyn Scheduler) -> Self {
        Self { home: Home::of(scheduler) }
    }

    /// That of the loop that runs.
    ///
    /// # Panics
    /// If none runs here.
    #[track_caller]
    pub fn current() -> Self {
        Self::new(&*futures::current())
    }

    fn sleep_to(&self, deadline: Option<Instant>) -> Pin<Box<dyn Sleep>> {
        Box::pin(LoopSleep { home: self.home.clone(), deadline, alarm: Arc::default() })
    }
}

impl Timer for LoopTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_to(self.now().checked_add(duration))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.sleep_to(Some(deadline))
    }

    fn now(&self) -> Instant {
        match self.home.running() {
            Some(scheduler) => self.home.to_std(scheduler.time()),
            None => Instant::now(),
        }
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn Sleep>>, deadline: Instant) {
        let moved = match sleep.as_mut().downcast_mut_pin::<LoopSleep>() {
            Some(sleep) if Arc::ptr_eq(&sleep.home, &self.home) => {
                sleep.get_mut().move_to(deadline)
            }
            _ => false,
        };
        if !moved {
            *sleep = self.sleep_until(deadline);
        }
    }
}

thread_local! {
    /// Those of this thread's loops: all timers of a loop have to agree on what time it is.
    static HOMES: RefCell<Vec<Weak<Home>>> = const { RefCell::new(Vec::new()) };
}

impl Home {
    fn of(scheduler: &dyn Scheduler) -> Arc<Self> {
        let id = scheduler.id();
        let known = HOMES.with_borrow(|homes| {
            homes.iter().filter_map(Weak::upgrade).find(|known| known.id == id)
        });
        known.unwrap_or_else(|| {
            let threadsafe = Arc::downgrade(&scheduler.threadsafe());
            let origin = (scheduler.time(), Instant::now());
            let home = Arc::new(Self { id, threadsafe, origin });
            HOMES.with_borrow_mut(|homes| {
                homes.retain(|home| home.strong_count() > 0);
                homes.push(Arc::downgrade(&home));
            });
            home
        })
    }

    /// The loop, if it runs on this thread.
    fn running(&self) -> Option<Rc<dyn Scheduler>> {
        futures::try_current().filter(|scheduler| scheduler.id() == self.id)
    }

    /// Has `ask` ask the loop: at once if it runs here, else when it gets round to it.
    fn with_loop(&self, ask: impl FnOnce(&dyn Scheduler) + Send + 'static) {
        if let Some(scheduler) = self.running() {
            return ask(&*scheduler);
        }
        let Some(threadsafe) = self.threadsafe.upgrade() else { return };
        let posted = threadsafe.post(Box::new(move || {
            if let Some(scheduler) = futures::try_current() {
                ask(&*scheduler);
            }
        }));
        drop(posted); // refused by a closed loop, which has no timers any more
    }

    fn to_std(&self, time: futures::Instant) -> Instant {
        let (loop_origin, origin) = self.origin;
        // A loop's clock does not reach further than the system's.
        origin + time.saturating_duration_since(loop_origin)
    }

    /// The deadline on the loop's clock. What lies before the origin is over.
    fn to_loop(&self, deadline: Option<Instant>) -> futures::Instant {
        let (loop_origin, origin) = self.origin;
        match deadline {
            Some(deadline) => loop_origin + deadline.saturating_duration_since(origin),
            None => futures::Instant::NEVER,
        }
    }
}

/// One sleep. Dropping it cancels its timer.
struct LoopSleep {
    home: Arc<Home>,
    /// `None`: too far away to be counted.
    deadline: Option<Instant>,
    alarm: Arc<Alarm>,
}

impl LoopSleep {
    /// Moves the deadline, also of a sleep that is over; false if that takes a new one.
    fn move_to(&mut self, deadline: Instant) -> bool {
        let when = self.home.to_loop(Some(deadline));
        let stage = self.alarm.lock().stage;
        let moved = match stage {
            Stage::New => true,
            Stage::Armed(id) => {
                self.home.running().is_some_and(|scheduler| scheduler.reschedule(id, when))
            }
            Stage::Asked | Stage::Over => false,
        };
        if moved {
            self.deadline = Some(deadline);
        }
        moved
    }

    fn arm(&self) {
        let (alarm, when) = (self.alarm.clone(), self.home.to_loop(self.deadline));
        self.home.with_loop(move |scheduler| alarm.arm(scheduler, when));
    }
}

impl Future for LoopSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        match self.alarm.poll(context.waker()) {
            Polled::Over => Poll::Ready(()),
            Polled::Waits => Poll::Pending,
            Polled::ToBeArmed => {
                self.arm();
                Poll::Pending
            }
        }
    }
}

impl Sleep for LoopSleep {}

impl Drop for LoopSleep {
    fn drop(&mut self) {
        let (stage, waker) = self.alarm.end();
        drop(waker);
        if let Stage::Armed(id) = stage {
            self.home.with_loop(move |scheduler| {
                scheduler.cancel(id);
            });
        }
    }
}

/// What rings, and whom it wakes.
#[derive(Default)]
struct Alarm {
    state: Mutex<AlarmState>,
}

#[derive(Default)]
struct AlarmState {
    stage: Stage,
    waker: Option<Waker>,
}

#[derive(Clone, Copy, Default)]
enum Stage {
    #[default]
    New,
    /// The loop was asked to arm the timer.
    Asked,
    Armed(CallbackId),
    /// It rang, or nobody waits any more.
    Over,
}

enum Polled {
    ToBeArmed,
    Waits,
    Over,
}

impl Alarm {
    fn lock(&self) -> MutexGuard<'_, AlarmState> {
        // Nothing that can panic is done under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has `waker` woken when it rings.
    fn poll(&self, waker: &Waker) -> Polled {
        let known = {
            let state = self.lock();
            state.waker.as_ref().is_some_and(|known| known.will_wake(waker))
        };
        let fresh = (!known).then(|| waker.clone());
        let mut state = self.lock();
        let polled = match state.stage {
            Stage::New => Polled::ToBeArmed,
            Stage::Asked | Stage::Armed(_) => Polled::Waits,
            Stage::Over => Polled::Over,
        };
        if let Stage::New = state.stage {
            state.stage = Stage::Asked;
        }
        let old = match (fresh, &polled) {
            (Some(fresh), Polled::ToBeArmed | Polled::Waits) => state.waker.replace(fresh),
            (unused, _) => unused,
        };
        drop(state);
        drop(old);
        polled
    }

    /// Arms the timer, on the loop's thread, unless nobody waits any more.
    fn arm(self: Arc<Self>, scheduler: &dyn Scheduler, when: futures::Instant) {
        if let Stage::Over = self.lock().stage {
            return;
        }
        let alarm = self.clone();
        let Ok(timer) = scheduler.schedule_at(when, Callback::new(move || alarm.ring())) else {
            return; // the loop is closed
        };
        let Some(id) = timer.id() else { return };
        let mut state = self.lock();
        let given_up = matches!(state.stage, Stage::Over);
        if !given_up {
            state.stage = Stage::Armed(id);
        }
        drop(state);
        if given_up {
            timer.cancel();
        }
    }

    fn ring(&self) {
        let (_, waker) = self.end();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// It is over now: what it was before, and who waited.
    fn end(&self) -> (Stage, Option<Waker>) {
        let mut state = self.lock();
        (std::mem::replace(&mut state.stage, Stage::Over), state.waker.take())
    }
}

impl fmt::Debug for LoopTimer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LoopTimer(loop {})", self.home.id)
    }
}
