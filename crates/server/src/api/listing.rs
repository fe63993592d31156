//! Listing what the server holds: topics and connections in pages, and its counters.

use axum::Json;
use axum::extract::{Request, State};
use fanfare::{ConnectionRow, Listed, Role, Stats, TopicRow};
use serde::Serialize;

use super::Api;
use super::answer::{Code, Problem};
use super::query::Query;

/// A page of topics.
#[derive(Debug, Serialize)]
pub(super) struct Topics {
    topics: Vec<Topic>,
    next: Option<String>,
}

#[derive(Debug, Serialize)]
struct Topic {
    topic: String,
    subscribers: u64,
    epoch: String,
    offset: u64,
    history: usize,
}

/// A page of connections.
#[derive(Debug, Serialize)]
pub(super) struct Connections {
    connections: Vec<Connection>,
    next: Option<String>,
}

#[derive(Debug, Serialize)]
struct Connection {
    connection: String,
    user: Option<String>,
    joined_at: u64,
    remote: String,
    dialect: &'static str,
    compression: &'static str,
    role: &'static str,
    user_agent: Option<String>,
    topics: Vec<String>,
    outbox_frames: u32,
    outbox_bytes: u32,
    outbox_age_ms: u64,
    missed: u64,
}

/// The counters of the server.
#[derive(Debug, Serialize)]
pub(super) struct Counters {
    shards: usize,
    connections: u64,
    subscriptions: u64,
    topics: u64,
    publications: u64,
    deliveries: u64,
    writes: u64,
    written_bytes: u64,
    waiting_bytes: u64,
    overflow_disconnects: u64,
    disconnects: Vec<Disconnects>,
}

#[derive(Debug, Serialize)]
struct Disconnects {
    code: u16,
    count: u64,
}

/// `GET /api/topics`
pub(super) async fn topics(State(api): State<Api>, request: Request) -> Result<Json<Topics>, Problem> {
    let query = Query::parse(request.uri(), &["limit", "cursor", "reserved"])?;
    let (limit, cursor) = (limit(&query)?, TOPICS_CURSOR.read(&query)?);
    let with_reserved = query.is_on("reserved")?;
    let (mut topics, mut next, mut seen) = (Vec::new(), Some(cursor), 0);
    while let Some(from) = next
        && topics.len() < limit
        && seen < SEEN_MAX
    {
        let page = api.fanfare.topics(from, limit - topics.len());
        seen += page.topics.len();
        next = page.next;
        let wanted = page
            .topics
            .into_iter()
            .filter(|row| with_reserved || !row.topic.is_reserved());
        topics.extend(wanted.map(Topic::from));
    }
    let next = next.map(|next| TOPICS_CURSOR.write(next));
    Ok(Json(Topics { topics, next }))
}

/// `GET /api/connections`
pub(super) async fn connections(
    State(api): State<Api>,
    request: Request,
) -> Result<Json<Connections>, Problem> {
    let query = Query::parse(request.uri(), &["limit", "cursor", "behind"])?;
    let (limit, cursor) = (limit(&query)?, CONNECTIONS_CURSOR.read(&query)?);
    let listed = if query.is_on("behind")? {
        Listed::Behind
    } else {
        Listed::All
    };
    let page = api.fanfare.connections(listed, cursor, limit).await?;
    Ok(Json(Connections {
        connections: page.connections.into_iter().map(Connection::from).collect(),
        next: page.next.map(|next| CONNECTIONS_CURSOR.write(next)),
    }))
}

/// `GET /api/stats`
pub(super) async fn stats(State(api): State<Api>, request: Request) -> Result<Json<Counters>, Problem> {
    Query::parse(request.uri(), &[])?;
    Ok(Json(api.fanfare.stats().into()))
}

/// The most rows of a page.
///
/// # Errors
/// It is no number, or not one from 1 to 1,000.
pub(super) fn limit(query: &Query) -> Result<usize, Problem> {
    let Some(text) = query.one("limit")? else {
        return Ok(LIMIT_DEFAULT);
    };
    match text.parse() {
        Ok(limit @ 1..=LIMIT_MAX) => Ok(limit),
        _ => Err(Problem::new(
            Code::BadQuery,
            format!("`limit` is {text:?}, it is a number from 1 to {LIMIT_MAX}"),
        )),
    }
}

/// How a listing writes where its next page begins: a mark of its own, so that no other listing's is taken for it.
struct Cursor {
    mark: char,
}

impl Cursor {
    fn write(&self, next: u64) -> String {
        format!("{}{next:x}", self.mark)
    }

    /// The place to go on from; the beginning where none is given. Only what `write` wrote is taken.
    fn read(&self, query: &Query) -> Result<u64, Problem> {
        let Some(text) = query.one("cursor")? else {
            return Ok(0);
        };
        text.strip_prefix(self.mark)
            .and_then(|digits| u64::from_str_radix(digits, 16).ok())
            .filter(|&next| self.write(next) == text)
            .ok_or_else(|| {
                let message = format!("`cursor` is {text:?}, take `next` of this listing as it is");
                Problem::new(Code::BadCursor, message)
            })
    }
}

impl From<TopicRow> for Topic {
    fn from(row: TopicRow) -> Self {
        Self {
            topic: row.topic.to_string(),
            subscribers: row.subscribers,
            epoch: row.position.epoch.to_string(),
            offset: row.position.offset,
            history: row.history,
        }
    }
}

impl From<ConnectionRow> for Connection {
    fn from(row: ConnectionRow) -> Self {
        Self {
            connection: row.connection.to_string(),
            user: row.user.map(|user| user.to_string()),
            joined_at: row.joined_at.0,
            remote: row.remote.to_string(),
            dialect: row.dialect.name(),
            compression: row.compression.name(),
            role: match row.role {
                Role::Subscriber => "subscriber",
                Role::Publisher => "publisher",
            },
            user_agent: row.user_agent.map(|agent| agent.to_string()),
            topics: row.topics.iter().map(ToString::to_string).collect(),
            outbox_frames: row.outbox_frames,
            outbox_bytes: row.outbox_bytes,
            outbox_age_ms: row.outbox_age_ms,
            missed: row.missed,
        }
    }
}

impl From<Stats> for Counters {
    fn from(stats: Stats) -> Self {
        let disconnects = stats.disconnects.into_iter();
        Self {
            shards: stats.shards,
            connections: stats.connections,
            subscriptions: stats.subscriptions,
            topics: stats.topics,
            publications: stats.publications,
            deliveries: stats.deliveries,
            writes: stats.writes,
            written_bytes: stats.written_bytes,
            waiting_bytes: stats.waiting_bytes,
            overflow_disconnects: stats.overflow_disconnects,
            disconnects: disconnects
                .map(|(code, count)| Disconnects { code, count })
                .collect(),
        }
    }
}

const TOPICS_CURSOR: Cursor = Cursor { mark: 't' };
const CONNECTIONS_CURSOR: Cursor = Cursor { mark: 'c' };

/// Rows of a page.
const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 1_000;

/// Topics looked at for one page. Where more of the server's own are passed over, the page is shorter.
const SEEN_MAX: usize = 10_000;
