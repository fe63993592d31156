//! A shard: one thread, one poll, one slab of connections, one hub.
//!
//! A turn takes, in order of priority: what the poll reports readable (one read buffer for all, a budget each),
//! then the mailbox, then fans out, then writes — connections of small fan-outs all, those of big ones a slice at a
//! time with a look at the poll between — and then looks at the time. What a turn took in for one connection leaves in
//! one write. Nothing here waits for another shard, and no code of an embedder runs here.

mod aside;
mod assistant;
mod connection;
mod fault;
mod mail;
mod mailbox;
#[cfg(test)]
mod mailbox_tests;
mod outputs;
mod panics;
mod reading;
#[cfg(test)]
mod reading_tests;
mod reporter;
mod stats;
mod sync;
mod transport;
mod writing;
mod written;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fanfare_hub::access::TopicRules;
use fanfare_hub::broker::{Broker, OutletId, PublishId};
use fanfare_hub::{Concerns, Control, Hub, Input, Limits, Now, Ticket};
use fanfare_protocol::codes::Disconnect;
use fanfare_protocol::websocket::Inflater;
use fanfare_protocol::{ConnectionId, TopicName};
use mio::{Events, Interest, Poll, Registry, Token, Waker};
use slab::Slab;

use crate::clock::Clock;
use crate::notices::NoticeBoard;
use crate::pressure::Pressure;
use crate::tls::Records;
pub(crate) use assistant::Assistant;
use connection::Connection;
pub(crate) use mail::{Adoption, Heard, Mail, Named, Said};
pub(crate) use mailbox::{Mailbox, NotPosted};
use panics::attempt;
pub(crate) use panics::{Failures, PanicPlace};
use reporter::Reporter;
pub(crate) use stats::{Counted, ShardStats, Snapshot, TURN_BUCKETS_US};
pub(crate) use transport::Transport;
pub(crate) use written::Written;

/// What a shard is made of.
pub(crate) struct ShardOptions {
    pub(crate) index: usize,
    pub(crate) limits: Limits,
    pub(crate) rules: Arc<TopicRules>,
    pub(crate) assistant: Option<Assistant>,
    pub(crate) notices: Option<Arc<NoticeBoard>>,
    pub(crate) pressure: Pressure,
    pub(crate) seed: u64,
    pub(crate) clock: Clock,
    pub(crate) notsent_bytes: u32,
    pub(crate) send_buffer_bytes: Option<usize>,
}

impl ShardOptions {
    /// What the application is asked about, if there is one.
    fn concerns(&self) -> Concerns {
        let assistant = self.assistant.as_ref();
        assistant.map(Assistant::concerns).unwrap_or_default()
    }

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
    /// What must be known to name a session: of connections whose clients were told one.
    secrets: HashMap<ConnectionId, u128>,
    /// Connections that may have more to read: reported by the poll, or left half-read.
    readable: VecDeque<ConnectionId>,
    read_buffer: Vec<u8>,
    /// What connections with TLS share beside it.
    records: Records,
    /// Bytes of records that sockets did not take, of all connections.
    sealed_bytes: usize,
    /// Bytes held for messages that are not finished and for bytes that are not decoded, of all connections.
    receiving_bytes: usize,
    /// This shard's share of the limit.
    receiving_bytes_max: usize,
    /// Inflates what clients compressed, one message after the other.
    inflater: Inflater,
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
    /// Tells of its connections, where somebody wants to know.
    reporter: Option<Reporter>,
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

/// The token of the mailbox's waker.
const WAKER: Token = Token(usize::MAX);

/// Bytes of the read buffer that all connections of a shard share, and so what one of them may ask of a turn. In the
/// smallest fragments that is a third of a millisecond of decoding.
const READ_BUFFER_BYTES: usize = 32 << 10;

impl Shard {
    /// A poll and its mailbox, made before the shard so that all shards can know each other.
    pub(crate) fn prepare() -> io::Result<(Poll, Arc<Mailbox>)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        Ok((poll, Arc::new(Mailbox::new(waker))))
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
        let receiving_bytes_max = match options.limits.receiving_bytes_max {
            0 => usize::MAX,
            bytes_max => bytes_max / peers.len(),
        };
        let outlet = broker.attach(Arc::clone(&mailbox) as Arc<dyn fanfare_hub::broker::Outlet>);
        Self {
            poll,
            events: Events::with_capacity(1024),
            hub: Hub::new(options.limits.clone(), Arc::clone(&options.rules), options.seed)
                .with_concerns(options.concerns()),
            now: options.clock.now(),
            connections: Vec::new(),
            free: Vec::new(),
            secrets: HashMap::new(),
            readable: VecDeque::new(),
            read_buffer: vec![0; READ_BUFFER_BYTES],
            records: Records::default(),
            sealed_bytes: 0,
            receiving_bytes: 0,
            receiving_bytes_max,
            inflater: Inflater::default(),
            mailbox,
            peers,
            broker,
            outlet,
            publishes: Slab::new(),
            violations: Vec::new(),
            answers: VecDeque::new(),
            reporter: options.notices.clone().map(Reporter::new),
            stats,
            snapshot: Snapshot::default(),
            ticked_at: Instant::now(),
            repolls: 0,
            is_stopping: false,
            options,
        }
    }

    /// Takes turns until it is told to stop and the last connection is gone.
    ///
    /// # Errors
    /// The poll failed.
    fn serve(&mut self) -> io::Result<()> {
        while !(self.is_stopping && self.hub.is_empty()) {
            self.turn()?;
        }
        Ok(())
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
            self.hear_unread();
            self.handle(Input::Tick);
            if self.options.pressure.is_on() {
                self.hub.relieve(self.now);
                self.settle_outputs();
            }
            self.write_small();
        }
        self.publish_stats(began);
        Ok(())
    }

    fn close_violators(&mut self) {
        for (id, cause) in std::mem::take(&mut self.violations) {
            self.handle(Input::Disconnect(id, cause));
            // Its close frame may have been written before.
            self.end_discarded(id);
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
            if event.token() == WAKER {
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
            Mail::Deliver { to, direct, receipt } => {
                let was_there = self.control(Control::Deliver(to, *direct)) == 1;
                receipt.sign(was_there);
            }
            Mail::Delivered(ticket, outcome) => self.handle(Input::Delivered(ticket, outcome)),
            Mail::Answered(connection, answer) => self.answered(connection, *answer),
            Mail::Said(said) => self.hear_aside(*said),
            Mail::Named(named) => self.find_session(*named),
            Mail::Rules(rules) => self.handle(Input::Rules(rules)),
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
            transport,
            mut early,
            mut opened,
            place,
            entrant,
            counted,
        } = adoption;
        let slot = self
            .free
            .pop()
            .map_or(self.connections.len(), |slot| slot as usize);
        if slot >= fanfare_protocol::SLOTS_MAX {
            return tracing::warn!(
                shard = self.options.index,
                "no slot is left, a connection is dropped"
            );
        }
        let id = ConnectionId::new(self.options.index, slot, fastrand::u32(..));
        opened.connection = id;
        let registered = attempt(&mut self.snapshot.panics, PanicPlace::Adopting, || {
            fault::trip(PanicPlace::Adopting, &early);
            let connection = Connection::new(transport, &opened, (place, entrant), &self.options)?;
            register(self.poll.registry(), connection)
        });
        match registered {
            Some(Ok(connection)) if slot == self.connections.len() => self.connections.push(Some(connection)),
            Some(Ok(connection)) => self.connections[slot] = Some(connection),
            gone => {
                if let Some(Err(error)) = gone {
                    tracing::debug!(%error, "a connection was gone before it was taken in");
                }
                if slot < self.connections.len() {
                    self.free.push(slot as u32);
                }
                return;
            }
        }
        if let Some(key) = &opened.key {
            self.secrets.insert(id, key.secret);
        }
        counted.arrived();
        tracing::debug!(connection = %id, remote = %opened.remote, dialect = opened.dialect.name(), "opened");
        self.handle(Input::Opened(opened));
        self.take_early(id, &mut early);
    }
}

/// Has the poll report what happens at a socket.
fn register(registry: &Registry, mut connection: Connection) -> io::Result<Connection> {
    let interest = Interest::READABLE | Interest::WRITABLE;
    let token = Token(connection.id.to_bits() as usize);
    registry.register(&mut connection.socket, token, interest)?;
    Ok(connection)
}
