//! Row 54 in Centrifugo's words: hooks asked as its proxies are, and backends that are slow, dead or lying.

mod entry;
mod renewal;

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fanfare::centrifuge;
use fanfare::tokens::{Algorithm, SigningKey};
use serde_json::{Value, json};

use crate::backend::{Asked, Backend, Reply, SECRET, status};
use crate::client::{Client, Response, upgrade_request};
use crate::process::{Server, serve};
use crate::story::{Bystanders, story, story_with_log};

const TOKEN_SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Options for every question at `base` followed by its name.
fn proxied(base: &str, more: &[&str]) -> Vec<String> {
    let mut arguments: Vec<String> = [
        "--hook-format=centrifugo",
        "--topic-rule={ pattern = \"gated:*\", subscribe = \"hook\", publish = \"hook\" }",
        "--topic-rule={ pattern = \"%24*\" }",
        "--hook-secret",
        SECRET,
    ]
    .map(str::to_owned)
    .to_vec();
    for kind in ["subscribe", "publish", "call"] {
        arguments.push(format!("--hook-{kind}-url={base}/{kind}"));
    }
    arguments.extend(more.iter().map(|&more| more.to_owned()));
    if !more.iter().any(|more| more.starts_with("--hook-timeout")) {
        // Long enough for any machine: what is about time says so itself.
        arguments.push("--hook-timeout=30s".to_owned());
    }
    arguments
}

fn base(backend: &Backend) -> String {
    format!("http://{}", backend.address)
}

/// Runs a server on these arguments.
fn run(arguments: &[String], tell: impl Fn(&Server)) {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    story(&arguments, tell);
}

/// What a backend allows whatever it is asked.
fn allow() -> Reply {
    Reply::Json(json!({"result": {}}))
}

fn knock(server: &Server, lines: &[&str]) -> (Client, Response) {
    let mut client = Client::connect(server.address);
    client.send(upgrade_request("/ws", lines).as_bytes());
    let response = client.response().expect("an answer to the handshake");
    (client, response)
}

fn enter(server: &Server, lines: &[&str]) -> Client {
    let (mut client, response) = knock(server, lines);
    assert_eq!(response.status, 101, "{response:?}");
    client.expect("welcome");
    client
}

/// 200 with a text that says to be JSON, and the last on its connection.
fn last(text: &str) -> Vec<u8> {
    let length = text.len();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{text}"
    )
    .into_bytes()
}

/// Every question that a connection may have asked, as commands.
fn commands() -> [Value; 3] {
    [
        json!({"type": "subscribe", "topic": "gated:a", "id": 1}),
        json!({"type": "publish", "topic": "gated:a", "data": 1, "id": 1}),
        json!({"type": "call", "method": "m", "data": 1, "id": 1}),
    ]
}

fn assert_unavailable(reply: &Value) {
    assert_eq!(
        (
            &reply["type"],
            &reply["code"],
            &reply["temporary"],
            &reply["application_code"]
        ),
        (&json!("error"), &json!("unavailable"), &json!(true), &Value::Null),
        "{reply}"
    );
}

#[test]
fn a_backend_of_centrifugos_is_asked_in_its_words_and_decides() {
    let backend = Backend::start(|asked| {
        Reply::Json(match asked.target.as_str() {
            "/connect" => json!({"result": {"user": "ada", "info": {"name": "Ada"}, "meta": {"plan": "gold"},
                "channels": ["$vip"], "subs": {"gated:b": {}}, "data": {"hello": 1}}}),
            "/publish" => json!({"result": {"data": {"said": "***"}}}),
            "/call" => json!({"result": {"data": [1, 2]}}),
            _ => json!({"result": {}, "error": null}),
        })
    });
    let connect = format!("--hook-connect-url={}/connect", base(&backend));
    let more = [
        &*connect,
        "--hook-header=Cookie",
        "--hook-header=X-Tenant",
        "--hook-header=Content-Type",
    ];
    run(&proxied(&base(&backend), &more), |server| {
        let before = backend.count();
        let (mut ada, _) = knock(
            server,
            &[
                "Cookie: session=7",
                "X-Tenant: red",
                "Authorization: Bearer x",
                "Content-Type: text/evil",
            ],
        );
        let welcome = ada.expect("welcome");
        assert_eq!(welcome["user"], "ada");
        let granted: Vec<Value> = (ada.expect("subscribed")["topics"].as_array().unwrap().iter())
            .map(|topic| topic["topic"].clone())
            .collect();
        assert_eq!(granted, ["%24vip", "gated:b"]);
        let reply = ada.ask(json!({"type": "subscribe", "topic": "gated:a", "id": 1}));
        assert_eq!(reply["type"], "subscribed", "{reply}");
        ada.send_json(json!({"type": "publish", "topic": "gated:a", "data": {"said": "spam"}}));
        let message = ada.expect("message");
        assert_eq!(
            (&message["data"], &message["from"]["info"]),
            (&json!({"said": "***"}), &json!({"name": "Ada"}))
        );
        let reply = ada.ask(json!({"type": "call", "method": "sum", "data": "1+1", "id": 2}));
        assert_eq!(reply["data"], json!([1, 2]), "{reply}");
        let connection = welcome["connection"].as_str().unwrap().parse().unwrap();
        check_questions(&backend.asked()[before..], &centrifuge::client_of(connection));
    });
}

/// What a backend was asked: who may connect, and then what it may do.
fn check_questions(asked: &[Asked], client: &str) {
    let targets: Vec<&str> = asked.iter().map(|asked| asked.target.as_str()).collect();
    assert_eq!(targets, ["/connect", "/subscribe", "/publish", "/call"]);
    for asked in asked {
        assert!(asked.is_signed_with(SECRET), "{asked:?}");
        assert_eq!(asked.headers["content-type"], "application/json");
    }
    let headers = &asked[0].headers;
    assert_eq!((&*headers["cookie"], &*headers["x-tenant"]), ("session=7", "red"));
    assert_eq!(headers.get("authorization"), None, "it is not listed");
    let door = json!({"client": asked[0].body["client"], "transport": "websocket", "protocol": "json", "encoding": "json"});
    assert_eq!(asked[0].body, door);
    let told = |about: Value| {
        let mut told = json!({"client": client, "transport": "websocket", "protocol": "json", "encoding": "json",
            "user": "ada", "meta": {"plan": "gold"}});
        told.as_object_mut()
            .unwrap()
            .extend(about.as_object().unwrap().clone());
        told
    };
    assert_eq!(asked[1].body, told(json!({"channel": "gated:a"})));
    let about = json!({"channel": "gated:a", "data": {"said": "spam"}});
    assert_eq!(asked[2].body, told(about));
    let about = json!({"method": "sum", "data": "1+1"});
    assert_eq!(asked[3].body, told(about));
}

#[test]
fn a_backends_codes_reach_the_client_as_they_are() {
    let backend = Backend::start(|asked| {
        let user = asked.headers.get("x-user").map_or("", String::as_str);
        Reply::Json(match (asked.target.as_str(), user) {
            ("/connect", "eve") => json!({"error": {"code": 403, "message": "you are banned"}}),
            ("/connect", "bot") => json!({"disconnect": {"code": 4500, "reason": "no bots"}}),
            ("/connect", "late") => json!({"error": {"code": 503, "message": "later", "temporary": true}}),
            ("/connect", _) => json!({"result": {"user": user}}),
            ("/call", _) if asked.body["method"] == "close" => {
                json!({"disconnect": {"code": 4501, "reason": "banned"}, "error": {"code": 400}})
            }
            ("/publish", _) => json!({"error": {"code": 1000, "message": "slowly", "temporary": true}}),
            ("/subscribe", _) if asked.body["channel"] == "gated:silent" => json!({}),
            _ => json!({"result": {}, "error": {"code": 412, "message": "not paid"}}),
        })
    });
    let connect = format!("--hook-connect-url={}/connect", base(&backend));
    run(
        &proxied(&base(&backend), &[&connect, "--hook-header=X-User"]),
        |server| {
            for (who, status, words) in [
                ("eve", 403, "you are banned"),
                ("bot", 403, "no bots"),
                ("late", 503, "later"),
            ] {
                let (_, response) = knock(server, &[&format!("X-User: {who}")]);
                assert_eq!(response.status, status, "{who}");
                assert!(response.body.contains(words), "{response:?}");
            }
            let mut nobody = enter(server, &[]);
            let told = |reply: &Value| {
                ["code", "application_code", "message", "temporary"].map(|field| reply[field].clone())
            };
            let [subscribe, publish, call] = commands().map(|command| told(&nobody.ask(command)));
            let paid = [json!("forbidden"), json!(412), json!("not paid"), json!(false)];
            assert_eq!((&subscribe, &call), (&paid, &paid));
            assert_eq!(
                publish,
                [json!("unavailable"), json!(1000), json!("slowly"), json!(true)]
            );
            let reply = nobody.ask(json!({"type": "subscribe", "topic": "gated:silent", "id": 1}));
            assert_eq!(
                (&reply["code"], &reply["application_code"]),
                (&json!("forbidden"), &Value::Null),
                "who is not told yes is not allowed"
            );
            nobody.send_json(json!({"type": "call", "method": "close", "data": 1}));
            let ending = nobody.ending();
            assert_eq!((ending.code, ending.reason.as_str()), (4501, "banned"));
        },
    );
}

#[test]
fn all_of_several_channels_must_be_allowed() {
    let backend = Backend::start(|asked| match asked.body["channel"].as_str() {
        Some("gated:no") => Reply::Json(json!({"error": {"code": 403, "message": "no"}})),
        Some("gated:never") => Reply::Silence,
        _ => allow(),
    });
    run(&proxied(&base(&backend), &[]), |server| {
        let mut client = enter(server, &[]);
        let before = backend.count();
        let reply = client.ask(json!({"type": "subscribe", "topics": ["gated:a", "%24vip"], "id": 1}));
        assert_eq!(reply["code"], "forbidden", "the rules come first: {reply}");
        assert_eq!(backend.count(), before);
        let reply = client.ask(json!({"type": "subscribe", "topics": ["gated:a", "gated:b"], "id": 1}));
        assert_eq!(reply["type"], "subscribed", "{reply}");
        let mut channels: Vec<_> = backend.asked()[before..]
            .iter()
            .map(|asked| asked.body["channel"].as_str().unwrap().to_owned())
            .collect();
        channels.sort();
        assert_eq!(channels, ["gated:a", "gated:b"]);
        // One no is enough, and the others are not waited for.
        let topics = ["gated:c", "gated:never", "gated:no"];
        let reply = client.ask(json!({"type": "subscribe", "topics": topics, "id": 2}));
        assert_eq!(reply["application_code"], 403, "{reply}");
        server.await_metrics(&[("fanfare_hook_asking{hook=\"subscribe\"}", 0)]);
    });
}

#[test]
fn a_token_decides_where_a_backend_would_be_asked() {
    let backend = Backend::start(|asked| match asked.target.as_str() {
        "/connect" => Reply::Json(json!({"result": {"user": "guest"}})),
        _ => allow(),
    });
    let connect = format!("--hook-connect-url={}/connect", base(&backend));
    let key = format!("--token-key=hs256:{TOKEN_SECRET}");
    let signing = SigningKey::new(None, Algorithm::Hs256, TOKEN_SECRET.as_bytes()).unwrap();
    let token = |mut claims: Value| {
        claims["exp"] = json!(now() + 600);
        signing.sign(claims.as_object().unwrap())
    };
    let ada = token(json!({"sub": "ada", "meta": {"plan": "gold"}, "info": {"name": "Ada"}}));
    let for_channel = token(json!({"sub": "ada", "channel": "gated:a"}));
    run(&proxied(&base(&backend), &[&connect, &key]), |server| {
        let before = backend.count();
        let (mut client, _) = knock(server, &[&format!("Authorization: Bearer {ada}")]);
        assert_eq!(client.expect("welcome")["user"], "ada");
        let command = json!({"type": "subscribe", "topic": "gated:a", "token": for_channel, "id": 1});
        assert_eq!(client.ask(command)["type"], "subscribed");
        assert_eq!(backend.count(), before, "tokens decide alone");
        let reply = client.ask(json!({"type": "subscribe", "topic": "gated:b", "id": 2}));
        assert_eq!(reply["type"], "subscribed", "{reply}");
        let asked = backend.asked()[before].body.clone();
        assert_eq!(
            (&asked["user"], &asked["meta"]),
            (&json!("ada"), &json!({"plan": "gold"}))
        );
        let (mut guest, _) = knock(server, &[]);
        assert_eq!(guest.expect("welcome")["user"], "guest");
        let command = json!({"type": "subscribe", "topic": "%24vip", "id": 3});
        assert_eq!(guest.ask(command)["code"], "forbidden", "private is private");
    });
}

#[test]
fn a_backend_that_lies_has_not_answered() {
    let lies: Vec<(&str, Vec<u8>)> = vec![
        ("no JSON", last("internal-secret")),
        ("a list", last("[]")),
        ("in other words", last("{\"result\":true}")),
        ("a deep one", last(&"[".repeat(100_000))),
        ("a code of nobody", last("{\"error\":{\"code\":7}}")),
        (
            "a disconnect of the protocol",
            last("{\"disconnect\":{\"code\":3500}}"),
        ),
        (
            "an error",
            b"HTTP/1.1 500 E\r\nContent-Length: 15\r\nConnection: close\r\n\r\ninternal-secret".to_vec(),
        ),
        ("nothing", status("204 No Content")),
        ("the end", Vec::new()),
        (
            "half of one",
            b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"result\"".to_vec(),
        ),
        (
            "a huge one",
            b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n".to_vec(),
        ),
    ];
    let answers: Vec<Vec<u8>> = lies.iter().map(|(_, bytes)| bytes.clone()).collect();
    let next = Arc::new(AtomicUsize::new(0));
    let told = Arc::clone(&next);
    let backend = Backend::start(move |_| match answers.get(told.load(Ordering::SeqCst)) {
        Some(bytes) => Reply::Bytes(bytes.clone()),
        // It says to be something else, which nobody minds there.
        None => Reply::Bytes(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n{\"result\":{}}"
                .to_vec(),
        ),
    });
    let arguments = proxied(&base(&backend), &["--hook-breaker-failures=0"]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let tell = |server: &Server| {
        let mut client = enter(server, &[]);
        for (at, (what, _)) in lies.iter().enumerate() {
            next.store(at, Ordering::SeqCst);
            for command in commands() {
                let before = backend.count();
                let reply = client.ask(command);
                assert_unavailable(&reply);
                assert_eq!(backend.count(), before + 1, "{what} is not asked again");
            }
        }
        next.store(lies.len(), Ordering::SeqCst);
        assert_eq!(client.ask(commands()[0].clone())["type"], "subscribed");
    };
    story_with_log(
        &arguments,
        "info",
        |server, _| tell(server),
        |log| {
            assert!(log.contains("a hook has answered nonsense"), "{log}");
            assert!(!log.contains("internal-secret"), "{log}");
        },
    );
}

#[test]
fn a_slow_backend_is_not_waited_for_and_nobody_else_waits() {
    let backend = Backend::start(|_| Reply::Silence);
    let bounds = ["--hook-timeout=200ms", "--hook-breaker-failures=0"];
    run(&proxied(&base(&backend), &bounds), |server| {
        let mut bystanders = Bystanders::open(server);
        let mut client = enter(server, &[]);
        for command in commands() {
            let began = Instant::now();
            assert_unavailable(&client.ask(command));
            assert!(began.elapsed() >= Duration::from_millis(200));
            bystanders.assert_well();
        }
    });
}

#[test]
fn without_an_answer_nobody_is_let_in_but_with_a_token() {
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (silent, lying) = (
        Backend::start(|_| Reply::Silence),
        Backend::start(|_| Reply::Bytes(last("{\"result\":{\"user\":\"a b\"}}"))),
    );
    let key = format!("--token-key=hs256:{TOKEN_SECRET}");
    let signing = SigningKey::new(None, Algorithm::Hs256, TOKEN_SECRET.as_bytes()).unwrap();
    let claims = json!({"sub": "ada", "exp": now() + 600});
    let bearer = format!(
        "Authorization: Bearer {}",
        signing.sign(claims.as_object().unwrap())
    );
    for base in [base(&silent), base(&lying), format!("http://{dead}")] {
        let connect = format!("--hook-connect-url={base}/connect");
        let arguments = proxied(&base, &[&connect, &key, "--hook-timeout=200ms"]);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let server = Server::start_by(&mut serve(&arguments));
        let (_, response) = knock(&server, &[]);
        assert_eq!(response.status, 503, "{base}: {response:?}");
        drop(enter(&server, &[&bearer]));
    }
}

#[test]
fn a_dead_backend_is_left_alone() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let bounds = ["--hook-breaker-failures=3", "--hook-breaker-pause=1h"];
    let arguments = proxied(&format!("http://{address}"), &bounds);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let tell = |server: &Server| {
        let mut client = enter(server, &[]);
        for command in commands() {
            for _ in 0..3 {
                assert_unavailable(&client.ask(command.clone()));
            }
            let reply = client.ask(command);
            assert_unavailable(&reply);
            let retry_after_ms = reply["retry_after_ms"].as_u64().unwrap();
            assert!(retry_after_ms > 1_000, "it is not asked: {reply}");
        }
    };
    story_with_log(
        &arguments,
        "info",
        |server, _| tell(server),
        |log| assert!(log.contains("a hook does not answer"), "{log}"),
    );
}

/// Seconds since 1970.
fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.unwrap().as_secs()
}
