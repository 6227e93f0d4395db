//! What an encrypted connection costs its loop, and that it leaves nothing behind.

use crate::kit::*;
use crate::support::*;
use eventloop::TestLoop;
use std::rc::Rc;
use tulipa_transports::testing::{MemoryOptions, MemoryTlsLoop};
use tulipa_transports::{ConnectOptions, NetworkLoop, ServerOptions};

/// The callbacks and polls of a hundred requests and their replies.
fn requests(encrypted: bool) -> (u64, u64) {
    let event_loop = TestLoop::new();
    let (client, server) = configs();
    let mut options = ServerOptions::from(("127.0.0.1", 0));
    if encrypted {
        options = options.tls(server);
    }
    let server = event_loop.create_server(Hooks::echo, options).result().unwrap();
    let port = server.addresses()[0].port().unwrap();
    let mut options = ConnectOptions::from(("127.0.0.1", port));
    if encrypted {
        options = options.tls(client).server_name(NAME);
    }
    let counted = Slot::new();
    let (count, mut left) = (counted.clone(), 0);
    let hooks = Hooks::new().data(move |transport, data| {
        left += 1;
        count.set(left);
        if left % 100 != 0 {
            transport.write(data);
        }
    });
    let transport = event_loop.create_connection(move || hooks, options);
    let transport = event_loop.run_until_complete(&transport).unwrap();
    transport.write(b"tulip");
    run_until(&event_loop, || counted.get() == 100); // the first ones make what is kept
    let before = event_loop.stats();
    transport.write(b"tulip");
    run_until(&event_loop, || counted.get() == 200);
    let after = event_loop.stats();
    transport.abort();
    server.close();
    run_until(&event_loop, || event_loop.open_connections() == 0);
    (after.callbacks - before.callbacks, after.io_events - before.io_events)
}

#[test]
fn x51_a_request_and_its_reply_queue_no_more_callbacks_than_in_clear() {
    let (clear, clear_events) = requests(false);
    let (encrypted, events) = requests(true);
    assert_eq!(events, clear_events);
    // The first write comes from outside of the protocol.
    assert!(encrypted <= clear + 1, "{encrypted} callbacks, in clear {clear}");
}

#[test]
fn x44_x8_nothing_is_left_of_connections_whether_their_handshakes_failed_or_not() {
    let event_loop = TestLoop::new();
    let (_, server) = configs();
    let kept = Rc::new(());
    for round in 0..50 {
        let client = if round % 2 == 0 { configs().0 } else { strangers().0 };
        let hooks = || {
            let kept = kept.clone();
            Hooks::new().data(move |transport, _| {
                let _ = &kept;
                transport.close();
            })
        };
        let options = MemoryOptions::default();
        let pair =
            event_loop.memory_tls_pair(hooks(), (client, NAME), hooks(), server.clone(), options);
        event_loop.run_ready_now();
        match pair.left.result() {
            Ok(left) => {
                left.write(b"tulip");
                assert_eq!(round % 2, 0);
            }
            Err(_) => assert!(pair.right.result().is_err()),
        }
        event_loop.run_until_idle();
        assert_eq!(Rc::strong_count(&kept), 1);
        assert_eq!(event_loop.stats().timers, 0);
        check_empty(&event_loop);
    }
}
