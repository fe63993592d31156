//! History over the API: the same as over a socket, and whatever is asked for in bounds.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::Stand;
use super::stories::{Client, listening};

/// A stand where `a` had 150 publications, of which it keeps 100, and its epoch.
async fn with_history() -> (Stand, String) {
    let stand = Stand::start();
    publish(&stand, 150).await;
    let page = read(&stand, "topic=a&limit=1").await;
    let epoch = page["epoch"].as_str().unwrap().to_owned();
    (stand, epoch)
}

async fn publish(stand: &Stand, count: u64) {
    for number in 1..=count {
        let payload = fanfare::Payload::serialize(&number).unwrap();
        stand.fanfare.publish("a", payload).await.unwrap();
    }
}

async fn read(stand: &Stand, query: &str) -> Value {
    stand.get(&format!("/api/history?{query}")).await.done()
}

fn offsets(page: &Value) -> Vec<u64> {
    let messages = page["messages"].as_array().unwrap().iter();
    messages
        .map(|message| message["offset"].as_u64().unwrap())
        .collect()
}

/// The parameter that leads to the next page, as the page gives it.
fn next(page: &Value) -> Option<String> {
    let (name, place) = page["next"].as_object()?.iter().next()?;
    let (epoch, offset) = (place["epoch"].as_str().unwrap(), &place["offset"]);
    Some(format!("{name}={epoch}:{offset}"))
}

#[tokio::test]
async fn a_topic_is_read_page_by_page_in_both_directions() {
    let (stand, epoch) = with_history().await;
    let expected: Vec<u64> = (51..=150).collect();
    for (from, expected) in [
        ("limit=30".to_owned(), expected.clone()),
        ("since=10m".to_owned(), expected.clone()),
        ("last=40&limit=30".to_owned(), expected[60..].to_vec()),
        (format!("since={epoch}:90&limit=30"), expected[40..].to_vec()),
        (
            format!("before={epoch}:151&limit=30"),
            expected.iter().rev().copied().collect(),
        ),
    ] {
        let (mut query, mut seen) = (Some(from.clone()), Vec::new());
        while let Some(from) = query {
            let page = read(&stand, &format!("topic=a&{from}")).await;
            assert_eq!((&page["offset"], &page["epoch"]), (&json!(150), &json!(epoch)));
            seen.extend(offsets(&page));
            query = next(&page);
        }
        assert_eq!(seen, expected, "{from}");
    }
}

#[tokio::test]
async fn what_cannot_be_gone_on_from_is_said_with_the_reason() {
    let (stand, epoch) = with_history().await;
    for (place, recovered, reason, first) in [
        (format!("{epoch}:50"), true, Value::Null, Some(51)),
        (format!("{epoch}:49"), false, json!("too_old"), Some(51)),
        (format!("{epoch}:0"), false, json!("too_old"), Some(51)),
        (format!("{epoch}:151"), false, json!("ahead"), None),
        (
            format!("{epoch}:18446744073709551615"),
            false,
            json!("ahead"),
            None,
        ),
        ("other:150".to_owned(), false, json!("epoch_changed"), Some(51)),
    ] {
        let page = read(&stand, &format!("topic=a&since={place}")).await;
        assert_eq!(
            (
                &page["recovered"],
                &page["reason"],
                offsets(&page).first().copied()
            ),
            (&json!(recovered), &reason, first),
            "{place}"
        );
    }
    let nowhere = read(&stand, "topic=nowhere").await;
    assert_eq!((offsets(&nowhere), &nowhere["offset"]), (vec![], &json!(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_is_what_a_client_is_answered() {
    let (stand, address) = listening().await;
    for body in [
        json!({"topic": "a", "data": {"n": 1}, "key": "k"}),
        json!({"topic": "a", "data_base64": "AAEC"}),
    ] {
        stand.post_json("/api/publish", body).await.done();
    }
    let mut client = Client::connect(address, "topic=a&user=ada");
    client.says(&json!({"type": "publish", "topic": "a", "data": [1.0, "é"], "echo": false, "id": 1}));
    assert_eq!(client.hears()["type"], "published");
    let stands = read(&stand, "topic=a&limit=1").await;
    let place = json!({"epoch": stands["epoch"], "offset": 3});
    for (query, fields) in [
        ("topic=a".to_owned(), json!({})),
        ("topic=a&limit=2".to_owned(), json!({"limit": 2})),
        ("topic=a&last=1".to_owned(), json!({"last": 1})),
        ("topic=a&since=a:1".to_owned(), json!({"since": "a:1"})),
        (
            format!("topic=a&limit=1&before={}:3", stands["epoch"].as_str().unwrap()),
            json!({"before": place, "limit": 1}),
        ),
    ] {
        let mut command = fields;
        command["type"] = json!("history");
        command["topic"] = json!("a");
        client.says(&command);
        let mut heard = client.hears();
        assert_eq!(
            heard.as_object_mut().unwrap().remove("type"),
            Some(json!("history"))
        );
        assert_eq!(read(&stand, &query).await, heard, "{query}");
    }
}

#[tokio::test]
async fn questions_that_are_not_clear_are_refused_in_words() {
    let (stand, epoch) = with_history().await;
    for (query, code, words) in [
        ("", "bad_query", "`topic` is missing"),
        ("topic=a&topic=b", "bad_query", "`topic` is repeated"),
        ("topic=", "bad_topic", "empty"),
        ("topic=$all", "bad_topic", "belong to the server"),
        ("topic=a%20b", "bad_topic", "byte 1"),
        ("topic=a&limit=0", "bad_query", "from 1 to 1000"),
        ("topic=a&limit=1001", "bad_query", "from 1 to 1000"),
        ("topic=a&limit=9223372036854775808", "bad_query", "from 1 to 1000"),
        ("topic=a&limit=-1", "bad_query", "from 1 to 1000"),
        ("topic=a&since=5", "bad_query", "30s, 5m, 12h or 7d"),
        ("topic=a&since=k2w9:-1", "bad_query", "k2w9:17"),
        ("topic=a&since=k2w9:18446744073709551616", "bad_query", "k2w9:17"),
        ("topic=a&before=5m", "bad_query", "a position such as"),
        ("topic=a&before=k2w9:-1", "bad_query", "a position such as"),
        ("topic=a&last=-1", "bad_query", "a number of publications"),
        ("topic=a&last=%2B1", "bad_query", "a number of publications"),
        (
            "topic=a&last=18446744073709551616",
            "bad_query",
            "a number of publications",
        ),
        ("topic=a&last=1&since=5m", "bad_query", "give one of them"),
        ("topic=a&before=a:1&since=5m", "bad_query", "give one of them"),
        (
            "topic=a&cursor=t1",
            "bad_query",
            "it takes topic, since, last, before, limit",
        ),
    ] {
        let answer = stand.get(&format!("/api/history?{query}")).await;
        assert_eq!(answer.verdict(), (400, json!(code)), "{query}");
        let message = answer.json["error"]["message"].as_str().unwrap();
        assert!(message.contains(words), "{query}: {message}");
    }
    // Row 55: as much as can be said is clamped to what there is.
    for query in [
        "last=9223372036854775808".to_owned(),
        "last=18446744073709551615".to_owned(),
        "since=4294967295d".to_owned(),
        format!("before={epoch}:18446744073709551615"),
    ] {
        let page = read(&stand, &format!("topic=a&limit=1000&{query}")).await;
        assert_eq!(offsets(&page).len(), 100, "{query}");
    }
}

/// Numbers around every edge that there is, and what is none.
fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        (0..200_u64).prop_map(|number| number.to_string()),
        any::<u64>().prop_map(|number| number.to_string()),
        any::<i128>().prop_map(|number| number.to_string()),
        "[-+0-9a-z:.%]{0,12}",
    ]
}

#[test]
fn whatever_is_asked_is_answered_in_bounds_or_refused_in_words() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (stand, epoch) = runtime.block_on(with_history());
    let epoch = prop_oneof![Just(epoch), "[0-9a-z]{0,14}"];
    let asked = (epoch, number(), number(), 0..4, any::<bool>());
    proptest!(ProptestConfig::with_cases(1_000), |((epoch, number, limit, which, is_limited) in asked)| {
        let from = match which {
            0 => format!("since={epoch}:{number}"),
            1 => format!("before={epoch}:{number}"),
            2 => format!("last={number}"),
            _ => format!("since={number}s"),
        };
        let limit = if is_limited { format!("&limit={limit}") } else { String::new() };
        let uri = format!("/api/history?topic=a&{from}{limit}");
        // Every answer is held to the contract on its way.
        let answer = runtime.block_on(stand.get(&uri));
        match answer.status.as_u16() {
            200 => {
                let offsets = offsets(&answer.json);
                prop_assert!(offsets.iter().all(|offset| (51..=150).contains(offset)), "{uri}");
                prop_assert!(answer.json["next"].is_null() || !offsets.is_empty(), "{uri} would go on for ever");
            }
            status => prop_assert_eq!(status, 400, "{}", uri),
        }
    });
}
