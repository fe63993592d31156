//! What an embedder can choose.

use std::sync::Arc;

use axum::http::HeaderName;
use fanfare_hub::Limits;
use fanfare_hub::access::TopicRules;
use fanfare_protocol::SHARDS_MAX;

use crate::broker::StorageOptions;
use crate::door::{DoorLimits, Network, OriginRule};
use crate::hooks::Application;
use fanfare_hub::Retention;

/// How a [`crate::Fanfare`] runs. All of it has a default.
///
/// ```
/// use fanfare::Retention;
/// use fanfare::{Limits, Options, TopicRules};
///
/// let options = Options {
///     shards: 2,
///     rules: TopicRules::open().into(),
///     limits: Limits { message_bytes_max: 16 << 10, ..Limits::default() },
///     history: Retention { publications_max: 100, ..Retention::default() },
///     ..Options::default()
/// };
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    /// Threads that serve connections, from 1 to 256. Default: one per core.
    pub shards: usize,
    /// Bounds per connection.
    pub limits: Limits,
    /// Who may do what with which topics. Default: nobody anything that was not granted;
    /// [`TopicRules::open`](crate::TopicRules::open) is the opposite.
    pub rules: Arc<TopicRules>,
    /// Whether clients may connect without saying who they are. Default false.
    pub anonymous: bool,
    /// What the application decides. Default: nothing.
    pub application: Option<Application>,
    /// Headers of a client's request that are kept as long as it is connected, for the application
    /// ([`Caller::entrant`](crate::Caller::entrant)): some 300 bytes per connection, beside the headers and the address that it
    /// asked for. Default: none, and nothing is kept.
    pub kept_headers: Vec<HeaderName>,
    /// Headers that a client may name in its hello, in a dialect in which it says one, in place of those that its request
    /// lacks: a browser can send none with a WebSocket. The application sees them among
    /// [those of the request](crate::Entrant::headers), so name none that something in front of this server vouches for.
    /// Default: none.
    pub emulated_headers: Vec<HeaderName>,
    /// Whether the application is told who comes and goes, and which topics have somebody
    /// ([`Hooks::notice`](crate::Hooks::notice)). It costs some 100 bytes per connection. Default false.
    pub notices: bool,
    /// Bounds on who may connect.
    pub door: DoorLimits,
    /// Proxies that are believed when they say in `X-Forwarded-For`, or in a PROXY header where the listener expects
    /// one, whom they have a connection from. Default: none.
    pub trusted_proxies: Vec<Network>,
    /// Whether `?user=NAME` names the user: for development only, anyone can claim to be anyone. Default false.
    pub is_development: bool,
    /// Which pages of other origins may connect. Default: none but loopback.
    pub origins: OriginRule,
    /// Whether compression (RFC 7692) is agreed on with clients that offer it. It costs processor time once per
    /// publication and shard, and saves bytes per subscriber. Default false.
    pub compression: bool,
    /// How much is kept of the log of each topic of which the [rules](Options::rules) do not say it; all together keep at
    /// most [`Limits::history_total_bytes_max`]. Default: nothing.
    pub history: Retention,
    /// Where topics that keep history keep it durably, unless their rule says otherwise; the server's own do not.
    /// Default: nowhere.
    pub storage: Option<StorageOptions>,
    /// Bytes that the kernel may hold unsent per connection (`TCP_NOTSENT_LOWAT`): beyond it a client counts as
    /// behind. Default 16 KiB.
    pub notsent_bytes: u32,
    /// The kernel's send buffer per connection in bytes (`SO_SNDBUF`). Default: the kernel decides.
    pub send_buffer_bytes: Option<usize>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            shards: std::thread::available_parallelism()
                .map_or(1, usize::from)
                .min(SHARDS_MAX),
            limits: Limits::default(),
            rules: Arc::default(),
            anonymous: false,
            application: None,
            kept_headers: Vec::new(),
            emulated_headers: Vec::new(),
            notices: false,
            door: DoorLimits::default(),
            trusted_proxies: Vec::new(),
            is_development: false,
            origins: OriginRule::default(),
            compression: false,
            history: Retention::default(),
            storage: None,
            notsent_bytes: 16 << 10,
            send_buffer_bytes: None,
        }
    }
}
