//! Random programs, against the plainest model of each family: nothing is lost, nothing is given
//! twice, who waits first is served first, and nobody waits for what is free.

use futures::channels::broadcast;
use futures::{
    Barrier, BrokenBarrierError, Exception, LifoQueue, Lock, PriorityQueue, Queue, SchedulerExt,
    Semaphore, Task,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::any::Any;
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::rc::Rc;
use tulipa_tests::Host;

/// Runs random programs of at most `steps` steps.
fn try_programs<S: Strategy>(
    step: S,
    steps: usize,
    run: impl Fn(&[S::Value]) -> Result<(), TestCaseError>,
) where
    S::Value: Clone,
{
    let config = Config { cases: 256, failure_persistence: None, ..Config::default() };
    let programs = prop::collection::vec(step, 0..steps);
    TestRunner::new(config).run(&programs, |program| run(&program)).unwrap();
}

/// How a task is ended from outside.
#[derive(Clone, Copy, Debug)]
enum End {
    Cancel,
    Abort,
}

fn any_end() -> impl Strategy<Value = End> {
    prop_oneof![Just(End::Cancel), Just(End::Abort)]
}

fn end_task<T>(task: &Task<T>, end: End) -> bool {
    match end {
        End::Cancel => task.cancel(),
        End::Abort => task.abort(),
    }
}

// Locks and semaphores.

type Held = Box<dyn Any>;
type Acquire = Pin<Box<dyn Future<Output = Result<Held, Exception>>>>;

/// A lock or a semaphore: something that gives out a number of tokens.
enum Tokens {
    Lock(Lock),
    Semaphore(Semaphore),
}

impl Tokens {
    fn acquire(&self) -> Acquire {
        match self {
            Tokens::Lock(lock) => {
                let acquire = lock.acquire();
                Box::pin(async { Ok(Box::new(acquire.await?) as Held) })
            }
            Tokens::Semaphore(semaphore) => {
                let acquire = semaphore.acquire();
                Box::pin(async { Ok(Box::new(acquire.await?) as Held) })
            }
        }
    }

    fn try_acquire(&self) -> Option<Held> {
        match self {
            Tokens::Lock(lock) => Some(Box::new(lock.try_acquire()?)),
            Tokens::Semaphore(semaphore) => Some(Box::new(semaphore.try_acquire()?)),
        }
    }
}

#[derive(Clone, Debug)]
enum TokenStep {
    Acquire,
    TryAcquire,
    Release(usize),
    End(usize, End),
    Run,
}

fn any_token_step() -> impl Strategy<Value = TokenStep> {
    prop_oneof![
        4 => Just(TokenStep::Acquire),
        1 => Just(TokenStep::TryAcquire),
        4 => any::<usize>().prop_map(TokenStep::Release),
        2 => (any::<usize>(), any_end()).prop_map(|(which, end)| TokenStep::End(which, end)),
        3 => Just(TokenStep::Run),
    ]
}

pub(crate) fn s3_s6_s8_s20_s21_s22_tokens_behave_like_the_model(host: &dyn Host) {
    try_programs(any_token_step(), 60, |program| {
        run_tokens(host, Tokens::Lock(Lock::new()), 1, program)?;
        (0..4).try_for_each(|count| {
            run_tokens(host, Tokens::Semaphore(Semaphore::new(count)), count, program)
        })
    });
}

fn run_tokens(
    host: &dyn Host,
    tokens: Tokens,
    count: usize,
    program: &[TokenStep],
) -> Result<(), TestCaseError> {
    // Who holds a token, in the order of getting it; the same in the model, where tokens are given
    // to those in the line when the loop runs.
    let held = Rc::new(RefCell::new(Vec::<(usize, Held)>::new()));
    let (mut holders, mut line, mut free) = (Vec::<usize>::new(), VecDeque::new(), count);
    let mut tasks = Vec::<Task<()>>::new();
    for step in program.iter().chain([&TokenStep::Run]) {
        if let TokenStep::Run | TokenStep::TryAcquire = step {
            host.run_until_idle();
            while free > 0
                && let Some(name) = line.pop_front()
            {
                holders.push(name);
                free -= 1;
            }
            let names: Vec<_> = held.borrow().iter().map(|(name, _)| *name).collect();
            prop_assert_eq!(&names, &holders);
            match &tokens {
                Tokens::Lock(lock) => prop_assert_eq!(lock.locked(), free == 0),
                Tokens::Semaphore(semaphore) => {
                    prop_assert_eq!((semaphore.value(), semaphore.locked()), (free, free == 0));
                }
            }
        }
        match *step {
            TokenStep::Acquire => {
                let (name, acquire, held) = (tasks.len(), tokens.acquire(), held.clone());
                line.push_back(name);
                tasks.push(host.scheduler().create_task(async move {
                    let guard = acquire.await?;
                    held.borrow_mut().push((name, guard));
                    Ok(())
                }));
            }
            TokenStep::TryAcquire => {
                let taken = tokens.try_acquire();
                prop_assert_eq!(taken.is_some(), free > 0);
                if let Some(guard) = taken {
                    // Under a name that no task has.
                    holders.push(usize::MAX);
                    held.borrow_mut().push((usize::MAX, guard));
                    free -= 1;
                }
            }
            TokenStep::Release(which) if !holders.is_empty() => {
                let which = which % holders.len();
                holders.remove(which);
                let released = held.borrow_mut().remove(which);
                drop(released);
                free += 1;
            }
            TokenStep::End(which, end) if !tasks.is_empty() => {
                let which = which % tasks.len();
                let accepted = end_task(&tasks[which], end);
                prop_assert!(accepted || !line.contains(&which));
                line.retain(|name| *name != which);
            }
            TokenStep::Release(_) | TokenStep::End(..) | TokenStep::Run => {}
        }
    }
    for task in &tasks {
        task.cancel();
    }
    host.run_until_idle();
    Ok(())
}

// Queues.

/// In which order items leave.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Oldest,
    Smallest,
    Newest,
}

#[derive(Clone, Debug)]
enum QueueStep {
    Put(u8),
    PutNowait(u8),
    Get,
    GetNowait,
    End(usize, End),
    Done,
    Shutdown(bool),
    Run,
}

fn any_queue_step() -> impl Strategy<Value = QueueStep> {
    prop_oneof![
        20 => any::<u8>().prop_map(QueueStep::Put),
        8 => any::<u8>().prop_map(QueueStep::PutNowait),
        20 => Just(QueueStep::Get),
        8 => Just(QueueStep::GetNowait),
        12 => (any::<usize>(), any_end()).prop_map(|(which, end)| QueueStep::End(which, end)),
        8 => Just(QueueStep::Done),
        1 => any::<bool>().prop_map(QueueStep::Shutdown),
        16 => Just(QueueStep::Run),
    ]
}

/// An item: its priority, and what tells it from all others. Compared by the priority alone.
#[derive(Clone, Copy, Debug)]
struct Item(u8, usize);

impl Ord for Item {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

impl PartialOrd for Item {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Item {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Item {}

/// What happened to the items, in order.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Put(Item),
    Got(Item),
    /// It came back to the putter.
    Refused(Item),
    ThrownAway,
}

/// A task that waits at the queue.
struct Waiter {
    task: Task<()>,
    ended: bool,
    puts: Option<Item>,
}

pub(crate) fn s30_s31_s32_s33_s34_s35_s36_queues_behave_like_the_model(host: &dyn Host) {
    try_programs(any_queue_step(), 60, |program| {
        for maxsize in [0, 1, 3] {
            run_queue(host, &Queue::bounded(maxsize), Kind::Oldest, program)?;
            run_queue(host, &PriorityQueue::bounded(maxsize), Kind::Smallest, program)?;
            run_queue(host, &LifoQueue::bounded(maxsize), Kind::Newest, program)?;
        }
        Ok(())
    });
}

fn run_queue(
    host: &dyn Host,
    queue: &Queue<Item>,
    kind: Kind,
    program: &[QueueStep],
) -> Result<(), TestCaseError> {
    let fates = Rc::new(RefCell::new(Vec::<Fate>::new()));
    let (mut getters, mut putters) = (Vec::<Waiter>::new(), Vec::<Waiter>::new());
    let (mut numbers, mut shut_down) = (0.., false);
    let mut model = QueueModel::new(kind);
    for step in program.iter().chain([&QueueStep::Run]) {
        match *step {
            QueueStep::Put(priority) => {
                let item = Item(priority, numbers.next().unwrap());
                let (put, fates) = (queue.put(item), fates.clone());
                let task = host.scheduler().create_task(async move {
                    match put.await {
                        Ok(()) => fates.borrow_mut().push(Fate::Put(item)),
                        Err(error) => fates.borrow_mut().push(Fate::Refused(error.into_item())),
                    }
                    Ok(())
                });
                putters.push(Waiter { task, ended: false, puts: Some(item) });
            }
            QueueStep::PutNowait(priority) => {
                let item = Item(priority, numbers.next().unwrap());
                let possible = !shut_down && !queue.full();
                match queue.put_nowait(item) {
                    Ok(()) => fates.borrow_mut().push(Fate::Put(item)),
                    Err(error) => {
                        prop_assert_eq!(error.is_shut_down(), shut_down);
                        prop_assert_eq!(error.into_item().1, item.1);
                        prop_assert!(!possible);
                    }
                }
            }
            QueueStep::Get => {
                let (get, fates) = (queue.get(), fates.clone());
                let task = host.scheduler().create_task(async move {
                    if let Ok(item) = get.await {
                        fates.borrow_mut().push(Fate::Got(item));
                    }
                    Ok(())
                });
                getters.push(Waiter { task, ended: false, puts: None });
            }
            QueueStep::GetNowait => {
                let possible = !queue.empty();
                let got = queue.get_nowait();
                prop_assert_eq!(got.is_ok(), possible);
                fates.borrow_mut().extend(got.map(Fate::Got));
            }
            QueueStep::End(which, end) => {
                let all = getters.len() + putters.len();
                if let Some(which) = which.checked_rem(all) {
                    let waiter = getters.iter_mut().chain(&mut putters).nth(which).unwrap();
                    waiter.ended |= end_task(&waiter.task, end);
                }
            }
            QueueStep::Done => {
                model.follow(&fates)?;
                prop_assert_eq!(queue.task_done().is_ok(), model.unfinished > 0);
                model.unfinished = model.unfinished.saturating_sub(1);
            }
            QueueStep::Shutdown(immediate) => {
                queue.shutdown(immediate);
                shut_down = true;
                if immediate {
                    fates.borrow_mut().push(Fate::ThrownAway);
                }
            }
            QueueStep::Run => {
                host.run_until_idle();
                model.follow(&fates)?;
                prop_assert_eq!(queue.qsize(), model.items.len());
                // Nobody waits for what is there.
                let waits = |waiters: &[Waiter]| waiters.iter().any(|waiter| !waiter.task.done());
                prop_assert!(!waits(&getters) || (queue.empty() && !shut_down));
                prop_assert!(!waits(&putters) || (queue.full() && !shut_down));
                // Who came first was served first.
                for waiters in [&getters, &putters] {
                    let left = waiters.iter().filter(|waiter| !waiter.ended);
                    let served: Vec<_> = left.map(|waiter| waiter.task.done()).collect();
                    prop_assert!(served.is_sorted_by(|one, next| one >= next), "{:?}", served);
                }
            }
        }
    }
    // Every item that was to be put has one fate: in the queue, back, or gone with its task.
    for putter in &putters {
        let Some(item) = putter.puts else { continue };
        let times = model.seen.get(&item.1).copied().unwrap_or_default();
        let maybe = putter.ended || !putter.task.done();
        prop_assert!(times == 1 || (times == 0 && maybe), "{} times {:?}", times, item);
    }
    for waiter in getters.iter().chain(&putters) {
        waiter.task.cancel();
    }
    host.run_until_idle();
    Ok(())
}

/// A queue, as plain as can be.
struct QueueModel {
    kind: Kind,
    items: Vec<Item>,
    unfinished: usize,
    /// How often each item came into the queue or back to its putter.
    seen: BTreeMap<usize, usize>,
}

impl QueueModel {
    fn new(kind: Kind) -> Self {
        Self { kind, items: Vec::new(), unfinished: 0, seen: BTreeMap::new() }
    }

    /// Repeats what happened, and compares.
    fn follow(&mut self, fates: &RefCell<Vec<Fate>>) -> Result<(), TestCaseError> {
        for fate in fates.take() {
            match fate {
                Fate::Put(item) => {
                    self.items.push(item);
                    self.unfinished += 1;
                    *self.seen.entry(item.1).or_default() += 1;
                }
                Fate::Refused(item) => *self.seen.entry(item.1).or_default() += 1,
                Fate::Got(item) => {
                    let first = match self.kind {
                        Kind::Oldest => (!self.items.is_empty()).then_some(0),
                        Kind::Newest => self.items.len().checked_sub(1),
                        // The first of those that are smallest.
                        Kind::Smallest => {
                            let smallest = self.items.iter().enumerate().min_by_key(|(_, i)| i.0);
                            smallest.map(|(at, _)| at)
                        }
                    };
                    let expected = first.map(|first| self.items.remove(first).1);
                    prop_assert_eq!(Some(item.1), expected);
                }
                Fate::ThrownAway => {
                    // It may have been said of items that nobody has taken that they are done.
                    self.unfinished = self.unfinished.saturating_sub(self.items.len());
                    self.items.clear();
                }
            }
        }
        Ok(())
    }
}

// Barriers.

#[derive(Clone, Debug)]
enum BarrierStep {
    Arrive,
    End(usize, End),
    Reset,
    Abort,
    Run,
}

fn any_barrier_step() -> impl Strategy<Value = BarrierStep> {
    prop_oneof![
        12 => Just(BarrierStep::Arrive),
        4 => (any::<usize>(), any_end()).prop_map(|(which, end)| BarrierStep::End(which, end)),
        1 => Just(BarrierStep::Reset),
        1 => Just(BarrierStep::Abort),
        4 => Just(BarrierStep::Run),
    ]
}

pub(crate) fn s23_s25_s26_s27_barriers_behave_like_the_model(host: &dyn Host) {
    try_programs(any_barrier_step(), 60, |program| {
        (1..5).try_for_each(|parties| run_barrier(host, parties, program))
    });
}

fn run_barrier(
    host: &dyn Host,
    parties: usize,
    program: &[BarrierStep],
) -> Result<(), TestCaseError> {
    let barrier = Barrier::new(NonZeroUsize::new(parties).unwrap());
    let results = Rc::new(RefCell::new(BTreeMap::<usize, Result<usize, ()>>::new()));
    // In the model everybody arrives when the loop runs, and a full round passes at once.
    let mut expected = BTreeMap::new();
    let (mut inside, mut arriving, mut broken) = (Vec::new(), Vec::new(), false);
    // Those who will be told that it is broken when they run.
    let mut sent_away = Vec::new();
    let mut tasks = Vec::<Task<()>>::new();
    for step in program.iter().chain([&BarrierStep::Run]) {
        // One that is aborted stays inside until its turn to be dropped, behind those who arrive
        // before that: they are let in first.
        if let BarrierStep::Run | BarrierStep::End(_, End::Abort) = step {
            host.run_until_idle();
            expected.extend(sent_away.drain(..).map(|name| (name, Err(()))));
            for name in arriving.drain(..) {
                if broken {
                    expected.insert(name, Err(()));
                    continue;
                }
                inside.push(name);
                if inside.len() == parties {
                    let passed = inside.drain(..).enumerate();
                    expected.extend(passed.map(|(index, name)| (name, Ok(index))));
                }
            }
            prop_assert_eq!(&*results.borrow(), &expected);
            prop_assert_eq!(barrier.n_waiting(), inside.len());
        }
        match *step {
            BarrierStep::Arrive => {
                let (name, wait, results) = (tasks.len(), barrier.wait(), results.clone());
                arriving.push(name);
                tasks.push(host.scheduler().create_task(async move {
                    let outcome = wait.await.inspect_err(|exception| {
                        assert!(exception.is::<BrokenBarrierError>() || exception.is_cancelled());
                    });
                    if !outcome.as_ref().is_err_and(Exception::is_cancelled) {
                        results.borrow_mut().insert(name, outcome.map_err(drop));
                    }
                    Ok(())
                }));
            }
            BarrierStep::End(which, end) if !tasks.is_empty() => {
                let which = which % tasks.len();
                end_task(&tasks[which], end);
                inside.retain(|name| *name != which);
                arriving.retain(|name| *name != which);
                sent_away.retain(|name| *name != which);
            }
            BarrierStep::Reset | BarrierStep::Abort => {
                sent_away.append(&mut inside);
                broken = matches!(step, BarrierStep::Abort);
                match broken {
                    true => barrier.abort(),
                    false => barrier.reset(),
                }
                prop_assert_eq!(barrier.broken(), broken);
            }
            BarrierStep::End(..) | BarrierStep::Run => {}
        }
    }
    for task in &tasks {
        task.cancel();
    }
    host.run_until_idle();
    Ok(())
}

// Broadcasts.

#[derive(Clone, Debug)]
enum BroadcastStep {
    Send,
    Receive(usize),
    Subscribe,
    Clone(usize),
    Drop(usize),
}

fn any_broadcast_step() -> impl Strategy<Value = BroadcastStep> {
    prop_oneof![
        6 => Just(BroadcastStep::Send),
        8 => any::<usize>().prop_map(BroadcastStep::Receive),
        1 => Just(BroadcastStep::Subscribe),
        1 => any::<usize>().prop_map(BroadcastStep::Clone),
        1 => any::<usize>().prop_map(BroadcastStep::Drop),
    ]
}

pub(crate) fn a_broadcast_behaves_like_the_model(_: &dyn Host) {
    try_programs(any_broadcast_step(), 100, |program| {
        (1..4).try_for_each(|capacity| run_broadcast(capacity, program))
    });
}

fn run_broadcast(capacity: usize, program: &[BroadcastStep]) -> Result<(), TestCaseError> {
    let (sender, receiver) = broadcast::channel(NonZeroUsize::new(capacity).unwrap());
    // Receivers with the number of the item that comes next; items are their own numbers.
    let (mut receivers, mut sent) = (vec![(receiver, 0)], 0);
    let counted = Rc::new(());
    for step in program {
        match *step {
            BroadcastStep::Send => {
                let outcome = sender.send((sent, counted.clone()));
                prop_assert_eq!(outcome.is_ok(), !receivers.is_empty());
                sent += usize::from(outcome.is_ok());
            }
            BroadcastStep::Receive(which) if !receivers.is_empty() => {
                let which = which % receivers.len();
                let (receiver, next) = &mut receivers[which];
                let kept = sent.saturating_sub(capacity);
                match receiver.try_recv() {
                    None => prop_assert_eq!(*next, sent),
                    Some(Ok((item, _))) => {
                        prop_assert!(item == *next && *next >= kept);
                        *next += 1;
                    }
                    Some(Err(lagged)) => {
                        prop_assert_eq!(lagged.lost(), (kept - *next) as u64);
                        *next = kept;
                    }
                }
                prop_assert_eq!(receiver.len(), sent - (*next).max(kept));
            }
            BroadcastStep::Subscribe => receivers.push((sender.subscribe(), sent)),
            BroadcastStep::Clone(which) if !receivers.is_empty() => {
                let (receiver, next) = &receivers[which % receivers.len()];
                let twin = (receiver.clone(), *next);
                receivers.push(twin);
            }
            BroadcastStep::Drop(which) if !receivers.is_empty() => {
                drop(receivers.swap_remove(which % receivers.len()));
            }
            BroadcastStep::Receive(_) | BroadcastStep::Clone(_) | BroadcastStep::Drop(_) => {}
        }
        // No more is kept than somebody has yet to get, and than may be.
        let slowest = receivers.iter().map(|(_, next)| *next).min().unwrap_or(sent);
        prop_assert_eq!(Rc::strong_count(&counted) - 1, (sent - slowest).min(capacity));
    }
    Ok(())
}
