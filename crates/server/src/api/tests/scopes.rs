//! Keys that may do some things and not others, on every path.

use axum::body::Body;
use serde_json::{Value, json};

use super::super::routes;
use super::{KEY, Stand, request};

/// Every path with a call of it, and the scopes of which any one is enough.
const CALLS: &[(&str, &str, &str, &[&str])] = &[
    (
        "POST",
        "/api/publish?topic=orders:1",
        "x",
        &["publish:orders:*", "publish:*", "admin"],
    ),
    (
        "POST",
        "/api/publish",
        r#"{"topic":"orders:1","data":1}"#,
        &["publish:orders:*", "publish:*", "admin"],
    ),
    (
        "POST",
        "/api/publish",
        r#"{"topics":["orders:1","b"],"data":1}"#,
        &["publish:*", "admin"],
    ),
    (
        "POST",
        "/api/publish?topic=orders:1&topic=b",
        "x",
        &["publish:*", "admin"],
    ),
    ("POST", "/api/broadcast", "x", &["publish:$all", "admin"]),
    ("POST", "/api/send?user=ana", "x", &["publish:$user:*", "admin"]),
    (
        "POST",
        "/api/send",
        r#"{"user":"ana","data":1}"#,
        &["publish:$user:*", "admin"],
    ),
    (
        "POST",
        "/api/send?connection=00000000ffffffff",
        "x",
        &["publish:$connection:*", "admin"],
    ),
    (
        "POST",
        "/api/subscribe",
        r#"{"user":"ana","topic":"a"}"#,
        &["admin"],
    ),
    (
        "POST",
        "/api/unsubscribe",
        r#"{"user":"ana","topic":"a"}"#,
        &["admin"],
    ),
    ("POST", "/api/disconnect", r#"{"user":"ana"}"#, &["admin"]),
    ("POST", "/api/revoke", r#"{"user":"ana"}"#, &["admin"]),
    ("POST", "/api/reload", "", &["admin"]),
    ("GET", "/api/topics", "", &["stats", "admin"]),
    ("GET", "/api/presence?topic=a", "", &["stats", "admin"]),
    ("GET", "/api/connections", "", &["stats", "admin"]),
    ("GET", "/api/stats", "", &["stats", "admin"]),
    ("GET", "/api/history?topic=orders:1", "", &["stats", "admin"]),
];

/// Everything that a key may be allowed, one at a time.
const SCOPES: &[&str] = &[
    "publish:orders:*",
    "publish:*",
    "publish:$all",
    "publish:$user:*",
    "publish:$connection:*",
    "stats",
    "admin",
];

#[tokio::test]
async fn a_key_opens_what_its_scopes_say_and_nothing_else() {
    for scope in SCOPES {
        let stand = Stand::with_key(&format!("shop {scope} HASH"));
        for (method, uri, body, enough) in CALLS {
            let call = request(method, uri).header("x-api-key", KEY);
            let answer = stand.call(call.body(Body::from(*body)).unwrap()).await;
            let is_forbidden = answer.verdict() == (403, json!("forbidden"));
            assert_eq!(
                is_forbidden,
                !enough.contains(scope),
                "{scope}: {method} {uri} {}",
                answer.json
            );
            if !is_forbidden {
                // It was done, or there is no such connection.
                assert!(
                    [200, 404].contains(&answer.status.as_u16()),
                    "{scope}: {uri} {}",
                    answer.json
                );
            }
        }
        // Nothing else is there for anyone.
        let call = request("GET", "/api/nothing").header("x-api-key", KEY);
        let answer = stand.call(call.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.verdict(), (404, json!("not_found")));
    }
}

#[test]
fn every_path_is_among_the_calls() {
    for route in routes() {
        let is_called = CALLS.iter().any(|(method, uri, ..)| {
            method.eq_ignore_ascii_case(route.method) && uri.split('?').next() == Some(route.path)
        });
        assert!(is_called, "{}", route.path);
    }
}

#[tokio::test]
async fn a_refusal_names_the_key_and_the_scope_that_it_lacks() {
    let stand = Stand::with_key("shop publish:orders:* HASH");
    for (uri, scope) in [
        ("/api/publish?topic=orders:1&topic=news", "publish:news"),
        ("/api/broadcast", "publish:$all"),
        ("/api/send?user=ana", "publish:$user:ana"),
    ] {
        let call = request("POST", uri).header("x-api-key", KEY);
        let answer = stand.call(call.body(Body::from("x")).unwrap()).await;
        assert_eq!(
            answer.json["error"]["message"],
            format!("the key `shop` has no scope `{scope}`, use another key or give it that scope")
        );
        assert_eq!(answer.headers.get("www-authenticate"), None);
    }
    // None of several is published when one is not allowed.
    let topics = stand.fanfare.topics(0, 10).topics;
    assert!(topics.is_empty(), "{topics:?}");
}

#[tokio::test]
async fn tokens_are_revoked_by_id_or_by_user() {
    let stand = Stand::start();
    for body in [
        json!({"user": "ana"}),
        json!({"token": "one"}),
        json!({"token": "two", "expires_at": 4_102_444_800_u64}),
    ] {
        assert_eq!(
            stand.post_json("/api/revoke", body).await.done(),
            json!({"connections": 0})
        );
    }
    assert_eq!(stand.fanfare.tokens().unwrap().revoked(), 3);
    for body in [
        json!({}),
        json!({"user": "ana", "token": "one"}),
        json!({"user": "ana", "expires_at": 1}),
        json!({"token": ""}),
        json!({"token": "x".repeat(256)}),
        json!({"token": 1}),
    ] {
        let answer = stand.post_json("/api/revoke", body.clone()).await;
        assert_eq!(answer.verdict(), (400, json!("bad_body")), "{body}");
    }
    let answer = stand.post_json("/api/revoke", json!({"user": "a b"})).await;
    assert_eq!(answer.verdict(), (400, json!("bad_user")));
    let nowhere = Stand::without_tokens()
        .post_json("/api/revoke", json!({"user": "ana"}))
        .await;
    assert_eq!(
        (nowhere.status.as_u16(), &nowhere.json["error"]["code"]),
        (409, &Value::from("no_tokens"))
    );
}
