//! Random programs of races in time-outs in races, cancelled from outside, with many things happening
//! at the same time: what must be true of them whoever comes first.

use super::support::Log;
use futures::{
    Exception, Future, Scheduler, SchedulerExt, Task, Timeout, TimeoutError, race, select, sleep,
    staggered_race, yield_now,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;
use tulipa_tests::Host;

#[derive(Clone, Debug)]
enum Op {
    Sleep(u8),
    Yield,
    /// Waits for a future of the whole program, which each handle does for itself.
    Await(usize),
    Timeout(u8, Vec<Op>),
    /// Sleeps when the body fails, then fails like that.
    CleanUp(Vec<Op>, u8),
    Race(Vec<Vec<Op>>),
    Staggered(Vec<Vec<Op>>, Option<u8>),
    Select(Vec<Op>, Vec<Op>),
}

#[derive(Clone, Debug)]
struct Program {
    tasks: Vec<Vec<Op>>,
    /// When to cancel which task.
    cancels: Vec<(u8, usize)>,
    /// When the futures are done.
    futures: [u8; 3],
}

fn any_program() -> impl Strategy<Value = Program> {
    let time = || 0..12u8;
    let leaf = prop_oneof![
        5 => time().prop_map(Op::Sleep),
        1 => Just(Op::Yield),
        2 => any::<usize>().prop_map(Op::Await),
    ];
    let op = leaf.prop_recursive(4, 32, 4, move |inner| {
        let body = || prop::collection::vec(inner.clone(), 0..4);
        let bodies = || prop::collection::vec(body(), 1..4);
        prop_oneof![
            3 => (time(), body()).prop_map(|(limit, body)| Op::Timeout(limit, body)),
            3 => (body(), time()).prop_map(|(body, time)| Op::CleanUp(body, time)),
            3 => bodies().prop_map(Op::Race),
            1 => (bodies(), prop::option::of(time()))
                .prop_map(|(bodies, delay)| Op::Staggered(bodies, delay)),
            1 => (body(), body()).prop_map(|(one, other)| Op::Select(one, other)),
        ]
    });
    let tasks = prop::collection::vec(prop::collection::vec(op, 0..5), 1..4);
    let cancels = prop::collection::vec((0..40u8, any::<usize>()), 0..4);
    (tasks, cancels, [time(), time(), time()]).prop_map(|(tasks, cancels, futures)| {
        let cancels = cancels.into_iter().map(|(time, task)| (time, task % tasks.len())).collect();
        Program { tasks, cancels, futures }
    })
}

pub(crate) fn t12_t20_t62_t63_no_race_loses_a_cancellation(host: &dyn Host) {
    let config = Config { cases: 256, failure_persistence: None, ..Config::default() };
    TestRunner::new(config).run(&any_program(), |program| check(host, &program)).unwrap();
}

fn check(host: &dyn Host, program: &Program) -> Result<(), TestCaseError> {
    drop(host.take_reports()); // of a program that failed, before this smaller one
    let scheduler = host.scheduler();
    let futures: Vec<Future<u8>> =
        program.futures.iter().map(|_| scheduler.create_future()).collect();
    for (future, time) in futures.iter().zip(program.futures) {
        let future = future.clone();
        scheduler.call_later(millis(time), move || {
            // Whoever loses or is cancelled while it waits for one has cancelled it.
            let _ = future.try_set_result(time);
        });
    }
    let running = Rc::new(Cell::new(0));
    let log = Log::default();
    let tasks: Vec<Task<()>> = program
        .tasks
        .iter()
        .map(|ops| {
            let runner = Runner {
                scheduler: scheduler.clone(),
                futures: futures.clone(),
                running: running.clone(),
                log: log.clone(),
            };
            let ops = ops.clone();
            scheduler.create_task(async move {
                let outcome = runner.run(&ops).await;
                // What only losers have seen comes here at the latest.
                yield_now().await.and(outcome)
            })
        })
        .collect();
    let accepted = Rc::new(Cell::new(BTreeMap::new()));
    for &(time, index) in &program.cancels {
        let (task, accepted) = (tasks[index].clone(), accepted.clone());
        scheduler.call_later(millis(time), move || {
            if task.cancel() {
                let mut map: BTreeMap<usize, u32> = accepted.take();
                *map.entry(index).or_default() += 1;
                accepted.set(map);
            }
        });
    }
    host.run_until_idle();
    prop_assert_eq!(running.get(), 0, "what began has ended, once");
    prop_assert_eq!(log.take(), Vec::<String>::new());
    let accepted = accepted.take();
    for (index, task) in tasks.iter().enumerate() {
        let requests = accepted.get(&index).copied().unwrap_or(0);
        prop_assert!(task.done());
        prop_assert_eq!(task.cancelling(), requests);
        let outcome = task.result();
        let is_cancelled = outcome.as_ref().is_err_and(Exception::is_cancelled);
        // A future that somebody else has cancelled is no better than a cancellation.
        let may_be_cancelled = requests > 0 || futures.iter().any(Future::cancelled);
        prop_assert!(is_cancelled || requests == 0, "{} was cancelled: {:?}", index, outcome);
        prop_assert!(!is_cancelled || may_be_cancelled, "nobody has cancelled {}", index);
    }
    // A loser of `select!` may fail late, which nobody wants here.
    for report in host.take_reports() {
        prop_assert!(report.message.contains("select!"), "{}", report);
    }
    Ok(())
}

struct Runner {
    scheduler: Rc<dyn Scheduler>,
    futures: Vec<Future<u8>>,
    running: Rc<Cell<i32>>,
    /// What should not be.
    log: Log,
}

/// A block that runs.
struct Running(Rc<Cell<i32>>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Runner {
    fn run<'a>(
        &'a self,
        ops: &'a [Op],
    ) -> Pin<Box<dyn std::future::Future<Output = Result<(), Exception>> + 'a>> {
        Box::pin(async move {
            self.running.set(self.running.get() + 1);
            let _running = Running(self.running.clone());
            for op in ops {
                self.run_one(op).await?;
            }
            Ok(())
        })
    }

    async fn run_one(&self, op: &Op) -> Result<(), Exception> {
        let start = self.scheduler.time();
        match op {
            Op::Sleep(time) => {
                sleep(millis(*time)).await?;
                self.expect(self.scheduler.time() >= start + millis(*time), "slept too little");
                Ok(())
            }
            Op::Yield => yield_now().await,
            Op::Await(index) => self.futures[index % self.futures.len()].clone().await.map(drop),
            Op::Timeout(limit, body) => {
                let timeout = Timeout::new(millis(*limit));
                let outcome = timeout.run(self.run(body)).await;
                let in_time = self.scheduler.time() < start + millis(*limit);
                self.expect(!(in_time && timeout.expired()), "expired too early");
                outcome
            }
            Op::CleanUp(body, time) => {
                let outcome = self.run(body).await;
                if outcome.is_err() {
                    sleep(millis(*time)).await?;
                }
                outcome
            }
            Op::Race(bodies) => {
                let race = race(bodies.iter().map(|body| self.run(body))).await;
                let race = race?;
                self.expect(race.late.iter().all(|late| late.0 != race.winner), "won and lost");
                race.outcome
            }
            Op::Staggered(bodies, delay) => {
                let attempts = bodies.iter().map(|body| || self.run(body));
                let race = staggered_race(attempts, delay.map(millis)).await?;
                let failed = race.exceptions.iter().filter(|exception| exception.is_some()).count();
                let well = usize::from(race.winner.is_some()) + race.late.len();
                self.expect(failed + well == race.exceptions.len(), "an attempt is missing");
                match race.winner {
                    Some((_, ())) => Ok(()),
                    None => Err(TimeoutError::new("all failed").into()),
                }
            }
            Op::Select(one, other) => select! {
                outcome = self.run(one) => outcome?,
                outcome = self.run(other) => outcome?,
            },
        }
    }

    fn expect(&self, promise: bool, otherwise: &str) {
        if !promise {
            self.log.add(otherwise);
        }
    }
}

fn millis(time: u8) -> Duration {
    Duration::from_millis(time.into())
}
