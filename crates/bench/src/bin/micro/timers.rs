//! Timers: armed and fired in real time, armed and called off, and moved.

use crate::{Loop, N, report};
use std::cell::Cell;
use std::hint::black_box;
use std::rc::Rc;
use std::time::Duration;
use tulipa::prelude::*;
use tulipa::testing::RecordingTransport;
use tulipa::{IdleTimeout, TimerHandle};
use tulipa_bench::{Random, Stopwatch};

pub(crate) fn measure(event_loop: &Loop) -> Result<(), Exception> {
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
