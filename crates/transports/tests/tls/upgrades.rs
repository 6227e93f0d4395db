//! An open connection becomes an encrypted one (N-54…N-56, X-52).

use crate::kit::*;
use crate::support::*;
use eventloop::TestLoop;
use futures::{Exception, Future, SchedulerExt};
use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Duration;
use tulipa_transports::testing::{
    LifeCycle, LifeCycleLog, MemoryLoop, MemoryOptions, MemoryPair, ProtocolCall,
};
use tulipa_transports::tls::{Early, StartTls, TlsRole};
use tulipa_transports::{
    Bytes, NetworkLoop, Protocol, ReconnectOptions, ReconnectingClient, TimeoutProtocol, Transport,
    TransportExt, WriteRefusal, WriteState,
};

type Upgrade = Slot<Option<Future<Rc<dyn Transport>>>>;

const COMMAND: &[u8] = b"STARTTLS\r\n";
const ANSWER: &[u8] = b"220 go ahead\r\n";

/// Speaks in clear until the command, or the answer to it, has come; then encrypts.
struct Session {
    role: TlsRole,
    early: Early,
    /// What it waits for in clear, and what it says then.
    awaits: &'static [u8],
    says: &'static [u8],
    received: Slot<Vec<u8>>,
    upgrade: Upgrade,
    /// Gives back what follows, in place of handing it over.
    pushes_back: bool,
}

impl Session {
    fn client() -> Self {
        Self::new(as_client(), ANSWER, b"")
    }

    fn server() -> Self {
        Self::new(as_server(), COMMAND, ANSWER)
    }

    fn new(role: TlsRole, awaits: &'static [u8], says: &'static [u8]) -> Self {
        let (received, upgrade) = (Slot::new(), Slot::new());
        let (early, pushes_back) = (Early::Refuse, false);
        Self { role, early, awaits, says, received, upgrade, pushes_back }
    }

    fn early(self, early: Early) -> Self {
        Self { early, ..self }
    }
}

impl Protocol for Session {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
        let Some(unread) = data.strip_prefix(self.awaits) else {
            return self.received.update(|all| all.extend_from_slice(data));
        };
        self.awaits = b"nothing any more";
        transport.write(self.says);
        let unread = match self.pushes_back {
            false => unread.to_vec(),
            true => {
                transport.push_back(unread.to_vec());
                Vec::new()
            }
        };
        self.upgrade.set(Some(transport.start_tls(self.role.clone(), self.early, unread)));
        if !transport.is_closing() {
            panic!("the old transport is over");
        }
        let late = transport.write(b"never in clear");
        assert!(!late.is_taken());
        if late == WriteState::Refused(WriteRefusal::Upgraded) {
            transport.set_protocol(Hooks::new()); // does nothing any more
        }
        transport.close();
        transport.abort();
    }

    fn handshake_completed(&mut self, transport: &dyn Transport) {
        self.received.update(|all| all.extend_from_slice(b"<encrypted>"));
        transport.write(b"hello");
    }
}

struct Upgraded {
    logs: [LifeCycleLog; 2],
    received: [Slot<Vec<u8>>; 2],
    upgrades: [Upgrade; 2],
    old: [Rc<dyn Transport>; 2],
}

fn begin_upgrade(event_loop: &TestLoop, left: Session, right: Session) -> Upgraded {
    begin_upgrade_over(event_loop, left, right).0
}

fn begin_upgrade_over(
    event_loop: &TestLoop,
    left: Session,
    right: Session,
) -> (Upgraded, MemoryPair) {
    let received = [left.received.clone(), right.received.clone()];
    let upgrades = [left.upgrade.clone(), right.upgrade.clone()];
    let ((left, left_log), (right, right_log)) = (LifeCycle::new(left), LifeCycle::new(right));
    let pair = event_loop.memory_pair(left, right, MemoryOptions::default());
    let old = [pair.left.clone(), pair.right.clone()];
    (Upgraded { logs: [left_log, right_log], received, upgrades, old }, pair)
}

impl Upgraded {
    fn new_transport(&self, side: usize) -> Rc<dyn Transport> {
        self.upgrades[side].get().expect("it began").result().unwrap()
    }

    fn error(&self, side: usize) -> Exception {
        self.upgrades[side].get().expect("it began").result().err().expect("an error")
    }

    fn finish(&self, event_loop: &TestLoop) {
        event_loop.run_until_idle();
        self.logs.iter().for_each(LifeCycleLog::check_ended);
        check_empty(event_loop);
    }
}

#[test]
fn n54_the_protocol_goes_on_over_a_new_transport() {
    // Who connected need not be the client of TLS.
    for reversed in [false, true] {
        let event_loop = TestLoop::new();
        let (mut left, mut right) = (Session::client(), Session::server());
        if reversed {
            std::mem::swap(&mut left.role, &mut right.role);
            left.early = Early::Feed; // the hello comes right behind the answer
        }
        let upgraded = begin_upgrade(&event_loop, left, right);
        event_loop.run_ready_now();
        upgraded.old[0].write(COMMAND);
        event_loop.run_ready_now();
        for side in [0, 1] {
            assert_eq!(upgraded.received[side].get(), b"<encrypted>hello");
            let calls = upgraded.logs[side].calls();
            let made = calls.iter().filter(|call| **call == ProtocolCall::ConnectionMade).count();
            assert_eq!((made, upgraded.logs[side].is_lost()), (1, false));
            let old = &upgraded.old[side];
            assert!(old.is_closing() && !old.is_reading());
            assert_eq!(old.write(b"x"), WriteState::Refused(WriteRefusal::Upgraded));
            assert_eq!(old.write_vec(vec![1]), WriteState::Refused(WriteRefusal::Upgraded));
            assert_eq!(old.writelines(&[b"x"]), WriteState::Refused(WriteRefusal::Upgraded));
            assert_eq!(old.dropped_writes(), 0, "they are told apart");
            old.close();
            old.abort();
            old.pause_reading();
            assert!(old.with_protocol(|_: &mut Session, _| ()).is_err());
            assert!(old.extra_info().tls.is_none());
            let handle = old.handle();
            assert_eq!(handle.write(b"x"), WriteState::Refused(WriteRefusal::Upgraded));
            assert!(upgraded.new_transport(side).extra_info().tls.is_some());
        }
        let waiting = upgraded.old[0].wait_closed();
        upgraded.new_transport(0).write(b" again");
        upgraded.new_transport(0).close();
        event_loop.run_ready_now();
        assert_eq!(upgraded.received[1].get(), b"<encrypted>hello again");
        assert!(waiting.done());
        for log in &upgraded.logs {
            assert_eq!(log.lost_reason(), Some(None));
        }
        assert_eq!(upgraded.old[1].write(b"x"), WriteState::Refused(WriteRefusal::Closed));
        upgraded.finish(&event_loop);
    }
}

#[test]
fn n54_an_upgrade_from_outside_of_the_protocol() {
    let event_loop = TestLoop::new();
    let ((left, left_log), (right, right_log)) =
        (Hooks::new().recorded(), Hooks::echo().recorded());
    let pair = event_loop.memory_pair(left, right, MemoryOptions::default());
    event_loop.run_ready_now();
    pair.left.write(b"in clear");
    event_loop.run_ready_now();
    let server = pair.right.start_tls(as_server(), Early::Refuse, Vec::new());
    let client = pair.left.start_tls(as_client(), Early::Refuse, Vec::new());
    let left = event_loop.run_until_complete(&client).unwrap();
    event_loop.run_until_complete(&server).unwrap();
    left.write(b"tulip");
    event_loop.run_ready_now();
    assert_eq!((left_log.bytes(), right_log.bytes()), (13, 13));
    left.close();
    event_loop.run_until_idle();
    left_log.check_ended();
    right_log.check_ended();
    check_empty(&event_loop);
}

/// A client that says the command and begins at once, in one piece.
fn eager_client(event_loop: &TestLoop, early: Early, pushes_back: bool) -> (Upgraded, Hooks) {
    let server = Session { pushes_back, ..Session::server().early(early) };
    let upgraded = begin_upgrade(event_loop, Session::client(), server);
    event_loop.run_ready_now();
    upgraded.old[0].write(COMMAND);
    // Not even the answer is waited for: both leave together.
    let role = as_client();
    let opened = upgraded.old[0].start_tls(role, Early::Refuse, Vec::new());
    upgraded.upgrades[0].set(Some(opened));
    (upgraded, Hooks::new())
}

#[test]
fn n55_a_hello_in_the_same_piece_as_the_command_is_fed_or_refused() {
    for pushes_back in [false, true] {
        let event_loop = TestLoop::new();
        // The answer in clear would reach the client's TLS, so there is none.
        let mut server = Session { pushes_back, ..Session::server().early(Early::Feed) };
        server.says = b"";
        let upgraded = begin_upgrade(&event_loop, Session::client(), server);
        event_loop.run_ready_now();
        upgraded.old[0].write(COMMAND);
        let opened = upgraded.old[0].start_tls(as_client(), Early::Refuse, Vec::new());
        upgraded.upgrades[0].set(Some(opened));
        event_loop.run_ready_now();
        assert_eq!(upgraded.received[1].get(), b"<encrypted>hello");
        upgraded.new_transport(0).close();
        upgraded.finish(&event_loop);

        let event_loop = TestLoop::new();
        let (upgraded, _) = eager_client(&event_loop, Early::Refuse, pushes_back);
        event_loop.run_ready_now();
        let error = upgraded.error(1);
        assert_eq!(error.io_kind(), Some(ErrorKind::InvalidData));
        assert!(error.to_string().contains("not encrypted"), "{error}");
        assert!(upgraded.logs[1].lost_reason().flatten().is_some());
        assert!(upgraded.received[1].get().is_empty());
        drop(upgraded.error(0));
        upgraded.finish(&event_loop);
    }
}

#[test]
fn n55_what_was_injected_before_the_upgrade_is_never_taken_for_encrypted() {
    for early in [Early::Refuse, Early::Feed] {
        let event_loop = TestLoop::new();
        let right = Session::server().early(early);
        let upgraded = begin_upgrade(&event_loop, Session::client(), right);
        event_loop.run_ready_now();
        upgraded.old[0].write(b"STARTTLS\r\nRCPT TO:<mallory@example.org>\r\n");
        event_loop.run_ready_now();
        drop(upgraded.error(1));
        assert!(upgraded.received[1].get().is_empty());
        if let Some(opened) = upgraded.upgrades[0].get() {
            assert!(opened.result().is_err());
        }
        upgraded.finish(&event_loop);
    }
}

#[test]
fn n56_an_upgrade_may_be_cancelled_and_the_connection_lost_at_every_point() {
    for batches in 0..40 {
        for cut in ["cancel", "reset", "shutdown"] {
            let event_loop = TestLoop::new();
            let (left, right) = (Session::client(), Session::server());
            let upgrades = [left.upgrade.clone(), right.upgrade.clone()];
            let ((left, left_log), (right, right_log)) =
                (LifeCycle::new(left), LifeCycle::new(right));
            let pair = event_loop.memory_pair(left, right, MemoryOptions::default());
            event_loop.run_ready_now();
            pair.left.write(COMMAND);
            run_batches(&event_loop, batches);
            match cut {
                "cancel" => {
                    if let Some(opened) = upgrades[0].get() {
                        opened.cancel();
                    }
                }
                "reset" => pair.reset(),
                _ => pair.request_shutdown_of_left(),
            }
            event_loop.run_ready_now();
            for upgrade in upgrades {
                if let Some(Ok(transport)) = upgrade.get().map(|opened| opened.result()) {
                    transport.abort();
                }
            }
            pair.left.abort();
            pair.right.abort();
            event_loop.run_until_idle();
            for log in [left_log, right_log] {
                log.check_ended();
                assert!(log.is_lost(), "{cut} after {batches}");
            }
            check_empty(&event_loop);
        }
    }
}

#[test]
fn n56_a_handshake_that_fails_is_told_to_both_once() {
    let event_loop = TestLoop::new();
    let mut left = Session::client();
    left.role = TlsRole::Client { config: strangers().0, server_name: NAME.to_owned() };
    let upgraded = begin_upgrade(&event_loop, left, Session::server());
    event_loop.run_ready_now();
    upgraded.old[0].write(COMMAND);
    event_loop.run_ready_now();
    for side in [0, 1] {
        assert_eq!(upgraded.error(side).io_kind(), Some(ErrorKind::InvalidData));
        let reason = upgraded.logs[side].lost_reason().flatten().expect("a reason");
        assert!(reason.contains("handshake failed"), "{reason}");
        assert!(upgraded.received[side].get().is_empty(), "it was told of no handshake");
    }
    upgraded.finish(&event_loop);
}

#[test]
fn n54_n56_what_cannot_be_upgraded_is_an_error_and_ends() {
    let event_loop = TestLoop::new();
    let bad_name = || TlsRole::Client { config: configs().0, server_name: "not a name".to_owned() };
    let right = Hooks::new().keep_open();
    let ((left, left_log), (right, right_log)) = (Hooks::new().recorded(), right.recorded());
    let pair = event_loop.memory_pair(left, right, MemoryOptions::default());
    event_loop.run_ready_now();
    let opened = pair.left.start_tls(bad_name(), Early::Refuse, Vec::new());
    let error = event_loop.run_until_complete(&opened).err().unwrap();
    assert_eq!(error.io_kind(), Some(ErrorKind::InvalidInput), "{error}");
    event_loop.run_ready_now();
    assert!(left_log.lost_reason().flatten().is_some());
    // The other one was told of the end.
    let opened = pair.right.start_tls(as_server(), Early::Refuse, Vec::new());
    assert!(event_loop.run_until_complete(&opened).is_err());
    let opened = pair.left.start_tls(as_client(), Early::Refuse, Vec::new());
    let error = event_loop.run_until_complete(&opened).err().unwrap();
    assert_eq!(error.io_kind(), Some(ErrorKind::NotConnected), "{error}");
    event_loop.run_until_idle();
    left_log.check_ended();
    right_log.check_ended();
    check_empty(&event_loop);

    let (reader, writer) = std::io::pipe().unwrap();
    let reading = event_loop.connect_read_pipe(Hooks::new, reader);
    let reading = event_loop.run_until_complete(&reading).unwrap();
    let opened = reading.start_tls(as_server(), Early::Refuse, Vec::new());
    assert!(event_loop.run_until_complete(&opened).is_err());
    drop(writer);
    run_until(&event_loop, || event_loop.open_connections() == 0);
}

#[test]
fn n54_p21_a_protocol_that_was_set_in_the_same_method_goes_on() {
    let event_loop = TestLoop::new();
    let log = LifeCycleLog::default();
    let (seen, upgrade) = (log.clone(), Slot::new());
    let upgrading: Upgrade = upgrade.clone();
    let right = Hooks::new().data(move |transport, _| {
        let mut next = LifeCycle::with_log(Hooks::echo(), seen.clone());
        Protocol::connection_made(&mut next, transport); // for its own log
        transport.set_protocol(next);
        upgrading.set(Some(transport.start_tls(as_server(), Early::Refuse, Vec::new())));
    });
    let pair = event_loop.memory_pair(Hooks::new(), right, MemoryOptions::default());
    event_loop.run_ready_now();
    pair.left.write(COMMAND);
    event_loop.run_ready_now();
    let client = pair.left.start_tls(as_client(), Early::Refuse, Vec::new());
    let client = event_loop.run_until_complete(&client).unwrap();
    client.write(b"tulip");
    event_loop.run_ready_now();
    assert_eq!(log.bytes(), 5);
    assert!(log.calls().contains(&ProtocolCall::HandshakeCompleted));
    client.close();
    event_loop.run_until_idle();
    assert!(upgrade.get().unwrap().result().is_ok());
    log.check_ended();
    check_empty(&event_loop);
}

#[test]
fn x52_tls_inside_tls() {
    for seed in [None, Some(7)] {
        let event_loop = TestLoop::new();
        let options = MemoryOptions::default();
        let options = seed.map_or(options, |seed| options.trouble(seed));
        let recorded = begin(&event_loop, Hooks::new(), Hooks::echo(), options);
        let left = event_loop.run_until_complete(&recorded.pair.left).unwrap();
        let right = event_loop.run_until_complete(&recorded.pair.right).unwrap();
        // The roles are the other way round inside.
        let server = left.start_tls(as_server(), Early::Refuse, Vec::new());
        let client = right.start_tls(as_client(), Early::Refuse, Vec::new());
        let inner_left = event_loop.run_until_complete(&server).unwrap();
        let inner_right = event_loop.run_until_complete(&client).unwrap();
        let data = pattern(1_000_000);
        inner_left.write(&data);
        assert!(inner_left.get_write_buffer_size() > Bytes(500_000));
        event_loop.run_ready_now();
        assert_eq!(recorded.right.checksum(), LifeCycleLog::checksum_of(&data));
        assert_eq!(recorded.left.checksum(), LifeCycleLog::checksum_of(&data));
        assert_eq!(left.write(b"x"), WriteState::Refused(WriteRefusal::Upgraded));
        // What is held back by a pause is not lost when the peer says goodbye, twice.
        inner_right.pause_reading();
        inner_left.write(b"the end");
        inner_left.close();
        event_loop.run_ready_now();
        inner_right.resume_reading();
        event_loop.run_until_idle();
        assert_eq!(recorded.right.bytes(), 1_000_007);
        assert_eq!(recorded.right.lost_reason(), Some(None));
        assert_eq!(recorded.left.lost_reason(), Some(None));
        recorded.finish(&event_loop);
    }
}

#[test]
fn n54_r8_a_panic_in_handshake_completed_ends_its_own_connection() {
    struct Panics;
    impl Protocol for Panics {
        fn data_received(&mut self, _: &dyn Transport, _: &[u8]) {}
        fn handshake_completed(&mut self, _: &dyn Transport) {
            panic!("not like this");
        }
    }
    let event_loop = TestLoop::new();
    let errors = collect_errors(&event_loop);
    let (left, log) = LifeCycle::new(Panics);
    let pair = event_loop.memory_pair(left, Hooks::new(), MemoryOptions::default());
    event_loop.run_ready_now();
    let server = pair.right.start_tls(as_server(), Early::Refuse, Vec::new());
    let client = pair.left.start_tls(as_client(), Early::Refuse, Vec::new());
    event_loop.run_until_idle();
    assert!(client.result().is_err() && server.result().is_ok());
    assert_eq!(errors.take().len(), 1);
    assert!(log.lost_reason().flatten().is_some());
    check_empty(&event_loop);
}

#[test]
fn n54_l30_r6_a_loop_may_be_closed_during_an_upgrade() {
    for batches in 0..30 {
        let mut event_loop = TestLoop::new();
        event_loop.allow_leftovers();
        let kept = Rc::new(());
        let holder = kept.clone();
        let left = Hooks::new().data(move |_, _| drop(holder.clone()));
        let pair = event_loop.memory_pair(left, Hooks::new(), MemoryOptions::default());
        event_loop.run_ready_now();
        let server = pair.right.start_tls(as_server(), Early::Refuse, Vec::new());
        let client = pair.left.start_tls(as_client(), Early::Refuse, Vec::new());
        run_batches(&event_loop, batches);
        drop(event_loop);
        assert_eq!(Rc::strong_count(&kept), 1, "after {batches} batches");
        drop((server, client));
        assert!(pair.left.is_closing());
        assert!(!pair.left.write(b"late").is_taken());
    }
}

#[test]
fn w25_n54_a_limit_of_silence_goes_on_after_the_upgrade() {
    let event_loop = TestLoop::new();
    let (client, server) = (Session::client(), Session::server());
    let upgrades = [client.upgrade.clone(), server.upgrade.clone()];
    let limited = TimeoutProtocol::new(server, Duration::from_secs(60));
    let pair = event_loop.memory_pair(client, limited, MemoryOptions::default());
    event_loop.advance(Duration::from_secs(50));
    pair.left.write(COMMAND);
    event_loop.run_ready_now();
    let [client, server] = upgrades.map(|slot| slot.take().unwrap().result().unwrap());
    event_loop.advance(Duration::from_secs(59));
    assert!(!server.is_closing());
    client.write(b"still here");
    event_loop.advance(Duration::from_secs(59));
    assert!(!server.is_closing());
    event_loop.advance(Duration::from_secs(1));
    assert!(server.is_closing());
    check_empty(&event_loop);
}

#[test]
fn w25_n54_a_limit_that_passes_during_the_handshake_holds_after_it() {
    let event_loop = TestLoop::new();
    let (client, server) = (Session::client(), Session::server());
    let upgrades = [client.upgrade.clone(), server.upgrade.clone()];
    let limited = TimeoutProtocol::new(server, Duration::from_secs(10));
    let pair = event_loop.memory_pair(client, limited, MemoryOptions::default());
    event_loop.run_ready_now();
    pair.left.pause_reading(); // so that it hears of no answer, and begins no handshake
    pair.left.write(COMMAND);
    event_loop.advance(Duration::from_secs(15));
    pair.left.resume_reading();
    event_loop.run_ready_now();
    let [_client, server] = upgrades.map(|slot| slot.take().unwrap().result().unwrap());
    event_loop.advance(Duration::from_secs(9));
    assert!(!server.is_closing());
    event_loop.advance(Duration::from_secs(1));
    assert!(server.is_closing());
    check_empty(&event_loop);
}

#[test]
fn n54_p6_a_protocol_that_was_told_to_pause_is_told_by_the_new_transport_to_go_on() {
    let event_loop = TestLoop::new();
    let left = LifeCycle::new(Hooks::new());
    let received: Slot<usize> = Slot::new();
    let (seen, server) = (received.clone(), Slot::new());
    let upgrade: Upgrade = server.clone();
    let right = Hooks::new().data(move |transport, data| {
        let before = seen.get();
        seen.set(before + data.len());
        if before < 300_000 && before + data.len() >= 300_000 {
            let unread = data[300_000 - before..].to_vec();
            upgrade.set(Some(transport.start_tls(as_server(), Early::Feed, unread)));
        }
    });
    let pair = event_loop.memory_pair(left.0, right, MemoryOptions::default());
    event_loop.run_ready_now();
    pair.right.pause_reading();
    pair.left.write(&pattern(300_000));
    event_loop.run_ready_now();
    assert!(left.1.is_paused());
    let client = pair.left.start_tls(as_client(), Early::Refuse, Vec::new());
    pair.right.resume_reading();
    let client = event_loop.run_until_complete(&client).unwrap();
    event_loop.run_ready_now();
    assert!(!left.1.is_paused());
    let calls = left.1.calls();
    let end = [ProtocolCall::HandshakeCompleted, ProtocolCall::ResumeWriting];
    assert_eq!(calls[calls.len() - 2..], end);
    client.close();
    event_loop.run_until_idle();
    assert!(server.get().unwrap().result().is_ok());
    left.1.check_ended();
    check_empty(&event_loop);
}

#[test]
fn x5_x47_a_close_over_tls_lingers_no_longer_than_one_in_clear() {
    use tulipa_transports::{ConnectOptions, ServerOptions};
    let event_loop = TestLoop::new();
    let (client, server) = configs();
    let linger = std::time::Duration::from_secs(3);
    let options = ServerOptions::from(("127.0.0.1", 0)).tls(server).linger(Some(linger));
    let (right, log) = (Slot::new(), LifeCycleLog::default());
    let (handle, seen) = (right.clone(), log.clone());
    let factory = move || {
        let handle = handle.clone();
        let hooks = Hooks::new().made(move |transport| handle.set(Some(transport.handle())));
        LifeCycle::with_log(hooks, seen.clone())
    };
    let server = event_loop.create_server(factory, options).result().unwrap();
    let port = server.addresses()[0].port().unwrap();
    let options = ConnectOptions::from(("127.0.0.1", port)).tls(client).server_name(NAME);
    let left = event_loop.create_connection(Hooks::new, options);
    let left = event_loop.run_until_complete(&left).unwrap();
    run_until(&event_loop, || log.is_made());
    left.pause_reading();
    let right: Rc<dyn Transport> = right.take().unwrap();
    right.write(b"tulip");
    right.close();
    event_loop.run_ready_now();
    assert!(!log.is_lost(), "it waits for the goodbye");
    event_loop.advance(linger);
    run_until(&event_loop, || log.is_lost());
    assert!(log.lost_reason().flatten().is_some());
    left.abort();
    server.close();
    run_until(&event_loop, || event_loop.open_connections() == 0);
}

#[test]
fn n54_w2_the_old_transport_knows_why_the_connection_was_lost() {
    type Cause = fn(&Upgraded, &MemoryPair);
    let causes: [(&str, Cause); 5] = [
        ("closed", |upgraded, _| upgraded.new_transport(0).close()),
        ("aborted", |upgraded, _| upgraded.new_transport(0).abort_with(Exception::msg("enough"))),
        ("closed by the peer", |upgraded, _| upgraded.new_transport(1).close()),
        ("cut by the peer", |upgraded, _| upgraded.new_transport(1).abort()),
        ("reset", |_, pair| pair.reset()),
    ];
    for (name, cause) in causes {
        let event_loop = TestLoop::new();
        let (upgraded, pair) =
            begin_upgrade_over(&event_loop, Session::client(), Session::server());
        event_loop.run_ready_now();
        upgraded.old[0].write(COMMAND);
        event_loop.run_ready_now();
        let new = upgraded.new_transport(0);
        cause(&upgraded, &pair);
        upgraded.finish(&event_loop);
        let told = upgraded.logs[0].lost_reason().expect("it was told");
        for transport in [&new, &upgraded.old[0]] {
            assert_eq!(transport.lost_reason().map(|reason| reason.to_string()), told, "{name}");
        }
    }
}

#[test]
fn n54_w6_a_client_that_reconnects_follows_its_connection_into_tls() {
    for answers in [true, false] {
        let event_loop = TestLoop::new();
        let wires: Slot<Vec<Upgraded>> = Slot::new();
        let made = wires.clone();
        let connect = move |client: &ReconnectingClient| {
            let event_loop = client.get_loop();
            let right =
                Session { awaits: if answers { COMMAND } else { b"never" }, ..Session::server() };
            let ((left, left_log), (right, right_log)) =
                (LifeCycle::new(Session::client()), LifeCycle::new(right));
            let pair = event_loop.memory_pair(left, right, MemoryOptions::default());
            let future = event_loop.create_future();
            future.set_result(pair.left.clone()).unwrap();
            made.update(|all| {
                all.push(Upgraded {
                    logs: [left_log, right_log],
                    received: [Slot::new(), Slot::new()],
                    upgrades: [Slot::new(), Slot::new()],
                    old: [pair.left, pair.right],
                });
            });
            future
        };
        let client = event_loop.create_reconnecting_client(connect, ReconnectOptions::default());
        let plain = event_loop.run_until_complete(&client.when_connected()).unwrap();
        let wire = wires.take().pop().unwrap();
        match answers {
            true => plain.write(COMMAND),
            false => wire.old[1].write(ANSWER), // and keeps silent
        };
        event_loop.run_ready_now();
        assert!(plain.is_closing(), "it is another one now");
        if answers {
            let transport = client.when_connected().result().unwrap();
            assert!(transport.extra_info().tls.is_some());
        }
        client.close();
        event_loop.run_ready_now();
        assert!(client.wait_closed().done());
        if !answers {
            wire.old[1].abort();
        }
        wire.finish(&event_loop);
    }
}
