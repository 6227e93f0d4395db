//! hyper's timer and executor on every scheduler.

use futures::SchedulerExt;
use hyper::rt::{Executor, Sleep, Timer};
use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;
use tulipa::interop::{LoopExecutor, LoopTimer};
use tulipa_tests::{Host, WakeCounter};

const MINUTE: Duration = Duration::from_secs(60);

/// Runs `coroutine` to its end; how much time has passed.
fn time_of(host: &dyn Host, coroutine: impl Future<Output = ()> + 'static) -> Duration {
    let scheduler = host.scheduler();
    let before = scheduler.time();
    let task = scheduler.spawn(coroutine);
    host.run_until_idle();
    task.take().unwrap();
    scheduler.time().saturating_duration_since(before)
}

pub(crate) fn hyper_sleeps_by_the_loops_clock(host: &dyn Host) {
    let timer = LoopTimer::new(&*host.scheduler());
    let passed = time_of(host, async move {
        timer.sleep(MINUTE).await;
        let deadline = timer.now() + MINUTE;
        timer.sleep_until(deadline).await;
        assert!(timer.now() >= deadline);
        timer.sleep_until(deadline).await;
        timer.sleep(Duration::ZERO).await;
    });
    assert_eq!(passed, MINUTE * 2);
}

pub(crate) fn a_sleep_is_moved_without_a_new_one(host: &dyn Host) {
    let timer = LoopTimer::new(&*host.scheduler());
    let passed = time_of(host, async move {
        let mut sleep = timer.sleep(MINUTE * 100);
        let begin = timer.now();
        let address = address_of(&sleep);
        timer.reset(&mut sleep, begin + MINUTE * 50);
        assert!(futures_util::poll!(&mut sleep).is_pending());
        timer.reset(&mut sleep, begin + MINUTE);
        assert_eq!(address_of(&sleep), address);
        sleep.as_mut().await;
        assert_eq!(timer.now(), begin + MINUTE);
        timer.reset(&mut sleep, begin + MINUTE * 2);
        assert!(futures_util::poll!(&mut sleep).is_pending(), "one that is over begins anew");
        sleep.as_mut().await;
        // Another timer of the same loop knows it too; somebody else's sleep is replaced.
        LoopTimer::current().reset(&mut sleep, begin + MINUTE * 3);
        assert!(futures_util::poll!(&mut sleep).is_pending());
        let mut sleep: Pin<Box<dyn Sleep>> = Box::pin(Foreign);
        timer.reset(&mut sleep, begin + MINUTE * 3);
        sleep.await;
    });
    assert_eq!(passed, MINUTE * 3);
}

/// A sleep that is not ours, and never ends.
struct Foreign;

impl Future for Foreign {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

impl Sleep for Foreign {}

fn address_of(sleep: &Pin<Box<dyn Sleep>>) -> *const () {
    (&raw const **sleep).cast()
}

pub(crate) fn dropping_a_sleep_cancels_its_timer(host: &dyn Host) {
    let timer = LoopTimer::new(&*host.scheduler());
    let passed = time_of(host, async move {
        let mut sleep = timer.sleep(MINUTE * 100);
        assert!(futures_util::poll!(&mut sleep).is_pending());
        let mut never = timer.sleep(Duration::MAX);
        assert!(futures_util::poll!(&mut never).is_pending());
    });
    assert_eq!(passed, Duration::ZERO);
}

pub(crate) fn other_threads_may_sleep_on_the_loop(host: &dyn Host) {
    let timer = LoopTimer::new(&*host.scheduler());
    let (woken, waker) = WakeCounter::new();
    let mut sleep = thread::spawn(move || {
        let mut sleep = timer.sleep(Duration::ZERO);
        let mut context = Context::from_waker(&waker);
        assert!(sleep.as_mut().poll(&mut context).is_pending());
        assert!(sleep.as_mut().poll(&mut context).is_pending());
        sleep
    })
    .join()
    .unwrap();
    host.run_until_idle();
    assert_eq!(woken.count(), 1);
    let polled = thread::spawn(move || {
        sleep.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop()))
    });
    assert_eq!(polled.join().unwrap(), Poll::Ready(()));
}

pub(crate) fn a_sleep_that_another_thread_drops_is_cancelled(host: &dyn Host) {
    let scheduler = host.scheduler();
    let timer = LoopTimer::new(&*scheduler);
    let kept = Rc::new(Cell::new(None));
    let keep = kept.clone();
    let before = scheduler.time();
    scheduler.spawn(async move {
        let mut sleep = timer.sleep(MINUTE * 100);
        assert!(futures_util::poll!(&mut sleep).is_pending());
        keep.set(Some(sleep));
    });
    let elsewhere = kept.clone();
    scheduler.call_soon(|| ());
    scheduler.call_soon(move || {
        // In the turn behind the task's.
        let scheduler = futures::current();
        scheduler.call_soon(move || {
            let sleep = elsewhere.take().expect("it was begun");
            thread::spawn(move || drop(sleep)).join().unwrap();
        });
    });
    host.run_until_idle();
    assert_eq!(scheduler.time(), before);
}

pub(crate) fn hypers_executor_makes_tasks(host: &dyn Host) {
    let executor = LoopExecutor::new(&*host.scheduler());
    let ran = Rc::new(Cell::new(0));
    let counted = ran.clone();
    let inner = executor.clone();
    executor.execute(async move {
        counted.set(counted.get() + 1);
        assert!(futures::current_task().is_some());
        inner.execute(async move {
            counted.set(counted.get() + 1);
            "what it returns is dropped"
        });
    });
    assert_eq!(ran.get(), 0);
    host.run_until_idle();
    assert_eq!(ran.get(), 2);
}
