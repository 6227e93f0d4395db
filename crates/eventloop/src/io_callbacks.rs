//! [`IoCallbacks`]: the source behind `add_reader` and `add_writer`.

use crate::repeating::{Place, RepeatingCallback};
use crate::{Direction, Source, SourceKind};
use std::any::Any;
use std::cell::RefCell;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::rc::Rc;

pub(crate) struct IoCallbacks {
    descriptor: Box<dyn AsFd>,
    /// Other owners of the same descriptor, handed over by later registrations.
    owners: RefCell<Vec<Box<dyn AsFd>>>,
    reader: RepeatingCallback,
    writer: RepeatingCallback,
}

impl IoCallbacks {
    pub(crate) fn new(descriptor: Box<dyn AsFd>) -> Rc<Self> {
        Rc::new(Self {
            descriptor,
            owners: RefCell::default(),
            reader: RepeatingCallback::default(),
            writer: RepeatingCallback::default(),
        })
    }

    /// The callbacks behind `source`, if it is of this kind.
    pub(crate) fn of(source: Rc<dyn Source>) -> Option<Rc<Self>> {
        (source as Rc<dyn Any>).downcast().ok()
    }

    /// Puts `callback` in place; what was there comes back, to be dropped where that is safe.
    pub(crate) fn set(&self, direction: Direction, callback: Box<dyn FnMut()>) -> Place {
        self.callback(direction).set(callback)
    }

    pub(crate) fn unset(&self, direction: Direction) -> Place {
        self.callback(direction).unset()
    }

    /// Keeps another owner of the same descriptor for as long as it is watched.
    pub(crate) fn also_owned_by(&self, owner: Box<dyn AsFd>) {
        self.owners.borrow_mut().push(owner);
    }

    fn callback(&self, direction: Direction) -> &RepeatingCallback {
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
        self.callback(direction).run();
    }

    fn kind(&self) -> SourceKind {
        SourceKind::Callback
    }

    fn describe(&self) -> String {
        format!("callbacks of descriptor {}", self.descriptor.as_fd().as_raw_fd())
    }
}
