//! The task behind a client: it moves bytes between the socket and the session, and makes the connection again.
//!
//! Inputs, none of which has priority: commands, while the session has room for them; subscriptions that were dropped,
//! likewise; bytes of the server, while no push waits for the program; room in the queue of pushes, while one waits;
//! tokens; the time to ask for one; the time to ask again for topics that the server refused for now; the drop of the
//! last [`Commands`] handle; and the time after which a silent server is given up.
//!
//! [`Commands`]: crate::Commands

mod identity;
mod postponing;
mod reopening;

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::future::pending;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use crate::asking::{Answer, Ask, Asking, Pending};
use crate::connect_options::ConnectOptions;
use crate::delivery::UnsubscribedBy;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::incoming::{Incoming, Push, Reply};
use crate::limits::{LimitExceeded, SUBSCRIPTIONS_MAX};
use crate::retry::Retry;
use crate::routes::Routes;
use crate::server_message::{Goodbye, Refusal, Welcome};
use crate::session::Session;
use crate::socket::{Received, Socket};
use crate::token::Token;
use crate::token_desk::{Purpose, TokenDesk};
use postponing::Postponed;

/// Everything a client is, beside its socket.
pub(crate) struct Driver {
    endpoint: Endpoint,
    options: ConnectOptions,
    session: Session,
    retry: Retry,
    inputs: Inputs,
    pushes: mpsc::Sender<Push>,
    /// Pushes of the item read last, which wait for room in the queue.
    backlog: VecDeque<Push>,
    routes: Routes,
    pending: HashMap<u64, Pending>,
    desk: TokenDesk,
    postponed: Postponed,
    /// The token that the server was shown last.
    shown: Option<Token>,
    /// The token to show next, where its source was asked already.
    next_token: Option<Token>,
    /// Why the server did not accept the token that it waited for.
    refusal: Option<Refusal>,
    /// Tokens refused since one was accepted.
    tokens_refused: u32,
    /// When the token ends that the server accepted last, in milliseconds since 1970.
    expires_at: Option<u64>,
    /// When another one is asked for, in time before that.
    renewal_at: Option<Instant>,
    goodbye: Option<Goodbye>,
    silence_max: Duration,
}

/// What comes from the program.
#[derive(Debug)]
pub(crate) struct Inputs {
    pub(crate) asks: mpsc::Receiver<Ask>,
    /// The topics of subscriptions that were dropped. No more than there were subscriptions.
    pub(crate) released: mpsc::UnboundedReceiver<String>,
}

impl Driver {
    /// A driver that is not connected yet.
    pub(crate) fn new(
        endpoint: Endpoint,
        options: ConnectOptions,
        inputs: Inputs,
        pushes: mpsc::Sender<Push>,
    ) -> Self {
        Self {
            endpoint,
            session: Session::new(),
            retry: Retry::new(&options),
            desk: TokenDesk::new(&options),
            postponed: Postponed::new(&options),
            options,
            inputs,
            pushes,
            backlog: VecDeque::new(),
            routes: Routes::default(),
            pending: HashMap::new(),
            shown: None,
            next_token: None,
            refusal: None,
            tokens_refused: 0,
            expires_at: None,
            renewal_at: None,
            goodbye: None,
            silence_max: SILENCE_MAX,
        }
    }

    /// Makes one attempt to connect, up to the server's welcome, and to its acceptance of the token if it waits for one.
    pub(crate) async fn open(&mut self) -> Result<Socket, Error> {
        let time = self.options.connect_timeout;
        let opened = timeout(time, self.open_unbounded())
            .await
            .unwrap_or(Err(Error::ConnectTimeout(time)));
        match &opened {
            Ok(_) => self.tokens_refused = 0,
            Err(_) => self.handle_lost(),
        }
        opened
    }

    async fn open_unbounded(&mut self) -> Result<Socket, Error> {
        (self.goodbye, self.refusal) = (None, None);
        self.shown = self.token().await?;
        let mut socket = Socket::connect(&self.endpoint, &self.options, self.shown.as_ref()).await?;
        while !self.session.is_welcome() {
            self.receive(&mut socket).await?;
        }
        if let Some(token) = self.shown.clone().filter(|_| self.session.is_awaited()) {
            self.show(&token)?;
            self.flush(&mut socket).await?;
            while self.session.is_awaited() {
                self.receive(&mut socket).await?;
                if let Some(refusal) = self.refusal.take() {
                    return Err(Error::Refused(refusal));
                }
            }
        }
        Ok(socket)
    }

    /// Drives the client from its first connection on, until nobody asks any more, which is the end of `alive`, or the
    /// server says not to come back. Why it ended for good is left in `ended_by`.
    pub(crate) async fn run(
        mut self,
        mut socket: Socket,
        mut alive: mpsc::Receiver<Infallible>,
        ended_by: Arc<OnceLock<Error>>,
    ) {
        loop {
            let opened_at = Instant::now();
            let outcome = self.serve(&mut socket, &mut alive).await;
            self.handle_lost();
            let Err(error) = outcome else {
                return self.close(socket).await;
            };
            fail(socket, &error).await;
            self.retry.handle_connection(opened_at.elapsed());
            let reopened = tokio::select! {
                reopened = self.reopen(error, &ended_by) => reopened,
                _ = alive.recv() => return,
            };
            match reopened {
                Some(opened) => socket = opened,
                None => return,
            }
        }
    }

    /// Serves one connection until nobody asks any more.
    async fn serve(
        &mut self,
        socket: &mut Socket,
        alive: &mut mpsc::Receiver<Infallible>,
    ) -> Result<(), Error> {
        let mut deadline = Instant::now() + self.silence_max;
        loop {
            self.flush(socket).await?;
            let is_reading = self.backlog.is_empty();
            let has_room = self.session.has_room();
            tokio::select! {
                Some(ask) = self.inputs.asks.recv(), if has_room => self.handle_ask(ask),
                Some(topic) = self.inputs.released.recv(), if has_room => self.handle_released(topic),
                received = socket.receive(), if is_reading => {
                    self.handle(received?, socket).await?;
                    deadline = Instant::now() + self.silence_max;
                }
                () = deliver(&self.pushes, &mut self.backlog), if !is_reading => {
                    // Silence counts only while there is someone to listen.
                    deadline = Instant::now() + self.silence_max;
                }
                (purpose, outcome) = self.desk.next(), if has_room => self.handle_token(purpose, outcome),
                () = sleep_until_some(self.renewal_at) => self.renew(),
                () = sleep_until_some(self.postponed.next_at()), if has_room => self.ask_postponed(),
                None = alive.recv() => return Ok(()),
                () = sleep_until(deadline), if is_reading => return Err(Error::Silent),
            }
        }
    }

    /// Sends what the session has to say.
    async fn flush(&mut self, socket: &mut Socket) -> Result<(), Error> {
        while let Some(text) = self.session.poll_outgoing() {
            socket.send_text(&text).await?;
        }
        Ok(())
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
        self.take_incoming();
        Ok(())
    }

    /// Deals with everything that the session gives out.
    fn take_incoming(&mut self) {
        while let Some(incoming) = self.session.poll_incoming() {
            match incoming {
                Incoming::Reply { id, outcome } => self.handle_reply(id, outcome),
                Incoming::TokenWanted { topics, source } => self.desk.ask(Purpose::Topics(topics), source),
                Incoming::Postponed {
                    topics,
                    refusal,
                    refusals,
                } => self.postpone(topics, refusal, refusals),
                Incoming::Push(push) => self.handle_push(push),
            }
        }
    }

    fn handle_push(&mut self, push: Push) {
        match &push {
            Push::Welcome(welcome) => {
                self.silence_max = silence_max(welcome);
                self.expires_at = welcome.expires_at;
                self.schedule_renewal();
            }
            Push::Goodbye(goodbye) => self.goodbye = Some(goodbye.clone()),
            _ => {}
        }
        self.backlog.extend(self.routes.deliver(push));
    }

    /// Gives a command to the session, unless its caller has stopped waiting.
    fn handle_ask(&mut self, ask: Ask) {
        let Ask { asking, answer } = ask;
        if answer.is_closed() {
            return;
        }
        match self.ask(&asking) {
            Ok(id) => {
                let pending = Pending::new(asking, answer);
                let (session, routes) = (&self.session, &mut self.routes);
                let topics = pending.subscribing().iter();
                topics.for_each(|topic| routes.begin(topic, session.is_subscribed(topic)));
                self.pending.insert(id, pending);
            }
            Err(full) => tell(answer, Err(full.into())),
        }
    }

    fn ask(&mut self, asking: &Asking) -> Result<u64, LimitExceeded> {
        let session = &mut self.session;
        match asking {
            Asking::Subscribe { queue: Some(_), .. } if self.routes.count() >= SUBSCRIPTIONS_MAX => {
                Err(LimitExceeded::Subscriptions)
            }
            Asking::Subscribe {
                topics,
                options,
                token,
                ..
            } => session.subscribe(topics, options.clone(), token.as_ref()),
            Asking::Unsubscribe { topics } => session.unsubscribe(topics),
            Asking::Publish { topic, data, options } => session.publish(topic, data, options),
            Asking::History { topic, options } => session.history(topic, *options),
            Asking::Presence { topic, options } => session.presence(topic, options),
            Asking::Call { method, data } => session.call(method, data),
            Asking::Ping => session.ping(),
        }
    }

    /// A subscription was dropped: unsubscribes when it was the last that wanted its topic.
    fn handle_released(&mut self, topic: String) {
        if self.routes.release(&topic) {
            self.leave(topic);
        }
    }

    /// Unsubscribes from a topic that nobody wants.
    fn leave(&mut self, topic: String) {
        if !self.session.is_subscribed(&topic) {
            return self.routes.remove(&topic);
        }
        // There is room: nothing is dealt with that could get here without.
        if let Ok(id) = self.session.unsubscribe(std::slice::from_ref(&topic)) {
            self.pending.insert(id, Pending::Leaving { topic });
        }
    }

    /// Tells whoever asked the outcome; one that has stopped waiting does not want to know.
    fn handle_reply(&mut self, id: u64, outcome: Result<Reply, Refusal>) {
        match self.pending.remove(&id) {
            Some(Pending::Command { answer }) => tell(answer, outcome.map_err(Error::Refused)),
            Some(Pending::Subscribing {
                answer,
                topics,
                queue,
            }) => {
                for topic in topics.iter().filter(|_| outcome.is_ok()) {
                    match &queue {
                        Some(queue) => self.routes.add(topic, Arc::clone(queue)),
                        None => self.routes.keep(topic),
                    }
                }
                tell(answer, outcome.map_err(Error::Refused));
                for topic in topics {
                    if self.routes.settle(&topic) {
                        self.leave(topic);
                    }
                }
            }
            Some(Pending::Unsubscribing { answer, topics }) => {
                for topic in topics.iter().filter(|_| outcome.is_ok()) {
                    self.routes.end(topic, &UnsubscribedBy::Program);
                }
                tell(answer, outcome.map_err(Error::Refused));
            }
            Some(Pending::Leaving { topic }) => self.routes.remove(&topic),
            Some(Pending::Authentication) => self.handle_authentication(outcome),
            None => {}
        }
    }

    /// Tells every caller that its reply will not come, and forgets what belonged to the connection alone.
    fn handle_lost(&mut self) {
        self.session.handle_lost();
        self.desk.clear();
        self.postponed.clear();
        self.renewal_at = None;
        for (_, pending) in std::mem::take(&mut self.pending) {
            match pending {
                Pending::Leaving { topic } => self.routes.remove(&topic),
                Pending::Authentication => {}
                Pending::Subscribing { answer, topics, .. } => {
                    for topic in topics {
                        if self.routes.settle(&topic) {
                            self.session.forget(std::slice::from_ref(&topic));
                            self.routes.remove(&topic);
                        }
                    }
                    tell(answer, Err(Error::Lost));
                }
                Pending::Command { answer } | Pending::Unsubscribing { answer, .. } => {
                    tell(answer, Err(Error::Lost));
                }
            }
        }
    }

    /// Says goodbye and waits for the server's close frame as long as the options allow.
    async fn close(mut self, mut socket: Socket) {
        let time = self.options.close_timeout;
        let closing = async {
            socket.send_close(1000).await?;
            loop {
                if let Received::Close { .. } = socket.receive().await? {
                    return Ok(());
                }
            }
        };
        let _: Result<Result<(), Error>, _> = timeout(time, closing).await;
        self.backlog.clear();
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

/// Waits for a time, for ever when there is none.
async fn sleep_until_some(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => pending().await,
    }
}

/// Tells a caller the outcome; one that has stopped waiting does not want to know.
fn tell(answer: Answer, outcome: Result<Reply, Error>) {
    let _ = answer.send(outcome);
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

/// How long a last close frame may take.
const FAREWELL_MAX: Duration = Duration::from_millis(500);
