//! What one more costs when many are there, for libraries whose users write coroutines.

use super::N;
use super::coroutines::{Library, armed, burst};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use tulipa_bench::{Random, Stopwatch};

/// Done in one go beside what is pending: reading the CPU clock costs as much as a dozen operations.
const BLOCK: u64 = 1_000;

pub(super) async fn measure<L: Library>(library: L) {
    let sizes = std::iter::successors(Some(1), |size| Some(size * 10));
    for pending in sizes.take_while(|size| *size <= N) {
        timers_beside(library, pending).await;
        callbacks(library, pending).await;
        yields(library, pending).await;
        tasks_beside(library, pending).await;
    }
}

/// Arms and drops timers in the midst of `pending` others. Real time goes on meanwhile, so they are far away.
async fn timers_beside<L: Library>(library: L, pending: u64) {
    let mut random = Random::new();
    let mut delay = || Duration::from_secs(1000) + random.delay();
    let mut others = Vec::with_capacity(pending as usize);
    for _ in 0..pending {
        others.push(armed(library, delay()).await);
    }
    let mut timers = Vec::with_capacity(BLOCK as usize);
    let (mut arming, mut cancelling) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..N / BLOCK {
        let watch = Stopwatch::start();
        for _ in 0..BLOCK {
            timers.push(armed(library, delay()).await);
        }
        arming += watch.cpu();
        let watch = Stopwatch::start();
        timers.clear();
        cancelling += watch.cpu();
        library.yield_now().await;
    }
    L::FIGURES.report_at(pending, "timer armed", N, arming);
    L::FIGURES.report_at(pending, "timer cancelled", N, cancelling);
}

/// Starts `pending` tasks that only count, and waits for all.
async fn callbacks<L: Library>(library: L, pending: u64) {
    burst(library, pending).await;
    let watch = Stopwatch::start();
    for _ in 0..N / pending {
        burst(library, pending).await;
    }
    L::FIGURES.report_at(pending, "callback queued and run", N, watch.cpu());
}

/// Lets `pending` tasks take turns.
async fn yields<L: Library>(library: L, pending: u64) {
    let begun = Rc::new(Cell::new(0));
    let left = Rc::new(Cell::new(pending));
    let (done, all_done) = library.oneshot();
    let done = Rc::new(Cell::new(Some(done)));
    for _ in 0..pending {
        let (begun, left, done) = (begun.clone(), left.clone(), done.clone());
        library.detach(async move {
            begun.set(begun.get() + 1);
            for _ in 0..N / pending {
                library.yield_now().await;
            }
            left.set(left.get() - 1);
            if left.get() == 0 {
                done.take().expect("there is one last")(());
            }
        });
    }
    // That they begin is not counted.
    while begun.get() < pending {
        library.yield_now().await;
    }
    let watch = Stopwatch::start();
    all_done.await;
    L::FIGURES.report_at(pending, "task yields", N, watch.cpu());
}

/// Spawns and awaits tasks while `pending` others wait.
async fn tasks_beside<L: Library>(library: L, pending: u64) {
    let mut wake = Vec::with_capacity(pending as usize);
    for _ in 0..pending {
        let (resolve, future) = library.oneshot::<()>();
        library.detach(future);
        wake.push(resolve);
    }
    library.yield_now().await;
    let watch = Stopwatch::start();
    for _ in 0..N {
        library.spawn(async {}).await;
    }
    L::FIGURES.report_at(pending, "task spawned and awaited", N, watch.cpu());
    for resolve in wake {
        resolve(());
    }
    library.yield_now().await;
}
