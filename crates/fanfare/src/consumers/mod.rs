//! Consumers: code of the host that receives the publications of a topic, as a client would, in the host's process.
//!
//! Each is an outlet of the broker of its own, so that it stands in the one order of its topic. What a topic gets is put
//! into the consumer's [line](line::Line) by whoever publishes, and taken out by the consumer, on whatever task it runs;
//! there is no task here. A line that is full loses its oldest, and the consumer is told in their place. A consumer that
//! begins in the [past](past::Past) reads the log until it has come up with what is published, and only then has its line.

mod line;
mod options;
mod past;
mod subscription;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fanfare_hub::broker::{Broker, Outlet, OutletId, Read, ReadId};
use fanfare_protocol::TopicName;
use slab::Slab;

use crate::broker::LocalBroker;
use crate::{CallError, Fanfare};
use line::Line;
pub use options::SubscribeOptions;
pub use subscription::{Delivery, Subscription};

/// All consumers of a hub.
pub(crate) struct Consumers {
    broker: Arc<LocalBroker>,
    /// The lines of those that are subscribed; none once the hub is over.
    lines: Mutex<Option<Slab<Arc<Line>>>>,
    /// Publications that were lost because their consumer was slow.
    missed: Arc<AtomicU64>,
}

impl Consumers {
    pub(crate) fn new(broker: &Arc<LocalBroker>) -> Arc<Self> {
        Arc::new(Self {
            broker: Arc::clone(broker),
            lines: Mutex::new(Some(Slab::new())),
            missed: Arc::default(),
        })
    }

    /// How many there are now.
    pub(crate) fn count(&self) -> usize {
        self.lines().as_ref().map_or(0, Slab::len)
    }

    /// Publications that were lost because their consumer was slow.
    pub(crate) fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    /// The hub is over: whoever consumes gets what waits and then the end, and nobody else may.
    pub(crate) fn close(&self) {
        let lines = self.lines().take();
        for (_, line) in lines.iter().flatten() {
            line.close();
        }
    }

    fn lines(&self) -> MutexGuard<'_, Option<Slab<Arc<Line>>>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// That a consumer is known to the broker. Its drop leaves the topic.
struct Membership {
    consumers: Arc<Consumers>,
    key: usize,
    line: Arc<Line>,
    outlet: OutletId,
    topic: TopicName,
}

impl Membership {
    fn begin(consumers: &Arc<Consumers>, line: Arc<Line>, topic: TopicName) -> Result<Self, CallError> {
        let key = match &mut *consumers.lines() {
            Some(lines) => lines.insert(Arc::clone(&line)),
            None => return Err(CallError::Closed),
        };
        let outlet = consumers.broker.attach(Arc::clone(&line) as Arc<dyn Outlet>);
        consumers.broker.join(outlet, &topic);
        Ok(Self {
            consumers: Arc::clone(consumers),
            key,
            line,
            outlet,
            topic,
        })
    }

    /// Asks for a page of the topic, which the line will have. A consumer asks for one at a time.
    fn read(&self, read: Read) {
        let id = ReadId(0);
        self.consumers.broker.read(self.outlet, &self.topic, read, id);
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.consumers.broker.leave(self.outlet, &self.topic);
        self.consumers.broker.detach(self.outlet);
        if let Some(lines) = &mut *self.consumers.lines() {
            lines.remove(self.key);
        }
    }
}

impl Fanfare {
    /// Receives what is published to a topic from now on, in this process. See [`Subscription`].
    ///
    /// No rules apply: the host's code is trusted. The consumer is none of the topic's
    /// [subscribers](Fanfare::subscribers), which are connections: nobody is told that it came, and a topic that has
    /// only consumers is vacant. The topic exists while it has one, though, and counts as one of
    /// [`Limits::topics_max`](crate::Limits::topics_max).
    ///
    /// # Errors
    /// When the name is no topic name, when there are as many topics as there may be, and when the hub is shut down.
    pub async fn subscribe(&self, topic: &str) -> Result<Subscription, CallError> {
        self.subscribe_with(topic, SubscribeOptions::default()).await
    }

    /// The same with bounds of its own on what may wait for the consumer, and, if it is to begin in the past, from where.
    ///
    /// # Errors
    /// As for [`Fanfare::subscribe`], and when the broker cannot read now.
    pub async fn subscribe_with(
        &self,
        topic: &str,
        options: SubscribeOptions,
    ) -> Result<Subscription, CallError> {
        let topic = TopicName::parse(topic)?;
        Subscription::begin(self.consumers(), topic, &options).await
    }
}
