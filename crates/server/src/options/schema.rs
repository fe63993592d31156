//! The JSON Schema of the configuration file (draft 2020-12), for editors that complete and check while one types.

use serde_json::{Map, Value, json};

use super::kind::Kind;
use super::table::{OPTIONS, OptionSpec};
use super::topic_rule;

/// The schema as a file.
pub(crate) fn schema() -> String {
    let properties: Map<String, Value> = OPTIONS
        .iter()
        .map(|spec| (spec.key.to_owned(), property(spec)))
        .collect();
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of fanfare serve",
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    });
    format!("{schema:#}\n")
}

/// The schema of one option.
fn property(spec: &OptionSpec) -> Value {
    let mut property = match &spec.kind {
        kind if kind.is_list() => json!({"type": "array", "items": item(kind)}),
        kind => item(kind),
    };
    let doc: Vec<_> = spec.doc.lines().map(str::trim).collect();
    property["description"] = json!(format!("{} Default: {}.", doc.join(" "), spec.default_text()));
    property
}

/// The schema of one value. Sizes and durations are checked by the program, for there is no pattern that a reader would
/// understand.
fn item(kind: &Kind) -> Value {
    match kind {
        Kind::Count { min, max, .. } | Kind::MaybeCount { min, max, .. } => {
            json!({"type": "integer", "minimum": min, "maximum": max})
        }
        Kind::Size { .. } | Kind::MaybeSize { .. } => {
            json!({"type": ["string", "integer"], "examples": ["64KiB", 65_536]})
        }
        Kind::Time { .. } => json!({"type": "string", "examples": ["500ms", "25s", "1m30s"]}),
        Kind::Switch { .. } => json!({"type": "boolean"}),
        Kind::HookFormat { .. } => json!({"enum": ["fanfare", "centrifugo"]}),
        Kind::TlsVersion { .. } => json!({"enum": ["1.2", "1.3"]}),
        Kind::Format { .. } => json!({"enum": ["text", "json"]}),
        Kind::Secrets { .. } => json!({"type": "string", "minLength": 16, "maxLength": 256}),
        Kind::ApiKeys { .. } => json!({"type": "string", "minLength": 16}),
        Kind::MaybeText { .. } | Kind::Texts { .. } => {
            json!({"type": "string", "minLength": 1, "maxLength": 255})
        }
        Kind::TopicRules { .. } => topic_rule::schema(),
        Kind::Address { .. }
        | Kind::Origins { .. }
        | Kind::SlowRules { .. }
        | Kind::Networks { .. }
        | Kind::TokenKeys { .. }
        | Kind::MaybeKeysUrl { .. }
        | Kind::MaybeUserTopic { .. }
        | Kind::MaybeUrl { .. }
        | Kind::Headers { .. }
        | Kind::Files { .. }
        | Kind::MaybeDirectory { .. }
        | Kind::Fsync { .. }
        | Kind::Filter { .. } => json!({"type": "string"}),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// `UPDATE_DOCS=1` rewrites it.
    #[test]
    fn the_schema_beside_the_documentation_is_up_to_date() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/fanfare.schema.json");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, schema()).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            written == schema(),
            "run `UPDATE_DOCS=1 cargo test -p fanfare-server --bin fanfare documentation`"
        );
    }
}
