//! Row 54: hooks over HTTP, and backends that are slow, dead, lying or flooding. A question without an answer is refused,
//! only who waits for it waits, and nothing of the backend gets to a client.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::backend::{Asked, Backend, Reply, SECRET, ok, receive, status};
use crate::client::{Client, DEADLINE, Response, eventually, upgrade_request};
use crate::process::{PROMPT, Server, end_within, serve};
use crate::story::{Bystanders, rejections, story, story_with_log};

/// A rule that leaves topics to hooks.
const GATED: [&str; 2] = [
    "--topic-rule",
    r#"{ pattern = "gated:*", subscribe = "hook", publish = "hook", history = "hook" }"#,
];

/// What clients are told when there is no answer, whatever the reason.
const UNAVAILABLE: &str = "the application does not answer, try again later";

/// Options for hooks of every kind but connect at one URL.
fn hooked<'a>(url: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = GATED.to_vec();
    for kind in [
        "--hook-subscribe-url",
        "--hook-publish-url",
        "--hook-inspect-url",
        "--hook-call-url",
    ] {
        arguments.extend([kind, url]);
    }
    arguments.extend(["--hook-secret", SECRET]);
    arguments.extend(more);
    if !more.contains(&"--hook-timeout") {
        // Long enough for any machine: what is about time says so itself.
        arguments.extend(["--hook-timeout", "30s"]);
    }
    arguments
}

/// The counter of questions of a kind with an outcome.
fn questions(hook: &str, outcome: &str) -> String {
    format!("fanfare_hook_questions_total{{hook=\"{hook}\",outcome=\"{outcome}\"}}")
}

fn call(client: &mut Client, method: &str) -> Value {
    client.ask(json!({"type": "call", "method": method, "data": 1, "id": 7}))
}

/// A call that has no answer.
fn assert_unavailable(reply: &Value) {
    assert_eq!(
        (&reply["type"], &reply["code"], &reply["message"]),
        (&json!("error"), &json!("unavailable"), &json!(UNAVAILABLE)),
        "{reply}"
    );
}

/// The answer to a handshake with more header lines.
fn knock(address: SocketAddr, target: &str, lines: &[&str]) -> (Client, Response) {
    let mut client = Client::connect(address);
    client.send(upgrade_request(target, lines).as_bytes());
    let response = client.response().expect("an answer to the handshake");
    (client, response)
}

#[test]
fn a_backend_decides_who_connects_and_what_is_published_and_received() {
    let backend = Backend::start(|asked| {
        Reply::Json(match asked.body["hook"].as_str().unwrap() {
            "connect" => json!({"allow": {"user": "ada", "info": {"name": "Ada"}, "topics": ["granted"]}}),
            "publish" => json!({"allow": {"data": {"said": "***"}}}),
            "call" => json!({"allow": {"data": [1, 2], "subscribe": ["gated:by-call"]}}),
            _ => json!({"allow": {}}),
        })
    });
    let url = backend.url();
    let old = "the-secret-that-is-going";
    let arguments = hooked(
        &url,
        &[
            "--hook-connect-url",
            &url,
            "--hook-header",
            "X-Tenant",
            "--hook-header",
            "Authorization",
            "--hook-secret",
            old,
        ],
    );
    // The first client of a story is asked about, too.
    story(&arguments, |server| {
        let before = backend.count();
        // Without keys of tokens the server reads none: it is the backend's to read.
        let lines = ["X-Tenant: red", "Cookie: a=b", "Authorization: Bearer opaque"];
        let (mut client, _) = knock(server.address, "/ws?topic=gated:a", &lines);
        let welcome = client.expect("welcome");
        assert_eq!(welcome["user"], "ada");
        for topic in ["granted", "gated:a"] {
            assert_eq!(client.expect("subscribed")["topics"][0]["topic"], topic);
        }
        let reply =
            client.ask(json!({"type": "publish", "topic": "gated:a", "data": {"said": "spam"}, "id": 1}));
        let (message, reply) = if reply["type"] == "message" {
            (reply, client.expect("published"))
        } else {
            (client.expect("message"), reply)
        };
        assert_eq!(reply["offset"], 1);
        assert_eq!(message["data"], json!({"said": "***"}));
        assert_eq!(message["from"]["info"], json!({"name": "Ada"}), "{message}");
        // Replies have their own lane, so the result may overtake what says that it is subscribed.
        let first = client.ask(json!({"type": "call", "method": "join", "data": {"room": 1}, "id": 2}));
        let (result, subscribed) = if first["type"] == "result" {
            (first, client.expect("subscribed"))
        } else {
            (client.expect("result"), first)
        };
        assert_eq!(result["data"], json!([1, 2]));
        assert_eq!(subscribed["topics"][0]["topic"], "gated:by-call", "{subscribed}");

        check_questions(&backend.asked()[before..], &welcome["connection"]);
        for asked in &backend.asked()[before..] {
            assert_eq!(asked.target, "/hook");
            assert!(
                asked.is_signed_with(SECRET) && asked.is_signed_with(old),
                "{asked:?}"
            );
            assert!(!asked.is_signed_with("a-secret-of-nobody"));
        }
    });
}

/// What a backend was asked: who somebody is who may connect, and then what it may do.
fn check_questions(asked: &[Asked], connection: &Value) {
    let bodies: Vec<&Value> = asked.iter().map(|asked| &asked.body).collect();
    let identity = json!({"user": "ada", "info": {"name": "Ada"}});
    let hooks: Vec<&Value> = bodies.iter().map(|body| &body["hook"]).collect();
    assert_eq!(hooks, ["connect", "subscribe", "publish", "call"]);
    let client = &bodies[0]["client"];
    assert_eq!(
        (&client["target"], &client["headers"]),
        (
            &json!("/ws?topic=gated%3Aa"),
            &json!({"x-tenant": ["red"], "authorization": ["Bearer opaque"]})
        )
    );
    for body in &bodies[1..] {
        assert_eq!((&body["connection"], &body["identity"]), (connection, &identity));
    }
    assert_eq!(bodies[1]["topics"], json!(["gated:a"]));
    assert_eq!(
        (&bodies[2]["topic"], &bodies[2]["data"]),
        (&json!("gated:a"), &json!({"said": "spam"}))
    );
    assert_eq!(
        (&bodies[3]["method"], &bodies[3]["data"]),
        (&json!("join"), &json!({"room": 1}))
    );
}

#[test]
fn a_backend_decides_who_reads_history() {
    let backend = Backend::start(|asked| {
        Reply::Json(
            match (asked.body["hook"].as_str(), asked.body["topic"].as_str()) {
                (Some("subscribe"), _) | (_, Some("open:yes")) => json!({"allow": {}}),
                (_, Some("open:more")) => json!({"allow": {"subscribe": ["gated:by-inspect"]}}),
                (_, Some("open:close")) => json!({"close": {"code": 4900, "reason": "banned"}}),
                (_, Some("open:nonsense")) => json!({"allow": {"everything": true}}),
                _ => json!({"deny": {"message": "not yours to read"}}),
            },
        )
    });
    let url = backend.url();
    let open = r#"{ pattern = "open:*", subscribe = "anyone", publish = "anyone", history = "hook" }"#;
    let arguments = hooked(&url, &["--topic-rule", open, "--history-frames", "10"]);
    let tell = |server: &Server| {
        let (mut client, connection) = Client::open_json(server.address, "/ws");
        let mut read = |topic: &str| client.ask(json!({"type": "history", "topic": topic, "id": 1}));
        assert_eq!(read("open:yes")["messages"], json!([]));
        let asked = &backend.asked()[0];
        assert!(asked.is_signed_with(SECRET), "{asked:?}");
        let mut body = asked.body.clone();
        body["id"] = Value::Null;
        let expected = json!({"hook": "inspect", "id": null, "connection": connection, "identity": null,
            "action": "history", "topic": "open:yes"});
        assert_eq!(body, expected);
        let refused = read("open:no");
        assert_eq!(
            (&refused["code"], &refused["message"]),
            (&json!("forbidden"), &json!("not yours to read"))
        );
        assert_unavailable(&read("open:nonsense"));
        // Its yes to receiving is a yes to what was missed, and where receiving needs no yes nobody is asked.
        let before = backend.count();
        let mut come = |topic: &str| {
            let reply = client.ask(json!({"type": "subscribe", "topic": topic, "since": "other:5", "id": 2}));
            reply["topics"][0]["reason"].clone()
        };
        assert_eq!(come("gated:a"), "epoch_changed");
        assert_eq!(come("open:yes"), "forbidden");
        let asked: Vec<_> = backend.asked()[before..]
            .iter()
            .map(|asked| asked.body["hook"].clone())
            .collect();
        assert_eq!(asked, ["subscribe"]);
        client.send_json(json!({"type": "history", "topic": "open:more", "id": 3}));
        let mut kinds = [client.json(), client.json()].map(|said| said["type"].as_str().unwrap().to_owned());
        kinds.sort();
        assert_eq!(kinds, ["history", "subscribed"]);
        client.send_json(json!({"type": "history", "topic": "open:close", "id": 4}));
        assert_eq!(client.ending().code, 4900);
        server.await_metrics(&[
            (&questions("inspect", "allowed"), 2),
            (&questions("inspect", "denied"), 1),
            (&questions("inspect", "closed"), 1),
            (&questions("inspect", "bad_answer"), 1),
        ]);
    };
    story_with_log(
        &arguments,
        "info",
        |server, _| tell(server),
        |log| assert!(log.contains("a hook has answered nonsense"), "{log}"),
    );
}

#[test]
fn a_denial_is_told_in_the_words_of_the_backend() {
    let backend = Backend::start(|asked| {
        Reply::Json(
            match (asked.body["hook"].as_str(), asked.body["method"].as_str()) {
                (Some("connect"), _) if asked.body["client"]["target"] == "/ws?topic=banned" => {
                    json!({"deny": {"message": "you are banned"}})
                }
                (Some("connect"), _) => json!({"allow": {}}),
                (_, Some("close")) => json!({"close": {"code": 4900, "reason": "banned"}}),
                (_, Some("wait")) => {
                    json!({"deny": {"code": "rate_limited", "message": "slowly", "retry_after_ms": 50}})
                }
                _ => json!({"deny": {}}),
            },
        )
    });
    let url = backend.url();
    story(&hooked(&url, &["--hook-connect-url", &url]), |server| {
        let (_, response) = knock(server.address, "/ws?topic=banned", &[]);
        assert_eq!(response.status, 403);
        assert!(response.body.contains("you are banned"), "{response:?}");
        let (mut client, _) = Client::open_json(server.address, "/ws");
        let reply = call(&mut client, "wait");
        assert_eq!(
            (&reply["code"], &reply["message"], &reply["retry_after_ms"]),
            (&json!("rate_limited"), &json!("slowly"), &json!(50))
        );
        for command in [
            json!({"type": "subscribe", "topic": "gated:a", "id": 1}),
            json!({"type": "publish", "topic": "gated:a", "data": 1, "id": 1}),
        ] {
            let reply = client.ask(command);
            assert_eq!(
                (&reply["code"], &reply["message"]),
                (&json!("forbidden"), &json!("the application does not allow it"))
            );
        }
        // A token for a topic is nothing that the backend is asked about: the rule of the topic might say no.
        let command = json!({"type": "subscribe", "topic": "gated:a", "token": "x", "id": 1});
        let before = backend.count();
        assert_eq!(client.ask(command)["code"], "forbidden");
        assert_eq!(backend.count(), before);
        client.send_json(json!({"type": "call", "method": "close", "data": 1}));
        let ending = client.ending();
        assert_eq!((ending.code, ending.reason.as_str()), (4900, "banned"));
        server.await_metrics(&[
            (&questions("connect", "denied"), 1),
            (&questions("call", "denied"), 1),
            (&questions("call", "closed"), 1),
        ]);
    });
}

/// What is no answer: its name, its bytes, and under what it is counted.
fn lies() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let json_head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    let head = |rest: &str| format!("{json_head}{rest}\r\n\r\n").into_bytes();
    let with_body = |kind: &str| {
        format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: 12\r\n\r\n{{\"allow\":{{}}}}")
            .into_bytes()
    };
    vec![
        ("no JSON", ok("internal-secret"), "bad_answer"),
        ("no answer", ok("{\"internal-secret\":1}"), "bad_answer"),
        ("two answers", ok("{\"allow\":{},\"deny\":{}}"), "bad_answer"),
        ("a deep one", ok(&"[".repeat(100_000)), "bad_answer"),
        ("HTML", with_body("text/html"), "bad_answer"),
        ("nothing at all", head("Content-Length: 0"), "bad_answer"),
        (
            "no content type",
            b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{\"allow\":{}}".to_vec(),
            "bad_answer",
        ),
        (
            "an error",
            b"HTTP/1.1 500 E\r\nContent-Length: 15\r\n\r\ninternal-secret".to_vec(),
            "status",
        ),
        ("nothing", status("204 No Content"), "status"),
        (
            "a redirect",
            status("302 Found\r\nLocation: http://127.0.0.1:1/internal-secret"),
            "status",
        ),
        ("a huge one", head("Content-Length: 99999999999"), "too_large"),
        (
            "a huge one in chunks",
            [
                head("Transfer-Encoding: chunked"),
                b"fffffff\r\n".to_vec(),
                vec![b' '; 1 << 20],
            ]
            .concat(),
            "too_large",
        ),
        (
            "half of one",
            [head("Content-Length: 100"), b"{\"allow\"".to_vec()].concat(),
            "broken",
        ),
        ("no HTTP", b"internal-secret\r\n\r\n".to_vec(), "broken"),
        ("the end", Vec::new(), "broken"),
        (
            "a head without end",
            [b"HTTP/1.1 200 OK\r\nX: ".to_vec(), vec![b'x'; 1 << 20]].concat(),
            "broken",
        ),
    ]
}

#[test]
fn a_backend_that_talks_nonsense_has_not_answered_and_goes_on_being_asked() {
    let lies = lies();
    let answers: Vec<Vec<u8>> = lies.iter().map(|(_, bytes, _)| bytes.clone()).collect();
    let backend = Backend::start(move |asked| match asked.body["method"].as_str() {
        Some("truth") => Reply::Json(json!({"allow": {"data": "true"}})),
        method => Reply::Bytes(answers[method.unwrap().parse::<usize>().unwrap()].clone()),
    });
    let url = backend.url();
    let tell = |server: &Server| {
        let (mut client, _) = Client::open_json(server.address, "/ws");
        for (at, (what, _, outcome)) in lies.iter().enumerate() {
            let counter = questions("call", outcome);
            let (before, asked) = (server.metric(&counter), backend.count());
            let reply = call(&mut client, &at.to_string());
            assert_unavailable(&reply);
            assert_eq!(server.metric(&counter), before + 1, "{what} is {outcome}");
            assert_eq!(backend.count(), asked + 1, "{what} is not asked again");
        }
        assert_eq!(call(&mut client, "truth")["data"], "true");
        server.await_metrics(&[
            ("fanfare_hook_breaker_open{hook=\"call\"}", 0),
            (&rejections("unavailable"), lies.len() as u64),
        ]);
    };
    let arguments = hooked(&url, &["--hook-breaker-failures", "5", "--hook-timeout", "30s"]);
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
fn whoever_waits_for_a_slow_backend_waits_alone_and_keeps_its_order() {
    let is_released = Arc::new(AtomicBool::new(false));
    let released = Arc::clone(&is_released);
    let backend = Backend::start(move |_| {
        while !released.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
        Reply::Json(json!({"allow": {}}))
    });
    let url = backend.url();
    let bounds = [
        "--hook-timeout",
        "1m",
        "--hook-concurrency",
        "8",
        "--hook-waiting-max",
        "92",
    ];
    story(&hooked(&url, &bounds), |server| {
        let mut bystanders = Bystanders::open(server);
        let mut waiting: Vec<Client> = (0..100)
            .map(|_| {
                let (mut client, _) = Client::open_json(server.address, "/ws");
                client.send_json(json!({"type": "publish", "topic": "gated:a", "data": 1, "id": 1}));
                for id in 2..5 {
                    client.send_json(json!({"type": "ping", "id": id}));
                }
                client
            })
            .collect();
        server.await_metrics(&[
            ("fanfare_hook_asking{hook=\"publish\"}", 8),
            ("fanfare_hook_waiting{hook=\"publish\"}", 92),
        ]);
        // Nobody else notices: everyone's commands, and other questions of theirs that are no hooks.
        for _ in 0..20 {
            bystanders.assert_well();
        }
        assert_eq!(backend.count(), 8);
        // One too many is told so at once.
        let (mut late, _) = Client::open_json(server.address, "/ws");
        let reply = late.ask(json!({"type": "publish", "topic": "gated:a", "data": 1, "id": 1}));
        assert_eq!(
            (&reply["code"], &reply["temporary"]),
            (&json!("overloaded"), &json!(true))
        );
        is_released.store(true, Ordering::SeqCst);
        for client in &mut waiting {
            assert_eq!(client.expect("published")["id"], 1);
            for id in 2..5 {
                assert_eq!(
                    client.expect("pong")["id"],
                    id,
                    "its commands are answered in their order"
                );
            }
        }
        server.await_metrics(&[
            (&questions("publish", "allowed"), 100),
            (&questions("publish", "line_full"), 1),
            ("fanfare_hook_asking{hook=\"publish\"}", 0),
        ]);
        drop((waiting, late));
        drop(backend);
    });
}

#[test]
fn an_answer_that_does_not_come_in_time_is_none() {
    let backend = Backend::start(|asked| match asked.body["method"].as_str() {
        Some("silence") => Reply::Silence,
        Some("drip") => Reply::Endless(b"HTTP/1.1 200 OK\r\n".to_vec(), 0, Duration::from_millis(10)),
        Some("slow bytes") => {
            let head =
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n".to_vec();
            Reply::Endless(head, 1, Duration::from_millis(10))
        }
        _ => Reply::Bytes(status("503 Busy")),
    });
    let url = backend.url();
    let bounds = ["--hook-timeout", "200ms", "--hook-breaker-failures", "0"];
    story(&hooked(&url, &bounds), |server| {
        let mut bystanders = Bystanders::open(server);
        let (mut client, _) = Client::open_json(server.address, "/ws");
        for method in ["silence", "drip", "slow bytes"] {
            let began = Instant::now();
            assert_unavailable(&call(&mut client, method));
            assert!(began.elapsed() >= Duration::from_millis(200), "{method}");
        }
        server.await_metrics(&[(&questions("call", "timeout"), 3)]);
        // Tries count within the same time.
        assert_unavailable(&call(&mut client, "busy"));
        let ends = |outcome| server.metric(&questions("call", outcome));
        assert_eq!(ends("timeout") + ends("status"), 4);
        bystanders.assert_well();
        // Whoever goes while it waits leaves nothing behind.
        for _ in 0..10 {
            let (mut client, _) = Client::open_json(server.address, "/ws");
            client.send_json(json!({"type": "call", "method": "silence", "data": 1}));
            client.reset();
        }
        drop(client);
    });
}

#[test]
fn what_nobody_has_decided_is_asked_again_and_nothing_else() {
    let tries = AtomicUsize::new(0);
    let backend = Backend::start(move |asked| {
        let before = tries.fetch_add(1, Ordering::SeqCst);
        match asked.body["method"].as_str() {
            Some("busy") if before < 2 => Reply::Bytes(status("503 Busy")),
            Some("busy") => Reply::Json(json!({"allow": {"data": "done"}})),
            _ => Reply::Bytes(Vec::new()),
        }
    });
    let url = backend.url();
    story(&hooked(&url, &["--hook-timeout", "30s"]), |server| {
        let (mut client, _) = Client::open_json(server.address, "/ws");
        assert_eq!(call(&mut client, "busy")["data"], "done");
        let asked = backend.asked();
        assert_eq!(asked.len(), 3);
        assert!(
            asked.iter().all(|again| again.body == asked[0].body),
            "with the same id"
        );
        server.await_metrics(&[("fanfare_hook_retries_total{hook=\"call\"}", 2)]);
        // Whether this one was decided nobody knows.
        assert_unavailable(&call(&mut client, "broken"));
        assert_eq!(backend.count(), 4);
        drop(client);
        drop(backend);
    });
}

#[test]
fn a_dead_backend_is_left_alone_and_asked_again_when_it_is_back() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{address}/hook");
    let bounds = ["--hook-breaker-failures", "3", "--hook-breaker-pause", "300ms"];
    let is_open = "fanfare_hook_breaker_open{hook=\"call\"}";
    let tell = |server: &Server| {
        let mut bystanders = Bystanders::open(server);
        let (mut client, _) = Client::open_json(server.address, "/ws");
        for _ in 0..3 {
            assert_unavailable(&call(&mut client, "any"));
        }
        server.await_metrics(&[(is_open, 1), (&questions("call", "unreachable"), 3)]);
        // Nobody is asked now, so that many are answered at once.
        let refused = questions("call", "breaker_open");
        eventually("questions are answered without asking", || {
            let mut clients: Vec<Client> = (0..10)
                .map(|_| {
                    let (mut client, _) = Client::open_json(server.address, "/ws");
                    client.send_json(json!({"type": "call", "method": "any", "data": 1, "id": 1}));
                    client
                })
                .collect();
            for client in &mut clients {
                let reply = client.json();
                assert_unavailable(&reply);
                assert!(reply["retry_after_ms"].as_u64().unwrap() >= 1);
            }
            server.metric(&refused) > 0
        });
        bystanders.assert_well();
        let backend = Backend::start_on(address, |_| Reply::Json(json!({"allow": {"data": "back"}})));
        let deadline = Instant::now() + DEADLINE;
        while call(&mut client, "any")["data"] != "back" {
            assert!(Instant::now() < deadline, "it is not asked again");
            std::thread::sleep(Duration::from_millis(10));
        }
        server.await_metrics(&[(is_open, 0)]);
        drop(client);
        drop(backend);
    };
    story_with_log(
        &hooked(&url, &bounds),
        "info",
        |server, _| tell(server),
        |log| {
            assert!(log.contains("a hook does not answer"), "{log}");
            assert!(log.contains("a hook answers again"), "{log}");
            assert!(!log.contains("/hook"), "{log}");
        },
    );
}

#[test]
fn whoever_leaves_the_door_while_it_waits_is_forgotten() {
    let backend = Backend::start(|asked| match asked.body["client"]["target"].as_str() {
        Some("/ws?topic=held") => Reply::Silence,
        _ => Reply::Json(json!({"allow": {}})),
    });
    let url = backend.url();
    let arguments = hooked(
        &url,
        &[
            "--hook-connect-url",
            &url,
            "--hook-timeout",
            "1m",
            "--hook-concurrency",
            "4",
        ],
    );
    story(&arguments, |server| {
        let mut clients: Vec<Client> = (0..8).map(|_| Client::connect(server.address)).collect();
        for client in &mut clients {
            client.send(upgrade_request("/ws?topic=held", &[]).as_bytes());
        }
        server.await_metrics(&[
            ("fanfare_hook_asking{hook=\"connect\"}", 4),
            ("fanfare_hook_waiting{hook=\"connect\"}", 4),
        ]);
        clients.into_iter().for_each(Client::reset);
        server.await_metrics(&[
            ("fanfare_hook_asking{hook=\"connect\"}", 0),
            ("fanfare_hook_waiting{hook=\"connect\"}", 0),
            (&questions("connect", "given_up"), 8),
        ]);
        drop(Client::open_json(server.address, "/ws"));
    });
}

#[test]
fn over_https_only_a_backend_with_a_certificate_is_believed() {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let trusted = std::env::temp_dir().join(format!("fanfare-hooks-{}.pem", std::process::id()));
    std::fs::write(&trusted, cert.pem()).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = Arc::new(config);
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            // Whoever does not believe the certificate goes.
            let _ = answer_over_tls(socket.unwrap(), &config);
        }
    });
    for (host, is_believed) in [("localhost", true), ("127.0.0.1", false)] {
        let url = format!("https://{host}:{port}/hook");
        let mut command = serve(&hooked(&url, &[]));
        command.env("SSL_CERT_FILE", &trusted).env_remove("SSL_CERT_DIR");
        let server = Server::start_by(&mut command);
        let (mut client, _) = Client::open_json(server.address, "/ws");
        let reply = call(&mut client, "any");
        if is_believed {
            assert_eq!(reply["data"], "sealed", "{reply}");
        } else {
            assert_unavailable(&reply);
        }
    }
    std::fs::remove_file(trusted).unwrap();
}

#[test]
fn without_anybody_to_trust_the_program_does_not_start() {
    let mut command = serve(&hooked("https://localhost:1/hook", &[]));
    command
        .env("SSL_CERT_FILE", "/dev/null")
        .env_remove("SSL_CERT_DIR");
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    assert_eq!(end_within(&mut child, PROMPT).code(), Some(1));
    let mut problem = String::new();
    child.stderr.take().unwrap().read_to_string(&mut problem).unwrap();
    assert!(
        problem.contains("name a file of certificates in SSL_CERT_FILE"),
        "{problem}"
    );
}

fn answer_over_tls(mut socket: TcpStream, config: &Arc<rustls::ServerConfig>) -> std::io::Result<()> {
    let mut session = rustls::ServerConnection::new(Arc::clone(config)).unwrap();
    let mut stream = rustls::Stream::new(&mut session, &mut socket);
    let asked: Option<Asked> = receive(&mut stream, &mut Vec::new())?;
    assert!(asked.is_none_or(|asked| asked.is_signed_with(SECRET)));
    stream.write_all(&ok("{\"allow\":{\"data\":\"sealed\"}}"))?;
    stream.flush()?;
    let _ = stream.read(&mut [0])?;
    Ok(())
}
