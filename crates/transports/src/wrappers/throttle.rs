//! [`Throttle`]: connections that are no faster than they should be.

use super::{ProtocolWrapper, WrappedFactory, wrap};
use crate::{Bandwidth, Bytes, Factory, Transport, WriteState};

/// Limits how many bytes a second are read and sent: on each connection, and on all of a factory together.
///
/// What has to wait is where it would be if the peer were slow: in the system's buffers, and in the
/// transport's, with its water marks. So a protocol is told to pause writing, the peer cannot send more than
/// the system takes, and a [`pause_reading`](crate::ReadTransport::pause_reading) stays one.
///
/// # Examples
/// ```
/// use eventloop::EventLoop;
/// use tulipa_transports::wrappers::Throttle;
/// use tulipa_transports::{Bandwidth, Bytes, NetworkLoop, Protocol, Transport};
/// # struct Echo;
/// # impl Protocol for Echo {
/// #     fn data_received(&mut self, _: &dyn Transport, _: &[u8]) {}
/// # }
/// let event_loop = EventLoop::new()?;
/// let uplink = Bandwidth::per_second(Bytes::mib(10));
/// let throttle = Throttle::new().read(Bytes::kib(100)).write(Bytes::mib(1)).write_together(&uplink);
/// let server = event_loop.create_server(throttle.wrap(|| Echo), ("127.0.0.1", 0)).result()?;
/// # Ok::<(), futures::Exception>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Throttle {
    read: Option<Bytes>,
    write: Option<Bytes>,
    read_together: Vec<Bandwidth>,
    write_together: Vec<Bandwidth>,
}

impl Throttle {
    /// No limits yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many bytes a second are read on each connection.
    ///
    /// # Panics
    /// If it is none.
    #[must_use]
    pub fn read(mut self, a_second: Bytes) -> Self {
        assert!(a_second.0 > 0, "a bandwidth of zero bytes a second");
        self.read = Some(a_second);
        self
    }

    /// How many bytes a second are sent on each connection.
    ///
    /// # Panics
    /// If it is none.
    #[must_use]
    pub fn write(mut self, a_second: Bytes) -> Self {
        assert!(a_second.0 > 0, "a bandwidth of zero bytes a second");
        self.write = Some(a_second);
        self
    }

    /// All connections read from this bandwidth together, with whatever else does.
    #[must_use]
    pub fn read_together(mut self, bandwidth: &Bandwidth) -> Self {
        self.read_together.push(bandwidth.clone());
        self
    }

    /// All connections send within this bandwidth together, with whatever else does.
    #[must_use]
    pub fn write_together(mut self, bandwidth: &Bandwidth) -> Self {
        self.write_together.push(bandwidth.clone());
        self
    }

    /// A factory whose connections are throttled.
    pub fn wrap<F: Factory>(&self, factory: F) -> WrappedFactory<Throttled, F> {
        let throttle = self.clone();
        wrap(move || Throttled { throttle: throttle.clone() }, factory)
    }

    /// Throttles one connection.
    pub fn apply(&self, transport: &dyn Transport) {
        let with = |alone: Option<Bytes>, together: &[Bandwidth]| -> Vec<Bandwidth> {
            alone.map(Bandwidth::per_second).into_iter().chain(together.iter().cloned()).collect()
        };
        let read = with(self.read, &self.read_together);
        let write = with(self.write, &self.write_together);
        transport.limit_bandwidth(&read, &write);
    }
}

/// What throttles one connection; see [`Throttle`].
pub struct Throttled {
    throttle: Throttle,
}

impl ProtocolWrapper for Throttled {
    fn connection_made(&self, lower: &dyn Transport) {
        self.throttle.apply(lower);
    }

    fn write_vec(&self, lower: &dyn Transport, data: Vec<u8>) -> WriteState {
        lower.write_vec(data)
    }
}
