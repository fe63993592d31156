//! What a backend is asked, in Centrifugo's words.

use std::borrow::Cow;

use axum::http::header::{self, HeaderMap, HeaderName};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fanfare::{
    Caller, Dialect, Draft, Entrant, Identity, Payload, PayloadKind, TopicName, UserName, centrifuge,
};
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
    transport: &'static str,
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
    Connect {
        #[serde(flatten)]
        payload: Option<PayloadText<'a>>,
        #[serde(skip_serializing_if = "str::is_empty")]
        name: &'a str,
        #[serde(skip_serializing_if = "str::is_empty")]
        version: &'a str,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        channels: Vec<Cow<'a, str>>,
    },
    Refresh {},
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
    /// May this client connect? One that says no hello has no connection yet, so its id is one of this question alone.
    pub(super) fn connect(entrant: &'a Entrant, names: &[HeaderName]) -> Self {
        let greeting = entrant.greeting.as_deref();
        let payload = greeting.and_then(|greeting| Some(PayloadText::of(greeting.data.as_ref()?)));
        let topics = greeting.iter().flat_map(|greeting| &greeting.topics);
        Self {
            body: Body {
                client: entrant.connection.map_or_else(new_client, centrifuge::client_of),
                transport: transport(entrant.dialect),
                protocol: protocol(entrant.dialect),
                encoding: payload.as_ref().map_or(JSON, PayloadText::encoding),
                user: None,
                about: About::Connect {
                    payload,
                    name: greeting.map_or("", |greeting| &greeting.name),
                    version: greeting.map_or("", |greeting| &greeting.version),
                    channels: topics
                        .map(|topic| centrifuge::channel_of(topic.as_str()))
                        .collect(),
                },
                meta: None,
            },
            headers: listed(&entrant.headers, names),
        }
    }

    /// Who is it from now on?
    pub(super) fn refresh(caller: &'a Caller, names: &[HeaderName]) -> Self {
        Self::of(caller, names, JSON, About::Refresh {})
    }

    /// May this connection receive this topic? The same is asked when it is to go on.
    pub(super) fn subscribe(caller: &'a Caller, topic: &'a TopicName, names: &[HeaderName]) -> Self {
        let channel = centrifuge::channel_of(topic.as_str());
        Self::of(caller, names, JSON, About::Subscribe { channel })
    }

    /// May this connection publish this?
    pub(super) fn publish(caller: &'a Caller, draft: &'a Draft, names: &[HeaderName]) -> Self {
        let payload = PayloadText::of(&draft.payload);
        let (encoding, channel) = (payload.encoding(), centrifuge::channel_of(draft.topic.as_str()));
        Self::of(caller, names, encoding, About::Publish { channel, payload })
    }

    /// What does this procedure give to this connection?
    pub(super) fn rpc(
        caller: &'a Caller,
        method: &'a str,
        payload: &'a Payload,
        names: &[HeaderName],
    ) -> Self {
        let payload = PayloadText::of(payload);
        Self::of(caller, names, payload.encoding(), About::Rpc { method, payload })
    }

    fn of(caller: &'a Caller, names: &[HeaderName], encoding: &'static str, about: About<'a>) -> Self {
        let identity: Option<&Identity> = caller.identity.as_deref();
        let headers = caller
            .entrant
            .as_ref()
            .map(|entrant| listed(&entrant.headers, names));
        Self {
            body: Body {
                client: centrifuge::client_of(caller.connection),
                transport: transport(caller.dialect),
                protocol: protocol(caller.dialect),
                encoding,
                user: Some(caller.user().map_or("", UserName::as_str)),
                about,
                meta: identity.and_then(|identity| raw(identity.meta.as_deref()?)),
            },
            headers: headers.unwrap_or_default(),
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

/// What a client came by.
fn transport(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Json | Dialect::Raw | Dialect::CentrifugeJson | Dialect::CentrifugeProtobuf => "websocket",
        Dialect::Sse | Dialect::CentrifugeJsonEvents => "sse",
        Dialect::CentrifugeJsonLines | Dialect::CentrifugeProtobufStream => "http_stream",
        Dialect::CentrifugeUniJson | Dialect::CentrifugeUniProtobuf => "uni_websocket",
        Dialect::CentrifugeUniJsonEvents => "uni_sse",
        Dialect::CentrifugeUniJsonLines | Dialect::CentrifugeUniProtobufStream => "uni_http_stream",
    }
}

/// In what a client's messages are written.
fn protocol(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::CentrifugeProtobuf
        | Dialect::CentrifugeProtobufStream
        | Dialect::CentrifugeUniProtobuf
        | Dialect::CentrifugeUniProtobufStream => "protobuf",
        _ => JSON,
    }
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

    use fanfare::{ConnectionId, Greeting, Options};
    use serde_json::{Value, json};

    use super::*;

    fn caller(identity: Option<Identity>) -> Caller {
        Caller {
            fanfare: fanfare::Fanfare::start(Options::default()).unwrap(),
            connection: ConnectionId::new(0, 1, 2),
            identity: identity.map(Arc::new),
            dialect: Dialect::CentrifugeJson,
            entrant: None,
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
        assert_eq!(read(Question::subscribe(&ada, &topic, &[])), expected);
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
            let letter = Question::rpc(&nobody, "sum", &payload, &[]).into_letter();
            let text = String::from_utf8(letter.body.to_vec()).unwrap();
            assert!(text.ends_with(expected), "{text}");
        }
    }

    fn entrant(dialect: Dialect, greeting: Option<Greeting>) -> Entrant {
        Entrant {
            certificate: None,
            remote: "192.0.2.1:5".parse().unwrap(),
            target: "/anywhere".to_owned(),
            dialect,
            headers: HeaderMap::new(),
            connection: greeting.as_ref().map(|_| ConnectionId::new(0, 1, 2)),
            greeting: greeting.map(Box::new),
        }
    }

    #[test]
    fn how_a_client_came_is_told() {
        for (dialect, transport, protocol) in [
            (Dialect::Json, "websocket", "json"),
            (Dialect::Sse, "sse", "json"),
            (Dialect::CentrifugeJson, "websocket", "json"),
            (Dialect::CentrifugeProtobuf, "websocket", "protobuf"),
            (Dialect::CentrifugeJsonLines, "http_stream", "json"),
            (Dialect::CentrifugeProtobufStream, "http_stream", "protobuf"),
            (Dialect::CentrifugeJsonEvents, "sse", "json"),
            (Dialect::CentrifugeUniJson, "uni_websocket", "json"),
            (Dialect::CentrifugeUniProtobuf, "uni_websocket", "protobuf"),
            (Dialect::CentrifugeUniJsonEvents, "uni_sse", "json"),
            (Dialect::CentrifugeUniJsonLines, "uni_http_stream", "json"),
            (
                Dialect::CentrifugeUniProtobufStream,
                "uni_http_stream",
                "protobuf",
            ),
        ] {
            let body = read(Question::connect(&entrant(dialect, None), &[]));
            let told = ["transport", "protocol", "encoding"].map(|name| body[name].clone());
            assert_eq!(told, [transport, protocol, "json"].map(|text| json!(text)));
            let client = body["client"].as_str().unwrap();
            assert_eq!((client.len(), client.as_bytes()[14]), (36, b'4'), "{client}");
            assert_eq!(body.as_object().unwrap().len(), 4, "{body}");
            let caller = Caller {
                dialect,
                ..caller(None)
            };
            let body = read(Question::refresh(&caller, &[]));
            let told = ["transport", "protocol"].map(|name| body[name].clone());
            assert_eq!(told, [transport, protocol].map(|text| json!(text)));
        }
    }

    #[test]
    fn what_a_client_says_of_itself_goes_along() {
        let json = serde_json::from_str::<&RawValue>("[ 1 ]").unwrap();
        for (data, encoding, field, written) in [
            (Payload::json(json), "json", "data", json!([1])),
            (Payload::binary(&b"\x00"[..]), "binary", "b64data", json!("AA==")),
        ] {
            let greeting = Greeting {
                data: Some(data),
                name: "js".to_owned(),
                version: "5".to_owned(),
                topics: vec![TopicName::parse("%24a").unwrap()],
                ..Greeting::default()
            };
            let entrant = entrant(Dialect::CentrifugeJson, Some(greeting));
            let client = centrifuge::client_of(ConnectionId::new(0, 1, 2));
            let mut expected = json!({"client": client, "transport": "websocket", "protocol": "json", "encoding": encoding,
                "name": "js", "version": "5", "channels": ["$a"]});
            expected[field] = written;
            assert_eq!(read(Question::connect(&entrant, &[])), expected);
        }
    }

    #[test]
    fn headers_that_are_kept_go_along_with_every_question() {
        let mut kept = entrant(Dialect::CentrifugeJson, None);
        kept.headers.insert("x-tenant", "red".parse().unwrap());
        let caller = Caller {
            entrant: Some(Arc::new(kept)),
            ..caller(None)
        };
        let names = [HeaderName::from_static("x-tenant")];
        let topic = TopicName::parse("a").unwrap();
        let payload = Payload::text("x");
        let draft = Draft::new(topic.clone(), payload.clone(), fanfare::Timestamp(0));
        for question in [
            Question::refresh(&caller, &names),
            Question::subscribe(&caller, &topic, &names),
            Question::publish(&caller, &draft, &names),
            Question::rpc(&caller, "m", &payload, &names),
        ] {
            assert_eq!(question.into_letter().headers["x-tenant"], "red");
        }
        assert!(Question::refresh(&caller, &[]).into_letter().headers.is_empty());
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
