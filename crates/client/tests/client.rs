//! The client against servers that play a written part each, over real sockets.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where something unexpected happens, helpers included"
)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use fanfare_client::{Client, ConnectOptions, Error, HandshakeError, Push, TokenSource};
use serde_json::{Value, json};
use tungstenite::protocol::CloseFrame;
use tungstenite::{Message, WebSocket};

/// The server's end of one connection.
struct Peer(WebSocket<TcpStream>);

impl Peer {
    fn says(&mut self, value: Value) {
        self.0.send(Message::text(value.to_string())).unwrap();
    }

    fn hears(&mut self) -> Value {
        match self.0.read().unwrap() {
            Message::Text(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("expected text, heard {other:?}"),
        }
    }

    fn hears_close(&mut self) -> u16 {
        match self.0.read().unwrap() {
            Message::Close(Some(frame)) => frame.code.into(),
            other => panic!("expected a close frame, heard {other:?}"),
        }
    }

    fn welcomes(&mut self) {
        self.says(json!({"type": "welcome", "connection": "c", "ping_interval_ms": 25000, "pong_timeout_ms": 10000}));
    }

    /// Answers a subscription to one topic with a position.
    fn subscribes(&mut self, epoch: &str, offset: u64) {
        let command = self.hears();
        assert_eq!(command["type"], "subscribe");
        let first = &command["topics"][0];
        let topic = first.get("topic").unwrap_or(first);
        let topics = json!([{"topic": topic, "epoch": epoch, "offset": offset}]);
        self.says(json!({"type": "subscribed", "id": command["id"], "topics": topics}));
    }

    fn publishes(&mut self, topic: &str, offset: u64) {
        self.says(
            json!({"type": "message", "topic": topic, "offset": offset, "time": 1, "data": {"n": offset}}),
        );
    }

    fn closes(&mut self, code: u16) {
        self.0
            .close(Some(CloseFrame {
                code: code.into(),
                reason: "because".into(),
            }))
            .unwrap();
        while self.0.read().is_ok() {}
    }

    fn stays_until_the_client_leaves(&mut self) {
        while self.0.read().is_ok() {}
    }
}

/// What a server does with one connection.
type Part = Box<dyn FnOnce(&mut Peer) + Send>;

/// A server that plays one part per connection; its URL, and the thread that tells whether all went as written.
fn server(parts: Vec<Part>) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/ws", listener.local_addr().unwrap());
    let thread = thread::spawn(move || {
        for part in parts {
            let (stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            part(&mut Peer(tungstenite::accept(stream).unwrap()));
        }
    });
    (url, thread)
}

/// A server with a single part.
fn serving(part: impl FnOnce(&mut Peer) + Send + 'static) -> (String, JoinHandle<()>) {
    server(vec![Box::new(part)])
}

/// A server that sends `answer` to the first bytes it reads, and then nothing more.
fn answering(answer: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/ws", listener.local_addr().unwrap());
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]).unwrap();
        stream.write_all(answer.as_bytes()).unwrap();
        let _ = stream.read(&mut [0; 1]);
    });
    url
}

/// Options that do not keep a test waiting.
fn quick() -> ConnectOptions {
    ConnectOptions {
        reconnect_delay_min: Duration::from_millis(10),
        ..ConnectOptions::default()
    }
}

async fn connected(url: &str) -> Client {
    let mut client = Client::connect(url, quick()).await.unwrap();
    assert!(matches!(client.next().await, Some(Push::Welcome(_))));
    client
}

/// The next push in few words.
async fn told(client: &mut Client) -> String {
    match client.next().await {
        None => "nothing more".to_owned(),
        Some(Push::Publication(publication)) => format!("message {}", publication.offset.unwrap()),
        Some(Push::Missed { gap, .. }) => format!("missed {:?}", gap.count),
        Some(Push::Disconnected {
            reconnect_after: None,
            ..
        }) => "disconnected for good".to_owned(),
        Some(push) => format!("{push:?}").split(['(', ' ']).next().unwrap().to_owned(),
    }
}

#[tokio::test]
async fn subscribes_publishes_and_gets_publications() {
    let (url, server) = serving(|peer| {
        peer.welcomes();
        peer.subscribes("e", 6);
        let command = peer.hears();
        assert_eq!(
            command,
            json!({"type": "publish", "id": 2, "topic": "a", "data": {"x": [1]}})
        );
        peer.publishes("a", 7);
        peer.says(json!({"type": "published", "id": 2, "topic": "a", "epoch": "e", "offset": 7}));
        assert_eq!(peer.hears_close(), 1000);
        peer.stays_until_the_client_leaves();
    });
    let mut client = connected(&url).await;
    let subscribed = client.subscribe(&["a"]).await.unwrap();
    assert_eq!(subscribed[0].position.to_string(), "e:6");
    let published = client.publish("a", &json!({"x": [1]})).await.unwrap();
    assert_eq!(published.position.to_string(), "e:7");
    let Some(Push::Publication(publication)) = client.next().await else {
        panic!("no publication")
    };
    assert_eq!(publication.payload.as_text(), "{\"n\":7}");
    client.close().await;
    server.join().unwrap();
}

#[tokio::test]
async fn a_refused_command_tells_why() {
    let (url, _server) = serving(|peer| {
        peer.welcomes();
        let id = peer.hears()["id"].clone();
        peer.says(
            json!({"type": "error", "id": id, "code": "forbidden", "message": "no", "temporary": false}),
        );
        peer.stays_until_the_client_leaves();
    });
    let client = connected(&url).await;
    match client.publish("a", "x").await {
        Err(Error::Refused(refusal)) => assert_eq!(refusal.code, "forbidden"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn pings_are_answered() {
    let (url, server) = serving(|peer| {
        peer.welcomes();
        peer.0.send(Message::Ping("are you there".into())).unwrap();
        assert_eq!(peer.0.read().unwrap(), Message::Pong("are you there".into()));
    });
    let _client = connected(&url).await;
    tokio::task::spawn_blocking(|| server.join().unwrap())
        .await
        .unwrap();
}

#[tokio::test]
async fn after_a_break_it_subscribes_again_and_tells_what_was_missed() {
    let (url, _server) = server(vec![
        Box::new(|peer| {
            peer.welcomes();
            peer.subscribes("e", 6);
            peer.publishes("a", 7);
        }),
        Box::new(|peer| {
            peer.welcomes();
            peer.subscribes("e", 9);
            peer.publishes("a", 10);
            peer.stays_until_the_client_leaves();
        }),
    ]);
    let mut client = connected(&url).await;
    client.subscribe(&["a"]).await.unwrap();
    for expected in [
        "message 7",
        "Disconnected",
        "Welcome",
        "Subscribed",
        "missed Some(2)",
        "message 10",
    ] {
        assert_eq!(told(&mut client).await, expected);
    }
}

#[tokio::test]
async fn the_ranges_of_close_codes_decide_whether_it_comes_back() {
    let (url, server) = server(vec![
        Box::new(|peer| {
            peer.welcomes();
            peer.closes(4001);
        }),
        Box::new(|peer| {
            peer.welcomes();
            peer.closes(4500);
        }),
    ]);
    let mut client = connected(&url).await;
    for expected in ["Disconnected", "Welcome", "disconnected for good", "nothing more"] {
        assert_eq!(told(&mut client).await, expected);
    }
    assert!(matches!(client.publish("a", "x").await, Err(Error::Ended)));
    server.join().unwrap();
}

#[tokio::test]
async fn a_goodbye_says_when_to_come_back() {
    let (url, _server) = server(vec![
        Box::new(|peer| {
            peer.welcomes();
            let goodbye = json!({"type": "goodbye", "code": 1012, "reason": "restart", "reconnect": true});
            let mut goodbye = goodbye.as_object().unwrap().clone();
            goodbye.insert("reconnect_after_ms".to_owned(), 400.into());
            peer.says(Value::Object(goodbye));
            peer.closes(1012);
        }),
        Box::new(|peer| {
            peer.welcomes();
            peer.stays_until_the_client_leaves();
        }),
    ]);
    let mut client = connected(&url).await;
    assert_eq!(told(&mut client).await, "Goodbye");
    let disconnected_at = Instant::now();
    match client.next().await {
        Some(Push::Disconnected { reconnect_after, .. }) => {
            assert_eq!(reconnect_after, Some(Duration::from_millis(400)));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(told(&mut client).await, "Welcome");
    assert!(
        disconnected_at.elapsed() >= Duration::from_millis(300),
        "{:?}",
        disconnected_at.elapsed()
    );
}

#[tokio::test]
async fn a_command_whose_connection_ends_is_told_so() {
    let (url, _server) = serving(|peer| {
        peer.welcomes();
        peer.hears();
    });
    let client = connected(&url).await;
    assert!(matches!(client.publish("a", "x").await, Err(Error::Lost)));
}

#[tokio::test]
async fn a_command_without_a_reply_ends_in_time() {
    let (url, _server) = serving(|peer| {
        peer.welcomes();
        peer.stays_until_the_client_leaves();
    });
    let options = ConnectOptions {
        command_timeout: Duration::from_millis(50),
        ..quick()
    };
    let client = Client::connect(&url, options).await.unwrap();
    assert!(matches!(
        client.commands().ping().await,
        Err(Error::CommandTimeout(_))
    ));
}

#[tokio::test]
async fn a_command_during_a_break_waits_for_the_next_connection() {
    let (url, _server) = server(vec![
        Box::new(Peer::welcomes),
        Box::new(|peer| {
            peer.welcomes();
            let id = peer.hears()["id"].clone();
            peer.says(json!({"type": "pong", "id": id, "time": 42}));
            peer.stays_until_the_client_leaves();
        }),
    ]);
    let mut client = connected(&url).await;
    assert_eq!(told(&mut client).await, "Disconnected");
    assert_eq!(client.commands().ping().await.unwrap(), Some(42));
}

#[tokio::test]
async fn what_the_dialect_does_not_allow_is_answered_with_a_close_code() {
    for (message, code) in [(Message::text("no json"), 1002), (Message::binary(vec![1]), 1003)] {
        let (url, server) = serving(move |peer| {
            peer.welcomes();
            peer.0.send(message).unwrap();
            assert_eq!(peer.hears_close(), code);
        });
        let mut client = connected(&url).await;
        assert_eq!(told(&mut client).await, "Disconnected");
        tokio::task::spawn_blocking(|| server.join().unwrap())
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_silent_server_is_given_up() {
    let (url, _server) = serving(|peer| {
        peer.says(json!({"type": "welcome", "connection": "c", "ping_interval_ms": 1, "pong_timeout_ms": 1}));
        peer.stays_until_the_client_leaves();
    });
    let mut client = connected(&url).await;
    match client.next().await {
        Some(Push::Disconnected { reason, .. }) => assert!(reason.contains("silent"), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_slow_program_gets_everything_in_order() {
    let (url, _server) = serving(|peer| {
        peer.welcomes();
        peer.subscribes("e", 0);
        (1..=200).for_each(|offset| peer.publishes("a", offset));
        peer.stays_until_the_client_leaves();
    });
    let mut client = Client::connect(
        &url,
        ConnectOptions {
            pushes_max: 1,
            ..quick()
        },
    )
    .await
    .unwrap();
    assert_eq!(told(&mut client).await, "Welcome");
    client.subscribe(&["a"]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    for offset in 1..=200 {
        assert_eq!(told(&mut client).await, format!("message {offset}"));
    }
}

#[tokio::test]
async fn a_program_that_only_asks_can_ignore_pushes() {
    let (url, _server) = serving(|peer| {
        peer.welcomes();
        (1..=50).for_each(|offset| peer.publishes("a", offset));
        let id = peer.hears()["id"].clone();
        peer.says(json!({"type": "pong", "id": id}));
        peer.stays_until_the_client_leaves();
    });
    let options = ConnectOptions {
        pushes_max: 1,
        ..quick()
    };
    let mut client = Client::connect(&url, options).await.unwrap();
    client.ignore_pushes();
    assert_eq!(client.commands().ping().await.unwrap(), None);
}

#[tokio::test]
async fn the_welcome_may_come_with_the_answer_to_the_upgrade() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/ws", listener.local_addr().unwrap());
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = vec![0; 4096];
        let read = stream.read(&mut request).unwrap();
        let request = String::from_utf8_lossy(&request[..read]).into_owned();
        let key = request
            .lines()
            .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))
            .unwrap();
        let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
        let mut answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: fanfare.json.v1\r\n\r\n"
        )
        .into_bytes();
        let welcome = br#"{"type":"welcome","connection":"c"}"#;
        answer.extend_from_slice(&[0x81, welcome.len() as u8]);
        answer.extend_from_slice(welcome);
        stream.write_all(&answer).unwrap();
        let _ = stream.read(&mut [0; 1]);
    });
    connected(&url).await;
}

#[tokio::test]
async fn a_first_attempt_that_fails_says_why() {
    let attempt = async |url: &str| {
        let options = ConnectOptions {
            connect_timeout: Duration::from_millis(200),
            ..quick()
        };
        Client::connect(url, options).await.err().unwrap()
    };
    #[cfg(not(feature = "tls"))]
    assert!(matches!(
        attempt("wss://127.0.0.1/").await,
        Error::Endpoint(fanfare_client::EndpointError::Tls(_))
    ));
    let url = answering("HTTP/1.1 404 Not Found\r\n\r\n".to_owned());
    assert!(matches!(
        attempt(&url).await,
        Error::Handshake(HandshakeError::Status { status: 404, .. })
    ));
    let url = answering("hello\r\n".to_owned());
    assert!(matches!(
        attempt(&url).await,
        Error::Handshake(HandshakeError::NotHttp)
    ));
    let url = answering(String::new());
    assert!(matches!(attempt(&url).await, Error::ConnectTimeout(_)));
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert!(matches!(attempt(&format!("ws://{unused}/")).await, Error::Io(_)));
}

/// A server that does something with the bytes of each connection, one after the other.
fn raw_server(parts: Vec<Box<dyn FnOnce(TcpStream) + Send>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/ws?token=in-the-url", listener.local_addr().unwrap());
    thread::spawn(move || {
        for part in parts {
            let (stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            part(stream);
        }
    });
    url
}

/// Answers the request with a status and header fields.
fn refuse(mut stream: TcpStream, answer: &str) {
    let _ = stream.read(&mut [0; 4096]).unwrap();
    stream.write_all(answer.as_bytes()).unwrap();
}

/// A WebSocket that has been welcomed.
fn welcome(stream: TcpStream) -> Peer {
    let mut peer = Peer(tungstenite::accept(stream).unwrap());
    peer.welcomes();
    peer
}

#[tokio::test]
async fn a_refused_handshake_says_when_to_come_back() {
    let answer =
        "HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nfull\n";
    let url = raw_server(vec![
        Box::new(|stream| drop(welcome(stream))),
        Box::new(|stream| refuse(stream, answer)),
        Box::new(|stream| welcome(stream).stays_until_the_client_leaves()),
    ]);
    let mut client = connected(&url).await;
    let mut disconnected_at = Instant::now();
    loop {
        match client.next().await {
            Some(Push::Disconnected {
                reason,
                reconnect_after: Some(after),
            }) if reason.contains("503") => {
                assert!(after >= Duration::from_secs(1), "{after:?}");
                assert!(after <= Duration::from_millis(1_500), "{after:?}");
                assert!(reason.contains("full"), "{reason}");
                disconnected_at = Instant::now();
            }
            Some(Push::Welcome(_)) => break,
            Some(Push::Disconnected { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(
        disconnected_at.elapsed() >= Duration::from_millis(900),
        "{:?}",
        disconnected_at.elapsed()
    );
}

#[tokio::test]
async fn a_connection_that_breaks_within_the_handshake_is_made_again() {
    let url = raw_server(vec![
        Box::new(|stream| drop(welcome(stream))),
        Box::new(|stream| refuse(stream, "HTTP/1.1 101 Switch")),
        Box::new(|stream| refuse(stream, "")),
        Box::new(|stream| welcome(stream).stays_until_the_client_leaves()),
    ]);
    let mut client = connected(&url).await;
    while told(&mut client).await != "Welcome" {}
}

#[tokio::test]
async fn a_refusal_that_no_token_changes_is_the_end() {
    for status in [
        "401 Unauthorized",
        "403 Forbidden",
        "404 Not Found",
        "426 Upgrade Required",
    ] {
        let url = raw_server(vec![
            Box::new(|stream| drop(welcome(stream))),
            Box::new(move |stream| refuse(stream, &format!("HTTP/1.1 {status}\r\n\r\n"))),
        ]);
        let options = ConnectOptions {
            token: Some("always.the.same".into()),
            ..quick()
        };
        let mut client = Client::connect(&url, options).await.unwrap();
        while client.next().await.is_some() {}
        let error = client.ended_by().unwrap();
        assert!(error.to_string().contains(&status[..3]), "{error}");
        let shown = format!("{client:?} {error:?} {error}");
        assert!(
            !shown.contains("always") && !shown.contains("in-the-url"),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn a_server_that_waits_for_a_token_is_shown_it_before_anything_else() {
    let waiting = |peer: &mut Peer| {
        peer.says(json!({"type": "welcome", "connection": "c", "auth_timeout_ms": 10000}));
        let command = peer.hears();
        assert_eq!(
            (&command["type"], &command["token"]),
            (&json!("auth"), &json!("a.b.c"))
        );
        peer.says(json!({"type": "authenticated", "id": command["id"], "user": "ada"}));
    };
    let (url, server) = server(vec![
        Box::new(move |peer| {
            waiting(peer);
            peer.subscribes("e", 0);
        }),
        Box::new(move |peer| {
            waiting(peer);
            peer.subscribes("e", 0);
            peer.publishes("a", 1);
            peer.stays_until_the_client_leaves();
        }),
    ]);
    let options = ConnectOptions {
        token: Some("a.b.c".into()),
        ..quick()
    };
    let mut client = Client::connect(&url, options).await.unwrap();
    client.subscribe(&["a"]).await.unwrap();
    while told(&mut client).await != "message 1" {}
    client.close().await;
    server.join().unwrap();
}

#[tokio::test]
async fn a_token_that_cannot_be_sent_is_refused_before_it_is() {
    for token in ["", "two words", "line\r\nX-Other: y"] {
        let options = ConnectOptions {
            token: Some(TokenSource::from(token)),
            ..quick()
        };
        let error = Client::connect("ws://127.0.0.1:9/", options).await.unwrap_err();
        assert!(matches!(error, Error::Token(_)), "{error}");
    }
}

#[tokio::test]
async fn a_client_gives_up_as_its_options_say() {
    let (url, _server) = serving(Peer::welcomes);
    let options = ConnectOptions {
        reconnect_attempts_max: Some(3),
        ..quick()
    };
    let mut client = Client::connect(&url, options).await.unwrap();
    while client.next().await.is_some() {}
    assert!(client.ended_by().unwrap().is_temporary());
}

/// The header of a frame of the server, whatever it says.
fn header(first: u8, length: u64) -> Vec<u8> {
    let mut header = vec![first, 127];
    header.extend_from_slice(&length.to_be_bytes());
    header
}

#[tokio::test]
async fn frames_that_lie_are_answered_with_a_close_code_and_cost_nothing() {
    let cases: [(&str, Vec<u8>, u16); 5] = [
        ("a length of exabytes", header(0x81, 1 << 62), 1009),
        ("a length beyond all", header(0x81, u64::MAX), 1002),
        ("a masked frame", vec![0x81, 0x80, 1, 2, 3, 4], 1002),
        ("a reserved opcode", vec![0x83, 0], 1002),
        ("text that is none", vec![0x81, 1, 0xff], 1007),
    ];
    for (what, bytes, code) in cases {
        let (url, server) = serving(move |peer| {
            peer.welcomes();
            peer.0.get_mut().write_all(&bytes).unwrap();
            assert_eq!(peer.hears_close(), code, "{what}");
        });
        let mut client = connected(&url).await;
        assert_eq!(told(&mut client).await, "Disconnected", "{what}");
        tokio::task::spawn_blocking(|| server.join().unwrap())
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_message_without_end_is_given_up_at_its_limit() {
    let (url, server) = serving(|peer| {
        peer.welcomes();
        let mut fragment = vec![0x01, 126, 4, 0];
        fragment.extend_from_slice(&[b'x'; 1024]);
        let mut written = 0;
        while peer.0.get_mut().write_all(&fragment).is_ok() {
            fragment[0] = 0;
            written += 1024;
            assert!(written < 64 << 20, "the client takes it all");
        }
    });
    let options = ConnectOptions {
        message_bytes_max: 100_000,
        ..quick()
    };
    let mut client = Client::connect(&url, options).await.unwrap();
    assert_eq!(told(&mut client).await, "Welcome");
    match client.next().await {
        Some(Push::Disconnected { reason, .. }) => assert!(reason.contains("WebSocket"), "{reason}"),
        other => panic!("{other:?}"),
    }
    tokio::task::spawn_blocking(|| server.join().unwrap())
        .await
        .unwrap();
}

#[tokio::test]
async fn what_comes_before_a_welcome_is_not_kept() {
    let (url, server) = serving(|peer| {
        for offset in 0.. {
            let publication = json!({"type": "message", "topic": "a", "offset": offset, "data": 1});
            if peer.0.send(Message::text(publication.to_string())).is_err() {
                return;
            }
        }
    });
    let error = Client::connect(&url, quick()).await.unwrap_err();
    assert!(matches!(error, Error::Malformed(_)), "{error}");
    tokio::task::spawn_blocking(|| server.join().unwrap())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_stream_is_bounded_however_much_comes() {
    let (url, _server) = serving(|peer| {
        peer.welcomes();
        peer.subscribes("e", 0);
        (1..=2000).for_each(|offset| peer.publishes("a", offset));
        let id = peer.hears()["id"].clone();
        peer.says(json!({"type": "pong", "id": id}));
        peer.stays_until_the_client_leaves();
    });
    let options = ConnectOptions {
        deliveries_max: 1000,
        delivery_bytes_max: 70,
        ..quick()
    };
    let client = Client::connect(&url, options).await.unwrap();
    let mut stream = client.subscription("a").await.unwrap();
    client.commands().ping().await.unwrap();
    let mut taken = 0;
    loop {
        match stream.next().await {
            Some(fanfare_client::Delivery::Publication(_)) => taken += 1,
            Some(fanfare_client::Delivery::Missed(gap)) => {
                assert_eq!(gap.count, Some(2000 - taken));
                assert_eq!(gap.offsets, Some(taken + 1..=2000));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!((1..=14).contains(&taken), "{taken} of at least five bytes");
}
