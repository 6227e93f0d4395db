//! What an operation with a file leaves in memory: nothing.

mod counting;

use counting::BYTES;
use eventloop::{EventLoop, prelude::*};
use std::sync::atomic::Ordering::Relaxed;
use tulipa_transports::files::FileLoop;

#[test]
fn r4_writing_files_atomically_leaves_nothing_in_memory() {
    const WRITES: usize = 200;
    let event_loop = EventLoop::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a-name-of-some-length-that-would-be-noticed");
    let write = |count| {
        for _ in 0..count {
            let done = event_loop.write_file_atomically(&path, "tulip");
            event_loop.run_until_complete(&done).unwrap();
        }
    };
    write(WRITES);
    let before = BYTES.load(Relaxed);
    write(WRITES);
    let left = BYTES.load(Relaxed).saturating_sub(before);
    assert!(left < WRITES * 10, "{left} bytes are left after {WRITES} writes");
}
