//! What clients that speak beside their stream call their session by, and what they say there.

use bytes::Bytes;
use prost::Message as _;
use serde::{Deserialize, Deserializer};

use super::framing::{Encoding, Undecodable};
use crate::ConnectionId;

/// The name of a session: 48 hexadecimal digits, of which the first 16 are its connection and the others its secret.
pub fn session_of(connection: ConnectionId, secret: u128) -> String {
    format!("{:016x}{secret:032x}", connection.to_bits())
}

/// Connection and secret of [`session_of`]; none where the text is no such name.
pub fn parse_session(session: &str) -> Option<(ConnectionId, u128)> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if session.len() != 48 || !session.bytes().all(is_digit) {
        return None;
    }
    let (connection, secret) = session.split_at(16);
    let bits = u64::from_str_radix(connection, 16).ok()?;
    Some((
        ConnectionId::from_bits(bits),
        u128::from_str_radix(secret, 16).ok()?,
    ))
}

/// What a client says beside its stream: an `EmulationRequest`.
#[derive(Clone, PartialEq, Eq)]
pub struct Aside {
    /// The process that the session is in.
    pub node: String,
    /// The name of the session.
    pub session: String,
    /// The commands, as a message of the session's dialect.
    pub commands: Bytes,
}

impl Aside {
    /// Reads one; none where the bytes are something else.
    pub fn read(is_protobuf: bool, body: &[u8]) -> Option<Self> {
        let encoding = if is_protobuf {
            Encoding::Protobuf
        } else {
            Encoding::Json
        };
        let Request { node, session, data } = Request::read(encoding, body).ok()?;
        Some(Self {
            node,
            session,
            commands: data,
        })
    }
}

#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default)]
struct Request {
    #[prost(string, tag = "1")]
    node: String,
    #[prost(string, tag = "2")]
    session: String,
    /// In JSON a string, because commands stand in lines.
    #[prost(bytes = "bytes", tag = "3")]
    #[serde(deserialize_with = "text")]
    data: Bytes,
}

impl Request {
    fn read(encoding: Encoding, body: &[u8]) -> Result<Self, Undecodable> {
        match encoding {
            Encoding::Json => super::framing::object(body),
            Encoding::Protobuf => Self::decode(body).map_err(|_| Undecodable),
        }
    }
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    String::deserialize(deserializer).map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_session_is_its_connection_and_its_secret() {
        let connection = ConnectionId::new(3, 70_000, 0xdead_beef);
        let session = session_of(connection, 0xab);
        assert_eq!(session, "03011170deadbeef000000000000000000000000000000ab");
        for other in [
            "",
            &session[1..],
            &session.to_uppercase(),
            &session.replace('d', "+"),
            &session.replace('d', "é"),
        ] {
            assert_eq!(parse_session(other), None, "{other}");
        }
    }

    #[test]
    fn an_aside_is_an_object_or_a_message() {
        let aside = Aside {
            node: "n".to_owned(),
            session: "s".to_owned(),
            commands: Bytes::from_static(b"{\"id\":1}\n{}"),
        };
        let json = br#"{"session":"s","node":"n","data":"{\"id\":1}\n{}","more":[]}"#;
        assert!(Aside::read(false, json) == Some(aside.clone()));
        let protobuf = b"\x0a\x01n\x12\x01s\x1a\x0b{\"id\":1}\n{}";
        assert!(Aside::read(true, protobuf) == Some(aside));
        for wrong in [
            &b""[..],
            b"{",
            b"[]",
            br#"["n","s",""]"#,
            br#"{"session":"s","node":"n","data":{}}"#,
            b"{\"session\":\"\xff\"}",
        ] {
            assert!(Aside::read(false, wrong).is_none(), "{wrong:?}");
        }
        for wrong in [
            &b"\x0a"[..],
            b"\x0a\x02n",
            b"\x1a\xff\xff\xff\xff\x0f",
            b"\x0a\x01\xff",
        ] {
            assert!(Aside::read(true, wrong).is_none(), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn every_session_is_found_again(bits: u64, secret: u128) {
            let connection = ConnectionId::from_bits(bits);
            prop_assert_eq!(parse_session(&session_of(connection, secret)), Some((connection, secret)));
        }
    }
}
