//! The attacks: what each connection of an attacker sends, and whether it reads what it gets.

use crate::wire::{self, CONTINUATION, FIN, PING, PONG, RSV1, TEXT};
use clap::ValueEnum;
use serde::Serialize;
use std::fmt::{self, Display};
use std::time::Duration;

/// One way to be a nuisance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// Nothing is sent, the attacker only computes: what its mere presence on its core costs
    Control,
    /// Fragments of 1 KiB of a text that never ends
    EndlessFragments,
    /// Fragments of one byte of a text that never ends
    TinyFragments,
    /// Fragments without a byte of a text that never ends
    EmptyFragments,
    /// The largest message that is allowed, announced and never sent
    Announced,
    /// A message of 2^62 bytes, announced and never sent
    AnnouncedHuge,
    /// Pings of 125 bytes, their pongs not read
    PingFlood,
    /// Pongs of 125 bytes that nobody asked for
    PongFlood,
    /// `ping` commands, their replies not read
    CommandFlood,
    /// Publications of the largest size to a topic of the attacker's own
    PublishFlood,
    /// A subscription to another topic with every command
    SubscribeFlood,
    /// Subscribing and unsubscribing the same topic
    SubscribeChurn,
    /// A request with one header that never ends
    HugeHeader,
    /// A request with headers that never end
    ManyHeaders,
    /// A request at a byte every half second
    Slowloris,
    /// Upgrading, and leaving at once
    ConnectionChurn,
    /// Compressed messages that inflate a thousandfold, where the server negotiates compression
    DeflateBomb,
}

/// How one connection of an attacker behaves.
pub(crate) struct Script {
    pub(crate) door: Door,
    /// What is sent first.
    pub(crate) first: Vec<u8>,
    pub(crate) pace: Pace,
    /// Whether it reads what the server sends.
    pub(crate) is_read: bool,
}

/// Where an attack takes place.
pub(crate) enum Door {
    /// Within the request; nothing is upgraded.
    Request,
    /// Behind the upgrade with this query.
    Upgraded {
        query: &'static str,
        extension: Option<&'static str>,
    },
}

/// What follows `first`.
pub(crate) enum Pace {
    /// Pieces as fast as the server takes them, made by their number.
    Flood(Box<dyn Fn(u64) -> Vec<u8>>),
    /// One byte of these after the other, round and round.
    Drip(&'static [u8], Duration),
    /// Nothing; it waits.
    Wait,
    /// Nothing; it goes at once.
    Leave,
}

impl Pace {
    fn same(piece: Vec<u8>) -> Self {
        Self::Flood(Box::new(move |_| piece.clone()))
    }
}

impl Kind {
    /// How many connections attack at once: one that floods is enough, those that wait cost the attacker nothing.
    pub(crate) fn connections(self) -> usize {
        match self {
            Self::Announced | Self::AnnouncedHuge | Self::Slowloris => WAITING_CONNECTIONS,
            _ => 1,
        }
    }

    /// What it does to a server whose messages have at most `message_bytes_max`.
    pub(crate) fn script(self, message_bytes_max: usize) -> Script {
        match self {
            Self::Control => upgraded(RAW, Pace::same(Vec::new())),
            Self::EndlessFragments => fragments(1024, 1),
            Self::TinyFragments => fragments(1, BATCH),
            Self::EmptyFragments => fragments(0, BATCH),
            Self::Announced => announced(message_bytes_max as u64),
            Self::AnnouncedHuge => announced(1 << 62),
            Self::PingFlood => Script {
                is_read: false,
                ..upgraded(RAW, Pace::same(frames(FIN | PING, &[b'x'; 125], BATCH)))
            },
            Self::PongFlood => upgraded(RAW, Pace::same(frames(FIN | PONG, &[b'x'; 125], BATCH))),
            Self::CommandFlood => Script {
                is_read: false,
                ..upgraded(
                    JSON,
                    Pace::same(frames(FIN | TEXT, br#"{"type":"ping","id":1}"#, BATCH)),
                )
            },
            Self::PublishFlood => upgraded(JSON, Pace::same(publication(message_bytes_max))),
            Self::SubscribeFlood => upgraded(JSON, Pace::Flood(Box::new(new_subscriptions))),
            Self::SubscribeChurn => upgraded(JSON, Pace::same(churn())),
            Self::HugeHeader => request("X-Filler: ", Pace::same(vec![b'x'; 64 << 10])),
            Self::ManyHeaders => request("", Pace::same(b"X-Filler: 1\r\n".repeat(BATCH))),
            Self::Slowloris => request("", Pace::Drip(b"X-Filler: 1\r\n", Duration::from_millis(500))),
            Self::ConnectionChurn => upgraded(RAW, Pace::Leave),
            Self::DeflateBomb => Script {
                door: Door::Upgraded {
                    query: RAW,
                    extension: Some(
                        "permessage-deflate; client_no_context_takeover; server_no_context_takeover",
                    ),
                },
                ..upgraded(RAW, Pace::same(bomb(message_bytes_max / 2)))
            },
        }
    }
}

impl Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_possible_value() {
            Some(value) => formatter.write_str(value.get_name()),
            None => Ok(()),
        }
    }
}

fn upgraded(query: &'static str, pace: Pace) -> Script {
    Script {
        door: Door::Upgraded {
            query,
            extension: None,
        },
        first: Vec::new(),
        pace,
        is_read: true,
    }
}

fn request(rest: &str, pace: Pace) -> Script {
    Script {
        door: Door::Request,
        first: format!("GET /ws?{RAW} HTTP/1.1\r\nHost: localhost\r\n{rest}").into_bytes(),
        pace,
        is_read: true,
    }
}

fn fragments(payload_bytes: usize, count: usize) -> Script {
    Script {
        first: frames(TEXT, b"", 1),
        ..upgraded(
            RAW,
            Pace::same(frames(CONTINUATION, &vec![b'x'; payload_bytes], count)),
        )
    }
}

fn announced(payload_bytes: u64) -> Script {
    let mut first = Vec::new();
    wire::push_announcement(&mut first, FIN | TEXT, payload_bytes, MASK);
    Script {
        first,
        ..upgraded(RAW, Pace::Wait)
    }
}

fn frames(first: u8, payload: &[u8], count: usize) -> Vec<u8> {
    let mut frame = Vec::new();
    wire::push_client(&mut frame, first, payload, MASK);
    frame.repeat(count)
}

/// One publish command of exactly `message_bytes`.
fn publication(message_bytes: usize) -> Vec<u8> {
    let (head, tail) = (r#"{"type":"publish","topic":"attack","data":""#, r#""}"#);
    let filling = message_bytes.saturating_sub(head.len() + tail.len());
    frames(
        FIN | TEXT,
        format!("{head}{}{tail}", "x".repeat(filling)).as_bytes(),
        1,
    )
}

/// The batch of this number of commands to subscribe, none to a topic of another.
fn new_subscriptions(number: u64) -> Vec<u8> {
    let first = number * BATCH as u64;
    let commands = (first..first + BATCH as u64)
        .map(|topic| format!(r#"{{"type":"subscribe","topic":"attack-{topic}"}}"#));
    commands
        .flat_map(|command| frames(FIN | TEXT, command.as_bytes(), 1))
        .collect()
}

fn churn() -> Vec<u8> {
    let pair = ["subscribe", "unsubscribe"].map(|command| {
        frames(
            FIN | TEXT,
            format!(r#"{{"type":"{command}","topic":"churned"}}"#).as_bytes(),
            1,
        )
    });
    pair.concat().repeat(BATCH / 2)
}

/// A compressed message of this many bytes that inflates to 1,032 times as many zeros.
///
/// `BOMB_HEAD` opens a block (RFC 1951 section 3.2.7) whose codes are 10 for a zero, 11 for the end and 0 for "258
/// bytes more", at a distance of 1, code 0; and it has the first zero. So each zero byte behind it stands for 1,032
/// zeros. It has no end: a server that gets there has passed its limit long before.
fn bomb(message_bytes: usize) -> Vec<u8> {
    let mut payload = BOMB_HEAD.to_vec();
    payload.resize(message_bytes.max(BOMB_HEAD.len()), 0);
    frames(FIN | RSV1 | TEXT, &payload, 1)
}

const BOMB_HEAD: [u8; 14] = [
    0xec, 0xc0, 0x81, 0, 0, 0, 0, 0x80, 0xa0, 0xfd, 0xa9, 0x17, 0xa9, 0,
];
const RAW: &str = "dialect=raw&topic=attack";
const JSON: &str = "topic=attack";
const MASK: [u8; 4] = [0x1d, 0xe5, 0x70, 0x9b];
/// Frames or headers of one write.
const BATCH: usize = 500;
const WAITING_CONNECTIONS: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    /// The payloads of the frames in `bytes`, all of one message or command each.
    fn payloads(mut bytes: Vec<u8>) -> Vec<String> {
        let mut payloads = Vec::new();
        wire::FrameParser::default()
            .feed(&mut bytes, |frame| {
                payloads.push(String::from_utf8_lossy(frame.payload).into_owned());
            })
            .unwrap();
        payloads
    }

    #[test]
    fn a_publication_is_as_large_as_a_message_may_be() {
        let payloads = payloads(publication(1000));
        assert_eq!((payloads.len(), payloads[0].len()), (1, 1000));
        assert!(serde_json::from_str::<serde_json::Value>(&payloads[0]).is_ok());
    }

    #[test]
    fn no_two_subscriptions_are_to_the_same_topic() {
        let topics: Vec<String> = (0..3)
            .flat_map(|number| payloads(new_subscriptions(number)))
            .collect();
        let distinct: std::collections::BTreeSet<&String> = topics.iter().collect();
        assert_eq!((topics.len(), distinct.len()), (3 * BATCH, 3 * BATCH));
    }

    #[test]
    fn churning_leaves_no_subscription() {
        let commands = payloads(churn());
        let count = |name: &str| commands.iter().filter(|command| command.contains(name)).count();
        assert_eq!(
            (count("\"subscribe\""), count("\"unsubscribe\"")),
            (BATCH / 2, BATCH / 2)
        );
    }

    #[test]
    fn an_announcement_sends_no_byte_of_what_it_announces() {
        let first = |kind: Kind| kind.script(1 << 16).first;
        assert_eq!(
            first(Kind::Announced),
            [0x81, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 0x1d, 0xe5, 0x70, 0x9b]
        );
        assert_eq!(first(Kind::AnnouncedHuge)[2..10], (1_u64 << 62).to_be_bytes());
    }

    #[test]
    fn a_bomb_is_a_compressed_text_of_the_size_asked_for() {
        let frame = bomb(1 << 15);
        assert_eq!((frame[0], frame.len()), (0xc1, 8 + (1 << 15)));
    }
}
