//! A bad value for every option of history and of idempotency keys.

/// Key, value, the same in TOML, and parts of the rule and of the way out.
pub(crate) const HISTORY_VALUES: &[(&str, &str, &str, &str, &str)] = &[
    (
        "history_frames",
        "1000000001",
        "1000000001",
        "from 0 to 1000000000",
        "write a number in that range",
    ),
    (
        "history_bytes_max",
        "1",
        "1",
        "from 1KiB to 1024GiB",
        "write a size in that range",
    ),
    (
        "history_age",
        "11years",
        "\"11years\"",
        "from 1s to ",
        "write a duration in that range",
    ),
    (
        "history_total_bytes_max",
        "2TiB",
        "\"2TiB\"",
        "from 0B to 1024GiB",
        "write a size in that range",
    ),
    (
        "idempotency_window",
        "2days",
        "\"2days\"",
        "from 1s to 1day",
        "write a duration in that range",
    ),
    (
        "idempotency_keys_per_topic_max",
        "-1",
        "-1",
        "from 0 to 10000000",
        "write a number in that range",
    ),
    (
        "idempotency_keys_max",
        "many",
        "\"many\"",
        "from 0 to 100000000",
        "write a number in that range",
    ),
];
