//! [`ConnectError`]: an outgoing connection that could not be made.

use crate::Address;
use futures::Exception;
use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

/// An outgoing connection that could not be made: which addresses were tried, and what the system
/// said of each (N-10).
///
/// It comes inside an `io::Error` of the same kind, so that both
/// [`Exception::io_kind`] and [`ConnectError::of`] find what they look for. `Error::source` is the
/// system's answer, if it was the same for all addresses; otherwise the message has each.
#[derive(Debug)]
pub struct ConnectError {
    target: String,
    failures: Vec<(Address, io::Error)>,
    deadline: Option<Duration>,
}

impl ConnectError {
    pub(super) fn new(
        target: String,
        failures: Vec<(Address, io::Error)>,
        deadline: Option<Duration>,
    ) -> Self {
        Self { target, failures, deadline }
    }

    /// The error inside `exception`, if it is one of this kind.
    pub fn of(exception: &Exception) -> Option<&Self> {
        exception.downcast_ref::<io::Error>()?.get_ref()?.downcast_ref()
    }

    /// Every address that was tried and failed, with the system's answer, in the order of the
    /// attempts (asyncio's `all_errors`).
    pub fn errors(&self) -> impl Iterator<Item = (&Address, &io::Error)> {
        self.failures.iter().map(|(address, error)| (address, error))
    }

    /// The first failure, if all are alike.
    fn one_cause(&self) -> Option<&(Address, io::Error)> {
        let (first, rest) = self.failures.split_first()?;
        let text = first.1.to_string();
        rest.iter().all(|(_, error)| error.to_string() == text).then_some(first)
    }

    /// The kind of the first failure; `TimedOut` if the deadline came first.
    pub fn kind(&self) -> io::ErrorKind {
        match (self.deadline, self.failures.first()) {
            (None, Some((_, error))) => error.kind(),
            _ => io::ErrorKind::TimedOut,
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot connect to {}", self.target)?;
        if let Some(deadline) = self.deadline {
            write!(f, " within {deadline:?}")?;
        }
        if let Some((address, _)) = self.one_cause() {
            // What happened there is the source.
            return match self.failures.len() == 1 && address.to_string() != self.target {
                true => write!(f, " at {address}"),
                false => Ok(()),
            };
        }
        for (index, (address, error)) in self.failures.iter().enumerate() {
            write!(f, "{} {address} ({error})", if index == 0 { ":" } else { "," })?;
        }
        Ok(())
    }
}

impl Error for ConnectError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.one_cause().map(|(_, error)| error as &(dyn Error + 'static))
    }
}

impl From<ConnectError> for io::Error {
    fn from(error: ConnectError) -> Self {
        io::Error::new(error.kind(), error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(address: &str, text: &str) -> (Address, io::Error) {
        (Address::Ip(address.parse().unwrap()), io::Error::other(text.to_owned()))
    }

    /// As programs print it: the message, then its causes; each thing once.
    fn told(error: &ConnectError) -> String {
        match error.source() {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        }
    }

    #[test]
    fn n10_n13_the_error_names_every_address_and_its_cause() {
        let one = ConnectError::new("127.0.0.1:1".into(), vec![failure("127.0.0.1:1", "no")], None);
        assert_eq!(told(&one), "cannot connect to 127.0.0.1:1: no");
        let named = ConnectError::new("x:1".into(), vec![failure("127.0.0.1:1", "no")], None);
        assert_eq!(told(&named), "cannot connect to x:1 at 127.0.0.1:1: no");
        let same = vec![failure("127.0.0.1:1", "no"), failure("127.0.0.2:1", "no")];
        let same = ConnectError::new("x:1".into(), same, None);
        assert_eq!(told(&same), "cannot connect to x:1: no");
        let differ = vec![failure("127.0.0.1:1", "no"), failure("127.0.0.2:1", "never")];
        let differ = ConnectError::new("x:1".into(), differ, None);
        assert_eq!(told(&differ), "cannot connect to x:1: 127.0.0.1:1 (no), 127.0.0.2:1 (never)");
        assert_eq!(differ.errors().count(), 2);
        let late = ConnectError::new("x:1".into(), Vec::new(), Some(Duration::from_secs(3)));
        assert_eq!((late.kind(), late.to_string()), {
            (io::ErrorKind::TimedOut, "cannot connect to x:1 within 3s".into())
        });
    }
}
