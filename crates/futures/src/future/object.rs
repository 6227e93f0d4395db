//! What a [`Future`] handle points to: a future of its own, or a task with its coroutine beside it.
#![allow(unsafe_code)]

use super::wait::leave;
use super::{CallbackToken, Future, Shared};
use crate::task::wait_set::WaitSetId;
use crate::task::{CancelMessage, TaskHeader};
use crate::{Exception, in_place};
use std::mem::{ManuallyDrop, forget};
use std::ops::Deref;
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
///
/// # Safety
/// An object of the type begins with its `Shared<T>`.
pub(crate) unsafe trait FutureObject<T: 'static>: AnyFuture {}

impl<T: 'static> dyn FutureObject<T> + '_ {
    /// State and listeners. Asked for all the time, so no call leads there.
    #[inline(always)]
    pub(crate) fn shared(&self) -> &Shared<T> {
        // SAFETY: it lies at the beginning, as whoever implements the trait has promised, and is
        // borrowed for as long as the object that it is a part of.
        unsafe { &*(&raw const *self).cast() }
    }
}

/// A handle's pointer to its future.
///
/// A plain `Rc` is dropped by reference, and so has to lie in memory wherever it may be dropped: it is
/// written there as two words, and moved on as a pair, for which the processor waits. This one is taken out
/// by whoever drops the handle, and goes by registers.
pub(super) struct ObjectRef<T: 'static>(ManuallyDrop<Rc<dyn FutureObject<T>>>);

impl<T: 'static> ObjectRef<T> {
    #[inline(always)]
    pub(super) fn new(object: Rc<dyn FutureObject<T>>) -> Self {
        Self(ManuallyDrop::new(object))
    }

    /// Takes the pointer out, which is the only way to drop it.
    ///
    /// # Safety
    /// From here on it is as if this had been moved away.
    #[inline(always)]
    unsafe fn take(&mut self) -> Rc<dyn FutureObject<T>> {
        // SAFETY: it is taken once, as the caller promises.
        unsafe { ManuallyDrop::take(&mut self.0) }
    }
}

impl<T: 'static> Clone for ObjectRef<T> {
    /// Word by word, as a handle that was just made was written.
    #[inline(always)]
    fn clone(&self) -> Self {
        forget(Rc::clone(&self.0));
        // SAFETY: the clone that was forgotten is this one.
        Self(unsafe { in_place::read_by_words(&raw const self.0) })
    }
}

impl<T: 'static> Deref for ObjectRef<T> {
    type Target = Rc<dyn FutureObject<T>>;

    #[inline(always)]
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<T: 'static> Drop for Future<T> {
    /// A handle that was waiting waits no more.
    ///
    /// What it has goes by registers: so a handle need not lie in memory on its way to where it is
    /// wanted, just because something on that way might fail, and drop it.
    #[inline(always)]
    fn drop(&mut self) {
        #[inline(never)]
        fn let_go<T: 'static>(object: Rc<dyn FutureObject<T>>, wait: Option<CallbackToken>) {
            if let Some(token) = wait {
                leave(&*object, token);
            }
        }
        // SAFETY: a handle is dropped once, and not looked at afterwards.
        let_go(unsafe { self.object.take() }, self.wait);
    }
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

// SAFETY: it is its `Shared<T>`.
unsafe impl<T: 'static> FutureObject<T> for Shared<T> {}
