//! Version 5's flat names, as the paths of version 6, and what the old ones said without saying it.

use serde_json::{Map, Value, json};

use super::keys;
use super::settings::{Settings, plain};
use super::tree;

/// The path of version 6 that a key of version 5 is, if it is one.
///
/// `admin` was a switch and `admin_password` beside it; now there is `admin.enabled` and `admin.password`. Where the rule is
/// not that, there is a table.
pub(super) fn path_of(key: &str) -> Option<String> {
    let exact = EXACT
        .iter()
        .find(|(old, _)| *old == key)
        .map(|(_, path)| (*path).to_owned());
    exact
        .or_else(|| of_channels(key))
        .or_else(|| of_tls(key))
        .or_else(|| of_prefix(key))
        .or_else(|| of_switch(key))
}

/// Whether a key at the top of a file is one of version 6, given its value.
pub(super) fn is_current(key: &str, value: &Value) -> bool {
    keys::find(key).is_some() || ((value.is_object() || value.is_array()) && keys::is_parent(key))
}

/// Options of channels without a namespace stood at the top.
fn of_channels(key: &str) -> Option<String> {
    let key = option_of_namespaces(key).unwrap_or(key);
    known(format!("channel.without_namespace.{key}"))
}

/// What an option of a namespace is called now, if it was called otherwise.
pub(super) fn option_of_namespaces(key: &str) -> Option<&'static str> {
    OPTIONS.iter().find(|(old, _)| *old == key).map(|(_, new)| *new)
}

/// `grpc_api_tls_cert` named a file, `grpc_api_tls_cert_pem` had the certificate in it.
fn of_tls(key: &str) -> Option<String> {
    let (before, rest) = key
        .split_once("tls")
        .map(|(before, rest)| (before, rest.trim_start_matches('_')))?;
    let (_, above) = TLS.iter().find(|(old, _)| *old == before)?;
    let (_, new) = TLS_KEYS.iter().find(|(old, _)| *old == rest)?;
    known(format!("{above}{new}"))
}

fn of_prefix(key: &str) -> Option<String> {
    PREFIXES
        .iter()
        .find_map(|(old, new)| known(format!("{new}{}", key.strip_prefix(old)?)))
}

fn of_switch(key: &str) -> Option<String> {
    known(format!("{key}.enabled"))
}

fn known(path: String) -> Option<String> {
    (keys::find(&path).is_some() || keys::is_parent(&path)).then_some(path)
}

/// A tree in the words of version 6.
pub(super) struct Renamed {
    /// The tree.
    pub(super) root: Value,
    /// The paths of what was written under other names, and those.
    pub(super) names: Vec<(String, String)>,
}

/// Puts every key of version 5 where it is in version 6.
///
/// # Errors
/// What is there under both names.
pub(super) fn rename(root: Value) -> Result<Renamed, Vec<String>> {
    let Value::Object(entries) = root else {
        return Ok(Renamed {
            root,
            names: Vec::new(),
        });
    };
    let (current, others): (Map<_, _>, Map<_, _>) = entries
        .into_iter()
        .partition(|(key, value)| is_current(key, value));
    let (mut root, mut names, mut problems) = (Value::Object(current), Vec::new(), Vec::new());
    for (key, value) in others {
        let path = path_of(&key).unwrap_or_else(|| key.clone());
        if tree::get(&root, &path).is_some() {
            problems.push(format!(
                "`{key}` and `{path}` are both set, and mean the same; keep one"
            ));
            continue;
        }
        tree::set(&mut root, &path, value);
        names.push((path, key));
    }
    names.extend(rename_elements(&mut root));
    if problems.is_empty() {
        Ok(Renamed { root, names })
    } else {
        Err(problems)
    }
}

/// Gives the options of namespaces their names of version 6; which had others: the path, and what was written.
pub(super) fn rename_elements(root: &mut Value) -> Vec<(String, String)> {
    let mut renamed = Vec::new();
    for (list, names) in [("channel", OPTIONS), ("rpc", RPC_OPTIONS)] {
        let elements = root.get_mut(list).and_then(|parent| parent.get_mut("namespaces"));
        let elements = elements.and_then(Value::as_array_mut).into_iter().flatten();
        for (index, element) in elements.enumerate() {
            let Value::Object(element) = element else {
                continue;
            };
            let name = element
                .get("name")
                .and_then(Value::as_str)
                .map_or_else(String::new, plain);
            for (old, new) in names {
                if let Some(value) = element.remove(*old) {
                    element.entry(*new).or_insert(value);
                    let path = format!("{list}.namespaces[{index}].{new}");
                    renamed.push((path, format!("namespaces[{name}].{old}")));
                }
            }
        }
    }
    renamed
}

/// The keys of version 5, for those who have written another.
pub(super) fn names() -> impl Iterator<Item = String> {
    let exact = EXACT.iter().map(|(old, _)| (*old).to_owned());
    exact.chain(keys::all().filter_map(|known| {
        let path = known.path();
        if let Some(key) = path.strip_prefix("channel.without_namespace.") {
            return Some(key.to_owned());
        }
        let of_prefix = PREFIXES
            .iter()
            .find_map(|(old, new)| Some(format!("{old}{}", path.strip_prefix(new)?)));
        of_prefix.or_else(|| path.strip_suffix(".enabled").map(str::to_owned))
    }))
}

/// Says what version 5 meant without saying it: a proxy with an endpoint is on, and so are those that namespaces name where
/// proxies are granular.
pub(super) fn settle(settings: &mut Settings) {
    let is_granular = settings.switch("granular_proxy_mode");
    for (path, above) in [
        ("client.proxy.connect.endpoint", "client.proxy.connect.enabled"),
        ("client.proxy.refresh.endpoint", "client.proxy.refresh.enabled"),
    ] {
        if settings.is_renamed(path) && settings.text(path).is_some() && !is_granular {
            settings.set(above, Value::Bool(true));
        }
    }
    if settings.is_renamed("rpc.proxy.endpoint")
        && settings.text("rpc.proxy.endpoint").is_some()
        && !is_granular
    {
        enable(
            settings,
            "rpc.without_namespace",
            "rpc.namespaces",
            "proxy_enabled",
            |_, _| true,
        );
    }
    if is_granular {
        settle_granular(settings);
    }
}

fn settle_granular(settings: &mut Settings) {
    for (name, proxy) in [
        ("client.connect_proxy_name", "client.proxy.connect"),
        ("client.refresh_proxy_name", "client.proxy.refresh"),
    ] {
        let Some(name) = settings.text(name) else {
            continue;
        };
        let path = settings.named("proxies", &name);
        let mut named = path
            .and_then(|path| settings.get(&path).cloned())
            .unwrap_or_else(|| json!({}));
        if let Value::Object(named) = &mut named {
            named.remove("name");
            named.insert("enabled".to_owned(), Value::Bool(true));
        }
        settings.set(proxy, named);
    }
    for kind in ["subscribe", "publish", "sub_refresh", "subscribe_stream"] {
        let name = format!("{kind}_proxy_name");
        let is_named = |settings: &Settings, at: &str| settings.text(&format!("{at}.{name}")).is_some();
        enable(
            settings,
            "channel.without_namespace",
            "channel.namespaces",
            &format!("{kind}_proxy_enabled"),
            is_named,
        );
    }
    let is_named = |settings: &Settings, at: &str| settings.text(&format!("{at}.proxy_name")).is_some();
    enable(
        settings,
        "rpc.without_namespace",
        "rpc.namespaces",
        "proxy_enabled",
        is_named,
    );
}

/// Turns a switch on in all namespaces of which something is true.
fn enable(
    settings: &mut Settings,
    without: &str,
    list: &str,
    switch: &str,
    holds: impl Fn(&Settings, &str) -> bool,
) {
    let named = (0..settings.elements(list)).map(|index| format!("{list}[{index}]"));
    for at in std::iter::once(without.to_owned()).chain(named) {
        if holds(settings, &at) {
            settings.set(&format!("{at}.{switch}"), Value::Bool(true));
        }
    }
}

/// Keys that no rule explains.
const EXACT: &[(&str, &str)] = &[
    ("address", "http_server.address"),
    ("port", "http_server.port"),
    ("internal_address", "http_server.internal_address"),
    ("internal_port", "http_server.internal_port"),
    ("tls_external", "http_server.tls_external"),
    ("http3", "http_server.http3.enabled"),
    ("name", "node.name"),
    ("engine", "engine.type"),
    ("broker", "broker.type"),
    ("namespaces", "channel.namespaces"),
    ("rpc_namespaces", "rpc.namespaces"),
    ("rpc_ping", "rpc.ping.enabled"),
    ("rpc_ping_method", "rpc.ping.method"),
    ("rpc_proxy_name", "rpc.without_namespace.proxy_name"),
    ("connect_proxy_name", "client.connect_proxy_name"),
    ("refresh_proxy_name", "client.refresh_proxy_name"),
    ("ping_interval", "client.ping_interval"),
    ("pong_timeout", "client.pong_timeout"),
    ("allowed_origins", "client.allowed_origins"),
    (
        "allow_anonymous_connect_without_token",
        "client.allow_anonymous_connect_without_token",
    ),
    (
        "disallow_anonymous_connection_tokens",
        "client.disallow_anonymous_connection_tokens",
    ),
    (
        "separate_subscription_token_config",
        "client.subscription_token.enabled",
    ),
    (
        "user_subscribe_to_personal",
        "client.subscribe_to_user_personal_channel.enabled",
    ),
    (
        "user_personal_channel_namespace",
        "client.subscribe_to_user_personal_channel.personal_channel_namespace",
    ),
    (
        "user_personal_single_connection",
        "client.subscribe_to_user_personal_channel.single_connection",
    ),
    ("global_history_meta_ttl", "channel.history_meta_ttl"),
    ("global_presence_ttl", "engine.redis.presence_ttl"),
    (
        "global_redis_presence_user_mapping",
        "engine.redis.presence_user_mapping",
    ),
    ("channel_patterns", "channel.patterns"),
    ("websocket_disable", "websocket.disabled"),
    ("api_disable", "http_api.disabled"),
    ("usage_stats_disable", "usage_stats.disabled"),
    ("use_singleflight", "singleflight.enabled"),
    ("client_command_rate_limit", "client.rate_limit.client_command"),
    ("user_command_rate_limit", "client.rate_limit.user_command"),
    (
        "redis_user_command_rate_limit",
        "client.rate_limit.redis_user_command",
    ),
    ("client_error_limits", "client.rate_limit.client_error"),
    ("admin_oidc", "admin.oidc"),
    ("state_vacated_event_delay", "state.vacated_event_delay"),
    ("partitioned_presence", "state.partitioned_presence"),
];

/// How the options of a namespace were called in version 5.
const OPTIONS: &[(&str, &str)] = &[
    ("proxy_subscribe", "subscribe_proxy_enabled"),
    ("proxy_publish", "publish_proxy_enabled"),
    ("proxy_sub_refresh", "sub_refresh_proxy_enabled"),
    ("proxy_subscribe_stream", "subscribe_stream_proxy_enabled"),
    (
        "proxy_subscribe_stream_bidirectional",
        "subscribe_stream_proxy_bidirectional",
    ),
];

const RPC_OPTIONS: &[(&str, &str)] = &[("rpc_proxy_name", "proxy_name")];

/// Beginnings of keys, the longer ones first.
const PREFIXES: &[(&str, &str)] = &[
    ("redis_", "engine.redis."),
    ("tarantool_", "engine.tarantool."),
    ("nats_", "broker.nats."),
    ("subscription_token_", "client.subscription_token."),
    ("token_", "client.token."),
    ("client_", "client."),
    ("channel_namespace_", "prometheus.channel_namespace_"),
    ("channel_", "channel."),
    ("rpc_", "rpc."),
    ("proxy_connect_", "client.proxy.connect."),
    ("proxy_refresh_", "client.proxy.refresh."),
    ("proxy_subscribe_stream_", "channel.proxy.subscribe_stream."),
    ("proxy_subscribe_", "channel.proxy.subscribe."),
    ("proxy_publish_", "channel.proxy.publish."),
    ("proxy_sub_refresh_", "channel.proxy.sub_refresh."),
    ("proxy_cache_empty_", "channel.proxy.cache_empty."),
    ("proxy_state_", "channel.proxy.state."),
    ("proxy_rpc_", "rpc.proxy."),
    ("proxy_", "proxy."),
    ("grpc_api_", "grpc_api."),
    ("api_", "http_api."),
    ("websocket_", "websocket."),
    ("webtransport_", "webtransport."),
    ("uni_websocket_", "uni_websocket."),
    ("uni_http_stream_", "uni_http_stream."),
    ("uni_sse_", "uni_sse."),
    ("uni_grpc_", "uni_grpc."),
    ("http_stream_", "http_stream."),
    ("sse_", "sse."),
    ("emulation_", "emulation."),
    ("sockjs_", "sockjs."),
    ("admin_", "admin."),
    ("prometheus_", "prometheus."),
    ("health_", "health."),
    ("swagger_", "swagger."),
    ("graphite_", "graphite."),
    ("opentelemetry_", "opentelemetry."),
    ("shutdown_", "shutdown."),
    ("log_", "log."),
    ("node_", "node."),
    ("tls_autocert_", "http_server.tls_autocert."),
    ("tls_autocert", "http_server.tls_autocert.enabled"),
];

/// What stands before `tls` in a key, and where that is now.
const TLS: &[(&str, &str)] = &[
    ("", "http_server.tls."),
    ("grpc_api_", "grpc_api.tls."),
    ("uni_grpc_", "uni_grpc.tls."),
];

/// What stands behind `tls` in a key.
const TLS_KEYS: &[(&str, &str)] = &[
    ("", "enabled"),
    ("disable", "disable"),
    ("cert", "cert_pem_file"),
    ("key", "key_pem_file"),
    ("cert_pem", "cert_pem"),
    ("key_pem", "key_pem"),
    ("root_ca", "server_ca_pem_file"),
    ("root_ca_pem", "server_ca_pem"),
    ("client_ca", "client_ca_pem_file"),
    ("client_ca_pem", "client_ca_pem"),
    ("server_name", "server_name"),
    ("insecure_skip_verify", "insecure_skip_verify"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_version_5_are_paths_of_version_6() {
        for (key, path) in [
            ("token_hmac_secret_key", "client.token.hmac_secret_key"),
            ("subscription_token_issuer", "client.subscription_token.issuer"),
            ("api_key", "http_api.key"),
            ("api_insecure", "http_api.insecure"),
            ("allowed_origins", "client.allowed_origins"),
            ("presence", "channel.without_namespace.presence"),
            ("history_size", "channel.without_namespace.history_size"),
            (
                "allow_subscribe_for_client",
                "channel.without_namespace.allow_subscribe_for_client",
            ),
            (
                "proxy_subscribe",
                "channel.without_namespace.subscribe_proxy_enabled",
            ),
            ("proxy_subscribe_endpoint", "channel.proxy.subscribe.endpoint"),
            ("proxy_connect_timeout", "client.proxy.connect.timeout"),
            ("proxy_http_headers", "proxy.http_headers"),
            ("proxy_rpc_endpoint", "rpc.proxy.endpoint"),
            ("client_channel_limit", "client.channel_limit"),
            ("client_user_id_http_header", "client.user_id_http_header"),
            ("channel_private_prefix", "channel.private_prefix"),
            ("websocket_message_size_limit", "websocket.message_size_limit"),
            ("uni_websocket_compression", "uni_websocket.compression"),
            ("tls", "http_server.tls.enabled"),
            ("tls_cert", "http_server.tls.cert_pem_file"),
            ("tls_key_pem", "http_server.tls.key_pem"),
            ("tls_autocert", "http_server.tls_autocert.enabled"),
            ("tls_autocert_email", "http_server.tls_autocert.email"),
            ("grpc_api_tls_cert", "grpc_api.tls.cert_pem_file"),
            ("grpc_api_key", "grpc_api.key"),
            ("redis_sentinel_tls_key", "engine.redis.sentinel_tls_key"),
            ("nats_url", "broker.nats.url"),
            ("admin", "admin.enabled"),
            ("admin_password", "admin.password"),
            ("sockjs", "sockjs.enabled"),
            ("grpc_api", "grpc_api.enabled"),
            ("opentelemetry_api", "opentelemetry.api"),
            (
                "node_info_metrics_aggregate_interval",
                "node.info_metrics_aggregate_interval",
            ),
            ("log_level", "log.level"),
            ("shutdown_timeout", "shutdown.timeout"),
        ] {
            assert_eq!(path_of(key).as_deref(), Some(path), "{key}");
        }
        for key in ["tokn", "client_frobnicate", "tls_frobnicate", "frobnicate"] {
            assert_eq!(path_of(key), None, "{key}");
        }
    }

    #[test]
    fn a_file_may_be_of_both_versions() {
        let file = json!({
            "admin": {"enabled": true},
            "prometheus": true,
            "api_key": "k",
            "namespaces": [{"name": "a", "proxy_publish": true}],
            "frobnicate": 1,
        });
        let Renamed { root, names } = rename(file).unwrap();
        assert_eq!(
            root,
            json!({
                "admin": {"enabled": true}, "prometheus": {"enabled": true}, "http_api": {"key": "k"},
                "channel": {"namespaces": [{"name": "a", "publish_proxy_enabled": true}]}, "frobnicate": 1,
            })
        );
        assert!(names.contains(&("http_api.key".to_owned(), "api_key".to_owned())));
    }

    #[test]
    fn what_is_said_in_both_versions_is_refused() {
        let refused = rename(json!({"api_key": "a", "http_api": {"key": "b"}}));
        let problems = refused.err().unwrap();
        assert_eq!(
            problems,
            ["`api_key` and `http_api.key` are both set, and mean the same; keep one"]
        );
    }
}
