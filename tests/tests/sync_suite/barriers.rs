//! `Barrier`.

use super::support::{at_once, unless_cancelled, words};
use futures::{Barrier, BrokenBarrierError, SchedulerExt, Task};
use std::num::NonZeroUsize;
use tulipa_tests::{Host, Trace};

fn barrier(parties: usize) -> Barrier {
    Barrier::new(NonZeroUsize::new(parties).unwrap())
}

fn arrive(host: &dyn Host, barrier: &Barrier, trace: &Trace, name: &'static str) -> Task<()> {
    let (barrier, trace) = (barrier.clone(), trace.clone());
    host.scheduler().create_task(async move {
        let outcome = barrier.wait().await;
        trace.note(format!("{name}: {}", words(&outcome)));
        unless_cancelled(outcome)
    })
}

const BROKEN: &str = "error: the barrier is broken or was reset";

pub(crate) fn s23_all_pass_when_so_many_have_arrived(host: &dyn Host) {
    let (barrier, trace) = (barrier(3), Trace::new());
    for round in 0..3 {
        arrive(host, &barrier, &trace, "a");
        arrive(host, &barrier, &trace, "b");
        host.run_until_idle();
        assert!(trace.take().is_empty(), "round {round}");
        assert_eq!((barrier.n_waiting(), barrier.parties(), barrier.broken()), (2, 3, false));
        assert_eq!(format!("{barrier:?}"), "Barrier(filling, 2 of 3 waiting)");
        arrive(host, &barrier, &trace, "c");
        host.run_until_idle();
        assert_eq!(trace.take(), ["c: 2", "a: 0", "b: 1"], "the last does not pause");
        assert_eq!(barrier.n_waiting(), 0);
    }
}

pub(crate) fn s23_a_party_of_one_never_waits(_: &dyn Host) {
    let barrier = barrier(1);
    for _ in 0..3 {
        assert_eq!(at_once(barrier.wait()).unwrap(), 0);
    }
}

pub(crate) fn s24_who_comes_while_a_round_leaves_belongs_to_the_next(host: &dyn Host) {
    let (barrier, trace) = (barrier(2), Trace::new());
    arrive(host, &barrier, &trace, "a");
    host.run_until_idle();
    let (inside, seen) = (barrier.clone(), trace.clone());
    host.scheduler().create_task(async move {
        inside.wait().await?;
        // The other one has not run yet.
        assert_eq!(format!("{inside:?}"), "Barrier(draining, 0 of 2 waiting)");
        for _ in 0..5 {
            let (barrier, seen) = (inside.clone(), seen.clone());
            let eager = futures::TaskBuilder::new().eager();
            eager.create_task(&*futures::current(), async move {
                let index = barrier.wait().await?;
                seen.note(format!("next: {index}"));
                Ok(())
            });
        }
        assert_eq!(inside.n_waiting(), 0);
        Ok(())
    });
    host.run_until_idle();
    assert_eq!(trace.take(), ["a: 0", "next: 0", "next: 1", "next: 0", "next: 1"]);
    assert_eq!(barrier.n_waiting(), 1);
}

pub(crate) fn s25_a_reset_sends_those_inside_away(host: &dyn Host) {
    let (barrier, trace) = (barrier(3), Trace::new());
    barrier.reset(); // nobody is inside
    arrive(host, &barrier, &trace, "a");
    arrive(host, &barrier, &trace, "b");
    host.run_until_idle();
    barrier.reset();
    assert_eq!(format!("{barrier:?}"), "Barrier(resetting, 0 of 3 waiting)");
    barrier.reset();
    // These come while the reset is going on: the next round.
    for name in ["c", "d", "e"] {
        arrive(host, &barrier, &trace, name);
    }
    host.run_until_idle();
    let broken = [format!("a: {BROKEN}"), format!("b: {BROKEN}")];
    let mut seen = trace.take();
    assert_eq!(seen.drain(..2).collect::<Vec<_>>(), broken);
    seen.sort();
    assert_eq!(seen, ["c: 0", "d: 1", "e: 2"]);
    assert!(!barrier.broken());
}

pub(crate) fn s25_a_reset_reaches_those_of_a_full_round_that_have_not_run(host: &dyn Host) {
    let (barrier, trace) = (barrier(2), Trace::new());
    arrive(host, &barrier, &trace, "a");
    host.run_until_idle();
    let (inside, seen) = (barrier.clone(), trace.clone());
    host.scheduler().create_task(async move {
        seen.note(inside.wait().await?);
        let held_back = inside.clone();
        let eager = futures::TaskBuilder::new().eager();
        eager.create_task(&*futures::current(), async move { held_back.wait().await.map(drop) });
        inside.reset();
        Ok(())
    });
    host.run_until_idle();
    assert_eq!(trace.take(), ["1".to_owned(), format!("a: {BROKEN}")]);
    assert_eq!(barrier.n_waiting(), 1, "who was held back stays");
    assert_eq!(at_once(barrier.wait()).unwrap(), 1);
}

pub(crate) fn s26_an_abort_sends_all_away_until_a_reset(host: &dyn Host) {
    let (barrier, trace) = (barrier(3), Trace::new());
    arrive(host, &barrier, &trace, "a");
    arrive(host, &barrier, &trace, "b");
    host.run_until_idle();
    barrier.abort();
    assert!(barrier.broken() && barrier.n_waiting() == 0);
    let refused = at_once(barrier.wait()).unwrap_err();
    assert!(refused.is::<BrokenBarrierError>());
    host.run_until_idle();
    assert_eq!(trace.take(), [format!("a: {BROKEN}"), format!("b: {BROKEN}")]);
    assert!(barrier.broken() && at_once(barrier.wait()).is_err());
    assert_eq!(format!("{barrier:?}"), "Barrier(broken, 0 of 3 waiting)");
    barrier.abort();
    barrier.reset();
    assert!(!barrier.broken());
    // Broken and reset in one turn: those inside hear of it, newcomers do not.
    arrive(host, &barrier, &trace, "c");
    host.run_until_idle();
    barrier.abort();
    barrier.reset();
    for name in ["d", "e", "f"] {
        arrive(host, &barrier, &trace, name);
    }
    host.run_until_idle();
    let mut seen = trace.take();
    seen.sort();
    assert_eq!(seen, [format!("c: {BROKEN}"), "d: 0".into(), "e: 1".into(), "f: 2".into()]);
}

pub(crate) fn s26_a_member_may_break_it(host: &dyn Host) {
    let (barrier, trace) = (barrier(3), Trace::new());
    arrive(host, &barrier, &trace, "a");
    arrive(host, &barrier, &trace, "b");
    let breaking = barrier.clone();
    host.scheduler().create_task(async move {
        breaking.wait().await?;
        breaking.abort();
        Ok(())
    });
    host.run_until_idle();
    assert_eq!(trace.take(), [format!("a: {BROKEN}"), format!("b: {BROKEN}")]);
}

pub(crate) fn s27_a_cancelled_waiter_leaves_without_breaking_the_round(host: &dyn Host) {
    for abort in [false, true] {
        let (barrier, trace) = (barrier(3), Trace::new());
        let first = arrive(host, &barrier, &trace, "first");
        arrive(host, &barrier, &trace, "second");
        host.run_until_idle();
        assert!(if abort { first.abort() } else { first.cancel() });
        if !abort {
            assert_eq!(barrier.n_waiting(), 1, "at once");
        }
        // In the same turn: it does not make a full round.
        arrive(host, &barrier, &trace, "third");
        host.run_until_idle();
        assert_eq!(barrier.n_waiting(), 2);
        arrive(host, &barrier, &trace, "fourth");
        host.run_until_idle();
        let mut seen = trace.take();
        seen.retain(|entry| !entry.starts_with("first: error"));
        seen.sort();
        assert_eq!(seen, ["fourth: 2", "second: 0", "third: 1"]);
    }
}

pub(crate) fn s3_s27_one_who_passed_and_is_cancelled_holds_nobody_up(host: &dyn Host) {
    let (barrier, trace) = (barrier(2), Trace::new());
    let first = arrive(host, &barrier, &trace, "first");
    host.run_until_idle();
    let inside = barrier.clone();
    host.scheduler().create_task(async move {
        inside.wait().await?;
        assert!(first.cancel());
        Ok(())
    });
    host.run_until_idle();
    assert_eq!(trace.take(), ["first: error: cancelled"]);
    arrive(host, &barrier, &trace, "a");
    arrive(host, &barrier, &trace, "b");
    host.run_until_idle();
    assert_eq!(trace.take(), ["b: 1", "a: 0"]);
}

pub(crate) fn s28_who_passes_and_comes_again_is_not_counted_twice(host: &dyn Host) {
    let (barrier, trace) = (barrier(3), Trace::new());
    for name in ["a", "b", "c"] {
        let (barrier, trace) = (barrier.clone(), trace.clone());
        host.scheduler().create_task(async move {
            for round in 0..4 {
                barrier.wait().await?;
                trace.note(format!("{round}{name}"));
            }
            Ok(())
        });
    }
    host.run_until_idle();
    let seen = trace.take();
    assert_eq!(seen.len(), 12);
    for (round, passed) in seen.chunks(3).enumerate() {
        let mut passed = passed.to_vec();
        passed.sort();
        assert_eq!(passed, ["a", "b", "c"].map(|name| format!("{round}{name}")));
    }
}
