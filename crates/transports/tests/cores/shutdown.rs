//! The end of all cores: one report, within the deadline, whatever the connections do.

use crate::support::*;
use std::io::Write;
use std::rc::Rc;
use std::sync::{Mutex, mpsc};
use std::time::Duration;
use tulipa_transports::{
    Accepting, CoreEnd, Cores, Protocol, ShutdownReport, Transport, serve_on_cores,
};

#[test]
fn r14_idle_and_deaf_connections_on_all_cores_make_one_report() {
    for accepting in [Accepting::HandedOver, Accepting::PortShared] {
        let _alone = Alone::begin();
        let cores = start(on(2, accepting));
        let mut idle: Vec<_> = (0..10).map(|_| connect(&cores)).collect();
        let mut deaf: Vec<_> = (0..10).map(|_| connect(&cores)).collect();
        ask_all(&mut idle, b'?');
        ask_all(&mut deaf, DEAF);
        let report = cores.shutdown(Duration::from_millis(100)).take(None).unwrap();
        assert_eq!((report.drained, report.aborted), (10, 10));
        assert_eq!(report.cores.len(), 2);
        assert!(report.cores.iter().all(|core| matches!(core.end, CoreEnd::InOrder)));
        assert!(idle.iter_mut().chain(&mut deaf).all(is_over));
        assert_eq!(cores.loads(), [None, None]);
    }
}

#[test]
fn r14_the_shutdown_may_be_asked_for_from_anywhere_and_gives_everybody_the_same() {
    let _alone = Alone::begin();
    let cores = start(on(2, Accepting::HandedOver));
    let ended = cores.ended();
    let given_up = cores.ended();
    given_up.cancel();
    let mut client = connect(&cores);
    ask(&mut client, SHUT_DOWN); // from inside of a protocol
    let first = ended.take(Some(secs(20))).unwrap();
    assert_eq!((first.drained, first.aborted), (1, 0));
    for _ in 0..2 {
        let again = cores.shutdown(secs(5)).take(Some(secs(20))).unwrap();
        assert_eq!((again.drained, again.aborted), (1, 0));
    }
    let elsewhere = std::thread::spawn(move || cores.ended().take(Some(secs(20))).is_ok());
    assert!(elsewhere.join().unwrap());
}

#[test]
fn r14_an_earlier_deadline_hastens_the_end() {
    let _alone = Alone::begin();
    let cores = start(on(2, Accepting::HandedOver));
    let mut client = connect(&cores);
    ask(&mut client, DEAF);
    let patient = cores.shutdown(secs(3600));
    let hasty = cores.shutdown(Duration::from_millis(10));
    for answer in [patient, hasty] {
        let report = answer.take(Some(secs(20))).unwrap();
        assert_eq!((report.drained, report.aborted), (0, 1));
    }
}

#[test]
fn n12_r14_a_shutdown_while_it_starts_is_told_to_whoever_waits_for_the_start() {
    for accepting in [Accepting::HandedOver, Accepting::PortShared] {
        let _alone = Alone::begin();
        let (tell, told) = mpsc::channel();
        let starting = serve_on_cores(on(2, accepting), move |core| {
            if core.index() == 0 {
                let report = core.cores().shutdown(secs(5));
                tell.send((core.cores(), report)).unwrap();
            }
            answering(core)
        });
        let (cores, report) = told.recv_timeout(secs(20)).unwrap();
        let report = report.take(Some(secs(20))).unwrap();
        assert!(report.is_clean(), "{report:?}");
        let failure = starting.take(Some(secs(5))).unwrap_err();
        assert!(failure.is::<futures::InvalidStateError>(), "{failure:?}");
        drop(cores);
    }
}

/// A thread that has one of these ends when it is told to.
struct Lingers(mpsc::Receiver<()>);

impl Drop for Lingers {
    fn drop(&mut self) {
        let _ = self.0.recv();
    }
}

thread_local! {
    static LINGERS: std::cell::RefCell<Option<Lingers>> = const { std::cell::RefCell::new(None) };
}

#[test]
fn r14_a_core_that_starts_only_when_all_is_over_ends_too() {
    let _alone = Alone::begin();
    let _log = LogWatch::begin();
    let (begins, begun) = mpsc::channel();
    let (leave, leaves) = mpsc::channel::<()>();
    let (go, goes) = mpsc::channel::<()>();
    let own = Mutex::new((Some(leaves), Some(goes)));
    let starting = serve_on_cores(on(2, Accepting::HandedOver), move |core| {
        if core.index() == 0 {
            let leaves = own.lock().unwrap().0.take().unwrap();
            begins.send(()).unwrap();
            let _ = leaves.recv();
        } else {
            let goes = own.lock().unwrap().1.take().unwrap();
            LINGERS.set(Some(Lingers(goes)));
            begins.send(()).unwrap();
        }
        answering(core)
    });
    for _ in 0..2 {
        begun.recv_timeout(secs(20)).unwrap();
    }
    // The first comes out of its start just when it was given up, while the other's thread is waited for.
    LogWatch::on("core 0 is stuck", move || drop(leave));
    starting.cancel();
    wait_until("the coordinator is gone", || thread_is_gone("tulipa-cores"));
    drop(go);
}

/// On the first core this runs code that does not return until the test says so.
struct Stuck {
    enters: mpsc::Sender<()>,
    leaves: Option<Rc<mpsc::Receiver<()>>>,
}

impl Protocol for Stuck {
    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) {
        if let Some(leaves) = &self.leaves {
            self.enters.send(()).unwrap();
            let _ = leaves.recv();
        }
    }
}

#[test]
fn r14_a_core_that_is_stuck_is_reported_and_the_others_end() {
    let _alone = Alone::begin();
    let (enters, entered) = mpsc::channel();
    let (leave, leaves) = mpsc::channel::<()>();
    let leaves = Mutex::new(Some(leaves));
    let starting = serve_on_cores(on(2, Accepting::HandedOver), move |core| {
        let enters = enters.clone();
        let leaves = (core.index() == 0).then(|| leaves.lock().unwrap().take().unwrap());
        let leaves = leaves.map(Rc::new);
        Ok(move || Stuck { enters: enters.clone(), leaves: leaves.clone() })
    });
    let cores = starting.take(Some(secs(20))).unwrap();
    let mut clients: Vec<_> = (0..4).map(|_| connect(&cores)).collect();
    wait_until("all are there", || cores.loads() == [Some(2), Some(2)]);
    for client in &mut clients {
        client.write_all(b"x").unwrap();
    }
    entered.recv_timeout(secs(20)).unwrap();
    let report = cores.shutdown(Duration::from_millis(10)).take(Some(secs(20))).unwrap();
    assert!(matches!(report.cores[0].end, CoreEnd::Stuck), "{report:?}");
    assert!(matches!(report.cores[1].end, CoreEnd::InOrder), "{report:?}");
    assert_eq!((report.drained, report.aborted, report.is_clean()), (2, 2, false));
    drop(leave); // it ends late, but in order
    assert!(clients.iter_mut().all(is_over));
}

#[test]
fn r14_a_busy_core_comes_to_its_end_too() {
    /// Writes for ever to a peer that does not read.
    struct Busy;
    impl Protocol for Busy {
        fn connection_made(&mut self, transport: &dyn Transport) {
            self.resume_writing(transport);
        }
        fn data_received(&mut self, _: &dyn Transport, _: &[u8]) {}
        fn resume_writing(&mut self, transport: &dyn Transport) {
            while transport.write(&[0; 16 * 1024]) == tulipa_transports::WriteState::Taken {}
        }
    }
    let _alone = Alone::begin();
    let starting = serve_on_cores(on(2, Accepting::HandedOver), |_| {
        // And a callback that re-arms itself for ever.
        fn again() {
            use futures::SchedulerExt;
            futures::current().call_soon(again);
        }
        again();
        Ok(|| Busy)
    });
    let cores = starting.take(Some(secs(20))).unwrap();
    let clients = [connect(&cores), connect(&cores)];
    for client in &clients {
        client.peek(&mut [0]).unwrap(); // it is being written to
    }
    let report = cores.shutdown(Duration::from_millis(50)).take(Some(secs(20))).unwrap();
    assert_eq!((report.drained, report.aborted), (0, 2));
    drop(clients);
}

#[test]
fn i1_a_handle_of_all_cores_may_be_anywhere() {
    fn anywhere<T: Send + Sync + Clone>() {}
    anywhere::<Cores>();
    anywhere::<tulipa_transports::Intake>();
    assert_eq!(ShutdownReport::default().drained, 0);
}
