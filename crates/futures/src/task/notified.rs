//! [`Notified`]: that a task's loop was told, so that it is told once for many wakes.

#[cfg(loom)]
use loom::sync::atomic::{AtomicBool, Ordering};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether word is on its way to the loop.
///
/// What a waking thread did before its [`notify`](Self::notify) is seen by the step that follows the
/// [`taken`](Self::taken) of the word that was on its way: nothing that happened before a wake is
/// missed by the poll after it.
pub(crate) struct Notified(AtomicBool);

impl Default for Notified {
    fn default() -> Self {
        Self(AtomicBool::new(false))
    }
}

impl Notified {
    /// A wake: true if the caller has to send the word.
    pub(crate) fn notify(&self) -> bool {
        // Release: the step sees what came before. An exchange also when it is set already, for a
        // look alone could be answered from before the loop took the word.
        !self.0.swap(true, Ordering::AcqRel)
    }

    /// The loop has the word, and will look: later wakes must send a new one.
    pub(crate) fn taken(&self) {
        self.0.swap(false, Ordering::AcqRel);
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use loom::sync::Arc;
    use loom::sync::atomic::AtomicUsize;
    use loom::sync::{Condvar, Mutex};

    /// Two threads each finish a piece of work and wake; the loop looks each time it gets word.
    #[test]
    fn loom_no_wake_is_lost_and_none_is_sent_twice() {
        loom::model(|| {
            let notified = Arc::new(Notified::default());
            let work = Arc::new(AtomicUsize::new(0));
            let words = Arc::new((Mutex::new((0, 0)), Condvar::new()));
            let wakers: Vec<_> = (0..2)
                .map(|_| {
                    let (notified, work, words) = (notified.clone(), work.clone(), words.clone());
                    loom::thread::spawn(move || {
                        // Relaxed: only the notification carries it over.
                        work.fetch_add(1, Ordering::Relaxed);
                        if notified.notify() {
                            let mut counts = words.0.lock().unwrap();
                            counts.0 += 1;
                            counts.1 += 1;
                            assert!(counts.0 <= 1, "a second word while one is on its way");
                            words.1.notify_one();
                        }
                    })
                })
                .collect();
            loop {
                {
                    let mut counts = words.0.lock().unwrap();
                    while counts.0 == 0 {
                        counts = words.1.wait(counts).unwrap();
                    }
                    counts.0 -= 1;
                }
                notified.taken();
                if work.load(Ordering::Relaxed) == 2 {
                    break;
                }
            }
            for waker in wakers {
                waker.join().unwrap();
            }
            assert!(words.0.lock().unwrap().1 <= 2);
        });
    }
}
