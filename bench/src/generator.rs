//! The load: publishers on a schedule and the subscribers that receive what they publish, in one thread.
//!
//! Publishing and the subscribers of *prompt* feeds come first: the others are read in slices of `SLICE` sockets, and
//! between two slices the timer and the prompt sockets are looked at. So a big topic's reading does not show up as
//! latency of a small one. Between windows nothing travels, which is why readings of counters and CPU taken at both
//! ends of a window belong to exactly the deliveries in it.

use crate::client::{Connection, Target};
use crate::feed::{Feed, FeedPlan, FeedResult};
use crate::order::OrderChecker;
use crate::report::Histogram;
use crate::server::{CpuTime, Server};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use rustix::fd::OwnedFd;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use serde::Serialize;
use std::io;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// What one window cost and delivered.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Window {
    /// Results in the order of the feeds.
    pub(crate) feeds: Vec<FeedResult>,
    /// CPU the server used per delivery.
    pub(crate) cpu_us_per_delivery: f64,
    pub(crate) writes_per_delivery: Option<f64>,
    /// Of one core, while publications were sent.
    pub(crate) server_cpu_percent: f64,
    pub(crate) generator_cpu_percent: f64,
    /// How long server and generator were ready to run and had no core: others were busy on it.
    pub(crate) waited_percent: f64,
    /// By how much the generator published later than planned, at worst.
    pub(crate) publish_late_max_ms: f64,
}

impl Window {
    /// The shares as cells of a table: server, generator, waited.
    pub(crate) fn share_cells(&self) -> [String; 3] {
        [
            self.server_cpu_percent,
            self.generator_cpu_percent,
            self.waited_percent,
        ]
        .map(|share| format!("{share:.0}"))
    }

    /// Whether all feeds are clean.
    pub(crate) fn is_clean(&self) -> bool {
        self.feeds.iter().all(FeedResult::is_clean)
    }
}

#[derive(Debug)]
struct Subscriber {
    feed: usize,
    connection: Connection,
    order: OrderChecker,
    is_closed: bool,
}

/// Publishers, subscribers and the polls they are registered with.
#[derive(Debug)]
pub(crate) struct Generator {
    started: Instant,
    /// Timer, publishers, prompt subscribers, and `slow` itself.
    prompt: Poll,
    slow: Poll,
    slow_is_ready: bool,
    prompt_events: Events,
    slow_events: Events,
    timer: OwnedFd,
    armed: Option<Instant>,
    buffer: Vec<u8>,
    feeds: Vec<Feed>,
    subscribers: Vec<Subscriber>,
    /// The totals at the end of the last window.
    reported: Vec<FeedResult>,
    last_delivery: Instant,
    publish_late_max: Duration,
}

impl Generator {
    /// Connects all publishers and subscribers, and waits until every subscriber receives.
    pub(crate) fn connect(server: &Server, plans: &[FeedPlan]) -> io::Result<Self> {
        let mut generator = Self::new()?;
        let target = Target::plain(server.address);
        for (index, plan) in plans.iter().enumerate() {
            generator.add_feed(&target, index, plan)?;
        }
        generator.settle()?;
        Ok(generator)
    }

    fn new() -> io::Result<Self> {
        let (prompt, slow) = (Poll::new()?, Poll::new()?);
        let timer = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
        )?;
        prompt
            .registry()
            .register(&mut SourceFd(&timer.as_raw_fd()), TIMER, Interest::READABLE)?;
        prompt
            .registry()
            .register(&mut SourceFd(&slow.as_raw_fd()), SLOW, Interest::READABLE)?;
        Ok(Self {
            started: Instant::now(),
            prompt,
            slow,
            slow_is_ready: true,
            prompt_events: Events::with_capacity(SLICE),
            slow_events: Events::with_capacity(SLICE),
            timer,
            armed: None,
            buffer: vec![0; 256 << 10],
            feeds: Vec::new(),
            subscribers: Vec::new(),
            reported: Vec::new(),
            last_delivery: Instant::now(),
            publish_late_max: Duration::ZERO,
        })
    }

    fn add_feed(&mut self, target: &Target, index: usize, plan: &FeedPlan) -> io::Result<()> {
        let entries = (0..plan.subscribers).map(|_| plan.dialect.entry(plan.topic));
        for mut connection in target.connect_all(entries)? {
            let poll = if plan.is_prompt { &self.prompt } else { &self.slow };
            let token = Token(self.subscribers.len());
            poll.registry()
                .register(&mut connection.stream, token, Interest::READABLE)?;
            let order = OrderChecker::default();
            self.subscribers.push(Subscriber {
                feed: index,
                connection,
                order,
                is_closed: false,
            });
        }
        let mut publisher = target.connect_one(format!("dialect=raw&topic={}&role=publisher", plan.topic))?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.prompt
            .registry()
            .register(&mut publisher.stream, Token(PUBLISHERS + index), interest)?;
        self.feeds.push(Feed::new(plan.clone(), publisher));
        self.reported.push(FeedResult::default());
        Ok(())
    }

    /// Publishes now and then until every subscriber has received something: only then do subscriptions hold.
    fn settle(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + SETTLE_MAX;
        while !self
            .subscribers
            .iter()
            .all(|subscriber| subscriber.order.has_begun())
        {
            if Instant::now() > deadline {
                return Err(io::Error::other(format!(
                    "not every subscriber receives after {SETTLE_MAX:?}"
                )));
            }
            for index in 0..self.feeds.len() {
                self.feeds[index].publish(1, self.started)?;
            }
            self.run_until(Instant::now() + Duration::from_millis(100), |_| false)?;
        }
        self.run_until(Instant::now() + Duration::from_millis(200), |_| false)
    }

    /// Publishes on all feeds for `length` and waits for all deliveries; their faults go into the next window.
    pub(crate) fn warm_up(&mut self, length: Duration) -> io::Result<()> {
        let all: Vec<usize> = (0..self.feeds.len()).collect();
        self.begin(&all, length);
        self.run_until(Instant::now() + length + OVERTIME_MAX, Self::is_done)?;
        self.check_published()
    }

    /// Publishes on the feeds named in `active` for `length`, waits for all deliveries, and reads the server's costs.
    pub(crate) fn measure(
        &mut self,
        server: &Server,
        active: &[usize],
        length: Duration,
    ) -> io::Result<Window> {
        let counters = server.counters()?;
        let begun = self.all_totals();
        self.begin(active, length);
        let (server_before, own_before) = (server.cpu_time()?, CpuTime::own()?);
        self.run_until(Instant::now() + length + OVERTIME_MAX, Self::is_done)?;
        self.check_published()?;
        let server_cpu = server.cpu_time()?.since(server_before);
        let own_cpu = CpuTime::own()?.since(own_before);
        // What the server sends again, it sends soon; it is looked for where it costs no CPU figure.
        self.run_until(Instant::now() + Duration::from_millis(100), |_| false)?;
        let later = server.counters()?;

        let totals = self.all_totals();
        let reported = std::mem::replace(&mut self.reported, totals.clone());
        let earlier = begun.iter().zip(&reported);
        let feeds: Vec<FeedResult> = totals
            .into_iter()
            .zip(earlier)
            .map(|(totals, (begun, reported))| totals.window(begun, reported))
            .collect();
        let deliveries: u64 = feeds.iter().map(|feed| feed.deliveries).sum();
        let percent = |ns: u64| ns as f64 / length.as_nanos() as f64 * 100.0;
        Ok(Window {
            feeds,
            cpu_us_per_delivery: server_cpu.run_ns as f64 / 1000.0 / deliveries.max(1) as f64,
            writes_per_delivery: later
                .zip(counters)
                .and_then(|(later, earlier)| later.writes_per_delivery(&earlier)),
            server_cpu_percent: percent(server_cpu.run_ns),
            generator_cpu_percent: percent(own_cpu.run_ns),
            waited_percent: percent(server_cpu.wait_ns + own_cpu.wait_ns),
            publish_late_max_ms: self.publish_late_max.as_secs_f64() * 1000.0,
        })
    }

    fn begin(&mut self, active: &[usize], length: Duration) {
        let now = Instant::now();
        self.publish_late_max = Duration::ZERO;
        self.last_delivery = now;
        for (index, feed) in self.feeds.iter_mut().enumerate() {
            feed.latency = Histogram::default();
            feed.expected = feed.fresh;
            feed.due = now + feed.plan.interval();
            feed.bursts_left = if active.contains(&index) {
                feed.plan.bursts_in(length)
            } else {
                0
            };
        }
    }

    /// Everything is published and received, or nothing has come for so long that nothing will.
    fn is_done(&self) -> bool {
        let is_published = self
            .feeds
            .iter()
            .all(|feed| feed.bursts_left == 0 && !feed.publisher.is_blocked());
        let is_received = self.feeds.iter().all(|feed| feed.fresh >= feed.expected);
        is_published && (is_received || self.last_delivery.elapsed() > SILENCE_MAX)
    }

    fn check_published(&self) -> io::Result<()> {
        match self.feeds.iter().find(|feed| feed.bursts_left > 0) {
            None => Ok(()),
            Some(Feed {
                plan, bursts_left, ..
            }) => {
                let text = format!(
                    "server holds the publisher of {} up: {bursts_left} bursts not taken",
                    plan.topic
                );
                Err(io::Error::other(text))
            }
        }
    }

    fn run_until(&mut self, deadline: Instant, is_done: impl Fn(&Self) -> bool) -> io::Result<()> {
        loop {
            let now = Instant::now();
            self.publish_due(now)?;
            if now >= deadline || is_done(self) {
                return Ok(());
            }
            self.arm_timer(now)?;
            let wait = if self.slow_is_ready {
                Duration::ZERO
            } else {
                (deadline - now).min(WAIT_MAX)
            };
            self.turn(wait)?;
        }
    }

    fn publish_due(&mut self, now: Instant) -> io::Result<()> {
        for feed in &mut self.feeds {
            while feed.is_scheduled() && feed.due <= now {
                self.publish_late_max = self.publish_late_max.max(now - feed.due);
                self.last_delivery = now;
                feed.publish(feed.plan.burst, self.started)?;
                feed.bursts_left -= 1;
                feed.due += feed.plan.interval();
            }
        }
        Ok(())
    }

    fn arm_timer(&mut self, now: Instant) -> io::Result<()> {
        let due = self
            .feeds
            .iter()
            .filter(|feed| feed.is_scheduled())
            .map(|feed| feed.due)
            .min();
        if due != self.armed {
            // Zero would disarm the timer.
            let wait = due.map_or(Duration::ZERO, |due| {
                (due - now.min(due)).max(Duration::from_nanos(1))
            });
            let it_value = Timespec {
                tv_sec: wait.as_secs().cast_signed(),
                tv_nsec: i64::from(wait.subsec_nanos()),
            };
            let value = Itimerspec {
                it_interval: Timespec {
                    tv_sec: 0,
                    tv_nsec: 0,
                },
                it_value,
            };
            timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &value)?;
            self.armed = due;
        }
        Ok(())
    }

    /// Waits, then reads the prompt sockets and one slice of the slow ones.
    fn turn(&mut self, wait: Duration) -> io::Result<()> {
        if !poll(&mut self.prompt, &mut self.prompt_events, wait)? {
            return Ok(());
        }
        let tokens: Vec<Token> = self.prompt_events.iter().map(mio::event::Event::token).collect();
        for token in tokens {
            match token {
                TIMER => self.armed = None,
                SLOW => self.slow_is_ready = true,
                Token(index) if index >= PUBLISHERS => {
                    self.feeds[index - PUBLISHERS].serve(&mut self.buffer)?;
                }
                Token(index) => self.read(index),
            }
        }
        if self.slow_is_ready && poll(&mut self.slow, &mut self.slow_events, Duration::ZERO)? {
            let tokens: Vec<Token> = self.slow_events.iter().map(mio::event::Event::token).collect();
            self.slow_is_ready = !tokens.is_empty();
            for Token(index) in tokens {
                self.read(index);
            }
        }
        Ok(())
    }

    fn read(&mut self, index: usize) {
        let subscriber = &mut self.subscribers[index];
        if subscriber.is_closed {
            return;
        }
        let (order, feed) = (&mut subscriber.order, &mut self.feeds[subscriber.feed]);
        let now_ns = self.started.elapsed().as_nanos() as u64;
        let read = subscriber.connection.read(&mut self.buffer, |payload| {
            feed.on_delivery(payload, order, now_ns);
        });
        subscriber.is_closed = read.is_err();
        self.last_delivery = self.started + Duration::from_nanos(now_ns);
    }

    fn all_totals(&self) -> Vec<FeedResult> {
        (0..self.feeds.len()).map(|index| self.totals(index)).collect()
    }

    /// All there was of one feed since it was connected; its latency since the window began.
    fn totals(&self, index: usize) -> FeedResult {
        let feed = &self.feeds[index];
        let mut totals = FeedResult {
            published: feed.next_sequence,
            deliveries: feed.deliveries,
            latency: feed.latency.latency(),
            ..FeedResult::default()
        };
        for subscriber in self
            .subscribers
            .iter()
            .filter(|subscriber| subscriber.feed == index)
        {
            totals.lost += subscriber.order.lost(feed.next_sequence);
            totals.duplicated += subscriber.order.duplicated();
            totals.reordered += subscriber.order.reordered();
            totals.closed += u64::from(subscriber.is_closed);
        }
        totals
    }
}

/// Polls; `false` when a signal cut it short.
fn poll(poll: &mut Poll, events: &mut Events, wait: Duration) -> io::Result<bool> {
    match poll.poll(events, Some(wait)) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
        Err(error) => Err(error),
    }
}

/// Sockets of slow feeds that are read before the prompt ones get another look.
const SLICE: usize = 32;
const TIMER: Token = Token(usize::MAX - 1);
const SLOW: Token = Token(usize::MAX - 2);
/// Tokens from here on are publishers, below are subscribers.
const PUBLISHERS: usize = 1 << 32;
const SETTLE_MAX: Duration = Duration::from_secs(20);
/// How long after the last delivery the missing ones are given up.
const SILENCE_MAX: Duration = Duration::from_secs(3);
/// How much longer than planned a window may take.
const OVERTIME_MAX: Duration = Duration::from_secs(20);
const WAIT_MAX: Duration = Duration::from_millis(500);
