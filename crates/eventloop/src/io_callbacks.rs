//! [`IoCallbacks`]: the source behind `add_reader` and `add_writer`.
//!
//! Invariant: a callback is taken out of its place while it runs, so that it may remove or replace
//! itself; it goes back only if its place is still marked as running.

use crate::{Direction, Source, SourceKind};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::rc::Rc;

pub(crate) struct IoCallbacks {
    descriptor: Box<dyn AsFd>,
    /// Other owners of the same descriptor, handed over by later registrations.
    owners: RefCell<Vec<Box<dyn AsFd>>>,
    reader: Cell<Place>,
    writer: Cell<Place>,
}

/// Where a direction's callback is.
#[derive(Default)]
pub(crate) enum Place {
    #[default]
    Empty,
    Waiting(Box<dyn FnMut()>),
    Running,
}

impl IoCallbacks {
    pub(crate) fn new(descriptor: Box<dyn AsFd>) -> Rc<Self> {
        Rc::new(Self {
            descriptor,
            owners: RefCell::default(),
            reader: Cell::default(),
            writer: Cell::default(),
        })
    }

    /// The callbacks behind `source`, if it is of this kind.
    pub(crate) fn of(source: Rc<dyn Source>) -> Option<Rc<Self>> {
        (source as Rc<dyn Any>).downcast().ok()
    }

    /// Puts `callback` in place; what was there comes back, to be dropped where that is safe.
    pub(crate) fn set(&self, direction: Direction, callback: Box<dyn FnMut()>) -> Place {
        self.place(direction).replace(Place::Waiting(callback))
    }

    pub(crate) fn unset(&self, direction: Direction) -> Place {
        self.place(direction).take()
    }

    /// Keeps another owner of the same descriptor for as long as it is watched.
    pub(crate) fn also_owned_by(&self, owner: Box<dyn AsFd>) {
        self.owners.borrow_mut().push(owner);
    }

    fn place(&self, direction: Direction) -> &Cell<Place> {
        match direction {
            Direction::Read => &self.reader,
            Direction::Write => &self.writer,
        }
    }
}

impl Source for IoCallbacks {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    fn ready(self: Rc<Self>, direction: Direction) {
        let place = self.place(direction);
        match place.replace(Place::Running) {
            Place::Waiting(callback) => {
                let mut running = Returning { place, callback: Some(callback) };
                if let Some(callback) = &mut running.callback {
                    callback();
                }
            }
            other => place.set(other),
        }
    }

    fn kind(&self) -> SourceKind {
        SourceKind::Callback
    }

    fn describe(&self) -> String {
        format!("callbacks of descriptor {}", self.descriptor.as_fd().as_raw_fd())
    }
}

/// Brings the callback back to its place after the call, also when it panicked.
struct Returning<'a> {
    place: &'a Cell<Place>,
    callback: Option<Box<dyn FnMut()>>,
}

impl Drop for Returning<'_> {
    fn drop(&mut self) {
        match self.place.take() {
            Place::Running => {
                if let Some(callback) = self.callback.take() {
                    self.place.set(Place::Waiting(callback));
                }
            }
            // Removed or replaced meanwhile: the old one is dropped with `self`.
            other => self.place.set(other),
        }
    }
}
