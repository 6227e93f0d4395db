//! Scopes.

use super::support::{Dropped, Log, words};
use futures::{
    Exception, Future, HandleState, Instant, InvalidStateError, SchedulerExt, Scope, ScopeHandle,
    ScopeMember, ScopeReport, TaskBuilder, TaskGroup, concurrent, current, current_task, sleep,
    spawn, wrap_future, yield_now,
};
use std::cell::{Cell, RefCell};
use std::future::pending;
use std::rc::Rc;
use std::time::Duration;
use tulipa_tests::{Host, Trace, on_drop};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn now(host: &dyn Host) -> Duration {
    Duration::from_nanos(host.scheduler().time().as_nanos())
}

/// The report of a scope that has ended, in numbers: ended and aborted.
fn numbers(closed: &Future<ScopeReport>) -> (usize, usize) {
    let report = closed.result().expect("it has ended");
    (report.ended, report.aborted)
}

/// Waits until it is cancelled, then cleans up for so long.
async fn polite(log: Log, name: &'static str, clean_up: Duration) -> Result<(), Exception> {
    let _guard = Dropped(log.clone(), name);
    let told = current().create_future::<()>().await;
    log.add(format!("{name} is told: {}", words(&told)));
    sleep(clean_up).await?;
    log.add(format!("{name} has cleaned up"));
    told
}

/// Something that a scope may own.
struct Service {
    log: Log,
    /// Whether closing it is enough.
    is_polite: bool,
    closed: Future<()>,
}

impl Service {
    fn new(host: &dyn Host, log: &Log, is_polite: bool) -> Rc<Self> {
        let closed = host.scheduler().create_future();
        Rc::new(Self { log: log.clone(), is_polite, closed })
    }
}

impl ScopeMember for Service {
    fn close(&self) {
        self.log.add("close");
        if self.is_polite {
            let _ = self.closed.set_result(());
        }
    }

    fn abort(&self) {
        self.log.add("abort");
        let _ = self.closed.set_result(());
    }

    fn closed(&self) -> Future<()> {
        self.closed.clone()
    }
}

pub(crate) fn a_scope_is_used_like_its_loop(host: &dyn Host) {
    let (scope, trace) = (host.scheduler().create_scope(), Trace::new());
    assert_eq!((scope.id(), scope.time()), (host.scheduler().id(), host.scheduler().time()));
    assert!(scope.is_open() && !scope.is_closed() && !scope.is_ended());
    scope.call_soon(trace.mark("soon in the scope"));
    host.scheduler().call_soon(trace.mark("soon on the loop"));
    let timer = scope.call_later(seconds(2), trace.mark("timer"));
    scope.call_at(Instant::ZERO + seconds(1), trace.mark("earlier timer"));
    let cancelled = scope.call_soon(trace.mark("cancelled"));
    assert!(cancelled.cancel() && cancelled.cancelled());
    assert_eq!((timer.state(), scope.callback_count()), (HandleState::Pending, 3));
    assert!(timer.reschedule(Instant::ZERO + seconds(3)));
    let future = scope.create_future::<u32>();
    let awaited = future.clone();
    let task = host.scheduler().create_task(async move { Ok(awaited.await? + 1) });
    let inner = scope.create_task(async move {
        sleep(seconds(1)).await?;
        Ok(current_task().is_some())
    });
    scope.call_soon(move || future.set_result(6).unwrap());
    assert_eq!(format!("{scope:?}"), "Scope(open, 4 callbacks, 2 members)");
    host.run_until_idle();
    let order = ["soon in the scope", "soon on the loop", "earlier timer", "timer"];
    assert_eq!(trace.take(), order);
    assert_eq!((task.result().unwrap(), inner.result().unwrap()), (7, true));
    assert_eq!((timer.state(), now(host)), (HandleState::Done, seconds(3)));
    assert_eq!((scope.callback_count(), scope.member_count()), (0, 0));
}

pub(crate) fn panics_in_a_scope_go_where_those_of_the_loop_go(host: &dyn Host) {
    let scope = host.scheduler().create_scope();
    let line = line!() + 1;
    scope.call_soon(|| panic!("expected"));
    host.run_until_idle();
    let reports = host.take_reports();
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].created_at.map(|place| place.line()), Some(line));
}

pub(crate) fn closing_drops_cancels_and_waits(host: &dyn Host) {
    let (scope, log) = (host.scheduler().create_scope(), Log::default());
    let (soon, later) = (Dropped(log.clone(), "soon"), Dropped(log.clone(), "later"));
    let tasks = [("quick", seconds(0)), ("slow", seconds(2))];
    let tasks = tasks.map(|(name, time)| scope.create_task(polite(log.clone(), name, time)));
    let future = scope.create_future::<()>();
    host.scheduler().call_later(seconds(1), {
        let handle = scope.handle();
        let log = log.clone();
        move || {
            handle.call_soon(move || drop(soon));
            handle.call_later(seconds(9), move || drop(later));
            let closed = handle.close();
            assert_eq!(log.take(), ["soon", "later"], "in the order in which they were made");
            assert!(!handle.is_open() && !handle.is_ended() && !closed.done());
            assert_eq!((handle.callback_count(), handle.member_count()), (0, 2));
            closed.add_done_callback(move |closed| {
                log.add(format!("closed: {:?}", numbers(closed)));
            });
        }
    });
    host.run_until_idle();
    assert!(future.cancelled() && scope.is_ended());
    assert_eq!(words(&future.result()), "error: cancelled: the scope has ended");
    assert!(tasks.iter().all(|task| task.cancelled()));
    let (told, has) = ("is told: error: cancelled: the scope has ended", "has cleaned up");
    let expected = [
        format!("quick {told}"),
        format!("slow {told}"),
        format!("quick {has}"),
        "quick".into(),
        format!("slow {has}"),
        "slow".into(),
        "closed: (2, 0)".into(),
    ];
    assert_eq!(log.take(), expected);
    assert_eq!(now(host), seconds(3));
}

pub(crate) fn what_has_not_ended_at_the_deadline_is_aborted(host: &dyn Host) {
    let (scope, log) = (host.scheduler().create_scope(), Log::default());
    scope.set_deadline(seconds(5));
    assert_eq!(scope.deadline(), seconds(5));
    let tasks = [("in time", seconds(4)), ("too slow", seconds(6))];
    let tasks = tasks.map(|(name, time)| scope.create_task(polite(log.clone(), name, time)));
    for is_polite in [true, false] {
        scope.own(Service::new(host, &Log::default(), is_polite)).unwrap();
    }
    host.run_until_idle();
    let closed = scope.close();
    host.run_until_idle();
    assert_eq!(numbers(&closed), (2, 2));
    assert!(tasks.iter().all(|task| task.cancelled()));
    assert_eq!(log.take()[2..], ["in time has cleaned up", "in time", "too slow"]);
    assert_eq!(now(host), seconds(5));
}

pub(crate) fn an_earlier_deadline_replaces_the_one_that_is_set(host: &dyn Host) {
    let (scope, log) = (host.scheduler().create_scope(), Log::default());
    let child = scope.create_scope();
    child.create_task(polite(log.clone(), "inner", seconds(3600)));
    scope.create_task(polite(log.clone(), "outer", seconds(3600)));
    host.run_until_idle();
    let first = scope.close_within(seconds(50));
    let second = scope.close_within(seconds(2));
    let third = scope.close_within(seconds(20));
    host.run_until_idle();
    assert_eq!([&first, &second, &third].map(numbers), [(0, 2); 3]);
    assert_eq!(now(host), seconds(2));
    assert_eq!(numbers(&child.close()), (0, 1));
}

pub(crate) fn without_time_tasks_have_their_queued_turns(host: &dyn Host) {
    let (scope, log) = (host.scheduler().create_scope(), Log::default());
    scope.create_task(polite(log.clone(), "task", seconds(1)));
    host.run_until_idle();
    let closed = scope.close_within(Duration::ZERO);
    host.run_until_idle();
    assert_eq!(numbers(&closed), (0, 1));
    assert_eq!(log.take(), ["task is told: error: cancelled: the scope has ended", "task"]);
    assert_eq!(now(host), seconds(0));
}

pub(crate) fn a_scope_that_has_ended_refuses(host: &dyn Host) {
    for is_ending in [true, false] {
        let (scope, log) = (host.scheduler().create_scope(), Log::default());
        if is_ending {
            scope.create_task(polite(log.clone(), "task", seconds(1)));
            host.run_until_idle();
        }
        scope.cancel();
        assert!(scope.is_closed() && scope.is_ended() != is_ending);
        let log = Log::default();
        let guards = ["soon", "later", "task"].map(|name| Dropped(log.clone(), name));
        let [soon, later, coroutine] = guards;
        let handle = scope.call_soon(move || drop(soon));
        assert_eq!(handle.state(), HandleState::Done);
        scope.call_later(seconds(1), move || drop(later));
        let task = scope.spawn(async move { drop(coroutine) });
        assert_eq!(log.take(), ["soon", "later", "task"]);
        assert_eq!(words(&task.result()), "error: cancelled: the scope has ended");
        let future = scope.create_future::<()>();
        assert_eq!(words(&future.result()), "error: cancelled: the scope has ended");
        let refused = scope.own(Service::new(host, &log, true));
        assert_eq!(refused, Err(InvalidStateError::new("the scope has ended")));
        assert_eq!(log.take(), ["abort"]);
        let child = scope.create_scope();
        assert!(child.is_ended() && numbers(&child.close()) == (0, 0));
        let messages: Vec<_> =
            host.take_reports().iter().map(|report| report.message.to_string()).collect();
        let dropped = "on a scope that has ended: the callback was dropped";
        let expected = [
            format!("call_soon {dropped}"),
            format!("call_later {dropped}"),
            "create_task on a scope that has ended: the coroutine was dropped".to_owned(),
        ];
        assert_eq!(messages, expected);
        host.run_until_idle();
        assert!(scope.is_ended());
    }
}

pub(crate) fn a_scope_forgets_what_has_ended(host: &dyn Host) {
    let scope = host.scheduler().create_scope();
    for _ in 0..300 {
        scope.call_soon(|| {});
        scope.call_later(seconds(1), || {}).cancel();
        drop(scope.create_future::<()>());
        scope.create_future().set_result(7).unwrap();
        scope.create_future::<()>().cancel();
        scope.create_task(async { yield_now().await });
        drop(scope.create_scope());
        let service = Service::new(host, &Log::default(), true);
        scope.own(service.clone()).unwrap();
        let weak = Rc::downgrade(&service);
        ScopeMember::close(&*service);
        drop(service);
        assert!(weak.upgrade().is_none(), "a member that has ended is let go at once");
        assert_eq!((scope.callback_count(), scope.member_count()), (1, 1));
        host.run_until_idle();
        assert_eq!((scope.callback_count(), scope.member_count()), (0, 0));
    }
    assert!(scope.is_open());
}

pub(crate) fn a_future_that_fails_and_is_dropped_is_reported_as_ever(host: &dyn Host) {
    let scope = host.scheduler().create_scope();
    scope.create_future::<()>().set_exception(Exception::msg("unheard")).unwrap();
    scope.create_task(async { Err::<(), _>(Exception::msg("unheard, too")) });
    host.run_until_idle();
    assert_eq!(host.take_reports().len(), 2);
}

pub(crate) fn an_inner_scope_ends_with_the_outer_one(host: &dyn Host) {
    let (outer, log) = (host.scheduler().create_scope(), Log::default());
    outer.set_deadline(seconds(7));
    let inner = outer.create_scope();
    let innermost = Scope::new(&**inner);
    assert_eq!(innermost.deadline(), seconds(7));
    innermost.create_task(polite(log.clone(), "innermost", seconds(1)));
    inner.create_task(polite(log.clone(), "inner", seconds(100)));
    outer.create_task(polite(log.clone(), "outer", seconds(2)));
    assert_eq!([&outer, &inner, &innermost].map(|scope| scope.member_count()), [2, 2, 1]);
    host.run_until_idle();
    innermost.call_later(seconds(9), || panic!("it never runs"));
    let closed = outer.close();
    let inner_closed = inner.closed();
    assert!(!innermost.is_open() && innermost.callback_count() == 0);
    host.run_until_idle();
    assert_eq!((numbers(&closed), numbers(&inner_closed)), ((2, 1), (1, 1)));
    assert!(innermost.is_ended() && now(host) == seconds(7));
}

pub(crate) fn an_inner_scope_may_end_first(host: &dyn Host) {
    let (outer, log) = (host.scheduler().create_scope(), Log::default());
    let inner = outer.create_scope();
    inner.create_task(polite(log.clone(), "inner", seconds(1)));
    outer.call_at(Instant::NEVER, || {});
    host.run_until_idle();
    let closed = inner.close();
    assert_eq!(outer.member_count(), 1);
    host.run_until_idle();
    assert_eq!((numbers(&closed), outer.member_count()), ((1, 0), 0));
    assert!(outer.is_open() && outer.callback_count() == 1);
}

pub(crate) fn dropping_an_open_scope_aborts_it(host: &dyn Host) {
    let (scope, log) = (host.scheduler().create_scope(), Log::default());
    let (handle, closed) = (scope.handle(), scope.closed());
    let timer = Dropped(log.clone(), "timer");
    scope.call_at(Instant::NEVER, move || drop(timer));
    let future = scope.create_future::<()>();
    let task = scope.create_task(polite(log.clone(), "task", seconds(1)));
    scope.own(Service::new(host, &log, false)).unwrap();
    host.run_until_idle();
    drop(scope);
    assert!(future.cancelled() && !task.done() && !handle.is_ended());
    assert_eq!(log.take(), ["timer", "abort"]);
    host.run_until_idle();
    assert!(task.cancelled() && handle.is_ended());
    assert_eq!(log.take(), ["task"], "it is not told");
    assert_eq!((numbers(&closed), now(host)), ((0, 2), seconds(0)));
}

pub(crate) fn dropping_a_scope_that_is_closing_changes_nothing(host: &dyn Host) {
    let (scope, log) = (host.scheduler().create_scope(), Log::default());
    scope.create_task(polite(log.clone(), "task", seconds(3)));
    host.run_until_idle();
    let closed = scope.close();
    drop(scope);
    host.run_until_idle();
    assert_eq!(numbers(&closed), (1, 0));
}

pub(crate) fn a_detached_scope_is_left_to_its_handles(host: &dyn Host) {
    let (outer, trace) = (host.scheduler().create_scope(), Trace::new());
    let handle = outer.create_scope().detach();
    handle.call_soon(trace.mark("it runs"));
    host.run_until_idle();
    assert_eq!(trace.take(), ["it runs"]);
    assert!(handle.is_open());
    outer.cancel();
    assert!(handle.is_ended() && outer.is_ended());
}

pub(crate) fn those_outside_are_told_of_the_end(host: &dyn Host) {
    let (scope, log) = (host.scheduler().create_scope(), Log::default());
    let future = scope.create_future::<()>();
    let task = scope.create_task(pending::<Result<(), Exception>>());
    let (seen, awaited) = (log.clone(), (future.clone(), task.clone()));
    host.scheduler().spawn(async move {
        seen.add(format!("future: {}", words(&awaited.0.await)));
        seen.add(format!("task: {}", words(&awaited.1.await)));
    });
    let (seen, told) = (log.clone(), log.clone());
    future.add_done_callback(move |future| seen.add(format!("called: {}", future.cancelled())));
    task.add_done_callback(move |task| told.add(format!("called for: {}", task.cancelled())));
    let derived = future.clone().map(|()| 7);
    host.run_until_idle();
    scope.cancel();
    host.run_until_idle();
    let message = "error: cancelled: the scope has ended";
    let mut entries = log.take();
    entries.sort();
    let expected = ["called for: true", "called: true"].map(str::to_owned);
    let awaited = [format!("future: {message}"), format!("task: {message}")];
    assert_eq!(entries, [&expected[..], &awaited].concat());
    assert!(derived.cancelled());
}

pub(crate) fn a_scope_may_be_ended_from_its_own_callback(host: &dyn Host) {
    for (number, what) in ["close", "abort", "drop"].into_iter().enumerate() {
        let (scope, trace) = (host.scheduler().create_scope(), Trace::new());
        let handle = scope.handle();
        let owner = Rc::new(RefCell::new(None));
        let kept = on_drop(trace.mark("captures are dropped"));
        let (own, noted) = (owner.clone(), trace.clone());
        scope.call_soon(move || {
            match number {
                0 => own.borrow().as_ref().map(|scope: &Scope| scope.cancel()),
                1 => own.borrow().as_ref().map(|scope: &Scope| scope.abort()),
                _ => own.take().map(drop),
            };
            noted.note("after the end");
            drop(kept);
        });
        let never = on_drop(trace.mark("never"));
        scope.call_soon(move || {
            drop(never);
            panic!("it runs after the end");
        });
        owner.replace(Some(scope));
        host.run_until_idle();
        let expected = ["never", "after the end", "captures are dropped"];
        assert_eq!(trace.take(), expected, "{what}");
        assert!(handle.is_ended());
    }
}

pub(crate) fn a_scope_may_be_ended_from_its_own_task(host: &dyn Host) {
    for aborts in [false, true] {
        let (scope, log) = (host.scheduler().create_scope(), Log::default());
        let (handle, seen) = (scope.handle(), log.clone());
        let task = scope.create_task(async move {
            let _guard = Dropped(seen.clone(), "dropped");
            match aborts {
                true => handle.abort(),
                false => {
                    // It would wait for itself.
                    let told = handle.close().await;
                    seen.add(words(&told.map(|_| ())));
                }
            }
            seen.add("goes on");
            sleep(seconds(1)).await?;
            seen.add("has cleaned up");
            Ok(())
        });
        host.run_until_idle();
        let told = "error: cancelled: the scope has ended";
        match aborts {
            true => assert_eq!(log.take(), ["goes on", "dropped"]),
            false => assert_eq!(log.take(), [told, "goes on", "has cleaned up", "dropped"]),
        }
        assert!(task.done() && scope.is_ended());
        assert_eq!(numbers(&scope.closed()), if aborts { (0, 1) } else { (1, 0) });
    }
}

pub(crate) fn destructors_may_use_the_scope_that_ends(host: &dyn Host) {
    let (scope, log) = (host.scheduler().create_scope(), Log::default());
    for _ in 0..2 {
        let (handle, log) = (scope.handle(), log.clone());
        let guard = on_drop(move || {
            assert!(!handle.is_open());
            handle.call_soon(|| panic!("it never runs"));
            handle.spawn(async { panic!("it never runs") });
            assert!(handle.create_future::<()>().cancelled());
            assert!(handle.create_scope().is_ended());
            assert!(
                handle
                    .own(Service {
                        log: log.clone(),
                        is_polite: true,
                        closed: handle.create_future()
                    })
                    .is_err()
            );
            let closed = handle.close();
            assert!(!closed.done(), "something is being ended");
            handle.abort();
            assert!(!handle.is_ended());
            closed.add_done_callback(move |closed| log.add(format!("{:?}", numbers(closed))));
        });
        scope.call_later(seconds(9), move || drop(guard));
    }
    let closed = scope.close();
    assert!(closed.done() && scope.is_ended());
    host.run_until_idle();
    assert_eq!(log.take(), ["abort", "abort", "(0, 0)", "(0, 0)"]);
    assert_eq!(host.take_reports().len(), 4);
}

pub(crate) fn a_member_may_end_the_scope_that_it_is_given_to(host: &dyn Host) {
    struct Hasty(ScopeHandle, Rc<Service>);
    impl ScopeMember for Hasty {
        fn close(&self) {
            self.1.close();
        }
        fn abort(&self) {
            self.1.abort();
        }
        fn closed(&self) -> Future<()> {
            self.0.cancel();
            self.1.closed()
        }
    }
    let (scope, log) = (host.scheduler().create_scope(), Log::default());
    let hasty = Hasty(scope.handle(), Service::new(host, &log, true));
    assert!(scope.own(hasty).is_err() && scope.is_ended());
    assert_eq!(log.take(), ["abort"]);
}

pub(crate) fn a_panic_keeps_nothing_else_from_ending(host: &dyn Host) {
    struct Hostile(Future<()>);
    impl ScopeMember for Hostile {
        fn close(&self) {
            panic!("in close");
        }
        fn abort(&self) {
            panic!("in abort");
        }
        fn closed(&self) -> Future<()> {
            self.0.clone()
        }
    }
    impl Drop for Hostile {
        fn drop(&mut self) {
            panic!("in drop");
        }
    }
    let (scope, log) = (host.scheduler().create_scope(), Log::default());
    let guard = on_drop(|| panic!("in a destructor"));
    scope.call_later(seconds(9), move || drop(guard));
    scope.own(Hostile(host.scheduler().create_future())).unwrap();
    scope.own(Service::new(host, &log, false)).unwrap();
    let closed = scope.close();
    assert_eq!(log.take(), ["close"]);
    host.run_until_idle();
    assert_eq!((log.take(), numbers(&closed)), (vec!["abort".to_owned()], (0, 2)));
    let reports = host.take_reports();
    let panics: Vec<_> =
        reports.iter().map(|report| report.exception.as_ref().unwrap().to_string()).collect();
    let places = ["in a destructor", "in close", "in abort", "in drop"];
    assert_eq!(panics, places.map(|place| format!("panicked: {place}")));
    assert_eq!(now(host), seconds(30), "the usual deadline");
}

pub(crate) fn a_scope_ends_with_its_loop(host: &dyn Host) {
    let (scope, log) = (host.scheduler().create_scope(), Log::default());
    let ending = host.scheduler().create_scope();
    ending.create_task(polite(log.clone(), "ending", seconds(9)));
    host.run_until_idle();
    // Everything here refers to its scope, and the scope to it.
    let guards = ["timer", "listener", "task", "waits for the end"];
    let [timer, listener, coroutine, waits] = guards.map(|name| Dropped(log.clone(), name));
    let keep = || scope.handle();
    let kept = keep();
    scope.call_at(Instant::NEVER, move || drop((timer, kept)));
    let (future, kept) = (scope.create_future::<()>(), keep());
    future.add_done_callback(move |_| drop((listener, kept)));
    let kept = keep();
    scope.spawn(async move {
        let _kept = (coroutine, kept, future);
        pending::<()>().await;
    });
    let owner = ending.handle();
    let closed = ending.close();
    let kept = (waits, owner, ending);
    closed.add_done_callback(move |_| drop(kept));
    drop(closed);
    scope.own(Service::new(host, &log, true)).unwrap();
    let child = scope.create_scope();
    host.close();
    let mut dropped = log.take();
    dropped.sort();
    assert_eq!(dropped, ["ending", "listener", "task", "timer", "waits for the end"]);
    assert!(scope.is_ended() && child.is_ended() && scope.member_count() == 0);
    assert_eq!(host.take_reports().len(), 2, "two tasks were pending");
    assert!(host.scheduler().create_scope().is_ended());
}

pub(crate) fn the_tasks_of_the_loop_do_not_end_with_a_scope(host: &dyn Host) {
    // The scope is the first of its loop to make a task.
    let scope = host.scheduler().create_scope();
    scope.spawn(async {});
    let outsider = host.scheduler().spawn(async {
        // What a task of a scope makes with the free functions belongs to the loop.
        yield_now().await.unwrap();
        7
    });
    let made = Rc::new(Cell::new(None));
    let keep = made.clone();
    scope.spawn(async move {
        keep.set(Some(spawn(async {
            sleep(seconds(1)).await.unwrap();
            8
        })));
    });
    host.scheduler().call_soon(move || drop(scope));
    host.run_until_idle();
    assert_eq!(outsider.result().unwrap(), 7);
    assert_eq!(made.take().expect("it ran").result().unwrap(), 8);
}

pub(crate) fn what_a_task_of_the_loop_makes_through_a_scope_belongs_to_the_scope(host: &dyn Host) {
    let (event_loop, notes) = (host.scheduler(), Log::default());
    let scope = event_loop.create_scope();
    let handle = scope.handle();
    let outsider = event_loop.create_task(async move {
        let inner = handle.create_scope();
        let future = inner.create_future::<()>();
        let tasks = [
            TaskBuilder::new().create_task(&**inner, polite(notes.clone(), "queued", seconds(0))),
            TaskBuilder::new().eager().create_task(&*handle, polite(notes, "eager", seconds(0))),
        ];
        assert_eq!((inner.member_count(), handle.member_count()), (2, 2));
        yield_now().await?;
        handle.abort();
        assert!(future.cancelled());
        sleep(seconds(1)).await?;
        assert!(tasks.iter().all(|task| task.cancelled()) && handle.is_ended());
        // One that the scope has refused is destroyed as the running task, and may make another one.
        let loop_of_it = current();
        let made = Rc::new(Cell::new(None));
        let keep = made.clone();
        let guard = on_drop(move || keep.set(Some(loop_of_it.spawn(async { 7 }))));
        let refused = handle.spawn(async move {
            let _guard = guard;
            pending::<()>().await
        });
        assert!(refused.cancelled());
        made.take().expect("it was dropped").await
    });
    host.run_until_idle();
    assert_eq!(outsider.result().unwrap(), 7);
    assert_eq!(host.take_reports().len(), 1);
}

pub(crate) fn f27_a_wrapped_future_is_cancelled_at_its_source(host: &dyn Host) {
    let scope = host.scheduler().create_scope();
    let source = concurrent::Future::<u32>::new();
    let wrapped = wrap_future(&source, &**scope);
    scope.cancel();
    host.run_until_idle();
    assert!(wrapped.cancelled() && source.cancelled());
}

pub(crate) fn a_task_group_in_a_scope_ends_in_good_order(host: &dyn Host) {
    let (scope, log) = (host.scheduler().create_scope(), Log::default());
    let seen = log.clone();
    let task = scope.create_task(async move {
        TaskGroup::scope(async |group| {
            group.create_task(polite(seen.clone(), "member", seconds(1)))?;
            current().create_future::<()>().await
        })
        .await
    });
    host.run_until_idle();
    let closed = scope.close();
    host.run_until_idle();
    assert!(task.cancelled());
    assert_eq!(log.take(), ["member is told: error: cancelled", "member has cleaned up", "member"]);
    assert_eq!((numbers(&closed), now(host)), ((1, 0), seconds(1)));
}

pub(crate) fn a_scope_is_awaited_by_coroutines(host: &dyn Host) {
    let (log, scheduler) = (Log::default(), host.scheduler());
    let seen = log.clone();
    let task = scheduler.clone().create_task(async move {
        let scope = scheduler.create_scope();
        let member = scope.create_task(polite(seen.clone(), "member", seconds(1)));
        yield_now().await?;
        let report = scope.close().await?;
        assert!(member.cancelled());
        Ok(report.ended)
    });
    let waiter = host.scheduler().create_scope();
    let first = waiter.closed();
    first.cancel();
    let second = waiter.closed();
    waiter.cancel();
    host.run_until_idle();
    assert_eq!(task.result().unwrap(), 1);
    assert_eq!(numbers(&second), (0, 0), "whoever gives up waiting does so for himself");
}
