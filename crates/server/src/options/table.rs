//! The table of options: each one's key, meaning, type, default and rule, once.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use fanfare::tokens::JwksUrl;
use fanfare::{DoorLimits, Fsync, Network, Origin, TlsVersion, UserTopic};

use super::api_key::ApiKey;
use super::fsync::FsyncOption;
use super::kind::{Kind, LogFormat};
use super::secret::Secret;
use super::slow_rule::SlowRuleOption;
use super::token_key::TokenKeyOption;
use super::topic_rule::TopicRuleOption;
use crate::hooks::{HookFormat, HookHeader, HookUrl};

/// One option as data.
///
/// Its key is spelt `like_this` in the file, `--like-this` as a flag and `FANFARE_LIKE_THIS` in the environment.
#[derive(Debug)]
pub(crate) struct OptionSpec {
    /// The name in the file.
    pub(crate) key: &'static str,
    /// The heading it stands under in the help and the documentation.
    pub(crate) section: &'static str,
    /// What it is, in a sentence or two; the first line is the short help.
    pub(crate) doc: &'static str,
    /// What its values are and where they are stored.
    pub(crate) kind: Kind,
    /// What the default is where it is no fixed value ("the number of cores").
    pub(crate) default_note: Option<&'static str>,
}

impl OptionSpec {
    /// The name on the command line, without the dashes in front.
    pub(crate) fn flag(&self) -> String {
        self.key.replace('_', "-")
    }

    /// The name in the environment.
    pub(crate) fn variable(&self) -> String {
        format!("FANFARE_{}", self.key.to_ascii_uppercase())
    }

    /// The default as an operator would write it, or what stands for it.
    pub(crate) fn default_text(&self) -> String {
        match (self.default_note, self.kind.texts(&ServeOptions::default())) {
            (Some(note), _) => note.to_owned(),
            (None, texts) if texts.is_empty() => "none".to_owned(),
            (None, texts) => texts.join(","),
        }
    }
}

/// Makes `ServeOptions`, its defaults and `OPTIONS` from one list. `Kind[a..=b]` is a kind with a range.
macro_rules! options {
    ($( $section:literal { $(
        #[doc = $first:literal] $( #[doc = $more:literal] )*
        $key:ident: $type:ty = $default:expr, $kind:ident $( [$min:expr, $max:expr] )? $( ($note:literal) )?;
    )* } )*) => {
        /// The checked configuration of `fanfare serve`.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub(crate) struct ServeOptions { $($(
            #[doc = $first] $( #[doc = $more] )*
            pub(crate) $key: $type,
        )*)* }

        impl Default for ServeOptions {
            fn default() -> Self {
                Self { $($( $key: $default, )*)* }
            }
        }

        /// Every option of `fanfare serve`, in the order of the help.
        pub(crate) const OPTIONS: &[OptionSpec] = &[ $($( OptionSpec {
            key: stringify!($key),
            section: $section,
            doc: concat!($first $(, "\n", $more)*),
            kind: Kind::$kind { at: |options| &mut options.$key $(, min: $min, max: $max)? },
            default_note: options!(@note $($note)?),
        }, )*)* ];
    };
    (@note) => { None };
    (@note $note:literal) => { Some($note) };
}

options! {
    "Listening" {
        /// Address and port to accept connections on; port 0 lets the system choose one.
        listen: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080), Address;
        /// Threads that each serve a share of the connections.
        shards: usize = cores(), Count[1, SHARDS_MAX] ("the number of cores");
        /// Development mode: clients may name their own user, everything is open as with `open`, and at least 100 publications
        /// are kept of each topic.
        dev: bool = false, Switch;
        /// Compress what is published, for clients that offer it (permessage-deflate): fewer bytes for more processor time.
        compression: bool = false, Switch;
    }
    "Access" {
        /// Origin whose pages may connect from a browser, such as `https://example.org`.
        /// Repeat the flag for several; in the environment they are separated by commas.
        allow_origin: Vec<Origin> = Vec::new(), Origins;
        /// Clients may connect without saying who they are.
        anonymous: bool = false, Switch;
        /// Clients may connect without saying who they are, and do everything with every topic that no rule speaks of.
        open: bool = false, Switch;
        /// It is kept who is in the topics of which no rule says it, for those who may see it. On with open.
        keep_presence: bool = false, Switch;
        /// What holds for the topics of a pattern: who may `subscribe`, `publish`, see `presence` and read `history`,
        /// the rule for `slow` clients, how many `publications_per_second` each takes, what is kept of it (`history_frames`,
        /// `history_bytes_max`, `history_age`), whether that is `durable`, and whether to `keep_presence`, to send `deltas`, to `give_newest` and to `tell_presence`. The first pattern that matches a topic
        /// decides; without one, nobody may do anything that was not granted to it.
        topic_rule: Vec<TopicRuleOption> = Vec::new(), TopicRules;
        /// Topic that every client with a user name is subscribed to when it comes, whatever the rules say, with `{user}` for the
        /// name: `inbox:{user}`.
        user_topic: Option<UserTopic> = None, MaybeUserTopic ("none");
        /// Key that callers of the HTTP API present, which may then do everything, at least 16 bytes; or its name, what it may
        /// do (`publish:PATTERN`, `stats`, `admin`) and its hash, as `fanfare keygen api-key` prints it.
        /// Prefer the file or the environment: flags are visible in the list of processes.
        api_key: Vec<ApiKey> = Vec::new(), ApiKeys;
    }
    "Tokens" {
        /// Key that verifies tokens (JWT) of clients: `hs256:SECRET`, or `rs256:@FILE` with a public key in PEM, and
        /// `kid=ID:` before it where tokens name their key. It verifies that algorithm alone. `weak-hs256:SECRET` takes a secret
        /// that is too short, for trials: who sees one token can guess it, and is anybody then.
        token_key: Vec<TokenKeyOption> = Vec::new(), TokenKeys;
        /// Where the issuer of tokens publishes further keys (JWKS); `http` only on this machine.
        token_jwks_url: Option<JwksUrl> = None, MaybeKeysUrl ("nowhere");
        /// What tokens must name as their issuer (`iss`).
        token_issuer: Option<String> = None, MaybeText ("any, or none");
        /// Whom tokens must be for (`aud`), any of these. Without, tokens for anyone in particular are refused.
        token_audience: Vec<String> = Vec::new(), Texts;
        /// What clocks may differ: tokens hold that much earlier and longer.
        token_leeway: Duration = Duration::from_secs(30), Time[Duration::ZERO, FIVE_MINUTES];
        /// How far ahead a token may end; one that ends later is refused. With 0, a token may end at any time, or never.
        token_lifetime_max: Duration = Duration::from_secs(30 * DAY.as_secs()), Time[Duration::ZERO, TEN_YEARS];
        /// Claim that patterns of topic_rule may use as `{claims.NAME}`. Without, every claim of text or a list of text, of
        /// which a token may then have 32.
        token_claim: Vec<String> = Vec::new(), Texts;
    }
    "Hooks" {
        /// In whose words hooks are asked: those of `docs/hooks.md`, or those of Centrifugo's proxies, for backends that were
        /// written for them.
        hook_format: HookFormat = HookFormat::Fanfare, HookFormat;
        /// URL that is asked whether a client may connect, and as whom.
        hook_connect_url: Option<HookUrl> = None, MaybeUrl ("nobody is asked");
        /// URL that is asked who a client is from now on whose identity has come to its end. Clients are not told of the end then,
        /// and need show no other token.
        hook_refresh_url: Option<HookUrl> = None, MaybeUrl ("nobody is asked, and connections end");
        /// URL that is asked whether a client may receive topics of which a topic_rule says `subscribe = "hook"`.
        hook_subscribe_url: Option<HookUrl> = None, MaybeUrl ("nobody is asked");
        /// URL that is asked whether a client may publish to topics of which a topic_rule says `publish = "hook"`.
        hook_publish_url: Option<HookUrl> = None, MaybeUrl ("nobody is asked");
        /// URL that is asked whether a client may read what was published to topics of which a topic_rule says
        /// `history = "hook"`, or see who is in those of which one says `presence = "hook"`.
        hook_inspect_url: Option<HookUrl> = None, MaybeUrl ("nobody is asked");
        /// URL that answers the procedures clients call.
        hook_call_url: Option<HookUrl> = None, MaybeUrl ("there are no procedures");
        /// URL that is asked whether a client may go on receiving a topic when the leave that a hook gave for it has ended.
        hook_sub_refresh_url: Option<HookUrl> = None, MaybeUrl ("the subscription ends");
        /// Key that requests to hooks are signed with, at least 16 bytes. With several, each signs.
        /// Prefer the file or the environment: flags are visible in the list of processes.
        hook_secret: Vec<Secret> = Vec::new(), Secrets;
        /// Header of a client's request that hook_connect_url is told, such as `cookie`, and with hook_format `centrifugo` every
        /// hook; then it is kept as long as the client is connected.
        /// Repeat the flag for several; in the environment they are separated by commas.
        hook_header: Vec<HookHeader> = Vec::new(), Headers;
        /// Header that clients of Centrifuge may give with their command `connect` where their request has none of that name, as a
        /// browser's has not; it is told like those of hook_header. Name none that something in front of this server vouches
        /// for: anybody can write anything into it.
        hook_emulated_header: Vec<HookHeader> = Vec::new(), Headers;
        /// How long a hook may take to answer, the time in the line and every try included; beyond, it has not answered.
        hook_timeout: Duration = SECOND, Time[CENTI, MINUTE];
        /// Requests to one hook's URL under way at the same time; further questions wait in order.
        hook_concurrency: usize = 64, Count[1, 10_000];
        /// Questions to one hook's URL that may wait; further ones are answered `overloaded`.
        hook_waiting_max: usize = 1_000, Count[0, 1_000_000];
        /// Questions in a row that a hook's URL has not answered, after which it is not asked for hook_breaker_pause;
        /// 0 for any number.
        hook_breaker_failures: usize = 10, Count[0, 1_000_000];
        /// How long a hook's URL is not asked that does not answer; then one question decides whether it is again.
        hook_breaker_pause: Duration = SECOND, Time[TENTH, HOUR];
        /// URL that is told who comes and goes, and which topics have somebody.
        notice_url: Option<HookUrl> = None, MaybeUrl ("nobody is told");
        /// Notices that may wait for notice_url; further ones are dropped and counted.
        notice_queue_max: usize = 100_000, Count[1, 10_000_000];
        /// Bytes that may wait for notice_url; further notices are dropped and counted.
        notice_queue_bytes_max: usize = 32 * MIB, Size[KIB, 1024 * MIB];
    }
    "TLS" {
        /// File with a certificate of the server and its chain, in PEM. With one, nothing but TLS is spoken.
        /// Repeat the flag for several, each with its tls_key: a client gets the first for the name that it asks for, or
        /// the first of all. Read again at each reload; open connections keep theirs.
        tls_cert: Vec<PathBuf> = Vec::new(), Files;
        /// File with the key to the tls_cert in the same place of the list, in PEM and without a passphrase.
        tls_key: Vec<PathBuf> = Vec::new(), Files;
        /// File with authorities in PEM whose certificates clients may show; others are refused.
        tls_client_ca: Vec<PathBuf> = Vec::new(), Files;
        /// Clients must show a certificate of tls_client_ca.
        tls_client_required: bool = false, Switch;
        /// The oldest version of TLS that is spoken.
        tls_min_version: TlsVersion = TlsVersion::V1_2, TlsVersion;
    }
    "Door" {
        /// Proxy that is believed when it says in X-Forwarded-For whom a request is from, as an address or a network.
        /// Repeat the flag for several; in the environment they are separated by commas.
        trusted_proxy: Vec<Network> = Vec::new(), Networks;
        /// The trusted proxies begin each connection with a header of the PROXY protocol, version 1 or 2.
        proxy_protocol: bool = false, Switch;
        /// WebSocket connections open at the same time; further ones are answered 503.
        connections_max: Option<usize> = None, MaybeCount[1, 10_000_000] ("what the limit on open files allows");
        /// WebSocket connections of one client address, IPv6 by its /64; further ones are answered 429. 0 is no bound.
        /// Loopback and trusted proxies themselves are not counted by address.
        connections_per_address_max: usize = bound(DOOR.connections_per_address_max), Count[0, 10_000_000];
        /// WebSocket connections of one user; further ones are answered 429. 0 is no bound.
        connections_per_user_max: usize = bound(DOOR.connections_per_user_max), Count[0, 10_000_000];
        /// Connections that are no WebSocket, yet or ever; further ones are answered 503 unread. 0 is no bound.
        handshakes_max: usize = bound(DOOR.handshakes_max), Count[0, 10_000_000];
        /// Connections of one address that are no WebSocket; further ones are answered 429 unread. 0 is no bound.
        handshakes_per_address_max: usize = bound(DOOR.handshakes_per_address_max), Count[0, 10_000_000];
        /// WebSocket connections admitted per second, and at once after a quiet second. 0 is no bound.
        /// Those beyond are answered 503 and asked to come back over the time that is needed for all of them.
        admissions_per_second: usize = bound(DOOR.admissions_per_second), Count[0, 1_000_000];
        /// WebSocket connections of one client address admitted per second; further ones are answered 429. 0 is no bound.
        admissions_per_address: usize = bound(DOOR.admissions_per_address), Count[0, 1_000_000];
    }
    "Limits" {
        /// Largest message a client may send.
        message_bytes_max: usize = 64 * KIB, Size[1, 16 * MIB];
        /// Publications that may wait for one slow connection before its topics' rule for slow clients applies.
        outbox_frames_max: usize = 256, Count[1, 65_536];
        /// Bytes that may wait for one slow connection; at least message_bytes_max and 4KiB.
        outbox_bytes_max: usize = MIB, Size[KIB, 256 * MIB];
        /// How long a publication may wait for one slow connection before its topics' rule for slow clients applies.
        outbox_age_max: Duration = Duration::from_secs(30), Time[SECOND, HOUR];
        /// What happens to publications of a topic that a client reads too slowly for, as PATTERN=RULE.
        /// The first pattern that matches decides; without one it is `disconnect`. The rules are `disconnect`,
        /// `drop_oldest`, `drop_newest` and `conflate`. Repeat the flag for several; in the environment they are
        /// separated by commas.
        slow_rule: Vec<SlowRuleOption> = Vec::new(), SlowRules;
        /// Bytes that may wait for all connections together; beyond, those with the most are closed.
        /// Each shard has an equal share.
        waiting_bytes_max: usize = 256 * MIB, Size[MIB, 1024 * 1024 * MIB];
        /// Memory of the process near which nothing more is taken on: from nine tenths of it new connections and
        /// publications are refused, and the slowest clients closed.
        memory_max: Option<usize> = None, MaybeSize[16 * MIB, 1024 * 1024 * MIB] ("what the container allows");
        /// Topics one connection may be subscribed to.
        subscriptions_max: usize = 128, Count[1, 65_536];
        /// Topics that exist at the same time, because they have a subscriber or history; 0 for any number.
        /// A topic with one subscriber costs about half a kilobyte.
        topics_max: usize = 1_000_000, Count[0, 100_000_000];
        /// Bytes held for messages that clients have begun and not finished, over all connections; 0 for any number.
        /// The connection that would pass it is closed.
        receiving_bytes_max: usize = 64 * MIB, Size[0, 64 * 1024 * MIB];
        /// Subscribe commands of one connection that may wait for the broker; with so many it is not read from.
        subscribes_pending_max: usize = 64, Count[1, 65_536];
        /// Kernel send buffer of each connection (SO_SNDBUF).
        send_buffer_bytes: Option<usize> = None, MaybeSize[4 * KIB, 16 * MIB] ("what the system chooses");
        /// Bytes the kernel may hold unsent for a connection before it counts as slow (TCP_NOTSENT_LOWAT).
        notsent_bytes: usize = 16 * KIB, Size[KIB, 16 * MIB];
    }
    "Rates" {
        /// Messages, pings and unasked pongs one connection may send per second, and twice as many at once; 0 for any number.
        /// One that sends more is not read from until there is room again.
        commands_per_second: usize = 100, Count[0, 1_000_000];
        /// Bytes one connection may send per second, and twice as many at once; 0 for any number.
        bytes_per_second: usize = MIB, Size[0, 1024 * MIB];
        /// As commands_per_second, for all connections together that a user has in one shard.
        user_commands_per_second: usize = 400, Count[0, 1_000_000];
        /// As bytes_per_second, for all connections together that a user has in one shard.
        user_bytes_per_second: usize = 4 * MIB, Size[0, 1024 * MIB];
        /// Publications of clients one topic takes per second, and twice as many at once; 0 for any number.
        /// Further ones are refused. What the HTTP API publishes is not counted.
        publications_per_second: usize = 1_000, Count[0, 1_000_000];
        /// Commands of one connection that may be refused within ten seconds for coming too fast; 0 for any number.
        /// One more closes it.
        refusals_max: usize = 200, Count[0, 1_000_000];
    }
    "Times" {
        /// How often a quiet connection is pinged.
        ping_interval: Duration = Duration::from_secs(21), Time[SECOND, HOUR];
        /// How long a ping may stay unanswered before the connection is closed.
        pong_timeout: Duration = Duration::from_secs(8), Time[SECOND, HOUR];
        /// How long a connection may take none of the bytes that wait for it before it is closed.
        write_timeout: Duration = Duration::from_secs(10), Time[TENTH, HOUR];
        /// How long a client may take to finish a message it has begun before the connection is closed.
        message_timeout: Duration = Duration::from_secs(30), Time[TENTH, HOUR];
        /// How long a client may take to send its request and complete the upgrade.
        handshake_timeout: Duration = Duration::from_secs(10), Time[TENTH, HOUR];
        /// How long a closed connection waits for the client's half of the closing handshake.
        close_timeout: Duration = Duration::from_secs(5), Time[TENTH, HOUR];
        /// Time over which clients are told to reconnect when the server stops, so that they do not return all at once.
        shutdown_window: Duration = Duration::from_secs(5), Time[Duration::ZERO, HOUR];
        /// How long stopping may take as a whole; what is still open then is cut.
        shutdown_timeout: Duration = Duration::from_secs(20), Time[Duration::ZERO, HOUR];
    }
    "History" {
        /// Publications kept per topic, for clients that come back; 0 keeps none. A topic_rule may say otherwise for its
        /// topics, here and in the next two.
        history_frames: usize = 0, Count[0, HISTORY_FRAMES_MAX];
        /// Bytes of publications kept per topic: what they take in memory, or in the data directory.
        history_bytes_max: usize = MIB, Size[HISTORY_BYTES_MIN, HISTORY_BYTES_MAX];
        /// How long a publication is kept.
        history_age: Duration = FIVE_MINUTES, Time[HISTORY_AGE_MIN, HISTORY_AGE_MAX];
        /// Bytes of publications kept in memory over all topics. Beyond, a topic keeps no more than it drops, its own oldest first;
        /// nobody is refused.
        history_total_bytes_max: usize = 256 * MIB, Size[0, 1024 * 1024 * MIB];
        /// How long an idempotency key is remembered, so that what is published with it again is known.
        idempotency_window: Duration = FIVE_MINUTES, Time[SECOND, DAY];
        /// Idempotency keys remembered per topic; beyond, its oldest is forgotten before its time.
        idempotency_keys_per_topic_max: usize = 10_000, Count[0, 10_000_000];
        /// Idempotency keys remembered over all topics, and newest versions of topics. Beyond, a topic remembers no more than it
        /// forgets, its own oldest first.
        idempotency_keys_max: usize = 100_000, Count[0, 100_000_000];
    }
    "Data directory" {
        /// Directory in which topics that keep history keep it: what was published to them and answered is there again after
        /// a restart, however the process ended. A topic_rule with `durable = false` excepts its topics. Made if it is not there.
        data: Option<PathBuf> = None, MaybeDirectory ("history is kept in memory");
        /// When a durable publication is answered and delivered: when the disk has it (`always`); or when it is written,
        /// and the disk has it within that time (`interval:200ms`) or when the system likes to (`never`). Then a machine that
        /// ends without warning takes with it what was answered meanwhile; the end of the process alone takes nothing.
        fsync: FsyncOption = FsyncOption(Fsync::Always), Fsync;
        /// Bytes of the data directory's segments, in steps of 64 MiB. Beyond, durable publications are refused with
        /// `storage_full` until some of what is kept goes.
        data_bytes_max: usize = 64 * 1024 * MIB, Size[128 * MIB, 256 * 1024 * MIB];
        /// Topics in the data directory; one of which only the position is remembered counts for 30 days. Beyond, the first
        /// publication of another one is refused. One costs about 300 bytes of memory.
        data_topics_max: usize = 1_000_000, Count[1, 100_000_000];
        /// Start although a segment of the data directory is missing. What it had is lost, and clients are told.
        data_accept_missing: bool = false, Switch;
    }
    "Logging" {
        /// Form of the log on standard error.
        log_format: LogFormat = LogFormat::Text, Format;
        /// What to log: a level (error, warn, info, debug, trace), or targets with levels such as warn,fanfare=debug.
        log: String = "info".to_owned(), Filter;
    }
}

/// The library's bounds, which are the program's defaults.
const DOOR: DoorLimits = DoorLimits::DEFAULT;

/// A bound as an operator writes it: 0 for none.
fn bound(max: Option<NonZero<u32>>) -> usize {
    max.map_or(0, |max| max.get() as usize)
}

/// The cores this process may use, as far as the system tells.
fn cores() -> usize {
    std::thread::available_parallelism()
        .map_or(1, NonZero::get)
        .min(SHARDS_MAX)
}

/// Room a publication's envelope and frame header take in an outbox, beside its payload.
pub(super) const ENVELOPE_BYTES_MAX: usize = 4 * KIB;

/// What a shard reads from a connection at once.
pub(super) const READ_BYTES: usize = 32 * KIB;

/// The bounds of what a topic keeps, here and in a topic_rule.
pub(super) const HISTORY_FRAMES_MAX: usize = 1_000_000_000;
pub(super) const HISTORY_BYTES_MIN: usize = KIB;
pub(super) const HISTORY_BYTES_MAX: usize = 1024 * 1024 * MIB;
pub(super) const HISTORY_AGE_MIN: Duration = SECOND;
pub(super) const HISTORY_AGE_MAX: Duration = TEN_YEARS;

const SHARDS_MAX: usize = 256;
const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
const CENTI: Duration = Duration::from_millis(10);
const TENTH: Duration = Duration::from_millis(100);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const FIVE_MINUTES: Duration = Duration::from_secs(5 * 60);
const TEN_YEARS: Duration = Duration::from_secs(3_650 * DAY.as_secs());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_value_its_own_rule_accepts() {
        for spec in OPTIONS {
            let mut read_back = ServeOptions::default();
            let texts = spec.kind.texts(&ServeOptions::default());
            if !texts.is_empty() {
                spec.kind.read(&mut read_back, &texts).unwrap();
            }
            assert_eq!(read_back, ServeOptions::default(), "{}", spec.key);
        }
    }

    #[test]
    fn keys_are_unique() {
        let mut keys: Vec<_> = OPTIONS.iter().map(|spec| spec.key).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), OPTIONS.len());
    }
}
