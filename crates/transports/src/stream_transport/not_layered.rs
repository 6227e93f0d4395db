//! What stands in for `layered.rs` without the feature `tls`: no transport is over another.

use super::StreamTransport;
use crate::Transport;
use crate::backend::Backend;
use futures::Exception;
use std::rc::Rc;

impl<B: Backend> StreamTransport<B> {
    pub(crate) fn close_all(self: &Rc<Self>) {
        self.close();
    }

    pub(super) fn upper(&self) -> Option<()> {
        None
    }

    pub(super) fn told_reason(&self, _: Option<()>, own: Option<Exception>) -> Option<Exception> {
        own
    }

    pub(super) fn dressed_handle(self: &Rc<Self>) -> Rc<dyn Transport> {
        self.handle()
    }
}
