//! Which topics a log has, and which of their publications are whole.

use std::collections::{HashMap, HashSet};
use std::ops::{ControlFlow, RangeInclusive};
use std::sync::Arc;

use fanfare::broker::stored;
use fanfare::{Epoch, Position, Publication, Timestamp, TopicName, TopicPattern};
use fanfare_log::{Damages, ReadError, Reader, Recovery, Standing};

use super::findings::Findings;
use super::line::Topic;
use super::wire::{shown, topic_name};

/// Which topics are asked for.
#[derive(Default)]
pub(super) struct Selection(Vec<TopicPattern>);

/// What is in a log. Its memory is about 150 bytes for a topic.
pub(super) struct Survey {
    topics: Vec<Surveyed>,
    by_name: HashMap<Arc<str>, usize>,
    /// Publications that should be there and are not.
    pub(super) lost: Findings,
    /// What is no record.
    damages: Damages,
}

/// A topic, and from where on it is whole.
struct Surveyed {
    name: TopicName,
    standing: Standing,
    first: u64,
    /// The offset behind the last one that was seen, in each of the two times that everything is read.
    next: u64,
    newest_ms: Option<u64>,
}

impl Selection {
    /// The topics that one of the patterns matches; all, when there is no pattern.
    pub(super) fn of(patterns: Vec<TopicPattern>) -> Self {
        Self(patterns)
    }

    pub(super) fn is_all(&self) -> bool {
        self.0.is_empty()
    }

    /// A pattern that matches none of the topics.
    pub(super) fn unmatched(&self, survey: &Survey) -> Option<&TopicPattern> {
        let matches = |pattern: &TopicPattern| survey.topics.iter().any(|topic| pattern.matches(&topic.name));
        self.0.iter().find(|pattern| !matches(pattern))
    }

    fn has(&self, topic: &TopicName) -> bool {
        self.is_all() || self.0.iter().any(|pattern| pattern.matches(topic))
    }
}

impl Survey {
    /// Reads everything once.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(super) fn of(reader: &Reader, selection: &Selection) -> Result<Self, ReadError> {
        let mut survey = Self {
            topics: Vec::new(),
            by_name: HashMap::new(),
            lost: Findings::default(),
            damages: Damages::default(),
        };
        let mut cursor = Some(0);
        while let Some(from) = cursor {
            let (page, next) = reader.topics(from, TOPICS_AT_ONCE);
            for (name, standing) in page {
                survey.add(name, standing, selection);
            }
            cursor = next;
        }
        survey.damages = reader.visit(0, |publication| {
            survey.see(&publication);
            ControlFlow::Continue(())
        })?;
        survey.finish();
        Ok(survey)
    }

    fn add(&mut self, name: Arc<str>, standing: Standing, selection: &Selection) {
        let topic = match topic_name(&name) {
            Ok(topic) => topic,
            Err(error) => {
                self.lost.add(format!("topic {}: {error}", shown(&name)));
                return;
            }
        };
        if selection.has(&topic) {
            self.by_name.insert(name, self.topics.len());
            self.topics.push(Surveyed {
                name: topic,
                standing,
                first: standing.first,
                next: standing.first,
                newest_ms: None,
            });
        }
    }

    fn see(&mut self, publication: &fanfare_log::Publication) {
        let Some(index) = self.by_name.get(&publication.topic) else {
            return;
        };
        let topic = &mut self.topics[*index];
        if publication.offset < topic.next {
            return;
        }
        topic.reach(publication.offset, &mut self.lost);
        topic.next = publication.offset + 1;
        topic.newest_ms = Some(publication.time_ms);
        if let Err(error) = decoded(&topic.name, publication) {
            let problem = format!(
                "topic {}: publication {}: {error}",
                topic.name, publication.offset
            );
            self.lost.add(problem);
            topic.begin_again();
        }
    }

    fn finish(&mut self) {
        for topic in &mut self.topics {
            topic.reach(topic.standing.last + 1, &mut self.lost);
            topic.next = 0;
        }
    }

    /// Where the topics stand that are asked for, in the order of the log.
    pub(super) fn topics(&self) -> impl Iterator<Item = Topic> {
        self.topics.iter().map(Surveyed::line)
    }

    /// The publication of a record, if it is whole and its topic is asked for. Asked once for every record, in the order
    /// of the log.
    pub(super) fn publication(&mut self, record: &fanfare_log::Publication) -> Option<Publication> {
        let topic = &mut self.topics[*self.by_name.get(&record.topic)?];
        let is_next = record.offset >= topic.next;
        topic.next = topic.next.max(record.offset + 1);
        decoded(&topic.name, record).ok().filter(|_| is_next)
    }

    /// Everything that is wrong: what a start finds, what is no record, and what is lost with that.
    pub(super) fn findings(self, recovery: &Recovery) -> Findings {
        let mut findings = Findings::default();
        findings.add_all(&recovery.damages, |_| true);
        let listed = &recovery.damages.listed;
        let known: HashSet<_> = listed.iter().map(|damage| (&damage.file, damage.at)).collect();
        findings.add_all(&self.damages, |damage| {
            !known.contains(&(&damage.file, damage.at))
        });
        findings.append(self.lost);
        findings
    }
}

impl Surveyed {
    /// Takes note that those before `offset` are not there, as far as they were not seen.
    fn reach(&mut self, offset: u64, lost: &mut Findings) {
        if self.next < offset {
            let missing = named(&(self.next..=offset - 1));
            lost.add(format!("topic {}: {missing}", self.name));
            self.next = offset;
            self.begin_again();
        }
    }

    /// Lets nothing before `next` be whole.
    fn begin_again(&mut self) {
        self.first = self.next;
        self.newest_ms = None;
    }

    fn line(&self) -> Topic {
        Topic {
            name: self.name.clone(),
            epoch: Epoch(self.standing.epoch),
            first: self.first,
            last: self.standing.last,
            time: Timestamp(self.newest_ms.unwrap_or(self.standing.last_ms)),
        }
    }
}

fn named(offsets: &RangeInclusive<u64>) -> String {
    let (first, last) = (offsets.start(), offsets.end());
    if first == last {
        format!("publication {first} is lost")
    } else {
        format!("publications {first} to {last} are lost")
    }
}

/// The publication of a record.
pub(super) fn decoded(
    topic: &TopicName,
    record: &fanfare_log::Publication,
) -> Result<Publication, stored::StoredError> {
    let draft = stored::decode(topic.clone(), Timestamp(record.time_ms), &record.body)?;
    Ok(Publication {
        draft,
        position: Position {
            epoch: Epoch(record.epoch),
            offset: record.offset,
        },
    })
}

const TOPICS_AT_ONCE: usize = 1_024;
