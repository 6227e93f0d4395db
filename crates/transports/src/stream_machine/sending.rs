//! The output: what is taken, what may leave, and what the protocol is owed because of the marks.

use super::{Fact, Flow, Hold, Input, Output, Phase, StreamMachine, Writing};
use crate::limits::OutputLimits;
use crate::{CapPolicy, WriteBufferLimits, WriteRefusal};
use std::rc::Rc;

impl StreamMachine {
    /// Where a write of `size` bytes may be collected, if no limit is near: it leaves with the next flush.
    /// Only for an [ordinary](StreamMachine::is_ordinary) one, below which nothing waits.
    #[inline(always)] // see `StreamTransport::write_parts`
    pub(crate) fn room_for(
        &mut self,
        size: usize,
        spare: impl FnOnce() -> Box<Output>,
    ) -> Option<&mut Output> {
        debug_assert!(self.is_ordinary() && size > 0);
        let limits = self.limits();
        let room = limits.marks.high.min(limits.cap.size).0;
        let is_near = self.size() + size > room;
        (!is_near).then(|| &mut **self.output.get_or_insert_with(spare))
    }

    /// Whether a write is taken now. Every way to write that is not as simple asks here first.
    pub(crate) fn admit(&mut self) -> Result<(), WriteRefusal> {
        match self.phase {
            Phase::Open { .. } | Phase::Draining { .. } if self.has_file() => {
                return Err(WriteRefusal::SendingFile);
            }
            Phase::Open { writing: Writing::Absent, .. } => return Err(WriteRefusal::ReadOnly),
            Phase::Open { writing: Writing::Finishing | Writing::Shut, .. } => {
                return Err(WriteRefusal::AfterEof);
            }
            Phase::Open { writing: Writing::Open, .. } => {}
            Phase::Draining { writing: Writing::Open } => {}
            Phase::Draining { .. } | Phase::Parting { .. } | Phase::Salvaging => {
                return Err(WriteRefusal::Closed);
            }
            Phase::Ending(_) | Phase::Lost => return Err(WriteRefusal::Closed),
        }
        if !self.is_at_cap() {
            return Ok(());
        }
        match self.limits().cap.policy {
            CapPolicy::Refuse | CapPolicy::Abort => {}
            CapPolicy::PauseReading => self.hold(Hold::Cap),
        }
        Err(WriteRefusal::OverCap)
    }

    /// Whether `more` bytes are better sent at once with what waits than collected.
    pub(crate) fn passes_high_mark(&self, more: usize) -> bool {
        self.may_send_at_once() && self.size() + more > self.limits().marks.high.0
    }

    /// Whether what is written may be sent before the turn is over.
    pub(crate) fn may_send_at_once(&self) -> bool {
        self.is_made() && !self.waits_to_send()
    }

    /// Puts `data` behind what waits. `spare` gives the buffer, if there is none yet.
    pub(crate) fn push(&mut self, data: &[u8], spare: impl FnOnce() -> Box<Output>) {
        if !data.is_empty() {
            self.output.get_or_insert_with(spare).push(data);
        }
        if self.waits_to_send() {
            self.review_flow();
        }
    }

    /// As [`push`](StreamMachine::push), without a copy where nothing waits.
    pub(crate) fn push_vec(&mut self, data: Vec<u8>, spare: impl FnOnce() -> Box<Output>) {
        if self.size() > 0 || data.is_empty() {
            return self.push(&data, spare);
        }
        self.output.get_or_insert_with(spare).adopt(data);
        if self.waits_to_send() {
            self.review_flow();
        }
    }

    /// What waits to be sent.
    pub(crate) fn unsent(&self) -> &[u8] {
        self.output.as_ref().map_or(&[], |output| output.unsent())
    }

    /// The next `count` bytes were handed to the system.
    pub(crate) fn sent(&mut self, count: usize) {
        if let Some(output) = &mut self.output {
            output.sent(count);
        }
    }

    /// The system takes no more for now.
    pub(crate) fn block(&mut self) {
        self.set(Fact::Blocked, true);
    }

    /// Sends nothing until this is taken back.
    pub(crate) fn hold_output(&mut self, held: bool) {
        self.set(Fact::OutputHeld, held);
    }

    /// What was collected has to wait: looks at the marks.
    pub(crate) fn output_waits(&mut self) {
        self.review_flow();
    }

    /// Whether what waits cannot be sent now, because of the system or of the bandwidth.
    pub(super) fn waits_to_send(&self) -> bool {
        self.facts & (Fact::Blocked as u16 | Fact::OutputHeld as u16) != 0
    }

    /// The system may take more again.
    pub(crate) fn unblock(&mut self) {
        self.set(Fact::Blocked, false);
    }

    /// All that an [ordinary](StreamMachine::is_ordinary) one has collected. If the system takes it as a
    /// whole nothing else changes; if not, it is [put back](StreamMachine::put_back).
    #[inline]
    pub(crate) fn take_collected(&mut self) -> Option<Box<Output>> {
        self.output.take()
    }

    /// What was taken to be sent is still to be sent; nothing was collected meanwhile.
    #[cold]
    pub(crate) fn put_back(&mut self, output: Box<Output>) {
        self.output = Some(output);
    }

    /// To be called after sending, whether all went out or not: looks at the marks, and ends what
    /// only waited for the output. Gives back the buffer that is not needed any more.
    pub(crate) fn after_sending(&mut self) -> Option<Box<Output>> {
        self.review_flow();
        if self.size() > 0 {
            return None;
        }
        self.set(Fact::Blocked, false);
        self.finish_draining();
        self.output.take()
    }

    /// Ends what was closed once nothing is left to be sent. A `resume_writing` that is owed comes
    /// before, and may write more: then this is called again after it.
    pub(crate) fn finish_draining(&mut self) {
        if self.is_draining() && self.size() == 0 && !self.has_file() && self.flow == Flow::Open {
            self.phase = self.orderly_end();
        }
    }

    /// Our direction was shut.
    pub(crate) fn shut(&mut self) {
        if let Phase::Open { input, writing: Writing::Finishing } = self.phase {
            self.phase = match input {
                Input::Ended => Phase::Draining { writing: Writing::Shut },
                _ => Phase::Open { input, writing: Writing::Shut },
            };
            self.finish_draining();
        }
    }

    /// Sets the limits; both marks are looked at anew.
    pub(crate) fn set_limits(&mut self, limits: OutputLimits) {
        self.limits = Some(Rc::new(limits));
        self.review_flow();
    }

    pub(crate) fn review_flow(&mut self) {
        let WriteBufferLimits { high, low } = self.limits().marks;
        if self.most_with_below() <= low.0 {
            self.release(Hold::Cap);
            self.flow = match self.flow {
                Flow::Paused => Flow::ResumeOwed,
                Flow::PauseOwed => Flow::Open,
                same @ (Flow::Open | Flow::ResumeOwed) => same,
            };
        } else if self.least_with_below() > high.0 {
            self.flow = match self.flow {
                Flow::Open => Flow::PauseOwed,
                Flow::ResumeOwed => Flow::Paused,
                same @ (Flow::PauseOwed | Flow::Paused) => same,
            };
        }
    }
}
