//! What is known after a handshake, read off from the library's connection.

use crate::{TlsCipher, TlsInfo, TlsVersion};
use rustls::version::TLS13;
use rustls::{ALL_VERSIONS, Connection, HandshakeKind, ProtocolVersion, SupportedProtocolVersion};

impl TlsVersion {
    /// This version and all that are newer.
    pub(super) fn and_newer(self) -> &'static [&'static SupportedProtocolVersion] {
        static NEWEST: [&SupportedProtocolVersion; 1] = [&TLS13];
        match self {
            TlsVersion::V1_2 => ALL_VERSIONS,
            TlsVersion::V1_3 => &NEWEST,
        }
    }
}

impl TlsInfo {
    /// What `connection` has settled; `None` before the end of its handshake. `expected` is the name
    /// that a client expects.
    pub(crate) fn of(connection: &Connection, expected: Option<&str>) -> Option<Self> {
        let suite = connection.negotiated_cipher_suite()?.suite();
        let version = match connection.protocol_version()? {
            ProtocolVersion::TLSv1_3 => TlsVersion::V1_3,
            _ => TlsVersion::V1_2, // the library speaks no other
        };
        let shown = connection.peer_certificates().unwrap_or_default();
        let server_name = match connection {
            Connection::Client(_) => expected,
            Connection::Server(server) => server.server_name(),
        };
        Some(Self {
            peer_certificates: shown.iter().map(|certificate| certificate.to_vec()).collect(),
            version,
            cipher: cipher(suite.as_str().unwrap_or_default()),
            alpn: connection.alpn_protocol().map(<[u8]>::to_vec),
            server_name: server_name.map(str::to_owned),
            resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
        })
    }
}

/// `name` is the library's, which is the registry's, but for suites of TLS 1.3.
fn cipher(name: &str) -> TlsCipher {
    let bits = if name.contains("_AES_128_") { 128 } else { 256 }; // AES-256, ChaCha20
    TlsCipher { name: name.replacen("TLS13_", "TLS_", 1), bits }
}
