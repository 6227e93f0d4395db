//! [`HttpProtocol`]: carries bytes between a transport and an HTTP [`Connection`].

use crate::http::{Connection, Limits, Next, Reply, Request};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use tulipa::{Bytes, IdleTimeout, Protocol, Transport};

/// How long a client may take for the first byte, for a whole request, and between two requests.
const FIRST_BYTE: Duration = Duration::from_secs(10);
const WHOLE_REQUEST: Duration = Duration::from_secs(30);
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How much of a reply a client has to take in that last time for it to count as reading.
const PROGRESS: usize = 64 * 1024;
/// A larger buffer is not kept.
const MOST_SPARE: usize = 256 * 1024;

thread_local! {
    /// What replies are put together in. One serves all connections: it is in the processor's cache already, and an
    /// idle connection needs none.
    static SPARE_OUTPUT: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A server's connection: requests are answered by `S`, in order.
///
/// A client that does not read its replies is not read from either, so nothing piles up.
pub struct HttpProtocol<S> {
    connection: Connection,
    serve: S,
    idle: IdleTimeout,
    /// A request has begun to arrive: its time limit runs, whatever else arrives.
    in_request: bool,
    /// The connection waits for its output to leave before it serves what it holds.
    is_full: bool,
    /// How much of the replies waited when the clock last ran out.
    unread: usize,
}

impl<S: FnMut(&Request<'_>, Reply<'_>) + 'static> HttpProtocol<S> {
    /// A connection on which nothing has arrived yet.
    pub fn new(limits: Rc<Limits>, serve: S) -> Self {
        Self {
            connection: Connection::new(limits),
            serve,
            idle: IdleTimeout::default(),
            in_request: false,
            is_full: false,
            unread: usize::MAX,
        }
    }

    fn feed(&mut self, transport: &dyn Transport, data: &[u8]) {
        let mut output = SPARE_OUTPUT.take();
        let mut data = data;
        let next = loop {
            let next = self.connection.receive(data, &mut output, &mut self.serve);
            let written = transport.write(&output);
            output.clear();
            match next {
                // What waits is below the high mark again: go on.
                Next::Full if written == tulipa::WriteState::Taken => data = &[],
                next => break next,
            }
        };
        if output.capacity() <= MOST_SPARE {
            SPARE_OUTPUT.set(output);
        }
        match next {
            Next::Continue => self.watch_the_clock(),
            Next::Full => self.is_full = true,
            Next::Close => transport.close(),
        }
    }

    fn watch_the_clock(&mut self) {
        match (self.connection.is_idle(), self.in_request) {
            (true, _) => {
                self.in_request = false;
                self.unread = usize::MAX;
                self.idle.set_timeout(Some(KEEP_ALIVE));
            }
            (false, false) => {
                self.in_request = true;
                self.idle.set_timeout(Some(WHOLE_REQUEST));
            }
            // Sending a request byte by byte does not buy more time.
            (false, true) => {}
        }
    }

    fn timed_out(&mut self, transport: &dyn Transport) {
        let unread = transport.get_write_buffer_size().0;
        if unread > 0 && unread <= self.unread.saturating_sub(PROGRESS) {
            // A slow line is not silence: a large reply may take longer than this.
            self.unread = unread;
            return self.idle.start(transport, KEEP_ALIVE, Self::timed_out);
        }
        let mut output = Vec::new();
        let _close = self.connection.time_out(&mut output);
        transport.write(&output);
        transport.close();
    }
}

impl<S: FnMut(&Request<'_>, Reply<'_>) + 'static> Protocol for HttpProtocol<S> {
    fn connection_made(&mut self, transport: &dyn Transport) {
        self.idle.start(transport, FIRST_BYTE, Self::timed_out);
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
        self.feed(transport, data);
    }

    fn pause_writing(&mut self, transport: &dyn Transport) {
        transport.pause_reading();
    }

    fn resume_writing(&mut self, transport: &dyn Transport) {
        transport.resume_reading();
        if std::mem::take(&mut self.is_full) {
            self.feed(transport, &[]);
        }
    }

    fn memory_held(&self) -> Bytes {
        Bytes(self.connection.memory())
    }

    fn shutdown_requested(&mut self, transport: &dyn Transport) {
        if self.connection.shut_down() == Next::Close {
            transport.close();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Status;
    use tulipa::testing::{MemoryLoop, MemoryOptions};
    use tulipa::{Bytes, TestLoop};

    struct Silent;
    impl Protocol for Silent {
        fn connection_made(&mut self, transport: &dyn Transport) {
            transport.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            transport.pause_reading();
        }
        fn data_received(&mut self, _: &dyn Transport, _: &[u8]) {}
    }

    /// How long a client is kept that takes `rate` bytes of a 1 MiB reply each minute.
    fn minutes_until_the_end(rate: usize) -> usize {
        let event_loop = TestLoop::new();
        let body = vec![0; 1024 * 1024];
        let server = HttpProtocol::new(Rc::default(), move |_: &Request<'_>, reply: Reply<'_>| {
            reply.send(Status::OK, &[], &body);
        });
        let pair =
            event_loop.memory_pair(server, Silent, MemoryOptions::default().capacity(Bytes(100)));
        event_loop.run_ready_now();
        let mut minutes = 0;
        while !pair.left.is_closing() && minutes < 10 {
            minutes += 1;
            // What is on the way counts as taken.
            pair.set_capacity(Bytes(minutes * rate));
            event_loop.advance(Duration::from_secs(60));
        }
        pair.left.abort();
        pair.right.abort();
        event_loop.run_ready_now();
        minutes
    }

    #[test]
    fn a_client_on_a_slow_line_gets_all_and_one_that_does_not_read_is_cut() {
        assert!(minutes_until_the_end(150 * 1024) >= 7);
        assert!(minutes_until_the_end(0) <= 3);
        assert!(minutes_until_the_end(1024) <= 4);
    }
}
