//! What an encrypted connection holds while it is idle.
#![cfg(feature = "tls")]

#[allow(dead_code, reason = "shared with the tests of streams")]
#[path = "counting/mod.rs"]
mod counting;
#[path = "tls/kit.rs"]
#[allow(dead_code, reason = "shared with the tests of TLS")]
mod kit;
#[allow(dead_code, reason = "shared with the tests of streams")]
#[path = "streams/support.rs"]
mod support;

use crate::kit::*;
use crate::support::*;
use counting::BYTES;
use eventloop::TestLoop;
use std::sync::atomic::Ordering::Relaxed;
use tulipa_transports::{ConnectOptions, NetworkLoop, ServerOptions};

#[test]
fn r4_x26_an_idle_connection_keeps_no_buffers_of_its_busy_time() {
    let event_loop = TestLoop::new();
    let (client, server) = configs();
    let options = ServerOptions::from(("127.0.0.1", 0)).tls(server);
    let server = event_loop.create_server(Hooks::echo, options).result().unwrap();
    let port = server.addresses()[0].port().unwrap();
    let counted = Slot::new();
    let mut connections = Vec::new();
    for _ in 0..20 {
        let options =
            ConnectOptions::from(("127.0.0.1", port)).tls(client.clone()).server_name(NAME);
        let counted = counted.clone();
        let hooks = move || {
            let counted = counted.clone();
            Hooks::new()
                .data(move |_, data| counted.update(|count: &mut usize| *count += data.len()))
        };
        let opened = event_loop.create_connection(hooks, options);
        connections.push(event_loop.run_until_complete(&opened).unwrap());
    }
    let say = |size: usize| {
        for connection in &connections {
            counted.set(0);
            connection.write(&pattern(size));
            run_until(&event_loop, || counted.get() == size);
        }
        BYTES.load(Relaxed) / connections.len()
    };
    say(10);
    let before = say(10);
    say(3900);
    let after = say(10);
    assert!(after <= before + 2 * 1024, "both ends hold {before} bytes, and then {after}");
    connections.iter().for_each(|connection| connection.abort());
    server.close();
    run_until(&event_loop, || event_loop.open_connections() == 0);
}
