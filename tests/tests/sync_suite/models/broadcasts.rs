//! Broadcasts: a receiver is a number, and so is an item.

use super::try_programs;
use futures::channels::broadcast;
use proptest::prelude::*;
use std::num::NonZeroUsize;
use std::rc::Rc;
use tulipa_tests::Host;

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
