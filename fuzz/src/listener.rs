//! A client that only listens, and checks every byte it is sent.

use std::collections::BTreeMap;

use fanfare_protocol::dialect::Dialect;
use fanfare_protocol::websocket::{Compression, Decoder, Inflater, Item, Role};
use serde::Deserialize;
use serde_json::value::RawValue;

/// What is published when a story ends, and nobody else says.
pub(crate) const LAST_WORD: &str = "the last word \u{1f3ba}";

/// What a client has heard.
pub(crate) struct Listener {
    dialect: Dialect,
    compression: Compression,
    decoder: Decoder,
    /// The last offset heard per topic and subscription.
    offsets: BTreeMap<String, u64>,
    /// Text and binary messages heard.
    heard: u64,
    pub(crate) has_heard_last_word: bool,
    /// Every byte, for comparing.
    pub(crate) digest: u64,
    is_closed: bool,
}

impl Listener {
    pub(crate) fn new(dialect: Dialect, compression: Compression) -> Self {
        Self {
            dialect,
            compression,
            decoder: Decoder::new(Role::Client),
            offsets: BTreeMap::new(),
            heard: 0,
            has_heard_last_word: false,
            digest: 0xcbf2_9ce4_8422_2325,
            is_closed: false,
        }
    }

    /// Takes what the socket took; panics when it is not what a server may say.
    pub(crate) fn receive(&mut self, bytes: &mut [u8], inflater: &mut Inflater) {
        for &byte in &*bytes {
            // FNV-1a: plain, quick, and the same in every process.
            self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        let mut decoder = std::mem::replace(&mut self.decoder, Decoder::new(Role::Client));
        let mut input = bytes;
        loop {
            let next = match self.compression {
                Compression::None | Compression::FromClient => decoder.next(&mut input, u32::MAX),
                Compression::Both => decoder.next_inflating(&mut input, u32::MAX, inflater),
            };
            match next {
                Ok(None) => break,
                Ok(Some(item)) => self.hear(&item),
                Err(violation) => panic!("the server breaks the protocol: {violation}"),
            }
        }
        self.decoder = decoder;
    }

    /// Whether nothing but whole frames was received.
    pub(crate) fn is_whole(&self) -> bool {
        self.decoder.is_idle()
    }

    fn hear(&mut self, item: &Item<'_>) {
        assert!(!self.is_closed, "{item:?} follows a close frame");
        match (self.dialect, item) {
            (Dialect::Json, Item::Text(text)) => self.hear_object(text),
            (Dialect::Json, Item::Binary(_)) => panic!("json is sent a binary message"),
            (_, Item::Close(_)) => self.is_closed = true,
            _ => {}
        }
        self.heard += u64::from(matches!(item, Item::Text(_) | Item::Binary(_)));
    }

    /// A message is one JSON object with a type. Its members are looked at as text, because a payload may be nested
    /// deeper than a value can be.
    fn hear_object(&mut self, text: &str) {
        let members: Members<'_> = match serde_json::from_str(text) {
            Ok(members) => members,
            Err(error) => panic!("{error}: {text}"),
        };
        let kind: String = read(members["type"]);
        assert!(self.heard > 0 || kind == "welcome", "{text} before a welcome");
        match &*kind {
            "message" => self.check_offset(&members),
            "subscribed" => {
                let topics: Vec<At> = read(members["topics"]);
                self.offsets
                    .extend(topics.into_iter().map(|at| (at.topic, at.offset)));
            }
            "unsubscribed" => {
                let topics: Vec<String> = read(members["topics"]);
                self.offsets.retain(|topic, _| !topics.contains(topic));
            }
            "missed" => self.check_missed(&members),
            "history" => check_history(&members),
            "attendance" => {
                let topic: String = read(members["topic"]);
                assert!(self.offsets.contains_key(&topic), "{topic} is not subscribed to");
            }
            "welcome" | "authenticated" | "published" | "sent" | "presence" | "result" | "pong" | "error"
            | "occupancy" | "goodbye" => {}
            other => panic!("{other} is no type that a server sends"),
        }
        self.has_heard_last_word |= text.contains(LAST_WORD);
    }

    /// A notice is about publications of a topic that it has.
    fn check_missed(&self, members: &Members<'_>) {
        let topic: String = read(members["topic"]);
        let number = |name: &str| read::<u64>(members[name]);
        assert!(
            topic.starts_with('$') || self.offsets.contains_key(&topic),
            "{topic} is not subscribed to"
        );
        let (from, to, count) = (number("from"), number("to"), number("count"));
        assert!(
            from <= to && (1..=to - from + 1).contains(&count),
            "{count} from {from} to {to}"
        );
    }

    /// A publication comes later in its topic than the one before. The server's own topics are not subscribed to.
    fn check_offset(&mut self, members: &Members<'_>) {
        let Some(topic) = members.get("topic").map(|topic| read::<String>(topic)) else {
            return;
        };
        if topic.starts_with('$') {
            return;
        }
        let Some(last) = self.offsets.get_mut(&topic) else {
            panic!("a message of {topic} without a subscription");
        };
        let offset = read(members["offset"]);
        assert!(offset > *last, "{topic}: offset {offset} after {last}");
        *last = offset;
    }
}

/// A page of history has no gap, in either direction.
fn check_history(members: &Members<'_>) {
    let messages: Vec<Members<'_>> = read(members["messages"]);
    let offsets: Vec<u64> = messages.iter().map(|message| read(message["offset"])).collect();
    let is_forward = offsets.windows(2).all(|pair| pair[0] + 1 == pair[1]);
    let is_backward = offsets.windows(2).all(|pair| pair[0] == pair[1] + 1);
    assert!(is_forward || is_backward, "{offsets:?} is no page");
}

/// The members of a JSON object as they were written.
type Members<'a> = BTreeMap<String, &'a RawValue>;

/// Where a topic stands, in `subscribed`.
#[derive(Deserialize)]
struct At {
    topic: String,
    offset: u64,
}

fn read<'a, T: Deserialize<'a>>(value: &'a RawValue) -> T {
    serde_json::from_str(value.get()).unwrap()
}
