//! Who a request is from: what the host has found out, what a token says, and what the application makes of it.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::http::header::{self, HeaderMap};
use axum::http::request::Parts;
use fanfare_hub::Admission;
use fanfare_hub::access::Identity;
use fanfare_protocol::dialect::Dialect;

use super::certificate::ClientCertificate;
use super::refusal::Refused;
use super::request::Query;
use crate::Fanfare;
use crate::entrant::Entrant;
use crate::hooks::Application;

/// Who somebody at the door turned out to be.
pub(super) enum Entry {
    /// Somebody who is known.
    Known(Admission),
    /// Nobody in particular, who may come in like that.
    Anonymous,
    /// Somebody who is to say who it is by its first command.
    Awaited,
}

impl Fanfare {
    /// Finds out who a request is from, and what of it is kept for the application. What the host's own middleware put into
    /// the extensions goes before any token. Who speaks first is let in when it has said hello.
    pub(super) async fn identify(
        &self,
        parts: &Parts,
        (query, dialect): (&Query, Dialect),
        client: SocketAddr,
    ) -> Result<(Entry, Option<Arc<Entrant>>), Refused> {
        let known = match known_to_host(parts) {
            Some(admission) => Some(admission),
            None => self.identify_by_token(parts, query, client).await?,
        };
        let Some(application) = &self.options().application else {
            return Ok((self.enter(known, dialect, client)?, None));
        };
        let entrant = Entrant {
            remote: client,
            target: parts.uri.to_string(),
            dialect,
            headers: parts.headers.clone(),
            greeting: None,
            connection: None,
            certificate: parts.extensions.get::<Arc<ClientCertificate>>().cloned(),
        };
        if dialect.is_hailed() {
            return Ok((self.enter(known, dialect, client)?, Some(Arc::new(entrant))));
        }
        let known = application.connect(&entrant, known).await;
        let known = known.map_err(|denial| Refused::denied(&denial))?;
        let kept = entrant.kept(&self.options().kept_headers);
        Ok((self.enter(known, dialect, client)?, kept))
    }

    async fn identify_by_token(
        &self,
        parts: &Parts,
        query: &Query,
        client: SocketAddr,
    ) -> Result<Option<Admission>, Refused> {
        let named = || {
            let user = query.user().cloned()?;
            Some(Admission {
                identity: Arc::new(Identity::of_user(user)),
                ..Admission::default()
            })
        };
        // Where nobody can tell what a token means it may be for a proxy in front, or for the application's `connect`.
        let Some(application) = self.token_reader() else {
            return Ok(named());
        };
        let Some(token) = token_of(&parts.headers, query)? else {
            return Ok(named());
        };
        self.gate().refuse_guessing(client.ip())?;
        let outcome = application.authenticate(token).await;
        outcome.map(Some).map_err(|denial| {
            let refused = Refused::denied(&denial);
            if refused.is_unauthenticated() {
                self.gate().token_refused(client.ip());
            }
            refused
        })
    }

    /// The application, where it can tell who shows a token.
    fn token_reader(&self) -> Option<&Application> {
        let application = self.options().application.as_ref();
        application.filter(|application| application.reads_tokens())
    }

    /// What becomes of somebody who is known, or not. Whoever is to say so behind the door is not let in while tokens of its
    /// address are not looked at: it would be turned away there, and come back.
    fn enter(
        &self,
        known: Option<Admission>,
        dialect: Dialect,
        client: SocketAddr,
    ) -> Result<Entry, Refused> {
        let entry = self.entry_of(known, dialect)?;
        if matches!(entry, Entry::Awaited) {
            self.gate().refuse_guessing(client.ip())?;
        }
        Ok(entry)
    }

    /// Whether nobody in particular may come in.
    pub(super) fn lets_anybody_in(&self) -> bool {
        self.options().anonymous || self.options().is_development
    }

    fn entry_of(&self, known: Option<Admission>, dialect: Dialect) -> Result<Entry, Refused> {
        match known {
            Some(admission) => Ok(Entry::Known(admission)),
            None if self.lets_anybody_in() => Ok(Entry::Anonymous),
            // Who speaks first is told then.
            None if dialect.is_hailed() => Ok(Entry::Awaited),
            // A dialect without replies has no words for it.
            None if dialect.has_errors() && self.token_reader().is_some() => Ok(Entry::Awaited),
            None => Err(Refused::unauthenticated(if self.token_reader().is_some() {
                "nobody knows who this is, send a token as `Authorization: Bearer TOKEN`"
            } else {
                "nobody knows who this is, tokens are not read here, and anonymous clients are not let in"
            })),
        }
    }
}

/// Whom the host's own middleware has let in.
fn known_to_host(parts: &Parts) -> Option<Admission> {
    let of = |identity: &Arc<Identity>| Admission {
        identity: Arc::clone(identity),
        ..Admission::default()
    };
    let admission = parts.extensions.get::<Admission>().cloned();
    admission.or_else(|| parts.extensions.get().map(of))
}

/// The token that a request carries: in a header, as a subprotocol, or in the address.
fn token_of<'r>(headers: &'r HeaderMap, query: &'r Query) -> Result<Option<&'r str>, Refused> {
    let values = |name| {
        headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
    };
    let by_header = values(header::AUTHORIZATION).filter_map(bearer);
    let by_subprotocol = values(header::SEC_WEBSOCKET_PROTOCOL)
        .flat_map(|value| value.split(','))
        .filter_map(|offer| offer.trim().strip_prefix(TOKEN_SUBPROTOCOL));
    let mut tokens = by_header.chain(by_subprotocol).chain(query.token());
    match (tokens.next(), tokens.next()) {
        (token, None) => Ok(token),
        _ => Err(Refused::bad("several tokens are given, give one")),
    }
}

/// The token in an `Authorization` header (RFC 6750, section 2.1).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// What a subprotocol begins with that is a token. Browsers can send no header but this one.
pub(super) const TOKEN_SUBPROTOCOL: &str = "fanfare.token.";
