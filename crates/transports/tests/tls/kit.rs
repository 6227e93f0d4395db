//! A client and a server that trust each other, and pairs of them.

use crate::support::*;
use eventloop::TestLoop;
use std::rc::Rc;
use std::sync::OnceLock;
use tulipa_transports::testing::{
    LifeCycleLog, MemoryOptions, MemoryPair, MemoryTlsLoop, MemoryTlsPair,
};
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
