//! Keys of proxies and of calls.

use super::{Fate, Group, WITH_FEATURE};

/// The keys.
pub(super) const GROUPS: &[Group] = &[
    // Proxies.
    Group {
        under: &["client.proxy.connect", "client.proxy.refresh"],
        keys: &["enabled"],
        fate: WITH_FEATURE,
    },
    Group {
        under: &["client.proxy.connect"],
        keys: &["endpoint"],
        fate: Fate::Carried("hook_connect_url"),
    },
    Group {
        under: &["client.proxy.refresh"],
        keys: &["endpoint"],
        fate: Fate::Carried("hook_refresh_url"),
    },
    Group {
        under: &["channel.proxy.subscribe"],
        keys: &["endpoint"],
        fate: Fate::Carried("hook_subscribe_url"),
    },
    Group {
        under: &["channel.proxy.publish"],
        keys: &["endpoint"],
        fate: Fate::Carried("hook_publish_url"),
    },
    Group {
        under: &["channel.proxy.sub_refresh"],
        keys: &["endpoint"],
        fate: Fate::Carried("hook_sub_refresh_url"),
    },
    Group {
        under: &["rpc.proxy"],
        keys: &["endpoint"],
        fate: Fate::Carried("hook_call_url"),
    },
    Group {
        under: &["proxies[]"],
        keys: &["name", "endpoint"],
        fate: Fate::Judged("the hook of the kind that it is named for; one URL for each kind"),
    },
    Group {
        under: ASKED,
        keys: &["timeout"],
        fate: Fate::Judged("`hook_timeout`, the longest of all"),
    },
    Group {
        under: ASKED,
        keys: &["http_headers"],
        fate: Fate::Judged("`hook_header`, the headers of all proxies together"),
    },
    Group {
        under: ASKED,
        keys: &["emulated_headers"],
        fate: Fate::Judged("`hook_emulated_header`, the headers of all proxies together"),
    },
    Group {
        under: ASKED,
        keys: &["grpc_metadata"],
        fate: Fate::Lost(
            "they are not told to the backend; show who it is in a token, or in a header of the request",
        ),
    },
    Group {
        under: ASKED,
        keys: &["http.static_headers.**", "http.static_headers"],
        fate: Fate::Lost(
            "requests to hooks have no headers of your own; the backend checks their signature, see docs/hooks.md",
        ),
    },
    Group {
        under: ASKED,
        keys: &[
            "http.status_to_code_transforms",
            "http.status_to_code_transforms[].**",
        ],
        fate: Fate::Lost("an answer other than 200 is no answer; answer errors with 200 and `error`"),
    },
    Group {
        under: ASKED,
        keys: &["http.tls.**"],
        fate: Fate::Lost(
            "https hooks are verified with the certificates of the system; add the authority there",
        ),
    },
    Group {
        under: ASKED,
        keys: &["binary_encoding"],
        fate: Fate::Note("payloads that are no JSON are told in base64, others as they are"),
    },
    Group {
        under: ASKED,
        keys: &["include_connection_meta"],
        fate: Fate::Needless("`meta` is always told"),
    },
    Group {
        under: ASKED,
        keys: &["grpc.**"],
        fate: Fate::Needless("hooks are asked over HTTP; a grpc endpoint is reported"),
    },
    Group {
        under: UNASKED,
        keys: &["**"],
        fate: Fate::Needless("the namespaces that use it are reported"),
    },
    Group {
        under: &["client"],
        keys: &["connect_proxy_name", "refresh_proxy_name"],
        fate: Fate::Needless("the proxy of that name is carried over"),
    },
    // RPC.
    Group {
        under: &["rpc.without_namespace", "rpc.namespaces[]"],
        keys: &["proxy_enabled", "proxy_name=default"],
        fate: Fate::Judged("`hook_call_url`, where all methods go to one URL"),
    },
    Group {
        under: &["rpc.namespaces[]"],
        keys: &["name"],
        fate: WITH_FEATURE,
    },
    Group {
        under: &["rpc"],
        keys: &["namespaces", "namespace_boundary=:"],
        fate: Fate::Needless("the backend is told the whole name of a method"),
    },
    Group {
        under: &["rpc.ping"],
        keys: &["enabled"],
        fate: Fate::Lost("there is no method of the server's own; clients are pinged anyway"),
    },
    Group {
        under: &["rpc.ping"],
        keys: &["method=ping"],
        fate: WITH_FEATURE,
    },
    // Version 5 says these for all proxies at once.
    Group {
        under: &["proxy"],
        keys: &["http_headers"],
        fate: Fate::Judged("`hook_header`, the headers of all proxies together"),
    },
    Group {
        under: &["proxy"],
        keys: &["grpc_metadata"],
        fate: Fate::Lost(
            "it is not told to the backend; show who it is in a token, or in a header of the request",
        ),
    },
    Group {
        under: &["proxy"],
        keys: &["static_http_headers.**", "static_http_headers"],
        fate: Fate::Lost(
            "requests to hooks have no headers of your own; the backend checks their signature, see docs/hooks.md",
        ),
    },
    Group {
        under: &["proxy"],
        keys: &["binary_encoding"],
        fate: Fate::Note("payloads that are no JSON are told in base64, others as they are"),
    },
    Group {
        under: &["proxy"],
        keys: &["include_connection_meta"],
        fate: Fate::Needless("`meta` is always told"),
    },
    Group {
        under: &["proxy"],
        keys: &[
            "grpc_cert_file",
            "grpc_compression",
            "grpc_credentials_key",
            "grpc_credentials_value",
        ],
        fate: Fate::Needless("hooks are asked over HTTP; a grpc endpoint is reported"),
    },
    Group {
        under: &["proxies[]"],
        keys: &["static_http_headers.**", "static_http_headers"],
        fate: Fate::Lost(
            "requests to hooks have no headers of your own; the backend checks their signature, see docs/hooks.md",
        ),
    },
    Group {
        under: &["proxies[]"],
        keys: &[
            "grpc_cert_file",
            "grpc_compression",
            "grpc_credentials_key",
            "grpc_credentials_value",
        ],
        fate: Fate::Needless("hooks are asked over HTTP; a grpc endpoint is reported"),
    },
];

/// Proxies that hooks take the place of.
const ASKED: &[&str] = &[
    "client.proxy.connect",
    "client.proxy.refresh",
    "channel.proxy.subscribe",
    "channel.proxy.publish",
    "channel.proxy.sub_refresh",
    "rpc.proxy",
    "proxies[]",
];

/// Proxies that nothing takes the place of.
const UNASKED: &[&str] = &[
    "channel.proxy.subscribe_stream",
    "channel.proxy.map_publish",
    "channel.proxy.map_remove",
    "channel.proxy.shared_poll_refresh",
    "channel.proxy.cache_empty",
    "channel.proxy.state",
];
