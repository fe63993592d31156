//! What each transport of Centrifuge carries for the same story, byte by byte: `transcripts.txt` is the record.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::codes::Disconnect;
use crate::dialect::{Dialect, Direct};
use crate::{
    Attendance, CommandId, ConnectionId, Draft, Epoch, Goodbye, Payload, Position, PresenceDiff, Present,
    Publication, Push, Reply, SessionKey, SubscribedTopic, Timestamp, TopicName, UserName, Welcome,
};

fn connection(number: u32) -> ConnectionId {
    ConnectionId::new(0, 1, number)
}

fn a() -> TopicName {
    TopicName::parse("a").unwrap()
}

fn publication() -> Publication {
    let payload = Payload::json(serde_json::from_str("{\"n\":\n1}").unwrap());
    Publication {
        draft: Draft::new(a(), payload, Timestamp(5)),
        position: Position {
            epoch: Epoch(35),
            offset: 1,
        },
    }
}

fn welcomed(dialect: Dialect) -> Reply {
    let node = dialect.is_spoken_beside().then(|| Arc::from("n1"));
    let is_named = node.is_some() || dialect.is_unidirectional();
    Reply::Welcomed {
        welcome: Welcome {
            connection: connection(1),
            user: None,
            auth_timeout_ms: None,
            expires_at: None,
            time: Timestamp(5),
            ping_interval_ms: 25_000,
            pong_timeout_ms: 8_000,
            message_bytes_max: 65_536,
            subscriptions_max: 128,
            commands_per_second: None,
            bytes_per_second: None,
            data: None,
            key: is_named.then(|| Box::new(SessionKey { secret: 7, node })),
        },
        topics: vec![SubscribedTopic {
            topic: a(),
            position: Position {
                epoch: Epoch(35),
                offset: 0,
            },
            recovered: None,
            is_recoverable: true,
            has_deltas: false,
            publications: Vec::new(),
            granted: None,
        }],
    }
}

fn came() -> Push {
    let present = |number: u32| Present {
        connection: connection(number),
        user: UserName::parse("ann").ok(),
        info: None,
        since: Timestamp(5),
        topic_info: None,
    };
    Push::Attendance(PresenceDiff {
        topic: a(),
        attendance: Attendance::default(),
        came: vec![present(2), present(3)],
        went: Vec::new(),
    })
}

/// What a client hears, in a line for each thing that is said.
fn transcript(dialect: Dialect) -> String {
    let mut lines = format!("{}\n", dialect.name());
    let mut line = |what: &str, say: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = Vec::new();
        say(&mut bytes);
        let bytes = bytes.escape_ascii().to_string().replace("\\\"", "\"");
        // A string has always room.
        let _ = writeln!(lines, "  {what}: {bytes}");
    };
    let id = (!dialect.is_unidirectional()).then(|| CommandId::of(1));
    line("welcomed", &|bytes| {
        dialect.encode_reply(id.as_ref(), &welcomed(dialect), bytes);
    });
    line("ping", &|bytes| dialect.encode_ping(bytes));
    line("published", &|bytes| {
        dialect.encode_publication(&publication(), bytes);
    });
    line("two came", &|bytes| dialect.encode_push(&came(), bytes));
    line("sent", &|bytes| {
        let sent = Direct {
            from: None,
            time: Timestamp(5),
            payload: Payload::text("two\nlines"),
        };
        dialect.encode_direct(&sent, bytes);
    });
    line("goodbye", &|bytes| {
        let goodbye = Goodbye {
            disconnect: Disconnect::Shutdown,
            reconnect_after_ms: Some(10),
        };
        dialect.encode_push(&Push::Goodbye(goodbye), bytes);
    });
    lines
}

#[test]
fn every_transport_says_the_same_in_its_own_wrapping() {
    let hailed = Dialect::ALL.iter().filter(|dialect| dialect.is_hailed());
    let told: String = hailed.map(|&dialect| transcript(dialect)).collect();
    let told = told.replace(env!("CARGO_PKG_VERSION"), "0.0.0");
    assert_eq!(told, include_str!("transcripts.txt"), "\n{told}");
}
