//! Futures with callbacks, and coroutines.

use crate::{Loop, N, report, run_until};
use std::cell::Cell;
use std::hint::black_box;
use std::rc::Rc;
use tulipa::prelude::*;
use tulipa::yield_now;
use tulipa_bench::Stopwatch;

pub(crate) fn futures(event_loop: &Loop) -> Result<(), Exception> {
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
pub(crate) fn coroutines(event_loop: &Loop) -> Result<(), Exception> {
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
