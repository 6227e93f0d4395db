//! Guests in memory, on a clock that steps by itself.

use super::*;
use std::time::Duration;
use tulipa::testing::{MemoryLoop, MemoryOptions};
use tulipa::{Bytes, Task, TestLoop};

/// A guest's side, and the task that serves it.
struct Visitor {
    reader: StreamReader,
    writer: StreamWriter,
    task: Task<()>,
}

fn room(largest: usize, backlog: usize) -> Rc<Room> {
    Room::new(largest, NonZeroUsize::new(backlog).unwrap())
}

fn visit(event_loop: &TestLoop, room: &Rc<Room>) -> Visitor {
    let streams = event_loop.memory_streams(MemoryOptions::default());
    let room = room.clone();
    let (reader, writer) = streams.right;
    let task = event_loop.create_task(async move { talk(&room, reader, writer).await });
    event_loop.run_ready_now();
    let (reader, writer) = streams.left;
    Visitor { reader, writer, task }
}

impl Visitor {
    /// What came to the visitor since the last time.
    fn heard(&mut self, event_loop: &TestLoop) -> String {
        event_loop.run_ready_now();
        let mut heard = Vec::new();
        loop {
            let mut piece = [0; 4096];
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            match self.reader.poll_read(&mut context, &mut piece) {
                std::task::Poll::Ready(Ok(count)) if count > 0 => heard.extend(&piece[..count]),
                _ => break,
            }
            event_loop.run_ready_now();
        }
        String::from_utf8(heard).unwrap()
    }

    fn say(&self, event_loop: &TestLoop, line: &str) {
        self.writer.write(line.as_bytes());
        event_loop.run_ready_now();
    }
}

/// The end of a test: everybody goes, and nothing is left.
fn leave(event_loop: TestLoop, visitors: impl IntoIterator<Item = Visitor>) {
    for visitor in visitors {
        visitor.task.cancel();
    }
    event_loop.run_until_idle();
}

#[test]
fn a_line_goes_to_all_others() {
    let event_loop = TestLoop::new();
    let room = room(10, 100);
    let mut ann = visit(&event_loop, &room);
    let mut bob = visit(&event_loop, &room);
    ann.say(&event_loop, "/nick Ann\nhello\n/who\n/nick GUEST2\n");
    assert_eq!(
        ann.heard(&event_loop),
        "* welcome, you are guest1; /help helps\n* guest2 is here\n* you are Ann\n\
         * here: Ann, guest2\n* GUEST2 is taken\n"
    );
    bob.say(&event_loop, "hi\n/quit\nno more\n");
    assert_eq!(
        bob.heard(&event_loop),
        "* welcome, you are guest2; /help helps\n* guest1 is now Ann\nAnn: hello\n* goodbye\n"
    );
    assert_eq!(ann.heard(&event_loop), "guest2: hi\n* guest2 is gone\n");
    assert!(bob.task.done() && bob.reader.at_eof());
    ann.writer.write_eof();
    assert_eq!(ann.heard(&event_loop), "* goodbye\n");
    assert_eq!(room.guest_count(), 0);
    leave(event_loop, [ann, bob]);
}

#[test]
fn a_full_room_lets_nobody_in_until_somebody_leaves() {
    let event_loop = TestLoop::new();
    let room = room(1, 100);
    let ann = visit(&event_loop, &room);
    let mut bob = visit(&event_loop, &room);
    assert_eq!(bob.heard(&event_loop), "* the room is full\n");
    assert!(bob.reader.at_eof());
    ann.say(&event_loop, "/quit\n");
    let mut eve = visit(&event_loop, &room);
    assert!(eve.heard(&event_loop).contains("welcome"));
    leave(event_loop, [ann, bob, eve]);
}

#[test]
fn a_line_without_an_end_ends_the_visit() {
    let event_loop = TestLoop::new();
    let room = room(10, 100);
    let mut ann = visit(&event_loop, &room);
    ann.say(&event_loop, &"a".repeat(70 * 1024));
    assert!(ann.heard(&event_loop).ends_with("* a line may have 65536 bytes, goodbye\n"));
    assert!(ann.task.exception().unwrap().is_some_and(|error| error.is::<LimitOverrunError>()));
    assert_eq!(room.guest_count(), 0);
    leave(event_loop, [ann]);
}

#[test]
fn who_does_not_read_misses_lines_and_holds_up_nobody() {
    let event_loop = TestLoop::new();
    let room = room(10, 8);
    let mut deaf = visit(&event_loop, &room);
    let ann = visit(&event_loop, &room);
    let mut bob = visit(&event_loop, &room);
    // More than the visitor's reader and the output take.
    let long = "x".repeat(10_000);
    let mut heard = String::new();
    for number in 0..100 {
        ann.say(&event_loop, &format!("{number} {long}\n"));
        heard += &bob.heard(&event_loop);
    }
    assert_eq!(heard.matches(&long).count(), 100, "one who reads misses nothing");
    let heard = deaf.heard(&event_loop);
    let missed = heard.lines().find_map(|line| {
        line.strip_prefix("* you missed ")?.strip_suffix(" lines")?.parse::<usize>().ok()
    });
    assert_eq!(heard.matches(&long).count() + missed.unwrap_or_default(), 100);
    assert!(missed > Some(50));
    leave(event_loop, [deaf, ann, bob]);
}

#[test]
fn a_room_that_closes_says_goodbye_and_waits_for_the_deaf_no_longer_than_it_must() {
    let event_loop = TestLoop::new();
    let room = room(10, 8);
    let talks = event_loop.create_scope();
    let visit = |capacity| {
        let streams = event_loop.memory_streams(MemoryOptions::default().capacity(capacity));
        let (room, (reader, writer)) = (room.clone(), streams.right);
        talks.spawn(async move { drop(talk(&room, reader, writer).await) });
        (streams.left, streams.pair)
    };
    let ((mut reader, writer), _) = visit(Bytes::kib(64));
    let (deaf, pair) = visit(Bytes(1));
    event_loop.run_ready_now();
    pair.left.pause_reading();

    let begin = event_loop.time();
    let closed = talks.close_within(Duration::from_secs(5));
    let report = event_loop.run_until_complete(&closed).unwrap();
    assert_eq!((report.ended, report.aborted), (1, 1));
    assert_eq!(event_loop.time() - begin, Duration::from_secs(5));
    let heard = event_loop.run_coroutine(async move { reader.read_to_end().await }).unwrap();
    assert!(heard.ends_with(b"* the room closes, goodbye\n"));
    pair.right.abort();
    drop((writer, deaf));
    event_loop.run_until_idle();
}
