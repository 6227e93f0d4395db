//! The name that a client expects a server's certificate to have.

use rustls::pki_types::ServerName;
use std::io;

/// `name`, which is a host's name or an IP address, as one that can be compared with a certificate.
pub(crate) fn server_name(name: &str) -> io::Result<ServerName<'static>> {
    // The interface of a link-local address means nothing to the peer.
    let name = name.split_once('%').map_or(name, |(address, _)| address);
    ServerName::try_from(name.to_owned()).map_err(|_| {
        let message = format!("{name:?} cannot be the name of a TLS server");
        io::Error::new(io::ErrorKind::InvalidInput, message)
    })
}
