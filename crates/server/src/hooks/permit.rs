//! What a backend allows of receiving a topic: for how long, and what comes with it.

use std::sync::Arc;

use fanfare::{Leave, Timestamp, TopicName};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::answer::{Unread, in_seconds, parse_topics, payload_of};

/// What comes with topics that somebody may receive.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Permit {
    expires_in_s: Option<u64>,
    info: Option<Box<RawValue>>,
    data: Option<Box<RawValue>>,
    text: Option<String>,
    data_base64: Option<String>,
    #[serde(default)]
    subscribe: Vec<String>,
}

/// For how long somebody may go on receiving a topic, and how others see it there from now on.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Renewal {
    expires_in_s: Option<u64>,
    info: Option<Box<RawValue>>,
}

impl Permit {
    /// The leave, and topics that the connection is subscribed to beside; the data is held to the bound of a payload.
    pub(super) fn check(
        self,
        payload_bytes_max: usize,
        now: Timestamp,
    ) -> Result<(Leave, Vec<TopicName>), Unread> {
        let data = payload_of(self.data, self.text, self.data_base64, payload_bytes_max)?;
        let leave = Leave {
            expires_at: self.expires_in_s.map(|seconds| in_seconds(now, seconds)),
            data,
            info: self.info.map(|info| Arc::from(info.get())),
            ..Leave::default()
        };
        Ok((leave, parse_topics(&self.subscribe)?))
    }
}

impl Renewal {
    /// The leave from now on.
    pub(super) fn leave(self, now: Timestamp) -> Leave {
        Leave {
            expires_at: self.expires_in_s.map(|seconds| in_seconds(now, seconds)),
            info: self.info.map(|info| Arc::from(info.get())),
            ..Leave::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use fanfare::Payload;

    use super::*;
    use crate::hooks::answer::read;

    const NOW: Timestamp = Timestamp(1_000);

    fn permit(text: &str) -> Result<(Leave, Vec<TopicName>), Unread> {
        read::<Permit>(text.as_bytes())?.unwrap().check(8, NOW)
    }

    #[test]
    fn leave_is_what_is_said_and_else_a_plain_yes() {
        assert_eq!(permit(r#"{"allow":{}}"#), Ok((Leave::default(), Vec::new())));
        let said = r#"{"allow":{"expires_in_s":2,"info":{"a": 1},"text":"hi","subscribe":["b"]}}"#;
        let leave = Leave {
            expires_at: Some(Timestamp(3_000)),
            data: Some(Payload::text("hi")),
            info: Some(Arc::from(r#"{"a": 1}"#)),
            ..Leave::default()
        };
        assert_eq!(permit(said), Ok((leave, vec![TopicName::parse("b").unwrap()])));
        for text in [
            r#"{"allow":{"text":"123456789"}}"#,
            r#"{"allow":{"text":"a","data":1}}"#,
            r#"{"allow":{"expires_at":7}}"#,
            r#"{"allow":{"expires_in_s":-1}}"#,
            r#"{"allow":{"subscribe":["a b"]}}"#,
        ] {
            assert!(permit(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_renewal_has_no_data() {
        let renewal = |text: &str| read::<Renewal>(text.as_bytes());
        let leave = renewal(r#"{"allow":{"expires_in_s":1}}"#)
            .unwrap()
            .unwrap()
            .leave(NOW);
        assert_eq!(leave.expires_at, Some(Timestamp(2_000)));
        assert!(renewal(r#"{"allow":{"data":1}}"#).is_err());
    }
}
