//! [`Factory`]: what makes a protocol for each connection, and outlives them all; [`ClientFactory`], which
//! is also told how its connections come and go.
//!
//! Invariant: a method of a factory is never called while another one of the same factory runs. What a
//! creator needs of it comes in turns of their own, and [`SharedFactory`] puts off the rest.

mod active;
mod backoff;
mod connector;
mod dial;
mod dyn_factory;
mod reconnect_options;
mod reconnecting;
mod shared;

pub use backoff::{Backoff, Jitter};
pub use connector::{Connector, ConnectorError, ConnectorState};
pub use dyn_factory::DynFactory;
pub use reconnect_options::{ClientEvent, ReconnectOptions};
pub use reconnecting::{ReconnectingClient, StoppedError};
pub use shared::SharedFactory;

pub(crate) use dial::Dial;

use crate::{Address, IntoProtocol, Protocol};
use futures::{Exception, catch};

/// Makes a protocol for each connection of a server or a client, and keeps what they share. Twisted's
/// `Factory` and `ServerFactory`.
///
/// Every closure that returns a protocol is one. A type of its own pays when it wants to know who
/// connects, to refuse some, or to prepare for the first connection and to clean up after the last port:
///
/// ```text
/// start_factory  (build_protocol)*  stop_factory                            W-1
/// ```
///
/// A creator calls `start_factory` when it begins to use the factory, and `stop_factory` when it is done
/// with it: a server when it has bound its sockets, and when it is closed; the connections that it has
/// then may live on. One factory for several servers and connectors is a [`SharedFactory`], which tells
/// the first start and the last stop only.
///
/// What its protocols share, they share with it by an `Rc`.
///
/// # Examples
/// ```
/// use eventloop::{EventLoop, prelude::*};
/// use tulipa_transports::{Address, Factory, NetworkLoop, Protocol, Transport};
///
/// /// Tells a guest its number.
/// struct Door(u32);
/// impl Protocol for Door {
///     fn connection_made(&mut self, transport: &dyn Transport) {
///         transport.write(format!("you are number {}\n", self.0).as_bytes());
///         transport.close();
///     }
///     fn data_received(&mut self, _: &dyn Transport, _: &[u8]) {}
/// }
///
/// /// Numbers the guests, who must come from this machine.
/// struct Doors { next: u32 }
/// impl Factory for Doors {
///     type Protocol = Option<Door>;
///     fn build_protocol(&mut self, peer: &Address) -> Option<Door> {
///         let is_near = matches!(peer, Address::Ip(peer) if peer.ip().is_loopback());
///         self.next += 1;
///         is_near.then_some(Door(self.next))
///     }
/// }
///
/// let event_loop = EventLoop::new()?;
/// let server = event_loop.create_server(Doors { next: 0 }, ("127.0.0.1", 0)).result()?;
/// # drop(server);
/// # Ok::<(), futures::Exception>(())
/// ```
#[doc(alias = "ServerFactory")]
pub trait Factory: 'static {
    /// What [`build_protocol`](Factory::build_protocol) returns: a protocol, or an `Option` or a
    /// `Result` of one; `Result<Option<Box<dyn Protocol>>, Exception>` if it is one of several.
    type Protocol: IntoProtocol;

    /// It begins to be used. If this panics, the creator fails.
    fn start_factory(&mut self) {}

    /// The protocol of a connection with `peer`; [`Address::Unnamed`] if it has no address.
    ///
    /// `None` refuses the connection, which is closed without a word. An error does too, and is
    /// reported, or given to whoever wanted to connect (P-23).
    fn build_protocol(&mut self, peer: &Address) -> Self::Protocol;

    /// It is not used any more: no protocol is asked for until it is started again.
    fn stop_factory(&mut self) {}
}

impl<F, T> Factory for F
where
    F: FnMut() -> T + 'static,
    T: IntoProtocol + 'static,
{
    type Protocol = T;

    fn build_protocol(&mut self, _peer: &Address) -> T {
        self()
    }
}

/// A [`Factory`] of clients, which a [`Connector`] tells how its connections come and go. Twisted's
/// `ClientFactory`.
///
/// ```text
/// start_factory
///     (started_connecting  (client_connection_failed
///                          | build_protocol  client_connection_lost))+
/// stop_factory                                                              W-2
/// ```
///
/// Each comes in a turn of its own, `client_connection_lost` after the protocol's `connection_lost`.
/// From the last two, [`Connector::connect`] may begin anew: then the factory is not stopped in between
/// (W-3). To have that done after a while, again and again, is what a
/// [`ReconnectingClient`] is for.
pub trait ClientFactory: Factory {
    /// An attempt begins.
    fn started_connecting(&mut self, connector: &Connector) {
        let _ = connector;
    }

    /// The attempt has failed: the error of the creator, a cancellation if it was called off
    /// ([`Connector::stop_connecting`]), or what [`Factory::build_protocol`] says.
    fn client_connection_failed(&mut self, connector: &Connector, reason: Exception) {
        let _ = (connector, reason);
    }

    /// The connection is gone; `reason` is what its protocol was told.
    fn client_connection_lost(&mut self, connector: &Connector, reason: Option<Exception>) {
        let _ = (connector, reason);
    }
}

impl<F, T> ClientFactory for F
where
    F: FnMut() -> T + 'static,
    T: IntoProtocol + 'static,
{
}

/// A factory of any kind, as creators keep it.
pub(crate) type BoxedFactory = Box<dyn AnyFactory>;

/// What a factory's method has made, or why not.
pub(crate) type Made = Result<Option<Box<dyn Protocol>>, Exception>;

/// A [`Factory`] whose kind of protocol is forgotten. A panic is an error (P-23).
pub(crate) trait AnyFactory {
    fn start(&mut self) -> Result<(), Exception>;
    fn build(&mut self, peer: &Address) -> Made;
    fn stop(&mut self) -> Result<(), Exception>;
}

impl<F: Factory> AnyFactory for F {
    fn start(&mut self) -> Result<(), Exception> {
        catch(|| self.start_factory())
    }

    fn build(&mut self, peer: &Address) -> Made {
        catch(|| self.build_protocol(peer).into_protocol()).flatten()
    }

    fn stop(&mut self) -> Result<(), Exception> {
        catch(|| self.stop_factory())
    }
}

/// A [`ClientFactory`] whose kind of protocol is forgotten.
pub(crate) trait AnyClientFactory: AnyFactory {
    fn started(&mut self, connector: &Connector) -> Result<(), Exception>;
    fn failed(&mut self, connector: &Connector, reason: Exception) -> Result<(), Exception>;
    fn lost(&mut self, connector: &Connector, reason: Option<Exception>) -> Result<(), Exception>;
}

impl<F: ClientFactory> AnyClientFactory for F {
    fn started(&mut self, connector: &Connector) -> Result<(), Exception> {
        catch(|| self.started_connecting(connector))
    }

    fn failed(&mut self, connector: &Connector, reason: Exception) -> Result<(), Exception> {
        catch(|| self.client_connection_failed(connector, reason))
    }

    fn lost(&mut self, connector: &Connector, reason: Option<Exception>) -> Result<(), Exception> {
        catch(|| self.client_connection_lost(connector, reason))
    }
}
