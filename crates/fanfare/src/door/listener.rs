//! A listener for those who have none: accepts, speaks HTTP/1.1 with bounds, and stands when descriptors run out.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt as _;

/// The bounds of a listener.
#[derive(Clone, Debug)]
pub struct ListenerOptions {
    /// The longest time from accepting a connection, or from its last answer, to the end of its next request's head.
    /// Default 10 s.
    pub handshake_timeout: Duration,
    /// The longest request head in bytes; less than 8 KiB counts as 8 KiB. Default 16 KiB.
    pub head_bytes_max: usize,
    /// The most headers of a request. Default 100.
    pub headers_max: usize,
    /// True while connections are accepted; false while descriptors are exhausted. Shared with whoever answers
    /// readiness checks.
    pub is_accepting: Arc<AtomicBool>,
}

impl Default for ListenerOptions {
    fn default() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(10),
            head_bytes_max: 16 << 10,
            headers_max: 100,
            is_accepting: Arc::new(AtomicBool::new(true)),
        }
    }
}

/// The shortest bound on a request head that hyper knows.
const HEAD_BYTES_MIN: usize = 8 << 10;

/// Time to wait before accepting again when the machine has no descriptor left.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(200);

/// Serves `router` on `listener` until `stop` is done. Every request carries [`ConnectInfo`] with the remote address.
///
/// When descriptors run out it pauses, without spinning, and goes on once there are some: connections wait in the
/// kernel's backlog meanwhile.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    options: ListenerOptions,
    stop: impl Future<Output = ()>,
) {
    let mut stop = std::pin::pin!(stop);
    // Not hyper-util's `auto` builder: while that looks for HTTP/2 in the first bytes it knows no deadline.
    let mut builder = Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(options.handshake_timeout)
        .max_headers(options.headers_max)
        .max_buf_size(options.head_bytes_max.max(HEAD_BYTES_MIN));
    let builder = Arc::new(builder);
    loop {
        let is_exhausted = !options.is_accepting.load(Ordering::Relaxed);
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => return,
            // It fails at once without a descriptor; when it waits for a client instead, there is one for it.
            () = tokio::time::sleep(EXHAUSTED_PAUSE), if is_exhausted => {
                options.is_accepting.store(true, Ordering::Relaxed);
                continue;
            }
        };
        match accepted {
            Ok((socket, remote)) => {
                options.is_accepting.store(true, Ordering::Relaxed);
                tokio::spawn(serve_connection(
                    Arc::clone(&builder),
                    socket,
                    remote,
                    router.clone(),
                ));
            }
            Err(error) if is_exhaustion(&error) => {
                if options.is_accepting.swap(false, Ordering::Relaxed) {
                    tracing::warn!(%error, "descriptors are exhausted, accepting is paused until some are free");
                }
                tokio::time::sleep(EXHAUSTED_PAUSE).await;
            }
            // The client was gone before it was accepted.
            Err(error) => tracing::debug!(%error, "a connection could not be accepted"),
        }
    }
}

async fn serve_connection(builder: Arc<Builder>, socket: TcpStream, remote: SocketAddr, router: Router) {
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(remote));
        router.clone().oneshot(request)
    });
    let served = builder
        .serve_connection(TokioIo::new(socket), service)
        .with_upgrades()
        .await;
    if let Err(error) = served {
        tracing::debug!(%remote, %error, "an HTTP connection ended early");
    }
}

/// Whether the process or the machine has no descriptor or buffer left (`EMFILE`, `ENFILE`, `ENOBUFS`, `ENOMEM`).
fn is_exhaustion(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(24 | 23 | 105 | 12))
}
