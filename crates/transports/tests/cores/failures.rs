//! Cores that cannot be started, and cores that end by themselves.

use crate::support::*;
use futures::Exception;
use std::error::Error;
use std::net::TcpListener;
use tulipa_transports::{Accepting, CoreEnd, CoreError, OnCoreFailure, serve_on_cores};

const BOTH: [Accepting; 2] = [Accepting::HandedOver, Accepting::PortShared];

#[test]
fn r7_a_core_that_cannot_start_ends_all_and_leaves_nothing() {
    for accepting in BOTH {
        let _alone = Alone::begin();
        let starting = serve_on_cores(on(3, accepting), |core| match core.index() {
            1 => Err(Exception::msg("no licence for this core")),
            _ => answering(core),
        });
        let failure = starting.take(Some(secs(20))).unwrap_err();
        let error: &CoreError = failure.downcast_ref().unwrap();
        assert_eq!(error.core(), 1);
        assert_eq!(error.source().unwrap().to_string(), "no licence for this core");
    }
}

#[test]
fn r8_a_start_that_panics_is_a_failure_of_its_core() {
    for policy in [OnCoreFailure::EndAll, OnCoreFailure::Restart] {
        let _alone = Alone::begin();
        let options = on(2, Accepting::PortShared).on_failure(policy);
        let starting = serve_on_cores(options, |core| {
            assert!(core.index() != 0, "the first core is cursed");
            answering(core)
        });
        let failure = starting.take(Some(secs(20))).unwrap_err();
        let error: &CoreError = failure.downcast_ref().unwrap();
        assert_eq!(error.core(), 0);
        assert!(error.cause().panicked().is_some());
    }
}

#[test]
fn r7_those_that_started_may_go_on_without_the_others_but_not_none() {
    for accepting in BOTH {
        let _alone = Alone::begin();
        let options = || on(2, accepting).on_failure(OnCoreFailure::GoOn);
        let starting = serve_on_cores(options(), |core| match core.index() {
            0 => Err(Exception::msg("not this one")),
            _ => answering(core),
        });
        let cores = starting.take(Some(secs(20))).unwrap();
        assert_eq!(cores.loads(), [None, Some(0)]);
        let mut clients: Vec<_> = (0..8).map(|_| connect(&cores)).collect();
        assert!(clients.iter_mut().all(|client| ask(client, b'?').0 == 1));
        let report = cores.shutdown(secs(5)).take(Some(secs(20))).unwrap();
        assert!(matches!(&report.cores[0].end, CoreEnd::Failed(_)));
        assert!(matches!(&report.cores[1].end, CoreEnd::InOrder));
        assert_eq!(report.drained, 8);
        drop(cores);

        let starting =
            serve_on_cores(options(), |_| Err::<fn() -> Nobody, _>(Exception::msg("none")));
        assert!(starting.take(Some(secs(20))).unwrap_err().is::<CoreError>());
    }
}

/// Never made.
struct Nobody;

impl tulipa_transports::Protocol for Nobody {
    fn data_received(&mut self, _: &dyn tulipa_transports::Transport, _: &[u8]) {}
}

#[test]
fn n19_an_address_that_is_taken_is_named() {
    for accepting in BOTH {
        let _alone = Alone::begin();
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let options = tulipa_transports::CoresOptions::from(taken.local_addr().unwrap());
        let starting = serve_on_cores(options.accepting(accepting), answering);
        let failure = starting.take(Some(secs(20))).unwrap_err();
        assert_eq!(failure.io_kind(), Some(std::io::ErrorKind::AddrInUse));
        assert!(failure.to_string().contains(&taken.local_addr().unwrap().to_string()));
    }
}

#[test]
fn r8_a_core_that_ends_by_itself_ends_the_others_in_order() {
    for accepting in BOTH {
        let _alone = Alone::begin();
        let cores = start(on(2, accepting));
        let mut clients: Vec<_> = (0..16).map(|_| connect(&cores)).collect();
        ask_all(&mut clients, b'?');
        let mut on_first = clients.iter_mut().filter_map(|client| {
            let core = ask(client, b'?').0;
            (core == 0).then_some(client)
        });
        let victim = on_first.next().unwrap();
        std::io::Write::write_all(victim, &[STOP]).unwrap();
        let report = cores.ended().take(Some(secs(20))).unwrap();
        assert!(matches!(&report.cores[0].end, CoreEnd::Failed(_)), "{report:?}");
        assert!(matches!(&report.cores[1].end, CoreEnd::InOrder));
        assert!(report.cores[1].drained > 0);
        assert!(clients.iter_mut().all(|client| {
            while !is_over(client) {}
            true
        }));
    }
}

#[test]
fn r8_the_others_go_on_or_the_core_comes_back() {
    for (accepting, policy) in [
        (Accepting::HandedOver, OnCoreFailure::GoOn),
        (Accepting::PortShared, OnCoreFailure::GoOn),
        (Accepting::HandedOver, OnCoreFailure::Restart),
        (Accepting::PortShared, OnCoreFailure::Restart),
    ] {
        let _alone = Alone::begin();
        let cores = start(on(2, accepting).on_failure(policy));
        let mut clients: Vec<_> = (0..16).map(|_| connect(&cores)).collect();
        let (mut first, mut second): (Vec<_>, Vec<_>) = clients
            .drain(..)
            .map(|mut client| (ask(&mut client, b'?').0, client))
            .partition(|(core, _)| *core == 0);
        std::io::Write::write_all(&mut first[0].1, &[STOP]).unwrap();
        wait_until("it has ended", || cores.loads()[0].is_none());
        assert!(second.iter_mut().all(|(_, client)| ask(client, b'?').0 == 1));
        let mut later = connect(&cores);
        assert_eq!(ask(&mut later, b'?').0, 1);
        if policy == OnCoreFailure::Restart {
            wait_until("it is back and serves", || ask(&mut connect(&cores), b'?').0 == 0);
        }
        let report = cores.shutdown(secs(5)).take(Some(secs(20))).unwrap();
        let failed = matches!(&report.cores[0].end, CoreEnd::Failed(_));
        assert_eq!(failed, policy == OnCoreFailure::GoOn, "{report:?}");
    }
}

#[test]
fn r8_a_core_that_is_ending_is_given_no_more_connections() {
    let _alone = Alone::begin();
    let (tell, told) = std::sync::mpsc::channel();
    let (leave, leaves) = std::sync::mpsc::channel::<()>();
    let leaves = std::sync::Mutex::new(Some(leaves));
    let options = on(2, Accepting::HandedOver).on_failure(OnCoreFailure::GoOn);
    let starting = serve_on_cores(options, move |core| {
        if core.index() == 0 {
            let (tell, leaves) = (tell.clone(), leaves.lock().unwrap().take().unwrap());
            futures::create_task(async move {
                let _ = futures::sleep(secs(3600)).await; // cancelled when the core ends
                tell.send(()).unwrap();
                let _ = leaves.recv();
                Ok::<(), Exception>(())
            });
        }
        answering(core)
    });
    let cores = starting.take(Some(secs(20))).unwrap();
    let mut clients = [connect(&cores), connect(&cores)];
    ask_all(&mut clients, b'?');
    let on_first =
        clients.iter_mut().find_map(|client| (ask(client, b'?').0 == 0).then_some(client));
    std::io::Write::write_all(on_first.unwrap(), &[STOP]).unwrap();
    told.recv_timeout(secs(20)).unwrap();
    assert_eq!(cores.loads(), [None, Some(1)]);
    let mut later: Vec<_> = (0..6).map(|_| connect(&cores)).collect();
    wait_until("the other core has them", || cores.loads() == [None, Some(7)]);
    drop(leave);
    assert!(later.iter_mut().all(|client| ask(client, b'?').0 == 1));
    cores.shutdown(secs(5)).take(Some(secs(20))).unwrap();
}

#[test]
fn n12_a_start_that_is_called_off_leaves_nothing() {
    for accepting in BOTH {
        let _alone = Alone::begin();
        let (begun, begins) = std::sync::mpsc::channel();
        let starting = serve_on_cores(on(2, accepting), move |core| {
            begun.send(()).unwrap();
            answering(core)
        });
        begins.recv_timeout(secs(20)).unwrap();
        // It may have been done just before: then there is somebody to be told.
        if !starting.cancel()
            && let Ok(cores) = starting.take(None)
        {
            cores.shutdown(secs(5)).take(Some(secs(20))).unwrap();
        }
    }
}
