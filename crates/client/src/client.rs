//! The client that programs hold: it asks a task of its own, the driver, and gets pushes from it.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use fanfare_protocol::websocket::Violation;
use serde::Serialize;
use serde_json::value::to_raw_value;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::driver::{Ask, Asking, Driver};
use crate::endpoint::{Endpoint, EndpointError};
use crate::handshake::HandshakeError;
use crate::limits::COMMANDS_QUEUED_MAX;
use crate::server_message::{Malformed, Published, Refusal, Subscribed};
use crate::session::{LimitExceeded, PublishOptions, Push, Reply, SubscribeOptions};

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

/// The asking half of a client; clones share the connection.
#[derive(Debug, Clone)]
pub struct Commands {
    asks: mpsc::Sender<Ask>,
    /// Tells the driver by its drop that nobody asks any more.
    _alive: mpsc::Sender<Infallible>,
    command_timeout: Duration,
}

/// How a client connects and what it puts up with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectOptions {
    /// How long an attempt may take, up to the server's welcome. Default 10 s.
    pub connect_timeout: Duration,
    /// How long a command may take, waits for a reconnect included. Default 10 s.
    pub command_timeout: Duration,
    /// How long the server may take none of what is written. Default 10 s.
    pub write_timeout: Duration,
    /// How long [`Client::close`] waits for the server's close frame. Default 2 s.
    pub close_timeout: Duration,
    /// The first delay before a reconnect; it doubles with every attempt that fails. Default 200 ms.
    pub reconnect_delay_min: Duration,
    /// The longest of those delays. Default 20 s.
    pub reconnect_delay_max: Duration,
    /// Largest message the server may send. Default 16 MiB and 64 KiB.
    pub message_bytes_max: u32,
    /// Pushes that may wait for [`Client::next`]; at least 1. Default 1024.
    pub pushes_max: usize,
    /// For `wss://`: the authorities, in PEM, of which one must stand for the server. Default: none, and then it is one
    /// of the system's.
    pub authorities: Vec<u8>,
}

/// Why a connection or a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL is none this client can connect to.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The server did not agree to a WebSocket.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// The network failed.
    #[error("connection failed: {0}")]
    Io(#[from] io::Error),
    /// TLS cannot be spoken like that.
    #[error("TLS: {0}")]
    Tls(String),
    /// The server did not welcome the client in time.
    #[error("server did not complete the connection within {0:?}; check host and port, or try again later")]
    ConnectTimeout(Duration),
    /// The server closed the connection.
    #[error("server closed the connection with code {code}: {reason}")]
    Closed {
        /// The close code; 1005 when it gave none.
        code: u16,
        /// The reason it gave.
        reason: String,
    },
    /// The server sent frames that RFC 6455 does not allow.
    #[error("server broke the WebSocket protocol: {0}")]
    Violation(#[from] Violation),
    /// The server sent a message that the dialect does not allow.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The server sent a binary message, which the dialect does not have.
    #[error("server sent a binary message, and the json dialect has none")]
    Binary,
    /// The server was silent for longer than it pings.
    #[error("server was silent for longer than its ping interval")]
    Silent,
    /// The server does not read what is sent.
    #[error("server does not take what is sent to it")]
    Stalled,
    /// The connection ended before the reply came: the command may have been carried out or not.
    #[error("connection ended before the reply; the command may have been carried out or not")]
    Lost,
    /// No reply came in time: the command may have been carried out or not.
    #[error("no reply within {0:?}; is the server reachable, and are pushes taken with `next`?")]
    CommandTimeout(Duration),
    /// The client is closed for good.
    #[error("client is closed; connect a new one")]
    Ended,
    /// The server refused the command.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The client's own bounds refused the command.
    #[error(transparent)]
    Full(#[from] LimitExceeded),
    /// What was to be published does not serialize.
    #[error("what was to be published is not JSON: {0}")]
    NotJson(#[source] serde_json::Error),
}

impl Client {
    /// Connects to `url`, such as `ws://127.0.0.1:8080/ws` or, with the feature `tls`, `wss://example.org/ws`, and waits for the server's welcome.
    ///
    /// From then on the client reconnects by itself, until the server says not to.
    ///
    /// # Errors
    /// The URL is wrong, or this first attempt failed.
    pub async fn connect(url: &str, options: ConnectOptions) -> Result<Self, Error> {
        let endpoint = Endpoint::parse(url)?;
        let (asks, asked) = mpsc::channel(COMMANDS_QUEUED_MAX);
        let (push_sender, pushes) = mpsc::channel(options.pushes_max.max(1));
        let (alive, ended) = mpsc::channel(1);
        let commands = Commands {
            asks,
            _alive: alive,
            command_timeout: options.command_timeout,
        };
        let mut driver = Driver::new(endpoint, options, asked, ended, push_sender);
        let socket = driver.open().await?;
        Ok(Self {
            commands,
            pushes,
            driver: tokio::spawn(driver.run(socket)),
        })
    }

    /// The next push, in the server's order; none once the connection has ended for good, which the
    /// [`Push::Disconnected`] before it explains. May be dropped while it waits.
    pub async fn next(&mut self) -> Option<Push> {
        self.pushes.recv().await
    }

    /// The asking half, to share with other tasks.
    pub fn commands(&self) -> Commands {
        self.commands.clone()
    }

    /// Drops all pushes from now on: for programs that only ask. [`next`](Self::next) ends after what waits already.
    pub fn ignore_pushes(&mut self) {
        self.pushes.close();
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

impl Commands {
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
        let topics = owned(topics);
        match self.ask(Asking::Subscribe { topics, options }).await? {
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

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            command_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(2),
            reconnect_delay_min: Duration::from_millis(200),
            reconnect_delay_max: Duration::from_secs(20),
            message_bytes_max: 16 * 1024 * 1024 + 64 * 1024,
            pushes_max: 1024,
            authorities: Vec::new(),
        }
    }
}

fn owned<T: AsRef<str>>(topics: &[T]) -> Vec<String> {
    topics.iter().map(|topic| topic.as_ref().to_owned()).collect()
}
