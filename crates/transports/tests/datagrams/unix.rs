//! Unix sockets that carry datagrams (N-37, P-18).

use crate::support::*;
use eventloop::TestLoop;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use tulipa_transports::{Address, DatagramOptions, NetworkLoop, SendRefusal, SendState};

#[test]
fn n37_p18_endpoints_meet_at_paths() {
    let event_loop = TestLoop::new();
    let folder = tempfile::tempdir().unwrap();
    let (at, from) = (folder.path().join("server"), folder.path().join("client"));
    let (server, log) = open(&event_loop, Hooks::echo(), at.clone());
    assert_eq!(server.extra_info().sockname, Some(Address::Path(at.clone())));
    let options = DatagramOptions::from(from.clone()).remote_addr(at.clone());
    let (client, client_log) = open(&event_loop, Hooks::new(), options);
    assert_eq!(client.extra_info().peername, Some(Address::Path(at.clone())));
    for data in [&b"hello"[..], b"", &[1; 100_000]] {
        assert_eq!(client.send(data), SendState::Sent);
    }
    run_until(&event_loop, || client_log.count("data") == 3);
    assert_eq!(client_log.data(), [b"hello".to_vec(), Vec::new(), vec![1; 100_000]]);
    close(&event_loop, &client, &client_log);
    close(&event_loop, &server, &log);
    assert!(!at.exists() && !from.exists(), "their files are gone");
}

#[test]
fn n37_p18_a_sender_without_a_name_cannot_be_answered() {
    let event_loop = TestLoop::new();
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("server");
    let senders: Slot<Vec<Address>> = Slot::new();
    let seen = senders.clone();
    let hooks = Hooks::new().data(move |transport, data, sender| {
        seen.update(|all| all.push(sender.clone()));
        let answer = transport.sendto(data, Some(sender));
        assert_eq!(answer, SendState::Dropped(SendRefusal::AddressRequired));
    });
    let (server, log) = open(&event_loop, hooks, at.clone());
    UnixDatagram::unbound().unwrap().send_to(b"who am I?", &at).unwrap();
    run_until(&event_loop, || log.count("data") == 1);
    assert_eq!(senders.take(), [Address::Unnamed]);
    close(&event_loop, &server, &log);
}

#[test]
fn n37_a_stale_socket_file_is_removed_first_and_nothing_else_is() {
    let event_loop = TestLoop::new();
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("socket");
    drop(UnixDatagram::bind(&at).unwrap());
    assert!(at.exists());
    let (server, log) = open(&event_loop, Hooks::new(), at.clone());
    close(&event_loop, &server, &log);

    fs::write(&at, "precious").unwrap();
    let opening = event_loop.create_datagram_endpoint(Hooks::new, at.clone());
    let exception = event_loop.run_until_complete(&opening).err().unwrap();
    assert_eq!(exception.io_kind(), Some(ErrorKind::AddrInUse));
    assert!(exception.to_string().contains(at.to_str().unwrap()), "{exception}");
    assert_eq!(fs::read(&at).unwrap(), b"precious");
    assert_eq!(event_loop.open_connections(), 0);
}

#[test]
fn n37_the_file_is_removed_at_the_end_unless_it_is_somebody_elses_or_wanted() {
    let event_loop = TestLoop::new();
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("socket");
    let options = DatagramOptions::from(at.clone()).cleanup_socket(false);
    let (server, log) = open(&event_loop, Hooks::new(), options);
    close(&event_loop, &server, &log);
    assert!(at.exists());

    let (server, log) = open(&event_loop, Hooks::new(), at.clone());
    fs::remove_file(&at).unwrap();
    let _other = UnixDatagram::bind(&at).unwrap();
    close(&event_loop, &server, &log);
    assert!(at.exists(), "it is somebody else's by now");

    // A given socket's file stays, unless asked for.
    fs::remove_file(&at).unwrap();
    for (cleanup, stays) in [(false, true), (true, false)] {
        let _ = fs::remove_file(&at);
        let socket = UnixDatagram::bind(&at).unwrap();
        let options = DatagramOptions::from(socket).cleanup_socket(cleanup);
        let (server, log) = open(&event_loop, Hooks::new(), options);
        close(&event_loop, &server, &log);
        assert_eq!(at.exists(), stays);
    }

    // A loop that closes removes it too.
    let _ = fs::remove_file(&at);
    let mut event_loop = TestLoop::new();
    event_loop.allow_leftovers();
    let (_server, _) = open(&event_loop, Hooks::new(), at.clone());
    assert!(at.exists());
    event_loop.close().unwrap();
    assert!(!at.exists());
}

#[test]
fn n37_abstract_names_need_no_file() {
    let event_loop = TestLoop::new();
    let name = format!("\0tulipa-datagrams-{}", std::process::id());
    let wanted = Address::Abstract(name.as_bytes()[1..].to_vec());
    let (server, log) = open(&event_loop, Hooks::echo(), std::path::PathBuf::from(&name));
    assert_eq!(server.extra_info().sockname, Some(wanted.clone()));
    let own = Address::Abstract(format!("{}-client", &name[1..]).into_bytes());
    let options = DatagramOptions::to(wanted).local_addr(own);
    let (client, client_log) = open(&event_loop, Hooks::new(), options);
    client.send(b"hello");
    run_until(&event_loop, || client_log.data() == [b"hello"]);
    close(&event_loop, &client, &client_log);
    close(&event_loop, &server, &log);
}

#[test]
fn n37_p18_a_path_at_which_nobody_is_is_an_error_of_that_datagram() {
    let event_loop = TestLoop::new();
    let folder = tempfile::tempdir().unwrap();
    let (server, log) = open(&event_loop, Hooks::new(), folder.path().join("server"));
    let gone = Address::Path(folder.path().join("nobody"));
    let state = server.sendto(b"x", Some(&gone));
    assert_eq!(state, SendState::Dropped(SendRefusal::Failed(ErrorKind::NotFound)));
    event_loop.run_ready_now();
    assert_eq!(log.errors(), [(ErrorKind::NotFound, Some(gone))]);
    let long = Address::Path("x".repeat(200).into());
    assert!(!server.sendto(b"x", Some(&long)).is_taken(), "longer than a name can be");
    close(&event_loop, &server, &log);

    let options = DatagramOptions::to(folder.path().join("nobody"));
    let opening = event_loop.create_datagram_endpoint(Hooks::new, options);
    let exception = event_loop.run_until_complete(&opening).err().unwrap();
    assert_eq!(exception.io_kind(), Some(ErrorKind::NotFound));
}

#[test]
fn p18_r4_a_datagram_that_is_larger_than_the_buffer_is_never_delivered_cut() {
    let event_loop = TestLoop::new();
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    let buffer = socket2::SockRef::from(&theirs);
    buffer.set_send_buffer_size(4 << 20).unwrap();
    let (server, log) = open(&event_loop, Hooks::new(), ours);
    let large = vec![7; 600_000];
    if theirs.send(&large).is_ok() {
        run_until(&event_loop, || log.count("error") == 1);
        assert_eq!(log.errors()[0].0, ErrorKind::InvalidData);
        assert_eq!(server.stats().discarded, 1);
    }
    // What a program without privileges can send arrives whole.
    theirs.send(&large[..400_000]).unwrap();
    run_until(&event_loop, || log.count("data") == 1);
    assert_eq!(log.data()[0].len(), 400_000);
    close(&event_loop, &server, &log);
}

#[test]
fn n36_when_the_fixed_peer_is_gone_nobody_else_is_heard() {
    let event_loop = TestLoop::new();
    let folder = tempfile::tempdir().unwrap();
    let (at, from) = (folder.path().join("peer"), folder.path().join("client"));
    let peer = UnixDatagram::bind(&at).unwrap();
    let options = DatagramOptions::from(from.clone()).remote_addr(at.clone());
    let (client, log) = open(&event_loop, Hooks::new(), options);
    let stranger = UnixDatagram::unbound().unwrap();
    assert!(stranger.send_to(b"let me in", &from).is_err(), "the system refuses it");
    drop(peer);
    assert_eq!(
        client.send(b"x"),
        SendState::Dropped(SendRefusal::Failed(ErrorKind::ConnectionRefused))
    );
    stranger.send_to(b"let me in", &from).unwrap();
    run_until(&event_loop, || client.stats().discarded == 1);
    assert_eq!((log.count("data"), log.count("error")), (0, 1));
    close(&event_loop, &client, &log);
}
