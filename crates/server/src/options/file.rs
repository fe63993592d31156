//! The configuration file: TOML with one key per option at the top level, read with the line of each value.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::suggest::nearest;
use super::table::OPTIONS;

/// A file that was read: which values it sets and on which lines.
#[derive(Debug)]
pub(crate) struct ConfigFile {
    path: PathBuf,
    entries: Vec<Entry>,
}

/// One key of the file with its value as text.
#[derive(Debug)]
pub(super) struct Entry {
    /// The option's key.
    pub(super) key: &'static str,
    /// The line of the value, from 1.
    pub(super) line: usize,
    /// The value; several for an array.
    pub(super) texts: Vec<String>,
}

impl ConfigFile {
    /// Reads the file at `path`; only what is wrong with values is found later.
    ///
    /// # Errors
    /// Every problem of the file: it cannot be read, is not TOML, or has unknown keys or values of impossible types.
    pub(crate) fn read(path: &Path) -> Result<Self, Vec<String>> {
        let text = read_bounded(path).map_err(|problem| vec![problem])?;
        Self::parse(path, &text)
    }

    /// Takes the text of a file apart; `path` only names it in problems.
    fn parse(path: &Path, text: &str) -> Result<Self, Vec<String>> {
        let table = DeTable::parse(text).map_err(|error| {
            let line = error.span().map_or(1, |span| line_of(text, span.start));
            vec![format!(
                "{}:{line}: not TOML: {}; correct the line",
                path.display(),
                one_line(error.message())
            )]
        })?;
        let (mut entries, mut problems) = (Vec::new(), Vec::new());
        for (key, value) in table.get_ref() {
            let line = line_of(text, key.span().start);
            match entry(key.get_ref(), value, line) {
                Ok(entry) => entries.push(entry),
                Err(problem) => problems.push(format!("{}:{line}: {problem}", path.display())),
            }
        }
        if problems.is_empty() {
            Ok(Self {
                path: path.to_owned(),
                entries,
            })
        } else {
            Err(problems)
        }
    }

    /// The entry of an option, when the file has one.
    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// A line of the file as problems name it.
    pub(super) fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.path.display())
    }
}

/// The whole text of a file that is not suspiciously large.
fn read_bounded(path: &Path) -> Result<String, String> {
    let cannot = |why: &dyn std::fmt::Display| {
        format!(
            "{}: cannot be read as a configuration file: {why}; name a readable TOML file with --config",
            path.display()
        )
    };
    let file = File::open(path).map_err(|error| cannot(&error))?;
    let mut text = String::new();
    file.take(FILE_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(|error| cannot(&error))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(cannot(&format_args!(
            "it is larger than the limit of {FILE_BYTES_MAX} bytes"
        )));
    }
    Ok(text)
}

/// The entry a key and its value make.
fn entry(key: &str, value: &Spanned<DeValue<'_>>, line: usize) -> Result<Entry, String> {
    let Some(spec) = OPTIONS.iter().find(|spec| spec.key == key) else {
        return Err(unknown_key(key, value.get_ref()));
    };
    let texts = match value.get_ref() {
        DeValue::Array(values) if spec.kind.is_list() => values
            .iter()
            .map(|value| scalar(key, value.get_ref()))
            .collect::<Result<_, _>>()?,
        DeValue::Array(_) => {
            return Err(format!(
                "{key} is an array: it takes one value; write `{key} = VALUE`"
            ));
        }
        value => vec![scalar(key, value)?],
    };
    Ok(Entry {
        key: spec.key,
        line,
        texts,
    })
}

/// A value that is no array as the text an operator would write elsewhere.
fn scalar(key: &str, value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Boolean(is_on) => Ok(is_on.to_string()),
        DeValue::Float(number) => Ok(number.as_str().to_owned()),
        DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix())
            .map(|number| number.to_string())
            .map_err(|_| {
                format!(
                    "{key} is {}: it is too large for any option; write a smaller number",
                    number.as_str()
                )
            }),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => Err(format!(
            "{key} is a {}: an option takes text, a number or a boolean; write `{key} = VALUE`",
            value.type_str()
        )),
    }
}

/// What to say about a key that is no option.
fn unknown_key(key: &str, value: &DeValue<'_>) -> String {
    if matches!(value, DeValue::Table(_)) {
        return format!(
            "unknown table `[{key}]`: options have no tables; write the keys at the top of the file"
        );
    }
    let keys = OPTIONS.iter().map(|spec| spec.key);
    match nearest(&key.to_ascii_lowercase().replace('-', "_"), keys) {
        Some(known) => format!("unknown key `{key}`, did you mean `{known}`?"),
        None => format!("unknown key `{key}`: `fanfare serve --print-config` shows every key; remove it"),
    }
}

/// The number, from 1, of the line that byte `at` is on.
fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

/// A parser's words on one line.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

const FILE_BYTES_MAX: u64 = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> String {
        ConfigFile::parse(Path::new("f.toml"), text)
            .unwrap_err()
            .join("\n")
    }

    #[test]
    fn values_are_read_with_their_lines() {
        let file =
            ConfigFile::parse(Path::new("f.toml"), "\nshards = 0x10\napi_key = [\"a\", \"b\"]\n").unwrap();
        let (shards, keys) = (file.entry("shards").unwrap(), file.entry("api_key").unwrap());
        assert_eq!((shards.line, &shards.texts[..]), (2, &["16".to_owned()][..]));
        assert_eq!((keys.line, keys.texts.len()), (3, 2));
    }

    #[test]
    fn every_unknown_key_is_reported_with_line_and_suggestion() {
        let problems = problems("listn = 1\nmessage-bytes-max = 2\nfrobnicate = 3\n[server]\nlisten = 4\n");
        for part in [
            "f.toml:1: unknown key `listn`, did you mean `listen`?",
            "f.toml:2: unknown key `message-bytes-max`, did you mean `message_bytes_max`?",
            "f.toml:3: unknown key `frobnicate`",
            "f.toml:4: unknown table `[server]`",
        ] {
            assert!(problems.contains(part), "{part:?} in {problems}");
        }
    }

    #[test]
    fn what_is_not_toml_is_reported_with_its_line_and_without_its_text() {
        let problems = problems("shards = 1\napi_key = \"hush-hush\n");
        assert!(problems.starts_with("f.toml:2: not TOML"), "{problems}");
        assert!(!problems.contains("hush"), "{problems}");
    }

    #[test]
    fn values_of_impossible_types_are_refused() {
        assert!(problems("shards = [1]").contains("takes one value"));
        assert!(problems("shards = 1979-05-27").contains("shards is a datetime"));
        assert!(problems("shards = {}").contains("shards is a table"));
    }
}
