//! What the tests have in common: small logs in memory, and everything that is in one.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::sync::Arc;

use fanfare_log::{
    AppendError, Bounds, Draft, Limits, Log, Memory, OpenError, Options, Policy, Position, Publication,
    Recovery, Retention, Storage,
};

pub(crate) const ALL: Bounds = Bounds {
    records: usize::MAX,
    bytes: usize::MAX,
};

thread_local! {
    static SEEDS: Cell<u64> = const { Cell::new(0) };
}

/// Segments of 4 KiB, and maintenance in small steps.
pub(crate) fn small() -> Options {
    Options {
        limits: Limits {
            segment_bytes_max: 4_096,
            record_bytes_max: 2_048,
            rewrite_bytes_max: 700,
            retained_topics_max: 3,
            cache_bytes_max: 2_000,
            ..Limits::default()
        },
        // Every opening has epochs of its own, and every run of a test the same ones.
        seed: Some(SEEDS.with(|seeds| seeds.replace(seeds.get() + 1))),
        ..Options::default()
    }
}

pub(crate) fn keeping(policy: impl Fn(&str) -> Retention + Send + Sync + 'static) -> Options {
    Options {
        policy: Policy::new(policy),
        ..small()
    }
}

pub(crate) fn try_open(disk: &Memory, options: Options) -> Result<(Log, Recovery), OpenError> {
    let storage: Arc<dyn Storage> = Arc::new(disk.clone());
    Log::open(storage, options)
}

pub(crate) fn open(disk: &Memory, options: Options) -> Log {
    try_open(disk, options).unwrap().0
}

/// Ends the process without a word and opens the log again.
pub(crate) fn killed(disk: &Memory, log: Log, options: Options) -> (Log, Recovery) {
    drop(log);
    disk.restart();
    try_open(disk, options).unwrap()
}

pub(crate) fn publication(topic: &str, time_ms: u64, body: &str) -> Draft {
    Draft::publication(topic, time_ms, body.to_owned())
}

pub(crate) fn append(log: &mut Log, draft: Draft) -> Result<Position, AppendError> {
    log.append(&[draft]).remove(0)
}

/// Publishes `count` bodies of about 100 bytes, one by one, each naming its offset.
pub(crate) fn publish(log: &mut Log, topic: &str, count: u64) {
    for _ in 0..count {
        let next = log
            .reader()
            .standing(topic)
            .map_or(1, |standing| standing.last + 1);
        let position = append(log, publication(topic, next, &body(topic, next))).unwrap();
        assert_eq!(position.offset, next);
    }
}

pub(crate) fn body(topic: &str, offset: u64) -> String {
    format!("{topic} {offset} {}", "x".repeat(90))
}

/// All that is kept of a topic, read in both directions.
pub(crate) fn read(log: &Log, topic: &str) -> Vec<Publication> {
    let reader = log.reader();
    let page = reader.forward(topic, 0, ALL).unwrap();
    let mut backward = reader.backward(topic, u64::MAX, ALL).unwrap().publications;
    backward.reverse();
    assert_eq!(page.publications, backward);
    assert_eq!(page.publications.len() as u64, page.standing.count());
    page.publications
}

pub(crate) fn offsets(log: &Log, topic: &str) -> Vec<u64> {
    read(log, topic)
        .iter()
        .map(|publication| publication.offset)
        .collect()
}

/// Everything that a visit since `since_ms` shows, by topic and offset.
pub(crate) fn visited(log: &Log, since_ms: u64) -> Vec<(String, u64)> {
    let mut seen = Vec::new();
    let damages = log.reader().visit(since_ms, |publication| {
        seen.push((publication.topic.to_string(), publication.offset));
        ControlFlow::Continue(())
    });
    assert!(damages.unwrap().is_empty());
    seen
}

/// Goes through rounds of maintenance until there is nothing more to do.
pub(crate) fn maintain(log: &mut Log, now_ms: u64) {
    let mut idle = 0;
    while idle < 2 {
        let maintained = log.maintain(now_ms).unwrap();
        let is_idle = maintained.is_round && maintained.removed == 0;
        if maintained.is_round || maintained.rewritten > 0 {
            idle = if is_idle { idle + 1 } else { 0 };
        }
    }
}

pub(crate) fn segments(disk: &Memory) -> Vec<String> {
    let mut names = disk.names().unwrap();
    names.retain(|name| name.strip_suffix(".seg").is_some());
    names
}
