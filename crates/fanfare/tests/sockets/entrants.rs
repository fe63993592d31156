//! What the application sees of those who ask to be let in, and of their requests later, over real sockets.

use std::sync::{Arc, Mutex};

use axum::http::HeaderName;
use fanfare::{
    Admission, Application, Caller, Denial, Dialect, Entrant, Hooks, Options, TopicName, TopicRule,
    TopicRules, Who,
};
use serde_json::json;

use crate::client::{Client, upgrade_request};
use crate::server::{Server, options};

/// An application that remembers what it saw.
#[derive(Clone, Default)]
struct Watcher {
    entrants: Arc<Mutex<Vec<Entrant>>>,
    callers: Arc<Mutex<Vec<Caller>>>,
}

impl Hooks for Watcher {
    async fn connect(
        &self,
        entrant: &Entrant,
        admission: Option<Admission>,
    ) -> Result<Option<Admission>, Denial> {
        self.entrants.lock().unwrap().push(entrant.clone());
        Ok(admission)
    }

    async fn subscribe(&self, caller: &Caller, _: &[TopicName], _: Option<&str>) -> Result<(), Denial> {
        self.callers.lock().unwrap().push(caller.clone());
        Ok(())
    }
}

impl Watcher {
    fn serve(&self, kept: &[&'static str], emulated: &[&'static str]) -> Server {
        let names = |names: &[&'static str]| -> Vec<_> {
            names.iter().copied().map(HeaderName::from_static).collect()
        };
        let rule = TopicRule::new("*").unwrap().subscribe(Who::Hook);
        Server::with(Options {
            anonymous: true,
            application: Some(Application::new(self.clone())),
            kept_headers: names(kept),
            emulated_headers: names(emulated),
            rules: TopicRules::from([rule]).into(),
            ..options()
        })
    }
}

fn enter(server: &Server, path: &str) -> Client {
    let mut client = Client::connect(server.address);
    client.send(upgrade_request(path, &["X-Tenant: red", "X-Other: 1"]).as_bytes());
    let response = client.response().expect("an answer to the handshake");
    assert_eq!(response.status, 101, "{response:?}");
    client
}

fn names(entrant: &Entrant) -> Vec<&str> {
    let mut names: Vec<_> = entrant.headers.keys().map(HeaderName::as_str).collect();
    names.retain(|name| name.starts_with("x-"));
    names.sort_unstable();
    names
}

#[test]
fn who_speaks_first_is_seen_with_what_it_says_and_then_as_far_as_is_kept() {
    let watcher = Watcher::default();
    let server = watcher.serve(&["x-tenant", "x-device"], &["x-device"]);
    let mut client = enter(&server, "/connection/websocket");
    assert!(watcher.entrants.lock().unwrap().is_empty(), "it has not spoken");
    let headers = json!({"X-Device": "phone", "X-Tenant": "blue", "X-Secret": "1"});
    let answer = client.ask(json!({"id": 1, "connect": {"name": "js", "data": [1], "headers": headers}}));
    let connection = answer["connect"]["client"].as_str().unwrap().to_owned();
    {
        let entrants = watcher.entrants.lock().unwrap();
        let [entrant] = &entrants[..] else {
            panic!("{entrants:?}");
        };
        assert_eq!(names(entrant), ["x-device", "x-other", "x-tenant"]);
        assert_eq!(entrant.headers["x-tenant"], "red");
        let greeting = entrant.greeting.as_ref().unwrap();
        assert_eq!(
            (&*greeting.name, greeting.data.as_ref().unwrap().as_bytes()),
            ("js", &b"[1]"[..])
        );
        let id = entrant.connection.unwrap();
        assert_eq!(fanfare::centrifuge::client_of(id), connection);
    }
    client.ask(json!({"id": 2, "subscribe": {"channel": "a"}}));
    let callers = watcher.callers.lock().unwrap();
    let kept = callers[0].entrant.as_ref().unwrap();
    assert_eq!(names(kept), ["x-device", "x-tenant"]);
    assert_eq!((kept.headers.len(), kept.greeting.is_none()), (2, true));
    assert_eq!(callers[0].dialect, Dialect::CentrifugeJson);
    drop((callers, client));
    server.assert_empty();
}

#[test]
fn who_is_greeted_is_seen_at_the_door_and_then_as_far_as_is_kept() {
    let watcher = Watcher::default();
    let server = watcher.serve(&["x-tenant"], &[]);
    let mut client = enter(&server, "/ws");
    {
        let entrants = watcher.entrants.lock().unwrap();
        assert_eq!((entrants.len(), entrants[0].greeting.is_none()), (1, true));
        assert_eq!(entrants[0].connection, None);
    }
    client.expect("welcome");
    client.subscribe(&["a"]);
    let callers = watcher.callers.lock().unwrap();
    assert_eq!(names(callers[0].entrant.as_ref().unwrap()), ["x-tenant"]);
    assert_eq!(callers[0].dialect, Dialect::Json);
    drop((callers, client));
    server.assert_empty();
}

#[test]
fn nothing_is_kept_of_a_request_where_no_header_is_named() {
    let watcher = Watcher::default();
    let server = watcher.serve(&[], &["x-device"]);
    let mut client = enter(&server, "/ws");
    client.expect("welcome");
    client.subscribe(&["a"]);
    let mut other = enter(&server, "/connection/websocket");
    other.ask(json!({"id": 1, "connect": {"headers": {"X-Device": "phone"}}}));
    other.ask(json!({"id": 2, "subscribe": {"channel": "a"}}));
    let callers = watcher.callers.lock().unwrap();
    let kept: Vec<bool> = callers.iter().map(|caller| caller.entrant.is_some()).collect();
    assert_eq!(kept, [false, false]);
    assert_eq!(
        names(&watcher.entrants.lock().unwrap()[1]),
        ["x-device", "x-other", "x-tenant"]
    );
    drop((callers, client, other));
    server.assert_empty();
}
