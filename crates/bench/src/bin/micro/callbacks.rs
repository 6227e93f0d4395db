//! Callbacks: one after the other, many at once, and called off.

use crate::{Loop, N, report, run_until};
use std::cell::Cell;
use std::rc::Rc;
use tulipa::Future;
use tulipa::prelude::*;
use tulipa_bench::Stopwatch;

pub(crate) fn measure(event_loop: &Loop) -> Result<(), Exception> {
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
        run_until(event_loop, || count.get() == N)?;
        report(name, N, watch.cpu());
    }

    let watch = Stopwatch::start();
    for _ in 0..N {
        event_loop.call_soon(|| {}).cancel();
    }
    report("call_soon, then cancelled", N, watch.cpu());
    run_until(event_loop, || true)
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
