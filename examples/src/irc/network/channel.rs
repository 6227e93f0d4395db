//! [`Channel`]: its members, its topic, and what was said last.

use super::UserId;
use indexmap::IndexSet;
use std::collections::VecDeque;

#[derive(Debug)]
pub(super) struct Channel {
    /// As whoever made it wrote it.
    pub(super) name: String,
    pub(super) members: IndexSet<UserId>,
    pub(super) topic: String,
    /// The last lines: who said what.
    history: VecDeque<(String, String)>,
    most_history: usize,
}

impl Channel {
    pub(super) fn new(name: &str, most_history: usize) -> Self {
        Self {
            name: name.to_owned(),
            members: IndexSet::new(),
            topic: String::new(),
            history: VecDeque::new(),
            most_history,
        }
    }

    /// Keeps a line for those who come later, and forgets the oldest.
    pub(super) fn remember(&mut self, nick: &str, text: &str) {
        if self.most_history == 0 {
            return;
        }
        if self.history.len() == self.most_history {
            self.history.pop_front();
        }
        self.history.push_back((nick.to_owned(), text.to_owned()));
    }

    pub(super) fn history(&self) -> impl Iterator<Item = (&str, &str)> {
        self.history.iter().map(|(nick, text)| (nick.as_str(), text.as_str()))
    }
}
