//! Multicast and broadcast, through the view of the socket.

use crate::support::*;
use eventloop::TestLoop;
use std::net::{Ipv4Addr, Ipv6Addr};
use tulipa_transports::{DatagramOptions, NetworkLoop};

#[test]
fn n34_members_of_a_group_hear_what_is_sent_to_it() {
    let event_loop = TestLoop::new();
    let (group, here) = (Ipv4Addr::new(239, 77, 7, 7), Ipv4Addr::LOCALHOST);
    let options = DatagramOptions::from((Ipv4Addr::UNSPECIFIED, 0)).reuse_port(true);
    let (first, first_log) = open(&event_loop, Hooks::new(), options);
    let port = first.extra_info().sockname.unwrap().port().unwrap();
    let options = DatagramOptions::from((Ipv4Addr::UNSPECIFIED, port)).reuse_port(true);
    let (second, second_log) = open(&event_loop, Hooks::new(), options);
    for member in [&first, &second] {
        member.extra_info().socket.unwrap().join_multicast_v4(group, here).unwrap();
    }
    let (sender, _, sender_log) = udp(&event_loop, Hooks::new());
    let view = sender.extra_info().socket.unwrap();
    view.set_multicast_interface_v4(here).unwrap();
    view.set_multicast_loop_v4(true).unwrap();
    view.set_multicast_ttl_v4(1).unwrap();
    let to = ip((group, port).into());
    assert!(sender.sendto(b"all of you", Some(&to)).is_taken());
    run_until(&event_loop, || first_log.count("data") == 1 && second_log.count("data") == 1);

    first.extra_info().socket.unwrap().leave_multicast_v4(group, here).unwrap();
    assert!(sender.sendto(b"those who stayed", Some(&to)).is_taken());
    run_until(&event_loop, || second_log.count("data") == 2);
    for (transport, log) in [(&first, &first_log), (&second, &second_log), (&sender, &sender_log)] {
        close(&event_loop, transport, log);
    }
}

#[test]
fn n34_groups_of_ipv6_are_joined_and_left_by_the_number_of_the_interface() {
    let event_loop = TestLoop::new();
    let Ok(endpoint) =
        event_loop.run_until_complete(&event_loop.create_datagram_endpoint(Hooks::new, ("::1", 0)))
    else {
        return; // this machine has no IPv6
    };
    let view = endpoint.extra_info().socket.unwrap();
    let group: Ipv6Addr = "ff01::7777".parse().unwrap();
    let loopback = 1;
    view.join_multicast_v6(group, loopback).unwrap();
    view.set_multicast_interface_v6(loopback).unwrap();
    view.set_multicast_loop_v6(true).unwrap();
    view.set_multicast_hops_v6(1).unwrap();
    view.set_unicast_hops_v6(1).unwrap();
    view.leave_multicast_v6(group, loopback).unwrap();
    endpoint.abort();
    event_loop.run_ready_now();
}

#[test]
fn n37_broadcasting_has_to_be_allowed() {
    let event_loop = TestLoop::new();
    let (transport, _, log) = udp(&event_loop, Hooks::new());
    let everybody = ip((Ipv4Addr::BROADCAST, 9).into());
    assert!(!transport.sendto(b"x", Some(&everybody)).is_taken());
    event_loop.run_ready_now();
    assert_eq!(log.errors()[0].0, std::io::ErrorKind::PermissionDenied);
    assert!(!transport.extra_info().socket.unwrap().broadcast().unwrap());
    transport.extra_info().socket.unwrap().set_broadcast(true).unwrap();
    close(&event_loop, &transport, &log);
}
