//! Random requests on both sides: the lives are complete and the bytes are right (P-8, R-1, R-2).

use crate::kinds::{Kind, each, finish};
use crate::support::*;
use eventloop::TestLoop;
use futures::Future;
use proptest::collection::vec;
use proptest::prelude::*;
use std::cell::RefCell;
use std::fs::File;
use std::io::Seek;
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::sync::Arc;
use tulipa_transports::{SendFileError, Transport, WriteState};

#[derive(Clone, Debug)]
enum Step {
    Write(usize),
    WriteParts(usize, usize),
    WriteOwned(usize),
    SendFile(usize),
    CancelFile,
    Marks(usize),
    PauseReading,
    ResumeReading,
    WriteEof,
    Close,
    Abort,
    Run,
}

fn any_step() -> impl Strategy<Value = (bool, Step)> {
    let step = prop_oneof![
        4 => (0..60_000usize).prop_map(Step::Write),
        2 => (0..9_000usize, 0..70_000usize).prop_map(|(a, b)| Step::WriteParts(a, b)),
        2 => (0..200_000usize).prop_map(Step::WriteOwned),
        2 => (1..200_000usize).prop_map(Step::SendFile),
        1 => Just(Step::CancelFile),
        1 => (0..100_000usize).prop_map(Step::Marks),
        2 => Just(Step::PauseReading),
        3 => Just(Step::ResumeReading),
        1 => Just(Step::WriteEof),
        1 => Just(Step::Close),
        1 => Just(Step::Abort),
        6 => Just(Step::Run),
    ];
    (any::<bool>(), step)
}

/// What one side has had taken, and what the other has received.
#[derive(Default)]
struct Stream {
    next: u8,
    taken: Vec<u8>,
    received: Rc<RefCell<Vec<u8>>>,
    /// The sender threw something away, or ended with an error.
    cut: bool,
    sending: Option<Sending>,
}

/// A file that is being sent.
struct Sending {
    data: Vec<u8>,
    file: Arc<File>,
    sent: Future<u64>,
}

impl Stream {
    fn data(&mut self, size: usize) -> Vec<u8> {
        self.next = self.next.wrapping_add(1);
        (0..size).map(|index| (index % 251) as u8 ^ self.next).collect()
    }

    fn note(&mut self, state: WriteState, data: &[u8]) {
        if state.is_taken() {
            self.taken.extend_from_slice(data);
        }
    }

    fn send_file(&mut self, transport: &dyn Transport, size: usize) {
        let data = self.data(size);
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&data, 0).unwrap();
        let file = Arc::new(file);
        let sent = transport.send_file((&file).into());
        let refused = sent.done();
        if !refused {
            assert!(self.sending.replace(Sending { data, file, sent }).is_none(), "two at once");
        }
    }

    fn cancel_file(&mut self, transport: &dyn Transport) {
        let Some(Sending { data, mut file, sent }) = self.sending.take() else { return };
        sent.cancel();
        transport.write(b""); // from now on it is not sent any more
        let position = file.stream_position().unwrap();
        self.taken.extend_from_slice(&data[..position as usize]);
    }

    /// Takes note of a file that has been sent, whole or in part.
    fn look_at_file(&mut self) {
        let Some(Sending { data, sent, .. }) = self.sending.take_if(|sending| sending.sent.done())
        else {
            return;
        };
        let count = sent.result().unwrap_or_else(|error| {
            self.cut = true;
            SendFileError::of(&error).expect("an error that says how much was sent").sent()
        });
        self.taken.extend_from_slice(&data[..count as usize]);
    }

    fn check_received(&self) {
        let received = self.received.borrow();
        let mut taken = self.taken.clone();
        taken.extend(self.sending.iter().flat_map(|sending| &sending.data));
        assert!(taken.starts_with(&received), "bytes were changed");
    }
}

fn apply(transport: &dyn Transport, stream: &mut Stream, step: &Step) {
    match *step {
        Step::Write(size) => {
            let data = stream.data(size);
            stream.note(transport.write(&data), &data);
        }
        Step::WriteParts(first, second) => {
            let data = stream.data(first + second);
            let (one, two) = data.split_at(first);
            stream.note(transport.writelines(&[one, two]), &data);
        }
        Step::WriteOwned(size) => {
            let data = stream.data(size);
            stream.note(transport.write_vec(data.clone()), &data);
        }
        Step::SendFile(size) => stream.send_file(transport, size),
        Step::CancelFile => stream.cancel_file(transport),
        Step::Marks(high) => {
            let limits = marks(high, high / 4);
            transport.set_write_buffer_limits(limits).expect("marks in order");
        }
        Step::PauseReading => transport.pause_reading(),
        Step::ResumeReading => transport.resume_reading(),
        Step::WriteEof => transport.write_eof(),
        Step::Close => transport.close(),
        Step::Abort => {
            stream.cut = true;
            transport.abort();
        }
        Step::Run => {}
    }
}

fn run(kind: &Kind, steps: &[(bool, Step)]) {
    let event_loop = TestLoop::new();
    // The first goes from left to right, the second from right to left.
    let mut streams = [Stream::default(), Stream::default()];
    let collect = |stream: &Stream| {
        let received = stream.received.clone();
        let mut calls = 0;
        Hooks::new().keep_open().data(move |transport, data| {
            // Now and then it wants only some of it now.
            calls += 1;
            let count = if calls % 3 == 0 { data.len() / 3 + 1 } else { data.len() };
            received.borrow_mut().extend_from_slice(&data[..count]);
            transport.push_back(data[count..].to_vec());
            assert!(count == data.len() || !transport.can_deliver());
        })
    };
    let (pair, left, right) =
        kind.recorded(&event_loop, collect(&streams[1]), collect(&streams[0]));
    for (on_left, step) in steps {
        // Who sends a file reads nothing meanwhile: two who send to each other would wait for ever.
        streams.iter_mut().for_each(Stream::look_at_file);
        if matches!(step, Step::SendFile(_)) && streams.iter().any(|one| one.sending.is_some()) {
            continue;
        }
        let (transport, stream) = match on_left {
            true => (&pair.left, &mut streams[0]),
            false => (&pair.right, &mut streams[1]),
        };
        apply(&**transport, stream, step);
        if let Step::Run = step {
            event_loop.run_ready_now();
        }
        for stream in &mut streams {
            stream.look_at_file();
            stream.check_received();
        }
    }
    // A close leaves what the peer still sends unread, so that the peer may be cut.
    let clean = !steps.iter().any(|(_, step)| matches!(step, Step::Close | Step::Abort));
    // Who closes reads nothing either: with an end that closes too, or sends a file, both might wait
    // for ever, for closing has no limit in time here.
    if pair.left.is_closing() && pair.right.is_closing() {
        streams[0].cut = true;
        pair.left.abort();
    }
    let [first, second] = &mut streams;
    for (own, peer, stream) in [(&pair.left, &pair.right, first), (&pair.right, &pair.left, second)]
    {
        if peer.is_closing() {
            stream.cancel_file(&**own);
        }
    }
    pair.left.resume_reading();
    pair.right.resume_reading();
    // One that cannot end one direction alone must not end before it has read all.
    run_until(&event_loop, || {
        streams.iter_mut().for_each(Stream::look_at_file);
        let all = |stream: &Stream| {
            stream.sending.is_none() && stream.taken.len() == stream.received.borrow().len()
        };
        let ends = left.is_lost() || right.is_lost() || pair.left.is_closing();
        kind.half_close || ends || pair.right.is_closing() || streams.iter().all(all)
    });
    kind.end_output(&*pair.left);
    kind.end_output(&*pair.right);
    run_until(&event_loop, || left.is_lost() && right.is_lost());
    for stream in &mut streams {
        stream.look_at_file();
        assert!(stream.sending.is_none(), "who sent a file was not told how it ended");
        stream.check_received();
        assert!(!clean || stream.taken == *stream.received.borrow(), "bytes were lost");
    }
    if clean {
        assert_eq!((left.lost_reason(), right.lost_reason()), (Some(None), Some(None)));
    }
    finish(&event_loop, [&left, &right]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, max_shrink_iters: 20, failure_persistence: None, ..Default::default() })]

    #[test]
    fn n51_p1_p7_p8_r1_r2_random_requests_keep_lives_and_bytes(steps in vec(any_step(), 0..40)) {
        each(|kind| run(kind, &steps));
    }
}
