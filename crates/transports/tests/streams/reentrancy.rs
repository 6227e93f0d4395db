//! Everything that a user may do, inside everything that a user is called in (P-20).

use crate::support::*;
use eventloop::{LoopHandle, TestLoop, prelude::*};
use futures::{Exception, Future, TimerHandle};
use std::rc::Rc;
use std::time::Duration;
use tulipa_transports::testing::{
    LifeCycle, LifeCycleLog, MemoryLoop, MemoryOptions, ProtocolCall,
};
use tulipa_transports::{
    Buffered, BufferedProtocol, Bytes, Eof, NetworkLoop, Protocol, Transport, TransportExt,
};

/// Where something is done.
const CONTEXTS: [&str; 12] = [
    "connection_made",
    "data_received",
    "eof_received",
    "pause_writing",
    "resume_writing",
    "connection_lost",
    "shutdown_requested",
    "get_buffer",
    "buffer_updated",
    "drained callback",
    "call_soon callback",
    "timer",
];

type Action = fn(&dyn Transport, &World);

/// What is done there.
const ACTIONS: [(&str, Action); 12] = [
    ("close", |transport, _| transport.close()),
    ("abort", |transport, _| transport.abort()),
    ("abort_with", |transport, _| transport.abort_with(Exception::msg("enough"))),
    ("write", |transport, _| {
        transport.write(&[7; 300]);
    }),
    ("write_eof", |transport, _| transport.write_eof()),
    ("pause_reading", |transport, _| transport.pause_reading()),
    ("resume_reading", |transport, _| transport.resume_reading()),
    ("set_protocol", |transport, world| {
        let (mut successor, log) = Hooks::new().recorded();
        // It takes over in mid-life: for its own log it was made already.
        Protocol::connection_made(&mut successor, transport);
        world.successor.set(Some(log));
        transport.set_protocol(successor);
    }),
    ("drop the last handle", |_, world| drop(world.last_handle.take())),
    ("stop the loop", |_, world| world.event_loop.stop()),
    ("close the loop", |_, world| assert!(world.event_loop.close().is_err(), "it is running")),
    ("cancel", |_, world| {
        if let Some(future) = world.drained.take() {
            future.cancel();
        }
        if let Some(timer) = world.timer.take() {
            timer.cancel();
        }
    }),
];

/// What the actions reach for.
struct World {
    event_loop: LoopHandle,
    action: Action,
    context: &'static str,
    done: Slot<usize>,
    last_handle: Slot<Option<Rc<dyn Transport>>>,
    successor: Slot<Option<LifeCycleLog>>,
    drained: Slot<Option<Future<()>>>,
    timer: Slot<Option<TimerHandle>>,
    /// Whether a request to shut down is heeded.
    ending: Slot<bool>,
}

impl World {
    fn reached(&self, context: &str, transport: &dyn Transport) {
        if self.context == context && self.done.get() == 0 {
            self.done.set(1);
            (self.action)(transport, self);
        }
    }
}

/// Does the action in the context; is otherwise quiet, and keeps open.
struct Actor {
    world: Rc<World>,
    buffer: [u8; 16],
}

impl Protocol for Actor {
    fn connection_made(&mut self, transport: &dyn Transport) {
        self.world.reached("connection_made", transport);
    }

    fn data_received(&mut self, transport: &dyn Transport, _: &[u8]) {
        self.world.reached("data_received", transport);
    }

    fn eof_received(&mut self, transport: &dyn Transport) -> Eof {
        self.world.reached("eof_received", transport);
        Eof::KeepOpen
    }

    fn connection_lost(&mut self, transport: &dyn Transport, _: Option<Exception>) {
        self.world.reached("connection_lost", transport);
    }

    fn pause_writing(&mut self, transport: &dyn Transport) {
        self.world.reached("pause_writing", transport);
    }

    fn resume_writing(&mut self, transport: &dyn Transport) {
        self.world.reached("resume_writing", transport);
    }

    fn shutdown_requested(&mut self, transport: &dyn Transport) {
        self.world.reached("shutdown_requested", transport);
        if self.world.ending.get() {
            transport.close();
        }
    }
}

impl BufferedProtocol for Actor {
    fn shutdown_requested(&mut self, transport: &dyn Transport) {
        Protocol::shutdown_requested(self, transport);
    }

    fn get_buffer(&mut self, transport: &dyn Transport, _: Option<usize>) -> &mut [u8] {
        self.world.reached("get_buffer", transport);
        &mut self.buffer
    }

    fn buffer_updated(&mut self, transport: &dyn Transport, _: usize) {
        self.world.reached("buffer_updated", transport);
    }

    fn eof_received(&mut self, _: &dyn Transport) -> Eof {
        Eof::KeepOpen
    }
}

/// One connection in which every context is reached, with one thing done in one of them.
fn run_row(context: &'static str, action: Action) {
    let event_loop = TestLoop::new();
    let world = Rc::new(World {
        event_loop: event_loop.handle(),
        action,
        context,
        done: Slot::new(),
        last_handle: Slot::new(),
        successor: Slot::new(),
        drained: Slot::new(),
        timer: Slot::new(),
        ending: Slot::new(),
    });
    let log = LifeCycleLog::default();
    let actor = Actor { world: world.clone(), buffer: [0; 16] };
    let (right, right_log) = Hooks::new().keep_open().recorded();
    let options = MemoryOptions::default().capacity(Bytes(50));
    let mut pair = match context {
        "get_buffer" | "buffer_updated" => {
            let actor = LifeCycle::with_log(Buffered(actor), log.clone());
            event_loop.memory_pair(actor, right, options)
        }
        _ => {
            let actor = LifeCycle::with_log(actor, log.clone());
            event_loop.memory_pair(actor, right, options)
        }
    };
    let left = std::mem::replace(&mut pair.left, pair.right.clone());
    world.last_handle.set(Some(left));
    // Everything is asked for through the last handle, as long as there is one.
    let with_left = |request: &dyn Fn(&dyn Transport)| {
        let handle = world.last_handle.get();
        if let Some(handle) = handle {
            request(&*handle);
        }
    };
    event_loop.run_until_idle(); // connection_made
    pair.right.write(b"hello");
    event_loop.run_until_idle(); // data_received
    with_left(&|left| {
        left.set_write_buffer_limits(marks(100, 10)).unwrap();
        left.write(&[1; 1000]);
        let drained = left.drained();
        let inside = world.clone();
        drained.add_done_callback(move |_| reach_from_outside(&inside, "drained callback"));
        world.drained.set(Some(drained));
    });
    pair.right.pause_reading();
    event_loop.run_until_idle(); // pause_writing
    pair.right.resume_reading();
    pair.set_capacity(Bytes(100_000));
    event_loop.run_until_idle(); // resume_writing, drained
    let inside = world.clone();
    event_loop.call_soon(move || reach_from_outside(&inside, "call_soon callback"));
    let inside = world.clone();
    let later = Duration::from_secs(1);
    let timer = event_loop.call_later(later, move || reach_from_outside(&inside, "timer"));
    world.timer.set(Some(timer));
    event_loop.advance(Duration::from_secs(2));
    pair.request_shutdown_of_left();
    event_loop.run_until_idle();
    pair.right.write_eof();
    event_loop.run_until_idle(); // eof_received
    with_left(&|left| left.resume_reading());
    event_loop.run_until_idle();
    match world.last_handle.take() {
        Some(left) => left.abort(),
        None => {
            world.ending.set(true);
            pair.request_shutdown_of_left();
        }
    }
    pair.right.abort();
    event_loop.run_until_idle(); // connection_lost

    assert_eq!(world.done.get(), 1, "the action was not reached");
    log.check();
    right_log.check_ended();
    match world.successor.take() {
        // The protocol that is there at the end is told of it (P-21); in connection_lost it is late.
        Some(successor) if context != "connection_lost" => successor.check_ended(),
        _ => log.check_ended(),
    }
    let lost = log.calls().iter().filter(|c| matches!(c, ProtocolCall::ConnectionLost(_))).count();
    assert!(lost <= 1);
    assert_eq!(event_loop.open_connections(), 0);
    assert_eq!(event_loop.output_total(), Bytes(0));
    assert_eq!(Rc::strong_count(&world), 1, "the protocol was dropped");
}

/// A callback of the loop: it reaches the transport by the handle, if there is one.
fn reach_from_outside(world: &World, context: &str) {
    if let Some(transport) = world.last_handle.get() {
        world.reached(context, &*transport);
    }
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
    assert_eq!(rows, 144);
}
