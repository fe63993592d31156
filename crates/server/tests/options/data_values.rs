//! Wrong values of the options about the data directory.

/// Key, wrong value, the value as it is shown, and what the rule and the way out say.
pub(crate) const DATA_VALUES: &[(&str, &str, &str, &str, &str)] = &[
    (
        "fsync",
        "sometimes",
        "\"sometimes\"",
        "when what is published is made durable",
        "`interval:200ms`",
    ),
    (
        "fsync",
        "interval:2h",
        "\"interval:2h\"",
        "from 1ms to 1h",
        "in that range",
    ),
    (
        "data",
        "/dev/null",
        "\"/dev/null\"",
        "name a directory",
        "`/var/lib/fanfare`",
    ),
    (
        "data_bytes_max",
        "1MiB",
        "\"1MiB\"",
        "from 128MiB to 256GiB",
        "write a size in that range",
    ),
    (
        "data_topics_max",
        "0",
        "0",
        "from 1 to 100000000",
        "write a number in that range",
    ),
    (
        "data_accept_missing",
        "maybe",
        "\"maybe\"",
        "on or off",
        "`true` or `false`",
    ),
];

/// Rules that want durable topics where there can be none, and the way out.
pub(crate) const HOMELESS_RULES: [(&[&str], &str); 2] = [
    (
        &[
            "--topic-rule={ pattern = \"a\", durable = true }",
            "--history-frames=9",
        ],
        "topic_rule of `a` says `durable = true`: there is no data directory; set data, or take it away",
    ),
    (
        &["--topic-rule={ pattern = \"a\", durable = true }", "--data=here"],
        "nothing is kept of its topics; set history_frames in it, or take it away",
    ),
];
