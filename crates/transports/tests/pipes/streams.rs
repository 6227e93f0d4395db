//! Pipes as streams, for coroutines (Y-24, N-57).

use crate::others;
use crate::support::run_until;
use eventloop::{TestLoop, prelude::*};
use std::io::{Read, Write};
use tulipa_transports::streams::{open_read_pipe, open_write_pipe};
use tulipa_transports::{Bytes, NetworkLoop, PipeError, PipeOptions};

#[test]
fn y24_n57_lines_go_through_pipes_and_the_end_comes() {
    let _others = others();
    let event_loop = TestLoop::new();
    let (reader, writer) = std::io::pipe().unwrap();
    let lines = event_loop.run_coroutine(async {
        let writer = open_write_pipe(writer).await?;
        let mut reader = open_read_pipe(reader).await?;
        writer.write(b"one\ntwo\n");
        writer.drain().await?;
        writer.close();
        writer.wait_closed().await?;
        let mut lines = Vec::new();
        let mut all = reader.lines();
        while let Some(line) = all.next().await? {
            lines.push(line);
        }
        Ok(lines)
    });
    assert_eq!(lines.unwrap(), [b"one\n", b"two\n"]);
    run_until(&event_loop, || event_loop.open_connections() == 0);
}

#[test]
fn y24_dropping_a_half_closes_its_pipe() {
    let _others = others();
    let event_loop = TestLoop::new();
    let (reader, mut theirs) = std::io::pipe().unwrap();
    let pipe = event_loop.run_coroutine(async { open_read_pipe(reader).await }).unwrap();
    assert!(pipe.transport().is_reading());
    drop(pipe);
    run_until(&event_loop, || event_loop.open_connections() == 0);
    assert!(theirs.write_all(b"x").is_err(), "nobody reads any more");

    let (mut theirs, writer) = std::io::pipe().unwrap();
    event_loop
        .run_coroutine(async {
            open_write_pipe(writer).await?.write(b"the rest");
            Ok(())
        })
        .unwrap();
    run_until(&event_loop, || event_loop.open_connections() == 0);
    let mut rest = String::new();
    theirs.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "the rest");
}

#[test]
fn n57_y1_errors_of_opening_come_out_of_the_await() {
    let _others = others();
    let event_loop = TestLoop::new();
    let file = tempfile::tempfile().unwrap();
    let error = event_loop.run_coroutine(async { open_read_pipe(file).await }).map(drop);
    assert!(PipeError::of(&error.unwrap_err()).is_some());
    let (reader, _writer) = std::io::pipe().unwrap();
    let none = PipeOptions::from(reader).stream_limit(Bytes(0));
    assert!(event_loop.run_coroutine(async { open_read_pipe(none).await }).is_err());
}

#[test]
fn n12_n57_an_opening_that_is_given_up_leaves_nothing() {
    let _alone = crate::alone();
    let event_loop = TestLoop::new();
    let before = crate::descriptors();
    for polled in [false, true] {
        let (reader, writer) = std::io::pipe().unwrap();
        let task = event_loop.create_task(async {
            let _reader = open_read_pipe(reader).await?;
            std::future::pending::<Result<(), futures::Exception>>().await
        });
        if polled {
            event_loop.run_ready_now();
        }
        task.abort();
        event_loop.run_ready_now();
        drop((task, writer));
    }
    run_until(&event_loop, || event_loop.open_connections() == 0);
    assert_eq!(crate::descriptors(), before);
}
