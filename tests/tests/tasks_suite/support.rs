//! What the checks share.

use futures::Exception;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// What happened, in order.
#[derive(Clone, Default)]
pub(crate) struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    pub(crate) fn add(&self, what: impl Into<String>) {
        self.0.borrow_mut().push(what.into());
    }

    pub(crate) fn take(&self) -> Vec<String> {
        self.0.take()
    }
}

/// The outcome in words.
pub(crate) fn words<T: std::fmt::Debug>(outcome: &Result<T, Exception>) -> String {
    match outcome {
        Ok(value) => format!("{value:?}"),
        Err(exception) => format!("error: {exception}"),
    }
}

/// Says when it is dropped.
pub(crate) struct Dropped(pub(crate) Log, pub(crate) &'static str);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.add(self.1);
    }
}

/// A duration of whole seconds.
pub(crate) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
