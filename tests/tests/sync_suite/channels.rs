//! Channels: `watch`, `broadcast` and `mailbox`.

use super::support::{at_once, is_invalid_state, poll_once, words};
use futures::channels::{SendError, broadcast, mailbox, watch};
use futures::{
    Callback, CallbackId, Closed, Exception, ExceptionContext, Handle, Instant, PostedClosure,
    Scheduler, SchedulerExt, SchedulerId, Task, ThreadsafeScheduler, TimerHandle,
};
use std::future::Future;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Waker};
use tulipa_tests::{Host, MiniScheduler, Trace, on_drop};

fn capacity(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap()
}

pub(crate) fn a_watch_shows_the_latest_value(host: &dyn Host) {
    let (sender, receiver) = watch::channel(0);
    let (trace, mut tasks) = (Trace::new(), Vec::new());
    for name in ["a", "b"] {
        let (receiver, trace) = (receiver.clone(), trace.clone());
        tasks.push(host.scheduler().create_task(async move {
            while let Some(value) = receiver.changed().await? {
                trace.note(format!("{name}: {value}"));
            }
            trace.note(format!("{name}: closed"));
            Ok(())
        }));
    }
    host.run_until_idle();
    assert!(trace.take().is_empty(), "the first value counts as seen");
    sender.send(1);
    sender.send(2);
    host.run_until_idle();
    assert_eq!(trace.take(), ["a: 2", "b: 2"], "only the latest");
    sender.clone().update(|latest| latest + 1);
    assert!(receiver.has_changed() && *receiver.latest() == 3 && *sender.latest() == 3);
    assert!(receiver.has_changed() && !sender.subscribe().has_changed());
    assert_eq!(sender.receiver_count(), 3);
    drop(sender);
    host.run_until_idle();
    assert_eq!(trace.take(), ["a: 3", "a: closed", "b: 3", "b: closed"]);
    assert!(receiver.is_closed() && tasks.iter().all(Task::done));
    assert_eq!(*at_once(receiver.changed()).unwrap().unwrap(), 3, "not seen by this one");
    assert!(at_once(receiver.changed()).unwrap().is_none());
    assert_eq!(format!("{receiver:?}"), "watch::Receiver(seen)");
}

pub(crate) fn s3_a_cancelled_watch_has_not_seen_the_value(host: &dyn Host) {
    let (sender, receiver) = watch::channel(0);
    let receiver = Rc::new(receiver);
    for abort in [false, true] {
        let inside = receiver.clone();
        let task = host.scheduler().create_task(async move { inside.changed().await.map(drop) });
        host.run_until_idle();
        sender.send(1);
        assert!(if abort { task.abort() } else { task.cancel() });
        host.run_until_idle();
        assert!(receiver.has_changed() && at_once(receiver.changed()).unwrap().is_some());
    }
    assert_eq!(format!("{sender:?}"), "watch::Sender(1 receivers)");
}

pub(crate) fn s1_channels_belong_to_the_loop_that_was_first_waited_on(host: &dyn Host) {
    let (_sender, receiver) = watch::channel(0);
    assert!(is_invalid_state(&at_once(receiver.changed())));
    let (_sender, receiver) = broadcast::channel::<u8>(capacity(1));
    assert!(is_invalid_state(&at_once(receiver.recv())));
    let (_sender, mut receiver) = mailbox::unbounded::<u8>();
    assert!(is_invalid_state(&at_once(receiver.recv())));
    let task = host.scheduler().create_task(async move {
        drop(poll_once(receiver.recv()));
        Ok(Rc::new(std::cell::Cell::new(Some(receiver))))
    });
    host.run_until_idle();
    let other = MiniScheduler::new();
    let elsewhere = other.to_rc().create_task(async move {
        let mut receiver = task.take()?.take().unwrap();
        receiver.recv().await.map(drop)
    });
    other.run_until_idle();
    assert!(is_invalid_state(&elsewhere.result()));
}

pub(crate) fn a_broadcast_reaches_every_receiver(host: &dyn Host) {
    let (sender, receiver) = broadcast::channel(capacity(4));
    let trace = Trace::new();
    for name in ["a", "b"] {
        let (receiver, trace) = (receiver.clone(), trace.clone());
        host.scheduler().create_task(async move {
            while let Some(item) = receiver.recv().await? {
                trace.note(format!("{name}: {item}"));
            }
            trace.note(format!("{name}: closed"));
            Ok(())
        });
    }
    drop(receiver);
    host.run_until_idle();
    assert_eq!(sender.receiver_count(), 2);
    for item in 1..=2 {
        sender.send(item).unwrap();
    }
    let late = sender.subscribe();
    host.run_until_idle();
    assert_eq!(trace.take(), ["a: 1", "a: 2", "b: 1", "b: 2"]);
    assert!(late.is_empty() && late.try_recv().is_none(), "it was made later");
    sender.clone().send(3).unwrap();
    drop(sender);
    host.run_until_idle();
    assert_eq!(trace.take(), ["a: 3", "a: closed", "b: 3", "b: closed"]);
    assert_eq!((late.len(), at_once(late.recv()).unwrap()), (1, Some(3)));
    assert_eq!(at_once(late.recv()).unwrap(), None);
}

pub(crate) fn a_slow_receiver_is_told_how_many_it_lost(_: &dyn Host) {
    let (sender, receiver) = broadcast::channel(capacity(3));
    for item in 0..10 {
        sender.send(item).unwrap();
    }
    assert_eq!(receiver.len(), 3);
    let exception = at_once(receiver.recv()).unwrap_err();
    assert_eq!(exception.downcast_ref::<broadcast::Lagged>().unwrap().lost(), 7);
    assert_eq!(exception.to_string(), "the receiver was too slow and lost 7 items");
    for item in 7..10 {
        assert_eq!(at_once(receiver.recv()).unwrap(), Some(item));
    }
    assert!(receiver.try_recv().is_none());
    assert_eq!(
        format!("{sender:?} {receiver:?}"),
        "broadcast::Sender(1 receivers) broadcast::Receiver(0 items)"
    );
    drop(receiver);
    assert_eq!(sender.send(10), Err(SendError(10)));
}

pub(crate) fn a_broadcast_keeps_nothing_that_all_have(_: &dyn Host) {
    let (sender, one) = broadcast::channel(capacity(3));
    let other = one.clone();
    let item = Rc::new(());
    for _ in 0..3 {
        sender.send(item.clone()).unwrap();
    }
    assert_eq!(Rc::strong_count(&item), 4);
    drop(one.try_recv());
    assert_eq!(Rc::strong_count(&item), 4, "the other has yet to get it");
    drop(other.try_recv());
    assert_eq!(Rc::strong_count(&item), 3);
    drop(other);
    assert_eq!(Rc::strong_count(&item), 3);
    let twin = one.clone();
    drop(one);
    assert_eq!((Rc::strong_count(&item), twin.len()), (3, 2));
    drop(twin);
    assert_eq!(Rc::strong_count(&item), 1);
}

pub(crate) fn s3_a_cancelled_receiver_of_a_broadcast_loses_nothing(host: &dyn Host) {
    let (sender, receiver) = broadcast::channel(capacity(3));
    let receiver = Rc::new(receiver);
    for abort in [false, true] {
        let inside = receiver.clone();
        let task = host.scheduler().create_task(async move { inside.recv().await.map(drop) });
        host.run_until_idle();
        sender.send(7).unwrap();
        assert!(if abort { task.abort() } else { task.cancel() });
        host.run_until_idle();
        assert_eq!(receiver.try_recv(), Some(Ok(7)));
    }
}

pub(crate) fn destructors_may_look_at_the_channel(_: &dyn Host) {
    let (sender, receiver) = watch::channel(None);
    let inside = Rc::new(receiver);
    let looks = inside.clone();
    sender.send(Some(on_drop(move || assert!(looks.latest().is_none()))));
    sender.send(None);
    assert!(inside.has_changed());
    let (sender, receiver) = broadcast::channel(capacity(1));
    let looks = Rc::new(receiver.clone());
    for _ in 0..3 {
        let looks = looks.clone();
        sender.send(Rc::new(on_drop(move || assert!(looks.len() <= 1)))).unwrap();
    }
    while receiver.try_recv().is_some() {}
    while looks.try_recv().is_some() {}
}

pub(crate) fn a_mailbox_takes_items_from_other_threads(host: &dyn Host) {
    let (sender, mut receiver) = mailbox::unbounded();
    let task = host.scheduler().create_task(async move {
        let mut received = Vec::new();
        while let Some(item) = receiver.recv().await? {
            received.push(item);
        }
        Ok(received)
    });
    host.run_until_idle();
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let sender = sender.clone();
            std::thread::spawn(move || {
                (0..100).for_each(|item| sender.send((thread, item)).unwrap());
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert!(!sender.is_closed());
    drop(sender);
    host.run_until_idle();
    let received = task.result().unwrap();
    assert_eq!(received.len(), 400);
    for thread in 0..4 {
        let own = received.iter().filter(|item| item.0 == thread).map(|item| item.1);
        assert!(own.eq(0..100), "in the order of sending");
    }
}

pub(crate) fn a_mailbox_wakes_the_loop_once_for_a_burst(_: &dyn Host) {
    let counting =
        Rc::new(CountingScheduler { inner: MiniScheduler::new(), posts: Arc::default() });
    let (sender, mut receiver) = mailbox::unbounded();
    let _entered = futures::EnteredScheduler::new(counting.clone());
    let mut context = Context::from_waker(Waker::noop());
    for round in 1..=3 {
        let mut wait = Box::pin(receiver.recv());
        assert!(wait.as_mut().poll(&mut context).is_pending());
        (0..10).for_each(|item| sender.send(item).unwrap());
        assert_eq!(counting.posts.load(Relaxed), round);
        counting.inner.run_until_idle();
        assert!(wait.as_mut().poll(&mut context).is_ready());
        drop(wait);
        // While it does not wait it is not disturbed, nor if it waited and was dropped.
        (0..10).for_each(|item| sender.send(item).unwrap());
        while receiver.try_recv().is_some() {}
        assert!(poll_once(receiver.recv()).is_pending());
        sender.send(0).unwrap();
        assert_eq!(receiver.try_recv(), Some(0));
        assert_eq!(counting.posts.load(Relaxed), round);
    }
    assert_eq!(format!("{sender:?}"), "mailbox::Sender");
}

/// Counts what other threads post.
struct CountingScheduler {
    inner: Rc<MiniScheduler>,
    posts: Arc<AtomicUsize>,
}

struct CountingPost(Arc<dyn ThreadsafeScheduler>, Arc<AtomicUsize>);

impl ThreadsafeScheduler for CountingPost {
    fn post(self: Arc<Self>, closure: PostedClosure) -> Result<(), PostedClosure> {
        self.1.fetch_add(1, Relaxed);
        self.0.clone().post(closure)
    }

    fn id(&self) -> SchedulerId {
        self.0.id()
    }
}

impl Scheduler for CountingScheduler {
    fn schedule(&self, callback: Callback) -> Result<Handle, Closed> {
        self.inner.schedule(callback)
    }

    fn schedule_at(&self, when: Instant, callback: Callback) -> Result<TimerHandle, Closed> {
        self.inner.schedule_at(when, callback)
    }

    fn time(&self) -> Instant {
        self.inner.time()
    }

    fn cancel(&self, id: CallbackId) -> bool {
        self.inner.cancel(id)
    }

    fn is_pending(&self, id: CallbackId) -> bool {
        self.inner.is_pending(id)
    }

    fn reschedule(&self, id: CallbackId, when: Instant) -> bool {
        self.inner.reschedule(id, when)
    }

    fn call_exception_handler(&self, context: ExceptionContext) {
        self.inner.call_exception_handler(context);
    }

    fn id(&self) -> SchedulerId {
        self.inner.id()
    }

    fn to_rc(&self) -> Rc<dyn Scheduler> {
        self.inner.to_rc()
    }

    fn threadsafe(&self) -> Arc<dyn ThreadsafeScheduler> {
        Arc::new(CountingPost(self.inner.threadsafe(), self.posts.clone()))
    }

    fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }
}

pub(crate) fn a_bounded_mailbox_refuses_what_is_too_much(host: &dyn Host) {
    let (sender, mut receiver) = mailbox::bounded(capacity(2));
    sender.try_send(1).unwrap();
    sender.clone().try_send(2).unwrap();
    let refused = sender.try_send(3).unwrap_err();
    assert!(refused == mailbox::TrySendError::Full(3) && refused.is_full());
    assert_eq!(refused.to_string(), "cannot send an item: the mailbox is full");
    assert_eq!((receiver.len(), receiver.try_recv(), receiver.is_empty()), (2, Some(1), false));
    sender.try_send(3).unwrap();
    let task = host
        .scheduler()
        .create_task(async move { Ok((receiver.recv().await?, receiver.recv().await?)) });
    host.run_until_idle();
    assert_eq!(task.result().unwrap(), (Some(2), Some(3)));
    assert!(sender.is_closed(), "the receiver went with its task");
    let refused = sender.try_send(4).unwrap_err();
    assert_eq!((refused.is_full(), refused.into_item()), (false, 4));
}

pub(crate) fn s3_a_cancelled_receiver_of_a_mailbox_loses_nothing(host: &dyn Host) {
    let (sender, receiver) = mailbox::unbounded();
    let receiver = Rc::new(std::cell::RefCell::new(Some(receiver)));
    for round in 0..2 {
        let slot = receiver.clone();
        let task = host.scheduler().create_task(async move {
            let mut inside = slot.take().unwrap();
            let outcome = inside.recv().await;
            slot.replace(Some(inside));
            outcome.map(drop)
        });
        host.run_until_idle();
        let sending = sender.clone();
        std::thread::spawn(move || sending.send(round).unwrap()).join().unwrap();
        assert!(task.cancel());
        host.run_until_idle();
        assert!(task.cancelled());
        let mut inside = receiver.take().unwrap();
        assert_eq!(inside.try_recv(), Some(round));
        receiver.replace(Some(inside));
    }
}

pub(crate) fn a_sender_that_outlives_the_loop_gets_its_item_back(host: &dyn Host) {
    let (sender, mut receiver) = mailbox::unbounded();
    let (other, mut outside) = mailbox::unbounded();
    let scheduler = host.scheduler();
    scheduler.create_task(async move { receiver.recv().await.map(drop) }).set_exempt();
    host.run_until_idle();
    assert!(sender.send(1).is_ok());
    // One that waits on a loop that closes, although it is not dropped with a task.
    let foreign = MiniScheduler::new();
    let rc = foreign.to_rc();
    let entered = futures::EnteredScheduler::new(rc);
    {
        let mut wait = Box::pin(outside.recv());
        let mut context = Context::from_waker(Waker::noop());
        assert!(wait.as_mut().poll(&mut context).is_pending());
        foreign.close();
        assert_eq!(other.send(2).unwrap_err().0, 2);
        assert!(other.is_closed());
    }
    drop(entered);
    assert_eq!(outside.try_recv(), None);
    host.close();
    let refused = std::thread::spawn(move || sender.send(3)).join().unwrap();
    assert_eq!(refused, Err(SendError(3)));
    assert_eq!(
        words::<()>(&refused.map_err(Exception::from)),
        "error: cannot send an item: nobody is left to receive it"
    );
}
