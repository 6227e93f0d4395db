//! A file is sent in pieces as the transport drains (W-17).

use crate::support::*;
use eventloop::TestLoop;
use futures::Exception;
use std::fs::File;
use std::io::{Read, Seek, Write};
use tulipa_transports::testing::{MemoryLoop, MemoryOptions};
use tulipa_transports::{Bytes, NetworkLoop, SendFile, SendFileError, Transport};

fn file_of(contents: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(contents).unwrap();
    file.rewind().unwrap();
    file
}

/// Collects what comes.
fn collecting() -> (Hooks, Slot<Vec<u8>>) {
    let received = Slot::<Vec<u8>>::new();
    let seen = received.clone();
    (Hooks::new().data(move |_, data| seen.update(|all| all.extend_from_slice(data))), received)
}

#[test]
fn w17_a_file_is_sent_in_pieces_as_the_transport_drains() {
    let event_loop = TestLoop::new();
    let contents = pattern(3_000_000);
    let (right, received) = collecting();
    let options = MemoryOptions::default().capacity(Bytes(5000));
    let pair = event_loop.memory_pair(Hooks::new(), right, options);
    event_loop.run_ready_now();
    let sending = pair.left.send_file(SendFile::from(file_of(&contents)));
    let most = Slot::<usize>::new();
    while !sending.done() {
        event_loop.run_ready().unwrap();
        most.update(|most| *most = (*most).max(event_loop.output_total().0));
    }
    assert_eq!(sending.result().unwrap(), 3_000_000);
    assert!(most.get() <= 512 * 1024, "{} bytes were held", most.get());
    pair.left.close();
    run_until(&event_loop, || event_loop.open_connections() == 0);
    assert!(received.get() == contents);
}

#[test]
fn w17_sending_that_is_stopped_says_how_far_it_came() {
    let event_loop = TestLoop::new();
    let (right, _) = collecting();
    let pair = event_loop.memory_pair(Hooks::new(), right, MemoryOptions::default());
    event_loop.run_ready_now();
    pair.set_capacity(Bytes(1000));
    pair.right.pause_reading();
    let sending = pair.left.send_file(SendFile::from(file_of(&pattern(100_000))));
    run_until(&event_loop, || event_loop.output_total() > Bytes(0) || sending.done());
    pair.left.abort();
    run_until(&event_loop, || sending.done());
    let error = sending.result().unwrap_err();
    assert!(sent_of(&error) < 100_000, "{error:?}");
    pair.right.abort();
    run_until(&event_loop, || event_loop.open_connections() == 0);
}

fn sent_of(error: &Exception) -> u64 {
    let inner = error.downcast_ref::<std::io::Error>().and_then(|error| error.get_ref());
    inner.and_then(|error| error.downcast_ref::<SendFileError>()).expect("how far it came").sent()
}

/// What a `FileSender` with a transformation is: a coroutine that waits until each piece is sent.
async fn send_shouting(transport: &dyn Transport, mut file: File) -> Result<usize, Exception> {
    let (mut piece, mut sent) = (vec![0; 16 * 1024], 0);
    loop {
        let count = file.read(&mut piece)?;
        if count == 0 {
            return Ok(sent);
        }
        transport.write_vec(piece[..count].to_ascii_uppercase()).into_result()?;
        transport.drained().await?;
        sent += count;
    }
}

#[test]
fn w17_what_is_changed_on_the_way_is_written_by_a_coroutine() {
    let event_loop = TestLoop::new();
    let (right, received) = collecting();
    let options = MemoryOptions::default().capacity(Bytes(5000));
    let pair = event_loop.memory_pair(Hooks::new(), right, options);
    let (transport, file) = (pair.left.clone(), file_of(&b"tulip ".repeat(20_000)));
    let sent = event_loop.run_coroutine(async move { send_shouting(&*transport, file).await });
    assert_eq!(sent.unwrap(), 120_000);
    pair.left.close();
    run_until(&event_loop, || event_loop.open_connections() == 0);
    assert!(received.get() == b"TULIP ".repeat(20_000));
}
