//! Futures of other libraries in our tasks, and ours in their combinators.

use eventloop::TestLoop;
use futures::{Exception, Scheduler, SchedulerExt, Task, as_completed};
use futures_channel::oneshot;
use futures_util::stream::FuturesUnordered;
use futures_util::{StreamExt, TryStreamExt};
use std::cell::RefCell;
use std::rc::Rc;
use std::thread;
use tokio::sync::mpsc;
use tulipa_tests::Host;

type Log = Rc<RefCell<Vec<String>>>;

/// What came by the one channel, and by the other.
type Received = Task<(u32, Vec<u32>)>;

fn note(log: &Log, what: impl ToString) {
    log.borrow_mut().push(what.to_string());
}

/// A task that awaits a oneshot of futures-channel, then whatever comes by a channel of tokio's.
fn receive(scheduler: &dyn Scheduler) -> (oneshot::Sender<u32>, mpsc::Sender<u32>, Received) {
    let (first, receiver) = oneshot::channel();
    let (rest, mut items) = mpsc::channel(2);
    let task = scheduler.create_task(async move {
        let first = receiver.await?;
        let mut rest = Vec::new();
        while let Some(item) = items.recv().await {
            rest.push(item);
        }
        Ok((first, rest))
    });
    (first, rest, task)
}

pub(crate) fn i11_foreign_channels_are_awaited_and_woken_from_other_threads(host: &dyn Host) {
    let (first, rest, task) = receive(&*host.scheduler());
    host.run_until_idle();
    let sender = thread::spawn(move || {
        first.send(1).unwrap();
        for item in 2..100 {
            rest.blocking_send(item).unwrap();
        }
    });
    while !sender.is_finished() {
        host.run_until_idle();
        thread::yield_now();
    }
    sender.join().unwrap();
    host.run_until_idle();
    let (first, rest) = task.take().unwrap();
    assert_eq!((first, rest), (1, (2..100).collect()));
}

pub(crate) fn i11_foreign_channels_are_woken_from_the_loops_own_thread(host: &dyn Host) {
    let scheduler = host.scheduler();
    let (first, rest, task) = receive(&*scheduler);
    host.run_until_idle();
    let sending = scheduler.create_task(async move {
        first.send(1).unwrap();
        for item in 2..10 {
            rest.send(item).await?;
        }
        Ok(())
    });
    host.run_until_idle();
    sending.take().unwrap();
    assert_eq!(task.take().unwrap(), (1, (2..10).collect()));
}

#[test]
fn i11_a_wake_from_the_own_thread_is_not_posted() {
    let event_loop = TestLoop::new();
    let scheduler = event_loop.to_rc();
    let (first, rest, task) = receive(&*scheduler);
    event_loop.run_ready_now();
    let before = event_loop.stats();
    event_loop.call_soon(move || {
        first.send(1).unwrap();
        rest.try_send(2).unwrap();
    });
    event_loop.run_ready_now();
    assert_eq!(task.take().unwrap(), (1, vec![2]));
    let after = event_loop.stats();
    assert_eq!((after.posted, after.io_events), (before.posted, before.io_events));
}

/// They hand out wakers of their own for each part.
pub(crate) fn i11_foreign_combinators_poll_our_futures_and_tasks(host: &dyn Host) {
    let scheduler = host.scheduler();
    let futures: Vec<_> = (0..3).map(|_| scheduler.create_future::<u32>()).collect();
    let mut parts: FuturesUnordered<_> = futures.iter().cloned().collect();
    let all = scheduler.create_task(async move {
        let mut order = Vec::new();
        while let Some(part) = parts.next().await {
            order.push(part?);
        }
        Ok(order)
    });
    host.run_until_idle();
    for number in [2, 0, 1] {
        futures[number].set_result(number as u32).unwrap();
        host.run_until_idle();
    }
    assert_eq!(all.take().unwrap(), [2, 0, 1]);
    let tasks: Vec<_> =
        (0..3).map(|number| scheduler.create_task(async move { Ok(number) })).collect();
    let joined = scheduler.create_task(futures_util::future::try_join_all(tasks));
    host.run_until_idle();
    assert_eq!(joined.take().unwrap(), [0, 1, 2]);
}

pub(crate) fn i12_without_a_cancellation_a_foreign_future_is_like_ours(host: &dyn Host) {
    let (scheduler, log) = (host.scheduler(), Log::default());
    let (foreign, receiver) = oneshot::channel::<u32>();
    let ours = scheduler.create_future::<u32>();
    let (one, other) = (log.clone(), log.clone());
    let awaited = ours.clone();
    let first = scheduler.create_task(async move {
        let value = receiver.await?;
        note(&one, format!("foreign {value}"));
        Ok(())
    });
    let second = scheduler.create_task(async move {
        let value = awaited.await?;
        note(&other, format!("ours {value}"));
        Ok(())
    });
    host.run_until_idle();
    let between = log.clone();
    scheduler.call_soon(move || {
        foreign.send(1).unwrap();
        ours.set_result(2).unwrap();
        note(&between, "both are told");
    });
    host.run_until_idle();
    assert_eq!(log.take(), ["both are told", "foreign 1", "ours 2"]);
    assert!(first.done() && second.done());
}

pub(crate) fn i12_a_cancelled_task_is_told_by_our_futures_and_dropped_at_foreign_ones(
    host: &dyn Host,
) {
    let (scheduler, log) = (host.scheduler(), Log::default());
    let (sender, receiver) = oneshot::channel::<u32>();
    let ours = scheduler.create_future::<u32>();
    let (at_foreign, at_ours) = (log.clone(), log.clone());
    let first = scheduler.create_task(async move {
        let dropped = tulipa_tests::on_drop({
            let log = at_foreign.clone();
            move || note(&log, "dropped at the foreign one")
        });
        let outcome = receiver.await;
        note(&at_foreign, format!("went on with {outcome:?}"));
        drop(dropped);
        Ok::<_, Exception>(())
    });
    let second = scheduler.create_task(async move {
        let exception = ours.await.unwrap_err();
        note(&at_ours, format!("told: {exception}"));
        Err::<(), _>(exception)
    });
    host.run_until_idle();
    assert!(first.cancel() && second.cancel());
    assert_eq!(log.take(), [""; 0], "nothing happens inside of cancel");
    host.run_until_idle();
    let mut seen = log.take();
    seen.sort();
    assert_eq!(seen, ["dropped at the foreign one", "told: cancelled"]);
    assert!(first.cancelled() && second.cancelled());
    assert!(sender.is_canceled());
}

pub(crate) fn i13_done_callbacks_run_on_their_loop_whoever_polls(host: &dyn Host) {
    let (scheduler, log) = (host.scheduler(), Log::default());
    let future = scheduler.create_future::<u32>();
    let (seen, id) = (log.clone(), scheduler.id());
    future.add_done_callback(move |_| {
        let here = futures::try_current().map(|current| current.id());
        note(&seen, format!("on its loop: {}", here == Some(id)));
    });
    // A runtime of tokio's polls; the loop is run in between.
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let local = tokio::task::LocalSet::new();
    let (polled, seen) = (future.clone(), log.clone());
    let foreign = local.spawn_local(async move {
        let value = polled.await.unwrap();
        note(&seen, format!("polled elsewhere: {value}"));
    });
    let turn = || runtime.block_on(local.run_until(tokio::task::yield_now()));
    turn();
    future.set_result(7).unwrap();
    turn();
    turn();
    assert_eq!(log.take(), ["polled elsewhere: 7"]);
    host.run_until_idle();
    assert_eq!(log.take(), ["on its loop: true"]);
    assert!(foreign.is_finished());
}

pub(crate) fn completions_are_a_foreign_stream(host: &dyn Host) {
    let scheduler = host.scheduler();
    let futures: Vec<_> = (0..3).map(|_| scheduler.create_future::<u32>()).collect();
    let given = futures.clone();
    let task = scheduler.create_task(async move {
        let completions = as_completed(given, None);
        assert_eq!(futures_util::Stream::size_hint(&completions), (3, Some(3)));
        completions
            .map(|done| done.and_then(|future| future.result()))
            .try_collect::<Vec<_>>()
            .await
    });
    host.run_until_idle();
    for number in [1, 2, 0] {
        futures[number].set_result(number as u32).unwrap();
        host.run_until_idle();
    }
    assert_eq!(task.take().unwrap(), [1, 2, 0]);
}
