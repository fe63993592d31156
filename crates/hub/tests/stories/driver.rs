//! Plays the shard, the broker and the sockets of one hub, on virtual time.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io::IoSlice;
use std::sync::Arc;

use fanfare_hub::access::{Grants, Identity, TopicRules};
use fanfare_hub::broker::{BrokerEvent, Published, Read, ReadId, Refusal};
use fanfare_hub::{
    Concerns, Control, Dirty, History, Hub, Input, Leave, Limits, Now, Opened, Output, Received, Retention,
    Role, Roster, RosterPage, SURVEY_PAGE, WantedTopic,
};
use fanfare_protocol::dialect::Dialect;
use fanfare_protocol::websocket::{self, Compression, Decoder, Inflater, Item};
use fanfare_protocol::{
    ConnectionId, Draft, Epoch, Every, Key, Millis, Position, Publication, SessionKey, Since, Timestamp,
    TopicName, UserName,
};

use crate::words::{of_stream, words};

/// One hub and everything around it.
pub(crate) struct Shard {
    pub(crate) hub: Hub,
    pub(crate) now: Now,
    /// The topics' logs as the broker of this story keeps them.
    pub(crate) logs: HashMap<TopicName, Log>,
    /// Mail that the shard has not taken yet.
    pub(crate) mail: VecDeque<BrokerEvent>,
    /// What every publish is answered, when not with its place.
    pub(crate) refusal: Option<Refusal>,
    /// Whether joins wait for [`Shard::answer_join`].
    pub(crate) holds_joins: bool,
    /// Whether publishes wait for [`Shard::answer_publish`].
    pub(crate) holds_publishes: bool,
    /// Whether reads wait for [`Shard::answer_reads`].
    pub(crate) holds_reads: bool,
    /// How much of a log is kept.
    pub(crate) retention: Retention,
    /// Subscribers on other shards, per topic.
    pub(crate) elsewhere: HashMap<TopicName, u64>,
    /// What came out and was done.
    pub(crate) performed: Vec<Output>,
    /// Who was written, write by write.
    pub(crate) writes: Vec<ConnectionId>,
    pub(crate) held_publishes: VecDeque<Output>,
    held_reads: VecDeque<Output>,
    answers: VecDeque<Input<'static>>,
    sockets: HashMap<ConnectionId, Socket>,
    open_slots: HashSet<usize>,
    opened: u32,
    epochs: u64,
}

/// One topic at the broker of a story.
pub(crate) struct Log {
    pub(crate) position: Position,
    pub(crate) is_joined: bool,
    pub(crate) reported: u32,
    pub(crate) history: History,
    /// Who is there, in this shard and elsewhere.
    pub(crate) roster: Roster,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            position: Position::default(),
            is_joined: false,
            reported: 0,
            history: History::default(),
            roster: Roster::new(1),
        }
    }
}

struct Socket {
    dialect: Dialect,
    compression: Compression,
    received: Vec<u8>,
    decoder: Decoder,
    inflater: Inflater,
    /// Bytes it still takes before it blocks.
    room: usize,
    has_entered: bool,
    is_released: bool,
    /// The code that it was released with.
    code: Option<u16>,
}

/// What a story wants to be opened.
pub(crate) struct Door {
    pub(crate) dialect: Dialect,
    pub(crate) compression: Compression,
    pub(crate) role: Role,
    pub(crate) user: Option<&'static str>,
    /// What was granted to the user.
    pub(crate) grants: Grants,
    pub(crate) is_awaited: bool,
    pub(crate) topics: &'static [&'static str],
    pub(crate) since: Option<Since>,
    /// Where it was in each of the topics, which goes before `since`.
    pub(crate) places: Vec<Option<Position>>,
    pub(crate) granted_topics: &'static [&'static str],
    /// What comes with those.
    pub(crate) leaves: Vec<(TopicName, Leave)>,
    pub(crate) occupancy: bool,
    pub(crate) presence: bool,
    pub(crate) every: Option<Every>,
    pub(crate) conflates: bool,
    pub(crate) pings_natively: bool,
    pub(crate) key: Option<SessionKey>,
}

impl Door {
    fn identity(&self) -> Option<Arc<Identity>> {
        let user = UserName::parse(self.user?).unwrap();
        Some(Arc::new(Identity {
            grants: self.grants.clone(),
            ..Identity::of_user(user)
        }))
    }
}

impl Default for Door {
    fn default() -> Self {
        Self {
            dialect: Dialect::Json,
            compression: Compression::None,
            role: Role::Subscriber,
            user: None,
            grants: Grants::default(),
            is_awaited: false,
            topics: &[],
            since: None,
            places: Vec::new(),
            granted_topics: &[],
            leaves: Vec::new(),
            occupancy: false,
            presence: false,
            every: None,
            conflates: false,
            pings_natively: false,
            key: None,
        }
    }
}

impl Shard {
    pub(crate) fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    pub(crate) fn with_limits(limits: Limits) -> Self {
        Self::with_rules(limits, TopicRules::open())
    }

    /// A shard whose application is asked about this whatever the rules say.
    pub(crate) fn with_concerns(concerns: Concerns) -> Self {
        let shard = Self::new();
        Self {
            hub: shard.hub.with_concerns(concerns),
            ..shard
        }
    }

    pub(crate) fn with_rules(limits: Limits, rules: TopicRules) -> Self {
        let rules = Arc::new(rules);
        Self {
            hub: Hub::new(limits, rules, 1),
            now: Now::default(),
            logs: HashMap::new(),
            mail: VecDeque::new(),
            refusal: None,
            holds_joins: false,
            holds_publishes: false,
            holds_reads: false,
            retention: Retention::default(),
            elsewhere: HashMap::new(),
            performed: Vec::new(),
            writes: Vec::new(),
            held_publishes: VecDeque::new(),
            held_reads: VecDeque::new(),
            answers: VecDeque::new(),
            sockets: HashMap::new(),
            open_slots: HashSet::new(),
            opened: 0,
            epochs: 0,
        }
    }

    /// Opens a connection and leaves what it is told to be written.
    pub(crate) fn open(&mut self, door: Door) -> ConnectionId {
        let slots = 0..=self.open_slots.len();
        let slot = slots
            .into_iter()
            .find(|slot| !self.open_slots.contains(slot))
            .unwrap();
        self.open_slots.insert(slot);
        self.opened += 1;
        let connection = ConnectionId::new(0, slot, self.opened);
        let socket = Socket {
            dialect: door.dialect,
            compression: door.compression,
            received: Vec::new(),
            decoder: Decoder::new(websocket::Role::Client),
            inflater: Inflater::default(),
            room: usize::MAX,
            has_entered: false,
            is_released: false,
            code: None,
        };
        self.sockets.insert(connection, socket);
        self.handle(Input::Opened(Opened {
            connection,
            dialect: door.dialect,
            compression: door.compression,
            role: door.role,
            identity: door.identity(),
            is_awaited: door.is_awaited,
            remote: "127.0.0.1:9".parse().unwrap(),
            user_agent: None,
            joined_at: self.now.wall,
            topics: door
                .topics
                .iter()
                .enumerate()
                .map(|(at, name)| WantedTopic {
                    topic: topic(name),
                    since: door
                        .places
                        .get(at)
                        .copied()
                        .flatten()
                        .map(Since::Position)
                        .or(door.since),
                })
                .collect(),
            greeting: Box::default(),
            granted_topics: door.granted_topics.iter().map(|name| topic(name)).collect(),
            leaves: door.leaves,
            data: None,
            occupancy: door.occupancy,
            presence: door.presence,
            every: door.every,
            conflates: door.conflates,
            pings_natively: door.pings_natively,
            key: door.key.map(Box::new),
        }));
        connection
    }

    /// Opens a connection of the `json` dialect that has been welcomed and subscribed to `topics`.
    pub(crate) fn client(&mut self, topics: &'static [&'static str]) -> ConnectionId {
        let client = self.open(Door {
            topics,
            ..Door::default()
        });
        self.turn();
        self.read(client);
        client
    }

    /// A client sends a text message.
    pub(crate) fn say(&mut self, client: ConnectionId, text: &str) {
        let dialect = self.sockets[&client].dialect;
        self.handle(Input::Message(client, dialect.decode(&Item::Text(text))));
        self.receive(
            client,
            Received {
                bytes: text.len() + 6,
                ..Received::default()
            },
        );
    }

    /// Something came from a client.
    pub(crate) fn hear(&mut self, client: ConnectionId) {
        self.receive(client, Received::default());
    }

    /// Bytes came from a client, and its messages were handed in.
    pub(crate) fn receive(&mut self, client: ConnectionId, received: Received) {
        self.hub.received(self.now, client, received);
        self.drain();
    }

    /// Somebody elsewhere publishes.
    pub(crate) fn publish(&mut self, name: &str, text: &str) {
        self.publish_with(name, text, None);
    }

    /// Somebody elsewhere publishes something that is the newest state of `key`.
    pub(crate) fn publish_with(&mut self, name: &str, text: &str, key: Option<&str>) {
        let payload = fanfare_protocol::Payload::text(text);
        let draft = Draft {
            key: key.map(|key| Key::parse(key).unwrap()),
            ..Draft::new(topic_or_reserved(name), payload, self.now.wall)
        };
        self.append(draft);
    }

    /// One turn: mail, fan-out, all writing.
    pub(crate) fn turn(&mut self) {
        self.take_mail();
        self.settle();
        self.write_all();
    }

    /// Gives what waits in the mailbox to the hub.
    pub(crate) fn take_mail(&mut self) {
        while let Some(event) = self.mail.pop_front() {
            self.handle(Input::Broker(event));
        }
    }

    /// Fans out.
    pub(crate) fn settle(&mut self) {
        self.handle(Input::Settle);
    }

    /// Writes whoever is dirty, the small lists first.
    pub(crate) fn write_all(&mut self) {
        for list in [Dirty::Small, Dirty::Big] {
            while let Some(connection) = self.hub.next_dirty(list) {
                self.write(connection);
            }
        }
    }

    /// Virtual time goes by, with a tick and a turn every 100 ms.
    pub(crate) fn pass(&mut self, ms: u64) {
        for _ in 0..ms / 100 {
            self.leap(100);
        }
    }

    /// Virtual time goes by in one leap, as when the process stood still.
    pub(crate) fn leap(&mut self, ms: u64) {
        self.now = at(self.now.monotonic.0 + ms);
        self.handle(Input::Tick);
        self.turn();
    }

    /// What a client received since it was last asked, in the story's words.
    pub(crate) fn read(&mut self, client: ConnectionId) -> Vec<String> {
        let socket = self.sockets.get_mut(&client).unwrap();
        let mut bytes = std::mem::take(&mut socket.received);
        if socket.dialect.is_stream() {
            return of_stream(&bytes);
        }
        let mut input = bytes.as_mut_slice();
        let mut heard = Vec::new();
        loop {
            let item = match socket.compression {
                // A compressed frame is a violation here.
                Compression::None | Compression::FromClient => socket.decoder.next(&mut input, u32::MAX),
                Compression::Both => {
                    socket
                        .decoder
                        .next_inflating(&mut input, u32::MAX, &mut socket.inflater)
                }
            };
            let Some(item) = item.unwrap() else {
                return heard;
            };
            heard.push(words(socket.dialect, &item));
        }
    }

    /// What a client received since it was last asked, as it is.
    pub(crate) fn read_bytes(&mut self, client: ConnectionId) -> Vec<u8> {
        std::mem::take(&mut self.sockets.get_mut(&client).unwrap().received)
    }

    /// The same of a stream that was cut: the last event may lack its end, and then nobody hears it.
    pub(crate) fn read_whole(&mut self, client: ConnectionId) -> Vec<String> {
        let bytes = std::mem::take(&mut self.sockets.get_mut(&client).unwrap().received);
        let end = bytes
            .windows(2)
            .rposition(|pair| pair == b"\n\n")
            .map_or(0, |at| at + 2);
        of_stream(&bytes[..end])
    }

    /// Whether nothing but whole frames was received.
    pub(crate) fn is_whole(&self, client: ConnectionId) -> bool {
        self.sockets[&client].decoder.is_idle()
    }

    /// From now on a client's socket takes this many bytes and no more.
    pub(crate) fn stall_after(&mut self, client: ConnectionId, bytes: usize) {
        self.sockets.get_mut(&client).unwrap().room = bytes;
    }

    /// A client's socket takes `bytes` more, or all that come.
    pub(crate) fn unstall(&mut self, client: ConnectionId, bytes: usize) {
        self.sockets.get_mut(&client).unwrap().room = bytes;
        self.hub.writable(client);
    }

    /// A client's socket is gone.
    pub(crate) fn lose(&mut self, client: ConnectionId) {
        self.handle(Input::Lost(client));
    }

    pub(crate) fn is_released(&self, client: ConnectionId) -> bool {
        self.sockets[&client].is_released
    }

    /// The code that a connection was released with, if it was.
    pub(crate) fn code(&self, client: ConnectionId) -> Option<u16> {
        self.sockets[&client].code
    }

    /// The broker answers a join that it held.
    pub(crate) fn answer_join(&mut self, name: &str, outcome: Result<(), Refusal>) {
        let topic = topic_or_reserved(name);
        let log = self.logs.get_mut(&topic).unwrap();
        log.is_joined = outcome.is_ok();
        let outcome = outcome.map(|()| log.position);
        self.mail.push_back(BrokerEvent::Joined { topic, outcome });
    }

    /// The broker answers the reads that it held.
    pub(crate) fn answer_reads(&mut self) {
        for output in std::mem::take(&mut self.held_reads) {
            if let Output::Read(topic, read, id) = output {
                self.answer_read(&topic, read, id);
            }
        }
    }

    fn answer_read(&mut self, topic: &TopicName, read: Read, id: ReadId) {
        let nothing = Log::default();
        let log = self.logs.get(topic).unwrap_or(&nothing);
        let outcome = match self.refusal {
            Some(refusal) => Err(refusal),
            None => Ok(log.history.read(log.position, &read)),
        };
        self.mail.push_back(BrokerEvent::Read { read: id, outcome });
    }

    /// The broker answers the oldest publish that it held.
    pub(crate) fn answer_publish(&mut self, refusal: Option<Refusal>) {
        let Some(Output::Publish(draft, ticket)) = self.held_publishes.pop_front() else {
            panic!("no publish is held");
        };
        let topic = draft.topic.clone();
        let outcome = match refusal {
            Some(refusal) => Err(refusal),
            None => Ok(Published::first(self.append(draft))),
        };
        self.handle(Input::Published(ticket, topic, outcome));
    }

    pub(crate) fn control(&mut self, control: Control) -> usize {
        let concerned = self.hub.control(self.now, control);
        self.drain();
        concerned
    }

    /// Gives the hub an input, does what comes of it, and checks the law of draining.
    pub(crate) fn handle(&mut self, input: Input<'_>) {
        self.hub.handle(self.now, input);
        self.drain();
    }

    /// Everyone vanishes; then nothing may be left.
    pub(crate) fn end(mut self) {
        let open: Vec<_> = self
            .sockets
            .iter()
            .filter(|(_, socket)| !socket.is_released)
            .map(|(&id, _)| id)
            .collect();
        for client in open {
            self.handle(Input::Lost(client));
        }
        let waiting: Vec<_> = self
            .logs
            .iter()
            .filter(|(_, log)| !log.is_joined)
            .map(|(topic, _)| topic.clone())
            .collect();
        for topic in waiting {
            self.answer_join(topic.as_str(), Err(Refusal::Unavailable));
        }
        self.answer_reads();
        // What was encoded for those who came back is kept until the next tick.
        self.pass(100);
        let gauges = self.hub.gauges();
        assert_eq!(
            (
                gauges.connections,
                gauges.topics,
                gauges.queued,
                gauges.pending,
                gauges.notices,
                gauges.catching_up,
                gauges.reads,
            ),
            (0, 0, 0, 0, 0, 0, 0),
            "{gauges:?}"
        );
        assert_eq!(gauges.frame_bytes, 0);
        assert!(self.hub.is_empty());
        let counters = self.hub.counters();
        assert_eq!((counters.subscriptions, counters.topics), (0, 0));
        assert_eq!(counters.opened, counters.released);
        assert!(self.logs.values().all(|log| !log.is_joined));
    }

    fn drain(&mut self) {
        loop {
            while let Some(output) = self.hub.poll_output() {
                self.performed.push(output.clone());
                self.perform(output);
            }
            match self.answers.pop_front() {
                Some(answer) => self.hub.handle(self.now, answer),
                None => return,
            }
        }
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Join(topic) => self.join(topic),
            Output::Leave(topic) => {
                let log = self.logs.get_mut(&topic).unwrap();
                (log.is_joined, log.reported) = (false, 0);
                log.roster.go_all(0);
                if log.history.is_empty() {
                    self.logs.remove(&topic);
                }
            }
            Output::Read(..) if self.holds_reads => self.held_reads.push_back(output),
            Output::Read(topic, read, id) => self.answer_read(&topic, read, id),
            Output::Report(topic, subscribers) => {
                self.logs.get_mut(&topic).unwrap().reported = subscribers;
            }
            Output::Count(topic) => {
                let here = self.logs.get(&topic).map_or(0, |log| u64::from(log.reported));
                let count = here + self.elsewhere.get(&topic).copied().unwrap_or(0);
                self.answers.push_back(Input::Counted(topic, count));
            }
            Output::Attend(topic, changes) => {
                let log = self.logs.get_mut(&topic).unwrap();
                for change in changes {
                    log.roster.apply(change);
                }
            }
            Output::Roster {
                topic,
                after,
                count,
                ticket,
            } => {
                let log = self.logs.get(&topic);
                let page = log.map_or_else(RosterPage::default, |log| log.roster.page(after, count));
                self.answers.push_back(Input::Roster(ticket, topic, page));
            }
            Output::Survey { topic, since, all } => {
                let roster = &mut self.logs.get_mut(&topic).unwrap().roster;
                let diff = roster.survey(since, all, SURVEY_PAGE);
                self.answers.push_back(Input::Surveyed(topic, diff));
            }
            Output::Publish(..) if self.holds_publishes => self.held_publishes.push_back(output),
            Output::Publish(draft, ticket) => {
                let topic = draft.topic.clone();
                let outcome = match self.refusal {
                    Some(refusal) => Err(refusal),
                    None => Ok(Published::first(self.append(draft))),
                };
                self.answers.push_back(Input::Published(ticket, topic, outcome));
            }
            Output::Deliver(to, direct, ticket) => {
                let concerned = self.hub.control(self.now, Control::Deliver(to, direct));
                self.answers
                    .push_back(Input::Delivered(ticket, Ok(concerned == 1)));
            }
            // A story answers what it is asked itself.
            Output::Ask(..) | Output::TokenRefused(_) | Output::Resume(_) => {}
            Output::Entered(connection, _) => {
                let socket = self.sockets.get_mut(&connection).unwrap();
                assert!(!socket.has_entered, "{connection} enters twice");
                socket.has_entered = true;
            }
            Output::Release(connection, code) => {
                let socket = self.sockets.get_mut(&connection).unwrap();
                assert!(!socket.is_released, "{connection} is released twice");
                socket.is_released = true;
                socket.code = Some(code);
                self.open_slots.remove(&connection.slot());
            }
        }
    }

    fn join(&mut self, topic: TopicName) {
        self.epochs += 1;
        let log = self.logs.entry(topic.clone()).or_default();
        assert!(!log.is_joined, "{topic} is joined twice");
        if log.history.is_empty() {
            log.position.epoch = Epoch(self.epochs);
        }
        if !self.holds_joins || topic.is_reserved() {
            log.is_joined = true;
            let outcome = Ok(log.position);
            self.mail.push_back(BrokerEvent::Joined { topic, outcome });
        }
    }

    pub(crate) fn append(&mut self, draft: Draft) -> Position {
        if !self.retention.keeps() && !self.logs.contains_key(&draft.topic) {
            return Position {
                offset: 1,
                ..Position::default()
            };
        }
        let log = self.logs.entry(draft.topic.clone()).or_default();
        log.position.offset += 1;
        let position = log.position;
        let publication = Arc::new(Publication { draft, position });
        log.history.keep(Arc::clone(&publication), &self.retention);
        if log.is_joined {
            self.mail.push_back(BrokerEvent::Publication(publication));
        }
        position
    }

    fn write(&mut self, connection: ConnectionId) {
        let socket = self.sockets.get_mut(&connection).unwrap();
        assert!(!socket.is_released, "a released connection is written");
        let mut slices = [IoSlice::new(&[]); 16];
        let filled = self.hub.gather(connection, &mut slices);
        let given: usize = slices[..filled].iter().map(|slice| slice.len()).sum();
        if given == 0 {
            return;
        }
        self.writes.push(connection);
        let taken = given.min(socket.room);
        socket.room -= if socket.room == usize::MAX { 0 } else { taken };
        let bytes = slices[..filled].iter().flat_map(|slice| slice.iter().copied());
        socket.received.extend(bytes.take(taken));
        self.hub.wrote(self.now, connection, taken, taken < given);
        self.drain();
    }
}

pub(crate) fn topic(name: &str) -> TopicName {
    TopicName::parse(name).unwrap()
}

pub(crate) fn at(ms: u64) -> Now {
    Now {
        monotonic: Millis(ms),
        wall: Timestamp(ms),
    }
}

fn topic_or_reserved(name: &str) -> TopicName {
    match name.strip_prefix("$user:") {
        Some(user) => TopicName::of_user(&UserName::parse(user).unwrap()),
        None if name == "$all" => TopicName::all(),
        None => topic(name),
    }
}

/// Limits under which any number of commands is taken in.
pub(crate) fn unbound() -> Limits {
    Limits {
        commands_per_second: 0,
        bytes_per_second: 0,
        user_commands_per_second: 0,
        user_bytes_per_second: 0,
        ..Limits::default()
    }
}
