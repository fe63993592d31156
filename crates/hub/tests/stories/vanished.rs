//! Clients that vanish without a word, as when their power fails: how soon they are found, and are told to have gone.

use std::collections::HashMap;

use fanfare_hub::{Input, Limits};
use fanfare_protocol::ConnectionId;

use crate::driver::{Door, Shard, at};

/// Time within which a client that vanished is found and those who watch are told, in milliseconds.
const TOLD_WITHIN_MS: u64 = 33_000;

/// Enough that a shard does not look at all of them in one tick.
const CROWD: usize = 100;

/// Pings that each of them answers.
const PINGS_ANSWERED: u32 = 2;

/// One who answers some pings at once and vanishes right behind the last answer, which is the worst moment: the next ping
/// is a whole interval away.
struct Mortal {
    connection: ConnectionId,
    answered: u32,
    vanished_at: u64,
    found_after: Option<u64>,
    told_after: Option<u64>,
}

/// A room full of them, and somebody who watches.
struct Room {
    shard: Shard,
    watcher: ConnectionId,
    mortals: HashMap<String, Mortal>,
    tick_ms: u64,
}

impl Room {
    fn new(tick_ms: u64) -> Self {
        let mut shard = Shard::with_limits(Limits::default());
        let watcher = shard.client(&[]);
        shard.say(watcher, r#"{"type":"subscribe","topic":"a","presence":true}"#);
        let mut room = Self {
            shard,
            watcher,
            mortals: HashMap::new(),
            tick_ms,
        };
        (0..CROWD).for_each(|number| room.enter(format!("user-{number}")));
        room
    }

    fn enter(&mut self, user: String) {
        let connection = self.shard.open(Door {
            user: Some(user.clone().leak()),
            topics: &["a"],
            ..Door::default()
        });
        let mortal = Mortal {
            connection,
            answered: 0,
            vanished_at: 0,
            found_after: None,
            told_after: None,
        };
        self.mortals.insert(user, mortal);
        self.turn();
    }

    fn now_ms(&self) -> u64 {
        self.shard.now.monotonic.0
    }

    /// The turn of a shard with a tick, in its order: what left a topic before is told the broker, then deadlines are
    /// looked at.
    fn turn(&mut self) {
        let shard = &mut self.shard;
        shard.now = at(shard.now.monotonic.0 + self.tick_ms);
        shard.take_mail();
        shard.settle();
        shard.handle(Input::Tick);
        shard.write_all();
        self.watch();
        self.live();
    }

    /// The watcher answers every ping and hears who went.
    fn watch(&mut self) {
        let now = self.now_ms();
        for words in self.shard.read(self.watcher) {
            if words == "ping" {
                self.shard.hear(self.watcher);
            }
            let Some((_, gone)) = words.split_once(" -") else {
                continue;
            };
            for user in gone.split_whitespace() {
                let mortal = self.mortals.get_mut(user).unwrap();
                mortal.told_after = Some(now - mortal.vanished_at);
            }
        }
    }

    /// The others answer theirs as long as they are there.
    fn live(&mut self) {
        let now = self.now_ms();
        for mortal in self.mortals.values_mut() {
            let pings = self.shard.read(mortal.connection);
            if mortal.answered < PINGS_ANSWERED && pings.contains(&"ping".to_owned()) {
                mortal.answered += 1;
                mortal.vanished_at = now;
                self.shard.hear(mortal.connection);
            }
            if mortal.found_after.is_none() && !self.shard.hub.is_open(mortal.connection) {
                mortal.found_after = Some(now - mortal.vanished_at);
            }
        }
    }
}

#[test]
fn who_vanished_is_found_and_told_to_have_gone_within_33_seconds() {
    let limits = Limits::default();
    let silence_ms = limits.ping_interval_ms + limits.pong_timeout_ms;
    let mut worst = (0, 0);
    // A shard ticks every 100 ms; one that has much to do ticks somewhat later.
    for tick_ms in [100, 119, 150] {
        let mut room = Room::new(tick_ms);
        let ends_at =
            room.now_ms() + u64::from(PINGS_ANSWERED + 1) * limits.ping_interval_ms + TOLD_WITHIN_MS;
        while room.now_ms() < ends_at {
            room.turn();
        }
        for (user, mortal) in &room.mortals {
            assert_eq!(mortal.answered, PINGS_ANSWERED, "{user}");
            let times = mortal.found_after.zip(mortal.told_after);
            let (found, told) = times.unwrap_or_else(|| panic!("{user} is taken for there"));
            assert!(
                found <= told && told <= TOLD_WITHIN_MS,
                "{user} is found after {found} ms and told after {told} ms, with a tick of {tick_ms} ms"
            );
            worst = (worst.0.max(found), worst.1.max(told));
        }
        room.shard.end();
    }
    let (found, told) = worst;
    assert!(
        found > silence_ms + 1_000 && told > silence_ms + 2_000,
        "{worst:?}: the worst moments were met"
    );
}
