//! Removing what is kept of a topic, in the order of its publications.

use std::task::Poll;

use fanfare_hub::broker::{OutletId, PublishId, Published, Refusal};
use fanfare_log::{AppendError, What};
use fanfare_protocol::{Position, TopicName};

use super::LocalBroker;
use super::journal::{Journal, Ticket};
use super::partition::Partition;
use super::publishing::{refusal_of, refusal_when};
use super::topic_log::{Asked, Log, Pending};

impl LocalBroker {
    /// Keeps nothing of a topic that was published so far; given, or told when it is [pending](Poll::Pending), is where the
    /// topic stands. Nobody notices who is subscribed: the epoch and the offsets go on. A topic of which there is nothing
    /// else stays for a while, as any does that keeps history.
    pub(crate) fn remove_history(
        &self,
        topic: &TopicName,
        outlet: OutletId,
        publish: PublishId,
    ) -> Poll<Result<Published, Refusal>> {
        let asked = Asked { outlet, publish };
        let index = self.partition_of(topic.as_str());
        let mut partition = self.lock(index);
        let log = match partition.find(topic.as_str()) {
            Some(log) => log,
            None if !self.is_on_disk(topic) => {
                let standing = self.standing(&partition, topic);
                return Poll::Ready(Ok(Published::first(standing)));
            }
            None => match self.begin(&mut partition, topic, self.terms_of(topic)) {
                Ok(log) => log,
                Err(refusal) => return Poll::Ready(Err(refusal)),
            },
        };
        let ticket = Ticket {
            partition: index,
            log,
        };
        let outcome = match &self.journal {
            Some(journal) if is_stored(&**journal, &partition.logs[log]) => {
                submit(&**journal, &mut partition.logs[log], ticket, asked)
            }
            _ => Ok(Some(self.forget(&mut partition.logs[log]))),
        };
        self.end_if_unused(&mut partition, log);
        match outcome {
            Ok(Some(position)) => Poll::Ready(Ok(Published::first(position))),
            Ok(None) => Poll::Pending,
            Err(refusal) => Poll::Ready(Err(refusal)),
        }
    }

    /// Takes what became of a removal that was submitted to the journal.
    pub(super) fn settle_removal(
        &self,
        partition: &mut Partition,
        log: usize,
        asked: Asked,
        outcome: Result<fanfare_log::Position, AppendError>,
    ) {
        let removed = match outcome {
            // What is queued behind it is not in memory yet.
            Ok(_) => Ok(self.forget(&mut partition.logs[log])),
            Err(error) => Err(refusal_of(&error)),
        };
        self.tell(asked, removed.map(Published::first));
    }

    /// Drops what memory has; gives where the topic stands.
    fn forget(&self, log: &mut Log) -> Position {
        self.history.clear(&mut log.history);
        log.position
    }
}

/// Whether the disk has something of a topic, or will.
fn is_stored(journal: &dyn Journal, log: &Log) -> bool {
    log.terms.is_durable
        && (!log.pending.is_empty() || journal.reader().standing(log.topic.as_str()).is_some())
}

/// Queues a removal for the disk; nothing to give before that is done.
fn submit(
    journal: &dyn Journal,
    log: &mut Log,
    ticket: Ticket,
    asked: Asked,
) -> Result<Option<Position>, Refusal> {
    if log.is_broken || log.renewal().is_some() {
        return Err(Refusal::Overloaded);
    }
    let draft = fanfare_log::Draft {
        topic: log.topic.shared(),
        time_ms: crate::clock::wall().0,
        what: What::Remove {
            before: log.end().offset + 1,
        },
    };
    journal.submit(draft, ticket).map_err(refusal_when)?;
    log.pending.push_back(Pending::Removal(asked));
    Ok(None)
}
