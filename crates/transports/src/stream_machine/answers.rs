//! What the machine answers at the very edges.

use super::*;
use crate::{Bytes, CapPolicy, WriteBufferCap, WriteBufferLimits, WriteRefusal};

/// A connection that the protocol knows of, with marks at 10 and 2 and a hard limit of 20 bytes.
fn machine() -> StreamMachine {
    let mut machine = StreamMachine::new(Some(Rc::new(OutputLimits {
        marks: WriteBufferLimits { high: Bytes(10), low: Bytes(2) },
        cap: WriteBufferCap { size: Bytes(20), policy: CapPolicy::Refuse },
        ..OutputLimits::default()
    })));
    assert_eq!(machine.next_call(), Some(Call::ConnectionMade));
    machine
}

fn push(machine: &mut StreamMachine, count: usize) {
    machine.push(&vec![7; count], Box::default);
}

#[test]
fn x21_the_high_mark_is_passed_by_the_byte_above_it() {
    let mut machine = machine();
    push(&mut machine, 10);
    assert!(!machine.is_over_high_mark());
    assert!(!machine.passes_high_mark(0) && machine.passes_high_mark(1));
    push(&mut machine, 1);
    assert!(machine.is_over_high_mark());
    machine.block();
    assert!(!machine.passes_high_mark(1), "nothing is sent at once while the system takes nothing");
}

#[test]
fn x20_the_hard_limit_refuses_at_its_very_size() {
    let mut machine = machine();
    push(&mut machine, 19);
    assert_eq!(machine.admit(), Ok(()));
    push(&mut machine, 1);
    assert_eq!(machine.admit(), Err(WriteRefusal::OverCap));
}

#[test]
fn x13_writing_is_watched_only_while_something_waits_that_the_system_did_not_take() {
    let mut machine = machine();
    assert_eq!(machine.interest(), Interest::READ);
    push(&mut machine, 1);
    assert_eq!(machine.interest(), Interest::READ, "it was not tried yet");
    machine.block();
    assert_eq!(machine.interest(), Interest::BOTH);
    machine.sent(1);
    assert_eq!(machine.interest(), Interest::READ, "nothing waits any more");
}

#[test]
fn x14_a_large_buffer_is_kept_and_not_copied_where_nothing_waits() {
    let mut machine = machine();
    let data = vec![1, 2, 3];
    let place = data.as_ptr();
    machine.push_vec(data, Box::default);
    assert_eq!((machine.unsent(), machine.unsent().as_ptr()), (&[1, 2, 3][..], place));
    machine.push_vec(vec![4], Box::default);
    assert_eq!(machine.unsent(), [1, 2, 3, 4]);
}

#[test]
fn x2_x4_the_end_and_the_loss_are_told_apart() {
    let mut machine = machine();
    assert!(!machine.is_closing() && !machine.is_over() && !machine.is_lost());
    push(&mut machine, 1);
    machine.close();
    assert!(machine.is_closing() && machine.is_draining() && !machine.is_over());
    assert!(machine.abort(End::Failed));
    assert!(machine.is_over() && !machine.is_lost());
    assert_eq!(machine.next_call(), Some(Call::ConnectionLost(End::Failed)));
    assert!(machine.is_over() && machine.is_lost());
    assert_eq!(machine.next_call(), None);
}

#[test]
fn x21_a_resume_that_was_not_told_yet_is_taken_back_above_the_high_mark() {
    for (more, owed) in [(8, Some(Call::ResumeWriting)), (9, None)] {
        let mut machine = machine();
        machine.block();
        push(&mut machine, 11);
        assert_eq!(machine.next_call(), Some(Call::PauseWriting));
        machine.sent(9);
        machine.after_sending();
        assert_eq!(machine.owed_call(), Some(Call::ResumeWriting));
        machine.block();
        push(&mut machine, more);
        assert_eq!(machine.owed_call(), owed, "with {more} bytes more");
    }
}

#[test]
fn x10_pausing_and_resuming_say_whether_they_changed_anything() {
    let mut machine = machine();
    assert!(!machine.resume_reading());
    assert!(machine.pause_reading() && !machine.is_reading());
    assert!(!machine.pause_reading());
    assert!(machine.resume_reading() && machine.is_reading());
    assert!(!machine.resume_reading());
}

#[test]
fn p12_the_end_of_the_input_is_told_once() {
    let mut machine = machine();
    machine.peer_eof();
    assert_eq!(machine.next_call(), Some(Call::EofReceived));
    machine.eof_answered(Eof::KeepOpen);
    machine.peer_eof();
    assert_eq!(machine.owed_call(), None);
}

#[test]
fn x23_x28_a_resume_that_is_owed_is_told_before_the_end_of_both_directions() {
    let mut machine = machine();
    machine.peer_eof();
    assert_eq!(machine.next_call(), Some(Call::EofReceived));
    machine.eof_answered(Eof::KeepOpen);
    machine.block();
    push(&mut machine, 11);
    assert_eq!(machine.next_call(), Some(Call::PauseWriting));
    machine.write_eof();
    machine.unblock();
    machine.sent(11);
    machine.after_sending();
    machine.shut();
    assert_eq!(machine.next_call(), Some(Call::ResumeWriting));
    assert!(machine.is_closing());
    machine.finish_draining();
    assert_eq!(machine.next_call(), Some(Call::ConnectionLost(End::Orderly)));
}

#[test]
fn p5_x40_a_machine_that_only_reads_ends_after_the_end_of_file_whatever_the_answer() {
    for answer in [Eof::Close, Eof::KeepOpen] {
        let mut machine = StreamMachine::only_reading(None);
        assert_eq!(machine.admit(), Err(WriteRefusal::ReadOnly));
        assert_eq!(machine.next_call(), Some(Call::ConnectionMade));
        machine.write_eof();
        assert!(!machine.may_shut() && !machine.is_closing());
        machine.peer_eof();
        assert_eq!(machine.next_call(), Some(Call::EofReceived));
        machine.eof_answered(answer);
        assert_eq!(machine.next_call(), Some(Call::ConnectionLost(End::Orderly)));
        assert_eq!(machine.admit(), Err(WriteRefusal::Closed));
    }
}

#[test]
fn x41_x42_a_machine_that_only_writes_watches_its_reader_until_it_closes() {
    let mut machine = StreamMachine::only_writing(None, true);
    assert_eq!(machine.interest(), Interest::NONE, "nothing before connection_made");
    assert_eq!(machine.next_call(), Some(Call::ConnectionMade));
    assert_eq!(machine.interest(), Interest::READ);
    assert!(!machine.may_read() && !machine.is_reading());
    push(&mut machine, 5);
    machine.block();
    assert_eq!(machine.interest(), Interest::BOTH);
    machine.write_eof();
    assert!(machine.is_draining());
    assert_eq!(machine.admit(), Err(WriteRefusal::Closed), "nothing more is taken");
    assert_eq!(machine.interest(), Interest { readable: false, writable: true });
    machine.sent(5);
    machine.after_sending();
    assert_eq!(machine.next_call(), Some(Call::ConnectionLost(End::Orderly)));

    let mut machine = StreamMachine::only_writing(None, false);
    machine.next_call();
    assert_eq!(machine.interest(), Interest::NONE, "it could not be learned");
    machine.write_eof();
    assert_eq!(machine.next_call(), Some(Call::ConnectionLost(End::Orderly)));
}

#[test]
fn x3_what_was_given_back_before_a_close_is_dropped_whatever_is_given_back_after_it() {
    let mut machine = StreamMachine::new(None);
    machine.next_call();
    assert!(machine.take_back());
    machine.push(b"reply", Box::default);
    machine.close();
    assert!(!machine.take_back(), "nothing is delivered any more");
    assert!(machine.unread_is_lost(), "what was kept may be dropped, though the output drains");
    assert!(!machine.unread_is_lost(), "and that is said once");
}
