//! [`PanicError`]: what a panic left behind, as an error value.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::sync::Mutex;

/// A panic of user code that was caught, with its payload.
///
/// The message is that of the panic. The payload can be taken out once, to resume the panic
/// elsewhere with `std::panic::resume_unwind`.
pub struct PanicError {
    message: String,
    payload: Mutex<Option<Box<dyn Any + Send>>>,
}

impl PanicError {
    /// Wraps the payload that `catch_unwind` returned.
    pub fn new(payload: Box<dyn Any + Send>) -> Self {
        let message = if let Some(text) = payload.downcast_ref::<&'static str>() {
            (*text).to_owned()
        } else if let Some(text) = payload.downcast_ref::<String>() {
            text.clone()
        } else {
            "a value that is not text".to_owned()
        };
        Self { message, payload: Mutex::new(Some(payload)) }
    }

    /// What the panic said.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The payload, for `std::panic::resume_unwind`; `None` if it was taken already.
    pub fn take_payload(&self) -> Option<Box<dyn Any + Send>> {
        // A payload whose destructor panicked elsewhere leaves nothing half-done here.
        self.payload.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
    }
}

impl fmt::Display for PanicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "panicked: {}", self.message)
    }
}

impl fmt::Debug for PanicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PanicError").field("message", &self.message).finish_non_exhaustive()
    }
}

impl Error for PanicError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e11_a_panic_keeps_its_message_and_payload() {
        for (payload, message) in [
            (Box::new("static") as Box<dyn Any + Send>, "static"),
            (Box::new("owned".to_owned()), "owned"),
            (Box::new(7), "a value that is not text"),
        ] {
            let error = PanicError::new(payload);
            assert_eq!(error.message(), message);
            assert_eq!(error.to_string(), format!("panicked: {message}"));
            assert!(format!("{error:?}").contains(message));
            assert!(error.take_payload().is_some());
            assert!(error.take_payload().is_none());
        }
    }
}
