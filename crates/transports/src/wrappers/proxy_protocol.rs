//! [`ProxyProtocol`]: connections that come through a proxy, which says first from whom.
//!
//! Invariant: the protocol inside is made when the header is there, and sees the connection as if the proxy
//! were not: the real addresses, `connection_made` first, and no byte of the header.

mod format;
mod header;
mod read;
#[cfg(test)]
mod tests;
mod trusted;
mod write;

pub use header::{ProxyHeader, ProxyHeaderError, ProxyValue};
pub use trusted::{InvalidNetwork, TrustedProxies};

use super::inner_methods::pass_on_to_inner;
use super::{Asker, Late, LateFactory, ProtocolWrapper, Wrapped};
use crate::factory::Made;
use crate::report_limit::ReportLimit;
use crate::{
    Address, BufferedProtocol, Bytes, Eof, ExtraInfo, Factory, IntoProtocol, Protocol,
    SharedFactory, Transport, WriteState,
};
use futures::{
    Exception, InvalidStateError, SchedulerExt, TimeoutError, TimerHandle, catch, try_current,
};
use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

/// Takes connections in that come through a proxy, which says first from whom: by the PROXY protocol of
/// HAProxy, version 1 or 2.
///
/// The protocol inside is made when the header is there; its transport tells the addresses of the header as
/// `peername` and `sockname`. Whoever may send a header can claim any address: so it is believed from those
/// that are trusted only, and from them it is demanded; whether there is one is never guessed.
///
/// What is no header, or is too long, ends the connection; so does one that is not complete in time.
///
/// # Examples
/// ```
/// use eventloop::EventLoop;
/// use tulipa_transports::wrappers::{ProxyHeader, ProxyProtocol};
/// use tulipa_transports::{BaseTransport, NetworkLoop, Protocol, Transport};
///
/// /// Tells clients their address.
/// struct WhoAmI;
/// impl Protocol for WhoAmI {
///     fn connection_made(&mut self, transport: &dyn Transport) {
///         transport.write(format!("{:?}\r\n", transport.extra_info().peername).as_bytes());
///         transport.close();
///     }
///     fn data_received(&mut self, _: &dyn Transport, _: &[u8]) {}
/// }
///
/// let event_loop = EventLoop::new()?;
/// let behind_balancers = ProxyProtocol::new("10.0.0.0/8".parse()?);
/// let factory = behind_balancers.wrap(|header: &ProxyHeader| {
///     (header.authority() != Some("forbidden.example")).then_some(WhoAmI)
/// });
/// let server = event_loop.create_server(factory, ("127.0.0.1", 0)).result()?;
/// # Ok::<(), futures::Exception>(())
/// ```
#[derive(Clone, Debug)]
pub struct ProxyProtocol {
    trusted: TrustedProxies,
    untrusted: Untrusted,
    deadline: Option<Duration>,
    max_size: Bytes,
}

/// What becomes of a connection from somebody who is not trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Untrusted {
    /// It is aborted.
    #[default]
    Refuse,
    /// It is served without a header, as what it is: what looks like one is data. The factory is given
    /// [`ProxyHeader::local`].
    Serve,
}

impl ProxyProtocol {
    /// Believes `trusted`, and refuses others.
    pub fn new(trusted: TrustedProxies) -> Self {
        Self {
            trusted,
            untrusted: Untrusted::Refuse,
            deadline: Some(Duration::from_secs(5)),
            max_size: Bytes::kib(4),
        }
    }

    /// What becomes of connections from others.
    #[must_use]
    pub fn untrusted(mut self, policy: Untrusted) -> Self {
        self.untrusted = policy;
        self
    }

    /// How long the header may take, from the connection on: 5 seconds by default, `None` for as long as it
    /// takes.
    #[must_use]
    pub fn deadline(mut self, limit: Option<Duration>) -> Self {
        self.deadline = limit;
        self
    }

    /// How long a header may be: 4 KiB by default. Version 1 has at most 107 bytes in any case.
    #[must_use]
    pub fn max_size(mut self, most: Bytes) -> Self {
        self.max_size = most;
        self
    }

    /// A factory for connections that begin with a header; `factory` makes the protocols, given what the
    /// header says.
    pub fn wrap<F, T>(&self, factory: F) -> impl FnMut() -> Proxied + use<F, T>
    where
        F: FnMut(&ProxyHeader) -> T + 'static,
        T: IntoProtocol,
    {
        let settings = self.settings(ByHeader(Cell::new(Some(factory))));
        move || Proxied::new(&settings)
    }

    /// As [`wrap`](ProxyProtocol::wrap), for a factory that needs nothing of the header but the address of
    /// the client: that of another wrapper, say. If the header has none, it is that of the proxy.
    pub fn wrap_factory<F: Factory>(&self, factory: F) -> ProxiedFactory<F> {
        let factory = SharedFactory::new(factory);
        ProxiedFactory { settings: self.settings(factory.clone()), factory }
    }

    fn settings(&self, factory: impl Late<ProxyHeader> + 'static) -> Rc<Settings> {
        let reports = ReportLimit::default();
        Rc::new(Settings { options: self.clone(), factory: LateFactory::new(factory), reports })
    }
}

/// A factory for connections that begin with a header; see [`ProxyProtocol::wrap_factory`].
pub struct ProxiedFactory<F> {
    factory: SharedFactory<F>,
    settings: Rc<Settings>,
}

impl<F: Factory> Factory for ProxiedFactory<F> {
    type Protocol = Proxied;

    fn start_factory(&mut self) {
        self.factory.start_factory();
    }

    fn build_protocol(&mut self, _proxy: &Address) -> Proxied {
        Proxied::new(&self.settings)
    }

    fn stop_factory(&mut self) {
        self.factory.stop_factory();
    }
}

impl<F> fmt::Debug for ProxiedFactory<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ProxiedFactory").field(&self.settings.options).finish()
    }
}

/// A closure that is given the header. It is out of its place while it runs.
struct ByHeader<F>(Cell<Option<F>>);

impl<F, T> Late<ProxyHeader> for ByHeader<F>
where
    F: FnMut(&ProxyHeader) -> T,
    T: IntoProtocol,
{
    fn begin(&self) {}

    fn build(&self, _peer: &Address, header: &ProxyHeader) -> Made {
        let Some(mut function) = self.0.take() else {
            return Err(InvalidStateError::new("the protocol factory is running").into());
        };
        let made = catch(|| function(header).into_protocol()).flatten();
        self.0.set(Some(function));
        made
    }

    fn end(&self) -> Result<(), Exception> {
        Ok(())
    }
}

/// What the connections of one factory share.
struct Settings {
    options: ProxyProtocol,
    factory: Rc<LateFactory<ProxyHeader>>,
    reports: ReportLimit,
}

impl Settings {
    /// A proxy that is trusted does not keep to the protocol: ten times a second somebody should know.
    fn log(&self, peer: Option<&Address>, what: impl fmt::Display) {
        let now = try_current().map(|event_loop| event_loop.time()).unwrap_or_default();
        if let Some(held_back) = self.reports.pass(now) {
            let peer = peer.map_or_else(|| "(unknown)".to_owned(), Address::to_string);
            let more = if held_back > 0 {
                format!(" ({held_back} more were not told)")
            } else {
                String::new()
            };
            log::warn!(target: "tulipa", "connection from proxy {peer} dropped: {what}{more}");
        }
    }
}

/// The protocol of a connection that begins with a header of the PROXY protocol; see [`ProxyProtocol`].
pub struct Proxied {
    state: State,
}

enum State {
    /// The header is not complete.
    Waiting(Waiting),
    Open(Wrapped<RealAddresses>),
    Refused,
}

struct Waiting {
    settings: Rc<Settings>,
    asker: Option<Asker<ProxyHeader>>,
    received: Vec<u8>,
    deadline: Option<TimerHandle>,
}

impl Waiting {
    fn new(settings: Rc<Settings>) -> Self {
        let asker = Some(Asker::begin(&settings.factory));
        Self { settings, asker, received: Vec::new(), deadline: None }
    }

    /// Ends the connection if the header is not there in time.
    fn set_deadline(&mut self, transport: &dyn Transport) {
        let Some(limit) = self.settings.options.deadline else { return };
        let Some(event_loop) = try_current() else { return };
        let (settings, transport) = (Rc::downgrade(&self.settings), transport.handle());
        self.deadline = Some(event_loop.call_later(limit, move || {
            let error = TimeoutError::new("receiving the PROXY header");
            if let Some(settings) = settings.upgrade() {
                settings.log(transport.extra_info().peername.as_ref(), &error);
            }
            transport.abort_with(error.into());
        }));
    }

    /// Some bytes came. Gives the header once it is complete, and the rest.
    fn receive(&mut self, data: &[u8]) -> Result<Option<(ProxyHeader, Vec<u8>)>, ProxyHeaderError> {
        let most = self.settings.options.max_size.0;
        if self.received.is_empty() {
            // Usually it is all there, and nothing is kept.
            return match ProxyHeader::parse_within(data, most)? {
                Some((header, size)) => Ok(Some((header, data[size..].to_vec()))),
                None => {
                    self.received.extend_from_slice(data);
                    Ok(None)
                }
            };
        }
        self.received.extend_from_slice(data);
        Ok(ProxyHeader::parse_within(&self.received, most)?
            .map(|(header, size)| (header, self.received.split_off(size))))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(deadline) = self.deadline.take() {
            deadline.cancel();
        }
    }
}

impl Proxied {
    fn new(settings: &Rc<Settings>) -> Self {
        Self { state: State::Waiting(Waiting::new(settings.clone())) }
    }

    /// The header is there, or none is wanted: the protocol inside begins.
    fn open(&mut self, transport: &dyn Transport, header: &ProxyHeader, rest: Vec<u8>) {
        let State::Waiting(mut waiting) = std::mem::replace(&mut self.state, State::Refused) else {
            return;
        };
        let Some(asker) = waiting.asker.take() else { return };
        drop(waiting); // the deadline is kept
        let peer = header.source().cloned().or_else(|| transport.extra_info().peername);
        let made = asker.ask(transport, &peer.unwrap_or(Address::Unnamed), header);
        let Some(inner) = made else { return };
        // In a turn of its own, so that reading can be paused before (P-9).
        transport.push_back(rest);
        self.state = State::Open(Wrapped::around(RealAddresses(header.addresses.clone()), inner));
        if let Some(inner) = self.inner() {
            inner.connection_made(transport);
        }
    }

    fn refuse(&mut self) {
        self.state = State::Refused;
    }

    fn inner(&mut self) -> Option<&mut dyn Protocol> {
        match &mut self.state {
            State::Open(inner) => Some(inner),
            State::Waiting(_) | State::Refused => None,
        }
    }
}

impl Protocol for Proxied {
    fn connection_made(&mut self, transport: &dyn Transport) {
        let State::Waiting(waiting) = &mut self.state else { return };
        let peer = transport.extra_info().peername;
        let options = &waiting.settings.options;
        match (options.trusted.contains(peer.as_ref()), options.untrusted) {
            (true, _) => waiting.set_deadline(transport),
            (false, Untrusted::Serve) => self.open(transport, &ProxyHeader::local(), Vec::new()),
            (false, Untrusted::Refuse) => {
                log::debug!(target: "tulipa", "{peer:?} is no proxy that is trusted");
                self.refuse();
                transport.abort();
            }
        }
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
        let waiting = match &mut self.state {
            State::Open(inner) => return Protocol::data_received(inner, transport, data),
            State::Refused => return,
            State::Waiting(waiting) => waiting,
        };
        match waiting.receive(data) {
            Ok(None) => {}
            Ok(Some((header, rest))) => self.open(transport, &header, rest),
            Err(error) => {
                waiting.settings.log(transport.extra_info().peername.as_ref(), &error);
                self.refuse();
                transport.abort_with(error.into());
            }
        }
    }

    fn eof_received(&mut self, transport: &dyn Transport) -> Eof {
        // Without a header it was a look whether somebody listens.
        self.inner().map_or(Eof::Close, |inner| inner.eof_received(transport))
    }

    fn connection_lost(&mut self, transport: &dyn Transport, reason: Option<Exception>) {
        match self.inner() {
            Some(inner) => inner.connection_lost(transport, reason),
            None => self.refuse(),
        }
    }

    pass_on_to_inner!();

    fn memory_held(&self) -> Bytes {
        match &self.state {
            State::Waiting(waiting) => Bytes(waiting.received.capacity()),
            State::Open(inner) => Protocol::memory_held(inner),
            State::Refused => Bytes(0),
        }
    }

    fn type_name(&self) -> &'static str {
        match &self.state {
            State::Open(inner) => inner.type_name(),
            State::Waiting(_) | State::Refused => std::any::type_name::<Self>(),
        }
    }
}

/// Tells the addresses of the header in place of those of the proxy's connection.
struct RealAddresses(Option<(Address, Address)>);

impl ProtocolWrapper for RealAddresses {
    fn write_vec(&self, lower: &dyn Transport, data: Vec<u8>) -> WriteState {
        lower.write_vec(data)
    }

    fn extra_info(&self, lower: &dyn Transport) -> ExtraInfo {
        let mut info = lower.extra_info();
        if let Some((source, destination)) = &self.0 {
            info.peername = Some(source.clone());
            info.sockname = Some(destination.clone());
        }
        info
    }
}
