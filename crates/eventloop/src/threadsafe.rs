//! [`Remote`]: what `Scheduler::threadsafe` gives out.

use crate::ThreadsafeHandle;
use crate::cross_thread::Calls;
use futures::{PostedClosure, SchedulerId, ThreadsafeScheduler};
use std::sync::Arc;

/// The way in for futures and wakers of other threads. A loop holds one; how many others hold it
/// tells whether something may still come from outside (for a test's clock).
pub(crate) struct Remote {
    handle: ThreadsafeHandle,
    id: SchedulerId,
}

impl Remote {
    pub(crate) fn new(calls: Arc<Calls>, id: SchedulerId) -> Self {
        Self { handle: ThreadsafeHandle::new(calls), id }
    }

    pub(crate) fn handle(&self) -> ThreadsafeHandle {
        self.handle.clone()
    }
}

impl ThreadsafeScheduler for Remote {
    fn post(self: Arc<Self>, closure: PostedClosure) -> Result<(), PostedClosure> {
        let handle = self.handle.clone();
        // The closure holds the reference until the loop has come to it, so that at no moment there
        // is neither a poster nor a call, nor a poster who has posted.
        let call = move || {
            drop(self);
            closure();
        };
        match handle.call_soon_threadsafe(call) {
            Ok(_) => Ok(()),
            Err(refused) => Err(Box::new(refused.into_callback())),
        }
    }

    fn id(&self) -> SchedulerId {
        self.id
    }
}
