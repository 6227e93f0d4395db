//! [`StreamHandle`]: the [`Transport`] that users see. The one that they keep holds the connection weakly, so
//! that no handle keeps a connection, or a protocol that stores one keeps itself, alive. The one
//! that a protocol is lent for a call only borrows it, which costs nothing.

use super::rare::Ended;
use super::writing::warn_of_dropped_writes;
use super::{StreamTransport, UPGRADED};
use crate::backend::Backend;
use crate::descriptors::{DescriptorsRefused, Reason};
use crate::{
    Bandwidth, BaseTransport, Bytes, ExtraInfo, InvalidLimits, Protocol, ProtocolUnavailable,
    ReadTransport, SendFile, SendFileError, Transport, WriteBufferCap, WriteBufferLimits,
    WriteRefusal, WriteState, WriteTransport,
};
use futures::{Exception, Future, Scheduler, SchedulerExt};
use std::cell::OnceCell;
use std::fmt;
use std::io;
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::rc::{Rc, Weak};

/// A stream transport as its users see it, which reaches the connection by an `L`.
pub(crate) struct StreamHandle<L>(L);

/// How a handle reaches its connection.
pub(super) trait Link {
    type Backend: Backend;
    type Held<'a>: Deref<Target = Rc<StreamTransport<Self::Backend>>>
    where
        Self: 'a;

    /// The connection, as long as there is one.
    fn known(&self) -> Option<Self::Held<'_>>;

    /// Whether the handle is that of a layer above, to which the connection belongs.
    fn is_of_layer(&self) -> bool {
        false
    }

    /// What is still known once the connection is gone.
    fn ended(&self) -> Option<&Ended> {
        None
    }
}

/// The link of a handle that a protocol is lent for one call.
pub(super) struct Lent<'c, B: Backend>(&'c Rc<StreamTransport<B>>);

impl<'c, B: Backend> Link for Lent<'c, B> {
    type Backend = B;
    type Held<'a>
        = &'c Rc<StreamTransport<B>>
    where
        Self: 'a;

    #[inline]
    fn known(&self) -> Option<Self::Held<'_>> {
        Some(self.0)
    }
}

/// The link of a handle that somebody keeps.
pub(crate) struct Kept<B: Backend> {
    connection: Weak<StreamTransport<B>>,
    is_of_layer: bool,
    ended: OnceCell<Ended>,
}

/// Keeps the connection for as long as it is asked for something.
pub(crate) struct Held<B: Backend>(Rc<StreamTransport<B>>);

impl<B: Backend> Deref for Held<B> {
    type Target = Rc<StreamTransport<B>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<B: Backend> Link for Kept<B> {
    type Backend = B;
    type Held<'a>
        = Held<B>
    where
        Self: 'a;

    fn known(&self) -> Option<Self::Held<'_>> {
        match self.ended.get() {
            Some(_) => None,
            None => self.connection.upgrade().map(Held),
        }
    }

    fn is_of_layer(&self) -> bool {
        self.is_of_layer
    }

    fn ended(&self) -> Option<&Ended> {
        self.ended.get()
    }
}

impl<'c, B: Backend> StreamHandle<Lent<'c, B>> {
    /// The handle that a protocol is lent for one call.
    #[inline]
    pub(super) fn lent(connection: &'c Rc<StreamTransport<B>>) -> Self {
        Self(Lent(connection))
    }
}

impl<B: Backend> StreamHandle<Kept<B>> {
    /// A handle to be kept.
    pub(super) fn kept(connection: &Rc<StreamTransport<B>>) -> Self {
        let connection = Rc::downgrade(connection);
        Self(Kept { connection, is_of_layer: false, ended: OnceCell::new() })
    }

    /// The handle of a layer above, which goes on when those of users answer nothing any more.
    #[cfg(feature = "tls")]
    pub(super) fn of_layer(connection: &Rc<StreamTransport<B>>) -> Self {
        let Self(kept) = Self::kept(connection);
        Self(Kept { is_of_layer: true, ..kept })
    }

    /// The connection is over: this is what the handle answers from now on.
    pub(super) fn end(&self, ended: Ended) {
        // It ends once; a second word (of a loop that closes) says the same.
        let _ = self.0.ended.set(ended);
    }
}

impl<L: Link> StreamHandle<L> {
    /// The connection, as long as it answers to this handle.
    #[inline]
    fn connection(&self) -> Option<L::Held<'_>> {
        self.known().filter(|connection| self.0.is_of_layer() || !connection.is(UPGRADED))
    }

    /// The connection, for what may be asked of it even if it belongs to a layer above.
    #[inline]
    fn known(&self) -> Option<L::Held<'_>> {
        self.0.known()
    }

    /// The scheduler of the futures that are asked for when the connection is gone.
    fn scheduler_afterwards(&self) -> Rc<dyn Scheduler> {
        match (self.0.ended(), self.known()) {
            (Some(ended), _) => ended.scheduler.clone(),
            (None, Some(connection)) => connection.event_loop().to_rc(),
            (None, None) => futures::current(),
        }
    }

    fn drop_write(&self) -> WriteState {
        if self.known().is_some() {
            return WriteState::Refused(WriteRefusal::Upgraded);
        }
        if let Some(ended) = self.0.ended() {
            ended.dropped_writes.set(ended.dropped_writes.get() + 1);
            warn_of_dropped_writes(ended.dropped_writes.get());
        }
        WriteState::Refused(WriteRefusal::Closed)
    }
}

impl<L: Link> BaseTransport for StreamHandle<L> {
    fn is_closing(&self) -> bool {
        self.connection().is_none_or(|connection| connection.is_closing())
    }

    fn close(&self) {
        if let Some(connection) = self.connection() {
            connection.close();
        }
    }

    fn wait_closed(&self) -> Future<()> {
        if let Some(connection) = self.known() {
            return connection.wait_closed();
        }
        let future = self.scheduler_afterwards().create_future();
        // It is new, hence pending.
        let _ = future.set_result(());
        future
    }

    fn lost_reason(&self) -> Option<Exception> {
        self.0.ended().and_then(|ended| ended.reason.clone())
    }

    fn extra_info(&self) -> ExtraInfo {
        match (self.known(), self.0.ended()) {
            (Some(connection), _) => L::Backend::extra_info(&connection),
            (None, Some(ended)) => ExtraInfo {
                peername: ended.peername.clone(),
                sockname: ended.sockname.clone(),
                tls: ended.tls.clone(),
                ..ExtraInfo::default()
            },
            (None, None) => ExtraInfo::default(),
        }
    }

    fn set_boxed_protocol(&self, protocol: Box<dyn Protocol>) {
        if let Some(connection) = self.connection() {
            connection.replace_protocol(protocol);
        }
    }
}

impl<L: Link> ReadTransport for StreamHandle<L> {
    fn is_reading(&self) -> bool {
        self.connection().is_some_and(|connection| connection.is_reading())
    }

    fn pause_reading(&self) {
        if let Some(connection) = self.connection() {
            connection.pause_reading();
        }
    }

    fn resume_reading(&self) {
        if let Some(connection) = self.connection() {
            connection.resume_reading();
        }
    }

    fn push_back(&self, data: Vec<u8>) {
        // The method that has another layer put above may still give back what it was given.
        let replaced = |connection: &L::Held<'_>| connection.has_successor();
        if let Some(connection) = self.connection().or_else(|| self.known().filter(replaced)) {
            connection.push_back(data);
        }
    }

    fn can_deliver(&self) -> bool {
        self.connection().is_some_and(|connection| connection.can_deliver())
    }

    fn take_pushed_back(&self) -> Vec<u8> {
        self.connection().map_or_else(Vec::new, |connection| connection.take_pushed_back())
    }

    fn receive_descriptors(&self, most: usize) -> io::Result<()> {
        match self.connection() {
            Some(connection) => connection.receive_descriptors(most),
            None => Ok(()),
        }
    }

    fn take_descriptors(&self) -> Vec<OwnedFd> {
        self.connection().map_or_else(Vec::new, |connection| connection.take_descriptors())
    }
}

impl<L: Link> WriteTransport for StreamHandle<L> {
    fn write_with_descriptors(
        &self,
        data: &[u8],
        descriptors: Vec<OwnedFd>,
    ) -> Result<WriteState, DescriptorsRefused> {
        match self.connection() {
            Some(connection) => connection.write_with_descriptors(data, descriptors),
            None => {
                let refusal = self.drop_write().into_result().err();
                let reason = Reason::Write(refusal.unwrap_or(WriteRefusal::Closed));
                Err(DescriptorsRefused::new(descriptors, reason))
            }
        }
    }

    fn write(&self, data: &[u8]) -> WriteState {
        match self.connection() {
            Some(connection) => connection.write_parts(&[data]),
            None => self.drop_write(),
        }
    }

    fn write_vec(&self, data: Vec<u8>) -> WriteState {
        match self.connection() {
            Some(connection) => connection.write_owned(data),
            None => self.drop_write(),
        }
    }

    fn writelines(&self, parts: &[&[u8]]) -> WriteState {
        match self.connection() {
            Some(connection) => connection.write_parts(parts),
            None => self.drop_write(),
        }
    }

    fn write_eof(&self) {
        if let Some(connection) = self.connection() {
            connection.write_eof();
        }
    }

    fn can_write_eof(&self) -> bool {
        let ended = !L::Backend::IS_LAYER;
        self.known().map_or(ended, |connection| connection.backend().can_write_eof())
    }

    fn drained(&self) -> Future<()> {
        if let Some(connection) = self.connection() {
            return connection.drained();
        }
        let future = self.scheduler_afterwards().create_future();
        let error = io::Error::new(io::ErrorKind::NotConnected, "the connection is over");
        // It is new, hence pending.
        let _ = future.set_exception(error);
        future
    }

    fn send_file(&self, file: SendFile) -> Future<u64> {
        if let Some(connection) = self.connection() {
            return connection.send_file(file);
        }
        let future = self.scheduler_afterwards().create_future();
        let error = io::Error::new(io::ErrorKind::NotConnected, "the connection is over");
        // It is new, hence pending.
        let _ = future.set_exception(SendFileError::wrap(0, error.into()));
        future
    }

    fn file_bytes_sent(&self) -> Option<u64> {
        self.connection()?.file_bytes_sent()
    }

    fn set_write_buffer_limits(&self, limits: WriteBufferLimits) -> Result<(), InvalidLimits> {
        match self.connection() {
            Some(connection) => connection.set_marks(limits),
            None => limits.check(),
        }
    }

    fn get_write_buffer_limits(&self) -> WriteBufferLimits {
        match (self.connection(), self.0.ended()) {
            (Some(connection), _) => connection.marks(),
            (None, Some(ended)) => ended.limits,
            (None, None) => WriteBufferLimits::default(),
        }
    }

    fn set_write_buffer_cap(&self, cap: WriteBufferCap) {
        if let Some(connection) = self.connection() {
            connection.set_cap(cap);
        }
    }

    fn get_write_buffer_size(&self) -> Bytes {
        self.connection().map_or(Bytes(0), |connection| connection.output_bytes())
    }

    fn dropped_writes(&self) -> u64 {
        match (self.connection(), self.0.ended()) {
            (Some(connection), _) => connection.rare(|rare| rare.dropped_writes),
            (None, Some(ended)) => ended.dropped_writes.get(),
            (None, None) => 0,
        }
    }

    fn abort(&self) {
        if let Some(connection) = self.connection() {
            connection.abort(None);
        }
    }

    fn abort_with(&self, reason: Exception) {
        if let Some(connection) = self.connection() {
            connection.abort(Some(reason));
        }
    }
}

impl<L: Link> Transport for StreamHandle<L> {
    fn handle(&self) -> Rc<dyn Transport> {
        match self.connection() {
            Some(connection) => connection.handle(),
            None => {
                let known = self.known();
                let connection = known.map_or_else(Weak::new, |known| Rc::downgrade(&known));
                let ended = self.0.ended().cloned().map_or_else(OnceCell::new, OnceCell::from);
                Rc::new(StreamHandle(Kept { connection, is_of_layer: false, ended }))
            }
        }
    }

    fn limit_bandwidth(&self, read: &[Bandwidth], write: &[Bandwidth]) {
        if let Some(connection) = self.connection() {
            connection.limit_bandwidth(read, write);
        }
    }

    fn with_boxed_protocol(
        &self,
        function: &mut dyn FnMut(&mut dyn Protocol, &dyn Transport),
    ) -> Result<(), ProtocolUnavailable> {
        match self.connection() {
            Some(connection) => connection.run_for_user(function),
            None => Err(ProtocolUnavailable::Gone),
        }
    }

    #[cfg(feature = "tls")]
    fn go_below(&self, linger: std::time::Duration) -> io::Result<crate::tls::Below> {
        let gone = || io::Error::new(io::ErrorKind::NotConnected, "the transport is closed");
        self.connection().ok_or_else(gone)?.go_below(linger)
    }

    #[cfg(feature = "tls")]
    fn upgraded(&self) -> Option<Rc<dyn Transport>> {
        if self.0.is_of_layer() {
            return None;
        }
        self.known()?.upper()?.transport()
    }

    fn close_all(&self) {
        if let Some(connection) = self.known() {
            connection.close_all();
        }
    }

    #[cfg(feature = "tls")]
    fn set_upper(&self, upper: crate::tls::UpperLink) {
        if let Some(connection) = self.connection() {
            connection.set_upper(upper.0);
        }
    }
}

impl<L: Link> fmt::Debug for StreamHandle<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.connection() {
            Some(connection) => f.write_str(&connection.backend().describe()),
            None => f.write_str("closed transport"),
        }
    }
}
