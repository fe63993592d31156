//! Lives of a log on a disk that fails, runs full and loses what was not synced, by seed.
//!
//! `LOG_SEEDS` says how many there are, `LOG_SEED` names one of them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use fanfare_log::{
    AppendError, Draft, Fault, Log, Memory, Options, Position, Recovery, Retention, Storage, What, verify,
};

use crate::harness::*;

const TOPICS: [&str; 5] = ["all", "last five", "young", "small", "none"];

fn policy(topic: &str) -> Retention {
    match topic {
        "last five" => Retention {
            count: 5,
            ..Retention::ALL
        },
        "young" => Retention {
            age_ms: 40,
            ..Retention::ALL
        },
        "small" => Retention {
            bytes: 1_500,
            ..Retention::ALL
        },
        "none" => Retention::NONE,
        _ => Retention::ALL,
    }
}

fn options() -> Options {
    keeping(policy)
}

/// What is known of a topic by what was answered and read.
#[derive(Debug, Default)]
struct Known {
    epoch: Option<u64>,
    last: u64,
    /// The highest floor that was answered, and the highest that was asked for.
    floor: u64,
    floor_asked: u64,
    /// Bodies that were answered with a place, or read.
    bodies: HashMap<u64, String>,
    /// Bodies of which nobody knows.
    uncertain: HashSet<String>,
    is_epoch_uncertain: bool,
}

struct World {
    disk: Memory,
    log: Option<Log>,
    random: fastrand::Rng,
    now_ms: u64,
    bodies: u64,
    topics: BTreeMap<&'static str, Known>,
    openings: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let disk = Memory::new(seed);
        Self {
            log: Some(open(&disk, options())),
            disk,
            random: fastrand::Rng::with_seed(seed),
            now_ms: 1_000,
            bodies: 0,
            topics: TOPICS
                .into_iter()
                .map(|topic| (topic, Known::default()))
                .collect(),
            openings: 0,
        }
    }

    fn turn(&mut self) {
        self.now_ms += self.random.u64(0..5);
        if self.random.u8(..8) == 0 {
            let faults = [Fault::Error, Fault::NoSpace, Fault::Stop];
            let fault = faults[self.random.usize(..3)];
            self.disk.fail_after(self.random.u64(..7), fault);
        }
        match self.random.u8(..20) {
            0..=11 => self.append(),
            12..=17 => self.maintain(),
            18 => self.read(),
            _ => self.close(),
        }
        if self.disk.is_stopped() || self.log.as_ref().is_none_or(Log::is_fenced) {
            self.crash();
        }
    }

    fn append(&mut self) {
        let count = self.random.usize(1..6);
        let drafts: Vec<Draft> = (0..count).map(|_| self.draft()).collect();
        let Some(log) = &mut self.log else { return };
        let answers = log.append(&drafts);
        for (draft, answer) in drafts.iter().zip(answers) {
            self.note(draft, answer);
        }
    }

    fn draft(&mut self) -> Draft {
        let topic = TOPICS[self.random.usize(..TOPICS.len())];
        let draft = publication(topic, self.now_ms, "");
        let what = match self.random.u8(..30) {
            0 => What::Remove {
                before: self.topics[topic].last.saturating_sub(3),
            },
            1 => What::Renew { from: 0 },
            _ => {
                self.bodies += 1;
                let length = self.random.usize(..600);
                let body = format!("{} {}", self.bodies, "x".repeat(length));
                What::Publish {
                    body: body.into(),
                    expected: None,
                    epoch: None,
                }
            }
        };
        Draft { what, ..draft }
    }

    /// Takes note of what was answered.
    fn note(&mut self, draft: &Draft, answer: Result<Position, AppendError>) {
        let known = self.topics.get_mut(&*draft.topic).unwrap();
        let is_unknown = matches!(answer, Err(AppendError::Uncertain(_)));
        if let Ok(position) = answer {
            known.epoch = Some(position.epoch);
            known.last = position.offset;
        }
        match &draft.what {
            What::Publish { body, .. } => {
                let body = String::from_utf8(body.to_vec()).unwrap();
                if let Ok(position) = answer {
                    let other = known.bodies.insert(position.offset, body);
                    assert_eq!(other, None, "{} has another publication", position.offset);
                } else if is_unknown {
                    known.uncertain.insert(body);
                }
            }
            What::Remove { before } => {
                known.floor_asked = known.floor_asked.max(*before);
                if answer.is_ok() {
                    known.floor = known.floor.max(*before);
                }
            }
            What::Renew { .. } => known.is_epoch_uncertain |= is_unknown,
            What::Begin { .. } => unreachable!(),
        }
    }

    fn maintain(&mut self) {
        let Some(log) = &mut self.log else { return };
        for _ in 0..self.random.u8(..20) {
            if log.maintain(self.now_ms).is_err() {
                break;
            }
        }
    }

    fn close(&mut self) {
        if let Some(log) = self.log.take()
            && log.close().is_ok()
        {
            let storage: Arc<dyn Storage> = Arc::new(self.disk.clone());
            let verified = verify(&storage, &options().limits).unwrap();
            assert!(verified.damages.is_empty(), "{verified:?}");
        }
    }

    fn crash(&mut self) {
        self.log = None;
        loop {
            if self.random.bool() {
                self.disk.lose_power();
            } else {
                self.disk.restart();
            }
            if self.random.u8(..4) == 0 {
                self.disk.fail_after(self.random.u64(..6), Fault::Stop);
            }
            self.openings += 1;
            if let Ok((log, recovery)) = try_open(&self.disk, options()) {
                self.log = Some(log);
                Self::check_recovery(&recovery);
                break;
            }
        }
        self.read();
    }

    fn check_recovery(recovery: &Recovery) {
        assert!(recovery.damages.is_empty(), "{recovery:?}");
        assert_eq!((recovery.renewed, recovery.is_power_lost), (0, false));
    }

    /// Everything that may be relied on.
    fn read(&mut self) {
        let Some(log) = &self.log else { return };
        if self.disk.is_stopped() {
            return;
        }
        for (topic, known) in &mut self.topics {
            let Some(standing) = log.reader().standing(topic) else {
                assert_eq!(known.epoch, None, "{topic} is forgotten");
                continue;
            };
            let publications = read(log, topic);
            if let Some(epoch) = known.epoch {
                assert!(standing.epoch == epoch || known.is_epoch_uncertain, "{topic}");
            }
            known.epoch = Some(standing.epoch);
            known.is_epoch_uncertain = false;
            assert!(
                standing.last >= known.last,
                "{topic} lost {} of {}",
                standing.last,
                known.last
            );
            known.last = standing.last;
            let first = standing.first;
            assert!(first >= known.floor, "{topic} has again what was removed");
            match *topic {
                "all" => assert!(first <= known.floor_asked.max(1), "{topic} lost {first}"),
                "last five" => {
                    let wanted = (standing.last + 1).saturating_sub(5);
                    assert!((wanted..=wanted.max(known.floor_asked).max(1)).contains(&first));
                }
                "none" => assert_eq!(first, standing.last + 1),
                _ => {}
            }
            for publication in publications {
                let body = String::from_utf8(publication.body.to_vec()).unwrap();
                let said = known.bodies.entry(publication.offset).or_insert_with(|| {
                    assert!(known.uncertain.remove(&body), "{topic} has what was refused");
                    body.clone()
                });
                assert_eq!(*said, body, "{topic} {} is another one", publication.offset);
            }
        }
    }
}

fn live(seed: u64) -> u64 {
    let mut world = World::new(seed);
    for _ in 0..60 {
        world.turn();
    }
    world.crash();
    world.openings
}

#[test]
fn nothing_answered_is_lost_whatever_fails() {
    let number = |name: &str| std::env::var(name).ok().map(|value| value.parse().unwrap());
    if let Some(seed) = number("LOG_SEED") {
        live(seed);
        return;
    }
    let mut openings = 0;
    for seed in 0..number("LOG_SEEDS").unwrap_or(2_000) {
        match std::panic::catch_unwind(|| live(seed)) {
            Ok(count) => openings += count,
            Err(panic) => {
                println!("LOG_SEED={seed}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    println!("{openings} openings after an end without warning");
}

/// A life without chance, with rolls, retention, removals and rewriting in it; ends where it is stopped.
fn story(disk: &Memory) -> Result<BTreeMap<&'static str, u64>, BTreeMap<&'static str, u64>> {
    let mut answered = BTreeMap::new();
    let Ok((mut log, _)) = try_open(disk, options()) else {
        return Err(answered);
    };
    for round in 1..=8 {
        for topic in ["all", "last five", "last five", "last five", "none"] {
            for _ in 0..3 {
                let next = answered.get(topic).map_or(1, |last| last + 1);
                match append(&mut log, publication(topic, round, &body(topic, next))) {
                    Ok(position) => answered.insert(topic, position.offset),
                    Err(_) => return Err(answered),
                };
            }
        }
        for _ in 0..25 {
            if log.maintain(round).is_err() {
                return Err(answered);
            }
        }
    }
    match log.close() {
        Ok(()) => Ok(answered),
        Err(_) => Err(answered),
    }
}

#[test]
fn every_operation_can_be_the_last() {
    let disk = Memory::new(0);
    let whole = story(&disk).unwrap();
    assert_eq!((whole["all"], whole["last five"]), (24, 72));
    let bytes = segments(&disk)
        .iter()
        .map(|name| disk.content(name).unwrap().len())
        .sum::<usize>();
    assert!(bytes < 10_000, "nothing was rewritten: {bytes}");
    for operation in 0..disk.operations() {
        for seed in 0..4 {
            let disk = Memory::new(seed);
            disk.fail_after(operation, Fault::Stop);
            let answered = story(&disk).unwrap_err();
            if seed == 0 {
                disk.restart();
            } else {
                disk.lose_power();
            }
            let (log, recovery) = try_open(&disk, options()).unwrap();
            World::check_recovery(&recovery);
            for (topic, last) in answered {
                let standing = log.reader().standing(topic).unwrap();
                assert!(
                    (last..=last + 1).contains(&standing.last),
                    "{operation} {seed} {topic}"
                );
                let kept = offsets(&log, topic);
                let first = (standing.last + 1).saturating_sub(policy(topic).count).max(1);
                assert_eq!(
                    kept,
                    (first..=standing.last).collect::<Vec<_>>(),
                    "{operation} {seed} {topic}"
                );
                for publication in read(&log, topic) {
                    assert_eq!(publication.body, body(topic, publication.offset));
                }
            }
        }
    }
}
