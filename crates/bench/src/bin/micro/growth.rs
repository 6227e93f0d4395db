//! What one more costs when many are there: callbacks, timers and tasks, from one to ten million.
//!
//! Each figure's name ends with how many are pending; the curve over it should be flat. Where few are pending, the same is
//! done again and again, so that a figure stands for a million operations or more. Timers run on a clock that
//! is set by hand: in real time they would mostly wait.

use crate::{FIGURES, N, erased, run_until};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use tulipa::prelude::*;
use tulipa::{Clock, yield_now};
use tulipa_bench::{Random, Stopwatch};

/// Done in one go beside what is pending: reading the CPU clock costs as much as a dozen operations.
const BLOCK: u64 = 1_000;

/// The time in which random delays end, and in how many steps it passes at most.
const SECOND: Duration = Duration::from_secs(1);
const STEPS: u64 = 1_000;

pub(crate) fn measure() -> Result<(), Exception> {
    for pending in powers_of_ten(10_000_000) {
        timers_beside(pending)?;
        timers_fired(pending)?;
    }
    for pending in powers_of_ten(1_000_000) {
        callbacks(pending)?;
        yields(pending)?;
        tasks_beside(pending)?;
    }
    Ok(())
}

fn powers_of_ten(most: u64) -> impl Iterator<Item = u64> {
    std::iter::successors(Some(1), |size| Some(size * 10)).take_while(move |size| *size <= most)
}

/// How often something with `pending` items is done to stand for a million operations.
fn repetitions(pending: u64) -> u64 {
    (N / pending).max(1)
}

/// Shows the time that it was set to, and never steps by itself.
#[derive(Clone, Default)]
struct HandClock(Rc<Cell<Instant>>);

impl HandClock {
    fn advance(&self, time: Duration) {
        self.0.set(self.0.get() + time);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Instant {
        self.0.get()
    }
}

/// Arms and calls off timers while `pending` others wait, due later than all of them or in their midst.
fn timers_beside(pending: u64) -> Result<(), Exception> {
    let owner = EventLoop::builder().clock(HandClock::default()).build()?;
    let event_loop = erased(&owner);
    let mut random = Random::new();
    for _ in 0..pending {
        event_loop.call_later(SECOND + random.delay(), || {});
    }
    let mut handles = Vec::with_capacity(BLOCK as usize);
    let (mut armed, mut cancelled) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..N / BLOCK {
        let watch = Stopwatch::start();
        for _ in 0..BLOCK {
            handles.push(event_loop.call_later(SECOND + random.delay(), || {}));
        }
        armed += watch.cpu();
        let watch = Stopwatch::start();
        for handle in &handles {
            handle.cancel();
        }
        cancelled += watch.cpu();
        handles.clear();
        // What was called off may be tidied away when the loop runs, so it runs as it would.
        event_loop.run_once(Some(Duration::ZERO))?;
    }
    FIGURES.report_at(pending, "timer armed", N, armed);
    FIGURES.report_at(pending, "timer cancelled", N, cancelled);
    Ok(())
}

/// Arms `pending` timers and lets them all fire, in memory that is warm.
fn timers_fired(pending: u64) -> Result<(), Exception> {
    let clock = HandClock::default();
    let owner = EventLoop::builder().clock(clock.clone()).build()?;
    let event_loop = erased(&owner);
    let mut random = Random::new();
    let fired = Rc::new(Cell::new(0));
    let steps = pending.min(STEPS);
    let mut round = || {
        for _ in 0..pending {
            let fired = fired.clone();
            event_loop.call_later(random.delay(), move || fired.set(fired.get() + 1));
        }
        for _ in 0..steps {
            clock.advance(SECOND / steps as u32);
            event_loop.run_once(Some(Duration::ZERO))?;
        }
        clock.advance(SECOND);
        run_until(&event_loop, || fired.replace(0) == pending)
    };
    timed(pending, "timer armed and fired", &mut round)
}

/// Queues `pending` callbacks and runs them.
fn callbacks(pending: u64) -> Result<(), Exception> {
    let owner = EventLoop::new()?;
    let event_loop = erased(&owner);
    let run = Rc::new(Cell::new(0));
    timed(pending, "callback queued and run", &mut || {
        for _ in 0..pending {
            let run = run.clone();
            event_loop.call_soon(move || run.set(run.get() + 1));
        }
        run_until(&event_loop, || run.replace(0) == pending)
    })
}

/// Lets `pending` tasks take turns.
fn yields(pending: u64) -> Result<(), Exception> {
    let owner = EventLoop::new()?;
    let event_loop = erased(&owner);
    let turns = repetitions(pending);
    for _ in 0..pending {
        event_loop.create_task(async move {
            for _ in 0..turns {
                yield_now().await?;
            }
            Ok(())
        });
    }
    // They begin, and the memory for their turns is there.
    event_loop.run_once(Some(Duration::ZERO))?;
    let watch = Stopwatch::start();
    run_until(&event_loop, || event_loop.stats().tasks == 0)?;
    FIGURES.report_at(pending, "task yields", pending * turns, watch.cpu());
    Ok(())
}

/// Spawns and awaits tasks while `pending` others wait.
fn tasks_beside(pending: u64) -> Result<(), Exception> {
    let owner = EventLoop::new()?;
    let event_loop = erased(&owner);
    let never = event_loop.create_future::<()>();
    for _ in 0..pending {
        let never = never.clone();
        event_loop.create_task(never);
    }
    event_loop.run_once(Some(Duration::ZERO))?;
    let scheduler = event_loop.clone();
    let main = event_loop.create_task(async move {
        let watch = Stopwatch::start();
        for _ in 0..N {
            scheduler.spawn(async {}).await?;
        }
        FIGURES.report_at(pending, "task spawned and awaited", N, watch.cpu());
        never.set_result(())?;
        Ok(())
    });
    event_loop.run_until_complete(main.as_future())?;
    main.take()
}

/// Does `round`, which handles `pending` items, as often as it takes, after a first time that is not counted.
fn timed(
    pending: u64,
    bench: &str,
    round: &mut dyn FnMut() -> Result<(), Exception>,
) -> Result<(), Exception> {
    round()?;
    let watch = Stopwatch::start();
    for _ in 0..repetitions(pending) {
        round()?;
    }
    FIGURES.report_at(pending, bench, pending * repetitions(pending), watch.cpu());
    Ok(())
}
