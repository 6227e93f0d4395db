//! [`TlsServerConfig`]: who a server is, and how it speaks.

use super::by_name::ByName;
use super::limits::{TlsLimits, limit_options};
use super::{ReloadableCertificate, Roots, TlsConfigError, TlsVersion, provider};
use rustls::ServerConfig;
use rustls::crypto::ring::Ticketer;
use rustls::server::{
    NoServerSessionStorage, ResolvesServerCert, ServerSessionMemoryCache, WebPkiClientVerifier,
};
use std::fmt;
use std::sync::Arc;

/// How a server speaks TLS: who it is, by which names, whether clients have to say who they are, which
/// application protocols it speaks. Made once, cheap to clone; servers that share one, on other threads
/// too, resume each other's sessions (X-54).
///
/// The cryptography is that of *ring*; TLS 1.2 and 1.3 are spoken, with the library's choice of cipher
/// suites. There is no renegotiation, no compression, and no early data.
///
/// # Examples
/// ```
/// use tulipa_transports::tls::{CertifiedKey, TlsServerConfig};
/// # let made = rcgen::generate_simple_self_signed(["example.org".to_owned()])?;
/// # let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
/// let config = TlsServerConfig::builder()
///     .certificate_for("example.org", CertifiedKey::from_pem(chain, key)?)
///     .alpn(["h2", "http/1.1"])
///     .build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct TlsServerConfig {
    rustls: Arc<ServerConfig>,
    pub(crate) limits: TlsLimits,
}

impl TlsServerConfig {
    /// Shows `certificate` to everybody, and asks for none.
    ///
    /// # Errors
    /// If the cryptography has no random numbers.
    pub fn new(certificate: impl Into<ReloadableCertificate>) -> Result<Self, TlsConfigError> {
        Self::builder().certificate(certificate).build()
    }

    /// The settings, to be changed. They need a certificate at least.
    pub fn builder() -> TlsServerConfigBuilder {
        TlsServerConfigBuilder {
            certificates: ByName::default(),
            resolver: None,
            clients: Clients::Unasked,
            alpn: Vec::new(),
            oldest: TlsVersion::V1_2,
            resumption: true,
            limits: TlsLimits::default(),
            failure: None,
        }
    }

    /// With the library's own configuration, for whatever cannot be set here. The limits are the
    /// defaults; [`handshake_timeout`](TlsServerConfig::handshake_timeout) and its like change them. Early
    /// data is not taken, whatever `config` says: it can be sent again by anybody, and no protocol asks for it.
    pub fn from_rustls(mut config: Arc<ServerConfig>) -> Self {
        if config.max_early_data_size > 0 {
            Arc::make_mut(&mut config).max_early_data_size = 0;
        }
        Self { rustls: config, limits: TlsLimits::default() }
    }

    /// The library's configuration.
    pub fn as_rustls(&self) -> &Arc<ServerConfig> {
        &self.rustls
    }

    limit_options!(#[must_use]);
}

/// The settings of a [`TlsServerConfig`].
#[must_use = "settings do nothing until they are built"]
pub struct TlsServerConfigBuilder {
    certificates: ByName,
    resolver: Option<Arc<dyn ResolvesServerCert>>,
    clients: Clients,
    alpn: Vec<Vec<u8>>,
    oldest: TlsVersion,
    resumption: bool,
    limits: TlsLimits,
    /// What was wrong first, until somebody can be told.
    failure: Option<TlsConfigError>,
}

/// What is asked of clients.
#[derive(Debug)]
enum Clients {
    Unasked,
    Asked { roots: Roots, optional: bool },
}

impl TlsServerConfigBuilder {
    /// The certificate that is shown to clients, if none was chosen by name. Without one, clients that
    /// ask for a name that is not known are refused.
    pub fn certificate(mut self, certificate: impl Into<ReloadableCertificate>) -> Self {
        self.certificates.set_others(certificate.into());
        self
    }

    /// The certificate that is shown to clients that ask for the server by this name (SNI), such as
    /// `example.org`, or `*.example.org` for all names right below it that have none of their own.
    pub fn certificate_for(
        mut self,
        name: impl AsRef<str>,
        certificate: impl Into<ReloadableCertificate>,
    ) -> Self {
        if let Err(error) = self.certificates.add(name.as_ref(), certificate.into()) {
            self.failure.get_or_insert(error);
        }
        self
    }

    /// Has `resolver` choose, in place of all certificates that were given. It is called in the
    /// handshake, on the loop's thread, and must not block.
    pub fn certificate_resolver(mut self, resolver: Arc<dyn ResolvesServerCert>) -> Self {
        self.resolver = Some(resolver);
        self
    }

    /// Refuses clients that show no certificate which one of the `roots` vouches for.
    pub fn require_client_certificates(mut self, roots: Roots) -> Self {
        self.clients = Clients::Asked { roots, optional: false };
        self
    }

    /// Asks clients for a certificate, and takes those that have none. One that is shown must be good.
    /// Whether one was is told by [`TlsInfo::peer_certificates`](crate::TlsInfo::peer_certificates).
    pub fn ask_for_client_certificates(mut self, roots: Roots) -> Self {
        self.clients = Clients::Asked { roots, optional: true };
        self
    }

    /// The application protocols that are spoken (ALPN), the preferred one first. A client that offers
    /// some, and none of these, is refused. By default whatever is offered is left unanswered.
    pub fn alpn<T: Into<Vec<u8>>>(mut self, protocols: impl IntoIterator<Item = T>) -> Self {
        self.alpn = protocols.into_iter().map(Into::into).collect();
        self
    }

    /// The oldest version that is spoken: 1.2 by default.
    pub fn min_version(mut self, version: TlsVersion) -> Self {
        self.oldest = version;
        self
    }

    /// Whether clients may resume their sessions, which saves a part of the handshake. On by default:
    /// by tickets, whose keys change every six hours, and for clients that know none, by 256 sessions
    /// that are kept.
    pub fn resumption(mut self, enabled: bool) -> Self {
        self.resumption = enabled;
        self
    }

    limit_options!();

    /// The configuration.
    ///
    /// # Errors
    /// If there is no certificate, one does not fit its name, the roots for clients are empty or those of
    /// the system; or a setting cannot be used: a time-out of zero (X-45), an application protocol's name
    /// that is empty or longer than 255 bytes.
    pub fn build(self) -> Result<TlsServerConfig, TlsConfigError> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let limits = self.limits.check()?;
        super::check_alpn(&self.alpn)?;
        let resolver = match (self.resolver, self.certificates.only()) {
            (Some(resolver), _) => resolver,
            (None, Some(only)) => Arc::new(only.clone()),
            (None, None) if self.certificates.is_empty() => {
                return Err(TlsConfigError::setting("a TLS server needs a certificate"));
            }
            (None, None) => Arc::new(self.certificates),
        };
        let clients = match self.clients {
            Clients::Unasked => WebPkiClientVerifier::no_client_auth(),
            Clients::Asked { roots, optional } => roots.client_verifier(optional)?,
        };
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(self.oldest.and_newer())
            .map_err(TlsConfigError::settings)?
            .with_client_cert_verifier(clients)
            .with_cert_resolver(resolver);
        config.alpn_protocols = self.alpn;
        if self.resumption {
            config.session_storage = ServerSessionMemoryCache::new(SESSIONS);
            config.ticketer = Ticketer::new().map_err(TlsConfigError::settings)?;
        } else {
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(TlsServerConfig { rustls: Arc::new(config), limits })
    }
}

/// How many sessions are kept for clients without tickets.
const SESSIONS: usize = 256;

impl fmt::Debug for TlsServerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsServerConfig").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl fmt::Debug for TlsServerConfigBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsServerConfigBuilder")
            .field("certificates", &self.certificates)
            .field("clients", &self.clients)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
