//! A callback that may travel from one thread to another, because its closure may.
#![allow(unsafe_code)]

use std::panic::Location;

use futures::{Callback, TaskContext};

/// A [`Callback`] around a closure that is `Send`: stored inline when small, as on the loop's own
/// thread. A box per call would be freed by another thread than made it, which costs more than
/// all the rest of a call.
pub(crate) struct SentCallback(Callback);

// SAFETY: a `Callback` consists of a `&'static Location`, which is `Send`, and of a closure with the
// context that it runs in. Here the closure is `Send` and the context is the empty one, which refers to
// nothing: the only constructor is `new`, which sees to both. `Callback` is not `Send` only because
// it has forgotten the type of its closure. (Should it ever carry more than these, this has to be
// argued again.)
unsafe impl Send for SentCallback {}

impl SentCallback {
    #[inline]
    pub(super) fn new(
        location: &'static Location<'static>,
        closure: impl FnOnce() + Send + 'static,
    ) -> Self {
        // Not in the context of the thread that calls, whose values must stay there.
        Self(Callback::in_context(location, TaskContext::new(), closure))
    }

    pub(super) fn location(&self) -> &'static Location<'static> {
        self.0.location()
    }

    #[inline]
    pub(super) fn run(self) {
        self.0.run();
    }
}
