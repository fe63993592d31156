//! Asks the application on its own runtime and brings the answer back to the shard.

use std::sync::Arc;

use axum::http::HeaderName;
use fanfare_hub::access::Identity;
use fanfare_hub::{Answer, Concerns, Control, Denial, Question, Selector};
use fanfare_protocol::ConnectionId;
use fanfare_protocol::codes::Disconnect;
use fanfare_protocol::dialect::Dialect;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::connection::Connection;
use super::mail::Mail;
use super::mailbox::Mailbox;
use crate::Options;
use crate::entrant::Entrant;
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
    kept_headers: Arc<[HeaderName]>,
    emulated_headers: Arc<[HeaderName]>,
}

/// Whose question it is.
pub(super) struct Whose {
    pub(super) connection: ConnectionId,
    pub(super) identity: Option<Arc<Identity>>,
    pub(super) dialect: Dialect,
    pub(super) entrant: Option<Arc<Entrant>>,
}

impl Assistant {
    pub(crate) fn new(
        options: &Options,
        application: Application,
        way_back: WayBack,
        runtime: Handle,
    ) -> Self {
        Self {
            application,
            way_back,
            runtime,
            kept_headers: options.kept_headers.as_slice().into(),
            emulated_headers: options.emulated_headers.as_slice().into(),
        }
    }

    /// What the application is asked about whatever the rules say.
    pub(super) fn concerns(&self) -> Concerns {
        self.application.concerns()
    }

    /// What the application sees of the request that a connection came with. With its hello that is all of it, for the last
    /// time.
    pub(super) fn entrant(&self, connection: &mut Connection, question: &Question) -> Option<Arc<Entrant>> {
        let Question::Enter { greeting, .. } = question else {
            return connection.entrant.clone();
        };
        let mut entrant = Arc::unwrap_or_clone(connection.entrant.take()?);
        entrant.greeting = Some(greeting.clone());
        entrant.connection = Some(connection.id);
        entrant.emulate(&self.emulated_headers);
        connection.entrant = entrant.kept(&self.kept_headers);
        Some(Arc::new(entrant))
    }

    /// Asks; the answer comes as mail.
    pub(super) fn ask(
        &self,
        mailbox: &Arc<Mailbox>,
        Whose {
            connection,
            identity,
            dialect,
            entrant,
        }: Whose,
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
            dialect,
            entrant,
        };
        let application = self.application.clone();
        if matches!(question, Question::Authenticate { .. } | Question::Enter { .. }) {
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

/// Answers who shows a token, or comes in. Where something of it is revoked meanwhile, that may have come before the answer to
/// the shard and found nobody: then the client is to come again.
async fn let_in(mut reply: Reply, application: Application, caller: Caller, question: Question) {
    let before = application.revocations();
    let (to, connection) = (Arc::clone(&reply.to), reply.connection);
    reply.answer = application.answer(&caller, question).await;
    let identity = match &reply.answer {
        Answer::Authenticate(Ok(admission)) | Answer::Enter(Ok(Some(admission))) => {
            Some(Arc::clone(&admission.identity))
        }
        _ => None,
    };
    drop(reply);
    if identity.is_some_and(|identity| application.is_recalled(&identity, before)) {
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
