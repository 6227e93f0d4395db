//! Fetching with bare futures and callbacks: a protocol, and what happens when.

use super::{LARGEST, PageTooLarge, Response, Url};
use std::rc::Rc;
use std::time::Duration;
use tulipa::prelude::*;
use tulipa::{Future, TimeoutError};

/// The largest head of a response.
const LARGEST_HEAD: usize = 64 * 1024;

/// Fetches a page: a future of its body. It fails if the page is not there within `limit`; cancelling
/// it ends the connection.
pub fn fetch(event_loop: &dyn AbstractEventLoop, url: &Url, limit: Duration) -> Future<Vec<u8>> {
    let page = event_loop.create_future();
    let protocol =
        Fetching { url: url.clone(), received: Vec::new(), has_head: false, page: page.clone() };
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

/// Asks for one page, and collects it until the server ends the connection.
struct Fetching {
    url: Url,
    received: Vec<u8>,
    has_head: bool,
    page: Future<Vec<u8>>,
}

impl Protocol for Fetching {
    fn connection_made(&mut self, transport: &dyn Transport) {
        transport.write(self.url.request("application/json").as_bytes());
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
        if self.received.len() + data.len() > LARGEST {
            return transport.abort_with(PageTooLarge.into());
        }
        // Where the head may end: in what is new, or across the seam.
        let seam = self.received.len().saturating_sub(3);
        self.received.extend_from_slice(data);
        if !self.has_head {
            self.has_head = self.received[seam..].windows(4).any(|end| end == b"\r\n\r\n");
            if !self.has_head && self.received.len() > LARGEST_HEAD {
                transport.abort_with(Exception::msg("the head of the answer is too large"));
            }
        }
    }

    fn connection_lost(&mut self, _: &dyn Transport, reason: Option<Exception>) {
        let outcome = match reason {
            Some(reason) => Err(reason),
            None => {
                Response::parse(std::mem::take(&mut self.received)).and_then(Response::into_page)
            }
        };
        // It is done already if the time was over first, or nobody wants the page any more.
        let _ = self.page.set_outcome(outcome);
    }
}

/// Fetches a page and decodes it as JSON; as [`fetch`] otherwise.
pub fn fetch_json(
    event_loop: &Rc<dyn AbstractEventLoop>,
    url: &Url,
    limit: Duration,
) -> Future<serde_json::Value> {
    let decoded_loop = event_loop.clone();
    fetch(&**event_loop, url, limit).then(move |page| {
        let decoded = decoded_loop.create_future();
        let outcome = serde_json::from_slice(&page).map_err(Exception::from);
        decoded.set_outcome(outcome).expect("a new future is pending");
        decoded
    })
}
