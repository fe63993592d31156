//! Publishing in the application's own name.

use std::task::Poll;

use fanfare_hub::broker::{Broker, OutletId, PublishId, Published, Refusal};
use fanfare_protocol::{Draft, Payload, Position, PublishOptions, StateVersion, TopicName, UserName};

use super::{CallError, Fanfare};
use crate::clock::wall;

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
        let published = self.publish_with(topic, payload, PublishOptions::default());
        Ok(published.await?.position)
    }

    /// Publishes to a topic with more said about it. See [`Fanfare::publish`].
    ///
    /// ```
    /// # async fn example(fanfare: fanfare::Fanfare) -> Result<(), fanfare::CallError> {
    /// use fanfare::{IdempotencyKey, Key, Payload, PublishOptions};
    ///
    /// // Where the topic's rule is `conflate`, a slow client gets the newest price of each paper. However often this is
    /// // done for the trade 4711 within five minutes, its price is published once.
    /// let options = PublishOptions {
    ///     key: Key::parse("ACME").ok(),
    ///     idempotency_key: IdempotencyKey::parse("trade 4711").ok(),
    ///     ..PublishOptions::default()
    /// };
    /// let published = fanfare.publish_with("prices", Payload::text("12.30"), options).await?;
    /// if published.is_repetition {
    ///     println!("stood at {} already", published.position);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the name is no topic name, or the broker refuses; nothing is published then. Where the topic does not stand as
    /// expected it is [`Refusal::Conflict`] with where it stands.
    pub async fn publish_with(
        &self,
        topic: &str,
        payload: Payload,
        options: PublishOptions,
    ) -> Result<Published, CallError> {
        self.publish_to(TopicName::parse(topic)?, payload, options).await
    }

    /// Publishes the whole state of something, unless the topic has a newer version of it: then nobody gets this one, and
    /// what is given is where the topic [stands](Published::is_repetition). Versions are known while the topic is in use, and
    /// for [`Limits::idempotency_window_ms`](crate::Limits::idempotency_window_ms) at least; not over a restart.
    ///
    /// ```
    /// # async fn example(fanfare: fanfare::Fanfare, row: u64, json: String) -> Result<(), fanfare::CallError> {
    /// use fanfare::{Payload, PublishOptions, StateVersion};
    ///
    /// // However the workers pass each other by, nobody is left with an older row.
    /// let version = StateVersion { number: row, epoch: None };
    /// fanfare.publish_state("row", Payload::text(json), version, PublishOptions::default()).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As of [`Fanfare::publish_with`].
    pub async fn publish_state(
        &self,
        topic: &str,
        payload: Payload,
        version: StateVersion,
        options: PublishOptions,
    ) -> Result<Published, CallError> {
        let draft = Draft::new(TopicName::parse(topic)?, payload, wall()).with(options);
        let version = Some(Box::new(version));
        self.publish_draft(Draft { version, ..draft }).await
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
        let published = self.publish_to(TopicName::all(), payload, PublishOptions::default());
        Ok(published.await?.position)
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
        let published = self.publish_to(TopicName::of_user(user), payload, PublishOptions::default());
        Ok(published.await?.position)
    }

    async fn publish_to(
        &self,
        topic: TopicName,
        payload: Payload,
        options: PublishOptions,
    ) -> Result<Published, CallError> {
        self.publish_draft(Draft::new(topic, payload, wall()).with(options))
            .await
    }

    async fn publish_draft(&self, draft: Draft) -> Result<Published, CallError> {
        if self.inner.pressure.is_on() {
            return Err(Refusal::Overloaded.into());
        }
        let broker = &self.inner.broker;
        self.answered(|outlet, publish| broker.publish(draft, outlet, publish))
            .await
    }

    /// Asks the broker for something in the order of publications, and waits for the answer where that is not at once.
    pub(super) async fn answered(
        &self,
        ask: impl FnOnce(OutletId, PublishId) -> Poll<Result<Published, Refusal>>,
    ) -> Result<Published, CallError> {
        let (publish, answer) = self.inner.desk.open();
        match ask(self.inner.outlet, publish) {
            Poll::Ready(outcome) => {
                self.inner.desk.close(publish);
                Ok(outcome?)
            }
            Poll::Pending => Ok(answer.await.map_err(|_| CallError::Closed)??),
        }
    }
}
