//! What a token says, once its signature is known to be right.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use fanfare_hub::Admission;
use fanfare_hub::access::{Grants, Identity};
use fanfare_protocol::{Timestamp, TopicName, TopicPattern, UserName};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::centrifugo::WORDS;
use super::{TokenLimits, TokenRefusal};

/// The claims of a token (RFC 7519 section 4), each at most once.
#[derive(Debug)]
pub(super) struct Claims(Map<String, Value>);

/// When a token holds, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// When whatever it lets in ends; `None` for never.
    pub(super) ends_at: Option<u64>,
    pub(super) issued_at: Option<u64>,
}

/// Fanfare's own claims, all under the name `fanfare`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Own {
    topics: Vec<String>,
    subscribe: Vec<String>,
    publish: Vec<String>,
    presence: Vec<String>,
    history: Vec<String>,
    info: Option<Map<String, Value>>,
}

impl Claims {
    /// Reads the middle part of a token.
    pub(super) fn parse(json: &[u8]) -> Result<Self, TokenRefusal> {
        let text = std::str::from_utf8(json).map_err(|_| TokenRefusal::Format)?;
        serde_json::from_str(text).map_err(|_| TokenRefusal::Format)
    }

    /// The issuer.
    pub(super) fn issuer(&self) -> Result<Option<&str>, TokenRefusal> {
        self.text("iss")
    }

    /// The id, for revoking.
    pub(super) fn id(&self) -> Result<Option<&str>, TokenRefusal> {
        let id = self.text("jti")?;
        id.is_none_or(|id| (1..=ID_BYTES_MAX).contains(&id.len()))
            .then_some(id)
            .ok_or(TokenRefusal::Claims)
    }

    /// The user, if there is one: an empty name is nobody's.
    pub(super) fn user(&self) -> Result<Option<UserName>, TokenRefusal> {
        let subject = self.text("sub").map_err(|_| TokenRefusal::Subject)?;
        let named = subject.filter(|name| !name.is_empty());
        let user = named.map(UserName::parse).transpose();
        user.map_err(|_| TokenRefusal::Subject)
    }

    /// Holds it to those whom it may be for. Where nobody is configured, it may be for nobody in particular.
    pub(super) fn check_audience(&self, expected: &[String]) -> Result<(), TokenRefusal> {
        let given = match self.0.get("aud") {
            None => Vec::new(),
            Some(value) => texts(value).ok_or(TokenRefusal::Claims)?,
        };
        let is_meant = given.iter().any(|one| expected.iter().any(|other| other == one));
        let is_for_anyone = given.is_empty() && expected.is_empty();
        (is_meant || is_for_anyone)
            .then_some(())
            .ok_or(TokenRefusal::Audience)
    }

    /// Holds it to the time.
    pub(super) fn check_time(&self, now: Timestamp, limits: &TokenLimits) -> Result<Span, TokenRefusal> {
        let leeway = limits.leeway_ms.min(TokenLimits::LEEWAY_MAX_MS);
        let is_endless = limits.lifetime_max_ms == 0;
        let expires_at = self.time("exp")?;
        if expires_at.is_none() && !is_endless {
            return Err(TokenRefusal::Claims);
        }
        let (begins_at, issued_at) = (self.time("nbf")?, self.time("iat")?);
        let is_future = |time: Option<u64>| time.is_some_and(|time| time > now.0.saturating_add(leeway));
        let ends_at = match self.time("expire_at")? {
            None => expires_at,
            Some(0) => None,
            time => time,
        };
        let is_past = |time: Option<u64>| time.is_some_and(|time| time.saturating_add(leeway) <= now.0);
        if is_past(expires_at) || is_past(ends_at) {
            return Err(TokenRefusal::Expired);
        }
        if is_future(begins_at) || is_future(issued_at) {
            return Err(TokenRefusal::NotYet);
        }
        let last = now.0.saturating_add(limits.lifetime_max_ms);
        if !is_endless && expires_at.is_some_and(|time| time > last) {
            return Err(TokenRefusal::Lifetime);
        }
        Ok(Span {
            ends_at: ends_at.map(|time| time.saturating_add(leeway)),
            issued_at,
        })
    }

    /// The topics of a subscription token; `None` for any other.
    pub(super) fn topics(&self) -> Result<Option<Vec<TopicName>>, TokenRefusal> {
        let own = self.own_topics()?;
        match (own, self.channel()?) {
            (Some(_), Some(_)) => Err(TokenRefusal::Claims),
            (own, channel) => Ok(own.or(channel.map(|topic| vec![topic]))),
        }
    }

    fn own_topics(&self) -> Result<Option<Vec<TopicName>>, TokenRefusal> {
        let names = match (self.0.get("topic"), self.0.get("topics")) {
            (None, None) => return Ok(None),
            (Some(Value::String(topic)), None) => vec![topic.as_str()],
            (None, Some(topics @ Value::Array(_))) => texts(topics).ok_or(TokenRefusal::Claims)?,
            _ => return Err(TokenRefusal::Claims),
        };
        names.into_iter().map(topic).collect::<Result<_, _>>().map(Some)
    }

    /// Who shows it. With `wanted`, only those claims are kept; otherwise all that a template of topics may use.
    pub(super) fn admission(&self, span: Span, wanted: &[String]) -> Result<Admission, TokenRefusal> {
        let own = self.own()?;
        let topics: Result<Vec<_>, _> = own.topics.iter().map(|name| topic(name)).collect();
        let (topics, channels) = (topics?, self.channels()?);
        let info = own.info.map(|info| Arc::from(Value::Object(info).to_string()));
        let public_info = self.public_info()?;
        let is_said_twice =
            (!topics.is_empty() && !channels.is_empty()) || (info.is_some() && public_info.is_some());
        let (topics, info) = ([topics, channels].concat(), info.or(public_info));
        let is_short =
            topics.len() <= TOPICS_MAX && info.as_ref().is_none_or(|info| info.len() <= INFO_BYTES_MAX);
        if is_said_twice || !is_short {
            return Err(TokenRefusal::Claims);
        }
        let identity = Identity {
            user: self.user()?,
            info,
            claims: self.for_templates(wanted)?,
            grants: Grants {
                subscribe: patterns(&own.subscribe)?,
                publish: patterns(&own.publish)?,
                presence: patterns(&own.presence)?,
                history: patterns(&own.history)?,
            },
            expires_at: span.ends_at.map(Timestamp),
            token_id: self.id()?.map(Box::from),
            meta: self.meta(),
        };
        let identity = Arc::new(identity);
        let leaves = self.leaves()?;
        Ok(Admission {
            identity,
            topics,
            leaves,
            data: None,
        })
    }

    fn own(&self) -> Result<Own, TokenRefusal> {
        match self.0.get(OWN) {
            None => Ok(Own::default()),
            // A list would be read as the fields in their order.
            Some(own) if !own.is_object() => Err(TokenRefusal::Claims),
            Some(own) => Own::deserialize(own).map_err(|_| TokenRefusal::Claims),
        }
    }

    /// The claims that are text or lists of text. Left out is what could not stand in a topic's name, or in a template.
    fn for_templates(&self, wanted: &[String]) -> Result<BTreeMap<Box<str>, Vec<Box<str>>>, TokenRefusal> {
        let has_meaning = |name: &str| REGISTERED.contains(&name) || WORDS.contains(&name);
        let is_wanted = |name: &String| !has_meaning(name) && (wanted.is_empty() || wanted.contains(name));
        let mut claims = BTreeMap::new();
        for (name, value) in self.0.iter().filter(|(name, _)| is_wanted(name)) {
            let Some(values) = texts(value) else {
                continue;
            };
            let values: Vec<Box<str>> = values
                .into_iter()
                .filter(|value| (1..=VALUE_BYTES_MAX).contains(&value.len()))
                .map(Box::from)
                .collect();
            if name.len() > NAME_BYTES_MAX || values.is_empty() {
                continue;
            }
            if values.len() > VALUES_MAX || claims.len() == CLAIMS_MAX {
                return Err(TokenRefusal::Claims);
            }
            claims.insert(Box::from(name.as_str()), values);
        }
        Ok(claims)
    }

    /// Whether there is such a member at all.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// A member.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// A member that is text.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, TokenRefusal> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(TokenRefusal::Claims),
        }
    }

    /// A NumericDate (RFC 7519 section 2) in milliseconds.
    fn time(&self, name: &str) -> Result<Option<u64>, TokenRefusal> {
        let Some(value) = self.0.get(name) else {
            return Ok(None);
        };
        let millis = match (value.as_u64(), value.as_f64()) {
            (Some(seconds), _) => seconds.saturating_mul(1_000),
            // What is beyond the range of times ends at its end.
            (None, Some(seconds)) if value.is_f64() && seconds >= 0.0 => (seconds * 1e3) as u64,
            _ => return Err(TokenRefusal::Claims),
        };
        Ok(Some(millis))
    }
}

impl<'de> Deserialize<'de> for Claims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Claims;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Claims, A::Error> {
                let mut members = Map::new();
                while let Some((name, value)) = access.next_entry::<String, Value>()? {
                    // Which of two is meant, others may see otherwise.
                    if members.insert(name, value).is_some() {
                        return Err(A::Error::custom("a member is twice in it"));
                    }
                }
                Ok(Claims(members))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// A text, or a list of nothing but texts.
fn texts(value: &Value) -> Option<Vec<&str>> {
    match value {
        Value::String(text) => Some(vec![text]),
        Value::Array(values) => values.iter().map(Value::as_str).collect(),
        _ => None,
    }
}

fn topic(name: &str) -> Result<TopicName, TokenRefusal> {
    TopicName::parse(name).map_err(|_| TokenRefusal::Claims)
}

fn patterns(texts: &[String]) -> Result<Vec<TopicPattern>, TokenRefusal> {
    if texts.len() > PATTERNS_MAX {
        return Err(TokenRefusal::Claims);
    }
    let parsed = texts.iter().map(|text| text.parse::<TopicPattern>());
    parsed.collect::<Result<_, _>>().map_err(|_| TokenRefusal::Claims)
}

/// The claim that holds Fanfare's own.
const OWN: &str = "fanfare";

/// Claims that have a meaning here and are no others'.
const REGISTERED: [&str; 8] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", OWN];

/// Topics that a token subscribes to.
const TOPICS_MAX: usize = 128;

/// Patterns of one permission: each publish and subscribe command looks at all of them.
const PATTERNS_MAX: usize = 64;

/// The public info, which goes out with every publication of the client.
pub(super) const INFO_BYTES_MAX: usize = 1 << 10;

/// An id, which a table of revoked ones may have to keep.
pub(super) const ID_BYTES_MAX: usize = 255;

/// Claims that templates may use.
const CLAIMS_MAX: usize = 32;
/// Values of one claim.
const VALUES_MAX: usize = 32;
/// The longest name of a claim that a template can have.
const NAME_BYTES_MAX: usize = 64;
/// The longest value that a topic's name has room for.
const VALUE_BYTES_MAX: usize = 255;
