//! One HTTP request to a backend and its answer, in bounds. Redirects are not followed, proxies of the environment not
//! used, and nothing is repeated here.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::{HeaderMap, Request, Response, StatusCode, Uri, header};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Body as _, Incoming};
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore};

use super::signature::{SIGNATURE_HEADER, Signer};

/// Carries signed requests. Cloning gives another handle to the same connections.
#[derive(Clone, Debug)]
pub(crate) struct Courier {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    signer: Arc<Signer>,
}

/// What is asked, as it goes to a backend.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    /// JSON.
    pub(super) body: Bytes,
    /// Headers beside, or in place of, those that every request has.
    pub(super) headers: HeaderMap,
    /// Whether an answer must say by its content type that it is JSON.
    pub(super) must_be_json: bool,
}

/// What a request came back with that is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mishap {
    /// No connection could be made: nobody has seen the request.
    Unreachable,
    /// The connection broke before all of the answer was there.
    Broken,
    /// The status is not 200.
    Status(StatusCode),
    /// The answer has no end within its bound.
    TooLarge,
    /// It is not JSON by its content type.
    NotJson,
}

impl Courier {
    /// # Errors
    /// There is a URL with TLS and the system has no certificates to trust.
    pub(crate) fn new(signer: Signer, needs_tls: bool, connect_timeout: Duration) -> io::Result<Self> {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(connect_timeout));
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls_config(needs_tls)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .http1_max_buf_size(HEAD_BYTES_MAX)
            .build(https);
        Ok(Self {
            client,
            signer: Arc::new(signer),
        })
    }

    /// Sends a letter and gives what comes back as JSON, at most `bytes_max`. Dropped, it breaks the request off.
    pub(super) async fn ask(&self, to: &Uri, letter: &Letter, bytes_max: usize) -> Result<Bytes, Mishap> {
        let mut request = self.request(to, letter.body.clone())?;
        request.headers_mut().extend(letter.headers.clone());
        let response = self.send(request).await?;
        if response.status() != StatusCode::OK {
            return Err(Mishap::Status(response.status()));
        }
        if letter.must_be_json && !is_json(&response) {
            return Err(Mishap::NotJson);
        }
        collect(response.into_body(), bytes_max).await
    }

    /// Sends a body and looks at nothing but the status.
    pub(crate) async fn tell(&self, to: &Uri, body: Bytes) -> Result<(), Mishap> {
        let response = self.send(self.request(to, body)?).await?;
        if !response.status().is_success() {
            return Err(Mishap::Status(response.status()));
        }
        // Read to its end, so that the connection can be used again; what is too long for that is cut off with it.
        let _ = collect(response.into_body(), HEAD_BYTES_MAX).await;
        Ok(())
    }

    /// A signed request.
    fn request(&self, to: &Uri, body: Bytes) -> Result<Request<Full<Bytes>>, Mishap> {
        let signature = self.signer.sign(now_seconds(), &body);
        Request::post(to.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, concat!("fanfare/", env!("CARGO_PKG_VERSION")))
            .header(SIGNATURE_HEADER, signature)
            .body(Full::new(body))
            // A URL that was checked and these headers make a request.
            .map_err(|_| Mishap::Unreachable)
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Mishap> {
        self.client.request(request).await.map_err(|error| {
            if error.is_connect() {
                Mishap::Unreachable
            } else {
                Mishap::Broken
            }
        })
    }
}

async fn collect(body: Incoming, bytes_max: usize) -> Result<Bytes, Mishap> {
    // Announced to be too large: not even begun.
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(Mishap::TooLarge);
    }
    match Limited::new(body, bytes_max).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(Mishap::TooLarge),
        Err(_) => Err(Mishap::Broken),
    }
}

fn is_json(response: &Response<Incoming>) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
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

fn now_seconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// How long a connection waits for the next request. Shorter than servers wait (Node.js: 5 s), so that a request rarely
/// meets a connection that is just being closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// The head of an answer, and what is read of one that nobody looks at.
const HEAD_BYTES_MAX: usize = 64 << 10;
