//! Dialects in which the client speaks first: it says hello, perhaps with a token, and is told who it is together with what
//! the server subscribes it to.

use fanfare_protocol::codes::{Disconnect, ErrorCode};
use fanfare_protocol::{CommandId, Millis, SessionKey, TopicName, Wanted};

use super::Hub;
use crate::ask::{Admission, Denial, Question, Suspended, Waiting};
use crate::session::{MadeBy, Session, SessionState};
use crate::{Output, WantedTopic};

impl Hub {
    /// Waits for the hello of a connection of which is settled, perhaps, what it is subscribed to whatever the rules say.
    pub(super) fn await_hello(
        &mut self,
        slot: usize,
        admitted: Option<Vec<TopicName>>,
        key: Option<Box<SessionKey>>,
    ) {
        if let Some(session) = &mut self.sessions[slot]
            && (admitted.is_some() || key.is_some())
        {
            let waiting = session.waiting.get_or_insert_default();
            (waiting.admitted, waiting.key) = (admitted, key);
        }
    }

    /// A client asks to be let in. Nobody is let in twice; the caller has seen to that.
    pub(super) fn hello(
        &mut self,
        slot: usize,
        id: Option<CommandId>,
        token: Option<Box<str>>,
        places: Vec<Wanted<'_>>,
    ) {
        let place = |Wanted { topic, since }: Wanted<'_>| {
            let topic = TopicName::parse(&topic).ok()?;
            Some(WantedTopic { topic, since })
        };
        // A place in a topic that cannot be is one in a topic that nobody is subscribed to.
        let places: Vec<WantedTopic> = places.into_iter().filter_map(place).collect();
        if let Some(token) = token {
            return self.ask(
                slot,
                Suspended::Hello { id, places },
                Question::Authenticate { token },
            );
        }
        let session = self.sessions[slot].as_mut();
        let admitted = session.and_then(|session| session.waiting.as_mut()?.admitted.take());
        match admitted {
            Some(topics) => self.let_in(slot, id, topics, &places),
            None => self.close_refused(slot, &Disconnect::ProtocolError),
        }
    }

    /// The application has said who it is that shows a token.
    pub(super) fn hello_answered(
        &mut self,
        slot: usize,
        id: Option<CommandId>,
        places: Vec<WantedTopic>,
        outcome: Result<Admission, Denial>,
    ) {
        match outcome {
            Ok(Admission {
                identity,
                topics,
                leaves,
            }) => {
                self.keep_leaves(slot, &topics, leaves, MadeBy::Application);
                if let Some(session) = &mut self.sessions[slot] {
                    session.identity = Some(identity);
                }
                self.let_in(slot, id, topics, &places);
            }
            Err(Denial::Refused {
                code: ErrorCode::Unauthenticated,
                ..
            }) => self.close_refused(slot, &Disconnect::BadToken),
            Err(denial) => {
                if denial.is_clients_fault() {
                    self.count_refusal(slot);
                }
                self.deny(slot, id, denial);
            }
        }
    }

    /// A client that was let in shows a token that is not accepted.
    pub(super) fn renewal_refused(&mut self, slot: usize, denial: &Denial) {
        let cause = match denial {
            Denial::Refused {
                code: ErrorCode::TokenExpired,
                ..
            } => Disconnect::Expired,
            _ => Disconnect::BadToken,
        };
        self.close_refused(slot, &cause);
    }

    /// The application refuses a subscription. A token of somebody else's is the end, one that says nothing allows nothing.
    pub(super) fn subscription_refused(&mut self, slot: usize, id: Option<CommandId>, denial: Denial) {
        let denial = match denial {
            Denial::Refused {
                code: ErrorCode::TokenMismatch,
                ..
            } => return self.close_refused(slot, &Disconnect::BadToken),
            Denial::Refused {
                code: ErrorCode::Unauthenticated,
                message,
                retry_after_ms,
                application_code,
            } => Denial::Refused {
                code: ErrorCode::Forbidden,
                message,
                retry_after_ms,
                application_code,
            },
            other => other,
        };
        self.deny(slot, id, denial);
    }

    /// Closes a client that did not show who it is, and counts that against it.
    fn close_refused(&mut self, slot: usize, cause: &Disconnect) {
        self.count_refusal(slot);
        self.disconnect(slot, cause, None);
    }

    fn count_refusal(&mut self, slot: usize) {
        let connection = self.sessions[slot].as_ref().map(|session| session.connection);
        self.outputs.extend(connection.map(Output::TokenRefused));
    }

    /// Lets a client in that goes on from these places in what it is subscribed to. It is told so when all of that is known.
    fn let_in(&mut self, slot: usize, id: Option<CommandId>, topics: Vec<TopicName>, places: &[WantedTopic]) {
        let half_interval_ms = self.limits.ping_interval_ms / 2;
        let now = self.now.monotonic;
        let topics = self.with_personal(slot, topics);
        let Some(session) = &mut self.sessions[slot] else {
            return;
        };
        session.state = SessionState::Open;
        let key = session.waiting.take().and_then(|waiting| waiting.key);
        session.waiting = key.map(|key| {
            Box::new(Waiting {
                key: Some(key),
                ..Waiting::default()
            })
        });
        session.named = topics.iter().cloned().collect();
        // The first ping comes after half an interval to a whole one, so that those who came together are not pinged together.
        let nonce = u64::from(session.connection.nonce());
        let early_ms = nonce.checked_rem(half_interval_ms).unwrap_or(0);
        session.pinged_at = Millis(now.0.saturating_sub(early_ms));
        session.heard_at = now;
        self.awaited -= 1;
        self.count_user(slot);
        let since_of = |topic: &TopicName| places.iter().find(|place| place.topic == *topic)?.since;
        let wanted = topics.into_iter().map(|topic| {
            let since = since_of(&topic);
            WantedTopic { topic, since }
        });
        let wanted: Vec<WantedTopic> = wanted.collect();
        self.welcome_with(slot, id, &wanted);
    }

    /// A client was told what it calls its session by; the hub need not know.
    pub(super) fn forget_key(&mut self, slot: usize) {
        let session = self.sessions[slot].as_mut();
        if let Some(waiting) = session.and_then(|session| session.waiting.as_mut()) {
            waiting.key = None;
        }
    }

    /// The answer to a ping of the server's, in a dialect that has its own. One that nobody asked for is no way to speak.
    pub(super) fn answered_ping(&mut self, slot: usize) {
        let session = self.sessions[slot].as_mut();
        let is_unasked =
            |session: &mut Session| session.pings_natively || !std::mem::take(&mut session.is_pong_due);
        if session.is_some_and(is_unasked) {
            self.disconnect(slot, &Disconnect::ProtocolError, None);
        }
    }
}
