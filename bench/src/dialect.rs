//! What subscribers speak, as far as the measurements must know.

use crate::client::Entry;
use crate::wire::{BINARY, TEXT};
use clap::ValueEnum;
use serde::Serialize;

/// A client protocol of Fanfare's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Dialect {
    Json,
    Raw,
    /// That of Centrifuge's clients, version 2, in JSON.
    CentrifugeJson,
    /// The same in Protobuf.
    CentrifugeProtobuf,
}

/// A message of a client: the opcode of its frame, and its bytes.
pub(crate) type Said = (u8, Vec<u8>);

/// What is in the message that lets a `json` client in.
pub(crate) const WELCOME: &[u8] = br#""type":"welcome""#;

impl Dialect {
    /// How a subscriber of `topic` comes in.
    pub(crate) fn entry(self, topic: &str) -> Entry {
        Entry {
            path: self.path(topic),
            hello: self.hello(topic),
        }
    }

    fn path(self, topic: &str) -> String {
        match self {
            Self::Json => format!("/ws?topic={topic}"),
            Self::Raw => format!("/ws?dialect=raw&topic={topic}"),
            Self::CentrifugeJson => "/connection/websocket".to_owned(),
            Self::CentrifugeProtobuf => "/connection/websocket?format=protobuf".to_owned(),
        }
    }

    /// What it says where its request does not subscribe it.
    fn hello(self, topic: &str) -> Option<Said> {
        match self {
            Self::Json | Self::Raw => None,
            Self::CentrifugeJson => {
                let subscribe = format!(r#"{{"id":2,"subscribe":{{"channel":"{topic}"}}}}"#);
                Some((
                    TEXT,
                    format!("{{\"id\":1,\"connect\":{{}}}}\n{subscribe}").into_bytes(),
                ))
            }
            Self::CentrifugeProtobuf => {
                let mut commands = command(1, CONNECT, &[]);
                commands.extend(command(2, SUBSCRIBE, &field(CHANNEL, topic.as_bytes())));
                Some((BINARY, commands))
            }
        }
    }

    /// What is in the messages that say the subscription holds; `raw` has none.
    pub(crate) fn greetings(self) -> &'static [&'static [u8]] {
        match self {
            Self::Json => &[WELCOME, br#""type":"subscribed""#],
            Self::Raw => &[],
            Self::CentrifugeJson => &[br#"{"id":2,"subscribe":"#],
            // A reply's id, 2, and its field of a subscription, 6.
            Self::CentrifugeProtobuf => &[&[0x08, 2, 6 << 3 | LENGTH_DELIMITED]],
        }
    }

    /// The command that subscribes to a topic, or no longer; `raw` has none.
    pub(crate) fn change(self, subscribes: bool, topic: &str) -> Option<Said> {
        let verb = if subscribes { "subscribe" } else { "unsubscribe" };
        match self {
            Self::Raw => None,
            Self::Json => Some((
                TEXT,
                format!(r#"{{"type":"{verb}","topic":"{topic}"}}"#).into_bytes(),
            )),
            Self::CentrifugeJson => {
                let text = format!(r#"{{"id":3,"{verb}":{{"channel":"{topic}"}}}}"#);
                Some((TEXT, text.into_bytes()))
            }
            Self::CentrifugeProtobuf => {
                let verb = if subscribes { SUBSCRIBE } else { UNSUBSCRIBE };
                Some((BINARY, command(3, verb, &field(CHANNEL, topic.as_bytes()))))
            }
        }
    }

    /// The message that publishes a text without anything that JSON would escape; `raw` publishes to the topic of its request.
    pub(crate) fn publish(self, topic: &str, payload: &str) -> Said {
        match self {
            Self::Raw => (TEXT, payload.as_bytes().to_vec()),
            Self::Json => {
                let text = format!(r#"{{"type":"publish","topic":"{topic}","data":"{payload}"}}"#);
                (TEXT, text.into_bytes())
            }
            Self::CentrifugeJson => {
                let text = format!(r#"{{"id":4,"publish":{{"channel":"{topic}","data":"{payload}"}}}}"#);
                (TEXT, text.into_bytes())
            }
            Self::CentrifugeProtobuf => {
                let mut publish = field(CHANNEL, topic.as_bytes());
                publish.extend(field(DATA, payload.as_bytes()));
                (BINARY, command(4, PUBLISH, &publish))
            }
        }
    }
}

/// A command of Centrifuge in Protobuf behind its length: an id below 128, and one request.
fn command(id: u8, request: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![0x08, id];
    message.extend(field(request, body));
    let mut framed = length(message.len());
    framed.extend(message);
    framed
}

/// A field of bytes, its number below 16.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | LENGTH_DELIMITED];
    field.extend(length(bytes.len()));
    field.extend_from_slice(bytes);
    field
}

/// A length as Protobuf writes it: seven bits in a byte, the lowest first.
fn length(mut bytes: usize) -> Vec<u8> {
    let mut varint = Vec::new();
    while bytes >= 0x80 {
        varint.push(bytes as u8 | 0x80);
        bytes >>= 7;
    }
    varint.push(bytes as u8);
    varint
}

/// Field numbers of `Command`, of channels in all requests, and of what is published, in Centrifuge's
/// `client.proto`; and Protobuf's wire type of bytes.
const CONNECT: u8 = 4;
const SUBSCRIBE: u8 = 5;
const UNSUBSCRIBE: u8 = 6;
const PUBLISH: u8 = 7;
const CHANNEL: u8 = 1;
const DATA: u8 = 2;
const LENGTH_DELIMITED: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_wait_for_their_greeting_and_raw_ones_have_none() {
        assert_eq!(Dialect::Json.path("idle-7"), "/ws?topic=idle-7");
        assert_eq!(Dialect::Raw.path("idle-7"), "/ws?dialect=raw&topic=idle-7");
        assert_eq!(Dialect::Json.greetings().len(), 2);
        assert!(Dialect::Raw.greetings().is_empty() && Dialect::Raw.hello("idle-7").is_none());
    }

    #[test]
    fn protobuf_is_written_as_its_definition_says() {
        let (_, hello) = Dialect::CentrifugeProtobuf.hello("ab").unwrap();
        assert_eq!(hello, *b"\x04\x08\x01\x22\x00\x08\x08\x02\x2a\x04\x0a\x02ab");
        let (_, publish) = Dialect::CentrifugeProtobuf.publish("ab", &"x".repeat(200));
        let head = b"\xd4\x01\x08\x04\x3a\xcf\x01\x0a\x02ab\x12\xc8\x01xxx";
        assert_eq!((&publish[..head.len()], publish.len()), (&head[..], 214));
    }
}
