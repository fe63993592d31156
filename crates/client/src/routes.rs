//! Which push goes to which subscriptions, and which to [`Client::next`](crate::Client::next).
//!
//! A push about a topic goes to all subscriptions of it. It goes to `next` as well, or alone, when the program or the
//! server wanted the topic there: those topics are *kept*. Nothing is sent from here.

use std::collections::HashMap;
use std::sync::Arc;

use crate::delivery::{Queue, UnsubscribedBy};
use crate::incoming::Push;

/// The subscriptions of a client. Their streams end with it.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    by_topic: HashMap<String, Route>,
    count: usize,
}

/// The way of one topic; it is there while somebody reads it, asks for it, or has left and waits for the confirmation.
#[derive(Debug)]
struct Route {
    queues: Vec<Arc<Queue>>,
    /// Commands under way that subscribe to it.
    asked: usize,
    is_kept: bool,
}

impl Routes {
    /// How many subscriptions there are.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// A command is on its way to subscribe to a topic, which is kept if it is subscribed to already.
    pub(crate) fn begin(&mut self, topic: &str, is_subscribed: bool) {
        let route = self.by_topic.entry(topic.to_owned()).or_insert(Route {
            queues: Vec::new(),
            asked: 0,
            is_kept: is_subscribed,
        });
        route.asked += 1;
    }

    /// The server has subscribed, for `next`.
    pub(crate) fn keep(&mut self, topic: &str) {
        if let Some(route) = self.by_topic.get_mut(topic) {
            route.is_kept = true;
        }
    }

    /// The server has subscribed, for a subscription.
    pub(crate) fn add(&mut self, topic: &str, queue: Arc<Queue>) {
        if let Some(route) = self.by_topic.get_mut(topic).filter(|_| !queue.is_released()) {
            route.queues.push(queue);
            self.count += 1;
        }
    }

    /// The command that began is answered, or never will be. Whether nobody wants the topic any more.
    pub(crate) fn settle(&mut self, topic: &str) -> bool {
        let Some(route) = self.by_topic.get_mut(topic) else {
            return false;
        };
        route.asked -= 1;
        self.is_unwanted(topic)
    }

    /// A subscription was dropped. Whether nobody wants its topic any more.
    pub(crate) fn release(&mut self, topic: &str) -> bool {
        let Some(route) = self.by_topic.get_mut(topic) else {
            return false;
        };
        let before = route.queues.len();
        route.queues.retain(|queue| !queue.is_released());
        self.count -= before - route.queues.len();
        before > route.queues.len() && self.is_unwanted(topic)
    }

    /// Whether nobody wants a topic any more. What is kept has no need of a route without subscriptions.
    fn is_unwanted(&mut self, topic: &str) -> bool {
        let is_idle = |route: &&Route| route.queues.is_empty() && route.asked == 0;
        match self.by_topic.get(topic).filter(is_idle) {
            Some(route) if route.is_kept => {
                self.by_topic.remove(topic);
                false
            }
            route => route.is_some(),
        }
    }

    /// The server sends no more of a topic that nobody wanted.
    pub(crate) fn remove(&mut self, topic: &str) {
        if self.is_unwanted(topic) {
            self.by_topic.remove(topic);
        }
    }

    /// A topic's subscriptions are over.
    pub(crate) fn end(&mut self, topic: &str, by: &UnsubscribedBy) {
        let Some(route) = self.by_topic.get_mut(topic) else {
            return;
        };
        self.count -= route.queues.len();
        route.queues.drain(..).for_each(|queue| queue.end(by.clone()));
        route.is_kept = false;
        if route.asked == 0 {
            self.by_topic.remove(topic);
        }
    }

    /// Hands a push to the subscriptions it is for; what of it is for `next`.
    pub(crate) fn deliver(&mut self, push: Push) -> Option<Push> {
        match push {
            Push::Publication(publication) => {
                let Some(route) = publication
                    .topic
                    .as_ref()
                    .and_then(|topic| self.by_topic.get(topic))
                else {
                    return Some(Push::Publication(publication));
                };
                for queue in &route.queues {
                    queue.publish(publication.clone());
                }
                route.is_kept.then_some(Push::Publication(publication))
            }
            Push::Missed { topic, gap } => {
                let is_kept = self.tell(&topic, |queue| queue.miss(gap.clone()));
                is_kept.then_some(Push::Missed { topic, gap })
            }
            Push::Occupancy { topic, subscribers } => {
                let is_kept = self.tell(&topic, |queue| queue.occupy(subscribers));
                is_kept.then_some(Push::Occupancy { topic, subscribers })
            }
            Push::Presence { topic, update } => {
                let is_kept = self.tell(&topic, |queue| queue.attend(update.clone()));
                is_kept.then_some(Push::Presence { topic, update })
            }
            Push::Subscribed(mut list) => {
                list.retain(|subscribed| self.is_kept(&subscribed.topic));
                (!list.is_empty()).then_some(Push::Subscribed(list))
            }
            Push::Unsubscribed(topics) => {
                let topics = self.end_all(topics, &UnsubscribedBy::Server);
                (!topics.is_empty()).then_some(Push::Unsubscribed(topics))
            }
            Push::Postponed {
                mut topics,
                refusal,
                retry_after,
            } => {
                topics.retain(|topic| self.is_kept(topic));
                (!topics.is_empty()).then_some(Push::Postponed {
                    topics,
                    refusal,
                    retry_after,
                })
            }
            Push::NotSubscribedAgain { topics, refusal } => {
                let topics = self.end_all(topics, &UnsubscribedBy::Refusal(refusal.clone()));
                (!topics.is_empty()).then_some(Push::NotSubscribedAgain { topics, refusal })
            }
            push => Some(push),
        }
    }

    /// Tells a topic's subscriptions something; whether `next` is told as well.
    fn tell(&self, topic: &str, tell: impl Fn(&Queue)) -> bool {
        if let Some(route) = self.by_topic.get(topic) {
            route.queues.iter().for_each(|queue| tell(queue));
        }
        self.is_kept(topic)
    }

    fn is_kept(&self, topic: &str) -> bool {
        self.by_topic.get(topic).is_none_or(|route| route.is_kept)
    }

    /// Ends the subscriptions of topics; those that `next` is told of.
    fn end_all(&mut self, mut topics: Vec<String>, by: &UnsubscribedBy) -> Vec<String> {
        topics.retain(|topic| {
            let is_kept = self.is_kept(topic);
            self.end(topic, by);
            is_kept
        });
        topics
    }
}

impl Drop for Routes {
    fn drop(&mut self) {
        let queues = self.by_topic.values().flat_map(|route| &route.queues);
        queues.for_each(|queue| queue.end(UnsubscribedBy::End));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publication::Publication;

    fn publication(topic: &str) -> Push {
        let text = format!(r#"{{"type":"message","topic":"{topic}","offset":1,"data":1}}"#);
        Push::Publication(serde_json::from_str::<Publication>(&text).unwrap())
    }

    fn open(routes: &mut Routes, topic: &str, is_subscribed: bool) -> Arc<Queue> {
        let queue = Queue::new(8, 1000);
        routes.begin(topic, is_subscribed);
        routes.add(topic, Arc::clone(&queue));
        assert!(!routes.settle(topic));
        queue
    }

    #[test]
    fn a_topic_of_subscriptions_alone_is_unwanted_after_the_last_of_them() {
        let mut routes = Routes::default();
        let (one, other) = (open(&mut routes, "a", false), open(&mut routes, "a", true));
        assert!(routes.deliver(publication("a")).is_none());
        assert!(routes.deliver(publication("b")).is_some());
        one.release();
        assert!(!routes.release("a"));
        other.release();
        assert!(routes.release("a"));
        assert!(!routes.release("a"), "it is said once");
        assert!(
            routes.deliver(publication("a")).is_none(),
            "what was on its way is for nobody"
        );
        routes.remove("a");
        assert!(routes.deliver(publication("a")).is_some());
        assert_eq!(routes.count(), 0);
    }

    #[test]
    fn a_topic_that_was_there_before_stays() {
        let mut routes = Routes::default();
        let queue = open(&mut routes, "a", true);
        assert!(routes.deliver(publication("a")).is_some());
        queue.release();
        assert!(!routes.release("a"));
        assert!(routes.deliver(publication("a")).is_some());
    }

    #[test]
    fn a_topic_that_is_asked_for_again_meanwhile_is_wanted() {
        let mut routes = Routes::default();
        let queue = open(&mut routes, "a", false);
        routes.begin("a", true);
        queue.release();
        assert!(!routes.release("a"));
        assert!(routes.settle("a"), "the second one was refused");
    }

    #[test]
    fn a_subscription_that_was_dropped_before_its_reply_is_not_kept() {
        let mut routes = Routes::default();
        let queue = Queue::new(8, 1000);
        routes.begin("a", false);
        queue.release();
        assert!(!routes.release("a"));
        routes.add("a", queue);
        assert!(routes.settle("a"));
        assert_eq!(routes.count(), 0);
    }
}
