//! Who is in a topic: how it is asked for, and what comes.

use fanfare_protocol::PRESENCE_PAGE_MAX;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::commands::Commands;
use crate::error::Error;
use crate::server_message::text_or_number;

/// How many are in a topic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attendance {
    /// Connections.
    pub connections: u64,
    /// Users, each counted once. Anonymous connections are nobody's.
    pub users: u64,
}

/// A connection that is subscribed to a topic.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Present {
    /// Its id.
    #[serde(deserialize_with = "text_or_number")]
    pub connection: String,
    /// Its user, when the server knows one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// What others may see of it: JSON, as the token or the application said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub info: Option<Box<RawValue>>,
    /// Since when it is subscribed, in milliseconds since 1970.
    pub since: u64,
}

impl Present {
    fn bytes(&self) -> usize {
        let user = self.user.as_ref().map_or(0, String::len);
        let info = self.info.as_ref().map_or(0, |info| info.get().len());
        size_of::<Self>() + self.connection.len() + user + info
    }
}

/// What changes in a topic, for those who [want to be told](crate::SubscribeOptions::presence).
///
/// It serializes as the fields that the `json` dialect has for it.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum PresenceUpdate {
    /// Everyone who is there, whoever was known before: told first, again after every reconnect, and when the server has
    /// lost track of what changed.
    Everyone {
        /// How many there are.
        #[serde(flatten)]
        attendance: Attendance,
        /// Who, in the order of their ids; at most 1,000.
        members: Vec<Present>,
        /// Whether these are all. The others are to be asked for with [`Commands::presence`].
        #[serde(rename = "complete")]
        is_complete: bool,
    },
    /// Who came and went since, at most once a second. Whoever came and went in between is in neither list; who is somebody
    /// else now is in both. The lists are sets: somebody may be named who is known already, or is not.
    Changed {
        /// How many there are now.
        #[serde(flatten)]
        attendance: Attendance,
        /// Who came.
        came: Vec<Present>,
        /// Who went.
        went: Vec<Present>,
    },
}

impl PresenceUpdate {
    /// How many there are now.
    pub fn attendance(&self) -> Attendance {
        match self {
            Self::Everyone { attendance, .. } | Self::Changed { attendance, .. } => *attendance,
        }
    }

    /// About how many bytes it holds.
    pub(crate) fn bytes(&self) -> usize {
        let bytes = |members: &[Present]| members.iter().map(Present::bytes).sum::<usize>();
        match self {
            Self::Everyone { members, .. } => bytes(members),
            Self::Changed { came, went, .. } => bytes(came) + bytes(went),
        }
    }
}

impl<'de> Deserialize<'de> for PresenceUpdate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Told {
            attendance,
            members,
            complete,
            came,
            went,
        } = Told::deserialize(deserializer)?;
        Ok(match members {
            Some(members) => Self::Everyone {
                attendance,
                members,
                is_complete: complete,
            },
            None => Self::Changed {
                attendance,
                came,
                went,
            },
        })
    }
}

/// The fields of both, which have no tag.
#[derive(Deserialize)]
struct Told {
    #[serde(flatten)]
    attendance: Attendance,
    members: Option<Vec<Present>>,
    #[serde(default)]
    complete: bool,
    #[serde(default)]
    came: Vec<Present>,
    #[serde(default)]
    went: Vec<Present>,
}

/// Which of those who are in a topic are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PresenceOptions {
    /// Whom the page begins behind: the [`next`](PresencePage::next) of the page before. Default: with the first.
    pub after: Option<String>,
    /// Members in a page, 1 to 1,000. Default: the server's, 100.
    pub limit: Option<u32>,
}

/// Some of those who are in a topic, in the order of their ids. Whoever stays is on exactly one page.
#[derive(Debug, Clone, Deserialize)]
pub struct PresencePage {
    /// The topic.
    pub topic: String,
    /// How many there are in all.
    #[serde(flatten)]
    pub attendance: Attendance,
    /// Who is on this page.
    pub members: Vec<Present>,
    /// Whom the next page begins behind; none after the last one.
    pub next: Option<String>,
}

/// Pages of those who are in a topic, one after the other, made by [`Commands::presence`]. Nothing is asked for ahead.
#[derive(Debug)]
pub struct Presence {
    commands: Commands,
    topic: String,
    /// None when there is no more.
    options: Option<PresenceOptions>,
}

impl Presence {
    pub(crate) fn new(commands: Commands, topic: &str, options: PresenceOptions) -> Self {
        Self {
            commands,
            topic: topic.to_owned(),
            options: Some(options),
        }
    }

    /// The next page, which may be empty; none after the last one. After an error it may be asked for again.
    ///
    /// # Errors
    /// Those of [`Commands::presence_page`].
    pub async fn next(&mut self) -> Result<Option<PresencePage>, Error> {
        self.page(None).await
    }

    /// All that follow, but no more than `members_max`; of more than that so many, and the others follow in the next call.
    /// Asks for as many pages as that takes, of up to 1,000 members whatever the options say. After an error it may be asked
    /// for again.
    ///
    /// # Errors
    /// Those of [`Commands::presence_page`].
    pub async fn all(&mut self, members_max: usize) -> Result<Vec<Present>, Error> {
        let begin = self.options.clone();
        let all = self.gather(members_max).await;
        if all.is_err() {
            self.options = begin;
        }
        all
    }

    async fn gather(&mut self, members_max: usize) -> Result<Vec<Present>, Error> {
        let mut all = Vec::new();
        while all.len() < members_max {
            let left = u32::try_from(members_max - all.len()).unwrap_or(u32::MAX);
            match self.page(Some(left.min(PRESENCE_PAGE_MAX))).await? {
                Some(page) => all.extend(page.members),
                None => break,
            }
        }
        Ok(all)
    }

    /// The next page, of so many members or as many as the options say.
    async fn page(&mut self, limit: Option<u32>) -> Result<Option<PresencePage>, Error> {
        let Some(wanted) = self.options.clone() else {
            return Ok(None);
        };
        let options = PresenceOptions {
            after: wanted.after,
            limit: limit.or(wanted.limit),
        };
        let page = self.commands.presence_page(&self.topic, options).await?;
        self.options = page.next.clone().map(|after| PresenceOptions {
            after: Some(after),
            limit: wanted.limit,
        });
        Ok(Some(page))
    }
}
