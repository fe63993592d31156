//! What a request for a connection asks for, and what is wrong with it.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode, Uri, header};
use fanfare_hub::{Admission, Opened, Role, SlowRule, WantedTopic};
use fanfare_protocol::dialect::Dialect;
use fanfare_protocol::dialect::sse::LastEventId;
use fanfare_protocol::websocket::Compression;
use fanfare_protocol::{ConnectionId, Every, EveryError, Since, SinceError, TopicName, UserName};

use super::identify::{Entry, TOKEN_SUBPROTOCOL};
use super::refusal::Refused;
use crate::Options;
use crate::clock::wall;

/// The topic of a `raw` connection that names none.
const LOBBY: &str = "lobby";

/// The longest user agent that is kept, in bytes.
const USER_AGENT_BYTES_MAX: usize = 256;

/// The dialect that the request asks for, and the subprotocol to answer with.
pub(super) fn choose_dialect(
    query: &Query,
    headers: &HeaderMap,
) -> Result<(Dialect, Option<&'static str>), Refused> {
    let offered: Vec<&str> = offered(headers)
        .filter(|offer| !offer.starts_with(TOKEN_SUBPROTOCOL))
        .collect();
    let spoken = |name: &&str| {
        let mut dialects = Dialect::WEBSOCKET.iter().copied();
        dialects.find(|dialect| dialect.subprotocol() == Some(*name))
    };
    let by_subprotocol = offered.iter().find_map(spoken);
    if !offered.is_empty() && by_subprotocol.is_none() {
        let dialects = Dialect::WEBSOCKET.iter();
        let names: Vec<_> = dialects.filter_map(|dialect| dialect.subprotocol()).collect();
        return Err(Refused::bad(format!(
            "no offered subprotocol is spoken here, offer one of {} or none",
            names.join(", ")
        )));
    }
    match (query.dialect, by_subprotocol) {
        (Some(asked), Some(offered)) if asked != offered => Err(Refused::bad(format!(
            "`dialect={}` and the subprotocol {} disagree, give one",
            asked.name(),
            offered.subprotocol().unwrap_or_default()
        ))),
        (asked, offered) => Ok((
            asked.or(offered).unwrap_or_default(),
            offered.and_then(Dialect::subprotocol),
        )),
    }
}

/// The subprotocols that a client offers.
fn offered(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    let values = values.filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

/// The encoding that a client of Centrifuge asks for, and the subprotocol to answer with: JSON unless it says otherwise.
pub(super) fn choose_encoding(uri: &Uri, headers: &HeaderMap) -> (Dialect, Option<&'static str>) {
    const ENCODINGS: [Dialect; 2] = [Dialect::CentrifugeJson, Dialect::CentrifugeProtobuf];
    let spoken = |offer: &str| {
        let mut encodings = ENCODINGS.into_iter();
        encodings.find(|dialect| dialect.subprotocol() == Some(offer))
    };
    if let Some(dialect) = offered(headers).find_map(spoken) {
        return (dialect, dialect.subprotocol());
    }
    let query = uri.query().unwrap_or_default();
    let is_protobuf = form_urlencoded::parse(query.as_bytes())
        .any(|(name, value)| matches!(&*name, "format" | "cf_protocol") && value == "protobuf");
    (ENCODINGS[usize::from(is_protobuf)], None)
}

/// The same for a client that only receives.
pub(super) fn choose_uni_encoding(uri: &Uri, headers: &HeaderMap) -> (Dialect, Option<&'static str>) {
    match choose_encoding(uri, headers) {
        (Dialect::CentrifugeProtobuf, subprotocol) => (Dialect::CentrifugeUniProtobuf, subprotocol),
        (_, subprotocol) => (Dialect::CentrifugeUniJson, subprotocol),
    }
}

/// Whether a client of Centrifuge asks to be pinged with frames of the WebSocket instead of messages.
pub(super) fn wants_native_pings(uri: &Uri) -> bool {
    let query = uri.query().unwrap_or_default();
    form_urlencoded::parse(query.as_bytes())
        .any(|(name, value)| name == "cf_ws_frame_ping_pong" && value == "true")
}

/// What the query string says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Query {
    dialect: Option<Dialect>,
    topics: Vec<TopicName>,
    since: Option<Since>,
    /// Where a stream goes on, which goes before `since`.
    last_event_id: Option<LastEventId>,
    role: Role,
    occupancy: bool,
    presence: bool,
    every: Option<Every>,
    slow: Option<SlowRule>,
    user: Option<UserName>,
    token: Option<String>,
}

impl Query {
    /// The user that it names, in development mode.
    pub(super) fn user(&self) -> Option<&UserName> {
        self.user.as_ref()
    }

    /// The token that it carries.
    pub(super) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Reads the parameters that the endpoint knows; others are left to the application.
    pub(super) fn parse(uri: &Uri, options: &Options) -> Result<Self, Refused> {
        let mut query = Self::default();
        for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
            match &*name {
                "dialect" => query.dialect = Some(parse_dialect(&value)?),
                "topic" => query
                    .topics
                    .push(TopicName::parse(&value).map_err(|error| Refused::bad(error.to_string()))?),
                "role" => query.role = parse_role(&value)?,
                "every" => {
                    query.every = Some(
                        value
                            .parse()
                            .map_err(|error: EveryError| Refused::bad(error.to_string()))?,
                    );
                }
                "since" | "last" if query.since.is_some() => {
                    return Err(Refused::bad(
                        "`since` and `last` say the same, give one of them once",
                    ));
                }
                "since" => {
                    let since = value.parse();
                    query.since = Some(since.map_err(|error: SinceError| Refused::bad(error.to_string()))?);
                }
                "last" => query.since = Some(parse_last(&value)?),
                "slow" => query.slow = Some(parse_slow(&value)?),
                "occupancy" => query.occupancy = parse_bool("occupancy", &value)?,
                "presence" => query.presence = parse_bool("presence", &value)?,
                "user" if !options.is_development => {
                    let reason = "`user` in the address names a user only in development mode, start the server with --dev";
                    return Err(Refused::new(StatusCode::FORBIDDEN, reason));
                }
                "user" => query.user = Some(parse_user(&value)?),
                "token" => query.token = Some(value.into_owned()),
                _ => {}
            }
        }
        let max = options.limits.subscriptions_max as usize;
        if query.topics.len() > max {
            return Err(Refused::bad(format!(
                "{} topics are named, limit is {max}",
                query.topics.len()
            )));
        }
        Ok(query)
    }

    /// The same for a stream of events, which goes on where it was.
    pub(super) fn of_stream(mut self, last_event_id: Option<LastEventId>) -> Result<Self, Refused> {
        if self.dialect.is_some() {
            return Err(Refused::bad(
                "`dialect` is for WebSockets, a stream of events has its own",
            ));
        }
        let mut topics: Vec<TopicName> = Vec::with_capacity(self.topics.len());
        for topic in self.topics {
            if !topics.contains(&topic) {
                topics.push(topic);
            }
        }
        if let Some(LastEventId(places)) = &last_event_id
            && places.len() != topics.len()
        {
            return Err(Refused::bad(format!(
                "`Last-Event-ID` has places for {} topics and {} are named, ask as before or without it",
                places.len(),
                topics.len()
            )));
        }
        (self.topics, self.last_event_id) = (topics, last_event_id);
        Ok(self)
    }

    /// The connection as the hub will know it. Its id comes from its shard.
    pub(super) fn into_opened(
        self,
        dialect: Dialect,
        headers: &HeaderMap,
        remote: SocketAddr,
        entry: Entry,
    ) -> Result<Opened, Refused> {
        if self.role == Role::Publisher && dialect != Dialect::Raw {
            return Err(Refused::bad(
                "`role=publisher` belongs to the dialect raw, others just do not subscribe",
            ));
        }
        if self.slow.is_some() && dialect != Dialect::Raw {
            return Err(Refused::bad(
                "`slow` belongs to the dialect raw, others are told what they miss",
            ));
        }
        let mut topics = self.topics;
        if dialect == Dialect::Raw && topics.is_empty() {
            topics.extend(TopicName::parse(LOBBY));
        }
        let since = match self.last_event_id {
            Some(LastEventId(places)) => places
                .into_iter()
                .map(|place| place.map(Since::Position))
                .collect(),
            None => vec![self.since; topics.len()],
        };
        let wanted = |(topic, since)| WantedTopic { topic, since };
        let is_awaited = matches!(entry, Entry::Awaited);
        let (identity, admission) = match entry {
            Entry::Known(admission) => (Some(Arc::clone(&admission.identity)), admission),
            Entry::Anonymous | Entry::Awaited => (None, Admission::default()),
        };
        Ok(Opened {
            connection: ConnectionId::from_bits(0),
            dialect,
            compression: Compression::None,
            role: self.role,
            identity,
            is_awaited,
            remote,
            user_agent: headers
                .get(header::USER_AGENT)
                .and_then(|value| value.to_str().ok())
                .map(user_agent),
            joined_at: wall(),
            topics: topics.into_iter().zip(since).map(wanted).collect(),
            greeting: Box::default(),
            granted_topics: admission.topics,
            leaves: admission.leaves,
            data: admission.data,
            occupancy: self.occupancy,
            presence: self.presence,
            every: self.every,
            conflates: self.slow == Some(SlowRule::Conflate),
            pings_natively: false,
            key: None,
        })
    }
}

fn user_agent(text: &str) -> Arc<str> {
    // A header value that is text is ASCII, so any place is a character's edge.
    Arc::from(&text[..text.len().min(USER_AGENT_BYTES_MAX)])
}

fn parse_dialect(value: &str) -> Result<Dialect, Refused> {
    Dialect::WEBSOCKET
        .iter()
        .copied()
        .find(|dialect| dialect.name() == value)
        .ok_or_else(|| {
            let names: Vec<_> = Dialect::WEBSOCKET.iter().map(|dialect| dialect.name()).collect();
            Refused::bad(format!("dialect is {value:?}, it is one of {}", names.join(", ")))
        })
}

fn parse_user(value: &str) -> Result<UserName, Refused> {
    UserName::parse(value).map_err(|error| Refused::bad(error.to_string()))
}

fn parse_role(value: &str) -> Result<Role, Refused> {
    match value {
        "subscriber" => Ok(Role::Subscriber),
        "publisher" => Ok(Role::Publisher),
        _ => Err(Refused::bad(format!(
            "role is {value:?}, it is one of subscriber, publisher"
        ))),
    }
}

fn parse_slow(value: &str) -> Result<SlowRule, Refused> {
    match value.parse() {
        Ok(rule @ (SlowRule::Disconnect | SlowRule::Conflate)) => Ok(rule),
        _ => Err(Refused::bad(format!(
            "`slow` is {value:?}, it is one of disconnect, conflate"
        ))),
    }
}

fn parse_last(value: &str) -> Result<Since, Refused> {
    let count = value.parse().ok().filter(|_| !value.starts_with('+'));
    count
        .map(Since::Last)
        .ok_or_else(|| Refused::bad(format!("`last` is {value:?}, it is a number of publications")))
}

fn parse_bool(name: &str, value: &str) -> Result<bool, Refused> {
    match value {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(Refused::bad(format!(
            "`{name}` is {value:?}, it is true or false"
        ))),
    }
}
