//! A certificate that a program makes for itself, for those who have none: nobody vouches for it, so
//! clients have to be told to trust it.

use std::path::Path;
use tulipa::Exception;
use tulipa::tls::CertifiedKey;

/// A new certificate for a server of these names, signed by itself, and in PEM for those who are to trust
/// it.
///
/// # Errors
/// If a name cannot be in a certificate.
pub fn self_made(names: &[String]) -> Result<(CertifiedKey, String), Exception> {
    let made = rcgen::generate_simple_self_signed(names)?;
    let certificate = made.cert.pem();
    let key = CertifiedKey::from_pem(&certificate, made.signing_key.serialize_pem())?;
    Ok((key, certificate))
}

/// The certificate in these files, or one that is made for `name`, and for this machine by its other
/// names; that one is left in `left_in`, if given, without its key.
///
/// # Errors
/// If a file cannot be read or written, or does not have what it should.
pub fn given_or_self_made(
    files: Option<(&Path, &Path)>,
    name: &str,
    left_in: Option<&Path>,
) -> Result<tulipa::tls::ReloadableCertificate, Exception> {
    if let Some((chain, key)) = files {
        return Ok(tulipa::tls::ReloadableCertificate::from_pem_files(chain, key)?);
    }
    let mut names: Vec<String> = vec![name.to_owned()];
    for other in ["localhost", "127.0.0.1", "::1"] {
        if name != other {
            names.push(other.to_owned());
        }
    }
    let (key, pem) = self_made(&names)?;
    if let Some(path) = left_in {
        std::fs::write(path, pem)?;
    }
    Ok(key.into())
}
