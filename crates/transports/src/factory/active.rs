//! [`Active`]: the connectors and clients of a loop that are at work. The loop owns them, and lets them go
//! when it closes: a future that will never be done does not keep them.

use eventloop::{AbstractEventLoop, AbstractEventLoopExt};
use indexmap::IndexMap;
use std::cell::RefCell;
use std::rc::Rc;

/// Something that the loop keeps while it is at work.
pub(super) trait AtWork {
    /// The loop is closed: lets go of everything, and calls nothing (L-30).
    fn loop_closed(&self);
}

/// Those that are at work, by their address in memory.
#[derive(Default)]
struct Active {
    kept: RefCell<IndexMap<usize, Rc<dyn AtWork>>>,
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

/// Has the loop let it go.
pub(super) fn release<T: AtWork + 'static>(event_loop: &dyn AbstractEventLoop, kept: &Rc<T>) {
    let active = event_loop.local(Active::default);
    let released = active.kept.borrow_mut().swap_remove(&address(kept));
    drop(released);
}

fn address<T>(kept: &Rc<T>) -> usize {
    Rc::as_ptr(kept).addr()
}

impl Drop for Active {
    fn drop(&mut self) {
        for (_, kept) in self.kept.take() {
            kept.loop_closed();
        }
    }
}
