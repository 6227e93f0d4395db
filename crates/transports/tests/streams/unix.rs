//! Unix sockets (N-38…N-41).

use crate::support::*;
use eventloop::TestLoop;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;
use tulipa_transports::{Address, NetworkLoop, UnixConnectOptions, UnixServerOptions};

#[test]
fn n38_n39_a_server_and_a_client_meet_at_a_path() {
    let event_loop = TestLoop::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let server = event_loop.create_unix_server(Hooks::echo, path.clone()).result().unwrap();
    assert_eq!(server.addresses(), [Address::Path(path.clone())]);
    let answer: Slot<Vec<u8>> = Slot::new();
    let seen = answer.clone();
    let hooks = Hooks::new()
        .made(|transport| {
            transport.write(b"tulip");
        })
        .data(move |_, data| seen.update(|all| all.extend_from_slice(data)));
    let (protocol, log) = hooks.recorded();
    let opening = event_loop.create_unix_connection(move || protocol, &*path);
    let transport = event_loop.run_until_complete(&opening).unwrap();
    assert_eq!(transport.extra_info().peername, Some(Address::Path(path)));
    assert_eq!(transport.extra_info().sockname, Some(Address::Unnamed));
    run_until(&event_loop, || answer.get() == b"tulip");
    transport.close();
    server.close();
    event_loop.run_until_complete(&server.wait_closed()).unwrap();
    log.check_ended();
}

#[test]
fn n38_only_unix_sockets_are_taken() {
    let event_loop = TestLoop::new();
    let socket = tulipa_transports::StreamSocket::from(tcp_sockets().0);
    let opening = event_loop.create_unix_connection(Hooks::new, socket);
    let exception = event_loop.run_until_complete(&opening).err().unwrap();
    assert_eq!(exception.io_kind(), Some(ErrorKind::InvalidInput));

    let (ours, _theirs) = UnixStream::pair().unwrap();
    let opening = event_loop.create_unix_connection(Hooks::new, ours);
    let transport = event_loop.run_until_complete(&opening).unwrap();
    transport.close();
    event_loop.run_ready_now();

    let opening = event_loop.create_unix_connection(Hooks::new, "/nonexistent/socket");
    let exception = event_loop.run_until_complete(&opening).err().unwrap();
    assert_eq!(exception.io_kind(), Some(ErrorKind::NotFound));
    assert!(exception.to_string().contains("/nonexistent/socket"), "{exception}");
}

#[test]
fn n38_a_full_queue_does_not_count_as_connected_and_is_tried_again() {
    let event_loop = TestLoop::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listener =
        socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    listener.bind(&socket2::SockAddr::unix(&path).unwrap()).unwrap();
    listener.listen(0).unwrap();
    let _first = UnixStream::connect(&path).unwrap();
    let (protocol, log) = Hooks::new().recorded();
    let opening = event_loop.create_unix_connection(move || protocol, &*path);
    event_loop.advance(Duration::from_secs(5));
    assert!(!opening.done() && !log.is_made());
    let _accepted = listener.accept().unwrap();
    event_loop.advance(Duration::from_secs(1));
    let transport = opening.result().unwrap();
    transport.close();
    event_loop.run_ready_now();
    log.check_ended();

    // And given up at the deadline.
    let options = UnixConnectOptions::from(&*path).deadline(Duration::from_secs(3));
    let opening = event_loop.create_unix_connection(Hooks::new, options);
    event_loop.advance(Duration::from_secs(3));
    assert_eq!(opening.exception().unwrap().unwrap().io_kind(), Some(ErrorKind::TimedOut));
}

#[test]
fn n39_a_stale_socket_is_replaced_and_another_file_is_an_error() {
    let event_loop = TestLoop::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let server = event_loop.create_unix_server(Hooks::new, &*path).result().unwrap();
    server.close();
    assert!(!path.exists());

    let file = folder.path().join("file");
    fs::write(&file, "precious").unwrap();
    let failed = event_loop.create_unix_server(Hooks::new, &*file).result();
    let exception = failed.err().unwrap();
    assert_eq!(exception.io_kind(), Some(ErrorKind::AddrInUse));
    assert!(exception.to_string().contains("file"), "{exception}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    event_loop.run_ready_now();
}

#[test]
fn n39_abstract_names_leave_no_file() {
    let event_loop = TestLoop::new();
    let name = format!("\0tulipa-test-{}", std::process::id());
    let server = event_loop.create_unix_server(Hooks::echo, &*name).result().unwrap();
    let expected = Address::Abstract(name.as_bytes()[1..].to_vec());
    assert_eq!(server.addresses(), [expected]);
    let opening = event_loop.create_unix_connection(Hooks::new, name.as_bytes());
    let transport = event_loop.run_until_complete(&opening).unwrap();
    transport.close();
    server.close();
    event_loop.run_until_complete(&server.wait_closed()).unwrap();
}

#[test]
fn n40_the_file_is_removed_at_the_end_if_it_is_still_the_same_one() {
    let event_loop = TestLoop::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let create = |options: UnixServerOptions| {
        event_loop.create_unix_server(Hooks::new, options).result().unwrap()
    };
    create((&*path).into()).close();
    assert!(!path.exists());

    create(UnixServerOptions::from(&*path).cleanup_socket(false)).close();
    assert!(path.exists());

    // Gone already: fine.
    let server = create((&*path).into());
    fs::remove_file(&path).unwrap();
    server.close();

    // Replaced by somebody else's: left alone.
    let server = create((&*path).into());
    fs::rename(&path, folder.path().join("old")).unwrap();
    let _theirs = UnixListener::bind(&path).unwrap();
    server.close();
    assert!(path.exists());
    fs::remove_file(&path).unwrap();

    // With a given socket too.
    create(UnixListener::bind(&path).unwrap().into()).close();
    assert!(!path.exists());
    event_loop.run_ready_now();
}

#[test]
fn n41_clients_have_no_name_and_their_credentials_can_be_asked_for() {
    let event_loop = TestLoop::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let process: Slot<Option<i32>> = Slot::new();
    let seen = process.clone();
    let factory = move || {
        let seen = seen.clone();
        Hooks::new().made(move |transport| {
            let info = transport.extra_info();
            assert_eq!(info.peername, Some(Address::Unnamed));
            seen.set(Some(info.socket.unwrap().peer_credentials().unwrap().process));
        })
    };
    let server = event_loop.create_unix_server(factory, &*path).result().unwrap();
    let _client = UnixStream::connect(&path).unwrap();
    run_until(&event_loop, || process.get().is_some());
    assert_eq!(process.get(), i32::try_from(std::process::id()).ok());
    server.close();
    server.close_clients();
    event_loop.run_until_complete(&server.wait_closed()).unwrap();
}

#[test]
fn n19_n40_a_server_that_cannot_be_made_leaves_no_file() {
    let event_loop = TestLoop::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    event_loop.close().unwrap();
    assert!(event_loop.create_unix_server(Hooks::echo, path.clone()).result().is_err());
    assert!(!path.exists());
}
