use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

/// What can happen to a child, and what its driver does.
#[derive(Clone, Copy, Debug)]
enum Event {
    Data(usize),
    Lost(usize),
    Exited,
    /// The driver makes the next call.
    Turn,
    CallOff,
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (0..3_usize).prop_map(Event::Data),
        (0..3_usize).prop_map(Event::Lost),
        Just(Event::Exited),
        Just(Event::Turn),
        Just(Event::Turn),
    ]
}

/// What the protocol saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Called(Call),
    Data(usize),
}

/// The model: a plain list of what happened, to be told in order behind `connection_made`.
#[derive(Default)]
struct Model {
    called_off: bool,
    made: bool,
    lost: [bool; 3],
    exited: bool,
    told: Vec<Seen>,
    waiting: Vec<Call>,
    over: bool,
}

impl Model {
    fn complete(&self, piped: [bool; 3]) -> bool {
        self.exited && (0..3).all(|fd| !piped[fd] || self.lost[fd])
    }
}

/// `CM (PD | PL | PX)* CL`, each pipe `PD* PL`, `PX` once, `CL` after all of these.
fn check_grammar(told: &[Seen], piped: [bool; 3]) {
    let position = |wanted: Seen| told.iter().position(|seen| *seen == wanted);
    let times = |wanted: Seen| told.iter().filter(|seen| **seen == wanted).count();
    if told.is_empty() || told == [Seen::Called(Call::Vanished)] {
        return;
    }
    assert_eq!(told[0], Seen::Called(Call::ConnectionMade));
    assert_eq!(times(Seen::Called(Call::ConnectionMade)), 1);
    assert!(times(Seen::Called(Call::ProcessExited)) <= 1);
    assert_eq!(times(Seen::Called(Call::Vanished)), 0);
    for (fd, piped) in piped.into_iter().enumerate() {
        let ends = times(Seen::Called(Call::PipeConnectionLost(fd)));
        assert!(ends <= usize::from(piped));
        if let Some(end) = position(Seen::Called(Call::PipeConnectionLost(fd))) {
            assert!(!told[end..].contains(&Seen::Data(fd)), "data after its end");
        }
    }
    if let Some(end) = position(Seen::Called(Call::ConnectionLost)) {
        assert_eq!(end, told.len() - 1, "something after the end");
        assert_eq!(times(Seen::Called(Call::ProcessExited)), 1);
        for (fd, piped) in piped.into_iter().enumerate() {
            let ends = times(Seen::Called(Call::PipeConnectionLost(fd)));
            assert_eq!(ends, usize::from(piped));
        }
    }
}

fn play(piped: [bool; 3], events: &[Event]) {
    let mut machine = SubprocessMachine::new(piped);
    let mut model = Model::default();
    let mut told = Vec::new();
    for event in events {
        match *event {
            Event::Data(fd) => {
                let expected = model.made
                    && !model.over
                    && piped[fd]
                    && !model.lost[fd]
                    && model.waiting.is_empty();
                assert_eq!(machine.may_deliver(fd), expected);
                if expected {
                    told.push(Seen::Data(fd));
                    model.told.push(Seen::Data(fd));
                }
            }
            Event::Lost(fd) => {
                let news = piped[fd] && !model.lost[fd];
                assert_eq!(machine.pipe_lost(fd), news);
                if news {
                    model.lost[fd] = true;
                    model.waiting.push(Call::PipeConnectionLost(fd));
                }
            }
            Event::Exited => {
                assert_eq!(machine.exited(), !model.exited);
                if !model.exited {
                    model.exited = true;
                    model.waiting.push(Call::ProcessExited);
                }
            }
            Event::CallOff => {
                machine.call_off();
                model.called_off |= !model.made;
            }
            Event::Turn => {
                let expected = if model.over {
                    None
                } else if model.called_off {
                    model.complete(piped).then_some(Call::Vanished)
                } else if !model.made {
                    Some(Call::ConnectionMade)
                } else if !model.waiting.is_empty() {
                    Some(model.waiting.remove(0))
                } else {
                    model.complete(piped).then_some(Call::ConnectionLost)
                };
                model.made |= expected == Some(Call::ConnectionMade);
                model.over |= matches!(expected, Some(Call::ConnectionLost | Call::Vanished));
                model.told.extend(expected.map(Seen::Called));
                let owed = machine.owed_call();
                let call = machine.next_call();
                assert_eq!(call, owed);
                told.extend(call.map(Seen::Called));
            }
        }
        assert_eq!(told, model.told);
    }
    check_grammar(&told, piped);
}

proptest! {
    #[test]
    fn p4_calls_follow_the_grammar_whatever_happens(
        piped in any::<[bool; 3]>(),
        events in vec(any_event(), 0..40),
    ) {
        play(piped, &events);
    }

    #[test]
    fn p7_c9_one_that_is_called_off_is_never_told_anything(
        piped in any::<[bool; 3]>(),
        before in vec(any_event().prop_filter("no turn yet", |event| !matches!(event, Event::Turn)), 0..8),
        after in vec(any_event(), 0..40),
    ) {
        let events: Vec<_> = before.into_iter().chain([Event::CallOff]).chain(after).collect();
        play(piped, &events);
    }

    #[test]
    fn p4_every_run_ends_once_all_has_happened(
        piped in any::<[bool; 3]>(),
        events in vec(any_event(), 0..40),
    ) {
        let rest = [Event::Exited, Event::Lost(0), Event::Lost(1), Event::Lost(2)];
        let turns = [Event::Turn; 60];
        let events: Vec<_> = events.into_iter().chain(rest).chain(turns).collect();
        play(piped, &events);
        let mut machine = SubprocessMachine::new(piped);
        for event in &events {
            match *event {
                Event::Lost(fd) => { machine.pipe_lost(fd); }
                Event::Exited => { machine.exited(); }
                Event::Turn => { machine.next_call(); }
                Event::Data(_) | Event::CallOff => {}
            }
        }
        assert_eq!(machine.life, Life::Over);
    }
}

#[test]
fn c4_what_happens_before_connection_made_comes_after_it_in_order() {
    let mut machine = SubprocessMachine::new([false, true, false]);
    assert!(machine.exited());
    assert!(!machine.exited());
    assert!(machine.pipe_lost(1));
    let calls: Vec<_> = std::iter::from_fn(|| machine.next_call()).collect();
    let expected = [
        Call::ConnectionMade,
        Call::ProcessExited,
        Call::PipeConnectionLost(1),
        Call::ConnectionLost,
    ];
    assert_eq!(calls, expected);
}
