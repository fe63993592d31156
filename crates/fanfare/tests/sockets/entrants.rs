//! What the application sees of those who ask to be let in, and of their requests later, over real sockets.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};

use axum::http::HeaderName;
use fanfare::{
    Admission, Application, Caller, Denial, Dialect, DoorLimits, Entrant, Hooks, Identity, Leaves, Listed,
    Options, TopicName, TopicRule, TopicRules, UserName, Who,
};
use serde_json::{Value, json};

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

    async fn subscribe(&self, caller: &Caller, _: &[TopicName], _: Option<&str>) -> Result<Leaves, Denial> {
        self.callers.lock().unwrap().push(caller.clone());
        Ok(Leaves::default())
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

/// An application whose tokens are the names of its users, and that makes nobody of everyone who says `forget`.
struct Forgetful;

impl Hooks for Forgetful {
    async fn authenticate(&self, token: &str) -> Result<Admission, Denial> {
        match token {
            "mallory" => Err(Denial::unauthenticated("who is that?")),
            name => Ok(Admission {
                identity: Arc::new(Identity::of_user(UserName::parse(name).unwrap())),
                ..Admission::default()
            }),
        }
    }

    async fn connect(
        &self,
        entrant: &Entrant,
        admission: Option<Admission>,
    ) -> Result<Option<Admission>, Denial> {
        let name = entrant.greeting.as_ref().map(|greeting| &*greeting.name);
        Ok(admission.filter(|_| name != Some("forget")))
    }
}

fn knock(server: &Server, lines: &[&str]) -> Client {
    let mut client = Client::connect(server.address);
    client.send(upgrade_request("/connection/websocket", lines).as_bytes());
    assert_eq!(client.response().map(|response| response.status), Some(101));
    client
}

#[test]
fn whom_the_application_makes_nobody_is_let_in_only_where_such_may() {
    for anonymous in [true, false] {
        let server = Server::with(Options {
            anonymous,
            is_development: false,
            application: Some(Application::new(Forgetful)),
            ..options()
        });
        for (lines, connect) in [
            (&["Authorization: Bearer ada"][..], json!({"name": "forget"})),
            (&[], json!({"name": "forget", "token": "ada"})),
        ] {
            let mut client = knock(&server, lines);
            client.send_json(json!({"id": 1, "connect": connect}));
            if anonymous {
                assert!(client.json()["connect"].is_object());
                let page = server
                    .runtime
                    .block_on(server.fanfare.connections(Listed::All, 0, 10));
                assert_eq!(page.unwrap().connections[0].user, None);
            } else {
                assert_eq!(client.ending().code, 3501);
            }
            drop(client);
            server.assert_empty();
        }
    }
}

#[test]
fn who_guesses_tokens_in_its_hello_is_not_listened_to_for_a_while() {
    let server = Server::with(Options {
        is_development: false,
        trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()],
        door: DoorLimits {
            refused_tokens_per_address: NonZeroU32::new(4),
            connections_per_address_max: None,
            ..DoorLimits::default()
        },
        application: Some(Application::new(Forgetful)),
        ..options()
    });
    // They came before anybody guessed.
    let mut clients: Vec<Client> = (0..20)
        .map(|_| knock(&server, &["X-Forwarded-For: 192.0.2.1"]))
        .collect();
    let codes: Vec<u64> = clients
        .iter_mut()
        .map(|client| {
            client.send_json(json!({"id": 1, "connect": {"token": "mallory"}}));
            let frame = client.message().unwrap();
            match serde_json::from_slice::<Value>(&frame.payload) {
                Ok(answer) => answer["error"]["code"].as_u64().unwrap(),
                Err(_) => u64::from(u16::from_be_bytes([frame.payload[0], frame.payload[1]])),
            }
        })
        .collect();
    assert_eq!(codes[..4], [3500; 4], "{codes:?}");
    assert!(codes.contains(&111), "its tokens are not looked at: {codes:?}");
}
