use std::cell::Cell;
use std::collections::HashSet;
use std::rc::Rc;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;

impl<T> TimerQueue<T> {
    /// Panics unless every timer and every entry is accounted for.
    fn check(&self) {
        let (live, dead) = self.agenda.check();
        assert_eq!(live, self.len());
        assert_eq!(self.iter().count(), self.len());
        // While timers fire, which leaves fewer and fewer, nobody clears up.
        let tolerated = self.len().max(TOLERATED_DEAD);
        assert!(self.agenda.is_firing() || dead <= tolerated, "{dead} dead, {tolerated} tolerated");
    }

    /// Takes all that is due by `now`.
    fn fire_all(&mut self, now: u64) -> Vec<T> {
        self.begin_firing(now);
        std::iter::from_fn(|| self.fire()).collect()
    }

    /// Takes the first that is due by `now`.
    fn fire_one(&mut self, now: u64) -> Option<T> {
        self.begin_firing(now);
        self.fire()
    }
}

/// A value that counts how many of its kind are alive.
struct Counted(Rc<Cell<usize>>);

impl Counted {
    fn new(alive: &Rc<Cell<usize>>) -> Self {
        alive.set(alive.get() + 1);
        Self(alive.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// Numbers that look like chance and are the same every time.
fn scattered(below: u64) -> impl FnMut() -> u64 {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    }
}

#[test]
fn h2_cancel_gives_the_item_back_at_once_and_only_once() {
    let mut timers = TimerQueue::new();
    let alive = Rc::new(Cell::new(0));
    let key = timers.arm(3600 * SECOND, Counted::new(&alive));
    let item = timers.cancel(key);
    assert!(item.is_some());
    drop(item);
    assert_eq!(alive.get(), 0);
    assert!(timers.cancel(key).is_none());
    assert!(!timers.contains(key));
    assert_eq!(timers.next_due(), None);
}

#[test]
fn h2_cancel_after_the_run_finds_nobody() {
    let mut timers = TimerQueue::new();
    let key = timers.arm(1, "ran");
    assert_eq!(timers.fire_all(1), ["ran"]);
    let other = timers.arm(2, "other"); // in the same slot
    assert_eq!(other.slot, key.slot);
    assert_eq!(timers.cancel(key), None);
    assert_eq!(timers.due(key), None);
    assert!(!timers.reschedule(key, 5));
    assert_eq!(timers.fire_all(2), ["other"]);
}

#[test]
fn h5_h13_a_timer_that_is_due_can_still_be_cancelled() {
    let mut timers = TimerQueue::new();
    let first = timers.arm(1, "first");
    let second = timers.arm(2, "second");
    timers.begin_firing(2);
    assert_eq!(timers.fire(), Some("first"));
    assert_eq!(timers.len(), 1);
    assert_eq!(timers.cancel(first), None);
    assert_eq!(timers.cancel(second), Some("second"));
    assert_eq!(timers.fire(), None);
    assert!(timers.is_empty());
    timers.check();
}

#[test]
fn l3_h6_what_is_armed_while_others_fire_waits_for_the_next_time() {
    for many in [0, 5000] {
        let mut timers = TimerQueue::new();
        let mut number = scattered(SECOND);
        for _ in 0..many {
            timers.arm(10 + number(), 'm');
        }
        let moved = timers.arm(2, 'r');
        timers.arm(1, 'a');
        timers.arm(SECOND, 'b');
        timers.begin_firing(SECOND);
        assert_eq!(timers.fire(), Some('a'));
        timers.arm(0, 'c');
        timers.arm(SECOND, 'd');
        timers.arm(SECOND + 1, 'e');
        let gone = timers.arm(5, 'g');
        assert!(timers.reschedule(moved, 7));
        assert_eq!(timers.next_due(), Some(0));
        timers.check();
        assert_eq!(timers.cancel(gone), Some('g'));
        let fired: Vec<_> = std::iter::from_fn(|| timers.fire()).collect();
        assert_eq!(fired.len(), many + 1);
        assert_eq!(fired.last(), Some(&'b'));
        timers.check();
        assert_eq!(timers.fire(), None, "it is over");
        assert_eq!(timers.fire_all(SECOND), ['c', 'r', 'd']);
        assert_eq!(timers.fire_all(u64::MAX), ['e']);
        timers.check();
    }
}

#[test]
fn h10_order_numbers_that_are_used_up_are_given_out_anew() {
    for many in [0, 3000] {
        let mut timers = TimerQueue::new();
        let mut number = scattered(SECOND);
        for _ in 0..many {
            timers.arm(SECOND + number(), 0);
        }
        timers.order = u32::MAX - 5;
        timers.arm(1, 0);
        let moved = timers.arm(9, 3);
        timers.arm(9, 1);
        assert!(timers.reschedule(moved, 9));
        let cancelled = timers.arm(9, 77);
        assert_eq!(timers.order, u32::MAX);
        timers.cancel(cancelled);
        timers.begin_firing(9);
        assert_eq!(timers.fire(), Some(0));
        // From here on with new numbers, in the middle of a firing.
        timers.arm(9, 4);
        assert_eq!(timers.order as usize, many + 3);
        timers.arm(2, 5);
        timers.order = u32::MAX;
        timers.arm(9, 6);
        timers.check();
        assert_eq!((timers.fire(), timers.fire(), timers.fire()), (Some(1), Some(3), None));
        assert_eq!(timers.fire_all(9), [5, 4, 6]);
        assert_eq!(timers.fire_all(u64::MAX).len(), many);
        timers.check();
    }
}

#[test]
fn h12_a_timer_that_is_armed_again_at_once_needs_no_fresh_memory() {
    let mut timers = TimerQueue::new();
    let mut room = Vec::new();
    timers.arm(0, ());
    for now in 0..3 {
        timers.begin_firing(now);
        assert_eq!(timers.fire(), Some(()));
        timers.arm(now, ());
        assert_eq!(timers.fire(), None);
        room.push(timers.agenda.held_capacity());
    }
    assert!(room[0] > 0, "there is room that can be used again");
    // What a burst took does not stay.
    timers.begin_firing(9);
    for _ in 0..10_000 {
        timers.arm(9, ());
    }
    assert_eq!(timers.fire_all(9).len(), 10_001);
    assert_eq!(timers.agenda.held_capacity(), 0);
}

#[test]
fn h6_deadlines_in_the_past_come_first_and_in_order() {
    let mut timers = TimerQueue::new();
    timers.arm(12 * SECOND, "later");
    assert!(timers.fire_all(10 * SECOND).is_empty());
    for (due, name) in [(10, "now"), (9, "a second ago"), (8, "two seconds ago")] {
        timers.arm(due * SECOND, name);
    }
    assert_eq!(timers.next_due(), Some(8 * SECOND));
    assert_eq!(timers.fire_all(10 * SECOND), ["two seconds ago", "a second ago", "now"]);
    assert_eq!(timers.next_due(), Some(12 * SECOND));
}

#[test]
fn h6_deadlines_in_the_past_come_first_among_thousands() {
    let mut timers = TimerQueue::new();
    let mut number = scattered(1000 * SECOND);
    for _ in 0..5000 {
        timers.arm(number(), 0);
    }
    let early = timers.fire_all(500 * SECOND).len();
    for past in (0..2000).rev() {
        timers.arm(past, 1 + past);
        timers.check();
    }
    assert_eq!(timers.fire_all(500 * SECOND), (1..=2000).collect::<Vec<_>>());
    assert_eq!(timers.fire_all(u64::MAX).len(), 5000 - early);
}

#[test]
fn h7_the_greatest_deadline_overflows_nothing() {
    let mut timers = TimerQueue::new();
    for round in 0..3 {
        for number in 0..1000_u64 {
            timers.arm(u64::MAX - number % 2, number);
            timers.arm(number, number);
            timers.check();
        }
        assert_eq!(timers.fire_all(u64::MAX - 2).len(), 1000);
        assert_eq!(timers.next_due(), Some(u64::MAX - 1), "in round {round}");
        assert_eq!(timers.fire_all(u64::MAX - 1), (0..500).map(|n| 2 * n + 1).collect::<Vec<_>>());
        assert_eq!(timers.next_due(), Some(u64::MAX));
        assert_eq!(timers.fire_all(u64::MAX), (0..500).map(|n| 2 * n).collect::<Vec<_>>());
        timers.check();
    }
}

#[test]
fn h9_no_timer_leaves_before_its_deadline() {
    let mut timers = TimerQueue::new();
    let mut number = scattered(1 << 40);
    let mut dues: Vec<u64> = (0..3000).map(|_| number()).collect();
    for &due in &dues {
        timers.arm(due, due);
    }
    dues.sort_unstable();
    for &due in &dues {
        assert!(timers.fire_all(due - 1).is_empty() || dues.contains(&(due - 1)));
        assert_eq!(timers.next_due(), Some(due));
        assert_eq!(timers.fire_all(due).first(), Some(&due));
    }
}

#[test]
fn h10_equal_deadlines_leave_in_the_order_of_their_creation() {
    let mut timers = TimerQueue::new();
    timers.arm(3600 * SECOND, "b");
    timers.arm(3600 * SECOND, "c");
    timers.arm(SECOND, "a");
    timers.arm(3600 * SECOND, "d");
    assert_eq!(timers.fire_all(u64::MAX), ["a", "b", "c", "d"]);
}

#[test]
fn h10_equal_deadlines_keep_their_order_among_thousands() {
    let mut timers = TimerQueue::new();
    let mut number = scattered(20);
    let mut expected = Vec::new();
    for order in 0..20_000 {
        let due = 60 * SECOND + number() * 1000;
        timers.arm(due, (due, order));
        expected.push((due, order));
        if order % 1000 == 0 {
            timers.next_due();
            timers.fire_one(order); // some time goes by: the buckets shift
        }
    }
    expected.sort_unstable();
    assert_eq!(timers.fire_all(u64::MAX), expected);
}

#[test]
fn h11_late_timers_are_neither_skipped_nor_merged() {
    let mut timers = TimerQueue::new();
    for number in 0..1000_u64 {
        timers.arm(number * SECOND, number);
    }
    assert_eq!(timers.fire_all(5000 * SECOND), (0..1000).collect::<Vec<_>>());
}

#[test]
fn h12_when_most_are_cancelled_their_entries_are_cleared_away() {
    let mut timers = TimerQueue::new();
    let mut number = scattered(100 * SECOND);
    let keys: Vec<_> = (0..250).map(|item| timers.arm(number(), item)).collect();
    for (count, &key) in keys[..125].iter().enumerate() {
        timers.cancel(key);
        assert_eq!(timers.agenda.check(), (249 - count, count + 1));
    }
    timers.cancel(keys[125]); // 126 of 250
    assert_eq!(timers.agenda.check(), (124, 0));
    assert_eq!(timers.fire_all(u64::MAX).len(), 124);
}

#[test]
fn h12_a_hundred_cancelled_ones_are_put_up_with() {
    let mut timers = TimerQueue::new();
    let keys: Vec<_> = (0..101).map(|due| timers.arm(due, due)).collect();
    keys[..100].iter().for_each(|&key| assert!(timers.cancel(key).is_some()));
    assert_eq!(timers.agenda.check(), (1, 100));
    timers.cancel(keys[100]);
    assert_eq!(timers.agenda.check(), (0, 0));
}

#[test]
fn h12_cancelled_timers_at_the_head_go_when_the_head_is_looked_at() {
    for far in [0, 100_000] {
        let mut timers = TimerQueue::new();
        let keys: Vec<_> = (0..150).map(|due| timers.arm(due, due)).collect();
        let mut number = scattered(SECOND);
        for item in 0..far {
            timers.arm(SECOND + number(), item);
        }
        timers.arm(SECOND, 0);
        keys[..149].iter().for_each(|&key| assert!(timers.cancel(key).is_some()));
        let dead = if far == 0 { 48 } else { 149 }; // of few, most had been cleared away before
        assert_eq!(timers.agenda.check().1, dead);
        assert_eq!(timers.next_due(), Some(149));
        assert_eq!(timers.agenda.check().1, 0);
        assert_eq!(timers.len(), far as usize + 2);
    }
}

#[test]
fn h12_cancelled_timers_at_the_head_go_when_the_time_comes() {
    let mut timers = TimerQueue::new();
    let mut number = scattered(SECOND);
    let keys: Vec<_> = (0..10_000).map(|item| timers.arm(number(), item)).collect();
    let cancelled: HashSet<_> = (0..10_000).step_by(3).collect();
    cancelled.iter().for_each(|&item| assert!(timers.cancel(keys[item]).is_some()));
    assert_eq!(timers.agenda.check().1, cancelled.len());
    let fired = timers.fire_all(SECOND);
    assert_eq!(fired.len(), 10_000 - cancelled.len());
    assert!(fired.iter().all(|item| !cancelled.contains(item)));
    assert_eq!(timers.agenda.check(), (0, 0));
    timers.check();
}

#[test]
fn h13_the_count_stays_right_when_cancelled_twice_or_after_it_became_due() {
    let mut timers = TimerQueue::new();
    let keys: Vec<_> = (0..400).map(|due| timers.arm(due, due)).collect();
    timers.begin_firing(1000);
    for due in 0..100 {
        assert_eq!(timers.fire(), Some(due));
    }
    for _ in 0..2 {
        for &key in keys[..200].iter().step_by(2) {
            timers.cancel(key); // fifty of them have yet to fire
        }
        assert_eq!(timers.agenda.check(), (250, 50));
    }
    for _ in 0..2 {
        for &key in keys[200..].iter().step_by(4) {
            timers.cancel(key);
        }
        assert_eq!(timers.agenda.check(), (200, 100));
    }
    assert_eq!(timers.len(), 200);
    assert_eq!(timers.fire_all(1000).len(), 200);
    assert_eq!(timers.agenda.check(), (0, 0));
    timers.check();
}

#[test]
fn h14_the_deadline_can_be_asked_for_while_the_timer_lives() {
    let mut timers = TimerQueue::new();
    let key = timers.arm(7, ());
    assert_eq!(timers.due(key), Some(7));
    timers.begin_firing(9);
    assert_eq!(timers.due(key), Some(7));
    timers.fire();
    assert_eq!(timers.due(key), None);
}

#[test]
fn h17_rescheduling_moves_a_timer_and_makes_it_the_youngest() {
    let mut timers = TimerQueue::new();
    let moved = timers.arm(5, "moved");
    timers.arm(9, "stays");
    assert!(timers.reschedule(moved, 9));
    assert_eq!(timers.due(moved), Some(9));
    assert_eq!(timers.next_due(), Some(9));
    assert!(timers.fire_all(8).is_empty());
    assert_eq!(timers.fire_all(9), ["stays", "moved"]);
    assert!(!timers.reschedule(moved, 10));
}

#[test]
fn h17_rescheduling_to_the_same_deadline_fires_once_and_last() {
    let mut timers = TimerQueue::new();
    let moved = timers.arm(9, "moved");
    timers.arm(9, "stays");
    for due in [9, 4, 9] {
        assert!(timers.reschedule(moved, due));
    }
    assert_eq!(timers.fire_all(9), ["stays", "moved"]);
    timers.check();
}

#[test]
fn h17_a_due_timer_that_is_rescheduled_waits_again() {
    let mut timers = TimerQueue::new();
    let key = timers.arm(1, "again");
    timers.begin_firing(1);
    assert!(timers.reschedule(key, 2));
    assert_eq!(timers.fire(), None);
    assert_eq!(timers.len(), 1);
    assert_eq!(timers.fire_one(1), None);
    assert_eq!(timers.fire_all(2), ["again"]);
}

#[test]
fn h18_rearming_for_ever_does_not_take_more_and_more_memory() {
    let mut timers = TimerQueue::new();
    let mut jitter = scattered(SECOND);
    let mut keys: Vec<_> = (0..1000).map(|_| timers.arm(60 * SECOND + jitter(), ())).collect();
    for round in 0..100_000_u64 {
        let now = round * 1000;
        let key = &mut keys[(round % 1000) as usize];
        assert!(timers.cancel(*key).is_some());
        *key = timers.arm(now + 60 * SECOND + jitter(), ());
        assert!(timers.next_due().is_some_and(|due| due > now));
        assert_eq!(timers.fire_one(now), None);
    }
    assert_eq!(timers.slots.capacity(), 1024);
    timers.check();
}

/// What a loop that sleeps now and then does in the long run.
fn trim_fully<T>(timers: &mut TimerQueue<T>) {
    loop {
        let before = (timers.slots.capacity(), timers.agenda.capacity());
        timers.trim();
        let after = (timers.slots.capacity(), timers.agenda.capacity());
        assert!(before.0 - after.0 <= SEGMENTS_A_TRIM * 256, "a bit at a time");
        if after == before {
            return;
        }
    }
}

#[test]
fn h18_memory_is_given_back_after_a_mass_cancel() {
    for in_order in [true, false] {
        let mut timers = TimerQueue::new();
        let mut number = scattered(SECOND);
        let mut due = |item| if in_order { item } else { number() };
        let keys: Vec<_> = (0..200_000).map(|item| timers.arm(due(item), item)).collect();
        assert!(timers.slots.capacity() >= 200_000);
        keys[..199_990].iter().for_each(|&key| assert!(timers.cancel(key).is_some()));
        timers.check();
        trim_fully(&mut timers);
        assert!(timers.slots.capacity() < 10_000, "{} slots", timers.slots.capacity());
        assert!(timers.agenda.capacity() < 10_000, "{}", timers.agenda.capacity());
        // Stale keys find nobody, whoever has their slots now; the lowest slots are taken first.
        let again: Vec<_> = (0..20_000).map(|item| timers.arm(due(item), item)).collect();
        assert!(again.iter().all(|key| key.slot < 20_000));
        assert!(keys[..199_990].iter().all(|&key| timers.cancel(key).is_none()));
        assert_eq!(timers.len(), 20_010);
    }
}

#[test]
fn h18_memory_is_given_back_when_the_first_is_cancelled_again_and_again() {
    let mut timers = TimerQueue::new();
    let mut number = scattered(SECOND);
    let mut keys: Vec<_> = (0..100_000).map(|_| timers.arm(3600 * SECOND + number(), ())).collect();
    keys.sort_by_key(|&key| timers.due(key));
    let (last, others) = keys.split_last().expect("there are many");
    for &key in others {
        assert_eq!(timers.next_due(), timers.due(key));
        assert!(timers.cancel(key).is_some());
    }
    assert_eq!(timers.next_due(), timers.due(*last));
    assert!(timers.agenda.capacity() < 10_000, "{}", timers.agenda.capacity());
    timers.check();
}

#[test]
fn h18_memory_is_given_back_after_many_have_fired() {
    let mut timers = TimerQueue::new();
    for due in 0..200_000 {
        timers.arm(due, due);
    }
    assert_eq!(timers.fire_all(u64::MAX).len(), 200_000);
    trim_fully(&mut timers);
    assert!(timers.slots.capacity() < 10_000, "{} slots", timers.slots.capacity());
    assert!(timers.agenda.capacity() < 10_000, "{}", timers.agenda.capacity());
}

#[test]
fn h18_the_lowest_free_slot_is_taken_first() {
    let mut timers = TimerQueue::new();
    let keys: Vec<_> = (0..300_000).map(|item| timers.arm(SECOND, item)).collect();
    for number in [299_999, 70_000, 5, 4095, 64, 270_000] {
        timers.cancel(keys[number]);
    }
    let slots = (0..7).map(|item| timers.arm(SECOND, item).slot);
    assert_eq!(slots.collect::<Vec<_>>(), [5, 64, 4095, 70_000, 270_000, 299_999, 300_000]);
}

#[test]
fn a_slot_that_has_used_up_its_generations_is_not_used_again() {
    let mut timers = TimerQueue::new();
    let key = timers.arm(1, "worn out");
    timers.arm(1, "stays");
    let last = timers.slots.wear_out(key);
    timers.reschedule(last, 7);
    assert_eq!(timers.next_due(), Some(1));
    assert_eq!(timers.cancel(last), Some("worn out"));
    assert_eq!(timers.cancel(last), None);
    assert_ne!(timers.arm(7, "new").slot, last.slot);
    assert_eq!(timers.fire_all(u64::MAX), ["stays", "new"]);
}

#[test]
fn keys_survive_the_way_through_a_number() {
    let mut timers = TimerQueue::new();
    let key = timers.arm(1, ());
    assert_ne!(key.to_u64(), 0);
    assert_eq!(TimerKey::from_u64(key.to_u64()), key);
    for stranger in [0, 1, u64::MAX, key.to_u64() + 1, key.to_u64() + (1 << 32)] {
        assert!(!timers.contains(TimerKey::from_u64(stranger)));
        assert_eq!(timers.cancel(TimerKey::from_u64(stranger)), None);
    }
}

#[test]
fn h10_draining_gives_everything_by_deadline() {
    let mut timers = TimerQueue::new();
    let keys: Vec<_> = [5, 1, 9, 5, 7].map(|due| timers.arm(due, due)).into();
    timers.begin_firing(5);
    assert_eq!(timers.fire(), Some(1));
    timers.cancel(keys[4]);
    timers.arm(5, 50);
    timers.arm(1, 10);
    assert_eq!(timers.drain(), [10, 5, 5, 50, 9]);
    assert!(timers.is_empty());
    assert_eq!(timers.next_due(), None);
    assert!(keys.iter().all(|&key| !timers.contains(key)));
    timers.check();
    timers.arm(3, 3);
    assert_eq!(timers.fire_all(3), [3]);
}

#[test]
fn looking_ahead_does_not_make_later_timers_late() {
    let mut timers = TimerQueue::new();
    let mut number = scattered(SECOND);
    for _ in 0..1000 {
        timers.arm(3600 * SECOND + number(), ());
    }
    for _ in 0..10_000 {
        assert!(timers.next_due().is_some());
        timers.arm(number(), ());
    }
    assert!(timers.agenda.near_capacity() <= 1024, "{}", timers.agenda.near_capacity());
}

/// What a test may do to a queue. Numbers that choose a timer are taken modulo how many there are.
#[derive(Clone, Debug)]
enum Op {
    Arm(u64),
    ArmMany {
        count: usize,
        from: u64,
        spread: u64,
    },
    Cancel(usize),
    CancelMany {
        from: usize,
        count: usize,
    },
    Reschedule(usize, u64),
    Look,
    /// Begins a firing.
    Begin(u64),
    /// So many of those that are due.
    Fire(usize),
}

fn any_due() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..20_u64,
        0..2 * SECOND,
        (0..64_u32).prop_map(|bit| 1 << bit),
        any::<u64>(),
        Just(u64::MAX),
    ]
}

fn any_op() -> impl Strategy<Value = Op> {
    let spread = prop_oneof![Just(1_u64), 1..50_u64, 1..SECOND, Just(u64::MAX)];
    let many = (1..700_usize, any_due(), spread);
    prop_oneof![
        6 => any_due().prop_map(Op::Arm),
        2 => many.prop_map(|(count, from, spread)| Op::ArmMany { count, from, spread }),
        4 => any::<usize>().prop_map(Op::Cancel),
        1 => (any::<usize>(), 0..700_usize).prop_map(|(from, count)| Op::CancelMany { from, count }),
        3 => (any::<usize>(), any_due()).prop_map(|(timer, due)| Op::Reschedule(timer, due)),
        3 => Just(Op::Look),
        4 => prop_oneof![(0..SECOND).boxed(), any_due().boxed()].prop_map(Op::Begin),
        6 => prop_oneof![0..5_usize, 0..2000_usize].prop_map(Op::Fire),
    ]
}

/// The dumbest queue there is: all keys ever given out, and a list that is searched.
#[derive(Default)]
struct Model {
    keys: Vec<TimerKey>,
    armed: Vec<(u64, u64, TimerKey)>,
    order: u64,
    /// What is due by then and was created before that number is firing.
    firing: Option<(u64, u64)>,
}

impl Model {
    fn arm(&mut self, due: u64, key: TimerKey) {
        self.order += 1;
        let place = self.armed.partition_point(|&(other, ..)| other <= due);
        self.armed.insert(place, (due, self.order, key));
    }

    fn remove(&mut self, key: TimerKey) -> bool {
        let before = self.armed.len();
        self.armed.retain(|&(.., other)| other != key);
        before > self.armed.len()
    }

    fn fire(&mut self) -> Option<TimerKey> {
        let (now, until) = self.firing?;
        let fires = |&(due, order, _): &(u64, u64, TimerKey)| due <= now && order <= until;
        let Some(place) = self.armed.iter().position(fires) else {
            self.firing = None;
            return None;
        };
        Some(self.armed.remove(place).2)
    }

    fn key(&self, number: usize) -> TimerKey {
        *self.keys.get(number % self.keys.len().max(1)).unwrap_or(&TimerKey::from_u64(77))
    }
}

/// Does `op` to both and compares what they answer. The item of a timer is its number in `keys`.
fn apply(op: Op, now: &mut u64, timers: &mut TimerQueue<usize>, model: &mut Model) {
    let arm = |due, timers: &mut TimerQueue<usize>, model: &mut Model| {
        let key = timers.arm(due, model.keys.len());
        assert!(!model.keys.contains(&key), "no key is ever used twice");
        model.keys.push(key);
        model.arm(due, key);
    };
    let cancel = |number: usize, timers: &mut TimerQueue<usize>, model: &mut Model| {
        let key = model.key(number);
        let item = timers.cancel(key);
        assert_eq!(item.is_some(), model.remove(key));
        assert!(item.is_none_or(|item| model.keys[item] == key));
    };
    match op {
        Op::Arm(due) => arm(due, timers, model),
        Op::ArmMany { count, from, spread } => {
            let mut number = scattered(spread);
            (0..count).for_each(|_| arm(from.saturating_add(number()), timers, model));
        }
        Op::Cancel(number) => cancel(number, timers, model),
        Op::CancelMany { from, count } => {
            (0..count).for_each(|step| cancel(from.wrapping_add(step), timers, model));
        }
        Op::Reschedule(number, due) => {
            let key = model.key(number);
            let there = model.remove(key);
            assert_eq!(timers.reschedule(key, due), there);
            if there {
                model.arm(due, key);
            }
        }
        Op::Look => {
            assert_eq!(timers.next_due(), model.armed.first().map(|&(due, ..)| due));
        }
        Op::Begin(later) => {
            *now = now.saturating_add(later);
            timers.begin_firing(*now);
            model.firing = Some((*now, model.order));
        }
        Op::Fire(count) => {
            for _ in 0..count {
                let fired = timers.fire().map(|item| model.keys[item]);
                assert_eq!(fired, model.fire());
                if fired.is_none() {
                    break;
                }
            }
        }
    }
    assert_eq!(timers.len(), model.armed.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn h2_h10_h13_h17_a_timer_queue_behaves_like_a_sorted_list(ops in vec(any_op(), 0..80)) {
        let (mut timers, mut model) = (TimerQueue::new(), Model::default());
        let mut now = 0;
        for op in ops {
            apply(op, &mut now, &mut timers, &mut model);
            timers.check();
        }
        for &(due, _, key) in &model.armed {
            assert_eq!(timers.due(key), Some(due));
        }
        let mut found: Vec<_> = timers.iter().map(|(key, due, _)| (due, key.to_u64())).collect();
        let armed = model.armed.iter().map(|&(due, _, key)| (due, key.to_u64()));
        let mut expected: Vec<_> = armed.collect();
        found.sort_unstable();
        expected.sort_unstable();
        prop_assert_eq!(found, expected);
        let left: Vec<_> = timers.drain().into_iter().map(|item| model.keys[item]).collect();
        prop_assert_eq!(left, model.armed.iter().map(|&(.., key)| key).collect::<Vec<_>>());
        timers.check();
    }
}
