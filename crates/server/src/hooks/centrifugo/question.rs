//! What a backend is asked, in Centrifugo's words.

use std::borrow::Cow;

use axum::http::header::{self, HeaderMap, HeaderName};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fanfare::{Caller, Draft, Entrant, Identity, Payload, PayloadKind, TopicName, UserName, centrifuge};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::hooks::courier::Letter;
use crate::hooks::question::raw;
use crate::hooks::signature::SIGNATURE_HEADER;

/// One question, and the headers of the client that go along.
pub(super) struct Question<'a> {
    body: Body<'a>,
    headers: HeaderMap,
}

#[derive(Serialize)]
struct Body<'a> {
    client: String,
    transport: &'a str,
    protocol: &'static str,
    encoding: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(flatten)]
    about: About<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    meta: Option<&'a RawValue>,
}

/// What the question is about.
#[derive(Serialize)]
#[serde(untagged)]
enum About<'a> {
    Connect {},
    Subscribe {
        channel: Cow<'a, str>,
    },
    Publish {
        channel: Cow<'a, str>,
        #[serde(flatten)]
        payload: PayloadText<'a>,
    },
    Rpc {
        method: &'a str,
        #[serde(flatten)]
        payload: PayloadText<'a>,
    },
}

/// A payload: JSON as it is, or bytes.
#[derive(Serialize)]
enum PayloadText<'a> {
    #[serde(rename = "data")]
    Json(&'a RawValue),
    #[serde(rename = "b64data")]
    Binary(String),
}

impl<'a> Question<'a> {
    /// May this client connect? It has no connection yet, so its id is one of this question alone.
    pub(super) fn connect(entrant: &'a Entrant, names: &[HeaderName]) -> Self {
        let is_protobuf = speaks_protobuf(entrant);
        Self {
            body: Body {
                client: new_client(),
                transport: transport(&entrant.target),
                protocol: if is_protobuf { "protobuf" } else { JSON },
                encoding: if is_protobuf { BINARY } else { JSON },
                user: None,
                about: About::Connect {},
                meta: None,
            },
            headers: listed(&entrant.headers, names),
        }
    }

    /// May this connection receive this topic? The same is asked when it is to go on.
    pub(super) fn subscribe(caller: &'a Caller, topic: &'a TopicName) -> Self {
        let channel = centrifuge::channel_of(topic.as_str());
        Self::of(caller, JSON, About::Subscribe { channel })
    }

    /// May this connection publish this?
    pub(super) fn publish(caller: &'a Caller, draft: &'a Draft) -> Self {
        let payload = PayloadText::of(&draft.payload);
        let (encoding, channel) = (payload.encoding(), centrifuge::channel_of(draft.topic.as_str()));
        Self::of(caller, encoding, About::Publish { channel, payload })
    }

    /// What does this procedure give to this connection?
    pub(super) fn rpc(caller: &'a Caller, method: &'a str, payload: &'a Payload) -> Self {
        let payload = PayloadText::of(payload);
        Self::of(caller, payload.encoding(), About::Rpc { method, payload })
    }

    fn of(caller: &'a Caller, encoding: &'static str, about: About<'a>) -> Self {
        let identity: Option<&Identity> = caller.identity.as_deref();
        Self {
            body: Body {
                client: centrifuge::client_of(caller.connection),
                // What its connection is made of is known at the door alone.
                transport: WEBSOCKET,
                protocol: JSON,
                encoding,
                user: Some(caller.user().map_or("", UserName::as_str)),
                about,
                meta: identity.and_then(|identity| raw(identity.meta.as_deref()?)),
            },
            headers: HeaderMap::new(),
        }
    }

    /// As it is sent. Centrifugo does not look at what an answer says to be, so nor is it looked at here.
    pub(super) fn into_letter(self) -> Letter {
        // Maps with keys that are no strings cannot be written, and there are none.
        let body = serde_json::to_vec(&self.body).unwrap_or_default();
        Letter {
            body: body.into(),
            headers: self.headers,
            must_be_json: false,
        }
    }
}

impl<'a> PayloadText<'a> {
    fn of(payload: &'a Payload) -> Self {
        let json = match payload.kind() {
            PayloadKind::Json => std::str::from_utf8(payload.as_bytes()).ok().and_then(raw),
            _ => None,
        };
        json.map_or_else(|| Self::Binary(STANDARD.encode(payload.as_bytes())), Self::Json)
    }

    fn encoding(&self) -> &'static str {
        match self {
            Self::Json(_) => JSON,
            Self::Binary(_) => BINARY,
        }
    }
}

/// The headers of a client that go along, without those that say how this request is to be read.
fn listed(headers: &HeaderMap, names: &[HeaderName]) -> HeaderMap {
    let mut found = HeaderMap::new();
    let allowed = names
        .iter()
        .filter(|name| !OWN_HEADERS.contains(name) && **name != SIGNATURE_HEADER);
    for name in allowed {
        for value in headers.get_all(name) {
            found.append(name.clone(), value.clone());
        }
    }
    found
}

/// What a client came by, after the address that it asked for.
fn transport(target: &str) -> &str {
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    match path.rsplit_once('/') {
        Some((_, name @ ("sse" | "http_stream" | "uni_websocket" | "uni_sse" | "uni_http_stream"))) => name,
        _ => WEBSOCKET,
    }
}

/// Whether a client asks for Protobuf, in one of the ways that Centrifuge has.
fn speaks_protobuf(entrant: &Entrant) -> bool {
    let is_asked_for = |name| entrant.parameter(name).is_some_and(|value| value == "protobuf");
    let mut offers = entrant.headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    let is_offered = |value: &axum::http::HeaderValue| {
        let mut names = value.to_str().unwrap_or_default().split(',');
        names.any(|name| name.trim() == "centrifuge-protobuf")
    };
    is_asked_for("format") || is_asked_for("cf_protocol") || offers.any(is_offered)
}

/// A random UUID (version 4, RFC 9562 section 5.4).
fn new_client() -> String {
    let bits = fastrand::u128(..);
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        bits >> 96,
        bits >> 80 & 0xffff,
        bits >> 64 & 0xfff,
        bits >> 48 & 0x3fff | 0x8000,
        bits & 0xffff_ffff_ffff
    )
}

const WEBSOCKET: &str = "websocket";
const JSON: &str = "json";
const BINARY: &str = "binary";

/// Headers that say how this request, or its answer, is to be read: never a client's.
const OWN_HEADERS: [HeaderName; 11] = [
    header::ACCEPT_ENCODING,
    header::CONNECTION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::EXPECT,
    header::HOST,
    header::RANGE,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use fanfare::{ConnectionId, Options};
    use serde_json::{Value, json};

    use super::*;

    fn caller(identity: Option<Identity>) -> Caller {
        Caller {
            fanfare: fanfare::Fanfare::start(Options::default()).unwrap(),
            connection: ConnectionId::new(0, 1, 2),
            identity: identity.map(Arc::new),
        }
    }

    fn read(question: Question<'_>) -> Value {
        serde_json::from_slice(&question.into_letter().body).unwrap()
    }

    #[test]
    fn a_question_is_in_the_words_of_a_proxy() {
        let ada = caller(Some(Identity {
            meta: Some(Arc::from(r#"{"plan": "gold"}"#)),
            ..Identity::of_user(UserName::parse("ada").unwrap())
        }));
        let client = centrifuge::client_of(ada.connection);
        let topic = TopicName::parse("%24vip%23ada").unwrap();
        let expected = json!({"client": client, "transport": "websocket", "protocol": "json", "encoding": "json",
            "user": "ada", "channel": "$vip#ada", "meta": {"plan": "gold"}});
        assert_eq!(read(Question::subscribe(&ada, &topic)), expected);
        let nobody = caller(None);
        let json = serde_json::from_str::<&RawValue>("[1.0, 2e3]").unwrap();
        for (payload, expected) in [
            (
                Payload::json(json),
                r#""encoding":"json","user":"","method":"sum","data":[1.0, 2e3]}"#,
            ),
            (
                Payload::text("hi"),
                r#""encoding":"binary","user":"","method":"sum","b64data":"aGk="}"#,
            ),
            (
                Payload::binary(&b"\x00\xff"[..]),
                r#""encoding":"binary","user":"","method":"sum","b64data":"AP8="}"#,
            ),
        ] {
            let letter = Question::rpc(&nobody, "sum", &payload).into_letter();
            let text = String::from_utf8(letter.body.to_vec()).unwrap();
            assert!(text.ends_with(expected), "{text}");
        }
    }

    #[test]
    fn how_a_client_came_is_told_at_the_door() {
        let entrant = |target: &str, offer: Option<&'static str>| Entrant {
            certificate: None,
            remote: "192.0.2.1:5".parse().unwrap(),
            target: target.to_owned(),
            headers: offer
                .map(|offer| (header::SEC_WEBSOCKET_PROTOCOL, offer.parse().unwrap()))
                .into_iter()
                .collect(),
        };
        for (target, offer, expected) in [
            ("/connection/websocket", None, ["websocket", "json", "json"]),
            (
                "/ws?topic=a",
                Some("fanfare.json.v1"),
                ["websocket", "json", "json"],
            ),
            (
                "/connection/websocket?format=protobuf",
                None,
                ["websocket", "protobuf", "binary"],
            ),
            (
                "/connection/websocket?cf_protocol=protobuf",
                None,
                ["websocket", "protobuf", "binary"],
            ),
            (
                "/connection/websocket",
                Some("x, centrifuge-protobuf"),
                ["websocket", "protobuf", "binary"],
            ),
            ("/connection/uni_sse?a=/sse", None, ["uni_sse", "json", "json"]),
            ("/sse", None, ["sse", "json", "json"]),
        ] {
            let body = read(Question::connect(&entrant(target, offer), &[]));
            let told = ["transport", "protocol", "encoding"].map(|name| body[name].clone());
            assert_eq!(told, expected.map(|text| json!(text)), "{target}");
            let client = body["client"].as_str().unwrap();
            assert_eq!((client.len(), client.as_bytes()[14]), (36, b'4'), "{client}");
            assert_eq!(body.get("user"), None);
        }
    }

    #[test]
    fn headers_go_along_that_are_listed_and_do_not_say_how_to_read_the_request() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("cookie", "a=b"),
            ("cookie", "c=d"),
            ("authorization", "Bearer x"),
            ("content-length", "7"),
            ("fanfare-signature", "t=1,v1=00"),
        ] {
            headers.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        let names = ["cookie", "content-length", "fanfare-signature", "x-none"].map(HeaderName::from_static);
        let found = listed(&headers, &names);
        let cookies: Vec<_> = found
            .get_all("cookie")
            .iter()
            .map(|value| value.to_str().unwrap())
            .collect();
        assert_eq!((found.len(), cookies), (2, vec!["a=b", "c=d"]));
    }
}
