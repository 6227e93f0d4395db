//! The handlers of stream servers.

use crate::support::{block_on, collect_errors, run_until, run_until_all_closed};
use eventloop::{TestLoop, prelude::*};
use futures::{Exception, Task};
use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::rc::Rc;
use std::time::Duration;
use tulipa_transports::Server;
use tulipa_transports::streams::{HandlerResult, StreamLoop, StreamReader, StreamWriter};

/// A server, and a plain client that does not block.
fn serve<R: HandlerResult<Kind> + 'static, Kind: 'static>(
    event_loop: &TestLoop,
    handler: impl FnMut(StreamReader, StreamWriter) -> R + 'static,
) -> (Server, TcpStream) {
    let server = event_loop.start_server(handler, ("127.0.0.1", 0)).result().unwrap();
    let client = TcpStream::connect(("127.0.0.1", server.addresses()[0].port().unwrap())).unwrap();
    client.set_nonblocking(true).unwrap();
    (server, client)
}

/// What the client gets until the end.
fn read_to_end(event_loop: &TestLoop, mut client: &TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    run_until(event_loop, || {
        let mut buffer = [0; 1000];
        match client.read(&mut buffer) {
            Ok(0) => true,
            Ok(count) => {
                all.extend_from_slice(&buffer[..count]);
                false
            }
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
                false
            }
        }
    });
    all
}

#[test]
fn y25_the_handler_may_be_a_plain_function() {
    let event_loop = TestLoop::new();
    let kept: Rc<RefCell<Vec<(StreamReader, StreamWriter)>>> = Rc::default();
    let keeps = kept.clone();
    let (server, client) = serve(&event_loop, move |reader, writer| {
        writer.write(b"hello");
        writer.write_eof();
        keeps.borrow_mut().push((reader, writer));
    });
    assert_eq!(read_to_end(&event_loop, &client), b"hello");
    assert_eq!(server.connection_count(), 1, "its return closes nothing");
    kept.take();
    server.close();
    run_until_all_closed(&event_loop);
}

#[test]
fn y25_y26_a_coroutine_function_becomes_a_task_that_is_kept_alive() {
    let event_loop = TestLoop::new();
    let (server, client) = serve(&event_loop, |reader, writer| async move {
        let _reader = reader;
        futures::sleep(Duration::from_millis(1)).await?;
        writer.write(b"late");
        Ok::<(), Exception>(())
    });
    run_until(&event_loop, || server.connection_count() == 1);
    event_loop.advance(Duration::from_millis(1));
    assert_eq!(read_to_end(&event_loop, &client), b"late");
    server.close();
    run_until_all_closed(&event_loop);
}

#[test]
fn y25_handlers_of_several_kinds_fit() {
    async fn nothing(_: StreamReader, _: StreamWriter) {}
    async fn fails_by_io(_: StreamReader, _: StreamWriter) -> std::io::Result<()> {
        Ok(())
    }
    let event_loop = TestLoop::new();
    let mut count = 0;
    let servers = [
        serve(&event_loop, nothing),
        serve(&event_loop, fails_by_io),
        serve(&event_loop, async |_reader, _writer| {}),
        serve(&event_loop, move |_, _| {
            count += 1;
            if count > 1 { Err(Exception::msg("one is enough")) } else { Ok(()) }
        }),
    ];
    for (server, client) in servers {
        assert_eq!(read_to_end(&event_loop, &client), b"", "the writer was dropped");
        server.close();
    }
    run_until_all_closed(&event_loop);
}

#[test]
fn y26_a_handler_that_fails_is_reported_and_its_connection_closed() {
    let event_loop = TestLoop::new();
    let errors = collect_errors(&event_loop);
    let kept: Rc<RefCell<Vec<StreamWriter>>> = Rc::default();
    let (keeps, keeps_too, keeps_as_well) = (kept.clone(), kept.clone(), kept.clone());
    let servers = [
        serve(&event_loop, move |_, writer| {
            keeps.borrow_mut().push(writer.clone());
            async move {
                writer.write(b"sorry");
                Err::<(), _>(Exception::msg("broken"))
            }
        }),
        serve(&event_loop, move |_, writer| {
            writer.write(b"sorry");
            keeps_too.borrow_mut().push(writer);
            Err::<(), _>(Exception::msg("broken"))
        }),
        serve(&event_loop, move |_, writer| -> Result<(), Exception> {
            writer.write(b"sorry");
            keeps_as_well.borrow_mut().push(writer);
            panic!("broken");
        }),
    ];
    for (server, client) in &servers {
        assert_eq!(read_to_end(&event_loop, client), b"sorry", "what was written is still sent");
        run_until(&event_loop, || server.connection_count() == 0);
    }
    assert_eq!(errors.borrow().len(), 3);
    for context in errors.borrow().iter() {
        assert_eq!(context.message, "unhandled exception in client_connected_cb");
        assert!(context.exception.as_ref().unwrap().to_string().contains("broken"), "{context}");
        assert!(context.transport.as_ref().unwrap().contains("127.0.0.1:"), "{context}");
    }
    servers.iter().for_each(|(server, _)| server.close());
    kept.take();
    run_until_all_closed(&event_loop);
}

#[test]
fn y26_after_a_panic_of_the_handler_the_server_goes_on() {
    let event_loop = TestLoop::new();
    let errors = collect_errors(&event_loop);
    let calls = Cell::new(0);
    let (server, first) = serve(&event_loop, move |_, writer: StreamWriter| {
        calls.set(calls.get() + 1);
        assert!(calls.get() > 1, "only the first");
        writer.write(b"second");
    });
    assert_eq!(read_to_end(&event_loop, &first), b"");
    let second = TcpStream::connect(first.peer_addr().unwrap()).unwrap();
    second.set_nonblocking(true).unwrap();
    assert_eq!(read_to_end(&event_loop, &second), b"second");
    assert_eq!(errors.borrow().len(), 1);
    server.close();
    run_until_all_closed(&event_loop);
}

#[test]
fn y26_a_flood_of_failures_is_reported_ten_times_a_second_then_counted() {
    let event_loop = TestLoop::new();
    let errors = collect_errors(&event_loop);
    let (server, first) = serve(&event_loop, |_, _| Err::<(), _>(Exception::msg("broken")));
    let connect = || TcpStream::connect(first.peer_addr().unwrap()).unwrap();
    let _clients: Vec<TcpStream> = (1..25).map(|_| connect()).collect();
    run_until(&event_loop, || server.stats().accepted == 25 && server.connection_count() == 0);
    assert_eq!(errors.borrow().len(), 10);
    event_loop.advance(Duration::from_secs(1));
    let _last = connect();
    run_until(&event_loop, || errors.borrow().len() == 11);
    assert!(errors.borrow()[10].message.contains("15 more"), "{}", errors.borrow()[10]);
    server.close();
    run_until_all_closed(&event_loop);
}

/// A handler that waits, its task, and its writer kept elsewhere.
#[derive(Clone, Default)]
struct Kept {
    writer: Rc<RefCell<Option<StreamWriter>>>,
    task: Rc<RefCell<Option<futures::TaskRef>>>,
}

impl Kept {
    fn serve(&self, event_loop: &TestLoop) -> (Server, TcpStream) {
        let kept = self.clone();
        serve(event_loop, move |mut reader, writer| {
            kept.writer.replace(Some(writer));
            let task = kept.task.clone();
            async move {
                task.replace(futures::current_task());
                reader.readline().await.map(drop)
            }
        })
    }
}

#[test]
fn y26_a_handler_that_is_cancelled_closes_its_connection_without_a_report() {
    let event_loop = TestLoop::new();
    let errors = collect_errors(&event_loop);
    let kept = Kept::default();
    let (server, client) = kept.serve(&event_loop);
    run_until(&event_loop, || kept.task.borrow().is_some());
    kept.task.take().unwrap().cancel();
    assert_eq!(read_to_end(&event_loop, &client), b"");
    run_until(&event_loop, || server.connection_count() == 0);
    assert!(errors.borrow().is_empty());
    server.close();
    kept.writer.take();
    run_until_all_closed(&event_loop);
}

#[test]
fn y26_the_return_of_a_handler_closes_nothing() {
    let event_loop = TestLoop::new();
    let kept = Kept::default();
    let (server, mut client) = kept.serve(&event_loop);
    client.write_all(b"done\n").unwrap();
    run_until(&event_loop, || kept.task.borrow().as_ref().is_some_and(|task| task.done()));
    event_loop.run_ready_now();
    assert_eq!(server.connection_count(), 1);
    let writer = kept.writer.take().unwrap();
    writer.write(b"and more");
    drop(writer);
    assert_eq!(read_to_end(&event_loop, &client), b"and more");
    server.close();
    run_until_all_closed(&event_loop);
}

#[test]
fn y25_y26_a_shutdown_closes_what_a_handler_left_open_when_it_returned() {
    let event_loop = TestLoop::new();
    let kept = Kept::default();
    let (server, mut client) = kept.serve(&event_loop);
    client.write_all(b"done\n").unwrap();
    run_until(&event_loop, || kept.task.borrow().as_ref().is_some_and(|task| task.done()));
    event_loop.run_ready_now();
    let shutdown = server.shutdown(Duration::from_secs(5));
    assert_eq!(read_to_end(&event_loop, &client), b"");
    run_until(&event_loop, || shutdown.done());
    assert_eq!(shutdown.result().unwrap().drained, 1);
    kept.writer.take();
    run_until_all_closed(&event_loop);
}

#[test]
fn y25_a_shutdown_of_the_server_cancels_its_handlers_which_say_goodbye() {
    let event_loop = TestLoop::new();
    let (server, client) =
        serve(&event_loop, |mut reader: StreamReader, writer: StreamWriter| async move {
            let interrupted = reader.readline().await;
            assert!(interrupted.unwrap_err().is_cancelled());
            writer.write(b"bye");
            writer.drain().await
        });
    run_until(&event_loop, || server.connection_count() == 1);
    event_loop.run_ready_now();
    let shutdown = server.shutdown(Duration::from_secs(5));
    assert_eq!(read_to_end(&event_loop, &client), b"bye");
    run_until(&event_loop, || shutdown.done());
    let report = shutdown.result().unwrap();
    assert_eq!((report.drained, report.aborted), (1, 0));
    run_until_all_closed(&event_loop);
}

#[test]
fn y25_a_shutdown_closes_what_plain_functions_left_open_and_aborts_who_does_not_answer() {
    let event_loop = TestLoop::new();
    let kept: Rc<RefCell<Vec<StreamWriter>>> = Rc::default();
    let keeps = kept.clone();
    let (plain, client) = serve(&event_loop, move |_, writer| keeps.borrow_mut().push(writer));
    let (deaf, _client) =
        serve(&event_loop, |mut reader: StreamReader, writer: StreamWriter| async move {
            while reader.readline().await.is_err_and(|exception| exception.is_cancelled()) {}
            drop(writer);
        });
    run_until(&event_loop, || plain.connection_count() + deaf.connection_count() == 2);
    event_loop.run_ready_now();
    let both = [plain.shutdown(Duration::from_secs(5)), deaf.shutdown(Duration::from_secs(5))];
    assert_eq!(read_to_end(&event_loop, &client), b"");
    run_until(&event_loop, || both[0].done());
    event_loop.advance(Duration::from_secs(5));
    run_until(&event_loop, || both[1].done());
    assert_eq!((both[0].result().unwrap().drained, both[1].result().unwrap().aborted), (1, 1));
    kept.take();
    run_until_all_closed(&event_loop);
}

#[test]
fn y24_y25_many_clients_are_served_at_once() {
    let event_loop = TestLoop::new();
    let server = event_loop.start_server(
        |mut reader: StreamReader, writer: StreamWriter| async move {
            let line = reader.readline().await?;
            writer.write_vec(line.repeat(100));
            writer.drain().await
        },
        ("127.0.0.1", 0),
    );
    let server = server.result().unwrap();
    let port = server.addresses()[0].port().unwrap();
    let clients: Vec<Task<usize>> = (0..30)
        .map(|number| {
            let opening = event_loop.open_connection(("127.0.0.1", port));
            event_loop.spawn(async move {
                let (mut reader, writer) = opening.await.unwrap();
                writer.write(format!("client {number}\n").as_bytes());
                reader.read_to_end().await.unwrap().len()
            })
        })
        .collect();
    let total = block_on(&event_loop, async move {
        let mut total = 0;
        for client in clients {
            total += client.await.unwrap();
        }
        total
    });
    assert_eq!(total, 100 * (10 * 9 + 20 * 10));
    server.close();
    run_until_all_closed(&event_loop);
}
