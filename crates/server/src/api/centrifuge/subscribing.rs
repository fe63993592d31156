//! Subscribing connections of a user, or one, and what comes with that.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use fanfare::{Epoch, Leave, Payload, Position, Since, Timestamp, TopicName, TopicRules, Who};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::answer::{Done, Failure};
use super::whom::Names;
use super::{Desk, topic_named};
use crate::api::body::check_size;
use crate::api::scope::Scope;
use crate::hooks::{json_in_base64, json_or_bytes};

/// The parameters of `subscribe`. Those that say whom it names stand here themselves, because JSON that is kept as it is
/// written cannot stand beside parameters that are put together.
#[derive(Deserialize)]
pub(super) struct Subscribing<'a> {
    user: Option<String>,
    client: Option<String>,
    session: Option<String>,
    channel: Option<String>,
    #[serde(borrow, default)]
    info: Option<&'a RawValue>,
    b64info: Option<String>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    b64data: Option<String>,
    expire_at: Option<i64>,
    recover_since: Option<Place>,
    r#override: Option<Override>,
}

/// A place in a channel.
#[derive(Deserialize)]
struct Place {
    #[serde(default)]
    offset: u64,
    #[serde(default)]
    epoch: String,
}

/// What a subscription is to be, whatever its channel's rule says.
#[derive(Deserialize)]
struct Override {
    presence: Option<Switch>,
    join_leave: Option<Switch>,
    force_push_join_leave: Option<Switch>,
    force_recovery: Option<Switch>,
    force_positioning: Option<Switch>,
}

#[derive(Deserialize)]
struct Switch {
    value: Option<bool>,
}

impl Subscribing<'_> {
    pub(super) async fn run(self, desk: Desk<'_>) -> Result<Done, Failure> {
        desk.caller.check(Scope::Admin)?;
        let fanfare = &desk.api.fanfare;
        let topic = topic_named(self.channel.as_deref())?;
        let leave = self.leave(fanfare.limits().message_bytes_max as usize)?;
        if let Some(changes) = &self.r#override {
            changes.check(&fanfare.rules(), &topic)?;
        }
        let since = self.recover_since.map(Place::into_since).transpose()?;
        let names = Names {
            user: self.user,
            client: self.client,
            session: self.session,
        };
        let Some(selector) = names.whom()?.selector(desk).await? else {
            return Ok(Done::Nothing {});
        };
        match since {
            Some(since) => {
                fanfare
                    .subscribe_clients_since(selector, topic.as_str(), since, leave)
                    .await?
            }
            None => {
                fanfare
                    .subscribe_clients_with(selector, &[topic.as_str()], leave)
                    .await?
            }
        };
        Ok(Done::Nothing {})
    }

    /// What comes with the subscription. What is written in base64 goes before the other.
    fn leave(&self, payload_bytes_max: usize) -> Result<Leave, Failure> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let data = match given(&self.b64data) {
            Some(base64) => Some(json_or_bytes(&base64).map_err(Failure::bad_request)?),
            None => self.data.map(Payload::json),
        };
        let data = data.map(|data| check_size(data, payload_bytes_max)).transpose()?;
        let info = match given(&self.b64info) {
            Some(base64) => Some(json_in_base64(&base64).map_err(Failure::bad_request)?),
            None => self.info.map(|info| Arc::from(info.get())),
        };
        let expires_at = end_of(self.expire_at)?;
        if expires_at.is_some_and(|end| end <= now()) {
            return Err(Failure::bad_request(
                "`expire_at` is over, name a time to come or leave it out",
            ));
        }
        Ok(Leave {
            expires_at,
            data,
            info: info.map(check_info).transpose()?,
            ..Leave::default()
        })
    }
}

impl Place {
    /// The place. An epoch that cannot be ours is one that is over.
    fn into_since(self) -> Result<Since, Failure> {
        if self.epoch.is_empty() {
            return Err(Failure::bad_request(
                "`recover_since.epoch` is missing or empty, name the one that came with the offset",
            ));
        }
        let (epoch, offset) = (self.epoch.parse().unwrap_or(Epoch(u64::MAX)), self.offset);
        Ok(Since::Position(Position { epoch, offset }))
    }
}

impl Override {
    /// Refuses what is otherwise than the rule of the channel has it for all.
    fn check(&self, rules: &TopicRules, topic: &TopicName) -> Result<(), Failure> {
        let keeps_presence = rules.keeps_presence_of(topic);
        let access = rules.of(topic).map_or(rules.otherwise, |rule| rule.access);
        let may_recover = matches!(access.history, Who::Anyone | Who::Subscribers | Who::Users);
        let switches = [
            ("presence", &self.presence, keeps_presence),
            ("join_leave", &self.join_leave, keeps_presence),
            (
                "force_push_join_leave",
                &self.force_push_join_leave,
                rules.tells_presence_of(topic),
            ),
            ("force_recovery", &self.force_recovery, may_recover),
            ("force_positioning", &self.force_positioning, may_recover),
        ];
        let is_other = |(_, switch, is_so): &(&str, &Option<Switch>, bool)| {
            let wanted = switch.as_ref().map(|switch| switch.value.unwrap_or_default());
            wanted.is_some_and(|wanted| wanted != *is_so)
        };
        match switches.iter().find(|switch| is_other(switch)) {
            Some((name, _, is_so)) => Err(Failure::not_available(format!(
                "`override.{name}` is not available for one subscription, the rule of {topic:?} says {is_so} for all"
            ))),
            None => Ok(()),
        }
    }
}

/// Holds what others see of somebody to its bound.
pub(super) fn check_info(info: Arc<str>) -> Result<Arc<str>, Failure> {
    if info.len() <= INFO_BYTES_MAX {
        return Ok(info);
    }
    let message = format!("`info` has at most {INFO_BYTES_MAX} bytes of JSON, as in tokens");
    Err(Failure::bad_request(message))
}

/// When something ends, if it does.
pub(super) fn end_of(seconds: Option<i64>) -> Result<Option<Timestamp>, Failure> {
    match u64::try_from(seconds.unwrap_or_default()) {
        Ok(0) => Ok(None),
        Ok(seconds) => Ok(Some(Timestamp(seconds.saturating_mul(1_000)))),
        Err(_) => Err(Failure::bad_request(
            "`expire_at` is a time in seconds since 1970, or 0 for never",
        )),
    }
}

/// The time.
pub(super) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(since.as_millis() as u64)
}

/// The longest `info`, in bytes of its JSON: as long as in a token.
const INFO_BYTES_MAX: usize = 1 << 10;
