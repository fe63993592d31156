//! The API as callers see it. Every answer of every test is held to `openapi.json` on the way.

mod agreement;
mod contract;
mod errors;
mod history;
mod repeating;
mod scopes;
mod stories;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode};
use fanfare::Retention;
use fanfare::tokens::{Algorithm, IssuerOptions, TokenKey, Tokens, TokensOptions};
use fanfare::{Application, Fanfare, Limits, Options, TopicRule, TopicRules};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;

use super::{Access, router};
use crate::options::{ServeOptions, hash, hash_text};
use crate::serve::Reload;

/// The longest message on the stand.
const MESSAGE_BYTES_MAX: usize = 1_000;

/// A key of the API.
const KEY: &str = "0123456789abcdef";

/// One that may do nothing that anybody asks for.
const HARMLESS_KEY: &str = "harmless publish:nothing HASH";

/// A hub with the API in front of it.
struct Stand {
    fanfare: Fanfare,
    router: Router,
}

/// What a call was answered.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    /// Null where there is no body.
    json: Value,
}

impl Answer {
    /// The status with the error's code, which is null for a success.
    fn verdict(&self) -> (u16, Value) {
        (self.status.as_u16(), self.json["error"]["code"].clone())
    }

    /// The body of a success.
    fn done(self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.json);
        self.json
    }
}

impl Stand {
    /// One without keys, on a loopback listener.
    fn start() -> Self {
        Self::reading(|| Ok(ServeOptions::default()))
    }

    /// The same, where that is what is read when the configuration is read again.
    fn reading(read_again: impl Fn() -> Result<ServeOptions, Vec<String>> + Send + Sync + 'static) -> Self {
        let (fanfare, access) = (fanfare(), local());
        let reload = reload(&fanfare, &access, read_again);
        let router = router(fanfare.clone(), access, reload);
        Self { fanfare, router }
    }

    /// One whose key is [`KEY`], with what the configuration says about it.
    fn with_key(key: &str) -> Self {
        let line = key.replace("HASH", &hash_text(&hash(KEY.as_bytes())));
        let access = Access::new(&[line.parse().unwrap()], ("http", "0.0.0.0:80".parse().unwrap()));
        Self::of(fanfare(), access)
    }

    /// One where no tokens are accepted.
    fn without_tokens() -> Self {
        let options = Options {
            application: None,
            ..options()
        };
        Self::of(Fanfare::start(options).unwrap(), local())
    }

    fn of(fanfare: Fanfare, access: Access) -> Self {
        let reload = reload(&fanfare, &access, || Ok(ServeOptions::default()));
        let router = router(fanfare.clone(), access, reload);
        Self { fanfare, router }
    }

    async fn call(&self, request: Request) -> Answer {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let json = match (body.is_empty(), &method) {
            (true, &Method::HEAD) => Value::Null,
            _ => serde_json::from_slice(&body).unwrap(),
        };
        for name in headers.keys() {
            assert!(!name.as_str().starts_with("access-control-"), "{name}");
        }
        assert_eq!(headers["cache-control"], "no-store");
        assert_eq!(headers["content-type"], "application/json");
        if method != Method::HEAD {
            contract::check_answer(&method, &path, status, &json);
        }
        Answer {
            status,
            headers,
            json,
        }
    }

    async fn get(&self, uri: &str) -> Answer {
        self.call(request("GET", uri).body(Body::empty()).unwrap()).await
    }

    /// Posts with a content type; none when it is empty.
    async fn post(&self, uri: &str, content_type: &str, body: impl Into<Body>) -> Answer {
        let mut posting = request("POST", uri);
        if !content_type.is_empty() {
            posting = posting.header("content-type", content_type);
        }
        self.call(posting.body(body.into()).unwrap()).await
    }

    async fn post_json(&self, uri: &str, body: Value) -> Answer {
        self.post(uri, "application/json", body.to_string()).await
    }
}

fn fanfare() -> Fanfare {
    Fanfare::start(options()).unwrap()
}

fn options() -> Options {
    let tokens = Tokens::new(TokensOptions {
        issuers: vec![IssuerOptions {
            keys: vec![TokenKey::new(None, Algorithm::Hs256, &[7; 32]).unwrap()],
            ..IssuerOptions::default()
        }],
        ..TokensOptions::default()
    });
    Options {
        application: Some(Application::of_tokens(tokens.unwrap())),
        shards: 2,
        limits: Limits {
            message_bytes_max: MESSAGE_BYTES_MAX as u32,
            ..Limits::default()
        },
        is_development: true,
        rules: Arc::new(rules()),
        history: Retention {
            publications_max: 100,
            ..Retention::default()
        },
        ..Options::default()
    }
}

/// Everyone may do everything, and of one topic it is not kept who is there.
fn rules() -> TopicRules {
    let open = TopicRules::open();
    let unkept = TopicRule {
        access: open.otherwise,
        keeps_presence: Some(false),
        ..TopicRule::new("unkept").unwrap()
    };
    TopicRules {
        by_pattern: vec![unkept],
        ..open
    }
}

fn reload(
    fanfare: &Fanfare,
    access: &Access,
    read_again: impl Fn() -> Result<ServeOptions, Vec<String>> + Send + Sync + 'static,
) -> Arc<Reload> {
    let running = ServeOptions::default();
    Arc::new(Reload::new(
        fanfare.clone(),
        (access.clone(), None),
        running,
        Box::new(read_again),
    ))
}

fn local() -> Access {
    Access::new(&[], ("http", "127.0.0.1:8080".parse().unwrap()))
}

/// A request of a program on this machine.
fn request(method: &str, uri: &str) -> axum::http::request::Builder {
    Request::builder()
        .method(method)
        .uri(uri)
        .header("host", "127.0.0.1:8080")
}
