//! Why tokens are refused, and how often. Clients are told one and the same thing whatever it was, as long as it could help
//! somebody to guess.

use std::sync::atomic::{AtomicU64, Ordering};

use fanfare_hub::Denial;
use fanfare_protocol::codes::ErrorCode;

/// Declares an enum whose variants are labels of a counter.
macro_rules! causes {
    ($($variant:ident $name:literal $doc:literal;)+) => {
        /// Why a token is refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum TokenRefusal { $(#[doc = $doc] $variant),+ }

        impl TokenRefusal {
            /// Every cause.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name in metrics and logs.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }
    };
}

causes! {
    Size "size" "It is longer than [`TokenLimits::bytes_max`](super::TokenLimits::bytes_max).";
    Format "format" "It is not three parts of base64url, its header or claims are no JSON object, or one is twice in it.";
    Critical "critical" "Its header has extensions that must be understood (`crit`), and none is.";
    Algorithm "algorithm" "Its header names no algorithm that is known; `none` is not one.";
    Issuer "issuer" "It is of no issuer that is configured.";
    Key "key" "No key of its issuer has its `kid` and algorithm.";
    KeysUnavailable "keys_unavailable" "The issuer's keys cannot be fetched now; the client may try again.";
    Signature "signature" "It was signed with another key, or changed since.";
    Claims "claims" "A claim is missing, of the wrong type or beyond its bound.";
    Audience "audience" "It is for somebody else (`aud`).";
    Expired "expired" "It has ended (`exp`).";
    NotYet "not_yet" "It has not begun (`nbf`), or is from the future (`iat`).";
    Lifetime "lifetime" "It ends later than [`TokenLimits::lifetime_max_ms`](super::TokenLimits::lifetime_max_ms) allows.";
    Subject "subject" "It has no `sub` that is a user name, or another user's.";
    Purpose "purpose" "It is a subscription's where a user's is needed, or the other way round, or for other topics.";
    Revoked "revoked" "It was revoked, or its user's tokens were.";
}

impl TokenRefusal {
    /// What a client is told that says who it is: nothing that helps to guess. That a token has ended is known of such alone
    /// whose signature is right.
    pub(crate) fn denial(self) -> Denial {
        match self {
            Self::KeysUnavailable => Denial::unavailable(),
            Self::Expired => Denial::refused(
                ErrorCode::TokenExpired,
                "the token is not accepted: it has expired",
            ),
            _ => Denial::unauthenticated("the token is not accepted"),
        }
    }

    /// What a client is told that wants to receive topics: the same, and whether its token is somebody else's or for something
    /// else, which is known of such alone, too.
    pub(crate) fn denial_to_subscribe(self) -> Denial {
        match self {
            Self::Subject | Self::Purpose => Denial::refused(
                ErrorCode::TokenMismatch,
                "the token is not accepted: it is not for this client and these topics",
            ),
            _ => self.denial(),
        }
    }
}

/// How tokens fared.
#[derive(Debug, Default)]
pub(super) struct Counters {
    accepted: AtomicU64,
    refused: [AtomicU64; TokenRefusal::ALL.len()],
}

impl Counters {
    /// Counts how a token fared.
    pub(super) fn count<T>(&self, outcome: &Result<T, TokenRefusal>) {
        let counter = match outcome {
            Ok(_) => &self.accepted,
            Err(cause) => &self.refused[*cause as usize],
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Tokens that were accepted.
    pub(super) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Tokens that were refused for a cause.
    pub(super) fn refused(&self, cause: TokenRefusal) -> u64 {
        self.refused[cause as usize].load(Ordering::Relaxed)
    }
}
