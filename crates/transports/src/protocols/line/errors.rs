//! Why a connection of lines ended.

use crate::Bytes;
use std::error::Error;
use std::fmt;

/// A line was longer than its receiver allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineTooLong {
    limit: Bytes,
}

impl LineTooLong {
    pub(super) fn new(limit: Bytes) -> Self {
        Self { limit }
    }

    /// The longest line that would have been taken.
    pub fn limit(&self) -> Bytes {
        self.limit
    }
}

impl fmt::Display for LineTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the peer sent a line of more than {} bytes", self.limit.0)
    }
}

impl Error for LineTooLong {}
