//! [`RecordingTransport`]: a transport without a loop, which notes what it is asked for (I-16).

use crate::{
    Address, BaseTransport, Bytes, ExtraInfo, InvalidLimits, Protocol, ProtocolUnavailable,
    ReadTransport, Transport, WriteBufferCap, WriteBufferLimits, WriteRefusal, WriteState,
    WriteTransport,
};
use futures::{
    Callback, CallbackId, Closed, Exception, ExceptionContext, Future, Handle, Instant,
    PostedClosure, Scheduler, SchedulerId, ThreadsafeScheduler, TimerHandle,
};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

/// A transport without a loop: a protocol's methods can be called with it, one after the other, and
/// what they asked for be looked at.
///
/// # Examples
/// ```
/// use tulipa_transports::testing::RecordingTransport;
/// use tulipa_transports::{Protocol, Transport};
/// struct Echo;
/// impl Protocol for Echo {
///     fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
///         transport.write(data);
///         transport.close();
///     }
/// }
/// let transport = RecordingTransport::new();
/// Echo.data_received(&transport, b"tulip");
/// assert_eq!(transport.take_written(), b"tulip");
/// assert!(transport.is_closed());
/// ```
#[derive(Clone, Default)]
pub struct RecordingTransport {
    state: Rc<State>,
}

/// Something that a protocol asked its transport for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Request {
    /// `write`, `write_vec` or `writelines`, with all the bytes.
    Write(Vec<u8>),
    /// `write_eof`.
    WriteEof,
    /// `pause_reading`.
    PauseReading,
    /// `resume_reading`.
    ResumeReading,
    /// `close`.
    Close,
    /// `abort`, or `abort_with` and the reason's text.
    Abort(Option<String>),
    /// `set_protocol`.
    SetProtocol,
    /// `push_back`, with the bytes. They are not delivered again.
    PushBack(Vec<u8>),
}

#[derive(Default)]
struct State {
    requests: RefCell<Vec<Request>>,
    written: RefCell<Vec<u8>>,
    pushed_back: RefCell<Vec<u8>>,
    info: RefCell<ExtraInfo>,
    limits: Cell<WriteBufferLimits>,
    paused: Cell<bool>,
    eof: Cell<bool>,
    closing: Cell<bool>,
    over_mark: Cell<bool>,
    dropped: Cell<u64>,
    protocol: Cell<Option<Box<dyn Protocol>>>,
}

impl RecordingTransport {
    /// One that is open and reading.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the peer's address.
    #[must_use]
    pub fn with_peername(self, peer: Address) -> Self {
        self.state.info.borrow_mut().peername = Some(peer);
        self
    }

    /// From now on writes answer that the high mark is passed, or that it is not.
    pub fn set_over_high_mark(&self, over: bool) {
        self.state.over_mark.set(over);
    }

    /// All requests so far, in order; they are forgotten.
    pub fn take_requests(&self) -> Vec<Request> {
        self.state.requests.take()
    }

    /// All bytes written so far, joined; they are forgotten.
    pub fn take_written(&self) -> Vec<u8> {
        self.state.written.take()
    }

    /// Whether it was closed or aborted.
    pub fn is_closed(&self) -> bool {
        self.state.closing.get()
    }

    /// The protocol that `set_protocol` gave it.
    pub fn take_protocol(&self) -> Option<Box<dyn Protocol>> {
        self.state.protocol.take()
    }

    fn note(&self, request: Request) {
        self.state.requests.borrow_mut().push(request);
    }

    fn end(&self, request: Request) {
        self.note(request);
        self.state.closing.set(true);
    }
}

impl BaseTransport for RecordingTransport {
    fn is_closing(&self) -> bool {
        self.state.closing.get()
    }

    fn close(&self) {
        self.end(Request::Close);
    }

    /// Done at once if it is closed, and never otherwise: no loop runs that could tell.
    fn wait_closed(&self) -> Future<()> {
        let future = Future::new(Rc::new(NoLoop));
        if self.state.closing.get() {
            // It is new, hence pending.
            let _ = future.set_result(());
        }
        future
    }

    fn extra_info(&self) -> ExtraInfo {
        self.state.info.borrow().clone()
    }

    fn set_boxed_protocol(&self, protocol: Box<dyn Protocol>) {
        self.note(Request::SetProtocol);
        let before = self.state.protocol.replace(Some(protocol));
        drop(before);
    }
}

impl ReadTransport for RecordingTransport {
    fn is_reading(&self) -> bool {
        !self.state.paused.get() && !self.state.closing.get()
    }

    fn pause_reading(&self) {
        self.note(Request::PauseReading);
        self.state.paused.set(true);
    }

    fn resume_reading(&self) {
        self.note(Request::ResumeReading);
        self.state.paused.set(false);
    }

    fn push_back(&self, data: Vec<u8>) {
        if data.is_empty() || self.is_closing() {
            return;
        }
        self.state.pushed_back.borrow_mut().extend_from_slice(&data);
        self.note(Request::PushBack(data));
    }

    fn can_deliver(&self) -> bool {
        let successor = self.state.protocol.take();
        let replaced = successor.is_some();
        self.state.protocol.set(successor);
        self.is_reading() && !replaced && self.state.pushed_back.borrow().is_empty()
    }

    fn take_pushed_back(&self) -> Vec<u8> {
        self.state.pushed_back.take()
    }
}

impl WriteTransport for RecordingTransport {
    fn write(&self, data: &[u8]) -> WriteState {
        self.writelines(&[data])
    }

    fn writelines(&self, parts: &[&[u8]]) -> WriteState {
        if self.state.closing.get() {
            self.state.dropped.set(self.state.dropped.get() + 1);
            return WriteState::Refused(WriteRefusal::Closed);
        }
        if self.state.eof.get() {
            return WriteState::Refused(WriteRefusal::AfterEof);
        }
        let data = parts.concat();
        self.state.written.borrow_mut().extend_from_slice(&data);
        self.note(Request::Write(data));
        match self.state.over_mark.get() {
            true => WriteState::OverHighMark,
            false => WriteState::Taken,
        }
    }

    fn write_eof(&self) {
        self.note(Request::WriteEof);
        self.state.eof.set(true);
    }

    fn can_write_eof(&self) -> bool {
        true
    }

    fn drained(&self) -> Future<()> {
        let scheduler = futures::try_current().unwrap_or_else(|| Rc::new(NoLoop));
        let future = Future::new(scheduler);
        // It is new, hence pending.
        let _ = future.set_result(());
        future
    }

    fn set_write_buffer_limits(&self, limits: WriteBufferLimits) -> Result<(), InvalidLimits> {
        limits.check()?;
        self.state.limits.set(limits);
        Ok(())
    }

    fn get_write_buffer_limits(&self) -> WriteBufferLimits {
        self.state.limits.get()
    }

    fn set_write_buffer_cap(&self, _cap: WriteBufferCap) {}

    fn get_write_buffer_size(&self) -> Bytes {
        Bytes(0)
    }

    fn dropped_writes(&self) -> u64 {
        self.state.dropped.get()
    }

    fn abort(&self) {
        self.end(Request::Abort(None));
    }

    fn abort_with(&self, reason: Exception) {
        self.end(Request::Abort(Some(reason.to_string())));
    }
}

impl Transport for RecordingTransport {
    fn handle(&self) -> Rc<dyn Transport> {
        Rc::new(self.clone())
    }

    fn with_boxed_protocol(
        &self,
        function: &mut dyn FnMut(&mut dyn Protocol, &dyn Transport),
    ) -> Result<(), ProtocolUnavailable> {
        let mut protocol = self.state.protocol.take().ok_or(ProtocolUnavailable::Gone)?;
        function(&mut *protocol, self);
        self.state.protocol.set(Some(protocol));
        Ok(())
    }
}

/// The scheduler of futures that are made where no loop runs: nobody can wait for them.
struct NoLoop;

impl Scheduler for NoLoop {
    fn schedule(&self, callback: Callback) -> Result<Handle, Closed> {
        Err(Closed::new(callback))
    }

    fn schedule_at(&self, _when: Instant, callback: Callback) -> Result<TimerHandle, Closed> {
        Err(Closed::new(callback))
    }

    fn time(&self) -> Instant {
        Instant::ZERO
    }

    fn cancel(&self, _id: CallbackId) -> bool {
        false
    }

    fn is_pending(&self, _id: CallbackId) -> bool {
        false
    }

    fn reschedule(&self, _id: CallbackId, _when: Instant) -> bool {
        false
    }

    fn call_exception_handler(&self, context: ExceptionContext) {
        log::error!(target: "tulipa", "{context}");
    }

    fn id(&self) -> SchedulerId {
        SchedulerId::unique()
    }

    fn to_rc(&self) -> Rc<dyn Scheduler> {
        Rc::new(NoLoop)
    }

    fn threadsafe(&self) -> Arc<dyn ThreadsafeScheduler> {
        Arc::new(NoLoop)
    }

    fn is_closed(&self) -> bool {
        true
    }
}

impl ThreadsafeScheduler for NoLoop {
    fn post(self: Arc<Self>, closure: PostedClosure) -> Result<(), PostedClosure> {
        Err(closure)
    }

    fn id(&self) -> SchedulerId {
        SchedulerId::unique()
    }
}
