//! What the operations do (N-42, N-43, N-45, N-46).

use crate::support::*;
use eventloop::TestLoop;
use eventloop::prelude::*;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::rc::Rc;
use std::time::Duration;
use tulipa_transports::{Address, SockError, SocketLoop};

#[test]
fn n42_n43_what_is_there_is_received_without_a_wait_and_the_socket_stays_the_callers() {
    let event_loop = TestLoop::new();
    let (ours, theirs) = unix_pair();
    (&*theirs).write_all(b"tulip").unwrap();
    let polls = event_loop.stats().io_events;
    assert_eq!(event_loop.run_coroutine(event_loop.sock_recv(&ours, 3)).unwrap(), b"tul");
    assert_eq!(event_loop.run_coroutine(event_loop.sock_recv(&ours, 99)).unwrap(), b"ip");
    assert_eq!(event_loop.stats().io_events, polls, "nothing had to be waited for");
    assert_eq!((Rc::strong_count(&ours), watched(&event_loop)), (1, 0));
    (&*ours).write_all(b"mine").unwrap();
    let mut buffer = [0; 4];
    (&*theirs).read_exact(&mut buffer).unwrap();
    assert_eq!(buffer, *b"mine");
}

#[test]
fn n43_n45_it_waits_for_what_comes_and_nothing_is_the_end() {
    let event_loop = TestLoop::new();
    let (ours, theirs) = unix_pair();
    let task = event_loop.create_task(event_loop.sock_recv(&ours, 99));
    event_loop.run_ready_now();
    assert!(!task.done());
    assert_eq!(watched(&event_loop), 1);
    (&*theirs).write_all(b"tulip").unwrap();
    assert_eq!(event_loop.run_until_complete(&task).unwrap(), b"tulip");
    assert_eq!(watched(&event_loop), 0);

    let task = event_loop.create_task(event_loop.sock_recv(&ours, 99));
    event_loop.run_ready_now();
    theirs.shutdown(Shutdown::Write).unwrap();
    assert_eq!(event_loop.run_until_complete(&task).unwrap(), b"");
    assert_eq!(Rc::strong_count(&ours), 1);
}

#[test]
fn n42_both_directions_of_a_socket_wait_at_the_same_time() {
    let event_loop = TestLoop::new();
    let (ours, mut theirs) = tcp_pair();
    let data = pattern(8 << 20);
    let sending = event_loop.create_task(event_loop.sock_sendall(&ours, data.clone()));
    let receiving = event_loop.create_task(event_loop.sock_recv(&ours, 99));
    event_loop.run_ready_now();
    assert!(!sending.done() && !receiving.done());
    assert_eq!(watched(&event_loop), 1);
    theirs.write_all(b"go on").unwrap();
    run_until(&event_loop, || receiving.done());
    assert!(!sending.done());
    theirs.set_nonblocking(true).unwrap();
    let (mut received, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
    run_until(&event_loop, || {
        while let Ok(count) = theirs.read(&mut buffer) {
            received.extend_from_slice(&buffer[..count]);
        }
        received.len() == data.len()
    });
    let returned = event_loop.run_until_complete(&sending).unwrap();
    assert_eq!(receiving.take().unwrap(), b"go on");
    assert!(returned == data && received == data, "the bytes differ");
}

#[test]
fn n45_buffers_come_back_filled_or_not() {
    let event_loop = TestLoop::new();
    let (ours, theirs) = unix_pair();
    (&*theirs).write_all(b"tulip").unwrap();
    let receiving = event_loop.sock_recv_into(&ours, vec![0; 8]);
    let (count, buffer) = event_loop.run_coroutine(receiving).unwrap();
    assert_eq!((count, &buffer[..]), (5, &b"tulip\0\0\0"[..]));

    let datagrams = (udp(), udp());
    datagrams.1.send_to(b"rose", datagrams.0.local_addr().unwrap()).unwrap();
    let receiving = event_loop.sock_recvfrom_into(&datagrams.0, buffer, Some(3));
    let (count, sender, mut buffer) = event_loop.run_coroutine(receiving).unwrap();
    assert_eq!((count, &buffer[..]), (3, &b"rosip\0\0\0"[..]));
    assert_eq!(sender, Address::Ip(datagrams.1.local_addr().unwrap()));

    // Too much for the buffer: an error, and the buffer is still there (N-45).
    buffer[0] = b'n';
    let mut receiving = event_loop.sock_recvfrom_into(&datagrams.0, buffer, Some(9));
    let task = event_loop.create_task(async move {
        let error = (&mut receiving).await.unwrap_err();
        Ok((error, receiving.into_buffer()))
    });
    let (error, buffer) = event_loop.run_until_complete(&task).unwrap();
    assert_eq!(error.io_kind(), Some(ErrorKind::InvalidInput));
    assert_eq!(SockError::of(&error).unwrap().operation(), "sock_recvfrom_into");
    assert_eq!(buffer.unwrap(), b"nosip\0\0\0");
}

#[test]
fn n45_after_an_error_it_says_how_much_was_handed_over() {
    let event_loop = TestLoop::new();
    let (ours, theirs) = tcp_pair();
    let data = pattern(8 << 20);
    let mut sending = event_loop.sock_sendall(&ours, data);
    let task = event_loop.create_task(async move {
        let error = (&mut sending).await.err();
        let sent = sending.sent();
        Ok((error, sent, sending.into_buffer().map(|data| data.len())))
    });
    event_loop.run_ready_now();
    socket2::SockRef::from(&theirs).set_linger(Some(Duration::ZERO)).unwrap();
    drop(theirs);
    let (error, sent, data) = event_loop.run_until_complete(&task).unwrap();
    let kind = error.unwrap().io_kind().unwrap();
    assert!(matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{kind}");
    assert!(sent > 0 && sent < 8 << 20, "{sent}");
    assert_eq!(data, Some(8 << 20));
    assert_eq!(watched(&event_loop), 0);
}

#[test]
fn n42_datagrams_go_to_addresses_and_tell_where_they_come_from() {
    let event_loop = TestLoop::new();
    let (one, other) = (udp(), udp());
    let receiving = event_loop.create_task(event_loop.sock_recvfrom(&other, 99));
    event_loop.run_ready_now();
    let sending = event_loop.sock_sendto(&one, b"tulip", other.local_addr().unwrap());
    assert_eq!(event_loop.run_coroutine(sending).unwrap(), (5, b"tulip"));
    let (data, sender) = event_loop.run_until_complete(&receiving).unwrap();
    assert_eq!((data, sender), (b"tulip".to_vec(), Address::Ip(one.local_addr().unwrap())));

    // An empty one is one too.
    let sending = event_loop.sock_sendto(&one, b"", other.local_addr().unwrap());
    event_loop.run_coroutine(sending).unwrap();
    let (data, _) = event_loop.run_coroutine(event_loop.sock_recvfrom(&other, 99)).unwrap();
    assert_eq!(data, b"");

    let sending = event_loop.sock_sendto(&one, b"tulip", ("localhost", 9));
    let error = event_loop.run_coroutine(sending).unwrap_err();
    assert_eq!(error.io_kind(), Some(ErrorKind::InvalidInput));
    assert!(error.to_string().contains("localhost:9"), "{error}");
}

#[test]
fn n42_unix_datagrams_have_paths_names_or_nobody_to_come_from() {
    let event_loop = TestLoop::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let named = Rc::new(UnixDatagram::bind(&path).unwrap());
    let unnamed = Rc::new(UnixDatagram::unbound().unwrap());
    for socket in [&named, &unnamed] {
        socket.set_nonblocking(true).unwrap();
    }
    event_loop.run_coroutine(event_loop.sock_sendto(&unnamed, b"a", &*path)).unwrap();
    let (data, sender) = event_loop.run_coroutine(event_loop.sock_recvfrom(&named, 9)).unwrap();
    assert_eq!((data, sender), (b"a".to_vec(), Address::Unnamed));
    let other = Rc::new(UnixDatagram::bind(folder.path().join("other")).unwrap());
    other.set_nonblocking(true).unwrap();
    let target = folder.path().join("other");
    event_loop.run_coroutine(event_loop.sock_sendto(&named, b"b", target)).unwrap();
    let (_, sender) = event_loop.run_coroutine(event_loop.sock_recvfrom(&other, 9)).unwrap();
    assert_eq!(sender, Address::Path(path));
}

#[test]
fn n46_it_connects_and_accepts() {
    let event_loop = TestLoop::new();
    let listener = Rc::new(TcpListener::bind("127.0.0.1:0").unwrap());
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let accepting = event_loop.create_task(event_loop.sock_accept(&listener));
    event_loop.run_ready_now();
    let client = tcp();
    event_loop.run_coroutine(event_loop.sock_connect(&client, address)).unwrap();
    let (accepted, peer) = event_loop.run_until_complete(&accepting).unwrap();
    assert_eq!(peer.as_ip(), client.local_addr().unwrap().as_socket());
    let flags = rustix::fs::fcntl_getfl(&accepted).unwrap();
    assert!(flags.contains(rustix::fs::OFlags::NONBLOCK));
    let flags = rustix::io::fcntl_getfd(&accepted).unwrap();
    assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
    let accepted = Rc::new(TcpStream::from(accepted));
    event_loop.run_coroutine(event_loop.sock_sendall(&client, b"tulip")).unwrap();
    let received = event_loop.run_coroutine(event_loop.sock_recv(&accepted, 9)).unwrap();
    assert_eq!(received, b"tulip");
}

#[test]
fn n46_names_are_looked_up_and_refusals_name_the_address() {
    let event_loop = TestLoop::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let client = tcp();
    event_loop.run_coroutine(event_loop.sock_connect(&client, ("localhost", port))).unwrap();
    assert_eq!(client.peer_addr().unwrap().as_socket().map(|peer| peer.port()), Some(port));
    drop(listener);

    let connecting = event_loop.sock_connect(&tcp(), ("127.0.0.1", port));
    let error = event_loop.run_coroutine(connecting).unwrap_err();
    assert_eq!(error.io_kind(), Some(ErrorKind::ConnectionRefused));
    assert!(error.to_string().contains(&format!("127.0.0.1:{port}")), "{error}");
    assert!(SockError::of(&error).unwrap().raw_os_error().is_some());

    let connecting = event_loop.sock_connect(&tcp(), ("a b", port));
    let error = event_loop.run_coroutine(connecting).unwrap_err();
    assert_eq!(error.io_kind(), Some(ErrorKind::InvalidInput));
}

#[test]
fn n46_a_full_queue_of_a_unix_server_is_not_a_connection() {
    let event_loop = TestLoop::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listener = tcp_free_unix_listener(&path);
    let _first = UnixStream::connect(&path).unwrap();
    let client =
        socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM.nonblocking(), None);
    let client = Rc::new(client.unwrap());
    let task = event_loop.create_task(event_loop.sock_connect(&client, &*path));
    event_loop.advance(Duration::from_secs(5));
    assert!(!task.done());
    let _accepted = listener.accept().unwrap();
    event_loop.advance(Duration::from_secs(1));
    assert!(task.take().is_ok());

    // Given up, nothing is left of it, no timer either.
    let client =
        socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM.nonblocking(), None);
    let task = event_loop.create_task(event_loop.sock_connect(&Rc::new(client.unwrap()), &*path));
    event_loop.run_ready_now();
    task.cancel();
    event_loop.run_ready_now();
    assert!(task.cancelled());
    assert!(event_loop.leftovers().is_empty(), "{:?}", event_loop.leftovers());
}

/// A Unix listener with the shortest queue there is.
fn tcp_free_unix_listener(path: &std::path::Path) -> UnixListener {
    let listener =
        socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    listener.bind(&socket2::SockAddr::unix(path).unwrap()).unwrap();
    listener.listen(0).unwrap();
    std::os::fd::OwnedFd::from(listener).into()
}

#[test]
fn n45_a_large_transfer_lets_the_others_run() {
    let event_loop = TestLoop::new();
    let (ours, mut theirs) = tcp_pair();
    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        theirs.read_to_end(&mut all).map(|_| all)
    });
    let data = pattern(32 << 20);
    let turns = Rc::new(std::cell::Cell::new(0));
    let (counted, handle) = (turns.clone(), event_loop.handle());
    let counting = event_loop.spawn(async move {
        while futures::yield_now().await.is_ok() {
            counted.set(counted.get() + 1);
        }
    });
    let sent = data.clone();
    let sending = event_loop.create_task(async move {
        handle.sock_sendall(&ours, sent).await?;
        Ok(())
    });
    event_loop.run_until_complete(&sending).unwrap();
    counting.cancel();
    event_loop.run_ready_now();
    assert!(turns.get() >= (32 << 20) / (256 << 10) - 1, "only {} turns", turns.get());
    assert!(reader.join().unwrap().unwrap() == data);
}

#[test]
fn n43_operations_that_are_always_ready_do_not_keep_the_others_from_running() {
    let event_loop = TestLoop::new();
    let (one, other) = unix_pair();
    let (handle, stopped) = (event_loop.handle(), Rc::new(std::cell::Cell::new(false)));
    let flag = stopped.clone();
    event_loop.call_soon(move || {
        let flag = flag.clone();
        futures::current().call_soon(move || flag.set(true));
    });
    let task = event_loop.create_task(async move {
        let mut rounds = 0;
        while !stopped.get() {
            handle.sock_sendall(&one, b"x").await?;
            handle.sock_recv(&other, 1).await?;
            rounds += 1;
        }
        Ok(rounds)
    });
    let rounds = event_loop.run_until_complete(&task).unwrap();
    assert!(rounds <= 200, "{rounds}");
}

#[test]
fn n43_operations_that_always_fail_do_not_keep_the_others_from_running() {
    let event_loop = TestLoop::new();
    let no_socket = Rc::new(tempfile::tempfile().unwrap());
    let (ours, _theirs) = unix_pair();
    let (handle, stopped) = (event_loop.handle(), Rc::new(std::cell::Cell::new(false)));
    let busy = event_loop.create_task(event_loop.sock_recv(&ours, 9));
    event_loop.run_ready_now();
    let flag = stopped.clone();
    event_loop.call_soon(move || {
        let flag = flag.clone();
        futures::current().call_soon(move || flag.set(true));
    });
    let task = event_loop.create_task(async move {
        let mut rounds = 0;
        while !stopped.get() && rounds < 10_000 {
            // The one is refused by the system, the other by us.
            assert!(handle.sock_recv(&no_socket, 1).await.is_err());
            assert!(handle.sock_recv(&ours, 1).await.is_err());
            rounds += 1;
        }
        Ok(rounds)
    });
    let rounds = event_loop.run_until_complete(&task).unwrap();
    assert!(rounds <= 200, "{rounds}");
    busy.cancel();
    event_loop.run_ready_now();
}
