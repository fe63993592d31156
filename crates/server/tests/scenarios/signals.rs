//! What is done to the process itself: it is stopped and goes on, told to end, told to look at its configuration.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::client::{CLOSE, Client, PING, PONG, eventually, masked};
use crate::process::PROMPT;
use crate::story::{disconnects, story, story_with_log};

// Row 67: it stands still for longer than a pong may take, as when a machine is suspended with clients and all.
#[test]
fn a_process_that_stood_still_closes_nobody_who_is_well() {
    let arguments = ["--ping-interval", "1s", "--pong-timeout", "2s", "--shards", "2"];
    story(&arguments, |server| {
        let mut clients: Vec<_> = (0..40)
            .map(|_| {
                let (mut client, _) = Client::open_json(server.address, "/ws?topic=a");
                client.expect("subscribed");
                client
            })
            .collect();
        for client in &mut clients {
            assert_eq!(client.frame().unwrap().first, PING);
        }
        server.signal(Signal::STOP);
        thread::sleep(Duration::from_millis(2_500));
        server.signal(Signal::CONT);
        // Their pongs come only when it has looked at its deadlines already: the time it stood still was its own.
        thread::sleep(Duration::from_millis(400));
        for client in &mut clients {
            client.send(&masked(PONG, b""));
        }
        let mut publisher = clients.pop().unwrap();
        publisher.send_json(json!({"type": "publish", "topic": "a", "data": "back"}));
        for client in &mut clients {
            assert_eq!(client.expect("message")["data"], "back");
        }
        server.await_metrics(&[
            (&disconnects(3002, "no pong"), 0),
            (&disconnects(3003, "stalled"), 0),
            ("fanfare_connections", 40),
        ]);
    });
}

// Row 69: a drain under load. Whoever is told has been given everything before.
#[test]
fn a_drain_tells_everyone_and_ends_in_time() {
    let log = crate::story::Log::new();
    let mut command = crate::process::serve(&["--shards", "2", "--shutdown-window", "300ms"]);
    command
        .envs(crate::story::UNRATED)
        .args(["--log", "info"])
        .stderr(log.writer());
    let mut server = crate::process::Server::start_by(&mut command);
    let mut clients: Vec<_> = (0..100)
        .map(|_| {
            let (mut client, _) = Client::open_json(server.address, "/ws?topic=a");
            client.expect("subscribed");
            client
        })
        .collect();
    let mut probe = Client::connect(server.address);
    assert_eq!(crate::process::get(&mut probe, "/ready").status, 200);
    let (mut publisher, _) = Client::open_json(server.address, "/ws");
    let acknowledged = (1..=50)
        .filter(|id| {
            let reply = publisher.ask(json!({"type": "publish", "topic": "a", "data": id, "id": id}));
            reply["type"] == "published"
        })
        .count();
    let began = Instant::now();
    server.signal(Signal::TERM);
    for client in &mut clients {
        for offset in 1..=acknowledged {
            assert_eq!(client.expect("message")["offset"], offset);
        }
        let ending = client.ending();
        assert_eq!((ending.code, ending.reason.as_str()), (3000, "shutdown"));
        assert_eq!(ending.goodbye.unwrap()["reconnect"], true);
    }
    assert_eq!(publisher.ending().code, 3000);
    assert_eq!(server.end_within(PROMPT).code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    let log = log.text();
    assert_eq!(log.lines().count(), 2, "told once, ended once: {log}");
    assert!(log.contains("signal=\"SIGTERM\" connections=101"), "{log}");
}

// Row 69.
#[test]
fn a_second_signal_ends_the_drain_at_once() {
    let mut server = crate::process::Server::start(&["--shutdown-timeout", "1h", "--close-timeout", "1h"]);
    let (mut stuck, _) = Client::open_json(server.address, "/ws");
    server.signal(Signal::TERM);
    stuck.expect("goodbye");
    assert_eq!(stuck.frame().unwrap().first, CLOSE);
    let began = Instant::now();
    server.signal(Signal::TERM);
    assert_eq!(server.end_within(PROMPT).code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

/// A configuration file of a test's own.
struct ConfigFile(PathBuf);

impl ConfigFile {
    fn new(name: &str, text: &str) -> Self {
        let name = format!("{name}-{}.toml", std::process::id());
        let file = Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name));
        file.write(text);
        file
    }

    fn write(&self, text: &str) {
        fs::write(&self.0, text).unwrap();
    }
}

impl Drop for ConfigFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

// Row 69.
#[test]
fn a_hangup_reads_the_configuration_and_a_wrong_one_changes_nothing() {
    let file = ConfigFile::new("hangup", "subscriptions_max = 2\n");
    let arguments = ["--config", file.0.to_str().unwrap(), "--close-timeout", "1s"];
    let tell = |server: &crate::process::Server, log: &crate::story::Log| {
        let (mut client, _) = Client::open_json(server.address, "/ws?topic=a");
        client.expect("subscribed");
        let mut lines = 0;
        let mut hang_up = |new_lines: usize| {
            server.signal(Signal::HUP);
            lines += new_lines;
            eventually("it is in the log", || log.text().lines().count() >= lines);
            // Who is connected notices nothing, and the limit is the one of the start.
            assert_eq!(
                client.ask(json!({"type": "subscribe", "topic": "b"}))["type"],
                "subscribed"
            );
            let refused = client.ask(json!({"type": "subscribe", "topic": "c"}));
            assert_eq!(refused["code"], "too_many_subscriptions");
        };
        hang_up(1);
        file.write("subscriptions_max = 0\nsubscription_max = 7\n");
        hang_up(1);
        file.write("subscriptions_max = 0\nclose_timeout = \"soon\"\n");
        hang_up(1);
        file.write("not TOML at all");
        hang_up(1);
        fs::remove_file(&file.0).unwrap();
        hang_up(1);
        file.write("subscriptions_max = 100\n[[topic_rule]]\npattern = \"secret\"\nsubscribe = \"nobody\"\n");
        hang_up(1);
        let (mut newcomer, _) = Client::open_json(server.address, "/ws");
        let refused = newcomer.ask(json!({"type": "subscribe", "topic": "secret", "id": 1}));
        assert_eq!(refused["code"], "forbidden", "the new rule is in force");
        // The threads that read files go when there is nothing to read.
        let threads = server.threads();
        eventually("as many threads as before", || server.threads() < threads);
    };
    story_with_log(&arguments, "info", tell, |log| {
        let lines: Vec<&str> = log.lines().collect();
        let name = file.0.display();
        let expected = [
            (
                "INFO",
                "the configuration was read again asked_by=\"SIGHUP\" applied=\"\" at_restart=\"\""
                    .to_owned(),
            ),
            (
                "ERROR",
                format!(
                    "problem=\"{name}:2:1: unknown key `subscription_max`, did you mean `subscriptions_max`?"
                ),
            ),
            ("ERROR", format!("problem=\"{name}:1:1: subscriptions_max is `0`")),
            ("ERROR", format!("problem=\"{name}:1:")),
            (
                "ERROR",
                format!("problem=\"{name}: cannot be read as a configuration file"),
            ),
            (
                "INFO",
                "applied=\"topic_rule\" at_restart=\"subscriptions_max\"".to_owned(),
            ),
        ];
        assert_eq!(lines.len(), expected.len(), "{log}");
        for (line, (level, text)) in lines.iter().zip(expected) {
            assert!(line.contains(level) && line.contains(&text), "{text}: {line}");
        }
    });
}
