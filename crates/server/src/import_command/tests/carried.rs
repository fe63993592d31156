//! Settings that become options.

use super::*;

/// A file, the lines of the output that come of it, and what is lost.
const TABLE: &[(&str, &[&str], &[&str])] = &[
    (
        "{}",
        &[
            "listen = \"0.0.0.0:8000\"",
            "pattern = \"*:*\"",
            "pattern = \"%24*\"",
            "pattern = \"*\"",
        ],
        &[],
    ),
    (
        r#"{"http_server": {"port": "9000", "address": "::1"}}"#,
        &["listen = \"[::1]:9000\""],
        &[],
    ),
    (
        r#"{"address": "localhost", "port": 9000}"#,
        &["listen = \"127.0.0.1:9000\""],
        &[],
    ),
    (
        r#"{"address": "hub.internal"}"#,
        &["listen = \"127.0.0.1:8000\""],
        &["lost: address: it is no IP address"],
    ),
    (
        r#"{"tls": true, "tls_cert": "/c.pem", "tls_key": "/k.pem"}"#,
        &[
            "listen = \"0.0.0.0:8000\"",
            "tls_cert = [\"/c.pem\"]",
            "tls_key = [\"/k.pem\"]",
        ],
        &[],
    ),
    (
        r#"{"http_server": {"tls": {"enabled": true, "cert_pem": "/c.pem", "key_pem": "/k.pem", "client_ca_pem_file": "/ca.pem"}}}"#,
        &["tls_client_ca = [\"/ca.pem\"]", "tls_client_required = true"],
        &[],
    ),
    (
        r#"{"allowed_origins": ["http://a.example/"]}"#,
        &["allow_origin = [\"http://a.example\"]"],
        &[],
    ),
    (
        r#"{"allow_anonymous_connect_without_token": true}"#,
        &["anonymous = true"],
        &[],
    ),
    (
        r#"{"token_hmac_secret_key": "secret"}"#,
        &[
            "token_key = [\"weak-hs256:secret\"]",
            "token_lifetime_max = \"0s\"",
            "token_leeway = \"0s\"",
        ],
        &[],
    ),
    (
        r#"{"user_subscribe_to_personal": true}"#,
        &["user_topic = \"%23{user}\""],
        &[],
    ),
    (
        r#"{"client": {"subscribe_to_user_personal_channel": {"enabled": true, "personal_channel_namespace": "own"}}}"#,
        &["user_topic = \"own:%23{user}\""],
        &[],
    ),
    (r#"{"client_insecure": true}"#, &["anonymous = true"], &[]),
    (
        r#"{"client": {"token": {"issuer": "id", "audience": "me", "hmac_secret_key": "0123456789abcdef0123456789abcdef"}}}"#,
        &[
            "token_key = [\"hs256:0123456789abcdef0123456789abcdef\"]",
            "token_issuer = \"id\"",
            "token_audience = [\"me\"]",
            "token_lifetime_max = \"0s\"",
        ],
        &[],
    ),
    (
        r#"{"token_jwks_public_endpoint": "https://id.example/keys"}"#,
        &["token_jwks_url = \"https://id.example/keys\""],
        &[],
    ),
    (
        r#"{"http_api": {"key": "key"}}"#,
        &[
            "api_key = [\"centrifugo admin sha256$2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683\"]",
        ],
        &[],
    ),
    (
        r#"{"client": {"channel_limit": 5, "connection_limit": 6, "user_connection_limit": 7, "connection_rate_limit": 8, "ping_interval": "30s", "pong_timeout": "1500ms", "queue_max_size": 2000000}}"#,
        &[
            "subscriptions_max = 5",
            "connections_max = 6",
            "connections_per_user_max = 7",
            "admissions_per_second = 8",
            "ping_interval = \"30s\"",
            "pong_timeout = \"1500ms\"",
            "outbox_bytes_max = 2000000",
        ],
        &[],
    ),
    (
        r#"{"websocket": {"message_size_limit": 4000000, "compression": true, "write_timeout": "2s"}, "shutdown_timeout": "1m"}"#,
        &[
            "message_bytes_max = 4000000",
            "outbox_bytes_max = 4004096",
            "receiving_bytes_max = 1032388608",
            "compression = true",
            "write_timeout = \"2s\"",
            "shutdown_timeout = \"60s\"",
        ],
        &[],
    ),
    (r#"{"log_level": "none"}"#, &["log = \"off\""], &[]),
    (
        r#"{"client": {"proxy": {"connect": {"enabled": true, "endpoint": "http://b/c", "timeout": "3s", "http_headers": ["Cookie"]}}}}"#,
        &[
            "hook_connect_url = \"http://b/c\"",
            "hook_timeout = \"3s\"",
            "hook_header = [\"Cookie\"]",
        ],
        &[],
    ),
    (
        r#"{"proxy_connect_endpoint": "http://b/c", "proxy_http_headers": ["Cookie"]}"#,
        &["hook_connect_url = \"http://b/c\"", "hook_header = [\"Cookie\"]"],
        &[],
    ),
    (
        r#"{"client": {"proxy": {"connect": {"enabled": true, "endpoint": "http://b/c", "http_headers": ["Cookie"], "emulated_headers": ["X-Token"]},
            "refresh": {"enabled": true, "endpoint": "http://b/r", "http_headers": ["Cookie", "X-Tenant"]}}}}"#,
        &[
            "hook_refresh_url = \"http://b/r\"",
            "hook_header = [\"Cookie\", \"X-Tenant\"]",
            "hook_emulated_header = [\"X-Token\"]",
        ],
        &[],
    ),
    (
        r#"{"proxy_subscribe_endpoint": "http://b/s", "proxy_subscribe": true}"#,
        &["hook_subscribe_url = \"http://b/s\"", "subscribe = \"hook\""],
        &[],
    ),
    (
        r#"{"granular_proxy_mode": true, "connect_proxy_name": "p", "rpc_proxy_name": "p", "proxies": [{"name": "p", "endpoint": "http://b/p"}], "namespaces": [{"name": "chat", "publish_proxy_name": "p"}]}"#,
        &[
            "hook_connect_url = \"http://b/p\"",
            "hook_call_url = \"http://b/p\"",
            "hook_publish_url = \"http://b/p\"",
            "publish = \"hook\"",
        ],
        &[],
    ),
    (
        r#"{"proxy_sub_refresh_endpoint": "http://b/f", "proxy_sub_refresh": true}"#,
        &["hook_sub_refresh_url = \"http://b/f\""],
        &[],
    ),
    (
        r#"{"channel": {"proxy": {"subscribe": {"endpoint": "http://b/s"}, "sub_refresh": {"endpoint": "http://b/f"}},
            "without_namespace": {"subscribe_proxy_enabled": true},
            "namespaces": [{"name": "chat", "sub_refresh_proxy_enabled": true}]}}"#,
        &["hook_sub_refresh_url = \"http://b/f\""],
        &[],
    ),
    (
        r#"{"proxy_rpc_endpoint": "http://b/r"}"#,
        &["hook_call_url = \"http://b/r\""],
        &[],
    ),
    (
        r#"{"namespaces": [{"name": "chat", "history_size": 100, "history_ttl": "60s", "presence": true}]}"#,
        &[
            "history_frames = 100",
            "history_bytes_max = \"6400KiB\"",
            "history_age = \"60s\"",
            "keep_presence = true",
        ],
        &[],
    ),
    (
        r#"{"namespaces": [{"name": "chat", "join_leave": true, "force_push_join_leave": true}]}"#,
        &["keep_presence = true", "tell_presence = true"],
        &[],
    ),
    (
        r#"{"namespaces": [{"name": "chat", "allowed_delta_types": ["fossil"]}]}"#,
        &["deltas = true"],
        &[],
    ),
];

#[test]
fn settings_become_options() {
    for (file, lines, missing) in TABLE {
        let (text, draft) = imported(serde_json::from_str(file).unwrap());
        for line in *lines {
            assert!(
                text.lines().any(|other| other == *line),
                "{file}: {line} in\n{text}"
            );
        }
        let lost = lost(&draft);
        assert_eq!(lost.len(), missing.len(), "{file}: {lost:?}");
        for (lost, says) in lost.iter().zip(*missing) {
            assert!(lost.starts_with(says), "{file}: {lost}");
        }
    }
}

/// The rule of a pattern.
fn rule<'r>(text: &'r str, pattern: &str) -> &'r str {
    let begin = text.find(&format!("pattern = \"{pattern}\"\n")).unwrap();
    text[begin..].split("\n\n").next().unwrap()
}

#[test]
fn sizes_that_do_not_fit_are_made_to() {
    for (queue, message, line) in [
        (1, 65_536, "outbox_bytes_max = 69632"),
        (1_000_000_000_000_i64, 65_536, "outbox_bytes_max = 268435456"),
        (1_048_576, 16_777_216, "outbox_bytes_max = 16781312"),
    ] {
        let (text, draft) =
            imported(json!({"client_queue_max_size": queue, "websocket_message_size_limit": message}));
        assert!(text.lines().any(|other| other == line), "{line} in\n{text}");
        assert_eq!(lost(&draft), [""; 0]);
    }
}

/// Switches of a namespace, and who may do what.
const SWITCHES: &[(&str, &str, &str)] = &[
    ("{}", "subscribe", "granted"),
    (
        r#"{"allow_subscribe_for_anonymous": true}"#,
        "subscribe",
        "granted",
    ),
    (r#"{"allow_subscribe_for_client": true}"#, "subscribe", "users"),
    (
        r#"{"allow_subscribe_for_client": true, "allow_subscribe_for_anonymous": true}"#,
        "subscribe",
        "anyone",
    ),
    (r#"{"allow_subscribe_for_client": true}"#, "publish", "granted"),
    (r#"{"allow_publish_for_client": true}"#, "publish", "users"),
    (
        r#"{"allow_publish_for_client": true, "allow_publish_for_anonymous": true}"#,
        "publish",
        "anyone",
    ),
    (
        r#"{"allow_publish_for_subscriber": true}"#,
        "publish",
        "subscribers",
    ),
    (
        r#"{"allow_publish_for_subscriber": true, "allow_publish_for_client": true}"#,
        "publish",
        "users",
    ),
    (
        r#"{"allow_presence_for_subscriber": true}"#,
        "presence",
        "subscribers",
    ),
    (r#"{"allow_presence_for_client": true}"#, "presence", "users"),
    (
        r#"{"allow_history_for_client": true, "allow_history_for_anonymous": true}"#,
        "history",
        "anyone",
    ),
    (
        r#"{"allow_history_for_subscriber": true}"#,
        "history",
        "subscribers",
    ),
    (
        r#"{"force_recovery": true, "history_size": 1, "history_ttl": "1m"}"#,
        "history",
        "subscribers",
    ),
    (
        r#"{"allow_positioning": true, "history_size": 1, "history_ttl": "1m"}"#,
        "history",
        "subscribers",
    ),
    (r#"{"force_recovery": true}"#, "history", "granted"),
];

#[test]
fn switches_of_a_namespace_become_who_may() {
    for (switches, key, who) in SWITCHES {
        let namespace: Value = serde_json::from_str(switches).unwrap();
        let mut named = namespace.clone();
        named["name"] = json!("chat");
        let (text, draft) = imported(json!({"channel": {"namespaces": [named]}}));
        assert!(
            rule(&text, "chat:*").contains(&format!("{key} = \"{who}\"")),
            "{namespace}:\n{text}"
        );
        assert_eq!(lost(&draft), [""; 0], "{namespace}");
        let (text, _) = imported(json!({"channel": {"without_namespace": namespace}}));
        assert!(
            rule(&text, "*").contains(&format!("{key} = \"{who}\"")),
            "{namespace}:\n{text}"
        );
    }
}

#[test]
fn where_nobody_was_held_to_anything_everyone_may_what_no_hook_is_asked_about() {
    let namespaces = json!([
        {"name": "chat"},
        {"name": "asked", "proxy_subscribe": true, "proxy_publish": true},
        {"name": "map", "subscription_type": "map"},
    ]);
    let (text, draft) = imported(json!({
        "client_insecure": true, "disallow_anonymous_connection_tokens": true, "namespaces": namespaces,
        "proxy_subscribe_endpoint": "http://b/s", "proxy_publish_endpoint": "http://b/p",
    }));
    let all = ["anyone"; 4];
    for (pattern, who) in [
        ("*", all),
        ("chat:*", all),
        ("%24chat:*", ["granted", "anyone", "anyone", "anyone"]),
        ("asked:*", ["hook", "hook", "anyone", "anyone"]),
        ("map:*", ["nobody"; 4]),
        ("*:*", ["nobody"; 4]),
    ] {
        for (key, who) in ["subscribe", "publish", "presence", "history"].iter().zip(who) {
            let line = format!("{key} = \"{who}\"");
            assert!(
                rule(&text, pattern).lines().any(|other| other == line),
                "{pattern} {line} in\n{text}"
            );
        }
    }
    let lost = lost(&draft);
    assert!(
        lost.iter().all(|lost| lost.contains("subscription_type")),
        "{lost:?}"
    );
}

#[test]
fn signs_of_channels_are_those_of_topics() {
    let namespaces = json!([{"name": "chat", "allow_user_limited_channels": true}]);
    let (text, _) = imported(json!({"channel": {"namespaces": namespaces}}));
    let patterns: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("pattern = "))
        .collect();
    assert_eq!(
        patterns,
        [
            "\"%24chat:*\"",
            "\"%24*:*\"",
            "\"%24*\"",
            "\"chat:*%23*\"",
            "\"chat:*\"",
            "\"*:*\"",
            "\"*\""
        ]
    );
    assert!(rule(&text, "chat:*%23*").contains("subscribe = \"named\""));
    let (text, _) = imported(json!({"channel": {
        "namespaces": [{"name": "chat"}], "private_prefix": "", "namespace_boundary": "?",
    }}));
    let patterns: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("pattern = "))
        .collect();
    assert_eq!(patterns, ["\"chat%3F*\"", "\"*%3F*\"", "\"*\""]);
}

#[test]
fn what_is_said_to_be_carried_over_is_looked_at() {
    let proxy = json!({"endpoint": "http://b/p", "timeout": "1s"});
    let space = json!({"name": "chat", "subscribe_proxy_enabled": true, "publish_proxy_enabled": true, "sub_refresh_proxy_enabled": true, "history_size": 1,
                       "history_ttl": "1m", "join_leave": true, "force_push_join_leave": true,
                       "allow_user_limited_channels": true});
    let open = json!({"name": "open", "allow_subscribe_for_client": true, "subscribe_proxy_enabled": true, "subscribe_proxy_name": "p"});
    let base = json!({
        "http_server": {"tls": {"enabled": true, "cert_pem": "/c", "key_pem": "/k"}},
        "client": {"subscribe_to_user_personal_channel": {"enabled": true},
                   "proxy": {"connect": {"enabled": true, "endpoint": "http://b/c"}, "refresh": {"enabled": true}},
                   "token": {"hmac_secret_key": "0123456789abcdef0123456789abcdef"}},
        "channel": {"proxy": {"subscribe": proxy, "publish": proxy, "sub_refresh": proxy},
                    "without_namespace": space, "namespaces": [space, open, {"name": "named", "allow_subscribe_for_client": true}]},
        "rpc": {"proxy": proxy, "without_namespace": {"proxy_enabled": true}, "namespaces": [{"name": "r", "proxy_enabled": true}]},
        "broker": {"enabled": true}, "presence_manager": {"enabled": true},
        "proxies": [{"name": "p", "endpoint": "http://b/p"}],
    });
    let plain = json!({"channel": {"without_namespace": {"allow_subscribe_for_client": true}}});
    let read: Vec<_> = [base, plain]
        .into_iter()
        .flat_map(|root| {
            let settings = Settings::new(root, Vec::new());
            draft(&settings);
            settings.read.take()
        })
        .collect();
    for known in keys::all() {
        // The first file that is named is taken.
        let path = known.path();
        let is_other_file = path.contains("_pem") && path.starts_with("http_server.tls");
        if matches!(known.fate, Fate::Carried(_) | Fate::Judged(_)) && !is_other_file {
            assert!(read.contains(&path), "{path} is not looked at");
        }
    }
}
