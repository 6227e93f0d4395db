//! The chunked transfer-coding, taken apart (RFC 9112, section 7.1).
//!
//! Invariant: a chunk line is digits, then extensions as the grammar has them, then CR LF; chunk data is
//! followed by CR LF; nothing else is skipped, trimmed or guessed.

use super::head::BODY_TOO_LARGE;
use super::limits::Limits;
use super::status::Refusal;
use crate::work;

/// A chunked body on its way in.
#[derive(Debug, Default)]
pub(super) struct Chunked {
    state: State,
    /// The line being read; in the trailers, all their lines.
    line: Vec<u8>,
    extensions: usize,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Line,
    Data {
        left: usize,
    },
    DataCr,
    DataLf,
    Trailers {
        line_start: usize,
    },
    Done,
}

impl Chunked {
    /// Takes what it can from `input` and appends data to `body`; returns how much was taken.
    pub(super) fn take(
        &mut self,
        input: &[u8],
        body: &mut Vec<u8>,
        limits: &Limits,
    ) -> Result<usize, Refusal> {
        let mut used = 0;
        while used < input.len() && !self.is_done() {
            used += self.step(&input[used..], body, limits)?;
        }
        Ok(used)
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    fn step(
        &mut self,
        input: &[u8],
        body: &mut Vec<u8>,
        limits: &Limits,
    ) -> Result<usize, Refusal> {
        match self.state {
            State::Line => {
                let (used, whole) = self.read_line(input, limits.chunk_line, 0)?;
                if whole {
                    self.begin_chunk(body.len(), limits)?;
                    self.line.clear();
                }
                Ok(used)
            }
            State::Data { left } => {
                let taken = left.min(input.len());
                work::count(taken);
                body.extend_from_slice(&input[..taken]);
                self.state = match left - taken {
                    0 => State::DataCr,
                    left => State::Data { left },
                };
                Ok(taken)
            }
            State::DataCr if input[0] == b'\r' => self.went(State::DataLf),
            State::DataLf if input[0] == b'\n' => self.went(State::Line),
            State::DataCr | State::DataLf => Err(Refusal::bad("a chunk is longer than it said")),
            State::Trailers { line_start } => {
                let (used, whole) = self.read_line(input, limits.trailers, line_start)?;
                if whole && self.line.len() == line_start + 2 {
                    self.end()?;
                } else if whole {
                    self.state = State::Trailers { line_start: self.line.len() };
                }
                Ok(used)
            }
            State::Done => Ok(0),
        }
    }

    /// One byte, and on to `state`.
    fn went(&mut self, state: State) -> Result<usize, Refusal> {
        work::count(1);
        self.state = state;
        Ok(1)
    }

    /// Adds to the line what belongs to it; says how much that was and whether the line is whole.
    fn read_line(
        &mut self,
        input: &[u8],
        limit: usize,
        line_start: usize,
    ) -> Result<(usize, bool), Refusal> {
        let window = &input[..input.len().min(limit - self.line.len())];
        let lf = memchr::memchr(b'\n', window);
        let used = lf.map_or(window.len(), |lf| lf + 1);
        work::count(used);
        self.line.extend_from_slice(&window[..used]);
        if lf.is_none() {
            return match self.line.len() < limit {
                true => Ok((used, false)),
                false => Err(Refusal::bad("a chunk line or the trailers are too long")),
            };
        }
        match &self.line[line_start..] {
            // A CR before that fits no grammar below.
            [.., b'\r', b'\n'] => Ok((used, true)),
            _ => Err(Refusal::bad("a line ends with CR LF, with neither alone")),
        }
    }

    fn begin_chunk(&mut self, held: usize, limits: &Limits) -> Result<(), Refusal> {
        let line = &self.line[..self.line.len() - 2];
        work::count(line.len());
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let (size, extensions) = line.split_at(digits);
        if size.is_empty() || !are_extensions(extensions) {
            return Err(Refusal::bad("a chunk size is not hexadecimal digits"));
        }
        self.extensions += extensions.len();
        if self.extensions > limits.chunk_extensions {
            return Err(Refusal::bad("there are too many chunk extensions"));
        }
        let size = size.iter().fold(0_usize, |size, digit| {
            let digit = char::from(*digit).to_digit(16).expect("a hexadecimal digit was checked");
            size.saturating_mul(16).saturating_add(digit as usize)
        });
        if size > limits.body - held {
            return Err(BODY_TOO_LARGE);
        }
        self.state = match size {
            0 => State::Trailers { line_start: 0 },
            left => State::Data { left },
        };
        Ok(())
    }

    /// Checks the trailers, which are then forgotten: nothing here uses them.
    fn end(&mut self) -> Result<(), Refusal> {
        work::count(self.line.len());
        let mut room = [httparse::EMPTY_HEADER; Limits::MOST_FIELDS];
        match httparse::parse_headers(&self.line, &mut room) {
            Ok(httparse::Status::Complete(_)) => {}
            _ => return Err(Refusal::bad("the trailers are malformed")),
        }
        self.line = Vec::new();
        self.state = State::Done;
        Ok(())
    }
}

/// Whether this is `*( ";" name [ "=" ( token / quoted-string ) ] )`, without any white space.
fn are_extensions(mut rest: &[u8]) -> bool {
    while let [b';', after @ ..] = rest {
        let Some(after) = skip_token(after) else { return false };
        rest = match after {
            [b'=', b'"', quoted @ ..] => match skip_quoted(quoted) {
                Some(after) => after,
                None => return false,
            },
            [b'=', token @ ..] => match skip_token(token) {
                Some(after) => after,
                None => return false,
            },
            _ => after,
        };
    }
    rest.is_empty()
}

fn skip_token(bytes: &[u8]) -> Option<&[u8]> {
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    match bytes.iter().take_while(|byte| is_token(byte)).count() {
        0 => None,
        length => Some(&bytes[length..]),
    }
}

/// What follows the closing quote.
fn skip_quoted(mut bytes: &[u8]) -> Option<&[u8]> {
    loop {
        bytes = match bytes {
            [b'"', after @ ..] => return Some(after),
            [b'\\', escaped, after @ ..] if is_text(*escaped) => after,
            [byte, after @ ..] if *byte != b'\\' && is_text(*byte) => after,
            _ => return None,
        }
    }
}

fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}
