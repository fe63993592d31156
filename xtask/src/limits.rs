//! The tables of limits, written from the documentation of the structs that hold them: what each is, what happens
//! beyond it, and its default.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// The tables: the name of the part in the page, and the struct that it is written from.
pub(crate) const TABLES: [(&str, &str, &str); 2] = [
    ("limits of the hub", "crates/hub/src/limits.rs", "Limits"),
    (
        "limits of the door",
        "crates/fanfare/src/door/limits.rs",
        "DoorLimits",
    ),
];

/// The table of a struct's fields.
///
/// # Errors
/// The struct is not there, or a field's documentation does not say its default.
pub(crate) fn table(root: &Path, file: &str, name: &str) -> Result<String, String> {
    let source = fs::read_to_string(root.join(file)).map_err(|error| format!("{file}: {error}"))?;
    let rows = rows(&source, name).map_err(|error| format!("{file}: {error}"))?;
    let mut table = String::from("| limit | what it bounds | beyond it | default |\n|---|---|---|---|\n");
    for Row {
        name,
        meaning,
        beyond,
        default,
    } in rows
    {
        let _ = writeln!(table, "| `{name}` | {meaning} | {beyond} | {default} |");
    }
    Ok(table)
}

#[derive(Debug, PartialEq, Eq)]
struct Row {
    name: String,
    meaning: String,
    beyond: String,
    default: String,
}

fn rows(source: &str, name: &str) -> Result<Vec<Row>, String> {
    let begin = format!("pub struct {name} {{\n");
    let from = source.find(&begin).ok_or_else(|| format!("no struct `{name}`"))? + begin.len();
    let body = &source[from..];
    let body = &body[..body.find("\n}").ok_or("the struct does not end")?];
    let (mut rows, mut doc) = (Vec::new(), String::new());
    for line in body.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            doc.push_str(text);
        } else if let Some(field) = line.strip_prefix("pub ") {
            let name = field.split(':').next().unwrap_or_default();
            rows.push(row(name, doc.trim())?);
            doc.clear();
        }
    }
    Ok(rows)
}

/// Takes a field's documentation apart: the meaning, the sentence that begins with "Beyond:", and the one that begins
/// with "Default". What stands between the last two belongs to the meaning.
fn row(name: &str, doc: &str) -> Result<Row, String> {
    let (rest, default) = doc
        .rsplit_once("Default")
        .ok_or_else(|| format!("`{name}` does not say its default"))?;
    let (mut meaning, mut beyond) = (rest.trim().to_owned(), "–".to_owned());
    if let Some((before, after)) = rest.split_once("Beyond: ") {
        let (consequence, more) = after
            .split_once(". ")
            .unwrap_or((after.trim().trim_end_matches('.'), ""));
        meaning = format!("{} {}", before.trim(), more.trim());
        consequence.clone_into(&mut beyond);
    }
    Ok(Row {
        name: name.to_owned(),
        meaning: plain(meaning.trim().trim_end_matches('.')),
        beyond: plain(&beyond),
        default: plain(default.trim_start_matches(':').trim().trim_end_matches('.')),
    })
}

/// Links of the code's documentation lead nowhere in a page.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('[') {
        let (before, link) = rest.split_at(at);
        plain.push_str(before);
        let end = link.find(']').unwrap_or(link.len());
        plain.push_str(
            link[1..end]
                .trim_start_matches("`Limits::")
                .trim_start_matches('`')
                .trim_end_matches('`'),
        );
        rest = link.get(end + 1..).unwrap_or_default();
        if let Some(target) = rest.strip_prefix('(') {
            rest = target.split_once(')').map_or("", |(_, behind)| behind);
        }
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "
pub struct Limits {
    /// The longest message, in bytes, see
    /// [`Limits::other`]. Beyond: close code 1009. 0 for no limit. Default 64 KiB.
    pub message_bytes_max: u32,
    /// Time between pings. Default: never.
    pub ping_ms: u64,
}
";

    #[test]
    fn a_row_is_taken_from_the_documentation_of_its_field() {
        let row = |name: &str, meaning: &str, beyond: &str, default: &str| Row {
            name: name.to_owned(),
            meaning: meaning.to_owned(),
            beyond: beyond.to_owned(),
            default: default.to_owned(),
        };
        assert_eq!(
            rows(SOURCE, "Limits").unwrap(),
            [
                row(
                    "message_bytes_max",
                    "The longest message, in bytes, see other. 0 for no limit",
                    "close code 1009",
                    "64 KiB"
                ),
                row("ping_ms", "Time between pings", "–", "never"),
            ]
        );
    }

    #[test]
    fn a_limit_without_a_default_is_an_error() {
        let source = SOURCE.replace("Default 64 KiB.", "");
        assert_eq!(
            rows(&source, "Limits").unwrap_err(),
            "`message_bytes_max` does not say its default"
        );
    }
}
