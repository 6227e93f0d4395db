//! Keeping to a bandwidth: reading waits after what was read, sending before what is sent. A connection
//! without one pays a bit to be tested.
//!
//! Invariant: as long as reading or sending is held, a timer runs that ends it; the end of the connection
//! stops it.

use super::{LIMITED, StreamTransport, Turn};
use crate::Bandwidth;
use crate::backend::Backend;
use crate::stream_machine::Hold;
use futures::{Instant, SchedulerExt, TimerHandle};
use std::rc::Rc;
use std::time::Duration;

/// What a connection keeps to.
#[derive(Default)]
pub(super) struct Limited {
    pub(super) read: Vec<Bandwidth>,
    pub(super) write: Vec<Bandwidth>,
    /// So much is paid for, and may be sent.
    allowed: usize,
    /// So much may be sent when the timer comes.
    reserved: usize,
    reading_again: Option<TimerHandle>,
    sending_again: Option<TimerHandle>,
    /// So long sending was held, or will be, since somebody asked.
    held: Duration,
    held_until: Instant,
}

impl<B: Backend> StreamTransport<B> {
    /// See [`Transport::limit_bandwidth`](crate::Transport::limit_bandwidth).
    pub(crate) fn limit_bandwidth(&self, read: &[Bandwidth], write: &[Bandwidth]) {
        if self.machine.borrow().is_over() || read.is_empty() && write.is_empty() {
            return;
        }
        self.set(LIMITED, true);
        self.rare(|rare| {
            let limited = rare.limited.get_or_insert_default();
            limited.read.extend_from_slice(read);
            limited.write.extend_from_slice(write);
        });
    }

    /// How much of `size` may be read at once.
    #[inline]
    pub(super) fn most_to_read(&self, size: usize) -> usize {
        if self.is(LIMITED) { self.allowed_to_read(size) } else { size }
    }

    #[cold]
    fn allowed_to_read(&self, size: usize) -> usize {
        self.if_limited(|limited| limited.read.iter().map(Bandwidth::most_at_once).min())
            .map_or(size, |most| size.min(most))
    }

    /// So much came from the peer: nothing more is read until it is paid for.
    #[inline]
    pub(super) fn was_read(self: &Rc<Self>, count: usize) {
        // What is salvaged is not waited for.
        if self.is(LIMITED) && !self.machine.borrow().is_salvaging() {
            self.pay_for_read(count);
        }
    }

    #[cold]
    fn pay_for_read(self: &Rc<Self>, count: usize) {
        let now = self.event_loop().time();
        let paid = self.if_limited(|limited| take(&limited.read, count, now));
        let Some(paid) = paid.filter(|paid| *paid > now) else { return };
        self.with_machine(|machine| machine.hold(Hold::Bandwidth));
        let connection = Rc::downgrade(self);
        let timer = self.event_loop().call_at(paid, move || {
            if let Some(connection) = connection.upgrade() {
                connection.with_machine(|machine| machine.release(Hold::Bandwidth));
                connection.requested();
            }
        });
        let before = self.rare(|rare| rare.limited.as_mut()?.reading_again.replace(timer));
        if let Some(before) = before {
            before.cancel();
        }
    }

    /// How much of `size` may be sent now. If it is nothing, sending is held until something may.
    #[inline]
    pub(super) fn most_to_send(self: &Rc<Self>, size: usize) -> usize {
        if self.is(LIMITED) { self.allowed_to_send(size) } else { size }
    }

    #[cold]
    fn allowed_to_send(self: &Rc<Self>, size: usize) -> usize {
        let now = self.event_loop().time();
        let reserved = self.if_limited(|limited| {
            let most = limited.write.iter().map(Bandwidth::most_at_once).min()?;
            if limited.allowed > 0 || limited.reserved > 0 {
                return None;
            }
            let wanted = size.min(most);
            let paid = take(&limited.write, wanted, now)?;
            match paid > now {
                true => limited.reserved = wanted,
                false => limited.allowed = wanted,
            }
            Some(paid)
        });
        if let Some(paid) = reserved.filter(|paid| *paid > now) {
            self.send_again_at(paid, now);
        }
        self.if_limited(|limited| (!limited.write.is_empty()).then_some(limited.allowed))
            .map_or(size, |allowed| size.min(allowed))
    }

    /// So much of what was allowed was sent.
    #[inline]
    pub(super) fn was_sent(&self, count: usize) {
        if self.is(LIMITED) {
            self.use_up(count);
        }
    }

    #[cold]
    fn use_up(&self, count: usize) {
        self.if_limited(|limited| {
            limited.allowed = limited.allowed.saturating_sub(count);
            Some(())
        });
    }

    fn send_again_at(self: &Rc<Self>, when: Instant, now: Instant) {
        self.with_machine(|machine| machine.hold_output(true));
        let connection = Rc::downgrade(self);
        let timer = self.event_loop().call_at(when, move || {
            if let Some(connection) = connection.upgrade() {
                connection.if_limited(|limited| {
                    limited.allowed += std::mem::take(&mut limited.reserved);
                    Some(())
                });
                connection.with_machine(|machine| machine.hold_output(false));
                connection.settle(Turn::WriteReady);
            }
        });
        let before = self.rare(|rare| {
            let limited = rare.limited.as_mut()?;
            limited.held += when - now;
            limited.held_until = when;
            limited.sending_again.replace(timer)
        });
        if let Some(before) = before {
            before.cancel();
        }
    }

    /// From now on it counts how long sending is held.
    pub(super) fn count_time_held(&self) {
        let now = self.event_loop().time();
        self.if_limited(|limited| {
            limited.held = limited.held_until - now; // or nothing
            Some(())
        });
    }

    /// How long it was held since that was last asked. That time was not the peer's.
    pub(super) fn take_time_held(&self) -> Duration {
        self.if_limited(|limited| Some(std::mem::take(&mut limited.held))).unwrap_or_default()
    }

    /// It keeps to nothing any more. What was paid for and not sent is for others.
    pub(super) fn stop_limiting(&self) {
        let Some(limited) = self.if_rare(|rare| rare.limited.take()) else { return };
        self.set(LIMITED, false);
        let Limited { write, allowed, reserved, reading_again, sending_again, .. } = *limited;
        for timer in [reading_again, sending_again].into_iter().flatten() {
            timer.cancel();
        }
        write.iter().for_each(|bandwidth| bandwidth.give_back(allowed + reserved));
        self.with_machine(|machine| {
            machine.release(Hold::Bandwidth);
            machine.hold_output(false);
        });
    }

    fn if_limited<R>(&self, look: impl FnOnce(&mut Limited) -> Option<R>) -> Option<R> {
        self.if_rare(|rare| look(rare.limited.as_deref_mut()?))
    }
}

/// Takes from all of them; the answer is when all are paid.
fn take(bandwidths: &[Bandwidth], count: usize, now: Instant) -> Option<Instant> {
    bandwidths.iter().map(|bandwidth| bandwidth.take(count, now)).max()
}
