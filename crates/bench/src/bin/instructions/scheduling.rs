//! Callbacks, timers, futures and tasks.

use std::cell::Cell;
use std::hint::black_box;
use std::rc::Rc;
use std::time::Duration;
use tulipa::{AbstractEventLoop, TestClock, prelude::*, yield_now};
use tulipa_bench::Random;

const MINUTE: Duration = Duration::from_secs(60);
/// So many things are pending at once in the workloads that are about more than one.
const TOGETHER: u64 = 100;

type Outcome = Result<(), Exception>;

pub(crate) fn callback_chain(times: u64) -> Outcome {
    fn next(event_loop: Rc<dyn AbstractEventLoop>, left: u64) {
        let same = event_loop.clone();
        event_loop.call_soon(move || match left {
            0 => same.stop(),
            _ => next(same, left - 1),
        });
    }
    let event_loop = EventLoop::new()?;
    next(black_box(event_loop.handle().into()), times);
    Ok(event_loop.run_forever()?)
}

pub(crate) fn callback_burst(times: u64) -> Outcome {
    let event_loop = EventLoop::new()?;
    let ran = Rc::new(Cell::new(0));
    while ran.get() < times {
        for _ in 0..TOGETHER {
            let ran = ran.clone();
            event_loop.call_soon(move || ran.set(ran.get() + 1));
        }
        event_loop.run_ready()?;
    }
    Ok(())
}

pub(crate) fn callback_cancelled(times: u64) -> Outcome {
    let event_loop = EventLoop::new()?;
    for number in 0..times {
        event_loop.call_soon(|| {}).cancel();
        if number % TOGETHER == 0 {
            event_loop.run_ready()?;
        }
    }
    Ok(())
}

pub(crate) fn call_posted(times: u64) -> Outcome {
    let event_loop = EventLoop::new()?;
    let poster = event_loop.threadsafe_handle();
    for number in 0..times {
        poster.call_soon_threadsafe(|| {})?;
        if number % TOGETHER == 0 {
            event_loop.run_ready()?;
        }
    }
    Ok(())
}

pub(crate) fn timer_cancelled(times: u64) -> Outcome {
    let event_loop = EventLoop::new()?;
    for _ in 0..times {
        event_loop.call_later(MINUTE, || {}).cancel();
    }
    Ok(())
}

pub(crate) fn timer_fired(times: u64) -> Outcome {
    let event_loop = EventLoop::builder().clock(TestClock::new()).build()?;
    let (mut random, left) = (Random::new(), Rc::new(Cell::new(times)));
    for _ in 0..times {
        let (left, handle) = (left.clone(), event_loop.handle());
        event_loop.call_later(random.delay(), move || {
            left.set(left.get() - 1);
            if left.get() == 0 {
                handle.stop();
            }
        });
    }
    Ok(event_loop.run_forever()?)
}

pub(crate) fn timer_moved(times: u64) -> Outcome {
    let event_loop = EventLoop::new()?;
    let timer = event_loop.call_later(MINUTE, || {});
    for _ in 0..times {
        black_box(&timer).reschedule(event_loop.time() + MINUTE);
    }
    Ok(())
}

pub(crate) fn future_callback(times: u64) -> Outcome {
    let event_loop = EventLoop::new()?;
    let sum = Rc::new(Cell::new(0));
    for number in 0..times {
        let (sum, future) = (sum.clone(), event_loop.create_future::<u64>());
        future.add_done_callback(move |_| sum.set(sum.get() + 1));
        future.set_result(1)?;
        if number % TOGETHER == 0 {
            event_loop.run_ready()?;
        }
    }
    Ok(())
}

pub(crate) fn future_awaited(times: u64) -> Outcome {
    in_a_task(async move |event_loop: LoopHandle| {
        for _ in 0..times {
            let future = event_loop.create_future::<()>();
            let resolved = future.clone();
            event_loop.call_soon(move || resolved.set_result(()).expect("it is set once"));
            future.await?;
        }
        Ok(())
    })
}

pub(crate) fn task_spawned(times: u64) -> Outcome {
    in_a_task(async move |event_loop: LoopHandle| {
        for _ in 0..times {
            event_loop.spawn(async {}).await?;
        }
        Ok(())
    })
}

pub(crate) fn task_yield(times: u64) -> Outcome {
    in_a_task(async move |_| {
        for _ in 0..times {
            yield_now().await?;
        }
        Ok(())
    })
}

fn in_a_task(coroutine: impl AsyncFnOnce(LoopHandle) -> Outcome + 'static) -> Outcome {
    let event_loop = EventLoop::new()?;
    let handle = event_loop.handle();
    let task = event_loop.create_task(async move { coroutine(handle).await });
    event_loop.run_until_complete(task.as_future())
}
