//! Publishing in the application's own name.

use std::task::Poll;

use fanfare_hub::broker::{Broker, Refusal};
use fanfare_protocol::{Draft, Key, Payload, Position, TopicName, UserName};

use super::{CallError, Fanfare};
use crate::clock::wall;

/// What can be said about a publication beside its payload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublishOptions {
    /// What it is the newest state of: where the topic's rule for slow clients is `conflate`, and for subscriptions with
    /// a rate, it stands for all before it with the same key.
    pub key: Option<Key>,
}

impl Fanfare {
    /// Publishes to a topic. Done when the publication has its place in the order, before anyone has received it.
    ///
    /// ```
    /// # async fn example(fanfare: fanfare::Fanfare) -> Result<(), fanfare::CallError> {
    /// use fanfare::Payload;
    ///
    /// let position = fanfare.publish("news", Payload::text("hello")).await?;
    /// println!("number {} in its topic", position.offset);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the name is no topic name, or the broker refuses; nothing is published then.
    pub async fn publish(&self, topic: &str, payload: Payload) -> Result<Position, CallError> {
        self.publish_with(topic, payload, PublishOptions::default()).await
    }

    /// Publishes to a topic with more said about it. See [`Fanfare::publish`].
    ///
    /// ```
    /// # async fn example(fanfare: fanfare::Fanfare) -> Result<(), fanfare::CallError> {
    /// use fanfare::{Key, Payload, PublishOptions};
    ///
    /// // Where the topic's rule is `conflate`, a slow client gets the newest price of each paper.
    /// let options = PublishOptions { key: Key::parse("ACME").ok() };
    /// fanfare.publish_with("prices", Payload::text("12.30"), options).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the name is no topic name, or the broker refuses; nothing is published then.
    pub async fn publish_with(
        &self,
        topic: &str,
        payload: Payload,
        options: PublishOptions,
    ) -> Result<Position, CallError> {
        self.publish_to(TopicName::parse(topic)?, payload, options).await
    }

    /// Publishes to everyone connected, as a publication of the topic `$all`.
    ///
    /// ```
    /// # async fn example(fanfare: fanfare::Fanfare) -> Result<(), fanfare::CallError> {
    /// use fanfare::Payload;
    ///
    /// fanfare.broadcast(Payload::text("a restart is due in five minutes")).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the broker refuses.
    pub async fn broadcast(&self, payload: Payload) -> Result<Position, CallError> {
        self.publish_to(TopicName::all(), payload, PublishOptions::default())
            .await
    }

    /// Publishes to all connections of a user, as a publication of the topic `$user:NAME`.
    ///
    /// ```
    /// # async fn example(fanfare: fanfare::Fanfare) -> Result<(), fanfare::CallError> {
    /// use fanfare::{Payload, UserName};
    ///
    /// if let Ok(ada) = UserName::parse("ada") {
    ///     fanfare.send_to_user(&ada, Payload::text("your parcel has arrived")).await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the broker refuses. That the user has no connection is no error.
    pub async fn send_to_user(&self, user: &UserName, payload: Payload) -> Result<Position, CallError> {
        self.publish_to(TopicName::of_user(user), payload, PublishOptions::default())
            .await
    }

    async fn publish_to(
        &self,
        topic: TopicName,
        payload: Payload,
        options: PublishOptions,
    ) -> Result<Position, CallError> {
        if self.inner.pressure.is_on() {
            return Err(Refusal::Overloaded.into());
        }
        let draft = Draft {
            topic,
            payload,
            from: None,
            time: wall(),
            key: options.key,
            except: None,
        };
        let (publish, answer) = self.inner.desk.open();
        match self.inner.broker.publish(draft, self.inner.outlet, publish) {
            Poll::Ready(outcome) => {
                self.inner.desk.close(publish);
                Ok(outcome?)
            }
            Poll::Pending => Ok(answer.await.map_err(|_| CallError::Closed)??),
        }
    }
}
