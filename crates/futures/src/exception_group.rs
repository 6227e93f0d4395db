//! [`ExceptionGroup`]: several failures at once.

use crate::Exception;
use std::borrow::Cow;
use std::error::Error;
use std::fmt;

/// Several exceptions that are raised together (PEP 654): what a [`TaskGroup`](crate::TaskGroup) ends
/// with when members fail. Groups may stand in groups.
///
/// A group is never a cancellation: [`Exception::is_cancelled`] says no, whatever is in it.
///
/// # Examples
/// ```
/// use tulipa_futures::{Exception, ExceptionGroup, TimeoutError};
/// let failures = vec![Exception::msg("disk full"), TimeoutError::new("connecting").into()];
/// let group = ExceptionGroup::new("backup failed", failures);
/// assert_eq!(group.to_string(), "backup failed (2): disk full; timed out: connecting");
///
/// let (timeouts, rest) = group.split(|exception| exception.is::<TimeoutError>());
/// assert_eq!(timeouts.unwrap().iter().count(), 1);
/// assert_eq!(rest.unwrap().to_string(), "backup failed (1): disk full");
/// ```
#[derive(Clone, Debug)]
pub struct ExceptionGroup {
    message: Cow<'static, str>,
    exceptions: Vec<Exception>,
}

impl ExceptionGroup {
    /// A group of `exceptions`.
    pub fn new(message: impl Into<Cow<'static, str>>, exceptions: Vec<Exception>) -> Self {
        Self { message: message.into(), exceptions }
    }

    /// What they have in common.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The members, groups among them as they are.
    pub fn exceptions(&self) -> &[Exception] {
        &self.exceptions
    }

    /// Every exception that is not itself a group, in order, those of inner groups included.
    pub fn iter(&self) -> Leaves<'_> {
        Leaves { open: vec![self.exceptions.iter()] }
    }

    /// Those for which `belongs` is true, and the others. Both keep the shape of this group, without
    /// what is not in them; `None` stands for an empty one. Inner groups are looked into, not asked
    /// about.
    pub fn split(
        &self,
        mut belongs: impl FnMut(&Exception) -> bool,
    ) -> (Option<ExceptionGroup>, Option<ExceptionGroup>) {
        self.split_by(&mut belongs)
    }

    fn split_by(
        &self,
        belongs: &mut dyn FnMut(&Exception) -> bool,
    ) -> (Option<ExceptionGroup>, Option<ExceptionGroup>) {
        let (mut matching, mut others) = (Vec::new(), Vec::new());
        for exception in &self.exceptions {
            match exception.downcast_ref::<ExceptionGroup>() {
                Some(inner) => {
                    let (inner_matching, inner_others) = inner.split_by(belongs);
                    matching.extend(inner_matching.map(Exception::from));
                    others.extend(inner_others.map(Exception::from));
                }
                None if belongs(exception) => matching.push(exception.clone()),
                None => others.push(exception.clone()),
            }
        }
        (self.with(matching), self.with(others))
    }

    /// A group like this with other members, if there are any.
    fn with(&self, exceptions: Vec<Exception>) -> Option<Self> {
        (!exceptions.is_empty()).then(|| Self { message: self.message.clone(), exceptions })
    }
}

impl fmt::Display for ExceptionGroup {
    /// The message, how many members there are, and the members; an inner group in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.exceptions.len())?;
        for (place, exception) in self.exceptions.iter().enumerate() {
            f.write_str(if place == 0 { ": " } else { "; " })?;
            match exception.is::<ExceptionGroup>() {
                true => write!(f, "[{exception}]")?,
                false => write!(f, "{exception:?}")?,
            }
        }
        Ok(())
    }
}

impl Error for ExceptionGroup {}

impl<'a> IntoIterator for &'a ExceptionGroup {
    type Item = &'a Exception;
    type IntoIter = Leaves<'a>;

    fn into_iter(self) -> Leaves<'a> {
        self.iter()
    }
}

/// What [`ExceptionGroup::iter`] returns.
#[derive(Clone, Debug)]
pub struct Leaves<'a> {
    /// The groups that are being walked through, the innermost last.
    open: Vec<std::slice::Iter<'a, Exception>>,
}

impl<'a> Iterator for Leaves<'a> {
    type Item = &'a Exception;

    fn next(&mut self) -> Option<&'a Exception> {
        loop {
            let Some(exception) = self.open.last_mut()?.next() else {
                self.open.pop();
                continue;
            };
            match exception.downcast_ref::<ExceptionGroup>() {
                Some(inner) => self.open.push(inner.exceptions.iter()),
                None => return Some(exception),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CancelledError;
    use std::io;

    fn nested() -> ExceptionGroup {
        let inner = vec![Exception::msg("c"), io::Error::other("d").into()];
        let inner = ExceptionGroup::new("inner", inner).into();
        let empty = ExceptionGroup::new("empty", Vec::new()).into();
        let last = io::Error::other(io::Error::other("f")).into();
        ExceptionGroup::new("outer", vec![Exception::msg("a"), inner, empty, last])
    }

    #[test]
    fn t78_a_group_shows_everything_that_is_in_it() {
        let group = nested();
        assert_eq!(group.to_string(), "outer (4): a; [inner (2): c; d]; [empty (0)]; f");
        assert_eq!((group.message(), group.exceptions().len()), ("outer", 4));
        let leaves: Vec<_> = group.iter().map(ToString::to_string).collect();
        assert_eq!(leaves, ["a", "c", "d", "f"]);
        assert_eq!((&group).into_iter().count(), 4);
    }

    #[test]
    fn t78_splitting_a_group_keeps_its_shape_and_loses_nothing() {
        let group = nested();
        let (io, others) = group.split(|exception| exception.is::<io::Error>());
        assert_eq!(io.unwrap().to_string(), "outer (2): [inner (1): d]; f");
        assert_eq!(others.unwrap().to_string(), "outer (2): a; [inner (1): c]");
        assert!(group.split(|_| false).0.is_none() && group.split(|_| true).1.is_none());
        let kept = group.split(|_| true).0.unwrap();
        assert!(kept.iter().zip(group.iter()).all(|(kept, known)| kept.ptr_eq(known)));
    }

    #[test]
    fn t71_a_group_of_cancellations_is_no_cancellation() {
        let group = ExceptionGroup::new("all", vec![CancelledError::new().into()]);
        let exception = Exception::from(group);
        assert!(!exception.is_cancelled());
        assert!(!Exception::from(io::Error::from(exception)).is_cancelled());
    }
}
