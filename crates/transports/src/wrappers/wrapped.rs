//! [`Wrapped`]: a protocol with something around it, which sees what passes in both directions.
//!
//! Invariants: the protocol inside is told what it would be told without a wrapper; its transport is a
//! [`WrappedTransport`], whichever way it came by it; a protocol that it sets takes the place of the inner
//! one once the method that runs has returned, and the wrapper stays.

use super::WrappedTransport;
use crate::{
    BufferedProtocol, Bytes, DescriptorsRefused, Eof, ExtraInfo, Protocol, SendFile, Transport,
    WriteState,
};
use futures::{Exception, Future};
use std::any::Any;
use std::cell::Cell;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

/// What goes around a protocol: it sees what passes in both directions, and may change what the protocol
/// asks of its transport. All does nothing by default. [`wrap`](super::wrap) puts it around the protocols
/// of a factory.
///
/// `lower` is the transport as it is outside of the wrapper. The methods are called before the protocol,
/// and must not call it.
///
/// # Examples
/// ```
/// use eventloop::EventLoop;
/// use std::cell::Cell;
/// use std::rc::Rc;
/// use tulipa_transports::wrappers::{ProtocolWrapper, wrap};
/// use tulipa_transports::{NetworkLoop, Protocol, Transport, WriteState, WriteTransport};
///
/// /// Counts what is written.
/// struct Count(Rc<Cell<usize>>);
///
/// impl ProtocolWrapper for Count {
///     fn write(&self, lower: &dyn Transport, parts: &[&[u8]]) -> WriteState {
///         let size: usize = parts.iter().map(|part| part.len()).sum();
///         self.0.set(self.0.get() + size);
///         lower.writelines(parts)
///     }
/// }
/// # struct Echo;
/// # impl Protocol for Echo {
/// #     fn data_received(&mut self, _: &dyn Transport, _: &[u8]) {}
/// # }
/// let event_loop = EventLoop::new()?;
/// let written = Rc::new(Cell::new(0));
/// let count = written.clone();
/// let factory = wrap(move || Count(count.clone()), || Echo);
/// let server = event_loop.create_server(factory, ("127.0.0.1", 0)).result()?;
/// # Ok::<(), futures::Exception>(())
/// ```
pub trait ProtocolWrapper: 'static {
    /// Whether [`data_received`](ProtocolWrapper::data_received) is to be called. If so, a protocol that
    /// provides its own buffers gets copies in them.
    fn wants_data(&self) -> bool {
        false
    }

    /// The connection is there.
    fn connection_made(&self, lower: &dyn Transport) {
        let _ = lower;
    }

    /// Some bytes came.
    fn data_received(&self, lower: &dyn Transport, data: &[u8]) {
        let _ = (lower, data);
    }

    /// The peer will send no more.
    fn eof_received(&self, lower: &dyn Transport) {
        let _ = lower;
    }

    /// From now on the connection is encrypted, and `lower` is its new transport.
    fn handshake_completed(&self, lower: &dyn Transport) {
        let _ = lower;
    }

    /// The connection is gone.
    fn connection_lost(&self, lower: &dyn Transport, reason: Option<&Exception>) {
        let _ = (lower, reason);
    }

    /// The protocol writes.
    fn write(&self, lower: &dyn Transport, parts: &[&[u8]]) -> WriteState {
        lower.writelines(parts)
    }

    /// As [`write`](ProtocolWrapper::write), of a buffer that is given away.
    fn write_vec(&self, lower: &dyn Transport, data: Vec<u8>) -> WriteState {
        self.write(lower, &[&data])
    }

    /// As [`write`](ProtocolWrapper::write), with descriptors that go along.
    ///
    /// # Errors
    /// As [`WriteTransport::write_with_descriptors`](crate::WriteTransport::write_with_descriptors).
    fn write_with_descriptors(
        &self,
        lower: &dyn Transport,
        data: &[u8],
        descriptors: Vec<OwnedFd>,
    ) -> Result<WriteState, DescriptorsRefused> {
        lower.write_with_descriptors(data, descriptors)
    }

    /// The protocol sends a file.
    fn send_file(&self, lower: &dyn Transport, file: SendFile) -> Future<u64> {
        lower.send_file(file)
    }

    /// The protocol ends its direction.
    fn write_eof(&self, lower: &dyn Transport) {
        lower.write_eof();
    }

    /// The protocol closes.
    fn close(&self, lower: &dyn Transport) {
        lower.close();
    }

    /// The protocol aborts.
    fn abort(&self, lower: &dyn Transport, reason: Option<Exception>) {
        match reason {
            None => lower.abort(),
            Some(reason) => lower.abort_with(reason),
        }
    }

    /// What the protocol is told of its connection.
    fn extra_info(&self, lower: &dyn Transport) -> ExtraInfo {
        lower.extra_info()
    }
}

/// A protocol with a [`ProtocolWrapper`] around it. It is a protocol as any other.
///
/// [`with_protocol`](crate::TransportExt::with_protocol) reaches the one inside, as if there were no wrapper.
/// A protocol that the one inside sets in its own place is wrapped too; one that is set from outside, on the
/// transport that a creator gave, takes the place of both.
pub struct Wrapped<W: ProtocolWrapper> {
    inner: Box<dyn Protocol>,
    shared: Rc<Shared<W>>,
}

/// What a wrapped protocol and its transports share.
pub(super) struct Shared<W> {
    pub(super) wrapper: W,
    /// The protocol that follows the one inside.
    successor: Cell<Option<Box<dyn Protocol>>>,
    /// A method of the protocol inside is running.
    running: Cell<bool>,
    /// The protocol inside was told to pause writing, and not to resume.
    paused: Cell<bool>,
    life: Cell<Life>,
    /// How often the transport was upgraded: the wrapper goes on over the new one.
    generation: Cell<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    /// The wrapper was told that the connection is there, the protocol inside was not: it will not be told
    /// of the end either, if the wrapper panics.
    Unmade,
    Open,
    /// The protocol inside was told, or is being told.
    Lost,
    /// There is no wrapped protocol any more: another one was set from outside, or all is over.
    Gone,
}

impl<W: ProtocolWrapper> Wrapped<W> {
    /// Puts `wrapper` around `inner`.
    pub fn new(wrapper: W, inner: impl Protocol) -> Self {
        Self::around(wrapper, Box::new(inner))
    }

    pub(super) fn around(wrapper: W, inner: Box<dyn Protocol>) -> Self {
        let shared = Shared {
            wrapper,
            successor: Cell::new(None),
            running: Cell::new(false),
            paused: Cell::new(false),
            life: Cell::new(Life::Open),
            generation: Cell::new(0),
        };
        Self { inner, shared: Rc::new(shared) }
    }

    /// Calls the protocol inside.
    fn call<R>(
        &mut self,
        lower: &dyn Transport,
        function: impl FnOnce(&mut dyn Protocol, &dyn Transport) -> R,
    ) -> R {
        self.replace_if_owed(lower);
        let result = self.run(lower, function);
        self.replace_if_owed(lower);
        result
    }

    fn run<R>(
        &mut self,
        lower: &dyn Transport,
        function: impl FnOnce(&mut dyn Protocol, &dyn Transport) -> R,
    ) -> R {
        let _running = Running::begin(&self.shared);
        let transport = WrappedTransport::new(lower, self.shared.clone());
        function(&mut *self.inner, &transport)
    }

    /// The protocol that was set takes over. After the end nobody would call it.
    fn replace_if_owed(&mut self, lower: &dyn Transport) {
        while let Some(successor) = self.shared.successor.take() {
            if self.shared.life.get() != Life::Open {
                return drop(successor);
            }
            let before = std::mem::replace(&mut self.inner, successor);
            let left = self.inner.take_over(before);
            drop(left);
            if self.shared.paused.get() {
                self.run(lower, |inner, transport| inner.pause_writing(transport)); // P-21
            }
        }
    }

    /// Gives `data` to the protocol inside, which wants it in buffers of its own.
    fn fill_buffers(&mut self, lower: &dyn Transport, data: &[u8]) {
        let mut rest = data;
        let shared = self.shared.clone();
        let may_go_on = || lower.can_deliver() && !shared.is_replaced();
        // The first piece is given in any case, as `data_received` is: with more of what was given back
        // behind it, nothing may be delivered besides.
        let mut asks = may_go_on();
        while !rest.is_empty() {
            let filled = self.run(lower, |inner, transport| {
                let Some(inner) = inner.as_buffered() else { return 0 };
                let buffer = inner.get_buffer(transport, Some(rest.len()));
                let count = buffer.len().min(rest.len());
                if asks && !lower.can_deliver() {
                    return 0;
                }
                assert!(count > 0, "get_buffer() returned an empty buffer");
                buffer[..count].copy_from_slice(&rest[..count]);
                inner.buffer_updated(transport, count);
                count
            });
            rest = &rest[filled..];
            asks = true;
            if !rest.is_empty() && !may_go_on() {
                return lower.push_back(rest.to_vec()); // P-20, P-21
            }
        }
    }
}

impl<W: ProtocolWrapper> Shared<W> {
    /// Whether there is a wrapper to be asked.
    pub(super) fn is_gone(&self) -> bool {
        self.life.get() == Life::Gone
    }

    pub(super) fn generation(&self) -> u32 {
        self.generation.get()
    }

    /// From now on there is another transport.
    #[cfg(feature = "tls")]
    pub(super) fn begin_generation(&self) {
        self.generation.set(self.generation.get() + 1);
    }

    /// Whether another protocol follows the one inside.
    pub(super) fn is_replaced(&self) -> bool {
        let successor = self.successor.take();
        let is_replaced = successor.is_some();
        self.successor.set(successor);
        is_replaced
    }

    /// Sets the protocol that follows the one inside.
    pub(super) fn replace(self: &Rc<Self>, lower: &dyn Transport, mut protocol: Box<dyn Protocol>) {
        let before = self.successor.take();
        let left = before.and_then(|before| protocol.take_over(before));
        self.successor.set(Some(protocol));
        drop(left);
        if self.running.get() {
            return;
        }
        // If something else runs there just now, it takes over at the next call.
        let _ = self.with_wrapped(lower, &mut |wrapped, lower| wrapped.replace_if_owed(lower));
    }

    /// Calls `function` with the protocol inside, from outside of it.
    pub(super) fn with_inner(
        self: &Rc<Self>,
        lower: &dyn Transport,
        function: &mut dyn FnMut(&mut dyn Protocol, &dyn Transport),
    ) -> Result<(), crate::ProtocolUnavailable> {
        let mut found = false;
        self.with_wrapped(lower, &mut |wrapped, lower| {
            found = true;
            wrapped.call(lower, |inner, transport| function(inner, transport));
        })?;
        if found { Ok(()) } else { Err(crate::ProtocolUnavailable::Gone) }
    }

    /// Finds the wrapped protocol, which may stand inside of others.
    fn with_wrapped(
        self: &Rc<Self>,
        lower: &dyn Transport,
        function: &mut dyn FnMut(&mut Wrapped<W>, &dyn Transport),
    ) -> Result<(), crate::ProtocolUnavailable> {
        lower.with_boxed_protocol(&mut |protocol, lower| self.find(protocol, lower, function))
    }

    fn find(
        self: &Rc<Self>,
        protocol: &mut dyn Protocol,
        lower: &dyn Transport,
        function: &mut dyn FnMut(&mut Wrapped<W>, &dyn Transport),
    ) {
        let any: &mut dyn Any = protocol;
        match any.downcast_mut::<Wrapped<W>>() {
            Some(wrapped) if Rc::ptr_eq(&wrapped.shared, self) => function(wrapped, lower),
            _ => {
                protocol.with_inner(lower, &mut |inner, lower| self.find(inner, lower, function));
            }
        }
    }
}

/// A method of the protocol inside runs, until this is dropped: a panic ends it too.
struct Running<W>(Rc<Shared<W>>);

impl<W> Running<W> {
    fn begin(shared: &Rc<Shared<W>>) -> Self {
        shared.running.set(true);
        Self(shared.clone())
    }
}

impl<W> Drop for Running<W> {
    fn drop(&mut self) {
        self.0.running.set(false);
    }
}

impl<W: ProtocolWrapper> Drop for Wrapped<W> {
    fn drop(&mut self) {
        self.shared.life.set(Life::Gone);
        let successor = self.shared.successor.take();
        drop(successor);
    }
}

impl<W: ProtocolWrapper> Protocol for Wrapped<W> {
    fn connection_made(&mut self, lower: &dyn Transport) {
        self.shared.life.set(Life::Unmade);
        self.shared.wrapper.connection_made(lower);
        self.shared.life.set(Life::Open);
        self.call(lower, |inner, transport| inner.connection_made(transport));
    }

    fn data_received(&mut self, lower: &dyn Transport, data: &[u8]) {
        self.replace_if_owed(lower);
        if self.shared.wrapper.wants_data() {
            self.shared.wrapper.data_received(lower, data);
        }
        if self.inner.as_buffered().is_some() {
            self.fill_buffers(lower, data);
            self.replace_if_owed(lower);
        } else {
            self.call(lower, |inner, transport| inner.data_received(transport, data));
        }
    }

    fn eof_received(&mut self, lower: &dyn Transport) -> Eof {
        self.shared.wrapper.eof_received(lower);
        self.call(lower, |inner, transport| inner.eof_received(transport))
    }

    fn connection_lost(&mut self, lower: &dyn Transport, reason: Option<Exception>) {
        // The protocol inside is told whatever the wrapper does (P-7).
        let wrapper = &self.shared.wrapper;
        let hook = AssertUnwindSafe(|| wrapper.connection_lost(lower, reason.as_ref()));
        let hook = catch_unwind(hook);
        self.replace_if_owed(lower);
        if self.shared.life.replace(Life::Lost) == Life::Open {
            self.call(lower, |inner, transport| inner.connection_lost(transport, reason));
        }
        if let Err(panic) = hook {
            resume_unwind(panic);
        }
    }

    fn pause_writing(&mut self, lower: &dyn Transport) {
        self.replace_if_owed(lower);
        self.shared.paused.set(true);
        self.call(lower, |inner, transport| inner.pause_writing(transport));
    }

    fn resume_writing(&mut self, lower: &dyn Transport) {
        self.replace_if_owed(lower);
        self.shared.paused.set(false);
        self.call(lower, |inner, transport| inner.resume_writing(transport));
    }

    fn shutdown_requested(&mut self, lower: &dyn Transport) {
        self.call(lower, |inner, transport| inner.shutdown_requested(transport));
    }

    fn handshake_completed(&mut self, lower: &dyn Transport) {
        self.shared.wrapper.handshake_completed(lower);
        self.call(lower, |inner, transport| inner.handshake_completed(transport));
    }

    fn memory_held(&self) -> Bytes {
        Bytes(size_of::<Shared<W>>() + size_of_val(&*self.inner) + self.inner.memory_held().0)
    }

    fn as_buffered(&mut self) -> Option<&mut dyn BufferedProtocol> {
        let direct = !self.shared.wrapper.wants_data() && self.inner.as_buffered().is_some();
        direct.then_some(self as &mut dyn BufferedProtocol)
    }

    fn with_inner(
        &mut self,
        lower: &dyn Transport,
        function: &mut dyn FnMut(&mut dyn Protocol, &dyn Transport),
    ) {
        self.call(lower, |inner, transport| function(inner, transport));
    }

    fn type_name(&self) -> &'static str {
        self.inner.type_name()
    }
}

/// What is read goes into the buffers of the protocol inside.
impl<W: ProtocolWrapper> BufferedProtocol for Wrapped<W> {
    fn get_buffer(&mut self, lower: &dyn Transport, size_hint: Option<usize>) -> &mut [u8] {
        let _running = Running::begin(&self.shared);
        let transport = WrappedTransport::new(lower, self.shared.clone());
        match self.inner.as_buffered() {
            Some(inner) => inner.get_buffer(&transport, size_hint),
            None => &mut [],
        }
    }

    /// The bytes belong to the protocol that provided the buffer, whichever was set since (P-21).
    fn buffer_updated(&mut self, lower: &dyn Transport, count: usize) {
        self.run(lower, |inner, transport| {
            if let Some(inner) = inner.as_buffered() {
                inner.buffer_updated(transport, count);
            }
        });
        self.replace_if_owed(lower);
    }
}
