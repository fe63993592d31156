//! The asking half of a client.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use fanfare_protocol::PublishOptions;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::to_raw_value;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::asking::{Ask, Asking};
use crate::command::SubscribeOptions;
use crate::connect_options::ConnectOptions;
use crate::delivery::Queue;
use crate::error::Error;
use crate::history::{History, HistoryOptions, HistoryPage};
use crate::incoming::Reply;
use crate::presence::{Attendance, Presence, PresenceOptions, PresencePage};
use crate::publication::Payload;
use crate::server_message::{Published, Subscribed};
use crate::subscription::Subscription;

/// The asking half of a client; clones share the connection.
#[derive(Debug, Clone)]
pub struct Commands {
    asks: mpsc::Sender<Ask>,
    release: mpsc::UnboundedSender<String>,
    /// Tells the driver by its drop that nobody asks any more.
    _alive: mpsc::Sender<Infallible>,
    ended_by: Arc<OnceLock<Error>>,
    command_timeout: Duration,
    connect_timeout: Duration,
    deliveries_max: usize,
    delivery_bytes_max: usize,
}

impl Commands {
    /// The half of a client whose driver has the other ends of these.
    pub(crate) fn new(
        options: &ConnectOptions,
        asks: mpsc::Sender<Ask>,
        release: mpsc::UnboundedSender<String>,
        alive: mpsc::Sender<Infallible>,
        ended_by: Arc<OnceLock<Error>>,
    ) -> Self {
        Self {
            asks,
            release,
            _alive: alive,
            ended_by,
            command_timeout: options.command_timeout,
            connect_timeout: options.connect_timeout,
            deliveries_max: options.deliveries_max,
            delivery_bytes_max: options.delivery_bytes_max,
        }
    }

    /// Why the client has ended for good; none while it connects again, and after it was closed.
    pub fn ended_by(&self) -> Option<&Error> {
        self.ended_by.get()
    }

    /// Subscribes to `topics`, all or none, now and after every reconnect; their positions.
    ///
    /// # Errors
    /// The server or the client's bounds refused it, or the reply did not come.
    pub async fn subscribe<T: AsRef<str>>(&self, topics: &[T]) -> Result<Vec<Subscribed>, Error> {
        self.subscribe_with(topics, SubscribeOptions::default()).await
    }

    /// Subscribes as [`subscribe`](Self::subscribe) does, with more said about how.
    ///
    /// # Errors
    /// Those of [`subscribe`](Self::subscribe).
    pub async fn subscribe_with<T: AsRef<str>>(
        &self,
        topics: &[T],
        options: SubscribeOptions,
    ) -> Result<Vec<Subscribed>, Error> {
        self.ask_to_subscribe(owned(topics), options, None).await
    }

    /// Subscribes to a topic, now and after every reconnect, and gives it out as a stream of its own.
    ///
    /// # Errors
    /// Those of [`subscribe`](Self::subscribe).
    pub async fn subscription(&self, topic: &str) -> Result<Subscription, Error> {
        self.subscription_with(topic, SubscribeOptions::default()).await
    }

    /// As [`subscription`](Self::subscription), with more said about how. The server has one rate for a topic, which the
    /// latest to say one sets for all.
    ///
    /// # Errors
    /// Those of [`subscribe`](Self::subscribe).
    pub async fn subscription_with(
        &self,
        topic: &str,
        options: SubscribeOptions,
    ) -> Result<Subscription, Error> {
        let queue = Queue::new(self.deliveries_max, self.delivery_bytes_max);
        let mut subscription = Subscription::new(topic, Arc::clone(&queue), self.release.clone());
        let subscribed = self
            .ask_to_subscribe(vec![topic.to_owned()], options, Some(queue))
            .await?;
        subscription.confirm(subscribed.into_iter().next().ok_or(Error::Lost)?.position);
        Ok(subscription)
    }

    async fn ask_to_subscribe(
        &self,
        topics: Vec<String>,
        options: SubscribeOptions,
        queue: Option<Arc<Queue>>,
    ) -> Result<Vec<Subscribed>, Error> {
        let token = match &options.token {
            Some(source) => Some(source.ask(self.connect_timeout).await?),
            None => None,
        };
        let asking = Asking::Subscribe {
            topics,
            options,
            token,
            queue,
        };
        match self.ask(asking).await? {
            Reply::Subscribed(list) => Ok(list),
            _ => Err(Error::Lost),
        }
    }

    /// Unsubscribes from `topics`; no publication of them follows.
    ///
    /// # Errors
    /// Those of [`subscribe`](Self::subscribe).
    pub async fn unsubscribe<T: AsRef<str>>(&self, topics: &[T]) -> Result<(), Error> {
        self.ask(Asking::Unsubscribe {
            topics: owned(topics),
        })
        .await
        .map(drop)
    }

    /// A topic's history, page by page, from the oldest publication that is kept on. Nothing is asked before its
    /// [`next`](History::next).
    pub fn history(&self, topic: &str) -> History {
        self.history_with(topic, HistoryOptions::default())
    }

    /// As [`history`](Self::history), with more said about which part and in which direction.
    pub fn history_with(&self, topic: &str, options: HistoryOptions) -> History {
        History::new(self.clone(), topic, options)
    }

    /// One page of a topic's history.
    ///
    /// # Errors
    /// Those of [`subscribe`](Self::subscribe).
    pub async fn history_page(&self, topic: &str, options: HistoryOptions) -> Result<HistoryPage, Error> {
        let topic = topic.to_owned();
        match self.ask(Asking::History { topic, options }).await? {
            Reply::History(page) => Ok(page),
            _ => Err(Error::Lost),
        }
    }

    /// Who is in a topic, page by page. Nothing is asked before its [`next`](Presence::next) or [`all`](Presence::all).
    pub fn presence(&self, topic: &str) -> Presence {
        self.presence_with(topic, PresenceOptions::default())
    }

    /// As [`presence`](Self::presence), with more said about where to begin.
    pub fn presence_with(&self, topic: &str, options: PresenceOptions) -> Presence {
        Presence::new(self.clone(), topic, options)
    }

    /// One page of those who are in a topic.
    ///
    /// # Errors
    /// Those of [`subscribe`](Self::subscribe); of the codes `not_available` says that the server does not keep who is in
    /// this topic.
    pub async fn presence_page(&self, topic: &str, options: PresenceOptions) -> Result<PresencePage, Error> {
        let topic = topic.to_owned();
        match self.ask(Asking::Presence { topic, options }).await? {
            Reply::Presence(page) => Ok(page),
            _ => Err(Error::Lost),
        }
    }

    /// How many are in a topic.
    ///
    /// # Errors
    /// Those of [`presence_page`](Self::presence_page).
    pub async fn attendance(&self, topic: &str) -> Result<Attendance, Error> {
        let options = PresenceOptions {
            limit: Some(1),
            ..PresenceOptions::default()
        };
        let page = self.presence_page(topic, options).await?;
        Ok(page.attendance)
    }

    /// Publishes `data` as JSON; a [`RawValue`](serde_json::value::RawValue) travels exactly as it is written.
    ///
    /// # Errors
    /// Those of [`subscribe`](Self::subscribe); after [`Error::Lost`] and [`Error::CommandTimeout`] it may have been
    /// published all the same. `data` may not serialize.
    pub async fn publish<D: Serialize + ?Sized>(&self, topic: &str, data: &D) -> Result<Published, Error> {
        self.publish_with(topic, data, PublishOptions::default()).await
    }

    /// Publishes as [`publish`](Self::publish) does, with more said about it.
    ///
    /// # Errors
    /// Those of [`publish`](Self::publish).
    pub async fn publish_with<D: Serialize + ?Sized>(
        &self,
        topic: &str,
        data: &D,
        options: PublishOptions,
    ) -> Result<Published, Error> {
        let asking = Asking::Publish {
            topic: topic.to_owned(),
            data: to_raw_value(data).map_err(Error::NotJson)?,
            options,
        };
        match self.ask(asking).await? {
            Reply::Published(published) => Ok(published),
            _ => Err(Error::Lost),
        }
    }

    /// Asks the application for what its procedure `method`, a name of 1 to 128 bytes, gives for `data`.
    ///
    /// # Errors
    /// Those of [`publish`](Self::publish). In an [`Error::Refused`] the application says no in its own words; of the codes
    /// `not_found` says that it has no such procedure, `unavailable` that it does not answer.
    pub async fn call<D: Serialize + ?Sized>(&self, method: &str, data: &D) -> Result<Payload, Error> {
        let asking = Asking::Call {
            method: method.to_owned(),
            data: to_raw_value(data).map_err(Error::NotJson)?,
        };
        match self.ask(asking).await? {
            Reply::Result(payload) => Ok(payload),
            _ => Err(Error::Lost),
        }
    }

    /// As [`call`](Self::call), for a value of a type of the program's.
    ///
    /// # Errors
    /// Those of [`call`](Self::call), and [`Error::UnexpectedJson`] when what came is of another type.
    pub async fn call_json<D: Serialize + ?Sized, R: DeserializeOwned>(
        &self,
        method: &str,
        data: &D,
    ) -> Result<R, Error> {
        self.call(method, data)
            .await?
            .json()
            .map_err(Error::UnexpectedJson)
    }

    /// Asks the server for a sign of life; its time in milliseconds since 1970, when it tells.
    ///
    /// # Errors
    /// Those of [`subscribe`](Self::subscribe).
    pub async fn ping(&self) -> Result<Option<u64>, Error> {
        match self.ask(Asking::Ping).await? {
            Reply::Pong(time) => Ok(time),
            _ => Err(Error::Lost),
        }
    }

    /// Hands a command to the driver and waits for the outcome.
    async fn ask(&self, asking: Asking) -> Result<Reply, Error> {
        let (answer, outcome) = oneshot::channel();
        let asked = async {
            self.asks
                .send(Ask { asking, answer })
                .await
                .map_err(|_| Error::Ended)?;
            outcome.await.unwrap_or(Err(Error::Ended))
        };
        timeout(self.command_timeout, asked)
            .await
            .unwrap_or(Err(Error::CommandTimeout(self.command_timeout)))
    }
}

fn owned<T: AsRef<str>>(topics: &[T]) -> Vec<String> {
    topics.iter().map(|topic| topic.as_ref().to_owned()).collect()
}
