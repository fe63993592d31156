//! Who connects, and what a client may use: origins, anonymous clients, limits, times, the log.

use super::draft::{Draft, Place};
use super::proxies::Hooks;
use super::settings::Settings;
use super::written;
use crate::options::refusal;

/// Carries over who may connect; whether clients without a name may.
pub(super) fn map_access(settings: &Settings, draft: &mut Draft, hooks: &Hooks) -> bool {
    map_origins(settings, draft);
    let path = "client.disallow_anonymous_connection_tokens";
    if settings.switch(path) {
        let text = "a token with an empty `sub` lets a client in, which may do what is granted to it and nothing else; sign none";
        draft.note(Place::Access, &settings.shown(path), text);
    }
    let paths = ["client.insecure", "client.allow_anonymous_connect_without_token"];
    let Some(path) = paths.into_iter().find(|path| settings.switch(path)) else {
        return false;
    };
    if hooks.is_connect_lost {
        let text = "a proxy decided who comes in, and nobody does here, so that clients without a token are refused; set \
                    hook_connect_url, then anonymous = true";
        draft.lost(Place::Access, &settings.shown(path), text);
        return false;
    }
    if path == "client.insecure" {
        let text = "everyone may do everything, as before, where no hook is asked and in no private channel: for trials alone";
        draft.note(Place::Access, &settings.shown(path), text);
    }
    draft.set(Place::Access, "anonymous", true, &settings.shown(path))
}

fn map_origins(settings: &Settings, draft: &mut Draft) {
    let path = "client.allowed_origins";
    let mut origins: Vec<toml::Value> = Vec::new();
    for origin in settings.texts(path) {
        let value = toml::Value::from(origin.trim_end_matches('/'));
        match refusal("allow_origin", &toml::Value::Array(vec![value.clone()])) {
            None => origins.push(value),
            Some(why) => {
                let text = format!("`{origin}` is not carried over, so that its pages are refused: {why}");
                draft.lost(Place::Access, &settings.shown(path), &text);
            }
        }
    }
    if !origins.is_empty() {
        draft.set(
            Place::Access,
            "allow_origin",
            toml::Value::Array(origins),
            &settings.shown(path),
        );
    }
    draft.note(
        Place::Access,
        &settings.shown(path),
        "pages of the server's own host may connect too, and on this machine all of this machine",
    );
}

/// The largest message of a client in bytes, which other things are measured by.
pub(super) fn message_bytes_max(settings: &Settings) -> i64 {
    let bytes = settings.count("websocket.message_size_limit");
    bytes.filter(|bytes| *bytes > 0).unwrap_or(MESSAGE_BYTES)
}

/// Carries limits over.
pub(super) fn map_limits(settings: &Settings, draft: &mut Draft) {
    map_sizes(settings, draft);
    for (path, option) in COUNTS {
        if let Some(count) = settings.count(path).filter(|count| *count > 0) {
            draft.set(Place::Limits, option, count, &settings.shown(path));
        }
    }
    for (path, option) in PINGS {
        match settings.time(path) {
            None => {}
            Some(time) if time.is_zero() => {
                draft.note(Place::Limits, &settings.shown(path), "it cannot be turned off");
            }
            Some(time) => {
                draft.set(Place::Limits, option, written(time), &settings.shown(path));
            }
        }
    }
    for (path, option) in TIMES {
        if let Some(time) = settings.time(path).filter(|time| !time.is_zero()) {
            draft.set(Place::Limits, option, written(time), &settings.shown(path));
        }
    }
    if settings.switch("websocket.compression") {
        draft.set(
            Place::Limits,
            "compression",
            true,
            &settings.shown("websocket.compression"),
        );
    }
}

/// Sizes that must fit each other.
fn map_sizes(settings: &Settings, draft: &mut Draft) {
    let (message_path, queue_path) = ("websocket.message_size_limit", "client.queue_max_size");
    let of_message = settings.shown(message_path);
    let mut message = MESSAGE_BYTES;
    if settings.count(message_path).is_some_and(|bytes| bytes > 0) {
        let wanted = message_bytes_max(settings);
        if draft.set(Place::Limits, "message_bytes_max", wanted, &of_message) {
            message = wanted;
        }
    }
    let needed = message + ENVELOPE_BYTES;
    let said = settings.count(queue_path).filter(|bytes| *bytes > 0);
    let queue = said.unwrap_or(QUEUE_BYTES).clamp(needed, QUEUE_BYTES_MAX);
    if said.is_some_and(|bytes| bytes != queue) {
        let text = "as much waits as can, and one message of message_bytes_max at least";
        draft.note(Place::Limits, &settings.shown(queue_path), text);
    }
    if queue != QUEUE_BYTES {
        draft.set(
            Place::Limits,
            "outbox_bytes_max",
            queue,
            &settings.shown(queue_path),
        );
    }
    // Each of any number of shards holds one message that is being received.
    let receiving = SHARDS_MAX * (message + READ_BYTES);
    if receiving > RECEIVING_BYTES {
        draft.set(Place::Limits, "receiving_bytes_max", receiving, &of_message);
    }
}

/// Carries over what is around it.
pub(super) fn map_around(settings: &Settings, draft: &mut Draft) {
    let path = "log.level";
    if let Some(level) = settings.text(path) {
        let known = LEVELS.iter().find(|(name, _)| *name == level.to_lowercase());
        match known {
            Some((_, level)) => {
                draft.set(Place::Around, "log", *level, &settings.shown(path));
            }
            None => settings.refuse(
                path,
                "it is no level; write one of none, trace, debug, info, warn, error, fatal",
            ),
        }
    }
    for part in ["engine", "broker", "presence_manager", "map_broker"] {
        let is_on = matches!(part, "engine" | "map_broker")
            || settings.switch(&format!("{part}.enabled"))
            || settings.is_renamed(&format!("{part}.type"));
        let path = format!("{part}.type");
        if is_on && settings.text_or(&path, "memory") != "memory" {
            let text = "there is one server, which keeps what was published by itself; name a directory with data to have it after a \
                        restart, and let all clients and backends use this server";
            draft.lost(Place::Around, &settings.shown(&path), text);
        }
    }
}

/// Limits that are counts; with 0, or none, the defaults hold.
const COUNTS: &[(&str, &str)] = &[
    ("client.channel_limit", "subscriptions_max"),
    ("client.connection_limit", "connections_max"),
    ("client.user_connection_limit", "connections_per_user_max"),
    ("client.connection_rate_limit", "admissions_per_second"),
];

/// Times that may be turned off elsewhere.
const PINGS: &[(&str, &str)] = &[
    ("client.ping_interval", "ping_interval"),
    ("client.pong_timeout", "pong_timeout"),
];

const TIMES: &[(&str, &str)] = &[
    ("websocket.write_timeout", "write_timeout"),
    ("shutdown.timeout", "shutdown_timeout"),
];

/// Levels of the log.
const LEVELS: [(&str, &str); 7] = [
    ("none", "off"),
    ("trace", "trace"),
    ("debug", "debug"),
    ("info", "info"),
    ("warn", "warn"),
    ("error", "error"),
    ("fatal", "error"),
];

/// What is so by default in both.
const MESSAGE_BYTES: i64 = 64 << 10;
const QUEUE_BYTES: i64 = 1 << 20;

/// As `fanfare serve` has it: what may wait, what it is beside a message, what is read at once, of all shards that there can be,
/// for what is received.
const QUEUE_BYTES_MAX: i64 = 256 << 20;
const ENVELOPE_BYTES: i64 = 4 << 10;
const READ_BYTES: i64 = 32 << 10;
const SHARDS_MAX: i64 = 256;
const RECEIVING_BYTES: i64 = 64 << 20;
