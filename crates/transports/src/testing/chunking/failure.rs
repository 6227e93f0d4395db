//! [`ChunkingFailure`]: how a protocol was found to depend on the cuts of its input.

use std::error::Error;
use std::fmt;

/// What a [`Chunking`](super::Chunking) found: the cuts, made as few as possible, and what they change.
#[derive(Clone, Debug)]
pub struct ChunkingFailure {
    seed: Option<u64>,
    schedule: String,
    problem: Problem,
}

/// What is wrong with a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    Differs(String),
    Panicked(String),
    LeftBehind(String),
    Invariant(String),
    NothingSeen,
}

impl Problem {
    /// Whether it is another case of the same mistake, as far as that can be told.
    pub(super) fn is_like(&self, other: &Problem) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

impl ChunkingFailure {
    pub(super) fn new(seed: Option<u64>, schedule: String, problem: Problem) -> Self {
        Self { seed, schedule, problem }
    }

    /// The seed of the run that failed: `.seed(seed).runs(1)` repeats it. `None` if no chance was
    /// involved, so that it fails with any.
    pub fn seed(&self) -> Option<u64> {
        self.seed
    }
}

impl fmt::Display for ChunkingFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.problem {
            Problem::Differs(difference) => {
                write!(f, "the protocol depends on how its input is cut: {difference}")
            }
            Problem::Panicked(panic) => write!(f, "the protocol panicked: {panic}"),
            Problem::LeftBehind(list) => write!(f, "the protocol left something behind: {list}"),
            Problem::Invariant(panic) => write!(f, "an invariant does not hold: {panic}"),
            Problem::NothingSeen => f.write_str(
                "nothing is seen of the protocol: it neither replies, nor closes, nor takes notes",
            ),
        }?;
        write!(f, "\n  input: {}", self.schedule)?;
        match self.seed {
            Some(seed) => write!(f, "\n  to repeat it: .seed({seed}).runs(1)"),
            None => Ok(()),
        }
    }
}

impl Error for ChunkingFailure {}
