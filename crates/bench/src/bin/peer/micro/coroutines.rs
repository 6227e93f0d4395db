//! The program for libraries whose users write coroutines: what a callback does with Tulipa, a task does here.

use super::{N, POSTS, Part, TRIPS, growth};
use std::cell::Cell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::mpsc;
use std::task::Poll;
use std::time::Duration;
use tulipa::Exception;
use tulipa_bench::figure::Figures;
use tulipa_bench::process::pin_to_second;
use tulipa_bench::{Random, Stopwatch};

/// What the program needs of a library.
pub(super) trait Library: Copy + 'static {
    const FIGURES: Figures;

    /// Starts a task and awaits what it gives.
    fn spawn<T: 'static>(self, task: impl Future<Output = T> + 'static) -> impl Future<Output = T>;

    /// Starts a task that nobody awaits.
    fn detach(self, task: impl Future<Output = ()> + 'static);

    fn sleep(self, delay: Duration) -> impl Future + 'static;

    /// The same, for who keeps it somewhere and is not a task.
    fn timer(self, delay: Duration) -> impl Future + Unpin + 'static;

    fn yield_now(self) -> impl Future + 'static;

    /// One value from one task to another.
    fn oneshot<T: 'static>(self) -> (impl FnOnce(T) + 'static, impl Future<Output = T> + 'static);

    /// Any number of values from another thread.
    fn posts<T: Send + 'static>(self) -> (impl Post<T>, impl AsyncFnMut() -> Option<T>);
}

/// Posts from another thread; says whether somebody is there to take it.
pub(super) trait Post<T>: Fn(T) -> bool + Send + 'static {}

impl<T, F: Fn(T) -> bool + Send + 'static> Post<T> for F {}

pub(super) async fn measure<L: Library>(library: L, part: Part) -> Result<(), Exception> {
    match part {
        Part::All => {
            scheduler(library).await;
            threads(library).await;
        }
        Part::Sched => scheduler(library).await,
        Part::Threads => threads(library).await,
        Part::Growth => growth::measure(library).await,
    }
    Ok(())
}

async fn scheduler<L: Library>(library: L) {
    callbacks(library).await;
    timers_fired(library).await;
    timers_cancelled(library).await;
    tasks(library).await;
}

async fn callbacks<L: Library>(library: L) {
    let (done, all_done) = library.oneshot();
    let watch = Stopwatch::start();
    chain(library, N, done);
    all_done.await;
    L::FIGURES.report("call_soon chain", N, watch.cpu());

    for name in ["call_soon burst", "call_soon burst, warm"] {
        let watch = Stopwatch::start();
        burst(library, N).await;
        L::FIGURES.report(name, N, watch.cpu());
    }
}

/// Each task starts the next.
fn chain<L: Library>(library: L, left: u64, done: impl FnOnce(()) + 'static) {
    library.detach(async move {
        match left {
            1 => done(()),
            _ => chain(library, left - 1, done),
        }
    });
}

/// Many tasks, started at once.
pub(super) async fn burst<L: Library>(library: L, count: u64) {
    let run = Rc::new(Cell::new(0));
    for _ in 0..count {
        let run = run.clone();
        library.detach(async move { run.set(run.get() + 1) });
    }
    while run.get() < count {
        library.yield_now().await;
    }
}

async fn timers_fired<L: Library>(library: L) {
    let watch = Stopwatch::start();
    sleepers(library, N).await;
    L::FIGURES.report("timers arm+fire, CPU", N, watch.cpu());
}

/// Tasks that sleep for less than a second, each for a random time, until the last has woken.
async fn sleepers<L: Library>(library: L, count: u64) {
    let mut random = Random::new();
    let (done, all_done) = library.oneshot();
    let left = Rc::new(Cell::new(count));
    let done = Rc::new(Cell::new(Some(done)));
    for _ in 0..count {
        let (left, done, delay) = (left.clone(), done.clone(), random.delay());
        library.detach(async move {
            library.sleep(delay).await;
            left.set(left.get() - 1);
            if left.get() == 0 {
                done.take().expect("there is one last")(());
            }
        });
    }
    all_done.await;
}

/// Timers by themselves, without a task for each.
async fn timers_cancelled<L: Library>(library: L) {
    let mut random = Random::new();
    let mut timers = Vec::with_capacity(N as usize);
    let watch = Stopwatch::start();
    for _ in 0..N {
        timers.push(armed(library, Duration::from_secs(10) + random.delay()).await);
    }
    L::FIGURES.report("timers arm (then cancelled)", N, watch.cpu());
    let watch = Stopwatch::start();
    drop(timers);
    L::FIGURES.report("timers cancel", N, watch.cpu());
}

/// A timer counts from the time at which somebody asks for it first.
pub(super) async fn armed<L: Library>(library: L, delay: Duration) -> impl Future {
    let mut timer = library.timer(delay);
    poll_fn(|context| {
        assert!(Pin::new(&mut timer).poll(context).is_pending(), "the delay is not over");
        Poll::Ready(())
    })
    .await;
    timer
}

async fn tasks<L: Library>(library: L) {
    let watch = Stopwatch::start();
    for _ in 0..N / 4 {
        let (resolve, future) = library.oneshot();
        let waiting = library.spawn(future);
        library.yield_now().await;
        resolve(1_u64);
        waiting.await;
    }
    L::FIGURES.report("future resolve + callback (task waits on it)", N / 4, watch.cpu());

    let watch = Stopwatch::start();
    for _ in 0..N / 2 {
        library.spawn(async {}).await;
    }
    L::FIGURES.report("task spawn + await", N / 2, watch.cpu());

    let watch = Stopwatch::start();
    let yields = async move {
        for _ in 0..N {
            library.yield_now().await;
        }
    };
    library.spawn(yields).await;
    L::FIGURES.report("task yield", N, watch.cpu());

    // One task awaits what others send, one after the other.
    let watch = Stopwatch::start();
    for _ in 0..N {
        let (resolve, future) = library.oneshot();
        library.detach(async move { resolve(()) });
        future.await;
    }
    L::FIGURES.report("future awaited in a row", N, watch.cpu());
}

/// Another thread posts as fast as it can; then it posts one thing, waits for the answer, and posts the next.
async fn threads<L: Library>(library: L) {
    let (post, mut posted) = library.posts::<u64>();
    let watch = Stopwatch::start();
    let poster = std::thread::spawn(move || {
        pin_to_second();
        assert!((0..POSTS).all(&post), "somebody takes them");
    });
    let mut taken = 0;
    while posted().await.is_some() {
        taken += 1;
    }
    L::FIGURES.report("threadsafe throughput", POSTS, watch.wall());
    assert_eq!(taken, POSTS);
    poster.join().expect("the poster does not panic");

    let (post, mut posted) = library.posts::<u64>();
    let (answer, answers) = mpsc::channel();
    let watch = Stopwatch::start();
    let poster = std::thread::spawn(move || {
        pin_to_second();
        for trip in 0..TRIPS {
            assert!(post(trip), "somebody takes it");
            answers.recv().expect("every post is answered");
        }
    });
    let mut posted = pin!(async {
        while let Some(trip) = posted().await {
            // Nobody waits if the poster has panicked.
            let _ = answer.send(trip);
        }
    });
    posted.as_mut().await;
    L::FIGURES.report("threadsafe round trip", TRIPS, watch.wall());
    poster.join().expect("the poster does not panic");
}
