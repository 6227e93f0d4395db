//! [`StreamMachine`]: the state of one stream transport, without a descriptor and without user code.
//!
//! It is told what happened (a write, a close, bytes sent, the peer's end of file) and answers what
//! may be done now: read, send, shut, and which method of the protocol is owed next. Whoever drives
//! it does the I/O and makes the calls, one at a time.
//!
//! Invariants: [`StreamMachine::next_call`] gives the grammar of P-1, P-6 and P-7, whatever happens;
//! bytes leave in the order in which they were taken, each once, or the end is [`End::Failed`] or
//! was asked for with `abort`.

#[cfg(test)]
mod answers;
mod file;
mod goodbye;
mod output;
mod requests;
mod sending;
#[cfg(test)]
mod tests;
mod unread;

use file::FileState;
pub(crate) use output::Output;

use crate::Eof;
use crate::limits::{DEFAULT_LIMITS, OutputLimits};
use eventloop::Interest;
use std::rc::Rc;

/// The state of one stream transport.
pub(crate) struct StreamMachine {
    phase: Phase,
    /// What is so or not, a bit for each [`Fact`], and why reading waits, although nobody asked for it: a
    /// bit for each [`Hold`]. One comparison finds that nothing is unusual.
    facts: u16,
    flow: Flow,
    file: FileState,
    /// How much waits in the layer below, for the marks, in whole KiB.
    below: u8,
    /// What waits to be sent; `None` when nothing does, so that idle connections hold no buffer.
    output: Option<Box<Output>>,
    /// `None`: those that all share.
    limits: Option<Rc<OutputLimits>>,
}

/// The life of a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Each direction goes its own way.
    Open { input: Input, writing: Writing },
    /// It was closed with something left to send. `writing` tells whether more is taken.
    Draining { writing: Writing },
    /// All was sent; it remains to say goodbye, and to wait for the peer's.
    Parting { said: bool },
    /// Sending failed: what the system had received before is still delivered.
    Salvaging,
    /// Nothing more happens but `connection_lost`.
    Ending(End),
    /// It was told, or there was nobody to tell.
    Lost,
}

/// The direction from the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    Flowing,
    Paused,
    /// The peer has ended it; the protocol has yet to be told.
    EofOwed,
    /// The protocol was told, and keeps our direction open.
    Ended,
    /// There is none: this only writes. `watched`: whether it is noticed that the reader is gone
    /// before something is written.
    Absent {
        watched: bool,
    },
}

/// The direction to the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writing {
    Open,
    /// `write_eof` was called; what waits goes out first.
    Finishing,
    /// The peer was told.
    Shut,
    /// There is none: this only reads.
    Absent,
}

/// What the protocol knows about the water marks. Crossing back before it was told owes it nothing,
/// so the two calls alternate (P-6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Open,
    PauseOwed,
    Paused,
    ResumeOwed,
}

/// Why nothing is read for now, besides the user's own wish. No bit is that of a [`Fact`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Hold {
    /// The output has reached its hard limit.
    Cap = 1 << 8,
    /// The connection holds more memory than its budget allows.
    Memory = 1 << 9,
    /// Its protocol took more time than its budget allows.
    Time = 1 << 10,
    /// What was read is not paid for yet, by its bandwidth.
    Bandwidth = 1 << 11,
}

/// The bits of all of them.
const HELD: u16 = 0xFF << 8;

/// What is so, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
enum Fact {
    /// The protocol was told `connection_made`. Before that it is told nothing at all.
    Made = 1,
    /// Bytes that the protocol gave back wait for it.
    Unread = 2,
    /// The end is said to the peer, and answered, before it is one.
    SaysGoodbye = 4,
    /// Sending waits for its bandwidth.
    OutputHeld = 8,
    /// The peer's end of file was read: nothing is left to be received.
    PeerEnded = 16,
    /// The last send left something over: the next one waits for readiness.
    Blocked = 32,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Our own close or abort, or the peer's end of file (P-16).
    Orderly,
    /// There is a reason, which the driver keeps.
    Failed,
}

/// A method of the protocol that is to be called now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    ConnectionMade,
    PauseWriting,
    ResumeWriting,
    /// The answer goes to [`StreamMachine::eof_answered`].
    EofReceived,
    ConnectionLost(End),
    /// It ended before `connection_made`: nobody is told (P-7).
    Vanished(End),
}

impl StreamMachine {
    /// A connection that the protocol does not know of yet.
    pub(crate) fn new(limits: Option<Rc<OutputLimits>>) -> Self {
        Self {
            phase: Phase::Open { input: Input::Flowing, writing: Writing::Open },
            facts: 0,
            flow: Flow::Open,
            file: FileState::None,
            below: 0,
            output: None,
            limits,
        }
    }

    /// As [`new`](StreamMachine::new), for one that only reads (P-5).
    pub(crate) fn only_reading(limits: Option<Rc<OutputLimits>>) -> Self {
        let phase = Phase::Open { input: Input::Flowing, writing: Writing::Absent };
        Self { phase, ..Self::new(limits) }
    }

    /// As [`new`](StreamMachine::new), for one that only writes (P-5). If `watched`, readiness to read
    /// is watched: it tells that the reader is gone.
    pub(crate) fn only_writing(limits: Option<Rc<OutputLimits>>, watched: bool) -> Self {
        let phase = Phase::Open { input: Input::Absent { watched }, writing: Writing::Open };
        Self { phase, ..Self::new(limits) }
    }

    /// As [`new`](StreamMachine::new), for one whose end is said to the peer, who answers.
    #[cfg(feature = "tls")]
    pub(crate) fn saying_goodbye(limits: Option<Rc<OutputLimits>>) -> Self {
        Self { facts: Fact::SaysGoodbye as u16, ..Self::new(limits) }
    }

    // Questions

    /// Whether the protocol knows of it.
    pub(crate) fn is_made(&self) -> bool {
        self.is(Fact::Made)
    }

    /// Whether it is as it nearly always is: bytes may go both ways, and nothing is owed, held, or waited
    /// for, but perhaps something collected. So one look answers all questions.
    #[inline]
    pub(crate) fn is_ordinary(&self) -> bool {
        const OPEN: Phase = Phase::Open { input: Input::Flowing, writing: Writing::Open };
        self.phase == OPEN
            && self.facts & !(Fact::SaysGoodbye as u16) == Fact::Made as u16
            && self.flow == Flow::Open
            && self.file == FileState::None
    }

    pub(crate) fn is_closing(&self) -> bool {
        !matches!(self.phase, Phase::Open { .. })
    }

    /// Whether it was closed and what was written is still being sent.
    pub(crate) fn is_draining(&self) -> bool {
        matches!(self.phase, Phase::Draining { .. })
    }

    pub(crate) fn is_salvaging(&self) -> bool {
        self.phase == Phase::Salvaging
    }

    /// Whether the end has come: only `connection_lost` may be owed.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Ending(_) | Phase::Lost)
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.phase == Phase::Lost
    }

    /// Whether it has failed, or is gone.
    pub(crate) fn is_broken(&self) -> bool {
        match self.phase {
            Phase::Open { .. } | Phase::Draining { .. } | Phase::Parting { .. } => false,
            Phase::Ending(End::Orderly) => false,
            Phase::Salvaging | Phase::Ending(End::Failed) | Phase::Lost => true,
        }
    }

    /// As the user sees it: not while paused or while a file is sent, not when closing, not after
    /// the end of file.
    pub(crate) fn is_reading(&self) -> bool {
        matches!(self.phase, Phase::Open { input: Input::Flowing, .. }) && !self.has_file()
    }

    /// Whether something was taken and is not sent.
    pub(crate) fn has_unsent(&self) -> bool {
        self.size() > 0 || self.has_file()
    }

    /// Whether bytes may be read and delivered now (P-20, X-12).
    #[inline]
    pub(crate) fn may_read(&self) -> bool {
        let wanted = || self.is_reading() || self.is_salvaging();
        self.is_ordinary()
            || self.is_made() && !self.is_held() && wanted()
            || self.may_deliver_unread()
    }

    /// Whether something waits and may be sent now.
    pub(crate) fn may_send(&self) -> bool {
        self.sendable() > 0
    }

    /// How much waits and may be sent now.
    #[inline]
    pub(crate) fn sendable(&self) -> usize {
        if self.is_made() && !self.waits_to_send() { self.size() } else { 0 }
    }

    /// Whether our direction is to be shut now: `write_eof` was called and nothing waits.
    pub(crate) fn may_shut(&self) -> bool {
        let finishing = matches!(self.phase, Phase::Open { writing: Writing::Finishing, .. });
        self.is_made() && finishing && self.size() == 0 && !self.has_file()
    }

    /// Whether the peer has ended its direction, and all that it sent was read.
    pub(crate) fn peer_has_ended(&self) -> bool {
        self.is(Fact::PeerEnded)
    }

    /// Whether something can be done for the output now.
    pub(crate) fn wants_flush(&self) -> bool {
        self.may_send() || self.may_send_file() || self.may_shut() || self.may_say_goodbye()
    }

    /// What is to be watched.
    pub(crate) fn interest(&self) -> Interest {
        let reading = !self.is_held() && self.is_reading();
        let readable = self.is_made() && (reading || self.is_watching_reader());
        let waits = self.size() > 0 || self.file == FileState::Sending;
        let blocked = self.is(Fact::Blocked) && !self.is(Fact::OutputHeld);
        Interest { readable, writable: blocked && waits }
    }

    fn is_watching_reader(&self) -> bool {
        matches!(self.phase, Phase::Open { input: Input::Absent { watched: true }, .. })
    }

    /// How much waits to be sent.
    pub(crate) fn size(&self) -> usize {
        self.output.as_ref().map_or(0, |output| output.len())
    }

    pub(crate) fn limits(&self) -> &OutputLimits {
        self.limits.as_deref().unwrap_or(&DEFAULT_LIMITS)
    }

    /// Whether more waits than the high mark allows.
    pub(crate) fn is_over_high_mark(&self) -> bool {
        self.least_with_below() > self.limits().marks.high.0
    }

    /// Whether the hard limit is reached.
    pub(crate) fn is_at_cap(&self) -> bool {
        self.size() >= self.limits().cap.size.0.max(1)
    }

    /// The memory of what waits to be sent.
    pub(crate) fn output_memory(&self) -> usize {
        self.output.as_ref().map_or(0, |output| size_of::<Output>() + output.capacity())
    }

    /// Gives back the room that the output does not need: its buffer may have been larger before.
    pub(crate) fn trim_output(&mut self) {
        if let Some(output) = &mut self.output {
            output.trim();
        }
    }

    fn is(&self, fact: Fact) -> bool {
        self.facts & fact as u16 != 0
    }

    fn set(&mut self, fact: Fact, so: bool) {
        self.facts = if so { self.facts | fact as u16 } else { self.facts & !(fact as u16) };
    }

    // Holding the input

    /// Reads nothing for this reason, until [`release`](StreamMachine::release).
    pub(crate) fn hold(&mut self, reason: Hold) {
        self.facts |= reason as u16;
    }

    pub(crate) fn release(&mut self, reason: Hold) {
        self.facts &= !(reason as u16);
    }

    pub(crate) fn is_held_by(&self, reason: Hold) -> bool {
        self.facts & reason as u16 != 0
    }

    fn is_held(&self) -> bool {
        self.facts & HELD != 0
    }

    // What the system says

    /// The peer has ended its direction.
    pub(crate) fn peer_eof(&mut self) {
        self.set(Fact::PeerEnded, true);
        match &mut self.phase {
            Phase::Open { input, .. } if *input != Input::Ended => *input = Input::EofOwed,
            Phase::Salvaging => self.phase = Phase::Ending(End::Failed),
            Phase::Open { .. } | Phase::Draining { .. } | Phase::Parting { .. } => {}
            Phase::Ending(_) | Phase::Lost => {}
        }
    }

    /// Whether the reader is gone cannot be learned by watching.
    pub(crate) fn stop_watching_reader(&mut self) {
        if let Phase::Open { input: Input::Absent { watched }, .. } = &mut self.phase {
            *watched = false;
        }
    }

    /// The protocol's answer to [`Call::EofReceived`].
    pub(crate) fn eof_answered(&mut self, answer: Eof) {
        match (answer, self.phase) {
            (Eof::Close, _) => self.close(),
            (
                Eof::KeepOpen,
                Phase::Open { input: Input::Ended, writing: Writing::Shut | Writing::Absent },
            ) => {
                self.phase = Phase::Ending(End::Orderly);
            }
            (Eof::KeepOpen, _) => {}
        }
    }

    /// Sending failed. What was received before is still delivered, if the protocol wants it now.
    /// Says whether this is what ended it.
    pub(crate) fn fail_sending(&mut self) -> bool {
        self.file = FileState::None;
        let readable = self.is_made() && self.is_reading();
        let decides = self.abort(End::Failed);
        if decides && readable {
            self.facts &= !HELD; // that was for the sake of what is lost now
            self.phase = Phase::Salvaging;
        }
        decides
    }

    /// Nothing is left to be salvaged.
    pub(crate) fn salvaged(&mut self) {
        if self.is_salvaging() {
            self.phase = Phase::Ending(End::Failed);
        }
    }

    // The protocol

    /// The next call that the protocol is owed, which counts as made. `data_received` is not among
    /// them: it needs [`may_read`](StreamMachine::may_read) only.
    pub(crate) fn next_call(&mut self) -> Option<Call> {
        let call = self.owed_call()?;
        match call {
            Call::ConnectionMade => self.set(Fact::Made, true),
            Call::PauseWriting => self.flow = Flow::Paused,
            Call::ResumeWriting => self.flow = Flow::Open,
            Call::EofReceived => {
                if let Phase::Open { input, .. } = &mut self.phase {
                    *input = Input::Ended;
                }
            }
            Call::ConnectionLost(_) | Call::Vanished(_) => self.phase = Phase::Lost,
        }
        Some(call)
    }

    /// What [`next_call`](StreamMachine::next_call) would give.
    pub(crate) fn owed_call(&self) -> Option<Call> {
        match self.phase {
            Phase::Ending(end) if self.is_made() => Some(Call::ConnectionLost(end)),
            Phase::Ending(end) => Some(Call::Vanished(end)),
            Phase::Lost | Phase::Salvaging | Phase::Parting { .. } => None,
            Phase::Open { .. } | Phase::Draining { .. } if !self.is_made() => {
                Some(Call::ConnectionMade)
            }
            Phase::Open { input, .. } => self.owed_flow().or(match input {
                Input::EofOwed => Some(Call::EofReceived),
                Input::Flowing | Input::Paused | Input::Ended | Input::Absent { .. } => None,
            }),
            Phase::Draining { .. } => self.owed_flow(),
        }
    }

    /// Another protocol has taken over: what it is told of the marks begins anew, so that each
    /// protocol sees pauses and resumes alternate (P-6, P-21).
    pub(crate) fn protocol_replaced(&mut self) {
        self.flow = match self.flow {
            Flow::Paused => Flow::PauseOwed,
            Flow::ResumeOwed => Flow::Open,
            same @ (Flow::Open | Flow::PauseOwed) => same,
        };
    }

    /// While a file is sent nobody could heed it.
    fn owed_flow(&self) -> Option<Call> {
        match self.flow {
            _ if self.has_file() => None,
            Flow::PauseOwed => Some(Call::PauseWriting),
            Flow::ResumeOwed => Some(Call::ResumeWriting),
            Flow::Open | Flow::Paused => None,
        }
    }

    fn drop_output(&mut self) {
        self.output = None;
        self.file = FileState::None;
        self.set(Fact::Blocked, false);
    }
}
