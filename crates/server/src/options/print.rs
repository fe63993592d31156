//! The effective configuration as a file that could be given back with `--config`.

use super::kind::Kind;
use super::resolve::{Resolved, Source};
use super::table::{OPTIONS, OptionSpec, ServeOptions};

/// The configuration as TOML, with the source of each value in a comment. Secrets are left out.
pub(crate) fn print_config(resolved: &Resolved) -> String {
    let mut text = String::from("# The effective configuration of fanfare serve.\n");
    let mut section = "";
    for (spec, source) in OPTIONS.iter().zip(&resolved.sources) {
        if spec.section != section {
            section = spec.section;
            text.push('\n');
        }
        text.push_str(&line(spec, &resolved.options, source));
        text.push('\n');
    }
    text
}

/// The line of one option: an assignment, or a comment where there is nothing to assign.
fn line(spec: &OptionSpec, options: &ServeOptions, source: &Source) -> String {
    let texts = spec.kind.texts(options);
    match (spec.kind.secrets(options), spec.default_note) {
        (Some(0), _) => format!("# {} is not set # {source}", spec.key),
        (Some(1), _) => format!("# {} is one key that is not shown # {source}", spec.key),
        (Some(keys), _) => format!("# {} is {keys} keys that are not shown # {source}", spec.key),
        (None, Some(note)) if texts.is_empty() => format!("# {} is not set: {note} # {source}", spec.key),
        (None, _) => format!("{} = {} # {source}", spec.key, toml_value(&spec.kind, &texts)),
    }
}

/// A value the way the file writes it.
fn toml_value(kind: &Kind, texts: &[String]) -> String {
    let quoted = |text: &String| toml::Value::from(text.as_str()).to_string();
    match texts {
        texts if kind.is_of_tables() => format!("[{}]", texts.join(", ")),
        texts if kind.is_list() => format!("[{}]", texts.iter().map(quoted).collect::<Vec<_>>().join(", ")),
        [text] if kind.is_bare_in_file() => text.clone(),
        texts => texts.iter().map(quoted).collect(),
    }
}
