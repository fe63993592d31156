//! An application that is asked for leave, thinks for a while, and allows everything: so what is checked of a world is the
//! same with it as without, but every command may have waited.

use fanfare_hub::access::{Access, TopicRules, Who};
use fanfare_hub::{Amendment, Answer, Denial, Leaves, Question};
use fanfare_protocol::codes::ErrorCode;
use fanfare_protocol::{ConnectionId, Millis};
use fastrand::Rng;

/// The application, and what it thinks about, by shard.
pub(crate) struct Application {
    rng: Rng,
    asked: Vec<Asked>,
    keeps_presence: bool,
}

struct Asked {
    shard: usize,
    connection: ConnectionId,
    question: Question,
    answered_at: Millis,
}

/// The longest that it thinks, in milliseconds.
const THINKS_MS: u64 = 400;

impl Application {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            // Not the world's, whose stories would be others with every question.
            rng: Rng::with_seed(!seed),
            asked: Vec::new(),
            keeps_presence: Self::keeps_presence_in(seed),
        }
    }

    /// Whether it is kept who is in topics: in some worlds.
    fn keeps_presence_in(seed: u64) -> bool {
        seed % 5 == 1 && seed % 11 != 5
    }

    /// Whether it is kept in this one.
    pub(crate) fn keeps_presence(&self) -> bool {
        self.keeps_presence
    }

    /// The rules of topics: some worlds ask about everything, the others about nothing.
    pub(crate) fn rules(seed: u64) -> TopicRules {
        let keeps_presence = Self::keeps_presence_in(seed);
        if seed % 11 != 5 {
            return TopicRules {
                keeps_presence,
                ..TopicRules::open()
            };
        }
        TopicRules {
            otherwise: Access {
                subscribe: Who::Hook,
                publish: Who::Hook,
                history: if seed.is_multiple_of(2) {
                    Who::Hook
                } else {
                    Who::Granted
                },
                ..Access::default()
            },
            keeps_presence,
            ..TopicRules::open()
        }
    }

    pub(crate) fn ask(&mut self, now: Millis, shard: usize, connection: ConnectionId, question: Question) {
        let is_asking = self.asked.iter().any(|asked| asked.connection == connection);
        assert!(!is_asking, "{connection} asks while it waits for an answer");
        self.asked.push(Asked {
            shard,
            connection,
            question,
            answered_at: Millis(now.0 + self.rng.u64(0..THINKS_MS)),
        });
    }

    /// The next answer that is due in a shard.
    pub(crate) fn answer(&mut self, now: Millis, shard: usize) -> Option<(ConnectionId, Answer)> {
        let is_due = |asked: &Asked| asked.shard == shard && asked.answered_at <= now;
        let at = self.asked.iter().position(is_due)?;
        let Asked {
            connection, question, ..
        } = self.asked.swap_remove(at);
        let answer = match question {
            Question::Subscribe { .. } => Answer::Subscribe(Ok(Leaves::default())),
            Question::Publish(_) => Answer::Publish(Ok(Amendment::default())),
            Question::Inspect { .. } => Answer::Inspect(Ok(())),
            question => question.denied(Denial::refused(ErrorCode::NotFound, "nobody asks that here")),
        };
        Some((connection, answer))
    }

    /// Whether nobody waits for it.
    pub(crate) fn is_idle(&self) -> bool {
        self.asked.is_empty()
    }
}
