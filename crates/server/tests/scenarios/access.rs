//! The HTTP API and who may call it: wrong keys, keys in the wrong place, browsers, bodies that never end.

use std::io::Write as _;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{Client, Response};
use crate::process::{API_KEY, Server};
use crate::story::{Bystanders, post, story};

/// A server that has a key.
const GUARDED: [&str; 2] = ["--api-key", API_KEY];

/// The answer to a request with these header lines.
fn request(server: &Server, first_line: &str, lines: &[&str], body: &[u8]) -> Response {
    let mut client = Client::connect(server.address);
    let lines: String = lines.iter().flat_map(|line| [line, "\r\n"]).collect();
    let head = format!(
        "{first_line} HTTP/1.1\r\nHost: localhost\r\n{lines}Content-Length: {}\r\n\r\n",
        body.len()
    );
    client.send(head.as_bytes());
    // The server may answer and close before it has seen all of it.
    let _ = client.stream.write_all(body);
    client.response().expect("an answer")
}

/// The code of an error.
fn code(response: &Response) -> String {
    let answer: Value = serde_json::from_str(&response.body).unwrap();
    answer["error"]["code"].as_str().unwrap().to_owned()
}

// Row 53, as far as there are keys to guess.
#[test]
fn wrong_keys_open_nothing_however_many_are_tried() {
    story(&GUARDED, |server| {
        let mut bystanders = Bystanders::open(server);
        let mut client = Client::connect(server.address);
        let mut almost = API_KEY.to_owned();
        almost.pop();
        let keys = [
            String::new(),
            "x".repeat(8_000),
            almost.clone(),
            almost + "x",
            API_KEY.to_uppercase(),
        ];
        for key in keys.iter().cycle().take(500) {
            let head = format!("POST /api/broadcast HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {key}\r\n");
            client.send((head + "Content-Length: 1\r\n\r\nx").as_bytes());
            let response = client.response().unwrap();
            assert_eq!(
                (response.status, code(&response)),
                (401, "unauthorized".to_owned())
            );
            assert_eq!(response.header("www-authenticate"), Some("Bearer"));
            assert!(
                key.is_empty() || !response.body.contains(key),
                "a key is not repeated"
            );
        }
        for target in [
            "/api/stats",
            "/api/connections",
            "/api/topics",
            "/metrics",
            "/api/no-such-path",
        ] {
            assert_eq!(
                request(server, &format!("GET {target}"), &[], b"").status,
                401,
                "{target}"
            );
        }
        // Nothing was published, and the right key opens as ever.
        bystanders.assert_well();
        let right = format!("Authorization: Bearer {API_KEY}");
        assert_eq!(request(server, "GET /api/stats", &[&right], b"").status, 200);
    });
}

// Row 82: the key's place is a header.
#[test]
fn a_key_in_the_address_is_refused_though_it_is_right() {
    story(&GUARDED, |server| {
        let key = format!("X-API-Key: {API_KEY}");
        for name in [
            "key",
            "api_key",
            "apikey",
            "API-KEY",
            "token",
            "access_token",
            "%6bey",
        ] {
            let target = format!("POST /api/publish?topic=a&{name}={API_KEY}");
            for lines in [&[][..], &[key.as_str()]] {
                let response = request(server, &target, lines, b"x");
                assert_eq!(
                    (response.status, code(&response)),
                    (400, "key_in_query".to_owned())
                );
                assert!(!response.body.contains(API_KEY));
            }
        }
        // Nor in a cookie, where a browser would put it for anyone.
        let cookie = format!("Cookie: api_key={API_KEY}; X-API-Key={API_KEY}");
        assert_eq!(request(server, "GET /api/stats", &[&cookie], b"").status, 401);
    });
}

// Row 82: pages of other origins, names rebound to this machine, and proxies are no programs on this machine.
#[test]
fn a_browser_cannot_be_made_to_call_a_server_without_keys() {
    story(&[], |server| {
        let (mut listener, _) = Client::open_json(server.address, "/ws?topic=a");
        listener.expect("subscribed");
        let own = format!("Origin: http://{}", server.address);
        for lines in [
            &["Origin: https://evil.example"][..],
            &["Origin: null"],
            &["Origin: https://localhost"],
            &["Origin: http://localhost:1"],
            &["Origin: http://localhost.evil.example"],
            &["Origin: http://localhost", "Origin: http://localhost"],
            &[&own],
            &["X-Forwarded-For: 127.0.0.1"],
            &["Forwarded: for=127.0.0.1"],
            &["Via: 1.1 proxy"],
        ] {
            let response = request(server, "POST /api/publish?topic=a", lines, b"x");
            assert_eq!(
                (response.status, code(&response)),
                (401, "unauthorized".to_owned()),
                "{lines:?}"
            );
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "",
            "0.0.0.0",
        ] {
            let mut client = Client::connect(server.address);
            let head =
                format!("POST /api/publish?topic=a HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1\r\n\r\nx");
            client.send(head.as_bytes());
            assert_eq!(client.response().unwrap().status, 401, "{host}");
        }
        let mut caller = Client::connect(server.address);
        assert_eq!(post(&mut caller, "/api/publish?topic=a", "mine")["offset"], 1);
        assert_eq!(
            listener.expect("message")["data"],
            "mine",
            "and nothing before it"
        );
    });
}

// Row 82.
#[test]
fn methods_are_what_they_say_and_nothing_is_cross_origin() {
    story(&[], |server| {
        for (line, header) in [
            ("GET /api/publish?topic=a", "X-HTTP-Method-Override: POST"),
            ("GET /api/publish?topic=a&_method=POST", "X-Method-Override: POST"),
            ("PUT /api/publish?topic=a", "X: y"),
            ("DELETE /api/connections", "X: y"),
            ("TRACE /api/stats", "X: y"),
            (
                "OPTIONS /api/publish?topic=a",
                "Access-Control-Request-Method: POST",
            ),
        ] {
            let response = request(server, line, &[header], b"");
            assert_eq!(
                (response.status, code(&response)),
                (405, "method_not_allowed".to_owned()),
                "{line}"
            );
            assert!(
                response
                    .header("allow")
                    .is_some_and(|allowed| !allowed.is_empty()),
                "{line}"
            );
        }
        // A method that is asked for in a header is not looked at: this lists and closes nothing.
        let override_method = ["X-HTTP-Method-Override: DELETE"];
        assert_eq!(
            request(server, "GET /api/connections", &override_method, b"").status,
            200
        );
        for line in ["GET /api/stats", "OPTIONS /api/publish", "GET /", "GET /ws"] {
            let head = request(server, line, &[], b"").head.to_ascii_lowercase();
            assert!(!head.contains("access-control-"), "{line}: {head}");
        }
    });
}

// Row 82.
#[test]
fn a_body_beyond_its_limit_is_refused_and_not_kept() {
    story(&[], |server| {
        let mut bystanders = Bystanders::open(server);
        let before = server.resident_bytes();
        let line = "POST /api/publish?topic=a";
        // Refused by its length, before a byte of it is sent.
        let mut client = Client::connect(server.address);
        client.send(
            format!("{line} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1073741824\r\n\r\n").as_bytes(),
        );
        let response = client.response().unwrap();
        assert_eq!((response.status, code(&response)), (413, "too_large".to_owned()));
        // Without a length it is refused at the limit, long before its end.
        let mut client = Client::connect(server.address);
        client.send(
            format!("{line} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n").as_bytes(),
        );
        let chunk = [b"10000\r\n", &vec![b'x'; 0x10000][..], b"\r\n"].concat();
        let sent = (0..1_024)
            .take_while(|_| client.stream.write_all(&chunk).is_ok())
            .count();
        assert!(sent < 1_024, "64 MiB were taken");
        // One byte too many, and the last one that is not.
        let max = 64 << 10;
        let response = request(server, line, &[], &vec![b'x'; max + 1]);
        assert_eq!((response.status, code(&response)), (413, "too_large".to_owned()));
        assert_eq!(request(server, line, &[], &vec![b'x'; max]).status, 200);
        let grown = server.resident_bytes().saturating_sub(before);
        assert!(grown < 4 << 20, "{grown} bytes");
        bystanders.assert_well();
    });
}

// Row 82. It takes the ten seconds that a body may take.
#[test]
fn a_body_that_comes_slowly_is_given_up_at_a_total_deadline() {
    story(&[], |server| {
        let mut bystanders = Bystanders::open(server);
        let mut client = Client::connect(server.address);
        client.send(b"POST /api/publish?topic=a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n");
        let began = Instant::now();
        client
            .stream
            .set_read_timeout(Some(Duration::from_millis(500)))
            .unwrap();
        let mut answer = [0; 2_000];
        let count = loop {
            // A byte now and then, until there is an answer.
            let _ = client.stream.write_all(b"x");
            match std::io::Read::read(&mut client.stream, &mut answer) {
                Ok(count) => break count,
                Err(_) => assert!(
                    began.elapsed() < Duration::from_secs(20),
                    "it is still waited for"
                ),
            }
        };
        let answer = String::from_utf8_lossy(&answer[..count]);
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        assert!(answer.contains("\"slow_body\""), "{answer}");
        assert!(began.elapsed() >= Duration::from_secs(9), "{:?}", began.elapsed());
        bystanders.assert_well();
    });
}

// Row 82.
#[test]
fn only_json_says_what_to_do_and_nothing_is_guessed() {
    story(&[], |server| {
        let body = json!({"user": "anna", "topic": "a"}).to_string();
        for (kind, status, expected) in [
            ("application/json", 200, None),
            ("application/json; charset=utf-8", 200, None),
            ("text/plain", 415, Some("wrong_type")),
            ("multipart/form-data; boundary=x", 415, Some("wrong_type")),
            ("application/octet-stream", 415, Some("wrong_type")),
            ("application/jsonp", 415, Some("wrong_type")),
        ] {
            let line = format!("Content-Type: {kind}");
            let response = request(server, "POST /api/subscribe", &[&line], body.as_bytes());
            assert_eq!(response.status, status, "{kind}: {}", response.body);
            assert_eq!(expected.is_some().then(|| code(&response)).as_deref(), expected);
        }
        let gzip = ["Content-Type: application/json", "Content-Encoding: gzip"];
        assert_eq!(
            request(server, "POST /api/subscribe", &gzip, body.as_bytes()).status,
            415
        );
        for (body, expected) in [
            ("{", "bad_json"),
            ("{} {}", "bad_json"),
            ("[]", "bad_body"),
            (r#"{"user":"anna","topic":"a","extra":1}"#, "bad_body"),
            (r#"{"user":"anna","user":"bob","topic":"a"}"#, "bad_body"),
        ] {
            let response = request(server, "POST /api/subscribe", &[gzip[0]], body.as_bytes());
            assert_eq!(
                (response.status, code(&response)),
                (400, expected.to_owned()),
                "{body}"
            );
        }
    });
}

// Rows 55 and 57, as far as there is something to page through.
#[test]
fn pages_are_bounded_and_cursors_are_only_those_that_were_given() {
    story(&[], |server| {
        let clients: Vec<_> = (0..30)
            .map(|_| Client::open(server.address, "/ws?topic=a&topic=b"))
            .collect();
        server.await_metrics(&[("fanfare_connections", 30)]);
        for listing in ["topics", "connections"] {
            for limit in [
                "0",
                "-1",
                "1001",
                "9223372036854775808",
                "18446744073709551616",
                "1e3",
                "",
                "x",
            ] {
                let response = server.get(&format!("/api/{listing}?limit={limit}"));
                assert_eq!(
                    (response.status, code(&response)),
                    (400, "bad_query".to_owned()),
                    "{limit}"
                );
            }
            for cursor in [
                "",
                "0",
                "-1",
                "x0",
                "tffffffffffffffffff",
                "cg",
                "c00",
                "c+1",
                "%00",
                "t0%20",
            ] {
                let response = server.get(&format!("/api/{listing}?cursor={cursor}"));
                assert_eq!(
                    (response.status, code(&response)),
                    (400, "bad_cursor".to_owned()),
                    "{cursor}"
                );
            }
            // The last cursor there can be is the end and nothing worse.
            let mark = &listing[..1];
            let page = server.get(&format!("/api/{listing}?cursor={mark}ffffffffffffffff"));
            let page: Value = serde_json::from_str(&page.body).unwrap();
            assert_eq!((&page[listing], &page["next"]), (&json!([]), &json!(null)));
        }
        let response = server.get("/api/connections?limit=10&limit=10");
        assert_eq!((response.status, code(&response)), (400, "bad_query".to_owned()));
        drop(clients);
    });
}
