//! [`IoCallbacks`]: the source behind `add_reader` and `add_writer`.

use crate::repeating::{Place, RepeatedClosure, RepeatingCallback};
use crate::{Direction, Source, SourceKind, Taken};
use std::any::Any;
use std::cell::Cell;
use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::panic::Location;
use std::rc::Rc;

pub(crate) struct IoCallbacks {
    descriptor: Box<dyn AsFd>,
    number: RawFd,
    /// Other owners of the same descriptor, handed over by the latest registration of each direction.
    owners: Cell<[Option<Box<dyn AsFd>>; 2]>,
    reader: RepeatingCallback,
    writer: RepeatingCallback,
}

impl IoCallbacks {
    pub(crate) fn new(descriptor: Box<dyn AsFd>, number: RawFd) -> Rc<Self> {
        Rc::new(Self {
            descriptor,
            number,
            owners: Cell::default(),
            reader: RepeatingCallback::default(),
            writer: RepeatingCallback::default(),
        })
    }

    /// The callbacks behind `source`, if it is of this kind.
    pub(crate) fn of(source: Rc<dyn Source>) -> Option<Rc<Self>> {
        (source as Rc<dyn Any>).downcast().ok()
    }

    /// Puts `callback` in place; what was there comes back, to be dropped where that is safe.
    pub(crate) fn set(&self, direction: Direction, closure: RepeatedClosure) -> Place {
        self.callback(direction).set(closure)
    }

    pub(crate) fn unset(&self, direction: Direction) -> Place {
        self.callback(direction).unset()
    }

    /// Keeps another owner of the same descriptor with a callback, or none, in the place of one that
    /// came with an earlier callback; that one comes back, to be dropped where it is safe. The first
    /// owner of all stays: it is the one that the poller is given.
    pub(crate) fn also_owned_by(
        &self,
        direction: Direction,
        owner: Option<Box<dyn AsFd>>,
    ) -> Option<Box<dyn AsFd>> {
        let mut owners = self.owners.take();
        let previous = std::mem::replace(&mut owners[direction as usize], owner);
        self.owners.set(owners);
        previous
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

    fn ready(self: Rc<Self>, direction: Direction) -> Taken {
        self.callback(direction).run();
        Taken::Unknown
    }

    fn kind(&self) -> SourceKind {
        SourceKind::Callback
    }

    fn describe(&self) -> String {
        format!("descriptor {}", self.number)
    }

    fn created_at(&self, direction: Direction) -> Option<&'static Location<'static>> {
        self.callback(direction).created_at()
    }
}
