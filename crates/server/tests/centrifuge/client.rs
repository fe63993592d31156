//! One client of a library.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use serde_json::{Value, json};

use crate::puppet::Puppet;
use crate::way::Way;

/// A client.
pub(crate) struct Client {
    pub(crate) way: Way,
    puppet: &'static Puppet,
    name: String,
    /// What it publishes under: a name for channels and the like that no other client has.
    pub(crate) slug: String,
}

/// A client's command is refused, by the server or by the library itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// None where the library has no number for it.
    pub(crate) code: Option<u64>,
    pub(crate) message: String,
}

impl Client {
    /// A client of a server, with these fields of the command `create`: `token`, `tokens`, and `data` to connect with.
    pub(crate) fn new(way: Way, address: SocketAddr, options: &Value) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let client = Self {
            way,
            puppet: Puppet::of(way.sdk),
            name: format!("{way} #{number}"),
            slug: format!("{}-{number}", way.to_string().replace(' ', "-")),
        };
        let mut fields = options.clone();
        fields["transport"] = way.transport.into();
        fields["encoding"] = way.encoding.name().into();
        fields["address"] = address.to_string().into();
        client.done("create", fields);
        client
    }

    /// Has it do something.
    pub(crate) fn ask(&self, what: &str, mut fields: Value) -> Result<Value, Refused> {
        fields["client"] = json!(self.name);
        fields["do"] = json!(what);
        let mut answer = self.puppet.ask(fields);
        match answer.get("error") {
            None => Ok(answer["result"].take()),
            Some(error) => Err(Refused {
                code: error["code"].as_u64(),
                message: error["message"].as_str().unwrap_or_default().to_owned(),
            }),
        }
    }

    /// The same, which must succeed.
    pub(crate) fn done(&self, what: &str, fields: Value) -> Value {
        self.ask(what, fields)
            .unwrap_or_else(|refused| panic!("{self}: {what}: {refused:?}"))
    }

    /// The same, which must be refused; the number of the error.
    pub(crate) fn refused(&self, what: &str, fields: Value) -> u64 {
        match self.ask(what, fields) {
            Err(Refused { code: Some(code), .. }) => code,
            other => panic!("{self}: {what}: {other:?}"),
        }
    }

    /// Connects, and waits for that; its id.
    pub(crate) fn connect(&self) -> String {
        self.done("connect", json!({}));
        self.connected()
    }

    /// Waits until it is connected; its id.
    pub(crate) fn connected(&self) -> String {
        self.expect("connected")["id"].as_str().unwrap().to_owned()
    }

    /// Subscribes to a channel, and waits for that; how.
    pub(crate) fn subscribe(&self, channel: &str) -> Value {
        self.done("subscribe", json!({"channel": channel}));
        self.expect_in("subscribed", channel)
    }

    /// Publishes JSON.
    pub(crate) fn publish(&self, channel: &str, data: &Value) {
        self.done("publish", json!({"channel": channel, "data": data}));
    }

    /// Waits for an event and takes it up; those before it stay.
    pub(crate) fn expect(&self, event: &str) -> Value {
        self.expect_where(event, |_| true)
    }

    /// Waits for an event of a channel.
    pub(crate) fn expect_in(&self, event: &str, channel: &str) -> Value {
        self.expect_where(event, |told| told["channel"] == channel)
    }

    /// Waits for an event of which something holds.
    pub(crate) fn expect_where(&self, event: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
        let found = self
            .puppet
            .next_event(&self.name, |told| told["event"] == event && is_wanted(told));
        found.unwrap_or_else(|| panic!("{self} was not told {event:?}, but {:#?}", self.left()))
    }

    /// The data of as many publications of a channel, as they come.
    pub(crate) fn take_data(&self, event: &str, channel: &str, count: usize) -> Vec<Value> {
        let next = |_| self.expect_in(event, channel)["data"].take();
        (0..count).map(next).collect()
    }

    /// What it was told and nobody has taken up.
    pub(crate) fn left(&self) -> Vec<Value> {
        self.puppet.left_of(&self.name)
    }

    /// Nobody has been told such an event that nobody has taken up.
    pub(crate) fn assert_not_told(&self, event: &str) {
        let left = self.left();
        assert!(
            left.iter().all(|told| told["event"] != event),
            "{self}: {left:#?}"
        );
    }
}

impl std::fmt::Display for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.done("disconnect", json!({}));
        }
    }
}

/// Has all clients do the same at the same time.
pub(crate) fn together(clients: &[Client], act: impl Fn(&Client) + Sync) {
    thread::scope(|scope| {
        let act = &act;
        for client in clients {
            let thread = thread::Builder::new().name(client.name.clone());
            thread.spawn_scoped(scope, move || act(client)).unwrap();
        }
    });
}
