//! `hub_inputs`: any sequence of inputs that a shard, a broker and an application could give a hub.
//!
//! The input is read as a list of steps. Some break what a broker or a shard promises in small ways that a network makes
//! possible: answers for connections that are gone, publications twice, with gaps, or of topics that were left. Checked:
//! everyone is sent whole frames in a possible order; nobody who is gone is resumed, written or released; in the end
//! nothing is left; and two hubs that are given the same give the same, though their topics are hashed differently.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use arbitrary::{Arbitrary, Unstructured};
use fanfare_hub::access::Identity;
use fanfare_hub::broker::{Published, Refusal};
use fanfare_hub::{Asked, Control, Dirty, Input, Limits, Opened, Output, Role, Selector, Ticket};
use fanfare_protocol::codes::Disconnect;
use fanfare_protocol::dialect::{Dialect, Direct};
use fanfare_protocol::websocket::{Compression, Opcode, encode_masked_frame};
use fanfare_protocol::{
    CommandId, ConnectionId, Draft, Epoch, Every, Key, Payload, Position, Timestamp, TopicName, UserName,
};

use crate::bounds::{COMPRESSION_BYTES_MAX, bounded};
use crate::shard::{Answer, Leave, Shard, slow_rules};

/// Steps of one story; what follows is not played.
const STEPS_MAX: usize = 200;

/// What the hub, its sockets and the checks may hold for each step, and in all for none.
const STEP_BYTES_MAX: usize = 16 << 10;
const START_BYTES_MAX: usize = 256 << 10;

/// One thing that happens. Connections, topics and users are chosen by number among those there are.
#[derive(Arbitrary, Debug)]
enum Step {
    Open(Door),
    ToOne(u8, ToOne),
    AtBroker(AtBroker),
    AtApplication(AtApplication),
    Control(Asking),
    TakeMail(u8),
    Settle,
    WriteSmall(u8),
    WriteBig(u8),
    Turn,
    Pass { ms: u16 },
    Shutdown { window_ms: u16 },
}

/// A connection to open.
#[derive(Arbitrary, Debug)]
struct Door {
    is_raw: bool,
    is_publisher: bool,
    user: Option<u8>,
    topics: u8,
    occupancy: bool,
    every: Option<u8>,
    conflates: bool,
    compression: u8,
    is_awaited: bool,
}

/// What happens at the application.
#[derive(Arbitrary, Debug)]
enum AtApplication {
    Leaves(Leaves),
    AnswerAsked(Leaves),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Leaves {
    Yes,
    No,
    Close,
    Later,
    Beside,
}

impl From<Leaves> for Leave {
    fn from(leaves: Leaves) -> Self {
        match leaves {
            Leaves::Yes => Self::Yes,
            Leaves::No => Self::No,
            Leaves::Close => Self::Close,
            Leaves::Later => Self::Later,
            Leaves::Beside => Self::Beside,
        }
    }
}

/// What happens to one connection, which may be gone.
#[derive(Arbitrary, Debug)]
enum ToOne {
    Say(Said),
    SayText(String),
    Ping(u8),
    PeerClose(Option<u8>),
    Disconnect(u8),
    Lost,
    LateAnswer { id: u8, kind: u8 },
    Deliver(u8),
    Room(Option<u8>),
    Writable,
}

/// What happens at the broker.
#[derive(Arbitrary, Debug)]
enum AtBroker {
    Joins(Answers),
    Publishes(Answers),
    AnswerHeld(Option<bool>),
    Publish {
        topic: u8,
        bytes: u8,
        except: Option<u8>,
    },
    Post {
        topic: u8,
        offset: i8,
        is_other_epoch: bool,
    },
    Counted {
        topic: u8,
        subscribers: u64,
    },
}

/// What the application asks.
#[derive(Arbitrary, Debug)]
enum Asking {
    Subscribe { whom: Whom, topics: u8 },
    Unsubscribe { whom: Whom, topics: u8 },
    Close { whom: Whom, cause: u8 },
}

/// A command that is well-formed.
#[derive(Arbitrary, Debug)]
enum Said {
    Subscribe {
        topics: u8,
        occupancy: bool,
        every: Option<u8>,
    },
    Unsubscribe {
        topics: u8,
    },
    Publish {
        topic: u8,
        echo: bool,
    },
    SendTo {
        whom: Whom,
    },
    Call,
    Auth {
        user: u8,
    },
    Ping,
    SubscribeFrom {
        topics: u8,
        place: Place,
    },
    History {
        topic: u8,
        place: Place,
        is_backward: bool,
        limit: u8,
    },
}

/// From where on.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Place {
    /// So many before the end.
    Back(u8),
    OtherEpoch,
    Last(u8),
    Age(u16),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Whom {
    Connection(u8),
    User(u8),
    Token(u8),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Answers {
    Yes,
    Overloaded,
    Unavailable,
    RateLimited,
    TooManyTopics,
    Later,
}

impl From<Answers> for Answer {
    fn from(answers: Answers) -> Self {
        match answers {
            Answers::Yes => Self::Yes,
            Answers::Overloaded => Self::No(Refusal::Overloaded),
            Answers::Unavailable => Self::No(Refusal::Unavailable),
            Answers::RateLimited => Self::No(Refusal::RateLimited { retry_after_ms: 7 }),
            Answers::TooManyTopics => Self::No(Refusal::TooManyTopics),
            Answers::Later => Self::Later,
        }
    }
}

/// Runs one input.
pub fn run(bytes: &[u8]) {
    let mut source = Unstructured::new(bytes);
    let mut steps = Vec::new();
    while !source.is_empty() && steps.len() < STEPS_MAX {
        let Ok(step) = Step::arbitrary(&mut source) else {
            break;
        };
        steps.push(step);
    }
    let bytes_max = START_BYTES_MAX + COMPRESSION_BYTES_MAX + STEP_BYTES_MAX * steps.len() + 64 * bytes.len();
    bounded(bytes_max, || {
        let (first, second) = (play(&steps, 1), play(&steps, 2));
        assert_eq!(first, second, "two hubs made different things of the same");
    });
}

/// Plays the steps; gives what came out and a digest of what every client was sent.
fn play(steps: &[Step], seed: u64) -> (Vec<Output>, Vec<u64>) {
    let limits = Limits {
        outbox_frames_max: 4,
        outbox_bytes_max: 2_000,
        outbox_age_max_ms: 3_000,
        slow_rules: slow_rules(),
        waiting_bytes_max: 10_000,
        message_timeout_ms: 2_000,
        commands_per_second: 20,
        bytes_per_second: 2_000,
        user_commands_per_second: 30,
        refusals_max: 5,
        subscribes_pending_max: 2,
        replies_bytes_max: 500,
        subscriptions_max: 3,
        ..Limits::default()
    };
    let mut shard = Shard::new(limits, seed);
    for step in steps {
        take(&mut shard, step);
    }
    for socket in &mut shard.sockets {
        socket.room = usize::MAX;
    }
    shard.turn();
    let is_whole = |socket: &crate::shard::Socket| socket.is_released || socket.client.is_whole();
    assert!(
        shard.sockets.iter().all(is_whole),
        "a frame was left half written"
    );
    let heard = shard.sockets.iter().map(|socket| socket.client.digest).collect();
    (shard.end(), heard)
}

fn take(shard: &mut Shard, step: &Step) {
    match step {
        Step::Open(door) => door.open(shard),
        Step::ToOne(who, step) => {
            if let Some(at) = pick(shard, *who) {
                step.take(shard, at);
            }
        }
        Step::AtBroker(step) => step.take(shard),
        Step::AtApplication(AtApplication::Leaves(leave)) => shard.leave = (*leave).into(),
        Step::AtApplication(AtApplication::AnswerAsked(leave)) => shard.answer_asked((*leave).into()),
        Step::Control(step) => step.take(shard),
        Step::TakeMail(count) => shard.take_mail((*count).into()),
        Step::Settle => shard.handle(Input::Settle),
        Step::WriteSmall(count) => shard.write_all(Dirty::Small, (*count).into()),
        Step::WriteBig(count) => shard.write_all(Dirty::Big, (*count).into()),
        Step::Turn => shard.turn(),
        Step::Pass { ms } => shard.pass((*ms).into()),
        Step::Shutdown { window_ms } => shard.handle(Input::Shutdown {
            window_ms: (*window_ms).into(),
        }),
    }
}

impl Door {
    fn open(&self, shard: &mut Shard) {
        shard.open(Opened {
            connection: ConnectionId::from_bits(0),
            dialect: if self.is_raw { Dialect::Raw } else { Dialect::Json },
            role: if self.is_publisher {
                Role::Publisher
            } else {
                Role::Subscriber
            },
            compression: COMPRESSIONS[usize::from(self.compression) % COMPRESSIONS.len()],
            identity: self
                .user
                .filter(|_| !self.is_awaited)
                .map(|number| Arc::new(Identity::of_user(user(number)))),
            is_awaited: self.is_awaited,
            remote: SocketAddr::from((Ipv4Addr::LOCALHOST, 9)),
            user_agent: None,
            joined_at: Timestamp(0),
            topics: names(self.topics).into_iter().map(Into::into).collect(),
            greeting: Box::default(),
            granted_topics: Vec::new(),
            leaves: Vec::new(),
            data: None,
            occupancy: self.occupancy,
            presence: self.occupancy,
            every: self.every.map(every),
            conflates: self.conflates,
            pings_natively: false,
            key: None,
        });
    }
}

impl AtBroker {
    fn take(&self, shard: &mut Shard) {
        match self {
            Self::Joins(answers) => shard.joins = (*answers).into(),
            Self::Publishes(answers) => shard.publishes = (*answers).into(),
            Self::AnswerHeld(answer) => shard.answer_held(match answer {
                None => Ok(()),
                Some(true) => Err(Refusal::Overloaded),
                Some(false) => Err(Refusal::Unavailable),
            }),
            Self::Publish { topic, bytes, except } => {
                let except = except.and_then(|who| pick(shard, who));
                let except = except.map(|at| id_of(shard, at));
                shard.publish(Draft {
                    except,
                    ..draft(*topic, *bytes)
                });
            }
            Self::Post {
                topic,
                offset,
                is_other_epoch,
            } => post(shard, *topic, *offset, *is_other_epoch),
            Self::Counted { topic, subscribers } => {
                shard.handle(Input::Counted(name(*topic), *subscribers));
            }
        }
    }
}

impl Asking {
    fn take(&self, shard: &mut Shard) {
        let control = match *self {
            Self::Subscribe { whom, topics } => Control::Subscribe(
                selector(shard, whom),
                names(topics),
                fanfare_hub::Leave::default(),
            ),
            Self::Unsubscribe { whom, topics } => Control::Unsubscribe(selector(shard, whom), names(topics)),
            Self::Close { whom, cause } => Control::Disconnect(selector(shard, whom), self::cause(cause)),
        };
        shard.control(control);
    }
}

impl ToOne {
    fn take(&self, shard: &mut Shard, at: usize) {
        let id = id_of(shard, at);
        match self {
            Self::Say(said) => {
                let text = words(shard, said);
                say(shard, at, &text);
            }
            Self::SayText(text) => say(shard, at, text),
            Self::Ping(payload) => shard.handle(Input::Ping(id, &[*payload])),
            Self::PeerClose(code) => {
                let code = code.map(|code| CLOSE_CODES[usize::from(code) % CLOSE_CODES.len()]);
                shard.handle(Input::PeerClose(id, code));
            }
            Self::Disconnect(cause) => shard.handle(Input::Disconnect(id, self::cause(*cause))),
            Self::Lost => shard.handle(Input::Lost(id)),
            Self::LateAnswer { id: number, kind } => late_answer(shard, id, *number, *kind),
            Self::Deliver(bytes) => {
                let direct = Direct {
                    from: None,
                    time: Timestamp(0),
                    payload: payload(*bytes),
                };
                shard.control(Control::Deliver(id, direct));
            }
            Self::Room(bytes) => shard.sockets[at].room = bytes.map_or(usize::MAX, usize::from),
            Self::Writable => shard.report_writable(at),
        }
    }
}

fn say(shard: &mut Shard, at: usize, text: &str) {
    let mut frame = Vec::new();
    encode_masked_frame(Opcode::Text, text.as_bytes(), [1, 2, 3, 4], &mut frame);
    shard.receive(at, &frame);
}

/// A command as a client of the json dialect writes it.
fn words(shard: &Shard, what: &Said) -> String {
    let quoted = |topics: u8| format!("{:?}", names(topics));
    match what {
        Said::Subscribe {
            topics,
            occupancy,
            every,
        } => {
            let topics = quoted(*topics);
            let every = every.map_or("null".to_owned(), |number| {
                format!("\"{}ms\"", self::every(number).as_millis())
            });
            format!(
                r#"{{"type":"subscribe","topics":{topics},"occupancy":{occupancy},"every":{every},"id":1}}"#
            )
        }
        Said::Unsubscribe { topics } => {
            format!(
                r#"{{"type":"unsubscribe","topics":{},"id":"u"}}"#,
                quoted(*topics)
            )
        }
        Said::Publish { topic, echo } => {
            let topic = name(*topic);
            format!(r#"{{"type":"publish","topic":{topic:?},"data":0,"key":"k","echo":{echo},"id":2}}"#)
        }
        Said::SendTo { whom } => match selector(shard, *whom) {
            Selector::Connection(id) => format!(r#"{{"type":"send","connection":"{id}","data":1,"id":3}}"#),
            Selector::User(user) => format!(r#"{{"type":"send","user":{user:?},"data":1,"id":4}}"#),
            Selector::Token(token) => format!(r#"{{"type":"auth","token":{token:?},"id":6}}"#),
        },
        Said::Call => r#"{"type":"call","method":"m","data":1,"id":7}"#.to_owned(),
        Said::Auth { user } => format!(r#"{{"type":"auth","token":{:?},"id":8}}"#, self::user(*user)),
        Said::Ping => r#"{"type":"ping","id":5}"#.to_owned(),
        Said::SubscribeFrom { topics, place } => {
            let entry = |topic| {
                format!(
                    r#"{{"topic":{topic:?},{}}}"#,
                    place_in(shard, &topic, *place, "since")
                )
            };
            let entries: Vec<String> = names(*topics).into_iter().map(entry).collect();
            format!(
                r#"{{"type":"subscribe","topics":[{}],"presence":true,"id":9}}"#,
                entries.join(",")
            )
        }
        Said::History {
            topic,
            place,
            is_backward,
            limit,
        } => {
            let topic = name(*topic);
            let place = place_in(
                shard,
                &topic,
                *place,
                if *is_backward { "before" } else { "since" },
            );
            format!(r#"{{"type":"history","topic":{topic:?},{place},"limit":{limit},"id":10}}"#)
        }
    }
}

/// A place as a field.
fn place_in(shard: &Shard, topic: &TopicName, place: Place, field: &str) -> String {
    let end = shard.position(topic);
    match place {
        Place::Back(count) => {
            let offset = end.offset.saturating_sub(count.into());
            format!(r#""{field}":"{}""#, Position { offset, ..end })
        }
        Place::OtherEpoch => format!(r#""{field}":"zz:3""#),
        Place::Last(count) => format!(r#""last":{count}"#),
        Place::Age(ms) => format!(r#""since":"{ms}ms""#),
    }
}

/// A publication that is not the next one of its topic, mostly.
fn post(shard: &mut Shard, topic: u8, offset: i8, is_other_epoch: bool) {
    let position = shard.position(&name(topic));
    let position = Position {
        epoch: Epoch(position.epoch.0 + u64::from(is_other_epoch)),
        offset: position.offset.saturating_add_signed(offset.into()),
    };
    shard.post(draft(topic, 1), position);
}

/// An answer to something that was perhaps never asked.
fn late_answer(shard: &mut Shard, connection: ConnectionId, number: u8, kind: u8) {
    let ticket = Ticket {
        connection,
        id: CommandId::from_json(&number.to_string()).ok(),
        asked: if kind & 1 == 0 {
            Asked::Publish
        } else {
            Asked::Send
        },
    };
    shard.handle(match kind >> 1 & 3 {
        0 => Input::Published(ticket, name(number), Ok(Published::first(Position::default()))),
        1 if number & 1 == 0 => Input::Published(ticket, name(number), Err(Refusal::Unavailable)),
        1 => {
            let position = Position::default();
            Input::Published(ticket, name(number), Err(Refusal::Conflict { position }))
        }
        2 => Input::Delivered(ticket, Ok(kind & 8 == 0)),
        _ => Input::Delivered(ticket, Err(Refusal::Overloaded)),
    });
}

fn pick(shard: &Shard, who: u8) -> Option<usize> {
    usize::from(who).checked_rem(shard.sockets.len())
}

fn id_of(shard: &Shard, at: usize) -> ConnectionId {
    shard.sockets[at].opened.connection
}

fn selector(shard: &Shard, whom: Whom) -> Selector {
    match whom {
        Whom::Connection(who) => {
            let stranger = ConnectionId::new(7, who.into(), 9);
            Selector::Connection(pick(shard, who).map_or(stranger, |at| id_of(shard, at)))
        }
        Whom::User(user) => Selector::User(self::user(user)),
        Whom::Token(token) => Selector::Token(Box::from(TOKENS[usize::from(token) % TOKENS.len()])),
    }
}

fn user(number: u8) -> UserName {
    UserName::parse(["ada", "bob"][usize::from(number) % 2]).unwrap()
}

fn name(number: u8) -> TopicName {
    TopicName::parse(TOPICS[usize::from(number) % TOPICS.len()]).unwrap()
}

/// The topics whose bits are set.
fn names(bits: u8) -> Vec<TopicName> {
    (0..TOPICS.len() as u8)
        .filter(|bit| bits >> bit & 1 == 1)
        .map(name)
        .collect()
}

fn payload(bytes: u8) -> Payload {
    Payload::text("x".repeat(8 * usize::from(bytes)))
}

fn draft(topic: u8, bytes: u8) -> Draft {
    Draft {
        // Odd sizes come without a key, the others with one of three.
        key: bytes.is_multiple_of(2).then(|| key(bytes)),
        ..Draft::new(name(topic), payload(bytes), Timestamp(0))
    }
}

fn key(number: u8) -> Key {
    Key::parse(["k", "l", "m"][usize::from(number / 2) % 3]).unwrap()
}

/// A rate of 100 ms to 800 ms.
fn every(number: u8) -> Every {
    format!("{}ms", 100 * (1 + u32::from(number % 8)))
        .parse()
        .unwrap()
}

fn cause(number: u8) -> Disconnect {
    Disconnect::ALL[usize::from(number) % Disconnect::ALL.len()].clone()
}

const TOPICS: [&str; 4] = ["a", "b", "c", "d"];

const TOKENS: [&str; 2] = ["s", "t"];

const COMPRESSIONS: [Compression; 3] = [Compression::None, Compression::FromClient, Compression::Both];

/// Codes that a client may close with.
const CLOSE_CODES: [u16; 5] = [1000, 1001, 1014, 3000, 4999];
