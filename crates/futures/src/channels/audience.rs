//! [`Audience`]: how many send and how many receive, and the receivers that wait for news.
//!
//! Everybody who waits is told when something is sent, and when the last sender has gone; who is told
//! looks for itself. So there is nothing that one who waits no longer could take away from another.

use crate::Exception;
use crate::sync::{AskedAt, Grants, Home, Wait, Waiters};
use std::cell::Cell;
use std::marker::PhantomData;
use std::rc::Rc;

/// The senders and receivers of a channel whose news are for all. Nobody is there at first.
#[derive(Default)]
pub(super) struct Audience {
    senders: Cell<usize>,
    receivers: Cell<usize>,
    home: Home,
    waiters: Waiters,
}

/// What senders and receivers share.
pub(super) trait HasAudience: 'static {
    fn audience(&self) -> &Audience;
}

impl Audience {
    pub(super) fn sender_came(&self) {
        self.senders.set(self.senders.get() + 1);
    }

    /// The last one that leaves tells all who wait.
    pub(super) fn sender_left(&self) {
        self.senders.set(self.senders.get() - 1);
        if !self.has_senders() {
            self.tell_all();
        }
    }

    pub(super) fn has_senders(&self) -> bool {
        self.senders.get() > 0
    }

    pub(super) fn receiver_came(&self) {
        self.receivers.set(self.receivers.get() + 1);
    }

    pub(super) fn receiver_left(&self) {
        self.receivers.set(self.receivers.get() - 1);
    }

    pub(super) fn receiver_count(&self) -> usize {
        self.receivers.get()
    }

    /// There is news for all who wait.
    pub(super) fn tell_all(&self) {
        self.waiters.grant_all(());
    }
}

/// Waits until there is news.
pub(super) async fn news<S: HasAudience>(
    shared: &Rc<S>,
    asked_at: AskedAt,
) -> Result<(), Exception> {
    Wait::<News<S>>::begin(shared, &shared.audience().home, asked_at)?.await
}

struct News<S>(PhantomData<S>);

impl<S: HasAudience> Grants for News<S> {
    type Owner = S;
    type Grant = ();

    fn waiters(shared: &S) -> &Waiters {
        &shared.audience().waiters
    }
}
