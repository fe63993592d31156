//! Whom a client trusts.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use crate::error::Error;

/// TLS 1.2 or 1.3 with a server that one of these authorities, in PEM, stands for; without any, one of the system's.
///
/// # Errors
/// No authority can be read.
pub(crate) fn config(authorities: &[u8]) -> Result<Arc<ClientConfig>, Error> {
    let mut trusted = RootCertStore::empty();
    if authorities.is_empty() {
        trusted.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    } else {
        for certificate in CertificateDer::pem_slice_iter(authorities) {
            let certificate = certificate.map_err(|error| Error::Tls(error.to_string()))?;
            trusted
                .add(certificate)
                .map_err(|error| Error::Tls(error.to_string()))?;
        }
    }
    if trusted.is_empty() {
        let problem = "no authority is there to be trusted; name a file with certificates in PEM";
        return Err(Error::Tls(problem.to_owned()));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Tls(error.to_string()))?
        .with_root_certificates(trusted)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
