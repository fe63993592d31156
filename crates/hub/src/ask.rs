//! What a hub asks of the application, and what it is answered.

use std::collections::VecDeque;
use std::sync::Arc;

use fanfare_protocol::codes::{Disconnect, ErrorCode};
use fanfare_protocol::{
    CommandId, Draft, Greeting, IdempotencyKey, Millis, Payload, Reading, SessionKey, StateVersion, Tags,
    TopicName,
};

use crate::access::{Action, Identity};
use crate::hub::Look;
use crate::session::Wishes;
use crate::{Leave, Leaves, Ticket, WantedTopic};

/// What the application is to decide. Until it has, the connection that asks is not read from, so that its commands
/// stay in order and its line is TCP's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Who is it that shows this token?
    Authenticate {
        /// As the client sent it.
        token: Box<str>,
    },
    /// May it come in that says hello, and as whom?
    Enter {
        /// The token that it shows, if it does.
        token: Option<Box<str>>,
        /// Who it is without that, where it is known.
        known: Option<Admission>,
        /// What it says of itself.
        greeting: Box<Greeting>,
    },
    /// Who is it from now on whose identity has come to its end? Asked where the application [wants](Concerns::endings) it.
    Renew,
    /// May it receive these topics?
    Subscribe {
        /// Those about which the rules ask, or of which they say no and the token may say yes.
        topics: Vec<TopicName>,
        /// The token that the command carries, if it does.
        token: Option<Box<str>>,
    },
    /// May it publish this?
    Publish(Draft),
    /// May it see this of a topic?
    Inspect {
        /// Who is there, or what was published.
        action: Action,
        /// The topic.
        topic: TopicName,
    },
    /// May it go on receiving this topic, now that its leave has ended? It is asked beside what the connection asks itself,
    /// which is read from meanwhile; about one topic at a time.
    RenewSubscription {
        /// The topic.
        topic: TopicName,
    },
    /// What does this procedure give?
    Call {
        /// Its name.
        method: Box<str>,
        /// What it is called with.
        payload: Payload,
    },
}

/// What the application decided: of the same kind as the question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Who it is.
    Authenticate(Result<Admission, Denial>),
    /// Who comes in; nobody in particular with `None`, if such may.
    Enter(Result<Option<Admission>, Denial>),
    /// Who it is from now on; with `None` it has ended. A denial that is [temporary](ErrorCode::is_temporary) is no answer.
    Renew(Result<Option<Arc<Identity>>, Denial>),
    /// It may receive the topics.
    Subscribe(Result<Leaves, Denial>),
    /// It may publish, with this said otherwise.
    Publish(Result<Amendment, Denial>),
    /// It may see what it asked for.
    Inspect(Result<(), Denial>),
    /// For how long it may go on receiving the topic, from now on; and how others see it there, where that is another.
    RenewSubscription(TopicName, Result<Leave, Denial>),
    /// What the procedure gave.
    Call(Result<Payload, Denial>),
}

/// Somebody who is let in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admission {
    /// Who it is.
    pub identity: Arc<Identity>,
    /// Topics that it is subscribed to whatever the rules say.
    pub topics: Vec<TopicName>,
    /// What comes with some of them; with the others nothing does.
    pub leaves: Vec<(TopicName, Leave)>,
    /// What the application has for it, in a dialect in which clients are told so when they are let in. One that has no
    /// words for such a payload closes.
    pub data: Option<Payload>,
}

/// What the application is asked about, whatever the rules say. By default nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Concerns {
    /// Everybody who says hello, in a dialect in which clients do: [`Question::Enter`]. Without, it is asked about tokens.
    pub newcomers: bool,
    /// Everybody whose identity comes to its end: [`Question::Renew`]. Then clients are not told when that is, and go when
    /// nobody has answered for 25 s.
    pub endings: bool,
}

/// Somebody who has yet to say hello.
pub(crate) struct Newcomer {
    /// Who it is, where that was settled when it was opened.
    pub(crate) known: Option<Admission>,
    /// Whether it may come in as nobody in particular.
    pub(crate) may_be_nobody: bool,
}

/// What the application says of a publication in place of its publisher, or beside it. What it leaves out stays as it is; by
/// default that is everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Amendment {
    /// What it carries.
    pub payload: Option<Payload>,
    /// What it is known by when it is sent again.
    pub idempotency_key: Option<IdempotencyKey>,
    /// Which state of something it has: it is published only if that is newer than what the topic has.
    pub version: Option<StateVersion>,
    /// What it is labelled with.
    pub tags: Option<Tags>,
}

impl From<Payload> for Amendment {
    /// This payload, and the rest as it is.
    fn from(payload: Payload) -> Self {
        Self {
            payload: Some(payload),
            ..Self::default()
        }
    }
}

impl Amendment {
    pub(crate) fn apply(self, draft: &mut Draft) {
        let Self {
            payload,
            idempotency_key,
            version,
            tags,
        } = self;
        if let Some(payload) = payload {
            draft.payload = payload;
        }
        draft.idempotency_key = idempotency_key.or_else(|| draft.idempotency_key.take());
        draft.version = version.map(Box::new).or_else(|| draft.version.take());
        draft.tags = tags.or_else(|| draft.tags.take());
    }
}

/// What a connection waits for.
#[derive(Default)]
pub(crate) struct Waiting {
    /// The command that somebody was asked about: until it is answered nothing more is taken in.
    pub(crate) suspended: Option<Suspended>,
    /// What it asked for when it was opened, until it has said who it is.
    pub(crate) entry: Option<(Vec<WantedTopic>, Wishes)>,
    /// What is settled of it until it says hello.
    pub(crate) newcomer: Option<Newcomer>,
    /// What the application has for it, until it is told.
    pub(crate) data: Option<Payload>,
    /// When to ask again who it is, where nobody has answered.
    pub(crate) renewal_due: Option<Millis>,
    /// How many of its tokens were refused.
    pub(crate) refused_tokens: u32,
    /// What it calls its session by, until it is told.
    pub(crate) key: Option<Box<SessionKey>>,
}

/// A command that waits for the application, or for what the broker reads.
pub(crate) enum Suspended {
    /// To say who it is.
    Authenticate(Option<CommandId>),
    /// To be let in.
    Hello {
        id: Option<CommandId>,
        places: Vec<WantedTopic>,
        has_token: bool,
        may_be_nobody: bool,
    },
    /// Nothing: it is asked who it is from now on.
    Ending,
    /// To receive topics.
    Subscribe {
        id: Option<CommandId>,
        topics: Vec<WantedTopic>,
        /// Those that the application was asked about.
        asked: Vec<TopicName>,
        wishes: Wishes,
    },
    /// To go on receiving a topic.
    Renew { id: Option<CommandId>, topic: TopicName },
    /// To publish; behind the first, what is still to be looked at.
    Publish(VecDeque<(Ticket, Draft)>),
    /// To read history.
    History {
        id: Option<CommandId>,
        topic: TopicName,
        asked: Reading,
        limit: u32,
    },
    /// To see who is there.
    Presence {
        id: Option<CommandId>,
        topic: TopicName,
        look: Look,
    },
    /// To call a procedure.
    Call(Option<CommandId>),
    /// Nothing that the application knows of: the broker reads.
    Read,
}

/// Why something was not allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denial {
    /// The command is refused.
    Refused {
        /// The code of the table.
        code: ErrorCode,
        /// What the client is told.
        message: String,
        /// When to ask again, in milliseconds, if that may help.
        retry_after_ms: Option<u64>,
        /// The application's own number for it, which the hub hands on and does not look at.
        application_code: Option<u16>,
    },
    /// The connection is closed.
    Closed(Disconnect),
}

impl Denial {
    /// A refusal that waiting does not help.
    pub fn refused(code: ErrorCode, message: impl Into<String>) -> Self {
        Self::Refused {
            code,
            message: message.into(),
            retry_after_ms: None,
            application_code: None,
        }
    }

    /// A refusal with the code `forbidden`.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::refused(ErrorCode::Forbidden, message)
    }

    /// A refusal with the code `unauthenticated`: the token is not accepted. It counts against the client.
    pub fn unauthenticated(message: impl Into<String>) -> Self {
        Self::refused(ErrorCode::Unauthenticated, message)
    }

    /// Whether a token is to blame, which counts against the client.
    pub(crate) fn is_clients_fault(&self) -> bool {
        matches!(
            self,
            Self::Refused {
                code: ErrorCode::Unauthenticated | ErrorCode::TokenExpired,
                ..
            }
        )
    }

    /// Whether it may be otherwise later.
    pub(crate) fn is_temporary(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code.is_temporary())
    }

    /// The answer of nobody: the application could not be asked.
    pub fn unavailable() -> Self {
        Self::Refused {
            code: ErrorCode::Unavailable,
            message: "the application does not answer, try again later".to_owned(),
            retry_after_ms: Some(UNAVAILABLE_RETRY_MS),
            application_code: None,
        }
    }
}

impl Question {
    /// The answer where there is no application to be asked.
    pub fn unasked(&self) -> Answer {
        self.denied(match self {
            Self::Authenticate { .. } | Self::Enter { token: Some(_), .. } => {
                Denial::unauthenticated("tokens are not accepted here")
            }
            Self::Enter {
                token: None, known, ..
            } => return Answer::Enter(Ok(known.clone())),
            Self::Renew => Denial::unavailable(),
            Self::Subscribe { .. }
            | Self::Publish(_)
            | Self::Inspect { .. }
            | Self::RenewSubscription { .. } => Denial::forbidden("there is no application to ask for leave"),
            Self::Call { .. } => Denial::refused(ErrorCode::NotAvailable, "there are no methods here"),
        })
    }

    /// The answer that denies it.
    pub fn denied(&self, denial: Denial) -> Answer {
        match self {
            Self::Authenticate { .. } => Answer::Authenticate(Err(denial)),
            Self::Enter { .. } => Answer::Enter(Err(denial)),
            Self::Renew => Answer::Renew(Err(denial)),
            Self::Subscribe { .. } => Answer::Subscribe(Err(denial)),
            Self::Publish(_) => Answer::Publish(Err(denial)),
            Self::Inspect { .. } => Answer::Inspect(Err(denial)),
            Self::RenewSubscription { topic } => Answer::RenewSubscription(topic.clone(), Err(denial)),
            Self::Call { .. } => Answer::Call(Err(denial)),
        }
    }
}

/// When to ask again what the application did not answer, in milliseconds.
const UNAVAILABLE_RETRY_MS: u64 = 1_000;
