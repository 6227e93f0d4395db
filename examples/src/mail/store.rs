//! The mails that were caught: the newest ones, within a number and a number of bytes.
//!
//! Invariant: both limits hold after every call, counted with what a mail costs beside its content, and that
//! of bytes once more for the mails that wait for their files; ids grow, are never used twice, and `mails`
//! is sorted by them.

use std::collections::VecDeque;
use std::time::SystemTime;

use super::contents;
use super::smtp::{Mail, NotKept};
use std::path::PathBuf;

/// How much a [`Store`] keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreLimits {
    /// The number of mails.
    pub mails: usize,
    /// All mails together, with envelopes and what it costs to keep them.
    pub bytes: usize,
}

impl Default for StoreLimits {
    fn default() -> Self {
        StoreLimits { mails: 1000, bytes: 256 * 1024 * 1024 }
    }
}

/// A mail in a [`Store`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaughtMail {
    /// Its number, by which it is asked for.
    pub id: u64,
    /// When its last line came.
    pub received: SystemTime,
    /// The subject in its header, decoded and cut to a readable length; empty when there is none.
    pub subject: String,
    /// The mail itself.
    pub mail: Mail,
    /// The file that it is kept in, if there is one.
    pub file: Option<PathBuf>,
}

/// The newest mails; older ones are dropped when a limit is reached.
#[derive(Debug, Default)]
pub struct Store {
    limits: StoreLimits,
    mails: VecDeque<CaughtMail>,
    bytes: usize,
    /// What mails cost that are being written to their files.
    coming: usize,
    last_id: u64,
    dropped: u64,
    /// The files of mails that were removed.
    unwanted: Vec<PathBuf>,
}

impl Store {
    /// An empty store.
    pub fn new(limits: StoreLimits) -> Self {
        Store { limits, ..Store::default() }
    }

    /// Keeps `mail` and gives it a number, the first being 1. Drops old mails as far as needed.
    ///
    /// # Errors
    /// When the mail would not fit an empty store: then nothing is dropped for it.
    pub fn add(&mut self, mail: Mail, received: SystemTime) -> Result<u64, NotKept> {
        let mail = self.admit(mail, received, None)?;
        self.keep(mail)
    }

    /// Looks whether `mail` can be kept, with the file that it is to be kept in; [`keep`](Store::keep)
    /// gives it its number.
    ///
    /// # Errors
    /// When it would not fit an empty store.
    pub fn admit(
        &self,
        mut mail: Mail,
        received: SystemTime,
        file: Option<PathBuf>,
    ) -> Result<CaughtMail, NotKept> {
        mail.content.shrink_to_fit();
        let subject = contents::subject(&mail.content);
        let caught = CaughtMail { id: 0, received, subject, mail, file };
        match self.limits.mails == 0 || caught.cost() > self.limits.bytes {
            true => Err(NotKept::NoRoom),
            false => Ok(caught),
        }
    }

    /// Keeps a mail that was admitted. Drops old ones as far as needed; their files, if they have any,
    /// stay where they are.
    ///
    /// # Errors
    /// As [`admit`](Store::admit).
    pub fn keep(&mut self, mut caught: CaughtMail) -> Result<u64, NotKept> {
        caught.id = self.last_id + 1;
        let cost = caught.cost();
        if self.limits.mails == 0 || cost > self.limits.bytes {
            return Err(NotKept::NoRoom);
        }
        while self.mails.len() >= self.limits.mails || cost > self.limits.bytes - self.bytes {
            let oldest = self.mails.pop_front().expect("a mail that fits alone needs dropping");
            self.bytes -= oldest.cost();
            self.dropped += 1;
        }
        self.bytes += cost;
        self.last_id = caught.id;
        self.mails.push_back(caught);
        Ok(self.last_id)
    }

    /// Counts a mail that was admitted and waits for its file: all that do may be as large as all that are
    /// kept, whether their clients are still there or not. The answer is for
    /// [`has_come`](Store::has_come).
    ///
    /// # Errors
    /// When too many wait already.
    pub fn expect(&mut self, caught: &CaughtMail) -> Result<usize, NotKept> {
        let cost = caught.cost();
        if cost > self.limits.bytes.saturating_sub(self.coming) {
            return Err(NotKept::NoRoom);
        }
        self.coming += cost;
        Ok(cost)
    }

    /// A mail that was expected at this cost waits no more.
    pub fn has_come(&mut self, cost: usize) {
        self.coming -= cost;
    }

    /// The files of mails that were removed since this was last asked: nobody wants them any more.
    pub fn take_unwanted(&mut self) -> Vec<PathBuf> {
        std::mem::take(&mut self.unwanted)
    }

    /// How much it keeps.
    pub fn limits(&self) -> StoreLimits {
        self.limits
    }

    /// The mail with this number.
    pub fn get(&self, id: u64) -> Option<&CaughtMail> {
        self.position(id).map(|position| &self.mails[position])
    }

    /// All mails, the newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &CaughtMail> {
        self.mails.iter().rev()
    }

    /// Removes one mail; false when there was none with this number.
    pub fn remove(&mut self, id: u64) -> bool {
        match self.position(id).and_then(|position| self.mails.remove(position)) {
            Some(removed) => {
                self.bytes -= removed.cost();
                self.unwanted.extend(removed.file);
                true
            }
            None => false,
        }
    }

    /// Removes all mails. The count of dropped ones begins anew.
    pub fn clear(&mut self) {
        let removed = std::mem::take(&mut self.mails);
        self.unwanted.extend(removed.into_iter().filter_map(|caught| caught.file));
        self.bytes = 0;
        self.dropped = 0;
    }

    /// How many mails there are.
    pub fn len(&self) -> usize {
        self.mails.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.mails.is_empty()
    }

    /// What the mails cost, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many mails had to go for newer ones.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    fn position(&self, id: u64) -> Option<usize> {
        self.mails.binary_search_by_key(&id, |caught| caught.id).ok()
    }
}

impl CaughtMail {
    /// The bytes that keeping it takes: the texts, and this struct with what points at them.
    fn cost(&self) -> usize {
        let address = |text: &str| text.len() + size_of::<super::Address>();
        let mail = &self.mail;
        let recipients: usize = mail.recipients.iter().map(|to| address(to.as_str())).sum();
        size_of::<CaughtMail>()
            + self.subject.len()
            + mail.client.len()
            + mail.sender.as_ref().map_or(0, |from| address(from.as_str()))
            + recipients
            + mail.content.len()
            + self.file.as_ref().map_or(0, |path| path.as_os_str().len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mail(size: usize) -> Mail {
        Mail {
            client: "me".into(),
            sender: None,
            recipients: Vec::new(),
            content: vec![b'x'; size],
        }
    }

    fn ids(store: &Store) -> Vec<u64> {
        store.newest_first().map(|caught| caught.id).collect()
    }

    fn cost(size: usize) -> usize {
        let mut store = Store::new(StoreLimits { mails: 1, bytes: usize::MAX });
        store.add(mail(size), SystemTime::UNIX_EPOCH).unwrap();
        store.bytes()
    }

    #[test]
    fn r4_the_oldest_mails_go_when_there_are_too_many() {
        let mut store = Store::new(StoreLimits { mails: 2, ..StoreLimits::default() });
        for id in 1..=4 {
            assert_eq!(store.add(mail(1), SystemTime::UNIX_EPOCH), Ok(id));
        }
        assert_eq!((ids(&store), store.dropped()), (vec![4, 3], 2));
        let two = store.bytes();
        assert!(store.remove(3) && !store.remove(3) && !store.remove(1));
        assert_eq!((store.bytes() * 2, store.is_empty()), (two, false));
        assert_eq!(store.add(mail(1), SystemTime::UNIX_EPOCH), Ok(5));
        assert_eq!(ids(&store), [5, 4]);
        assert!(store.get(3).is_none());
        assert_eq!(store.get(4).map(|caught| caught.id), Some(4));
        store.clear();
        assert_eq!((store.len(), store.bytes(), store.dropped()), (0, 0, 0));
        assert!(store.is_empty());
        assert_eq!(store.add(mail(1), SystemTime::UNIX_EPOCH), Ok(6));
    }

    #[test]
    fn r4_the_oldest_mails_go_when_they_are_too_large() {
        let limits = StoreLimits { mails: 10, bytes: cost(1000) };
        let mut store = Store::new(limits);
        for _ in 0..3 {
            store.add(mail(10), SystemTime::UNIX_EPOCH).unwrap();
        }
        assert_eq!(store.add(mail(1001), SystemTime::UNIX_EPOCH), Err(NotKept::NoRoom));
        let before = ids(&store);
        assert_eq!(store.add(mail(1000), SystemTime::UNIX_EPOCH), Ok(4));
        assert_eq!(ids(&store), [4]);
        assert_eq!(store.dropped(), 3, "{before:?}");
        let nothing = StoreLimits { mails: 0, ..limits };
        assert_eq!(Store::new(nothing).add(mail(1), SystemTime::UNIX_EPOCH), Err(NotKept::NoRoom));
    }

    #[test]
    fn r4_a_mail_costs_all_that_is_kept_of_it() {
        let address = |text: &[u8]| super::super::Address::parse_path(text).unwrap().0;
        let mail = Mail {
            client: "123".into(),
            sender: address(b"<4@6>"),
            recipients: vec![address(b"<78@1>").unwrap(), address(b"<2@45>").unwrap()],
            content: b"Subject: 567\r\n\r\n".to_vec(),
        };
        let mut store = Store::default();
        store.add(mail, SystemTime::UNIX_EPOCH).unwrap();
        let texts = 3 + 3 + 4 + 4 + "567".len() + "Subject: 567\r\n\r\n".len();
        let structs = size_of::<CaughtMail>() + 3 * size_of::<super::super::Address>();
        assert_eq!(store.bytes(), texts + structs);
    }

    proptest! {
        #[test]
        fn r4_the_limits_hold_whatever_comes(sizes in proptest::collection::vec(0_usize..3000, 0..40)) {
            let limits = StoreLimits { mails: 5, bytes: 4000 };
            let mut store = Store::new(limits);
            for size in sizes {
                // Refused or not, the limits hold.
                let _ = store.add(mail(size), SystemTime::UNIX_EPOCH);
                let total: usize = store.newest_first().map(CaughtMail::cost).sum();
                prop_assert_eq!(total, store.bytes());
                prop_assert!(store.len() <= limits.mails && total <= limits.bytes);
            }
        }
    }
}
