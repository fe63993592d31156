//! Below the first frame: requests that are slow, huge, wrong or two at once, and peers that vanish.

use std::io::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::{CLOSE, Client, PING, PONG, Response, TEXT, eventually, masked, upgrade_request};
use crate::process::Server;
use crate::proxy::{Fault, Proxy, Then, Way};
use crate::story::{Bystanders, api, disconnects, story};

/// The answer to bytes, or none when the server closed instead.
fn answer(server: &Server, bytes: &[u8]) -> Option<Response> {
    let mut client = Client::connect(server.address);
    // The server may close while the rest is still on its way.
    let _ = client.stream.write_all(bytes);
    client.response()
}

/// A good upgrade with one text in it replaced.
fn spoilt(good: &str, bad: &str) -> String {
    let request = upgrade_request("/ws", &[]);
    assert!(request.contains(good));
    request.replacen(good, bad, 1)
}

// Row 1.
#[test]
fn a_byte_now_and_then_does_not_extend_the_handshake() {
    story(&["--handshake-timeout", "400ms"], |server| {
        let mut bystanders = Bystanders::open(server);
        let mut client = Client::connect(server.address);
        let began = Instant::now();
        let request = upgrade_request("/ws", &[]);
        let sent = request
            .bytes()
            .take_while(|&byte| {
                thread::sleep(Duration::from_millis(50));
                client.stream.write_all(&[byte]).is_ok()
            })
            .count();
        assert!(
            began.elapsed() >= Duration::from_millis(400),
            "{:?}",
            began.elapsed()
        );
        assert!(sent < request.len(), "a byte is not progress enough");
        assert!(client.response().is_none(), "there is nothing to answer");
        bystanders.assert_well();
    });
}

// Rows 2, 3 and 52: without a word, with half a request, without an upgrade after an answer.
#[test]
fn whoever_does_not_finish_the_handshake_is_gone_at_the_deadline() {
    story(&["--handshake-timeout", "500ms"], |server| {
        let before = server.descriptors();
        let began = Instant::now();
        let mut clients: Vec<Client> = (0..60).map(|_| Client::connect(server.address)).collect();
        for client in &mut clients[20..40] {
            client.send(b"GET /ws HTTP/1.1\r\nHost: loc");
        }
        for client in &mut clients[40..] {
            client.send(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
            assert_eq!(client.response().unwrap().status, 200);
        }
        assert_eq!(
            api(server, "/api/stats")["connections"],
            0,
            "none of them is a connection"
        );
        for client in &mut clients {
            client.time_to_end();
        }
        assert!(
            began.elapsed() >= Duration::from_millis(450),
            "{:?}",
            began.elapsed()
        );
        eventually("their descriptors are free while they hold theirs", || {
            server.descriptors() <= before
        });
    });
}

// Row 4.
#[test]
fn a_head_beyond_its_limits_is_refused_without_being_kept() {
    story(&[], |server| {
        let status = |lines: &[String]| {
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            answer(server, upgrade_request("/ws", &lines).as_bytes()).map(|response| response.status)
        };
        let many = |count: usize| {
            (0..count)
                .map(|number| format!("X-{number}: y"))
                .collect::<Vec<_>>()
        };
        // Five are in the request itself.
        assert_eq!(status(&many(95)), Some(101));
        assert_eq!(status(&many(96)), Some(431));
        assert_eq!(status(&[format!("X: {}", "x".repeat(15 << 10))]), Some(101));
        assert_eq!(status(&[format!("X: {}", "x".repeat(16 << 10))]), Some(431));

        let before = server.resident_bytes();
        for lines in [many(5_000), vec![format!("X: {}", "x".repeat(20 << 20))]] {
            let status = status(&lines);
            assert!(matches!(status, None | Some(431)), "{status:?}");
        }
        let grown = server.resident_bytes().saturating_sub(before);
        assert!(grown < 4 << 20, "{grown} bytes for a head of 20 MiB");
    });
}

// Row 5.
#[test]
fn a_request_in_segments_of_a_byte_is_a_request() {
    story(&[], |server| {
        let proxy = Proxy::to(server.address);
        let segments = Fault {
            segment_bytes: Some(1),
            ..Fault::default()
        };
        proxy.set(Way::Up, segments);
        proxy.set(Way::Down, segments);
        let filler = format!("X-Filler: {}", "x".repeat(4_000));
        let mut client = Client::connect(proxy.address);
        client.send(upgrade_request("/ws?topic=a", &[&filler]).as_bytes());
        assert_eq!(client.response().unwrap().status, 101);
        client.expect("welcome");
        client.expect("subscribed");
        let reply = client.ask(json!({"type": "publish", "topic": "b", "data": "grün", "id": 1}));
        assert_eq!(reply["type"], "published");
        assert_eq!(client.close(1000), 1000);
    });
}

// Row 6.
#[test]
fn a_request_that_is_no_handshake_is_refused_exactly() {
    story(&[], |server| {
        for (request, status) in [
            (spoilt("Version: 13", "Version: 8"), 426),
            (spoilt("Version: 13", "Version: 13, 8"), 426),
            (spoilt("Sec-WebSocket-Version: 13\r\n", ""), 426),
            (spoilt("Upgrade: websocket\r\n", ""), 426),
            (spoilt("Connection: Upgrade", "Connection: keep-alive"), 426),
            (spoilt("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""), 400),
            (spoilt("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZQ=="), 400),
            (spoilt("dGhlIHNhbXBsZSBub25jZQ==", ""), 400),
            (spoilt("GET", "POST"), 405),
            (spoilt("GET", "CONNECT"), 405),
            (spoilt("HTTP/1.1", "HTTP/1.0"), 400),
            (spoilt("HTTP/1.1", "HTTP/2.0"), 400),
            (spoilt("Host: localhost\r\n", ""), 400),
            (spoilt("Upgrade: websocket", "Upgrade : websocket"), 400),
            (spoilt("localhost", "local\0host"), 400),
            (spoilt("localhost", "local\rhost"), 400),
        ] {
            let response = answer(server, request.as_bytes()).expect(&request);
            assert_eq!(response.status, status, "{request}");
            if status == 426 {
                assert_eq!(response.header("sec-websocket-version"), Some("13"), "{request}");
            }
        }
        server.await_metrics(&[("fanfare_connections_opened_total", 1)]);
    });
}

// Row 7.
#[test]
fn nothing_of_a_request_gets_into_the_head_of_its_answer() {
    story(&[], |server| {
        for (target, line, status) in [
            ("/ws", "Sec-WebSocket-Protocol: X-Evil:1", 400),
            ("/ws", "Sec-WebSocket-Protocol: fanfare.raw.v1\tX-Evil", 400),
            ("/ws", "Sec-WebSocket-Protocol: X-Evil, fanfare.raw.v1", 101),
            ("/ws", "Sec-WebSocket-Extensions: X-Evil", 101),
            ("/ws", "Origin: http://X-Evil.example", 403),
            ("/ws?dialect=%0d%0aX-Evil:%201", "X: y", 400),
            ("/ws?topic=%0d%0aX-Evil:%201", "X: y", 400),
            ("/ws?user=%0d%0aX-Evil:%201", "X: y", 403),
            ("/pages/%0d%0aX-Evil:%201", "X: y", 404),
            ("/api/%0d%0aX-Evil:%201", "X: y", 404),
            ("/api/stats?%0d%0aX-Evil:%201", "X: y", 400),
        ] {
            let response = answer(server, upgrade_request(target, &[line]).as_bytes()).unwrap();
            assert_eq!(response.status, status, "{target} {line}");
            assert!(
                !response.head.to_ascii_lowercase().contains("x-evil"),
                "{target} {line}: {}",
                response.head
            );
        }
    });
}

// Row 8.
#[test]
fn requests_that_two_readers_would_cut_apart_differently_are_refused() {
    story(&[], |server| {
        let upgrade = |lines: &[&str]| upgrade_request("/ws", lines);
        for request in [
            upgrade(&["Content-Length: 5"]) + "hello",
            upgrade(&["Content-Length: 0", "Content-Length: 5"]) + "hello",
            upgrade(&["Content-Length: +5"]) + "hello",
            upgrade(&["Transfer-Encoding: chunked"]) + "0\r\n\r\n",
            upgrade(&["Transfer-Encoding: chunked", "Content-Length: 5"]) + "0\r\n\r\n",
            upgrade(&["Transfer-Encoding: gzip"]) + "hello",
        ] {
            let response = answer(server, request.as_bytes()).expect(&request);
            assert_eq!(response.status, 400, "{request}");
        }
        let h2c = [
            "Connection: Upgrade, HTTP2-Settings",
            "Upgrade: h2c",
            "HTTP2-Settings: AAMAAABkAAQAAP__",
        ];
        let request = spoilt("Connection: Upgrade\r\nUpgrade: websocket", &h2c.join("\r\n"));
        assert_eq!(answer(server, request.as_bytes()).unwrap().status, 426);
        assert!(answer(server, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").is_none_or(|r| r.status == 400));
    });
}

// Row 8: the request that is hidden in a body must never be answered.
#[test]
fn a_body_of_two_lengths_hides_no_second_request() {
    story(&[], |server| {
        let hidden = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let chunked = "Transfer-Encoding: chunked";
        for (lines, has_second) in [
            (vec!["Content-Length: 5"], true),
            (vec!["Content-Length: 4", chunked], false),
            (vec![chunked, "Content-Length: 4"], false),
            (vec!["Content-Length: 4", "Content-Length: 40"], false),
        ] {
            let mut client = Client::connect(server.address);
            let head = format!(
                "POST /api/publish?topic=a HTTP/1.1\r\nHost: localhost\r\n{}\r\n\r\n",
                lines.join("\r\n")
            );
            client.send((head + "0\r\n\r\n" + hidden).as_bytes());
            let first = client.response().map(|response| response.status);
            assert!(matches!(first, Some(200 | 400)), "{lines:?}: {first:?}");
            let second = client.response();
            assert_eq!(second.is_some(), has_second, "{lines:?}: {second:?}");
        }
    });
}

// Row 9.
#[test]
fn what_is_sent_right_behind_the_handshake_is_answered_in_order() {
    story(&[], |server| {
        let mut bytes = upgrade_request("/ws?topic=a", &[]).into_bytes();
        for id in 1..=50 {
            let command = json!({"type": "publish", "topic": "b", "data": "x".repeat(1_000), "id": id});
            bytes.extend(masked(TEXT, command.to_string().as_bytes()));
        }
        bytes.extend(masked(PING, b"last"));
        bytes.extend(masked(CLOSE, &1000_u16.to_be_bytes()));
        let mut client = Client::connect(server.address);
        client.send(&bytes);
        assert_eq!(client.response().unwrap().status, 101);
        client.expect("welcome");
        // Replies and what belongs to topics go in lanes of their own, each in order.
        let answers: Vec<_> = (0..51).map(|_| client.json()).collect();
        let (replies, rest): (Vec<_>, Vec<_>) =
            answers.iter().partition(|answer| answer["type"] == "published");
        assert_eq!(rest.len(), 1, "{rest:?}");
        assert_eq!(rest[0]["type"], "subscribed");
        assert!(replies.iter().zip(1..=50).all(|(reply, id)| reply["id"] == id));
        let pong = client.frame().unwrap();
        assert_eq!((pong.first, pong.payload.as_slice()), (PONG, &b"last"[..]));
        assert_eq!(client.ending().code, 1000);
    });
}

// Rows 15 and 38: all sockets stay open, and nothing comes through any more.
#[test]
fn a_peer_that_lost_its_power_is_found_by_its_silence() {
    let times = [
        "--ping-interval",
        "1s",
        "--pong-timeout",
        "1s",
        "--close-timeout",
        "100ms",
    ];
    story(&times, |server| {
        let proxy = Proxy::to(server.address);
        let (mut well, _) = Client::open_json(server.address, "/ws?topic=a");
        well.expect("subscribed");
        let (mut lost, lost_id) = Client::open_json(proxy.address, "/ws?topic=a");
        lost.expect("subscribed");
        assert_eq!(api(server, "/api/topics")["topics"][0]["subscribers"], 2);
        proxy.stall();
        let no_pong = disconnects(3002, "no pong");
        let began = Instant::now();
        while server.metric(&no_pong) == 0 {
            assert_eq!(well.frame().unwrap().first, PING);
            well.send(&masked(PONG, b""));
            assert!(began.elapsed() < Duration::from_secs(15), "it is still here");
        }
        let listed = api(server, "/api/topics")["topics"].to_string();
        assert!(
            listed.contains("\"subscribers\":1"),
            "it has left its topics: {listed}"
        );
        eventually("it is in no list", || {
            !api(server, "/api/connections").to_string().contains(&lost_id)
        });
        well.ask_past_messages(json!({"type": "ping", "id": 1}));
        server.await_metrics(&[(&no_pong, 1), ("fanfare_connections", 1)]);
    });
}

// Row 16.
#[test]
fn a_reset_in_the_middle_of_anything_is_a_clean_release() {
    story(&[], |server| {
        let mut bystanders = Bystanders::open(server);
        let before = server.metric("fanfare_connections_opened_total");
        let request = upgrade_request("/ws?topic=a", &[]);
        let frame = masked(TEXT, &[b'x'; 5_000]);
        // In the request, in its last byte, in a frame's header, mask and payload.
        let cuts = [1, 50, request.len() - 1].into_iter();
        let cuts = cuts.chain([1, 3, 7, 4_000].map(|bytes| request.len() + bytes));
        let mut opened = 0;
        for cut in cuts {
            let proxy = Proxy::to(server.address);
            proxy.set(Way::Up, Fault::then(cut, Then::Reset));
            let mut client = Client::connect(proxy.address);
            client.send(request.as_bytes());
            if cut > request.len() {
                assert_eq!(client.response().unwrap().status, 101);
                client.expect("welcome");
                client.expect("subscribed");
                let _ = client.stream.write_all(&frame);
                opened += 1;
            }
            client.time_to_end();
        }
        server.await_metrics(&[
            ("fanfare_connections_opened_total", before + opened),
            ("fanfare_lost_total", 1 + opened),
            ("fanfare_connections", 2),
        ]);
        bystanders.assert_well();
    });
}

// Row 16: the server is in the middle of a write that the socket does not take whole.
#[test]
fn a_reset_in_the_middle_of_a_large_write_is_a_clean_release() {
    story(&["--send-buffer-bytes", "8KiB"], |server| {
        let proxy = Proxy::to(server.address);
        let mut client = Client::open(proxy.address, "/ws?topic=a");
        client.expect("welcome");
        client.expect("subscribed");
        let (mut publisher, _) = Client::open_json(server.address, "/ws");
        proxy.set(Way::Down, Fault::then(0, Then::Stall));
        for id in 0..20 {
            let command = json!({"type": "publish", "topic": "a", "data": "x".repeat(50_000), "id": id});
            assert_eq!(publisher.ask(command)["type"], "published");
        }
        eventually("the write is stuck", || {
            server.metric("fanfare_outbox_places") > 0
        });
        proxy.reset();
        server.await_metrics(&[
            ("fanfare_connections", 1),
            ("fanfare_waiting_bytes", 0),
            ("fanfare_lost_total", 2),
        ]);
    });
}
