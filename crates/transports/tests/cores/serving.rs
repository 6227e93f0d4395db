//! Serving: who is served by whom.

use crate::support::*;
use futures::Exception;
use std::sync::{Arc, Mutex};
use std::thread;
use tulipa_transports::{
    Accepting, CoresOptions, OnCoreFailure, Protocol, ServerOptions, Transport, UnixServerOptions,
    serve_on_cores,
};

#[test]
fn r5_connections_are_handed_to_the_core_that_has_fewest() {
    let _alone = Alone::begin();
    let cores = start(on(3, Accepting::HandedOver));
    let mut clients: Vec<_> = (0..6).map(|_| connect(&cores)).collect();
    let mut served: Vec<_> = clients.iter_mut().map(|client| ask(client, b'?')).collect();
    served.sort_unstable();
    assert_eq!(served, [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]);
    assert_eq!(cores.loads(), [Some(2), Some(2), Some(2)]);
    // Two leave one core: the next two go there.
    let left: Vec<_> = clients.extract_if(.., |client| ask(client, b'?').0 == 1).collect();
    drop(left);
    wait_until("two are gone", || cores.loads()[1] == Some(0));
    for _ in 0..2 {
        let mut client = connect(&cores);
        assert_eq!(ask(&mut client, b'?').0, 1);
        clients.push(client);
    }
    let report = cores.shutdown(secs(5)).take(None).unwrap();
    assert_eq!((report.drained, report.aborted, report.is_clean()), (6, 0, true));
    assert!(clients.iter_mut().all(is_over));
}

#[test]
fn r5_cores_that_share_a_port_serve_all_who_come() {
    let _alone = Alone::begin();
    let cores = start(on(3, Accepting::PortShared));
    let mut clients: Vec<_> = (0..64).map(|_| connect(&cores)).collect();
    let mut served = [0; 3];
    for client in &mut clients {
        served[ask(client, b'?').0] += 1;
    }
    assert_eq!(served.iter().sum::<usize>(), 64);
    let loads: Vec<usize> = cores.loads().into_iter().flatten().collect();
    assert_eq!(loads, served);
    // The system shares out by a hash: that one of three gets none of 64 is less likely than 1 to 10^11.
    assert!(served.iter().all(|count| *count > 0), "{served:?}");
    let report = cores.shutdown(secs(5)).take(None).unwrap();
    assert_eq!(report.drained, 64);
}

#[test]
fn l1_each_core_starts_on_a_thread_and_a_loop_of_its_own() {
    let _alone = Alone::begin();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = seen.clone();
    let options = on(2, Accepting::PortShared).pin(true);
    let starting = serve_on_cores(options, move |core| {
        let name = thread::current().name().map(str::to_owned);
        let runs = eventloop::current().is_running();
        let id = eventloop::current().id();
        noted.lock().unwrap().push((core.index(), core.count(), name, runs, id));
        answering(core)
    });
    let cores = starting.take(Some(secs(20))).unwrap();
    let mut seen = std::mem::take(&mut *seen.lock().unwrap());
    seen.sort_by_key(|entry| entry.0);
    let name = |index| Some(format!("tulipa-core-{index}"));
    assert_eq!(seen[0].2, name(0));
    assert_eq!(seen[1].2, name(1));
    assert!(seen.iter().all(|(_, count, _, runs, _)| *count == 2 && *runs));
    assert_ne!(seen[0].4, seen[1].4);
    cores.shutdown(secs(5)).take(None).unwrap();
}

#[test]
fn n39_a_unix_socket_is_served_by_several_cores() {
    let _alone = Alone::begin();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cores.sock");
    let options = CoresOptions::from(UnixServerOptions::from(path.as_path()));
    let cores = start(options.cores(2.try_into().unwrap()));
    let connect = || std::os::unix::net::UnixStream::connect(&path).unwrap();
    let mut clients = [connect(), connect()];
    let mut served = clients.each_mut().map(|client| ask(client, b'?').0);
    served.sort_unstable();
    assert_eq!(served, [0, 1]);
    cores.shutdown(secs(5)).take(None).unwrap();
    assert!(!path.exists());
}

#[test]
fn n17_a_listening_socket_is_served_by_several_cores_but_not_shared() {
    let _alone = Alone::begin();
    let bind = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let options = CoresOptions::from(bind()).accepting(Accepting::PortShared);
    let refused = serve_on_cores(options, answering).take(Some(secs(20))).unwrap_err();
    assert_eq!(refused.io_kind(), Some(std::io::ErrorKind::InvalidInput));
    let cores = start(CoresOptions::from(bind()).cores(2.try_into().unwrap()));
    let mut clients = [connect(&cores), connect(&cores)];
    assert_ne!(ask(&mut clients[0], b'?').0, ask(&mut clients[1], b'?').0);
    cores.shutdown(secs(5)).take(None).unwrap();
}

#[test]
fn r4_the_cores_share_the_places_for_connections() {
    let _alone = Alone::begin();
    let options = ServerOptions::from(("127.0.0.1", 0)).max_connections(4);
    let options =
        CoresOptions::from(options).cores(2.try_into().unwrap()).accepting(Accepting::HandedOver);
    let cores = start(options);
    let mut clients: Vec<_> = (0..4).map(|_| connect(&cores)).collect();
    ask_all(&mut clients, b'?');
    assert!(is_over(&mut connect(&cores)));
    assert_eq!(cores.shed(), 1);
    let report = cores.shutdown(secs(5)).take(None).unwrap();
    assert_eq!((report.drained, report.shed), (4, 1));
}

#[test]
fn r8_a_panic_of_one_connection_is_no_failure_of_its_core() {
    let _alone = Alone::begin();
    let cores = start(on(1, Accepting::PortShared).on_failure(OnCoreFailure::EndAll));
    let (mut one, mut other) = (connect(&cores), connect(&cores));
    ask(&mut one, b'?');
    std::io::Write::write_all(&mut one, &[PANIC]).unwrap();
    assert!(is_over(&mut one));
    assert_eq!(ask(&mut other, b'?'), (0, 1));
    assert!(cores.shutdown(secs(5)).take(None).unwrap().is_clean());
}

/// A task that only ends when it is cancelled, and a while after.
struct Background;

impl Protocol for Background {
    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) {}
}

#[test]
fn r14_the_tasks_of_a_core_are_cancelled_and_may_clean_up() {
    let _alone = Alone::begin();
    let (cleaned, seen) = std::sync::mpsc::channel();
    let starting = serve_on_cores(on(2, Accepting::HandedOver), move |_core| {
        let cleaned = cleaned.clone();
        futures::create_task(async move {
            let ended = futures::sleep(secs(3600)).await;
            futures::sleep(std::time::Duration::from_millis(1)).await?;
            // The test may have given up.
            let _ = cleaned.send(ended.is_err());
            Ok::<(), Exception>(())
        });
        Ok(|| Background)
    });
    let cores = starting.take(Some(secs(20))).unwrap();
    assert!(cores.shutdown(secs(5)).take(None).unwrap().is_clean());
    assert_eq!(seen.iter().collect::<Vec<_>>(), [true, true]);
}
