//! The same hooks in the words of Centrifugo's proxies, for backends that were written for them: connect, refresh, subscribe,
//! publish, sub_refresh, and rpc, which is what `call` is there.
//!
//! Lines, breakers, deadlines, signatures and counters are those of [`HttpHooks`]; here is only what is said and understood.
//! Centrifugo never asks who may read or see who is there: it is the operator's rules that say so.

mod answer;
mod question;

use std::sync::Arc;

use fanfare::{
    Action, Admission, Amendment, Caller, Denial, Draft, Entrant, Fanfare, Hooks, Identity, Leave, Leaves,
    Notice, Payload, TopicName,
};
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;

use super::answer::{Decision, Unread};
use super::courier::Letter;
use super::kind::HookKind;
use super::{HttpHooks, Unasked};
use answer::{Entry, Permit, Product, Publishing, Refreshed, Renewal, Said};
pub(crate) use answer::{json_in_base64, json_or_bytes};
use question::Question;

/// Hooks in Centrifugo's words.
pub(super) struct CentrifugoHooks(pub(super) HttpHooks);

impl CentrifugoHooks {
    /// Asks about something that somebody does.
    async fn ask<A: DeserializeOwned, C>(
        &self,
        kind: HookKind,
        question: Question<'_>,
        check: impl FnOnce(Option<A>) -> Result<Decision<C>, Unread>,
    ) -> Option<Decision<C>> {
        let backend = self.0.backend(kind)?;
        let read = |body: &[u8]| answer::read(body).and_then(|said| said.check(check));
        Some(self.0.ask(kind, backend, question.into_letter(), read).await)
    }
}

impl Hooks for CentrifugoHooks {
    fn reads_tokens(&self) -> bool {
        self.0.reads_tokens()
    }

    async fn notice(&self, fanfare: &Fanfare, notice: Notice) {
        self.0.notice(fanfare, notice).await;
    }

    /// Who shows a token is who that says: the backend is asked about those who show none.
    async fn connect(
        &self,
        entrant: &Entrant,
        admission: Option<Admission>,
    ) -> Result<Option<Admission>, Denial> {
        if admission.is_some() {
            return Ok(admission);
        }
        let question = Question::connect(entrant, self.0.headers());
        let bytes_max = self.0.payload_bytes_max();
        let check = |entry: Option<Entry>| entry.map(|entry| entry.check(bytes_max)).transpose().map(Ok);
        let decision = self.ask(HookKind::Connect, question, check).await;
        decision.unwrap_or(Ok(None))
    }

    fn renews(&self) -> bool {
        self.0.renews()
    }

    async fn renew(&self, caller: &Caller) -> Result<Option<Arc<Identity>>, Denial> {
        let question = Question::refresh(caller, self.0.headers());
        let before = caller.identity.as_deref().cloned().unwrap_or_default();
        let check = |refreshed: Option<Refreshed>| {
            let renewed = refreshed.map(|refreshed| refreshed.check(before));
            Ok(Ok(renewed.transpose()?.flatten()))
        };
        match self.ask(HookKind::Refresh, question, check).await {
            Some(decision) => decision,
            None => Unasked.renew(caller).await,
        }
    }

    async fn subscribe(
        &self,
        caller: &Caller,
        topics: &[TopicName],
        token: Option<&str>,
    ) -> Result<Leaves, Denial> {
        if token.is_some() || self.0.backend(HookKind::Subscribe).is_none() {
            return self.0.subscribe(caller, topics, token).await;
        }
        let mut asked = JoinSet::new();
        for (place, topic) in topics.iter().enumerate() {
            let question = Question::subscribe(caller, topic, self.0.headers());
            let (hooks, letter) = (self.0.clone(), question.into_letter());
            asked.spawn(async move { (place, ask_for_leave(hooks, letter).await) });
        }
        let mut leaves = vec![Leave::default(); topics.len()];
        // Whoever is refused one of them gets none: what is still under way is broken off.
        while let Some(answered) = asked.join_next().await {
            let (place, decision) = answered.map_err(|_| Denial::unavailable())?;
            leaves[place] = decision?;
        }
        Ok(Leaves::from_iter(leaves))
    }

    async fn renew_subscription(&self, caller: &Caller, topic: &TopicName) -> Result<Leave, Denial> {
        let check = |renewal: Option<Renewal>| renewal.map_or(Ok(Err(answer::no_leave())), Renewal::check);
        let question = Question::subscribe(caller, topic, self.0.headers());
        match self.ask(HookKind::SubRefresh, question, check).await {
            Some(decision) => decision,
            None => Unasked.renew_subscription(caller, topic).await,
        }
    }

    async fn publish(&self, caller: &Caller, draft: &Draft) -> Result<Amendment, Denial> {
        let question = Question::publish(caller, draft, self.0.headers());
        let bytes_max = self.0.payload_bytes_max();
        let check = |publishing: Option<Publishing>| {
            publishing.map_or(Ok(Err(answer::no_leave())), |publishing| {
                publishing.check(bytes_max).map(Ok)
            })
        };
        match self.ask(HookKind::Publish, question, check).await {
            Some(decision) => decision,
            None => Unasked.publish(caller, draft).await,
        }
    }

    async fn inspect(&self, caller: &Caller, action: Action, topic: &TopicName) -> Result<(), Denial> {
        Unasked.inspect(caller, action, topic).await
    }

    async fn call(&self, caller: &Caller, method: &str, payload: &Payload) -> Result<Payload, Denial> {
        let question = Question::rpc(caller, method, payload, self.0.headers());
        let bytes_max = self.0.payload_bytes_max();
        let check = |product: Option<Product>| product.unwrap_or_default().check(bytes_max).map(Ok);
        match self.ask(HookKind::Call, question, check).await {
            Some(decision) => decision.map(|payload| payload.unwrap_or_else(Payload::null)),
            None => Unasked.call(caller, method, payload).await,
        }
    }
}

/// Asks whether somebody may receive one topic.
async fn ask_for_leave(hooks: HttpHooks, letter: Letter) -> Decision<Leave> {
    let Some(backend) = hooks.backend(HookKind::Subscribe) else {
        return Err(Denial::unavailable());
    };
    let read = |body: &[u8]| {
        let said: Said<Permit> = answer::read(body)?;
        let bytes_max = hooks.payload_bytes_max();
        said.check(|permit| {
            permit.map_or(Ok(Err(answer::no_leave())), |permit| {
                permit.check(bytes_max).map(Ok)
            })
        })
    };
    hooks.ask(HookKind::Subscribe, backend, letter, read).await
}
