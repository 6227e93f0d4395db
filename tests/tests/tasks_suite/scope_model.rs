//! Random programs of scopes, against what a scope promises: nothing of one that has ended runs,
//! everything is dropped once, every task ends, and who does not end in time is aborted.

use futures::{
    Future, Handle, Scheduler, SchedulerExt, Scope, ScopeHandle, Task, TimerHandle, current,
    yield_now,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;
use tulipa_tests::Host;

const SCOPES: usize = 4;

#[derive(Clone, Debug)]
enum Step {
    Soon(usize),
    Later(usize, u64),
    Future(usize),
    /// A task that takes so long to clean up; `None`: it never ends by itself.
    Task(usize, Option<u64>),
    ShortTask(usize),
    CancelCallback(usize),
    SetFuture(usize),
    CancelTask(usize),
    /// A scope inside of another one; the first number is where it is put, which drops what was there.
    Scope(usize, Option<usize>),
    Close(usize, u64),
    Abort(usize),
    Drop(usize),
    Detach(usize),
}

fn any_step() -> impl Strategy<Value = Step> {
    let scope = 0..SCOPES;
    let inner = proptest::option::of(0..SCOPES);
    prop_oneof![
        4 => scope.clone().prop_map(Step::Soon),
        4 => (scope.clone(), 0..40u64).prop_map(|(scope, delay)| Step::Later(scope, delay)),
        2 => scope.clone().prop_map(Step::Future),
        4 => (scope.clone(), proptest::option::of(0..20u64))
            .prop_map(|(scope, clean_up)| Step::Task(scope, clean_up)),
        2 => scope.clone().prop_map(Step::ShortTask),
        1 => any::<usize>().prop_map(Step::CancelCallback),
        1 => any::<usize>().prop_map(Step::SetFuture),
        1 => any::<usize>().prop_map(Step::CancelTask),
        3 => (scope.clone(), inner).prop_map(|(scope, around)| Step::Scope(scope, around)),
        2 => (scope.clone(), 0..30u64).prop_map(|(scope, time)| Step::Close(scope, time)),
        1 => scope.clone().prop_map(Step::Abort),
        1 => scope.clone().prop_map(Step::Drop),
        1 => scope.prop_map(Step::Detach),
    ]
}

/// A step, when it is done, and whether from inside a callback of a scope.
type Timed = (u64, Option<usize>, Step);

fn milliseconds(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// What happens to one thing, as it is noted by its own destructor.
#[derive(Default)]
struct Fate {
    ran: Cell<u32>,
    dropped: Cell<u32>,
    called_off: Cell<bool>,
}

/// Captured by callbacks and coroutines.
struct Witness {
    fate: Rc<Fate>,
    scope: ScopeHandle,
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.fate.dropped.set(self.fate.dropped.get() + 1);
    }
}

enum Name {
    Soon(Handle),
    Timer(TimerHandle),
}

struct Made<N> {
    fate: Rc<Fate>,
    scope: ScopeHandle,
    name: N,
}

/// One scope, and by when it must have ended at the latest.
struct Known {
    handle: ScopeHandle,
    parent: Option<usize>,
    limit: Cell<Option<Duration>>,
}

#[derive(Default)]
struct World {
    owned: RefCell<[Option<(Scope, usize)>; SCOPES]>,
    known: RefCell<Vec<Known>>,
    callbacks: RefCell<Vec<Made<Name>>>,
    futures: RefCell<Vec<Made<Future<()>>>>,
    tasks: RefCell<Vec<Made<Task<()>>>>,
}

impl World {
    fn scope(&self, place: usize) -> Option<ScopeHandle> {
        self.owned.borrow()[place].as_ref().map(|(scope, _)| scope.handle())
    }

    fn witness(&self, scope: &ScopeHandle) -> (Rc<Fate>, Witness) {
        let fate = Rc::new(Fate::default());
        (fate.clone(), Witness { fate, scope: scope.clone() })
    }

    /// Notes that the scope in this place, and those in it, must have ended after `time`.
    fn must_end(&self, number: usize, limit: Duration) {
        let known = self.known.borrow();
        for (other, scope) in known.iter().enumerate() {
            let mut ancestors = std::iter::successors(Some(other), |it| known[*it].parent);
            if ancestors.any(|ancestor| ancestor == number) {
                let earlier = scope.limit.get().map_or(limit, |known| known.min(limit));
                scope.limit.set(Some(earlier));
            }
        }
    }

    fn do_step(&self, scheduler: &Rc<dyn Scheduler>, step: Step) {
        let now = Duration::from_nanos(scheduler.time().as_nanos());
        match step {
            Step::Soon(place) => self.call(place, None),
            Step::Later(place, delay) => self.call(place, Some(delay)),
            Step::Future(place) => {
                let Some(scope) = self.scope(place) else { return };
                let ((fate, witness), name) = (self.witness(&scope), scope.create_future());
                let was_open = scope.is_open();
                name.add_done_callback(move |future| {
                    witness.fate.ran.set(witness.fate.ran.get() + 1);
                    assert!(was_open || future.cancelled());
                });
                self.futures.borrow_mut().push(Made { fate, scope, name });
            }
            Step::Task(place, clean_up) => self.task(place, clean_up, false),
            Step::ShortTask(place) => self.task(place, Some(0), true),
            Step::CancelCallback(which) => {
                let callbacks = self.callbacks.borrow();
                if let Some(made) = pick(&callbacks, which) {
                    let was_pending = made.fate.dropped.get() == 0;
                    let prevented = match &made.name {
                        Name::Soon(handle) => handle.cancel(),
                        Name::Timer(timer) => timer.cancel(),
                    };
                    // The callback that is running right now is neither there nor dropped.
                    assert!(prevented == was_pending || made.fate.ran.get() == 1);
                    made.fate.called_off.set(made.fate.called_off.get() || prevented);
                    assert!(!prevented || made.fate.dropped.get() == 1);
                }
            }
            Step::SetFuture(which) => {
                if let Some(made) = pick(&self.futures.borrow(), which) {
                    let was_pending = !made.name.done();
                    assert_eq!(made.name.try_set_result(()).is_ok(), was_pending);
                    assert!(!was_pending || made.scope.is_open(), "it was to be cancelled");
                }
            }
            Step::CancelTask(which) => {
                if let Some(made) = pick(&self.tasks.borrow(), which) {
                    made.name.cancel();
                }
            }
            Step::Scope(place, around) => self.make_scope(scheduler, place, around, now),
            Step::Close(place, time) => {
                let Some((scope, number)) = self.scope_and_number(place) else { return };
                self.must_end(number, now + milliseconds(time));
                // Not from under the borrow: it drops what is in the scope.
                drop(scope.close_within(milliseconds(time)));
                assert!(!scope.is_open() && scope.callback_count() == 0);
            }
            Step::Abort(place) => {
                let Some((scope, number)) = self.scope_and_number(place) else { return };
                self.must_end(number, now);
                scope.abort();
                assert!(!scope.is_open() && scope.callback_count() == 0);
            }
            Step::Drop(place) => self.drop_scope(place, now),
            Step::Detach(place) => {
                let taken = self.owned.borrow_mut()[place].take();
                drop(taken.map(|(scope, _)| scope.detach()));
            }
        }
    }

    fn scope_and_number(&self, place: usize) -> Option<(ScopeHandle, usize)> {
        self.owned.borrow()[place].as_ref().map(|(scope, number)| (scope.handle(), *number))
    }

    fn drop_scope(&self, place: usize, now: Duration) {
        let taken = self.owned.borrow_mut()[place].take();
        if let Some((scope, number)) = taken {
            if scope.is_open() {
                self.must_end(number, now);
            }
            drop(scope);
        }
    }

    fn make_scope(
        &self,
        scheduler: &Rc<dyn Scheduler>,
        place: usize,
        around: Option<usize>,
        now: Duration,
    ) {
        let outer = around.and_then(|around| self.scope_and_number(around));
        let (scope, parent) = match outer {
            Some((outer, number)) => (outer.create_scope(), Some(number)),
            None => (scheduler.create_scope(), None),
        };
        let limit = Cell::new(match scope.is_open() {
            true => None,
            false => Some(now),
        });
        let number = self.known.borrow().len();
        self.known.borrow_mut().push(Known { handle: scope.handle(), parent, limit });
        self.drop_scope(place, now);
        self.owned.borrow_mut()[place] = Some((scope, number));
    }

    fn call(&self, place: usize, delay: Option<u64>) {
        let Some(scope) = self.scope(place) else { return };
        let (fate, witness) = self.witness(&scope);
        let run = move || {
            assert!(witness.scope.is_open(), "nothing of an ended scope runs");
            witness.fate.ran.set(witness.fate.ran.get() + 1);
        };
        let name = match delay {
            None => Name::Soon(scope.call_soon(run)),
            Some(delay) => Name::Timer(scope.call_later(milliseconds(delay), run)),
        };
        assert_eq!(fate.dropped.get() == 1, !scope.is_open());
        self.callbacks.borrow_mut().push(Made { fate, scope, name });
    }

    fn task(&self, place: usize, clean_up: Option<u64>, is_short: bool) {
        let Some(scope) = self.scope(place) else { return };
        let (fate, witness) = self.witness(&scope);
        let name = scope.create_task(async move {
            let step = || {
                assert!(!witness.scope.is_ended(), "nothing of an ended scope runs");
                witness.fate.ran.set(witness.fate.ran.get() + 1);
            };
            step();
            let told = match is_short {
                true => yield_now().await,
                false => current().create_future::<()>().await,
            };
            step();
            match clean_up {
                Some(time) => futures::sleep(milliseconds(time)).await?,
                None => std::future::pending().await,
            }
            step();
            told
        });
        assert_eq!(name.done(), !scope.is_open());
        self.tasks.borrow_mut().push(Made { fate, scope, name });
    }

    /// Every scope that must have ended by now has, with all that was in it.
    fn check_limits(&self, now: Duration) {
        for Known { handle, limit, .. } in &*self.known.borrow() {
            if limit.get().is_some_and(|limit| limit + milliseconds(1) <= now) {
                assert!(handle.is_ended(), "{handle:?} must have ended at {limit:?}");
            }
            if handle.is_ended() {
                assert_eq!((handle.callback_count(), handle.member_count()), (0, 0));
            }
        }
    }

    fn check_end(&self) {
        assert!(self.known.borrow().iter().all(|known| known.handle.is_ended()));
        for made in &*self.callbacks.borrow() {
            assert_eq!(made.fate.dropped.get(), 1);
            assert!(made.fate.ran.get() + u32::from(made.fate.called_off.get()) <= 1);
            assert!(made.scope.is_ended());
        }
        for made in &*self.futures.borrow() {
            assert!(made.name.done());
            assert_eq!((made.fate.ran.get(), made.fate.dropped.get()), (1, 1));
        }
        for made in &*self.tasks.borrow() {
            assert!(made.name.done() && made.fate.ran.get() <= 3);
            assert_eq!(made.fate.dropped.get(), 1);
        }
    }
}

fn pick<T>(list: &[T], which: usize) -> Option<&T> {
    list.get(which.checked_rem(list.len())?)
}

/// Does the steps at their times, each in a callback of the loop, or of a scope that is open then.
fn run(host: &dyn Host, program: Vec<Timed>) {
    let (world, scheduler) = (Rc::new(World::default()), host.scheduler());
    let begin = scheduler.time();
    let at = |time: u64| begin + milliseconds(time);
    for (time, inside, step) in program {
        let (world, scheduler) = (world.clone(), scheduler.clone());
        host.scheduler().call_at(at(time), move || {
            world.check_limits(Duration::from_nanos(scheduler.time().as_nanos()));
            let inside = inside.and_then(|place| world.scope(place));
            match inside.filter(ScopeHandle::is_open) {
                None => world.do_step(&scheduler, step),
                Some(scope) => {
                    scope.call_soon(move || world.do_step(&scheduler, step));
                }
            }
        });
    }
    let (last, finally) = (world.clone(), scheduler.clone());
    scheduler.call_at(at(200), move || {
        let now = Duration::from_nanos(finally.time().as_nanos());
        for place in 0..SCOPES {
            last.drop_scope(place, now);
        }
        // Those that were detached.
        let left: Vec<ScopeHandle> =
            last.known.borrow().iter().map(|known| known.handle.clone()).collect();
        left.iter().for_each(|handle| drop(handle.close_within(Duration::ZERO)));
    });
    drop(scheduler);
    host.run_until_idle();
    let reports = host.take_reports();
    let refused = |text: &str| text.contains("on a scope that has ended");
    assert!(reports.iter().all(|report| refused(&report.message)), "{reports:?}");
    world.check_end();
}

pub(crate) fn scopes_keep_their_promises_in_random_programs(host: &dyn Host) {
    let step = (0..100u64, proptest::option::weighted(0.3, 0..SCOPES), any_step());
    let programs = proptest::collection::vec(step, 0..80);
    let config = Config { cases: 150, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&programs, |program| {
        run(host, program);
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}
