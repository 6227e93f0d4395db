//! What the tests share.

pub(crate) use crate::real_time::run_until;

use eventloop::{TestLoop, prelude::*};
use futures::{Exception, ExceptionContext, Task};
use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use tulipa_transports::streams::{
    IncompleteReadError, LimitOverrunError, StreamFeeder, StreamReader, StreamReaderProtocol,
    StreamWriter,
};
use tulipa_transports::testing::{MemoryLoop, MemoryOptions, MemoryPair};
use tulipa_transports::{Bytes, NetworkLoop, Protocol, Transport};

/// Runs `coroutine` as a task, until it is done.
#[track_caller]
pub(crate) fn block_on<T: 'static>(
    event_loop: &TestLoop,
    coroutine: impl Future<Output = T> + 'static,
) -> T {
    let task = event_loop.spawn(coroutine);
    let done = event_loop.create_future::<()>();
    let ended = done.clone();
    task.add_done_callback(move |_| ended.set_result(()).unwrap());
    event_loop.run_until_complete(&done).unwrap();
    task.take().unwrap()
}

/// Runs the loop until no connection is left.
#[track_caller]
pub(crate) fn run_until_all_closed(event_loop: &TestLoop) {
    run_until(event_loop, || event_loop.open_connections() == 0);
}

/// A task that has begun and waits.
#[track_caller]
pub(crate) fn waiting<T: 'static>(
    event_loop: &TestLoop,
    coroutine: impl Future<Output = T> + 'static,
) -> Task<T> {
    let task = event_loop.spawn(coroutine);
    event_loop.run_ready_now();
    assert!(!task.done(), "it was to wait");
    task
}

/// Polls once, with a waker that wakes nobody.
pub(crate) fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// The answer of a future that has to be ready.
#[track_caller]
pub(crate) fn now<F: Future>(future: F) -> F::Output {
    match poll_once(future) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it was to be ready at once"),
    }
}

/// Lets a future be polled at most `polls` times, then drops it.
pub(crate) async fn at_most<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    std::future::poll_fn(move |context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// A boxed future, where types differ.
pub(crate) type Boxed<'f, T> = Pin<Box<dyn Future<Output = T> + 'f>>;

/// A reader with this limit, and its other end.
pub(crate) fn fed(limit: usize) -> (StreamReader, StreamFeeder) {
    let reader = StreamReader::new(Bytes(limit)).unwrap();
    let feeder = reader.feeder();
    (reader, feeder)
}

/// A reader that has all it will ever get.
pub(crate) fn full(limit: usize, data: &[u8]) -> StreamReader {
    let (reader, feeder) = fed(limit);
    feeder.feed_data(data);
    feeder.feed_eof();
    reader
}

/// A stream over memory, with the protocol at the other end.
pub(crate) fn stream_to(
    event_loop: &TestLoop,
    peer: impl Protocol,
    capacity: usize,
) -> (StreamReader, StreamWriter, MemoryPair) {
    let reader = StreamReader::default();
    let options = MemoryOptions::default().capacity(Bytes(capacity));
    let pair = event_loop.memory_pair(StreamReaderProtocol::new(&reader), peer, options);
    let writer = StreamWriter::new(pair.left.clone(), &reader);
    event_loop.run_ready_now();
    (reader, writer, pair)
}

/// Collects what the exception handler is told.
pub(crate) fn collect_errors(event_loop: &TestLoop) -> Rc<RefCell<Vec<ExceptionContext>>> {
    let errors: Rc<RefCell<Vec<ExceptionContext>>> = Rc::default();
    let seen = errors.clone();
    event_loop.set_exception_handler(Some(Rc::new(move |_, context| {
        seen.borrow_mut().push(context.clone());
    })));
    errors
}

#[track_caller]
pub(crate) fn incomplete(outcome: Result<Vec<u8>, Exception>) -> (Vec<u8>, Option<usize>) {
    let exception = outcome.expect_err("the end came first");
    let error: &IncompleteReadError = exception.downcast_ref().expect("an IncompleteReadError");
    (error.partial.clone(), error.expected)
}

#[track_caller]
pub(crate) fn overrun(outcome: Result<Vec<u8>, Exception>) -> (usize, bool) {
    let exception = outcome.expect_err("it is beyond the limit");
    let error: &LimitOverrunError = exception.downcast_ref().expect("a LimitOverrunError");
    (error.consumed, error.found)
}

#[track_caller]
pub(crate) fn is_reset<T: std::fmt::Debug>(outcome: Result<T, Exception>) -> bool {
    outcome.expect_err("the connection is lost").io_kind() == Some(io::ErrorKind::ConnectionReset)
}

/// Has nothing to say, and listens.
pub(crate) struct Listens;
impl Protocol for Listens {
    fn connection_made(&mut self, transport: &dyn Transport) {
        transport.write_eof();
    }
    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) {}
}
