//! [`NetworkLoop`]: the creators of connections and servers, as methods of every event loop.

use crate::connect::{self, boxed_factory_once};
use crate::datagram;
use crate::factory::{ClientFactory, Connector, Dial, Factory};
use crate::loop_shared::LoopShared;
use crate::pipes;
use crate::server;
use crate::{
    AcceptedOptions, Bytes, ConnectOptions, DatagramOptions, DatagramTransport,
    IntoDatagramProtocol, IntoProtocol, PipeOptions, ReconnectOptions, ReconnectingClient, Server,
    ServerOptions, Transport, UnixConnectOptions, UnixServerOptions,
};
use eventloop::AbstractEventLoop;
use futures::Future;
use std::rc::Rc;

/// Connections and servers, on every [`AbstractEventLoop`].
///
/// Each creator gives a future at once, which is done when there is something to use. Where nothing
/// has to be waited for, it is done already when it is returned: for servers on addresses that need
/// no look-up, so that a program may write `event_loop.create_server(…).result()?` before it runs.
///
/// Factories return anything that is [`IntoProtocol`]. Servers take a closure or a [`Factory`] of a type
/// of its own, which learns who connects. A creator that fails, or whose future is cancelled, leaves
/// nothing behind.
pub trait NetworkLoop: AbstractEventLoop {
    /// Listens for TCP connections, and makes a protocol for each with `factory`.
    ///
    /// `address` is a host and a port, a port alone (all interfaces), an address, a listening
    /// socket, or [`ServerOptions`] with everything else. Host names are looked up
    /// ([`ResolverLoop`](crate::ResolverLoop)); all of their addresses are listened on. The future
    /// fails with an `io::Error` that names the address, and then nothing is kept (N-19).
    ///
    /// # Examples
    /// ```
    /// use eventloop::EventLoop;
    /// use tulipa_transports::{NetworkLoop, Protocol, Transport};
    /// struct Discard;
    /// impl Protocol for Discard {
    ///     fn data_received(&mut self, _: &dyn Transport, _: &[u8]) {}
    /// }
    /// let event_loop = EventLoop::new()?;
    /// let server = event_loop.create_server(|| Discard, ("127.0.0.1", 0)).result()?;
    /// assert!(server.is_serving());
    /// # Ok::<(), futures::Exception>(())
    /// ```
    #[track_caller]
    fn create_server(
        &self,
        factory: impl Factory,
        address: impl Into<ServerOptions>,
    ) -> Future<Server> {
        let event_loop = self.to_event_loop();
        server::create_server(&*event_loop, Box::new(factory), address.into())
    }

    /// Connects by TCP, and makes the protocol with `factory` once that has succeeded (N-5). The
    /// future is done after `connection_made` (N-6), with the transport.
    ///
    /// `target` is a host and a port, an address, a connected socket, or [`ConnectOptions`] with
    /// everything else. Of a host with several addresses, IPv6 and IPv4 in turn, the next is tried as
    /// soon as the one before fails, and beside it after a quarter of a second (RFC 8305, N-14); the
    /// first that answers is kept, and the others are closed before the factory is called (N-15). The
    /// future fails with an `io::Error` around a [`ConnectError`](crate::ConnectError), which has
    /// every address that failed, around a [`ResolveError`](crate::ResolveError), or with the
    /// factory's error. Cancelling it ends what is under way (N-12).
    ///
    /// # Examples
    /// ```
    /// use eventloop::{EventLoop, prelude::*};
    /// use tulipa_transports::{NetworkLoop, Protocol, Transport};
    /// struct Quiet;
    /// impl Protocol for Quiet {
    ///     fn data_received(&mut self, _: &dyn Transport, _: &[u8]) {}
    /// }
    /// let event_loop = EventLoop::new()?;
    /// let server = event_loop.create_server(|| Quiet, ("127.0.0.1", 0)).result()?;
    /// let port = server.addresses()[0].port().unwrap();
    /// let connecting = event_loop.create_connection(|| Quiet, ("127.0.0.1", port));
    /// let transport = event_loop.run_until_complete(&connecting)?;
    /// assert_eq!(transport.extra_info().peername, Some(server.addresses()[0].clone()));
    /// # Ok::<(), futures::Exception>(())
    /// ```
    #[track_caller]
    fn create_connection<T: IntoProtocol + 'static>(
        &self,
        factory: impl FnOnce() -> T + 'static,
        target: impl Into<ConnectOptions>,
    ) -> Future<Rc<dyn Transport>> {
        let event_loop = self.to_event_loop();
        connect::create_connection(&*event_loop, boxed_factory_once(factory), target.into())
    }

    /// As [`create_server`](NetworkLoop::create_server), for Unix sockets: at a path, at an abstract
    /// name, or over a listening socket (N-39).
    ///
    /// A socket's file that is left over at the path is replaced; any other file is an error. The
    /// file is removed when the server closes, if it is still the same one (N-40).
    #[track_caller]
    fn create_unix_server(
        &self,
        factory: impl Factory,
        path: impl Into<UnixServerOptions>,
    ) -> Future<Server> {
        let event_loop = self.to_event_loop();
        server::create_unix_server(&*event_loop, Box::new(factory), path.into())
    }

    /// As [`create_connection`](NetworkLoop::create_connection), for Unix sockets (N-38). While the
    /// server's queue is full, it is tried again until the deadline.
    #[track_caller]
    fn create_unix_connection<T: IntoProtocol + 'static>(
        &self,
        factory: impl FnOnce() -> T + 'static,
        path: impl Into<UnixConnectOptions>,
    ) -> Future<Rc<dyn Transport>> {
        let event_loop = self.to_event_loop();
        connect::create_unix_connection(&*event_loop, boxed_factory_once(factory), path.into())
    }

    /// Connects as [`create_connection`](NetworkLoop::create_connection) does, for a factory that is told
    /// how its connections come and go, and may have the connector connect again (W-2, W-3). The first
    /// attempt begins in a turn of its own.
    ///
    /// # Examples
    /// ```
    /// use eventloop::{EventLoop, LoopHandle, prelude::*};
    /// use futures::Exception;
    /// use tulipa_transports::{
    ///     Address, ClientFactory, Connector, Factory, NetworkLoop, Protocol, Transport,
    /// };
    ///
    /// struct Quiet;
    /// impl Protocol for Quiet {
    ///     fn data_received(&mut self, _: &dyn Transport, _: &[u8]) {}
    /// }
    ///
    /// /// Tries each port once.
    /// struct Once { event_loop: LoopHandle }
    /// impl Factory for Once {
    ///     type Protocol = Quiet;
    ///     fn build_protocol(&mut self, _peer: &Address) -> Quiet {
    ///         Quiet
    ///     }
    /// }
    /// impl ClientFactory for Once {
    ///     fn client_connection_failed(&mut self, _: &Connector, reason: Exception) {
    ///         println!("{reason}");
    ///         self.event_loop.stop();
    ///     }
    /// }
    ///
    /// let event_loop = EventLoop::new()?;
    /// // Nobody listens there any more.
    /// let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    /// event_loop.create_connector(Once { event_loop: event_loop.handle() }, address);
    /// event_loop.run_forever()?;
    /// # Ok::<(), Exception>(())
    /// ```
    #[doc(alias = "connectTCP")]
    fn create_connector(
        &self,
        factory: impl ClientFactory,
        target: impl Into<ConnectOptions>,
    ) -> Connector {
        Connector::begin(self.to_event_loop(), Box::new(factory), Dial::Tcp(target.into()))
    }

    /// Keeps a connection up: connects, and connects again after a while when that fails, or when the
    /// connection is lost (W-4, W-6).
    ///
    /// `connect` is called for each attempt, the first time in a turn of its own, with the client: it makes
    /// the transport, by [`create_connection`](NetworkLoop::create_connection) or otherwise. An attempt takes
    /// as long as that future does, so it wants a deadline, which `create_connection` has. If `connect`
    /// panics, that is reported, and is a failure like any other.
    ///
    /// See [`ReconnectingClient`] for an example.
    fn create_reconnecting_client(
        &self,
        connect: impl FnMut(&ReconnectingClient) -> Future<Rc<dyn Transport>> + 'static,
        options: impl Into<ReconnectOptions>,
    ) -> ReconnectingClient {
        ReconnectingClient::start(self.to_event_loop(), connect, options.into())
    }

    /// As [`create_connector`](NetworkLoop::create_connector), for Unix sockets.
    fn create_unix_connector(
        &self,
        factory: impl ClientFactory,
        path: impl Into<UnixConnectOptions>,
    ) -> Connector {
        Connector::begin(self.to_event_loop(), Box::new(factory), Dial::Unix(path.into()))
    }

    /// A transport over a connection that something else accepted (N-32). From here on the transport
    /// owns the socket. Its defaults are those of a server's connections, the time limit for sending
    /// the rest after a close included (X-5); [`AcceptedOptions`] have others, and TLS.
    #[track_caller]
    fn connect_accepted_socket<T: IntoProtocol + 'static>(
        &self,
        factory: impl FnOnce() -> T + 'static,
        socket: impl Into<AcceptedOptions>,
    ) -> Future<Rc<dyn Transport>> {
        let event_loop = self.to_event_loop();
        let factory = boxed_factory_once(factory);
        connect::over_accepted(&*event_loop, factory, socket.into())
    }

    /// A transport that reads from a pipe: the read end of one, a FIFO, a socket, a terminal or another
    /// character device (N-57). From here on the transport owns it.
    ///
    /// Its protocol is told the end of the input by `eof_received`, whose answer does not matter, and
    /// then `connection_lost` (X-40). Writing is refused.
    ///
    /// How other processes see a terminal or pipe that they share is not changed; what was not read
    /// is left to them (X-39).
    ///
    /// # Errors
    /// The future fails with an `io::Error` around a [`PipeError`](crate::PipeError) for a regular
    /// file, which is always ready, so that there is nothing to wait for: read it in the executor.
    ///
    /// # Examples
    /// ```
    /// use std::io::Write;
    /// use eventloop::{EventLoop, prelude::*};
    /// use tulipa_transports::prelude::*;
    /// struct Collect(Vec<u8>);
    /// impl Protocol for Collect {
    ///     fn data_received(&mut self, _: &dyn Transport, data: &[u8]) {
    ///         self.0.extend_from_slice(data);
    ///     }
    ///     fn eof_received(&mut self, _: &dyn Transport) -> Eof {
    ///         assert_eq!(self.0, b"tulip");
    ///         Eof::Close
    ///     }
    /// }
    /// let event_loop = EventLoop::new()?;
    /// let (reader, mut writer) = std::io::pipe()?;
    /// writer.write_all(b"tulip")?;
    /// drop(writer);
    /// let connecting = event_loop.connect_read_pipe(|| Collect(Vec::new()), reader);
    /// let transport = event_loop.run_until_complete(&connecting)?;
    /// event_loop.run_until_complete(&transport.wait_closed())?;
    /// # Ok::<(), futures::Exception>(())
    /// ```
    #[track_caller]
    fn connect_read_pipe<T: IntoProtocol + 'static>(
        &self,
        factory: impl FnOnce() -> T + 'static,
        pipe: impl Into<PipeOptions>,
    ) -> Future<Rc<dyn Transport>> {
        let event_loop = self.to_event_loop();
        pipes::connect_read_pipe(&*event_loop, boxed_factory_once(factory), pipe.into())
    }

    /// As [`connect_read_pipe`](NetworkLoop::connect_read_pipe), for writing. The protocol receives
    /// nothing; `write_eof` is the same as `close`: what was written is sent, then it is over (X-42).
    ///
    /// If the reader goes away, the transport ends at once, even if it has nothing to write: in good
    /// order, or with a `BrokenPipe` error if output was waiting. Of terminals and devices that is
    /// noticed only by writing (X-41); so it is of a socket whose peer has sent something, or has ended its
    /// own direction, before.
    ///
    /// # Errors
    /// As there.
    #[track_caller]
    fn connect_write_pipe<T: IntoProtocol + 'static>(
        &self,
        factory: impl FnOnce() -> T + 'static,
        pipe: impl Into<PipeOptions>,
    ) -> Future<Rc<dyn Transport>> {
        let event_loop = self.to_event_loop();
        pipes::connect_write_pipe(&*event_loop, boxed_factory_once(factory), pipe.into())
    }

    /// Opens a datagram endpoint, UDP or Unix, and makes its protocol with `factory` once that has
    /// succeeded. The future is done after `connection_made`, with the transport (N-34).
    ///
    /// `options` is what it is bound to, a socket, or [`DatagramOptions`] with everything else. The
    /// addresses that a name has are tried in the resolver's order. The future fails with an
    /// `io::Error`, around an [`EndpointError`](crate::EndpointError) if the system refused, or with
    /// the factory's error. Cancelling it leaves nothing behind.
    ///
    /// # Examples
    /// ```
    /// use eventloop::{EventLoop, prelude::*};
    /// use tulipa_transports::{Address, DatagramOptions, prelude::*};
    ///
    /// struct Echo;
    /// impl DatagramProtocol for Echo {
    ///     fn datagram_received(
    ///         &mut self,
    ///         transport: &dyn DatagramTransport,
    ///         data: &[u8],
    ///         sender: &Address,
    ///     ) {
    ///         transport.sendto(data, Some(sender));
    ///     }
    /// }
    ///
    /// /// Asks once, and stops the loop when the answer is there.
    /// struct Ask { event_loop: eventloop::LoopHandle }
    /// impl DatagramProtocol for Ask {
    ///     fn connection_made(&mut self, transport: &dyn DatagramTransport) {
    ///         transport.send(b"anybody there?");
    ///     }
    ///     fn datagram_received(&mut self, _: &dyn DatagramTransport, data: &[u8], _: &Address) {
    ///         assert_eq!(data, b"anybody there?");
    ///         self.event_loop.stop();
    ///     }
    /// }
    ///
    /// let event_loop = EventLoop::new()?;
    /// let opening = event_loop.create_datagram_endpoint(|| Echo, ("127.0.0.1", 0));
    /// let server = event_loop.run_until_complete(&opening)?;
    /// let address = server.extra_info().sockname.expect("it is bound");
    /// let ask = Ask { event_loop: event_loop.handle() };
    /// event_loop.create_datagram_endpoint(move || ask, DatagramOptions::to(address));
    /// event_loop.run_forever()?;
    /// # Ok::<(), futures::Exception>(())
    /// ```
    #[track_caller]
    fn create_datagram_endpoint<T: IntoDatagramProtocol + 'static>(
        &self,
        factory: impl FnOnce() -> T + 'static,
        options: impl Into<DatagramOptions>,
    ) -> Future<Rc<dyn DatagramTransport>> {
        let event_loop = self.to_event_loop();
        let factory = datagram::boxed_factory(factory);
        datagram::create_datagram_endpoint(&*event_loop, factory, options.into())
    }

    /// How much output all transports of this loop hold together, waiting for their peers.
    fn output_total(&self) -> Bytes {
        LoopShared::of(self).output_total()
    }

    /// Sets how much output all transports of this loop may hold together: 256 MiB by default. When
    /// that is reached, the one that holds most is aborted (R-4).
    fn set_output_budget(&self, budget: Bytes) {
        LoopShared::of(self).set_output_budget(budget);
    }

    /// How many connections this loop has, those that are being made and datagram endpoints included.
    fn open_connections(&self) -> usize {
        LoopShared::of(self).connections()
    }
}

impl<L: AbstractEventLoop + ?Sized> NetworkLoop for L {}
