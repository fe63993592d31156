//! Whom a command names.
//!
//! Centrifugo's `user` is whose connections they are; `client` and `session` choose one of them. That nobody is there is no
//! error.

use fanfare::centrifuge::connection_of;
use fanfare::{ConnectionRow, Selector, UserName};
use serde::Deserialize;

use super::Desk;
use super::answer::Failure;

/// The parameters that say whom a command names.
#[derive(Deserialize)]
pub(super) struct Names {
    pub(super) user: Option<String>,
    pub(super) client: Option<String>,
    pub(super) session: Option<String>,
}

impl Names {
    /// Those of a user, of which `client` and `session` are one, or that one whosever it is. What is empty is not given.
    ///
    /// # Errors
    /// Nobody is named, or the user's name is none.
    pub(super) fn whom(self) -> Result<Whom, Failure> {
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
pub(super) struct Whom {
    user: Option<UserName>,
    client: Option<String>,
    session: Option<String>,
}

impl Whom {
    /// Their selector; none where nobody is there.
    pub(super) async fn selector(&self, desk: Desk<'_>) -> Result<Option<Selector>, Failure> {
        if let Some(user) = self.whole_user() {
            return Ok(Some(Selector::User(user.clone())));
        }
        let row = self.row(desk).await?;
        Ok(row.map(|row| Selector::Connection(row.connection)))
    }

    /// Their connections.
    pub(super) async fn rows(&self, desk: Desk<'_>) -> Result<Vec<ConnectionRow>, Failure> {
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
