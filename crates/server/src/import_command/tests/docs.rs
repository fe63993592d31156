//! The generated part of `docs/importing-centrifugo.md`: every key and its fate. `UPDATE_DOCS=1` rewrites it.

use std::fmt::Write as _;

use super::*;

#[test]
fn the_keys_in_the_documentation_are_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/importing-centrifugo.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let fresh = format!("{before}{BEGIN}\n{}{END}{after}", table());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &fresh).unwrap();
    }
    let now = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        now, fresh,
        "run `UPDATE_DOCS=1 cargo test -p fanfare-server --bin fanfare documentation`"
    );
}

/// A row for each group of keys.
fn table() -> String {
    let mut text = String::from("\n| keys | under | |\n|---|---|---|\n");
    for group in keys::groups() {
        let of = |texts: &[&str]| {
            let names = texts
                .iter()
                .map(|text| text.split_once('=').map_or(*text, |(key, _)| key));
            names
                .filter(|name| !name.is_empty())
                .map(|name| format!("`{name}`"))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let (keys, under) = (of(group.keys), of(group.under));
        let _ = writeln!(text, "| {keys} | {under} | {} |", fate(group.fate));
    }
    text + "\n"
}

fn fate(fate: Fate) -> String {
    match fate {
        Fate::Carried(option) => format!("`{option}`"),
        Fate::Judged(text) => text.to_owned(),
        Fate::Needless(text) => format!("needless: {text}"),
        Fate::Note(text) => format!("**note**: {text}"),
        Fate::Lost(text) => format!("**lost**: {text}"),
    }
}

const BEGIN: &str = "<!-- generated: keys -->";
const END: &str = "<!-- end -->";
