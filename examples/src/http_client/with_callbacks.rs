//! Fetching with bare futures and callbacks: what a protocol is told, and what happens when.

use super::{LARGEST, PageTooLarge, Response, Url};
use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Duration;
use tulipa::prelude::*;
use tulipa::protocols::{Terminator, TerminatorHandler, TerminatorReceiver};
use tulipa::{Bytes, Future, TimeoutError, defer_later};

/// The largest head of a response, and what ends it.
const LARGEST_HEAD: Bytes = Bytes::kib(64);
const END_OF_HEAD: &str = "\r\n\r\n";
/// How long to wait before another attempt.
const PAUSE: Duration = Duration::from_secs(1);

/// Fetches a page: a future of its body. It fails if the page is not there within `limit`; cancelling
/// it ends the connection.
pub fn fetch(event_loop: &dyn AbstractEventLoop, url: &Url, limit: Duration) -> Future<Vec<u8>> {
    let page = event_loop.create_future();
    let protocol =
        Fetching { url: url.clone(), received: Vec::new(), has_head: false, page: page.clone() };
    let protocol = TerminatorReceiver::new(protocol, END_OF_HEAD);
    let connecting = event_loop.create_connection(move || protocol, (url.host(), url.port()));

    let failed = page.clone();
    connecting.add_done_callback(move |connecting| {
        if let Ok(Some(exception)) = connecting.exception() {
            // It is done already if the time was over first.
            let _ = failed.set_exception(exception);
        }
    });
    let late = page.clone();
    let too_late = TimeoutError::new(format!("fetching {url} within {limit:?}"));
    let timer = event_loop.call_later(limit, move || {
        // It is done already if the page came just now.
        let _ = late.set_exception(too_late);
    });
    page.add_done_callback(move |_| {
        timer.cancel();
        if !connecting.cancel()
            && let Ok(transport) = connecting.result()
        {
            transport.abort();
        }
    });
    page
}

/// Asks for one page, and collects it: the head up to the empty line, then as many bytes as that says, or
/// all that comes until the server ends the connection.
struct Fetching {
    url: Url,
    received: Vec<u8>,
    has_head: bool,
    page: Future<Vec<u8>>,
}

impl Fetching {
    /// All of it is there.
    fn finish(&mut self) {
        let answer = std::mem::take(&mut self.received);
        let outcome = Response::parse(answer).and_then(Response::into_page);
        // It is done already if the time was over first, or nobody wants the page any more.
        let _ = self.page.set_outcome(outcome);
    }
}

impl TerminatorHandler for Fetching {
    fn connection_made(&mut self, transport: &dyn Transport) {
        transport.write(self.url.request("application/json").as_bytes());
    }

    fn collect_incoming_data(&mut self, transport: &dyn Transport, data: &[u8]) {
        if self.received.len() + data.len() > LARGEST {
            return transport.abort_with(PageTooLarge.into());
        }
        self.received.extend_from_slice(data);
    }

    fn found_terminator(&mut self, transport: &dyn Transport) -> Terminator {
        if self.has_head {
            self.finish();
            transport.close();
            return Terminator::Never;
        }
        self.has_head = true;
        self.received.extend_from_slice(END_OF_HEAD.as_bytes());
        match Response::body_length(&self.received) {
            Ok(Some(length)) if length <= LARGEST as u64 => Terminator::Count(length),
            Ok(Some(_)) => {
                transport.abort_with(PageTooLarge.into());
                Terminator::Never
            }
            Ok(None) => Terminator::Never,
            Err(error) => {
                transport.abort_with(error);
                Terminator::Never
            }
        }
    }

    fn max_length(&self) -> Bytes {
        LARGEST_HEAD
    }

    fn terminator_too_far(&mut self, transport: &dyn Transport) {
        transport.abort_with(Exception::msg("the head of the answer is too large"));
    }

    fn connection_lost(&mut self, _: &dyn Transport, reason: Option<Exception>) {
        match reason {
            Some(reason) => {
                // It is done already if the time was over first.
                let _ = self.page.set_exception(reason);
            }
            None => self.finish(),
        }
    }
}

/// Fetches a page as [`fetch`] does. Where nobody listens, it tries again a second later, `retries` times.
fn fetch_patiently(
    event_loop: &Rc<dyn AbstractEventLoop>,
    url: &Url,
    limit: Duration,
    retries: u32,
) -> Future<Vec<u8>> {
    let (event_loop, url) = (event_loop.clone(), url.clone());
    fetch(&*event_loop.clone(), &url, limit).or_else(move |error| {
        if retries == 0 || error.io_kind() != Some(ErrorKind::ConnectionRefused) {
            return defer_later(&*event_loop, Duration::ZERO, move || Err(error));
        }
        defer_later(&*event_loop.clone(), PAUSE, || Ok(()))
            .then(move |()| fetch_patiently(&event_loop, &url, limit, retries - 1))
    })
}

/// Fetches a page and decodes it as JSON; each attempt as [`fetch`] otherwise. Where nobody listens, it
/// tries again a second later, `retries` times.
pub fn fetch_json(
    event_loop: &Rc<dyn AbstractEventLoop>,
    url: &Url,
    limit: Duration,
    retries: u32,
) -> Future<serde_json::Value> {
    let decoded_loop = event_loop.clone();
    fetch_patiently(event_loop, url, limit, retries).then(move |page| {
        let decoded = decoded_loop.create_future();
        let outcome = serde_json::from_slice(&page).map_err(Exception::from);
        decoded.set_outcome(outcome).expect("a new future is pending");
        decoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tulipa::testing::RecordingTransport;
    use tulipa::{Protocol, TestLoop};

    /// What comes of an answer in pieces of this size; `Err(None)` if nothing comes before the end.
    fn page(answer: &[u8], size: usize, ends: bool) -> Result<Vec<u8>, Option<String>> {
        let event_loop = TestLoop::new();
        let page = event_loop.create_future();
        let url = "http://localhost/x".parse().unwrap();
        let fetching = Fetching { url, received: Vec::new(), has_head: false, page: page.clone() };
        let mut receiver = TerminatorReceiver::new(fetching, END_OF_HEAD);
        let transport = RecordingTransport::new();
        receiver.connection_made(&transport);
        for piece in answer.chunks(size) {
            if transport.can_deliver() {
                receiver.data_received(&transport, piece);
            }
        }
        if ends && !transport.is_closed() {
            receiver.eof_received(&transport);
            receiver.connection_lost(&transport, None);
        }
        if !page.done() {
            assert!(!transport.is_closed() || !ends);
            return Err(None);
        }
        page.take().map_err(|error| Some(error.to_string()))
    }

    #[test]
    fn a_page_is_there_with_its_last_byte_however_it_is_cut() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n\r\n\r\nabHTTP/1.1 400";
        for size in 1..answer.len() {
            assert_eq!(page(answer, size, false), Ok(b"\r\n\r\nab".to_vec()), "cut into {size}");
            let short = &answer[..answer.len() - 13];
            assert_eq!(page(short, size, false), Err(None), "cut into {size}");
            let missing = page(short, size, true);
            assert_eq!(missing, Err(Some("got 5 of 6 bytes".to_owned())), "cut into {size}");
        }
        let empty = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(page(empty, 7, false), Ok(Vec::new()), "nothing more is awaited");
        let endless = b"HTTP/1.0 200 OK\r\n\r\n\r\n\r\nab";
        assert_eq!(page(endless, 3, false), Err(None));
        assert_eq!(page(endless, 3, true), Ok(b"\r\n\r\nab".to_vec()));
    }

    #[test]
    fn r4_what_is_too_large_is_not_collected() {
        let closes = |answer: &[u8]| {
            let event_loop = TestLoop::new();
            let url = "http://localhost/x".parse().unwrap();
            let page = event_loop.create_future();
            let fetching = Fetching { url, received: Vec::new(), has_head: false, page };
            let mut receiver = TerminatorReceiver::new(fetching, END_OF_HEAD);
            let transport = RecordingTransport::new();
            receiver.data_received(&transport, answer);
            transport.is_closed()
        };
        assert!(closes(&[b'x'; 65 * 1024]));
        assert!(closes(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"));
        assert!(closes(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"));
        assert!(!closes(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"));
    }
}
