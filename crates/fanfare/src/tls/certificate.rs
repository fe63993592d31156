//! A certificate of the server, with its key.

use std::sync::Arc;
use std::time::SystemTime;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use x509_cert::der::Decode as _;

use super::{TlsError, provider};

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
        let own = parse(&chain[0]).ok_or(TlsError::CertificateUnreadable)?;
        let expires_at = own.tbs_certificate().validity().not_after.to_system_time();
        if expires_at < SystemTime::now() {
            return Err(TlsError::Expired(own.tbs_certificate().subject().to_string()));
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

/// What a certificate says; whether it can be trusted is rustls' to say.
pub(super) fn parse(certificate: &CertificateDer<'_>) -> Option<x509_cert::Certificate> {
    x509_cert::Certificate::from_der(certificate).ok()
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

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, date_time_ymd};

    use super::*;
    use crate::door::ClientCertificate;

    #[test]
    fn no_value_of_a_subject_can_pass_for_another_attribute() {
        let mut parameters = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        parameters.not_after = date_time_ymd(2031, 2, 3);
        parameters.distinguished_name = DistinguishedName::new();
        let name = &mut parameters.distinguished_name;
        name.push(DnType::OrganizationName, "A, B & Co");
        name.push(DnType::CommonName, "änna,CN=root\n");
        let key = KeyPair::generate().unwrap();
        let signed = parameters.self_signed(&key).unwrap();

        let client = ClientCertificate::of(signed.der());
        assert_eq!(client.subject, "CN=änna\\,CN=root\\0a,O=A\\, B & Co");
        let own = Certificate::from_pem(signed.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap();
        let expires_at = own.expires_at().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(expires_at.as_secs(), 1_927_843_200);
    }
}
