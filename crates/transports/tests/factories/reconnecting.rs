//! Clients that keep their connection up (W-4…W-6).

use crate::stubborn::{Answer, Place, note, start, start_silently};
use crate::support::*;
use Answer::{Accept, Panic, Refuse, Silence};
use eventloop::{EventLoop, TestLoop};
use futures::{Exception, SchedulerExt};
use proptest::prelude::*;
use std::cell::Cell;
use std::error::Error;
use std::io;
use std::rc::Rc;
use std::time::Duration;
use tulipa_transports::{
    Backoff, ClientEvent, Jitter, NetworkLoop, ReconnectOptions, ReconnectingClient, StoppedError,
};

/// 2, 4, 8, 10, 10… seconds.
fn doubling() -> Backoff {
    let backoff = Backoff::default().factor(2.0).jitter(Jitter::None);
    backoff.max_delay(Duration::from_secs(10))
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn w4_the_pauses_grow_up_to_their_limit() {
    let event_loop = TestLoop::new();
    let place = Place::new(Refuse);
    let (client, trace) = start(&event_loop, &place, doubling());
    assert_eq!(place.attempts(), 0); // in a turn of its own
    event_loop.advance(secs(30));
    let told = trace.take();
    let expected = [0, 2, 6, 14, 24];
    let expected: Vec<_> = expected
        .iter()
        .flat_map(|at| [format!("{at} connecting"), format!("{at} failed")])
        .collect();
    assert_eq!(told, expected);
    assert_eq!(client.retries(), 5);
    assert_eq!(client.last_error().unwrap().io_kind(), Some(io::ErrorKind::ConnectionRefused));
    client.close();
    event_loop.run_ready_now();
}

#[test]
fn w4_by_default_the_first_retry_comes_after_e_seconds_or_so() {
    let event_loop = TestLoop::new();
    let place = Place::new(Refuse);
    // The middle of the distribution.
    let options = ReconnectOptions::default().random(|| 0.25);
    let (client, _) = start(&event_loop, &place, options);
    event_loop.advance(Duration::from_millis(2717));
    assert_eq!(place.attempts(), 1);
    event_loop.advance(Duration::from_millis(2));
    assert_eq!(place.attempts(), 2);
    client.close();
    event_loop.run_ready_now();
}

#[test]
fn w4_a_lost_connection_is_made_again_and_a_success_begins_the_pauses_anew() {
    let event_loop = TestLoop::new();
    let place = Place::new(Accept);
    let (client, trace) = start(&event_loop, &place, doubling());
    for _ in 0..2 {
        event_loop.run_ready_now();
        place.hang_up();
        event_loop.run_ready_now();
        event_loop.advance(secs(if client.retries() == 1 { 2 } else { 4 }));
    }
    assert_eq!(
        trace.take(),
        [
            "0 connecting",
            "0 connected",
            "0 lost",
            "2 connecting",
            "2 connected",
            "2 lost",
            "6 connecting",
            "6 connected"
        ]
    );
    assert_eq!(client.retries(), 2);
    client.reset_delay();
    assert_eq!(client.retries(), 0);
    place.reset();
    event_loop.advance(secs(2));
    assert_eq!(trace.take(), ["6 lost", "8 connecting", "8 connected"]);
    assert_eq!(client.last_error().unwrap().io_kind(), Some(io::ErrorKind::ConnectionReset));
    client.close();
    event_loop.run_ready_now();
}

#[test]
fn w4_a_connection_that_was_up_for_long_enough_was_a_success() {
    let event_loop = TestLoop::new();
    let place = Place::new(Accept);
    let options = ReconnectOptions::from(doubling()).reset_after(secs(30));
    let (client, trace) = start(&event_loop, &place, options);
    let mut told = Vec::new();
    for up in [29, 29, 30] {
        event_loop.advance(secs(up));
        place.hang_up();
        event_loop.run_ready_now();
        let retries = client.retries();
        event_loop.advance(secs(2_u64.pow(retries)));
        told.push(retries);
    }
    assert_eq!(told, [1, 2, 1]);
    assert_eq!(trace.take().last().unwrap(), "96 connected");
    client.close();
    event_loop.run_ready_now();
}

#[test]
fn w4_when_there_are_no_attempts_left_it_ends() {
    let event_loop = TestLoop::new();
    let place = Place::new(Refuse);
    let (client, trace) = start(&event_loop, &place, doubling().max_retries(2));
    let (connected, closed) = (client.when_connected(), client.wait_closed());
    event_loop.run_until_idle();
    assert_eq!(
        trace.take(),
        [
            "0 connecting",
            "0 failed",
            "2 connecting",
            "2 failed",
            "6 connecting",
            "6 failed, the end"
        ]
    );
    assert!(!client.is_trying());
    for exception in [connected.take().err(), closed.take().err()] {
        let exception = exception.unwrap();
        let stopped = exception.downcast_ref::<StoppedError>().unwrap();
        assert_eq!(stopped.last().unwrap().io_kind(), Some(io::ErrorKind::ConnectionRefused));
        assert_eq!(exception.to_string(), "the client has stopped connecting");
        assert!(stopped.source().unwrap().is::<io::Error>());
    }
    // From now on at once.
    assert!(client.wait_closed().take().is_err() && client.when_connected().take().is_err());
    client.retry_now();
    client.reset_delay();
    event_loop.run_until_idle();
    assert_eq!(place.attempts(), 3);
}

#[test]
fn w4_stopping_calls_the_pause_off() {
    let event_loop = TestLoop::new();
    let place = Place::new(Refuse);
    let (client, trace) = start(&event_loop, &place, doubling());
    event_loop.run_ready_now();
    let (connected, closed) = (client.when_connected(), client.wait_closed());
    client.stop_trying();
    client.stop_trying();
    event_loop.run_ready_now();
    assert!(connected.take().is_err_and(|error| error.is::<StoppedError>()));
    closed.take().unwrap();
    event_loop.run_until_idle();
    assert_eq!(trace.take(), ["0 connecting", "0 failed"]);
    assert_eq!(event_loop.time(), futures::Instant::ZERO);
}

#[test]
fn w4_stopping_calls_the_attempt_off() {
    let event_loop = TestLoop::new();
    let place = Place::new(Silence);
    let (client, trace) = start(&event_loop, &place, doubling());
    event_loop.run_ready_now();
    assert_eq!(place.waiting(), 1);
    client.stop_trying();
    assert_eq!(place.waiting(), 0);
    event_loop.run_until_complete(&client.wait_closed()).unwrap();
    assert_eq!(trace.take(), ["0 connecting", "0 failed (cancelled), the end"]);
    assert!(client.last_error().is_none());
}

#[test]
fn w4_stopping_before_the_first_attempt_makes_none() {
    let event_loop = TestLoop::new();
    let place = Place::new(Accept);
    let (client, trace) = start(&event_loop, &place, doubling());
    client.stop_trying();
    event_loop.run_until_idle();
    assert_eq!((place.attempts(), trace.len()), (0, 0));
}

#[test]
fn w4_stopping_leaves_the_connection_and_nothing_follows_it() {
    let event_loop = TestLoop::new();
    let place = Place::new(Accept);
    let (client, trace) = start(&event_loop, &place, doubling());
    event_loop.run_ready_now();
    client.stop_trying();
    event_loop.run_until_idle();
    assert!(client.transport().is_some_and(|transport| !transport.is_closing()));
    let closed = client.wait_closed();
    place.abort_with(Exception::msg("enough"));
    event_loop.run_until_idle();
    closed.take().unwrap();
    assert_eq!(trace.take(), ["0 connecting", "0 connected", "0 lost (enough), the end"]);
    assert_eq!(client.last_error().unwrap().to_string(), "enough");
}

#[test]
fn w4_w6_an_attempt_that_is_stopped_too_late_is_ended() {
    let event_loop = TestLoop::new();
    let place = Place::new(Accept);
    let (trace, connect) = (Trace::new(), place.clone());
    let noted = trace.clone();
    let options =
        ReconnectOptions::default().on_event(move |client, event| note(&noted, client, &event));
    let connect = move |client: &ReconnectingClient| {
        let future = connect.connect(&*client.get_loop());
        client.stop_trying(); // it is connected already
        future
    };
    let client = event_loop.create_reconnecting_client(connect, options);
    event_loop.run_until_idle();
    event_loop.run_until_complete(&client.wait_closed()).unwrap();
    assert_eq!(trace.take(), ["0 connecting", "0 failed (cancelled), the end"]);
}

#[test]
fn w6_those_who_wait_for_the_connection_get_this_one_or_the_next() {
    let event_loop = TestLoop::new();
    let place = Place::new(Accept);
    place.will(&[Refuse]);
    let (client, _) = start(&event_loop, &place, doubling());
    let (first, also, not_any_more) =
        (client.when_connected(), client.when_connected(), client.when_connected());
    let one_attempt = client.when_connected_within(1);
    let two_attempts = client.when_connected_within(2);
    not_any_more.cancel();
    event_loop.run_ready_now();
    assert!(!first.done());
    let refused = one_attempt.take().err().unwrap();
    assert_eq!(refused.io_kind(), Some(io::ErrorKind::ConnectionRefused));
    event_loop.advance(secs(2));
    let transport = first.take().unwrap();
    assert!(Rc::ptr_eq(&transport, &also.take().unwrap()));
    assert!(Rc::ptr_eq(&transport, &two_attempts.take().unwrap()));
    assert!(Rc::ptr_eq(&transport, &client.when_connected().take().unwrap()));
    // One that is closing is none.
    transport.close();
    let next = client.when_connected();
    event_loop.advance(secs(4));
    assert!(!Rc::ptr_eq(&transport, &next.take().unwrap()));
    client.close();
    event_loop.run_ready_now();
}

#[test]
fn w6_closing_ends_the_connection_too() {
    let event_loop = TestLoop::new();
    let place = Place::new(Accept);
    let (client, trace) = start(&event_loop, &place, doubling());
    event_loop.run_ready_now();
    client.close();
    client.close();
    assert!(client.when_connected().take().is_err());
    event_loop.run_until_complete(&client.wait_closed()).unwrap();
    assert_eq!(trace.take(), ["0 connecting", "0 connected", "0 lost, the end"]);
    assert!(client.transport().is_none());
}

#[test]
fn w6_a_scope_ends_its_client() {
    let event_loop = TestLoop::new();
    let place = Place::new(Accept);
    let client = start_silently(&event_loop, &place, doubling());
    let scope = event_loop.create_scope();
    scope.own(client.clone()).unwrap();
    event_loop.run_ready_now();
    let report = event_loop.run_until_complete(&scope.close()).unwrap();
    assert_eq!((report.ended, report.aborted), (1, 0));
    assert!(!client.is_trying());
}

#[test]
fn w6_a_pause_can_be_ended() {
    let event_loop = TestLoop::new();
    let place = Place::new(Refuse);
    let (client, trace) = start(&event_loop, &place, doubling());
    event_loop.run_ready_now();
    client.retry_now();
    client.retry_now();
    event_loop.run_ready_now();
    assert_eq!(place.attempts(), 2);
    place.always(Accept);
    client.retry_now();
    event_loop.run_ready_now();
    client.retry_now(); // there is a connection
    event_loop.run_ready_now();
    assert_eq!(place.attempts(), 3);
    assert_eq!(trace.take().last().unwrap(), "0 connected");
    client.close();
    event_loop.run_ready_now();
}

#[test]
fn w4_w6_panics_are_reported_and_it_goes_on() {
    let event_loop = TestLoop::new();
    let errors = collect_errors(&event_loop);
    let place = Place::new(Accept);
    place.will(&[Panic, Refuse]);
    let options = ReconnectOptions::from(doubling().jitter(Jitter::Full))
        .random(|| panic!("no dice"))
        .on_event(|_, event| assert!(!matches!(event, ClientEvent::Connecting), "not again"));
    let client = start_silently(&event_loop, &place, options);
    event_loop.run_until_complete(&client.when_connected()).unwrap();
    let told = errors.take();
    let count = |what: &str| told.iter().filter(|one| one.contains(what)).count();
    assert_eq!(count("the closure that connects a client panicked"), 1);
    assert_eq!(count("the source of chance of a client panicked"), 2);
    assert_eq!(count("the observer of a client panicked"), 3);
    client.close();
    event_loop.run_ready_now();
}

#[test]
fn w4_w6_chance_may_end_it() {
    for answer in [Refuse, Accept] {
        let event_loop = TestLoop::new();
        let place = Place::new(answer);
        let own: Slot<Option<ReconnectingClient>> = Slot::new();
        let client = own.clone();
        let options = ReconnectOptions::from(doubling().jitter(Jitter::Full)).random(move || {
            let client = client.get().unwrap();
            assert!(client.transport().is_none());
            client.close();
            0.9
        });
        let (client, trace) = start(&event_loop, &place, options);
        own.set(Some(client.clone()));
        event_loop.run_ready_now();
        if answer == Accept {
            place.hang_up();
        }
        event_loop.run_until_complete(&client.wait_closed()).unwrap();
        assert_eq!(event_loop.time(), futures::Instant::ZERO);
        assert!(trace.take().last().unwrap().ends_with(", the end"));
    }
}

#[test]
fn w4_w6_every_request_at_every_event() {
    type Ask = fn(&ReconnectingClient);
    let asks: [Ask; 7] = [
        ReconnectingClient::stop_trying,
        ReconnectingClient::close,
        ReconnectingClient::retry_now,
        ReconnectingClient::reset_delay,
        |client| drop(client.when_connected()),
        |client| drop(client.wait_closed()),
        |client| {
            if let Some(transport) = client.transport() {
                transport.close();
            }
        },
    ];
    for ask in asks {
        for at in 0..6 {
            let event_loop = TestLoop::new();
            let place = Place::new(Accept);
            place.will(&[Refuse]);
            let turn = Rc::new(Cell::new(0));
            let seen = turn.clone();
            let alive = Rc::new(());
            let kept = alive.clone();
            let options = ReconnectOptions::from(doubling()).on_event(move |client, _| {
                let _ = &kept;
                seen.set(seen.get() + 1);
                if seen.get() == at + 1 {
                    ask(client);
                }
            });
            let client = start_silently(&event_loop, &place, options);
            event_loop.advance(secs(2));
            if client.transport().is_some_and(|transport| !transport.is_closing()) {
                place.hang_up();
            }
            event_loop.advance(secs(10));
            client.close();
            event_loop.run_ready_now();
            event_loop.run_until_complete(&client.wait_closed()).unwrap();
            assert_eq!(Rc::strong_count(&alive), 1);
        }
    }
}

#[test]
fn w6_a_loop_that_closes_leaves_nothing() {
    for answer in [Refuse, Silence, Accept] {
        let event_loop = EventLoop::new().unwrap();
        let (place, alive) = (Place::new(answer), Rc::new(()));
        let (connect, kept) = (place.clone(), alive.clone());
        let own: Slot<Option<ReconnectingClient>> = Slot::new();
        let circle = own.clone();
        let connect = move |client: &ReconnectingClient| {
            let _ = (&kept, &circle); // it keeps its own client
            connect.connect(&*client.get_loop())
        };
        let client = event_loop.create_reconnecting_client(connect, doubling());
        own.set(Some(client.clone()));
        event_loop.run_once(Some(Duration::ZERO)).unwrap();
        event_loop.run_once(Some(Duration::ZERO)).unwrap();
        let waits = client.wait_closed();
        drop(event_loop);
        assert_eq!(Rc::strong_count(&alive), 1, "{answer:?}");
        assert!(!waits.done() && !client.is_trying());
    }
}

#[test]
fn w6_on_a_closed_loop_a_client_has_ended() {
    let event_loop = EventLoop::new().unwrap();
    let handle = event_loop.to_event_loop();
    drop(event_loop);
    let alive = Rc::new(());
    let (place, kept) = (Place::new(Accept), alive.clone());
    let connect = move |client: &ReconnectingClient| {
        let _ = &kept;
        place.connect(&*client.get_loop())
    };
    let client = handle.create_reconnecting_client(connect, doubling());
    assert_eq!((client.is_trying(), Rc::strong_count(&alive)), (false, 1));
    assert!(client.when_connected().done() && client.wait_closed().done());
    client.retry_now();
    client.close();
}

/// What happens to a client, at random.
#[derive(Clone, Debug)]
enum Step {
    Answer(Answer),
    Wait(u64),
    Break,
    Retry,
    Reset,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        prop_oneof![Just(Accept), Just(Refuse), Just(Silence), Just(Panic)].prop_map(Step::Answer),
        (0..20_u64).prop_map(Step::Wait),
        Just(Step::Break),
        Just(Step::Retry),
        Just(Step::Reset),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn w4_w6_whatever_happens_one_thing_is_under_way_and_pauses_keep_their_bounds(
        steps in proptest::collection::vec(any_step(), 0..40),
        seed in any::<u64>(),
    ) {
        let event_loop = TestLoop::new();
        event_loop.set_exception_handler(Some(Rc::new(|_, _| {})));
        let place = Place::new(Refuse);
        let pauses: Slot<Vec<Duration>> = Slot::new();
        let (seen, under_way) = (pauses.clone(), Rc::new(Cell::new(0_i32)));
        let count = under_way.clone();
        let options = ReconnectOptions::from(doubling().jitter(Jitter::Normal(0.5)))
            .random(fastrand_like(seed))
            .on_event(move |_, event| match event {
                ClientEvent::Connecting => count.set(count.get() + 1),
                ClientEvent::ConnectionFailed { retry_in, .. }
                | ClientEvent::ConnectionLost { retry_in, .. } => {
                    count.set(count.get() - 1);
                    if let Some(pause) = retry_in {
                        seen.update(|all| all.push(pause));
                    }
                }
                _ => {}
            });
        let client = start_silently(&event_loop, &place, options);
        for step in steps {
            match step {
                Step::Answer(answer) => place.always(answer),
                Step::Wait(seconds) => event_loop.advance(secs(seconds)),
                Step::Break if client.transport().is_some() => place.reset(),
                Step::Break => {}
                Step::Retry => client.retry_now(),
                Step::Reset => client.reset_delay(),
            }
            event_loop.run_ready_now();
            prop_assert!((0..=1).contains(&under_way.get()));
            let connects = place.waiting() + usize::from(client.transport().is_some());
            prop_assert_eq!(usize::try_from(under_way.get()), Ok(connects));
            prop_assert!(client.is_trying());
        }
        prop_assert!(pauses.get().iter().all(|pause| *pause <= secs(10)));
        client.close();
        event_loop.run_ready_now();
        prop_assert!(client.wait_closed().take().is_ok());
        prop_assert_eq!(under_way.get(), 0);
    }
}

/// Numbers from 0 up to 1, the same for the same seed.
fn fastrand_like(mut seed: u64) -> impl FnMut() -> f64 {
    move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 11) as f64 / (1_u64 << 53) as f64
    }
}
