//! What is to be said of a configuration key by key: of those without an equivalent, and of those that nobody knows.

use serde_json::Value;

use super::draft::{Draft, Place};
use super::keys::{self, Fate};
use super::settings::{Settings, plain, variable};
use super::{legacy, tree};
use crate::options::nearest;

/// Says it.
pub(super) fn survey(settings: &Settings, draft: &mut Draft) {
    for (path, value) in tree::leaves(settings.root()) {
        let general = tree::general(&path);
        if keys::is_parent(&general) {
            refuse_parent(settings, &path, &general, value);
            continue;
        }
        let Some(known) = keys::find(&general) else {
            draft.lost(place_of(&path), &settings.shown(&path), &unknown(&general));
            continue;
        };
        if says_nothing(value, known.default) {
            continue;
        }
        match known.fate {
            Fate::Carried(_) | Fate::Judged(_) | Fate::Needless(_) => {}
            Fate::Note(text) => draft.note(place_of(&path), &settings.shown(&path), text),
            Fate::Lost(text) => draft.lost(place_of(&path), &settings.shown(&path), text),
        }
    }
}

/// Says which variables nobody knows.
pub(super) fn survey_variables(names: &[String], draft: &mut Draft) {
    let paths = keys::all()
        .map(|known| known.path())
        .filter(|path| !path.contains(['[', '*']));
    let known: Vec<String> = paths.chain(legacy::names()).map(|path| variable(&path)).collect();
    for name in names {
        let rest = |name: &str| name.trim_start_matches("CENTRIFUGO_").to_owned();
        let rests: Vec<_> = known.iter().map(|name| rest(name)).collect();
        let meant = nearest(&rest(name), rests.iter().map(String::as_str)).map(variable);
        draft.lost(Place::Around, &plain(name), &suggestion(meant.as_deref()));
    }
}

/// Refuses what is no group of settings, and no list of them, where there should be one.
fn refuse_parent(settings: &Settings, path: &str, general: &str, value: &Value) {
    let is_empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
    let is_list = keys::find(general).is_some();
    let rule = if is_list {
        "it is a list of groups of settings; write `[{\"name\": \"chat\"}]`"
    } else {
        "it is a group of settings; write `{\"key\": \"value\"}`"
    };
    if !is_empty {
        settings.refuse(path, rule);
    }
}

/// What to say of a key that is none.
fn unknown(general: &str) -> String {
    let (above, last) = general.rsplit_once('.').unwrap_or(("", general));
    let paths: Vec<String> = keys::all()
        .map(|known| known.path())
        .filter(|path| !path.contains('*'))
        .collect();
    // A slip in the last part is likelier than one before.
    let siblings = paths.iter().filter_map(|path| {
        let (other, last) = path.rsplit_once('.').unwrap_or(("", path));
        (other == above).then_some(last)
    });
    let sibling = nearest(last, siblings).map(|last| {
        if above.is_empty() {
            last.to_owned()
        } else {
            format!("{above}.{last}")
        }
    });
    let old = || legacy::names().filter(|_| above.is_empty());
    let path = sibling
        .or_else(|| nearest(last, old().collect::<Vec<_>>().iter().map(String::as_str)).map(str::to_owned))
        .or_else(|| nearest(general, paths.iter().map(String::as_str)).map(str::to_owned));
    suggestion(path.as_deref())
}

fn suggestion(nearest: Option<&str>) -> String {
    match nearest {
        Some(known) => {
            format!("unknown, and passed over; did you mean `{known}`? Correct it, or take it away")
        }
        None => "unknown, and passed over; take it away if it means nothing".to_owned(),
    }
}

/// Whether a value is what it would be without being written.
fn says_nothing(value: &Value, default: &str) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(elements) => elements.is_empty(),
        Value::String(text) => {
            text.is_empty() || text == default || (default.is_empty() && (text == "0" || text == "false"))
        }
        Value::Number(number) => {
            number.to_string() == default || (default.is_empty() && number.as_f64() == Some(0.0))
        }
        Value::Bool(true) | Value::Object(_) => false,
    }
}

/// Where in the output is spoken of a path.
fn place_of(path: &str) -> Place {
    if let Some(rest) = path.strip_prefix("channel.namespaces[") {
        let index = rest.split_once(']').and_then(|(index, _)| index.parse().ok());
        return index.map_or(Place::WithoutNamespace, Place::Namespace);
    }
    let found = PLACES.iter().find(|(above, _)| path.starts_with(above));
    found.map_or(Place::Around, |(_, place)| *place)
}

/// Where is spoken of what begins so, the longer ones first.
const PLACES: &[(&str, Place)] = &[
    ("http_server", Place::Listening),
    ("client.token", Place::Tokens),
    ("client.subscription_token", Place::Tokens),
    ("client.insecure_skip_token", Place::Tokens),
    ("client.proxy", Place::Hooks),
    ("channel.proxy", Place::Hooks),
    ("prox", Place::Hooks),
    ("rpc", Place::Hooks),
    ("channel", Place::WithoutNamespace),
    ("client.allow", Place::Access),
    ("client.insecure", Place::Access),
    ("client.user_id", Place::Access),
    ("client.subscribe_to", Place::Access),
    ("client", Place::Limits),
    ("http_api", Place::Access),
    ("grpc_api", Place::Access),
];
