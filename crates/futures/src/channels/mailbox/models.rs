//! Every interleaving of the small cases, by loom: who waits is called, and no item is lost or doubled.
//!
//! A call that is lost leaves the receiver waiting for ever, which loom reports.

use super::{Hung, Receiver, TrySendError, bounded, unbounded};
use crate::{PostedClosure, SchedulerId, ThreadsafeScheduler};
use loom::sync::{Condvar, Mutex};
use loom::thread;
use std::num::NonZeroUsize;
use std::sync::Arc;

/// A loop reduced to what rings in it.
struct Porch {
    state: Mutex<Rung>,
    changed: Condvar,
    id: SchedulerId,
}

#[derive(Default)]
struct Rung {
    times: usize,
    closed: bool,
}

impl Porch {
    fn new() -> Arc<Self> {
        let (state, changed) = (Mutex::default(), Condvar::new());
        Arc::new(Self { state, changed, id: SchedulerId::unique() })
    }

    fn wait(&self) {
        let mut state = self.state.lock().unwrap();
        while state.times == 0 {
            state = self.changed.wait(state).unwrap();
        }
        state.times -= 1;
    }

    fn close(&self) {
        self.state.lock().unwrap().closed = true;
    }
}

impl ThreadsafeScheduler for Porch {
    fn post(self: Arc<Self>, closure: PostedClosure) -> Result<(), PostedClosure> {
        let mut state = self.state.lock().unwrap();
        if state.closed {
            return Err(closure);
        }
        state.times += 1;
        assert!(state.times <= 1, "who waits once is called once");
        self.changed.notify_one();
        Ok(())
    }

    fn id(&self) -> SchedulerId {
        self.id
    }
}

fn explore(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(3);
    builder.check(model);
}

/// Receives as `recv` does, until all senders are gone.
fn receive_all(receiver: &mut Receiver<u32>, porch: &Arc<Porch>) -> Vec<u32> {
    let mut received = Vec::new();
    loop {
        if let Some(item) = receiver.try_recv() {
            received.push(item);
            continue;
        }
        match receiver.hang_up_bell(porch.clone()) {
            Hung::Waits(_takes_it_down) => porch.wait(),
            Hung::SomethingCame => {}
            Hung::NothingWillCome => return received,
        }
    }
}

#[test]
fn loom_two_senders_and_a_receiver_that_waits() {
    explore(|| {
        let (sender, mut receiver) = unbounded();
        let other = sender.clone();
        let threads = [
            thread::spawn(move || (1..=2).for_each(|item| sender.send(item).unwrap())),
            thread::spawn(move || other.send(10).unwrap()),
        ];
        let received = receive_all(&mut receiver, &Porch::new());
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let own: Vec<_> = received.iter().copied().filter(|item| *item < 10).collect();
        assert_eq!((own, received.len()), (vec![1, 2], 3));
    });
}

#[test]
fn loom_a_bounded_mailbox_and_a_receiver_that_waits() {
    explore(|| {
        let (sender, mut receiver) = bounded(NonZeroUsize::MIN);
        let thread = thread::spawn(move || {
            (1..=2).filter(|item| sender.try_send(*item).is_ok()).collect::<Vec<u32>>()
        });
        let received = receive_all(&mut receiver, &Porch::new());
        assert_eq!(received, thread.join().unwrap());
    });
}

#[test]
fn loom_a_send_while_the_loop_closes_and_the_receiver_goes() {
    explore(|| {
        let (sender, receiver) = unbounded();
        let porch = Porch::new();
        let value = Arc::new(());
        let item = value.clone();
        let thread = thread::spawn(move || sender.send(item).map_err(|refused| refused.0).err());
        let waits = receiver.hang_up_bell(porch.clone());
        porch.close();
        drop(waits);
        drop(receiver);
        let came_back = thread.join().unwrap().is_some();
        assert_eq!(Arc::strong_count(&value), 1, "{came_back}");
    });
}

#[test]
fn loom_a_send_that_finds_the_loop_closed_and_a_look() {
    explore(|| {
        let (sender, mut receiver) = bounded(NonZeroUsize::MIN);
        let porch = Porch::new();
        let waits = receiver.hang_up_bell(porch.clone());
        porch.close();
        std::mem::forget(waits); // as if the close came in the middle of everything
        let thread = thread::spawn(move || sender.try_send(7));
        let received = receiver.try_recv();
        match thread.join().unwrap() {
            Ok(()) => assert_eq!(received, Some(7)),
            Err(TrySendError::Closed(item)) => assert_eq!((received, item), (None, 7)),
            Err(TrySendError::Full(_)) => unreachable!("it was empty"),
        }
        assert!(receiver.is_empty());
    });
}
