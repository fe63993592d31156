//! What is said beside a stream, and by whom.

use serde_json::{Value, json};

use super::{Feed, Framing, aside, post, request};
use crate::client::Client;
use crate::server::Server;

/// What somebody is told who says something for a session.
fn said(server: &Server, session: &str, node: &str) -> u16 {
    let body = json!({"session": session, "node": node, "data": "{}"}).to_string();
    request(server, &post("/emulation", body.as_bytes(), &[])).status
}

fn text<'v>(told: &'v Value, name: &str) -> &'v str {
    told[name].as_str().unwrap()
}

#[test]
fn nobody_speaks_for_another_ones_stream() {
    let server = Server::start();
    let (mut feed, told) = Feed::open(&server, Framing::Lines);
    let (_other, others) = Feed::open(&server, Framing::Events);
    let (session, node) = (text(&told, "session"), text(&told, "node"));
    let mixed = format!("{}{}", &session[..16], &text(&others, "session")[16..]);
    let mut guessed = session.to_owned();
    let last = guessed.pop().unwrap();
    guessed.push(if last == '0' { '1' } else { '0' });
    for wrong in [
        "",
        "x",
        &session[..47],
        &session[..16],
        &mixed,
        &guessed,
        &"0".repeat(48),
        &"f".repeat(48),
    ] {
        assert_eq!(said(&server, wrong, node), 404, "{wrong}");
    }
    for wrong in ["", "x", &node[1..], session] {
        assert_eq!(said(&server, session, wrong), 404, "{wrong}");
    }
    assert_eq!(
        aside(&server, &told, r#"{"id":2,"subscribe":{"channel":"a"}}"#).status,
        204
    );
    assert_eq!(feed.json()["id"], 2, "it is none the worse for that");
}

#[test]
fn a_session_of_who_only_receives_is_not_spoken_for() {
    let server = Server::start();
    let (_feed, told) = Feed::open(&server, Framing::Lines);
    let mut uni = Feed::post(&server, "/connection/uni_sse", b"{}", Framing::Events);
    let connect = uni.json()["connect"].clone();
    assert_eq!(said(&server, text(&connect, "session"), text(&told, "node")), 404);
}

#[test]
fn what_is_no_aside_is_refused_by_its_fault() {
    let server = Server::start();
    let (_feed, told) = Feed::open(&server, Framing::Lines);
    let of_session =
        |data: Value| json!({"session": told["session"], "node": told["node"], "data": data}).to_string();
    let too_long = "x".repeat((64 << 10) + 1);
    for (body, status) in [
        (String::new(), 400),
        ("{".to_owned(), 400),
        ("[]".to_owned(), 400),
        (of_session(json!({"id": 1})), 400),
        (of_session(json!("")), 400),
        (of_session(json!(too_long)), 413),
        (of_session(json!("x".repeat(1 << 20))), 413),
    ] {
        let answer = request(&server, &post("/emulation", body.as_bytes(), &[]));
        assert_eq!(answer.status, status, "{body:.80}");
    }
    let lines = ["Content-Type: application/octet-stream"];
    let answer = request(
        &server,
        &post("/emulation", b"\x1a\xff\xff\xff\xff\xff\x0f", &lines),
    );
    assert_eq!(answer.status, 400, "a length that is none");
    let answer = request(&server, b"GET /emulation HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(
        (answer.status, answer.header("allow")),
        (405, Some("POST, OPTIONS"))
    );
    let mut cut = Client::connect(server.address);
    cut.send(b"POST /emulation HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{");
    cut.shut_write();
    assert!(cut.response().is_none_or(|answer| answer.status == 400));
}

#[test]
fn what_is_no_command_ends_the_stream() {
    let server = Server::start();
    for wrong in ["x", "[]", "{\"id\":1}", "\n", r#"{"id":2,"connect":{}}"#] {
        let (mut feed, told) = Feed::open(&server, Framing::Events);
        assert_eq!(aside(&server, &told, wrong).status, 204);
        let rest = feed.rest();
        assert_eq!(rest[0]["push"]["disconnect"]["code"], 3501, "{wrong:?}");
        assert_eq!(rest.len(), 1);
        assert_eq!(aside(&server, &told, "{}").status, 404, "it is over");
    }
    server.assert_empty();
}

#[test]
fn what_is_said_in_the_stream_itself_means_nothing() {
    let server = Server::start();
    let (mut feed, told) = Feed::open(&server, Framing::Lines);
    feed.client
        .send(b"{\"id\":9,\"subscribe\":{\"channel\":\"a\"}}\n\x81\x80\x00\x00\x00\x00");
    assert_eq!(
        aside(&server, &told, r#"{"id":2,"subscribe":{"channel":"b"}}"#).status,
        204
    );
    assert_eq!(feed.json()["id"], 2);
    assert_eq!(server.fanfare.subscribers("a"), 0);
}
