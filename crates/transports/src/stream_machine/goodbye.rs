//! The end of a stream that says so: goodbye, and the peer's. And what such a stream has in the
//! layer below.

#[cfg(feature = "tls")]
use super::Flow;
use super::{End, Fact, Phase, StreamMachine};

impl StreamMachine {
    /// What follows when all is sent, and nobody wants more.
    pub(super) fn orderly_end(&self) -> Phase {
        match self.is(Fact::SaysGoodbye) && self.is_made() {
            true => Phase::Parting { said: false },
            false => Phase::Ending(End::Orderly),
        }
    }

    /// Whether it is closed, all is sent, and only goodbyes are missing.
    pub(crate) fn is_parting(&self) -> bool {
        matches!(self.phase, Phase::Parting { .. })
    }

    /// Whether it is time to say goodbye.
    pub(crate) fn may_say_goodbye(&self) -> bool {
        self.phase == Phase::Parting { said: false }
    }

    /// It was said.
    pub(crate) fn goodbye_said(&mut self) {
        if self.is_parting() {
            self.phase = Phase::Parting { said: true };
        }
    }

    /// It was answered.
    #[cfg(feature = "tls")]
    pub(crate) fn goodbye_answered(&mut self) {
        if self.phase == (Phase::Parting { said: true }) {
            self.phase = Phase::Ending(End::Orderly);
        }
    }

    /// So much waits in the layer below. The next look at the marks counts it.
    pub(crate) fn set_below(&mut self, size: usize) {
        self.below = u8::try_from(size.div_ceil(1024)).unwrap_or(u8::MAX);
    }

    /// What waits here and below, or up to a KiB less. That is for the high mark: nobody is told to pause
    /// for less.
    pub(super) fn least_with_below(&self) -> usize {
        self.size() + usize::from(self.below.saturating_sub(1)) * 1024
    }

    /// What waits here and below, or up to a KiB more. That is for the low mark: nobody is told to go on
    /// while more waits.
    pub(super) fn most_with_below(&self) -> usize {
        self.size() + usize::from(self.below) * 1024
    }

    /// Whether somebody waits until less waits below.
    #[cfg(feature = "tls")]
    pub(crate) fn waits_for_below(&self) -> bool {
        self.flow != Flow::Open || self.is(Fact::Blocked) || self.is_parting()
    }

    /// Whether the protocol was told to pause writing, and not yet to go on.
    #[cfg(feature = "tls")]
    pub(crate) fn was_told_to_pause(&self) -> bool {
        matches!(self.flow, Flow::Paused | Flow::ResumeOwed)
    }

    /// The protocol was told so before, by another transport: it is owed a word when it may go on.
    #[cfg(feature = "tls")]
    pub(crate) fn begin_paused(&mut self) {
        self.flow = Flow::Paused;
        self.review_flow();
    }

    /// Whether bytes may still go both ways, which is needed for another protocol below them.
    #[cfg(feature = "tls")]
    pub(crate) fn is_open_both_ways(&self) -> bool {
        use super::{Input, Writing};
        let Phase::Open { input, writing } = self.phase else { return false };
        matches!(input, Input::Flowing | Input::Paused)
            && writing == Writing::Open
            && self.is_made()
    }
}
