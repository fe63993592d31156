//! Keys of channels and namespaces.

use super::{Fate, Group, MAPS, PAID, WITH_FEATURE};

/// The keys.
pub(super) const GROUPS: &[Group] = &[
    // Channels.
    Group {
        under: &["channel.namespaces[]"],
        keys: &["name"],
        fate: Fate::Carried("topic_rule"),
    },
    Group {
        under: &["channel"],
        keys: &["namespaces"],
        fate: Fate::Needless("there is none"),
    },
    Group {
        under: &["channel"],
        keys: &[
            "private_prefix=$",
            "namespace_boundary=:",
            "user_boundary=#",
            "user_separator=,",
        ],
        fate: Fate::Carried("topic_rule"),
    },
    Group {
        under: &["channel"],
        keys: &["max_length=255"],
        fate: Fate::Note("the name of a topic has at most 255 bytes"),
    },
    Group {
        under: &["channel", "channel.without_namespace", "channel.namespaces[]"],
        keys: &["history_meta_ttl=720h"],
        fate: Fate::Needless("positions are remembered at least as long as publications"),
    },
    Group {
        under: &["channel"],
        keys: &["publication_data_format"],
        fate: Fate::Judged("clients may not publish where payloads are checked, unless a hook is asked"),
    },
    Group {
        under: CHANNELS,
        keys: &["presence"],
        fate: Fate::Carried("keep_presence"),
    },
    Group {
        under: CHANNELS,
        keys: &["join_leave"],
        fate: Fate::Carried("keep_presence"),
    },
    Group {
        under: CHANNELS,
        keys: &["force_push_join_leave"],
        fate: Fate::Carried("tell_presence"),
    },
    Group {
        under: CHANNELS,
        keys: &["history_size"],
        fate: Fate::Carried("history_frames"),
    },
    Group {
        under: CHANNELS,
        keys: &["history_ttl"],
        fate: Fate::Carried("history_age"),
    },
    Group {
        under: CHANNELS,
        keys: &[
            "force_positioning",
            "allow_positioning",
            "force_recovery",
            "allow_recovery",
        ],
        fate: Fate::Judged("subscribers may read the history: to recover is to read"),
    },
    Group {
        under: CHANNELS,
        keys: &["force_recovery_mode=stream"],
        fate: Fate::Judged("`cache` is not carried over: all that was missed is recovered"),
    },
    Group {
        under: CHANNELS,
        keys: &["allowed_delta_types"],
        fate: Fate::Carried("deltas"),
    },
    Group {
        under: CHANNELS,
        keys: &["delta_publish"],
        fate: Fate::Needless("where there are deltas, they are made of every publication"),
    },
    Group {
        under: CHANNELS,
        keys: &["allow_tags_filter"],
        fate: Fate::Note("filters are for clients that ask for them, in every topic"),
    },
    Group {
        under: CHANNELS,
        keys: &["allow_subscribe_for_client", "allow_subscribe_for_anonymous"],
        fate: Fate::Judged("`subscribe` of the rule"),
    },
    Group {
        under: CHANNELS,
        keys: &[
            "allow_publish_for_client",
            "allow_publish_for_subscriber",
            "allow_publish_for_anonymous",
        ],
        fate: Fate::Judged("`publish` of the rule"),
    },
    Group {
        under: CHANNELS,
        keys: &[
            "allow_presence_for_client",
            "allow_presence_for_subscriber",
            "allow_presence_for_anonymous",
        ],
        fate: Fate::Judged("`presence` of the rule"),
    },
    Group {
        under: CHANNELS,
        keys: &[
            "allow_history_for_client",
            "allow_history_for_subscriber",
            "allow_history_for_anonymous",
        ],
        fate: Fate::Judged("`history` of the rule"),
    },
    Group {
        under: CHANNELS,
        keys: &["allow_user_limited_channels"],
        fate: Fate::Judged(
            "a rule with `{user}`, for channels of one user; those of several need a subscription token",
        ),
    },
    Group {
        under: CHANNELS,
        keys: &["channel_regex"],
        fate: Fate::Judged("the topics are closed, unless it allows every name"),
    },
    Group {
        under: CHANNELS,
        keys: &["publication_data_format"],
        fate: Fate::Judged("clients may not publish where payloads are checked, unless a hook is asked"),
    },
    Group {
        under: CHANNELS,
        keys: &[
            "subscribe_proxy_enabled",
            "subscribe_proxy_name=default",
            "publish_proxy_enabled",
            "publish_proxy_name=default",
        ],
        fate: Fate::Judged("`hook` in the rule, where the URL could be carried over; else nobody may"),
    },
    Group {
        under: CHANNELS,
        keys: &["sub_refresh_proxy_enabled", "sub_refresh_proxy_name=default"],
        fate: Fate::Judged("`hook_sub_refresh_url`, where the URL could be carried over"),
    },
    Group {
        under: CHANNELS,
        keys: &["subscribe_stream_proxy_enabled", "subscription_type=stream"],
        fate: Fate::Judged("the topics are closed"),
    },
    Group {
        under: CHANNELS,
        keys: &[
            "subscribe_stream_proxy_name=default",
            "subscribe_stream_proxy_bidirectional",
            "map.**",
            "shared_poll.**",
        ],
        fate: WITH_FEATURE,
    },
    Group {
        under: CHANNELS,
        keys: &[
            "map_clients_presence_channel_prefix",
            "map_users_presence_channel_prefix",
        ],
        fate: MAPS,
    },
    Group {
        under: CHANNELS,
        keys: &[
            "subscribe_cel",
            "publish_cel",
            "presence_cel",
            "history_cel",
            "keep_latest_publication",
            "shared_position_sync",
            "state_events",
            "cache_empty_proxy_name",
            "broker_name",
            "presence_manager_name",
        ],
        fate: PAID,
    },
    Group {
        under: &["channel"],
        keys: &["patterns", "patterns[].**"],
        fate: PAID,
    },
];

const CHANNELS: &[&str] = &["channel.without_namespace", "channel.namespaces[]"];
