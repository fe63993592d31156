//! Who somebody is by a JSON Web Token (RFC 7519), signed by a backend that this server trusts.
//!
//! In come tokens as clients send them and the keys of whom is trusted; out goes an [`Admission`], or one refusal that
//! says nothing. The order of the checks is that of what they may believe: form and algorithm, then the issuer, of which
//! the token may only choose among those that are configured, then the signature with that issuer's own keys, and only
//! then what the claims say. Connections are ended at the token's expiry by the hub, not here.
//!
//! ```
//! use fanfare::tokens::{Algorithm, IssuerOptions, SigningKey, TokenKey, Tokens, TokensOptions};
//! use fanfare::{Application, Options};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let secret = b"a secret of 32 random bytes or more";
//! let issuer = IssuerOptions {
//!     keys: vec![TokenKey::new(None, Algorithm::Hs256, secret)?],
//!     ..IssuerOptions::default()
//! };
//! let tokens = Tokens::new(TokensOptions { issuers: vec![issuer], ..TokensOptions::default() })?;
//! let options = Options {
//!     application: Some(Application::of_tokens(tokens)),
//!     ..Options::default()
//! };
//! # drop(options);
//! # Ok(())
//! # }
//! ```

mod algorithm;
mod centrifugo;
mod claims;
mod figures;
mod jwks;
mod key;
mod ledger;
mod pair;
mod refusal;
mod revoked;
mod revoking;
mod stored;
#[cfg(test)]
mod tests;

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fanfare_hub::access::Identity;
use fanfare_hub::{Admission, Leave};
use fanfare_protocol::{ConnectionId, Timestamp, TopicName, UserName};

pub use algorithm::{Algorithm, AlgorithmError};
pub use jwks::{JwksOptions, JwksUrl, JwksUrlError};
pub use key::{SigningKey, TokenKey, TokenKeyError};
pub use pair::{NewKey, NewKeyError};
pub use refusal::TokenRefusal;
pub use revoked::RevokedFull;
pub use revoking::{Revocation, RevokeError};

use crate::clock::wall;
use claims::{Claims, ID_BYTES_MAX, Span};
pub(crate) use figures::encode;
use jwks::{Jwks, JwksCounters};
pub(crate) use ledger::Ledger;
use refusal::Counters;
use revoked::Revoked;

/// Verifies tokens. Clones are the same one: what is revoked in one is revoked in all.
#[derive(Clone, Debug)]
pub struct Tokens {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    issuers: RwLock<Arc<[Issuer]>>,
    limits: TokenLimits,
    claims: Vec<String>,
    revoked: Revoked,
    counters: Counters,
    fetches: Arc<JwksCounters>,
}

/// Whose tokens are accepted, and in which bounds.
#[derive(Clone, Debug, Default)]
pub struct TokensOptions {
    /// Those who make tokens, at least one.
    pub issuers: Vec<IssuerOptions>,
    /// Bounds on tokens.
    pub limits: TokenLimits,
    /// The claims that templates of topics may use. Default: every one of text or a list of text, of which a token may
    /// then have 32; where a backend puts more into its tokens, name those that are needed.
    pub claims: Vec<String>,
}

/// Somebody who makes tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IssuerOptions {
    /// What its tokens name as `iss`. Default: whatever they name, unless it is another issuer's name.
    pub name: Option<String>,
    /// Whom its tokens are for: `aud` must have one of these. Default: tokens without `aud`.
    pub audiences: Vec<String>,
    /// Its keys, at most 16.
    pub keys: Vec<TokenKey>,
    /// Where it publishes further keys. Default: nowhere.
    pub jwks: Option<JwksOptions>,
}

/// Bounds on tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenLimits {
    /// The longest token in bytes. A longer one is refused unread. Default 8 KiB.
    pub bytes_max: usize,
    /// What clocks may differ, in milliseconds, at most [`TokenLimits::LEEWAY_MAX_MS`]: tokens hold that much earlier and
    /// longer. Default 30,000.
    pub leeway_ms: u64,
    /// How far ahead a token may end, in milliseconds. One that ends later is refused: revoking would have to be
    /// remembered that long. With 0 it may end at any time, or never, and what is revoked without its end being told is
    /// remembered for ever. Default 30 days.
    pub lifetime_max_ms: u64,
    /// Tokens and users that may be revoked at a time, some 100 bytes each. One more cannot be. In a data directory
    /// 250,000 have room whatever their names are, and as many as fit into 64 MiB. Default 100,000.
    pub revoked_max: usize,
}

impl TokenLimits {
    /// The most that clocks may differ.
    pub const LEEWAY_MAX_MS: u64 = 300_000;
}

impl Default for TokenLimits {
    fn default() -> Self {
        Self {
            bytes_max: 8 << 10,
            leeway_ms: 30_000,
            lifetime_max_ms: 30 * 24 * 60 * 60 * 1_000,
            revoked_max: 100_000,
        }
    }
}

/// Why tokens cannot be verified as configured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokensError {
    /// There is nobody whose tokens could be accepted.
    #[error("no issuer of tokens is given, give one with its keys")]
    NoIssuer,
    /// An issuer has no keys and nowhere to fetch them, or too many.
    #[error("an issuer of tokens has {keys} keys, it has 1 to {KEYS_MAX}, or a URL to fetch them from")]
    Keys {
        /// How many.
        keys: usize,
    },
    /// Two issuers have the same name.
    #[error("two issuers of tokens have the same name, each has its own")]
    Twice,
    /// TLS cannot be used.
    #[error("TLS cannot be used to fetch keys: {0}")]
    Tls(String),
}

/// What a token is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenPurpose {
    /// To say who one is.
    User(Admission),
    /// To receive topics.
    Subscription {
        /// Who may; `None` for anonymous clients.
        user: Option<UserName>,
        /// The only connection that may; `None` for all of the user's.
        connection: Option<ConnectionId>,
        /// What.
        topics: Vec<TopicName>,
        /// Until when, and what comes with each of them.
        leave: Leave,
    },
}

#[derive(Debug)]
struct Issuer {
    name: Option<String>,
    audiences: Vec<String>,
    keys: Vec<TokenKey>,
    jwks: Option<Arc<Jwks>>,
}

/// A token in its parts, none of which is to be believed yet.
struct Parts<'t> {
    algorithm: Algorithm,
    key_id: Option<Box<str>>,
    claims: Claims,
    signed: &'t str,
    signature: Vec<u8>,
}

/// What a token that holds says.
struct Verified {
    claims: Claims,
    span: Span,
}

impl Tokens {
    /// Accepts tokens as `options` say. Nothing is fetched yet.
    ///
    /// # Errors
    /// There is no issuer, two have the same name, or the keys of one cannot be used.
    pub fn new(options: TokensOptions) -> Result<Self, TokensError> {
        let fetches = Arc::default();
        let inner = Inner {
            issuers: RwLock::new(issuers(options.issuers, &fetches)?),
            limits: options.limits,
            claims: options.claims,
            revoked: Revoked::new(options.limits.revoked_max),
            counters: Counters::default(),
            fetches,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// From now on these issuers' tokens are accepted: for new keys while the server runs. Connections stay.
    ///
    /// # Errors
    /// As [`Tokens::new`]; nothing has changed then.
    pub fn set_issuers(&self, options: Vec<IssuerOptions>) -> Result<(), TokensError> {
        let issuers = issuers(options, &self.inner.fetches)?;
        *self.inner.issuers.write().unwrap_or_else(PoisonError::into_inner) = issuers;
        Ok(())
    }

    /// Who shows a token. Costs one or a few signatures, and sometimes waits for the issuer's keys.
    ///
    /// # Errors
    /// Why it is refused; for the log, not for the client.
    pub async fn authenticate(&self, token: &str) -> Result<Admission, TokenRefusal> {
        let outcome = self.admission(token).await;
        self.count(&outcome);
        outcome
    }

    /// Whether a token lets `connection` of `user` receive all of `topics`, whatever else is said about it; until when, and what
    /// comes with each of them. It names them by its claim `topic`, `topics` or `channel`, the user, if there is one, by `sub`,
    /// and the connection, if it is for one alone, by `client`.
    ///
    /// # Errors
    /// Why it does not; for the log, not for the client.
    pub async fn authorise(
        &self,
        token: &str,
        (user, connection): (Option<&UserName>, ConnectionId),
        topics: &[TopicName],
    ) -> Result<Leave, TokenRefusal> {
        let outcome = self.permission(token, (user, connection), topics).await;
        self.count(&outcome);
        outcome
    }

    /// What a token is good for. It is not counted as shown by anybody: for tools.
    ///
    /// # Errors
    /// Why it is good for nothing.
    pub async fn read(&self, token: &str) -> Result<TokenPurpose, TokenRefusal> {
        let Verified { claims, span } = self.verify(token).await?;
        let Some(topics) = claims.topics()? else {
            return claims.admission(span, &self.inner.claims).map(TokenPurpose::User);
        };
        Ok(TokenPurpose::Subscription {
            user: claims.user()?,
            connection: claims.client()?,
            leave: claims.leave(span)?,
            topics,
        })
    }

    async fn admission(&self, token: &str) -> Result<Admission, TokenRefusal> {
        match self.read(token).await? {
            TokenPurpose::User(admission) => Ok(admission),
            TokenPurpose::Subscription { .. } => Err(TokenRefusal::Purpose),
        }
    }

    async fn permission(
        &self,
        token: &str,
        (user, connection): (Option<&UserName>, ConnectionId),
        topics: &[TopicName],
    ) -> Result<Leave, TokenRefusal> {
        let TokenPurpose::Subscription {
            user: whose,
            connection: which,
            topics: allowed,
            leave,
        } = self.read(token).await?
        else {
            return Err(TokenRefusal::Purpose);
        };
        if whose.as_ref() != user || which.is_some_and(|which| which != connection) {
            return Err(TokenRefusal::Subject);
        }
        let is_covered = topics.iter().all(|topic| allowed.contains(topic));
        is_covered.then_some(leave).ok_or(TokenRefusal::Purpose)
    }

    /// Everything that is the same for all tokens.
    async fn verify(&self, token: &str) -> Result<Verified, TokenRefusal> {
        if token.len() > self.inner.limits.bytes_max {
            return Err(TokenRefusal::Size);
        }
        let parts = Parts::of(token)?;
        let issuers = Arc::clone(&self.inner.issuers.read().unwrap_or_else(PoisonError::into_inner));
        let issuer = Issuer::among(&issuers, parts.claims.issuer()?)?;
        issuer.check_signature(&parts).await?;
        let claims = parts.claims;
        let span = claims.check_time(wall(), &self.inner.limits)?;
        claims.check_audience(&issuer.audiences)?;
        let (id, user) = (claims.id()?, claims.user()?);
        if self.inner.revoked.is_revoked(id, user.as_ref(), span.issued_at) {
            return Err(TokenRefusal::Revoked);
        }
        Ok(Verified { claims, span })
    }

    /// Refuses the token of this id (`jti`) from now on. Until when it would hold need not be known. A restart forgets
    /// it: [`Fanfare::revoke`](crate::Fanfare::revoke) stores it, and closes who was let in by it. No token has an id of
    /// more than 255 bytes, so there is nothing to remember of such a one.
    ///
    /// # Errors
    /// Too many are revoked.
    pub fn revoke_token(&self, id: &str, expires_at: Option<Timestamp>) -> Result<(), RevokedFull> {
        if id.len() > ID_BYTES_MAX {
            return Ok(());
        }
        let (now, last) = self.now_and_last();
        let leeway = TokenLimits::LEEWAY_MAX_MS;
        let until = expires_at.map_or(last, |end| Timestamp(end.0.saturating_add(leeway)).min(last));
        self.inner.revoked.revoke_token(id, until, now)
    }

    /// Refuses a user's tokens that were made until now (`iat`, in whole seconds), and those that do not say when. A
    /// restart forgets it, as that of one token.
    ///
    /// # Errors
    /// Too many are revoked.
    pub fn revoke_user(&self, user: &UserName) -> Result<(), RevokedFull> {
        let (now, last) = self.now_and_last();
        self.inner.revoked.revoke_user(user, last, now)
    }

    /// Now, and when the last token has ended that holds now.
    fn now_and_last(&self) -> (Timestamp, Timestamp) {
        let now = wall();
        let last = match self.inner.limits.lifetime_max_ms {
            0 => u64::MAX,
            lifetime_max_ms => now.0.saturating_add(lifetime_max_ms),
        };
        (now, Timestamp(last.saturating_add(TokenLimits::LEEWAY_MAX_MS)))
    }

    fn count<T>(&self, outcome: &Result<T, TokenRefusal>) {
        self.inner.counters.count(outcome);
        if let Err(cause) = outcome {
            tracing::debug!(cause = cause.name(), "a token is refused");
        }
    }

    /// Tokens that were accepted.
    pub fn accepted(&self) -> u64 {
        self.inner.counters.accepted()
    }

    /// Tokens that were refused for a cause.
    pub fn refused(&self, cause: TokenRefusal) -> u64 {
        self.inner.counters.refused(cause)
    }

    /// Tokens and users that are revoked now, those included that have ended since.
    pub fn revoked(&self) -> usize {
        self.inner.revoked.len()
    }

    /// How often anything was revoked.
    pub(crate) fn revocations(&self) -> u64 {
        self.inner.revoked.revocations()
    }

    /// Whether somebody's token was revoked, or older ones of its user, which this one may be.
    pub(crate) fn may_be_revoked(&self, identity: &Identity) -> bool {
        let id = identity.token_id.as_deref();
        self.inner.revoked.is_revoked(id, identity.user.as_ref(), None)
    }

    /// How often keys were fetched, and how often that failed.
    pub fn fetches(&self) -> (u64, u64) {
        let fetches = &self.inner.fetches;
        let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        (read(&fetches.fetched), read(&fetches.failed))
    }
}

impl Issuer {
    /// The one that a token names, among those that are known. The token is not believed yet: it can only choose whose
    /// keys it is held to.
    fn among<'i>(issuers: &'i [Self], name: Option<&str>) -> Result<&'i Self, TokenRefusal> {
        let named = issuers
            .iter()
            .find(|issuer| issuer.name.is_some() && issuer.name.as_deref() == name);
        let any = || issuers.iter().find(|issuer| issuer.name.is_none());
        named.or_else(any).ok_or(TokenRefusal::Issuer)
    }

    async fn check_signature(&self, parts: &Parts<'_>) -> Result<(), TokenRefusal> {
        let mut are_keys_tried = false;
        let mut verifies = |keys: &[TokenKey]| {
            let mut tried = keys.iter().filter(|key| parts.may_be_of(key)).take(KEYS_MAX);
            tried.any(|key| {
                are_keys_tried = true;
                key.verifies(parts.signed, &parts.signature)
            })
        };
        if verifies(&self.keys) {
            return Ok(());
        }
        if let Some(jwks) = &self.jwks {
            let keys = jwks.keys(|key| parts.may_be_of(key)).await?;
            if verifies(&keys) {
                return Ok(());
            }
        }
        Err(if are_keys_tried {
            TokenRefusal::Signature
        } else {
            TokenRefusal::Key
        })
    }
}

impl<'t> Parts<'t> {
    /// Takes a token apart (RFC 7515 section 7.1).
    fn of(token: &'t str) -> Result<Self, TokenRefusal> {
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenRefusal::Format)?;
        let (header, claims) = signed.split_once('.').ok_or(TokenRefusal::Format)?;
        let header = Claims::parse(&decode(header)?)?;
        if header.has("crit") {
            return Err(TokenRefusal::Critical);
        }
        let text = |name| header.text(name).map_err(|_| TokenRefusal::Format);
        let algorithm = text("alg")?.ok_or(TokenRefusal::Format)?;
        Ok(Self {
            algorithm: Algorithm::named(algorithm).ok_or(TokenRefusal::Algorithm)?,
            key_id: text("kid")?.map(Box::from),
            claims: Claims::parse(&decode(claims)?)?,
            signed,
            signature: decode(signature)?,
        })
    }

    /// Whether it may have been signed with a key: it has the key's algorithm, and names no other key.
    fn may_be_of(&self, key: &TokenKey) -> bool {
        let is_other = match (key.id(), self.key_id.as_deref()) {
            (Some(id), Some(named)) => id != named,
            _ => false,
        };
        key.algorithm() == self.algorithm && !is_other
    }
}

/// What a part of a token is (RFC 7515 section 2): base64url without padding, and written in the one way there is.
fn decode(part: &str) -> Result<Vec<u8>, TokenRefusal> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenRefusal::Format)
}

fn issuers(options: Vec<IssuerOptions>, fetches: &Arc<JwksCounters>) -> Result<Arc<[Issuer]>, TokensError> {
    if options.is_empty() {
        return Err(TokensError::NoIssuer);
    }
    let mut names: Vec<_> = options.iter().map(|issuer| issuer.name.as_ref()).collect();
    names.sort();
    if names.windows(2).any(|two| two[0] == two[1]) {
        return Err(TokensError::Twice);
    }
    let issuers = options.into_iter().map(|issuer| {
        let keys = issuer.keys.len();
        if keys > KEYS_MAX || (keys == 0 && issuer.jwks.is_none()) {
            return Err(TokensError::Keys { keys });
        }
        let jwks = issuer
            .jwks
            .map(|jwks| Jwks::new(jwks, Arc::clone(fetches)).map(Arc::new));
        Ok(Issuer {
            name: issuer.name,
            audiences: issuer.audiences,
            keys: issuer.keys,
            jwks: jwks.transpose()?,
        })
    });
    issuers.collect()
}

/// Keys of an issuer that are configured, and keys that one token is tried with.
const KEYS_MAX: usize = 16;
