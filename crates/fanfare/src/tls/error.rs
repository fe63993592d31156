//! Why TLS cannot be spoken like that.

use rustls::{Error, InconsistentKeys};

/// What is wrong with a certificate, a key or the options of TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// There is no certificate.
    #[error("no certificate is given, TLS needs one")]
    NoCertificate,
    /// What should be a certificate is not.
    #[error(
        "there is no certificate in it that can be read, give PEM that begins `-----BEGIN CERTIFICATE-----`"
    )]
    CertificateUnreadable,
    /// What should be a key is not, or it is of a kind that is not known.
    #[error(
        "there is no private key in it that can be read, give PEM without a passphrase: RSA, ECDSA or Ed25519"
    )]
    KeyUnreadable,
    /// The key belongs to another certificate.
    #[error("the key is not that of the certificate, give the two that were made together")]
    KeyMismatch,
    /// The certificate of this subject is not valid any more.
    #[error("the certificate of {0:?} has expired, renew it")]
    Expired(String),
    /// What rustls does not take.
    #[error("this cannot be used: {0}")]
    Unusable(Error),
}

impl TlsError {
    /// Why a key and a certificate do not go together.
    pub(super) fn of_key(error: Error) -> Self {
        match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => Self::KeyMismatch,
            Error::InvalidCertificate(_) => Self::CertificateUnreadable,
            _ => Self::KeyUnreadable,
        }
    }
}
