//! What a consumer holds.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use fanfare_hub::broker::Start;
use fanfare_protocol::{Loss, Missed, Position, Publication, Since, TopicName};
use futures_core::Stream;
use tokio::sync::mpsc;
use tokio::task::coop::cooperative;

use super::line::LineEnd;
use super::past::{Past, Step, beginning};
use super::{Consumers, Membership, SubscribeOptions};
use crate::CallError;
use crate::clock::wall;

/// The publications of a topic, received in the host's own process: a [`Stream`] of [`Delivery`], in the topic's order,
/// from [`joined_at`](Self::joined_at) on.
///
/// Bounded by [`SubscribeOptions`]: what a consumer is too slow for is dropped, the oldest first, and told to it in the
/// place where it would have been. It ends when the hub is [shut down](crate::Fanfare::shutdown), behind what its clients
/// published until then; one that is still reading the past may end where it is. Dropping it leaves the topic.
///
/// It may begin in the past, with [`SubscribeOptions::since`]: then it gets what the topic still keeps and then what is
/// published, without a gap and without anything twice, also while others publish.
///
/// It costs about half a kilobyte, and what waits; there is no task behind it. It does not keep the hub running.
///
/// ```
/// use fanfare::{Delivery, Fanfare, Options, Payload};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let fanfare = Fanfare::start(Options { shards: 1, ..Options::default() })?;
/// let mut orders = fanfare.subscribe("orders").await?;
/// fanfare.publish("orders", Payload::text("one espresso")).await?;
/// match orders.next().await {
///     Some(Delivery::Publication(publication)) => {
///         assert_eq!(publication.draft.payload, Payload::text("one espresso"));
///         assert_eq!(publication.position.offset, orders.joined_at().offset + 1);
///     }
///     Some(Delivery::Missed(missed)) => println!("too slow: {} orders are missing", missed.count),
///     None => println!("the hub is shut down"),
/// }
/// # fanfare.shutdown(Default::default(), std::time::Duration::from_secs(1)).await;
/// assert_eq!(orders.next().await, None);
/// # Ok(())
/// # }
/// ```
///
/// A consumer that comes back says where it was:
///
/// ```
/// use fanfare::{Delivery, Fanfare, Options, Payload, Retention, Since, SubscribeOptions};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let fanfare = Fanfare::start(Options {
///     history: Retention { publications_max: 1_000, ..Retention::default() },
///     ..Options::default()
/// })?;
/// let done = fanfare.publish("orders", Payload::text("one espresso")).await?;
/// fanfare.publish("orders", Payload::text("two cups of tea")).await?;
///
/// let options = SubscribeOptions { since: Some(Since::Position(done)), ..SubscribeOptions::default() };
/// let mut orders = fanfare.subscribe_with("orders", options).await?;
/// if let Some(Err(loss)) = orders.recovered() {
///     println!("orders are gone: {}", loss.name());
/// }
/// let Some(Delivery::Publication(next)) = orders.next().await else { panic!("nothing is gone here") };
/// assert_eq!(next.draft.payload, Payload::text("two cups of tea"));
/// # fanfare.shutdown(Default::default(), std::time::Duration::from_secs(1)).await;
/// # Ok(())
/// # }
/// ```
pub struct Subscription {
    membership: Membership,
    bell: mpsc::Receiver<()>,
    /// What is still to be read before what waits.
    past: Option<Past>,
    joined_at: Position,
    recovered: Option<Result<(), Loss>>,
    /// The place of what was given last, told to be missing included.
    last: Position,
    /// What stands behind a gap that was just told.
    behind_gap: Option<Arc<Publication>>,
}

/// What a [`Subscription`] gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// A publication. It is shared with everyone else who gets it.
    Publication(Arc<Publication>),
    /// That publications do not come, because the consumer was slow or because the topic keeps them no longer: which ones,
    /// and how many. Those that follow come next.
    Missed(Missed),
}

impl Subscription {
    pub(super) async fn begin(
        consumers: &Arc<Consumers>,
        topic: TopicName,
        options: &SubscribeOptions,
    ) -> Result<Self, CallError> {
        let LineEnd { line, bell, joined } = LineEnd::of_new(options, &consumers.missed);
        let membership = Membership::begin(consumers, line, topic)?;
        let joined_at = joined.await.map_err(|_| CallError::Closed)??;
        let mut subscription = Self {
            membership,
            bell,
            past: None,
            joined_at,
            recovered: None,
            last: joined_at,
            behind_gap: None,
        };
        if let Some(since) = options.since {
            subscription.go_back(since, Past::new(options)).await?;
        }
        Ok(subscription)
    }

    /// Begins at another place than the one where the topic stands.
    async fn go_back(&mut self, since: Since, mut past: Past) -> Result<(), CallError> {
        self.membership.read(past.ask(Start::of(since, wall())));
        let line = Arc::clone(&self.membership.line);
        let page = loop {
            if let Some(outcome) = line.take_page() {
                break outcome?;
            }
            if line.is_closed() {
                return Err(CallError::Closed);
            }
            self.bell.recv().await;
        };
        self.joined_at = beginning(&page);
        self.last = match (since, page.lost) {
            // What lies between is told to be missing.
            (Since::Position(place), Some(Loss::TooOld | Loss::EpochChanged)) => place,
            _ => self.joined_at,
        };
        self.recovered = matches!(since, Since::Position(_)).then(|| page.recovered());
        past.take_in(Ok(page));
        self.past = Some(past);
        Ok(())
    }

    /// The topic.
    pub fn topic(&self) -> &TopicName {
        &self.membership.topic
    }

    /// Where this began: the first publication that comes has the next offset. Where it was to begin in the past that is
    /// the place that was asked for, or, where that cannot be had, the nearest one behind it; else where the topic stood.
    pub fn joined_at(&self) -> Position {
        self.joined_at
    }

    /// Whether it goes on from the [position](Since::Position) that it was to go on from, or why not; `None` where none was
    /// named. What is known to be gone is told by [`Delivery::Missed`], too.
    pub fn recovered(&self) -> Option<Result<(), Loss>> {
        self.recovered
    }

    /// The next delivery; `None` when the hub is shut down. Nothing is lost when this is dropped before it is done.
    pub async fn next(&mut self) -> Option<Delivery> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    fn poll_delivery(&mut self, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        loop {
            // Looked at before the queue: what came before the end is in the queue then.
            let is_closed = self.membership.line.is_closed();
            if let Some(delivery) = self.take() {
                return Poll::Ready(Some(delivery));
            }
            if is_closed {
                return Poll::Ready(None);
            }
            let is_over = self
                .past
                .as_mut()
                .is_some_and(|past| past.poll_pause(cx).is_ready());
            if !is_over && self.bell.poll_recv(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// What comes next, if it is there.
    fn take(&mut self) -> Option<Delivery> {
        if let Some(publication) = self.behind_gap.take() {
            self.last = publication.position;
            return Some(Delivery::Publication(publication));
        }
        if self.past.is_some() {
            return self.take_past();
        }
        let publication = self.membership.line.pop()?;
        Some(self.give(publication))
    }

    /// What comes next of what was missed, and behind it what waits.
    fn take_past(&mut self) -> Option<Delivery> {
        loop {
            let past = self.past.as_mut()?;
            match past.step() {
                Step::Begin(place) => {
                    if let Some(missed) = self.skip_to(place) {
                        return Some(Delivery::Missed(missed));
                    }
                }
                Step::Give(publication) => return Some(self.give(publication)),
                Step::Ask => self.membership.read(past.ask(Start::After(self.last))),
                Step::Wait => past.take_in(self.membership.line.take_page()?),
                Step::End => {
                    self.past = None;
                    return self.take();
                }
            }
        }
    }

    /// A publication, or, where some are missing before it, what these are.
    fn give(&mut self, publication: Arc<Publication>) -> Delivery {
        let position = publication.position;
        let before = Position {
            offset: position.offset - 1,
            ..position
        };
        if let Some(missed) = self.skip_to(before) {
            self.behind_gap = Some(publication);
            return Delivery::Missed(missed);
        }
        self.last = position;
        Delivery::Publication(publication)
    }

    /// Goes on behind a place; gives what lies between, if anything does.
    fn skip_to(&mut self, place: Position) -> Option<Missed> {
        let given = if place.epoch == self.last.epoch {
            self.last.offset
        } else {
            0
        };
        self.last = place;
        (place.offset > given).then(|| Missed {
            topic: self.topic().clone(),
            from: Position {
                offset: given + 1,
                ..place
            },
            to: place.offset,
            count: place.offset - given,
        })
    }
}

impl Stream for Subscription {
    type Item = Delivery;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        let this = self.get_mut();
        // A consumer that always finds something lets others run, too.
        pin!(cooperative(poll_fn(|cx| this.poll_delivery(cx)))).poll(cx)
    }
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription")
            .field("topic", self.topic())
            .field("joined_at", &self.joined_at)
            .finish_non_exhaustive()
    }
}
