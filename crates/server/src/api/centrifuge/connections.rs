//! Subscribing, unsubscribing, disconnecting and refreshing connections of a user, or one.
//!
//! Centrifugo's `user` is whose connections they are and `client` chooses one of them. That nobody is there is no error.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use fanfare::centrifuge::{client_of, connection_of};
use fanfare::{ConnectionRow, Disconnect, Renewal, Selector, Timestamp, TopicName, UserName};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny};
use serde_json::Value;

use super::answer::{Done, Failure};
use super::{Desk, topic_named};
use crate::api::control::REASON_BYTES_MAX;
use crate::api::scope::Scope;

/// The parameters that say whom a command names.
#[derive(Deserialize)]
struct Names {
    user: Option<String>,
    client: Option<String>,
    session: Option<String>,
}

/// The parameters of `subscribe`. Of what cannot be done here it is only looked at whether it is given.
#[derive(Deserialize)]
pub(super) struct Subscribing {
    #[serde(flatten)]
    names: Names,
    channel: Option<String>,
    #[serde(default, deserialize_with = "is_given")]
    info: bool,
    #[serde(default, deserialize_with = "is_given")]
    b64info: bool,
    #[serde(default, deserialize_with = "is_given")]
    data: bool,
    #[serde(default, deserialize_with = "is_given")]
    b64data: bool,
    #[serde(default, deserialize_with = "is_given")]
    recover_since: bool,
    #[serde(default, deserialize_with = "is_given")]
    r#override: bool,
    expire_at: Option<i64>,
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

impl Subscribing {
    pub(super) async fn run(self, desk: Desk<'_>) -> Result<Done, Failure> {
        desk.caller.check(Scope::Admin)?;
        self.refuse_what_cannot_be_done()?;
        let topic = topic_named(self.channel.as_deref())?;
        let whom = self.names.whom()?;
        if let Some(selector) = whom.selector(desk).await? {
            let fanfare = &desk.api.fanfare;
            fanfare.subscribe_clients(selector, &[topic.as_str()]).await?;
        }
        Ok(Done::Nothing {})
    }

    fn refuse_what_cannot_be_done(&self) -> Result<(), Failure> {
        let given = [
            ("info", self.info),
            ("b64info", self.b64info),
            ("data", self.data),
            ("b64data", self.b64data),
            ("recover_since", self.recover_since),
            ("override", self.r#override),
            ("expire_at", self.expire_at.is_some_and(|at| at != 0)),
        ];
        match given.into_iter().find(|(_, is_given)| *is_given) {
            Some((field, _)) => Err(Failure::not_available(format!(
                "`{field}` of `subscribe` is not available here, leave it out; what holds for a topic is in its rule"
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
        if info.as_ref().is_some_and(|info| info.len() > INFO_BYTES_MAX) {
            let message = format!("`info` has at most {INFO_BYTES_MAX} bytes of JSON, as in tokens");
            return Err(Failure::bad_request(message));
        }
        let expires_at = match u64::try_from(self.expire_at.unwrap_or_default()) {
            Ok(0) => None,
            Ok(seconds) => Some(Timestamp(seconds.saturating_mul(1_000))),
            Err(_) => {
                let message = "`expire_at` is a time in seconds since 1970, or 0 for never";
                return Err(Failure::bad_request(message));
            }
        };
        let is_over = expires_at.is_some_and(|end| end <= now());
        Ok((!is_over && !self.expired.unwrap_or_default()).then_some(Renewal { expires_at, info }))
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

/// Whether something other than `null` is there.
fn is_given<'de, D: Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    Option::<IgnoredAny>::deserialize(value).map(|value| value.is_some())
}
