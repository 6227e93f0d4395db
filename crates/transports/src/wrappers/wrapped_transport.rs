//! [`WrappedTransport`]: the transport as a wrapped protocol sees it: the wrapper is asked first, and all
//! else is the lower transport's.

use super::wrapped::{ProtocolWrapper, Shared};
use crate::{
    Bandwidth, BaseTransport, Bytes, DescriptorsRefused, ExtraInfo, InvalidLimits, Protocol,
    ProtocolUnavailable, ReadTransport, SendFile, Transport, WriteBufferCap, WriteBufferLimits,
    WriteState, WriteTransport,
};
use futures::{Exception, Future};
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

/// The transport of a wrapped protocol: lent for a call, with a reference to the lower transport, or kept,
/// with a handle of it.
pub(super) struct WrappedTransport<L, W> {
    lower: L,
    shared: Rc<Shared<W>>,
    /// Over which transport in turn it stands: one that was upgraded is the wrapper's no more.
    generation: u32,
}

impl<L: Lower, W: ProtocolWrapper> WrappedTransport<L, W> {
    pub(super) fn new(lower: L, shared: Rc<Shared<W>>) -> Self {
        let generation = shared.generation();
        Self { lower, shared, generation }
    }

    /// The wrapper, as long as it stands in between.
    fn wrapper(&self) -> Option<&W> {
        self.is_current().then_some(&self.shared.wrapper)
    }

    fn is_current(&self) -> bool {
        !self.shared.is_gone() && self.shared.generation() == self.generation
    }

    fn lower(&self) -> &dyn Transport {
        self.lower.get()
    }
}

/// What a transport can be reached through.
pub(super) trait Lower {
    fn get(&self) -> &dyn Transport;
}

impl Lower for &dyn Transport {
    fn get(&self) -> &dyn Transport {
        *self
    }
}

impl Lower for Rc<dyn Transport> {
    fn get(&self) -> &dyn Transport {
        &**self
    }
}

impl<L: Lower, W: ProtocolWrapper> BaseTransport for WrappedTransport<L, W> {
    fn is_closing(&self) -> bool {
        self.lower().is_closing()
    }

    fn close(&self) {
        match self.wrapper() {
            Some(wrapper) => wrapper.close(self.lower()),
            None => self.lower().close(),
        }
    }

    fn wait_closed(&self) -> Future<()> {
        self.lower().wait_closed()
    }

    fn lost_reason(&self) -> Option<Exception> {
        self.lower().lost_reason()
    }

    /// Also when the wrapper is gone: what it said stays true.
    fn extra_info(&self) -> ExtraInfo {
        self.shared.wrapper.extra_info(self.lower())
    }

    fn set_boxed_protocol(&self, protocol: Box<dyn Protocol>) {
        match self.is_current() {
            true => self.shared.replace(self.lower(), protocol),
            false => self.lower().set_boxed_protocol(protocol),
        }
    }
}

impl<L: Lower, W: ProtocolWrapper> ReadTransport for WrappedTransport<L, W> {
    fn is_reading(&self) -> bool {
        self.lower().is_reading()
    }

    fn pause_reading(&self) {
        self.lower().pause_reading();
    }

    fn resume_reading(&self) {
        self.lower().resume_reading();
    }

    fn push_back(&self, data: Vec<u8>) {
        self.lower().push_back(data);
    }

    fn can_deliver(&self) -> bool {
        self.lower().can_deliver() && !self.shared.is_replaced()
    }

    fn take_pushed_back(&self) -> Vec<u8> {
        self.lower().take_pushed_back()
    }

    fn receive_descriptors(&self, most: usize) -> io::Result<()> {
        self.lower().receive_descriptors(most)
    }

    fn take_descriptors(&self) -> Vec<OwnedFd> {
        self.lower().take_descriptors()
    }
}

impl<L: Lower, W: ProtocolWrapper> WriteTransport for WrappedTransport<L, W> {
    fn write(&self, data: &[u8]) -> WriteState {
        self.writelines(&[data])
    }

    fn write_vec(&self, data: Vec<u8>) -> WriteState {
        match self.wrapper() {
            Some(wrapper) => wrapper.write_vec(self.lower(), data),
            None => self.lower().write_vec(data),
        }
    }

    fn write_with_descriptors(
        &self,
        data: &[u8],
        descriptors: Vec<OwnedFd>,
    ) -> Result<WriteState, DescriptorsRefused> {
        match self.wrapper() {
            Some(wrapper) => wrapper.write_with_descriptors(self.lower(), data, descriptors),
            None => self.lower().write_with_descriptors(data, descriptors),
        }
    }

    fn writelines(&self, parts: &[&[u8]]) -> WriteState {
        match self.wrapper() {
            Some(wrapper) => wrapper.write(self.lower(), parts),
            None => self.lower().writelines(parts),
        }
    }

    fn write_eof(&self) {
        match self.wrapper() {
            Some(wrapper) => wrapper.write_eof(self.lower()),
            None => self.lower().write_eof(),
        }
    }

    fn can_write_eof(&self) -> bool {
        self.lower().can_write_eof()
    }

    fn drained(&self) -> Future<()> {
        self.lower().drained()
    }

    fn send_file(&self, file: SendFile) -> Future<u64> {
        match self.wrapper() {
            Some(wrapper) => wrapper.send_file(self.lower(), file),
            None => self.lower().send_file(file),
        }
    }

    fn file_bytes_sent(&self) -> Option<u64> {
        self.lower().file_bytes_sent()
    }

    fn set_write_buffer_limits(&self, limits: WriteBufferLimits) -> Result<(), InvalidLimits> {
        self.lower().set_write_buffer_limits(limits)
    }

    fn get_write_buffer_limits(&self) -> WriteBufferLimits {
        self.lower().get_write_buffer_limits()
    }

    fn set_write_buffer_cap(&self, cap: WriteBufferCap) {
        self.lower().set_write_buffer_cap(cap);
    }

    fn get_write_buffer_size(&self) -> Bytes {
        self.lower().get_write_buffer_size()
    }

    fn dropped_writes(&self) -> u64 {
        self.lower().dropped_writes()
    }

    fn abort(&self) {
        match self.wrapper() {
            Some(wrapper) => wrapper.abort(self.lower(), None),
            None => self.lower().abort(),
        }
    }

    fn abort_with(&self, reason: Exception) {
        match self.wrapper() {
            Some(wrapper) => wrapper.abort(self.lower(), Some(reason)),
            None => self.lower().abort_with(reason),
        }
    }
}

impl<L: Lower, W: ProtocolWrapper> Transport for WrappedTransport<L, W> {
    fn handle(&self) -> Rc<dyn Transport> {
        let lower = self.lower().handle();
        let (shared, generation) = (self.shared.clone(), self.generation);
        Rc::new(WrappedTransport { lower, shared, generation })
    }

    fn limit_bandwidth(&self, read: &[Bandwidth], write: &[Bandwidth]) {
        self.lower().limit_bandwidth(read, write);
    }

    fn with_boxed_protocol(
        &self,
        function: &mut dyn FnMut(&mut dyn Protocol, &dyn Transport),
    ) -> Result<(), ProtocolUnavailable> {
        match self.is_current() {
            true => self.shared.with_inner(self.lower(), function),
            false => self.lower().with_boxed_protocol(function),
        }
    }

    /// The wrapper goes on above the new transport, with its protocol.
    #[cfg(feature = "tls")]
    fn go_below(&self, linger: std::time::Duration) -> io::Result<crate::tls::Below> {
        let below = self.lower().go_below(linger)?;
        if self.is_current() {
            self.shared.begin_generation();
        }
        Ok(below)
    }

    #[cfg(feature = "tls")]
    fn dress(&self) -> Option<crate::tls::Dress> {
        let dress = self.lower().dress();
        if !self.is_current() {
            return dress;
        }
        let shared = self.shared.clone();
        Some(Box::new(move |upper| {
            let lower = match dress {
                Some(dress) => dress(upper),
                None => upper,
            };
            Rc::new(WrappedTransport::new(lower, shared))
        }))
    }

    #[cfg(feature = "tls")]
    fn set_upper(&self, upper: crate::tls::UpperLink) {
        self.lower().set_upper(upper);
    }
}
