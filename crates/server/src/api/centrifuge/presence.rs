//! Who is in a channel.

use std::collections::BTreeMap;
use std::sync::Arc;

use fanfare::centrifuge::client_of;
use fanfare::{ConnectionId, TopicName, UserName};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::answer::{Code, Failure};
use super::{Desk, topic_named};
use crate::api::scope::Scope;

/// The parameters of `presence`.
#[derive(Deserialize)]
pub(super) struct PresenceAsked {
    channel: Option<String>,
}

/// The parameters of `presence_stats`.
#[derive(Deserialize)]
pub(super) struct PresenceStatsAsked {
    channel: Option<String>,
}

/// Those who are in a channel, by their client id.
#[derive(Debug, Serialize)]
pub(super) struct Presence {
    presence: BTreeMap<String, Client>,
}

/// How many are in a channel. All anonymous connections are one user.
#[derive(Debug, Serialize)]
pub(super) struct PresenceStats {
    num_clients: u64,
    num_users: u64,
}

/// A connection as others may see it.
#[derive(Debug, Serialize)]
pub(super) struct Client {
    client: String,
    /// Empty for an anonymous one.
    user: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    conn_info: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chan_info: Option<Box<RawValue>>,
}

impl Client {
    /// With how others see it everywhere, and in the channel.
    pub(super) fn new(
        connection: ConnectionId,
        user: Option<&UserName>,
        infos: [Option<&Arc<str>>; 2],
    ) -> Self {
        let [conn_info, chan_info] = infos.map(|info| info.and_then(|info| serde_json::from_str(info).ok()));
        Self {
            client: client_of(connection),
            user: user.map(UserName::to_string).unwrap_or_default(),
            conn_info,
            chan_info,
        }
    }
}

impl PresenceAsked {
    pub(super) fn run(self, desk: Desk<'_>) -> Result<Presence, Failure> {
        let topic = watched(desk, self.channel.as_deref())?;
        let (mut presence, mut after) = (BTreeMap::new(), None);
        loop {
            let page = desk.api.fanfare.presence(topic.as_str(), after, PAGE);
            if page.attendance.connections > CLIENTS_MAX {
                return Err(too_many(page.attendance.connections));
            }
            for member in page.members {
                let infos = [member.info(), member.topic_info.as_ref()];
                let client = Client::new(member.connection, member.user(), infos);
                presence.insert(client.client.clone(), client);
            }
            after = page.next;
            if after.is_none() {
                return Ok(Presence { presence });
            }
        }
    }
}

impl PresenceStatsAsked {
    pub(super) fn run(self, desk: Desk<'_>) -> Result<PresenceStats, Failure> {
        let topic = watched(desk, self.channel.as_deref())?;
        let page = desk.api.fanfare.presence(topic.as_str(), None, 1);
        Ok(PresenceStats {
            num_clients: page.attendance.connections,
            num_users: page.attendance.users + u64::from(page.attendance.anonymous > 0),
        })
    }
}

/// The topic of a channel of which it is kept who is there.
fn watched(desk: Desk<'_>, channel: Option<&str>) -> Result<TopicName, Failure> {
    desk.caller.check(Scope::Stats)?;
    let topic = topic_named(channel)?;
    if desk.api.fanfare.rules().keeps_presence_of(&topic) {
        return Ok(topic);
    }
    Err(Failure::not_available(format!(
        "it is not kept who is in {:?}, set `keep_presence` in its rule",
        topic.as_str()
    )))
}

fn too_many(connections: u64) -> Failure {
    Failure::new(
        Code::LimitExceeded,
        format!(
            "{connections} connections are there, a call tells of {CLIENTS_MAX}; ask `presence_stats` how many, or read \
             page by page with GET /api/presence"
        ),
    )
}

/// Connections that a call tells of: all or none, because there are no pages.
const CLIENTS_MAX: u64 = 10_000;

/// How many are asked for at once.
const PAGE: usize = 1_000;
