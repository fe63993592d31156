//! The upgrade itself: answer the opening handshake, wait for HTTP to let go of the stream, and hand it to a shard.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::ConnectInfo;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use fanfare_hub::access::Identity;
use fanfare_hub::{Opened, Selector};
use fanfare_protocol::codes::Disconnect;
use fanfare_protocol::websocket::Agreement;
use hyper::upgrade::OnUpgrade;

use super::address::{ClientAddress, canonical};
use super::gate::{Candidate, Gate};
use super::handover::Handover;
use super::opening::Opening;
use super::refusal::Refused;
use super::request::{Query, choose_dialect, choose_encoding, choose_uni_encoding, wants_native_pings};
use super::service::Endpoint;
use crate::Fanfare;
use crate::entrant::Entrant;
use crate::hooks::Application;

impl Fanfare {
    /// Lets a client in; gives the answer to its handshake.
    pub(super) async fn admit(
        &self,
        mut parts: Parts,
        client: SocketAddr,
        endpoint: Endpoint,
    ) -> Result<Response, Refused> {
        let opening = Opening::of(&parts)?;
        self.check_origin(&parts)?;
        self.check_open()?;
        let (query, (dialect, subprotocol)) = match endpoint {
            Endpoint::Own => {
                let query = Query::parse(&parts.uri, self.options())?;
                let dialect = choose_dialect(&query, &parts.headers)?;
                (query, dialect)
            }
            Endpoint::Centrifuge => (Query::default(), choose_encoding(&parts.uri, &parts.headers)),
            Endpoint::CentrifugeUni => (Query::default(), choose_uni_encoding(&parts.uri, &parts.headers)),
        };
        let revocations = self.revocations();
        let (entry, entrant) = self.identify(&parts, (&query, dialect), client).await?;
        let mut opened = query.into_opened(dialect, &parts.headers, client, entry)?;
        opened.pings_natively = endpoint == Endpoint::Centrifuge && wants_native_pings(&parts.uri);
        if dialect.is_unidirectional() {
            opened.key = Some(self.session_key(dialect)?);
        }
        let agreement = self.negotiate(&parts.headers);
        opened.compression = agreement.map(Agreement::compression).unwrap_or_default();
        let Some(upgrade) = parts.extensions.remove::<OnUpgrade>() else {
            let reason =
                "this HTTP connection cannot be upgraded, connect without a proxy that ends HTTP/1.1";
            return Err(Refused::new(StatusCode::NOT_IMPLEMENTED, reason));
        };
        let handover = self.find_place((opened, entrant), revocations)?;
        tokio::spawn(async move {
            match upgrade.await {
                Ok(upgraded) => handover.complete(upgraded).await,
                Err(error) => tracing::debug!(%error, "the client left during the upgrade"),
            }
        });
        Ok(opening.answer(subprotocol, agreement))
    }

    /// Refuses everyone while nobody is let in.
    pub(super) fn check_open(&self) -> Result<(), Refused> {
        if self.is_draining() {
            return Err(self.gate().refuse_drained());
        }
        if self.is_memory_short() {
            return Err(Gate::refuse_short());
        }
        Ok(())
    }

    /// Finds a place for a connection, in a shard and among those of its address and user.
    pub(super) fn find_place(
        &self,
        (mut opened, entrant): (Opened, Option<Arc<Entrant>>),
        revocations: u64,
    ) -> Result<Handover, Refused> {
        let seat = self.take_seat();
        opened.user_agent = opened.user_agent.map(|name| self.gate().user_agents.shared(name));
        // Whoever the door knows is asked about as well, and may turn out to be nobody.
        let is_asked_about = opened.dialect.is_hailed() && entrant.is_some();
        opened.is_awaited |= is_asked_about && !self.lets_anybody_in();
        let identity = opened.identity.as_ref();
        let candidate = Candidate {
            address: opened.remote.ip(),
            user: identity.and_then(|identity| identity.user.as_ref()),
            is_awaited: opened.is_awaited || is_asked_about,
        };
        let place = self.gate().admit(candidate, self.connection_count())?;
        Ok(Handover {
            opened,
            seat,
            place,
            entrant,
            revocations,
            said: Vec::new(),
        })
    }

    pub(super) fn revocations(&self) -> u64 {
        let application = self.options().application.as_ref();
        application.map_or(0, Application::revocations)
    }

    /// Has a client come again of which something was revoked while it was on its way from the door to its shard: revoking
    /// may have looked there before it came.
    pub(super) async fn recall(&self, identity: Option<Arc<Identity>>, revocations: u64) {
        let application = self.options().application.as_ref();
        let is_recalled = |identity: &Arc<Identity>| {
            application.is_some_and(|application| application.is_recalled(identity, revocations))
        };
        let Some(identity) = identity.filter(is_recalled) else {
            return;
        };
        let who = match (&identity.token_id, &identity.user) {
            (Some(id), _) => Selector::Token(id.clone()),
            (None, Some(user)) => Selector::User(user.clone()),
            (None, None) => return,
        };
        // A shard that is gone, or too busy, has taken in nobody either.
        let _ = self.disconnect(who, Disconnect::Reconnect).await;
    }

    /// What is agreed on about compression, if that is switched on and the client offers it.
    fn negotiate(&self, headers: &HeaderMap) -> Option<Agreement> {
        let offers = headers.get_all(header::SEC_WEBSOCKET_EXTENSIONS);
        self.options()
            .compression
            .then(|| Agreement::negotiate(offers.iter().map(HeaderValue::as_bytes)))
            .flatten()
    }

    /// Refuses a page of another origin, unless that is allowed.
    pub(super) fn check_origin(&self, parts: &Parts) -> Result<(), Refused> {
        let text = |value: &HeaderValue| value.to_str().unwrap_or("unreadable").to_owned();
        let origins: Vec<String> = parts.headers.get_all(header::ORIGIN).iter().map(text).collect();
        // HTTP/2 has an authority in its place.
        let authority = || parts.uri.authority().map(ToString::to_string);
        let host = parts.headers.get(header::HOST).map(text).or_else(authority);
        let is_admitted = match &origins[..] {
            [] => self.options().origins.admits(None, host.as_deref()),
            [origin] => self.options().origins.admits(Some(origin), host.as_deref()),
            _ => false,
        };
        if is_admitted {
            return Ok(());
        }
        let reason = format!(
            "origin {:?} is not allowed here, start the server with --allow-origin to add it",
            origins.join(", ")
        );
        Err(Refused::origin(reason))
    }

    /// Where a request comes from; the unspecified address where the host does not say.
    pub(super) fn client_of(&self, parts: &Parts) -> SocketAddr {
        if let Some(ClientAddress(client)) = parts.extensions.get() {
            return canonical(*client);
        }
        let Some(ConnectInfo(peer)) = parts.extensions.get() else {
            self.gate().address_untold();
            return SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        };
        self.gate().client_behind(*peer, &parts.headers)
    }
}
