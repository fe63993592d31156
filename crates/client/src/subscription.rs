//! One topic as a stream.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use fanfare_protocol::Position;
use futures_core::Stream;
use tokio::sync::mpsc;

use crate::delivery::{Delivery, Queue};

/// A topic as a stream of what happens to it, made by [`Client::subscription`](crate::Client::subscription).
///
/// It outlives connections: the client subscribes again and goes on from where it was, and what could not be had is a
/// [`Delivery::Missed`] before what follows. Several of one topic each get everything. It never holds up the client or other subscriptions: what
/// the program does not take waits up to a [bound](crate::ConnectOptions::deliveries_max), beyond which publications are
/// left out and counted in a `Missed` in their place.
///
/// Its drop unsubscribes, unless another subscription of the topic is open, or the program or the server wants it for
/// [`Client::next`](crate::Client::next). It does not keep the client alive: when that ends, so does the stream, with
/// [`UnsubscribedBy::End`](crate::UnsubscribedBy::End).
#[derive(Debug)]
pub struct Subscription {
    topic: String,
    position: Position,
    queue: Arc<Queue>,
    released: mpsc::UnboundedSender<String>,
}

impl Subscription {
    /// A subscription to `topic` that has yet to be confirmed.
    pub(crate) fn new(topic: &str, queue: Arc<Queue>, released: mpsc::UnboundedSender<String>) -> Self {
        Self {
            topic: topic.to_owned(),
            position: Position::default(),
            queue,
            released,
        }
    }

    /// The server has confirmed it.
    pub(crate) fn confirm(&mut self, position: Position) {
        self.position = position;
    }

    /// The topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Where the program is: the last publication that it took, or the place where the subscription began. What comes
    /// later follows. Stored, it lets another life of the program go on from here, with
    /// [`SubscribeOptions::since`](crate::SubscribeOptions::since); it is written as `k2w9:17` and read by
    /// [`parse`](str::parse).
    pub fn position(&self) -> Position {
        self.position
    }

    /// What happens next; none after [`Delivery::Unsubscribed`]. May be dropped while it waits.
    pub async fn next(&mut self) -> Option<Delivery> {
        poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &Context<'_>) -> Poll<Option<Delivery>> {
        let next = self.queue.poll_next(context);
        if let Poll::Ready(Some(Delivery::Publication(publication))) = &next {
            self.position = publication.position().unwrap_or(self.position);
        }
        next
    }
}

impl Stream for Subscription {
    type Item = Delivery;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Delivery>> {
        self.get_mut().poll(context)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.queue.release();
        // After the end of the client there is nobody to tell.
        let _ = self.released.send(std::mem::take(&mut self.topic));
    }
}
