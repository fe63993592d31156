//! Calls to connections, which their shards answer.

use fanfare_hub::broker::Refusal;
use fanfare_hub::{Control, Leave, Renewal, Selector, WantedTopic};
use fanfare_protocol::codes::Disconnect;
use fanfare_protocol::dialect::Direct;
use fanfare_protocol::dialect::centrifuge::parse_session;
use fanfare_protocol::{ConnectionId, Payload, Since, TopicName, TopicNameError};
use tokio::sync::oneshot;

use super::Fanfare;
use crate::clock::wall;
use crate::shard::{Heard, Mail, Named, NotPosted, Said};

/// Why a call of the application was not done.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The topic's name breaks the grammar.
    #[error(transparent)]
    Topic(#[from] TopicNameError),
    /// The broker refused the publication; nothing was published.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Too many calls wait for a shard, or too many reads for the broker.
    #[error("too many calls wait for an answer, call again in a moment")]
    Busy,
    /// The shard failed while it worked at the call; whether it was done is not known.
    #[error("the server failed at this call, whether it was done is not known")]
    Failed,
    /// The hub is shut down, or the shard has ended.
    #[error("the hub is shut down")]
    Closed,
}

impl Fanfare {
    /// Hands a payload to one connection, outside any topic. False when it is not open or does not receive.
    ///
    /// ```
    /// # async fn example(fanfare: fanfare::Fanfare, connection: fanfare::ConnectionId) -> Result<(), fanfare::CallError> {
    /// use fanfare::Payload;
    ///
    /// if !fanfare.send_to_connection(connection, Payload::text("only for you")).await? {
    ///     println!("it is gone");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the connection's shard is busy or gone.
    pub async fn send_to_connection(&self, to: ConnectionId, payload: Payload) -> Result<bool, CallError> {
        let direct = Direct {
            from: None,
            time: wall(),
            payload,
        };
        Ok(self.ask(to.shard(), Control::Deliver(to, direct)).await? == 1)
    }

    /// Subscribes the selected connections to topics; gives how many connections were subscribed. One that would pass
    /// its limit of subscriptions is left as it is. Rules are not asked: it is the host that says so. For the host's own
    /// receiving see [`Fanfare::subscribe`].
    ///
    /// ```
    /// # async fn example(fanfare: fanfare::Fanfare) -> Result<(), fanfare::CallError> {
    /// use fanfare::{Selector, UserName};
    ///
    /// if let Ok(ada) = UserName::parse("ada") {
    ///     let joined = fanfare.subscribe_clients(Selector::User(ada), &["room:7", "news"]).await?;
    ///     println!("{joined} of her connections are in");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When a name is no topic name, or a shard is busy or gone.
    pub async fn subscribe_clients(&self, who: Selector, topics: &[&str]) -> Result<usize, CallError> {
        self.subscribe_clients_with(who, topics, Leave::default()).await
    }

    /// The same, with a [leave](Leave) for each of the topics: until when, and what comes with it. What came with a
    /// subscription before does not any more. In the protocol of Centrifuge such a subscription is the server's: where it
    /// ends, the connection is closed to come again.
    ///
    /// # Errors
    /// As [`Fanfare::subscribe_clients`].
    pub async fn subscribe_clients_with(
        &self,
        who: Selector,
        topics: &[&str],
        leave: Leave,
    ) -> Result<usize, CallError> {
        let topics = parse_all(topics)?;
        self.ask_selected(&who, |who| Control::Subscribe(who, topics.clone(), leave.clone()))
            .await
    }

    /// The same for one topic, from a place on: what was published behind it follows, as far as it is kept, whether the client
    /// might read it by itself or not.
    ///
    /// # Errors
    /// As [`Fanfare::subscribe_clients`].
    pub async fn subscribe_clients_since(
        &self,
        who: Selector,
        topic: &str,
        since: Since,
        leave: Leave,
    ) -> Result<usize, CallError> {
        let wanted = WantedTopic {
            topic: TopicName::parse(topic)?,
            since: Some(since),
        };
        self.ask_selected(&who, |who| {
            Control::SubscribeSince(who, wanted.clone(), leave.clone())
        })
        .await
    }

    /// Unsubscribes the selected connections from topics; gives how many connections there were.
    ///
    /// # Errors
    /// When a name is no topic name, or a shard is busy or gone.
    pub async fn unsubscribe_clients(&self, who: Selector, topics: &[&str]) -> Result<usize, CallError> {
        let topics = parse_all(topics)?;
        self.ask_selected(&who, |who| Control::Unsubscribe(who, topics.clone()))
            .await
    }

    /// Closes the selected connections; gives how many there were.
    ///
    /// ```
    /// # async fn example(fanfare: fanfare::Fanfare) -> Result<(), fanfare::CallError> {
    /// use fanfare::{Disconnect, Selector, UserName};
    ///
    /// if let Ok(mallory) = UserName::parse("mallory") {
    ///     fanfare.disconnect(Selector::User(mallory), Disconnect::Disconnected).await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When a shard is busy or gone.
    pub async fn disconnect(&self, who: Selector, cause: Disconnect) -> Result<usize, CallError> {
        self.ask_selected(&who, |who| Control::Disconnect(who, cause.clone()))
            .await
    }

    /// Says anew when the selected connections end, and what others see of them; gives how many there were. Their clients are
    /// told when that is. One that has yet to say who it is is left out.
    ///
    /// ```
    /// # async fn example(fanfare: fanfare::Fanfare, in_an_hour: fanfare::Timestamp) -> Result<(), fanfare::CallError> {
    /// use fanfare::{Renewal, Selector, UserName};
    ///
    /// if let Ok(ada) = UserName::parse("ada") {
    ///     let renewal = Renewal { expires_at: Some(in_an_hour), ..Renewal::default() };
    ///     fanfare.renew(Selector::User(ada), renewal).await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When a shard is busy or gone.
    pub async fn renew(&self, who: Selector, renewal: Renewal) -> Result<usize, CallError> {
        self.ask_selected(&who, |who| Control::Renew(who, renewal.clone()))
            .await
    }

    /// Says something for a client that speaks beside its stream, and waits until its shard has looked at it.
    ///
    /// # Errors
    /// When the shard is busy or gone.
    pub(crate) async fn say_aside(
        &self,
        connection: ConnectionId,
        secret: u128,
        frame: Vec<u8>,
    ) -> Result<Heard, CallError> {
        let shard = connection.shard();
        if shard >= self.inner.mailboxes.len() {
            return Ok(Heard::Unknown);
        }
        let (answer, answered) = oneshot::channel();
        let aside = Said {
            connection,
            secret,
            frame,
            answer,
        };
        self.post(shard, Mail::Said(Box::new(aside)))?;
        answered.await.map_err(|_| self.unanswered(shard))
    }

    /// The connection that a client of Centrifuge calls its session by this name (`session` of what it is told when it
    /// connects). None where there is no such session, or the name was made up; clients of a WebSocket over which they speak
    /// are told none.
    ///
    /// # Errors
    /// When its shard is busy or gone.
    pub async fn connection_of_session(&self, session: &str) -> Result<Option<ConnectionId>, CallError> {
        let known = parse_session(session);
        let Some((connection, secret)) = known.filter(|(id, _)| id.shard() < self.inner.mailboxes.len())
        else {
            return Ok(None);
        };
        let (answer, answered) = oneshot::channel();
        let named = Named {
            connection,
            secret,
            answer,
        };
        self.post(connection.shard(), Mail::Named(Box::new(named)))?;
        let is_there = answered.await.map_err(|_| self.unanswered(connection.shard()))?;
        Ok(is_there.then_some(connection))
    }

    pub(super) fn post(&self, shard: usize, mail: Mail) -> Result<(), CallError> {
        let mailbox = self.inner.mailboxes.get(shard).ok_or(CallError::Closed)?;
        mailbox.try_post(mail).map_err(|reason| match reason {
            NotPosted::Full => CallError::Busy,
            NotPosted::Closed => CallError::Closed,
        })
    }

    async fn ask(&self, shard: usize, control: Control) -> Result<usize, CallError> {
        if shard >= self.inner.mailboxes.len() {
            return Ok(0);
        }
        let (answer, answered) = oneshot::channel();
        self.post(shard, Mail::Control(Box::new(control), answer))?;
        answered.await.map_err(|_| self.unanswered(shard))
    }

    /// Why a call that was posted has no answer.
    pub(super) fn unanswered(&self, shard: usize) -> CallError {
        if self.inner.mailboxes[shard].is_closed() {
            CallError::Closed
        } else {
            CallError::Failed
        }
    }

    /// Asks the one shard that has the connection, or all that may have one of the user's.
    async fn ask_selected(
        &self,
        who: &Selector,
        control: impl Fn(Selector) -> Control,
    ) -> Result<usize, CallError> {
        let shards = match who {
            Selector::Connection(connection) => connection.shard()..connection.shard() + 1,
            Selector::User(_) | Selector::Token(_) => 0..self.inner.mailboxes.len(),
        };
        let mut concerned = 0;
        for shard in shards {
            concerned += self.ask(shard, control(who.clone())).await?;
        }
        Ok(concerned)
    }
}

fn parse_all(topics: &[&str]) -> Result<Vec<TopicName>, CallError> {
    topics
        .iter()
        .map(|topic| TopicName::parse(topic).map_err(CallError::from))
        .collect()
}
