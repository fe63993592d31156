//! Who a client is, as somebody vouched for.

use std::collections::BTreeMap;
use std::sync::Arc;

use fanfare_protocol::{Asker, Timestamp, TopicName, TopicPattern, UserName};

use super::Action;

/// Who a client is and what was granted to it, by a token or by the application. Shared by whoever needs it; it never
/// changes, a refreshed one takes its place.
///
/// ```
/// use fanfare_hub::access::{Grants, Identity};
/// use fanfare_protocol::{TopicPattern, UserName};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let ada = Identity {
///     // Others see it beside what she says.
///     info: Some(r#"{"color":"green"}"#.into()),
///     // For rules such as `team:{claims.team}:*`.
///     claims: [("team".into(), vec!["red".into(), "blue".into()])].into(),
///     grants: Grants { subscribe: vec!["audit:*".parse::<TopicPattern>()?], ..Grants::default() },
///     ..Identity::of_user(UserName::parse("ada")?)
/// };
/// # drop(ada);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The user; `None` for a client that was let in without a name.
    pub user: Option<UserName>,
    /// What others may see of it: JSON.
    pub info: Option<Arc<str>>,
    /// Claims that templates of topics may use, each with its values.
    pub claims: BTreeMap<Box<str>, Vec<Box<str>>>,
    /// What it may do beside what the rules allow.
    pub grants: Grants,
    /// When it ends; the connection is closed then unless it was refreshed.
    pub expires_at: Option<Timestamp>,
    /// Which token it comes from, for revoking (`jti`).
    pub token_id: Option<Box<str>>,
    /// What the application is told about it with every question, and nobody else: JSON.
    pub meta: Option<Arc<str>>,
}

/// Topics that somebody may use, by what for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// To receive.
    pub subscribe: Vec<TopicPattern>,
    /// To publish.
    pub publish: Vec<TopicPattern>,
    /// To see who is there.
    pub presence: Vec<TopicPattern>,
    /// To read what was published.
    pub history: Vec<TopicPattern>,
}

impl Grants {
    /// Whether they cover `action` on `topic`.
    pub fn cover(&self, action: Action, topic: &TopicName) -> bool {
        self.of(action).iter().any(|pattern| pattern.matches(topic))
    }

    fn of(&self, action: Action) -> &[TopicPattern] {
        match action {
            Action::Subscribe => &self.subscribe,
            Action::Publish => &self.publish,
            Action::Presence => &self.presence,
            Action::History => &self.history,
        }
    }
}

impl Identity {
    /// A user to whom nothing was granted.
    pub fn of_user(user: UserName) -> Self {
        Self {
            user: Some(user),
            ..Self::default()
        }
    }

    /// Whether it is one of the users whom a topic's name names; see [`Who::Named`](super::Who::Named).
    pub(super) fn is_named_in(&self, topic: &TopicName) -> bool {
        let (Some(user), Some((_, names))) = (&self.user, topic.as_str().rsplit_once(NAMES_MARK)) else {
            return false;
        };
        names.split(',').any(|name| is_written(user.as_str(), name))
    }
}

impl Asker for Identity {
    fn user(&self) -> Option<&UserName> {
        self.user.as_ref()
    }

    fn claim(&self, name: &str) -> &[Box<str>] {
        self.claims.get(name).map_or(&[], Vec::as_slice)
    }
}

/// Whether a text is the name of a user as topics have it: with `%25` for each `%`.
fn is_written(user: &str, text: &str) -> bool {
    if !user.contains('%') {
        return user == text;
    }
    user.replace('%', "%25") == text
}

/// What stands before the names of users in a topic's name.
const NAMES_MARK: &str = "%23";
