//! A configuration as one tree of JSON values, whichever format it was written in, and the paths of what is in it.
//!
//! A path is written `channel.namespaces[0].presence`. Keys are in lower case, as Centrifugo reads them in either.

use serde_json::{Map, Value};

/// The tree with keys in lower case, in which `{"a.b": 1}` is `{"a": {"b": 1}}`.
pub(super) fn tidy(value: Value) -> Value {
    match value {
        Value::Object(entries) => {
            let mut tidied = Value::Object(Map::new());
            for (key, value) in entries {
                let key = key.to_lowercase();
                let parts = key.split('.');
                let is_path = !key.contains(['[', ']']) && parts.clone().all(|part| !part.is_empty());
                let is_path = is_path && parts.count() <= PARTS_MAX;
                let keys = if is_path {
                    key.split('.').collect()
                } else {
                    vec![key.as_str()]
                };
                merge(&mut tidied, &keys, tidy(value));
            }
            tidied
        }
        Value::Array(elements) => elements.into_iter().map(tidy).collect(),
        other => other,
    }
}

/// Puts a value below nested keys; what is in two objects is put together.
fn merge(into: &mut Value, keys: &[&str], value: Value) {
    if !into.is_object() {
        *into = Value::Object(Map::new());
    }
    let (Value::Object(entries), [key, deeper @ ..]) = (into, keys) else {
        return;
    };
    let entry = entries.entry(*key).or_insert(Value::Null);
    match (deeper, value) {
        ([], Value::Object(more)) if entry.is_object() => {
            for (key, value) in more {
                merge(entry, &[&key], value);
            }
        }
        ([], value) => *entry = value,
        (deeper, value) => merge(entry, deeper, value),
    }
}

/// What stands at a path.
pub(super) fn get<'t>(root: &'t Value, path: &str) -> Option<&'t Value> {
    path.split('.').try_fold(root, |value, step| {
        let (key, index) = split_index(step);
        let value = value.get(key)?;
        index.map_or(Some(value), |index| value.get(index))
    })
}

/// Puts a value at a path; objects on the way are made, elements of lists are not.
pub(super) fn set(root: &mut Value, path: &str, value: Value) {
    let mut at = root;
    for step in path.split('.') {
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        let (key, index) = split_index(step);
        let Value::Object(entries) = at else { return };
        let entry = entries.entry(key).or_insert(Value::Null);
        at = match index {
            None => entry,
            Some(index) => match entry.get_mut(index) {
                Some(element) => element,
                None => return,
            },
        };
    }
    *at = value;
}

/// `namespaces[3]` as its key and its index.
fn split_index(step: &str) -> (&str, Option<usize>) {
    let indexed = step
        .strip_suffix(']')
        .and_then(|step| step.split_once('['))
        .and_then(|(key, index)| Some((key, index.parse().ok()?)));
    indexed.map_or((step, None), |(key, index)| (key, Some(index)))
}

/// Every value that is no object and no list of objects, with its path.
pub(super) fn leaves(root: &Value) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    collect(root, "", &mut found);
    found
}

fn collect<'t>(value: &'t Value, path: &str, found: &mut Vec<(String, &'t Value)>) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                let joint = if path.is_empty() { "" } else { "." };
                collect(value, &format!("{path}{joint}{}", step(key)), found);
            }
        }
        Value::Array(elements) if elements.iter().any(Value::is_object) => {
            for (index, element) in elements.iter().enumerate() {
                collect(element, &format!("{path}[{index}]"), found);
            }
        }
        leaf => found.push((path.to_owned(), leaf)),
    }
}

/// A key in a path; one that could be taken for a path itself stands in quotes, so that it is none that is known.
fn step(key: &str) -> String {
    let is_plain = !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
    if is_plain {
        key.to_owned()
    } else {
        format!("{key:?}")
    }
}

/// A path without the indices: `channel.namespaces[].presence`.
pub(super) fn general(path: &str) -> String {
    let mut general = String::with_capacity(path.len());
    for piece in path.split_inclusive('[') {
        let behind = piece.trim_start_matches(|c: char| c.is_ascii_digit());
        general.push_str(if behind.starts_with(']') { behind } else { piece });
    }
    general
}

/// A key with more dots is no path, so that no tree is deeper than it was written.
const PARTS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_is_found_and_set() {
        let mut root = json!({"channel": {"namespaces": [{"name": "a"}, {"name": "b"}]}});
        assert_eq!(get(&root, "channel.namespaces[1].name"), Some(&json!("b")));
        for path in [
            "",
            "channel.namespaces[2].name",
            "channel.namespaces[x]",
            "channel..name",
        ] {
            assert_eq!(get(&root, path), None, "{path}");
        }
        set(&mut root, "channel.namespaces[0].presence", json!(true));
        set(&mut root, "channel.namespaces[9].presence", json!(true));
        set(&mut root, "client.token.issuer", json!("id"));
        assert_eq!(get(&root, "channel.namespaces[0].presence"), Some(&json!(true)));
        assert_eq!(get(&root, "client.token.issuer"), Some(&json!("id")));
    }

    #[test]
    fn keys_are_in_lower_case_and_dots_go_deeper() {
        let tidied =
            tidy(json!({"Http_Api.Key": "k", "http_api": {"External": true}, "a..b": 1, "list": [{"A": 1}]}));
        assert_eq!(
            tidied,
            json!({"http_api": {"key": "k", "external": true}, "a..b": 1, "list": [{"a": 1}]})
        );
    }

    #[test]
    fn dots_do_not_make_a_deep_tree() {
        let key = "a.".repeat(300_000) + "a";
        let root = tidy([(key.clone(), Value::Bool(true))].into_iter().collect());
        assert_eq!(root.get(&key), Some(&Value::Bool(true)));
        assert_eq!(leaves(&root).len(), 1);
    }

    #[test]
    fn a_key_that_looks_like_a_path_is_no_path() {
        let root = tidy(json!({"channel": {"namespaces[0]": {"presence": true}}, "": 1}));
        let paths: Vec<_> = leaves(&root).into_iter().map(|(path, _)| path).collect();
        assert_eq!(paths, ["\"\"", "channel.\"namespaces[0]\".presence"]);
    }

    #[test]
    fn leaves_are_in_lists_of_objects_too() {
        let root = json!({"a": {"b": [1, 2], "c": [{"d": 1}]}, "e": {}});
        let paths: Vec<_> = leaves(&root).into_iter().map(|(path, _)| path).collect();
        assert_eq!(paths, ["a.b", "a.c[0].d"]);
        assert_eq!(general("a.c[0].d[12].e"), "a.c[].d[].e");
        assert_eq!(general("plain"), "plain");
    }
}
