//! Everything that callers do wrong, and what they are told.

use axum::body::Body;
use serde_json::{Value, json};

use super::super::answer::Code;
use super::{Access, MESSAGE_BYTES_MAX, Stand, fanfare, reload, request, router};
use crate::options::ServeOptions;

const JSON: &str = "application/json";
const CURL: &str = "application/x-www-form-urlencoded";
const TEXT: &str = "text/plain";
const BYTES: &str = "application/octet-stream";

/// Posts each - a path below `/api`, a content type and a body - and compares the code; the status is the code's.
async fn refuses(calls: &[(&str, &str, &[u8], Code)]) {
    let stand = Stand::start();
    for &(path, content_type, body, code) in calls {
        let answer = stand
            .post(&format!("/api{path}"), content_type, body.to_vec())
            .await;
        let what = format!("{path} {content_type:?} {}: {}", body.escape_ascii(), answer.json);
        assert_eq!(
            answer.verdict(),
            (code.status().as_u16(), json!(code.name())),
            "{what}"
        );
    }
    // Nothing of it was published.
    let topics = stand.get("/api/topics?reserved=true").await.done();
    assert_eq!(topics["topics"], json!([]));
}

/// What is wrong with a publication.
const BAD_PUBLICATIONS: &[(&str, &str, &[u8], Code)] = &[
    ("/publish?topic=a", JSON, b"{", Code::BadJson),
    ("/publish?topic=a", JSON, b"", Code::BadJson),
    ("/publish?topic=a", JSON, b"1 2", Code::BadJson),
    ("/publish?topic=a", JSON, b"\"\xff\"", Code::BadJson),
    (
        "/publish",
        JSON,
        b"{\"topic\":\"a\",\"data\":1,\"key\":\"\"}",
        Code::BadBody,
    ),
    ("/publish?topic=a", TEXT, b"\xff", Code::BadBody),
    ("/publish?topic=a", "", b"\xff", Code::BadBody),
    ("/publish?topic=", TEXT, b"x", Code::BadTopic),
    ("/publish?topic=$all", TEXT, b"x", Code::BadTopic),
    ("/publish?topic=a%20b", TEXT, b"x", Code::BadTopic),
    ("/publish?topic=a&topic=b*", TEXT, b"x", Code::BadTopic),
    ("/publish?topic=%ff", TEXT, b"x", Code::BadQuery),
    ("/publish?topics=a", TEXT, b"x", Code::BadQuery),
    ("/publish?topic=a&user=b", TEXT, b"x", Code::BadQuery),
    (
        "/publish?topic=a&api_key=0123456789abcdef",
        TEXT,
        b"x",
        Code::KeyInQuery,
    ),
    ("/publish", JSON, b"[]", Code::BadBody),
    ("/publish", JSON, b"hello", Code::BadJson),
    ("/publish", CURL, b"hello", Code::BadJson),
    ("/publish", "", b"", Code::BadJson),
    ("/publish", TEXT, b"{\"topic\":\"a\",\"data\":1}", Code::WrongType),
    (
        "/publish",
        BYTES,
        b"{\"topic\":\"a\",\"data\":1}",
        Code::WrongType,
    ),
    ("/publish", JSON, b"{\"topic\":\"a\"}", Code::BadBody),
    ("/publish", JSON, b"{\"data\":1}", Code::BadBody),
    (
        "/publish",
        JSON,
        b"{\"topic\":\"a\",\"topics\":[\"b\"],\"data\":1}",
        Code::BadBody,
    ),
    ("/publish", JSON, b"{\"topics\":[],\"data\":1}", Code::BadBody),
    ("/publish", JSON, b"{\"topic\":1,\"data\":1}", Code::BadBody),
    (
        "/publish",
        JSON,
        b"{\"topics\":[\"a\",\"b c\"],\"data\":1}",
        Code::BadTopic,
    ),
    (
        "/publish",
        JSON,
        b"{\"topic\":\"$user:ana\",\"data\":1}",
        Code::BadTopic,
    ),
    (
        "/publish",
        JSON,
        b"{\"topic\":\"a\",\"data\":1,\"data_base64\":\"\"}",
        Code::BadBody,
    ),
    (
        "/publish",
        JSON,
        b"{\"topic\":\"a\",\"data_base64\":\"?\"}",
        Code::BadBody,
    ),
    (
        "/publish",
        JSON,
        b"{\"topic\":\"a\",\"payload\":1}",
        Code::BadBody,
    ),
    ("/broadcast", JSON, b"1", Code::BadBody),
    ("/broadcast", JSON, b"{\"text\":\"hi\"}", Code::BadBody),
    ("/broadcast", CURL, b" {\"text\":\"hi\"}", Code::BadBody),
    ("/broadcast", JSON, b"{}", Code::BadBody),
    ("/broadcast?topic=a", TEXT, b"x", Code::BadQuery),
    ("/broadcast", TEXT, b"\xff", Code::BadBody),
];

#[tokio::test]
async fn bad_publications_are_refused_and_nothing_is_published() {
    refuses(BAD_PUBLICATIONS).await;
}

/// What is wrong with whom a call names, or with what is to become of them.
const BAD_NAMES: &[(&str, &str, &[u8], Code)] = &[
    ("/send?user=", TEXT, b"x", Code::BadUser),
    ("/send?user=a%0ab", TEXT, b"x", Code::BadUser),
    ("/send?connection=1", TEXT, b"x", Code::BadConnection),
    (
        "/send?connection=FFFFFFFFFFFFFFFF",
        TEXT,
        b"x",
        Code::BadConnection,
    ),
    ("/send?connection=0000000000000000", TEXT, b"x", Code::NotFound),
    ("/send?connection=ffffffffffffffff", TEXT, b"x", Code::NotFound),
    ("/send?user=a&user=b", TEXT, b"x", Code::BadQuery),
    (
        "/send?user=a&connection=0000000000000000",
        TEXT,
        b"x",
        Code::BadQuery,
    ),
    ("/send", JSON, b"{\"data\":1}", Code::BadBody),
    ("/send", JSON, b"{\"user\":\"a\"}", Code::BadBody),
    ("/send", TEXT, b"x", Code::WrongType),
    ("/subscribe", JSON, b"{\"topic\":\"a\"}", Code::BadBody),
    ("/subscribe", JSON, b"{\"user\":\"a\"}", Code::BadBody),
    (
        "/subscribe",
        JSON,
        b"{\"user\":\"a\",\"topics\":[]}",
        Code::BadBody,
    ),
    (
        "/subscribe",
        JSON,
        b"{\"user\":\"a\",\"topic\":\"$all\"}",
        Code::BadTopic,
    ),
    (
        "/subscribe",
        JSON,
        b"{\"user\":\"\",\"topic\":\"a\"}",
        Code::BadUser,
    ),
    (
        "/unsubscribe",
        JSON,
        b"{\"connection\":\"x\",\"topic\":\"a\"}",
        Code::BadConnection,
    ),
    (
        "/unsubscribe",
        TEXT,
        b"{\"user\":\"a\",\"topic\":\"a\"}",
        Code::WrongType,
    ),
    ("/disconnect", JSON, b"{}", Code::BadBody),
    (
        "/disconnect",
        JSON,
        b"{\"connection\":\"0000000000000000\"}",
        Code::NotFound,
    ),
    (
        "/disconnect",
        JSON,
        b"{\"user\":\"a\",\"code\":3999}",
        Code::BadBody,
    ),
    (
        "/disconnect",
        JSON,
        b"{\"user\":\"a\",\"code\":5000}",
        Code::BadBody,
    ),
    (
        "/disconnect",
        JSON,
        b"{\"user\":\"a\",\"code\":70000}",
        Code::BadBody,
    ),
    (
        "/disconnect",
        JSON,
        b"{\"user\":\"a\",\"reason\":\"bye\"}",
        Code::BadBody,
    ),
    (
        "/disconnect",
        JSON,
        b"{\"user\":\"a\",\"code\":4000,\"reconnect\":true}",
        Code::BadBody,
    ),
];

#[tokio::test]
async fn bad_names_of_connections_are_refused() {
    refuses(BAD_NAMES).await;
    let long = json!({"user": "a", "code": 4000, "reason": "x".repeat(124)}).to_string();
    refuses(&[("/disconnect", JSON, long.as_bytes(), Code::BadBody)]).await;
}

#[tokio::test]
async fn sizes_and_counts_have_limits() {
    let over = vec![b'x'; MESSAGE_BYTES_MAX + 1];
    let far_over = vec![b'x'; MESSAGE_BYTES_MAX + 4_097];
    let json_over = json!({"topic": "a", "data": "x".repeat(MESSAGE_BYTES_MAX)}).to_string();
    let many_topics = json!({"topics": vec!["a"; 129], "data": 1}).to_string();
    let many_in_query = format!("/publish?{}", "topic=a&".repeat(129));
    refuses(&[
        ("/publish?topic=a", TEXT, &over, Code::TooLarge),
        ("/publish?topic=a", BYTES, &over, Code::TooLarge),
        ("/publish?topic=a", BYTES, &far_over, Code::TooLarge),
        ("/publish", JSON, json_over.as_bytes(), Code::TooLarge),
        ("/broadcast", TEXT, &over, Code::TooLarge),
        ("/send?user=a", TEXT, &over, Code::TooLarge),
        ("/publish", JSON, many_topics.as_bytes(), Code::BadBody),
        (&many_in_query, TEXT, b"x", Code::BadQuery),
    ])
    .await;
    let stand = Stand::start();
    let longest = vec![b'x'; MESSAGE_BYTES_MAX];
    stand.post("/api/publish?topic=a", TEXT, longest).await.done();
}

#[tokio::test]
async fn bad_questions_are_refused() {
    let stand = Stand::start();
    for (uri, code) in [
        ("/api/topics?limit=0", Code::BadQuery),
        ("/api/topics?limit=1001", Code::BadQuery),
        ("/api/topics?limit=x", Code::BadQuery),
        ("/api/topics?limit=1&limit=2", Code::BadQuery),
        ("/api/topics?reserved=yes", Code::BadQuery),
        ("/api/topics?cursor=", Code::BadCursor),
        ("/api/topics?cursor=0", Code::BadCursor),
        ("/api/topics?cursor=c0", Code::BadCursor),
        ("/api/topics?cursor=t%2b1", Code::BadCursor),
        ("/api/topics?cursor=t00", Code::BadCursor),
        ("/api/topics?cursor=tfffffffffffffffff", Code::BadCursor),
        ("/api/presence", Code::BadQuery),
        ("/api/presence?topic=a%20b", Code::BadTopic),
        ("/api/presence?topic=a&topic=b", Code::BadQuery),
        ("/api/presence?topic=a&limit=0", Code::BadQuery),
        ("/api/presence?topic=a&cursor=ada", Code::BadCursor),
        ("/api/connections?cursor=t0", Code::BadCursor),
        ("/api/connections?limit=-1", Code::BadQuery),
        ("/api/connections?reserved=true", Code::BadQuery),
        ("/api/stats?limit=1", Code::BadQuery),
        ("/api/stats?token=x", Code::KeyInQuery),
        ("/api/nothing", Code::NotFound),
        ("/api/topics/lobby", Code::NotFound),
        ("/api/", Code::NotFound),
        ("/api", Code::NotFound),
    ] {
        let expected = (code.status().as_u16(), json!(code.name()));
        assert_eq!(stand.get(uri).await.verdict(), expected, "{uri}");
    }
    for uri in [
        "/api/topics?cursor=tffffffffffffffff",
        "/api/connections?cursor=cffffffffffffffff",
    ] {
        assert_eq!(stand.get(uri).await.done()["next"], Value::Null, "{uri}");
    }
}

#[tokio::test]
async fn other_methods_are_told_which_to_use() {
    let stand = Stand::start();
    for (method, uri, allowed) in [
        ("GET", "/api/publish", "POST"),
        ("PUT", "/api/publish", "POST"),
        ("OPTIONS", "/api/publish", "POST"),
        ("POST", "/api/topics", "GET,HEAD"),
        ("OPTIONS", "/api/stats", "GET,HEAD"),
        ("DELETE", "/api/openapi.json", "GET,HEAD"),
    ] {
        let answer = stand
            .call(request(method, uri).body(Body::empty()).unwrap())
            .await;
        assert_eq!(
            answer.verdict(),
            (405, json!("method_not_allowed")),
            "{method} {uri}"
        );
        assert_eq!(answer.headers["allow"], allowed, "{method} {uri}");
    }
    let head = stand
        .call(request("HEAD", "/api/stats").body(Body::empty()).unwrap())
        .await;
    assert_eq!((head.status.as_u16(), head.json), (200, Value::Null));
}

#[tokio::test]
async fn whoever_has_no_right_learns_how_to_get_it() {
    let access = Access::new(
        &["0123456789abcdef".parse().unwrap()],
        ("http", "0.0.0.0:80".parse().unwrap()),
    );
    let fanfare = fanfare();
    let reload = reload(&fanfare, &access, || Ok(ServeOptions::default()));
    let router = router(fanfare.clone(), access, reload);
    let stand = Stand { fanfare, router };
    for uri in ["/api/stats", "/api/nothing"] {
        let answer = stand.get(uri).await;
        assert_eq!(answer.verdict(), (401, json!("unauthorized")), "{uri}");
        assert_eq!(answer.headers["www-authenticate"], "Bearer", "{uri}");
    }
    let with_key = request("GET", "/api/stats").header("authorization", "Bearer 0123456789abcdef");
    stand.call(with_key.body(Body::empty()).unwrap()).await.done();
}

#[tokio::test]
async fn a_page_of_another_origin_cannot_publish() {
    let stand = Stand::start();
    for origin in ["https://evil.example", "null", "http://127.0.0.1:3000"] {
        let posting = request("POST", "/api/publish?topic=a").header("origin", origin);
        let answer = stand.call(posting.body(Body::from("x")).unwrap()).await;
        assert_eq!(answer.verdict(), (401, json!("unauthorized")), "{origin}");
    }
    let own = request("POST", "/api/publish?topic=a").header("origin", "http://127.0.0.1:8080");
    assert_eq!(
        stand.call(own.body(Body::from("x")).unwrap()).await.done()["offset"],
        1
    );
}

#[tokio::test]
async fn a_stopped_hub_is_said_to_be_one() {
    let stand = Stand::start();
    stand
        .fanfare
        .shutdown(std::time::Duration::ZERO, std::time::Duration::from_secs(5))
        .await;
    let answer = stand.post_json("/api/disconnect", json!({"user": "ana"})).await;
    assert_eq!(answer.status.as_u16(), 503, "{}", answer.json);
}
