//! What the holder of a key may do, asked before anything is done.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::Extensions;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use axum::routing::MethodRouter;
use fanfare::{Action, Fanfare, KeyScopes, Subject, TopicName, Verdict};

use super::answer::{Code, Problem};

/// Who calls: the name of the key and what it may do. A request that was let in carries one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Caller {
    pub(super) key: Arc<str>,
    pub(super) scopes: Arc<KeyScopes>,
}

/// What a path needs whatever is asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// To read figures.
    Stats,
    /// Everything.
    Admin,
}

impl Caller {
    /// Whoever is trusted without a key: a program on this machine.
    pub(super) fn local() -> Self {
        let scopes = KeyScopes {
            admin: true,
            ..KeyScopes::default()
        };
        Self {
            key: Arc::from("of this machine"),
            scopes: Arc::new(scopes),
        }
    }

    /// Who sent a request that was let in.
    pub(super) fn of(request: &Request) -> Result<Self, Problem> {
        Self::among(request.extensions())
    }

    /// The same, of a request that is taken apart.
    pub(super) fn among(extensions: &Extensions) -> Result<Self, Problem> {
        let caller = extensions.get::<Self>().cloned();
        caller.ok_or_else(|| Problem::new(Code::Unauthorized, "nobody knows who calls"))
    }

    /// Whether it may publish to a topic.
    ///
    /// # Errors
    /// It may not; the message has the scope that is missing.
    pub(super) fn check_publish(&self, fanfare: &Fanfare, topic: &TopicName) -> Result<(), Problem> {
        if self.may(fanfare, Action::Publish, topic) {
            return Ok(());
        }
        Err(self.lacks(&format!("publish:{topic}")))
    }

    /// Whether it may read what was published to a topic.
    ///
    /// # Errors
    /// It may not; the message has the scope that is missing.
    pub(super) fn check_history(&self, fanfare: &Fanfare, topic: &TopicName) -> Result<(), Problem> {
        let may = self.may(fanfare, Action::History, topic);
        may.then_some(()).ok_or_else(|| self.lacks("stats"))
    }

    fn may(&self, fanfare: &Fanfare, action: Action, topic: &TopicName) -> bool {
        let key = Subject::Key(&self.scopes);
        fanfare.rules().decide(key, action, topic) == Verdict::Allowed
    }

    /// Whether it may use a path.
    ///
    /// # Errors
    /// It may not; the message has the scope that is missing.
    pub(super) fn check(&self, scope: Scope) -> Result<(), Problem> {
        let (may, name) = match scope {
            Scope::Stats => (self.scopes.stats || self.scopes.admin, "stats"),
            Scope::Admin => (self.scopes.admin, "admin"),
        };
        may.then_some(()).ok_or_else(|| self.lacks(name))
    }

    fn lacks(&self, scope: &str) -> Problem {
        let message = format!(
            "the key `{}` has no scope `{scope}`, use another key or give it that scope",
            self.key
        );
        Problem::new(Code::Forbidden, message)
    }
}

impl Scope {
    /// Puts itself before handlers.
    pub(super) fn before<S: Clone + Send + Sync + 'static>(
        self,
        methods: MethodRouter<S>,
    ) -> MethodRouter<S> {
        methods.route_layer(from_fn(move |request: Request, next: Next| {
            self.let_in(request, next)
        }))
    }

    /// Lets a request go on, or answers in its place.
    pub(super) async fn let_in(self, request: Request, next: Next) -> Response {
        match Caller::of(&request).and_then(|caller| caller.check(self)) {
            Ok(()) => next.run(request).await,
            Err(problem) => problem.into_response(),
        }
    }
}
