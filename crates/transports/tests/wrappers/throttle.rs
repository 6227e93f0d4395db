//! Bandwidths: what is read and sent keeps to them, and nothing else changes (W-7).

use crate::support::*;
use eventloop::TestLoop;
use proptest::prelude::*;
use std::rc::Rc;
use std::time::Duration;
use tulipa_transports::testing::{MemoryLoop, MemoryOptions, MemoryPair};
use tulipa_transports::wrappers::Throttle;
use tulipa_transports::{
    Address, Bandwidth, Buffered, BufferedProtocol, Bytes, Eof, Factory, IntoProtocol, NetworkLoop,
    Protocol, SendFile, ServerOptions, Transport, TransportExt, WriteState,
};

fn made_by(mut factory: impl Factory) -> Wrapped {
    Wrapped(factory.build_protocol(&Address::Unnamed).into_protocol().unwrap().unwrap())
}

/// A boxed protocol as one, with what these tests need of it.
struct Wrapped(Box<dyn Protocol>);

impl Protocol for Wrapped {
    fn connection_made(&mut self, transport: &dyn Transport) {
        self.0.connection_made(transport);
    }
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
        self.0.data_received(transport, data);
    }
    fn eof_received(&mut self, transport: &dyn Transport) -> Eof {
        self.0.eof_received(transport)
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
}

/// A memory pair whose ends make no trouble, and whose wire holds much.
fn pair(event_loop: &TestLoop, left: impl Protocol, right: impl Protocol) -> MemoryPair {
    event_loop.memory_pair(left, right, MemoryOptions::default().capacity(Bytes::mib(16)))
}

fn counting() -> (Hooks, Slot<usize>) {
    let count: Slot<usize> = Slot::new();
    let counted = count.clone();
    let hooks = Hooks::new().data(move |_, data| counted.update(|all| *all += data.len()));
    (hooks, count)
}

fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[test]
fn w7_what_is_sent_keeps_to_the_bandwidth_and_to_the_marks() {
    let event_loop = TestLoop::new();
    let throttle = Throttle::new().write(Bytes(100_000));
    let (pauses, pause) = counter();
    let (resumes, resume) = counter();
    let mut hooks = Some(Hooks::new().pause(move |_| pause()).resume(move |_| resume()));
    let left = made_by(throttle.wrap(move || hooks.take()));
    let (right, received) = counting();
    let pair = pair(&event_loop, left, right);
    event_loop.run_ready_now();
    assert_eq!(pair.left.write(&pattern(1_000_000)), WriteState::OverHighMark);
    let drained = pair.left.drained();
    event_loop.run_ready_now();
    assert_eq!(received.get(), 10_000, "the burst");
    assert_eq!(pair.left.get_write_buffer_size(), Bytes(990_000));
    for second in 1..9 {
        event_loop.advance(secs(1));
        let expected = 10_000 + 100_000 * second;
        assert!(received.get().abs_diff(expected) <= 10_000, "{second}: {}", received.get());
        assert!(!drained.done());
    }
    event_loop.advance(secs(2));
    assert_eq!(received.get(), 1_000_000);
    assert!(drained.done());
    assert_eq!((pauses.get(), resumes.get()), (1, 1));
    pair.left.close();
    event_loop.run_until_idle();
}

#[test]
fn w7_a_close_sends_what_waits_at_its_speed_and_an_abort_does_not_wait() {
    let event_loop = TestLoop::new();
    for aborts in [false, true] {
        let throttle = Throttle::new().write(Bytes(1000));
        let (hooks, log) = Hooks::new().recorded();
        let mut hooks = Some(hooks);
        let (right, received) = counting();
        let pair = pair(&event_loop, made_by(throttle.wrap(move || hooks.take())), right);
        event_loop.run_ready_now();
        let began = event_loop.time();
        pair.left.write(&pattern(10_000));
        pair.left.close();
        event_loop.run_ready_now();
        assert!(!log.is_lost() && pair.left.is_closing());
        if aborts {
            pair.left.abort();
        }
        event_loop.run_until_idle();
        assert!(log.is_lost());
        log.check_ended();
        let took = event_loop.time() - began;
        match aborts {
            true => assert!(took.is_zero() && received.get() < 10_000, "{took:?}"),
            false => assert!(took >= secs(9) && took < secs(11) && received.get() == 10_000),
        }
        // Nothing of it is left: no timer, no connection.
        assert_eq!(event_loop.stats().timers, 0);
    }
}

#[test]
fn w7_what_is_read_keeps_to_the_bandwidth_and_a_pause_stays_one() {
    let event_loop = TestLoop::new();
    let throttle = Throttle::new().read(Bytes(100_000));
    let (hooks, received) = counting();
    let mut hooks = Some(hooks);
    let pair = pair(&event_loop, Hooks::new(), made_by(throttle.wrap(move || hooks.take())));
    event_loop.run_ready_now();
    pair.left.write(&pattern(1_000_000));
    pair.left.close();
    event_loop.advance(secs(3));
    assert!(received.get().abs_diff(310_000) <= 10_000, "{}", received.get());
    // The bandwidth does not resume what was paused.
    pair.right.pause_reading();
    let so_far = received.get();
    event_loop.advance(secs(10));
    assert_eq!(received.get(), so_far);
    // And resuming does not undo the bandwidth.
    pair.right.resume_reading();
    event_loop.run_ready_now();
    for _ in 0..5 {
        pair.right.pause_reading();
        pair.right.resume_reading();
        event_loop.run_ready_now();
    }
    assert!(received.get() <= so_far + 20_000, "{}", received.get());
    assert!(pair.right.is_reading(), "held is not paused");
    event_loop.advance(secs(20));
    assert_eq!(received.get(), 1_000_000);
    assert!(pair.right.is_closing(), "the end comes after the last byte");
    event_loop.run_until_idle();
}

#[test]
fn w7_connections_share_a_bandwidth_evenly() {
    let event_loop = TestLoop::new();
    let together = Bandwidth::per_second(Bytes(100_000));
    let throttle = Throttle::new().write_together(&together).write(Bytes::mib(1));
    let pairs: Vec<_> = (0..5)
        .map(|_| {
            let (right, received) = counting();
            (pair(&event_loop, made_by(throttle.wrap(Hooks::new)), right), received)
        })
        .collect();
    event_loop.run_ready_now();
    for (pair, _) in &pairs {
        pair.left.write(&pattern(1_000_000));
    }
    event_loop.advance(secs(10));
    let all: Vec<usize> = pairs.iter().map(|(_, received)| received.get()).collect();
    assert!(all.iter().sum::<usize>().abs_diff(1_000_000) <= 20_000, "{all:?}");
    assert!(all.iter().all(|one| one.abs_diff(200_000) <= 20_000), "{all:?}");
    // One that ends leaves its share to the others.
    pairs[0].0.left.abort();
    event_loop.advance(secs(4));
    let rest: usize = pairs[1..].iter().map(|(_, received)| received.get()).sum();
    assert!((rest - all[1..].iter().sum::<usize>()).abs_diff(400_000) <= 30_000);
    for (pair, _) in &pairs {
        pair.left.abort();
    }
    event_loop.run_until_idle();
}

#[test]
fn w7_limits_add_up_and_the_rate_can_change() {
    let event_loop = TestLoop::new();
    let slow = Bandwidth::per_second(Bytes(10_000));
    let (inner, outer) =
        (Throttle::new().read_together(&slow), Throttle::new().read(Bytes::mib(1)));
    let (hooks, received) = counting();
    let mut hooks = Some(hooks);
    let right = made_by(outer.wrap(inner.wrap(move || hooks.take())));
    let pair = pair(&event_loop, Hooks::new(), right);
    event_loop.run_ready_now();
    pair.left.write(&pattern(1_000_000));
    event_loop.advance(secs(5));
    assert!(received.get().abs_diff(51_000) <= 2000, "{}", received.get());
    slow.set_rate(Bytes(100_000));
    let so_far = received.get();
    event_loop.advance(secs(5));
    assert!((received.get() - so_far).abs_diff(510_000) <= 20_000, "{}", received.get());
    pair.left.abort();
    event_loop.run_until_idle();
}

/// Takes everything into a large buffer.
struct Own(Vec<u8>, Slot<usize>);

impl BufferedProtocol for Own {
    fn get_buffer(&mut self, _: &dyn Transport, _: Option<usize>) -> &mut [u8] {
        &mut self.0
    }
    fn buffer_updated(&mut self, _: &dyn Transport, count: usize) {
        self.1.update(|all| *all += count);
    }
}

#[test]
fn w7_p2_buffered_protocols_are_throttled_too() {
    let event_loop = TestLoop::new();
    let received: Slot<usize> = Slot::new();
    let own = Buffered(Own(vec![0; 1 << 20], received.clone()));
    let pair = pair(&event_loop, Hooks::new(), own);
    pair.right.limit_bandwidth(&[Bandwidth::per_second(Bytes(100_000))], &[]);
    event_loop.run_ready_now();
    pair.left.write(&pattern(500_000));
    event_loop.advance(secs(2));
    assert!(received.get().abs_diff(210_000) <= 10_000, "{}", received.get());
    pair.left.abort();
    event_loop.run_until_idle();
}

#[test]
fn w7_n51_files_are_sent_at_that_speed() {
    let event_loop = TestLoop::new();
    let mut file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut file, &pattern(500_000)).unwrap();
    // By the system, over a socket; and in blocks, over memory.
    let (transport, mut peer) = tcp(&event_loop, Hooks::new());
    transport.limit_bandwidth(&[], &[Bandwidth::per_second(Bytes::mib(1))]);
    let sending = transport.send_file(SendFile::from(file.try_clone().unwrap()));
    let began = event_loop.time();
    peer.set_nonblocking(true).unwrap();
    let mut received = 0;
    let mut buffer = vec![0; 1 << 20];
    run_until(&event_loop, || {
        received += std::io::Read::read(&mut peer, &mut buffer).unwrap_or(0);
        event_loop.advance(Duration::from_millis(10));
        sending.done() && received == 500_000
    });
    let took = event_loop.time() - began;
    assert!(took >= Duration::from_millis(350), "{took:?}");
    transport.abort();

    let (right, received) = counting();
    let pair = pair(&event_loop, Hooks::new(), right);
    event_loop.run_ready_now();
    pair.left.limit_bandwidth(&[], &[Bandwidth::per_second(Bytes::mib(1))]);
    let began = event_loop.time();
    let sending = pair.left.send_file(SendFile::from(file));
    run_until(&event_loop, || {
        event_loop.advance(Duration::from_millis(10));
        sending.done()
    });
    assert!(event_loop.time() - began >= Duration::from_millis(350));
    run_until(&event_loop, || received.get() == 500_000);
    pair.left.abort();
    event_loop.run_until_idle();
}

#[test]
fn w7_x7_what_is_salvaged_is_not_waited_for() {
    let event_loop = TestLoop::new();
    let (received, lost): (Slot<usize>, Slot<bool>) = (Slot::new(), Slot::new());
    let (count, end) = (received.clone(), lost.clone());
    let hooks = Hooks::new()
        .data(move |_, data| count.update(|all| *all += data.len()))
        .lost(move |_, reason| end.set(reason.is_some()));
    let pair = pair(&event_loop, hooks, Hooks::new());
    event_loop.run_ready_now();
    pair.left.limit_bandwidth(&[Bandwidth::per_second(Bytes(1000))], &[]);
    pair.right.write(&pattern(100_000));
    event_loop.run_ready_now();
    pair.break_left_output();
    pair.left.write(b"x");
    event_loop.run_until_idle();
    assert!(lost.get());
    assert_eq!(received.get(), 100_000);
}

#[test]
fn w7_a_protocol_that_is_set_is_throttled_as_the_one_before() {
    let event_loop = TestLoop::new();
    let throttle = Throttle::new().read(Bytes(10_000));
    let (second, received) = counting();
    let second = Rc::new(std::cell::Cell::new(Some(second)));
    let hooks = Hooks::new().data(move |transport, _| {
        if let Some(second) = second.take() {
            transport.set_protocol(second);
        }
    });
    let mut hooks = Some(hooks);
    let pair = pair(&event_loop, Hooks::new(), made_by(throttle.wrap(move || hooks.take())));
    event_loop.run_ready_now();
    pair.left.write(&pattern(100_000));
    event_loop.advance(secs(3));
    assert!(received.get().abs_diff(30_000) <= 2000, "{}", received.get());
    pair.left.abort();
    event_loop.run_until_idle();
}

/// Writes so much as soon as it can, and closes.
fn parting(size: usize, lost: Slot<Option<Option<String>>>) -> Hooks {
    Hooks::new()
        .made(move |transport| {
            transport.write(&pattern(size));
            transport.close();
        })
        .lost(move |_, reason| lost.set(Some(reason.map(|reason| reason.to_string()))))
}

#[test]
fn w7_x5_the_time_that_a_bandwidth_takes_is_not_the_time_of_the_peer() {
    let event_loop = TestLoop::new();
    let lost: Slot<Option<Option<String>>> = Slot::new();
    let end = lost.clone();
    let factory = Throttle::new().write(Bytes(10_000)).wrap(move || parting(50_000, end.clone()));
    let options = ServerOptions::from(("127.0.0.1", 0)).linger(Some(secs(1)));
    let server = event_loop.create_server(factory, options).result().unwrap();
    let address = server.addresses()[0].as_ip().unwrap();
    let mut peer = std::net::TcpStream::connect(address).unwrap();
    let began = event_loop.time();
    let received = read_while(&event_loop, &mut peer, |_| {
        event_loop.advance(Duration::from_millis(10));
        lost.get().is_none()
    });
    let took = event_loop.time() - began;
    assert_eq!(lost.take(), Some(None), "after {took:?}, with {} bytes", received.len());
    assert!(took >= secs(4), "{took:?}");
    server.close();
}

#[test]
fn w7_x5_a_peer_that_takes_nothing_is_not_waited_for_however_slow_we_are() {
    let event_loop = TestLoop::new();
    let lost: Slot<Option<Option<String>>> = Slot::new();
    let end = lost.clone();
    let rate = Bytes::mib(4);
    let factory = Throttle::new().write(rate).wrap(move || parting(15 << 20, end.clone()));
    let options = ServerOptions::from(("127.0.0.1", 0)).linger(Some(secs(1)));
    let server = event_loop.create_server(factory, options).result().unwrap();
    let address = server.addresses()[0].as_ip().unwrap();
    let _peer = std::net::TcpStream::connect(address).unwrap();
    run_until(&event_loop, || server.connection_count() == 1);
    let began = event_loop.time();
    run_until(&event_loop, || {
        event_loop.advance(Duration::from_millis(10));
        lost.get().is_some()
    });
    let took = event_loop.time() - began;
    assert!(took < secs(6), "{took:?}");
    assert!(lost.take().unwrap().unwrap().contains("after close"));
    server.close();
}

/// What somebody may do with a connection, on either side.
#[derive(Clone, Copy, Debug)]
enum Step {
    Write(bool, usize),
    Pause(bool),
    Resume(bool),
    Wait(u64),
    Rate(usize),
    Eof(bool),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (any::<bool>(), 1usize..30_000).prop_map(|(left, size)| Step::Write(left, size)),
        1 => any::<bool>().prop_map(Step::Pause),
        1 => any::<bool>().prop_map(Step::Resume),
        2 => (0u64..500).prop_map(Step::Wait),
        1 => (1000usize..1_000_000).prop_map(Step::Rate),
        1 => any::<bool>().prop_map(Step::Eof),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    /// Whatever is done, every byte that was taken arrives once and in order, no faster than allowed, and
    /// nothing is left.
    #[test]
    fn w7_p1_r2_a_bandwidth_loses_nothing_and_keeps_the_lives_whole(
        seed in any::<u64>(), steps in proptest::collection::vec(any_step(), 1..40),
    ) {
        let event_loop = TestLoop::new();
        let rate = Bandwidth::per_second(Bytes(50_000));
        let (left, left_log) = Hooks::new().keep_open().recorded();
        let (right, right_log) = Hooks::new().keep_open().recorded();
        let options = MemoryOptions::default().capacity(Bytes(5000)).trouble(seed);
        let pair = event_loop.memory_pair(left, right, options);
        event_loop.run_ready_now();
        let began = event_loop.time();
        let slow = std::slice::from_ref(&rate);
        pair.left.limit_bandwidth(slow, slow);
        pair.right.limit_bandwidth(slow, &[]);
        let mut sent = [Vec::new(), Vec::new()];
        let mut fastest = 50_000;
        for step in steps {
            let end = |left| if left { &pair.left } else { &pair.right };
            match step {
                Step::Write(left, size) => {
                    let data = pattern(size);
                    if end(left).write(&data).is_taken() {
                        sent[usize::from(left)].extend_from_slice(&data);
                    }
                }
                Step::Pause(left) => end(left).pause_reading(),
                Step::Resume(left) => end(left).resume_reading(),
                Step::Wait(millis) => event_loop.advance(Duration::from_millis(millis)),
                Step::Rate(bytes) => {
                    fastest = fastest.max(bytes);
                    rate.set_rate(Bytes(bytes));
                }
                Step::Eof(left) => end(left).write_eof(),
            }
        }
        for end in [&pair.left, &pair.right] {
            end.resume_reading();
            end.write_eof();
        }
        event_loop.run_until_idle();
        left_log.check_ended();
        right_log.check_ended();
        let checksum = |data: &[u8]| tulipa_transports::testing::LifeCycleLog::checksum_of(data);
        prop_assert_eq!(right_log.checksum(), checksum(&sent[1]));
        prop_assert_eq!(left_log.checksum(), checksum(&sent[0]));
        // What the left end read and sent, and the right one read, all from one bandwidth.
        let passed = 2 * sent[1].len() + sent[0].len();
        let allowed = fastest as f64 * ((event_loop.time() - began).as_secs_f64() + 0.4);
        prop_assert!(passed as f64 <= allowed + 1.0, "{passed} of {allowed}");
        prop_assert_eq!(event_loop.stats().timers, 0);
    }
}
