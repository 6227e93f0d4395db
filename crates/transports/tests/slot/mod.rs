//! [`Slot`], for what closures find out.

use std::cell::RefCell;
use std::rc::Rc;

/// A place for one value that a closure fills in.
pub(crate) struct Slot<T>(Rc<RefCell<T>>);

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Default> Slot<T> {
    pub(crate) fn new() -> Self {
        Self(Rc::default())
    }

    pub(crate) fn set(&self, value: T) {
        let before = self.0.replace(value);
        drop(before);
    }

    pub(crate) fn take(&self) -> T {
        self.0.take()
    }

    pub(crate) fn update(&self, change: impl FnOnce(&mut T)) {
        change(&mut self.0.borrow_mut());
    }
}

impl<T: Clone> Slot<T> {
    pub(crate) fn get(&self) -> T {
        self.0.borrow().clone()
    }
}
