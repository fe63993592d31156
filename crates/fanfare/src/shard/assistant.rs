//! Asks the application on its own runtime and brings the answer back to the shard.

use std::sync::Arc;

use fanfare_hub::access::Identity;
use fanfare_hub::{Answer, Control, Denial, Question, Selector};
use fanfare_protocol::ConnectionId;
use fanfare_protocol::codes::Disconnect;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::mail::Mail;
use super::mailbox::Mailbox;
use crate::handle::WayBack;
use crate::hooks::{Application, Caller};

/// An application and the runtime that its hooks run on.
///
/// A connection asks one question at a time and is not read from meanwhile, and beside it one at a time is asked about
/// subscriptions of it that end: so there are never more tasks than twice the connections.
#[derive(Clone, Debug)]
pub(crate) struct Assistant {
    application: Application,
    way_back: WayBack,
    runtime: Handle,
}

impl Assistant {
    pub(crate) fn new(application: Application, way_back: WayBack, runtime: Handle) -> Self {
        Self {
            application,
            way_back,
            runtime,
        }
    }

    /// Asks; the answer comes as mail.
    pub(super) fn ask(
        &self,
        mailbox: &Arc<Mailbox>,
        (connection, identity): (ConnectionId, Option<Arc<Identity>>),
        question: Question,
    ) {
        let reply = Reply {
            to: Arc::clone(mailbox),
            connection,
            answer: question.denied(Denial::unavailable()),
        };
        let Some(fanfare) = self.way_back.hub() else {
            return;
        };
        let caller = Caller {
            fanfare,
            connection,
            identity,
        };
        let application = self.application.clone();
        if matches!(question, Question::Authenticate { .. }) {
            self.runtime.spawn(let_in(reply, application, caller, question));
        } else {
            self.runtime.spawn(reply.fill(application, caller, question));
        }
    }
}

/// The answer that is owed to a connection. It is posted when this is dropped, so that nobody waits for ever for a hook
/// that panicked or a runtime that ended.
struct Reply {
    to: Arc<Mailbox>,
    connection: ConnectionId,
    answer: Answer,
}

impl Reply {
    async fn fill(mut self, application: Application, caller: Caller, question: Question) {
        self.answer = application.answer(&caller, question).await;
    }
}

/// Answers who shows a token. Where something is revoked meanwhile, it may have come before the answer to the shard and
/// found nobody: then the client is to come again.
async fn let_in(reply: Reply, application: Application, caller: Caller, question: Question) {
    let before = application.revocations();
    let (to, connection) = (Arc::clone(&reply.to), reply.connection);
    reply.fill(application.clone(), caller, question).await;
    if application.revocations() != before {
        let again = Control::Disconnect(Selector::Connection(connection), Disconnect::Reconnect);
        to.post_unbounded(Mail::Control(Box::new(again), oneshot::channel().0));
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        let unanswered = Answer::Call(Err(Denial::unavailable()));
        let answer = std::mem::replace(&mut self.answer, unanswered);
        let mail = Mail::Answered(self.connection, Box::new(answer));
        self.to.post_unbounded(mail);
    }
}
