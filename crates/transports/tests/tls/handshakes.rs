//! What is before `connection_made` (X-44…X-46).

use crate::kit::*;
use crate::support::*;
use eventloop::TestLoop;
use std::io::ErrorKind;
use std::time::Duration;
use tulipa_transports::testing::{MemoryLoop, MemoryOptions, MemoryTlsLoop, ProtocolCall};
use tulipa_transports::tls::TlsError;
use tulipa_transports::{Bytes, Transport, WriteRefusal, WriteState};

#[test]
fn x44_x53_the_protocol_is_told_when_the_handshake_is_done() {
    let event_loop = TestLoop::new();
    let made = Slot::new();
    let seen = made.clone();
    let left = Hooks::new().made(move |transport| {
        let info = transport.extra_info().tls.expect("it is known by then");
        seen.update(|all: &mut Vec<_>| all.push(info.server_name.clone()));
        transport.write(b"tulip");
    });
    let (recorded, left, right) = connect(&event_loop, left, Hooks::echo());
    assert_eq!(made.take(), [Some(NAME.to_owned())]);
    event_loop.run_ready_now();
    assert_eq!(recorded.left.bytes(), 5);
    assert_eq!(recorded.right.bytes(), 5);
    assert!(!left.is_closing() && !right.is_closing());
    left.close();
    recorded.finish(&event_loop);
    assert_eq!(recorded.left.lost_reason(), Some(None));
    assert_eq!(recorded.right.lost_reason(), Some(None));
    assert!(left.extra_info().tls.is_some(), "it stays known (X-1)");
}
