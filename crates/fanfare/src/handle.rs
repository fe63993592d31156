//! The handle: start the shards, publish, ask, shut down. Everything an embedder does goes through it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::Duration;

use fanfare_hub::access::TopicRules;
use fanfare_hub::broker::{Broker, BrokerEvent, Outlet, OutletId, PublishId, Refusal, TopicPage};
use fanfare_hub::{ConnectionRow, Control, Limits, Listed, Opened, Selector};
use fanfare_protocol::UserName;
use fanfare_protocol::codes::Disconnect;
use fanfare_protocol::dialect::Direct;
use fanfare_protocol::{
    ConnectionId, Draft, Key, Payload, Position, Publication, SHARDS_MAX, TopicName, TopicNameError,
};
use slab::Slab;
use std::sync::{Mutex, PoisonError, RwLock};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::Options;
use crate::broker::MemoryBroker;
use crate::clock::{Clock, wall};
use crate::door::{Cause, Gate, Place};
use crate::notices::NoticeBoard;
use crate::pressure::Pressure;
use crate::shard::{
    Adoption, Assistant, Counted, Failures, Mail, Mailbox, NotPosted, PanicPlace, Shard, ShardOptions,
    ShardStats, Snapshot,
};
use crate::tls::Session;

/// A running hub. Cloning gives another handle to the same one. It runs until [`Fanfare::shutdown`]; when the last
/// handle is dropped without that, its connections are cut off.
#[derive(Clone)]
pub struct Fanfare {
    inner: Arc<Inner>,
}

struct Inner {
    options: Options,
    rules: RwLock<Arc<TopicRules>>,
    mailboxes: Arc<[Arc<Mailbox>]>,
    stats: Vec<Arc<ShardStats>>,
    broker: Arc<MemoryBroker>,
    desk: Arc<Desk>,
    gate: Arc<Gate>,
    outlet: OutletId,
    threads: Mutex<Vec<JoinHandle<()>>>,
    is_draining: AtomicBool,
    pressure: Pressure,
    /// Where the application hears what happens, if it wants to.
    notices: Option<Arc<NoticeBoard>>,
    /// The last shard that ended without being told to.
    failures: Failures,
}

/// Why a call of the application was not done.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The topic's name breaks the grammar.
    #[error(transparent)]
    Topic(#[from] TopicNameError),
    /// The broker refused the publication; nothing was published.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Too many calls wait for a shard.
    #[error("a shard has too many calls waiting, call again in a moment")]
    Busy,
    /// The shard failed while it worked at the call; whether it was done is not known.
    #[error("the server failed at this call, whether it was done is not known")]
    Failed,
    /// The hub is shut down, or the shard has ended.
    #[error("the hub is shut down")]
    Closed,
}

/// What can be said about a publication beside its payload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublishOptions {
    /// What it is the newest state of: where the topic's rule for slow clients is `conflate`, and for subscriptions with
    /// a rate, it stands for all before it with the same key.
    pub key: Option<Key>,
}

/// A page of connections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectionPage {
    /// The connections, shard by shard.
    pub connections: Vec<ConnectionRow>,
    /// Where the next page begins; `None` after the last one.
    pub next: Option<u64>,
}

/// What a hub holds and has done, summed over its shards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Shards.
    pub shards: usize,
    /// Connections now.
    pub connections: u64,
    /// Subscriptions now.
    pub subscriptions: u64,
    /// Topics with a subscriber now; one counts once per shard that has a subscriber.
    pub topics: u64,
    /// Publications taken from the broker, once per shard.
    pub publications: u64,
    /// Publications put into outboxes.
    pub deliveries: u64,
    /// Writes to sockets.
    pub writes: u64,
    /// Bytes written to sockets.
    pub written_bytes: u64,
    /// Bytes that wait to be written, shared frames counted once.
    pub waiting_bytes: u64,
    /// Connections closed because their outbox was full.
    pub overflow_disconnects: u64,
    /// Connections closed by the server, by close code; 4000 stands for all codes of applications.
    pub disconnects: Vec<(u16, u64)>,
    /// Panics that were caught, by the name of their place.
    pub panics: Vec<(&'static str, u64)>,
    /// How often a shard began anew without its connections, because its hub panicked.
    pub shard_restarts: u64,
}

impl Fanfare {
    /// Starts the shards.
    ///
    /// # Errors
    /// When a poll or a thread cannot be made: descriptors or memory are exhausted. And when there is an
    /// [application](Options::application) to ask and this is not called on a tokio runtime.
    pub fn start(options: Options) -> io::Result<Self> {
        let count = options.shards.clamp(1, SHARDS_MAX);
        let (assistant, notices) = assistants(&options)?;
        let broker = MemoryBroker::new(options.history.clone(), &options.limits, fastrand::u64(..));
        let broker = Arc::new(broker.with_notices(notices.clone()));
        let clock = Clock::start();
        let (mut polls, mut mailboxes) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let (poll, mailbox) = Shard::prepare()?;
            polls.push(poll);
            mailboxes.push(mailbox);
        }
        let mailboxes: Arc<[Arc<Mailbox>]> = mailboxes.into();
        let stats: Vec<Arc<ShardStats>> = (0..count).map(|_| Arc::default()).collect();
        let failures: Failures = Arc::default();
        let pressure = Pressure::default();
        let mut threads = Vec::new();
        for (index, poll) in polls.into_iter().enumerate() {
            let shard_options = ShardOptions {
                index,
                limits: Limits {
                    waiting_bytes_max: options.limits.waiting_bytes_max / count,
                    ..options.limits.clone()
                },
                rules: Arc::clone(&options.rules),
                assistant: assistant.clone(),
                notices: notices.clone(),
                pressure: pressure.clone(),
                seed: fastrand::u64(..),
                clock,
                notsent_bytes: options.notsent_bytes,
                send_buffer_bytes: options.send_buffer_bytes,
            };
            let shard = Shard::new(
                shard_options,
                poll,
                Arc::clone(&mailboxes),
                Arc::clone(&broker) as Arc<dyn Broker>,
                Arc::clone(&stats[index]),
            );
            let failures = Arc::clone(&failures);
            threads.push(
                std::thread::Builder::new()
                    .name(format!("shard-{index}"))
                    .spawn(|| shard.run(failures))?,
            );
        }
        let desk = Arc::new(Desk::default());
        let outlet = broker.attach(Arc::clone(&desk) as Arc<dyn Outlet>);
        let threads = Mutex::new(threads);
        let is_draining = AtomicBool::new(false);
        let gate = Arc::new(Gate::new(options.door.clone(), options.trusted_proxies.clone()));
        let inner = Inner {
            rules: RwLock::new(Arc::clone(&options.rules)),
            options,
            mailboxes,
            stats,
            broker,
            desk,
            gate,
            outlet,
            threads,
            is_draining,
            pressure,
            notices,
            failures,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Publishes to a topic. Done when the publication has its place in the order, before anyone has received it.
    ///
    /// # Errors
    /// When the name is no topic name, or the broker refuses; nothing is published then.
    pub async fn publish(&self, topic: &str, payload: Payload) -> Result<Position, CallError> {
        self.publish_with(topic, payload, PublishOptions::default()).await
    }

    /// Publishes to a topic with more said about it. See [`Fanfare::publish`].
    ///
    /// # Errors
    /// When the name is no topic name, or the broker refuses; nothing is published then.
    pub async fn publish_with(
        &self,
        topic: &str,
        payload: Payload,
        options: PublishOptions,
    ) -> Result<Position, CallError> {
        self.publish_to(TopicName::parse(topic)?, payload, options).await
    }

    /// Publishes to everyone connected, as a publication of the topic `$all`.
    ///
    /// # Errors
    /// When the broker refuses.
    pub async fn broadcast(&self, payload: Payload) -> Result<Position, CallError> {
        self.publish_to(TopicName::all(), payload, PublishOptions::default())
            .await
    }

    /// Publishes to all connections of a user, as a publication of the topic `$user:NAME`.
    ///
    /// # Errors
    /// When the broker refuses. That the user has no connection is no error.
    pub async fn send_to_user(&self, user: &UserName, payload: Payload) -> Result<Position, CallError> {
        self.publish_to(TopicName::of_user(user), payload, PublishOptions::default())
            .await
    }

    async fn publish_to(
        &self,
        topic: TopicName,
        payload: Payload,
        options: PublishOptions,
    ) -> Result<Position, CallError> {
        if self.inner.pressure.is_on() {
            return Err(Refusal::Overloaded.into());
        }
        let draft = Draft {
            topic,
            payload,
            from: None,
            time: wall(),
            key: options.key,
            except: None,
        };
        let (publish, answer) = self.inner.desk.open();
        match self.inner.broker.publish(draft, self.inner.outlet, publish) {
            Poll::Ready(outcome) => {
                self.inner.desk.close(publish);
                Ok(outcome?)
            }
            Poll::Pending => Ok(answer.await.map_err(|_| CallError::Closed)??),
        }
    }

    /// Hands a payload to one connection, outside any topic. False when it is not open or does not receive.
    ///
    /// # Errors
    /// When the connection's shard is busy or gone.
    pub async fn send_to_connection(&self, to: ConnectionId, payload: Payload) -> Result<bool, CallError> {
        let direct = Direct {
            from: None,
            time: wall(),
            payload,
        };
        Ok(self.ask(to.shard(), Control::Deliver(to, direct)).await? == 1)
    }

    /// From now on these are the rules of topics, in every shard within a turn. They decide about what is asked from now
    /// on: nobody is unsubscribed.
    pub fn set_rules(&self, rules: Arc<TopicRules>) {
        for mailbox in self.inner.mailboxes.iter() {
            mailbox.post_unbounded(Mail::Rules(Arc::clone(&rules)));
        }
        *self.inner.rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
    }

    /// The rules of topics as they are now.
    pub fn rules(&self) -> Arc<TopicRules> {
        Arc::clone(&self.inner.rules.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Subscribes the selected connections to topics; gives how many connections were subscribed. One that would pass
    /// its limit of subscriptions is left as it is.
    ///
    /// # Errors
    /// When a name is no topic name, or a shard is busy or gone.
    pub async fn subscribe(&self, who: Selector, topics: &[&str]) -> Result<usize, CallError> {
        let topics = parse_all(topics)?;
        self.ask_selected(&who, |who| Control::Subscribe(who, topics.clone()))
            .await
    }

    /// Unsubscribes the selected connections from topics; gives how many connections there were.
    ///
    /// # Errors
    /// When a name is no topic name, or a shard is busy or gone.
    pub async fn unsubscribe(&self, who: Selector, topics: &[&str]) -> Result<usize, CallError> {
        let topics = parse_all(topics)?;
        self.ask_selected(&who, |who| Control::Unsubscribe(who, topics.clone()))
            .await
    }

    /// Closes the selected connections; gives how many there were.
    ///
    /// # Errors
    /// When a shard is busy or gone.
    pub async fn disconnect(&self, who: Selector, cause: Disconnect) -> Result<usize, CallError> {
        self.ask_selected(&who, |who| Control::Disconnect(who, cause.clone()))
            .await
    }

    /// At most `count` (bounded to 1,000) topics from `cursor` on, 0 at first.
    pub fn topics(&self, cursor: u64, count: usize) -> TopicPage {
        self.inner.broker.topics(cursor, count.clamp(1, PAGE_MAX))
    }

    /// Connections subscribed to a topic.
    pub fn subscribers(&self, topic: &str) -> u64 {
        self.inner.broker.subscribers(topic)
    }

    /// At most `count` (bounded to 1,000) connections from `cursor` on, 0 at first. Connections that come or go
    /// between two pages may be missed; none is given twice.
    ///
    /// # Errors
    /// When a shard is busy or gone.
    pub async fn connections(
        &self,
        listed: Listed,
        cursor: u64,
        count: usize,
    ) -> Result<ConnectionPage, CallError> {
        let count = count.clamp(1, PAGE_MAX);
        let mut page = ConnectionPage::default();
        let (first, mut from) = ((cursor >> 32) as usize, (cursor & u64::from(u32::MAX)) as usize);
        for shard in first..self.inner.mailboxes.len() {
            let (answer, answered) = oneshot::channel();
            let left = count - page.connections.len();
            self.post(
                shard,
                Mail::Page {
                    listed,
                    from,
                    count: left,
                    answer,
                },
            )?;
            let (rows, next) = answered.await.map_err(|_| self.unanswered(shard))?;
            page.connections.extend(rows);
            if let Some(slot) = next {
                page.next = Some((shard as u64) << 32 | slot as u64);
                return Ok(page);
            }
            from = 0;
        }
        Ok(page)
    }

    /// What the hub holds and has done, as of each shard's last turn.
    pub fn stats(&self) -> Stats {
        let mut stats = Stats {
            shards: self.inner.stats.len(),
            ..Stats::default()
        };
        let mut disconnects = [0; Disconnect::CAUSES];
        let mut panics = [0; PanicPlace::ALL.len()];
        for snapshot in self.snapshots() {
            let hub = &snapshot.hub;
            stats.connections += snapshot.gauges.connections as u64;
            stats.subscriptions += hub.subscriptions;
            stats.topics += hub.topics;
            stats.publications += hub.publications;
            stats.deliveries += hub.deliveries;
            stats.writes += snapshot.writes;
            stats.written_bytes += snapshot.written_bytes;
            stats.waiting_bytes += snapshot.gauges.frame_bytes as u64;
            stats.overflow_disconnects += hub.overflow_disconnects;
            stats.shard_restarts += snapshot.restarts;
            for (sum, count) in disconnects.iter_mut().zip(hub.disconnects) {
                *sum += count;
            }
            for (sum, count) in panics.iter_mut().zip(snapshot.panics) {
                *sum += count;
            }
        }
        let codes = Disconnect::causes().map(|(code, _)| code);
        let names = PanicPlace::ALL.map(PanicPlace::name).into_iter();
        stats.panics = names.zip(panics).filter(|&(_, count)| count > 0).collect();
        stats.disconnects = codes.zip(disconnects).filter(|&(_, count)| count > 0).collect();
        stats
    }

    /// The bounds that it runs with. Publishing through the handle is not checked against `message_bytes_max`: a host
    /// that takes payloads from others checks it at its own door.
    pub fn limits(&self) -> &Limits {
        &self.inner.options.limits
    }

    /// Connections now, those on their way from the door to their shard included.
    pub fn connection_count(&self) -> usize {
        self.inner.stats.iter().map(|stats| stats.connections()).sum()
    }

    /// Whether a shutdown has begun.
    pub fn is_draining(&self) -> bool {
        self.inner.is_draining.load(Ordering::Relaxed)
    }

    /// Says whether memory is short; gives whether that is new. While it is, new connections are answered 503,
    /// publications are refused with `overloaded`, and every tenth of a second each shard closes the clients for whom the
    /// most waits until half of it is gone. For a host that knows a ceiling; nothing here looks at the process's memory.
    pub fn set_memory_short(&self, is_short: bool) -> bool {
        self.inner.pressure.set(is_short)
    }

    /// Whether memory is short, as was last said.
    pub fn is_memory_short(&self) -> bool {
        self.inner.pressure.is_on()
    }

    /// Waits until a shard has ended that nobody told to, and gives its number: it panicked five times within ten
    /// seconds, or its poll failed. Its connections are gone and it takes no new ones; the other shards go on. The
    /// server ends itself then; another host may prefer to shut down, or to go on with what is left.
    pub async fn failed(&self) -> usize {
        let mut failures = self.inner.failures.subscribe();
        // The sender lives as long as this handle.
        match failures.wait_for(Option::is_some).await.map(|shard| *shard) {
            Ok(Some(shard)) => shard,
            _ => std::future::pending().await,
        }
    }

    /// Whether there was a descriptor for the last connection that came to [`Fanfare::serve`]. While there is none,
    /// clients are answered 503 and nobody new should be sent here.
    pub fn has_descriptors(&self) -> bool {
        self.inner.gate.has_descriptors()
    }

    /// Drops history that is past its age. Call it about once a second when history is kept.
    pub fn expire_history(&self) {
        self.inner.broker.expire(wall());
    }

    /// Stops: takes no new connection, tells every client to come back later, spread over at most `window`, writes
    /// what waits, ends the shards, and tells the application what has happened until then. What is left at `timeout` is
    /// cut off. Gives how many connections that were.
    pub async fn shutdown(&self, window: Duration, timeout: Duration) -> usize {
        self.inner.gate.drain(window);
        self.inner.is_draining.store(true, Ordering::Relaxed);
        for mailbox in self.inner.mailboxes.iter() {
            mailbox.post_unbounded(Mail::Shutdown {
                window_ms: window.as_millis() as u64,
            });
        }
        let threads = std::mem::take(&mut *self.inner.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let deadline = tokio::time::Instant::now() + timeout;
        while threads.iter().any(|thread| !thread.is_finished()) && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let left = self.connection_count();
        self.inner
            .mailboxes
            .iter()
            .for_each(|mailbox| mailbox.post_unbounded(Mail::Stop));
        let ended =
            tokio::task::spawn_blocking(|| threads.into_iter().for_each(|thread| drop(thread.join())));
        // Joining fails only if the runtime itself ends, and then nobody waits.
        let _ = ended.await;
        if let Some(notices) = &self.inner.notices {
            // Past the deadline, nobody waits for an application.
            let _ = tokio::time::timeout_at(deadline, notices.flush()).await;
        }
        left
    }

    pub(crate) fn options(&self) -> &Options {
        &self.inner.options
    }

    pub(crate) fn snapshots(&self) -> impl Iterator<Item = Snapshot> {
        self.inner.stats.iter().map(|stats| stats.snapshot())
    }

    /// Notices that were lost because the application did not keep up.
    pub(crate) fn notices_lost(&self) -> u64 {
        self.inner.notices.as_ref().map_or(0, |notices| notices.lost())
    }

    pub(crate) fn gate(&self) -> &Arc<Gate> {
        &self.inner.gate
    }

    /// Sets a place aside in a shard. It counts as a connection from now on.
    pub(crate) fn take_seat(&self) -> Seat {
        let shard = self.choose_shard();
        Seat {
            fanfare: self.clone(),
            shard,
            counted: Counted::new(&self.inner.stats[shard]),
        }
    }

    /// The less loaded of two shards, or of all where both have ended.
    fn choose_shard(&self) -> usize {
        let count = self.inner.stats.len();
        let load = |shard: &usize| {
            let connections = self.inner.stats[*shard].connections();
            (self.inner.mailboxes[*shard].is_closed(), connections)
        };
        let two = [fastrand::usize(..count), fastrand::usize(..count)];
        let less = two.into_iter().min_by_key(load).filter(|shard| !load(shard).0);
        less.or_else(|| (0..count).min_by_key(load)).unwrap_or(0)
    }

    fn post(&self, shard: usize, mail: Mail) -> Result<(), CallError> {
        let mailbox = self.inner.mailboxes.get(shard).ok_or(CallError::Closed)?;
        mailbox.try_post(mail).map_err(|reason| match reason {
            NotPosted::Full => CallError::Busy,
            NotPosted::Closed => CallError::Closed,
        })
    }

    async fn ask(&self, shard: usize, control: Control) -> Result<usize, CallError> {
        if shard >= self.inner.mailboxes.len() {
            return Ok(0);
        }
        let (answer, answered) = oneshot::channel();
        self.post(shard, Mail::Control(Box::new(control), answer))?;
        answered.await.map_err(|_| self.unanswered(shard))
    }

    /// Why a call that was posted has no answer.
    fn unanswered(&self, shard: usize) -> CallError {
        if self.inner.mailboxes[shard].is_closed() {
            CallError::Closed
        } else {
            CallError::Failed
        }
    }

    /// Asks the one shard that has the connection, or all that may have one of the user's.
    async fn ask_selected(
        &self,
        who: &Selector,
        control: impl Fn(Selector) -> Control,
    ) -> Result<usize, CallError> {
        let shards = match who {
            Selector::Connection(connection) => connection.shard()..connection.shard() + 1,
            Selector::User(_) | Selector::Token(_) => 0..self.inner.mailboxes.len(),
        };
        let mut concerned = 0;
        for shard in shards {
            concerned += self.ask(shard, control(who.clone())).await?;
        }
        Ok(concerned)
    }
}

/// A place for a connection in a shard; free again when it is dropped without one.
pub(crate) struct Seat {
    fanfare: Fanfare,
    shard: usize,
    counted: Counted,
}

impl Seat {
    /// Gives the connection to the shard. When that takes no mail the connection is dropped, and counted as turned away.
    pub(crate) fn adopt(
        self,
        (socket, tls): (std::net::TcpStream, Option<Box<Session>>),
        early: Vec<u8>,
        opened: Opened,
        place: Option<Box<Place>>,
    ) {
        let remote = opened.remote;
        let adoption = Adoption {
            socket,
            tls,
            early,
            opened,
            place,
            counted: self.counted,
        };
        let posted = self.fanfare.post(self.shard, Mail::Adopt(Box::new(adoption)));
        if posted.is_err() {
            self.fanfare.gate().turned_away(Cause::Adoption, remote);
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.mailboxes
            .iter()
            .for_each(|mailbox| mailbox.post_unbounded(Mail::Stop));
    }
}

/// Who asks the application, and who tells it, on the runtime that the hub is started on.
fn assistants(options: &Options) -> io::Result<(Option<Assistant>, Option<Arc<NoticeBoard>>)> {
    let Some(application) = options.application.clone() else {
        return Ok((None, None));
    };
    let runtime = Handle::try_current().map_err(io::Error::other)?;
    let notices = options
        .notices
        .then(|| NoticeBoard::start(application.clone(), &runtime));
    Ok((Some(Assistant::new(application, runtime)), notices))
}

/// The most rows of one page.
const PAGE_MAX: usize = 1_000;

fn parse_all(topics: &[&str]) -> Result<Vec<TopicName>, CallError> {
    topics
        .iter()
        .map(|topic| TopicName::parse(topic).map_err(CallError::from))
        .collect()
}

/// Where answers for the application's own publishes arrive.
#[derive(Default)]
struct Desk {
    waiting: Mutex<Slab<oneshot::Sender<Result<Position, Refusal>>>>,
}

impl Desk {
    fn open(&self) -> (PublishId, oneshot::Receiver<Result<Position, Refusal>>) {
        let (answer, answered) = oneshot::channel();
        let key = self
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(answer);
        (PublishId(key as u64), answered)
    }

    fn close(&self, publish: PublishId) -> Option<oneshot::Sender<Result<Position, Refusal>>> {
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .try_remove(publish.0 as usize)
    }
}

impl Outlet for Desk {
    fn try_reserve(&self, _bytes: usize) -> bool {
        true
    }

    fn cancel(&self, _bytes: usize) {}

    /// The desk joins no topic.
    fn post_reserved(&self, _publication: Arc<Publication>) {}

    fn post(&self, answer: BrokerEvent) {
        if let BrokerEvent::Published { publish, outcome } = answer
            && let Some(waiting) = self.close(publish)
        {
            // The caller may have stopped waiting.
            let _ = waiting.send(outcome);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn calls_after_the_end_are_answered() {
        let options = Options {
            shards: 2,
            ..Options::default()
        };
        let fanfare = Fanfare::start(options).unwrap();
        fanfare.shutdown(Duration::ZERO, Duration::from_secs(10)).await;
        let ana = Selector::User(UserName::parse("ana").unwrap());
        let disconnected = fanfare.disconnect(ana, Disconnect::Disconnected).await;
        assert_eq!(disconnected, Err(CallError::Closed));
        assert_eq!(
            fanfare.connections(Listed::All, 0, 1).await,
            Err(CallError::Closed)
        );
    }
}
