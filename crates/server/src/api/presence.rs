//! Who is in a topic.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use fanfare::{Attendee, ConnectionId, UserName};
use serde::Serialize;
use serde_json::value::RawValue;

use super::Api;
use super::answer::{Code, Problem};
use super::listing::limit;
use super::query::Query;

/// A page of those who are in a topic.
#[derive(Debug, Serialize)]
pub(super) struct Presence {
    topic: String,
    connections: u64,
    users: u64,
    members: Vec<Member>,
    next: Option<String>,
}

#[derive(Debug, Serialize)]
struct Member {
    connection: String,
    user: Option<String>,
    info: Option<Box<RawValue>>,
    topic_info: Option<Box<RawValue>>,
    since: u64,
}

/// `GET /api/presence`
pub(super) async fn presence(State(api): State<Api>, request: Request) -> Result<Json<Presence>, Problem> {
    let query = Query::parse(request.uri(), &["topic", "limit", "cursor"])?;
    let (topic, limit, after) = (query.topic()?, limit(&query)?, after(&query)?);
    if !api.fanfare.rules().keeps_presence_of(&topic) {
        let message = format!(
            "it is not kept who is in {:?}, set `keep_presence` in its rule",
            topic.as_str()
        );
        return Err(Problem::new(Code::NotAvailable, message));
    }
    let page = api.fanfare.presence(topic.as_str(), after, limit);
    Ok(Json(Presence {
        topic: topic.to_string(),
        connections: page.attendance.connections,
        users: page.attendance.users,
        members: page.members.iter().map(Member::from).collect(),
        next: page.next.map(|next| next.to_string()),
    }))
}

fn after(query: &Query) -> Result<Option<ConnectionId>, Problem> {
    let after = query.one("cursor")?.map(|text| {
        text.parse().map_err(|_| {
            let message = format!("`cursor` is {text:?}, take `next` of this listing as it is");
            Problem::new(Code::BadCursor, message)
        })
    });
    after.transpose()
}

impl From<&Attendee> for Member {
    fn from(attendee: &Attendee) -> Self {
        Self {
            connection: attendee.connection.to_string(),
            user: attendee.user().map(UserName::to_string),
            info: raw(attendee.info()),
            topic_info: raw(attendee.topic_info.as_ref()),
            since: attendee.since.0,
        }
    }
}

/// What others may see of a connection, as it was written.
fn raw(info: Option<&Arc<str>>) -> Option<Box<RawValue>> {
    info.and_then(|info| serde_json::from_str(info).ok())
}
