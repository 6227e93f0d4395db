//! The PROXY protocol around a protocol: trust, deadlines, addresses, and what comes with the header (W-7).

use crate::support::*;
use eventloop::TestLoop;
use proptest::prelude::*;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tulipa_transports::testing::{LifeCycle, MemoryLoop, MemoryOptions, MemoryPair};
use tulipa_transports::wrappers::{ProxyHeader, ProxyProtocol, TrustedProxies, Untrusted};
use tulipa_transports::{Address, Bytes, Factory, Protocol, Transport, TransportExt};

fn client() -> SocketAddr {
    "192.0.2.7:50123".parse().unwrap()
}

fn service() -> SocketAddr {
    "192.0.2.1:443".parse().unwrap()
}

fn header() -> ProxyHeader {
    ProxyHeader::new(client(), service())
}

fn believing() -> ProxyProtocol {
    ProxyProtocol::new(TrustedProxies::none().unix(true)) // memory has no addresses
}

fn pair(event_loop: &TestLoop, protocol: impl Protocol) -> MemoryPair {
    event_loop.memory_pair(Hooks::new(), protocol, MemoryOptions::default())
}

/// A factory of one protocol that says when it is made.
fn once<P: Protocol>(protocol: P) -> (impl FnMut() -> Option<P>, Slot<bool>) {
    let (made, mut protocol) = (Slot::new(), Some(protocol));
    let say: Slot<bool> = made.clone();
    let factory = move || {
        say.set(true);
        protocol.take()
    };
    (factory, made)
}

#[test]
fn w7_the_protocol_begins_when_the_header_is_there_and_learns_the_real_addresses() {
    for line in [header().to_v1(), header().to_v2().unwrap()] {
        let event_loop = TestLoop::new();
        let (received, kept) = (Slot::<Vec<u8>>::new(), Slot::<Option<Rc<dyn Transport>>>::new());
        let (all, keep) = (received.clone(), kept.clone());
        let hooks = Hooks::new()
            .made(move |transport| {
                assert_eq!(transport.extra_info().peername, Some(client().into()));
                assert_eq!(transport.extra_info().sockname, Some(service().into()));
                keep.set(Some(transport.handle()));
            })
            .data(move |transport, data| {
                assert_eq!(transport.extra_info().peername, Some(client().into()));
                all.update(|all| all.extend_from_slice(data));
            });
        let (hooks, log) = hooks.recorded();
        let (factory, made) = once(hooks);
        let pair =
            pair(&event_loop, believing().wrap_factory(factory).build_protocol(&Address::Unnamed));
        pair.left.write(&line[..line.len() - 1]);
        event_loop.run_ready_now();
        assert!(!made.get() && !log.is_made());
        pair.left.write(&[&line[line.len() - 1..], b"tulip"].concat());
        event_loop.advance(Duration::ZERO);
        assert_eq!(received.take(), b"tulip");
        pair.left.close();
        event_loop.run_until_idle();
        log.check_ended();
        // They stay known after the end.
        let handle = kept.take().unwrap();
        assert!(handle.is_closing());
        assert_eq!(handle.extra_info().peername, Some(client().into()));
    }
}

#[test]
fn w7_p9_a_pause_in_connection_made_holds_back_what_came_with_the_header() {
    let event_loop = TestLoop::new();
    let (received, kept) = (Slot::<Vec<u8>>::new(), Slot::<Option<Rc<dyn Transport>>>::new());
    let (all, keep) = (received.clone(), kept.clone());
    let hooks = Hooks::new()
        .made(move |transport| {
            transport.pause_reading();
            keep.set(Some(transport.handle()));
        })
        .data(move |_, data| all.update(|all| all.extend_from_slice(data)));
    let (hooks, log) = hooks.recorded();
    let (factory, _) = once(hooks);
    let pair =
        pair(&event_loop, believing().wrap_factory(factory).build_protocol(&Address::Unnamed));
    pair.left.write(&[&header().to_v1()[..], b"tulip"].concat());
    pair.left.close();
    for _ in 0..10 {
        event_loop.run_ready_now();
    }
    assert!(log.is_made() && received.get().is_empty());
    kept.take().unwrap().resume_reading();
    event_loop.run_until_idle();
    assert_eq!(received.take(), b"tulip");
    log.check_ended();
}

#[test]
fn w7_who_is_not_trusted_is_refused_or_served_as_what_it_is() {
    let event_loop = TestLoop::new();
    let nobody = ProxyProtocol::new("192.0.2.0/24".parse().unwrap());
    let (factory, made) = once(Hooks::new());
    let refused = pair(&event_loop, nobody.wrap_factory(factory).build_protocol(&Address::Unnamed));
    event_loop.run_until_idle();
    assert!(refused.right.is_closing() && !made.get());

    let (received, seen) = (Slot::<Vec<u8>>::new(), Slot::<Option<ProxyHeader>>::new());
    let (all, see) = (received.clone(), seen.clone());
    let mut factory = nobody.untrusted(Untrusted::Serve).wrap(move |header: &ProxyHeader| {
        see.set(Some(header.clone()));
        let all = all.clone();
        Hooks::new()
            .made(|transport| {
                assert_eq!(transport.extra_info().peername, Some(Address::Unnamed));
            })
            .data(move |_, data| all.update(|all| all.extend_from_slice(data)))
    });
    let served = pair(&event_loop, factory());
    served.left.write(&header().to_v1());
    event_loop.advance(Duration::ZERO);
    assert_eq!(received.take(), header().to_v1(), "what looks like a header is data");
    assert_eq!(seen.take(), Some(ProxyHeader::local()));
    served.left.close();
    event_loop.run_until_idle();
}

#[test]
fn w7_a_header_that_is_late_wrong_or_too_long_ends_the_connection() {
    let second = Duration::from_secs(1);
    let patient = believing().deadline(Some(3 * second)).max_size(Bytes(100));
    let long = header().value(ProxyHeader::CUSTOM, [0; 100]).to_v2().unwrap();
    let cases: [(&[u8], Option<Duration>); 5] = [
        (b"", Some(3 * second)),
        (b"PROXY TCP4 192.0", Some(3 * second)),
        (b"GET / HTTP/1.0\r\n\r\n", None),
        (b"PROXY TCP4 here there 1 2\r\n", None),
        (&long, None),
    ];
    for (bytes, takes) in cases {
        let event_loop = TestLoop::new();
        let (factory, made) = once(Hooks::new());
        let pair =
            pair(&event_loop, patient.wrap_factory(factory).build_protocol(&Address::Unnamed));
        let began = event_loop.time();
        pair.left.write(bytes);
        let ended = pair.right.wait_closed();
        event_loop.run_until_complete(&ended).unwrap();
        assert_eq!(
            event_loop.time() - began,
            takes.unwrap_or_default(),
            "{}",
            bytes.escape_ascii()
        );
        assert!(!made.get());
        event_loop.run_until_idle();
    }
}

#[test]
fn w7_the_deadline_ends_with_the_header_or_the_connection() {
    let event_loop = TestLoop::new();
    let (factory, _) = once(Hooks::new());
    let open =
        pair(&event_loop, believing().wrap_factory(factory).build_protocol(&Address::Unnamed));
    open.left.write(&header().to_v1());
    event_loop.run_ready_now();
    event_loop.run_ready_now();
    assert_eq!(event_loop.stats().timers, 0);
    event_loop.advance(Duration::from_secs(60));
    assert!(!open.right.is_closing());
    open.left.close();
    // A look whether somebody listens: it comes and goes, and is no error.
    let (factory, made) = once(Hooks::new());
    let looked =
        pair(&event_loop, believing().wrap_factory(factory).build_protocol(&Address::Unnamed));
    looked.left.write(b"PROXY");
    looked.left.close();
    let began = event_loop.time();
    event_loop.run_until_idle();
    assert!(looked.right.is_closing() && !made.get());
    assert_eq!((event_loop.time() - began, event_loop.stats().timers), (Duration::ZERO, 0));
    // And one that is replaced from outside.
    let replaced =
        pair(&event_loop, believing().wrap_factory(Hooks::new).build_protocol(&Address::Unnamed));
    event_loop.run_ready_now();
    replaced.right.set_protocol(Hooks::new());
    assert_eq!(event_loop.stats().timers, 0);
    replaced.left.close();
    event_loop.run_until_idle();
}

#[test]
fn w7_n27_a_factory_refuses_by_what_the_header_says_and_its_failure_is_reported() {
    let event_loop = TestLoop::new();
    let errors = collect_errors(&event_loop);
    let factory = || {
        believing().wrap(|header: &ProxyHeader| match header.authority() {
            Some("good.example") => Ok(Some(Hooks::echo())),
            Some("bad.example") => Ok(None),
            other => Err(std::io::Error::other(format!("unknown host {other:?}"))),
        })
    };
    let open = |name: &str| {
        let pair = pair(&event_loop, factory()());
        let header = header().value(ProxyHeader::AUTHORITY, name).checksum(true);
        pair.left.write(&header.to_v2().unwrap());
        event_loop.advance(Duration::ZERO);
        let open = !pair.right.is_closing();
        pair.left.close();
        event_loop.run_until_idle();
        open
    };
    assert!(open("good.example") && !open("bad.example"));
    assert!(errors.take().is_empty());
    assert!(!open("other.example"));
    let told: Vec<String> = errors.take().iter().map(|context| context.to_string()).collect();
    assert!(told.len() == 1 && told[0].contains("other.example"), "{told:?}");
}

#[test]
fn w7_r8_a_panic_of_the_protocol_inside_ends_its_connection_only() {
    let event_loop = TestLoop::new();
    let errors = collect_errors(&event_loop);
    let panicking = || Hooks::new().made(|_| panic!("panic in connection_made"));
    let (factory, _) = once(panicking());
    let broken =
        pair(&event_loop, believing().wrap_factory(factory).build_protocol(&Address::Unnamed));
    let (factory, _) = once(Hooks::echo());
    let other =
        pair(&event_loop, believing().wrap_factory(factory).build_protocol(&Address::Unnamed));
    for pair in [&broken, &other] {
        pair.left.write(&header().to_v1());
    }
    event_loop.advance(Duration::ZERO);
    assert!(broken.right.is_closing() && !other.right.is_closing());
    assert_eq!(
        errors.take().iter().map(panic_message).collect::<Vec<_>>(),
        ["panic in connection_made"]
    );
    other.left.close();
    event_loop.run_until_idle();
}

#[test]
fn w7_a_proxy_behind_a_proxy_tells_the_first_client() {
    let event_loop = TestLoop::new();
    let seen: Slot<Option<Address>> = Slot::new();
    let see = seen.clone();
    let inner = ProxyProtocol::new("192.0.2.7".parse().unwrap()).wrap_factory(move || {
        let see = see.clone();
        Hooks::new().made(move |transport| see.set(transport.extra_info().peername))
    });
    let pair = pair(&event_loop, believing().wrap_factory(inner).build_protocol(&Address::Unnamed));
    let first: SocketAddr = "198.51.100.1:1".parse().unwrap();
    let chained = [header().to_v2().unwrap(), ProxyHeader::new(first, client()).to_v1()].concat();
    pair.left.write(&chained);
    event_loop.advance(Duration::ZERO);
    assert_eq!(seen.take(), Some(first.into()));
    pair.left.close();
    event_loop.run_until_idle();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// However header and data are cut, and whatever the wire does, the protocol is told the same.
    #[test]
    fn w7_w16_the_cutting_of_header_and_data_does_not_matter(
        seed in any::<u64>(), cuts in proptest::collection::vec(1usize..40, 1..20), binary in any::<bool>(),
    ) {
        let event_loop = TestLoop::new();
        let received: Slot<Vec<u8>> = Slot::new();
        let all = received.clone();
        let hooks = Hooks::new().data(move |_, data| all.update(|all| all.extend_from_slice(data)));
        let (protocol, log) = LifeCycle::new(hooks);
        let (factory, _) = once(protocol);
        let options = MemoryOptions::default().capacity(Bytes(50)).trouble(seed);
        let proxied = believing().wrap_factory(factory).build_protocol(&Address::Unnamed);
        let pair = event_loop.memory_pair(Hooks::new(), proxied, options);
        let header = if binary { header().to_v2().unwrap() } else { header().to_v1() };
        let data = pattern(300);
        let mut rest = &[&header[..], &data].concat()[..];
        for cut in cuts.iter().cycle() {
            let (now, later) = rest.split_at((*cut).min(rest.len()));
            pair.left.write(now);
            event_loop.run_ready_now();
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        pair.left.close();
        event_loop.run_until_idle();
        prop_assert_eq!(received.take(), data);
        log.check_ended();
    }
}
