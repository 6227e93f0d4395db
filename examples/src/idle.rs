//! [`IdleTimeout`]: calls a protocol when its peer has been silent for too long.

use std::time::Duration;
use tulipa::prelude::*;
use tulipa::{Protocol, TimerHandle, Transport, TransportExt};

/// A timer that a protocol of type `P` restarts whenever its peer says something.
///
/// Restarting moves the timer, which costs no more than a look at the clock; it is called off when
/// this is dropped, with its protocol.
#[derive(Debug, Default)]
pub struct IdleTimeout {
    timer: Option<TimerHandle>,
}

impl IdleTimeout {
    /// Calls `expired` with the protocol once `limit` has passed without a restart. The protocol must
    /// still be a `P` then; otherwise nothing happens.
    pub fn start<P: Protocol>(
        &mut self,
        transport: &dyn Transport,
        limit: Duration,
        expired: impl FnOnce(&mut P, &dyn Transport) + 'static,
    ) {
        self.stop();
        let transport = transport.handle();
        self.timer = Some(tulipa::current().call_later(limit, move || {
            // A protocol that is gone or has been replaced is nobody's concern any more.
            let _ = transport.with_protocol(expired);
        }));
    }

    /// Begins to wait anew, for `limit` from now. Nothing happens if it was never started, or has
    /// expired.
    pub fn restart(&self, limit: Duration) {
        if let Some(timer) = &self.timer {
            timer.reschedule(tulipa::current().time() + limit);
        }
    }

    /// Calls the timer off.
    pub fn stop(&mut self) {
        if let Some(timer) = self.timer.take() {
            timer.cancel();
        }
    }
}

impl Drop for IdleTimeout {
    fn drop(&mut self) {
        self.stop();
    }
}
