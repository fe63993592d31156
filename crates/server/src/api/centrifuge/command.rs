//! What a call asks for: the method's name and its parameters.

use serde::Deserialize;
use serde_json::error::Category;

use super::answer::{Done, Failure};
use super::channels::ChannelsAsked;
use super::connections::{Disconnecting, Refreshing, Unsubscribing};
use super::history::{HistoryAsked, HistoryRemoving};
use super::presence::{PresenceAsked, PresenceStatsAsked};
use super::publish::Publishing;
use super::subscribing::Subscribing;
use super::{Desk, batch};
use crate::api::answer::{Code as OurCode, Problem};

/// A command with its parameters. Of these unknown ones are passed over, as Centrifugo does.
pub(super) enum Command<'a> {
    Publish(Publishing<'a>),
    Broadcast(Publishing<'a>),
    Subscribe(Subscribing<'a>),
    Unsubscribe(Unsubscribing),
    Disconnect(Disconnecting),
    Refresh(Refreshing<'a>),
    Presence(PresenceAsked),
    PresenceStats(PresenceStatsAsked),
    History(HistoryAsked),
    HistoryRemove(HistoryRemoving),
    Channels(ChannelsAsked),
    Info,
    /// It is Centrifugo's and not ours.
    Unavailable(&'static str),
}

/// The methods that only Centrifugo's API has as a `POST`.
pub(super) const OWN_METHODS: [&str; 16] = [
    batch::METHOD,
    "channels",
    "history",
    "history_remove",
    "info",
    "map_clear",
    "map_publish",
    "map_read_state",
    "map_read_stream",
    "map_remove",
    "map_stats",
    "presence",
    "presence_stats",
    "refresh",
    "rpc",
    "shared_poll_publish",
];

const NO_RPC: &str = "`rpc` is not available here: clients of the json dialect call the application by its hook, and \
                      a backend calls itself";
const NO_MAPS: &str = "map subscriptions are not available here, publish to a channel that keeps history";
const NO_POLLS: &str = "shared polls are not available here, publish to a channel that keeps history";

impl<'a> Command<'a> {
    /// The command of a call.
    ///
    /// # Errors
    /// The body is no JSON object, or a parameter is of the wrong kind.
    pub(super) fn decode(method: &str, body: &'a [u8]) -> Result<Self, Problem> {
        let parameters = std::str::from_utf8(body)
            .map_err(|_| Problem::new(OurCode::BadJson, "the body is not UTF-8, which JSON is"))?;
        Self::parse(method, parameters).unwrap_or_else(|| {
            let message = format!("there is no method {method:?}");
            Err(Problem::new(OurCode::NotFound, message))
        })
    }

    /// The command of this name; none where there is no such one.
    pub(super) fn parse(method: &str, parameters: &'a str) -> Option<Result<Self, Problem>> {
        Some(match method {
            "publish" => parse(parameters).map(Self::Publish),
            "broadcast" => parse(parameters).map(Self::Broadcast),
            "subscribe" => parse(parameters).map(Self::Subscribe),
            "unsubscribe" => parse(parameters).map(Self::Unsubscribe),
            "disconnect" => parse(parameters).map(Self::Disconnect),
            "refresh" => parse(parameters).map(Self::Refresh),
            "presence" => parse(parameters).map(Self::Presence),
            "presence_stats" => parse(parameters).map(Self::PresenceStats),
            "history" => parse(parameters).map(Self::History),
            "history_remove" => parse(parameters).map(Self::HistoryRemove),
            "channels" => parse(parameters).map(Self::Channels),
            "info" => parse(parameters).map(|Unread {}| Self::Info),
            "rpc" => unavailable(parameters, NO_RPC),
            "shared_poll_publish" => unavailable(parameters, NO_POLLS),
            _ if method.starts_with("map_") && OWN_METHODS.contains(&method) => {
                unavailable(parameters, NO_MAPS)
            }
            _ => return None,
        })
    }

    /// Does it.
    pub(super) async fn run(self, desk: Desk<'_>) -> Result<Done, Failure> {
        match self {
            Self::Publish(publishing) => publishing.publish(desk).await.map(Done::Published),
            Self::Broadcast(publishing) => publishing.broadcast(desk).await.map(Done::Broadcast),
            Self::Subscribe(subscribing) => subscribing.run(desk).await,
            Self::Unsubscribe(unsubscribing) => unsubscribing.run(desk).await,
            Self::Disconnect(disconnecting) => disconnecting.run(desk).await,
            Self::Refresh(refreshing) => refreshing.run(desk).await,
            Self::Presence(asked) => asked.run(desk).map(Done::Presence),
            Self::PresenceStats(asked) => asked.run(desk).map(Done::PresenceStats),
            Self::History(asked) => asked.run(desk).await.map(Done::History),
            Self::HistoryRemove(removing) => removing.run(desk).await,
            Self::Channels(asked) => asked.run(desk).await.map(Done::Channels),
            Self::Info => desk.info().await.map(Done::Info),
            Self::Unavailable(message) => Err(Failure::not_available(message)),
        }
    }
}

/// Parameters that are not looked at.
#[derive(Deserialize)]
struct Unread {}

fn unavailable(parameters: &str, message: &'static str) -> Result<Command<'static>, Problem> {
    parse(parameters).map(|Unread {}| Command::Unavailable(message))
}

/// Reads a JSON object.
///
/// # Errors
/// It is not JSON, no object, or a field is of the wrong kind.
pub(super) fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Problem> {
    // A struct would be read from an array as well.
    if text.trim_start().starts_with('[') {
        let message = "the parameters are an array, send them as a JSON object";
        return Err(Problem::new(OurCode::BadBody, message));
    }
    serde_json::from_str(text).map_err(|error| {
        let code = match error.classify() {
            Category::Data => OurCode::BadBody,
            Category::Io | Category::Syntax | Category::Eof => OurCode::BadJson,
        };
        Problem::new(code, format!("{error}; send the parameters as a JSON object"))
    })
}
