//! Done-callbacks: when they run, in which order, and what becomes of them.

use futures::{Exception, Future, SchedulerExt};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use tulipa_tests::{Host, Trace, on_drop};

pub(crate) fn f9_a_callback_gets_the_future_once(host: &dyn Host) {
    let future = host.scheduler().create_future::<u32>();
    let (count, same) = (Rc::new(Cell::new(0)), future.clone());
    let counted = count.clone();
    future.add_done_callback(move |future| {
        assert!(future.ptr_eq(&same));
        counted.set(counted.get() + future.result().unwrap());
    });
    host.run_until_idle();
    assert_eq!(count.get(), 0);
    future.set_result(7).unwrap();
    host.run_until_idle();
    host.run_until_idle();
    assert_eq!(count.get(), 7);
}

pub(crate) fn f10_w28_callbacks_never_run_from_inside_a_request(host: &dyn Host) {
    type Complete = fn(&Future<u32>) -> bool;
    let ways: [Complete; 4] = [
        |future| future.set_result(1).is_ok(),
        |future| future.set_exception(Exception::msg("failed")).is_ok(),
        |future| future.set_outcome(Ok(1)).is_ok(),
        |future| future.cancel(),
    ];
    for complete in ways {
        let (trace, future) = (Trace::new(), host.scheduler().create_future());
        future.add_done_callback(trace.mark_done("early"));
        assert!(complete(&future));
        future.add_done_callback(trace.mark_done("late"));
        assert!(trace.take().is_empty());
        host.run_until_idle();
        assert_eq!(trace.take(), ["early", "late"]);
        let _ = future.exception();
    }
}

pub(crate) fn f11_on_a_done_future_a_callback_is_queued_right_away(host: &dyn Host) {
    let (scheduler, trace) = (host.scheduler(), Trace::new());
    let future = scheduler.create_future::<u32>();
    future.set_result(1).unwrap();
    scheduler.call_soon(trace.mark("before"));
    let token = future.add_done_callback(trace.mark_done("callback"));
    scheduler.call_soon(trace.mark("after"));
    assert!(!future.remove_done_callback(token));
    host.run_until_idle();
    assert_eq!(trace.take(), ["before", "callback", "after"]);
}

pub(crate) fn f12_callbacks_run_in_the_order_of_their_additions(host: &dyn Host) {
    for count in [1, 2, 3, 100] {
        let (scheduler, trace) = (host.scheduler(), Trace::new());
        let future = scheduler.create_future::<u32>();
        for number in 0..count {
            future.add_done_callback(trace.mark_done(number));
        }
        scheduler.call_soon(trace.mark("before"));
        future.set_result(1).unwrap();
        scheduler.call_soon(trace.mark("after"));
        host.run_until_idle();
        let numbers = (0..count).map(|number| number.to_string());
        let expected: Vec<_> =
            ["before".into()].into_iter().chain(numbers).chain(["after".into()]).collect();
        assert_eq!(trace.take(), expected);
    }
}

pub(crate) fn f12_those_of_the_future_that_was_done_first_come_first(host: &dyn Host) {
    let trace = Trace::new();
    let [first, second] = [(); 2].map(|()| host.scheduler().create_future::<u32>());
    for number in 0..2 {
        second.add_done_callback(trace.mark_done(format!("second {number}")));
        first.add_done_callback(trace.mark_done(format!("first {number}")));
    }
    first.set_result(1).unwrap();
    second.cancel();
    host.run_until_idle();
    assert_eq!(trace.take(), ["first 0", "first 1", "second 0", "second 1"]);
}

pub(crate) fn f13_removing_takes_one_callback_back(host: &dyn Host) {
    let (trace, future) = (Trace::new(), host.scheduler().create_future::<u32>());
    let only = future.add_done_callback(trace.mark_done("only"));
    assert!(future.remove_done_callback(only));
    assert!(!future.remove_done_callback(only));
    let tokens = ["a", "b", "c"].map(|name| future.add_done_callback(trace.mark_done(name)));
    assert!(future.remove_done_callback(tokens[1]));
    assert!(!future.remove_done_callback(tokens[1]));
    future.set_result(1).unwrap();
    host.run_until_idle();
    assert_eq!(trace.take(), ["a", "c"]);
}

pub(crate) fn f13_removing_from_a_crowd_keeps_the_order(host: &dyn Host) {
    let (trace, future) = (Trace::new(), host.scheduler().create_future::<u32>());
    let mut tokens: Vec<_> = (0..200)
        .map(|number| (number, future.add_done_callback(trace.mark_done(number))))
        .collect();
    for (number, token) in &tokens {
        if number % 7 != 0 {
            assert!(future.remove_done_callback(*token));
        }
    }
    for number in 200..210 {
        tokens.push((number, future.add_done_callback(trace.mark_done(number))));
    }
    assert!(future.remove_done_callback(tokens[205].1));
    assert!(!future.remove_done_callback(tokens[1].1));
    future.set_result(1).unwrap();
    host.run_until_idle();
    let left = (0..200).filter(|n| n % 7 == 0).chain((200..210).filter(|n| *n != 205));
    assert_eq!(trace.take(), left.map(|n: usize| n.to_string()).collect::<Vec<_>>());
}

pub(crate) fn f13_a_token_of_another_future_removes_nothing(host: &dyn Host) {
    let trace = Trace::new();
    let [one, other] = [(); 2].map(|()| host.scheduler().create_future::<u32>());
    let token = one.add_done_callback(trace.mark_done("one"));
    other.add_done_callback(trace.mark_done("other"));
    assert!(!other.remove_done_callback(token));
    other.add_done_callback(trace.mark_done("other again"));
    assert!(!other.remove_done_callback(token));
    one.cancel();
    other.cancel();
    host.run_until_idle();
    assert_eq!(trace.take(), ["one", "other", "other again"]);
}

pub(crate) fn f14_after_completion_nothing_can_be_removed(host: &dyn Host) {
    for count in [1, 3] {
        let (trace, future) = (Trace::new(), host.scheduler().create_future::<u32>());
        let tokens: Vec<_> =
            (0..count).map(|n| future.add_done_callback(trace.mark_done(n))).collect();
        future.set_result(1).unwrap();
        for token in tokens {
            assert!(!future.remove_done_callback(token));
        }
        host.run_until_idle();
        assert_eq!(trace.take().len(), count);
    }
}

pub(crate) fn f15_a_removed_callback_frees_its_captures_at_once(host: &dyn Host) {
    let (trace, future) = (Trace::new(), host.scheduler().create_future::<u32>());
    for crowd in [0, 5] {
        for _ in 0..crowd {
            future.add_done_callback(|_| {});
        }
        let captured = on_drop(trace.mark("dropped"));
        let token = future.add_done_callback(move |_| drop(captured));
        assert!(future.remove_done_callback(token));
        assert_eq!(trace.take(), ["dropped"]);
    }
    let captured = on_drop(trace.mark("dropped with the future"));
    future.add_done_callback(move |_| drop(captured));
    drop(future);
    assert_eq!(trace.take(), ["dropped with the future"]);
    host.run_until_idle();
}

pub(crate) fn f15_a_callback_that_removes_the_next_one_is_too_late(host: &dyn Host) {
    let (trace, future) = (Trace::new(), host.scheduler().create_future::<u32>());
    let tokens = Rc::new(RefCell::new(Vec::new()));
    for number in 0..4 {
        let (known, seen) = (tokens.clone(), trace.clone());
        let token = future.add_done_callback(move |future| {
            seen.note(number);
            assert!(!known.borrow().iter().any(|token| future.remove_done_callback(*token)));
        });
        tokens.borrow_mut().push(token);
    }
    future.set_result(1).unwrap();
    host.run_until_idle();
    assert_eq!(trace.take(), ["0", "1", "2", "3"]);
}

pub(crate) fn f16_a_failing_callback_is_reported_and_the_others_run(host: &dyn Host) {
    let (trace, future) = (Trace::new(), host.scheduler().create_future::<u32>());
    future.add_done_callback(trace.mark_done("before"));
    let line = line!() + 1;
    future.add_done_callback(|_| panic!("expected"));
    future.add_done_callback(trace.mark_done("after"));
    future.set_result(1).unwrap();
    host.run_until_idle();
    assert_eq!(trace.take(), ["before", "after"]);
    let reports = host.take_reports();
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].exception.as_ref().unwrap().to_string(), "panicked: expected");
    assert_eq!(reports[0].created_at.unwrap().line(), line);
    assert_eq!(future.result().unwrap(), 1);
}

pub(crate) fn f17_a_callback_may_add_drop_and_query(host: &dyn Host) {
    let (trace, future) = (Trace::new(), host.scheduler().create_future::<u32>());
    let (handle, seen) = (future.clone(), trace.clone());
    future.add_done_callback(move |future| {
        seen.note(format!("{:?} {}", future.result().unwrap(), future.cancel()));
        let inside = seen.clone();
        handle.add_done_callback(move |future| inside.note(format!("added {}", future.done())));
        drop(handle);
    });
    future.set_result(1).unwrap();
    drop(future);
    host.run_until_idle();
    assert_eq!(trace.take(), ["1 false", "added true"]);
}

pub(crate) fn f21_on_a_closed_loop_callbacks_are_dropped(host: &dyn Host) {
    let (trace, future) = (Trace::new(), host.scheduler().create_future::<u32>());
    for number in 0..3 {
        let captured = on_drop(trace.mark(number));
        future.add_done_callback(move |_| panic!("{}", size_of_val(&captured)));
    }
    host.close();
    future.set_result(1).unwrap();
    assert_eq!(trace.take(), ["0", "1", "2"]);
    let captured = on_drop(trace.mark("late"));
    future.add_done_callback(move |_| panic!("{}", size_of_val(&captured)));
    assert_eq!(trace.take(), ["late"]);
    assert_eq!(future.result().unwrap(), 1);
}

pub(crate) fn f21_closing_the_loop_drops_callbacks_that_are_queued(host: &dyn Host) {
    let (trace, future) = (Trace::new(), host.scheduler().create_future::<u32>());
    for number in 0..2 {
        let captured = on_drop(trace.mark(number));
        future.add_done_callback(move |_| panic!("{}", size_of_val(&captured)));
    }
    future.cancel();
    assert!(trace.take().is_empty());
    host.close();
    assert_eq!(trace.take(), ["0", "1"]);
}

pub(crate) fn f15_f16_a_destructor_that_panics_keeps_none_of_the_others_from_running(
    host: &dyn Host,
) {
    // Those that were left to the outermost drop run all the same, and the next drop is unharmed.
    for _ in 0..2 {
        let (trace, outer) = (Trace::new(), host.scheduler().create_future::<u32>());
        for number in 0..3 {
            let inner = host.scheduler().create_future::<u32>();
            let (mark, fails) = (trace.mark(number), number == 1);
            let captured = on_drop(move || {
                mark();
                assert!(!fails, "expected");
            });
            inner.add_done_callback(move |_| drop(captured));
            outer.add_done_callback(move |_| drop(inner));
        }
        let panic = futures::catch(|| drop(outer)).unwrap_err();
        assert_eq!(panic.to_string(), "panicked: expected");
        let mut ran = trace.take();
        ran.sort();
        assert_eq!(ran, ["0", "1", "2"]);
    }
    // On a closed loop nobody is there to unwind into.
    let (trace, future) = (Trace::new(), host.scheduler().create_future::<u32>());
    let captured = on_drop(|| panic!("expected"));
    future.add_done_callback(move |_| drop(captured));
    let captured = on_drop(trace.mark("the other one"));
    future.add_done_callback(move |_| drop(captured));
    host.close();
    future.set_result(1).unwrap();
    assert_eq!(trace.take(), ["the other one"]);
    let reports = host.take_reports();
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].exception.as_ref().unwrap().to_string(), "panicked: expected");
}
