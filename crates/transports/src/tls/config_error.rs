//! [`TlsConfigError`]: a configuration that cannot be made.

use rustls::pki_types::pem;
use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A certificate, a key or a setting that cannot be used: what was tried, with which file, and, as
/// `Error::source`, why not.
///
/// As an `io::Error` it has the kind of the system's answer if a file could not be read, `InvalidData`
/// if what is in it is not what it should be, `InvalidInput` if a setting is wrong.
#[derive(Debug)]
pub struct TlsConfigError {
    tried: Cow<'static, str>,
    path: Option<PathBuf>,
    kind: io::ErrorKind,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl TlsConfigError {
    /// Something that was read is not what it should be.
    pub(super) fn data(
        tried: impl Into<Cow<'static, str>>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        let (kind, source) = (io::ErrorKind::InvalidData, Some(source.into()));
        Self { tried: tried.into(), path: None, kind, source }
    }

    /// A setting that is wrong: the whole message.
    pub(crate) fn setting(message: &'static str) -> Self {
        Self { tried: message.into(), path: None, kind: io::ErrorKind::InvalidInput, source: None }
    }

    /// The settings are well one by one, and do not go together.
    pub(super) fn settings(source: rustls::Error) -> Self {
        Self {
            tried: "cannot make the TLS configuration".into(),
            path: None,
            kind: io::ErrorKind::InvalidInput,
            source: Some(source.into()),
        }
    }

    pub(super) fn pem(tried: &'static str, error: pem::Error) -> Self {
        Self::data(tried, error)
    }

    pub(super) fn file(tried: &'static str, path: &Path, error: io::Error) -> Self {
        let kind = error.kind();
        let (tried, path) = (tried.into(), Some(path.to_owned()));
        Self { tried, path, kind, source: Some(error.into()) }
    }

    /// The same, of what a file has.
    pub(super) fn in_file(mut self, path: &Path) -> Self {
        self.path.get_or_insert_with(|| path.to_owned());
        self
    }

    /// The file that is concerned, if it is one.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// As which kind of `io::Error` this counts.
    pub fn kind(&self) -> io::ErrorKind {
        self.kind
    }
}

impl fmt::Display for TlsConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.tried)?;
        match &self.path {
            Some(path) => write!(f, " in {}", path.display()),
            None => Ok(()),
        }
    }
}

impl Error for TlsConfigError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

impl From<TlsConfigError> for io::Error {
    fn from(error: TlsConfigError) -> io::Error {
        io::Error::new(error.kind, error)
    }
}
