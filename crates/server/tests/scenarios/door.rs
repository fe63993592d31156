//! Who may come in, how many, and how fast: whoever is turned away is told when to come back, and nobody who is in
//! notices.

use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use serde_json::json;

use crate::client::{Client, Response, eventually, upgrade_request};
use crate::process::Server;
use crate::story::{Bystanders, api, story, story_with_log};

/// Asks for a WebSocket; the answer, and the connection to keep or to drop.
fn knock(server: &Server, target: &str, lines: &[&str]) -> (Response, Client) {
    let mut client = Client::connect(server.address);
    client.send(upgrade_request(target, lines).as_bytes());
    let response = client.response().expect("an answer");
    (response, client)
}

fn refusals(cause: &str) -> String {
    format!("fanfare_refusals_total{{cause=\"{cause}\"}}")
}

/// A story in which the operator is told that somebody was turned away: as a warning, and nothing worse.
fn story_of_refusals(arguments: &[&str], tell: impl FnOnce(&Server)) {
    let check = |log: &str| {
        assert!(log.lines().count() > 0, "the operator is told");
        for line in log.lines() {
            assert!(line.contains(" WARN ") && line.contains("turned away"), "{line}");
        }
    };
    story_with_log(arguments, "info", |server, _| tell(server), check);
}

// Rows 10 and 13.
#[test]
fn a_storm_is_admitted_at_its_rate_and_told_when_to_come_back() {
    const RATE: u64 = 20;
    const STORM: usize = 200;
    story_of_refusals(&["--admissions-per-second", "20"], |server| {
        let mut bystanders = Bystanders::open(server);
        let before = server.metric("fanfare_connections_opened_total");
        let (began, came) = (Instant::now(), Mutex::new(Vec::new()));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..STORM / 4 {
                        let knocked = knock(server, "/ws", &[]);
                        came.lock().unwrap().push(knocked);
                    }
                });
            }
            bystanders.assert_well();
        });
        let seconds = began.elapsed().as_secs() + 1;
        let came = came.into_inner().unwrap();
        let (admitted, refused): (Vec<_>, Vec<_>) = came.iter().partition(|(answer, _)| answer.status == 101);
        // A quiet second's worth at once, and its share of every second after that.
        let most = RATE + RATE * seconds;
        assert!(
            (1..=most).contains(&(admitted.len() as u64)),
            "{} in {seconds} s",
            admitted.len()
        );
        for (answer, _) in &refused {
            assert_eq!(answer.status, 503);
            assert!((1..=60).contains(&answer.retry_after()), "{answer:?}");
        }
        server.await_metrics(&[
            (&refusals("admissions"), refused.len() as u64),
            ("fanfare_connections_opened_total", before + admitted.len() as u64),
        ]);
        eventually("who comes back later is admitted", || {
            knock(server, "/ws", &[]).0.status == 101
        });
        bystanders.assert_well();
    });
}

// Row 14.
#[test]
fn connections_are_bounded_in_total_and_by_user() {
    let arguments = [
        "--dev",
        "--connections-max",
        "5",
        "--connections-per-user-max",
        "2",
    ];
    story_of_refusals(&arguments, |server| {
        let enter = |target| {
            let (response, client) = knock(server, target, &[]);
            assert_eq!(response.status, 101, "{target}: {response:?}");
            client
        };
        let anna = [enter("/ws?user=anna"), enter("/ws?user=anna")];
        assert_eq!(knock(server, "/ws?user=anna", &[]).0.status, 429);
        let others = [enter("/ws?user=bob"), enter("/ws"), enter("/ws")];
        let (full, _) = knock(server, "/ws?user=eve", &[]);
        assert_eq!(full.status, 503);
        assert!(full.retry_after() >= 1);
        server.await_metrics(&[
            (&refusals("connections_per_user"), 1),
            (&refusals("connections"), 1),
            ("fanfare_connections", 5),
        ]);
        drop((anna, others));
        server.await_metrics(&[("fanfare_connections", 0)]);
        eventually("there is room again", || {
            knock(server, "/ws?user=anna", &[]).0.status == 101
        });
    });
}

// Rows 14 and 19: the same address counts once, however it is written, and an IPv6 client by its network.
#[test]
fn an_address_behind_a_listed_proxy_is_counted_once_in_every_spelling() {
    let arguments = [
        "--trusted-proxy",
        "127.0.0.1",
        "--connections-per-address-max",
        "1",
    ];
    story_of_refusals(&arguments, |server| {
        let mut held = Vec::new();
        for (from, status) in [
            ("192.0.2.1", 101),
            ("192.0.2.1", 429),
            ("::ffff:192.0.2.1", 429),
            ("::ffff:c000:201", 429),
            ("192.0.2.2", 101),
            ("2001:db8::1", 101),
            ("2001:db8:0:0:ffff::2", 429),
            ("2001:db8:0:1::1", 101),
            // What the client itself wrote in front of what the proxy added is not believed.
            ("198.51.100.7, 192.0.2.1", 429),
        ] {
            let (response, client) = knock(server, "/ws", &[&format!("X-Forwarded-For: {from}")]);
            assert_eq!(response.status, status, "{from}: {response:?}");
            held.push(client);
        }
        server.await_metrics(&[
            (&refusals("connections_per_address"), 5),
            ("fanfare_connections", 4),
        ]);
    });
}

// Row 14.
#[test]
fn whoever_is_no_listed_proxy_cannot_say_that_it_is_somebody_else() {
    story(&["--connections-per-address-max", "1"], |server| {
        let (response, mut client) = knock(server, "/ws", &["X-Forwarded-For: 192.0.2.1"]);
        assert_eq!(response.status, 101);
        client.expect("welcome");
        let listed = api(server, "/api/connections");
        let own = client.stream.local_addr().unwrap().to_string();
        assert_eq!(listed["connections"][0]["remote"], json!(own));
    });
}
