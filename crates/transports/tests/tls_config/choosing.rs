//! The certificate that is shown, by the name that the client asks for.

use crate::authority::Authority;
use crate::handshake::{handshake, shown};
use std::error::Error as _;
use std::io::ErrorKind;
use std::sync::Arc;
use tulipa_transports::tls::rustls::server::{ClientHello, ResolvesServerCert};
use tulipa_transports::tls::rustls::sign;
use tulipa_transports::tls::rustls::{Error, Side};
use tulipa_transports::tls::{ReloadableCertificate, TlsClientConfig, TlsServerConfig};

#[test]
fn x54_the_name_that_is_asked_for_chooses_the_certificate() {
    let authority = Authority::new("root");
    let client = authority.client();
    let one = authority.good(&["one.example.org", "one.EXAMPLE.org"]);
    let any = authority.good(&["*.example.org"]);
    let rest = authority.good(&["example.net", "10.1.2.3"]);
    let server = TlsServerConfig::builder()
        .certificate_for("One.example.org", one.certified_key())
        .certificate_for("*.example.org", any.certified_key())
        .certificate(rest.certified_key())
        .build()
        .unwrap();
    let show = |name: &str| shown(&handshake(&client, &server, name).unwrap());
    assert_eq!(show("one.example.org"), one.chain);
    assert_eq!(show("ONE.Example.Org"), one.chain);
    assert_eq!(show("two.example.org"), any.chain);
    assert_eq!(show("example.net"), rest.chain);
    assert_eq!(show("10.1.2.3"), rest.chain, "an address is no name that could be asked for");
    let too_deep = handshake(&client, &server, "a.two.example.org");
    assert!(too_deep.is_err(), "a star stands for one label");
}

#[test]
fn x54_a_name_that_is_not_known_is_refused_unless_there_is_a_certificate_for_the_rest() {
    let authority = Authority::new("root");
    let made = authority.good(&["example.org"]);
    let server = TlsServerConfig::builder()
        .certificate_for("example.org", made.certified_key())
        .build()
        .unwrap();
    assert!(handshake(&authority.client(), &server, "example.org").is_ok());
    let (side, _) = handshake(&authority.client(), &server, "example.net").unwrap_err();
    assert_eq!(side, Side::Server);
}

#[test]
fn x54_a_certificate_that_does_not_fit_its_name_is_refused_at_once() {
    let authority = Authority::new("root");
    let made = authority.good(&["example.org"]);
    for name in ["example.net", "*.example.org", "not a name", "", "10.1.2.3"] {
        let built = TlsServerConfig::builder().certificate_for(name, made.certified_key()).build();
        let error = built.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{name}");
        assert!(error.source().is_some());
        assert!(error.to_string().contains(&format!("{name:?}")), "{error}");
    }
}

#[test]
fn x54_a_dot_at_the_end_of_a_name_makes_no_difference() {
    let authority = Authority::new("root");
    let made = authority.good(&["example.org", "*.example.net"]);
    let server = TlsServerConfig::builder()
        .certificate_for("example.org.", made.certified_key())
        .certificate_for("*.example.net.", made.certified_key())
        .build()
        .unwrap();
    for name in ["example.org", "example.org.", "a.example.net", "a.example.net."] {
        let both = handshake(&authority.client(), &server, name);
        assert_eq!(shown(&both.expect(name)), made.chain, "{name}");
    }
}

#[test]
fn x54_one_of_several_certificates_is_replaced() {
    let authority = Authority::new("root");
    let client = || authority.client();
    let (old, new) = (authority.good(&["example.org"]), authority.good(&["example.org"]));
    let certificate = ReloadableCertificate::from(old.certified_key());
    let server = TlsServerConfig::builder()
        .certificate_for("example.org", certificate.clone())
        .certificate(authority.good(&["example.net"]).certified_key())
        .build()
        .unwrap();
    assert_eq!(shown(&handshake(&client(), &server, "example.org").unwrap()), old.chain);
    certificate.set(new.certified_key());
    assert_eq!(shown(&handshake(&client(), &server, "example.org").unwrap()), new.chain);
}

#[test]
fn x54_a_resolver_of_ones_own_chooses() {
    #[derive(Debug)]
    struct Only(Arc<sign::CertifiedKey>);
    impl ResolvesServerCert for Only {
        fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<sign::CertifiedKey>> {
            (hello.server_name() == Some("example.org")).then(|| self.0.clone())
        }
    }
    let authority = Authority::new("root");
    let made = authority.good(&["example.org"]);
    let only = Only(made.certified_key().as_rustls().clone());
    let server = TlsServerConfig::builder().certificate_resolver(Arc::new(only)).build().unwrap();
    assert!(handshake(&authority.client(), &server, "example.org").is_ok());
    let (side, _) = handshake(&authority.client(), &server, "example.net").unwrap_err();
    assert_eq!(side, Side::Server);
}

#[test]
fn x54_without_a_certificate_there_is_no_server() {
    let error = TlsServerConfig::builder().build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(error.to_string(), "a TLS server needs a certificate");
}

#[test]
fn x54_application_protocols_are_chosen_by_the_server_or_refused() {
    let authority = Authority::new("root");
    let made = authority.good(&["example.org"]);
    let server = |protocols: &[&str]| {
        TlsServerConfig::builder()
            .certificate(made.certified_key())
            .alpn(protocols.iter().copied())
            .build()
            .unwrap()
    };
    let client = |protocols: &[&str]| {
        TlsClientConfig::builder()
            .roots(authority.roots())
            .alpn(protocols.iter().copied())
            .build()
            .unwrap()
    };
    let agreed = |ours: &[&str], theirs: &[&str]| {
        let both = handshake(&client(ours), &server(theirs), "example.org")?;
        Ok::<_, (Side, Error)>(both.0.alpn_protocol().map(<[u8]>::to_vec))
    };
    assert_eq!(agreed(&["h2", "http/1.1"], &["http/1.1"]), Ok(Some(b"http/1.1".to_vec())));
    assert_eq!(agreed(&["a", "b"], &["b", "a"]), Ok(Some(b"b".to_vec())), "the server prefers");
    assert_eq!(agreed(&[], &["h2"]), Ok(None));
    assert_eq!(
        agreed(&["smtp"], &["imap"]),
        Err((Side::Server, Error::NoApplicationProtocol)),
        "no guess"
    );
}
