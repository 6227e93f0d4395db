//! Random programs over a few futures, against the plainest model of what a future is.

use futures::{CallbackToken, Exception, Future, SchedulerExt};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::cell::RefCell;
use std::rc::Rc;
use tulipa_tests::Host;

const FUTURES: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    Add(usize),
    Remove {
        future: usize,
        callback: usize,
    },
    Set(usize, u32),
    Fail(usize),
    Cancel(usize),
    Result(usize),
    Take(usize),
    Exception(usize),
    /// Drops the handle and begins a new future in its place.
    Replace(usize),
    Run,
}

fn any_step() -> impl Strategy<Value = Step> {
    let future = 0..FUTURES;
    prop_oneof![
        4 => future.clone().prop_map(Step::Add),
        2 => (future.clone(), any::<usize>())
            .prop_map(|(future, callback)| Step::Remove { future, callback }),
        2 => (future.clone(), any::<u32>()).prop_map(|(future, value)| Step::Set(future, value)),
        2 => future.clone().prop_map(Step::Fail),
        1 => future.clone().prop_map(Step::Cancel),
        1 => future.clone().prop_map(Step::Result),
        1 => future.clone().prop_map(Step::Take),
        1 => future.clone().prop_map(Step::Exception),
        2 => future.prop_map(Step::Replace),
        2 => Just(Step::Run),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Pending,
    Value(u32),
    Failed,
    Taken,
    Cancelled,
}

/// What an exception is, to the eyes of the model.
fn kind(exception: &Exception) -> &'static str {
    if exception.is_cancelled() {
        "cancelled"
    } else if exception.is::<futures::InvalidStateError>() {
        "invalid state"
    } else {
        "failed"
    }
}

/// One future of the model, beside the real one.
struct Pair {
    real: Future<u32>,
    state: State,
    retrieved: bool,
    /// The callbacks that were added while it was pending and not removed, with their tokens.
    waiting: Vec<(u32, CallbackToken)>,
    spent: Vec<CallbackToken>,
}

impl Pair {
    fn new(host: &dyn Host) -> Self {
        let real = host.scheduler().create_future();
        let (waiting, spent) = (Vec::new(), Vec::new());
        Pair { real, state: State::Pending, retrieved: false, waiting, spent }
    }

    /// Moves to `state`, if that is possible, and queues the callbacks.
    fn complete(&mut self, state: State, queue: &mut Vec<u32>) -> bool {
        if self.state != State::Pending {
            return false;
        }
        self.state = state;
        let waiting = self.waiting.drain(..);
        queue.extend(waiting.map(|(name, token)| {
            self.spent.push(token);
            name
        }));
        true
    }

    /// What asking for the value gives.
    fn outcome(&self) -> Result<u32, &'static str> {
        match self.state {
            State::Value(value) => Ok(value),
            State::Failed => Err("failed"),
            State::Cancelled => Err("cancelled"),
            State::Pending | State::Taken => Err("invalid state"),
        }
    }

    fn retrieve(&mut self) {
        self.retrieved |= self.state != State::Pending;
    }
}

pub(crate) fn i1_i17_f1_f20_random_programs_behave_like_the_model(host: &dyn Host) {
    let config = Config { cases: 256, failure_persistence: None, ..Config::default() };
    let programs = prop::collection::vec(any_step(), 0..60);
    TestRunner::new(config).run(&programs, |program| run(host, &program)).unwrap();
}

fn run(host: &dyn Host, program: &[Step]) -> Result<(), TestCaseError> {
    let ran = Rc::new(RefCell::new(Vec::new()));
    let mut pairs: Vec<_> = (0..FUTURES).map(|_| Pair::new(host)).collect();
    let (mut queue, mut names, mut reports) = (Vec::new(), 0u32.., 0);
    for step in program.iter().chain([&Step::Run]) {
        match *step {
            Step::Add(future) => {
                let (pair, name, ran) = (&mut pairs[future], names.next().unwrap(), ran.clone());
                let token = pair.real.add_done_callback(move |_| ran.borrow_mut().push(name));
                match pair.state {
                    State::Pending => pair.waiting.push((name, token)),
                    _ => {
                        pair.spent.push(token);
                        queue.push(name);
                    }
                }
            }
            Step::Remove { future, callback } => {
                let pair = &mut pairs[future];
                if let Some(at) = callback.checked_rem(pair.waiting.len()) {
                    let (_, token) = pair.waiting.remove(at);
                    prop_assert!(pair.real.remove_done_callback(token));
                    pair.spent.push(token);
                }
                for token in &pair.spent {
                    prop_assert!(!pair.real.remove_done_callback(*token));
                }
            }
            Step::Set(future, value) => {
                let expected = pairs[future].complete(State::Value(value), &mut queue);
                prop_assert_eq!(pairs[future].real.set_result(value).is_ok(), expected);
            }
            Step::Fail(future) => {
                let expected = pairs[future].complete(State::Failed, &mut queue);
                let set = pairs[future].real.set_exception(Exception::msg("failed"));
                prop_assert_eq!(set.is_ok(), expected);
            }
            Step::Cancel(future) => {
                let pair = &mut pairs[future];
                pair.retrieve();
                let expected = pair.complete(State::Cancelled, &mut queue);
                prop_assert_eq!(pair.real.cancel(), expected);
            }
            Step::Result(future) => {
                let pair = &mut pairs[future];
                pair.retrieve();
                let result = pair.real.result();
                prop_assert_eq!(result.as_ref().map_err(kind).copied(), pair.outcome());
            }
            Step::Take(future) => {
                let pair = &mut pairs[future];
                pair.retrieve();
                let taken = pair.real.take();
                prop_assert_eq!(taken.as_ref().map_err(kind).copied(), pair.outcome());
                if taken.is_ok() {
                    pair.state = State::Taken;
                }
            }
            Step::Exception(future) => {
                let pair = &mut pairs[future];
                pair.retrieve();
                let expected = match pair.state {
                    State::Value(_) | State::Taken => Ok(None),
                    State::Failed => Ok(Some("failed")),
                    State::Cancelled => Err("cancelled"),
                    State::Pending => Err("invalid state"),
                };
                let exception = pair.real.exception();
                let seen = exception.as_ref().map(|e| e.as_ref().map(kind)).map_err(kind);
                prop_assert_eq!(seen, expected);
            }
            Step::Replace(future) => {
                let old = std::mem::replace(&mut pairs[future], Pair::new(host));
                reports += usize::from(old.state == State::Failed && !old.retrieved);
            }
            Step::Run => {
                host.run_until_idle();
                prop_assert_eq!(ran.take(), std::mem::take(&mut queue));
                prop_assert_eq!(host.take_reports().len(), std::mem::take(&mut reports));
            }
        }
        for pair in &pairs {
            prop_assert_eq!(pair.real.done(), pair.state != State::Pending);
            prop_assert_eq!(pair.real.cancelled(), pair.state == State::Cancelled);
        }
    }
    for pair in pairs {
        reports += usize::from(pair.state == State::Failed && !pair.retrieved);
    }
    prop_assert_eq!(host.take_reports().len(), reports);
    Ok(())
}
