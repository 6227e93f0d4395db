//! [`Notes`]: what a protocol lets a check see of it, besides its replies.

use std::cell::RefCell;
use std::fmt::{self, Display};
use std::rc::Rc;

/// What a protocol lets a [`Chunking`](super::Chunking) see of it: its calls, its state, its errors.
/// Clones name the same notes.
///
/// # Examples
/// ```
/// # use tulipa_transports::testing::Notes;
/// let notes = Notes::default();
/// notes.note("a message");
/// notes.bytes(b"tul");
/// notes.bytes(b"ip");
/// assert_eq!(notes.list(), ["a message", "b\"tulip\""]);
/// ```
#[derive(Clone, Default)]
pub struct Notes {
    list: Rc<RefCell<Vec<Note>>>,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) enum Note {
    Text(String),
    Bytes(Vec<u8>),
}

impl Notes {
    /// Notes something that has to come the same however the input is cut.
    pub fn note(&self, text: impl Display) {
        self.list.borrow_mut().push(Note::Text(text.to_string()));
    }

    /// Notes a piece of a stream, of which no more than the whole has to come the same. It is joined
    /// with the bytes that were noted right before.
    pub fn bytes(&self, data: &[u8]) {
        let mut list = self.list.borrow_mut();
        match list.last_mut() {
            _ if data.is_empty() => {}
            Some(Note::Bytes(before)) => before.extend_from_slice(data),
            _ => list.push(Note::Bytes(data.to_vec())),
        }
    }

    /// All notes, in order. Bytes look like the literal that they could be written as.
    pub fn list(&self) -> Vec<String> {
        self.list.borrow().iter().map(Note::to_string).collect()
    }

    pub(super) fn snapshot(&self) -> Vec<Note> {
        self.list.borrow().clone()
    }
}

impl Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::Text(text) => f.write_str(text),
            Note::Bytes(data) => write!(f, "b\"{}\"", data.escape_ascii()),
        }
    }
}
