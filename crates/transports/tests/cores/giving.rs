//! Connections that change their loop.

use crate::support::*;
use eventloop::{EventLoop, TestLoop};
use futures::Exception;
use std::cell::{OnceCell, RefCell};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use tulipa_transports::prelude::*;
use tulipa_transports::{Accepting, Intake, StreamSocket};

struct Echo;
impl Protocol for Echo {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
        transport.write(data);
    }
}

/// A loop in a thread of its own, with a server that serves what it is given.
fn elsewhere() -> (Intake, eventloop::ThreadsafeHandle, thread::JoinHandle<usize>) {
    let (tell, told) = mpsc::channel();
    let thread = thread::spawn(move || {
        let event_loop = EventLoop::new().unwrap();
        let server = event_loop.create_server(|| Echo, ("127.0.0.1", 0)).result().unwrap();
        tell.send((server.intake(), event_loop.threadsafe_handle())).unwrap();
        event_loop.run_forever().unwrap();
        server.connection_count()
    });
    let (intake, stopper) = told.recv().unwrap();
    (intake, stopper, thread)
}

#[test]
fn n32_a_connection_is_accepted_here_and_served_there() {
    let _alone = Alone::begin();
    let (intake, stopper, thread) = elsewhere();
    let event_loop = EventLoop::new().unwrap();
    let (given, stop) = (intake.clone(), event_loop.handle());
    let acceptor = event_loop.create_acceptor(
        move |socket| {
            assert!(socket.peer_addr().unwrap().as_ip().is_some());
            given.give(socket).unwrap();
            stop.stop();
        },
        ("127.0.0.1", 0),
    );
    let acceptor = acceptor.result().unwrap();
    let mut client = TcpStream::connect(acceptor.addresses()[0].as_ip().unwrap()).unwrap();
    event_loop.run_forever().unwrap();
    client.write_all(b"tulip").unwrap();
    let mut answer = [0; 5];
    client.read_exact(&mut answer).unwrap();
    assert_eq!((&answer, intake.load()), (b"tulip", 1));
    assert_eq!((acceptor.connection_count(), acceptor.stats().accepted), (0, 1));
    stopper.stop();
    assert_eq!(thread.join().unwrap(), 1);
}

/// Notes how many connections the way in counts, whenever it has the chance to.
struct Counting(Rc<OnceCell<Intake>>, Rc<RefCell<Vec<usize>>>);

impl Counting {
    fn note(&self) {
        self.1.borrow_mut().push(self.0.get().unwrap().load());
    }
}

impl Protocol for Counting {
    fn connection_made(&mut self, _: &dyn Transport) {
        self.note();
    }
    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) {}
    fn connection_lost(&mut self, _: &dyn Transport, _: Option<Exception>) {
        self.note();
    }
}

#[test]
fn r5_a_connection_counts_once_at_every_moment_of_its_arrival() {
    let event_loop = TestLoop::new();
    let (way_in, counts) = (Rc::new(OnceCell::new()), Rc::default());
    let made = Counting(way_in.clone(), Rc::clone(&counts));
    let factory = move || {
        made.note();
        Counting(made.0.clone(), made.1.clone())
    };
    let server = event_loop.create_server(factory, ("127.0.0.1", 0)).result().unwrap();
    way_in.set(server.intake()).unwrap();
    let (ours, theirs) = UnixStream::pair().unwrap();
    server.intake().give(theirs).unwrap();
    assert_eq!((server.intake().load(), server.intake().coming()), (1, 1));
    event_loop.run_ready_now();
    assert_eq!(*counts.borrow(), [1, 1], "as it is made, and when it is told so");
    assert_eq!((server.intake().load(), server.intake().coming()), (1, 0));
    drop(ours);
    while counts.borrow().len() < 3 {
        event_loop.run_ready_now();
    }
    server.close();
    event_loop.run_until_complete(&server.wait_closed()).unwrap();
    assert_eq!((way_in.get().unwrap().load(), counts.borrow().len()), (0, 3));
}

#[test]
fn n8_r9_a_connection_that_nobody_takes_comes_back_or_is_closed_once() {
    let _alone = Alone::begin();
    let (intake, stopper, thread) = elsewhere();
    stopper.stop();
    thread.join().unwrap();
    assert!(intake.is_closed());
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let refused = intake.give(theirs).unwrap_err();
    assert!(!refused.is_busy() && refused.to_string().contains("closed"));
    assert_eq!(intake.load(), 0);
    // It is whole: somebody else may have it.
    let socket: StreamSocket = refused.into_socket();
    let event_loop = TestLoop::new();
    let opening = event_loop.connect_accepted_socket(|| Echo, socket);
    let transport = event_loop.run_until_complete(&opening).unwrap();
    ours.write_all(b"x").unwrap();
    event_loop.run_ready_now();
    ours.read_exact(&mut [0; 1]).unwrap();
    transport.abort();
    event_loop.run_ready_now();

    // One that is on the way when the loop closes is closed with it.
    let server = event_loop.create_server(|| Echo, ("127.0.0.1", 0)).result().unwrap();
    let intake = server.intake();
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    intake.give(theirs).unwrap();
    assert_eq!(intake.coming(), 1);
    server.close();
    event_loop.close().unwrap();
    assert_eq!((ours.read(&mut [0; 1]).unwrap(), intake.coming()), (0, 0));
}

#[test]
fn n24_a_server_that_is_closed_closes_what_it_is_given() {
    let _alone = Alone::begin();
    let event_loop = TestLoop::new();
    let server = event_loop.create_server(|| Echo, ("127.0.0.1", 0)).result().unwrap();
    let intake = server.intake();
    server.close();
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    intake.give(theirs).unwrap();
    event_loop.run_ready_now();
    assert!(is_over(&mut ours));
    drop(server);
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    intake.give(theirs).unwrap();
    event_loop.run_ready_now();
    assert!(is_over(&mut ours));
}

#[test]
fn r8_n27_whoever_takes_sockets_may_panic_or_close_the_server() {
    let _alone = Alone::begin();
    let event_loop = TestLoop::new();
    let reported = std::rc::Rc::new(std::cell::Cell::new(0));
    let count = reported.clone();
    event_loop
        .set_exception_handler(Some(std::rc::Rc::new(move |_, _| count.set(count.get() + 1))));
    let own: std::rc::Rc<std::cell::RefCell<Option<Server>>> = std::rc::Rc::default();
    let inside = own.clone();
    let mut calls = 0;
    let take = move |_socket| {
        calls += 1;
        assert!(calls != 1, "not the first");
        if let Some(server) = inside.borrow_mut().take() {
            server.close();
        }
    };
    let acceptor = event_loop.create_acceptor(take, ("127.0.0.1", 0)).result().unwrap();
    let address = acceptor.addresses()[0].as_ip().unwrap();
    *own.borrow_mut() = Some(acceptor.clone());
    let mut clients = [TcpStream::connect(address).unwrap(), TcpStream::connect(address).unwrap()];
    wait_until("both were taken", || {
        event_loop.run_ready_now();
        acceptor.stats().accepted == 2
    });
    assert!(clients.iter_mut().all(is_over));
    assert!(!acceptor.is_serving());
    assert_eq!(reported.get(), 1);
}

#[test]
fn n8_a_connection_that_somebody_else_made_is_given_to_a_core() {
    let _alone = Alone::begin();
    let cores = start(on(2, Accepting::HandedOver));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    for core in [1, 0, 1] {
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        cores.give_to(core, listener.accept().unwrap().0).unwrap();
        assert_eq!(ask(&mut client, b'?').0, core);
    }
    let (_ours, theirs) = UnixStream::pair().unwrap();
    assert!(cores.give_to(2, theirs).is_err());
    cores.shutdown(secs(5)).take(None).unwrap();
    let (_ours, theirs) = UnixStream::pair().unwrap();
    assert!(cores.give(theirs).is_err());
}
