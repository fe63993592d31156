//! Holding JSON to the schemas of `openapi.json`: the part of JSON Schema that the document uses, and a complaint about
//! anything else, so that no rule in it goes unchecked.

use std::sync::LazyLock;

use axum::http::{Method, StatusCode};
use serde_json::Value;

/// The document.
pub(super) static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(super::super::OPENAPI).unwrap());

/// Fails unless the document describes this answer of this path. Errors of paths and methods that are none have the
/// shape of all errors.
pub(super) fn check_answer(method: &Method, path: &str, status: StatusCode, json: &Value) {
    let method = method.as_str().to_ascii_lowercase();
    let operation = &DOCUMENT["paths"][path][&method];
    let schema = if operation.is_null() {
        assert!(
            matches!(status.as_u16(), 400 | 401 | 404 | 405),
            "{method} {path} answers {status}"
        );
        &DOCUMENT["components"]["schemas"]["Error"]
    } else {
        let answer = resolve(&operation["responses"][status.as_str()]);
        assert!(
            !answer.is_null(),
            "{method} {path} does not describe {status}: {json}"
        );
        &answer["content"]["application/json"]["schema"]
    };
    if let Err(problem) = check(schema, json) {
        panic!("{method} {path} answers {status} with {json}: {problem}");
    }
}

/// What a `$ref` refers to, or the value itself.
pub(super) fn resolve(value: &'static Value) -> &'static Value {
    match value["$ref"].as_str() {
        Some(reference) => {
            let found = DOCUMENT.pointer(reference.strip_prefix('#').unwrap());
            found.unwrap_or_else(|| panic!("{reference} refers to nothing"))
        }
        None => value,
    }
}

/// Holds a value to a schema.
pub(super) fn check(schema: &'static Value, value: &Value) -> Result<(), String> {
    let schema = resolve(schema);
    let rules = schema.as_object().ok_or("no schema")?;
    for (rule, bound) in rules {
        let holds = match rule.as_str() {
            "description" | "default" => true,
            "type" => has_type(bound, value),
            "enum" => bound.as_array().is_some_and(|allowed| allowed.contains(value)),
            "minimum" => value.as_u64() >= bound.as_u64(),
            "maximum" => value.as_u64() <= bound.as_u64(),
            "minLength" => value.as_str().map(str::len) >= length(bound),
            "maxLength" => value.as_str().map(str::len) <= length(bound),
            "pattern" => {
                assert_eq!(bound, "^[0-9a-f]{16}$", "the one pattern that is understood here");
                value
                    .as_str()
                    .is_some_and(|text| text.parse::<fanfare::ConnectionId>().is_ok())
            }
            "items" => check_items(bound, value)?,
            "properties" => check_properties(bound, value)?,
            "required" => has_required(bound, value),
            "additionalProperties" => {
                assert_eq!(bound, &Value::Bool(false));
                has_no_more(&schema["properties"], value)
            }
            "oneOf" => fits_one(bound, value),
            _ => return Err(format!("the rule `{rule}` is not understood")),
        };
        if !holds {
            return Err(format!("{value} breaks `{rule}`: {bound}"));
        }
    }
    Ok(())
}

fn length(bound: &Value) -> Option<usize> {
    bound.as_u64().map(|bound| bound as usize)
}

fn has_type(types: &Value, value: &Value) -> bool {
    let is = |name: &Value| match name.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_u64(),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        _ => false,
    };
    types
        .as_array()
        .map_or_else(|| is(types), |types| types.iter().any(is))
}

fn check_items(schema: &'static Value, value: &Value) -> Result<bool, String> {
    for item in value.as_array().into_iter().flatten() {
        check(schema, item)?;
    }
    Ok(true)
}

fn check_properties(properties: &'static Value, value: &Value) -> Result<bool, String> {
    for (name, schema) in properties.as_object().into_iter().flatten() {
        if let Some(value) = value.get(name) {
            check(schema, value).map_err(|problem| format!("`{name}`: {problem}"))?;
        }
    }
    Ok(true)
}

fn has_required(names: &Value, value: &Value) -> bool {
    let mut names = names.as_array().into_iter().flatten();
    names.all(|name| value.get(name.as_str().unwrap_or_default()).is_some())
}

fn has_no_more(properties: &Value, value: &Value) -> bool {
    let mut fields = value.as_object().into_iter().flatten();
    fields.all(|(name, _)| properties.get(name).is_some())
}

fn fits_one(schemas: &'static Value, value: &Value) -> bool {
    let schemas = schemas.as_array().into_iter().flatten();
    schemas.filter(|schema| check(schema, value).is_ok()).count() == 1
}

#[test]
fn a_schema_is_held_to() {
    let schema = &DOCUMENT["components"]["schemas"]["Published"];
    for (json, fits) in [
        (r#"{"topic":"a","epoch":"e","offset":1}"#, true),
        (r#"{"topic":"a","epoch":"e","offset":-1}"#, false),
        (r#"{"topic":"a","epoch":"e"}"#, false),
        (r#"{"topic":"a","epoch":"e","offset":1,"repeated":true}"#, true),
        (r#"{"topic":"a","epoch":"e","offset":1,"repeated":false}"#, false),
        (r#"{"topic":"a","epoch":"e","offset":1,"more":1}"#, false),
        (r#"{"published":[{"topic":"a","epoch":"e","offset":1}]}"#, true),
        (
            r#"{"published":[{"topic":"a","error":{"code":"busy","message":""}}]}"#,
            true,
        ),
        (
            r#"{"published":[{"topic":"a","error":{"code":"hm","message":""}}]}"#,
            false,
        ),
        (r#"{"published":{}}"#, false),
        ("[]", false),
    ] {
        let outcome = check(schema, &serde_json::from_str(json).unwrap());
        assert_eq!(outcome.is_ok(), fits, "{json}: {outcome:?}");
    }
}
