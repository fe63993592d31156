//! Keys and tokens as an operator makes them, and what the server that was told about them does.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::client::{Client, Response, eventually, upgrade_request};
use crate::process::{PROMPT, Server, serve, serve_with_log};

/// A directory that is removed with the test.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("fanfare-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn fanfare(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
    command.args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// What a command prints that succeeds.
fn said(arguments: &[&str]) -> String {
    let output = fanfare(arguments);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// A new secret, as an option names it.
pub(crate) fn secret() -> String {
    format!("hs256:{}", said(&["keygen", "HS256"]))
}

pub(crate) fn make(key: &str, more: &[&str]) -> String {
    said(&[&["token", "make", "--key", key, "--user", "ada"], more].concat())
}

/// A server for those with tokens alone.
pub(crate) fn start(more: &[&str]) -> Server {
    Server::start(&[&["--open=false"], more].concat())
}

pub(crate) fn knock(server: &Server, token: &str) -> (Response, Client) {
    let mut client = Client::connect(server.address);
    client.send(upgrade_request("/ws", &[&format!("Authorization: Bearer {token}")]).as_bytes());
    let response = client.response().expect("an answer");
    (response, client)
}

/// The answer to a POST with a key of the API, if one is given.
pub(crate) fn post(server: &Server, target: &str, key: Option<&str>, body: &Value) -> Response {
    let body = body.to_string();
    let key = key.map(|key| format!("X-API-Key: {key}\r\n")).unwrap_or_default();
    let mut client = Client::connect(server.address);
    let head = format!(
        "POST {target} HTTP/1.1\r\nHost: localhost\r\n{key}Content-Length: {}\r\n\r\n",
        body.len()
    );
    client.send((head + &body).as_bytes());
    client.response().expect("an answer")
}

#[test]
fn a_key_pair_that_was_made_signs_and_verifies() {
    let directory = Directory::new("pair");
    for algorithm in ["ES256", "EdDSA", "PS256"] {
        let name = directory.path(algorithm);
        said(&["keygen", algorithm, "--out", &name]);
        let signing = format!("kid=1:{algorithm}:@{name}.pem");
        let verifying = format!("kid=1:{algorithm}:@{name}.pub.pem");
        let token = make(
            &signing,
            &[
                "--topic",
                "news",
                "--publish",
                "chat:*",
                "--info",
                r#"{"name":"Ada"}"#,
            ],
        );
        let told = said(&["token", "inspect", &token, "--token-key", &verifying]);
        assert!(told.ends_with("accepted, for ada"), "{told}");
        let server = start(&["--token-key", &verifying]);
        let (response, mut client) = knock(&server, &token);
        assert_eq!(response.status, 101, "{algorithm}: {response:?}");
        assert_eq!(client.expect("welcome")["user"], "ada");
        assert_eq!(client.expect("subscribed")["topics"][0]["topic"], "news");
        let reply = client.ask(json!({"type": "publish", "topic": "chat:1", "data": 1, "id": 1}));
        assert_eq!(reply["type"], "published", "{reply}");
        let again = fanfare(&["keygen", algorithm, "--out", &name]);
        assert_eq!(again.status.code(), Some(1), "nothing is written over");
    }
}

#[test]
fn inspecting_a_token_says_what_is_wrong_and_never_the_key() {
    let (key, other) = (secret(), secret());
    let good = make(
        &key,
        &["--claim", "team=red", "--issuer", "id", "--for-topic", "vip"],
    );
    let told = said(&["token", "inspect", &good, "--token-key", &key]);
    assert!(
        told.contains("\"team\": \"red\"") && told.ends_with("for ada to receive vip"),
        "{told}"
    );
    assert!(said(&["token", "inspect", &good]).contains("not checked"));
    let expired = make(&key, &["--expires-in", "0s"]);
    let for_long = make(&key, &["--expires-in", "60d"]);
    for (token, cause) in [(&good, "signature"), (&for_long, "lifetime")] {
        let key = if cause == "signature" { &other } else { &key };
        let output = fanfare(&["token", "inspect", token, "--token-key", key]);
        let problem = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(problem.contains(&format!("`{cause}`")), "{problem}");
        let secret = key.strip_prefix("hs256:").unwrap();
        assert!(!problem.contains(secret));
    }
    // Within the leeway it still holds.
    said(&["token", "inspect", &expired, "--token-key", &key]);
    assert_eq!(fanfare(&["token", "inspect", "nonsense"]).status.code(), Some(1));
}

#[test]
fn a_token_is_revoked_through_the_api() {
    let key = secret();
    let server = start(&["--token-key", &key]);
    let (one, two) = (make(&key, &["--id", "one"]), make(&key, &["--id", "two"]));
    let (_, mut first) = knock(&server, &one);
    let (_, mut second) = knock(&server, &two);
    first.expect("welcome");
    second.expect("welcome");
    let answer = post(&server, "/api/revoke", None, &json!({"token": "one"}));
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (200, r#"{"connections":1}"#)
    );
    assert_eq!(first.ending().code, 3504);
    assert_eq!(knock(&server, &one).0.status, 401);
    let answer = post(&server, "/api/revoke", None, &json!({"user": "ada"}));
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (200, r#"{"connections":1}"#)
    );
    assert_eq!(second.ending().code, 3504);
    assert_eq!(knock(&server, &two).0.status, 401);
    server.await_metrics(&[
        ("fanfare_tokens_accepted_total", 2),
        ("fanfare_tokens_refused_total{cause=\"revoked\"}", 2),
        ("fanfare_tokens_revoked", 2),
    ]);
}

// Row 82: what a key opens, asked of the whole program.
#[test]
fn a_key_of_the_api_opens_its_scopes_alone() {
    let made = said(&[
        "keygen",
        "api-key",
        "--name",
        "shop",
        "--scope",
        "publish:orders:*",
        "--scope",
        "stats",
    ]);
    let (key, line) = (made.lines().next().unwrap(), made.lines().last().unwrap());
    let line = line
        .strip_prefix("api_key = [\"")
        .unwrap()
        .strip_suffix("\"]")
        .unwrap();
    assert!(!line.contains(key), "the server does not learn the key");
    let server = start(&["--api-key", line, "--token-key", &secret()]);
    let body = json!({"topic": "orders:1", "data": 1});
    assert_eq!(post(&server, "/api/publish", Some(key), &body).status, 200);
    for (target, body) in [
        ("/api/publish", json!({"topic": "news", "data": 1})),
        ("/api/broadcast", json!({"data": 1})),
        ("/api/send", json!({"user": "ada", "data": 1})),
        ("/api/subscribe", json!({"user": "ada", "topic": "orders:1"})),
        ("/api/disconnect", json!({"user": "ada"})),
        ("/api/revoke", json!({"user": "ada"})),
        ("/api/reload", json!({})),
    ] {
        let answer = post(&server, target, Some(key), &body);
        assert_eq!(answer.status, 403, "{target}: {}", answer.body);
        assert!(
            answer.body.contains("\"forbidden\"") && answer.body.contains("`shop`"),
            "{}",
            answer.body
        );
        assert_eq!(post(&server, target, None, &body).status, 401, "{target}");
    }
    let hash = line.rsplit(' ').next().unwrap();
    assert_eq!(
        post(&server, "/api/publish", Some(hash), &body).status,
        401,
        "a hash is no key"
    );
    for target in ["/metrics", "/api/stats", "/api/topics", "/api/connections"] {
        let mut client = Client::connect(server.address);
        client
            .send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {key}\r\n\r\n").as_bytes());
        assert_eq!(client.response().unwrap().status, 200, "{target}");
    }
}

#[test]
fn a_new_key_is_taken_while_the_server_runs() {
    let directory = Directory::new("rotation");
    let (old, new) = (secret(), secret());
    let file = directory.path("fanfare.toml");
    let write = |keys: &[&String]| std::fs::write(&file, format!("token_key = {}\n", json!(keys))).unwrap();
    write(&[&old]);
    let server = start(&["--config", &file]);
    let (_, mut staying) = knock(&server, &make(&old, &[]));
    staying.expect("welcome");
    assert_eq!(knock(&server, &make(&new, &[])).0.status, 401);
    write(&[&new]);
    server.signal(Signal::HUP);
    eventually("the new key is taken", || {
        knock(&server, &make(&new, &[])).0.status == 101
    });
    assert_eq!(knock(&server, &make(&old, &[])).0.status, 401);
    assert_eq!(staying.ask(json!({"type": "ping", "id": 1}))["type"], "pong");
    std::fs::write(&file, "").unwrap();
    let answer = post(&server, "/api/reload", None, &json!({}));
    assert!(
        answer.body.contains(r#""at_restart":["token_key"]"#),
        "{}",
        answer.body
    );
}

#[test]
fn no_token_and_no_key_is_in_the_log() {
    let key = secret();
    let mut command = serve_with_log("trace", "127.0.0.1:0");
    command
        .args(["--open=false", "--token-key", &key])
        .stderr(Stdio::piped());
    let mut server = Server::start_by(&mut command);
    let mut log = server.stderr();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        log.read_to_string(&mut text).unwrap();
        text
    });
    let (good, bad) = (make(&key, &[]), make(&secret(), &[]));
    for token in [&good, &bad] {
        drop(knock(&server, token));
        let mut client = Client::connect(server.address);
        client.send(upgrade_request(&format!("/ws?token={token}"), &[]).as_bytes());
        client.response().unwrap();
        let mut client = Client::connect(server.address);
        let offer = format!("Sec-WebSocket-Protocol: fanfare.json.v1, fanfare.token.{token}");
        client.send(upgrade_request("/ws", &[&offer]).as_bytes());
        client.response().unwrap();
        let mut client = Client::open(server.address, "/ws");
        client.expect("welcome");
        client.ask(json!({"type": "auth", "token": token, "id": 1}));
    }
    server.signal(Signal::TERM);
    assert_eq!(server.end_within(PROMPT).code(), Some(0));
    let log = reader.join().unwrap();
    assert!(log.contains("a token is refused cause=\"signature\""), "{log}");
    let signature = |token: &str| token.rsplit('.').next().unwrap().to_owned();
    for hidden in [signature(&good), signature(&bad), key.replace("hs256:", "")] {
        assert!(!log.contains(&hidden), "{hidden} is in {log}");
    }
}

/// What a command with this token prints to standard error, and its exit code.
fn ended(server: &Server, arguments: &[&str], token: &str) -> (String, Option<i32>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
    let output = command
        .args(arguments)
        .env(
            "FANFARE_URL",
            format!("ws://{}/ws?topic=in-the-query", server.address),
        )
        .env("FANFARE_TOKEN", token)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    (String::from_utf8(output.stderr).unwrap(), output.status.code())
}

#[test]
fn the_commands_show_a_token_and_tell_why_they_are_refused() {
    let key = secret();
    let server = start(&["--token-key", &key]);
    let publisher = make(&key, &["--publish", "chat:*"]);
    let told = ended(&server, &["pub", "chat:1", "hello"], &publisher);
    assert_eq!(told, (String::new(), Some(0)));
    let (told, code) = ended(&server, &["pub", "news", "hello"], &publisher);
    assert!(told.contains("(code forbidden)") && code == Some(1), "{told}");
    let (told, code) = ended(&server, &["sub", "chat:1"], &publisher);
    assert!(told.contains("(code forbidden)") && code == Some(1), "{told}");
    let foreign = make(&secret(), &[]);
    for arguments in [&["sub", "news"][..], &["pub", "news", "hello"]] {
        let (told, code) = ended(&server, arguments, &foreign);
        assert_eq!(code, Some(1));
        assert!(told.contains("the token is not accepted"), "{told}");
        assert!(told.contains("show a token that holds"), "{told}");
        assert!(
            !told.contains(&foreign) && !told.contains("in-the-query"),
            "{told}"
        );
        let (told, code) = ended(&server, arguments, "");
        assert!(
            told.contains("(code unauthenticated)") && code == Some(1),
            "{told}"
        );
    }
}

#[test]
fn a_listener_whose_token_is_revoked_ends_and_says_so() {
    let key = secret();
    let server = start(&["--token-key", &key]);
    let token = make(&key, &["--id", "one", "--subscribe", "news"]);
    std::thread::scope(|scope| {
        let listening = scope.spawn(|| ended(&server, &["sub", "news"], &token));
        server.await_metrics(&[("fanfare_subscriptions", 1)]);
        let answer = post(&server, "/api/revoke", None, &json!({"token": "one"}));
        assert_eq!(answer.status, 200);
        let (told, code) = listening.join().unwrap();
        assert_eq!(code, Some(1));
        assert!(told.contains("code 3504: revoked"), "{told}");
        assert!(told.contains("show a token that holds"), "{told}");
    });
}

#[test]
fn a_listener_takes_the_new_token_of_its_file_before_the_old_one_ends() {
    let (directory, key) = (Directory::new("renewal"), secret());
    let server = start(&["--token-key", &key, "--token-leeway", "0s"]);
    let file = directory.path("token");
    let token = |seconds: &str| make(&key, &["--subscribe", "news", "--expires-in", seconds]);
    std::fs::write(&file, token("6s")).unwrap();
    let mut listener = Command::new(env!("CARGO_BIN_EXE_fanfare"))
        .args(["sub", "news", "--token-file", &file])
        .env("FANFARE_URL", format!("ws://{}/ws", server.address))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    server.await_metrics(&[("fanfare_subscriptions", 1)]);
    std::fs::write(&file, token("1h")).unwrap();
    server.await_metrics(&[("fanfare_tokens_accepted_total", 2)]);
    // Past the end of the first one.
    std::thread::sleep(std::time::Duration::from_secs(3));
    let body = json!({"topic": "news", "data": 1});
    assert_eq!(post(&server, "/api/publish", None, &body).status, 200);
    let mut line = String::new();
    std::io::BufRead::read_line(
        &mut std::io::BufReader::new(listener.stdout.take().unwrap()),
        &mut line,
    )
    .unwrap();
    assert_eq!(line, "1\n");
    listener.kill().unwrap();
    let output = listener.wait_with_output().unwrap();
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "",
        "it never lost its connection"
    );
}

#[test]
fn keys_are_not_waited_for_at_the_start() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut command = serve(&[
        "--open=false",
        "--token-jwks-url",
        &format!("http://{nobody}/keys"),
    ]);
    let server = Server::start_by(&mut command);
    let (response, _) = knock(&server, &make(&secret(), &[]));
    assert_eq!(response.status, 503, "{response:?}");
    assert_eq!(server.get("/health").status, 200);
    server.await_metrics(&[("fanfare_token_keys_failed_total", 1)]);
}
