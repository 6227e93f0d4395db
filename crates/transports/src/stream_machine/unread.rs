//! Bytes that the protocol gave back: whether they may be delivered again.

use super::{Fact, HELD, Hold, Input, Phase, StreamMachine};

impl StreamMachine {
    /// Bytes are given back. Says whether they are kept: not once the end of the input was told, and
    /// not when nothing will be delivered any more.
    pub(crate) fn take_back(&mut self) -> bool {
        let kept = match &mut self.phase {
            Phase::Open { input, .. } => match input {
                Input::Flowing | Input::Paused => true,
                Input::EofOwed => {
                    *input = Input::Flowing; // the end comes after them: it will be read once more
                    true
                }
                Input::Ended | Input::Absent { .. } => false,
            },
            Phase::Salvaging => true,
            Phase::Draining { .. } | Phase::Parting { .. } => false,
            Phase::Ending(_) | Phase::Lost => false,
        };
        if kept {
            self.set(Fact::Unread, true); // else something may wait to be dropped
        }
        kept
    }

    /// Whether bytes that were given back wait to be delivered.
    pub(crate) fn has_unread(&self) -> bool {
        self.is(Fact::Unread) && matches!(self.phase, Phase::Open { .. } | Phase::Salvaging)
    }

    /// Whether they may be delivered now. That the connection holds too much memory is no reason to keep
    /// them: they are part of it.
    pub(crate) fn may_deliver_unread(&self) -> bool {
        let held = self.facts & (HELD & !(Hold::Memory as u16)) != 0;
        self.is_made() && !held && self.has_unread() && (self.is_reading() || self.is_salvaging())
    }

    /// None of them are left.
    pub(crate) fn unread_is_empty(&mut self) {
        self.set(Fact::Unread, false);
    }

    /// Whether they will never be delivered, so that they may be dropped; says so once.
    pub(crate) fn unread_is_lost(&mut self) -> bool {
        let lost = self.is(Fact::Unread) && !self.has_unread();
        if lost {
            self.set(Fact::Unread, false);
        }
        lost
    }
}
