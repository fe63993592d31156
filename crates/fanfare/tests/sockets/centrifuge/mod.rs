//! Clients of Centrifuge that use no WebSocket, or only receive, over real sockets.

mod asides;
mod door;
mod limits;
mod stories;

use fanfare::{Fanfare, Payload};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::client::{Client, Response, eventually};
use crate::server::{Server, centrifuge};

/// What the bytes of a stream are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Lines,
    Events,
    Protobuf,
}

/// A stream and what came of it.
pub(crate) struct Feed {
    pub(crate) client: Client,
    pub(crate) response: Response,
    framing: Framing,
    /// Whether the answer comes in chunks.
    is_chunked: bool,
    is_over: bool,
    raw: Vec<u8>,
    body: Vec<u8>,
}

impl Feed {
    /// Sends a request and reads the head of its answer.
    pub(crate) fn ask(mut client: Client, request: &[u8], framing: Framing) -> Self {
        client.send(request);
        let response = client.response().expect("an answer");
        Self {
            is_chunked: response.header("transfer-encoding") == Some("chunked"),
            client,
            response,
            framing,
            is_over: false,
            raw: Vec::new(),
            body: Vec::new(),
        }
    }

    /// The same for a request that is a POST.
    pub(crate) fn post(server: &Server, target: &str, body: &[u8], framing: Framing) -> Self {
        let lines = match framing {
            Framing::Protobuf => &["Content-Type: application/octet-stream"][..],
            _ => &[],
        };
        Self::ask(
            Client::connect(server.address),
            &post(target, body, lines),
            framing,
        )
    }

    /// A stream whose client speaks, and was let in; with what it was told.
    pub(crate) fn open(server: &Server, framing: Framing) -> (Self, Value) {
        let (target, body) = match framing {
            Framing::Lines => ("/connection/http_stream", HELLO),
            Framing::Events => ("/connection/sse", HELLO),
            Framing::Protobuf => panic!("what it is told is not JSON"),
        };
        let mut feed = Self::post(server, target, body.as_bytes(), framing);
        assert_eq!(feed.response.status, 200, "{:?}", feed.response);
        let told = feed.json()["connect"].clone();
        (feed, told)
    }

    /// The next message; none at the end of the stream.
    pub(crate) fn message(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(end) = self.end_of_message() {
                let message: Vec<u8> = self.body.drain(..end).collect();
                return Some(self.unwrapped(&message));
            }
            if self.is_over {
                assert!(self.body.is_empty(), "half a message: {:?}", self.body);
                return None;
            }
            match self.client.bytes() {
                Some(bytes) => self.raw.extend(bytes),
                None => self.is_over = true,
            }
            self.take_body();
        }
    }

    fn end_of_message(&mut self) -> Option<usize> {
        let end_of = |mark: &[u8]| {
            let at = self.body.windows(mark.len()).position(|part| part == mark)?;
            Some(at + mark.len())
        };
        match self.framing {
            Framing::Lines => end_of(b"\n"),
            Framing::Events => end_of(b"\n\n"),
            Framing::Protobuf => {
                let (length, digits) = varint(&self.body)?;
                Some(digits + length).filter(|end| *end <= self.body.len())
            }
        }
    }

    fn unwrapped(&self, message: &[u8]) -> Vec<u8> {
        match self.framing {
            Framing::Lines => message.strip_suffix(b"\n").unwrap().to_vec(),
            Framing::Events => {
                // A stream of events begins with a line break.
                let event = message.strip_prefix(b"\n").unwrap_or(message);
                let data = event.strip_prefix(b"data: ").unwrap();
                data.strip_suffix(b"\n\n").unwrap().to_vec()
            }
            Framing::Protobuf => message[varint(message).unwrap().1..].to_vec(),
        }
    }

    /// The next message, which is JSON.
    pub(crate) fn json(&mut self) -> Value {
        let message = self.message().expect("a message and not the end");
        serde_json::from_slice(&message).unwrap()
    }

    /// Whatever else comes, up to the end of the stream.
    pub(crate) fn rest(&mut self) -> Vec<Value> {
        std::iter::from_fn(|| self.message())
            .map(|message| serde_json::from_slice(&message).unwrap())
            .collect()
    }

    fn take_body(&mut self) {
        if !self.is_chunked {
            return self.body.append(&mut self.raw);
        }
        while let Some(at) = self.raw.windows(2).position(|pair| pair == b"\r\n") {
            let length = usize::from_str_radix(std::str::from_utf8(&self.raw[..at]).unwrap(), 16).unwrap();
            self.is_over = length == 0;
            if self.is_over || self.raw.len() < at + 2 + length + 2 {
                return;
            }
            self.body.extend_from_slice(&self.raw[at + 2..][..length]);
            self.raw.drain(..at + 2 + length + 2);
        }
    }
}

/// A number and the bytes that it takes.
fn varint(bytes: &[u8]) -> Option<(usize, usize)> {
    let end = bytes.iter().position(|byte| byte & 0x80 == 0)?;
    let digits = bytes[..=end].iter().rev();
    let number = digits.fold(0, |number, byte| number << 7 | usize::from(byte & 0x7f));
    Some((number, end + 1))
}

/// A field of a Protobuf message that has a length.
pub(crate) fn field(mut message: &[u8], number: usize) -> Option<&[u8]> {
    while !message.is_empty() {
        let (tag, digits) = varint(message)?;
        let (value, more) = varint(&message[digits..])?;
        let begin = digits + more;
        let end = begin + if tag & 7 == 2 { value } else { 0 };
        if tag == number << 3 | 2 {
            return Some(&message[begin..end]);
        }
        message = &message[end..];
    }
    None
}

/// A Protobuf field that has a length.
pub(crate) fn put(number: u8, value: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, value.len() as u8][..], value].concat()
}

/// A request with a body.
pub(crate) fn post(target: &str, body: &[u8], lines: &[&str]) -> Vec<u8> {
    let length = format!("Content-Length: {}", body.len());
    let lines = [&["Host: localhost", &length][..], lines, &["\r\n"]].concat();
    [
        format!("POST {target} HTTP/1.1\r\n{}", lines.join("\r\n")).as_bytes(),
        body,
    ]
    .concat()
}

/// Says something beside a stream; gives the answer.
pub(crate) fn aside(server: &Server, told: &Value, commands: &str) -> Response {
    let body = json!({"session": told["session"], "node": told["node"], "data": commands});
    request(server, &post("/emulation", body.to_string().as_bytes(), &[]))
}

/// Sends a request on a connection of its own.
pub(crate) fn request(server: &Server, request: &[u8]) -> Response {
    let mut client = Client::connect(server.address);
    client.send(request);
    client.response().expect("an answer")
}

pub(crate) const HELLO: &str = r#"{"id":1,"connect":{}}"#;

pub(crate) fn publish(server: &Server, topic: &str, text: &str) {
    let published = server.fanfare.publish(topic, Payload::text(text));
    server.runtime.block_on(published).unwrap();
}

pub(crate) fn await_subscribers(server: &Server, topic: &str, count: u64) {
    eventually("the subscriptions are in force", || {
        server.fanfare.subscribers(topic) == count
    });
}

/// Streams as the bodies of axum's answers.
pub(crate) async fn on_axum(fanfare: Fanfare, listener: TcpListener) {
    axum::serve(listener, centrifuge(&fanfare)).await.unwrap();
}
