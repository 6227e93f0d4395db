//! [`StreamHandle`]: the [`Transport`] that users see. It holds the connection weakly, so that no
//! handle keeps a connection, or a protocol that stores one keeps itself, alive.

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
use std::os::fd::OwnedFd;
use std::rc::{Rc, Weak};

/// A stream transport as its users see it.
pub(crate) struct StreamHandle<B: Backend> {
    connection: Weak<StreamTransport<B>>,
    /// Whether it is that of a layer above, to which the connection belongs.
    is_of_layer: bool,
    /// What it still knows once the connection is gone.
    ended: OnceCell<Ended>,
}

impl<B: Backend> StreamHandle<B> {
    /// The handle that a protocol is lent for one call, or the one that a user keeps.
    pub(super) fn lent(connection: &Rc<StreamTransport<B>>) -> Self {
        let connection = Rc::downgrade(connection);
        Self { connection, is_of_layer: false, ended: OnceCell::new() }
    }

    /// The handle of a layer above, which goes on when those of users answer nothing any more.
    #[cfg(feature = "tls")]
    pub(super) fn of_layer(connection: &Rc<StreamTransport<B>>) -> Self {
        Self { is_of_layer: true, ..Self::lent(connection) }
    }

    /// The connection is over: this is what the handle answers from now on.
    pub(super) fn end(&self, ended: Ended) {
        // It ends once; a second word (of a loop that closes) says the same.
        let _ = self.ended.set(ended);
    }

    /// The connection, as long as it answers to this handle.
    fn connection(&self) -> Option<Rc<StreamTransport<B>>> {
        self.known().filter(|connection| self.is_of_layer || !connection.is(UPGRADED))
    }

    /// The connection, for what may be asked of it even if it belongs to a layer above.
    fn known(&self) -> Option<Rc<StreamTransport<B>>> {
        match self.ended.get() {
            Some(_) => None,
            None => self.connection.upgrade(),
        }
    }

    /// The scheduler of the futures that are asked for when the connection is gone.
    fn scheduler_afterwards(&self) -> Rc<dyn Scheduler> {
        match (self.ended.get(), self.known()) {
            (Some(ended), _) => ended.scheduler.clone(),
            (None, Some(connection)) => connection.event_loop().to_rc(),
            (None, None) => futures::current(),
        }
    }

    fn drop_write(&self) -> WriteState {
        if self.known().is_some() {
            return WriteState::Refused(WriteRefusal::Upgraded);
        }
        if let Some(ended) = self.ended.get() {
            ended.dropped_writes.set(ended.dropped_writes.get() + 1);
            warn_of_dropped_writes(ended.dropped_writes.get());
        }
        WriteState::Refused(WriteRefusal::Closed)
    }
}

impl<B: Backend> BaseTransport for StreamHandle<B> {
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
        self.ended.get().and_then(|ended| ended.reason.clone())
    }

    fn extra_info(&self) -> ExtraInfo {
        match (self.known(), self.ended.get()) {
            (Some(connection), _) => B::extra_info(&connection),
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

impl<B: Backend> ReadTransport for StreamHandle<B> {
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
        let replaced = |connection: &Rc<StreamTransport<B>>| connection.has_successor();
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

impl<B: Backend> WriteTransport for StreamHandle<B> {
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
        let ended = !B::IS_LAYER;
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
        match (self.connection(), self.ended.get()) {
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
        match (self.connection(), self.ended.get()) {
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

impl<B: Backend> Transport for StreamHandle<B> {
    fn handle(&self) -> Rc<dyn Transport> {
        match self.connection() {
            Some(connection) => connection.handle(),
            None => {
                let connection = match self.ended.get() {
                    Some(_) => Weak::new(),
                    None => self.connection.clone(),
                };
                Rc::new(Self { connection, is_of_layer: false, ended: self.ended.clone() })
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
        if self.is_of_layer {
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

impl<B: Backend> fmt::Debug for StreamHandle<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.connection() {
            Some(connection) => f.write_str(&connection.backend().describe()),
            None => f.write_str("closed transport"),
        }
    }
}
