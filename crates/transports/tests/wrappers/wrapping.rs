//! Wrappers in general: they go around each other, what is set inside stays inside, and whatever is done in
//! a callback is done as without them (W-7, P-20, P-21).

use crate::support::*;
use eventloop::TestLoop;
use std::cell::Cell;
use std::rc::Rc;
use tulipa_transports::testing::{
    LifeCycle, LifeCycleLog, MemoryLoop, MemoryOptions, MemoryPair, RecordingTransport, Request,
};
use tulipa_transports::wrappers::{ConnectionLimits, ProtocolWrapper, TrafficLog, Wrapped, wrap};
use tulipa_transports::{
    Address, Buffered, BufferedProtocol, Bytes, Factory, IntoProtocol, Protocol,
    ProtocolUnavailable, Transport, TransportExt, WriteState,
};

/// Notes what passes.
#[derive(Clone)]
struct Noting(Slot<Vec<&'static str>>);

impl Noting {
    fn new() -> Self {
        Self(Slot::new())
    }

    fn note(&self, what: &'static str) {
        self.0.update(|all| all.push(what));
    }
}

impl ProtocolWrapper for Noting {
    fn wants_data(&self) -> bool {
        true
    }
    fn connection_made(&self, _: &dyn Transport) {
        self.note("made");
    }
    fn data_received(&self, _: &dyn Transport, _: &[u8]) {
        self.note("data");
    }
    fn eof_received(&self, _: &dyn Transport) {
        self.note("eof");
    }
    fn connection_lost(&self, _: &dyn Transport, _: Option<&futures::Exception>) {
        self.note("lost");
    }
    fn write(&self, lower: &dyn Transport, parts: &[&[u8]]) -> WriteState {
        self.note("write");
        lower.writelines(parts)
    }
    fn close(&self, lower: &dyn Transport) {
        self.note("close");
        lower.close();
    }
}

fn pair(event_loop: &TestLoop, left: impl Protocol) -> MemoryPair {
    let pair = event_loop.memory_pair(left, Hooks::echo(), MemoryOptions::default());
    event_loop.run_ready_now();
    pair
}

#[test]
fn w7_what_passes_is_seen_by_each_wrapper_from_whichever_side_it_comes() {
    let event_loop = TestLoop::new();
    let (outer, inner) = (Noting::new(), Noting::new());
    let kept: Slot<Option<Rc<dyn Transport>>> = Slot::new();
    let keep = kept.clone();
    let hooks = Hooks::new().made(move |transport| keep.set(Some(transport.handle())));
    let protocol = Wrapped::new(outer.clone(), Wrapped::new(inner.clone(), hooks));
    let pair = pair(&event_loop, protocol);
    let handle = kept.take().unwrap();
    handle.write(b"by a handle");
    event_loop.run_ready_now();
    pair.left.with_protocol(|_: &mut Hooks, transport| transport.write(b"inside")).unwrap();
    handle.with_protocol(|_: &mut Hooks, transport| transport.write(b"inside")).unwrap();
    handle.handle().close();
    event_loop.run_until_idle();
    for noting in [outer, inner] {
        let all = noting.0.take();
        assert_eq!(all.iter().filter(|what| **what == "write").count(), 3, "{all:?}");
        assert_eq!((all.first(), all.last()), (Some(&"made"), Some(&"lost")));
        assert!(all.contains(&"data") && all.contains(&"close"), "{all:?}");
    }
    assert!(handle.is_closing() && !handle.write(b"late").is_taken());
    let gone = handle.with_protocol(|_: &mut Hooks, _| ());
    assert_eq!(gone, Err(ProtocolUnavailable::Gone));
}

#[test]
fn w7_p21_a_protocol_that_is_set_inside_stays_wrapped_and_one_from_outside_is_not() {
    let event_loop = TestLoop::new();
    let noting = Noting::new();
    let kept: Slot<Option<Rc<dyn Transport>>> = Slot::new();
    let keep = kept.clone();
    let dropped = Rc::new(Cell::new(()));
    let guard = dropped.clone();
    let hooks = Hooks::new().made(move |transport| {
        let _held = &guard;
        keep.set(Some(transport.handle()));
    });
    let pair = pair(&event_loop, Wrapped::new(noting.clone(), hooks));
    let handle = kept.take().unwrap();
    // From outside, by the handle that the inner one has: at once.
    let (second, received) = received();
    handle.set_protocol(second);
    assert_eq!(Rc::strong_count(&dropped), 1, "the first one is dropped");
    handle.write(b"one");
    event_loop.run_until_idle();
    assert_eq!(received.take(), b"one");
    assert_eq!(noting.0.take(), ["made", "write", "data"]);
    // From outside of all: the wrapper is gone, and its handle is the plain transport.
    let (third, received) = self::received();
    pair.left.set_protocol(third);
    handle.write(b"two");
    event_loop.run_until_idle();
    assert_eq!(received.take(), b"two");
    assert!(noting.0.take().is_empty());
    let (fourth, received) = self::received();
    handle.set_protocol(fourth);
    handle.write(b"three");
    handle.close();
    event_loop.run_until_idle();
    assert!(noting.0.take().is_empty() && handle.is_closing());
    drop(received);
}

fn received() -> (Hooks, Slot<Vec<u8>>) {
    let all: Slot<Vec<u8>> = Slot::new();
    let into = all.clone();
    (Hooks::new().data(move |_, data| into.update(|all| all.extend_from_slice(data))), all)
}

#[test]
fn w7_p21_x21_a_protocol_that_follows_while_writing_is_paused_is_told_so() {
    let event_loop = TestLoop::new();
    let protocol = Boxed(boxed(wrap(Noting::new, Hooks::new)));
    let pair = event_loop.memory_pair(protocol, Hooks::new(), MemoryOptions::default());
    event_loop.run_ready_now();
    let kept: Slot<Option<Rc<dyn Transport>>> = Slot::new();
    let keep = kept.clone();
    pair.left
        .with_protocol(move |_: &mut Hooks, transport| keep.set(Some(transport.handle())))
        .unwrap();
    let handle = kept.take().unwrap();
    pair.right.pause_reading();
    handle.write(&pattern(400_000));
    event_loop.run_ready_now();
    let log = LifeCycleLog::default();
    let mut next = LifeCycle::with_log(Hooks::new(), log.clone());
    Protocol::connection_made(&mut next, &*handle); // for its own log
    handle.set_protocol(next);
    assert!(log.is_paused());
    pair.right.resume_reading();
    event_loop.run_until_idle();
    assert!(!log.is_paused());
    handle.close();
    event_loop.run_until_idle();
    log.check_ended();
}

/// Takes everything into a buffer of its own, and does something after each piece.
struct Own<F>([u8; 10], F, Slot<Vec<u8>>);

impl<F: FnMut(&dyn Transport) + 'static> BufferedProtocol for Own<F> {
    fn get_buffer(&mut self, _: &dyn Transport, _: Option<usize>) -> &mut [u8] {
        &mut self.0
    }
    fn buffer_updated(&mut self, transport: &dyn Transport, count: usize) {
        self.2.update(|all| all.extend_from_slice(&self.0[..count]));
        (self.1)(transport);
    }
}

#[test]
fn w7_p20_p21_copies_for_a_buffered_protocol_stop_where_it_stops() {
    type Action = fn(&dyn Transport, &Slot<Vec<u8>>);
    let actions: [(Action, usize); 3] = [
        (|transport, _| transport.pause_reading(), 10),
        (|transport, _| transport.close(), 10),
        (
            |transport, all| {
                let all = all.clone();
                let next = Hooks::new().data(move |_, data| {
                    all.update(|all| all.extend(data.iter().map(|byte| byte + 100)));
                });
                transport.set_protocol(next);
            },
            30,
        ),
    ];
    for (action, expected) in actions {
        let event_loop = TestLoop::new();
        let all: Slot<Vec<u8>> = Slot::new();
        let into = all.clone();
        let own =
            Own([0; 10], move |transport: &dyn Transport| action(transport, &into), all.clone());
        let pair = pair(&event_loop, Wrapped::new(Noting::new(), Buffered(own)));
        pair.right.write(&[1; 30]);
        event_loop.run_ready_now();
        event_loop.run_ready_now();
        event_loop.run_ready_now();
        let received = all.take();
        assert_eq!(received.len(), expected);
        assert!(received[..10] == [1; 10] && received[10..].iter().all(|byte| *byte == 101));
        pair.left.abort();
        event_loop.run_until_idle();
    }
}

#[test]
fn w7_p20_copies_of_what_was_given_back_stop_where_the_protocol_stops() {
    let event_loop = TestLoop::new();
    let all: Slot<Vec<u8>> = Slot::new();
    let pause = |transport: &dyn Transport| transport.pause_reading();
    let own = Own([0; 10], pause, all.clone());
    let pair = pair(&event_loop, Wrapped::new(Noting::new(), Buffered(own)));
    // More than what is delivered at once.
    let data = pattern(200_000);
    pair.left.push_back(data.clone());
    for count in 1..5 {
        event_loop.run_ready_now();
        event_loop.run_ready_now();
        assert_eq!(all.get().len(), 10 * count);
        pair.left.resume_reading();
    }
    assert_eq!(all.take(), data[..40]);
    pair.left.abort();
    event_loop.run_until_idle();
}

/// Does something to the transport in each of its hooks.
struct Acting(fn(&dyn Transport), &'static str);

impl Acting {
    fn act(&self, hook: &str, lower: &dyn Transport) {
        if self.1 == hook {
            (self.0)(lower);
        }
    }
}

impl ProtocolWrapper for Acting {
    fn wants_data(&self) -> bool {
        true
    }
    fn connection_made(&self, lower: &dyn Transport) {
        self.act("made", lower);
    }
    fn data_received(&self, lower: &dyn Transport, _: &[u8]) {
        self.act("data", lower);
    }
    fn eof_received(&self, lower: &dyn Transport) {
        self.act("eof", lower);
    }
    fn connection_lost(&self, lower: &dyn Transport, _: Option<&futures::Exception>) {
        self.act("lost", lower);
    }
    fn write(&self, lower: &dyn Transport, parts: &[&[u8]]) -> WriteState {
        let state = lower.writelines(parts);
        self.act("write", lower);
        state
    }
}

const HOOKS: [&str; 5] = ["made", "data", "eof", "lost", "write"];

#[test]
fn w7_p20_a_wrapper_may_do_anything_in_its_hooks() {
    let actions: [fn(&dyn Transport); 7] = [
        |lower| lower.close(),
        |lower| lower.abort(),
        |lower| lower.abort_with(futures::Exception::msg("enough")),
        |lower| lower.write_eof(),
        |lower| {
            lower.write(b"more");
        },
        |lower| lower.set_protocol(Hooks::new()),
        |lower| {
            let inside = lower.handle().with_protocol(|_: &mut Hooks, _| ());
            assert!(inside.is_err());
        },
    ];
    for hook in HOOKS {
        for action in actions {
            let event_loop = TestLoop::new();
            let (hooks, log) = Hooks::new().recorded();
            let protocol = Wrapped::new(Noting::new(), Wrapped::new(Acting(action, hook), hooks));
            let limits = ConnectionLimits::new();
            let protocol = limits.wrap(once(protocol)).build_protocol(&Address::Unnamed);
            let options = MemoryOptions::default();
            let pair = event_loop.memory_pair(protocol, Hooks::new(), options);
            event_loop.run_ready_now();
            pair.right.write(b"tulip");
            let inner = |_: &mut LifeCycle<Hooks>, transport: &dyn Transport| {
                transport.write(b"tulip");
            };
            // It may be gone already.
            let _ = pair.left.with_protocol(inner);
            event_loop.run_until_idle();
            pair.right.close();
            event_loop.run_until_idle();
            pair.left.abort();
            pair.right.abort();
            event_loop.run_until_idle();
            log.check();
            assert_eq!(limits.open(), 0);
        }
    }
}

fn once<P: 'static>(protocol: P) -> impl FnMut() -> Option<P> + 'static {
    let mut protocol = Some(protocol);
    move || protocol.take()
}

#[test]
fn w7_r8_a_panic_of_a_wrapper_ends_its_connection_only() {
    for hook in ["made", "data", "eof", "lost"] {
        let event_loop = TestLoop::new();
        let errors = collect_errors(&event_loop);
        let panics: fn(&dyn Transport) = |_| panic!("the wrapper panics");
        let (hooks, log) = Hooks::new().recorded();
        let broken = pair(&event_loop, Wrapped::new(Acting(panics, hook), hooks));
        let (other_hooks, other_log) = Hooks::new().recorded();
        let other = pair(&event_loop, Wrapped::new(Noting::new(), other_hooks));
        broken.right.write(b"tulip");
        other.right.write(b"tulip");
        event_loop.run_until_idle();
        broken.right.close();
        event_loop.run_until_idle();
        assert!(broken.left.is_closing(), "{hook}");
        let told: Vec<String> = errors.take().iter().map(panic_message).collect();
        assert_eq!(told, ["the wrapper panics"], "{hook}");
        log.check_ended();
        assert_eq!(log.is_lost(), hook != "made");
        assert_eq!(other_log.bytes(), 5);
        assert!(!other.left.is_closing());
        other.left.close();
        event_loop.run_until_idle();
        other_log.check_ended();
    }
}

#[test]
fn w7_wrappers_go_around_each_other_in_any_order() {
    let log = || TrafficLog::new().to(|_| {});
    let limits = ConnectionLimits::new().total(10);
    type Order = fn(&TrafficLog, &ConnectionLimits, Hooks) -> Box<dyn Protocol>;
    let orders: [Order; 3] = [
        |log, limits, hooks| boxed(log.wrap(limits.wrap(once(hooks)))),
        |log, limits, hooks| boxed(limits.wrap(log.wrap(once(hooks)))),
        |log, limits, hooks| boxed(limits.wrap(log.wrap(limits.wrap(log.wrap(once(hooks)))))),
    ];
    for order in orders {
        let event_loop = TestLoop::new();
        let received: Slot<Vec<u8>> = Slot::new();
        let all = received.clone();
        let hooks = Hooks::new().data(move |_, data| all.update(|all| all.extend_from_slice(data)));
        let protocol = Boxed(order(&log(), &limits, hooks));
        let pair = pair(&event_loop, protocol);
        pair.left.with_protocol(|_: &mut Hooks, transport| transport.write(b"tulip")).unwrap();
        event_loop.run_until_idle();
        assert_eq!(received.take(), b"tulip");
        pair.left.close();
        event_loop.run_until_idle();
        assert_eq!(limits.open(), 0);
    }
}

fn boxed(mut factory: impl Factory) -> Box<dyn Protocol> {
    factory.build_protocol(&Address::Unnamed).into_protocol().unwrap().unwrap()
}

/// A boxed protocol as one.
struct Boxed(Box<dyn Protocol>);

impl Protocol for Boxed {
    fn connection_made(&mut self, transport: &dyn Transport) {
        self.0.connection_made(transport);
    }
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
        self.0.data_received(transport, data);
    }
    fn connection_lost(&mut self, transport: &dyn Transport, reason: Option<futures::Exception>) {
        self.0.connection_lost(transport, reason);
    }
    fn pause_writing(&mut self, transport: &dyn Transport) {
        self.0.pause_writing(transport);
    }
    fn resume_writing(&mut self, transport: &dyn Transport) {
        self.0.resume_writing(transport);
    }
    fn with_inner(
        &mut self,
        transport: &dyn Transport,
        function: &mut dyn FnMut(&mut dyn Protocol, &dyn Transport),
    ) {
        function(&mut *self.0, transport);
    }
}

#[test]
fn w7_i16_a_wrapped_protocol_works_on_a_transport_without_a_loop() {
    let transport = RecordingTransport::new();
    let mut protocol = Wrapped::new(Noting::new(), Hooks::echo());
    Protocol::connection_made(&mut protocol, &transport);
    Protocol::data_received(&mut protocol, &transport, b"tulip");
    assert_eq!(transport.take_requests(), [Request::Write(b"tulip".to_vec())]);
    assert!(Protocol::memory_held(&protocol) > Bytes(0));
}
