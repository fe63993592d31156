//! The task behind a client: it moves bytes between the socket and the session, and makes the connection again.
//!
//! Inputs, none of which has priority: commands, while the session has room for them; bytes of the server, while no push
//! waits for the program; room in the queue of pushes, while one waits; the drop of the last [`Commands`] handle; and
//! the time after which a silent server is given up.
//!
//! [`Commands`]: crate::Commands

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::time::Duration;

use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use crate::client::{ConnectOptions, Error};
use crate::endpoint::Endpoint;
use crate::retry::{Backoff, reconnects_after};
use crate::server_message::{Goodbye, Welcome};
use crate::session::{Incoming, LimitExceeded, PublishOptions, Push, Reply, Session, SubscribeOptions};
use crate::socket::{Received, Socket};

/// A command on its way to the driver.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) asking: Asking,
    pub(crate) answer: Answer,
}

/// What is asked.
#[derive(Debug)]
pub(crate) enum Asking {
    Subscribe {
        topics: Vec<String>,
        options: SubscribeOptions,
    },
    Unsubscribe {
        topics: Vec<String>,
    },
    Publish {
        topic: String,
        data: Box<RawValue>,
        options: PublishOptions,
    },
    Ping,
}

/// Where the outcome of a command goes.
type Answer = oneshot::Sender<Result<Reply, Error>>;

/// Everything a client is, beside its socket.
#[derive(Debug)]
pub(crate) struct Driver {
    endpoint: Endpoint,
    options: ConnectOptions,
    session: Session,
    backoff: Backoff,
    asks: mpsc::Receiver<Ask>,
    ended: mpsc::Receiver<Infallible>,
    pushes: mpsc::Sender<Push>,
    /// Pushes of the item read last, which wait for room in the queue.
    backlog: VecDeque<Push>,
    answers: HashMap<u64, Answer>,
    goodbye: Option<Goodbye>,
    silence_max: Duration,
}

impl Driver {
    /// A driver that is not connected yet.
    pub(crate) fn new(
        endpoint: Endpoint,
        options: ConnectOptions,
        asks: mpsc::Receiver<Ask>,
        ended: mpsc::Receiver<Infallible>,
        pushes: mpsc::Sender<Push>,
    ) -> Self {
        Self {
            endpoint,
            session: Session::new(),
            backoff: Backoff::new(options.reconnect_delay_min, options.reconnect_delay_max),
            options,
            asks,
            ended,
            pushes,
            backlog: VecDeque::new(),
            answers: HashMap::new(),
            goodbye: None,
            silence_max: SILENCE_MAX,
        }
    }

    /// Makes one attempt to connect, up to the server's welcome.
    pub(crate) async fn open(&mut self) -> Result<Socket, Error> {
        let time = self.options.connect_timeout;
        let opened = timeout(time, self.open_unbounded())
            .await
            .unwrap_or(Err(Error::ConnectTimeout(time)));
        if opened.is_err() {
            self.session.handle_lost();
        }
        opened
    }

    async fn open_unbounded(&mut self) -> Result<Socket, Error> {
        self.goodbye = None;
        let mut socket = Socket::connect(&self.endpoint, &self.options).await?;
        while !self.session.is_welcome() {
            self.receive(&mut socket).await?;
        }
        Ok(socket)
    }

    /// Drives the client from its first connection on, until nobody asks any more or the server says not to come back.
    pub(crate) async fn run(mut self, mut socket: Socket) {
        loop {
            let opened_at = Instant::now();
            let outcome = self.serve(&mut socket).await;
            self.forget_commands();
            let Err(error) = outcome else {
                return self.close(socket).await;
            };
            fail(socket, &error).await;
            if opened_at.elapsed() >= STABLE_AFTER {
                self.backoff.reset();
            }
            match self.reopen(error).await {
                Some(opened) => socket = opened,
                None => return,
            }
        }
    }

    /// Serves one connection until nobody asks any more.
    async fn serve(&mut self, socket: &mut Socket) -> Result<(), Error> {
        let mut deadline = Instant::now() + self.silence_max;
        loop {
            while let Some(text) = self.session.poll_outgoing() {
                socket.send_text(&text).await?;
            }
            let is_reading = self.backlog.is_empty();
            tokio::select! {
                Some(ask) = self.asks.recv(), if self.session.has_room() => self.handle_ask(ask),
                received = socket.receive(), if is_reading => {
                    self.handle(received?, socket).await?;
                    deadline = Instant::now() + self.silence_max;
                }
                () = deliver(&self.pushes, &mut self.backlog), if !is_reading => {
                    // Silence counts only while there is someone to listen.
                    deadline = Instant::now() + self.silence_max;
                }
                None = self.ended.recv() => return Ok(()),
                () = sleep_until(deadline), if is_reading => return Err(Error::Silent),
            }
        }
    }

    /// Waits for an item of the server and deals with it.
    async fn receive(&mut self, socket: &mut Socket) -> Result<(), Error> {
        let received = socket.receive().await?;
        self.handle(received, socket).await
    }

    async fn handle(&mut self, received: Received, socket: &mut Socket) -> Result<(), Error> {
        match received {
            Received::Text(text) => self.handle_text(&text),
            Received::Ping(payload) => socket.send_pong(&payload).await,
            Received::Pong => Ok(()),
            Received::Binary => Err(Error::Binary),
            Received::Close { code, reason } => Err(Error::Closed {
                code: code.unwrap_or(1005),
                reason,
            }),
        }
    }

    fn handle_text(&mut self, text: &str) -> Result<(), Error> {
        self.session.handle_text(text)?;
        while let Some(incoming) = self.session.poll_incoming() {
            match incoming {
                Incoming::Reply { id, outcome } => self.answer(id, outcome.map_err(Error::Refused)),
                Incoming::Push(push) => self.handle_push(push),
            }
        }
        Ok(())
    }

    fn handle_push(&mut self, push: Push) {
        match &push {
            Push::Welcome(welcome) => self.silence_max = silence_max(welcome),
            Push::Goodbye(goodbye) => self.goodbye = Some(goodbye.clone()),
            _ => {}
        }
        self.backlog.push_back(push);
    }

    /// Gives a command to the session, unless its caller has stopped waiting.
    fn handle_ask(&mut self, ask: Ask) {
        let Ask { asking, answer } = ask;
        if answer.is_closed() {
            return;
        }
        match self.ask(&asking) {
            Ok(id) => drop(self.answers.insert(id, answer)),
            Err(full) => drop(answer.send(Err(full.into()))),
        }
    }

    fn ask(&mut self, asking: &Asking) -> Result<u64, LimitExceeded> {
        match asking {
            Asking::Subscribe { topics, options } => self.session.subscribe(topics, *options),
            Asking::Unsubscribe { topics } => self.session.unsubscribe(topics),
            Asking::Publish { topic, data, options } => self.session.publish(topic, data, options),
            Asking::Ping => self.session.ping(),
        }
    }

    /// Tells a caller the outcome; one that has stopped waiting does not want to know.
    fn answer(&mut self, id: u64, outcome: Result<Reply, Error>) {
        if let Some(answer) = self.answers.remove(&id) {
            drop(answer.send(outcome));
        }
    }

    /// Tells every caller that its reply will not come.
    fn forget_commands(&mut self) {
        self.session.handle_lost();
        for (_, answer) in self.answers.drain() {
            drop(answer.send(Err(Error::Lost)));
        }
    }

    /// Connects again, after `error` ended a connection, until it succeeds; none when that is pointless or unwanted.
    async fn reopen(&mut self, mut error: Error) -> Option<Socket> {
        loop {
            let delay = self.delay_after(&error);
            self.announce(Push::Disconnected {
                reason: error.to_string(),
                reconnect_after: delay,
            });
            if !self.wait(delay).await {
                return None;
            }
            delay?;
            match self.open().await {
                Ok(socket) => return Some(socket),
                Err(next) => error = next,
            }
        }
    }

    /// Leaves word of the end for the program; of attempts that failed meanwhile, only the latest is kept.
    fn announce(&mut self, disconnected: Push) {
        if let Some(Push::Disconnected { .. }) = self.backlog.back() {
            self.backlog.pop_back();
        }
        self.backlog.push_back(disconnected);
    }

    /// How long to wait after a connection or an attempt ended with `error`; none when that was the last.
    fn delay_after(&mut self, error: &Error) -> Option<Duration> {
        let goodbye = self.goodbye.take();
        let reconnects = match (&goodbye, error) {
            (Some(goodbye), _) => goodbye.reconnect,
            (None, Error::Closed { code, .. }) => reconnects_after(*code),
            (None, Error::Handshake(refused)) => refused.is_temporary(),
            (None, _) => true,
        };
        let told = goodbye
            .and_then(|goodbye| goodbye.reconnect_after_ms)
            .map(Duration::from_millis);
        let delay = self.backoff.next_delay(fastrand::f64());
        reconnects.then(|| told.map_or(delay, |told| told.min(TOLD_DELAY_MAX)))
    }

    /// Waits for `delay`, or until the program has taken what is left for it when that is none; false when nobody asks
    /// any more.
    async fn wait(&mut self, delay: Option<Duration>) -> bool {
        let until = Instant::now() + delay.unwrap_or_default();
        loop {
            tokio::select! {
                () = deliver(&self.pushes, &mut self.backlog), if !self.backlog.is_empty() => {}
                // A program that takes no pushes is no reason not to reconnect.
                () = sleep_until(until), if delay.is_some() || self.backlog.is_empty() => return true,
                _ = self.ended.recv() => return false,
            }
        }
    }

    /// Says goodbye and waits for the server's close frame as long as the options allow.
    async fn close(mut self, mut socket: Socket) {
        let time = self.options.close_timeout;
        let closing = async {
            socket.send_close(1000).await?;
            loop {
                self.receive(&mut socket).await?;
                self.backlog.clear();
            }
        };
        let _: Result<Result<Infallible, Error>, _> = timeout(time, closing).await;
    }
}

/// Hands pushes to the program until none is left, as fast as it takes them. May be dropped while it waits.
async fn deliver(pushes: &mpsc::Sender<Push>, backlog: &mut VecDeque<Push>) {
    while !backlog.is_empty() {
        match (pushes.reserve().await, backlog.pop_front()) {
            (Ok(room), Some(push)) => room.send(push),
            _ => backlog.clear(),
        }
    }
}

/// Tells the server why its connection is given up, as far as it is there to hear.
async fn fail(mut socket: Socket, error: &Error) {
    let code = match error {
        Error::Violation(violation) => violation.close_code(),
        Error::Malformed(_) => 1002,
        Error::Binary => 1003,
        // The answer to a close frame repeats its code, or has none.
        Error::Closed { code, .. } if *code != 1005 => *code,
        Error::Closed { .. } | Error::Silent => 1000,
        _ => return,
    };
    let _ = timeout(FAREWELL_MAX, socket.send_close(code)).await;
}

/// How long a server that pings as `welcome` says may be silent.
fn silence_max(welcome: &Welcome) -> Duration {
    match welcome.ping_interval_ms {
        0 => SILENCE_MAX,
        interval => {
            Duration::from_millis(interval.saturating_add(welcome.pong_timeout_ms).max(1000)).min(SILENCE_MAX)
        }
    }
}

/// Silence after which a server that does not say how often it pings is given up.
const SILENCE_MAX: Duration = Duration::from_secs(2 * 60 * 60);

/// How long a connection must have lasted for the next delay to be the shortest again.
const STABLE_AFTER: Duration = Duration::from_secs(5);

/// The longest delay a server may ask for.
const TOLD_DELAY_MAX: Duration = Duration::from_secs(60 * 60);

/// How long a last close frame may take.
const FAREWELL_MAX: Duration = Duration::from_millis(500);
