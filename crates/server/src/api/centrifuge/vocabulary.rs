//! Whose words a body has, where Centrifugo's API and ours have the same method.

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny};

/// Whether both APIs have a method of this name.
pub(super) fn is_shared(method: &str) -> bool {
    SHARED_METHODS.contains(&method)
}

/// Whether a body is one of Centrifugo's `method`, which both APIs have. Costs one look over the body, whose values are not
/// kept. What is no JSON object is ours to refuse.
pub(super) fn is_centrifugos(method: &str, body: &[u8]) -> bool {
    // The words would be read from an array as well.
    if !body.trim_ascii_start().starts_with(b"{") {
        return false;
    }
    let Ok(words) = serde_json::from_slice::<Words>(body) else {
        return false;
    };
    let names_a_client = words.client || words.session || words.whitelist || words.disconnect;
    match method {
        _ if words.channel || words.channels => true,
        "unsubscribe" => names_a_client || (words.user && !words.topic && !words.topics),
        "disconnect" => names_a_client,
        _ => false,
    }
}

/// Which of the words that tell the APIs apart a body has, whatever their values.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Words {
    #[serde(deserialize_with = "is_given")]
    channel: bool,
    #[serde(deserialize_with = "is_given")]
    channels: bool,
    #[serde(deserialize_with = "is_given")]
    client: bool,
    #[serde(deserialize_with = "is_given")]
    session: bool,
    #[serde(deserialize_with = "is_given")]
    whitelist: bool,
    #[serde(deserialize_with = "is_given")]
    disconnect: bool,
    #[serde(deserialize_with = "is_given")]
    user: bool,
    #[serde(deserialize_with = "is_given")]
    topic: bool,
    #[serde(deserialize_with = "is_given")]
    topics: bool,
}

fn is_given<'de, D: Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(value).map(|_| true)
}

const SHARED_METHODS: [&str; 5] = ["publish", "broadcast", "subscribe", "unsubscribe", "disconnect"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_body_say_whose_it_is() {
        for (method, body, is_theirs) in [
            ("publish", r#"{"channel": "a", "data": 1}"#, true),
            ("publish", r#"{"data": {"topic": "b"}, "channel": null}"#, true),
            ("publish", r#"{"topic": "a", "channel": "b"}"#, true),
            ("publish", r#"{"ch\u0061nnel": "a"}"#, true),
            ("publish", r#"{"topic": "a", "data": {"channel": "b"}}"#, false),
            ("publish", r#"{"data": 1}"#, false),
            ("publish", r#"{"client": "a", "user": "b"}"#, false),
            ("publish", r#"{"channel": "a""#, false),
            ("publish", r#"["channel"]"#, false),
            ("publish", "\"channel\"", false),
            ("publish", "", false),
            ("broadcast", r#"{"channels": ["a"], "data": 1}"#, true),
            ("broadcast", r#"{"data": {"channels": 1}}"#, false),
            ("subscribe", r#"{"user": "a", "channel": "b"}"#, true),
            ("subscribe", r#"{"user": "a", "topic": "b"}"#, false),
            ("subscribe", r#"{"user": "a", "client": "b"}"#, false),
            ("unsubscribe", r#"{"user": "a"}"#, true),
            ("unsubscribe", r#"{"user": "a", "channel": ""}"#, true),
            ("unsubscribe", r#"{"client": "a"}"#, true),
            ("unsubscribe", r#"{"user": "a", "topic": "b"}"#, false),
            ("unsubscribe", r#"{"user": "a", "topics": []}"#, false),
            ("unsubscribe", r#"{"connection": "a"}"#, false),
            ("disconnect", r#"{"user": "a"}"#, false),
            ("disconnect", r#"{"user": "a", "code": 4000}"#, false),
            ("disconnect", r#"{"user": "a", "disconnect": null}"#, true),
            ("disconnect", r#"{"user": "a", "whitelist": []}"#, true),
            ("disconnect", r#"{"user": "a", "session": ""}"#, true),
            ("disconnect", r#"{"client": "a"}"#, true),
            ("disconnect", "{}", false),
        ] {
            assert!(is_shared(method));
            assert_eq!(
                is_centrifugos(method, body.as_bytes()),
                is_theirs,
                "{method} {body}"
            );
        }
    }
}
