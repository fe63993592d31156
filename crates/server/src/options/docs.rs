//! The generated part of `docs/configuration.md`: the table of options. `UPDATE_DOCS=1` rewrites it.

use std::fmt::Write;
use std::path::Path;

use super::table::{OPTIONS, OptionSpec};

#[test]
fn the_table_in_the_documentation_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let fresh = format!("{before}{BEGIN}\n{}{END}{after}", tables());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &fresh).unwrap();
    }
    let now = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        now, fresh,
        "run `UPDATE_DOCS=1 cargo test -p fanfare-server documentation`"
    );
}

/// A table of options under the heading of each section.
fn tables() -> String {
    let mut text = String::new();
    for section in OPTIONS.chunk_by(|one, next| one.section == next.section) {
        let _ = write!(
            text,
            "\n### {}\n\n| key | values | default | meaning |\n|---|---|---|---|\n",
            section[0].section
        );
        text.extend(section.iter().map(row));
    }
    text + "\n"
}

/// The row of one option.
fn row(spec: &OptionSpec) -> String {
    let default = match spec.default_note {
        Some(note) => note.to_owned(),
        None if spec.kind.is_list() => "none".to_owned(),
        None => format!("`{}`", spec.default_text()),
    };
    let doc: Vec<_> = spec.doc.lines().map(str::trim).collect();
    format!(
        "| `{}` | {} | {default} | {} |\n",
        spec.key,
        spec.kind.rule(),
        doc.join(" ")
    )
}

const BEGIN: &str = "<!-- generated: options -->";
const END: &str = "<!-- end -->";
