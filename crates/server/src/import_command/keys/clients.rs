//! Keys of who connects, with which tokens, within which limits.

use super::{Fate, Group, WITH_FEATURE};

/// The keys.
pub(super) const GROUPS: &[Group] = &[
    // Who connects.
    Group {
        under: &["client"],
        keys: &["allowed_origins"],
        fate: Fate::Judged("`allow_origin`, without wildcards"),
    },
    Group {
        under: &["client"],
        keys: &["allow_anonymous_connect_without_token"],
        fate: Fate::Judged("`anonymous`, unless a connect proxy that decides cannot be carried over"),
    },
    Group {
        under: &["client"],
        keys: &["disallow_anonymous_connection_tokens"],
        fate: Fate::Judged("rules say `users` where they would say `anyone`"),
    },
    Group {
        under: &["client"],
        keys: &["insecure"],
        fate: Fate::Judged(
            "`anonymous`, and rules say `anyone`, but where a hook is asked and for private channels",
        ),
    },
    Group {
        under: &["client"],
        keys: &["insecure_skip_token_signature_verify"],
        fate: Fate::Lost("tokens are always verified; sign those that are not"),
    },
    Group {
        under: &["client"],
        keys: &["user_id_http_header"],
        fate: Fate::Lost(
            "no header is believed, so such clients are refused; let hook_connect_url decide, with the header in hook_header, or \
             give out tokens",
        ),
    },
    Group {
        under: &["client.subscribe_to_user_personal_channel"],
        keys: &["enabled", "personal_channel_namespace"],
        fate: Fate::Carried("user_topic"),
    },
    Group {
        under: &["client.subscribe_to_user_personal_channel"],
        keys: &["single_connection"],
        fate: Fate::Lost(
            "older connections of a user stay; connections_per_user_max = 1 refuses the newer one instead",
        ),
    },
    Group {
        under: &["client.connect_code_to_unidirectional_disconnect"],
        keys: &["enabled"],
        fate: Fate::Lost("codes are not translated; unidirectional clients must know the original ones"),
    },
    Group {
        under: &["client.connect_code_to_unidirectional_disconnect"],
        keys: &["transforms", "transforms[].**"],
        fate: WITH_FEATURE,
    },
    // Tokens.
    Group {
        under: &["client.token"],
        keys: &["hmac_secret_key", "rsa_public_key", "ecdsa_public_key"],
        fate: Fate::Judged(
            "`token_key`, once for each algorithm it verifies and is long enough for; a secret that is too short for all is `weak`",
        ),
    },
    Group {
        under: &["client.token"],
        keys: &["jwks_public_endpoint"],
        fate: Fate::Carried("token_jwks_url"),
    },
    Group {
        under: &["client.token"],
        keys: &["audience"],
        fate: Fate::Carried("token_audience"),
    },
    Group {
        under: &["client.token"],
        keys: &["issuer"],
        fate: Fate::Carried("token_issuer"),
    },
    Group {
        under: &["client.token"],
        keys: &["audience_regex", "issuer_regex", "user_id_claim"],
        fate: Fate::Judged(
            "cannot be said here, so that no key is carried over: tokens are refused until you decide",
        ),
    },
    Group {
        under: TOKENS,
        keys: &["hmac_previous_secret_key"],
        fate: Fate::Lost(
            "a key that ends by itself is not known here, so its tokens are refused; add it to token_key and take it out in time",
        ),
    },
    Group {
        under: TOKENS,
        keys: &["hmac_previous_secret_key_valid_until"],
        fate: WITH_FEATURE,
    },
    Group {
        under: TOKENS,
        keys: &["insecure_skip_jwks_endpoint_safety_check"],
        fate: Fate::Note("keys are fetched over https, or from this machine"),
    },
    Group {
        under: &["client.subscription_token"],
        keys: &["enabled"],
        fate: Fate::Judged(
            "keys verify both kinds of tokens here, so that no channel is opened by a subscription token until you decide",
        ),
    },
    Group {
        under: &["client.subscription_token"],
        keys: &[
            "hmac_secret_key",
            "rsa_public_key",
            "ecdsa_public_key",
            "jwks_public_endpoint",
            "audience",
            "audience_regex",
            "issuer",
            "issuer_regex",
            "user_id_claim",
        ],
        fate: WITH_FEATURE,
    },
    // Limits and times of clients.
    Group {
        under: &["client"],
        keys: &["channel_limit"],
        fate: Fate::Carried("subscriptions_max"),
    },
    Group {
        under: &["client"],
        keys: &["queue_max_size"],
        fate: Fate::Carried("outbox_bytes_max"),
    },
    Group {
        under: &["client"],
        keys: &["connection_limit"],
        fate: Fate::Carried("connections_max"),
    },
    Group {
        under: &["client"],
        keys: &["user_connection_limit"],
        fate: Fate::Carried("connections_per_user_max"),
    },
    Group {
        under: &["client"],
        keys: &["connection_rate_limit"],
        fate: Fate::Carried("admissions_per_second"),
    },
    Group {
        under: &["client"],
        keys: &["ping_interval"],
        fate: Fate::Judged("`ping_interval`; it cannot be turned off"),
    },
    Group {
        under: &["client"],
        keys: &["pong_timeout"],
        fate: Fate::Judged("`pong_timeout`; it cannot be turned off"),
    },
    Group {
        under: &["client"],
        keys: &["expired_close_delay=25s", "expired_sub_close_delay=25s"],
        fate: Fate::Note("a connection ends when its token has and token_leeway is over, too"),
    },
    Group {
        under: &["client"],
        keys: &["stale_close_delay=10s"],
        fate: Fate::Note("a client has ten seconds to say who it is"),
    },
    Group {
        under: &["client"],
        keys: &["presence_update_interval", "concurrency"],
        fate: Fate::Needless("presence ends with the connection, and commands wait for no others"),
    },
    Group {
        under: &["client"],
        keys: &["channel_position_check_delay"],
        fate: Fate::Needless("a gap is noticed at the next publication"),
    },
    Group {
        under: &["client"],
        keys: &["channel_position_max_time_lag"],
        fate: Fate::Needless("there is no broker in between that could lag"),
    },
    Group {
        under: &["client"],
        keys: &["connect_include_server_time"],
        fate: Fate::Needless("the reply to connect always has the time"),
    },
    Group {
        under: &["client"],
        keys: &[
            "history_max_publication_limit=300",
            "recovery_max_publication_limit=300",
        ],
        fate: Fate::Note("300 publications are read at once, and 300 recovered"),
    },
    Group {
        under: &["client"],
        keys: &["rate_limit.**"],
        fate: Fate::Lost("limits of rates are others; see commands_per_second and publications_per_second"),
    },
    Group {
        under: &["client"],
        keys: &[
            "write_delay",
            "reply_without_queue",
            "max_messages_in_frame",
            "queue_initial_cap",
        ],
        fate: Fate::Needless("what waits for a client leaves in one write"),
    },
];

const TOKENS: &[&str] = &["client.token", "client.subscription_token"];
