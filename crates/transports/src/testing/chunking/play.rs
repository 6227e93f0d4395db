//! One run: a schedule played to a protocol, and what was seen of it.

use super::notes::{Note, Notes};
use super::schedule::{Gap, Schedule, Wait, literal};
use super::{Chunking, Ending};
use crate::testing::{MemoryOptions, MemoryPair};
use crate::{Bytes, Eof, Protocol, Transport, WriteBufferCap, WriteBufferLimits};
use eventloop::TestLoop;
use futures::{Exception, Future};
use std::cell::{Cell, RefCell};
use std::num::NonZeroU32;
use std::rc::Rc;

/// What was seen in one run of a [`Chunking`].
pub struct ChunkingRun {
    sent: Vec<u8>,
    ending: Ending,
    /// When all of the input was handled, and before its end.
    before: Seen,
    /// At the end.
    after: Seen,
    /// The peer could not send all, since the protocol had closed; so it may have lost what it had not read.
    peer_was_cut: bool,
    most_held: usize,
    panic: Option<String>,
    leftovers: Vec<String>,
}

/// What can be seen of a protocol at some moment.
#[derive(Clone, PartialEq, Eq)]
struct Seen {
    notes: Vec<Note>,
    replies: Vec<u8>,
    /// The peer was told that no more replies come.
    ended: bool,
    closing: bool,
}

impl ChunkingRun {
    /// The input that was sent: all of it, or less where it was broken off.
    pub fn sent(&self) -> &[u8] {
        &self.sent
    }

    /// How it ended.
    pub fn ending(&self) -> Ending {
        self.ending
    }

    /// What the protocol wrote, as far as the peer received it.
    pub fn replies(&self) -> &[u8] {
        &self.after.replies
    }

    /// What the protocol noted.
    pub fn notes(&self) -> Vec<String> {
        self.after.notes.iter().map(Note::to_string).collect()
    }

    /// The most that [`Protocol::memory_held`] answered, asked after each piece.
    pub fn most_held(&self) -> Bytes {
        Bytes(self.most_held)
    }

    /// Whether it could not differ from any other.
    pub(super) fn shows_nothing(&self) -> bool {
        self.after.notes.is_empty() && self.after.replies.is_empty() && !self.before.closing
    }

    pub(super) fn panic(&self) -> Option<&str> {
        self.panic.as_deref()
    }

    pub(super) fn leftovers(&self) -> &[String] {
        &self.leftovers
    }

    /// What is not the same in `other`, of which this is the same in one piece.
    pub(super) fn difference(&self, other: &ChunkingRun, lossy: bool) -> Option<String> {
        let lossy = lossy || self.peer_was_cut || other.peer_was_cut;
        let before = self.before.difference(&other.before, lossy);
        let after = || self.after.difference(&other.after, lossy);
        before.or_else(|| after().map(|difference| format!("{difference}, at the end")))
    }
}

impl Seen {
    /// What is not the same in `cut`; where it is `lossy`, replies may be missing at the end.
    fn difference(&self, cut: &Seen, lossy: bool) -> Option<String> {
        let count = self.notes.len().max(cut.notes.len());
        let of = |notes: &[Note], index| match notes.get(index) {
            Some(note) => format!("`{note}`"),
            None => "missing".to_owned(),
        };
        if let Some(index) = (0..count).find(|at| self.notes.get(*at) != cut.notes.get(*at)) {
            let (whole, cut) = (of(&self.notes, index), of(&cut.notes, index));
            return Some(format!("note {} is {whole} in one piece, {cut} here", index + 1));
        }
        let same = self.replies.iter().zip(&cut.replies).take_while(|(a, b)| a == b).count();
        let shorter = self.replies.len().min(cut.replies.len());
        if same < shorter || (!lossy && self.replies.len() != cut.replies.len()) {
            let begin = same.saturating_sub(10);
            let (whole, cut) = (literal(&self.replies[begin..]), literal(&cut.replies[begin..]));
            return Some(format!(
                "from byte {begin} on its replies are {whole} in one piece, {cut} here"
            ));
        }
        let states = [
            (self.ended, cut.ended, "ends its output"),
            (self.closing, cut.closing, "closes the connection"),
        ];
        let (whole, _, what) = states.into_iter().find(|(whole, cut, _)| whole != cut)?;
        let (in_one, here) = if whole { ("", "not ") } else { ("not ", "") };
        Some(format!("it {what} {in_one}in one piece, and {here}here").replace("  ", " "))
    }
}

impl Chunking {
    /// Plays one schedule to a new protocol.
    pub(super) fn play(&mut self, schedule: &Schedule) -> ChunkingRun {
        let mut event_loop =
            TestLoop::with(|builder| builder.batches_between_polls(NonZeroU32::MIN));
        event_loop.allow_leftovers();
        let stage = Stage::new(self, &event_loop, schedule);
        let mut begin = 0;
        for end in self.ends_of_pieces(schedule) {
            if !stage.pair.left.is_closing() {
                stage.pair.right.write(&self.input[begin..end]);
            }
            let is_border = self.borders.contains(&end) || end == schedule.until();
            if !is_border {
                stage.pass(schedule.cuts.get(&end));
            } else if !(end == schedule.until() && schedule.is_sudden()) {
                stage.settle(self);
            }
            stage.look();
            begin = end;
        }
        stage.end(self, schedule, &self.input[..schedule.until()])
    }

    fn ends_of_pieces(&self, schedule: &Schedule) -> Vec<usize> {
        let borders = self.borders.iter().filter(|at| **at < schedule.until());
        let mut ends: Vec<usize> = schedule.cuts.keys().chain(borders).copied().collect();
        ends.push(schedule.until());
        ends.sort_unstable();
        ends.dedup();
        ends
    }
}

/// The protocol, its peer, and what is between them.
struct Stage<'a> {
    event_loop: &'a TestLoop,
    pair: MemoryPair,
    notes: Notes,
    received: Received,
    closed: Future<()>,
    most_held: Cell<usize>,
}

impl<'a> Stage<'a> {
    fn new(check: &mut Chunking, event_loop: &'a TestLoop, schedule: &Schedule) -> Self {
        let (notes, received) = (Notes::default(), Received::default());
        let options = match schedule.capacity() {
            Some(capacity) => MemoryOptions::default().capacity(Bytes(capacity)),
            None => MemoryOptions::default().capacity(Bytes(usize::MAX)),
        };
        let peer = Peer(received.clone());
        let pair = (check.connect)(event_loop, notes.clone(), peer, options);
        let unlimited = WriteBufferCap { size: Bytes(usize::MAX), ..WriteBufferCap::default() };
        pair.right.set_write_buffer_cap(unlimited);
        if let Some(mark) = schedule.high_mark() {
            let limits = WriteBufferLimits::from_high(Bytes(mark));
            pair.left.set_write_buffer_limits(limits).expect("a low mark below the high one");
        }
        event_loop.run_ready_now();
        let closed = pair.left.wait_closed();
        Self { event_loop, pair, notes, received, closed, most_held: Cell::new(0) }
    }

    /// What happens between two pieces.
    fn pass(&self, gap: Option<&Gap>) {
        let Some(gap) = gap else { return self.event_loop.run_ready_now() };
        match gap.peer_reads {
            true => self.pair.right.resume_reading(),
            false => self.pair.right.pause_reading(),
        }
        match gap.wait {
            Wait::Settled => self.event_loop.run_ready_now(),
            Wait::Turn => self.event_loop.run_ready().expect("a loop that does not run"),
            Wait::Time(time) => self.event_loop.advance(time),
        }
    }

    /// Lets the protocol do all it wants to.
    fn settle(&self, check: &Chunking) {
        self.pair.right.resume_reading();
        self.event_loop.run_ready_now();
        if !check.time_to_answer.is_zero() {
            self.event_loop.advance(check.time_to_answer);
        }
    }

    /// Asks the protocol how much it holds.
    fn look(&self) {
        let mut held = 0;
        // One that is gone holds nothing.
        let _ = self.pair.left.with_boxed_protocol(&mut |it, _| held = it.memory_held().0);
        self.most_held.set(self.most_held.get().max(held));
    }

    fn seen(&self) -> Seen {
        Seen {
            notes: self.notes.snapshot(),
            replies: self.received.data.borrow().clone(),
            ended: self.received.ended.get(),
            closing: self.pair.left.is_closing(),
        }
    }

    /// Ends the input, then the connection if that is not done, and tells what was seen.
    fn end(self, check: &Chunking, schedule: &Schedule, sent: &[u8]) -> ChunkingRun {
        let before = self.seen();
        let peer_was_cut = self.received.cut.get();
        match schedule.ending() {
            Ending::Eof => self.pair.right.write_eof(),
            Ending::Reset => self.pair.reset(),
            Ending::Open => {}
        }
        self.settle(check);
        let Seen { ended, closing, .. } = self.seen();
        self.pair.left.abort();
        self.pair.right.abort();
        self.event_loop.run_ready_now();
        let mut panic = None;
        while let Some(next) = self.event_loop.take_first_panic() {
            panic.get_or_insert_with(|| next.to_string());
        }
        let mut leftovers: Vec<String> =
            self.event_loop.leftovers().iter().map(ToString::to_string).collect();
        if !self.closed.done() {
            leftovers.push("the connection".to_owned());
        }
        ChunkingRun {
            sent: sent.to_vec(),
            ending: schedule.ending(),
            before,
            after: Seen { ended, closing, ..self.seen() },
            peer_was_cut,
            most_held: self.most_held.get(),
            panic,
            leftovers,
        }
    }
}

/// What the peer has received.
#[derive(Clone, Default)]
struct Received {
    data: Rc<RefCell<Vec<u8>>>,
    ended: Rc<Cell<bool>>,
    cut: Rc<Cell<bool>>,
}

/// Who sends the input and collects the replies.
pub(super) struct Peer(Received);

impl Protocol for Peer {
    fn data_received(&mut self, _: &dyn Transport, data: &[u8]) {
        self.0.data.borrow_mut().extend_from_slice(data);
    }

    fn eof_received(&mut self, _: &dyn Transport) -> Eof {
        self.0.ended.set(true);
        Eof::KeepOpen
    }

    /// A protocol that has closed does not take more input, and so the peer may learn of the end.
    fn connection_lost(&mut self, _: &dyn Transport, reason: Option<Exception>) {
        self.0.cut.set(reason.is_some());
        self.0.ended.set(true);
    }
}
