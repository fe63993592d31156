//! What clients ask for, whatever dialect they ask it in.

use std::borrow::Cow;
use std::sync::Arc;

use crate::codes::ErrorCode;
use crate::{
    ConnectionId, Every, Greeting, Payload, Position, PublishOptions, Since, TagFilter, Turn, UserName,
};

/// One command of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command<'a> {
    /// What its reply repeats.
    pub id: Option<CommandId>,
    /// What is asked.
    pub verb: Verb<'a>,
}

/// What a command asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb<'a> {
    /// Receive these topics. Their names are not checked yet.
    Subscribe {
        /// Which, and from where on.
        topics: Vec<Wanted<'a>>,
        /// Whether to be told how many subscribers the topics have.
        occupancy: bool,
        /// How often the newest is delivered at most; `None` delivers everything at once.
        every: Option<Every>,
        /// Whether to be told who comes to the topics and who goes.
        presence: bool,
        /// Whether publications may come as what has changed since the one before.
        deltas: bool,
        /// Which publications are wanted, by their tags; `None` for all.
        filter: Option<Arc<TagFilter>>,
        /// Whether to be refused where it cannot go on from the place that it names, instead of beginning anew.
        insists: bool,
        /// A token that allows it.
        token: Option<Cow<'a, str>>,
    },
    /// Receive these topics no longer.
    Unsubscribe {
        /// The names as the client gave them.
        topics: Vec<Cow<'a, str>>,
    },
    /// Publish to one topic.
    Publish {
        /// The name as the client gave it.
        topic: Cow<'a, str>,
        /// What to publish.
        payload: Payload,
        /// What is said about it.
        options: PublishOptions,
        /// Whether the publisher receives it too, if it is subscribed.
        echo: bool,
    },
    /// Publish to every topic that the connection named when it was opened (`raw`).
    Relay {
        /// What to publish.
        payload: Payload,
    },
    /// Send to one connection or one user.
    Send {
        /// Who receives it.
        to: Target,
        /// What to send.
        payload: Payload,
    },
    /// Read what was published to a topic.
    History {
        /// The name as the client gave it.
        topic: Cow<'a, str>,
        /// What of it.
        reading: Reading,
        /// How many publications at most.
        limit: u32,
    },
    /// Who is in a topic.
    Presence {
        /// The name as the client gave it.
        topic: Cow<'a, str>,
        /// Whom the page begins behind; `None` for the first one.
        after: Option<ConnectionId>,
        /// How many at most.
        limit: u32,
    },
    /// Call a procedure of the application's.
    Call {
        /// Its name as the client gave it.
        method: Cow<'a, str>,
        /// What it is called with.
        payload: Payload,
    },
    /// Say who the client is, for the first time or anew.
    Authenticate {
        /// The token as the client gave it.
        token: Cow<'a, str>,
    },
    /// Answer, to show that the way to the hub and back works.
    Ping,
    /// How many are in a topic.
    Attendance {
        /// The name as the client gave it.
        topic: Cow<'a, str>,
    },
    /// Be let in: the first thing that a client says in a dialect in which the client speaks first.
    Hello {
        /// The token as the client gave it, if it has one.
        token: Option<Cow<'a, str>>,
        /// Where it stands in topics that the server subscribes it to. Their names are not checked yet.
        places: Vec<Wanted<'a>>,
        /// What it says of itself.
        greeting: Box<Greeting>,
    },
    /// The server's ping has come, in a dialect that has its own.
    Pong,
    /// Go on receiving a topic that the client is subscribed to.
    Renew {
        /// The name as the client gave it.
        topic: Cow<'a, str>,
        /// The token that allows it.
        token: Cow<'a, str>,
    },
}

/// A topic that is to be received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// The name as the client gave it.
    pub topic: Cow<'a, str>,
    /// From where on; `None` for what is published from now on.
    pub since: Option<Since>,
}

/// What is read of a topic's history, and in which direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// From the oldest that is kept, oldest first.
    Oldest,
    /// From there on, oldest first.
    Since(Since),
    /// Before this place, newest first.
    Before(Position),
    /// The newest, newest first.
    Newest,
}

impl From<Turn> for Reading {
    fn from(turn: Turn) -> Self {
        match turn {
            Turn::Since(place) => Self::Since(Since::Position(place)),
            Turn::Before(place) => Self::Before(place),
        }
    }
}

/// The most publications that a client may read at once.
pub const HISTORY_PAGE_MAX: u32 = 1_000;

/// Whom a `send` is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// One connection.
    Connection(ConnectionId),
    /// All connections of a user.
    User(UserName),
}

/// What a client calls a command, repeated in its reply: a number or a string, kept as the JSON text it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandId(Box<str>);

/// The longest `id` of a command in bytes of JSON text.
const COMMAND_ID_BYTES_MAX: usize = 66;

/// The largest number that every JSON reader keeps exactly (RFC 8259 section 6).
const COMMAND_ID_MAX: u64 = (1 << 53) - 1;

/// Why a JSON value is not a command id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`id` is neither an integer from 0 to 2^53-1 nor a string of at most 64 bytes")]
pub struct CommandIdError;

impl CommandId {
    /// Takes the JSON text of a number or a string.
    ///
    /// # Errors
    /// When it is neither, or beyond its bound.
    pub fn from_json(text: &str) -> Result<Self, CommandIdError> {
        let is_string = text.starts_with('"') && text.len() <= COMMAND_ID_BYTES_MAX;
        let is_number = text.parse::<u64>().is_ok_and(|number| number <= COMMAND_ID_MAX);
        if is_string || is_number {
            Ok(Self(Box::from(text)))
        } else {
            Err(CommandIdError)
        }
    }

    /// A number.
    pub fn of(number: u32) -> Self {
        Self(Box::from(number.to_string()))
    }

    /// The JSON text.
    pub fn as_json(&self) -> &str {
        &self.0
    }

    /// The number, where it is one that fits.
    pub fn as_number(&self) -> Option<u32> {
        self.0.parse().ok()
    }
}

/// A command that is refused: what the error reply will say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The command's id, when it could be read.
    pub id: Option<CommandId>,
    /// The code of the table.
    pub code: ErrorCode,
    /// Names the value, the rule and the way out.
    pub message: String,
    /// When to ask again, in milliseconds from now, where that is known.
    pub retry_after_ms: Option<u64>,
    /// Where the topic stands, where it was expected elsewhere.
    pub position: Option<Position>,
    /// The application's own number for it, if it was the application that refused and gave one.
    pub application_code: Option<u16>,
}

impl Rejection {
    /// A refusal with `code` and what `message` says.
    pub fn new(id: Option<CommandId>, code: ErrorCode, message: impl ToString) -> Self {
        Self {
            id,
            code,
            message: message.to_string(),
            retry_after_ms: None,
            position: None,
            application_code: None,
        }
    }

    /// The same refusal, with the time to ask again.
    #[must_use]
    pub fn retry_after(self, ms: u64) -> Self {
        Self {
            retry_after_ms: Some(ms),
            ..self
        }
    }

    /// The same refusal, with where the topic stands.
    #[must_use]
    pub fn standing_at(self, position: Position) -> Self {
        Self {
            position: Some(position),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Epoch;

    #[test]
    fn ids_are_small_integers_or_short_strings() {
        let longest = format!("\"{}\"", "x".repeat(64));
        for good in ["0", "9007199254740991", "\"a\"", "\"\"", longest.as_str()] {
            assert_eq!(CommandId::from_json(good).unwrap().as_json(), good);
        }
        let longer = format!("\"{}\"", "x".repeat(65));
        for bad in [
            "-1",
            "1.5",
            "9007199254740992",
            "1e3",
            "null",
            "true",
            "[1]",
            "{}",
            longer.as_str(),
        ] {
            assert_eq!(CommandId::from_json(bad), Err(CommandIdError), "{bad}");
        }
    }

    #[test]
    fn a_refusal_says_when_and_where_without_losing_what_it_said() {
        let position = Position {
            epoch: Epoch(1),
            offset: 7,
        };
        let refusal = Rejection::new(Some(CommandId::of(3)), ErrorCode::Conflict, "moved");
        let told = refusal.clone().retry_after(40).standing_at(position);
        assert_eq!((told.retry_after_ms, told.position), (Some(40), Some(position)));
        assert_eq!(
            (told.id, told.code, told.message),
            (refusal.id, refusal.code, refusal.message)
        );
    }
}
