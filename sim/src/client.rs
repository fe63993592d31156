//! One simulated client: a socket, a temper, and what it knows from what it was told.

use std::collections::{BTreeMap, BTreeSet};

use fanfare_hub::{Role, SlowRule};
use fanfare_protocol::codes::Disconnect;
use fanfare_protocol::dialect::Dialect;
use fanfare_protocol::websocket::{self, Compression, Decoder, Inflater, Item, Opcode, encode_masked_frame};
use fanfare_protocol::{ConnectionId, Epoch, Millis, Position, TopicName, UserName};
use serde_json::Value;

use crate::missed::Accounts;
use crate::truth::{Truth, number_in, payload_of};

/// How a client behaves until the faults stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Temper {
    /// Reads everything at once and answers everything.
    Faithful,
    /// Stalls, reads in pieces, answers nothing while it does.
    Moody,
    /// Reads, and answers neither pings nor closes.
    Mute,
}

pub(crate) struct Client {
    pub(crate) id: ConnectionId,
    pub(crate) dialect: Dialect,
    pub(crate) compression: Compression,
    pub(crate) role: Role,
    pub(crate) user: Option<UserName>,
    pub(crate) temper: Temper,
    /// Bytes its socket still takes.
    pub(crate) room: usize,
    /// Whether the shard was told that the socket takes no more.
    pub(crate) is_blocked: bool,
    /// Whether the poll would report it readable, or it was left half-read.
    pub(crate) is_readable: bool,
    /// What it sent and the shard has not read.
    pub(crate) outgoing: Vec<u8>,
    /// Since when the shard has half of a message.
    pub(crate) half_read_since: Option<Millis>,
    /// How many commands it may be refused for coming too fast before it may be closed for that.
    pub(crate) refusals_max: u32,
    refusals: u32,
    pub(crate) server_decoder: Decoder,
    pub(crate) is_discarding: bool,
    /// Whether it vanished.
    pub(crate) is_gone: bool,
    pub(crate) is_released: bool,
    /// Close codes that the world has given a reason for.
    pub(crate) reasons: Vec<u16>,
    /// Whether the application changed its subscriptions.
    pub(crate) is_governed: bool,
    pub(crate) has_sent_close: bool,
    decoder: Decoder,
    inflater: Inflater,
    is_welcomed: bool,
    goodbye: Option<u16>,
    pub(crate) is_closed: bool,
    places: BTreeMap<TopicName, Position>,
    /// Where it stood in topics that it left.
    left: BTreeMap<TopicName, Position>,
    asked: Vec<Asked>,
    next_id: u64,
    directs: Vec<u64>,
    /// What it published with a key and was told to be the first to.
    pub(crate) firsts: Vec<u64>,
    pub(crate) accounts: Accounts,
    /// Whether it unsubscribed, or subscribed to what it had.
    is_restless: bool,
    /// What it was last told of the topics that it watches.
    occupancy: BTreeMap<TopicName, Option<u64>>,
    attendance: BTreeMap<TopicName, Attendance>,
}

/// A command and what became of it.
struct Asked {
    id: Option<u64>,
    verb: Verb,
    is_done: Option<bool>,
}

/// What was asked, as far as it matters for what follows.
#[derive(Clone, Debug)]
pub(crate) enum Verb {
    /// To these topics, some of them from a place on.
    Subscribe(Vec<TopicName>, Wants, Places),
    Unsubscribe(Vec<TopicName>),
    Publish(u64),
    /// With a key, perhaps not for the first time.
    PublishOnce(u64),
    /// To this topic, behind this place.
    PublishBehind(u64, TopicName, Position),
    History(TopicName),
    Other,
}

/// Where a client says it was.
pub(crate) type Places = BTreeMap<TopicName, Position>;

/// What a subscribe command asks to be told beside publications.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wants {
    /// How many are there.
    pub(crate) occupancy: bool,
    /// Who is there.
    pub(crate) presence: bool,
}

/// Those of whom a client was told that they are in a topic.
#[derive(Default)]
struct Attendance {
    members: BTreeSet<String>,
    /// Whether that was everyone when it was told; nothing else is told of the others.
    is_complete: bool,
    connections: u64,
    is_told: bool,
}

impl Client {
    pub(crate) fn new(id: ConnectionId, dialect: Dialect, role: Role, temper: Temper) -> Self {
        Self {
            id,
            dialect,
            // Told by the id, which is random.
            compression: match id.nonce() % 4 {
                0 | 1 => Compression::Both,
                2 => Compression::FromClient,
                _ => Compression::None,
            },
            role,
            user: None,
            temper,
            room: usize::MAX,
            is_blocked: false,
            is_readable: false,
            outgoing: Vec::new(),
            half_read_since: None,
            refusals_max: 0,
            refusals: 0,
            server_decoder: Decoder::new(websocket::Role::Server),
            is_discarding: false,
            is_gone: false,
            is_released: false,
            reasons: Vec::new(),
            is_governed: false,
            has_sent_close: false,
            decoder: Decoder::new(websocket::Role::Client),
            inflater: Inflater::default(),
            is_welcomed: false,
            goodbye: None,
            is_closed: false,
            places: BTreeMap::new(),
            left: BTreeMap::new(),
            asked: Vec::new(),
            next_id: 0,
            directs: Vec::new(),
            firsts: Vec::new(),
            accounts: Accounts::default(),
            is_restless: false,
            occupancy: BTreeMap::new(),
            attendance: BTreeMap::new(),
        }
    }

    /// Whether it is connected and neither side has begun to close, as far as it knows.
    pub(crate) fn is_open(&self) -> bool {
        !self.is_gone
            && !self.is_released
            && !self.has_sent_close
            && !self.is_closed
            && self.goodbye.is_none()
    }

    /// Takes note that topics were asked for while connecting.
    pub(crate) fn asked_at_the_door(&mut self, topics: Vec<TopicName>, wants: Wants, places: Places) {
        self.asked.push(Asked {
            id: None,
            verb: Verb::Subscribe(topics, wants, places),
            is_done: None,
        });
    }

    /// Sends a command whose JSON `fields` say what `verb` does, with an id.
    pub(crate) fn command(&mut self, fields: &str, verb: Verb) {
        self.next_id += 1;
        let id = self.next_id;
        self.send(Opcode::Text, format!("{{\"id\":{id},{fields}}}").as_bytes());
        self.asked.push(Asked {
            id: Some(id),
            verb,
            is_done: None,
        });
    }

    /// Sends a publication of the `raw` dialect.
    pub(crate) fn say(&mut self, number: u64, padding: usize) {
        self.send(Opcode::Text, payload_of(number, padding).as_bytes());
    }

    pub(crate) fn send(&mut self, opcode: Opcode, payload: &[u8]) {
        encode_masked_frame(opcode, payload, [1, 2, 3, 4], &mut self.outgoing);
        self.is_readable = true;
    }

    pub(crate) fn close(&mut self) {
        if !self.has_sent_close {
            self.send(Opcode::Close, &1000_u16.to_be_bytes());
            self.has_sent_close = true;
        }
    }

    /// Reads bytes from the server and checks everything they say.
    pub(crate) fn receive(&mut self, bytes: &[u8], truth: &Truth) {
        assert!(!self.is_closed, "{}: bytes behind the close frame", self.id);
        let mut bytes = bytes.to_vec();
        let mut input = bytes.as_mut_slice();
        let mut decoder = std::mem::replace(&mut self.decoder, Decoder::new(websocket::Role::Client));
        let mut inflater = std::mem::take(&mut self.inflater);
        loop {
            let next = match self.compression {
                Compression::Both => decoder.next_inflating(&mut input, u32::MAX, &mut inflater),
                // A compressed frame breaks the stream.
                Compression::FromClient | Compression::None => decoder.next(&mut input, u32::MAX),
            };
            match next {
                Ok(Some(item)) => self.hear(&item, truth),
                Ok(None) => break,
                Err(violation) => panic!("{}: the byte stream is broken: {violation}", self.id),
            }
        }
        self.decoder = decoder;
        self.inflater = inflater;
    }

    fn hear(&mut self, item: &Item<'_>, truth: &Truth) {
        assert!(!self.is_closed, "{}: {item:?} behind the close frame", self.id);
        match item {
            Item::Ping(payload) => {
                if self.temper != Temper::Mute {
                    self.send(Opcode::Pong, payload);
                }
            }
            Item::Pong(_) => {}
            Item::Close(close) => self.hear_close(close.map(|close| close.code)),
            Item::Text(text) if self.dialect == Dialect::Raw => {
                assert_eq!(
                    self.role,
                    Role::Subscriber,
                    "{}: a publisher received {text}",
                    self.id
                );
                self.hear_raw(number_in(text), truth);
            }
            Item::Text(text) => match serde_json::from_str(text) {
                Ok(json) => self.hear_json(&json, truth),
                Err(error) => panic!("{}: {text:?} is not JSON: {error}", self.id),
            },
            Item::Binary(_) => panic!("{}: nobody published bytes", self.id),
        }
    }

    fn hear_close(&mut self, code: Option<u16>) {
        let code = code.unwrap_or(1005);
        self.is_closed = true;
        if self.dialect == Dialect::Json && self.goodbye.is_none() {
            assert!(
                self.has_sent_close,
                "{}: closed with {code} without a goodbye",
                self.id
            );
        }
        assert!(
            self.goodbye.is_none_or(|goodbye| goodbye == code),
            "{}: goodbye and close agree",
            self.id
        );
        let is_reason = self.reasons.contains(&code)
            || (code == 1000 && self.has_sent_close)
            || (matches!(code, 3001..=3003 | 3007) && self.temper != Temper::Faithful);
        assert!(
            is_reason,
            "{}: closed with {code} for no reason ({:?})",
            self.id, self.temper
        );
        if self.temper != Temper::Mute {
            self.close();
        }
    }

    fn hear_raw(&mut self, number: u64, truth: &Truth) {
        if self.hear_direct(number, truth) {
            return;
        }
        let said = truth.said(number);
        if !self.places.contains_key(&said.topic) {
            // This dialect does not say where it begins.
            self.begin(
                &said.topic.clone(),
                Position {
                    epoch: said.position.epoch,
                    offset: said.position.offset - 1,
                },
            );
        }
        self.advance(number, truth);
    }

    fn hear_direct(&mut self, number: u64, truth: &Truth) -> bool {
        let Some(to) = truth.handed_over.get(&number) else {
            return false;
        };
        assert_eq!(*to, self.id, "what was sent to one is received by another");
        assert!(
            !self.directs.contains(&number),
            "{}: {number} was received twice",
            self.id
        );
        self.directs.push(number);
        true
    }

    fn begin(&mut self, topic: &TopicName, place: Position) {
        self.places.insert(topic.clone(), place);
    }

    /// The next publication of a topic: after all before it, and once.
    fn advance(&mut self, number: u64, truth: &Truth) {
        let said = truth.said(number);
        let Some(place) = self.places.get_mut(&said.topic) else {
            panic!(
                "{}: received {number} of {} without a subscription",
                self.id, said.topic
            );
        };
        assert_eq!(
            place.epoch, said.position.epoch,
            "{}: {} of another life",
            self.id, said.topic
        );
        assert!(
            said.position.offset > place.offset,
            "{}: {}/{} after offset {}",
            self.id,
            said.topic,
            said.position.offset,
            place.offset
        );
        let (epoch, since) = (place.epoch, place.offset);
        place.offset = said.position.offset;
        assert!(
            self.is_explained(&said.topic, (epoch, since, said.position.offset - 1), truth),
            "{}: {}/{} right after offset {since}: lost in silence",
            self.id,
            said.topic,
            said.position.offset,
        );
        assert_ne!(
            said.except,
            Some(self.id),
            "{}: {}/{} is its own, with echo false",
            self.id,
            said.topic,
            said.position.offset
        );
        self.accounts
            .received(&said.topic, said.position.epoch, said.position.offset);
    }

    /// Whether it knows why nothing came of what lies between two offsets.
    fn is_explained(&self, topic: &TopicName, (epoch, from, to): (Epoch, u64, u64), truth: &Truth) -> bool {
        (from..to).all(|offset| {
            truth.is_nothing_for(self.id, topic, (epoch, offset, offset + 1))
                || self.accounts.explains(topic, epoch, offset + 1)
        })
    }

    fn hear_json(&mut self, json: &Value, truth: &Truth) {
        let kind = json["type"].as_str().unwrap_or_default();
        assert_eq!(
            kind == "welcome",
            !std::mem::replace(&mut self.is_welcomed, true),
            "{}: {json} where a welcome is first and only first",
            self.id
        );
        assert!(self.goodbye.is_none(), "{}: {json} behind the goodbye", self.id);
        match kind {
            "welcome" => assert_eq!(json["connection"].as_str(), Some(&*self.id.to_string())),
            "goodbye" => self.goodbye = json["code"].as_u64().map(|code| code as u16),
            "message" => self.hear_message(json, truth),
            "subscribed" => self.hear_subscribed(json, truth),
            "unsubscribed" => self.hear_unsubscribed(json),
            "occupancy" => self.hear_occupancy(json),
            "attendance" => self.hear_attendance(json),
            "missed" => self.hear_missed(json),
            "history" => self.hear_history(json, truth),
            "published" => self.hear_published(json, truth),
            "error" => {
                self.hear_refusal(json);
                self.hear_unpublished(json, truth);
            }
            "sent" | "pong" => {
                self.answered(json, true);
            }
            _ => panic!("{}: what is {json}?", self.id),
        }
    }

    /// Whoever comes too fast is told when to come back, and closed only when that happened often.
    fn hear_refusal(&mut self, json: &Value) {
        if json["code"] != "rate_limited" {
            return;
        }
        assert!(json["retry_after_ms"].as_u64() > Some(0), "{}: {json}", self.id);
        self.refusals += 1;
        if self.refusals_max > 0 && self.refusals > self.refusals_max {
            self.reasons.push(Disconnect::Flooding.code());
        }
    }

    fn hear_message(&mut self, json: &Value, truth: &Truth) {
        let number = number_of(json);
        let Some(name) = json["topic"].as_str() else {
            assert!(
                self.hear_direct(number, truth),
                "{}: {number} was not sent to it",
                self.id
            );
            return;
        };
        let said = truth.said(number);
        assert_eq!(name, said.topic.as_str());
        assert_eq!(json["offset"].as_u64(), Some(said.position.offset));
        if said.topic.is_reserved() && !self.places.contains_key(&said.topic) {
            self.begin(
                &said.topic.clone(),
                Position {
                    epoch: said.position.epoch,
                    offset: said.position.offset - 1,
                },
            );
        }
        self.advance(number, truth);
    }

    fn hear_subscribed(&mut self, json: &Value, truth: &Truth) {
        let verb = self.answered(json, true);
        let (wants, asked) = match verb {
            Verb::Subscribe(_, wants, places) => (wants, places),
            _ => (Wants::default(), Places::new()),
        };
        for at in json["topics"].as_array().into_iter().flatten() {
            let topic = topic_in(&at["topic"]);
            let epoch = at["epoch"].as_str().and_then(|epoch| epoch.parse().ok());
            let (Some(epoch), Some(offset)) = (epoch, at["offset"].as_u64()) else {
                panic!("{}: {json} has no position", self.id);
            };
            if let Some(&place) = self.places.get(&topic) {
                self.is_restless = true;
                assert_eq!(
                    place.epoch, epoch,
                    "{}: a subscription survives its topic",
                    self.id
                );
                assert!(
                    place.offset <= offset && self.is_explained(&topic, (epoch, place.offset, offset), truth),
                    "{}: subscribed to {topic} at {offset}, after {}",
                    self.id,
                    place.offset
                );
            }
            let place = Position { epoch, offset };
            if !self.places.contains_key(&topic) {
                self.check_recovery(at, asked.get(&topic), place);
            }
            self.begin(&topic, place);
            self.occupancy.remove(&topic);
            self.attendance.remove(&topic);
            if wants.presence {
                self.attendance.insert(topic.clone(), Attendance::default());
            }
            if wants.occupancy {
                self.occupancy.insert(topic, None);
            }
        }
    }

    /// Whether what it is told about going on from a place is true.
    fn check_recovery(&self, json: &Value, asked: Option<&Position>, begun: Position) {
        let recovered = json["recovered"].as_bool();
        let Some(asked) = asked.filter(|_| !self.is_governed) else {
            assert!(self.is_governed || recovered.is_none(), "{}: {json}", self.id);
            return;
        };
        let is_true = match json["reason"].as_str() {
            None => recovered == Some(true) && begun == *asked,
            Some("epoch_changed") => begun.epoch != asked.epoch,
            Some("too_old") => begun.epoch == asked.epoch && begun.offset > asked.offset,
            Some("forbidden") => true,
            Some(_) => false,
        };
        assert!(is_true, "{}: {json}, when it was at {asked}", self.id);
        assert_eq!(recovered, Some(json["reason"].is_null()), "{}: {json}", self.id);
    }

    /// Publications of one topic, in either direction.
    fn hear_history(&mut self, json: &Value, truth: &Truth) {
        let Verb::History(topic) = self.answered(json, true) else {
            panic!("{}: {json} and it asked for something else", self.id);
        };
        let mut offsets = Vec::new();
        for message in json["messages"].as_array().into_iter().flatten() {
            let said = truth.said(number_of(message));
            assert_eq!(said.topic, topic, "{}: {json}", self.id);
            assert_eq!(message["offset"].as_u64(), Some(said.position.offset));
            assert_eq!(json["epoch"].as_str(), Some(&*said.position.epoch.to_string()));
            offsets.push(said.position.offset);
        }
        let is_dense = |pair: &[u64]| pair[0].abs_diff(pair[1]) == 1;
        let is_straight = offsets.is_sorted() || offsets.is_sorted_by(|one, next| one > next);
        assert!(
            offsets.windows(2).all(is_dense) && is_straight,
            "{}: {json}",
            self.id
        );
    }

    /// A place where it stands or stood, if it knows the topic.
    pub(crate) fn place_of(&self, topic: &TopicName) -> Option<Position> {
        let place = self.places.get(topic).or_else(|| self.left.get(topic));
        place.copied()
    }

    fn hear_unsubscribed(&mut self, json: &Value) {
        if json.get("id").is_some() {
            self.answered(json, true);
        }
        for name in json["topics"].as_array().into_iter().flatten() {
            let topic = topic_in(name);
            if let Some(place) = self.places.remove(&topic) {
                self.is_restless = true;
                self.left.insert(topic.clone(), place);
            }
            self.occupancy.remove(&topic);
            self.attendance.remove(&topic);
        }
    }

    fn hear_missed(&mut self, json: &Value) {
        let topic = topic_in(&json["topic"]);
        let epoch = json["epoch"].as_str().and_then(|epoch| epoch.parse().ok());
        let number = |field: &str| json[field].as_u64();
        let (Some(epoch), Some(from), Some(to), Some(count)) =
            (epoch, number("from"), number("to"), number("count"))
        else {
            panic!("{}: {json} lacks something", self.id);
        };
        if topic.is_reserved() && !self.places.contains_key(&topic) {
            self.begin(
                &topic,
                Position {
                    epoch,
                    offset: from - 1,
                },
            );
        }
        assert!(
            self.places.contains_key(&topic),
            "{}: {json} without a subscription",
            self.id
        );
        self.accounts.told(&topic, epoch, (from, to, count));
    }

    fn hear_occupancy(&mut self, json: &Value) {
        let topic = topic_in(&json["topic"]);
        assert!(
            self.places.contains_key(&topic),
            "{}: {json} without a subscription",
            self.id
        );
        let Some(subscribers) = json["subscribers"].as_u64() else {
            panic!("{}: {json} has no number", self.id);
        };
        if let Some(told) = self.occupancy.get_mut(&topic) {
            *told = Some(subscribers);
        } else {
            // What has no id may answer the application or the request at the door: who is governed cannot know.
            assert!(self.is_governed, "{}: {json} and it does not watch", self.id);
        }
    }

    /// First everyone, then what changes, and nothing that does not fit what it knows.
    fn hear_attendance(&mut self, json: &Value) {
        let topic = topic_in(&json["topic"]);
        let names = |field: &str| -> Vec<String> {
            let members = json[field].as_array().into_iter().flatten();
            let names = members.filter_map(|member| member["connection"].as_str());
            names.map(str::to_owned).collect()
        };
        let Some(known) = self.attendance.get_mut(&topic) else {
            assert!(self.is_governed, "{}: {json} and it does not watch", self.id);
            return;
        };
        if let Some(is_complete) = json["complete"].as_bool() {
            known.members = names("members").into_iter().collect();
            (known.is_complete, known.is_told) = (is_complete, true);
        } else if known.is_told {
            for name in names("went") {
                let was_known = known.members.remove(&name);
                assert!(
                    was_known || !known.is_complete,
                    "{}: {name} was not in {topic}",
                    self.id
                );
            }
            for name in names("came") {
                assert!(
                    known.members.insert(name),
                    "{}: {json}: somebody came twice",
                    self.id
                );
            }
        } else {
            // A push of the subscription before.
            assert!(
                self.is_restless || self.is_governed,
                "{}: {json} before everyone",
                self.id
            );
        }
        known.connections = json["connections"].as_u64().unwrap_or_default();
    }

    /// Checks that it knows who is in the topics that it watches.
    pub(crate) fn check_attendance(&self, is_there: impl Fn(&TopicName) -> BTreeSet<String>) {
        for (topic, known) in self.attendance.iter().filter(|_| !self.is_governed) {
            let there = is_there(topic);
            assert!(known.is_told, "{}: it was not told who is in {topic}", self.id);
            assert_eq!(known.connections, there.len() as u64, "{}: {topic}", self.id);
            if known.is_complete {
                assert_eq!(known.members, there, "{}: who is in {topic}", self.id);
            }
        }
    }

    /// Finds the command that is answered; gives what it asked.
    pub(crate) fn answered(&mut self, json: &Value, is_done: bool) -> Verb {
        let id = json.get("id").and_then(Value::as_u64);
        let asked = self
            .asked
            .iter_mut()
            .find(|asked| asked.id == id && asked.is_done.is_none());
        match asked {
            Some(asked) => {
                asked.is_done = Some(is_done);
                asked.verb.clone()
            }
            None if id.is_none() && self.is_governed => Verb::Other,
            None => panic!("{}: {json} answers nothing that was asked", self.id),
        }
    }

    /// Checks what must hold when everything that could come has come and it is still open.
    pub(crate) fn check_complete(&self, truth: &Truth, rule: impl Fn(&TopicName) -> SlowRule) {
        self.accounts.check(self.id, truth, rule, !self.is_restless);
        assert!(
            self.decoder.is_idle(),
            "{}: half a frame, and nothing follows",
            self.id
        );
        assert!(self.outgoing.is_empty(), "{}: it is not read from", self.id);
        for (topic, place) in &self.places {
            let end = truth.end_of(topic, place.epoch);
            assert!(
                truth.is_nothing_for(self.id, topic, (place.epoch, place.offset, end)),
                "{}: of {topic} it has {} of {end}: lost in silence",
                self.id,
                place.offset
            );
        }
        for (number, to) in &truth.handed_over {
            assert!(
                *to != self.id || self.directs.contains(number) || self.role == Role::Publisher,
                "{}: {number} was handed over and did not come",
                self.id
            );
        }
        if self.dialect == Dialect::Json {
            self.check_answers();
        }
    }

    fn check_answers(&self) {
        for asked in &self.asked {
            assert!(
                asked.is_done.is_some() || (self.is_governed && asked.id.is_none()),
                "{}: {:?} was not answered",
                self.id,
                asked.verb
            );
        }
        if self.is_governed {
            return;
        }
        let mut expected: Vec<&TopicName> = Vec::new();
        for asked in self.asked.iter().filter(|asked| asked.is_done == Some(true)) {
            match &asked.verb {
                Verb::Subscribe(topics, ..) => expected.extend(topics),
                Verb::Unsubscribe(topics) => expected.retain(|topic| !topics.contains(topic)),
                Verb::Publish(_)
                | Verb::PublishOnce(_)
                | Verb::PublishBehind(..)
                | Verb::History(_)
                | Verb::Other => {}
            }
        }
        expected.sort_unstable();
        expected.dedup();
        let held: Vec<&TopicName> = self.places.keys().filter(|topic| !topic.is_reserved()).collect();
        assert_eq!(held, expected, "{}: what it asked for is what it has", self.id);
    }

    /// Whether it has heard of `topic`.
    pub(crate) fn has(&self, topic: &TopicName) -> bool {
        self.places.contains_key(topic)
    }

    /// Checks that the last occupancy it was told of every topic that it watches is the true one.
    pub(crate) fn check_occupancy(&self, subscribers: impl Fn(&TopicName) -> u64) {
        if self.is_governed {
            return;
        }
        for (topic, told) in &self.occupancy {
            let count = subscribers(topic);
            assert_eq!(*told, Some(count), "{}: occupancy of {topic}", self.id);
        }
    }
}

/// The number in a message.
fn number_of(json: &Value) -> u64 {
    // What a raw client said is text, and text is a string in this dialect.
    match &json["data"] {
        Value::String(text) => number_in(text),
        data => data["n"].as_u64().unwrap_or_default(),
    }
}

fn topic_in(json: &Value) -> TopicName {
    if json == "$all" {
        return TopicName::all();
    }
    let user = json.as_str().and_then(|name| name.strip_prefix("$user:"));
    if let Some(Ok(user)) = user.map(UserName::parse) {
        return TopicName::of_user(&user);
    }
    match json.as_str().map(TopicName::parse) {
        Some(Ok(topic)) => topic,
        _ => panic!("{json} is not a topic"),
    }
}
