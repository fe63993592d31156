//! The configuration file: TOML with one key per option at the top level, read with the line of each value.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::resolve::shown;
use super::suggest::nearest;
use super::table::{OPTIONS, ServeOptions};

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
    /// Where it stands.
    pub(super) place: Place,
    /// The value; several for an array.
    pub(super) texts: Vec<String>,
}

/// A line and a column of a file, both from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    line: usize,
    column: usize,
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
    ///
    /// # Errors
    /// As for [`Self::read`].
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, Vec<String>> {
        let table = DeTable::parse(text).map_err(|error| {
            let place = Place::of(text, error.span().map_or(0, |span| span.start));
            vec![format!(
                "{}:{place}: not TOML: {}; correct the line",
                path.display(),
                one_line(error.message())
            )]
        })?;
        let (mut entries, mut problems) = (Vec::new(), Vec::new());
        for (key, value) in table.get_ref() {
            let place = Place::of(text, key.span().start);
            let named = |(place, problem)| format!("{}:{place}: {problem}", path.display());
            match entry(key.get_ref(), value, place) {
                Ok(entry) => {
                    problems.extend(wrong_tables(text, &entry, value.get_ref()).into_iter().map(named));
                    entries.push(entry);
                }
                Err(problem) => problems.push(named((place, problem))),
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

    /// A place in the file as problems name it.
    pub(super) fn place(&self, place: Place) -> String {
        format!("{}:{place}", self.path.display())
    }
}

/// Why an option does not take a value of the file; `None` where it does.
pub(crate) fn refusal(key: &str, value: &toml::Value) -> Option<String> {
    let text = |value: &toml::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let texts: Vec<_> = match value {
        toml::Value::Array(values) => values.iter().map(text).collect(),
        value => vec![text(value)],
    };
    match OPTIONS.iter().find(|spec| spec.key == key) {
        Some(spec) => spec.kind.read(&mut ServeOptions::default(), &texts).err(),
        None => Some(unknown_key(key)),
    }
}

/// The whole text of a file that is not suspiciously large.
fn read_bounded(path: &Path) -> Result<String, String> {
    let cannot = |why: &dyn fmt::Display| {
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
fn entry(key: &str, value: &Spanned<DeValue<'_>>, place: Place) -> Result<Entry, String> {
    let Some(spec) = OPTIONS.iter().find(|spec| spec.key == key) else {
        return Err(match value.get_ref() {
            DeValue::Table(_) => unknown_table(key),
            _ => unknown_key(key),
        });
    };
    let texts = match value.get_ref() {
        DeValue::Array(values) if spec.kind.is_list() => values
            .iter()
            .map(|value| match value.get_ref() {
                DeValue::Table(table) if spec.kind.is_of_tables() => inline(key, table),
                value => scalar(key, value),
            })
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
        place,
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

/// A table as one line, in which texts are in quotes.
fn inline(key: &str, table: &DeTable<'_>) -> Result<String, String> {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let members = table.iter().map(|(name, value)| {
        let name = name.get_ref();
        let text = scalar(&format!("{key}.{name}"), value.get_ref())?;
        let value = match value.get_ref() {
            DeValue::String(_) => quoted(&text),
            _ => text,
        };
        let is_bare = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let name = if is_bare { name.to_string() } else { quoted(name) };
        Ok(format!("{name} = {value}"))
    });
    let members: Vec<String> = members.collect::<Result<_, String>>()?;
    Ok(format!("{{ {} }}", members.join(", ")))
}

/// Which tables of a list are wrong, each where it stands; for those found here the whole list is not looked at again.
fn wrong_tables(text: &str, entry: &Entry, value: &DeValue<'_>) -> Vec<(Place, String)> {
    let Some(spec) = OPTIONS
        .iter()
        .find(|spec| spec.key == entry.key && spec.kind.is_of_tables())
    else {
        return Vec::new();
    };
    let tables = value.as_array().into_iter().flatten().zip(&entry.texts);
    let refused = tables.filter_map(|(table, written)| {
        let mut scratch = ServeOptions::default();
        let written = std::slice::from_ref(written);
        let refusal = spec.kind.read(&mut scratch, written).err()?;
        let problem = format!("{} is {}: {refusal}", entry.key, shown(spec, written));
        Some((Place::of(text, table.span().start), problem))
    });
    refused.collect()
}

/// What to say about a table that is no option.
fn unknown_table(key: &str) -> String {
    let tables = OPTIONS.iter().filter(|spec| spec.kind.is_of_tables());
    match nearest(key, tables.map(|spec| spec.key)) {
        Some(known) => format!("unknown table `[{key}]`, did you mean `[[{known}]]`?"),
        None => format!("unknown table `[{key}]`: write the keys at the top of the file"),
    }
}

/// What to say about a key that is no option.
pub(crate) fn unknown_key(key: &str) -> String {
    let key = &key.chars().take(KEY_CHARS_MAX).collect::<String>();
    let keys = OPTIONS.iter().map(|spec| spec.key);
    match nearest(&key.to_ascii_lowercase().replace('-', "_"), keys) {
        Some(known) => format!("unknown key `{key}`, did you mean `{known}`?"),
        None => format!("unknown key `{key}`: `fanfare serve --print-config` shows every key; remove it"),
    }
}

impl Place {
    /// Where byte `at` of a text is.
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

/// A parser's words on one line.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

const FILE_BYTES_MAX: u64 = 1024 * 1024;
const KEY_CHARS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::super::topic_rule::TopicRuleOption;
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
        assert_eq!(
            (shards.place.to_string(), &shards.texts[..]),
            ("2:1".to_owned(), &["16".to_owned()][..])
        );
        assert_eq!((keys.place.to_string(), keys.texts.len()), ("3:1".to_owned(), 2));
    }

    #[test]
    fn tables_keep_the_types_of_their_values() {
        let text = "[[topic_rule]]\npattern = \"a\"\nhistory_frames = 0x10\nhistory_bytes_max = 65536\nhistory_age = \"7d\"\n\
                    publications_per_second = 5\ndurable = false\nkeep_presence = true\n";
        let file = ConfigFile::parse(Path::new("f.toml"), text).unwrap();
        let rule: TopicRuleOption = file.entry("topic_rule").unwrap().texts[0].parse().unwrap();
        assert_eq!(rule.rule.publications_per_second, Some(5));
        assert_eq!(
            (rule.rule.is_durable, rule.rule.keeps_presence),
            (Some(false), Some(true))
        );
        assert!(
            rule.to_string()
                .contains("history_frames = 16, history_bytes_max = \"64KiB\"")
        );
    }

    #[test]
    fn every_unknown_key_is_reported_with_line_and_suggestion() {
        let problems = problems("listn = 1\nmessage-bytes-max = 2\nfrobnicate = 3\n[server]\nlisten = 4\n");
        for part in [
            "f.toml:1:1: unknown key `listn`, did you mean `listen`?",
            "f.toml:2:1: unknown key `message-bytes-max`, did you mean `message_bytes_max`?",
            "f.toml:3:1: unknown key `frobnicate`",
            "f.toml:4:2: unknown table `[server]`",
        ] {
            assert!(problems.contains(part), "{part:?} in {problems}");
        }
    }

    #[test]
    fn what_is_not_toml_is_reported_with_its_line_and_without_its_text() {
        let problems = problems("shards = 1\napi_key = \"hush-hush\n");
        assert!(problems.starts_with("f.toml:2:"), "{problems}");
        assert!(!problems.contains("hush"), "{problems}");
    }

    #[test]
    fn values_of_impossible_types_are_refused() {
        assert!(problems("shards = [1]").contains("takes one value"));
        assert!(problems("shards = 1979-05-27").contains("shards is a datetime"));
        assert!(problems("shards = {}").contains("shards is a table"));
    }
}
