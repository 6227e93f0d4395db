//! [`Lanes`]: the datagrams that wait, in order for each receiver. The receivers take turns, so that
//! none waits for ever behind one for whom there is always more.

use crate::Address;
use indexmap::IndexMap;
use std::collections::VecDeque;

/// A datagram that waits.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::datagram) struct Queued {
    pub(in crate::datagram) data: Box<[u8]>,
    pub(in crate::datagram) to: Option<Address>,
}

/// What a datagram counts for the marks besides its bytes.
const HEADER: usize = 8;
/// What it takes in memory besides its bytes: its place in the queue, and what an allocation costs.
const OVERHEAD: usize = size_of::<Queued>() + 16;

impl Queued {
    fn size(&self) -> usize {
        self.data.len() + HEADER
    }

    fn held(&self) -> usize {
        self.data.len() + OVERHEAD
    }
}

/// The datagrams that wait. The first `blocked` lanes wait for the system; none is empty.
#[derive(Debug)]
pub(super) struct Lanes {
    lanes: IndexMap<Option<Address>, VecDeque<Queued>>,
    blocked: usize,
    /// The lane whose turn it is; any other number stands for the first that is not blocked.
    turn: usize,
    size: usize,
    held: usize,
    /// Whether each receiver has its own lane, or all share one.
    lane_each: bool,
}

impl Lanes {
    pub(super) fn new(lane_each: bool) -> Self {
        Self { lanes: IndexMap::new(), blocked: 0, turn: 0, size: 0, held: 0, lane_each }
    }

    fn lane_of(&self, to: Option<&Address>) -> Option<Address> {
        if self.lane_each { to.cloned() } else { None }
    }

    pub(super) fn has_lane_of(&self, to: Option<&Address>) -> bool {
        !self.lanes.is_empty() && self.lanes.contains_key(&self.lane_of(to))
    }

    /// A lane that is new is blocked: what begins it was refused.
    pub(super) fn push(&mut self, data: &[u8], to: Option<&Address>) {
        let queued = Queued { data: data.into(), to: to.cloned() };
        self.size += queued.size();
        self.held += queued.held();
        let lanes = self.lanes.len();
        let lane = self.lane_of(to);
        self.lanes.entry(lane).or_default().push_back(queued);
        if self.lanes.len() > lanes {
            self.lanes.swap_indices(lanes, self.blocked);
            self.blocked += 1;
        }
    }

    pub(super) fn next(&self) -> Option<&Queued> {
        let (_, lane) = self.lanes.get_index(self.current())?;
        lane.front()
    }

    /// Takes the next out; then it is the turn of the next lane.
    pub(super) fn pop(&mut self) -> Option<Queued> {
        let index = self.current();
        let (_, lane) = self.lanes.get_index_mut(index)?;
        let queued = lane.pop_front()?;
        if lane.is_empty() {
            self.lanes.swap_remove_index(index);
            self.turn = index; // another one has come to its place
        } else {
            self.turn = index + 1;
        }
        self.size -= queued.size();
        self.held -= queued.held();
        Some(queued)
    }

    pub(super) fn block(&mut self) {
        let index = self.current();
        if index < self.lanes.len() {
            self.lanes.swap_indices(index, self.blocked); // that one had its turn before
            self.blocked += 1;
            self.turn = index + 1;
        }
    }

    pub(super) fn unblock(&mut self) {
        self.blocked = 0;
    }

    fn current(&self) -> usize {
        let has_turn = (self.blocked..self.lanes.len()).contains(&self.turn);
        if has_turn { self.turn } else { self.blocked }
    }

    /// Drops all, and says how many there were.
    pub(super) fn clear(&mut self) -> usize {
        let count = self.lanes.values().map(VecDeque::len).sum();
        *self = Self::new(self.lane_each);
        count
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    pub(super) fn held(&self) -> usize {
        self.held
    }
}
