use super::*;
use crate::{Bytes, WriteBufferCap};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn limits(high: usize, low: usize) -> OutputLimits {
    let marks = WriteBufferLimits { high: Bytes(high), low: Bytes(low) };
    OutputLimits { marks, ..OutputLimits::default() }
}

fn open_machine(limits: OutputLimits, lane_each: bool) -> DatagramMachine {
    let mut machine = DatagramMachine::new(limits, lane_each);
    assert!(matches!(machine.next_call(), Some(Call::ConnectionMade)));
    machine
}

fn path(name: &str) -> Address {
    Address::Path(name.into())
}

fn an_error() -> DatagramError {
    let refused = std::io::ErrorKind::ConnectionRefused;
    DatagramError::new(crate::DatagramOperation::Send, None, refused.into())
}

/// The data that leaves if the system takes everything.
fn leave(machine: &mut DatagramMachine) -> Vec<Vec<u8>> {
    machine.unblock();
    std::iter::from_fn(|| machine.pop()).map(|queued| queued.data.into_vec()).collect()
}

#[test]
fn x35_each_datagram_counts_eight_bytes_besides_its_own() {
    let mut machine = open_machine(limits(24, 8), false);
    for _ in 0..3 {
        machine.push(b"", None);
    }
    assert_eq!((machine.size(), machine.owed()), (24, None));
    machine.push(b"", None);
    assert_eq!(machine.owed(), Some(Owed::PauseWriting));
    machine.push(b"abc", None);
    assert_eq!(machine.size(), 43);
    assert!(machine.held() > 43, "memory is more than that");
}

#[test]
fn x37_a_pause_is_told_once_and_so_is_a_resume() {
    let mut machine = open_machine(limits(20, 10), false);
    machine.push(&[0; 20], None);
    machine.push(&[0; 20], None);
    assert!(matches!(machine.next_call(), Some(Call::PauseWriting)));
    assert_eq!(machine.owed(), None);
    machine.unblock();
    machine.pop();
    assert_eq!(machine.owed(), None, "it is between the marks");
    machine.pop();
    assert!(matches!(machine.next_call(), Some(Call::ResumeWriting)));
    assert_eq!(machine.owed(), None);
}

#[test]
fn x36_closing_waits_for_the_queue_and_aborting_drops_it() {
    let mut machine = open_machine(limits(100, 10), false);
    machine.push(b"a", None);
    machine.close();
    assert!(machine.is_closing() && machine.is_draining() && !machine.may_read());
    assert_eq!(leave(&mut machine), [b"a"]);
    assert!(matches!(machine.next_call(), Some(Call::ConnectionLost(End::Orderly))));
    assert!(machine.is_lost() && machine.owed().is_none());

    let mut machine = open_machine(limits(100, 10), false);
    machine.push(b"a", None);
    machine.push(b"b", None);
    assert_eq!(machine.abort(End::Failed), Some(2));
    assert_eq!((machine.abort(End::Orderly), machine.size()), (None, 0), "the first end counts");
    assert!(matches!(machine.next_call(), Some(Call::ConnectionLost(End::Failed))));
}

#[test]
fn x34_errors_are_told_before_an_orderly_end_and_only_so_many_wait() {
    let mut machine = open_machine(limits(100, 10), false);
    for _ in 0..1000 {
        machine.push_error(an_error());
    }
    machine.close();
    let calls: Vec<Call> = std::iter::from_fn(|| machine.next_call()).collect();
    assert_eq!(calls.len(), MOST_ERRORS + 1);
    assert!(matches!(calls.last(), Some(Call::ConnectionLost(End::Orderly))));
}

#[test]
fn p3_a_protocol_that_was_never_told_of_the_beginning_is_not_told_of_the_end() {
    let mut machine = DatagramMachine::new(limits(1, 1), false);
    machine.close();
    assert!(matches!(machine.next_call(), Some(Call::Vanished(End::Orderly))));
    assert_eq!(machine.owed(), None);
}

#[test]
fn x33_a_receiver_that_is_full_holds_up_no_other() {
    let mut machine = open_machine(limits(1000, 10), true);
    let (deaf, other) = (path("/deaf"), path("/other"));
    machine.push(b"1", Some(&deaf));
    machine.push(b"2", Some(&deaf));
    assert!(machine.must_wait(Some(&deaf)) && !machine.must_wait(Some(&other)));
    machine.push(b"3", Some(&other));
    assert_eq!(machine.next(), None, "both were refused just now");
    machine.unblock();
    machine.block(); // the first lane is still full
    assert_eq!(machine.pop().unwrap().data[..], *b"3");
    assert_eq!(machine.next(), None);
    assert_eq!(leave(&mut machine), [b"1", b"2"]);
    assert!(machine.is_queue_empty() && machine.size() == 0 && machine.held() == 0);
}

#[test]
fn r4_a_machine_that_is_held_back_reads_again_at_the_low_mark() {
    let cap = WriteBufferCap { size: Bytes(1), policy: crate::CapPolicy::PauseReading };
    let mut machine = open_machine(OutputLimits { cap, ..limits(100, 10) }, false);
    machine.push(&[0; 50], None);
    assert!(machine.is_at_cap());
    machine.hold_back();
    assert!(!machine.may_read() && machine.is_reading());
    leave(&mut machine);
    assert!(machine.may_read());
}

#[test]
fn r4_with_nothing_queued_nothing_is_held_back() {
    let cap = WriteBufferCap { size: Bytes(0), policy: crate::CapPolicy::PauseReading };
    let mut machine = open_machine(OutputLimits { cap, ..limits(100, 10) }, false);
    assert!(machine.is_at_cap());
    machine.hold_back();
    assert!(machine.may_read(), "nothing would ever end it");
}

#[test]
fn x33_r5_receivers_take_turns_however_much_waits_for_one() {
    let (busy, other) = (path("/busy"), path("/other"));
    for (first, second) in [(&busy, &other), (&other, &busy)] {
        let mut machine = open_machine(limits(1000, 10), true);
        machine.push(b"", Some(first));
        machine.push(b"", Some(second));
        let mut popped = Vec::new();
        for _ in 0..10 {
            machine.push(b"", Some(&busy));
            machine.unblock();
            popped.push(machine.pop().unwrap().to.unwrap()); // so far goes the budget of a turn
        }
        assert!(popped.contains(&other), "{popped:?}");
    }
}

/// Anything that may happen to a machine.
#[derive(Clone, Debug)]
enum Op {
    Push { to: u8, size: usize },
    Pop,
    Block,
    Unblock,
    Call,
    Error,
    Marks { high: usize, low: usize },
    DropQueue,
    PauseReading(bool),
    Replace,
    Close,
    Abort,
}

fn any_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0..4u8, 0..40usize).prop_map(|(to, size)| Op::Push { to, size }),
        6 => Just(Op::Pop),
        3 => Just(Op::Block),
        3 => Just(Op::Unblock),
        6 => Just(Op::Call),
        1 => Just(Op::Error),
        1 => (0..200usize, 0..200usize).prop_map(|(a, b)| Op::Marks { high: a.max(b), low: a.min(b) }),
        1 => Just(Op::DropQueue),
        1 => any::<bool>().prop_map(Op::PauseReading),
        1 => Just(Op::Replace),
        1 => Just(Op::Close),
        1 => Just(Op::Abort),
    ]
}

/// The dumbest model: a list of datagrams for each receiver, and the calls that were made.
#[derive(Default)]
struct Model {
    queues: BTreeMap<u8, Vec<u32>>,
    sizes: BTreeMap<u32, usize>,
    refused: Vec<u8>,
    paused: bool,
    errors: usize,
    ended: bool,
    lost: bool,
    closing: bool,
}

impl Model {
    fn size(&self) -> usize {
        self.queues.values().flatten().map(|id| self.sizes[id] + 8).sum()
    }

    fn finish(&mut self) {
        if self.closing && self.queues.is_empty() && self.errors == 0 {
            self.ended = true;
        }
    }
}

fn run(lane_each: bool, ops: &[Op]) {
    let mut machine = open_machine(limits(100, 25), lane_each);
    let mut marks = (100, 25);
    let mut model = Model::default();
    let lane = |to: u8| if lane_each { to } else { 0 };
    let receiver = |to: u8| path(&format!("/{to}"));
    for (id, op) in (0_u32..).zip(ops) {
        match *op {
            Op::Push { to, size } if !model.closing && !model.ended => {
                let is_first = !model.queues.contains_key(&lane(to));
                assert_eq!(machine.must_wait(Some(&receiver(to))), !is_first);
                if is_first {
                    model.refused.push(lane(to));
                }
                let mut data = id.to_le_bytes().to_vec();
                data.resize(4 + size, 0);
                machine.push(&data, Some(&receiver(to)));
                model.queues.entry(lane(to)).or_default().push(id);
                model.sizes.insert(id, data.len());
            }
            Op::Pop => match machine.pop() {
                None => {
                    let free = model.queues.keys().any(|lane| !model.refused.contains(lane));
                    assert!(!free, "one could have been sent");
                }
                Some(queued) => {
                    let found = u32::from_le_bytes(queued.data[..4].try_into().unwrap());
                    let (&lane, queue) =
                        model.queues.iter_mut().find(|(_, queue)| queue[0] == found).unwrap();
                    assert!(!model.refused.contains(&lane), "it was refused");
                    queue.remove(0);
                    if queue.is_empty() {
                        model.queues.remove(&lane);
                    }
                    model.finish();
                }
            },
            Op::Block => {
                if let Some(next) = machine.next() {
                    let found = u32::from_le_bytes(next.data[..4].try_into().unwrap());
                    let (&lane, _) =
                        model.queues.iter().find(|(_, queue)| queue[0] == found).unwrap();
                    model.refused.push(lane);
                    machine.block();
                }
            }
            Op::Unblock => {
                machine.unblock();
                model.refused.clear();
            }
            Op::Call => match machine.next_call() {
                None => {
                    let (high, low) = marks;
                    assert!(model.lost || (!model.ended && model.errors == 0));
                    assert!(model.lost || model.paused || model.size() <= high);
                    assert!(model.lost || !model.paused || model.size() > low);
                }
                Some(Call::PauseWriting) => {
                    assert!(!model.paused && !model.ended && model.size() > marks.0);
                    model.paused = true;
                }
                Some(Call::ResumeWriting) => {
                    assert!(model.paused && !model.ended && model.size() <= marks.1);
                    model.paused = false;
                }
                Some(Call::ErrorReceived(_)) => {
                    assert!(model.errors > 0 && !model.ended);
                    model.errors -= 1;
                    model.finish();
                }
                Some(Call::ConnectionLost(_)) => {
                    assert!(model.ended && !model.lost);
                    model.lost = true;
                }
                Some(Call::ConnectionMade | Call::Vanished(_)) => panic!("it was made already"),
            },
            Op::Error => {
                if machine.push_error(an_error()) {
                    model.errors += 1;
                } else {
                    assert!(model.ended || model.errors == MOST_ERRORS);
                }
            }
            Op::Marks { high, low } => {
                marks = (high, low);
                machine.set_limits(limits(high, low));
            }
            Op::DropQueue => {
                let count = model.queues.values().map(Vec::len).sum::<usize>();
                assert_eq!(machine.drop_queue(), count);
                model.queues.clear();
                model.refused.clear();
                model.finish();
            }
            Op::PauseReading(paused) => {
                machine.set_reading(!paused);
                assert!(machine.is_closing() || machine.may_read() != paused);
            }
            Op::Replace => {
                machine.protocol_replaced();
                model.paused = false;
            }
            Op::Close => {
                machine.close();
                model.closing = true;
                model.finish();
            }
            Op::Abort => {
                let was_over = model.ended;
                assert_eq!(machine.abort(End::Failed).is_none(), was_over);
                model.queues.clear();
                model.refused.clear();
                model.errors = 0;
                model.closing = true;
                model.ended = true;
            }
            Op::Push { .. } => {}
        }
        model.refused.retain(|lane| model.queues.contains_key(lane));
        assert_eq!(machine.size(), model.size());
        assert_eq!(machine.is_queue_empty(), model.queues.is_empty());
        assert_eq!(machine.held() == 0, model.queues.is_empty());
        assert_eq!(machine.is_closing(), model.closing || model.ended);
        assert_eq!(machine.is_lost(), model.lost);
    }
}

proptest! {
    #[test]
    fn x33_x34_x35_x36_x37_p3_a_machine_behaves_like_a_list_for_each_receiver(
        lane_each: bool,
        ops in vec(any_op(), 0..120),
    ) {
        run(lane_each, &ops);
    }
}
