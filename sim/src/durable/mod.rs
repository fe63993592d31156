//! Stories of durable topics: the broker of `crates/fanfare` and the log of `crates/log`, whole, on a disk that loses
//! power, runs full, fails and stops in the middle of a write.
//!
//! Publishers and followers come and go; followers go on where they were, also in the next life of the server. What holds,
//! in every story and after every life:
//!
//! - A position never stands for two publications.
//! - What was answered is there, at its place, once; with `fsync` at intervals or never, unless power was lost, and then
//!   the epoch is another one.
//! - A follower gets everything from where it begins, in order and once, or is told what it cannot have.
//! - What was refused is nowhere.
//! - At the end everyone has everything, and every place in a mailbox was given back.

mod desk;
mod follower;
mod ledger;
mod server;

use fanfare_log::{Fault, Fsync, Memory};
use fanfare_protocol::TopicName;
use fastrand::Rng;

use crate::Transcript;
use crate::broker::pick;
use follower::Follower;
use ledger::Ledger;
use server::Server;

/// What a story was about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Durable {
    /// Publications that were answered with a place.
    pub answered: u64,
    /// Publications that were refused.
    pub refused: u64,
    /// Publications of which nobody knew what became of them when the server ended.
    pub unanswered: u64,
    /// Lives of the server.
    pub lives: u64,
    /// How many of them ended with the power.
    pub power_losses: u64,
    /// Publications that followers received.
    pub received: u64,
    /// Times that a follower was told that it cannot go on where it was.
    pub told: u64,
    /// Reads that went to the disk.
    pub reads: u64,
}

struct Story {
    rng: Rng,
    disk: Memory,
    fsync: Fsync,
    /// How many publications of a topic are kept.
    kept: usize,
    topics: Vec<TopicName>,
    /// None between two lives.
    server: Option<Server>,
    followers: Vec<Follower>,
    ledger: Ledger,
    now_ms: u64,
    is_faulty: bool,
    summary: Durable,
    transcript: Transcript,
}

/// Plays the story of a seed; panics where something does not hold.
pub(crate) fn play(seed: u64, steps: usize, transcript: Transcript) -> Durable {
    let mut rng = Rng::with_seed(seed);
    let names = ["a", "b", "c"];
    let topics = names[..rng.usize(1..=names.len())].iter();
    let topics = topics.filter_map(|name| TopicName::parse(name).ok()).collect();
    let fsync = *pick(
        &mut rng,
        &[Fsync::Always, Fsync::Always, Fsync::Interval(100), Fsync::Never],
    );
    let followers = rng.usize(1..=4);
    let mut story = Story {
        disk: Memory::new(seed),
        fsync,
        kept: *pick(&mut rng, &[5, 1_000_000]),
        topics,
        server: None,
        followers: (0..followers).map(|_| Follower::new(&mut rng)).collect(),
        ledger: Ledger::default(),
        now_ms: 1_000_000,
        is_faulty: true,
        summary: Durable::default(),
        transcript,
        rng,
    };
    story
        .transcript
        .tell(format_args!("{fsync:?}, {} topics", story.topics.len()));
    for _ in 0..steps {
        story.step();
    }
    story.end();
    story.summary
}

impl Story {
    fn step(&mut self) {
        self.now_ms += self.rng.u64(0..200);
        if self.server.is_none() {
            self.start();
        }
        match self.rng.u32(0..100) {
            0..35 => self.publish(),
            35..60 => self.commit(),
            60..72 => self.follow(),
            72..84 => self.look_up(),
            84..90 => self.maintain(),
            90..94 => self.break_something(),
            94..97 => self.stop_following(),
            97 => self.kill(),
            98 => self.lose_power(),
            _ => self.close(),
        }
        if self.disk.is_stopped() {
            self.kill();
        }
        self.take_mail();
    }

    /// A new life of the server. What the log says of itself is checked against what everyone knows.
    fn start(&mut self) {
        let seed = self.rng.u64(..);
        // A fault may hit the start as well; then there is another one.
        for _ in 0..TRIES_MAX {
            match Server::start(&self.disk, (self.fsync, self.kept), seed, self.now_ms) {
                Ok(server) => {
                    self.summary.lives += 1;
                    self.transcript.tell(format_args!("the server is up"));
                    for topic in &self.topics {
                        self.ledger.check(topic, &server.everything(topic));
                    }
                    self.followers
                        .iter_mut()
                        .for_each(|follower| follower.attach(&server));
                    self.server = Some(server);
                    return;
                }
                Err(error) => {
                    self.transcript
                        .tell(format_args!("the server does not start: {error}"));
                    self.disk.set_room(None);
                    self.disk.restart();
                }
            }
        }
        panic!("the server does not start any more");
    }

    fn publish(&mut self) {
        let topic = pick(&mut self.rng, &self.topics).clone();
        let Some(server) = &mut self.server else {
            return;
        };
        let draft = self.ledger.draft(&mut self.rng, topic, self.now_ms);
        self.transcript.tell(format_args!("publish {draft:?}"));
        server.publish(&draft, &mut self.ledger);
    }

    fn commit(&mut self) {
        let Some(server) = &mut self.server else {
            return;
        };
        let count = *pick(&mut self.rng, &[1, 3, 100]);
        server.commit(count, &self.disk);
    }

    fn follow(&mut self) {
        let topic = pick(&mut self.rng, &self.topics).clone();
        let follower = self.rng.usize(0..self.followers.len());
        if let Some(server) = &self.server {
            self.followers[follower].follow(server, &topic);
        }
    }

    fn stop_following(&mut self) {
        let topic = pick(&mut self.rng, &self.topics).clone();
        let follower = self.rng.usize(0..self.followers.len());
        if let Some(server) = &self.server {
            self.followers[follower].stop(server, &topic);
        }
    }

    fn look_up(&mut self) {
        if let Some(server) = &mut self.server {
            self.summary.reads += u64::from(server.look_up());
        }
    }

    fn maintain(&mut self) {
        if let Some(server) = &mut self.server {
            server.maintain(self.now_ms, self.rng.bool());
        }
    }

    fn break_something(&mut self) {
        if !self.is_faulty {
            return;
        }
        let soon = self.rng.u64(0..6);
        match self.rng.u32(0..6) {
            0 => self.disk.fail_after(soon, Fault::Stop),
            1 => self.disk.fail_after(soon, Fault::Error),
            2 => self.disk.fail_after(soon, Fault::NoSpace),
            3 => self.disk.set_room(Some(self.rng.u64(0..100_000))),
            _ => self.disk.set_room(None),
        }
    }

    /// Everyone takes what is in their mailboxes.
    fn take_mail(&mut self) {
        let Some(server) = &self.server else {
            return;
        };
        for follower in &mut self.followers {
            let count = *pick(&mut self.rng, &[0, 1, 1_000]);
            follower.take_mail(server, &mut self.ledger, count, &mut self.summary);
        }
        server.take_answers(&mut self.ledger, &mut self.summary);
    }

    fn kill(&mut self) {
        self.end_life("kill");
        self.disk.restart();
    }

    fn lose_power(&mut self) {
        self.end_life("power");
        self.disk.lose_power();
        self.summary.power_losses += 1;
        if self.fsync != Fsync::Always {
            self.ledger.power_was_lost();
        }
    }

    /// The server is told to stop, and does.
    fn close(&mut self) {
        if let Some(mut server) = self.server.take() {
            while server.commit(100, &self.disk) {}
            if !self.disk.is_stopped() {
                // Nothing is pending, so that what has a place in a mailbox is in it.
                for follower in &mut self.followers {
                    follower.take_mail(&server, &mut self.ledger, usize::MAX, &mut self.summary);
                    assert_eq!(follower.reserved(), 0, "places in a mailbox were not given back");
                }
                server.take_answers(&mut self.ledger, &mut self.summary);
            }
            let is_sound = server.close();
            self.transcript.tell(format_args!("closed: {is_sound}"));
            self.end_life("close");
            self.disk.restart();
        }
    }

    fn end_life(&mut self, how: &str) {
        self.transcript.tell(format_args!("the server ends: {how}"));
        self.summary.unanswered += self.ledger.forget_pending();
        self.server = None;
        self.followers.iter_mut().for_each(Follower::detach);
    }

    /// The faults stop; everyone gets everything.
    fn end(&mut self) {
        self.is_faulty = false;
        self.disk.set_room(None);
        // A disk that failed is trusted again in the next life.
        self.kill();
        self.start();
        self.retry();
        let topics = self.topics.clone();
        for follower in 0..self.followers.len() {
            for topic in &topics {
                if let Some(server) = &self.server {
                    self.followers[follower].follow(server, topic);
                }
            }
        }
        for _ in 0..ROUNDS_MAX {
            self.publish_last();
            self.settle();
        }
        self.check_end();
    }

    /// Whoever published with a key and had no answer publishes again.
    fn retry(&mut self) {
        let Some(server) = &mut self.server else {
            return;
        };
        for draft in self.ledger.unanswered_with_key() {
            server.publish(&draft, &mut self.ledger);
        }
        self.settle();
    }

    fn publish_last(&mut self) {
        for topic in self.topics.clone() {
            if let Some(server) = &mut self.server {
                let draft = self.ledger.draft(&mut self.rng, topic, self.now_ms);
                server.publish(&draft, &mut self.ledger);
            }
        }
    }

    fn settle(&mut self) {
        for _ in 0..ROUNDS_MAX {
            self.now_ms += 100;
            if let Some(server) = &mut self.server {
                while server.commit(100, &self.disk) {}
                while server.look_up() {}
            }
            let Some(server) = &self.server else {
                return;
            };
            for follower in &mut self.followers {
                follower.take_mail(server, &mut self.ledger, usize::MAX, &mut self.summary);
            }
            server.take_answers(&mut self.ledger, &mut self.summary);
        }
    }

    fn check_end(&mut self) {
        let Some(server) = &self.server else {
            panic!("the server is down at the end");
        };
        assert_eq!(self.ledger.pending(), 0, "a publication was never answered");
        for topic in &self.topics {
            let page = server.everything(topic);
            self.ledger.check(topic, &page);
            for follower in &self.followers {
                assert_eq!(
                    follower.place(topic),
                    Some(page.end),
                    "{topic}: a follower is behind"
                );
            }
        }
        for follower in &self.followers {
            assert_eq!(follower.reserved(), 0, "places in a mailbox were not given back");
        }
    }
}

/// Starts until one must succeed: faults that are under way are forgotten with each.
const TRIES_MAX: usize = 10;

/// Rounds after which everything must have come.
const ROUNDS_MAX: usize = 8;
