//! What the tests share: an authority, and protocols that tell what they are told.

#[allow(dead_code, reason = "this program uses a part")]
#[path = "../streams/support.rs"]
mod hooks;

pub(crate) use crate::authority::Authority;
pub(crate) use hooks::{Hooks, Slot, collect_errors, counter, run_until};

use eventloop::TestLoop;
use futures::{Exception, Future};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use tulipa_transports::testing::LifeCycleLog;
use tulipa_transports::tls::{TlsClientConfig, TlsError, TlsServerConfig};
use tulipa_transports::{ConnectOptions, NetworkLoop, Server, ServerOptions, Transport};

/// A server's and a client's configuration that go together. The server is `localhost` and `127.0.0.1`.
pub(crate) fn configs() -> (TlsClientConfig, TlsServerConfig) {
    let authority = Authority::new("root");
    let certificate = authority.good(&["localhost", "127.0.0.1"]).certified_key();
    (authority.client(), TlsServerConfig::new(certificate).unwrap())
}

pub(crate) fn address(server: &Server) -> SocketAddr {
    server.addresses()[0].as_ip().unwrap()
}

/// A server whose protocols are recorded.
pub(crate) fn serve(
    event_loop: &TestLoop,
    config: &TlsServerConfig,
    mut hooks: impl FnMut() -> Hooks + 'static,
) -> (Server, Slot<Vec<LifeCycleLog>>) {
    let logs: Slot<Vec<LifeCycleLog>> = Slot::new();
    let made = logs.clone();
    let factory = move || {
        let (protocol, log) = hooks().recorded();
        made.update(|logs| logs.push(log));
        protocol
    };
    let options = ServerOptions::from(("127.0.0.1", 0)).tls(config.clone());
    (event_loop.create_server(factory, options).result().unwrap(), logs)
}

/// Connects to `server`, and gives the transport with what its protocol is told.
pub(crate) fn connect(
    event_loop: &TestLoop,
    server: &Server,
    config: &TlsClientConfig,
    hooks: Hooks,
) -> (Rc<dyn Transport>, LifeCycleLog) {
    let (protocol, log) = hooks.recorded();
    let options = ConnectOptions::from(address(server)).tls(config.clone());
    let connecting = event_loop.create_connection(move || protocol, options);
    (event_loop.run_until_complete(&connecting).unwrap(), log)
}

/// Why a client with these options is refused; its factory is not called.
#[track_caller]
pub(crate) fn refusal(event_loop: &TestLoop, options: ConnectOptions) -> Exception {
    let (made, make) = counter();
    let connecting = event_loop.create_connection(
        move || {
            make();
            Hooks::new()
        },
        options,
    );
    let outcome = event_loop.run_until_complete(&connecting);
    assert_eq!(made.get(), 0, "the factory is not called");
    outcome.err().expect("it was to be refused")
}

/// Why there is no connection.
#[track_caller]
pub(crate) fn failure(event_loop: &TestLoop, connecting: &Future<Rc<dyn Transport>>) -> Exception {
    event_loop.run_until_complete(connecting).err().expect("it was to fail")
}

/// The error of ours inside of an `io::Error`.
#[track_caller]
pub(crate) fn tls_error(exception: &Exception) -> TlsError {
    let error = exception.downcast_ref::<io::Error>().expect("an io::Error");
    error.get_ref().and_then(|error| error.downcast_ref::<TlsError>()).expect("a TlsError").clone()
}

/// A plain socket that is connected to `server`.
pub(crate) fn plain(server: &Server) -> TcpStream {
    TcpStream::connect(address(server)).unwrap()
}

/// Ends the server, sees the last connection gone, and every promise to the protocols kept.
#[track_caller]
pub(crate) fn end(event_loop: &TestLoop, server: &Server, logs: &Slot<Vec<LifeCycleLog>>) {
    server.close();
    server.abort_clients();
    event_loop.run_until_complete(&server.wait_closed()).unwrap();
    run_until(event_loop, || event_loop.open_connections() == 0);
    logs.get().iter().for_each(LifeCycleLog::check_ended);
}
