//! The promises to other threads, one by one, on real threads. `models.rs` has the interleavings.

mod call;
mod inbox;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use super::{Delivery, Inbox, ThreadsafeHandle, Wake};

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

/// A loop reduced to its inbox, on the calling thread.
struct OnlyAnInbox {
    inbox: Arc<Inbox<Delivery>>,
    bed: Arc<Bed>,
    batch: Vec<Delivery>,
}

impl OnlyAnInbox {
    fn new() -> (Self, ThreadsafeHandle) {
        let (inbox, bed) = inbox();
        let handle = ThreadsafeHandle::new(Arc::clone(&inbox));
        (Self { inbox, bed, batch: Vec::new() }, handle)
    }

    /// One batch, without waiting; how many calls it had, the cancelled ones included.
    fn run_ready(&mut self) -> usize {
        self.inbox.drain_into(&mut self.batch);
        let count = self.batch.len();
        self.batch.drain(..).for_each(Delivery::run);
        count
    }

    /// Runs what comes until somebody asks for a stop; returns how often it slept.
    fn run_forever(&mut self) -> usize {
        let mut sleeps = 0;
        self.inbox.woke_up();
        loop {
            let news = self.inbox.drain_into(&mut self.batch);
            self.batch.drain(..).for_each(Delivery::run);
            if news.stop {
                self.inbox.leave();
                return sleeps;
            }
            if !self.inbox.has_news() && self.inbox.prepare_to_sleep() {
                sleeps += 1;
                self.bed.wait();
                self.inbox.woke_up();
            }
        }
    }

    fn close(self) {
        drop(self.inbox.close());
    }
}
