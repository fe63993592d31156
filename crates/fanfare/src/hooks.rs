//! What the application decides: who somebody is, and what the rules leave to it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use fanfare_hub::access::{Action, Identity};
use fanfare_hub::{Admission, Amendment, Answer, Concerns, Denial, Leave, Leaves, Question};
use fanfare_protocol::codes::ErrorCode;
use fanfare_protocol::dialect::Dialect;
use fanfare_protocol::{ConnectionId, Draft, Payload, TopicName, UserName};

use crate::entrant::Entrant;
use crate::notices::Notice;
#[cfg(feature = "tokens")]
use crate::tokens::{TokenRefusal, Tokens};
use crate::{Fanfare, UserTopic};

/// Decisions of the application. Every method has a default, so an application writes those that it needs; the rules of
/// topics say when the others are asked ([`Who::Hook`](crate::Who::Hook)).
///
/// They run on the application's tokio runtime, never on a shard. The connection that asked waits, and its commands
/// behind this one with it, in order; nobody else does. So a hook should answer soon, or with
/// [`Denial::unavailable`]: nothing here ends one that does not. A hook that panics has answered just that.
///
/// ```
/// use fanfare::{Amendment, Caller, Denial, Draft, Hooks};
///
/// struct Moderator;
///
/// impl Hooks for Moderator {
///     async fn publish(&self, _: &Caller, draft: &Draft) -> Result<Amendment, Denial> {
///         match std::str::from_utf8(draft.payload.as_bytes()) {
///             Ok(text) if text.contains("spam") => Err(Denial::forbidden("no advertising, please")),
///             _ => Ok(Amendment::default()),
///         }
///     }
/// }
/// ```
pub trait Hooks: Send + Sync + 'static {
    /// Who shows this token: at the door, or with the command `auth`. By default nobody is known.
    fn authenticate(&self, token: &str) -> impl Future<Output = Result<Admission, Denial>> + Send {
        let _ = token;
        async { Err(Denial::unauthenticated("tokens are not accepted here")) }
    }

    /// Whether [`authenticate`](Self::authenticate) can tell who anybody is. Where it says no, tokens at the door are left
    /// to `connect`, which sees the whole request, and nobody is waited for to say who it is. By default yes.
    fn reads_tokens(&self) -> bool {
        true
    }

    /// Whether somebody may connect, and as whom: asked at the door, with who it is if that is known by then, or when a
    /// client says [hello](Entrant::greeting), where it does. What it gives takes the place of `admission`. By default
    /// everyone stays who they are.
    fn connect(
        &self,
        entrant: &Entrant,
        admission: Option<Admission>,
    ) -> impl Future<Output = Result<Option<Admission>, Denial>> + Send {
        let _ = entrant;
        async { Ok(admission) }
    }

    /// Whether [`renew`](Self::renew) is asked about everybody whose identity has come to its
    /// [end](Identity::expires_at). Then clients are not told when that is, and need not show another token. By default no.
    fn renews(&self) -> bool {
        false
    }

    /// Who a client is from now on whose identity has come to its end: the same user with a later end, and perhaps more that
    /// has changed; with `None` its connection is closed. It stays who it was until this is answered, and is asked again
    /// every few seconds where the answer is [`Denial::unavailable`], for 25 s. By default it is over.
    fn renew(&self, caller: &Caller) -> impl Future<Output = Result<Option<Arc<Identity>>, Denial>> + Send {
        let _ = caller;
        async { Ok(None) }
    }

    /// Whether somebody may receive all of these topics, for how long, and what comes with them: `Ok(Leaves::default())` is
    /// a plain yes. Asked again with a token where somebody shows another one for a topic that it has. By default not.
    ///
    /// ```
    /// use fanfare::{Caller, Denial, Hooks, Leave, Leaves, Payload, Timestamp, TopicName};
    ///
    /// struct Shop {
    ///     sale_ends_at: Timestamp,
    /// }
    ///
    /// impl Hooks for Shop {
    ///     async fn subscribe(
    ///         &self,
    ///         _: &Caller,
    ///         _: &[TopicName],
    ///         _: Option<&str>,
    ///     ) -> Result<Leaves, Denial> {
    ///         Ok(Leaves::from(Leave {
    ///             expires_at: Some(self.sale_ends_at),
    ///             data: Some(Payload::text("everything must go")),
    ///             ..Leave::default()
    ///         }))
    ///     }
    /// }
    /// ```
    fn subscribe(
        &self,
        caller: &Caller,
        topics: &[TopicName],
        token: Option<&str>,
    ) -> impl Future<Output = Result<Leaves, Denial>> + Send {
        let _ = (caller, topics, token);
        async { Err(Denial::forbidden("this topic is not open to you")) }
    }

    /// Whether somebody may go on receiving a topic whose [leave](Leave) has ended, which did not come from a token, and from
    /// now on how long: `Ok(Leave::default())` is for ever. Its commands do not wait for this. A refusal ends the
    /// subscription; after a temporary one, such as [`Denial::unavailable`], it is asked again every five seconds until 25
    /// seconds have passed. By default not.
    fn renew_subscription(
        &self,
        caller: &Caller,
        topic: &TopicName,
    ) -> impl Future<Output = Result<Leave, Denial>> + Send {
        let _ = (caller, topic);
        async { Err(Denial::forbidden("this topic is not open to you any more")) }
    }

    /// Whether somebody may publish this, and what is published in its place, if something else is; a
    /// [payload](Amendment::from) for instance. By default not.
    fn publish(
        &self,
        caller: &Caller,
        draft: &Draft,
    ) -> impl Future<Output = Result<Amendment, Denial>> + Send {
        let _ = (caller, draft);
        async { Err(Denial::forbidden("publishing to this topic is not open to you")) }
    }

    /// Whether somebody may read what was published to a topic ([`Action::History`]) or see who is there
    /// ([`Action::Presence`]). Not asked when somebody subscribes and [`subscribe`](Self::subscribe) is asked about that: its
    /// yes is one for both. By default not.
    fn inspect(
        &self,
        caller: &Caller,
        action: Action,
        topic: &TopicName,
    ) -> impl Future<Output = Result<(), Denial>> + Send {
        let _ = (caller, action, topic);
        async { Err(Denial::forbidden("this topic is not open to you")) }
    }

    /// What happened: who came and went, and which topics have somebody, where
    /// [`Options::notices`](crate::Options::notices) asks for it. One at a time and in order: the next one waits until
    /// this is done. It may publish what it has learnt. By default nothing is done.
    fn notice(&self, fanfare: &Fanfare, notice: Notice) -> impl Future<Output = ()> + Send {
        let _ = (fanfare, notice);
        async {}
    }

    /// What a procedure gives to somebody who calls it. By default there are none.
    fn call(
        &self,
        caller: &Caller,
        method: &str,
        payload: &Payload,
    ) -> impl Future<Output = Result<Payload, Denial>> + Send {
        let _ = (caller, method, payload);
        async {
            Err(Denial::refused(
                ErrorCode::NotAvailable,
                "there are no methods here",
            ))
        }
    }
}

/// Whose command the application is asked about.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The hub that asks: to publish something else besides, or to subscribe the connection.
    pub fanfare: Fanfare,
    /// Its connection.
    pub connection: ConnectionId,
    /// Who it is; `None` for an anonymous one.
    pub identity: Option<Arc<Identity>>,
    /// The dialect that it speaks.
    pub dialect: Dialect,
    /// The request that it came with, as far as [`Options::kept_headers`](crate::Options::kept_headers) has that kept; `None`
    /// where it names no header.
    pub entrant: Option<Arc<Entrant>>,
}

impl Caller {
    /// Its user, if it has one.
    pub fn user(&self) -> Option<&UserName> {
        self.identity.as_ref()?.user.as_ref()
    }
}

/// The application's hooks, whatever type they are, and the tokens that need none.
#[derive(Clone)]
pub struct Application {
    hooks: Arc<dyn AnyHooks>,
    #[cfg(feature = "tokens")]
    tokens: Option<Tokens>,
    user_topic: Option<UserTopic>,
}

impl Application {
    /// These hooks.
    pub fn new(hooks: impl Hooks) -> Self {
        Self {
            hooks: Arc::new(hooks),
            #[cfg(feature = "tokens")]
            tokens: None,
            user_topic: None,
        }
    }

    /// Nothing but tokens.
    #[cfg(feature = "tokens")]
    pub fn of_tokens(tokens: Tokens) -> Self {
        Self::default().with_tokens(tokens)
    }

    /// These hooks, behind tokens: `authenticate` is not called any more, nor `subscribe` for a command that carries a
    /// token, which then decides alone. `connect` is told who it is by the token, and may make somebody else of it.
    #[cfg(feature = "tokens")]
    pub fn with_tokens(self, tokens: Tokens) -> Self {
        Self {
            tokens: Some(tokens),
            ..self
        }
    }

    /// These hooks, and whoever has a user name is subscribed to a topic of its own when it comes, whatever the rules say.
    pub fn with_user_topic(self, topic: UserTopic) -> Self {
        Self {
            user_topic: Some(topic),
            ..self
        }
    }

    /// The tokens that it was given.
    #[cfg(feature = "tokens")]
    pub fn tokens(&self) -> Option<&Tokens> {
        self.tokens.as_ref()
    }

    /// How often tokens were revoked. Who is let in between two counts that differ may have shown one of them.
    #[cfg_attr(
        not(feature = "tokens"),
        expect(clippy::unused_self, reason = "nothing is revoked without")
    )]
    pub(crate) fn revocations(&self) -> u64 {
        #[cfg(feature = "tokens")]
        if let Some(tokens) = &self.tokens {
            return tokens.revocations();
        }
        0
    }

    /// Whether something that may be `identity`'s was revoked since there were so many revocations.
    #[cfg_attr(
        not(feature = "tokens"),
        expect(clippy::unused_self, reason = "nothing is revoked without")
    )]
    pub(crate) fn is_recalled(&self, identity: &Identity, revocations: u64) -> bool {
        #[cfg(feature = "tokens")]
        if let Some(tokens) = &self.tokens {
            return tokens.revocations() != revocations && tokens.may_be_revoked(identity);
        }
        let _ = (identity, revocations);
        false
    }

    /// Whether tokens tell who somebody is.
    pub(crate) fn reads_tokens(&self) -> bool {
        #[cfg(feature = "tokens")]
        if self.tokens.is_some() {
            return true;
        }
        self.hooks.reads_tokens()
    }

    /// Who shows a token.
    pub(crate) async fn authenticate(&self, token: &str) -> Result<Admission, Denial> {
        #[cfg(feature = "tokens")]
        if let Some(tokens) = &self.tokens {
            return tokens.authenticate(token).await.map_err(TokenRefusal::denial);
        }
        self.hooks.authenticate(token).await
    }

    /// Whether somebody may receive topics.
    async fn subscribe(
        &self,
        caller: &Caller,
        topics: &[TopicName],
        token: Option<&str>,
    ) -> Result<Leaves, Denial> {
        #[cfg(feature = "tokens")]
        if let (Some(tokens), Some(token)) = (&self.tokens, token) {
            let whose = (caller.user(), caller.connection);
            let outcome = tokens.authorise(token, whose, topics).await;
            return outcome
                .map(Leaves::from)
                .map_err(TokenRefusal::denial_to_subscribe);
        }
        self.hooks.subscribe(caller, topics, token).await
    }

    /// Who comes in that says hello, be it with a token or as who is known already.
    async fn enter(
        &self,
        caller: &Caller,
        token: Option<Box<str>>,
        known: Option<Admission>,
    ) -> Result<Option<Admission>, Denial> {
        let admission = match token {
            Some(token) => Some(self.authenticate(&token).await?),
            None => known,
        };
        match &caller.entrant {
            Some(entrant) => self.connect(entrant, admission).await,
            None => Ok(admission),
        }
    }

    /// What it is asked about, whatever the rules say.
    pub(crate) fn concerns(&self) -> Concerns {
        Concerns {
            newcomers: true,
            endings: self.hooks.renews(),
        }
    }

    /// Whether somebody may connect.
    pub(crate) async fn connect(
        &self,
        entrant: &Entrant,
        admission: Option<Admission>,
    ) -> Result<Option<Admission>, Denial> {
        let admission = self.hooks.connect(entrant, admission).await?;
        Ok(admission.map(|admission| self.with_topic_of_user(admission)))
    }

    /// Somebody who is let in, with the topic of its user.
    fn with_topic_of_user(&self, mut admission: Admission) -> Admission {
        let topic = self.user_topic.as_ref();
        let topic = topic.and_then(|topic| topic.of(admission.identity.user.as_ref()?));
        let is_new = |topic: &TopicName| !admission.topics.contains(topic);
        let topic = topic.filter(is_new);
        admission.topics.extend(topic);
        admission
    }

    /// Tells what happened.
    pub(crate) async fn notice(&self, fanfare: &Fanfare, notice: Notice) {
        self.hooks.notice(fanfare, notice).await;
    }

    /// What the application answers to a question of a hub.
    pub(crate) async fn answer(&self, caller: &Caller, question: Question) -> Answer {
        match question {
            Question::Authenticate { token } => {
                let admission = self.authenticate(&token).await;
                Answer::Authenticate(admission.map(|admission| self.with_topic_of_user(admission)))
            }
            Question::Enter { token, known, .. } => Answer::Enter(self.enter(caller, token, known).await),
            Question::Renew => Answer::Renew(self.hooks.renew(caller).await),
            Question::Subscribe { topics, token } => {
                Answer::Subscribe(self.subscribe(caller, &topics, token.as_deref()).await)
            }
            Question::Publish(draft) => Answer::Publish(self.hooks.publish(caller, &draft).await),
            Question::Inspect { action, topic } => {
                Answer::Inspect(self.hooks.inspect(caller, action, &topic).await)
            }
            Question::RenewSubscription { topic } => {
                let outcome = self.hooks.renew_subscription(caller, &topic).await;
                Answer::RenewSubscription(topic, outcome)
            }
            Question::Call { method, payload } => {
                Answer::Call(self.hooks.call(caller, &method, &payload).await)
            }
        }
    }
}

impl Default for Application {
    /// One that decides nothing.
    fn default() -> Self {
        struct NoHooks;

        impl Hooks for NoHooks {}

        Self::new(NoHooks)
    }
}

impl std::fmt::Debug for Application {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Application")
    }
}

/// [`Hooks`] behind a pointer.
trait AnyHooks: Send + Sync {
    fn authenticate<'a>(&'a self, token: &'a str) -> Deciding<'a, Admission>;
    fn reads_tokens(&self) -> bool;
    fn renews(&self) -> bool;
    fn renew<'a>(&'a self, caller: &'a Caller) -> Deciding<'a, Option<Arc<Identity>>>;
    fn connect<'a>(
        &'a self,
        entrant: &'a Entrant,
        admission: Option<Admission>,
    ) -> Deciding<'a, Option<Admission>>;
    fn subscribe<'a>(
        &'a self,
        caller: &'a Caller,
        topics: &'a [TopicName],
        token: Option<&'a str>,
    ) -> Deciding<'a, Leaves>;
    fn renew_subscription<'a>(&'a self, caller: &'a Caller, topic: &'a TopicName) -> Deciding<'a, Leave>;
    fn publish<'a>(&'a self, caller: &'a Caller, draft: &'a Draft) -> Deciding<'a, Amendment>;
    fn inspect<'a>(&'a self, caller: &'a Caller, action: Action, topic: &'a TopicName) -> Deciding<'a, ()>;
    fn call<'a>(&'a self, caller: &'a Caller, method: &'a str, payload: &'a Payload)
    -> Deciding<'a, Payload>;
    fn notice<'a>(
        &'a self,
        fanfare: &'a Fanfare,
        notice: Notice,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;
}

/// A decision under way.
type Deciding<'a, T> = Pin<Box<dyn Future<Output = Result<T, Denial>> + Send + 'a>>;

impl<H: Hooks> AnyHooks for H {
    fn authenticate<'a>(&'a self, token: &'a str) -> Deciding<'a, Admission> {
        Box::pin(Hooks::authenticate(self, token))
    }

    fn reads_tokens(&self) -> bool {
        Hooks::reads_tokens(self)
    }

    fn renews(&self) -> bool {
        Hooks::renews(self)
    }

    fn renew<'a>(&'a self, caller: &'a Caller) -> Deciding<'a, Option<Arc<Identity>>> {
        Box::pin(Hooks::renew(self, caller))
    }

    fn connect<'a>(
        &'a self,
        entrant: &'a Entrant,
        admission: Option<Admission>,
    ) -> Deciding<'a, Option<Admission>> {
        Box::pin(Hooks::connect(self, entrant, admission))
    }

    fn subscribe<'a>(
        &'a self,
        caller: &'a Caller,
        topics: &'a [TopicName],
        token: Option<&'a str>,
    ) -> Deciding<'a, Leaves> {
        Box::pin(Hooks::subscribe(self, caller, topics, token))
    }

    fn renew_subscription<'a>(&'a self, caller: &'a Caller, topic: &'a TopicName) -> Deciding<'a, Leave> {
        Box::pin(Hooks::renew_subscription(self, caller, topic))
    }

    fn publish<'a>(&'a self, caller: &'a Caller, draft: &'a Draft) -> Deciding<'a, Amendment> {
        Box::pin(Hooks::publish(self, caller, draft))
    }

    fn inspect<'a>(&'a self, caller: &'a Caller, action: Action, topic: &'a TopicName) -> Deciding<'a, ()> {
        Box::pin(Hooks::inspect(self, caller, action, topic))
    }

    fn call<'a>(
        &'a self,
        caller: &'a Caller,
        method: &'a str,
        payload: &'a Payload,
    ) -> Deciding<'a, Payload> {
        Box::pin(Hooks::call(self, caller, method, payload))
    }

    fn notice<'a>(
        &'a self,
        fanfare: &'a Fanfare,
        notice: Notice,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(Hooks::notice(self, fanfare, notice))
    }
}
