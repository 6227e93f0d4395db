//! Locks and semaphores: who holds a token is decided by the order of coming.

use super::{End, any_end, end_task, try_programs};
use futures::{Exception, Lock, SchedulerExt, Semaphore, Task};
use proptest::prelude::*;
use std::any::Any;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use tulipa_tests::Host;

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
