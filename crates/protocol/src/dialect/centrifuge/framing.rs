//! Several commands in one message, and replies in the encodings of the protocol: JSON objects with a line feed between
//! them, or Protobuf messages each behind its length.

use prost::Message as _;
use prost::encoding::decode_varint;
use serde::de::DeserializeOwned;

use super::reply::{Push, Reply};
use super::request::{Command, Connect};

/// How a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Json,
    Protobuf,
}

/// A message that has no command where one should be. The connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Undecodable;

impl Encoding {
    /// The first command of a message, and what is behind it. What has no end of its own is taken as a whole: it cannot be
    /// read as a command.
    pub(crate) fn split(self, message: &[u8]) -> (&[u8], Option<&[u8]>) {
        match self {
            Self::Json => {
                let end = message.iter().position(|byte| *byte == b'\n');
                let Some(end) = end else {
                    return (message, None);
                };
                let rest = &message[end + 1..];
                (&message[..end], (!rest.is_empty()).then_some(rest))
            }
            Self::Protobuf => {
                let end = end_of_delimited(message).unwrap_or(message.len());
                let (first, rest) = message.split_at(end);
                (first, (!rest.is_empty()).then_some(rest))
            }
        }
    }

    /// Reads one command.
    pub(crate) fn read(self, message: &[u8]) -> Result<Command, Undecodable> {
        match self {
            Self::Json => object(message),
            Self::Protobuf => {
                if end_of_delimited(message) != Some(message.len()) {
                    return Err(Undecodable);
                }
                Command::decode_length_delimited(message).map_err(|_| Undecodable)
            }
        }
    }
}

impl Encoding {
    /// Reads what a client says that only receives: who it is. Nothing at all is nobody in particular.
    pub(crate) fn read_connect(self, message: &[u8]) -> Result<Connect, Undecodable> {
        match self {
            Self::Json if message.trim_ascii().is_empty() => Ok(Connect::default()),
            Self::Json => object(message),
            Self::Protobuf => Connect::decode(message).map_err(|_| Undecodable),
        }
    }
}

/// Reads an object of JSON. A list of its values would pass for one.
pub(super) fn object<T: DeserializeOwned>(json: &[u8]) -> Result<T, Undecodable> {
    let is_object = json.trim_ascii_start().starts_with(b"{");
    let object = is_object.then(|| serde_json::from_slice(json).ok());
    object.flatten().ok_or(Undecodable)
}

/// Where the message ends that begins with its length.
fn end_of_delimited(mut message: &[u8]) -> Option<usize> {
    let whole = message.len();
    let length = usize::try_from(decode_varint(&mut message).ok()?).ok()?;
    let begin = whole - message.len();
    begin.checked_add(length).filter(|end| *end <= whole)
}

impl Encoding {
    /// Appends a reply, as one message of its own.
    pub(crate) fn put_reply(self, reply: &Reply, bytes: &mut Vec<u8>) {
        self.put(reply, bytes);
    }

    /// Appends a push for a client that only receives.
    pub(crate) fn put_push(self, push: &Push, bytes: &mut Vec<u8>) {
        self.put(push, bytes);
    }

    fn put(self, message: &(impl prost::Message + serde::Serialize), bytes: &mut Vec<u8>) {
        match self {
            Self::Json => {
                let begin = bytes.len();
                // What is not JSON has no form here, and is never given.
                if serde_json::to_writer(&mut *bytes, message).is_err() {
                    bytes.truncate(begin);
                }
            }
            Self::Protobuf => {
                bytes.reserve(message.encoded_len() + VARINT_BYTES_MAX);
                // A vector has always room.
                let _ = message.encode_length_delimited(bytes);
            }
        }
    }
}

const VARINT_BYTES_MAX: usize = 10;

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::reply::{ConnectResult, Error, Publication};
    use super::super::request::{Connect, Subscribe};
    use super::*;

    fn commands(encoding: Encoding, message: &[u8]) -> Vec<Result<Command, Undecodable>> {
        let mut commands = Vec::new();
        let mut next = Some(message);
        while let Some(message) = next {
            let (first, rest) = encoding.split(message);
            commands.push(encoding.read(first));
            next = rest;
        }
        commands
    }

    fn ids(encoding: Encoding, message: &[u8]) -> Vec<Result<u32, Undecodable>> {
        let commands = commands(encoding, message).into_iter();
        commands
            .map(|command| command.map(|command| command.id))
            .collect()
    }

    #[test]
    fn several_json_commands_stand_in_lines() {
        let json = |message: &str| ids(Encoding::Json, message.as_bytes());
        assert_eq!(json(r#"{"id":1,"connect":{}}"#), [Ok(1)]);
        assert_eq!(json("{\"id\":1}\n{\"id\":2}\n"), [Ok(1), Ok(2)]);
        assert_eq!(json("{}"), [Ok(0)], "a pong");
        assert_eq!(
            json(r#"{"id":1,"later":[1,{}]}"#),
            [Ok(1)],
            "unknown fields are passed over"
        );
        assert_eq!(json(""), [Err(Undecodable)]);
        assert_eq!(json("\n"), [Err(Undecodable)]);
        assert_eq!(json("{\"id\":1}\n\n"), [Ok(1), Err(Undecodable)]);
        assert_eq!(
            json("{\"id\":1}\n[]\n{\"id\":2}"),
            [Ok(1), Err(Undecodable), Ok(2)]
        );
        assert_eq!(json(r#"{"id":-1}"#), [Err(Undecodable)]);
    }

    #[test]
    fn data_in_json_is_kept_as_it_was_written() {
        let message = br#"{"id":3,"publish":{"channel":"a","data":{"b": [1.50]}}}"#;
        let command = Encoding::Json.read(message).unwrap();
        assert_eq!(command.publish.unwrap().data, r#"{"b": [1.50]}"#);
        let message = br#"{"id":3,"publish":{"channel":"a"}}"#;
        let command = Encoding::Json.read(message).unwrap();
        assert_eq!(command.publish.unwrap().data, Bytes::new());
    }

    /// As a client of Protobuf writes connect and subscribe in one message.
    #[test]
    fn several_protobuf_commands_stand_behind_their_lengths() {
        let commands = [
            Command {
                id: 1,
                connect: Some(Connect {
                    token: "t".to_owned(),
                    ..Connect::default()
                }),
                ..Command::default()
            },
            Command {
                id: 2,
                subscribe: Some(Subscribe {
                    channel: "a".to_owned(),
                    recover: true,
                    offset: 300,
                    ..Subscribe::default()
                }),
                ..Command::default()
            },
        ];
        let bytes = [
            b"\x07\x08\x01\x22\x03\x0a\x01t".as_slice(),
            b"\x0c\x08\x02\x2a\x08\x0a\x01a\x18\x01\x38\xac\x02",
        ]
        .concat();
        assert_eq!(self::commands(Encoding::Protobuf, &bytes), commands.map(Ok));
        for length in 0..bytes.len() {
            let cut = self::commands(Encoding::Protobuf, &bytes[..length]);
            let is_whole = length == 8;
            assert_eq!(cut.last().unwrap().is_ok(), is_whole, "{length}");
        }
        assert_eq!(ids(Encoding::Protobuf, b"\0"), [Ok(0)], "a pong");
        assert_eq!(
            ids(Encoding::Protobuf, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
            [Err(Undecodable)]
        );
    }

    #[test]
    fn what_is_zero_or_empty_is_left_out_of_a_reply() {
        let mut bytes = Vec::new();
        Encoding::Json.put_reply(&Reply::default(), &mut bytes);
        Encoding::Protobuf.put_reply(&Reply::default(), &mut bytes);
        assert_eq!(bytes, b"{}\0", "pings");
        let connected = Reply {
            id: 1,
            connect: Some(ConnectResult {
                client: "c".to_owned(),
                version: "1".to_owned(),
                ping: 25,
                pong: true,
                ..ConnectResult::default()
            }),
            ..Reply::default()
        };
        assert_eq!(
            json(&connected),
            r#"{"id":1,"connect":{"client":"c","version":"1","ping":25,"pong":true}}"#
        );
        let refused = Reply {
            id: 2,
            error: Some(Error {
                code: 103,
                message: "permission denied".to_owned(),
                temporary: false,
            }),
            ..Reply::default()
        };
        assert_eq!(
            json(&refused),
            r#"{"id":2,"error":{"code":103,"message":"permission denied"}}"#
        );
    }

    #[test]
    fn a_publication_has_its_json_as_it_is() {
        let publication = Publication {
            data: Bytes::from_static(br#"{"b": [1.50]}"#),
            offset: 1,
            epoch: "e".to_owned(),
            ..Publication::default()
        };
        let push = Push {
            channel: "a".to_owned(),
            r#pub: Some(publication),
            ..Push::default()
        };
        let reply = Reply {
            push: Some(push.clone()),
            ..Reply::default()
        };
        let expected = r#"{"channel":"a","pub":{"data":{"b": [1.50]},"offset":1,"epoch":"e"}}"#;
        assert_eq!(json(&reply), format!(r#"{{"push":{expected}}}"#));
        let mut bytes = Vec::new();
        Encoding::Json.put_push(&push, &mut bytes);
        assert_eq!(bytes, expected.as_bytes(), "for a client that only receives");
    }

    fn json(reply: &Reply) -> String {
        let mut bytes = Vec::new();
        Encoding::Json.put_reply(reply, &mut bytes);
        String::from_utf8(bytes).unwrap()
    }
}
