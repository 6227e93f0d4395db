//! [`DatagramHandle`]: the [`DatagramTransport`] that users see. It holds the endpoint weakly, so that
//! no handle keeps an endpoint, or a protocol that stores one keeps itself, alive.

use super::endpoint::{Endpoint, longest_train, warn_of_dropped};
use super::{DatagramProtocol, DatagramStats, DatagramTransport, SendRefusal, SendState};
use crate::{
    Address, Bytes, ExtraInfo, InvalidLimits, ProtocolUnavailable, WriteBufferCap,
    WriteBufferLimits,
};
use futures::{Exception, Future, Scheduler, SchedulerExt};
use std::cell::{Cell, OnceCell};
use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::rc::{Rc, Weak};

/// A datagram endpoint as its users see it.
pub(super) struct DatagramHandle {
    endpoint: Weak<Endpoint>,
    /// What it still knows once the endpoint is gone.
    ended: OnceCell<Ended>,
}

/// What a handle still knows after the end.
#[derive(Clone)]
pub(super) struct Ended {
    pub(super) scheduler: Rc<dyn Scheduler>,
    pub(super) peername: Option<Address>,
    pub(super) sockname: Option<Address>,
    pub(super) limits: WriteBufferLimits,
    pub(super) stats: Cell<DatagramStats>,
}

impl DatagramHandle {
    /// The handle that a protocol is lent for one call, or the one that a user keeps.
    pub(super) fn lent(endpoint: &Rc<Endpoint>) -> Self {
        Self { endpoint: Rc::downgrade(endpoint), ended: OnceCell::new() }
    }

    /// The endpoint is over: this is what the handle answers from now on.
    pub(super) fn end(&self, ended: Ended) {
        // It ends once; a second word (of a loop that closes) says the same.
        let _ = self.ended.set(ended);
    }

    fn endpoint(&self) -> Option<Rc<Endpoint>> {
        match self.ended.get() {
            Some(_) => None,
            None => self.endpoint.upgrade(),
        }
    }

    /// A future of one who asks when the endpoint is gone.
    fn future_afterwards(&self) -> Future<()> {
        match self.ended.get() {
            Some(ended) => ended.scheduler.create_future(),
            None => futures::current().create_future(),
        }
    }
}

impl DatagramTransport for DatagramHandle {
    fn sendto(&self, data: &[u8], address: Option<&Address>) -> SendState {
        if let Some(endpoint) = self.endpoint() {
            return endpoint.sendto(data, address);
        }
        if let Some(ended) = self.ended.get() {
            let mut stats = ended.stats.get();
            stats.dropped += 1;
            ended.stats.set(stats);
            warn_of_dropped(stats.dropped);
        }
        SendState::Dropped(SendRefusal::Closed)
    }

    fn send_segments(
        &self,
        data: &[u8],
        size: NonZeroUsize,
        address: Option<&Address>,
    ) -> SendState {
        let mut answer = SendState::Sent;
        for train in data.chunks(longest_train(size)) {
            let sent = self.endpoint().is_some_and(|e| e.send_train(train, size, address));
            if !sent {
                for segment in train.chunks(size.get()) {
                    answer = answer.followed_by(self.sendto(segment, address));
                }
            }
        }
        answer
    }

    fn is_closing(&self) -> bool {
        self.endpoint().is_none_or(|endpoint| endpoint.is_closing())
    }

    fn close(&self) {
        if let Some(endpoint) = self.endpoint() {
            endpoint.close();
        }
    }

    fn abort(&self) {
        if let Some(endpoint) = self.endpoint() {
            endpoint.abort(None);
        }
    }

    fn abort_with(&self, reason: Exception) {
        if let Some(endpoint) = self.endpoint() {
            endpoint.abort(Some(reason));
        }
    }

    fn wait_closed(&self) -> Future<()> {
        if let Some(endpoint) = self.endpoint() {
            return endpoint.wait_closed();
        }
        let future = self.future_afterwards();
        // It is new, hence pending.
        let _ = future.set_result(());
        future
    }

    fn drained(&self) -> Future<()> {
        if let Some(endpoint) = self.endpoint() {
            return endpoint.drained();
        }
        let future = self.future_afterwards();
        let error = io::Error::new(io::ErrorKind::NotConnected, "the endpoint is closed");
        // It is new, hence pending.
        let _ = future.set_exception(error);
        future
    }

    fn is_reading(&self) -> bool {
        self.endpoint().is_some_and(|endpoint| endpoint.is_reading())
    }

    fn pause_reading(&self) {
        if let Some(endpoint) = self.endpoint() {
            endpoint.set_reading(false);
        }
    }

    fn resume_reading(&self) {
        if let Some(endpoint) = self.endpoint() {
            endpoint.set_reading(true);
        }
    }

    fn extra_info(&self) -> ExtraInfo {
        match (self.endpoint(), self.ended.get()) {
            (Some(endpoint), _) => endpoint.extra_info(),
            (None, Some(ended)) => ExtraInfo {
                peername: ended.peername.clone(),
                sockname: ended.sockname.clone(),
                ..ExtraInfo::default()
            },
            (None, None) => ExtraInfo::default(),
        }
    }

    fn set_write_buffer_limits(&self, limits: WriteBufferLimits) -> Result<(), InvalidLimits> {
        limits.check()?;
        if let Some(endpoint) = self.endpoint() {
            endpoint.set_marks(limits);
        }
        Ok(())
    }

    fn get_write_buffer_limits(&self) -> WriteBufferLimits {
        match (self.endpoint(), self.ended.get()) {
            (Some(endpoint), _) => endpoint.marks(),
            (None, Some(ended)) => ended.limits,
            (None, None) => WriteBufferLimits::default(),
        }
    }

    fn set_write_buffer_cap(&self, cap: WriteBufferCap) {
        if let Some(endpoint) = self.endpoint() {
            endpoint.set_cap(cap);
        }
    }

    fn get_write_buffer_size(&self) -> Bytes {
        self.endpoint().map_or(Bytes(0), |endpoint| endpoint.queue_size())
    }

    fn stats(&self) -> DatagramStats {
        match (self.endpoint(), self.ended.get()) {
            (Some(endpoint), _) => endpoint.stats(),
            (None, Some(ended)) => ended.stats.get(),
            (None, None) => DatagramStats::default(),
        }
    }

    fn handle(&self) -> Rc<dyn DatagramTransport> {
        match self.endpoint() {
            Some(endpoint) => endpoint.handle(),
            None => Rc::new(Self { endpoint: Weak::new(), ended: self.ended.clone() }),
        }
    }

    fn set_boxed_protocol(&self, protocol: Box<dyn DatagramProtocol>) {
        if let Some(endpoint) = self.endpoint() {
            endpoint.replace_protocol(protocol);
        }
    }

    fn with_boxed_protocol(
        &self,
        function: &mut dyn FnMut(&mut dyn DatagramProtocol, &dyn DatagramTransport),
    ) -> Result<(), ProtocolUnavailable> {
        match self.endpoint() {
            Some(endpoint) => endpoint.run_for_user(function),
            None => Err(ProtocolUnavailable::Gone),
        }
    }
}

impl fmt::Debug for DatagramHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.endpoint() {
            Some(endpoint) => f.write_str(&endpoint.describe()),
            None => f.write_str("closed datagram endpoint"),
        }
    }
}
