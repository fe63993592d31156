//! Whatever is in a directory, its export is that of the directory into which it is imported.

use std::sync::Arc;

use fanfare::broker::stored;
use fanfare::{ConnectionId, IdempotencyKey, Key, Payload, Publisher, Timestamp, TopicName, UserName};
use fanfare_log::{Draft, What};
use proptest::prelude::*;

use crate::harness::*;

/// Something that happens to a log.
#[derive(Clone, Debug)]
enum Event {
    Publish {
        topic: usize,
        kind: u8,
        text: String,
        parts: [bool; 5],
    },
    Remove {
        topic: usize,
        before: u64,
    },
    Renew {
        topic: usize,
        from: u64,
    },
    Put {
        name: String,
        value: Vec<u8>,
    },
}

fn event() -> impl Strategy<Value = Event> {
    let topic = 0..5_usize;
    prop_oneof![
        12 => (topic.clone(), 0..4_u8, "\\PC{0,40}", any::<[bool; 5]>())
            .prop_map(|(topic, kind, text, parts)| Event::Publish { topic, kind, text, parts }),
        1 => (topic.clone(), 0..30_u64).prop_map(|(topic, before)| Event::Remove { topic, before }),
        1 => (topic, 0..30_u64).prop_map(|(topic, from)| Event::Renew { topic, from }),
        1 => ("[a-c]{1,2}", prop::collection::vec(any::<u8>(), 0..50))
            .prop_map(|(name, value)| Event::Put { name, value }),
    ]
}

fn topic(index: usize) -> TopicName {
    match index {
        0 => TopicName::all(),
        1 => TopicName::of_user(&UserName::parse("ada").unwrap()),
        _ => TopicName::parse(["chat:1", "聊天", "x"][index - 2]).unwrap(),
    }
}

fn body(topic: TopicName, time: u64, kind: u8, text: &str, parts: [bool; 5]) -> bytes::Bytes {
    let payload = match kind {
        0 => Payload::serialize(text).unwrap(),
        1 => Payload::json(serde_json::from_str("{\n  \"a\": [1.50,\r\n null]\n}").unwrap()),
        2 => Payload::text(text),
        _ => Payload::binary(text.as_bytes().to_vec()),
    };
    let [from, user, info, key, except] = parts;
    let connection = ConnectionId::new(1, 2, 3);
    stored::encode(&fanfare::Draft {
        from: from.then(|| Publisher {
            connection,
            user: UserName::parse("ada").ok().filter(|_| user),
            info: info.then(|| "{\"a\":\n1}".into()),
            topic_info: None,
        }),
        key: Key::parse("k\"").ok().filter(|_| key),
        idempotency_key: IdempotencyKey::parse("once").ok().filter(|_| key != user),
        except: except.then_some(connection),
        tags: fanfare::Tags::parse([("a", "1"), ("b", "\n")])
            .unwrap()
            .filter(|_| key != except),
        ..fanfare::Draft::new(topic, payload, Timestamp(time))
    })
}

fn happens(log: &mut fanfare_log::Log, event: &Event, time_ms: u64) {
    let draft = |index: usize, what| Draft {
        topic: Arc::from(topic(index).as_str()),
        time_ms,
        what,
    };
    let draft = match event {
        Event::Publish {
            topic: index,
            kind,
            text,
            parts,
        } => {
            let body = body(topic(*index), time_ms, *kind, text, *parts);
            draft(
                *index,
                What::Publish {
                    body,
                    expected: None,
                    epoch: None,
                },
            )
        }
        Event::Remove { topic, before } => draft(*topic, What::Remove { before: *before }),
        Event::Renew { topic, from } => draft(*topic, What::Renew { from: *from }),
        Event::Put { name, value } => return log.state().put(name, value).unwrap(),
    };
    append(log, draft);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn an_import_gives_the_same_export(events in prop::collection::vec(event(), 0..120), is_closed: bool) {
        let folder = Folder::new("round");
        let copy = Folder::new("round-copy");
        let mut log = folder.log();
        for (event, time) in events.iter().zip(NOON..) {
            happens(&mut log, event, time);
        }
        let standings: Vec<_> = (0..5).map(|index| log.reader().standing(topic(index).as_str())).collect();
        if is_closed {
            log.close().unwrap();
        } else {
            drop(log);
        }
        let export = exported(&folder);
        let output = log_with(&["import", copy.name()], &export);
        prop_assert_eq!(code(&output), 0, "{}", stderr(&output));
        prop_assert_eq!(exported(&copy), export);
        let copied = copy.log();
        for (index, before) in standings.into_iter().enumerate() {
            let after = copied.reader().standing(topic(index).as_str());
            let place = |standing: fanfare_log::Standing| (standing.first, standing.position());
            prop_assert_eq!(after.map(place), before.map(place));
        }
        drop(copied);
        prop_assert_eq!(code(&super::harness::log(&["verify", copy.name()])), 0);
    }
}
