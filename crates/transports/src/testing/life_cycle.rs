//! [`LifeCycle`]: the life that every protocol is promised (R-1, R-2), checked call by call.

use crate::{BufferedProtocol, Bytes, Eof, Protocol, Transport};
use futures::Exception;
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::thread::{self, ThreadId};

/// A protocol, with a check before each of its calls.
///
/// It holds the promise of [`Protocol`]'s documentation: made once and first, data only until the end
/// of file, pause and resume in turn, lost once and last, all on one thread and never one inside
/// another. A call that breaks it panics, with the whole history, and stays on record in the
/// [`LifeCycleLog`], which also counts the bytes.
///
/// # Examples
/// ```
/// use eventloop::TestLoop;
/// use tulipa_transports::testing::{LifeCycle, MemoryLoop, MemoryOptions};
/// use tulipa_transports::{Protocol, Transport, prelude::*};
/// struct Quiet;
/// impl Protocol for Quiet {
///     fn data_received(&mut self, _: &dyn Transport, _: &[u8]) {}
/// }
/// let event_loop = TestLoop::new();
/// let (left, sent) = LifeCycle::new(Quiet);
/// let (right, received) = LifeCycle::new(Quiet);
/// let pair = event_loop.memory_pair(left, right, MemoryOptions::default());
/// pair.left.write(b"tulip");
/// pair.left.close();
/// event_loop.run_until_idle();
/// sent.check_ended();
/// received.check_ended();
/// assert_eq!(received.bytes(), 5);
/// ```
pub struct LifeCycle<P> {
    inner: P,
    log: LifeCycleLog,
}

impl<P: Protocol> LifeCycle<P> {
    /// Wraps `protocol`. The log can be kept, and asked at any time.
    pub fn new(protocol: P) -> (Self, LifeCycleLog) {
        let log = LifeCycleLog::default();
        (Self { inner: protocol, log: log.clone() }, log)
    }

    /// Wraps `protocol`, with a log that exists already.
    pub fn with_log(protocol: P, log: LifeCycleLog) -> Self {
        Self { inner: protocol, log }
    }

    /// The protocol inside.
    pub fn inner(&mut self) -> &mut P {
        &mut self.inner
    }

    /// Checks that `call` is allowed now, and runs it.
    #[track_caller]
    fn call<R>(&mut self, call: ProtocolCall, run: impl FnOnce(&mut P) -> R) -> R {
        let violation = self.log.record.borrow_mut().enter(call);
        if let Some(violation) = violation {
            panic!("{violation}");
        }
        let _running = Running(&self.log);
        run(&mut self.inner)
    }
}

/// Notes the end of a call, a panic included.
struct Running<'a>(&'a LifeCycleLog);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.record.borrow_mut().running = false;
    }
}

/// A call that a protocol received.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolCall {
    /// `connection_made`.
    ConnectionMade,
    /// `data_received`, with so many bytes.
    DataReceived(usize),
    /// `get_buffer`.
    GetBuffer,
    /// `buffer_updated`, with so many bytes.
    BufferUpdated(usize),
    /// `eof_received`.
    EofReceived,
    /// `pause_writing`.
    PauseWriting,
    /// `resume_writing`.
    ResumeWriting,
    /// `handshake_completed`.
    HandshakeCompleted,
    /// `shutdown_requested`.
    ShutdownRequested,
    /// `connection_lost`, with the reason's text.
    ConnectionLost(Option<String>),
}

/// What a [`LifeCycle`] saw. Clones name the same log.
#[derive(Clone, Default)]
pub struct LifeCycleLog {
    record: Rc<RefCell<Record>>,
}

#[derive(Default)]
struct Record {
    life: Life,
    history: Vec<ProtocolCall>,
    running: bool,
    paused: bool,
    /// A `get_buffer` that no `buffer_updated` has answered yet came right before.
    buffer_given: bool,
    bytes: u64,
    checksum: u64,
    thread: Option<ThreadId>,
    violation: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Life {
    #[default]
    Unborn,
    Open,
    AfterEof,
    Lost,
}

impl LifeCycleLog {
    /// All calls, in order. Consecutive `data_received` are one entry each.
    pub fn calls(&self) -> Vec<ProtocolCall> {
        self.record.borrow().history.clone()
    }

    /// How many bytes were received.
    pub fn bytes(&self) -> u64 {
        self.record.borrow().bytes
    }

    /// A checksum of all bytes received by `data_received`, in order: that of
    /// [`LifeCycleLog::checksum_of`].
    pub fn checksum(&self) -> u64 {
        self.record.borrow().checksum
    }

    /// The checksum of `data`, however it is cut.
    pub fn checksum_of(data: &[u8]) -> u64 {
        extend_checksum(0, data)
    }

    /// Whether `connection_made` came.
    pub fn is_made(&self) -> bool {
        self.record.borrow().life != Life::Unborn
    }

    /// Whether `connection_lost` came.
    pub fn is_lost(&self) -> bool {
        self.record.borrow().life == Life::Lost
    }

    /// Whether the last flow-control call was `pause_writing`.
    pub fn is_paused(&self) -> bool {
        self.record.borrow().paused
    }

    /// What `connection_lost` was given: `None` if it did not come.
    pub fn lost_reason(&self) -> Option<Option<String>> {
        match self.record.borrow().history.last() {
            Some(ProtocolCall::ConnectionLost(reason)) => Some(reason.clone()),
            _ => None,
        }
    }

    /// Checks that no call broke the promise so far.
    ///
    /// # Panics
    /// If one did, with the history: also where the first panic was swallowed by a handler.
    #[track_caller]
    pub fn check(&self) {
        if let Some(violation) = &self.record.borrow().violation {
            panic!("{violation}");
        }
    }

    /// Checks that the life was lived to its end: if it was made then it was lost.
    ///
    /// # Panics
    /// If it is not over, or broke the promise.
    #[track_caller]
    pub fn check_ended(&self) {
        self.check();
        let record = self.record.borrow();
        let over = matches!(record.life, Life::Unborn | Life::Lost);
        assert!(over, "connection_lost never came: {record:?}");
    }
}

impl Record {
    /// Notes a call, and says what is wrong with it.
    fn enter(&mut self, call: ProtocolCall) -> Option<String> {
        let thread = *self.thread.get_or_insert_with(|| thread::current().id());
        let wrong = if thread != thread::current().id() {
            Some("on another thread")
        } else if self.running {
            Some("while another method runs")
        } else {
            self.step(&call)
        };
        self.history.push(call);
        match wrong {
            None => {
                self.running = true;
                None
            }
            Some(wrong) => {
                let last = self.history.last();
                let text = format!("protocol called {wrong}: {last:?} in {self:?}");
                self.violation.get_or_insert_with(|| text.clone());
                Some(text)
            }
        }
    }

    fn step(&mut self, call: &ProtocolCall) -> Option<&'static str> {
        let given = std::mem::take(&mut self.buffer_given);
        let alive = matches!(self.life, Life::Open | Life::AfterEof);
        if self.life == Life::Lost {
            return Some("after connection_lost");
        }
        if !alive && *call != ProtocolCall::ConnectionMade {
            return Some("before connection_made");
        }
        match call {
            ProtocolCall::ConnectionMade if alive => return Some("a second time"),
            ProtocolCall::ConnectionMade => self.life = Life::Open,
            ProtocolCall::DataReceived(_) | ProtocolCall::GetBuffer | ProtocolCall::EofReceived
                if self.life == Life::AfterEof =>
            {
                return Some("after the end of file");
            }
            ProtocolCall::DataReceived(0) | ProtocolCall::BufferUpdated(0) => {
                return Some("without a byte");
            }
            ProtocolCall::DataReceived(_) => {}
            ProtocolCall::GetBuffer => self.buffer_given = true,
            ProtocolCall::BufferUpdated(_) if !given => return Some("without get_buffer"),
            ProtocolCall::BufferUpdated(count) => self.bytes += *count as u64,
            ProtocolCall::EofReceived => self.life = Life::AfterEof,
            ProtocolCall::PauseWriting if self.paused => return Some("while paused"),
            ProtocolCall::PauseWriting => self.paused = true,
            ProtocolCall::ResumeWriting if !self.paused => return Some("while not paused"),
            ProtocolCall::ResumeWriting => self.paused = false,
            ProtocolCall::HandshakeCompleted | ProtocolCall::ShutdownRequested => {}
            ProtocolCall::ConnectionLost(_) => self.life = Life::Lost,
        }
        None
    }

    fn receive(&mut self, data: &[u8]) {
        self.bytes += data.len() as u64;
        self.checksum = extend_checksum(self.checksum, data);
    }
}

/// A polynomial over all bytes, so that order counts and cuts do not.
fn extend_checksum(checksum: u64, data: &[u8]) -> u64 {
    data.iter().fold(checksum, |sum, byte| {
        sum.wrapping_mul(0x0100_0000_01b3).wrapping_add(u64::from(*byte) + 1)
    })
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the life so far ({:?}, {} bytes): {:?}", self.life, self.bytes, self.history)
    }
}

impl fmt::Debug for LifeCycleLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.record.borrow().fmt(f)
    }
}

impl<P: Protocol> Protocol for LifeCycle<P> {
    fn connection_made(&mut self, transport: &dyn Transport) {
        self.call(ProtocolCall::ConnectionMade, |inner| inner.connection_made(transport));
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
        self.log.record.borrow_mut().receive(data);
        let call = ProtocolCall::DataReceived(data.len());
        self.call(call, |inner| inner.data_received(transport, data));
    }

    fn eof_received(&mut self, transport: &dyn Transport) -> Eof {
        self.call(ProtocolCall::EofReceived, |inner| inner.eof_received(transport))
    }

    fn connection_lost(&mut self, transport: &dyn Transport, reason: Option<Exception>) {
        let text = reason.as_ref().map(Exception::to_string);
        let call = ProtocolCall::ConnectionLost(text);
        self.call(call, |inner| inner.connection_lost(transport, reason));
    }

    fn pause_writing(&mut self, transport: &dyn Transport) {
        self.call(ProtocolCall::PauseWriting, |inner| inner.pause_writing(transport));
    }

    fn resume_writing(&mut self, transport: &dyn Transport) {
        self.call(ProtocolCall::ResumeWriting, |inner| inner.resume_writing(transport));
    }

    fn shutdown_requested(&mut self, transport: &dyn Transport) {
        self.call(ProtocolCall::ShutdownRequested, |inner| inner.shutdown_requested(transport));
    }

    fn handshake_completed(&mut self, transport: &dyn Transport) {
        self.call(ProtocolCall::HandshakeCompleted, |inner| inner.handshake_completed(transport));
    }

    fn memory_held(&self) -> Bytes {
        self.inner.memory_held()
    }

    fn as_buffered(&mut self) -> Option<&mut dyn BufferedProtocol> {
        self.inner.as_buffered().is_some().then_some(self as &mut dyn BufferedProtocol)
    }

    fn type_name(&self) -> &'static str {
        self.inner.type_name()
    }
}

impl<P: Protocol> BufferedProtocol for LifeCycle<P> {
    fn get_buffer(&mut self, transport: &dyn Transport, size_hint: Option<usize>) -> &mut [u8] {
        let violation = self.log.record.borrow_mut().enter(ProtocolCall::GetBuffer);
        if let Some(violation) = violation {
            panic!("{violation}");
        }
        let _running = Running(&self.log);
        match self.inner.as_buffered() {
            Some(inner) => inner.get_buffer(transport, size_hint),
            None => &mut [],
        }
    }

    fn buffer_updated(&mut self, transport: &dyn Transport, count: usize) {
        self.call(ProtocolCall::BufferUpdated(count), |inner| {
            if let Some(inner) = inner.as_buffered() {
                inner.buffer_updated(transport, count);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::RecordingTransport;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    struct Quiet;
    impl Protocol for Quiet {
        fn data_received(&mut self, _: &dyn Transport, _: &[u8]) {}
    }

    #[test]
    fn r1_the_recorder_names_every_forbidden_call() {
        type Step = fn(&mut dyn Protocol, &RecordingTransport);
        let made: Step = |p, t| p.connection_made(t);
        let data: Step = |p, t| p.data_received(t, b"x");
        let eof: Step = |p, t| drop_eof(p.eof_received(t));
        let lost: Step = |p, t| p.connection_lost(t, None);
        let pause: Step = |p, t| p.pause_writing(t);
        let resume: Step = |p, t| p.resume_writing(t);
        let nothing: Step = |p, t| p.data_received(t, b"");
        let lives: [(&[Step], &str); 9] = [
            (&[data], "before connection_made"),
            (&[made, made], "a second time"),
            (&[made, eof, data], "after the end of file"),
            (&[made, eof, eof], "after the end of file"),
            (&[made, lost, lost], "after connection_lost"),
            (&[made, lost, data], "after connection_lost"),
            (&[made, pause, pause], "while paused"),
            (&[made, resume], "while not paused"),
            (&[made, nothing], "without a byte"),
        ];
        for (steps, wrong) in lives {
            let (mut protocol, log) = LifeCycle::new(Quiet);
            let transport = RecordingTransport::new();
            let run = || steps.iter().for_each(|step| step(&mut protocol, &transport));
            assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
            let violation = log.record.borrow().violation.clone().unwrap();
            assert!(violation.contains(wrong), "{violation}");
            assert!(catch_unwind(AssertUnwindSafe(|| log.check())).is_err());
        }
    }

    fn drop_eof(_: Eof) {}

    #[test]
    fn r2_the_checksum_depends_on_order_but_not_on_cuts() {
        let whole = LifeCycleLog::checksum_of(b"tulip");
        assert_eq!(extend_checksum(LifeCycleLog::checksum_of(b"tu"), b"lip"), whole);
        assert_ne!(LifeCycleLog::checksum_of(b"tupil"), whole);
        assert_ne!(LifeCycleLog::checksum_of(b"\0"), LifeCycleLog::checksum_of(b""));
    }
}
