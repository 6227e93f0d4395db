//! Waits that change hands: begun by one coroutine, and awaited by another.

use super::support::{Log, secs, words};
use futures::{Exception, Scheduler, SchedulerExt, Task, current_task, sleep, timeout, yield_now};
use std::cell::RefCell;
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use tulipa_tests::Host;

type Shared<T> = Rc<RefCell<Pin<Box<dyn Future<Output = Result<T, Exception>>>>>>;

fn shared<T>(future: impl Future<Output = Result<T, Exception>> + 'static) -> Shared<T> {
    Rc::new(RefCell::new(Box::pin(future)))
}

/// Polls it once, and lets go of it.
async fn begin<T>(wait: Shared<T>) {
    poll_fn(|context| {
        assert!(wait.borrow_mut().as_mut().poll(context).is_pending());
        Poll::Ready(())
    })
    .await;
}

/// Awaits it.
async fn go_on<T>(wait: Shared<T>) -> Result<T, Exception> {
    poll_fn(|context| wait.borrow_mut().as_mut().poll(context)).await
}

/// One task begins each of these waits, and keeps on waiting for something foreign; the other awaits it.
fn given_away(scheduler: &dyn Scheduler, wait: Shared<()>) -> (Task<()>, Task<String>) {
    let given = wait.clone();
    let first = scheduler.spawn(async move {
        begin(given).await;
        pending::<()>().await;
    });
    let second = scheduler.spawn(async move {
        yield_now().await.unwrap();
        words(&go_on(wait).await)
    });
    (first, second)
}

/// Something to wait for, of each kind.
const WAITS: [fn(&dyn Scheduler) -> Shared<()>; 3] = [
    |scheduler| shared(scheduler.create_future::<()>()),
    |_| shared(timeout(secs(3600), sleep(secs(60)))),
    |scheduler| shared(scheduler.create_task(sleep(secs(60)))),
];

pub(crate) fn t25_cancelling_tells_a_wait_that_was_taken_over(host: &dyn Host) {
    let scheduler = host.scheduler();
    for wait in WAITS {
        let (first, second) = given_away(&*scheduler, wait(&*scheduler));
        let later = second.clone();
        scheduler.call_later(secs(1), move || assert!(later.cancel()));
        scheduler.call_later(secs(2), move || assert!(first.abort()));
        host.run_until_idle();
        assert_eq!(words(&second.result()), "\"error: cancelled\"");
    }
}

pub(crate) fn t25_cancelling_leaves_a_wait_that_was_given_away_alone(host: &dyn Host) {
    let scheduler = host.scheduler();
    for wait in WAITS {
        let (first, second) = given_away(&*scheduler, wait(&*scheduler));
        let asked = first.clone();
        scheduler.call_later(secs(1), move || assert!(asked.cancel()));
        let later = second.clone();
        scheduler.call_later(secs(2), move || {
            assert!(!later.done());
            later.abort();
        });
        host.run_until_idle();
        assert!(first.cancelled() && second.cancelled());
    }
}

/// The branch that a wait is moved into may lie where the one lay that it was begun in.
pub(crate) fn t25_t60_a_time_out_that_changes_its_branch_is_told(host: &dyn Host) {
    let scheduler = host.scheduler();
    let task = scheduler.create_task(async {
        let wait = shared(timeout(secs(3600), sleep(secs(60))));
        for _ in 0..3 {
            let wait = wait.clone();
            let begun = timeout(secs(100), async {
                begin(wait).await;
                Ok(())
            });
            begun.await?;
        }
        let told = timeout(secs(10), async { Ok(words(&go_on(wait).await)) }).await?;
        Ok(told)
    });
    host.run_until_idle();
    assert_eq!(task.result().unwrap(), "error: cancelled");
}

pub(crate) fn t15_t16_a_wait_that_was_begun_before_passes_an_own_request_on(host: &dyn Host) {
    let (scheduler, log) = (host.scheduler(), Log::default());
    let (seen, spawner) = (log.clone(), scheduler.clone());
    let task = scheduler.spawn(async move {
        let inner = spawner.create_task(async move {
            let told = sleep(secs(3600)).await;
            sleep(secs(1)).await?;
            seen.add("cleaned up");
            told
        });
        let wait = shared(inner.clone());
        begin(wait.clone()).await;
        yield_now().await.unwrap();
        current_task().unwrap().cancel();
        let told = words(&go_on(wait).await);
        (inner.cancelled(), told)
    });
    host.run_until_idle();
    assert_eq!(log.take(), ["cleaned up"]);
    assert_eq!(task.result().unwrap(), (true, "error: cancelled".to_owned()));
}

/// A wait that is leaked half-way is told in vain, but not for ever.
pub(crate) fn t25_a_wait_that_was_leaked_does_not_keep_a_task_alive(host: &dyn Host) {
    let scheduler = host.scheduler();
    let done = scheduler.create_future::<()>();
    let (leaked, spawner) = (done.clone(), scheduler.clone());
    let task = scheduler.spawn(async move {
        for wait in [shared(leaked), shared(yield_now()), shared(spawner.create_future())] {
            begin(wait.clone()).await;
            drop(wait);
        }
        let mut turn = yield_now();
        poll_fn(|context| Poll::Ready(Pin::new(&mut turn).poll(context).is_ready())).await;
        std::mem::forget(turn);
        pending::<()>().await;
    });
    host.run_until_idle();
    task.cancel();
    host.run_until_idle();
    assert!(task.cancelled() && !done.done());
}
