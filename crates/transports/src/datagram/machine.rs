//! [`DatagramMachine`]: what a datagram endpoint holds and owes, as plain data: the queue, its marks
//! and limits, errors to be told, and the order of the protocol's calls. It knows no socket.
//!
//! Datagrams wait in lanes, each first in, first out. A UDP socket has one lane: if the system takes
//! nothing, then for nobody. A Unix socket without a fixed peer has a lane for each receiver, since
//! there it is the receiver who is full, and one that never reads must not hold up the others.
//!
//! Invariants: no lane is empty; `size` and `held` are the sums over all lanes; the first `blocked`
//! lanes wait for the system, the others may be tried.

mod lanes;
#[cfg(test)]
mod tests;

pub(super) use lanes::Queued;

use super::DatagramError;
use crate::limits::OutputLimits;
use crate::{Address, WriteBufferLimits};
use lanes::Lanes;
use std::collections::VecDeque;

/// What the protocol is to be told next.
#[derive(Debug)]
pub(super) enum Call {
    ConnectionMade,
    ErrorReceived(DatagramError),
    PauseWriting,
    ResumeWriting,
    ConnectionLost(End),
    /// The end of an endpoint whose protocol never heard of it.
    Vanished(End),
}

/// [`Call`], without what it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owed {
    ConnectionMade,
    ErrorReceived,
    PauseWriting,
    ResumeWriting,
    End,
}

/// How an endpoint ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Our own close or abort.
    Orderly,
    /// With a reason.
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    /// `connection_made` is owed.
    New,
    Open,
    /// Closed, with something left to send or to tell.
    Draining,
    /// The end is owed to the protocol, if `made`.
    Over {
        end: End,
        made: bool,
    },
    Lost,
}

/// What an endpoint holds and owes.
#[derive(Debug)]
pub(super) struct DatagramMachine {
    life: Life,
    lanes: Lanes,
    limits: OutputLimits,
    errors: VecDeque<DatagramError>,
    /// The protocol was told to stop.
    paused: bool,
    /// The user does not want to read.
    reading_paused: bool,
    /// The queue reached its hard limit: nothing is read until it has fallen.
    held_back: bool,
}

/// More errors than this do not wait to be told: a burst of sends that all fail must not fill the
/// memory.
const MOST_ERRORS: usize = 64;

impl DatagramMachine {
    /// `lane_each` for a lane for each receiver.
    pub(super) fn new(limits: OutputLimits, lane_each: bool) -> Self {
        Self {
            life: Life::New,
            lanes: Lanes::new(lane_each),
            limits,
            errors: VecDeque::new(),
            paused: false,
            reading_paused: false,
            held_back: false,
        }
    }

    // What is queued

    /// Whether something waits that a datagram for `to` must not overtake.
    pub(super) fn must_wait(&self, to: Option<&Address>) -> bool {
        self.lanes.has_lane_of(to)
    }

    /// Queues a datagram: behind others, or because the system has just refused it.
    pub(super) fn push(&mut self, data: &[u8], to: Option<&Address>) {
        self.lanes.push(data, to);
    }

    /// The next that may be tried.
    pub(super) fn next(&self) -> Option<&Queued> {
        self.lanes.next()
    }

    /// The next was sent, or failed: it is gone.
    pub(super) fn pop(&mut self) -> Option<Queued> {
        let popped = self.lanes.pop();
        self.after_shrinking();
        popped
    }

    /// The system does not take the next now, nor what waits behind it.
    pub(super) fn block(&mut self) {
        self.lanes.block();
    }

    /// All may be tried again.
    pub(super) fn unblock(&mut self) {
        self.lanes.unblock();
    }

    /// Drops all that is queued, and says how many there were.
    pub(super) fn drop_queue(&mut self) -> usize {
        let dropped = self.lanes.clear();
        self.after_shrinking();
        dropped
    }

    pub(super) fn is_queue_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// What waits, by the count of the marks: eight bytes for each datagram besides its own.
    pub(super) fn size(&self) -> usize {
        self.lanes.size()
    }

    /// What waits, by the memory that it takes.
    pub(super) fn held(&self) -> usize {
        self.lanes.held()
    }

    pub(super) fn is_over_high_mark(&self) -> bool {
        self.size() > self.limits.marks.high.0
    }

    pub(super) fn is_at_cap(&self) -> bool {
        self.held() >= self.limits.cap.size.0
    }

    fn is_at_low_mark(&self) -> bool {
        self.size() <= self.limits.marks.low.0
    }

    fn after_shrinking(&mut self) {
        if self.is_at_low_mark() {
            self.held_back = false;
        }
        self.finish_draining();
    }

    /// Reads nothing until the queue has fallen to the low mark, if there is one: it may be that the
    /// limit lets nothing be queued at all.
    pub(super) fn hold_back(&mut self) {
        self.held_back = !self.lanes.is_empty();
    }

    pub(super) fn limits(&self) -> &OutputLimits {
        &self.limits
    }

    pub(super) fn set_limits(&mut self, limits: OutputLimits) {
        self.limits = limits;
        self.after_shrinking();
    }

    pub(super) fn marks(&self) -> WriteBufferLimits {
        self.limits.marks
    }

    // Reading

    pub(super) fn may_read(&self) -> bool {
        self.life == Life::Open && !self.reading_paused && !self.held_back
    }

    /// Whether the user may expect datagrams.
    pub(super) fn is_reading(&self) -> bool {
        matches!(self.life, Life::New | Life::Open) && !self.reading_paused
    }

    /// Says whether that is a change.
    pub(super) fn set_reading(&mut self, reading: bool) -> bool {
        let change = !self.is_closing() && self.reading_paused == reading;
        if change {
            self.reading_paused = !reading;
        }
        change
    }

    // Its life

    /// An error to be told. Says whether it will be.
    pub(super) fn push_error(&mut self, error: DatagramError) -> bool {
        let room = self.errors.len() < MOST_ERRORS && !self.is_over();
        if room {
            self.errors.push_back(error);
        }
        room
    }

    pub(super) fn is_closing(&self) -> bool {
        !matches!(self.life, Life::New | Life::Open)
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.life, Life::Over { .. } | Life::Lost)
    }

    pub(super) fn is_lost(&self) -> bool {
        self.life == Life::Lost
    }

    pub(super) fn is_draining(&self) -> bool {
        self.life == Life::Draining
    }

    pub(super) fn close(&mut self) {
        match self.life {
            Life::New => self.life = Life::Over { end: End::Orderly, made: false },
            Life::Open => self.life = Life::Draining,
            Life::Draining | Life::Over { .. } | Life::Lost => {}
        }
        self.finish_draining();
    }

    fn finish_draining(&mut self) {
        if self.life == Life::Draining && self.lanes.is_empty() && self.errors.is_empty() {
            self.life = Life::Over { end: End::Orderly, made: true };
        }
    }

    /// Ends it now; the queue and the errors are dropped. Says whether this is its end, and how many
    /// datagrams were dropped.
    pub(super) fn abort(&mut self, end: End) -> Option<usize> {
        let made = match self.life {
            Life::New => false,
            Life::Open | Life::Draining => true,
            Life::Over { .. } | Life::Lost => return None,
        };
        self.life = Life::Over { end, made };
        self.errors.clear();
        Some(self.lanes.clear())
    }

    /// The protocol was replaced: the new one has heard of nothing (P-21).
    pub(super) fn protocol_replaced(&mut self) {
        self.paused = false;
    }

    /// Whether it may send and read, and neither queues nor owes anything.
    #[inline]
    pub(super) fn is_ordinary(&self) -> bool {
        self.life == Life::Open
            && !(self.paused || self.reading_paused || self.held_back)
            && self.errors.is_empty()
            && self.lanes.is_empty()
    }

    /// What the protocol is to be told next, if anything.
    pub(super) fn owed(&self) -> Option<Owed> {
        match self.life {
            Life::New => Some(Owed::ConnectionMade),
            Life::Open | Life::Draining => {
                if !self.errors.is_empty() {
                    Some(Owed::ErrorReceived)
                } else if !self.paused && self.is_over_high_mark() {
                    Some(Owed::PauseWriting)
                } else if self.paused && self.is_at_low_mark() {
                    Some(Owed::ResumeWriting)
                } else {
                    None
                }
            }
            Life::Over { .. } => Some(Owed::End),
            Life::Lost => None,
        }
    }

    /// Takes the next call out: it is made now.
    pub(super) fn next_call(&mut self) -> Option<Call> {
        Some(match self.owed()? {
            Owed::ConnectionMade => {
                self.life = Life::Open;
                Call::ConnectionMade
            }
            Owed::ErrorReceived => {
                let error = self.errors.pop_front()?;
                self.finish_draining();
                Call::ErrorReceived(error)
            }
            Owed::PauseWriting => {
                self.paused = true;
                Call::PauseWriting
            }
            Owed::ResumeWriting => {
                self.paused = false;
                Call::ResumeWriting
            }
            Owed::End => match std::mem::replace(&mut self.life, Life::Lost) {
                Life::Over { end, made: true } => Call::ConnectionLost(end),
                Life::Over { end, made: false } => Call::Vanished(end),
                Life::New | Life::Open | Life::Draining | Life::Lost => return None,
            },
        })
    }
}
