//! [`Output`]: the bytes that wait to be sent.
//!
//! What was sent is skipped by an offset, never moved out of the front: that would copy the rest
//! again and again.

/// Bytes in the order in which they were written; those before `start` are sent.
#[derive(Default)]
pub(crate) struct Output {
    bytes: Vec<u8>,
    start: usize,
}

/// A buffer larger than this is not kept for the next one who needs one.
const LARGEST_SPARE: usize = 128 * 1024;

impl Output {
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is still to be sent.
    #[inline]
    pub(crate) fn unsent(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    #[inline]
    pub(crate) fn push(&mut self, data: &[u8]) {
        // As `Vec` asks it, so that it does not ask again.
        if data.len() > self.bytes.capacity() - self.bytes.len() {
            self.make_room(data.len());
        }
        self.bytes.extend_from_slice(data);
    }

    #[cold]
    fn make_room(&mut self, size: usize) {
        if self.start > self.len() {
            // More than half is sent already: moving the rest down is cheaper than growing.
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.reserve(size);
    }

    /// Takes `data` over as a whole. Only for an empty one.
    pub(crate) fn adopt(&mut self, data: Vec<u8>) {
        debug_assert!(self.is_empty());
        self.bytes = data;
        self.start = 0;
    }

    /// The next `count` bytes were sent.
    pub(crate) fn sent(&mut self, count: usize) {
        assert!(count <= self.len(), "more was sent than there was");
        self.start += count;
        if self.is_empty() {
            self.clear();
        }
    }

    /// Drops all that waits.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.start = 0;
    }

    /// Gives back the room that is not needed.
    pub(crate) fn trim(&mut self) {
        self.bytes.drain(..self.start);
        self.start = 0;
        self.bytes.shrink_to_fit();
    }

    /// Whether its memory is worth keeping for the next one who needs a buffer.
    pub(crate) fn is_worth_keeping(&self) -> bool {
        self.bytes.capacity() <= LARGEST_SPARE
    }

    /// The memory it holds.
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x17_a_partial_send_continues_with_exactly_the_rest() {
        let mut output = Output::default();
        output.push(b"hello world");
        output.sent(4);
        assert_eq!((output.unsent(), output.len()), (&b"o world"[..], 7));
        output.push(b"!");
        assert_eq!(output.unsent(), b"o world!");
        output.sent(8);
        assert!(output.is_empty());
    }

    #[test]
    fn x17_a_buffer_in_steady_use_does_not_grow() {
        let mut output = Output::default();
        for _ in 0..10_000 {
            output.push(&[7; 100]);
            output.sent(if output.len() > 200 { 200 } else { 50 });
        }
        assert!(output.capacity() < 2048, "{}", output.capacity());
    }
}
