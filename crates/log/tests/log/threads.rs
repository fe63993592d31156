//! The committer's thread, and readers of others.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use fanfare_log::{
    AppendError, Busy, Committer, Completion, Done, Fault, Fsync, Limits, Maintained, Memory, Options,
    Policy, Retention,
};

use crate::harness::*;

/// Sends on what became of each draft; waits before each group while the gate is closed.
struct Desk {
    done: Sender<Vec<Done<u64>>>,
    failed: Sender<AppendError>,
    gate: Arc<Gate>,
}

#[derive(Default)]
struct Gate {
    is_closed: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn set(&self, is_closed: bool) {
        *self.is_closed.lock().unwrap() = is_closed;
        self.opened.notify_all();
    }
}

impl Completion<u64> for Desk {
    fn complete(&mut self, group: Vec<Done<u64>>) {
        self.done.send(group).unwrap();
        let is_closed = self.gate.is_closed.lock().unwrap();
        drop(self.gate.opened.wait_while(is_closed, |is_closed| *is_closed));
    }

    fn maintained(&mut self, outcome: Result<Maintained, AppendError>) {
        if let Err(error) = outcome {
            self.failed.send(error).unwrap();
        }
    }

    fn sync_failed(&mut self, error: AppendError) {
        self.failed.send(error).unwrap();
    }
}

struct Office {
    gate: Opening,
    committer: Committer<u64>,
    done: Receiver<Vec<Done<u64>>>,
    failed: Receiver<AppendError>,
}

/// Opens the gate when its test ends, so that the committer does.
struct Opening(Arc<Gate>);

impl Drop for Opening {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

fn start(disk: &Memory, options: Options) -> Office {
    let (done_sender, done) = channel();
    let (failed_sender, failed) = channel();
    let gate = Arc::new(Gate::default());
    let desk = Desk {
        done: done_sender,
        failed: failed_sender,
        gate: Arc::clone(&gate),
    };
    let committer = Committer::start(open(disk, options), desk).unwrap();
    Office {
        gate: Opening(gate),
        committer,
        done,
        failed,
    }
}

impl Office {
    /// Has the committer wait behind its first group.
    fn hold(&self) {
        self.gate.0.set(true);
        self.committer.submit(publication("a", 1, "first"), 0).unwrap();
        assert_eq!(self.done.recv_timeout(PATIENCE).unwrap().len(), 1);
    }
}

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn answers_come_in_the_order_of_queueing_which_is_that_of_the_log() {
    let disk = Memory::new(1);
    let office = start(&disk, small());
    thread::scope(|scope| {
        for topic in ["a", "b", "c", "d"] {
            let committer = &office.committer;
            scope.spawn(move || {
                for number in 1..=200 {
                    committer.submit(publication(topic, 1, topic), number).unwrap();
                }
            });
        }
    });
    let mut answered = 0;
    while answered < 800 {
        for done in office.done.recv_timeout(PATIENCE).unwrap() {
            assert_eq!(done.outcome.unwrap().offset, done.ticket);
            answered += 1;
        }
    }
    let reader = office.committer.reader().clone();
    assert_eq!(reader.forward("a", 0, ALL).unwrap().publications.len(), 200);
    office.committer.close().unwrap();
    let (log, recovery) = try_open(&disk, small()).unwrap();
    assert_eq!(offsets(&log, "d").len(), 200);
    assert_eq!(recovery.truncated, None);
}

#[test]
fn what_comes_while_a_group_is_written_is_the_next_group() {
    let disk = Memory::new(1);
    let office = start(&disk, small());
    office.hold();
    for ticket in 1..=50 {
        office
            .committer
            .submit(publication("a", 1, "more"), ticket)
            .unwrap();
    }
    assert_eq!(office.committer.queued().0, 50);
    office.gate.0.set(false);
    let group = office.done.recv_timeout(PATIENCE).unwrap();
    assert_eq!(group.len(), 50);
    assert_eq!(office.committer.queued(), (0, 0));
}

#[test]
fn a_full_queue_refuses_and_gives_the_ticket_back() {
    let limits = |records, bytes| Limits {
        queue_records_max: records,
        queue_bytes_max: bytes,
        ..small().limits
    };
    for (limits, body, room) in [
        (limits(3, 10_000), "", 3),
        (limits(100, 200), "x", 5),
        (limits(9, 1), "", 1),
    ] {
        let office = start(&Memory::new(1), Options { limits, ..small() });
        office.hold();
        for ticket in 1..=room {
            office
                .committer
                .submit(publication("a", 1, body), ticket)
                .unwrap();
        }
        let refused = office.committer.submit(publication("a", 1, body), 9);
        assert_eq!(refused, Err((Busy::Full, 9)));
        office.gate.0.set(false);
        let answered = office.done.recv_timeout(PATIENCE).unwrap();
        assert_eq!(answered.len() as u64, room);
    }
}

#[test]
fn closing_answers_what_is_queued_and_takes_no_more() {
    let disk = Memory::new(1);
    let office = start(&disk, small());
    for ticket in 1..=100 {
        office
            .committer
            .submit(publication("a", 1, "body"), ticket)
            .unwrap();
    }
    office.committer.close().unwrap();
    assert_eq!(office.done.iter().flatten().count(), 100);
    assert_eq!(offsets(&open(&disk, small()), "a").len(), 100);
}

#[test]
fn a_completion_that_panics_closes_the_queue() {
    struct Panics;
    impl Completion<u64> for Panics {
        fn complete(&mut self, _: Vec<Done<u64>>) {
            panic!("on purpose");
        }
    }
    let committer = Committer::start(open(&Memory::new(1), small()), Panics).unwrap();
    let began = Instant::now();
    loop {
        match committer.submit(publication("a", 1, "body"), 1) {
            Err((Busy::Closed, 1)) => break,
            _ => assert!(began.elapsed() < PATIENCE),
        }
        thread::yield_now();
    }
    assert!(committer.close().is_err());
}

#[test]
fn an_interval_syncs_in_time_and_tells_when_it_could_not() {
    let disk = Memory::new(1);
    let mut options = Options {
        fsync: Fsync::Interval(20),
        ..small()
    };
    options.limits.maintenance_interval_ms = 3_600_000;
    let office = start(&disk, options);
    let before = disk.operations();
    office.committer.submit(publication("a", 1, "body"), 1).unwrap();
    office.done.recv_timeout(PATIENCE).unwrap();
    let began = Instant::now();
    // The first segment takes a file, its header, two syncs and the list; the group a write; then comes the sync.
    while disk.operations() - before < 10 {
        assert!(
            began.elapsed() < PATIENCE,
            "never synced: {}",
            disk.operations() - before
        );
        thread::sleep(Duration::from_millis(5));
    }
    disk.fail_after(1, Fault::Error);
    office.committer.submit(publication("a", 1, "body"), 2).unwrap();
    assert!(office.done.recv_timeout(PATIENCE).unwrap()[0].outcome.is_ok());
    let error = office.failed.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(error, AppendError::Uncertain(_)), "{error}");
    office.committer.submit(publication("a", 1, "body"), 3).unwrap();
    let refused = office.done.recv_timeout(PATIENCE).unwrap().remove(0);
    assert!(matches!(refused.outcome, Err(AppendError::Fenced)));
}

#[test]
fn retention_is_kept_to_without_being_asked() {
    let disk = Memory::new(1);
    let mut options = small();
    options.limits.maintenance_interval_ms = 1;
    let office = start(&disk, options);
    office.committer.set_policy(Policy::new(|_| Retention {
        count: 3,
        ..Retention::ALL
    }));
    for ticket in 1..=200 {
        office
            .committer
            .submit(publication("a", u64::MAX, &body("a", ticket)), ticket)
            .unwrap();
    }
    let began = Instant::now();
    while office.done.try_iter().flatten().all(|done| done.ticket != 200) || segments(&disk).len() > 2 {
        assert!(began.elapsed() < PATIENCE, "{:?}", segments(&disk));
        thread::sleep(Duration::from_millis(5));
        if office.committer.queued().0 == 0 && segments(&disk).len() <= 2 {
            break;
        }
    }
    let page = office.committer.reader().forward("a", 0, ALL).unwrap();
    assert_eq!(page.publications.len(), 3);
}

#[test]
fn readers_of_other_threads_see_what_was_answered_and_nothing_wrong() {
    let disk = Memory::new(1);
    let mut options = keeping(|topic| Retention {
        count: if topic == "a" { 20 } else { 2 },
        ..Retention::ALL
    });
    options.limits.maintenance_interval_ms = 1;
    let office = start(&disk, options);
    let reader = office.committer.reader().clone();
    let reading = thread::spawn(move || {
        let mut last = 0;
        while last < 400 {
            let page = reader.forward("a", 0, ALL).unwrap();
            assert_eq!(page.publications.len() as u64, page.standing.count());
            assert!(page.standing.last >= last);
            last = page.standing.last;
            for publication in page.publications {
                assert_eq!(publication.body, body("a", publication.offset));
            }
        }
    });
    for ticket in 1..=400 {
        for (topic, number) in [("a", ticket), ("b", 0), ("c", 0)] {
            office
                .committer
                .submit(publication(topic, 1, &body(topic, number)), ticket)
                .unwrap();
        }
        if ticket % 10 == 0 {
            thread::sleep(Duration::from_millis(1));
        }
    }
    reading.join().unwrap();
}
