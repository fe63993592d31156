//! A hub in this process, and an application behind it that knows tokens of its own making.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use axum::Router;
use fanfare::{
    Admission, Application, Caller, Denial, ErrorCode, Fanfare, Hooks, Identity, Leaves, Limits,
    ListenerOptions, Options, Payload, Retention, Selector, Timestamp, TopicName, TopicRule, TopicRules,
    UserName, Who,
};
use fanfare_client::{Client, ConnectOptions, Push};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// What is special about a hub.
#[derive(Clone)]
struct Setup {
    anonymous: bool,
    history: Retention,
    limits: Limits,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            anonymous: true,
            history: Retention::default(),
            limits: Limits::default(),
        }
    }
}

/// A running hub.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) fanfare: Fanfare,
    pub(crate) backend: Backend,
    setup: Setup,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Server {
    /// A hub on a port of the system's choice, where clients may be anonymous.
    pub(crate) async fn start() -> Self {
        Self::start_with(Setup::default()).await
    }

    /// The same, where so many publications of each topic are kept.
    pub(crate) async fn start_that_keeps(publications_max: usize) -> Self {
        let history = Retention {
            publications_max,
            ..Retention::default()
        };
        let setup = Setup {
            history,
            ..Setup::default()
        };
        Self::start_with(setup).await
    }

    /// A hub that has room for so many topics.
    pub(crate) async fn start_with_topics(topics_max: usize) -> Self {
        let limits = Limits {
            topics_max,
            ..Limits::default()
        };
        let setup = Setup {
            limits,
            ..Setup::default()
        };
        Self::start_with(setup).await
    }

    /// A hub that everyone must show a token to.
    pub(crate) async fn start_for_tokens() -> Self {
        let setup = Setup {
            anonymous: false,
            ..Setup::default()
        };
        Self::start_with(setup).await
    }

    async fn start_with(setup: Setup) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), setup).await
    }

    /// Stops, with a goodbye to everyone, and starts anew in the same place after `pause`.
    pub(crate) async fn restart(self, pause: Duration) -> Self {
        let Self {
            address,
            fanfare,
            setup,
            stop,
            serving,
            ..
        } = self;
        let _ = stop.send(());
        serving.await.unwrap();
        fanfare.shutdown(Duration::ZERO, Duration::from_secs(5)).await;
        sleep(pause).await;
        Self::start_at(address, setup).await
    }

    async fn start_at(address: SocketAddr, setup: Setup) -> Self {
        let backend = Backend::default();
        let fanfare = Fanfare::start(Options {
            shards: 2,
            rules: Arc::new(rules()),
            anonymous: setup.anonymous,
            history: setup.history,
            limits: setup.limits.clone(),
            application: Some(Application::new(backend.clone())),
            ..Options::default()
        })
        .unwrap();
        // Somebody's outgoing connection may have the port for a moment.
        let listener = eventually("the address is free", async || {
            TcpListener::bind(address).await.ok()
        })
        .await;
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/ws", fanfare.websocket());
        let (stop, stopped) = oneshot::channel::<()>();
        let hub = fanfare.clone();
        let serving = tokio::spawn(async move {
            let stopped = async { drop(stopped.await) };
            hub.serve(listener, router, ListenerOptions::default(), stopped)
                .await;
        });
        Self {
            address,
            fanfare,
            backend,
            setup,
            stop,
            serving,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/ws", self.address)
    }

    /// A client that does not keep a test waiting.
    pub(crate) async fn client(&self) -> Client {
        Client::connect(&self.url(), quick()).await.unwrap()
    }

    /// A client that shows tokens.
    pub(crate) async fn client_with(&self, token: fanfare_client::TokenSource) -> Client {
        let options = ConnectOptions {
            token: Some(token),
            ..quick()
        };
        Client::connect(&self.url(), options).await.unwrap()
    }

    /// Publishes numbers.
    pub(crate) async fn publish(&self, topic: &str, numbers: impl IntoIterator<Item = u64>) {
        for number in numbers {
            let number = serde_json::value::to_raw_value(&number).unwrap();
            self.fanfare.publish(topic, Payload::json(&number)).await.unwrap();
        }
    }

    /// Waits until a topic has so many subscribers.
    pub(crate) async fn await_subscribers(&self, topic: &str, count: u64) {
        let is_so = async || (self.fanfare.subscribers(topic) == count).then_some(());
        eventually(&format!("{topic} has {count} subscribers"), is_so).await;
    }

    /// Closes all connections of a user.
    pub(crate) async fn disconnect(&self, user: &str, cause: fanfare::Disconnect) {
        let who = Selector::User(UserName::parse(user).unwrap());
        assert_eq!(self.fanfare.disconnect(who, cause).await.unwrap(), 1);
    }
}

/// Tries until there is something, for as long as a slow machine may need.
pub(crate) async fn eventually<T>(what: &str, mut attempt: impl AsyncFnMut() -> Option<T>) -> T {
    let found = timeout(PATIENCE, async {
        loop {
            if let Some(found) = attempt().await {
                return found;
            }
            sleep(Duration::from_millis(5)).await;
        }
    });
    found.await.unwrap_or_else(|_| panic!("waited in vain: {what}"))
}

/// Pushes up to one of this kind, by the names of their variants.
pub(crate) async fn pushes_until(client: &mut Client, kind: &str) -> Vec<String> {
    let mut kinds = Vec::new();
    while kinds.last().is_none_or(|last| last != kind) {
        let push = timeout(PATIENCE, client.next()).await;
        let push = push.unwrap_or_else(|_| panic!("no {kind} after {kinds:?}"));
        kinds.push(push.as_ref().map_or("over".to_owned(), kind_of));
        assert!(kinds.len() < 1000, "no {kind} in {kinds:?}");
    }
    kinds
}

fn kind_of(push: &Push) -> String {
    let text = format!("{push:?}");
    text.split(['(', ' ']).next().unwrap_or_default().to_owned()
}

pub(crate) fn quick() -> ConnectOptions {
    ConnectOptions {
        reconnect_delay_min: Duration::from_millis(10),
        reconnect_delay_max: Duration::from_millis(50),
        ..ConnectOptions::default()
    }
}

/// A token for `user` that ends after so many milliseconds; `serial` makes it another one.
pub(crate) fn token(user: &str, serial: usize, ends_after_ms: u64) -> String {
    format!("{user}.{serial}.{}", now_ms() + ends_after_ms)
}

pub(crate) fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    now.as_millis() as u64
}

/// How long a slow machine may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// `open:*` is for everyone, `present:*` too but for what was published before, `room:*` keeps who is there, `vip:*` is for
/// those with a token for it, `moody:*` for whom the application is in the mood, and nothing else for anyone.
fn rules() -> TopicRules {
    let rule = |pattern, who| {
        TopicRule::new(pattern)
            .unwrap()
            .subscribe(who)
            .publish(Who::Anyone)
    };
    TopicRules::from([
        rule("open:*", Who::Anyone)
            .history(Who::Anyone)
            .presence(Who::Anyone),
        rule("present:*", Who::Anyone),
        rule("room:*", Who::Anyone).presence(Who::Anyone).keep_presence(),
        rule("vip:*", Who::Hook),
        rule("moody:*", Who::Hook).history(Who::Anyone),
    ])
}

/// An application that made the tokens of these tests, and has moods.
#[derive(Clone, Default)]
pub(crate) struct Backend {
    moods: Arc<Mutex<Moods>>,
}

#[derive(Default)]
struct Moods {
    /// What it answers to the next questions about `moody:*`; afterwards it allows everything.
    denials: VecDeque<Denial>,
    asked_at: Vec<Instant>,
}

impl Backend {
    /// What it answers to the next questions about `moody:*`.
    pub(crate) fn will_deny(&self, denials: impl IntoIterator<Item = Denial>) {
        let mut moods = self.moods.lock().unwrap();
        moods.denials.extend(denials);
        moods.asked_at.clear();
    }

    /// When it was asked since then.
    pub(crate) fn asked_at(&self) -> Vec<Instant> {
        self.moods.lock().unwrap().asked_at.clone()
    }

    fn decide(&self) -> Result<(), Denial> {
        let mut moods = self.moods.lock().unwrap();
        moods.asked_at.push(Instant::now());
        moods.denials.pop_front().map_or(Ok(()), Err)
    }
}

impl Hooks for Backend {
    async fn authenticate(&self, token: &str) -> Result<Admission, Denial> {
        let mut parts = token.split('.');
        let user = parts.next().and_then(|name| UserName::parse(name).ok());
        let ends_at = parts.nth(1).and_then(|ms| ms.parse().ok());
        match (user, ends_at) {
            (Some(user), Some(ends_at)) if ends_at > now_ms() => Ok(Admission {
                identity: Arc::new(Identity {
                    expires_at: Some(Timestamp(ends_at)),
                    ..Identity::of_user(user)
                }),
                ..Admission::default()
            }),
            _ => Err(Denial::unauthenticated("the token is not accepted")),
        }
    }

    async fn subscribe(
        &self,
        _: &Caller,
        topics: &[TopicName],
        token: Option<&str>,
    ) -> Result<Leaves, Denial> {
        if topics.iter().any(|topic| topic.as_str().starts_with("moody:")) {
            return self.decide().map(|()| Leaves::default());
        }
        let is_for_them = |topic: &TopicName| token.is_some_and(|token| token.starts_with(topic.as_str()));
        let is_allowed = topics.iter().all(is_for_them);
        is_allowed
            .then(Leaves::default)
            .ok_or_else(|| Denial::forbidden("not without a token for it"))
    }

    async fn call(&self, _: &Caller, method: &str, payload: &Payload) -> Result<Payload, Denial> {
        match method {
            "echo" => Ok(payload.clone()),
            "busy" => Err(Denial::Refused {
                code: ErrorCode::RateLimited,
                message: "not so often".to_owned(),
                retry_after_ms: Some(250),
                application_code: None,
            }),
            "closed" => Err(Denial::forbidden("the shop is closed")),
            _ => Err(Denial::refused(ErrorCode::NotFound, "no such procedure")),
        }
    }
}
