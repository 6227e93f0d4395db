//! [`Inner`]: what the handles of a queue share: the items, and who waits on either side.
//!
//! Invariant: where there are items and getters wait, some getter is *woken* and has not run yet; when
//! it runs, or leaves, it looks after the others. The same holds of room and putters. While one is
//! woken newcomers wait too, so that they do not overtake it.

use super::errors::{PutError, QueueEmpty, QueueShutDown, Reason};
use super::items::Items;
use crate::sync::waiters::{Grants, Home, Waiters};
use crate::{Exception, InvalidStateError};
use std::cell::{Cell, RefCell, RefMut};
use std::marker::PhantomData;
use std::rc::Rc;

pub(super) struct Inner<T: 'static> {
    pub(super) items: RefCell<Box<dyn Items<T>>>,
    /// How many `items` has; it can be asked while those are busy.
    pub(super) len: Cell<usize>,
    /// 0 if there is no limit.
    pub(super) maxsize: usize,
    pub(super) backlog: Cell<Option<usize>>,
    pub(super) unfinished: Cell<usize>,
    pub(super) shut_down: Cell<bool>,
    /// The items are to be thrown away, once the comparison that said so is over.
    discard: Cell<bool>,
    pub(super) home: Home,
    pub(super) getters: Side,
    pub(super) putters: Side,
    pub(super) joiners: Waiters,
}

/// Those who wait on one side of the queue.
#[derive(Default)]
pub(super) struct Side {
    pub(super) waiters: Waiters,
    /// How many were woken and have not run yet.
    pub(super) woken: Cell<usize>,
}

impl<T: 'static> Inner<T> {
    pub(super) fn new(maxsize: usize, items: Box<dyn Items<T>>) -> Self {
        Self {
            items: RefCell::new(items),
            len: Cell::new(0),
            maxsize,
            backlog: Cell::new(None),
            unfinished: Cell::new(0),
            shut_down: Cell::new(false),
            discard: Cell::new(false),
            home: Home::default(),
            getters: Side::default(),
            putters: Side::default(),
            joiners: Waiters::default(),
        }
    }

    /// The items, to change them; `None` from inside a comparison of items, which is user code.
    pub(super) fn open(&self) -> Option<Opened<'_, T>> {
        Some(Opened { items: self.items.try_borrow_mut().ok()?, len: &self.len })
    }

    pub(super) fn room(&self) -> usize {
        match self.maxsize {
            0 => usize::MAX,
            maxsize => maxsize - self.len.get(),
        }
    }

    /// Whether asking for an item has an answer now.
    pub(super) fn can_get(&self) -> bool {
        self.len.get() > 0 || self.shut_down.get()
    }

    /// Whether putting an item has an answer now.
    pub(super) fn can_put(&self) -> bool {
        self.room() > 0 || self.shut_down.get()
    }

    pub(super) fn take(&self) -> Result<T, Exception> {
        let item = match self.open() {
            Some(mut opened) => opened.items.pop(),
            None => return Err(busy().into()),
        };
        if self.discard.take() {
            drop(self.throw_away());
        }
        match item {
            Some(item) => {
                self.wake_putters();
                Ok(item)
            }
            None if self.shut_down.get() => Err(QueueShutDown.into()),
            None => Err(QueueEmpty.into()),
        }
    }

    pub(super) fn add(&self, item: T) -> Result<(), PutError<T>> {
        if self.shut_down.get() {
            return Err(PutError::new(item, Reason::ShutDown));
        }
        if self.room() == 0 {
            return Err(PutError::new(item, Reason::Full));
        }
        let Some(mut opened) = self.open() else {
            return Err(PutError::new(item, Reason::Other(busy().into())));
        };
        // First, for a comparison that panics leaves the item in the queue.
        self.unfinished.set(self.unfinished.get() + 1);
        opened.items.push(item);
        drop(opened);
        if self.discard.take() {
            drop(self.throw_away());
        }
        self.wake_getters();
        Ok(())
    }

    /// Takes out all items, which count as done then, for the caller to drop: they are user values.
    pub(super) fn throw_away(&self) -> Vec<T> {
        let Some(mut opened) = self.open() else {
            self.discard.set(true);
            return Vec::new();
        };
        let items = opened.items.take_all();
        drop(opened);
        self.finish(items.len());
        items
    }

    /// Counts `count` items as done.
    pub(super) fn finish(&self, count: usize) {
        let unfinished = self.unfinished.get();
        self.unfinished.set(unfinished.saturating_sub(count));
        if unfinished > 0 && self.unfinished.get() == 0 {
            self.joiners.grant_all(());
        }
    }

    /// Wakes as many getters as there is something for.
    pub(super) fn wake_getters(&self) {
        self.getters.wake_while(|woken| self.shut_down.get() || woken < self.len.get());
    }

    /// Wakes as many putters as there is room for.
    pub(super) fn wake_putters(&self) {
        self.putters.wake_while(|woken| self.shut_down.get() || woken < self.room());
    }
}

impl Side {
    fn wake_while(&self, wanted: impl Fn(usize) -> bool) {
        while wanted(self.woken.get()) {
            // First the books, then the waiter: waking may run code that looks at them.
            self.woken.set(self.woken.get() + 1);
            if !self.waiters.grant(()) {
                return self.one_ran();
            }
        }
    }

    /// One who was woken has run, or never will.
    pub(super) fn one_ran(&self) {
        self.woken.set(self.woken.get() - 1);
    }
}

/// The items while they are changed. They are counted when this is dropped, also by a panic.
pub(super) struct Opened<'a, T: 'static> {
    pub(super) items: RefMut<'a, Box<dyn Items<T>>>,
    len: &'a Cell<usize>,
}

impl<T: 'static> Drop for Opened<'_, T> {
    fn drop(&mut self) {
        self.len.set(self.items.len());
    }
}

fn busy() -> InvalidStateError {
    InvalidStateError::new("the queue is used from inside a comparison of its items")
}

pub(super) struct Getters<T>(PhantomData<T>);
pub(super) struct Putters<T>(PhantomData<T>);
pub(super) struct Joiners<T>(PhantomData<T>);

impl<T: 'static> Grants for Getters<T> {
    type Owner = Inner<T>;
    type Grant = ();

    fn waiters(inner: &Inner<T>) -> &Waiters {
        &inner.getters.waiters
    }

    fn come_back(inner: &Rc<Inner<T>>, (): ()) {
        inner.getters.one_ran();
        inner.wake_getters();
    }
}

impl<T: 'static> Grants for Putters<T> {
    type Owner = Inner<T>;
    type Grant = ();

    fn waiters(inner: &Inner<T>) -> &Waiters {
        &inner.putters.waiters
    }

    fn come_back(inner: &Rc<Inner<T>>, (): ()) {
        inner.putters.one_ran();
        inner.wake_putters();
    }
}

impl<T: 'static> Grants for Joiners<T> {
    type Owner = Inner<T>;
    type Grant = ();

    fn waiters(inner: &Inner<T>) -> &Waiters {
        &inner.joiners
    }
}
