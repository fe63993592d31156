//! What a backend answers: exactly one of `allow`, `deny` and `close`. Everything that is not said in these words is no
//! answer, so that a slip is found at its first use.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fanfare::{
    Admission, Denial, Disconnect, ErrorCode, Grants, Identity, Payload, Timestamp, TopicName, TopicPattern,
    UserName,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::counts::Outcome;

/// What a backend decided.
pub(super) type Decision<A> = Result<A, Denial>;

/// Why something is no answer, in words for an operator: never what the backend wrote.
pub(super) type Unread = String;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, bound = "A: DeserializeOwned")]
struct Written<A> {
    allow: Option<A>,
    deny: Option<Deny>,
    close: Option<Close>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Deny {
    code: Option<String>,
    message: Option<String>,
    retry_after_ms: Option<u64>,
    application_code: Option<u16>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Close {
    code: u16,
    #[serde(default)]
    reason: String,
}

/// Who somebody is who may connect: what is not said stays as it was.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    user: Option<String>,
    info: Option<Box<RawValue>>,
    claims: Option<BTreeMap<Box<str>, Values>>,
    grants: Option<GrantsText>,
    expires_in_s: Option<u64>,
    #[serde(default)]
    topics: Vec<String>,
    data: Option<Box<RawValue>>,
    text: Option<String>,
    data_base64: Option<String>,
}

/// Who somebody is from now on: what is not said stays as it was, and when it ends is said.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Refreshed {
    expires_in_s: u64,
    info: Option<Box<RawValue>>,
    claims: Option<BTreeMap<Box<str>, Values>>,
    grants: Option<GrantsText>,
}

/// One value of a claim, or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Values {
    One(Box<str>),
    Several(Vec<Box<str>>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct GrantsText {
    subscribe: Vec<String>,
    publish: Vec<String>,
    presence: Vec<String>,
    history: Vec<String>,
}

/// What comes of a command that is allowed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Consent {
    data: Option<Box<RawValue>>,
    text: Option<String>,
    data_base64: Option<String>,
    #[serde(default)]
    subscribe: Vec<String>,
}

/// The same, checked.
#[derive(Debug, Default)]
pub(super) struct Checked {
    /// What is published in place of what the client sent, or what a procedure gave.
    pub(super) payload: Option<Payload>,
    /// Topics that the connection is subscribed to.
    pub(super) subscribe: Vec<TopicName>,
}

/// Reads an answer.
///
/// # Errors
/// It is none.
pub(super) fn read<A: DeserializeOwned>(body: &[u8]) -> Result<Decision<A>, Unread> {
    match parse_json::<Written<A>>(body)? {
        Written {
            allow: Some(allow),
            deny: None,
            close: None,
        } => Ok(Ok(allow)),
        Written {
            allow: None,
            deny: Some(deny),
            close: None,
        } => deny.check().map(Err),
        Written {
            allow: None,
            deny: None,
            close: Some(close),
        } => close_with("close", close.code, close.reason).map(Err),
        _ => Err("it must have exactly one of `allow`, `deny` and `close`".to_owned()),
    }
}

/// The same, and what is allowed is checked.
///
/// # Errors
/// It is no answer, or what it allows makes no sense.
pub(super) fn read_checked<A: DeserializeOwned, C>(
    body: &[u8],
    check: impl FnOnce(A) -> Result<C, Unread>,
) -> Result<Decision<C>, Unread> {
    match read(body)? {
        Ok(allowed) => check(allowed).map(Ok),
        Err(denial) => Ok(Err(denial)),
    }
}

/// What a body says, read as JSON.
///
/// # Errors
/// Where it stops to make sense.
pub(super) fn parse_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Unread> {
    let text = std::str::from_utf8(body).map_err(|_| "it is not UTF-8".to_owned())?;
    serde_json::from_str(text).map_err(|error| {
        let (kind, line, column) = (error.classify(), error.line(), error.column());
        format!("it cannot be read ({kind:?} at line {line}, column {column})")
    })
}

/// Has the connection closed with an application's own code and reason, which the answer has in `word`.
///
/// # Errors
/// The code is none of an application's, or the reason does not fit.
pub(super) fn close_with(word: &str, code: u16, reason: String) -> Result<Denial, Unread> {
    if !(4000..=4999).contains(&code) {
        return Err(format!(
            "`{word}.code` is {code}, an application's codes are 4000 to 4999"
        ));
    }
    if reason.len() > REASON_BYTES_MAX {
        let bytes = reason.len();
        return Err(format!(
            "`{word}.reason` is {bytes} bytes, limit is {REASON_BYTES_MAX}"
        ));
    }
    let reason = Arc::from(reason);
    Ok(Denial::Closed(Disconnect::Application { code, reason }))
}

/// Holds words for a client, which the answer has in `word`, to their bound.
pub(super) fn check_message(word: &str, message: &str) -> Result<(), Unread> {
    let bytes = message.len();
    if bytes > MESSAGE_BYTES_MAX {
        return Err(format!("`{word}` is {bytes} bytes, limit is {MESSAGE_BYTES_MAX}"));
    }
    Ok(())
}

/// Holds a payload to its bound.
pub(super) fn check_payload(payload: Option<&Payload>, bytes_max: usize) -> Result<(), Unread> {
    let bytes = payload.map_or(0, |payload| payload.as_bytes().len());
    if bytes > bytes_max {
        return Err(format!(
            "its payload is {bytes} bytes, limit is message_bytes_max, {bytes_max}"
        ));
    }
    Ok(())
}

/// Under what a decision is counted.
pub(super) fn outcome<A>(decision: &Decision<A>) -> Outcome {
    match decision {
        Ok(_) => Outcome::Allowed,
        Err(Denial::Refused { .. }) => Outcome::Denied,
        Err(Denial::Closed(_)) => Outcome::Closed,
    }
}

impl Deny {
    fn check(self) -> Result<Denial, Unread> {
        let code = match self.code {
            None => ErrorCode::Forbidden,
            Some(name) => *ErrorCode::ALL
                .iter()
                .find(|code| code.name() == name)
                .ok_or("`deny.code` is none of the error codes")?,
        };
        let message = self
            .message
            .unwrap_or_else(|| "the application does not allow it".to_owned());
        check_message("deny.message", &message)?;
        Ok(Denial::Refused {
            code,
            message,
            retry_after_ms: self.retry_after_ms,
            application_code: self.application_code,
        })
    }
}

impl Entry {
    /// Who somebody is from now on who was `known` before; nobody, where there was nobody and nothing is said.
    pub(super) fn check(
        self,
        known: Option<Admission>,
        now: Timestamp,
        payload_bytes_max: usize,
    ) -> Result<Option<Admission>, Unread> {
        if self.says_nothing() {
            return Ok(known);
        }
        let Admission {
            identity,
            topics: known_topics,
            leaves,
            data: known_data,
        } = known.unwrap_or_default();
        let mut identity = Identity::clone(&identity);
        if let Some(user) = self.user {
            identity.user = Some(UserName::parse(&user).map_err(|error| format!("`user`: {error}"))?);
        }
        change(&mut identity, self.info, self.claims, self.grants)?;
        if let Some(seconds) = self.expires_in_s {
            identity.expires_at = Some(in_seconds(now, seconds));
        }
        let mut topics = known_topics;
        topics.extend(parse_topics(&self.topics)?);
        let data = payload_of(self.data, self.text, self.data_base64, payload_bytes_max)?;
        Ok(Some(Admission {
            identity: Arc::new(identity),
            topics,
            leaves,
            data: data.or(known_data),
        }))
    }

    fn says_nothing(&self) -> bool {
        let Self {
            user,
            info,
            claims,
            grants,
            expires_in_s,
            topics,
            data,
            text,
            data_base64,
        } = self;
        let is_known = user.is_some() || info.is_some() || claims.is_some() || grants.is_some();
        let has_data = data.is_some() || text.is_some() || data_base64.is_some();
        !is_known && !has_data && expires_in_s.is_none() && topics.is_empty()
    }
}

impl Refreshed {
    /// Who somebody is from now on who was this until now.
    pub(super) fn check(self, mut identity: Identity, now: Timestamp) -> Result<Identity, Unread> {
        change(&mut identity, self.info, self.claims, self.grants)?;
        identity.expires_at = Some(in_seconds(now, self.expires_in_s));
        Ok(identity)
    }
}

/// Changes of an identity what is said.
fn change(
    identity: &mut Identity,
    info: Option<Box<RawValue>>,
    claims: Option<BTreeMap<Box<str>, Values>>,
    grants: Option<GrantsText>,
) -> Result<(), Unread> {
    if let Some(info) = info {
        identity.info = Some(Arc::from(info.get()));
    }
    if let Some(claims) = claims {
        identity.claims = claims
            .into_iter()
            .map(|(name, values)| (name, values.into_vec()))
            .collect();
    }
    if let Some(grants) = grants {
        identity.grants = grants.check()?;
    }
    Ok(())
}

impl Values {
    fn into_vec(self) -> Vec<Box<str>> {
        match self {
            Self::One(value) => vec![value],
            Self::Several(values) => values,
        }
    }
}

impl GrantsText {
    fn check(self) -> Result<Grants, Unread> {
        let patterns = |texts: Vec<String>| -> Result<Vec<TopicPattern>, Unread> {
            let read = |text: &String| {
                text.parse()
                    .map_err(|_| "`grants` has a text that is no pattern of topics".to_owned())
            };
            texts.iter().map(read).collect()
        };
        Ok(Grants {
            subscribe: patterns(self.subscribe)?,
            publish: patterns(self.publish)?,
            presence: patterns(self.presence)?,
            history: patterns(self.history)?,
        })
    }
}

impl Consent {
    /// Holds it to the bound of a payload.
    pub(super) fn check(self, payload_bytes_max: usize) -> Result<Checked, Unread> {
        let payload = payload_of(self.data, self.text, self.data_base64, payload_bytes_max)?;
        Ok(Checked {
            payload,
            subscribe: parse_topics(&self.subscribe)?,
        })
    }
}

/// A payload in one of the words for it, if there is one, held to its bound.
pub(super) fn payload_of(
    json: Option<Box<RawValue>>,
    text: Option<String>,
    base64: Option<String>,
    bytes_max: usize,
) -> Result<Option<Payload>, Unread> {
    let payload = match (json, text, base64) {
        (None, None, None) => None,
        (Some(json), None, None) => Some(Payload::json(&json)),
        (None, Some(text), None) => Some(Payload::text(text)),
        (None, None, Some(base64)) => {
            let bytes = STANDARD.decode(base64);
            Some(Payload::binary(
                bytes.map_err(|_| "`data_base64` is not base64".to_owned())?,
            ))
        }
        _ => return Err("a payload is one of `data`, `text` and `data_base64`".to_owned()),
    };
    check_payload(payload.as_ref(), bytes_max)?;
    Ok(payload)
}

/// The time in so many seconds.
pub(super) fn in_seconds(now: Timestamp, seconds: u64) -> Timestamp {
    let ms = Duration::from_secs(seconds).as_millis() as u64;
    Timestamp(now.0.saturating_add(ms))
}

pub(super) fn parse_topics(texts: &[String]) -> Result<Vec<TopicName>, Unread> {
    let topics: Result<_, _> = texts.iter().map(|text| TopicName::parse(text)).collect();
    topics.map_err(|error| format!("a topic: {error}"))
}

/// What a client may be told in words.
const MESSAGE_BYTES_MAX: usize = 1_024;

/// What a close frame has room for beside its code (RFC 6455 section 5.5).
const REASON_BYTES_MAX: usize = 123;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000);

    fn entry(text: &str) -> Entry {
        read::<Entry>(text.as_bytes()).unwrap().unwrap()
    }

    fn consent(text: &str) -> Result<Checked, Unread> {
        read::<Consent>(text.as_bytes())?.unwrap().check(8)
    }

    #[test]
    fn what_is_not_said_in_the_words_of_an_answer_is_none() {
        for text in [
            "",
            "null",
            "true",
            "[]",
            "{}",
            "{\"allow\":true}",
            "{\"allow\":{}} x",
            "{\"allow\":{},\"deny\":{}}",
            "{\"deny\":{},\"close\":{\"code\":4000}}",
            "{\"alow\":{}}",
            "{\"allow\":{\"dta\":1}}",
            "{\"deny\":{\"code\":\"no\"}}",
            "{\"deny\":{\"code\":7}}",
            "{\"close\":{}}",
            "{\"close\":{\"code\":1000}}",
            "{\"close\":{\"code\":5000}}",
        ] {
            assert!(read::<Consent>(text.as_bytes()).is_err(), "{text}");
        }
        let long = format!("{{\"deny\":{{\"message\":\"{}\"}}}}", "x".repeat(1_025));
        assert!(read::<Consent>(long.as_bytes()).is_err());
        let long = format!(
            "{{\"close\":{{\"code\":4000,\"reason\":\"{}\"}}}}",
            "x".repeat(124)
        );
        assert!(read::<Consent>(long.as_bytes()).is_err());
        assert!(read::<Consent>(b"\xff").is_err());
    }

    #[test]
    fn why_something_is_no_answer_does_not_repeat_it() {
        for text in [
            "{\"secret\":1}",
            "{\"allow\":{\"data\":\"secret",
            "{\"deny\":{\"code\":\"secret\"}}",
        ] {
            let unread = read::<Consent>(text.as_bytes()).err().unwrap();
            assert!(!unread.contains("secret"), "{unread}");
        }
    }

    #[test]
    fn a_denial_is_told_in_the_words_of_the_backend() {
        let denied =
            read::<Consent>(br#"{"deny":{"code":"rate_limited","message":"slowly","retry_after_ms":7,"application_code":402}}"#);
        let expected = Denial::Refused {
            code: ErrorCode::RateLimited,
            message: "slowly".to_owned(),
            retry_after_ms: Some(7),
            application_code: Some(402),
        };
        assert_eq!(denied.unwrap().err(), Some(expected));
        let denied = read::<Consent>(br#"{"deny":{}}"#).unwrap().err();
        assert_eq!(
            denied,
            Some(Denial::forbidden("the application does not allow it"))
        );
        let closed = read::<Consent>(br#"{"close":{"code":4999,"reason":"banned"}}"#);
        let expected = Disconnect::Application {
            code: 4999,
            reason: Arc::from("banned"),
        };
        assert_eq!(closed.unwrap().err(), Some(Denial::Closed(expected)));
    }

    #[test]
    fn who_may_connect_is_who_the_answer_says_and_else_who_it_was() {
        let before = Admission {
            identity: Arc::new(Identity {
                token_id: Some("t1".into()),
                ..Identity::of_user(UserName::parse("ada").unwrap())
            }),
            ..Admission::default()
        };
        assert_eq!(entry(r#"{"allow":{}}"#).check(None, NOW, 8), Ok(None));
        let kept = entry(r#"{"allow":{}}"#).check(Some(before.clone()), NOW, 8);
        assert_eq!(kept, Ok(Some(before.clone())));
        let more = entry(
            r#"{"allow":{"info":{"a":1},"claims":{"team":["red","blue"],"role":"owner"},"grants":{"publish":["a:*"]},
                "expires_in_s":2,"topics":["news"]}}"#,
        );
        let after = more.check(Some(before), NOW, 8).unwrap().unwrap();
        let identity = &after.identity;
        assert_eq!(identity.user.as_ref().map(UserName::as_str), Some("ada"));
        assert_eq!(identity.token_id.as_deref(), Some("t1"));
        assert_eq!(identity.info.as_deref(), Some("{\"a\":1}"));
        assert_eq!(identity.claims["team"], ["red".into(), "blue".into()]);
        assert_eq!(identity.claims["role"], ["owner".into()]);
        assert_eq!(identity.grants.publish, ["a:*".parse().unwrap()]);
        assert_eq!(identity.expires_at, Some(Timestamp(3_000)));
        assert_eq!(after.topics, [TopicName::parse("news").unwrap()]);
        for text in [
            r#"{"allow":{"user":""}}"#,
            r#"{"allow":{"topics":["a b"]}}"#,
            r#"{"allow":{"grants":{"publish":["a b"]}}}"#,
        ] {
            assert!(entry(text).check(None, NOW, 8).is_err(), "{text}");
        }
    }

    #[test]
    fn a_payload_is_of_one_kind_and_within_its_bound() {
        let payload = |text| consent(text).map(|checked| checked.payload);
        let json = serde_json::from_str::<&RawValue>("[ 1 ]").unwrap();
        for (text, expected) in [
            (r#"{"allow":{"data":[ 1 ]}}"#, Some(Payload::json(json))),
            (r#"{"allow":{"text":"hi"}}"#, Some(Payload::text("hi"))),
            (
                r#"{"allow":{"data_base64":"AP8="}}"#,
                Some(Payload::binary(&b"\x00\xff"[..])),
            ),
            (r#"{"allow":{}}"#, None),
        ] {
            assert_eq!(payload(text), Ok(expected), "{text}");
        }
        for text in [
            r#"{"allow":{"data":1,"text":"x"}}"#,
            r#"{"allow":{"data_base64":"?"}}"#,
            r#"{"allow":{"text":"123456789"}}"#,
            r#"{"allow":{"subscribe":["a b"]}}"#,
        ] {
            assert!(payload(text).is_err(), "{text}");
        }
    }
}
