//! The `sse` dialect: server-sent events. `docs/protocol/sse.md` describes it.
//!
//! Every event carries the object that the `json` dialect has for it. Publications are events without a name, so that
//! `onmessage` gets them; everything else is named by its `type`. The `id` of an event says where the stream stands after
//! it, and a browser gives the last one back as `Last-Event-ID` when it connects again: see [`LastEventId`].
//!
//! The framing is the event stream of the HTML standard, section 9.2: fields that are lines, and an empty line behind
//! each event.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use super::{Direct, json};
use crate::{Position, Publication, Push, Reply, Welcome};

/// A comment, which clients skip: what keeps a quiet stream alive, and finds out whether anybody is there.
pub const COMMENT: &[u8] = b":\n\n";

/// Where a stream stands: a place for each topic that it asked for, in the order of its request. Written as positions
/// with commas between, and `-` for a topic without one: `k2w9:17,-,m4:3`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastEventId(pub Vec<Option<Position>>);

/// Why a text is not the id of an event of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not the id of an event from here, such as k2w9:17 or k2w9:17,m4:3, give the last one or none")]
pub struct LastEventIdError;

impl FromStr for LastEventId {
    type Err = LastEventIdError;

    fn from_str(text: &str) -> Result<Self, LastEventIdError> {
        let place = |text: &str| match text {
            "-" => Ok(None),
            _ => text.parse().map(Some).map_err(|_| LastEventIdError),
        };
        text.split(',').map(place).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for LastEventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, place) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_char(',')?;
            }
            match place {
                Some(place) => place.fmt(f)?,
                None => f.write_char('-')?,
            }
        }
        Ok(())
    }
}

impl LastEventId {
    /// Appends it as a line of the event whose other lines follow.
    pub fn encode(&self, event: &mut Vec<u8>) {
        append_line("id", self.to_string().as_bytes(), event);
    }
}

/// A publication with the id of a stream of this topic alone. A topic of the server's has none: nobody asks for it, so
/// nobody can ask for what was missed of it.
pub(super) fn encode_publication(publication: &Publication, event: &mut Vec<u8>) {
    if !publication.draft.topic.is_reserved() {
        LastEventId(vec![Some(publication.position)]).encode(event);
    }
    encode_numberless(publication, event);
}

/// A publication without an id: a stream of several topics has ids of its own.
pub fn encode_numberless(publication: &Publication, event: &mut Vec<u8>) {
    let mut text = Vec::new();
    json::write_publication(publication, &mut text);
    append_data(&text, event);
}

/// What was sent to one connection.
pub(super) fn encode_direct(sent: &Direct, event: &mut Vec<u8>) {
    let mut text = Vec::new();
    json::write_direct(sent, &mut text);
    append_data(&text, event);
}

/// The topics that a stream has from now on, or has no longer. Nothing else is answered to those who say nothing.
pub(super) fn encode_reply(reply: &Reply, event: &mut Vec<u8>) {
    let name: &[u8] = match reply {
        Reply::Subscribed { .. } => b"subscribed",
        Reply::Unsubscribed { .. } => b"unsubscribed",
        _ => return,
    };
    append_line("event", name, event);
    let mut text = Vec::new();
    json::write_reply(None, reply, &mut text);
    append_data(&text, event);
}

/// A push, with the time after which a browser connects again where that changes.
pub(super) fn encode_push(push: &Push, event: &mut Vec<u8>) {
    let (name, retry_ms): (&[u8], _) = match push {
        Push::Welcome(welcome) => (b"welcome", Some(retry_ms_of(welcome))),
        Push::Occupancy { .. } => (b"occupancy", None),
        Push::Members(_) | Push::Attendance(_) => (b"attendance", None),
        Push::Missed(_) => (b"missed", None),
        Push::LeaveEnded { .. } => (b"unsubscribed", None),
        Push::Goodbye(goodbye) if goodbye.disconnect.reconnects() => (b"goodbye", goodbye.reconnect_after_ms),
        Push::Goodbye(_) => (b"goodbye", Some(FINAL_RETRY_MS)),
        // A stream is closed in its place.
        Push::PositionLost { .. } => return,
    };
    if let Some(retry_ms) = retry_ms {
        append_line("retry", retry_ms.to_string().as_bytes(), event);
    }
    append_line("event", name, event);
    let mut text = Vec::new();
    json::write_push(push, &mut text);
    append_data(&text, event);
}

/// How long a browser waits before it connects again after its stream broke off. Spread by the connection's id, so that
/// those whose server vanished do not come back together.
fn retry_ms_of(welcome: &Welcome) -> u64 {
    RETRY_MS_MIN + u64::from(welcome.connection.nonce()) % RETRY_SPREAD_MS
}

/// The shortest time before a browser connects again, in milliseconds.
const RETRY_MS_MIN: u64 = 1_000;

/// What is added to it at most, in milliseconds.
const RETRY_SPREAD_MS: u64 = 2_000;

/// A browser connects again whatever it is told. One that should not, and whose page does not close it, comes back after
/// this, in milliseconds.
const FINAL_RETRY_MS: u64 = 3_600_000;

/// Appends JSON text as the data of an event, and the end of the event. Line breaks in it, which can only be white space
/// between tokens, become those between lines of data: the client puts them back.
fn append_data(text: &[u8], event: &mut Vec<u8>) {
    event.reserve(text.len() + 16);
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
        append_line("data", &rest[..at], event);
        let is_pair = rest[at..].starts_with(b"\r\n");
        rest = &rest[at + 1 + usize::from(is_pair)..];
    }
    append_line("data", rest, event);
    event.push(b'\n');
}

/// Appends a field. Its value has no line break.
fn append_line(name: &str, value: &[u8], event: &mut Vec<u8>) {
    event.extend_from_slice(name.as_bytes());
    event.extend_from_slice(b": ");
    event.extend_from_slice(value);
    event.push(b'\n');
}

#[cfg(test)]
mod tests;
