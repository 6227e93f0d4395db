//! Cancelling: the registration goes at once, and no other (N-44); nothing is lost.

use crate::support::*;
use eventloop::TestLoop;
use eventloop::prelude::*;
use socket2::{Domain, SockAddr, Socket, Type};
use std::cell::Cell;
use std::future::Future as _;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use tulipa_transports::SocketLoop;

#[test]
fn n44_a_dropped_wait_is_gone_at_once() {
    let event_loop = TestLoop::new();
    let (ours, _theirs) = unix_pair();
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..3 {
        let mut receiving = Box::pin(event_loop.sock_recv(&ours, 9));
        assert!(receiving.as_mut().poll(&mut context).is_pending());
        assert_eq!(watched(&event_loop), 1);
        drop(receiving);
        assert_eq!((watched(&event_loop), Rc::strong_count(&ours)), (0, 1));
    }
}

#[test]
fn n44_a_cancelled_wait_gives_way_to_a_later_operation_in_the_same_turn() {
    let event_loop = TestLoop::new();
    let (ours, theirs) = unix_pair();
    let first = event_loop.create_task(event_loop.sock_recv(&ours, 9));
    event_loop.run_ready_now();
    // The first has not noticed yet that it was cancelled when the second begins.
    first.cancel();
    let mut second = pin!(event_loop.sock_recv(&ours, 9));
    let mut context = Context::from_waker(Waker::noop());
    assert!(second.as_mut().poll(&mut context).is_pending());
    event_loop.run_ready_now();
    assert!(first.cancelled());
    assert_eq!(watched(&event_loop), 1, "the later one's is left alone");
    (&*theirs).write_all(b"tulip").unwrap();
    run_until(&event_loop, || match second.as_mut().poll(&mut context) {
        Poll::Ready(received) => {
            assert_eq!(received.unwrap(), b"tulip");
            true
        }
        Poll::Pending => false,
    });
    assert_eq!(watched(&event_loop), 0);
}

#[test]
fn n44_a_cancelled_wait_gives_way_to_a_callback_in_the_same_turn() {
    let event_loop = TestLoop::new();
    let (ours, theirs) = unix_pair();
    let first = event_loop.create_task(event_loop.sock_recv(&ours, 9));
    event_loop.run_ready_now();
    first.cancel();
    let called = Rc::new(Cell::new(0));
    let (counter, reader) = (called.clone(), ours.clone());
    event_loop
        .add_reader(ours.clone(), move || {
            let mut buffer = [0; 9];
            counter.set((&*reader).read(&mut buffer).unwrap());
        })
        .unwrap();
    event_loop.run_ready_now();
    assert!(first.cancelled());
    (&*theirs).write_all(b"tulip").unwrap();
    run_until(&event_loop, || called.get() == 5);
    assert!(event_loop.remove_reader(&ours).unwrap());
}

#[test]
fn n44_whatever_a_cancelled_operation_waits_for_it_gives_way_in_the_same_turn() {
    let event_loop = TestLoop::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    listener.bind(&SockAddr::unix(&path).unwrap()).unwrap();
    listener.listen(0).unwrap();
    let _first = UnixStream::connect(&path).unwrap();
    // The queue is full: it is tried again and again, by a timer.
    let client = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None).unwrap();
    let client = Rc::new(client);
    let connecting = event_loop.create_task(event_loop.sock_connect(&client, &*path));
    event_loop.run_ready_now();
    connecting.cancel();
    let mut again = pin!(event_loop.sock_connect(&client, &*path));
    let mut context = Context::from_waker(Waker::noop());
    assert!(again.as_mut().poll(&mut context).is_pending());
    event_loop.run_ready_now();
    assert!(connecting.cancelled());
    let second = event_loop.run_coroutine(event_loop.sock_connect(&client, &*path));
    assert_eq!(second.unwrap_err().io_kind(), Some(std::io::ErrorKind::ResourceBusy));
}

#[test]
fn n44_a_cancelled_wait_is_no_callback_that_could_be_removed() {
    let event_loop = TestLoop::new();
    let (ours, _theirs) = unix_pair();
    let first = event_loop.create_task(event_loop.sock_recv(&ours, 9));
    event_loop.run_ready_now();
    first.cancel();
    assert!(!event_loop.remove_reader(&ours).unwrap());
    event_loop.run_ready_now();
    assert!(first.cancelled());
}

#[test]
fn n44_cancelling_one_direction_leaves_the_other() {
    let event_loop = TestLoop::new();
    let (ours, mut theirs) = tcp_pair();
    let sending = event_loop.create_task(event_loop.sock_sendall(&ours, pattern(8 << 20)));
    let receiving = event_loop.create_task(event_loop.sock_recv(&ours, 9));
    event_loop.run_ready_now();
    receiving.cancel();
    // The reading side is taken over while the writing one goes on.
    let again = event_loop.create_task(event_loop.sock_recv(&ours, 9));
    event_loop.run_ready_now();
    assert!(receiving.cancelled() && !again.done() && !sending.done());
    theirs.write_all(b"tulip").unwrap();
    run_until(&event_loop, || again.done());
    assert_eq!(again.take().unwrap(), b"tulip");
    sending.cancel();
    event_loop.run_ready_now();
    assert!(sending.cancelled());
    assert_eq!(watched(&event_loop), 0);
}

#[test]
fn n44_a_wait_that_is_cancelled_when_data_is_there_loses_nothing() {
    let event_loop = TestLoop::new();
    let (ours, theirs) = unix_pair();
    let task = event_loop.create_task(event_loop.sock_recv(&ours, 9));
    event_loop.run_ready_now();
    (&*theirs).write_all(b"tulip").unwrap();
    // In the very iteration in which it becomes ready, before it runs.
    let canceller = task.clone();
    event_loop.call_soon(move || {
        canceller.cancel();
    });
    event_loop.run_ready_now();
    assert!(task.cancelled());
    let received = event_loop.run_coroutine(event_loop.sock_recv(&ours, 9)).unwrap();
    assert_eq!(received, b"tulip");
}

#[test]
fn n44_an_operation_that_was_cancelled_goes_on_where_it_was() {
    let event_loop = TestLoop::new();
    let (ours, mut theirs) = tcp_pair();
    let data = pattern(8 << 20);
    let mut sending = event_loop.sock_sendall(&ours, data.clone());
    let task = event_loop.create_task(async move {
        let first = (&mut sending).await;
        assert!(first.err().is_some_and(|error| error.is_cancelled()));
        let sent = sending.sent();
        assert!(sent > 0 && sent < 8 << 20);
        if let Some(task) = futures::current_task() {
            task.uncancel();
        }
        sending.await
    });
    event_loop.run_ready_now();
    task.cancel();
    event_loop.run_ready_now();
    let received = read_all(&event_loop, &mut theirs, data.len());
    assert!(event_loop.run_until_complete(&task).unwrap() == data && received == data);
}

#[test]
fn n44_a_connect_that_is_called_off_leaves_the_socket_to_the_caller() {
    let event_loop = TestLoop::new();
    // Nobody answers there (TEST-NET-1); without a route the connect fails at once instead.
    let client = tcp();
    let task = event_loop.create_task(event_loop.sock_connect(&client, ("192.0.2.1", 9)));
    event_loop.run_ready_now();
    task.cancel();
    event_loop.run_ready_now();
    assert!(task.done());
    assert_eq!((watched(&event_loop), Rc::strong_count(&client)), (0, 1));
}

#[test]
fn n44_a_closed_loop_ends_no_wait_and_keeps_no_socket() {
    let event_loop = TestLoop::new();
    let (ours, _theirs) = unix_pair();
    let mut context = Context::from_waker(Waker::noop());
    let mut receiving = Box::pin(event_loop.sock_recv(&ours, 9));
    assert!(receiving.as_mut().poll(&mut context).is_pending());
    event_loop.close().unwrap();
    assert!(receiving.as_mut().poll(&mut context).is_pending());
    drop(receiving);
    assert_eq!(Rc::strong_count(&ours), 1);
    for _ in 0..100 {
        let error = match pin!(event_loop.sock_recv(&ours, 9)).poll(&mut context) {
            Poll::Ready(outcome) => outcome.unwrap_err(),
            Poll::Pending => panic!("a closed loop waits for nothing"),
        };
        assert!(error.to_string().contains("sock_recv"), "{error}");
    }
}
