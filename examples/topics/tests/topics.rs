//! The example as its README has it tried, with plain clients and in a browser.

use std::collections::BTreeMap;

use fanfare_client::{Client, ConnectOptions, Error, Push};
use fanfare_testing::{Browsers, Program, Screen, Socket};
use serde_json::{Value, json};

const SYMBOLS: u64 = 8;

/// Publications that may wait for a client.
const OUTBOX_MAX: u64 = 64;

fn program() -> Program {
    Program::start(env!("CARGO_BIN_EXE_example-topics"))
}

#[tokio::test]
async fn topics_come_by_url_and_by_message_and_go_again() {
    let program = program();
    let mut ada = Socket::open(&program, "/ws?topic=room:tea&topic=room:cocoa");
    let mut topics: Vec<String> = Vec::new();
    while topics.len() < 2 {
        topics.extend(names(&ada.next_of("subscribed")));
    }
    topics.sort();
    assert_eq!(topics, ["room:cocoa", "room:tea"]);
    let ben = Client::connect(&program.websocket_url("/ws"), ConnectOptions::default())
        .await
        .unwrap();

    ben.publish("room:tea", "green?").await.unwrap();
    assert_eq!(said(&mut ada), ("room:tea".into(), "green?".into()));
    ben.publish("room:coffee", "nobody hears this").await.unwrap();
    let subscribed = ada.ask(json!({"type": "subscribe", "topic": "room:coffee"}));
    assert_eq!(names(&subscribed), ["room:coffee"]);
    ben.publish("room:coffee", "with milk?").await.unwrap();
    assert_eq!(said(&mut ada), ("room:coffee".into(), "with milk?".into()));

    let unsubscribed = ada.ask(json!({"type": "unsubscribe", "topics": ["room:tea", "room:coffee"]}));
    assert_eq!(unsubscribed["type"], "unsubscribed");
    for topic in ["room:tea", "room:coffee", "room:cocoa"] {
        ben.publish(topic, "still there?").await.unwrap();
    }
    assert_eq!(said(&mut ada), ("room:cocoa".into(), "still there?".into()));

    for refused in [
        ben.publish("prices", "mine").await.map(drop),
        ben.subscribe(&["other"]).await.map(drop),
    ] {
        assert!(
            matches!(&refused, Err(Error::Refused(refusal)) if refusal.code == "forbidden"),
            "{refused:?}"
        );
    }
    ben.close().await;
}

#[tokio::test]
async fn who_does_not_read_is_told_what_it_missed_and_gets_the_newest_of_every_symbol() {
    let program = program();
    let mut slow = Socket::open_narrow(&program, "/ws?topic=prices");
    let first = slow.next_of("message")["offset"].as_u64().unwrap();

    // Others get every price meanwhile, without a gap.
    let mut quick = Client::connect(&program.websocket_url("/ws"), ConnectOptions::default())
        .await
        .unwrap();
    quick.subscribe(&["prices"]).await.unwrap();
    let mut newest = first;
    while newest < first + 400 {
        match quick.next().await.unwrap() {
            Push::Publication(publication) => newest = publication.offset.unwrap(),
            push => assert!(!matches!(push, Push::Missed { .. }), "{push:?}"),
        }
    }

    let (mut last, mut received, mut missed) = (first, 1, 0);
    let mut offsets = BTreeMap::new();
    // The rounds are published at once, so who catches up may find the end of the last one behind this.
    while last < newest + SYMBOLS {
        let push = slow.next_json();
        if push["type"] == "missed" {
            missed += push["count"].as_u64().unwrap();
        } else if push["type"] == "message" {
            received += 1;
            last = push["offset"].as_u64().unwrap();
            offsets.insert(push["data"]["symbol"].to_string(), last);
        }
    }
    assert!(missed > 0, "nothing was left out, {received} were received");
    assert_eq!(
        received + missed,
        last - first + 1,
        "each is received, or told to be missed"
    );
    assert_eq!(offsets.len() as u64, SYMBOLS, "{offsets:?}");
    let is_recent = |offset: &u64| offset + OUTBOX_MAX > newest;
    assert!(
        offsets.values().all(is_recent),
        "{offsets:?}, and others are at {newest}"
    );
    quick.close().await;
}

#[tokio::test]
async fn a_page_shows_every_price_and_the_rooms_that_it_is_in() {
    let program = program();
    let browsers = Browsers::start();
    let ada = browsers.open(Screen::Desktop).await;
    ada.go(&program.url("/?room=tea&room=cocoa")).await;
    let ben = browsers.open(Screen::Phone).await;
    ben.go(&program.url("/")).await;
    for tab in [&ada, &ben] {
        tab.until_found("return document.querySelector('#state').textContent", "connected")
            .await;
        tab.until_found("return String(document.querySelectorAll('tbody tr').length)", "8")
            .await;
    }
    let before: String = ada.read(PRICES).await;
    ada.until_found(
        &format!(
            "return String({} !== {})",
            json!(before),
            PRICES.trim_start_matches("return ")
        ),
        "true",
    )
    .await;

    ben.click("tea").await;
    ben.type_into("content", "green?\u{e007}").await;
    for tab in [&ada, &ben] {
        tab.until_found(LAST_LINE, "room:tea: green?").await;
    }
    ada.click("tea").await;
    ben.type_into("content", "or black?\u{e007}").await;
    ben.until_found(LAST_LINE, "room:tea: or black?").await;
    ada.type_into("content", "tea, are you there?\u{e007}").await;
    ben.until_found(LAST_LINE, "room:tea: tea, are you there?").await;
    ada.until_found(LAST_LINE, "room:tea: green?").await;
    for tab in [&ada, &ben] {
        let is_wider: bool = tab
            .read("return document.documentElement.scrollWidth > innerWidth")
            .await;
        assert!(!is_wider, "the page scrolls sideways");
        assert_eq!(tab.complaints().await, [""; 0]);
    }
}

const PRICES: &str = "return document.querySelector('tbody').textContent";

const LAST_LINE: &str = "return document.querySelector('#log').lastChild?.textContent ?? ''";

/// The topics of a `subscribed`.
fn names(subscribed: &Value) -> Vec<String> {
    let topics = subscribed["topics"].as_array().unwrap();
    topics
        .iter()
        .map(|topic| topic["topic"].as_str().unwrap().to_owned())
        .collect()
}

/// What is said next, and where.
fn said(socket: &mut Socket) -> (String, String) {
    let push = socket.next_of("message");
    let text = |field: &str| push[field].as_str().unwrap().to_owned();
    (text("topic"), text("data"))
}
