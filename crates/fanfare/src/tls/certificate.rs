//! A certificate of the server, with its key.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;

use super::{TlsError, der, provider};

/// A chain of certificates and the key to its first, both checked.
#[derive(Clone, Debug)]
pub struct Certificate {
    pub(super) key: Arc<CertifiedKey>,
    expires_at: SystemTime,
}

impl Certificate {
    /// Reads the chain, the server's own certificate first, and the key (PKCS #8, PKCS #1 or SEC 1), both in PEM.
    ///
    /// # Errors
    /// When one of them is missing or cannot be read, the key is not that of the certificate, or the certificate has
    /// expired.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain = read_certificates(chain)?;
        let details = der::read(&chain[0]).ok_or(TlsError::CertificateUnreadable)?;
        let expires_at = SystemTime::UNIX_EPOCH + Duration::from_secs(details.not_after.max(0) as u64);
        if expires_at < SystemTime::now() {
            return Err(TlsError::Expired(details.subject));
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::KeyUnreadable)?;
        let key = CertifiedKey::from_der(chain, key, &provider()).map_err(TlsError::of_key)?;
        Ok(Self {
            key: Arc::new(key),
            expires_at,
        })
    }

    /// When it stops being valid, to the second.
    pub fn expires_at(&self) -> SystemTime {
        self.expires_at
    }

    /// Whether it is made out to a name.
    pub(super) fn is_for(&self, name: &ServerName<'_>) -> bool {
        let parsed = self.key.cert.first().map(ParsedCertificate::try_from);
        matches!(parsed, Some(Ok(parsed)) if rustls::client::verify_server_name(&parsed, name).is_ok())
    }
}

/// Reads certificates in PEM, at least one.
pub(super) fn read_certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = certificates.map_err(|_| TlsError::CertificateUnreadable)?;
    if certificates.is_empty() {
        return Err(TlsError::CertificateUnreadable);
    }
    Ok(certificates)
}
