//! [`ClientSessions`]: the sessions that a client with a certificate may resume.
//!
//! A server takes whoever resumes a session for the one who showed a certificate when it began. So when the
//! certificate is replaced, the sessions of the one before are forgotten.

use super::ReloadableCertificate;
use rustls::NamedGroup;
use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use rustls::pki_types::ServerName;
use rustls::sign;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

pub(super) struct ClientSessions {
    certificate: ReloadableCertificate,
    size: usize,
    kept: Mutex<Kept>,
}

struct Kept {
    /// Whose they are.
    of: Arc<sign::CertifiedKey>,
    sessions: Arc<ClientSessionMemoryCache>,
}

impl ClientSessions {
    /// Keeps those of `size` servers.
    pub(super) fn new(certificate: ReloadableCertificate, size: usize) -> Self {
        let of = certificate.current().inner;
        let sessions = Arc::new(ClientSessionMemoryCache::new(size));
        Self { certificate, size, kept: Mutex::new(Kept { of, sessions }) }
    }

    /// Those of the certificate that is used now.
    fn current(&self) -> Arc<ClientSessionMemoryCache> {
        let certificate = self.certificate.current().inner;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&kept.of, &certificate) {
            let sessions = Arc::new(ClientSessionMemoryCache::new(self.size));
            *kept = Kept { of: certificate, sessions };
        }
        kept.sessions.clone()
    }
}

impl ClientSessionStore for ClientSessions {
    fn set_kx_hint(&self, server: ServerName<'static>, group: NamedGroup) {
        self.current().set_kx_hint(server, group);
    }

    fn kx_hint(&self, server: &ServerName<'_>) -> Option<NamedGroup> {
        self.current().kx_hint(server)
    }

    fn set_tls12_session(&self, server: ServerName<'static>, session: Tls12ClientSessionValue) {
        self.current().set_tls12_session(server, session);
    }

    fn tls12_session(&self, server: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.current().tls12_session(server)
    }

    fn remove_tls12_session(&self, server: &ServerName<'static>) {
        self.current().remove_tls12_session(server);
    }

    fn insert_tls13_ticket(&self, server: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        self.current().insert_tls13_ticket(server, ticket);
    }

    fn take_tls13_ticket(&self, server: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.current().take_tls13_ticket(server)
    }
}

impl fmt::Debug for ClientSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSessions") // keys are not shown
    }
}
