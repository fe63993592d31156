//! Subscribing, unsubscribing, disconnecting and refreshing connections of a user, or one.
//!
//! Centrifugo's `user` is whose connections they are and `client` chooses one of them. That nobody is there is no error.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use fanfare::centrifuge::{client_of, connection_of};
use fanfare::{
    ConnectionRow, Disconnect, Epoch, Leave, Payload, Position, Renewal, Selector, Since, Timestamp,
    TopicName, TopicRules, UserName, Who,
};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::answer::{Done, Failure};
use super::{Desk, topic_named};
use crate::api::body::check_size;
use crate::api::control::REASON_BYTES_MAX;
use crate::api::scope::Scope;
use crate::hooks::{json_in_base64, json_or_bytes};

/// The parameters that say whom a command names.
#[derive(Deserialize)]
struct Names {
    user: Option<String>,
    client: Option<String>,
    session: Option<String>,
}

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

/// The parameters of `refresh`.
#[derive(Deserialize)]
pub(super) struct Refreshing {
    #[serde(flatten)]
    names: Names,
    expired: Option<bool>,
    expire_at: Option<i64>,
    info: Option<Value>,
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
        let names = Names {
            user: self.user,
            client: self.client,
            session: self.session,
        };
        let Some(selector) = names.whom()?.selector(desk).await? else {
            return Ok(Done::Nothing {});
        };
        match self.recover_since {
            Some(place) => {
                let since = Since::Position(place.position()?);
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
    fn position(&self) -> Result<Position, Failure> {
        if self.epoch.is_empty() {
            return Err(Failure::bad_request(
                "`recover_since.epoch` is missing or empty, name the one that came with the offset",
            ));
        }
        let (epoch, offset) = (self.epoch.parse().unwrap_or(Epoch(u64::MAX)), self.offset);
        Ok(Position { epoch, offset })
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
                "`disconnect.reason` belongs to a `disconnect.code` from 4000 to 4999, give both",
            )),
            4000..=4999 if reason.len() > REASON_BYTES_MAX => Err(Failure::bad_request(format!(
                "`disconnect.reason` is {} bytes, limit is {REASON_BYTES_MAX}",
                reason.len()
            ))),
            code @ 4000..=4999 => Ok(Disconnect::Application {
                code: code as u16,
                reason: Arc::from(reason),
            }),
            code => Err(Failure::bad_request(format!(
                "`disconnect.code` is {code}, an application's codes are 4000 to 4999; without one it is 3503"
            ))),
        }
    }
}

impl Refreshing {
    pub(super) async fn run(self, desk: Desk<'_>) -> Result<Done, Failure> {
        desk.caller.check(Scope::Admin)?;
        let renewal = self.renewal()?;
        let whom = self.names.whom()?;
        let Some(selector) = whom.selector(desk).await? else {
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
        let info = self.info.as_ref().map(|info| Arc::<str>::from(info.to_string()));
        let info = info.map(check_info).transpose()?;
        let expires_at = end_of(self.expire_at)?;
        let is_over = expires_at.is_some_and(|end| end <= now());
        Ok((!is_over && !self.expired.unwrap_or_default()).then_some(Renewal { expires_at, info }))
    }
}

/// Holds what others see of somebody to its bound.
fn check_info(info: Arc<str>) -> Result<Arc<str>, Failure> {
    if info.len() <= INFO_BYTES_MAX {
        return Ok(info);
    }
    let message = format!("`info` has at most {INFO_BYTES_MAX} bytes of JSON, as in tokens");
    Err(Failure::bad_request(message))
}

/// When something ends, if it does.
fn end_of(seconds: Option<i64>) -> Result<Option<Timestamp>, Failure> {
    match u64::try_from(seconds.unwrap_or_default()) {
        Ok(0) => Ok(None),
        Ok(seconds) => Ok(Some(Timestamp(seconds.saturating_mul(1_000)))),
        Err(_) => Err(Failure::bad_request(
            "`expire_at` is a time in seconds since 1970, or 0 for never",
        )),
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(since.as_millis() as u64)
}

/// The longest `info`, in bytes of its JSON: as long as in a token.
const INFO_BYTES_MAX: usize = 1 << 10;

impl Names {
    /// Those of a user, of which `client` and `session` are one, or that one whosever it is. What is empty is not given.
    ///
    /// # Errors
    /// Nobody is named, or the user's name is none.
    fn whom(self) -> Result<Whom, Failure> {
        let given = |name: Option<String>| name.filter(|name| !name.is_empty());
        let (user, client, session) = (given(self.user), given(self.client), given(self.session));
        if user.is_none() && client.is_none() && session.is_none() {
            return Err(Failure::bad_request(
                "`user` is missing or empty, name a user, or one connection by `client` or `session`",
            ));
        }
        let user = user.as_deref().map(UserName::parse).transpose();
        let user = user.map_err(|error| Failure::bad_request(format!("`user`: {error}")))?;
        Ok(Whom {
            user,
            client,
            session,
        })
    }
}

/// Whom a command names.
struct Whom {
    user: Option<UserName>,
    client: Option<String>,
    session: Option<String>,
}

impl Whom {
    /// Their selector; none where nobody is there.
    async fn selector(&self, desk: Desk<'_>) -> Result<Option<Selector>, Failure> {
        if let Some(user) = self.whole_user() {
            return Ok(Some(Selector::User(user.clone())));
        }
        let row = self.row(desk).await?;
        Ok(row.map(|row| Selector::Connection(row.connection)))
    }

    /// Their connections.
    async fn rows(&self, desk: Desk<'_>) -> Result<Vec<ConnectionRow>, Failure> {
        match self.whole_user() {
            Some(user) => Ok(desk.api.fanfare.connections_of(user).await?),
            None => Ok(self.row(desk).await?.into_iter().collect()),
        }
    }

    /// The user, where all of its connections are meant.
    fn whole_user(&self) -> Option<&UserName> {
        let is_one = self.client.is_some() || self.session.is_some();
        self.user.as_ref().filter(|_| !is_one)
    }

    /// The connection that is named, if it is there and the user's, where one is named. An id or a session that this server
    /// has not given is nobody's.
    async fn row(&self, desk: Desk<'_>) -> Result<Option<ConnectionRow>, Failure> {
        let fanfare = &desk.api.fanfare;
        let by_client = self.client.as_deref().map(connection_of);
        let by_session = match &self.session {
            Some(session) => Some(fanfare.connection_of_session(session).await?),
            None => None,
        };
        let is_one = by_client.is_none() || by_session.is_none() || by_client == by_session;
        let Some(connection) = by_client.or(by_session).flatten().filter(|_| is_one) else {
            return Ok(None);
        };
        let row = fanfare.connection(connection).await?;
        Ok(row.filter(|row| self.user.is_none() || row.user == self.user))
    }
}
