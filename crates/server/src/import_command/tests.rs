//! What becomes of each setting, table by table; and that nothing becomes allowed which was not.

use fanfare::{Action, Identity, Subject, TopicName, TopicRules, UserName, Verdict, Who};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::keys::{self, Fate};
use super::*;
use crate::options::ServeOptions;

mod carried;
mod denied;
mod docs;

/// What comes of a file.
fn imported(file: Value) -> (String, Draft) {
    let Renamed { root, names } = legacy::rename(tree::tidy(file)).unwrap();
    let mut settings = Settings::new(root, names);
    legacy::settle(&mut settings);
    let mut draft = draft(&settings);
    assert_eq!(settings.problems(), [""; 0]);
    let names: Vec<_> = (0..settings.elements("channel.namespaces"))
        .map(|_| String::new())
        .collect();
    check(&draft.render(&names), &mut draft).unwrap();
    (draft.render(&names), draft)
}

/// The options that come of a file.
fn options(file: Value) -> ServeOptions {
    let (text, _) = imported(file);
    let file = ConfigFile::parse(Path::new("output"), &text).unwrap();
    resolve(&Inputs {
        file: Some(file),
        ..Inputs::default()
    })
    .unwrap()
    .options
}

/// What is told, without the notes.
fn lost(draft: &Draft) -> Vec<String> {
    let findings = draft
        .findings()
        .into_iter()
        .filter(|finding| finding.weight == Weight::Lost);
    findings.map(ToString::to_string).collect()
}
