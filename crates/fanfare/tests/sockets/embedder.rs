//! What the host's own middleware says about a client, whichever way the client comes; and what the host itself may.

use std::num::NonZeroU32;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use fanfare::{
    Admission, ClientAddress, Delivery, DoorLimits, Fanfare, Identity, Options, Payload, TopicName,
    TopicRule, TopicRules, UserName, Who,
};
use serde_json::json;

use crate::client::{Client, Response as Answer, upgrade_request};
use crate::hosts::serve_opaque;
use crate::server::{Server, options};

fn header(request: &Request, name: &str) -> Option<String> {
    Some(request.headers().get(name)?.to_str().ok()?.to_owned())
}

/// Takes the user from a session, and the address from a proxy.
async fn session(mut request: Request, next: Next) -> Response {
    let (user, address) = (header(&request, "x-session"), header(&request, "x-address"));
    if let Some(user) = user {
        let mut identity = Identity::of_user(UserName::parse(&user).unwrap());
        if user == "boss" {
            identity.grants.subscribe = vec!["inbox:*".parse().unwrap()];
        }
        let identity = Arc::new(identity);
        match header(&request, "x-topic") {
            Some(topic) => drop(request.extensions_mut().insert(Admission {
                identity,
                topics: vec![TopicName::parse(&topic).unwrap()],
                ..Admission::default()
            })),
            None => drop(request.extensions_mut().insert(identity)),
        }
    }
    if let Some(address) = address {
        request
            .extensions_mut()
            .insert(ClientAddress(address.parse().unwrap()));
    }
    next.run(request).await
}

fn application(fanfare: &Fanfare) -> Router {
    Router::new()
        .route("/ws", fanfare.websocket())
        .layer(from_fn(session))
}

/// Everyone has an inbox, and users a chat.
fn rules() -> TopicRules {
    TopicRules::from([
        TopicRule::new("inbox:{user}").unwrap().subscribe(Who::Users),
        TopicRule::new("chat")
            .unwrap()
            .subscribe(Who::Users)
            .publish(Who::Users),
    ])
}

fn strict() -> Options {
    Options {
        rules: Arc::new(rules()),
        is_development: false,
        ..options()
    }
}

/// The same application on axum's own listener, and over bridges.
fn either_way(options: &Options) -> [Server; 2] {
    let directly = Server::hosted(options.clone(), |fanfare, listener| async move {
        axum::serve(listener, application(&fanfare)).await.unwrap();
    });
    let bridged = Server::hosted(options.clone(), |fanfare, listener| async move {
        let service = application(&fanfare).into_service();
        serve_opaque(listener, service).await;
    });
    [directly, bridged]
}

fn knock(server: &Server, lines: &[&str]) -> (Answer, Client) {
    let mut client = Client::connect(server.address);
    client.send(upgrade_request("/ws", lines).as_bytes());
    (client.response().unwrap(), client)
}

fn enter(server: &Server, user: &str) -> Client {
    let (answer, mut client) = knock(server, &[&format!("X-Session: {user}")]);
    assert_eq!(answer.status, 101, "{answer:?}");
    client.expect("welcome");
    client
}

#[test]
fn who_the_middleware_says_it_is_decides_what_a_client_may() {
    for server in either_way(&strict()) {
        let (answer, _) = knock(&server, &[]);
        assert_eq!(answer.status, 401, "{answer:?}");
        let mut ada = enter(&server, "ada");
        let ask = |client: &mut Client, kind: &str, topic: &str| {
            let command = json!({"type": kind, "topic": topic, "data": 1, "id": 1});
            let reply = client.ask_past_messages(command);
            reply["code"].as_str().unwrap_or("done").to_owned()
        };
        assert_eq!(ask(&mut ada, "subscribe", "inbox:ada"), "done");
        assert_eq!(ask(&mut ada, "subscribe", "inbox:bob"), "forbidden");
        assert_eq!(ask(&mut ada, "subscribe", "else"), "forbidden");
        assert_eq!(ask(&mut ada, "publish", "inbox:ada"), "forbidden");
        assert_eq!(ask(&mut ada, "publish", "chat"), "done");
        let mut boss = enter(&server, "boss");
        assert_eq!(ask(&mut boss, "subscribe", "inbox:bob"), "done");
        assert_eq!(ask(&mut boss, "publish", "inbox:bob"), "forbidden");
    }
}

#[test]
fn what_the_middleware_lets_somebody_in_with_includes_topics() {
    for server in either_way(&strict()) {
        let (answer, mut ada) = knock(&server, &["X-Session: ada", "X-Topic: granted"]);
        assert_eq!(answer.status, 101, "{answer:?}");
        assert_eq!(ada.expect("welcome")["user"], "ada");
        assert_eq!(ada.expect("subscribed")["topics"][0]["topic"], "granted");
    }
}

#[test]
fn what_a_client_says_itself_is_not_believed_before_the_middleware() {
    for server in either_way(&strict()) {
        let mut consumer = server.runtime.block_on(server.fanfare.subscribe("chat")).unwrap();
        let lines = ["X-Session: ada", "Authorization: Bearer mallory"];
        let (answer, mut client) = knock(&server, &lines);
        assert_eq!(answer.status, 101, "{answer:?}");
        client.expect("welcome");
        client.ask(json!({"type": "publish", "topic": "chat", "data": 1, "id": 1}));
        let Some(Delivery::Publication(said)) = server.runtime.block_on(consumer.next()) else {
            panic!("it was published");
        };
        let user = said.draft.from.as_ref().unwrap().user.as_ref().unwrap();
        assert_eq!(user.as_str(), "ada");
        let mut forger = Client::connect(server.address);
        forger.send(upgrade_request("/ws?user=ada", &[]).as_bytes());
        assert_eq!(forger.response().unwrap().status, 403);
    }
}

#[test]
fn the_address_that_the_middleware_gives_is_counted() {
    let options = Options {
        door: DoorLimits {
            connections_per_address_max: NonZeroU32::new(1),
            ..DoorLimits::default()
        },
        ..strict()
    };
    for server in either_way(&options) {
        let from = |address: &str| {
            let (answer, client) = knock(&server, &["X-Session: ada", &format!("X-Address: {address}")]);
            (answer.status, client)
        };
        let first = from("192.0.2.1:1");
        assert_eq!(first.0, 101);
        assert_eq!(from("192.0.2.1:2").0, 429);
        assert_eq!(from("192.0.2.2:1").0, 101);
        drop(first);
        server.assert_empty();
        assert_eq!(from("192.0.2.1:3").0, 101, "its place is free again");
    }
}

#[test]
fn rules_bind_clients_and_not_the_host() {
    let server = Server::with(Options {
        rules: Arc::default(),
        ..options()
    });
    let (mut client, _) = Client::open_json(server.address, "/ws?user=ada");
    for kind in ["subscribe", "publish"] {
        let reply = client.ask(json!({"type": kind, "topic": "a", "data": 1, "id": 1}));
        assert_eq!(reply["code"], "forbidden", "{reply}");
    }
    server.runtime.block_on(async {
        let mut consumer = server.fanfare.subscribe("a").await.unwrap();
        let position = server.fanfare.publish("a", Payload::text("x")).await.unwrap();
        match consumer.next().await {
            Some(Delivery::Publication(publication)) => assert_eq!(publication.position, position),
            other => panic!("{other:?}"),
        }
    });
}
