//! The check finds each kind of mistake, makes it small, and does not blame those who make none.

use super::*;
use crate::{Buffered, BufferedProtocol, Bytes, Eof, Protocol, Transport, TransportExt};
use futures::{Exception, SchedulerExt};
use std::collections::VecDeque;

/// A protocol made of one closure, which is called with all that came so far.
struct Gathering<F> {
    seen: Vec<u8>,
    act: F,
}

fn gathering<F: FnMut(&dyn Transport, &mut Vec<u8>) + 'static>(act: F) -> Gathering<F> {
    Gathering { seen: Vec::new(), act }
}

impl<F: FnMut(&dyn Transport, &mut Vec<u8>) + 'static> Protocol for Gathering<F> {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
        self.seen.extend_from_slice(data);
        (self.act)(transport, &mut self.seen);
    }

    fn memory_held(&self) -> Bytes {
        Bytes(self.seen.len())
    }
}

fn take_line(seen: &mut Vec<u8>) -> Option<Vec<u8>> {
    let end = seen.iter().position(|byte| *byte == b'\n')?;
    Some(seen.drain(..=end).collect())
}

/// Notes and answers lines, as it should.
fn lines(notes: Notes) -> impl Protocol {
    gathering(move |transport, seen| {
        while let Some(line) = take_line(seen) {
            notes.note(line.escape_ascii());
            transport.write(&line);
        }
    })
}

const FLOWERS: &[u8] = b"tulip\nrose\n\nlily of the valley\ncarnation\nunfinished";

fn failure_of(check: Chunking) -> String {
    check.try_check().expect_err("a protocol with a mistake").to_string()
}

#[test]
fn w16_a_protocol_without_mistake_passes() {
    Chunking::new(lines).input(FLOWERS).check();
}

#[test]
fn w16_a_line_that_is_taken_before_its_end_is_found_and_made_small() {
    let hasty = |notes: Notes| {
        gathering(move |_, seen| {
            let mut rest = std::mem::take(seen);
            while let Some(line) = take_line(&mut rest) {
                notes.note(line.escape_ascii());
            } // and what is left is forgotten
        })
    };
    let text = failure_of(Chunking::new(hasty).input(b"\n").input(FLOWERS));
    assert!(text.contains(r"note 2 is `tulip\n` in one piece, `ulip\n` here"), "{text}");
    assert!(text.contains(r#"input: b"\n" || b"t" | b"ulip\n" (broken off at 7 of"#), "{text}");
}

#[test]
fn w16_a_mistake_that_needs_two_cuts_is_reduced_to_two() {
    // Three pieces with the same line confuse it.
    let confused = |notes: Notes| {
        let mut pieces = 0;
        gathering(move |_, seen| {
            pieces += 1;
            while let Some(line) = take_line(seen) {
                notes.note(if pieces == 3 { "confused" } else { "line" });
                assert!(!line.is_empty());
            }
            pieces = if seen.is_empty() { 0 } else { pieces };
        })
    };
    let check = || Chunking::new(confused).input(b"0123456789abcdefghij\n".repeat(5)).seed(3);
    let failure = check().try_check().unwrap_err();
    let text = failure.to_string();
    let input = text.lines().find(|line| line.contains("input:")).unwrap();
    assert_eq!(input.matches(" | ").count(), 2, "{text}");
    assert!(text.contains(" is `line` in one piece, `confused` here"), "{text}");
    // The same seed finds the same.
    assert_eq!(check().try_check().unwrap_err().to_string(), text);
    let seed = failure.seed().expect("found by chance");
    assert_eq!(check().seed(seed).runs(1).try_check().unwrap_err().to_string(), text);
    assert!(text.contains(&format!("to repeat it: .seed({seed}).runs(1)")), "{text}");
}

#[test]
fn w16_replies_that_differ_are_shown_from_where_they_do() {
    let counting = |_| gathering(|transport, seen| _ = transport.write(&vec![b'x'; seen.len()]));
    let text = failure_of(Chunking::new(counting).input(b"abc"));
    assert!(text.contains("its replies are b\"xx\" in one piece, b\"xxx\" here"), "{text}");
}

#[test]
fn w16_closing_only_in_one_piece_is_found() {
    let closing = |notes: Notes| {
        notes.note("made");
        gathering(|transport, seen| {
            if seen.ends_with(b"quit") {
                transport.close();
            }
            seen.clear();
        })
    };
    let text = failure_of(Chunking::new(closing).input(b"quit"));
    assert!(text.contains("in one piece, and not here"), "{text}");
    assert!(text.contains(r#"b"q" | b"uit""#), "{text}");
}

#[test]
fn w16_a_panic_is_told_with_its_cuts() {
    let panics = |notes: Notes| {
        gathering(move |_, seen| {
            assert_ne!(seen.as_slice(), b"tul", "three bytes are too few");
            if seen.ends_with(b"p") {
                notes.note(seen.len());
            }
        })
    };
    let text = failure_of(Chunking::new(panics).input(b"tulip"));
    assert!(text.contains("the protocol panicked: "), "{text}");
    assert!(text.contains("input: b\"tul\" (broken off at 3 of 5 bytes)"), "{text}");
}

#[test]
fn w16_what_is_left_on_the_loop_is_found_and_may_be_allowed() {
    let forgetful = |notes: Notes| {
        notes.note("made");
        gathering(|_, _| drop(futures::current().call_later(Duration::from_secs(60), || {})))
    };
    let text = failure_of(Chunking::new(forgetful).input(b"tulip"));
    assert!(text.contains("left something behind: timer"), "{text}");
    Chunking::new(forgetful).input(b"tulip").allow_leftovers().check();
}

#[test]
fn w16_an_invariant_is_asked_of_runs_that_break_off_too() {
    let lens = Rc::new(std::cell::RefCell::new(Vec::new()));
    let seen = lens.clone();
    Chunking::new(lines)
        .input(FLOWERS)
        .invariant(move |run| seen.borrow_mut().push((run.sent().len(), run.ending())))
        .invariant(|run| assert!(run.most_held() <= Bytes(FLOWERS.len())))
        .invariant(|run| assert!(run.replies().len() <= run.sent().len()))
        .check();
    let lens = lens.borrow();
    assert!(lens.iter().any(|(len, _)| *len < FLOWERS.len()));
    for ending in [Ending::Eof, Ending::Reset, Ending::Open] {
        assert!(lens.iter().any(|(_, it)| *it == ending));
    }
    let text = failure_of(Chunking::new(lines).input(FLOWERS).invariant(|run| {
        assert!(run.ending() != Ending::Reset, "no reset, please");
    }));
    assert!(text.contains("an invariant does not hold"), "{text}");
    assert!(text.contains("no reset, please"), "{text}");
}

#[test]
fn w16_a_check_that_sees_nothing_is_no_check() {
    let text = failure_of(Chunking::new(|_| gathering(|_, _| {})).input(b"tulip"));
    assert!(text.contains("nothing is seen of the protocol"), "{text}");
}

#[test]
fn w16_parts_of_a_dialogue_are_never_joined() {
    // It takes what comes with the command for a part of it, and the peer waits for the answer.
    let dialogue = |_| {
        let mut turn = 0;
        gathering(move |transport, seen| {
            if seen.ends_with(b"\n") {
                turn += 1;
                transport.write(format!("{turn}: {}\n", seen.len()).as_bytes());
                seen.clear();
            }
        })
    };
    Chunking::new(dialogue).input(b"hello\n").input(b"name\n").input(b"quit\n").check();
    let text = failure_of(Chunking::new(dialogue).input(b"hello\nname\nquit\n"));
    assert!(text.contains("its replies are"), "{text}");
}

/// Fills buffers of three bytes.
struct InThrees {
    buffer: [u8; 3],
    notes: Notes,
}

impl BufferedProtocol for InThrees {
    fn get_buffer(&mut self, _: &dyn Transport, _: Option<usize>) -> &mut [u8] {
        &mut self.buffer
    }

    fn buffer_updated(&mut self, transport: &dyn Transport, count: usize) {
        self.notes.bytes(&self.buffer[..count]);
        transport.write(&self.buffer[..count]);
    }

    fn eof_received(&mut self, transport: &dyn Transport) -> Eof {
        self.notes.note("the end");
        transport.write(b"bye");
        Eof::Close
    }

    fn connection_lost(&mut self, _: &dyn Transport, reason: Option<Exception>) {
        self.notes.note(reason.is_some());
    }
}

#[test]
fn w16_buffered_protocols_and_streams_of_bytes_are_checked_too() {
    Chunking::new(|notes| Buffered(InThrees { buffer: [0; 3], notes })).input(FLOWERS).check();
}

/// Answers as late as it can: pauses reading until the next turn, or for some time.
struct Late {
    queue: Rc<std::cell::RefCell<VecDeque<u8>>>,
    pause: Option<Duration>,
}

impl Protocol for Late {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
        self.queue.borrow_mut().extend(data);
        transport.pause_reading();
        let (handle, queue) = (transport.handle(), self.queue.clone());
        let answer = move || {
            let data: Vec<u8> = queue.borrow_mut().drain(..).collect();
            handle.write(&data);
            handle.resume_reading();
        };
        match self.pause {
            None => drop(futures::current().call_soon(answer)),
            Some(pause) => drop(futures::current().call_later(pause, answer)),
        }
    }
}

#[test]
fn w16_protocols_that_answer_later_are_given_the_time() {
    let late = |pause| move |_| Late { queue: Rc::default(), pause };
    Chunking::new(late(None)).input(FLOWERS).check();
    let pause = Duration::from_secs(1);
    let time = Duration::from_secs(100);
    let check = Chunking::new(late(Some(pause))).input(FLOWERS).time_to_answer(time);
    check.allow_leftovers().check();
}

#[test]
fn w16_a_protocol_that_is_replaced_goes_on_being_seen() {
    let first = |notes: Notes| {
        gathering(move |transport, seen| {
            if let Some(line) = take_line(seen) {
                notes.note(line.escape_ascii());
                // What came with the line goes along, as it has to.
                let mut next = lines(notes.clone());
                let rest = std::mem::take(seen);
                if !rest.is_empty() {
                    next.data_received(transport, &rest);
                }
                transport.set_protocol(next);
            }
        })
    };
    Chunking::new(first).input(FLOWERS).check();
}

#[test]
fn w16_a_protocol_that_aborts_may_lose_replies() {
    let aborting = |_| {
        gathering(|transport, seen| {
            while let Some(line) = take_line(seen) {
                transport.write(&line);
                if line == b"rose\n" {
                    return transport.abort();
                }
            }
        })
    };
    let text = failure_of(Chunking::new(aborting).input(FLOWERS));
    assert!(text.contains(r#"its replies are b"" in one piece, b"tulip\n" here"#), "{text}");
    Chunking::new(aborting).input(FLOWERS).replies_may_be_lost().check();
}

#[test]
fn w16_a_byte_that_is_lost_only_at_a_pause_is_found() {
    // It pauses after each line, and forgets the first byte of the next one if that has come.
    let losing = |notes: Notes| {
        gathering(move |transport, seen| {
            while let Some(line) = take_line(seen) {
                notes.note(line.escape_ascii());
                let handle = transport.handle();
                transport.pause_reading();
                drop(futures::current().call_soon(move || handle.resume_reading()));
                if seen.len() == 1 {
                    seen.clear();
                }
            }
        })
    };
    let text = failure_of(Chunking::new(losing).input(FLOWERS));
    assert!(text.contains("depends on how its input is cut"), "{text}");
}

#[test]
fn w16_one_that_goes_on_after_its_own_close_is_found() {
    // What lies behind the last line in the same piece is taken nonetheless.
    let deaf = |notes: Notes| {
        gathering(move |transport, seen| {
            while let Some(line) = take_line(seen) {
                notes.note(line.escape_ascii());
                if line == b"rose\n" {
                    transport.close();
                }
            }
        })
    };
    let text = failure_of(Chunking::new(deaf).input(FLOWERS));
    assert!(text.contains("in one piece, missing here"), "{text}");
}

#[test]
fn w16_one_that_takes_a_silence_for_an_end_is_found() {
    let impatient = |notes: Notes| {
        let mut last = None;
        gathering(move |transport, seen| {
            let now = futures::current().time();
            let silence = last.replace(now).map(|last| now.saturating_duration_since(last));
            if silence > Some(Duration::from_millis(20)) {
                seen.clear();
            }
            while let Some(line) = take_line(seen) {
                notes.note(line.escape_ascii());
                transport.write(&line);
            }
        })
    };
    let text = failure_of(Chunking::new(impatient).input(FLOWERS));
    assert!(text.contains("later)"), "{text}");
}

#[test]
fn w16_what_one_connection_leaves_to_the_next_is_found() {
    // What was not finished when the connection was lost greets the next client.
    let left = Rc::new(std::cell::RefCell::new(Vec::new()));
    let leaking = move |notes: Notes| {
        let left = left.clone();
        gathering(move |transport, seen| {
            seen.splice(0..0, left.borrow_mut().drain(..));
            while let Some(line) = take_line(seen) {
                notes.note(line.escape_ascii());
                transport.write(&line);
            }
            left.borrow_mut().append(seen);
        })
    };
    let text = failure_of(Chunking::new(leaking).input(FLOWERS));
    assert!(text.contains("depends on how its input is cut"), "{text}");
}

#[test]
fn w16_a_protocol_is_made_with_its_loop_at_hand_as_in_a_server() {
    let timed = |notes: Notes| {
        let made = futures::current().time();
        gathering(move |_, seen| notes.note(seen.len() < 9 || futures::current().time() >= made))
    };
    Chunking::new(timed).input(b"x").check();
}
