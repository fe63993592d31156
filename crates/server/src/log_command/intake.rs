//! What the lines of an export ask of a log, and whether each follows on those before it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use fanfare::broker::stored;
use fanfare::{Publication, TopicName};
use fanfare_log::{Draft, Log, Position, What};

use super::line::{End, FORMAT, Line, Topic, VERSION};
use super::wire::{WAY_OUT, shown};

/// What the epochs of the topics become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Epochs {
    /// What they were: clients go on.
    Kept,
    /// New ones: clients are told that they may have missed something.
    New,
}

/// What is to be done for a line.
#[derive(Debug)]
pub(super) enum Step {
    /// Write these, in their order.
    Append(Vec<Draft>),
    /// Put this value.
    Put { name: String, value: Vec<u8> },
}

/// Takes line after line. Its memory is about 150 bytes for a topic.
pub(super) struct Intake {
    epochs: Epochs,
    topics: HashMap<TopicName, Progress>,
    values: HashSet<String>,
    /// Lines so far; the damages are those that the export speaks of.
    counts: End,
    /// Publications in front of one that is lost.
    left_out: u64,
    stage: Stage,
}

/// Which lines may come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Begin,
    Within,
    Ended,
}

/// How far a topic is.
struct Progress {
    topic: Topic,
    /// The epoch of what was written last.
    epoch: u64,
    /// The offset that comes next.
    next: u64,
}

impl Intake {
    pub(super) fn new(epochs: Epochs) -> Self {
        Self {
            epochs,
            topics: HashMap::new(),
            values: HashSet::new(),
            counts: End::default(),
            left_out: 0,
            stage: Stage::Begin,
        }
    }

    /// How many lines there were, and the damages of which the export speaks.
    pub(super) fn counts(&self) -> End {
        self.counts
    }

    /// Publications that were not taken: they stand in front of one that is lost, where none can be put.
    pub(super) fn left_out(&self) -> u64 {
        self.left_out
    }

    /// What is to be done for the next line, in a log that does not have it yet.
    ///
    /// # Errors
    /// It does not follow on those before it, or the log has its topic or value already.
    pub(super) fn take(&mut self, line: Line, log: &Log) -> Result<Step, String> {
        match (self.stage, line) {
            (Stage::Begin, Line::Export { format, version }) => self.begin(&format, version),
            (Stage::Begin, _) => Err(format!(
                "it is not of the type `export`, as the first one is; {WAY_OUT}"
            )),
            (Stage::Ended, _) => Err(format!("it stands behind the line of the type `end`; {WAY_OUT}")),
            (Stage::Within, Line::Export { .. }) => Err(format!(
                "it is of the type `export`, as only the first one is; {WAY_OUT}"
            )),
            (Stage::Within, Line::Value { name, value }) => self.value(name, value, log),
            (Stage::Within, Line::Topic(topic)) => self.topic(topic, log),
            (Stage::Within, Line::Publication(publication)) => self.publication(&publication),
            (Stage::Within, Line::End(end)) => self.end(end),
        }
    }

    /// Whether the last line was there.
    ///
    /// # Errors
    /// It was not.
    pub(super) fn finish(&self) -> Result<(), String> {
        match self.stage {
            Stage::Ended => Ok(()),
            _ => Err("it is not there: the export ends without its line of the type `end`, so it is a part; export again".to_owned()),
        }
    }

    fn begin(&mut self, format: &str, version: u64) -> Result<Step, String> {
        if format != FORMAT {
            return Err(format!(
                "format is `{}`: it is `{FORMAT}`; {WAY_OUT}",
                shown(format)
            ));
        }
        if version != VERSION {
            return Err(format!(
                "version is {version}: this program knows version {VERSION}; import with the program that exported it"
            ));
        }
        self.stage = Stage::Within;
        Ok(Step::Append(Vec::new()))
    }

    fn value(&mut self, name: String, value: Vec<u8>, log: &Log) -> Result<Step, String> {
        let bytes_max = log.limits().state_bytes_max;
        if value.len() > bytes_max {
            return Err(format!(
                "value `{name}` has {} bytes, limit is {bytes_max}; {WAY_OUT}",
                value.len()
            ));
        }
        if self.values.contains(&name) {
            return Err(format!("value `{name}` has a line already; {WAY_OUT}"));
        }
        match log.state().value(&name) {
            Ok(None) => {
                self.counts.values += 1;
                self.values.insert(name.clone());
                Ok(Step::Put { name, value })
            }
            Ok(Some(_)) => Err(format!(
                "value `{name}` is in the directory already; import into another directory, or export with --topic, without \
                 values"
            )),
            Err(error) => Err(format!("{error}; {WAY_OUT}")),
        }
    }

    fn topic(&mut self, topic: Topic, log: &Log) -> Result<Step, String> {
        let name = &topic.name;
        if topic.first == 0 || topic.last >= OFFSET_END || topic.first > topic.last + 1 {
            return Err(format!(
                "topic `{name}` has first {} and offset {}: first is from 1 to one more than offset, and that is below 2^63; {WAY_OUT}",
                topic.first, topic.last
            ));
        }
        if self.topics.contains_key(name) {
            return Err(format!("topic `{name}` has a line already; {WAY_OUT}"));
        }
        if let Some(standing) = log.reader().standing(name.as_str()) {
            return Err(format!(
                "topic `{name}` is in the directory already, at offset {}; import into another directory, or export the others \
                 with --topic",
                standing.last
            ));
        }
        self.counts.topics += 1;
        let mut progress = Progress {
            epoch: topic.epoch.0,
            next: topic.first,
            topic,
        };
        let mut drafts = vec![progress.begin()];
        drafts.extend(progress.renew_at_end(self.epochs));
        self.topics.insert(progress.topic.name.clone(), progress);
        Ok(Step::Append(drafts))
    }

    fn publication(&mut self, publication: &Publication) -> Result<Step, String> {
        let name = &publication.draft.topic;
        let offset = publication.position.offset;
        let Some(progress) = self.topics.get_mut(name) else {
            return Err(format!(
                "topic `{name}` has no line of the type `topic` before; {WAY_OUT}"
            ));
        };
        if offset < progress.topic.first {
            self.counts.publications += 1;
            self.left_out += 1;
            return Ok(Step::Append(Vec::new()));
        }
        if offset != progress.next || offset > progress.topic.last {
            let expected = if progress.next > progress.topic.last {
                "it has no more".to_owned()
            } else {
                format!("the next one is {}", progress.next)
            };
            return Err(format!(
                "offset is {offset}: of topic `{name}`, {expected}; {WAY_OUT}"
            ));
        }
        self.counts.publications += 1;
        Ok(Step::Append(progress.append(publication, self.epochs)))
    }

    fn end(&mut self, end: End) -> Result<Step, String> {
        let End {
            values,
            topics,
            publications,
            damages,
        } = self.counts;
        for (name, said, found) in [
            ("values", end.values, values),
            ("topics", end.topics, topics),
            ("publications", end.publications, publications),
        ] {
            if said != found {
                return Err(format!("{name} is {said}: there were {found}; {WAY_OUT}"));
            }
        }
        let is_short = |progress: &&Progress| progress.next <= progress.topic.last;
        if let Some(short) = self.topics.values().find(is_short) {
            return Err(format!(
                "topic `{}` has publications up to {} by its line, and {} is the first that did not come; {WAY_OUT}",
                short.topic.name, short.topic.last, short.next
            ));
        }
        self.counts.damages = damages + end.damages;
        self.stage = Stage::Ended;
        Ok(Step::Append(Vec::new()))
    }
}

impl Progress {
    /// Lets the topic begin before its first publication.
    fn begin(&self) -> Draft {
        self.go_on(self.topic.epoch.0, self.topic.time.0)
    }

    /// What a publication asks for: it may be of an earlier epoch than the topic.
    fn append(&mut self, publication: &Publication, epochs: Epochs) -> Vec<Draft> {
        let (epoch, time_ms) = (publication.position.epoch.0, publication.draft.time.0);
        let mut drafts = Vec::with_capacity(1);
        if epoch != self.epoch {
            drafts.push(self.go_on(epoch, time_ms));
            self.epoch = epoch;
        }
        drafts.push(Draft {
            topic: self.name(),
            time_ms,
            what: What::Publish {
                body: stored::encode(&publication.draft),
                expected: Some(self.next - 1),
                epoch: None,
            },
        });
        self.next += 1;
        drafts.extend(self.renew_at_end(epochs));
        drafts
    }

    /// Behind the last publication, brings the topic into the epoch in which it is to go on.
    fn renew_at_end(&mut self, epochs: Epochs) -> Option<Draft> {
        if self.next <= self.topic.last {
            return None;
        }
        let (epoch, time_ms) = (self.topic.epoch.0, self.topic.time.0);
        match epochs {
            Epochs::New => Some(Draft {
                topic: self.name(),
                time_ms,
                what: What::Renew {
                    from: self.topic.first,
                },
            }),
            Epochs::Kept => (self.epoch != epoch).then(|| self.go_on(epoch, time_ms)),
        }
    }

    /// Lets the topic go on in an epoch, behind what was written so far.
    fn go_on(&self, epoch: u64, time_ms: u64) -> Draft {
        Draft {
            topic: self.name(),
            time_ms,
            what: What::Begin {
                position: Position {
                    epoch,
                    offset: self.next - 1,
                },
            },
        }
    }

    fn name(&self) -> Arc<str> {
        Arc::from(self.topic.name.as_str())
    }
}

/// No publication has an offset so high.
const OFFSET_END: u64 = 1 << 63;
