//! `Queue`, `PriorityQueue` and `LifoQueue`.

use super::support::{at_once, is_invalid_state, unless_cancelled, words};
use futures::{
    Exception, LifoQueue, PriorityQueue, Queue, QueueEmpty, QueueFull, QueueShutDown,
    QueueUnderflow, SchedulerExt, Task,
};
use std::cell::RefCell;
use std::cmp::Ordering;
use std::rc::Rc;
use tulipa_tests::{Host, Trace, on_drop};

fn getter(host: &dyn Host, queue: &Queue<u32>, trace: &Trace, name: &'static str) -> Task<()> {
    let (queue, trace) = (queue.clone(), trace.clone());
    host.scheduler().create_task(async move {
        let outcome = queue.get().await;
        trace.note(format!("{name}: {}", words(&outcome)));
        unless_cancelled(outcome)
    })
}

fn putter(host: &dyn Host, queue: &Queue<u32>, trace: &Trace, item: u32) -> Task<()> {
    let (queue, trace) = (queue.clone(), trace.clone());
    host.scheduler().create_task(async move {
        let outcome = queue.put(item).await;
        if let Err(error) = &outcome {
            trace.note(format!("put {item}: {error}"));
        }
        let outcome = outcome.map_err(|error| {
            assert!(!error.is_full());
            let reason = error.reason();
            assert_eq!(error.into_item(), item, "it comes back");
            reason
        });
        trace.note(format!("put {item}: {}", outcome.is_ok()));
        unless_cancelled(outcome)
    })
}

fn drain(queue: &Queue<u32>) -> Vec<u32> {
    std::iter::from_fn(|| queue.get_nowait().ok()).collect()
}

pub(crate) fn s29_a_queue_tells_its_length_and_limit(_: &dyn Host) {
    let queue = Queue::new();
    assert_eq!((queue.qsize(), queue.maxsize(), queue.empty(), queue.full()), (0, 0, true, false));
    for item in 0..100 {
        queue.put_nowait(item).unwrap();
    }
    assert_eq!((queue.qsize(), queue.empty(), queue.full()), (100, false, false));
    let bounded = Queue::bounded(2);
    assert_eq!((bounded.maxsize(), bounded.full()), (2, false));
    bounded.put_nowait(1).unwrap();
    assert!(!bounded.full());
    bounded.put_nowait(2).unwrap();
    assert!(bounded.full() && !bounded.empty());
    assert!(Queue::<u8>::default().maxsize() == 0 && LifoQueue::<u8>::bounded(3).maxsize() == 3);
    assert!(PriorityQueue::<u8>::default().empty() && LifoQueue::<u8>::default().empty());
    assert!(format!("{bounded:?}").starts_with("Queue { qsize: 2, maxsize: 2, unfinished: 2"));
}

pub(crate) fn s30_the_immediate_forms_fail_and_give_the_item_back(_: &dyn Host) {
    let queue = Queue::bounded(1);
    assert!(queue.get_nowait().unwrap_err().is::<QueueEmpty>());
    queue.put_nowait("first").unwrap();
    let error = queue.put_nowait("second").unwrap_err();
    assert!(error.is_full() && !error.is_shut_down() && !error.is_cancelled());
    assert_eq!(error.to_string(), "cannot put an item: the queue is full");
    assert!(error.reason().is::<QueueFull>() && error.into_item() == "second");
    let as_exception = Exception::from(queue.put_nowait("third").unwrap_err());
    assert!(as_exception.is::<QueueFull>());
    assert_eq!(at_once(queue.get()).unwrap(), "first");
    at_once(queue.put("fourth")).unwrap();
    assert_eq!(queue.get_nowait().unwrap(), "fourth");
}

pub(crate) fn s30_getters_and_putters_are_served_in_order(host: &dyn Host) {
    let (queue, trace) = (Queue::bounded(1), Trace::new());
    for name in ["a", "b", "c"] {
        getter(host, &queue, &trace, name);
    }
    host.run_until_idle();
    for item in 0..3 {
        putter(host, &queue, &trace, item);
    }
    host.run_until_idle();
    let seen = trace.take();
    let got: Vec<_> = seen.iter().filter(|entry| !entry.starts_with("put")).collect();
    let put: Vec<_> = seen.iter().filter(|entry| entry.starts_with("put")).collect();
    assert_eq!(got, ["a: 0", "b: 1", "c: 2"]);
    assert_eq!(put, ["put 0: true", "put 1: true", "put 2: true"]);
    for item in 3..7 {
        putter(host, &queue, &trace, item);
    }
    host.run_until_idle();
    assert_eq!(trace.take(), ["put 3: true"]);
    for expected in 3..7 {
        // The putter that gets the room is not overtaken by one who comes now.
        assert_eq!(queue.get_nowait().unwrap(), expected);
        host.run_until_idle();
    }
    assert_eq!(trace.take(), ["put 4: true", "put 5: true", "put 6: true"]);
}

pub(crate) fn s30_newcomers_do_not_overtake_who_was_woken(host: &dyn Host) {
    let (queue, trace) = (Queue::bounded(2), Trace::new());
    getter(host, &queue, &trace, "first");
    host.run_until_idle();
    getter(host, &queue, &trace, "second"); // its first step comes before the first one's turn
    queue.put_nowait(1).unwrap();
    queue.put_nowait(2).unwrap();
    host.run_until_idle();
    assert_eq!(trace.take(), ["first: 1", "second: 2"]);
    for item in [3, 4, 5] {
        putter(host, &queue, &trace, item);
    }
    host.run_until_idle();
    putter(host, &queue, &trace, 6);
    assert_eq!(drain(&queue), [3, 4]);
    host.run_until_idle();
    assert_eq!(drain(&queue), [5, 6]);
}

pub(crate) fn s31_who_was_overtaken_waits_on_in_its_place(host: &dyn Host) {
    let (queue, trace) = (Queue::bounded(2), Trace::new());
    for name in ["a", "b", "c"] {
        getter(host, &queue, &trace, name);
    }
    host.run_until_idle();
    queue.put_nowait(1).unwrap();
    queue.put_nowait(2).unwrap();
    assert_eq!(drain(&queue), [1, 2], "although somebody was woken for them");
    host.run_until_idle();
    assert!(trace.take().is_empty());
    for item in [3, 4] {
        queue.put_nowait(item).unwrap();
    }
    host.run_until_idle();
    queue.put_nowait(5).unwrap();
    host.run_until_idle();
    assert_eq!(trace.take(), ["a: 3", "b: 4", "c: 5"]);
    // The same of putters.
    for item in [6, 7] {
        queue.put_nowait(item).unwrap();
    }
    for item in [8, 9] {
        putter(host, &queue, &trace, item);
    }
    host.run_until_idle();
    assert_eq!(drain(&queue), [6, 7]);
    for item in [10, 11] {
        queue.put_nowait(item).unwrap();
    }
    host.run_until_idle();
    assert!(trace.take().is_empty());
    assert_eq!(drain(&queue), [10, 11]);
    host.run_until_idle();
    assert_eq!(trace.take(), ["put 8: true", "put 9: true"]);
    assert_eq!(drain(&queue), [8, 9]);
}

pub(crate) fn s3_s32_a_cancelled_getter_loses_no_item(host: &dyn Host) {
    for abort in [false, true] {
        let (queue, trace) = (Queue::new(), Trace::new());
        let first = getter(host, &queue, &trace, "first");
        getter(host, &queue, &trace, "second");
        host.run_until_idle();
        queue.put_nowait(1).unwrap();
        assert!(if abort { first.abort() } else { first.cancel() });
        host.run_until_idle();
        let mut seen = trace.take();
        seen.retain(|entry| !entry.starts_with("first: error"));
        assert_eq!(seen, ["second: 1"]);
        // Nobody else waits: the item stays.
        let only = getter(host, &queue, &trace, "only");
        host.run_until_idle();
        queue.put_nowait(2).unwrap();
        assert!(if abort { only.abort() } else { only.cancel() });
        host.run_until_idle();
        assert_eq!(drain(&queue), [2]);
    }
}

pub(crate) fn s3_s32_a_cancelled_putter_passes_the_room_on(host: &dyn Host) {
    for abort in [false, true] {
        let (queue, trace) = (Queue::bounded(1), Trace::new());
        queue.put_nowait(1).unwrap();
        let first = putter(host, &queue, &trace, 2);
        putter(host, &queue, &trace, 3);
        host.run_until_idle();
        assert_eq!(queue.get_nowait().unwrap(), 1);
        assert!(if abort { first.abort() } else { first.cancel() });
        host.run_until_idle();
        assert_eq!(drain(&queue), [3]);
        let cancelled = ["put 2: cannot put an item: cancelled", "put 2: false", "put 3: true"];
        assert_eq!(trace.take(), if abort { &cancelled[2..] } else { &cancelled[..] });
        assert!(first.cancelled());
    }
}

pub(crate) fn s32_cancelled_waiters_do_not_pile_up(host: &dyn Host) {
    let (queue, trace) = (Queue::bounded(1), Trace::new());
    let stays = getter(host, &queue, &trace, "stays");
    for _ in 0..100 {
        let goes = getter(host, &queue, &trace, "goes");
        host.run_until_idle();
        assert!(goes.cancel());
    }
    host.run_until_idle();
    assert!(format!("{queue:?}").contains("getters: 1, putters: 0"), "{queue:?}");
    queue.put_nowait(1).unwrap();
    host.run_until_idle();
    assert!(stays.done());
    queue.put_nowait(1).unwrap();
    for item in 0..100 {
        let goes = putter(host, &queue, &trace, item);
        host.run_until_idle();
        assert!(goes.abort());
    }
    host.run_until_idle();
    assert!(format!("{queue:?}").contains("getters: 0, putters: 0"), "{queue:?}");
}

pub(crate) fn s33_join_waits_until_all_work_is_done(host: &dyn Host) {
    let (queue, trace) = (Queue::new(), Trace::new());
    at_once(queue.join()).unwrap();
    assert!(queue.task_done().is_err());
    for round in 0..2 {
        for item in 0..3 {
            queue.put_nowait(item).unwrap();
        }
        for name in ["one", "other"] {
            let (queue, trace) = (queue.clone(), trace.clone());
            host.scheduler().create_task(async move {
                queue.join().await?;
                trace.note(name);
                Ok(())
            });
        }
        let cancelled = host.scheduler().create_task(queue.join());
        for _ in 0..3 {
            host.run_until_idle();
            assert!(trace.take().is_empty(), "{round}");
            queue.get_nowait().unwrap();
            queue.task_done().unwrap();
            cancelled.cancel();
        }
        host.run_until_idle();
        assert_eq!(trace.take(), ["one", "other"]);
        let error = queue.task_done().unwrap_err();
        assert_eq!(error.to_string(), "task_done was called too many times");
    }
}

pub(crate) fn s34_the_smallest_first_and_among_equals_the_oldest(host: &dyn Host) {
    /// Ordered by the number alone.
    #[derive(Debug)]
    struct Job(u32, &'static str);
    impl Ord for Job {
        fn cmp(&self, other: &Self) -> Ordering {
            self.0.cmp(&other.0)
        }
    }
    impl PartialOrd for Job {
        fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
            Some(self.cmp(other))
        }
    }
    impl PartialEq for Job {
        fn eq(&self, other: &Self) -> bool {
            self.0 == other.0
        }
    }
    impl Eq for Job {}
    let queue = PriorityQueue::bounded(6);
    for job in [Job(2, "c"), Job(1, "a"), Job(2, "d"), Job(3, "f"), Job(1, "b"), Job(2, "e")] {
        queue.put_nowait(job).unwrap();
    }
    assert!(queue.put_nowait(Job(0, "too many")).unwrap_err().into_item().0 == 0);
    let other: PriorityQueue<Job> = queue.clone();
    let in_order: String =
        std::iter::from_fn(|| other.get_nowait().ok()).map(|job| job.1).collect();
    assert_eq!(in_order, "abcdef");
    // Who waits gets what is smallest when it runs.
    let (trace, numbers) = (Trace::new(), PriorityQueue::new());
    getter(host, &numbers, &trace, "getter");
    host.run_until_idle();
    for number in [3, 1, 2] {
        numbers.put_nowait(number).unwrap();
    }
    host.run_until_idle();
    assert_eq!(trace.take(), ["getter: 1"]);
    assert!(format!("{numbers:?}").starts_with("PriorityQueue(Queue { qsize: 2"));
}

pub(crate) fn s34_the_newest_first(_: &dyn Host) {
    let queue = LifoQueue::new();
    for item in 0..3 {
        queue.clone().put_nowait(item).unwrap();
    }
    assert_eq!(drain(&queue), [2, 1, 0]);
    assert!(format!("{queue:?}").starts_with("LifoQueue(Queue { qsize: 0"));
}

/// Does something when it is compared.
struct Curious(u32, Act);

/// What is to be done, once.
type Act = Rc<RefCell<Option<Box<dyn FnMut()>>>>;

impl Ord for Curious {
    fn cmp(&self, other: &Self) -> Ordering {
        let curiosity = self.1.borrow_mut().take();
        if let Some(mut act) = curiosity {
            act();
        }
        self.0.cmp(&other.0)
    }
}

impl PartialOrd for Curious {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Curious {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Curious {}

pub(crate) fn s34_a_comparison_that_uses_the_queue_or_panics_breaks_nothing(_: &dyn Host) {
    let (queue, act) = (PriorityQueue::new(), Act::default());
    queue.put_nowait(Curious(2, act.clone())).unwrap();
    let (inside, again) = (queue.clone(), act.clone());
    *act.borrow_mut() = Some(Box::new(move || {
        assert_eq!((inside.qsize(), inside.empty()), (1, false));
        assert!(is_invalid_state(&inside.get_nowait()));
        let error = inside.put_nowait(Curious(0, again.clone())).unwrap_err();
        assert!(!error.is_full() && error.into_item().0 == 0);
    }));
    queue.put_nowait(Curious(1, act.clone())).unwrap();
    assert!(act.borrow().is_none() && queue.qsize() == 2);
    let ending = PriorityQueue::new();
    ending.put_nowait(Curious(2, act.clone())).unwrap();
    let inside = ending.clone();
    *act.borrow_mut() = Some(Box::new(move || inside.shutdown(true)));
    ending.put_nowait(Curious(1, act.clone())).unwrap();
    assert!(ending.empty() && ending.is_shut_down() && at_once(ending.join()).is_ok());
    *act.borrow_mut() = Some(Box::new(|| panic!("expected")));
    let panicking = Curious(0, act.clone());
    let unwound = futures::catch(|| queue.put_nowait(panicking).is_ok());
    assert!(unwound.is_err());
    let left = queue.qsize();
    assert_eq!(std::iter::from_fn(|| queue.get_nowait().ok()).count(), left);
    for _ in 0..left {
        queue.task_done().unwrap();
    }
    assert!(queue.task_done().is_err());
}

pub(crate) fn s35_after_a_shutdown_what_is_there_can_be_taken(host: &dyn Host) {
    let (queue, trace) = (Queue::bounded(2), Trace::new());
    for item in [1, 2] {
        queue.put_nowait(item).unwrap();
    }
    putter(host, &queue, &trace, 3);
    putter(host, &queue, &trace, 4);
    host.run_until_idle();
    assert!(!queue.is_shut_down());
    queue.shutdown(false);
    queue.shutdown(false);
    assert!(queue.is_shut_down());
    let error = queue.put_nowait(5).unwrap_err();
    assert!(error.is_shut_down() && error.reason().is::<QueueShutDown>());
    assert!(at_once(queue.put(5)).unwrap_err().is_shut_down());
    host.run_until_idle();
    let refused = |item| {
        [
            format!("put {item}: cannot put an item: the queue was shut down"),
            format!("put {item}: false"),
        ]
    };
    assert_eq!(trace.take(), [refused(3), refused(4)].concat());
    assert_eq!(queue.get_nowait().unwrap(), 1);
    getter(host, &queue, &trace, "a");
    getter(host, &queue, &trace, "b");
    host.run_until_idle();
    assert_eq!(trace.take(), ["a: 2", "b: error: the queue was shut down"]);
    assert!(queue.get_nowait().unwrap_err().is::<QueueShutDown>());
    assert!(at_once(queue.get()).unwrap_err().is::<QueueShutDown>());
}

pub(crate) fn s35_a_shutdown_tells_the_getters_that_wait(host: &dyn Host) {
    let (queue, trace) = (Queue::new(), Trace::new());
    for name in ["a", "b", "c"] {
        getter(host, &queue, &trace, name);
    }
    host.run_until_idle();
    queue.put_nowait(1).unwrap();
    queue.shutdown(false);
    host.run_until_idle();
    let told = "error: the queue was shut down";
    assert_eq!(trace.take(), ["a: 1".into(), format!("b: {told}"), format!("c: {told}")]);
}

pub(crate) fn s36_an_immediate_shutdown_throws_away_what_is_there(host: &dyn Host) {
    let (queue, trace) = (Queue::new(), Trace::new());
    for _ in 0..3 {
        let dropped = trace.mark("dropped");
        queue.put_nowait(on_drop(dropped)).unwrap();
    }
    let taken = queue.get_nowait().unwrap();
    let joined = host.scheduler().create_task(queue.join());
    host.run_until_idle();
    queue.shutdown(false);
    assert!(trace.take().is_empty());
    queue.shutdown(true); // it may follow one that is not
    assert_eq!((trace.take().len(), queue.qsize()), (2, 0));
    host.run_until_idle();
    assert!(!joined.done(), "one item is still worked on");
    queue.task_done().unwrap();
    host.run_until_idle();
    assert!(joined.done() && queue.task_done().is_err());
    drop(taken);
}

pub(crate) fn s36_an_immediate_shutdown_wakes_everyone(host: &dyn Host) {
    let (queue, trace) = (Queue::bounded(1), Trace::new());
    queue.put_nowait(1).unwrap();
    putter(host, &queue, &trace, 2);
    let joined = host.scheduler().create_task(queue.join());
    host.run_until_idle();
    queue.shutdown(true);
    host.run_until_idle();
    assert_eq!(trace.take()[1..], ["put 2: false"]);
    assert!(joined.result().is_ok());
    let (empty, told) = (Queue::new(), "getter: error: the queue was shut down");
    getter(host, &empty, &trace, "getter");
    host.run_until_idle();
    empty.shutdown(true);
    host.run_until_idle();
    assert_eq!(trace.take(), [told]);
}

pub(crate) fn s37_both_ends_can_be_bounded(host: &dyn Host) {
    let (queue, trace) = (Queue::bounded(1), Trace::new());
    queue.set_backlog(Some(2));
    let first = getter(host, &queue, &trace, "first");
    getter(host, &queue, &trace, "second");
    host.run_until_idle();
    let refused = host.scheduler().create_task(queue.get());
    host.run_until_idle();
    assert!(refused.result().unwrap_err().is::<QueueUnderflow>());
    // Who is cancelled makes room in the same turn.
    assert!(first.cancel());
    getter(host, &queue, &trace, "third");
    host.run_until_idle();
    trace.take();
    queue.set_backlog(None);
    getter(host, &queue, &trace, "fourth");
    for item in 1..4 {
        host.run_until_idle();
        queue.put_nowait(item).unwrap();
    }
    host.run_until_idle();
    assert_eq!(trace.take(), ["second: 1", "third: 2", "fourth: 3"]);
    queue.put_nowait(4).unwrap();
    assert!(queue.put_nowait(5).unwrap_err().reason().is::<QueueFull>(), "QueueOverflow");
}

pub(crate) fn s37_callbacks_can_wait_too(host: &dyn Host) {
    // What a waiting method returns borrows nothing, so it can be made into a task, which is a future
    // for callbacks; cancelling the task takes the request back.
    let (queue, trace) = (Queue::new(), Trace::new());
    let scheduler = host.scheduler();
    let unwanted = scheduler.create_task(queue.get());
    let seen = trace.clone();
    scheduler.create_task(queue.get()).add_done_callback(move |task| {
        seen.note(words(&task.result()));
    });
    host.run_until_idle();
    assert!(unwanted.cancel());
    queue.put_nowait("item").unwrap();
    host.run_until_idle();
    assert_eq!(trace.take(), ["\"item\""]);
}
