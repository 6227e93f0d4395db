//! Who is believed: servers by clients, clients by servers.

use crate::authority::{Authority, Made};
use crate::handshake::handshake;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tulipa_transports::tls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tulipa_transports::tls::rustls::client::verify_server_name;
use tulipa_transports::tls::rustls::crypto::{
    WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use tulipa_transports::tls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tulipa_transports::tls::rustls::server::ParsedCertificate;
use tulipa_transports::tls::rustls::{
    CertificateError, DigitallySignedStruct, Error, Side, SignatureScheme,
};
use tulipa_transports::tls::{CertifiedKey, Roots, TlsClientConfig, TlsServerConfig};

fn serve(made: &Made) -> TlsServerConfig {
    TlsServerConfig::new(made.certified_key()).unwrap()
}

/// Why the client does not believe a server with this certificate.
fn disbelief(client: &TlsClientConfig, made: &Made, name: &str) -> CertificateError {
    match handshake(client, &serve(made), name) {
        Err((Side::Client, Error::InvalidCertificate(reason))) => reason,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was believed"),
    }
}

#[test]
fn x54_a_server_is_believed_only_with_a_good_certificate() {
    let authority = Authority::new("root");
    let client = authority.client();
    let names = ["example.org", "10.1.2.3", "fd00::1"];
    let good = authority.good(&names);
    for name in names {
        assert!(handshake(&client, &serve(&good), name).is_ok(), "{name}");
    }
    let below = authority.below("office").below("room").good(&names);
    assert!(handshake(&client, &serve(&below), "example.org").is_ok());

    use CertificateError as Why;
    let why = |made: &Made| disbelief(&client, made, "example.org");
    assert!(matches!(why(&authority.expired(&names)), Why::Expired | Why::ExpiredContext { .. }));
    let early = why(&authority.early(&names));
    assert!(matches!(early, Why::NotValidYet | Why::NotValidYetContext { .. }));
    assert_eq!(why(&Authority::new("other").good(&names)), Why::UnknownIssuer);
    let other = why(&authority.good(&["example.net"]));
    assert!(matches!(other, Why::NotValidForName | Why::NotValidForNameContext { .. }));
    let purpose = why(&authority.for_client("example.org"));
    assert!(matches!(purpose, Why::InvalidPurpose | Why::InvalidPurposeContext { .. }));
    let other = disbelief(&client, &good, "10.1.2.4");
    assert!(matches!(other, Why::NotValidForName | Why::NotValidForNameContext { .. }));
}

#[test]
fn x54_a_chain_that_is_too_long_is_an_error_of_the_handshake() {
    let mut authority = Authority::new("root");
    let client = authority.client();
    for level in 0..12 {
        authority = authority.below(&format!("level {level}"));
    }
    assert!(handshake(&client, &serve(&authority.good(&["example.org"])), "example.org").is_err());
    let root = Authority::new("root");
    let huge = root.huge(&["example.org"], 200_000);
    assert!(handshake(&root.client(), &serve(&huge), "example.org").is_err());
}

#[test]
fn x54_roots_come_from_files_texts_and_several_authorities() {
    let directory = tempfile::tempdir().unwrap();
    let (one, two) = (Authority::new("one"), Authority::new("two"));
    let path = directory.path().join("roots.pem");
    std::fs::write(&path, format!("{}some words between\n{}", one.pem(), two.pem())).unwrap();
    let of_file = Roots::none().pem_file(&path).unwrap();
    let of_texts = Roots::none().pem(one.pem()).unwrap().pem(two.pem()).unwrap();
    for roots in [of_file, of_texts] {
        let client = TlsClientConfig::builder().roots(roots).build().unwrap();
        for authority in [&one, &two] {
            let server = authority.server("example.org");
            assert!(handshake(&client, &server, "example.org").is_ok());
        }
    }
    let client = two.client();
    assert!(handshake(&client, &one.server("example.org"), "example.org").is_err());
}

#[test]
fn x54_the_platforms_roots_can_have_company() {
    let authority = Authority::new("root");
    let roots = Roots::platform().pem(authority.pem()).unwrap();
    let client = TlsClientConfig::builder().roots(roots).build().unwrap();
    assert!(handshake(&client, &authority.server("example.org"), "example.org").is_ok());
    let other = Authority::new("other").good(&["example.org"]);
    assert_eq!(disbelief(&client, &other, "example.org"), CertificateError::UnknownIssuer);
}

#[test]
fn x54_clients_may_have_to_show_a_certificate() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let good = clients.for_client("somebody");
    let bad = Authority::new("strangers").for_client("somebody else");
    let certificate = servers.good(&["example.org"]).certified_key();
    let server = || TlsServerConfig::builder().certificate(certificate.clone());
    let required = server().require_client_certificates(clients.roots()).build().unwrap();
    let asked = server().ask_for_client_certificates(clients.roots()).build().unwrap();
    let unasked = server().build().unwrap();
    let with = |made: Option<&Made>, server: &TlsServerConfig| {
        let mut client = TlsClientConfig::builder().roots(servers.roots());
        if let Some(made) = made {
            client = client.certificate(made.certified_key());
        }
        let both = handshake(&client.build().unwrap(), server, "example.org");
        both.map(|(_, server)| server.peer_certificates().map(|shown| shown[0].to_vec())).map_err(
            |(side, error)| {
                assert_eq!(side, Side::Server);
                error
            },
        )
    };
    let own = Some(good.chain[0].clone());
    let unknown = Error::InvalidCertificate(CertificateError::UnknownIssuer);
    assert_eq!(with(Some(&good), &required), Ok(own.clone()));
    assert_eq!(with(None, &required), Err(Error::NoCertificatesPresented));
    assert_eq!(with(Some(&bad), &required), Err(unknown.clone()));
    assert_eq!(with(Some(&good), &asked), Ok(own));
    assert_eq!(with(None, &asked), Ok(None));
    assert_eq!(with(Some(&bad), &asked), Err(unknown));
    assert_eq!(with(Some(&good), &unasked), Ok(None));
}

#[test]
fn x54_the_platform_vouches_for_no_clients() {
    let authority = Authority::new("root");
    let server = || TlsServerConfig::builder().certificate(authority.good(&["a"]).certified_key());
    for roots in [Roots::platform(), Roots::none()] {
        let error = server().require_client_certificates(roots).build().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::InvalidData));
    }
}

#[test]
fn x54_who_signed_its_own_certificate_is_believed_if_it_is_no_authority() {
    for is_ca in [IsCa::ExplicitNoCa, IsCa::Ca(BasicConstraints::Unconstrained)] {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.is_ca = is_ca;
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let server = CertifiedKey::from_pem(&pem, key.serialize_pem()).unwrap();
        let roots = Roots::none().pem(&pem).unwrap();
        let client = TlsClientConfig::builder().roots(roots).build().unwrap();
        let both = handshake(&client, &TlsServerConfig::new(server).unwrap(), "localhost");
        match is_ca {
            IsCa::Ca(_) => {
                let (side, error) = both.unwrap_err();
                assert_eq!(side, Side::Client);
                assert!(error.to_string().contains("CaUsedAsEndEntity"), "{error}");
            }
            IsCa::NoCa | IsCa::ExplicitNoCa => assert!(both.is_ok()),
        }
    }
}

#[test]
fn x54_a_verifier_of_ones_own_decides() {
    /// Believes one certificate, whoever signed it.
    #[derive(Debug)]
    struct Pinned {
        certificate: Vec<u8>,
        asked: AtomicUsize,
    }
    fn algorithms() -> WebPkiSupportedAlgorithms {
        ring::default_provider().signature_verification_algorithms
    }
    impl ServerCertVerifier for Pinned {
        fn verify_server_cert(
            &self,
            own: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            name: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            verify_server_name(&ParsedCertificate::try_from(own)?, name)?;
            match own.as_ref() == self.certificate {
                true => Ok(ServerCertVerified::assertion()),
                false => Err(CertificateError::ApplicationVerificationFailure.into()),
            }
        }
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls12_signature(message, certificate, signed, &algorithms())
        }
        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls13_signature(message, certificate, signed, &algorithms())
        }
        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            algorithms().supported_schemes()
        }
    }
    let authority = Authority::new("nobody knows it");
    let (pinned, other) = (authority.good(&["example.org"]), authority.good(&["example.org"]));
    let verifier =
        Arc::new(Pinned { certificate: pinned.chain[0].clone(), asked: AtomicUsize::new(0) });
    let client = TlsClientConfig::builder().dangerous_verifier(verifier.clone()).build().unwrap();
    assert!(handshake(&client, &serve(&pinned), "example.org").is_ok());
    assert_eq!(
        disbelief(&client, &other, "example.org"),
        CertificateError::ApplicationVerificationFailure
    );
    assert_eq!(verifier.asked.load(Ordering::Relaxed), 2);
}
