//! Two sessions and what is between them, compared with two plain streams of bytes.

use super::*;
use crate::TlsVersion;
use crate::tls::{CertifiedKey, Roots, TlsClientConfig, TlsServerConfig, server_name};
use proptest::prelude::*;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, ServerConnection, SignatureScheme,
};
use std::sync::OnceLock;

/// A client and a server that trust each other.
pub(crate) fn configs() -> &'static (TlsClientConfig, TlsServerConfig) {
    static CONFIGS: OnceLock<(TlsClientConfig, TlsServerConfig)> = OnceLock::new();
    CONFIGS.get_or_init(|| {
        let made = rcgen::generate_simple_self_signed(["tulip.example".to_owned()]).unwrap();
        let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let roots = Roots::none().pem(&chain).unwrap();
        let client = TlsClientConfig::builder().roots(roots).build().unwrap();
        let certificate = CertifiedKey::from_pem(chain, key).unwrap();
        (client, TlsServerConfig::new(certificate).unwrap())
    })
}

fn client(version: TlsVersion, truncation: Truncation) -> TlsSession {
    let config = match version {
        TlsVersion::V1_3 => configs().0.as_rustls().clone(),
        TlsVersion::V1_2 => {
            let provider = configs().0.as_rustls().crypto_provider().clone();
            let anybody = Arc::new(Anybody(provider.clone()));
            let builder = ClientConfig::builder_with_provider(provider);
            let builder = builder.with_protocol_versions(&[&rustls::version::TLS12]).unwrap();
            let builder = builder.dangerous().with_custom_certificate_verifier(anybody);
            Arc::new(builder.with_no_client_auth())
        }
    };
    let name = "tulip.example";
    let connection = ClientConnection::new(config, server_name(name).unwrap()).unwrap();
    TlsSession::new(Connection::Client(connection), truncation, Some(name), false)
}

/// Trusts anybody: for a version that our own configurations speak only together with a newer one.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

fn server(truncation: Truncation) -> TlsSession {
    let connection = ServerConnection::new(configs().1.as_rustls().clone()).unwrap();
    TlsSession::new(Connection::Server(connection), truncation, None, false)
}

/// One side, and what its peer should get of it.
struct End {
    session: TlsSession,
    /// Cipher text on the way to the peer.
    wire: Vec<u8>,
    written: Vec<u8>,
    received: Vec<u8>,
    /// What the last read said: the end, or why it failed.
    ended: Option<Result<(), io::ErrorKind>>,
}

impl End {
    fn new(mut session: TlsSession) -> Self {
        assert_eq!(session.state(), TlsState::Unwrapped);
        session.begin();
        let (wire, written, received) = Default::default();
        Self { session, wire, written, received, ended: None }
    }

    fn write(&mut self, count: usize) {
        let first = self.written.len();
        let data: Vec<u8> = (first..first + count).map(|i| (i % 251) as u8).collect();
        if let Ok(taken) = self.session.write(&[IoSlice::new(&data)]) {
            self.written.extend_from_slice(&data[..taken]);
        }
        self.session.take_output(&mut self.wire);
    }

    fn read(&mut self, count: usize) {
        let mut buffer = vec![0; count];
        if self.session.state() == TlsState::Handshaking {
            return;
        }
        match self.session.read(&mut buffer) {
            Ok(0) => self.ended = Some(Ok(())),
            Ok(count) => {
                assert_eq!(self.ended, None, "bytes after the end");
                self.received.extend_from_slice(&buffer[..count]);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                assert!(!self.session.is_readable());
            }
            Err(error) => self.ended = Some(Err(error.kind())),
        }
        self.session.take_output(&mut self.wire);
    }

    fn goodbye(&mut self) {
        self.session.say_goodbye();
        self.session.take_output(&mut self.wire);
    }
}

fn transfer(from: &mut End, to: &mut End, count: usize) {
    from.session.take_output(&mut from.wire);
    let count = count.min(from.wire.len());
    let some: Vec<u8> = from.wire.drain(..count).collect();
    to.session.receive(&some);
    to.session.take_output(&mut to.wire);
}

#[derive(Clone, Debug)]
enum Op {
    Write(bool, usize),
    Read(bool, usize),
    Transfer(bool, usize),
    Goodbye(bool),
    UpdateKeys(bool),
}

fn any_op() -> impl Strategy<Value = Op> {
    let size = prop_oneof![1..20_usize, 1..3000_usize, Just(40_000), Just(100_000)];
    prop_oneof![
        3 => (any::<bool>(), size.clone()).prop_map(|(side, size)| Op::Write(side, size)),
        3 => (any::<bool>(), size.clone()).prop_map(|(side, size)| Op::Read(side, size)),
        6 => (any::<bool>(), size).prop_map(|(side, size)| Op::Transfer(side, size)),
        1 => any::<bool>().prop_map(Op::UpdateKeys),
    ]
}

fn any_end() -> impl Strategy<Value = Op> {
    prop_oneof![4 => any_op(), 1 => any::<bool>().prop_map(Op::Goodbye)]
}

fn shake_hands(ends: &mut [End; 2]) {
    let [left, right] = ends;
    for _ in 0..10 {
        transfer(left, right, usize::MAX);
        transfer(right, left, usize::MAX);
    }
    assert_eq!(
        (left.session.state(), right.session.state()),
        (TlsState::Wrapped, TlsState::Wrapped)
    );
}

fn pair(version: TlsVersion, truncation: Truncation) -> [End; 2] {
    [End::new(client(version, truncation)), End::new(server(truncation))]
}

fn any_version() -> impl Strategy<Value = TlsVersion> {
    prop_oneof![Just(TlsVersion::V1_2), Just(TlsVersion::V1_3)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn x43_x51_x52_two_sessions_are_two_streams_whatever_the_cuts(
        version in any_version(),
        ops in prop::collection::vec(any_op(), 0..60),
        ending in prop::collection::vec(any_end(), 0..60),
        cut in prop::option::of(any::<bool>()),
    ) {
        let mut ends = pair(version, Truncation::IsError);
        for op in ops.into_iter().chain(ending) {
            let index = |side| usize::from(side);
            match op {
                Op::Write(side, count) => ends[index(side)].write(count),
                Op::Read(side, count) => ends[index(side)].read(count),
                Op::Transfer(side, count) => {
                    let [left, right] = &mut ends;
                    if side { transfer(left, right, count) } else { transfer(right, left, count) }
                }
                Op::Goodbye(side) => ends[index(side)].goodbye(),
                Op::UpdateKeys(side) => {
                    let end = &mut ends[index(side)];
                    if end.session.state() == TlsState::Wrapped {
                        // Only version 1.3 can.
                        let _ = end.session.connection.refresh_traffic_keys();
                        end.session.take_output(&mut end.wire);
                    }
                }
            }
            for end in &ends {
                prop_assert!(end.session.failure().is_none());
            }
        }
        // The rest arrives, unless it is cut.
        let [left, right] = &mut ends;
        for _ in 0..2000 {
            transfer(left, right, 5000);
            transfer(right, left, 5000);
            left.read(3000);
            right.read(3000);
            let quiet = left.wire.is_empty() && right.wire.is_empty();
            if quiet && left.session.held() == 0 && right.session.held() == 0 {
                break;
            }
        }
        left.read(1); // the end, if it was not read yet
        right.read(1);
        prop_assert!(left.received == right.written, "{} {}", left.received.len(), right.written.len());
        prop_assert!(right.received == left.written, "{} {}", right.received.len(), left.written.len());
        for (end, peer) in [(0, 1), (1, 0)] {
            let said = ends[peer].session.state() >= TlsState::Shutdown;
            prop_assert_eq!(ends[end].ended, said.then_some(Ok(())));
        }
        if let Some(side) = cut {
            let end = &mut ends[usize::from(side)];
            let known = end.ended;
            end.session.receive_eof();
            end.read(10);
            prop_assert_eq!(end.ended, known.or(Some(Err(io::ErrorKind::UnexpectedEof))));
        }
    }

    #[test]
    fn x48_r13_garbage_anywhere_is_an_error_and_what_came_before_is_delivered(
        version in any_version(),
        before in 0..40_000_usize,
        garbage in prop::collection::vec(any::<u8>(), 1..40),
        flip in any::<bool>(),
    ) {
        let mut ends = pair(version, Truncation::IsEnd);
        shake_hands(&mut ends);
        let [left, right] = &mut ends;
        left.write(before.max(1));
        transfer(left, right, usize::MAX);
        if flip {
            left.write(50);
            left.written.truncate(before.max(1));
            let last = left.wire.len() - 1;
            left.wire[last] ^= 1;
            transfer(left, right, usize::MAX);
        } else {
            right.session.receive(&garbage);
        }
        for _ in 0..1000 {
            right.read(1000);
        }
        prop_assert!(right.received == left.written);
        if flip || right.session.failure().is_some() {
            prop_assert_eq!(right.ended, Some(Err(io::ErrorKind::InvalidData)));
            prop_assert_eq!(right.session.state(), TlsState::UnwrappedAgain);
            prop_assert!(!right.wire.is_empty(), "the peer is told by an alert");
        }
    }

    #[test]
    fn x44_garbage_instead_of_a_handshake_never_panics(
        garbage in prop::collection::vec(any::<u8>(), 0..300),
        cut in 0..300_usize,
        is_server in any::<bool>(),
    ) {
        let mut session = match is_server {
            true => server(Truncation::IsError),
            false => client(TlsVersion::V1_3, Truncation::IsError),
        };
        session.begin();
        let cut = cut.min(garbage.len());
        session.receive(&garbage[..cut]);
        session.receive(&garbage[cut..]);
        session.receive_eof();
        prop_assert!(session.failure().is_some());
        let mut buffer = [0; 10];
        prop_assert!(session.read(&mut buffer).is_err());
        prop_assert!(session.write(&[IoSlice::new(b"tulip")]).is_err());
    }
}

#[test]
fn x50_a_reader_that_does_not_read_is_not_decrypted_for() {
    let mut ends = pair(TlsVersion::V1_3, Truncation::IsError);
    shake_hands(&mut ends);
    let [left, right] = &mut ends;
    for _ in 0..10 {
        left.write(60_000);
    }
    transfer(left, right, usize::MAX);
    assert!(right.session.decrypted <= 3 * MOST_DECRYPTED, "{}", right.session.decrypted);
    // The library holds a part of a record besides.
    assert!(right.session.held() >= 600_000 - MOST_DECRYPTED, "{}", right.session.held());
    let mut all = vec![0; 700_000];
    assert_eq!(right.session.read(&mut all).unwrap(), 600_000, "all of it at once (X-51)");
    assert_eq!(right.session.held(), 0);
}

#[test]
fn x47_what_comes_after_the_goodbye_is_thrown_away_and_the_peers_goodbye_ends_it() {
    let mut ends = pair(TlsVersion::V1_3, Truncation::IsError);
    shake_hands(&mut ends);
    let [left, right] = &mut ends;
    left.session.begin_closing();
    assert_eq!(left.session.state(), TlsState::Flushing);
    left.write(10);
    left.goodbye();
    assert_eq!(left.session.state(), TlsState::Shutdown);
    assert!(left.session.write(&[IoSlice::new(b"more")]).is_err());
    right.write(100_000);
    transfer(right, left, usize::MAX);
    left.session.discard();
    assert_eq!(left.session.held(), 0);
    transfer(left, right, usize::MAX);
    right.read(100);
    right.read(100);
    assert_eq!((right.received.len(), right.ended), (10, Some(Ok(()))));
    right.goodbye();
    assert_eq!(right.session.state(), TlsState::UnwrappedAgain);
    right.wire.extend_from_slice(b"trailing bytes");
    transfer(right, left, usize::MAX);
    assert_eq!(left.session.state(), TlsState::UnwrappedAgain);
    assert!(left.session.failure().is_none());
}

#[test]
fn x48_a_cut_is_an_end_where_the_protocol_says_so() {
    let mut ends = pair(TlsVersion::V1_3, Truncation::IsEnd);
    shake_hands(&mut ends);
    let [left, right] = &mut ends;
    left.write(5);
    transfer(left, right, usize::MAX);
    right.session.receive_eof();
    right.read(100);
    right.read(100);
    assert_eq!((right.received.len(), right.ended), (5, Some(Ok(()))));
}

#[test]
fn x44_an_end_within_the_handshake_is_a_reset_even_where_a_cut_is_an_end() {
    let mut session = client(TlsVersion::V1_3, Truncation::IsEnd);
    session.begin();
    session.receive_eof();
    let error = io::Error::from(session.failure().unwrap().clone());
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert!(error.to_string().contains("tulip.example"), "{error}");
}

#[test]
fn x44_r13_a_goodbye_or_an_oversized_record_in_place_of_a_hello_is_an_error() {
    let goodbye = [21, 3, 3, 0, 2, 1, 0];
    let oversized: Vec<u8> = [22, 3, 3, 0xff, 0xff].into_iter().chain([0; 70_000]).collect();
    // A hello that says it has 16 MB: no more than 64 KiB of it are kept.
    let hello = [22, 3, 3, 0x40, 0, 1, 0xff, 0xff, 0xff].into_iter().chain([0; 16_380]);
    let huge: Vec<u8> = hello.cycle().take(300_000).collect();
    for bytes in [&goodbye[..], &oversized, &huge] {
        for cut in [1, 100, 1000, bytes.len()] {
            if bytes.len() / cut > 10_000 {
                continue; // it takes its time without optimisation
            }
            let mut session = server(Truncation::IsError);
            session.begin();
            bytes.chunks(cut).for_each(|some| session.receive(some));
            assert!(session.held() < 70_000);
            session.receive_eof();
            assert!(session.failure().is_some());
            assert_eq!(session.state(), TlsState::UnwrappedAgain);
        }
    }
}

#[test]
fn x54_a_client_that_offers_protocols_needs_one_of_them() {
    let mut session = client(TlsVersion::V1_3, Truncation::IsError);
    session.needs_protocol = true;
    let mut ends = [End::new(session), End::new(server(Truncation::IsError))];
    let [left, right] = &mut ends;
    for _ in 0..5 {
        transfer(left, right, usize::MAX);
        transfer(right, left, usize::MAX);
    }
    let error = left.session.failure().expect("the server chose none");
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert!(error.to_string().contains("no application protocol"), "{error}");
}

#[test]
fn x47_garbage_in_place_of_the_peers_goodbye_ends_the_wait() {
    for version in [TlsVersion::V1_2, TlsVersion::V1_3] {
        let mut ends = pair(version, Truncation::IsError);
        shake_hands(&mut ends);
        let [left, right] = &mut ends;
        left.goodbye();
        right.write(100);
        let last = right.wire.len() - 1;
        right.wire[last] ^= 1;
        transfer(right, left, usize::MAX);
        assert!(left.session.peer_is_done());
        assert_eq!(left.session.state(), TlsState::UnwrappedAgain);
    }
}

#[test]
fn r4_x26_a_session_that_was_busy_keeps_no_room_when_it_is_quiet_again() {
    let mut ends = pair(TlsVersion::V1_3, Truncation::IsError);
    shake_hands(&mut ends);
    let [left, right] = &mut ends;
    left.write(50_000);
    left.write(50_000);
    transfer(left, right, usize::MAX);
    assert!(right.session.waiting.capacity() > 0);
    right.read(200_000);
    assert_eq!(right.received.len(), 100_000);
    assert_eq!(right.session.waiting.capacity(), 0);
}
