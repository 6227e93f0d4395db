//! `ensure_future`, `gather` and its forms in place.

use super::support::{Dropped, Log, words};
use futures::{
    CancelledError, Exception, Future, SchedulerExt, Task, current_task, ensure_future,
    ensure_future_on, gather, gather_results, join_all, shield, sleep, yield_now,
};
use std::cell::RefCell;
use std::future::{pending, poll_fn, ready};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use tulipa_tests::Host;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

fn failure(text: &str) -> Exception {
    Exception::msg(text)
}

pub(crate) fn f25_whatever_is_a_future_can_be_awaited(host: &dyn Host) {
    struct Foreign(u32);
    impl std::future::Future for Foreign {
        type Output = Result<u32, Exception>;
        fn poll(
            mut self: std::pin::Pin<&mut Self>,
            context: &mut std::task::Context<'_>,
        ) -> Poll<Self::Output> {
            context.waker().wake_by_ref();
            self.0 -= 1;
            if self.0 == 0 { Poll::Ready(Ok(7)) } else { Poll::Pending }
        }
    }
    let scheduler = host.scheduler();
    let awaited = scheduler.create_task(Foreign(3));
    let ensured = ensure_future_on(&*scheduler, Foreign(3)).unwrap();
    host.run_until_idle();
    assert_eq!((awaited.result().unwrap(), ensured.result().unwrap()), (7, 7));
}

pub(crate) fn f26_a_future_or_task_comes_back_as_it_is(host: &dyn Host) {
    let scheduler = host.scheduler();
    let future = scheduler.create_future::<u32>();
    assert!(ensure_future(future.clone()).ptr_eq(&future));
    assert!(ensure_future_on(&*scheduler, future.clone()).unwrap().ptr_eq(&future));
    let task = scheduler.spawn(async { 7 });
    assert!(ensure_future(task.clone()).ptr_eq(task.as_future()));
    host.run_until_idle();
    assert!(ensure_future(task.clone()).ptr_eq(task.as_future()), "also when it is done");
}

pub(crate) fn f26_anything_else_becomes_a_task(host: &dyn Host) {
    let (scheduler, log) = (host.scheduler(), Log::default());
    let seen = log.clone();
    scheduler.spawn(async move {
        let inside = seen.clone();
        let started = ensure_future(async move {
            inside.add("runs");
            Ok(current_task().is_some())
        });
        seen.add("not yet");
        assert!(started.await.unwrap());
    });
    host.run_until_idle();
    assert_eq!(log.take(), ["not yet", "runs"]);
}

pub(crate) fn f26_a_future_of_another_loop_is_refused(host: &dyn Host) {
    let elsewhere = tulipa_tests::MiniHost::new();
    let future = elsewhere.scheduler().create_future::<u32>();
    let refused = ensure_future_on(&*host.scheduler(), future.clone());
    assert!(refused.unwrap_err().to_string().contains("another event loop"));
    let own = host.scheduler().create_future::<u32>();
    let gathered = gather([own.clone(), future.clone()]);
    assert!(words(&gathered.result()).contains("different event loops"));
    assert!(!own.done() && !future.done());
}

pub(crate) fn t46_w35_values_come_in_the_order_of_the_arguments(host: &dyn Host) {
    let scheduler = host.scheduler();
    let futures: Vec<Future<u32>> = (0..3).map(|_| scheduler.create_future()).collect();
    let outer = gather(futures.clone());
    for index in [2, 0, 1] {
        assert!(!outer.done());
        futures[index].set_result(index as u32).unwrap();
        host.run_until_idle();
    }
    assert_eq!(outer.result().unwrap(), [0, 1, 2]);
}

pub(crate) fn t46_gathering_nothing_is_done_at_once(host: &dyn Host) {
    let task = host.scheduler().spawn(async {
        let (nothing, no_results) =
            (gather::<u32, [Future<u32>; 0]>([]), gather_results::<u32, [Future<u32>; 0]>([]));
        assert!(nothing.done() && no_results.done());
        (nothing.await.unwrap().len(), join_all::<u32, [Future<u32>; 0]>([]).await.unwrap().len())
    });
    host.run_until_idle();
    assert_eq!(task.result().unwrap(), (0, 0));
}

pub(crate) fn t46_one_that_is_given_twice_runs_once(host: &dyn Host) {
    let (scheduler, runs) = (host.scheduler(), Rc::new(RefCell::new(0)));
    let counted = runs.clone();
    let task = scheduler.spawn(async move {
        *counted.borrow_mut() += 1;
        "value"
    });
    let twice = gather([task.clone(), task.clone()]);
    let results = gather_results([task.as_future().clone(), task.into()]);
    host.run_until_idle();
    assert_eq!(twice.result().unwrap(), ["value", "value"]);
    assert_eq!(results.result().unwrap().len(), 2);
    assert_eq!(*runs.borrow(), 1);
}

pub(crate) fn t46_coroutines_run_at_the_same_time(host: &dyn Host) {
    let scheduler = host.scheduler();
    let clock = scheduler.clone();
    let task = scheduler.create_task(async move {
        let start = clock.time();
        let naps = gather((1..=3).map(|seconds| async move {
            sleep(SECOND * seconds).await?;
            Ok(seconds)
        }));
        let naps = naps.await?;
        Ok((naps, clock.time() - start))
    });
    host.run_until_idle();
    assert_eq!(task.result().unwrap(), (vec![1, 2, 3], SECOND * 3));
}

pub(crate) fn t46_gathering_what_is_done_is_done_at_once(host: &dyn Host) {
    let scheduler = host.scheduler();
    let futures: Vec<Future<u32>> = (0..2).map(|_| scheduler.create_future()).collect();
    futures[0].set_result(1).unwrap();
    futures[1].set_result(2).unwrap();
    assert_eq!(gather(futures.clone()).result().unwrap(), [1, 2]);
    let failed = scheduler.create_future::<u32>();
    failed.set_exception(failure("before")).unwrap();
    let pending = scheduler.create_future();
    assert_eq!(words(&gather([pending.clone(), failed]).result()), "error: before");
    assert!(!pending.done());
}

pub(crate) fn t47_the_first_failure_is_the_outcome_and_the_others_go_on(host: &dyn Host) {
    let (scheduler, log) = (host.scheduler(), Log::default());
    let seen = log.clone();
    let slow = scheduler.create_task(async move {
        sleep(SECOND * 2).await?;
        seen.add("went on");
        Ok(())
    });
    let failing = scheduler.create_task(async {
        sleep(SECOND).await?;
        Err(failure("first"))
    });
    let later = scheduler.create_task(async {
        sleep(SECOND * 3).await?;
        Err(failure("later, which nobody hears of"))
    });
    let outer = gather([slow, failing, later]);
    let seen = log.clone();
    outer.add_done_callback(move |outer| seen.add(words(&outer.result())));
    host.run_until_idle();
    assert_eq!(log.take(), ["error: first", "went on"]);
    assert!(host.take_reports().is_empty());
}

pub(crate) fn t47_a_failure_of_the_whole_that_nobody_asks_for_is_reported_once(host: &dyn Host) {
    let scheduler = host.scheduler();
    let (first, second) = (scheduler.create_future::<()>(), scheduler.create_future());
    drop(gather([first.clone(), second.clone()]));
    first.set_exception(failure("first")).unwrap();
    second.set_exception(failure("second")).unwrap();
    drop((first, second));
    host.run_until_idle();
    let reports = host.take_reports();
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].exception.as_ref().unwrap().to_string(), "first");
}

pub(crate) fn t48_a_child_that_is_cancelled_by_itself_is_a_failure(host: &dyn Host) {
    let scheduler = host.scheduler();
    let futures: Vec<Future<u32>> = (0..3).map(|_| scheduler.create_future()).collect();
    let outer = gather(futures.clone());
    futures[1].cancel_with("alone");
    host.run_until_idle();
    assert!(outer.done() && !outer.cancelled());
    assert_eq!(words(&outer.result()), "error: cancelled: alone");
    assert!(outer.exception().unwrap().unwrap().is_cancelled());
    assert!(!futures[0].done() && !futures[2].done());
    // Nobody needs to hear of a cancellation.
    let unheard = gather([futures[1].clone()]);
    drop(unheard);
}

pub(crate) fn t49_cancelling_the_whole_waits_for_the_children(host: &dyn Host) {
    let (scheduler, log) = (host.scheduler(), Log::default());
    let child = |name: &'static str, seconds: u32| {
        let seen = log.clone();
        scheduler.create_task(async move {
            let outcome = sleep(HOUR).await;
            sleep(SECOND * seconds).await?;
            seen.add(format!("{name} {}", words(&outcome)));
            outcome
        })
    };
    let children = [child("a", 1), child("b", 3), child("c", 2)];
    let outer = gather(children.clone());
    let seen = log.clone();
    outer.add_done_callback(move |outer| seen.add(format!("outer {}", words(&outer.result()))));
    let asked = outer.clone();
    scheduler.call_later(SECOND, move || {
        assert!(asked.cancel_with("all") && !asked.done());
    });
    host.run_until_idle();
    assert_eq!(
        log.take(),
        [
            "a error: cancelled: all",
            "c error: cancelled: all",
            "b error: cancelled: all",
            "outer error: cancelled: all"
        ]
    );
    assert!(outer.cancelled() && !outer.cancel());
}

pub(crate) fn t49_with_no_child_left_it_answers_false(host: &dyn Host) {
    let scheduler = host.scheduler();
    let futures: Vec<Future<u32>> = (0..2).map(|_| scheduler.create_future()).collect();
    let outer = gather(futures.clone());
    for future in &futures {
        future.set_result(7).unwrap();
    }
    assert!(!outer.done() && !outer.cancel(), "all that is left is to collect the values");
    host.run_until_idle();
    assert_eq!(outer.result().unwrap(), [7, 7]);
}

pub(crate) fn t49_a_failure_during_the_cancellation_is_the_outcome(host: &dyn Host) {
    let scheduler = host.scheduler();
    let plain = scheduler.create_future::<()>();
    let cleaning = scheduler.create_task(async {
        let _ = sleep(HOUR).await;
        sleep(SECOND).await?;
        Err(failure("cleaning up failed"))
    });
    let outer = gather([plain.clone(), cleaning.into()]);
    let asked = outer.clone();
    scheduler.call_later(SECOND, move || assert!(asked.cancel()));
    host.run_until_idle();
    assert!(plain.cancelled());
    assert_eq!(words(&outer.result()), "error: cleaning up failed");
}

pub(crate) fn t49_children_that_go_on_in_spite_of_it_do_not_change_the_end(host: &dyn Host) {
    let scheduler = host.scheduler();
    let stubborn = scheduler.spawn(async {
        let _ = sleep(HOUR).await;
        sleep(SECOND).await.unwrap();
        "went on"
    });
    let outer = gather([stubborn.clone()]);
    let asked = outer.clone();
    scheduler.call_later(SECOND, move || assert!(asked.cancel_with("enough")));
    host.run_until_idle();
    assert_eq!(words(&outer.result()), "error: cancelled: enough");
    assert_eq!(stubborn.result().unwrap(), "went on");
}

pub(crate) fn t49_cancelling_the_task_that_awaits_it_cancels_the_children(host: &dyn Host) {
    let (scheduler, log) = (host.scheduler(), Log::default());
    let seen = log.clone();
    let task = scheduler.create_task(async move {
        let children = ["a", "b"].map(|name| {
            let seen = seen.clone();
            async move {
                let outcome = sleep(HOUR).await;
                sleep(SECOND).await?;
                seen.add(name);
                outcome
            }
        });
        let outcome = gather(children).await;
        seen.add(words(&outcome));
        outcome
    });
    let asked = task.clone();
    scheduler.call_later(SECOND, move || assert!(asked.cancel()));
    host.run_until_idle();
    assert_eq!(log.take(), ["a", "b", "error: cancelled"]);
    assert!(task.cancelled());
}

pub(crate) fn t49_a_task_cancelled_after_the_children_were_done_is_told(host: &dyn Host) {
    let scheduler = host.scheduler();
    let child = scheduler.create_future::<u32>();
    let outer = gather([child.clone()]);
    let task = scheduler.create_task(outer.clone());
    host.run_until_idle();
    child.set_result(7).unwrap();
    assert!(task.cancel());
    host.run_until_idle();
    assert!(task.cancelled());
    assert_eq!(outer.result().unwrap(), [7]);
}

pub(crate) fn t50_results_are_collected_whatever_they_are(host: &dyn Host) {
    let scheduler = host.scheduler();
    let futures: Vec<Future<u32>> = (0..3).map(|_| scheduler.create_future()).collect();
    let outer = gather_results(futures.clone());
    futures[2].set_exception(failure("failed")).unwrap();
    futures[1].cancel_with("alone");
    host.run_until_idle();
    assert!(!outer.done());
    futures[0].set_result(7).unwrap();
    host.run_until_idle();
    let outcomes: Vec<_> = outer.result().unwrap().iter().map(words).collect();
    assert_eq!(outcomes, ["7", "error: cancelled: alone", "error: failed"]);
}

pub(crate) fn t50_if_the_whole_was_cancelled_it_ends_cancelled(host: &dyn Host) {
    let scheduler = host.scheduler();
    let failing = scheduler.create_task(async {
        let _ = sleep(HOUR).await;
        Err::<(), _>(failure("while being cancelled"))
    });
    let stubborn = scheduler.create_task(async {
        let _ = sleep(HOUR).await;
        sleep(SECOND).await
    });
    let outer = gather_results([failing, stubborn]);
    let asked = outer.clone();
    scheduler.call_later(SECOND, move || assert!(asked.cancel_with("enough")));
    host.run_until_idle();
    assert!(outer.cancelled());
    assert_eq!(words(&outer.result()), "error: cancelled: enough");
}

pub(crate) fn t51_after_a_failure_cancelling_it_does_nothing(host: &dyn Host) {
    let scheduler = host.scheduler();
    let (failing, running) = (scheduler.create_future::<()>(), scheduler.create_future());
    let outer = gather([failing.clone(), running.clone()]);
    failing.set_exception(failure("failed")).unwrap();
    host.run_until_idle();
    assert!(outer.done() && !outer.cancel() && !running.done());
    assert!(running.set_result(()).is_ok());
}

pub(crate) fn t52_gather_stops_nobody_and_the_form_in_place_does(host: &dyn Host) {
    let (scheduler, log) = (host.scheduler(), Log::default());
    let sibling = |name: &'static str| {
        let seen = log.clone();
        async move {
            let outcome = sleep(HOUR).await;
            seen.add(format!("{name} {}", words(&outcome)));
            outcome
        }
    };
    let fails = || async { Err(failure("failed")) };
    let outer =
        gather([scheduler.create_task(sibling("own task")), scheduler.create_task(fails())]);
    let part = sibling("part");
    let in_place = scheduler.create_task(async move {
        futures::gather!(part, fails()).await?;
        Ok(())
    });
    let end = scheduler.time() + HOUR;
    host.run_until_idle();
    assert_eq!(scheduler.time(), end);
    assert_eq!(log.take(), ["part error: cancelled", "own task ()"]);
    assert_eq!(words(&outer.result()), "error: failed");
    assert_eq!(words(&in_place.result()), "error: failed");
}

pub(crate) fn t46_a_child_that_is_dropped_undone_ends_the_waiting(host: &dyn Host) {
    let scheduler = host.scheduler();
    let outer = gather([scheduler.create_future::<u32>()]);
    assert!(outer.cancelled());
    let child = scheduler.create_future::<u32>();
    let results = gather_results([child.clone()]);
    drop(child);
    assert!(results.result().unwrap()[0].as_ref().unwrap_err().is_cancelled());
}

pub(crate) fn t46_cloning_a_value_may_do_what_it_likes(host: &dyn Host) {
    struct Busy(Rc<RefCell<Option<Future<Vec<Busy>>>>>, bool);
    impl Clone for Busy {
        fn clone(&self) -> Self {
            if let Some(outer) = self.0.take() {
                assert!(!outer.cancel());
                outer.add_done_callback(|_| {});
            }
            assert!(!self.1, "a clone that panics");
            Self(self.0.clone(), false)
        }
    }
    let scheduler = host.scheduler();
    for panics in [false, true] {
        let child = scheduler.create_future();
        let outer = gather([child.clone()]);
        let cell = Rc::new(RefCell::new(Some(outer.clone())));
        assert!(child.set_result(Busy(cell, panics)).is_ok());
        host.run_until_idle();
        assert!(outer.done() && !outer.cancelled());
        assert_eq!(outer.exception().unwrap().is_some(), panics);
    }
}

pub(crate) fn t46_children_that_it_made_are_not_reported_at_the_end(host: &dyn Host) {
    let scheduler = host.scheduler();
    let task = scheduler.create_task(async move {
        let child = || async { std::future::pending::<Result<(), Exception>>().await };
        gather([child(), child()]).await
    });
    task.set_exempt();
    host.run_until_idle();
    drop(scheduler);
    host.close();
    assert!(host.take_reports().is_empty());
    assert!(task.cancelled());
}

pub(crate) fn t46_in_place_parts_may_borrow_and_differ(host: &dyn Host) {
    let task = host.scheduler().create_task(async {
        let text = String::from("tulip");
        let mut count = 0;
        let length = async {
            yield_now().await?;
            Ok(text.len())
        };
        let counting = async {
            for _ in 0..3 {
                sleep(SECOND).await?;
                count += 1;
            }
            Ok(&*text)
        };
        let (length, name, ()) = futures::gather!(length, counting, ready(Ok(()))).await?;
        assert_eq!((length, name), (5, "tulip"));
        let words = ["a", "bc"];
        let lengths = join_all(words.iter().map(|word| async {
            yield_now().await?;
            Ok(word.len())
        }));
        assert_eq!(lengths.await?, [1, 2]);
        let one = || ready(Ok(1));
        let many = futures::gather!(
            one(),
            one(),
            one(),
            one(),
            one(),
            one(),
            one(),
            one(),
            one(),
            one(),
            one(),
            one(),
        );
        assert_eq!(many.await?, (1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1));
        assert_eq!(futures::gather!(one()).await?, (1,));
        Ok(count)
    });
    host.run_until_idle();
    assert_eq!(task.result().unwrap(), 3);
}

pub(crate) fn t52_in_place_the_others_are_awaited_before_the_failure_is_told(host: &dyn Host) {
    let (scheduler, log) = (host.scheduler(), Log::default());
    let (seen, guard) = (log.clone(), Dropped(log.clone(), "foreign dropped"));
    let unborn = Dropped(log.clone(), "unborn dropped");
    let task = scheduler.create_task(async move {
        let cleaning = async {
            let outcome = sleep(HOUR).await;
            sleep(SECOND * 2).await?;
            seen.add("cleaned up");
            outcome.map_err(|_| failure("second failure"))
        };
        let fails = async {
            sleep(SECOND).await?;
            Err::<(), _>(failure("first failure"))
        };
        let foreign = async {
            let _guard = guard;
            pending::<Result<(), Exception>>().await
        };
        let outcome = futures::gather!(cleaning, foreign, fails).await;
        seen.add(words(&outcome));
        let at_once = async { Err::<(), _>(failure("at once")) };
        let never = async {
            let _unborn = unborn;
            yield_now().await
        };
        let outcome = futures::gather!(at_once, never).await;
        seen.add(words(&outcome));
        assert_eq!(current_task().unwrap().cancelling(), 0);
        yield_now().await
    });
    let start = scheduler.time();
    host.run_until_idle();
    assert!(task.result().is_ok());
    assert_eq!(scheduler.time() - start, SECOND * 3);
    assert_eq!(
        log.take(),
        [
            "foreign dropped",
            "cleaned up",
            "error: first failure",
            "unborn dropped",
            "error: at once"
        ]
    );
}

pub(crate) fn t52_in_place_a_cancelled_task_tells_each_part_once(host: &dyn Host) {
    let (scheduler, log) = (host.scheduler(), Log::default());
    let part = |name: &'static str, seconds: u32| {
        let seen = log.clone();
        async move {
            let outcome = sleep(HOUR).await;
            let cleaning = sleep(SECOND * seconds).await;
            seen.add(format!("{name} {}, cleaned up {}", words(&outcome), words(&cleaning)));
            outcome
        }
    };
    let parts = [part("a", 1), part("b", 2)];
    let task = scheduler.create_task(join_all(parts));
    let asked = task.clone();
    scheduler.call_later(SECOND, move || assert!(asked.cancel()));
    host.run_until_idle();
    assert!(task.cancelled());
    assert_eq!(
        log.take(),
        ["a error: cancelled, cleaned up ()", "b error: cancelled, cleaned up ()"]
    );
}

pub(crate) fn t52_in_place_a_cancellation_that_no_part_notices_is_not_lost(host: &dyn Host) {
    let scheduler = host.scheduler();
    let task = scheduler.spawn(async {
        let selfish = async {
            current_task().unwrap().cancel_with("by a part");
            Ok(7)
        };
        let joined = join_all([selfish]).await;
        (words(&joined), words(&yield_now().await))
    });
    let failing = scheduler.spawn(async {
        let failing = async {
            let _ = sleep(HOUR).await;
            Err::<(), _>(failure("instead"))
        };
        let joined = futures::gather!(failing, sleep(HOUR)).await;
        (words(&joined), words(&yield_now().await))
    });
    let asked = failing.clone();
    scheduler.call_later(SECOND, move || assert!(asked.cancel()));
    host.run_until_idle();
    assert_eq!(task.result().unwrap(), ("[7]".into(), "error: cancelled: by a part".into()));
    let told = ("error: instead".into(), "error: cancelled".into());
    assert_eq!(failing.result().unwrap(), told);
}

pub(crate) fn t52_in_place_a_part_that_was_done_when_the_cancel_came(host: &dyn Host) {
    let scheduler = host.scheduler();
    let (done, other) = (scheduler.create_future::<u32>(), scheduler.create_future::<u32>());
    let task = scheduler.create_task(join_all([done.clone(), other.clone()]));
    host.run_until_idle();
    done.set_result(7).unwrap();
    assert!(task.cancel());
    host.run_until_idle();
    assert!(task.cancelled() && other.cancelled());
    assert_eq!(done.result().unwrap(), 7);
}

pub(crate) fn t52_in_place_tasks_are_cancelled_unless_they_are_shielded(host: &dyn Host) {
    let scheduler = host.scheduler();
    let [bare, shielded] = [(); 2].map(|()| scheduler.create_task(sleep(SECOND)));
    let (first, second) = (bare.clone(), shielded.clone());
    let task = scheduler.create_task(async move {
        let fails = async {
            yield_now().await?;
            Err::<(), _>(CancelledError::with_message("by itself").into())
        };
        futures::gather!(first, shield(second), fails).await?;
        Ok(())
    });
    host.run_until_idle();
    assert_eq!(words(&task.result()), "error: cancelled: by itself");
    assert!(bare.cancelled() && shielded.result().is_ok());
}

pub(crate) fn t52_in_place_dropping_it_half_way_drops_the_parts(host: &dyn Host) {
    let (scheduler, log) = (host.scheduler(), Log::default());
    let guards = [Dropped(log.clone(), "a"), Dropped(log.clone(), "b")];
    let task: Task<()> = scheduler.create_task(async move {
        let parts = guards.map(|guard| async move {
            let _guard = guard;
            sleep(HOUR).await
        });
        {
            let mut joined = pin!(join_all(parts));
            poll_fn(|context| {
                use std::future::Future;
                assert!(joined.as_mut().poll(context).is_pending());
                Poll::Ready(())
            })
            .await;
        }
        sleep(SECOND).await
    });
    let start = scheduler.time();
    host.run_until_idle();
    assert!(task.result().is_ok());
    assert_eq!(scheduler.time() - start, SECOND, "no timer was left");
    assert_eq!(log.take().len(), 2);
}
