//! A listener for those who have none: accepts within bounds, finds out who is there, and speaks HTTP/1.1 against a
//! deadline. When descriptors run out clients are told so instead of being left to hang.

use std::convert::Infallible;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::Response;
use axum::{BoxError, Router};
use fanfare_protocol::proxy_header::ProxyHeaderDecoder;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1::{Builder, Parts, UpgradeableConnection};
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tower::ServiceExt as _;

use super::address::canonical;
use super::certificate::ClientCertificate;
use super::exit::{Exit, Watched};
use super::gate::{Gate, Handshake};
use super::handover::{Carrier, Handover};
use super::refusal::{Cause, Refused};
use super::spare::{Lent, Spare};
use crate::Fanfare;

/// How a listener treats its connections. Who may connect is bounded by [`DoorLimits`](crate::DoorLimits).
#[derive(Clone, Debug)]
pub struct ListenerOptions {
    /// The longest time from accepting a connection, or from its last answer, to the end of its next request's head;
    /// a PROXY header is included. Beyond: the connection is dropped. Default 10 s.
    pub handshake_timeout: Duration,
    /// The longest request head in bytes; less than 8 KiB counts as 8 KiB. Beyond: 431. Default 16 KiB.
    pub head_bytes_max: usize,
    /// The most headers of a request. Beyond: 431. Default 100.
    pub headers_max: usize,
    /// Whether the [trusted proxies](crate::Options::trusted_proxies) begin each connection with a header of the PROXY
    /// protocol, version 1 or 2. Then a connection of theirs without one is dropped. Others are served as themselves,
    /// and a header of theirs is a bad request. Default false.
    pub proxy_protocol: bool,
    /// TLS, if it is to be spoken here, and then nothing else is. Its handshake is within `handshake_timeout`. Default:
    /// none.
    #[cfg(feature = "tls")]
    pub tls: Option<crate::Tls>,
}

impl Default for ListenerOptions {
    fn default() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(10),
            head_bytes_max: 16 << 10,
            headers_max: 100,
            proxy_protocol: false,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}

/// The shortest bound on a request head that hyper knows.
const HEAD_BYTES_MIN: usize = 8 << 10;

/// Time between two looks for a descriptor while there is none.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(200);

/// Bytes of a PROXY header that are looked at at once. Most are shorter.
const PEEK_BYTES: usize = 128;

impl Fanfare {
    /// Serves `router` on `listener` until `stop` is done, within the door's bounds. Every request carries
    /// [`ConnectInfo`] with the remote address, which is the PROXY header's where one is due.
    ///
    /// A connection that says nothing costs about a kilobyte here. When descriptors run out, whoever comes is answered
    /// 503 with a spare one, and [`Fanfare::has_descriptors`] says so until there are some again.
    ///
    /// ```no_run
    /// # async fn example(fanfare: fanfare::Fanfare) -> std::io::Result<()> {
    /// use axum::Router;
    /// use fanfare::ListenerOptions;
    /// use tokio::net::TcpListener;
    ///
    /// let app = Router::new().route("/ws", fanfare.websocket());
    /// let listener = TcpListener::bind("0.0.0.0:8080").await?;
    /// let stop = async { drop(tokio::signal::ctrl_c().await) };
    /// fanfare.serve(listener, app, ListenerOptions::default(), stop).await;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn serve(
        &self,
        listener: TcpListener,
        router: Router,
        options: ListenerOptions,
        stop: impl Future<Output = ()>,
    ) {
        let mut stop = std::pin::pin!(stop);
        let mut spare = Spare::default();
        let porch = Arc::new(Porch::new(self, router, options));
        loop {
            let is_exhausted = !spare.refill() || !porch.gate.has_descriptors();
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = &mut stop => return,
                () = sleep(EXHAUSTED_PAUSE), if is_exhausted => {
                    porch.gate.set_has_descriptors(spare.is_one_left());
                    continue;
                }
            };
            match accepted {
                Ok((socket, peer)) => {
                    if is_exhausted {
                        porch.gate.set_has_descriptors(spare.is_one_left());
                    }
                    porch.receive(socket, peer);
                }
                Err(error) if is_exhaustion(&error) => porch.send_away(&listener, &mut spare).await,
                // The client was gone before it was accepted.
                Err(error) => tracing::debug!(%error, "a connection could not be accepted"),
            }
        }
    }
}

/// Where connections stand until they are a shard's, or gone.
pub(super) struct Porch {
    pub(super) gate: Arc<Gate>,
    builder: Builder,
    router: Router,
    pub(super) options: ListenerOptions,
    notsent_bytes: u32,
}

/// Why a connection did not come as far as its request.
enum Unmet {
    /// It left before it said anything.
    Gone,
    /// What came in place of a PROXY header.
    Header(String),
    /// It may not come in now.
    Refused(Refused),
}

impl Porch {
    fn new(fanfare: &Fanfare, router: Router, options: ListenerOptions) -> Self {
        // Not hyper-util's `auto` builder: while that looks for HTTP/2 in the first bytes it knows no deadline.
        let mut builder = Builder::new();
        #[cfg(feature = "tls")]
        if let Some(tls) = &options.tls {
            fanfare.gate().watch(tls);
        }
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(options.handshake_timeout)
            .max_headers(options.headers_max)
            .max_buf_size(options.head_bytes_max.max(HEAD_BYTES_MIN));
        Self {
            gate: Arc::clone(fanfare.gate()),
            builder,
            router,
            options,
            notsent_bytes: fanfare.options().notsent_bytes,
        }
    }

    /// Lets a connection in that was accepted, or turns it away without reading from it.
    fn receive(self: &Arc<Self>, socket: TcpStream, peer: SocketAddr) {
        let peer = canonical(peer);
        let is_announced = self.options.proxy_protocol && self.gate.is_trusted(peer);
        let entered = self.gate.enter().and_then(|mut handshake| {
            if !is_announced {
                handshake.claim(peer.ip())?;
            }
            Ok(handshake)
        });
        match entered {
            Ok(handshake) => {
                self.prepare(&socket);
                let porch = Arc::clone(self);
                tokio::spawn(porch.attend(socket, peer, handshake, is_announced));
            }
            Err(refused) => self.turn_away(socket, peer, &refused),
        }
    }

    /// Bounds what the kernel does for a client that does not read its answers. A shard sets its own bounds.
    fn prepare(&self, socket: &TcpStream) {
        let settings = SockRef::from(socket);
        let timeout = self.options.handshake_timeout;
        // They fail only on a socket that is gone, which is noticed soon.
        let _ = socket.set_nodelay(true);
        let _ = settings.set_tcp_notsent_lowat(self.notsent_bytes);
        let _ = settings.set_tcp_user_timeout(Some(timeout));
    }

    async fn attend(
        self: Arc<Self>,
        mut socket: TcpStream,
        peer: SocketAddr,
        mut handshake: Handshake,
        is_announced: bool,
    ) {
        let deadline = Instant::now() + self.options.handshake_timeout;
        let meeting = meet(&mut socket, peer, &mut handshake, is_announced);
        match timeout_at(deadline, meeting).await {
            // Boxed, so that who says nothing does not pay for what it takes to speak HTTP.
            Ok(Ok(remote)) => Box::pin(self.serve(socket, remote, deadline)).await,
            Ok(Err(Unmet::Gone)) => {}
            Ok(Err(Unmet::Header(error))) => {
                tracing::debug!(%peer, error, "a PROXY header was due");
                self.gate.turned_away(Cause::ProxyHeader, peer);
            }
            Ok(Err(Unmet::Refused(refused))) => self.turn_away(socket, peer, &refused),
            Err(_) => self.gate.turned_away(Cause::HandshakeTimeout, peer),
        }
    }

    /// Speaks HTTP, over TLS where that is spoken.
    async fn serve(&self, socket: TcpStream, remote: SocketAddr, deadline: Instant) {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.options.tls {
            if let Some((stream, certificate)) = self.secure(socket, remote, tls, deadline).await {
                self.speak_http(stream, remote, certificate, deadline).await;
            }
            return;
        }
        self.speak_http(socket, remote, None, deadline).await;
    }

    async fn speak_http(
        &self,
        stream: impl Carrier,
        remote: SocketAddr,
        certificate: Option<Arc<ClientCertificate>>,
        deadline: Instant,
    ) {
        let has_asked = AtomicBool::new(false);
        let exit = Exit::default();
        let service = service_fn(|mut request: Request<Incoming>| {
            has_asked.store(true, Ordering::Relaxed);
            request.extensions_mut().insert(ConnectInfo(remote));
            request.extensions_mut().insert(exit.clone());
            if let Some(certificate) = &certificate {
                request.extensions_mut().insert(Arc::clone(certificate));
            }
            answer(self.router.clone(), request)
        });
        let watched = TokioIo::new(Watched::new(stream));
        let mut connection = self.builder.serve_connection(watched, service).with_upgrades();
        let mut is_due = false;
        let served = loop {
            tokio::select! {
                biased;
                // hyper's own deadline, which is for later requests, began a little later.
                () = sleep_until(deadline), if !is_due => {
                    is_due = true;
                    if !has_asked.load(Ordering::Relaxed) {
                        return self.gate.turned_away(Cause::HandshakeTimeout, remote);
                    }
                }
                served = &mut connection => break served,
                handover = exit.left() => return take_out(connection, *handover).await,
            }
        };
        if let Err(error) = served {
            tracing::debug!(%remote, %error, "an HTTP connection ended early");
        }
    }

    /// Says why to someone who waits while there is no descriptor for it.
    async fn send_away(&self, listener: &TcpListener, spare: &mut Spare) {
        self.gate.set_has_descriptors(false);
        match spare.lend(listener).await {
            Lent::To(socket, peer) => {
                let reason = "no descriptor is left for a connection, come back later";
                let refused = Refused::unavailable(Cause::Descriptors, reason, EXHAUSTED_SPREAD_S);
                self.turn_away(socket, peer, &refused);
            }
            Lent::Nobody => {}
            // Accepting would fail again at once.
            Lent::Nothing => sleep(EXHAUSTED_PAUSE).await,
        }
    }

    /// Answers without having read, counts, and closes. The answer reaches a client that listens; nobody waits for one
    /// that does not. Where TLS is spoken there is no answer: it would take a handshake.
    fn turn_away(&self, socket: TcpStream, peer: SocketAddr, refused: &Refused) {
        self.gate.turned_away(refused.cause, peer);
        #[cfg(feature = "tls")]
        if self.options.tls.is_some() {
            return;
        }
        tell(socket, peer, refused);
    }
}

/// Answers as far as the socket takes it at once, and closes.
pub(super) fn tell(socket: TcpStream, peer: SocketAddr, refused: &Refused) {
    let told = socket.into_std().and_then(|mut socket| {
        socket.write_all(&refused.to_bytes())?;
        socket.shutdown(Shutdown::Write)?;
        // A request that is there already would turn the close into a reset, which may overtake the answer.
        socket.read(&mut [0; HEAD_BYTES_MIN])
    });
    if let Err(error) = told {
        tracing::trace!(%peer, %error, "it did not wait for its answer");
    }
}

/// Finds out whose a connection is, and waits for its first byte; gives its remote address.
async fn meet(
    socket: &mut TcpStream,
    peer: SocketAddr,
    handshake: &mut Handshake,
    is_announced: bool,
) -> Result<SocketAddr, Unmet> {
    let mut remote = peer;
    if is_announced {
        remote = read_proxy_header(socket).await?.map_or(peer, canonical);
        handshake.claim(remote.ip()).map_err(Unmet::Refused)?;
    }
    match socket.peek(&mut [0]).await {
        Ok(1..) => Ok(remote),
        _ => Err(Unmet::Gone),
    }
}

/// Reads a PROXY header and not a byte more; gives the source that it names, if it does.
async fn read_proxy_header(socket: &mut TcpStream) -> Result<Option<SocketAddr>, Unmet> {
    let mut decoder = ProxyHeaderDecoder::default();
    let mut bytes = [0; PEEK_BYTES];
    let mut received = 0;
    loop {
        let seen = socket.peek(&mut bytes).await.map_err(|_| Unmet::Gone)?;
        if seen == 0 && received == 0 {
            return Err(Unmet::Gone);
        }
        if seen == 0 {
            return Err(Unmet::Header(format!("it broke off after {received} bytes")));
        }
        let (used, header) = decoder
            .take(&bytes[..seen])
            .map_err(|error| Unmet::Header(error.to_string()))?;
        let taken = socket.read_exact(&mut bytes[..used]).await;
        received += taken.map_err(|_| Unmet::Gone)?;
        if let Some(header) = header {
            return Ok(header.source);
        }
    }
}

/// Takes a connection apart whose request is to be answered by a shard.
async fn take_out<C: Carrier, S>(
    connection: UpgradeableConnection<TokioIo<Watched<C>>, S>,
    handover: Handover,
) where
    S: HttpService<Incoming, ResBody = Body>,
    S::Error: Into<BoxError>,
{
    let Some(Parts { io, .. }) = connection.into_parts() else {
        return;
    };
    let watched = io.into_inner();
    if watched.is_refusing {
        // It has asked for more while it takes nothing of an earlier answer.
        return tracing::debug!("a client that does not take its answers is dropped");
    }
    handover.take_out(watched).await;
}

/// What the router answers.
async fn answer(router: Router, request: Request<Incoming>) -> Result<Response, Infallible> {
    router.oneshot(request.map(Body::new)).await
}

/// Whether the process or the machine has no descriptor or buffer left (`EMFILE`, `ENFILE`, `ENOBUFS`, `ENOMEM`).
fn is_exhaustion(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(24 | 23 | 105 | 12))
}

/// The time in seconds over which those are spread for whom there was no descriptor.
const EXHAUSTED_SPREAD_S: u64 = 5;
