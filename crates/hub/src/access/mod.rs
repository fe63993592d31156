//! Who may do what: one function for clients, keys and the server itself, on every surface.
//!
//! [`TopicRules`] come from a configuration, an [`Identity`] from a token or an application, [`KeyScopes`] from a key
//! of the HTTP API. [`TopicRules::decide`] puts them together and gives a [`Verdict`]. It knows neither connections nor
//! commands: whoever serves a request asks it, before anything is done.

mod identity;
mod rules;

pub use identity::{Grants, Identity};
pub use rules::{Access, TopicRule, TopicRules, Who, WhoError};

use fanfare_protocol::TopicPattern;

/// What somebody wants to do with a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Receive what is published.
    Subscribe,
    /// Publish. To send to a user is to publish to `$user:NAME`, to a connection to `$connection:ID`.
    Publish,
    /// See who is there.
    Presence,
    /// Read what was published.
    History,
}

impl Action {
    /// Every action.
    pub const ALL: &'static [Self] = &[Self::Subscribe, Self::Publish, Self::Presence, Self::History];

    /// The name in configurations and tokens.
    pub fn name(self) -> &'static str {
        match self {
            Self::Subscribe => "subscribe",
            Self::Publish => "publish",
            Self::Presence => "presence",
            Self::History => "history",
        }
    }
}

/// Somebody who wants to do something.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    /// A client.
    Client {
        /// Who it is; `None` for an anonymous one.
        identity: Option<&'a Identity>,
        /// Whether it is subscribed to the topic.
        is_subscribed: bool,
    },
    /// The holder of a key of the HTTP API.
    Key(&'a KeyScopes),
    /// The application that the server belongs to.
    Application,
}

/// What the holder of a key may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyScopes {
    /// Topics it may publish to.
    pub publish: Vec<TopicPattern>,
    /// Whether it may read figures: statistics, topics, connections, presence and history.
    pub stats: bool,
    /// Whether it may do everything.
    pub admin: bool,
}

/// The answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may be done.
    Allowed,
    /// It may not.
    Denied,
    /// The application decides.
    Ask,
}
