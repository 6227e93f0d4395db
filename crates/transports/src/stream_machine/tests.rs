//! The machine against a plain model, under random events.

use super::*;
use crate::{Bytes, CapPolicy, WriteBufferCap, WriteBufferLimits, WriteRefusal};
use proptest::collection::vec;
use proptest::prelude::*;

/// Anything that may happen to a transport.
#[derive(Clone, Debug)]
enum Event {
    Write(usize),
    Collect(usize),
    /// Send as much as this; less than what waits means that the system is full.
    Send(usize),
    WouldBlock,
    Writable,
    PeerSends(usize),
    PushBack,
    /// What was given back is delivered, perhaps not all of it.
    Again(bool),
    PeerEof(Eof),
    ReadFails,
    SendFails,
    Salvaged,
    PauseReading,
    ResumeReading,
    WriteEof,
    Close,
    Abort,
    AbortWith,
    SetLimits(usize, usize),
    ReaderGone,
    WatchesInVain,
    BeginFile,
    /// So much of the file is taken, and then perhaps no more.
    SendOfFile(usize, bool),
    FileReads(bool),
    FileEnds,
    Deliver,
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (0..40usize).prop_map(Event::Write),
        4 => (0..10usize).prop_map(Event::Collect),
        6 => (0..60usize).prop_map(Event::Send),
        2 => Just(Event::WouldBlock),
        3 => Just(Event::Writable),
        4 => (1..20usize).prop_map(Event::PeerSends),
        2 => Just(Event::PushBack),
        3 => any::<bool>().prop_map(Event::Again),
        1 => Just(Event::PeerEof(Eof::Close)),
        1 => Just(Event::PeerEof(Eof::KeepOpen)),
        1 => Just(Event::ReadFails),
        1 => Just(Event::SendFails),
        1 => Just(Event::Salvaged),
        2 => Just(Event::PauseReading),
        2 => Just(Event::ResumeReading),
        1 => Just(Event::WriteEof),
        1 => Just(Event::Close),
        1 => Just(Event::Abort),
        1 => Just(Event::AbortWith),
        1 => (0..50usize, 0..50usize).prop_map(|(a, b)| Event::SetLimits(a.max(b), a.min(b))),
        1 => Just(Event::ReaderGone),
        1 => Just(Event::WatchesInVain),
        1 => Just(Event::BeginFile),
        3 => (0..40usize, any::<bool>()).prop_map(|(count, all)| Event::SendOfFile(count, all)),
        1 => any::<bool>().prop_map(Event::FileReads),
        1 => Just(Event::FileEnds),
        8 => Just(Event::Deliver),
    ]
}

/// The dumbest possible account of what was promised.
#[derive(Default)]
struct Model {
    next_byte: u8,
    taken: Vec<u8>,
    sent: Vec<u8>,
    received: usize,
    calls: Vec<Call>,
    data_after_pause: bool,
    /// The user threw the output away, or there was an error.
    cut: bool,
    eof_answer: Option<Eof>,
    shut: bool,
    only_reads: bool,
    only_writes: bool,
}

impl Model {
    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count)
            .map(|_| {
                self.next_byte = self.next_byte.wrapping_add(1);
                self.next_byte
            })
            .collect()
    }
}

fn limits(high: usize, low: usize) -> OutputLimits {
    OutputLimits {
        marks: WriteBufferLimits { high: Bytes(high), low: Bytes(low) },
        cap: WriteBufferCap { size: Bytes(150), policy: CapPolicy::PauseReading },
        ..OutputLimits::default()
    }
}

fn apply(machine: &mut StreamMachine, model: &mut Model, event: &Event) {
    match *event {
        Event::Write(count) | Event::Collect(count) => {
            let closing = machine.is_closing();
            let data = model.bytes(count);
            let admitted = machine.admit();
            let may_collect = count % 2 == 1 && machine.is_ordinary();
            let room = may_collect.then(|| machine.room_for(count, Box::default)).flatten();
            let collected = room.map(|output| output.push(&data)).is_some();
            match admitted {
                Ok(()) if collected => {
                    assert!(!machine.is_over_high_mark() && machine.is_ordinary());
                    model.taken.extend(data);
                }
                _ if collected => panic!("{admitted:?}, and yet it was collected"),
                Ok(()) => {
                    let flushed = machine.size() == 0 && machine.flow == Flow::Open;
                    assert!(!closing || !flushed, "taken after the flush was done");
                    match event {
                        Event::Collect(_) => machine.push_vec(data.clone(), Box::default),
                        _ => machine.push(&data, Box::default),
                    }
                    model.taken.extend(data);
                }
                Err(WriteRefusal::OverCap) => assert!(machine.size() >= 150),
                Err(WriteRefusal::Closed) => assert!(closing),
                Err(WriteRefusal::AfterEof) => assert!(!closing && !model.only_writes),
                Err(WriteRefusal::ReadOnly) => assert!(model.only_reads),
                Err(WriteRefusal::SendingFile) => assert!(machine.has_file()),
                Err(WriteRefusal::NotALine) => panic!("it knows no lines"),
                Err(WriteRefusal::Upgraded) => unreachable!("the machine knows of no layers"),
            }
        }
        Event::Send(count) => {
            if machine.may_send() {
                let unsent = machine.unsent().to_vec();
                let count = count.min(unsent.len());
                model.sent.extend(&unsent[..count]);
                if count == unsent.len() && machine.is_ordinary() {
                    assert!(machine.take_collected().is_some());
                } else {
                    machine.sent(count);
                    if count < unsent.len() {
                        machine.block();
                    }
                    machine.after_sending();
                }
            }
        }
        Event::WouldBlock => {
            if machine.may_send() {
                machine.block();
                machine.after_sending();
            }
        }
        Event::Writable => machine.unblock(),
        Event::PeerSends(count) => {
            if machine.may_read() {
                assert!(machine.is_made());
                assert!(!matches!(model.calls.last(), Some(Call::ConnectionLost(_))));
                assert!(!model.calls.contains(&Call::EofReceived), "data after the end of file");
                model.received += count;
            }
        }
        Event::PushBack => {
            let told = model.calls.contains(&Call::EofReceived);
            if machine.take_back() {
                assert!(machine.has_unread() && !told && !model.only_writes);
                assert_ne!(
                    machine.owed_call(),
                    Some(Call::EofReceived),
                    "the end before the bytes"
                );
            } else {
                assert!(told || machine.is_closing() || model.only_writes);
            }
        }
        Event::Again(all) => {
            if machine.may_deliver_unread() {
                assert!(machine.may_read());
                assert!(!model.calls.contains(&Call::EofReceived), "data after the end of file");
                if all {
                    machine.unread_is_empty();
                }
            }
        }
        Event::PeerEof(answer) => {
            // What was given back is read first.
            if machine.may_read() && !machine.has_unread() {
                machine.peer_eof();
                model.eof_answer = Some(answer);
            }
        }
        Event::ReadFails => {
            if machine.may_read() {
                model.cut |= machine.abort(End::Failed);
            }
        }
        Event::SendFails => {
            if machine.may_send() {
                model.cut |= machine.fail_sending();
            }
        }
        Event::Salvaged => machine.salvaged(),
        Event::PauseReading => {
            machine.pause_reading();
            let watches = machine.interest().readable && !model.only_writes;
            model.data_after_pause |= machine.may_read() || watches;
        }
        Event::ResumeReading => {
            machine.resume_reading();
        }
        Event::WriteEof => machine.write_eof(),
        Event::Close => {
            machine.close();
            assert!(machine.is_closing() && !machine.may_read());
        }
        Event::Abort => model.cut |= machine.abort(End::Orderly),
        Event::AbortWith => model.cut |= machine.abort(End::Failed),
        Event::ReaderGone => {
            // As the driver does it, when it is told what was watched.
            if machine.is_watching_reader() && machine.interest().readable {
                assert!(model.only_writes && machine.is_made());
                let end = if machine.has_unsent() { End::Failed } else { End::Orderly };
                model.cut |= machine.abort(end);
                assert!(machine.is_over());
            }
        }
        Event::WatchesInVain => {
            machine.stop_watching_reader();
            assert!(!model.only_writes || !machine.interest().readable);
        }
        Event::SetLimits(high, low) => machine.set_limits(limits(high, low)),
        Event::BeginFile => {
            let closing = machine.is_closing();
            match machine.begin_file() {
                Ok(()) => assert!(!closing && machine.admit() == Err(WriteRefusal::SendingFile)),
                Err(WriteRefusal::SendingFile) => assert!(machine.has_file()),
                Err(WriteRefusal::ReadOnly) => assert!(model.only_reads),
                Err(WriteRefusal::AfterEof) => assert!(!closing),
                Err(refusal) => assert!(closing && refusal == WriteRefusal::Closed),
            }
        }
        Event::SendOfFile(count, all) => {
            if machine.may_send_file() {
                assert_eq!(model.sent, model.taken, "the file overtook what was written");
                let data = model.bytes(count);
                model.taken.extend(&data);
                model.sent.extend(&data);
                if !all {
                    machine.block();
                }
            }
        }
        Event::FileReads(reading) => machine.set_file_reading(reading),
        Event::FileEnds => {
            if machine.has_file() {
                machine.end_file();
            }
        }
        Event::Deliver => deliver(machine, model),
    }
    machine.finish_draining();
    if machine.may_shut() {
        assert_eq!(model.sent, model.taken, "shut before all was sent");
        machine.shut();
        model.shut = true;
    }
    check(machine, model);
}

fn deliver(machine: &mut StreamMachine, model: &mut Model) {
    assert_eq!(machine.owed_call().is_some(), {
        let call = machine.next_call();
        if let Some(call) = call {
            model.calls.push(call);
            if call == Call::EofReceived {
                machine.eof_answered(model.eof_answer.expect("an end of file came"));
            }
        }
        call.is_some()
    });
}

/// What holds after every event.
fn check(machine: &StreamMachine, model: &Model) {
    assert!(!model.data_after_pause, "data may come after pause_reading");
    assert!(model.taken.starts_with(&model.sent), "bytes out of order, twice, or invented");
    if !model.cut {
        assert_eq!(model.taken.len() - model.sent.len(), machine.size(), "bytes were lost");
    } else {
        assert_eq!(machine.size(), 0);
        assert!(machine.is_closing());
    }
    if machine.is_ordinary() {
        assert!(machine.may_read() && machine.interest() == Interest::READ);
        assert_eq!((machine.owed_call(), machine.has_unread()), (None, false));
        assert!(!machine.may_shut() && !machine.may_send_file() && !machine.is_closing());
    }
    if machine.is_over() {
        assert!(!machine.has_unread() && !machine.may_deliver_unread());
        assert!(machine.interest().is_none() && !machine.may_read() && !machine.may_send());
    }
    if model.only_reads {
        assert!(model.taken.is_empty() && !model.shut, "there is no such direction");
    }
    if model.only_writes {
        assert!(model.received == 0 && !model.shut && !machine.is_reading() && !machine.may_read());
        assert!(!model.calls.contains(&Call::EofReceived), "there is no such direction");
    }
    if machine.has_file() {
        assert!(!machine.is_over(), "the end left a file behind");
        assert!(!machine.may_read() && !machine.is_reading());
        assert!(!machine.interest().readable || machine.is_watching_reader());
        let owed = machine.owed_call();
        assert!(!matches!(owed, Some(Call::PauseWriting | Call::ResumeWriting)), "{owed:?}");
    }
    let marks = machine.limits().marks;
    if machine.is(Fact::Blocked) && machine.size() > marks.high.0 {
        assert!(matches!(machine.flow, Flow::PauseOwed | Flow::Paused), "the mark was missed");
    }
    if machine.size() <= marks.low.0 && machine.is(Fact::Blocked) && !machine.is_over() {
        assert!(matches!(machine.flow, Flow::Open | Flow::ResumeOwed), "still paused");
    }
}

/// P-1, P-6, P-7 as one small automaton over the calls.
fn check_grammar(calls: &[Call]) {
    let (mut made, mut paused, mut eof, mut lost) = (false, false, false, false);
    for call in calls {
        assert!(!lost, "{call:?} after the end in {calls:?}");
        match call {
            Call::ConnectionMade => assert!(!std::mem::replace(&mut made, true)),
            Call::PauseWriting => assert!(made && !std::mem::replace(&mut paused, true)),
            Call::ResumeWriting => assert!(made && std::mem::replace(&mut paused, false)),
            Call::EofReceived => assert!(made && !std::mem::replace(&mut eof, true)),
            Call::ConnectionLost(_) => {
                assert!(made);
                lost = true;
            }
            Call::Vanished(_) => {
                assert!(!made);
                lost = true;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

    #[test]
    fn p1_p5_p6_p7_p8_x17_n51_r2_random_events_keep_grammar_and_bytes(
        kind in 0..4,
        events in vec(any_event(), 0..120),
    ) {
        let limits = Some(Rc::new(limits(30, 10)));
        let mut machine = match kind {
            0 | 1 => StreamMachine::new(limits),
            2 => StreamMachine::only_reading(limits),
            _ => StreamMachine::only_writing(limits, true),
        };
        let (only_reads, only_writes) = (kind == 2, kind == 3);
        let mut model = Model { only_reads, only_writes, ..Model::default() };
        for event in &events {
            apply(&mut machine, &mut model, event);
        }
        check_grammar(&model.calls);
        let ended_before = model.calls.len();

        // Then it is closed, the peer takes everything, and all calls are delivered.
        machine.close();
        if machine.has_file() {
            prop_assert!(!machine.is_over());
            machine.end_file();
        }
        while machine.size() > 0 {
            machine.unblock();
            apply(&mut machine, &mut model, &Event::Send(40));
            apply(&mut machine, &mut model, &Event::Deliver);
        }
        machine.salvaged();
        for _ in 0..4 {
            apply(&mut machine, &mut model, &Event::Deliver);
        }
        check_grammar(&model.calls);
        prop_assert!(machine.is_lost());
        prop_assert!(model.calls.len() <= ended_before + 12);
        let Some(Call::ConnectionLost(end) | Call::Vanished(end)) = model.calls.last() else {
            panic!("the last call of {:?} is not the end", model.calls);
        };
        if *end == End::Orderly && !model.cut {
            prop_assert_eq!(&model.sent, &model.taken);
        }
        prop_assert_eq!(machine.next_call(), None);
    }
}

fn open() -> StreamMachine {
    let mut machine = StreamMachine::new(None);
    assert_eq!(machine.next_call(), Some(Call::ConnectionMade));
    machine
}

fn write(machine: &mut StreamMachine, count: usize) {
    machine.admit().unwrap();
    machine.push(&vec![1; count], Box::default);
}

#[test]
fn p9_x12_nothing_is_read_before_connection_made() {
    let mut machine = StreamMachine::new(None);
    assert!(!machine.may_read() && machine.interest().is_none());
    machine.next_call();
    assert!(machine.may_read() && machine.interest() == Interest::READ);
}

#[test]
fn x21_pauses_strictly_above_high_and_resumes_at_low() {
    let mut machine = open();
    let marks = machine.limits().marks;
    machine.block();
    write(&mut machine, marks.high.0);
    assert_eq!(machine.next_call(), None);
    write(&mut machine, 1);
    assert_eq!(machine.next_call(), Some(Call::PauseWriting));
    machine.sent(marks.high.0 - marks.low.0);
    machine.after_sending();
    assert_eq!((machine.size(), machine.next_call()), (marks.low.0 + 1, None));
    machine.sent(1);
    machine.after_sending();
    assert_eq!(machine.next_call(), Some(Call::ResumeWriting));
}

#[test]
fn x20_a_high_mark_of_zero_pauses_at_the_first_byte_that_waits() {
    let mut machine = StreamMachine::new(Some(Rc::new(limits(0, 0))));
    machine.next_call();
    assert!(machine.passes_high_mark(1));
    machine.block();
    write(&mut machine, 1);
    assert_eq!(machine.next_call(), Some(Call::PauseWriting));
}

#[test]
fn x22_new_limits_are_looked_at_for_both_directions() {
    let mut machine = open();
    machine.block();
    write(&mut machine, 100);
    machine.set_limits(limits(50, 10));
    assert_eq!(machine.next_call(), Some(Call::PauseWriting));
    machine.set_limits(limits(500, 100));
    assert_eq!(machine.next_call(), Some(Call::ResumeWriting));
}

#[test]
fn x28_p12_both_directions_done_ends_it_in_either_order() {
    let mut ours_first = open();
    ours_first.write_eof();
    assert!(ours_first.may_shut());
    ours_first.shut();
    assert!(ours_first.may_read());
    ours_first.peer_eof();
    assert_eq!(ours_first.next_call(), Some(Call::EofReceived));
    ours_first.eof_answered(Eof::KeepOpen);
    assert_eq!(ours_first.next_call(), Some(Call::ConnectionLost(End::Orderly)));

    let mut theirs_first = open();
    theirs_first.peer_eof();
    assert_eq!(theirs_first.next_call(), Some(Call::EofReceived));
    theirs_first.eof_answered(Eof::KeepOpen);
    write(&mut theirs_first, 3);
    theirs_first.write_eof();
    assert!(!theirs_first.may_shut() && !theirs_first.is_closing());
    theirs_first.sent(3);
    theirs_first.after_sending();
    assert!(theirs_first.may_shut());
    theirs_first.shut();
    assert_eq!(theirs_first.next_call(), Some(Call::ConnectionLost(End::Orderly)));
}

#[test]
fn x7_after_a_failed_send_what_was_received_is_still_delivered() {
    let mut machine = open();
    write(&mut machine, 5);
    assert!(machine.fail_sending());
    assert!(machine.is_closing() && machine.may_read() && machine.size() == 0);
    assert_eq!(machine.next_call(), None);
    assert_eq!(machine.admit(), Err(WriteRefusal::Closed));
    machine.salvaged();
    assert_eq!(machine.next_call(), Some(Call::ConnectionLost(End::Failed)));

    let mut paused = open();
    paused.pause_reading();
    write(&mut paused, 5);
    paused.fail_sending();
    assert_eq!(paused.next_call(), Some(Call::ConnectionLost(End::Failed)));
}

#[test]
fn x19_a_closed_transport_takes_writes_only_until_the_flush_is_done() {
    let mut machine = open();
    machine.block();
    write(&mut machine, 5);
    machine.close();
    write(&mut machine, 5);
    machine.sent(10);
    machine.after_sending();
    assert_eq!(machine.admit(), Err(WriteRefusal::Closed));
    assert_eq!(machine.next_call(), Some(Call::ConnectionLost(End::Orderly)));
}

#[test]
fn x18_a_write_after_write_eof_is_refused() {
    let mut machine = open();
    machine.write_eof();
    assert_eq!(machine.admit(), Err(WriteRefusal::AfterEof));
    machine.close();
    assert_eq!(machine.admit(), Err(WriteRefusal::Closed));
}

#[test]
fn r4_one_write_may_overshoot_the_cap_and_the_next_is_refused() {
    let mut machine = StreamMachine::new(Some(Rc::new(limits(30, 10))));
    machine.next_call();
    machine.block();
    write(&mut machine, 149);
    write(&mut machine, 1000);
    assert_eq!(machine.admit(), Err(WriteRefusal::OverCap));
    assert!(!machine.may_read(), "the policy holds the reader");
    machine.sent(1140);
    machine.after_sending();
    assert!(machine.may_read() && machine.admit().is_ok());
}

#[test]
fn x2_x4_the_first_end_counts() {
    let mut machine = open();
    assert!(machine.abort(End::Failed));
    assert!(!machine.abort(End::Orderly));
    machine.close();
    assert_eq!(machine.next_call(), Some(Call::ConnectionLost(End::Failed)));
    assert!(!machine.abort(End::Failed));
    assert_eq!(machine.next_call(), None);
}

#[test]
fn p7_what_ends_before_connection_made_tells_nobody() {
    let mut machine = StreamMachine::new(None);
    machine.close();
    assert_eq!(machine.next_call(), Some(Call::Vanished(End::Orderly)));
    assert!(machine.is_lost());
}

#[test]
fn x24_a_closing_transport_still_resumes_while_it_drains() {
    let mut machine = open();
    machine.block();
    write(&mut machine, 100_000);
    assert_eq!(machine.next_call(), Some(Call::PauseWriting));
    machine.close();
    machine.sent(90_000);
    machine.after_sending();
    assert_eq!(machine.next_call(), Some(Call::ResumeWriting));
    machine.sent(10_000);
    machine.after_sending();
    assert_eq!(machine.next_call(), Some(Call::ConnectionLost(End::Orderly)));
}

#[test]
fn x23_x24_resume_comes_before_the_end_and_may_write_more() {
    let mut machine = open();
    machine.block();
    write(&mut machine, 100_000);
    assert_eq!(machine.next_call(), Some(Call::PauseWriting));
    machine.close();
    machine.unblock();
    machine.sent(100_000);
    machine.after_sending();
    assert_eq!(machine.next_call(), Some(Call::ResumeWriting));
    write(&mut machine, 1);
    machine.finish_draining();
    assert_eq!(machine.next_call(), None);
    machine.sent(1);
    machine.after_sending();
    assert_eq!(machine.next_call(), Some(Call::ConnectionLost(End::Orderly)));
}
