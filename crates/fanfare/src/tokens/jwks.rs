//! The keys of an issuer that publishes them at an address (RFC 7517): fetched, kept, and fetched again when they are
//! old or a token names one that is not among them.
//!
//! The address is configured, nothing that a token says leads to another one. One fetch is under way at a time, whoever
//! waits for it, and whatever tokens name there is none for a while after it: that is the memory for unknown ids, and it
//! has no size.

use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::http::{StatusCode, Uri, header, uri::Scheme};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::Request;
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jsonwebtoken::jwk::Jwk;
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;
use serde_json::Value;

use super::{TokenKey, TokenRefusal, TokensError};

/// Where an issuer publishes its keys, and how they are fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwksOptions {
    /// The address. Redirects are not followed.
    pub url: JwksUrl,
    /// How long a fetch may take. Beyond it has failed. Default 5 s.
    pub timeout: Duration,
    /// After how long the keys are fetched again, when a token needs one. Default 10 minutes.
    pub refresh_after: Duration,
    /// How long nothing is fetched after a fetch, whether it failed or tokens name other keys. Default 30 s.
    pub retry_after: Duration,
    /// How long keys are used that could not be fetched again. Beyond, tokens are refused for the time being. Default
    /// one day.
    pub stale_max: Duration,
}

impl JwksOptions {
    /// The keys at an address, fetched as the defaults say.
    pub fn new(url: JwksUrl) -> Self {
        Self {
            url,
            timeout: Duration::from_secs(5),
            refresh_after: Duration::from_secs(10 * 60),
            retry_after: Duration::from_secs(30),
            stale_max: Duration::from_secs(24 * 60 * 60),
        }
    }
}

/// The address of a set of keys: `https`, or `http` to this machine, without a password. Whoever could change on the way
/// what comes from it could be anybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwksUrl(Uri);

impl FromStr for JwksUrl {
    type Err = JwksUrlError;

    fn from_str(text: &str) -> Result<Self, JwksUrlError> {
        let uri: Uri = text.parse().map_err(|_| JwksUrlError)?;
        let host = uri.host().unwrap_or_default();
        let is_this_machine = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
        let has_password = uri
            .authority()
            .is_some_and(|authority| authority.as_str().contains('@'));
        let is_trusted = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => !host.is_empty(),
            Some(scheme) if *scheme == Scheme::HTTP => is_this_machine,
            _ => false,
        };
        (is_trusted && !has_password)
            .then_some(Self(uri))
            .ok_or(JwksUrlError)
    }
}

impl fmt::Display for JwksUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Why keys are not fetched from an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("keys are fetched from `https://HOST/PATH` without a password, or from `http://` on this machine")]
pub struct JwksUrlError;

/// Keys that are kept as long as they are good.
pub(super) struct Jwks {
    options: JwksOptions,
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    kept: Mutex<Kept>,
    /// Held while keys are fetched.
    fetching: Arc<tokio::sync::Mutex<()>>,
    counters: Arc<JwksCounters>,
}

/// Trusts what the system trusts; `SSL_CERT_FILE` and `SSL_CERT_DIR` name something else.
fn tls_config(needs_tls: bool) -> io::Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let builder = if needs_tls {
        builder.with_native_roots()?
    } else {
        builder.with_root_certificates(RootCertStore::empty())
    };
    Ok(builder.with_no_client_auth())
}

/// How fetches of keys went.
#[derive(Debug, Default)]
pub(super) struct JwksCounters {
    pub(super) fetched: AtomicU64,
    pub(super) failed: AtomicU64,
}

#[derive(Default)]
struct Kept {
    keys: Arc<[TokenKey]>,
    fetched_at: Option<Instant>,
    tried_at: Option<Instant>,
}

impl Jwks {
    pub(super) fn new(options: JwksOptions, counters: Arc<JwksCounters>) -> Result<Self, TokensError> {
        let tls = tls_config(options.url.0.scheme() == Some(&Scheme::HTTPS))
            .map_err(|error| TokensError::Tls(error.to_string()))?;
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .build();
        Ok(Self {
            options,
            client: Client::builder(TokioExecutor::new()).build(connector),
            kept: Mutex::default(),
            fetching: Arc::default(),
            counters,
        })
    }

    /// The keys, among which is one that `is_wanted` if the issuer has one.
    pub(super) async fn keys(
        self: &Arc<Self>,
        is_wanted: impl Fn(&TokenKey) -> bool,
    ) -> Result<Arc<[TokenKey]>, TokenRefusal> {
        let known = self.usable();
        if let Some(keys) = known.filter(|keys| keys.iter().any(is_wanted)) {
            if self.is_due() && self.fetching.try_lock().is_ok() {
                tokio::spawn(Arc::clone(self).fetch_once());
            }
            return Ok(keys);
        }
        if self.may_fetch() {
            // A task of its own: who asks may leave, and then nothing would remember that it was tried.
            let fetched = tokio::spawn(Arc::clone(self).fetch_once());
            let _ = fetched.await;
        }
        self.usable().ok_or(TokenRefusal::KeysUnavailable)
    }

    /// The keys, unless they are too old.
    fn usable(&self) -> Option<Arc<[TokenKey]>> {
        let kept = self.kept();
        let is_good = kept
            .fetched_at
            .is_some_and(|at| at.elapsed() < self.options.stale_max);
        is_good.then(|| Arc::clone(&kept.keys))
    }

    fn is_due(&self) -> bool {
        let fetched_at = self.kept().fetched_at;
        fetched_at.is_none_or(|at| at.elapsed() >= self.options.refresh_after) && self.may_fetch()
    }

    fn may_fetch(&self) -> bool {
        let tried_at = self.kept().tried_at;
        tried_at.is_none_or(|at| at.elapsed() >= self.options.retry_after)
    }

    /// Fetches the keys, unless somebody has while this waited for its turn.
    async fn fetch_once(self: Arc<Self>) {
        let _turn = self.fetching.lock().await;
        if !self.may_fetch() {
            return;
        }
        let fetched = tokio::time::timeout(self.options.timeout, self.fetch()).await;
        let fetched = fetched.unwrap_or(Err(FetchError::Slow));
        let mut kept = self.kept();
        kept.tried_at = Some(Instant::now());
        match fetched {
            Ok(keys) => {
                kept.keys = keys;
                kept.fetched_at = kept.tried_at;
                self.counters.fetched.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                self.counters.failed.fetch_add(1, Ordering::Relaxed);
                let host = self.options.url.0.host().unwrap_or_default();
                tracing::warn!(host, %error, "the keys that verify tokens could not be fetched, it is tried again");
            }
        }
    }

    async fn fetch(&self) -> Result<Arc<[TokenKey]>, FetchError> {
        let request = Request::get(self.options.url.0.clone())
            .header(header::ACCEPT, "application/jwk-set+json, application/json")
            .body(Empty::new())
            .map_err(|_| FetchError::Unreachable)?;
        let response = self
            .client
            .request(request)
            .await
            .map_err(|_| FetchError::Unreachable)?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(response.status().as_u16()));
        }
        let body = Limited::new(response.into_body(), SET_BYTES_MAX);
        let body = body.collect().await.map_err(|_| FetchError::Body)?.to_bytes();
        read(&body)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Jwks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Jwks({})", self.options.url)
    }
}

/// Why keys could not be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum FetchError {
    #[error("no answer in time")]
    Slow,
    #[error("nobody can be reached there")]
    Unreachable,
    #[error("the answer is {0}, not 200")]
    Status(u16),
    #[error("the answer breaks off, or is more than {SET_BYTES_MAX} bytes")]
    Body,
    #[error("the answer is no set of keys")]
    Json,
    #[error("the set has {0} keys, limit is {KEYS_MAX}")]
    Keys(usize),
}

/// A set of keys. What is no key for signatures is passed over: sets are extended over time (RFC 7517 section 5).
fn read(body: &[u8]) -> Result<Arc<[TokenKey]>, FetchError> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<Value>,
    }

    let text = std::str::from_utf8(body).map_err(|_| FetchError::Json)?;
    let set: Set = serde_json::from_str(text).map_err(|_| FetchError::Json)?;
    if set.keys.len() > KEYS_MAX {
        return Err(FetchError::Keys(set.keys.len()));
    }
    let keys = set.keys.into_iter().filter_map(|key| {
        let jwk: Jwk = serde_json::from_value(key).ok()?;
        TokenKey::of_jwk(&jwk)
    });
    Ok(keys.collect())
}

/// The bytes of a set of keys; a larger one is no set.
const SET_BYTES_MAX: usize = 256 << 10;

/// The keys of a set.
const KEYS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_others_could_change_on_the_way_is_refused() {
        for url in [
            "https://id.example/keys",
            "http://127.0.0.1:8000/keys",
            "http://localhost/keys",
            "http://[::1]:1/",
        ] {
            assert!(url.parse::<JwksUrl>().is_ok(), "{url}");
        }
        for url in [
            "",
            "keys.json",
            "/keys",
            "file:///etc/keys",
            "http://id.example/keys",
            "http://localhost.evil.example/keys",
            "http://127.0.0.1@evil.example/keys",
            "https://user:password@id.example/keys",
        ] {
            assert!(url.parse::<JwksUrl>().is_err(), "{url}");
        }
    }

    #[test]
    fn a_set_is_bounded_and_what_verifies_nothing_is_passed_over() {
        let set = |keys: &[Value]| serde_json::json!({"keys": keys}).to_string();
        let secret = serde_json::json!({"kty": "oct", "alg": "HS256", "kid": "a", "k": "c2VjcmV0".repeat(9)});
        let unknown = serde_json::json!({"kty": "FOO", "kid": "b"});
        let short = serde_json::json!({"kty": "RSA", "kid": "c", "n": "AQAB", "e": "AQAB"});
        let key = serde_json::json!({
            "kty": "OKP", "crv": "Ed25519", "kid": "d", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        });
        let mut encrypts = key.clone();
        encrypts["use"] = "enc".into();
        let all = [secret, unknown, short, encrypts, key.clone()];
        let keys = read(set(&all).as_bytes()).unwrap();
        assert_eq!(keys.iter().map(TokenKey::id).collect::<Vec<_>>(), [Some("d")]);
        assert_eq!(keys[0].algorithm(), super::super::Algorithm::EdDsa);
        assert_eq!(read(set(&vec![key; 65]).as_bytes()), Err(FetchError::Keys(65)));
        for text in ["", "[]", "{}", "<html>", "{\"keys\": 1}"] {
            assert_eq!(read(text.as_bytes()), Err(FetchError::Json), "{text}");
        }
    }
}
