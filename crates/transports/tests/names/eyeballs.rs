//! Several addresses of one host: which is tried when, who wins, what is left (N-9…N-15).

use crate::scripted::{Always, Scripted};
use crate::support::*;
use eventloop::prelude::*;
use eventloop::{LoopHandle, TestLoop};
use futures::{Exception, Future, staggered_race};
use socket2::{Domain, SockAddr, Socket, Type};
use std::cell::Cell;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;
use tulipa_transports::{
    ConnectError, ConnectOptions, Family, NetworkLoop, ResolverLoop, Transport,
};

const MS: Duration = Duration::from_millis(1);

/// What happens to those who connect to an address.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Accepted,
    Refused,
    /// They wait for ever: the queue is full.
    Ignored,
}

use Fate::{Accepted, Ignored, Refused};

/// A host with one port at several addresses, in the resolver's order.
struct Host {
    addresses: Vec<SocketAddr>,
    sockets: Vec<Socket>,
}

impl Host {
    /// Addresses 127.0.0.1 and on, with these fates.
    fn new(fates: &[Fate]) -> Self {
        let v4 = |index| IpAddr::from([127, 0, 0, 1 + index as u8]);
        Self::at(&fates.iter().enumerate().map(|(i, fate)| (v4(i), *fate)).collect::<Vec<_>>())
    }

    fn at(fates: &[(IpAddr, Fate)]) -> Self {
        loop {
            // The port that one address has may be taken at the next.
            let mut host = Self { addresses: Vec::new(), sockets: Vec::new() };
            if fates.iter().all(|(ip, fate)| host.add(*ip, *fate).is_ok()) {
                return host;
            }
        }
    }

    fn add(&mut self, ip: IpAddr, fate: Fate) -> std::io::Result<()> {
        let port = self.addresses.first().map_or(0, SocketAddr::port);
        let socket = Socket::new(Domain::for_address(SocketAddr::new(ip, 0)), Type::STREAM, None)?;
        if ip.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.bind(&SocketAddr::new(ip, port).into())?;
        let address = socket.local_addr()?;
        self.addresses.push(address.as_socket().unwrap());
        match fate {
            Refused => {} // bound, so that nobody else listens there
            Accepted => socket.listen(8)?,
            Ignored => {
                socket.listen(0)?;
                self.sockets.extend((0..4).map(|_| fill(&address)));
            }
        }
        self.sockets.push(socket);
        Ok(())
    }

    fn port(&self) -> u16 {
        self.addresses[0].port()
    }

    /// On a loop whose resolver knows it, and no other.
    fn known(&self) -> TestLoop {
        let event_loop = TestLoop::new();
        event_loop.set_resolver(Always(self.addresses.clone()));
        event_loop
    }

    fn options(&self) -> ConnectOptions {
        ConnectOptions::from(("host.example", self.port()))
    }
}

/// Takes a place in a listener's queue.
fn fill(address: &SockAddr) -> Socket {
    let socket = Socket::new(address.domain(), Type::STREAM, None).unwrap();
    socket.set_nonblocking(true).unwrap();
    let _ = socket.connect(address); // in progress, or in the queue
    socket
}

fn connected_to(event_loop: &TestLoop, opening: &Future<Rc<dyn Transport>>) -> SocketAddr {
    run_until(event_loop, || opening.done());
    let transport = opening.result().unwrap();
    let peer = transport.extra_info().peername.unwrap().as_ip().unwrap();
    transport.abort();
    event_loop.run_ready_now();
    peer
}

fn has_ipv6() -> bool {
    std::net::TcpListener::bind("[::1]:0").is_ok()
}

#[test]
fn n14_n15_the_next_address_is_tried_after_a_quarter_of_a_second() {
    let host = Host::new(&[Ignored, Accepted]);
    let event_loop = host.known();
    let alone = Rc::new(Cell::new(None));
    let (seen, inside) = (alone.clone(), event_loop.handle());
    let factory = move || {
        seen.set(Some(inside.open_connections()));
        Hooks::new()
    };
    let opening = event_loop.create_connection(factory, host.options());
    event_loop.advance(249 * MS);
    assert_eq!(event_loop.open_connections(), 1);
    assert!(!opening.done());
    event_loop.advance(MS);
    assert_eq!(connected_to(&event_loop, &opening), host.addresses[1]);
    assert_eq!(alone.get(), Some(1)); // the loser was closed before the factory was called
    assert_eq!(event_loop.open_connections(), 0);
}

#[test]
fn n14_the_next_address_is_tried_at_once_when_one_fails() {
    let host = Host::new(&[Refused, Refused, Accepted]);
    let event_loop = host.known();
    let opening = event_loop.create_connection(Hooks::new, host.options());
    // No time passes.
    assert_eq!(connected_to(&event_loop, &opening), host.addresses[2]);
    assert_eq!(event_loop.next_deadline(), None);
}

#[test]
fn n14_the_pause_begins_anew_with_each_attempt() {
    let host = Host::new(&[Ignored, Refused, Ignored, Accepted]);
    let event_loop = host.known();
    let opening = event_loop.create_connection(Hooks::new, host.options());
    event_loop.advance(250 * MS);
    // The second was refused, and the third is under way since.
    run_until(&event_loop, || event_loop.open_connections() == 2);
    event_loop.advance(249 * MS);
    assert_eq!(event_loop.open_connections(), 2);
    event_loop.advance(MS);
    assert_eq!(connected_to(&event_loop, &opening), host.addresses[3]);
}

#[test]
fn n14_the_delay_can_be_set_and_is_never_nothing() {
    let host = Host::new(&[Ignored, Accepted]);
    let event_loop = host.known();
    for (delay, counts_as) in [(500 * MS, 500), (Duration::ZERO, 10)] {
        let options = host.options().happy_eyeballs_delay(delay);
        let opening = event_loop.create_connection(Hooks::new, options);
        event_loop.advance((counts_as - 1) * MS);
        assert_eq!(event_loop.open_connections(), 1);
        event_loop.advance(MS);
        assert_eq!(connected_to(&event_loop, &opening), host.addresses[1]);
    }
}

#[test]
fn n14_without_a_delay_the_next_waits_for_the_failure_of_the_one_before() {
    let host = Host::new(&[Refused, Ignored, Accepted]);
    let event_loop = host.known();
    let options = host.options().happy_eyeballs_delay(None).deadline(30_000 * MS);
    let opening = event_loop.create_connection(Hooks::new, options);
    run_until(&event_loop, || event_loop.open_connections() == 1);
    event_loop.advance(30_000 * MS);
    let exception = opening.exception().unwrap().unwrap();
    let text = exception.to_string();
    assert!(text.ends_with("(no answer); there was no time for one more address"), "{text}");
    let error = ConnectError::of(&exception).unwrap();
    let kinds: Vec<ErrorKind> = error.errors().map(|(_, error)| error.kind()).collect();
    assert_eq!(kinds, [ErrorKind::ConnectionRefused, ErrorKind::TimedOut]);
}

#[test]
fn n10_n14_the_error_has_every_address_in_the_order_in_which_they_were_tried() {
    if !has_ipv6() {
        return;
    }
    let v4 = |last| IpAddr::from([127, 0, 0, last]);
    let v6: IpAddr = "::1".parse().unwrap();
    let host = Host::at(&[(v4(1), Refused), (v4(2), Refused), (v4(3), Refused), (v6, Refused)]);
    let event_loop = host.known();
    let tried = |options: ConnectOptions| -> Vec<IpAddr> {
        let opening = event_loop.create_connection(Hooks::new, options);
        run_until(&event_loop, || opening.done());
        let exception = opening.exception().unwrap().unwrap();
        assert_eq!(exception.io_kind(), Some(ErrorKind::ConnectionRefused));
        let error = ConnectError::of(&exception).unwrap();
        for (address, _) in error.errors() {
            assert!(exception.to_string().contains(&address.to_string()), "{exception}");
        }
        error.errors().map(|(address, _)| address.as_ip().unwrap().ip()).collect()
    };
    assert_eq!(tried(host.options()), [v4(1), v6, v4(2), v4(3)]);
    assert_eq!(tried(host.options().interleave(0)), [v4(1), v4(2), v4(3), v6]);
    assert_eq!(tried(host.options().interleave(2)), [v4(1), v4(2), v6, v4(3)]);
    assert_eq!(tried(host.options().happy_eyeballs_delay(None)), [v4(1), v4(2), v4(3), v6]);
    let both = host.options().happy_eyeballs_delay(None).interleave(1);
    assert_eq!(tried(both), [v4(1), v6, v4(2), v4(3)]);
    assert_eq!(tried(host.options().family(Family::V6)), [v6]);
}

#[test]
fn n10_n14_the_deadline_is_over_all_attempts_and_names_those_without_an_answer() {
    let host = Host::new(&[Ignored, Refused, Ignored]);
    let event_loop = host.known();
    let options = host.options().deadline(1_000 * MS);
    let opening = event_loop.create_connection(Hooks::new, options);
    event_loop.advance(250 * MS);
    run_until(&event_loop, || event_loop.open_connections() == 2);
    event_loop.advance(749 * MS);
    assert!(!opening.done());
    event_loop.advance(MS);
    let exception = opening.exception().unwrap().unwrap();
    assert_eq!(exception.io_kind(), Some(ErrorKind::TimedOut));
    let error = ConnectError::of(&exception).unwrap();
    let told: Vec<_> =
        error.errors().map(|(address, error)| (address.as_ip().unwrap(), error.kind())).collect();
    assert_eq!(
        told,
        [
            (host.addresses[0], ErrorKind::TimedOut),
            (host.addresses[1], ErrorKind::ConnectionRefused),
            (host.addresses[2], ErrorKind::TimedOut),
        ]
    );
    assert_eq!(event_loop.open_connections(), 0);
    assert!(event_loop.leftovers().is_empty());
}

#[test]
fn n10_n13_an_ipv6_host_is_told_once_and_as_addresses_are_written() {
    if !has_ipv6() {
        return;
    }
    let host = Host::at(&[("::1".parse().unwrap(), Refused)]);
    let event_loop = host.known();
    let opening = event_loop.create_connection(Hooks::new, ("::1", host.port()));
    run_until(&event_loop, || opening.done());
    let exception = opening.exception().unwrap().unwrap();
    assert_eq!(exception.to_string(), format!("cannot connect to [::1]:{}", host.port()));
}

#[test]
fn n5_an_address_that_the_resolver_gives_twice_is_tried_once_in_its_order() {
    let host = Host::new(&[Refused, Refused, Refused]);
    let event_loop = TestLoop::new();
    let [a, b, c] = host.addresses[..] else { unreachable!("it has three") };
    event_loop.set_resolver(Always(vec![c, a, c, b, a]));
    let opening = event_loop.create_connection(Hooks::new, host.options());
    run_until(&event_loop, || opening.done());
    let exception = opening.exception().unwrap().unwrap();
    let errors = ConnectError::of(&exception).unwrap().errors();
    let tried: Vec<_> = errors.map(|(address, _)| address.as_ip().unwrap()).collect();
    assert_eq!(tried, [c, a, b]);
}

#[test]
fn n13_an_address_of_another_family_than_the_wanted_one_is_refused() {
    let host = Host::new(&[Accepted]);
    let event_loop = host.known();
    let by_name = ConnectOptions::from(("127.0.0.1", host.port())).family(Family::V6);
    let by_address = ConnectOptions::from(host.addresses[0]).family(Family::V6);
    for options in [by_name, by_address] {
        let opening = event_loop.create_connection(Hooks::new, options);
        run_until(&event_loop, || opening.done());
        let exception = opening.exception().unwrap().expect("it is IPv4");
        assert_eq!(exception.io_kind(), Some(ErrorKind::NotFound));
        assert!(exception.to_string().contains("127.0.0.1"), "{exception}");
    }
    assert!(event_loop.leftovers().is_empty());
}

#[test]
fn n12_n14_a_connection_that_came_by_the_deadline_is_not_called_off_by_it() {
    let host = Host::new(&[Accepted]);
    let event_loop = host.known();
    let options = ConnectOptions::from(host.addresses[0]).deadline(MS);
    let opening = event_loop.create_connection(Hooks::new, options);
    // The connection is there, and the deadline is over: the loop finds both in one turn.
    event_loop.clock().set(event_loop.time() + MS);
    assert_eq!(connected_to(&event_loop, &opening), host.addresses[0]);
    assert!(event_loop.leftovers().is_empty());
}

#[test]
fn n12_n15_cancelling_ends_every_attempt() {
    let host = Host::new(&[Ignored; 4]);
    let event_loop = host.known();
    let opening =
        event_loop.create_connection(|| -> Hooks { panic!("not wanted") }, host.options());
    for attempts in 1..=3 {
        event_loop.advance(if attempts == 1 { Duration::ZERO } else { 250 * MS });
        assert_eq!(event_loop.open_connections(), attempts);
    }
    opening.cancel();
    event_loop.run_ready_now();
    assert_eq!(event_loop.open_connections(), 0);
    assert!(event_loop.leftovers().is_empty());
    event_loop.advance(60_000 * MS); // nothing begins any more
}

#[test]
fn n12_n15_a_factory_that_refuses_panics_or_cancels_leaves_nothing() {
    let host = Host::new(&[Ignored, Accepted, Accepted]);
    let event_loop = host.known();
    let opening = event_loop.create_connection(|| -> Hooks { panic!("expected") }, host.options());
    event_loop.advance(250 * MS);
    run_until(&event_loop, || opening.done());
    assert!(opening.exception().unwrap().unwrap().panicked().is_some());

    let refuses = || -> Result<Hooks, Exception> { Err(Exception::msg("not today")) };
    let opening = event_loop.create_connection(refuses, host.options());
    event_loop.advance(250 * MS);
    run_until(&event_loop, || opening.done());
    assert_eq!(opening.exception().unwrap().unwrap().to_string(), "not today");

    let itself: Slot<Option<Future<Rc<dyn Transport>>>> = Slot::new();
    let inside = itself.clone();
    let cancels = move || {
        assert!(inside.take().unwrap().cancel());
        Hooks::new().made(|_| panic!("it was cancelled"))
    };
    let opening = event_loop.create_connection(cancels, host.options());
    itself.set(Some(opening.clone()));
    event_loop.advance(250 * MS);
    run_until(&event_loop, || opening.done());
    event_loop.run_ready_now();
    // No other address is tried in its place.
    assert_eq!(event_loop.open_connections(), 0);
    assert!(event_loop.leftovers().is_empty());
}

#[test]
fn n9_n14_addresses_of_another_family_than_the_local_one_are_passed_over_at_once() {
    if !has_ipv6() {
        return;
    }
    let v6: IpAddr = "::1".parse().unwrap();
    let host = Host::at(&[(v6, Ignored), (IpAddr::from([127, 0, 0, 1]), Accepted)]);
    let event_loop = host.known();
    let options = host.options().local_addr("127.0.0.5:0".parse().unwrap());
    let opening = event_loop.create_connection(Hooks::new, options);
    assert_eq!(connected_to(&event_loop, &opening), host.addresses[1]);
    // Alone it is the error.
    let options = host.options().family(Family::V6).local_addr("127.0.0.5:0".parse().unwrap());
    let opening = event_loop.create_connection(Hooks::new, options);
    run_until(&event_loop, || opening.done());
    let text = format!("{:?}", opening.exception().unwrap().unwrap());
    assert!(text.contains("no matching local address: 127.0.0.5:0"), "{text}");
}

#[test]
fn n14_families_take_turns_beginning_with_the_resolvers_first() {
    if !has_ipv6() {
        return;
    }
    let v4 = |last| IpAddr::from([127, 0, 0, last]);
    let v6: IpAddr = "::1".parse().unwrap();
    let host = Host::at(&[(v4(1), Ignored), (v4(2), Ignored), (v4(3), Accepted), (v6, Accepted)]);
    let event_loop = host.known();
    let opening = event_loop.create_connection(Hooks::new, host.options());
    event_loop.advance(250 * MS);
    assert_eq!(connected_to(&event_loop, &opening), host.addresses[3]);
}

#[test]
fn n9_n14_from_one_port_addresses_are_tried_one_after_the_other() {
    let port = std::net::TcpListener::bind("127.0.0.5:0").unwrap().local_addr().unwrap();
    let host = Host::new(&[Refused, Accepted]);
    let event_loop = host.known();
    let opening = event_loop.create_connection(Hooks::new, host.options().local_addr(port));
    assert_eq!(connected_to(&event_loop, &opening), host.addresses[1]);

    let port = std::net::TcpListener::bind("127.0.0.6:0").unwrap().local_addr().unwrap();
    let host = Host::new(&[Ignored, Accepted]);
    let event_loop = host.known();
    let opening = event_loop.create_connection(Hooks::new, host.options().local_addr(port));
    event_loop.advance(29_000 * MS);
    assert_eq!(event_loop.open_connections(), 1);
    event_loop.advance(1_000 * MS);
    let text = opening.exception().unwrap().unwrap().to_string();
    assert!(text.ends_with("there was no time for one more address"), "{text}");
}

#[test]
fn n14_one_address_has_no_other_timer_than_the_deadline() {
    let host = Host::new(&[Ignored]);
    let event_loop = host.known();
    let opening = event_loop.create_connection(Hooks::new, host.options());
    event_loop.run_ready_now();
    let deadline = event_loop.next_deadline().unwrap() - event_loop.time();
    assert_eq!(deadline, Duration::from_secs(30));
    opening.cancel();
    event_loop.run_ready_now();
}

#[test]
fn r5_thousands_of_addresses_that_fail_at_once_leave_others_their_turn() {
    let (event_loop, turns) = (TestLoop::new(), Rc::new(Cell::new(0)));
    // Of the family that the local address is not of.
    let addresses = (1..=4_000u16).map(|n| SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, n], 1)));
    event_loop.set_resolver(Always(addresses.collect()));
    let options =
        ConnectOptions::from(("many.example", 1)).local_addr("127.0.0.1:0".parse().unwrap());
    let opening = event_loop.create_connection(Hooks::new, options.happy_eyeballs_delay(None));
    fn tick(event_loop: &LoopHandle, turns: &Rc<Cell<u32>>, opening: &Future<Rc<dyn Transport>>) {
        if !opening.done() {
            turns.set(turns.get() + 1);
            let (handle, turns, opening) = (event_loop.clone(), turns.clone(), opening.clone());
            event_loop.call_soon(move || tick(&handle, &turns, &opening));
        }
    }
    tick(&event_loop.handle(), &turns, &opening);
    run_until(&event_loop, || opening.done());
    assert!(turns.get() >= 250, "{}", turns.get());
    let exception = opening.exception().unwrap().unwrap();
    assert_eq!(ConnectError::of(&exception).unwrap().errors().count(), 4_000);
    assert!(exception.to_string().ends_with("and 3992 more"), "{exception}");
}

#[test]
fn n14_t88_a_race_of_connections_can_be_run_by_hand() {
    let host = Host::new(&[Ignored, Refused, Ignored, Accepted]);
    let event_loop = TestLoop::new();
    let (addresses, handle) = (host.addresses.clone(), event_loop.handle());
    let race = event_loop.spawn(async move {
        let attempts = addresses.iter().map(|address| {
            let handle = handle.clone();
            async move || handle.create_connection(Hooks::new, *address).await
        });
        let race = staggered_race(attempts, 250 * MS).await?;
        futures::yield_now().await?; // those that were cancelled have heard of it then
        assert_eq!(handle.open_connections(), 1);
        Ok::<_, Exception>(race)
    });
    while !race.done() {
        event_loop.advance(50 * MS);
    }
    let race = event_loop.run_until_complete(&race).unwrap().unwrap();
    let (index, transport) = race.winner.unwrap();
    assert_eq!(index, 3);
    assert_eq!(transport.extra_info().peername.unwrap().as_ip(), Some(host.addresses[3]));
    let lost: Vec<bool> = race
        .exceptions
        .iter()
        .map(|e| e.as_ref().is_some_and(|exception| exception.is_cancelled()))
        .collect();
    assert_eq!(lost, [true, false, true, false]);
    transport.abort();
    event_loop.run_ready_now();
}

#[test]
fn n14_the_look_up_and_the_race_are_of_one_call() {
    let host = Host::new(&[Ignored, Accepted]);
    let (event_loop, resolver) = (TestLoop::new(), Scripted::default());
    event_loop.set_resolver(resolver.clone());
    let opening = event_loop.create_connection(Hooks::new, host.options());
    event_loop.advance(5_000 * MS);
    assert_eq!(event_loop.open_connections(), 0);
    resolver.next().give(&["127.0.0.1", "127.0.0.2", "127.0.0.1"]);
    event_loop.run_ready_now();
    event_loop.advance(250 * MS);
    assert_eq!(connected_to(&event_loop, &opening), host.addresses[1]);
    // Closing the loop in the middle of it drops everything.
    let opening = event_loop.create_connection(Hooks::new, host.options());
    resolver.next().give(&["127.0.0.1", "127.0.0.2"]);
    event_loop.run_ready_now();
    assert_eq!(event_loop.open_connections(), 1);
    let mut event_loop = event_loop;
    event_loop.allow_leftovers();
    drop(event_loop);
    assert!(!opening.done());
}
