//! A resolver that blocks, on threads of its own: whoever it keeps waiting, nobody else waits.

use crate::support::*;
use eventloop::prelude::*;
use eventloop::{EventLoop, TestLoop};
use futures::{Exception, Future, PanicError};
use std::collections::HashMap;
use std::error::Error;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use tulipa_transports::{
    AddressInfo, AddressQuery, BlockingResolver, NameQuery, ResolveError, ResolverLoop,
    ThreadedResolver, ThreadedResolverOptions,
};

const DEADLINE: Duration = Duration::from_secs(10);

/// Every call waits until the test decides it.
#[derive(Clone, Default)]
struct Gated {
    state: Arc<(Mutex<Calls>, Condvar)>,
}

#[derive(Default)]
struct Calls {
    /// The names, in the order in which threads came to ask.
    begun: Vec<String>,
    /// What one of the calls with this name is to do.
    decided: HashMap<String, Vec<Decision>>,
}

#[derive(Clone, Copy)]
enum Decision {
    Answer(u8),
    Fail,
    NoSuchName,
    Panic,
}

impl BlockingResolver for Gated {
    fn look_up_addresses(&self, query: &AddressQuery) -> io::Result<Vec<AddressInfo>> {
        let (calls, changed) = &*self.state;
        let mut calls = calls.lock().unwrap();
        calls.begun.push(query.host.clone());
        let decision = loop {
            let decided = calls.decided.get_mut(&query.host);
            if let Some(decision) = decided.and_then(|decided| decided.pop()) {
                break decision;
            }
            calls = changed.wait(calls).unwrap();
        };
        drop(calls);
        match decision {
            Decision::Answer(last) => Ok(vec![SocketAddr::from(([127, 0, 0, last], 0)).into()]),
            Decision::Fail => Err(io::Error::new(ErrorKind::ResourceBusy, "not now")),
            Decision::NoSuchName => Err(io::Error::new(ErrorKind::NotFound, "no such name")),
            Decision::Panic => panic!("the resolver is broken"),
        }
    }

    fn look_up_name(&self, query: &NameQuery) -> io::Result<(String, String)> {
        Ok((format!("name of {}", query.address.ip()), query.address.port().to_string()))
    }
}

impl Gated {
    fn decide(&self, host: &str, decision: Decision) {
        let (calls, changed) = &*self.state;
        calls.lock().unwrap().decided.entry(host.to_owned()).or_default().push(decision);
        changed.notify_all();
    }

    fn begun(&self) -> Vec<String> {
        self.state.0.lock().unwrap().begun.clone()
    }
}

type Found = Future<Vec<AddressInfo>>;

struct Setting {
    event_loop: TestLoop,
    gated: Gated,
    threads: ThreadedResolver,
}

impl Setting {
    fn new(options: ThreadedResolverOptions) -> Self {
        let (event_loop, gated) = (TestLoop::new(), Gated::default());
        let threads = ThreadedResolver::new(gated.clone(), options);
        event_loop.set_resolver(threads.clone());
        Self { event_loop, gated, threads }
    }

    fn with_threads(max_threads: usize) -> Self {
        Self::new(ThreadedResolverOptions { max_threads, ..Default::default() })
    }

    fn ask(&self, host: &str) -> Found {
        self.event_loop.getaddrinfo((host, 1))
    }

    /// Waits until so many calls have begun.
    fn wait_for_calls(&self, count: usize) {
        run_until(&self.event_loop, || self.gated.begun().len() >= count);
        assert_eq!(self.gated.begun().len(), count);
    }

    fn wait(&self, found: &Found) -> Result<u8, Exception> {
        run_until(&self.event_loop, || found.done());
        found.result().map(|found| match found[0].address.ip() {
            std::net::IpAddr::V4(ip) => ip.octets()[3],
            std::net::IpAddr::V6(_) => panic!("not IPv4"),
        })
    }

    /// Lets the threads go, so that nothing of the test is left.
    fn end(self) {
        let Self { event_loop, gated, threads } = self;
        for host in gated.begun() {
            gated.decide(&host, Decision::Fail);
        }
        event_loop.set_resolver(ThreadedResolver::system());
        run_until(&event_loop, || threads.waiting() == 0);
    }
}

fn source(exception: &Exception) -> String {
    ResolveError::of(exception).unwrap().source().unwrap().to_string()
}

#[test]
fn r12_a_name_that_hangs_delays_only_who_asked_for_it() {
    let setting = Setting::with_threads(2);
    let hung: Vec<Found> = (0..100).map(|_| setting.ask("hung.example")).collect();
    setting.wait_for_calls(1);
    assert_eq!((setting.threads.threads(), setting.threads.waiting()), (1, 100));
    setting.gated.decide("good.example", Decision::Answer(7));
    assert_eq!(setting.wait(&setting.ask("good.example")).unwrap(), 7);
    assert!(hung.iter().all(|found| !found.done()));
    // One answer is for all of them.
    setting.gated.decide("hung.example", Decision::Answer(9));
    for found in &hung {
        assert_eq!(setting.wait(found).unwrap(), 9);
    }
    assert_eq!(setting.gated.begun(), ["hung.example", "good.example"]);
    setting.end();
}

#[test]
fn r12_who_asks_after_others_gave_up_has_it_tried_again() {
    let setting = Setting::with_threads(8);
    let gives_up = setting.ask("hung.example");
    let waits = setting.ask("hung.example");
    setting.wait_for_calls(1);
    gives_up.cancel();
    setting.event_loop.run_ready_now();
    let asks_again = setting.ask("hung.example");
    setting.wait_for_calls(2);
    let joins = setting.ask("hung.example"); // nobody gave up since
    setting.gated.decide("hung.example", Decision::Answer(3));
    for found in [&waits, &asks_again, &joins] {
        assert_eq!(setting.wait(found).unwrap(), 3);
    }
    // One still hangs: who comes later does not wait for it alone.
    let later = setting.ask("hung.example");
    setting.wait_for_calls(3);
    setting.gated.decide("hung.example", Decision::Fail);
    run_until(&setting.event_loop, || setting.threads.waiting() == 1);
    assert!(!later.done(), "an attempt that failed speaks for all, though another is under way");
    setting.gated.decide("hung.example", Decision::Answer(4));
    assert_eq!(setting.wait(&later).unwrap(), 4);
    setting.end();
}

#[test]
fn r12_one_name_takes_four_threads_at_most() {
    let setting = Setting::with_threads(32);
    for attempt in 1..=10 {
        let found = setting.ask("hung.example");
        setting.wait_for_calls(attempt.min(4));
        found.cancel();
        setting.event_loop.run_ready_now();
    }
    assert_eq!(setting.threads.threads(), 4);
    let found = setting.ask("hung.example");
    setting.event_loop.advance(DEADLINE);
    let exception = setting.wait(&found).unwrap_err();
    assert_eq!(source(&exception), "no answer within 10s: 4 threads of the resolver wait for it");
    setting.end();
}

#[test]
fn r12_when_all_threads_hang_the_error_says_so_by_the_deadline() {
    let setting = Setting::with_threads(2);
    let hung = ["a.example", "b.example"].map(|host| setting.ask(host));
    setting.wait_for_calls(2);
    setting.event_loop.advance(DEADLINE / 2);
    let starved = setting.ask("good.example");
    let cancelled = setting.ask("cancelled.example");
    setting.event_loop.advance(DEADLINE / 2);
    for found in &hung {
        assert_eq!(source(&setting.wait(found).unwrap_err()), "no answer within 10s");
    }
    assert!(!starved.done());
    cancelled.cancel();
    setting.event_loop.advance(DEADLINE / 2);
    let exception = setting.wait(&starved).unwrap_err();
    assert_eq!(exception.io_kind(), Some(ErrorKind::TimedOut));
    assert_eq!(
        source(&exception),
        "no answer within 10s: all 2 threads of the resolver wait for answers to other questions"
    );
    // Names that nobody waits for any more are not looked up, and the threads are good for others.
    setting.gated.decide("a.example", Decision::Answer(1));
    setting.gated.decide("fresh.example", Decision::Answer(5));
    assert_eq!(setting.wait(&setting.ask("fresh.example")).unwrap(), 5);
    assert_eq!(setting.gated.begun()[2..], ["fresh.example"]);
    setting.end();
}

#[test]
fn r12_r4_too_many_who_wait_are_refused_at_once() {
    let options = ThreadedResolverOptions { max_threads: 1, max_waiting: 3, ..Default::default() };
    let setting = Setting::new(options);
    let waiting: Vec<Found> =
        ["a.example", "b.example", "b.example"].iter().map(|host| setting.ask(host)).collect();
    let refused = setting.ask("c.example");
    let exception = setting.wait(&refused).unwrap_err();
    assert_eq!(exception.io_kind(), Some(ErrorKind::ResourceBusy));
    assert_eq!(source(&exception), "3 callers wait for the resolver already");
    // Those who have given up make room, wherever they stand.
    waiting[1].cancel();
    setting.event_loop.run_ready_now();
    let found = setting.ask("c.example");
    assert_eq!(setting.threads.waiting(), 3);
    for host in ["a.example", "b.example", "c.example"] {
        setting.gated.decide(host, Decision::Answer(8));
    }
    assert_eq!(setting.wait(&found).unwrap(), 8);
    setting.end();
}

#[test]
fn r8_a_panic_is_the_failure_of_those_who_asked() {
    let setting = Setting::with_threads(1);
    let found = [setting.ask("broken.example"), setting.ask("broken.example")];
    setting.gated.decide("broken.example", Decision::Panic);
    for found in &found {
        let exception = setting.wait(found).unwrap_err();
        assert!(exception.downcast_ref::<PanicError>().is_some(), "{exception:?}");
    }
    setting.gated.decide("good.example", Decision::Answer(2));
    assert_eq!(setting.wait(&setting.ask("good.example")).unwrap(), 2); // by the same thread
    assert_eq!(setting.threads.threads(), 1);
    setting.end();
}

#[test]
fn n1_names_of_addresses_have_threads_of_their_own() {
    let setting = Setting::with_threads(1);
    let hung = setting.ask("hung.example");
    setting.wait_for_calls(1);
    let named = setting.event_loop.getnameinfo(SocketAddr::from(([127, 0, 0, 1], 5)));
    run_until(&setting.event_loop, || named.done());
    assert_eq!(named.result().unwrap(), ("name of 127.0.0.1".to_owned(), "5".to_owned()));
    assert!(!hung.done());
    hung.cancel();
    setting.end();
}

#[test]
fn r12_closing_a_loop_waits_for_no_look_up_and_its_answer_is_dropped() {
    let gated = Gated::default();
    let threads = ThreadedResolver::new(gated.clone(), ThreadedResolverOptions::default());
    let event_loop = EventLoop::new().unwrap();
    event_loop.set_resolver(threads.clone());
    let found = event_loop.getaddrinfo(("hung.example", 1));
    while gated.begun().is_empty() {
        event_loop.run_once(Some(Duration::ZERO)).unwrap();
    }
    let ended = event_loop.shutdown_default_executor(Duration::from_secs(300));
    event_loop.run_until_complete(&ended).unwrap();
    drop(event_loop); // were it to wait, it would wait for ever
    assert!(!found.done());
    assert_eq!(threads.threads(), 1);
    gated.decide("hung.example", Decision::Answer(1));
    while threads.waiting() > 0 {
        std::thread::yield_now();
    }
    assert!(!found.done());
}

#[test]
fn r12_r4_callers_of_a_loop_that_closed_do_not_count_as_waiting() {
    let gated = Gated::default();
    let options = ThreadedResolverOptions { max_waiting: 3, ..Default::default() };
    let threads = ThreadedResolver::new(gated.clone(), options);
    for _ in 0..5 {
        let event_loop = EventLoop::new().unwrap();
        event_loop.set_resolver(threads.clone());
        let found = event_loop.getaddrinfo(("hung.example", 1));
        event_loop.run_once(Some(Duration::ZERO)).unwrap();
        assert_eq!((found.done(), threads.waiting()), (false, 1));
        drop(event_loop);
        assert_eq!(threads.waiting(), 0);
    }
    for _ in 0..5 {
        gated.decide("hung.example", Decision::Fail);
    }
}

#[test]
fn r12_that_there_is_no_such_name_is_told_though_an_earlier_attempt_hangs() {
    let setting = Setting::with_threads(8);
    let gives_up = setting.ask("gone.example");
    setting.wait_for_calls(1);
    gives_up.cancel();
    setting.event_loop.run_ready_now();
    let asks_again = setting.ask("gone.example");
    setting.wait_for_calls(2);
    setting.gated.decide("gone.example", Decision::NoSuchName);
    run_until(&setting.event_loop, || asks_again.done());
    let exception = asks_again.exception().unwrap().unwrap();
    assert_eq!(exception.io_kind(), Some(ErrorKind::NotFound));
    setting.end();
}

#[test]
fn r12_a_program_that_ends_waits_for_no_look_up() {
    let gated = Gated::default();
    let threads = ThreadedResolver::new(gated.clone(), ThreadedResolverOptions::default());
    let asked = threads.clone();
    let outcome = eventloop::run(async move {
        let event_loop = eventloop::current();
        event_loop.set_resolver(asked);
        let found = event_loop.getaddrinfo(("hung.example", 1));
        futures::spawn(async move { found.await.map(|_| ()) });
        let found = event_loop.getaddrinfo(("hung.example", 1));
        futures::timeout(Duration::from_millis(1), async { found.await.map(|_| ()) }).await
    });
    assert!(outcome.is_err());
    gated.decide("hung.example", Decision::Fail);
}

#[test]
fn r6_threads_end_when_they_are_idle_and_nobody_is_left_who_could_ask() {
    let setting = Setting::with_threads(4);
    for host in ["a.example", "b.example"] {
        setting.gated.decide(host, Decision::Answer(1));
        setting.wait(&setting.ask(host)).unwrap();
    }
    let Setting { event_loop, gated, threads } = setting;
    assert_eq!(Arc::strong_count(&gated.state), 2);
    event_loop.set_resolver(ThreadedResolver::system());
    drop(threads);
    run_until(&event_loop, || Arc::strong_count(&gated.state) == 1);
}

/// Ten thousand callers cost no more each than ten do.
#[test]
fn r12_r4_many_who_wait_for_one_name_give_up_and_come_again() {
    let setting = Setting::with_threads(2);
    let mut waiting: Vec<Found> = (0..9_999).map(|_| setting.ask("hung.example")).collect();
    for _ in 0..5_000 {
        let next = setting.ask("hung.example");
        setting.event_loop.run_ready_now();
        std::mem::replace(&mut waiting[0], next).cancel();
        setting.event_loop.run_ready_now();
    }
    for host in 0..4 {
        setting.gated.decide("hung.example", Decision::Answer(host));
    }
    for found in &waiting {
        assert!(setting.wait(found).is_ok());
    }
    setting.end();
}

/// Callers that ask and give up at random: whoever stays is answered, and nothing is left.
#[test]
fn r12_whoever_stays_is_answered_whatever_the_others_do() {
    struct Random;
    impl BlockingResolver for Random {
        fn look_up_addresses(&self, query: &AddressQuery) -> io::Result<Vec<AddressInfo>> {
            for _ in 0..query.host.len() % 7 {
                std::thread::yield_now();
            }
            match query.host.starts_with('f') {
                true => Err(ErrorKind::NotFound.into()),
                false => Ok(vec![SocketAddr::from(([127, 0, 0, 1], 0)).into()]),
            }
        }
    }
    let options = ThreadedResolverOptions { max_threads: 3, ..Default::default() };
    let threads = ThreadedResolver::new(Random, options);
    let event_loop = TestLoop::new();
    event_loop.set_resolver(threads.clone());
    let mut seed = 1u64;
    let mut random = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize
    };
    let mut kept = Vec::new();
    for _ in 0..3_000 {
        let host = format!("{}{}", ["f", "g"][random() % 2], "x".repeat(1 + random() % 9));
        let found = event_loop.getaddrinfo((&*host, 1));
        match random() % 4 {
            0 => drop(found.cancel()),
            1 => {
                event_loop.run_ready_now();
                found.cancel();
            }
            _ => kept.push((host, found)),
        }
        if kept.len() > 500 {
            run_until(&event_loop, || kept.iter().all(|(_, found)| found.done()));
            check(&mut kept);
        }
    }
    run_until(&event_loop, || kept.iter().all(|(_, found)| found.done()));
    check(&mut kept);
    run_until(&event_loop, || event_loop.leftovers().is_empty() && threads.waiting() == 0);

    fn check(kept: &mut Vec<(String, Found)>) {
        for (host, found) in kept.drain(..) {
            assert_eq!(found.result().is_ok(), host.starts_with('g'), "{host}");
        }
    }
}
