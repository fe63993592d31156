//! The local broker: its contract, its history, and the bounds it keeps.

use fanfare_hub::access::TopicRule;
use fanfare_hub::conformance;
use fanfare_protocol::{ConnectionId, Publication, Publisher};

use super::super::publishing::RETRY_MS_MIN;
use super::*;

#[test]
fn it_keeps_the_contract() {
    let history = Retention {
        publications_max: conformance::HISTORY_FRAMES,
        ..Retention::default()
    };
    conformance::check(|| Arc::new(LocalBroker::new(history, &Limits::default(), 7)));
}

#[test]
fn it_keeps_the_contract_without_history() {
    conformance::check_without_history(|| {
        Arc::new(LocalBroker::new(Retention::default(), &Limits::default(), 7))
    });
}

#[test]
fn history_is_bounded_in_frames_bytes_and_age() {
    let topic = TopicName::parse("a").unwrap();
    let base = size_of::<Publication>() + topic.as_str().len();
    let options = Retention {
        publications_max: 4,
        bytes_max: 4 * base + 30,
        age_max_ms: 100,
    };
    let broker = LocalBroker::new(options, &Limits::default(), 1);
    let publish = |bytes: usize, time: u64| {
        let payload = fanfare_protocol::Payload::binary(vec![0; bytes]);
        let draft = Draft::new(topic.clone(), payload, Timestamp(time));
        assert!(broker.publish(draft, OutletId(0), PublishId(0)).is_ready());
    };
    let kept = || broker.topics(0, 10).topics.first().map_or(0, |row| row.history);
    (0..6).for_each(|_| publish(1, 0));
    assert_eq!(kept(), 4);
    publish(28, 0);
    assert_eq!(kept(), 3);
    publish(1, 101);
    assert_eq!(kept(), 1);
    broker.expire(Timestamp(202));
    assert_eq!(
        broker.topics(0, 10),
        TopicPage::default(),
        "a topic without subscriber and history is gone"
    );
}

#[test]
fn topics_are_listed_in_pages_without_repetition() {
    let options = Retention {
        publications_max: 1,
        ..Retention::default()
    };
    let broker = LocalBroker::new(options, &Limits::default(), 1);
    for number in 0..250 {
        let topic = TopicName::parse(&format!("t{number}")).unwrap();
        let payload = fanfare_protocol::Payload::text("x");
        let draft = Draft::new(topic, payload, Timestamp(0));
        assert!(broker.publish(draft, OutletId(0), PublishId(0)).is_ready());
    }
    let (mut seen, mut cursor) = (Vec::new(), Some(0));
    while let Some(from) = cursor {
        let page = broker.topics(from, 7);
        seen.extend(page.topics.into_iter().map(|row| row.topic));
        cursor = page.next;
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 250);
}

fn draft(topic: &TopicName, from: Option<Publisher>) -> Draft {
    let payload = fanfare_protocol::Payload::text("x");
    Draft {
        from,
        ..Draft::new(topic.clone(), payload, Timestamp(0))
    }
}

fn a_client() -> Publisher {
    Publisher {
        connection: ConnectionId::new(0, 0, 1),
        user: None,
        info: None,
        topic_info: None,
    }
}

/// Where joins are answered.
#[derive(Default)]
struct Inbox(Mutex<Vec<BrokerEvent>>);

impl Outlet for Inbox {
    fn try_reserve(&self, _bytes: usize) -> bool {
        true
    }

    fn cancel(&self, _bytes: usize) {}

    fn post_reserved(&self, publication: Arc<Publication>) {
        self.post(BrokerEvent::Publication(publication));
    }

    fn post(&self, answer: BrokerEvent) {
        self.0.lock().unwrap().push(answer);
    }
}

impl Inbox {
    fn last_join(&self) -> Result<Position, Refusal> {
        match self.0.lock().unwrap().last() {
            Some(BrokerEvent::Joined { outcome, .. }) => *outcome,
            other => panic!("{other:?} is no answer to a join"),
        }
    }
}

#[test]
fn a_topic_takes_so_many_publications_of_clients_and_any_number_of_the_application() {
    let limits = Limits {
        publications_per_second: 1,
        ..Limits::default()
    };
    let broker = LocalBroker::new(Retention::default(), &limits, 1);
    let (inbox, topic) = (Arc::new(Inbox::default()), TopicName::parse("a").unwrap());
    let outlet = broker.attach(Arc::clone(&inbox) as Arc<dyn Outlet>);
    broker.join(outlet, &topic);
    let publish = |from| match broker.publish(draft(&topic, from), outlet, PublishId(0)) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => panic!("it answers at once"),
    };
    let mut accepted = 0;
    let refusal = loop {
        match publish(Some(a_client())) {
            Ok(published) => {
                accepted += 1;
                assert_eq!(published.position.offset, accepted);
            }
            Err(refusal) => break refusal,
        }
    };
    assert!(
        matches!(refusal, Refusal::RateLimited { retry_after_ms } if (RETRY_MS_MIN..=1_000).contains(&retry_after_ms)),
        "{refusal:?}"
    );
    for offset in accepted + 1..accepted + 100 {
        let position = publish(None).unwrap().position;
        assert_eq!(position.offset, offset, "what was refused has no place");
    }
    let received = inbox.0.lock().unwrap().len() as u64;
    assert_eq!(received, 1 + accepted + 99, "a join and what was accepted");
}

#[test]
fn a_rule_says_what_its_topics_take_and_may_change_while_they_are_there() {
    let broker = LocalBroker::new(Retention::default(), &Limits::default(), 1);
    let (inbox, slow) = (Arc::new(Inbox::default()), TopicName::parse("slow:a").unwrap());
    let outlet = broker.attach(Arc::clone(&inbox) as Arc<dyn Outlet>);
    broker.join(outlet, &slow);
    let takes = |count: usize| {
        let publish = |_: &usize| {
            let outcome = broker.publish(draft(&slow, Some(a_client())), outlet, PublishId(0));
            matches!(outcome, Poll::Ready(Ok(_)))
        };
        (0..count).take_while(publish).count()
    };
    let rule = |count| TopicRules::from([TopicRule::new("slow:*").unwrap().publications_per_second(count)]);
    assert_eq!(takes(100), 100, "the limit is 1,000");
    broker.set_rules(rule(1).into());
    assert!(takes(100) < 50);
    broker.set_rules(rule(0).into());
    assert_eq!(takes(10_000), 10_000);
    broker.set_rules(rule(1).into());
    broker.leave(outlet, &slow);
    broker.join(outlet, &slow);
    assert!(takes(100) < 50, "a topic that begins anew, too");
}

#[test]
fn topics_are_bounded_and_their_places_given_back() {
    let limits = Limits {
        topics_max: 2,
        ..Limits::default()
    };
    let history = Retention {
        publications_max: 1,
        age_max_ms: 100,
        ..Retention::default()
    };
    let broker = LocalBroker::new(history, &limits, 1);
    let inbox = Arc::new(Inbox::default());
    let outlet = broker.attach(Arc::clone(&inbox) as Arc<dyn Outlet>);
    let [a, b, c] = ["a", "b", "c"].map(|name| TopicName::parse(name).unwrap());
    let publish = |topic| broker.publish(draft(topic, Some(a_client())), outlet, PublishId(0));
    broker.join(outlet, &a);
    assert!(matches!(publish(&b), Poll::Ready(Ok(_))));
    assert_eq!(publish(&c), Poll::Ready(Err(Refusal::TooManyTopics)));
    broker.join(outlet, &c);
    assert_eq!(inbox.last_join(), Err(Refusal::TooManyTopics));
    assert_eq!(broker.topics(0, 10).topics.len(), 2, "nothing of `c` is held");

    broker.join(outlet, &TopicName::all());
    assert!(inbox.last_join().is_ok(), "the server's own are not counted");
    broker.leave(outlet, &TopicName::all());
    broker.leave(outlet, &a);
    broker.join(outlet, &c);
    assert!(inbox.last_join().is_ok(), "a place is free again");
    broker.expire(Timestamp(1_000));
    broker.join(outlet, &a);
    assert!(inbox.last_join().is_ok(), "what has expired needs no place");
    broker.join(outlet, &b);
    assert_eq!(inbox.last_join(), Err(Refusal::TooManyTopics));
}

#[test]
fn a_topic_that_keeps_history_stays_for_a_while_when_nobody_is_there() {
    let history = Retention {
        publications_max: 1,
        age_max_ms: 100,
        ..Retention::default()
    };
    let broker = LocalBroker::new(history, &Limits::default(), 1);
    let inbox = Arc::new(Inbox::default());
    let outlet = broker.attach(Arc::clone(&inbox) as Arc<dyn Outlet>);
    let topic = TopicName::parse("a").unwrap();
    let visit = || {
        broker.join(outlet, &topic);
        let place = inbox.last_join().unwrap();
        broker.leave(outlet, &topic);
        place
    };
    let first = visit();
    broker.expire(Timestamp(1_000));
    broker.expire(Timestamp(1_100));
    assert_eq!(visit(), first, "who comes back finds it as it was");
    assert_eq!(broker.topics(0, 10), TopicPage::default(), "it is not listed");
    broker.expire(Timestamp(1_150));
    broker.expire(Timestamp(1_250));
    assert_eq!(visit(), first, "the time begins with who left last");
    broker.expire(Timestamp(1_300));
    broker.expire(Timestamp(1_401));
    assert_ne!(visit().epoch, first.epoch, "it has ended");
}
