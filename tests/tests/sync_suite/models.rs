//! Random programs, against the plainest model of each family: nothing is lost, nothing is given
//! twice, who waits first is served first, and nobody waits for what is free.

mod barriers;
mod broadcasts;
mod queues;
mod tokens;

pub(crate) use barriers::s23_s25_s26_s27_barriers_behave_like_the_model;
pub(crate) use broadcasts::a_broadcast_behaves_like_the_model;
use futures::Task;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
pub(crate) use queues::s30_s31_s32_s33_s34_s35_s36_queues_behave_like_the_model;
pub(crate) use tokens::s3_s6_s8_s20_s21_s22_tokens_behave_like_the_model;

/// Runs random programs of at most `steps` steps.
fn try_programs<S: Strategy>(
    step: S,
    steps: usize,
    run: impl Fn(&[S::Value]) -> Result<(), TestCaseError>,
) where
    S::Value: Clone,
{
    let config = Config { cases: 100, failure_persistence: None, ..Config::default() };
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
