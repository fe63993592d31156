//! What a backend is asked, as JSON.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, HeaderName};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fanfare::{
    Action, Admission, Caller, Draft, Entrant, Greeting, Identity, Key, Payload, PayloadKind, TopicName,
    UserName,
};
use serde::Serialize;
use serde_json::value::RawValue;

use super::courier::Letter;
use super::kind::HookKind;

/// One question: `docs/hooks.md` shows an example of each.
#[derive(Serialize)]
pub(super) struct Question<'a> {
    hook: &'static str,
    /// The same when the question is asked again.
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<String>,
    identity: Option<IdentityText<'a>>,
    #[serde(flatten)]
    about: About<'a>,
}

/// What the question is about.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum About<'a> {
    Connect {
        client: Client<'a>,
    },
    Refresh {},
    Subscribe {
        topics: Vec<&'a str>,
    },
    Publish {
        topic: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        key: Option<&'a str>,
        #[serde(flatten)]
        payload: PayloadText<'a>,
    },
    Inspect {
        action: &'static str,
        topic: &'a str,
    },
    Renew {
        topic: &'a str,
    },
    Call {
        method: &'a str,
        #[serde(flatten)]
        payload: PayloadText<'a>,
    },
}

/// Who asks to be let in.
#[derive(Serialize)]
pub(super) struct Client<'a> {
    remote: String,
    target: String,
    headers: BTreeMap<&'a str, Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hello: Option<Hello<'a>>,
}

/// What it says of itself.
#[derive(Serialize)]
struct Hello<'a> {
    name: &'a str,
    version: &'a str,
    topics: Vec<&'a str>,
    #[serde(flatten)]
    payload: Option<PayloadText<'a>>,
}

/// Who somebody is.
#[derive(Serialize)]
struct IdentityText<'a> {
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    info: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    claims: &'a BTreeMap<Box<str>, Vec<Box<str>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    meta: Option<&'a RawValue>,
}

/// A payload: JSON as it is, or text, or bytes.
#[derive(Serialize)]
pub(super) enum PayloadText<'a> {
    #[serde(rename = "data")]
    Json(&'a RawValue),
    #[serde(rename = "text")]
    Text(&'a str),
    #[serde(rename = "data_base64")]
    Binary(String),
}

impl<'a> Question<'a> {
    /// May this client connect?
    pub(super) fn connect(
        entrant: &'a Entrant,
        known: Option<&'a Admission>,
        headers: &'a [HeaderName],
    ) -> Self {
        let client = Client {
            remote: entrant.remote.to_string(),
            target: without_token(&entrant.target),
            headers: listed(&entrant.headers, headers),
            hello: entrant.greeting.as_deref().map(Hello::of),
        };
        Self {
            hook: HookKind::Connect.name(),
            id: new_id(),
            connection: entrant.connection.map(|connection| connection.to_string()),
            identity: known.map(|admission| IdentityText::of(&admission.identity)),
            about: About::Connect { client },
        }
    }

    /// Who is it from now on?
    pub(super) fn refresh(caller: &'a Caller) -> Self {
        Self::of(HookKind::Refresh, caller, About::Refresh {})
    }

    /// May this connection receive these topics?
    pub(super) fn subscribe(caller: &'a Caller, topics: &'a [TopicName]) -> Self {
        let topics = topics.iter().map(TopicName::as_str).collect();
        Self::of(HookKind::Subscribe, caller, About::Subscribe { topics })
    }

    /// May this connection publish this?
    pub(super) fn publish(caller: &'a Caller, draft: &'a Draft) -> Self {
        let about = About::Publish {
            topic: draft.topic.as_str(),
            key: draft.key.as_ref().map(Key::as_str),
            payload: PayloadText::of(&draft.payload),
        };
        Self::of(HookKind::Publish, caller, about)
    }

    /// May this connection do this with this topic: read its history, or see who is there?
    pub(super) fn inspect(caller: &'a Caller, action: Action, topic: &'a TopicName) -> Self {
        let about = About::Inspect {
            action: action.name(),
            topic: topic.as_str(),
        };
        Self::of(HookKind::Inspect, caller, about)
    }

    /// May this connection go on receiving this topic?
    pub(super) fn renew(caller: &'a Caller, topic: &'a TopicName) -> Self {
        let topic = topic.as_str();
        Self::of(HookKind::SubRefresh, caller, About::Renew { topic })
    }

    /// What does this procedure give to this connection?
    pub(super) fn call(caller: &'a Caller, method: &'a str, payload: &'a Payload) -> Self {
        let payload = PayloadText::of(payload);
        Self::of(HookKind::Call, caller, About::Call { method, payload })
    }

    fn of(kind: HookKind, caller: &'a Caller, about: About<'a>) -> Self {
        Self {
            hook: kind.name(),
            id: new_id(),
            connection: Some(caller.connection.to_string()),
            identity: caller.identity.as_deref().map(IdentityText::of),
            about,
        }
    }

    /// As it is sent.
    pub(super) fn into_letter(self) -> Letter {
        // Maps with keys that are no strings cannot be written, and there are none.
        let body = serde_json::to_vec(&self).unwrap_or_default();
        Letter {
            body: body.into(),
            headers: HeaderMap::new(),
            must_be_json: true,
        }
    }
}

impl<'a> Hello<'a> {
    fn of(greeting: &'a Greeting) -> Self {
        Self {
            name: &greeting.name,
            version: &greeting.version,
            topics: greeting.topics.iter().map(TopicName::as_str).collect(),
            payload: greeting.data.as_ref().map(PayloadText::of),
        }
    }
}

impl<'a> IdentityText<'a> {
    fn of(identity: &'a Identity) -> Self {
        Self {
            user: identity.user.as_ref().map(UserName::as_str),
            info: identity.info.as_deref().and_then(raw),
            claims: &identity.claims,
            meta: identity.meta.as_deref().and_then(raw),
        }
    }
}

impl<'a> PayloadText<'a> {
    fn of(payload: &'a Payload) -> Self {
        let text = std::str::from_utf8(payload.as_bytes());
        match (payload.kind(), text) {
            (PayloadKind::Text, Ok(text)) => Self::Text(text),
            (PayloadKind::Json, Ok(text)) => raw(text).map_or(Self::Text(text), Self::Json),
            _ => Self::Binary(STANDARD.encode(payload.as_bytes())),
        }
    }
}

/// JSON that was checked when it came in, as it is.
pub(super) fn raw(text: &str) -> Option<&RawValue> {
    serde_json::from_str(text).ok()
}

fn new_id() -> String {
    format!("{:016x}", fastrand::u64(..))
}

/// The headers of a client that its backend is to see.
fn listed<'a>(headers: &HeaderMap, names: &'a [HeaderName]) -> BTreeMap<&'a str, Vec<String>> {
    let values = |name: &HeaderName| -> Vec<String> {
        let values = headers.get_all(name).iter();
        values
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect()
    };
    names
        .iter()
        .map(|name| (name.as_str(), values(name)))
        .filter(|(_, values)| !values.is_empty())
        .collect()
}

/// What a client asked for, without the token in it: whoever lists no header for it is not to see it here. Nor what a client
/// of Centrifuge says there, which has a place of its own.
fn without_token(target: &str) -> String {
    let Some((path, query)) = target.split_once('?') else {
        return target.to_owned();
    };
    let kept =
        form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name != "token" && name != "cf_connect");
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(kept)
        .finish();
    if query.is_empty() {
        return path.to_owned();
    }
    format!("{path}?{query}")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use fanfare::{ConnectionId, Dialect, Fanfare, Options};
    use serde_json::{Value, json};

    use super::*;

    fn caller() -> Caller {
        Caller {
            fanfare: Fanfare::start(Options::default()).unwrap(),
            connection: ConnectionId::new(0, 1, 2),
            identity: Some(Arc::new(Identity {
                info: Some(Arc::from(r#"{"name": "Ada"}"#)),
                ..Identity::of_user(UserName::parse("ada").unwrap())
            })),
            dialect: Dialect::Json,
            entrant: None,
        }
    }

    /// A question without its id.
    fn read(question: Question<'_>) -> Value {
        let mut value: Value = serde_json::from_slice(&question.into_letter().body).unwrap();
        assert_eq!(value["id"].take().as_str().unwrap().len(), 16);
        value
    }

    #[test]
    fn a_payload_goes_along_as_what_it_is() {
        let caller = caller();
        let json = serde_json::from_str::<&RawValue>("[1.0, 2e3]").unwrap();
        for (payload, expected) in [
            (Payload::json(json), r#""data":[1.0, 2e3]"#),
            (Payload::text("\"quoted\""), r#""text":"\"quoted\"""#),
            (Payload::binary(&b"\x00\xff"[..]), r#""data_base64":"AP8=""#),
        ] {
            let question = Question::call(&caller, "sum", &payload).into_letter();
            let text = String::from_utf8(question.body.to_vec()).unwrap();
            assert!(text.contains(expected), "{text}");
        }
    }

    #[test]
    fn a_question_says_who_asks_and_what() {
        let caller = caller();
        let topics = [TopicName::parse("a").unwrap(), TopicName::parse("b").unwrap()];
        assert_eq!(
            read(Question::subscribe(&caller, &topics)),
            json!({
                "hook": "subscribe",
                "id": null,
                "connection": caller.connection.to_string(),
                "identity": {"user": "ada", "info": {"name": "Ada"}},
                "topics": ["a", "b"],
            })
        );
        assert_eq!(
            read(Question::inspect(&caller, Action::History, &topics[0])),
            json!({
                "hook": "inspect",
                "id": null,
                "connection": caller.connection.to_string(),
                "identity": {"user": "ada", "info": {"name": "Ada"}},
                "action": "history",
                "topic": "a",
            })
        );
        let anonymous = Caller {
            identity: None,
            ..caller
        };
        assert_eq!(
            read(Question::subscribe(&anonymous, &topics))["identity"],
            Value::Null
        );
    }

    #[test]
    fn what_a_client_says_of_itself_goes_along_and_not_in_its_address() {
        let greeting = Greeting {
            data: Some(Payload::text("hi")),
            name: "js".to_owned(),
            topics: vec![TopicName::parse("a").unwrap()],
            ..Greeting::default()
        };
        let entrant = Entrant {
            certificate: None,
            remote: "192.0.2.1:5".parse().unwrap(),
            target: "/connection/sse?cf_connect=secret&x=1".to_owned(),
            dialect: Dialect::CentrifugeJsonEvents,
            headers: HeaderMap::new(),
            greeting: Some(Box::new(greeting)),
            connection: Some(ConnectionId::new(0, 1, 2)),
        };
        let question = read(Question::connect(&entrant, None, &[]));
        assert_eq!(question["connection"], "0000000100000002");
        let hello = json!({"name": "js", "version": "", "topics": ["a"], "text": "hi"});
        assert_eq!(
            (&question["client"]["hello"], &question["client"]["target"]),
            (&hello, &json!("/connection/sse?x=1"))
        );
    }

    #[test]
    fn headers_that_are_not_listed_and_tokens_stay_here() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("cookie", "a=b"),
            ("authorization", "Bearer x"),
            ("x-tenant", "red"),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        let entrant = Entrant {
            certificate: None,
            remote: "192.0.2.1:5".parse().unwrap(),
            target: "/ws?topic=a%20b&token=secret&tok%65n=secret".to_owned(),
            dialect: Dialect::Json,
            headers,
            greeting: None,
            connection: None,
        };
        let names = [
            HeaderName::from_static("x-tenant"),
            HeaderName::from_static("x-none"),
        ];
        assert_eq!(
            read(Question::connect(&entrant, None, &names)),
            json!({
                "hook": "connect",
                "id": null,
                "identity": null,
                "client": {
                    "remote": "192.0.2.1:5",
                    "target": "/ws?topic=a+b",
                    "headers": {"x-tenant": ["red"]},
                },
            })
        );
    }
}
