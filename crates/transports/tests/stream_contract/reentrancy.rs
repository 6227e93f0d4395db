//! Every request inside every callback (P-20, P-16, P-21).

use crate::kinds::{Kind, LARGE, each};
use crate::support::*;
use eventloop::TestLoop;
use futures::Exception;
use std::rc::Rc;
use tulipa_transports::testing::{LifeCycle, LifeCycleLog, ProtocolCall};
use tulipa_transports::{Eof, NetworkLoop, Protocol, Transport, TransportExt};

/// Where something is done, and on which side of the pair that method is called.
const CONTEXTS: [(&str, Side); 7] = [
    ("connection_made", Side::Left),
    ("pause_writing", Side::Left),
    ("resume_writing", Side::Left),
    ("connection_lost", Side::Left),
    ("data_received", Side::Right),
    ("eof_received", Side::Right),
    ("connection_lost", Side::Right),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

type Action = fn(&dyn Transport, &World);

const ACTIONS: [(&str, Action); 11] = [
    ("close", |transport, _| transport.close()),
    ("abort", |transport, _| transport.abort()),
    ("abort_with", |transport, _| transport.abort_with(Exception::msg("enough"))),
    ("write", |transport, _| {
        transport.write(&[7; 300]);
    }),
    ("write much", |transport, _| {
        transport.write(&pattern(LARGE));
    }),
    ("write_eof", |transport, _| transport.write_eof()),
    ("pause_reading", |transport, world| {
        transport.pause_reading();
        world.paused.set(Some(transport.handle()));
    }),
    ("resume_reading", |transport, _| transport.resume_reading()),
    ("set_protocol", |transport, world| {
        let (mut successor, log) = Hooks::new().recorded();
        // It takes over in mid-life: for its own log it was made already.
        Protocol::connection_made(&mut successor, transport);
        world.successor.set(Some(log));
        transport.set_protocol(successor);
    }),
    ("push_back", |transport, _| transport.push_back(pattern(100))),
    ("drop the last handle", |_, world| drop(world.handle.take())),
];

/// What the actions reach for.
struct World {
    context: &'static str,
    action: Action,
    done: Slot<usize>,
    handle: Slot<Option<Rc<dyn Transport>>>,
    paused: Slot<Option<Rc<dyn Transport>>>,
    successor: Slot<Option<LifeCycleLog>>,
}

/// Does the action in the context, once.
struct Actor(Rc<World>);

impl Actor {
    fn reached(&self, context: &str, transport: &dyn Transport) {
        if self.0.context == context && self.0.done.get() == 0 {
            self.0.done.set(1);
            (self.0.action)(transport, &self.0);
        }
    }
}

impl Protocol for Actor {
    fn connection_made(&mut self, transport: &dyn Transport) {
        self.reached("connection_made", transport);
    }

    fn data_received(&mut self, transport: &dyn Transport, _: &[u8]) {
        self.reached("data_received", transport);
    }

    fn eof_received(&mut self, transport: &dyn Transport) -> Eof {
        self.reached("eof_received", transport);
        Eof::Close
    }

    fn pause_writing(&mut self, transport: &dyn Transport) {
        self.reached("pause_writing", transport);
    }

    fn resume_writing(&mut self, transport: &dyn Transport) {
        self.reached("resume_writing", transport);
    }

    fn connection_lost(&mut self, transport: &dyn Transport, _: Option<Exception>) {
        self.reached("connection_lost", transport);
    }
}

fn run_row(kind: &Kind, (context, side): (&'static str, Side), action: Action) {
    let event_loop = TestLoop::new();
    let world = Rc::new(World {
        context,
        action,
        done: Slot::new(),
        handle: Slot::new(),
        paused: Slot::new(),
        successor: Slot::new(),
    });
    let log = LifeCycleLog::default();
    let actor = LifeCycle::with_log(Actor(world.clone()), log.clone());
    let (quiet, quiet_log) = Hooks::new().recorded();
    let pair = match side {
        Side::Left => kind.connect(&event_loop, actor, quiet),
        Side::Right => kind.connect(&event_loop, quiet, actor),
    };
    let own = if side == Side::Left { pair.left.clone() } else { pair.right.clone() };
    world.handle.set(Some(own));
    pair.left.write(&pattern(LARGE));
    event_loop.run_ready_now();
    pair.left.write(b"some more");
    for _ in 0..5 {
        event_loop.run_ready_now();
    }
    // What was paused goes on, so that the end is reached.
    let mut closed = false;
    run_until(&event_loop, || {
        if let Some(paused) = world.paused.take() {
            paused.resume_reading();
        }
        if !closed && pair.left.get_write_buffer_size().0 == 0 {
            closed = true;
            pair.left.close();
        }
        if pair.left.is_closing() && world.done.get() == 1 {
            pair.right.close();
        }
        event_loop.open_connections() == 0
    });
    assert_eq!(world.done.get(), 1, "the action was not reached");
    log.check();
    quiet_log.check_ended();
    match world.successor.take() {
        // The protocol that is there at the end is told of it (P-21); in connection_lost it is late.
        Some(successor) if context != "connection_lost" => successor.check_ended(),
        _ => log.check_ended(),
    }
    let lost = |call: &&ProtocolCall| matches!(call, ProtocolCall::ConnectionLost(_));
    assert!(log.calls().iter().filter(lost).count() <= 1);
    drop((world.handle.take(), pair));
    assert_eq!(Rc::strong_count(&world), 1, "the protocol was dropped");
}

#[test]
fn p20_p16_p21_every_request_in_every_callback_is_safe_and_keeps_the_promises() {
    each(|kind| {
        for context in CONTEXTS {
            for (name, action) in ACTIONS {
                let row = std::panic::AssertUnwindSafe(|| run_row(kind, context, action));
                let outcome = std::panic::catch_unwind(row);
                assert!(outcome.is_ok(), "{name} in {}", context.0);
            }
        }
    });
}
