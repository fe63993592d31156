//! Clients of Centrifuge at the connect proxy: it is asked when they say `connect`, hears what they say, and its answer is theirs.

use fanfare::tokens::{Algorithm, SigningKey};
use serde_json::{Value, json};

use super::{TOKEN_SECRET, base, now, proxied, run};
use crate::backend::{Asked, Backend, Reply};
use crate::client::{Client, Ending, eventually, upgrade_request};
use crate::process::Server;

/// Options for these questions, of which connect is one.
pub(super) fn with_connect(backend: &Backend, more: &[&str]) -> Vec<String> {
    let connect = format!("--hook-connect-url={}/connect", base(backend));
    proxied(&base(backend), &[&[&*connect], more].concat())
}

/// A WebSocket that speaks Centrifuge's JSON, or what of it only receives.
pub(super) fn knock(server: &Server, path: &str, lines: &[&str]) -> Client {
    let mut client = Client::connect(server.address);
    client.send(upgrade_request(path, lines).as_bytes());
    let response = client.response().expect("an answer to the handshake");
    assert_eq!(
        response.status, 101,
        "nobody is refused before it has spoken: {response:?}"
    );
    client
}

/// Says connect; what it is answered.
pub(super) fn say_connect(client: &mut Client, connect: &Value) -> Value {
    client.ask(json!({"id": 1, "connect": connect}))
}

const WEBSOCKET: &str = "/connection/websocket";
const UNI: &str = "/connection/uni_websocket";

/// The end of somebody who says connect and is not let in.
fn end_of(server: &Server, path: &str, lines: &[&str]) -> Ending {
    let mut client = knock(server, path, lines);
    let connect = if path == UNI {
        json!({})
    } else {
        json!({"id": 1, "connect": {}})
    };
    client.send_json(connect);
    client.ending()
}

#[test]
fn a_connect_proxy_hears_what_a_client_says_and_answers_it() {
    let backend = Backend::start(|asked| {
        Reply::Json(match asked.target.as_str() {
            "/connect" => json!({"result": {"user": "ada", "data": {"hello": [1]}, "channels": ["gated:a"],
                "info": {"name": "Ada"}, "meta": {"plan": "gold"}}}),
            "/call" => json!({"result": {"data": 2}}),
            _ => json!({"result": {}}),
        })
    });
    let more = [
        "--hook-header=Cookie",
        "--hook-header=X-Tenant",
        "--hook-emulated-header=X-Tenant",
        "--hook-emulated-header=X-Device",
    ];
    run(&with_connect(&backend, &more), |server| {
        let before = backend.count();
        let lines = ["Cookie: session=7", "X-Tenant: red", "X-Other: 1"];
        let mut client = knock(server, WEBSOCKET, &lines);
        assert_eq!(backend.count(), before, "nobody is asked before it speaks");
        let connect = json!({"data": {"a": 1}, "name": "js", "version": "5.7", "subs": {"gated:a": {}, "$b": {}},
            "headers": {"x-tenant": "blue", "X-DEVICE": "phone", "Cookie": "session=8", "X-Secret": "1"}});
        let answer = say_connect(&mut client, &connect);
        let result = &answer["connect"];
        assert_eq!(result["data"], json!({"hello": [1]}), "{answer}");
        assert!(result["subs"]["gated:a"].is_object(), "{answer}");
        let reply = client.ask(json!({"id": 2, "subscribe": {"channel": "gated:b"}}));
        assert!(reply["subscribe"].is_object(), "{reply}");
        let reply = client.ask(json!({"id": 3, "rpc": {"method": "m", "data": 1}}));
        assert_eq!(reply["rpc"]["data"], 2, "{reply}");
        client.send_json(json!({"id": 4, "publish": {"channel": "gated:c", "data": 1}}));
        client.json();
        check_questions(&backend.asked()[before..], &result["client"]);
    });
}

/// What a backend was asked of a client: who may connect, and then what it may do.
fn check_questions(asked: &[Asked], client: &Value) {
    let targets: Vec<&str> = asked.iter().map(|asked| asked.target.as_str()).collect();
    assert_eq!(targets, ["/connect", "/subscribe", "/call", "/publish"]);
    let expected = json!({"client": client, "transport": "websocket", "protocol": "json", "encoding": "json",
        "data": {"a": 1}, "name": "js", "version": "5.7", "channels": ["$b", "gated:a"]});
    assert_eq!(asked[0].body, expected);
    for asked in asked {
        let header = |name: &str| asked.headers.get(name).map(String::as_str);
        let told = ["cookie", "x-tenant", "x-device", "x-other", "x-secret"].map(header);
        let expected = [Some("session=7"), Some("red"), Some("phone"), None, None];
        assert_eq!(told, expected, "{}", asked.target);
        assert_eq!(asked.body["client"], *client);
    }
}

#[test]
fn a_connect_proxys_no_is_the_clients_answer() {
    let backend = Backend::start(|asked| {
        let user = asked.headers.get("x-user").map_or("", String::as_str);
        Reply::Json(match (asked.target.as_str(), user) {
            ("/connect", "eve") => json!({"error": {"code": 412, "message": "not paid"}}),
            ("/connect", "late") => json!({"error": {"code": 503, "message": "later", "temporary": true}}),
            ("/connect", "over") => json!({"error": {"code": 109, "message": "over"}}),
            ("/connect", "bot") => json!({"disconnect": {"code": 4500, "reason": "no bots"}}),
            ("/connect", "bytes") => json!({"result": {"b64data": "AP8="}}),
            ("/connect", "nobody") => json!({}),
            _ => json!({"result": {"user": user}}),
        })
    });
    let rule = "--topic-rule={ pattern = \"*\", subscribe = \"anyone\" }";
    let more = ["--hook-header=X-User", "--open=false", rule];
    run(&with_connect(&backend, &more), |server| {
        for (who, code, message, temporary, uni) in [
            ("eve", 412, "not paid", Value::Null, 3004),
            ("late", 503, "later", json!(true), 3004),
            ("over", 109, "over", Value::Null, 3005),
        ] {
            let line = format!("X-User: {who}");
            let mut client = knock(server, WEBSOCKET, &[&line]);
            let answer = say_connect(&mut client, &json!({}));
            let error = &answer["error"];
            assert_eq!(
                (&error["code"], &error["message"], &error["temporary"]),
                (&json!(code), &json!(message), &temporary)
            );
            client.send_json(json!({"id": 2, "connect": {}}));
            assert_eq!(client.ending().code, 3501, "it is heard once");
            assert_eq!(end_of(server, UNI, &[&line]).code, uni, "{who}");
        }
        for (who, code, reason) in [
            ("bot", 4500, "no bots"),
            ("bytes", 3506, "inappropriate protocol"),
            ("nobody", 3501, "bad request"),
        ] {
            for path in [WEBSOCKET, UNI] {
                let ending = end_of(server, path, &[&format!("X-User: {who}")]);
                assert_eq!((ending.code, ending.reason.as_str()), (code, reason), "{who}");
            }
        }
    });
}

#[test]
fn nobody_in_particular_is_let_in_where_such_may() {
    let backend = Backend::start(|_| Reply::Json(json!({})));
    run(&with_connect(&backend, &["--anonymous"]), |server| {
        let mut client = knock(server, WEBSOCKET, &[]);
        let answer = say_connect(&mut client, &json!({}));
        assert!(answer["connect"].is_object(), "{answer}");
    });
}

#[test]
fn without_an_answer_a_client_is_to_come_again() {
    let backend = Backend::start(|asked| match asked.headers.get("x-slow") {
        Some(_) => Reply::Silence,
        None => Reply::Json(json!({"result": {"user": "ada"}})),
    });
    let more = [
        "--hook-header=X-Slow",
        "--hook-timeout=200ms",
        "--hook-breaker-failures=0",
    ];
    run(&with_connect(&backend, &more), |server| {
        let mut client = knock(server, WEBSOCKET, &["X-Slow: 1"]);
        let answer = say_connect(&mut client, &json!({}));
        assert_eq!(
            (&answer["error"]["code"], &answer["error"]["temporary"]),
            (&json!(100), &json!(true)),
            "{answer}"
        );
        assert_eq!(end_of(server, UNI, &["X-Slow: 1"]).code, 3004);
        let mut gone = knock(server, WEBSOCKET, &["X-Slow: 1"]);
        gone.send_json(json!({"id": 1, "connect": {}}));
        gone.reset();
        drop(client);
        let mut client = knock(server, WEBSOCKET, &[]);
        assert!(say_connect(&mut client, &json!({}))["connect"].is_object());
    });
}

#[test]
fn who_shows_a_token_is_not_asked_about() {
    let backend = Backend::start(|_| Reply::Json(json!({"result": {"user": "guest", "data": 1}})));
    let key = format!("--token-key=hs256:{TOKEN_SECRET}");
    let signing = SigningKey::new(None, Algorithm::Hs256, TOKEN_SECRET.as_bytes()).unwrap();
    let claims = json!({"sub": "ada", "exp": now() + 600});
    let token = signing.sign(claims.as_object().unwrap());
    run(&with_connect(&backend, &[&key]), |server| {
        let before = backend.count();
        let bearer = format!("Authorization: Bearer {token}");
        for (lines, connect) in [(&[][..], json!({"token": token})), (&[&*bearer][..], json!({}))] {
            let mut client = knock(server, WEBSOCKET, lines);
            let answer = say_connect(&mut client, &connect);
            assert_eq!(answer["connect"]["data"], Value::Null, "{answer}");
            assert_eq!(
                answer["connect"]["expires"],
                json!(true),
                "it is the client who renews it"
            );
        }
        assert_eq!(backend.count(), before);
        let mut forger = knock(server, WEBSOCKET, &[]);
        forger.send_json(json!({"id": 1, "connect": {"token": "x"}}));
        assert_eq!(forger.ending().code, 3500);
        assert_eq!(
            backend.count(),
            before,
            "a token that is none is no reason to ask"
        );
        let mut guest = knock(server, WEBSOCKET, &[]);
        assert_eq!(say_connect(&mut guest, &json!({}))["connect"]["data"], 1);
    });
}

/// The bound on connections by user holds for users whom the proxy names.
#[test]
fn whom_a_connect_proxy_names_counts_among_its_connections() {
    let backend = Backend::start(|_| Reply::Json(json!({"result": {"user": "ada"}})));
    let more = ["--connections-per-user-max=1"];
    run(&with_connect(&backend, &more), |server| {
        let mut first = knock(server, WEBSOCKET, &[]);
        assert!(say_connect(&mut first, &json!({}))["connect"].is_object());
        for path in [WEBSOCKET, UNI] {
            assert_eq!(end_of(server, path, &[]).code, 3504, "{path}");
        }
        drop(first);
        server.await_metrics(&[("fanfare_connections", 0)]);
        let mut third = knock(server, WEBSOCKET, &[]);
        assert!(say_connect(&mut third, &json!({}))["connect"].is_object());
    });
}

#[test]
fn a_proxy_is_told_how_a_client_came() {
    let backend = Backend::start(|_| Reply::Json(json!({"result": {"user": "ada"}})));
    run(&with_connect(&backend, &[]), |server| {
        for (path, content_type, body, transport, protocol) in [
            (
                "http_stream",
                "application/json",
                &b"{\"id\":1,\"connect\":{\"name\":\"js\"}}"[..],
                "http_stream",
                "json",
            ),
            (
                "http_stream",
                "application/octet-stream",
                b"\x08\x08\x01\x22\x04\x22\x02js",
                "http_stream",
                "protobuf",
            ),
            (
                "sse",
                "application/json",
                b"{\"id\":1,\"connect\":{\"name\":\"js\"}}",
                "sse",
                "json",
            ),
            (
                "uni_sse",
                "application/json",
                b"{\"name\":\"js\"}",
                "uni_sse",
                "json",
            ),
        ] {
            let before = backend.count();
            let mut client = Client::connect(server.address);
            let head = format!(
                "POST /connection/{path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            client.send(&[head.as_bytes(), body].concat());
            eventually("it is asked about", || backend.count() > before);
            let told = backend.asked()[before].body.clone();
            assert_eq!(
                (&told["transport"], &told["protocol"], &told["name"]),
                (&json!(transport), &json!(protocol), &json!("js")),
                "{path}"
            );
        }
    });
}
