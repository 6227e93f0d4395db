//! What is refused (N-42, N-47, N-48).

use crate::support::*;
use eventloop::prelude::*;
use eventloop::{Direction, Interest, Source, SourceKind, Taken, TestLoop};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use tulipa_transports::SocketLoop;

#[test]
fn n47_a_second_operation_of_one_direction_is_refused_and_the_first_goes_on() {
    let event_loop = TestLoop::new();
    let (ours, theirs) = unix_pair();
    let first = event_loop.create_task(event_loop.sock_recv(&ours, 9));
    event_loop.run_ready_now();
    for _ in 0..2 {
        let error = event_loop.run_coroutine(event_loop.sock_recvfrom(&ours, 9)).unwrap_err();
        assert_eq!(error.io_kind(), Some(ErrorKind::ResourceBusy));
        let text = format!("{error:?}");
        assert!(
            text.contains("sock_recvfrom failed") && text.contains("sock_recv waits"),
            "{text}"
        );
    }
    // The other direction is free.
    event_loop.run_coroutine(event_loop.sock_sendall(&ours, b"x")).unwrap();
    (&*theirs).write_all(b"tulip").unwrap();
    assert_eq!(event_loop.run_until_complete(&first).unwrap(), b"tulip");
    (&*theirs).write_all(b"rose").unwrap();
    assert_eq!(event_loop.run_coroutine(event_loop.sock_recv(&ours, 9)).unwrap(), b"rose");
}

#[test]
fn n47_a_refused_operation_can_be_tried_again() {
    let event_loop = TestLoop::new();
    let (ours, theirs) = unix_pair();
    let first = event_loop.create_task(event_loop.sock_recv(&ours, 9));
    event_loop.run_ready_now();
    let mut second = event_loop.sock_recv_into(&ours, [0; 4]);
    let task = event_loop.create_task(async move {
        assert!((&mut second).await.is_err());
        first.cancel();
        second.await
    });
    event_loop.run_ready_now();
    (&*theirs).write_all(b"rose").unwrap();
    assert_eq!(event_loop.run_until_complete(&task).unwrap(), (4, *b"rose"));
}

#[test]
fn n48_a_descriptor_that_a_transport_uses_is_refused_before_anything_is_taken_from_it() {
    let event_loop = TestLoop::new();
    let (ours, theirs) = unix_pair();
    let transport = Rc::new(Owner { socket: ours.clone() });
    let key = event_loop.watch(transport, Interest::NONE).unwrap();
    (&*theirs).write_all(b"for the transport").unwrap();
    let receiving = event_loop.run_coroutine(event_loop.sock_recv(&ours, 99));
    let sending = event_loop.run_coroutine(event_loop.sock_sendall(&ours, b"x"));
    for error in [receiving.unwrap_err(), sending.unwrap_err()] {
        assert_eq!(error.io_kind(), Some(ErrorKind::ResourceBusy));
        assert!(format!("{error:?}").contains("a transport of somebody's"), "{error:?}");
    }
    assert!(event_loop.unwatch(key).is_some(), "the registration is left alone");
    let received = event_loop.run_coroutine(event_loop.sock_recv(&ours, 99)).unwrap();
    assert_eq!(received, b"for the transport");
    assert_eq!((&*theirs).read(&mut [0; 9]).unwrap_err().kind(), ErrorKind::WouldBlock);
}

/// What a transport is to the loop.
struct Owner {
    socket: Rc<UnixStream>,
}

impl Source for Owner {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    fn ready(self: Rc<Self>, _: Direction) -> Taken {
        Taken::Unknown
    }

    fn kind(&self) -> SourceKind {
        SourceKind::Transport
    }

    fn describe(&self) -> String {
        "a transport of somebody's".into()
    }
}

#[test]
fn n47_n48_a_descriptor_with_a_callback_is_refused() {
    let event_loop = TestLoop::new();
    let (ours, theirs) = unix_pair();
    event_loop.add_reader(ours.clone(), || {}).unwrap();
    let error = event_loop.run_coroutine(event_loop.sock_recv(&ours, 9)).unwrap_err();
    assert_eq!(error.io_kind(), Some(ErrorKind::ResourceBusy));
    event_loop.remove_reader(&ours).unwrap();

    // And the reverse.
    let task = event_loop.create_task(event_loop.sock_recv(&ours, 9));
    event_loop.run_ready_now();
    let refused = event_loop.add_reader(ours.clone(), || {}).unwrap_err();
    assert!(refused.to_string().contains("sock_recv"), "{refused}");
    assert!(event_loop.remove_reader(&ours).is_err());
    (&*theirs).write_all(b"tulip").unwrap();
    assert_eq!(event_loop.run_until_complete(&task).unwrap(), b"tulip");
}

#[test]
fn n42_a_blocking_socket_never_blocks_the_loop() {
    let event_loop = TestLoop::new();
    // Receiving and sending do without the flag.
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let ours = Rc::new(ours);
    let task = event_loop.create_task(event_loop.sock_recv(&ours, 9));
    event_loop.run_ready_now();
    theirs.write_all(b"tulip").unwrap();
    assert_eq!(event_loop.run_until_complete(&task).unwrap(), b"tulip");
    let task = event_loop.create_task(event_loop.sock_sendall(&ours, pattern(8 << 20)));
    event_loop.run_ready_now();
    assert!(!task.done());
    task.cancel();
    event_loop.run_ready_now();

    // Accepting and connecting cannot, and are refused.
    let listener = Rc::new(TcpListener::bind("127.0.0.1:0").unwrap());
    let error = event_loop.run_coroutine(event_loop.sock_accept(&listener)).unwrap_err();
    assert_eq!(error.io_kind(), Some(ErrorKind::InvalidInput));
    let blocking = tcp();
    blocking.set_nonblocking(false).unwrap();
    let connecting = event_loop.sock_connect(&blocking, listener.local_addr().unwrap());
    let error = event_loop.run_coroutine(connecting).unwrap_err();
    assert_eq!(error.io_kind(), Some(ErrorKind::InvalidInput));

    // In debug mode all are.
    event_loop.set_debug(true);
    let error = event_loop.run_coroutine(event_loop.sock_recv(&ours, 9)).unwrap_err();
    assert_eq!(error.io_kind(), Some(ErrorKind::InvalidInput));
}

#[test]
fn n42_what_is_no_socket_is_an_error_of_the_system() {
    let event_loop = TestLoop::new();
    let file = Rc::new(tempfile::tempfile().unwrap());
    let error = event_loop.run_coroutine(event_loop.sock_recv(&file, 9)).unwrap_err();
    assert!(error.to_string().contains("sock_recv"), "{error}");
    let client = Rc::new(
        TcpStream::connect(TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap())
            .unwrap(),
    );
    client.set_nonblocking(true).unwrap();
    let error = event_loop.run_coroutine(event_loop.sock_accept(&client)).unwrap_err();
    assert_eq!(error.io_kind(), Some(ErrorKind::InvalidInput));
    assert_eq!(watched(&event_loop), 0);
}
