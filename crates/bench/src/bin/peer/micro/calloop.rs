//! calloop: idle callbacks, timers and a channel. It has no tasks of its own that would be comparable.

use super::{N, POSTS, Part, TRIPS};
use calloop::channel::{Event, channel};
use calloop::timer::{TimeoutAction, Timer};
use calloop::{EventLoop, LoopHandle};
use std::sync::mpsc;
use std::time::Duration;
use tulipa::Exception;
use tulipa_bench::figure::Figures;
use tulipa_bench::process::pin_to_second;
use tulipa_bench::{Random, Stopwatch};

const FIGURES: Figures = Figures("calloop");

/// What a timer costs grows with their number (20 µs each at 20,000), so there are fewer of them.
const TIMERS: u64 = 20_000;

/// An idle callback that adds the next waits for a whole turn of the loop.
const TURNS: u64 = 100_000;

/// How many callbacks have run.
type Count = u64;

pub(super) fn measure(part: Part) -> Result<(), Exception> {
    let mut event_loop: EventLoop<'static, Count> = EventLoop::try_new()?;
    match part {
        Part::All => {
            scheduler(&mut event_loop)?;
            threads(&mut event_loop)
        }
        Part::Sched => scheduler(&mut event_loop),
        Part::Threads => threads(&mut event_loop),
        // There are no tasks, and how timers grow is known.
        Part::Growth => Ok(()),
    }
}

fn scheduler(event_loop: &mut EventLoop<'static, Count>) -> Result<(), Exception> {
    callbacks(event_loop)?;
    timers(event_loop)
}

/// Lets the loop turn until so many callbacks have run; it may sleep if `wait` says so.
fn run(
    event_loop: &mut EventLoop<'static, Count>,
    callbacks: Count,
    wait: Option<Duration>,
) -> Result<(), Exception> {
    let mut count = 0;
    while count < callbacks {
        event_loop.dispatch(wait, &mut count)?;
    }
    Ok(())
}

fn callbacks(event_loop: &mut EventLoop<'static, Count>) -> Result<(), Exception> {
    let handle = event_loop.handle();
    let watch = Stopwatch::start();
    chain(handle.clone(), TURNS);
    run(event_loop, TURNS, Some(Duration::ZERO))?;
    FIGURES.report("call_soon chain", TURNS, watch.cpu());

    for name in ["call_soon burst", "call_soon burst, warm"] {
        let watch = Stopwatch::start();
        for _ in 0..N {
            handle.insert_idle(|count| *count += 1);
        }
        run(event_loop, N, Some(Duration::ZERO))?;
        FIGURES.report(name, N, watch.cpu());
    }
    Ok(())
}

/// Each callback adds the next.
fn chain(handle: LoopHandle<'static, Count>, left: u64) {
    let next = handle.clone();
    handle.insert_idle(move |count| {
        *count += 1;
        if left > 1 {
            chain(next, left - 1);
        }
    });
}

fn timers(event_loop: &mut EventLoop<'static, Count>) -> Result<(), Exception> {
    let handle = event_loop.handle();
    let arm = |delay| {
        let timer = Timer::from_duration(delay);
        handle.insert_source(timer, |_, _, count| {
            *count += 1;
            TimeoutAction::Drop
        })
    };
    let mut random = Random::new();
    let watch = Stopwatch::start();
    for _ in 0..TIMERS {
        arm(random.delay()).map_err(|error| error.error)?;
    }
    run(event_loop, TIMERS, None)?;
    FIGURES.report("timers arm+fire, CPU", TIMERS, watch.cpu());

    let mut random = Random::new();
    let mut armed = Vec::with_capacity(TIMERS as usize);
    let watch = Stopwatch::start();
    for _ in 0..TIMERS {
        let delay = Duration::from_secs(10) + random.delay();
        armed.push(arm(delay).map_err(|error| error.error)?);
    }
    FIGURES.report("timers arm (then cancelled)", TIMERS, watch.cpu());
    let watch = Stopwatch::start();
    for timer in armed {
        handle.remove(timer);
    }
    FIGURES.report("timers cancel", TIMERS, watch.cpu());
    Ok(())
}

/// Another thread posts as fast as it can; then it posts one thing, waits for the answer, and posts the next.
fn threads(event_loop: &mut EventLoop<'static, Count>) -> Result<(), Exception> {
    let (post, posted) = channel::<u64>();
    let count_posts = |event: Event<u64>, _: &mut (), count: &mut Count| {
        if let Event::Msg(_) = event {
            *count += 1;
        }
    };
    event_loop.handle().insert_source(posted, count_posts).map_err(|error| error.error)?;
    let watch = Stopwatch::start();
    let poster = std::thread::spawn(move || {
        pin_to_second();
        assert!((0..POSTS).all(|number| post.send(number).is_ok()), "somebody takes them");
    });
    run(event_loop, POSTS, None)?;
    FIGURES.report("threadsafe throughput", POSTS, watch.wall());
    poster.join().expect("the poster does not panic");

    let (post, posted) = channel::<u64>();
    let (answer, answers) = mpsc::channel();
    let answer_posts = move |event: Event<u64>, _: &mut (), count: &mut Count| {
        if let Event::Msg(trip) = event {
            *count += 1;
            // Nobody waits if the poster has panicked.
            let _ = answer.send(trip);
        }
    };
    event_loop.handle().insert_source(posted, answer_posts).map_err(|error| error.error)?;
    let watch = Stopwatch::start();
    let poster = std::thread::spawn(move || {
        pin_to_second();
        for trip in 0..TRIPS {
            assert!(post.send(trip).is_ok(), "somebody takes it");
            answers.recv().expect("every post is answered");
        }
    });
    run(event_loop, TRIPS, None)?;
    FIGURES.report("threadsafe round trip", TRIPS, watch.wall());
    poster.join().expect("the poster does not panic");
    Ok(())
}
