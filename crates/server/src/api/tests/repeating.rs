//! Publishing again with an idempotency key, and behind an expected place.

use axum::body::Body;
use serde_json::{Value, json};

use super::{Answer, Stand, request};

/// Publishes text to topic `a` with these headers.
async fn post(stand: &Stand, headers: &[&str], query: &str) -> Answer {
    let mut posting = request("POST", &format!("/api/publish?{query}"));
    for header in headers {
        posting = posting.header("Idempotency-Key", *header);
    }
    stand.call(posting.body(Body::from("x")).unwrap()).await
}

#[tokio::test]
async fn a_key_in_a_header_or_the_body_makes_it_safe_to_call_again() {
    let stand = Stand::start();
    let first = post(&stand, &["order-7"], "topic=a").await.done();
    assert_eq!((&first["offset"], &first["repeated"]), (&json!(1), &Value::Null));
    let in_quotes = post(&stand, &["\"order-7\""], "topic=a").await.done();
    let body = json!({"topic": "a", "data": 1, "idempotency_key": "order-7"});
    let in_body = stand.post_json("/api/publish", body).await.done();
    for again in [in_quotes, in_body] {
        assert_eq!(again["repeated"], true);
        assert_eq!(
            (&again["epoch"], &again["offset"]),
            (&first["epoch"], &first["offset"])
        );
    }
    let other = post(&stand, &["order-8"], "topic=a").await.done();
    assert_eq!((&other["offset"], &other["repeated"]), (&json!(2), &Value::Null));
}

#[tokio::test]
async fn with_several_topics_a_key_counts_in_each() {
    let stand = Stand::start();
    post(&stand, &["k"], "topic=a").await.done();
    let both = post(&stand, &["k"], "topic=a&topic=b").await.done();
    let repeated = [0, 1].map(|at| both["published"][at]["repeated"].clone());
    assert_eq!(repeated, [json!(true), Value::Null]);
}

#[tokio::test]
async fn a_place_that_is_not_the_topics_is_a_conflict_that_tells_the_topics() {
    let stand = Stand::start();
    let publish = async |epoch: &Value, offset: u64| {
        let body = json!({"topic": "a", "data": 1, "expected": {"epoch": epoch, "offset": offset}});
        stand.post_json("/api/publish", body).await
    };
    let conflict = publish(&json!("k2w9"), 0).await;
    assert_eq!(conflict.verdict(), (409, json!("conflict")));
    let epoch = &conflict.json["error"]["epoch"];
    assert_eq!(conflict.json["error"]["offset"], 0, "nothing was published yet");
    for offset in 0..3 {
        let done = publish(epoch, offset).await.done();
        assert_eq!((&done["epoch"], &done["offset"]), (epoch, &json!(offset + 1)));
    }
    let conflict = publish(epoch, 1).await;
    assert_eq!(conflict.verdict(), (409, json!("conflict")));
    let error = &conflict.json["error"];
    assert_eq!((&error["epoch"], &error["offset"]), (epoch, &json!(3)));
    let listed = stand.get("/api/topics").await.done();
    assert_eq!(
        listed["topics"][0]["offset"], 3,
        "what conflicts is not published"
    );
}

#[tokio::test]
async fn what_makes_no_sense_is_explained() {
    let stand = Stand::start();
    let long = "x".repeat(65);
    for (headers, says) in [
        (&["\"\""][..], "key is empty"),
        (&[&*long], "key is 65 bytes"),
        (&["a", "b"], "more than once"),
    ] {
        let answer = post(&stand, headers, "topic=a").await;
        assert_eq!(answer.verdict(), (400, json!("bad_header")));
        let message = answer.json["error"]["message"].as_str().unwrap();
        assert!(
            message.starts_with("`idempotency-key`: ") && message.contains(says),
            "{message}"
        );
    }
    let place = json!({"epoch": "e", "offset": 1});
    for (body, says) in [
        (
            json!({"topic": "a", "data": 1, "idempotency_key": ""}),
            "`idempotency_key`: key is empty",
        ),
        (
            json!({"topics": ["a"], "data": 1, "expected": place}),
            "give `topic` instead of `topics`",
        ),
        (
            json!({"topic": "a", "data": 1, "expected": {"epoch": "-", "offset": 1}}),
            "`expected` has no `epoch`",
        ),
        (
            json!({"topic": "a", "data": 1, "expected": 7}),
            "expected struct Expected",
        ),
    ] {
        let answer = stand.post_json("/api/publish", body).await;
        assert_eq!(answer.verdict(), (400, json!("bad_body")));
        let message = answer.json["error"]["message"].as_str().unwrap();
        assert!(message.contains(says), "{message}");
    }
    let twice = json!({"topic": "a", "data": 1, "idempotency_key": "k"}).to_string();
    let posting = request("POST", "/api/publish").header("Idempotency-Key", "k");
    let answer = stand.call(posting.body(Body::from(twice)).unwrap()).await;
    assert_eq!(answer.verdict(), (400, json!("bad_body")));
    let listed = stand.get("/api/topics").await.done();
    assert_eq!(listed["topics"], json!([]), "nothing of that was published");
}
