//! A shard: one thread, one poll, one slab of connections, one hub.
//!
//! A turn takes, in order of priority: what the poll reports readable (one read buffer for all, a budget each),
//! then the mailbox, then fans out, then writes — connections of small fan-outs all, those of big ones a slice at a
//! time with a look at the poll between — and then looks at the time. What a turn took in for one connection leaves in
//! one write. Nothing here waits for another shard, and no code of an embedder runs here.

mod connection;
mod mailbox;
mod outputs;
mod reading;
mod stats;
mod writing;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fanfare_hub::broker::{Broker, OutletId, PublishId};
use fanfare_hub::{Control, Hub, Input, Limits, Now, Ticket};
use fanfare_protocol::codes::Disconnect;
use fanfare_protocol::{ConnectionId, TopicName};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

use crate::clock::Clock;
use connection::Connection;
pub(crate) use mailbox::{Adoption, Mail, Mailbox};
pub(crate) use stats::{ShardStats, Snapshot, TURN_BUCKETS_US};

/// What a shard is made of.
pub(crate) struct ShardOptions {
    pub(crate) index: usize,
    pub(crate) limits: Limits,
    pub(crate) seed: u64,
    pub(crate) clock: Clock,
    pub(crate) notsent_bytes: u32,
    pub(crate) send_buffer_bytes: Option<usize>,
}

impl ShardOptions {
    /// How long the kernel goes on with a peer that takes nothing: a little longer than the hub, which tells the reason.
    /// Without it a peer that vanished while a last write was under way would be kept for a quarter of an hour.
    fn user_timeout(&self) -> Duration {
        let Limits {
            write_timeout_ms,
            close_timeout_ms,
            ..
        } = self.limits;
        // The kernel takes no more milliseconds than this.
        Duration::from_millis(
            write_timeout_ms
                .saturating_add(close_timeout_ms)
                .min(i32::MAX as u64),
        )
    }
}

/// One shard, before and while its thread runs it.
pub(crate) struct Shard {
    options: ShardOptions,
    poll: Poll,
    events: Events,
    hub: Hub,
    now: Now,
    connections: Vec<Option<Connection>>,
    free: Vec<u32>,
    /// Connections that may have more to read: reported by the poll, or left half-read.
    readable: VecDeque<ConnectionId>,
    read_buffer: Vec<u8>,
    mailbox: Arc<Mailbox>,
    /// The mailboxes of all shards, this one's included.
    peers: Arc<[Arc<Mailbox>]>,
    broker: Arc<dyn Broker>,
    outlet: OutletId,
    /// Publishes that the broker has not decided.
    publishes: Slab<(Ticket, TopicName)>,
    /// Connections whose frames broke the protocol in this turn. They are closed behind what they had published
    /// before, their own subscriptions' share included.
    violations: Vec<(ConnectionId, Disconnect)>,
    /// What is known already and goes into the hub once its outputs are drained.
    answers: VecDeque<Input<'static>>,
    stats: Arc<ShardStats>,
    snapshot: Snapshot,
    ticked_at: Instant,
    /// How often the present big flush was put off because input came.
    repolls: u32,
    is_stopping: bool,
}

/// Time between two looks at deadlines.
const TICK: Duration = Duration::from_millis(100);

/// Connections of big fan-outs that are written between two looks at the poll.
const SLICE: usize = 64;

/// How often a big flush is put off while the poll still brings input: late publications join the write.
const REPOLLS_MAX: u32 = 4;

/// Mail taken in one turn.
const MAIL_PER_TURN: usize = 256;

/// Bytes of the read buffer that all connections of a shard share.
const READ_BUFFER_BYTES: usize = 64 << 10;

impl Shard {
    /// A poll and its mailbox, made before the shard so that all shards can know each other.
    pub(crate) fn prepare() -> io::Result<(Poll, Arc<Mailbox>)> {
        let poll = Poll::new()?;
        let mailbox = Arc::new(Mailbox::new(poll.registry())?);
        Ok((poll, mailbox))
    }

    /// A shard with nothing in it.
    pub(crate) fn new(
        options: ShardOptions,
        poll: Poll,
        peers: Arc<[Arc<Mailbox>]>,
        broker: Arc<dyn Broker>,
        stats: Arc<ShardStats>,
    ) -> Self {
        let mailbox = Arc::clone(&peers[options.index]);
        let outlet = broker.attach(Arc::clone(&mailbox) as Arc<dyn fanfare_hub::broker::Outlet>);
        Self {
            poll,
            events: Events::with_capacity(1024),
            hub: Hub::new(options.limits.clone(), options.seed),
            now: options.clock.now(),
            connections: Vec::new(),
            free: Vec::new(),
            readable: VecDeque::new(),
            read_buffer: vec![0; READ_BUFFER_BYTES],
            mailbox,
            peers,
            broker,
            outlet,
            publishes: Slab::new(),
            violations: Vec::new(),
            answers: VecDeque::new(),
            stats,
            snapshot: Snapshot::default(),
            ticked_at: Instant::now(),
            repolls: 0,
            is_stopping: false,
            options,
        }
    }

    /// Runs until it is told to stop and the last connection is gone.
    pub(crate) fn run(mut self) {
        while !(self.is_stopping && self.hub.is_empty()) {
            if let Err(error) = self.turn() {
                tracing::error!(shard = self.options.index, %error, "the poll failed, the shard ends");
                return;
            }
        }
    }

    fn turn(&mut self) -> io::Result<()> {
        let reported = self.poll()?;
        let began = Instant::now();
        let read = self.read_ready();
        let mail = self.take_mail();
        self.handle(Input::Settle);
        self.close_violators();
        self.write_small();
        if !self.hub.has_big() {
            self.repolls = 0;
        } else if (reported + read + mail) > 0 && self.repolls < REPOLLS_MAX && !self.hub.is_pressed() {
            self.repolls += 1;
        } else {
            self.write_slice();
        }
        if self.ticked_at.elapsed() >= TICK {
            self.ticked_at = Instant::now();
            self.handle(Input::Tick);
            self.write_small();
        }
        self.publish_stats(began);
        Ok(())
    }

    fn close_violators(&mut self) {
        for (id, cause) in std::mem::take(&mut self.violations) {
            self.handle(Input::Disconnect(id, cause));
        }
    }

    /// Looks at the poll; sleeps there only when nothing else is to be done. Gives how many sockets it reported.
    fn poll(&mut self) -> io::Result<usize> {
        let has_work = self.hub.has_big() || self.has_readable() || !self.mailbox.try_sleep();
        let timeout = if has_work {
            Duration::ZERO
        } else {
            TICK.saturating_sub(self.ticked_at.elapsed())
        };
        let polled = self.poll.poll(&mut self.events, Some(timeout));
        self.mailbox.wake_up();
        self.now = self.options.clock.now();
        match polled {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(0),
            other => other?,
        }
        let mut reported = 0;
        for event in &self.events {
            if event.token() == mailbox::WAKER {
                continue;
            }
            let id = ConnectionId::from_bits(event.token().0 as u64);
            let Some(Some(connection)) = self.connections.get_mut(id.slot()) else {
                continue;
            };
            if connection.id != id {
                continue;
            }
            if event.is_writable() {
                self.hub.writable(id);
            }
            if event.is_readable() || event.is_read_closed() || event.is_error() {
                reported += 1;
                connection.is_hung_up |= event.is_read_closed() || event.is_error();
                if !std::mem::replace(&mut connection.is_readable, true) {
                    self.readable.push_back(id);
                }
            }
        }
        Ok(reported)
    }

    /// Takes mail in, unless the outboxes must be written first. Gives how many it took.
    fn take_mail(&mut self) -> usize {
        let mut taken = 0;
        while taken < MAIL_PER_TURN
            && !self.hub.is_pressed()
            && let Some(mail) = self.mailbox.pop()
        {
            taken += 1;
            self.deliver_mail(mail);
        }
        taken
    }

    fn deliver_mail(&mut self, mail: Mail) {
        match mail {
            Mail::Publication(publication) => {
                self.handle(Input::Broker(fanfare_hub::broker::BrokerEvent::Publication(
                    publication,
                )));
            }
            Mail::Broker(answer) => self.broker_answered(answer),
            Mail::Adopt(adoption) => self.adopt(*adoption),
            Mail::Deliver {
                to,
                direct,
                ticket,
                from,
            } => {
                let was_there = self.control(Control::Deliver(to, *direct)) == 1;
                self.peers[from].post_unbounded(Mail::Delivered(ticket, was_there));
            }
            Mail::Delivered(ticket, was_there) => self.handle(Input::Delivered(ticket, Ok(was_there))),
            // Whoever asked may have gone; then nobody wants the answer.
            Mail::Control(control, answer) => drop(answer.send(self.control(*control))),
            Mail::Page {
                listed,
                from,
                count,
                answer,
            } => drop(answer.send(self.hub.connections(listed, from, count))),
            Mail::Shutdown { window_ms } => {
                self.is_stopping = true;
                self.handle(Input::Shutdown { window_ms });
            }
            Mail::Stop => {
                self.is_stopping = true;
                let ids: Vec<_> = self
                    .connections
                    .iter()
                    .flatten()
                    .map(|connection| connection.id)
                    .collect();
                for id in ids {
                    self.handle(Input::Lost(id));
                }
            }
        }
    }

    fn broker_answered(&mut self, answer: fanfare_hub::broker::BrokerEvent) {
        use fanfare_hub::broker::BrokerEvent;
        if let BrokerEvent::Published {
            publish: PublishId(key),
            outcome,
        } = answer
        {
            if let Some((ticket, topic)) = self.publishes.try_remove(key as usize) {
                self.handle(Input::Published(ticket, topic, outcome));
            }
        } else {
            self.handle(Input::Broker(answer));
        }
    }

    /// Takes a connection in: a slot, an id, the poll, and what the client sent early.
    fn adopt(&mut self, adoption: Adoption) {
        let Adoption {
            socket,
            mut early,
            mut opened,
            place,
        } = adoption;
        let slot = self
            .free
            .pop()
            .map_or(self.connections.len(), |slot| slot as usize);
        if slot >= fanfare_protocol::SLOTS_MAX {
            tracing::warn!(
                shard = self.options.index,
                "no slot is left, a connection is dropped"
            );
            return self.stats.released();
        }
        let id = ConnectionId::new(self.options.index, slot, fastrand::u32(..));
        opened.connection = id;
        let registered =
            Connection::new(socket, id, opened.dialect, place, &self.options).and_then(|mut connection| {
                let interest = Interest::READABLE | Interest::WRITABLE;
                self.poll.registry().register(
                    &mut connection.socket,
                    Token(id.to_bits() as usize),
                    interest,
                )?;
                Ok(connection)
            });
        match registered {
            Ok(connection) if slot == self.connections.len() => self.connections.push(Some(connection)),
            Ok(connection) => self.connections[slot] = Some(connection),
            Err(error) => {
                tracing::debug!(%error, "a connection was gone before it was taken in");
                if slot < self.connections.len() {
                    self.free.push(slot as u32);
                }
                return self.stats.released();
            }
        }
        tracing::debug!(connection = %id, remote = %opened.remote, dialect = opened.dialect.name(), "opened");
        self.handle(Input::Opened(opened));
        if !early.is_empty() {
            self.take_bytes(id, &mut early);
        }
    }
}
