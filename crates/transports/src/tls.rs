//! Encrypted connections: TLS 1.2 and 1.3 by [`rustls`], under the same transports and protocols as all
//! others.
//!
//! A [`TlsClientConfig`] or a [`TlsServerConfig`] says whom to trust, who one is and how long things may
//! take. It is made once and is cheap to clone; creators take it with their other options.

mod backend;
mod by_name;
mod certified_key;
mod client_config;
mod client_sessions;
mod config_error;
mod connected;
mod error;
mod handshake;
mod layer;
mod limits;
mod reloadable;
mod roots;
mod server_config;
mod server_name;
mod session;
mod start_tls;

pub use certified_key::CertifiedKey;
pub use client_config::{TlsClientConfig, TlsClientConfigBuilder};
pub use config_error::TlsConfigError;
pub use error::TlsError;
pub use layer::TlsRole;
#[doc(hidden)]
pub use layer::{Below, Dress, UpperLink};
pub use limits::Truncation;
pub use reloadable::ReloadableCertificate;
pub use roots::Roots;
pub use server_config::{TlsServerConfig, TlsServerConfigBuilder};
pub use start_tls::{Early, StartTls};

/// The library that does the cryptography, for what is not offered here: see
/// [`TlsClientConfig::from_rustls`] and [`TlsServerConfig::from_rustls`].
pub use ::rustls;

pub(crate) use handshake::Later;
pub(crate) use layer::{Opening, TlsLayer};
pub(crate) use limits::TlsLimits;
pub(crate) use server_name::server_name;
pub(crate) use session::TlsState;

use crate::TlsVersion;
use ::rustls::crypto::{CryptoProvider, ring};
use std::sync::Arc;

/// The cryptography that is used, unless `from_rustls` brings its own.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Whether these can be the names of application protocols.
fn check_alpn(protocols: &[Vec<u8>]) -> Result<(), TlsConfigError> {
    match protocols.iter().all(|name| (1..=255).contains(&name.len())) {
        true => Ok(()),
        false => Err(TlsConfigError::setting(
            "the name of an application protocol (ALPN) has 1 to 255 bytes",
        )),
    }
}
