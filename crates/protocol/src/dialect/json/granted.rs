//! What comes with a topic that a client is subscribed to.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{Granted, Payload, PayloadKind};

/// What comes with a topic.
#[derive(Serialize)]
pub(super) struct With<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<u64>,
    #[serde(flatten)]
    data: Option<Data<'a>>,
}

/// What the application gives: JSON verbatim, text as a JSON string, bytes in base64 under their own name.
#[derive(Serialize)]
enum Data<'a> {
    #[serde(rename = "data")]
    Json(&'a RawValue),
    #[serde(rename = "data")]
    Text(&'a str),
    #[serde(rename = "data_base64")]
    Binary(String),
}

impl<'a> With<'a> {
    /// What there is to be said.
    pub(super) fn of(granted: &'a Granted) -> Self {
        Self {
            expires_at: granted.expires_at.map(|at| at.0),
            data: granted.data.as_ref().map(Data::of),
        }
    }
}

impl<'a> Data<'a> {
    fn of(payload: &'a Payload) -> Self {
        let bytes = payload.as_bytes();
        let binary = || Self::Binary(STANDARD.encode(bytes));
        match (payload.kind(), std::str::from_utf8(bytes)) {
            (PayloadKind::Json, Ok(json)) => serde_json::from_str(json).map_or_else(|_| binary(), Self::Json),
            (PayloadKind::Text, Ok(text)) => Self::Text(text),
            _ => binary(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::encode::{write_push, write_reply};
    use super::*;
    use crate::{Position, Push, Reply, SubscribedTopic, Timestamp, TopicName};

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut text = Vec::new();
        write(&mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn what_comes_with_a_topic_is_written() {
        let given = |data: Option<Payload>| SubscribedTopic {
            granted: Some(Box::new(Granted {
                expires_at: Some(Timestamp(9)),
                time: Timestamp(5),
                data,
            })),
            topic: TopicName::parse("a").unwrap(),
            position: Position::default(),
            recovered: None,
            is_recoverable: false,
            has_deltas: false,
            publications: Vec::new(),
        };
        for (data, expected) in [
            (None, r#""expires_at":9}"#),
            (
                Some(Payload::serialize(&[1]).unwrap()),
                r#""expires_at":9,"data":[1]}"#,
            ),
            (Some(Payload::text("\"")), r#""expires_at":9,"data":"\""}"#),
            (
                Some(Payload::binary(&b"\x00\xff"[..])),
                r#""expires_at":9,"data_base64":"AP8="}"#,
            ),
        ] {
            let topics = vec![given(data)];
            let text = written(|text| write_reply(None, &Reply::Subscribed { topics }, text));
            assert!(text.contains(expected), "{text}");
        }
    }

    #[test]
    fn an_end_of_leave_has_its_reason() {
        let topic = TopicName::parse("a").unwrap();
        assert_eq!(
            written(|text| write_push(&Push::LeaveEnded { topic }, text)),
            r#"{"type":"unsubscribed","topics":["a"],"reason":"expired"}"#
        );
    }
}
