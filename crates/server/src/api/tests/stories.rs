//! What clients receive of what callers do, over real sockets.

use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use fanfare::ListenerOptions;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tungstenite::{Message, WebSocket};

use super::Stand;
use crate::options::ServeOptions;

/// A stand whose hub also listens.
pub(super) async fn listening() -> (Stand, SocketAddr) {
    let stand = Stand::start();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/ws", stand.fanfare.websocket());
    let fanfare = stand.fanfare.clone();
    tokio::spawn(async move {
        let forever = std::future::pending();
        fanfare
            .serve(listener, router, ListenerOptions::default(), forever)
            .await;
    });
    (stand, address)
}

/// A client of the `json` dialect.
pub(super) struct Client {
    socket: WebSocket<TcpStream>,
    connection: String,
}

impl Client {
    /// Connects and waits for its subscriptions.
    pub(super) fn connect(address: SocketAddr, query: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let (socket, _) = tungstenite::client(format!("ws://{address}/ws?{query}"), stream).unwrap();
        let mut client = Self {
            socket,
            connection: String::new(),
        };
        let welcome = client.hears();
        assert_eq!(welcome["type"], "welcome");
        client.connection = welcome["connection"].as_str().unwrap().to_owned();
        if query.contains("topic=") {
            assert_eq!(client.hears()["type"], "subscribed");
        }
        client
    }

    pub(super) fn says(&mut self, command: &Value) {
        self.socket.send(Message::text(command.to_string())).unwrap();
    }

    pub(super) fn hears(&mut self) -> Value {
        loop {
            match self.socket.read().unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The code and reason it is closed with.
    fn closes(&mut self) -> (u16, String) {
        loop {
            if let Message::Close(Some(frame)) = self.socket.read().unwrap() {
                return (frame.code.into(), frame.reason.to_string());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_receives_each_kind_of_body() {
    let (stand, address) = listening().await;
    let mut client = Client::connect(address, "topic=a");
    let calls = [
        (
            "?topic=a",
            "application/json; charset=utf-8",
            " {\"n\": 1.0} ",
            json!({"n": 1.0}),
        ),
        ("?topic=a", "application/json", "null", Value::Null),
        (
            "?topic=a",
            "application/x-www-form-urlencoded",
            "n=1",
            json!("n=1"),
        ),
        ("?topic=a", "", "{}", json!("{}")),
        ("?topic=a", "text/plain", "", json!("")),
        (
            "",
            "application/json",
            "{\"topic\":\"a\",\"data\":{\"n\":2}}",
            json!({"n": 2}),
        ),
        ("", "", "{\"topic\":\"a\",\"data\":null}", Value::Null),
        (
            "",
            "application/x-www-form-urlencoded",
            "{\"topics\":[\"a\"],\"data\":[]}",
            json!([]),
        ),
    ];
    for (at, (query, content_type, body, heard)) in calls.into_iter().enumerate() {
        stand
            .post(&format!("/api/publish{query}"), content_type, body)
            .await
            .done();
        let message = client.hears();
        assert_eq!(message["offset"], at + 1);
        assert_eq!(
            (&message["data"], &message["from"]),
            (&heard, &Value::Null),
            "{body}"
        );
    }
    stand
        .post("/api/publish?topic=a", "application/octet-stream", "\0x")
        .await
        .done();
    assert_eq!(client.hears()["data_base64"], "AHg=");
    stand
        .post_json("/api/publish", json!({"topic": "a", "data_base64": "AHg="}))
        .await
        .done();
    assert_eq!(client.hears()["data_base64"], "AHg=");
}

#[tokio::test]
async fn a_publication_is_answered_with_its_place() {
    let stand = Stand::start();
    let one = stand.post("/api/publish?topic=a", "", "x").await.done();
    assert_eq!((&one["topic"], &one["offset"]), (&json!("a"), &json!(1)));
    let several = stand
        .post("/api/publish?topic=a&topic=b%2Fc", "", "x")
        .await
        .done();
    let places = several["published"].as_array().unwrap();
    assert_eq!(
        places[0],
        json!({"topic": "a", "epoch": one["epoch"], "offset": 2})
    );
    assert_eq!(
        (&places[1]["topic"], &places[1]["offset"]),
        (&json!("b/c"), &json!(1))
    );
    let list = stand
        .post_json("/api/publish", json!({"topics": ["a"], "data": 1}))
        .await
        .done();
    assert_eq!(list["published"][0]["offset"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn everyone_a_user_or_one_connection_is_reached() {
    let (stand, address) = listening().await;
    let mut ana = Client::connect(address, "user=ana");
    let mut bob = Client::connect(address, "user=bob");
    let place = stand.post("/api/broadcast", "text/plain", "all").await.done();
    assert_eq!(place["topic"], "$all");
    stand
        .post("/api/broadcast", "", "{\"data\":\"all again\"}")
        .await
        .done();
    let place = stand.post("/api/send?user=bob", "", "to bob").await.done();
    assert_eq!(place["topic"], "$user:bob");
    let body = json!({"connection": bob.connection, "data": {"to": "one"}});
    let sent = stand.post_json("/api/send", body).await.done();
    assert_eq!(sent, json!({"connection": bob.connection}));
    for data in [json!("all"), json!("all again")] {
        assert_eq!(ana.hears()["data"], data);
    }
    // A connection's own lane is not in order with its topics.
    let mut heard: Vec<String> = (0..4).map(|_| bob.hears()["data"].to_string()).collect();
    heard.sort();
    assert_eq!(
        heard,
        [r#""all again""#, r#""all""#, r#""to bob""#, r#"{"to":"one"}"#]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_are_made_and_ended_for_clients() {
    let (stand, address) = listening().await;
    let mut ana = Client::connect(address, "user=ana");
    let named = json!({"user": "ana", "topics": ["a", "b"]});
    assert_eq!(
        stand.post_json("/api/subscribe", named.clone()).await.done(),
        json!({"connections": 1})
    );
    let subscribed = ana.hears();
    assert_eq!(
        (&subscribed["type"], &subscribed["topics"][1]["topic"]),
        (&json!("subscribed"), &json!("b"))
    );
    stand.post("/api/publish?topic=b", "", "x").await.done();
    assert_eq!(ana.hears()["topic"], "b");
    assert_eq!(
        stand.post_json("/api/unsubscribe", named).await.done(),
        json!({"connections": 1})
    );
    assert_eq!(ana.hears()["type"], "unsubscribed");
    let nobody = json!({"user": "nobody", "topic": "a"});
    assert_eq!(
        stand.post_json("/api/subscribe", nobody).await.done(),
        json!({"connections": 0})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_closed_with_what_the_caller_says() {
    let (stand, address) = listening().await;
    for (how, code, reason) in [
        (json!({}), 3500, "disconnected"),
        (json!({"reconnect": false}), 3500, "disconnected"),
        (json!({"reconnect": true}), 3006, "reconnect"),
        (json!({"code": 4000}), 4000, ""),
        (json!({"code": 4999, "reason": "banned"}), 4999, "banned"),
    ] {
        let mut client = Client::connect(address, "");
        let mut body = how;
        body["connection"] = json!(client.connection);
        assert_eq!(
            stand.post_json("/api/disconnect", body).await.done(),
            json!({"connections": 1})
        );
        assert_eq!(client.closes(), (code, reason.to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_and_connections_are_listed_in_pages() {
    let (stand, address) = listening().await;
    let clients: Vec<Client> = (0..5)
        .map(|at| Client::connect(address, &format!("topic=a&topic=b{at}&user=ana")))
        .collect();
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = stand
            .get(&format!("/api/connections?limit=2{cursor}"))
            .await
            .done();
        for row in page["connections"].as_array().unwrap() {
            assert_eq!(
                (&row["user"], &row["role"]),
                (&json!("ana"), &json!("subscriber"))
            );
            assert_eq!(row["topics"][0], "a");
            seen.push(row["connection"].as_str().unwrap().to_owned());
        }
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    seen.sort();
    let mut connected: Vec<_> = clients.iter().map(|client| client.connection.clone()).collect();
    connected.sort();
    assert_eq!(seen, connected);

    let (mut topics, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = stand.get(&format!("/api/topics?limit=2{cursor}")).await.done();
        let rows = page["topics"].as_array().unwrap();
        assert!(rows.len() == 2 || page["next"].is_null());
        topics.extend(rows.iter().map(|row| row["topic"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    topics.sort();
    assert_eq!(topics, ["a", "b0", "b1", "b2", "b3", "b4"]);
    let all = stand.get("/api/topics?reserved=true").await.done();
    let reserved = all["topics"].as_array().unwrap().iter();
    assert_eq!(
        reserved
            .filter(|row| row["topic"].as_str().unwrap().starts_with('$'))
            .count(),
        2
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_in_a_topic_is_listed() {
    let (stand, address) = listening().await;
    let mut clients = Vec::new();
    for user in ["&user=ada", "&user=ada", "&user=bob", ""] {
        clients.push(Client::connect(address, &format!("topic=a{user}")));
    }
    let (mut members, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = stand
            .get(&format!("/api/presence?topic=a&limit=3{cursor}"))
            .await
            .done();
        assert_eq!((&page["connections"], &page["users"]), (&json!(4), &json!(2)));
        members.extend(page["members"].as_array().unwrap().iter().cloned());
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    let named = |field: &str| -> Vec<Value> {
        let mut values: Vec<Value> = members.iter().map(|member| member[field].clone()).collect();
        values.sort_by_key(Value::to_string);
        values
    };
    assert_eq!(
        named("user"),
        [json!("ada"), json!("ada"), json!("bob"), Value::Null]
    );
    let mut connected: Vec<_> = clients.iter().map(|client| json!(client.connection)).collect();
    connected.sort_by_key(Value::to_string);
    assert_eq!(named("connection"), connected);
    let answer = stand.get("/api/presence?topic=unkept").await;
    assert_eq!(answer.verdict(), (404, json!("not_available")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_counters_count() {
    let (stand, address) = listening().await;
    let mut client = Client::connect(address, "topic=a");
    stand.post("/api/publish?topic=a", "", "x").await.done();
    assert_eq!(client.hears()["data"], "x");
    let body = json!({"connection": client.connection});
    stand.post_json("/api/disconnect", body).await.done();
    client.closes();
    let counted = || async { stand.get("/api/stats").await.done() };
    let mut stats = counted().await;
    for _ in 0..1_000 {
        if stats["disconnects"] != json!([]) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        stats = counted().await;
    }
    assert_eq!((&stats["shards"], &stats["deliveries"]), (&json!(2), &json!(1)));
    assert_eq!(stats["disconnects"], json!([{"code": 3500, "count": 1}]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_and_tags_travel_with_their_publication() {
    let (stand, address) = listening().await;
    let mut client = Client::connect(address, "topic=fx");
    let tags = json!({"desk": "london"});
    let body = json!({"topic": "fx", "key": "EURGBP", "tags": tags, "data": 0.9});
    stand.post_json("/api/publish", body).await.done();
    let message = client.hears();
    assert_eq!(
        (&message["key"], &message["tags"], &message["data"]),
        (&json!("EURGBP"), &tags, &json!(0.9))
    );
    let body = json!({"topic": "fx", "tags": {"": "x"}, "data": 0.9});
    let refused = stand.post_json("/api/publish", body).await;
    assert_eq!(refused.status, axum::http::StatusCode::BAD_REQUEST);
    let problem = refused.json.to_string();
    assert!(problem.contains("`tags`: a tag has no name"), "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_read_are_not_listed_as_behind() {
    let (stand, address) = listening().await;
    let _client = Client::connect(address, "topic=a");
    let listed = |answer: Value| answer["connections"].as_array().map(Vec::len);
    let all = stand.get("/api/connections").await.done();
    assert_eq!(
        (all["connections"][0]["missed"].clone(), listed(all)),
        (json!(0), Some(1))
    );
    let behind = stand.get("/api/connections?behind=true").await.done();
    assert_eq!(listed(behind), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_is_read_again_takes_effect() {
    let written = Arc::new(Mutex::new(ServeOptions::default()));
    let file = Arc::clone(&written);
    let stand = Stand::reading(move || Ok(file.lock().unwrap().clone()));
    let nothing = json!({"applied": [], "at_restart": []});
    assert_eq!(stand.post("/api/reload", "", "").await.done(), nothing);
    {
        let mut options = written.lock().unwrap();
        options.topic_rule = vec![r#"{ pattern = "x", publish = "nobody" }"#.parse().unwrap()];
        options.shards += 1;
    }
    let changed = json!({"applied": ["topic_rule"], "at_restart": ["shards"]});
    assert_eq!(stand.post("/api/reload", "", "").await.done(), changed);
    assert_eq!(stand.fanfare.rules().by_pattern.len(), 1);
    let still = json!({"applied": [], "at_restart": ["shards"]});
    assert_eq!(stand.post("/api/reload", "", "").await.done(), still);
    written.lock().unwrap().api_key = vec!["0123456789abcdef".parse().unwrap()];
    let keyed = json!({"applied": ["api_key"], "at_restart": ["shards"]});
    assert_eq!(stand.post("/api/reload", "", "").await.done(), keyed);
    assert_eq!(
        stand.get("/api/stats").await.verdict(),
        (401, json!("unauthorized")),
        "from now on the key is needed"
    );
}
