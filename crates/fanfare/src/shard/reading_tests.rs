//! A shard that holds reading back is not taken for silence of its clients.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fanfare_hub::broker::{Broker, Outlet as _};
use fanfare_hub::{Limits, Opened, Role};
use fanfare_protocol::dialect::Dialect;
use fanfare_protocol::websocket::Compression;
use fanfare_protocol::{ConnectionId, Timestamp};

use super::mailbox::BYTES_MAX;
use super::stats::Counted;
use super::{Adoption, Failures, Mail, Mailbox, Shard, ShardOptions, ShardStats, Transport};
use crate::broker::LocalBroker;
use crate::clock::Clock;
use crate::pressure::Pressure;
use fanfare_hub::Retention;

/// A ping frame of the server, and the pong of a client with an empty mask.
const PING: [u8; 2] = [0x89, 0];
const PONG: [u8; 6] = [0x8A, 0x80, 0, 0, 0, 0];

/// A frame of the server that closes with 3002.
const NO_PONG: [u8; 2] = 3002_u16.to_be_bytes();

/// A shard on a thread of its own.
struct Fixture {
    mailbox: Arc<Mailbox>,
    stats: Arc<ShardStats>,
    listener: TcpListener,
}

impl Fixture {
    fn start() -> Self {
        let (poll, mailbox) = Shard::prepare().unwrap();
        let limits = Limits {
            ping_interval_ms: 200,
            pong_timeout_ms: 2_000,
            ..Limits::default()
        };
        let broker: Arc<dyn Broker> = Arc::new(LocalBroker::new(Retention::default(), &limits, 1));
        let options = ShardOptions {
            index: 0,
            limits,
            rules: Arc::default(),
            assistant: None,
            notices: None,
            pressure: Pressure::default(),
            seed: 1,
            clock: Clock::start(),
            notsent_bytes: 16 << 10,
            send_buffer_bytes: None,
        };
        let stats: Arc<ShardStats> = Arc::default();
        let peers = Arc::from([Arc::clone(&mailbox)]);
        let shard = Shard::new(options, poll, peers, broker, Arc::clone(&stats));
        std::thread::spawn(|| shard.run(Failures::default()));
        Self {
            mailbox,
            stats,
            listener: TcpListener::bind("127.0.0.1:0").unwrap(),
        }
    }

    /// A client of the raw dialect, whose socket is in the shard.
    fn client(&self) -> TcpStream {
        let client = TcpStream::connect(self.listener.local_addr().unwrap()).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let (socket, remote) = self.listener.accept().unwrap();
        let opened = Opened {
            connection: ConnectionId::new(0, 0, 0),
            dialect: Dialect::Raw,
            compression: Compression::None,
            role: Role::Subscriber,
            identity: None,
            is_awaited: false,
            remote,
            user_agent: None,
            joined_at: Timestamp(0),
            topics: Vec::new(),
            greeting: Box::default(),
            granted_topics: Vec::new(),
            leaves: Vec::new(),
            data: None,
            occupancy: false,
            presence: false,
            every: None,
            conflates: false,
            pings_natively: false,
            key: None,
        };
        let adoption = Adoption {
            transport: Transport::Tcp(socket, None),
            early: Vec::new(),
            opened,
            place: None,
            entrant: None,
            counted: Counted::new(&self.stats),
        };
        let posted = self.mailbox.try_post(Mail::Adopt(Box::new(adoption)));
        assert_eq!(posted, Ok(()));
        client
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.mailbox.post_unbounded(Mail::Stop);
    }
}

/// Reads what the server says next.
fn hear(client: &mut TcpStream) -> Vec<u8> {
    let mut bytes = [0; 1024];
    let count = client.read(&mut bytes).unwrap();
    assert!(count > 0, "a close frame comes before the end");
    bytes[..count].to_vec()
}

fn is_no_pong(frames: &[u8]) -> bool {
    frames.windows(2).any(|window| window == NO_PONG)
}

#[test]
fn who_answers_is_kept_while_the_shard_reads_nobody_and_who_does_not_is_found() {
    let shard = Fixture::start();
    let (mut alive, mut dead) = (shard.client(), shard.client());
    assert!(
        shard.mailbox.try_reserve(BYTES_MAX / 2),
        "and now nobody is read from"
    );
    let dead = std::thread::spawn(move || while !is_no_pong(&hear(&mut dead)) {});
    let began = Instant::now();
    // Several sweeps: one is enough to close whoever is taken to be silent.
    while began.elapsed() < Duration::from_secs(5) {
        let frames = hear(&mut alive);
        assert_eq!(frames, PING, "it answers, and is not read from");
        alive.write_all(&PONG).unwrap();
    }
    dead.join().unwrap();
    shard.mailbox.cancel(BYTES_MAX / 2);
    while !is_no_pong(&hear(&mut alive)) {}
}
