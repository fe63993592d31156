//! The code, `openapi.json` and `docs/protocol/http.md` say the same, in both directions.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::HeaderValue;
use fanfare::Dialect;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::super::answer::{Code, code_table};
use super::super::{Api, Node, OPENAPI, OPENAPI_PATH, routes};
use super::contract::{DOCUMENT, resolve};
use super::{HARMLESS_KEY, KEY, Stand, fanfare, local, reload, request};
use crate::options::ServeOptions;

/// A body of which nothing ever arrives.
struct Stuck;

impl HttpBody for Stuck {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Self::Data>, Self::Error>>> {
        Poll::Pending
    }
}

/// The operations of the document: path, method and the operation.
fn operations() -> impl Iterator<Item = (&'static str, &'static str, &'static Value)> {
    let paths = DOCUMENT["paths"].as_object().unwrap();
    paths.iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap();
        methods
            .iter()
            .map(|(method, operation)| (path.as_str(), method.as_str(), operation))
    })
}

fn names(object: &Value) -> BTreeSet<String> {
    object
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| name.clone())
        .collect()
}

#[test]
fn paths_and_methods_agree() {
    let mut served: BTreeSet<(&str, &str)> =
        routes().iter().map(|route| (route.path, route.method)).collect();
    served.insert((OPENAPI_PATH, "get"));
    let described: BTreeSet<_> = operations().map(|(path, method, _)| (path, method)).collect();
    assert_eq!(served, described);
}

#[test]
fn codes_agree() {
    let described = &DOCUMENT["components"]["schemas"]["Problem"]["properties"]["code"]["enum"];
    let codes: Vec<_> = Code::ALL.iter().map(|code| code.name()).collect();
    assert_eq!(described, &json!(codes));
    let page = include_str!("../../../../../docs/protocol/http.md");
    assert!(
        page.contains(&code_table()),
        "docs/protocol/http.md is stale, it should have:\n{}",
        code_table()
    );
}

/// What a disk that fails or is full is answered with: tested with such disks.
const OF_A_DISK: [&str; 2] = ["500", "507"];

/// What is written by the json dialect, which leaves out what there is nothing to say of.
const OF_THE_DIALECT: [&str; 3] = ["HistoryPage", "Message", "Publisher"];

#[test]
fn dialects_agree() {
    let described = &DOCUMENT["components"]["schemas"]["ConnectionRow"]["properties"]["dialect"]["enum"];
    let names: Vec<_> = Dialect::ALL.iter().map(|dialect| dialect.name()).collect();
    assert_eq!(*described, json!(names));
}

#[test]
fn answers_have_all_their_fields_and_no_others() {
    for (name, schema) in DOCUMENT["components"]["schemas"].as_object().unwrap() {
        // The fields of an object of texts are whoever writes it's own.
        if schema["type"] != "object" || schema["additionalProperties"].is_object() {
            continue;
        }
        assert_eq!(schema["additionalProperties"], json!(false), "{name}");
        let required: BTreeSet<String> =
            serde_json::from_value(schema["required"].clone()).unwrap_or_default();
        if !name.ends_with("Body") && !OF_THE_DIALECT.contains(&name.as_str()) {
            assert_eq!(required, names(&schema["properties"]), "{name}");
        }
    }
}

/// What stands in back quotes after `expected`, as serde names the fields that it knows.
fn fields_in(message: &str) -> BTreeSet<String> {
    let (_, expected) = message.split_once("expected").unwrap();
    expected
        .split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn parameters_and_fields_agree() {
    let stand = Stand::start();
    for (path, method, operation) in operations().filter(|(path, ..)| *path != OPENAPI_PATH) {
        let uri = format!("{path}?nonsense=1");
        let answer = stand
            .call(request(&method.to_uppercase(), &uri).body(Body::empty()).unwrap())
            .await;
        let message = answer.json["error"]["message"].as_str().unwrap();
        let (_, taken) = message.split_once("it takes ").unwrap();
        let described = operation["parameters"].as_array().into_iter().flatten();
        let described: Vec<_> = described
            .filter(|parameter| parameter["in"] == "query")
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        let described = if described.is_empty() {
            "none".to_owned()
        } else {
            described.join(", ")
        };
        assert_eq!(taken, described, "{path}");
        if operation.get("requestBody").is_some() {
            let answer = stand.post_json(path, json!({"nonsense": 1})).await;
            let schema = resolve(&operation["requestBody"]["content"]["application/json"]["schema"]);
            let message = answer.json["error"]["message"].as_str().unwrap();
            assert_eq!(fields_in(message), names(&schema["properties"]), "{path}");
        }
    }
}

/// A call of each path that succeeds.
fn success(path: &str) -> Request {
    let body = match path {
        "/api/publish" => json!({"topic": "a", "data": 1}),
        "/api/broadcast" => json!({"data": 1}),
        "/api/send" => json!({"user": "ana", "data": 1}),
        "/api/subscribe" | "/api/unsubscribe" => json!({"user": "ana", "topic": "a"}),
        "/api/disconnect" | "/api/revoke" => json!({"user": "ana"}),
        "/api/reload" => return request("POST", path).body(Body::empty()).unwrap(),
        "/api/history" => return getting("/api/history?topic=a"),
        "/api/presence" => return getting("/api/presence?topic=a"),
        _ => return getting(path),
    };
    request("POST", path).body(Body::from(body.to_string())).unwrap()
}

fn getting(uri: &str) -> Request {
    request("GET", uri).body(Body::empty()).unwrap()
}

/// A call of each path that names what is not there.
fn naming_nobody(path: &str) -> Option<Request> {
    let nobody = "00000000ffffffff";
    let body = match path {
        "/api/send" => json!({"connection": nobody, "data": 1}),
        "/api/subscribe" | "/api/unsubscribe" => json!({"connection": nobody, "topic": "a"}),
        "/api/disconnect" => json!({"connection": nobody}),
        "/api/presence" => return Some(getting("/api/presence?topic=unkept")),
        _ => return None,
    };
    Some(request("POST", path).body(Body::from(body.to_string())).unwrap())
}

/// A call of each path that expects a topic elsewhere.
fn conflict(path: &str) -> Option<Request> {
    let body = json!({"topic": "a", "data": 1, "expected": {"epoch": "0", "offset": 99}});
    (path == "/api/publish").then(|| request("POST", path).body(Body::from(body.to_string())).unwrap())
}

/// The same call with the key of the tests.
fn with_key(mut request: Request) -> Request {
    request
        .headers_mut()
        .insert("x-api-key", HeaderValue::from_static(KEY));
    request
}

/// Calls of a path that each end in another way.
fn calls_of(path: &str, method: &str) -> Vec<Request> {
    let posting = || request("POST", path);
    let mut calls = vec![success(path)];
    calls.extend(naming_nobody(path));
    calls.extend(conflict(path));
    let uri = format!("{path}?nonsense=1");
    let method = method.to_uppercase();
    calls.push(request(&method, &uri).body(Body::empty()).unwrap());
    calls.push(
        Request::builder()
            .method(&*method)
            .uri(path)
            .body(Body::empty())
            .unwrap(),
    );
    if method == "POST" {
        calls.push(posting().body(Body::new(Stuck)).unwrap());
        calls.push(posting().body(Body::from(vec![b' '; 10_000])).unwrap());
        calls.push(
            posting()
                .header("content-encoding", "gzip")
                .body(Body::empty())
                .unwrap(),
        );
    }
    calls
}

#[tokio::test(start_paused = true)]
async fn every_described_answer_happens() {
    let reads = AtomicUsize::new(0);
    let stand = Stand::reading(move || match reads.fetch_add(1, Ordering::Relaxed) % 2 {
        0 => Ok(ServeOptions::default()),
        _ => Err(vec!["listen is `x`".to_owned()]),
    });
    let (fanfare, access) = (fanfare(), local());
    let full = Api {
        reload: reload(&fanfare, &access, || Ok(ServeOptions::default())),
        fanfare,
        access,
        calls: Arc::new(Semaphore::new(0)),
        node: Arc::new(Node::begin()),
    };
    let full = Stand {
        fanfare: full.fanfare.clone(),
        router: full.into_router(),
    };
    let (no_scopes, no_tokens) = (Stand::with_key(HARMLESS_KEY), Stand::without_tokens());
    for (path, method, operation) in operations() {
        let mut statuses = BTreeSet::new();
        if path == OPENAPI_PATH {
            statuses.insert(stand.get(path).await.status.as_u16().to_string());
        } else {
            for call in calls_of(path, method) {
                statuses.insert(stand.call(call).await.status.as_u16().to_string());
            }
            let busy = full.call(success(path)).await;
            assert_eq!(busy.headers["retry-after"], "1");
            statuses.insert(busy.status.as_u16().to_string());
            let forbidden = no_scopes.call(with_key(success(path))).await;
            statuses.insert(forbidden.status.as_u16().to_string());
            let without = no_tokens.call(success(path)).await;
            statuses.insert(without.status.as_u16().to_string());
        }
        let described = names(&operation["responses"]);
        let happens_here = |status: &String| !OF_A_DISK.contains(&status.as_str());
        let described: BTreeSet<_> = described.into_iter().filter(happens_here).collect();
        assert_eq!(statuses, described, "{path}");
    }
}

#[tokio::test]
async fn the_description_needs_no_key() {
    let stand = Stand::start();
    let stranger = Request::builder().uri("/api/openapi.json");
    let answer = stand.call(stranger.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.done(), serde_json::from_str::<Value>(OPENAPI).unwrap());
}
