//! The lines of an export, as values. `docs/operating/data-directory.md` describes the format.

use std::io::{self, Write};

use fanfare::{Epoch, Publication, Timestamp, TopicName};

use super::wire::{self, EndWire, ExportWire, PublicationWire, TopicWire, ValueWire};

/// The name of the format.
pub(super) const FORMAT: &str = "fanfare-log";

/// Its version.
pub(super) const VERSION: u64 = 1;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// The first one: which format, in which version.
    Export { format: String, version: u64 },
    /// A value beside the log.
    Value { name: String, value: Vec<u8> },
    /// Where a topic stands.
    Topic(Topic),
    /// A publication.
    Publication(Box<Publication>),
    /// The last one.
    End(End),
}

/// Where a topic stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Topic {
    pub(super) name: TopicName,
    pub(super) epoch: Epoch,
    /// From this offset on, every publication is there.
    pub(super) first: u64,
    /// The offset of the last one there was.
    pub(super) last: u64,
    /// The time of its last record.
    pub(super) time: Timestamp,
}

/// How much came before the last line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct End {
    pub(super) values: u64,
    pub(super) topics: u64,
    pub(super) publications: u64,
    /// What was found to be damaged.
    pub(super) damages: u64,
}

impl Line {
    /// The first line of every export.
    pub(super) fn first() -> Self {
        Self::Export {
            format: FORMAT.to_owned(),
            version: VERSION,
        }
    }

    /// Writes it with its line feed.
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Export { format, version } => wire::write(&ExportWire::of(format, *version), out),
            Self::Value { name, value } => wire::write(&ValueWire::of(name, value), out),
            Self::Topic(topic) => wire::write(&TopicWire::of(topic), out),
            Self::Publication(publication) => wire::write(&PublicationWire::of(publication), out),
            Self::End(end) => wire::write(&EndWire::of(end), out),
        }
    }

    /// The line that `text` is.
    ///
    /// # Errors
    /// What of it is not as the format says, and what to do.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match wire::kind(text)? {
            wire::Kind::Export => wire::read::<ExportWire<'_>>(text).map(ExportWire::line),
            wire::Kind::Value => wire::read::<ValueWire<'_>>(text)?.line(),
            wire::Kind::Topic => wire::read::<TopicWire<'_>>(text)?.line(),
            wire::Kind::Publication => wire::read::<PublicationWire<'_>>(text)?.line(),
            wire::Kind::End => wire::read::<EndWire>(text).map(EndWire::line),
        }
    }
}

#[cfg(test)]
mod tests {
    use fanfare::{ConnectionId, Draft, IdempotencyKey, Key, Payload, Position, Publisher, UserName};
    use proptest::prelude::*;

    use super::*;

    fn written(line: &Line) -> String {
        let mut out = Vec::new();
        line.write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn publication() -> Publication {
        let connection = ConnectionId::new(3, 2, 1);
        let draft = Draft {
            from: Some(Publisher {
                connection,
                user: UserName::parse("ada").ok(),
                info: Some("{\"name\":\"Ada\"}".into()),
                topic_info: None,
            }),
            key: Key::parse("k").ok(),
            idempotency_key: IdempotencyKey::parse("i").ok(),
            except: Some(connection),
            ..Draft::new(
                TopicName::parse("room").unwrap(),
                Payload::text("hi"),
                Timestamp(1_767_225_600_000),
            )
        };
        Publication {
            draft,
            position: Position {
                epoch: Epoch(36),
                offset: 2,
            },
        }
    }

    /// One of each kind, in the order of a file.
    fn examples() -> [Line; 5] {
        [
            Line::first(),
            Line::Value {
                name: "keys".to_owned(),
                value: vec![0, 1, 2],
            },
            Line::Topic(Topic {
                name: TopicName::parse("room").unwrap(),
                epoch: Epoch(36),
                first: 2,
                last: 2,
                time: Timestamp(1_767_225_600_000),
            }),
            Line::Publication(Box::new(publication())),
            Line::End(End {
                values: 1,
                topics: 1,
                publications: 1,
                damages: 0,
            }),
        ]
    }

    #[test]
    fn the_documented_example_is_what_is_written() {
        let page = include_str!("../../../../docs/operating/data-directory.md");
        let (_, example) = page.split_once("```json\n").unwrap();
        let (example, _) = example.split_once("```").unwrap();
        let lines: String = examples().iter().map(written).collect();
        assert_eq!(example, lines);
    }

    #[test]
    fn a_line_is_read_as_it_was_written() {
        for line in examples() {
            assert_eq!(Line::parse(written(&line).trim_end()), Ok(line));
        }
    }

    #[test]
    fn the_servers_own_topics_are_topics() {
        let user = UserName::parse("ada").unwrap();
        for name in [TopicName::all(), TopicName::of_user(&user)] {
            let mut publication = publication();
            publication.draft.topic = name;
            let line = Line::Publication(Box::new(publication));
            assert_eq!(Line::parse(written(&line).trim_end()), Ok(line));
        }
    }

    #[test]
    fn json_stays_as_it_was_written_and_on_one_line() {
        let json = |text: &str| Payload::json(serde_json::from_str(text).unwrap());
        for (text, expected) in [
            ("null", "\"data\":null"),
            ("{ \"a\" : 1.0 }", "\"data\":{ \"a\" : 1.0 }"),
            ("[1,\n2]", r#""data_json":"[1,\n2]""#),
            ("[1,\r2]", r#""data_json":"[1,\r2]""#),
        ] {
            let mut publication = publication();
            publication.draft.payload = json(text);
            let line = Line::Publication(Box::new(publication));
            let text = written(&line);
            assert!(text.contains(expected), "{text}");
            assert_eq!(text.lines().count(), 1);
            assert_eq!(Line::parse(text.trim_end()), Ok(line));
        }
    }

    proptest! {
        #[test]
        fn any_publication_is_read_as_it_was_written(
            parts in any::<[bool; 6]>(),
            texts in ["[a-zä]{1,40}", "\\PC{1,10}", "\\PC{1,10}"],
            info in "\\PC{0,20}",
            kind in 0..3,
            bytes in proptest::collection::vec(any::<u8>(), 0..100),
            numbers in any::<[u64; 4]>(),
        ) {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let connection = ConnectionId::from_bits(numbers[0]);
            let mut publication = publication();
            publication.position = Position { epoch: Epoch(numbers[1]), offset: numbers[2] };
            let draft = &mut publication.draft;
            draft.time = Timestamp(numbers[3]);
            draft.payload = match kind {
                0 => Payload::serialize(&text).unwrap(),
                1 => Payload::text(text),
                _ => Payload::binary(bytes),
            };
            draft.from = parts[0].then(|| Publisher {
                connection,
                user: UserName::parse(&texts[0]).ok().filter(|_| parts[1]),
                info: parts[2].then(|| info.into()), topic_info: None, });
            draft.key = Key::parse(&texts[1]).ok().filter(|_| parts[3]);
            draft.idempotency_key = IdempotencyKey::parse(&texts[2]).ok().filter(|_| parts[4]);
            draft.except = parts[5].then_some(connection);
            let line = Line::Publication(Box::new(publication));
            let text = written(&line);
            prop_assert_eq!(Line::parse(text.trim_end_matches('\n')), Ok(line));
        }

        #[test]
        fn any_text_is_a_line_or_told(text in "\\PC{0,100}") {
            prop_assert!(Line::parse(&text).is_err_and(|problem| !problem.is_empty()));
        }
    }
}
