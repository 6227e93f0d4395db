//! Waiting times, whatever the settings and whatever chance says.

use super::*;
use proptest::prelude::*;

/// Always the same number.
fn chance(number: f64) -> impl FnMut() -> f64 {
    move || number
}

#[test]
fn w4_by_default_the_first_wait_is_about_e_seconds_and_the_longest_an_hour() {
    let mut backoff = Backoff::default();
    // A quarter of a turn: the normal distribution's middle.
    let mut middle = chance(0.25);
    let mut waits = Vec::new();
    for _ in 0..12 {
        waits.push(backoff.next_delay(&mut middle).unwrap().as_secs_f64());
    }
    assert!((waits[0] - std::f64::consts::E).abs() < 1e-6, "{waits:?}");
    assert!((waits[1] - std::f64::consts::E.powi(2)).abs() < 1e-6, "{waits:?}");
    assert_eq!(waits[11], 3600.0);
    assert_eq!(backoff.retries(), 12);
}

#[test]
fn w4_the_normal_distribution_is_as_wide_as_it_is_said_to_be() {
    let mut seed = 1_u64;
    let mut random = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut backoff = Backoff::default().factor(1.0).initial_delay(Duration::from_secs(100));
    let waits: Vec<f64> =
        (0..20_000).map(|_| backoff.next_delay(&mut random).unwrap().as_secs_f64()).collect();
    let mean = waits.iter().sum::<f64>() / waits.len() as f64;
    let variance = waits.iter().map(|wait| (wait - mean).powi(2)).sum::<f64>() / waits.len() as f64;
    assert!((mean - 100.0).abs() < 0.5, "{mean}");
    assert!((variance.sqrt() - 11.96).abs() < 0.5, "{}", variance.sqrt());
}

#[test]
fn w5_full_jitter_takes_anything_up_to_the_base() {
    let mut backoff = Backoff::default().factor(1.0).jitter(Jitter::Full);
    for (number, wait) in [(0.0, 0.0), (0.5, 0.5), (0.999, 0.999)] {
        let got = backoff.next_delay(&mut chance(number)).unwrap();
        assert_eq!(got, Duration::from_secs_f64(wait));
    }
}

/// Any number at all, and among them the awkward ones.
fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![
        -1.0..10.0,
        any::<f64>(),
        Just(0.0),
        Just(1.0),
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
    ]
}

fn any_duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        (0..100_000_u64).prop_map(Duration::from_millis),
        Just(Duration::ZERO),
        Just(Duration::MAX),
        Just(Duration::from_nanos(1)),
    ]
}

fn any_jitter() -> impl Strategy<Value = Jitter> {
    prop_oneof![Just(Jitter::None), any_number().prop_map(Jitter::Normal), Just(Jitter::Full)]
}

proptest! {
    #[test]
    fn w4_w5_waits_are_bounded_and_their_base_grows_and_does_not_wander(
        initial in any_duration(),
        max in any_duration(),
        factor in any_number(),
        jitter in any_jitter(),
        // `true` is a reset.
        steps in proptest::collection::vec((prop::bool::weighted(0.1), 0.0..1.0, any_number()), 0..60),
    ) {
        let settings = Backoff::default()
            .initial_delay(initial)
            .max_delay(max)
            .factor(factor)
            .jitter(jitter);
        let (mut backoff, mut plain) = (settings.clone(), settings.jitter(Jitter::None));
        let mut before = Duration::ZERO;
        for (reset, honest, awkward) in steps {
            if reset {
                backoff.reset();
                plain.reset();
                before = Duration::ZERO;
                prop_assert_eq!((backoff.retries(), backoff.base()), (0, Duration::ZERO));
                continue;
            }
            let mut numbers = [honest, awkward].into_iter().cycle();
            let wait = backoff.next_delay(&mut || numbers.next().unwrap()).unwrap();
            let expected = plain.next_delay(&mut || 0.5).unwrap();
            prop_assert!(wait <= max);
            // The base is what it would be without any chance, whatever chance has said before.
            prop_assert_eq!(backoff.base(), plain.base());
            prop_assert_eq!(expected, plain.base());
            prop_assert!(backoff.base() >= before && backoff.base() <= max);
            if jitter == Jitter::Full && (0.0..=1.0).contains(&honest) {
                prop_assert!(wait <= backoff.base());
            }
            before = backoff.base();
        }
    }

    #[test]
    fn w4_there_are_as_many_waits_as_allowed_and_then_none(most in 0..50_u32, resets in 0..3) {
        let mut backoff = Backoff::default().max_retries(most);
        for _ in 0..=resets {
            for _ in 0..most {
                prop_assert!(backoff.next_delay(&mut chance(0.5)).is_some());
            }
            prop_assert_eq!(backoff.next_delay(&mut chance(0.5)), None);
            prop_assert_eq!(backoff.next_delay(&mut chance(0.5)), None);
            prop_assert_eq!(backoff.retries(), most);
            backoff.reset();
        }
    }
}
