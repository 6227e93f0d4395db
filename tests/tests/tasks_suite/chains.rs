//! Long chains and large crowds: no stack is used for the one, no square of time for the other.

use super::support::words;
use futures::{Exception, Future, SchedulerExt, Task, TaskGroup, current, gather, timeout};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use tulipa_tests::Host;

const LINKS: usize = 30_000;

/// Tasks each of which awaits the one before; the first awaits `future`.
fn chain(host: &dyn Host, future: &Future<usize>) -> Task<usize> {
    let scheduler = host.scheduler();
    let mut last = scheduler.create_task(future.clone());
    for link in 0..LINKS {
        let previous = last;
        // All the ways in which a task may wait for another one.
        last = match link % 3 {
            0 => scheduler.create_task(async move { Ok(previous.await? + 1) }),
            1 => scheduler.create_task(async move { Ok(timeout(None, previous).await? + 1) }),
            _ => scheduler.create_task(async move { Ok(gather([previous]).await?[0] + 1) }),
        };
    }
    host.run_until_idle();
    last
}

pub(crate) fn t16_a_long_chain_of_tasks_ends_or_is_cancelled_or_dropped(host: &dyn Host) {
    let future = host.scheduler().create_future();
    let last = chain(host, &future);
    future.set_result(0).unwrap();
    host.run_until_idle();
    assert_eq!(last.result().unwrap(), LINKS);

    let future = host.scheduler().create_future();
    let last = chain(host, &future);
    last.cancel_with("enough");
    assert!(future.cancelled() && !last.done());
    host.run_until_idle();
    assert_eq!(words(&last.result()), "error: cancelled: enough");
    assert_eq!(last.cancelling(), 1);

    let last = chain(host, &host.scheduler().create_future());
    host.close();
    assert!(last.cancelled());
    host.take_reports();
}

/// A crowd of futures in one coroutine, of which only those are polled that were woken.
struct Crowd {
    woken: Arc<Mutex<VecDeque<usize>>>,
    wakers: Vec<Waker>,
    waits: RefCell<Vec<Option<Future<u32>>>>,
    left: usize,
}

struct WakeOne(usize, Arc<Mutex<VecDeque<usize>>>, Waker);

impl Wake for WakeOne {
    fn wake(self: Arc<Self>) {
        self.1.lock().unwrap().push_back(self.0);
        self.2.wake_by_ref();
    }
}

impl Crowd {
    fn new(waits: Vec<Future<u32>>) -> Self {
        let left = waits.len();
        let woken = Arc::new(Mutex::new((0..left).collect()));
        let waits = RefCell::new(waits.into_iter().map(Some).collect());
        Self { woken, wakers: Vec::new(), waits, left }
    }

    fn poll(&mut self, context: &mut Context<'_>, told: &mut Vec<String>) -> Poll<()> {
        if self.wakers.is_empty() {
            let waker = |index| WakeOne(index, self.woken.clone(), context.waker().clone());
            self.wakers = (0..self.left).map(|index| Arc::new(waker(index)).into()).collect();
        }
        loop {
            let next = self.woken.lock().unwrap().pop_front();
            let Some(index) = next else { break };
            let slot = &mut self.waits.borrow_mut()[index];
            let Some(wait) = slot else { continue };
            let polled = Pin::new(wait).poll(&mut Context::from_waker(&self.wakers[index]));
            if let Poll::Ready(outcome) = polled {
                *slot = None;
                self.left -= 1;
                told.push(words(&outcome));
            }
        }
        if self.left == 0 { Poll::Ready(()) } else { Poll::Pending }
    }
}

pub(crate) fn t25_a_crowd_of_waits_behind_wakers_of_their_own_is_told(host: &dyn Host) {
    const MANY: usize = 20_000;
    let scheduler = host.scheduler();
    let futures: Vec<Future<u32>> = (0..MANY).map(|_| scheduler.create_future()).collect();
    let mut crowd = Crowd::new(futures.clone());
    let task = scheduler.spawn(async move {
        let mut told = Vec::new();
        poll_fn(|context| crowd.poll(context, &mut told)).await;
        told
    });
    host.run_until_idle();
    for future in &futures[..MANY / 2] {
        future.set_result(7).unwrap();
        if future.ptr_eq(&futures[MANY / 4]) {
            host.run_until_idle();
        }
    }
    assert!(task.cancel());
    host.run_until_idle();
    let told = task.take().unwrap();
    assert_eq!(told.len(), MANY);
    assert!(told[..MANY / 2].iter().all(|told| told == "7"));
    assert!(told[MANY / 2..].iter().all(|told| told == "error: cancelled"));
}

pub(crate) fn t71_many_members_that_fail_take_no_square_of_time(host: &dyn Host) {
    const MANY: usize = 20_000;
    let task = host.scheduler().create_task(TaskGroup::scope(async |group| {
        for _ in 0..MANY {
            let never = current().create_future::<()>();
            group.spawn::<()>(async move { panic!("expected {:?}", never.await) })?;
        }
        group.create_task(async { Err::<(), _>(Exception::msg("the first")) })?;
        current().create_future::<()>().await
    }));
    host.run_until_idle();
    let failed = task.exception().unwrap().unwrap();
    let group = failed.downcast_ref::<futures::ExceptionGroup>().unwrap();
    assert_eq!(group.exceptions().len(), MANY + 1);
}
