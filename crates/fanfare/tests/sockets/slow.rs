//! Clients that do not read: they are told and dropped, and nobody else notices.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use fanfare::{Disconnect, Limits, Options, Payload, Selector};
use serde_json::json;

use crate::client::{Client, eventually};
use crate::server::{Server, options};

/// A subscriber of `a` that will not read.
fn stalled(server: &Server) -> Client {
    let mut client = Client::connect_narrow(server.address).upgraded("/ws?topic=a");
    client.expect("welcome");
    client.expect("subscribed");
    client
}

/// Small buffers everywhere, so that a client is behind soon, and publishers as fast as they can.
fn narrow(limits: Limits) -> Server {
    Server::with(Options {
        limits: Limits {
            commands_per_second: 0,
            bytes_per_second: 0,
            ..limits
        },
        send_buffer_bytes: Some(8 << 10),
        ..options()
    })
}

/// Subscribers of `a` that read, each on a thread of its own.
struct Readers {
    threads: Vec<thread::JoinHandle<()>>,
    /// How many publications each has seen.
    seen: Vec<Arc<AtomicUsize>>,
}

impl Readers {
    /// So many readers, each until it has seen `count` publications in order.
    fn start(server: &Server, readers: usize, count: usize) -> Self {
        let (mut threads, mut seen) = (Vec::new(), Vec::new());
        for _ in 0..readers {
            let (mut client, _) = Client::open_json(server.address, "/ws?topic=a");
            client.expect("subscribed");
            let progress = Arc::new(AtomicUsize::new(0));
            seen.push(Arc::clone(&progress));
            threads.push(thread::spawn(move || {
                for offset in 1..=count {
                    assert_eq!(client.expect("message")["offset"], offset);
                    progress.store(offset, Ordering::Relaxed);
                }
            }));
        }
        Self { threads, seen }
    }

    /// Waits until all have seen so many publications. The publisher lets them keep pace: on a busy machine they
    /// may get no time to read, and then would be rightly called slow.
    fn await_seen(&self, count: usize) {
        eventually("everyone who reads gets everything", || {
            self.seen.iter().all(|seen| seen.load(Ordering::Relaxed) >= count)
        });
    }

    fn join(self) {
        for thread in self.threads {
            thread.join().unwrap();
        }
    }
}

/// Publishes so many kilobytes, each confirmed before the next, at the pace of those who read.
fn publish(server: &Server, count: usize, readers: Option<&Readers>) {
    let (mut client, _) = Client::open_json(server.address, "/ws");
    for id in 0..count {
        let command = json!({"type": "publish", "topic": "a", "id": id, "data": "x".repeat(1_000)});
        let reply = client.ask(command);
        assert_eq!(reply["type"], "published", "a publisher never errs: {reply}");
        if let Some(readers) = readers.filter(|_| id % 50 == 0) {
            readers.await_seen(id);
        }
    }
}

#[test]
fn a_reader_that_stops_is_disconnected_and_told_when_it_reads_again() {
    let server = narrow(Limits {
        close_timeout_ms: 60_000,
        ..Limits::default()
    });
    let mut slow = stalled(&server);
    let readers = Readers::start(&server, 10, 1_000);
    publish(&server, 1_000, Some(&readers));
    readers.join();
    eventually("the slow reader is disconnected", || {
        server.disconnects(3001) == 1
    });
    assert_eq!(server.fanfare.stats().overflow_disconnects, 1);
    eventually("nobody is subscribed any more", || {
        server.fanfare.subscribers("a") == 0
    });
    let ending = slow.ending();
    assert_eq!(ending.code, 3001);
    let expected = json!({"type": "goodbye", "code": 3001, "reason": "slow", "reconnect": true});
    assert_eq!(ending.goodbye, Some(expected));
}

#[test]
fn fifty_stalled_of_two_hundred_delay_nobody() {
    let server = narrow(Limits {
        close_timeout_ms: 200,
        ..Limits::default()
    });
    let stalled: Vec<_> = (0..50).map(|_| stalled(&server)).collect();
    let readers = Readers::start(&server, 150, 600);
    publish(&server, 600, Some(&readers));
    readers.join();
    eventually("all stalled clients are disconnected", || {
        server.disconnects(3001) == 50
    });
    assert_eq!(server.fanfare.stats().overflow_disconnects, 50);
    eventually("what waited for them is freed", || {
        server.fanfare.stats().waiting_bytes < 1_000
    });
    drop(stalled);
    server.assert_empty();
}

#[test]
fn a_client_that_takes_nothing_for_the_write_timeout_is_dropped() {
    let server = narrow(Limits {
        write_timeout_ms: 1_000,
        close_timeout_ms: 60_000,
        ..Limits::default()
    });
    let mut client = stalled(&server);
    publish(&server, 100, None);
    eventually("it is dropped", || server.disconnects(3003) == 1);
    let ending = client.ending();
    let goodbye = ending.goodbye.expect("a goodbye before the close frame");
    assert_eq!((ending.code, &goodbye["reason"]), (3003, &json!("stalled")));
    assert_eq!(server.fanfare.stats().overflow_disconnects, 0);
}

#[test]
fn a_client_that_reads_slowly_and_steadily_is_kept() {
    let server = narrow(Limits {
        write_timeout_ms: 1_000,
        outbox_frames_max: 10_000,
        outbox_bytes_max: 16 << 20,
        ..Limits::default()
    });
    let mut client = stalled(&server);
    publish(&server, 200, None);
    for offset in 1..=200 {
        assert_eq!(client.expect("message")["offset"], offset);
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(client.close(1000), 1000);
    assert_eq!(server.fanfare.stats().disconnects, []);
}

#[test]
fn stalled_clients_that_vanish_are_released() {
    let server = narrow(Limits::default());
    let clients: Vec<_> = (0..10).map(|_| stalled(&server)).collect();
    publish(&server, 150, None);
    for (number, client) in clients.into_iter().enumerate() {
        if number % 2 == 0 {
            client.reset();
        }
    }
    server.assert_empty();
    assert!(server.fanfare.stats().waiting_bytes < 1_000);
}

#[test]
fn one_client_may_be_closed_while_another_overflows() {
    const FRAMES_MAX: u32 = 4;
    let server = Server::with(Options {
        shards: 1,
        send_buffer_bytes: Some(8 << 10),
        limits: Limits {
            outbox_frames_max: FRAMES_MAX,
            close_timeout_ms: 60_000,
            ..Limits::default()
        },
        ..options()
    });
    let payload = Payload::text("x".repeat(10_000));
    let publish = async || server.fanfare.publish("a", payload.clone()).await.unwrap();
    for _ in 0..20 {
        let slow = stalled(&server);
        let (mut closed, id) = Client::open_json(server.address, "/ws?topic=a");
        closed.expect("subscribed");
        while outbox_frames(&server) < FRAMES_MAX {
            server.runtime.block_on(publish());
            closed.expect("message");
        }
        // Both come to the shard in one turn, nearly always: the publication that is one too many for the slow
        // client, and the end of the other one.
        let who = Selector::Connection(id.parse().unwrap());
        server.runtime.block_on(async {
            publish().await;
            server
                .fanfare
                .disconnect(who, Disconnect::Reconnect)
                .await
                .unwrap();
        });
        assert_eq!(closed.ending().code, 3006);
        slow.reset();
        server.assert_empty();
    }
    assert_eq!((server.disconnects(3001), server.disconnects(3006)), (20, 20));
}

/// Publications that wait for the connection that has most.
fn outbox_frames(server: &Server) -> u32 {
    let page = server
        .runtime
        .block_on(server.fanfare.connections(fanfare::Listed::All, 0, 10))
        .unwrap();
    page.connections
        .iter()
        .map(|row| row.outbox_frames)
        .max()
        .unwrap()
}
