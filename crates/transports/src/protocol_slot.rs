//! [`ProtocolSlot`]: where a transport keeps its protocol.
//!
//! Invariant: while one of its methods runs the protocol is out of its slot, so it cannot be entered
//! again; whatever is put in meanwhile follows it when the method has returned (P-21). Nothing is
//! dropped in here: protocols that are over come out, for dropping them is user code.
//!
//! Stream transports, of which there may be very many, keep the same in fewer words.

use crate::ProtocolUnavailable;
use std::cell::Cell;

pub(crate) struct ProtocolSlot<P: ?Sized> {
    /// `None` while one of its methods runs, and before and after its time.
    protocol: Cell<Option<Box<P>>>,
    /// What follows the one that is running.
    successor: Cell<Option<Box<P>>>,
    running: Cell<bool>,
}

impl<P: ?Sized> ProtocolSlot<P> {
    pub(crate) fn new(protocol: Option<Box<P>>) -> Self {
        let protocol = Cell::new(protocol);
        Self { protocol, successor: Cell::new(None), running: Cell::new(false) }
    }

    /// Whether one of its methods runs.
    pub(crate) fn is_running(&self) -> bool {
        self.running.get()
    }

    /// Gives a transport its first protocol.
    pub(crate) fn fill(&self, protocol: Box<P>) {
        self.protocol.set(Some(protocol));
    }

    /// Takes it out for one of its methods, to be put back afterwards.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn lend(&self) -> Result<Box<P>, ProtocolUnavailable> {
        let Some(protocol) = self.protocol.take() else {
            return Err(match self.running.get() {
                true => ProtocolUnavailable::Running,
                false => ProtocolUnavailable::Gone,
            });
        };
        self.running.set(true);
        Ok(protocol)
    }

    /// The method has returned. If another protocol follows, the one before comes out.
    #[must_use = "dropping it is user code"]
    pub(crate) fn put_back(&self, protocol: Box<P>) -> Option<Box<P>> {
        self.running.set(false);
        match self.successor.take() {
            None => {
                self.protocol.set(Some(protocol));
                None
            }
            successor => {
                self.protocol.set(successor);
                Some(protocol)
            }
        }
    }

    /// Puts another one in its place, now or when the method that runs has returned. What nobody will
    /// call any more comes out.
    #[must_use = "dropping it is user code"]
    pub(crate) fn replace(&self, protocol: Box<P>) -> Option<Box<P>> {
        let place = if self.running.get() { &self.successor } else { &self.protocol };
        place.replace(Some(protocol))
    }

    /// Takes out what there is: the time of the protocol is over.
    #[must_use = "dropping it is user code"]
    pub(crate) fn empty(&self) -> impl Iterator<Item = Box<P>> + use<P> {
        [self.protocol.take(), self.successor.take()].into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p21_a_protocol_that_runs_is_followed_when_it_returns() {
        let slot = ProtocolSlot::<str>::new(None);
        assert_eq!(slot.lend(), Err(ProtocolUnavailable::Gone));
        slot.fill("first".into());
        let first = slot.lend().unwrap();
        assert!(slot.is_running());
        assert_eq!(slot.lend(), Err(ProtocolUnavailable::Running));
        assert_eq!(slot.replace("second".into()), None);
        assert_eq!(slot.replace("third".into()).as_deref(), Some("second"));
        assert_eq!(slot.put_back(first).as_deref(), Some("first"));
        assert!(!slot.is_running());
        let third = slot.lend().unwrap();
        assert_eq!((&*third, slot.put_back(third.clone())), ("third", None));
        assert_eq!(slot.replace("fourth".into()).as_deref(), Some("third"));
        assert_eq!(slot.empty().collect::<Vec<_>>(), ["fourth".into()]);
        assert_eq!(slot.empty().count(), 0);
    }
}
