//! A client and a server that trust each other, and pairs of them.

use crate::support::*;
use eventloop::TestLoop;
use std::rc::Rc;
use std::sync::OnceLock;
use tulipa_transports::testing::{
    LifeCycleLog, MemoryOptions, MemoryPair, MemoryTlsLoop, MemoryTlsPair,
};
use tulipa_transports::tls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tulipa_transports::tls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tulipa_transports::tls::rustls::{DigitallySignedStruct, Error, SignatureScheme};
use tulipa_transports::tls::{CertifiedKey, Roots, TlsClientConfig, TlsRole, TlsServerConfig};
use tulipa_transports::{NetworkLoop, Transport};

pub(crate) const NAME: &str = "tulip.example";

/// A client and a server that trust each other.
pub(crate) fn configs() -> (TlsClientConfig, TlsServerConfig) {
    static CONFIGS: OnceLock<(TlsClientConfig, TlsServerConfig)> = OnceLock::new();
    let made = CONFIGS.get_or_init(|| {
        let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
        let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let roots = Roots::none().pem(&chain).unwrap();
        let client = TlsClientConfig::builder().roots(roots).build().unwrap();
        let certificate = CertifiedKey::from_pem(chain, key).unwrap();
        (client, TlsServerConfig::new(certificate).unwrap())
    });
    made.clone()
}

pub(crate) fn as_client() -> TlsRole {
    TlsRole::Client { config: configs().0, server_name: NAME.to_owned() }
}

pub(crate) fn as_server() -> TlsRole {
    TlsRole::Server { config: configs().1 }
}

/// A client and a server whose protocols are recorded.
pub(crate) struct Recorded {
    pub(crate) pair: MemoryTlsPair,
    pub(crate) left: LifeCycleLog,
    pub(crate) right: LifeCycleLog,
}

impl Recorded {
    pub(crate) fn below(&self) -> &MemoryPair {
        &self.pair.pair
    }

    /// Both lives are complete, and the loop holds nothing any more.
    pub(crate) fn finish(&self, event_loop: &TestLoop) {
        event_loop.run_until_idle();
        self.left.check_ended();
        self.right.check_ended();
        check_empty(event_loop);
    }
}

/// Runs `batches` batches of callbacks.
pub(crate) fn run_batches(event_loop: &TestLoop, batches: usize) {
    for _ in 0..batches {
        event_loop.stop();
        event_loop.run_forever().unwrap();
    }
}

/// The loop holds nothing any more.
pub(crate) fn check_empty(event_loop: &TestLoop) {
    event_loop.run_until_idle();
    assert_eq!(event_loop.open_connections(), 0);
    assert_eq!(event_loop.output_total(), tulipa_transports::Bytes(0));
}

pub(crate) fn begin(
    event_loop: &TestLoop,
    left: Hooks,
    right: Hooks,
    options: MemoryOptions,
) -> Recorded {
    let ((left, left_log), (right, right_log)) = (left.recorded(), right.recorded());
    let (client, server) = configs();
    let pair = event_loop.memory_tls_pair(left, (client, NAME), right, server, options);
    Recorded { pair, left: left_log, right: right_log }
}

/// A pair whose handshakes are done.
pub(crate) fn connect(
    event_loop: &TestLoop,
    left: Hooks,
    right: Hooks,
) -> (Recorded, Rc<dyn Transport>, Rc<dyn Transport>) {
    let recorded = begin(event_loop, left, right, MemoryOptions::default());
    let left = event_loop.run_until_complete(&recorded.pair.left).unwrap();
    let right = event_loop.run_until_complete(&recorded.pair.right).unwrap();
    event_loop.run_ready_now();
    (recorded, left, right)
}

/// A client that trusts nobody the others know, and a server that nobody trusts.
pub(crate) fn strangers() -> (TlsClientConfig, TlsServerConfig) {
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
    let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let roots = Roots::none().pem(&chain).unwrap();
    let client = TlsClientConfig::builder().roots(roots).build().unwrap();
    (client, TlsServerConfig::new(CertifiedKey::from_pem(chain, key).unwrap()).unwrap())
}

/// A client whose verifier panics.
pub(crate) fn panicking() -> TlsClientConfig {
    let verifier = std::sync::Arc::new(Panics);
    TlsClientConfig::builder().dangerous_verifier(verifier).build().unwrap()
}

#[derive(Debug)]
struct Panics;

impl ServerCertVerifier for Panics {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        panic!("a verifier");
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        unreachable!("it panicked before");
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        unreachable!("it panicked before");
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::ED25519]
    }
}
