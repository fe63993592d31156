//! Which channels there are, and what this process holds.

use std::collections::BTreeMap;

use fanfare::centrifuge::channel_of;
use fanfare::{TopicName, TopicRow, resident_bytes};
use serde::{Deserialize, Serialize};

use super::Desk;
use super::answer::{Code, Failure};
use super::glob::{Glob, GlobError};
use crate::api::scope::Scope;

/// The parameters of `channels`.
#[derive(Deserialize)]
pub(super) struct ChannelsAsked {
    pattern: Option<String>,
}

/// Channels with a subscriber, by their name.
#[derive(Debug, Serialize)]
pub(super) struct Channels {
    channels: BTreeMap<String, Channel>,
}

#[derive(Debug, Serialize)]
struct Channel {
    num_clients: u64,
}

/// What there is in the cluster, which is this process.
#[derive(Debug, Serialize)]
pub(super) struct Info {
    nodes: [NodeInfo; 1],
}

#[derive(Debug, Serialize)]
struct NodeInfo {
    uid: String,
    name: &'static str,
    version: &'static str,
    num_clients: u64,
    num_users: u64,
    num_channels: u64,
    num_subs: u64,
    /// In seconds.
    uptime: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<Process>,
}

#[derive(Debug, Serialize)]
struct Process {
    /// The resident memory in bytes.
    rss: u64,
}

impl ChannelsAsked {
    pub(super) async fn run(self, desk: Desk<'_>) -> Result<Channels, Failure> {
        desk.caller.check(Scope::Stats)?;
        let pattern = self.pattern.as_deref().filter(|pattern| !pattern.is_empty());
        let glob = pattern.map(Glob::parse).transpose()?;
        let mut channels = BTreeMap::new();
        desk.each_topic(|row| {
            let channel = channel_of(row.topic.as_str());
            let is_wanted = glob.as_ref().is_none_or(|glob| glob.matches(&channel));
            if !row.topic.is_reserved() && is_wanted {
                let num_clients = row.subscribers;
                channels.insert(channel.into_owned(), Channel { num_clients });
            }
            if channels.len() > CHANNELS_MAX {
                return Err(too_many());
            }
            Ok(())
        })
        .await?;
        Ok(Channels { channels })
    }
}

impl Desk<'_> {
    /// What this process holds. Costs a look at every topic.
    pub(super) async fn info(self) -> Result<Info, Failure> {
        self.caller.check(Scope::Stats)?;
        let (mut num_channels, mut num_users, mut num_subs) = (0, 0, 0);
        self.each_topic(|row| {
            if !row.topic.is_reserved() {
                num_channels += 1;
                num_subs += row.subscribers;
            }
            num_users += u64::from(is_of_a_user(&row.topic));
            Ok(())
        })
        .await?;
        let node = &self.api.node;
        Ok(Info {
            nodes: [NodeInfo {
                uid: node.uid.clone(),
                name: "fanfare",
                version: env!("CARGO_PKG_VERSION"),
                num_clients: self.api.fanfare.connection_count() as u64,
                num_users,
                num_channels,
                num_subs,
                uptime: node.began.elapsed().as_secs(),
                process: resident_bytes().map(|rss| Process { rss }),
            }],
        })
    }

    /// Looks at every topic that has a subscriber, the server's own among them, a page at a time.
    async fn each_topic(self, mut look: impl FnMut(&TopicRow) -> Result<(), Failure>) -> Result<(), Failure> {
        let mut next = Some(0);
        while let Some(cursor) = next {
            let page = self.api.fanfare.topics(cursor, PAGE);
            let mut occupied = page.topics.iter().filter(|row| row.subscribers > 0);
            occupied.try_for_each(&mut look)?;
            next = page.next;
            // There may be millions.
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}

/// Whether it is a user's own, which each of the user's connections has.
fn is_of_a_user(topic: &TopicName) -> bool {
    topic.as_str().starts_with("$user:")
}

impl From<GlobError> for Failure {
    fn from(error: GlobError) -> Self {
        Self::bad_request(format!("`pattern`: {error}"))
    }
}

fn too_many() -> Failure {
    let message = format!(
        "there are more than {CHANNELS_MAX} such channels, give a narrower `pattern`, or read page by page with \
         GET /api/topics"
    );
    Failure::new(Code::LimitExceeded, message)
}

/// Channels of one answer: all or none, because there are no pages.
const CHANNELS_MAX: usize = 10_000;

/// How many are asked for at once.
const PAGE: usize = 1_000;
