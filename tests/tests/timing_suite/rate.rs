//! [`RateLimiter`] and [`TokenBucket`].

use futures::{Exception, Instant, RateLimiter, SchedulerExt, TokenBucket};
use proptest::prelude::*;
use std::time::Duration;
use tulipa_tests::{Host, Trace};

const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn a_rate_limiter_serves_who_waits_in_order_at_the_rate(host: &dyn Host) {
    let (scheduler, trace) = (host.scheduler(), Trace::new());
    let limiter = RateLimiter::new(2, SECOND).unwrap();
    let start = scheduler.time();
    for name in ["a", "b", "c", "d", "e"] {
        let (limiter, trace, clock) = (limiter.clone(), trace.clone(), scheduler.clone());
        scheduler.spawn(async move {
            limiter.acquire().await.unwrap();
            trace.note(format!("{name}{}", (clock.time() - start).as_secs_f64()));
        });
    }
    host.run_until_idle();
    assert_eq!(trace.take(), ["a0", "b0", "c0.5", "d1", "e1.5"]);
    assert_eq!(format!("{limiter:?}"), "RateLimiter(2 each 1s, burst 2)");
}

pub(crate) fn who_is_cancelled_takes_nothing_from_a_rate_limiter(host: &dyn Host) {
    let (scheduler, trace) = (host.scheduler(), Trace::new());
    let limiter = RateLimiter::new(1, SECOND).unwrap();
    let start = scheduler.time();
    let tasks: Vec<_> = (0..4)
        .map(|number| {
            let (limiter, trace, clock) = (limiter.clone(), trace.clone(), scheduler.clone());
            scheduler.create_task(async move {
                limiter.acquire().await?;
                trace.note(format!("{number}@{}", (clock.time() - start).as_secs_f64()));
                Ok(())
            })
        })
        .collect();
    // The one that is next, and one behind it.
    let (next, behind) = (tasks[1].clone(), tasks[2].clone());
    scheduler.call_later(SECOND / 2, move || {
        next.cancel();
        behind.cancel();
    });
    host.run_until_idle();
    assert_eq!(trace.take(), ["0@0", "3@1"]);
    assert!(tasks[1].cancelled() && tasks[2].cancelled());
}

pub(crate) fn a_rate_limiter_can_be_asked_without_waiting(host: &dyn Host) {
    let task = host.scheduler().create_task(async {
        let limiter = RateLimiter::new(10, SECOND)?.burst(4);
        assert_eq!(limiter.available(), 4);
        assert!(limiter.try_acquire(3) && !limiter.try_acquire(2) && limiter.try_acquire(1));
        let waiting = limiter.clone();
        let waiter = futures::create_task(async move { waiting.acquire_many(2).await });
        futures::sleep(SECOND / 10).await?;
        assert!(!limiter.try_acquire(1), "somebody waits for this one");
        waiter.await?;
        let error = limiter.acquire_many(5).await.unwrap_err();
        assert_eq!(error.to_string(), "5 tokens were asked for, and at most 4 are stored");
        Ok::<_, Exception>(())
    });
    host.run_until_idle();
    task.result().unwrap();
}

pub(crate) fn a_smaller_store_refuses_who_waits_for_more_than_it_holds(host: &dyn Host) {
    let scheduler = host.scheduler();
    let limiter = RateLimiter::new(10, SECOND).unwrap();
    let begin = |count| {
        let limiter = limiter.clone();
        scheduler.create_task(async move { limiter.acquire_many(count).await })
    };
    let tasks = [begin(10), begin(6), begin(6), begin(1)];
    let smaller = limiter.clone();
    scheduler.call_later(SECOND / 10, move || drop(smaller.burst(2)));
    host.run_until_idle();
    let results = tasks.map(|task| task.result().map_err(|error| error.to_string()));
    let refused = Err("6 tokens were asked for, and at most 2 are stored".to_owned());
    assert_eq!(results, [Ok(()), refused.clone(), refused, Ok(())]);
}

#[test]
fn a_rate_of_nothing_is_refused() {
    let refused = TokenBucket::new(0, SECOND).unwrap_err();
    assert_eq!(refused.to_string(), "0 in 1s is no rate: both must be above zero");
    assert!(RateLimiter::new(1, Duration::ZERO).is_err());
    let mut bucket = TokenBucket::new(u32::MAX, Duration::MAX).unwrap().burst(u32::MAX);
    assert_eq!(bucket.take(u32::MAX, Instant::NEVER), Ok(()));
    bucket.give_back(1);
    assert_eq!(bucket.available(Instant::ZERO), 1);
}

proptest! {
    /// The model adds what accrues nanosecond by nanosecond, as a fraction.
    #[test]
    fn a_token_bucket_counts_exactly(
        tokens in 1_u32..7,
        period in 1_u64..11,
        burst in 1_u32..9,
        steps in prop::collection::vec((0_u64..15, 0_u32..10), 0..60),
    ) {
        let mut bucket = TokenBucket::new(tokens, Duration::from_nanos(period)).unwrap().burst(burst);
        let full = u64::from(burst) * period;
        let (mut now, mut parts) = (1000, full);
        for (pause, wanted) in steps {
            for _ in 0..pause {
                now += 1;
                parts = (parts + u64::from(tokens)).min(full);
            }
            let cost = u64::from(wanted) * period;
            let expected = if cost > full {
                Err(Instant::NEVER)
            } else if cost <= parts {
                parts -= cost;
                Ok(())
            } else {
                let (mut then, mut filled) = (now, parts);
                while filled < cost {
                    then += 1;
                    filled += u64::from(tokens);
                }
                Err(Instant::from_nanos(then))
            };
            prop_assert_eq!(bucket.take(wanted, Instant::from_nanos(now)), expected);
            prop_assert_eq!(bucket.available(Instant::from_nanos(now)), parts / period);
        }
    }
}
