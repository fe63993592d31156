//! Publishing to a channel, or to many.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fanfare::{IdempotencyKey, Key, Payload, PublishOptions, StateVersion, Tags, TopicName};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::answer::{Code, Failure, Outcome};
use super::{Desk, topic_named};
use crate::api::body::{any_json, check_size};

/// The parameters of `publish` and `broadcast`. `delta` is not read: it is a hint, and whoever receives deltas has agreed on
/// them.
#[derive(Deserialize)]
pub(super) struct Publishing<'a> {
    channel: Option<String>,
    channels: Option<Vec<String>>,
    #[serde(borrow, default, deserialize_with = "any_json")]
    data: Option<&'a RawValue>,
    b64data: Option<String>,
    skip_history: Option<bool>,
    tags: Option<BTreeMap<String, String>>,
    idempotency_key: Option<String>,
    version: Option<u64>,
    version_epoch: Option<String>,
}

/// A publication's place in its channel's history; nothing where there is none.
#[derive(Debug, Default, Serialize)]
pub(super) struct Place {
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<String>,
}

/// What became of it in each channel, in their order.
#[derive(Debug, Serialize)]
pub(super) struct Broadcast {
    responses: Vec<Outcome<Place>>,
}

/// What is to be published, wherever.
struct Content {
    payload: Payload,
    options: PublishOptions,
    version: Option<StateVersion>,
    is_skipping_history: bool,
}

impl Publishing<'_> {
    pub(super) async fn publish(self, desk: Desk<'_>) -> Result<Place, Failure> {
        let content = self.content(desk)?;
        content.publish(desk, self.channel.as_deref()).await
    }

    /// Publishes to each channel in turn. What one refuses, another may take.
    pub(super) async fn broadcast(self, desk: Desk<'_>) -> Result<Broadcast, Failure> {
        let content = self.content(desk)?;
        let channels = self.channels.unwrap_or_default();
        if channels.is_empty() {
            return Err(Failure::bad_request(
                "`channels` is missing or empty, name the channels",
            ));
        }
        if channels.len() > CHANNELS_MAX {
            let message = format!(
                "{} channels are named, a broadcast has at most {CHANNELS_MAX}",
                channels.len()
            );
            return Err(Failure::new(Code::LimitExceeded, message));
        }
        let mut responses = Vec::with_capacity(channels.len());
        for channel in &channels {
            responses.push(content.publish(desk, Some(channel)).await.into());
        }
        Ok(Broadcast { responses })
    }

    fn content(&self, desk: Desk<'_>) -> Result<Content, Failure> {
        Ok(Content {
            payload: self.payload(desk)?,
            options: self.options()?,
            version: self.version()?,
            is_skipping_history: self.skip_history.unwrap_or_default(),
        })
    }

    /// The payload; where both are given it is the bytes, as with Centrifugo.
    fn payload(&self, desk: Desk<'_>) -> Result<Payload, Failure> {
        let bytes = self.b64data.as_deref().filter(|text| !text.is_empty());
        let payload = match (bytes, self.data) {
            (Some(text), _) => Payload::binary(STANDARD.decode(text).map_err(|error| {
                Failure::bad_request(format!("`b64data` is not padded standard base64: {error}"))
            })?),
            (None, Some(data)) => Payload::json(data),
            (None, None) => {
                let message = "the payload is missing, give `data` (any JSON) or `b64data`";
                return Err(Failure::bad_request(message));
            }
        };
        Ok(check_size(
            payload,
            desk.api.fanfare.limits().message_bytes_max as usize,
        )?)
    }

    /// What is said about the publication beside its payload.
    fn options(&self) -> Result<PublishOptions, Failure> {
        let key = self.idempotency_key.as_deref().filter(|key| !key.is_empty());
        let key = key.map(IdempotencyKey::parse).transpose();
        let tags = Tags::parse(self.tags.iter().flatten());
        Ok(PublishOptions {
            idempotency_key: key
                .map_err(|error| Failure::bad_request(format!("`idempotency_key`: {error}")))?,
            tags: tags.map_err(|error| Failure::bad_request(format!("`tags`: {error}")))?,
            ..PublishOptions::default()
        })
    }

    /// Which state of something it has; 0 says nothing about it.
    fn version(&self) -> Result<Option<StateVersion>, Failure> {
        let epoch = self.version_epoch.as_deref().filter(|epoch| !epoch.is_empty());
        let epoch = epoch.map(Key::parse).transpose();
        let epoch = epoch.map_err(|error| Failure::bad_request(format!("`version_epoch`: {error}")))?;
        let number = self.version.filter(|&number| number > 0);
        Ok(number.map(|number| StateVersion { number, epoch }))
    }
}

impl Content {
    async fn publish(&self, desk: Desk<'_>, channel: Option<&str>) -> Result<Place, Failure> {
        let fanfare = &desk.api.fanfare;
        let topic = topic_named(channel)?;
        desk.caller.check_publish(fanfare, &topic)?;
        let keeps_history = fanfare.keeps_history_of(&topic);
        if self.is_skipping_history && keeps_history {
            return Err(cannot_skip(&topic));
        }
        let (payload, options) = (self.payload.clone(), self.options.clone());
        let published = match self.version.clone() {
            Some(version) => {
                fanfare
                    .publish_state(topic.as_str(), payload, version, options)
                    .await
            }
            None => fanfare.publish_with(topic.as_str(), payload, options).await,
        };
        let position = published?.position;
        Ok(if keeps_history {
            Place {
                offset: Some(position.offset),
                epoch: Some(position.epoch.to_string()),
            }
        } else {
            Place::default()
        })
    }
}

fn cannot_skip(topic: &TopicName) -> Failure {
    Failure::not_available(format!(
        "`skip_history` is not available for {:?}, which keeps history of every publication; publish to a topic whose rule \
         keeps none",
        topic.as_str()
    ))
}

/// Channels of one broadcast.
const CHANNELS_MAX: usize = 10_000;
