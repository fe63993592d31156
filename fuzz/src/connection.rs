//! `connection`: the bytes of one client through decoder, dialect, hub and outbox, and what it and others are answered.
//!
//! The first byte chooses the dialect, who negotiated compression, and whether the rest is the bytes of the socket or
//! texts, which are sent in a frame each, with a byte 255 between two. The next two are the seed of everything around the client: where its bytes are cut,
//! how much its socket takes, when turns and ticks come. Checked: every byte it is sent
//! is a whole frame that a server may send, in an order that is possible; an observer in the same topic gets what is
//! published there, whatever this client did; memory within the limits; when it is gone, nothing is left.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use fanfare_hub::access::Identity;
use fanfare_hub::{Dirty, Limits, Opened, Role};
use fanfare_protocol::dialect::Dialect;
use fanfare_protocol::websocket::{Compression, Deflater, Opcode, encode_frame, encode_masked_frame};
use fanfare_protocol::{ConnectionId, Draft, Payload, Timestamp, TopicName, UserName};
use fastrand::Rng;

use crate::bounds::{COMPRESSION_BYTES_MAX, bounded};
use crate::listener::LAST_WORD;
use crate::shard::{Shard, slow_rules};
use crate::stream::pieces;

/// Small enough that every limit is met. The outbox of the observer, who reads, is never full.
fn limits() -> Limits {
    Limits {
        message_bytes_max: 1_024,
        outbox_frames_max: 8,
        outbox_bytes_max: 8_000,
        slow_rules: slow_rules(),
        replies_bytes_max: 2_000,
        subscriptions_max: 4,
        commands_per_second: 200,
        bytes_per_second: 8_000,
        refusals_max: 20,
        ping_interval_ms: 2_000,
        pong_timeout_ms: 1_500,
        write_timeout_ms: 1_500,
        ..Limits::default()
    }
}

/// What both connections, their outboxes and the hub may hold: their limits several times over, for the copies that the
/// checks make.
const BYTES_MAX: usize = 256 << 10;

/// Runs one input.
pub fn run(bytes: &[u8]) {
    let Some((&[choice, high, low], stream)) = bytes.split_first_chunk() else {
        return;
    };
    let choices = Choices::of(choice);
    let texts = choices.framed(stream);
    let stream = texts.as_deref().unwrap_or(stream);
    let mut rng = Rng::with_seed(u16::from_be_bytes([high, low]).into());
    let cuts = pieces(stream, &mut rng);
    // What the checks keep of the outputs grows with the stream.
    let bytes_max = BYTES_MAX + COMPRESSION_BYTES_MAX + 96 * stream.len();
    bounded(bytes_max, || play(choices, &cuts, &mut rng));
}

/// What the first byte says.
#[derive(Clone, Copy)]
struct Choices {
    /// Whether texts are given and not bytes.
    is_texts: bool,
    /// Whether the texts are sent compressed, as far as that makes them shorter.
    is_compressed: bool,
    dialect: Dialect,
    client: Compression,
    observer: Compression,
}

impl Choices {
    fn of(byte: u8) -> Self {
        let bit = |at: u8| byte >> at & 1 == 1;
        Self {
            is_texts: bit(0),
            dialect: Dialect::ALL[usize::from(bit(1))],
            client: match (bit(2), bit(3)) {
                (false, false) => Compression::None,
                (false, true) => Compression::FromClient,
                (true, _) => Compression::Both,
            },
            is_compressed: bit(4),
            observer: if bit(5) {
                Compression::Both
            } else {
                Compression::None
            },
        }
    }

    /// Each text in a masked frame; none when bytes are given.
    fn framed(self, texts: &[u8]) -> Option<Vec<u8>> {
        let mut deflater = self.is_compressed.then(Deflater::default);
        self.is_texts.then(|| {
            let mut frames = Vec::new();
            for text in texts.split(|&byte| byte == 0xff) {
                match &mut deflater {
                    Some(deflater) => encode_compressed(deflater, text, &mut frames),
                    None => encode_masked_frame(Opcode::Text, text, [1, 2, 3, 4], &mut frames),
                }
            }
            frames
        })
    }
}

/// Appends a text in a frame that is compressed if that is shorter, and masked with a key of zeros, which changes nothing.
fn encode_compressed(deflater: &mut Deflater, text: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    encode_frame(Opcode::Text, text, out);
    deflater.compress_frame(out, start);
    let header_bytes = match out[start + 1] {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    out[start + 1] |= 0x80;
    out.splice(start + header_bytes..start + header_bytes, [0; 4]);
}

fn play(choices: Choices, pieces: &[&[u8]], rng: &mut Rng) {
    let mut shard = Shard::new(limits(), 1);
    let observer = shard.open(opened(Dialect::Json, choices.observer, None));
    let client = shard.open(opened(choices.dialect, choices.client, Some("ada")));
    shard.turn();
    for piece in pieces {
        shard.receive(client, piece);
        step(&mut shard, client, rng);
        shard.receive(observer, PONG);
    }
    shard.sockets[client].room = usize::MAX;
    shard.turn();
    check_observer(&mut shard, observer);
    let socket = &shard.sockets[client];
    assert!(
        socket.is_released || socket.client.is_whole(),
        "a frame was left half written"
    );
    shard.end();
}

/// What happens around the client.
fn step(shard: &mut Shard, client: usize, rng: &mut Rng) {
    match rng.u8(..8) {
        0 | 1 => shard.turn(),
        2 => shard.sockets[client].room = rng.usize(..200),
        3 => shard.sockets[client].room = usize::MAX,
        4 => shard.write_all(Dirty::Small, 1),
        5 => shard.take_mail(1),
        6 => {
            shard.pass(rng.u64(..1_000));
            shard.turn();
        }
        _ => {}
    }
}

fn check_observer(shard: &mut Shard, observer: usize) {
    shard.publish(draft(LAST_WORD));
    shard.turn();
    let client = &shard.sockets[observer].client;
    assert!(
        client.has_heard_last_word,
        "the observer did not hear the last word"
    );
}

fn draft(text: &str) -> Draft {
    Draft::new(topic(), Payload::text(text), Timestamp(0))
}

fn topic() -> TopicName {
    TopicName::parse("a").unwrap()
}

fn opened(dialect: Dialect, compression: Compression, user: Option<&str>) -> Opened {
    Opened {
        connection: ConnectionId::from_bits(0),
        dialect,
        compression,
        role: Role::Subscriber,
        identity: user
            .and_then(|user| UserName::parse(user).ok())
            .map(|user| Arc::new(Identity::of_user(user))),
        is_awaited: false,
        remote: SocketAddr::from((Ipv4Addr::LOCALHOST, 9)),
        user_agent: None,
        joined_at: Timestamp(0),
        topics: vec![topic().into()],
        greeting: Box::default(),
        granted_topics: Vec::new(),
        leaves: Vec::new(),
        data: None,
        occupancy: false,
        presence: false,
        every: None,
        conflates: true,
        pings_natively: false,
        key: None,
    }
}

/// A masked pong without payload: what keeps the observer alive.
const PONG: &[u8] = &[0x8a, 0x80, 0, 0, 0, 0];
