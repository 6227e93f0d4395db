//! Errors of the system: told, and not fatal (X-34, P-18, R-3).

use crate::raw::queue_errors;
use crate::support::*;
use eventloop::TestLoop;
use futures::SchedulerExt;
use socket2::{Domain, Protocol, Socket, Type};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use tulipa_transports::{DatagramOperation, DatagramOptions, SendRefusal, SendState};

#[test]
fn p18_x34_n36_a_refused_peer_is_told_and_the_endpoint_lives() {
    let event_loop = TestLoop::new();
    let operations: Slot<Vec<(DatagramOperation, String)>> = Slot::new();
    let seen = operations.clone();
    let hooks = Hooks::new().error(move |_, error| {
        seen.update(|all| all.push((error.operation(), error.to_string())));
    });
    let gone = nobody();
    let (client, log) = open(&event_loop, hooks, DatagramOptions::to(gone));
    assert_eq!(client.send(b"anybody?"), SendState::Sent);
    run_until(&event_loop, || log.count("error") == 1);
    assert_eq!(log.errors(), [(ErrorKind::ConnectionRefused, Some(ip(gone)))]);
    let told = (DatagramOperation::Receive, format!("receiving from {gone} failed"));
    assert_eq!(operations.take(), [told]);

    // Somebody comes, and is heard.
    let peer = UdpSocket::bind(gone).unwrap();
    assert_eq!(client.send(b"now?"), SendState::Sent);
    let (_, address) = peer.recv_from(&mut [0; 8]).unwrap();
    peer.send_to(b"yes", address).unwrap();
    run_until(&event_loop, || log.data() == [b"yes"]);
    assert_eq!(client.stats().errors, 1);
    close(&event_loop, &client, &log);
}

#[test]
fn x34_an_error_of_an_earlier_datagram_does_not_cost_the_next_one() {
    let event_loop = TestLoop::new();
    let gone = nobody();
    let (client, log) = open(&event_loop, Hooks::new(), DatagramOptions::to(gone));
    assert_eq!(client.send(b"anybody?"), SendState::Sent);
    let peer = UdpSocket::bind(gone).unwrap();
    assert_eq!(client.send(b"now?"), SendState::Sent);
    assert_eq!(peer.recv_from(&mut [0; 8]).unwrap().0, 4);
    event_loop.run_ready_now();
    assert_eq!(log.errors(), [(ErrorKind::ConnectionRefused, Some(ip(gone)))]);
    assert_eq!((client.stats().sent, client.stats().dropped), (2, 0));
    close(&event_loop, &client, &log);
}

#[test]
fn x34_too_large_a_datagram_is_lost_and_the_endpoint_lives() {
    let event_loop = TestLoop::new();
    let (server, _, log) = udp(&event_loop, Hooks::new());
    let (peer, peer_address) = plain();
    let to = ip(peer_address);
    let state = server.sendto(&[0; 70_000], Some(&to));
    assert!(matches!(state, SendState::Dropped(SendRefusal::Failed(_))), "{state:?}");
    assert_eq!(log.count("error"), 0, "not from inside the call");
    event_loop.run_ready_now();
    assert_eq!(log.errors().len(), 1);
    assert_eq!(log.errors()[0].1, Some(to.clone()));
    assert_eq!(server.sendto(b"small", Some(&to)), SendState::Sent);
    assert_eq!(peer.recv_from(&mut [0; 8]).unwrap().0, 5);
    assert_eq!((server.stats().sent, server.stats().dropped), (1, 1));
    close(&event_loop, &server, &log);
}

#[test]
fn x34_r4_a_burst_of_failing_sends_is_told_up_to_a_bound_and_counted() {
    let event_loop = TestLoop::new();
    let (server, _, log) = udp(&event_loop, Hooks::new());
    let to = ip("0.0.0.1:0".parse().unwrap()); // port 0 is nobody's
    for _ in 0..10_000 {
        assert!(!server.sendto(b"x", Some(&to)).is_taken());
    }
    event_loop.run_ready_now();
    assert_eq!(log.count("error"), 64);
    assert_eq!((server.stats().errors, server.stats().dropped), (10_000, 10_000));
    server.sendto(b"x", Some(&to));
    server.close(); // what is owed is told before the end
    event_loop.run_ready_now();
    assert_eq!(log.count("error"), 65);
    assert!(log.is_lost());
}

#[test]
fn x34_an_address_of_the_other_family_is_an_error_of_that_datagram() {
    let event_loop = TestLoop::new();
    let (server, _, log) = udp(&event_loop, Hooks::new());
    let six = ip("[::1]:9".parse().unwrap());
    assert!(!server.sendto(b"x", Some(&six)).is_taken());
    event_loop.run_ready_now();
    assert_eq!(log.errors().len(), 1);
    close(&event_loop, &server, &log);
}

#[test]
fn r3_p18_a_queue_of_errors_is_read_and_does_not_keep_the_loop_busy() {
    let event_loop = TestLoop::new();
    let (socket, _) = plain();
    queue_errors(&socket);
    // It is not connected: without the queue no error would come back at all.
    let (server, log) = open(&event_loop, Hooks::new(), socket);
    let gone = [nobody(), nobody(), nobody()];
    for address in gone {
        assert!(server.sendto(b"anybody?", Some(&ip(address))).is_taken());
    }
    run_until(&event_loop, || log.count("error") == gone.len());
    let told: Vec<_> =
        log.errors().into_iter().map(|(kind, address)| (kind, address.unwrap())).collect();
    assert_eq!(told, gone.map(|address| (ErrorKind::ConnectionRefused, ip(address))));
    assert_idle(&event_loop);
    close(&event_loop, &server, &log);
}

#[test]
fn r3_errors_that_come_while_reading_is_paused_do_not_keep_the_loop_busy() {
    let event_loop = TestLoop::new();
    let (socket, _) = plain();
    queue_errors(&socket);
    let (server, log) = open(&event_loop, Hooks::new(), socket);
    server.pause_reading();
    server.sendto(b"anybody?", Some(&ip(nobody())));
    assert_idle(&event_loop);
    server.resume_reading();
    run_until(&event_loop, || log.count("error") == 1);
    assert_idle(&event_loop);
    close(&event_loop, &server, &log);
}

#[test]
fn r3_readiness_that_never_leads_to_anything_is_looked_at_ever_less_often() {
    let event_loop = TestLoop::new();
    let (socket, _) = plain();
    let (_peer, peer_address) = plain();
    socket.connect(peer_address).unwrap();
    let twin = socket.try_clone().unwrap();
    let (server, log) = open(&event_loop, Hooks::new(), socket);
    // Somebody who shares the socket ends it: it is readable for ever, and there is nothing.
    socket2::SockRef::from(&twin).shutdown(std::net::Shutdown::Read).unwrap();
    for _ in 0..20 {
        event_loop.run_ready_now();
    }
    assert_idle(&event_loop);
    server.abort();
    event_loop.run_ready_now();
    assert!(log.is_lost());
}

#[test]
fn r3_readiness_that_came_to_nothing_by_itself_does_not_delay_what_comes_later() {
    let event_loop = TestLoop::new();
    let (socket, address) = plain();
    let twin = socket.try_clone().unwrap();
    let (server, log) = open(&event_loop, Hooks::new(), socket);
    // What is taken before the loop comes to it is as one whose checksum proves bad: there was
    // something, and there is nothing.
    let takes = Hooks::new().data(move |_, _, _| assert_eq!(twin.recv(&mut [0; 8]).unwrap(), 5));
    let (other, other_address, other_log) = udp(&event_loop, takes);
    let (peer, _) = plain();
    for _ in 0..30 {
        peer.send_to(b"take!", other_address).unwrap();
        peer.send_to(b"taken", address).unwrap();
        event_loop.run_ready_now();
    }
    assert_eq!((log.count("data"), other_log.count("data")), (0, 30));
    peer.send_to(b"kept", address).unwrap();
    event_loop.run_ready_now();
    assert_eq!(log.data(), [b"kept"], "it is left alone, though nothing kept it ready");
    close(&event_loop, &server, &log);
    close(&event_loop, &other, &other_log);
}

#[test]
fn x34_p18_an_error_of_sending_is_not_taken_for_that_of_an_earlier_datagram() {
    let event_loop = TestLoop::new();
    let (socket, _) = plain();
    queue_errors(&socket);
    let hooks = Hooks::new();
    let operations: Slot<Vec<DatagramOperation>> = Slot::new();
    let seen = operations.clone();
    let hooks = hooks.error(move |_, error| seen.update(|all| all.push(error.operation())));
    let (server, log) = open(&event_loop, hooks, socket);
    let (gone, nowhere) = (ip(nobody()), ip("127.0.0.1:0".parse().unwrap()));
    assert_eq!(server.sendto(b"anybody?", Some(&gone)), SendState::Sent);
    // The refusal is there when this fails for a reason of its own.
    assert!(!server.sendto(b"x", Some(&nowhere)).is_taken());
    event_loop.run_ready_now();
    assert_eq!(
        log.errors(),
        [(ErrorKind::ConnectionRefused, Some(gone)), (ErrorKind::InvalidInput, Some(nowhere))]
    );
    assert_eq!(operations.take(), [DatagramOperation::Receive, DatagramOperation::Send]);
    close(&event_loop, &server, &log);
}

#[test]
fn r5_p18_who_sends_again_at_every_error_leaves_others_their_turn() {
    let event_loop = TestLoop::new();
    let nowhere = ip("127.0.0.1:0".parse().unwrap());
    let others_ran: Slot<bool> = Slot::new();
    let (to, seen, tries) = (nowhere.clone(), others_ran.clone(), Slot::<usize>::new());
    let hooks = Hooks::new().error(move |transport, _| {
        tries.update(|count| *count += 1);
        assert!(tries.get() < 1_000, "nobody else has had a turn");
        if !seen.get() {
            assert!(!transport.sendto(b"again", Some(&to)).is_taken());
        }
    });
    let (server, _, log) = udp(&event_loop, hooks);
    assert!(!server.sendto(b"once", Some(&nowhere)).is_taken());
    event_loop.call_soon(move || others_ran.set(true));
    event_loop.run_ready_now();
    assert!(log.count("error") > 1);
    close(&event_loop, &server, &log);
}

#[test]
fn x34_p18_what_a_firewall_answers_does_not_cost_the_next_datagram() {
    let event_loop = TestLoop::new();
    let (peer, peer_address) = plain();
    let (client, log) = open(&event_loop, Hooks::new(), DatagramOptions::to(peer_address));
    let ours = client.extra_info().sockname.unwrap().as_ip().unwrap();
    assert_eq!(client.send(b"one"), SendState::Sent);
    if !forge_prohibition(ours, peer_address) {
        eprintln!("not tested: only a privileged program may speak for the network");
        client.abort();
        return event_loop.run_ready_now();
    }
    assert_eq!(client.send(b"two"), SendState::Sent);
    for expected in [b"one", b"two"] {
        let mut buffer = [0; 8];
        let count = peer.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..count], expected);
    }
    event_loop.run_ready_now();
    assert_eq!(log.errors(), [(ErrorKind::HostUnreachable, Some(ip(peer_address)))]);
    assert_eq!((client.stats().sent, client.stats().dropped), (2, 0));
    close(&event_loop, &client, &log);
}

/// Says to `from` that what it sent `to` is prohibited. False if that is not allowed.
fn forge_prohibition(from: SocketAddr, to: SocketAddr) -> bool {
    let Ok(socket) = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4)) else {
        return false;
    };
    let (IpAddr::V4(source), IpAddr::V4(target)) = (from.ip(), to.ip()) else { return false };
    let mut message = vec![3, 10, 0, 0, 0, 0, 0, 0]; // the host is administratively prohibited
    // What was sent: the headers of IP and of UDP.
    message.extend([0x45, 0, 0, 31, 0, 0, 0, 0, 64, 17, 0, 0]);
    message.extend(source.octets().into_iter().chain(target.octets()));
    message.extend([from.port(), to.port(), 11, 0].map(u16::to_be_bytes).concat());
    let words = message.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let sum = words.sum::<u32>();
    let folded = (sum >> 16) + (sum & 0xFFFF);
    let checksum = !((folded >> 16) + (folded & 0xFFFF)) & 0xFFFF;
    message[2..4].copy_from_slice(&(checksum as u16).to_be_bytes());
    socket.send_to(&message, &from.into()).is_ok()
}

/// With nothing due, the loop has nothing to do.
#[track_caller]
fn assert_idle(event_loop: &TestLoop) {
    event_loop.run_ready_now();
    let before = event_loop.stats().callbacks;
    for _ in 0..50 {
        event_loop.run_ready_now();
    }
    assert_eq!(event_loop.stats().callbacks, before, "it is busy with nothing");
}
