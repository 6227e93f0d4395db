//! A handshake in memory, by the library alone.

use tulipa_transports::tls::rustls::pki_types::ServerName;
use tulipa_transports::tls::rustls::{ClientConnection, Connection, Error, ServerConnection, Side};
use tulipa_transports::tls::{TlsClientConfig, TlsServerConfig};

pub(crate) type Both = (ClientConnection, ServerConnection);

/// Both ends after the handshake, or which one refused, and why.
pub(crate) fn handshake(
    client: &TlsClientConfig,
    server: &TlsServerConfig,
    name: &str,
) -> Result<Both, (Side, Error)> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let client = ClientConnection::new(client.as_rustls().clone(), name).unwrap();
    let server = ServerConnection::new(server.as_rustls().clone()).unwrap();
    let (mut client, mut server) = (Connection::from(client), Connection::from(server));
    loop {
        let told = pass(&mut client, &mut server).map_err(|error| (Side::Server, error))?;
        let answered = pass(&mut server, &mut client).map_err(|error| (Side::Client, error))?;
        if !told && !answered {
            break;
        }
    }
    match (client, server) {
        (Connection::Client(client), Connection::Server(server)) => {
            assert!(!client.is_handshaking() && !server.is_handshaking());
            Ok((client, server))
        }
        _ => unreachable!("they stay what they are"),
    }
}

/// Gives what `from` has to say to `to`; whether there was anything.
fn pass(from: &mut Connection, to: &mut Connection) -> Result<bool, Error> {
    let mut wire = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut wire).unwrap();
    }
    let mut rest = &wire[..];
    while !rest.is_empty() {
        to.read_tls(&mut rest).unwrap();
        to.process_new_packets()?;
    }
    Ok(!wire.is_empty())
}

/// What the client was shown.
pub(crate) fn shown(both: &Both) -> Vec<Vec<u8>> {
    let shown = both.0.peer_certificates().unwrap();
    shown.iter().map(|certificate| certificate.to_vec()).collect()
}
