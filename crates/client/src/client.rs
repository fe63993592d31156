//! The client that programs hold: it asks a task of its own, the driver, and gets pushes from it.

use std::sync::{Arc, OnceLock};

use fanfare_protocol::PublishOptions;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::command::SubscribeOptions;
use crate::commands::Commands;
use crate::connect_options::ConnectOptions;
use crate::driver::{Driver, Inputs};
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::history::{History, HistoryOptions};
use crate::incoming::Push;
use crate::limits::COMMANDS_QUEUED_MAX;
use crate::presence::{Attendance, Presence};
use crate::publication::Payload;
use crate::server_message::{Published, Subscribed};
use crate::subscription::Subscription;

/// A connection to a server that is made again when it ends.
///
/// Dropping the client and all its [`Commands`] closes the connection. Pushes wait in a queue of bounded length; while
/// it is full nothing is read from the server, replies included, so a program calls [`next`](Self::next) all the time
/// or gives pushes up with [`ignore_pushes`](Self::ignore_pushes).
#[derive(Debug)]
pub struct Client {
    commands: Commands,
    pushes: mpsc::Receiver<Push>,
    driver: JoinHandle<()>,
}

impl Client {
    /// Connects to `url`, such as `ws://127.0.0.1:8080/ws` or, with the feature `tls`, `wss://example.org/ws`, and
    /// waits for the server's welcome.
    ///
    /// From then on the client reconnects by itself, until the server says not to.
    ///
    /// # Errors
    /// The URL is wrong, or this first attempt failed.
    pub async fn connect(url: &str, options: ConnectOptions) -> Result<Self, Error> {
        let endpoint = Endpoint::parse(url)?;
        let (asks, asked) = mpsc::channel(COMMANDS_QUEUED_MAX);
        let (release, released) = mpsc::unbounded_channel();
        let (push_sender, pushes) = mpsc::channel(options.pushes_max.max(1));
        let (alive, ended) = mpsc::channel(1);
        let ended_by = Arc::new(OnceLock::new());
        let commands = Commands::new(&options, asks, release, alive, Arc::clone(&ended_by));
        let inputs = Inputs {
            asks: asked,
            released,
        };
        let mut driver = Driver::new(endpoint, options, inputs, push_sender);
        let socket = driver.open().await?;
        Ok(Self {
            commands,
            pushes,
            driver: tokio::spawn(driver.run(socket, ended, ended_by)),
        })
    }

    /// The next push, in the server's order; none once the connection has ended for good, which the
    /// [`Push::Disconnected`] before it explains. May be dropped while it waits.
    pub async fn next(&mut self) -> Option<Push> {
        self.pushes.recv().await
    }

    /// Why the client has ended for good; none while it connects again, and after it was closed.
    pub fn ended_by(&self) -> Option<&Error> {
        self.commands.ended_by()
    }

    /// The asking half, to share with other tasks.
    pub fn commands(&self) -> Commands {
        self.commands.clone()
    }

    /// Drops all pushes from now on: for programs that only ask. [`next`](Self::next) ends after what waits already.
    pub fn ignore_pushes(&mut self) {
        self.pushes.close();
    }

    /// A topic as a stream; see [`Commands::subscription`].
    ///
    /// # Errors
    /// Those of [`Commands::subscribe`].
    pub async fn subscription(&self, topic: &str) -> Result<Subscription, Error> {
        self.commands.subscription(topic).await
    }

    /// A topic as a stream, with more said about how; see [`Commands::subscription_with`].
    ///
    /// # Errors
    /// Those of [`Commands::subscribe`].
    pub async fn subscription_with(
        &self,
        topic: &str,
        options: SubscribeOptions,
    ) -> Result<Subscription, Error> {
        self.commands.subscription_with(topic, options).await
    }

    /// Asks a procedure of the application's; see [`Commands::call`].
    ///
    /// # Errors
    /// Those of [`Commands::call`].
    pub async fn call<D: Serialize + ?Sized>(&self, method: &str, data: &D) -> Result<Payload, Error> {
        self.commands.call(method, data).await
    }

    /// Asks a procedure for a value of a type of the program's; see [`Commands::call_json`].
    ///
    /// # Errors
    /// Those of [`Commands::call_json`].
    pub async fn call_json<D: Serialize + ?Sized, R: DeserializeOwned>(
        &self,
        method: &str,
        data: &D,
    ) -> Result<R, Error> {
        self.commands.call_json(method, data).await
    }

    /// Subscribes; see [`Commands::subscribe`].
    ///
    /// # Errors
    /// Those of [`Commands::subscribe`].
    pub async fn subscribe<T: AsRef<str>>(&self, topics: &[T]) -> Result<Vec<Subscribed>, Error> {
        self.commands.subscribe(topics).await
    }

    /// Subscribes with more said about how; see [`Commands::subscribe_with`].
    ///
    /// # Errors
    /// Those of [`Commands::subscribe`].
    pub async fn subscribe_with<T: AsRef<str>>(
        &self,
        topics: &[T],
        options: SubscribeOptions,
    ) -> Result<Vec<Subscribed>, Error> {
        self.commands.subscribe_with(topics, options).await
    }

    /// A topic's history, page by page; see [`Commands::history`].
    pub fn history(&self, topic: &str) -> History {
        self.commands.history(topic)
    }

    /// A topic's history with more said about which part; see [`Commands::history_with`].
    pub fn history_with(&self, topic: &str, options: HistoryOptions) -> History {
        self.commands.history_with(topic, options)
    }

    /// Who is in a topic, page by page; see [`Commands::presence`].
    pub fn presence(&self, topic: &str) -> Presence {
        self.commands.presence(topic)
    }

    /// How many are in a topic; see [`Commands::attendance`].
    ///
    /// # Errors
    /// Those of [`Commands::presence_page`].
    pub async fn attendance(&self, topic: &str) -> Result<Attendance, Error> {
        self.commands.attendance(topic).await
    }

    /// Publishes with more said about it; see [`Commands::publish_with`].
    ///
    /// # Errors
    /// Those of [`Commands::publish`].
    pub async fn publish_with<D: Serialize + ?Sized>(
        &self,
        topic: &str,
        data: &D,
        options: PublishOptions,
    ) -> Result<Published, Error> {
        self.commands.publish_with(topic, data, options).await
    }

    /// Publishes; see [`Commands::publish`].
    ///
    /// # Errors
    /// Those of [`Commands::publish`].
    pub async fn publish<D: Serialize + ?Sized>(&self, topic: &str, data: &D) -> Result<Published, Error> {
        self.commands.publish(topic, data).await
    }

    /// Closes the connection and waits until the server has confirmed it or the time for that is over. Clones of the
    /// commands keep the connection open until they are dropped too.
    pub async fn close(self) {
        drop((self.commands, self.pushes));
        // The driver is aborted by nobody, and what it would say is said to nobody.
        let _ = self.driver.await;
    }
}
