//! [`Exception`]: an error of any type, cheap to share.

use crate::{CancelledError, ExceptionGroup, PanicError};
use std::any::Any;
use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

/// An error of any type, shared by all who hold it.
///
/// Every `std::error::Error + Send + Sync` becomes one through `?`, and is found again with
/// [`downcast_ref`](Exception::downcast_ref). Cloning counts a reference, so that one error can end
/// in several futures (F-28). Like `anyhow`'s, it is not itself an `Error`, but converts into a
/// boxed one. `Debug` shows the whole chain of causes.
///
/// # Examples
/// ```
/// use tulipa_futures::Exception;
/// fn port(text: &str) -> Result<u16, Exception> {
///     Ok(text.parse::<u16>()?)
/// }
/// let exception = port("http").unwrap_err();
/// assert!(exception.downcast_ref::<std::num::ParseIntError>().is_some());
/// assert!(exception.ptr_eq(&exception.clone()));
/// ```
#[derive(Clone)]
pub struct Exception {
    error: Arc<dyn Error + Send + Sync>,
}

impl Exception {
    /// Wraps `error`. The same as `Exception::from(error)`.
    pub fn new(error: impl Error + Send + Sync + 'static) -> Self {
        Self { error: Arc::new(error) }
    }

    /// An exception that only has a message.
    ///
    /// ```
    /// let exception = tulipa_futures::Exception::msg("no such mailbox");
    /// assert_eq!(exception.to_string(), "no such mailbox");
    /// ```
    pub fn msg(message: impl Into<String>) -> Self {
        Self::new(Message(message.into()))
    }

    /// What a panic left behind, as an exception that holds a [`PanicError`].
    pub fn from_panic(payload: Box<dyn Any + Send>) -> Self {
        Self::new(PanicError::new(payload))
    }

    /// The error inside, if it is an `E`.
    pub fn downcast_ref<E: Error + 'static>(&self) -> Option<&E> {
        self.error.downcast_ref()
    }

    /// Whether the error inside is an `E`.
    pub fn is<E: Error + 'static>(&self) -> bool {
        self.error.is::<E>()
    }

    /// Whether this is a [`CancelledError`], also when an `io::Error` was wrapped around it, and when
    /// another library's error has that as its source.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled().is_some()
    }

    /// The [`CancelledError`] inside, also when an `io::Error` was wrapped around it, and when another
    /// library's error has that as its source.
    ///
    /// So a cancellation finds its way through a library that reads from one of our streams. An error
    /// that has a `CancelledError` itself as its source is another matter: it was made by somebody who
    /// knew what he had, and is what he made of it.
    pub fn cancelled(&self) -> Option<&CancelledError> {
        let own = unwrapped(&*self.error);
        let mut source = own.source();
        if let Some(cancelled) = own.downcast_ref() {
            return Some(cancelled);
        }
        while let Some(error) = source {
            let is_wrapping = error.is::<io::Error>() || error.is::<BoxedException>();
            if is_wrapping && let Some(cancelled) = unwrapped(error).downcast_ref() {
                return Some(cancelled);
            }
            source = error.source();
        }
        None
    }

    /// The [`PanicError`] inside, also when an `io::Error` was wrapped around it, or the first one in
    /// an [`ExceptionGroup`].
    pub fn panicked(&self) -> Option<&PanicError> {
        let error = unwrapped(&*self.error);
        match error.downcast_ref::<ExceptionGroup>() {
            Some(group) => group.iter().find_map(Exception::panicked),
            None => error.downcast_ref(),
        }
    }

    /// The kind of the `io::Error` inside, if it is one.
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        self.downcast_ref::<io::Error>().map(io::Error::kind)
    }

    /// The error inside.
    pub fn as_error(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.error
    }

    /// Whether both are the same exception, not merely equal ones.
    pub fn ptr_eq(&self, other: &Exception) -> bool {
        Arc::ptr_eq(&self.error, &other.error)
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for Exception {
    fn from(error: E) -> Self {
        // A boxed exception comes back as the very exception that was boxed.
        let mut slot = Some(error);
        if let Some(boxed) = (&mut slot as &mut dyn Any).downcast_mut::<Option<BoxedException>>()
            && let Some(BoxedException(exception)) = boxed.take()
        {
            return exception;
        }
        Self::new(slot.expect("only a boxed exception is taken out"))
    }
}

impl From<Exception> for Box<dyn Error + Send + Sync> {
    fn from(exception: Exception) -> Self {
        Box::new(BoxedException(exception))
    }
}

impl From<Exception> for Box<dyn Error> {
    fn from(exception: Exception) -> Self {
        Box::new(BoxedException(exception))
    }
}

impl From<Exception> for io::Error {
    /// Keeps the kind of an `io::Error` inside. It is never `Interrupted`, least of all for a
    /// cancellation: callers would try again.
    fn from(exception: Exception) -> Self {
        let kind = match exception.io_kind() {
            None | Some(io::ErrorKind::Interrupted) => io::ErrorKind::Other,
            Some(kind) => kind,
        };
        io::Error::new(kind, BoxedException(exception))
    }
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}

impl fmt::Debug for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.error)?;
        let mut cause = self.error.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// An exception as a standard error. Transparent: shows and chains like what is inside.
struct BoxedException(Exception);

impl fmt::Display for BoxedException {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for BoxedException {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Error for BoxedException {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.error.source()
    }
}

/// What `error` was wrapped around, if it only carries another one.
fn unwrapped<'e>(mut error: &'e (dyn Error + 'static)) -> &'e (dyn Error + 'static) {
    loop {
        let inner = match error.downcast_ref::<BoxedException>() {
            Some(boxed) => Some(boxed.0.as_error()),
            None => error.downcast_ref::<io::Error>().and_then(io::Error::get_ref),
        };
        match inner {
            Some(inner) => error = inner,
            None => return error,
        }
    }
}

/// An error that is only a message.
#[derive(Debug)]
struct Message(String);

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Message {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TimeoutError;

    fn refused() -> io::Error {
        io::Error::new(io::ErrorKind::ConnectionRefused, "refused")
    }

    #[test]
    fn f28_an_exception_is_shared_and_found_again() {
        let exception = Exception::from(refused());
        let twin = exception.clone();
        assert!(exception.ptr_eq(&twin));
        assert_eq!(twin.io_kind(), Some(io::ErrorKind::ConnectionRefused));
        assert!(!twin.ptr_eq(&Exception::from(refused())));
        assert!(twin.is::<io::Error>());
        assert!(!twin.is::<CancelledError>());
        assert_eq!(twin.as_error().to_string(), "refused");
    }

    #[test]
    fn f28_boxing_and_unboxing_keeps_the_identity() {
        let exception = Exception::msg("lost");
        let error = io::Error::from(exception.clone());
        assert_eq!((error.kind(), error.to_string()), (io::ErrorKind::Other, "lost".into()));
        let boxed: Box<dyn Error + Send + Sync> = exception.clone().into();
        assert_eq!(boxed.to_string(), "lost");
        let inner = *boxed.downcast::<BoxedException>().unwrap();
        assert!(Exception::from(inner).ptr_eq(&exception));
    }

    #[test]
    fn f6_t21_a_cancellation_is_seen_through_an_io_error() {
        let cancelled = Exception::from(CancelledError::with_message("shutdown"));
        let wrapped = Exception::from(io::Error::other(CancelledError::with_message("shutdown")));
        let nested = Exception::from(io::Error::from(cancelled.clone()));
        for exception in [cancelled, wrapped, nested] {
            assert!(exception.is_cancelled(), "{exception:?}");
            assert_eq!(exception.cancelled().unwrap().message(), Some("shutdown"));
        }
        assert!(!Exception::from(refused()).is_cancelled());
        assert_ne!(
            io::Error::from(Exception::from(CancelledError::new())).kind(),
            io::ErrorKind::Interrupted
        );
    }

    #[derive(Debug)]
    struct OfALibrary(Box<dyn Error + Send + Sync>);

    impl fmt::Display for OfALibrary {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a library's error")
        }
    }

    impl Error for OfALibrary {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&*self.0)
        }
    }

    #[test]
    fn f6_a_cancellation_is_seen_through_the_error_of_another_library() {
        let cancelled = || Exception::from(CancelledError::with_message("shutdown"));
        let read = OfALibrary(Box::new(io::Error::from(cancelled())));
        let service = OfALibrary(cancelled().into());
        let twice = OfALibrary(Box::new(OfALibrary(Box::new(io::Error::other(cancelled())))));
        let around = io::Error::other(OfALibrary(Box::new(io::Error::from(cancelled()))));
        for exception in [read.into(), service.into(), twice.into(), Exception::from(around)] {
            assert_eq!(exception.cancelled().unwrap().message(), Some("shutdown"));
        }
        let answered = OfALibrary(Box::new(CancelledError::new()));
        assert!(!Exception::from(answered).is_cancelled(), "it was made something else of");
        let late = TimeoutError::new("reading").caused_by(CancelledError::new());
        let late = OfALibrary(Box::new(io::Error::from(late)));
        assert!(!Exception::from(late).is_cancelled());
    }

    #[test]
    fn f6_nothing_is_ever_interrupted() {
        let interrupted = io::Error::new(io::ErrorKind::Interrupted, CancelledError::new());
        let error = io::Error::from(Exception::from(interrupted));
        assert_eq!(error.kind(), io::ErrorKind::Other);
        assert!(Exception::from(error).is_cancelled());
    }

    #[test]
    fn debug_shows_the_causes() {
        let outer = io::Error::other(Exception::msg("inner"));
        assert_eq!(format!("{:?}", Exception::from(outer)), "inner");
        assert_eq!(format!("{}", Exception::msg("only")), "only");
    }
}
