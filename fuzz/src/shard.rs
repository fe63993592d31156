//! A shard in memory: one hub, a broker that only this hub knows, and sockets that take what they are told to take.
//! It does what `crates/fanfare/src/shard` does, one connection at a time, and checks what every client is sent.

use std::collections::{BTreeMap, VecDeque};
use std::io::IoSlice;
use std::sync::Arc;

use fanfare_hub::access::{Identity, TopicRule, TopicRules, Who};
use fanfare_hub::broker::{BrokerEvent, Published, Read, ReadId, Refusal};
use fanfare_hub::{
    self as hub, Admission, Control, Denial, Dirty, Gauges, History, Hub, Input, Limits, Now, Opened, Output,
    Question, Received, Retention, Roster, RosterPage, SURVEY_PAGE, SlowRule, SlowRules, Version,
};
use fanfare_protocol::codes::Disconnect;
use fanfare_protocol::websocket::{Compression, Decoder, Inflater, Item, Role, Violation};
use fanfare_protocol::{
    ConnectionId, Draft, Epoch, Millis, Payload, Position, Publication, Timestamp, TopicName, UserName,
};

use crate::listener::Listener;

/// One hub and everything around it.
pub(crate) struct Shard {
    pub(crate) hub: Hub,
    pub(crate) now: Now,
    pub(crate) sockets: Vec<Socket>,
    /// What every join is answered: its place, a refusal, or nothing yet.
    pub(crate) joins: Answer,
    /// What every publish is answered.
    pub(crate) publishes: Answer,
    /// What the application answers.
    pub(crate) leave: Leave,
    /// Questions that it has not answered.
    asked: VecDeque<(ConnectionId, Question)>,
    /// What came out of the hub.
    pub(crate) outputs: Vec<Output>,
    logs: BTreeMap<TopicName, Log>,
    mail: VecDeque<BrokerEvent>,
    held: VecDeque<Output>,
    answers: VecDeque<Input<'static>>,
    /// Of the shard and of its clients.
    inflater: Inflater,
}

/// A rule for every topic of the targets: of `a` everything is delivered or the connection closed.
pub(crate) fn slow_rules() -> SlowRules {
    let rule = |pattern: &str, rule| pattern.parse().map(|pattern| (pattern, rule));
    let by_pattern = [
        rule("b*", SlowRule::DropOldest),
        rule("c*", SlowRule::DropNewest),
        rule("d*", SlowRule::Conflate),
    ];
    SlowRules {
        by_pattern: by_pattern.into_iter().flatten().collect(),
        otherwise: SlowRule::Disconnect,
    }
}

/// About `d` the application is asked, `c` is for whom it was granted; the others are open.
fn topic_rules() -> TopicRules {
    let rule = |pattern, who| TopicRule::new(pattern).map(|rule| rule.subscribe(who).publish(who));
    TopicRules {
        by_pattern: [rule("d*", Who::Hook), rule("c*", Who::Granted)]
            .into_iter()
            .flatten()
            .collect(),
        ..TopicRules::open()
    }
}

/// How a broker answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Yes,
    No(Refusal),
    Later,
}

/// What an application says when it is asked for leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    Yes,
    No,
    /// No, and the connection is closed.
    Close,
    Later,
    /// An answer to another question.
    Beside,
}

impl Leave {
    fn answer(self, question: Question) -> hub::Answer {
        match (self, question) {
            (Self::No, question) => question.denied(Denial::unauthenticated("no")),
            (Self::Close, question) => question.denied(Denial::Closed(Disconnect::Forbidden)),
            (_, Question::RenewSubscription { topic }) => {
                hub::Answer::RenewSubscription(topic, Ok(hub::Leave::default()))
            }
            (Self::Beside, Question::Subscribe { .. } | Question::Inspect { .. }) => {
                hub::Answer::Call(Ok(Payload::text("?")))
            }
            (Self::Beside, _) => hub::Answer::Subscribe(Ok(hub::Leaves::default())),
            (_, Question::Subscribe { .. }) => hub::Answer::Subscribe(Ok(hub::Leaves::default())),
            (_, Question::Inspect { .. }) => hub::Answer::Inspect(Ok(())),
            (_, Question::Publish(draft)) if draft.key.is_none() => {
                hub::Answer::Publish(Ok(Payload::text("1").into()))
            }
            (_, Question::Publish(_)) => hub::Answer::Publish(Ok(hub::Amendment::default())),
            (_, Question::Call { payload, .. }) => hub::Answer::Call(Ok(payload)),
            (_, Question::Authenticate { token }) => hub::Answer::Authenticate(admitted(&token)),
            (_, Question::Enter { token, known, .. }) => hub::Answer::Enter(match token {
                Some(token) => admitted(&token).map(Some),
                None => Ok(known),
            }),
            (_, Question::Renew) => hub::Answer::Renew(Ok(None)),
        }
    }
}

/// A token is the name of its user.
fn admitted(token: &str) -> Result<Admission, Denial> {
    let user = UserName::parse(token).map_err(|error| Denial::unauthenticated(error.to_string()))?;
    let identity = Identity {
        expires_at: token.starts_with('b').then_some(Timestamp(5_000)),
        token_id: Some(Box::from(token)),
        ..Identity::of_user(user)
    };
    Ok(Admission {
        identity: Arc::new(identity),
        topics: TopicName::parse("a").into_iter().collect(),
        leaves: Vec::new(),
        data: None,
    })
}

/// One topic at the broker.
struct Log {
    position: Position,
    is_joined: bool,
    /// Whether the join was refused: then it may be asked again, and the topic is left all the same.
    is_refused: bool,
    reported: u32,
    history: History,
    roster: Roster,
}

/// What is kept of a topic.
const RETENTION: Retention = Retention {
    publications_max: 20,
    bytes_max: 8_000,
    age_max_ms: 5_000,
};

/// One connection: its socket and its client.
pub(crate) struct Socket {
    pub(crate) opened: Opened,
    /// Bytes it still takes before it blocks.
    pub(crate) room: usize,
    pub(crate) client: Listener,
    pub(crate) is_released: bool,
    decoder: Decoder,
    /// What came and was not taken in yet.
    stash: Vec<u8>,
    is_discarding: bool,
}

impl Shard {
    pub(crate) fn new(limits: Limits, seed: u64) -> Self {
        Self {
            hub: Hub::new(limits, Arc::new(topic_rules()), seed),
            now: Now::default(),
            sockets: Vec::new(),
            joins: Answer::Yes,
            publishes: Answer::Yes,
            leave: Leave::Yes,
            asked: VecDeque::new(),
            outputs: Vec::new(),
            logs: BTreeMap::new(),
            mail: VecDeque::new(),
            held: VecDeque::new(),
            answers: VecDeque::new(),
            inflater: Inflater::default(),
        }
    }

    /// Opens a connection in the first free slot; gives its place among the sockets. `opened` needs no id.
    pub(crate) fn open(&mut self, opened: Opened) -> usize {
        let is_taken = |slot: usize| {
            let mut here = self.sockets.iter().filter(|socket| !socket.is_released);
            here.any(|socket| socket.opened.connection.slot() == slot)
        };
        let slots = 0..=self.sockets.len();
        let slot = slots
            .into_iter()
            .find(|&slot| !is_taken(slot))
            .unwrap_or_default();
        let connection = ConnectionId::new(0, slot, self.sockets.len() as u32);
        let opened = Opened { connection, ..opened };
        self.sockets.push(Socket {
            opened: opened.clone(),
            room: usize::MAX,
            client: Listener::new(opened.dialect, opened.compression),
            is_released: false,
            decoder: Decoder::new(Role::Server),
            stash: Vec::new(),
            is_discarding: false,
        });
        self.handle(Input::Opened(opened));
        self.sockets.len() - 1
    }

    /// Gives the hub an input and does what comes of it.
    pub(crate) fn handle(&mut self, input: Input<'_>) {
        self.hub.handle(self.now, input);
        self.drain();
    }

    /// Gives the hub what the application asks and does what comes of it.
    pub(crate) fn control(&mut self, control: Control) {
        self.hub.control(self.now, control);
        self.drain();
    }

    /// Bytes came from a socket.
    pub(crate) fn receive(&mut self, at: usize, bytes: &[u8]) {
        let socket = &mut self.sockets[at];
        if socket.is_released {
            return;
        }
        socket.stash.extend_from_slice(bytes);
        self.read(at);
    }

    /// Takes in what came, as far as the hub wants to hear it.
    fn read(&mut self, at: usize) {
        let socket = &mut self.sockets[at];
        let id = socket.opened.connection;
        if socket.is_released || socket.stash.is_empty() {
            return;
        }
        // Whose bytes wait is not silent.
        self.hub.heard(self.now, id);
        let room = self.hub.reading_room(self.now, id).min(socket.stash.len());
        if room > 0 {
            let mut bytes = socket.stash[..room].to_vec();
            let received = self.decode(at, &mut bytes);
            self.sockets[at].stash.drain(..received.bytes.min(room));
            self.hub.received(self.now, id, received);
        }
        self.drain();
    }

    fn decode(&mut self, at: usize, bytes: &mut [u8]) -> Received {
        let id = self.sockets[at].opened.connection;
        let count = bytes.len();
        let mut received = Received {
            bytes: count,
            ..Received::default()
        };
        if self.sockets[at].is_discarding {
            return received;
        }
        let placeholder = Decoder::new(Role::Server);
        let mut decoder = std::mem::replace(&mut self.sockets[at].decoder, placeholder);
        let mut inflater = std::mem::take(&mut self.inflater);
        let compression = self.sockets[at].opened.compression;
        let mut input = bytes;
        while self.hub.is_readable(id) {
            let bytes_max = self.hub.message_bytes_max(id);
            let next = match compression {
                Compression::None => decoder.next(&mut input, bytes_max),
                Compression::FromClient | Compression::Both => {
                    decoder.next_inflating(&mut input, bytes_max, &mut inflater)
                }
            };
            match next {
                Ok(None) => break,
                Ok(Some(item)) => {
                    self.take_item(at, &item);
                    received.is_anew |= !decoder.is_message_open();
                }
                Err(violation) => {
                    self.inflater = inflater;
                    self.sockets[at].is_discarding = true;
                    self.handle(Input::Disconnect(id, cause_of(&violation)));
                    return received;
                }
            }
        }
        received.bytes = count - input.len();
        received.is_partial = !decoder.is_idle();
        self.sockets[at].decoder = decoder;
        self.inflater = inflater;
        received
    }

    fn take_item(&mut self, at: usize, item: &Item<'_>) {
        let (id, dialect) = (
            self.sockets[at].opened.connection,
            self.sockets[at].opened.dialect,
        );
        match item {
            Item::Text(_) | Item::Binary(_) => self.handle(Input::Message(id, dialect.decode(item))),
            Item::Ping(payload) => self.handle(Input::Ping(id, payload)),
            Item::Pong(_) => {}
            Item::Close(close) => self.handle(Input::PeerClose(id, close.as_ref().map(|close| close.code))),
        }
    }

    /// Somebody publishes at the broker; gives the place.
    pub(crate) fn publish(&mut self, draft: Draft) -> Position {
        let Some(log) = self.logs.get_mut(&draft.topic) else {
            return Position::default();
        };
        log.position.offset += 1;
        let position = log.position;
        let publication = Publication {
            draft: draft.clone(),
            position,
        };
        log.history.keep(Arc::new(publication), &RETENTION);
        if log.is_joined {
            self.post(draft, position);
        }
        position
    }

    /// Mails a publication as it is, whatever the log says.
    pub(crate) fn post(&mut self, draft: Draft, position: Position) {
        let publication = Arc::new(Publication { draft, position });
        self.mail.push_back(BrokerEvent::Publication(publication));
    }

    /// Where the log of a topic stands.
    pub(crate) fn position(&self, topic: &TopicName) -> Position {
        self.logs
            .get(topic)
            .map_or_else(Position::default, |log| log.position)
    }

    /// Gives at most `count` of what waits in the mailbox to the hub.
    pub(crate) fn take_mail(&mut self, count: usize) {
        for _ in 0..count {
            let Some(event) = self.mail.pop_front() else {
                return;
            };
            self.handle(Input::Broker(event));
        }
    }

    /// One turn: sockets that have room again, reading, mail, fan-out, all writing.
    pub(crate) fn turn(&mut self) {
        for at in 0..self.sockets.len() {
            self.report_writable(at);
            self.read(at);
        }
        self.take_mail(usize::MAX);
        self.handle(Input::Settle);
        self.write_all(Dirty::Small, usize::MAX);
        self.write_all(Dirty::Big, usize::MAX);
    }

    /// Tells the hub that a socket takes bytes again, if it does.
    pub(crate) fn report_writable(&mut self, at: usize) {
        let socket = &self.sockets[at];
        if socket.room > 0 && !socket.is_released {
            self.hub.writable(socket.opened.connection);
        }
    }

    /// Time goes by in one leap.
    pub(crate) fn pass(&mut self, ms: u64) {
        let ms = self.now.monotonic.0 + ms;
        self.now = Now {
            monotonic: Millis(ms),
            wall: Timestamp(ms),
        };
        self.handle(Input::Tick);
    }

    /// Writes at most `count` connections of a list.
    pub(crate) fn write_all(&mut self, list: Dirty, count: usize) {
        for _ in 0..count {
            let Some(connection) = self.hub.next_dirty(list) else {
                return;
            };
            self.write(connection);
        }
    }

    fn write(&mut self, connection: ConnectionId) {
        let Some(socket) = self.sockets.iter_mut().find(|socket| socket.is(connection)) else {
            panic!("{connection} is to be written and is not here");
        };
        let mut slices = [IoSlice::new(&[]); 16];
        let filled = self.hub.gather(connection, &mut slices);
        let waiting = slices[..filled].iter().flat_map(|slice| slice.iter().copied());
        let mut bytes: Vec<u8> = waiting.collect();
        let given = bytes.len();
        if given == 0 {
            return;
        }
        bytes.truncate(socket.room);
        if socket.room != usize::MAX {
            socket.room -= bytes.len();
        }
        socket.client.receive(&mut bytes, &mut self.inflater);
        self.hub
            .wrote(self.now, connection, bytes.len(), bytes.len() < given);
        self.drain();
    }

    /// The broker answers what it held: joins with their place or a refusal, publishes likewise.
    pub(crate) fn answer_held(&mut self, answer: Result<(), Refusal>) {
        for held in std::mem::take(&mut self.held) {
            match held {
                Output::Join(topic) => self.answer_join(topic, answer),
                Output::Read(topic, read, id) => self.answer_read(&topic, &read, id, answer),
                Output::Publish(draft, ticket) => {
                    let topic = draft.topic.clone();
                    let outcome = answer.map(|()| Published::first(self.publish(draft)));
                    self.handle(Input::Published(ticket, topic, outcome));
                }
                _ => {}
            }
        }
    }

    /// The application answers what it was asked.
    pub(crate) fn answer_asked(&mut self, leave: Leave) {
        for (connection, question) in std::mem::take(&mut self.asked) {
            self.handle(Input::Answered(connection, leave.answer(question)));
        }
    }

    /// Everyone vanishes; then nothing may be left.
    pub(crate) fn end(mut self) -> Vec<Output> {
        (self.joins, self.publishes) = (Answer::Yes, Answer::Yes);
        for at in 0..self.sockets.len() {
            self.handle(Input::Lost(self.sockets[at].opened.connection));
        }
        self.answer_held(Err(Refusal::Unavailable));
        self.answer_asked(Leave::Yes);
        self.turn();
        // Whom it held back, a hub forgets with the next tick.
        self.pass(100);
        assert_eq!(self.hub.gauges(), Gauges::default());
        assert!(self.hub.is_empty());
        let counters = self.hub.counters();
        assert_eq!((counters.subscriptions, counters.topics), (0, 0));
        assert_eq!(counters.opened, counters.released);
        assert!(self.sockets.iter().all(|socket| socket.is_released));
        assert!(self.logs.is_empty(), "the broker has a topic left");
        self.outputs
    }

    fn drain(&mut self) {
        loop {
            while let Some(output) = self.hub.poll_output() {
                self.outputs.push(output.clone());
                self.perform(output);
            }
            let Some(answer) = self.answers.pop_front() else {
                return;
            };
            self.hub.handle(self.now, answer);
        }
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Join(topic) => self.join(topic),
            Output::Read(topic, read, id) => match self.joins {
                Answer::Later => self.held.push_back(Output::Read(topic, read, id)),
                Answer::Yes => self.answer_read(&topic, &read, id, Ok(())),
                Answer::No(refusal) => self.answer_read(&topic, &read, id, Err(refusal)),
            },
            Output::Leave(topic) => {
                assert!(
                    self.logs.remove(&topic).is_some(),
                    "{topic} is left and was not joined"
                );
            }
            Output::Report(topic, subscribers) => {
                if let Some(log) = self.logs.get_mut(&topic) {
                    log.reported = subscribers;
                }
            }
            Output::Count(topic) => {
                let count = self.logs.get(&topic).map_or(0, |log| log.reported.into());
                self.answers.push_back(Input::Counted(topic, count));
            }
            output @ (Output::Attend(..) | Output::Roster { .. } | Output::Survey { .. }) => {
                self.perform_presence(output);
            }
            Output::Publish(draft, ticket) => match self.publishes {
                Answer::Later => self.held.push_back(Output::Publish(draft, ticket)),
                Answer::No(refusal) => {
                    let answer = Input::Published(ticket, draft.topic, Err(refusal));
                    self.answers.push_back(answer);
                }
                Answer::Yes => {
                    let topic = draft.topic.clone();
                    let published = Published::first(self.publish(draft));
                    self.answers
                        .push_back(Input::Published(ticket, topic, Ok(published)));
                }
            },
            Output::Deliver(to, direct, ticket) => {
                let concerned = self.hub.control(self.now, Control::Deliver(to, direct));
                self.answers
                    .push_back(Input::Delivered(ticket, Ok(concerned == 1)));
            }
            Output::Ask(connection, _, question) => {
                let is_asking = self.asked.iter().any(|(asking, _)| *asking == connection);
                assert!(!is_asking, "{connection} asks while it waits for an answer");
                match self.leave {
                    Leave::Later => self.asked.push_back((connection, question)),
                    leave => {
                        let answer = Input::Answered(connection, leave.answer(question));
                        self.answers.push_back(answer);
                    }
                }
            }
            Output::TokenRefused(connection) | Output::Entered(connection, _) => {
                let is_here = self.sockets.iter().any(|socket| socket.is(connection));
                assert!(is_here, "{connection} is spoken of and is not here");
            }
            Output::Resume(connection) => {
                let is_here = self.sockets.iter().any(|socket| socket.is(connection));
                assert!(is_here, "{connection} is resumed and is not here");
            }
            Output::Release(connection, _) => {
                let Some(socket) = self.sockets.iter_mut().find(|socket| socket.is(connection)) else {
                    panic!("{connection} is released and is not here");
                };
                socket.is_released = true;
            }
        }
    }

    fn join(&mut self, topic: TopicName) {
        let position = Position {
            epoch: Epoch(self.outputs.len() as u64),
            offset: 0,
        };
        let log = Log {
            position,
            is_joined: false,
            is_refused: false,
            reported: 0,
            history: History::default(),
            roster: Roster::new(self.outputs.len() as u64),
        };
        let before = self.logs.insert(topic.clone(), log);
        assert!(before.is_none_or(|log| log.is_refused), "{topic} is joined twice");
        match self.joins {
            Answer::Later => self.held.push_back(Output::Join(topic)),
            Answer::Yes => self.answer_join(topic, Ok(())),
            Answer::No(refusal) => self.answer_join(topic, Err(refusal)),
        }
    }

    fn perform_presence(&mut self, output: Output) {
        match output {
            Output::Attend(topic, changes) => {
                if let Some(log) = self.logs.get_mut(&topic) {
                    for change in changes {
                        log.roster.apply(change);
                    }
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
            Output::Survey { topic, since, all } => self.survey(topic, since, all),
            _ => {}
        }
    }

    fn survey(&mut self, topic: TopicName, since: Version, all: bool) {
        let Some(log) = self.logs.get_mut(&topic) else {
            panic!("{topic} is surveyed and was not joined");
        };
        let diff = log.roster.survey(since, all, SURVEY_PAGE);
        self.answers.push_back(Input::Surveyed(topic, diff));
    }

    fn answer_read(&mut self, topic: &TopicName, read: &Read, id: ReadId, answer: Result<(), Refusal>) {
        let nothing = History::default();
        let known = self.logs.get(topic).map(|log| (&log.history, log.position));
        let (history, position) = known.unwrap_or((&nothing, Position::default()));
        let outcome = answer.map(|()| history.read(position, read));
        self.mail.push_back(BrokerEvent::Read { read: id, outcome });
    }

    fn answer_join(&mut self, topic: TopicName, answer: Result<(), Refusal>) {
        let Some(log) = self.logs.get_mut(&topic) else {
            return;
        };
        (log.is_joined, log.is_refused) = (answer.is_ok(), answer.is_err());
        let outcome = answer.map(|()| log.position);
        self.mail.push_back(BrokerEvent::Joined { topic, outcome });
    }
}

/// The row of the table for what a frame breaks.
fn cause_of(violation: &Violation) -> Disconnect {
    match violation.close_code() {
        1007 => Disconnect::InvalidData,
        1009 => Disconnect::MessageTooBig,
        _ => Disconnect::ProtocolError,
    }
}

impl Socket {
    fn is(&self, connection: ConnectionId) -> bool {
        self.opened.connection == connection && !self.is_released
    }
}
