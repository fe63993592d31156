//! Commands on their way from the program to the driver and back.

use std::sync::Arc;

use fanfare_protocol::PublishOptions;
use serde_json::value::RawValue;
use tokio::sync::oneshot;

use crate::command::SubscribeOptions;
use crate::delivery::Queue;
use crate::error::Error;
use crate::history::HistoryOptions;
use crate::incoming::Reply;
use crate::presence::PresenceOptions;
use crate::token::Token;

/// A command on its way to the driver.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) asking: Asking,
    pub(crate) answer: Answer,
}

/// Where the outcome of a command goes.
pub(crate) type Answer = oneshot::Sender<Result<Reply, Error>>;

/// What is asked.
#[derive(Debug)]
pub(crate) enum Asking {
    Subscribe {
        topics: Vec<String>,
        options: SubscribeOptions,
        token: Option<Token>,
        /// Where what happens to the topics goes; to the program's `next` without.
        queue: Option<Arc<Queue>>,
    },
    Unsubscribe {
        topics: Vec<String>,
    },
    Publish {
        topic: String,
        data: Box<RawValue>,
        options: PublishOptions,
    },
    History {
        topic: String,
        options: HistoryOptions,
    },
    Presence {
        topic: String,
        options: PresenceOptions,
    },
    Call {
        method: String,
        data: Box<RawValue>,
    },
    Ping,
}

/// What is done when the reply to a command comes.
#[derive(Debug)]
pub(crate) enum Pending {
    /// Its caller is told.
    Command { answer: Answer },
    /// The topics' pushes get their way, and the caller is told.
    Subscribing {
        answer: Answer,
        topics: Vec<String>,
        queue: Option<Arc<Queue>>,
    },
    /// The topics' subscriptions end, and the caller is told.
    Unsubscribing { answer: Answer, topics: Vec<String> },
    /// The driver unsubscribed from a topic that nobody wanted any more.
    Leaving { topic: String },
    /// The driver showed a token.
    Authentication,
}

impl Pending {
    /// What follows on what is asked.
    pub(crate) fn new(asking: Asking, answer: Answer) -> Self {
        match asking {
            Asking::Subscribe { topics, queue, .. } => Self::Subscribing {
                answer,
                topics,
                queue,
            },
            Asking::Unsubscribe { topics } => Self::Unsubscribing { answer, topics },
            _ => Self::Command { answer },
        }
    }

    /// The topics that it subscribes to.
    pub(crate) fn subscribing(&self) -> &[String] {
        match self {
            Self::Subscribing { topics, .. } => topics,
            _ => &[],
        }
    }
}
