//! [`TlsClientConfig`]: whom a client trusts, and how it speaks.

use super::client_sessions::ClientSessions;
use super::limits::{TlsLimits, limit_options};
use super::{ReloadableCertificate, Roots, TlsConfigError, TlsVersion, provider};
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::client::danger::ServerCertVerifier;
use std::fmt;
use std::sync::Arc;

/// How a client speaks TLS: whom it trusts, who it is if it has to say so, which application protocols
/// it speaks. Made once, cheap to clone; connections that share one resume each other's sessions (X-54).
///
/// The cryptography is that of *ring*; TLS 1.2 and 1.3 are spoken, with the library's choice of cipher
/// suites. There is no renegotiation, and no compression.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use tulipa_transports::tls::{Roots, TlsClientConfig};
/// # let authority = rcgen::generate_simple_self_signed(["ca".to_owned()])?.cert.pem();
/// let config = TlsClientConfig::builder()
///     .roots(Roots::none().pem(authority)?)
///     .alpn(["http/1.1"])
///     .handshake_timeout(Duration::from_secs(5))
///     .build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct TlsClientConfig {
    rustls: Arc<ClientConfig>,
    /// Whether it is an error if no application protocol is agreed on.
    pub(crate) needs_protocol: bool,
    pub(crate) limits: TlsLimits,
}

impl TlsClientConfig {
    /// Trusts whom the system trusts, and has no certificate of its own.
    ///
    /// It reads the system's certificates, which takes some milliseconds: make one, and clone it.
    ///
    /// # Errors
    /// If the system has none.
    pub fn new() -> Result<Self, TlsConfigError> {
        Self::builder().build()
    }

    /// The settings, to be changed.
    pub fn builder() -> TlsClientConfigBuilder {
        TlsClientConfigBuilder {
            roots: Roots::platform(),
            verifier: None,
            certificate: None,
            alpn: Vec::new(),
            alpn_required: true,
            oldest: TlsVersion::V1_2,
            resumption: true,
            limits: TlsLimits::default(),
        }
    }

    /// With the library's own configuration, for whatever cannot be set here. The limits are the
    /// defaults; [`handshake_timeout`](TlsClientConfig::handshake_timeout) and its like change them. If it
    /// offers application protocols, one has to be agreed on, unless
    /// [`alpn_required`](TlsClientConfig::alpn_required) says that none need be.
    pub fn from_rustls(config: Arc<ClientConfig>) -> Self {
        let needs_protocol = !config.alpn_protocols.is_empty();
        Self { rustls: config, needs_protocol, limits: TlsLimits::default() }
    }

    /// The library's configuration.
    pub fn as_rustls(&self) -> &Arc<ClientConfig> {
        &self.rustls
    }

    /// Whether a server may leave the choice of an application protocol open; see
    /// [`TlsClientConfigBuilder::alpn_required`].
    #[must_use]
    pub fn alpn_required(mut self, required: bool) -> Self {
        self.needs_protocol = required && !self.rustls.alpn_protocols.is_empty();
        self
    }

    limit_options!(#[must_use]);
}

/// The settings of a [`TlsClientConfig`].
#[must_use = "settings do nothing until they are built"]
pub struct TlsClientConfigBuilder {
    roots: Roots,
    verifier: Option<Arc<dyn ServerCertVerifier>>,
    certificate: Option<ReloadableCertificate>,
    alpn: Vec<Vec<u8>>,
    alpn_required: bool,
    oldest: TlsVersion,
    resumption: bool,
    limits: TlsLimits,
}

impl TlsClientConfigBuilder {
    /// Whose word counts. By default theirs that the system trusts.
    pub fn roots(mut self, roots: Roots) -> Self {
        self.roots = roots;
        self
    }

    /// Has `verifier` decide whether a server is who it says it is, in place of the roots.
    ///
    /// A verifier that is wrong once, or leaves out the comparison of names or the check of signatures,
    /// makes the encryption worthless: anybody on the way may then answer as the server.
    pub fn dangerous_verifier(mut self, verifier: Arc<dyn ServerCertVerifier>) -> Self {
        self.verifier = Some(verifier);
        self
    }

    /// The certificate that is shown to servers that ask for one. By default none is.
    pub fn certificate(mut self, certificate: impl Into<ReloadableCertificate>) -> Self {
        self.certificate = Some(certificate.into());
        self
    }

    /// The application protocols that are offered (ALPN), the preferred one first. Which one the server
    /// chose is told by [`TlsInfo::alpn`](crate::TlsInfo::alpn). A server that chooses none is an error
    /// of the handshake. By default none is offered.
    pub fn alpn<T: Into<Vec<u8>>>(mut self, protocols: impl IntoIterator<Item = T>) -> Self {
        self.alpn = protocols.into_iter().map(Into::into).collect();
        self
    }

    /// Whether a server may leave the choice of an application protocol open, as one does that has never
    /// heard of ALPN; then both had better mean the same by it. By default it must choose.
    pub fn alpn_required(mut self, required: bool) -> Self {
        self.alpn_required = required;
        self
    }

    /// The oldest version that is spoken: 1.2 by default.
    pub fn min_version(mut self, version: TlsVersion) -> Self {
        self.oldest = version;
        self
    }

    /// Whether sessions are resumed, which saves a part of the handshake. On by default, for 256
    /// servers. A session of a certificate that was [replaced](ReloadableCertificate) is not resumed, since
    /// the server would take the client for the one it was.
    pub fn resumption(mut self, enabled: bool) -> Self {
        self.resumption = enabled;
        self
    }

    limit_options!();

    /// The configuration.
    ///
    /// # Errors
    /// If there are no roots, or a setting cannot be used: a time-out of zero (X-45), an application
    /// protocol's name that is empty or longer than 255 bytes.
    pub fn build(self) -> Result<TlsClientConfig, TlsConfigError> {
        let limits = self.limits.check()?;
        super::check_alpn(&self.alpn)?;
        let verifier = match self.verifier {
            Some(verifier) => verifier,
            None => self.roots.server_verifier()?,
        };
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(self.oldest.and_newer())
            .map_err(TlsConfigError::settings)?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match self.certificate {
            Some(certificate) => {
                let sessions = ClientSessions::new(certificate.clone(), SESSIONS);
                let mut config = builder.with_client_cert_resolver(Arc::new(certificate));
                config.resumption = Resumption::store(Arc::new(sessions));
                config
            }
            None => builder.with_no_client_auth(),
        };
        let needs_protocol = self.alpn_required && !self.alpn.is_empty();
        config.alpn_protocols = self.alpn;
        if !self.resumption {
            config.resumption = Resumption::disabled();
        }
        Ok(TlsClientConfig { rustls: Arc::new(config), needs_protocol, limits })
    }
}

/// As many as the library keeps by itself.
const SESSIONS: usize = 256;

impl fmt::Debug for TlsClientConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsClientConfig").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl fmt::Debug for TlsClientConfigBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsClientConfigBuilder")
            .field("roots", &self.roots)
            .field("certificate", &self.certificate)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
