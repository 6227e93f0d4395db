//! One connection: bytes in, requests served in their order, bytes out.

use std::mem;
use std::rc::Rc;

use super::chunked::Chunked;
use super::head::{Framing, Head, HeadScan, field_room};
use super::limits::Limits;
use super::reply::{Persistence, Reply};
use super::request::Request;
use super::status::{Refusal, Status};
use crate::work;

/// What to do with the connection once the output has been written.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Read on.
    Continue,
    /// The output has reached its limit, and there may be more requests: stop reading, and call
    /// [`Connection::receive`] with no data once the output has gone (when the transport says
    /// `resume_writing`, or at once if it never said `pause_writing`).
    Full,
    /// Close, after the output has been flushed. Whatever else arrives is ignored.
    Close,
}

/// The server's side of one HTTP/1.1 connection.
///
/// A whole request that arrives in one piece is served from where it lies: nothing is copied and
/// nothing allocated. What is incomplete is kept, up to the [`Limits`].
///
/// # Examples
/// ```
/// use std::rc::Rc;
/// use tulipa_examples::http::{Connection, Limits, Next, Status};
///
/// let mut connection = Connection::new(Rc::new(Limits::default()));
/// let mut output = Vec::new();
/// let next = connection.receive(b"GET /a HTTP/1.1\r\nHost: b\r\n\r\n", &mut output, |request, reply| {
///     reply.send(Status::OK, &[("Content-Type", "text/plain")], request.path().as_bytes());
/// });
/// assert_eq!(next, Next::Continue);
/// assert!(output.ends_with(b"Content-Length: 2\r\n\r\n/a"));
/// ```
#[derive(Debug)]
pub struct Connection {
    limits: Rc<Limits>,
    state: State,
    held: Held,
    last_request: bool,
}

#[derive(Debug)]
enum State {
    /// Before or in a head.
    Head { scan: HeadScan, blank_line_seen: bool },
    /// In the body of the request with this head.
    Body(Box<Incoming>),
    /// The last reply has been written.
    Closed,
}

const NEXT_HEAD: State =
    State::Head { scan: HeadScan { scanned: 0, line_start: 0 }, blank_line_seen: false };

/// A request whose body is still arriving.
#[derive(Debug)]
struct Incoming {
    head: Vec<u8>,
    body: Vec<u8>,
    rest: Rest,
}

/// What is still to come of a body.
#[derive(Debug)]
enum Rest {
    Length(usize),
    Chunked(Chunked),
}

impl Connection {
    /// A connection that nothing has arrived on yet. The limits are shared by all of a server's.
    pub fn new(limits: Rc<Limits>) -> Self {
        Connection { limits, state: NEXT_HEAD, held: Held::default(), last_request: false }
    }

    /// Takes `data`, calls `serve` for each request that is complete now, and appends to `output` what
    /// is to be sent.
    ///
    /// `serve` is not called for what is refused, and after [`Next::Close`] never again.
    pub fn receive(
        &mut self,
        data: &[u8],
        output: &mut Vec<u8>,
        mut serve: impl FnMut(&Request<'_>, Reply<'_>),
    ) -> Next {
        let mut held = mem::take(&mut self.held);
        if held.is_empty() {
            let (used, next) = self.advance(data, output, &mut serve);
            self.held = Held::new(&data[used..]);
            return next;
        }
        held.extend(data);
        let (used, next) = self.advance(held.bytes(), output, &mut serve);
        held.consume(used);
        self.held = held;
        next
    }

    /// Whether no request is under way: then silence is keep-alive, otherwise it is a slow client.
    pub fn is_idle(&self) -> bool {
        self.held.is_empty() && matches!(self.state, State::Head { .. })
    }

    /// What is kept of a request that is not whole, in bytes.
    pub fn memory(&self) -> usize {
        let of_body = match &self.state {
            State::Body(incoming) => {
                size_of::<Incoming>() + incoming.head.capacity() + incoming.body.capacity()
            }
            State::Head { .. } | State::Closed => 0,
        };
        self.held.bytes.capacity() + of_body
    }

    /// Ends the connection because the client was silent for too long: 408 for half a request,
    /// nothing for none.
    pub fn time_out(&mut self, output: &mut Vec<u8>) -> Next {
        match (&self.state, self.is_idle()) {
            (State::Closed, _) => Next::Close,
            (_, true) => self.close(),
            (_, false) => self
                .refuse(Refusal::new(Status::REQUEST_TIMEOUT, "the request took too long"), output),
        }
    }

    /// Makes the reply to the request under way the last one; without one, ends at once.
    pub fn shut_down(&mut self) -> Next {
        self.last_request = true;
        match self.is_idle() {
            true => self.close(),
            false if matches!(self.state, State::Closed) => Next::Close,
            false => Next::Continue,
        }
    }

    /// Goes through `input`, which begins where the last call stopped; returns how much was used.
    fn advance(
        &mut self,
        input: &[u8],
        output: &mut Vec<u8>,
        serve: &mut impl FnMut(&Request<'_>, Reply<'_>),
    ) -> (usize, Next) {
        let mut used = 0;
        loop {
            let rest = &input[used..];
            if matches!(self.state, State::Closed) {
                return (input.len(), Next::Close);
            }
            if rest.is_empty() {
                return (used, Next::Continue);
            }
            if output.len() >= self.limits.output {
                return (used, Next::Full);
            }
            match self.step(rest, output, serve) {
                Ok(Some(taken)) => used += taken,
                Ok(None) => return (used, Next::Continue),
                Err(refusal) => {
                    // Closed now: the next round says so.
                    let _ = self.refuse(refusal, output);
                }
            }
        }
    }

    /// One head or one piece of a body. `None`: more input is needed first.
    fn step(
        &mut self,
        input: &[u8],
        output: &mut Vec<u8>,
        serve: &mut impl FnMut(&Request<'_>, Reply<'_>),
    ) -> Result<Option<usize>, Refusal> {
        if let Some(length) = self.begin_at_once(input, output, serve)? {
            return Ok(Some(length));
        }
        match &mut self.state {
            State::Closed => Ok(None),
            State::Head { scan, blank_line_seen } => {
                let Some(length) = scan.find_end(input, &self.limits)? else { return Ok(None) };
                if length > 2 {
                    let mut room = field_room();
                    let head = Head::parse(&input[..length], &mut room, &self.limits)?;
                    self.begin(&head, &input[..length], output, serve);
                } else if mem::replace(blank_line_seen, true) {
                    return Err(Refusal::bad("more than one empty line before a request"));
                } else {
                    // RFC 9112, 2.2: some clients send one too many after a body.
                    *scan = HeadScan::default();
                }
                Ok(Some(length))
            }
            State::Body(incoming) => {
                let taken = incoming.take(input, &self.limits)?;
                if incoming.is_whole() {
                    self.finish(output, serve)?;
                } else if taken == 0 {
                    return Ok(None);
                }
                Ok(Some(taken))
            }
        }
    }

    /// As [`begin`](Self::begin), for a head that lies there whole and in order. Answers its length.
    fn begin_at_once(
        &mut self,
        input: &[u8],
        output: &mut Vec<u8>,
        serve: &mut impl FnMut(&Request<'_>, Reply<'_>),
    ) -> Result<Option<usize>, Refusal> {
        if !matches!(&self.state, State::Head { scan, .. } if scan.is_fresh()) {
            return Ok(None);
        }
        let mut room = field_room();
        let parsed = Head::parse_at_once(input, &mut room, &self.limits)?;
        let Some((head, length)) = parsed else { return Ok(None) };
        self.begin(&head, &input[..length], output, serve);
        Ok(Some(length))
    }

    /// A head is whole: serves it, or waits for its body.
    fn begin(
        &mut self,
        head: &Head<'_>,
        bytes: &[u8],
        output: &mut Vec<u8>,
        serve: &mut impl FnMut(&Request<'_>, Reply<'_>),
    ) {
        let rest = match head.framing {
            Framing::Length(0) => {
                self.state = NEXT_HEAD;
                return self.answer(head, b"", output, serve);
            }
            Framing::Length(length) => Rest::Length(length),
            Framing::Chunked => Rest::Chunked(Chunked::default()),
        };
        if head.expects_continue {
            output.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        let incoming = Incoming { head: bytes.to_vec(), body: Vec::new(), rest };
        self.state = State::Body(Box::new(incoming));
    }

    /// A body is whole: serves its request.
    fn finish(
        &mut self,
        output: &mut Vec<u8>,
        serve: &mut impl FnMut(&Request<'_>, Reply<'_>),
    ) -> Result<(), Refusal> {
        if let State::Body(incoming) = mem::replace(&mut self.state, NEXT_HEAD) {
            let mut room = field_room();
            let head = Head::parse(&incoming.head, &mut room, &self.limits)?;
            self.answer(&head, &incoming.body, output, serve);
        }
        Ok(())
    }

    fn answer(
        &mut self,
        head: &Head<'_>,
        body: &[u8],
        output: &mut Vec<u8>,
        serve: &mut impl FnMut(&Request<'_>, Reply<'_>),
    ) {
        let persistence = match head.persists && !self.last_request {
            true if head.http_1_0 => Persistence::KeepAlive,
            true => Persistence::Implied,
            false => Persistence::Close,
        };
        if persistence == Persistence::Close {
            self.state = State::Closed;
        }
        let request = Request { body, ..head.request };
        let head_only = request.method == "HEAD";
        let before = output.len();
        serve(&request, Reply { output, head_only, persistence });
        if output.len() == before {
            Reply { output, head_only, persistence }
                .refuse(Refusal::new(Status::INTERNAL_SERVER_ERROR, "there was no answer"));
        }
    }

    fn refuse(&mut self, refusal: Refusal, output: &mut Vec<u8>) -> Next {
        Reply { output, head_only: false, persistence: Persistence::Close }.refuse(refusal);
        self.close()
    }

    fn close(&mut self) -> Next {
        self.state = State::Closed;
        self.held = Held::default();
        Next::Close
    }
}

impl Incoming {
    fn take(&mut self, input: &[u8], limits: &Limits) -> Result<usize, Refusal> {
        match &mut self.rest {
            Rest::Length(left) => {
                let taken = input.len().min(*left);
                work::count(taken);
                self.body.extend_from_slice(&input[..taken]);
                *left -= taken;
                Ok(taken)
            }
            Rest::Chunked(chunked) => chunked.take(input, &mut self.body, limits),
        }
    }

    fn is_whole(&self) -> bool {
        match &self.rest {
            Rest::Length(left) => *left == 0,
            Rest::Chunked(chunked) => chunked.is_done(),
        }
    }
}

/// Input that could not be used yet. What was used stays in front until it is the larger half, so that
/// moving the rest down costs no more than reading it did.
#[derive(Debug, Default)]
struct Held {
    bytes: Vec<u8>,
    used: usize,
}

impl Held {
    fn new(bytes: &[u8]) -> Self {
        Held { bytes: bytes.to_vec(), used: 0 }
    }

    fn is_empty(&self) -> bool {
        self.used == self.bytes.len()
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[self.used..]
    }

    fn extend(&mut self, data: &[u8]) {
        self.bytes.extend_from_slice(data);
    }

    fn consume(&mut self, used: usize) {
        self.used += used;
        if self.is_empty() {
            *self = Held::default(); // an idle connection holds nothing
        } else if self.used * 2 > self.bytes.len() {
            work::count(self.bytes.len() - self.used);
            self.bytes.drain(..self.used);
            self.used = 0;
        }
    }
}

#[cfg(test)]
mod framing_tests;
#[cfg(test)]
mod tests;
