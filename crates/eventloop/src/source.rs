//! [`Source`]: what a loop watches, and [`SourceKey`], which names one registration of it.

use std::any::Any;
use std::fmt;
use std::num::NonZeroUsize;
use std::os::fd::BorrowedFd;
use std::panic::Location;
use std::rc::Rc;

/// A descriptor with those who want to know when it is ready. The loop owns it while it is watched.
pub trait Source: Any {
    /// The descriptor. It must be the same one, and open, as long as the source is watched.
    fn descriptor(&self) -> BorrowedFd<'_>;

    /// The descriptor is ready in `direction`: one turn of the loop. Called once per iteration for
    /// each direction that is ready, reading first; a descriptor that has failed or hung up is ready
    /// in every direction that is watched (L-44). What it answers counts where it is watched by
    /// [`Trigger::Edge`].
    fn ready(self: Rc<Self>, direction: Direction) -> Taken;

    /// How it may be watched while only reading is of interest. Asked for once.
    fn trigger(&self) -> Trigger {
        Trigger::Level
    }

    /// What was asked for with `flush_later` is due: the loop is about to poll. No user code may be
    /// called here.
    fn flush(self: Rc<Self>) {}

    /// Called when the loop closes: the source was dropped from the loop and nothing will come. No
    /// user code may be called here (L-30).
    fn loop_closed(self: Rc<Self>) {}

    /// Whether everything that waited for it was called off, though nobody has taken it out yet: whoever
    /// wants to watch its descriptor may have it. No user code may be called here.
    fn is_called_off(&self) -> bool {
        false
    }

    /// Which kind of source this is.
    fn kind(&self) -> SourceKind;

    /// What this is, with its addresses, for people.
    fn describe(&self) -> String;

    /// Where what [`ready`](Source::ready) calls in `direction` was handed over, if that is known.
    fn created_at(&self, direction: Direction) -> Option<&'static Location<'static>> {
        let _ = direction;
        None
    }
}

/// The kinds of [`Source`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SourceKind {
    /// Made by `add_reader` or `add_writer`.
    Callback,
    /// A transport: others may not watch its descriptor (L-41).
    Transport,
    /// A listening socket.
    Listener,
    /// An operation that waits for somebody else's socket: `sock_recv` and its like.
    Operation,
}

/// What a poller tells of a descriptor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// In each wait, that it is ready, as long as it is.
    #[default]
    Level,
    /// That something came, once; where that spares the system a second look at what was read to the end. A
    /// poller may tell more than that. The loop has it look again after each turn that did not take all, so
    /// that a source cannot tell the difference.
    Edge,
}

/// How much of what a descriptor was ready for a turn has taken.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Taken {
    /// All: the system would have said that there is no more, or did. An end or an error that came behind it
    /// need not be known.
    All,
    /// Perhaps not all.
    Unknown,
}

/// What a descriptor may be ready for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Reading, or accepting.
    Read,
    /// Writing, or a finished connect.
    Write,
}

/// What is watched of a descriptor. [`Interest::NONE`] takes it out of the poller: a registration
/// without interest would still report hang-ups, for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Interest {
    /// Whether readiness to read is wanted.
    pub readable: bool,
    /// Whether readiness to write is wanted.
    pub writable: bool,
}

impl Interest {
    /// Nothing.
    pub const NONE: Interest = Interest { readable: false, writable: false };
    /// Reading only.
    pub const READ: Interest = Interest { readable: true, writable: false };
    /// Writing only.
    pub const WRITE: Interest = Interest { readable: false, writable: true };
    /// Both.
    pub const BOTH: Interest = Interest { readable: true, writable: true };

    /// Whether nothing is watched.
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }

    /// Whether `direction` is watched.
    pub fn includes(self, direction: Direction) -> bool {
        match direction {
            Direction::Read => self.readable,
            Direction::Write => self.writable,
        }
    }

    /// The same, with `direction` switched on or off.
    #[must_use]
    pub fn with(self, direction: Direction, on: bool) -> Self {
        match direction {
            Direction::Read => Interest { readable: on, ..self },
            Direction::Write => Interest { writable: on, ..self },
        }
    }
}

/// Names one registration: slot and generation, so that an event for a source that is gone reaches
/// nobody, not even the next owner of the same slot or the same descriptor number (L-43).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SourceKey(
    /// The complement of the word that the poller carries: that is never `usize::MAX`, so this is never
    /// zero, and an `Option` of it is no larger.
    NonZeroUsize,
);

/// Half of the word is the slot, the other half the generation.
const SLOT_BITS: u32 = usize::BITS / 2;
const SLOT_MASK: usize = (1 << SLOT_BITS) - 1;

impl SourceKey {
    /// The key for `slot`, in its `generation` (which wraps around).
    pub(crate) fn new(slot: usize, generation: u32) -> Self {
        debug_assert!(slot < SLOT_MASK, "all slots but the last, which the poller keeps");
        Self::from_usize((generation as usize) << SLOT_BITS | slot)
    }

    /// The key as the poller carries it. Never `usize::MAX`, which belongs to the poller.
    pub(crate) fn to_usize(self) -> usize {
        !self.0.get()
    }

    pub(crate) fn from_usize(key: usize) -> Self {
        Self(NonZeroUsize::new(!key).expect("the last key is the poller's own"))
    }

    #[inline]
    pub(crate) fn slot(self) -> usize {
        self.to_usize() & SLOT_MASK
    }

    /// As much of the generation as fits in.
    #[inline]
    pub(crate) fn generation(self) -> u32 {
        (self.to_usize() >> SLOT_BITS) as u32
    }
}

impl fmt::Debug for SourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SourceKey({}, generation {})", self.slot(), self.generation())
    }
}
