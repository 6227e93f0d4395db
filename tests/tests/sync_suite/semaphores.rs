//! `Semaphore` and `BoundedSemaphore`.

use super::support::at_once;
use futures::{BoundedSemaphore, SchedulerExt, Semaphore, Task, yield_now};
use tulipa_tests::{Host, Trace};

/// Takes a token, notes that, and keeps the token for good.
fn taker(host: &dyn Host, semaphore: &Semaphore, trace: &Trace, name: &'static str) -> Task<()> {
    let (semaphore, trace) = (semaphore.clone(), trace.clone());
    host.scheduler().create_task(async move {
        semaphore.acquire().await?.forget();
        trace.note(name);
        Ok(())
    })
}

pub(crate) fn s18_a_semaphore_has_so_many_tokens(_: &dyn Host) {
    let semaphore = Semaphore::new(2);
    let permits = [(); 2].map(|()| at_once(semaphore.acquire()).unwrap());
    assert!(semaphore.value() == 0 && semaphore.try_acquire().is_none());
    drop(permits);
    assert_eq!(semaphore.value(), 2);
    semaphore.release();
    assert_eq!(semaphore.value(), 3, "it may have more than at first");
    assert_eq!((Semaphore::default().value(), BoundedSemaphore::default().value()), (1, 1));
    assert!(Semaphore::new(0).locked());
    assert_eq!(format!("{semaphore:?}"), "Semaphore(3 free, 0 waiting)");
}

pub(crate) fn s18_releasing_a_bounded_one_too_often_is_an_error(_: &dyn Host) {
    let semaphore = BoundedSemaphore::new(2);
    let error = semaphore.release().unwrap_err();
    assert_eq!(error.to_string(), "the semaphore was released too many times");
    assert_eq!(semaphore.value(), 2);
    let (one, other) = (at_once(semaphore.acquire()).unwrap(), semaphore.try_acquire().unwrap());
    assert!(semaphore.locked());
    one.forget();
    assert_eq!(semaphore.value(), 0);
    semaphore.release().unwrap();
    // A release in the place of a permit that is still out: the permit's own changes nothing then.
    semaphore.release().unwrap();
    drop(other);
    assert_eq!((semaphore.value(), semaphore.locked()), (2, false));
    assert!(semaphore.release().is_err());
    assert_eq!(format!("{semaphore:?}"), "BoundedSemaphore(2 free, 0 waiting)");
}

pub(crate) fn s19_locked_says_whether_a_newcomer_would_wait(host: &dyn Host) {
    let (semaphore, trace) = (Semaphore::new(0), Trace::new());
    taker(host, &semaphore, &trace, "waiter");
    host.run_until_idle();
    assert!(semaphore.locked());
    semaphore.release();
    semaphore.release();
    assert_eq!((semaphore.value(), semaphore.locked()), (1, true), "the waiter runs first");
    assert!(semaphore.try_acquire().is_none());
    host.run_until_idle();
    assert_eq!((semaphore.value(), semaphore.locked()), (1, false));
    assert_eq!(trace.take(), ["waiter"]);
}

pub(crate) fn s20_a_released_token_goes_to_the_first_waiter(host: &dyn Host) {
    let (semaphore, trace) = (Semaphore::new(1), Trace::new());
    let permit = semaphore.try_acquire().unwrap();
    taker(host, &semaphore, &trace, "waiter");
    host.run_until_idle();
    // The newcomer's first step is queued before the waiter's wake-up.
    taker(host, &semaphore, &trace, "newcomer");
    drop(permit);
    assert_eq!(semaphore.value(), 0, "it has the waiter's name on it");
    host.run_until_idle();
    assert_eq!(trace.take(), ["waiter"]);
    semaphore.release();
    host.run_until_idle();
    assert_eq!(trace.take(), ["newcomer"]);
}

pub(crate) fn s3_s21_a_cancelled_waiter_gives_its_token_back(host: &dyn Host) {
    for abort in [false, true] {
        let (semaphore, trace) = (Semaphore::new(0), Trace::new());
        let tasks = ["a", "b", "c", "d"].map(|name| taker(host, &semaphore, &trace, name));
        host.run_until_idle();
        semaphore.release();
        semaphore.release();
        for task in &tasks[..2] {
            assert!(if abort { task.abort() } else { task.cancel() });
        }
        host.run_until_idle();
        assert_eq!(trace.take(), ["c", "d"]);
        assert_eq!((semaphore.value(), semaphore.locked()), (0, true));
    }
}

pub(crate) fn s21_several_releases_wake_several(host: &dyn Host) {
    let (semaphore, trace) = (Semaphore::new(0), Trace::new());
    for name in ["a", "b", "c"] {
        taker(host, &semaphore, &trace, name);
    }
    host.run_until_idle();
    semaphore.release();
    semaphore.release();
    host.run_until_idle();
    assert_eq!(trace.take(), ["a", "b"]);
    semaphore.release();
    semaphore.release();
    host.run_until_idle();
    assert_eq!((trace.take(), semaphore.value()), (vec!["c".to_owned()], 1));
}

pub(crate) fn s21_a_waiter_that_ends_in_a_bounded_one_leaves_nobody_behind(host: &dyn Host) {
    // Its token was released in its stead meanwhile: the others are looked after all the same.
    let semaphore = BoundedSemaphore::new(1);
    semaphore.try_acquire().unwrap().forget();
    let first = host.scheduler().create_task(semaphore.acquire());
    host.run_until_idle();
    semaphore.release().unwrap(); // promised to the first
    semaphore.release().unwrap(); // one too many, as nobody can know yet
    let second = host.scheduler().create_task(semaphore.acquire());
    assert!(first.cancel());
    host.run_until_idle();
    assert!(second.done());
    drop(second.take().unwrap());
    assert_eq!((semaphore.value(), semaphore.locked()), (1, false));
}

pub(crate) fn s22_the_order_holds_when_some_wait_and_some_need_not(host: &dyn Host) {
    // Every order in which three can be released, cancelled or come anew around one that was woken.
    let (semaphore, trace) = (Semaphore::new(1), Trace::new());
    for name in ["a", "b", "c"] {
        let (semaphore, trace) = (semaphore.clone(), trace.clone());
        host.scheduler().create_task(async move {
            for round in 1..=2 {
                let permit = semaphore.acquire().await?;
                trace.note(format!("{name}{round}"));
                yield_now().await?;
                drop(permit);
            }
            Ok(())
        });
    }
    host.run_until_idle();
    assert_eq!(trace.take(), ["a1", "b1", "c1", "a2", "b2", "c2"]);

    let (semaphore, trace) = (Semaphore::new(0), Trace::new());
    taker(host, &semaphore, &trace, "first");
    host.run_until_idle();
    taker(host, &semaphore, &trace, "second"); // its first step comes before the first one's turn
    semaphore.release();
    semaphore.release();
    taker(host, &semaphore, &trace, "third");
    semaphore.release();
    host.run_until_idle();
    assert_eq!(trace.take(), ["first", "second", "third"]);
    assert!(semaphore.value() == 0 && semaphore.locked());
}
