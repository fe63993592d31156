//! Keys of the listener, the API, transports, and what is around it.

use super::{Fate, Group, MAPS, PAID, WITH_FEATURE};

/// The keys.
pub(super) const GROUPS: &[Group] = &[
    // Listening.
    Group {
        under: &["http_server"],
        keys: &["address", "port=8000"],
        fate: Fate::Carried("listen"),
    },
    Group {
        under: &["http_server"],
        keys: &["internal_address", "internal_port"],
        fate: Fate::Lost(
            "there is one listener, which has the API and /metrics beside what clients use, closed but for keys of the API; keep \
             /api, /metrics and /health from strangers in the proxy in front",
        ),
    },
    Group {
        under: &["http_server.tls"],
        keys: CERTIFICATE,
        fate: Fate::Judged(
            "`tls_cert`, `tls_key`, `tls_client_ca` and `tls_client_required`, from files; else it listens on this machine alone",
        ),
    },
    Group {
        under: &["http_server.tls", "http_server.internal_tls"],
        keys: TLS_OF_CLIENTS,
        fate: Fate::Needless("a server does not use it"),
    },
    Group {
        under: &["http_server.internal_tls"],
        keys: CERTIFICATE,
        fate: Fate::Needless("there is one listener"),
    },
    Group {
        under: &["http_server.tls_autocert"],
        keys: &["enabled"],
        fate: Fate::Judged(
            "there are no certificates by ACME: it listens on this machine alone until it has some",
        ),
    },
    Group {
        under: &["http_server.tls_autocert"],
        keys: &[
            "host_whitelist",
            "cache_dir",
            "email",
            "server_name",
            "http",
            "http_addr=:80",
        ],
        fate: WITH_FEATURE,
    },
    Group {
        under: &["http_server"],
        keys: &["tls_external"],
        fate: Fate::Note("with TLS, everything is behind it, the API and /metrics too"),
    },
    Group {
        under: &["http_server"],
        keys: &["http3.enabled", "h2c_external"],
        fate: Fate::Note(
            "HTTP/3 and HTTP/2 without TLS are not spoken; clients use HTTP/1.1 or HTTP/2 over TLS",
        ),
    },
    // The API.
    Group {
        under: &["http_api"],
        keys: &["key"],
        fate: Fate::Carried("api_key"),
    },
    Group {
        under: &["http_api"],
        keys: &["disabled"],
        fate: Fate::Judged("nobody has a key"),
    },
    Group {
        under: &["http_api"],
        keys: &["insecure"],
        fate: Fate::Judged(
            "no key is set, with which programs of this machine may call where it listens on that alone",
        ),
    },
    Group {
        under: &["http_api"],
        keys: &["handler_prefix=/api"],
        fate: Fate::Lost("the API is at /api; change the address in the backend, or in the proxy in front"),
    },
    Group {
        under: &["http_api"],
        keys: &["error_mode"],
        fate: Fate::Lost(
            "errors are answered with 200; callers ask for statuses with the header `X-Centrifugo-Error-Mode: transport`",
        ),
    },
    Group {
        under: &["http_api"],
        keys: &["external"],
        fate: Fate::Needless("there is one listener"),
    },
    Group {
        under: &["grpc_api"],
        keys: &["enabled"],
        fate: Fate::Lost("the API is spoken over HTTP alone; let the backend use /api"),
    },
    Group {
        under: &["grpc_api"],
        keys: &[
            "error_mode",
            "address",
            "port=10000",
            "key",
            "reflection",
            "max_receive_message_size",
            "tls.**",
        ],
        fate: WITH_FEATURE,
    },
    // Transports.
    Group {
        under: &["websocket"],
        keys: &["message_size_limit"],
        fate: Fate::Carried("message_bytes_max"),
    },
    Group {
        under: &["websocket"],
        keys: &["write_timeout"],
        fate: Fate::Carried("write_timeout"),
    },
    Group {
        under: &["websocket"],
        keys: &["compression"],
        fate: Fate::Carried("compression"),
    },
    Group {
        under: &["websocket"],
        keys: &["disabled"],
        fate: Fate::Note("WebSocket cannot be turned off; refuse its address in the proxy in front"),
    },
    Group {
        under: &["websocket"],
        keys: &["handler_prefix=/connection/websocket"],
        fate: Fate::Lost(
            "the address is /connection/websocket; change it in the clients, or in the proxy in front",
        ),
    },
    Group {
        under: &["websocket", "uni_websocket"],
        keys: &[
            "compression_min_size",
            "compression_level",
            "read_buffer_size",
            "use_write_buffer_pool",
            "write_buffer_size",
            "decompressed_message_size_limit",
        ],
        fate: Fate::Needless("buffers and compression need no settings"),
    },
    Group {
        under: &[
            "sse",
            "http_stream",
            "uni_sse",
            "uni_http_stream",
            "uni_websocket",
            "emulation",
            "init",
        ],
        keys: &["enabled"],
        fate: Fate::Needless("all transports are there"),
    },
    Group {
        under: &["sse", "http_stream", "uni_sse", "uni_http_stream", "emulation"],
        keys: &["max_request_body_size"],
        fate: Fate::Needless("message_bytes_max holds for all transports"),
    },
    Group {
        under: &["uni_websocket"],
        keys: &["compression", "write_timeout", "message_size_limit"],
        fate: Fate::Needless("what is said of WebSocket holds for it too"),
    },
    Group {
        under: &["uni_websocket"],
        keys: &[
            "disable_closing_handshake",
            "disable_disconnect_push",
            "join_push_messages",
        ],
        fate: Fate::Note("pushes and closes of unidirectional WebSocket are as they are by default"),
    },
    Group {
        under: &["sse"],
        keys: &["handler_prefix=/connection/sse"],
        fate: ELSEWHERE,
    },
    Group {
        under: &["http_stream"],
        keys: &["handler_prefix=/connection/http_stream"],
        fate: ELSEWHERE,
    },
    Group {
        under: &["uni_sse"],
        keys: &["handler_prefix=/connection/uni_sse"],
        fate: ELSEWHERE,
    },
    Group {
        under: &["uni_http_stream"],
        keys: &["handler_prefix=/connection/uni_http_stream"],
        fate: ELSEWHERE,
    },
    Group {
        under: &["uni_websocket"],
        keys: &["handler_prefix=/connection/uni_websocket"],
        fate: ELSEWHERE,
    },
    Group {
        under: &["emulation"],
        keys: &["handler_prefix=/emulation"],
        fate: ELSEWHERE,
    },
    Group {
        under: &["init"],
        keys: &["handler_prefix=/connection/init"],
        fate: ELSEWHERE,
    },
    Group {
        under: &[
            "uni_sse.connect_code_to_http_response",
            "uni_http_stream.connect_code_to_http_response",
        ],
        keys: &["enabled"],
        fate: Fate::Lost("codes are not translated into statuses; such clients must read the push"),
    },
    Group {
        under: &[
            "uni_sse.connect_code_to_http_response",
            "uni_http_stream.connect_code_to_http_response",
        ],
        keys: &["transforms", "transforms[].**"],
        fate: WITH_FEATURE,
    },
    Group {
        under: &["webtransport"],
        keys: &["enabled"],
        fate: Fate::Lost("WebTransport is not spoken; clients use WebSocket"),
    },
    Group {
        under: &["webtransport"],
        keys: &[
            "handler_prefix=/connection/webtransport",
            "message_size_limit=65536",
        ],
        fate: WITH_FEATURE,
    },
    Group {
        under: &["uni_grpc"],
        keys: &["enabled"],
        fate: Fate::Lost("unidirectional gRPC is not spoken; clients use unidirectional SSE or HTTP streams"),
    },
    Group {
        under: &["uni_grpc"],
        keys: &["address", "port=11000", "max_receive_message_size", "tls.**"],
        fate: WITH_FEATURE,
    },
    Group {
        under: &["sockjs"],
        keys: &["enabled"],
        fate: Fate::Lost("SockJS is not spoken; centrifuge-js falls back to HTTP streams by itself"),
    },
    Group {
        under: &["sockjs"],
        keys: &["url", "handler_prefix", "heartbeat_delay"],
        fate: WITH_FEATURE,
    },
    // Where publications are kept.
    Group {
        under: &["engine", "broker", "presence_manager", "map_broker"],
        keys: &["type=memory"],
        fate: ALONE,
    },
    Group {
        under: &["broker", "presence_manager"],
        keys: &["enabled"],
        fate: ALONE,
    },
    Group {
        under: &["engine", "broker", "presence_manager", "map_broker"],
        keys: &[
            "redis.**",
            "nats.**",
            "redisnats.**",
            "postgres.**",
            "tarantool.**",
        ],
        fate: WITH_FEATURE,
    },
    Group {
        under: &["consumers[]"],
        keys: &["enabled"],
        fate: Fate::Lost("nothing is consumed from queues; let a program read it and call /api/publish"),
    },
    Group {
        under: &["consumers[]"],
        keys: &["**"],
        fate: WITH_FEATURE,
    },
    Group {
        under: TOP,
        keys: &["proxies", "consumers"],
        fate: Fate::Needless("there is none"),
    },
    Group {
        under: &["shared_poll"],
        keys: &["**"],
        fate: MAPS,
    },
    // Around it.
    Group {
        under: &["log"],
        keys: &["level"],
        fate: Fate::Carried("log"),
    },
    Group {
        under: &["log"],
        keys: &["file"],
        fate: Fate::Note("the log goes to standard error; let the service manager keep it"),
    },
    Group {
        under: &["shutdown"],
        keys: &["timeout"],
        fate: Fate::Carried("shutdown_timeout"),
    },
    Group {
        under: &["shutdown"],
        keys: &["termination_delay"],
        fate: Fate::Needless("clients are told to go over shutdown_window"),
    },
    Group {
        under: &["admin"],
        keys: &["enabled"],
        fate: Fate::Note("there is no admin page; /metrics and the API tell what is going on"),
    },
    Group {
        under: &["admin"],
        keys: &[
            "handler_prefix",
            "password",
            "secret",
            "insecure",
            "web_path",
            "web_proxy_address",
            "external",
        ],
        fate: WITH_FEATURE,
    },
    Group {
        under: &["admin"],
        keys: &["oidc.**"],
        fate: PAID,
    },
    Group {
        under: &["prometheus"],
        keys: &["enabled"],
        fate: Fate::Note(
            "/metrics has other figures, and asks for a key of the API with the scope `stats`: `fanfare keygen api-key --scope stats`",
        ),
    },
    Group {
        under: &["prometheus"],
        keys: &["handler_prefix=/metrics"],
        fate: Fate::Note("the address is /metrics"),
    },
    Group {
        under: &["prometheus"],
        keys: &[
            "instrument_http_handlers",
            "recovered_publications_histogram",
            "native_histograms",
            "channel_namespace_for_transport_messages_sent",
            "channel_namespace_for_transport_messages_received",
        ],
        fate: WITH_FEATURE,
    },
    Group {
        under: &["health"],
        keys: &["enabled"],
        fate: Fate::Needless("/health is always there"),
    },
    Group {
        under: &["health"],
        keys: &["handler_prefix=/health"],
        fate: Fate::Note("the address is /health"),
    },
    Group {
        under: &["swagger"],
        keys: &["enabled"],
        fate: Fate::Note("the API is described in docs/protocol/centrifugo-api.md"),
    },
    Group {
        under: &["swagger"],
        keys: &["handler_prefix=/swagger"],
        fate: WITH_FEATURE,
    },
    Group {
        under: &["debug"],
        keys: &["enabled"],
        fate: Fate::Note("there are no pages for profiling"),
    },
    Group {
        under: &["debug"],
        keys: &["handler_prefix=/debug/pprof"],
        fate: WITH_FEATURE,
    },
    Group {
        under: &["dev"],
        keys: &["enabled"],
        fate: Fate::Note("for development there is `fanfare serve --dev`"),
    },
    Group {
        under: &["dev"],
        keys: &["handler_prefix=/dev"],
        fate: WITH_FEATURE,
    },
    Group {
        under: &["graphite"],
        keys: &["enabled"],
        fate: Fate::Note("figures are at /metrics alone; let a collector pass them on"),
    },
    Group {
        under: &["graphite"],
        keys: &["host", "port", "prefix", "interval", "tags"],
        fate: WITH_FEATURE,
    },
    Group {
        under: &["opentelemetry"],
        keys: &["enabled"],
        fate: Fate::Note("nothing is traced; figures are at /metrics"),
    },
    Group {
        under: &["opentelemetry"],
        keys: &["api", "consuming", "google_cloud_adc_auth"],
        fate: WITH_FEATURE,
    },
    Group {
        under: &["usage_stats"],
        keys: &["disabled"],
        fate: Fate::Needless("nothing is sent to anybody"),
    },
    Group {
        under: &["node"],
        keys: &["name", "info_metrics_aggregate_interval"],
        fate: Fate::Needless("there is one server"),
    },
    Group {
        under: TOP,
        keys: &["pid_file"],
        fate: Fate::Note("no file is written; let the service manager know the process"),
    },
    Group {
        under: TOP,
        keys: &["enable_unreleased_features", "gomaxprocs", "granular_proxy_mode"],
        fate: Fate::Needless("it is of the other program alone"),
    },
    // PRO.
    Group {
        under: TOP,
        keys: &[
            "license.**",
            "license",
            "database.**",
            "singleflight.**",
            "brokers",
            "brokers[].**",
            "presence_managers",
            "presence_managers[].**",
            "cache.**",
            "clickhouse_analytics.**",
            "user_tokens_invalidate.**",
            "user_block.**",
            "token_revoke.**",
            "push_notifications.**",
            "distributed_rate_limit.**",
            "user_status.**",
            "state.**",
        ],
        fate: PAID,
    },
];

const CERTIFICATE: &[&str] = &[
    "enabled",
    "cert_pem",
    "cert_pem_b64",
    "cert_pem_file",
    "key_pem",
    "key_pem_b64",
    "key_pem_file",
    "client_ca_pem",
    "client_ca_pem_b64",
    "client_ca_pem_file",
];

const TLS_OF_CLIENTS: &[&str] = &[
    "server_ca_pem",
    "server_ca_pem_b64",
    "server_ca_pem_file",
    "insecure_skip_verify",
    "server_name",
];

const ALONE: Fate =
    Fate::Judged("one server, which keeps history by itself: in memory, or on the disk with `data`");

const TOP: &[&str] = &[""];

const ELSEWHERE: Fate = Fate::Lost(
    "the address of this transport is that of Centrifugo's default; change it in the clients, or in the proxy in front",
);
