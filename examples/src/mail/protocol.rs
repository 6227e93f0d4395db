//! [`SmtpProtocol`]: carries bytes between a transport and an SMTP [`Session`].

use super::{Next, Session, Settings, Store};
use crate::idle::IdleTimeout;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, SystemTime};
use tulipa::{Protocol, Transport};

/// A client's session: mails go into the store.
///
/// A client that does not read its replies is not read from either.
pub struct SmtpProtocol {
    session: Session,
    store: Rc<RefCell<Store>>,
    output: Vec<u8>,
    idle: IdleTimeout,
    idle_limit: Duration,
}

impl SmtpProtocol {
    /// A session that nobody has spoken in yet, and that ends when no line was completed for
    /// `idle_limit`.
    pub fn new(settings: Rc<Settings>, store: Rc<RefCell<Store>>, idle_limit: Duration) -> Self {
        Self {
            session: Session::new(settings),
            store,
            output: Vec::new(),
            idle: IdleTimeout::default(),
            idle_limit,
        }
    }

    fn reply(&mut self, transport: &dyn Transport, next: Next) {
        transport.write(&self.output);
        self.output.clear();
        if next == Next::Close {
            transport.close();
        }
    }

    fn timed_out(&mut self, transport: &dyn Transport) {
        let next = self.session.time_out(&mut self.output);
        self.reply(transport, next);
    }
}

impl Protocol for SmtpProtocol {
    fn connection_made(&mut self, transport: &dyn Transport) {
        self.session.greet(&mut self.output);
        self.reply(transport, Next::Continue);
        self.idle.start(transport, self.idle_limit, Self::timed_out);
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
        let store = &self.store;
        let next = self.session.receive(data, &mut self.output, |mail| {
            let id = store.borrow_mut().add(mail, SystemTime::now())?;
            log::info!("caught message {id}");
            Ok(id)
        });
        self.reply(transport, next);
        // Sending a line byte by byte does not buy more time.
        if data.contains(&b'\n') {
            self.idle.restart(self.idle_limit);
        }
    }

    fn pause_writing(&mut self, transport: &dyn Transport) {
        transport.pause_reading();
    }

    fn resume_writing(&mut self, transport: &dyn Transport) {
        transport.resume_reading();
    }

    fn shutdown_requested(&mut self, transport: &dyn Transport) {
        let next = self.session.shut_down(&mut self.output);
        self.reply(transport, next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::StoreLimits;
    use tulipa::TestLoop;
    use tulipa::testing::{MemoryLoop, MemoryOptions};

    struct Client;
    impl Protocol for Client {
        fn data_received(&mut self, _: &dyn Transport, _: &[u8]) {}
    }

    #[test]
    fn lines_buy_time_and_single_bytes_do_not() {
        for (sent, stays) in [(&b"NOOP\r\n"[..], true), (b"x", false)] {
            let event_loop = TestLoop::new();
            let limits = StoreLimits { mails: 1, bytes: 1000 };
            let store = Rc::new(RefCell::new(Store::new(limits)));
            let idle = Duration::from_secs(10);
            let server = SmtpProtocol::new(Rc::default(), store, idle);
            let pair = event_loop.memory_pair(server, Client, MemoryOptions::default());
            event_loop.run_ready_now();
            for _ in 0..5 {
                pair.right.write(sent);
                event_loop.advance(Duration::from_secs(6));
            }
            assert_eq!(!pair.left.is_closing(), stays);
            pair.left.abort();
            event_loop.run_ready_now();
        }
    }
}
