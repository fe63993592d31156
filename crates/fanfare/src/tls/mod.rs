//! TLS 1.2 and 1.3 (RFC 5246, RFC 8446) by rustls with AWS-LC, in the shard.
//!
//! The handshake is the door's ([`stream`]); after the `101` the [session](session) goes with its socket into the shard,
//! whose connections share the buffers for their [`records`]. What is configured can be replaced while it is used: a
//! connection keeps what its handshake began with. `docs/decisions/0013-tls.md` says why it is made like this.

mod certificate;
mod error;
mod records;
mod session;
mod stream;

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::SystemTime;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion, version};

use crate::door::ClientCertificate;
pub use certificate::Certificate;
pub use error::TlsError;
pub(crate) use records::Records;
pub(crate) use session::Session;
pub(crate) use stream::{Failure, Stream};

/// How TLS is spoken.
#[derive(Clone, Debug)]
pub struct TlsOptions {
    /// The certificates of the server, at least one. A client that asks for a name (SNI) gets the first that is made out
    /// to it and that it can check; any other client gets the first one of all.
    pub certificates: Vec<Certificate>,
    /// The authorities whose certificates clients may show, in PEM. Then a certificate of another one is refused. Empty
    /// where clients are not asked for one. Default.
    pub client_authorities: Vec<Vec<u8>>,
    /// Whether clients must show one. Default false.
    pub requires_client_certificate: bool,
    /// The oldest version that is spoken. Default 1.2; older ones are never spoken.
    pub version_min: TlsVersion,
}

impl TlsOptions {
    /// With these certificates, and the defaults.
    pub fn new(certificates: Vec<Certificate>) -> Self {
        Self {
            certificates,
            client_authorities: Vec::new(),
            requires_client_certificate: false,
            version_min: TlsVersion::default(),
        }
    }

    /// Checks one of the [client authorities](Self::client_authorities) by itself.
    ///
    /// # Errors
    /// When there is no certificate in it, or one cannot be read.
    pub fn check_authorities(pem: &[u8]) -> Result<(), TlsError> {
        add_authorities(&mut RootCertStore::empty(), pem)
    }
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersion {
    /// RFC 5246.
    #[default]
    V1_2,
    /// RFC 8446.
    V1_3,
}

/// TLS for a [listener](crate::ListenerOptions::tls). Clones are the same: what is replaced in one is in all.
///
/// Sessions are resumed by tickets that clients keep, so nothing is held for those who left. Data is never taken before
/// the handshake is done (0-RTT), and TLS 1.2 is not negotiated anew on an open connection.
#[derive(Clone)]
pub struct Tls(Arc<RwLock<Running>>);

/// What handshakes begin with now.
#[derive(Debug)]
struct Running {
    config: Arc<ServerConfig>,
    expires_at: SystemTime,
}

impl Tls {
    /// TLS with these options.
    ///
    /// # Errors
    /// When there is no certificate, or an authority cannot be read.
    pub fn new(options: &TlsOptions) -> Result<Self, TlsError> {
        Ok(Self(Arc::new(RwLock::new(Running::new(options)?))))
    }

    /// Uses these options for every handshake that begins from now on. Open connections keep what they have; sessions
    /// from before are not resumed.
    ///
    /// # Errors
    /// As [`Tls::new`]; then what was is kept.
    pub fn replace(&self, options: &TlsOptions) -> Result<(), TlsError> {
        let running = Running::new(options)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = running;
        Ok(())
    }

    /// When the first of its certificates stops being valid.
    pub fn expires_at(&self) -> SystemTime {
        self.0.read().unwrap_or_else(PoisonError::into_inner).expires_at
    }

    /// What a handshake begins with.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner).config)
    }

    /// Itself, for who looks at it only while it is used.
    pub(crate) fn downgrade(&self) -> Watched {
        Watched(Arc::downgrade(&self.0))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

/// A [`Tls`] that may be gone.
#[derive(Debug)]
pub(crate) struct Watched(Weak<RwLock<Running>>);

impl Watched {
    pub(crate) fn get(&self) -> Option<Tls> {
        self.0.upgrade().map(Tls)
    }
}

impl Running {
    fn new(options: &TlsOptions) -> Result<Self, TlsError> {
        let expiries = options.certificates.iter().map(Certificate::expires_at);
        let expires_at = expiries.min().ok_or(TlsError::NoCertificate)?;
        let versions: &[&SupportedProtocolVersion] = match options.version_min {
            TlsVersion::V1_2 => &[&version::TLS13, &version::TLS12],
            TlsVersion::V1_3 => &[&version::TLS13],
        };
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .map_err(TlsError::Unusable)?;
        let mut config = builder
            .with_client_cert_verifier(verifier(options)?)
            .with_cert_resolver(Arc::new(ByName(options.certificates.clone())));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = aws_lc_rs::Ticketer::new().map_err(TlsError::Unusable)?;
        Ok(Self {
            config: Arc::new(config),
            expires_at,
        })
    }
}

/// The cryptography, named wherever it is needed: the process may have chosen another one for itself.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Who looks at certificates of clients.
fn verifier(options: &TlsOptions) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    if options.client_authorities.is_empty() {
        return Ok(WebPkiClientVerifier::no_client_auth());
    }
    let mut authorities = RootCertStore::empty();
    for pem in &options.client_authorities {
        add_authorities(&mut authorities, pem)?;
    }
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider());
    if !options.requires_client_certificate {
        builder = builder.allow_unauthenticated();
    }
    builder.build().map_err(|_| TlsError::CertificateUnreadable)
}

fn add_authorities(authorities: &mut RootCertStore, pem: &[u8]) -> Result<(), TlsError> {
    for certificate in certificate::read_certificates(pem)? {
        authorities
            .add(certificate)
            .map_err(|_| TlsError::CertificateUnreadable)?;
    }
    Ok(())
}

/// Gives each client the certificate of the name that it asks for.
#[derive(Debug)]
struct ByName(Vec<Certificate>);

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello
            .server_name()
            .and_then(|name| ServerName::try_from(name).ok());
        let can_check = |certificate: &&Certificate| {
            certificate
                .key
                .key
                .choose_scheme(hello.signature_schemes())
                .is_some()
        };
        let named = name.and_then(|name| {
            let mut made_out = self.0.iter().filter(|certificate| certificate.is_for(&name));
            made_out.find(can_check)
        });
        let certificate = named
            .or_else(|| self.0.iter().find(can_check))
            .or(self.0.first())?;
        Some(Arc::clone(&certificate.key))
    }
}

impl ClientCertificate {
    /// What a certificate says that rustls has accepted.
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> Self {
        Self {
            subject: certificate::parse(certificate)
                .map(|parsed| parsed.tbs_certificate().subject().to_string())
                .unwrap_or_default(),
            der: certificate.to_vec(),
        }
    }
}
