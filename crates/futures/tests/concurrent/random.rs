//! Random programs over one thread future, against the plainest model of what it is.

use proptest::prelude::*;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tulipa_futures::concurrent::Future;
use tulipa_futures::{Exception, InvalidStateError, TimeoutError};

#[derive(Clone, Debug)]
enum Step {
    Start,
    Set(u32),
    Fail,
    Cancel,
    Add,
    Result,
    Take,
    Exception,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Pending,
    Running,
    Value(u32),
    Failed,
    Taken,
    Cancelled,
}

impl State {
    fn unfinished(self) -> bool {
        matches!(self, State::Pending | State::Running)
    }

    fn outcome(self) -> Result<u32, &'static str> {
        match self {
            State::Value(value) => Ok(value),
            State::Failed => Err("failed"),
            State::Cancelled => Err("cancelled"),
            State::Taken => Err("invalid state"),
            State::Pending | State::Running => Err("timed out"),
        }
    }
}

fn kind(exception: &Exception) -> &'static str {
    if exception.is_cancelled() {
        "cancelled"
    } else if exception.is::<InvalidStateError>() {
        "invalid state"
    } else if exception.is::<TimeoutError>() {
        "timed out"
    } else {
        "failed"
    }
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Start),
        any::<u32>().prop_map(Step::Set),
        Just(Step::Fail),
        Just(Step::Cancel),
        Just(Step::Add),
        Just(Step::Result),
        Just(Step::Take),
        Just(Step::Exception),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn f29_random_programs_behave_like_the_model(
        program in prop::collection::vec(any_step(), 0..20),
    ) {
        let future = Future::<u32>::new();
        let mut state = State::Pending;
        let ran = Arc::new(Mutex::new(Vec::new()));
        let (mut waiting, mut expected) = (Vec::new(), Vec::new());
        let look = Some(Duration::ZERO);
        for (name, step) in program.into_iter().enumerate() {
            let before = state;
            match step {
                Step::Start => {
                    let starts = state == State::Pending;
                    prop_assert_eq!(future.set_running_or_notify_cancel(), starts);
                    if starts {
                        state = State::Running;
                    }
                }
                Step::Set(value) => {
                    prop_assert_eq!(future.set_result(value).is_ok(), state.unfinished());
                    if state.unfinished() {
                        state = State::Value(value);
                    }
                }
                Step::Fail => {
                    let set = future.set_exception(Exception::msg("failed"));
                    prop_assert_eq!(set.is_ok(), state.unfinished());
                    if state.unfinished() {
                        state = State::Failed;
                    }
                }
                Step::Cancel => {
                    let cancels = matches!(state, State::Pending | State::Cancelled);
                    prop_assert_eq!(future.cancel(), cancels);
                    if cancels {
                        state = State::Cancelled;
                    }
                }
                Step::Add => {
                    let seen = ran.clone();
                    future.add_done_callback(move |_| seen.lock().unwrap().push(name));
                    if state.unfinished() { waiting.push(name) } else { expected.push(name) }
                }
                Step::Result => {
                    let result = future.result(look);
                    prop_assert_eq!(result.as_ref().map_err(kind).copied(), state.outcome());
                }
                Step::Take => {
                    let taken = future.take(look);
                    prop_assert_eq!(taken.as_ref().map_err(kind).copied(), state.outcome());
                    if taken.is_ok() {
                        state = State::Taken;
                    }
                }
                Step::Exception => {
                    let exception = future.exception(look);
                    let seen = exception.as_ref().map(|e| e.as_ref().map(kind)).map_err(kind);
                    let expected = match state {
                        State::Value(_) | State::Taken => Ok(None),
                        State::Failed => Ok(Some("failed")),
                        other => Err(other.outcome().unwrap_err()),
                    };
                    prop_assert_eq!(seen, expected);
                }
            }
            if before.unfinished() && !state.unfinished() {
                expected.append(&mut waiting);
            }
            prop_assert_eq!(future.done(), !state.unfinished());
            prop_assert_eq!(future.running(), state == State::Running);
            prop_assert_eq!(future.cancelled(), state == State::Cancelled);
            prop_assert_eq!(&*ran.lock().unwrap(), &expected);
        }
    }
}
