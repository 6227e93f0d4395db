//! Look-ups on one loop: what is asked of its resolver, and what becomes of the answer (N-1…N-4).

use crate::logged;
use crate::scripted::{Always, Scripted};
use crate::support::*;
use eventloop::prelude::*;
use eventloop::{AbstractEventLoop, EventLoop, TestLoop, ThreadPoolExecutor, ThreadPoolOptions};
use futures::{ClosedError, Exception, Future, PanicError};
use std::cell::Cell;
use std::error::Error;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::time::Duration;
use tulipa_transports::{
    AddressInfo, AddressQuery, ConnectError, ConnectOptions, Family, NameQuery, NetworkLoop,
    ResolveError, Resolver, ResolverLoop, ServerOptions, Service, SocketType,
};

type Found = Future<Vec<AddressInfo>>;

const SECOND: Duration = Duration::from_secs(1);

fn scripted() -> (TestLoop, Scripted) {
    let (event_loop, resolver) = (TestLoop::new(), Scripted::default());
    event_loop.set_resolver(resolver.clone());
    (event_loop, resolver)
}

fn failure<T: Clone>(future: &Future<T>) -> Exception {
    future.exception().expect("it is done").expect("it failed")
}

fn source(exception: &Exception) -> String {
    let error = ResolveError::of(exception).expect("an error of a look-up");
    error.source().expect("the resolver's answer").to_string()
}

#[test]
fn n1_the_resolver_of_the_loop_is_asked() {
    let (event_loop, resolver) = scripted();
    let query = AddressQuery::from(("tulip.example", 80))
        .family(Family::V4)
        .socket_type(SocketType::Stream)
        .protocol(6)
        .canonical_name(true)
        .only_configured(true);
    let found = event_loop.getaddrinfo(query.clone());
    let question = resolver.next();
    assert_eq!(question.query, query);
    assert!(!found.done());
    question.give(&["127.0.0.3", "::1"]);
    let found = event_loop.run_until_complete(&found).unwrap();
    // Of the wanted family, with the wanted port.
    let addresses: Vec<String> = found.iter().map(|info| info.address.to_string()).collect();
    assert_eq!(addresses, ["127.0.0.3:80"]);

    // Another one for what comes, not for what is under way.
    let before = event_loop.getaddrinfo(("before.example", 1));
    event_loop.set_resolver(Always(vec!["127.0.0.9:0".parse().unwrap()]));
    let after = event_loop.getaddrinfo(("after.example", 1));
    resolver.next().give(&["127.0.0.8"]);
    let first =
        |future: Found| event_loop.run_until_complete(&future).unwrap()[0].address.to_string();
    assert_eq!([first(before), first(after)], ["127.0.0.8:1", "127.0.0.9:1"]);
    assert_eq!(resolver.count(), 0);
}

#[test]
fn n1_the_error_is_the_resolvers_and_names_what_was_asked() {
    let (event_loop, resolver) = scripted();
    let found = event_loop.getaddrinfo(("nowhere.example", "http"));
    resolver.next().fail(ErrorKind::NotFound, "there is none");
    let exception = event_loop.run_until_complete(&found).err().unwrap();
    assert_eq!(exception.io_kind(), Some(ErrorKind::NotFound));
    assert_eq!(exception.to_string(), "cannot resolve \"nowhere.example:http\"");
    assert_eq!(source(&exception), "there is none");
    assert!(!ResolveError::of(&exception).unwrap().is_temporary());

    let opening = event_loop.create_connection(Hooks::new, ("busy.example", 1));
    resolver.next().fail(ErrorKind::ResourceBusy, "ask again");
    let exception = event_loop.run_until_complete(&opening).err().unwrap();
    let error = ResolveError::of(&exception).unwrap();
    assert_eq!((error.asked(), error.is_temporary()), ("busy.example", true));
}

#[test]
fn n1_names_of_addresses_are_looked_up_too() {
    let (event_loop, _) = scripted();
    let address: SocketAddr = "127.0.0.1:80".parse().unwrap();
    let named = event_loop.run_until_complete(&event_loop.getnameinfo(address)).unwrap();
    assert_eq!(named, ("host-of-127.0.0.1:80".to_owned(), "service".to_owned()));
    let numbers = NameQuery::from(address).numeric_host(true).numeric_service(true);
    let numbers = event_loop.getnameinfo(numbers).result().unwrap(); // at once
    assert_eq!(numbers, ("127.0.0.1".to_owned(), "80".to_owned()));
    event_loop.set_resolver(Always(Vec::new()));
    let error = event_loop.run_until_complete(&event_loop.getnameinfo(address)).unwrap_err();
    assert_eq!(error.io_kind(), Some(ErrorKind::Unsupported));
    assert_eq!(error.to_string(), "cannot resolve \"127.0.0.1:80\"");
}

#[test]
fn n1_the_systems_resolver_finds_this_machine() {
    let event_loop = TestLoop::new();
    let found = event_loop.getaddrinfo(AddressQuery::from(("localhost", 7)));
    let found = event_loop.run_until_complete(&found).unwrap();
    assert!(found.iter().all(|info| info.address.ip().is_loopback() && info.address.port() == 7));
    let named = event_loop.getnameinfo(SocketAddr::from(([127, 0, 0, 1], 1)));
    let (host, service) = event_loop.run_until_complete(&named).unwrap();
    assert!(!host.is_empty() && !service.is_empty());
    assert_eq!(event_loop.stats().executor_threads, 0);
}

#[test]
fn n2_what_needs_no_look_up_is_never_asked() {
    let (event_loop, resolver) = scripted();
    for (host, service) in [("127.0.0.1", "80"), ("::1", ""), ("::ffff:127.0.0.1", "0")] {
        let found = event_loop.getaddrinfo((host, service));
        assert!(found.done() && found.result().is_ok());
    }
    assert!(
        event_loop.getaddrinfo(AddressQuery::from(("::1", 1)).family(Family::V4)).result().is_err()
    );
    assert_eq!(resolver.count(), 0);
    // A scope, and a service with a name, are the resolver's.
    let scoped = event_loop.getaddrinfo(("fe80::1%lo", 80));
    let with_scope = "[fe80::1%1]:0".parse::<SocketAddr>().unwrap();
    resolver.next().answer.set_result(vec![with_scope.into()]).unwrap();
    let scoped = event_loop.run_until_complete(&scoped).unwrap();
    assert_eq!(scoped[0].address.to_string(), "[fe80::1%1]:80"); // which is kept
    let named = event_loop.getaddrinfo(("127.0.0.1", "http"));
    let question = resolver.next();
    assert_eq!(question.query.service, Service::Name("http".into()));
    let with_port = "127.0.0.1:80".parse::<SocketAddr>().unwrap();
    question.answer.set_result(vec![with_port.into()]).unwrap();
    assert_eq!(event_loop.run_until_complete(&named).unwrap()[0].address, with_port);
}

#[test]
fn n3_an_answer_without_an_address_names_the_look_up() {
    let (event_loop, resolver) = scripted();
    let options = ConnectOptions::from(("v4.example", 1)).family(Family::V6);
    let opening = event_loop.create_connection(Hooks::new, options);
    resolver.next().give(&["127.0.0.1"]);
    let exception = event_loop.run_until_complete(&opening).err().unwrap();
    assert_eq!(exception.to_string(), "cannot resolve \"v4.example\"");
    let creation = event_loop.create_server(Hooks::new, ("none.example", 0));
    resolver.next().give(&[]);
    let exception = event_loop.run_until_complete(&creation).err().unwrap();
    assert_eq!(exception.to_string(), "cannot resolve \"none.example\"");
}

#[test]
fn n3_n16_the_first_host_of_a_server_that_fails_ends_the_look_ups_of_the_others() {
    let (event_loop, resolver) = scripted();
    let errors = collect_errors(&event_loop);
    let options = ServerOptions::from(("a.example", 0)).host("b.example").host("c.example");
    let creation = event_loop.create_server(Hooks::new, options);
    let questions = [resolver.next(), resolver.next(), resolver.next()];
    questions[0].fail(ErrorKind::NotFound, "there is none");
    let exception = event_loop.run_until_complete(&creation).err().unwrap();
    assert_eq!(exception.to_string(), "cannot resolve \"a.example\"");
    event_loop.run_ready_now();
    assert!(questions[1].answer.cancelled() && questions[2].answer.cancelled());
    assert!(errors.take().is_empty());
}

#[test]
fn n4_cancelling_ends_the_look_up_at_once() {
    let (event_loop, resolver) = scripted();
    let found = event_loop.getaddrinfo(("slow.example", 1));
    let question = resolver.next();
    found.cancel();
    event_loop.run_ready_now();
    assert!(found.cancelled() && question.answer.cancelled());
    assert!(event_loop.leftovers().is_empty());

    let opening = event_loop.create_connection(Hooks::new, ("slow.example", 1));
    let question = resolver.next();
    opening.cancel();
    event_loop.run_ready_now();
    assert!(question.answer.cancelled());
    assert!(event_loop.leftovers().is_empty());

    let options = ServerOptions::from(("slow.example", 0));
    let creation = event_loop.create_server(Hooks::new, options);
    let question = resolver.next();
    creation.cancel();
    question.give(&["127.0.0.1"]); // too late
    event_loop.run_ready_now();
    assert!(creation.cancelled());
}

#[test]
fn r12_what_cannot_be_a_name_is_asked_of_nobody() {
    let (event_loop, resolver) = scripted();
    let long = "x".repeat(300);
    for host in ["", "a b", "evil\0.example", "127.1", "0x7f000001", "fe80::1%", "[::1]", &long] {
        let refused = [
            failure(&event_loop.getaddrinfo((host, 80))),
            failure(&event_loop.create_connection(Hooks::new, (host, 80))),
        ];
        for exception in refused {
            assert_eq!(exception.io_kind(), Some(ErrorKind::InvalidInput), "{host:?}");
            assert_eq!(ResolveError::of(&exception).unwrap().asked(), host);
        }
    }
    for service in ["65616", "8 0", "-1"] {
        assert!(event_loop.getaddrinfo(("localhost", service)).result().is_err());
    }
    assert_eq!(resolver.count(), 0);
    // The name that is asked is the one given, byte for byte.
    for host in ["MiXeD.Example.", "xn--bcher-kva.example", "bücher.example"] {
        let found = event_loop.getaddrinfo((host, 80));
        assert_eq!(resolver.next().query.host, host);
        found.cancel();
    }
    event_loop.run_ready_now();
}

#[test]
fn r12_a_look_up_ends_at_its_deadline_and_no_other_notices() {
    let (event_loop, resolver) = scripted();
    assert_eq!(event_loop.look_up_deadline(), 10 * SECOND);
    let hung = event_loop.getaddrinfo(("hung.example", 80));
    let question = resolver.next();
    let opening = event_loop.create_connection(Hooks::new, ("hung.example", 80));
    resolver.next();
    event_loop.advance(Duration::from_millis(9_999));
    assert!(!hung.done() && !opening.done());
    let other = event_loop.getaddrinfo(("other.example", 80));
    event_loop.advance(Duration::from_millis(1));
    for exception in [failure(&hung), failure(&opening)] {
        assert_eq!(exception.io_kind(), Some(ErrorKind::TimedOut));
        assert_eq!(source(&exception), "no answer within 10s: nobody wrote its part");
        assert!(ResolveError::of(&exception).unwrap().is_temporary());
    }
    assert!(question.answer.cancelled()); // nobody waits for it any more
    resolver.next().give(&["127.0.0.1"]);
    assert!(event_loop.run_until_complete(&other).is_ok());

    event_loop.set_look_up_deadline(2 * SECOND);
    let hung = event_loop.getaddrinfo(("hung.example", 80));
    resolver.next();
    event_loop.advance(2 * SECOND);
    assert!(failure(&hung).io_kind() == Some(ErrorKind::TimedOut));
}

#[test]
fn r12_the_deadline_of_connecting_covers_the_look_up() {
    let (event_loop, resolver) = scripted();
    let options = ConnectOptions::from(("hung.example", 80)).deadline(SECOND);
    let opening = event_loop.create_connection(Hooks::new, options);
    let question = resolver.next();
    event_loop.advance(SECOND);
    let exception = failure(&opening);
    assert_eq!(exception.io_kind(), Some(ErrorKind::TimedOut));
    assert!(ConnectError::of(&exception).is_some());
    let text = exception.to_string();
    assert!(text.ends_with("within 1s: the look-up of its name had no answer"), "{text}");
    assert!(question.answer.cancelled());
}

#[test]
fn r12_an_answer_that_comes_too_late_reaches_nobody() {
    // After the loop has closed.
    let resolver = Scripted::default();
    let event_loop = EventLoop::new().unwrap();
    event_loop.set_resolver(resolver.clone());
    let found = event_loop.getaddrinfo(("slow.example", 1));
    let opening = event_loop.create_connection(|| -> Hooks { panic!() }, ("slow.example", 1));
    let questions = [resolver.next(), resolver.next()];
    drop(event_loop);
    for question in questions {
        question.give(&["127.0.0.1"]);
    }
    assert!(!found.done() && !opening.done());
}

#[test]
fn l26_a_closed_loop_looks_nothing_up() {
    let event_loop = EventLoop::new().unwrap();
    let (handle, resolver) = (event_loop.handle(), Scripted::default());
    handle.set_resolver(resolver.clone());
    drop(event_loop);
    handle.set_resolver(resolver.clone());
    let address = SocketAddr::from(([127, 0, 0, 1], 1));
    assert!(failure(&handle.getaddrinfo(("a.example", 1))).is::<ClosedError>());
    assert!(failure(&handle.getnameinfo(address)).is::<ClosedError>());
    assert!(failure(&handle.create_connection(Hooks::new, ("a.example", 1))).is::<ClosedError>());
    assert_eq!(resolver.count(), 0);
}

#[test]
fn r6_a_loop_that_closes_drops_what_its_look_ups_hold() {
    struct Held(#[expect(dead_code, reason = "it counts")] Rc<()>);
    impl Resolver for Held {
        fn look_up_addresses(
            &self,
            event_loop: &dyn AbstractEventLoop,
            _: &AddressQuery,
        ) -> Future<Vec<AddressInfo>> {
            event_loop.create_future()
        }
    }
    let held = Rc::new(());
    let event_loop = EventLoop::new().unwrap();
    event_loop.set_resolver(Held(held.clone()));
    let (in_callback, in_factory) = (held.clone(), held.clone());
    event_loop.getaddrinfo(("a.example", 1)).add_done_callback(move |_| drop(in_callback));
    let factory = move || {
        drop(in_factory);
        Hooks::new()
    };
    drop(event_loop.create_connection(factory, ("b.example", 1)));
    assert_eq!(Rc::strong_count(&held), 4);
    drop(event_loop);
    assert_eq!(Rc::strong_count(&held), 1);
}

#[test]
fn d4_n1_slow_look_ups_are_logged_in_debug_mode() {
    logged::record();
    let (event_loop, resolver) = scripted();
    let take = |time: Duration| {
        let found = event_loop.getaddrinfo(("slow.example", "http"));
        let question = resolver.next();
        event_loop.advance(time);
        question.give(&["127.0.0.1"]);
        event_loop.run_until_complete(&found).unwrap();
        logged::take_at(log::Level::Info)
    };
    assert!(take(SECOND).is_empty());
    event_loop.set_debug(true);
    event_loop.set_slow_callback_duration(Duration::from_millis(100));
    assert!(take(Duration::from_millis(99)).is_empty());
    assert_eq!(take(SECOND), ["looking up \"slow.example:http\" took 1s"]);
    // Those that fail too.
    let hung = event_loop.getaddrinfo(("hung.example", 1));
    event_loop.advance(10 * SECOND);
    assert!(failure(&hung).io_kind().is_some());
    assert_eq!(logged::take_at(log::Level::Info), ["looking up \"hung.example\" took 10s"]);
}

#[test]
fn r8_a_resolver_that_panics_fails_those_who_asked() {
    struct Panics;
    impl Resolver for Panics {
        fn look_up_addresses(
            &self,
            event_loop: &dyn AbstractEventLoop,
            query: &AddressQuery,
        ) -> Future<Vec<AddressInfo>> {
            assert!(query.host == "hung.example", "the resolver is broken");
            event_loop.create_future()
        }
        fn why_late(&self, _: &AddressQuery) -> Option<String> {
            panic!("it cannot say")
        }
    }
    let event_loop = TestLoop::new();
    event_loop.set_resolver(Panics);
    let opening = event_loop.create_connection(Hooks::new, ("a.example", 1));
    event_loop.run_ready_now();
    let exception = failure(&opening);
    assert!(exception.downcast_ref::<PanicError>().is_some(), "{exception:?}");
    let hung = event_loop.getaddrinfo(("hung.example", 1));
    event_loop.advance(10 * SECOND);
    assert_eq!(source(&failure(&hung)), "no answer within 10s");
    assert!(event_loop.getaddrinfo(("127.0.0.1", 1)).result().is_ok()); // the loop goes on
}

#[test]
fn n1_a_resolver_that_gives_up_is_no_cancellation_of_the_caller() {
    let (event_loop, resolver) = scripted();
    let found = event_loop.getaddrinfo(("a.example", 1));
    resolver.next().answer.cancel();
    let exception = event_loop.run_until_complete(&found).unwrap_err();
    assert!(!exception.is_cancelled());
    assert_eq!(source(&exception), "the resolver gave up");
}

#[test]
fn n1_a_resolver_may_ask_another_and_replace_itself() {
    /// Looks everything up under another name, with whom it puts in its place.
    struct Alias(Cell<Option<Scripted>>);
    impl Resolver for Alias {
        fn look_up_addresses(
            &self,
            event_loop: &dyn AbstractEventLoop,
            query: &AddressQuery,
        ) -> Future<Vec<AddressInfo>> {
            if let Some(next) = self.0.take() {
                event_loop.set_resolver(next);
            }
            let mut query = query.clone();
            query.host = "real.example".into();
            event_loop.getaddrinfo(query)
        }
    }
    let (event_loop, resolver) = scripted();
    event_loop.set_resolver(Alias(Cell::new(Some(resolver.clone()))));
    let found = event_loop.getaddrinfo(("alias.example", 5));
    let question = resolver.next();
    assert_eq!(question.query.host, "real.example");
    question.give(&["127.0.0.4"]);
    let found = event_loop.run_until_complete(&found).unwrap();
    assert_eq!(found[0].address.to_string(), "127.0.0.4:5");
}

#[test]
fn n4_whoever_hears_of_an_answer_may_cancel_ask_and_close() {
    let (event_loop, resolver) = scripted();
    let first = event_loop.getaddrinfo(("first.example", 1));
    let second = event_loop.getaddrinfo(("second.example", 1));
    let (handle, victim) = (event_loop.handle(), second.clone());
    let third: Slot<Option<Found>> = Slot::new();
    let place = third.clone();
    first.add_done_callback(move |_| {
        victim.cancel();
        place.set(Some(handle.getaddrinfo(("third.example", 1))));
        handle.stop();
    });
    let questions = [resolver.next(), resolver.next()];
    for question in &questions {
        question.give(&["127.0.0.1"]); // both at once
    }
    event_loop.run_ready_now();
    assert!(first.result().is_ok() && second.done());
    let third = third.take().unwrap();
    resolver.next().give(&["127.0.0.1"]);
    assert!(event_loop.run_until_complete(&third).is_ok());
}

#[test]
fn n1_e10_a_full_executor_is_no_failure_of_names() {
    let event_loop = TestLoop::new();
    let (release, gate) = mpsc::channel::<()>();
    let options = ThreadPoolOptions { max_threads: 1, max_queue: 1, ..Default::default() };
    event_loop.set_default_executor(Arc::new(ThreadPoolExecutor::new(options)));
    let busy = event_loop.run_in_executor(None, move || gate.recv().unwrap());
    let refused = loop {
        let job = event_loop.run_in_executor(None, || ());
        if job.done() {
            break job;
        }
        drop(job);
    };
    assert!(refused.result().is_err());
    let found = event_loop.getaddrinfo(("localhost", 1));
    assert!(event_loop.run_until_complete(&found).is_ok());
    release.send(()).unwrap();
    event_loop.run_until_complete(&busy).unwrap();
    run_until(&event_loop, || event_loop.leftovers().is_empty());
    // Nor is one that takes nothing any more.
    let ended = event_loop.shutdown_default_executor(SECOND);
    event_loop.run_until_complete(&ended).unwrap();
    let opening = event_loop.create_connection(Hooks::new, ("localhost", 1));
    let exception = event_loop.run_until_complete(&opening).err().unwrap();
    let error = ConnectError::of(&exception).unwrap();
    assert!(
        error
            .errors()
            .all(|(_, error): (_, &io::Error)| error.kind() == ErrorKind::ConnectionRefused)
    );
}
