//! Small things that tests plant: traces, values that tell of their drop, wakers that count.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

/// What happened, in order. Clones write to the same list.
#[derive(Clone, Default)]
pub struct Trace(Rc<RefCell<Vec<String>>>);

impl Trace {
    /// An empty trace.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an entry.
    pub fn note(&self, entry: impl ToString) {
        self.0.borrow_mut().push(entry.to_string());
    }

    /// A callback that adds an entry.
    pub fn mark(&self, entry: impl ToString) -> impl FnOnce() + 'static {
        let (trace, entry) = (self.clone(), entry.to_string());
        move || trace.note(entry)
    }

    /// A done-callback that adds an entry.
    pub fn mark_done<T: 'static>(
        &self,
        entry: impl ToString,
    ) -> impl FnOnce(&futures::Future<T>) + 'static {
        let mark = self.mark(entry);
        move |_| mark()
    }

    /// The entries so far, which are taken out.
    pub fn take(&self) -> Vec<String> {
        self.0.take()
    }
}

/// Runs a closure when it is dropped.
pub struct OnDrop(Option<Box<dyn FnOnce()>>);

/// A value that runs `closure` when it is dropped.
pub fn on_drop(closure: impl FnOnce() + 'static) -> OnDrop {
    OnDrop(Some(Box::new(closure)))
}

impl Drop for OnDrop {
    fn drop(&mut self) {
        if let Some(closure) = self.0.take() {
            closure();
        }
    }
}

/// A waker that counts.
#[derive(Default)]
pub struct WakeCounter(AtomicUsize);

impl WakeCounter {
    /// A counter and a waker that counts with it.
    pub fn new() -> (Arc<Self>, Waker) {
        let counter = Arc::new(Self::default());
        (counter.clone(), Waker::from(counter))
    }

    /// How often it was woken.
    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for WakeCounter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

type Action = Box<dyn FnOnce()>;

thread_local! {
    /// What the local wakers of this thread do. Wakers must be `Send`, but these stay here.
    static ON_WAKE: RefCell<HashMap<usize, Action>> = RefCell::default();
}

/// A waker that does `action` when it is first woken. It must stay on this thread. If it is dropped
/// unwoken, so is the action.
pub fn local_waker(action: impl FnOnce() + 'static) -> Waker {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let key = NEXT.fetch_add(1, Ordering::Relaxed);
    ON_WAKE.with(|actions| actions.borrow_mut().insert(key, Box::new(action)));
    Waker::from(Arc::new(Local(key)))
}

struct Local(usize);

impl Local {
    fn take_action(&self) -> Option<Action> {
        ON_WAKE.with(|actions| actions.borrow_mut().remove(&self.0))
    }
}

impl Wake for Local {
    fn wake(self: Arc<Self>) {
        if let Some(action) = self.take_action() {
            action();
        }
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        let unused = self.take_action();
        drop(unused);
    }
}
