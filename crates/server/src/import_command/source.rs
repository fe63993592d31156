//! The file that is imported: JSON, YAML or TOML, by its name or by how it begins.

use std::fmt;
use std::fs::File;
use std::io::{Read, stdin};
use std::path::Path;

use serde_json::{Map, Value};

use super::settings::plain;
use super::{tree, yaml};

/// The tree that a file has; `-` is standard input.
///
/// # Errors
/// It cannot be read, or is none of the formats: the place, the rule, the way out.
pub(super) fn read(path: &Path) -> Result<Value, String> {
    let is_input = path.as_os_str() == "-";
    let name = if is_input {
        "standard input".to_owned()
    } else {
        plain(&path.display().to_string())
    };
    let text = if is_input {
        bounded(stdin().lock())
    } else {
        File::open(path).map_err(|e| e.to_string()).and_then(bounded)
    };
    let text = text.map_err(|why| {
        format!("{name} cannot be read: {why}; name a readable file of JSON, YAML or TOML, or `-`")
    })?;
    let format = Format::of_name(path).unwrap_or_else(|| Format::of_text(&text));
    format
        .parse(&text)
        .map_err(|(place, problem)| format!("{name}:{place}{problem}"))
}

/// The whole text, where it is not suspiciously large.
fn bounded(from: impl Read) -> Result<String, String> {
    let mut text = String::new();
    from.take(FILE_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(|error| error.to_string())?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("it is larger than the limit of {FILE_BYTES_MAX} bytes"));
    }
    Ok(text)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Json,
    Yaml,
    Toml,
}

impl Format {
    fn of_name(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "json" => Some(Self::Json),
            "yaml" | "yml" => Some(Self::Yaml),
            "toml" => Some(Self::Toml),
            _ => None,
        }
    }

    /// By the first line that says something.
    fn of_text(text: &str) -> Self {
        let mut lines = text.lines().map(str::trim);
        let first = lines
            .find(|line| !line.is_empty() && !line.starts_with('#'))
            .unwrap_or("");
        let is_assignment = first.split_once('=').is_some_and(|(key, _)| !key.contains(':'));
        if first.starts_with('{') {
            Self::Json
        } else if first.starts_with('[') || is_assignment {
            Self::Toml
        } else {
            Self::Yaml
        }
    }

    /// The tree; or where it ends, and why.
    fn parse(self, text: &str) -> Result<Value, (String, String)> {
        let value = match self {
            Self::Json => serde_json::from_str(text).map_err(|error| {
                let why = error.to_string();
                let why = why.split(" at line ").next().unwrap_or_default();
                (
                    format!("{}:{}: ", error.line(), error.column()),
                    format!("not JSON: {why}; correct it"),
                )
            })?,
            Self::Yaml => yaml::parse(text).map_err(|problem| (String::new(), problem))?,
            Self::Toml => toml::from_str(text).map_err(|error| {
                let place = Place::of(text, error.span().map_or(0, |span| span.start));
                (
                    format!("{place}: "),
                    format!("not TOML: {}; correct it", plain(error.message())),
                )
            })?,
        };
        match value {
            Value::Object(_) => Ok(tree::tidy(value)),
            Value::Null => Ok(Value::Object(Map::new())),
            _ => Err((
                "1:1: ".to_owned(),
                format!("a configuration has keys with values; is this {self}?"),
            )),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json => "JSON",
            Self::Yaml => "YAML",
            Self::Toml => "TOML",
        })
    }
}

/// A line and a column, both from 1.
struct Place {
    line: usize,
    column: usize,
}

impl Place {
    fn of(text: &str, at: usize) -> Self {
        let before = text.get(..at).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// No configuration is larger.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_format_is_known_by_its_name_or_its_beginning() {
        for (name, format) in [
            ("config.json", Some(Format::Json)),
            ("config.YML", Some(Format::Yaml)),
            ("config.yaml", Some(Format::Yaml)),
            ("config.toml", Some(Format::Toml)),
            ("config", None),
            ("-", None),
            ("config.conf", None),
        ] {
            assert_eq!(Format::of_name(Path::new(name)), format, "{name}");
        }
        for (text, format) in [
            ("\n {\"a\": 1}", Format::Json),
            ("# a\na = 1", Format::Toml),
            ("[client]\n", Format::Toml),
            ("a: 1", Format::Yaml),
            ("a: \"b=c\"", Format::Yaml),
            ("---\na: 1", Format::Yaml),
            ("", Format::Yaml),
        ] {
            assert_eq!(Format::of_text(text), format, "{text}");
        }
    }

    #[test]
    fn one_tree_comes_of_all_formats() {
        let tree =
            json!({"client": {"allowed_origins": ["http://a"]}, "channel": {"namespaces": [{"name": "a"}]}});
        for (format, text) in [
            (
                Format::Json,
                r#"{"client": {"allowed_origins": ["http://a"]}, "channel": {"namespaces": [{"name": "a"}]}}"#,
            ),
            (
                Format::Yaml,
                "client:\n  allowed_origins: [http://a]\nchannel:\n  namespaces:\n    - name: a\n",
            ),
            (
                Format::Toml,
                "[client]\nallowed_origins = [\"http://a\"]\n[[channel.namespaces]]\nname = \"a\"\n",
            ),
        ] {
            assert_eq!(format.parse(text), Ok(tree.clone()), "{format}");
        }
    }

    #[test]
    fn what_is_none_is_refused_at_its_place() {
        for (format, text, says) in [
            (
                Format::Json,
                "{\n \"a\": }",
                "2:7: not JSON: expected value; correct it",
            ),
            (Format::Json, "[1]", "1:1: a configuration has keys"),
            (Format::Toml, "a = 1\nb = = 2\n", "2:5: not TOML: "),
            (Format::Yaml, "- 1\n", "1:1: a configuration has keys"),
            (Format::Yaml, "a: 1\n b: 2\n", "2:3: "),
        ] {
            let (place, problem) = format.parse(text).unwrap_err();
            assert!(
                format!("{place}{problem}").starts_with(says),
                "{text}: {place}{problem}"
            );
        }
    }

    #[test]
    fn deep_nesting_is_refused() {
        for (format, text) in [
            (Format::Json, format!("{{\"a\": {}", "[".repeat(500_000))),
            (Format::Json, "{\"a\": ".repeat(100_000)),
            (Format::Toml, format!("a = {}", "[".repeat(500_000))),
            (Format::Toml, "a = ".to_owned() + &"{a = ".repeat(100_000)),
            (Format::Toml, "a.".repeat(100_000) + "a = 1"),
        ] {
            assert!(format.parse(&text).is_err(), "{format}");
        }
    }
}
