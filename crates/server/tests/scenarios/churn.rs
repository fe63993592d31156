//! Coming and going: whatever clients do in whatever order, nothing of them stays.

use std::thread;

use serde_json::json;

use crate::client::{Client, TEXT, eventually, masked};
use crate::process::Server;
use crate::story::{api, story};

/// Threads of clients. Two are enough to race: one more than a test has anyway.
const THREADS: usize = 4;

// Row 44.
#[test]
fn subscriptions_that_race_with_publications_and_ends_leave_no_entry() {
    const ROUNDS: usize = 60;
    story(&["--shards", "2"], |server| {
        thread::scope(|scope| {
            for thread in 0..THREADS {
                scope.spawn(move || {
                    for round in 0..ROUNDS {
                        race(server, thread * ROUNDS + round);
                    }
                });
            }
        });
        // Whoever comes afterwards finds the topic as new: nobody there, the first offset.
        let (mut last, _) = Client::open_json(server.address, "/ws");
        server.await_metrics(&[("fanfare_connections", 1), ("fanfare_topics", 0)]);
        last.subscribe(&["shared"]);
        let reply = last.ask_past_messages(
            json!({"type": "publish", "topic": "shared", "data": 1, "echo": false, "id": 1}),
        );
        assert_eq!(reply["offset"], 1);
    });
}

/// One connection that subscribes, publishes, leaves and comes back without waiting for an answer, and ends as it may.
fn race(server: &Server, number: usize) {
    let mut client = Client::open(server.address, "/ws?topic=shared&occupancy=true");
    client.expect("welcome");
    let mut bytes = Vec::new();
    for turn in 0..10 {
        for command in [
            json!({"type": "publish", "topic": "shared", "data": turn}),
            json!({"type": "unsubscribe", "topics": ["shared", "own"]}),
            json!({"type": "subscribe", "topics": ["own", "shared", format!("own-{number}")], "occupancy": turn % 2 == 0}),
        ] {
            bytes.extend(masked(TEXT, command.to_string().as_bytes()));
        }
    }
    client.send(&bytes);
    match number % 4 {
        0 => assert_eq!(client.close(1000), 1000),
        1 => client.reset(),
        2 => drop(client),
        _ => {
            client.shut_write();
            client.time_to_end();
        }
    }
}

// Row 45.
#[test]
fn topics_without_subscribers_are_released() {
    const CLIENTS: usize = 100;
    const TOPICS: usize = 100;
    story(&["--shards", "2", "--subscriptions-max", "128"], |server| {
        let round = |round: usize| {
            let mut clients: Vec<_> = (0..CLIENTS)
                .map(|number| {
                    let (mut client, _) = Client::open_json(server.address, "/ws");
                    let names: Vec<String> = (0..TOPICS)
                        .map(|topic| format!("{round}-{number}-{topic}"))
                        .collect();
                    client.ask(json!({"type": "subscribe", "topics": names}));
                    client
                })
                .collect();
            server.await_metrics(&[("fanfare_topics", (CLIENTS * TOPICS) as u64)]);
            let resident = server.resident_bytes();
            // Half of them unsubscribe, the others vanish.
            for (number, client) in clients.iter_mut().enumerate().step_by(2) {
                let names: Vec<String> = (0..TOPICS)
                    .map(|topic| format!("{round}-{number}-{topic}"))
                    .collect();
                client.ask(json!({"type": "unsubscribe", "topics": names}));
            }
            drop(clients);
            server.await_metrics(&[("fanfare_topics", 0), ("fanfare_connections", 0)]);
            assert_eq!(api(server, "/api/topics")["topics"], json!([]));
            resident
        };
        let first = round(0);
        let resident = (1..6).map(round).max().unwrap();
        // Sixty thousand topics have been; ten thousand were there at once.
        let grown = resident.saturating_sub(first);
        assert!(
            grown < 6 << 20,
            "{grown} bytes more than with the first ten thousand"
        );
    });
}

// Row 71: a soak in small. The one of half an hour is a chore of `bench`.
#[test]
fn rounds_of_everything_return_to_the_baseline() {
    const ROUND: usize = 200;
    story(
        &[
            "--shards",
            "2",
            "--send-buffer-bytes",
            "8KiB",
            "--outbox-frames-max",
            "16",
        ],
        |server| {
            let round = |round: usize| {
                thread::scope(|scope| {
                    for thread in 0..THREADS {
                        scope.spawn(move || {
                            for number in 0..ROUND / THREADS {
                                live(server, (round * THREADS + thread) * ROUND + number);
                            }
                        });
                    }
                });
                server.await_metrics(&[
                    ("fanfare_connections", 0),
                    ("fanfare_topics", 0),
                    ("fanfare_waiting_bytes", 0),
                ]);
            };
            (0..3).for_each(round);
            let (resident, descriptors) = (server.resident_bytes(), server.descriptors());
            (3..12).for_each(round);
            let grown = server.resident_bytes().saturating_sub(resident);
            assert!(grown < 4 << 20, "{grown} bytes");
            eventually("all descriptors are given back", || {
                server.descriptors() <= descriptors
            });
        },
    );
}

/// One client's life: connect, subscribe, publish, perhaps stall, and vanish.
fn live(server: &Server, number: usize) {
    let target = format!("/ws?topic=room-{}&topic=own-{number}", number % 5);
    let mut client = Client::connect_narrow(server.address).upgraded(&target);
    client.expect("welcome");
    let data = "x".repeat(1_000);
    for id in 0..20 {
        // Who stalls publishes to itself and does not read.
        client
            .send_json(json!({"type": "publish", "topic": format!("own-{number}"), "data": data, "id": id}));
    }
    match number % 3 {
        0 => client.reset(),
        1 => drop(client),
        _ => client.shut_write(),
    }
}

// Row 72.
#[test]
fn idle_connections_cost_little_and_all_of_it_comes_back() {
    const COUNT: usize = 4_000;
    story(&["--shards", "2"], |server| {
        let open = || {
            let clients: Vec<_> = (0..COUNT).map(|_| Client::open(server.address, "/ws")).collect();
            server.await_metrics(&[
                ("fanfare_connections", COUNT as u64),
                ("fanfare_waiting_bytes", 0),
            ]);
            clients
        };
        let before = server.resident_bytes();
        let clients = open();
        let each = server.resident_bytes().saturating_sub(before) / COUNT as u64;
        assert!(
            each < 2_048,
            "{each} bytes per connection, those of HTTP's on the way included"
        );
        let used = server.cpu_time();
        thread::sleep(std::time::Duration::from_secs(1));
        let used = server.cpu_time().saturating_sub(used);
        assert!(used.as_millis() < 300, "{used:?} of CPU in a second of silence");
        drop(clients);
        server.await_metrics(&[("fanfare_connections", 0)]);
        // The second time takes the places of the first.
        let resident = server.resident_bytes();
        drop(open());
        let grown = server.resident_bytes().saturating_sub(resident);
        assert!(grown < 2 << 20, "{grown} bytes more the second time");
    });
}
