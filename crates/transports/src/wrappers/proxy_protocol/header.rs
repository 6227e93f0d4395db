//! [`ProxyHeader`]: who is at the other side of a proxy, as the proxy says it before the first byte. Both
//! versions of the PROXY protocol, to be written and to be read.

use super::read;
use super::write;
use crate::{Address, ExtraInfo};
use std::error::Error;
use std::fmt;

/// What a proxy says of a connection that it passes on: the header of the PROXY protocol, which HAProxy,
/// nginx and the load balancers of clouds send before anything else.
///
/// # Examples
/// ```
/// use std::net::SocketAddr;
/// use tulipa_transports::wrappers::ProxyHeader;
///
/// let client: SocketAddr = "192.0.2.7:50123".parse()?;
/// let service: SocketAddr = "192.0.2.1:443".parse()?;
/// let line = ProxyHeader::new(client, service).to_v1();
/// assert_eq!(line, b"PROXY TCP4 192.0.2.7 192.0.2.1 50123 443\r\n");
///
/// let (header, size) = ProxyHeader::parse(&line)?.expect("it is complete");
/// assert_eq!(header.source(), Some(&client.into()));
/// assert_eq!(size, line.len());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyHeader {
    pub(super) local: bool,
    pub(super) datagram: bool,
    /// Source and destination: both or none.
    pub(super) addresses: Option<(Address, Address)>,
    pub(super) values: Vec<ProxyValue>,
    pub(super) checksum: bool,
}

/// Something more that a header of version 2 tells (a TLV).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProxyValue {
    /// What it is: [`ProxyHeader::ALPN`] and so on.
    pub kind: u8,
    /// The bytes.
    pub value: Vec<u8>,
}

impl ProxyHeader {
    /// The application protocol that was agreed upon by TLS (ALPN).
    pub const ALPN: u8 = 0x01;
    /// The name of the host that the client asked for, by TLS (SNI) or otherwise.
    pub const AUTHORITY: u8 = 0x02;
    /// What the proxy calls the connection; at most 128 bytes.
    pub const UNIQUE_ID: u8 = 0x05;
    /// What is known of the client's TLS connection, with parts of its own.
    pub const SSL: u8 = 0x20;
    /// The name of a network namespace.
    pub const NETNS: u8 = 0x30;
    /// The first of 16 kinds that are left to applications.
    pub const CUSTOM: u8 = 0xE0;

    /// The longest header of version 1, its end included.
    pub const LONGEST_V1: usize = 107;

    /// A connection from `source` to `destination`, passed on.
    pub fn new(source: impl Into<Address>, destination: impl Into<Address>) -> Self {
        let addresses = Some((source.into(), destination.into()));
        Self { addresses, ..Self::unknown() }
    }

    /// A connection that is passed on, nobody knows from where.
    pub fn unknown() -> Self {
        Self { local: false, datagram: false, addresses: None, values: Vec::new(), checksum: false }
    }

    /// A connection of the proxy's own, to see whether the service is well.
    pub fn local() -> Self {
        Self { local: true, ..Self::unknown() }
    }

    /// Passes on the connection that `info` tells of: from its peer to where it was accepted.
    pub fn of(info: &ExtraInfo) -> Self {
        match (&info.peername, &info.sockname) {
            (Some(peer), Some(own)) => Self::new(peer.clone(), own.clone()),
            _ => Self::unknown(),
        }
    }

    /// Adds something more to be told, which needs version 2. [`to_v2`](ProxyHeader::to_v2) checks it.
    #[must_use]
    pub fn value(mut self, kind: u8, value: impl Into<Vec<u8>>) -> Self {
        self.values.push(ProxyValue { kind, value: value.into() });
        self
    }

    /// Whether [`to_v2`](ProxyHeader::to_v2) adds a checksum; of one that was read, whether it had one.
    #[must_use]
    pub fn checksum(mut self, enabled: bool) -> Self {
        self.checksum = enabled;
        self
    }

    /// The client. `None` if the header does not say, or the connection is the proxy's own: then the
    /// connection is what it seems.
    pub fn source(&self) -> Option<&Address> {
        self.addresses.as_ref().map(|(source, _)| source)
    }

    /// Where the client connected to. `None` as for the [`source`](ProxyHeader::source).
    pub fn destination(&self) -> Option<&Address> {
        self.addresses.as_ref().map(|(_, destination)| destination)
    }

    /// Whether the connection is not passed on for anybody.
    pub fn is_local(&self) -> bool {
        self.local
    }

    /// Whether the client sent datagrams, which the proxy passes on as a stream.
    pub fn is_datagram(&self) -> bool {
        self.datagram
    }

    /// All else that the header tells, in its order.
    pub fn values(&self) -> &[ProxyValue] {
        &self.values
    }

    /// The first value of this kind.
    pub fn get(&self, kind: u8) -> Option<&[u8]> {
        self.values.iter().find(|value| value.kind == kind).map(|value| &value.value[..])
    }

    /// The name of the host that the client asked for, if the header has it and it is text.
    pub fn authority(&self) -> Option<&str> {
        std::str::from_utf8(self.get(Self::AUTHORITY)?).ok()
    }

    /// The header as a line of text, version 1: addresses and nothing else, and those of IP only; of all
    /// others it says that they are unknown.
    pub fn to_v1(&self) -> Vec<u8> {
        write::v1(self)
    }

    /// The header in binary form, version 2.
    ///
    /// # Errors
    /// If a value, the name of a Unix socket, or all together do not fit in.
    pub fn to_v2(&self) -> Result<Vec<u8>, ProxyHeaderError> {
        write::v2(self)
    }

    /// Reads a header of either version at the beginning of `data`: gives it with its size, or `None` if
    /// it is not complete. No form but the exact one is accepted, and none that is longer than 64 KiB.
    ///
    /// Of a header without addresses nothing more is read than that: what else it has is skipped, as the
    /// protocol wants it.
    ///
    /// # Errors
    /// If this is not the beginning of a header.
    pub fn parse(data: &[u8]) -> Result<Option<(ProxyHeader, usize)>, ProxyHeaderError> {
        read::header(data, usize::MAX)
    }

    /// As [`parse`](ProxyHeader::parse), refusing headers of more than `most` bytes.
    pub(super) fn parse_within(
        data: &[u8],
        most: usize,
    ) -> Result<Option<(ProxyHeader, usize)>, ProxyHeaderError> {
        read::header(data, most)
    }
}

/// What is wrong with a header of the PROXY protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProxyHeaderError {
    /// It begins as none does.
    NotProxy,
    /// It is longer than is allowed.
    TooLong {
        /// So many bytes are allowed.
        most: usize,
    },
    /// The line of version 1 is not of its form.
    InvalidLine {
        /// What is wrong.
        problem: &'static str,
    },
    /// Byte 13 of a binary header names another version than 2.
    UnknownVersion(u8),
    /// Byte 13 of a binary header names neither LOCAL nor PROXY.
    UnknownCommand(u8),
    /// Byte 14 of a binary header names no family and protocol that there are.
    UnknownFamily(u8),
    /// The binary header is too short for its addresses.
    TooShort,
    /// A value (TLV) reaches beyond the end of the header, or is not of its form.
    InvalidValue {
        /// Its kind.
        kind: u8,
    },
    /// The checksum is wrong.
    WrongChecksum,
    /// The name of a Unix socket is longer than the 108 bytes that there are for it.
    NameTooLong,
}

impl fmt::Display for ProxyHeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotProxy => f.write_str("not a PROXY header"),
            Self::TooLong { most } => write!(f, "a PROXY header of more than {most} bytes"),
            Self::InvalidLine { problem } => write!(f, "invalid PROXY line: {problem}"),
            Self::UnknownVersion(version) => write!(f, "version {version} of the PROXY protocol"),
            Self::UnknownCommand(command) => write!(f, "unknown command {command} of PROXY"),
            Self::UnknownFamily(family) => {
                write!(f, "unknown family and protocol {family:#04x} of PROXY")
            }
            Self::TooShort => f.write_str("a PROXY header that is too short for its addresses"),
            Self::InvalidValue { kind } => write!(f, "invalid value {kind:#04x} in a PROXY header"),
            Self::WrongChecksum => f.write_str("wrong checksum of a PROXY header"),
            Self::NameTooLong => {
                f.write_str("the name of a Unix socket is too long for a PROXY header")
            }
        }
    }
}

impl Error for ProxyHeaderError {}
