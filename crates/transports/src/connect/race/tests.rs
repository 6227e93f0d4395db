use super::*;
use eventloop::TestLoop;
use futures::{Exception, sleep, staggered_race};
use proptest::collection::vec;
use proptest::prelude::*;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// Addresses by family: '4' and '6', each with its place in the host.
fn addresses(families: &str) -> Vec<SocketAddr> {
    let address = |(index, family)| match family {
        '4' => SocketAddr::from(([127, 0, 0, 1], index as u16)),
        _ => SocketAddr::from(([0; 16], index as u16)),
    };
    families.chars().enumerate().map(address).collect()
}

fn order(families: &str, first_count: usize) -> Vec<u16> {
    interleave(addresses(families), first_count).iter().map(SocketAddr::port).collect()
}

#[test]
fn n14_families_take_turns_beginning_with_the_resolvers_first() {
    assert_eq!(order("666444", 1), [0, 3, 1, 4, 2, 5]);
    assert_eq!(order("446", 1), [0, 2, 1]);
    assert_eq!(order("666444", 2), [0, 1, 3, 2, 4, 5]);
    assert_eq!(order("666444", 9), [0, 1, 2, 3, 4, 5]);
    assert_eq!(order("464646", 0), [0, 1, 2, 3, 4, 5]);
    assert_eq!(order("4466", 0), [0, 1, 2, 3]);
    assert_eq!(order("44", 1), [0, 1]);
    assert!(order("", 1).is_empty());
}

proptest! {
    #[test]
    fn n14_interleaving_loses_nothing_and_keeps_the_order_within_a_family(
        families in "[46]{0,12}",
        first_count in 0usize..5,
    ) {
        let before = addresses(&families);
        let after = interleave(before.clone(), first_count);
        for family in [Family::V4, Family::V6] {
            let of = |all: &[SocketAddr]| -> Vec<SocketAddr> {
                all.iter().copied().filter(|address| family.matches(address)).collect()
            };
            prop_assert_eq!(of(&before), of(&after));
        }
        prop_assert_eq!(before.first(), after.first());
    }

    /// Attempts take so many seconds and then succeed or fail; the pause between them is one of so
    /// many. What begins when, and who wins, is what `staggered_race` says.
    #[test]
    fn n14_t88_a_race_goes_as_staggered_race_does(
        attempts in vec((1u64..12, any::<bool>()), 0..8),
        pause in proptest::option::of(1u64..6),
    ) {
        // Times at which two things happen at once are nobody's promise: they are made unequal.
        let attempts: Vec<(Duration, bool)> = attempts
            .into_iter()
            .enumerate()
            .map(|(index, (time, wins))| {
                (Duration::from_secs(time) + Duration::from_millis(1 << index), wins)
            })
            .collect();
        let pause = pause.map(Duration::from_secs);
        prop_assert_eq!(played(&attempts, pause), modelled(&attempts, pause));
    }
}

type Trace = (Vec<(usize, Duration)>, Option<usize>);

/// What `staggered_race` does.
fn modelled(attempts: &[(Duration, bool)], pause: Option<Duration>) -> Trace {
    let event_loop = TestLoop::new();
    let start = event_loop.time();
    let begun: Rc<RefCell<Vec<(usize, Duration)>>> = Rc::default();
    let log = begun.clone();
    let attempts = attempts.to_vec();
    let handle = event_loop.handle();
    let winner = event_loop
        .run_coroutine(async move {
            let attempts = attempts.into_iter().enumerate().map(|(index, (time, wins))| {
                let (log, handle) = (log.clone(), handle.clone());
                async move || {
                    log.borrow_mut().push((index, handle.time() - start));
                    sleep(time).await?;
                    if wins { Ok(()) } else { Err(Exception::msg("no")) }
                }
            });
            Ok(staggered_race(attempts, pause).await?.winner.map(|(index, ())| index))
        })
        .unwrap();
    (begun.take(), winner)
}

/// What a `Race` does, when it is driven as the connector does.
fn played(attempts: &[(Duration, bool)], pause: Option<Duration>) -> Trace {
    let mut race = Race::new(attempts.iter().copied());
    let mut begun = Vec::new();
    let mut running: Vec<(usize, Duration, bool)> = Vec::new();
    let (mut now, mut resume) = (Duration::ZERO, None);
    let mut next = true;
    loop {
        if next && let Some((number, (time, wins))) = race.begin() {
            begun.push((number, now));
            running.push((number, now + time, wins));
            resume = pause.filter(|_| race.left() > 0).map(|pause| now + pause);
        }
        if race.is_lost() {
            return (begun, None);
        }
        let ends = running.iter().enumerate().min_by_key(|(_, (_, end, _))| *end);
        let ends = ends.map(|(index, (_, end, _))| (index, *end));
        match (ends, resume) {
            (Some((_, end)), Some(time)) if time < end => {
                (now, resume, next) = (time, None, true);
            }
            (Some((index, end)), _) => {
                now = end;
                let (number, _, wins) = running.remove(index);
                if wins {
                    return (begun, Some(number));
                }
                next = race.failed(number);
            }
            (None, Some(time)) => (now, resume, next) = (time, None, true),
            (None, None) => unreachable!("a race that is neither lost nor won goes on"),
        }
    }
}
