//! The whole loop against the dumbest model: lists (L-2 to L-8, H-5, H-6, H-10, H-13, H-17).

use crate::common::SECOND;
use futures::{Handle, Instant, TimerHandle};
use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::rc::Rc;
use std::time::Duration;
use tulipa_eventloop::prelude::*;
use tulipa_eventloop::{LoopHandle, TestLoop};

/// What a callback does when it runs, or the test between two runs.
#[derive(Clone, Debug)]
enum Deed {
    /// Schedules a callback that does these.
    Soon(Vec<Deed>),
    /// Arms a timer, so many milliseconds from now.
    Later(u8, Vec<Deed>),
    /// Arms a timer, so many milliseconds ago.
    Past(u8),
    /// Cancels one of all that were ever scheduled.
    Cancel(u16),
    /// Moves one of them, if it is a timer, to so many milliseconds from now.
    Reschedule(u16, u8),
}

fn any_deed() -> impl Strategy<Value = Deed> {
    let leaf = prop_oneof![
        2 => Just(Deed::Soon(Vec::new())),
        2 => (0u8..6).prop_map(|millis| Deed::Later(millis, Vec::new())),
        1 => any::<u8>().prop_map(Deed::Past),
        2 => any::<u16>().prop_map(Deed::Cancel),
        1 => (any::<u16>(), 0u8..6).prop_map(|(which, millis)| Deed::Reschedule(which, millis)),
    ];
    leaf.prop_recursive(4, 60, 4, |inner| {
        let deeds = prop::collection::vec(inner, 0..4);
        prop_oneof![
            deeds.clone().prop_map(Deed::Soon),
            (0u8..6, deeds).prop_map(|(millis, deeds)| Deed::Later(millis, deeds)),
        ]
    })
}

#[derive(Clone, Debug)]
enum Step {
    Do(Deed),
    /// Runs what is ready now.
    Run,
    /// Lets so many milliseconds pass.
    Advance(u8),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => any_deed().prop_map(Step::Do),
        1 => Just(Step::Run),
        2 => (0u8..10).prop_map(Step::Advance),
    ]
}

const MILLI: u64 = 1_000_000;

/// What happened: which callback, at what time.
type Happened = Vec<(usize, u64)>;

/// The loop under test: callbacks are numbered in the order in which they are scheduled.
#[derive(Default)]
struct Real {
    known: RefCell<Vec<Known>>,
    happened: RefCell<Happened>,
    answers: RefCell<Vec<bool>>,
}

enum Known {
    Soon(Handle),
    Timer(TimerHandle),
}

impl Real {
    fn act(self: &Rc<Self>, event_loop: &LoopHandle, deed: &Deed) {
        let now = event_loop.time();
        let next = self.known.borrow().len();
        let turn = |deeds: &Vec<Deed>| {
            let (this, handle, deeds) = (self.clone(), event_loop.clone(), deeds.clone());
            move || {
                this.happened.borrow_mut().push((next, handle.time().as_nanos()));
                deeds.iter().for_each(|deed| this.act(&handle, deed));
            }
        };
        let known = match deed {
            Deed::Soon(deeds) => Known::Soon(event_loop.call_soon(turn(deeds))),
            Deed::Later(millis, deeds) => {
                let delay = Duration::from_millis((*millis).into());
                Known::Timer(event_loop.call_later(delay, turn(deeds)))
            }
            Deed::Past(millis) => {
                let when = now - Duration::from_millis((*millis).into());
                Known::Timer(event_loop.call_at(when, turn(&Vec::new())))
            }
            Deed::Cancel(which) => {
                let known = self.known.borrow();
                let found = known.get(usize::from(*which) % (known.len() + 1));
                let answer = found.is_some_and(|known| match known {
                    Known::Soon(handle) => handle.cancel(),
                    Known::Timer(handle) => handle.cancel(),
                });
                return self.answers.borrow_mut().push(answer);
            }
            Deed::Reschedule(which, millis) => {
                let known = self.known.borrow();
                let found = known.get(usize::from(*which) % (known.len() + 1));
                let when = now + Duration::from_millis((*millis).into());
                let answer = found.is_some_and(|known| match known {
                    Known::Soon(_) => false,
                    Known::Timer(handle) => handle.reschedule(when),
                });
                return self.answers.borrow_mut().push(answer);
            }
        };
        self.known.borrow_mut().push(known);
    }
}

/// The model: a list of what is ready, and a list of timers that is sorted when it is looked at.
#[derive(Default)]
struct Model {
    now: u64,
    batches: u32,
    ready: Vec<usize>,
    /// By callback: deadline, and order of creation.
    timers: BTreeMap<usize, (u64, u64)>,
    armed: u64,
    /// Of each callback: what it does, and whether it is still to run.
    deeds: Vec<(Vec<Deed>, bool)>,
    is_timer: Vec<bool>,
    happened: Happened,
    answers: Vec<bool>,
}

impl Model {
    fn add(&mut self, deeds: &[Deed], due: Option<u64>) {
        let number = self.deeds.len();
        self.deeds.push((deeds.to_vec(), true));
        self.is_timer.push(due.is_some());
        match due {
            Some(due) => self.arm(number, due),
            None => self.ready.push(number),
        }
    }

    fn arm(&mut self, number: usize, due: u64) {
        self.armed += 1;
        self.timers.insert(number, (due, self.armed));
    }

    fn act(&mut self, deed: &Deed) {
        let at = |millis: &u8| u64::from(*millis) * MILLI;
        match deed {
            Deed::Soon(deeds) => self.add(deeds, None),
            Deed::Later(millis, deeds) => self.add(deeds, Some(self.now + at(millis))),
            Deed::Past(millis) => self.add(&[], Some(self.now.saturating_sub(at(millis)))),
            Deed::Cancel(which) => {
                let which = usize::from(*which) % (self.deeds.len() + 1);
                let alive = self.deeds.get_mut(which).is_some_and(|d| std::mem::take(&mut d.1));
                self.timers.remove(&which);
                self.answers.push(alive);
            }
            Deed::Reschedule(which, millis) => {
                let which = usize::from(*which) % (self.deeds.len() + 1);
                let alive =
                    self.deeds.get(which).is_some_and(|(_, alive)| *alive) && self.is_timer[which];
                if alive {
                    self.ready.retain(|ready| *ready != which);
                    self.arm(which, self.now + at(millis));
                }
                self.answers.push(alive);
            }
        }
    }

    fn batch(&mut self) {
        let batch: Vec<usize> = self.ready.clone();
        for number in batch {
            // It may have been put off by an earlier one.
            let Some(place) = self.ready.iter().position(|ready| *ready == number) else {
                continue;
            };
            self.ready.remove(place);
            if !std::mem::take(&mut self.deeds[number].1) {
                continue;
            }
            self.happened.push((number, self.now));
            for deed in self.deeds[number].0.clone() {
                self.act(&deed);
            }
        }
    }

    fn next_due(&self) -> Option<u64> {
        self.timers.values().map(|(due, _)| *due).min()
    }

    fn run(&mut self) {
        loop {
            let mut due: Vec<_> = self
                .timers
                .iter()
                .filter(|(_, timer)| timer.0 <= self.now)
                .map(|(n, t)| (*t, *n))
                .collect();
            due.sort_unstable();
            for (_, number) in &due {
                self.timers.remove(number);
                self.ready.push(*number);
            }
            if self.ready.is_empty() {
                return;
            }
            for _ in 0..self.batches {
                self.batch();
            }
        }
    }

    fn advance(&mut self, by: u64) {
        let end = self.now + by;
        self.run();
        while let Some(due) = self.next_due().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.run();
        }
        self.now = end;
        self.run();
    }
}

fn compare(steps: &[Step], batches: u32) -> Result<(), TestCaseError> {
    let settings = NonZeroU32::new(batches).unwrap();
    let event_loop = TestLoop::with(|builder| builder.batches_between_polls(settings));
    let (real, mut model) = (Rc::new(Real::default()), Model { batches, ..Model::default() });
    let start = 2 * SECOND;
    event_loop.advance(start);
    model.advance(start.as_nanos() as u64);
    for step in steps {
        match step {
            Step::Do(deed) => {
                real.act(&event_loop, deed);
                model.act(deed);
            }
            Step::Run => {
                event_loop.run_ready_now();
                model.run();
            }
            Step::Advance(millis) => {
                event_loop.advance(Duration::from_millis((*millis).into()));
                model.advance(u64::from(*millis) * MILLI);
            }
        }
        prop_assert_eq!(&*real.happened.borrow(), &model.happened);
        prop_assert_eq!(&*real.answers.borrow(), &model.answers);
        prop_assert_eq!(event_loop.time(), Instant::from_nanos(model.now));
        let ready = model.ready.iter().filter(|number| model.deeds[**number].1);
        let (due, soon): (Vec<usize>, Vec<usize>) = ready.partition(|n| model.is_timer[**n]);
        prop_assert_eq!(event_loop.stats().ready, soon.len());
        prop_assert_eq!(event_loop.stats().timers, model.timers.len() + due.len());
    }
    event_loop.run_until_idle();
    while let Some(due) = {
        model.run();
        model.next_due()
    } {
        model.now = model.now.max(due);
    }
    prop_assert_eq!(&*real.happened.borrow(), &model.happened);
    prop_assert!(event_loop.leftovers().is_empty());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn l2_l3_l4_l7_l8_h5_h6_h10_h13_h17_a_loop_behaves_like_two_lists(
        steps in prop::collection::vec(any_step(), 0..40)
    ) {
        compare(&steps, 1)?;
        compare(&steps, 64)?;
    }
}
