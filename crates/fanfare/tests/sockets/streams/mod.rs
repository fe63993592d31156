//! Streams of server-sent events over real sockets, whatever they come over.

mod door;
#[cfg(feature = "http2")]
mod http2;
mod resuming;
mod slow;
mod stories;

use axum::Router;
use fanfare::{Fanfare, Options, Payload, Retention};
use serde_json::Value;
use tokio::net::TcpListener;

use crate::client::{Client, Response};
use crate::hosts::serve_opaque;
use crate::server::{Server, options};

/// An event as a browser dispatches it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) data: Value,
}

/// A browser's `EventSource`, but that it does not connect again by itself.
pub(crate) struct Stream {
    pub(crate) client: Client,
    pub(crate) response: Response,
    is_chunked: bool,
    is_over: bool,
    raw: Vec<u8>,
    reader: Reader,
}

/// Takes an event stream apart as section 9.2.6 of the HTML standard says.
#[derive(Default)]
pub(crate) struct Reader {
    text: Vec<u8>,
    pub(crate) last_id: String,
    pub(crate) retry_ms: Option<u64>,
    pub(crate) comments: usize,
}

impl Reader {
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        self.text.extend_from_slice(bytes);
    }

    /// The next event that is whole.
    pub(crate) fn next(&mut self) -> Option<Event> {
        loop {
            let end = self.text.windows(2).position(|pair| pair == b"\n\n")? + 2;
            let block: Vec<u8> = self.text.drain(..end).collect();
            if let Some(event) = self.dispatch(std::str::from_utf8(&block).unwrap()) {
                return Some(event);
            }
        }
    }

    fn dispatch(&mut self, block: &str) -> Option<Event> {
        let (mut name, mut data) = (String::from("message"), Vec::new());
        for line in block.lines().filter(|line| !line.is_empty()) {
            let (field, value) = line.split_once(':').unwrap();
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "" => self.comments += 1,
                "event" => value.clone_into(&mut name),
                "id" => value.clone_into(&mut self.last_id),
                "retry" => self.retry_ms = Some(value.parse().unwrap()),
                "data" => data.push(value),
                _ => panic!("{line:?}"),
            }
        }
        let data = (!data.is_empty()).then(|| serde_json::from_str(&data.join("\n")).unwrap());
        data.map(|data| Event { name, data })
    }
}

impl Stream {
    /// Asks for a stream on a connection, with more header lines.
    pub(crate) fn ask(mut client: Client, target: &str, lines: &[&str]) -> Self {
        client.send(request(target, lines).as_bytes());
        let response = client.response().expect("an answer");
        Self {
            is_chunked: response.header("transfer-encoding") == Some("chunked"),
            client,
            response,
            is_over: false,
            raw: Vec::new(),
            reader: Reader::default(),
        }
    }

    /// A stream that was welcomed and has its topics; gives what `subscribed` said of them.
    pub(crate) fn open(client: Client, target: &str, last_id: &str) -> (Self, Value) {
        let line = format!("Last-Event-ID: {last_id}");
        let lines = if last_id.is_empty() {
            &[][..]
        } else {
            &[line.as_str()]
        };
        let mut stream = Self::ask(client, target, lines);
        assert_eq!(stream.response.status, 200, "{:?}", stream.response);
        stream.expect("welcome");
        let subscribed = stream.expect("subscribed");
        (stream, subscribed["topics"].clone())
    }

    pub(crate) fn last_id(&self) -> &str {
        &self.reader.last_id
    }

    pub(crate) fn retry_ms(&self) -> Option<u64> {
        self.reader.retry_ms
    }

    /// The next event; none at the end of the stream.
    pub(crate) fn event(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.reader.next() {
                return Some(event);
            }
            if self.is_over {
                return None;
            }
            self.raw.extend(self.client.bytes()?);
            self.take_body();
        }
    }

    /// The data of the next event, which must have that name.
    pub(crate) fn expect(&mut self, name: &str) -> Value {
        let event = self.event().expect("an event and not the end");
        assert_eq!(event.name, name, "{event:?}");
        event.data
    }

    /// The comments that came so far.
    pub(crate) fn comments(&self) -> usize {
        self.reader.comments
    }

    /// Takes the bytes of the body out of what came, up to its last chunk.
    fn take_body(&mut self) {
        if !self.is_chunked {
            return self.reader.take(&std::mem::take(&mut self.raw));
        }
        while let Some(at) = self.raw.windows(2).position(|pair| pair == b"\r\n") {
            let length = usize::from_str_radix(std::str::from_utf8(&self.raw[..at]).unwrap(), 16).unwrap();
            self.is_over = length == 0;
            if self.is_over || self.raw.len() < at + 2 + length + 2 {
                return;
            }
            self.reader.take(&self.raw[at + 2..][..length]);
            self.raw.drain(..at + 2 + length + 2);
        }
    }
}

/// A request for a stream.
pub(crate) fn request(target: &str, lines: &[&str]) -> String {
    let fixed = ["Host: localhost", "Accept: text/event-stream"];
    let lines = [&fixed, lines, &["\r\n"]].concat().join("\r\n");
    format!("GET {target} HTTP/1.1\r\n{lines}")
}

/// What keeps enough to go on from.
pub(crate) fn keeping() -> Options {
    Options {
        history: Retention {
            publications_max: 100_000,
            ..Retention::default()
        },
        ..options()
    }
}

/// Streams as the bodies of axum's answers.
pub(crate) async fn on_axum(fanfare: Fanfare, listener: TcpListener) {
    let router = Router::new()
        .route("/ws", fanfare.websocket())
        .route("/sse", fanfare.sse());
    axum::serve(listener, router).await.unwrap();
}

/// The same with hyper alone, on streams that hide their sockets.
pub(crate) async fn on_opaque(fanfare: Fanfare, listener: TcpListener) {
    serve_opaque(listener, fanfare.sse_service()).await;
}

pub(crate) fn publish(server: &Server, topic: &str, text: &str) -> u64 {
    let published = server.fanfare.publish(topic, Payload::text(text));
    server.runtime.block_on(published).unwrap().offset
}
