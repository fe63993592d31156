//! A bad value for every option of hooks and notices.

/// Key, value, the same in TOML, and parts of the rule and of the way out.
pub(crate) const HOOK_VALUES: &[(&str, &str, &str, &str, &str)] = &[
    (
        "hook_format",
        "Centrifugo",
        "\"Centrifugo\"",
        "the format of hooks",
        "write `fanfare` or `centrifugo`",
    ),
    (
        "hook_connect_url",
        "backend.example",
        "\"backend.example\"",
        "`http` or `https` URL",
        "`https://backend.example/fanfare`",
    ),
    (
        "hook_subscribe_url",
        "ftp://a/",
        "\"ftp://a/\"",
        "`http` or `https` URL",
        "`https://backend.example/fanfare`",
    ),
    (
        "hook_publish_url",
        "https://u:p@a.example/",
        "\"https://u:p@a.example/\"",
        "no user and no password",
        "`https://backend.example/fanfare`",
    ),
    (
        "hook_inspect_url",
        "ws://a.example/",
        "\"ws://a.example/\"",
        "`http` or `https` URL",
        "`https://backend.example/fanfare`",
    ),
    (
        "hook_call_url",
        "https://a.example/#b",
        "\"https://a.example/#b\"",
        "no fragment",
        "`https://backend.example/fanfare`",
    ),
    (
        "hook_refresh_url",
        "/fanfare",
        "\"/fanfare\"",
        "`http` or `https` URL",
        "`https://backend.example/fanfare`",
    ),
    (
        "hook_sub_refresh_url",
        "backend.example/refresh",
        "\"backend.example/refresh\"",
        "it is no URL",
        "`https://backend.example/fanfare`",
    ),
    (
        "hook_header",
        "a b",
        "[\"a b\"]",
        "no name of a header",
        "such as `cookie`",
    ),
    (
        "hook_emulated_header",
        "x-ä",
        "[\"x-ä\"]",
        "no name of a header",
        "such as `cookie`",
    ),
    (
        "notice_url",
        "backend.example:80",
        "\"backend.example:80\"",
        "`http` or `https` URL",
        "`https://backend.example/fanfare`",
    ),
    (
        "notice_queue_max",
        "0",
        "0",
        "from 1 to 10000000",
        "write a number in that range",
    ),
    (
        "notice_queue_bytes_max",
        "1TiB",
        "\"1TiB\"",
        "from 1KiB to 1GiB",
        "write a size in that range",
    ),
    (
        "hook_timeout",
        "2h",
        "\"2h\"",
        "from 10ms to 1m",
        "write a duration in that range",
    ),
    (
        "hook_concurrency",
        "0",
        "0",
        "from 1 to 10000",
        "write a number in that range",
    ),
    (
        "hook_waiting_max",
        "-1",
        "-1",
        "from 0 to 1000000",
        "write a number in that range",
    ),
    (
        "hook_breaker_failures",
        "few",
        "\"few\"",
        "whole number",
        "write a number in that range",
    ),
    (
        "hook_breaker_pause",
        "0s",
        "\"0s\"",
        "from 100ms to 1h",
        "write a duration in that range",
    ),
];

/// Rules that leave something to a hook which there is not, or has no words for it, and parts of the way out.
pub(crate) const UNASKED_RULES: [(&[&str], &str); 5] = [
    (
        &[
            "--hook-format=centrifugo",
            "--hook-inspect-url=http://a/",
            "--hook-secret=0123456789abcdef",
        ],
        "hook_inspect_url is set and hook_format is `centrifugo`, which has no such question; take one of them away",
    ),
    (
        &["--topic-rule={ pattern = \"a:*\", publish = \"hook\" }"],
        "topic_rule of `a:*` says `publish = \"hook\"` and nobody can be asked; set hook_publish_url",
    ),
    (
        &["--topic-rule={ pattern = \"a\", subscribe = \"hook\" }"],
        "set hook_subscribe_url",
    ),
    (
        &["--topic-rule={ pattern = \"a\", history = \"hook\" }"],
        "topic_rule of `a` says `history = \"hook\"` and nobody can be asked; set hook_inspect_url",
    ),
    (
        &["--topic-rule={ pattern = \"a\", presence = \"hook\" }"],
        "set hook_inspect_url",
    ),
];
