//! Replies, written straight into the output.

use super::status::{Refusal, Status};

/// The right to answer one request. [`Reply::send`] uses it up.
///
/// A request whose reply is dropped unsent is answered 500, so that the order of replies holds.
#[must_use = "a reply that is not sent becomes a 500"]
#[derive(Debug)]
pub struct Reply<'a> {
    pub(super) output: &'a mut Vec<u8>,
    pub(super) head_only: bool,
    pub(super) persistence: Persistence,
}

/// What a reply says about the connection's future.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Persistence {
    /// Nothing to say: HTTP/1.1 connections persist.
    Implied,
    /// An HTTP/1.0 client asked for it.
    KeepAlive,
    /// This is the last reply.
    Close,
}

impl Reply<'_> {
    /// Writes the status line, `fields`, the length and `body`. For HEAD everything but the body.
    ///
    /// Content-Length and Connection are written here and do not belong into `fields`. Nothing is
    /// allocated, apart from what the output needs to grow.
    ///
    /// # Panics
    /// When a field's name or value contains a line end or a NUL: it would begin another field.
    pub fn send(self, status: Status, fields: &[(&str, &str)], body: &[u8]) {
        let output = self.output;
        output.extend_from_slice(status.line().as_bytes());
        for (name, value) in fields {
            push_field(output, name, value);
        }
        match self.persistence {
            Persistence::Implied => {}
            Persistence::KeepAlive => output.extend_from_slice(b"Connection: keep-alive\r\n"),
            Persistence::Close => output.extend_from_slice(b"Connection: close\r\n"),
        }
        if status == Status::NO_CONTENT {
            // RFC 9110, 8.6: a 204 has no Content-Length, and ends with its head.
            output.extend_from_slice(b"\r\n");
            return;
        }
        output.extend_from_slice(b"Content-Length: ");
        push_decimal(output, body.len());
        output.extend_from_slice(b"\r\n\r\n");
        if !self.head_only {
            output.extend_from_slice(body);
        }
    }

    /// Answers with a status and a line that says why, as plain text.
    pub(super) fn refuse(self, refusal: Refusal) {
        let text = format!("{}: {}\n", refusal.status, refusal.why);
        let plain = ("Content-Type", "text/plain; charset=utf-8");
        self.send(refusal.status, &[plain], text.as_bytes());
    }
}

fn push_field(output: &mut Vec<u8>, name: &str, value: &str) {
    let start = output.len();
    output.extend_from_slice(name.as_bytes());
    output.extend_from_slice(b": ");
    output.extend_from_slice(value.as_bytes());
    // One look at both together takes half as long as one at each.
    if memchr::memchr3(b'\r', b'\n', 0, &output[start..]).is_some() {
        output.truncate(start);
        panic!("a field may not contain a line end or NUL: {name:?}");
    }
    output.extend_from_slice(b"\r\n");
}

/// Writes `number` without the detour through `format!`: this runs for every reply.
fn push_decimal(output: &mut Vec<u8>, mut number: usize) {
    let mut digits = [0; 20]; // as many as u64::MAX has
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    output.extend_from_slice(&digits[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(head_only: bool, persistence: Persistence, status: Status) -> String {
        let mut output = Vec::new();
        let reply = Reply { output: &mut output, head_only, persistence };
        reply.send(status, &[("Content-Type", "text/plain")], b"hello");
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn a_reply_has_status_fields_length_and_body() {
        assert_eq!(
            sent(false, Persistence::Implied, Status::OK),
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
        );
    }

    #[test]
    fn a_reply_to_head_has_the_length_but_not_the_body() {
        assert_eq!(
            sent(true, Persistence::Close, Status::NOT_FOUND),
            "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\n\
             Connection: close\r\nContent-Length: 5\r\n\r\n"
        );
    }

    #[test]
    fn a_204_has_neither_length_nor_body() {
        let text = sent(false, Persistence::KeepAlive, Status::NO_CONTENT);
        assert_eq!(
            text,
            "HTTP/1.1 204 No Content\r\nContent-Type: text/plain\r\nConnection: keep-alive\r\n\r\n"
        );
    }

    #[test]
    #[should_panic(expected = "line end")]
    fn a_field_cannot_begin_another_field() {
        let mut output = Vec::new();
        let reply =
            Reply { output: &mut output, head_only: false, persistence: Persistence::Close };
        reply.send(Status::OK, &[("X", "a\r\nSet-Cookie: b")], b"");
    }

    #[test]
    fn numbers_are_written_in_full() {
        for number in [0, 7, 10, 12_345, usize::MAX] {
            let mut output = Vec::new();
            push_decimal(&mut output, number);
            assert_eq!(output, number.to_string().into_bytes());
        }
    }
}
