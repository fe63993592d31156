//! What a subscription gives out, and the queue in which it waits for the program.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::gap::{Gap, GapCause};
use crate::presence::PresenceUpdate;
use crate::publication::Publication;
use crate::server_message::Refusal;

/// What happens to a topic, in the order in which it happens.
#[derive(Debug, Clone)]
pub enum Delivery {
    /// A publication.
    Publication(Publication),
    /// Publications went by unseen.
    Missed(Gap),
    /// How many connections are subscribed to the topic.
    Occupancy {
        /// The number of connections.
        subscribers: u64,
    },
    /// Who is in the topic, or who came and went; only where that is [wanted](crate::SubscribeOptions::presence).
    Presence(PresenceUpdate),
    /// So much waited for the program that changes of who is there were left out. Who is, tells
    /// [`Commands::presence`](crate::Commands::presence); what changes from here on is told as before.
    PresenceMissed,
    /// The subscription has ended, and nothing follows.
    Unsubscribed(UnsubscribedBy),
}

impl Delivery {
    /// How many bytes of the server's it holds.
    fn bytes(&self) -> usize {
        match self {
            Self::Publication(publication) => publication.payload.len(),
            Self::Presence(update) => update.bytes(),
            Self::Missed(_) | Self::Occupancy { .. } | Self::PresenceMissed | Self::Unsubscribed(_) => 0,
        }
    }
}

/// Who ended a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnsubscribedBy {
    /// The program, with [`Commands::unsubscribe`](crate::Commands::unsubscribe).
    Program,
    /// The server, of its own accord.
    Server,
    /// The server, which did not subscribe the connection again after a reconnect.
    Refusal(Refusal),
    /// The end of the client; [`Client::ended_by`](crate::Client::ended_by) says why that was.
    End,
}

/// A bounded queue with one writer that never waits and one reader that does.
#[derive(Debug)]
pub(crate) struct Queue {
    inner: Mutex<Inner>,
    deliveries_max: usize,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct Inner {
    /// At most as many notes of what was missed as publications.
    waiting: VecDeque<Delivery>,
    bytes: usize,
    /// What was left out behind those that wait.
    missed: Option<Gap>,
    /// Whether that is also who came or went.
    is_presence_missed: bool,
    end: Option<UnsubscribedBy>,
    is_over: bool,
    is_released: bool,
    reader: Option<Waker>,
}

impl Queue {
    /// An empty queue with room for so many deliveries, at least one, and so many bytes of publications.
    pub(crate) fn new(deliveries_max: usize, bytes_max: usize) -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::default(),
            deliveries_max: deliveries_max.max(1),
            bytes_max,
        })
    }

    /// Puts a publication in, or leaves it out for want of room.
    pub(crate) fn publish(&self, publication: Publication) {
        let gap = Gap::of_one(publication.offset, GapCause::Untaken);
        let delivery = Delivery::Publication(publication);
        self.change(|inner| {
            if self.has_room(inner, &delivery) {
                inner.put(delivery);
            } else {
                inner.miss(gap);
            }
        });
    }

    /// Whether something may wait as well; anything may wait alone.
    fn has_room(&self, inner: &Inner, delivery: &Delivery) -> bool {
        let has_bytes = inner.bytes == 0 || inner.bytes + delivery.bytes() <= self.bytes_max;
        inner.waiting.len() < self.deliveries_max && has_bytes
    }

    /// Takes in that publications went by.
    pub(crate) fn miss(&self, gap: Gap) {
        self.change(|inner| inner.miss(gap));
    }

    /// Puts a number of subscribers in; where there is no room, the next number must do.
    pub(crate) fn occupy(&self, subscribers: u64) {
        self.change(|inner| {
            let delivery = Delivery::Occupancy { subscribers };
            if self.has_room(inner, &delivery) {
                inner.put(delivery);
            }
        });
    }

    /// Puts in who is there, or who came and went. Where there is no room, the program must ask.
    pub(crate) fn attend(&self, update: PresenceUpdate) {
        let is_everyone = matches!(update, PresenceUpdate::Everyone { .. });
        let delivery = Delivery::Presence(update);
        self.change(|inner| {
            if self.has_room(inner, &delivery) {
                inner.is_presence_missed &= !is_everyone;
                inner.put(delivery);
            } else {
                inner.is_presence_missed = true;
            }
        });
    }

    /// Ends it behind what waits.
    pub(crate) fn end(&self, by: UnsubscribedBy) {
        self.change(|inner| {
            inner.is_over = true;
            inner.end = Some(by);
        });
    }

    /// Changes what waits, before the end, and wakes the reader. Its waker is called without the lock: it may poll at once.
    fn change(&self, change: impl FnOnce(&mut Inner)) {
        let mut inner = self.lock();
        if inner.is_over {
            return;
        }
        change(&mut inner);
        let reader = inner.reader.take();
        drop(inner);
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// Takes in that nobody will read it any more, and throws away what waits.
    pub(crate) fn release(&self) {
        *self.lock() = Inner {
            is_over: true,
            is_released: true,
            ..Inner::default()
        };
    }

    /// Whether nobody will read it any more.
    pub(crate) fn is_released(&self) -> bool {
        self.lock().is_released
    }

    /// The next delivery, or none after the end.
    pub(crate) fn poll_next(&self, context: &Context<'_>) -> Poll<Option<Delivery>> {
        let mut inner = self.lock();
        if inner.waiting.is_empty() {
            inner.tell_missed();
        }
        if let Some(delivery) = inner.waiting.pop_front() {
            inner.bytes -= delivery.bytes();
            return Poll::Ready(Some(delivery));
        }
        if inner.is_over {
            return Poll::Ready(inner.end.take().map(Delivery::Unsubscribed));
        }
        inner.reader = Some(context.waker().clone());
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here panics half way.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn miss(&mut self, gap: Gap) {
        self.missed = Some(match self.missed.take() {
            Some(before) => before.and(gap),
            None => gap,
        });
    }

    /// Tells what was missed behind all that waits.
    fn tell_missed(&mut self) {
        if let Some(gap) = self.missed.take() {
            self.waiting.push_back(Delivery::Missed(gap));
        }
        if std::mem::take(&mut self.is_presence_missed) {
            self.waiting.push_back(Delivery::PresenceMissed);
        }
    }

    /// Puts it behind all that waits, and behind what was missed after that.
    fn put(&mut self, delivery: Delivery) {
        self.tell_missed();
        self.bytes += delivery.bytes();
        self.waiting.push_back(delivery);
    }
}

#[cfg(test)]
mod tests {
    use fanfare_protocol::{Loss, Position};

    use super::*;
    use crate::server_message::Subscribed;

    fn publication(offset: u64) -> Publication {
        serde_json::from_str(&format!(
            r#"{{"type":"message","topic":"a","offset":{offset},"data":"0123456789"}}"#
        ))
        .unwrap()
    }

    fn next(queue: &Queue) -> String {
        match queue.poll_next(&Context::from_waker(Waker::noop())) {
            Poll::Pending => "waits".to_owned(),
            Poll::Ready(None) => "over".to_owned(),
            Poll::Ready(Some(Delivery::Publication(publication))) => publication.offset.unwrap().to_string(),
            Poll::Ready(Some(Delivery::Missed(gap))) => gap.to_string(),
            Poll::Ready(Some(delivery)) => format!("{delivery:?}"),
        }
    }

    fn all(queue: &Queue) -> Vec<String> {
        std::iter::from_fn(|| Some(next(queue)).filter(|told| told != "waits" && told != "over")).collect()
    }

    #[test]
    fn what_does_not_fit_is_told_in_its_place() {
        let queue = Queue::new(2, usize::MAX);
        (1..=5).for_each(|offset| queue.publish(publication(offset)));
        let untaken = "more than may wait were not taken";
        assert_eq!(
            all(&queue),
            [
                "1",
                "2",
                &format!("3 publications were missed (3 to 5): {untaken}")
            ]
        );
        queue.publish(publication(6));
        let too_old = GapCause::Lost(Loss::TooOld);
        queue.miss(Gap::between(6, 8, too_old));
        queue.miss(Gap::between(8, 10, GapCause::Slow));
        queue.publish(publication(11));
        let missed = "4 publications were missed (7 to 10): the topic keeps no more";
        assert_eq!(all(&queue), ["6", missed, "11"]);
        let began_anew = Subscribed {
            topic: "a".to_owned(),
            position: Position::default(),
            recovered: Some(false),
            reason: Some(Loss::EpochChanged),
        };
        let last = Position {
            offset: 11,
            ..Position::default()
        };
        queue.miss(Gap::between(11, 12, GapCause::Slow));
        queue.miss(Gap::before(&began_anew, last).unwrap());
        queue.miss(Gap::between(0, 1, GapCause::Slow));
        let anew = "publications may have been missed: the topic began anew";
        assert_eq!(all(&queue), [anew]);
    }

    #[test]
    fn bytes_are_bounded_and_given_back() {
        let queue = Queue::new(100, 30);
        (1..=4).for_each(|offset| queue.publish(publication(offset)));
        assert_eq!(next(&queue), "1");
        queue.publish(publication(5));
        let missed = "2 publications were missed (3 to 4): more than may wait were not taken";
        assert_eq!(all(&queue), ["2", missed, "5"]);
        let narrow = Queue::new(100, 1);
        narrow.publish(publication(1));
        assert_eq!(all(&narrow), ["1"], "one may always wait");
    }

    #[test]
    fn changes_of_who_is_there_that_do_not_fit_are_to_be_asked_for_unless_everyone_is_told() {
        let told = |fields: &str| {
            let text = format!(r#"{{"connections":0,"users":0,{fields}}}"#);
            serde_json::from_str::<PresenceUpdate>(&text).unwrap()
        };
        let changed = || told(r#""came":[],"went":[]"#);
        let everyone = || told(r#""members":[],"complete":true"#);
        let words = |queue: &Queue| -> Vec<String> {
            let all = all(queue).into_iter();
            all.map(|words| words.split([' ', '{']).next().unwrap().to_owned())
                .collect()
        };
        let queue = Queue::new(2, usize::MAX);
        queue.publish(publication(1));
        (0..3).for_each(|_| queue.attend(changed()));
        assert_eq!(words(&queue), ["1", "Presence(Changed", "PresenceMissed"]);
        queue.attend(changed());
        queue.attend(changed());
        queue.attend(changed());
        next(&queue);
        queue.attend(changed());
        assert_eq!(
            words(&queue),
            ["Presence(Changed", "PresenceMissed", "Presence(Changed"]
        );
        (0..3).for_each(|_| queue.attend(changed()));
        next(&queue);
        queue.attend(everyone());
        assert_eq!(words(&queue), ["Presence(Changed", "Presence(Everyone"]);
        let narrow = Queue::new(8, 1);
        let gone = || told(r#""came":[],"went":[{"connection":"1","since":1}]"#);
        (0..2).for_each(|_| narrow.attend(gone()));
        assert_eq!(words(&narrow), ["Presence(Changed", "PresenceMissed"]);
    }

    #[test]
    fn the_end_is_told_once_behind_everything() {
        let queue = Queue::new(1, usize::MAX);
        queue.publish(publication(1));
        queue.publish(publication(2));
        queue.end(UnsubscribedBy::Server);
        queue.end(UnsubscribedBy::End);
        queue.publish(publication(3));
        assert_eq!(
            all(&queue),
            [
                "1",
                "1 publication was missed (2 to 2): more than may wait were not taken",
                "Unsubscribed(Server)"
            ]
        );
        assert_eq!(next(&queue), "over");
    }
}
