//! Dialects in which the client speaks first: it says hello, perhaps with a token, and is told who it is together with what
//! the server subscribes it to.

use std::sync::Arc;

use fanfare_protocol::codes::{Disconnect, ErrorCode};
use fanfare_protocol::{CommandId, Greeting, Millis, SessionKey, TopicName, Wanted};

use super::Hub;
use crate::ask::{Admission, Denial, Newcomer, Question, Suspended, Waiting};
use crate::session::{MadeBy, Session, SessionState};
use crate::{Output, WantedTopic};

impl Hub {
    /// Waits for the hello of a connection.
    pub(super) fn await_hello(&mut self, slot: usize, newcomer: Newcomer, key: Option<Box<SessionKey>>) {
        if let Some(session) = &mut self.sessions[slot] {
            let waiting = session.waiting.get_or_insert_default();
            (waiting.newcomer, waiting.key) = (Some(newcomer), key);
        }
    }

    /// A client asks to be let in. Who was not is not heard a second time.
    pub(super) fn hello(
        &mut self,
        slot: usize,
        id: Option<CommandId>,
        (token, greeting): (Option<Box<str>>, Box<Greeting>),
        places: Vec<Wanted<'_>>,
    ) {
        let session = self.sessions[slot].as_mut();
        let newcomer = session.and_then(|session| session.waiting.as_mut()?.newcomer.take());
        let Some(Newcomer { known, may_be_nobody }) = newcomer else {
            return self.disconnect(slot, &Disconnect::ProtocolError, None);
        };
        let place = |Wanted { topic, since }: Wanted<'_>| {
            let topic = TopicName::parse(&topic).ok()?;
            Some(WantedTopic { topic, since })
        };
        // A place in a topic that cannot be is one in a topic that nobody is subscribed to.
        let hello = Suspended::Hello {
            id,
            places: places.into_iter().filter_map(place).collect(),
            has_token: token.is_some(),
            may_be_nobody,
        };
        if token.is_none() && !self.concerns.newcomers {
            return self.hello_answered(slot, hello, Ok(known));
        }
        let question = Question::Enter {
            token,
            known,
            greeting,
        };
        self.ask(slot, hello, question);
    }

    /// It is known who says hello, or why it may not.
    pub(super) fn hello_answered(
        &mut self,
        slot: usize,
        hello: Suspended,
        outcome: Result<Option<Admission>, Denial>,
    ) {
        let Suspended::Hello {
            id,
            places,
            has_token,
            may_be_nobody,
        } = hello
        else {
            return;
        };
        match outcome {
            Ok(Some(admission)) => self.let_in(slot, id, Some(admission), &places),
            Ok(None) if may_be_nobody => self.let_in(slot, id, None, &places),
            Ok(None) => self.close_refused(slot, &Disconnect::ProtocolError),
            Err(Denial::Refused {
                code: ErrorCode::Unauthenticated,
                ..
            }) if has_token => self.close_refused(slot, &Disconnect::BadToken),
            Err(denial) => {
                if has_token && denial.is_clients_fault() {
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

    /// Lets somebody in, or nobody in particular, that goes on from these places in what it is subscribed to. It is told so when
    /// all of that is known.
    fn let_in(
        &mut self,
        slot: usize,
        id: Option<CommandId>,
        admission: Option<Admission>,
        places: &[WantedTopic],
    ) {
        let half_interval_ms = self.limits.ping_interval_ms / 2;
        let now = self.now.monotonic;
        let identity = admission
            .as_ref()
            .map(|admission| Arc::clone(&admission.identity));
        let Admission {
            topics, leaves, data, ..
        } = admission.unwrap_or_default();
        self.keep_leaves(slot, &topics, leaves, MadeBy::Application);
        let Some(session) = &mut self.sessions[slot] else {
            return;
        };
        session.identity = identity;
        if data
            .as_ref()
            .is_some_and(|data| !session.dialect.carries(data.kind()))
        {
            return self.disconnect(slot, &Disconnect::UnsupportedData, None);
        }
        session.state = SessionState::Open;
        let key = session.waiting.take().and_then(|waiting| waiting.key);
        session.waiting = (key.is_some() || data.is_some()).then(|| {
            Box::new(Waiting {
                data,
                key,
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

    /// A client was told what it calls its session by, and what the application has for it; the hub need not know.
    pub(super) fn forget_welcome(&mut self, slot: usize) {
        let session = self.sessions[slot].as_mut();
        if let Some(waiting) = session.and_then(|session| session.waiting.as_mut()) {
            (waiting.key, waiting.data) = (None, None);
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
