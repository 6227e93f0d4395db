//! [`ByName`]: which certificate a server shows, by the name that its client asks for (SNI).

use super::{ReloadableCertificate, TlsConfigError};
use indexmap::IndexMap;
use rustls::client::verify_server_name;
use rustls::pki_types::{DnsName, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign;
use std::sync::Arc;

/// A certificate for each of some names, and one for all others.
#[derive(Debug, Default)]
pub(super) struct ByName {
    /// In lower case. Of `*.example.org`, what follows the star.
    exact: IndexMap<String, ReloadableCertificate>,
    wildcards: IndexMap<String, ReloadableCertificate>,
    others: Option<ReloadableCertificate>,
}

impl ByName {
    pub(super) fn set_others(&mut self, certificate: ReloadableCertificate) {
        self.others = Some(certificate);
    }

    /// The only certificate there is.
    pub(super) fn only(&self) -> Option<&ReloadableCertificate> {
        self.others.as_ref().filter(|_| self.exact.is_empty() && self.wildcards.is_empty())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.others.is_none() && self.exact.is_empty() && self.wildcards.is_empty()
    }

    /// # Errors
    /// If `name` is none, or the certificate is not for it, which a client would find out later.
    pub(super) fn add(
        &mut self,
        name: &str,
        certificate: ReloadableCertificate,
    ) -> Result<(), TlsConfigError> {
        let lower = without_last_dot(name).to_ascii_lowercase();
        let (example, map, key) = match lower.strip_prefix("*.") {
            Some(parent) => (format!("any.{parent}"), &mut self.wildcards, parent),
            None => (lower.clone(), &mut self.exact, &lower[..]),
        };
        let tried = || format!("cannot choose the certificate by the name {name:?}");
        let example =
            DnsName::try_from(example).map_err(|error| TlsConfigError::data(tried(), error))?;
        let current = certificate.current();
        current
            .inner
            .end_entity_cert()
            .and_then(ParsedCertificate::try_from)
            .and_then(|parsed| verify_server_name(&parsed, &ServerName::DnsName(example)))
            .map_err(|error| TlsConfigError::data(tried(), error))?;
        map.insert(key.to_owned(), certificate);
        Ok(())
    }

    fn find(&self, name: Option<&str>) -> Option<&ReloadableCertificate> {
        let by_name = name.and_then(|name| {
            let name = without_last_dot(name).to_ascii_lowercase();
            self.exact.get(&name).or_else(|| {
                let (_, parent) = name.split_once('.')?;
                self.wildcards.get(parent)
            })
        });
        by_name.or(self.others.as_ref())
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<sign::CertifiedKey>> {
        Some(self.find(hello.server_name())?.current().inner)
    }
}

/// A name of the DNS with the dot of its root is the same one without it.
fn without_last_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}
