//! [`ReadBuffer`]: what a reader has and did not hand out yet, in one piece. Pure data.
//!
//! Bytes leave at the front and come at the back. Room at the front is reused once it is half of
//! all, so that a byte is moved a bounded number of times; a buffer that has become empty keeps only
//! a little memory, because most connections are idle most of the time.

/// Bytes in order.
#[derive(Debug, Default)]
pub(super) struct ReadBuffer {
    bytes: Vec<u8>,
    /// Where what is left begins.
    start: usize,
}

/// An empty buffer larger than this is given back to the system.
const WORTH_KEEPING: usize = 4096;

impl ReadBuffer {
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes over all of `incoming`: without a copy if there is nothing before it.
    pub(super) fn absorb(&mut self, incoming: &mut Vec<u8>) {
        if self.is_empty() {
            self.bytes.clear();
            self.start = 0;
            std::mem::swap(&mut self.bytes, incoming);
            return;
        }
        let full = self.bytes.len() + incoming.len() > self.bytes.capacity();
        if full && self.start >= self.len() {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(incoming);
        incoming.clear();
        if incoming.capacity() > WORTH_KEEPING {
            *incoming = Vec::new();
        }
    }

    /// Forgets the first `count` bytes.
    ///
    /// # Panics
    /// If there are not as many.
    pub(super) fn consume(&mut self, count: usize) {
        assert!(count <= self.len(), "{count} bytes consumed of {}", self.len());
        self.start += count;
        if self.is_empty() {
            self.clear();
        }
    }

    /// Takes the first `count` bytes out, or all if there are not as many.
    pub(super) fn take(&mut self, count: usize) -> Vec<u8> {
        let count = count.min(self.len());
        let fits_well = self.bytes.capacity() / 2 <= count;
        if self.start == 0 && count == self.bytes.len() && fits_well {
            return std::mem::take(&mut self.bytes);
        }
        let taken = self.as_slice()[..count].to_vec();
        self.consume(count);
        taken
    }

    fn clear(&mut self) {
        self.start = 0;
        self.bytes.clear();
        if self.bytes.capacity() > WORTH_KEEPING {
            self.bytes = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Op {
        Absorb(Vec<u8>),
        Consume(usize),
        Take(usize),
    }

    fn any_op() -> impl Strategy<Value = Op> {
        let bytes = proptest::collection::vec(any::<u8>(), 0..6000);
        prop_oneof![
            bytes.prop_map(Op::Absorb),
            (0..9000usize).prop_map(Op::Consume),
            (0..9000usize).prop_map(Op::Take),
        ]
    }

    proptest! {
        #[test]
        fn a_read_buffer_behaves_like_a_queue_of_bytes(
            ops in proptest::collection::vec(any_op(), 0..40)
        ) {
            let (mut buffer, mut model) = (ReadBuffer::default(), Vec::new());
            for op in ops {
                match op {
                    Op::Absorb(mut bytes) => {
                        model.extend_from_slice(&bytes);
                        buffer.absorb(&mut bytes);
                        prop_assert!(bytes.is_empty());
                    }
                    Op::Consume(count) => {
                        let count = count.min(model.len());
                        model.drain(..count);
                        buffer.consume(count);
                    }
                    Op::Take(count) => {
                        let taken: Vec<u8> = model.drain(..count.min(model.len())).collect();
                        prop_assert_eq!(buffer.take(count), taken);
                    }
                }
                prop_assert_eq!(buffer.as_slice(), &model[..]);
                prop_assert!(!buffer.is_empty() || buffer.bytes.capacity() <= WORTH_KEEPING);
            }
        }
    }
}
