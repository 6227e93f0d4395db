//! Certificates for tests, made when they are asked for: an authority of our own, and what it signs, good
//! or bad.

#![allow(dead_code, reason = "each test uses a part")]

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use std::fs;
use std::path::{Path, PathBuf};
use tulipa_transports::tls::{CertifiedKey, Roots, TlsClientConfig, TlsServerConfig};

/// A certificate authority that nobody else knows.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// From this one up, without the root.
    above: Vec<Vec<u8>>,
}

/// A certificate with its chain and key.
pub(crate) struct Made {
    pub(crate) chain: Vec<Vec<u8>>,
    pub(crate) key: Vec<u8>,
    pub(crate) chain_pem: String,
    pub(crate) key_pem: String,
}

impl Authority {
    /// A root.
    pub(crate) fn new(name: &str) -> Self {
        let issuer = CertifiedIssuer::self_signed(authority_params(name), key()).unwrap();
        Self { issuer, above: Vec::new() }
    }

    /// An authority that this one vouches for.
    pub(crate) fn below(&self, name: &str) -> Self {
        let issuer =
            CertifiedIssuer::signed_by(authority_params(name), key(), &self.issuer).unwrap();
        let own = issuer.as_ref().der().to_vec();
        let above = [vec![own], self.above.clone()].concat();
        Self { issuer, above }
    }

    pub(crate) fn pem(&self) -> String {
        self.issuer.as_ref().pem()
    }

    /// Trusts this authority alone.
    pub(crate) fn roots(&self) -> Roots {
        Roots::none().der(self.issuer.as_ref().der().to_vec()).unwrap()
    }

    /// A client that trusts this authority alone.
    pub(crate) fn client(&self) -> TlsClientConfig {
        TlsClientConfig::builder().roots(self.roots()).build().unwrap()
    }

    /// A server of this name that this authority vouches for.
    pub(crate) fn server(&self, name: &str) -> TlsServerConfig {
        TlsServerConfig::new(self.good(&[name]).certified_key()).unwrap()
    }

    /// A good certificate for a server of these names, or IP addresses.
    pub(crate) fn good(&self, names: &[&str]) -> Made {
        self.sign(server_params(names))
    }

    /// One that has expired.
    pub(crate) fn expired(&self, names: &[&str]) -> Made {
        let mut params = server_params(names);
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
        self.sign(params)
    }

    /// One that is not valid yet.
    pub(crate) fn early(&self, names: &[&str]) -> Made {
        let mut params = server_params(names);
        params.not_before = date_time_ymd(3001, 1, 1);
        params.not_after = date_time_ymd(3002, 1, 1);
        self.sign(params)
    }

    /// One for a client.
    pub(crate) fn for_client(&self, name: &str) -> Made {
        let mut params = server_params(&[name]);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params)
    }

    /// A good one, whose chain has besides as many large ones as it takes to have `size` bytes.
    pub(crate) fn huge(&self, names: &[&str], size: usize) -> Made {
        let mut params = server_params(names);
        let content = octet_string(60_000);
        params.custom_extensions =
            vec![CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999, 1], content)];
        let filler = self.sign(params);
        let mut made = self.good(names);
        while made.chain.iter().map(Vec::len).sum::<usize>() < size {
            made.chain.extend(filler.chain.first().cloned());
            made.chain_pem.push_str(&filler.chain_pem);
        }
        made
    }

    /// What `params` say.
    pub(crate) fn sign(&self, params: CertificateParams) -> Made {
        let key = key();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let chain = [vec![certificate.der().to_vec()], self.above.clone()].concat();
        let chain_pem = chain.iter().map(|der| pem(der)).collect();
        Made { chain, key: key.serialize_der(), chain_pem, key_pem: key.serialize_pem() }
    }
}

impl Made {
    pub(crate) fn certified_key(&self) -> CertifiedKey {
        CertifiedKey::from_der(self.chain.clone(), self.key.clone()).unwrap()
    }

    /// As `chain.pem` and `key.pem` in `directory`.
    pub(crate) fn write_to(&self, directory: &Path) -> (PathBuf, PathBuf) {
        let (chain, key) = (directory.join("chain.pem"), directory.join("key.pem"));
        fs::write(&chain, &self.chain_pem).unwrap();
        fs::write(&key, &self.key_pem).unwrap();
        (chain, key)
    }
}

fn key() -> KeyPair {
    KeyPair::generate().unwrap()
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn server_params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names.clone()).unwrap();
    params.distinguished_name.push(DnType::CommonName, names.join(" "));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

/// In DER: a tag, two bytes of length, `size` bytes.
fn octet_string(size: usize) -> Vec<u8> {
    let length = u16::try_from(size).unwrap().to_be_bytes();
    assert!(size >= 0x100, "a length of two bytes");
    let mut der = vec![0x04, 0x82, length[0], length[1]];
    der.resize(der.len() + size, 0x54);
    der
}

fn pem(der: &[u8]) -> String {
    use std::fmt::Write as _;
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in der.chunks(48) {
        for group in line.chunks(3) {
            let bits = group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte));
            let bits = bits << (8 * (3 - group.len()));
            for index in 0..4 {
                let six = (bits >> (18 - 6 * index) & 63) as usize;
                text.push(if index <= group.len() { char::from(ALPHABET[six]) } else { '=' });
            }
        }
        writeln!(text).unwrap();
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}
