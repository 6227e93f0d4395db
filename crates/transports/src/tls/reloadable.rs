//! [`ReloadableCertificate`]: a certificate that is replaced while the program runs.

use super::{CertifiedKey, TlsConfigError};
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

/// A certificate that can be replaced while connections come and go: handshakes that begin from then on
/// use the new one, and connections that are there stay as they are.
///
/// It is a handle: clones name the same place, in every configuration that it was given to, and may be
/// kept anywhere, by other threads too. Clients that resume an earlier session are not shown a certificate
/// at all, so the old one stays good for them until their session has expired.
///
/// # Examples
/// Reading files would keep the loop waiting, so a server that runs has a worker do it:
/// ```no_run
/// use eventloop::{EventLoop, prelude::*};
/// use tulipa_transports::tls::{ReloadableCertificate, TlsServerConfig};
/// let event_loop = EventLoop::new()?;
/// let certificate = ReloadableCertificate::from_pem_files("chain.pem", "key.pem")?;
/// let config = TlsServerConfig::new(certificate.clone())?;
/// // … serve with `config`; when the files have changed:
/// let reloading = event_loop.run_in_executor(None, move || certificate.reload());
/// # Ok::<(), futures::Exception>(())
/// ```
#[derive(Clone)]
pub struct ReloadableCertificate {
    shared: Arc<Shared>,
}

struct Shared {
    current: RwLock<Arc<sign::CertifiedKey>>,
    files: Option<Files>,
}

struct Files {
    chain: PathBuf,
    key: PathBuf,
}

impl ReloadableCertificate {
    /// One that [`set`](ReloadableCertificate::set) replaces.
    pub fn new(certificate: CertifiedKey) -> Self {
        Self::with_files(certificate, None)
    }

    /// One that [`reload`](ReloadableCertificate::reload) reads anew.
    ///
    /// # Errors
    /// As [`CertifiedKey::from_pem_files`].
    pub fn from_pem_files(
        chain: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Result<Self, TlsConfigError> {
        let files = Files { chain: chain.as_ref().to_owned(), key: key.as_ref().to_owned() };
        Ok(Self::with_files(files.read()?, Some(files)))
    }

    fn with_files(certificate: CertifiedKey, files: Option<Files>) -> Self {
        let current = RwLock::new(certificate.inner);
        Self { shared: Arc::new(Shared { current, files }) }
    }

    /// Reads the files again. If that fails, for one because only one of the two has been replaced yet,
    /// the certificate stays the one that it was.
    ///
    /// # Errors
    /// As [`CertifiedKey::from_pem_files`]; or if it was not made of files.
    pub fn reload(&self) -> Result<(), TlsConfigError> {
        let files = self.shared.files.as_ref();
        let message = "the certificate was not read from files, so it cannot be read again";
        self.set(files.ok_or_else(|| TlsConfigError::setting(message))?.read()?);
        Ok(())
    }

    /// Replaces the certificate.
    pub fn set(&self, certificate: CertifiedKey) {
        let mut current = self.shared.current.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *current, certificate.inner);
        drop(current);
        drop(before);
    }

    /// The certificate that is used now.
    pub fn current(&self) -> CertifiedKey {
        let current = self.shared.current.read().unwrap_or_else(PoisonError::into_inner);
        CertifiedKey { inner: current.clone() }
    }
}

impl Files {
    fn read(&self) -> Result<CertifiedKey, TlsConfigError> {
        CertifiedKey::from_pem_files(&self.chain, &self.key)
    }
}

impl From<CertifiedKey> for ReloadableCertificate {
    fn from(certificate: CertifiedKey) -> Self {
        Self::new(certificate)
    }
}

impl ResolvesServerCert for ReloadableCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<sign::CertifiedKey>> {
        Some(self.current().inner)
    }
}

impl ResolvesClientCert for ReloadableCertificate {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<sign::CertifiedKey>> {
        let certificate = self.current().inner;
        certificate.key.choose_scheme(schemes)?;
        Some(certificate)
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl fmt::Debug for ReloadableCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.shared.files {
            None => f.write_str("ReloadableCertificate"),
            Some(files) => write!(f, "ReloadableCertificate({})", files.chain.display()),
        }
    }
}
