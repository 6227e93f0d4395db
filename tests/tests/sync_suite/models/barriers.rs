//! Barriers: in the model a full round passes at once.

use super::{End, any_end, end_task, try_programs};
use futures::{Barrier, BrokenBarrierError, Exception, SchedulerExt, Task};
use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::rc::Rc;
use tulipa_tests::Host;

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
