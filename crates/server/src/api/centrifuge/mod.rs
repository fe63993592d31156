//! Centrifugo's HTTP API, version 6, so that server libraries made for it work unchanged. `docs/protocol/centrifugo-api.md` has
//! every method and field.
//!
//! In come `POST /api/METHOD` with the method's parameters as a JSON object, out goes `{"result"}` or `{"error"}` with status
//! 200. [`vocabulary`] says whose words a body has where both APIs have the method, [`command`] reads what is asked,
//! [`publish`], [`subscribing`], [`connections`], [`presence`], [`history`] and [`channels`] hand it to the library's handle,
//! and [mod@answer] has the codes. Keys and their scopes are those of our own API; who has no right to call at all, or sends what is no JSON, gets
//! our own API's answer, whose status is the one that libraries look at.
//!
//! # Whose call it is
//!
//! `publish`, `broadcast`, `subscribe`, `unsubscribe` and `disconnect` are there in both APIs, and the body decides: Centrifugo's
//! is a JSON object that has `channel` or `channels`; for `unsubscribe` and `disconnect` also one that has `client`, `session`,
//! `whitelist` or `disconnect`; and an `unsubscribe` with a `user` and neither `topic` nor `topics`. Everything else is ours,
//! and so is a call with a query, or whose content type says that the body is no JSON. `{"user": NAME}` means the same to
//! both `disconnect`s: ours does it and answers in both words. Every other method of Centrifugo's is only its own: where we
//! have a path of that name it is for `GET`.

mod answer;
mod batch;
mod channels;
mod command;
mod connections;
mod glob;
mod history;
mod presence;
mod publish;
mod subscribing;
mod vocabulary;
mod whom;

use std::time::Instant;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, post};
use fanfare::centrifuge::topic_of;
use fanfare::{Limits, TopicName};

use super::Api;
use super::answer::Problem;
use super::body::{BodyKind, ENVELOPE_BYTES, receive_body, refuse_encoded};
use super::scope::Caller;
use answer::{ErrorMode, Failure};
use batch::Batch;
use command::Command;

/// This process, as `info` tells of it.
#[derive(Debug)]
pub(super) struct Node {
    uid: String,
    began: Instant,
}

impl Node {
    /// One that begins now, with an id that no other has.
    pub(super) fn begin() -> Self {
        Self {
            uid: format!("{:032x}", fastrand::u128(..)),
            began: Instant::now(),
        }
    }
}

/// Puts Centrifugo's method before the handlers of ours, where both have one of that path.
pub(super) fn before(path: &str, methods: MethodRouter<Api>, api: &Api) -> MethodRouter<Api> {
    if vocabulary::is_shared(method_of(path)) {
        methods.route_layer(from_fn_with_state(api.clone(), decide))
    } else {
        methods
    }
}

/// Adds the methods that only Centrifugo's API has.
pub(super) fn mount(paths: Router<Api>) -> Router<Api> {
    command::OWN_METHODS.iter().fold(paths, |paths, method| {
        paths.route(&format!("{PATH}{method}"), post(call))
    })
}

/// Answers a call that is Centrifugo's, and lets any other go on with its body as it was received.
async fn decide(State(api): State<Api>, request: Request, next: Next) -> Response {
    let is_json = matches!(BodyKind::of(request.headers()), BodyKind::Json | BodyKind::Unsaid);
    if !is_json || request.uri().query().is_some_and(|query| !query.is_empty()) {
        return next.run(request).await;
    }
    let (head, body) = match receive(request, api.fanfare.limits()).await {
        Ok(received) => received,
        Err(problem) => return problem.into_response(),
    };
    if vocabulary::is_centrifugos(method_of(head.uri.path()), &body) {
        return answer_to(&api, &head, &body).await;
    }
    next.run(Request::from_parts(head, body.into())).await
}

/// `POST /api/METHOD`, where only Centrifugo's API has the method.
async fn call(State(api): State<Api>, request: Request) -> Response {
    match receive(request, api.fanfare.limits()).await {
        Ok((head, body)) => answer_to(&api, &head, &body).await,
        Err(problem) => problem.into_response(),
    }
}

async fn receive(request: Request, limits: &Limits) -> Result<(Parts, Vec<u8>), Problem> {
    refuse_encoded(request.headers())?;
    let (head, body) = request.into_parts();
    let bytes_max = BODY_BYTES_MAX.max(limits.message_bytes_max as usize + ENVELOPE_BYTES);
    let body = receive_body(body, bytes_max, "the most that a call may have").await?;
    Ok((head, body))
}

async fn answer_to(api: &Api, head: &Parts, body: &[u8]) -> Response {
    let answer = answer(api, head, body).await;
    answer.unwrap_or_else(Problem::into_response)
}

/// What a call is answered.
///
/// # Errors
/// The body cannot be decoded, so that nothing of it was done.
async fn answer(api: &Api, head: &Parts, body: &[u8]) -> Result<Response, Problem> {
    let caller = Caller::among(&head.extensions)?;
    let desk = Desk { api, caller: &caller };
    let method = method_of(head.uri.path());
    if method == batch::METHOD {
        return Ok(Batch::decode(body)?.run(desk).await);
    }
    let outcome = Command::decode(method, body)?.run(desk).await;
    Ok(ErrorMode::of(&head.headers).respond(outcome))
}

/// Where a command is worked at: what with, and for whom.
#[derive(Clone, Copy)]
struct Desk<'a> {
    api: &'a Api,
    caller: &'a Caller,
}

/// The topic of a channel.
///
/// # Errors
/// No channel is named, or its topic's name would be too long.
fn topic_named(channel: Option<&str>) -> Result<TopicName, Failure> {
    let channel = channel.unwrap_or_default();
    if channel.is_empty() {
        return Err(Failure::bad_request(
            "`channel` is missing or empty, name a channel",
        ));
    }
    TopicName::parse(&topic_of(channel)).map_err(|error| {
        let rule = "other characters than a topic's name may have count three bytes each";
        Failure::bad_request(format!("`channel`: {error}; {rule}"))
    })
}

fn method_of(path: &str) -> &str {
    path.strip_prefix(PATH).unwrap_or_default()
}

const PATH: &str = "/api/";

/// The longest body, where one message and what is around it is no longer than that: a batch and a broadcast have room for a
/// lot. Beyond: 413. With as many calls as may be under way at once it bounds the memory that callers can take.
const BODY_BYTES_MAX: usize = 1 << 20;
