//! The faults stop, everything drains, and what must hold is checked; then everyone goes.

use std::collections::BTreeSet;

use fanfare_hub::{ConnectionRow, Gauges, Listed, Role};
use fanfare_protocol::TopicName;
use fanfare_protocol::websocket::Opcode;

use crate::client::Temper;
use crate::world::World;

/// Turns of every shard after which everything must have drained. Each takes a tenth of a second.
const TURNS_MAX: usize = 1_000;

impl World {
    /// Ends the story.
    pub(crate) fn end(&mut self) {
        self.broker.stop_refusing();
        for client in &mut self.clients {
            client.room = usize::MAX;
            if client.temper != Temper::Faithful {
                // It may have been closed for what it did before, and that may still be told.
                client.reasons.extend([3001, 3002, 3003, 3007]);
                client.temper = Temper::Faithful;
                if client.is_open() {
                    client.send(Opcode::Pong, b"");
                }
            }
        }
        for shard in 0..self.shards.len() {
            self.flush(shard);
        }
        self.drain_all();
        self.say_a_last_word();
        self.drain_all();
        self.rest(25);
        self.until_quiet();
        for shard in 0..self.shards.len() {
            self.flush(shard);
        }
        self.check_clients();
        self.check_firsts();
        self.broker.forget();
        self.say_goodbye();
        self.check_nothing_is_left();
    }

    /// Turns until nothing moves any more, and some more.
    fn drain_all(&mut self) {
        self.until_quiet();
        self.rest(12);
    }

    fn until_quiet(&mut self) {
        for _ in 0..TURNS_MAX {
            self.rest(1);
            if self.is_quiet() {
                return;
            }
        }
        panic!("something still moves after {TURNS_MAX} turns");
    }

    /// Every shard has some turns, a tenth of a second each.
    fn rest(&mut self, turns: usize) {
        for _ in 0..turns {
            self.pass(100);
            for shard in 0..self.shards.len() {
                self.turn(shard);
            }
        }
    }

    fn is_quiet(&self) -> bool {
        let is_read = |client: &crate::client::Client| {
            client.is_released || (client.outgoing.is_empty() && !client.is_gone)
        };
        self.broker.is_quiet()
            && self.application.is_idle()
            && self.clients.iter().all(is_read)
            && self
                .shards
                .iter()
                .all(|shard| shard.inbox.is_empty() && shard.hub.gauges().queued == 0)
    }

    /// One more publication in every topic, so that whatever is missing shows.
    fn say_a_last_word(&mut self) {
        let mut topics: Vec<TopicName> = self.broker.topics().map(|(topic, _)| topic.clone()).collect();
        topics.sort_unstable();
        for topic in topics {
            let mut tries = 0;
            while !self.publish(topic.clone()) {
                tries += 1;
                assert!(tries < 100, "{topic}: a mailbox stays full");
                self.rest(1);
            }
        }
    }

    fn check_clients(&self) {
        let mut rows = Vec::new();
        for shard in &self.shards {
            rows.extend(shard.hub.connections(Listed::All, 0, usize::MAX).0);
        }
        for client in self.clients.iter().filter(|client| client.is_open()) {
            let Some(row) = rows.iter().find(|row| row.connection == client.id) else {
                panic!("{}: it is open and its hub does not know it", client.id);
            };
            assert_eq!((row.outbox_frames, row.outbox_bytes), (0, 0), "{}", client.id);
            client.check_complete(&self.broker.truth, |topic| self.limits.slow_rules.of(topic));
            client.check_occupancy(|topic| self.broker.subscribers(topic));
            client.check_attendance(|topic| {
                let is_there =
                    |row: &&ConnectionRow| row.role == Role::Subscriber && row.topics.contains(topic);
                let those = rows.iter().filter(is_there);
                those.map(|row| row.connection.to_string()).collect()
            });
            if client.role == Role::Subscriber {
                let all = TopicName::all();
                assert!(client.has(&all), "{}: it heard no broadcast", client.id);
                let user = client.user.as_ref().map(TopicName::of_user);
                assert!(
                    user.is_none_or(|user| client.has(&user)),
                    "{}: it heard nothing of what its user is sent",
                    client.id
                );
                if client.dialect == fanfare_protocol::dialect::Dialect::Json {
                    assert!(
                        row.topics.iter().all(|topic| client.has(topic)),
                        "{}: its hub says it has {:?}",
                        client.id,
                        row.topics
                    );
                }
            }
        }
    }

    /// Of all who published something with one key, one at most was told to be the first.
    fn check_firsts(&self) {
        let mut firsts = BTreeSet::new();
        for number in self.clients.iter().flat_map(|client| &client.firsts) {
            assert!(firsts.insert(number), "{number} was published first twice");
        }
    }

    fn say_goodbye(&mut self) {
        for client in &mut self.clients {
            if client.is_open() && self.rng.bool() {
                if self.rng.bool() {
                    client.close();
                } else {
                    client.is_gone = true;
                }
            }
        }
        self.rest(1);
        self.shut_down();
        self.rest(80);
    }

    fn check_nothing_is_left(&self) {
        for client in &self.clients {
            assert!(client.is_released, "{}: it was never released", client.id);
        }
        for shard in &self.shards {
            assert_eq!(shard.hub.gauges(), Gauges::default());
            let counters = shard.hub.counters();
            assert_eq!(counters.opened, counters.released);
            assert_eq!((counters.subscriptions, counters.topics), (0, 0));
            assert_eq!((counters.gaps, counters.duplicates), (0, 0));
            assert!(shard.publishes.is_empty(), "a publish was never answered");
        }
        assert_eq!(self.broker.topics().next(), None, "the broker has a topic left");
    }
}
