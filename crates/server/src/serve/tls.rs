//! TLS from files: certificates, their keys, and whose certificates clients may show.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use fanfare::{Certificate, Tls, TlsError, TlsOptions};

use crate::options::ServeOptions;

/// Reads what the options name; `None` where TLS is not spoken.
///
/// # Errors
/// Every file that cannot be used, and why.
pub(crate) fn read(options: &ServeOptions) -> Result<Option<TlsOptions>, Vec<String>> {
    if options.tls_cert.is_empty() {
        return Ok(None);
    }
    let (mut problems, mut certificates, mut client_authorities) = (Vec::new(), Vec::new(), Vec::new());
    for (chain, key) in options.tls_cert.iter().zip(&options.tls_key) {
        match certificate(chain, key) {
            Ok(certificate) => certificates.push(certificate),
            Err(problem) => problems.push(problem),
        }
    }
    for path in &options.tls_client_ca {
        match authorities(path) {
            Ok(pem) => client_authorities.push(pem),
            Err(problem) => problems.push(problem),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(Some(TlsOptions {
        client_authorities,
        requires_client_certificate: options.tls_client_required,
        version_min: options.tls_min_version,
        ..TlsOptions::new(certificates)
    }))
}

fn certificate(chain: &Path, key: &Path) -> Result<Certificate, String> {
    let (chain_pem, key_pem) = (contents("tls_cert", chain)?, contents("tls_key", key)?);
    Certificate::from_pem(&chain_pem, &key_pem).map_err(|error| match error {
        TlsError::KeyUnreadable => problem("tls_key", key, &error),
        TlsError::KeyMismatch => format!(
            "{}, which is of {}",
            problem("tls_key", key, &error),
            chain.display()
        ),
        _ => problem("tls_cert", chain, &error),
    })
}

/// Authorities, which are looked at here so that a problem can name their file.
fn authorities(path: &Path) -> Result<Vec<u8>, String> {
    let pem = contents("tls_client_ca", path)?;
    TlsOptions::check_authorities(&pem).map_err(|error| problem("tls_client_ca", path, &error))?;
    Ok(pem)
}

fn contents(key: &str, path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| problem(key, path, &error))
}

fn problem(key: &str, path: &Path, error: &dyn std::error::Error) -> String {
    format!("{key} is `{}`: {error}", path.display())
}

/// Warns once a day of a certificate that expires soon, or has.
pub(super) async fn watch_expiry(tls: Tls) {
    let mut interval = tokio::time::interval(DAY);
    loop {
        interval.tick().await;
        let days = days_left(&tls);
        if days < EXPIRY_NOTICE_DAYS {
            tracing::warn!(days, "a certificate expires soon, renew it and send SIGHUP");
        }
    }
}

/// Whole days until the first certificate expires.
pub(super) fn days_left(tls: &Tls) -> u64 {
    let left = tls.expires_at().duration_since(SystemTime::now());
    left.unwrap_or_default().as_secs() / DAY.as_secs()
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long before its end a certificate is warned of: what renews certificates by itself does so earlier.
const EXPIRY_NOTICE_DAYS: u64 = 14;
