//! Every place where user code runs × everything that it may do to the future concerned.

use futures::{CallbackToken, Exception, Future, SchedulerExt};
use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Waker};
use tulipa_tests::{Host, Trace, local_waker, on_drop};

/// What runs, once.
type Hook = Rc<RefCell<Option<Box<dyn FnOnce()>>>>;

fn fire(hook: &Hook) {
    let action = hook.borrow_mut().take();
    if let Some(action) = action {
        action();
    }
}

/// A value with code of its own.
#[derive(Default)]
struct Value {
    on_clone: Hook,
    on_drop: Hook,
}

impl Clone for Value {
    fn clone(&self) -> Self {
        fire(&self.on_clone);
        Value::default()
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        fire(&self.on_drop);
    }
}

/// The future that user code gets at, and what it did.
#[derive(Clone)]
struct Subject {
    handle: Rc<RefCell<Option<Future<Value>>>>,
    tokens: Rc<RefCell<Vec<CallbackToken>>>,
    removed: Rc<RefCell<Vec<bool>>>,
    trace: Trace,
}

impl Subject {
    /// A pending future with the callbacks "first" and "second".
    fn new(host: &dyn Host) -> Self {
        let (future, trace) = (host.scheduler().create_future(), Trace::new());
        let tokens =
            ["first", "second"].map(|name| future.add_done_callback(trace.mark_done(name)));
        Subject {
            handle: Rc::new(RefCell::new(Some(future))),
            tokens: Rc::new(RefCell::new(tokens.to_vec())),
            removed: Rc::default(),
            trace,
        }
    }

    fn future(&self) -> Future<Value> {
        self.handle.borrow().clone().expect("not dropped yet")
    }

    /// The future if it was not dropped.
    fn left(&self) -> Option<Future<Value>> {
        self.handle.borrow().clone()
    }

    fn complete(&self) {
        if let Some(future) = self.left() {
            let _ = future.set_result(Value::default());
        }
    }
}

/// A place where user code runs.
type Site = (&'static str, fn(&dyn Host, &Subject, Box<dyn FnOnce()>));

const SITES: [Site; 13] = [
    ("a done-callback", |host, subject, act| {
        subject.future().add_done_callback(move |_| act());
        subject.complete();
        host.run_until_idle();
    }),
    ("a done-callback that was added late", |host, subject, act| {
        subject.complete();
        subject.future().add_done_callback(move |_| act());
        host.run_until_idle();
    }),
    ("the captures of a callback that is removed", |_, subject, act| {
        let captured = on_drop(act);
        let future = subject.future();
        let token = future.add_done_callback(move |_| drop(captured));
        assert!(future.remove_done_callback(token));
    }),
    ("the captures of a callback after its run", |host, subject, act| {
        let captured = on_drop(act);
        subject.future().add_done_callback(move |_| {
            let _captured = captured;
        });
        subject.complete();
        host.run_until_idle();
    }),
    ("the captures of a callback that its future drops", |host, _, act| {
        let captured = on_drop(act);
        let other = host.scheduler().create_future::<u32>();
        other.add_done_callback(move |_| drop(captured));
        drop(other);
    }),
    ("the clone of the value", |_, subject, act| {
        let value = Value::default();
        value.on_clone.replace(Some(act));
        let future = subject.future();
        assert!(future.set_result(value).is_ok());
        assert!(future.result().is_ok());
    }),
    ("the drop of a value that came too late", |_, subject, act| {
        let value = Value::default();
        value.on_drop.replace(Some(act));
        subject.complete();
        assert!(subject.future().set_result(value).is_err());
    }),
    ("the drop of a value that was taken", |_, subject, act| {
        let value = Value::default();
        value.on_drop.replace(Some(act));
        assert!(subject.future().set_result(value).is_ok());
        drop(subject.future().take());
    }),
    ("a waker", |_, subject, act| {
        let mut waiting = subject.future();
        poll(&mut waiting, &local_waker(act));
        let later = subject.future().add_done_callback(subject.trace.mark_done("after the waker"));
        subject.tokens.borrow_mut().push(later);
        subject.complete();
    }),
    ("the drop of a waker that was replaced", |_, subject, act| {
        let mut waiting = subject.future();
        let captured = on_drop(act);
        poll(&mut waiting, &local_waker(move || drop(captured)));
        poll(&mut waiting, Waker::noop());
    }),
    ("the drop of the waker of one who left", |_, subject, act| {
        let mut waiting = subject.future();
        let captured = on_drop(act);
        poll(&mut waiting, &local_waker(move || drop(captured)));
        drop(waiting);
    }),
    ("the exception handler", |host, _, act| {
        let act = RefCell::new(Some(act));
        host.set_exception_handler(Rc::new(move |_| {
            let act = act.borrow_mut().take();
            if let Some(act) = act {
                act();
            }
        }));
        let failed = host.scheduler().create_future::<u32>();
        failed.set_exception(Exception::msg("expected")).unwrap();
        drop(failed);
        assert_eq!(host.take_reports().len(), 1);
    }),
    ("a function of a chain", |host, subject, act| {
        let mapped = subject.future().map(move |_| act());
        subject.complete();
        host.run_until_idle();
        drop(mapped);
    }),
];

/// Something that user code does to the future.
type Act = (&'static str, fn(&Subject));

const ACTS: [Act; 8] = [
    ("add", |subject| {
        subject.future().add_done_callback(subject.trace.mark_done("added"));
    }),
    ("remove", |subject| {
        let tokens = subject.tokens.borrow().clone();
        let future = subject.future();
        let removed = tokens.iter().map(|token| future.remove_done_callback(*token));
        subject.removed.borrow_mut().extend(removed);
    }),
    ("cancel", |subject| {
        let future = subject.future();
        assert_eq!(future.done(), !future.cancel_with("from inside"));
        assert!(future.done());
    }),
    ("drop the last handle", |subject| {
        let last = subject.handle.borrow_mut().take();
        drop(last);
    }),
    ("query", |subject| {
        let future = subject.future();
        let _ = (future.done(), future.cancelled(), future.exception(), format!("{future:?}"));
        let _ = future.result();
    }),
    ("set", |subject| {
        let future = subject.future();
        assert_eq!(future.done(), future.set_result(Value::default()).is_err());
        assert!(future.set_exception(Exception::msg("too late")).is_err());
    }),
    ("take", |subject| {
        let _ = subject.future().take();
    }),
    ("await", |subject| {
        let mut waiting = subject.future();
        poll(&mut waiting, Waker::noop());
        poll(&mut waiting, &local_waker(|| {}));
    }),
];

fn poll(future: &mut Future<Value>, waker: &Waker) {
    let _ = std::future::Future::poll(Pin::new(future), &mut Context::from_waker(waker));
}

pub(crate) fn f15_f17_user_code_may_do_anything_wherever_it_runs(host: &dyn Host) {
    let mut rows = 0;
    for (site, run) in SITES {
        for (name, act) in ACTS {
            let row = format!("{name} in {site}");
            let subject = Subject::new(host);
            let (inside, acted) = (subject.clone(), Trace::new());
            let mark = acted.mark("acted");
            run(
                host,
                &subject,
                Box::new(move || {
                    act(&inside);
                    mark();
                }),
            );
            // Whoever still waits gets an outcome.
            let survived = subject.left().is_some();
            subject.complete();
            host.run_until_idle();
            assert_eq!(acted.take(), ["acted"], "{row}");
            let reports = host.take_reports();
            assert!(reports.is_empty(), "{row}: {reports:?}");
            check_callbacks(&row, name, survived, &subject);
            rows += 1;
        }
    }
    assert_eq!(rows, 13 * 8);
}

/// Each callback ran once, in order, unless it was removed or went down with its future.
fn check_callbacks(row: &str, act: &str, survived: bool, subject: &Subject) {
    let ran = subject.trace.take();
    if !survived && ran.is_empty() {
        return; // the future was dropped while it was pending
    }
    let removed = subject.removed.borrow();
    let waker = subject.tokens.borrow().len() == 3;
    let mut expected = vec!["first", "second"];
    expected.extend(waker.then_some("after the waker"));
    if act == "remove" {
        let mut verdicts = removed.iter();
        expected.retain(|_| !verdicts.next().unwrap());
    }
    expected.extend((act == "add").then_some("added"));
    assert_eq!(ran, expected, "{row}");
}
