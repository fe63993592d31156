//! What happens at random while there are faults.

use std::sync::Arc;

use fanfare_hub::access::Identity;
use fanfare_hub::{Control, Input, Leave, Opened, Role, Selector, SlowRule, WantedTopic};
use fanfare_protocol::codes::Disconnect;
use fanfare_protocol::dialect::{Dialect, Direct};
use fanfare_protocol::websocket::Opcode;
use fanfare_protocol::{ConnectionId, Every, Since, TopicName, UserName};

use crate::broker::pick;
use crate::client::{Client, Places, Temper, Verb, Wants};
use crate::truth::payload_of;
use crate::world::{World, json};

/// Connections open at once, at most.
const CLIENTS_MAX: usize = 24;

impl World {
    /// One random thing happens.
    pub(crate) fn step(&mut self) {
        match self.rng.u32(0..100) {
            0..45 => {
                let shard = self.rng.usize(0..self.shards.len());
                self.turn(shard);
            }
            45..53 => {
                let ms = *pick(&mut self.rng, &[1, 10, 50, 100, 300]);
                self.pass(ms);
            }
            53 => {
                let ms = *pick(&mut self.rng, &[1_000, 3_000, 12_000, 60_000]);
                self.pass(ms);
            }
            54..58 => self.somebody_comes(),
            58..62 => self.the_application_publishes(),
            62..64 => self.the_application_governs(),
            64..68 => self.a_mood_changes(),
            68 => self.somebody_goes(),
            _ => self.somebody_speaks(),
        }
    }

    fn somebody_comes(&mut self) {
        let open = self.clients.iter().filter(|client| !client.is_released).count();
        if open >= CLIENTS_MAX {
            return;
        }
        let shard = self.rng.usize(0..self.shards.len());
        let id = self.free_id(shard);
        let dialect = *pick(&mut self.rng, &[Dialect::Json, Dialect::Json, Dialect::Raw]);
        let temper = *pick(
            &mut self.rng,
            &[Temper::Faithful, Temper::Faithful, Temper::Moody, Temper::Mute],
        );
        let role = if dialect == Dialect::Raw && self.rng.bool() {
            Role::Publisher
        } else {
            Role::Subscriber
        };
        let user = *pick(&mut self.rng, &[None, Some("ada"), Some("bob")]);
        let topics = match dialect {
            // One, so that a number tells the topic.
            Dialect::Raw => vec![self.any_topic()],
            _ if self.rng.bool() => self.some_topics(),
            _ => Vec::new(),
        };
        let occupancy = self.rng.bool();
        let every = *pick(&mut self.rng, &[None, None, "500ms".parse().ok()]);
        let conflates = self.rng.bool();
        let presence = self.wants_presence(dialect);
        let places = self.some_places(&topics);
        let mut client = Client::new(id, dialect, role, temper);
        client.user = user.and_then(|user| UserName::parse(user).ok());
        if dialect == Dialect::Json && !topics.is_empty() {
            let wants = Wants { occupancy, presence };
            client.asked_at_the_door(topics.clone(), wants, places.clone());
        }
        self.expect_gaps(&mut client, &topics, (every, conflates));
        client.accounts.came_back.extend(places.keys().cloned());
        if dialect == Dialect::Raw && !places.is_empty() {
            // What is forgotten while it reads cannot be told.
            client.reasons.push(Disconnect::PositionLost.code());
        }
        self.transcript.tell(format_args!(
            "{} {id} opens: {dialect:?} {:?} {role:?} {temper:?} {user:?} {topics:?}",
            self.now.monotonic.0, client.compression
        ));
        let wanted = |topic: TopicName| WantedTopic {
            since: places.get(&topic).copied().map(Since::Position),
            topic,
        };
        let opened = Opened {
            connection: id,
            dialect,
            compression: client.compression,
            role,
            identity: client.user.clone().map(|user| Arc::new(Identity::of_user(user))),
            is_awaited: false,
            remote: ([127, 0, 0, 1], 9).into(),
            user_agent: None,
            joined_at: self.now.wall,
            topics: topics.into_iter().map(wanted).collect(),
            greeting: Box::default(),
            granted_topics: Vec::new(),
            leaves: Vec::new(),
            data: None,
            occupancy,
            presence,
            every,
            conflates,
            pings_natively: false,
            key: None,
        };
        self.open(shard, client, opened);
    }

    /// What a client will do without, by its own wish or for want of a word for it.
    fn expect_gaps(
        &self,
        client: &mut Client,
        topics: &[TopicName],
        (every, conflates): (Option<Every>, bool),
    ) {
        if every.is_some() {
            client.accounts.wants_newest.extend(topics.iter().cloned());
        }
        if client.dialect == Dialect::Raw && conflates {
            let mut all = vec![TopicName::all()];
            all.extend(topics.iter().cloned());
            all.extend(client.user.as_ref().map(TopicName::of_user));
            all.retain(|topic| self.limits.slow_rules.of(topic) == SlowRule::Conflate);
            client.accounts.wants_newest.extend(all);
        }
        if client.dialect == Dialect::Raw {
            client.reasons.push(Disconnect::Overloaded.code());
        }
    }

    fn somebody_goes(&mut self) {
        let Some(client) = self.anybody() else {
            return;
        };
        let client = &mut self.clients[client];
        self.transcript
            .tell(format_args!("{} {} goes", self.now.monotonic.0, client.id));
        match self.rng.u8(0..3) {
            0 => client.is_gone = true,
            1 => {
                // A reserved bit.
                client.reasons.push(Disconnect::ProtocolError.code());
                client.outgoing.extend([0xf1, 0x80, 0, 0, 0, 0]);
                client.is_readable = true;
                client.has_sent_close = true;
            }
            _ => client.close(),
        }
    }

    fn somebody_speaks(&mut self) {
        let Some(index) = self.anybody() else {
            return;
        };
        let number = self.next_number();
        let padding = *pick(&mut self.rng, &[0, 0, 0, 30, 300, 2_000]);
        if self.clients[index].dialect == Dialect::Raw {
            return self.clients[index].say(number, padding);
        }
        let (fields, verb) = match self.rng.u8(0..12) {
            0..3 => self.a_subscribe(index),
            3..5 => {
                let topics = self.some_topics();
                let fields = format!("\"type\":\"unsubscribe\",\"topics\":{topics:?}");
                (fields, Verb::Unsubscribe(topics))
            }
            5..9 => self.a_publish(index, number, padding),
            9 => {
                let payload = payload_of(number, padding);
                let fields = format!("\"type\":\"send\",\"user\":\"ada\",\"data\":{payload}");
                (fields, Verb::Publish(number))
            }
            10 => {
                let (to, payload) = (self.any_id(), payload_of(number, padding));
                let fields = format!("\"type\":\"send\",\"connection\":\"{to}\",\"data\":{payload}");
                (fields, Verb::Other)
            }
            _ if self.broker.keeps() && self.rng.bool() => self.a_look_back(index),
            _ if self.rng.bool() => return self.clients[index].send(Opcode::Ping, b"?"),
            _ => ("\"type\":\"ping\"".to_owned(), Verb::Other),
        };
        self.clients[index].command(&fields, verb);
    }

    /// Something new; or with a key, perhaps what was published before; or behind a place that its publisher has heard of.
    fn a_publish(&mut self, client: usize, number: u64, padding: usize) -> (String, Verb) {
        let (mut topic, mut number) = (self.any_topic(), number);
        let mut verb = Verb::Publish(number);
        let mut said = *pick(&mut self.rng, &["", "", ",\"key\":\"x\"", ",\"key\":\"y\""]);
        let told;
        match self.rng.u8(0..8) {
            0..2 => {
                if self.rng.bool() && !self.published_once.is_empty() {
                    (topic, number) = pick(&mut self.rng, &self.published_once).clone();
                }
                self.published_once.push((topic.clone(), number));
                verb = Verb::PublishOnce(number);
                told = format!(",\"idempotency_key\":\"n{number}\"");
                said = &told;
            }
            2..4 => {
                let place = self.clients[client].place_of(&topic).unwrap_or_default();
                verb = Verb::PublishBehind(number, topic.clone(), place);
                told = format!(",\"expected\":\"{place}\"");
                said = &told;
            }
            _ => {}
        }
        let (echo, payload) = (self.rng.bool(), payload_of(number, padding));
        let fields =
            format!("\"type\":\"publish\",\"topic\":\"{topic}\"{said},\"echo\":{echo},\"data\":{payload}");
        (fields, verb)
    }

    fn a_subscribe(&mut self, client: usize) -> (String, Verb) {
        let topics = self.some_topics();
        let is_watched = self.rng.bool();
        let every = *pick(
            &mut self.rng,
            &["", "", "", ",\"every\":\"100ms\"", ",\"every\":\"2s\""],
        );
        if !every.is_empty() {
            self.clients[client]
                .accounts
                .wants_newest
                .extend(topics.iter().cloned());
        }
        let places = self.some_places(&topics);
        self.clients[client]
            .accounts
            .came_back
            .extend(places.keys().cloned());
        let entry = |topic: &TopicName| match places.get(topic) {
            Some(place) => format!("{{\"topic\":\"{topic}\",\"since\":\"{place}\"}}"),
            None => format!("\"{topic}\""),
        };
        let entries: Vec<String> = topics.iter().map(entry).collect();
        let entries = entries.join(",");
        let presence = self.wants_presence(Dialect::Json);
        let fields = format!(
            "\"type\":\"subscribe\",\"topics\":[{entries}],\"occupancy\":{is_watched},\"presence\":{presence}{every}"
        );
        let wants = Wants {
            occupancy: is_watched,
            presence,
        };
        (fields, Verb::Subscribe(topics, wants, places))
    }

    /// Whether somebody who subscribes wants to be told who comes and goes, in stories where that is kept.
    fn wants_presence(&mut self, dialect: Dialect) -> bool {
        let is_kept = self.application.keeps_presence();
        is_kept && dialect == Dialect::Json && self.rng.u8(0..3) == 0
    }

    /// Where somebody was in some of these topics, in stories where something is kept.
    fn some_places(&mut self, topics: &[TopicName]) -> Places {
        let mut places = Places::new();
        if !self.broker.keeps() || self.clients.is_empty() {
            return places;
        }
        for topic in topics {
            let earlier = self.rng.usize(0..self.clients.len());
            if let Some(place) = self.clients[earlier].place_of(topic)
                && self.rng.u8(0..4) > 0
            {
                places.insert(topic.clone(), place);
            }
        }
        places
    }

    fn a_look_back(&mut self, client: usize) -> (String, Verb) {
        let topic = self.any_topic();
        let place = self.clients[client].place_of(&topic).unwrap_or_default();
        let from = match self.rng.u8(0..5) {
            0 => format!(",\"since\":\"{place}\""),
            1 => format!(",\"before\":\"{place}\""),
            2 => ",\"last\":5".to_owned(),
            3 => ",\"since\":\"1s\"".to_owned(),
            _ => String::new(),
        };
        let limit = self.rng.u8(1..50);
        let fields = format!("\"type\":\"history\",\"topic\":\"{topic}\"{from},\"limit\":{limit}");
        (fields, Verb::History(topic))
    }

    fn the_application_publishes(&mut self) {
        let topic = match self.rng.u8(0..6) {
            0 => TopicName::all(),
            1 => match UserName::parse("bob") {
                Ok(bob) => TopicName::of_user(&bob),
                Err(error) => panic!("{error}"),
            },
            _ => self.any_topic(),
        };
        let count = *pick(&mut self.rng, &[1, 1, 1, 1, 1, 1, 1, 1, 5, 150]);
        for _ in 0..count {
            self.publish(topic.clone());
        }
    }

    fn the_application_governs(&mut self) {
        let Some(index) = self.anybody() else {
            return;
        };
        let id = self.clients[index].id;
        let selector = Selector::Connection(id);
        let topics = self.some_topics();
        let control = match self.rng.u8(0..8) {
            0 => {
                let cause = pick(&mut self.rng, &[Disconnect::Reconnect, Disconnect::Disconnected]);
                self.clients[index].reasons.push(cause.code());
                Control::Disconnect(selector, cause.clone())
            }
            1..3 => {
                let number = self.next_number();
                let direct = Direct {
                    from: None,
                    time: self.now.wall,
                    payload: json(&payload_of(number, 0)),
                };
                if self.control(id.shard(), Control::Deliver(id, direct)) == 1 {
                    self.broker.truth.handed_over.insert(number, id);
                }
                return;
            }
            // A raw subscriber would not be told, and then nothing could be checked.
            _ if self.clients[index].dialect == Dialect::Raw
                && self.clients[index].role == Role::Subscriber =>
            {
                return;
            }
            3..5 => {
                self.clients[index].is_governed = true;
                Control::Subscribe(selector, topics, Leave::default())
            }
            _ => {
                self.clients[index].is_governed = true;
                Control::Unsubscribe(selector, topics)
            }
        };
        self.transcript
            .tell(format_args!("{} {control:?}", self.now.monotonic.0));
        self.control(id.shard(), control);
    }

    fn a_mood_changes(&mut self) {
        let Some(index) = self.anybody() else {
            return;
        };
        let client = &mut self.clients[index];
        if client.temper != Temper::Moody {
            return;
        }
        client.room = match self.rng.u8(0..4) {
            0 => usize::MAX,
            1 => 0,
            _ => self.rng.usize(0..2_000),
        };
        self.transcript.tell(format_args!(
            "{} {} has room for {} bytes",
            self.now.monotonic.0, client.id, client.room
        ));
    }

    /// A client that is open, as far as it knows.
    fn anybody(&mut self) -> Option<usize> {
        let open: Vec<usize> = (0..self.clients.len())
            .filter(|&client| self.clients[client].is_open())
            .collect();
        (!open.is_empty()).then(|| *pick(&mut self.rng, &open))
    }

    /// The id of anybody who was ever here.
    fn any_id(&mut self) -> ConnectionId {
        let client = self.rng.usize(0..self.clients.len());
        self.clients[client].id
    }

    fn any_topic(&mut self) -> TopicName {
        pick(&mut self.rng, &self.topics).clone()
    }

    fn some_topics(&mut self) -> Vec<TopicName> {
        let count = self.rng.usize(1..=3);
        (0..count).map(|_| self.any_topic()).collect()
    }

    /// Tells every shard to stop.
    pub(crate) fn shut_down(&mut self) {
        self.is_shutting_down = true;
        for client in &mut self.clients {
            client.reasons.push(Disconnect::Shutdown.code());
        }
        let window_ms = *pick(&mut self.rng, &[0, 10, 1_000]);
        for shard in 0..self.shards.len() {
            self.handle(shard, Input::Shutdown { window_ms });
        }
    }
}
