//! How a hyper server's connections end: cancelled in mid-request, timed out, shut down.

use super::support::{answer, connect, get, port_of, run, serve};
use eventloop::{TestLoop, prelude::*};
use futures::{CancelOnDrop, Exception, Task, create_task, spawn, yield_now};
use futures_channel::oneshot;
use http_body_util::BodyExt;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;
use tulipa::streams::{
    StreamLoop, StreamReader, StreamWriter, listen, open_connection, start_server,
};
use tulipa_tests::on_drop;

/// Where the service waits when its connection is cancelled.
#[derive(Clone, Copy, Debug, PartialEq)]
enum WaitsFor {
    OurFuture,
    ForeignChannel,
    TheBody,
}

/// Serves the next connection with a service that waits, and cancels it there.
fn cancelled_while_it(waits_for: WaitsFor) {
    run(async move {
        let mut listener = listen(("127.0.0.1", 0)).await?;
        let port = port_of(listener.server());
        let (begun, dropped) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(0)));
        let channels: Rc<RefCell<Vec<oneshot::Sender<()>>>> = Rc::default();
        let client = spawn(async move {
            let mut client = connect(port).await?;
            let request = match waits_for {
                WaitsFor::TheBody => hyper::Request::post("/").body(Promised).unwrap(),
                _ => hyper::Request::get("/").body(Promised).unwrap(),
            };
            Ok::<_, Exception>(client.send_request(request).await.is_err())
        });
        let (reader, writer) = listener.accept().await?;
        let (seen, counted, kept) = (begun.clone(), dropped.clone(), channels.clone());
        let service = move |request: hyper::Request<hyper::body::Incoming>| {
            let (seen, counted, kept) = (seen.clone(), counted.clone(), kept.clone());
            async move {
                let _guard = on_drop(move || counted.set(counted.get() + 1));
                seen.set(true);
                match waits_for {
                    WaitsFor::OurFuture => futures::current().create_future().await?,
                    WaitsFor::ForeignChannel => {
                        let (sender, receiver) = oneshot::channel();
                        kept.borrow_mut().push(sender);
                        receiver.await?;
                    }
                    WaitsFor::TheBody => drop(request.into_body().collect().await?),
                }
                Ok(answer("never"))
            }
        };
        let task = create_task(serve((reader, writer), service));
        while !begun.get() {
            yield_now().await?;
        }
        task.cancel();
        let exception = task.clone().await.unwrap_err();
        assert!(exception.is_cancelled(), "{waits_for:?}: {exception:?}");
        assert!(task.cancelled(), "{waits_for:?}");
        assert_eq!(dropped.get(), 1, "{waits_for:?}");
        assert!(channels.borrow().iter().all(oneshot::Sender::is_canceled));
        assert!(client.await??, "{waits_for:?}: the client was answered");
        Ok(())
    });
}

/// A body of which nothing ever comes.
struct Promised;

impl hyper::body::Body for Promised {
    type Data = hyper::body::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Self::Data>, Self::Error>>> {
        std::task::Poll::Pending
    }
}

#[test]
fn i12_a_server_that_is_cancelled_in_mid_request_ends_and_leaves_nothing() {
    for waits_for in [WaitsFor::OurFuture, WaitsFor::ForeignChannel, WaitsFor::TheBody] {
        cancelled_while_it(waits_for);
    }
}

#[test]
fn i12_shutting_a_server_down_ends_idle_connections_and_those_at_work() {
    run(async {
        let handler = |reader, writer| {
            serve((reader, writer), |request| async move {
                if request.uri().path() == "/wait" {
                    futures::current().create_future::<()>().await?;
                }
                Ok(answer("done"))
            })
        };
        let server = start_server(handler, ("127.0.0.1", 0)).await?;
        let (mut idle, mut busy) =
            (connect(port_of(&server)).await?, connect(port_of(&server)).await?);
        assert!(idle.send_request(get("/")).await.is_ok());
        let waiting: CancelOnDrop<_> = spawn(async move {
            busy.ready().await?;
            busy.send_request(get("/wait")).await
        })
        .cancel_on_drop();
        for _ in 0..100 {
            yield_now().await?;
        }
        let report = server.shutdown(Duration::from_secs(5)).await?;
        assert_eq!(report.aborted, 0, "{report:?}");
        assert!(waiting.await?.is_err());
        Ok(())
    });
}

/// A server on `event_loop` whose clients have thirty seconds for a head, hyper's default.
fn patient_server(event_loop: &TestLoop) -> (u16, Rc<RefCell<Vec<Exception>>>, tulipa::Server) {
    let failures: Rc<RefCell<Vec<Exception>>> = Rc::default();
    let seen = failures.clone();
    let handler = move |reader: StreamReader, writer: StreamWriter| {
        let seen = seen.clone();
        async move {
            if let Err(exception) = serve((reader, writer), |_| async { Ok(answer("x")) }).await {
                seen.borrow_mut().push(exception);
            }
        }
    };
    let server = event_loop.start_server(handler, ("127.0.0.1", 0)).result().unwrap();
    (port_of(&server), failures, server)
}

/// How many there are, without the one of the loop's own that is never due.
fn timers(event_loop: &TestLoop) -> usize {
    event_loop.stats().timers.saturating_sub(1)
}

/// Runs the loop, in which no time passes, until `done`.
#[track_caller]
fn run_until(event_loop: &TestLoop, mut done: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !done() {
        event_loop.run_ready_now();
        assert!(start.elapsed() < Duration::from_secs(10), "it never came");
        std::thread::yield_now();
    }
}

/// A connection that says `words`, then only listens: what it heard.
fn say(event_loop: &TestLoop, port: u16, words: &'static [u8]) -> Task<Vec<u8>> {
    event_loop.create_task(async move {
        let (mut reader, writer) = open_connection(("127.0.0.1", port)).await?;
        writer.write(words);
        reader.read_to_end().await
    })
}

#[test]
fn a_head_that_does_not_come_in_time_ends_the_connection() {
    let event_loop = TestLoop::new();
    let (port, failures, server) = patient_server(&event_loop);
    let slow = say(&event_loop, port, b"GET / HTTP/1.1\r\nhost: tul");
    run_until(&event_loop, || timers(&event_loop) > 0);
    event_loop.advance(Duration::from_secs(29));
    assert!(!slow.done());
    event_loop.advance(Duration::from_secs(2));
    run_until(&event_loop, || slow.done());
    assert_eq!(slow.take().unwrap(), b"");
    let failures = failures.take();
    let error: &hyper::Error = failures[0].downcast_ref().unwrap();
    assert!(error.is_timeout(), "{error:?}");
    server.close();
    run_until(&event_loop, || event_loop.stats().transports == 0);
    event_loop.finish();
}

#[test]
fn the_time_for_a_head_begins_anew_with_each_request() {
    let event_loop = TestLoop::new();
    let (port, failures, server) = patient_server(&event_loop);
    let answers = Rc::new(Cell::new(0));
    let (told, counted) = (event_loop.create_future::<()>(), answers.clone());
    let next = Rc::new(RefCell::new(told));
    let asked = next.clone();
    let client = event_loop.create_task(async move {
        let mut client = connect(port).await?;
        loop {
            client.ready().await?;
            client.send_request(get("/")).await?.into_body().collect().await?;
            counted.set(counted.get() + 1);
            let more = asked.borrow().clone();
            if more.await.is_err() {
                return Ok(());
            }
        }
    });
    for round in 1..=3 {
        run_until(&event_loop, || answers.get() == round);
        event_loop.advance(Duration::from_secs(20));
        assert!(failures.borrow().is_empty(), "after {round} answers");
        let before = next.replace(event_loop.create_future());
        before.set_result(()).unwrap();
    }
    run_until(&event_loop, || answers.get() == 4);
    assert!(timers(&event_loop) <= 1, "old time-outs are gone");
    next.borrow().cancel();
    run_until(&event_loop, || client.done());
    client.take().unwrap();
    server.close();
    run_until(&event_loop, || event_loop.stats().transports == 0);
    event_loop.finish();
}
