//! Unsubscribing, disconnecting and refreshing connections of a user, or one.

use std::sync::Arc;

use fanfare::centrifuge::client_of;
use fanfare::{Disconnect, Renewal, Selector, TopicName};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::answer::{Done, Failure};
use super::subscribing::{check_info, end_of, now};
use super::whom::Names;
use super::{Desk, topic_named};
use crate::api::control::REASON_BYTES_MAX;
use crate::api::scope::Scope;

/// The parameters of `unsubscribe`.
#[derive(Deserialize)]
pub(super) struct Unsubscribing {
    #[serde(flatten)]
    names: Names,
    channel: Option<String>,
}

/// The parameters of `disconnect`.
#[derive(Deserialize)]
pub(super) struct Disconnecting {
    #[serde(flatten)]
    names: Names,
    whitelist: Option<Vec<String>>,
    disconnect: Option<Ending>,
}

#[derive(Deserialize)]
struct Ending {
    code: Option<u32>,
    reason: Option<String>,
}

/// The parameters of `refresh`, as [`super::subscribing::Subscribing`] has them.
#[derive(Deserialize)]
pub(super) struct Refreshing<'a> {
    user: Option<String>,
    client: Option<String>,
    session: Option<String>,
    expired: Option<bool>,
    expire_at: Option<i64>,
    #[serde(borrow, default)]
    info: Option<&'a RawValue>,
}

impl Unsubscribing {
    /// Without a channel, from all of them.
    pub(super) async fn run(self, desk: Desk<'_>) -> Result<Done, Failure> {
        desk.caller.check(Scope::Admin)?;
        let whom = self.names.whom()?;
        let fanfare = &desk.api.fanfare;
        if self.channel.as_deref().is_some_and(|channel| !channel.is_empty()) {
            let topic = topic_named(self.channel.as_deref())?;
            if let Some(selector) = whom.selector(desk).await? {
                fanfare.unsubscribe_clients(selector, &[topic.as_str()]).await?;
            }
            return Ok(Done::Nothing {});
        }
        for row in whom.rows(desk).await? {
            let topics: Vec<&str> = row.topics.iter().map(TopicName::as_str).collect();
            if !topics.is_empty() {
                let selector = Selector::Connection(row.connection);
                fanfare.unsubscribe_clients(selector, &topics).await?;
            }
        }
        Ok(Done::Nothing {})
    }
}

impl Disconnecting {
    pub(super) async fn run(self, desk: Desk<'_>) -> Result<Done, Failure> {
        desk.caller.check(Scope::Admin)?;
        let whom = self.names.whom()?;
        let cause = self
            .disconnect
            .map_or(Ok(Disconnect::Disconnected), Ending::into_cause)?;
        let spared = self.whitelist.unwrap_or_default();
        let fanfare = &desk.api.fanfare;
        if spared.is_empty() {
            if let Some(selector) = whom.selector(desk).await? {
                fanfare.disconnect(selector, cause).await?;
            }
            return Ok(Done::Nothing {});
        }
        for row in whom.rows(desk).await? {
            if !spared.contains(&client_of(row.connection)) {
                let selector = Selector::Connection(row.connection);
                fanfare.disconnect(selector, cause.clone()).await?;
            }
        }
        Ok(Done::Nothing {})
    }
}

impl Ending {
    fn into_cause(self) -> Result<Disconnect, Failure> {
        let reason = self.reason.unwrap_or_default();
        match self.code.unwrap_or_default() {
            0 if reason.is_empty() => Ok(Disconnect::Disconnected),
            0 => Err(Failure::bad_request(
                "`disconnect.reason` belongs to a `disconnect.code` from 3000 to 4999, give both",
            )),
            3000..=4999 if reason.len() > REASON_BYTES_MAX => Err(Failure::bad_request(format!(
                "`disconnect.reason` is {} bytes, limit is {REASON_BYTES_MAX}",
                reason.len()
            ))),
            code @ 3000..=4999 => Ok(Disconnect::Application {
                code: code as u16,
                reason: Arc::from(reason),
            }),
            code => Err(Failure::bad_request(format!(
                "`disconnect.code` is {code}, which is not from 3000 to 4999; without one it is 3503"
            ))),
        }
    }
}

impl Refreshing<'_> {
    pub(super) async fn run(self, desk: Desk<'_>) -> Result<Done, Failure> {
        desk.caller.check(Scope::Admin)?;
        let renewal = self.renewal()?;
        let names = Names {
            user: self.user,
            client: self.client,
            session: self.session,
        };
        let Some(selector) = names.whom()?.selector(desk).await? else {
            return Ok(Done::Nothing {});
        };
        let fanfare = &desk.api.fanfare;
        match renewal {
            Some(renewal) => fanfare.renew(selector, renewal).await?,
            None => fanfare.disconnect(selector, Disconnect::Expired).await?,
        };
        Ok(Done::Nothing {})
    }

    /// What is said anew; none where it is over.
    fn renewal(&self) -> Result<Option<Renewal>, Failure> {
        let info = self.info.map(|info| Arc::from(info.get()));
        let info = info.map(check_info).transpose()?;
        let expires_at = end_of(self.expire_at)?;
        let is_over = expires_at.is_some_and(|end| end <= now());
        Ok((!is_over && !self.expired.unwrap_or_default()).then_some(Renewal { expires_at, info }))
    }
}
