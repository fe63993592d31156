//! `event_stream`: server-sent events, from the request to what a browser makes of the answer.
//!
//! The first byte says what the rest is. A request: the query, and behind a line feed what its `Last-Event-ID` says. Or what
//! is sent: a payload, a name or a reason, in an event. Checked: a stream opens only for what a second, naive reading of the
//! query and of the id finds good, and begins with `welcome`; every event is one event and means the same to a second reader
//! of the HTML standard, section 9.2; memory is bounded.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderValue, Request, StatusCode, Uri};
use fanfare::{EventStreamService, Fanfare, Options, TopicRules};
use fanfare_protocol::codes::Disconnect;
use fanfare_protocol::dialect::sse::{COMMENT, LastEventId, encode_numberless};
use fanfare_protocol::dialect::{Dialect, Direct};
use fanfare_protocol::{
    Draft, Epoch, Goodbye, Payload, PayloadKind, Position, Publication, Push, Reply, Timestamp, TopicName,
};
use hyper::body::Body as _;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tower::ServiceExt as _;

use crate::bounds::bounded;
use crate::request_head::UNBOUNDED;

/// A request, its answer, and what the shard has of a connection.
const REQUEST_BYTES_MAX: usize = 256 << 10;

/// Runs one input.
pub fn run(bytes: &[u8]) {
    let Some((&kind, rest)) = bytes.split_first() else {
        return;
    };
    if kind % 2 == 0 {
        check_request(rest);
    } else {
        bounded(64 * rest.len() + (64 << 10), || check_event(kind / 2, rest));
    }
}

/// The endpoint and what it runs on. It is made once, for its shard is a thread.
struct Door {
    runtime: Runtime,
    service: EventStreamService,
}

impl Door {
    fn open() -> &'static Self {
        static DOOR: OnceLock<Door> = OnceLock::new();
        DOOR.get_or_init(|| {
            let options = Options {
                shards: 1,
                door: UNBOUNDED,
                anonymous: true,
                rules: Arc::new(TopicRules::open()),
                ..Options::default()
            };
            let service = Fanfare::start(options).unwrap().sse_service();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.unwrap();
            // The shard may write to a stream that was dropped. A program of Rust's own does not end by that, and this one
            // has libFuzzer's beginning.
            drop(runtime.block_on(async { signal(SignalKind::pipe()) }).unwrap());
            Self { runtime, service }
        })
    }
}

fn check_request(bytes: &[u8]) {
    let mut lines = bytes.splitn(2, |byte| *byte == b'\n');
    let query = lines.next().and_then(|query| std::str::from_utf8(query).ok());
    let uri = query.and_then(|query| format!("/sse?{query}").parse::<Uri>().ok());
    let id = lines.next().map(HeaderValue::from_bytes).transpose();
    let (Some(uri), Ok(id)) = (uri, id) else {
        return;
    };
    let door = Door::open();
    let is_good = is_good(&uri, id.as_ref());
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = uri;
    let remote = SocketAddr::from(([127, 0, 0, 1], 9));
    request.extensions_mut().insert(ConnectInfo(remote));
    if let Some(id) = id {
        request.headers_mut().insert("last-event-id", id);
    }
    bounded(REQUEST_BYTES_MAX + 16 * bytes.len(), || {
        let (status, chunk) = door.runtime.block_on(ask(&door.service, request));
        if status != StatusCode::OK {
            assert!(
                status == StatusCode::BAD_REQUEST || status == StatusCode::FORBIDDEN,
                "{status}"
            );
            return;
        }
        assert!(is_good, "a stream is opened for what is none");
        // A long answer comes in several chunks, and this one may end anywhere.
        let end = chunk.windows(2).rposition(|pair| pair == b"\n\n").unwrap() + 2;
        let mut reader = Reader::default();
        reader.take(&chunk[..end]);
        let welcome = reader.events.first().unwrap();
        assert_eq!(welcome.name, "welcome");
        assert!(reader.retry_ms.is_some(), "a browser is told when to come back");
    });
}

/// The status, and the first that the shard writes.
async fn ask(service: &EventStreamService, request: Request<Body>) -> (StatusCode, Vec<u8>) {
    let answer = service.clone().oneshot(request).await.unwrap();
    let status = answer.status();
    if status != StatusCode::OK {
        return (status, Vec::new());
    }
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut body = Box::pin(answer.into_body());
    let frame = std::future::poll_fn(|context| body.as_mut().poll_frame(context)).await;
    let chunk = frame.unwrap().unwrap().into_data().unwrap();
    (status, chunk.to_vec())
}

/// Whether a stream may be opened: it names topics, each by a name, and goes on at none of them or at as many places.
fn is_good(uri: &Uri, header: Option<&HeaderValue>) -> bool {
    let mut topics: Vec<String> = Vec::new();
    let mut id = None;
    for parameter in uri.query().unwrap_or_default().split('&') {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match (&*decoded(name), decoded(value)) {
            ("topic", topic) if TopicName::parse(&topic).is_err() => return false,
            ("topic", topic) if !topics.contains(&topic) => topics.push(topic),
            ("dialect" | "slow", _) => return false,
            ("lastEventId" | "last_event_id", value) => id = id.or(Some(value)),
            _ => {}
        }
    }
    let header = header.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    match header.or(id).filter(|id| !id.is_empty()) {
        Some(id) => {
            let places: Vec<&str> = id.split(',').collect();
            places.iter().all(|place| is_place(place)) && places.len() == topics.len()
        }
        None => !topics.is_empty(),
    }
}

/// A parameter as it was meant (URL standard, section 5.1).
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        let digits = behind
            .get(..2)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match (first, escaped) {
            (b'%', Some(digits)) => {
                bytes.push(u8::from_str_radix(digits, 16).unwrap());
                rest = &behind[2..];
                continue;
            }
            (b'+', _) => bytes.push(b' '),
            _ => bytes.push(first),
        }
        rest = behind;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// An epoch of base 36, a colon, digits; or nowhere.
fn is_place(text: &str) -> bool {
    let is_number = |text: &str, base| {
        let is_plain = text.chars().all(|character| character.is_digit(base));
        is_plain && u64::from_str_radix(text, base).is_ok()
    };
    let parts = text.split_once(':');
    text == "-" || parts.is_some_and(|(epoch, offset)| is_number(epoch, 36) && is_number(offset, 10))
}

/// Encodes what `kind` says about the rest, and reads it again.
fn check_event(kind: u8, bytes: &[u8]) {
    let text = std::str::from_utf8(bytes);
    match (kind % 6, text) {
        (0, Ok(text)) => {
            if let Ok(json) = serde_json::from_str::<Box<RawValue>>(text) {
                check_payload(&Payload::json(&json));
            }
        }
        (1, Ok(text)) => check_payload(&Payload::text(text)),
        (2, _) => check_payload(&Payload::binary(bytes.to_vec())),
        (3, Ok(text)) => check_goodbye(text),
        (4, Ok(text)) => check_topic(text),
        (5, Ok(text)) => check_id(text),
        _ => {}
    }
}

fn check_payload(payload: &Payload) {
    let topic = TopicName::parse("a").unwrap();
    let position = Position {
        epoch: Epoch(71),
        offset: 7,
    };
    let publication = Publication {
        draft: Draft::new(topic, payload.clone(), Timestamp(1)),
        position,
    };
    let mut event = Vec::new();
    Dialect::Sse.encode_publication(&publication, &mut event);
    let (read, id) = only_event(&event);
    assert_eq!((&*read.name, id), ("message", Some(position.to_string())));
    check_content(&read, payload);
    let places = LastEventId(vec![None, Some(position)]);
    let mut event = Vec::new();
    places.encode(&mut event);
    encode_numberless(&publication, &mut event);
    let (read, id) = only_event(&event);
    assert_eq!(id.map(|id| id.parse()), Some(Ok(places)));
    check_content(&read, payload);
    let direct = Direct {
        from: None,
        time: Timestamp(1),
        payload: payload.clone(),
    };
    let mut event = Vec::new();
    Dialect::Sse.encode_direct(&direct, &mut event);
    let (read, id) = only_event(&event);
    assert_eq!(id, None);
    check_content(&read, payload);
}

/// The object of an event has the payload as it was published, but for line breaks between the tokens of JSON.
fn check_content(event: &Event, payload: &Payload) {
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(&event.data).unwrap();
    let bytes = payload.as_bytes();
    match payload.kind() {
        PayloadKind::Json => {
            let json = std::str::from_utf8(bytes).unwrap();
            let expected = json.replace("\r\n", "\n").replace('\r', "\n");
            assert_eq!(members["data"].get(), expected);
        }
        PayloadKind::Text => {
            let text: String = serde_json::from_str(members["data"].get()).unwrap();
            assert_eq!(text.as_bytes(), bytes);
        }
        PayloadKind::Binary => {
            let text: String = serde_json::from_str(members["data_base64"].get()).unwrap();
            assert_eq!(text.len(), bytes.len().div_ceil(3) * 4);
        }
    }
}

fn check_goodbye(reason: &str) {
    let disconnect = Disconnect::Application {
        code: 4_000,
        reason: Arc::from(reason),
    };
    let goodbye = Goodbye {
        disconnect,
        reconnect_after_ms: Some(1_234),
    };
    let mut event = Vec::new();
    Dialect::Sse.encode_push(&Push::Goodbye(goodbye), &mut event);
    let (read, id) = only_event(&event);
    assert_eq!((&*read.name, id), ("goodbye", None));
    let object: Value = serde_json::from_str(&read.data).unwrap();
    assert_eq!(object["reason"], reason);
}

fn check_topic(name: &str) {
    let Ok(topic) = TopicName::parse(name) else {
        return;
    };
    let mut event = Vec::new();
    let reply = Reply::Unsubscribed { topics: vec![topic] };
    Dialect::Sse.encode_reply(None, &reply, &mut event);
    let (read, _) = only_event(&event);
    assert_eq!(read.name, "unsubscribed");
    let object: Value = serde_json::from_str(&read.data).unwrap();
    assert_eq!(object["topics"], serde_json::json!([name]));
}

fn check_id(text: &str) {
    let id = text.parse::<LastEventId>();
    assert_eq!(id.is_ok(), text.split(',').all(is_place), "{text:?}");
    if let Ok(id) = id {
        assert_eq!(id.to_string().parse(), Ok(id));
    }
}

/// An event as a browser dispatches it.
#[derive(Debug)]
struct Event {
    name: String,
    data: String,
}

/// A second reader of event streams (HTML standard, sections 9.2.5 and 9.2.6).
#[derive(Default)]
struct Reader {
    events: Vec<Event>,
    id: Option<String>,
    retry_ms: Option<u64>,
    name: String,
    data: Option<String>,
}

impl Reader {
    /// Reads lines, each of which has its end.
    fn take(&mut self, bytes: &[u8]) {
        let text = std::str::from_utf8(bytes).unwrap();
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let lines = text
            .strip_suffix('\n')
            .unwrap_or_else(|| panic!("{text:?} ends within a line"));
        for line in lines.split('\n') {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            self.field(line.is_empty(), field, value.strip_prefix(' ').unwrap_or(value));
        }
    }

    fn field(&mut self, is_end: bool, field: &str, value: &str) {
        match field {
            "" if is_end => self.dispatch(),
            "event" => value.clone_into(&mut self.name),
            "data" => {
                let data = self.data.get_or_insert_default();
                data.push_str(value);
                data.push('\n');
            }
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            "retry" => self.retry_ms = value.parse().ok(),
            _ => assert_eq!(field, "", "a field that no browser knows"),
        }
    }

    fn dispatch(&mut self) {
        let name = std::mem::take(&mut self.name);
        if let Some(mut data) = self.data.take() {
            data.pop();
            let name = if name.is_empty() {
                "message".to_owned()
            } else {
                name
            };
            self.events.push(Event { name, data });
        }
    }
}

/// The event that the bytes are, with its id. A comment in front makes no difference.
fn only_event(bytes: &[u8]) -> (Event, Option<String>) {
    let mut reader = Reader::default();
    reader.take(&[COMMENT, bytes].concat());
    let event = reader.events.pop().unwrap();
    assert!(
        reader.events.is_empty() && reader.data.is_none() && reader.name.is_empty(),
        "there is more than one event"
    );
    (event, reader.id)
}
