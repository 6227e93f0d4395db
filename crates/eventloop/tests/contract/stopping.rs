//! `stop`: a flag (L-18 to L-21).

use crate::common::{Trace, for_each_builder, for_each_loop, socket_pair};
use std::cell::Cell;
use std::io::{Read, Write};
use std::rc::Rc;
use std::time::Duration;
use tulipa_eventloop::IterationHook;
use tulipa_eventloop::prelude::*;

#[test]
fn l18_l21_the_batch_is_finished_and_what_it_schedules_is_kept() {
    for_each_loop(|event_loop| {
        let trace = Trace::new();
        let (handle, seen) = (event_loop.handle(), trace.clone());
        event_loop.call_soon(move || {
            handle.stop();
            handle.stop();
            seen.note("stopped");
            handle.call_soon(seen.mark("next run"));
        });
        let (handle, seen) = (event_loop.handle(), trace.clone());
        event_loop.call_soon(move || {
            seen.note("same batch");
            handle.call_soon(seen.mark("next run too"));
        });
        event_loop.run_forever().unwrap();
        assert_eq!(trace.take(), ["stopped", "same batch"]);
        // Twice was once: this run ends by its own stop, after its own callbacks.
        let (handle, seen) = (event_loop.handle(), trace.clone());
        event_loop.call_soon(move || {
            let (again, seen) = (handle.clone(), seen.clone());
            handle.call_soon(move || {
                seen.note("second batch");
                again.stop();
            });
        });
        event_loop.run_forever().unwrap();
        assert_eq!(trace.take(), ["next run", "next run too", "second batch"]);
    });
}

#[derive(Clone, Default)]
struct Polls(Rc<Cell<u32>>, Rc<Cell<Option<Duration>>>);

impl IterationHook for Polls {
    fn before_poll(&self, timeout: Option<Duration>) {
        self.0.set(self.0.get() + 1);
        self.1.set(timeout);
    }
}

#[test]
fn l19_a_stop_before_the_run_gives_one_poll_without_waiting_and_one_batch() {
    for_each_builder(|builder| {
        let polls = Polls::default();
        let event_loop = builder.hook(polls.clone()).build().unwrap();
        let trace = Trace::new();
        let (ours, mut theirs) = socket_pair();
        theirs.write_all(b"x").unwrap();
        let (handle, seen) = (event_loop.handle(), trace.clone());
        event_loop.stop();
        event_loop.call_soon(move || {
            seen.note("callback");
            handle.call_soon(seen.mark("second batch"));
        });
        event_loop.add_reader(ours, trace.mark("descriptor")).unwrap();
        event_loop.call_later(Duration::ZERO, trace.mark("timer"));
        event_loop.call_later(Duration::from_secs(3600), trace.mark("far timer")).cancel();
        event_loop.run_forever().unwrap();
        assert_eq!(trace.take(), ["callback", "descriptor", "timer"]);
        assert_eq!((polls.0.get(), polls.1.get()), (1, Some(Duration::ZERO)));

        // The end of a run clears the flag, also of one that ended for another reason.
        event_loop.stop();
        event_loop.run_ready().unwrap();
        trace.take();
        let (handle, seen) = (event_loop.handle(), trace.clone());
        event_loop.call_later(Duration::from_micros(100), move || {
            seen.note("not before");
            handle.stop();
        });
        event_loop.run_forever().unwrap();
        assert_eq!(trace.take().last().unwrap(), "not before");
    });
}

#[test]
fn l19_a_stop_and_nothing_to_do_does_not_wait() {
    for_each_loop(|event_loop| {
        event_loop.stop();
        event_loop.run_forever().unwrap();
        assert_eq!((event_loop.stats().iterations, event_loop.stats().sleeps), (1, 0));
    });
}

#[test]
fn l20_readiness_noticed_before_a_stop_is_delivered_once_and_not_repeated() {
    for_each_loop(|event_loop| {
        let trace = Trace::new();
        let (ours, mut theirs) = socket_pair();
        theirs.write_all(b"hello").unwrap();
        let (fd, seen) = (ours.clone(), trace.clone());
        event_loop
            .add_reader(ours, move || {
                let read = (&*fd).read(&mut [0; 64]).unwrap();
                seen.note(format!("read {read}"));
            })
            .unwrap();
        let handle = event_loop.handle();
        event_loop.call_soon(move || handle.stop());
        let kept = event_loop.call_later(Duration::from_secs(3600), || {});
        event_loop.run_forever().unwrap();
        assert_eq!(trace.take(), ["read 5"]);
        for _ in 0..3 {
            event_loop.stop();
            event_loop.run_forever().unwrap();
        }
        assert!(trace.take().is_empty());
        theirs.write_all(b"again").unwrap();
        event_loop.run_once(None).unwrap();
        assert_eq!(trace.take(), ["read 5"]);
        assert_eq!(kept.state(), futures::HandleState::Pending, "nothing was lost");
    });
}

#[test]
fn l21_a_stop_from_another_thread_comes_after_the_calls_it_made_before() {
    for_each_loop(|event_loop| {
        let poster = event_loop.threadsafe_handle();
        let (sender, receiver) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            for number in 0..100 {
                let sender = sender.clone();
                poster.call_soon_threadsafe(move || sender.send(number).unwrap()).unwrap();
            }
            poster.stop();
        });
        event_loop.run_forever().unwrap();
        assert!(receiver.try_iter().eq(0..100));
        thread.join().unwrap();
        // And it is not the end of the loop's life.
        event_loop.stop();
        event_loop.run_forever().unwrap();
    });
}
