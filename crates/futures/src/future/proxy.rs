//! [`Proxy`]: a future that is waited for in place of others.
//!
//! It is an ordinary future, which somebody completes; beside that the await graph can ask it for the
//! others (T-89). It does not keep them alive: they, by their callbacks, keep it.
#![allow(unsafe_code)]

use super::{AnyFuture, AnyShared, Future, FutureObject, Shared};
use crate::Scheduler;
use crate::task::CancelMessage;
use std::mem::offset_of;
use std::panic::Location;
use std::rc::{Rc, Weak};

/// The futures that somebody waits for through a proxy.
pub(crate) type Others = Rc<[Weak<dyn AnyFuture>]>;

/// A future of its own that stands for others.
#[repr(C)] // see `FutureObject`
pub(crate) struct Proxy<T: 'static> {
    shared: Shared<T>,
    others: Others,
}

impl<T: 'static> Proxy<T> {
    /// A pending future that stands for `others`.
    pub(crate) fn create(
        scheduler: Rc<dyn Scheduler>,
        created_at: &'static Location<'static>,
        others: Others,
    ) -> Future<T> {
        const { assert!(offset_of!(Self, shared) == 0, "see `FutureObject`") };
        Future::from_object(Rc::new(Self { shared: Shared::new(scheduler, created_at), others }))
    }
}

impl<T: 'static> Future<T> {
    /// The future as one of the [`Others`].
    pub(crate) fn as_other(&self) -> Weak<dyn AnyFuture> {
        let object: Rc<dyn AnyFuture> = self.object().clone();
        Rc::downgrade(&object)
    }
}

impl<T: 'static> AnyFuture for Proxy<T> {
    fn common(&self) -> &dyn AnyShared {
        &self.shared
    }

    fn request_cancel(self: Rc<Self>, message: CancelMessage) -> bool {
        let object: Rc<dyn FutureObject<T>> = self;
        object.shared().cancel(&object, message)
    }

    fn stands_for(&self) -> Vec<Rc<dyn AnyFuture>> {
        let others = self.others.iter().filter_map(Weak::upgrade);
        others.filter(|other| !other.is_done()).collect()
    }
}

// SAFETY: it begins with that, and `repr(C)` leaves it there.
unsafe impl<T: 'static> FutureObject<T> for Proxy<T> {}
