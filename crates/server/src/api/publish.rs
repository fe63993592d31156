//! Publishing: to topics, to everyone, to a user or one connection.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use fanfare::{IdempotencyKey, Key, Payload, Position, PublishOptions, Selector, Tags, TopicName};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Api;
use super::answer::{Code, Detail, Problem};
use super::body::{Call, any_json};
use super::control::{Named, check_count};
use super::scope::Caller;

/// A publication's place in its topic's order.
#[derive(Debug, Serialize)]
pub(super) struct Place {
    topic: String,
    epoch: String,
    offset: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    repeated: Option<bool>,
}

impl Place {
    fn new(topic: impl Into<String>, position: Position) -> Self {
        Self {
            topic: topic.into(),
            epoch: position.epoch.to_string(),
            offset: position.offset,
            repeated: None,
        }
    }

    /// The same, with a word about it if it stood there before.
    fn of(topic: impl Into<String>, published: fanfare::Published) -> Self {
        Self {
            repeated: published.is_repetition.then_some(true),
            ..Self::new(topic, published.position)
        }
    }
}

/// What `publish` answers: a place for one topic, a list for several.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Published {
    One(Place),
    Several { published: Vec<Outcome> },
}

/// What became of a publication to one of several topics.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Outcome {
    Published(Place),
    Refused { topic: String, error: Detail },
}

/// What `send` answers: a place in the order of a user's topic; a single connection has no order.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Sent {
    ToUser(Place),
    ToConnection { connection: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PublishBody<'a> {
    topic: Option<String>,
    topics: Option<Vec<String>>,
    #[serde(borrow, default, deserialize_with = "any_json")]
    data: Option<&'a RawValue>,
    data_base64: Option<String>,
    key: Option<String>,
    idempotency_key: Option<String>,
    expected: Option<Expected>,
    tags: Option<BTreeMap<String, String>>,
}

/// Where a topic must stand.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    epoch: String,
    offset: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BroadcastBody<'a> {
    #[serde(borrow, default, deserialize_with = "any_json")]
    data: Option<&'a RawValue>,
    data_base64: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SendBody<'a> {
    user: Option<String>,
    connection: Option<String>,
    #[serde(borrow, default, deserialize_with = "any_json")]
    data: Option<&'a RawValue>,
    data_base64: Option<String>,
}

/// `POST /api/publish`
pub(super) async fn publish(State(api): State<Api>, request: Request) -> Result<Json<Published>, Problem> {
    let key_in_header = key_in_header(request.headers())?;
    let call = Call::receive(request, &["topic"], api.fanfare.limits()).await?;
    let caller = call.caller.clone();
    let in_query = call.query.all("topic");
    if !in_query.is_empty() {
        let topics: Vec<String> = in_query.into_iter().map(str::to_owned).collect();
        check_topics(&api, &caller, &topics, Code::BadQuery)?;
        let options = PublishOptions {
            idempotency_key: key_in_header,
            ..PublishOptions::default()
        };
        let payload = call.into_payload()?;
        return match &topics[..] {
            [topic] => publish_to_one(&api, topic, payload, options).await,
            topics => publish_to_several(&api, topics, payload, options).await,
        };
    }
    let body: PublishBody<'_> = call.json()?;
    let options = options(&body, key_in_header)?;
    let payload = call.payload_of(body.data, body.data_base64.as_deref())?;
    match (body.topic, body.topics) {
        (Some(topic), None) => {
            check_topics(&api, &caller, std::slice::from_ref(&topic), Code::BadBody)?;
            publish_to_one(&api, &topic, payload, options).await
        }
        (None, Some(topics)) => {
            check_topics(&api, &caller, &topics, Code::BadBody)?;
            publish_to_several(&api, &topics, payload, options).await
        }
        _ => {
            let message =
                "the address has no `topic`, so the body gives `topic` or `topics`; give exactly one";
            Err(Problem::new(Code::BadBody, message))
        }
    }
}

/// `POST /api/broadcast`
pub(super) async fn broadcast(State(api): State<Api>, request: Request) -> Result<Json<Place>, Problem> {
    let call = Call::receive(request, &[], api.fanfare.limits()).await?;
    call.caller.check_publish(&api.fanfare, &TopicName::all())?;
    let payload = if call.is_envelope() {
        let body: BroadcastBody<'_> = call.json()?;
        call.payload_of(body.data, body.data_base64.as_deref())?
    } else {
        call.into_payload()?
    };
    let position = api.fanfare.broadcast(payload).await?;
    Ok(Json(Place::new(TopicName::all().as_str(), position)))
}

/// `POST /api/send`
pub(super) async fn send(State(api): State<Api>, request: Request) -> Result<Json<Sent>, Problem> {
    let call = Call::receive(request, &["user", "connection"], api.fanfare.limits()).await?;
    let caller = call.caller.clone();
    let in_query = Named {
        user: call.query.one("user")?,
        connection: call.query.one("connection")?,
    };
    if in_query.is_given() {
        let to = in_query.selector(Code::BadQuery)?;
        return send_to(&api, &caller, to, call.into_payload()?).await;
    }
    let body: SendBody<'_> = call.json()?;
    let in_body = Named {
        user: body.user.as_deref(),
        connection: body.connection.as_deref(),
    };
    let to = in_body.selector(Code::BadBody)?;
    let payload = call.payload_of(body.data, body.data_base64.as_deref())?;
    send_to(&api, &caller, to, payload).await
}

async fn send_to(api: &Api, caller: &Caller, to: Selector, payload: Payload) -> Result<Json<Sent>, Problem> {
    match to {
        Selector::User(user) => {
            let topic = TopicName::of_user(&user);
            caller.check_publish(&api.fanfare, &topic)?;
            let position = api.fanfare.send_to_user(&user, payload).await?;
            Ok(Json(Sent::ToUser(Place::new(topic.as_str(), position))))
        }
        // The API has no word for it here.
        Selector::Token(_) => Err(Problem::new(Code::NotFound, "nobody is addressed by a token")),
        Selector::Connection(connection) => {
            caller.check_publish(&api.fanfare, &TopicName::of_connection(connection))?;
            if api.fanfare.send_to_connection(connection, payload).await? {
                let connection = connection.to_string();
                return Ok(Json(Sent::ToConnection { connection }));
            }
            Err(Problem::new(
                Code::NotFound,
                format!("connection {connection} is not open, or does not receive"),
            ))
        }
    }
}

/// Checks all names, so that a bad one, or one that is not the caller's, keeps the payload from every topic.
fn check_topics(api: &Api, caller: &Caller, topics: &[String], unclear: Code) -> Result<(), Problem> {
    check_count(topics.len(), unclear)?;
    let parse = |(at, topic): (usize, &String)| {
        // By its place among several: a name may be as long as a request.
        let place = match topics.len() {
            1 => String::new(),
            several => format!("topic {} of {several}: ", at + 1),
        };
        TopicName::parse(topic).map_err(|error| Problem::new(Code::BadTopic, format!("{place}{error}")))
    };
    let topics: Vec<TopicName> = topics.iter().enumerate().map(parse).collect::<Result<_, _>>()?;
    let mut topics = topics.iter();
    topics.try_for_each(|topic| caller.check_publish(&api.fanfare, topic))
}

/// What is said about a publication beside its payload.
fn options(body: &PublishBody<'_>, key_in_header: Option<IdempotencyKey>) -> Result<PublishOptions, Problem> {
    let bad = |problem: String| Problem::new(Code::BadBody, problem);
    let key = body.key.as_deref().map(Key::parse).transpose();
    let in_body = body.idempotency_key.as_deref().map(IdempotencyKey::parse);
    let in_body = in_body.transpose();
    let in_body = in_body.map_err(|error| bad(format!("`idempotency_key`: {error}")))?;
    if in_body.is_some() && key_in_header.is_some() {
        return Err(bad(
            "`idempotency_key` is given in the body and in a header, give one".to_owned(),
        ));
    }
    if body.expected.is_some() && body.topics.is_some() {
        return Err(bad(
            "`expected` is where one topic stands, give `topic` instead of `topics`".to_owned(),
        ));
    }
    let expected = body.expected.as_ref();
    let expected = expected.map(|place| Position::from_parts(&place.epoch, place.offset));
    Ok(PublishOptions {
        key: key.map_err(|error| bad(format!("`key`: {error}")))?,
        idempotency_key: in_body.or(key_in_header),
        expected: expected
            .transpose()
            .map_err(|_| bad("`expected` has no `epoch` such as k2w9".to_owned()))?,
        tags: Tags::parse(body.tags.iter().flatten()).map_err(|error| bad(format!("`tags`: {error}")))?,
    })
}

/// The key in a header, in quotes as the IETF's draft-ietf-httpapi-idempotency-key-header has it, or without.
fn key_in_header(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Problem> {
    let bad = |problem: &dyn std::fmt::Display| {
        Problem::new(Code::BadHeader, format!("`{IDEMPOTENCY_KEY}`: {problem}"))
    };
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(bad(&"it is given more than once, give one key"));
    }
    let text = std::str::from_utf8(value.as_bytes()).map_err(|error| bad(&error))?;
    let inner = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    IdempotencyKey::parse(inner.unwrap_or(text))
        .map(Some)
        .map_err(|error| bad(&error))
}

const IDEMPOTENCY_KEY: &str = "idempotency-key";

async fn publish_to_one(
    api: &Api,
    topic: &str,
    payload: Payload,
    options: PublishOptions,
) -> Result<Json<Published>, Problem> {
    let published = api.fanfare.publish_with(topic, payload, options).await?;
    Ok(Json(Published::One(Place::of(topic, published))))
}

/// Publishes to each in turn. It is an error only when all refuse; then it is the first one's.
async fn publish_to_several(
    api: &Api,
    topics: &[String],
    payload: Payload,
    options: PublishOptions,
) -> Result<Json<Published>, Problem> {
    let mut outcomes = Vec::new();
    for topic in topics {
        let outcome = api
            .fanfare
            .publish_with(topic, payload.clone(), options.clone())
            .await;
        outcomes.push((topic, outcome.map_err(Problem::from)));
    }
    several(outcomes).map(Json)
}

fn several(outcomes: Vec<(&String, Result<fanfare::Published, Problem>)>) -> Result<Published, Problem> {
    if outcomes.iter().all(|(_, outcome)| outcome.is_err())
        && let Some((_, Err(problem))) = outcomes.first()
    {
        return Err(problem.clone());
    }
    let outcomes = outcomes.into_iter().map(|(topic, outcome)| match outcome {
        Ok(published) => Outcome::Published(Place::of(topic, published)),
        Err(problem) => Outcome::Refused {
            topic: topic.clone(),
            error: problem.to_detail(),
        },
    });
    Ok(Published::Several {
        published: outcomes.collect(),
    })
}

#[cfg(test)]
mod tests {
    use fanfare::{CallError, Refusal};
    use serde_json::json;

    use super::*;

    fn refused() -> Result<fanfare::Published, Problem> {
        Err(CallError::Refused(Refusal::Overloaded).into())
    }

    #[test]
    fn one_refusal_among_several_stands_in_its_place() {
        let (a, b) = ("a".to_owned(), "b".to_owned());
        let first = fanfare::Published::first(Position::default());
        let answer = several(vec![(&a, refused()), (&b, Ok(first))]).unwrap();
        let answer = serde_json::to_value(answer).unwrap();
        assert_eq!(answer["published"][0]["topic"], "a");
        assert_eq!(answer["published"][0]["error"]["code"], "overloaded");
        assert_eq!(
            answer["published"][1],
            json!({"topic": "b", "epoch": "0", "offset": 0})
        );
    }

    #[test]
    fn refusals_of_all_are_an_error() {
        let (a, b) = ("a".to_owned(), "b".to_owned());
        let problem = several(vec![(&a, refused()), (&b, refused())]).unwrap_err();
        assert_eq!(problem.code(), Code::Overloaded);
    }
}
