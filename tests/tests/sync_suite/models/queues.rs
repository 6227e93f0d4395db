//! Queues: what happened to the items is repeated on the plainest queue there is.

use super::{End, any_end, end_task, try_programs};
use futures::{LifoQueue, PriorityQueue, Queue, SchedulerExt, Task};
use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use tulipa_tests::Host;

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
    // One that was woken and finds that somebody was quicker waits again (S-31): meanwhile another one
    // that was woken already may be served.
    let is_quick = |step: &QueueStep| {
        matches!(step, QueueStep::GetNowait | QueueStep::PutNowait(_) | QueueStep::Shutdown(_))
    };
    let may_be_overtaken = program.iter().any(is_quick);
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
                    let in_order = served.is_sorted_by(|one, next| one >= next);
                    prop_assert!(in_order || may_be_overtaken, "{:?}", served);
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
