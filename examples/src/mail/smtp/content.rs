//! The content of a mail, line by line.
//!
//! What is wrong with a mail is remembered until its end, since only there can it be said; from then on
//! nothing of it is kept.

use super::reply::Reply;
use super::{Line, Settings};
use crate::work;

/// A mail on its way in.
#[derive(Debug, Default)]
pub(super) struct Content {
    bytes: Vec<u8>,
    problem: Option<Problem>,
}

/// Why a mail will be refused. The first reason counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    TooLarge,
    LineTooLong,
    BareLineEnd,
}

impl Problem {
    pub(super) fn reply(self) -> Reply {
        match self {
            Problem::TooLarge => Reply::TooLarge,
            Problem::LineTooLong => Reply::TextLineTooLong,
            Problem::BareLineEnd => Reply::BareLineEndInMail,
        }
    }
}

impl Content {
    /// What is kept of it, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.bytes.capacity()
    }

    /// Adds a line, without the dot it was stuffed with. True when it was the last, the dot alone.
    pub(super) fn add(&mut self, line: Line<'_>, settings: &Settings) -> bool {
        let problem = match line {
            Line::Whole(b".") => return true,
            Line::Whole(line) => self.add_text(line.strip_prefix(b".").unwrap_or(line), settings),
            Line::TooLong => Some(Problem::LineTooLong),
        };
        if problem.is_some() && self.problem.is_none() {
            self.problem = problem;
            self.bytes = Vec::new();
        }
        false
    }

    fn add_text(&mut self, text: &[u8], settings: &Settings) -> Option<Problem> {
        if self.problem.is_some() {
            return None;
        }
        work::count(text.len());
        if memchr::memchr2(b'\r', b'\n', text).is_some() {
            return Some(Problem::BareLineEnd);
        }
        if self.bytes.len() + text.len() + 2 > settings.message {
            return Some(Problem::TooLarge);
        }
        self.bytes.extend_from_slice(text);
        self.bytes.extend_from_slice(b"\r\n");
        None
    }

    pub(super) fn into_bytes(self) -> Result<Vec<u8>, Problem> {
        match self.problem {
            None => Ok(self.bytes),
            Some(problem) => Err(problem),
        }
    }
}
