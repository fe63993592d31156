//! A configuration of Centrifugo, read setting by setting; what has the wrong type is remembered.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::{duration, legacy, tree};

/// A configuration in the words of version 6. Paths are those of [`tree`].
#[derive(Default)]
pub(super) struct Settings {
    root: Value,
    /// What was written where it is not the path: the key of version 5, or the variable.
    written: BTreeMap<String, String>,
    problems: RefCell<Vec<String>>,
    /// What was looked at, for the test that all that is said to be carried over is.
    #[cfg(test)]
    pub(super) read: RefCell<std::collections::BTreeSet<String>>,
}

impl Settings {
    /// A tree, with the names that its values were written under.
    pub(super) fn new(root: Value, renamed: Vec<(String, String)>) -> Self {
        Self {
            root,
            written: renamed.into_iter().collect(),
            problems: RefCell::default(),
            #[cfg(test)]
            read: RefCell::default(),
        }
    }

    /// The whole tree.
    pub(super) fn root(&self) -> &Value {
        &self.root
    }

    /// The value at a path.
    pub(super) fn get(&self, path: &str) -> Option<&Value> {
        #[cfg(test)]
        self.read.borrow_mut().insert(tree::general(path));
        tree::get(&self.root, path).filter(|value| !value.is_null())
    }

    /// Sets a value that nobody wrote.
    pub(super) fn set(&mut self, path: &str, value: Value) {
        tree::set(&mut self.root, path, value);
    }

    /// Sets a value that was written under another name.
    pub(super) fn set_as(&mut self, path: &str, written: String, value: Value) {
        self.set(path, value);
        self.written.insert(path.to_owned(), written);
    }

    /// Gives what stands in lists its names of version 6.
    pub(super) fn rename_elements(&mut self) {
        let renamed = legacy::rename_elements(&mut self.root);
        self.written.extend(renamed);
    }

    /// Whether it was written under another name than its path: one of version 5.
    pub(super) fn is_renamed(&self, path: &str) -> bool {
        self.written
            .get(path)
            .is_some_and(|written| written != &variable(path))
    }

    /// A path as the operator knows it: the name that was written, with the names of namespaces for their indices.
    pub(super) fn shown(&self, path: &str) -> String {
        if let Some(written) = self.written.get(path) {
            return written.clone();
        }
        let (mut shown, mut end) = (String::new(), 0);
        for piece in path.split_inclusive(']') {
            end += piece.len();
            let name = self
                .get(&format!("{}.name", &path[..end]))
                .and_then(Value::as_str);
            match piece.rsplit_once('[').zip(name) {
                Some(((before, _), name)) => shown.extend([before, "[", &plain(name), "]"]),
                None => shown.push_str(&plain(piece)),
            }
        }
        shown
    }

    /// How many elements a list has.
    pub(super) fn elements(&self, path: &str) -> usize {
        self.get(path).and_then(Value::as_array).map_or(0, Vec::len)
    }

    /// The path of the element of a list that has a name.
    pub(super) fn named(&self, list: &str, name: &str) -> Option<String> {
        let mut paths = (0..self.elements(list)).map(|index| format!("{list}[{index}]"));
        paths.find(|path| self.text(&format!("{path}.name")).as_deref() == Some(name))
    }

    /// A switch; off where nothing is said.
    pub(super) fn switch(&self, path: &str) -> bool {
        let read = match self.get(path) {
            None => return false,
            Some(Value::Bool(is_on)) => return *is_on,
            // As Go reads them.
            Some(Value::String(text)) => match text.as_str() {
                "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
                "" | "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
                _ => None,
            },
            Some(Value::Number(number)) => number.as_u64().filter(|bit| *bit < 2).map(|bit| bit == 1),
            Some(_) => None,
        };
        self.or_refused(path, read, "it is either on or off; write `true` or `false`")
            .unwrap_or(false)
    }

    /// A whole number.
    pub(super) fn count(&self, path: &str) -> Option<i64> {
        let read = match self.get(path)? {
            Value::Number(number) => number.as_i64(),
            Value::String(text) if text.is_empty() => return None,
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        self.or_refused(path, read, "it is a whole number; write one such as `100`")
    }

    /// A length of time; zero for one that is off (0, or negative).
    pub(super) fn time(&self, path: &str) -> Option<Duration> {
        let read = match self.get(path)? {
            Value::String(text) if text.is_empty() => return None,
            Value::String(text) => duration::parse(text),
            Value::Number(number) => number
                .as_i64()
                .filter(|number| *number <= 0)
                .map(|_| Duration::ZERO),
            _ => None,
        };
        self.or_refused(
            path,
            read,
            "it is a duration with its unit; write one such as `25s` or `1h30m`",
        )
    }

    /// A text that is not empty.
    pub(super) fn text(&self, path: &str) -> Option<String> {
        let read = match self.get(path)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        self.or_refused(path, read, "it is a text; write it in quotes")
            .filter(|text| !text.is_empty())
    }

    /// A text, or what it is where nothing is said; it may be said to be empty.
    pub(super) fn text_or(&self, path: &str, otherwise: &str) -> String {
        match self.get(path) {
            None => otherwise.to_owned(),
            Some(_) => self.text(path).unwrap_or_default(),
        }
    }

    /// A list of texts; one text is a list with blanks between.
    pub(super) fn texts(&self, path: &str) -> Vec<String> {
        let read = match self.get(path) {
            None => return Vec::new(),
            Some(Value::String(text)) => Some(text.split_whitespace().map(str::to_owned).collect()),
            Some(Value::Array(elements)) => elements
                .iter()
                .map(|one| one.as_str().map(str::to_owned))
                .collect(),
            Some(_) => None,
        };
        self.or_refused(path, read, "it is a list of texts; write `[\"one\", \"two\"]`")
            .unwrap_or_default()
    }

    /// Remembers a problem.
    pub(super) fn refuse(&self, path: &str, rule: &str) {
        let problem = format!("{} is {}: {rule}", self.shown(path), self.shown_value(path));
        let mut problems = self.problems.borrow_mut();
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }

    /// Every problem that was found.
    pub(super) fn problems(&self) -> Vec<String> {
        self.problems.borrow().clone()
    }

    fn or_refused<T>(&self, path: &str, read: Option<T>, rule: &str) -> Option<T> {
        if read.is_none() {
            self.refuse(path, rule);
        }
        read
    }

    /// A value as problems may show it.
    fn shown_value(&self, path: &str) -> String {
        let text = match self.get(path) {
            _ if is_secret(path) => return "a secret that is not shown".to_owned(),
            None | Some(Value::Null) => return "not set".to_owned(),
            Some(Value::Object(_)) => return "a group of settings".to_owned(),
            Some(Value::Array(_)) => return "a list".to_owned(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        format!("`{}`", plain(&text))
    }
}

/// The variable that says what is at a path.
pub(super) fn variable(path: &str) -> String {
    format!("CENTRIFUGO_{}", path.replace('.', "_").to_uppercase())
}

/// A text without what could move a cursor or end a line, and not too much of it.
pub(super) fn plain(text: &str) -> String {
    let mut chars = text.chars();
    let mut plain: String = chars.by_ref().take(SHOWN_CHARS_MAX).flat_map(spelt).collect();
    if chars.next().is_some() {
        plain.push('…');
    }
    plain
}

/// A character as it is, or what it is written as where it is none that can be seen.
pub(super) fn spelt(character: char) -> Vec<char> {
    match character {
        '"' | '\'' | '\\' => vec![character],
        other => other.escape_debug().collect(),
    }
}

/// Whether what is at a path is nobody's business.
fn is_secret(path: &str) -> bool {
    let last = path.rsplit('.').next().unwrap_or(path);
    [
        "secret",
        "password",
        "key",
        "token",
        "dsn",
        "credentials",
        "pem",
        "license",
    ]
    .iter()
    .any(|word| last.contains(word))
}

/// What a problem shows of a value.
const SHOWN_CHARS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings(root: Value) -> Settings {
        Settings::new(root, vec![("http_api.key".to_owned(), "api_key".to_owned())])
    }

    #[test]
    fn values_are_read_as_go_reads_them() {
        let settings = settings(json!({
            "a": true, "b": "1", "c": 0, "n": "8000", "m": 7, "t": "25s", "off": -1,
            "list": "one two", "array": ["one"], "name": 5, "none": null, "empty": "",
        }));
        assert!(settings.switch("a") && settings.switch("b"));
        assert!(!settings.switch("c") && !settings.switch("none") && !settings.switch("empty"));
        assert_eq!(
            (settings.count("n"), settings.count("m"), settings.count("none")),
            (Some(8000), Some(7), None)
        );
        assert_eq!(settings.time("t"), Some(Duration::from_secs(25)));
        assert_eq!(settings.time("off"), Some(Duration::ZERO));
        assert_eq!(settings.texts("list"), ["one", "two"]);
        assert_eq!(settings.texts("array"), ["one"]);
        assert_eq!(settings.text("name").as_deref(), Some("5"));
        assert_eq!(settings.text_or("none", "x"), "x");
        assert_eq!(settings.text_or("empty", "x"), "");
        assert_eq!(settings.problems(), [""; 0]);
    }

    #[test]
    fn a_value_of_the_wrong_type_is_told_with_its_path_and_the_way_out() {
        let settings = settings(json!({
            "client": {"channel_limit": "many", "token": {"hmac_secret_key": ["hush"]}, "ping_interval": 25},
            "channel": {"namespaces": [{"name": "chat", "presence": {"hush": 1}, "history_size": 1.5}]},
            "http_api": {"key": true},
            "x": "a\nb",
        }));
        settings.count("client.channel_limit");
        settings.text("client.token.hmac_secret_key");
        settings.time("client.ping_interval");
        settings.switch("channel.namespaces[0].presence");
        settings.count("channel.namespaces[0].history_size");
        settings.text("http_api.key");
        settings.switch("x");
        settings.switch("x");
        assert_eq!(
            settings.problems(),
            [
                "client.channel_limit is `many`: it is a whole number; write one such as `100`",
                "client.token.hmac_secret_key is a secret that is not shown: it is a text; write it in quotes",
                "client.ping_interval is `25`: it is a duration with its unit; write one such as `25s` or `1h30m`",
                "channel.namespaces[chat].presence is a group of settings: it is either on or off; write `true` or `false`",
                "channel.namespaces[chat].history_size is `1.5`: it is a whole number; write one such as `100`",
                "api_key is a secret that is not shown: it is a text; write it in quotes",
                "x is `a\\nb`: it is either on or off; write `true` or `false`",
            ]
        );
    }
}
