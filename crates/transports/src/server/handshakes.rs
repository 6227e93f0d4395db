//! What a server does with connections that are to be encrypted: they get their protocols later, and
//! some never do.

use super::core::{Consumer, ServerCore};
use crate::{Address, Protocol};
use futures::Exception;

impl ServerCore {
    /// A connection will ask for its protocol. Until it has, the factory is kept, also if the server is
    /// closed: that connection is there already (N-24).
    pub(crate) fn handshake_began(&self) {
        self.handshakes.set(self.handshakes.get() + 1);
    }

    /// It has asked, or never will.
    pub(crate) fn handshake_ended(&self) {
        self.handshakes.set(self.handshakes.get() - 1);
        if self.handshakes.get() > 0 || !self.is_closed() {
            return;
        }
        if self.event_loop().is_closed() {
            self.loop_closed(); // nothing is called any more
        } else {
            self.retire_kept_consumer();
        }
    }

    /// The protocol of a connection whose handshake has succeeded; `None` if there will be none.
    pub(crate) fn protocol_after_handshake(&self, peer: &Address) -> Option<Box<dyn Protocol>> {
        let mut consumer = self.consumer.take()?;
        let made = match &mut consumer {
            Consumer::Protocols(factory) => factory.build(peer),
            Consumer::Sockets(_) => Ok(None), // who takes sockets takes them before
        };
        self.put_back(consumer);
        self.accept_made(made)
    }

    /// There is nobody else to be told.
    pub(crate) fn handshake_failed(&self, peer: &Address, exception: &Exception) {
        self.count(|counts| counts.handshakes_failed += 1);
        log::debug!(target: "tulipa", "{}: connection with {peer}: {exception:?}", self.describe());
    }
}
