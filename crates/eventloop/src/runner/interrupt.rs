//! SIGINT while a coroutine is run as the main one (T-85).

use crate::signals::{CountedArrivals, takes_default_action};
use crate::{AbstractEventLoop, AbstractEventLoopExt};
use futures::TaskRef;
use signal_hook::consts::SIGINT;
use std::cell::Cell;
use std::rc::Rc;

/// So many that no loop has come to do what the signal does by default: the loop is stuck.
const UNSEEN_AT_MOST: u32 = 2;

/// The first SIGINT cancels the main task, the second aborts it; until this is ended or dropped.
pub(super) struct SigintWatch {
    event_loop: Rc<dyn AbstractEventLoop>,
    /// How many have come.
    seen: Rc<Cell<u32>>,
}

impl SigintWatch {
    /// Begins to watch; `None` if that is not ours to do: on another thread than the main one, or if
    /// the program does something with SIGINT itself.
    pub(super) fn begin(event_loop: &Rc<dyn AbstractEventLoop>, main: TaskRef) -> Option<Self> {
        if !is_main_thread() || !takes_default_action(SIGINT) {
            return None;
        }
        let seen = Rc::new(Cell::new(0));
        // Owned by the handler: if the program puts its own into its place, nobody counts any more.
        let unseen = CountedArrivals::new(SIGINT, UNSEEN_AT_MOST).ok()?;
        let counter = seen.clone();
        let handler = move || {
            let before = counter.get();
            // At least one: that one which this is called for.
            let now = before + unseen.take().max(1);
            counter.set(now);
            if before == 0 {
                main.cancel_with("interrupted by SIGINT");
            }
            if now > 1 {
                main.abort();
            }
        };
        // A loop that handles no signals is run without.
        event_loop.add_signal_handler(SIGINT, handler).ok()?;
        Some(Self { event_loop: event_loop.clone(), seen })
    }

    /// Ends the watch, and says how many signals came.
    pub(super) fn end(self) -> u32 {
        self.seen.get()
    }
}

impl Drop for SigintWatch {
    fn drop(&mut self) {
        // The handler holds the other reference, unless the program has put its own into its place.
        if Rc::strong_count(&self.seen) > 1 {
            self.event_loop.remove_signal_handler(SIGINT);
        }
    }
}

/// Whether this thread is the one that the process began with.
fn is_main_thread() -> bool {
    if cfg!(target_os = "linux") {
        rustix::thread::gettid() == rustix::process::getpid()
    } else {
        std::thread::current().name() == Some("main")
    }
}
