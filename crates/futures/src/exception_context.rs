//! [`ExceptionContext`]: an error that has no caller to return to, with what is known about it.

use crate::Exception;
use std::borrow::Cow;
use std::fmt;
use std::panic::Location;

/// What an exception handler is told: a message, and what was involved.
///
/// It is used for every error that has no caller (D-6): failing callbacks, failures that nobody
/// asked for, protocols that panic, listeners out of descriptors. More fields may come, so it is
/// made with [`ExceptionContext::new`] and filled in by field.
///
/// # Examples
/// ```
/// use tulipa_futures::{Exception, ExceptionContext};
/// let mut context = ExceptionContext::new("cannot rotate the log");
/// context.exception = Some(Exception::msg("disk full"));
/// assert_eq!(context.to_string(), "cannot rotate the log\nexception: disk full");
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ExceptionContext {
    /// What happened, in one line.
    pub message: Cow<'static, str>,
    /// The error itself.
    pub exception: Option<Exception>,
    /// The future that held it.
    pub future: Option<String>,
    /// The callback that failed.
    pub handle: Option<String>,
    /// The protocol that failed: its type.
    pub protocol: Option<&'static str>,
    /// The server concerned: its addresses.
    pub server: Option<String>,
    /// The socket concerned: its address.
    pub socket: Option<String>,
    /// The task that failed.
    pub task: Option<String>,
    /// The transport concerned: its kind and addresses.
    pub transport: Option<String>,
    /// Where the failing thing was made.
    pub created_at: Option<&'static Location<'static>>,
    /// Whether this is the failure of a future or task that nobody can ask for it any more (F-18).
    pub never_retrieved: bool,
}

impl ExceptionContext {
    /// A context with a message only.
    pub fn new(message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            message: message.into(),
            exception: None,
            future: None,
            handle: None,
            protocol: None,
            server: None,
            socket: None,
            task: None,
            transport: None,
            created_at: None,
            never_retrieved: false,
        }
    }

    /// A context with a message and the error.
    pub fn with_exception(
        message: impl Into<Cow<'static, str>>,
        exception: impl Into<Exception>,
    ) -> Self {
        Self { exception: Some(exception.into()), ..Self::new(message) }
    }
}

impl fmt::Display for ExceptionContext {
    /// The message, then a line for each other field in alphabetical order, the exception last (D-9).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(location) = self.created_at {
            write!(f, "\ncreated at: {location}")?;
        }
        let protocol = self.protocol.map(str::to_owned);
        for (name, value) in [
            ("future", &self.future),
            ("handle", &self.handle),
            ("protocol", &protocol),
            ("server", &self.server),
            ("socket", &self.socket),
            ("task", &self.task),
            ("transport", &self.transport),
        ] {
            if let Some(value) = value {
                write!(f, "\n{name}: {value}")?;
            }
        }
        if let Some(exception) = &self.exception {
            write!(f, "\nexception: {exception:?}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d9_a_context_shows_its_fields_sorted_and_the_exception_last() {
        let mut context = ExceptionContext::with_exception("it failed", Exception::msg("why"));
        context.transport = Some("tcp".into());
        context.protocol = Some("Echo");
        context.future = Some("Future".into());
        assert_eq!(
            context.to_string(),
            "it failed\nfuture: Future\nprotocol: Echo\ntransport: tcp\nexception: why"
        );
    }
}
