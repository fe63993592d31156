//! What tokens say in Centrifugo's words, so that a backend that makes tokens for Centrifugo makes them for Fanfare. They
//! stand beside Fanfare's own; a token that says the same thing in both is refused, for it cannot be told which is meant.
//!
//! Of what there is no place for here, what only adds something is not looked at (the capabilities); what takes something
//! away is refused.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fanfare_hub::{Leave, RenewedBy};
use fanfare_protocol::dialect::centrifuge;
use fanfare_protocol::{ConnectionId, Payload, Timestamp, TopicName};
use serde_json::Value;
use serde_json::value::RawValue;

use super::TokenRefusal;
use super::claims::{Claims, INFO_BYTES_MAX, Span};

impl Claims {
    /// The topic of the channel that a subscription token is for.
    pub(super) fn channel(&self) -> Result<Option<TopicName>, TokenRefusal> {
        let Some(channel) = self.text_or_null("channel")? else {
            return Ok(None);
        };
        // What its subscription would be without cannot be had.
        self.word("override").map_or(Ok(()), check_override)?;
        topic(channel).map(Some)
    }

    /// The one connection that a subscription token is for, if it names one.
    pub(super) fn client(&self) -> Result<Option<ConnectionId>, TokenRefusal> {
        let client = self.text_or_null("client")?.filter(|client| !client.is_empty());
        // Whoever has an id that is none of this server's is not here.
        let connection = |client| centrifuge::connection_of(client).ok_or(TokenRefusal::Subject);
        client.map(connection).transpose()
    }

    /// What others see of the client, or in a subscription token of the client in that channel: JSON.
    pub(super) fn public_info(&self) -> Result<Option<Arc<str>>, TokenRefusal> {
        info_of(|name| self.word(name))
    }

    /// What comes with what a subscription token is for. A token of Centrifugo's ends a subscription with itself; another
    /// one only where it says when.
    pub(super) fn leave(&self, span: Span) -> Result<Leave, TokenRefusal> {
        let is_ending = self.word("channel").is_some() || self.has("expire_at");
        Ok(Leave {
            expires_at: span.ends_at.filter(|_| is_ending).map(Timestamp),
            renewed_by: RenewedBy::Client,
            ..leave_of(|name| self.word(name))?
        })
    }

    /// What comes with channels of `subs`.
    pub(super) fn leaves(&self) -> Result<Vec<(TopicName, Leave)>, TokenRefusal> {
        let Some(Value::Object(subs)) = self.word("subs") else {
            return Ok(Vec::new());
        };
        let leaves = subs.iter().map(|(channel, options)| {
            let word = |name: &str| options.get(name).filter(|value| !value.is_null());
            Ok((topic(channel)?, leave_of(word)?))
        });
        leaves.collect()
    }

    /// What hooks are told about the client: JSON.
    pub(super) fn meta(&self) -> Option<Arc<str>> {
        self.word("meta").map(|meta| Arc::from(meta.to_string()))
    }

    /// The topics of the channels that the client is subscribed to: those of `channels`, and those of `subs` that are not among
    /// them.
    pub(super) fn channels(&self) -> Result<Vec<TopicName>, TokenRefusal> {
        let mut topics = Vec::new();
        for channel in self.listed()?.into_iter().chain(self.optioned()?) {
            let topic = topic(channel)?;
            if !topics.contains(&topic) {
                topics.push(topic);
            }
        }
        Ok(topics)
    }

    /// Channels by their names alone.
    fn listed(&self) -> Result<Vec<&str>, TokenRefusal> {
        match self.word("channels") {
            None => Ok(Vec::new()),
            Some(Value::Array(channels)) => {
                let names = channels.iter().map(Value::as_str);
                names.collect::<Option<_>>().ok_or(TokenRefusal::Claims)
            }
            Some(_) => Err(TokenRefusal::Claims),
        }
    }

    /// Channels with options, of which none takes anything away.
    fn optioned(&self) -> Result<Vec<&str>, TokenRefusal> {
        match self.word("subs") {
            None => Ok(Vec::new()),
            Some(Value::Object(subs)) => {
                let mut options = subs.values().filter_map(|options| options.get("override"));
                options.try_for_each(check_override)?;
                Ok(subs.keys().map(String::as_str).collect())
            }
            Some(_) => Err(TokenRefusal::Claims),
        }
    }

    fn text_or_null(&self, name: &str) -> Result<Option<&str>, TokenRefusal> {
        match self.word(name) {
            None => Ok(None),
            Some(_) => self.text(name),
        }
    }

    /// A member, if it is there and not `null`, which says nothing.
    fn word(&self, name: &str) -> Option<&Value> {
        self.get(name).filter(|value| !value.is_null())
    }
}

/// The data and the info of a subscription.
fn leave_of<'v>(word: impl Fn(&str) -> Option<&'v Value>) -> Result<Leave, TokenRefusal> {
    let info = info_of(&word)?;
    if info.as_ref().is_some_and(|info| info.len() > INFO_BYTES_MAX) {
        return Err(TokenRefusal::Claims);
    }
    let data = match (base64_of(word("b64data"))?, word("data")) {
        (Some(bytes), _) => Some(json_or_bytes(bytes)),
        (None, Some(json)) => Some(Payload::serialize(json).map_err(|_| TokenRefusal::Claims)?),
        (None, None) => None,
    };
    Ok(Leave {
        data,
        info,
        ..Leave::default()
    })
}

fn info_of<'v>(word: impl Fn(&str) -> Option<&'v Value>) -> Result<Option<Arc<str>>, TokenRefusal> {
    let Some(bytes) = base64_of(word("b64info"))? else {
        return Ok(word("info").map(|info| Arc::from(info.to_string())));
    };
    let info: Value = serde_json::from_slice(&bytes).map_err(|_| TokenRefusal::Claims)?;
    Ok(Some(Arc::from(info.to_string())))
}

/// Bytes in base64; an empty text says nothing.
fn base64_of(value: Option<&Value>) -> Result<Option<Vec<u8>>, TokenRefusal> {
    match value {
        None => Ok(None),
        Some(Value::String(base64)) if base64.is_empty() => Ok(None),
        Some(Value::String(base64)) => {
            let bytes = STANDARD.decode(base64).map_err(|_| TokenRefusal::Claims)?;
            Ok(Some(bytes))
        }
        Some(_) => Err(TokenRefusal::Claims),
    }
}

/// What is written in base64 may be JSON all the same.
fn json_or_bytes(bytes: Vec<u8>) -> Payload {
    match serde_json::from_slice::<&RawValue>(&bytes) {
        Ok(json) => Payload::json(json),
        Err(_) => Payload::binary(bytes),
    }
}

/// The claims of this module that must not be taken for a template's.
pub(super) const WORDS: [&str; 6] = ["info", "b64info", "channels", "subs", "meta", "channel"];

/// Refuses what a subscription is to be without though the topic has it. What it is to have beside it is the matter of the
/// topic's rule alone.
fn check_override(options: &Value) -> Result<(), TokenRefusal> {
    let is_taken = |name: &str| {
        let switch = options.get(name).filter(|switch| !switch.is_null());
        switch.is_some_and(|switch| switch["value"] != Value::Bool(true))
    };
    let is_any_taken = ["presence", "join_leave", "force_push_join_leave"]
        .into_iter()
        .any(is_taken);
    if is_any_taken {
        Err(TokenRefusal::Claims)
    } else {
        Ok(())
    }
}

fn topic(channel: &str) -> Result<TopicName, TokenRefusal> {
    TopicName::parse(&centrifuge::topic_of(channel)).map_err(|_| TokenRefusal::Claims)
}
