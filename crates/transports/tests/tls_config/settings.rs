//! Settings: limits, versions, sessions.

use crate::authority::Authority;
use crate::handshake::handshake;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;
use tulipa_transports::TlsVersion;
use tulipa_transports::tls::rustls::pki_types::pem::PemObject;
use tulipa_transports::tls::rustls::pki_types::{CertificateDer, ServerName};
use tulipa_transports::tls::rustls::server::ServerSessionMemoryCache;
use tulipa_transports::tls::rustls::version::TLS12;
use tulipa_transports::tls::rustls::{
    ClientConfig, ClientConnection, HandshakeKind, ProtocolVersion, RootCertStore, ServerConfig,
};
use tulipa_transports::tls::{Roots, TlsClientConfig, TlsServerConfig};

#[test]
fn x45_a_time_out_of_zero_is_an_error() {
    let authority = Authority::new("root");
    let client = || TlsClientConfig::builder().roots(authority.roots());
    let certificate = authority.good(&["example.org"]).certified_key();
    let server = || TlsServerConfig::builder().certificate(certificate.clone());
    let kinds = [
        client().handshake_timeout(Duration::ZERO).build().unwrap_err().kind(),
        client().shutdown_timeout(Duration::ZERO).build().unwrap_err().kind(),
        server().handshake_timeout(Duration::ZERO).build().unwrap_err().kind(),
        server().shutdown_timeout(Duration::ZERO).build().unwrap_err().kind(),
    ];
    assert_eq!(kinds, [ErrorKind::InvalidInput; 4]);
    assert!(client().handshake_timeout(Duration::from_nanos(1)).build().is_ok());
}

#[test]
fn x54_names_of_application_protocols_have_1_to_255_bytes() {
    let authority = Authority::new("root");
    let build =
        |name: Vec<u8>| TlsClientConfig::builder().roots(authority.roots()).alpn([name]).build();
    assert!(build(vec![b'a'; 255]).is_ok());
    assert_eq!(build(vec![]).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(build(vec![b'a'; 256]).unwrap_err().kind(), ErrorKind::InvalidInput);
    let server = TlsServerConfig::builder().certificate(authority.good(&["a"]).certified_key());
    assert_eq!(server.alpn([""]).build().unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn x54_a_client_without_roots_is_refused() {
    let error = TlsClientConfig::builder().roots(Roots::none()).build().unwrap_err();
    assert_eq!(error.to_string(), "cannot use the trusted certificates");
}

#[test]
fn x54_versions_before_1_2_are_not_spoken_and_1_3_may_be_demanded() {
    let authority = Authority::new("root");
    let certificate = authority.good(&["example.org"]).certified_key();
    let server = |oldest| {
        let builder = TlsServerConfig::builder().certificate(certificate.clone());
        builder.min_version(oldest).build().unwrap()
    };
    let both = handshake(&authority.client(), &server(TlsVersion::V1_2), "example.org").unwrap();
    assert_eq!(both.0.protocol_version(), Some(ProtocolVersion::TLSv1_3), "the newest");

    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let provider = authority.client().as_rustls().crypto_provider().clone();
    let old = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let old = TlsClientConfig::from_rustls(Arc::new(old));
    let both = handshake(&old, &server(TlsVersion::V1_2), "example.org").unwrap();
    assert_eq!(both.0.protocol_version(), Some(ProtocolVersion::TLSv1_2));
    assert!(handshake(&old, &server(TlsVersion::V1_3), "example.org").is_err());
}

#[test]
fn x54_sessions_are_resumed_unless_one_of_both_says_no() {
    let authority = Authority::new("root");
    let certificate = authority.good(&["example.org"]).certified_key();
    let second = |client: bool, server: bool| {
        let client = TlsClientConfig::builder().roots(authority.roots()).resumption(client);
        let server = TlsServerConfig::builder().certificate(certificate.clone()).resumption(server);
        let (client, server) = (client.build().unwrap(), server.build().unwrap());
        let first = handshake(&client, &server, "example.org").unwrap();
        assert_eq!(first.0.handshake_kind(), Some(HandshakeKind::Full));
        handshake(&client.clone(), &server.clone(), "example.org").unwrap().0.handshake_kind()
    };
    assert_eq!(second(true, true), Some(HandshakeKind::Resumed));
    assert_eq!(second(false, true), Some(HandshakeKind::Full));
    assert_eq!(second(true, false), Some(HandshakeKind::Full));
}

#[test]
fn x54_configurations_cross_threads_and_show_no_secrets() {
    fn check<T: Send + Sync + Clone + 'static>(_: &T) {}
    let authority = Authority::new("root");
    let made = authority.good(&["example.org"]);
    let (client, server) = (authority.client(), authority.server("example.org"));
    check(&client);
    check(&server);
    check(&made.certified_key());
    check(&Roots::platform());
    for text in
        [format!("{client:?}"), format!("{server:?}"), format!("{:?}", made.certified_key())]
    {
        assert!(text.len() < 200, "{text}");
    }
}

/// What comes in the first flight of a session that is resumed can be sent again by anybody, and nobody would
/// read it here: taken, it would be lost.
#[test]
fn x54_early_data_is_not_offered_whatever_the_librarys_configuration_says() {
    let authority = Authority::new("root");
    let certificate = authority.good(&["example.org"]).certified_key();
    let without = TlsServerConfig::builder().certificate(certificate).resumption(false);
    let mut early = ServerConfig::clone(without.build().unwrap().as_rustls());
    early.session_storage = ServerSessionMemoryCache::new(8);
    early.send_tls13_tickets = 2;
    early.max_early_data_size = 1_000;
    let server = TlsServerConfig::from_rustls(Arc::new(early));
    let mut eager = ClientConfig::clone(authority.client().as_rustls());
    eager.enable_early_data = true;
    let client = TlsClientConfig::from_rustls(Arc::new(eager));
    handshake(&client, &server, "example.org").unwrap();
    let name = ServerName::try_from("example.org").unwrap();
    let mut second = ClientConnection::new(client.as_rustls().clone(), name).unwrap();
    assert!(second.early_data().is_none(), "the server takes none");
}
