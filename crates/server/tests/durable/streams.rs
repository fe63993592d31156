//! Somebody with curl, who goes on behind the last event over every end of the server.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::client::DEADLINE;
use crate::curl::Curl;
use crate::house::{House, connect, end, publish, try_post};

const TOPICS: [&str; 2] = ["a", "b"];

/// Publishes numbers until it is enough, each until that was answered; the last one.
fn publish_numbers(address: SocketAddr, is_enough: &AtomicBool) -> u64 {
    let mut number = 1;
    while !is_enough.load(Ordering::Relaxed) {
        number += 1;
        let body = json!({"topics": TOPICS, "data": number, "idempotency_key": number.to_string()});
        let said = || try_post(&mut connect(address)?, &body).filter(|(status, _)| *status == 200);
        let deadline = Instant::now() + DEADLINE;
        while said().is_none() {
            assert!(Instant::now() < deadline, "{number} is not taken");
            thread::sleep(Duration::from_millis(10));
        }
    }
    number
}

/// What curl hears of each topic until the last, which it is given for how often it begins.
fn hear(address: SocketAddr) -> [Vec<Value>; 2] {
    let (mut heard, mut last_id) = (<[Vec<Value>; 2]>::default(), String::new());
    loop {
        let mut curl = Curl::start(address, "/sse?topic=a&topic=b", &last_id);
        while let Some(event) = curl.next() {
            if event["type"] == "subscribed" && !last_id.is_empty() {
                let topics = event["topics"].as_array().unwrap();
                assert!(topics.iter().all(|topic| topic["recovered"] == true), "{event}");
            }
            if let Some(topic) = TOPICS.iter().position(|topic| event["topic"] == *topic) {
                heard[topic].push(event["data"].clone());
            }
            if heard.iter().all(|heard| heard.last() == Some(&json!("the last"))) {
                return heard;
            }
        }
        last_id.clone_from(&curl.last_id);
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn curl_hears_everything_once_and_in_order_over_kills_and_restarts() {
    let mut house = House::new("curl", &[]);
    let server = house.start();
    let address = server.address;
    for topic in TOPICS {
        publish(&server, topic, "before");
    }
    let hearing = thread::spawn(move || hear(address));
    // What is published before it is there is not for it.
    server.await_metrics(&[("fanfare_subscriptions", 2)]);
    let is_enough = AtomicBool::new(false);
    let (server, last) = thread::scope(|scope| {
        let publisher = scope.spawn(|| publish_numbers(address, &is_enough));
        let mut server = server;
        for signal in [Signal::KILL, Signal::KILL, Signal::TERM, Signal::KILL] {
            thread::sleep(Duration::from_millis(250));
            end(server, signal);
            server = house.start();
        }
        is_enough.store(true, Ordering::Relaxed);
        (server, publisher.join().unwrap())
    });
    for topic in TOPICS {
        publish(&server, topic, "the last");
    }
    let mut expected: Vec<Value> = (2..=last).map(|number| json!(number)).collect();
    expected.push(json!("the last"));
    for heard in hearing.join().unwrap() {
        assert_eq!(heard, expected);
    }
}
