//! What a protocol asks for while it is given bytes of a real socket costs none of them.

use crate::support::*;
use eventloop::TestLoop;
use futures::{Exception, SchedulerExt};
use proptest::collection::vec;
use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use tulipa_transports::{Buffered, BufferedProtocol, Protocol, Transport};

/// What is done in the next call.
#[derive(Clone, Copy, Debug)]
enum Act {
    PauseAndResume,
    PauseForATurn,
    PushBack,
    Replace,
    ReplaceAndPushBack,
    ReplaceByBuffered,
    Marks,
    Echo,
    LargeEcho,
    Kept,
    Abroad,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Send(usize),
    Will(Act),
    Pause,
    Resume,
    FromOutside,
    Turn,
    Run,
}

fn any_step() -> impl Strategy<Value = Step> {
    let acts = vec![
        Act::PauseAndResume,
        Act::PauseForATurn,
        Act::PushBack,
        Act::Replace,
        Act::ReplaceAndPushBack,
        Act::ReplaceByBuffered,
        Act::Marks,
        Act::Echo,
        Act::LargeEcho,
        Act::Kept,
        Act::Abroad,
    ];
    prop_oneof![
        8 => (1..3000usize).prop_map(Step::Send),
                10 => proptest::sample::select(acts).prop_map(Step::Will),
        2 => Just(Step::Pause),
        3 => Just(Step::Resume),
        2 => Just(Step::FromOutside),
        8 => Just(Step::Turn),
        4 => Just(Step::Run),
    ]
}

#[derive(Default)]
struct State {
    acts: VecDeque<Act>,
    received: Vec<u8>,
    echoed: usize,
    lost: usize,
}

struct Eater(Rc<RefCell<State>>, Vec<u8>);

impl Eater {
    fn eat(&mut self, transport: &dyn Transport, data: &[u8]) {
        let act = self.0.borrow_mut().acts.pop_front();
        let mut taken = data.len();
        match act {
            None => {}
            Some(Act::PauseAndResume) => {
                transport.pause_reading();
                transport.resume_reading();
            }
            Some(Act::PauseForATurn) => {
                transport.pause_reading();
                let kept = transport.handle();
                futures::current().call_soon(move || kept.resume_reading());
            }
            Some(Act::PushBack) => taken = data.len() / 2,
            Some(Act::Replace) => {
                transport.set_boxed_protocol(Box::new(Eater(self.0.clone(), Vec::new())));
            }
            Some(Act::ReplaceAndPushBack) => {
                transport.set_boxed_protocol(Box::new(Eater(self.0.clone(), Vec::new())));
                taken = data.len() / 3;
            }
            Some(Act::ReplaceByBuffered) => {
                let next = Buffered(Eater(self.0.clone(), vec![0; 700]));
                transport.set_boxed_protocol(Box::new(next));
            }
            Some(Act::Marks) => transport.set_write_buffer_limits(marks(100, 10)).unwrap(),
            Some(Act::Echo) => self.echo(transport, 30),
            Some(Act::LargeEcho) => self.echo(transport, 20_000),
            Some(Act::Kept) => {
                let kept = transport.handle();
                self.echo(&*kept, 10);
                assert!(kept.with_boxed_protocol(&mut |_, _| ()).is_err());
            }
            Some(Act::Abroad) => {
                let kept = transport.handle();
                let state = self.0.clone();
                futures::current().call_soon(move || {
                    let mut eater = Eater(state, Vec::new());
                    eater.echo(&*kept, 50);
                    let mut within =
                        |_: &mut dyn Protocol, lent: &dyn Transport| eater.echo(lent, 5);
                    kept.with_boxed_protocol(&mut within).unwrap();
                });
            }
        }
        self.0.borrow_mut().received.extend_from_slice(&data[..taken]);
        if taken < data.len() {
            transport.push_back(data[taken..].to_vec());
        }
    }

    fn echo(&mut self, transport: &dyn Transport, size: usize) {
        let from = self.0.borrow().echoed;
        let data: Vec<u8> = (from..from + size).map(|i| (i % 241) as u8).collect();
        if transport.write(&data).is_taken() {
            self.0.borrow_mut().echoed += size;
        }
    }
}

impl Protocol for Eater {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
        self.eat(transport, data);
    }

    fn connection_lost(&mut self, _: &dyn Transport, _: Option<Exception>) {
        self.0.borrow_mut().lost += 1;
    }
}

impl BufferedProtocol for Eater {
    fn get_buffer(&mut self, _: &dyn Transport, _: Option<usize>) -> &mut [u8] {
        &mut self.1
    }

    fn buffer_updated(&mut self, transport: &dyn Transport, count: usize) {
        let data = self.1[..count].to_vec();
        self.eat(transport, &data);
    }

    fn connection_lost(&mut self, _: &dyn Transport, _: Option<Exception>) {
        self.0.borrow_mut().lost += 1;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..Default::default() })]

    #[test]
    fn p21_x10_x11_r1_no_byte_is_lost_whatever_is_asked_for_while_it_is_given(
        steps in vec(any_step(), 0..40),
    ) {
        let event_loop = TestLoop::new();
        let state = Rc::<RefCell<State>>::default();
        let (transport, mut peer) = tcp(&event_loop, Eater(state.clone(), Vec::new()));
        let mut sent = 0;
        for step in steps {
            match step {
                Step::Send(size) => {
                    let data: Vec<u8> = (sent..sent + size).map(|i| (i % 251) as u8).collect();
                    send(&mut peer, &data);
                    sent += size;
                }
                Step::Will(act) => state.borrow_mut().acts.push_back(act),
                Step::Pause => transport.pause_reading(),
                Step::Resume => transport.resume_reading(),
                Step::FromOutside => {
                    let mut eater = Eater(state.clone(), Vec::new());
                    let mut within = |_: &mut dyn Protocol, lent: &dyn Transport| eater.echo(lent, 7);
                    transport.with_boxed_protocol(&mut within).unwrap();
                    eater.echo(&*transport, 9);
                }
                Step::Turn => event_loop.run_ready().unwrap(),
                Step::Run => event_loop.run_ready_now(),
            }
        }
        state.borrow_mut().acts.clear();
        event_loop.run_ready_now();
        transport.resume_reading();
        run_until(&event_loop, || state.borrow().received.len() >= sent);
        let expected: Vec<u8> = (0..sent).map(|i| (i % 251) as u8).collect();
        prop_assert!(state.borrow().received == expected);
        peer.shutdown(std::net::Shutdown::Write).unwrap();
        let back = read_to_end(&event_loop, &mut peer);
        let echoed: Vec<u8> = (0..state.borrow().echoed).map(|i| (i % 241) as u8).collect();
        prop_assert!(back == echoed);
        drop(peer);
        run_until(&event_loop, || state.borrow().lost == 1);
    }
}
