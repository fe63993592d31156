//! What can be said about a command, and commands as the `json` dialect writes them.

use fanfare_protocol::Every;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::token::TokenSource;

/// How topics are subscribed to.
#[derive(Debug, Clone, Default)]
pub struct SubscribeOptions {
    /// Whether to be told their numbers of subscribers. After a reconnect they are not asked for again.
    pub occupancy: bool,
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
    pub(crate) topics: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) occupancy: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) every: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) idempotency_key: Option<&'a str>,
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
            occupancy: None,
            every: None,
            key: None,
            idempotency_key: None,
            expected: None,
            token: None,
            method: None,
            data: None,
        }
    }
}

/// Names in groups of at most `bytes_max`, quotes and commas included; a longer name is a group alone.
pub(crate) fn batches(names: impl Iterator<Item = String>, bytes_max: usize) -> Vec<Vec<String>> {
    let mut batches: Vec<Vec<String>> = Vec::new();
    let mut bytes = 0;
    for name in names {
        bytes += name.len() + 3;
        match batches.last_mut() {
            Some(batch) if bytes <= bytes_max => batch.push(name),
            _ => {
                bytes = name.len() + 3;
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
        let split = batches(names, 29);
        assert_eq!(split.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 2, 2, 2]);
        assert_eq!(batches(std::iter::once("long".to_owned()), 1).len(), 1);
    }
}
