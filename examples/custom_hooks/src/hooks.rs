//! The hooks. Each has a default, so there are only those in which this application has a say.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use fanfare::{
    Admission, Amendment, Caller, ConnectionId, Denial, Draft, Entrant, ErrorCode, Fanfare, Happening, Hooks,
    Identity, Notice, Payload, TopicName, UserName,
};

use crate::rate::Rates;

/// Groups that there are.
const GROUPS: [&str; 2] = ["red", "blue"];

/// A word that is not for everyone's eyes, and what stands in its place.
const MASKED: (&str, &str) = ("darn", "****");

/// The groups, who is in them now, and how fast they talk.
#[derive(Default)]
pub struct Groups {
    members: Mutex<BTreeMap<ConnectionId, Arc<Identity>>>,
    rates: Rates,
}

impl Hooks for Groups {
    /// Routing: the group that somebody asks for at the door is where it is subscribed, and the only place where it speaks.
    async fn connect(&self, entrant: &Entrant, _: Option<Admission>) -> Result<Option<Admission>, Denial> {
        let (Some(name), Some(group)) = (entrant.parameter("name"), entrant.parameter("group")) else {
            return Err(Denial::unauthenticated("say who you are: /ws?name=ada&group=red"));
        };
        if !GROUPS.contains(&&*group) {
            return Err(Denial::forbidden(format!("there is no group {group:?}")));
        }
        let refused = |error: &dyn ToString| Denial::forbidden(error.to_string());
        let user = UserName::parse(&name).map_err(|error| refused(&error))?;
        let topic = TopicName::parse(&format!("group:{group}")).map_err(|error| refused(&error))?;
        let identity = Identity {
            claims: BTreeMap::from([("group".into(), vec![group.into()])]),
            ..Identity::of_user(user)
        };
        Ok(Some(Admission {
            identity: identity.into(),
            topics: vec![topic],
            ..Admission::default()
        }))
    }

    /// Rate limit and moderation: a message is refused, published as it is, or published with other words.
    async fn publish(&self, caller: &Caller, draft: &Draft) -> Result<Amendment, Denial> {
        if let Some(user) = caller.user() {
            self.rates.take(user)?;
        }
        let Ok(text) = serde_json::from_slice::<String>(draft.payload.as_bytes()) else {
            return Err(Denial::refused(ErrorCode::BadCommand, "a message here is a text"));
        };
        if text.contains("://") {
            return Err(Denial::forbidden("links are not allowed here"));
        }
        let masked = text.replace(MASKED.0, MASKED.1);
        if masked == text {
            return Ok(Amendment::default());
        }
        Payload::serialize(&masked)
            .map(Amendment::from)
            .map_err(|_| Denial::unavailable())
    }

    /// A procedure: `members` gives the names in the caller's group.
    async fn call(&self, caller: &Caller, method: &str, _: &Payload) -> Result<Payload, Denial> {
        if method != "members" {
            return Err(Denial::refused(
                ErrorCode::NotFound,
                format!("there is no method {method:?}"),
            ));
        }
        let group = caller.identity.as_deref().and_then(group_of);
        let members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        let here = members.values().filter(|member| group_of(member) == group);
        let names: BTreeSet<&str> = here
            .filter_map(|member| member.user.as_ref())
            .map(UserName::as_str)
            .collect();
        Payload::serialize(&names).map_err(|_| Denial::unavailable())
    }

    /// Who comes and goes, in this order for each connection.
    async fn notice(&self, _: &Fanfare, notice: Notice) {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        match notice.happening {
            Happening::Connected {
                connection,
                identity: Some(identity),
            } => {
                members.insert(connection, identity);
            }
            Happening::Disconnected { connection, .. } => {
                members.remove(&connection);
            }
            _ => {}
        }
    }
}

fn group_of(identity: &Identity) -> Option<&str> {
    identity.claims.get("group")?.first().map(|group| &**group)
}
