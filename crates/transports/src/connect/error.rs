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
/// system's answer, if it was the same for all addresses; otherwise the message has each. An address
/// that had not answered by the deadline failed with `TimedOut`.
#[derive(Debug)]
pub struct ConnectError {
    target: String,
    failures: Vec<(Address, io::Error)>,
    /// How long it took, if that was too long.
    pub(super) deadline: Option<Duration>,
    /// Whether it was still being looked up then.
    pub(super) unresolved: bool,
    /// How many addresses there was no time for.
    pub(super) untried: usize,
}

/// The message has no more addresses than this.
const MOST_TOLD: usize = 8;

impl ConnectError {
    pub(super) fn new(target: String, failures: Vec<(Address, io::Error)>) -> Self {
        Self { target, failures, deadline: None, unresolved: false, untried: 0 }
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
        if self.unresolved {
            f.write_str(": the look-up of its name had no answer")?;
        }
        if self.one_cause().is_some() {
            // What happened there is the source.
            self.tell_addresses(f)?;
        } else {
            self.tell_failures(f)?;
        }
        match self.untried {
            0 => Ok(()),
            1 => f.write_str("; there was no time for one more address"),
            untried => write!(f, "; there was no time for {untried} more addresses"),
        }
    }
}

impl ConnectError {
    /// " at A, B", unless that is what the target says.
    fn tell_addresses(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [(address, _)] = &*self.failures
            && address.to_string() == self.target
        {
            return Ok(());
        }
        for (index, (address, _)) in self.failures.iter().take(MOST_TOLD).enumerate() {
            write!(f, "{} {address}", if index == 0 { " at" } else { "," })?;
        }
        self.tell_rest(f)
    }

    /// ": A (why), B (why)".
    fn tell_failures(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (address, error)) in self.failures.iter().take(MOST_TOLD).enumerate() {
            write!(f, "{} {address} ({error})", if index == 0 { ":" } else { "," })?;
        }
        self.tell_rest(f)
    }

    fn tell_rest(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.failures.len().saturating_sub(MOST_TOLD) {
            0 => Ok(()),
            rest => write!(f, " and {rest} more"),
        }
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
        let told_of =
            |target: &str, failures: Vec<_>| told(&ConnectError::new(target.to_owned(), failures));
        let one = || failure("127.0.0.1:1", "no");
        assert_eq!(told_of("127.0.0.1:1", vec![one()]), "cannot connect to 127.0.0.1:1: no");
        assert_eq!(told_of("x:1", vec![one()]), "cannot connect to x:1 at 127.0.0.1:1: no");
        assert_eq!(
            told_of("x:1", vec![one(), failure("127.0.0.2:1", "no")]),
            "cannot connect to x:1 at 127.0.0.1:1, 127.0.0.2:1: no"
        );
        let differ = vec![one(), failure("127.0.0.2:1", "never")];
        let differ = ConnectError::new("x:1".into(), differ);
        assert_eq!(told(&differ), "cannot connect to x:1: 127.0.0.1:1 (no), 127.0.0.2:1 (never)");
        assert_eq!(differ.errors().count(), 2);
        let many = (0..20).map(|number| failure(&format!("127.0.0.{number}:1"), "no")).collect();
        assert!(told_of("x:1", many).ends_with("127.0.0.7:1 and 12 more: no"));
    }

    #[test]
    fn n10_n14_the_error_says_how_far_it_came_by_the_deadline() {
        let mut late = ConnectError::new("x:1".into(), Vec::new());
        late.deadline = Some(Duration::from_secs(3));
        assert_eq!((late.kind(), told(&late)), {
            (io::ErrorKind::TimedOut, "cannot connect to x:1 within 3s".into())
        });
        late.unresolved = true;
        assert_eq!(
            told(&late),
            "cannot connect to x:1 within 3s: the look-up of its name had no answer"
        );
        (late.unresolved, late.untried) = (false, 2);
        late.failures.push(failure("127.0.0.1:1", "no answer"));
        assert_eq!(
            told(&late),
            "cannot connect to x:1 within 3s at 127.0.0.1:1; \
             there was no time for 2 more addresses: no answer"
        );
    }
}
