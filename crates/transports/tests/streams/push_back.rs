//! Bytes that a protocol gives back, where no other kind of transport differs: what it costs, and what
//! else ends a connection.

use crate::support::*;
use eventloop::TestLoop;
use tulipa_transports::testing::{MemoryLoop, MemoryOptions};
use tulipa_transports::{BudgetPolicy, Bytes, ConnectionBudget};

#[test]
fn x7_what_is_given_back_is_still_delivered_when_sending_has_failed() {
    let event_loop = TestLoop::new();
    let consumed: Slot<Vec<u8>> = Slot::new();
    let into = consumed.clone();
    let (left, log) = Hooks::new()
        .data(move |transport, data| {
            let (first, rest) = data.split_at(1);
            into.update(|all| all.extend_from_slice(first));
            transport.push_back(rest.to_vec());
            transport.write(b"x");
        })
        .recorded();
    let pair = event_loop.memory_pair(left, Hooks::new(), MemoryOptions::default());
    event_loop.run_ready_now();
    pair.right.write(b"tulip");
    pair.break_left_output();
    run_until(&event_loop, || log.is_lost());
    assert_eq!(consumed.get(), b"tulip");
    assert!(log.lost_reason().unwrap().is_some());
    log.check_ended();
}

#[test]
fn x7_r4_who_gives_it_back_for_ever_then_is_told_the_end_nonetheless() {
    let event_loop = TestLoop::new();
    let errors = collect_errors(&event_loop);
    let times = Slot::<usize>::new();
    let (left, log) = Hooks::new()
        .data(move |transport, data| {
            times.update(|times| *times += 1);
            assert!(times.get() < 10_000, "it goes on");
            transport.write(b"x");
            transport.push_back(data.to_vec());
        })
        .recorded();
    let pair = event_loop.memory_pair(left, Hooks::new(), MemoryOptions::default());
    event_loop.run_ready_now();
    pair.right.write(b"tulip");
    pair.break_left_output();
    run_until(&event_loop, || log.is_lost());
    assert!(log.lost_reason().unwrap().is_some());
    assert!(errors.take().is_empty(), "what ended it is that sending failed");
    log.check_ended();
}

#[test]
fn r4_stopping_at_every_byte_costs_what_is_consumed() {
    // Copying the rest each time would move 2 GiB.
    let event_loop = TestLoop::new();
    let (copied, consumed) = (Slot::<usize>::new(), Slot::<usize>::new());
    let (moved, taken) = (copied.clone(), consumed.clone());
    let right = Hooks::new().data(move |transport, data| {
        moved.update(|all| *all += data.len());
        taken.update(|all| *all += 1);
        transport.push_back(data[1..].to_vec());
    });
    let pair = event_loop.memory_pair(Hooks::new(), right, MemoryOptions::default());
    event_loop.run_ready_now();
    let size = 64 * 1024;
    pair.left.write(&pattern(size));
    run_until(&event_loop, || consumed.get() >= size);
    assert!(copied.get() < 300 * size, "{} bytes for {size}", copied.get());
}

#[test]
fn r4_what_was_given_back_counts_as_memory_of_the_connection_and_is_delivered_nonetheless() {
    let event_loop = TestLoop::new();
    let budget = ConnectionBudget::default().held(Bytes::kib(8)).policy(BudgetPolicy::PauseReading);
    let consumed: Slot<Vec<u8>> = Slot::new();
    let into = consumed.clone();
    let (left, log) = Hooks::new()
        .data(move |transport, data| {
            let (wanted, rest) = data.split_at(data.len().min(1000));
            into.update(|all| all.extend_from_slice(wanted));
            transport.pause_reading();
            transport.push_back(rest.to_vec());
        })
        .recorded();
    let options = MemoryOptions::default().budget_of_left(budget);
    let pair = event_loop.memory_pair(left, Hooks::new(), options);
    event_loop.run_ready_now();
    let data = pattern(60_000);
    pair.right.write(&data);
    pair.right.close();
    run_until(&event_loop, || {
        pair.left.resume_reading();
        log.is_lost()
    });
    assert!(consumed.get() == data);
}
