//! Time and the current loop (L-47 to L-52, I-8).

use crate::common::{Trace, for_each_loop};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;
use tulipa_eventloop::prelude::*;
use tulipa_eventloop::{EventLoop, TestLoop, current, try_current};

#[test]
fn l47_time_is_the_clocks_and_never_goes_back() {
    for_each_loop(|event_loop| {
        let readings: Vec<_> = (0..100).map(|_| event_loop.time()).collect();
        assert!(readings.is_sorted());
        event_loop.call_later(Duration::from_micros(50), || {});
        event_loop.run_once(None).unwrap();
        assert!(event_loop.time() >= readings[0] + Duration::from_micros(50));
    });
    let event_loop = TestLoop::new();
    let start = event_loop.time();
    event_loop.advance(Duration::from_secs(5));
    assert_eq!(event_loop.time() - start, Duration::from_secs(5));
    event_loop.clock().set(start);
    assert_eq!(event_loop.time() - start, Duration::from_secs(5));
}

#[test]
fn l48_l50_i8_the_current_loop_is_the_one_that_runs_and_otherwise_there_is_none() {
    for_each_loop(|event_loop| {
        let (first, second) = (event_loop, EventLoop::new().unwrap());
        assert!(try_current().is_none() && futures::try_current().is_none());
        for event_loop in [&first, &second, &first] {
            let (id, handle) = (event_loop.id(), event_loop.handle());
            event_loop.call_soon(move || {
                assert_eq!((current().id(), futures::current().id()), (id, id));
                let elsewhere = std::thread::spawn(|| try_current().is_none());
                assert!(elsewhere.join().unwrap(), "each thread has its own");
                handle.call_later(Duration::ZERO, move || assert_eq!(current().id(), id));
            });
            event_loop.run_ready().unwrap();
            event_loop.run_ready().unwrap();
            assert!(try_current().is_none());
        }
    });
}

#[test]
fn l48_after_a_panic_that_was_let_out_there_is_no_current_loop() {
    let event_loop = EventLoop::new().unwrap();
    let future = event_loop.create_future::<()>();
    future.set_exception(futures::Exception::from_panic(Box::new("out"))).unwrap();
    let run = AssertUnwindSafe(|| event_loop.run_until_complete(&future));
    assert!(catch_unwind(run).is_err());
    assert!(try_current().is_none());
}

#[test]
fn l48_l49_asking_makes_no_loop_also_at_the_end_of_a_thread() {
    assert!(try_current().is_none());
    assert!(try_current().is_none());
    let panic = futures::catch(|| drop(current())).unwrap_err();
    assert!(panic.to_string().contains("no event loop is running on this thread"));

    struct AsksAtTheEnd;
    impl Drop for AsksAtTheEnd {
        fn drop(&mut self) {
            assert!(try_current().is_none() && futures::try_current().is_none());
        }
    }
    thread_local! {
        static ASKS: RefCell<Option<AsksAtTheEnd>> = const { RefCell::new(None) };
    }
    let thread = std::thread::spawn(|| {
        ASKS.set(Some(AsksAtTheEnd));
        // Made later, so destroyed earlier on some systems, later on others.
        let event_loop = EventLoop::new().unwrap();
        event_loop.run_ready().unwrap();
        event_loop.local(|| RefCell::new(Some(AsksAtTheEnd))).replace(None);
    });
    thread.join().unwrap();
}

#[test]
fn l50_making_a_loop_does_not_make_it_current() {
    let outer = EventLoop::new().unwrap();
    let (handle, trace) = (outer.handle(), Trace::new());
    let seen = trace.clone();
    outer.call_soon(move || {
        let inner = EventLoop::new().unwrap();
        assert_ne!(inner.id(), handle.id());
        assert_eq!(current().id(), handle.id());
        drop(inner);
        assert_eq!(current().id(), handle.id());
        seen.note("seen");
    });
    outer.run_ready().unwrap();
    assert_eq!(trace.take(), ["seen"]);
}

#[test]
fn l52_create_future_makes_a_pending_future_of_this_loop() {
    for_each_loop(|event_loop| {
        let line = line!() + 1;
        let future = event_loop.create_future::<u8>();
        assert!(!future.done());
        assert_eq!(future.scheduler_id(), event_loop.id());
        assert_eq!(future.created_at().line(), line);
        let event_loop: Rc<dyn AbstractEventLoop> = event_loop.handle().into();
        let through_the_interface = event_loop.create_future::<u8>();
        assert_eq!(through_the_interface.get_loop().id(), future.get_loop().id());
    });
}
