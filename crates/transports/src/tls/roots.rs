//! [`Roots`]: whose word counts.

use super::certified_key::{read, read_certificates};
use super::{TlsConfigError, provider};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::CertificateDer;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls_platform_verifier::Verifier;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// The certificate authorities whose word counts.
///
/// # Examples
/// ```no_run
/// use tulipa_transports::tls::{Roots, TlsClientConfig};
/// let ours = Roots::none().pem_file("/etc/ssl/our-ca.pem")?;
/// let config = TlsClientConfig::builder().roots(ours).build()?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
#[must_use = "roots do nothing by themselves"]
pub struct Roots {
    platform: bool,
    certificates: Vec<CertificateDer<'static>>,
}

const NO_ROOTS: &str = "cannot use the trusted certificates";

impl Roots {
    /// Those that the system trusts, as clients do by default.
    pub fn platform() -> Self {
        Self { platform: true, certificates: Vec::new() }
    }

    /// Nobody, until some are added.
    pub fn none() -> Self {
        Self { platform: false, certificates: Vec::new() }
    }

    /// Trusts all certificates in a PEM file too.
    ///
    /// # Errors
    /// If the file cannot be read, or has no certificate, or one that cannot be used.
    pub fn pem_file(self, path: impl AsRef<Path>) -> Result<Self, TlsConfigError> {
        let path = path.as_ref();
        let pem = read("cannot read the trusted certificates", path)?;
        self.pem(pem).map_err(|error| error.in_file(path))
    }

    /// Trusts all certificates in this text too.
    ///
    /// # Errors
    /// As above.
    pub fn pem(self, pem: impl AsRef<[u8]>) -> Result<Self, TlsConfigError> {
        let certificates = read_certificates(pem.as_ref())?;
        certificates.into_iter().try_fold(self, Self::certificate)
    }

    /// Trusts this certificate too.
    ///
    /// # Errors
    /// If it cannot be used.
    pub fn der(self, certificate: impl Into<Vec<u8>>) -> Result<Self, TlsConfigError> {
        self.certificate(certificate.into().into())
    }

    fn certificate(mut self, certificate: CertificateDer<'static>) -> Result<Self, TlsConfigError> {
        let mut trial = RootCertStore::empty();
        trial.add(certificate.clone()).map_err(|error| TlsConfigError::data(NO_ROOTS, error))?;
        self.certificates.push(certificate);
        Ok(self)
    }

    pub(super) fn server_verifier(self) -> Result<Arc<dyn ServerCertVerifier>, TlsConfigError> {
        if self.platform {
            let verifier = Verifier::new_with_extra_roots(self.certificates, provider());
            let failed =
                |error| TlsConfigError::data("cannot use the system's certificates", error);
            return Ok(Arc::new(verifier.map_err(failed)?));
        }
        let verifier =
            WebPkiServerVerifier::builder_with_provider(self.store()?, provider()).build();
        Ok(verifier.map_err(|error| TlsConfigError::data(NO_ROOTS, error))?)
    }

    pub(super) fn client_verifier(
        self,
        optional: bool,
    ) -> Result<Arc<dyn ClientCertVerifier>, TlsConfigError> {
        if self.platform {
            return Err(TlsConfigError::setting(
                "the system's authorities vouch for servers, not for clients: name those that do",
            ));
        }
        let builder = WebPkiClientVerifier::builder_with_provider(self.store()?, provider());
        let builder = if optional { builder.allow_unauthenticated() } else { builder };
        builder.build().map_err(|error| TlsConfigError::data(NO_ROOTS, error))
    }

    fn store(self) -> Result<Arc<RootCertStore>, TlsConfigError> {
        let mut store = RootCertStore::empty();
        for certificate in self.certificates {
            store.add(certificate).map_err(|error| TlsConfigError::data(NO_ROOTS, error))?;
        }
        Ok(Arc::new(store))
    }
}

impl Default for Roots {
    /// [`Roots::platform`].
    fn default() -> Self {
        Self::platform()
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Roots")
            .field("platform", &self.platform)
            .field("certificates", &self.certificates.len())
            .finish()
    }
}
