//! What a consumer holds.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use fanfare_protocol::{Missed, Position, Publication, TopicName};
use futures_core::Stream;
use tokio::sync::mpsc;
use tokio::task::coop::cooperative;

use super::line::LineEnd;
use super::{Consumers, Membership, SubscribeOptions};
use crate::CallError;

/// The publications of a topic, received in the host's own process: a [`Stream`] of [`Delivery`], in the topic's order,
/// from [`joined_at`](Self::joined_at) on.
///
/// Bounded by [`SubscribeOptions`]: what a consumer is too slow for is dropped, the oldest first, and told to it in the
/// place where it would have been. It ends when the hub is [shut down](crate::Fanfare::shutdown), behind what its clients
/// published until then. Dropping it leaves the topic.
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
pub struct Subscription {
    membership: Membership,
    bell: mpsc::Receiver<()>,
    joined_at: Position,
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
    /// That publications were dropped because the consumer was slow: which ones, and how many. Those that follow come
    /// next.
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
        Ok(Self {
            membership,
            bell,
            joined_at,
            last: joined_at,
            behind_gap: None,
        })
    }

    /// The topic.
    pub fn topic(&self) -> &TopicName {
        &self.membership.topic
    }

    /// Where the topic stood when this joined it: the first publication that comes has the next offset.
    pub fn joined_at(&self) -> Position {
        self.joined_at
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
            if self.bell.poll_recv(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// What comes next, if it is there. A gap in the offsets is told before what stands behind it.
    fn take(&mut self) -> Option<Delivery> {
        if let Some(publication) = self.behind_gap.take() {
            return Some(Delivery::Publication(publication));
        }
        let publication = self.membership.line.pop()?;
        let position = publication.position;
        let expected = if position.epoch == self.last.epoch {
            self.last.offset + 1
        } else {
            1
        };
        self.last = position;
        if position.offset <= expected {
            return Some(Delivery::Publication(publication));
        }
        self.behind_gap = Some(publication);
        Some(Delivery::Missed(Missed {
            topic: self.topic().clone(),
            from: Position {
                epoch: position.epoch,
                offset: expected,
            },
            to: position.offset - 1,
            count: position.offset - expected,
        }))
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
