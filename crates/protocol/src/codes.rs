//! The two tables of codes: why a command is refused, and why a connection is closed.
//!
//! A wire code exists here and nowhere else. The tables in `docs/protocol/json.md` are written from these by
//! [`error_table`] and [`disconnect_table`], and a test compares them.

use std::fmt::Write as _;
use std::sync::Arc;

/// Declares an enum whose variants are rows of a table.
macro_rules! error_codes {
    ($($variant:ident $name:literal $temporary:literal $doc:literal;)+) => {
        /// Why a command is refused. The connection stays open.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorCode { $(#[doc = $doc] $variant),+ }

        impl ErrorCode {
            /// Every code, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The code as clients see it.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// Whether the same command may succeed later.
            pub fn is_temporary(self) -> bool {
                match self { $(Self::$variant => $temporary),+ }
            }

            fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $doc),+ }
            }
        }
    };
}

error_codes! {
    BadJson "bad_json" false "The message is not one JSON object.";
    BadCommand "bad_command" false "The `type` is missing or unknown, or a field is missing or of the wrong kind.";
    BadTopic "bad_topic" false "A topic name breaks the grammar.";
    Unauthenticated "unauthenticated" false "The client has not said who it is, or its token is not accepted.";
    TokenExpired "token_expired" false "The client's token has ended; show a new one.";
    TokenMismatch "token_mismatch" false "The token holds, and is another user's, connection's or topic's.";
    Forbidden "forbidden" false "The client may not do this.";
    AlreadySubscribed "already_subscribed" false "The client is subscribed to this already, in a dialect in which that is an error.";
    Unrecoverable "unrecoverable" false "The client cannot go on from where it was, and did not want to begin anew.";
    TooManySubscriptions "too_many_subscriptions" false "The connection would pass its limit of subscriptions.";
    NotFound "not_found" false "No such connection is open, or the application knows no such method.";
    NotAvailable "not_available" false "The topic does not keep what was asked for, or there are no methods to call.";
    Conflict "conflict" false "The topic does not stand where it was expected to; nothing was published. `epoch` and `offset` say where it stands.";
    RateLimited "rate_limited" true "The client asks too much too fast; `retry_after_ms` says when to come back.";
    TooManyTopics "too_many_topics" true "The server holds as many topics as it may; nothing was subscribed or published.";
    Overloaded "overloaded" true "The server cannot take the publication now; nothing was published.";
    StorageFull "storage_full" true "The server's disk is full and the topic is durable; nothing was published.";
    OutcomeUnknown "outcome_unknown" false "The server's disk failed, and whether the publication is stored is not known; publish it again with the same idempotency key.";
    Unavailable "unavailable" true "The broker or the application does not answer now; nothing was done.";
}

macro_rules! disconnects {
    ($($variant:ident $code:literal $reason:literal $counter:literal $doc:literal;)+) => {
        /// Why the server closes a connection.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Disconnect {
            $(#[doc = $doc] $variant,)+
            /// An application closed it through the API with a code of its own, from 4000 to 4999; in the words of
            /// Centrifugo from 3000 on.
            Application {
                /// The close code.
                code: u16,
                /// The reason for the client, at most 123 bytes.
                reason: Arc<str>,
            },
        }

        impl Disconnect {
            /// Every fixed reason, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The close code on the wire.
            pub fn code(&self) -> u16 {
                match self { $(Self::$variant => $code,)+ Self::Application { code, .. } => *code }
            }

            /// The reason on the wire.
            pub fn reason(&self) -> &str {
                match self { $(Self::$variant => $reason,)+ Self::Application { reason, .. } => reason }
            }

            /// The place of this cause in a row of counters, below [`Disconnect::CAUSES`].
            pub fn cause(&self) -> usize {
                match self { $(Self::$variant => $counter,)+ Self::Application { .. } => Self::CAUSES - 1 }
            }

            fn meaning(&self) -> &'static str {
                match self {
                    $(Self::$variant => $doc,)+
                    Self::Application { .. } => "An application closed it with a code of its own.",
                }
            }
        }
    };
}

disconnects! {
    ProtocolError 1002 "protocol error" 0 "A frame breaks RFC 6455.";
    UnsupportedData 1003 "binary messages are not accepted in this dialect" 1
        "A binary message in a dialect of text.";
    InvalidData 1007 "invalid data" 2
        "A text message or a close reason is not valid UTF-8, or a compressed message cannot be decompressed.";
    MessageTooBig 1009 "message too big" 3 "A message, or the sum of its fragments, passes the limit.";
    Internal 1011 "internal error" 4 "The server failed while it worked for this connection; connect again.";
    Shutdown 3000 "shutdown" 5 "The server stops; connect again after `reconnect_after_ms`.";
    Slow 3001 "slow" 6 "The client did not read as fast as its topics publish, and its outbox was full.";
    NoPong 3002 "no pong" 7 "Nothing came back within the pong timeout after a ping.";
    Stalled 3003 "stalled" 8 "Nothing could be written for as long as the write timeout.";
    Overloaded 3004 "overloaded" 9 "A publication was refused and the dialect has no other way to say so.";
    PositionLost 3005 "position lost" 10 "A gap in a topic's offsets was found; subscribe again.";
    Reconnect 3006 "reconnect" 11 "The API asked the client to connect again.";
    Shed 3007 "shed" 12 "The server's memory for what waits was full, and most of it waited for this client.";
    MessageTimeout 3008 "message timeout" 13 "A message was begun and not finished in time.";
    Expired 3009 "expired" 14 "The client's token has expired; connect again with a new one.";
    SubscriptionExpired 3010 "subscription expired" 15
        "A subscription has ended, in a dialect that cannot say so or does not ask for it again; connect again.";
    Disconnected 3500 "disconnected" 16 "The API closed the connection for good.";
    Flooding 3501 "flooding" 17 "The client went on asking too much after it was told to wait.";
    Unauthenticated 3502 "unauthenticated" 18
        "The client did not say who it is in time, or its tokens were refused too often.";
    Forbidden 3503 "forbidden" 19 "Something was not allowed and the dialect has no other way to say so.";
    Revoked 3504 "revoked" 20 "The client's token was revoked.";
    BadToken 3505 "bad token" 21 "The client's token is not accepted, in a dialect in which that is the end.";
    NotAvailable 3506 "not available" 22 "The client asked for what there is not, in a dialect in which that is the end.";
    TooManyConnections 3507 "too many connections" 23
        "The client's user has as many connections as it may, in a dialect in which that is the end.";
    TooManySubscriptions 3508 "too many subscriptions" 24
        "The server would subscribe the client to more than one may have, in a dialect in which that is the end.";
}

impl Disconnect {
    /// How many causes there are.
    pub const CAUSES: usize = Self::ALL.len() + 1;

    /// Code and reason of every cause, in the order of [`Disconnect::cause`]; 4000 stands for all codes of applications.
    pub fn causes() -> impl Iterator<Item = (u16, &'static str)> {
        let fixed = Self::ALL.iter().map(|cause| (cause.code(), cause.reason()));
        fixed.chain([(4000, "application")])
    }

    /// Whether a client should connect again: codes 3000–3499, 4000–4499 and 1011 say yes, 3500–3999 and 4500–4999 no.
    /// After one of the other codes of RFC 6455 the same client would fail again.
    pub fn reconnects(&self) -> bool {
        matches!(self.code(), 1011 | 3000..=3499 | 4000..=4499)
    }
}

/// The rows of [`ErrorCode`] as a Markdown table.
pub fn error_table() -> String {
    let mut table = String::from("| `code` | `temporary` | meaning |\n|---|---|---|\n");
    for code in ErrorCode::ALL {
        let _ = writeln!(
            table,
            "| `{}` | {} | {} |",
            code.name(),
            code.is_temporary(),
            code.meaning()
        );
    }
    table
}

/// The rows of [`Disconnect`] as a Markdown table.
pub fn disconnect_table() -> String {
    let mut table = String::from("| code | reason | reconnect | meaning |\n|---|---|---|---|\n");
    for cause in Disconnect::ALL {
        let reconnects = if cause.reconnects() { "yes" } else { "no" };
        let _ = writeln!(
            table,
            "| {} | {} | {reconnects} | {} |",
            cause.code(),
            cause.reason(),
            cause.meaning()
        );
    }
    table.push_str("| 4000–4499 | the application's | yes | An application closed it through the API. |\n");
    table.push_str("| 4500–4999 | the application's | no | An application closed it through the API. |\n");
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_names_and_causes_are_unique_and_counted() {
        for (at, cause) in Disconnect::ALL.iter().enumerate() {
            assert_eq!(cause.cause(), at);
            assert!(
                cause.reason().len() <= 123,
                "a close reason has 123 bytes at most (RFC 6455 section 5.5)"
            );
            assert_eq!(
                Disconnect::ALL
                    .iter()
                    .filter(|other| other.code() == cause.code())
                    .count(),
                1
            );
        }
        let application = Disconnect::Application {
            code: 4000,
            reason: Arc::from("bye"),
        };
        assert_eq!(application.cause(), Disconnect::CAUSES - 1);
        for code in ErrorCode::ALL {
            assert_eq!(
                ErrorCode::ALL
                    .iter()
                    .filter(|other| other.name() == code.name())
                    .count(),
                1
            );
        }
    }

    #[test]
    fn the_range_of_a_code_says_whether_to_reconnect() {
        let application = |code| Disconnect::Application {
            code,
            reason: Arc::from(""),
        };
        assert!(Disconnect::Slow.reconnects() && application(4499).reconnects());
        assert!(!Disconnect::Disconnected.reconnects() && !application(4500).reconnects());
    }

    #[test]
    fn the_page_of_the_dialect_has_these_tables() {
        let page = include_str!("../../../docs/protocol/json.md");
        for table in [error_table(), disconnect_table()] {
            assert!(
                page.contains(&table),
                "docs/protocol/json.md is stale, it should have:\n{table}"
            );
        }
    }
}
