//! [`Tokens`]: so many tokens, given out in turn. The inside of locks and semaphores.
//!
//! A token that is given back goes straight to the first waiter (S-20): it is *promised* until that
//! one runs. While any is promised, newcomers wait too, even if more tokens are free: else they would
//! run before those who came earlier (S-6, S-22).
//!
//! Invariant: where tokens are free and somebody waits, some token is promised, and whoever it is
//! promised to looks after the others when it runs or leaves. So nobody hangs while a token is free.

use super::waiters::{AskedAt, Grants, Home, Wait, Waiters};
use crate::Exception;
use std::cell::Cell;
use std::rc::Rc;

pub(crate) struct Tokens {
    free: Cell<usize>,
    promised: Cell<usize>,
    /// More than this are never free.
    limit: usize,
    home: Home,
    waiters: Waiters,
}

/// A token that was given out. Dropping it gives it back.
pub(crate) struct Token(Option<Rc<Tokens>>);

impl Tokens {
    pub(crate) fn new(free: usize, limit: usize) -> Rc<Self> {
        Rc::new(Self {
            free: Cell::new(free),
            promised: Cell::new(0),
            limit,
            home: Home::default(),
            waiters: Waiters::default(),
        })
    }

    /// How many nobody has.
    pub(crate) fn free(&self) -> usize {
        self.free.get()
    }

    /// How many have somebody's name on them, but that one has not run yet.
    pub(crate) fn promised(&self) -> usize {
        self.promised.get()
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiters.len()
    }

    /// Whether a newcomer can have one at once.
    pub(crate) fn available(&self) -> bool {
        self.free.get() > 0 && self.promised.get() == 0
    }

    pub(crate) fn try_take(self: &Rc<Self>) -> Option<Token> {
        self.available().then(|| {
            self.free.set(self.free.get() - 1);
            Token(Some(self.clone()))
        })
    }

    pub(crate) async fn take(self: Rc<Self>, asked_at: AskedAt) -> Result<Token, Exception> {
        if let Some(token) = self.try_take() {
            return Ok(token);
        }
        Wait::<InTurn>::begin(&self, &self.home, asked_at)?.await?;
        self.promised.set(self.promised.get() - 1);
        let token = Token(Some(self.clone()));
        // Somebody may have come while this one was promised, and found free ones.
        self.give_out();
        Ok(token)
    }

    /// Adds one; false, and nothing is changed, if there are as many as there may be.
    pub(crate) fn add(&self) -> bool {
        if self.free.get() >= self.limit {
            return false;
        }
        self.free.set(self.free.get() + 1);
        self.give_out();
        true
    }

    /// Gives the free ones to those who wait.
    fn give_out(&self) {
        while self.free.get() > 0 {
            // First the books, then the waiter: waking may run code that looks at them.
            self.free.set(self.free.get() - 1);
            self.promised.set(self.promised.get() + 1);
            if !self.waiters.grant(()) {
                self.promised.set(self.promised.get() - 1);
                self.free.set(self.free.get() + 1);
                return;
            }
        }
    }
}

impl Token {
    /// Keeps it out for ever.
    pub(crate) fn forget(mut self) {
        self.0 = None;
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        if let Some(tokens) = self.0.take() {
            tokens.add();
        }
    }
}

struct InTurn;

impl Grants for InTurn {
    type Owner = Tokens;
    type Grant = ();

    fn waiters(tokens: &Tokens) -> &Waiters {
        &tokens.waiters
    }

    fn come_back(tokens: &Rc<Tokens>, (): ()) {
        tokens.promised.set(tokens.promised.get() - 1);
        if !tokens.add() {
            // Others were released in its stead, and its owner looks after them no more.
            tokens.give_out();
        }
    }
}
