//! Hooks over HTTP: the operator's backend decides what the rules of topics leave to it.
//!
//! In come the questions of [`fanfare::Hooks`]; each goes as signed JSON to the URL of its kind, and what comes back is
//! the answer. A backend that is slow, dead or talks nonsense delays only those who wait for it: each question has a
//! deadline, each URL a line of bounded length and a [breaker]. What a client is told is what the backend says to
//! it, or that there is no answer. `docs/hooks.md` is the page for those who write backends.
//!
//! Who somebody is by its token is not decided here.

mod answer;
mod backend;
mod breaker;
mod centrifugo;
mod counts;
mod courier;
mod format;
mod kind;
mod line;
mod metrics;
mod permit;
mod question;
mod signature;
mod url;

use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use axum::http::HeaderName;
use fanfare::{
    Action, Admission, Amendment, Application, Caller, Denial, Draft, Entrant, Fanfare, Hooks, HostFamily,
    Identity, Leave, Leaves, Notice, Payload, Selector, Timestamp, TopicName,
};
use tokio::time::Instant;

use crate::notices::Notices;
use crate::options::Secret;
use answer::{Checked, Consent, Decision, Entry, Refreshed, Unread};
use backend::Backend;
pub(crate) use backend::HookBounds;
use centrifugo::CentrifugoHooks;
pub(crate) use centrifugo::{json_in_base64, json_or_bytes};
use counts::{HookCounts, Outcome};
pub(crate) use courier::Courier;
use courier::Letter;
pub(crate) use format::HookFormat;
use kind::HookKind;
use permit::{Permit, Renewal};
use question::Question;
pub(crate) use signature::Signer;
pub(crate) use url::{HookHeader, HookUrl};

/// What there is to be set about hooks.
pub(crate) struct HookSettings {
    /// The URL of each kind, of connect, refresh, subscribe, publish, inspect, call and sub_refresh. A kind without one is not
    /// asked.
    pub(crate) urls: [Option<HookUrl>; 7],
    /// What requests are signed with, each.
    pub(crate) secrets: Vec<Secret>,
    /// Headers of clients that go along.
    pub(crate) headers: Vec<HeaderName>,
    /// In whose words they are asked.
    pub(crate) format: HookFormat,
    /// Bounds on each URL.
    pub(crate) bounds: HookBounds,
    /// Bytes of a payload that comes from a backend.
    pub(crate) payload_bytes_max: usize,
    /// Where notices go, if they go anywhere.
    pub(crate) notices: Option<Notices>,
}

/// Hooks that ask over HTTP. Cloning gives another handle to the same ones.
#[derive(Clone)]
pub(crate) struct HttpHooks(Arc<Inner>);

struct Inner {
    /// Kinds with the same URL share its line and its breaker.
    backends: [Option<Arc<Backend>>; HookKind::ALL.len()],
    headers: Vec<HeaderName>,
    format: HookFormat,
    payload_bytes_max: usize,
    counts: HookCounts,
    notices: Option<Notices>,
}

/// Every hook at its default: what is not asked over HTTP.
struct Unasked;

impl Hooks for Unasked {}

impl HttpHooks {
    /// # Errors
    /// There is an `https` URL and the system has no certificates to trust.
    pub(crate) fn new(settings: HookSettings) -> io::Result<Self> {
        let HookSettings { urls, bounds, .. } = settings;
        let needs_tls = urls.iter().flatten().any(HookUrl::is_https);
        let courier = Courier::new(Signer::new(&settings.secrets), needs_tls, bounds.timeout)?;
        let mut known: Vec<Arc<Backend>> = Vec::new();
        let backends = urls.map(|url| {
            let uri = url?.into_uri();
            let same = known.iter().find(|backend| *backend.uri() == uri).cloned();
            let backend = same.unwrap_or_else(|| Arc::new(Backend::new(uri, courier.clone(), bounds)));
            known.push(Arc::clone(&backend));
            Some(backend)
        });
        Ok(Self(Arc::new(Inner {
            backends,
            headers: settings.headers,
            format: settings.format,
            payload_bytes_max: settings.payload_bytes_max,
            counts: HookCounts::default(),
            notices: settings.notices,
        })))
    }

    /// The same as an application, in the words that they are asked in.
    pub(crate) fn into_application(self) -> Application {
        match self.0.format {
            HookFormat::Fanfare => Application::new(self),
            HookFormat::Centrifugo => Application::new(CentrifugoHooks(self)),
        }
    }

    /// What was counted of the kinds that are asked, and how their URLs do. Kinds with the same URL tell the same of it.
    pub(crate) fn metrics(&self) -> Vec<HostFamily> {
        let asked = HookKind::ALL
            .into_iter()
            .filter_map(|kind| Some((kind, self.backend(kind)?)));
        let asked: Vec<_> = asked.collect();
        let hooks = (!asked.is_empty()).then(|| metrics::families(&self.0.counts, asked));
        let notices = self.0.notices.as_ref().map(Notices::metrics);
        hooks.into_iter().flatten().chain(notices).collect()
    }

    /// Where notices go, if they go anywhere.
    pub(crate) fn notices(&self) -> Option<&Notices> {
        self.0.notices.as_ref()
    }

    fn backend(&self, kind: HookKind) -> Option<&Backend> {
        self.0.backends[kind as usize].as_deref()
    }

    /// Headers of clients that go along.
    fn headers(&self) -> &[HeaderName] {
        &self.0.headers
    }

    /// Bytes of a payload that comes from a backend.
    fn payload_bytes_max(&self) -> usize {
        self.0.payload_bytes_max
    }

    /// Asks, reads and checks: what became of it is counted, whatever it is.
    async fn ask<C>(
        &self,
        kind: HookKind,
        backend: &Backend,
        letter: Letter,
        read: impl FnOnce(&[u8]) -> Result<Decision<C>, Unread>,
    ) -> Decision<C> {
        let mut ending = Ending::begin(&self.0.counts, kind);
        let body = match backend.ask(kind, letter, &self.0.counts).await {
            Ok(body) => body,
            Err(unanswered) => {
                tracing::debug!(hook = kind.name(), ?unanswered, "a hook has not answered");
                ending.outcome = unanswered.outcome();
                return Err(unanswered.denial());
            }
        };
        let decision = read(&body).unwrap_or_else(|problem| {
            tracing::warn!(hook = kind.name(), problem, "a hook has answered nonsense");
            ending.outcome = Outcome::BadAnswer;
            Err(Denial::unavailable())
        });
        if ending.outcome != Outcome::BadAnswer {
            ending.outcome = answer::outcome(&decision);
        }
        decision
    }

    /// Asks about a command; whatever topics the answer names, the connection is subscribed to before it goes on.
    async fn ask_about(
        &self,
        kind: HookKind,
        caller: &Caller,
        backend: &Backend,
        question: Question<'_>,
    ) -> Decision<Checked> {
        let bytes_max = self.payload_bytes_max();
        let check = |consent: Consent| consent.check(bytes_max);
        let read = |body: &[u8]| answer::read_checked(body, check);
        let checked = self.ask(kind, backend, question.into_letter(), read).await?;
        subscribe(caller, &checked.subscribe).await;
        Ok(checked)
    }
}

impl Hooks for HttpHooks {
    /// The backend reads the request itself when it is asked about it.
    fn reads_tokens(&self) -> bool {
        false
    }

    async fn notice(&self, _: &Fanfare, notice: Notice) {
        if let Some(notices) = &self.0.notices {
            notices.add(&notice);
        }
    }

    async fn connect(
        &self,
        entrant: &Entrant,
        admission: Option<Admission>,
    ) -> Result<Option<Admission>, Denial> {
        let Some(backend) = self.backend(HookKind::Connect) else {
            return Ok(admission);
        };
        let known = admission.clone();
        let question = Question::connect(entrant, admission.as_ref(), &self.0.headers);
        let bytes_max = self.payload_bytes_max();
        let check = |entry: Entry| entry.check(known, now(), bytes_max);
        let read = |body: &[u8]| answer::read_checked(body, check);
        self.ask(HookKind::Connect, backend, question.into_letter(), read)
            .await
    }

    fn renews(&self) -> bool {
        self.backend(HookKind::Refresh).is_some()
    }

    async fn renew(&self, caller: &Caller) -> Result<Option<Arc<Identity>>, Denial> {
        let Some(backend) = self.backend(HookKind::Refresh) else {
            return Unasked.renew(caller).await;
        };
        let identity = caller.identity.as_deref().cloned().unwrap_or_default();
        let check = |refreshed: Refreshed| refreshed.check(identity, now());
        let read = |body: &[u8]| answer::read_checked(body, check);
        let letter = Question::refresh(caller).into_letter();
        let renewed = self.ask(HookKind::Refresh, backend, letter, read).await?;
        Ok(Some(Arc::new(renewed)))
    }

    async fn subscribe(
        &self,
        caller: &Caller,
        topics: &[TopicName],
        token: Option<&str>,
    ) -> Result<Leaves, Denial> {
        if token.is_some() {
            // Among the topics may be some of which the rules say no: those are not the backend's to give.
            return Err(Denial::forbidden("no token opens topics here"));
        }
        let Some(backend) = self.backend(HookKind::Subscribe) else {
            return Unasked.subscribe(caller, topics, token).await;
        };
        let letter = Question::subscribe(caller, topics).into_letter();
        let bytes_max = self.payload_bytes_max();
        let check = |permit: Permit| permit.check(bytes_max, now());
        let read = |body: &[u8]| answer::read_checked(body, check);
        let (leave, beside) = self.ask(HookKind::Subscribe, backend, letter, read).await?;
        subscribe(caller, &beside).await;
        Ok(Leaves::from(leave))
    }

    async fn renew_subscription(&self, caller: &Caller, topic: &TopicName) -> Result<Leave, Denial> {
        let Some(backend) = self.backend(HookKind::SubRefresh) else {
            return Unasked.renew_subscription(caller, topic).await;
        };
        let letter = Question::renew(caller, topic).into_letter();
        let check = |renewal: Renewal| Ok(renewal.leave(now()));
        let read = |body: &[u8]| answer::read_checked(body, check);
        self.ask(HookKind::SubRefresh, backend, letter, read).await
    }

    async fn publish(&self, caller: &Caller, draft: &Draft) -> Result<Amendment, Denial> {
        let Some(backend) = self.backend(HookKind::Publish) else {
            return Unasked.publish(caller, draft).await;
        };
        let question = Question::publish(caller, draft);
        let checked = self.ask_about(HookKind::Publish, caller, backend, question);
        let payload = checked.await?.payload;
        Ok(payload.map(Amendment::from).unwrap_or_default())
    }

    async fn inspect(&self, caller: &Caller, action: Action, topic: &TopicName) -> Result<(), Denial> {
        let Some(backend) = self.backend(HookKind::Inspect) else {
            return Unasked.inspect(caller, action, topic).await;
        };
        let question = Question::inspect(caller, action, topic);
        let checked = self.ask_about(HookKind::Inspect, caller, backend, question);
        checked.await.map(drop)
    }

    async fn call(&self, caller: &Caller, method: &str, payload: &Payload) -> Result<Payload, Denial> {
        let Some(backend) = self.backend(HookKind::Call) else {
            return Unasked.call(caller, method, payload).await;
        };
        let question = Question::call(caller, method, payload);
        let checked = self.ask_about(HookKind::Call, caller, backend, question).await?;
        Ok(checked.payload.unwrap_or_else(Payload::null))
    }
}

/// Subscribes who asked to what the backend says.
async fn subscribe(caller: &Caller, topics: &[TopicName]) {
    if topics.is_empty() {
        return;
    }
    let topics: Vec<&str> = topics.iter().map(TopicName::as_str).collect();
    let who = Selector::Connection(caller.connection);
    if let Err(error) = caller.fanfare.subscribe_clients(who, &topics).await {
        tracing::warn!(%error, "a connection was not subscribed as a hook asked for");
    }
}

/// A question that is under way; it is counted when this is dropped, with whatever has become of it by then.
struct Ending<'a> {
    counts: &'a HookCounts,
    kind: HookKind,
    began: Instant,
    outcome: Outcome,
}

impl<'a> Ending<'a> {
    fn begin(counts: &'a HookCounts, kind: HookKind) -> Self {
        Self {
            counts,
            kind,
            began: Instant::now(),
            outcome: Outcome::GivenUp,
        }
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.counts.add(self.kind, self.outcome, self.began.elapsed());
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Timestamp(since.map_or(0, |since| since.as_millis() as u64))
}
