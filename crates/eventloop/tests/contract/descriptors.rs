//! Watching descriptors (L-37 to L-46).

use crate::common::fake::fake_loop;
use crate::common::{
    Captured, OnDrop, SECOND, Trace, for_each_builder, for_each_loop, record_reports, socket_pair,
};
use futures::TaskLocal;
use std::cell::{Cell, RefCell};
use std::io::{ErrorKind, Read, Write};
use std::num::NonZeroU32;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;
use tulipa_eventloop::prelude::*;
use tulipa_eventloop::{Direction, EventLoop, Interest, Source, SourceKind, Taken, Trigger};

fn once(event_loop: &EventLoop) {
    event_loop.run_ready().unwrap();
}

#[test]
fn l37_a_ready_descriptor_runs_its_callback_once_an_iteration_until_it_is_removed() {
    for_each_loop(|event_loop| {
        let trace = Trace::new();
        let (ours, mut theirs) = socket_pair();
        event_loop.add_reader(ours.clone(), trace.mark("read")).unwrap();
        once(&event_loop);
        assert!(trace.take().is_empty());
        theirs.write_all(b"x").unwrap();
        for _ in 0..3 {
            // Other batches of the same iteration do not count.
            let handle = event_loop.handle();
            event_loop.call_soon(move || drop(handle.call_soon(|| {})));
            once(&event_loop);
            assert_eq!(trace.take(), ["read"], "level-triggered");
        }
        event_loop.add_writer(ours.clone(), trace.mark("write")).unwrap();
        once(&event_loop);
        assert_eq!(trace.take(), ["read", "write"], "independent of each other");
        assert!(event_loop.remove_reader(&ours).unwrap());
        once(&event_loop);
        assert_eq!(trace.take(), ["write"]);
        assert!(event_loop.remove_writer(&ours).unwrap());
        once(&event_loop);
        assert!(trace.take().is_empty());
    });
}

#[test]
fn l37_adding_one_direction_does_not_cost_the_other_its_turn() {
    for_each_loop(|event_loop| {
        let trace = Trace::new();
        let (ours, mut theirs) = socket_pair();
        theirs.write_all(b"x").unwrap();
        let (handle, fd, seen) = (event_loop.handle(), ours.clone(), trace.clone());
        event_loop.add_reader(ours, trace.mark("read")).unwrap();
        // The reader's turn is queued behind this callback.
        event_loop.call_soon(move || handle.add_writer(fd, seen.mark("write")).unwrap());
        event_loop.stop();
        event_loop.run_forever().unwrap();
        assert_eq!(trace.take(), ["read"]);
        once(&event_loop);
        assert_eq!(trace.take(), ["read", "write"]);
    });
}

#[test]
fn l38_a_second_callback_replaces_the_first_even_if_that_is_queued() {
    for_each_loop(|event_loop| {
        let (trace, captured) = (Trace::new(), Captured::new());
        let (ours, mut theirs) = socket_pair();
        theirs.write_all(b"x").unwrap();
        let (mut first, mut hold) = (trace.mark("first"), captured.hold());
        event_loop
            .add_reader(ours.clone(), move || {
                hold();
                first();
            })
            .unwrap();
        let (handle, fd, seen) = (event_loop.handle(), ours.clone(), trace.clone());
        event_loop.call_soon(move || handle.add_reader(fd, seen.mark("second")).unwrap());
        event_loop.stop();
        event_loop.run_forever().unwrap();
        assert!(trace.take().is_empty(), "what was noticed was noticed for the first");
        assert_eq!(captured.copies(), 0);
        once(&event_loop);
        assert_eq!(trace.take(), ["second"]);

        // Removed and added again within a batch: the same.
        let (handle, fd, seen) = (event_loop.handle(), ours.clone(), trace.clone());
        event_loop.call_soon(move || {
            assert!(handle.remove_reader(&fd).unwrap());
            handle.add_reader(fd.clone(), seen.mark("third")).unwrap();
        });
        event_loop.stop();
        event_loop.run_forever().unwrap();
        assert!(trace.take().is_empty());
        // With the other direction watched all along, as well.
        event_loop.add_writer(ours.clone(), trace.mark("write")).unwrap();
        let (handle, fd, seen) = (event_loop.handle(), ours.clone(), trace.clone());
        event_loop.call_soon(move || {
            assert!(handle.remove_reader(&fd).unwrap());
            handle.add_reader(fd.clone(), seen.mark("fourth")).unwrap();
        });
        event_loop.stop();
        event_loop.run_forever().unwrap();
        assert_eq!(trace.take(), ["write"]);
        once(&event_loop);
        assert_eq!(trace.take(), ["fourth", "write"]);
    });
}

#[test]
fn l38_l45_replacing_for_ever_keeps_no_more_owners() {
    for_each_loop(|event_loop| {
        let (ours, _theirs) = socket_pair();
        for _ in 0..100 {
            event_loop.add_reader(ours.clone(), || {}).unwrap();
            event_loop.add_writer(ours.clone(), || {}).unwrap();
        }
        assert!(Rc::strong_count(&ours) <= 4, "{} owners", Rc::strong_count(&ours));
        let owners = Rc::strong_count(&ours);
        assert!(event_loop.remove_reader(&ours).unwrap());
        assert_eq!(Rc::strong_count(&ours), owners - 1, "the reader's owner is gone with it");
        assert!(event_loop.remove_writer(&ours).unwrap());
        assert_eq!(Rc::strong_count(&ours), 1);
    });
}

#[test]
fn l39_a_removal_says_whether_there_was_one_and_its_queued_turn_is_off() {
    for_each_loop(|event_loop| {
        let (trace, captured) = (Trace::new(), Captured::new());
        let (ours, mut theirs) = socket_pair();
        assert!(!event_loop.remove_reader(&ours).unwrap());
        assert!(!event_loop.remove_writer(&ours).unwrap());
        theirs.write_all(b"x").unwrap();
        let (mut read, mut hold) = (trace.mark("read"), captured.hold());
        event_loop
            .add_reader(ours.clone(), move || {
                hold();
                read();
            })
            .unwrap();
        assert!(!event_loop.remove_writer(&ours).unwrap());
        let (handle, fd, gone) = (event_loop.handle(), ours.clone(), captured.clone());
        event_loop.call_soon(move || {
            assert!(handle.remove_reader(&fd).unwrap());
            assert!(!handle.remove_reader(&fd).unwrap());
            assert_eq!(gone.copies(), 1, "dropped at once: only this closure has one");
        });
        once(&event_loop);
        once(&event_loop);
        assert!(trace.take().is_empty());
        assert_eq!(event_loop.stats().sources, 0);
    });
}

#[test]
fn l39_a_callback_may_remove_itself_and_goes_on() {
    for_each_loop(|event_loop| {
        let trace = Trace::new();
        let (ours, mut theirs) = socket_pair();
        theirs.write_all(b"x").unwrap();
        let (handle, fd, seen) = (event_loop.handle(), ours.clone(), trace.clone());
        let value = trace.on_drop("captures dropped");
        event_loop
            .add_reader(ours, move || {
                assert!(handle.remove_reader(&fd).unwrap());
                seen.note(format!("goes on with {} bytes", size_of_val(&value).min(1)));
            })
            .unwrap();
        once(&event_loop);
        once(&event_loop);
        assert_eq!(trace.take(), ["goes on with 1 bytes", "captures dropped"]);
    });
}

#[test]
fn l40_one_direction_leaves_the_other_and_without_both_the_poller_forgets_the_descriptor() {
    for_each_loop(|event_loop| {
        let (ours, theirs) = socket_pair();
        let trace = Trace::new();
        event_loop.add_reader(ours.clone(), trace.mark("read")).unwrap();
        event_loop.add_writer(ours.clone(), trace.mark("write")).unwrap();
        assert!(event_loop.remove_writer(&ours).unwrap());
        drop(theirs);
        once(&event_loop);
        assert_eq!(trace.take(), ["read"]);
        assert!(event_loop.remove_reader(&ours).unwrap());
        let before = event_loop.stats().io_events;
        once(&event_loop);
        assert_eq!(event_loop.stats().io_events, before, "the hang-up is not even reported");
        assert_eq!(Rc::strong_count(&ours), 1);
        // Nothing of the old registration is in the way of a new one.
        event_loop.add_writer(ours.clone(), trace.mark("again")).unwrap();
        once(&event_loop);
        assert_eq!(trace.take(), ["again"]);
    });
}

/// A source as a transport makes them.
struct Transport(UnixStream, Trace);

impl Source for Transport {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
    fn ready(self: Rc<Self>, direction: Direction) -> Taken {
        self.1.note(format!("{direction:?}"));
        Taken::Unknown
    }
    fn flush(self: Rc<Self>) {
        self.1.note("flush");
    }
    fn kind(&self) -> SourceKind {
        SourceKind::Transport
    }
    fn describe(&self) -> String {
        "the transport to 192.0.2.1".to_owned()
    }
}

fn transport(trace: &Trace) -> (Rc<Transport>, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    (Rc::new(Transport(ours, trace.clone())), theirs)
}

/// A source that may be watched by edges.
struct ByEdges(UnixStream, Box<dyn Fn(&UnixStream) -> Taken>);

impl Source for ByEdges {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
    fn ready(self: Rc<Self>, _: Direction) -> Taken {
        (self.1)(&self.0)
    }
    fn trigger(&self) -> Trigger {
        Trigger::Edge
    }
    fn kind(&self) -> SourceKind {
        SourceKind::Transport
    }
    fn describe(&self) -> String {
        "by edges".to_owned()
    }
}

#[test]
fn l37_l9_a_source_by_edges_that_did_not_take_all_is_told_again() {
    for_each_loop(|event_loop| {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let turns = Rc::new(Cell::new(0));
        let count = turns.clone();
        let turn = move |_: &UnixStream| {
            count.set(count.get() + 1);
            assert!(count.get() != 2, "expected");
            Taken::Unknown
        };
        let source = ByEdges(ours, Box::new(turn));
        let reports = record_reports(&**event_loop);
        let key = event_loop.watch(Rc::new(source), Interest::READ).unwrap();
        theirs.write_all(b"x").unwrap();
        for turn in 1..5 {
            once(&event_loop);
            assert_eq!(turns.get(), turn, "one panicked");
        }
        // Nobody wants to know for a while: what came is not lost.
        event_loop.set_interest(key, Interest::NONE).unwrap();
        once(&event_loop);
        event_loop.set_interest(key, Interest::READ).unwrap();
        once(&event_loop);
        assert_eq!(turns.get(), 5);
        assert_eq!(reports.take().len(), 1);
        drop(event_loop.unwatch(key));
    });
}

#[test]
fn l37_l44_a_source_by_edges_that_took_all_hears_of_what_is_new() {
    for_each_loop(|event_loop| {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let trace = Trace::new();
        let seen = trace.clone();
        let turn = move |mut socket: &UnixStream| {
            let count = socket.read(&mut [0; 8]).unwrap();
            seen.note(count.to_string());
            Taken::All
        };
        let source = ByEdges(ours, Box::new(turn));
        let key = event_loop.watch(Rc::new(source), Interest::READ).unwrap();
        for _ in 0..3 {
            theirs.write_all(b"xy").unwrap();
            for _ in 0..3 {
                once(&event_loop);
            }
            assert_eq!(trace.take(), ["2"]);
        }
        // The end came together with data: a turn that took the data has not taken that.
        theirs.write_all(b"xy").unwrap();
        drop(theirs);
        once(&event_loop);
        once(&event_loop);
        assert_eq!(trace.take(), ["2", "0"]);
        drop(event_loop.unwatch(key));
    });
}

/// A source that nobody waits for any more, and what happens when it goes.
struct CalledOff(Rc<UnixStream>, #[expect(dead_code)] OnDrop);

impl Source for CalledOff {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
    fn ready(self: Rc<Self>, _: Direction) -> Taken {
        Taken::Unknown
    }
    fn is_called_off(&self) -> bool {
        true
    }
    fn kind(&self) -> SourceKind {
        SourceKind::Operation
    }
    fn describe(&self) -> String {
        "an operation".to_owned()
    }
}

#[test]
fn l26_l30_n48_a_source_that_closes_the_loop_as_it_makes_room_leaves_nothing_watched() {
    for_each_loop(|event_loop| {
        let (ours, _theirs) = socket_pair();
        let handle = event_loop.handle();
        let closes = OnDrop::new(move || handle.close().unwrap());
        let before = Rc::new(CalledOff(ours.clone(), closes));
        event_loop.watch(before, Interest::READ).unwrap();
        let after = Rc::new(CalledOff(ours.clone(), OnDrop::new(|| ())));
        let refused = event_loop.watch(after.clone(), Interest::READ).unwrap_err();
        assert!(refused.get_ref().unwrap().is::<futures::ClosedError>(), "{refused}");
        assert!(event_loop.is_closed());
        assert_eq!((event_loop.stats().sources, Rc::strong_count(&after)), (0, 1));
    });
}

#[test]
fn l41_a_transports_descriptor_is_refused_and_the_error_says_whose_it_is() {
    for_each_loop(|event_loop| {
        let trace = Trace::new();
        let (source, _peer) = transport(&trace);
        // A second owner of the same number, as a program with the transport's socket has.
        #[derive(Clone)]
        struct Borrowed(Rc<Transport>);
        impl AsFd for Borrowed {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.0.0.as_fd()
            }
        }
        let number = Borrowed(source.clone());
        for interest in [Interest::READ, Interest::NONE] {
            let key = event_loop.watch(source.clone(), interest).unwrap();
            let refused = [
                event_loop.add_reader(number.clone(), || {}).unwrap_err(),
                event_loop.add_writer(number.clone(), || {}).unwrap_err(),
                event_loop.remove_reader(&number).unwrap_err(),
                event_loop.remove_writer(&number).unwrap_err(),
            ];
            for error in refused {
                assert_eq!(error.kind(), ErrorKind::InvalidInput);
                assert!(error.to_string().contains("the transport to 192.0.2.1"), "{error}");
            }
            let error = event_loop.watch(source.clone(), Interest::READ).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AlreadyExists);
            assert!(Rc::ptr_eq(
                &(event_loop.unwatch(key).unwrap() as Rc<dyn std::any::Any>)
                    .downcast::<Transport>()
                    .unwrap(),
                &source
            ));
        }
        // Once the transport is done with it, it is as good as any.
        event_loop.add_writer(number.clone(), || {}).unwrap();
        assert!(event_loop.remove_writer(&number).unwrap());
    });
}

#[test]
fn l41_the_loops_own_descriptor_is_refused() {
    for_each_loop(|event_loop| {
        let own: OwnedFd = event_loop.as_fd().unwrap().try_clone_to_owned().unwrap();
        let error = event_loop.add_reader(own, || {}).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert_eq!(event_loop.stats().sources, 0);
        once(&event_loop);
    });
}

#[test]
fn l42_a_regular_file_is_refused_with_the_systems_error_and_nothing_is_kept() {
    for_each_loop(|event_loop| {
        let captured = Captured::new();
        let file = Rc::new(std::fs::File::open("Cargo.toml").unwrap());
        for _ in 0..2 {
            let error = event_loop.add_reader(file.clone(), captured.hold()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
            let error = event_loop.add_writer(file.clone(), captured.hold()).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::PERM.raw_os_error()));
        }
        assert_eq!((Rc::strong_count(&file), captured.copies()), (1, 0));
        assert_eq!(event_loop.stats().sources, 0);
        assert!(!event_loop.remove_reader(&file).unwrap());
    });
}

#[test]
fn l43_a_number_that_is_closed_and_reused_within_one_batch_gets_no_old_event() {
    for_each_loop(|event_loop| {
        let rounds = 2_500; // four loops: 10,000 in all
        let reused = Rc::new(Cell::new(0));
        for _ in 0..rounds {
            // Two descriptors are ready; whichever comes first closes the other one and puts a new
            // one, which is not ready, in its place.
            let (first, mut first_peer) = socket_pair();
            let (second, mut second_peer) = socket_pair();
            first_peer.write_all(b"x").unwrap();
            second_peer.write_all(b"x").unwrap();
            let peers = Rc::new(RefCell::new(vec![first_peer, second_peer]));
            let (turns, latest) = (Rc::new(Cell::new(0)), Rc::new(RefCell::new(None)));
            let slots = Rc::new(RefCell::new([Some(first.clone()), Some(second.clone())]));
            for (index, socket) in [first, second].into_iter().enumerate() {
                let (handle, slots, turns) = (event_loop.handle(), slots.clone(), turns.clone());
                let (peers, reused, latest) = (peers.clone(), reused.clone(), latest.clone());
                event_loop
                    .add_reader(socket, move || {
                        turns.set(turns.get() + 1);
                        let own = slots.borrow_mut()[index].take().unwrap();
                        assert!(handle.remove_reader(&own).unwrap());
                        let other = slots.borrow_mut()[1 - index].take().unwrap();
                        let number = other.as_raw_fd();
                        assert!(handle.remove_reader(&other).unwrap());
                        drop(other); // the last owner: the number is free
                        let (new, peer) = socket_pair();
                        reused.set(reused.get() + u32::from(new.as_raw_fd() == number));
                        peers.borrow_mut().push(peer);
                        *latest.borrow_mut() = Some(new.clone());
                        handle.add_reader(new, || panic!("an event of the old one")).unwrap();
                    })
                    .unwrap();
            }
            event_loop.stop();
            event_loop.run_forever().unwrap();
            assert_eq!(turns.get(), 1);
            once(&event_loop);
            assert_eq!(event_loop.stats().sources, 1);
            let new = latest.take().unwrap();
            assert!(event_loop.remove_reader(&new).unwrap());
        }
        assert!(reused.get() > rounds / 2, "reused {} times of {rounds}", reused.get());
    });
}

#[test]
fn l43_removing_and_closing_in_one_turn_is_fine() {
    for_each_loop(|event_loop| {
        for _ in 0..50 {
            let (ours, mut theirs) = socket_pair();
            theirs.write_all(b"x").unwrap();
            let (handle, fd) = (event_loop.handle(), RefCell::new(Some(ours.clone())));
            event_loop.add_writer(ours.clone(), || {}).unwrap();
            event_loop
                .add_reader(ours, move || {
                    let fd = fd.take().unwrap();
                    assert!(handle.remove_reader(&fd).unwrap());
                    assert!(handle.remove_writer(&fd).unwrap());
                })
                .unwrap();
            once(&event_loop);
            assert_eq!(event_loop.stats().sources, 0);
        }
        assert_eq!(event_loop.stats().stale_events, 0);
    });
}

#[test]
fn l44_hang_up_and_error_wake_both_directions() {
    for_each_loop(|event_loop| {
        let trace = Trace::new();
        let (ours, theirs) = socket_pair();
        event_loop.add_reader(ours.clone(), trace.mark("read")).unwrap();
        event_loop.add_writer(ours.clone(), trace.mark("write")).unwrap();
        drop(theirs);
        once(&event_loop);
        assert_eq!(trace.take(), ["read", "write"]);
        event_loop.remove_reader(&ours).unwrap();
        event_loop.remove_writer(&ours).unwrap();

        // A pipe's write end: closing the other end is an error, not readiness to write.
        let (read_end, write_end) = rustix::pipe::pipe().unwrap();
        rustix::io::ioctl_fionbio(&write_end, true).unwrap();
        while rustix::io::write(&write_end, &[0; 4096]).is_ok() {}
        let write_end = Rc::new(write_end);
        event_loop.add_writer(write_end.clone(), trace.mark("write")).unwrap();
        once(&event_loop);
        assert!(trace.take().is_empty());
        drop(read_end);
        once(&event_loop);
        assert_eq!(trace.take(), ["write"]);
        event_loop.remove_writer(&write_end).unwrap();

        // A pipe's read end: the hang-up.
        let (read_end, write_end) = rustix::pipe::pipe().unwrap();
        let read_end = Rc::new(read_end);
        event_loop.add_reader(read_end.clone(), trace.mark("read")).unwrap();
        drop(write_end);
        once(&event_loop);
        assert_eq!(trace.take(), ["read"]);
    });
}

#[test]
fn l44_a_hang_up_that_nobody_watches_does_not_make_the_loop_spin() {
    for_each_loop(|event_loop| {
        let trace = Trace::new();
        let (ours, theirs) = socket_pair();
        event_loop.add_reader(ours.clone(), || {}).unwrap();
        assert!(event_loop.remove_reader(&ours).unwrap());
        let (source, peer) = transport(&trace);
        let key = event_loop.watch(source, Interest::BOTH).unwrap();
        event_loop.set_interest(key, Interest::NONE).unwrap();
        drop((theirs, peer));
        let handle = event_loop.handle();
        event_loop.call_later(Duration::from_millis(2), move || handle.stop());
        event_loop.run_forever().unwrap();
        let stats = event_loop.stats();
        assert_eq!(stats.io_events, 0);
        assert!(stats.polls <= 4, "{stats:?}");
        // Watched again, it is reported again.
        event_loop.set_interest(key, Interest::READ).unwrap();
        once(&event_loop);
        assert_eq!(trace.take(), ["Read"]);
    });
}

#[test]
fn l45_a_registration_owns_what_it_watches() {
    for_each_loop(|event_loop| {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let trace = Trace::new();
        struct Owner(UnixStream, #[expect(dead_code, reason = "held")] crate::common::OnDrop);
        impl AsFd for Owner {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.0.as_fd()
            }
        }
        let owner = Owner(ours, trace.on_drop("closed"));
        let (handle, seen) = (event_loop.handle(), trace.clone());
        event_loop
            .add_reader(owner, move || {
                seen.note("read");
                handle.stop();
            })
            .unwrap();
        theirs.write_all(b"x").unwrap();
        event_loop.run_forever().unwrap();
        assert_eq!(trace.take(), ["read"], "open for as long as it is watched");
        event_loop.close().unwrap();
        assert_eq!(trace.take(), ["closed"]);
        assert_eq!(theirs.read(&mut [0; 8]).unwrap_or(0), 0);
    });
}

#[test]
fn l45_a_descriptor_may_ask_the_loop_while_it_is_registered() {
    for_each_loop(|event_loop| {
        struct Curious(UnixStream, tulipa_eventloop::LoopHandle);
        impl AsFd for Curious {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.1.stats();
                self.1.dump();
                self.0.as_fd()
            }
        }
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let curious = Rc::new(Curious(ours, event_loop.handle()));
        event_loop.add_writer(curious.clone(), || {}).unwrap();
        event_loop.add_reader(curious.clone(), || {}).unwrap();
        once(&event_loop);
        assert!(event_loop.dump().contains("descriptor"));
        assert!(event_loop.remove_writer(&curious).unwrap());
        assert!(event_loop.remove_reader(&curious).unwrap());
    });
}

#[test]
fn l46_i4_a_loop_that_cannot_watch_descriptors_says_unsupported_and_does_the_rest() {
    let (event_loop, _script) = fake_loop();
    let (trace, captured) = (Trace::new(), Captured::new());
    let (ours, _theirs) = socket_pair();
    let error = event_loop.add_reader(ours.clone(), captured.hold()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let error = event_loop.add_writer(ours.clone(), captured.hold()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(!event_loop.remove_reader(&ours).unwrap());
    assert_eq!((Rc::strong_count(&ours), captured.copies()), (1, 0));
    assert_eq!(event_loop.as_fd().unwrap_err().kind(), ErrorKind::Unsupported);
    event_loop.call_soon(trace.mark("callback"));
    event_loop.call_later(SECOND, trace.mark("timer"));
    event_loop.run_once(None).unwrap();
    event_loop.run_once(None).unwrap();
    assert_eq!(trace.take(), ["callback", "timer"]);
}

#[test]
fn l2_sources_are_flushed_before_each_poll_in_the_order_of_the_requests() {
    for_each_builder(|builder| {
        let event_loop = builder.batches_between_polls(NonZeroU32::MIN).build().unwrap();
        let traces = [Trace::new(), Trace::new()];
        let sources = [transport(&traces[0]), transport(&traces[1])];
        let keys: Vec<_> = sources
            .iter()
            .map(|(source, _)| event_loop.watch(source.clone(), Interest::READ).unwrap())
            .collect();
        let (handle, wanted) = (event_loop.handle(), keys.clone());
        event_loop.call_soon(move || wanted.iter().for_each(|key| handle.flush_later(*key)));
        once(&event_loop);
        for trace in &traces {
            assert_eq!(trace.take(), ["flush"], "at the end of the run at the latest");
        }
        event_loop.flush_later(keys[0]);
        assert!(event_loop.next_deadline().is_some(), "a flush is due: the host is to call");
        event_loop.unwatch(keys[0]).unwrap();
        once(&event_loop);
        assert!(traces[0].take().is_empty(), "who is gone is not flushed");
    });
}

#[test]
fn l53_a_watched_descriptor_has_the_values_of_the_place_that_watches_it() {
    static REQUEST: TaskLocal<u32> = TaskLocal::new();
    for_each_loop(|event_loop| {
        let trace = Trace::new();
        let [first, second] = [(); 2].map(|()| socket_pair().0);
        let look = |name: &'static str| {
            let trace = trace.clone();
            move || {
                trace.note(format!("{name} {:?}", REQUEST.get()));
                REQUEST.set(9);
            }
        };
        event_loop.add_writer(first.clone(), look("first")).unwrap();
        REQUEST.sync_scope(1, || event_loop.add_writer(second.clone(), look("second"))).unwrap();
        for _ in 0..2 {
            REQUEST.sync_scope(5, || once(&event_loop));
            let mut turns = trace.take();
            turns.sort();
            assert_eq!(turns, ["first None", "second Some(1)"], "what one set is gone");
        }
        assert!(event_loop.remove_writer(&first).unwrap());
        assert!(event_loop.remove_writer(&second).unwrap());
    });
}
