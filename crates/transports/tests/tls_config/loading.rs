//! Certificates and keys, from files and elsewhere; their replacement.

use crate::authority::Authority;
use crate::handshake::{handshake, shown};
use std::error::Error;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;
use tulipa_transports::tls::rustls::pki_types::CertificateDer;
use tulipa_transports::tls::rustls::pki_types::pem::PemObject;
use tulipa_transports::tls::rustls::server::WebPkiClientVerifier;
use tulipa_transports::tls::rustls::version::TLS12;
use tulipa_transports::tls::rustls::{HandshakeKind, RootCertStore, ServerConfig};
use tulipa_transports::tls::{
    CertifiedKey, ReloadableCertificate, Roots, TlsClientConfig, TlsConfigError, TlsServerConfig,
};

/// The message with all of its causes.
fn told(error: &TlsConfigError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

#[test]
fn x54_a_certificate_is_read_from_pem_files_with_its_chain() {
    let directory = tempfile::tempdir().unwrap();
    let root = Authority::new("root");
    let made = root.below("office").good(&["example.org"]);
    let (chain, key) = made.write_to(directory.path());
    let loaded = CertifiedKey::from_pem_files(&chain, &key).unwrap();
    assert_eq!(loaded.chain().collect::<Vec<_>>(), made.chain);
    let server = TlsServerConfig::new(loaded).unwrap();
    let both = handshake(&root.client(), &server, "example.org").unwrap();
    assert_eq!(shown(&both), made.chain);
}

#[test]
fn x54_one_file_may_have_the_chain_and_the_key() {
    let directory = tempfile::tempdir().unwrap();
    let made = Authority::new("root").good(&["example.org"]);
    let path = directory.path().join("all.pem");
    std::fs::write(&path, format!("{}\n{}", made.key_pem, made.chain_pem)).unwrap();
    let loaded = CertifiedKey::from_pem_files(&path, &path).unwrap();
    assert_eq!(loaded.chain().collect::<Vec<_>>(), made.chain);
    assert!(!format!("{loaded:?}").contains("key\":"));
}

#[test]
fn x54_errors_name_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new("root");
    let (chain, key) = authority.good(&["example.org"]).write_to(directory.path());
    let missing = directory.path().join("missing.pem");
    let check = |result: Result<CertifiedKey, TlsConfigError>, path: &Path, kind, text: &str| {
        let error = result.unwrap_err();
        assert_eq!((error.path(), error.kind()), (Some(path), kind), "{}", told(&error));
        let text = text.replace("PATH", &path.display().to_string());
        assert!(told(&error).starts_with(&text), "{} does not begin with {text}", told(&error));
        assert_eq!(io::Error::from(error).kind(), kind);
    };
    let load = |chain: &Path, key: &Path| CertifiedKey::from_pem_files(chain, key);
    let no_chain = "cannot read the certificates in PATH: ";
    let no_key = "cannot read the private key in PATH: ";
    check(load(&missing, &key), &missing, ErrorKind::NotFound, no_chain);
    check(load(&chain, &missing), &missing, ErrorKind::NotFound, no_key);
    check(load(&key, &key), &key, ErrorKind::InvalidData, no_chain);
    check(load(&chain, &chain), &chain, ErrorKind::InvalidData, no_key);

    let other = directory.path().join("other.pem");
    std::fs::write(&other, authority.good(&["example.org"]).key_pem).unwrap();
    let apart = "cannot use the certificate with the private key in PATH: ";
    check(load(&chain, &other), &other, ErrorKind::InvalidData, apart);

    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    std::fs::write(&other, encrypted).unwrap();
    let said = "cannot read the private key in PATH: it is encrypted";
    check(load(&chain, &other), &other, ErrorKind::InvalidData, said);

    let cut = "-----BEGIN CERTIFICATE-----\nAAAA\n";
    std::fs::write(&other, cut).unwrap();
    check(load(&other, &key), &other, ErrorKind::InvalidData, no_chain);
    let error = Roots::none().pem_file(&other).unwrap_err();
    assert_eq!((error.path(), error.kind()), (Some(&*other), ErrorKind::InvalidData));
    let error = Roots::none().pem_file(&missing).unwrap_err();
    assert_eq!((error.path(), error.kind()), (Some(&*missing), ErrorKind::NotFound));
}

#[test]
fn x54_der_that_is_none_is_refused() {
    let made = Authority::new("root").good(&["example.org"]);
    assert!(CertifiedKey::from_der(vec![], made.key.clone()).is_err());
    assert!(CertifiedKey::from_der(vec![b"not a certificate".to_vec()], made.key.clone()).is_err());
    assert!(CertifiedKey::from_der(made.chain.clone(), b"not a key".to_vec()).is_err());
    assert!(Roots::none().der(*b"not a certificate").is_err());
}

#[test]
fn x54_a_certificate_is_replaced_while_it_serves() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new("root");
    let (old, new) = (authority.good(&["example.org"]), authority.good(&["example.org"]));
    let (chain, key) = old.write_to(directory.path());
    let certificate = ReloadableCertificate::from_pem_files(&chain, &key).unwrap();
    let server = TlsServerConfig::builder().certificate(certificate.clone()).build().unwrap();
    let show = || {
        let config = authority.client(); // a new one: it has no session to resume
        shown(&handshake(&config, &server, "example.org").unwrap())
    };
    assert_eq!(show(), old.chain);

    // Only one of the files is there yet: the old certificate stays.
    std::fs::write(&chain, &new.chain_pem).unwrap();
    let error = certificate.reload().unwrap_err();
    assert_eq!(error.path(), Some(&*key));
    assert_eq!(show(), old.chain);

    std::fs::write(&key, &new.key_pem).unwrap();
    assert_eq!(show(), old.chain, "nobody has asked for it");
    certificate.reload().unwrap();
    assert_eq!(show(), new.chain);

    certificate.set(old.certified_key());
    assert_eq!(show(), old.chain);
    let fixed = ReloadableCertificate::new(old.certified_key());
    assert_eq!(fixed.reload().unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn x54_a_certificate_is_replaced_from_another_thread() {
    let authority = Authority::new("root");
    let (old, new) = (authority.good(&["example.org"]), authority.good(&["example.org"]));
    let certificate = ReloadableCertificate::new(old.certified_key());
    let server = TlsServerConfig::new(certificate.clone()).unwrap();
    let replacement = new.certified_key();
    std::thread::spawn(move || certificate.set(replacement)).join().unwrap();
    let both = handshake(&authority.client(), &server, "example.org").unwrap();
    assert_eq!(shown(&both), new.chain);
}

#[test]
fn x54_a_client_whose_certificate_was_replaced_is_not_taken_for_the_one_before() {
    let authority = Authority::new("root");
    let (old, new) = (authority.for_client("old"), authority.for_client("new"));
    let certificate = ReloadableCertificate::from(old.certified_key());
    let client = TlsClientConfig::builder()
        .roots(authority.roots())
        .certificate(certificate.clone())
        .build()
        .unwrap();
    let own = authority.good(&["example.org"]).certified_key();
    let newest = TlsServerConfig::builder()
        .certificate(own.clone())
        .require_client_certificates(authority.roots())
        .build()
        .unwrap();
    let provider = newest.as_rustls().crypto_provider().clone();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let clients = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone());
    let old_version = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS12])
        .unwrap()
        .with_client_cert_verifier(clients.build().unwrap())
        .with_cert_resolver(Arc::new(ReloadableCertificate::from(own)));
    for server in [newest, TlsServerConfig::from_rustls(Arc::new(old_version))] {
        let who = || {
            let (client, server) = handshake(&client, &server, "example.org").unwrap();
            let shown = server.peer_certificates().unwrap()[0].to_vec();
            (shown, client.handshake_kind() == Some(HandshakeKind::Resumed))
        };
        for made in [&old, &new] {
            certificate.set(made.certified_key());
            assert_eq!(who(), (made.chain[0].clone(), false));
            assert_eq!(who(), (made.chain[0].clone(), true));
        }
    }
}
