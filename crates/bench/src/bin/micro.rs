//! What the scheduler costs: nanoseconds per callback, timer and future, measured as shipped: through
//! the trait object, with default features and statistics on. Prints a JSON line for each figure.
//!
//! `micro sched` runs the single-threaded half (CPU time), `micro threads` the other (wall time).

use std::cell::Cell;
use std::hint::black_box;
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;
use tulipa::prelude::*;
use tulipa::testing::RecordingTransport;
use tulipa::{AbstractEventLoop, Future, IdleTimeout, TimerHandle, yield_now};
use tulipa_bench::{Random, Stopwatch, pin, report};

const N: u64 = 1_000_000;

type Loop = Rc<dyn AbstractEventLoop>;

fn main() -> Result<(), Exception> {
    let part = std::env::args().nth(1);
    if part.as_deref() != Some("threads") {
        scheduler()?;
    }
    if part.as_deref() != Some("sched") {
        pin(0);
        threads()?;
    }
    Ok(())
}

/// The loop behind its interface, where the compiler cannot see which one it is.
fn erased(event_loop: &EventLoop) -> Loop {
    black_box(event_loop.handle().into())
}

fn scheduler() -> Result<(), Exception> {
    let owner = EventLoop::new()?;
    let event_loop = erased(&owner);

    let done = event_loop.create_future();
    let watch = Stopwatch::start();
    let chain = Chain { event_loop: event_loop.clone(), left: Cell::new(N), done: done.clone() };
    Rc::new(chain).next();
    event_loop.run_until_complete(&done)?;
    report("call_soon chain", N, watch.cpu());

    for name in ["call_soon burst", "call_soon burst, warm"] {
        let count = Rc::new(Cell::new(0));
        let watch = Stopwatch::start();
        for _ in 0..N {
            let count = count.clone();
            event_loop.call_soon(move || count.set(count.get() + 1));
        }
        run_until(&event_loop, || count.get() == N)?;
        report(name, N, watch.cpu());
    }

    let watch = Stopwatch::start();
    for _ in 0..N {
        event_loop.call_soon(|| {}).cancel();
    }
    report("call_soon, then cancelled", N, watch.cpu());
    run_until(&event_loop, || true)?;

    timers(&event_loop)?;
    futures(&event_loop)?;
    tasks(&event_loop)
}

/// Each callback schedules the next.
struct Chain {
    event_loop: Loop,
    left: Cell<u64>,
    done: Future<()>,
}

impl Chain {
    fn next(self: Rc<Self>) {
        let next = self.clone();
        self.event_loop.call_soon(move || {
            next.left.set(next.left.get() - 1);
            match next.left.get() {
                0 => next.done.set_result(()).expect("it is set once"),
                _ => next.next(),
            }
        });
    }
}

/// Runs iterations until `condition` holds.
fn run_until(event_loop: &Loop, condition: impl Fn() -> bool) -> Result<(), Exception> {
    loop {
        event_loop.run_once(Some(Duration::ZERO))?;
        if condition() {
            return Ok(());
        }
    }
}

fn timers(event_loop: &Loop) -> Result<(), Exception> {
    let mut random = Random::new();
    let left = Rc::new(Cell::new(N));
    let done = event_loop.create_future();
    let watch = Stopwatch::start();
    for _ in 0..N {
        let (left, done) = (left.clone(), done.clone());
        event_loop.call_later(random.delay(), move || {
            left.set(left.get() - 1);
            if left.get() == 0 {
                done.set_result(()).expect("it is set once");
            }
        });
    }
    event_loop.run_until_complete(&done)?;
    report("timers arm+fire, wall", N, watch.wall());
    report("timers arm+fire, CPU", N, watch.cpu());

    let mut random = Random::new();
    // The places are there before, so that what is measured is the loop's memory and not theirs.
    let mut handles: Vec<Option<TimerHandle>> = Vec::new();
    handles.resize_with(N as usize, || None);
    let count = Rc::new(Cell::new(0));
    let watch = Stopwatch::start();
    for place in &mut handles {
        let count = count.clone();
        let delay = Duration::from_secs(10) + random.delay();
        *place = Some(event_loop.call_later(delay, move || count.set(count.get() + 1)));
    }
    report("timers arm (then cancelled)", N, watch.cpu());
    let watch = Stopwatch::start();
    for handle in handles.iter().flatten() {
        handle.cancel();
    }
    report("timers cancel", N, watch.cpu());
    put_off(event_loop)
}

/// What a message costs whose sender has a limit of silence: an idle time-out, and a timer that is moved.
fn put_off(event_loop: &Loop) -> Result<(), Exception> {
    struct Nobody;
    impl Protocol for Nobody {
        fn data_received(&mut self, _: &dyn Transport, _: &[u8]) {}
    }
    const LIMIT: Duration = Duration::from_secs(60);
    let measured = event_loop.clone();
    let done = event_loop.create_future();
    let told = done.clone();
    event_loop.call_soon(move || {
        let timer = measured.call_later(LIMIT, || {});
        let watch = Stopwatch::start();
        for _ in 0..N {
            black_box(&timer).reschedule(measured.time() + LIMIT);
        }
        report("timer moved", N, watch.cpu());
        timer.cancel();

        let mut idle = IdleTimeout::default();
        idle.start(&RecordingTransport::new(), LIMIT, |_: &mut Nobody, _| {});
        let watch = Stopwatch::start();
        for _ in 0..N {
            black_box(&idle).reset_timeout();
        }
        report("idle time-out put off", N, watch.cpu());
        told.set_result(()).expect("it is set once");
    });
    event_loop.run_until_complete(&done)
}

fn futures(event_loop: &Loop) -> Result<(), Exception> {
    for name in ["future resolve + callback", "future resolve + callback, warm"] {
        let count = Rc::new(Cell::new(0));
        let watch = Stopwatch::start();
        for _ in 0..N {
            let count = count.clone();
            let future = event_loop.create_future::<u64>();
            future.add_done_callback(move |_| count.set(count.get() + 1));
            future.set_result(1)?;
        }
        run_until(event_loop, || count.get() == N)?;
        report(name, N, watch.cpu());
    }
    Ok(())
}

/// What coroutines cost, measured from inside of one.
fn tasks(event_loop: &Loop) -> Result<(), Exception> {
    let scheduler = event_loop.clone();
    let main = event_loop.create_task(async move {
        let watch = Stopwatch::start();
        for _ in 0..N / 4 {
            let future = scheduler.create_future::<u64>();
            let waiting = scheduler.create_task(future.clone());
            yield_now().await?;
            future.set_result(1)?;
            waiting.await?;
        }
        report("future resolve + callback (task waits on it)", N / 4, watch.cpu());

        let watch = Stopwatch::start();
        for _ in 0..N / 2 {
            scheduler.spawn(async {}).await?;
        }
        report("task spawn + await", N / 2, watch.cpu());

        let watch = Stopwatch::start();
        scheduler
            .create_task(async {
                for _ in 0..N {
                    yield_now().await?;
                }
                Ok(())
            })
            .await?;
        report("task yield", N, watch.cpu());

        let future = scheduler.create_future::<()>();
        future.set_result(())?;
        let watch = Stopwatch::start();
        for _ in 0..N {
            black_box(&future).clone().await?;
        }
        report("await ready", N, watch.cpu());

        // One task awaits futures that the other resolves, turn by turn.
        let watch = Stopwatch::start();
        for _ in 0..N {
            let future = scheduler.create_future::<()>();
            let resolved = future.clone();
            scheduler.call_soon(move || resolved.set_result(()).expect("it is set once"));
            future.await?;
        }
        report("future awaited in a row", N, watch.cpu());
        Ok(())
    });
    event_loop.run_until_complete(main.as_future())?;
    main.take()
}

fn threads() -> Result<(), Exception> {
    throughput()?;
    round_trip()
}

/// Another thread posts as fast as it can.
fn throughput() -> Result<(), Exception> {
    const POSTS: u64 = 300_000;
    let owner = EventLoop::new()?;
    let event_loop = erased(&owner);
    let (count_sender, counted) = mpsc::channel::<()>();
    let handle = event_loop.threadsafe_handle();
    let watch = Stopwatch::start();
    let poster = std::thread::spawn(move || {
        pin(1);
        let stop = handle.clone();
        for _ in 0..POSTS - 1 {
            handle.call_soon_threadsafe(|| {}).expect("the loop is open");
        }
        let last = handle.call_soon_threadsafe(move || {
            count_sender.send(()).expect("the receiver waits");
            stop.stop();
        });
        last.expect("the loop is open");
    });
    event_loop.run_forever()?;
    report("threadsafe throughput", POSTS, watch.wall());
    counted.recv()?;
    poster.join().expect("the poster does not panic");
    Ok(())
}

/// Another thread posts one call, waits for the answer, and posts the next.
fn round_trip() -> Result<(), Exception> {
    const TRIPS: u64 = 30_000;
    let owner = EventLoop::new()?;
    let event_loop = erased(&owner);
    let handle = event_loop.threadsafe_handle();
    let watch = Stopwatch::start();
    let poster = std::thread::spawn(move || {
        pin(1);
        let (answer, answers) = mpsc::channel::<()>();
        for _ in 0..TRIPS {
            let answer = answer.clone();
            let post = handle.call_soon_threadsafe(move || {
                // Nobody waits if the poster has panicked.
                let _ = answer.send(());
            });
            post.expect("the loop is open");
            answers.recv().expect("every call is answered");
        }
        handle.stop();
    });
    event_loop.run_forever()?;
    report("threadsafe round trip", TRIPS, watch.wall());
    poster.join().expect("the poster does not panic");
    Ok(())
}
