//! Streams at the end of their loop.

use crate::support::{block_on, waiting};
use eventloop::TestLoop;
use std::rc::Rc;
use tulipa_transports::streams::{StreamReader, open_connection, start_server};
use tulipa_transports::testing::{MemoryLoop, MemoryOptions};

/// Says when it is dropped.
struct Token(Rc<()>);

#[test]
fn y23_a_loop_that_closes_drops_the_streams_and_those_who_wait_for_them() {
    let count = Rc::new(());
    let mut event_loop = TestLoop::new();
    event_loop.allow_leftovers();
    let streams = event_loop.memory_streams(MemoryOptions::default());
    for (mut reader, writer) in [streams.left, streams.right] {
        let token = Token(count.clone());
        waiting(&event_loop, async move {
            writer.write(b"some of it");
            let outcome = reader.readexactly(1000).await;
            drop((token, writer));
            outcome
        });
    }
    let token = Token(count.clone());
    block_on(&event_loop, async move {
        let handler = move |mut reader: StreamReader, writer| {
            let token = Token(token.0.clone());
            async move {
                let outcome = reader.read_to_end().await.map(drop);
                drop((token, writer));
                outcome
            }
        };
        let server = start_server(handler, ("127.0.0.1", 0)).await.unwrap();
        let port = server.addresses()[0].port().unwrap();
        let (mut reader, writer) = open_connection(("127.0.0.1", port)).await.unwrap();
        futures::spawn(async move {
            let outcome = reader.read(1).await.map(drop);
            drop(writer);
            outcome
        });
        while server.connection_count() == 0 {
            futures::yield_now().await.unwrap();
        }
    });
    event_loop.run_ready_now();
    assert!(Rc::strong_count(&count) > 1);
    drop(event_loop);
    assert_eq!(Rc::strong_count(&count), 1, "everything is gone");
}

#[test]
fn y23_streams_that_outlive_their_loop_are_harmless() {
    let event_loop = TestLoop::new();
    let streams = event_loop.memory_streams(MemoryOptions::default());
    event_loop.run_ready_now();
    let ((mut reader, writer), far) = (streams.left, streams.right);
    event_loop.close().unwrap();
    drop(event_loop);
    assert!(!writer.write(b"unheard").is_taken());
    assert!(writer.is_closing());
    writer.close();
    assert!(crate::support::now(reader.read(1)).is_err());
    drop((reader, writer, far));
}
