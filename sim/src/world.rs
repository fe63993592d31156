//! The simulated world: shards with a hub each, one broker, and clients.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use fanfare_hub::{Hub, Input, Limits, Now, Opened, Retention, SlowRule, SlowRules, Ticket};
use fanfare_protocol::dialect::Direct;
use fanfare_protocol::{ConnectionId, Draft, Millis, Payload, Timestamp, TopicName};
use fastrand::Rng;

use crate::application::Application;
use crate::broker::{Broker, pick};
use crate::client::Client;

/// What happened, told only when somebody listens.
#[derive(Clone, Default)]
pub(crate) struct Transcript(Option<Rc<RefCell<Vec<String>>>>);

impl Transcript {
    /// A transcript that is kept, and the lines it will have.
    pub(crate) fn kept() -> (Self, Rc<RefCell<Vec<String>>>) {
        let lines = Rc::new(RefCell::new(Vec::new()));
        (Self(Some(Rc::clone(&lines))), lines)
    }

    /// Adds a line.
    pub(crate) fn tell(&self, line: fmt::Arguments<'_>) {
        if let Some(lines) = &self.0 {
            let line = line.to_string();
            let end = line
                .char_indices()
                .nth(LINE_CHARS)
                .map_or(line.len(), |(at, _)| at);
            lines.borrow_mut().push(line[..end].to_owned());
        }
    }
}

/// What is told of one thing that happened.
const LINE_CHARS: usize = 220;

pub(crate) struct World {
    pub(crate) rng: Rng,
    pub(crate) now: Now,
    pub(crate) limits: Limits,
    pub(crate) broker: Broker,
    pub(crate) application: Application,
    pub(crate) shards: Vec<Shard>,
    pub(crate) clients: Vec<Client>,
    pub(crate) topics: Vec<TopicName>,
    pub(crate) numbers: u64,
    /// What was published with a key, and where.
    pub(crate) published_once: Vec<(TopicName, u64)>,
    pub(crate) is_shutting_down: bool,
    pub(crate) transcript: Transcript,
}

/// One shard: a hub and what its thread would keep.
pub(crate) struct Shard {
    pub(crate) hub: Hub,
    pub(crate) ticked_at: Millis,
    /// Clients by slot.
    pub(crate) slots: Vec<Option<usize>>,
    pub(crate) free: Vec<usize>,
    pub(crate) publishes: BTreeMap<u64, (Ticket, TopicName)>,
    pub(crate) publishes_made: u64,
    pub(crate) answers: VecDeque<Input<'static>>,
    pub(crate) inbox: VecDeque<Letter>,
}

/// Mail from shard to shard.
pub(crate) enum Letter {
    /// Hand this to a connection; the answer goes to the shard.
    Deliver(ConnectionId, Direct, Ticket, usize),
    /// The answer.
    Delivered(Ticket, bool),
}

impl World {
    /// A world made of a seed alone.
    pub(crate) fn new(seed: u64, transcript: Transcript) -> Self {
        let mut rng = Rng::with_seed(seed);
        let shards = rng.usize(1..=3);
        let mut limits = limits(&mut rng);
        if seed % 4 == 3 {
            small_rates(&mut limits, &mut Rng::with_seed(!seed));
        }
        let broker = Broker::new(shards, &limits, retention(seed), &mut rng);
        let topics = ["a", "b", "c", "d", "e"][..rng.usize(1..=5)]
            .iter()
            .filter_map(|name| TopicName::parse(name).ok())
            .collect();
        let rules = Arc::new(Application::rules(seed));
        let hub = || Hub::new(limits.clone(), Arc::clone(&rules), seed);
        let shard = || Shard {
            hub: hub(),
            ticked_at: Millis::default(),
            slots: Vec::new(),
            free: Vec::new(),
            publishes: BTreeMap::new(),
            publishes_made: 0,
            answers: VecDeque::new(),
            inbox: VecDeque::new(),
        };
        let shards = (0..shards).map(|_| shard()).collect();
        transcript.tell(format_args!("{limits:?}"));
        Self {
            rng,
            now: Now::default(),
            limits,
            broker,
            application: Application::new(seed),
            shards,
            clients: Vec::new(),
            topics,
            numbers: 0,
            published_once: Vec::new(),
            is_shutting_down: false,
            transcript,
        }
    }

    /// Time goes by.
    pub(crate) fn pass(&mut self, ms: u64) {
        let ms = self.now.monotonic.0 + ms;
        self.now = Now {
            monotonic: Millis(ms),
            wall: Timestamp(ms),
        };
        self.broker.advance(self.now.monotonic);
    }

    /// Opens a connection in a shard.
    pub(crate) fn open(&mut self, shard: usize, mut client: Client, opened: Opened) {
        client.refusals_max = self.limits.refusals_max;
        let slot = opened.connection.slot();
        let slots = &mut self.shards[shard].slots;
        if slot == slots.len() {
            slots.push(None);
        }
        slots[slot] = Some(self.clients.len());
        self.clients.push(client);
        self.handle(shard, Input::Opened(opened));
    }

    /// An id in a free slot of a shard.
    pub(crate) fn free_id(&mut self, shard: usize) -> ConnectionId {
        let nonce = self.clients.len() as u32;
        let place = &mut self.shards[shard];
        let slot = place.free.pop().unwrap_or(place.slots.len());
        ConnectionId::new(shard, slot, nonce)
    }

    /// A number that no payload had.
    pub(crate) fn next_number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// The server's API publishes.
    pub(crate) fn publish(&mut self, topic: TopicName) -> bool {
        let number = self.next_number();
        let text = crate::truth::payload_of(number, 0);
        // A JSON payload, so that it reads the same in every dialect.
        let draft = Draft::new(topic, json(&text), self.now.wall);
        self.broker.publish(self.now.monotonic, draft).is_ok()
    }

    /// The client in a connection's slot, if it is that connection's.
    pub(crate) fn client_of(&self, connection: ConnectionId) -> Option<usize> {
        let shard = self.shards.get(connection.shard())?;
        let client = (*shard.slots.get(connection.slot())?)?;
        (self.clients[client].id == connection).then_some(client)
    }
}

pub(crate) fn json(text: &str) -> Payload {
    match serde_json::value::RawValue::from_string(text.to_owned()) {
        Ok(value) => Payload::json(&value),
        Err(error) => panic!("{text:?} is not JSON: {error}"),
    }
}

/// How much is kept of every topic: in some stories something, with random numbers of their own.
fn retention(seed: u64) -> Retention {
    let mut rng = Rng::with_seed(seed.rotate_left(32));
    let publications = if seed % 3 == 2 { &[2, 10, 1_000][..] } else { &[0] };
    Retention {
        publications_max: *pick(&mut rng, publications),
        bytes_max: *pick(&mut rng, &[2_000, 1 << 20]),
        age_max_ms: *pick(&mut rng, &[500, 10_000, 1 << 40]),
    }
}

/// A rule for every topic.
fn slow_rules(rng: &mut Rng) -> SlowRules {
    let pattern = |name: &str| match name.parse() {
        Ok(pattern) => pattern,
        Err(error) => panic!("{name}: {error}"),
    };
    SlowRules {
        by_pattern: ["a", "b", "c", "$*"]
            .iter()
            .map(|name| (pattern(name), *pick(rng, SlowRule::ALL)))
            .collect(),
        otherwise: *pick(rng, SlowRule::ALL),
    }
}

/// Bounds small enough that every one of them is met.
fn limits(rng: &mut Rng) -> Limits {
    Limits {
        message_bytes_max: 64 << 10,
        outbox_frames_max: *pick(rng, &[1, 4, 16, 256]),
        outbox_bytes_max: *pick(rng, &[600, 4_000, 1 << 20]),
        outbox_age_max_ms: *pick(rng, &[1_500, 30_000]),
        slow_rules: slow_rules(rng),
        waiting_bytes_max: *pick(rng, &[10_000, 256 << 20]),
        replies_bytes_max: *pick(rng, &[200, 2_000, 64 << 10]),
        subscriptions_max: *pick(rng, &[1, 3, 128]),
        ping_interval_ms: *pick(rng, &[2_000, 21_000]),
        pong_timeout_ms: *pick(rng, &[1_500, 8_000]),
        write_timeout_ms: *pick(rng, &[1_500, 10_000]),
        close_timeout_ms: *pick(rng, &[500, 5_000]),
        commands_per_second: 0,
        bytes_per_second: 0,
        user_commands_per_second: 0,
        user_bytes_per_second: 0,
        publications_per_second: 0,
        ..Limits::default()
    }
}

/// Rates and bounds on asking that are met in some stories, with random numbers of their own.
fn small_rates(limits: &mut Limits, rng: &mut Rng) {
    limits.commands_per_second = *pick(rng, &[0, 2, 20]);
    limits.bytes_per_second = *pick(rng, &[0, 1_000, 20_000]);
    limits.user_commands_per_second = *pick(rng, &[0, 3, 20]);
    limits.user_bytes_per_second = *pick(rng, &[0, 2_000]);
    limits.publications_per_second = *pick(rng, &[0, 1, 10]);
    limits.topics_max = *pick(rng, &[0, 0, 2]);
    limits.refusals_max = *pick(rng, &[0, 2, 200]);
    limits.subscribes_pending_max = *pick(rng, &[1, 3, 64]);
}
