//! What a scope has besides callbacks: futures, tasks, inner scopes, and what users give it.

use super::ScopeCore;
use crate::future::AnyFuture;
use crate::slots::SlotKey;
use crate::{Future, TaskRef};
use std::rc::{Rc, Weak};

/// Something that a [`Scope`](crate::Scope) can own and end: a transport, a server, a service of your
/// own.
///
/// # Examples
/// ```
/// use std::{cell::Cell, rc::Rc};
/// use tulipa_futures::{Future, Scheduler, SchedulerExt, ScopeMember};
///
/// /// Something that is switched on.
/// struct Lamp { on: Cell<bool>, closed: Future<()> }
///
/// impl ScopeMember for Lamp {
///     fn close(&self) {
///         self.on.set(false);
///         let _ = self.closed.set_result(()); // closing twice is harmless
///     }
///     fn abort(&self) {
///         self.close();
///     }
///     fn closed(&self) -> Future<()> {
///         self.closed.clone()
///     }
/// }
///
/// # fn example(event_loop: &dyn Scheduler) -> Result<(), Box<dyn std::error::Error>> {
/// let scope = event_loop.create_scope();
/// let lamp = Rc::new(Lamp { on: Cell::new(true), closed: event_loop.create_future() });
/// scope.own(lamp.clone())?;
/// scope.cancel();
/// assert!(!lamp.on.get() && scope.is_ended());
/// # Ok(()) }
/// ```
pub trait ScopeMember {
    /// Begins its end in good order.
    fn close(&self);

    /// Ends it now, at the cost of what was under way. It may have been closed before.
    fn abort(&self);

    /// A future that is done when it has ended, whatever ended it. A scope asks once.
    fn closed(&self) -> Future<()>;
}

impl<M: ScopeMember + ?Sized> ScopeMember for Rc<M> {
    fn close(&self) {
        (**self).close();
    }

    fn abort(&self) {
        (**self).abort();
    }

    fn closed(&self) -> Future<()> {
        (**self).closed()
    }
}

/// One member.
#[derive(Clone)]
pub(super) enum Member {
    Future(Weak<dyn AnyFuture>),
    Task(TaskRef),
    Child(Rc<ScopeCore>),
    Owned {
        member: Rc<dyn ScopeMember>,
        /// Kept, so that it can be done.
        #[expect(dead_code, reason = "the scope is told of its end by what is attached to it")]
        closed: Future<()>,
    },
}

impl Member {
    /// Whether it may take its time to end, so that the report counts it.
    pub(super) fn is_counted(&self) -> bool {
        match self {
            Member::Task(_) | Member::Owned { .. } => true,
            // A future ends when it is told to, and an inner scope has a report of its own.
            Member::Future(_) | Member::Child(_) => false,
        }
    }
}

/// A place among the members of a scope. Dropping it leaves the scope.
pub(crate) struct Membership {
    core: Rc<ScopeCore>,
    key: SlotKey,
}

impl Membership {
    pub(super) fn new(core: Rc<ScopeCore>, key: SlotKey) -> Self {
        Self { core, key }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.core.forget(self.key);
    }
}
