//! Clients that come, subscribe, publish, stall and vanish, each step drawn from a seed.
//!
//! How many there are has a bound. What the server does with them is not judged here, only counted.

use crate::client::{Connection, Target};
use crate::dialect::{Dialect, Said};
use crate::wire::{self, TEXT};
use fastrand::Rng;
use mio::{Events, Interest, Poll, Token};
use serde::Serialize;
use slab::Slab;
use socket2::SockRef;
use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::{Duration, Instant};

/// What a population is like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manners {
    pub(crate) dialect: Dialect,
    pub(crate) clients_max: usize,
    pub(crate) topics: usize,
    pub(crate) payload_bytes_max: usize,
    pub(crate) actions_per_second: u32,
    pub(crate) seed: u64,
}

/// What happened since the last look.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Tally {
    pub(crate) connected: u64,
    /// Attempts that the server did not let in.
    pub(crate) refused: u64,
    pub(crate) published: u64,
    pub(crate) received: u64,
    pub(crate) stalled: u64,
    /// Connections the clients ended, in whatever way.
    pub(crate) left: u64,
    pub(crate) closed_by_server: u64,
}

/// All clients and the poll they are registered with.
pub(crate) struct Population {
    manners: Manners,
    target: Target,
    rng: Rng,
    poll: Poll,
    events: Events,
    clients: Slab<Client>,
    tally: Tally,
    buffer: Vec<u8>,
}

struct Client {
    connection: Connection,
    is_stalled: bool,
}

/// A way to go.
#[derive(Clone, Copy)]
enum Exit {
    /// With a close frame, as a page that is left.
    Close,
    /// The socket is closed, nothing is said.
    Drop,
    /// The socket is reset.
    Reset,
    /// In the middle of a frame.
    Torn,
}

impl Population {
    pub(crate) fn new(address: SocketAddr, manners: Manners) -> io::Result<Self> {
        Ok(Self {
            manners,
            target: Target {
                greetings: manners.dialect.greetings(),
                ..Target::plain(address)
            },
            rng: Rng::with_seed(manners.seed),
            poll: Poll::new()?,
            events: Events::with_capacity(256),
            clients: Slab::with_capacity(manners.clients_max),
            tally: Tally::default(),
            buffer: vec![0; 64 << 10],
        })
    }

    /// Lives for `length`.
    pub(crate) fn live(&mut self, length: Duration) -> io::Result<()> {
        let interval = Duration::from_secs(1) / self.manners.actions_per_second;
        let (end, mut due) = (Instant::now() + length, Instant::now());
        while Instant::now() < end {
            let now = Instant::now();
            if due <= now {
                self.act()?;
                // Counted from now: a program that was held up does not make up for it with a storm.
                due = now + interval;
            }
            self.read_ready(due.saturating_duration_since(Instant::now()))?;
        }
        Ok(())
    }

    /// Everyone goes, each in some way. Gives back what happened since the last time.
    pub(crate) fn leave(&mut self) -> Tally {
        let keys: Vec<usize> = self.clients.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.exit(key);
        }
        std::mem::take(&mut self.tally)
    }

    fn act(&mut self) -> io::Result<()> {
        let roll = self.rng.u8(0..100);
        match self.some_client() {
            Some(client) if roll >= 27 => self.act_with(client, roll),
            Some(_) if roll >= 25 => return self.abandon(),
            _ => return self.connect(),
        }
        Ok(())
    }

    fn act_with(&mut self, client: usize, roll: u8) {
        match roll {
            ..45 => self.exit(client),
            45..48 => self.half_close(client),
            48..53 => self.stall(client),
            53..56 => self.resume(client),
            56..66 => self.change_subscription(client),
            66.. => self.publish(client),
        }
    }

    fn some_client(&mut self) -> Option<usize> {
        let nth = self.rng.usize(..self.clients.len().max(1));
        self.clients.iter().nth(nth).map(|(key, _)| key)
    }

    fn topic(&mut self) -> String {
        format!("soak-{}", self.rng.usize(..self.manners.topics))
    }

    fn connect(&mut self) -> io::Result<()> {
        if self.clients.len() >= self.manners.clients_max {
            return Ok(());
        }
        let topic = self.topic();
        // A server that is busy or full may refuse; the soak goes on.
        let Ok(mut connection) = self.target.connect_one(self.manners.dialect.entry(&topic)) else {
            self.tally.refused += 1;
            return Ok(());
        };
        let entry = self.clients.vacant_entry();
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll
            .registry()
            .register(&mut connection.stream, Token(entry.key()), interest)?;
        entry.insert(Client {
            connection,
            is_stalled: false,
        });
        self.tally.connected += 1;
        Ok(())
    }

    /// Goes in the middle of a request.
    fn abandon(&mut self) -> io::Result<()> {
        let mut stream = std::net::TcpStream::connect(self.target.address)?;
        // The server may have closed the connection already; that is what is tried here.
        let _ = stream.write_all(b"GET /ws?topic=soak-0 HTTP/1.1\r\nHost: soak\r\nConnec");
        Ok(())
    }

    fn exit(&mut self, key: usize) {
        let Some(client) = self.clients.try_remove(key) else {
            return;
        };
        self.tally.left += 1;
        let mut connection = client.connection;
        match [Exit::Close, Exit::Drop, Exit::Reset, Exit::Torn][self.rng.usize(..4)] {
            Exit::Close => connection.close(),
            Exit::Drop => drop(connection),
            Exit::Reset => {
                // It fails only when the server has reset the connection already.
                let _ = SockRef::from(&connection.stream).set_linger(Some(Duration::ZERO));
            }
            Exit::Torn => {
                let mut frame = Vec::new();
                wire::push_announcement(&mut frame, wire::FIN | TEXT, 1000, [0; 4]);
                // Gone is gone: the server may have been quicker.
                let _ = connection.send(&frame);
            }
        }
    }

    /// Says that nothing more will come, and goes on reading; the server is to end it.
    fn half_close(&mut self, key: usize) {
        // An error says that the server has ended it already; the poll tells too.
        let _ = self.clients[key].connection.stream.shutdown(Shutdown::Write);
    }

    fn stall(&mut self, key: usize) {
        self.tally.stalled += 1;
        self.clients[key].is_stalled = true;
    }

    fn resume(&mut self, key: usize) {
        self.clients[key].is_stalled = false;
        self.read(key);
    }

    /// Those whose dialect cannot say it publish instead.
    fn change_subscription(&mut self, key: usize) {
        let (subscribes, topic) = (self.rng.bool(), self.topic());
        match self.manners.dialect.change(subscribes, &topic) {
            Some(said) => self.send(key, &said),
            None => self.publish(key),
        }
    }

    fn publish(&mut self, key: usize) {
        let payload = "x".repeat(self.rng.usize(1..=self.manners.payload_bytes_max));
        let topic = self.topic();
        self.tally.published += 1;
        self.send(key, &self.manners.dialect.publish(&topic, &payload));
    }

    fn send(&mut self, key: usize, (opcode, message): &Said) {
        let client = &mut self.clients[key];
        if client.connection.is_blocked() {
            return;
        }
        let mut frame = Vec::new();
        wire::push_masked(&mut frame, *opcode, message, self.rng.u32(..).to_be_bytes());
        // A connection that has ended says so when it is read.
        let _ = client.connection.send(&frame);
    }

    fn read_ready(&mut self, wait: Duration) -> io::Result<()> {
        match self.poll.poll(&mut self.events, Some(wait)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        let keys: Vec<usize> = self.events.iter().map(|event| event.token().0).collect();
        for key in keys {
            if self.clients.get(key).is_some_and(|client| !client.is_stalled) {
                self.read(key);
            }
        }
        Ok(())
    }

    fn read(&mut self, key: usize) {
        let (connection, received) = (&mut self.clients[key].connection, &mut self.tally.received);
        let read = connection
            .read(&mut self.buffer, |_| *received += 1)
            .and_then(|()| connection.flush());
        if read.is_err() {
            self.tally.closed_by_server += 1;
            self.clients.remove(key);
        }
    }
}
