//! [`AcceptLoop`]: accepting connections for somebody else.

use crate::{Server, ServerOptions, StreamSocket, server};
use eventloop::AbstractEventLoop;
use futures::Future;

/// Accepting connections for somebody else, on every [`AbstractEventLoop`].
pub trait AcceptLoop: AbstractEventLoop {
    /// Listens for TCP connections, and gives the socket of each to `take`, which may hand it to a
    /// server of another loop ([`Intake::give`](crate::Intake::give)), put a transport over it
    /// ([`connect_accepted_socket`](crate::NetworkLoop::connect_accepted_socket)), or drop it, which
    /// closes it.
    ///
    /// What comes of them is not this server's: it has no connections, and its shutdown waits for none.
    /// All else is as with [`create_server`](crate::NetworkLoop::create_server).
    ///
    /// # Examples
    /// ```
    /// use eventloop::EventLoop;
    /// use tulipa_transports::prelude::*;
    /// use tulipa_transports::Intake;
    /// fn pass_on(acceptor: &EventLoop, workers: Vec<Intake>) -> Result<Server, futures::Exception> {
    ///     let take = move |socket| {
    ///         let idlest = workers.iter().min_by_key(|worker| worker.load());
    ///         if let Some(Err(refused)) = idlest.map(|worker| worker.give(socket)) {
    ///             eprintln!("{refused}");
    ///         }
    ///     };
    ///     acceptor.create_acceptor(take, ("127.0.0.1", 0)).result()
    /// }
    /// ```
    #[track_caller]
    fn create_acceptor(
        &self,
        take: impl FnMut(StreamSocket) + 'static,
        address: impl Into<ServerOptions>,
    ) -> Future<Server> {
        let event_loop = self.to_event_loop();
        server::create_acceptor(&*event_loop, Box::new(take), address.into())
    }
}

impl<L: AbstractEventLoop + ?Sized> AcceptLoop for L {}
