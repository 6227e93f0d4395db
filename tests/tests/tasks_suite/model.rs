//! Random programs of tasks, time-outs, waits and cancellations, against the plainest model of what
//! asyncio would do with them.
//!
//! All that happens in a program has a time of its own: then its course does not depend on who comes
//! first within an iteration, and the model can say when each wait ends, and how.

use futures::{Exception, Instant, SchedulerExt, Task, Timeout, TimeoutError, current_task, sleep};
use futures::{Scheduler, yield_now};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;
use tulipa_tests::Host;

#[derive(Clone, Debug)]
enum Op {
    Sleep(u64),
    Yield,
    /// Waits for an earlier task.
    Await(usize),
    Timeout(u64, Vec<Op>),
    /// Goes on after a cancellation, which it takes back.
    Swallow(Vec<Op>),
    /// Sleeps when the body fails, then fails like that.
    CleanUp(Vec<Op>, u64),
}

#[derive(Clone, Debug)]
struct Program {
    tasks: Vec<Vec<Op>>,
    /// When to cancel which task.
    cancels: Vec<(u64, usize)>,
}

/// How a wait, a block or a task ended.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Well,
    Cancelled,
    TimedOut,
}

/// What a task tells of itself: what ended, when, and how.
type Story = Vec<(&'static str, u64, End)>;

fn any_program() -> impl Strategy<Value = Program> {
    let time = || 1..1_000_000_000u64;
    let leaf = prop_oneof![
        6 => time().prop_map(Op::Sleep),
        1 => Just(Op::Yield),
        2 => any::<usize>().prop_map(Op::Await),
    ];
    let op = leaf.prop_recursive(4, 24, 4, move |inner| {
        let body = || prop::collection::vec(inner.clone(), 0..4);
        prop_oneof![
            3 => (time(), body()).prop_map(|(limit, body)| Op::Timeout(limit, body)),
            1 => body().prop_map(Op::Swallow),
            2 => (body(), time()).prop_map(|(body, time)| Op::CleanUp(body, time)),
        ]
    });
    let tasks = prop::collection::vec(prop::collection::vec(op, 0..5), 1..5);
    let cancels = prop::collection::vec((time(), any::<usize>()), 0..8);
    (tasks, cancels).prop_map(|(tasks, cancels)| {
        let cancels = cancels.into_iter().map(|(time, task)| (time, task % tasks.len())).collect();
        Program { tasks, cancels }
    })
}

pub(crate) fn t11_t16_t19_t60_t68_random_programs_behave_like_the_model(host: &dyn Host) {
    let config = Config { cases: 256, failure_persistence: None, ..Config::default() };
    TestRunner::new(config).run(&any_program(), |program| check(host, &program)).unwrap();
}

fn check(host: &dyn Host, program: &Program) -> Result<(), TestCaseError> {
    let Some(model) = Model::run(program) else {
        return Err(TestCaseError::reject("two things happen at the same time"));
    };
    drop(host.take_reports()); // of a program that failed, before this smaller one
    let scheduler = host.scheduler();
    let start = scheduler.time();
    let mut tasks: Vec<Real> = Vec::new();
    for ops in &program.tasks {
        tasks.push(Real::spawn(&scheduler, ops, &tasks));
    }
    for &(time, task) in &program.cancels {
        let task = tasks[task].task.clone();
        scheduler.call_at(start + Duration::from_nanos(time), move || {
            task.cancel();
        });
    }
    host.run_until_idle();
    prop_assert_eq!(
        (scheduler.time() - start).as_nanos(),
        u128::from(model.now),
        "timers are left"
    );
    for (real, expected) in tasks.iter().zip(&model.tasks) {
        prop_assert_eq!(&*real.story.borrow(), &expected.story);
        prop_assert_eq!(Some(end_of(&real.task.result())), expected.end);
        prop_assert_eq!(real.task.cancelling(), expected.requests + expected.own_requests);
    }
    prop_assert!(host.take_reports().is_empty());
    Ok(())
}

/// A task of the program on the loop.
struct Real {
    task: Task<()>,
    story: Rc<RefCell<Story>>,
}

/// What the coroutine of a task needs.
struct Teller {
    start: Instant,
    scheduler: Rc<dyn Scheduler>,
    earlier: Vec<Task<()>>,
    story: Rc<RefCell<Story>>,
}

impl Real {
    fn spawn(scheduler: &Rc<dyn Scheduler>, ops: &[Op], earlier: &[Real]) -> Self {
        let story = Rc::new(RefCell::default());
        let teller = Teller {
            start: scheduler.time(),
            scheduler: scheduler.clone(),
            earlier: earlier.iter().map(|real| real.task.clone()).collect(),
            story: Rc::clone(&story),
        };
        let ops = ops.to_vec();
        Self { task: scheduler.create_task(async move { teller.run(&ops).await }), story }
    }
}

impl Teller {
    fn run<'a>(
        &'a self,
        ops: &'a [Op],
    ) -> Pin<Box<dyn Future<Output = Result<(), Exception>> + 'a>> {
        Box::pin(async move {
            for op in ops {
                self.run_one(op).await?;
            }
            Ok(())
        })
    }

    async fn run_one(&self, op: &Op) -> Result<(), Exception> {
        match op {
            Op::Sleep(time) => self.sleep(*time).await,
            Op::Yield => yield_now().await,
            Op::Await(task) => match task.checked_rem(self.earlier.len()) {
                Some(task) => {
                    let outcome = self.earlier[task].as_future().clone().await;
                    self.tell("await", outcome)
                }
                None => Ok(()),
            },
            Op::Timeout(limit, body) => {
                let timeout = Timeout::new(Duration::from_nanos(*limit));
                let outcome = timeout.run(self.run(body)).await;
                let what = if timeout.expired() { "expired" } else { "in time" };
                self.tell(what, outcome)
            }
            Op::Swallow(body) => match self.run(body).await {
                Err(error) if error.is_cancelled() => {
                    current_task().unwrap().uncancel();
                    Ok(())
                }
                outcome => outcome,
            },
            Op::CleanUp(body, time) => {
                let outcome = self.run(body).await;
                if outcome.is_err() {
                    self.sleep(*time).await?;
                }
                outcome
            }
        }
    }

    async fn sleep(&self, time: u64) -> Result<(), Exception> {
        let outcome = sleep(Duration::from_nanos(time)).await;
        self.tell("sleep", outcome)
    }

    fn tell(&self, what: &'static str, outcome: Result<(), Exception>) -> Result<(), Exception> {
        let now = (self.scheduler.time() - self.start).as_nanos() as u64;
        self.story.borrow_mut().push((what, now, end_of(&outcome)));
        outcome
    }
}

fn end_of(outcome: &Result<(), Exception>) -> End {
    match outcome {
        Ok(()) => End::Well,
        Err(error) if error.is_cancelled() => End::Cancelled,
        Err(error) if error.is::<TimeoutError>() => End::TimedOut,
        Err(error) => panic!("nobody fails so: {error}"),
    }
}

/// The program as asyncio would run it, one event after the other.
struct Model {
    now: u64,
    tasks: Vec<ModelTask>,
}

#[derive(Default)]
struct ModelTask {
    frames: Vec<Frame>,
    wait: Option<Wait>,
    requests: u32,
    own_requests: u32,
    story: Story,
    end: Option<End>,
}

/// A block that a task stands in.
enum Frame {
    /// What is left to do of it, in reverse order.
    Ops(Vec<Op>),
    Timeout {
        deadline: u64,
        expired: bool,
        /// The task's requests when it was entered.
        earlier: u32,
        /// Whether a block around it has expired since.
        outer_expired: bool,
    },
    Swallow,
    CleanUp(u64),
    /// While cleaning up: how the body has ended.
    CleaningUp(End),
}

#[derive(Clone, Copy)]
enum Wait {
    Sleep(u64),
    Task(usize),
}

enum Event {
    Wake(usize),
    /// The time-out that is this frame of the task.
    Deadline(usize, usize),
    Cancel(usize),
}

impl Model {
    /// `None` if two events have the same time.
    fn run(program: &Program) -> Option<Self> {
        let tasks = program.tasks.iter().map(|ops| {
            let ops = Frame::Ops(ops.iter().rev().cloned().collect());
            ModelTask { frames: vec![ops], ..ModelTask::default() }
        });
        let mut model = Model { now: 0, tasks: tasks.collect() };
        for task in 0..model.tasks.len() {
            model.go_on(task, End::Well);
        }
        let mut cancels = program.cancels.clone();
        cancels.sort();
        cancels.reverse();
        let mut times = BTreeSet::from([0]);
        loop {
            let mut events = model.timers();
            events.extend(cancels.last().map(|&(time, task)| (time, Event::Cancel(task))));
            // Timers that are armed for the same time never come apart again.
            let all: BTreeSet<_> = events.iter().map(|event| event.0).collect();
            let unique = all.len() == events.len();
            let Some((time, event)) = events.into_iter().min_by_key(|event| event.0) else {
                return Some(model);
            };
            if !unique || !times.insert(time) {
                return None;
            }
            model.now = time;
            match event {
                Event::Wake(task) => model.end_wait(task, "sleep", End::Well),
                Event::Deadline(task, frame) => model.expire(task, frame),
                Event::Cancel(task) => {
                    cancels.pop();
                    model.cancel(task);
                }
            }
        }
    }

    fn timers(&self) -> Vec<(u64, Event)> {
        let mut timers = Vec::new();
        for (index, task) in self.tasks.iter().enumerate() {
            if let Some(Wait::Sleep(until)) = task.wait {
                timers.push((until, Event::Wake(index)));
            }
            for (place, frame) in task.frames.iter().enumerate() {
                if let Frame::Timeout { deadline, expired: false, .. } = frame {
                    timers.push((*deadline, Event::Deadline(index, place)));
                }
            }
        }
        timers
    }

    fn cancel(&mut self, task: usize) {
        if self.tasks[task].end.is_none() {
            self.tasks[task].requests += 1;
            self.cancel_wait(task);
        }
    }

    fn cancel_wait(&mut self, task: usize) {
        match self.tasks[task].wait {
            Some(Wait::Sleep(_)) => self.end_wait(task, "sleep", End::Cancelled),
            Some(Wait::Task(inner)) => self.cancel(inner),
            None => panic!("what has not ended waits"),
        }
    }

    fn expire(&mut self, task: usize, place: usize) {
        self.tasks[task].own_requests += 1;
        for (index, frame) in self.tasks[task].frames.iter_mut().enumerate().skip(place) {
            if let Frame::Timeout { expired, outer_expired, .. } = frame {
                match index == place {
                    true => *expired = true,
                    false => *outer_expired = true,
                }
            }
        }
        self.cancel_wait(task);
    }

    fn end_wait(&mut self, task: usize, what: &'static str, end: End) {
        self.tasks[task].wait = None;
        self.tasks[task].story.push((what, self.now, end));
        self.go_on(task, end);
    }

    /// Goes on with a task after something in it has ended.
    fn go_on(&mut self, index: usize, mut end: End) {
        let now = self.now;
        loop {
            let task = &mut self.tasks[index];
            let Some(frame) = task.frames.pop() else { break };
            match frame {
                Frame::Ops(_) if end != End::Well => {}
                Frame::Ops(mut ops) => {
                    let Some(op) = ops.pop() else { continue };
                    task.frames.push(Frame::Ops(ops));
                    if let Some(now_ended) = self.begin(index, op) {
                        end = now_ended;
                    } else {
                        return;
                    }
                }
                Frame::Timeout { expired, earlier, outer_expired, .. } => {
                    if expired {
                        task.own_requests = task.own_requests.saturating_sub(1);
                        if end == End::Cancelled && !outer_expired && task.requests <= earlier {
                            end = End::TimedOut;
                        }
                    }
                    task.story.push((if expired { "expired" } else { "in time" }, now, end));
                }
                Frame::Swallow => {
                    if end == End::Cancelled {
                        match task.requests {
                            0 => task.own_requests = task.own_requests.saturating_sub(1),
                            _ => task.requests -= 1,
                        }
                        end = End::Well;
                    }
                }
                Frame::CleanUp(time) => {
                    if end != End::Well {
                        task.frames.push(Frame::CleaningUp(end));
                        task.wait = Some(Wait::Sleep(now + time));
                        return;
                    }
                }
                Frame::CleaningUp(body) => {
                    if end == End::Well {
                        end = body;
                    }
                }
            }
        }
        self.tasks[index].end = Some(end);
        for waiter in 0..self.tasks.len() {
            if matches!(self.tasks[waiter].wait, Some(Wait::Task(inner)) if inner == index) {
                self.end_wait(waiter, "await", end);
            }
        }
    }

    /// Begins an operation, and says how it has ended already; `None` if the task waits now.
    fn begin(&mut self, index: usize, op: Op) -> Option<End> {
        let reversed = |body: Vec<Op>| Frame::Ops(body.into_iter().rev().collect());
        let now = self.now;
        let inner = match op {
            Op::Await(inner) => inner.checked_rem(index),
            _ => None,
        };
        let inner_end = inner.and_then(|inner| self.tasks[inner].end);
        let task = &mut self.tasks[index];
        match op {
            Op::Yield => {}
            Op::Sleep(time) => task.wait = Some(Wait::Sleep(now + time)),
            Op::Await(_) => match (inner, inner_end) {
                (None, _) => {}
                (Some(inner), None) => task.wait = Some(Wait::Task(inner)),
                (Some(_), Some(end)) => {
                    task.story.push(("await", now, end));
                    return Some(end);
                }
            },
            Op::Timeout(limit, body) => {
                let (deadline, earlier) = (now + limit, task.requests);
                task.frames.push(Frame::Timeout {
                    deadline,
                    expired: false,
                    earlier,
                    outer_expired: false,
                });
                task.frames.push(reversed(body));
            }
            Op::Swallow(body) => task.frames.extend([Frame::Swallow, reversed(body)]),
            Op::CleanUp(body, time) => task.frames.extend([Frame::CleanUp(time), reversed(body)]),
        }
        task.wait.is_none().then_some(End::Well)
    }
}
