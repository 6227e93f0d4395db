//! What a [`Future`] handle points to: a future of its own, or a task with its coroutine beside it.

use super::{CallbackToken, Shared};
use crate::Exception;
use crate::task::wait_set::WaitSetId;
use crate::task::{CancelMessage, TaskHeader};
use std::panic::Location;
use std::rc::Rc;

/// A future, whatever the type of its result. What wait sets hold.
pub(crate) trait AnyFuture {
    /// Its state and listeners.
    fn common(&self) -> &dyn AnyShared;

    /// Asks for a cancellation, and says whether it was accepted: a future is cancelled at once, a
    /// task will be asked to end.
    fn request_cancel(self: Rc<Self>, message: CancelMessage) -> bool;

    /// Whether it is finished or cancelled.
    fn is_done(&self) -> bool {
        self.common().is_done()
    }

    /// What makes it a task, if it is one.
    fn task(&self) -> Option<&TaskHeader> {
        None
    }

    /// For dumps: what it is, its state and where it was made.
    fn describe(&self) -> String {
        self.common().describe()
    }

    /// The futures that this one stands for: whoever waits for it waits for them (T-89).
    fn stands_for(&self) -> Vec<Rc<dyn AnyFuture>> {
        Vec::new()
    }
}

/// State and listeners of a future, whatever the type of its result.
pub(crate) trait AnyShared {
    /// Whether the future is finished or cancelled.
    fn is_done(&self) -> bool;

    /// Whether somebody waits under `token`, in the wait set `within`.
    fn is_awaited(&self, token: CallbackToken, within: WaitSetId) -> bool;

    /// The exception, if nobody has asked for it. From now on it counts as asked for.
    fn take_unretrieved(&self) -> Option<Exception>;

    /// Where the future was made.
    fn created_at(&self) -> &'static Location<'static>;

    /// For dumps: what it is, its state and where it was made.
    fn describe(&self) -> String;
}

/// A future with a result of type `T`.
pub(crate) trait FutureObject<T: 'static>: AnyFuture {
    /// State and listeners.
    fn shared(&self) -> &Shared<T>;
}

impl<T: 'static> AnyShared for Shared<T> {
    fn is_done(&self) -> bool {
        self.done()
    }

    fn is_awaited(&self, token: CallbackToken, within: WaitSetId) -> bool {
        self.has_waiter(token, within)
    }

    fn take_unretrieved(&self) -> Option<Exception> {
        self.take_unretrieved()
    }

    fn created_at(&self) -> &'static Location<'static> {
        self.created_at()
    }

    fn describe(&self) -> String {
        format!("{self:?}")
    }
}

impl<T: 'static> AnyFuture for Shared<T> {
    fn common(&self) -> &dyn AnyShared {
        self
    }

    fn request_cancel(self: Rc<Self>, message: CancelMessage) -> bool {
        let object: Rc<dyn FutureObject<T>> = self;
        object.shared().cancel(&object, message)
    }
}

impl<T: 'static> FutureObject<T> for Shared<T> {
    #[inline]
    fn shared(&self) -> &Shared<T> {
        self
    }
}
