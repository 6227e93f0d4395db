use super::*;
use crate::Callback;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{self, Poll, Waker};

static NUMBER: TaskLocal<u64> = TaskLocal::new();
static NAME: TaskLocal<&str> = TaskLocal::new();

/// Not even `Sync`.
static LOG: TaskLocal<Rc<RefCell<Vec<u64>>>> = TaskLocal::new();

fn poll<F: Future>(future: &mut std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.as_mut().poll(&mut task::Context::from_waker(Waker::noop()))
}

/// Ready when it is polled for the second time.
fn pending_once() -> impl Future<Output = ()> {
    let mut polled = false;
    std::future::poll_fn(move |_| match std::mem::replace(&mut polled, true) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
}

/// Looks at the current number when it is dropped, and sets it.
struct OnDrop(Rc<Cell<Option<u64>>>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.set(NUMBER.get());
        NUMBER.set(99);
    }
}

#[test]
fn l53_a_value_is_set_replaced_and_reset() {
    assert_eq!(NUMBER.get(), None);
    let first = NUMBER.set(1);
    assert_eq!((first.previous(), NUMBER.get()), (None, Some(1)));
    let second = NUMBER.set(2);
    assert_eq!((second.previous(), NUMBER.get()), (Some(&1), Some(2)));
    assert_eq!(NAME.get(), None);
    second.reset();
    assert_eq!(NUMBER.get(), Some(1));
    first.reset();
    assert_eq!(NUMBER.get(), None);
    assert!(TaskContext::current().is_empty());
}

#[test]
fn l53_many_variables_have_a_value_each() {
    let locals: Vec<TaskLocal<usize>> = (0..50).map(|_| TaskLocal::new()).collect();
    // Used in another order than they are set: keys are given at the first use.
    locals.iter().rev().for_each(|local| assert_eq!(local.get(), None));
    let tokens: Vec<_> = locals.iter().enumerate().map(|(n, local)| local.set(n)).collect();
    let moved: Vec<_> = locals.into_iter().collect();
    for (number, local) in moved.iter().enumerate() {
        assert_eq!(local.get(), Some(number));
    }
    tokens.into_iter().step_by(2).for_each(ResetToken::reset);
    for (number, local) in moved.iter().enumerate() {
        assert_eq!(local.get(), (number % 2 == 1).then_some(number));
    }
}

#[test]
fn l53_a_variable_at_the_address_of_an_earlier_one_is_another() {
    for number in 0..3 {
        let local = TaskLocal::new();
        assert_eq!(local.get(), None);
        local.set(number);
    }
}

#[test]
fn l53_a_snapshot_does_not_change() {
    let token = NUMBER.set(1);
    let snapshot = TaskContext::current();
    NUMBER.set(2);
    NAME.set("later");
    assert_eq!(snapshot.run(|| (NUMBER.get(), NAME.get())), (Some(1), None));
    snapshot.run(|| NUMBER.set(3));
    assert_eq!(snapshot.run(|| NUMBER.get()), Some(1));
    assert_eq!((NUMBER.get(), NAME.get()), (Some(2), Some("later")));
    assert_eq!(TaskContext::new().run(|| (NUMBER.get(), NAME.get())), (None, None));
    assert_eq!(format!("{:?}", TaskContext::current()), "TaskContext(2 values)");
    token.reset();
}

#[test]
fn l53_a_scope_ends_also_by_a_panic() {
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        NUMBER.sync_scope(1, || {
            NAME.set("stays");
            TaskContext::new().run(|| {
                NAME.set("goes");
                panic!("expected");
            });
        });
    }));
    assert!(unwound.is_err());
    assert_eq!((NUMBER.get(), NAME.get()), (None, Some("stays")));
}

#[test]
fn l53_values_need_be_neither_clone_nor_sync() {
    let log = Rc::new(RefCell::new(Vec::new()));
    LOG.sync_scope(log.clone(), || {
        LOG.with(|log| log.expect("it is set").borrow_mut().push(1));
        LOG.get().expect("it is set").borrow_mut().push(2);
    });
    assert_eq!(*log.borrow(), [1, 2]);
    assert_eq!(Rc::strong_count(&log), 1);
}

#[test]
fn l53_with_keeps_what_it_looks_at() {
    static LOCAL: TaskLocal<OnDrop> = TaskLocal::new();
    let seen = Rc::new(Cell::new(None));
    LOCAL.set(OnDrop(seen.clone()));
    NUMBER.sync_scope(1, || {
        LOCAL.with(|value| {
            let value = value.expect("it is set");
            drop(LOCAL.set(OnDrop(Rc::default())));
            assert_eq!(value.0.get(), None);
        });
        assert_eq!((seen.get(), NUMBER.get()), (Some(1), Some(99)));
    });
}

#[test]
fn l53_dropped_values_find_the_context_outside_and_may_change_it() {
    static LOCAL: TaskLocal<OnDrop> = TaskLocal::new();
    let seen = Rc::new(Cell::new(None));
    NUMBER.set(1);
    LOCAL.sync_scope(OnDrop(seen.clone()), || NUMBER.set(2));
    assert_eq!((seen.take(), NUMBER.get()), (Some(2), Some(99)));

    NUMBER.set(1);
    TaskContext::new().run(|| {
        NUMBER.set(3);
        LOCAL.set(OnDrop(seen.clone()));
    });
    assert_eq!((seen.take(), NUMBER.get()), (Some(1), Some(99)));

    NUMBER.set(1);
    let token = LOCAL.set(OnDrop(seen.clone()));
    token.reset();
    assert_eq!((seen.take(), NUMBER.get()), (Some(1), Some(99)));
}

#[test]
fn l53_a_scoped_future_has_its_value_while_it_runs() {
    let mut future = pin!(NUMBER.scope(1, async {
        assert_eq!(NUMBER.get(), Some(1));
        NUMBER.set(2);
        NAME.set("left behind");
        pending_once().await;
        (NUMBER.get(), NAME.get())
    }));
    NUMBER.sync_scope(10, || {
        assert!(poll(&mut future).is_pending());
        assert_eq!((NUMBER.get(), NAME.get()), (Some(10), Some("left behind")));
    });
    assert_eq!(NUMBER.get(), None);
    TaskContext::new().run(|| {
        assert_eq!(poll(&mut future), Poll::Ready((Some(2), None)));
        assert!(TaskContext::current().is_empty());
    });
}

#[test]
fn l53_scoped_futures_nest() {
    let inner = NUMBER.scope(2, async {
        pending_once().await;
        (NUMBER.get(), NAME.get())
    });
    let mut outer = pin!(NUMBER.scope(
        1,
        NAME.scope("name", async {
            let inner = inner.await;
            (NUMBER.get(), inner)
        })
    ));
    assert!(poll(&mut outer).is_pending());
    assert_eq!(poll(&mut outer), Poll::Ready((Some(1), (Some(2), Some("name")))));
    assert!(TaskContext::current().is_empty());
}

#[test]
fn l53_a_scoped_future_is_dropped_in_its_scope() {
    let seen = Rc::new(Cell::new(None));
    for polls in 0..3 {
        let held = OnDrop(seen.clone());
        let mut future = Box::pin(NUMBER.scope(1, async move {
            let _held = held;
            pending_once().await;
        }));
        for poll_number in 1..=polls {
            assert_eq!(poll(&mut future.as_mut()).is_ready(), poll_number == 2);
        }
        drop(future);
        assert_eq!((seen.take(), NUMBER.get()), (Some(1), None));
    }
}

#[test]
fn l53_a_scoped_future_that_panics_leaves_its_scope() {
    let mut future = pin!(NUMBER.scope(1, async { panic!("expected") }));
    assert!(catch_unwind(AssertUnwindSafe(|| poll(&mut future))).is_err());
    assert_eq!(NUMBER.get(), None);
}

#[test]
fn l53_the_context_can_be_swapped_by_hand() {
    let one = NUMBER.sync_scope(1, TaskContext::current);
    let outer = replace(one);
    assert!(outer.is_empty());
    NUMBER.set(2);
    let one = replace(outer);
    assert_eq!(NUMBER.get(), None);
    assert_eq!(one.run(|| NUMBER.get()), Some(2));
}

#[test]
fn l53_a_callback_runs_in_the_context_of_its_making() {
    let seen = Rc::new(Cell::new(None));
    let look = || {
        let seen = seen.clone();
        move || {
            seen.set(NUMBER.get());
            NUMBER.set(5);
        }
    };
    let (empty, location) = (Callback::new(look()), std::panic::Location::caller());
    let (full, given, without) = NUMBER.sync_scope(1, || {
        let full = Callback::new(look());
        let given = Callback::in_context(location, TaskContext::new(), look());
        (full, given, Callback::without_context(location, look()))
    });
    NUMBER.sync_scope(2, || {
        for (callback, expected) in [(empty, None), (full, Some(1)), (given, None)] {
            callback.run();
            assert_eq!((seen.take(), NUMBER.get()), (expected, Some(2)));
        }
        without.run();
        assert_eq!((seen.take(), NUMBER.get()), (Some(2), Some(5)));
    });
}

#[test]
fn l53_a_callback_that_panics_leaves_the_context_as_it_was() {
    for number in [None, Some(1)] {
        let fail = || {
            NUMBER.set(3);
            panic!("expected")
        };
        let callback = match number {
            None => Callback::new(fail),
            Some(number) => NUMBER.sync_scope(number, || Callback::new(fail)),
        };
        assert!(catch_unwind(AssertUnwindSafe(|| callback.run())).is_err());
        assert_eq!(NUMBER.get(), None);
    }
}

#[test]
fn l53_an_ending_thread_has_no_values() {
    thread_local! {
        static LATE: RefCell<Vec<OnDrop>> = const { RefCell::new(Vec::new()) };
    }
    static LOCAL: TaskLocal<OnDrop> = TaskLocal::new();
    struct UsesAll(std::sync::mpsc::Sender<Option<u64>>);
    impl Drop for UsesAll {
        fn drop(&mut self) {
            let set = NUMBER.set(1);
            let seen = NUMBER.sync_scope(2, || NUMBER.get());
            let context = TaskContext::current();
            let callback = Callback::new(set_number);
            callback.run();
            set.reset();
            drop(context);
            self.0.send(seen).expect("the test waits for it");
        }
    }
    fn set_number() {
        NUMBER.set(4);
    }
    static USES_ALL: TaskLocal<UsesAll> = TaskLocal::new();
    let (sender, seen) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        LATE.with_borrow_mut(|late| late.push(OnDrop(Rc::default())));
        LOCAL.set(OnDrop(Rc::default()));
        USES_ALL.set(UsesAll(sender));
    });
    thread.join().expect("no destructor panics");
    assert_eq!(seen.recv(), Ok(None));
}

#[test]
fn a_context_is_one_word() {
    assert_eq!(size_of::<TaskContext>(), size_of::<usize>());
    fn is_sync<T: Send + Sync>(_: &T) {}
    is_sync(&LOG);
}
