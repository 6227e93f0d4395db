//! [`Active`]: the connectors and clients of a loop. The loop owns those that are at work, knows those that
//! may work again, and has them let go of everything when it closes: neither a future that will never be
//! done keeps them, nor a factory that keeps its own connector.

use crate::Transport;
use crate::stream_transport::Opened;
use eventloop::{AbstractEventLoop, AbstractEventLoopExt};
use futures::Exception;
use indexmap::IndexMap;
use std::cell::RefCell;
use std::rc::{Rc, Weak};

/// Something that the loop keeps while it is at work.
pub(super) trait AtWork {
    /// The loop is closed: lets go of everything, and calls nothing (L-30).
    fn loop_closed(&self);
}

#[derive(Default)]
struct Active {
    /// Those that are at work, by their address in memory.
    kept: RefCell<IndexMap<usize, Rc<dyn AtWork>>>,
    resting: RefCell<Resting>,
}

/// Those that do nothing, and may begin again.
#[derive(Default)]
struct Resting {
    all: Vec<Weak<dyn AtWork>>,
    /// At how many those that are gone are swept out: so each costs the same however many there are.
    sweep_at: usize,
}

impl Resting {
    fn add(&mut self, one: Weak<dyn AtWork>) {
        self.all.push(one);
        if self.all.len() > self.sweep_at {
            self.all.sort_unstable_by_key(|one| one.as_ptr().addr());
            self.all.dedup_by(|one, other| one.ptr_eq(other));
            self.all.retain(|one| one.strong_count() > 0);
            self.sweep_at = 2 * self.all.len() + 16;
        }
    }
}

/// Has the loop keep it, once however often this is called.
pub(super) fn keep<T: AtWork + 'static>(event_loop: &dyn AbstractEventLoop, kept: &Rc<T>) {
    if event_loop.is_closed() {
        return; // nothing that it waits for will come
    }
    let active = event_loop.local(Active::default);
    let before = active.kept.borrow_mut().insert(address(kept), kept.clone());
    drop(before);
}

/// Has the loop let it go until it is kept again.
pub(super) fn rest<T: AtWork + 'static>(event_loop: &dyn AbstractEventLoop, kept: &Rc<T>) {
    let resting: Rc<dyn AtWork> = kept.clone();
    let active = event_loop.local(Active::default);
    active.resting.borrow_mut().add(Rc::downgrade(&resting));
    release(event_loop, kept);
}

/// Has the loop let it go for good.
pub(super) fn release<T: AtWork + 'static>(event_loop: &dyn AbstractEventLoop, kept: &Rc<T>) {
    let active = event_loop.local(Active::default);
    let released = active.kept.borrow_mut().swap_remove(&address(kept));
    drop(released);
}

/// What a connection's transport has become, if its protocol has encrypted it.
pub(super) fn newest(mut transport: Rc<dyn Transport>) -> Rc<dyn Transport> {
    while let Some(newer) = transport.upgraded() {
        transport = newer;
    }
    transport
}

/// How an attempt to connect ends.
pub(super) type Outcome = Result<Rc<dyn Transport>, Exception>;

/// Tells `core` how `attempt` has ended, unless it is gone by then.
pub(super) fn when_ended<T: 'static>(attempt: &Opened, core: &Rc<T>, ended: fn(&Rc<T>, Outcome)) {
    let core = Rc::downgrade(core);
    attempt.add_done_callback(move |attempt| {
        if let Some(core) = core.upgrade() {
            ended(&core, attempt.take());
        }
    });
}

fn address<T>(kept: &Rc<T>) -> usize {
    Rc::as_ptr(kept).addr()
}

impl Drop for Active {
    fn drop(&mut self) {
        for (_, kept) in self.kept.take() {
            kept.loop_closed();
        }
        for resting in self.resting.take().all {
            if let Some(resting) = resting.upgrade() {
                resting.loop_closed();
            }
        }
    }
}
