//! Datagrams go out and come in (X-33, X-35, X-38, P-3, P-18, N-34, N-36).

use crate::support::*;
use eventloop::TestLoop;
use tulipa_transports::{
    Address, Bytes, DatagramOptions, DatagramTransportExt, NetworkLoop, ProtocolUnavailable,
    SendRefusal, SendState,
};

#[test]
fn p3_p18_x33_n34_datagrams_come_whole_with_their_sender() {
    let event_loop = TestLoop::new();
    let (server, address, log) = udp(&event_loop, Hooks::echo());
    assert_eq!(log.events(), ["made"], "connection_made comes before the creator returns");
    let (peer, peer_address) = plain();
    for data in [&b"hello"[..], b"x", &[7; 60_000]] {
        peer.send_to(data, address).unwrap();
    }
    run_until(&event_loop, || log.count("data") == 3);
    assert_eq!(log.data(), [b"hello".to_vec(), b"x".to_vec(), vec![7; 60_000]]);
    let mut buffer = vec![0; 65_536];
    for size in [5, 1, 60_000] {
        assert_eq!(peer.recv_from(&mut buffer).unwrap(), (size, address));
    }
    let sent = server.sendto(b"on our own", Some(&ip(peer_address)));
    assert_eq!(sent, SendState::Sent, "at once, since nothing waits");
    assert_eq!(peer.recv_from(&mut buffer).unwrap(), (10, address));
    let stats = server.stats();
    assert_eq!((stats.sent, stats.received, stats.dropped, stats.errors), (4, 3, 0, 0));
    close(&event_loop, &server, &log);
    assert_eq!(log.events(), ["made", "data", "data", "data", "lost"]);
}

#[test]
fn x35_p18_empty_datagrams_are_datagrams() {
    let event_loop = TestLoop::new();
    let (server, address, log) = udp(&event_loop, Hooks::echo());
    let (peer, _) = plain();
    for _ in 0..3 {
        peer.send_to(b"", address).unwrap();
    }
    run_until(&event_loop, || log.count("data") == 3);
    assert_eq!(log.data(), [b"", b"", b""]);
    for _ in 0..3 {
        assert_eq!(peer.recv_from(&mut [0; 8]).unwrap(), (0, address));
    }
    close(&event_loop, &server, &log);
}

#[test]
fn x33_n36_a_fixed_peer_is_the_only_one() {
    let event_loop = TestLoop::new();
    let (peer, peer_address) = plain();
    let options = DatagramOptions::to(peer_address).local_addr(("127.0.0.1", 0));
    let (client, log) = open(&event_loop, Hooks::new(), options);
    let info = client.extra_info();
    assert_eq!(info.peername, Some(ip(peer_address)));
    let address = info.sockname.unwrap().as_ip().unwrap();

    assert_eq!(client.send(b"a"), SendState::Sent);
    assert_eq!(client.sendto(b"b", Some(&ip(peer_address))), SendState::Sent);
    let elsewhere = client.sendto(b"c", Some(&ip(nobody())));
    assert_eq!(elsewhere, SendState::Dropped(SendRefusal::NotThePeer));
    let mut buffer = [0; 8];
    assert_eq!(peer.recv_from(&mut buffer).unwrap(), (1, address));
    assert_eq!(peer.recv_from(&mut buffer).unwrap(), (1, address));

    let (stranger, _) = plain();
    stranger.send_to(b"not for you", address).unwrap();
    peer.send_to(b"for you", address).unwrap();
    run_until(&event_loop, || log.count("data") == 1);
    assert_eq!(log.data(), [b"for you"]);
    assert_eq!(client.stats().dropped, 1);
    close(&event_loop, &client, &log);
}

#[test]
fn n36_what_a_stranger_sent_before_the_peer_was_fixed_is_not_seen() {
    let event_loop = TestLoop::new();
    let (peer, peer_address) = plain();
    let (ours, address) = plain();
    let (stranger, _) = plain();
    stranger.send_to(b"early", address).unwrap();
    ours.connect(peer_address).unwrap();
    peer.send_to(b"for you", address).unwrap();
    let (client, log) = open(&event_loop, Hooks::new(), ours);
    run_until(&event_loop, || log.count("data") == 1);
    assert_eq!(log.data(), [b"for you"]);
    assert_eq!((client.stats().received, client.stats().discarded), (1, 1));
    close(&event_loop, &client, &log);
}

#[test]
fn n36_with_broadcasting_the_remote_address_is_only_where_datagrams_go_to() {
    let event_loop = TestLoop::new();
    let (peer, peer_address) = plain();
    let options = DatagramOptions::to(peer_address).allow_broadcast(true);
    let (client, log) = open(&event_loop, Hooks::new(), options);
    assert!(client.extra_info().socket.unwrap().broadcast().unwrap());
    assert_eq!(client.send(b"a"), SendState::Sent);
    let (_, address) = peer.recv_from(&mut [0; 8]).unwrap();
    let (other, _) = plain();
    other.send_to(b"I heard you", address).unwrap();
    run_until(&event_loop, || log.count("data") == 1);
    assert_eq!(
        client.sendto(b"b", Some(&ip(nobody()))),
        SendState::Dropped(SendRefusal::NotThePeer)
    );
    close(&event_loop, &client, &log);
}

#[test]
fn x33_x37_without_a_fixed_peer_an_address_is_required() {
    let event_loop = TestLoop::new();
    let (server, _, log) = udp(&event_loop, Hooks::new());
    assert_eq!(server.send(b"a"), SendState::Dropped(SendRefusal::AddressRequired));
    let unnamed = server.sendto(b"a", Some(&Address::Unnamed));
    assert_eq!(unnamed.into_result(), Err(SendRefusal::AddressRequired));
    assert_eq!(server.stats().dropped, 2);
    close(&event_loop, &server, &log);
}

#[test]
fn x36_a_closed_endpoint_takes_nothing_and_counts() {
    let event_loop = TestLoop::new();
    let (server, _, log) = udp(&event_loop, Hooks::new());
    let (_peer, peer_address) = plain();
    server.close();
    server.close();
    assert!(server.is_closing() && !server.is_reading());
    let to = ip(peer_address);
    assert_eq!(server.sendto(b"a", Some(&to)), SendState::Dropped(SendRefusal::Closed));
    event_loop.run_ready_now();
    assert!(log.is_lost());
    for _ in 0..10 {
        assert!(!server.sendto(b"a", Some(&to)).is_taken());
    }
    server.abort();
    assert_eq!(server.stats().dropped, 11);
    assert!(server.extra_info().sockname.is_some(), "it stays known");
    assert!(server.extra_info().socket.is_none());
    assert!(server.handle().is_closing());
    assert_eq!(server.get_write_buffer_size(), Bytes(0));
    event_loop.run_until_complete(&server.wait_closed()).unwrap();
}

#[test]
fn x38_one_endpoint_that_is_flooded_does_not_keep_the_others_waiting() {
    let event_loop = TestLoop::new();
    let order: Slot<Vec<&str>> = Slot::new();
    let note = |name: &'static str| {
        let order = order.clone();
        Hooks::new().data(move |_, _, _| order.update(|all| all.push(name)))
    };
    let (busy, busy_address, busy_log) = udp(&event_loop, note("busy"));
    let (quiet, quiet_address, quiet_log) = udp(&event_loop, note("quiet"));
    let (peer, _) = plain();
    let mut sent = 0;
    // What the socket holds; beyond that the system drops.
    for _ in 0..150 {
        peer.send_to(b"flood", busy_address).unwrap();
        sent += 1;
    }
    peer.send_to(b"me too", quiet_address).unwrap();
    run_until(&event_loop, || busy_log.count("data") == sent && quiet_log.count("data") == 1);
    let before = order.get().iter().position(|name| *name == "quiet").unwrap();
    assert!(before <= 64, "it waited for {before} others");
    close(&event_loop, &busy, &busy_log);
    close(&event_loop, &quiet, &quiet_log);
}

#[test]
fn pausing_reading_holds_back_what_comes_and_resuming_delivers_it() {
    let event_loop = TestLoop::new();
    let (server, address, log) = udp(&event_loop, Hooks::new().made(|t| t.pause_reading()));
    let (peer, _) = plain();
    assert!(!server.is_reading());
    peer.send_to(b"a", address).unwrap();
    event_loop.run_ready_now();
    event_loop.run_ready_now();
    assert_eq!(log.count("data"), 0);
    server.pause_reading();
    server.resume_reading();
    server.resume_reading();
    run_until(&event_loop, || log.count("data") == 1);
    close(&event_loop, &server, &log);
}

#[test]
fn p21_a_protocol_can_be_replaced_and_reached() {
    let event_loop = TestLoop::new();
    let (server, address, log) = udp(&event_loop, Hooks::new());
    let (peer, _) = plain();
    let successor = Hooks::echo().taking_over();
    let successor_log = successor.log();
    server.set_protocol(successor);
    peer.send_to(b"a", address).unwrap();
    run_until(&event_loop, || successor_log.count("data") == 1);
    let data = server.with_protocol(|hooks: &mut Hooks, transport| {
        let again = transport.with_protocol(|_: &mut Hooks, _| ());
        assert_eq!(again, Err(ProtocolUnavailable::Running));
        hooks.log().data()
    });
    assert_eq!(data.unwrap(), [b"a"]);
    assert!(server.with_protocol(|_: &mut String, _| ()).is_err());
    close(&event_loop, &server, &successor_log);
    assert_eq!(log.events(), ["made"]);
    assert_eq!(server.with_protocol(|_: &mut Hooks, _| ()), Err(ProtocolUnavailable::Gone));
}

#[test]
fn n34_an_ipv6_endpoint_and_a_name_work_as_well() {
    let event_loop = TestLoop::new();
    let (server, log) = open(&event_loop, Hooks::echo(), ("localhost", 0));
    let address = server.extra_info().sockname.unwrap();
    assert!(address.as_ip().unwrap().ip().is_loopback());
    let (client, client_log) = open(
        &event_loop,
        Hooks::new(),
        DatagramOptions::to(("localhost", address.port().unwrap())),
    );
    // A name may have an address of each family, of which the server has one.
    if client.extra_info().peername == Some(address) {
        client.send(b"hello");
        run_until(&event_loop, || client_log.count("data") == 1);
    }
    close(&event_loop, &client, &client_log);
    close(&event_loop, &server, &log);
    if std::net::UdpSocket::bind("[::1]:0").is_ok() {
        let (six, log) = open(&event_loop, Hooks::echo(), ("::1", 0));
        let to = six.extra_info().sockname.unwrap();
        let (client, client_log) = open(&event_loop, Hooks::new(), DatagramOptions::to(to));
        assert!(client.send(b"six").is_taken());
        run_until(&event_loop, || client_log.data() == [b"six"]);
        close(&event_loop, &client, &client_log);
        close(&event_loop, &six, &log);
    }
}

#[test]
fn n34_endpoints_are_counted_and_listed_by_their_loop() {
    let event_loop = TestLoop::new();
    let (server, address, log) = udp(&event_loop, Hooks::new());
    assert_eq!(event_loop.open_connections(), 1);
    let dump = event_loop.dump();
    assert!(dump.contains(&format!("UDP endpoint {address}")), "{dump}");
    close(&event_loop, &server, &log);
    assert_eq!(event_loop.open_connections(), 0);
}

#[test]
fn x33_segments_are_as_many_calls_in_a_row() {
    let event_loop = TestLoop::new();
    let (server, address, log) = udp(&event_loop, Hooks::new());
    let (client, _, client_log) = udp(&event_loop, Hooks::new());
    let size = |size| std::num::NonZeroUsize::new(size).unwrap();
    let data: Vec<u8> = (0..100_250_u32).map(|index| (index % 251) as u8).collect();
    let to = ip(address);
    assert_eq!(client.send_segments(&data, size(1000), Some(&to)), SendState::Sent);
    run_until(&event_loop, || log.count("data") == 101);
    assert_eq!(log.data().concat(), data);
    assert!(log.data()[..100].iter().all(|datagram| datagram.len() == 1000));
    assert_eq!(client.stats().sent, 101);

    assert_eq!(client.send_segments(b"", size(5), Some(&to)), SendState::Sent, "that is none");
    assert_eq!(client.send_segments(b"one", size(usize::MAX), Some(&to)), SendState::Sent);
    assert_eq!(client.send_segments(&data[..200], size(1), Some(&to)), SendState::Sent);
    run_until(&event_loop, || log.count("data") == 302);
    let refused = client.send_segments(b"abc", size(1), None);
    assert_eq!(refused, SendState::Dropped(SendRefusal::AddressRequired));
    assert_eq!((client.stats().sent, client.stats().dropped), (302, 3));
    close(&event_loop, &client, &client_log);
    assert!(!client.send_segments(b"abc", size(1), Some(&to)).is_taken());
    close(&event_loop, &server, &log);
}

#[test]
fn x33_x34_segments_meet_an_earlier_error_a_full_queue_and_a_receiver_that_cannot_cut() {
    let event_loop = TestLoop::new();
    let two = std::num::NonZeroUsize::new(2).unwrap();
    let gone = nobody();
    let (client, log) = open(&event_loop, Hooks::new(), DatagramOptions::to(gone));
    assert_eq!(client.send(b"anybody?"), SendState::Sent);
    let peer = std::net::UdpSocket::bind(gone).unwrap();
    assert_eq!(client.send_segments(b"aabbc", two, None), SendState::Sent);
    let mut buffer = [0; 8];
    for expected in [2, 2, 1] {
        assert_eq!(peer.recv_from(&mut buffer).unwrap().0, expected);
    }
    event_loop.run_ready_now();
    assert_eq!(log.count("error"), 1);
    close(&event_loop, &client, &log);

    let (ours, theirs) = std::os::unix::net::UnixDatagram::pair().unwrap();
    let (transport, log) = open(&event_loop, Hooks::new(), ours);
    while transport.send_segments(b"aabbc", two, None) == SendState::Sent {}
    let waiting = transport.get_write_buffer_size();
    assert!(waiting >= Bytes(9), "{waiting}");
    theirs.set_nonblocking(true).unwrap();
    let mut seen = Vec::new();
    run_until(&event_loop, || {
        while let Ok(count) = theirs.recv(&mut buffer) {
            seen.extend_from_slice(&buffer[..count]);
        }
        transport.get_write_buffer_size() == Bytes(0)
    });
    assert!(seen.chunks(5).take(3).all(|all| all == b"aabbc"), "in order");
    close(&event_loop, &transport, &log);
}
