//! What the tests share.

use eventloop::{EventLoop, prelude::*};
use futures::{Exception, spawn, timeout};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::{Request, Response};
use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tulipa::NetworkLoop;
use tulipa::interop::LoopTimer;
use tulipa::streams::{Stream, open_connection};

/// A body that is there as a whole.
pub(crate) type Whole = Full<Bytes>;

/// Runs `coroutine` on a loop of its own, in real time, and checks that nothing is left of it.
#[track_caller]
pub(crate) fn run<T: 'static>(
    coroutine: impl Future<Output = Result<T, Exception>> + 'static,
) -> T {
    let event_loop = EventLoop::new().unwrap();
    let errors: Rc<RefCell<Vec<String>>> = Rc::default();
    let seen = errors.clone();
    event_loop.set_exception_handler(Some(Rc::new(move |_, context| {
        seen.borrow_mut().push(format!("{context}: {:?}", context.exception));
    })));
    let limited = timeout(Duration::from_secs(60), coroutine);
    let value = event_loop.run_coroutine(limited).unwrap();
    let start = Instant::now();
    loop {
        event_loop.run_ready().unwrap();
        let stats = event_loop.stats();
        // One timer is the loop's own, for what keeps its tasks; it is never due.
        let timers = stats.timers.saturating_sub(1);
        let left = (stats.tasks, timers, stats.transports, event_loop.open_connections());
        if left == (0, 0, 0, 0) {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(10), "left at the end: {left:?}");
        std::thread::yield_now();
    }
    assert_eq!(errors.take(), [""; 0]);
    value
}

/// Serves one connection with hyper, until it ends.
pub(crate) async fn serve<B, S, F>(stream: impl Into<Stream>, service: S) -> Result<(), Exception>
where
    S: Fn(Request<Incoming>) -> F,
    F: Future<Output = Result<Response<B>, Exception>>,
    B: hyper::body::Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    hyper::server::conn::http1::Builder::new()
        .timer(LoopTimer::current())
        .serve_connection(stream.into(), hyper::service::service_fn(service))
        .await?;
    Ok(())
}

/// A client's connection. Its work is done by a task, which ends with it.
pub(crate) async fn connect<B>(port: u16) -> Result<SendRequest<B>, Exception>
where
    B: hyper::body::Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + 'static,
{
    let stream = Stream::from(open_connection(("127.0.0.1", port)).await?);
    let (sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
    // How it ends, the requests are told.
    spawn(async move { drop(connection.await) });
    Ok(sender)
}

/// The port of a server that has one.
pub(crate) fn port_of(server: &tulipa::Server) -> u16 {
    server.addresses()[0].port().expect("a TCP server has a port")
}

pub(crate) fn get(path: &str) -> Request<Whole> {
    Request::get(path).header("host", "tulipa").body(Full::default()).unwrap()
}

pub(crate) fn post(path: &str, body: impl Into<Bytes>) -> Request<Whole> {
    Request::post(path).header("host", "tulipa").body(Full::new(body.into())).unwrap()
}

/// The whole body of an answer.
pub(crate) async fn body_of(response: Response<Incoming>) -> Result<Bytes, Exception> {
    Ok(response.into_body().collect().await?.to_bytes())
}

/// Bytes that are not all the same.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8).collect()
}

/// An answer with this body.
pub(crate) fn answer(
    body: impl Into<Bytes>,
) -> Response<http_body_util::combinators::UnsyncBoxBody<Bytes, hyper::Error>> {
    let body = Full::new(body.into()).map_err(|never: Infallible| match never {});
    Response::new(body.boxed_unsync())
}
