//! One life of the server: the broker, the log, and the desk between them.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use fanfare::broker::{Journal, LocalBroker};
use fanfare_hub::broker::{
    Broker, BrokerEvent, Outlet, OutletId, Page, PublishId, Published, Read, ReadId, Refusal, Start,
};
use fanfare_hub::{Limits, Retention};
use fanfare_log::{Done, Fsync, Log, Memory, OpenError, Options};
use fanfare_protocol::{Draft, Publication, Timestamp, TopicName};

use super::Durable;
use super::desk::Desk;
use super::ledger::Ledger;

pub(super) struct Server {
    pub(super) broker: Arc<LocalBroker>,
    desk: Arc<Desk>,
    log: Log,
    /// Who publishes.
    publisher: OutletId,
    answers: Arc<Answers>,
    publishes: u64,
}

/// The mailbox of the publishers.
#[derive(Default)]
struct Answers(Mutex<Vec<BrokerEvent>>);

impl Answers {
    fn take(&self) -> Vec<BrokerEvent> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Outlet for Answers {
    fn try_reserve(&self, _bytes: usize) -> bool {
        true
    }

    fn cancel(&self, _bytes: usize) {}

    fn post_reserved(&self, _publication: Arc<Publication>) {}

    fn post(&self, answer: BrokerEvent) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(answer);
    }
}

impl Server {
    pub(super) fn start(
        disk: &Memory,
        (fsync, kept): (Fsync, usize),
        seed: u64,
        now_ms: u64,
    ) -> Result<Self, OpenError> {
        let options = Options {
            // Small, so that segments are sealed and rewritten.
            limits: fanfare_log::Limits {
                segment_bytes_max: 16 << 10,
                group_bytes_max: 8 << 10,
                ..fanfare_log::Limits::default()
            },
            fsync,
            seed: Some(seed),
            ..Options::default()
        };
        let (log, _) = Log::open(Arc::new(disk.clone()), options)?;
        let desk = Arc::new(Desk::new(log.reader()));
        let retention = Retention {
            publications_max: kept,
            age_max_ms: u64::MAX,
            bytes_max: 1 << 30,
        };
        let limits = Limits {
            idempotency_window_ms: u64::MAX / 2,
            ..Limits::default()
        };
        let journal = Arc::clone(&desk);
        let broker =
            LocalBroker::new(retention, &limits, seed).with_journal(Some(journal as Arc<dyn Journal>));
        let broker = Arc::new(broker);
        broker.set_rules(Arc::default());
        if let Err(error) = broker.restore_keys(Timestamp(now_ms)) {
            panic!("keys cannot be restored: {error}");
        }
        let answers = Arc::new(Answers::default());
        let publisher = broker.attach(Arc::clone(&answers) as Arc<dyn Outlet>);
        Ok(Self {
            broker,
            desk,
            log,
            publisher,
            answers,
            publishes: 0,
        })
    }

    pub(super) fn publish(&mut self, draft: &Draft, ledger: &mut Ledger) {
        self.publishes += 1;
        let id = self.publishes;
        ledger.asked(id, draft.clone());
        let answer = self.broker.publish(draft.clone(), self.publisher, PublishId(id));
        if let Poll::Ready(outcome) = answer {
            ledger.answered(id, outcome);
        }
    }

    /// Writes the next group, unless the process ends in it; gives whether there was one.
    pub(super) fn commit(&mut self, count: usize, disk: &Memory) -> bool {
        let (drafts, tickets): (Vec<_>, Vec<_>) = {
            let mut lines = self.desk.lines();
            if let Some(policy) = lines.policy.take() {
                self.log.set_policy(policy);
            }
            let count = count.min(lines.drafts.len());
            lines.drafts.drain(..count).unzip()
        };
        let answers = self.log.append(&drafts);
        if disk.is_stopped() {
            return false;
        }
        let done = tickets.into_iter().zip(answers);
        let done = done.map(|(ticket, outcome)| Done { ticket, outcome });
        let done: Vec<_> = done.collect();
        let is_some = !done.is_empty();
        self.broker.settle(done);
        is_some
    }

    /// Does the next read of the disk; gives whether there was one.
    pub(super) fn look_up(&self) -> bool {
        let reading = self.desk.lines().readings.pop_front();
        let is_some = reading.is_some();
        if let Some(reading) = reading {
            self.broker.look_up(reading);
        }
        is_some
    }

    pub(super) fn maintain(&mut self, now_ms: u64, syncs: bool) {
        // What cannot be done now is done later.
        let _ = self.log.maintain(now_ms);
        if syncs {
            let _ = self.log.sync();
        }
        self.broker.expire(Timestamp(now_ms));
    }

    pub(super) fn take_answers(&self, ledger: &mut Ledger, summary: &mut Durable) {
        for event in self.answers.take() {
            if let BrokerEvent::Published { publish, outcome } = event {
                count(outcome, summary);
                ledger.answered(publish.0, outcome);
            }
        }
    }

    /// All that a topic has.
    pub(super) fn everything(&self, topic: &TopicName) -> Page {
        let read = Read {
            start: Start::Oldest,
            publications_max: usize::MAX,
            bytes_max: usize::MAX,
        };
        self.broker.read(self.publisher, topic, read, ReadId(0));
        while self.look_up() {}
        let is_page = |event| match event {
            BrokerEvent::Read {
                outcome: Ok(page), ..
            } => Some(page),
            _ => None,
        };
        match self.answers.take().into_iter().find_map(is_page) {
            Some(page) => page,
            None => panic!("{topic} cannot be read"),
        }
    }

    /// Ends in order; gives whether the disk was sound.
    pub(super) fn close(self) -> bool {
        self.log.close().is_ok()
    }
}

fn count(outcome: Result<Published, Refusal>, summary: &mut Durable) {
    match outcome {
        Ok(_) => summary.answered += 1,
        Err(_) => summary.refused += 1,
    }
}
