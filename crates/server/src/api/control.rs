//! Controlling connections: subscribe, unsubscribe and disconnect them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use fanfare::{CallError, ConnectionId, Disconnect, Selector, UserName};
use serde::{Deserialize, Serialize};

use super::Api;
use super::answer::{Code, Problem};
use super::body::Call;

/// Whom a call names: a user's connections, or one.
pub(super) struct Named<'a> {
    pub(super) user: Option<&'a str>,
    pub(super) connection: Option<&'a str>,
}

impl Named<'_> {
    /// Whether anyone is named.
    pub(super) fn is_given(&self) -> bool {
        self.user.is_some() || self.connection.is_some()
    }

    /// The connections that are named. `unclear` is the code of where the names stand.
    ///
    /// # Errors
    /// Not exactly one of the two is given, or it is no such name.
    pub(super) fn selector(&self, unclear: Code) -> Result<Selector, Problem> {
        match (self.user, self.connection) {
            (Some(user), None) => UserName::parse(user)
                .map(Selector::User)
                .map_err(|error| Problem::new(Code::BadUser, error.to_string())),
            (None, Some(connection)) => {
                connection
                    .parse()
                    .map(Selector::Connection)
                    .map_err(|error: fanfare::ConnectionIdError| {
                        Problem::new(Code::BadConnection, error.to_string())
                    })
            }
            _ => {
                let message = "connections are named by `user` or by `connection`, give exactly one";
                Err(Problem::new(unclear, message))
            }
        }
    }
}

/// How many connections a call concerned.
#[derive(Debug, Serialize)]
pub(super) struct Concerned {
    connections: usize,
    /// The whole answer in the words of Centrifugo, where the call says the same in both.
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Nothing>,
}

/// An empty object.
#[derive(Debug, Serialize)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TopicsBody {
    user: Option<String>,
    connection: Option<String>,
    topic: Option<String>,
    topics: Option<Vec<String>>,
}

impl TopicsBody {
    fn selector(&self) -> Result<Selector, Problem> {
        let (user, connection) = (self.user.as_deref(), self.connection.as_deref());
        Named { user, connection }.selector(Code::BadBody)
    }

    fn topics(&self) -> Result<Vec<&str>, Problem> {
        match (&self.topic, &self.topics) {
            (Some(topic), None) => Ok(vec![topic]),
            (None, Some(topics)) => {
                check_count(topics.len(), Code::BadBody)?;
                Ok(topics.iter().map(String::as_str).collect())
            }
            _ => Err(Problem::new(
                Code::BadBody,
                "topics are named by `topic` or by `topics`, give exactly one",
            )),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DisconnectBody {
    user: Option<String>,
    connection: Option<String>,
    code: Option<u16>,
    reason: Option<String>,
    reconnect: Option<bool>,
}

/// `POST /api/subscribe`
pub(super) async fn subscribe(State(api): State<Api>, request: Request) -> Result<Json<Concerned>, Problem> {
    let call = Call::receive(request, &[], api.fanfare.limits()).await?;
    let body: TopicsBody = call.json()?;
    let (who, topics) = (body.selector()?, body.topics()?);
    concerned(&who, api.fanfare.subscribe_clients(who.clone(), &topics).await)
}

/// `POST /api/unsubscribe`
pub(super) async fn unsubscribe(
    State(api): State<Api>,
    request: Request,
) -> Result<Json<Concerned>, Problem> {
    let call = Call::receive(request, &[], api.fanfare.limits()).await?;
    let body: TopicsBody = call.json()?;
    let (who, topics) = (body.selector()?, body.topics()?);
    concerned(&who, api.fanfare.unsubscribe_clients(who.clone(), &topics).await)
}

/// `POST /api/disconnect`
pub(super) async fn disconnect(State(api): State<Api>, request: Request) -> Result<Json<Concerned>, Problem> {
    let call = Call::receive(request, &[], api.fanfare.limits()).await?;
    let body: DisconnectBody = call.json()?;
    let (user, connection) = (body.user.as_deref(), body.connection.as_deref());
    let who = Named { user, connection }.selector(Code::BadBody)?;
    let is_centrifugos_too = body.has_only_a_user();
    let cause = body.into_cause()?;
    let Json(concerned) = concerned(&who, api.fanfare.disconnect(who.clone(), cause).await)?;
    Ok(Json(Concerned {
        result: is_centrifugos_too.then_some(Nothing {}),
        ..concerned
    }))
}

impl DisconnectBody {
    fn has_only_a_user(&self) -> bool {
        let Self {
            user: _,
            connection,
            code,
            reason,
            reconnect,
        } = self;
        connection.is_none() && code.is_none() && reason.is_none() && reconnect.is_none()
    }

    fn into_cause(self) -> Result<Disconnect, Problem> {
        let bad = |message: String| Err(Problem::new(Code::BadBody, message));
        match (self.code, self.reason, self.reconnect) {
            (None, None, Some(true)) => Ok(Disconnect::Reconnect),
            (None, None, _) => Ok(Disconnect::Disconnected),
            (None, Some(_), _) => bad("`reason` belongs to a `code` from 4000 to 4999, give both".to_owned()),
            (Some(_), _, Some(_)) => bad(
                "`code` itself says whether clients reconnect (4000 to 4499 do, 4500 to 4999 do not), leave \
                 `reconnect` out"
                    .to_owned(),
            ),
            (Some(code), ..) if !(4000..=4999).contains(&code) => bad(format!(
                "`code` is {code}, an application's codes are 4000 to 4999"
            )),
            (_, Some(reason), _) if reason.len() > REASON_BYTES_MAX => bad(format!(
                "`reason` is {} bytes, limit is {REASON_BYTES_MAX}",
                reason.len()
            )),
            (Some(code), reason, None) => Ok(Disconnect::Application {
                code,
                reason: Arc::from(reason.unwrap_or_default()),
            }),
        }
    }
}

/// That a user has no connection is an answer; that a connection does not exist is an error.
fn concerned(who: &Selector, outcome: Result<usize, CallError>) -> Result<Json<Concerned>, Problem> {
    match (outcome?, who) {
        (0, Selector::Connection(connection)) => Err(not_open(*connection)),
        (connections, _) => Ok(Json(Concerned {
            connections,
            result: None,
        })),
    }
}

fn not_open(connection: ConnectionId) -> Problem {
    Problem::new(Code::NotFound, format!("connection {connection} is not open"))
}

/// Holds a call to what one may name.
///
/// # Errors
/// None or too many are named.
pub(super) fn check_count(topics: usize, unclear: Code) -> Result<(), Problem> {
    if (1..=TOPICS_MAX).contains(&topics) {
        return Ok(());
    }
    Err(Problem::new(
        unclear,
        format!("{topics} topics are named, a call names 1 to {TOPICS_MAX}"),
    ))
}

/// Topics of one call.
const TOPICS_MAX: usize = 128;

/// What a close frame has room for beside its code (RFC 6455 section 5.5).
pub(super) const REASON_BYTES_MAX: usize = 123;
