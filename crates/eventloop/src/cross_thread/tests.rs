//! The promises to other threads, one by one, on real threads. `models.rs` has the interleavings.

mod call;
mod inbox;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use super::inbox::{Inbox, News};
use super::{Calls, ThreadsafeHandle, Wake};

/// Where a test's loop sleeps: a wake-up before the wait ends the wait, as with an eventfd.
#[derive(Default)]
struct Bed {
    wakes: AtomicUsize,
    woken: Mutex<bool>,
    changed: Condvar,
}

impl Bed {
    fn wait(&self) {
        let mut woken = self.woken.lock().unwrap();
        while !*woken {
            woken = self.changed.wait(woken).unwrap();
        }
        *woken = false;
    }

    fn wakes(&self) -> usize {
        self.wakes.load(Ordering::Relaxed)
    }
}

impl Wake for Bed {
    fn wake(&self) {
        self.wakes.fetch_add(1, Ordering::Relaxed);
        *self.woken.lock().unwrap() = true;
        self.changed.notify_one();
    }
}

fn inbox<T>() -> (Arc<Inbox<T>>, Arc<Bed>) {
    let bed = Arc::new(Bed::default());
    (Arc::new(Inbox::new(Arc::clone(&bed) as Arc<dyn Wake>)), bed)
}

/// A loop reduced to what other threads see of it, on the calling thread.
struct BareLoop {
    calls: Arc<Calls>,
    bed: Arc<Bed>,
}

impl BareLoop {
    fn new() -> (Self, ThreadsafeHandle) {
        let bed = Arc::new(Bed::default());
        let calls = Arc::new(Calls::new(Arc::clone(&bed) as Arc<dyn Wake>));
        let handle = ThreadsafeHandle::new(Arc::clone(&calls));
        (Self { calls, bed }, handle)
    }

    /// One turn.
    fn run_next(&self) {
        if let Some(call) = self.calls.begin_next() {
            call.run();
        }
    }

    /// One batch, without waiting; how many calls it had, the cancelled ones included.
    fn run_ready(&self) -> usize {
        let (count, _) = self.calls.collect();
        (0..count).for_each(|_| self.run_next());
        count
    }

    /// Runs what comes until somebody asks for a stop.
    fn run_forever(&self) {
        let inbox = self.calls.inbox();
        inbox.woke_up();
        loop {
            let (count, news) = self.calls.collect();
            (0..count).for_each(|_| self.run_next());
            if news.stop {
                return inbox.leave();
            }
            if inbox.prepare_to_sleep() {
                self.bed.wait();
                inbox.woke_up();
            }
        }
    }

    fn close(&self) {
        self.calls.close().for_each(drop);
    }
}
