//! What lines cost: one test in a process of its own, since it counts every allocation (R-4).

mod counting;

use counting::allocations;
use tulipa_transports::protocols::{LineHandler, LineMode, LineReceiver};
use tulipa_transports::testing::RecordingTransport;
use tulipa_transports::{Protocol, Transport};

struct Lines(usize);

impl LineHandler for Lines {
    fn line_received(&mut self, _: &dyn Transport, line: &[u8]) -> LineMode {
        self.0 += usize::from(line == b"tulip");
        LineMode::Lines
    }
}

#[test]
fn w13_r4_a_line_costs_no_allocation_not_even_one_that_comes_in_two_pieces() {
    let transport = RecordingTransport::new();
    let mut receiver = LineReceiver::new(Lines(0));
    let data = b"tulip\r\n".repeat(1001);
    let exchange = |receiver: &mut LineReceiver<Lines>| {
        for piece in [&data[..], b"tul", b"ip\r", b"\n"] {
            receiver.data_received(&transport, piece);
        }
    };
    exchange(&mut receiver); // makes the room for a line in pieces
    let before = allocations();
    for _ in 0..10 {
        exchange(&mut receiver);
    }
    assert_eq!(allocations() - before, 0);
    assert_eq!(receiver.handler().0, 11 * 1002);
}
