//! Task-local values: who sees them, and who does not.

use futures::{Future, SchedulerExt, TaskBuilder, TaskContext, TaskLocal, yield_now};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tulipa_tests::{Host, OnDrop, Trace, on_drop};

static REQUEST: TaskLocal<u32> = TaskLocal::new();
static USER: TaskLocal<&str> = TaskLocal::new();

/// A callback that notes which request is current.
fn note(trace: &Trace, name: &'static str) -> impl FnOnce() + 'static {
    let trace = trace.clone();
    move || trace.note(format!("{name} {:?}", REQUEST.get()))
}

/// A done-callback that notes which request is current.
fn note_done(trace: &Trace, name: &'static str) -> impl FnOnce(&Future<u32>) + 'static {
    let note = note(trace, name);
    move |_| note()
}

pub(crate) fn l53_a_callback_sees_the_values_of_the_place_that_scheduled_it(host: &dyn Host) {
    let (scheduler, trace) = (host.scheduler(), Trace::new());
    let second = Duration::from_secs(1);
    scheduler.call_soon(note(&trace, "soon"));
    scheduler.call_later(second, note(&trace, "later"));
    for request in [1, 2] {
        REQUEST.sync_scope(request, || {
            scheduler.call_soon(note(&trace, "soon"));
            scheduler.call_later(second, note(&trace, "later"));
            scheduler.call_at(scheduler.time() + second * 2, note(&trace, "at"));
            REQUEST.set(request + 10);
            scheduler.call_soon(note(&trace, "soon"));
        });
    }
    host.run_until_idle();
    let soon = ["soon None", "soon Some(1)", "soon Some(11)", "soon Some(2)", "soon Some(12)"];
    let later = ["later None", "later Some(1)", "later Some(2)", "at Some(1)", "at Some(2)"];
    assert_eq!(trace.take(), [soon, later].concat());
}

pub(crate) fn l53_what_a_callback_sets_is_seen_by_what_it_schedules_only(host: &dyn Host) {
    let (scheduler, trace) = (host.scheduler(), Trace::new());
    let sets = || {
        let (inner, trace) = (scheduler.clone(), trace.clone());
        move || {
            note(&trace, "own")();
            let token = REQUEST.set(REQUEST.get().unwrap_or_default() + 5);
            inner.call_soon(note(&trace, "child"));
            inner.call_later(Duration::from_secs(1), note(&trace, "late child"));
            token.reset();
            REQUEST.set(100);
        }
    };
    scheduler.call_soon(sets());
    scheduler.call_soon(note(&trace, "next"));
    REQUEST.sync_scope(1, || {
        scheduler.call_soon(sets());
        scheduler.call_soon(note(&trace, "next"));
        host.run_until_idle();
        assert_eq!(REQUEST.get(), Some(1));
    });
    let batch = ["own None", "next None", "own Some(1)", "next Some(1)"];
    let children = ["child Some(5)", "child Some(6)", "late child Some(5)", "late child Some(6)"];
    assert_eq!(trace.take(), [batch, children].concat());
}

pub(crate) fn l53_l9_a_failing_callback_leaves_nothing_set(host: &dyn Host) {
    let (scheduler, trace) = (host.scheduler(), Trace::new());
    let fails = || {
        REQUEST.set(9);
        panic!("expected")
    };
    scheduler.call_soon(fails);
    scheduler.call_soon(note(&trace, "next"));
    REQUEST.sync_scope(1, || scheduler.call_soon(fails));
    scheduler.call_soon(note(&trace, "next"));
    host.run_until_idle();
    assert_eq!(trace.take(), ["next None", "next None"]);
    assert_eq!(host.take_reports().len(), 2);
}

pub(crate) fn l53_f9_a_done_callback_sees_the_values_of_the_place_that_added_it(host: &dyn Host) {
    for crowd in [1, 3] {
        let (scheduler, trace) = (host.scheduler(), Trace::new());
        let future = scheduler.create_future::<u32>();
        for request in 0..crowd {
            match request {
                0 => future.add_done_callback(note_done(&trace, "early")),
                _ => REQUEST
                    .sync_scope(request, || future.add_done_callback(note_done(&trace, "early"))),
            };
        }
        let completed = future.clone();
        REQUEST.sync_scope(50, || scheduler.call_soon(move || completed.set_result(1).unwrap()));
        host.run_until_idle();
        future.add_done_callback(note_done(&trace, "late"));
        REQUEST.sync_scope(7, || future.add_done_callback(note_done(&trace, "late")));
        host.run_until_idle();
        let mut expected = vec!["early None", "early Some(1)", "early Some(2)"];
        expected.truncate(crowd as usize);
        assert_eq!(trace.take(), [&expected[..], &["late None", "late Some(7)"]].concat());
    }
}

pub(crate) fn l53_f31_a_chain_sees_the_values_of_the_place_that_made_it(host: &dyn Host) {
    let scheduler = host.scheduler();
    let source = scheduler.create_future::<u32>();
    let chain = REQUEST.sync_scope(3, || {
        let inner = scheduler.clone();
        source
            .clone()
            .map(|value| (value, REQUEST.get()))
            .then(move |(value, request)| {
                let made = inner.create_future();
                made.set_result((value, request, REQUEST.get())).unwrap();
                made
            })
            .map(|(value, first, second)| (value, first, second, USER.get()))
    });
    USER.sync_scope("somebody", || source.set_result(1).unwrap());
    host.run_until_idle();
    assert_eq!(chain.result().unwrap(), (1, Some(3), Some(3), None));
}

pub(crate) fn l53_h2_cancelling_lets_go_of_the_values_at_once(host: &dyn Host) {
    static HELD: TaskLocal<OnDrop> = TaskLocal::new();
    let (scheduler, trace) = (host.scheduler(), Trace::new());
    let in_scope = |schedule: &dyn Fn()| {
        HELD.sync_scope(on_drop(trace.mark("dropped")), schedule);
    };
    let handle = Rc::new(Cell::new(None));
    in_scope(&|| handle.set(Some(scheduler.call_soon(|| {}))));
    assert!(trace.take().is_empty());
    assert!(handle.take().is_some_and(|handle| handle.cancel()));
    assert_eq!(trace.take(), ["dropped"]);

    let timer = Rc::new(Cell::new(None));
    let delay = Duration::from_secs(1);
    in_scope(&|| timer.set(Some(scheduler.call_later(delay, || {}))));
    assert!(timer.take().is_some_and(|timer| timer.cancel()));
    assert_eq!(trace.take(), ["dropped"]);

    let future = scheduler.create_future::<u32>();
    let token = Cell::new(None);
    in_scope(&|| token.set(Some(future.add_done_callback(|_| {}))));
    assert!(trace.take().is_empty());
    assert!(token.take().is_some_and(|token| future.remove_done_callback(token)));
    assert_eq!(trace.take(), ["dropped"]);

    // One that runs lets go of them after its turn, outside of the context.
    let (inner, late) = (scheduler.clone(), trace.clone());
    let again = on_drop(move || {
        late.note(HELD.with(|held| held.is_some()));
        inner.call_soon(late.mark("scheduled by a destructor"));
    });
    HELD.sync_scope(again, || scheduler.call_soon(trace.mark("turn")));
    host.run_until_idle();
    assert_eq!(trace.take(), ["turn", "false", "scheduled by a destructor"]);
}

pub(crate) fn l53_l25_closing_drops_the_values_too(host: &dyn Host) {
    static HELD: TaskLocal<OnDrop> = TaskLocal::new();
    let (scheduler, trace) = (host.scheduler(), Trace::new());
    let (asked, noted) = (scheduler.clone(), trace.clone());
    let value = on_drop(move || noted.note(format!("dropped, closed: {}", asked.is_closed())));
    HELD.sync_scope(value, || {
        scheduler.call_soon(|| {});
        scheduler.call_later(Duration::from_secs(1), || {});
    });
    host.close();
    assert_eq!(trace.take(), ["dropped, closed: true"]);
}

pub(crate) fn l53_l31_no_value_goes_to_another_thread(host: &dyn Host) {
    let (scheduler, seen) = (host.scheduler(), Arc::new(std::sync::Mutex::new(Vec::new())));
    let post = |seen: &Arc<std::sync::Mutex<Vec<_>>>| {
        let seen = seen.clone();
        let look = Box::new(move || seen.lock().unwrap().push(REQUEST.get()));
        assert!(scheduler.threadsafe().post(look).is_ok());
    };
    post(&seen);
    REQUEST.sync_scope(1, || post(&seen));
    let (threadsafe, sent) = (scheduler.threadsafe(), seen.clone());
    let thread = std::thread::spawn(move || {
        REQUEST.sync_scope(2, || {
            let look = Box::new(move || sent.lock().unwrap().push(REQUEST.get()));
            assert!(threadsafe.post(look).is_ok());
        });
    });
    thread.join().unwrap();
    REQUEST.sync_scope(3, || host.run_until_idle());
    assert_eq!(*seen.lock().unwrap(), [None; 3]);
}

pub(crate) fn l53_a_scoped_future_meets_a_loop_future(host: &dyn Host) {
    let scheduler = host.scheduler();
    let future = scheduler.create_future::<u32>();
    let (awaited, inner) = (future.clone(), scheduler.clone());
    let mut scoped = Box::pin(REQUEST.scope(4, async move {
        let before = REQUEST.get();
        let value = awaited.await.unwrap();
        let seen = Rc::new(Cell::new(None));
        let set = seen.clone();
        inner.call_soon(move || set.set(REQUEST.get()));
        (before, value, REQUEST.get(), seen)
    }));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(scoped.as_mut().poll(&mut context).is_pending());
    assert!(TaskContext::current().is_empty());
    future.set_result(1).unwrap();
    let std::task::Poll::Ready((before, value, after, seen)) = scoped.as_mut().poll(&mut context)
    else {
        panic!("the future is done");
    };
    assert_eq!((before, value, after), (Some(4), 1, Some(4)));
    host.run_until_idle();
    assert_eq!(seen.get(), Some(4));
}

pub(crate) fn l53_all_steps_of_a_task_share_the_values_of_its_place(host: &dyn Host) {
    let (scheduler, trace) = (host.scheduler(), Trace::new());
    let task = |name: &'static str| {
        let (trace, scheduler) = (trace.clone(), scheduler.clone());
        async move {
            note(&trace, name)();
            let token = REQUEST.set(REQUEST.get().unwrap_or_default() + 5);
            yield_now().await.unwrap();
            note(&trace, name)();
            scheduler.spawn(noting(trace.clone(), "child"));
            token.reset();
            yield_now().await.unwrap();
            note(&trace, name)();
        }
    };
    async fn noting(trace: Trace, name: &'static str) {
        note(&trace, name)();
        REQUEST.set(77);
    }
    scheduler.spawn(task("none"));
    REQUEST.sync_scope(1, || scheduler.spawn(task("one")));
    let given = REQUEST.sync_scope(2, TaskContext::current);
    TaskBuilder::new().context(given).spawn(&*scheduler, noting(trace.clone(), "given"));
    scheduler.call_soon(note(&trace, "callback"));
    REQUEST.sync_scope(50, || host.run_until_idle());
    let first = ["none None", "one Some(1)", "given Some(2)", "callback None"];
    let second = ["none Some(5)", "one Some(6)"];
    let third = ["child Some(5)", "none None", "child Some(6)", "one Some(1)"];
    let mut seen = trace.take();
    assert_eq!(seen[..6], [&first[..], &second].concat());
    seen[6..].sort();
    let mut third = third;
    third.sort();
    assert_eq!(seen[6..], third);
}

pub(crate) fn l53_an_eager_task_leaves_the_values_of_its_creator(host: &dyn Host) {
    let (scheduler, trace) = (host.scheduler(), Trace::new());
    let (inner, noted) = (scheduler.clone(), trace.clone());
    scheduler.call_soon(move || {
        REQUEST.set(1);
        let trace = noted.clone();
        let eager = async move {
            note(&trace, "eager")();
            REQUEST.set(2);
        };
        let task = TaskBuilder::new().eager().spawn(&*inner, eager);
        assert!(task.done());
        note(&noted, "creator")();
    });
    host.run_until_idle();
    assert_eq!(trace.take(), ["eager Some(1)", "creator Some(1)"]);
}
