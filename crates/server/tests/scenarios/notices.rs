//! Notices over HTTP: in order, at least once, through a backend that is away, and counted where there are too many.

use std::collections::HashSet;
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::backend::{Asked, Backend, Reply, SECRET, status};
use crate::client::{Client, eventually};
use crate::process::{PROMPT, Server, serve};
use crate::story::{story, story_with_log};

const TAKEN: &str = "fanfare_notices_delivered_total";
const WAITING: &str = "fanfare_notices_waiting";

/// Options for notices to a URL.
fn told<'a>(url: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let told = [
        "--dev",
        "--notice-url",
        url,
        "--hook-secret",
        SECRET,
        "--hook-timeout",
        "30s",
    ];
    [&told, more].concat()
}

/// The notices of requests, repeats left out by their ids, in the order in which each came first.
fn notices(requests: &[Asked]) -> Vec<Value> {
    let mut seen = HashSet::new();
    requests
        .iter()
        .flat_map(|asked| asked.body["notices"].as_array().unwrap().clone())
        .filter(|notice| seen.insert(notice["id"].as_str().unwrap().to_owned()))
        .collect()
}

/// What is told of a topic or a user, one after the other.
fn of<'n>(notices: &'n [Value], key: &str, name: &str) -> Vec<&'n str> {
    notices
        .iter()
        .filter(|notice| notice[key] == name && notice["connection"].is_null())
        .map(|notice| notice["type"].as_str().unwrap())
        .collect()
}

/// What is told of a connection: its type, user and code.
fn of_connection(notices: &[Value], id: &str) -> Vec<Value> {
    notices
        .iter()
        .filter(|notice| notice["connection"] == id)
        .map(|notice| json!([notice["type"], notice["user"], notice["code"]]))
        .collect()
}

fn assert_growing(notices: &[Value]) {
    let numbers: Vec<u64> = notices
        .iter()
        .map(|notice| notice["sequence"].as_u64().unwrap())
        .collect();
    assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
}

#[test]
fn who_comes_and_goes_is_told_in_order_and_signed() {
    let backend = Backend::start(|_| Reply::Bytes(status("204 No Content")));
    let url = backend.url();
    story(&told(&url, &["--shards", "2"]), |server| {
        let rounds = 3;
        let mut ids = Vec::new();
        for _ in 0..rounds {
            let (mut one, first) = Client::open_json(server.address, "/ws?user=ada&topic=a");
            one.expect("subscribed");
            let (mut two, second) = Client::open_json(server.address, "/ws?user=ada&topic=a");
            two.expect("subscribed");
            assert_eq!(one.close(1000), 1000);
            two.reset();
            ids.extend([(first, 1000), (second, 1006)]);
            eventually("the user is gone", || {
                let all = notices(&backend.asked());
                of(&all, "user", "ada").len() == ids.len() && of(&all, "topic", "a").len() == ids.len()
            });
        }
        eventually("all of it was told", || {
            let all = notices(&backend.asked());
            ids.iter().all(|(id, _)| of_connection(&all, id).len() == 2)
        });
        let all = notices(&backend.asked());
        assert_eq!(of(&all, "user", "ada"), ["online", "offline"].repeat(rounds));
        assert_eq!(of(&all, "topic", "a"), ["occupied", "vacated"].repeat(rounds));
        for (id, code) in &ids {
            let expected = [
                json!(["connected", "ada", null]),
                json!(["disconnected", "ada", code]),
            ];
            assert_eq!(of_connection(&all, id), expected);
        }
        assert_growing(&all);
        for asked in backend.asked() {
            assert!(asked.is_signed_with(SECRET));
            assert_eq!(asked.body["hook"], "notices");
        }
        server.await_metrics(&[(WAITING, 0), ("fanfare_notices_dropped_total", 0)]);
    });
}

#[test]
fn a_backend_that_was_away_gets_everything_in_order() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{address}/hook");
    let visit = |server: &Server, user: &str| {
        let target = format!("/ws?user={user}&topic={user}");
        let (mut client, _) = Client::open_json(server.address, &target);
        client.expect("subscribed");
        assert_eq!(client.close(1000), 1000);
    };
    // Six notices for each.
    let tell = |server: &Server| {
        visit(server, "away");
        let backend = Backend::start_on(address, |_| Reply::Json(json!({})));
        visit(server, "there");
        eventually("what waited was told", || {
            of(&notices(&backend.asked()), "user", "there").len() == 2
        });
        let before = backend.asked();
        drop(backend);
        visit(server, "away-again");
        // It takes the first ones, and breaks the connection before it has said so.
        let (requests, lost) = (AtomicUsize::new(0), 2);
        let backend = Backend::start_on(address, move |_| match requests.fetch_add(1, Ordering::SeqCst) {
            before if before < lost => Reply::Bytes(Vec::new()),
            _ => Reply::Json(json!({})),
        });
        visit(server, "back");
        server.await_metrics(&[(WAITING, 0)]);
        eventually("what waited was told again", || {
            of(&notices(&backend.asked()), "user", "back").len() == 2
        });
        let all = notices(&[before, backend.asked()].concat());
        for user in ["away", "there", "away-again", "back"] {
            assert_eq!(of(&all, "user", user), ["online", "offline"], "{user}");
            assert_eq!(of(&all, "topic", user), ["occupied", "vacated"], "{user}");
        }
        assert_growing(&all);
        let numbers = all.iter().map(|notice| notice["sequence"].as_u64().unwrap());
        let first = numbers.clone().next().unwrap();
        assert!(
            numbers.zip(first..).all(|(number, at)| number == at),
            "there is no gap"
        );
        assert!(server.metric("fanfare_notices_failures_total") > 0);
        drop(backend);
    };
    story_with_log(
        &told(&url, &[]),
        "info",
        |server, _| tell(server),
        |log| {
            assert!(log.contains("notices are not taken"), "{log}");
            assert!(log.contains("notices are taken again"), "{log}");
            assert!(!log.contains("away"), "{log}");
        },
    );
}

#[test]
fn notices_beyond_the_queue_are_counted_and_leave_a_gap() {
    let backend = Backend::start(|_| Reply::Bytes(status("500 Not Now")));
    let address = backend.address;
    let url = backend.url();
    let tell = |server: &Server| {
        // The first client of a story has filled some of it.
        let dropped = "fanfare_notices_dropped_total";
        while server.metric(dropped) < 10 {
            drop(Client::open_json(server.address, "/ws?user=ada"));
        }
        assert_eq!(server.metric(WAITING), 20);
        drop(backend);
        let backend = Backend::start_on(address, |_| Reply::Json(json!({})));
        server.await_metrics(&[(WAITING, 0), (TAKEN, 20)]);
        drop(Client::open_json(server.address, "/ws?user=bob"));
        eventually("others are told of again", || {
            of(&notices(&backend.asked()), "user", "bob") == ["online", "offline"]
        });
        let all = notices(&backend.asked());
        let number = |at: usize| all[at]["sequence"].as_u64().unwrap();
        assert_eq!((number(0), number(19)), (1, 20));
        assert!(number(20) > 30, "{} notices are missing", number(20) - 21);
        drop(backend);
    };
    story_with_log(
        &told(&url, &["--notice-queue-max", "20"]),
        "error",
        |server, _| tell(server),
        |log| assert_eq!(log, ""),
    );
}

#[test]
fn what_happens_at_the_end_is_told_before_the_end() {
    let requests = AtomicUsize::new(0);
    let backend = Backend::start(move |_| match requests.fetch_add(1, Ordering::SeqCst) {
        0..3 => Reply::Bytes(status("503 Busy")),
        _ => Reply::Json(json!({})),
    });
    let url = backend.url();
    let mut server = Server::start_by(&mut serve(&told(&url, &["--shutdown-window", "0s"])));
    let (mut client, id) = Client::open_json(server.address, "/ws?user=ada");
    server.signal(Signal::TERM);
    assert_eq!(client.ending().code, 3000);
    drop(client);
    assert!(server.end_within(PROMPT).success());
    let all = notices(&backend.asked());
    assert_eq!(of(&all, "user", "ada"), ["online", "offline"]);
    let expected = [
        json!(["connected", "ada", null]),
        json!(["disconnected", "ada", 3000]),
    ];
    assert_eq!(of_connection(&all, &id), expected);
}

#[test]
fn a_backend_that_takes_nothing_does_not_hold_up_the_end() {
    let backend = Backend::start(|_| Reply::Silence);
    let url = backend.url();
    let flags = ["--shutdown-window", "0s", "--shutdown-timeout", "1s"];
    let mut server = Server::start_by(&mut serve(&told(&url, &flags)));
    drop(Client::open_json(server.address, "/ws?user=ada"));
    server.signal(Signal::TERM);
    assert!(server.end_within(PROMPT).success());
}
