//! [`TlsInfo`]: what is known of an encrypted connection. Plain values: they are there, and
//! unknown, without TLS too.

use std::fmt;

/// What the handshake of an encrypted connection has settled.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsInfo {
    /// The certificates that the peer has shown, in DER, its own first. Empty if it has shown none, as
    /// clients do that were not asked. Of a server they were checked; of a client too, if the server
    /// asked.
    pub peer_certificates: Vec<Vec<u8>>,
    /// The version that is spoken.
    pub version: TlsVersion,
    /// How it is encrypted.
    pub cipher: TlsCipher,
    /// The application protocol that was agreed on (ALPN).
    pub alpn: Option<Vec<u8>>,
    /// The name that the client asked for (SNI), if it did. At a client, the name that the server's
    /// certificate was compared with.
    pub server_name: Option<String>,
    /// Whether an earlier session was resumed.
    pub resumed: bool,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TlsVersion {
    /// TLS 1.2
    V1_2,
    /// TLS 1.3
    V1_3,
}

impl fmt::Display for TlsVersion {
    /// By asyncio's names, such as `TLSv1.3`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TlsVersion::V1_2 => "TLSv1.2",
            TlsVersion::V1_3 => "TLSv1.3",
        })
    }
}

/// How a connection is encrypted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct TlsCipher {
    /// The suite's name in the IANA's registry, such as `TLS_AES_256_GCM_SHA384`.
    pub name: String,
    /// How long the key is.
    pub bits: u16,
}
