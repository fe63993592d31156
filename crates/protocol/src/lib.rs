//! The words and the wire of Fanfare.
//!
//! This room holds what every other room speaks about: topic names, positions, publications, commands, replies,
//! pushes, the two tables of codes, the WebSocket codec, the PROXY protocol's header and one file per client dialect.
//! Bytes come in as slices and go out into vectors; there is no I/O here, no clock, no randomness, and nothing panics on
//! input. It knows no hub.

pub mod codes;
mod command;
mod connection_id;
pub mod dialect;
mod every;
mod format;
mod greeting;
mod idempotency_key;
mod key;
mod pattern;
mod position;
mod presence;
pub mod proxy_header;
mod publication;
mod reply;
mod session_key;
mod since;
mod state_version;
mod tag_filter;
mod tags;
mod template;
mod topic;
mod user;
pub mod websocket;

pub use command::{
    Command, CommandId, CommandIdError, HISTORY_PAGE_MAX, Reading, Rejection, Target, Verb, Wanted,
};
pub use connection_id::{ConnectionId, ConnectionIdError, SHARDS_MAX, SLOTS_MAX};
pub use every::{Every, EveryError};
pub use format::Format;
pub use greeting::Greeting;
pub use idempotency_key::IdempotencyKey;
pub use key::{KEY_BYTES_MAX, Key, KeyError};
pub use pattern::{PATTERN_STARS_MAX, TopicPattern, TopicPatternError};
pub use position::{Epoch, Millis, Position, Timestamp};
pub use presence::{Attendance, PRESENCE_PAGE_MAX, PresenceDiff, PresencePage, Present};
pub use publication::{Draft, Payload, PayloadKind, Publication, PublishOptions, Publisher};
pub use reply::{Goodbye, Granted, HistoryPage, Missed, Push, Reply, SubscribedTopic, Turn, Welcome};
pub use session_key::SessionKey;
pub use since::{Loss, Since, SinceError};
pub use state_version::StateVersion;
pub use tag_filter::{
    Comparison, FILTER_DEPTH_MAX, FILTER_NODES_MAX, FILTER_VALUES_MAX, Number, Order, TagFilter,
};
pub use tags::{TAG_BYTES_MAX, TAGS_MAX, Tags, TagsError};
pub use template::{Asker, TEMPLATE_PLACES_MAX, TopicTemplate, TopicTemplateError};
pub use topic::{TOPIC_BYTES_MAX, TopicName, TopicNameError};
pub use user::{USER_BYTES_MAX, UserName, UserNameError};
