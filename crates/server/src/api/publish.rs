//! Publishing: to topics, to everyone, to a user or one connection.

use axum::Json;
use axum::extract::{Request, State};
use fanfare::{Key, Payload, Position, PublishOptions, Selector, TopicName};
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
}

impl Place {
    fn new(topic: impl Into<String>, position: Position) -> Self {
        Self {
            topic: topic.into(),
            epoch: position.epoch.to_string(),
            offset: position.offset,
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
    let call = Call::receive(request, &["topic"], api.fanfare.limits()).await?;
    let caller = call.caller.clone();
    let in_query = call.query.all("topic");
    if !in_query.is_empty() {
        let topics: Vec<String> = in_query.into_iter().map(str::to_owned).collect();
        check_topics(&api, &caller, &topics, Code::BadQuery)?;
        let options = PublishOptions::default();
        let payload = call.into_payload()?;
        return match &topics[..] {
            [topic] => publish_to_one(&api, topic, payload, options).await,
            topics => publish_to_several(&api, topics, payload, options).await,
        };
    }
    let body: PublishBody<'_> = call.json()?;
    let options = options(body.key.as_deref())?;
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
fn options(key: Option<&str>) -> Result<PublishOptions, Problem> {
    let key = key.map(Key::parse).transpose();
    let key = key.map_err(|error| Problem::new(Code::BadBody, format!("`key`: {error}")))?;
    Ok(PublishOptions { key })
}

async fn publish_to_one(
    api: &Api,
    topic: &str,
    payload: Payload,
    options: PublishOptions,
) -> Result<Json<Published>, Problem> {
    let position = api.fanfare.publish_with(topic, payload, options).await?;
    Ok(Json(Published::One(Place::new(topic, position))))
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

fn several(outcomes: Vec<(&String, Result<Position, Problem>)>) -> Result<Published, Problem> {
    if outcomes.iter().all(|(_, outcome)| outcome.is_err())
        && let Some((_, Err(problem))) = outcomes.first()
    {
        return Err(problem.clone());
    }
    let outcomes = outcomes.into_iter().map(|(topic, outcome)| match outcome {
        Ok(position) => Outcome::Published(Place::new(topic, position)),
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

    fn refused() -> Result<Position, Problem> {
        Err(CallError::Refused(Refusal::Overloaded).into())
    }

    #[test]
    fn one_refusal_among_several_stands_in_its_place() {
        let (a, b) = ("a".to_owned(), "b".to_owned());
        let answer = several(vec![(&a, refused()), (&b, Ok(Position::default()))]).unwrap();
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
