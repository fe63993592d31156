//! What the log costs here: appends per second against a bare write and `fdatasync` of the same bytes, memory for each
//! record and topic, and the time to open 1 GiB.
//!
//! `cargo run --release -p fanfare-log --example measure -- FOLDER`; the folder is emptied of what this leaves.

#![allow(clippy::print_stdout, reason = "this is a program for the terminal")]

use std::error::Error;
use std::fs::{self, File};
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fanfare_log::{Bounds, Directory, Draft, Fsync, Log, Options, Policy, Retention};

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> Outcome {
    let folder = std::env::args()
        .nth(1)
        .ok_or("name a folder on the disk to measure")?;
    let folder = Path::new(&folder).join("fanfare-log-measure");
    for group in [64, 1_000] {
        for _ in 0..3 {
            bare(&folder, group)?;
            appends(&folder, group, Fsync::Always)?;
        }
        appends(&folder, group, Fsync::Never)?;
    }
    memory(&folder)?;
    start(&folder)?;
    fs::remove_dir_all(&folder)?;
    Ok(())
}

fn open(folder: &Path, fsync: Fsync) -> Result<Log, Box<dyn Error>> {
    let storage = Arc::new(Directory::open(folder)?);
    let options = Options {
        fsync,
        ..Options::default()
    };
    Ok(Log::open(storage, options)?.0)
}

fn afresh(folder: &Path) -> Outcome {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    Ok(())
}

/// Publications of 200 bytes over 100 topics.
fn drafts(count: usize) -> Vec<Draft> {
    let body = Bytes::from(vec![b'x'; 200]);
    let draft = |number: usize| Draft::publication(topic(number % 100), 1_767_225_600_000, body.clone());
    (0..count).map(draft).collect()
}

fn topic(number: usize) -> String {
    format!("measured/topic/{number:06}")
}

const RUN: Duration = Duration::from_secs(4);

fn bare(folder: &Path, group: usize) -> Outcome {
    afresh(folder)?;
    let bytes: usize = drafts(group).iter().map(Draft::bytes).sum();
    let content = vec![b'x'; bytes];
    let mut file = File::create(folder.join("bare"))?;
    let began = Instant::now();
    let mut groups = 0;
    while began.elapsed() < RUN {
        file.write_all(&content)?;
        file.sync_data()?;
        groups += 1;
    }
    report("bare write and fdatasync", group, groups, began);
    Ok(())
}

fn appends(folder: &Path, group: usize, fsync: Fsync) -> Outcome {
    afresh(folder)?;
    let mut log = open(folder, fsync)?;
    let drafts = drafts(group);
    let began = Instant::now();
    let mut groups = 0;
    while began.elapsed() < RUN {
        for answer in log.append(&drafts) {
            answer?;
        }
        groups += 1;
    }
    report(&format!("appends, {fsync:?}"), group, groups, began);
    log.close()?;
    Ok(())
}

fn report(what: &str, group: usize, groups: usize, began: Instant) {
    let seconds = began.elapsed().as_secs_f64();
    let per_second = (group * groups) as f64 / seconds;
    let per_group = seconds / groups as f64 * 1e6;
    println!("{what}, groups of {group}: {per_second:.0} records/s, {per_group:.0} µs each group");
}

/// Resident bytes of this process.
fn resident() -> Result<u64, Box<dyn Error>> {
    let pages = fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = pages.split(' ').nth(1).ok_or("no resident pages")?.parse()?;
    Ok(pages * 4_096)
}

fn memory(folder: &Path) -> Outcome {
    afresh(folder)?;
    let mut log = open(folder, Fsync::Never)?;
    let topics = 200_000;
    let before = resident()?;
    for first in (0..topics).step_by(1_000) {
        let draft = |number| Draft::publication(topic(number), 1, Bytes::from_static(b"x"));
        let group: Vec<Draft> = (first..first + 1_000).map(draft).collect();
        for answer in log.append(&group) {
            answer?;
        }
    }
    let bytes = (resident()? - before) / topics as u64;
    println!("memory: {bytes} bytes for each of {topics} topics with one record");

    let group: Vec<Draft> = (0..1_000)
        .map(|_| Draft::publication(topic(0), 1, Bytes::new()))
        .collect();
    let before = resident()?;
    let records = 500_000;
    for _ in 0..records / 1_000 {
        for answer in log.append(&group) {
            answer?;
        }
    }
    let bytes = (resident()? - before) / records;
    println!("memory: {bytes} bytes for each of {records} records in the segment that is appended to");
    Ok(())
}

/// Fills 1 GiB, and opens it: as it is after a kill, with a last segment that is almost full.
fn start(folder: &Path) -> Outcome {
    afresh(folder)?;
    let mut log = open(folder, Fsync::Never)?;
    let drafts = drafts(1_000);
    let group: usize = drafts.iter().map(Draft::bytes).sum();
    let mut bytes = 0;
    while bytes < (1 << 30) + (56 << 20) {
        for answer in log.append(&drafts) {
            answer?;
        }
        bytes += group;
    }
    log.sync()?;
    drop(log);
    for caches in ["warm", "cold"] {
        if caches == "cold" && fs::write("/proc/sys/vm/drop_caches", "3").is_err() {
            println!("start: the caches of the system cannot be dropped here");
            continue;
        }
        let before = resident()?;
        let began = Instant::now();
        let storage = Arc::new(Directory::open(folder)?);
        let policy = Policy::new(|_| Retention::ALL);
        let (log, recovery) = Log::open(
            storage,
            Options {
                policy,
                ..Options::default()
            },
        )?;
        let seconds = began.elapsed().as_secs_f64();
        let held = (resident()? - before) >> 20;
        let (bytes, segments) = (recovery.bytes, recovery.segments);
        println!("start, {caches}: {bytes} bytes in {segments} segments in {seconds:.2} s, {held} MiB held");
        read(&log)?;
    }
    Ok(())
}

fn read(log: &Log) -> Outcome {
    let reader = log.reader();
    let bounds = Bounds {
        records: 100,
        bytes: 1 << 20,
    };
    let began = Instant::now();
    let mut count = 0;
    while began.elapsed() < Duration::from_secs(2) {
        for number in 0..100 {
            let topic = topic(number);
            let last = reader.standing(&topic).ok_or("no topic")?.last;
            count += reader.forward(&topic, last - 5_000, bounds)?.publications.len();
        }
    }
    let per_second = count as f64 / began.elapsed().as_secs_f64();
    println!("reads of 100 records of one topic among 100: {per_second:.0} records/s");
    let began = Instant::now();
    let mut visited = 0_u64;
    reader.visit(0, |_| {
        visited += 1;
        ControlFlow::Continue(())
    })?;
    let seconds = began.elapsed().as_secs_f64();
    println!("a visit of all {visited} records: {seconds:.2} s");
    Ok(())
}
