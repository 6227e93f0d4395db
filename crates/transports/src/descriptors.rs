//! [`DescriptorsRefused`]: descriptors that were to be passed to another process, and were not.

use crate::WriteRefusal;
use std::error::Error;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;

/// Descriptors that a transport did not take, and the data that was to go along. The descriptors are in
/// here: dropping this closes them.
#[derive(Debug)]
pub struct DescriptorsRefused {
    descriptors: Vec<OwnedFd>,
    reason: Reason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// This kind of transport cannot pass any.
    Unsupported,
    /// There is no byte for them to go along with.
    NoData,
    /// More than go along with one piece of data.
    TooMany,
    /// As any other write.
    Write(WriteRefusal),
}

impl DescriptorsRefused {
    pub(crate) fn new(descriptors: Vec<OwnedFd>, reason: Reason) -> Self {
        Self { descriptors, reason }
    }

    /// The descriptors, for another try.
    pub fn into_descriptors(self) -> Vec<OwnedFd> {
        self.descriptors
    }

    /// Why, if any other write would have been refused as well.
    pub fn write_refusal(&self) -> Option<WriteRefusal> {
        match self.reason {
            Reason::Write(refusal) => Some(refusal),
            Reason::Unsupported | Reason::NoData | Reason::TooMany => None,
        }
    }

    /// The kind that an `io::Error` of this has.
    pub fn kind(&self) -> io::ErrorKind {
        match self.reason {
            Reason::Unsupported => io::ErrorKind::Unsupported,
            Reason::NoData | Reason::TooMany | Reason::Write(WriteRefusal::NotALine) => {
                io::ErrorKind::InvalidInput
            }
            Reason::Write(
                WriteRefusal::Closed
                | WriteRefusal::AfterEof
                | WriteRefusal::ReadOnly
                | WriteRefusal::Upgraded,
            ) => io::ErrorKind::NotConnected,
            Reason::Write(WriteRefusal::OverCap | WriteRefusal::SendingFile) => {
                io::ErrorKind::ResourceBusy
            }
        }
    }
}

impl fmt::Display for DescriptorsRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.descriptors.len();
        write!(f, "{count} descriptors were not passed: ")?;
        match self.reason {
            Reason::Unsupported => f.write_str("only Unix sockets can"),
            Reason::NoData => f.write_str("they need at least one byte to go along with"),
            Reason::TooMany => f.write_str("at most 253 go along with one piece of data"),
            Reason::Write(refusal) => refusal.fmt(f),
        }
    }
}

impl Error for DescriptorsRefused {}
