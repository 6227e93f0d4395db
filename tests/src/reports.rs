//! [`Reports`]: what a host was told about errors that have no caller.

use futures::{Callback, ExceptionContext, Scheduler};
use std::cell::RefCell;
use std::rc::Rc;

/// What is told about errors that have no caller.
pub type ExceptionHandler = Rc<dyn Fn(&ExceptionContext)>;

/// Records reports, and calls a handler with each. Clones write to the same list.
#[derive(Clone, Default)]
pub(crate) struct Reports {
    contexts: Rc<RefCell<Vec<ExceptionContext>>>,
    handler: Rc<RefCell<Option<ExceptionHandler>>>,
}

impl Reports {
    pub(crate) fn record(&self, context: &ExceptionContext) {
        let handler = self.handler.borrow().clone();
        self.contexts.borrow_mut().push(context.clone());
        if let Some(handler) = handler {
            handler(context);
        }
    }

    /// What was recorded since the last call.
    pub(crate) fn take(&self) -> Vec<ExceptionContext> {
        self.contexts.take()
    }

    /// Has `handler`, if there is one, called with each report.
    pub(crate) fn set_handler(&self, handler: Option<ExceptionHandler>) {
        let replaced = self.handler.replace(handler);
        drop(replaced); // its captures are user values
    }
}

/// Runs `callback` for `scheduler`, which is told of its panic.
pub(crate) fn run_callback(scheduler: &dyn Scheduler, callback: Callback) {
    let (location, handle) = (callback.location(), format!("{callback:?}"));
    if let Err(exception) = futures::catch(|| callback.run()) {
        let mut context = ExceptionContext::with_exception("exception in callback", exception);
        (context.created_at, context.handle) = (Some(location), Some(handle));
        scheduler.call_exception_handler(context);
    }
}
