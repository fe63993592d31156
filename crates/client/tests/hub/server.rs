//! A hub in this process, and an application behind it that knows tokens of its own making.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use fanfare::{
    Admission, Application, Caller, Denial, ErrorCode, Fanfare, Hooks, Identity, ListenerOptions, Options,
    Payload, Retention, Selector, Timestamp, TopicName, TopicRule, TopicRules, UserName, Who,
};
use fanfare_client::{Client, ConnectOptions, Push};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// A running hub.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) fanfare: Fanfare,
    history: Retention,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Server {
    /// A hub on a port of the system's choice, where clients may be anonymous.
    pub(crate) async fn start() -> Self {
        Self::start_that_keeps(0).await
    }

    /// The same, where so many publications of each topic are kept.
    pub(crate) async fn start_that_keeps(publications_max: usize) -> Self {
        let history = Retention {
            publications_max,
            ..Retention::default()
        };
        Self::start_at("127.0.0.1:0".parse().unwrap(), true, history).await
    }

    /// A hub that everyone must show a token to.
    pub(crate) async fn start_for_tokens() -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), false, Retention::default()).await
    }

    /// Stops, with a goodbye to everyone, and starts anew in the same place after `pause`.
    pub(crate) async fn restart(self, pause: Duration) -> Self {
        let Self {
            address,
            fanfare,
            history,
            stop,
            serving,
        } = self;
        let _ = stop.send(());
        serving.await.unwrap();
        fanfare.shutdown(Duration::ZERO, Duration::from_secs(5)).await;
        sleep(pause).await;
        Self::start_at(address, true, history).await
    }

    async fn start_at(address: SocketAddr, anonymous: bool, history: Retention) -> Self {
        let fanfare = Fanfare::start(Options {
            shards: 2,
            rules: Arc::new(rules()),
            anonymous,
            history,
            application: Some(Application::new(Backend)),
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
            history,
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
/// those with a token for it, and nothing else for anyone.
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
    ])
}

/// An application that made the tokens of these tests.
struct Backend;

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
                topics: Vec::new(),
            }),
            _ => Err(Denial::unauthenticated("the token is not accepted")),
        }
    }

    async fn subscribe(&self, _: &Caller, topics: &[TopicName], token: Option<&str>) -> Result<(), Denial> {
        let is_for_them = |topic: &TopicName| token.is_some_and(|token| token.starts_with(topic.as_str()));
        let is_allowed = topics.iter().all(is_for_them);
        is_allowed
            .then_some(())
            .ok_or_else(|| Denial::forbidden("not without a token for it"))
    }

    async fn call(&self, _: &Caller, method: &str, payload: &Payload) -> Result<Payload, Denial> {
        match method {
            "echo" => Ok(payload.clone()),
            "busy" => Err(Denial::Refused {
                code: ErrorCode::RateLimited,
                message: "not so often".to_owned(),
                retry_after_ms: Some(250),
            }),
            "closed" => Err(Denial::forbidden("the shop is closed")),
            _ => Err(Denial::refused(ErrorCode::NotFound, "no such procedure")),
        }
    }
}
