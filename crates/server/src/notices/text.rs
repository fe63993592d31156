//! A notice as JSON: `docs/hooks.md` shows one of each kind.

use std::sync::Arc;

use fanfare::{Happening, Identity, Notice};
use serde::Serialize;
use serde_json::value::RawValue;

/// One notice.
#[derive(Serialize)]
struct NoticeText<'a> {
    /// The same whenever this notice is sent, and no other one's.
    id: String,
    sequence: u64,
    time: u64,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    info: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
}

/// A notice of the run of that name.
pub(super) fn of(run: &str, notice: &Notice) -> String {
    let Notice {
        sequence,
        time,
        happening,
    } = notice;
    let empty = NoticeText {
        id: format!("{run}-{sequence}"),
        sequence: *sequence,
        time: time.0,
        kind: kind(happening),
        topic: None,
        connection: None,
        user: None,
        info: None,
        code: None,
    };
    let text = match happening {
        Happening::Connected { connection, identity } => NoticeText {
            connection: Some(connection.to_string()),
            user: user(identity.as_ref()),
            info: info(identity.as_ref()),
            ..empty
        },
        Happening::Disconnected {
            connection,
            identity,
            code,
        } => NoticeText {
            connection: Some(connection.to_string()),
            user: user(identity.as_ref()),
            code: Some(*code),
            ..empty
        },
        Happening::Occupied { topic } | Happening::Vacated { topic } => NoticeText {
            topic: Some(topic.as_str()),
            ..empty
        },
        Happening::Online { user } | Happening::Offline { user } => NoticeText {
            user: Some(user.as_str()),
            ..empty
        },
    };
    // Nothing in it is a map with keys that are no strings.
    serde_json::to_string(&text).unwrap_or_default()
}

fn kind(happening: &Happening) -> &'static str {
    match happening {
        Happening::Connected { .. } => "connected",
        Happening::Disconnected { .. } => "disconnected",
        Happening::Occupied { .. } => "occupied",
        Happening::Vacated { .. } => "vacated",
        Happening::Online { .. } => "online",
        Happening::Offline { .. } => "offline",
    }
}

fn user(identity: Option<&Arc<Identity>>) -> Option<&str> {
    Some(identity?.user.as_ref()?.as_str())
}

fn info(identity: Option<&Arc<Identity>>) -> Option<&RawValue> {
    serde_json::from_str(identity?.info.as_deref()?).ok()
}

#[cfg(test)]
mod tests {
    use fanfare::{ConnectionId, Timestamp, TopicName, UserName};

    use super::*;

    #[test]
    fn a_notice_says_what_it_is_about_and_nothing_else() {
        let connection = ConnectionId::new(0, 1, 2);
        let ada = UserName::parse("ada").unwrap();
        let identity = Some(Arc::new(Identity {
            info: Some(Arc::from("{\"a\": 1}")),
            ..Identity::of_user(ada.clone())
        }));
        let topic = TopicName::parse("a").unwrap();
        for (happening, expected) in [
            (
                Happening::Connected {
                    connection,
                    identity: identity.clone(),
                },
                format!(r#""type":"connected","connection":"{connection}","user":"ada","info":{{"a": 1}}"#),
            ),
            (
                Happening::Disconnected {
                    connection,
                    identity: None,
                    code: 1006,
                },
                format!(r#""type":"disconnected","connection":"{connection}","code":1006"#),
            ),
            (
                Happening::Occupied { topic: topic.clone() },
                r#""type":"occupied","topic":"a""#.to_owned(),
            ),
            (
                Happening::Vacated { topic },
                r#""type":"vacated","topic":"a""#.to_owned(),
            ),
            (
                Happening::Online { user: ada.clone() },
                r#""type":"online","user":"ada""#.to_owned(),
            ),
            (
                Happening::Offline { user: ada },
                r#""type":"offline","user":"ada""#.to_owned(),
            ),
        ] {
            let notice = Notice {
                sequence: 7,
                time: Timestamp(9),
                happening,
            };
            let begin = r#"{"id":"r-7","sequence":7,"time":9,"#;
            assert_eq!(of("r", &notice), format!("{begin}{expected}}}"));
        }
    }
}
