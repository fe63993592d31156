//! `request_head`: the opening handshake as the door reads it, from the bytes of the request to those of the answer.
//!
//! The first byte is the seed of the cuts, the rest is what a client sends. hyper parses it with the bounds of the
//! listener, and the endpoint answers. Checked: a WebSocket is opened only for a request that a second, naive reading of
//! RFC 6455 section 4.2.1 finds good; the answer has no header beside those the server writes, and nothing of the request
//! in them but the key's digest; memory is bounded by that of a request head.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use fanfare::{Dialect, DoorLimits, Fanfare, ListenerOptions, Options, OriginRule, TopicRules};
use fanfare_protocol::websocket::accept_key;
use fastrand::Rng;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

use crate::bounds::bounded;
use crate::stream::pieces;

/// The head, twice while hyper's buffer grows, its headers, and the answers.
const BYTES_MAX: usize = 512 << 10;

/// No bound on who may connect: the door would soon be closed to what runs ten thousand requests a second.
pub(crate) const UNBOUNDED: DoorLimits = DoorLimits {
    connections_max: None,
    connections_per_address_max: None,
    connections_per_user_max: None,
    handshakes_max: None,
    handshakes_per_address_max: None,
    admissions_per_second: None,
    admissions_per_address: None,
    unauthenticated_max: None,
    refused_tokens_per_address: None,
};

/// Headers that the server may write.
const ANSWERED: [&str; 13] = [
    "allow",
    "connection",
    "content-length",
    "content-type",
    "date",
    "retry-after",
    "sec-websocket-accept",
    "sec-websocket-extensions",
    "sec-websocket-protocol",
    "sec-websocket-version",
    "transfer-encoding",
    "upgrade",
    "x-content-type-options",
];

/// Runs one input.
pub fn run(bytes: &[u8]) {
    let Some((&seed, request)) = bytes.split_first() else {
        return;
    };
    let door = Door::open();
    let mut rng = Rng::with_seed(seed.into());
    let pieces = pieces(request, &mut rng);
    bounded(BYTES_MAX + 4 * request.len(), || {
        let answer = door.runtime.block_on(converse(&door.router, &pieces));
        check(request, &answer);
    });
}

/// The endpoint and what it runs on. It is made once, for its shard is a thread.
struct Door {
    runtime: Runtime,
    router: Router,
}

impl Door {
    fn open() -> &'static Self {
        static DOOR: OnceLock<Door> = OnceLock::new();
        DOOR.get_or_init(|| {
            let options = Options {
                shards: 1,
                door: UNBOUNDED,
                compression: true,
                trusted_proxies: vec!["127.0.0.1".parse().unwrap()],
                is_development: true,
                rules: Arc::new(TopicRules::open()),
                origins: OriginRule::allow(["https://good.example"]).unwrap(),
                ..Options::default()
            };
            let fanfare = Fanfare::start(options).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            Self {
                runtime: runtime.unwrap(),
                router: Router::new().route("/ws", fanfare.websocket()),
            }
        })
    }
}

/// Sends the pieces to a listener's connection; gives everything that is answered.
async fn converse(router: &Router, pieces: &[&[u8]]) -> Vec<u8> {
    let (client, server) = tokio::io::duplex(64 << 10);
    let (answer, ()) = tokio::join!(send(client, pieces), serve(server, router.clone()));
    // The task that waits for the upgrade ends.
    tokio::task::yield_now().await;
    answer
}

async fn send(mut client: DuplexStream, pieces: &[&[u8]]) -> Vec<u8> {
    for piece in pieces {
        if client.write_all(piece).await.is_err() {
            break;
        }
        tokio::task::yield_now().await;
    }
    let mut answer = Vec::new();
    let _ = client.shutdown().await;
    let _ = client.read_to_end(&mut answer).await;
    answer
}

/// What `crates/fanfare/src/door/listener.rs` does with a socket.
async fn serve(server: DuplexStream, router: Router) {
    let options = ListenerOptions::default();
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        let remote = SocketAddr::from(([127, 0, 0, 1], 9));
        request.extensions_mut().insert(ConnectInfo(remote));
        router.clone().oneshot(request)
    });
    // An HTTP connection that ends early is what most inputs make.
    let _ = Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(options.handshake_timeout)
        .max_headers(options.headers_max)
        .max_buf_size(options.head_bytes_max)
        .serve_connection(TokioIo::new(server), service)
        .with_upgrades()
        .await;
}

fn check(request: &[u8], answer: &[u8]) {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    if answer.is_empty() {
        return;
    }
    let parsed = response.parse(answer).unwrap();
    assert!(parsed.is_complete(), "the answer's head is not whole");
    let status = response.code.unwrap_or_default();
    assert!(STATUSES.contains(&status), "{status}");
    for header in &*response.headers {
        let name = header.name.to_ascii_lowercase();
        assert!(ANSWERED.contains(&&*name), "the answer has a header {name}");
    }
    if status == 101 {
        check_opened(request, &response);
    }
}

/// What the door and hyper may answer.
const STATUSES: [u16; 11] = [101, 400, 403, 404, 405, 414, 426, 429, 431, 501, 503];

/// The request must have been one that opens a WebSocket, and the answer the right one.
fn check_opened(request: &[u8], response: &httparse::Response<'_, '_>) {
    let mut headers = [httparse::EMPTY_HEADER; 100];
    let mut asked = httparse::Request::new(&mut headers);
    assert!(asked.parse(request).unwrap().is_complete());
    let all = |name: &str| -> Vec<&str> {
        let named = asked
            .headers
            .iter()
            .filter(|header| header.name.eq_ignore_ascii_case(name));
        named
            .filter_map(|header| std::str::from_utf8(header.value).ok())
            .collect()
    };
    assert_eq!((asked.method, asked.version), (Some("GET"), Some(1)));
    assert!(
        all("connection")
            .join(",")
            .to_ascii_lowercase()
            .contains("upgrade")
    );
    assert!(
        all("upgrade")
            .join(",")
            .to_ascii_lowercase()
            .contains("websocket")
    );
    assert_eq!(all("sec-websocket-version"), ["13"]);
    assert_eq!(all("host").len(), 1);
    assert!(all("transfer-encoding").is_empty());
    assert!(
        all("content-length")
            .iter()
            .all(|length| length.bytes().all(|digit| digit == b'0'))
    );
    assert!(all("origin").len() <= 1);
    let answered = |name: &str| {
        let mut named = response
            .headers
            .iter()
            .filter(|header| header.name.eq_ignore_ascii_case(name));
        named.next().map(|header| header.value.to_vec())
    };
    assert_eq!(all("sec-websocket-key").len(), 1);
    let accept = accept_key(all("sec-websocket-key")[0]);
    assert_eq!(answered("sec-websocket-accept"), Some(accept.into_bytes()));
    if let Some(chosen) = answered("sec-websocket-protocol") {
        let is_known = |dialect: &&Dialect| {
            dialect
                .subprotocol()
                .is_some_and(|name| name.as_bytes() == chosen)
        };
        assert!(
            Dialect::ALL.iter().any(|dialect| is_known(&dialect)),
            "{chosen:?} is not spoken"
        );
        let offered = all("sec-websocket-protocol").join(",");
        let chosen = String::from_utf8_lossy(&chosen).into_owned();
        assert!(offered.contains(&chosen), "{chosen} was not offered");
    }
}
