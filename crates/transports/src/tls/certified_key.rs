//! [`CertifiedKey`]: who one is, and [`read_certificates`]: what stands in PEM files.
//!
//! Keys and certificates are checked when they are loaded, so that an error names the file, and comes
//! when the program starts rather than with the first connection. No key is ever shown.

use super::{TlsConfigError, provider};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign;
use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// A certificate with those that vouch for it, and its private key: who a server is, or a client that has
/// to say so.
///
/// The chain begins with the certificate itself; each one is signed by the next; the root may be left
/// out. It is a handle: clones are cheap.
///
/// # Examples
/// ```no_run
/// use tulipa_transports::tls::{CertifiedKey, TlsServerConfig};
/// let key = CertifiedKey::from_pem_files("/etc/mail/chain.pem", "/etc/mail/key.pem")?;
/// let config = TlsServerConfig::new(key)?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct CertifiedKey {
    pub(super) inner: Arc<sign::CertifiedKey>,
}

impl CertifiedKey {
    /// Reads the chain from one PEM file, and its key from another, or from the same one.
    ///
    /// Keys may be in PKCS #8, PKCS #1 (RSA) or SEC 1 (elliptic curves), and not encrypted. It reads
    /// files, which takes a moment: see [`ReloadableCertificate`](super::ReloadableCertificate) for a
    /// loop that serves already.
    ///
    /// # Errors
    /// Which file cannot be read or has no certificate or key, or that the two do not belong together.
    pub fn from_pem_files(
        chain: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Result<Self, TlsConfigError> {
        let (chain, key) = (chain.as_ref(), key.as_ref());
        let certificates = read_certificates(&read(NO_CERTIFICATES, chain)?)
            .map_err(|error| error.in_file(chain))?;
        let private = read_key(&read(NO_KEY, key)?).map_err(|error| error.in_file(key))?;
        Self::new(certificates, private).map_err(|error| error.in_file(key))
    }

    /// As [`from_pem_files`](CertifiedKey::from_pem_files), with what such files have.
    ///
    /// # Errors
    /// As there.
    pub fn from_pem(
        chain: impl AsRef<[u8]>,
        key: impl AsRef<[u8]>,
    ) -> Result<Self, TlsConfigError> {
        Self::new(read_certificates(chain.as_ref())?, read_key(key.as_ref())?)
    }

    /// The same in DER: the chain, the certificate itself first, and its key in PKCS #8, PKCS #1 or
    /// SEC 1.
    ///
    /// # Errors
    /// If this is no key of a known kind, no certificate, or the two do not belong together.
    pub fn from_der(chain: Vec<Vec<u8>>, key: Vec<u8>) -> Result<Self, TlsConfigError> {
        let key =
            PrivateKeyDer::try_from(key).map_err(|cause| TlsConfigError::data(NO_KEY, cause))?;
        Self::new(chain.into_iter().map(CertificateDer::from).collect(), key)
    }

    fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, TlsConfigError> {
        if chain.is_empty() {
            return Err(TlsConfigError::data(NO_CERTIFICATES, pem::Error::NoItemsFound));
        }
        match sign::CertifiedKey::from_der(chain, key, &provider()) {
            Ok(inner) => Ok(Self { inner: Arc::new(inner) }),
            Err(error) => {
                Err(TlsConfigError::data("cannot use the certificate with the private key", error))
            }
        }
    }

    /// The chain in DER, the certificate itself first.
    pub fn chain(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.inner.cert.iter().map(|certificate| certificate.as_ref())
    }

    /// The library's form of it, for a resolver of one's own.
    pub fn as_rustls(&self) -> &Arc<sign::CertifiedKey> {
        &self.inner
    }
}

impl fmt::Debug for CertifiedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CertifiedKey({} certificates)", self.inner.cert.len())
    }
}

const NO_CERTIFICATES: &str = "cannot read the certificates";
const NO_KEY: &str = "cannot read the private key";

/// What `path` has, of which `tried` is to be made.
pub(super) fn read(tried: &'static str, path: &Path) -> Result<Vec<u8>, TlsConfigError> {
    fs::read(path).map_err(|error| TlsConfigError::file(tried, path, error))
}

/// The certificates in PEM: at least one.
pub(super) fn read_certificates(
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, TlsConfigError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if found.is_empty() => {
            Err(TlsConfigError::pem(NO_CERTIFICATES, pem::Error::NoItemsFound))
        }
        Ok(found) => Ok(found),
        Err(error) => Err(TlsConfigError::pem(NO_CERTIFICATES, error)),
    }
}

fn read_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, TlsConfigError> {
    const ENCRYPTED: &[u8] = b"-----BEGIN ENCRYPTED PRIVATE KEY-----";
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        pem::Error::NoItemsFound if memchr::memmem::find(pem, ENCRYPTED).is_some() => {
            TlsConfigError::data(NO_KEY, "it is encrypted")
        }
        error => TlsConfigError::pem(NO_KEY, error),
    })
}
