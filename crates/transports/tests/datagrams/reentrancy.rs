//! Everything that a user may do, inside everything that a user is called in (P-20).

use crate::support::*;
use eventloop::{LoopHandle, TestLoop};
use futures::Exception;
use std::os::unix::net::UnixDatagram;
use std::rc::Rc;
use tulipa_transports::{
    Bytes, DatagramOptions, DatagramTransport, DatagramTransportExt, NetworkLoop, SendState,
};

/// Where something is done.
const CONTEXTS: [&str; 8] = [
    "connection_made",
    "datagram_received",
    "error_received",
    "pause_writing",
    "resume_writing",
    "connection_lost",
    "with_protocol",
    "drained callback",
];

type Action = fn(&dyn DatagramTransport, &World);

/// What is done there.
const ACTIONS: [(&str, Action); 14] = [
    ("close", |transport, _| transport.close()),
    ("abort", |transport, _| transport.abort()),
    ("abort_with", |transport, _| transport.abort_with(Exception::msg("enough"))),
    ("close and abort", |transport, _| {
        transport.close();
        transport.abort();
    }),
    ("send", |transport, _| {
        transport.send(b"from inside");
    }),
    ("send too much", |transport, _| {
        transport.send(&[0; 4 << 20]);
    }),
    ("fill", |transport, _| while transport.send(&[1; 100]) == SendState::Sent {}),
    ("pause_reading", |transport, _| transport.pause_reading()),
    ("resume_reading", |transport, _| transport.resume_reading()),
    ("set_protocol", |transport, world| {
        let successor = Hooks::new().taking_over();
        world.successor.set(Some(successor.log()));
        transport.set_protocol(successor);
    }),
    ("set limits", |transport, _| transport.set_write_buffer_limits(marks(0, 0)).unwrap()),
    ("drop the last handle", |_, world| drop(world.last_handle.take())),
    ("stop the loop", |_, world| world.event_loop.stop()),
    ("with_protocol", |transport, _| {
        // It runs, or it is not a String: either way this is only an answer.
        assert!(transport.with_protocol(|_: &mut String, _| ()).is_err());
    }),
];

/// What the actions reach for.
struct World {
    event_loop: LoopHandle,
    action: Action,
    context: &'static str,
    done: Slot<usize>,
    last_handle: Slot<Option<Rc<dyn DatagramTransport>>>,
    successor: Slot<Option<Log>>,
}

impl World {
    fn reached(&self, context: &str, transport: &dyn DatagramTransport) {
        if self.context == context && self.done.get() == 0 {
            self.done.set(1);
            (self.action)(transport, self);
        }
    }
}

/// One endpoint in which every context is reached, with one thing done in one of them.
fn run_row(context: &'static str, action: Action) {
    let event_loop = TestLoop::new();
    let world = Rc::new(World {
        event_loop: event_loop.handle(),
        action,
        context,
        done: Slot::new(),
        last_handle: Slot::new(),
        successor: Slot::new(),
    });
    let at = |context: &'static str| {
        let world = world.clone();
        move |transport: &dyn DatagramTransport| world.reached(context, transport)
    };
    let (on_data, on_error, on_lost) =
        (at("datagram_received"), at("error_received"), at("connection_lost"));
    let hooks = Hooks::new()
        .made(at("connection_made"))
        .data(move |transport, _, _| on_data(transport))
        .error(move |transport, _| on_error(transport))
        .lost(move |transport, _| on_lost(transport))
        .pause(at("pause_writing"))
        .resume(at("resume_writing"));
    let log = hooks.log();
    let (ours, peer) = UnixDatagram::pair().unwrap();
    peer.set_nonblocking(true).unwrap();
    let options = DatagramOptions::from(ours).write_buffer_limits(marks(1000, 10));
    let opening = event_loop.create_datagram_endpoint(move || hooks, options);
    let opened = event_loop.run_until_complete(&opening).ok();
    drop(opening);
    world.last_handle.set(opened);
    // Everything is asked for through the last handle, as long as there is one.
    let with_handle = |request: &dyn Fn(&dyn DatagramTransport)| {
        let handle = world.last_handle.get();
        if let Some(handle) = handle {
            request(&*handle);
        }
    };
    let settle = || (0..4).for_each(|_| event_loop.run_ready_now());
    // It may be closed, or paused, by now: then nothing of this comes.
    let _ = peer.send(b"hello");
    settle();
    with_handle(&|transport| {
        transport.send(&[0; 4 << 20]); // error_received
    });
    settle();
    with_handle(&|transport| {
        let _ = transport.with_protocol(|_: &mut Hooks, lent| world.reached("with_protocol", lent));
    });
    settle();
    with_handle(&|transport| {
        for _ in 0..10_000 {
            if transport.get_write_buffer_size() > Bytes(1000) || transport.is_closing() {
                break;
            }
            transport.send(&[2; 100]);
        }
        let inside = world.clone();
        transport.drained().add_done_callback(move |_| {
            let handle = inside.last_handle.get();
            if let Some(transport) = handle {
                inside.reached("drained callback", &*transport);
            }
        });
    });
    settle(); // pause_writing
    for _ in 0..50 {
        while peer.recv(&mut [0; 256]).is_ok() {}
        settle(); // resume_writing, drained
    }
    with_handle(&|transport| transport.abort());
    drop(world.last_handle.take());
    settle(); // connection_lost
    if !log.is_lost() && world.successor.get().is_none() {
        // The last handle was dropped, and the endpoint lives on, as the loop's.
        assert_eq!(event_loop.open_connections(), 1);
        drop(peer);
        let mut event_loop = event_loop;
        event_loop.allow_leftovers();
        event_loop.close().unwrap();
        return;
    }
    assert_eq!(world.done.get(), 1, "the action was not reached: {:?}", log.events());
    match world.successor.take() {
        // The protocol that is there at the end is told of it; in connection_lost it is late.
        Some(successor) if context != "connection_lost" => assert!(successor.is_lost()),
        _ => assert!(log.is_lost()),
    }
    assert_eq!(event_loop.open_connections(), 0);
    assert_eq!(event_loop.output_total(), Bytes(0));
    assert_eq!(Rc::strong_count(&world), 1, "the protocol was dropped");
}

#[test]
fn p20_p16_p21_x2_every_request_in_every_callback_is_safe_and_keeps_the_promises() {
    let mut rows = 0;
    for context in CONTEXTS {
        for (name, action) in ACTIONS {
            let row = std::panic::catch_unwind(|| run_row(context, action));
            assert!(row.is_ok(), "{name} in {context}");
            rows += 1;
        }
    }
    assert_eq!(rows, 112);
}
