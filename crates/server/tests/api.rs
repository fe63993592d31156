//! The page about the HTTP API against its contract: whatever can be called is explained, and can be tried out.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens, helpers included"
)]

use serde_json::Value;

const PAGE: &str = include_str!("../../../docs/protocol/http.md");
const CONTRACT: &str = include_str!("../src/api/openapi.json");

/// The part of the page below a heading, up to the next one.
fn section(heading: &str) -> Option<&'static str> {
    let (_, rest) = PAGE.split_once(&format!("\n### {heading}\n"))?;
    Some(rest.split("\n#").next().unwrap_or(rest))
}

/// Every path with its method and description.
fn operations(contract: &Value) -> Vec<(String, &Value)> {
    let paths = contract["paths"].as_object().unwrap();
    let named = paths.iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap();
        methods
            .iter()
            .map(move |(method, operation)| (format!("`{} {path}`", method.to_uppercase()), operation))
    });
    named.collect()
}

#[test]
fn every_endpoint_is_explained_with_its_parameters_and_a_line_to_try() {
    let contract: Value = serde_json::from_str(CONTRACT).unwrap();
    for (heading, operation) in operations(&contract) {
        let section = section(&heading).unwrap_or_else(|| unreachable!("the page lacks {heading}"));
        let path = heading.trim_matches('`').split(' ').next_back().unwrap();
        let has_line = section
            .lines()
            .any(|line| line.starts_with("curl ") && line.contains(path));
        assert!(has_line, "{heading} has no curl line");
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let name = parameter["name"].as_str().unwrap();
            assert!(section.contains(name), "{heading} does not explain `{name}`");
        }
    }
}

#[test]
fn the_page_explains_no_endpoint_that_is_not_there() {
    let contract: Value = serde_json::from_str(CONTRACT).unwrap();
    let described: Vec<_> = operations(&contract)
        .into_iter()
        .map(|(heading, _)| heading)
        .collect();
    for heading in PAGE.lines().filter_map(|line| line.strip_prefix("### ")) {
        assert!(
            described.iter().any(|described| described == heading),
            "{heading}"
        );
    }
}
