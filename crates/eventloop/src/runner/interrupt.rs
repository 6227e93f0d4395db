//! SIGINT while a coroutine is run as the main one, and while what it left is shut down (T-85).

use crate::signals::{CountedArrivals, takes_default_action};
use crate::{AbstractEventLoop, AbstractEventLoopExt};
use signal_hook::consts::SIGINT;
use std::cell::Cell;
use std::rc::Rc;

/// So many that no loop has come to do what the signal does by default: the loop is stuck.
const UNSEEN_AT_MOST: u32 = 2;

/// SIGINT is ours, until this is dropped.
pub(super) struct SigintWatch {
    event_loop: Rc<dyn AbstractEventLoop>,
    /// How many have come.
    seen: Rc<Cell<u32>>,
}

impl SigintWatch {
    /// Begins to watch: `react` is told, in the loop, how many have come so far. `None` if that is not
    /// ours to do: on another thread than the main one, or if the program does something with SIGINT
    /// itself.
    pub(super) fn begin(
        event_loop: &Rc<dyn AbstractEventLoop>,
        mut react: impl FnMut(u32) + 'static,
    ) -> Option<Self> {
        if !is_main_thread() || !takes_default_action(SIGINT) {
            return None;
        }
        let seen = Rc::new(Cell::new(0));
        // Owned by the handler: if the program puts its own into its place, nobody counts any more.
        let unseen = CountedArrivals::new(SIGINT, UNSEEN_AT_MOST).ok()?;
        let counter = seen.clone();
        let handler = move || {
            // At least one: that one which this is called for.
            counter.set(counter.get() + unseen.take().max(1));
            react(counter.get());
        };
        // A loop that handles no signals is run without.
        event_loop.add_signal_handler(SIGINT, handler).ok()?;
        Some(Self { event_loop: event_loop.clone(), seen })
    }

    /// How many have come.
    pub(super) fn count(&self) -> u32 {
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
