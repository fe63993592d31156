//! What can be said about a command, and commands as the `json` dialect writes them.

use fanfare_protocol::{Every, Since, Tags};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::place::{ENTRY_BYTES_MAX, Entry, since_text};
use crate::token::TokenSource;
use crate::topic::Wishes;

/// How topics are subscribed to.
#[derive(Debug, Clone, Default)]
pub struct SubscribeOptions {
    /// Whether to be told their numbers of subscribers, when those change. Stays as [`presence`](Self::presence) does.
    pub occupancy: bool,
    /// Whether to be told who is there, and then who comes and goes: [`PresenceUpdate`](crate::PresenceUpdate)s, the first
    /// of them within about a second. The server must keep it for these topics and let the client see it.
    ///
    /// It stays so until a topic is unsubscribed from, however it is subscribed to meanwhile: a command that names one
    /// such topic asks for all its topics so. All streams of a topic are told.
    pub presence: bool,
    /// From where on they are wanted: behind a position, for example one that a former life of the program stored; no
    /// older than an age; or so many of the newest. Default: from now on. A topic that the client is subscribed to already
    /// goes on from where it is.
    pub since: Option<Since>,
    /// How often the newest publication, of every key, is wanted at most; all of them at once by default.
    pub every: Option<Every>,
    /// Where tokens come from that let the client receive these topics; asked now and after every reconnect, once for
    /// all topics that were subscribed to together. Default: none is needed.
    pub token: Option<TokenSource>,
}

/// A command as the dialect writes it.
#[derive(Serialize)]
pub(crate) struct Command<'a> {
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) id: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) topic: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) topics: Option<&'a [Entry<'a>]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) after: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) occupancy: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) presence: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) every: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) idempotency_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tags: Option<&'a Tags>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expected: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) method: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data: Option<&'a RawValue>,
}

impl Command<'_> {
    pub(crate) fn new(kind: &'static str) -> Self {
        Self {
            kind,
            id: 0,
            topic: None,
            topics: None,
            since: None,
            last: None,
            before: None,
            limit: None,
            after: None,
            occupancy: None,
            presence: None,
            every: None,
            key: None,
            idempotency_key: None,
            tags: None,
            expected: None,
            token: None,
            method: None,
            data: None,
        }
    }

    /// The same, wanted like that.
    pub(crate) fn wishing(self, wishes: Wishes) -> Self {
        Self {
            occupancy: wishes.occupancy.then_some(true),
            presence: wishes.presence.then_some(true),
            every: wishes.every.map(|every| every.to_string()),
            ..self
        }
    }

    /// The same, from there on.
    pub(crate) fn since(self, since: Option<Since>) -> Self {
        Self {
            since: since.and_then(since_text),
            last: match since {
                Some(Since::Last(count)) => Some(count),
                _ => None,
            },
            ..self
        }
    }
}

/// The entries of topics that begin where the command says, or from now on.
pub(crate) fn entries(topics: &[String]) -> Vec<Entry<'_>> {
    topics.iter().map(|topic| Entry { topic, at: None }).collect()
}

/// Names in groups whose entries have at most `bytes_max`; a longer one is a group alone.
pub(crate) fn batches(names: impl Iterator<Item = String>, bytes_max: usize) -> Vec<Vec<String>> {
    let mut batches: Vec<Vec<String>> = Vec::new();
    let mut bytes = 0;
    for name in names {
        bytes += name.len() + ENTRY_BYTES_MAX;
        match batches.last_mut() {
            Some(batch) if bytes <= bytes_max => batch.push(name),
            _ => {
                bytes = name.len() + ENTRY_BYTES_MAX;
                batches.push(vec![name]);
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_resubscription_is_split() {
        let names = (0..10).map(|number| format!("topic-{number}"));
        let split = batches(names, 2 * (7 + ENTRY_BYTES_MAX));
        assert_eq!(split.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 2, 2, 2]);
        assert_eq!(batches(std::iter::once("long".to_owned()), 1).len(), 1);
    }
}
