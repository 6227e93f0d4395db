//! What is done about a peer that is silent for too long.

use eventloop::{Clock, TestLoop};
use futures::{Exception, Instant, SchedulerExt};
use proptest::prelude::*;
use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;
use tulipa_transports::testing::{LifeCycle, MemoryLoop, MemoryOptions, MemoryPair};
use tulipa_transports::wrappers::TrafficLog;
use tulipa_transports::{
    Address, Buffered, BufferedProtocol, Eof, Factory, IdleTimeout, NetworkLoop, Protocol,
    SendFile, TimeoutProtocol, Transport, TransportExt,
};

const SECOND: Duration = Duration::from_secs(1);

/// Takes what comes.
#[derive(Default)]
struct Sink {
    received: usize,
}

impl Protocol for Sink {
    fn data_received(&mut self, _: &dyn Transport, data: &[u8]) {
        self.received += data.len();
    }
}

/// Notes when its time was over.
struct Watchful {
    idle: IdleTimeout,
    expired: Rc<RefCell<Vec<Instant>>>,
}

impl Watchful {
    fn new() -> (Self, Rc<RefCell<Vec<Instant>>>) {
        let expired = Rc::default();
        (Self { idle: IdleTimeout::default(), expired: Rc::clone(&expired) }, expired)
    }

    fn start(&mut self, transport: &dyn Transport, limit: Duration) {
        self.idle.start(transport, limit, |watchful: &mut Watchful, _| {
            assert_eq!(watchful.idle.timeout(), None, "at expiry it is not armed");
            watchful.expired.borrow_mut().push(futures::current().time());
        });
    }
}

impl Protocol for Watchful {
    fn connection_made(&mut self, transport: &dyn Transport) {
        self.start(transport, SECOND * 10);
    }
    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) {
        self.idle.reset_timeout();
    }
}

/// Connects `protocol`, at the left, with a peer that does nothing by itself.
fn connect(event_loop: &TestLoop, protocol: impl Protocol) -> MemoryPair {
    let pair = event_loop.memory_pair(protocol, Sink::default(), MemoryOptions::default());
    event_loop.run_ready_now();
    pair
}

fn at(seconds: u64) -> Instant {
    Instant::ZERO + SECOND * seconds as u32
}

fn close(event_loop: &TestLoop, pair: &MemoryPair) {
    pair.left.abort();
    event_loop.run_until_idle();
}

/// The left end has a limit of ten seconds, which begins now.
fn check_closes_after_ten_seconds(event_loop: &TestLoop, pair: &MemoryPair) {
    event_loop.advance(SECOND * 9);
    assert!(!pair.left.is_closing());
    event_loop.advance(SECOND);
    assert!(pair.left.is_closing());
    event_loop.run_until_idle();
}

#[test]
fn w25_a_message_puts_the_end_off() {
    let event_loop = TestLoop::new();
    let (protocol, expired) = Watchful::new();
    let pair = connect(&event_loop, protocol);
    event_loop.advance(SECOND * 4);
    pair.right.write(b"still here");
    event_loop.advance(SECOND * 9);
    assert!(expired.borrow().is_empty());
    event_loop.advance(SECOND);
    assert_eq!(expired.take(), [at(14)]);
    // Nobody started it again.
    pair.right.write(b"too late");
    event_loop.advance(SECOND * 100);
    assert!(expired.take().is_empty());
    close(&event_loop, &pair);
}

#[test]
fn w25_h18_a_message_moves_no_timer() {
    let event_loop = TestLoop::new();
    let (protocol, _expired) = Watchful::new();
    let pair = connect(&event_loop, protocol);
    let fired = event_loop.stats().timers_fired;
    for _ in 0..95 {
        event_loop.advance(SECOND / 10);
        pair.right.write(b"x");
        event_loop.run_ready_now();
        assert_eq!(event_loop.next_deadline(), Some(at(10)));
    }
    assert_eq!(event_loop.stats().timers_fired, fired);
    event_loop.advance(SECOND);
    assert_eq!(event_loop.stats().timers_fired, fired + 1);
    close(&event_loop, &pair);
}

#[test]
fn w25_setting_it_gives_what_was_set() {
    let event_loop = TestLoop::new();
    let (protocol, expired) = Watchful::new();
    let pair = connect(&event_loop, protocol);
    let set = |limit| {
        pair.left.with_protocol(|watchful: &mut Watchful, _| watchful.idle.set_timeout(limit))
    };
    // Earlier than the timer that is armed.
    assert_eq!(set(Some(SECOND)), Ok(Some(SECOND * 10)));
    assert_eq!(set(None), Ok(Some(SECOND)));
    assert_eq!(set(None), Ok(None));
    event_loop.advance(SECOND * 50);
    assert!(expired.take().is_empty());
    pair.right.write(b"it stays disarmed");
    event_loop.advance(SECOND * 50);
    assert!(expired.take().is_empty());
    assert_eq!(set(Some(SECOND * 5)), Ok(None));
    event_loop.advance(SECOND * 50);
    assert_eq!(expired.take(), [at(105)]);
    // It has expired: what is to happen next time was not said.
    assert_eq!(set(Some(SECOND)), Ok(None));
    event_loop.advance(SECOND * 50);
    assert!(expired.take().is_empty());
    let restarted = pair.left.with_protocol(|watchful: &mut Watchful, transport| {
        watchful.start(transport, SECOND * 2);
        watchful.start(transport, SECOND * 3);
        (watchful.idle.timeout(), format!("{:?}", watchful.idle))
    });
    assert_eq!(restarted, Ok((Some(SECOND * 3), "IdleTimeout(Some(3s))".into())));
    event_loop.advance(SECOND * 50);
    assert_eq!(expired.take(), [at(203)]);
    close(&event_loop, &pair);
}

#[test]
fn w25_it_ends_with_its_protocol() {
    let event_loop = TestLoop::new();
    let (protocol, expired) = Watchful::new();
    let pair = connect(&event_loop, protocol);
    pair.left.set_protocol(Sink::default());
    event_loop.run_ready_now();
    assert_eq!(event_loop.stats().timers, 0);
    let (protocol, _) = Watchful::new();
    pair.left.set_protocol(protocol);
    let started = pair.left.with_protocol(|it: &mut Watchful, lent| it.start(lent, SECOND));
    assert_eq!((started, event_loop.stats().timers), (Ok(()), 1));
    close(&event_loop, &pair);
    assert!(expired.take().is_empty());
}

#[test]
fn w25_who_panics_at_the_end_of_its_time_loses_its_connection() {
    let event_loop = TestLoop::new();
    let lost = Rc::new(RefCell::new(None));
    struct Fragile(IdleTimeout, Rc<RefCell<Option<Exception>>>);
    impl Protocol for Fragile {
        fn connection_made(&mut self, transport: &dyn Transport) {
            self.0.start(transport, SECOND, |_: &mut Fragile, _| panic!("of no importance"));
        }
        fn data_received(&mut self, _: &dyn Transport, _: &[u8]) {}
        fn connection_lost(&mut self, _: &dyn Transport, reason: Option<Exception>) {
            self.1.replace(reason);
        }
    }
    let reports = Rc::new(Cell::new(0));
    let count = reports.clone();
    event_loop.set_exception_handler(Some(Rc::new(move |_, context| {
        assert!(context.protocol.unwrap().ends_with("Fragile"), "{context}");
        count.set(count.get() + 1);
    })));
    let pair = connect(&event_loop, Fragile(IdleTimeout::default(), lost.clone()));
    let (other, expired) = Watchful::new();
    let others = connect(&event_loop, other);
    event_loop.advance(SECOND * 10);
    assert!(lost.take().unwrap().panicked().is_some() && pair.left.is_closing());
    assert_eq!((reports.get(), expired.take().len()), (1, 1));
    close(&event_loop, &others);
}

#[test]
fn w25_the_wrapper_closes_a_connection_whose_peer_is_silent() {
    let event_loop = TestLoop::new();
    let (inner, log) = LifeCycle::new(Sink::default());
    let pair = connect(&event_loop, TimeoutProtocol::new(inner, SECOND * 10));
    event_loop.advance(SECOND * 9);
    pair.right.write(b"hello");
    event_loop.advance(SECOND * 9);
    assert!(!pair.left.is_closing());
    event_loop.advance(SECOND);
    log.check_ended();
    assert_eq!(log.bytes(), 5);
}

#[test]
fn w25_taking_output_counts_as_a_sign_of_life() {
    let event_loop = TestLoop::new();
    let protocol = TimeoutProtocol::new(Sink::default(), SECOND * 10);
    let pair = connect(&event_loop, protocol);
    pair.right.pause_reading();
    pair.left.write(&[7; 1_000_000]);
    event_loop.advance(SECOND * 9);
    pair.right.resume_reading();
    check_closes_after_ten_seconds(&event_loop, &pair);
}

#[test]
fn w25_a_peer_that_takes_output_all_the_time_is_not_silent() {
    /// Takes a little, then nothing until it is told to.
    struct Sips;
    impl Protocol for Sips {
        fn data_received(&mut self, transport: &dyn Transport, _: &[u8]) {
            transport.pause_reading();
        }
    }
    let event_loop = TestLoop::new();
    let (left, log) = LifeCycle::new(Sink::default());
    let left = TimeoutProtocol::new(left, SECOND * 10);
    let pair = event_loop.memory_pair(left, Sips, MemoryOptions::default());
    event_loop.run_ready_now();
    pair.left.write(&[7; 4_000_000]);
    event_loop.run_ready_now();
    for _ in 0..8 {
        let before = pair.left.get_write_buffer_size();
        pair.right.resume_reading();
        event_loop.advance(SECOND * 6);
        assert!(pair.left.get_write_buffer_size() < before && log.is_paused(), "it took a part");
        assert!(!pair.left.is_closing());
    }
    event_loop.advance(SECOND * 20);
    assert!(pair.left.is_closing());
    pair.left.abort();
    event_loop.run_until_idle();
}

#[test]
fn w25_n51_a_peer_that_takes_of_a_file_is_not_silent_one_that_takes_nothing_is() {
    let event_loop = TestLoop::new();
    let (ours, mut peer) = UnixStream::pair().unwrap();
    peer.set_nonblocking(true).unwrap();
    let factory = || TimeoutProtocol::new(Sink::default(), SECOND * 10);
    let opening = event_loop.connect_accepted_socket(factory, ours);
    let transport = event_loop.run_until_complete(&opening).unwrap();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&[7; 8_000_000]).unwrap();
    assert_eq!(transport.file_bytes_sent(), None);
    let sending = transport.send_file(SendFile::from(file).offset(0));
    event_loop.run_ready_now();
    assert!(!transport.is_reading());
    for _ in 0..4 {
        let before = transport.file_bytes_sent().unwrap();
        while peer.read(&mut [0; 65_536]).is_ok() {} // until nothing is there
        event_loop.run_ready_now();
        assert!(transport.file_bytes_sent().unwrap() > before);
        event_loop.advance(SECOND * 10);
        assert!(!transport.is_closing());
    }
    event_loop.advance(SECOND * 10);
    assert!(transport.is_closing());
    transport.abort();
    event_loop.run_ready_now();
    assert!(sending.exception().unwrap().is_some());
}

#[test]
fn w25_who_is_not_listened_to_is_not_silent() {
    let event_loop = TestLoop::new();
    let pair = connect(&event_loop, TimeoutProtocol::new(Sink::default(), SECOND * 10));
    pair.left.pause_reading();
    pair.right.write(b"is anybody there?");
    event_loop.advance(SECOND * 49);
    assert!(!pair.left.is_closing());
    // In the very turn in which the clock runs out it is listened to again.
    let left = pair.left.clone();
    event_loop.call_later(SECOND, move || left.resume_reading());
    event_loop.advance(SECOND * 10);
    assert!(!pair.left.is_closing());
    let received = pair.left.with_protocol(|sink: &mut Sink, _| sink.received);
    assert_eq!(received, Ok(17));
    event_loop.advance(SECOND * 10);
    assert!(pair.left.is_closing());
    event_loop.run_until_idle();
}

#[test]
fn w25_who_takes_no_output_is_silent_even_if_it_is_not_listened_to() {
    let event_loop = TestLoop::new();
    let pair = connect(&event_loop, TimeoutProtocol::new(Sink::default(), SECOND * 10));
    pair.right.pause_reading();
    pair.left.pause_reading();
    pair.left.write(&[7; 1_000_000]);
    event_loop.advance(SECOND * 10);
    assert!(pair.left.is_closing());
    pair.left.abort();
    event_loop.run_until_idle();
}

#[test]
fn w25_who_has_ended_its_direction_is_silent() {
    struct KeepsOpen;
    impl Protocol for KeepsOpen {
        fn data_received(&mut self, _: &dyn Transport, _: &[u8]) {}
        fn eof_received(&mut self, _: &dyn Transport) -> Eof {
            Eof::KeepOpen
        }
    }
    let event_loop = TestLoop::new();
    let pair = connect(&event_loop, TimeoutProtocol::new(KeepsOpen, SECOND * 10));
    pair.right.write_eof();
    check_closes_after_ten_seconds(&event_loop, &pair);
}

#[test]
fn w25_a_limit_may_be_set_or_taken_away_before_there_is_a_connection() {
    let event_loop = TestLoop::new();
    let mut protocol = TimeoutProtocol::new(Sink::default(), SECOND * 10);
    assert_eq!(protocol.set_timeout(None), Some(SECOND * 10));
    let pair = connect(&event_loop, protocol);
    event_loop.advance(SECOND * 1000);
    assert!(!pair.left.is_closing());
    let set = pair
        .left
        .with_protocol(|it: &mut TimeoutProtocol<Sink>, _| it.set_timeout(Some(SECOND * 3)));
    assert_eq!(set, Ok(None));
    event_loop.advance(SECOND * 3);
    assert!(pair.left.is_closing());
    event_loop.run_until_idle();
}

#[test]
fn w25_w29_it_works_inside_of_a_wrapper() {
    let event_loop = TestLoop::new();
    let log = TrafficLog::new().to(|_| ());
    let mut wrapped = log.wrap(|| TimeoutProtocol::new(Sink::default(), SECOND * 10));
    let pair = connect(&event_loop, wrapped.build_protocol(&Address::Unnamed).unwrap().unwrap());
    event_loop.advance(SECOND * 9);
    pair.right.write(b"hello");
    check_closes_after_ten_seconds(&event_loop, &pair);
}

#[test]
fn w25_r6_a_loop_that_is_dropped_frees_who_waits() {
    struct Held(IdleTimeout, Rc<()>);
    impl Protocol for Held {
        fn connection_made(&mut self, transport: &dyn Transport) {
            let held = self.1.clone();
            self.0.start(transport, SECOND, move |_: &mut Held, _| drop(held));
        }
        fn data_received(&mut self, _: &dyn Transport, _: &[u8]) {}
    }
    let mut event_loop = TestLoop::new();
    event_loop.allow_leftovers();
    let kept = Rc::new(());
    let pair = connect(&event_loop, Held(IdleTimeout::default(), kept.clone()));
    drop(event_loop);
    drop(pair);
    assert_eq!(Rc::strong_count(&kept), 1);
}

#[test]
fn w25_the_wrapper_may_be_told_what_to_do_instead() {
    let event_loop = TestLoop::new();
    let mut patience = 2;
    let protocol = TimeoutProtocol::new(Sink::default(), SECOND * 10).on_timeout(
        move |sink: &mut Sink, transport| {
            assert_eq!(sink.received, 0);
            transport.write(b"hello?");
            patience -= 1;
            if patience == 0 {
                transport.close();
            }
        },
    );
    let pair = connect(&event_loop, protocol);
    event_loop.advance(SECOND * 10);
    assert!(!pair.left.is_closing());
    let asked = pair.right.with_protocol(|sink: &mut Sink, _| sink.received);
    assert_eq!(asked, Ok(6));
    let set = pair.left.with_protocol(|it: &mut TimeoutProtocol<Sink>, _| {
        it.inner().received = 0;
        (it.set_timeout(None), it.set_timeout(Some(SECOND * 3)))
    });
    assert_eq!(set, Ok((Some(SECOND * 10), None)));
    assert_eq!(pair.left.with_protocol(|sink: &mut Sink, _| sink.received), Ok(0));
    event_loop.advance(SECOND * 3);
    assert!(pair.left.is_closing());
    event_loop.run_until_idle();
}

#[test]
fn w25_the_wrapper_passes_on_every_call() {
    /// Provides its own buffer.
    struct Own(Box<[u8; 3]>, Rc<Cell<usize>>);
    impl BufferedProtocol for Own {
        fn get_buffer(&mut self, _: &dyn Transport, _: Option<usize>) -> &mut [u8] {
            &mut *self.0
        }
        fn buffer_updated(&mut self, _: &dyn Transport, count: usize) {
            self.1.set(self.1.get() + count);
        }
    }
    let event_loop = TestLoop::new();
    let count = Rc::new(Cell::new(0));
    let (inner, log) = LifeCycle::new(Buffered(Own(Box::default(), count.clone())));
    let (outer, outer_log) = LifeCycle::new(TimeoutProtocol::new(inner, SECOND));
    let pair = connect(&event_loop, outer);
    pair.right.write(b"0123456789");
    pair.right.pause_reading();
    pair.left.write(&[7; 1_000_000]);
    event_loop.run_ready_now();
    pair.right.resume_reading();
    event_loop.run_ready_now();
    pair.right.write_eof();
    event_loop.run_until_idle();
    assert_eq!(count.get(), 10);
    log.check_ended();
    outer_log.check_ended();
    assert_eq!(log.calls(), outer_log.calls());
}

#[test]
fn w25_p20_the_reaction_may_do_anything() {
    let reactions: [fn(&mut Sink, &dyn Transport); 6] = [
        |_, transport| transport.close(),
        |_, transport| transport.abort(),
        |_, transport| {
            transport.write(&[1; 100_000]);
        },
        |_, transport| transport.pause_reading(),
        |_, transport| transport.set_protocol(Sink::default()),
        |_, transport| transport.write_eof(),
    ];
    for one in reactions {
        for other in reactions {
            let event_loop = TestLoop::new();
            let mut times = 0;
            let react = move |sink: &mut Sink, transport: &dyn Transport| {
                times += 1;
                if times < 4 {
                    one(sink, transport);
                    other(sink, transport);
                } else {
                    transport.abort();
                }
            };
            let protocol = TimeoutProtocol::new(Sink::default(), SECOND).on_timeout(react);
            let pair = connect(&event_loop, protocol);
            event_loop.advance(SECOND * 10);
            close(&event_loop, &pair);
            assert_eq!(event_loop.stats().timers, 0);
        }
    }
}

/// What is done to an [`IdleTimeout`].
#[derive(Clone, Copy, Debug)]
enum Step {
    Pass(u64),
    Reset,
    Set(Option<u64>),
    Start(u64),
    Stop,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_u64..40).prop_map(Step::Pass),
        3 => Just(Step::Reset),
        2 => prop::option::of(1_u64..30).prop_map(Step::Set),
        1 => (1_u64..30).prop_map(Step::Start),
        1 => Just(Step::Stop),
    ]
}

proptest! {
    /// The model: a limit and a deadline, looked at each second.
    #[test]
    fn w25_it_ends_exactly_when_a_plain_deadline_would(steps in prop::collection::vec(any_step(), 0..60)) {
        let event_loop = TestLoop::new();
        let (protocol, expired) = Watchful::new();
        let pair = connect(&event_loop, protocol);
        let (mut now, mut expected) = (0, Vec::new());
        let (mut known, mut armed, mut deadline) = (true, Some(10), 10);
        for step in steps {
            let with = |function: &mut dyn FnMut(&mut Watchful, &dyn Transport)| {
                pair.left.with_protocol(|it: &mut Watchful, lent| function(it, lent)).unwrap();
            };
            match step {
                Step::Pass(time) => {
                    for _ in 0..time {
                        now += 1;
                        if armed.is_some() && now == deadline {
                            expected.push(at(now));
                            (armed, known) = (None, false);
                        }
                    }
                    event_loop.advance(SECOND * time as u32);
                }
                Step::Reset => {
                    deadline = now + armed.unwrap_or(0);
                    with(&mut |it, _| it.idle.reset_timeout());
                }
                Step::Set(limit) => {
                    let before = armed.map(Duration::from_secs);
                    with(&mut |it, _| assert_eq!(it.idle.set_timeout(limit.map(Duration::from_secs)), before));
                    armed = limit.filter(|_| known);
                    deadline = now + armed.unwrap_or(0);
                }
                Step::Start(limit) => {
                    (known, armed, deadline) = (true, Some(limit), now + limit);
                    with(&mut |it, lent| it.start(lent, Duration::from_secs(limit)));
                }
                Step::Stop => {
                    (known, armed) = (false, None);
                    with(&mut |it, _| it.idle.stop());
                }
            }
            prop_assert_eq!(event_loop.clock().now(), at(now));
            prop_assert_eq!(&*expired.borrow(), &expected);
        }
        close(&event_loop, &pair);
    }
}
