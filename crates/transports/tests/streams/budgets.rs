//! What one connection may cost, and what happens to one that costs more.

use crate::support::{Hooks, Slot, collect_errors, counter, read_while, run_until, send, tcp};
use eventloop::TestLoop;
use futures::Exception;
use std::cell::Cell;
use std::net::TcpStream;
use std::rc::Rc;
use std::time::Duration;
use tulipa_transports::testing::{MemoryLoop, MemoryOptions, MemoryPair};
use tulipa_transports::{
    BudgetExceeded, BudgetPolicy, Bytes, ConnectionBudget, Eof, NetworkLoop, Protocol,
    ServerOptions, Transport, TransportExt,
};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A hook that takes as many milliseconds as the first byte says.
fn slow(event_loop: &TestLoop) -> impl FnMut(&dyn Transport, &[u8]) + 'static {
    use eventloop::Clock;
    let clock = event_loop.clock().clone();
    move |_, data| clock.set(clock.now() + ms(u64::from(data[0])))
}

fn pair(event_loop: &TestLoop, left: impl Protocol, budget: ConnectionBudget) -> MemoryPair {
    let options = MemoryOptions::default().budget_of_left(budget);
    let pair = event_loop.memory_pair(left, Hooks::new(), options);
    event_loop.run_ready_now();
    pair
}

fn end(event_loop: &TestLoop, pair: &MemoryPair) {
    pair.left.abort();
    pair.right.abort();
    event_loop.run_ready_now();
}

fn exceeded(reason: Option<Exception>) -> BudgetExceeded {
    *reason.expect("a reason").downcast_ref().expect("it exceeded its budget")
}

#[test]
fn r5_a_call_that_takes_too_long_is_reported_and_the_connection_goes_on() {
    let event_loop = TestLoop::new();
    let errors = collect_errors(&event_loop);
    let budget = ConnectionBudget::new().longest_call(ms(10));
    let pair = pair(&event_loop, Hooks::new().data(slow(&event_loop)), budget);
    for taken in [10, 11] {
        pair.right.write(&[taken]);
        event_loop.run_ready_now();
    }
    let reported = errors.take();
    assert_eq!(reported.len(), 1);
    let what = exceeded(reported[0].exception.clone());
    let (took, most) = (ms(11), ms(10));
    assert_eq!(what, BudgetExceeded::LongCall { method: "data_received", took, most });
    assert!(reported[0].transport.is_some());
    assert!(!pair.left.is_closing());
    end(&event_loop, &pair);
}

#[test]
fn r5_at_most_ten_excesses_a_second_are_reported() {
    let event_loop = TestLoop::new();
    let errors = collect_errors(&event_loop);
    let budget = ConnectionBudget::new().longest_call(ms(1));
    let pair = pair(&event_loop, Hooks::new().data(slow(&event_loop)), budget);
    for _ in 0..30 {
        pair.right.write(&[2]);
        event_loop.run_ready_now();
    }
    assert_eq!(errors.take().len(), 10);
    event_loop.advance(ms(1000));
    pair.right.write(&[2]);
    event_loop.run_ready_now();
    let reported = errors.take();
    assert_eq!(reported[0].message, "a connection exceeded its budget (20 more were not reported)");
    end(&event_loop, &pair);
}

#[test]
fn r5_after_a_long_call_nothing_is_read_for_as_long_as_it_took() {
    let event_loop = TestLoop::new();
    let budget = ConnectionBudget::new().longest_call(ms(10)).policy(BudgetPolicy::PauseReading);
    let (count, counted) = counter();
    let mut work = slow(&event_loop);
    let hooks = Hooks::new().data(move |transport, data| {
        counted();
        work(transport, data);
    });
    let pair = pair(&event_loop, hooks, budget);
    pair.right.write(&[50]);
    event_loop.run_ready_now();
    pair.right.write(&[1]);
    event_loop.advance(ms(49));
    assert_eq!(count.get(), 1);
    assert!(pair.left.is_reading(), "that is the user's own wish");
    event_loop.advance(ms(1));
    assert_eq!(count.get(), 2);
    end(&event_loop, &pair);
}

#[test]
fn r5_what_all_calls_take_together_holds_reading_until_the_span_is_over() {
    let event_loop = TestLoop::new();
    let budget =
        ConnectionBudget::new().call_time(ms(20), ms(100)).policy(BudgetPolicy::PauseReading);
    let (hooks, log) = Hooks::new().data(slow(&event_loop)).recorded();
    let pair = pair(&event_loop, hooks, budget);
    for _ in 0..3 {
        pair.right.write(&[10]);
        event_loop.run_ready_now();
    }
    pair.right.write(&[0, 0]);
    event_loop.advance(ms(69));
    assert_eq!(log.bytes(), 3);
    event_loop.advance(ms(1));
    assert_eq!(log.bytes(), 5);
    end(&event_loop, &pair);
    log.check_ended();
}

#[test]
fn r5_a_short_pause_does_not_end_a_longer_one() {
    let event_loop = TestLoop::new();
    for span in [ms(1000), Duration::MAX] {
        let budget = ConnectionBudget::new()
            .longest_call(ms(10))
            .call_time(ms(25), span)
            .policy(BudgetPolicy::PauseReading);
        let (count, counted) = counter();
        let mut work = slow(&event_loop);
        let hooks = Hooks::new().data(move |transport, data| {
            counted();
            work(transport, data);
        });
        let pair = pair(&event_loop, hooks, budget);
        pair.right.write(&[30]);
        event_loop.run_ready_now();
        pair.right.write(&[0]);
        let mut work = slow(&event_loop);
        pair.left.with_protocol(|_: &mut Hooks, transport| work(transport, &[20])).unwrap();
        event_loop.advance(ms(949));
        assert_eq!(count.get(), 1);
        event_loop.advance(ms(1));
        assert_eq!(count.get(), if span == Duration::MAX { 1 } else { 2 });
        end(&event_loop, &pair);
    }
}

#[test]
fn r5_r1_a_connection_that_takes_too_much_of_its_life_is_aborted_with_the_reason() {
    let event_loop = TestLoop::new();
    let budget =
        ConnectionBudget::new().call_time(ms(20), Duration::MAX).policy(BudgetPolicy::Abort);
    let reason = Slot::new();
    let told = reason.clone();
    let hooks = Hooks::new().data(slow(&event_loop)).lost(move |_, reason| told.set(reason));
    let (hooks, log) = hooks.recorded();
    let pair = pair(&event_loop, hooks, budget);
    for _ in 0..3 {
        pair.right.write(&[9]);
        event_loop.advance(Duration::from_secs(3600));
    }
    let (took, most, per) = (ms(27), ms(20), Duration::MAX);
    assert_eq!(exceeded(reason.take()), BudgetExceeded::CallTime { took, most, per });
    log.check_ended();
}

#[test]
fn r5_with_protocol_counts_and_a_panic_is_told_before_the_budget() {
    let event_loop = TestLoop::new();
    let errors = collect_errors(&event_loop);
    let budget = ConnectionBudget::new().longest_call(ms(10)).policy(BudgetPolicy::Abort);
    let one = pair(&event_loop, Hooks::new(), budget);
    let mut work = slow(&event_loop);
    one.left.with_protocol(|_: &mut Hooks, transport| work(transport, &[11])).unwrap();
    event_loop.run_ready_now();
    assert!(one.left.is_closing());

    let reason = Slot::new();
    let told = reason.clone();
    let mut work = slow(&event_loop);
    let hooks =
        Hooks::new().lost(move |_, reason| told.set(reason)).data(move |transport, data| {
            work(transport, data);
            panic!("slow and wrong");
        });
    let other = pair(&event_loop, hooks, budget);
    other.right.write(&[11]);
    event_loop.run_ready_now();
    let reason: Option<Exception> = reason.take();
    assert!(reason.unwrap().to_string().contains("slow and wrong"));
    assert_eq!(errors.take().len(), 1);
    end(&event_loop, &one);
    end(&event_loop, &other);
}

/// What a connection holds while nothing waits.
const ITSELF: Bytes = Bytes(1024);

#[test]
fn r4_output_that_nobody_reads_ends_a_connection_that_holds_too_much() {
    let event_loop = TestLoop::new();
    let budget = ConnectionBudget::new().held(Bytes::kib(40)).policy(BudgetPolicy::Abort);
    let reason = Slot::new();
    let told = reason.clone();
    let hooks = Hooks::new()
        .data(|transport, data| {
            for _ in 0..data[0] {
                transport.write(&[7; 1024]);
            }
        })
        .lost(move |_, reason| told.set(reason));
    let pair = pair(&event_loop, hooks, budget);
    pair.right.pause_reading();
    pair.right.write(&[64]);
    event_loop.run_ready_now();
    assert!(!pair.left.is_closing(), "the system took all of it");
    pair.right.write(&[30]);
    event_loop.run_ready_now();
    assert!(!pair.left.is_closing(), "it may hold that much");
    pair.right.write(&[20]);
    event_loop.run_ready_now();
    match exceeded(reason.take()) {
        BudgetExceeded::Held { held, most } => assert!(held > most && most == Bytes::kib(40)),
        other => panic!("{other:?}"),
    }
    end(&event_loop, &pair);
}

#[test]
fn r4_reading_waits_while_the_output_is_too_large_and_goes_on_by_itself() {
    let event_loop = TestLoop::new();
    let budget = ConnectionBudget::new().held(Bytes::kib(40)).policy(BudgetPolicy::PauseReading);
    let (hooks, log) = Hooks::new()
        .data(|transport, data| {
            for _ in data {
                transport.write(&[7; 1024]);
            }
        })
        .recorded();
    let pair = pair(&event_loop, hooks, budget);
    pair.right.pause_reading();
    pair.right.write(&[0; 64 + 60]);
    event_loop.run_ready_now();
    pair.right.write(&[0; 10]);
    event_loop.run_ready_now();
    assert_eq!(log.bytes(), 124, "what comes waits outside");
    pair.right.resume_reading();
    event_loop.run_ready_now();
    assert_eq!(log.bytes(), 134);
    end(&event_loop, &pair);
    log.check_ended();
}

/// Says that it holds so much.
struct Hoarder {
    held: Rc<Cell<usize>>,
    on_ask: Box<dyn Fn()>,
    received: Rc<Cell<usize>>,
}

impl Protocol for Hoarder {
    fn data_received(&mut self, _: &dyn Transport, data: &[u8]) {
        self.received.set(self.received.get() + data.len());
    }

    fn memory_held(&self) -> Bytes {
        (self.on_ask)();
        Bytes(self.held.get())
    }
}

fn hoarder(on_ask: impl Fn() + 'static) -> (Hoarder, Rc<Cell<usize>>, Rc<Cell<usize>>) {
    let (held, received) = (Rc::default(), Rc::default());
    let hoarder = Hoarder {
        held: Rc::clone(&held),
        on_ask: Box::new(on_ask),
        received: Rc::clone(&received),
    };
    (hoarder, held, received)
}

#[test]
fn r4_what_the_protocol_holds_counts_and_it_is_asked_again() {
    let event_loop = TestLoop::new();
    let budget = ConnectionBudget::new().held(Bytes(10_000)).policy(BudgetPolicy::PauseReading);
    let (protocol, held, received) = hoarder(|| {});
    let pair = pair(&event_loop, protocol, budget);
    held.set(9_999);
    pair.right.write(b"a");
    event_loop.run_ready_now();
    pair.right.write(b"b");
    event_loop.advance(Duration::from_secs(10));
    assert_eq!(received.get(), 1);
    held.set(100);
    event_loop.advance(ms(100));
    assert_eq!(received.get(), 2);
    event_loop.run_until_idle(); // and is not asked any more
    end(&event_loop, &pair);
}

#[test]
fn r8_asking_a_protocol_that_panics_ends_its_connection_only() {
    let event_loop = TestLoop::new();
    let errors = collect_errors(&event_loop);
    let budget = ConnectionBudget::new().held(ITSELF);
    let (protocol, ..) = hoarder(|| panic!("how should I know"));
    let one = pair(&event_loop, protocol, budget);
    let (protocol, _, received) = hoarder(|| {});
    let other = pair(&event_loop, protocol, budget);
    one.right.write(b"a");
    other.right.write(b"a");
    event_loop.run_ready_now();
    assert!(one.left.is_closing() && !other.left.is_closing());
    assert_eq!(received.get(), 1);
    assert_eq!(errors.take().len(), 1);
    end(&event_loop, &one);
    end(&event_loop, &other);
}

#[test]
fn r8_whoever_is_told_may_do_anything_with_the_connection() {
    for policy in [BudgetPolicy::Report, BudgetPolicy::PauseReading, BudgetPolicy::Abort] {
        for act in [
            |transport: &dyn Transport| transport.abort(),
            |transport: &dyn Transport| transport.close(),
            |transport: &dyn Transport| transport.pause_reading(),
            |transport: &dyn Transport| transport.resume_reading(),
            |transport: &dyn Transport| {
                transport.write(&[1; 100_000]);
            },
            |transport: &dyn Transport| transport.set_protocol(Hooks::new()),
        ] {
            let event_loop = TestLoop::new();
            let handle: Slot<Option<Rc<dyn Transport>>> = Slot::new();
            let (told, asked) = (handle.clone(), handle.clone());
            event_loop.set_exception_handler(Some(Rc::new(move |_, _| act(&*told.get().unwrap()))));
            let budget = ConnectionBudget::new()
                .held(Bytes(3_000))
                .longest_call(ms(1))
                .call_time(ms(1), ms(1))
                .policy(policy);
            let (protocol, held, _) = hoarder(move || {
                if let Some(transport) = asked.get() {
                    transport.resume_reading();
                    transport.write(b"!");
                }
            });
            let pair = pair(&event_loop, protocol, budget);
            handle.set(Some(pair.left.clone()));
            held.set(4_000);
            let mut work = slow(&event_loop);
            // It may have been ended by what it holds.
            let _ = pair.left.with_protocol(|_: &mut Hoarder, transport| work(transport, &[5]));
            pair.right.write(b"a");
            event_loop.run_once(Some(Duration::ZERO)).unwrap();
            handle.set(None); // a protocol that writes whenever it is asked is never done
            event_loop.advance(ms(1000));
            end(&event_loop, &pair);
            event_loop.advance(ms(200));
        }
    }
}

#[test]
fn r4_r6_a_server_counts_the_excesses_of_its_connections_and_keeps_nothing() {
    let event_loop = TestLoop::new();
    let budget = ConnectionBudget::new().held(Bytes::kib(64)).policy(BudgetPolicy::Abort);
    let options = ServerOptions::from(("127.0.0.1", 0)).budget(budget);
    let kept = Rc::new(());
    let lent = kept.clone();
    let flood = move || {
        let lent = lent.clone();
        Hooks::new().data(move |transport, _| {
            let _ = &lent;
            for _ in 0..16_000 {
                transport.write(&[0; 1024]);
            }
        })
    };
    let server = event_loop.create_server(flood, options).result().unwrap();
    let address = server.addresses()[0].as_ip().unwrap();
    let (mut greedy, modest) =
        (TcpStream::connect(address).unwrap(), TcpStream::connect(address).unwrap());
    send(&mut greedy, b"a");
    run_until(&event_loop, || server.stats().over_budget > 0 && server.connection_count() == 1);
    assert_eq!(server.stats().over_budget, 1);
    drop((greedy, modest));
    run_until(&event_loop, || server.connection_count() == 0);
    server.close();
    event_loop.run_ready_now();
    assert_eq!(Rc::strong_count(&kept), 1);
}

#[test]
fn r4_streams_say_what_waits_for_their_reader() {
    use tulipa_transports::streams::{StreamReader, StreamReaderProtocol, StreamWriter};
    let event_loop = TestLoop::new();
    let errors = collect_errors(&event_loop);
    let reader = StreamReader::default();
    let budget = ConnectionBudget::new().held(Bytes::kib(32));
    let pair = pair(&event_loop, StreamReaderProtocol::new(&reader), budget);
    let _writer = StreamWriter::new(pair.left.clone(), &reader);
    pair.right.write(&[0; 20_000]);
    event_loop.run_ready_now();
    assert_eq!(errors.take().len(), 0);
    pair.right.write(&[0; 20_000]);
    event_loop.run_ready_now();
    assert_eq!(errors.take().len(), 1);
    end(&event_loop, &pair);
}

#[test]
fn r4_without_a_budget_nothing_is_asked() {
    let event_loop = TestLoop::new();
    let (protocol, ..) = hoarder(|| panic!("nobody may ask"));
    let (transport, mut peer) = tcp(&event_loop, protocol);
    send(&mut peer, b"a");
    transport.write(b"b");
    assert_eq!(read_while(&event_loop, &mut peer, |all| all.is_empty()), b"b");
    transport.abort();
    event_loop.run_ready_now();
}

#[test]
fn r5_a_short_pause_does_not_end_a_longer_one_before_its_time() {
    for (span, over) in [(ms(1000), true), (Duration::MAX, false)] {
        let event_loop = TestLoop::new();
        let budget = ConnectionBudget::new()
            .call_time(ms(20), span)
            .longest_call(ms(10))
            .policy(BudgetPolicy::PauseReading);
        let (count, counted) = counter();
        let mut work = slow(&event_loop);
        let hooks = Hooks::new().data(move |transport, data| {
            counted();
            work(transport, data);
        });
        let pair = pair(&event_loop, hooks, budget);
        for _ in 0..3 {
            pair.right.write(&[9]);
            event_loop.run_ready_now();
        }
        // Now it is held until the span is over. A call that takes too long comes in between.
        let mut work = slow(&event_loop);
        pair.left.with_protocol(|_: &mut Hooks, transport| work(transport, &[15])).unwrap();
        pair.right.write(&[0]);
        event_loop.advance(ms(500));
        assert_eq!(count.get(), 3, "the span of {span:?} is not over");
        event_loop.advance(ms(500));
        assert_eq!(count.get() == 4, over);
        end(&event_loop, &pair);
    }
}

#[test]
fn r8_a_protocol_that_is_asked_may_end_its_direction_or_send_a_file() {
    let send_file = |transport: &dyn Transport| {
        let file = tempfile::tempfile().unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, b"tulip", 0).unwrap();
        drop(transport.send_file(file.into()));
    };
    let acts = [|transport: &dyn Transport| transport.write_eof(), send_file];
    for (act, expected) in acts.into_iter().zip([(true, 0), (false, 5)]) {
        let event_loop = TestLoop::new();
        let handle: Slot<Option<Rc<dyn Transport>>> = Slot::new();
        let asked = handle.clone();
        let (protocol, ..) = hoarder(move || {
            if let Some(transport) = asked.take() {
                act(&*transport);
            }
        });
        let eof = Rc::new(Cell::new(false));
        let seen = eof.clone();
        let right = Hooks::new().eof(move |_| {
            seen.set(true);
            Eof::KeepOpen
        });
        let (right, log) = right.recorded();
        let options =
            MemoryOptions::default().budget_of_left(ConnectionBudget::new().held(Bytes::mib(1)));
        let pair = event_loop.memory_pair(protocol, right, options);
        event_loop.run_ready_now();
        handle.set(Some(pair.left.clone()));
        pair.right.write(b"a"); // after which the protocol is asked, once
        run_until(&event_loop, || (eof.get(), log.bytes()) == expected);
        end(&event_loop, &pair);
    }
}
