//! The variables `CENTRIFUGO_*`, which beat the file.
//!
//! A variable is the path of a setting in capitals, with `_` for what is between (`CENTRIFUGO_CLIENT_TOKEN_ISSUER`), or a key of
//! version 5 (`CENTRIFUGO_TOKEN_ISSUER`). In the list of namespaces stands the name:
//! `CENTRIFUGO_CHANNEL_NAMESPACES_CHAT_PRESENCE`.

use std::ffi::OsString;

use serde_json::{Value, json};

use super::settings::{Settings, plain, variable};
use super::{keys, legacy, tree};

/// Puts the variables into the settings; the names of those that nobody knows.
///
/// # Errors
/// Every variable that cannot be read.
pub(super) fn apply(
    settings: &mut Settings,
    environment: &[(OsString, OsString)],
) -> Result<Vec<String>, Vec<String>> {
    let (mut variables, mut problems) = (Vec::new(), Vec::new());
    for (name, value) in environment {
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else {
            continue;
        };
        match value.to_str() {
            Some(value) => variables.push((name, value)),
            None => problems.push(format!(
                "{} is not UTF-8; set it to text or unset it",
                plain(name)
            )),
        }
    }
    variables.sort_unstable();
    // The lists first, whose elements other variables are about.
    let (lists, others): (Vec<_>, Vec<_>) = variables
        .into_iter()
        .partition(|(name, _)| list_of(name).is_some());
    for (name, value) in lists {
        if let (Some(path), Err(problem)) = (list_of(name), set_list(settings, name, value)) {
            problems.push(format!("{name} is no {path}: {problem}"));
        }
    }
    let mut unknown = Vec::new();
    for (name, value) in others {
        match path_of(settings, name) {
            _ if is_link(value) => {}
            Some(path) => settings.set_as(&path, name.to_owned(), Value::from(value)),
            None if is_of_another(name) => {}
            None => unknown.push(name.to_owned()),
        }
    }
    if problems.is_empty() {
        Ok(unknown)
    } else {
        Err(problems)
    }
}

/// Whether there is a variable at all that is about a setting.
pub(super) fn is_there(environment: &[(OsString, OsString)]) -> bool {
    environment
        .iter()
        .any(|(name, _)| name.to_str().is_some_and(|name| name.starts_with(PREFIX)))
}

/// The list that a variable has as a whole.
fn list_of(name: &str) -> Option<&'static str> {
    let key = name.strip_prefix(PREFIX)?.to_lowercase();
    let is_it = |path: &&&str| variable(path) == name || legacy::path_of(&key).as_deref() == Some(**path);
    LISTS.iter().find(is_it).copied()
}

/// A list is JSON, or the names of its elements.
fn set_list(settings: &mut Settings, name: &str, value: &str) -> Result<(), String> {
    let Some(path) = list_of(name) else { return Ok(()) };
    let list = if value.trim_start().starts_with('[') {
        let list = serde_json::from_str(value).map_err(|error| {
            format!(
                "line {}, column {}: it is not JSON; write `[{{\"name\": \"chat\"}}]`",
                error.line(),
                error.column()
            )
        })?;
        tree::tidy(list)
    } else {
        value
            .split_whitespace()
            .map(|name| json!({"name": name}))
            .collect()
    };
    settings.set_as(path, name.to_owned(), list);
    settings.rename_elements();
    Ok(())
}

/// The path of the setting that a variable is about.
fn path_of(settings: &Settings, name: &str) -> Option<String> {
    let name = name.strip_prefix(PREFIX)?;
    let of_whole = || {
        let mut paths = keys::all()
            .map(|known| known.path())
            .filter(|path| !path.contains("[]"));
        paths.find_map(|path| filled(&path, name))
    };
    let of_version_5 = || legacy::path_of(&name.to_lowercase()).filter(|path| keys::find(path).is_some());
    of_whole()
        .or_else(|| of_element(settings, name))
        .or_else(of_version_5)
}

/// The path in the element of a list, of which the variable has the name.
fn of_element(settings: &Settings, name: &str) -> Option<String> {
    LISTS.iter().find_map(|list| {
        (0..settings.elements(list)).find_map(|index| {
            let at = format!("{list}[{index}]");
            let element = settings.text(&format!("{at}.name"))?;
            let begins = format!("{}_{}_", capitals(list), capitals(&element.replace('-', "_")));
            let name = name.strip_prefix(&begins)?;
            let above = format!("{list}[].");
            let paths = keys::all().map(|known| known.path());
            let mut rests = paths.filter_map(|path| path.strip_prefix(&above).map(str::to_owned));
            let rest = rests.find_map(|rest| filled(&rest, name))?;
            Some(format!("{at}.{rest}"))
        })
    })
}

/// The path of a variable, if it is of this key; of `a.**`, whatever stands behind `a`.
fn filled(path: &str, name: &str) -> Option<String> {
    let Some(above) = path.strip_suffix("**") else {
        return (capitals(path) == name).then(|| path.to_owned());
    };
    let behind = name
        .strip_prefix(&capitals(above))
        .filter(|behind| !behind.is_empty())?;
    Some(format!("{above}{}", behind.to_lowercase()))
}

fn capitals(path: &str) -> String {
    path.replace('.', "_").to_uppercase()
}

/// Whether a variable is no setting: it is named in other values, or was made by Kubernetes for a service called `centrifugo`.
fn is_of_another(name: &str) -> bool {
    name.starts_with("CENTRIFUGO_VAR_") || name.contains("_SERVICE_") || name.contains("_PORT")
}

/// Whether Kubernetes made it: where a service called `centrifugo` is, under the name of the port of version 5.
fn is_link(value: &str) -> bool {
    value.starts_with("tcp://")
}

/// Lists whose elements have names.
const LISTS: &[&str] = &["channel.namespaces", "rpc.namespaces", "proxies", "consumers"];

/// What the variables begin with.
const PREFIX: &str = "CENTRIFUGO_";

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(root: Value, variables: &[(&str, &str)]) -> (Value, Vec<String>) {
        let mut settings = Settings::new(root, Vec::new());
        let environment: Vec<_> = variables
            .iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        let unknown = apply(&mut settings, &environment).unwrap();
        (settings.root().clone(), unknown)
    }

    #[test]
    fn variables_of_both_versions_beat_the_file() {
        let (root, unknown) = applied(
            json!({"http_api": {"key": "file"}, "channel": {"namespaces": [{"name": "a-b", "presence": false}]}}),
            &[
                ("CENTRIFUGO_HTTP_API_KEY", "variable"),
                ("CENTRIFUGO_TOKEN_HMAC_SECRET_KEY", "secret"),
                ("CENTRIFUGO_ALLOWED_ORIGINS", "http://a http://b"),
                ("CENTRIFUGO_CHANNEL_NAMESPACES_A_B_PRESENCE", "true"),
                ("CENTRIFUGO_PORT", "9000"),
                ("PATH", "/bin"),
            ],
        );
        assert_eq!(
            root,
            json!({
                "http_api": {"key": "variable"},
                "client": {"token": {"hmac_secret_key": "secret"}, "allowed_origins": "http://a http://b"},
                "channel": {"namespaces": [{"name": "a-b", "presence": "true"}]},
                "http_server": {"port": "9000"},
            })
        );
        assert_eq!(unknown, [""; 0]);
    }

    #[test]
    fn a_list_is_json_or_names() {
        let (root, unknown) = applied(
            json!({}),
            &[
                (
                    "CENTRIFUGO_NAMESPACES",
                    r#"[{"name": "a", "proxy_publish": true}]"#,
                ),
                ("CENTRIFUGO_PROXIES", "one two"),
                ("CENTRIFUGO_PROXIES_TWO_ENDPOINT", "http://two"),
            ],
        );
        assert_eq!(
            root,
            json!({
                "channel": {"namespaces": [{"name": "a", "publish_proxy_enabled": true}]},
                "proxies": [{"name": "one"}, {"name": "two", "endpoint": "http://two"}],
            })
        );
        assert_eq!(unknown, [""; 0]);
        let broken = [("CENTRIFUGO_CHANNEL_NAMESPACES".into(), "[{".into())];
        assert_eq!(
            apply(&mut Settings::new(json!({}), Vec::new()), &broken),
            Err(vec![
                "CENTRIFUGO_CHANNEL_NAMESPACES is no channel.namespaces: line 1, column 2: it is not JSON; write \
                 `[{\"name\": \"chat\"}]`"
                    .to_owned()
            ])
        );
    }

    #[test]
    fn what_is_under_a_key_is_known_with_it() {
        let (root, unknown) = applied(
            json!({"consumers": [{"name": "k"}]}),
            &[
                ("CENTRIFUGO_ENGINE_REDIS_ADDRESS", "redis:6379"),
                ("CENTRIFUGO_CONSUMERS_K_KAFKA_TOPICS", "a"),
            ],
        );
        assert_eq!(
            root,
            json!({"engine": {"redis": {"address": "redis:6379"}}, "consumers": [{"name": "k", "kafka_topics": "a"}]})
        );
        assert_eq!(unknown, [""; 0]);
    }

    #[test]
    fn what_is_no_setting_is_told_or_passed_over() {
        let (root, unknown) = applied(
            json!({}),
            &[
                ("CENTRIFUGO_TOKN_ISSUER", "x"),
                ("CENTRIFUGO_PORT", "tcp://10.0.0.1:80"),
                ("CENTRIFUGO_SERVICE_HOST", "10.0.0.1"),
                ("CENTRIFUGO_PORT_80_TCP_ADDR", "10.0.0.1"),
                ("CENTRIFUGO_VAR_A", "x"),
            ],
        );
        assert_eq!(unknown, ["CENTRIFUGO_TOKN_ISSUER"]);
        assert_eq!(root, json!({}));
    }
}
