//! What a backend answers in Centrifugo's words: `result`, `error` or `disconnect`. Of several the last one of these counts,
//! and fields that have no meaning here are passed over, as Centrifugo does; what has a meaning and is wrong is no answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fanfare::{
    Admission, Amendment, Denial, ErrorCode, IdempotencyKey, Identity, Key, Leave, Payload, StateVersion,
    Tags, Timestamp, TopicName, UserName, centrifuge,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::hooks::answer::{Decision, Unread, check_message, check_payload, close_with, parse_json};

/// What was said, not yet checked. `null` says nothing.
#[derive(Deserialize)]
#[serde(bound = "A: DeserializeOwned")]
pub(super) struct Said<A> {
    result: Option<A>,
    error: Option<Fault>,
    disconnect: Option<Close>,
}

#[derive(Deserialize)]
struct Fault {
    code: u32,
    #[serde(default)]
    message: String,
    #[serde(default)]
    temporary: bool,
}

#[derive(Deserialize)]
struct Close {
    code: u16,
    #[serde(default)]
    reason: String,
}

/// Who somebody is who may connect.
#[derive(Deserialize)]
pub(super) struct Entry {
    user: Option<String>,
    expire_at: Option<u64>,
    info: Option<Box<RawValue>>,
    b64info: Option<String>,
    channels: Option<Vec<String>>,
    subs: Option<BTreeMap<String, Option<Permit>>>,
    meta: Option<Box<RawValue>>,
    data: Option<Box<RawValue>>,
    b64data: Option<String>,
}

/// Who somebody is from now on whose time is over.
#[derive(Deserialize)]
pub(super) struct Refreshed {
    #[serde(default)]
    expired: bool,
    expire_at: Option<u64>,
    info: Option<Box<RawValue>>,
    b64info: Option<String>,
    meta: Option<Box<RawValue>>,
}

/// How somebody may receive a channel.
#[derive(Deserialize)]
pub(super) struct Permit {
    expire_at: Option<u64>,
    info: Option<Box<RawValue>>,
    b64info: Option<String>,
    data: Option<Box<RawValue>>,
    b64data: Option<String>,
    #[serde(rename = "override")]
    changes: Option<Override>,
}

/// Whether somebody may go on receiving a channel.
#[derive(Deserialize)]
pub(super) struct Renewal {
    #[serde(default)]
    expired: bool,
    expire_at: Option<u64>,
    info: Option<Box<RawValue>>,
    b64info: Option<String>,
}

#[derive(Deserialize)]
struct Override {
    presence: Option<Switch>,
    join_leave: Option<Switch>,
    force_push_join_leave: Option<Switch>,
}

#[derive(Deserialize)]
struct Switch {
    #[serde(default)]
    value: bool,
}

/// What comes of a publication.
#[derive(Default, Deserialize)]
pub(super) struct Publishing {
    data: Option<Box<RawValue>>,
    b64data: Option<String>,
    skip_history: Option<bool>,
    tags: Option<BTreeMap<String, String>>,
    idempotency_key: Option<String>,
    version: Option<u64>,
    version_epoch: Option<String>,
}

/// What comes of a procedure.
#[derive(Default, Deserialize)]
pub(super) struct Product {
    data: Option<Box<RawValue>>,
    b64data: Option<String>,
}

/// Reads an answer.
///
/// # Errors
/// It is none.
pub(super) fn read<A: DeserializeOwned>(body: &[u8]) -> Result<Said<A>, Unread> {
    parse_json(body)
}

/// What somebody is told of whom nothing is said: neither that it may, nor why not.
pub(super) fn no_leave() -> Denial {
    Denial::forbidden("the application does not allow it")
}

impl<A> Said<A> {
    /// Decides: `check` looks at what is allowed, if anything is said of it.
    pub(super) fn check<C>(
        self,
        check: impl FnOnce(Option<A>) -> Result<Decision<C>, Unread>,
    ) -> Result<Decision<C>, Unread> {
        match self {
            Self {
                disconnect: Some(close),
                ..
            } => close_with("disconnect", close.code, close.reason).map(Err),
            Self {
                error: Some(fault), ..
            } => fault.check().map(Err),
            Self { result, .. } => check(result),
        }
    }
}

impl Fault {
    /// The code goes to clients as it is; in words of the hub it is a refusal for now, or one for good.
    fn check(self) -> Result<Denial, Unread> {
        let Self {
            code,
            message,
            temporary,
        } = self;
        let application_code = u16::try_from(code).ok().filter(|code| CODES.contains(code));
        if application_code.is_none() {
            let (first, last) = (CODES.start(), CODES.end());
            return Err(format!("`error.code` is {code}, codes are {first} to {last}"));
        }
        check_message("error.message", &message)?;
        Ok(Denial::Refused {
            code: if temporary {
                ErrorCode::Unavailable
            } else {
                ErrorCode::Forbidden
            },
            message,
            retry_after_ms: None,
            application_code,
        })
    }
}

impl Entry {
    /// Who it is from now on.
    pub(super) fn check(self, payload_bytes_max: usize) -> Result<Admission, Unread> {
        let user = self.user.filter(|user| !user.is_empty());
        let user = user.map(|user| UserName::parse(&user)).transpose();
        let info = info_of(self.info, self.b64info)?;
        let identity = Identity {
            user: user.map_err(|error| format!("`user`: {error}"))?,
            info,
            expires_at: time_of(self.expire_at),
            meta: self.meta.map(|meta| Arc::from(meta.get())),
            ..Identity::default()
        };
        let mut topics = Vec::new();
        let mut add = |channel: &str| {
            let topic = TopicName::parse(&centrifuge::topic_of(channel));
            let topic = topic.map_err(|error| format!("a channel: {error}"))?;
            if !topics.contains(&topic) {
                topics.push(topic.clone());
            }
            Ok::<_, Unread>(topic)
        };
        for channel in self.channels.iter().flatten() {
            add(channel)?;
        }
        let mut leaves = Vec::new();
        for (channel, permit) in self.subs.into_iter().flatten() {
            let topic = add(&channel)?;
            if let Some(permit) = permit {
                leaves.push((topic, permit.check(payload_bytes_max)?));
            }
        }
        Ok(Admission {
            identity: Arc::new(identity),
            topics,
            leaves,
            data: data_of(self.data, self.b64data, payload_bytes_max)?,
        })
    }
}

impl Refreshed {
    /// Who it is from now on who was this until now; nobody where that is over, or no new end is said.
    pub(super) fn check(self, before: Identity) -> Result<Option<Arc<Identity>>, Unread> {
        let Some(expires_at) = time_of(self.expire_at).filter(|_| !self.expired) else {
            return Ok(None);
        };
        let meta = self.meta.map(|meta| Arc::from(meta.get()));
        Ok(Some(Arc::new(Identity {
            info: info_of(self.info, self.b64info)?.or(before.info),
            expires_at: Some(expires_at),
            meta: meta.or(before.meta),
            ..before
        })))
    }
}

impl Permit {
    /// The leave; the data is held to the bound of a payload.
    pub(super) fn check(self, payload_bytes_max: usize) -> Result<Leave, Unread> {
        self.changes.map_or(Ok(()), Override::check)?;
        let data = data_of(self.data, self.b64data, payload_bytes_max)?;
        Ok(Leave {
            expires_at: time_of(self.expire_at),
            data,
            info: info_of(self.info, self.b64info)?,
            ..Leave::default()
        })
    }
}

impl Renewal {
    /// The leave from now on.
    pub(super) fn check(self) -> Result<Decision<Leave>, Unread> {
        if self.expired {
            return Ok(Err(no_leave()));
        }
        Ok(Ok(Leave {
            expires_at: time_of(self.expire_at),
            info: info_of(self.info, self.b64info)?,
            ..Leave::default()
        }))
    }
}

impl Override {
    /// Refuses what a subscription is to be without though the topic has it.
    fn check(self) -> Result<(), Unread> {
        let changes = self;
        let switches = [
            ("presence", changes.presence),
            ("join_leave", changes.join_leave),
            ("force_push_join_leave", changes.force_push_join_leave),
        ];
        let is_off = |switch: &Option<Switch>| switch.as_ref().is_some_and(|switch| !switch.value);
        match switches.iter().find(|(_, switch)| is_off(switch)) {
            Some((name, _)) => Err(format!(
                "`override` turns {name} off for one subscription; the rule of the topic says it for all"
            )),
            None => Ok(()),
        }
    }
}

impl Publishing {
    /// What is published otherwise. Version 0 says nothing, and neither does an empty text.
    pub(super) fn check(self, payload_bytes_max: usize) -> Result<Amendment, Unread> {
        if self.skip_history == Some(true) {
            return Err(
                "`skip_history` is for one publication; the rule of the topic says for all what is kept"
                    .to_owned(),
            );
        }
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let key = given(self.idempotency_key).map(|key| IdempotencyKey::parse(&key));
        let epoch = given(self.version_epoch).map(|epoch| Key::parse(&epoch));
        let epoch = epoch
            .transpose()
            .map_err(|error| format!("`version_epoch`: {error}"))?;
        let number = self.version.filter(|&number| number > 0);
        let product = Product {
            data: self.data,
            b64data: self.b64data,
        };
        Ok(Amendment {
            payload: product.check(payload_bytes_max)?,
            idempotency_key: key
                .transpose()
                .map_err(|error| format!("`idempotency_key`: {error}"))?,
            version: number.map(|number| StateVersion { number, epoch }),
            tags: Tags::parse(self.tags.iter().flatten()).map_err(|error| format!("`tags`: {error}"))?,
        })
    }
}

impl Product {
    /// The payload, if there is one, held to its bound.
    pub(super) fn check(self, payload_bytes_max: usize) -> Result<Option<Payload>, Unread> {
        let base64 = self.b64data.filter(|base64| !base64.is_empty());
        let payload = match (base64, self.data) {
            (Some(base64), _) => {
                let bytes = STANDARD.decode(base64);
                Some(Payload::binary(
                    bytes.map_err(|_| "`b64data` is not base64".to_owned())?,
                ))
            }
            (None, json) => json.map(|json| Payload::json(&json)),
        };
        check_payload(payload.as_ref(), payload_bytes_max)?;
        Ok(payload)
    }
}

/// A time in seconds; 0 stands for none.
fn time_of(seconds: Option<u64>) -> Option<Timestamp> {
    let seconds = seconds.filter(|&seconds| seconds > 0)?;
    Some(Timestamp(seconds.saturating_mul(1_000)))
}

/// What others see of somebody. What is written in base64 goes before the other.
fn info_of(json: Option<Box<RawValue>>, base64: Option<String>) -> Result<Option<Arc<str>>, Unread> {
    match base64.filter(|base64| !base64.is_empty()) {
        Some(base64) => json_in_base64(&base64).map(Some),
        None => Ok(json.map(|json| Arc::from(json.get()))),
    }
}

/// What a client is given, held to the bound of a payload.
fn data_of(
    json: Option<Box<RawValue>>,
    base64: Option<String>,
    bytes_max: usize,
) -> Result<Option<Payload>, Unread> {
    let data = match base64.filter(|base64| !base64.is_empty()) {
        Some(base64) => Some(json_or_bytes(&base64)?),
        None => json.map(|json| Payload::json(&json)),
    };
    check_payload(data.as_ref(), bytes_max)?;
    Ok(data)
}

/// What is written in base64 may be JSON all the same.
pub(crate) fn json_or_bytes(base64: &str) -> Result<Payload, Unread> {
    let bytes = STANDARD.decode(base64);
    let bytes = bytes.map_err(|_| "`b64data` is not base64".to_owned())?;
    let json = serde_json::from_slice::<&RawValue>(&bytes).map(Payload::json);
    Ok(json.unwrap_or_else(|_| Payload::binary(bytes)))
}

/// JSON in base64, as it is.
pub(crate) fn json_in_base64(base64: &str) -> Result<Arc<str>, Unread> {
    let no_json = || "`b64info` is not JSON in base64".to_owned();
    let bytes = STANDARD.decode(base64).map_err(|_| no_json())?;
    let json: Box<RawValue> = serde_json::from_slice(&bytes).map_err(|_| no_json())?;
    Ok(Arc::from(json.get()))
}

/// The codes that clients may be told: those of the protocol, and from 400 on the application's.
const CODES: std::ops::RangeInclusive<u16> = 100..=1_999;

#[cfg(test)]
mod tests {
    use fanfare::Disconnect;

    use super::*;

    fn entry(text: &str) -> Result<Decision<Option<Admission>>, Unread> {
        let said: Said<Entry> = read(text.as_bytes())?;
        said.check(|entry| entry.map(|entry: Entry| entry.check(99)).transpose().map(Ok))
    }

    fn leave(text: &str) -> Result<Decision<Leave>, Unread> {
        let said: Said<Permit> = read(text.as_bytes())?;
        said.check(|permit| permit.map_or(Ok(Err(no_leave())), |permit| permit.check(8).map(Ok)))
    }

    fn product(text: &str) -> Result<Decision<Option<Payload>>, Unread> {
        let said: Said<Product> = read(text.as_bytes())?;
        said.check(|product: Option<Product>| product.unwrap_or_default().check(8).map(Ok))
    }

    fn publishing(text: &str) -> Result<Decision<Amendment>, Unread> {
        let said: Said<Publishing> = read(text.as_bytes())?;
        said.check(|publishing: Option<Publishing>| publishing.unwrap_or_default().check(8).map(Ok))
    }

    #[test]
    fn what_has_no_meaning_here_is_passed_over() {
        for text in [
            r#"{"result":{}}"#,
            r#"{"result":{"allow":["sub"],"new":{}},"error":null,"disconnect":null}"#,
            r#"{"result":{"override":null,"expire_at":0,"info":null,"b64info":"","data":null,"b64data":""}}"#,
            r#"{"result":{"override":{"presence":{"value":true},"force_recovery":{"value":false}}},"x":1}"#,
        ] {
            assert_eq!(leave(text), Ok(Ok(Leave::default())), "{text}");
        }
    }

    #[test]
    fn leave_is_what_the_answer_says() {
        let json = |text| Payload::json(serde_json::from_str::<&RawValue>(text).unwrap());
        for (text, data, info) in [
            (
                r#"{"result":{"expire_at":7,"data":[ 1 ],"info":{"a": 1}}}"#,
                json("[ 1 ]"),
                r#"{"a": 1}"#,
            ),
            (
                // {"a":1}, twice, and bytes that are no JSON.
                r#"{"result":{"expire_at":7,"data":0,"b64data":"eyJhIjoxfQ==","info":0,"b64info":"eyJhIjoxfQ=="}}"#,
                json(r#"{"a":1}"#),
                r#"{"a":1}"#,
            ),
            (
                r#"{"result":{"expire_at":7,"b64data":"AP8=","info":0}}"#,
                Payload::binary(&b"\x00\xff"[..]),
                "0",
            ),
        ] {
            let expected = Leave {
                expires_at: Some(Timestamp(7_000)),
                data: Some(data),
                info: Some(Arc::from(info)),
                ..Leave::default()
            };
            assert_eq!(leave(text), Ok(Ok(expected)), "{text}");
        }
        for text in [
            r#"{"result":{"data":123456789}}"#,
            r#"{"result":{"b64data":"?"}}"#,
            r#"{"result":{"b64info":"AP8="}}"#,
            r#"{"result":{"expire_at":-1}}"#,
        ] {
            assert!(leave(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_renewal_is_for_how_long_or_a_refusal() {
        let renewal = |text: &str| {
            let said: Said<Renewal> = read(text.as_bytes()).unwrap();
            said.check(|renewal| renewal.map_or(Ok(Err(no_leave())), Renewal::check))
        };
        let until = |ms: Option<u64>| {
            Ok(Ok(Leave {
                expires_at: ms.map(Timestamp),
                ..Leave::default()
            }))
        };
        assert_eq!(renewal(r#"{"result":{"expire_at":7}}"#), until(Some(7_000)));
        assert_eq!(renewal(r#"{"result":{}}"#), until(None));
        for text in ["{}", r#"{"result":{"expired":true,"expire_at":7}}"#] {
            assert_eq!(renewal(text), Ok(Err(no_leave())), "{text}");
        }
    }

    #[test]
    fn nothing_said_is_no_leave() {
        for text in ["{}", r#"{"result":null}"#] {
            assert_eq!(leave(text), Ok(Err(no_leave())), "{text}");
            assert_eq!(entry(text), Ok(Ok(None)), "{text}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_no_answer() {
        for text in [
            "",
            "[]",
            "null",
            "true",
            r#"{"result":7}"#,
            r#"{"result":{}} x"#,
            r#"{"error":{}}"#,
            r#"{"error":{"code":0}}"#,
            r#"{"error":{"code":99}}"#,
            r#"{"error":{"code":2000}}"#,
            r#"{"error":{"code":65636}}"#,
            r#"{"error":{"code":"400"}}"#,
            r#"{"disconnect":{"code":3500}}"#,
            r#"{"disconnect":{"code":5000}}"#,
            r#"{"result":{"override":{"presence":{"value":false}}}}"#,
            r#"{"result":{"override":{"join_leave":{}}}}"#,
        ] {
            assert!(leave(text).is_err(), "{text}");
        }
        let long = format!(r#"{{"error":{{"code":400,"message":"{}"}}}}"#, "x".repeat(1_025));
        assert!(leave(&long).is_err());
        let long = format!(
            r#"{{"disconnect":{{"code":4000,"reason":"{}"}}}}"#,
            "x".repeat(124)
        );
        assert!(leave(&long).is_err());
        assert!(read::<Permit>(b"\xff").is_err());
        for text in [
            r#"{"result":{"user":"a b"}}"#,
            r#"{"result":{"channels":[""]}}"#,
            r#"{"result":{"b64info":"?"}}"#,
            r#"{"result":{"b64info":"AP8="}}"#,
            r#"{"result":{"subs":{"a":{"override":{"presence":{"value":false}}}}}}"#,
            r#"{"result":{"expire_at":-1}}"#,
            r#"{"result":{"b64data":"?"}}"#,
        ] {
            assert!(entry(text).is_err(), "{text}");
        }
        for text in [
            r#"{"result":{"b64data":"?"}}"#,
            r#"{"result":{"data":123456789}}"#,
        ] {
            assert!(product(text).is_err(), "{text}");
            assert!(publishing(text).is_err(), "{text}");
        }
        for text in [
            r#"{"result":{"skip_history":true}}"#,
            r#"{"result":{"idempotency_key":"\n"}}"#,
            r#"{"result":{"version":-1}}"#,
            r#"{"result":{"version":1,"version_epoch":"\n"}}"#,
            r#"{"result":{"tags":{"":"a"}}}"#,
        ] {
            assert!(publishing(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_refusal_keeps_its_code_and_says_whether_it_is_for_now() {
        for (text, number, code) in [
            (
                r#"{"error":{"code":400,"message":"m"}}"#,
                400,
                ErrorCode::Forbidden,
            ),
            (
                r#"{"error":{"code":1999,"message":"m","temporary":true}}"#,
                1_999,
                ErrorCode::Unavailable,
            ),
            (
                r#"{"result":{},"error":{"code":103,"message":"m"}}"#,
                103,
                ErrorCode::Forbidden,
            ),
        ] {
            let expected = Denial::Refused {
                code,
                message: "m".to_owned(),
                retry_after_ms: None,
                application_code: Some(number),
            };
            assert_eq!(leave(text), Ok(Err(expected)), "{text}");
        }
        let closed =
            leave(r#"{"error":{"code":400},"disconnect":{"code":4500,"reason":"banned","reconnect":false}}"#);
        let expected = Disconnect::Application {
            code: 4500,
            reason: Arc::from("banned"),
        };
        assert_eq!(closed, Ok(Err(Denial::Closed(expected))));
    }

    #[test]
    fn who_may_connect_is_who_the_answer_says() {
        let said = entry(
            r#"{"result":{"user":"ada","expire_at":7,"info":{"a": 1},"b64info":"","data":{},"channels":["$a","b"],
                "subs":{"b":{},"c":null},"meta":{"m": 1}}}"#,
        );
        let admission = said.unwrap().unwrap().unwrap();
        let identity = &admission.identity;
        assert_eq!(identity.user.as_ref().map(UserName::as_str), Some("ada"));
        assert_eq!(identity.expires_at, Some(Timestamp(7_000)));
        assert_eq!(
            (identity.info.as_deref(), identity.meta.as_deref()),
            (Some(r#"{"a": 1}"#), Some(r#"{"m": 1}"#))
        );
        let json = serde_json::from_str::<&RawValue>("{}").unwrap();
        assert_eq!(admission.data, Some(Payload::json(json)));
        let topics: Vec<&str> = admission.topics.iter().map(TopicName::as_str).collect();
        assert_eq!(topics, ["%24a", "b", "c"]);
        let nobody =
            entry(r#"{"result":{"user":"","expire_at":0,"channels":null,"b64info":"eyJhIjoxfQ=="}}"#);
        let identity = nobody.unwrap().unwrap().unwrap().identity;
        assert_eq!((&identity.user, identity.expires_at), (&None, None));
        assert_eq!(identity.info.as_deref(), Some(r#"{"a":1}"#));
    }

    #[test]
    fn who_somebody_is_from_now_on_is_said_with_its_end() {
        let before = Identity {
            info: Some(Arc::from("1")),
            meta: Some(Arc::from("2")),
            expires_at: Some(Timestamp(7_000)),
            ..Identity::of_user(UserName::parse("ada").unwrap())
        };
        let renewed = |text: &str| {
            let said: Said<Refreshed> = read(text.as_bytes())?;
            said.check(|renewal| {
                renewal
                    .map_or(Ok(None), |renewal| renewal.check(before.clone()))
                    .map(Ok)
            })
        };
        let kept = Identity {
            expires_at: Some(Timestamp(9_000)),
            ..before.clone()
        };
        assert_eq!(
            renewed(r#"{"result":{"expire_at":9}}"#),
            Ok(Ok(Some(Arc::new(kept.clone()))))
        );
        let changed = Identity {
            info: Some(Arc::from("{}")),
            meta: Some(Arc::from("3")),
            ..kept
        };
        let text = r#"{"result":{"expire_at":9,"info":{},"meta":3,"expired":false}}"#;
        assert_eq!(renewed(text), Ok(Ok(Some(Arc::new(changed)))));
        for text in [
            "{}",
            r#"{"result":{}}"#,
            r#"{"result":{"expire_at":0}}"#,
            r#"{"result":{"expired":true,"expire_at":9}}"#,
        ] {
            assert_eq!(renewed(text), Ok(Ok(None)), "{text}");
        }
        assert!(renewed(r#"{"result":{"expire_at":9,"b64info":"?"}}"#).is_err());
    }

    #[test]
    fn a_payload_is_json_or_bytes() {
        let json = serde_json::from_str::<&RawValue>("[ 1 ]").unwrap();
        for (text, expected) in [
            (r#"{"result":{"data":[ 1 ]}}"#, Some(Payload::json(json))),
            (
                r#"{"result":{"data":1,"b64data":"AP8="}}"#,
                Some(Payload::binary(&b"\x00\xff"[..])),
            ),
            (r#"{"result":{"b64data":""}}"#, None),
            (r#"{"result":{"data":null}}"#, None),
        ] {
            assert_eq!(product(text), Ok(Ok(expected)), "{text}");
        }
    }

    #[test]
    fn a_publication_is_what_the_answer_says_of_it() {
        let nothing = r#"{"result":{"skip_history":false,"tags":{},"idempotency_key":"","version":0,"version_epoch":"e"}}"#;
        assert_eq!(publishing(nothing), Ok(Ok(Amendment::default())));
        let all = r#"{"result":{"b64data":"AP8=","tags":{"a":"b"},"idempotency_key":"k","version":7,"version_epoch":"e"}}"#;
        let expected = Amendment {
            payload: Some(Payload::binary(&b"\x00\xff"[..])),
            idempotency_key: IdempotencyKey::parse("k").ok(),
            version: Some(StateVersion {
                number: 7,
                epoch: Key::parse("e").ok(),
            }),
            tags: Tags::parse([("a", "b")]).unwrap(),
        };
        assert_eq!(publishing(all), Ok(Ok(expected)));
    }

    #[test]
    fn why_something_is_no_answer_does_not_repeat_it() {
        for text in [r#"{"error":{"code":"secret"}}"#, r#"{"result":{"secret"#] {
            let unread = leave(text).unwrap_err();
            assert!(!unread.contains("secret"), "{unread}");
        }
    }
}
