//! Factories of servers (W-1).

use crate::support::*;
use eventloop::{EventLoop, TestLoop};
use std::io::Read;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use tulipa_transports::{Address, Factory, NetworkLoop, Server, SharedFactory};

#[test]
fn w1_a_factory_is_told_its_first_and_its_last_use_however_many_servers_it_has() {
    let event_loop = TestLoop::new();
    let trace = Trace::new();
    let factory = shared(Noting::new(&trace));
    let (one, _) = serve(&event_loop, factory.clone()).unwrap();
    let (other, _) = serve(&event_loop, factory.clone()).unwrap();
    assert_eq!((trace.take(), factory.uses()), (vec!["start".to_owned()], 2));
    one.close();
    one.close();
    assert_eq!(trace.take(), [""; 0]);
    other.close();
    assert_eq!((trace.take(), factory.uses()), (vec!["stop".to_owned()], 0));
    let (again, _) = serve(&event_loop, factory.clone()).unwrap();
    again.close();
    assert_eq!(trace.take(), ["start", "stop"]);
}

#[test]
fn w1_a_factory_of_one_server_is_told_too_and_dropped() {
    let event_loop = TestLoop::new();
    let trace = Trace::new();
    let factory = Noting::new(&trace);
    let alive = Rc::downgrade(&factory.alive);
    let (server, _) = serve(&event_loop, factory).unwrap();
    server.close();
    assert_eq!(trace.take(), ["start", "stop"]);
    assert_eq!(alive.strong_count(), 0);
}

#[test]
fn w1_the_factory_learns_who_connects_and_may_refuse() {
    let event_loop = TestLoop::new();
    let trace = Trace::new();
    let factory = shared(Noting::new(&trace).refusing());
    let (server, port) = serve(&event_loop, factory.clone()).unwrap();
    let mut peer = TcpStream::connect(("127.0.0.1", port)).unwrap();
    run_until(&event_loop, || server.stats().refused == 1);
    assert_eq!(peer.read(&mut [0]).unwrap(), 0);
    factory.with(|factory| factory.refuse = false).unwrap();
    let peer = TcpStream::connect(("127.0.0.1", port)).unwrap();
    run_until(&event_loop, || server.connection_count() == 1);
    drop(peer);
    run_until(&event_loop, || server.connection_count() == 0);
    server.close();
    let told = trace.take();
    assert_eq!(
        told,
        ["start", "build 127.0.0.1", "build 127.0.0.1", "guest made", "guest lost", "stop"]
    );
}

#[test]
fn w1_the_peer_of_a_unix_connection_has_no_name() {
    let event_loop = TestLoop::new();
    let trace = Trace::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let server = event_loop.create_unix_server(Noting::new(&trace), &*path).result().unwrap();
    let peer = UnixStream::connect(&path).unwrap();
    run_until(&event_loop, || server.connection_count() == 1);
    drop(peer);
    run_until(&event_loop, || server.connection_count() == 0);
    server.close();
    assert_eq!(trace.take(), ["start", "build Unnamed", "guest made", "guest lost", "stop"]);
}

#[test]
fn w1_a_factory_is_stopped_while_its_connections_live_on() {
    let event_loop = TestLoop::new();
    let trace = Trace::new();
    let (server, port) = serve(&event_loop, Noting::new(&trace)).unwrap();
    let peer = TcpStream::connect(("127.0.0.1", port)).unwrap();
    run_until(&event_loop, || trace.has("guest made"));
    server.close();
    assert!(trace.has("stop") && !trace.has("guest lost"));
    drop(peer);
    run_until(&event_loop, || trace.has("guest lost"));
}

#[test]
fn w1_a_factory_that_cannot_start_fails_the_creator_and_leaves_nothing() {
    let event_loop = TestLoop::new();
    let trace = Trace::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let factory = Noting::new(&trace).on("start", || panic!("no disk"));
    let alive = Rc::downgrade(&factory.alive);
    let server = event_loop.create_unix_server(factory, &*path).result();
    assert!(server.unwrap_err().to_string().contains("no disk"));
    assert!(!path.exists());
    assert_eq!((trace.take(), alive.strong_count()), (vec!["start".to_owned()], 0));

    let mut fails = true;
    let factory = shared(Noting::new(&trace).on("start", move || {
        assert!(!std::mem::take(&mut fails), "not yet");
    }));
    assert!(serve(&event_loop, factory.clone()).is_err());
    assert_eq!((trace.take(), factory.uses()), (vec!["start".to_owned()], 0));
    let (server, _) = serve(&event_loop, factory).unwrap();
    server.close();
    assert_eq!(trace.take(), ["start", "stop"]);
}

#[test]
fn w1_a_panic_at_the_stop_is_reported_and_the_server_is_closed() {
    let event_loop = TestLoop::new();
    let (errors, trace) = (collect_errors(&event_loop), Trace::new());
    let factory = Noting::new(&trace).on("stop", || panic!("stuck"));
    let alive = Rc::downgrade(&factory.alive);
    let (server, _) = serve(&event_loop, factory).unwrap();
    let closed = server.wait_closed();
    server.close();
    assert_eq!(errors.take(), ["stop_factory() of a protocol factory panicked"]);
    event_loop.run_until_complete(&closed).unwrap();
    assert_eq!(alive.strong_count(), 0);
}

#[test]
fn w1_a_server_that_is_closed_by_its_factory_stops_it_afterwards() {
    let event_loop = TestLoop::new();
    let trace = Trace::new();
    let server: Slot<Option<Server>> = Slot::new();
    let own = server.clone();
    let factory = Noting::new(&trace).on("build", move || own.take().unwrap().close());
    let (made, port) = serve(&event_loop, factory).unwrap();
    server.set(Some(made));
    let peer = TcpStream::connect(("127.0.0.1", port)).unwrap();
    run_until(&event_loop, || trace.has("guest made"));
    drop(peer);
    run_until(&event_loop, || trace.has("guest lost"));
    assert_eq!(trace.take()[..3], ["start", "build 127.0.0.1", "stop"]);
}

#[test]
fn w1_a_factory_that_is_used_again_while_it_stops_is_started_afterwards() {
    let event_loop = TestLoop::new();
    let trace = Trace::new();
    let factory: Slot<Option<SharedFactory<Noting>>> = Slot::new();
    let again: Slot<Option<Server>> = Slot::new();
    let (own, handle, keep) = (factory.clone(), event_loop.handle(), again.clone());
    let mut once = true;
    let noting = Noting::new(&trace).on("stop", move || {
        if std::mem::take(&mut once) {
            let factory = own.take().unwrap();
            assert!(factory.with(|_| ()).is_err());
            keep.set(handle.create_server(factory, ("127.0.0.1", 0)).result().ok());
        }
    });
    factory.set(Some(shared(noting)));
    let (server, _) = serve(&event_loop, factory.get().unwrap()).unwrap();
    server.close();
    assert_eq!(trace.take(), ["start", "stop", "start"]);
    again.take().unwrap().close();
    assert_eq!(trace.take(), ["stop"]);
}

#[test]
fn w1_a_loop_that_closes_tells_a_factory_nothing_and_drops_it() {
    let event_loop = EventLoop::new().unwrap();
    let trace = Trace::new();
    let factory = Noting::new(&trace);
    let alive = Rc::downgrade(&factory.alive);
    let server = event_loop.create_server(factory, ("127.0.0.1", 0)).result().unwrap();
    drop(event_loop);
    assert_eq!((trace.take(), alive.strong_count()), (vec!["start".to_owned()], 0));
    drop(server);
}

#[test]
fn w1_closures_are_factories() {
    fn build(mut factory: impl Factory) -> bool {
        use tulipa_transports::IntoProtocol;
        factory.start_factory();
        let made = factory.build_protocol(&Address::Unnamed).into_protocol();
        factory.stop_factory();
        made.unwrap().is_some()
    }
    assert!(build(|| Quiet));
    assert!(!build(|| None::<Quiet>));
    let mut places = 1;
    let mut few = SharedFactory::new(move || {
        places -= 1;
        (places >= 0).then_some(Quiet)
    });
    assert!(build(few.clone()));
    assert!(!build(few.clone()));
    few.start_factory();
    assert_eq!(few.uses(), 1);
}
