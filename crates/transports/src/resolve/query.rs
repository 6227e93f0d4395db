//! What can be asked of a resolver, and what it answers.

use std::net::SocketAddr;

/// A family of IP addresses, to which a look-up may be restricted (N-13).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    pub(crate) fn matches(self, address: &SocketAddr) -> bool {
        self == Family::of(address)
    }

    pub(crate) fn of(address: &SocketAddr) -> Self {
        if address.is_ipv4() { Family::V4 } else { Family::V6 }
    }
}

/// The kind of socket that an address is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SocketType {
    /// A stream, usually TCP.
    Stream,
    /// Datagrams, usually UDP.
    Datagram,
    /// Raw packets.
    Raw,
    /// Packets in sequence, such as SCTP's.
    SequencedPacket,
}

/// A port, by its number or by its name ("http").
///
/// Text that is a number counts as one, and no text as port 0 (N-2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    /// A port.
    Port(u16),
    /// A name that stands for a port.
    Name(String),
}

impl From<u16> for Service {
    fn from(port: u16) -> Self {
        Service::Port(port)
    }
}

impl From<&str> for Service {
    fn from(text: &str) -> Self {
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            _ if text.is_empty() => Service::Port(0),
            Ok(port) if is_number => Service::Port(port),
            _ => Service::Name(text.to_owned()),
        }
    }
}

impl From<String> for Service {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

/// Which addresses are looked up: a host and a service, and what the answers are restricted to.
///
/// # Examples
/// ```
/// use tulipa_transports::{AddressQuery, Family, SocketType};
/// let query = AddressQuery::from(("localhost", "http"))
///     .family(Family::V4)
///     .socket_type(SocketType::Stream);
/// assert_eq!(query.host, "localhost");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct AddressQuery {
    /// The name, or the text of an address.
    pub host: String,
    /// The port that the answers are to have.
    pub service: Service,
    /// The only family that is wanted.
    pub family: Option<Family>,
    /// The only kind of socket that is wanted. With none, each address may come once for every kind.
    pub socket_type: Option<SocketType>,
    /// The only protocol that is wanted, by its number (`IPPROTO_…`).
    pub protocol: Option<i32>,
    /// Whether the first answer is to tell the canonical name of the host.
    pub canonical_name: bool,
    /// Whether families of which this machine has no address are left out (`AI_ADDRCONFIG`).
    pub only_configured: bool,
}

impl AddressQuery {
    /// Everything that is known of `host` and `service`.
    pub fn new(host: impl Into<String>, service: impl Into<Service>) -> Self {
        Self {
            host: host.into(),
            service: service.into(),
            family: None,
            socket_type: None,
            protocol: None,
            canonical_name: false,
            only_configured: false,
        }
    }

    /// Restricts the answers to a family.
    #[must_use]
    pub fn family(mut self, family: Family) -> Self {
        self.family = Some(family);
        self
    }

    /// Restricts the answers to a kind of socket.
    #[must_use]
    pub fn socket_type(mut self, socket_type: SocketType) -> Self {
        self.socket_type = Some(socket_type);
        self
    }

    /// Restricts the answers to a protocol, by its number (`IPPROTO_…`).
    #[must_use]
    pub fn protocol(mut self, protocol: i32) -> Self {
        self.protocol = Some(protocol);
        self
    }

    /// Asks for the canonical name of the host too.
    #[must_use]
    pub fn canonical_name(mut self, wanted: bool) -> Self {
        self.canonical_name = wanted;
        self
    }

    /// Leaves out families of which this machine has no address (`AI_ADDRCONFIG`).
    #[must_use]
    pub fn only_configured(mut self, only: bool) -> Self {
        self.only_configured = only;
        self
    }
}

impl<H: Into<String>, S: Into<Service>> From<(H, S)> for AddressQuery {
    fn from((host, service): (H, S)) -> Self {
        Self::new(host, service)
    }
}

/// One answer to an [`AddressQuery`].
///
/// A resolver that knows addresses only makes it `from` each; the port is filled in for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct AddressInfo {
    /// The address, with its port, and an IPv6 one with flow and scope.
    pub address: SocketAddr,
    /// The kind of socket that it is good for.
    pub socket_type: Option<SocketType>,
    /// The protocol's number; 0 for the usual one.
    pub protocol: i32,
    /// The canonical name of the host, in the first answer, if it was asked for.
    pub canonical_name: Option<String>,
}

impl AddressInfo {
    /// With the kind of socket that the address is good for, and the protocol's number.
    #[must_use]
    pub fn socket(mut self, socket_type: SocketType, protocol: i32) -> Self {
        self.socket_type = Some(socket_type);
        self.protocol = protocol;
        self
    }

    /// With the canonical name of the host.
    #[must_use]
    pub fn named(mut self, canonical_name: impl Into<String>) -> Self {
        self.canonical_name = Some(canonical_name.into());
        self
    }
}

impl From<SocketAddr> for AddressInfo {
    fn from(address: SocketAddr) -> Self {
        Self { address, socket_type: None, protocol: 0, canonical_name: None }
    }
}

/// Whose name is looked up, and how.
///
/// # Examples
/// ```
/// use std::net::SocketAddr;
/// use tulipa_transports::NameQuery;
/// let address: SocketAddr = "127.0.0.1:80".parse()?;
/// let query = NameQuery::from(address).numeric_service(true);
/// assert_eq!(query.address, address);
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct NameQuery {
    /// The address and the port.
    pub address: SocketAddr,
    /// Whether the host is wanted as the text of its address (`NI_NUMERICHOST`).
    pub numeric_host: bool,
    /// Whether the service is wanted as a number (`NI_NUMERICSERV`).
    pub numeric_service: bool,
    /// Whether it is an error that the host has no name (`NI_NAMEREQD`). Otherwise the text of its
    /// address is the answer then.
    pub name_required: bool,
    /// Whether the service is one of datagrams (`NI_DGRAM`).
    pub datagram: bool,
}

impl NameQuery {
    /// Asks for the text of the address in place of a name.
    #[must_use]
    pub fn numeric_host(mut self, numeric: bool) -> Self {
        self.numeric_host = numeric;
        self
    }

    /// Asks for the number of the port in place of its name.
    #[must_use]
    pub fn numeric_service(mut self, numeric: bool) -> Self {
        self.numeric_service = numeric;
        self
    }

    /// Makes it an error that the host has no name.
    #[must_use]
    pub fn name_required(mut self, required: bool) -> Self {
        self.name_required = required;
        self
    }

    /// Asks for the name of a datagram service.
    #[must_use]
    pub fn datagram(mut self, datagram: bool) -> Self {
        self.datagram = datagram;
        self
    }
}

impl From<SocketAddr> for NameQuery {
    fn from(address: SocketAddr) -> Self {
        Self {
            address,
            numeric_host: false,
            numeric_service: false,
            name_required: false,
            datagram: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn n2_a_service_that_is_a_number_is_a_port() {
        for (text, port) in [("", 0), ("0", 0), ("80", 80), ("0080", 80), ("65535", 65535)] {
            assert_eq!(Service::from(text), Service::Port(port));
        }
        for text in ["http", "+80", "-1", " 80", "65536", "99999999999", "8o"] {
            assert_eq!(Service::from(text), Service::Name(text.to_owned()));
        }
    }
}
