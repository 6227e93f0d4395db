//! The log of what passes: complete, bounded, and nothing of the peer's that could be taken for ours (W-7).

use crate::support::*;
use eventloop::TestLoop;
use tulipa_transports::testing::{MemoryLoop, MemoryOptions, MemoryPair};
use tulipa_transports::wrappers::TrafficLog;
use tulipa_transports::{Address, Bytes, Factory, Protocol};

fn logged(event_loop: &TestLoop, log: TrafficLog, inner: Hooks) -> (MemoryPair, Slot<Vec<String>>) {
    let lines: Slot<Vec<String>> = Slot::new();
    let sink = lines.clone();
    let log = log.to(move |event| sink.update(|all| all.push(event.to_owned())));
    let mut inner = Some(inner);
    let protocol =
        log.wrap(move || inner.take()).build_protocol(&Address::Unnamed).unwrap().unwrap();
    let pair = event_loop.memory_pair(protocol, Hooks::echo(), MemoryOptions::default());
    event_loop.run_ready_now();
    (pair, lines)
}

#[test]
fn w7_every_event_of_a_connection_is_written_down() {
    let event_loop = TestLoop::new();
    let hooks = Hooks::new()
        .made(|transport| {
            transport.write(b"tulip\r\n");
            transport.writelines(&[b"\0\xFF", b"~"]);
        })
        .data(|transport, _| {
            transport.close();
            transport.write(b"late");
        });
    let (_pair, lines) = logged(&event_loop, TrafficLog::new(), hooks);
    event_loop.run_until_idle();
    let expected = [
        "#1 (unnamed) connected",
        "#1 (unnamed) written 7 bytes\n  0000  74 75 6c 69 70 0d 0a                             tulip..",
        "#1 (unnamed) written 3 bytes\n  0000  00 ff 7e                                         ..~",
        "#1 (unnamed) received 10 bytes\n  0000  74 75 6c 69 70 0d 0a 00 ff 7e                    tulip....~",
        "#1 (unnamed) closes",
        "#1 (unnamed) 4 bytes not written: the transport is closed",
        "#1 (unnamed) ended; 10 bytes received, 10 written",
    ];
    assert_eq!(lines.take(), expected);
}

#[test]
fn w7_what_is_shown_is_bounded_for_each_event_and_each_connection() {
    let event_loop = TestLoop::new();
    let log = TrafficLog::new().show(Bytes(20)).show_of_connection(Bytes(30));
    let hooks = Hooks::new().made(|transport| {
        for _ in 0..3 {
            transport.write(&[b'a'; 100]);
        }
        transport.abort_with(futures::Exception::msg("enough"));
    });
    let (_pair, lines) = logged(&event_loop, log, hooks);
    event_loop.run_until_idle();
    let lines = lines.take();
    let shown: usize = lines.iter().map(|line| line.matches(" 61").count()).sum();
    assert_eq!(shown, 30);
    assert!(lines[1].ends_with("\n  and 80 more") && lines[2].ends_with("\n  and 90 more"));
    assert_eq!(lines[3], "#1 (unnamed) written 100 bytes\n  and 100 more");
    assert_eq!(lines[4], "#1 (unnamed) aborts: enough");
    assert!(lines[5].starts_with("#1 (unnamed) lost: enough; "), "{lines:?}");
}

#[test]
fn w7_each_connection_has_its_number() {
    let event_loop = TestLoop::new();
    let log = TrafficLog::new();
    let (one, first) = logged(&event_loop, log.clone(), Hooks::new());
    let (two, second) = logged(&event_loop, log, Hooks::new());
    assert!(first.take()[0].starts_with("#1 ") && second.take()[0].starts_with("#2 "));
    one.left.close();
    two.left.close();
    event_loop.run_until_idle();
}

#[test]
fn w7_a_log_that_is_off_copies_nothing() {
    // Without a sink it goes to the log, which is off here: buffered protocols get no copies.
    struct Own;
    impl tulipa_transports::BufferedProtocol for Own {
        fn get_buffer(
            &mut self,
            _: &dyn tulipa_transports::Transport,
            _: Option<usize>,
        ) -> &mut [u8] {
            &mut []
        }
        fn buffer_updated(&mut self, _: &dyn tulipa_transports::Transport, _: usize) {}
    }
    let factory = || tulipa_transports::Buffered(Own);
    let mut off =
        TrafficLog::new().wrap(factory).build_protocol(&Address::Unnamed).unwrap().unwrap();
    assert!(Protocol::as_buffered(&mut off).is_some());
    let mut on = TrafficLog::new()
        .to(|_| {})
        .wrap(factory)
        .build_protocol(&Address::Unnamed)
        .unwrap()
        .unwrap();
    assert!(Protocol::as_buffered(&mut on).is_none());
}
